"""Contended work without a deadlock: no verdict, no victim, nothing lost.

Tasks of one program lock rows, queue for slots and await each other for
LK_SOAK_SECONDS (6 unless it says otherwise; an hour is 3600), and many do what
would close a cycle, in the moment after it cannot be closed any more.
LK_SOAK_SEED chooses what chance does; a failure names it.
"""
import functools
import heapq
import itertools
import os
import random
import time

from checks import assert_nothing_left, update
from cluster import Database
from client import LkError
from timing import note

SECONDS = float(os.environ.get("LK_SOAK_SECONDS", "6"))
SEED = int(os.environ.get("LK_SOAK_SEED", "1"))
SHARED_ROWS = 4		# the rows 1 to that are everybody's
OWN_ROWS = 10		# each act has those from its number times this on


class Soak:
    """Runs acts: generators that yield the tag whose reply they need next, or
    for how long they sleep."""

    def __init__(self, client):
        self.rng = random.Random(SEED)
        self.done = {"main": 0, "two": 0}	# updates that were committed
        self.n_acts = {}
        self._c = client
        self._end = time.monotonic() + SECONDS
        self._numbers = itertools.count(1)
        self._waiting = {}	# tag: act
        self._sleeping = []	# (when, number, act)

    def goes_on(self, act):
        """Whether it is to play once more."""
        self.n_acts[act] = self.n_acts.get(act, -1) + 1
        return time.monotonic() < self._end

    def send(self, task, *words):
        return self.now("%" + task, *words)

    def now(self, *words):
        """A request of no task, which acts on receipt."""
        tag = f"{next(self._numbers)}"
        self._c.send("@" + tag, *words)
        return tag

    def nap(self, at_most_s=0.06):
        return self.rng.random() * at_most_s

    def run(self, acts):
        for act in acts:
            self._play(act, None)
        while self._waiting or self._sleeping:
            left = (self._sleeping[0][0] - time.monotonic()
                    if self._sleeping else 20)
            has_come = self._c.pump(max(0, left))
            assert has_come or self._sleeping, \
                f"no reply for {list(self._waiting)}"
            for tag in [t for t in self._c.tagged if t in self._waiting]:
                self._play(self._waiting.pop(tag), self._c.tagged.pop(tag))
            while (self._sleeping
                   and self._sleeping[0][0] <= time.monotonic()):
                self._play(heapq.heappop(self._sleeping)[2], None)
            self._c.arrived.clear()
            self._c.pushes.clear()

    def _play(self, act, reply):
        """Up to the next that it has to wait for."""
        while True:
            try:
                wants = act.send(reply)
            except StopIteration:
                return
            if isinstance(wants, float):
                heapq.heappush(self._sleeping, (
                    time.monotonic() + wants, next(self._numbers), act))
                return
            if wants not in self._c.tagged:
                self._waiting[wants] = act
                return
            reply = self._c.tagged.pop(wants)


def is_good(reply, kind=None):
    """An error is one of this kind, or it fails the test."""
    if isinstance(reply, LkError):
        assert reply.kind == kind, reply
        return False
    return True


# -- the acts; each has tasks of its own, named after it

def in_order(soak, name, number):
    """Locks rows that all have in common, in ascending order, in transactions
    that end in all ways there are."""
    del number
    while soak.goes_on("in order"):
        tx = f"#{yield soak.send(name, 'BEGIN')}"
        n, has_failed = 0, False
        for row in sorted(soak.rng.sample(range(1, SHARED_ROWS + 1), 2)):
            words = [tx, "SQL", update(row)]
            if soak.rng.random() < 0.2:
                words.insert(0, "?40")
            if soak.rng.random() < 0.2:
                is_good((yield soak.send(name, tx, "SAVEPOINT", "s")))
                is_good((yield soak.send(name, *words)), "LOCKTIMEOUT")
                is_good((yield soak.send(name, tx, "ROLLBACK", "TO", "s")))
                continue
            if not is_good((yield soak.send(name, *words)), "LOCKTIMEOUT"):
                has_failed = True
                break
            n += 1
        if has_failed or soak.rng.random() < 0.2:
            is_good((yield soak.send(name, tx, "ROLLBACK")))
        else:
            is_good((yield soak.send(name, tx, "COMMIT")))
            soak.done["main"] += n


