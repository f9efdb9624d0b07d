"""Fixtures: a private PostgreSQL cluster for the run, a database per file
that is made new for each test, daemons with a config of the test's, and the
Redis clients that others have written."""
import shutil
import signal
import sys

import pytest

sys.dont_write_bytecode = True	# the sources may be read-only

# pylint: disable=wrong-import-position
import node
import ready
import timing
from cluster import Cluster, Database, short_tempdir
from daemon import Daemon, is_built
from gate import Gate
from hostile_stage import Stage
from orm import Both, Schemas


def pytest_configure(config):
    del config

    def interrupt(number, frame):
        raise KeyboardInterrupt(f"signal {number}")

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


def _files(prefix, *names):
    return {f"test_{prefix}{name}.py" for name in names}


# What the normal build alone need run.  Comparisons of verbs with SQL are about
# the compiler's doing, on the loop alone, which has unit tests and a fuzz target
# with sanitizers; they are many.  And much of the Python package is about what
# happens in Python.
NOT_SANITIZED = _files("orm_", "errors", "load", "page", "read", "where",
                       "write") \
    | _files("python_", "asyncpg", "models", "package", "resp", "sync", "types")
# Where threads have to do with each other, and more than messages: what else
# there is differs in what one thread does, the loop or the program.
THREADS = _files("", "batches", "bytes", "cancel", "cancel_race", "catalog",
                 "cursors", "db_worker", "deadlocks", "drain", "group_commit",
                 "hostile_server", "idle", "isolation", "lanes",
                 "liblockkeeper", "no_false_alarms", "orm_many", "orm_tx",
                 "parking", "pool", "pubsub", "python_cancel", "reload", "rude",
                 "signals", "transactions", "two_servers", "units", "with")
# These are about which of the waits that are seen is a deadlock: core's doing,
# whose simulation runs with sanitizers.
WAITS = _files("", "cancel_race", "expiry", "holders", "isolation",
               "no_false_alarms", "queues", "suspects", "two_servers")


def _is_left_out(name):
    if timing.SANITIZERS == "thread":
        return name not in THREADS
    return timing.SANITIZED and name in NOT_SANITIZED | WAITS


def pytest_collection_modifyitems(items):
    items[:] = [item for item in items
                if not _is_left_out(item.path.name)]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    del call
    report = (yield).get_result()
    if not report.failed:
        return
    both = [v.daemon for v in item.funcargs.values() if isinstance(v, Both)]
    for daemon in getattr(item, "lk_daemons", []) + both:
        report.sections.append(("lockkeeperd", daemon.log[-20000:]))


def pytest_terminal_summary(terminalreporter):
    if timing.TOOK:
        terminalreporter.section("what it took")
    for what, took, promised, unit in timing.TOOK:
        terminalreporter.line(
            f"{took:9.1f} {unit}  (promised {promised:6g} {unit})  {what}")
    skipped = terminalreporter.stats.get("skipped", [])
    # As tests/driver looks for, so that make check says it.
    for reason in sorted({report.longrepr[2] for report in skipped}):
        terminalreporter.line(reason.replace("Skipped: ", "SKIP: "))


@pytest.fixture(scope="session")
def pg():
    cluster = Cluster()
    try:
        cluster.create()
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="module")
def files_database(pg, request):
    name = request.module.__name__.replace("test_", "t_")
    pg.psql(f"CREATE DATABASE {name}")
    database = Database(pg, name)
    try:
        yield database
    finally:
        database.close()
        pg.psql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def db(files_database):
    files_database.reset()
    return files_database


@pytest.fixture
def lockkeeperd(db, request):
    """lockkeeperd(workers={"max": 2}, deadlock={"mode": "off"}, …) starts a
    daemon on this test's database."""
    if not is_built():
        pytest.exit("no lockkeeperd: build it, or set LK_BUILDDIR", 2)
    daemons = request.node.lk_daemons = []

    def start(conninfo=None, **settings):
        daemon = Daemon(conninfo or db.conninfo, **settings)
        daemons.append(daemon)
        return daemon.start()

    try:
        yield start
        for daemon in daemons:
            daemon.stop()
    finally:
        for daemon in daemons:
            daemon.remove()


@pytest.fixture(scope="session")
def schemas(pg):
    return Schemas(pg)


def both(schema):
    """A file's own copy of the schema, with a daemon."""
    @pytest.fixture(scope="module", name=schema)
    def fixture(schemas, request):
        name = request.module.__name__.replace("test_", f"t_{schema}_")
        made = Both(schemas, schema, name)
        try:
            yield made
            made.daemon.stop()
        finally:
            made.close()

    return fixture


pagila = both("pagila")
awkward = both("awkward")
pgbench = both("pgbench")


@pytest.fixture
def hostile(db, lockkeeperd):
    """hostile(2, limits={…}, …) starts a daemon with two hostile servers
    beside this test's database: see hostile_stage."""
    stages = []

    def start(n=1, **settings):
        stages.append(Stage(db, lockkeeperd, n, **settings))
        return stages[-1]

    yield start
    for stage in stages:
        stage.close()


@pytest.fixture
def daemon(lockkeeperd):
    return lockkeeperd()


@pytest.fixture
def gate(daemon):
    with Gate(daemon) as opened:
        yield opened


@pytest.fixture(scope="session")
def npm_directory():
    """Where the clients from npm are, and programs that use them."""
    directory = short_tempdir("lknode")
    try:
        yield node.install(directory)
    finally:
        shutil.rmtree(directory)


@pytest.fixture
def make_client(request):
    """make_client("ioredis") is a ready.Kind."""
    def make(name):
        try:
            made = ready.KINDS[name](
                lambda: request.getfixturevalue("npm_directory"))
        except ready.Missing as error:
            pytest.skip(str(error))
        request.addfinalizer(made.close)
        return made

    return make


@pytest.fixture(params=list(ready.KINDS))
def client(make_client, request):
    """Each of the clients that others have written."""
    return make_client(request.param)


@pytest.fixture(params=ready.TRANSACTIONS)
def multi_client(make_client, request):
    """Each that has MULTI and EXEC of its own."""
    return make_client(request.param)


@pytest.fixture(params=ready.PIPELINING)
def pipelining_client(make_client, request):
    """Each that sends many requests at once on one connection."""
    return make_client(request.param)
