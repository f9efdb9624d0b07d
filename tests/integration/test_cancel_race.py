"""Scenario 27: a deadlock that opens by itself just as the cancel is sent.

Many pairs of transactions cross at a time.  In each ring one statement also
has a limit of its own, or its client cancels it, at about the time of the
verdict.  So cancels find the statement ended already, or let through by the
other's end, and what comes next on that session must not get them."""
import collections
import heapq
import os
import random
import time

from checks import assert_nothing_left, update
from client import LkError, encode
from timing import IS_SLOW, note

N_ROUNDS = int(os.environ.get("LK_ROUNDS") or (500 if IS_SLOW else 10000))
N_PAIRS = 24
# What is to end x besides the verdict, and what x then gets.
LIMITS = {"?": "LOCKTIMEOUT", "~": "TIMEOUT", "CANCEL": "CANCELED"}


class Race:
    """Plays generators, which yield requests, (seconds to wait, tag, words...),
    and are sent the replies to all of them by tag."""

    def __init__(self, client):
        self.client = client
        self.rounds = iter(range(N_ROUNDS))
        self.chance = random.Random(27)
        self.outcomes = collections.Counter()
        self.n_committed = 0
        self._out = bytearray()
        self._later = []	# heap of (when, bytes)
        self._players = {}	# tag: [generator, replies, number awaited]

    def _step(self, player, replies):
        try:
            requests = player.send(replies)
        except StopIteration:
            return
        state = [player, {}, len(requests)]
        for after, tag, *words in requests:
            self._players[tag] = state
            data = encode([f"@{tag}", *words])
            if after:
                heapq.heappush(self._later, (time.monotonic() + after, data))
            else:
                self._out += data

    def _take(self, tag, value):
        state = self._players.pop(tag)
        state[1][tag] = value
        if len(state[1]) == state[2]:
            self._step(state[0], state[1])

    def play(self, players):
        for player in players:
            self._step(player, None)
        while self._players:
            while self._later and self._later[0][0] <= time.monotonic():
                self._out += heapq.heappop(self._later)[1]
            if self._out:
                self.client.send_raw(self._out)
                self._out = bytearray()
            self.client.pump(0.001 if self._later else 15)
            assert not self.client.replies, self.client.replies
            tagged, self.client.tagged = self.client.tagged, {}
            for tag, value in tagged.items():
                self._take(tag, value)


def kind(reply):
    return reply.kind if isinstance(reply, LkError) else str(reply)


def rings(race, number):
    """Round after round on rows of its own, both sides in one session each
    from their first statement to their end."""
    a, b = 2 * number + 1, 2 * number + 2
    x, y, xs, ys, xc, yc, c, s = (f"{number}{name}" for name in
                                  "x y xs ys xc yc c s".split())
    for i in race.rounds:
        got = yield [(0, x, "BEGIN"), (0, y, "BEGIN")]
        tx, ty = (f"#{got[tag]}" for tag in (x, y))
        got = yield [(0, x, tx, "SQL", update(a)),
                     (0, y, ty, "SQL", update(b))]
        assert list(got.values()) == ["UPDATE 1"] * 2, got
        how = race.chance.choice(list(LIMITS))
        words = [] if how == "CANCEL" else [
            how + str(race.chance.randint(1, 9))]
        requests = [(0, x, tx, *words, "SQL", update(b)),
                    (0, xs, tx, "SQL", f"SELECT {i} AS v"),
                    (0, xc, tx, "COMMIT"),
                    (0, y, ty, "SQL", update(a)),
                    (0, ys, ty, "SQL", f"SELECT {i} AS v"),
                    (0, yc, ty, "COMMIT"),
                    (0, s, "SQL", f"SELECT {i} AS v")]
        if how == "CANCEL":
            requests.append((race.chance.uniform(0.0005, 0.009), c,
                             "CANCEL", x))
        got = yield requests
        outcome = kind(got[x]), kind(got[y])
        race.outcomes[outcome] += 1
        assert outcome[0] in ("UPDATE 1", "DEADLOCK", LIMITS[how])
        assert outcome[1] in ("UPDATE 1", "DEADLOCK")
        assert outcome != ("UPDATE 1", "UPDATE 1"), "rings do not just open"
        assert got[s] == [{"v": i}], got
        for statement, sentinel, commit in ((x, xs, xc), (y, ys, yc)):
            if got[statement] == "UPDATE 1":
                assert got[sentinel] == [{"v": i}], got
                assert got[commit] == "COMMIT", got
                race.n_committed += 1
            else:
                assert kind(got[sentinel]) == "TXABORTED", got
                assert kind(got[commit]) == "TXABORTED", got


def test_no_cancel_of_a_verdict_hits_the_next_statement(db, lockkeeperd):
    n = 2 * N_PAIRS
    c = lockkeeperd(workers={"min": n, "max": n},
                    log={"level": "error"},
                    deadlock={"first_look": "1ms"}).connect()
    race = Race(c)
    start = time.monotonic()
    race.play([rings(race, number) for number in range(N_PAIRS)])
    took_s = time.monotonic() - start
    for outcome, times in race.outcomes.most_common():
        print(f"{times:6} x {outcome[0]}, y {outcome[1]}")
    stats = c.call("SHOW", "stats")
    n_hit = sum(times * sum(word != "UPDATE 1" for word in outcome)
                for outcome, times in race.outcomes.items())
    print(f"{N_ROUNDS / took_s:.0f} rounds a second; {stats['cancels']} "
          f"cancels, {n_hit} hit; {stats['deadlocks']} verdicts, "
          f"{stats['deadlock_victims']} of them carried out")
    note(f"{N_ROUNDS} rounds of rings", took_s, 20, "s ")
    assert sum(race.outcomes.values()) == N_ROUNDS
    assert stats["deadlock_victims"] > 0, "no verdict raced at all"
    assert int(db.value("SELECT sum(v) FROM r")) == 2 * race.n_committed
    assert_nothing_left(db, c)
