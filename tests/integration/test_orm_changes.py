"""A schema that changes between two verbs: no client outside a transaction
hears of it, and what is new is there at once."""
import time

import pytest

from client import LkError
from orm import words

THING = """CREATE TABLE {t} (id int PRIMARY KEY, name text NOT NULL, n int);
    INSERT INTO {t} SELECT i, 'thing ' || i, i
        FROM generate_series(1, 5) AS i;"""
CHILD = """CREATE TABLE child_{t} (id int PRIMARY KEY, thing_id int
    REFERENCES {t});
    INSERT INTO child_{t} VALUES (1, 2), (2, 2), (3, NULL);"""

# What somebody else does, and what is asked right behind it: a request, and
# what of the reply is to be.
ROW = {"id": 1, "name": "thing 1", "n": 1}
CHANGES = {
    "a column more is found": (
        "ALTER TABLE {t} ADD extra int DEFAULT 7",
        "FIND {t} WHERE extra = 7 LIMIT 1", [ROW | {"extra": 7}]),
    "a column more is ordered by": (
        "ALTER TABLE {t} ADD extra int DEFAULT 7",
        "FIRST {t} ORDER extra", ROW | {"extra": 7}),
    "a column more is a field": (
        "ALTER TABLE {t} ADD extra int DEFAULT 7",
        "GET {t} 1 FIELDS extra", {"extra": 7}),
    "a column more is set": (
        "ALTER TABLE {t} ADD extra int DEFAULT 7",
        "UPDATE {t} 1 SET extra += 1", ROW | {"extra": 8}),
    "a column more is made": (
        "ALTER TABLE {t} ADD extra int DEFAULT 7",
        "CREATE {t} id = 8 name = x extra = 5",
        {"id": 8, "name": "x", "n": None, "extra": 5}),
    "a column more that is called as SQL is": (
        'ALTER TABLE {t} ADD "desc" int DEFAULT 7',
        "FIRST {t} ORDER desc", ROW | {"desc": 7}),
    "a column less": ("ALTER TABLE {t} DROP n", "GET {t} 1",
                      {"id": 1, "name": "thing 1"}),
    "a column less, of rows by a condition": (
        "ALTER TABLE {t} DROP n", "FIND {t} WHERE id < 2",
        [{"id": 1, "name": "thing 1"}]),
    "a column less, when a row is made": (
        "ALTER TABLE {t} DROP n", "CREATE {t} id = 8 name = x",
        {"id": 8, "name": "x"}),
    "a column less, when one is changed": (
        "ALTER TABLE {t} DROP n", "UPDATE {t} 1 SET name = x",
        {"id": 1, "name": "x"}),
    "a column has another name": (
        "ALTER TABLE {t} RENAME n TO number", "GET {t} 1",
        {"id": 1, "name": "thing 1", "number": 1}),
    "a column has another name, which is asked for": (
        "ALTER TABLE {t} RENAME n TO number",
        "FIND {t} WHERE number = 2 FIELDS number,id",
        [{"number": 2, "id": 2}]),
    "the key has another name": (
        "ALTER TABLE {t} RENAME id TO no", "GET {t} 1 FIELDS name",
        {"name": "thing 1"}),
    "the key has another type": (
        "ALTER TABLE {t} ALTER id TYPE bigint", "GET {t} 1", ROW),
    "the key is a text now": (
        "ALTER TABLE {t} ALTER id TYPE text USING 'no ' || id",
        "GET {t} 1", None),
    "a number is a text now": (
        "ALTER TABLE {t} ALTER n TYPE text",
        "FIND {t} WHERE n = 1", [ROW | {"n": "1"}]),
    "a text is a number now": (
        "ALTER TABLE {t} ALTER name TYPE int USING id * 10",
        "FIND {t} WHERE name = 20", [{"id": 2, "name": 20, "n": 2}]),
    "a number is a text now, and set": (
        "ALTER TABLE {t} ALTER n TYPE text",
        "UPDATE {t} 1 SET n = 5", ROW | {"n": "5"}),
    "a number is an array now": (
        "ALTER TABLE {t} ALTER n TYPE int[] USING ARRAY[n]",
        "GET {t} 1", ROW | {"n": [1]}),
    "a column is dropped and added again": (
        "ALTER TABLE {t} DROP n, ADD n text DEFAULT 'new'",
        "FIND {t} WHERE n = new AND id = 1", [ROW | {"n": "new"}]),
    "columns change places": (
        "ALTER TABLE {t} RENAME n TO m; ALTER TABLE {t} RENAME name TO n; "
        "ALTER TABLE {t} RENAME m TO name",
        "GET {t} 1", {"id": 1, "n": "thing 1", "name": 1}),
    "the table has another name": (
        "ALTER TABLE {t} RENAME TO stuff_{t}", "GET stuff_{t} 1", ROW),
    "the table is made anew": (
        f"DROP TABLE {{t}}; {THING} UPDATE {{t}} SET n = 77", "GET {t} 1",
        ROW | {"n": 77}),
    "the table is made anew, with less": (
        "DROP TABLE {t}; CREATE TABLE {t} (id int PRIMARY KEY, m int); "
        "INSERT INTO {t} VALUES (1, 5)", "GET {t} 1", {"id": 1, "m": 5}),
    "the table is a view now": (
        "ALTER TABLE {t} RENAME TO old_{t}; "
        "CREATE VIEW {t} AS SELECT id, n * 2 AS n FROM old_{t}",
        "FIND {t} WHERE id = 2", [{"id": 2, "n": 4}]),
    "the table is elsewhere": (
        "CREATE SCHEMA IF NOT EXISTS aside; ALTER TABLE {t} "
        "SET SCHEMA aside", "GET aside.{t} 1", ROW),
    "a table more": (CHILD, "COUNT child_{t}", 3),
    "a relation more": (CHILD, "LOAD {t} 2 child_{t} ORDER id",
                        [{"id": 1, "thing_id": 2}, {"id": 2, "thing_id": 2}]),
    "a relation more, in a condition": (
        CHILD, "FIND child_{t} WHERE thing.name = 'thing 2' FIELDS id ORDER id",
        [{"id": 1}, {"id": 2}]),
    "a key more": (
        "ALTER TABLE {t} ADD UNIQUE (name)",
        "UPSERT {t} id = 77 name = 'thing 3' n += 1 ON name",
        {"id": 77, "name": "thing 3", "n": 4}),
    "a default more": (
        "ALTER TABLE {t} ALTER name SET DEFAULT 'made'",
        "CREATE {t} id = 8", {"id": 8, "name": "made", "n": None}),
    "a type more": (
        "CREATE TYPE hue_{t} AS ENUM ('red', 'green'); "
        "ALTER TABLE {t} ADD hue hue_{t} DEFAULT 'green'",
        "FIND {t} WHERE hue > red AND id = 1", [ROW | {"hue": "green"}]),
}

