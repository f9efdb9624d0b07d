"""Deadlocks beyond the essay's: rows, slots, awaits, advisory locks.

Each ends with exactly one victim, told with the names of all members, while
everybody else finishes; its control is the same script with deadlock.mode
"off", which waits for PostgreSQL's second or stands still.
"""
import pytest

from checks import assert_nothing_left, update
from client import LkError
from timing import within


class Stage:
    """Transactions by name, each of its own task on one connection."""

    def __init__(self, daemon):
        self.c = daemon.connect("3")
        self.tx = {}

    def begin(self, *names):
        for name in names:
            self.tx[name] = f"#{self.c.call('%' + name, 'BEGIN')}"

    def words(self, name):
        return ("%" + name, self.tx[name]) if name in self.tx else (
            "%" + name,)

    def do(self, name, sql):
        return self.c.call(*self.words(name), "SQL", sql)

    def start(self, name, sql):
        self.c.send("@" + name, *self.words(name), "SQL", sql)

    def end(self, name, how="COMMIT"):
        return self.c.call("%" + name, self.tx[name], how)

    def verdicts(self):
        return self.c.show("deadlocks")


@pytest.fixture
def stage(daemon):
    return Stage(daemon)


def cross(stage, names, first, second):
    """Everybody does its first, then all do their second at once."""
    for name, sql in zip(names, first):
        stage.do(name, sql)
    for name, sql in zip(names, second):
        stage.start(name, sql)


def one_victim(stage, names):
    """Its name; the others' second statement has gone through."""
    lost = []
    for _ in names:
        stage.c.until(lambda: any(n in stage.c.tagged for n in names),
                      "somebody's reply", 20)
        name = next(n for n in names if n in stage.c.tagged)
        reply = stage.c.tag(name)
        if isinstance(reply, LkError):
            assert reply.kind == "DEADLOCK", reply
            lost.append((name, reply))
        else:
            stage.end(name)
    assert len(lost) == 1, lost
    name, error = lost[0]
    for other in names:
        assert stage.tx[other] in error, "every member is named"
    stage.c.fails("TXABORTED", "%" + name, stage.tx[name], "SQL", "SELECT 1")
    stage.end(name, "ROLLBACK")
    return name


def ring(n):
    names = [f"t{i}" for i in range(n)]
    return (names, [update(i + 1) for i in range(n)],
            [update((i + 1) % n + 1) for i in range(n)])


@pytest.mark.parametrize("n", [2, 3, 16])
def test_a_ring_of_rows_fails_exactly_one(db, lockkeeperd, n):
    """Scenarios 4 and 6."""
    db.sql(f"INSERT INTO r SELECT i, 0 FROM generate_series(1, {n}) i "
           "ON CONFLICT DO NOTHING")
    daemon = lockkeeperd(workers={"min": n, "max": n})
    stage = Stage(daemon)
    names, first, second = ring(n)
    stage.begin(*names)
    cross(stage, names, first, second)
    with within(250, f"ring of {n} rows"):
        one_victim(stage, names)
    assert db.sql("SELECT sum(v) FROM r")[0][0] == str(2 * (n - 1))
    verdict, = stage.verdicts()
    assert verdict["action"] == "failed"
    assert_nothing_left(db, stage.c)


def test_control_a_ring_takes_postgresqls_second(db, lockkeeperd):
    del db
    stage = Stage(lockkeeperd(deadlock={"mode": "off"}))
    names, first, second = ring(2)
    stage.begin(*names)
    cross(stage, names, first, second)
    assert stage.c.is_silent(0.7)
    stage.c.until(lambda: all(n in stage.c.tagged for n in names), "a victim",
                  10)
    assert stage.verdicts() == []
    lost = [r for r in stage.c.tagged.values() if isinstance(r, LkError)]
    assert [r.kind for r in lost] == ["DEADLOCK"]
    assert "deadlock detected" in lost[0]


def test_mode_report_says_it_and_does_nothing(db, lockkeeperd):
    del db
    stage = Stage(lockkeeperd(deadlock={"mode": "report"}))
    names, first, second = ring(2)
    stage.begin(*names)
    cross(stage, names, first, second)
    assert "deadlock: " in stage.c.push("deadlock")["text"]
    verdict, = stage.verdicts()
    assert verdict["action"] == "reported"
    reply = stage.c.until(lambda: next(
        (r for r in stage.c.tagged.values() if isinstance(r, LkError)), None),
        "PostgreSQL's own victim", 10)
    assert "deadlock detected" in reply
    assert len(stage.verdicts()) == 1


def test_the_one_that_did_least_is_failed(db, stage):
    """Scenario 24."""
    db.sql("INSERT INTO r SELECT i, 0 FROM generate_series(10001, 11000) i")
    stage.begin("much", "little")
    stage.do("much", "UPDATE r SET v = v + 1 WHERE id > 10000")
    cross(stage, ["much", "little"], [update(1), update(2)],
          [update(2), update(1)])
    assert one_victim(stage, ["much", "little"]) == "little"


