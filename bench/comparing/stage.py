"""What is compared: PostgreSQL, a PgBouncer and a daemon before it, private
ones, with as many sessions each, and a table for all of them."""
import contextlib
import pathlib
import re
import resource
import shutil
import signal
import subprocess

import daemon
import process
from cluster import Cluster, short_tempdir
from timing import eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
SESSIONS = 16
ROWS = 10000
FIRST_BALANCE = 1000
TABLE = "bench_accounts"

# Otherwise PostgreSQL's defaults: a commit is on disk before it is replied.
SETTINGS = """
listen_addresses = ''
unix_socket_directories = '{directory}'
unix_socket_permissions = 0777
max_connections = 400
shared_buffers = 128MB
"""

MAKE_TABLE = f"""CREATE TABLE {TABLE}
(id int PRIMARY KEY, balance bigint NOT NULL, owner text);
INSERT INTO {TABLE} SELECT i, {FIRST_BALANCE}, 'owner ' || i
FROM generate_series(0, {ROWS}) i"""

PGBOUNCER = """[databases]
postgres = host={postgres} port=5432 dbname=postgres user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {directory}
unix_socket_mode = 0777
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 5000
log_connections = 0
log_disconnections = 0
{more}
"""


class Postgres(Cluster):
    def _configure(self):
        with open(self.data / "postgresql.conf", "a", encoding="utf-8") as f:
            f.write(SETTINGS.format(directory=self.directory))

    def postmaster(self):
        """Its process's number."""
        pid_file = self.data / "postmaster.pid"
        return int(pid_file.read_text().partition("\n")[0])

    def total(self):
        return int(self.psql(f"SELECT sum(balance) FROM {TABLE}"))


def find_pgbouncer():
    return shutil.which("pgbouncer") or shutil.which("/usr/sbin/pgbouncer")


def version_of(*command):
    """What a program says is its version."""
    said = subprocess.run([*command, "--version"], text=True,
                          capture_output=True, check=True).stdout
    return re.search(r"\d+(\.\d+)+", said).group()


class PgBouncer:
    def __init__(self, postgres):
        self.version = version_of(find_pgbouncer())
        major, minor = (int(n) for n in self.version.split(".")[:2])
        # Before, it had no prepared statements in transaction mode.
        self.can_prepare = (major, minor) >= (1, 21)
        self.directory = short_tempdir("lkpgb")
        user = process.unprivileged_user()
        more = [f"user = {user}"] if user else []
        more += ["max_prepared_statements = 100"] if self.can_prepare else []
        if user:
            shutil.chown(self.directory, user)
        path = self.directory / "pgbouncer.ini"
        path.write_text(PGBOUNCER.format(
            postgres=postgres.directory, directory=self.directory,
            sessions=SESSIONS, more="\n".join(more)))
        with open(self.directory / "log", "ab") as log:
            self._process = process.spawn([find_pgbouncer(), str(path)],
                                          log=log)
        eventually(self._is_up, "PgBouncer answers", 10)

    @property
    def pid(self):
        return self._process.pid

    def _is_up(self):
        if self._process.poll() is not None:
            raise RuntimeError("PgBouncer ended:\n" + (
                self.directory / "log").read_text(errors="replace"))
        return (self.directory / ".s.PGSQL.6432").exists()

    def close(self):
        process.end(self._process, signal.SIGTERM, 5)
        shutil.rmtree(self.directory, ignore_errors=True)


class Stage:
    """pgbouncer is None where there is none."""

    def __init__(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self.files = None
        self.postgres = None
        self.pgbouncer = None
        self.daemon = None
        self._things = contextlib.ExitStack()

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self._things.close()
            raise
        return self

    def __exit__(self, *exception):
        self._things.close()

    def _build(self):
        self.files = short_tempdir("lkcmp")
        self._things.callback(shutil.rmtree, self.files, True)
        self.postgres = Postgres()
        self._things.callback(self.postgres.remove)
        self.postgres.create()
        self.postgres.start()
        self.postgres.psql(MAKE_TABLE)
        if find_pgbouncer():
            self.pgbouncer = PgBouncer(self.postgres)
            self._things.callback(self.pgbouncer.close)
        self.daemon = daemon.Daemon(
            self.postgres.conninfo(),
            workers={"min": SESSIONS, "max": SESSIONS, "reserve": 0},
            log={"level": "error"})
        self._things.callback(self.daemon.remove)
        self.daemon.start()

    def tidy(self):
        """What the one before left behind is not the next one's to sweep."""
        self.postgres.psql(f"VACUUM (ANALYZE) {TABLE}")

    def lockkeeper(self):
        return str(daemon.find_daemon().parent / "lockkeeper")
