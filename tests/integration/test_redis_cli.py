"""redis-cli 7 as people use it: for one request, piped, at its prompt; in both
versions of the protocol."""
import json
import shutil
import subprocess

import pytest

import process
from checks import assert_nothing_left, n_verdicts, update
from client import encode, pairs
from prompt import Prompt
from timing import eventually

pytestmark = pytest.mark.skipif(
    not shutil.which("redis-cli"), reason="no redis-cli (Debian: apt-get "
    "install redis-tools)")

both_versions = pytest.mark.parametrize("version", ["-2", "-3"])


def run_cli(path, *args, text=None):
    return subprocess.run(["redis-cli", "-s", path, *args], input=text,
                          capture_output=True, text=True, timeout=60,
                          check=False)


def cli(daemon, *args, text=None):
    done = run_cli(daemon.socket, *args, text=text)
    return done.stdout + done.stderr


@pytest.fixture
def prompt(request):
    """prompt(path, "-3") is a redis-cli that somebody types to."""
    def start(path, version):
        started = Prompt("-s", path, version)
        request.addfinalizer(started.close)
        return started

    return start


# -- one request

@both_versions
def test_one_request_from_the_command_line(daemon, version):
    assert cli(daemon, version, "PING").strip() == "PONG"
    out = cli(daemon, version, "--no-raw", "SQL",
              "SELECT 1 AS a, NULL AS b, 'x' AS c")
    assert '"a"' in out and "(integer) 1" in out and "(nil)" in out


def test_user_and_password_are_taken(daemon):
    for version in ("-2", "-3"):
        assert "PONG" in cli(daemon, version, "--user", "u", "--pass", "p",
                             "--no-auth-warning", "PING")


def test_rows_as_json(daemon):
    out = cli(daemon, "--json", "SQL", """SELECT 1 AS a, NULL AS b,
        1.5::float8 AS c, true AS d, '{x,NULL}'::text[] AS e, 'Zoë' AS f""")
    assert json.loads(out) == [{"a": 1, "b": None, "c": 1.5, "d": True,
                                "e": ["x", None], "f": "Zoë"}]


# -- piped

@both_versions
def test_values_in_and_out(daemon, version):
    out = cli(daemon, version, "--no-raw", text=r"""
SQL "SELECT $1::int + 1 AS i, $2::bool AS b, $3::float8 AS f, $4::numeric AS n" 41 true 1.5 0.10
SQL "SELECT $1::bytea AS y, $2::int[] AS a, $3::text AS t" "\x00\xff" "{1,NULL}" "Zo\xc3\xab"
""")
    for text in ("(integer) 42", '"0.10"', r'"\x00\xff"', "1) (integer) 1",
                 "2) (nil)", r'"Zo\xc3\xab"'):
        assert text in out
    assert ("(true)" in out and "(double) 1.5" in out) == (version == "-3")


@both_versions
def test_null_is_a_text_that_hello_names(daemon, version):
    out = cli(daemon, version, "--no-raw", text=f"""
HELLO {version[1]} NULL nil
SQL "SELECT $1::text IS NULL AS a, $2::text AS b" nil nil
SQL "SELECT coalesce($1::text, 'null') AS c" none
""")
    assert "(nil)" in out and '"none"' in out and '"null"' not in out


@both_versions
def test_a_transaction_piped(db, daemon, version):
    out = cli(daemon, version, text="""BEGIN HERE
SQL "UPDATE r SET v = 41 WHERE id = 1"
SQL "UPDATE r SET v = v + $1 WHERE id = 1" 1
COMMIT
""")
    assert "UPDATE 1" in out and "COMMIT" in out
    assert db.v(1) == 42


@both_versions
def test_an_error_is_one(daemon, version):
    assert "(error) PG 22012 division by zero" in cli(
        daemon, version, "--no-raw", "SQL", "SELECT 1/0")
    assert run_cli(daemon.socket, version, "-e", "SQL",
                   "SELECT 1/0").returncode == 1


