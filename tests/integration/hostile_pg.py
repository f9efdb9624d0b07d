"""A server that speaks PostgreSQL's protocol, rightly until told otherwise.

It listens on a Unix socket in a directory of its own and keeps no data: every
statement succeeds, and those that the daemon makes for itself are answered so
that sessions and watchers come up.  on() says where it is to misbehave, and
how.
"""
import itertools
import shutil
import socket
import struct
import threading

from cluster import short_tempdir

INT4, TEXT, FLOAT8, BYTEA = 23, 25, 701, 17
_system_ids = itertools.count(7000)
_CANCEL_REQUEST, _SSL_REQUEST, _GSS_REQUEST = 80877102, 80877103, 80877104

PARAMETERS = {
    "server_version": "15.0", "server_encoding": "UTF8",
    "client_encoding": "UTF8", "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres", "TimeZone": "UTC",
    "integer_datetimes": "on", "standard_conforming_strings": "on",
    "is_superuser": "on", "session_authorization": "postgres",
}


# -- messages

def message(kind, body=b"", size=None):
    """size: what its length word says, if that is not the truth."""
    return kind + struct.pack("!i", len(body) + 4 if size is None
                              else size) + body


def text(value):
    return (value if isinstance(value, bytes) else value.encode()) + b"\0"


def columns(*named):
    """RowDescription of (name, type oid) or names of text columns."""
    body = bytearray(struct.pack("!H", len(named)))
    for column in named:
        name, oid = column if isinstance(column, tuple) else (column, TEXT)
        body += text(name) + struct.pack("!ihihih", 0, 0, oid, -1, -1, 0)
    return message(b"T", bytes(body))


def row(*cells):
    body = bytearray(struct.pack("!H", len(cells)))
    for cell in cells:
        if cell is None:
            body += struct.pack("!i", -1)
            continue
        data = cell if isinstance(cell, bytes) else str(cell).encode()
        body += struct.pack("!i", len(data)) + data
    return message(b"D", bytes(body))


def complete(tag):
    return message(b"C", text(tag))


def report(kind, **fields):
    """An ErrorResponse or NoticeResponse: report(b"E", C="42601", M="no")."""
    return message(kind, b"".join(name.encode() + text(value)
                                  for name, value in fields.items()) + b"\0")


def error(sqlstate="XX000", words="hostile", severity="ERROR"):
    return report(b"E", S=severity, V=severity, C=sqlstate, M=words)


def notice(words="hostile"):
    return report(b"N", S="NOTICE", V="NOTICE", C="00000", M=words)


def parameter(name, value):
    return message(b"S", text(name) + text(value))


def ready(status=b"I"):
    return message(b"Z", status)


# -- the server

class Gone(Exception):
    """The other end closed, or we do."""


class HostileServer:
    def __init__(self):
        self.directory = short_tempdir("lkhs")
        self.conninfo = f"host={self.directory} port=5432 user=postgres " \
            "dbname=hostile"
        self.parameters = dict(PARAMETERS)
        self.system_id = str(next(_system_ids))
        self.takes_cancels = True	# False: reads them and says nothing
        self.backends = []
        self.executed = []		# texts, as they were executed
        self.n_cancels = 0
        self._rules = []
        self._next_pid = 1000
        self._lock = threading.Lock()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.directory / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def on(self, stage, action, sql="attack", application=""):
        """At that stage (startup, parse, describe, bind, portal, execute,
        sync) of statements whose text has sql, in sessions whose
        application_name starts so, do action instead: bytes are sent, a
        function is called with the backend."""
        self._rules.append((stage, action, sql, application))

    def behave(self):
        self._rules = []

    def rule(self, stage, sql, application):
        for at, action, needle, name in self._rules:
            if at == stage and needle in sql and \
                    application.startswith(name):
                return action
        return None

    def backend(self, pid):
        return next((b for b in self.backends if b.pid == pid), None)

    def close(self):
        self._listener.close()
        for backend in list(self.backends):
            backend.hang_up()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _accept(self):
        while True:
            try:
                sock = self._listener.accept()[0]
            except OSError:
                return
            with self._lock:
                self._next_pid += 1
                backend = Backend(self, sock, self._next_pid)
                self.backends.append(backend)
            threading.Thread(target=backend.run, daemon=True).start()


