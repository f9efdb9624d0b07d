"""Lock waits as the daemon sees and says them."""
import pytest

from checks import assert_nothing_left, update
from cluster import Database
from timing import eventually, stays, within


def waits_of(client):
    return client.show("waits")


def one_wait(client):
    """For a lock: before that it may have waited for another session."""
    return eventually(lambda: [row for row in waits_of(client)
                               if not row["object"].startswith("slot of")],
                      "SHOW waits has a row")[0]


def flat(row):
    """All that a row says, for looking for words."""
    return repr(row)


@pytest.fixture
def lk(lockkeeperd):
    return lockkeeperd(deadlock={"notify": "100ms"})


def hold(client, task, row_id):
    handle = client.call(f"%{task}", "BEGIN")
    client.call(f"%{task}", f"#{handle}", "SQL", update(row_id))
    return handle


# -- SHOW waits

def test_show_waits_names_who_waits_for_what_and_for_whom(db, lk):
    holder = lk.connect("3", "NAME", "billing")
    waiter = lk.connect("3", "NAME", "shop")
    handle = hold(holder, "invoice", 1)
    waiter.send("@w", "%basket", "SQL", update(1))
    row = one_wait(holder)
    for column in ("task", "tx", "tag", "waiting_ms", "object", "blockers"):
        assert column in row, row
    assert row["task"] == "basket"
    assert row["tx"] is None
    assert row["tag"] == "w"
    assert 0 <= row["waiting_ms"] < 5000
    assert "r" in row["object"].replace('"', " ").split(), row["object"]
    for word in (str(handle), "invoice", "billing"):
        assert word in flat(row["blockers"])
    holder.call(f"#{handle}", "COMMIT")
    assert waiter.tag("w") == "UPDATE 1"
    assert_nothing_left(db, holder)


def test_show_waits_names_the_tx_of_the_waiter(lk):
    c = lk.connect()
    held = hold(c, "a", 1)
    waiting = hold(c, "b", 2)
    c.send("@w", "%b", f"#{waiting}", "SQL", update(1))
    assert one_wait(c)["tx"] == waiting
    c.call("%a", f"#{held}", "ROLLBACK")
    assert c.tag("w") == "UPDATE 1"
    c.call("%b", f"#{waiting}", "ROLLBACK")


def test_waiting_ms_grows(lk):
    c = lk.connect()
    handle = hold(c, "a", 1)
    c.send("@w", "SQL", update(1))
    first = one_wait(c)["waiting_ms"]
    eventually(lambda: one_wait(c)["waiting_ms"] > first + 200, "it grew")
    c.call("%a", f"#{handle}", "ROLLBACK")
    assert c.tag("w") == "UPDATE 1"


def test_a_slow_statement_is_no_lock_wait(lk):
    c = lk.connect()
    c.send("@s", "SQL", "SELECT pg_sleep(0.8)")
    stays(lambda: not waits_of(c), "no wait", 0.6)
    c.tag("s")
    assert not [p for p in c.pushes if p[0] == "lockwait"]


def test_an_advisory_lock_is_named_by_its_number(db, lk):
    foreign = db.connect()
    foreign.query("SELECT pg_advisory_lock(4711)")
    c = lk.connect()
    c.send("@w", "SQL", "SELECT pg_advisory_xact_lock(4711)")
    row = one_wait(c)
    assert "advisory" in row["object"] and "4711" in row["object"]
    foreign.query("SELECT pg_advisory_unlock(4711)")
    c.tag("w")


def test_a_table_lock_is_named_by_its_table(db, lk):
    foreign = db.connect()
    foreign.query("BEGIN; LOCK TABLE r")
    c = lk.connect()
    c.send("@w", "SQL", "SELECT count(*) AS v FROM r")
    row = one_wait(c)
    assert "table" in row["object"] and "r" in row["object"].split()[-1]
    foreign.query("COMMIT")
    assert c.tag("w") == [{"v": 100}]


# -- lockwait

def test_lockwait_comes_after_notify_and_names_our_tx(db, lk):
    holder = lk.connect("3", "NAME", "billing")
    waiter = lk.connect("3", "NAME", "shop")
    handle = hold(holder, "invoice", 1)
    waiter.send("@w", "%basket", "SQL", update(1))
    with within(250, "lockwait after 100 ms") as w:
        said = waiter.push("lockwait")
    assert w.took_ms >= 90
    assert said["tag"] == "w"
    assert said["task"] == "basket"
    assert said["tx"] is None
    assert said["waiting_ms"] >= 100
    assert said["object"]
    blocker, = said["blockers"]
    assert blocker["tx"] == handle
    assert blocker["task"] == "invoice"
    assert "billing" in blocker["client"]
    assert blocker["idle_ms"] >= 0
    assert {"pid", "state", "doing"} <= set(blocker)
    assert not waiter.has_reply("w")
    holder.call("%invoice", f"#{handle}", "COMMIT")
    assert waiter.tag("w") == "UPDATE 1"
    assert_nothing_left(db, holder)


def test_lockwait_names_another_program_by_pid_and_application(db, lk):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c = lk.connect()
    c.send("@w", "SQL", update(1))
    said = c.push("lockwait")
    blocker, = said["blockers"]
    assert blocker["pid"] == foreign.pid
    assert blocker["tx"] is None
    assert "foreign" in flat(blocker)
    assert "idle in transaction" in flat(blocker)
    assert str(foreign.pid) in flat(one_wait(c)["blockers"])
    foreign.query("COMMIT")
    assert c.tag("w") == "UPDATE 1"


