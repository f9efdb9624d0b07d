"""SHOW: each kind answers, in both versions, and tells the truth."""
import os

import pytest

from checks import update
from client import bad, pairs
from timing import eventually

LISTS = ["clients", "tasks", "transactions", "workers", "waits", "deadlocks",
         "databases"]


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("what", LISTS)
def test_each_list_is_an_array_of_maps(daemon, proto, what):
    c = daemon.connect(proto)
    c.call("%t", "BEGIN")
    rows = c.call("SHOW", what)
    assert isinstance(rows, list)
    for row in rows:
        assert isinstance(row, dict if proto == "3" else list)
        assert all(isinstance(key, str) for key in pairs(row))


@pytest.mark.parametrize("proto", ["2", "3"])
@pytest.mark.parametrize("what", ["stats", "error"])
def test_stats_and_error_are_one_map(daemon, proto, what):
    c = daemon.connect(proto)
    c.try_call("SQL", "SELECT 1/0")
    shown = c.call("SHOW", what)
    assert isinstance(shown, dict if proto == "3" else list)
    assert pairs(shown)


def test_both_versions_show_the_same(daemon):
    three, two = daemon.connect("3"), daemon.connect("2")
    three.sql("SELECT 1")
    columns = [list(row) for row in three.show("workers")]
    assert columns == [list(row) for row in two.show("workers")]


def test_the_word_ignores_case(daemon):
    assert daemon.connect().call("show", "CLIENTS")


def test_clients_shows_each_connection(daemon):
    a = daemon.connect("3", "NAME", "one")
    daemon.connect("2", "NAME", "two", "MODE", "blocking", "THREAD", "t9")
    rows = {row["name"]: row for row in a.show("clients")}
    assert set(rows) == {"one", "two"}
    assert rows["one"]["pid"] == os.getpid()
    assert rows["two"]["mode"] == "blocking"
    assert rows["two"]["thread"] == "t9"
    assert (rows["one"]["proto"], rows["two"]["proto"]) == (3, 2)
    assert rows["one"]["id"] == a.hello["id"]


def test_transactions_shows_handle_owner_and_state(db, daemon):
    c = daemon.connect()
    handle = c.call("%invoice", "BEGIN")
    row, = c.show("transactions")
    assert (row["tx"], row["task"], row["state"]) == (
        handle, "invoice", "idle")
    assert row["client"] == c.hello["id"]
    assert row["pid"] is None and row["statements"] == 0
    c.call(f"#{handle}", "SQL", update(1))
    row, = c.show("transactions")
    assert row["state"] == "idle" and "UPDATE r" in row["doing"]
    assert (row["statements"], row["rows"]) == (1, 1)
    assert row["pid"] == int(db.backends("state LIKE 'idle in%'")[0][0])
    c.send("@s", f"#{handle}", "SQL", "SELECT pg_sleep(0.4)")
    row, = c.show("transactions")
    assert row["state"] == "running" and "pg_sleep" in row["doing"]
    c.tag("s")
    c.call(f"#{handle}", "COMMIT")
    assert c.show("transactions") == []


def test_tasks_shows_what_is_outstanding(daemon):
    c = daemon.connect()
    c.send("@s", "%report", "SQL", "SELECT pg_sleep(0.4)")

    def shown():
        return [row for row in c.show("tasks") if row["task"] == "report"]

    assert shown()[0]["requests"] == 1
    eventually(lambda: "pg_sleep" in shown()[0]["doing"], "it runs")
    c.tag("s")
    assert "report" not in repr(c.show("tasks"))


def test_workers_shows_state_and_backend(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 2, "max": 2}).connect()
    eventually(lambda: [w["state"] for w in c.show("workers")]
               == ["idle"] * 2, "both are idle")
    handle = c.call("BEGIN")
    pid = c.call(f"#{handle}", "SQL", "SELECT pg_backend_pid() AS p")[0]["p"]
    pinned, = [w for w in c.show("workers") if w["pid"] == pid]
    assert (pinned["state"], pinned["tx"]) == ("pinned", handle)
    c.call(f"#{handle}", "ROLLBACK")


def test_stats_counts(daemon):
    c = daemon.connect()
    before = c.call("SHOW", "stats")
    handle = c.call("BEGIN")
    c.call(f"#{handle}", "SQL", update(1))
    c.call(f"#{handle}", "COMMIT")
    c.try_call("SQL", "SELECT 1/0")
    after = c.call("SHOW", "stats")

    def grown(name):
        return after[name] - before[name]

    assert grown("transactions") == 1
    assert grown("commits") == 1
    assert grown("errors") == 1
    assert grown("requests") >= 5
    assert grown("statements") >= 3
    assert after["clients_accepted"] >= 1


def test_deadlocks_remembers_the_last_ones(daemon):
    a, b = (daemon.connect("3", "MODE", "blocking", "THREAD", "t")
            for _ in range(2))
    assert a.show("deadlocks") == []
    for n in (1, 2):
        a.call("BEGIN")
        a.sql(update(1))
        error = bad("DEADLOCK", b.try_call("SQL", update(1)))
        a.call("ROLLBACK")
        rows = a.show("deadlocks")
        assert [row["number"] for row in rows] == list(range(1, n + 1))
        assert rows[-1]["text"] == error.message
        assert rows[-1]["action"] == "failed"
        assert 0 < rows[-1]["verdict_us"] <= rows[-1]["end_us"]


def test_an_unknown_kind_is_syntax_and_the_known_ones_are_listed(daemon):
    error = daemon.connect().fails("SYNTAX", "SHOW", "unicorns")
    assert all(what in error.message for what in LISTS)


def test_databases_shows_sessions_and_queue(lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 3})
    c = daemon.connect()
    c.sql("SELECT 1")
    row, = c.show("databases")
    assert (row["name"], row["workers_min"], row["workers_max"]) == (
        "main", 1, 3)
    assert row["workers"] == 1 and row["queued"] == 0
    assert "/" in row["server"] and row["down_ms"] is None


def test_tx_shows_one(daemon):
    c = daemon.connect()
    handle = c.call("%t", "BEGIN")
    assert pairs(c.call("SHOW", "tx", handle))["task"] == "t"
    c.fails("NOTX", "SHOW", "tx", "1")
    c.fails("SYNTAX", "SHOW", "clients", "1")
