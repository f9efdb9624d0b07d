"""Reads by key, many at once: each request gets what it would have got alone,
though the server sees few statements."""
import pytest

from checks import assert_nothing_left
from client import LkError, bad, good
from cluster import PRELOAD
from timing import eventually, within

MODELS = """
CREATE TABLE item (id int PRIMARY KEY, code text UNIQUE, note text);
INSERT INTO item SELECT i, 'c' || i, 'note ' || i FROM generate_series(1, 2000) i;
CREATE TABLE pair (a int, b text, v int, PRIMARY KEY (b, a));
INSERT INTO pair SELECT i % 40, 'b' || i / 40, i FROM generate_series(0, 399) i;
CREATE TABLE note (id int PRIMARY KEY, item_id int REFERENCES item, text text);
INSERT INTO note SELECT i, 1 + i % 50, 'n' || i FROM generate_series(1, 200) i;
CREATE INDEX ON note (item_id);
"""
FEW = {"min": 2, "max": 4}


@pytest.fixture
def tables(db):
    db.sql(MODELS)
    return db


def begin(lockkeeperd, **settings):
    """A daemon that has two sessions and knows the models."""
    daemon = lockkeeperd(workers=settings.pop("workers", FEW), **settings)
    c = daemon.connect("3")
    c.call("GET", "item", 1)
    return daemon, c


def ask_all(clients, requests):
    """All requests outstanding at once, over the clients in turn; the replies
    in the same order, errors as values."""
    sent = []
    for i, request in enumerate(requests):
        client = clients[i % len(clients)]
        client.send(f"@q{i}", f"%t{i}", *request)
        sent.append(client)
    return [client.tag(f"q{i}", 60) for i, client in enumerate(sent)]


def stats(c):
    return c.call("SHOW", "stats")


class Held:
    """What is sent meanwhile has to wait for a slot, and so comes in batches:
    transactions hold all of them."""

    def __init__(self, daemon, n=4):
        self.c = daemon.connect("3")
        self.txs = []
        for i in range(n):
            tx = self.c.call(f"%h{i}", "BEGIN")
            self.c.call(f"#{tx}", f"%h{i}", "SQL", "SELECT 1")
            self.txs.append((tx, i))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for tx, i in self.txs:
            self.c.call(f"#{tx}", f"%h{i}", "ROLLBACK")
        self.c.close()


def until_queued(c, n):
    """All that have no reply yet wait for a slot."""
    eventually(lambda: c.show("databases")[0]["queued"] + len(c.tagged) == n,
               "all wait for a slot")


def ask_in_batches(daemon, c, requests):
    with Held(daemon):
        for i, request in enumerate(requests):
            c.send(f"@q{i}", f"%t{i}", *request)
        until_queued(c, len(requests))
    return [c.tag(f"q{i}", 60) for i in range(len(requests))]


def test_a_thousand_tasks_get_each_its_own_row(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd)
    clients = [daemon.connect("3") for _ in range(16)]
    with within(2000, "3000 GETs of 1000 tasks"):
        for _ in range(3):
            keys = [1 + i * 7 % 2000 for i in range(1000)]
            rows = ask_all(clients, [("GET", "item", key) for key in keys])
            assert rows == [{"id": key, "code": f"c{key}",
                             "note": f"note {key}"} for key in keys]
    assert_nothing_left(tables, c)


def test_those_that_wait_are_asked_by_few_statements(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd)
    before = c.call("SHOW", "stats")
    rows = ask_in_batches(daemon, c, [("GET", "item", key)
                                      for key in range(1, 1001)])
    assert [row["id"] for row in rows] == list(range(1, 1001))
    after = c.call("SHOW", "stats")
    assert after["coalesced"] == after["batched"] >= 990
    assert after["batches"] <= 40
    assert after["statements"] - before["statements"] < 100
    assert_nothing_left(tables, c)


def n_rows_asked_for(db):
    """By statements that ask for several keys."""
    return int(db.value("""SELECT coalesce(sum(rows), 0)
        FROM pg_stat_statements JOIN pg_database ON dbid = oid
        WHERE datname = current_database() AND query LIKE '%unnest(%'
        AND query LIKE '%"item"%'"""))


