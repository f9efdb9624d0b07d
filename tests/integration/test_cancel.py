"""Every way to end a statement early, wherever it is, and what it frees."""
import random
import time

import pytest

from checks import assert_nothing_left, update
from client import LkError, bad, good
from timing import IS_SLOW, eventually, within

PLACES = ["slot", "task", "tx", "lock", "run"]

# What the error of one that was late there says of who was in its way.
WHAT_HELD_IT = {
    "slot": ["no slot of main", "client holder", "SELECT pg_sleep"],
    "task": ["behind the same task's request running", "SELECT pg_sleep"],
    "tx": ["behind the same transaction's request running", "SELECT pg_sleep"],
    "lock": ["of r", "client holder", "idle in transaction", "UPDATE r SET"],
    "run": [],
}


class Stage:
    """A daemon with two slots where a request tagged x can be anywhere."""

    def __init__(self, db, lockkeeperd):
        self.db = db
        self.daemon = lockkeeperd(workers={"min": 2, "max": 2})
        self.holder = self.daemon.connect("3", "NAME", "holder")
        self.victim = self.daemon.connect("3", "NAME", "victim")
        self.tx = None

    def place(self, where, *words):
        """Send x with these envelope words so that it stays at `where`."""
        send = self.victim.send
        if where == "slot":
            for i in range(2):
                self.holder.send(f"@s{i}", "SQL", "SELECT pg_sleep(30)")
            self.until_busy(2)
            send("@x", *words, "SQL", update(1))
        elif where == "task":
            send("@first", "%t", "SQL", "SELECT pg_sleep(30)")
            self.until_busy(1)
            send("@x", "%t", *words, "SQL", update(1))
        elif where == "tx":
            self.tx = f"#{self.victim.call('BEGIN')}"
            send("@first", self.tx, "SQL", "SELECT pg_sleep(0.7)")
            self.until_busy(1)
            send("@x", self.tx, *words, "SQL", update(1))
        elif where == "lock":
            self.hold_row()
            send("@x", *words, "SQL", update(1))
        else:
            send("@x", *words, "SQL",
                 "UPDATE r SET v = v + 1 FROM pg_sleep(30) WHERE id = 1")

    def hold_row(self):
        self.held = f"#{self.holder.call('BEGIN')}"
        self.holder.call(self.held, "SQL", update(1, 0))

    def until_busy(self, n):
        eventually(lambda: len(self.db.backends("state = 'active'")) >= n,
                   f"{n} sessions are busy")

    def arrive(self, where):
        """x is where it was sent to."""
        if where == "lock":
            self.db.wait_for_waiters(1)
        elif where == "run":
            eventually(lambda: self.db.backends(
                "wait_event = 'PgSleep' AND query LIKE 'UPDATE%'"), "x runs")
        else:
            self.victim.call("PING")

    def clear(self):
        """End what was set up around x, and look at what is left."""
        for i in range(2):
            self.holder.call("CANCEL", f"s{i}")
        self.victim.try_call("CANCEL", "first")
        if self.tx:
            self.victim.tag("first")
            self.victim.try_call(self.tx, "ROLLBACK")
        if hasattr(self, "held"):
            self.holder.call(self.held, "ROLLBACK")
        assert_nothing_left(self.db, self.holder)
        assert self.db.v(1) == 0, "x ran although it was ended"


@pytest.fixture
def stage(db, lockkeeperd):
    return Stage(db, lockkeeperd)


@pytest.mark.parametrize("where", PLACES)
def test_a_deadline_ends_it_and_says_in_which_phase(stage, where):
    with within(100, f"~150 for a request in {where}") as limit:
        stage.place(where, "~150")
        error = bad("TIMEOUT", stage.victim.tag("x", 0.15 + limit.allowed_s))
    assert limit.took_ms >= 100
    assert error.sqlstate == "57014"
    phase = where if where in ("lock", "run") else "queue"
    assert f"phase {phase}" in error.message
    for words in WHAT_HELD_IT[where]:
        assert words in error.message
    stage.clear()


@pytest.mark.parametrize("where", PLACES)
def test_cancel_ends_it_wherever_it_is(stage, where):
    stage.place(where)
    stage.arrive(where)
    with within(50, f"CANCEL of a request in {where}"):
        assert stage.victim.call("CANCEL", "x") == 1
        error = bad("CANCELED", stage.victim.tag("x"))
    assert error.sqlstate == "57014"
    assert stage.victim.call("CANCEL", "x") == 0
    stage.clear()


@pytest.mark.parametrize("where", PLACES)
def test_a_closed_connection_ends_it_wherever_it_is(stage, where):
    stage.place(where)
    stage.arrive(where)
    with within(250, f"close of the client of a request in {where}"):
        stage.victim.close()
        if where == "slot":
            return end_of_slot_stage(stage)
        if where == "lock":
            eventually(lambda: stage.db.n_waiting() == 0, "no waiter")
        else:
            eventually(lambda: not stage.db.backends("state <> 'idle'"),
                       "nothing runs", 10)
    if where == "lock":
        stage.holder.call(stage.held, "ROLLBACK")
    assert_nothing_left(stage.db, stage.holder)
    assert stage.db.v(1) == 0


