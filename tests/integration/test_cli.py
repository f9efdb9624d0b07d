"""`lockkeeper` as a person at a shell uses it: call, sql, status."""
import json
import os
import pathlib
import socket
import subprocess

import pytest

import process
from daemon import find_daemon
from timing import eventually

COMMANDS = ("dev", "call", "sql", "status", "bench")


def program():
    """The command that was built beside the daemon."""
    path = find_daemon().parent / "lockkeeper"
    assert os.access(path, os.X_OK), f"{path} is not built"
    return str(path)


def lockkeeper(*args, stdin="", env=None):
    """Run it to its end; the tests' own environment names no socket."""
    env = {k: v for k, v in os.environ.items() if k != "LOCKKEEPER_SOCKET"
           } | (env or {})
    return subprocess.run([program(), *args], input=stdin, text=True,
                          env=env, capture_output=True, check=False,
                          timeout=60)


@pytest.fixture
def cli(daemon):
    """cli("sql", …) runs it against this test's daemon."""
    def run(*args, stdin=""):
        return lockkeeper(*args, stdin=stdin,
                          env={"LOCKKEEPER_SOCKET": daemon.socket})

    return run


def good(done):
    """What a run that must succeed printed."""
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def failed(done, kind):
    """The error line of a run that must fail, having printed nothing."""
    assert done.returncode == 1, done
    assert done.stdout == ""
    assert done.stderr.startswith(kind + " "), done.stderr
    return done.stderr


# -- replies

def test_rows_are_printed_as_a_table(cli):
    assert good(cli("sql", "SELECT id, v AS value, 'r' || id AS name, "
                    "NULL AS nothing FROM r ORDER BY id LIMIT 2")) == (
        " id | value | name | nothing\n"
        "----+-------+------+---------\n"
        "  1 |     0 | r1   | NULL\n"
        "  2 |     0 | r2   | NULL\n"
        "(2 rows)\n")


def test_no_rows_are_said_to_be_none(cli):
    assert good(cli("sql", "SELECT id FROM r WHERE id < 0")) == "(0 rows)\n"


def test_command_tags_are_printed_as_they_are(cli):
    assert good(cli("sql", "UPDATE r SET v = 1 WHERE id < 4")) == "UPDATE 3\n"


def test_parameters_are_data(cli, db):
    good(cli("sql", "CREATE TABLE words (w text)"))
    word = "it's; -- %task \"ü\""
    good(cli("sql", "INSERT INTO words VALUES ($1)", word))
    assert db.value("SELECT w FROM words") == word


def test_arguments_may_look_like_options(cli):
    out = good(cli("sql", "SELECT $1::int AS n, $2::text AS t", "-1",
                   "--json"))
    assert out.splitlines()[2] == " -1 | --json"


def test_json_is_what_python_reads(cli):
    out = good(cli("sql", "--json", "SELECT 1 AS i, 1.5::float8 AS d, "
                   "1.50 AS n, true AS b, NULL AS z, ARRAY[1,2] AS a, "
                   "E'\"\\n\u00e4' AS t"))
    assert json.loads(out) == [{"i": 1, "d": 1.5, "n": "1.50", "b": True,
                                "z": None, "a": [1, 2], "t": "\"\n\u00e4"}]


def test_an_error_goes_to_stderr_and_is_the_status(cli):
    line = failed(cli("sql", "SELECT * FROM nowhere"), "PG")
    assert "42P01" in line and "nowhere" in line


def test_control_characters_of_the_database_do_not_reach_the_terminal(cli):
    out = good(cli("sql", r"SELECT E'\x1b[2J\t' AS t"))
    assert "\x1b" not in out and r"\x1b[2J\t" in out


def test_resp2_is_what_old_clients_see(cli):
    assert good(cli("call", "-2", "SQL", "SELECT 1 AS one")) == \
        '1) ["one",1]\n'
    assert good(cli("call", "PING")) == "PONG\n"


def test_a_reply_of_many_megabytes_is_printed(cli):
    out = good(cli("sql", "--json", "SELECT repeat('x', 1000) AS x "
                   "FROM generate_series(1, 8000)"))
    assert len(json.loads(out)) == 8000


# -- envelope

def test_lock_0_does_not_wait(cli, db):
    holder = db.connect()
    holder.query("BEGIN")
    holder.query("UPDATE r SET v = 5 WHERE id = 1")
    failed(cli("sql", "--lock", "0", "UPDATE r SET v = 6 WHERE id = 1"),
           "LOCKTIMEOUT")
    holder.query("ROLLBACK")


def test_the_deadline_ends_a_statement(cli):
    failed(cli("sql", "--deadline", "100", "SELECT pg_sleep(30)"), "TIMEOUT")


