"""A small RESP2 and RESP3 client.

Replies are sorted as they come: tagged ones by tag, pushes, and the rest in
order.  Bulk strings become str (bytes that are not UTF-8 as surrogates), maps
dict, errors LkError values; `arrived` remembers everything in its order.
"""
import collections
import select
import socket
import time


class NoReply(Exception):
    """Nothing came in the time given."""


class Closed(Exception):
    """The daemon closed the connection."""


class LkError(Exception):
    """text is a line or, of a blob, that and a line for each field."""

    def __init__(self, text):
        self.line, *lines = text.split("\n")
        super().__init__(self.line)
        self.kind, self.sqlstate, self.message = (self.line.split(" ", 2)
                                                  + ["", ""])[:3]
        self.fields = dict(line.split(": ", 1) for line in lines)

    def __contains__(self, text):
        return text in self.line


class Simple(str):
    """A simple string, such as a command tag."""


class Push(list):
    """A push: its kind and its map."""


def encode(args):
    """A request as an array of bulk strings; None is SQL NULL."""
    out = [b"*%d\r\n" % len(args)]
    for arg in args:
        if arg is None:
            out.append(b"$-1\r\n")
            continue
        if not isinstance(arg, bytes):
            arg = str(arg).encode("utf-8", "surrogateescape")
        out.append(b"$%d\r\n%s\r\n" % (len(arg), arg))
    return b"".join(out)


_SCALARS = {
    b"+": lambda line: Simple(line.decode()),
    b"-": lambda line: LkError(line.decode("utf-8", "surrogateescape")),
    b":": int,
    b",": lambda line: float(line.decode()),
    b"#": lambda line: line == b"t",
    b"_": lambda line: None,
}


_CLOSED = {
    b"*": list,
    b"~": list,
    b">": Push,
    b"%": lambda items: dict(zip(items[::2], items[1::2])),
}


class Decoder:
    """Bytes in, values out; no byte is looked at twice."""

    def __init__(self):
        self.data = bytearray()
        self._at = 0
        self._open = []		# [kind, elements to come, elements]
        self._bulk = None	# length of the bulk string being read
        self._bulk_kind = b""

    def values(self):
        """The values that are whole now."""
        while True:
            is_whole, value = self._next_element()
            if not is_whole:
                break
            while self._open and is_whole:
                is_whole, value = self._put(value)
            if is_whole:
                yield value
        del self.data[:self._at]
        self._at = 0

    def _put(self, value):
        """Into the innermost open list; (True, that list) when it is full."""
        kind, left, items = self._open[-1]
        items.append(value)
        if left > 1:
            self._open[-1][1] = left - 1
            return False, None
        self._open.pop()
        return True, _CLOSED[kind](items)

    def _next_element(self):
        """(True, value) or (False, None) when more bytes are needed."""
        while True:
            if self._bulk is not None:
                return self._take_bulk()
            end = self.data.find(b"\r\n", self._at)
            if end < 0:
                return False, None
            kind = bytes(self.data[self._at:self._at + 1])
            line = bytes(self.data[self._at + 1:end])
            self._at = end + 2
            if kind in _SCALARS:
                return True, _SCALARS[kind](line)
            n = int(line)
            if n < 0:
                return True, None
            if kind in b"$!":
                self._bulk, self._bulk_kind = n, kind
            elif n == 0:
                return True, _CLOSED[kind]([])
            else:
                self._open.append([kind, 2 * n if kind == b"%" else n, []])

    def _take_bulk(self):
        end = self._at + self._bulk
        if len(self.data) < end + 2:
            return False, None
        text = bytes(self.data[self._at:end])
        assert self.data[end:end + 2] == b"\r\n", "bulk string too long"
        self._at, self._bulk = end + 2, None
        text = text.decode("utf-8", "surrogateescape")
        return True, LkError(text) if self._bulk_kind == b"!" else text


def pairs(flat):
    """RESP2's flat array as a map."""
    if isinstance(flat, dict):
        return flat
    return dict(zip(flat[::2], flat[1::2]))


