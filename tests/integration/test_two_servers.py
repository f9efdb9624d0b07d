"""Scenario 13: a deadlock half of which is on another PostgreSQL cluster.

Each server sees one wait, and no reading of the one is at the same instant as
one of the other; so they are read in turns until there is a proof.
"""
import pytest

from checks import assert_nothing_left, update
from client import LkError
from cluster import Cluster, Database
from timing import IS_SLOW, note, within


@pytest.fixture(scope="module")
def far_cluster():
    cluster = Cluster()
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def far(far_cluster):
    database = Database(far_cluster, "postgres")
    try:
        database.reset()
        yield database
    finally:
        database.close()


class Crossed:
    """t1 has a row here and wants one there, t2 the other way round."""

    def __init__(self, db, far, lockkeeperd, in_tx=True, **settings):
        self.daemon = lockkeeperd(databases=[
            {"name": "here", "conninfo": db.conninfo},
            {"name": "there", "conninfo": far.conninfo}], **settings)
        self.c = self.daemon.connect("3")
        self.tx = {}
        self.in_tx = in_tx

    def begin(self, task, place):
        self.tx[task, place] = \
            f"#{self.c.call('%' + task, '/' + place, 'BEGIN')}"

    def do(self, task, place, sql):
        self.c.call("%" + task, self.tx[task, place], "SQL", sql)

    def start(self, task, place, sql):
        words = ["@" + task, "%" + task]
        if self.in_tx:
            self.begin(task, place)
            words.append(self.tx[task, place])
        else:
            words.append("/" + place)
        self.c.send(*words, "SQL", sql)

    def hold(self):
        for task, place in (("t1", "here"), ("t2", "there")):
            self.begin(task, place)
            self.do(task, place, update(1))

    def close(self):
        self.start("t1", "there", update(1))
        self.start("t2", "here", update(1))

    def end(self, task, place, how="COMMIT"):
        self.c.call("%" + task, self.tx[task, place], how)


PLACES = {"t1": ("here", "there"), "t2": ("there", "here")}


def one_victim(crossed):
    crossed.c.until(lambda: crossed.c.tagged, "a victim", 15)
    (lost, error), = crossed.c.tagged.items()
    assert isinstance(error, LkError) and error.kind == "DEADLOCK", error
    for task in "t1", "t2":
        assert crossed.tx[task, PLACES[task][0]] in error, error
    crossed.c.tag(lost)
    had, wanted = PLACES[lost]
    if crossed.in_tx:
        crossed.end(lost, wanted, "ROLLBACK")
    crossed.end(lost, had)
    return "t1" if lost == "t2" else "t2"


@pytest.mark.parametrize("in_tx", [True, False])
def test_a_cycle_over_two_servers_fails_exactly_one(db, far, lockkeeperd,
                                                    in_tx):
    crossed = Crossed(db, far, lockkeeperd, in_tx)
    crossed.hold()
    what = "transactions" if in_tx else "autocommit"
    with within(500, f"scenario 13 on two servers, {what}"):
        crossed.close()
        winner = one_victim(crossed)
    assert crossed.c.tag(winner) == "UPDATE 1"
    had, wanted = PLACES[winner]
    if in_tx:
        crossed.end(winner, wanted)
    crossed.end(winner, had)
    assert db.v(1) + far.v(1) == 3
    verdict, = crossed.c.show("deadlocks")
    assert verdict["action"] == "failed"
    assert_nothing_left(db, crossed.c)
    assert_nothing_left(far, crossed.c)


def test_the_second_wait_may_come_late(db, far, lockkeeperd):
    """When the first has long been seen, and is looked at now and then."""
    crossed = Crossed(db, far, lockkeeperd)
    crossed.hold()
    crossed.start("t1", "there", update(1))
    assert crossed.c.is_silent(0.6)
    with within(500, "scenario 13 on two servers, the second late"):
        crossed.start("t2", "here", update(1))
        winner = one_victim(crossed)
    assert crossed.c.tag(winner) == "UPDATE 1"


def test_control_two_servers_stand_still(db, far, lockkeeperd):
    crossed = Crossed(db, far, lockkeeperd, deadlock={"mode": "off"})
    crossed.hold()
    crossed.close()
    assert crossed.c.is_silent(1.5), "no server sees more than one wait"
    assert db.n_waiting() == 1 and far.n_waiting() == 1
    assert crossed.c.show("deadlocks") == []
    assert crossed.c.call("CANCEL", "t1") == 1
    crossed.c.tag("t1")
    crossed.end("t1", "there", "ROLLBACK")
    crossed.end("t1", "here")
    assert crossed.c.tag("t2") == "UPDATE 1"


def test_waits_on_both_that_are_no_cycle_are_left_alone(db, far, lockkeeperd):
    """t1 and t2 wait there and here for transactions that can go on: that is
    no cause to read more often."""
    crossed = Crossed(db, far, lockkeeperd)
    for place in "here", "there":
        crossed.begin("idle", place)
        crossed.do("idle", place, update(1))
    crossed.begin("t1", "here")
    crossed.do("t1", "here", update(2))
    crossed.close()
    for_s = 2 if IS_SLOW else 1.5
    before = crossed.c.call("SHOW", "stats")["looks"]
    assert crossed.c.is_silent(for_s)
    looks = crossed.c.call("SHOW", "stats")["looks"] - before
    note("two servers: looks a second at both", looks / for_s, 20, "/s")
    assert looks <= 20 * for_s
    assert crossed.c.show("deadlocks") == []
    for place in "here", "there":
        crossed.end("idle", place)
    assert crossed.c.tag("t1") == "UPDATE 1"
    assert crossed.c.tag("t2") == "UPDATE 1"