OTHERS = ["inside", "own", "waiting", "load"]
# Each verb is prepared for the table as it is.
WARM = ["GET {t} 1", "FIND {t} WHERE name LIKE thing% ORDER n",
        "FIND {t} WHERE id < 2", "UPDATE {t} 1 SET n += 0",
        "UPSERT {t} id = 1 name = 'thing 1'", "CREATE {t} id = 9 name = x",
        "DELETE {t} 9"] * 2


@pytest.fixture(scope="module")
def changing(awkward):
    """Each test has a table of its own, that the daemon knows: a catalog is
    read once a second at most."""
    tables = [f"t{i}" for i in range(len(CHANGES))] + OTHERS
    awkward.session.query("CREATE SCHEMA aside;" + "".join(
        THING.replace("{t}", t) for t in tables))
    for t in tables:
        for request in WARM:
            awkward.client.send(*words(request.replace("{t}", t)))
    assert not any(isinstance(awkward.client.recv(), LkError)
                   for _ in range(len(tables) * len(WARM)))
    return awkward


@pytest.fixture(scope="module")
def replies(changing):
    """All changes are made at once, and then all is asked at once."""
    c = changing.client
    tables = {what: f"t{i}" for i, what in enumerate(CHANGES)}
    # A value that does not fit is looked at again where the catalog is older.
    time.sleep(1.1)
    for what, t in tables.items():
        changing.session.query(CHANGES[what][0].replace("{t}", t))
    for what, t in tables.items():
        c.send(f"@{t}", *words(CHANGES[what][1].replace("{t}", t)))
    return {what: c.tag(t) for what, t in tables.items()}


@pytest.mark.parametrize("what", CHANGES)
def test_outside_a_transaction_nobody_hears_of_it(replies, what):
    assert replies[what] == CHANGES[what][2]


def test_inside_one_the_error_passes_and_the_next_one_knows(changing):
    c = changing.client
    with changing.tx() as tx:
        assert c.call(tx, "COUNT", "words") == 15
        changing.session.query("ALTER TABLE inside RENAME name TO title")
        error = c.fails("PG", tx, "GET", "inside", 1)
        assert error.sqlstate == "42703" and "name" in error
        c.fails("TXABORTED", tx, "GET", "inside", 1)
    with changing.tx() as tx:		# a new name waits for what is known now
        assert c.call(tx, "FIND", "inside", "WHERE", "title", "=",
                      "thing 1") == [{"id": 1, "title": "thing 1", "n": 1}]


def test_what_a_transaction_has_changed_itself_is_not_known_yet(changing):
    c = changing.client
    with changing.tx() as tx:
        c.call(tx, "SQL", "ALTER TABLE own DROP n")
        reply = c.try_call(tx, "GET", "own", 1)
        assert isinstance(reply, LkError) and reply.sqlstate == "42703"
    assert c.call("GET", "own", 1) == {"id": 1, "name": "thing 1", "n": 1}


def test_a_change_while_a_verb_waits_for_its_table(changing):
    """It was planned before, and is done after."""
    c, foreign = changing.client, changing.db.connect()
    foreign.query("BEGIN; ALTER TABLE waiting DROP n, ADD m int DEFAULT 4")
    c.send("@g", "GET", "waiting", 1)
    c.send("@u", "UPDATE", "waiting", 2, "SET", "name", "||=", "!")
    changing.db.wait_for_waiters(2)
    foreign.query("COMMIT")
    assert c.tag("g") == {"id": 1, "name": "thing 1", "m": 4}
    assert c.tag("u") == {"id": 2, "name": "thing 2!", "m": 4}
    foreign.close()


def test_changes_under_load_are_nobodys_error(changing):
    """Columns come and go while four connections ask and write."""
    clients = [changing.daemon.connect() for _ in range(4)]
    foreign = changing.db.connect()
    for i in range(1, 13):
        for j, c in enumerate(clients):
            c.send("GET", "load", 1 + j)
            c.send("UPDATE", "load", 1 + j, "SET", "n", "+=", 1)
            c.send("FIND", "load", "WHERE", "n", ">", "0", "LIMIT", "2")
        foreign.query(f"ALTER TABLE load ADD c{i} int DEFAULT {i}" if i % 3
                      else f"ALTER TABLE load ADD c{i} int, "
                      f"DROP c{i - 1}")
        for c in clients:
            for _ in range(3):
                assert not isinstance(reply := c.recv(), LkError), reply
    assert changing.value("SELECT sum(n) FROM load") == 15 + 4 * 12
    for c in clients:
        c.close()
    foreign.close()