def end_of_slot_stage(stage):
    for i in range(2):
        stage.holder.call("CANCEL", f"s{i}")
    assert_nothing_left(stage.db, stage.holder)
    assert stage.db.v(1) == 0


def test_a_request_that_never_ran_leaves_its_tx_usable(stage):
    stage.place("tx", "~100")
    bad("TIMEOUT", stage.victim.tag("x"))
    good(stage.victim.tag("first"))
    assert stage.victim.call(stage.tx, "SQL", update(2)) == "UPDATE 1"
    assert stage.victim.call(stage.tx, "COMMIT") == "COMMIT"
    assert (stage.db.v(1), stage.db.v(2)) == (0, 1)


@pytest.mark.parametrize("how", ["deadline", "lock", "cancel"])
def test_a_statement_ended_in_its_tx_aborts_the_tx(db, stage, how):
    stage.hold_row()
    c = stage.victim
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(2))
    words = {"deadline": ["~100"], "lock": ["?100"], "cancel": []}[how]
    c.send("@x", tx, *words, "SQL", update(1))
    if how == "cancel":
        db.wait_for_waiters(1)
        c.call("CANCEL", "x")
    error = c.tag("x")
    assert isinstance(error, LkError)
    assert error.kind == {"deadline": "TIMEOUT", "lock": "LOCKTIMEOUT",
                          "cancel": "CANCELED"}[how]
    c.fails("TXABORTED", tx, "SQL", "SELECT 1")
    c.fails("TXABORTED", tx, "COMMIT")
    c.fails("NOTX", tx, "SQL", "SELECT 1")
    stage.clear()
    assert db.v(2) == 0


def test_control_without_any_limit_it_waits_on(stage):
    stage.place("lock")
    stage.arrive("lock")
    assert stage.victim.is_silent(1.5)
    assert stage.db.n_waiting() == 1
    stage.victim.call("CANCEL", "x")
    stage.clear()


# -- lock timeouts

def test_a_lock_timeout_names_the_holder(stage):
    stage.hold_row()
    with within(100, "?150"):
        error = stage.victim.fails("LOCKTIMEOUT", "?150", "SQL", update(1))
    assert error.sqlstate == "55P03"
    assert stage.held[1:] in error.message or "holder" in error.message
    stage.clear()


def test_a_lock_timeout_of_0_does_not_wait(stage):
    stage.hold_row()
    with within(50, "?0"):
        stage.victim.fails("LOCKTIMEOUT", "?0", "SQL", update(1))
    assert stage.victim.call("?0", "SQL", update(2)) == "UPDATE 1"
    stage.clear()


def test_the_configs_lock_timeout_holds_unless_the_request_says_otherwise(
        db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"lock": "150ms"})
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c = daemon.connect()
    c.fails("LOCKTIMEOUT", "SQL", update(1))
    c.send("@x", "?5000", "SQL", update(1))
    assert c.is_silent(0.6)
    foreign.query("COMMIT")
    assert c.tag("x") == "UPDATE 1"


def test_the_configs_statement_timeout_is_a_deadline(lockkeeperd):
    c = lockkeeperd(timeouts={"statement": "150ms"}).connect()
    error = c.fails("TIMEOUT", "SQL", "SELECT pg_sleep(30)")
    assert "run" in error.message
    assert c.call("~2000", "SQL", "SELECT 1 AS v FROM pg_sleep(0.3)") == [
        {"v": 1}]


def test_a_lock_timeout_does_not_limit_running(daemon):
    c = daemon.connect()
    assert c.call("?50", "SQL", "SELECT 1 AS v FROM pg_sleep(0.4)") == [
        {"v": 1}]


def test_a_lock_timeout_counts_from_the_wait_not_from_the_start(db, daemon):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c = daemon.connect()
    start = time.monotonic()
    c.fails("LOCKTIMEOUT", "?300", "SQL",
            "UPDATE r SET v = 1 FROM pg_sleep(0.5) WHERE id = 1")
    assert time.monotonic() - start >= 0.7


def test_nowait_is_locktimeout(db, daemon):
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    daemon.connect().fails("LOCKTIMEOUT", "SQL",
                           "SELECT * FROM r WHERE id = 1 FOR UPDATE NOWAIT")


# -- CANCEL itself

def test_cancel_of_an_unknown_tag_is_0(daemon):
    assert daemon.connect().call("CANCEL", "nothing") == 0


