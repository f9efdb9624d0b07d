"""A server that hangs, that never stops talking, or that babbles: a deadline
ends it, nothing grows, nothing crashes."""
import os
import random
import struct

import pytest

import process
from client import LkError, bad, good
from hostile_pg import (BYTEA, FLOAT8, INT4, columns, complete, error, message,
                        notice, parameter, ready, report, row, text)
from hostile_stage import (ONE, hang_up, last, silence, then)
from timing import IS_SLOW, eventually, within


# -- silence

SILENCES = {
    "in a statement": ("portal", silence, "SELECT attack", "UNKNOWN"),
    "in a statement being prepared":
        ("parse", silence, "SELECT attack", "UNKNOWN"),
    "in a description": ("describe", silence, "SELECT attack $1", "CONNLOST"),
    "behind half a message":
        ("portal", then(ONE[:-3], silence), "SELECT attack", "UNKNOWN"),
    "behind a row":
        ("portal", then(columns("v") + row("x"), silence), "SELECT attack",
         "UNKNOWN"),
    "behind a length of 1 GiB":
        ("portal", then(columns("v") + message(b"D", b"x", 2 ** 30), silence),
         "SELECT attack", "UNKNOWN"),
    "behind a result": ("sync", silence, "SELECT attack", "UNKNOWN"),
    "in a command": ("portal", silence, "DO attack", "UNKNOWN"),
    "behind a FATAL":
        ("portal", then(error(severity="FATAL"), silence), "SELECT attack",
         "CONNLOST"),
}


def test_a_deadline_ends_what_a_silent_server_does_not(hostile):
    """Neither cancels nor the session's end help; so it is left."""
    st = hostile(len(SILENCES))
    with within(4500, "a deadline where the server is silent") as limit:
        for i, (at, action, sql, _) in enumerate(SILENCES.values()):
            st.servers[i].on(at, action)
            st.client.send(f"@{i}", f"/h{i}", "~200", "SQL", sql,
                           *["a"] * sql.count("$"))
        for i, (what, (_, _, _, kind)) in enumerate(SILENCES.items()):
            reply = st.client.tag(str(i), 0.2 + limit.allowed_s)
            assert isinstance(reply, LkError) and reply.kind == kind, \
                (what, reply)
    for i, what in enumerate(SILENCES):
        st.assert_sane(what, i)


def test_a_server_that_hangs_with_a_cancel_holds_nobody(hostile):
    """No watcher, and a cancel that is never taken in."""
    st = hostile()
    st.server.takes_cancels = False
    st.server.on("startup", hang_up, application="lockkeeper watcher")
    st.server.on("portal", silence)
    with within(2500, "a deadline where even a cancel hangs") as limit:
        st.client.send("@x", "~200", "SQL", "SELECT attack")
        bad("UNKNOWN", st.client.tag("x", 0.2 + limit.allowed_s))
    assert st.server.n_cancels == 1
    st.assert_sane("cancel")


def test_silence_behind_a_reply_costs_the_session_only(hostile):
    """In the cleaning, in a rollback, and in the question for a type."""
    st = hostile(3)
    c = st.client
    with within(6000, "a silent server is left") as limit:
        st.servers[0].on("portal", silence, sql="CLOSE ALL")
        assert c.call("/h0", "SQL", "SELECT sane") == [{"v": "sane"}]
        st.servers[1].on("portal", silence, sql="ROLLBACK")
        tx = f"#{c.call('/h1', 'BEGIN')}"
        c.call(tx, "SQL", "UPDATE sane")
        c.send("@1", tx, "ROLLBACK")
        st.servers[2].on("portal", last(columns(("v", 99999)) + row("x")
                                        + complete("SELECT 1")))
        st.servers[2].on("portal", silence, sql="pg_type")
        c.send("@2", "/h2", "~200", "SQL", "SELECT attack")
        assert c.tag("1", limit.allowed_s) == "ROLLBACK"
        reply = c.tag("2", limit.allowed_s)
        assert isinstance(reply, LkError) or reply == [{"v": "x"}]
        for i in range(3):
            st.assert_sane(i, i)


# -- floods