def test_task_and_db_travel_with_every_request(cli):
    out = good(cli("call", "--json", "--task", "c7", "--db", "main", "-",
                   stdin="BEGIN\nSHOW transactions\n"))
    handle, rows = map(json.loads, out.splitlines())
    assert [(row["tx"], row["task"], row["database"]) for row in rows] == \
        [(handle, "c7", "main")]


def test_an_unknown_database_is_refused(cli):
    assert cli("sql", "--db", "nowhere", "SELECT 1").returncode == 1


# -- call -

def test_a_transaction_on_one_connection_is_committed(cli, db):
    out = good(cli("call", "-", stdin="""BEGIN HERE
SQL "UPDATE r SET v = v + $1 WHERE id = 1" 10

SQL 'UPDATE r SET v = v - $1 WHERE id = 2' 10
COMMIT
"""))
    assert out.splitlines()[1:] == ["UPDATE 1", "UPDATE 1", "COMMIT"]
    assert (db.v(1), db.v(2)) == (10, -10)


def test_a_transaction_is_rolled_back_when_the_input_ends(cli, db):
    good(cli("call", "-", stdin="BEGIN HERE\n"
             "SQL 'UPDATE r SET v = 1 WHERE id = 1'"))
    eventually(lambda: not db.busy(), "the transaction is gone")
    assert db.v(1) == 0


def test_what_follows_an_error_is_still_asked(cli):
    done = cli("call", "-", stdin='NONSENSE\nSQL "SELECT\n*3\nPING\n')
    assert done.returncode == 1
    assert done.stdout == "PONG\n"
    errors = done.stderr.splitlines()
    assert errors[0].startswith("SYNTAX ")
    assert errors[1].startswith("lockkeeper: line 2: ")
    assert errors[2].startswith("lockkeeper: line 3: ")


def test_requests_after_the_daemon_hung_up_fail(cli):
    done = cli("call", "-", stdin="QUIT\nPING\n")
    assert (done.returncode, done.stdout) == (1, "OK\n")
    assert done.stderr.startswith("lockkeeper: ")


# -- lock waits

