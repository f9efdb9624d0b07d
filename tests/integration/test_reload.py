"""RELOAD and SIGHUP: what can change at once does, a wrong file changes
nothing."""
import os
import signal

import pytest

from checks import update
from client import bad, good
from timing import eventually, stays


def by_verb(daemon, admin):
    assert admin.call("RELOAD") == "OK"


def by_signal(daemon, _admin):
    n = daemon.log.count("info: reloaded")
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.log.count("info: reloaded") > n, "reloaded")


def config(client):
    return {row["key"]: row["value"] for row in client.show("config")}


def workers(daemon, **keys):
    database = daemon.settings["databases"][0]
    database["workers"] = database["workers"] | keys
    daemon.configure()


def n_sessions(db):
    return len(db.backends("query <> ''")) + len(db.backends("query = ''"))


@pytest.mark.parametrize("reload", [by_verb, by_signal])
def test_timeouts_apply_to_what_comes_next(daemon, reload):
    c = daemon.connect()
    daemon.configure(timeouts={"statement": "100ms"})
    reload(daemon, c)
    assert config(c)["timeouts.statement"] == "100ms"
    error = c.fails("TIMEOUT", "SQL", "SELECT pg_sleep(20)")
    assert "100 ms" in error.message
    daemon.configure(timeouts={"statement": "0"})
    reload(daemon, c)
    good(c.try_call("SQL", "SELECT pg_sleep(0.2)"))


def test_idle_in_transaction_applies_to_those_that_are(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    daemon.configure(timeouts={"idle_in_transaction": "50ms"})
    c.call("RELOAD")
    assert "idle for longer" in c.push("txexpired")["text"]
    eventually(lambda: not db.locks(), "its locks are gone")


def test_limits_apply(db, daemon):
    c, holder = daemon.connect(), daemon.connect()
    daemon.configure(limits={"in_flight": 2, "result": "1KiB",
                             "request": "2KiB"})
    c.call("RELOAD")
    tx = f"#{holder.call('BEGIN')}"
    holder.call(tx, "SQL", update(1))
    c.send("@a", "SQL", update(1))
    c.send("@b", "SQL", update(1))
    c.send("@c", "SQL", update(1))
    assert "limits.in_flight (2)" in bad("OVERLOAD", c.tag("c")).message
    holder.call(tx, "COMMIT")
    good(c.tag("a")), good(c.tag("b"))
    c.fails("OVERLOAD", "SQL", "SELECT repeat('x', 2000)")
    error = daemon.connect().fails("PROTO", "PING", "x" * 3000)
    assert "2048 bytes" in error.message


def test_the_pool_grows_to_min_and_shrinks_to_max(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 6})
    c = daemon.connect()
    workers(daemon, min=4)
    c.call("RELOAD")
    eventually(lambda: len(c.show("workers")) == 4, "four workers")
    for i in range(6):
        c.send(f"@{i}", "SQL", "SELECT pg_sleep(0.3)")
    eventually(lambda: len(c.show("workers")) == 6, "six at work")
    workers(daemon, min=0, max=2)
    c.call("RELOAD")
    for i in range(6):
        good(c.tag(str(i)))	# what runs is not disturbed
    eventually(lambda: len(c.show("workers")) == 2, "two are left")
    assert config(c)["databases.main.workers.max"] == "2"
    workers(daemon, idle="20ms")
    c.call("RELOAD")
    eventually(lambda: not c.show("workers"), "those idle by then end too")
    assert c.call("SQL", "SELECT 1 AS v") == [{"v": 1}]


def test_a_tx_keeps_its_session_though_max_shrinks(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    c = daemon.connect()
    handles = [f"#{c.call('BEGIN')}" for _ in range(2)]
    for i, tx in enumerate(handles):
        c.call(tx, "SQL", update(i + 1))
    workers(daemon, min=1, max=1)
    c.call("RELOAD")
    for i, tx in enumerate(handles):
        assert c.call(tx, "SQL", update(i + 1)) == "UPDATE 1"
        assert c.call(tx, "COMMIT") == "COMMIT"
    eventually(lambda: len(c.show("workers")) == 1, "one is left")
    assert (db.v(1), db.v(2)) == (2, 2)


def test_deadlock_mode_applies_to_waits_under_way(db, lockkeeperd):
    daemon = lockkeeperd(deadlock={"mode": "off"})
    c = daemon.connect("3", "MODE", "blocking", "THREAD", "t")
    other = daemon.connect("3", "MODE", "blocking", "THREAD", "t")
    c.call("BEGIN")
    c.call("SQL", update(1))
    other.send("SQL", update(1))
    db.wait_for_waiters(1)
    stays(lambda: not other.has_reply(), "nobody looks", 0.4)
    daemon.configure(deadlock={"mode": "resolve"})
    daemon.connect().call("RELOAD")
    bad("DEADLOCK", other.recv())
    assert c.call("COMMIT") == "COMMIT"


@pytest.mark.parametrize("wrong, said", [
    ('timeouts = { queue = "30"; };', ":1: timeouts.queue: "),
    ("", "databases: is missing"),
    ("timeouts = {", ":1: "),
])
def test_a_wrong_file_changes_nothing(daemon, wrong, said):
    c = daemon.connect()
    before = config(c)
    daemon.config_path.write_text(
        wrong and 'limits = { in_flight = 1; }; ' + wrong)
    error = c.fails("SYNTAX", "RELOAD")
    assert said in error.message and str(daemon.config_path) in error.message
    daemon.send_signal(signal.SIGHUP)
    eventually(lambda: daemon.log.count("not reloaded") == 2, "it is logged")
    daemon.says(said)
    assert config(c) == before
    os.unlink(daemon.config_path)
    assert "No such file" in c.fails("SYNTAX", "RELOAD").message
    assert c.call("SQL", "SELECT 1 AS v") == [{"v": 1}]
    daemon.configure()


def test_what_needs_a_start_is_kept_and_named(daemon):
    c = daemon.connect()
    before = config(c)
    daemon.settings["databases"][0]["conninfo"] = "dbname=elsewhere"
    daemon.configure(listen={"mode": "0600"}, timeouts={"queue": "7s"})
    assert c.call("RELOAD") == "OK"
    after = config(c)
    assert after.pop("timeouts.queue") == "7s"
    before.pop("timeouts.queue")
    assert after == before
    eventually(lambda: "needs a new start to change: listen.mode, "
               "databases.conninfo" in daemon.log, "it is logged")
    assert c.call("SQL", "SELECT 1 AS v") == [{"v": 1}]


def test_show_config_has_what_show_config_prints(daemon, db):
    c = daemon.connect()
    rows = {row["key"]: row for row in c.show("config")}
    assert rows["databases.main.name"]["value"] == "main"
    assert rows["databases.main.conninfo"]["value"] == db.conninfo
    assert rows["databases.main.conninfo"]["default"] is None
    assert rows["databases.main.conninfo"]["reload"] is False
    assert rows["timeouts.queue"] == {
        "key": "timeouts.queue", "value": "30s", "default": "30s",
        "reload": True}
    assert rows["listen.socket"]["value"] == daemon.socket
