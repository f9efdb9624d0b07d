"""Bytes that no honest client sends.  Each connection gets a true reply, or
PROTO and its end; others go on, memory stays bounded, and nothing spins."""
import random
import socket
import time

import pytest

from checks import assert_forgotten, update
from client import Client, Closed, LkError, bad, encode
from process import cpu_ticks, resident_kib
from timing import IS_SLOW, eventually

MIB = 1 << 20
LIMIT = MIB			# limits.request in these tests
MAX_INLINE = 64 * 1024
MAX_ARGS = 65535 + 64
MAX_GROWTH_KIB = 40 * 1024	# of the daemon, whatever a test sends


@pytest.fixture
def daemon(lockkeeperd):
    return lockkeeperd(limits={"request": "1MiB"})


@pytest.fixture
def watcher(daemon):
    return daemon.connect("3", "NAME", "watcher")


@pytest.fixture(autouse=True)
def unharmed(daemon, watcher):
    """Looks at the daemon while the test's connections are still there."""
    watcher.sql("SELECT 1")
    before = resident_kib(daemon.pid)
    yield
    assert watcher.value("SELECT 1") == 1
    ticks = cpu_ticks(daemon.pid)
    time.sleep(0.1)
    assert cpu_ticks(daemon.pid) - ticks <= 3, "the daemon spins"
    if not IS_SLOW:		# sanitizers keep memory of their own
        assert resident_kib(daemon.pid) - before < MAX_GROWTH_KIB


def send_blocks(c, block, n):
    """n times, or until the daemon closes."""
    try:
        for _ in range(n):
            c.send_raw(block)
    except OSError:
        pass


def assert_refused(c, part=""):
    """One reply, PROTO, and the end."""
    said = c.read_to_end(5)
    assert said.startswith(b"-PROTO 08P01 "), said[-200:]
    assert said.count(b"\n") == 1
    assert part.encode() in said


# -- numbers

NUMBERS = [-2, -1000, (1 << 31) - 1, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63,
           -(1 << 63), 1 << 64, 10 ** 30]


@pytest.mark.parametrize("number", [-1] + NUMBERS)
def test_hostile_numbers_of_elements_are_refused(daemon, number):
    c = daemon.connect(None)
    c.send_raw(b"*%d\r\n$4\r\nPING\r\n" % number)
    assert_refused(c, "number of elements" if number < 10 ** 30 else "")


@pytest.mark.parametrize("number", NUMBERS)
def test_hostile_lengths_of_strings_are_refused(daemon, number):
    c = daemon.connect(None)
    c.send_raw(b"*1\r\n$%d\r\nPING\r\n" % number)
    assert_refused(c)


def test_announced_lengths_cost_no_memory(lockkeeperd):
    roomy = lockkeeperd(limits={"request": "64MiB"})
    watcher = roomy.connect()
    before = resident_kib(roomy.pid)
    for _ in range(50):
        for head in (b"*60000\r\n", b"*1\r\n$60000000\r\n"):
            roomy.connect(None).send_raw(head)
    eventually(lambda: len(watcher.show("clients")) == 101, "all are there")
    if not IS_SLOW:
        assert resident_kib(roomy.pid) - before < MAX_GROWTH_KIB


# -- limits: what is just within them works, one more is refused

def request_of(n_bytes):
    """SELECT length() of what fills it, in that many bytes; that length."""
    words = ["SQL", "SELECT length($1)", ""]
    n = n_bytes - len(encode(words)) - len(str(n_bytes)) + 1
    words[2] = "x" * n
    whole = encode(words)
    assert len(whole) == n_bytes
    return whole, n


def test_limits_request_is_inclusive(daemon):
    c = daemon.connect()
    whole, n = request_of(LIMIT)
    c.send_raw(whole)
    assert c.recv() == [{"length": n}]
    send_blocks(c, request_of(LIMIT + 1)[0], 1)
    assert_refused(c, "limits.request, 1048576 bytes")


def test_the_longest_inline_request_works(daemon):
    c = daemon.connect()
    text = "x" * (MAX_INLINE - len("PING \n"))
    c.send_raw(f"PING {text}\n".encode())
    assert c.recv() == text
    c.send_raw(f"PING {text}y\n".encode())
    assert_refused(c, f"longer than {MAX_INLINE} bytes")


def test_as_many_elements_as_there_may_be_get_an_answer(daemon):
    c = daemon.connect()
    c.send("SQL", "SELECT $1::int AS v", *range(1, MAX_ARGS - 1))
    assert isinstance(c.recv(), LkError)
    assert c.value("SELECT $1::int", 7) == 7
    c.send_raw(b"*%d\r\n" % (MAX_ARGS + 1))
    assert_refused(c, f"0 to {MAX_ARGS}")


