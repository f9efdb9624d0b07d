"""A private PostgreSQL cluster in a temporary directory."""
import contextlib
import glob
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pgwire
import process
from timing import eventually

SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{directory}'
unix_socket_permissions = 0777
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
max_prepared_transactions = 10
autovacuum = off
shared_buffers = 32MB
log_line_prefix = '%m [%p] %q%a '
"""

# Counts statements.  Not everywhere is contrib installed; where Debian has it.
PRELOAD = "pg_stat_statements"


def find_bindir():
    if os.environ.get("PG_BINDIR"):
        return pathlib.Path(os.environ["PG_BINDIR"])
    candidates = []
    if shutil.which("pg_config"):
        said = subprocess.run(["pg_config", "--bindir"], text=True,
                              capture_output=True, check=False).stdout.strip()
        candidates.append(said)
    candidates += sorted(
        glob.glob("/usr/lib/postgresql/*/bin"), reverse=True,
        key=lambda path: int(re.search(r"/(\d+)/", path).group(1)))
    for candidate in candidates:
        if candidate and os.access(os.path.join(candidate, "initdb"), os.X_OK):
            return pathlib.Path(candidate)
    raise RuntimeError("no PostgreSQL server programs: set PG_BINDIR")


def short_tempdir(prefix):
    """Unix socket paths end at 107 bytes, and TMPDIR may be long."""
    base = tempfile.gettempdir()
    path = tempfile.mkdtemp(prefix=prefix, dir=base if len(base) < 60
                            else "/tmp")
    os.chmod(path, 0o755)
    return pathlib.Path(path)


class Cluster:
    def __init__(self):
        self.bindir = find_bindir()
        self.user = process.unprivileged_user()
        self.directory = short_tempdir("lkpg")
        self.data = self.directory / "data"
        self.log_path = self.directory / "log"
        self._process = None
        if self.user:
            shutil.chown(self.directory, self.user)

    def create(self):
        subprocess.run(
            [self.bindir / "initdb", "-D", self.data, "-U", "postgres",
             "-A", "trust", "-E", "UTF8", "--no-locale", "-N"],
            check=True, stdout=subprocess.DEVNULL, cwd=self.directory,
            **process.as_user(self.user))
        self._configure()

    def _configure(self):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as f:
            f.write(SETTINGS.format(directory=self.directory))
            if (self.bindir.parent / f"lib/{PRELOAD}.so").exists():
                f.write(f"shared_preload_libraries = '{PRELOAD}'\n")

    @staticmethod
    def signal_backends(number, pids):
        for pid in pids:
            os.kill(int(pid), number)

    def copy_of(self, other):
        """Become a copy of a cluster that is not running."""
        shutil.copytree(other.data, self.data, symlinks=True)
        self._configure()
        if self.user:
            for root, dirs, files in os.walk(self.data):
                for name in [root] + [os.path.join(root, n)
                                      for n in dirs + files]:
                    shutil.chown(name, self.user)

    def start(self):
        with open(self.log_path, "ab") as log:
            self._process = process.spawn(
                [self.bindir / "postgres", "-D", self.data],
                log=log, user=self.user, death_signal=signal.SIGQUIT)
        eventually(self._is_up, "PostgreSQL answers", 30)

    def _is_up(self):
        if self._process.poll() is not None:
            raise RuntimeError("PostgreSQL ended:\n" + self.log_text())
        try:
            self.connect(application="control").close()
            return True
        except (OSError, pgwire.PgError):
            return False

    def stop(self):
        """A fast shutdown; one that takes too long is an error, but leaves
        nothing that would keep the next start from succeeding."""
        if self._process is None:
            return
        ended, self._process = self._process, None
        try:
            process.wait_for(ended, signal.SIGINT, 60)
        except TimeoutError as error:
            process.end(ended, signal.SIGQUIT, 10)
            raise RuntimeError("PostgreSQL did not stop:\n"
                               + self.log_text()[-4000:]) from error

    @contextlib.contextmanager
    def stopped(self):
        """For as long as the block lasts, and not a test longer."""
        try:
            self.stop()
            yield
        finally:
            if self._process is None:
                self.start()

    def restart(self):
        with self.stopped():
            pass

    def remove(self):
        if self._process is not None:
            process.end(self._process, signal.SIGQUIT, 10)
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)

    def log_text(self):
        return self.log_path.read_text(errors="replace")

    def conninfo(self, dbname="postgres"):
        return f"host={self.directory} port=5432 user=postgres dbname={dbname}"

    def connect(self, dbname="postgres", application="foreign"):
        return pgwire.Session(self.directory, dbname, application=application)

    def psql(self, sql, dbname="postgres"):
        done = subprocess.run(
            [self.bindir / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1",
             "-d", self.conninfo(dbname), "-c", sql],
            text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


class Database:
    """One test's view of its database: foreign sessions, and a control
    session that looks at what the daemon does to the server."""

    # But for the one that reads the catalog, which may come at any time.
    OURS = """application_name NOT IN ('control', 'foreign',
        'lockkeeper catalog')"""

    def __init__(self, cluster, name):
        self.cluster = cluster
        self.name = name
        self.conninfo = cluster.conninfo(name)
        self._sessions = []
        self.control = cluster.connect(name, "control")

    def connect(self, application="foreign"):
        session = self.cluster.connect(self.name, application)
        self._sessions.append(session)
        return session

    def sql(self, sql):
        return self.control.query(sql)

    def value(self, sql):
        return self.control.value(sql)

    def v(self, row_id):
        """The number in row row_id of table r."""
        return int(self.value(f"SELECT v FROM r WHERE id = {row_id}"))

    def reconnect(self):
        """After a restart of the server."""
        self.control.close()
        self.control = self.cluster.connect(self.name, "control")

    def close(self):
        self._close_foreign()
        self.control.close()

    def _close_foreign(self):
        for session in self._sessions:
            session.close()
        self._sessions = []

    def reset(self):
        """Nothing of earlier tests: no session, no prepared transaction, and
        the tables new."""
        self._close_foreign()
        try:
            self.sql("SELECT 1")
        except (OSError, pgwire.PgError, pgwire.StillWaiting):
            self.reconnect()
        self.sql(f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = '{self.name}' AND pid <> pg_backend_pid()""")
        self.renew()

    def renew(self):
        """Table r with the rows 1 to 100 and nothing else; sessions stay, but
        those that tests have opened."""
        self._close_foreign()
        for gid, in self.sql(f"""SELECT gid FROM pg_prepared_xacts
                WHERE database = '{self.name}'"""):
            self.sql(f"ROLLBACK PREPARED '{gid}'")
        self.sql("""SET client_min_messages = error; SET lock_timeout = '10s';
            DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
            CREATE TABLE r (id int PRIMARY KEY, v int NOT NULL DEFAULT 0);
            INSERT INTO r SELECT generate_series(1, 100)""")

    def backends(self, where="true"):
        """(pid, state, wait_event_type, query) of the daemon's sessions."""
        return self.sql(f"""SELECT pid, state, wait_event_type, query
            FROM pg_stat_activity
            WHERE datname = '{self.name}' AND backend_type = 'client backend'
            AND {self.OURS} AND ({where}) ORDER BY pid""")

    def busy(self):
        """The daemon's sessions that are doing or holding something.  Its
        session that looks at locks may be in the middle of a look."""
        return self.backends("""state <> 'idle'
            AND query !~ '(pg_locks|pg_stat_activity|pg_cancel_backend)'""")

    def locks(self):
        """Locks that the daemon's sessions hold or wait for."""
        return self.sql(f"""SELECT l.pid, l.locktype, l.mode, a.query
            FROM pg_locks l JOIN pg_stat_activity a USING (pid)
            WHERE a.datname = '{self.name}' AND {self.OURS}
            AND a.query !~ '(pg_locks|pg_stat_activity|pg_cancel_backend)'""")

    def n_waiting(self):
        return int(self.value(f"""SELECT count(*) FROM pg_stat_activity
            WHERE datname = '{self.name}' AND wait_event_type = 'Lock'"""))

    def wait_for_waiters(self, n):
        eventually(lambda: self.n_waiting() >= n,
                   f"{n} sessions wait for a lock")
