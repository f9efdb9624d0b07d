"""Statements that were prepared before a table, a type or a function changed:
run again once at most, and an error only where a transaction leaves no other
way."""
import collections
import time

import pytest

from checks import assert_nothing_left
from client import LkError, bad, good, pairs

AGE_S = 5		# LK_STMTS_MAX_AGE_US, LK_TYPES_MAX_AGE_US

Change = collections.namedtuple(
    "Change", "before sql was ddl value reply look")
TABLE = "CREATE TABLE t (c {})"
ALTER = "ALTER TABLE t ALTER c TYPE {}"
INSERT = "INSERT INTO t VALUES ($1)"
LOOK = "SELECT c FROM t ORDER BY ctid DESC LIMIT 1"

# before, what is run again and again with `was`, the DDL of somebody else,
# and what the same text is to do then.
CHANGES = {
    "int to text, compared": Change(
        TABLE.format("int"), "SELECT c FROM t WHERE c = $1", "1",
        ALTER.format("text"), "a", [], None),
    "int to text": Change(TABLE.format("int"), INSERT, "1",
                          ALTER.format("text"), "abc", "INSERT 0 1", "abc"),
    "int to bigint": Change(TABLE.format("int"), INSERT, "1",
                            ALTER.format("bigint"), "5000000000",
                            "INSERT 0 1", "5000000000"),
    "int to numeric": Change(TABLE.format("int"), INSERT, "1",
                             ALTER.format("numeric"), "1.5", "INSERT 0 1",
                             "1.5"),
    "text to int": Change(TABLE.format("text"), INSERT, "1",
                          ALTER.format("int USING c::int"), "2",
                          "INSERT 0 1", "2"),
    "text to bytea": Change(TABLE.format("text"), INSERT, "1",
                            ALTER.format("bytea USING c::bytea"),
                            b"a\\b\xff", "INSERT 0 1", "\\x615c62ff"),
    "text to bytea, with a NUL": Change(
        TABLE.format("text"), INSERT, "1",
        ALTER.format("bytea USING c::bytea"), b"\0", "INSERT 0 1", "\\x00"),
    "bytea to text": Change(TABLE.format("bytea"), INSERT, b"\0",
                            ALTER.format("text USING encode(c, 'hex')"),
                            "abc", "INSERT 0 1", "abc"),
    "bytea to text, compared": Change(
        TABLE.format("bytea"), "SELECT c FROM t WHERE c = $1", "1",
        ALTER.format("text USING encode(c, 'escape')"), "1", [], None),
    "bytea to int": Change(TABLE.format("bytea"), INSERT, "1",
                           ALTER.format("int USING 1"), "1234",
                           "INSERT 0 1", "1234"),
    "a column more": Change(
        TABLE.format("int"), "SELECT * FROM t WHERE c = $1", "1",
        "ALTER TABLE t ADD d int DEFAULT 2; INSERT INTO t VALUES (1)", "1",
        [{"c": 1, "d": 2}], None),
    "a column less": Change(
        "CREATE TABLE t (c int, d int); INSERT INTO t VALUES (1, 2)",
        "SELECT * FROM t WHERE c = $1", "1", "ALTER TABLE t DROP d", "1",
        [{"c": 1}], None),
    "a table of the same name": Change(
        TABLE.format("int"), "SELECT * FROM t WHERE c = $1", "1",
        "DROP TABLE t; CREATE TABLE t (c text); INSERT INTO t VALUES ('x')",
        "x", [{"c": "x"}], None),
    "a view of the same name": Change(
        TABLE.format("int") + "; CREATE VIEW w AS SELECT c FROM t",
        "SELECT * FROM w WHERE c = $1", "1",
        "DROP VIEW w; CREATE VIEW w AS SELECT 'x'::text AS c", "x",
        [{"c": "x"}], None),
    "an enum of the same name": Change(
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (c m)",
        INSERT + " RETURNING c", "a",
        "DROP TABLE t; DROP TYPE m; CREATE TYPE m AS ENUM ('b');"
        "CREATE TABLE t (c m)", "b", [{"c": "b"}], "b"),
    "an enum's array": Change(
        "CREATE TYPE m AS ENUM ('a'); CREATE TABLE t (c m[])",
        INSERT + " RETURNING c", "{a}",
        "DROP TABLE t; DROP TYPE m; CREATE TYPE m AS ENUM ('b');"
        "CREATE TABLE t (c m[])", "{b,b}", [{"c": ["b", "b"]}], "{b,b}"),
    "an enum in a cast": Change(
        "CREATE TYPE m AS ENUM ('a')", "SELECT $1::m AS v", "a",
        "DROP TYPE m; CREATE TYPE m AS ENUM ('b')", "b", [{"v": "b"}], None),
    "a new label": Change(
        "CREATE TYPE m AS ENUM ('a')", "SELECT $1::m AS v", "a",
        "ALTER TYPE m ADD VALUE 'b'", "b", [{"v": "b"}], None),
    "a domain of the same name": Change(
        "CREATE DOMAIN d AS int; CREATE TABLE t (c d)", INSERT, "1",
        "DROP TABLE t; DROP DOMAIN d; CREATE DOMAIN d AS text;"
        "CREATE TABLE t (c d)", "b", "INSERT 0 1", "b"),
    "a domain's array": Change(
        "CREATE DOMAIN d AS int", "SELECT $1::d[] AS v", "{1}",
        "DROP DOMAIN d; CREATE DOMAIN d AS text", "{b}", [{"v": ["b"]}],
        None),
    "a function of another type": Change(
        "CREATE FUNCTION f(int) RETURNS text LANGUAGE sql AS 'SELECT ''i''';",
        "SELECT f($1)", "1",
        "DROP FUNCTION f(int); CREATE FUNCTION f(text) RETURNS text "
        "LANGUAGE sql AS 'SELECT $1'", "b", [{"f": "b"}], None),
}