def test_thousands_of_parameters_work(daemon):
    c = daemon.connect()
    n = 7000
    numbers = ",".join(f"${i}" for i in range(1, n + 1))
    assert c.value(f"SELECT cardinality(ARRAY[{numbers}]::text[])",
                   *["x"] * n) == n


# -- endless things

@pytest.mark.parametrize("first", [
    b"", b'"', b"*", b"*1\r\n$", b"*1\r\n:", b"*1\r\n,", b"*1\r\n_",
    b"*1\r\n$3\r\n"], ids=repr)
def test_a_line_of_64_mib_is_refused(daemon, first):
    c = daemon.connect(None)
    c.send_raw(first)
    send_blocks(c, b"1" * MIB, 64)
    assert_refused(c)


@pytest.mark.parametrize("first", [
    b"", b"*3\r\n", b"*1\r\n$10\r\n", b"SQL "], ids=repr)
def test_64_mib_of_garbage_get_one_reply(daemon, first):
    chance = random.Random(5)
    c = daemon.connect(None)
    c.send_raw(first)
    send_blocks(c, chance.randbytes(MIB), 64)
    assert_refused(c)


def test_a_million_arrays_in_each_other_are_refused(daemon):
    c = daemon.connect(None)
    send_blocks(c, b"*1\r\n" * 10 ** 6, 1)
    assert_refused(c, "a request holds no arrays")


@pytest.mark.parametrize("nothing", [b"\n", b"\r\n", b" \t\n", b"*0\r\n"],
                         ids=repr)
def test_a_million_empty_requests_are_passed_over(daemon, nothing):
    c = daemon.connect(None)
    c.send_raw(nothing * 10 ** 6 + b"PING\r\n")
    assert c.recv() == "PONG"
    assert c.is_silent(0.05)


def test_one_who_asks_for_ever_and_never_reads_is_not_read(daemon):
    c = daemon.connect(None)
    c.sock.settimeout(0.3)
    block = encode(["PING", "x" * 1000]) * 1000
    n = 0
    try:
        while n < 100:
            c.send_raw(block)
            n += 1
    except TimeoutError:
        pass
    assert n < 10, "the daemon reads on for ever"


# -- pieces

def test_half_frames_run_nothing(db, daemon, watcher):
    whole = encode(["SQL", update(1)])
    for cut in range(1, len(whole)):
        c = Client(daemon.socket)
        c.send_raw(whole[:cut])
        c.close()
    assert_forgotten(db, watcher)
    assert db.v(1) == 0


def test_half_frames_behind_which_nothing_comes_are_closed(db, daemon,
                                                           watcher):
    whole = encode(["SQL", update(1)])
    for cut in range(1, len(whole)):
        with Client(daemon.socket) as c:
            c.send_raw(whole[:cut])
            c.sock.shutdown(socket.SHUT_WR)
            assert c.read_to_end(5) == b""
    assert_forgotten(db, watcher)
    assert db.v(1) == 0


def test_many_who_send_a_byte_a_turn_are_served(daemon, watcher):
    clients = [daemon.connect(None) for _ in range(50)]
    for byte in encode(["@tag", "%task", "SQL", "SELECT 1 AS v"]):
        for c in clients:
            c.send_raw(bytes([byte]))
        assert watcher.call("PING") == "PONG"	# behind all those, in a turn
    for c in clients:
        assert c.tag("tag") == [["v", 1]]


def test_after_proto_nothing_of_that_connection_runs(db, daemon):
    c = daemon.connect(None)
    c.send_raw(b"*x\r\n" + encode(["SQL", update(1)]))
    c.read_to_end()
    assert db.v(1) == 0
    with pytest.raises(Closed):
        c.pump(0)


# -- elements

@pytest.mark.parametrize("words", [
    ["@t"], ["%t"], ["#1"], ["~1"], ["?1"], ["/main"], ["=maps"], ["!"],
    ["@t", "%t", "#1", "~1", "?1", "/main", "=maps", "!"]], ids=" ".join)
def test_an_envelope_without_a_verb_is_refused(daemon, words):
    c = daemon.connect()
    c.send(*words)
    reply = c.tag("t") if words[0] == "@t" else c.recv()
    assert "no verb" in bad("SYNTAX", reply)
    assert c.call("PING") == "PONG"


@pytest.mark.parametrize("tag", [
    "x" * 64, "\0" * 64, "\r\n", "\x01", " ", "@", "é" * 32, "*3\r\n+reply\r\n",
    bytes(range(64)).decode(), bytes(range(64, 128)).decode()], ids=repr)
def test_a_tag_comes_back_as_it_was(daemon, tag):
    c = daemon.connect()
    c.send("@" + tag, "SQL", "SELECT 1 AS v")
    assert c.tag(tag) == [{"v": 1}]
    c.send("@" + tag, "NOSUCHVERB")
    bad("SYNTAX", c.tag(tag))


