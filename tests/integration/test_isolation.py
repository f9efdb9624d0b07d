"""The scenarios of tests/isolation, and their controls: see the README there.

Those with equal settings share a daemon, one after the other.
"""
import pytest

import scenario
from cluster import Database
from daemon import Daemon
from play import Play
from timing import SANITIZED, note

WORKERS = {"max": 8}
TOOK_MS = {}		# scenario's name: what its verdict took


class Daemons:
    """One at a time, and the databases that all have in common."""

    def __init__(self, pg):
        self._pg = pg
        self._databases = {}
        self._daemon = None
        self._key = None

    def databases(self, names):
        """Made new, but for the sessions of the daemon."""
        for name in names:
            if name not in self._databases:
                self._pg.psql(f"CREATE DATABASE t_isolation_{name}")
                self._databases[name] = Database(
                    self._pg, f"t_isolation_{name}")
            self._databases[name].renew()
        return {name: self._databases[name] for name in names}

    def with_settings(self, names, settings, options=""):
        key = repr((names, settings, options))
        if key != self._key:
            self.stop()
            self._daemon = self._start(names, dict(settings), options)
            self._key = key
        return self._daemon

    def _start(self, names, settings, options):
        workers = WORKERS | settings.pop("databases.workers", {})
        workers = {"min": workers["max"]} | workers
        databases = [{"name": name, "workers": workers,
                      "conninfo": self._databases[name].conninfo + options}
                     for name in names]
        return Daemon(None, databases=databases, **settings).start()

    def stop(self):
        daemon, self._daemon, self._key = self._daemon, None, None
        if daemon:
            try:
                daemon.stop()
            finally:
                daemon.remove()

    def lose(self):
        """After a failure the next begins with a daemon of its own."""
        daemon, self._daemon, self._key = self._daemon, None, None
        if daemon:
            daemon.remove()

    def close(self):
        try:
            self.stop()
        finally:
            for database in self._databases.values():
                database.close()
                self._pg.psql(f"DROP DATABASE {database.name} WITH (FORCE)")


@pytest.fixture(scope="module")
def daemons(pg):
    shared = Daemons(pg)
    yield shared
    shared.close()


@pytest.fixture
def play(daemons, request):
    """play(scenario, control) has everybody on the stage."""
    plays = []

    def start(which, control=None):
        databases = daemons.databases(which.databases)
        daemon = None
        if control is None or control.how != "plain":
            daemon = daemons.with_settings(
                which.databases, which.settings_with(control),
                # PostgreSQL's second is over sooner where it is waited for,
                # and never before ours, however slow the machine.
                " options='-c deadlock_timeout="
                f"{'600ms' if control else '60s'}'")
            request.node.lk_daemons = [daemon]
        plays.append(Play(which, databases, daemon))
        plays[-1].set_up()
        return plays[-1]

    yield start
    for started in plays:
        started.close()


def runs():
    """Each scenario and its controls, those with equal settings together."""
    # A control says something of the scenario, not of the daemon.
    found = [(which, control) for which in scenario.read_all()
             for control in [None] + which.controls * (not SANITIZED)]
    found.sort(key=lambda run: (run[1] is not None, repr(
        (run[0].databases, run[0].settings_with(run[1])))))
    return [pytest.param(which, control, id=which.name + (
        f"-control-{control.how}" if control else ""))
        for which, control in found]


def assert_controlled(played, which, control):
    """All are as they were when the last request was sent, for much longer
    than the verdict took."""
    played.play(until=scenario.TIMED)
    if control.outcome == "waits":
        played.do_silent(max(300, 5 * TOOK_MS.get(which.name, 0)))
    else:
        played.do_silent(300)
        played.error, = played.until(played.errors, "PostgreSQL's own victim")
        played.do_names('DEADLOCK "deadlock detected"')
    if played.daemon:
        played.assert_victims(0)
        played.assert_forgotten()


@pytest.mark.parametrize("which, control", runs())
def test_scenario(play, daemons, which, control):
    try:
        played = play(which, control)
        if control:
            assert_controlled(played, which, control)
            return
        played.play()
        played.assert_over()
    except BaseException:
        daemons.lose()
        raise
    if played.took_ms is not None:
        TOOK_MS[which.name] = played.took_ms
        note(which.name, played.took_ms, which.within_ms)
