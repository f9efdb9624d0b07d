"""Cursors: OPEN, FETCH, CLOSE."""
import os
import random

import pytest

import process
from checks import assert_nothing_left, update
from client import LkError, bad, encode, pairs
from timing import SANITIZED, eventually, note

N_ROWS = int(os.environ.get("LK_CURSOR_ROWS",
                            "100000" if SANITIZED else "1000000"))

SERIES = "SELECT generate_series(1, $1::int) AS i"


class Tx:
    """A transaction of a client's: requests in it, and cursors."""

    def __init__(self, client, *begin, task=None):
        self.client = client
        self.words = [f"%{task}"] if task else []
        self.handle = client.call(*self.words, "BEGIN", *begin)
        self.words.append(f"#{self.handle}")

    def call(self, *args):
        return self.client.call(*self.words, *args)

    def fails(self, kind, *args):
        return self.client.fails(kind, *self.words, *args)

    def send(self, tag, *args):
        self.client.send(f"@{tag}", *self.words, *args)

    def sql(self, *args):
        return self.call("SQL", *args)

    def open(self, text, *params):
        return self.call("OPEN", "SQL", text, *params)

    def fetch(self, cursor, n, *envelope):
        """The first column of each row."""
        return [next(iter(pairs(row).values()))
                for row in self.call(*envelope, "FETCH", cursor, n)]

    def shown(self):
        return pairs(self.client.call("SHOW", "tx", self.handle))

    def cursors(self):
        return [pairs(cursor)["cursor"] for cursor in self.shown()["cursors"]]

    def on_server(self):
        rows = self.sql("""SELECT name FROM pg_cursors
            WHERE name LIKE 'lk_cursor%'""")
        return [pairs(row)["name"] for row in rows]


@pytest.fixture
def tx(daemon):
    return Tx(daemon.connect())


# -- what they give

@pytest.mark.parametrize("proto", "23")
def test_a_cursor_gives_its_rows_some_at_a_time(db, daemon, proto):
    c = daemon.connect(proto)
    tx = Tx(c)
    assert tx.open(SERIES, 7) == 1
    assert tx.fetch(1, 3) == [1, 2, 3]
    assert tx.fetch(1, 3) == [4, 5, 6]
    assert tx.fetch(1, 3) == [7]
    assert tx.fetch(1, 3) == tx.fetch(1, 1) == []
    assert tx.call("CLOSE", 1) == "OK"
    assert tx.call("COMMIT") == "COMMIT"
    assert_nothing_left(db, c)


@pytest.mark.parametrize("proto", "23")
def test_each_fetch_has_the_form_that_it_asks_for(daemon, proto):
    tx = Tx(daemon.connect(proto, "ROWS", "table"))
    tx.open(SERIES, 5)
    table = {"columns": ["i"], "types": ["integer"], "rows": [[1]]}
    assert pairs(tx.call("FETCH", 1, 1)) == table
    assert [pairs(row) for row in tx.call("=maps", "FETCH", 1, 1)] == [
        {"i": 2}]
    assert tx.call("=json", "FETCH", 1, 2) == ['{"i":3}', '{"i":4}']
    assert pairs(tx.call("=table", "FETCH", 1, 9)) == table | {"rows": [[5]]}
    assert pairs(tx.call("FETCH", 1, 9)) == table | {"rows": []}
    assert tx.call("=json", "FETCH", 1, 9) == []


@pytest.mark.parametrize("proto", "23")
def test_values_are_as_in_any_reply(daemon, proto):
    c = daemon.connect(proto)
    sql = """SELECT NULL::int AS a, true AS b, 1.5::float8 AS c,
        '{1,NULL}'::int[] AS d, '\\x4142'::bytea AS e, 'x'::text AS a,
        12.50::numeric AS f, 9007199254740993::int8 AS g"""
    tx = Tx(c)
    tx.open(sql)
    assert tx.call("FETCH", 1, 1) == c.call("SQL", sql)