@pytest.mark.parametrize("tag", ["", "x" * 65, "\0" * 65], ids=repr)
def test_a_tag_has_1_to_64_bytes(daemon, tag):
    c = daemon.connect()
    assert "1 to 64 bytes" in c.fails("SYNTAX", "@" + tag, "PING")


WITH_NUL = {
    "verb": ["PI\0NG"],
    "verb, first": ["\0PING"],
    "task": ["%t\0", "PING"],
    "handle": ["#1\0", "SQL", "SELECT 1"],
    "deadline": ["~1\0", "PING"],
    "lock timeout": ["?1\0", "PING"],
    "database": ["/main\0", "PING"],
    "rows": ["=maps\0", "PING"],
    "rerun": ["!\0", "PING"],
    "HELLO": ["HELLO", "3\0"],
    "HELLO NAME": ["HELLO", "3", "NAME", "a\0b"],
    "HELLO GROUP": ["HELLO", "3", "GROUP", "a\0b"],
    "HELLO option": ["HELLO", "3", "NAME\0", "a"],
    "USE": ["USE", "main\0"],
    "SQL": ["SQL", "SELECT 1\0"],
    "SQL, first": ["SQL", "\0"],
    "BEGIN": ["BEGIN", "HERE\0"],
    "ROLLBACK TO": ["ROLLBACK", "TO\0", "s"],
    "AWAIT": ["AWAIT", "a\0"],
    "SHOW": ["SHOW", "stats\0"],
    "SELECT": ["SELECT", "0\0"],
    "CLIENT": ["CLIENT", "ID\0"],
    "SETNAME": ["CLIENT", "SETNAME", "a\0b"],
    "COMMAND": ["COMMAND", "LIST\0"],
}


@pytest.mark.parametrize("words", WITH_NUL.values(), ids=WITH_NUL.keys())
def test_no_word_with_a_nul_passes_for_another(daemon, words):
    c = daemon.connect()
    c.fails("SYNTAX", *words)
    assert c.call("PING", "a\0b") == "a\0b"


def test_a_nul_in_a_savepoint_or_a_value_is_an_error(daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    for verb in ("SAVEPOINT", "RELEASE"):
        c.fails("SYNTAX", tx, verb, "s\0")
    c.call(tx, "ROLLBACK")
    assert isinstance(c.try_call("SQL", "SELECT $1::text", "a\0b"), LkError)
    assert c.call("CANCEL", "a\0b") == 0
    c.fails("NOTX", "KILL", "1\0")
    assert c.value("SELECT 1") == 1


def test_a_nul_in_an_inline_request_is_refused(daemon):
    c = daemon.connect(None)
    c.send_raw(b"PING a\0b\r\n")
    assert_refused(c, "byte 0x00")


def test_every_type_that_a_request_may_hold_is_a_value(daemon):
    c = daemon.connect()
    head = encode(["SQL", "SELECT $1::text AS a, $2::float8::text AS b, "
                   "$3::bool AS c, $4::text AS d, $5::int8 AS e, "
                   "$6::text AS f, $7::float8::text AS g"])
    c.send_raw(head.replace(b"*2", b"*9") + b",nan\r\n,-inf\r\n#t\r\n_\r\n"
               b":-9223372036854775808\r\n$-1\r\n,1.5e-308\r\n")
    assert c.recv() == [{
        "a": "nan", "b": "-Infinity", "c": True, "d": None, "e": -(1 << 63),
        "f": None, "g": "1.5e-308"}]


@pytest.mark.parametrize("element", [
    b"(123456789012345678901234567890\r\n", b"+PING\r\n", b"-PING\r\n",
    b"=8\r\ntxt:PING\r\n", b"!4\r\nPING\r\n", b"%0\r\n", b"~0\r\n", b">0\r\n",
    b"|0\r\n", b"*0\r\n", b"#x\r\n", b"_x\r\n", b",1.\r\n5", b",\r\n", b":\r\n",
    b":1.5\r\n", b":9223372036854775808\r\n", b"$\r\n", b"$04\r\nPING\r\n",
    b"$4\nPING\n", b"$4\r\nPINGS\r\n", b"\r\n", b"\x00"], ids=repr)
def test_what_a_request_may_not_hold_is_refused(daemon, element):
    c = daemon.connect(None)
    c.send_raw(b"*2\r\n" + element + b"$4\r\nPING\r\n")
    assert_refused(c)


def test_text_that_is_not_utf8_is_an_error_and_the_session_stays(daemon):
    c = daemon.connect()
    assert isinstance(c.try_call("SQL", "SELECT $1::text", b"\xff\xfe"),
                      LkError)
    assert isinstance(c.try_call("SQL", b"SELECT '\xff'"), LkError)
    assert c.value("SELECT 1") == 1
