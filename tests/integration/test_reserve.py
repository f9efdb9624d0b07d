"""The reserve of slots that is lent to end a deadlock without a victim, and
who is failed where somebody must be."""
import pytest

from checks import assert_nothing_left, update
from client import LkError
from timing import eventually, within


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


def play_round(stage, much, little):
    """One has updated 1,000 rows, the other one: which of them is failed."""
    stage.begin(much, little)
    stage.do(much, "UPDATE r SET v = v + 1 WHERE id > 10000")
    cross(stage, [much, little], [update(1), update(2)],
          [update(2), update(1)])
    with within(250, "scenario 24: a round"):
        return one_victim(stage, [much, little])


@pytest.fixture
def rows(db):
    db.sql("INSERT INTO r SELECT i, 0 FROM generate_series(10001, 11000) i")


def rounds_lost(stage, name):
    """As SHOW has it of the next transaction of that task."""
    stage.begin(name)
    lost, = [row["lost"] for row in stage.c.show("transactions")
             if row["task"] == name]
    stage.end(name, "ROLLBACK")
    return lost


def test_the_one_that_did_least_is_failed_but_not_for_ever(db, rows, stage):
    """Scenario 24."""
    for i in range(3):
        assert rounds_lost(stage, "little") == i
        assert play_round(stage, "much", "little") == "little"
    assert play_round(stage, "much", "little") == "much"
    assert "lost so often that it is spared" in stage.verdicts()[-1]["text"]
    assert rounds_lost(stage, "little") == 0
    assert play_round(stage, "much", "little") == "little"
    assert_nothing_left(db, stage.c)


def test_control_without_a_name_to_know_it_by_it_loses_for_ever(rows, stage):
    for i in range(5):
        assert play_round(stage, "much", f"little{i}") == f"little{i}"


def test_without_tasks_the_connection_is_who_tries_again(rows, daemon):
    """Both clients block, so their transactions are the connection's."""
    much, little = (daemon.connect("3", "MODE", "blocking", "THREAD", name)
                    for name in ("much", "little"))
    lost = []
    for _ in range(4):
        for client, row_id in ((much, 1), (little, 2)):
            client.call("BEGIN")
            client.sql(update(row_id))
        much.sql("UPDATE r SET v = v + 1 WHERE id > 10000")
        much.send("SQL", update(2))
        little.send("SQL", update(1))
        with within(250, "scenario 24, blocking clients: a round"):
            replies = {"much": much.recv(), "little": little.recv()}
        lost += [name for name, reply in replies.items()
                 if isinstance(reply, LkError)]
        much.call("ROLLBACK" if lost[-1] == "much" else "COMMIT")
        little.call("ROLLBACK" if lost[-1] == "little" else "COMMIT")
    assert lost == ["little"] * 3 + ["much"]


def fill_slots(stage, is_watched=False):
    """Scenario 8: two slots, T1 holds r, T2 waits for it, C1 asks for a third
    thing outside T1; once the watcher has its session, if that matters."""
    stage.begin("c1", "t2")
    stage.do("c1", update(1))
    stage.start("t2", update(1))
    if is_watched:
        eventually(lambda: stage.c.show("waits"), "a look has seen it")
    else:
        eventually(lambda: sum(worker["tx"] is not None for worker in
                               stage.c.show("workers")) == 2,
                   "both have a slot")
    stage.c.send("@asks", "%c1", "SQL", "SELECT 42 AS x")


def end_slots(db, stage):
    stage.end("c1")
    assert stage.c.tag("t2") == "UPDATE 1"
    stage.end("t2")
    assert db.v(1) == 2
    assert_nothing_left(db, stage.c)


def reserve_is_back(c, n_max):
    """No more workers than max, by either list."""
    eventually(lambda: c.show("databases")[0]["lent"] == 0
               and len(c.show("workers")) <= n_max, "the reserve is back")


def test_waiters_fill_the_pool_and_a_worker_is_lent(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    stage = Stage(daemon)
    fill_slots(stage)
    with within(250, "scenario 8"):
        assert stage.c.tag("asks") == [{"x": 42}]
    end_slots(db, stage)
    reserve_is_back(stage.c, 2)
    row, = stage.c.show("databases")
    assert (row["workers_max"], row["workers_reserve"]) == (2, 2)
    verdict, = stage.verdicts()
    assert verdict["action"] == "lent" and verdict["victim"] is None
    assert "c1" in verdict["members"] and "nobody is failed" in verdict["text"]
    assert 0 < verdict["verdict_us"] <= verdict["end_us"]
    stats = stage.c.call("SHOW", "stats")
    assert (stats["reserve_lent"], stats["deadlocks"],
            stats["deadlock_victims"]) == (1, 1, 0)
    assert not [p for p in stage.c.pushes if p[0] == "deadlock"]
    daemon.says("a worker of the reserve is lent to task c1",
                "deadlock 1 lent after ")


def test_waiters_fill_the_pool_without_a_reserve(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 2, "reserve": 0})
    stage = Stage(daemon)
    fill_slots(stage)
    with within(250, "scenario 8, reserve = 0"):
        error = stage.c.tag("asks")
    assert error.kind == "DEADLOCK" and "slots of main" in error
    assert "workers.reserve is 0" in error and "workers.max" in error
    end_slots(db, stage)
    assert stage.verdicts()[0]["action"] == "failed"
    assert stage.c.call("SHOW", "stats")["reserve_lent"] == 0


