"""Statements that wait for a lock without a slot, and are run again."""
import time

import pytest

from checks import assert_nothing_left, n_verdicts, update
from client import bad, good
from timing import eventually, stays, within

SHORT = {"min": 1, "max": 3}


def start(lockkeeperd, workers=None, **settings):
    return lockkeeperd(workers=workers or SHORT, **settings)


def holder(c, row=1, name="h"):
    """A transaction of task `name` that holds the row."""
    tx = c.call(f"%{name}", "BEGIN")
    c.call(f"#{tx}", f"%{name}", "SQL", update(row))
    return f"#{tx}"


def parked(c):
    """Not those who wait for a slot: these want no lock yet."""
    return [w for w in c.show("waits")
            if w["pid"] is None and w["mode"] is not None]


def n_parked(c):
    return len(parked(c))


def until_parked(c, n):
    eventually(lambda: n_parked(c) >= n, f"{n} are parked")


def flood(c, n, row=1, prefix="w", words=()):
    for i in range(n):
        c.send(f"@{prefix}{i}", *words, "SQL", update(row))


def all_done(c, n, prefix="w"):
    for i in range(n):
        assert good(c.tag(f"{prefix}{i}")) == "UPDATE 1"


# -- behind a transaction of the daemon's

def test_waiters_give_their_slots_to_others(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    tx = holder(c)
    flood(c, 50)
    with within(100, "50 others beside 50 waiters on 3 slots"):
        for i in range(50):
            c.send(f"@o{i}", "SQL", update(2 + i))
        all_done(c, 50, "o")
    assert not any(c.has_reply(f"w{i}") for i in range(50))
    assert n_parked(c) >= 48
    assert {t["state"] for t in c.show("tasks") if t["doing"]
            and "UPDATE" in t["doing"]} <= {"parked", "running"}
    assert c.call(tx, "COMMIT") == "COMMIT"
    all_done(c, 50)
    assert db.v(1) == 51
    assert n_verdicts(c) == 0
    assert c.call("SHOW", "stats")["parked"] >= 48
    assert_nothing_left(db, c)


@pytest.mark.parametrize("settings", [
    {"replay": "off"}, {"replay": "verbs"}, {"deadlock": {"mode": "report"}},
    {"deadlock": {"mode": "off"}}], ids=str)
def test_control_waiters_that_may_not_be_run_again_keep_their_slots(
        db, lockkeeperd, settings):
    c = start(lockkeeperd, **settings).connect("3")
    tx = holder(c)
    flood(c, 5)
    c.send("@o", "SQL", update(2))
    stays(lambda: not c.has_reply("o") and n_parked(c) == 0, "it is stuck", 0.6)
    c.call(tx, "COMMIT")
    all_done(c, 5)
    good(c.tag("o"))


def test_a_mark_lets_any_statement_be_run_again(db, lockkeeperd):
    c = start(lockkeeperd, replay="off").connect("3")
    tx = holder(c)
    for i in range(5):
        c.send(f"@w{i}", "!", "SQL", "SELECT v FROM r WHERE id = 1 FOR UPDATE")
    assert c.call("SQL", update(2)) == "UPDATE 1"
    until_parked(c, 3)
    c.call(tx, "COMMIT")
    for i in range(5):
        assert good(c.tag(f"w{i}")) == [{"v": 1}]
    assert_nothing_left(db, c)


def test_a_select_is_not_run_again_unasked(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    tx = holder(c)
    for i in range(5):
        c.send(f"@w{i}", "SQL", "SELECT v FROM r WHERE id = 1 FOR UPDATE")
    c.send("@o", "SQL", update(2))
    stays(lambda: not c.has_reply("o") and n_parked(c) == 0, "it is stuck", 0.4)
    c.call(tx, "COMMIT")
    for i in range(5):
        good(c.tag(f"w{i}"))


def test_they_run_in_the_order_of_their_coming(db, lockkeeperd):
    db.sql("CREATE TABLE t (id int PRIMARY KEY, s text NOT NULL);"
           "INSERT INTO t VALUES (1, '')")
    c = start(lockkeeperd, workers={"min": 2, "max": 2}).connect("3")
    tx = f"#{c.call('%h', 'BEGIN')}"
    c.call(tx, "SQL", "UPDATE t SET s = s || 'h' WHERE id = 1")
    for i in range(20):
        c.send(f"@w{i}", "SQL", "UPDATE t SET s = s || $1 WHERE id = 1",
               chr(ord("A") + i))
        time.sleep(0.003)
    until_parked(c, 19)
    c.send("@o", "SQL", update(2))
    good(c.tag("o"))
    # One slot is the holder's, so there is no other order than that of turns.
    tx2 = c.call("%i", "BEGIN")
    c.send(f"#{tx2}", "@x", "SQL", update(3))
    good(c.tag("x"))
    c.call(tx, "COMMIT")
    all_done(c, 20)
    c.call(f"#{tx2}", "COMMIT")
    assert db.value("SELECT s FROM t") == "hABCDEFGHIJKLMNOPQRST"
    assert_nothing_left(db, c)


def test_a_rollback_to_a_savepoint_lets_them_run(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    tx = f"#{c.call('%h', 'BEGIN')}"
    c.call(tx, "SAVEPOINT", "s")
    c.call(tx, "SQL", update(1))
    flood(c, 10)
    c.call("SQL", update(2))
    until_parked(c, 8)
    with within(50, "scenario 26, parked"):
        c.send("@rb", tx, "ROLLBACK", "TO", "s")
        all_done(c, 10)
    good(c.tag("rb"))
    assert db.v(1) == 10
    c.call(tx, "COMMIT")
    assert_nothing_left(db, c)


def test_a_transaction_that_fails_lets_them_run(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    tx = holder(c)
    flood(c, 10)
    c.call("SQL", update(2))
    until_parked(c, 8)
    c.fails("PG", tx, "SQL", "SELECT 1/0")
    all_done(c, 10)
    c.call(tx, "ROLLBACK")
    assert db.v(1) == 10


def test_the_death_of_the_holders_client_lets_them_run(db, lockkeeperd):
    daemon = start(lockkeeperd)
    h, c = daemon.connect("3"), daemon.connect("3")
    holder(h)
    flood(c, 10)
    c.call("SQL", update(2))
    until_parked(c, 8)
    h.close()
    with within(250, "scenario 23, parked"):
        all_done(c, 10)
    assert db.v(1) == 10
    assert_nothing_left(db, c)


# -- ending one that is parked

def parked_pair(lockkeeperd, words, **settings):
    """A client, its holder, and @w0 that is parked with these words."""
    c = start(lockkeeperd, **settings).connect("3")
    tx = holder(c)
    flood(c, 10, prefix="x")
    c.call("SQL", update(2))
    until_parked(c, 8)
    c.send("@w0", *words, "SQL", update(1))
    return c, tx


def finish(db, c, tx):
    c.call(tx, "COMMIT")
    all_done(c, 10, "x")
    assert db.v(1) == 11
    assert_nothing_left(db, c)


def test_an_equal_one_is_parked_at_once(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, [])
    before = c.call("SHOW", "stats")["statements"]
    flood(c, 100, prefix="y")
    until_parked(c, 109)
    assert c.call("SHOW", "stats")["statements"] == before
    c.call(tx, "COMMIT")
    all_done(c, 100, "y")
    all_done(c, 1)
    all_done(c, 10, "x")
    assert db.v(1) == 112


def test_the_deadline_holds_for_a_parked_one(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, ["~200"])
    with within(100, "~200 for a parked request, beyond it") as w:
        w.start += 0.2
        error = bad("TIMEOUT", c.tag("w0"))
    assert "phase lock" in error.line and tx in error.line
    finish(db, c, tx)


def test_the_lock_timeout_holds_for_a_parked_one(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, ["?200"])
    with within(100, "?200 for a parked request, beyond it") as w:
        w.start += 0.2
        error = bad("LOCKTIMEOUT", c.tag("w0"))
    assert "within 200 ms" in error.line and tx in error.line
    assert "idle in transaction" in error.line
    finish(db, c, tx)


def test_the_lock_timeout_counts_what_was_waited_before(db, lockkeeperd):
    """Whether it is parked or not, ?ms is the time in all."""
    c = start(lockkeeperd).connect("3")
    tx = holder(c)
    flood(c, 10, words=["?300"])
    start_s = time.monotonic()
    c.call("SQL", update(2))
    until_parked(c, 1)
    for i in range(10):
        bad("LOCKTIMEOUT", c.tag(f"w{i}"))
    assert time.monotonic() - start_s < 3
    c.call(tx, "COMMIT")
    assert db.v(1) == 1
    assert_nothing_left(db, c)


def test_who_does_not_want_to_wait_is_not_parked(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, ["?0"])
    bad("LOCKTIMEOUT", c.tag("w0"))
    finish(db, c, tx)


def test_cancel_ends_a_parked_one(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, [])
    assert c.call("CANCEL", "w0") == 1
    bad("CANCELED", c.tag("w0"))
    finish(db, c, tx)


def test_the_end_of_its_client_ends_a_parked_one(db, lockkeeperd):
    daemon = start(lockkeeperd)
    c, other = daemon.connect("3"), daemon.connect("3")
    tx = holder(c)
    flood(other, 20)
    c.call("SQL", update(2))
    until_parked(c, 18)
    other.close()
    eventually(lambda: not c.show("waits"), "nobody waits")
    c.call(tx, "COMMIT")
    assert db.v(1) == 1, "nothing of a client that is gone is run"
    assert_nothing_left(db, c)


def test_a_parked_one_is_told_for_whom_it_waits(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, [], deadlock={"notify": "100ms"})
    c.send("@z", "SQL", update(1))
    ours = c.push("lockwait")
    while ours["tag"] != "w0":
        ours = c.push("lockwait")
    assert ours["blockers"][0]["tx"] == int(tx[1:])
    assert ours["waiting_ms"] >= 100
    assert "row" in ours["object"]
    c.call(tx, "COMMIT")
    all_done(c, 10, "x")
    good(c.tag("w0"))
    good(c.tag("z"))


def test_reload_can_forbid_it(db, lockkeeperd):
    daemon = start(lockkeeperd)
    c = daemon.connect("3")
    daemon.configure(replay="off")
    assert c.call("RELOAD") == "OK"
    tx = holder(c)
    flood(c, 5)
    c.send("@o", "SQL", update(2))
    stays(lambda: n_parked(c) == 0, "none is parked", 0.3)
    c.call(tx, "COMMIT")
    all_done(c, 5)
    good(c.tag("o"))


# -- instead of a victim

def crossed(db, c):
    """An autocommit statement and a transaction that want each other's row."""
    tx = holder(c, 2)
    c.send("@w", "SQL", "UPDATE r SET v = v + 1 WHERE id IN (1, 2)")
    db.wait_for_waiters(1)
    c.send("@h", tx, "SQL", update(1))
    return tx


def test_a_statement_is_run_again_instead_of_failing(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    with within(250, "a deadlock without a victim"):
        tx = crossed(db, c)
        assert good(c.tag("h")) == "UPDATE 1"
    c.call(tx, "COMMIT")
    assert good(c.tag("w")) == "UPDATE 2"
    assert (db.v(1), db.v(2)) == (2, 2)
    row, = c.show("deadlocks")
    assert row["action"] == "replayed"
    assert "nobody loses anything" in row["text"]
    stats = c.call("SHOW", "stats")
    assert stats["deadlock_replays"] == 1 and stats["deadlock_victims"] == 0
    assert not [p for p in c.pushes if p[0] == "deadlock"]
    assert_nothing_left(db, c)


def test_control_without_replay_one_of_them_fails(db, lockkeeperd):
    c = start(lockkeeperd, replay="off").connect("3")
    tx = crossed(db, c)
    bad("DEADLOCK", c.tag("w"))
    assert good(c.tag("h")) == "UPDATE 1"
    c.call(tx, "COMMIT")
    assert c.show("deadlocks")[0]["action"] == "failed"


def test_a_statement_whose_own_wait_is_the_deadlock_fails(db, lockkeeperd):
    """To run it again later would not help: its thread waits for it now."""
    daemon = start(lockkeeperd)
    a = daemon.connect("3", "MODE", "blocking", "THREAD", "t")
    b = daemon.connect("3", "MODE", "blocking", "THREAD", "t")
    a.call("BEGIN")
    a.sql(update(1))
    b.fails("DEADLOCK", "SQL", update(1))
    assert a.call("COMMIT") == "COMMIT"
    assert a.show("deadlocks")[0]["action"] == "failed"
    assert db.v(1) == 1


def test_a_parked_one_that_is_awaited_fails(db, lockkeeperd):
    """The proof is taken on the server, where it waits once more."""
    c = start(lockkeeperd).connect("3")
    tx = holder(c)
    flood(c, 10, prefix="x")
    c.call("SQL", update(2))
    until_parked(c, 8)
    c.send("@w", "%w", "SQL", update(1))
    with within(250, "scenario 12, parked"):
        assert c.call("%h", "AWAIT", "h", "w") == "OK"
        error = bad("DEADLOCK", c.tag("w"))
    assert "task w" in error.line and "task h" in error.line
    assert c.call("SHOW", "stats")["deadlock_victims"] == 1
    c.call("AWAIT", "h")
    finish(db, c, tx)


def test_a_parked_one_that_is_awaited_among_others_waits_on(db, lockkeeperd):
    """The other arm of AWAIT ANY can move: nothing is proven."""
    c = start(lockkeeperd).connect("3")
    tx = holder(c)
    flood(c, 10, prefix="x")
    c.call("SQL", update(2))
    until_parked(c, 8)
    c.send("@w", "%w", "SQL", update(1))
    assert c.call("AWAIT", "h", "ANY", "w", "y") == "OK"
    stays(lambda: not c.has_reply("w"), "it waits", 0.6)
    assert n_verdicts(c) == 0
    c.call("AWAIT", "h")
    good(c.call(tx, "COMMIT"))
    all_done(c, 10, "x")
    good(c.tag("w"))


# -- behind somebody else's transaction

def test_19_a_foreign_holder_costs_one_slot(db, lockkeeperd):
    c = start(lockkeeperd, workers={"min": 1, "max": 4}).connect("3")
    foreign = db.connect("billing")
    foreign.query(f"BEGIN; {update(1)}")
    flood(c, 200)
    with within(1000, "scenario 19: the traffic goes on"):
        for i in range(50):
            c.send(f"@o{i}", "SQL", update(2 + i))
        all_done(c, 50, "o")
    until_parked(c, 190)
    # One stays, and now and then another looks whether it still must.
    stays(lambda: db.n_waiting() <= 2, "one slot is spent", 1.2)
    row = parked(c)[0]
    assert "billing" in row["blockers"] and "idle in transaction" \
        in row["blockers"]
    assert c.call("SHOW", "stats")["parked"] < 210, "they stay where they are"
    foreign.query("COMMIT")
    with within(1000, "all run once it has ended"):
        all_done(c, 200)
    assert db.v(1) == 201
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_19_control_without_replay_the_traffic_stops(db, lockkeeperd):
    c = start(lockkeeperd, replay="off").connect("3")
    foreign = db.connect("billing")
    foreign.query(f"BEGIN; {update(1)}")
    flood(c, 10)
    c.send("@o", "SQL", update(2))
    stays(lambda: not c.has_reply("o"), "it is stuck", 0.6)
    foreign.query("COMMIT")
    all_done(c, 10)
    good(c.tag("o"))


def test_another_takes_the_place_of_the_one_that_gives_up(db, lockkeeperd):
    c = start(lockkeeperd, workers={"min": 1, "max": 4}).connect("3")
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c.send("@first", "~150", "SQL", update(1))
    db.wait_for_waiters(1)
    flood(c, 20)
    until_parked(c, 19)
    bad("TIMEOUT", c.tag("first"))
    eventually(lambda: db.n_waiting() >= 1 and n_parked(c) >= 19,
               "another one waits")
    foreign.query("COMMIT")
    with within(1000, "all run once it has ended, after a change"):
        all_done(c, 20)
    assert db.v(1) == 21
    assert_nothing_left(db, c)


def test_one_that_need_not_wait_any_more_is_found(db, lockkeeperd):
    """The foreign transaction gives one of its rows back, and keeps on with
    the other, for which the first in line waits."""
    c = start(lockkeeperd, workers={"min": 1, "max": 4}).connect("3")
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}; SAVEPOINT s; {update(2)}")
    c.send("@one", "SQL", update(1))
    db.wait_for_waiters(1)
    flood(c, 20, row=2)
    until_parked(c, 20)
    foreign.query("ROLLBACK TO s")
    with within(1200, "a probe finds that it need not wait"):
        all_done(c, 20)
    assert not c.has_reply("one")
    foreign.query("COMMIT")
    good(c.tag("one"))
    assert_nothing_left(db, c)


def test_a_prepared_transaction_costs_one_slot(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    db.sql(f"BEGIN; {update(1)}; PREPARE TRANSACTION 'p1'")
    flood(c, 20)
    assert c.call("SQL", update(2)) == "UPDATE 1"
    until_parked(c, 19)
    assert "'p1'" in c.show("waits")[0]["blockers"]
    db.sql("COMMIT PREPARED 'p1'")
    all_done(c, 20)
    assert db.v(1) == 21
    assert_nothing_left(db, c)


# -- who holds them up is told, and may be ended

def test_a_holder_is_told_of_those_who_are_parked(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, [], deadlock={"notify": "100ms"})
    push = c.push("blocking")
    assert push["tx"] == int(tx[1:])
    assert push["waiters"] >= 10
    assert "UPDATE" in push["waiter"]["doing"]
    finish_pair(db, c, tx)


def test_an_idle_holder_is_ended_for_those_who_are_parked(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, [], timeouts={"idle_holder": "400ms"})
    good(c.tag("w0"))
    all_done(c, 10, "x")
    error = c.fails("TXEXPIRED", tx, "SQL", "SELECT 1")
    assert "idle_holder" in error.line and "10 more" in error.line
    c.call(tx, "ROLLBACK")
    assert db.v(1) == 11
    assert_nothing_left(db, c)


def test_a_parked_wait_may_be_suspect(db, lockkeeperd):
    c, tx = parked_pair(lockkeeperd, [], deadlock={"notify": "100ms"})
    c.push("blocking")
    for wait in parked(c):
        assert tx in wait["suspect"], wait
    finish_pair(db, c, tx)


def finish_pair(db, c, tx):
    c.call(tx, "COMMIT")
    good(c.tag("w0"))
    all_done(c, 10, "x")
    assert db.v(1) == 12
    assert_nothing_left(db, c)


# -- behind whoever has a whole table

def lock_table(db):
    foreign = db.connect("migration")
    foreign.query("BEGIN; LOCK TABLE r IN ACCESS EXCLUSIVE MODE")
    return foreign


def read(c, n, prefix="g"):
    for i in range(n):
        c.send(f"@{prefix}{i}", f"%{prefix}{i}", "GET", "r", 1 + i % 50)


def all_read(c, n, prefix="g"):
    for i in range(n):
        assert good(c.tag(f"{prefix}{i}"))["id"] == 1 + i % 50


def others_are_served(c, what):
    with within(1000, what):
        for i in range(50):
            c.send(f"@o{i}", "SQL", "SELECT 1")
        for i in range(50):
            good(c.tag(f"o{i}"))


def test_a_locked_table_costs_one_slot(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    c.call("GET", "r", 1)
    foreign = lock_table(db)
    read(c, 100)
    for i in range(20):
        c.send(f"@u{i}", f"%u{i}", "UPDATE", "r", 60 + i, "SET", "v", "=", 5)
    others_are_served(c, "beside those who want a locked table")
    until_parked(c, 118)
    # Who wants it now waits at once, without having been sent.
    sent = c.call("SHOW", "stats")["statements"]
    read(c, 100, "late")
    until_parked(c, 218)
    others_are_served(c, "beside more of them")
    # One waits on the server, and another looks whether it must.
    stays(lambda: db.n_waiting() <= 2, "one slot is spent", 1.2)
    assert c.call("SHOW", "stats")["statements"] - sent < 50 + 10
    wait = next(w for w in parked(c) if w["tag"].startswith("late"))
    assert wait["object"] == "table r" and "migration" in wait["blockers"]
    assert "table r" in bad("LOCKTIMEOUT",
                            c.try_call("?100", "GET", "r", 3))
    foreign.query("COMMIT")
    all_read(c, 100)
    all_read(c, 100, "late")
    for i in range(20):
        assert good(c.tag(f"u{i}"))["v"] == 5
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_a_read_that_was_never_sent_can_wait_for_the_others(db, lockkeeperd):
    """They would go together, and be broken up again."""
    c = start(lockkeeperd).connect("3")
    c.call("GET", "r", 1)
    foreign = lock_table(db)
    read(c, 3)
    until_parked(c, 2)
    read(c, 50, "late")
    until_parked(c, 52)
    for i in range(3):
        assert c.call("CANCEL", f"g{i}") == 1
        bad("CANCELED", c.tag(f"g{i}"))
    n = c.call("SHOW", "stats")["parked"]
    stays(lambda: db.n_waiting() <= 2, "one slot is spent", 2.5)
    assert c.call("SHOW", "stats")["parked"] - n < 10
    assert c.call("SHOW", "stats")["batches"] <= 1
    foreign.query("COMMIT")
    all_read(c, 50, "late")
    assert_nothing_left(db, c)


def test_control_of_it_without_replay_the_traffic_stops(db, lockkeeperd):
    c = start(lockkeeperd, replay="off").connect("3")
    c.call("GET", "r", 1)
    foreign = lock_table(db)
    read(c, 100)
    db.wait_for_waiters(3)
    c.send("@o", "SQL", "SELECT 1")
    stays(lambda: not c.has_reply("o"), "it is stuck", 0.6)
    foreign.query("COMMIT")
    all_read(c, 100)
    good(c.tag("o"))


def test_a_queue_behind_a_migration_costs_no_more(db, lockkeeperd):
    """It waits itself, for a transaction that has read the table."""
    c = start(lockkeeperd).connect("3")
    tx = f"#{c.call('%h', 'BEGIN')}"
    c.call("%h", tx, "GET", "r", 1)
    foreign = db.connect("migration")
    foreign.start("ALTER TABLE r ADD COLUMN w int")
    db.wait_for_waiters(1)
    read(c, 100)
    time.sleep(0.5)	# their batch is broken up
    others_are_served(c, "beside a queue behind a migration")
    assert not any(c.has_reply(f"g{i}") for i in range(100))
    c.call("%h", tx, "COMMIT")
    foreign.finish()
    all_read(c, 100)
    assert n_verdicts(c) == 0
    assert_nothing_left(db, c)


def test_a_long_migration_of_our_own_costs_one_slot_more(db, lockkeeperd):
    c = start(lockkeeperd).connect("3")
    c.call("GET", "r", 1)
    c.send("@m", "%m", "SQL", "DO $$ BEGIN LOCK TABLE r; "
           "PERFORM pg_sleep(3); END $$")
    eventually(lambda: db.value("SELECT count(*) FROM pg_locks WHERE "
                                "mode = 'AccessExclusiveLock' AND relation = "
                                "'r'::regclass") == "1", "it has the table")
    read(c, 100)
    time.sleep(0.5)
    others_are_served(c, "beside those who wait for a statement of ours")
    assert not c.has_reply("m")
    all_read(c, 100)
    good(c.tag("m"))
    assert_nothing_left(db, c)