def test_a_type_that_the_session_has_not_met_is_looked_up(db, tx):
    db.sql("CREATE TYPE mood AS ENUM ('low', 'high')")
    tx.open("SELECT '{low,high}'::mood[] AS m")
    assert tx.fetch(1, 1) == [["low", "high"]]


def test_parameters_have_the_types_that_their_places_want(tx):
    tx.client.call("HELLO", "NULL", "none")
    tx.open("""SELECT $1::int + 1 AS a, $2::bytea AS b, $3 AS c,
        $4::int[] AS d, $5::text AS e, $6::text AS f""",
            "41", b"\0\r\n", "it's", "{1,2}", None, "none")
    assert tx.call("FETCH", 1, 1) == [
        {"a": 42, "b": "\0\r\n", "c": "it's", "d": [1, 2], "e": None,
         "f": None}]


def test_two_cursors_take_turns(tx):
    assert (tx.open(SERIES, 4), tx.open("SELECT -i FROM generate_series(1, 4) "
                                        "AS i")) == (1, 2)
    assert tx.fetch(1, 2) == [1, 2]
    assert tx.fetch(2, 2) == [-1, -2]
    tx.sql(update(1))
    assert tx.fetch(2, 2) == [-3, -4]
    assert tx.fetch(1, 9) == [3, 4]


def test_what_changes_meanwhile_is_not_seen(db, tx):
    tx.open("SELECT v FROM r ORDER BY id")
    assert tx.fetch(1, 1) == [0]
    db.sql("UPDATE r SET v = 7")
    db.sql("DELETE FROM r WHERE id > 50")
    tx.sql("INSERT INTO r VALUES (101)")
    tx.sql("UPDATE r SET v = 8 WHERE id = 2")
    assert tx.fetch(1, 1000) == [0] * 99


def test_where_current_of_names_the_row(db, tx):
    tx.open("SELECT id FROM r ORDER BY id FOR UPDATE")
    assert tx.fetch(1, 3) == [1, 2, 3]
    assert tx.sql("UPDATE r SET v = 5 WHERE CURRENT OF lk_cursor_1") == \
        "UPDATE 1"
    tx.call("COMMIT")
    assert db.v(3) == 5


# -- of a model

def test_open_find_takes_what_find_takes(tx):
    clauses = ["r", "WHERE", "id", "<=", "5", "AND", "v", "IN", "2", "0", "1",
               "ORDER", "-id", "AFTER", "5", "FIELDS", "id"]
    assert tx.call("OPEN", "FIND", *clauses) == 1
    found = tx.call("FIND", *clauses)
    assert tx.call("FETCH", 1, 3) + tx.call("FETCH", 1, 3) == found == [
        {"id": i} for i in (4, 3, 2, 1)]
    shown, = tx.shown()["cursors"]
    assert shown["statement"].startswith('FIND SELECT t."id" FROM')


def test_values_of_open_find_have_their_columns_types(db, tx):
    db.sql("""CREATE TABLE typed (id bigint PRIMARY KEY, day date, raw bytea,
        tags text[], name text);
        INSERT INTO typed VALUES (9007199254740993, '2026-01-01', '\\x00ff',
        '{a,b}', NULL)""")
    tx.call("OPEN", "FIND", "typed", "WHERE", "day", "GE", "2026-01-01", "AND",
            "raw", "=", b"\0\xff", "AND", "tags", "@>", "{a}", "AND", "name",
            "IS", "NULL", "AND", "id", "=", "9007199254740993")
    assert tx.fetch(1, 9) == [9007199254740993]
    assert "typed.day" in tx.fails("PG", "OPEN", "FIND", "typed", "WHERE",
                                   "day", "=", "someday")


def test_open_find_for_update_locks_when_it_fetches(db, tx):
    tx.call("OPEN", "FIND", "r", "WHERE", "id", "=", "3", "FOR", "UPDATE")
    db.sql(update(3))
    assert tx.call("FETCH", 1, 1) == [{"id": 3, "v": 1}]
    with pytest.raises(Exception, match="could not obtain lock"):
        db.sql("SELECT FROM r WHERE id = 3 FOR UPDATE NOWAIT")


