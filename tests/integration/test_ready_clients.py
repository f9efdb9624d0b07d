"""What a stranger's program relies on, with each Redis client that we know.

test_redis_cli.py has the same for redis-cli, and test_client_habits.py what is
one client's own.  README tells users of both."""
import pytest

from checks import assert_nothing_left, n_verdicts, update
from client import LkError, pairs
from ready import Lost
from timing import FACTOR, eventually

NULL = r"\N"		# HELLO NULL: what stands for it, as in COPY


def hello(client):
    """None of the clients can send a null."""
    return (str(client.proto), "NULL", NULL)


def connect(client, path):
    return client.open(path, *hello(client))


def failed(future):
    """The error reply that it must get."""
    with pytest.raises(LkError) as caught:
        future.result(15 * FACTOR / 10)
    return caught.value


# -- values

def test_values_out(daemon, client):
    c = connect(client, daemon.socket)
    row, = c.sql("""SELECT 42 AS i, true AS b, 1.5::float8 AS f,
        0.10::numeric AS n, '{1,NULL}'::int[] AS a, 'Zoë 漢'::text AS t,
        '{{x},{y}}'::text[] AS aa""")
    is_3 = client.proto == 3
    assert isinstance(row, dict) == is_3
    assert pairs(row) == {
        "i": 42, "b": True if is_3 else 1, "f": 1.5 if is_3 else "1.5",
        "n": "0.10", "a": [1, None], "t": "Zoë 漢", "aa": [["x"], ["y"]]}


def test_values_in(daemon, client):
    c = connect(client, daemon.socket)
    row, = c.sql("""SELECT $1::int = 42 AS i, $2::bool AS b,
        $3::float8 = 1.5 AS f, $4::numeric = 0.10 AS n,
        $5::int[] = ARRAY[1, NULL] AS a, $6::text = 'Zoë 漢' AS t""",
        "42", "true", "1.5", "0.10", "{1,NULL}", "Zoë 漢")
    assert set(pairs(row).values()) <= {True, 1}


def test_bytea_both_ways_as_it_is(daemon, client):
    c = connect(client, daemon.socket)
    every_byte = bytes(range(256))
    assert c.value("SELECT $1::bytea = decode($2, 'hex') AS same",
                   every_byte, every_byte.hex()) in (True, 1)
    row, = client.bytes(c, "SQL", "SELECT $1::bytea AS x", every_byte)
    assert pairs(row)["x"].encode("utf-8", "surrogateescape") == every_byte


def test_null_both_ways(daemon, client):
    c = connect(client, daemon.socket)
    row, = c.sql("SELECT $1::text AS x, $2::text AS y, $1::int IS NULL AS z",
                 NULL, "NULL")
    assert pairs(row) == {"x": None, "y": "NULL", "z": 1}
    assert c.sql("SELECT 1 AS x WHERE false") == []


# -- errors

def test_an_error_has_its_kind_and_sqlstate(db, daemon, client):
    del db
    c = connect(client, daemon.socket)
    error = failed(c.start("SQL", "INSERT INTO r VALUES (1, 0)"))
    assert (error.kind, error.sqlstate) == ("PG", "23505")
    assert "r_pkey" in error.message
    shown = pairs(c.call("SHOW", "error"))
    assert (shown["constraint"], shown["retry"]) == ("r_pkey", "no")
    error = failed(c.start("SQL"))
    assert (error.kind, error.sqlstate) == ("SYNTAX", "42601")
    assert c.value("SELECT 'Zoë' AS x") == "Zoë"


# -- transactions

def test_a_transaction_here(db, daemon, client):
    c, other = (connect(client, daemon.socket) for _ in "ab")
    assert isinstance(c.call("BEGIN", "HERE"), int)
    assert c.sql(update(1)) == "UPDATE 1"
    assert other.value("SELECT v FROM r WHERE id = 1") == 0
    assert c.call("COMMIT") == "COMMIT"
    assert other.value("SELECT v FROM r WHERE id = 1") == 1
    c.call("BEGIN", "HERE")
    c.sql(update(1))
    assert c.call("ROLLBACK") == "ROLLBACK"
    assert db.v(1) == 1


def test_a_transaction_by_its_handle(db, daemon, client):
    c = connect(client, daemon.socket)
    tx = f"#{c.call('%writer', 'BEGIN')}"
    assert c.call("%writer", tx, "SQL", update(1)) == "UPDATE 1"
    assert c.value("SELECT v FROM r WHERE id = 1") == 0
    assert c.call("%writer", tx, "COMMIT") == "COMMIT"
    assert failed(c.start("%writer", tx, "SQL", update(1))).kind == "NOTX"
    assert db.v(1) == 1


# -- lock waits and deadlocks

