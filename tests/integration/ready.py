"""Redis clients that others have written, behind one face.

A Kind is a client library, and whoever knows how to use it; open() of it is a
connection which says HELLO whenever it connects, first or again.  verb names
its settings: those that we advise, or for a few kinds others.  start() sends
a request and returns its future: a value, with bytes as str as client.py
has them, or LkError for an error reply, or Lost for whatever else the library
raises.
"""
import asyncio
import concurrent.futures
import json
import shutil
import subprocess
import threading

import process
from client import LkError
from daemon import find_daemon
from timing import FACTOR

try:
    import redis
    import redis.asyncio.retry
    from redis.backoff import NoBackoff
except ImportError:
    redis = None

STDERR = 2	# pytest's, which shows it when a test fails


class Lost(Exception):
    """No reply, but what the library says of the connection or the call."""


def plain(value):
    """Values as client.py has them, whatever the library makes of them."""
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, dict):
        if set(value) == {"hex"}:
            return plain(bytes.fromhex(value["hex"]))
        if set(value) == {"error"}:
            return LkError(plain(value["error"]))
        return {plain(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, Exception):
        return LkError(str(value))
    return value


class Kind:
    proto = 2	# what its users speak

    def bytes(self, connection, *words):
        """call() by somebody who wants bulk strings as they are."""
        return connection.call(*words)


class Connection:
    """start() is its kind's."""

    def call(self, *words):
        return self.start(*words).result(15 * FACTOR / 10)

    def sql(self, text, *params):
        return self.call("SQL", text, *params)

    def value(self, text, *params):
        """The first row's first column."""
        row = self.sql(text, *params)[0]
        return next(iter(row.values())) if isinstance(row, dict) else row[1]


# ---- redis-py: in this process ----

def redis_settings(library, verb):
    retry = library.retry.Retry
    if verb == "retry":
        return {"retry": retry(NoBackoff(), 3),
                "retry_on_error": [redis.ConnectionError]}
    if verb == "auth":
        return {"username": "u", "password": "p", "client_name": "me"}
    return {"retry": retry(NoBackoff(), 0)}	# nothing is sent twice


def redis_pool(library, path, hello, parser, verb):
    """A pool of connections which say HELLO when they connect."""
    async def on_connect_async(conn):
        await conn.on_connect()
        await conn.send_command("HELLO", *hello)
        await conn.read_response()

    def on_connect(conn):
        conn.on_connect()
        conn.send_command("HELLO", *hello)
        conn.read_response()

    return library.ConnectionPool(
        connection_class=library.connection.UnixDomainSocketConnection,
        path=path, parser_class=getattr(library.connection, parser),
        redis_connect_func=on_connect if library is redis
        else on_connect_async, **redis_settings(library, verb))


class RedisPy(Kind):
    """The blocking one: each connection with a thread of its own."""

    def __init__(self, parser):
        self._parser = parser
        self._open = []

    def open(self, path, *hello, verb="open"):
        pool = redis_pool(redis, path, hello, self._parser, verb)
        opened = _RedisPyConnection(pool)
        self._open.append(opened)
        return opened

    def close(self):
        for opened in self._open:
            opened.close()


class _RedisPyConnection(Connection):
    def __init__(self, pool):
        self._pool = pool
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._redis = redis.Redis(connection_pool=pool,
                                  single_connection_client=True)

    def start(self, *words):
        return self._thread.submit(self._run, words)

    def multi(self, *requests):
        return self._thread.submit(self._run_multi, requests)

    def _run_multi(self, requests):
        pipe = self._redis.pipeline(transaction=True)
        for words in requests:
            pipe.execute_command(*words)
        try:
            return plain(pipe.execute())
        except redis.ResponseError as error:
            raise LkError(str(error)) from error

    def _run(self, words):
        try:
            return plain(self._redis.execute_command(*words))
        except redis.ResponseError as error:
            raise LkError(str(error)) from error
        except redis.RedisError as error:
            raise Lost(f"{type(error).__name__}: {error}") from error

    def close(self):
        self._pool.disconnect()		# ends what the thread may wait for
        self._thread.shutdown()


class RedisPyAsyncio(Kind):
    """All connections on one event loop, which has a thread."""

    def __init__(self, parser):
        self._parser = parser
        self._open = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def open(self, path, *hello, verb="open"):
        pool = redis_pool(redis.asyncio, path, hello, self._parser, verb)
        opened = _RedisPyAsyncioConnection(pool, self._loop)
        self._open.append(opened)
        return opened

    def close(self):
        for opened in self._open:
            opened.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _RedisPyAsyncioConnection(Connection):
    def __init__(self, pool, loop):
        self._loop = loop
        self._redis = redis.asyncio.Redis(connection_pool=pool,
                                          single_connection_client=True)

    def start(self, *words):
        return asyncio.run_coroutine_threadsafe(self._run(words), self._loop)

    def multi(self, *requests):
        return asyncio.run_coroutine_threadsafe(self._run_multi(requests),
                                                self._loop)

    async def _run_multi(self, requests):
        pipe = self._redis.pipeline(transaction=True)
        for words in requests:
            pipe.execute_command(*words)
        try:
            return plain(await pipe.execute())
        except redis.ResponseError as error:
            raise LkError(str(error)) from error

    async def _run(self, words):
        try:
            return plain(await self._redis.execute_command(*words))
        except redis.ResponseError as error:
            raise LkError(str(error)) from error
        except redis.RedisError as error:
            raise Lost(f"{type(error).__name__}: {error}") from error

    def close(self):
        asyncio.run_coroutine_threadsafe(
            self._redis.close(close_connection_pool=True),
            self._loop).result(5)


# ---- programs that take orders: see tests/clients/node/driver.mjs ----

def order_word(word):
    if word is None:
        return "n"
    if word is True:
        return "t"
    if isinstance(word, int):
        return f"i{word}"
    if isinstance(word, str):
        word = word.encode("utf-8", "surrogateescape")
    return "x" + word.hex()


class Program(Kind):
    """argv(path) runs it for a daemon's socket: a process each connection."""
    one_each = True

    def __init__(self, argv, proto=2, cwd=None):
        self.proto = proto
        self._argv = argv
        self._cwd = cwd
        self._running = []

    def open(self, path, *hello, verb="open"):
        if self.one_each or not self._running:
            self._running.append(_Running(self._argv(path), self._cwd))
        return _OrderedConnection(self._running[-1], hello, verb)

    def close(self):
        for running in self._running:
            running.close()


class LoopProgram(Program):
    """All connections in one process, on an event loop."""
    one_each = False


class NodeProgram(LoopProgram):
    def bytes(self, connection, *words):
        return connection.start(*words, verb="bytes").result(15 * FACTOR / 10)


class _Running:
    def __init__(self, argv, cwd):
        self._process = process.spawn(
            argv, log=STDERR, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, cwd=cwd)
        self._orders = {}	# number -> future
        self._n_orders = 0
        self.n_connections = 0
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def order(self, connection, verb, words):
        self._n_orders += 1
        future = self._orders[self._n_orders] = concurrent.futures.Future()
        line = " ".join([str(self._n_orders), str(connection), verb,
                         *map(order_word, words)])
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return future

    def _read(self):
        for line in self._process.stdout:
            answer = json.loads(line)
            future = self._orders.pop(answer.pop("number"))
            (what, value), = answer.items()
            if what == "value":
                future.set_result(plain(value))
            else:
                kind = LkError if what == "error" else Lost
                future.set_exception(kind(plain(value)))
        for future in self._orders.values():
            future.set_exception(Lost("the program has ended"))

    def close(self):
        self._process.stdin.close()
        status = process.end(self._process, number=0)
        self._reader.join()
        self._process.stdout.close()
        assert status == 0, f"the client's exit status is {status}"


class _OrderedConnection(Connection):
    def __init__(self, running, hello, verb):
        self._running = running
        self._number = running.n_connections
        running.n_connections += 1
        self.start(*hello, verb=verb).result(15 * FACTOR / 10)

    def start(self, *words, verb="call"):
        return self._running.order(self._number, verb, words)

    def multi(self, *requests):
        words = [word for request in requests for word in (*request, None)]
        return self.start(*words, verb="multi")


# ---- all of them ----

NO_REDIS_PY = "redis-py is not tried: this Python cannot import redis " \
    "(Debian: apt-get install python3-redis, then ./configure again)"
NO_REDIS_PY_HIREDIS = "redis-py is not tried with hiredis: this Python " \
    "cannot import it (Debian: apt-get install python3-hiredis, then " \
    "./configure again)"
NO_HIREDIS = "libhiredis is not tried: what uses it was not built (Debian: " \
    "apt-get install libhiredis-dev, then ./configure again)"
NO_NODE = "ioredis and redis of npm are not tried: there is no node " \
    "(Debian: apt-get install nodejs npm)"


class Missing(Exception):
    """This client is not here; the text says how to have it."""


def with_redis_py(kind, parser):
    def make(_):
        if redis is None:
            raise Missing(NO_REDIS_PY)
        if parser == "HiredisParser" and not redis.utils.HIREDIS_AVAILABLE:
            raise Missing(NO_REDIS_PY_HIREDIS)
        return kind(parser)

    return make


def with_hiredis(kind, api):
    def make(_):
        program = find_daemon().parent / "tests/clients/hiredis_client"
        if not program.exists():
            raise Missing(NO_HIREDIS)
        return kind(lambda path: [program, api, path])

    return make


def with_node(name, proto):
    def make(install):
        if shutil.which("node") is None:
            raise Missing(NO_NODE)
        return NodeProgram(lambda path: ["node", name, path, str(proto)],
                           proto, install())

    return make


# Each is called with a function that installs what comes from npm and returns
# where that is.
KINDS = {
    "redis-py": with_redis_py(RedisPy, "PythonParser"),
    "redis-py+hiredis": with_redis_py(RedisPy, "HiredisParser"),
    "redis-py-asyncio": with_redis_py(RedisPyAsyncio, "PythonParser"),
    "redis-py-asyncio+hiredis": with_redis_py(RedisPyAsyncio, "HiredisParser"),
    "hiredis": with_hiredis(Program, "sync"),
    "hiredis-async": with_hiredis(LoopProgram, "async"),
    "ioredis": with_node("ioredis.mjs", 2),
    "node-redis-2": with_node("node-redis.mjs", 2),
    "node-redis-3": with_node("node-redis.mjs", 3),
}
TRANSACTIONS = ["redis-py", "redis-py+hiredis", "redis-py-asyncio", "ioredis",
                "node-redis-2", "node-redis-3"]
PIPELINING = ["hiredis-async", "ioredis", "node-redis-2", "node-redis-3"]