def test_requests_in_bulk(db, daemon):
    """redis-cli --pipe: RESP as it is, and an ECHO behind it."""
    requests = b"".join(encode(["SQL", update(1)]) for _ in range(1000))
    done = run_cli(daemon.socket, "--pipe", "--pipe-timeout", "20",
                   text=requests.decode())
    assert "errors: 0, replies: 1000" in done.stdout, done
    assert done.returncode == 0
    assert db.v(1) == 1000


# -- at the prompt

@both_versions
def test_the_prompt_helps_and_hints(daemon, prompt, version):
    p = prompt(daemon.socket, version)
    assert p.greeting == ""
    said = p.ask("help sql")
    assert "run one statement" in said and "text [param ...]" in said
    p.hint("begin ", "[READ COMMITTED|REPEATABLE READ|SERIALIZABLE]")
    assert "(integer)" in p.ask("HERE")
    assert p.ask("ROLLBACK") == "ROLLBACK"
    assert "(error) SYNTAX 42601 unknown verb 'bogus'" in p.ask("bogus")


@both_versions
def test_a_lock_wait_at_two_prompts(db, daemon, prompt, version):
    a, b = (prompt(daemon.socket, version) for _ in "ab")
    a.ask("BEGIN HERE")
    assert a.ask(f'SQL "{update(1)}"') == "UPDATE 1"
    b.type(f'SQL "{update(1)}"')
    db.wait_for_waiters(1)
    assert a.ask("COMMIT") == "COMMIT"
    assert "UPDATE 1" in b.answer()
    assert db.v(1) == 2
    assert n_verdicts(daemon.connect()) == 0


@both_versions
def test_a_deadlock_at_two_prompts(db, daemon, prompt, version):
    a, b = (prompt(daemon.socket, version) for _ in "ab")
    for p, row in ((a, 1), (b, 2)):
        p.ask("BEGIN HERE")
        p.ask(f'SQL "{update(row)}"')
    a.type(f'SQL "{update(2)}"')
    db.wait_for_waiters(1)
    b.type(f'SQL "{update(1)}"')
    said = [a.answer(), b.answer()]
    lost = [p for p, text in zip((a, b), said)
            if "(error) DEADLOCK 40P01" in text]
    assert len(lost) == 1, said
    won, = {a, b} - set(lost)
    # In RESP3 the push that tells of it may be printed in front.
    assert won.ask("COMMIT").endswith("COMMIT")
    assert lost[0].ask("ROLLBACK").endswith("ROLLBACK")
    assert [db.v(1), db.v(2)] == [1, 1]
    assert_nothing_left(db, daemon.connect())


def lose_the_reply(db, daemon, gate, ask):
    """Have the statement of ask() committed, and its reply lost with the
    daemon."""
    gate.shut()
    ask()
    eventually(lambda: db.v(1) == 1, "it is committed")
    daemon.restart()
    gate.open()


@both_versions
def test_the_prompt_connects_again_and_sends_nothing_twice(
        db, daemon, gate, prompt, version):
    p = prompt(gate.path, version)
    lose_the_reply(db, daemon, gate, lambda: p.type(f'SQL "{update(1)}"'))
    # It says how long it has waited when that was long.
    assert p.answer().startswith("Error: Server closed the connection")
    assert ("(true)" in p.ask('SQL "SELECT true AS x"')) == (version == "-3")
    assert db.v(1) == 1


def test_the_command_line_sends_nothing_twice(db, daemon, gate):
    with process.running("redis-cli", "-s", gate.path, "SQL",
                         update(1)) as run:
        lose_the_reply(db, daemon, gate, lambda: None)
        assert "Server closed the connection" in run.communicate()[0]
    assert run.returncode == 1
    assert db.v(1) == 1


# -- subscribing

