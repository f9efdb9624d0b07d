"""Verbs asked of the daemon, and the same questions asked in SQL past it.

Expected values are made here of the server's texts, by the manual's table of
types, so nothing of the daemon's is taken to be right.
"""
import contextlib
import math
import pathlib
import re
import shlex
import subprocess

from client import good
from cluster import PRELOAD, Database
from daemon import Daemon

SCHEMAS = pathlib.Path(__file__).resolve().parent / "schemas"

INTEGERS = {20, 21, 23, 26}
FLOATS = {700, 701}
BOOL, BYTEA = 16, 17
ELEMENTS = {1000: 16, 1005: 21, 1007: 23, 1009: 25, 1016: 20, 1021: 700,
            1022: 701, 1182: 1082, 1002: 18}


def words(line):
    """A request as typed: '…' keeps blanks, " is as any other byte, and _
    alone is SQL NULL."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.quotes = True, "'"
    lexer.escape = lexer.commenters = ""
    return [None if word == "_" else word for word in lexer]


# -- the server's texts as values

def typed(text, oid):
    """As a RESP3 client of the daemon's has it."""
    if text is None:
        return None
    if oid in ELEMENTS:
        return _array(text, ELEMENTS[oid])
    if oid in INTEGERS:
        return int(text)
    if oid in FLOATS:
        return float(text) if math.isfinite(float(text)) else text
    if oid == BOOL:
        return text == "t"
    if oid == BYTEA:
        return bytes.fromhex(text[2:]).decode("utf-8", "surrogateescape")
    return text


def _array(text, element):
    """PostgreSQL's {…} as lists."""
    stack, at = [[]], 0
    while at < len(text):
        c = text[at]
        if c == "{":
            stack.append([])
        elif c == "}":
            stack[-2].append(stack.pop())
        elif c == '"':
            end = at + 1
            while text[end] != '"':
                end += 2 if text[end] == "\\" else 1
            body = re.sub(r"\\(.)", r"\1", text[at + 1:end])
            stack[-1].append(typed(body, element))
            at = end
        elif c != ",":
            end = min(e for e in (text.find(",", at), text.find("}", at))
                      if e >= 0)
            word = text[at:end]
            stack[-1].append(None if word == "NULL" else typed(word, element))
            at = end - 1
        at += 1
    return stack[0][0]


def as_resp2(value):
    """What RESP2 makes of a RESP3 value."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, dict):
        return [as_resp2(v) for pair in value.items() for v in pair]
    if isinstance(value, list):
        return [as_resp2(v) for v in value]
    return value


class Both:
    """A database of a schema, a daemon on it, a client of that one, and a
    session of our own beside it."""

    def __init__(self, schemas, schema, name, **settings):
        self._schemas = schemas
        self.db = schemas.make(schema, name)
        self.session = self.db.connect()
        self.session.query("SET TimeZone = 'UTC'")
        settings = {"workers": {"max": 8}} | settings
        self.daemon = Daemon(self.db.conninfo, **settings)
        try:
            self.client = self.daemon.start().connect()
        except BaseException:
            self.close()
            raise

    def close(self):
        self.daemon.remove()
        self._schemas.drop(self.db)

    # -- SQL

    def rows(self, sql):
        """Maps, as a verb would reply with."""
        rows = self.session.query(sql)
        columns = self.session.columns
        return [{name: typed(text, oid)
                 for (name, oid), text in zip(columns, row)} for row in rows]

    def column(self, sql):
        return [next(iter(row.values())) for row in self.rows(sql)]

    def value(self, sql):
        return self.column(sql)[0]

    # -- verbs

    def ask(self, line, *more):
        """The reply; an error is raised."""
        return good(self.try_ask(line, *more))

    def try_ask(self, line, *more):
        return self.client.try_call(*words(line), *more)

    def fails(self, kind, line, *more):
        return self.client.fails(kind, *words(line), *more)

    @contextlib.contextmanager
    def tx(self, *options):
        """A transaction, for as long as the block: its #handle."""
        handle = f"#{self.client.call('BEGIN', *options)}"
        try:
            yield handle
        finally:
            self.client.try_call(handle, "ROLLBACK")

    def statements(self):
        """A function that says how many the daemon has sent since."""
        before = self.client.call("SHOW", "stats")["statements"]
        return lambda: (self.client.call("SHOW", "stats")["statements"]
                        - before)


class Schemas:
    """Databases made of schemas/*.sql, which are loaded once and then copied,
    and by pgbench."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._loaded = set()

    def _sql(self, sql, dbname="postgres"):
        with self._cluster.connect(dbname, "control") as session:
            return session.query(sql, 60)

    def has_preloaded(self):
        return PRELOAD in self._sql("SHOW shared_preload_libraries")[0][0]

    def make(self, schema, name):
        if schema == "pgbench":
            self._sql(f"CREATE DATABASE {name}")
            subprocess.run([self._cluster.bindir / "pgbench", "-iq",
                            "--foreign-keys", self._cluster.conninfo(name)],
                           check=True, capture_output=True)
        else:
            self._copy(schema, name)
        return Database(self._cluster, name)

    def _copy(self, schema, name):
        if schema not in self._loaded:
            self._load(schema)
        # By its files, which is quicker for a few megabytes.
        how = "STRATEGY file_copy" if int(self._sql(
            "SHOW server_version_num")[0][0]) >= 150000 else ""
        self._sql(f"CREATE DATABASE {name} TEMPLATE of_{schema} {how}")

    def _load(self, schema):
        self._sql(f"CREATE DATABASE of_{schema}")
        self._sql((SCHEMAS / f"{schema}.sql").read_text("utf-8"),
                  f"of_{schema}")
        if self.has_preloaded():
            self._sql(f"CREATE EXTENSION {PRELOAD}", f"of_{schema}")
        self._loaded.add(schema)

    def drop(self, database):
        database.close()
        self._sql(f"DROP DATABASE {database.name} WITH (FORCE)")