def test_a_reserve_that_postgresql_refuses_is_as_good_as_none(db, lockkeeperd):
    """Two sessions and the watcher's are all that the role may have."""
    db.sql("DROP ROLE IF EXISTS few")
    db.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 3")
    db.sql("GRANT USAGE ON SCHEMA public TO few; GRANT ALL ON r TO few")
    try:
        conninfo = db.conninfo.replace("user=postgres", "user=few")
        daemon = lockkeeperd(conninfo, workers={"min": 2, "max": 2})
        stage = Stage(daemon)
        fill_slots(stage, is_watched=True)
        with within(500, "scenario 8, no more connections"):
            error = stage.c.tag("asks")
        assert error.kind == "DEADLOCK"
        assert "too many connections for role" in error
        end_slots(db, stage)
        refused, failed = stage.verdicts()
        assert (refused["action"], failed["action"]) == ("refused", "failed")
        reserve_is_back(stage.c, 2)
        daemon.stop()
    finally:
        db.sql("DROP OWNED BY few; DROP ROLE few")


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


def ask_for_more(stage, n, asks_tx):
    """Scenario 9: everybody has a slot and asks for another."""
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
    return inner


def finish_all(stage, n, inner):
    """The names of those who got no slot."""
    lost = []
    for _ in range(n):
        stage.c.until(lambda: stage.c.tagged, "a reply", 10)
        name, reply = stage.c.tagged.popitem()
        if isinstance(reply, LkError):
            assert reply.kind == "DEADLOCK"
            lost.append(name)
        if name in inner:
            stage.c.call("%" + name, inner[name], "ROLLBACK")
        stage.end(name)
    return lost


@pytest.mark.parametrize("asks_tx", [False, True])
@pytest.mark.parametrize("reserve", [0, 2])
def test_nested_acquisition(db, lockkeeperd, asks_tx, reserve):
    """Scenario 9."""
    n = 3
    stage = Stage(lockkeeperd(workers={"min": n, "max": n,
                                       "reserve": reserve}))
    inner = ask_for_more(stage, n, asks_tx)
    with within(250, f"scenario 9, {'txs' if asks_tx else 'statements'}, "
                f"reserve = {reserve}"):
        lost = finish_all(stage, n, inner)
    assert lost == ([] if reserve else [f"t{n - 1}"])
    assert [db.v(i + 1) for i in range(n)] == [1] * n
    assert_nothing_left(db, stage.c)
    reserve_is_back(stage.c, n)


def test_nested_acquisition_uses_the_reserve_up(db, lockkeeperd):
    """Scenario 9, where nobody gives anything back: one after another is lent
    a worker, then the youngest fails."""
    n, reserve = 4, 2
    stage = Stage(lockkeeperd(workers={"min": n, "max": n,
                                       "reserve": reserve}))
    inner = ask_for_more(stage, n, True)
    with within(500, "scenario 9, the reserve is used up"):
        for i in range(reserve):
            stage.c.tag(f"t{i}")
            # What it was lent is in use as long as its inner transaction is.
            stage.c.send(f"@again{i}", f"%t{i}", "SQL", "SELECT 1 AS x")
        error = stage.c.tag(f"again{reserve - 1}")
    assert error.kind == "DEADLOCK", error
    assert "the reserve of 2 (workers.reserve) is used up" in error
    assert stage.c.show("databases")[0]["lent"] == reserve
    assert stage.c.call("SHOW", "stats")["reserve_lent"] == reserve
    # It ends both of its transactions, and everybody else gets a slot.
    for i in [reserve - 1, *range(reserve, n), *range(reserve - 1)]:
        if i >= reserve:
            assert stage.c.tag(f"t{i}") == [{"x": 1}]
        elif i < reserve - 1:
            assert stage.c.tag(f"again{i}") == [{"x": 1}]
        stage.c.call(f"%t{i}", inner[f"t{i}"], "COMMIT")
        stage.end(f"t{i}")
    assert [db.v(i + 1) for i in range(n)] == [1] * n
    assert_nothing_left(db, stage.c)
    reserve_is_back(stage.c, n)


def test_reload_applies_the_reserve(db, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 2, "reserve": 0})
    stage = Stage(daemon)
    daemon.settings["databases"][0]["workers"]["reserve"] = 1
    daemon.configure()
    assert stage.c.call("RELOAD") == "OK"
    assert stage.c.show("databases")[0]["workers_reserve"] == 1
    fill_slots(stage)
    assert stage.c.tag("asks") == [{"x": 42}]
    end_slots(db, stage)


def test_in_mode_report_nothing_is_lent(db, lockkeeperd):
    stage = Stage(lockkeeperd(workers={"min": 2, "max": 2},
                              deadlock={"mode": "report"}))
    fill_slots(stage)
    assert "nothing is done" in stage.c.push("deadlock")["text"]
    assert stage.c.is_silent(0.5)
    assert len(stage.c.show("workers")) == 2
    stage.c.call("CANCEL", "asks")
    assert stage.c.tag("asks").kind == "CANCELED"
    end_slots(db, stage)
    assert [v["action"] for v in stage.verdicts()] == ["reported"]
