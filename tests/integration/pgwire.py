"""A minimal PostgreSQL client for sessions outside the daemon.

Simple query protocol over the Unix socket with trust authentication; values
are text.  start() and finish() let one thread leave a statement waiting.
"""
import select
import socket
import struct
import time


class PgError(Exception):
    def __init__(self, fields):
        self.sqlstate = fields.get("C", "")
        self.message = fields.get("M", "")
        super().__init__(f"{self.sqlstate} {self.message}")


class StillWaiting(Exception):
    """The statement has no answer yet."""


class Session:
    def __init__(self, directory, dbname, *, user="postgres", port=5432,
                 application="foreign", timeout_s=10.0):
        self.timeout_s = timeout_s
        self.pid = 0
        self._in = b""
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(timeout_s)
        self._sock.connect(f"{directory}/.s.PGSQL.{port}")
        words = ("user", user, "database", dbname,
                 "application_name", application)
        body = struct.pack("!i", 196608)
        body += b"".join(w.encode() + b"\0" for w in words) + b"\0"
        self._sock.sendall(struct.pack("!i", len(body) + 4) + body)
        self._reset()
        self.finish()

    def _reset(self):
        self.tag = ""
        self.columns = []
        self._rows = []
        self._error = None

    def start(self, sql):
        """Send it, without waiting for its result.  "\\udce9" is the byte e9."""
        self._reset()
        body = sql.encode(errors="surrogateescape") + b"\0"
        self._sock.sendall(b"Q" + struct.pack("!i", len(body) + 4) + body)

    def finish(self, timeout_s=None):
        """The rows of what was started; StillWaiting when there is no answer
        in that time, and then it may be asked again."""
        end = time.monotonic() + (timeout_s if timeout_s is not None
                                  else self.timeout_s)
        while True:
            message = self._take_message()
            if message is None:
                self._read_some(max(0.0, end - time.monotonic()))
                continue
            kind, body = message
            if kind == b"Z":
                break
            self._note(kind, body)
        if self._error:
            error, self._error = self._error, None
            raise error
        return self._rows

    def is_waiting(self):
        try:
            self.finish(0)
        except StillWaiting:
            return True
        except PgError:
            pass
        return False

    def query(self, sql, timeout_s=None):
        self.start(sql)
        return self.finish(timeout_s)

    def value(self, sql):
        return self.query(sql)[0][0]

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _read_some(self, timeout_s):
        if not select.select([self._sock], [], [], timeout_s)[0]:
            raise StillWaiting()
        data = self._sock.recv(65536)
        if not data:
            raise self._error or PgError({"C": "08006", "M": "closed"})
        self._in += data

    def _take_message(self):
        if len(self._in) < 5:
            return None
        size = struct.unpack("!i", self._in[1:5])[0] + 1
        if len(self._in) < size:
            return None
        kind, body = self._in[:1], self._in[5:size]
        self._in = self._in[size:]
        return kind, body

    def _note(self, kind, body):
        if kind == b"K":
            self.pid = struct.unpack("!i", body[:4])[0]
        elif kind == b"C":
            self.tag = body[:-1].decode()
        elif kind == b"T":
            self._rows = []
            self.columns = _columns(body)
        elif kind == b"D":
            self._rows.append(_row(body))
        elif kind == b"E":
            fields = [f for f in body.split(b"\0") if f]
            self._error = PgError({f[:1].decode(): f[1:].decode()
                                   for f in fields})


def _columns(body):
    """(name, type's oid) of each."""
    columns, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        end = body.index(b"\0", at)
        oid, = struct.unpack("!I", body[end + 7:end + 11])
        columns.append((body[at:end].decode(), oid))
        at = end + 19
    return columns


def _row(body):
    cells, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        size = struct.unpack("!i", body[at:at + 4])[0]
        at += 4
        if size < 0:
            cells.append(None)
            continue
        cells.append(body[at:at + size].decode())
        at += size
    return tuple(cells)
