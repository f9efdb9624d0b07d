"""Units whose rows are known at EXEC, and other verbs that name one by its
key: who waits for them in the daemon."""
import pytest

from checks import assert_nothing_left, n_verdicts, update
from client import bad, encode, good
from timing import eventually, stays, within


def verbs(*rows):
    return [("UPDATE", "r", row, "SET", "v", "+=", 1) for row in rows]


def sql(*rows):
    return [("SQL", update(row)) for row in rows]


def send_unit(c, name, made, *envelope):
    """Of task name, which is also the tag of EXEC; in one go."""
    task = f"%{name}"
    words = [(f"@m.{name}", task, "MULTI", "RETRY", 1000)]
    words += [(f"@{i}.{name}", task, *verb) for i, verb in enumerate(made)]
    words += [(f"@{name}", task, *envelope, "EXEC")]
    c.send_raw(b"".join(map(encode, words)))


def cross(c, make):
    """Units of two rows each, half of them the other way round."""
    for i in range(200):
        a, b = 1 + i % 3, 4 + i // 2 % 2
        first, last = make(*((a, b) if i % 2 else (b, a)))
        send_unit(c, f"u{i}", [first, ("SQL", "SELECT pg_sleep(0.001)"), last])
        c.pump()
    for i in range(200):
        good(c.tag(f"u{i}", 60))