def test_inside_a_savepoint_the_whole_tx_is_lost(db, stage):
    """Scenario 35."""
    stage.begin("a", "b")
    stage.do("b", "SELECT 1")
    stage.do("b", update(3))	# so that a is the cheaper one
    stage.do("b", update(3))
    stage.do("a", update(1))
    stage.c.call("%a", stage.tx["a"], "SAVEPOINT", "s")
    stage.do("b", update(2))
    stage.start("a", update(2))
    stage.start("b", update(1))
    with within(250, "scenario 35"):
        assert one_victim(stage, ["a", "b"]) == "a"
    assert (db.v(1), db.v(2), db.v(3)) == (1, 1, 2)


@pytest.mark.parametrize("first, second", [
    ("SELECT v FROM r WHERE id = 1 FOR SHARE", update(1)),
    ("INSERT INTO child SELECT 1", "SELECT 1 FROM r WHERE id = 1 FOR UPDATE"),
], ids=["share_upgrade", "parent_and_child"])
def test_both_hold_what_both_want_more_of(db, stage, first, second):
    """Scenarios 14 and 15."""
    db.sql("DROP TABLE IF EXISTS child; "
           "CREATE TABLE child (r int REFERENCES r)")
    stage.begin("a", "b")
    cross(stage, ["a", "b"], [first] * 2, [second] * 2)
    with within(250, "both upgrade"):
        one_victim(stage, ["a", "b"])
    db.sql("DROP TABLE child")


def test_advisory_locks_crossed(db, stage):
    """Scenario 17."""
    stage.begin("a", "b")
    lock = "SELECT pg_advisory_xact_lock({})".format
    cross(stage, ["a", "b"], [lock(1), lock(2)], [lock(2), lock(1)])
    with within(250, "scenario 17"):
        one_victim(stage, ["a", "b"])
    assert_nothing_left(db, stage.c)


def test_one_task_with_two_transactions(db, stage):
    """Scenario 11: both are task a's, which waits for itself."""
    one, two = (f"#{stage.c.call('%a', 'BEGIN')}" for _ in range(2))
    stage.c.call("%a", one, "SQL", update(1))
    stage.c.send("@s", "%a", two, "SQL", update(1))
    with within(250, "scenario 11"):
        error = stage.c.tag("s")
    assert error.kind == "DEADLOCK" and one in error
    assert stage.c.call("%a", one, "COMMIT") == "COMMIT"
    stage.c.call("%a", two, "ROLLBACK")
    assert db.v(1) == 1


def test_control_one_task_with_two_transactions_stands_still(db, lockkeeperd):
    del db
    stage = Stage(lockkeeperd(deadlock={"mode": "off"}))
    one, two = (f"#{stage.c.call('%a', 'BEGIN')}" for _ in range(2))
    stage.c.call("%a", one, "SQL", update(1))
    stage.c.send("@s", "%a", two, "SQL", update(1))
    assert stage.c.is_silent(2.0)


def test_the_holder_awaits_the_waiter(db, stage):
    """Scenario 12, with AWAIT said before and after the wait began."""
    for order in ("before", "after"):
        stage.begin("c1")
        stage.do("c1", update(1))
        if order == "before":
            stage.c.call("AWAIT", "c1", "c2")
        stage.start("c2", update(1))
        if order == "after":
            assert stage.c.is_silent(0.3)
            stage.c.call("AWAIT", "c1", "c2")
        with within(250, f"scenario 12, AWAIT {order} the wait"):
            assert stage.c.tag("c2").kind == "DEADLOCK"
        stage.c.call("AWAIT", "c1")
        stage.end("c1")
    assert db.v(1) == 2
    assert len(stage.verdicts()) == 2


def test_control_without_await_it_is_no_deadlock(db, stage):
    stage.begin("c1")
    stage.do("c1", update(1))
    stage.start("c2", update(1))
    assert stage.c.is_silent(1.0)
    assert stage.verdicts() == []
    stage.end("c1")
    stage.c.tag("c2")
    assert db.v(1) == 2


def test_await_any_of_one_that_can_move_is_no_deadlock(db, stage):
    stage.begin("c1")
    stage.do("c1", update(1))
    stage.c.call("AWAIT", "c1", "ANY", "c2", "free")
    stage.start("c2", update(1))
    assert stage.c.is_silent(0.8)
    stage.c.call("AWAIT", "c1", "ANY", "c2")
    assert stage.c.tag("c2").kind == "DEADLOCK"
    stage.end("c1")
    assert db.v(1) == 1


def fill_slots(stage):
    """Scenario 8: two slots, T1 holds r, T2 waits for it, C1 asks for a third
    thing outside T1."""
    stage.begin("c1", "t2")
    stage.do("c1", update(1))
    stage.start("t2", update(1))
    stage.c.is_silent(0.05)
    stage.c.send("@asks", "%c1", "SQL", "SELECT 42 AS x")


def test_waiters_fill_the_pool(db, lockkeeperd):
    stage = Stage(lockkeeperd(workers={"min": 2, "max": 2}))
    fill_slots(stage)
    with within(250, "scenario 8"):
        error = stage.c.tag("asks")
    assert error.kind == "DEADLOCK" and "slots of main" in error
    stage.end("c1")
    assert stage.c.tag("t2") == "UPDATE 1"
    stage.end("t2")
    assert db.v(1) == 2
    assert_nothing_left(db, stage.c)


