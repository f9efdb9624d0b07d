"""What one Redis client or another does by itself, and which of its settings
matter: README's section on ready clients says what these tests show."""
import concurrent.futures

import pytest

from checks import update
from ready import Lost
from test_ready_clients import NULL, connect, hello, until_it_answers
from timing import FACTOR, eventually


def kinds(*names):
    return pytest.mark.parametrize("kind", names)


@kinds("redis-py", "redis-py-asyncio", "ioredis", "node-redis-2",
       "node-redis-3")
def test_name_and_password_are_taken(daemon, make_client, kind):
    client = make_client(kind)
    c = client.open(daemon.socket, *hello(client), verb="auth")
    assert c.call("CLIENT", "GETNAME") == "me"


# -- who does again, or later, what it got no reply to

@pytest.mark.parametrize("kind, verb", [
    ("ioredis", "defaults"), ("redis-py", "retry"),
    ("redis-py-asyncio", "retry")])
def test_a_done_statement_is_sent_again(
        db, daemon, gate, make_client, kind, verb):
    """The control of test_a_reply_lost_in_a_restart_does_nothing_twice."""
    client = make_client(kind)
    c = client.open(gate.path, *hello(client), verb=verb)
    c.call("PING")
    gate.shut()
    asked = c.start("SQL", update(1))
    eventually(lambda: db.v(1) == 1, "it is committed")
    daemon.restart()
    gate.open()
    assert asked.result(15 * FACTOR / 10) == "UPDATE 1"
    assert db.v(1) == 2


def start_offline(connection, *words):
    """The future of a request that waits for a connection, or its loss."""
    while True:
        asked = connection.start(*words)
        try:
            asked.result(0.3)
        except Lost as error:
            if "offline" in str(error):
                return asked
        except concurrent.futures.TimeoutError:
            return asked


@pytest.mark.parametrize("verb", ["defaults", "open"])
def test_node_redis_sends_what_waited_before_hello(daemon, make_client, verb):
    """So that NULL is four letters to it, unless nothing waits."""
    client = make_client("node-redis-3")
    c = client.open(daemon.socket, *hello(client), verb=verb)
    daemon.stop()
    asked = start_offline(c, "SQL", "SELECT $1::text AS x", NULL)
    daemon.start()
    if verb == "defaults":
        assert asked.result(15 * FACTOR / 10) == [{"x": NULL}]
    else:
        assert isinstance(asked.exception(0), Lost)
        until_it_answers(c)
        assert c.value("SELECT $1::text AS x", NULL) is None


def test_a_new_connection_is_in_no_transaction_here(db, daemon, client):
    """The rest of a lost transaction would be done without its beginning:
    name transactions by their handles where connections come back."""
    c = connect(client, daemon.socket)
    c.call("BEGIN", "HERE")
    c.sql(update(1))
    daemon.restart()
    until_it_answers(c)
    assert c.sql(update(2)) == "UPDATE 1"
    assert [db.v(1), db.v(2)] == [0, 1]


# -- values

def test_ioredis_sends_null_as_an_empty_string(daemon, make_client):
    c = connect(make_client("ioredis"), daemon.socket)
    row = c.sql("SELECT $1::text AS x, $2::int + 1 AS y, $3::bool AS z",
                None, 41, True)
    assert row == [["x", "", "y", 42, "z", 1]]


@pytest.mark.parametrize("kind, value", [
    ("redis-py", None), ("redis-py", True), ("redis-py-asyncio", None),
    ("node-redis-2", None), ("node-redis-3", 42)])
def test_others_refuse_what_they_cannot_send(daemon, make_client, kind, value):
    c = connect(make_client(kind), daemon.socket)
    with pytest.raises(Lost):
        c.sql("SELECT $1::text AS x", value)
    assert c.value("SELECT $1::text AS x", NULL) is None


@kinds("ioredis", "node-redis-2", "node-redis-3")
def test_numbers_of_javascript_end_before_int8(daemon, make_client, kind):
    client = make_client(kind)
    sql = "SELECT 9007199254740993 AS x"
    assert connect(client, daemon.socket).value(sql) == 9007199254740992
    c = client.open(daemon.socket, *hello(client), "INT8", "text")
    assert c.value(sql) == "9007199254740993"


# -- pushes

def test_node_redis_goes_on_behind_pushes(db, lockkeeperd, make_client):
    daemon = lockkeeperd(deadlock={"notify": "20ms"})
    client = make_client("node-redis-3")
    holder, waiter = (connect(client, daemon.socket) for _ in "ab")
    tx = f"#{holder.call('BEGIN')}"
    holder.call(tx, "SQL", update(1))
    waiting = waiter.start("SQL", update(1))
    db.wait_for_waiters(1)
    eventually(lambda: holder.call("SHOW", "stats")["lockwaits"] == 1,
               "the waiter is told")
    assert holder.call(tx, "COMMIT") == "COMMIT"
    assert waiting.result(5 * FACTOR / 10) == "UPDATE 1"