def flood(data, heeds_cancels):
    """Send it again and again, a megabyte at a time."""
    block = data * (1 + 1000000 // len(data))

    def act(backend):
        backend.cancelled.clear()
        while not (heeds_cancels and backend.cancelled.is_set()):
            backend.send(block)
        last(error("57014", "canceled"))(backend)
    return act


FLOODS = {
    "notices": notice("x" * 1000),
    "notifications": message(b"A", struct.pack("!i", 1) + b"a\0b\0"),
    "parameters": parameter("a", "x" * 100),
    "rows": row("x" * 1000),
}


@pytest.mark.parametrize("heeds_cancels", [True, False])
def test_endless_answers_take_no_memory_and_a_deadline_ends_them(
        hostile, heeds_cancels):
    st = hostile(len(FLOODS), limits={"result": "1MiB"})
    before = process.resident_kib(st.daemon.pid)
    kinds = ("TIMEOUT", "OVERLOAD") if heeds_cancels else ("UNKNOWN",)
    with within(4500, "a deadline where answers are endless") as limit:
        for i, (what, data) in enumerate(FLOODS.items()):
            action = flood(data, heeds_cancels)
            st.servers[i].on("portal", then(columns("v"), action)
                             if what == "rows" else action)
            st.client.send(f"@{i}", f"/h{i}", "~500", "SQL", "SELECT attack")
        for i, what in enumerate(FLOODS):
            reply = st.client.tag(str(i), 0.5 + limit.allowed_s)
            assert reply.kind in kinds, (what, reply.line)
    if not os.environ.get("LK_SANITIZERS"):
        assert process.resident_kib(st.daemon.pid) - before < 64 * 1024
    for i, what in enumerate(FLOODS):
        st.assert_sane(what, i)


# -- at random

def mutate(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at = rng.randrange(len(data))
        how = rng.randrange(4)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            del data[at:at + rng.choice([1, 4, 50])]
        elif how == 2:
            data[at:at] = rng.randbytes(rng.choice([1, 4, 50]))
        else:
            data[at:at + 4] = struct.pack("!i", rng.choice(
                [-1, 0, 3, 4, 255, 65535, 2 ** 30, 2 ** 31 - 1]))
        if not data:
            return b""
    return bytes(data)


SEEDS = [ONE, ONE * 2, error(), notice(), ready(), complete("UPDATE 1"),
         columns(("a", INT4), ("b", FLOAT8), ("c", 1009), ("d", BYTEA))
         + row(1, 1.5, '{a,"b c",NULL}', "\\x00ff") + complete("SELECT 1"),
         parameter("a", "b"), message(b"t", struct.pack("!Hi", 1, 25)),
         message(b"1") + message(b"2") + message(b"n"),
         report(b"E", S="FATAL", V="FATAL", C="57P01", M="bye"),
         message(b"A", struct.pack("!i", 1) + text("a") + text("b"))]


def random_answer(rng):
    how = rng.randrange(4)
    if how == 0:
        return rng.randbytes(rng.randrange(200))
    if how == 1:
        return b"".join(message(rng.randbytes(1), rng.randbytes(
            rng.randrange(30))) for _ in range(rng.randrange(1, 5)))
    return mutate(rng, b"".join(rng.choices(SEEDS, k=rng.randrange(1, 4))))


@pytest.fixture
def forgetful_libpq(monkeypatch, tmp_path):
    """Sanitizers are not to tell of what libpq 15 loses itself: the result
    at hand when a ParameterDescription comes."""
    (tmp_path / "libpq").write_text("leak:libpq.so\n", encoding="ascii")
    monkeypatch.setenv("LSAN_OPTIONS", f"suppressions={tmp_path}/libpq:"
                       "print_suppressions=0")


@pytest.mark.usefixtures("forgetful_libpq")
def test_random_bytes_crash_nothing(hostile):
    seed = int(os.environ.get("LK_SEED", 0)) or random.randrange(2 ** 32)
    print(f"LK_SEED={seed}")
    rng = random.Random(seed)
    st = hostile()
    stages = ["parse", "describe", "bind", "portal", "execute", "sync"]
    for i in range(150 if IS_SLOW else 600):
        data = random_answer(rng)
        st.server.on(rng.choice(stages), then(data, hang_up))
        sql = rng.choice(["SELECT attack", "SELECT attack $1", "DO attack"])
        reply = st.client.try_call("SQL", sql, *["a"] * sql.count("$"))
        del reply		# anything: it came
        st.assert_sane((i, data))
    assert st.daemon.pid and good(st.client.try_call("PING")) == "PONG"


@pytest.mark.usefixtures("forgetful_libpq")
def test_random_bytes_to_a_session_that_is_idle_crash_nothing(hostile):
    seed = int(os.environ.get("LK_SEED", 0)) or random.randrange(2 ** 32)
    print(f"LK_SEED={seed}")
    rng = random.Random(seed)
    st = hostile()
    for i in range(50 if IS_SLOW else 200):
        st.assert_sane(i)
        backend = next(b for b in st.server.backends
                       if b.application == "lockkeeper")
        data = random_answer(rng)
        try:
            backend.send(data)
        except Exception:  # pylint: disable=broad-except
            pass		# left already
        backend.hang_up()
        eventually(lambda: backend not in st.server.backends,
                   "its end is over")