def test_a_row_that_many_want_is_asked_for_once(tables, lockkeeperd):
    if PRELOAD not in tables.value("SHOW shared_preload_libraries"):
        pytest.skip("no pg_stat_statements (Debian: it is in postgresql-15)")
    tables.sql(f"CREATE EXTENSION {PRELOAD}")
    daemon, c = begin(lockkeeperd)
    # The odd one is none, and has another text.
    keys = [7, 8, 7, 99999, "07", 7] * 50
    before = n_rows_asked_for(tables)
    replies = ask_in_batches(daemon, c, [("GET", "item", key)
                                         for key in keys])
    for key, reply in zip(keys, replies):
        assert reply == (None if key == 99999 else {
            "id": int(key), "code": f"c{int(key)}",
            "note": f"note {int(key)}"})
    assert stats(c)["coalesced"] >= 290
    assert n_rows_asked_for(tables) - before <= 3 * stats(c)["batches"]
    assert_nothing_left(tables, c)


def test_one_request_alone_is_no_batch(tables, lockkeeperd):
    _, c = begin(lockkeeperd)
    for key in range(1, 20):
        assert c.call("GET", "item", key)["id"] == key
    assert stats(c)["batches"] == 0
    assert_nothing_left(tables, c)


@pytest.mark.parametrize("form", ["=maps", "=table", "=json"])
@pytest.mark.parametrize("proto", ["2", "3"])
def test_a_batch_replies_as_one_does(tables, lockkeeperd, form, proto):
    daemon, _ = begin(lockkeeperd)
    c = daemon.connect(proto)
    requests = [(form, *words) for words in [
        ("GET", "item", 5), ("GET", "item", 6), ("GET", "item", 5),
        ("GET", "item", 99999), ("GET", "item", " 007 "),
        ("GET", "item", 8, "FIELDS", "note,id"),
        ("GET", "item", 9, "FIELDS", "note,id"),
        ("GET", "pair", "b3", 7), ("GET", "pair", "b3", "07"),
        ("GET", "pair", "b3", 41), ("GET", "pair", 'b"\\', 1),
        ("ONE", "item", "WHERE", "code", "=", "c12"),
        ("ONE", "item", "WHERE", "code", "=", "none"),
        ("ONE", "item", "WHERE", "code", "=", "c13"),
        ("FIRST", "item", "WHERE", "id", "=", 14),
        ("FIRST", "item", "WHERE", "id", "=", 0),
        ("FIND", "item", "WHERE", "id", "EQ", 15),
        ("FIND", "item", "WHERE", "id", "EQ", 0),
        ("FIND", "pair", "WHERE", "a", "=", 1, "AND", "b", "=", "b1"),
        ("FIND", "pair", "WHERE", "a", "=", 2, "AND", "b", "=", "b2"),
        ("LOAD", "note", 3, "item"), ("LOAD", "note", 4, "item"),
        ("LOAD", "note", 0, "item"),
        ("LOAD", "item", 5, "note", "ORDER", "-id", "LIMIT", 2),
        ("LOAD", "item", 6, "note", "ORDER", "-id", "LIMIT", 2),
        ("LOAD", "item", 6, "note", "ORDER", "-id", "LIMIT", 3),
        ("LOAD", "item", 0, "note", "ORDER", "-id", "LIMIT", 2),
        ("LOAD", "item", 7, "note", "WHERE", "text", "=", "n6"),
        ("LOAD", "item", 8, "note", "WHERE", "text", "=", "n7"),
        ("GET", "item", 3, "WITH", "note:2:-id"),
        ("GET", "item", 4, "WITH", "note:2:-id"),
        ("GET", "item", 1999, "WITH", "note:2:-id"),
        ("GET", "item", 0, "WITH", "note:2:-id"),
        ("GET", "note", 10, "WITH", "item.note"),
        ("GET", "note", 60, "WITH", "item.note")]]
    alone = [c.try_call(*request) for request in requests]
    before = stats(c)
    many = ask_in_batches(daemon, c, requests)
    for request, one, reply in zip(requests, alone, many):
        if isinstance(one, LkError):
            assert isinstance(reply, LkError), request
            assert reply.line == one.line
        else:
            assert reply == one, request
    after = stats(c)
    if proto == "3":
        assert after["coalesced"] - before["coalesced"] >= 20