def test_a_model_that_is_not_there_opens_nothing(tx):
    tx.sql(update(1))
    tx.fails("NOMODEL", "OPEN", "FIND", "nowhere")
    tx.fails("NOCOLUMN", "OPEN", "FIND", "r", "WHERE", "nothing", "=", "1")
    assert tx.cursors() == []
    assert tx.call("OPEN", "FIND", "r") == 1


# -- how they end

def test_outside_a_transaction_they_are_notx(daemon):
    c = daemon.connect()
    for request in (["OPEN", "SQL", "SELECT 1"], ["FETCH", 1, 1],
                    ["CLOSE", 1]):
        assert c.fails("NOTX", *request).sqlstate == "25P01"


def test_a_number_that_is_not_open_is_an_error_and_nothing_else(db, tx):
    tx.sql(update(1))
    tx.open("SELECT 1")
    tx.call("CLOSE", 1)
    for request in (["FETCH", 1, 1], ["CLOSE", 1]):
        error = tx.fails("SYNTAX", *request)
        assert error.sqlstate == "34000" and "cursor 1" in error
    assert "cursor 12" in tx.fails("SYNTAX", "FETCH", 12, 1)
    assert tx.open("SELECT 2") == 2
    assert tx.fetch(2, 1) == [2]
    tx.call("COMMIT")
    assert db.v(1) == 1


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_cursor_ends_with_its_transaction(lockkeeperd, end):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    tx = Tx(c)
    tx.open(SERIES, 10)
    tx.fetch(1, 3)
    tx.call(end)
    tx.fails("NOTX", "FETCH", 1, 1)
    tx = Tx(c)
    assert tx.fails("SYNTAX", "FETCH", 1, 1).sqlstate == "34000"
    assert tx.on_server() == []
    assert tx.open(SERIES, 1) == 1


def test_an_error_ends_it_as_it_ends_all_in_its_transaction(tx):
    tx.open(SERIES, 10)
    tx.fails("PG", "SQL", "SELECT 1/0")
    tx.fails("TXABORTED", "FETCH", 1, 1)
    tx.fails("TXABORTED", "OPEN", "SQL", "SELECT 1")
    tx.fails("TXABORTED", "CLOSE", 1)
    assert tx.call("ROLLBACK") == "ROLLBACK"


def test_rollback_to_ends_those_behind_the_savepoint(tx):
    tx.open(SERIES, 10)
    tx.call("SAVEPOINT", "s")
    tx.open(SERIES, 10)
    assert tx.fetch(1, 2) == tx.fetch(2, 2) == [1, 2]
    tx.call("ROLLBACK", "TO", "s")
    assert "ROLLBACK TO" in tx.fails("SYNTAX", "FETCH", 2, 1)
    assert tx.fetch(1, 2) == [3, 4], "it keeps its place"
    assert tx.open(SERIES, 1) == 3, "a number never comes twice"


def test_a_fetch_that_fails_ends_its_cursor(tx):
    tx.open("SELECT 6 / (3 - i) FROM generate_series(1, 5) AS i")
    tx.open(SERIES, 10)
    tx.call("SAVEPOINT", "s")
    assert tx.fetch(1, 2) == [3, 6]
    assert tx.fails("PG", "FETCH", 1, 1).sqlstate == "22012"
    tx.fails("TXABORTED", "FETCH", 1, 1)
    tx.fails("TXABORTED", "FETCH", 2, 1)
    tx.call("ROLLBACK", "TO", "s")
    assert "FETCH that failed" in tx.fails("SYNTAX", "FETCH", 1, 1)
    assert tx.fetch(2, 1) == [1]


