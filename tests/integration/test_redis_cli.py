"""redis-cli 7 as people use it: piped, in both versions, and what it asks
at its prompt."""
import shutil
import subprocess

import pytest

from client import pairs

pytestmark = pytest.mark.skipif(
    not shutil.which("redis-cli"), reason="no redis-cli: apt-get install "
    "redis-tools")


def cli(daemon, *args, text=None):
    done = subprocess.run(["redis-cli", "-s", daemon.socket, *args],
                          input=text, capture_output=True, text=True,
                          timeout=30, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("version", ["-2", "-3"])
def test_one_request_from_the_command_line(daemon, version):
    assert cli(daemon, version, "PING").strip() == "PONG"
    out = cli(daemon, version, "--no-raw", "SQL",
              "SELECT 1 AS a, NULL AS b, 'x' AS c")
    assert '"a"' in out and "(integer) 1" in out and "(nil)" in out


@pytest.mark.parametrize("version", ["-2", "-3"])
def test_a_transaction_piped(db, daemon, version):
    out = cli(daemon, version, text="""BEGIN HERE
SQL "UPDATE r SET v = 41 WHERE id = 1"
SQL "UPDATE r SET v = v + $1 WHERE id = 1" 1
COMMIT
""")
    assert "UPDATE 1" in out and "COMMIT" in out
    assert db.v(1) == 42


@pytest.mark.parametrize("version", ["-2", "-3"])
def test_an_error_is_one(daemon, version):
    assert "(error) PG 22012 division by zero" in cli(
        daemon, version, "--no-raw", "SQL", "SELECT 1/0")


@pytest.mark.parametrize("version", ["-2", "-3"])
def test_its_help_comes_from_command_docs(daemon, version):
    out = cli(daemon, version, text="help sql\nhelp begin\nPING\n")
    assert "PONG" in out
    out = cli(daemon, version, "--no-raw", "COMMAND", "DOCS", "sql")
    assert "run one statement" in out and "text [param ...]" in out


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
    assert c.call("CLIENT", "SETNAME", "me") == "OK"
    assert c.call("CLIENT", "GETNAME") == "me"
    assert c.call("CLIENT", "ID") == pairs(c.hello)["id"]
    assert c.call("SELECT", "0") == "OK"
    assert "USE" in c.fails("SYNTAX", "SELECT", "1")
    for habit in (["SELECT"], ["SELECT", "*", "FROM", "r"]):
        assert 'SQL "SELECT' in c.fails("SYNTAX", *habit)
    assert c.call("AUTH", "user", "secret") == "OK"
    c.fails("SYNTAX", "CLIENT", "KILL", "x")
