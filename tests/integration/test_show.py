"""SHOW: each kind answers, in both versions, and tells the truth.

A lint looks for a function that names a list and each of its columns.
"""
import os
import time

import pytest

from checks import update
from client import bad, good, pairs
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


def test_clients_shows_what_each_has_open(pg, db, lockkeeperd):
    daemon = lockkeeperd(databases=[
        {"name": "main", "conninfo": db.conninfo},
        {"name": "other", "conninfo": pg.conninfo()}])
    c = daemon.connect("3", "NAME", "busy", "DATABASE", "other")
    other = daemon.connect()

    def busy():
        return next(row for row in other.show("clients")
                    if row["name"] == "busy")

    handle = c.call("%t", "BEGIN")
    c.call("/main", "BEGIN")
    c.send("@s", f"#{handle}", "SQL", "SELECT pg_sleep(30)")
    c.call("PING")
    row = busy()
    assert (row["uid"], row["database"]) == (os.getuid(), "other")
    assert (row["requests"], row["outstanding"]) == (5, 1)
    assert row["transactions"] == 2
    assert 0 <= row["age_ms"] < 60000
    c.call("CANCEL", "s")
    c.tag("s")
    c.call(f"#{handle}", "ROLLBACK")
    eventually(lambda: busy()["age_ms"] >= row["age_ms"] + 20, "it ages")
    row = busy()
    assert (row["outstanding"], row["transactions"]) == (0, 1)


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


def test_transactions_shows_its_database_and_how_long(daemon):
    c = daemon.connect()
    handle = c.call("BEGIN")

    def row():
        return c.show("transactions")[0]

    assert row()["database"] == "main"
    eventually(lambda: row()["age_ms"] >= 50, "it ages")
    assert row()["state_ms"] == pytest.approx(row()["age_ms"], abs=40)
    c.call(f"#{handle}", "SQL", "SELECT 1")
    aged = row()
    assert aged["age_ms"] >= aged["state_ms"] + 50, "its state is new"


def test_tasks_shows_what_is_outstanding(daemon):
    c = daemon.connect()
    c.send("@s", "%report", "SQL", "SELECT pg_sleep(0.4)")

    def shown():
        return [row for row in c.show("tasks") if row["task"] == "report"]

    assert shown()[0]["requests"] == 1
    eventually(lambda: "pg_sleep" in shown()[0]["doing"], "it runs")
    c.tag("s")
    assert "report" not in repr(c.show("tasks"))


def test_tasks_shows_state_transactions_and_awaits(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 1})
    c = daemon.connect()

    def rows():
        return {row["task"]: row for row in c.show("tasks")}

    handle = c.call("%boss", "BEGIN")
    c.call("AWAIT", "boss", "report", "draft")
    c.send("@r1", "%report", "SQL", "SELECT pg_sleep(30)")
    c.send("@r2", "%report", "SQL", update(1))
    c.send("@b", "%boss", f"#{handle}", "SQL", update(2))
    eventually(lambda: rows()["report"]["state"] == "running", "it runs")
    shown = rows()
    assert shown["boss"] == {
        "task": "boss", "client": c.hello["id"], "state": "queued",
        "requests": 1, "transactions": [handle],
        "awaits": ["report", "draft"],
        "doing": "SQL UPDATE r SET v = v + ? WHERE id = ?"}
    assert shown["report"]["requests"] == 2
    assert shown["report"]["awaits"] == shown["report"]["transactions"] == []
    assert (shown["draft"]["state"], shown["draft"]["doing"]) == ("idle", None)
    c.call("CANCEL", "r1")
    for tag in ("r2", "b"):
        good(c.tag(tag))
    c.call("AWAIT", "boss")
    c.call(f"#{handle}", "COMMIT")
    assert set(rows()) == {None}, "the connection's own"
    assert (db.v(1), db.v(2)) == (1, 1)


def test_workers_shows_state_and_backend(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 2, "max": 2}).connect()
    eventually(lambda: [w["state"] for w in c.show("workers")]
               == ["idle"] * 2, "both are idle")
    handle = c.call("BEGIN")
    pid = c.call(f"#{handle}", "SQL", "SELECT pg_backend_pid() AS p")[0]["p"]
    pinned, = [w for w in c.show("workers") if w["pid"] == pid]
    assert (pinned["state"], pinned["tx"]) == ("pinned", handle)
    c.call(f"#{handle}", "ROLLBACK")


