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
    signal.signal(signal.SIGALRM, _too_long)


def _files(prefix, *names):
    return {f"test_{prefix}{name}.py" for name in names}


# What sanitizers are to see.  They make all slower, and much of the rest is
# about one thread's doing, the loop's or a program's, which has unit tests, a
# simulation and fuzz targets that run with sanitizers.
WITH_SANITIZERS = {
    # Where memory is made, handed over and freed in all the ways that there are.
    "address": _files("", "batches", "cancel", "catalog", "cli", "config",
                      "cursors", "envelope", "errors", "group_commit",
                      "hostile_floods", "hostile_server", "lane_units",
                      "lanes", "liblockkeeper", "limits", "models",
                      "orm_many", "orm_tx", "orm_upsert", "protocol", "pubsub",
                      "python_cancel", "python_client", "reload", "show",
                      "transactions", "units", "with"),
    # Where threads have to do with each other.
    "thread": _files("", "batches", "bytes", "cancel", "cancel_race",
                     "catalog", "cursors", "db_worker", "deadlocks", "drain",
                     "group_commit", "hostile_server", "idle", "lanes",
                     "liblockkeeper", "orm_many", "orm_tx", "parking", "pool",
                     "pubsub", "python_cancel", "reload", "rude", "signals",
                     "transactions", "units"),
}


def pytest_collection_modifyitems(items):
    files = WITH_SANITIZERS.get(timing.SANITIZERS)
    if files is not None:
        items[:] = [item for item in items if item.path.name in files]


# A test that hangs fails, and the others go on.
LONGEST_S = 300


def _too_long(number, frame):
    del number, frame
    raise TimeoutError(f"this has taken {LONGEST_S} s")


@pytest.hookimpl(hookwrapper=True)
def _bounded(item):
    del item
    signal.alarm(LONGEST_S)
    yield
    signal.alarm(0)


pytest_runtest_setup = pytest_runtest_call = pytest_runtest_teardown = _bounded


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
