"""Fixtures: a private PostgreSQL cluster for the run, a database per file
that is made new for each test, and daemons with a config of the test's."""
import signal
import sys

import pytest

sys.dont_write_bytecode = True	# the sources may be read-only

# pylint: disable=wrong-import-position
import timing
from cluster import Cluster, Database
from daemon import Daemon, is_built


def pytest_configure(config):
    del config

    def interrupt(number, frame):
        raise KeyboardInterrupt(f"signal {number}")

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    del call
    report = (yield).get_result()
    if not report.failed:
        return
    for daemon in getattr(item, "lk_daemons", []):
        report.sections.append(("lockkeeperd", daemon.log[-20000:]))


def pytest_terminal_summary(terminalreporter):
    if not timing.TOOK:
        return
    terminalreporter.section("what it took")
    for what, took_ms, limit_ms in timing.TOOK:
        terminalreporter.line(
            f"{took_ms:9.1f} ms  (promised {limit_ms:6g} ms)  {what}")


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


@pytest.fixture
def daemon(lockkeeperd):
    return lockkeeperd()
