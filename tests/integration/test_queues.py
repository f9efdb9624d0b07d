"""Queues for locks that PostgreSQL resolves by itself: see those that it
cannot in tests/isolation."""
import pytest


@pytest.mark.parametrize("mode", ["resolve", "off"])
def test_what_postgresql_reorders_is_left_to_it(db, lockkeeperd, mode):
    """Two readers of a table each, DDL behind each, and then each reader wants
    to read the other's table: letting one pass is enough."""
    db.sql("CREATE TABLE q (v int)")
    daemon = lockkeeperd(workers={"min": 4, "max": 4}, deadlock={"mode": mode})
    c = daemon.connect("3")
    tx = {}
    for task, table in (("t1", "r"), ("t2", "q")):
        tx[task] = f"#{c.call('%' + task, 'BEGIN')}"
        c.call("%" + task, tx[task], "SQL", f"SELECT count(*) FROM {table}")
    for n, table in enumerate("rq", 1):
        c.send("@" + table, "%" + table, "SQL",
               f"ALTER TABLE {table} ADD w int")
        db.wait_for_waiters(n)
    for n, (task, table) in enumerate((("t1", "q"), ("t2", "r")), 3):
        c.send("@" + task, "%" + task, tx[task], "SQL",
               f"SELECT count(*) AS n FROM {table}")
        db.wait_for_waiters(n)
    left = ["t1", "t2"]
    while left:
        c.until(lambda: any(task in c.tagged for task in left), "a reader", 10)
        task = next(task for task in left if task in c.tagged)
        assert c.tag(task) == [{"n": 0 if task == "t1" else 100}]
        c.call("%" + task, tx[task], "COMMIT")
        left.remove(task)
    assert c.tag("r") == "ALTER TABLE" and c.tag("q") == "ALTER TABLE"
    assert c.show("deadlocks") == []
