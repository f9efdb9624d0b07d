"""The loop never waits for a lock, whoever else does."""
import time

import pytest

from checks import assert_nothing_left, update
from client import good
from timing import FACTOR, eventually, note

pytestmark = pytest.mark.alone

HELD_S = 2.0
N = 64


@pytest.mark.parametrize("n_slots", [N + 2, 8])
def test_ping_answers_while_a_row_is_held_and_64_coroutines_wait(
        db, lockkeeperd, n_slots):
    daemon = lockkeeperd(workers={"min": n_slots, "max": n_slots})
    c = daemon.connect()
    eventually(lambda: [w["state"] for w in c.show("workers")]
               == ["idle"] * n_slots, "all sessions are open", 20, 0.1)
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    for i in range(N):
        c.send(f"@w{i}", f"%w{i}", "SQL", update(1))
    slowest, n_pings = 0.0, 0
    end = time.monotonic() + HELD_S
    while time.monotonic() < end:
        start = time.monotonic()
        assert c.call("PING") == "PONG"
        slowest = max(slowest, time.monotonic() - start)
        n_pings += 1
        time.sleep(0.002)
    assert not c.tagged, "nobody can have the row yet"
    foreign.query("COMMIT")
    for i in range(N):
        assert c.tag(f"w{i}") == "UPDATE 1"
    note(f"slowest of {n_pings} PINGs with {N} waiters on {n_slots} slots",
         slowest * 1000, 20)
    assert slowest < 0.5 * FACTOR / 10, "as if it stood still"
    assert db.v(1) == N + 1
    assert_nothing_left(db, c)


def test_show_waits_answers_while_all_slots_wait(db, lockkeeperd):
    # Nothing is parked, or all but one of them would soon give back its slot.
    daemon = lockkeeperd(workers={"min": 4, "max": 4}, replay="off")
    c = daemon.connect()
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    for i in range(20):
        c.send(f"@w{i}", "SQL", update(1))
    db.wait_for_waiters(4)
    start = time.monotonic()
    c.show("waits")
    note("SHOW waits while all slots wait", (time.monotonic() - start) * 1000,
         20)
    foreign.query("COMMIT")
    for i in range(20):
        assert c.tag(f"w{i}") == "UPDATE 1"


def test_a_large_reply_does_not_hold_up_others(daemon):
    big, c = daemon.connect(), daemon.connect()
    big.send("SQL", "SELECT repeat('x', 1000) AS t "
                    "FROM generate_series(1, 30000)")
    slowest, rows = 0.0, None
    while rows is None:
        start = time.monotonic()
        c.call("PING")
        slowest = max(slowest, time.monotonic() - start)
        big.pump(0.001)
        rows = big.replies.popleft() if big.replies else None
    note("slowest PING beside a 30 MB reply", slowest * 1000, 50)
    assert len(good(rows)) == 30000
    assert slowest < 0.5 * FACTOR / 10