@pytest.mark.parametrize("type_name, spellings", [
    ("int8", ["7", "07", " 7", "+7", "8"]),
    ("text", ["a", "A", "a ", "", "ä"]),
    ("uuid", ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
              "A0EEBC999C0B4EF8BB6D6BB9BD380A11",
              "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
              "00000000-0000-0000-0000-000000000000"]),
    ("numeric", ["1", "1.0", "1.00", "1e0", "2", "NaN"]),
    ("date", ["2026-01-02", "January 2, 2026", "20260102", "2026-01-03"]),
    ("timestamptz", ["2026-01-02 00:00+00", "2026-01-02 01:00+01",
                     "2026-01-02 00:00+01"]),
    ("char(3)", ["a", "a ", "a  ", "b"]),
    ("bytea", [b"\x00\xff", b"\\x00ff", b"a", b'"']),
    ("inet", ["10.0.0.1", "10.0.0.1/32", "10.0.0.1/8"]),
    ("int4range", ["[1,3)", "[1,2]", "[2,3)"]),
    ("int4[]", ["{1,2}", "{1, 2}", "{2,1}"]),
    ("color", ["red", "blue"]),
    ("bool", ["t", "true", "yes", "f"]),
    ("float8", ["1", "1.0", "1e0", "Infinity", "0.1"])])
def test_the_database_compares_keys(db, lockkeeperd, type_name, spellings):
    """Whatever the text of a key: its row is what it is for one request."""
    db.sql(f"""CREATE TYPE color AS ENUM ('red', 'blue');
        CREATE TABLE k (key {type_name} PRIMARY KEY, n serial);
        CREATE TABLE item (id int PRIMARY KEY)""")
    daemon, c = begin(lockkeeperd)
    for key in spellings:
        c.try_call("SQL", f"INSERT INTO k VALUES ($1::{type_name})", key)
    requests = [("GET", "k", key, "FIELDS", "n")
                for key in spellings + spellings[::-1]]
    alone = [c.try_call(*request) for request in requests]
    assert not all(isinstance(reply, LkError) for reply in alone)
    assert [r for r in alone if r], alone
    many = ask_in_batches(daemon, c, requests)
    assert list(map(str, many)) == list(map(str, alone))


@pytest.mark.parametrize("bad_key, kind, sqlstate", [
    ("x", "PG", "22P02"), ("a0eebc99", "PG", "22P02"),
    ("\xff\xfe".encode("latin-1"), "SYNTAX", "22021"), (None, "SYNTAX", None)])
def test_one_bad_key_is_its_requests_own(db, lockkeeperd, bad_key, kind,
                                         sqlstate):
    db.sql("""CREATE TABLE k (key uuid PRIMARY KEY, n int);
        CREATE TABLE item (id int PRIMARY KEY);
        INSERT INTO k SELECT md5(i::text)::uuid, i
        FROM generate_series(0, 99) i""")
    daemon, c = begin(lockkeeperd)
    keys = [str(row[0]) for row in db.sql("SELECT key FROM k ORDER BY n")]
    keys[41] = bad_key
    replies = ask_in_batches(daemon, c, [("GET", "k", key) for key in keys])
    error = bad(kind, replies[41])
    assert sqlstate is None or error.sqlstate == sqlstate
    del replies[41]
    assert [good(reply)["n"] for reply in replies] == (
        list(range(41)) + list(range(42, 100)))
    assert_nothing_left(db, c)


def test_a_reply_is_as_large_as_each_may_be(tables, lockkeeperd):
    tables.sql("""CREATE TABLE big (id int PRIMARY KEY, t text);
        INSERT INTO big SELECT i, repeat('x', CASE WHEN i = 7 THEN 70000
            ELSE 20000 END) FROM generate_series(1, 40) i""")
    daemon, c = begin(lockkeeperd, limits={"result": "64KiB"})
    replies = ask_in_batches(daemon, c,
                             [("GET", "big", i) for i in range(1, 41)])
    assert "limits.result" in bad("OVERLOAD", replies[6])
    assert [len(good(reply)["t"]) for i, reply in enumerate(replies)
            if i != 6] == [20000] * 39
    for reply in ask_in_batches(daemon, c, [("GET", "big", 7)] * 10):
        assert "limits.result" in bad("OVERLOAD", reply)
    assert_nothing_left(tables, c)