def test_locktimeout_names_a_prepared_transaction_by_its_gid(db, lk):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}; PREPARE TRANSACTION 'parked order'")
    error = lk.connect().fails("LOCKTIMEOUT", "?100", "SQL", update(1))
    assert "parked order" in error.message
    foreign.query("ROLLBACK PREPARED 'parked order'")


def test_locktimeout_names_the_holder_behind_other_waiters_too(db, lk):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c = lk.connect()
    c.send("@first", "SQL", update(1))
    db.wait_for_waiters(1)
    error = lk.connect().fails("LOCKTIMEOUT", "?100", "SQL", update(1))
    assert str(foreign.pid) in error.message
    foreign.query("COMMIT")
    assert c.tag("first") == "UPDATE 1"


def test_lockwait_is_said_once_for_one_wait(lk):
    c = lk.connect()
    handle = hold(c, "a", 1)
    c.send("@w", "SQL", update(1))
    c.push("lockwait")
    c.pump(0.8)
    assert not [p for p in c.pushes if p[0] == "lockwait"]
    c.call("%a", f"#{handle}", "ROLLBACK")
    assert c.tag("w") == "UPDATE 1"


def test_no_lockwait_for_a_short_wait(lk):
    c = lk.connect()
    handle = hold(c, "a", 1)
    c.send("@w", "SQL", update(1))
    c.pump(0.03)
    c.call("%a", f"#{handle}", "ROLLBACK")
    assert c.tag("w") == "UPDATE 1"
    c.pump(0.4)
    assert not [p for p in c.pushes if p[0] == "lockwait"]


def test_no_pushes_on_resp2(lk):
    c = lk.connect("2")
    handle = hold(c, "a", 1)
    c.send("@w", "SQL", update(1))
    assert not c.pump(0.5), "not even a push"
    c.call("%a", f"#{handle}", "ROLLBACK")
    assert c.tag("w") == "UPDATE 1"


def test_a_queue_of_waiters_is_shown_whole_with_its_root(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 8},
                         deadlock={"notify": "100ms"})
    c = daemon.connect()
    handle = hold(c, "root", 1)
    for i in range(5):
        c.send(f"@w{i}", f"%w{i}", "SQL", update(1))
    db.wait_for_waiters(5)
    eventually(lambda: {w["task"] for w in waits_of(c)}
               == {f"w{i}" for i in range(5)}, "all five are shown")
    assert any(str(handle) in flat(w["blockers"]) for w in waits_of(c))
    c.call("%root", f"#{handle}", "ROLLBACK")
    for i in range(5):
        assert c.tag(f"w{i}") == "UPDATE 1"
    assert_nothing_left(db, c)


# -- LOCKTIMEOUT's text

def test_locktimeout_names_our_holder(lk):
    holder = lk.connect("3", "NAME", "billing")
    handle = hold(holder, "invoice", 1)
    error = lk.connect().fails("LOCKTIMEOUT", "?100", "SQL", update(1))
    assert error.sqlstate == "55P03"
    for word in (str(handle), "invoice", "billing"):
        assert word in error.message
    holder.call("%invoice", f"#{handle}", "ROLLBACK")


def test_locktimeout_names_the_foreign_holder(db, lk):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    error = lk.connect().fails("LOCKTIMEOUT", "?100", "SQL", update(1))
    for word in (str(foreign.pid), "foreign"):
        assert word in error.message


def test_what_others_are_doing_is_shown_without_literals(lk):
    holder, waiter = lk.connect(), lk.connect()
    handle = holder.call("%a", "BEGIN")
    holder.call("%a", f"#{handle}", "SQL",
                "UPDATE r SET v = 918273 WHERE id = 1")
    error = waiter.fails("LOCKTIMEOUT", "?100", "SQL", update(1))
    assert "UPDATE r" in error.message
    assert "918273" not in error.message
    assert "918273" not in flat(waiter.show("transactions"))
    holder.call("%a", f"#{handle}", "ROLLBACK")


@pytest.fixture(params=["SQL_ASCII", "LATIN1"])
def encoded(request, pg):
    """A database in another encoding than UTF-8."""
    pg.psql(f"""CREATE DATABASE t_locks_encoded ENCODING '{request.param}'
        TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'""")
    database = Database(pg, "t_locks_encoded")
    try:
        database.reset()
        yield database
    finally:
        database.close()
        pg.psql("DROP DATABASE t_locks_encoded WITH (FORCE)")


@pytest.mark.parametrize("is_there", [True, False])
def test_waits_are_seen_whatever_bytes_others_send(
        db, encoded, lockkeeperd, is_there):
    """All backends of a cluster are looked at, and a query that is no UTF-8
    must not hide the others."""
    speaker = encoded.connect()
    speaker.query("SET client_encoding = 'LATIN1'")
    where = encoded if is_there else db
    foreign = speaker if is_there else db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    speaker.query("SELECT 1 -- caf\udce9")
    daemon = lockkeeperd(where.conninfo)
    error = daemon.connect().fails("LOCKTIMEOUT", "?100", "~20000", "SQL",
                                   update(1))
    assert str(foreign.pid) in error.message
    assert "lock waits cannot be seen" not in daemon.log


def test_looks_stop_when_nobody_is_out(db, lk):
    c = lk.connect()
    handle = hold(c, "a", 1)
    c.fails("LOCKTIMEOUT", "?100", "SQL", update(1))
    c.call("%a", f"#{handle}", "ROLLBACK")

    def looks():
        return c.call("SHOW", "stats")["looks"]

    before = looks()
    c.pump(1.0)
    assert looks() - before <= 1