# PostgreSQL finds nothing wrong with these in an open transaction either.
HARMLESS = {"bytea to text", "bytea to text, compared", "bytea to int",
            "text to bytea, with a NUL", "a new label"}


class Stage:
    def __init__(self, pg, db, lockkeeperd):
        self.pg = pg
        self.db = db
        self.daemon = lockkeeperd(workers={"min": 1, "max": 1})
        self.client = self.daemon.connect()

    def prepare(self, change):
        self.db.sql(change.before)
        for _ in range(7):	# until its plan is a generic one
            self.client.sql(change.sql, change.was)
        self.db.sql(change.ddl)
        self.n_errors = self.count_errors()

    def count_errors(self):
        """What the server had to say to the daemon's sessions."""
        return self.pg.log_text().count(" lockkeeper ERROR:")

    def check(self, change, reply, n_errors=1):
        assert good(reply) == change.reply
        if change.look is not None:
            assert self.db.value(LOOK) == change.look
        assert self.count_errors() - self.n_errors <= n_errors


@pytest.fixture
def stage(pg, db, lockkeeperd):
    return Stage(pg, db, lockkeeperd)


@pytest.mark.parametrize("what", CHANGES)
def test_a_statement_survives_a_change(stage, what):
    change = CHANGES[what]
    stage.prepare(change)
    stage.check(change, stage.client.try_call("SQL", change.sql,
                                              change.value))
    reply = stage.client.try_call("SQL", change.sql, change.value)
    assert good(reply) == change.reply
    assert stage.count_errors() - stage.n_errors <= 1, "it fails each time"


@pytest.mark.parametrize("what", CHANGES)
def test_a_transactions_first_statement_survives_a_change(stage, what):
    change = CHANGES[what]
    stage.prepare(change)
    tx = f"#{stage.client.call('BEGIN', 'REPEATABLE', 'READ')}"
    reply = stage.client.try_call(tx, "SQL", change.sql, change.value)
    assert stage.client.call(tx, "SQL", "SHOW transaction_isolation") == [
        {"transaction_isolation": "repeatable read"}]
    assert stage.client.call(tx, "COMMIT") == "COMMIT"
    stage.check(change, reply)
    assert_nothing_left(stage.db, stage.client)


@pytest.mark.parametrize("what", CHANGES)
def test_inside_a_transaction_the_error_is_unavoidable(stage, what):
    change = CHANGES[what]
    stage.prepare(change)
    c = stage.client
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", "SELECT 1 AS first")
    reply = c.try_call(tx, "SQL", change.sql, change.value)
    if what in HARMLESS:
        assert good(reply) == change.reply
    else:
        bad("PG", reply)
        bad("TXABORTED", c.try_call(tx, "SQL", "SELECT 1"))
    assert c.call(tx, "ROLLBACK") == "ROLLBACK"
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", "SELECT 1 AS first")
    reply = c.try_call(tx, "SQL", change.sql, change.value)
    assert c.call(tx, "COMMIT") == "COMMIT"
    stage.check(change, reply, 2)	# TXABORTED is one