# -- those who wait

def lock_table(db, table):
    foreign = db.connect()
    foreign.query(f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    return foreign


def test_a_locked_table_does_not_hold_up_another(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd, workers={"min": 2, "max": 8})
    c.call("GET", "pair", "b1", 1)
    foreign = lock_table(tables, "pair")
    for i in range(4):
        c.send(f"@p{i}", f"%p{i}", "GET", "pair", "b1", i)
    tables.wait_for_waiters(1)
    clients = [daemon.connect("3") for _ in range(4)]
    with within(1000, "500 GETs beside a locked table"):
        rows = ask_all(clients, [("GET", "item", 1 + i) for i in range(500)])
    assert [row["id"] for row in rows] == list(range(1, 501))
    foreign.query("ROLLBACK")
    for i in range(4):
        assert good(c.tag(f"p{i}"))["v"] == 40 + i
    assert_nothing_left(tables, c)


def hold_up(daemon, db, c, n):
    """n GETs in one batch, which waits for the table's lock."""
    c.call("GET", "pair", "b1", 1)
    with Held(daemon):
        foreign = lock_table(db, "pair")
        for i in range(n):
            c.send(f"@p{i}", f"%p{i}", "GET", "pair", "b1", i)
        until_queued(c, n)
    db.wait_for_waiters(1)
    return foreign


def test_who_ends_before_its_time_ends_alone(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd, deadlock={"mode": "off"})
    c.call("GET", "pair", "b1", 1)
    other = daemon.connect("3")
    with Held(daemon):
        foreign = lock_table(tables, "pair")
        for i in range(20):
            c.send(f"@p{i}", f"%p{i}", "GET", "pair", "b1", i)
        c.send("@late", "%late", "~400", "GET", "pair", "b1", 20)
        c.send("@lock", "%lock", "?300", "GET", "pair", "b1", 20)
        other.send("@gone", "%gone", "GET", "pair", "b1", 21)
        until_queued(c, 23)
    tables.wait_for_waiters(1)
    other.close()
    assert c.call("CANCEL", "p3") == 1
    bad("CANCELED", c.tag("p3"))
    assert "table pair" in bad("LOCKTIMEOUT", c.tag("lock"))
    bad("TIMEOUT", c.tag("late"))
    assert c.call("CANCEL", "p3") == 0
    assert not any(c.has_reply(f"p{i}") for i in range(20) if i != 3)
    foreign.query("ROLLBACK")
    for i in range(20):
        if i != 3:
            assert good(c.tag(f"p{i}"))["v"] == 40 + i
    assert_nothing_left(tables, c)


def test_a_batch_whose_requests_all_end_is_cancelled(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd, deadlock={"mode": "off"})
    foreign = hold_up(daemon, tables, c, 5)
    for i in range(5):
        c.call("CANCEL", f"p{i}")
        bad("CANCELED", c.tag(f"p{i}"))
    eventually(lambda: tables.n_waiting() == 0, "nobody waits any more")
    foreign.query("ROLLBACK")
    assert good(c.try_call("GET", "pair", "b1", 1))["v"] == 41
    assert_nothing_left(tables, c)


def test_a_batch_that_waits_for_a_lock_is_asked_again_one_by_one(
        tables, lockkeeperd):
    daemon, c = begin(lockkeeperd)
    foreign = hold_up(daemon, tables, c, 4)
    eventually(lambda: tables.n_waiting() >= 2, "each waits alone")
    foreign.query("ROLLBACK")
    for i in range(4):
        assert good(c.tag(f"p{i}"))["v"] == 40 + i
    assert_nothing_left(tables, c)


def test_a_batch_that_loses_its_session_is_asked_again(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd, deadlock={"mode": "off"})
    foreign = hold_up(daemon, tables, c, 5)
    pid = tables.value("""SELECT pid FROM pg_stat_activity WHERE
        wait_event_type = 'Lock' LIMIT 1""")
    tables.sql(f"SELECT pg_terminate_backend({pid})")
    eventually(lambda: stats(c)["sessions_lost"] == 1, "the session is lost")
    foreign.query("ROLLBACK")
    for i in range(5):
        assert good(c.tag(f"p{i}"))["v"] == 40 + i
    assert_nothing_left(tables, c)


# -- schema changes, and what came before

@pytest.mark.parametrize("change", [
    "ALTER TABLE item ADD COLUMN extra int DEFAULT 5",
    "ALTER TABLE item DROP COLUMN note",
    "ALTER TABLE item RENAME COLUMN note TO remark",
    "ALTER TABLE item ALTER COLUMN id TYPE text",
    "ALTER TABLE note ALTER COLUMN id TYPE int8"])
def test_a_table_changes_between_batches(tables, lockkeeperd, change):
    daemon, c = begin(lockkeeperd)
    requests = [("GET", "item", 1 + i) for i in range(40)]
    ask_in_batches(daemon, c, requests)
    tables.sql("DROP TABLE note CASCADE; CREATE TABLE note (id int)")
    tables.sql(change)
    for reply in ask_in_batches(daemon, c, requests):
        assert good(reply)["code"] is not None
    columns = {row[0] for row in tables.sql("""SELECT attname FROM pg_attribute
        WHERE attrelid = 'item'::regclass AND attnum > 0
        AND NOT attisdropped""")}
    eventually(lambda: set(c.call("GET", "item", 1)) == columns,
               "the new columns are seen", 15)
    rows = ask_in_batches(daemon, c, requests)
    assert {frozenset(row) for row in rows} == {frozenset(columns)}
    assert_nothing_left(tables, c)


def test_a_task_that_has_its_writes_reply_reads_what_it_wrote(
        tables, lockkeeperd):
    daemon, c = begin(lockkeeperd)
    for n in range(5):
        for i in range(60):
            c.send(f"@w{i}", f"%t{i}", "SQL",
                   "UPDATE item SET note = $1 WHERE id = $2", f"{n}", 1 + i)
            c.send(f"@r{i}", f"%t{i}", "GET", "item", 1 + i)
        for i in range(60):
            good(c.tag(f"w{i}"))
            assert good(c.tag(f"r{i}"))["note"] == f"{n}"
    assert_nothing_left(tables, c)


def test_readers_are_few_unless_they_are_slow(tables, lockkeeperd):
    daemon, c = begin(lockkeeperd, workers={"min": 1, "max": 6},
                      batch={"readers": 1, "max": 4})
    ask_all([c], [("GET", "item", 1 + i) for i in range(400)])
    assert stats(c)["batched"] <= 4 * stats(c)["batches"]
    foreign = lock_table(tables, "pair")
    c.send("@p", "%p", "GET", "pair", "b1", 1)
    tables.wait_for_waiters(1)
    rows = ask_all([c], [("GET", "item", 1 + i) for i in range(40)])
    assert [row["id"] for row in rows] == list(range(1, 41))
    foreign.query("ROLLBACK")
    assert good(c.tag("p"))["v"] == 41
    assert daemon.pid
    assert_nothing_left(tables, c)


def test_a_session_that_only_reads_gives_up_old_statements(tables,
                                                           lockkeeperd):
    """It is never cleaned, and so has to do that now and then."""
    _, c = begin(lockkeeperd, workers={"min": 1, "max": 1})
    names = ["id", "code", "note"]
    for i in range(700):
        digits = [i // 3 ** k % 3 for k in range(6)]
        tests = [word for d in digits for word in
                 ("AND", names[d], "IS", "NOT", "NULL")][1:]
        assert c.call("COUNT", "item", "WHERE", *tests) == 2000
    n, n_named = c.sql("""SELECT count(*) AS n, count(*) FILTER (WHERE
        statement LIKE 'SELECT count(*)%') AS named
        FROM pg_prepared_statements""")[0].values()
    assert 200 < n_named <= n < 256 + 64 + 10
