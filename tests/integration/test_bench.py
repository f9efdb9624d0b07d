"""`lockkeeper bench` and bench/compare: not how fast, but whether what they
print is true."""
import json
import pathlib
import re
import signal
import subprocess
import sys

import pytest

import timing
from daemon import find_daemon
from test_cli import good, lockkeeper, program
from timing import eventually

COMPARE = pathlib.Path(__file__).resolve().parents[2] / "bench/compare"
WORKLOADS = ("get", "find", "update", "hot", "transfer-unit", "transfer-tx",
             "mix")


@pytest.fixture
def bench(lockkeeperd):
    daemon = lockkeeperd(workers={"max": 4})
    seconds = "3" if timing.IS_SLOW else "0.5"

    def run(*args):
        return lockkeeper("bench", "--socket", daemon.socket, "--seconds",
                          seconds, *args)

    return run


def numbers(done):
    return json.loads(good(done))


def tables(db):
    return db.sql("SELECT relname FROM pg_class WHERE relname ~ 'bench'")


@pytest.fixture
def accounts(db):
    """A table of ours, of 10 rows and the one apart."""
    db.sql("""CREATE TABLE accounts (id int PRIMARY KEY, balance bigint);
        INSERT INTO accounts SELECT i, 100 FROM generate_series(0, 10) i""")

    def total():
        return int(db.value("SELECT sum(balance) FROM accounts"))

    return total


@pytest.mark.parametrize("workload", WORKLOADS)
def test_each_workload_gets_work_done_and_leaves_no_table(bench, db,
                                                          workload):
    said = numbers(bench("--clients", "20", "--rows", "100", "--json",
                         workload))
    assert said["workload"] == workload
    assert (said["clients"], said["connections"]) == (20, 16)
    assert said["done"] > 0
    assert said["latency_us"]["n"] == said["done"]
    assert said["per_s"] == pytest.approx(said["done"] / said["seconds"], 0.01)
    assert said["total_after"] == said["total_before"] + said["added"]
    assert tables(db) == []


@pytest.mark.parametrize("workload", ["update", "hot", "mix"])
def test_every_update_that_was_replied_is_in_the_table(bench, accounts,
                                                       workload):
    before = accounts()
    said = numbers(bench("--clients", "20", "--table", "accounts", "--rows",
                         "10", "--json", workload))
    assert said["added"] > 0
    assert accounts() == before + said["added"]
    assert (said["total_before"], said["total_after"]) == (before, accounts())


@pytest.mark.parametrize("workload", ["transfer-unit", "transfer-tx"])
def test_transfers_move_money_and_make_none(bench, db, accounts, workload):
    before = accounts()
    said = numbers(bench("--clients", "20", "--table", "accounts", "--rows",
                         "10", "--json", workload))
    assert said["added"] == 0 and accounts() == before
    assert int(db.value(
        "SELECT count(*) FROM accounts WHERE balance <> 100")) > 1
    assert db.value("SELECT balance FROM accounts WHERE id = 0") == "100"


def test_in_order_no_transfer_is_in_a_deadlock(bench, accounts):
    """And with nobody else there is none that could be: the rest would be the
    daemon's doing."""
    before = accounts()
    crowded = ("--clients", "30", "--table", "accounts", "--rows", "3",
               "--json", "transfer-tx")
    assert numbers(bench(*crowded))["deadlocks"] > 0
    assert numbers(bench("--in-order", *crowded))["deadlocks"] == 0
    assert accounts() == before


def test_reading_changes_nothing(bench, accounts):
    before = accounts()
    for workload in ("get", "find"):
        said = numbers(bench("--table", "accounts", "--rows", "10", "--json",
                             workload))
        assert said["added"] == 0
    assert accounts() == before


def test_clients_and_connections_are_as_many_as_were_asked_for(daemon):
    with subprocess.Popen(
            [program(), "bench", "--socket", daemon.socket, "--clients", "40",
             "--connections", "20", "--seconds", "60", "get"],
            stdout=subprocess.PIPE, text=True) as child:
        client = daemon.connect()

        def is_running():
            mine = [c for c in client.call("SHOW", "clients")
                    if c["pid"] == child.pid]
            return len(mine) == 22 and sum(
                c["requests"] > 30 for c in mine) >= 20

        # 20, one that pings, and one for the table.
        eventually(is_running, "20 connections carry requests", 20)
        child.send_signal(signal.SIGINT)
        out = child.stdout.read()
    assert child.returncode == 0
    assert "40 clients on 20 connections" in out and "then stopped" in out


def test_people_are_told_in_words(bench):
    out = good(bench("--clients", "3", "hot"))
    assert out.startswith("hot: 3 clients on 3 connections, ")
    for what in ("latency", "loop lag", "other row, before",
                 "other row, meanwhile"):
        assert re.search(rf"^  {what} +p50 \d+ us, p99 \d+ us, p99.9 \d+ us, "
                         r"longest \d+ us$", out, re.M), out
    assert re.search(r"^  throughput +\d+ a second, \d+ in all$", out, re.M)
    assert re.search(r"^  sum of balances +\d+, as it must be$", out, re.M)