def test_control_waiters_fill_the_pool_and_stand_still(db, lockkeeperd):
    del db
    stage = Stage(lockkeeperd(workers={"min": 2, "max": 2},
                              deadlock={"mode": "off"}))
    fill_slots(stage)
    assert stage.c.is_silent(2.0)


def test_a_slot_that_comes_back_by_itself_is_no_deadlock(db, lockkeeperd):
    """Scenario 10: as 8, but a third slot runs a query."""
    stage = Stage(lockkeeperd(workers={"min": 3, "max": 3}))
    stage.start("query", "SELECT pg_sleep(1.2)")
    fill_slots(stage)
    assert stage.c.is_silent(0.8)
    stage.c.tag("query")
    assert stage.c.tag("asks") == [{"x": 42}]
    stage.end("c1")
    stage.c.tag("t2")
    stage.end("t2")
    assert stage.verdicts() == [] and db.v(1) == 2


@pytest.mark.parametrize("asks_tx", [False, True])
def test_nested_acquisition(db, lockkeeperd, asks_tx):
    """Scenario 9: everybody has a slot and asks for another."""
    n = 3
    stage = Stage(lockkeeperd(workers={"min": n, "max": n}))
    names = [f"t{i}" for i in range(n)]
    stage.begin(*names)
    for i, name in enumerate(names):
        stage.do(name, update(i + 1))
    inner = {}
    for name in names:
        words = ("%" + name,)
        if asks_tx:
            inner[name] = f"#{stage.c.call('%' + name, 'BEGIN')}"
            words += (inner[name],)
        stage.c.send("@" + name, *words, "SQL", "SELECT 1 AS x")
    lost = []
    with within(250, f"scenario 9, {'txs' if asks_tx else 'statements'}"):
        for _ in names:
            stage.c.until(lambda: stage.c.tagged, "a reply", 10)
            name, reply = stage.c.tagged.popitem()
            if isinstance(reply, LkError):
                assert reply.kind == "DEADLOCK"
                lost.append(name)
            if asks_tx:
                stage.c.call("%" + name, inner[name], "ROLLBACK")
            stage.end(name)
    assert lost == [names[-1]], "the youngest, and nobody else"
    assert [db.v(i + 1) for i in range(n)] == [1] * n
    assert_nothing_left(db, stage.c)


def test_a_slow_query_is_no_deadlock_and_costs_few_looks(db, daemon):
    """Scenario 21, shortened."""
    stage = Stage(daemon)
    stage.begin("slow")
    stage.do("slow", update(1))
    stage.start("slow", "SELECT pg_sleep(3)")
    stage.c.is_silent(0.1)
    for i in range(8):
        stage.start(f"w{i}", update(1))
    before = stage.c.call("SHOW", "stats")["looks"]
    assert stage.c.is_silent(2.0)
    looks = stage.c.call("SHOW", "stats")["looks"] - before
    assert looks <= 10 * 2 + 10, "ten a second, after a burst of ten"
    stage.c.tag("slow", 10)
    stage.end("slow")
    for i in range(8):
        stage.c.tag(f"w{i}")
    assert stage.verdicts() == [] and db.v(1) == 9


def test_two_databases_of_one_server(db, pg, lockkeeperd):
    """Scenario 13, where both databases are on one server."""
    pg.psql("DROP DATABASE IF EXISTS t_cycles_two WITH (FORCE)")
    pg.psql("CREATE DATABASE t_cycles_two")
    try:
        daemon = lockkeeperd(databases=[
            {"name": "main", "conninfo": db.conninfo},
            {"name": "two", "conninfo": pg.conninfo("t_cycles_two")}])
        stage = Stage(daemon)
        stage.c.call("/two", "SQL", "CREATE TABLE r (id int PRIMARY KEY, "
                     "v int)")
        stage.c.call("/two", "SQL", "INSERT INTO r VALUES (1, 0)")
        tx = {}
        for task, place in (("t1", "main"), ("t2", "two")):
            tx[task] = f"#{stage.c.call('%' + task, '/' + place, 'BEGIN')}"
            stage.c.call("%" + task, tx[task], "SQL", update(1))
        stage.c.send("@t1", "%t1", "/two", "SQL", update(1))
        stage.c.send("@t2", "%t2", "/main", "SQL", update(1))
        with within(500, "scenario 13"):
            stage.c.until(lambda: stage.c.tagged, "a victim", 10)
        (lost, error), = stage.c.tagged.items()
        assert error.kind == "DEADLOCK"
        stage.c.tag(lost)
        stage.c.call("%" + lost, tx[lost], "COMMIT")
        other = "t1" if lost == "t2" else "t2"
        assert stage.c.tag(other) == "UPDATE 1"
        stage.c.call("%" + other, tx[other], "COMMIT")
        daemon.stop()
    finally:
        pg.psql("DROP DATABASE IF EXISTS t_cycles_two WITH (FORCE)")