class Client:
    def __init__(self, path, *hello, timeout_s=15.0, sock=None):
        """hello: HELLO's arguments; without any, no HELLO is sent.
        sock: one that is connected already."""
        self.timeout_s = timeout_s
        self.sock = sock or socket.socket(socket.AF_UNIX)
        self.sock.settimeout(timeout_s)
        if sock is None:
            self.sock.connect(path)
        self.replies = collections.deque()
        self.tagged = {}
        self.pushes = []
        self.arrived = []	# (time, tag or None, value)
        self._decoder = Decoder()
        self._is_open = True
        self.hello = self.call("HELLO", *hello) if hello else None

    # -- sending

    def send(self, *args):
        self.send_raw(encode(args))

    def send_raw(self, data):
        self.sock.sendall(data)

    # -- receiving

    def pump(self, timeout_s=0.0):
        """Take in what is there, or what comes first within that time."""
        if not self._is_open:
            raise Closed()
        if not select.select([self.sock], [], [], timeout_s)[0]:
            return False
        try:
            data = self.sock.recv(1 << 20)
        except ConnectionError:
            data = b""
        if not data:
            self._is_open = False
            raise Closed()
        self._decoder.data += data
        for value in self._decoder.values():
            self._take(value)
        return True

    def _take(self, value):
        tag = None
        is_list = isinstance(value, list) and len(value) == 3
        if is_list and value[0] == "reply" and isinstance(value[0], Simple):
            tag, value = value[1], value[2]
            assert tag not in self.tagged, f"two replies for tag {tag}"
            self.tagged[tag] = value
        elif isinstance(value, Push):
            self.pushes.append(value)
        else:
            self.replies.append(value)
        self.arrived.append((time.monotonic(), tag, value))

    def until(self, probe, what, timeout_s=None):
        """Take in until probe() is true; returns its answer."""
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        end = time.monotonic() + timeout_s
        while True:
            answer = probe()
            if answer:
                return answer
            left = end - time.monotonic()
            if left <= 0:
                raise NoReply(f"{what} within {timeout_s:g} s")
            self.pump(left)

    def recv(self, timeout_s=None):
        """The next untagged reply; errors are values."""
        self.until(lambda: self.replies, "an untagged reply", timeout_s)
        return self.replies.popleft()

    def tag(self, tag, timeout_s=None):
        """The reply for tag; errors are values."""
        self.until(lambda: tag in self.tagged, f"a reply for @{tag}",
                   timeout_s)
        return self.tagged.pop(tag)

    def push(self, kind, timeout_s=None):
        """The map of the next push of that kind."""
        def find():
            return next((p for p in self.pushes if p[0] == kind), None)

        found = self.until(find, f"a push {kind}", timeout_s)
        self.pushes.remove(found)
        return found[1]

    def has_reply(self, tag=None):
        """Whether it is here already."""
        while self.pump(0):
            pass
        return bool(self.replies) if tag is None else tag in self.tagged

    def is_silent(self, for_s):
        """Whether no reply comes within that time; pushes may."""
        n, end = len(self.replies) + len(self.tagged), time.monotonic() + for_s
        while (left := end - time.monotonic()) > 0:
            self.pump(left)
        return len(self.replies) + len(self.tagged) == n

    def read_raw(self, n, timeout_s=None):
        """The next n bytes as they are; not to be mixed with the rest."""
        self.sock.settimeout(timeout_s or self.timeout_s)
        taken = self._decoder.data
        while len(taken) < n:
            data = self.sock.recv(65536)
            if not data:
                raise Closed()
            taken += data
        data = bytes(taken[:n])
        del taken[:n]
        return data

    def read_to_end(self, timeout_s=None):
        """All bytes up to the daemon's close."""
        self.sock.settimeout(timeout_s or self.timeout_s)
        out = bytes(self._decoder.data)
        try:
            while data := self.sock.recv(65536):
                out += data
        except ConnectionError:
            pass
        self._is_open = False
        return out

    # -- both

    def try_call(self, *args, timeout_s=None):
        """Request and its untagged reply; an error is a value."""
        self.send(*args)
        return self.recv(timeout_s)

    def call(self, *args, timeout_s=None):
        """Request and its untagged reply; an error is raised."""
        return good(self.try_call(*args, timeout_s=timeout_s))

    def sql(self, text, *params, timeout_s=None):
        return self.call("SQL", text, *params, timeout_s=timeout_s)

    def value(self, text, *params):
        """The first row's first column."""
        row = self.sql(text, *params)[0]
        return next(iter(pairs(row).values()))

    def fails(self, kind, *args, timeout_s=None):
        """The error that the request must get."""
        return bad(kind, self.try_call(*args, timeout_s=timeout_s))

    def show(self, what):
        """SHOW's rows, each a map, in either protocol version."""
        return [pairs(row) for row in self.call("SHOW", what)]

    def close(self):
        self._is_open = False
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def good(reply):
    if isinstance(reply, LkError):
        raise reply
    return reply


def bad(kind, reply):
    assert isinstance(reply, LkError), f"{kind} expected, got {reply!r}"
    assert reply.kind == kind, f"{kind} expected, got {reply.line}"
    return reply