def test_a_lock_wait(db, daemon, client):
    """The second waits until the first commits; if either's loop stood still
    meanwhile, that would be never."""
    first, second, third = (connect(client, daemon.socket) for _ in "abc")
    tx = f"#{first.call('BEGIN')}"
    first.call(tx, "SQL", update(1))
    waiting = second.start("SQL", update(1))
    db.wait_for_waiters(1)
    assert third.value("SELECT 1 AS x") == 1
    assert not waiting.done()
    assert first.call(tx, "COMMIT") == "COMMIT"
    assert waiting.result(5 * FACTOR / 10) == "UPDATE 1"
    assert db.v(1) == 2
    assert n_verdicts(daemon.connect()) == 0


def test_a_deadlock_has_one_victim(db, daemon, client):
    """Two rows, crossed.  The lock wait above is the control."""
    both = [connect(client, daemon.socket) for _ in "ab"]
    txs = [f"#{c.call('BEGIN')}" for c in both]
    for row, c, tx in zip((1, 2), both, txs):
        c.call(tx, "SQL", update(row))
    futures = [both[0].start(txs[0], "SQL", update(2))]
    db.wait_for_waiters(1)
    futures.append(both[1].start(txs[1], "SQL", update(1)))
    errors = [future.exception(15 * FACTOR / 10) for future in futures]
    lost, won = (0, 1) if errors[0] else (1, 0)
    assert errors[won] is None
    assert (errors[lost].kind, errors[lost].sqlstate) == ("DEADLOCK", "40P01")
    assert both[won].call(txs[won], "COMMIT") == "COMMIT"
    assert failed(both[lost].start(txs[lost], "SQL", update(3))).kind == (
        "TXABORTED")
    assert both[lost].call(txs[lost], "ROLLBACK") == "ROLLBACK"
    assert [db.v(1), db.v(2), db.v(3)] == [1, 1, 0]
    assert n_verdicts(daemon.connect()) == 1
    assert_nothing_left(db, daemon.connect())


# -- many requests at once on one connection

def test_tags_say_whose_reply_it_is(
        db, daemon, pipelining_client):
    """The library pairs replies and requests in order.  With tags a reply
    that is quicker goes to who asked first, and names whose it is."""
    c = connect(pipelining_client, daemon.socket)
    tx = f"#{c.call('@0', '%a', 'BEGIN')[2]}"
    c.call("@1", "%a", tx, "SQL", update(1))
    futures = [c.start("@2", "%b", "SQL", update(1))]
    db.wait_for_waiters(1)
    futures.append(c.start("@3", "%a", tx, "SQL", update(2)))
    assert futures.pop(0).result(5 * FACTOR / 10) == ["reply", "3", "UPDATE 1"]
    futures.append(c.start("@4", "%a", tx, "COMMIT"))
    assert sorted(f.result(5 * FACTOR / 10) for f in futures) == [
        ["reply", "2", "UPDATE 1"], ["reply", "4", "COMMIT"]]
    reply, tag, error = c.call("@5", "SQL", "SELECT 1/0")
    assert (reply, tag, error.kind, error.sqlstate) == (
        "reply", "5", "PG", "22012")
    assert [db.v(1), db.v(2)] == [2, 1]


def test_without_tags_the_order_may_be_the_deadlock(
        db, daemon, pipelining_client):
    """The holder's next reply would come behind that of who waits for it."""
    c = connect(pipelining_client, daemon.socket)
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call("%a", tx, "SQL", update(1))
    waiter = c.start("%b", "SQL", update(1))
    db.wait_for_waiters(1)
    holder = c.start("%a", tx, "SQL", "SELECT 1 AS x")
    assert failed(waiter).kind == "DEADLOCK"
    assert holder.result(5 * FACTOR / 10) in ([{"x": 1}], [["x", 1]])
    assert c.call("%a", tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 1


# -- the daemon goes and comes

def until_it_answers(connection):
    def probe():
        try:
            return connection.call("PING")
        except Lost:
            return False

    eventually(probe, "it is connected again", 10)


def test_a_reply_lost_in_a_restart_does_nothing_twice(
        db, daemon, gate, client):
    c = connect(client, gate.path)
    c.call("PING")
    gate.shut()
    asked = c.start("SQL", update(1))
    eventually(lambda: db.v(1) == 1, "it is committed")
    daemon.restart()
    gate.open()
    with pytest.raises(Lost):
        asked.result(15 * FACTOR / 10)
    until_it_answers(c)
    assert c.sql(update(2)) == "UPDATE 1"
    assert [db.v(1), db.v(2)] == [1, 1]
    assert c.value("SELECT $1::text AS x", NULL) is None	# HELLO again


def test_a_transaction_lost_in_a_restart_is_lost_whole(db, daemon, client):
    c = connect(client, daemon.socket)
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    daemon.restart()
    until_it_answers(c)
    assert failed(c.start(tx, "SQL", update(2))).kind == "NOTX"
    assert failed(c.start(tx, "COMMIT")).kind == "NOTX"
    assert [db.v(1), db.v(2)] == [0, 0]