class Walk:
    """Cursors and savepoints at random: each step is one that can be done."""

    def __init__(self, tx, seed):
        self.tx = tx
        self.random = random.Random(seed)
        self.savepoints = []

    def step(self):
        verb = self.random.choice(
            ["open", "open", "close", "set", "set", "release", "back"])
        name = self.random.choice("abc")
        at = max((i for i, n in enumerate(self.savepoints) if n == name),
                 default=None)
        cursors = self.tx.cursors()
        if verb == "open":
            self.tx.open("SELECT 1")
        elif verb == "close" and cursors:
            self.tx.call("CLOSE", self.random.choice(cursors))
        elif verb == "set":
            self.tx.call("SAVEPOINT", name)
            self.savepoints.append(name)
        elif verb == "release" and at is not None:
            self.tx.call("RELEASE", name)
            del self.savepoints[at:]
        elif verb == "back" and at is not None:
            self.tx.call("ROLLBACK", "TO", name)
            del self.savepoints[at + 1:]


@pytest.mark.parametrize("seed", range(8))
def test_what_is_open_here_is_what_is_open_on_the_server(tx, seed):
    walk = Walk(tx, seed)
    for _ in range(60):
        walk.step()
        assert sorted(tx.on_server()) == sorted(
            f"lk_cursor_{cursor}" for cursor in tx.cursors())


def test_a_cursor_ends_with_its_session(db, daemon):
    c = daemon.connect()
    tx = Tx(c)
    tx.open(SERIES, 10)
    db.sql(f"SELECT pg_terminate_backend({tx.shown()['pid']})")
    eventually(lambda: tx.shown()["state"] == "aborted", "it is lost")
    assert tx.shown()["cursors"] == []
    tx.fails("TXABORTED", "FETCH", 1, 1)
    tx.call("ROLLBACK")
    assert_nothing_left(db, c)


def test_idle_for_too_long_it_is_rolled_back(lockkeeperd):
    daemon = lockkeeperd(timeouts={"idle_in_transaction": "200ms"})
    tx = Tx(daemon.connect())
    tx.open(SERIES, 10)
    assert "FETCH 2 of cursor 1: SQL SELECT generate_series(?, $1" in (
        tx.fetch(1, 2) and tx.client.push("txexpired")["text"])
    tx.fails("TXEXPIRED", "FETCH", 1, 1)
    assert tx.shown()["cursors"] == []


# -- FETCH is a statement like others

def test_locks_are_taken_by_fetch_which_may_wait(db, daemon):
    holder, c = daemon.connect(), daemon.connect()
    held = Tx(holder)
    held.sql(update(2))
    tx = Tx(c, task="reader")
    tx.open("SELECT v FROM r WHERE id < 4 ORDER BY id FOR UPDATE")
    assert tx.fetch(1, 1) == [0]
    tx.send("f", "FETCH", 1, 2)
    wait, = eventually(lambda: holder.show("waits"), "it waits")
    assert (wait["task"], wait["tx"]) == ("reader", tx.handle)
    assert wait["doing"].startswith("FETCH 2 of cursor 1: SQL SELECT v")
    assert str(held.handle) in wait["blockers"]
    held.call("COMMIT")
    assert c.tag("f") == [{"v": 1}, {"v": 0}], "the row as it is by then"
    tx.call("COMMIT")
    assert_nothing_left(db, c)


def test_how_long_it_may_wait_for_a_lock_is_limited(daemon):
    held = Tx(daemon.connect())
    held.sql(update(1))
    tx = Tx(daemon.connect())
    tx.open("SELECT v FROM r WHERE id = 1 FOR UPDATE")
    error = tx.fails("LOCKTIMEOUT", "?50", "FETCH", 1, 1)
    assert str(held.handle) in error
    tx.fails("TXABORTED", "FETCH", 1, 1)


