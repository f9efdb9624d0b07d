"""HELLO's options, RESET and USE: how the connection's replies are to look."""
import pytest

from checks import update
from client import Simple


def test_tags_push_makes_tagged_replies_pushes(daemon):
    c = daemon.connect("3", "TAGS", "push")
    c.send("@a", "PING")
    assert c.read_raw(len(b">3\r\n+reply\r\n$1\r\na\r\n+PONG\r\n")) == (
        b">3\r\n+reply\r\n$1\r\na\r\n+PONG\r\n")


def test_without_it_they_are_arrays(daemon):
    c = daemon.connect("3")
    c.send("@a", "PING")
    assert c.read_raw(4) == b"*3\r\n"


def test_errors_blob_carries_the_fields(db, daemon):
    del db
    c = daemon.connect("3", "ERRORS", "blob")
    handle = c.call("BEGIN")
    c.send(f"#{handle}", "SQL", "INSERT INTO r VALUES (1, 0)")
    head = c.read_raw(1)
    assert head == b"!"
    length = b""
    while not length.endswith(b"\r\n"):
        length += c.read_raw(1)
    text = c.read_raw(int(length)).decode()
    lines = text.split("\n")
    assert lines[0].startswith("PG 23505 duplicate key")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert fields["retry"] == "no"
    assert fields["table"] == "r"
    assert fields["constraint"] == "r_pkey"
    assert fields["tx"] == str(handle)
    assert "(id)=(1)" in fields["detail"]


def test_errors_blob_is_not_for_resp2(daemon):
    c = daemon.connect("2", "ERRORS", "blob")
    c.send("SQL", "SELECT 1/0")
    assert c.read_raw(3) == b"-PG"


def test_show_error_names_the_transaction(daemon):
    c = daemon.connect("3")
    handle = c.call("BEGIN")
    c.fails("PG", f"#{handle}", "SQL", "SELECT 1/0")
    assert c.call("SHOW", "error")["tx"] == str(handle)


def test_null_text_means_null_as_a_parameter_only(daemon):
    c = daemon.connect("3", "NULL", "nix")
    assert c.value("SELECT $1::text IS NULL AS x", "nix") is True
    assert c.value("SELECT $1::text AS x", "nixe") == "nixe"
    assert c.value("SELECT 'nix' AS x") == "nix"


def test_without_it_the_text_is_data(daemon):
    assert daemon.connect("3").value("SELECT $1::text AS x", "nix") == "nix"


def test_int8_text_spares_only_int8(daemon):
    c = daemon.connect("3", "INT8", "text")
    row, = c.sql("SELECT 9007199254740993 AS big, 7 AS small, "
                 "ARRAY[1::int8, NULL] AS bigs")
    assert row == {"big": "9007199254740993", "small": 7, "bigs": ["1", None]}


@pytest.mark.parametrize("option", [
    ("TAGS", "pull"), ("ERRORS", "line"), ("INT8", "number"), ("NULL", ""),
    ("MODE", "fast"), ("ROWS", "xml"), ("DATABASE", "none"), ("COLOUR", "red"),
    ("NAME",), ("AUTH",), ("AUTH", "user")])
def test_a_wrong_option_changes_nothing(daemon, option):
    c = daemon.connect("2")
    c.fails("SYNTAX", "HELLO", "3", "NAME", "new", *option)
    c.send("SQL", "SELECT NULL AS x")
    assert c.read_raw(4) == b"*1\r\n"		# still RESP2: a flat array
    other = daemon.connect()
    assert "new" not in [row["name"] for row in other.show("clients")]


@pytest.mark.parametrize("version", [(), ("2",), ("3",)])
def test_auth_and_setname_are_taken_and_prove_nothing(daemon, version):
    c = daemon.connect(*version, "AUTH", "user", "secret", "SETNAME", "me",
                       "NULL", "nix")
    assert c.call("CLIENT", "GETNAME") == "me"
    assert c.sql("SELECT $1::text AS x", "nix") in ([{"x": None}],
                                                    [["x", None]])
    assert "secret" not in daemon.log


@pytest.mark.parametrize("words, said", [
    (("MODE", "fast"), "HELLO: MODE takes async|blocking: "),
    (("NULL", ""), "HELLO: NULL takes 1 to 255 printable characters: "),
    (("DATABASE", "nope"), "no database nope here; HELLO lists those"),
    (("COLOUR", "red"), "HELLO does not know its option 3: "),
])
def test_what_is_wrong_is_named(daemon, words, said):
    error = daemon.connect("3").fails(
        "SYNTAX", "HELLO", "3", "AUTH", "user", "secret", "NAME", "n", *words)
    assert error.message.startswith(said)


def test_a_database_that_is_not_here_is_named(daemon):
    c = daemon.connect("3")
    for request in ("USE", "nope"), ("/nope", "SQL", "SELECT 1"):
        error = c.fails("SYNTAX", *request)
        assert "no database nope here; HELLO lists those" in error.message


def test_reset_ends_requests_and_transactions(db, daemon):
    c = daemon.connect("3", "NAME", "me", "ROWS", "table")
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call("%a", tx, "SQL", update(1))
    c.send("@s", "SQL", "SELECT pg_sleep(30)")
    c.send("RESET")
    c.until(lambda: len(c.replies) == 1 and "s" in c.tagged, "both replies")
    assert c.recv() == Simple("RESET")
    assert c.tag("s").kind == "CANCELED"
    c.fails("NOTX", "%a", tx, "SQL", update(1))
    other = daemon.connect()
    mine = next(row for row in other.show("clients")
                if row["id"] == c.hello["id"])
    assert (mine["name"], mine["proto"], mine["transactions"]) == (None, 2, 0)
    c.call("SQL", update(1), timeout_s=5)
    assert db.v(1) == 1


def test_use_changes_where_requests_go(daemon):
    c = daemon.connect()
    assert c.call("USE", "main") == "OK"
    assert "HELLO" in c.fails("SYNTAX", "USE", "elsewhere").message