def test_workers_shows_number_database_and_what_it_does(pg, db, lockkeeperd):
    workers = {"min": 1, "max": 1}
    daemon = lockkeeperd(databases=[
        {"name": "main", "conninfo": db.conninfo, "workers": workers},
        {"name": "other", "conninfo": pg.conninfo(), "workers": workers}])
    c = daemon.connect()

    def rows():
        return {row["database"]: row for row in c.show("workers")}

    eventually(lambda: {row["state"] for row in rows().values()} == {"idle"},
               "both are idle")
    assert {row["worker"] for row in rows().values()} == {0, 1}
    eventually(lambda: rows()["other"]["state_ms"] >= 50, "it rests")
    c.send("@s", "/other", "SQL", "SELECT pg_sleep(30)")
    eventually(lambda: rows()["other"]["state"] == "busy", "it works")
    row = rows()["other"]
    assert row["doing"] == "SQL SELECT pg_sleep(?)" and row["tx"] is None
    assert row["state_ms"] < 50 or row["state_ms"] < \
        rows()["main"]["state_ms"]
    assert rows()["main"]["doing"] is None
    c.call("CANCEL", "s")
    c.tag("s")


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
    assert grown("requests") == 5
    assert grown("statements") == 3
    daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.call(tx, "ROLLBACK")
    now = c.call("SHOW", "stats")
    assert now["clients_accepted"] == before["clients_accepted"] + 1
    assert (now["rollbacks"], now["rolled_back_by_daemon"]) == (1, 0)
    eventually(lambda: c.call("SHOW", "stats")["uptime_ms"]
               >= before["uptime_ms"] + 20, "time passes")


def test_stats_counts_sessions_that_come_and_go(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 2, "max": 2}).connect()

    def sessions():
        shown = c.call("SHOW", "stats")
        return shown["sessions_opened"], shown["sessions_lost"]

    eventually(lambda: sessions() == (2, 0), "both are open")
    db.sql(f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '{db.name}' AND application_name = 'lockkeeper'""")
    eventually(lambda: sessions() == (4, 2), "both were lost and are open")


def test_stats_counts_what_the_daemon_ended(db, daemon):
    c, other = daemon.connect(), daemon.connect()
    tx = c.call("BEGIN")
    c.call(f"#{tx}", "SQL", update(1))
    other.call("KILL", tx)
    eventually(lambda: not db.busy(), "it is rolled back")
    shown = c.call("SHOW", "stats")
    assert (shown["rolled_back_by_daemon"], shown["rollbacks"]) == (1, 0)
    assert shown["cancels"] == 0
    c.send("@s", "SQL", "SELECT pg_sleep(30)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    other.send("CANCEL", "s")
    c.call("CANCEL", "s")
    bad("CANCELED", c.tag("s"))
    assert c.call("SHOW", "stats")["cancels"] >= 1


def test_stats_counts_looks_at_locks(db, lockkeeperd):
    c = lockkeeperd(deadlock={"notify": "20ms"}).connect()
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    before = c.call("SHOW", "stats")
    assert (before["looks"], before["looks_us"], before["lockwaits"]) == (
        0, 0, 0)
    c.send("@w", "SQL", update(1))
    c.push("lockwait")
    shown = c.call("SHOW", "stats")
    assert shown["looks"] >= 1 and shown["lockwaits"] == 1
    assert 0 < shown["looks_us"] < shown["uptime_ms"] * 1000
    foreign.query("COMMIT")
    c.tag("w")


def test_stats_counts_looks_that_failed(pg, db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 1})
    c = daemon.connect()
    c.sql("SELECT 1")
    watcher = "application_name = 'lockkeeper watcher'"
    eventually(lambda: db.backends(watcher), "it has a watcher")
    assert c.call("SHOW", "stats")["looks_failed"] == 0
    pg.psql(f"ALTER DATABASE {db.name} ALLOW_CONNECTIONS false")
    try:
        db.sql(f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '{db.name}' AND {watcher}""")
        eventually(lambda: not db.backends(watcher), "it is gone")
        c.send("@s", "SQL", "SELECT pg_sleep(30)")
        eventually(lambda: c.call("SHOW", "stats")["looks_failed"] > 0,
                   "a look failed")
        c.call("CANCEL", "s")
        c.tag("s")
    finally:
        pg.psql(f"ALTER DATABASE {db.name} ALLOW_CONNECTIONS true")


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
        assert rows[-1]["members"] in rows[-1]["text"]
        assert rows[-1]["victim"].endswith(
            ": SQL UPDATE r SET v = v + ? WHERE id = ?")
        assert rows[-1]["at_ms"] == pytest.approx(time.time() * 1000,
                                                  abs=60000)
        stats = a.call("SHOW", "stats")
        assert (stats["deadlocks"], stats["deadlock_victims"]) == (n, n)


