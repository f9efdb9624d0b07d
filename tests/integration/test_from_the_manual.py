"""A client written from lockkeeper-protocol(7) alone plays its examples, and
those of lockkeeper-deadlocks(7)."""
import pathlib
import re
import socket
import textwrap

import pytest

MANUAL = pathlib.Path(__file__).parents[2] / "man"
PAGE = MANUAL / "lockkeeper-protocol.7"
DEADLOCKS = MANUAL / "lockkeeper-deadlocks.7"
Simple, Error = type("Simple", (str,), {}), type("Error", (str,), {})
Push = type("Push", (list,), {})


class ManualClient:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(15)
        self.sock.connect(path)
        self.bytes = self.sock.makefile("rb")
        self.pushes = []

    def send(self, *elements):
        out = b"*%d\r\n" % len(elements)
        for element in elements:
            data = element if isinstance(element, bytes) else \
                str(element).encode()
            out += b"$-1\r\n" if element is None else \
                b"$%d\r\n%b\r\n" % (len(data), data)
        self.sock.sendall(out)

    def line(self):
        line = self.bytes.readline()
        assert line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def value(self, line=None):
        """The next value, or the rest of the one that began so."""
        line = line or self.line()
        kind, rest = line[0], line[1:]
        if kind in "+-:,#_":
            return {"+": Simple, "-": Error, ":": int, ",": float,
                    "#": "t".__eq__, "_": lambda _: None}[kind](rest)
        n = int(rest)
        if n < 0:
            return None
        if kind in "$!":
            text = self.bytes.read(n + 2)[:-2].decode()
            return Error(text) if kind == "!" else text
        if kind == "%":
            return {self.value(): self.value() for _ in range(n)}
        return {"*": list, ">": Push}[kind](self.value() for _ in range(n))

    def reply(self):
        """(tag, value); the tag is None where the request had none."""
        while isinstance(value := self.value(), Push) and value[0] != "reply":
            self.pushes.append(value)
        if isinstance(value, list) and value and isinstance(value[0], Simple):
            return value[1], value[2]
        return None, value

    def call(self, *elements):
        self.send(*elements)
        return self.reply()[1]


def examples(title):
    """[(sent lines, expected lines), ...] of a section of the page."""
    text = PAGE.read_text().split(f".Ss {title}\n")[1].split("\n.S")[0]
    steps = []
    for line in re.findall(r"^[<>] .*", text, re.M):
        if line[0] == ">" and (not steps or steps[-1][1]):
            steps.append(([], []))
        steps[-1][line[0] == "<"].append(line[2:])
    assert steps
    return steps


@pytest.fixture
def client(db, daemon):
    db.sql("CREATE TABLE t (id int, v int); INSERT INTO t VALUES (1), (2)")
    return ManualClient(daemon.socket)


def test_its_examples_are_true_byte_by_byte(client):
    for sent, expected in examples("Byte by byte"):
        client.sock.sendall("".join(f"{s}\r\n" for s in sent).encode())
        for before, line in zip([None] + expected, expected):
            if line == "...":
                client.value(before)
            else:
                assert client.line() == line


@pytest.mark.parametrize("proto", "23")
def test_its_examples_are_true_word_by_word(client, proto):
    client.call("HELLO", proto)
    handles = {}		# those of the page: ours
    for sent, expected in examples("Word by word"):
        for line in sent:
            line = re.sub(r"#(\d+)", lambda m: f"#{handles[m[1]]}", line)
            client.sock.sendall(f"{line}\r\n".encode())
        got = dict(client.reply() for _ in expected)
        for tag, text in (line.split(" ", 2)[1:] for line in expected):
            if re.fullmatch(r"\d{9,}", text):
                handles[text] = got[tag]
            else:
                assert re.fullmatch(re.escape(text).replace(r"\.\.\.", ".*"),
                                    got[tag])


def test_its_options_of_hello_are_understood(client):
    client.call("HELLO", 3, "TAGS", "push", "ERRORS", "blob", "INT8", "text")
    client.send("@a", "SQL", "INSERT INTO r VALUES (1)")
    tag, error = client.reply()
    assert (tag, type(error)) == ("a", Error)
    assert error.split("\n")[1:3] == [
        "retry: no", "detail: Key (id)=(1) already exists."]
    sql = "SELECT 1::int8 AS a, 1.5 AS b, '{t}'::bool[] AS c, $1::bytea AS d"
    assert client.call("SQL", sql, b"\n") == [
        {"a": "1", "b": "1.5", "c": [True], "d": "\n"}]


# -- what the page on deadlocks shows

def take(row, by):
    return f"UPDATE accounts SET balance = balance {by} WHERE id = {row}"


def play_thread(connect):
    """Two coroutines on one thread that blocks."""
    hello = ("HELLO", 3, "NAME", "shop", "MODE", "blocking", "THREAD", "main")
    invoice, mail = connect(*hello), connect(*hello)
    tx = f"#{invoice.call('%invoice', 'BEGIN')}"
    invoice.call("%invoice", tx, "SQL", take(1, "- 10"))
    return mail.call("%mail", "SQL", take(1, "- 10"))


def play_ring(connect):
    client, tx = connect("HELLO", 3, "NAME", "shop"), {}
    for task, row in (("anna", 1), ("bob", 2)):
        tx[task] = f"#{client.call('%' + task, 'BEGIN')}"
        client.call("%" + task, tx[task], "SQL", take(row, "- 10"))
    for task, row in (("anna", 2), ("bob", 1)):
        client.send("@" + task, "%" + task, tx[task], "SQL", take(row, "+ 10"))
    return next(value for _, value in (client.reply(), client.reply())
                if isinstance(value, Error))


def without_numbers(report):
    """And either of the two may have been the first."""
    report = re.sub(r"\d+", "N", " ".join(report.split()))
    names = [name for name in re.findall(r"\b(?:anna|bob)\b", report)]
    return re.sub(rf"\b{names[0]}\b|\b(anna|bob)\b",
                  lambda m: "B" if m[1] else "A", report) if names else report


@pytest.mark.parametrize("play", [play_thread, play_ring],
                         ids=lambda play: play.__name__[5:])
def test_its_reports_of_deadlocks_are_what_is_said(db, daemon, play):
    db.sql("""CREATE TABLE accounts (id int PRIMARY KEY, balance int);
        INSERT INTO accounts VALUES (1, 100), (2, 100)""")

    def connect(*hello):
        client = ManualClient(daemon.socket)
        client.call(*hello)
        return client

    said = play(connect)
    shown = re.search(rf"Report: {play.__name__[5:]}\n\.Bd.*?\n(.*?)\.Ed",
                      DEADLOCKS.read_text(), re.S)[1]
    assert without_numbers(shown) == without_numbers(said), \
        "the page should say:\n" + textwrap.fill(said, 74)