class Backend:
    def __init__(self, server, sock, pid):
        self.server = server
        self.pid = pid
        self.application = ""
        self.cancelled = threading.Event()
        self._sock = sock
        self._in = sock.makefile("rb")
        self._out = b""
        self._status = b"I"
        self._prepared = {}		# name: text
        self._portal = ""		# text
        self._last = ""			# text of the last message
        self._is_skipping = False

    # -- what rules may use

    def send(self, data):
        """At once."""
        data, self._out = self._out + data, b""
        try:
            self._sock.sendall(data)
        except OSError as exc:
            raise Gone() from exc

    def skip(self):
        """Answer nothing before the Sync."""
        self._is_skipping = True

    def resume(self):
        self._is_skipping = False

    def fall_silent(self):
        """Until the other end closes."""
        self.send(b"")
        while self._in.read(4096):
            pass
        raise Gone()

    def hang_up(self):
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    # -- what a server does

    def run(self):
        try:
            if self._start():
                while True:
                    self._answer(self._read(1), self._read_body())
        except (Gone, OSError, struct.error):
            pass
        finally:
            self.hang_up()
            self._sock.close()
            self.server.backends.remove(self)

    def _read(self, n):
        data = self._in.read(n)
        if len(data) < n:
            raise Gone()
        return data

    def _read_body(self):
        return self._read(struct.unpack("!i", self._read(4))[0] - 4)

    def _start(self):
        body = self._read_body()
        code = struct.unpack("!i", body[:4])[0]
        if code in (_SSL_REQUEST, _GSS_REQUEST):
            self.send(b"N")
            return self._start()
        if code == _CANCEL_REQUEST:
            self._take_cancel(struct.unpack("!i", body[4:8])[0])
            return False
        words = body[4:].split(b"\0")
        said = dict(zip(words[::2], words[1::2]))
        self.application = said.get(b"application_name", said.get(
            b"fallback_application_name", b"")).decode()
        action = self.server.rule("startup", "attack", self.application)
        if action is not None:
            self._act(action)
        else:
            self.send(self.greeting())
        return True

    def greeting(self, **instead):
        """All that comes before the first statement, or other parts."""
        parts = {
            "auth": message(b"R", struct.pack("!i", 0)),
            "parameters": b"".join(parameter(name, value) for name, value
                                   in self.server.parameters.items()),
            "key": message(b"K", struct.pack("!ii", self.pid, 1)),
            "ready": ready(),
        } | instead
        return b"".join(parts.values())

    def _take_cancel(self, pid):
        self.server.n_cancels += 1
        if not self.server.takes_cancels:
            self.fall_silent()
        victim = self.server.backend(pid)
        if victim:
            victim.cancelled.set()

    def _act(self, action):
        if callable(action):
            action(self)
        else:
            self.send(action)

    def _answer(self, kind, body):
        if kind == b"X":
            raise Gone()
        stage, sql, sane = self._understand(kind, body)
        if kind == b"S":
            self._is_skipping = False
        if self._is_skipping:
            return
        self._last = sql
        action = self.server.rule(stage, sql, self.application)
        if stage == "execute":
            self.server.executed.append(sql)
        if action is not None:
            self._act(action)
        else:
            self._out += sane
        if kind in b"SH":
            self.send(b"")

    def _understand(self, kind, body):
        """(stage, text, the right answer)"""
        if kind == b"P":
            name, sql = body.split(b"\0")[:2]
            self._prepared[name] = sql.decode()
            return "parse", sql.decode(), message(b"1")
        if kind == b"B":
            self._portal = self._prepared.get(body.split(b"\0")[1], "")
            return "bind", self._portal, message(b"2")
        if kind == b"D" and body[:1] == b"S":
            sql = self._prepared.get(body[1:-1], "")
            n = sql.count("$")
            return "describe", sql, message(b"t", struct.pack(
                f"!H{n}i", n, *[TEXT] * n)) + self._describe(sql)
        if kind == b"D":
            return "portal", self._portal, self._describe(self._portal)
        if kind == b"E":
            return "execute", self._portal, self._execute(self._portal)
        if kind == b"S":
            return "sync", self._last, ready(self._status)
        return "other", self._last, b""

    # -- a database of sorts

    def _result(self, sql):
        """(columns, rows) or None"""
        if "pg_control_system" in sql:
            return ("pid", "system_identifier", "start"), [
                (self.pid, self.server.system_id, "2026-01-01 00:00:00+00")]
        if "pg_cancel_backend" in sql or "pg_terminate_backend" in sql:
            for backend in list(self.server.backends):
                if backend.application == "lockkeeper":
                    backend.cancelled.set()
            return ("sent",), [("t",)]
        if "wait_event_type" in sql or "pg_prepared_statements" in sql:
            return ("a",), []
        if "pg_type" in sql:
            return ("oid", "elem", "delim", "name"), []
        if sql.startswith("SELECT"):
            return ("v",), [("sane",)]
        return None

    def _describe(self, sql):
        result = self._result(sql)
        return columns(*result[0]) if result else message(b"n")

    def _execute(self, sql):
        result = self._result(sql)
        if result:
            return b"".join(row(*cells) for cells in result[1]) + \
                complete(f"SELECT {len(result[1])}")
        word = sql.split(" ")[0] if sql else ""
        if word in ("BEGIN", "COMMIT", "ROLLBACK"):
            self._status = b"T" if word == "BEGIN" else b"I"
        tag = {"UPDATE": "UPDATE 1", "INSERT": "INSERT 0 1"}.get(word, word)
        return complete(tag)
