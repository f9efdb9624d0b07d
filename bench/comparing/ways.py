"""The ways to do the same work, each of which returns a dict of what it
measured: per_s, and p50 and p99 in microseconds where they were asked for."""
import abc
import functools
import json
import os
import pathlib
import re
import subprocess
import sys

from stage import ROOT, SESSIONS, TABLE, find_pgbouncer, version_of
import daemon

HERE = pathlib.Path(__file__).resolve().parent

ADD = f"UPDATE {TABLE} SET balance = balance + :amount WHERE id = :row;\n"
GET = f"SELECT * FROM {TABLE} WHERE id = :row;\n"
CHOOSE = r"""\set from random(1, :rows)
\set to random(1, :rows - 1)
\set to :to + (CASE WHEN :to >= :from THEN 1 ELSE 0 END)
\set amount random(1, 10)
"""


def _transfer(choose):
    return (choose + "BEGIN;\n" + GET.replace(":row", ":from")
            + ADD.replace("+ :amount", "- :amount").replace(":row", ":from")
            + ADD.replace(":row", ":to") + "COMMIT;\n")


# As many as the daemon sends at once.
MANY = 128
KEYS = [f"key{i}" for i in range(MANY)]

# As `lockkeeper bench` has them, in pgbench's words.  Those of -many are what the
# daemon makes of many; the planner is not to know how many, which it does not in
# an array that comes from elsewhere.
SCRIPTS = {
    "get": "\\set row random(1, :rows)\n" + GET,
    "get-many": "".join(f"\\set {key} random(1, :rows)\n" for key in KEYS)
                + "SELECT t.*, k.n FROM "
                f"unnest((SELECT ARRAY[:{', :'.join(KEYS)}]::int[])) WITH "
                f"ORDINALITY AS k(id, n) JOIN {TABLE} t USING (id);\n",
    "hot": "\\set row 1\n\\set amount 1\n" + ADD,
    "hot-many": "\\set row 1\n\\set amount 1\n\\startpipeline\nBEGIN;\n"
                + ADD.replace(";", " RETURNING *;") * MANY
                + "COMMIT;\n\\endpipeline\n",
    "transfer": _transfer(CHOOSE),
    # What a program does that knows of deadlocks.
    "transfer-ordered": _transfer(CHOOSE + r"""\set low least(:from, :to)
\set to greatest(:from, :to)
\set amount :amount * (CASE WHEN :low = :from THEN 1 ELSE -1 END)
\set from :low
"""),
}

# The modules of Python that a way needs, and how to get them.
MODULES = {
    "asyncpg": (["asyncpg"], "apt-get install python3-asyncpg"),
    "sqlalchemy": (["sqlalchemy", "asyncpg"], "apt-get install "
                   "python3-sqlalchemy python3-asyncpg"),
    "psycopg2": (["psycopg2"], "apt-get install python3-psycopg2"),
    "lockkeeper": (["lockkeeper"], "make install, or name its directory in "
                   "PYTHONPATH"),
}
VERSIONS = {}		# of what was run


