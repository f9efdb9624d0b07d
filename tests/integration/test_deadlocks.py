"""The essay's deadlock and its neighbours: found where it is one, and only
there.  Each has a control that stands still without the daemon's help."""
import os
import signal
import time

import pytest

import pgwire
from checks import assert_nothing_left, n_verdicts, update
from client import Client, Closed, NoReply, bad
from timing import eventually, stays, within

OFF = {"deadlock": {"mode": "off"}}


def blocking(daemon, thread="main", name="app"):
    return daemon.connect("3", "MODE", "blocking", "THREAD", thread,
                          "NAME", name)


# -- 1: one thread, blocking calls

def essay(daemon, thread_a="main", thread_b="main"):
    """(holder, waiter) of one program: the holder's tx has row 1, and the
    waiter has sent its update of it."""
    a, b = blocking(daemon, thread_a), blocking(daemon, thread_b)
    handle = a.call("BEGIN")
    a.sql(update(1))
    b.send("SQL", update(1))
    return a, b, handle


def test_1_a_blocked_thread_that_holds_the_row_is_a_deadlock(db, daemon):
    a, b, handle = essay(daemon)
    with within(100, "scenario 1: the essay's"):
        error = bad("DEADLOCK", b.recv())
    assert error.sqlstate == "40P01"
    for word in (str(handle), "app", "r"):
        assert word in error.message, error.line
    assert a.call("COMMIT") == "COMMIT"
    assert b.sql(update(1)) == "UPDATE 1"
    assert db.v(1) == 2
    assert n_verdicts(a) == 1
    assert_nothing_left(db, a)


def test_1_the_verdict_is_told_to_every_member(daemon):
    a, b, _ = essay(daemon)
    bad("DEADLOCK", b.recv())
    said = b.push("deadlock", 2)
    assert {"text", "members"} <= set(said)
    assert a.push("deadlock", 2)["text"] == said["text"]
    shown, = a.show("deadlocks")
    assert said["text"] in repr(shown)
    assert b.call("SHOW", "error")["kind"] == "DEADLOCK"
    assert b.call("SHOW", "error")["retry"] == "transaction"
    assert a.call("COMMIT") == "COMMIT"