def test_a_deadlock_in_a_fetch_has_one_victim(db, daemon):
    c = daemon.connect()
    txs = [Tx(c, task=f"t{row}") for row in (1, 2)]
    for tx, row in zip(txs, (1, 2)):
        tx.sql(update(row))
        tx.open("SELECT id FROM r WHERE id = $1 FOR UPDATE", 3 - row)
    for tag, tx in zip("12", txs):
        tx.send(tag, "FETCH", 1, 1)
    replies = {"1": c.tag("1"), "2": c.tag("2")}
    lost, = [tag for tag in "12" if isinstance(replies[tag], LkError)]
    error = bad("DEADLOCK", replies[lost])
    assert "FETCH 1 of cursor 1: SQL SELECT id FROM r" in error
    loser, winner = (txs if lost == "1" else txs[::-1])
    loser.fails("TXABORTED", "FETCH", 1, 1)
    assert loser.shown()["cursors"] == []
    loser.call("ROLLBACK")
    winner.call("COMMIT")
    assert_nothing_left(db, c)


SLOW = "SELECT i, pg_sleep(i / 2 * 30) FROM generate_series(1, 9) AS i"


def test_a_fetch_can_be_cancelled(db, tx):
    tx.open(SLOW)
    assert tx.fetch(1, 1) == [1]
    tx.send("f", "FETCH", 1, 5)
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    assert tx.client.call("CANCEL", "f") == 1
    bad("CANCELED", tx.client.tag("f"))
    tx.fails("TXABORTED", "FETCH", 1, 1)


def test_a_fetch_has_a_deadline(tx):
    tx.open(SLOW)
    assert "run" in tx.fails("TIMEOUT", "~100", "FETCH", 1, 5)


def test_cursors_go_with_a_transaction_that_is_given(daemon):
    c = daemon.connect()
    tx = Tx(c, task="a")
    tx.open(SERIES, 3)
    c.call("GIVE", tx.handle, "b")
    tx.fails("NOTX", "FETCH", 1, 1)
    tx.words[0] = "%b"
    assert tx.fetch(1, 9) == [1, 2, 3]


def test_between_two_fetches_the_session_rests(db, tx):
    tx.open("SELECT count(*) FROM generate_series(1, $1::int)", 100)
    tx.fetch(1, 1)
    worker, = [w for w in tx.client.show("workers") if w["tx"] == tx.handle]
    assert worker["state"] == "pinned"
    states = {row[0]: row[1] for row in db.busy()}
    assert states[str(worker["pid"])] == "idle in transaction"


# -- what is wrong with them

@pytest.mark.parametrize("request_,text", [
    (["OPEN", "SQL", update(1) + " RETURNING v"], "SELECT, VALUES, TABLE"),
    (["OPEN", "SQL", "SHOW work_mem"], "SELECT, VALUES, TABLE"),
    (["OPEN", "SQL", "COMMIT"], "the verb COMMIT"),
    (["OPEN", "SQL", " "], "empty"),
    (["OPEN", "SQL", None], "not NULL"),
    (["OPEN", "SQL", "SELECT 1\0"], "NUL"),
    (["OPEN", "SELECT 1", "x"], "FIND or SQL"),
    (["OPEN", "SQL"], "OPEN FIND model"),
    (["FETCH", 1], "FETCH cursor n"),
    (["FETCH", "NEXT", 1], "FETCH cursor n"),
    (["FETCH", 1, "ALL"], "from 1 to 1000000"),
    (["FETCH", 1, 0], "from 1 to 1000000"),
    (["FETCH", 1, 1000001], "from 1 to 1000000"),
    (["FETCH", 1, None], "from 1 to 1000000"),
    (["CLOSE", "ALL"], "CLOSE cursor"),
])
def test_what_is_wrong_is_said_and_the_transaction_goes_on(tx, request_, text):
    tx.open(SERIES, 3)
    assert text in tx.fails("SYNTAX", *request_)
    assert tx.fetch(1, 1) == [1]