def test_another_writer_is_no_lost_update_unnoticed(bench, db, accounts):
    del accounts
    db.sql("""CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.balance = NEW.balance - 1; RETURN NEW; END $$;
        CREATE TRIGGER spoil BEFORE UPDATE ON accounts
        FOR EACH ROW EXECUTE FUNCTION spoil()""")
    done = bench("--clients", "2", "--table", "accounts", "--rows", "10",
                 "update")
    assert done.returncode == 1
    assert "an update was lost, or somebody else writes to accounts" in \
        done.stderr


@pytest.mark.parametrize("args, complaint", [
    ((), "no workload given"),
    (("gett",), 'no workload "gett"'),
    (("get", "find"), 'unexpected argument "find"'),
    (("--clients", "0", "get"), '--clients takes a number from 1 up to '
     '100000, not "0"'),
    (("--clients", "1e3", "get"), 'not "1e3"'),
    (("--clients", "100001", "get"), 'not "100001"'),
    (("--connections", "x", "get"), '--connections takes a number'),
    (("--clients", "2", "--connections", "3", "get"),
     "3 connections are more than 2 clients"),
    (("--seconds", "-1", "get"), '--seconds takes a number of seconds'),
    (("--seconds", "", "get"), '--seconds takes a number of seconds'),
    (("--rows", "1.5", "get"), '--rows takes a number from 1'),
    (("--rows", "1", "transfer-tx"), "transfer-tx needs two rows"),
    (("--rate", "get"), "--rate"),
])
def test_a_wrong_command_line_is_said_to_be(bench, args, complaint):
    done = bench(*args)
    assert done.returncode == 2 and done.stdout == ""
    assert complaint in done.stderr
    assert "Try `lockkeeper bench --help'." in done.stderr


def test_what_cannot_be_measured_is_said(bench, db, accounts):
    del accounts
    done = bench("--table", "nowhere", "get")
    assert done.returncode == 1 and "nowhere" in done.stderr
    done = bench("--table", "accounts", "--rows", "1000", "get")
    assert done.returncode == 1 and done.stdout == ""
    assert "accounts has no row for each id from 0 to 1000" in done.stderr
    done = bench("--db", "elsewhere", "get")
    assert done.returncode == 1 and "elsewhere" in done.stderr
    assert tables(db) == []
    done = lockkeeper("bench", "--socket", "/nonexistent/s", "get")
    assert done.returncode == 1 and "no daemon at" in done.stderr


def test_a_daemon_that_goes_away_ends_it(lockkeeperd):
    daemon = lockkeeperd()
    with subprocess.Popen(
            [program(), "bench", "--socket", daemon.socket, "--seconds", "60",
             "get"], stderr=subprocess.PIPE, text=True) as child:
        client = daemon.connect()
        eventually(lambda: len(client.call("SHOW", "clients")) > 17,
                   "it is at work", 20)
        daemon.stop()
        said = child.stderr.read()
    assert child.returncode == 1
    assert said.startswith("lockkeeper: ")


def test_help_names_the_workloads():
    out = good(lockkeeper("bench", "--help"))
    for workload in WORKLOADS:
        assert f"  {workload} " in out


# -- bench/compare

def compare(*args):
    return subprocess.run(
        [sys.executable, COMPARE, "--build", str(find_daemon().parent),
         *args], text=True, capture_output=True, check=False, timeout=600)


def test_compare_prints_rows_with_what_is_installed():
    done = compare("--seconds", "0.2", "--rounds", "1", "--only",
                   "get,slow-reader")
    assert done.returncode == 0, done.stderr
    for way in ("Lockkeeper", "direct, 16 sessions"):
        line = re.search(rf"^  {way} +([\d,.]+) ", done.stdout, re.M)
        assert float(line.group(1).replace(",", "")) >= 0, done.stdout
    for way, name in (("PgBouncer, 1,000 clients", "pgbouncer"),
                      ("Python: asyncpg", "asyncpg"),
                      ("Python: SQLAlchemy", "sqlalchemy"),
                      ("Python: psycopg2 threads", "psycopg2"),
                      ("Python: lockkeeper", "lockkeeper")):
        is_measured = re.search(rf"^  {way} +[\d,.]+ ", done.stdout, re.M)
        is_named = f"not installed, and left out: {name} (" in done.stdout
        assert bool(is_measured) != is_named, (way, done.stdout)
    cpu = re.search(r"^  CPU, us each( +\w+){5}\n  Lockkeeper((?: +[\d,.]+){5})$",
                    done.stdout, re.M).group(2)
    client, loop, workers, postgres, together = map(
        float, cpu.replace(",", "").split())
    assert client > 0 and min(loop, workers, postgres) >= 0
    assert together == pytest.approx(client + loop + workers + postgres,
                                     rel=0.02, abs=0.03)
    assert "Lockkeeper / direct, 16 sessions: " in done.stdout
    assert re.search(r"MiB that the daemon grew by: at most 40; it is [\d.]+: ",
                     done.stdout)
    assert re.search(r"^versions: Lockkeeper .*PostgreSQL \d", done.stdout,
                     re.M)


def test_compare_refuses_what_it_does_not_know():
    done = compare("--only", "get,nothing")
    assert done.returncode == 2
    assert "no row nothing; there are get, get-connections" in done.stderr
    done = compare("--rounds", "0")
    assert done.returncode == 2 and "--rounds take" in done.stderr