def crossed(wait_ends, soak, name, number):
    """Two rows crossed, but a's wait is over before b closes the cycle."""
    a, b = name + "a", name + "b"
    one, two = number * OWN_ROWS + 1, number * OWN_ROWS + 2
    while soak.goes_on(f"crossed, {wait_ends.__name__}"):
        x = f"#{yield soak.send(a, 'BEGIN')}"
        y = f"#{yield soak.send(b, 'BEGIN')}"
        is_good((yield soak.send(a, x, "SQL", update(one))))
        is_good((yield soak.send(b, y, "SQL", update(two))))
        is_good((yield soak.send(a, x, "SAVEPOINT", "s")))
        yield from wait_ends(soak, a, x, two)
        back = soak.send(a, x, "ROLLBACK", "TO", "s")
        closes = soak.send(b, y, "SQL", update(one))
        is_good((yield back))
        yield soak.nap()
        is_good((yield soak.send(a, x, "COMMIT")))
        is_good((yield closes))
        is_good((yield soak.send(b, y, "COMMIT")))
        soak.done["main"] += 3


def lock_timeout(soak, task, tx, row):
    reply = yield soak.send(task, "?30", tx, "SQL", update(row))
    assert not is_good(reply, "LOCKTIMEOUT")


def deadline(soak, task, tx, row):
    reply = yield soak.send(task, "~30", tx, "SQL", update(row))
    assert not is_good(reply, "TIMEOUT")


def cancel(soak, task, tx, row):
    waits = soak.send(task, tx, "SQL", update(row))
    yield soak.nap()
    assert (yield soak.now("CANCEL", waits)) == 1
    assert not is_good((yield waits), "CANCELED")


def commit_first(soak, name, number):
    """a's COMMIT, b's update of its row and the AWAIT that would close the
    cycle come in one piece, in that order."""
    a, b, row = name + "a", name + "b", number * OWN_ROWS + 1
    while soak.goes_on("COMMIT first"):
        tx = f"#{yield soak.send(a, 'BEGIN')}"
        is_good((yield soak.send(a, tx, "SQL", update(row))))
        for tag in (soak.send(a, tx, "COMMIT"),
                    soak.send(b, "SQL", update(row)),
                    soak.now("AWAIT", a, b)):
            is_good((yield tag))
        is_good((yield soak.now("AWAIT", a)))
        soak.done["main"] += 2


def rollback_to(soak, name, number):
    """Likewise with ROLLBACK TO, after which the row is not a's any more."""
    a, b, row = name + "a", name + "b", number * OWN_ROWS + 1
    while soak.goes_on("ROLLBACK TO first"):
        tx = f"#{yield soak.send(a, 'BEGIN')}"
        is_good((yield soak.send(a, tx, "SAVEPOINT", "s")))
        is_good((yield soak.send(a, tx, "SQL", update(row))))
        for tag in (soak.send(a, tx, "ROLLBACK", "TO", "s"),
                    soak.send(b, "SQL", update(row)),
                    soak.now("AWAIT", a, b)):
            is_good((yield tag))
        is_good((yield soak.now("AWAIT", a)))
        is_good((yield soak.send(a, tx, "COMMIT")))
        soak.done["main"] += 1


def stale(soak, name, number):
    """b's wait for a ends while it may be looked at; then a holds a row again
    and awaits b, which only works."""
    a, b, row = name + "a", name + "b", number * OWN_ROWS + 5
    while soak.goes_on("stale"):
        x = f"#{yield soak.send(a, 'BEGIN')}"
        y = f"#{yield soak.send(b, 'BEGIN')}"
        is_good((yield soak.send(b, y, "SQL", update(row + 2))))
        is_good((yield soak.send(a, x, "SQL", update(row))))
        is_good((yield soak.send(a, x, "SAVEPOINT", "s")))
        is_good((yield soak.send(a, x, "SQL", update(row + 1))))
        waits = soak.send(b, y, "SQL", update(row + 1))
        yield 0.014 + soak.nap(0.004)
        back = soak.send(a, x, "ROLLBACK", "TO", "s")
        is_good((yield waits))
        works = soak.send(b, y, "SQL", "SELECT pg_sleep(0.004)")
        is_good((yield soak.now("AWAIT", a, b)))
        is_good((yield back))
        is_good((yield works))
        is_good((yield soak.now("AWAIT", a)))
        for task, tx in ((a, x), (b, y)):
            is_good((yield soak.send(task, tx, "COMMIT")))
        soak.done["main"] += 3