def test_units_that_cross_lose_no_try(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    cross(c, verbs)
    stats = c.call("SHOW", "stats")
    assert stats["units"] == 200 and stats["laned"] > 0
    assert stats["unit_replays"] == 0
    assert n_verdicts(c) == 0
    assert db.value("SELECT sum(v) FROM r") == "400"
    assert_nothing_left(db, c)


def test_control_those_of_sql_do(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    cross(c, sql)
    assert c.call("SHOW", "stats")["unit_replays"] > 0
    assert db.value("SELECT sum(v) FROM r") == "400"


def hold(c, row):
    """A transaction of task h that has it."""
    tx = f"#{c.call('%h', 'BEGIN')}"
    c.call("%h", tx, *verbs(row)[0])
    return tx


def test_who_waits_takes_no_slot_and_is_seen(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 2, "max": 2}).connect("3")
    tx = hold(c, 2)
    for i in range(50):
        send_unit(c, f"u{i}", verbs(2, 1))
    with within(200, "20 others beside 50 units that wait"):
        for i in range(20):
            assert c.call("UPDATE", "r", 1, "SET", "v", "=", 0)["v"] == 0
    lane, = c.show("lanes")
    assert (lane["key"], lane["waiting"]) == ("2", 50)
    assert f"{tx} of task h" in lane["holder"]
    assert db.n_waiting() == 0
    send_unit(c, "late", verbs(2), "?50")
    assert "row in r" in bad("LOCKTIMEOUT", c.tag("late"))
    send_unit(c, "dead", verbs(2, 3), "~50")
    assert "phase lock" in bad("TIMEOUT", c.tag("dead"))
    send_unit(c, "gone", verbs(2, 4))
    assert c.call("CANCEL", "gone") == 1
    bad("CANCELED", c.tag("gone"))
    c.call("%h", tx, "COMMIT")
    for i in range(50):
        rows = good(c.tag(f"u{i}"))
        assert [row["v"] for row in rows] == [2 + i, 1 + i], "in order"
    assert [db.v(row) for row in (1, 2, 3, 4)] == [50, 51, 0, 0]
    assert_nothing_left(db, c)


SLOW = [*verbs(2), ("SQL", "SELECT pg_sleep(0.5)")]


def test_a_client_that_dies_gives_its_places_back(db, lockkeeperd):
    daemon = lockkeeperd()
    c, dying = daemon.connect("3"), daemon.connect("3")
    send_unit(c, "slow", SLOW)
    eventually(lambda: db.backends("query ~ 'pg_sleep'"), "it has row 2")
    send_unit(dying, "u", verbs(1, 2))
    eventually(lambda: c.show("lanes"), "the unit waits")
    c.send("@one", "%one", *verbs(1)[0])
    second, first = sorted(c.show("lanes"), key=lambda lane: lane["key"])
    # It is the unit's turn for row 1, but not yet for the other.
    assert (second["key"], second["waiting"]) == ("1", 1)
    assert "task u" in second["holder"]
    assert (first["key"], first["waiting"]) == ("2", 1)
    assert "task slow" in first["holder"]
    dying.close()
    assert good(c.tag("one"))["v"] == 1
    assert not c.has_reply("slow")
    good(c.tag("slow"))
    assert_nothing_left(db, c)


def test_a_unit_goes_as_soon_as_all_its_rows_are_free(db, lockkeeperd):
    """Whichever is free last, and whoever came to want one of them since."""
    c = lockkeeperd().connect("3")
    send_unit(c, "slow", SLOW)
    eventually(lambda: db.backends("query ~ 'pg_sleep'"), "it has row 2")
    tx = hold(c, 3)
    send_unit(c, "u", verbs(1, 2, 3))
    c.send("@one", "%one", *verbs(1)[0])
    assert good(c.tag("one"))["v"] == 1, "the row of a transaction comes first"
    c.call("%h", tx, "COMMIT")
    assert not c.has_reply("slow")
    c.send("@two", "%two", *verbs(1)[0])
    assert good(c.tag("two"))["v"] == 3, "after the unit"
    assert [row["v"] for row in good(c.tag("u"))] == [2, 2, 2]
    good(c.tag("slow"))
    assert_nothing_left(db, c)


def test_who_has_a_row_passes_units_that_want_it(db, lockkeeperd):
    """The unit has not got row 1 while it waits for row 2: nobody has to look
    for a deadlock."""
    c = lockkeeperd(deadlock={"first_look": "10s"}).connect("3")
    tx = hold(c, 2)
    send_unit(c, "u", verbs(1, 2))
    eventually(lambda: c.show("lanes"), "the unit waits")
    c.call("%h", tx, *verbs(1)[0])
    c.call("%h", tx, "COMMIT")
    assert [row["v"] for row in good(c.tag("u"))] == [2, 2]
    stats = c.call("SHOW", "stats")
    assert stats["deadlock_victims"] == stats["unit_replays"] == 0
    assert_nothing_left(db, c)


def close_a_ring_of_lanes(db, c):
    """The unit would write row 1 last, but has it first here, and waits in
    PostgreSQL for the transaction; the transaction's task waits for row 1."""
    tx = f"#{c.call('%h', 'BEGIN')}"
    c.call("%h", tx, "SQL", update(2))
    send_unit(c, "u", verbs(2, 1))
    db.wait_for_waiters(1)
    c.send("@x", "%h", *verbs(1)[0])
    return tx


def test_what_lanes_keep_waiting_and_postgresql_would_not_goes_on(
        db, lockkeeperd):
    c = lockkeeperd().connect("3")
    with within(250, "a deadlock of lanes alone"):
        tx = close_a_ring_of_lanes(db, c)
        assert good(c.tag("x"))["v"] == 1
    c.call("%h", tx, "COMMIT")
    assert [row["v"] for row in good(c.tag("u"))] == [2, 2]
    stats = c.call("SHOW", "stats")
    assert stats["deadlock_victims"] == stats["unit_replays"] == 0
    assert_nothing_left(db, c)


def test_control_without_detection_it_hangs(db, lockkeeperd):
    c = lockkeeperd(deadlock={"first_look": "10s"}).connect("3")
    tx = close_a_ring_of_lanes(db, c)
    stays(lambda: not c.has_reply("x"), "it hangs", 1.0)
    assert c.call("CANCEL", "u") == 1
    bad("CANCELED", c.tag("u"))
    good(c.tag("x"))
    c.call("%h", tx, "COMMIT")
    assert_nothing_left(db, c)


@pytest.mark.parametrize("mode", ["off", "report"])
def test_without_verdicts_units_wait_for_units_only(db, lockkeeperd, mode):
    c = lockkeeperd(deadlock={"mode": mode}).connect("3")
    cross(c, verbs)
    assert db.value("SELECT sum(v) FROM r") == "400"
    tx = hold(c, 2)
    send_unit(c, "u", verbs(1, 2))
    db.wait_for_waiters(1)
    c.call("%h", tx, "COMMIT")
    good(c.tag("u"))
    assert_nothing_left(db, c)


# -- other verbs

def test_upserts_of_one_row_go_one_after_another(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    for i in range(300):
        c.send(f"@{i}", f"%t{i}", "UPSERT", "r", "id", "=", 1000, "v", "+=",
               1)
    assert [good(c.tag(str(i)))["v"] for i in range(300)] == \
        list(range(1, 301))
    assert c.call("SHOW", "stats")["laned"] > 0
    assert db.n_waiting() == 0
    assert db.v(1000) == 300
    assert_nothing_left(db, c)


def test_a_row_that_a_transaction_has_made_is_waited_for(db, lockkeeperd):
    c = lockkeeperd().connect("3")
    tx = f"#{c.call('%h', 'BEGIN')}"
    c.call("%h", tx, "UPSERT", "r", "v", "=", 5, "id", "=", 1000)
    c.send("@w", "%w", "UPSERT", "r", "id", "=", 1000, "v", "+=", 1)
    eventually(lambda: c.show("lanes"), "it waits")
    c.call("%h", tx, "ROLLBACK")
    assert good(c.tag("w"))["v"] == 1
    assert_nothing_left(db, c)


@pytest.mark.parametrize("words", [
    ("FIND", "r", "WHERE", "id", "=", 1), ("ONE", "r", "WHERE", "id", "=", 1),
    ("FIRST", "r", "WHERE", "id", "=", 1), ("GET", "r", 1)])
def test_a_row_that_is_read_for_update_is_waited_for(db, lockkeeperd, words):
    c = lockkeeperd().connect("3")
    tx = f"#{c.call('%h', 'BEGIN')}"
    assert c.call("%h", tx, *words, "FOR", "UPDATE")
    c.send("@w", "%w", *verbs(1)[0])
    lane, = eventually(lambda: c.show("lanes"), "it waits")
    assert (lane["key"], lane["strength"]) == ("1", "update")
    assert db.n_waiting() == 0
    c.call("%h", tx, "COMMIT")
    assert good(c.tag("w"))["v"] == 1
    assert_nothing_left(db, c)
