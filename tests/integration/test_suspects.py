"""Waits that look bad and are no proven deadlock: said, never acted on."""
import contextlib
import re

import pytest

from checks import assert_nothing_left, update
from client import good
from timing import eventually, stays, within


@pytest.fixture
def lk(lockkeeperd):
    return lockkeeperd(workers={"min": 2, "max": 26},
                       deadlock={"notify": "200ms"})


@contextlib.contextmanager
def prepared(db, gid, row_id=1):
    db.sql(f"BEGIN; {update(row_id)}; PREPARE TRANSACTION '{gid}'")
    try:
        yield
    finally:
        db.sql(f"ROLLBACK PREPARED '{gid}'")


def suspects(client, n=1):
    """SHOW waits' reasons, once there are n waits and each has one."""
    def find():
        rows = client.show("waits")
        reasons = [row["suspect"] for row in rows]
        return len(rows) >= n and all(reasons) and reasons

    return eventually(find, f"{n} suspect waits")


def logged(daemon):
    return re.findall("warning: .*?suspect: (.*)", daemon.log)


def n_verdicts(client):
    stats = client.call("SHOW", "stats")
    # Some are cancelled to wait on without a slot, which is no verdict.
    assert stats["cancels"] <= 2 * stats["parked"]
    return stats["deadlocks"] + stats["deadlock_victims"]


def hold(client, task=None, row_id=1):
    words = (f"%{task}",) if task else ()
    tx = f"#{client.call(*words, 'BEGIN')}"
    client.call(*words, tx, "SQL", update(row_id))
    return tx


# -- 3: the essay's case, undeclared

def test_3_the_undeclared_twin_is_suspect_and_nothing_else(db, lk):
    a, b = lk.connect("3", "NAME", "one"), lk.connect("3", "NAME", "two")
    tx = hold(a)
    b.send("SQL", update(1))
    reason, = suspects(a)
    for words in (f"{tx} of client one (pid ", " is silent for ",
                  "MODE async", "its thread is free",
                  "same process", "HELLO MODE blocking and THREAD"):
        assert words in reason, reason
    eventually(lambda: logged(lk), "it is logged")
    stays(lambda: not b.has_reply(), "no flag", 2)
    assert n_verdicts(a) == 0
    line, = logged(lk)
    for words in ("client two", "row (0,1) of r", "1 in all", reason[:12]):
        assert words in line, line
    assert a.call(tx, "COMMIT") == "COMMIT"
    assert b.recv() == "UPDATE 1"
    assert_nothing_left(db, a)
    assert a.call("SHOW", "stats")["suspects"] == 1


def test_one_that_is_young_is_not_suspect(lockkeeperd):
    daemon = lockkeeperd(deadlock={"notify": "20s"})
    a, b = daemon.connect(), daemon.connect()
    tx = hold(a)
    b.send("SQL", update(1))
    row, = eventually(lambda: a.show("waits"), "it waits")
    assert row["suspect"] is None
    a.call(tx, "COMMIT")
    b.recv()


HELLOS = [
    (("MODE", "blocking"), "MODE blocking without a THREAD"),
    (("MODE", "blocking", "THREAD", "one"), "its thread is in no request"),
]


@pytest.mark.parametrize("hello, reason", HELLOS)
def test_what_is_known_of_the_holders_thread_is_said(lk, hello, reason):
    a = lk.connect("3", *hello)
    b = lk.connect("3", "MODE", "blocking", "THREAD", "two")
    tx = hold(a)
    b.send("SQL", update(1))
    assert reason in suspects(lk.connect())[0]
    a.call(tx, "COMMIT")
    good(b.recv())


def test_a_shared_tx_and_busy_tasks_are_told_apart(lk):
    c, other = lk.connect(), lk.connect()
    shared = f"#{c.call('BEGIN', 'SHARED')}"
    c.call(shared, "SQL", update(1))
    busy = hold(c, "busy", 2)
    awaiting = hold(c, "awaiting", 3)
    c.call("AWAIT", "awaiting", "busy")
    c.send("@slow", "%busy", "SQL", "SELECT pg_sleep(2.5)")
    for i in (1, 2, 3):
        other.send(f"@{i}", "SQL", update(i))
    reasons = sorted(suspects(lk.connect(), 3))
    assert re.search("SHARED", " ".join(reasons))
    assert re.search("another request under way: SQL SELECT pg_sleep",
                     " ".join(reasons))
    assert re.search("its task awaits others", " ".join(reasons))
    c.tag("slow")
    for i, tx in enumerate((shared, busy, awaiting), 1):
        c.call(tx, "COMMIT")
        good(other.tag(str(i)))


def test_a_holder_that_reads_nothing_is_suspect_until_it_is_dropped(
        lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "1h", "output": "4KiB"},
                         deadlock={"notify": "1500ms"})
    lazy, c = daemon.connect(), daemon.connect()
    tx = hold(lazy)
    lazy.send("SQL", "SELECT repeat('x', 4000000) AS v")
    eventually(lambda: c.show("clients")[0]["stalled_ms"], "it is stalled")
    c.send("@w", "SQL", update(1))
    watcher = daemon.connect()
    eventually(lambda: any("has read no replies for " in (w["suspect"] or "")
                           for w in watcher.show("waits")), "it is suspect")
    good(c.tag("w"))
    daemon.says(f"waits for its {tx}")