def test_a_long_lock_wait_is_told_on_stderr(lockkeeperd, db):
    daemon = lockkeeperd(deadlock={"notify": "50ms"})
    holder = db.connect()
    holder.query("BEGIN")
    holder.query("UPDATE r SET v = 5 WHERE id = 1")
    waiting = subprocess.Popen(
        [program(), "sql", "-s", daemon.socket,
         "UPDATE r SET v = v + 1 WHERE id = 1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = waiting.stderr.readline()
        assert line.startswith("lockwait after ")
        assert f"backend {holder.pid} of foreign" in line
        holder.query("COMMIT")
        out, err = waiting.communicate(timeout=20)
    finally:
        waiting.kill()
        waiting.wait()
    assert (waiting.returncode, out, err) == (0, "UPDATE 1\n", "")
    assert db.v(1) == 6


# -- status

def test_status_shows_who_waits_for_whom(cli, daemon, db):
    client = daemon.connect()
    holder = db.connect()
    holder.query("BEGIN")
    holder.query("UPDATE r SET v = 5 WHERE id = 1")
    client.send("%waiter", "SQL", "UPDATE r SET v = 6 WHERE id = 1")
    db.wait_for_waiters(1)
    eventually(lambda: client.tagged or "waiter" in good(cli("status")),
               "status names the waiter")
    out = good(cli("status"))
    assert out.startswith("lockkeeper ")
    for word in ("answers in", "stats", "requests", "workers", "waits",
                 "main", str(holder.pid)):
        assert word in out, out
    holder.query("ROLLBACK")
    client.recv()


# -- no daemon, wrong words

def test_without_a_daemon_it_says_where_it_looked(tmp_path):
    for env in ({"LOCKKEEPER_SOCKET": "/nowhere/s"}, {}):
        done = lockkeeper("call", "PING",
                          env=env | {"XDG_DATA_HOME": str(tmp_path)})
        assert (done.returncode, done.stdout) == (1, "")
        assert env.get("LOCKKEEPER_SOCKET",
                       "/run/lockkeeper/lockkeeper.sock") in done.stderr
        assert "dev'" in done.stderr and "systemctl" in done.stderr


def test_a_socket_that_nobody_listens_on_is_told_apart(tmp_path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    done = lockkeeper("status", "-s", path)
    assert done.returncode == 1
    assert "nobody listens" in done.stderr


@pytest.mark.parametrize("args", [
    (), ("nonsense",), ("--nonsense",), ("call",), ("call", "--nonsense"),
    ("call", "--lock", "soon", "PING"), ("sql",), ("status", "now"),
    ("dev", "now"), ("dev", "--stop", "--detach"), ("sql", "--deadline"),
])
def test_a_wrong_command_line_exits_with_2(args):
    done = lockkeeper(*args)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert "--help" in done.stderr


# -- subscribing

def subscriber(daemon, *options):
    """A run of it that hears the channel news until it is killed."""
    return process.running(program(), "call", "-s", daemon.socket, *options,
                           "SUBSCRIBE", "news", "x")


def test_a_subscriber_prints_what_it_hears(daemon):
    c = daemon.connect()
    with subscriber(daemon) as run:
        assert run.stdout.readline() == 'subscribe "news" 1\n'
        assert run.stdout.readline() == 'subscribe "x" 2\n'
        c.call("PUBLISH", "news", 'two\nlines "')
        assert run.stdout.readline() == 'message "news" "two\\nlines \\""\n'
    with subscriber(daemon, "--json") as run:
        assert json.loads(run.stdout.readline()) == ["subscribe", "news", 1]
        assert json.loads(run.stdout.readline()) == ["subscribe", "x", 2]
        c.call("PUBLISH", "news", "one")
        assert json.loads(run.stdout.readline()) == ["message", "news", "one"]
    with subscriber(daemon, "-2") as run:
        assert [run.stdout.readline() for _ in "abc"] == [
            '1) "subscribe"\n', '2) "news"\n', "3) (integer) 1\n"]
    eventually(lambda: len(c.show("clients")) == 1, "they are gone")


def test_a_subscriber_ends_with_the_daemon(daemon):
    with subscriber(daemon) as run:
        assert run.stdout.readline() == 'subscribe "news" 1\n'
        daemon.stop()
        said = run.communicate(timeout=10)[0]
        assert said.endswith("the daemon closed the connection\n")
        assert run.returncode == 1


def test_a_subscription_that_fails_ends_it(cli):
    assert "1 to 63 bytes" in failed(cli("call", "SUBSCRIBE", ""), "SYNTAX")


def test_to_unsubscribe_gets_a_reply_for_each_channel(cli):
    assert good(cli("call", "UNSUBSCRIBE")) == "unsubscribe null 0\n"
    assert good(cli("call", "-", stdin="UNSUBSCRIBE a b\nPING\n")) == (
        'unsubscribe "a" 0\nunsubscribe "b" 0\nPONG\n')
    assert good(cli("call", "-", stdin="@t /main UNSUBSCRIBE a\nPING\n")) \
        == 'unsubscribe "a" 0\n@t:\n(integer) 0\nPONG\n'


def test_publish(cli, daemon):
    assert good(cli("call", "PUBLISH", "news", "x")) == "(integer) 1\n"


# -- help

@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command):
    assert f"  {command} " in good(lockkeeper("--help"))
    assert good(lockkeeper(command, "--help")).startswith(
        f"usage: lockkeeper {command} ")


def test_the_help_of_call_has_the_verbs_of_the_daemon(daemon):
    said = good(lockkeeper("call", "-s", daemon.socket, "--help"))
    for doc in daemon.connect().call("COMMAND", "DOCS").items():
        assert f"\n  {doc[0].upper()} " in said
        assert f"\n      {doc[1]['summary']}\n" in said
    assert "\n  GET model key ... [FIELDS a,b]" in said


def test_the_help_of_call_does_without_a_daemon(tmp_path):
    said = good(lockkeeper("call", "-s", str(tmp_path / "none"), "--help"))
    assert said.endswith("lockkeeper-protocol(7) has them all.\n")


def test_the_version_is_that_of_the_daemon():
    said = good(lockkeeper("--version"))
    daemons = subprocess.run([find_daemon(), "--version"], text=True,
                             capture_output=True, check=True).stdout
    assert said.split()[0] == "lockkeeper"
    assert said.split()[1] in daemons


@pytest.mark.parametrize("command", COMMANDS)
def test_the_manual_has_every_option(command):
    page = pathlib.Path(__file__).parents[2] / "man" / "lockkeeper.1"
    text = page.read_text(encoding="utf-8").replace("\\-", "-")
    for word in good(lockkeeper(command, "--help")).split():
        if word.startswith("--") and word.rstrip(",]") != "--help":
            assert f"Fl -{word.rstrip(',]')[2:]}" in text, word


def test_what_follows_begin_is_in_its_transaction(cli, db):
    """It says MODE blocking, as the client library does by itself."""
    good(cli("call", "-", stdin="BEGIN\nSQL \"UPDATE r SET v = 7\"\n"))
    assert db.v(1) == 0
    good(cli("call", "-", stdin="BEGIN\nSQL \"UPDATE r SET v = 7\"\n"
             "COMMIT\n"))
    assert db.v(1) == 7