def test_stats_counts_deadlocks_that_had_no_victim(lockkeeperd):
    daemon = lockkeeperd(deadlock={"mode": "report"})
    a, b = (daemon.connect("3", "MODE", "blocking", "THREAD", "t")
            for _ in range(2))
    a.call("BEGIN")
    a.sql(update(1))
    b.send("SQL", update(1))
    eventually(lambda: a.call("SHOW", "stats")["deadlocks"] == 1, "it is seen")
    assert a.call("SHOW", "stats")["deadlock_victims"] == 0
    assert a.show("deadlocks")[0]["action"] == "reported"
    a.call("COMMIT")
    b.recv()


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
    assert row["error"] is None
    eventually(lambda: c.show("databases")[0]["idle"] == 1, "it is idle")
    for i in range(5):
        c.send(f"@{i}", "SQL", "SELECT pg_sleep(30)")
    eventually(lambda: c.show("databases")[0]["queued"] == 2, "two wait")
    row, = c.show("databases")
    assert (row["workers"], row["idle"]) == (3, 0)


def test_databases_shows_why_there_is_no_session(pg, lockkeeperd):
    c = lockkeeperd(pg.conninfo("nowhere")).connect()

    def row():
        return c.show("databases")[0]

    eventually(lambda: row()["error"], "it is refused")
    assert "nowhere" in row()["error"] and row()["server"] is None
    eventually(lambda: row()["down_ms"] >= 20, "it stays down")


def test_tx_shows_one(daemon):
    c = daemon.connect()
    handle = c.call("%t", "BEGIN")
    assert pairs(c.call("SHOW", "tx", handle))["task"] == "t"
    c.fails("NOTX", "SHOW", "tx", "1")
    c.fails("SYNTAX", "SHOW", "clients", "1")


def test_waits_shows_who_waits_for_what(db, daemon):
    holder = daemon.connect("3", "NAME", "billing")
    c = daemon.connect("3", "NAME", "shop")
    held = holder.call("%invoice", "BEGIN")
    holder.call(f"#{held}", "SQL", update(1))
    tx = c.call("%basket", "BEGIN")
    c.send("@w", f"#{tx}", "SQL", update(1))
    row, = eventually(lambda: holder.show("waits"), "it is seen to wait")
    pid = int(db.backends("wait_event_type = 'Lock'")[0][0])
    assert 0 <= row.pop("waiting_ms") < 60000
    blockers = row.pop("blockers")
    for word in (f"#{held}", "task invoice", "client billing", "idle"):
        assert word in blockers
    row.pop("suspect")		# in a moment, or already
    assert row == {
        "object": "row (0,1) of r",
        "task": "basket", "client": c.hello["id"], "tx": tx, "tag": "w",
        "pid": pid, "mode": "ShareLock",
        "doing": "SQL UPDATE r SET v = v + ? WHERE id = ?"}
    holder.call(f"#{held}", "ROLLBACK")
    good(c.tag("w"))
    assert holder.show("waits") == []


@pytest.mark.parametrize("sql,expected", [
    ("INSERT INTO r VALUES (1)", {
        "sqlstate": "23505", "table": "r", "constraint": "r_pkey",
        "message": "duplicate key value violates unique constraint "
                   '"r_pkey"',
        "detail": "Key (id)=(1) already exists."}),
    ("INSERT INTO r VALUES (1000, NULL)", {
        "sqlstate": "23502", "table": "r", "column": "v",
        "message": 'null value in column "v" of relation "r" violates '
                   "not-null constraint",
        "detail": "Failing row contains (1000, null)."}),
    ("SELECT nosuch(1)", {
        "sqlstate": "42883", "position": "8",
        "message": "function nosuch(integer) does not exist",
        "hint": "No function matches the given name and argument types. "
                "You might need to add explicit type casts."}),
])
def test_error_shows_what_postgresql_said(daemon, sql, expected):
    c = daemon.connect()
    assert c.call("SHOW", "error") is None
    c.fails("PG", "SQL", sql)
    assert c.call("SHOW", "error") == {
        "kind": "PG", "retry": "no"} | expected


def test_error_shows_transaction_and_members(daemon):
    a, b = (daemon.connect("3", "MODE", "blocking", "THREAD", "t")
            for _ in range(2))
    a.call("BEGIN")
    a.sql(update(1))
    handle = b.call("BEGIN")
    error = bad("DEADLOCK", b.try_call("SQL", update(1)))
    shown = b.call("SHOW", "error")
    assert shown["tx"] == str(handle)
    assert shown["members"] == a.show("deadlocks")[0]["members"]
    assert shown["members"] in error.message
    a.call("ROLLBACK")
    b.call("ROLLBACK")
