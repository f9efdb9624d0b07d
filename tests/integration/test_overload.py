"""Limits on requests: the one too many gets OVERLOAD, nobody else does."""
from checks import update


def test_in_flight_is_inclusive_and_per_connection(lockkeeperd):
    daemon = lockkeeperd(limits={"in_flight": 3},
                         workers={"min": 1, "max": 1})
    c, other = daemon.connect(), daemon.connect()
    for i in range(4):
        c.send(f"@{i}", "SQL", "SELECT pg_sleep(0.3)")
    error = c.tag("3")
    assert error.kind == "OVERLOAD" and "limits.in_flight (3)" in error
    assert other.call("PING") == "PONG"
    for i in range(3):
        assert isinstance(c.tag(str(i)), list)
    assert c.call("PING") == "PONG"


def test_what_makes_room_is_never_refused(db, lockkeeperd):
    daemon = lockkeeperd(limits={"in_flight": 2})
    c = daemon.connect()
    one, two = (f"#{c.call('BEGIN')}" for _ in range(2))
    for i, tx in enumerate((one, two), 1):
        c.call(tx, "SQL", update(i))
    for i in range(2):
        c.send(f"@{i}", "SQL", "SELECT pg_sleep(30)")
    assert c.try_call("SQL", "SELECT 1").kind == "OVERLOAD"
    assert c.call(one, "COMMIT") == "COMMIT"
    assert c.call(two, "ROLLBACK") == "ROLLBACK"
    for i in range(2):
        assert c.call("CANCEL", i) == 1
        assert c.tag(str(i)).kind == "CANCELED"
    assert (db.v(1), db.v(2)) == (1, 0)


def test_queue_is_for_all_connections_together(lockkeeperd):
    daemon = lockkeeperd(limits={"queue": 4}, workers={"min": 1, "max": 1})
    a, b = daemon.connect(), daemon.connect()
    a.send("@run", "SQL", "SELECT pg_sleep(0.5)")
    assert a.is_silent(0.1)
    for i in range(4):
        a.send(f"@{i}", "SQL", "SELECT 1")
    assert "limits.queue (4)" in b.fails("OVERLOAD", "SQL", "SELECT 1")
    for tag in ("run", "0", "1", "2", "3"):
        assert isinstance(a.tag(tag), list)
    assert b.sql("SELECT 1 AS x") == [{"x": 1}]


def test_ten_thousand_requests_before_anything_is_read(daemon):
    c = daemon.connect()
    for i in range(10000):
        c.send(f"@{i}", "SQL", "SELECT $1::int AS x", i)
    for i in range(10000):
        assert c.tag(str(i), 60) == [{"x": i}]