# -- how often it runs

@pytest.fixture
def counted(stage):
    """Statements that count in a sequence how often they are carried out."""
    stage.db.sql("CREATE SEQUENCE n")
    return lambda: int(stage.db.value(
        "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM n"))


@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize("sql,wrong,sqlstate", [
    ("SELECT nextval('n') / $1::int AS v", "0", "22012"),
    ("SELECT nextval('n') + length(repeat('x', $1::int) || no())", "1",
     "42704"),
])
def test_a_clients_own_mistake_runs_once(stage, counted, sql, wrong, sqlstate,
                                         is_first):
    stage.db.sql("""CREATE FUNCTION no() RETURNS text LANGUAGE plpgsql AS $$
        BEGIN IF currval('n') > 3 THEN DROP TYPE nowhere; END IF;
        RETURN ''; END $$""")
    c = stage.client
    for _ in range(3):
        c.sql(sql, "1")
    if is_first:
        tx = f"#{c.call('BEGIN')}"
        error = bad("PG", c.try_call(tx, "SQL", sql, wrong))
        bad("TXABORTED", c.try_call(tx, "SQL", "SELECT 1"))
        bad("TXABORTED", c.try_call(tx, "COMMIT"))
    else:
        error = c.fails("PG", "SQL", sql, wrong)
    assert error.sqlstate == sqlstate
    assert counted() == 4
    assert_nothing_left(stage.db, c)


@pytest.mark.parametrize("is_first", [False, True])
def test_what_fails_again_is_not_run_a_third_time(stage, counted, is_first):
    stage.db.sql("""CREATE FUNCTION broken(int) RETURNS int LANGUAGE plpgsql
        AS $$ BEGIN IF nextval('n') > $1 THEN
        RAISE 'internal' USING ERRCODE = 'XX000'; END IF;
        RETURN 1; END $$""")
    c = stage.client
    c.sql("SELECT broken($1)", "1")
    if is_first:
        tx = f"#{c.call('BEGIN')}"
        bad("PG", c.try_call(tx, "SQL", "SELECT broken($1)", "1"))
        bad("TXABORTED", c.try_call(tx, "COMMIT"))
    else:
        c.fails("PG", "SQL", "SELECT broken($1)", "1")
    assert counted() == 3
    assert_nothing_left(stage.db, c)


def test_a_savepoint_keeps_its_transaction_from_a_second_run(stage):
    """What was done before the statement would be lost."""
    change = CHANGES["int to text"]
    stage.prepare(change)
    c = stage.client
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SAVEPOINT", "s")
    bad("PG", c.try_call(tx, "SQL", change.sql, change.value))
    assert c.call(tx, "ROLLBACK", "TO", "s").startswith("ROLLBACK")
    assert c.call(tx, "SQL", change.sql, change.value) == change.reply
    assert c.call(tx, "COMMIT") == "COMMIT"


# -- one's own changes

def test_a_transaction_that_changes_a_table_goes_on_with_it(stage):
    stage.db.sql(TABLE.format("int"))
    c = stage.client
    for i in range(3):
        c.sql(INSERT, i)
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", INSERT, "1")
    c.call(tx, "SAVEPOINT", "s")
    c.call(tx, "SQL", ALTER.format("text"))
    c.call(tx, "SQL", INSERT, "007")
    c.call(tx, "SQL", INSERT, "abc")
    assert c.call(tx, "SQL", LOOK) == [{"c": "abc"}]
    c.call(tx, "ROLLBACK", "TO", "s")
    c.call(tx, "SQL", INSERT, "8")
    assert c.call(tx, "SQL", LOOK) == [{"c": 8}]
    c.call(tx, "SQL", "DO $$BEGIN ALTER TABLE t ALTER c TYPE text; END$$")
    c.call(tx, "SQL", INSERT, "009")
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert stage.db.value(LOOK) == "009"