@pytest.mark.parametrize("sql,params,kind,sqlstate", [
    ("SELECT 1; SELECT 2", [], "SYNTAX", "42601"),
    ("SELECT 1 INTO t", [], "PG", "42601"),
    ("WITH x AS (DELETE FROM r RETURNING *) TABLE x", [], "PG", "0A000"),
    ("SELECT $1::int", [], "PG", "08P01"),
    ("SELECT 1", ["2"], "SYNTAX", "42601"),
    ("SELECT $1::int", ["abc"], "PG", "22P02"),
    ("SELECT $1::text", ["\0"], "SYNTAX", "42601"),
])
def test_what_the_server_refuses_opens_nothing(db, tx, sql, params, kind,
                                               sqlstate):
    tx.call("SAVEPOINT", "s")
    assert tx.fails(kind, "OPEN", "SQL", sql, *params).sqlstate == sqlstate
    assert tx.shown()["cursors"] == []
    tx.call("ROLLBACK", "TO", "s")
    assert tx.open(SERIES, 1) == 1
    assert int(db.value("SELECT count(*) FROM r")) == 100


def test_an_error_has_its_position_in_what_was_sent(tx):
    tx.fails("PG", "OPEN", "SQL", "SELECT nobody FROM r")
    assert tx.client.call("SHOW", "error")["position"] == "8"


def test_more_than_a_reply_holds_is_overload_and_lost(lockkeeperd):
    daemon = lockkeeperd(limits={"result": "1MiB"})
    tx = Tx(daemon.connect())
    tx.open("SELECT i, repeat('x', 10000) FROM generate_series(1, 1000) AS i")
    assert tx.fetch(1, 1) == [1]
    assert "FETCH fewer" in tx.fails("OVERLOAD", "FETCH", 1, 200)
    assert tx.fetch(1, 2) == [202, 203]
    assert tx.shown()["cursors"][0]["fetched"] == 203
    tx.call("COMMIT")


def test_a_result_that_is_too_large_is_told_of_cursors(lockkeeperd):
    c = lockkeeperd(limits={"result": "1MiB"}).connect()
    assert "OPEN a cursor and FETCH" in c.fails(
        "OVERLOAD", "SQL", "SELECT repeat('x', 10000) "
        "FROM generate_series(1, 1000000)")


# -- to be seen

def test_show_tx_lists_what_is_open(tx):
    tx.open("SELECT 'secret', i FROM generate_series(1, 9) AS i")
    tx.open(SERIES, 5)
    tx.fetch(2, 2)
    tx.fetch(2, 1)
    shown = tx.client.call("SHOW", "tx", tx.handle)
    row, = tx.client.show("transactions")
    assert list(shown)[:-1] == list(row)
    assert shown["cursors"] == [
        {"cursor": 1, "fetched": 0,
         "statement": "SQL SELECT ?, i FROM generate_series(?, ?) AS i"},
        {"cursor": 2, "fetched": 3,
         "statement": "SQL SELECT generate_series(?, $1::int) AS i"}]
    assert shown["doing"] == "FETCH 1 of cursor 2: " \
        "SQL SELECT generate_series(?, $1::int) AS i"


# -- as many rows as one likes

def read_rows(client, n):
    """The bytes that end a reply of n rows in JSON, which are two lines each:
    quicker than looking at each of them."""
    left, tail = 1 + 2 * n, b""
    while left > 0:
        data = client.sock.recv(1 << 20)
        left -= data.count(b"\n")
        tail = (tail + data)[-100:]
    assert left == 0
    return tail


def test_memory_does_not_grow_with_the_rows(daemon):
    c, step = daemon.connect(), 10000
    tx = Tx(c)
    tx.open("SELECT generate_series(1, $1::int) AS i, 'some more text' AS t",
            N_ROWS)
    before = None
    for at in range(step, N_ROWS + 1, step):
        c.send_raw(encode([*tx.words, "=json", "FETCH", 1, step]))
        tail = read_rows(c, step)
        assert tail.endswith(b'{"i":%d,"t":"some more text"}\r\n' % at)
        before = before or process.peak_kib(daemon.pid)
    assert tx.call("FETCH", 1, step) == []
    grown = (process.peak_kib(daemon.pid) - before) / 1024
    note(f"{N_ROWS} rows by cursor, daemon's memory", grown, 4, "MiB")
    assert SANITIZED or grown < 4
    tx.call("COMMIT")
