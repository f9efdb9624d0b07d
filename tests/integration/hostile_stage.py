"""A daemon with hostile servers and the run's own, and what rules for
hostile_pg.HostileServer are made of."""
import threading

from client import LkError
from hostile_pg import (HostileServer, columns, complete, error, ready, row)
from timing import eventually

ONE = columns("v") + row("sane") + complete("SELECT 1")


# -- what a rule does

def hang_up(backend):
    backend.hang_up()


def silence(backend):
    backend.fall_silent()


def then(data, action):
    """Send that first."""
    def both(backend):
        backend.send(data)
        action(backend)
    return both


def last(data):
    """As the last that is said before the Sync."""
    def act(backend):
        backend.skip()
        backend.send(data)
    return act


def and_ready(action):
    """For what comes in front of a ReadyForQuery."""
    def act(backend):
        action(backend)
        backend.resume()
        backend.send(ready())
    return act


def until_cancelled(backend):
    backend.cancelled.clear()
    assert backend.cancelled.wait(30)
    last(error("57014", "canceled"))(backend)


def greet(**instead):
    return lambda backend: backend.send(backend.greeting(**instead))


def without(**changed):
    """A greeting with other parameters."""
    def act(backend):
        backend.server.parameters = backend.server.parameters | changed
        backend.send(backend.greeting())
    return act


# -- the stage

class Stage:
    """A daemon with a hostile server and the run's own, at which somebody
    works on all the while."""

    def __init__(self, db, lockkeeperd, n=1, **settings):
        self.servers = [HostileServer() for _ in range(n)]
        self.daemon = lockkeeperd(databases=[
            {"name": f"h{i}", "conninfo": server.conninfo,
             "workers": {"min": 0, "max": 1}}
            for i, server in enumerate(self.servers)] + [
            {"name": "real", "conninfo": db.conninfo,
             "workers": {"min": 1, "max": 2}}], **settings)
        self.server = self.servers[0]
        self.client = self.daemon.connect()
        self.db = db
        self._is_over = threading.Event()
        self._works_on = threading.Thread(target=self._work)
        self._n_done = 0
        self._failure = None
        self._works_on.start()
        eventually(lambda: self._n_done, "it works on")

    def _work(self):
        try:
            with self.daemon.connect() as c:
                while not self._is_over.wait(0.01):
                    assert c.call("/real", "SQL", "UPDATE r SET v = v + 1 "
                                  "WHERE id = 1") == "UPDATE 1"
                    self._n_done += 1
        except Exception as exc:  # pylint: disable=broad-except
            self._failure = exc

    def assert_sane(self, what, number=0):
        """One reply and no more; and the database is of use again."""
        c = self.client
        assert c.call("PING") == "PONG", what
        self.servers[number].behave()
        for _ in range(2):
            assert c.call(f"/h{number}", "SQL", "SELECT sane") == \
                [{"v": "sane"}], what
        assert self._failure is None, what

    def recover(self, what, number):
        """From not having had a session for long."""
        eventually(lambda: not isinstance(self.client.try_call(
            f"/h{number}", "SQL", "SELECT sane"), LkError), what)

    def close(self):
        self._is_over.set()
        self._works_on.join()
        for server in self.servers:
            server.close()
        assert self._failure is None
        assert self.db.v(1) == self._n_done