@both_versions
def test_messages_from_the_command_line(daemon, version):
    c = daemon.connect()
    with process.running("redis-cli", "-s", daemon.socket, version,
                         "SUBSCRIBE", "news", "other") as run:
        said = [run.stdout.readline().rstrip("\n") for _ in range(6)]
        assert said == ["subscribe", "news", "1", "subscribe", "other", "2"]
        assert cli(daemon, version, "PUBLISH", "news", "Zoë").strip() == "1"
        said = [run.stdout.readline().rstrip("\n") for _ in range(3)]
        assert said == ["message", "news", "Zoë"]
    eventually(lambda: not c.show("databases")[0]["channels"], "it has left")


@both_versions
def test_messages_at_the_prompt(db, daemon, prompt, version):
    p = prompt(daemon.socket, version)
    assert p.ask('SQL "SELECT 1 AS x"')
    p.type("SUBSCRIBE news")
    assert "Reading messages... (press Ctrl-C to quit)" in p.shows(
        '1) "subscribe"')
    c = daemon.connect()
    for payload in ("one", "two"):
        c.call("PUBLISH", "news", payload)
        said = p.shows(f'"{payload}"')
        assert '1) "message"' in said and '2) "news"' in said
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
           "WHERE application_name = 'lockkeeper listener'")
    assert '"missed"' in p.shows("is lost")


def test_nothing_to_unsubscribe_from(daemon):
    """On RESP3 redis-cli waits for a reply that Redis does not send either."""
    assert cli(daemon, "-2", "--no-raw", "UNSUBSCRIBE").split() == [
        "1)", '"unsubscribe"', "2)", "(nil)", "3)", "(integer)", "0"]


# -- what it and others ask for

def test_command_in_its_other_shapes(daemon):
    c = daemon.connect("3")
    names = c.call("COMMAND", "LIST")
    assert "sql" in names and len(names) == c.call("COMMAND", "COUNT")
    infos = c.call("COMMAND")
    assert [info[0] for info in infos] == names
    assert all(len(info) == 10 for info in infos)
    arity = {info[0]: info[1] for info in infos}
    assert (arity["ping"], arity["quit"], arity["sql"]) == (-1, 1, -2)
    assert c.call("COMMAND", "INFO", "sql", "nosuch")[1] is None
    docs = c.call("COMMAND", "DOCS", "ping", "nosuch")
    assert list(docs) == ["ping"] and docs["ping"]["summary"]


def test_what_clients_send_when_they_connect(daemon):
    c = daemon.connect("2")
    assert "redis_version:" in c.call("INFO", "server")
    assert c.call("CLIENT", "SETINFO", "LIB-NAME", "x") == "OK"
    assert c.call("CLIENT", "NO-EVICT", "on") == "OK"
    assert c.call("CLIENT", "NO-TOUCH", "on") == "OK"
    assert c.call("CLIENT", "SETNAME", "me") == "OK"
    assert c.call("CLIENT", "GETNAME") == "me"
    assert c.call("CLIENT", "ID") == pairs(c.hello)["id"]
    assert c.call("SELECT", "0") == "OK"
    assert "USE" in c.fails("SYNTAX", "SELECT", "1")
    for habit in (["SELECT"], ["SELECT", "*", "FROM", "r"]):
        assert 'SQL "SELECT' in c.fails("SYNTAX", *habit)
    assert c.call("AUTH", "user", "secret") == "OK"
    c.fails("SYNTAX", "CLIENT", "KILL", "x")


def test_what_would_be_a_promise_is_refused(daemon):
    """Nobody would be told when a row that it keeps a copy of changes."""
    c = daemon.connect("3")
    c.fails("SYNTAX", "CLIENT", "TRACKING", "ON")


def test_echo_waits_for_the_replies_before_it(daemon):
    c = daemon.connect("3")
    c.send("SQL", "SELECT pg_sleep(0.05)")
    c.send("ECHO", "done")
    c.recv()
    assert c.recv() == "done"