def test_a_temporary_table_hides_another_at_once(stage):
    stage.db.sql("CREATE TABLE t (c int); INSERT INTO t VALUES (1)")
    c = stage.client
    for _ in range(2):	# the second time the session has a schema for it
        assert c.sql("SELECT c FROM t") == [{"c": 1}]
        tx = f"#{c.call('BEGIN')}"
        assert c.call(tx, "SQL", "SELECT c FROM t") == [{"c": 1}]
        c.call(tx, "SQL", "CREATE TEMP TABLE t AS SELECT 2 AS c")
        c.call(tx, "SQL", "DROP TABLE t")
        c.call(tx, "SQL", "CREATE TEMP TABLE t (c int)")
        assert c.call(tx, "SQL", "SELECT c FROM t") == []
        c.call(tx, "COMMIT")


def test_a_type_is_called_what_it_is_called_now(stage):
    stage.db.sql("CREATE TYPE m AS ENUM ('a')")
    c = stage.client

    def name():
        return pairs(c.call("=table", "SQL", "SELECT 'a'::text::public."
                            f"{now} AS v"))["types"]

    now = "m"
    assert name() == ["m"]
    c.sql("ALTER TYPE m RENAME TO n")
    now = "n"
    assert name() == ["n"]


# -- age and number

def test_what_nobody_tells_of_is_believed_for_seconds_only(stage):
    """A value that fits the old type is converted without an error, and a
    type's new name is in no message."""
    change = CHANGES["int to text"]
    stage.db.sql("CREATE TYPE m AS ENUM ('a'); CREATE TABLE e (c m)")
    stage.prepare(change)
    c = stage.client
    assert c.call("=table", "SQL", "SELECT c FROM e")["types"] == ["m"]
    stage.db.sql("ALTER TYPE m RENAME TO n")
    time.sleep(AGE_S + 0.1)
    assert c.sql(change.sql, "007") == "INSERT 0 1"
    assert stage.db.value(LOOK) == "007"
    assert c.call("=table", "SQL", "SELECT c FROM e")["types"] == ["n"]
    assert stage.count_errors() == stage.n_errors


def n_prepared(stage, *words):
    return int(pairs(stage.client.call(*words, "SQL",
        "SELECT count(*) FROM pg_prepared_statements")[0])["count"])


def test_a_session_has_a_bounded_number_of_statements(stage):
    c = stage.client
    for i in range(1000):
        assert c.sql(f"SELECT $1::int + {i} AS v", "1") == [{"v": 1 + i}]
        if i % 100 == 99:
            assert n_prepared(stage) <= 256 + 16
    tx = f"#{c.call('BEGIN')}"
    for i in range(1000):
        c.call(tx, "SQL", f"SELECT $1::int - {i} AS v", "1")
        if i % 100 == 99:
            assert n_prepared(stage, tx) <= 2 * 256 + 16
    c.call(tx, "COMMIT")
    assert n_prepared(stage) <= 256 + 16


def test_changing_the_schema_again_and_again_is_bounded_too(stage):
    stage.db.sql(TABLE.format("int"))
    c = stage.client
    tx = f"#{c.call('BEGIN')}"
    for i in range(600):
        c.call(tx, "SQL", f"ALTER TABLE t ALTER c SET DEFAULT {i}")
        c.call(tx, "SQL", "INSERT INTO t DEFAULT VALUES")
    assert n_prepared(stage, tx) <= 2 * 256 + 16
    c.call(tx, "COMMIT")
    assert n_prepared(stage) <= 256 + 16
    assert stage.db.value("SELECT sum(c) FROM t") == str(sum(range(600)))


# -- the client's own DEALLOCATE

@pytest.mark.parametrize("how", ["DEALLOCATE ALL", "DISCARD ALL",
                                 "SELECT forget()"])
def test_deallocating_all_costs_nobody_an_error(stage, how):
    stage.db.sql("""CREATE FUNCTION forget() RETURNS void LANGUAGE plpgsql
        AS $$BEGIN EXECUTE 'DEALLOCATE ALL'; END$$""")
    c = stage.client
    for i in range(20):
        c.sql(f"SELECT $1::int + {i} AS v", "1")
    c.sql(how)
    for i in range(20):
        assert c.sql(f"SELECT $1::int + {i} AS v", "1") == [{"v": 1 + i}]
    if how == "DISCARD ALL":
        return			# not in a transaction
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", how)
    reply = c.try_call(tx, "SQL", "SELECT $1::int + 1 AS v", "1")
    # Hidden in a function it cannot be known of.
    assert isinstance(reply, LkError) == (how == "SELECT forget()")
    c.call(tx, "ROLLBACK")
    assert c.sql("SELECT $1::int + 1 AS v", "1") == [{"v": 2}]