def test_1_again_and_again_each_has_its_own_verdict(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    for i in range(20):
        a.call("BEGIN")
        a.sql(update(1))
        bad("DEADLOCK", b.try_call("SQL", update(1)))
        assert a.call("COMMIT") == "COMMIT"
        assert b.value("SELECT v FROM r WHERE id = 1") == i + 1
    assert n_verdicts(a) == 20
    assert_nothing_left(db, a)


def test_1_a_waiter_inside_a_tx_loses_its_tx(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    a.call("BEGIN")
    a.sql(update(1))
    b.call("BEGIN")
    b.sql(update(2))
    bad("DEADLOCK", b.try_call("SQL", update(1)))
    assert not db.backends("state LIKE 'idle in transaction%'")[1:], \
        "the victim's locks are still held"
    b.fails("TXABORTED", "SQL", "SELECT 1")
    assert b.call("ROLLBACK") == "ROLLBACK"
    assert a.call("COMMIT") == "COMMIT"
    assert (db.v(1), db.v(2)) == (1, 0)
    assert_nothing_left(db, a)


def test_1_behind_a_queue_of_other_waiters_too(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    c = daemon.connect()
    a.call("BEGIN")
    a.sql(update(1))
    c.send("@c", "SQL", update(1))
    db.wait_for_waiters(1)
    b.send("SQL", update(1))
    with within(250, "scenario 1 behind another waiter"):
        bad("DEADLOCK", b.recv())
    assert not c.has_reply("c")
    assert a.call("COMMIT") == "COMMIT"
    assert c.tag("c") == "UPDATE 1"
    assert db.v(1) == 2
    assert_nothing_left(db, a)


def test_1_a_table_lock_counts_as_a_row_does(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    a.call("BEGIN")
    a.sql("LOCK TABLE r")
    with within(100, "scenario 1 with a table lock"):
        bad("DEADLOCK", b.try_call("SQL", update(1)))
    assert a.call("COMMIT") == "COMMIT"
    assert_nothing_left(db, a)


def test_control_1_without_the_search_it_stands_still(db, lockkeeperd):
    a, b, _ = essay(lockkeeperd(**OFF))
    with pytest.raises(NoReply):
        b.recv(2.0)
    assert a.call("COMMIT") == "COMMIT"
    assert b.recv() == "UPDATE 1"
    assert db.v(1) == 2


def test_control_1_plain_postgresql_sees_no_deadlock(db):
    a, b = db.connect(), db.connect()
    a.query(f"BEGIN; {update(1)}")
    b.start(update(1))
    with pytest.raises(pgwire.StillWaiting):
        b.finish(2.0)		# its own detector looks after 1 s
    a.query("COMMIT")
    b.finish()


def test_report_mode_says_it_and_does_nothing(db, lockkeeperd):
    a, b, _ = essay(lockkeeperd(deadlock={"mode": "report"}))
    eventually(lambda: n_verdicts(a) == 1, "it is reported")
    with pytest.raises(NoReply):
        b.recv(1.0)
    assert n_verdicts(a) == 1
    assert a.call("COMMIT") == "COMMIT"
    assert b.recv() == "UPDATE 1"


# -- no verdict where somebody can still move

def stands_without_verdict(db, a, b, for_s=1.2):
    db.wait_for_waiters(1)
    with pytest.raises(NoReply):
        b.recv(for_s)
    assert n_verdicts(a) == 0
    assert a.call("COMMIT") == "COMMIT"
    assert b.recv() == "UPDATE 1"
    assert n_verdicts(a) == 0
    assert_nothing_left(db, a)


def test_another_thread_of_the_program_can_still_commit(db, daemon):
    a, b, _ = essay(daemon, "one", "two")
    stands_without_verdict(db, a, b)


def test_the_same_thread_name_in_another_process_is_another_thread(
        db, daemon):
    a = blocking(daemon)
    a.call("BEGIN")
    a.sql(update(1))
    go_read, go_write = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(go_write)
            b = Client(daemon.socket, "3", "MODE", "blocking",
                       "THREAD", "main")
            status = 0 if b.sql(update(1)) == "UPDATE 1" else 2
        finally:
            os._exit(status)
    os.close(go_read)
    os.close(go_write)
    db.wait_for_waiters(1)
    stays(lambda: n_verdicts(a) == 0, "no verdict", 1.0)
    assert a.call("COMMIT") == "COMMIT"
    assert os.waitpid(child, 0)[1] == 0
    assert db.v(1) == 2


def test_without_a_thread_name_nothing_is_known_of_threads(db, daemon):
    a = daemon.connect("3", "MODE", "blocking")
    b = daemon.connect("3", "MODE", "blocking")
    a.call("BEGIN")
    a.sql(update(1))
    b.send("SQL", update(1))
    stands_without_verdict(db, a, b)


def test_a_foreign_holder_is_never_a_verdict(db, daemon):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    b = blocking(daemon)
    b.send("SQL", update(1))
    db.wait_for_waiters(1)
    with pytest.raises(NoReply):
        b.recv(1.2)
    foreign.query("COMMIT")
    assert b.recv() == "UPDATE 1"
    assert n_verdicts(b) == 0


def test_a_holder_whose_commit_is_on_its_way_is_no_deadlock(db, lockkeeperd):
    """The blocked thread sent COMMIT on its other connection first."""
    daemon = lockkeeperd()
    db.sql("""CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.6); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER nap AFTER UPDATE ON r
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            WHEN (new.v = 1) EXECUTE FUNCTION nap()""")
    a, b = blocking(daemon), blocking(daemon)
    a.call("BEGIN")
    a.sql(update(1))
    a.send("COMMIT")
    b.send("SQL", update(1))
    assert b.recv() == "UPDATE 1"
    assert a.recv() == "COMMIT"
    assert n_verdicts(a) == 0


def test_no_false_verdict_when_commit_and_update_race(db, daemon):
    a, b = blocking(daemon), blocking(daemon)
    for i in range(100):
        a.call("BEGIN")
        a.sql(update(1))
        b.send("SQL", update(1))
        time.sleep((i % 25) / 1000 / 5)
        a.send("COMMIT")
        assert a.recv() == "COMMIT"
        assert b.recv() == "UPDATE 1"
    assert db.v(1) == 200
    assert n_verdicts(a) == 0


# -- 2: the same coroutines, asynchronously

def test_2_the_same_two_coroutines_through_an_async_client_both_finish(
        db, lockkeeperd):
    daemon = lockkeeperd(deadlock={"notify": "100ms"})
    c = daemon.connect("3", "NAME", "app")
    handle = c.call("%one", "BEGIN")
    c.call("%one", f"#{handle}", "SQL", update(1))
    c.send("@2", "%two", "SQL", update(1))
    slowest = 0.0
    end = time.monotonic() + 0.8	# what coroutine one awaits
    while time.monotonic() < end:
        start = time.monotonic()
        assert c.call("PING") == "PONG"
        slowest = max(slowest, time.monotonic() - start)
        time.sleep(0.01)
    said = c.push("lockwait", 1)
    assert said["task"] == "two"
    assert said["blockers"][0]["tx"] == handle
    assert said["blockers"][0]["task"] == "one"
    with within(50, "scenario 2: both finish once the first goes on"):
        c.send("@1", "%one", f"#{handle}", "COMMIT")
        assert c.tag("1") == "COMMIT"
        assert c.tag("2") == "UPDATE 1"
    print(f"slowest PING meanwhile: {slowest * 1000:.1f} ms")
    assert slowest < 0.5
    assert db.v(1) == 2
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_control_2_in_one_thread_with_blocking_calls_it_stands_still(db):
    """Coroutine two's call keeps the thread from ever running one's COMMIT."""
    one, two = db.connect(), db.connect()
    ran = []

    def coroutine_one():
        one.query(f"BEGIN; {update(1)}")
        yield
        one.query("COMMIT")
        ran.append("one")

    def coroutine_two():
        two.query(update(1), 1.5)
        ran.append("two")
        yield

    first = coroutine_one()
    next(first)
    with pytest.raises(pgwire.StillWaiting):
        next(coroutine_two())
    assert ran == []


# -- 3: a client that does not say that it blocks

def test_3_an_undeclared_blocking_client_is_never_flagged(db, daemon):
    a, b = daemon.connect(), daemon.connect()
    a.call("BEGIN", "HERE")
    a.sql(update(1))
    b.send("SQL", update(1))
    stands_without_verdict(db, a, b, 2.5)


def test_3_nor_with_a_thread_name_alone(db, daemon):
    a = daemon.connect("3", "THREAD", "main")
    b = daemon.connect("3", "THREAD", "main")
    a.call("BEGIN", "HERE")
    a.sql(update(1))
    b.send("SQL", update(1))
    stands_without_verdict(db, a, b)


# -- 23: the holder's client dies

def holder_process(daemon, statement=None):
    """A process whose tx holds row 1, and which then sits in statement."""
    ready_read, ready_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready_read)
            c = Client(daemon.socket, "3", "NAME", "doomed")
            tx = f"#{c.call('%doomed', 'BEGIN')}"
            c.call("%doomed", tx, "SQL", update(1))
            if statement:
                c.send("%doomed", tx, "SQL", statement)
            os.write(ready_write, b"x")
            time.sleep(60)
        finally:
            os._exit(1)
    os.close(ready_write)
    assert os.read(ready_read, 1) == b"x"
    os.close(ready_read)
    return child


@pytest.mark.parametrize("statement", [None, "SELECT pg_sleep(30)"])
def test_23_a_killed_clients_tx_is_rolled_back_and_waiters_go_on(
        db, daemon, statement):
    child = holder_process(daemon, statement)
    c = daemon.connect()
    if statement:
        eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    c.send("@w", "SQL", update(1))
    db.wait_for_waiters(1)
    where = "in a statement" if statement else "idle"
    with within(250, f"scenario 23: waiter goes on, holder killed {where}"):
        os.kill(child, signal.SIGKILL)
        assert c.tag("w") == "UPDATE 1"
    os.waitpid(child, 0)
    assert db.v(1) == 1
    assert_nothing_left(db, c)


@pytest.mark.parametrize("statement", [None, "SELECT pg_sleep(30)"])
def test_control_23_while_the_holder_lives_the_waiter_waits(
        db, daemon, statement):
    child = holder_process(daemon, statement)
    try:
        c = daemon.connect()
        c.send("@w", "SQL", update(1))
        assert c.is_silent(2.0)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert c.tag("w") == "UPDATE 1"


# -- 34: one connection for many coroutines

@pytest.mark.parametrize("is_tagged", [False, True])
def test_34_on_a_mixed_connection_commit_overtakes(db, daemon, is_tagged):
    c = daemon.connect()
    tx = f"#{c.call('%a', 'BEGIN')}"
    tags = [[f"@{i}"] if is_tagged else [] for i in range(3)]

    def reply(i):
        return c.tag(str(i)) if is_tagged else c.recv()

    c.send(*tags[0], "%a", tx, "SQL", update(1))
    assert reply(0) == "UPDATE 1"
    c.send(*tags[1], "%b", "SQL", update(1))
    db.wait_for_waiters(1)
    with within(100, f"scenario 34, {'tagged' if is_tagged else 'untagged'}"):
        c.send(*tags[2], "%a", tx, "COMMIT")
        assert (reply(1), reply(2)) == ("UPDATE 1", "COMMIT")
    assert db.v(1) == 2
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_control_34_in_one_task_commit_waits_behind_and_stands_still(
        db, lockkeeperd):
    """Strictly in order, as a connection without tasks would be."""
    c = lockkeeperd(**OFF).connect()
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call("%a", tx, "SQL", update(1))
    c.send("@u", "%a", "SQL", update(1))
    c.send("@c", "%a", tx, "COMMIT")
    with pytest.raises(NoReply):
        c.tag("c", 1.5)
    c.call("CANCEL", "u")
    assert c.tag("c") == "COMMIT"
    bad("CANCELED", c.tag("u"))


# -- AWAIT

def test_await_is_accepted_in_all_its_forms(daemon):
    c = daemon.connect()
    for words in (["a", "b"], ["a", "ALL", "b", "c"], ["a", "any", "b", "c"],
                  ["a"], ["a", "never-seen"], ["a"]):
        assert c.call("AWAIT", *words) == "OK"
    for words in ([], ["a", "ANY"]):
        c.fails("SYNTAX", "AWAIT", *words)


def test_await_acts_at_once_though_the_tasks_request_is_out(db, daemon):
    c = daemon.connect()
    c.send("@s", "%a", "SQL", "SELECT pg_sleep(0.4)")
    c.send("@w", "%a", "AWAIT", "a", "b")
    assert c.tag("w") == "OK"
    assert not c.has_reply("s")
    c.send("@w", "AWAIT", "a")
    assert c.tag("w") == "OK"
    c.tag("s")


def test_awaited_tasks_are_shown_and_forgotten(daemon):
    c = daemon.connect()
    c.call("AWAIT", "a", "b")
    shown = repr(c.show("tasks"))
    assert "'a'" in shown and "'b'" in shown
    c.call("AWAIT", "a")
    assert "'b'" not in repr(c.show("tasks"))


def test_a_task_that_awaits_is_gone_with_its_client(daemon):
    c, other = daemon.connect(), daemon.connect()
    c.call("AWAIT", "a", "b")
    c.close()
    eventually(lambda: "'b'" not in repr(other.show("tasks")),
               "its tasks are gone")
    with pytest.raises(Closed):
        c.pump(0)
