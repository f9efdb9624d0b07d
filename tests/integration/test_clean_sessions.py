"""What one client's SQL left in a session never reaches the next one."""
import pytest

from client import LkError, pairs

# What makes it, and what to ask of a session that serves somebody else: a
# question and its answer, or the SQLSTATE of its refusal.
STATES = {
    "SET": (["SET work_mem = '7MB'"],
            "SELECT current_setting('work_mem') = '7MB'", False),
    "set_config": (["SELECT set_config('lk.x', 'left', false)"],
                   "SELECT coalesce(current_setting('lk.x', true), '')", ""),
    "search_path": (["SET search_path = nowhere"], "SELECT v FROM r LIMIT 1",
                    0),
    "temp_table": (["CREATE TEMP TABLE tt (i int)"], "SELECT * FROM tt",
                   "42P01"),
    "advisory": (["SELECT pg_advisory_lock(5)"], "SELECT count(*) FROM "
                 "pg_locks WHERE locktype = 'advisory'", 0),
    "listen": (["DO $$ BEGIN EXECUTE 'LISTEN ch'; END $$"],
               "SELECT count(*) FROM pg_listening_channels()", 0),
    "prepare_in_do": (["DO $$ BEGIN EXECUTE 'PREPARE p AS SELECT 7 AS v'; "
                       "END $$"], "EXECUTE p", "26000"),
    "prepare_in_a_query": (["SELECT prepare_p()"], "EXECUTE p", "26000"),
    "prepare_in_a_trigger": (["INSERT INTO t VALUES (1)"], "EXECUTE p",
                             "26000"),
    "role": (["SET ROLE lk_other"], "SELECT current_user::text", "postgres"),
    "session_user": (["SET SESSION AUTHORIZATION lk_other"],
                     "SELECT session_user::text", "postgres"),
    "holdable_cursor": (["DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD "
                         "FOR SELECT 7 AS v'; END $$"], "FETCH c", "34000"),
    "sequence": (["SELECT nextval('s')"], "SELECT currval('s')", "55000"),
}


@pytest.fixture
def prepared(db):
    db.sql("""
        DO $$ BEGIN CREATE ROLE lk_other; EXCEPTION
            WHEN duplicate_object THEN NULL; END $$;
        CREATE SEQUENCE s;
        CREATE TABLE t (i int);
        CREATE FUNCTION prepare_p() RETURNS int LANGUAGE plpgsql AS $$
            BEGIN EXECUTE 'PREPARE p AS SELECT 7 AS v'; RETURN 1; END $$;
        CREATE FUNCTION prepare_t() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN EXECUTE 'PREPARE p AS SELECT 7 AS v'; RETURN NEW; END $$;
        CREATE TRIGGER t BEFORE INSERT ON t FOR EACH ROW
            EXECUTE FUNCTION prepare_t()""")
    yield db
    db.sql("DROP ROLE lk_other")


def outside(client, soil):
    for sql in soil:
        client.sql(sql)


def committed(client, soil):
    tx = f"#{client.call('BEGIN')}"
    for sql in soil:
        client.call(tx, "SQL", sql)
    client.call(tx, "COMMIT")


def failed(client, soil):
    tx = f"#{client.call('BEGIN')}"
    for sql in soil:
        client.call(tx, "SQL", sql)
    client.fails("PG", tx, "SQL", "SELECT 1/0")
    client.call(tx, "ROLLBACK")


def abandoned(client, soil):
    tx = f"#{client.call('BEGIN')}"
    for sql in soil:
        client.call(tx, "SQL", sql)
    client.close()


@pytest.mark.parametrize("leave", [outside, committed, failed, abandoned])
@pytest.mark.parametrize("state", STATES)
def test_nothing_is_left_for_the_next(prepared, lockkeeperd, state, leave):
    del prepared
    soil, question, answer = STATES[state]
    daemon = lockkeeperd(workers={"min": 1, "max": 1})
    pid = daemon.connect().value("SELECT pg_backend_pid()")
    leave(daemon.connect(), soil)
    other = daemon.connect()
    reply = other.try_call("SQL", question)
    if isinstance(answer, str) and isinstance(reply, LkError):
        assert reply.sqlstate == answer
    else:
        assert next(iter(pairs(reply[0]).values())) == answer
    assert other.value("SELECT pg_backend_pid()") == pid, "the same session"


def test_control_within_its_tx_the_state_is_there(prepared, daemon):
    del prepared
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", "SELECT prepare_p()")
    assert c.call(tx, "SQL", "EXECUTE p") == [{"v": 7}]
    c.call(tx, "SQL", "SET work_mem = '7MB'")
    assert c.call(tx, "SQL", "SHOW work_mem") == [{"work_mem": "7MB"}]
    c.call(tx, "ROLLBACK")


def test_defaults_of_role_and_database_stay_defaults(db, lockkeeperd):
    db.sql(f"ALTER DATABASE {db.name} SET work_mem = '9MB'")
    try:
        daemon = lockkeeperd(workers={"min": 1, "max": 1})
        a, b = daemon.connect(), daemon.connect()
        a.sql("SET work_mem = '7MB'")
        assert b.value("SELECT current_setting('work_mem')") == "9MB"
    finally:
        db.sql(f"ALTER DATABASE {db.name} RESET work_mem")