def test_cancel_reaches_only_the_connections_own_tags(db, daemon):
    a, b = daemon.connect(), daemon.connect()
    a.send("@x", "SQL", "SELECT 1 AS v FROM pg_sleep(0.4)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    assert b.call("CANCEL", "x") == 0
    assert a.tag("x") == [{"v": 1}]


def test_a_commit_already_sent_is_not_cancelled(db, daemon):
    db.sql("""CREATE TABLE slow (i int);
        CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER nap AFTER INSERT ON slow
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
            EXECUTE FUNCTION nap()""")
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", "INSERT INTO slow VALUES (1)")
    c.send("@x", tx, "~200", "COMMIT")
    eventually(lambda: db.backends("query ILIKE 'COMMIT%' "
                                   "AND wait_event = 'PgSleep'"),
               "COMMIT is on its way")
    c.call("CANCEL", "x")
    assert c.tag("x") == "COMMIT"
    assert db.value("SELECT count(*) FROM slow") == "1"


def test_a_function_that_swallows_cancels_is_ended_all_the_same(db, daemon):
    db.sql("""CREATE FUNCTION stubborn() RETURNS void LANGUAGE plpgsql AS $$
        BEGIN LOOP BEGIN PERFORM pg_sleep(30);
        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$""")
    c = daemon.connect()
    start = time.monotonic()
    reply = c.try_call("~100", "SQL", "SELECT stubborn()", timeout_s=30)
    assert isinstance(reply, LkError), reply
    assert time.monotonic() - start < 10
    assert c.value("SELECT 1") == 1
    assert_nothing_left(db, c)


def test_somebody_elses_cancel_is_the_servers_error(db, daemon):
    c = daemon.connect()
    c.send("SQL", "SELECT pg_sleep(30)")
    row, = eventually(lambda: db.backends("wait_event = 'PgSleep'"),
                      "it runs")
    db.sql(f"SELECT pg_cancel_backend({row[0]})")
    error = c.recv()
    assert isinstance(error, LkError) and error.sqlstate == "57014"
    assert "user request" in error.message	# PostgreSQL's words
    assert c.value("SELECT 1") == 1


# -- the fence

def rounds(n):
    return n // 4 if IS_SLOW else n


def assert_result_or(kind, reply):
    if isinstance(reply, LkError):
        bad(kind, reply)
        return 1
    return 0


def test_the_next_statement_never_gets_a_cancel(lockkeeperd):
    """CANCEL sent about when the statement ends; the sentinel behind it on
    the only session must always answer."""
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    chance = random.Random(1)
    n_canceled = 0
    for i in range(rounds(300)):
        c.send("@x", "SQL", "SELECT pg_sleep(0.004)")
        time.sleep(chance.uniform(0.002, 0.006))
        c.send("@c", "CANCEL", "x")
        c.send("@s", "SQL", f"SELECT {i} AS v")
        n_canceled += assert_result_or("CANCELED", c.tag("x"))
        assert c.tag("c") in (0, 1)
        assert c.tag("s") == [{"v": i}]
    print(f"{n_canceled} were cancelled")
    assert n_canceled > 0


def test_the_next_statement_never_gets_a_deadlines_cancel(lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    n_ended = 0
    for i in range(rounds(300)):
        c.send("@x", f"~{i % 6 + 1}", "SQL", "SELECT pg_sleep(0.003)")
        c.send("@s", "SQL", f"SELECT {i} AS v")
        n_ended += assert_result_or("TIMEOUT", c.tag("x"))
        assert c.tag("s") == [{"v": i}]
    print(f"{n_ended} were ended")
    assert n_ended > 0


def test_the_next_statement_never_gets_a_lock_timeouts_cancel(
        db, lockkeeperd):
    """The row comes free about when the lock timeout passes."""
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    foreign = db.connect()
    chance = random.Random(2)
    n_ended = n_done = 0
    for i in range(rounds(100)):
        foreign.query("BEGIN; SELECT 1 FROM r WHERE id = 1 FOR UPDATE")
        c.send("@x", "?10", "SQL", update(1))
        c.send("@s", "SQL", f"SELECT {i} AS v")
        time.sleep(chance.uniform(0.005, 0.03))
        foreign.query("COMMIT")
        ended = assert_result_or("LOCKTIMEOUT", c.tag("x"))
        n_ended += ended
        n_done += 1 - ended
        assert c.tag("s") == [{"v": i}]
        assert db.v(1) == n_done, "the reply was not the truth"
    print(f"{n_ended} timed out, {n_done} got the lock")


def test_a_dead_clients_cancel_never_hits_the_next(lockkeeperd):
    daemon = lockkeeperd(workers={"min": 1, "max": 1})
    other = daemon.connect()
    chance = random.Random(3)
    for i in range(rounds(100)):
        c = daemon.connect()
        c.send("SQL", "SELECT pg_sleep(0.004)")
        time.sleep(chance.uniform(0, 0.008))
        other.send("SQL", f"SELECT {i} AS v")
        c.close()
        assert other.recv() == [{"v": i}]
