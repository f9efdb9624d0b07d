"""With nothing to do the daemon does nothing."""
import os
import time

import pytest

from checks import update
from process import cpu_ticks


# ThreadSanitizer has one that wakes ten times a second.
HAS_THREAD_OF_ITS_OWN = os.environ.get("LK_SANITIZERS") == "thread"


def switches(pid):
    """Voluntary context switches of all its threads: how often it woke."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status",
                  encoding="ascii") as status:
            total += next(int(line.split()[1]) for line in status
                          if line.startswith("voluntary_ctxt"))
    return total


def asked(db):
    """What changes with every statement that the server gets."""
    return db.sql(f"""SELECT pid, query_start, state_change
        FROM pg_stat_activity WHERE datname = '{db.name}' AND {db.OURS}
        ORDER BY pid""")


def transactions(db):
    db.sql("SELECT pg_stat_clear_snapshot()")
    return int(db.value(f"""SELECT xact_commit + xact_rollback
        FROM pg_stat_database WHERE datname = '{db.name}'"""))


def nothing(daemon):
    del daemon


def clients_that_only_sit_there(daemon):
    for _ in range(20):
        daemon.connect().sql("SELECT 1 AS v")


def an_open_tx(daemon):
    c = daemon.connect()
    tx = f"#{c.call('%t', 'BEGIN')}"
    c.call("%t", tx, "SQL", update(1))


def subscribers(daemon):
    for version in "23":
        c = daemon.connect(version)
        c.send("SUBSCRIBE", "a", "b")
        c.pump(5)


def after_a_deadlock(daemon):
    a, b = (daemon.connect("3", "MODE", "blocking", "THREAD", "t")
            for _ in range(2))
    a.call("BEGIN")
    a.sql(update(1))
    b.fails("DEADLOCK", "SQL", update(1))
    a.call("COMMIT")


@pytest.mark.parametrize("before", [
    nothing, clients_that_only_sit_there, an_open_tx, subscribers,
    after_a_deadlock],
    ids=lambda f: f.__name__)
def test_an_idle_daemon_uses_no_cpu_and_asks_nothing(db, daemon, before):
    before(daemon)
    time.sleep(0.8)
    asked_before, n_before = asked(db), switches(daemon.pid)
    ticks_before = cpu_ticks(daemon.pid)
    time.sleep(1.5)
    assert asked(db) == asked_before
    woke = switches(daemon.pid) - n_before
    print(f"{before.__name__}: woke {woke} times in 1.5 s")
    if not HAS_THREAD_OF_ITS_OWN:
        assert woke <= 3
        assert cpu_ticks(daemon.pid) - ticks_before <= 1


def test_control_a_busy_daemon_shows_in_the_same_numbers(db, daemon):
    c = daemon.connect()
    c.sql("SELECT 1")
    asked_before, n_before = asked(db), switches(daemon.pid)
    for _ in range(50):
        c.sql("SELECT 1")
    assert asked(db) != asked_before
    assert switches(daemon.pid) - n_before > 50


def test_ping_and_show_ask_postgresql_nothing(db, daemon):
    c = daemon.connect()
    c.sql("SELECT 1")
    time.sleep(0.3)
    before = asked(db)
    for what in ("clients", "tasks", "transactions", "workers", "waits",
                 "deadlocks", "stats", "error"):
        c.call("SHOW", what)
        c.call("PING")
    time.sleep(0.3)
    assert asked(db) == before


def test_one_statement_is_one_transaction_for_postgresql(db, lockkeeperd):
    """Cleaning and looking add no more than a few."""
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    c.sql("SELECT 1")
    time.sleep(1.2)		# statistics come about once a second
    before = transactions(db)
    for _ in range(100):
        c.sql("SELECT 1")
    time.sleep(1.2)
    c.sql("SELECT 1")
    time.sleep(0.2)
    print(f"{transactions(db) - before} transactions for 100 statements")
    assert transactions(db) - before < 1000