# -- 18: a queue behind DDL

def jam(db, holder, c, n=20):
    tx = f"#{holder.call('%t1', 'BEGIN')}"
    holder.call("%t1", tx, "SQL", "SELECT count(*) FROM r")
    db.sql("CREATE TABLE other (v int)")
    c.send("@ddl", "%ddl", "SQL", "ALTER TABLE r ADD COLUMN w int")
    db.wait_for_waiters(1)
    for i in range(n):
        c.send(f"@{i}", f"%s{i}", "SQL", "SELECT count(*) AS v FROM r")
    db.wait_for_waiters(n + 1)
    return tx


def test_18_a_queue_behind_ddl_is_told_with_its_root(db, lk):
    holder, c = lk.connect("3", "NAME", "billing"), lk.connect()
    tx = jam(db, holder, c)
    with within(1000, "scenario 18: all are shown as suspect"):
        reasons = suspects(holder, 21)
    assert len(reasons) == 21
    assert all(f"{tx} of task t1 of client billing (pid " in reason
               and "is silent for " in reason for reason in reasons)
    for row in holder.show("waits"):
        assert tx in row["blockers"] and "billing" in row["blockers"]
        assert row["object"] == "table r"
    with within(1000, "scenario 18: another table is served, ten times"):
        for i in range(10):
            assert c.sql(f"INSERT INTO other VALUES ({i})") == "INSERT 0 1"
    eventually(lambda: logged(lk), "it is logged")
    line, = logged(lk)
    assert re.search(rf"; \d+ in all wait for this: {tx} of task t1 of ", line)
    assert n_verdicts(holder) == 0
    assert holder.call("%t1", tx, "COMMIT") == "COMMIT"
    assert c.tag("ddl") == "ALTER TABLE"
    for i in range(20):
        assert c.tag(str(i)) == [{"v": 100}]
    assert_nothing_left(db, holder)


def test_control_18_without_looks_nothing_is_said_of_it(db, lockkeeperd):
    lk = lockkeeperd(workers={"min": 2, "max": 8},
                     deadlock={"mode": "off", "notify": "200ms"})
    holder, c = lk.connect(), lk.connect()
    tx = jam(db, holder, c, 3)
    stays(lambda: not holder.show("waits"), "nothing is shown", 1)
    assert not logged(lk)
    holder.call("%t1", tx, "COMMIT")
    c.tag("ddl")


# -- 19: a session of another program

def test_19_a_foreign_holder_is_named_while_others_go_on(db, lk):
    foreign = db.connect("report")
    foreign.query(f"BEGIN; {update(1)}")
    c, watcher = lk.connect(), lk.connect()
    for i in range(5):
        c.send(f"@{i}", f"%w{i}", "SQL", update(1))
    with within(1000, "scenario 19: the holder is suspect"):
        reasons = suspects(watcher, 5)
    for reason in reasons:
        assert re.match(rf"backend {foreign.pid} of another program "
                        r"\(report, user postgres\), idle in transaction "
                        r"for \d+ ms", reason), reason
        assert reason.endswith("; it may go on")
    with within(1000, "scenario 19: another row is served, ten times"):
        for _ in range(10):
            assert watcher.sql(update(2)) == "UPDATE 1"
    watcher.pump(1)
    line, = logged(lk)
    assert f"backend {foreign.pid} of another program" in line
    assert n_verdicts(watcher) == 0
    # It holds up others once more, for another reason.
    foreign.query("COMMIT")
    for i in range(5):
        assert c.tag(str(i)) == "UPDATE 1"
    foreign.query(f"BEGIN; {update(3)}")
    c.send("@again", "SQL", update(3))
    eventually(lambda: len(logged(lk)) == 2, "it is logged again")
    foreign.query("COMMIT")
    good(c.tag("again"))
    assert (db.v(1), db.v(2), db.v(3)) == (6, 10, 2)


def test_control_19_a_foreign_session_at_work_is_not_suspect(db, lk):
    foreign = db.connect("report")
    foreign.query(f"BEGIN; {update(1)}")
    foreign.start("SELECT pg_sleep(1.5)")
    c, watcher = lk.connect(), lk.connect()
    c.send("@w", "SQL", update(1))
    row, = eventually(lambda: watcher.show("waits"), "it waits")
    stays(lambda: all(w["suspect"] is None for w in watcher.show("waits")),
          "not suspect", 0.8)
    assert not logged(lk)
    foreign.finish()
    foreign.query("COMMIT")
    good(c.tag("w"))


def test_a_session_that_holds_its_own_lock_is_suspect_too(db, lk):
    foreign = db.connect("report")
    foreign.query("SELECT pg_advisory_lock(7)")
    c, watcher = lk.connect(), lk.connect()
    c.send("@w", "SQL", "SELECT pg_advisory_xact_lock(7)")
    assert "(report, user postgres), idle for " in suspects(watcher)[0]
    foreign.query("SELECT pg_advisory_unlock(7)")
    good(c.tag("w"))