def run(command, seconds, **options):
    """What it printed; it may take as long again to begin and to end."""
    done = subprocess.run(command, text=True, capture_output=True,
                          check=False, timeout=4 * seconds + 120, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def _can_import(python, *modules):
    try:
        return subprocess.run(
            [python, "-c", f"import {', '.join(modules)}"], cwd="/",
            capture_output=True, check=False, env=_environment()
        ).returncode == 0
    except FileNotFoundError:
        return False


@functools.cache
def _pythons():
    """Debian's packages are for its own; uvloop, if there is one, for all."""
    return sorted((sys.executable, "/usr/bin/python3"),
                  key=lambda python: not _can_import(python, "uvloop"))


@functools.cache
def find_python(driver):
    """One that has the driver's modules; None when none has."""
    return next((python for python in _pythons()
                 if _can_import(python, *MODULES[driver][0])), None)


def _environment(implementation=""):
    """Our own package is there where it was built, and in the sources."""
    built = daemon.find_daemon().parent / "python"
    place = built if (built / "lockkeeper").is_dir() else ROOT / "python"
    paths = [os.environ.get("PYTHONPATH", ""), str(place)]
    return os.environ | {"PYTHONPATH": ":".join(filter(None, paths)),
                         "LOCKKEEPER_IMPLEMENTATION": implementation}


def missing():
    """What is not installed: its name, and the command that installs it."""
    absent = {name: how for name, (_, how) in MODULES.items()
              if find_python(name) is None}
    if find_pgbouncer() is None:
        absent["pgbouncer"] = "apt-get install pgbouncer"
    return absent


class Way(abc.ABC):
    """`needs` is what of missing() it cannot do without."""
    needs = None

    def __init__(self, name, note=""):
        self.name = name
        self.note = note

    @abc.abstractmethod
    def measure(self, stage, seconds):
        """What was measured in so many seconds, as above."""

    @staticmethod
    def lasts(seconds):
        """For how long it measures when told to for so many seconds."""
        return seconds


class Lockkeeper(Way):
    """`lockkeeper bench`."""

    def __init__(self, name, workload, clients, connections, rows, *options):
        super().__init__(name)
        self.args = [workload, "--clients", str(clients), "--connections",
                     str(connections), "--rows", str(rows), *options]

    def measure(self, stage, seconds):
        said = json.loads(run(
            [stage.lockkeeper(), "bench", "--json", "--socket",
             stage.daemon.socket, "--table", TABLE, "--seconds", str(seconds),
             *self.args], seconds))
        VERSIONS["Lockkeeper"] = version_of(stage.lockkeeper())
        return {"per_s": said["per_s"], "p50": said["latency_us"]["p50"],
                "p99": said["latency_us"]["p99"],
                "deadlocks": said["deadlocks"], "done": said["done"],
                "lag_p99": said["loop_lag_us"]["p99"],
                "other_before": said["other_row_before_us"]["p99"],
                "other_p99": said["other_row_us"]["p99"]}


class Pgbench(Way):
    """Of PostgreSQL's own program; direct, or through PgBouncer."""

    def __init__(self, name, script, clients, rows, is_direct=False,
                 has_latencies=False):
        super().__init__(name)
        self.script = script
        self.clients = clients
        self.rows = rows
        self.is_direct = is_direct
        self.has_latencies = has_latencies
        self.needs = None if is_direct else "pgbouncer"

    def measure(self, stage, seconds):
        bindir = stage.postgres.bindir
        target = stage.postgres if self.is_direct else stage.pgbouncer
        mode = "prepared" if self.is_direct or stage.pgbouncer.can_prepare \
            else "simple"	# faster there than unnamed ones
        path = stage.files / f"{self.script}.sql"
        path.write_text(SCRIPTS[self.script])
        whole = self.lasts(seconds)
        command = [
            bindir / "pgbench", "--no-vacuum", "--file", path, "--client",
            str(self.clients), "--jobs", str(min(2, self.clients)), "--time",
            str(whole), "--protocol", mode, "--define", f"rows={self.rows}",
            "--host", target.directory, "--port",
            "5432" if self.is_direct else "6432", "--username", "postgres"]
        if self.script.startswith("transfer"):
            command += ["--max-tries", "1000"]
        if self.has_latencies:
            command += ["--log", "--log-prefix", stage.files / "latency"]
        said = run([*command, "postgres"], whole)
        self.note = f"pgbench -M {mode}"
        VERSIONS["PostgreSQL"] = version_of(bindir / "postgres")
        if not self.is_direct:
            VERSIONS["PgBouncer"] = stage.pgbouncer.version
        many = MANY if self.script.endswith("-many") else 1
        return {"per_s": many * self._per_s(said),
                "deadlocks": self._count(said, "total number of retries"),
                "done": self._count(said, "number of transactions actually "
                                    "processed")} | self._latencies(stage)

    @staticmethod
    def lasts(seconds):
        return max(1, round(seconds))		# it knows no fractions

    @staticmethod
    def _count(said, what):
        """What it tried again are deadlocks; it says so where it may."""
        found = re.search(rf"^{what}: (\d+)", said, re.M)
        return int(found.group(1)) if found else 0

    @staticmethod
    def _per_s(said):
        """Nothing is said when the time was over before all were connected."""
        found = re.search(r"^tps = ([\d.]+)", said, re.M)
        return float(found.group(1)) if found else 0.0

    @staticmethod
    def _latencies(stage):
        took = []
        for path in stage.files.glob("latency.*"):
            took += [int(line.split()[2]) for line in
                     path.read_text().splitlines()]
            path.unlink()
        took.sort()
        return {"p50": took[len(took) // 2],
                "p99": took[len(took) * 99 // 100]} if took else {}


class Python(Way):
    """Coroutines of one Python program."""

    def __init__(self, driver, name, workload, coroutines, rows,
                 implementation=""):
        super().__init__(name)
        self.needs = self.driver = driver
        self.implementation = implementation	# of our own package
        self.wanted = {"workload": workload, "coroutines": coroutines,
                       "rows": rows, "sessions": SESSIONS, "table": TABLE}

    def measure(self, stage, seconds):
        wanted = self.wanted | {"host": str(stage.postgres.directory),
                                "socket": stage.daemon.socket,
                                "seconds": seconds}
        said = json.loads(run(
            [find_python(self.driver), HERE / "coroutines.py", self.driver,
             json.dumps(wanted)], seconds,
            env=_environment(self.implementation)))
        self.note = "uvloop" if said["has_uvloop"] else "no uvloop"
        if self.driver == "lockkeeper":
            self.note += f", {said['version']}"
        else:
            VERSIONS[self.driver] = said["version"]
        return said