def nested(soak, name, number):
    """Holds a slot and asks for another.  There are always more, which those
    who have them give back in the end."""
    row = number * OWN_ROWS + 5
    while soak.goes_on("nested"):
        tx = f"#{yield soak.send(name, 'BEGIN')}"
        is_good((yield soak.send(name, tx, "SQL", update(row))))
        is_good((yield soak.send(name, "SQL", update(row + 1))))
        is_good((yield soak.send(name, tx, "COMMIT")))
        soak.done["main"] += 2


def any_arm(soak, name, number):
    """The holder awaits its waiter or a task that has nothing to wait for."""
    a, b, row = name + "a", name + "b", number * OWN_ROWS + 1
    while soak.goes_on("AWAIT ANY"):
        tx = f"#{yield soak.send(a, 'BEGIN')}"
        is_good((yield soak.send(a, tx, "SQL", update(row))))
        is_good((yield soak.now("AWAIT", a, "ANY", b, name + "free")))
        waits = soak.send(b, "SQL", update(row))
        yield soak.nap(0.1)
        is_good((yield soak.now("AWAIT", a)))
        is_good((yield soak.send(a, tx, "COMMIT")))
        is_good((yield waits))
        soak.done["main"] += 2


def two_databases(soak, name, number):
    """a holds a row in main and wants b's in two; b wants a's row behind its
    COMMIT, which comes in one piece with that."""
    a, b, row = name + "a", name + "b", number * OWN_ROWS + 1
    while soak.goes_on("two databases"):
        x = f"#{yield soak.send(a, 'BEGIN')}"
        y = f"#{yield soak.send(b, '/two', 'BEGIN')}"
        is_good((yield soak.send(a, x, "SQL", update(row))))
        is_good((yield soak.send(b, y, "SQL", update(row))))
        waits = soak.send(a, "/two", "SQL", update(row))
        yield soak.nap()
        ends = soak.send(b, y, "COMMIT")
        closes = soak.send(b, "SQL", update(row))
        is_good((yield ends))
        is_good((yield waits))
        yield soak.nap()
        is_good((yield soak.send(a, x, "COMMIT")))
        is_good((yield closes))
        soak.done["main"] += 2
        soak.done["two"] += 2


def noise(soak, name, number):
    """Single updates of rows that the others hold, in no transaction."""
    while soak.goes_on("noise"):
        row = soak.rng.randrange(1, number) * OWN_ROWS + soak.rng.choice(
            (1, 2))
        is_good((yield soak.send(name, "SQL", update(row))))
        soak.done["main"] += 1
        yield soak.nap(0.01)


ACTS = [in_order] * 8 + [
    functools.partial(crossed, lock_timeout),
    functools.partial(crossed, deadline),
    functools.partial(crossed, cancel),
    commit_first, rollback_to, stale, stale, nested, nested, any_arm,
    two_databases, two_databases, noise, noise]


def test_work_that_only_nearly_deadlocks_has_no_victims(pg, db, lockkeeperd):
    pg.psql(f"CREATE DATABASE {db.name}_two")
    two = Database(pg, f"{db.name}_two")
    try:
        two.renew()
        databases = {"main": db, "two": two}
        for database in databases.values():
            database.sql("INSERT INTO r SELECT generate_series(101, 1000)")
        daemon = lockkeeperd(databases=[
            {"name": name, "conninfo": databases[name].conninfo,
             "workers": {"min": 2, "max": n}}
            for name, n in (("main", 10), ("two", 3))])
        play(daemon, databases)
        daemon.stop()
    finally:
        two.close()
        pg.psql(f"DROP DATABASE {db.name}_two WITH (FORCE)")


def play(daemon, databases):
    watcher = daemon.connect()
    soak = Soak(daemon.connect())
    try:
        soak.run([act(soak, f"t{i}.", i) for i, act in enumerate(ACTS, 1)])
    except AssertionError as error:
        error.add_note(f"LK_SOAK_SEED={SEED}")
        raise
    assert watcher.show("deadlocks") == []
    assert watcher.call("SHOW", "stats")["looks"] >= SECONDS, "it did look"
    for name, database in databases.items():
        assert int(database.value("SELECT sum(v) FROM r")) == soak.done[name]
        assert_nothing_left(database, watcher)
    for act, n in sorted(soak.n_acts.items()):
        note(f"without a false alarm: {act}", n / SECONDS, 0.5, "/s")
        assert n > SECONDS / 2, act