# -- 20: a prepared transaction

def test_20_a_prepared_transaction_is_named_and_never_touched(db, lk):
    c, watcher = lk.connect(), lk.connect()
    with prepared(db, "parked order"):
        c.send("@w", "SQL", update(1))
        with within(1000, "scenario 20: it is suspect"):
            reason, = suspects(watcher)
        assert re.fullmatch(
            r"prepared transaction 'parked order', prepared \d+ ms ago; it "
            "ends by COMMIT PREPARED or ROLLBACK PREPARED alone, which "
            "somebody may say", reason), reason
        error = watcher.fails("LOCKTIMEOUT", "?600", "SQL", update(1))
        assert re.search(r"held .*by prepared transaction 'parked order', "
                         r"prepared \d{3,} ms ago", error.message)
        eventually(lambda: logged(lk), "it is logged")
        watcher.pump(0.5)
        line, = logged(lk)
        assert "'parked order'" in line
        assert db.value("SELECT gid FROM pg_prepared_xacts") == "parked order"
        assert not c.has_reply("w")
        stats = watcher.call("SHOW", "stats")
        assert (stats["deadlocks"], stats["cancels"]) == (0, 1)
    assert c.tag("w") == "UPDATE 1"
    assert db.v(1) == 1
    assert_nothing_left(db, watcher)


def test_two_prepared_ones_are_two(db, lk):
    c = lk.connect()
    with prepared(db, "p1", 1), prepared(db, "p2", 2):
        for i in (1, 2):
            c.send(f"@{i}", "SQL", update(i))
        eventually(lambda: len(logged(lk)) == 2, "both are logged")
    for i in "12":
        good(c.tag(i))


# -- cycles of others

def test_a_cycle_of_other_programs_is_postgresqls(db, lockkeeperd):
    lk = lockkeeperd(deadlock={"notify": "100ms"})
    one, two = db.connect("one"), db.connect("two")
    for session, row_id in ((one, 1), (two, 2)):
        session.query("SET deadlock_timeout = '5s'")
        session.query(f"BEGIN; {update(row_id)}")
    one.start(update(2))
    two.start(update(1))
    db.wait_for_waiters(2)
    c, watcher = lk.connect(), lk.connect()
    c.send("@w", "SQL", update(1))
    reason, = suspects(watcher)
    assert reason.startswith("sessions of other programs wait for each other")
    assert {str(one.pid), str(two.pid)} <= set(re.findall(r"\d+", reason))
    eventually(lambda: logged(lk), "it is logged")
    assert n_verdicts(watcher) == 0
    assert not c.has_reply("w")
    for session in (one, two):
        session.close()
    good(c.tag("w"))


# -- waits for a slot

def test_a_request_that_waits_for_a_slot_is_shown(db, lockkeeperd):
    lk = lockkeeperd(workers={"min": 2, "max": 2},
                     deadlock={"notify": "200ms"})
    holder = lk.connect("3", "NAME", "billing")
    c, watcher = lk.connect("3", "NAME", "shop"), lk.connect()
    one, two = hold(holder, "a", 1), hold(holder, "b", 2)
    c.send("@q", "%basket", "SQL", update(3))
    tx = c.call("%other", "BEGIN")
    c.send("@t", "%other", f"#{tx}", "SQL", update(4))
    rows = eventually(lambda: len(watcher.show("waits")) == 2
                      and watcher.show("waits"), "both are shown")
    row = rows[0]
    assert row.pop("waiting_ms") >= 200
    blockers = row.pop("blockers")
    for word in ("its 2 slots", one, two, "billing", "idle in transaction"):
        assert word in blockers
    assert row == {
        "task": "basket", "client": c.hello["id"], "tx": None, "tag": "q",
        "pid": None, "object": "slot of main", "mode": None,
        "suspect": "all 2 slots are in transactions that are silent",
        "doing": "SQL UPDATE r SET v = v + ? WHERE id = ?"}
    assert (rows[1]["tx"], rows[1]["tag"]) == (tx, "t")
    holder.send("@s", "%a", one, "SQL", "SELECT pg_sleep(1)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    assert [w["suspect"] for w in watcher.show("waits")] == [None, None]
    good(holder.tag("s"))
    for task, handle in (("a", one), ("b", two)):
        holder.call(f"%{task}", handle, "COMMIT")
    good(c.tag("q")), good(c.tag("t"))
    c.call("%other", f"#{tx}", "ROLLBACK")
    assert_nothing_left(db, watcher)


def test_a_short_wait_for_a_slot_is_not_shown(db, lockkeeperd):
    lk = lockkeeperd(workers={"min": 1, "max": 1},
                     deadlock={"notify": "20s"})
    c, watcher = lk.connect(), lk.connect()
    tx = hold(c, "a")
    c.send("@q", "SQL", update(2))
    eventually(lambda: watcher.show("databases")[0]["queued"] == 1, "queued")
    stays(lambda: not watcher.show("waits"), "not shown", 0.5)
    c.call("%a", tx, "COMMIT")
    good(c.tag("q"))
