"""Transactions: handles, isolation, ownership, how they end."""
import pytest

from checks import assert_nothing_left, update
from client import LkError, bad, good
from cluster import Cluster
from timing import eventually


def in_tx(client, handle, sql, *params):
    return client.call(f"#{handle}", "SQL", sql, *params)


def setting(client, handle, name):
    return in_tx(client, handle,
                 f"SELECT current_setting('{name}') AS v")[0]["v"]


# -- handles and laziness

def test_begin_answers_an_integer_that_is_never_used_again(lockkeeperd):
    daemon = lockkeeperd()
    seen = []
    for _ in range(2):
        c = daemon.connect()
        for _ in range(20):
            handle = c.call("BEGIN")
            assert isinstance(handle, int) and 0 < handle < 2 ** 53
            seen.append(handle)
            c.call(f"#{handle}", "ROLLBACK")
        c.close()
        daemon.restart()
    assert len(set(seen)) == len(seen)


def test_begin_takes_no_slot_and_asks_postgresql_nothing(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    c.sql("SELECT 1")
    eventually(lambda: c.show("workers")[0]["state"] == "idle",
               "its session is clean")
    # Not the watcher's: the SELECT may have been slow enough to be looked at.
    asked = f"""SELECT pid, query_start, state FROM pg_stat_activity
        WHERE datname = '{db.name}' AND application_name = 'lockkeeper'"""
    stamp = db.sql(asked)
    assert len(stamp) == 1
    handles = [c.call("BEGIN") for _ in range(50)]
    assert db.sql(asked) == stamp
    for handle in handles[25:]:
        assert c.call(f"#{handle}", "COMMIT") == "COMMIT"
    assert db.sql(asked) == stamp
    assert c.sql("SELECT 1 AS v") == [{"v": 1}]
    for handle in handles[:25]:
        c.call(f"#{handle}", "ROLLBACK")


def test_a_tx_keeps_its_session_until_it_ends(lockkeeperd):
    c = lockkeeperd(workers={"min": 4, "max": 4}).connect()
    pid = "SELECT pg_backend_pid() AS v"
    a, b = c.call("BEGIN"), c.call("BEGIN")
    first_a, first_b = in_tx(c, a, pid), in_tx(c, b, pid)
    assert first_a != first_b
    for _ in range(5):
        assert in_tx(c, a, pid) == first_a
        assert in_tx(c, b, pid) == first_b
    c.call(f"#{a}", "COMMIT")
    c.call(f"#{b}", "ROLLBACK")


def test_what_was_committed_is_there_and_rolled_back_is_not(db, daemon):
    c = daemon.connect()
    a, b = c.call("BEGIN"), c.call("BEGIN")
    in_tx(c, a, update(1, 5))
    in_tx(c, b, update(2, 5))
    assert db.v(1) == 0
    assert c.call(f"#{a}", "COMMIT") == "COMMIT"
    assert c.call(f"#{b}", "ROLLBACK") == "ROLLBACK"
    assert (db.v(1), db.v(2)) == (5, 0)
    assert_nothing_left(db, c)


def test_an_empty_tx_commits_and_rolls_back(daemon):
    c = daemon.connect()
    for verb in ("COMMIT", "ROLLBACK"):
        assert c.call(f"#{c.call('BEGIN')}", verb) == verb


def test_requests_outside_join_nothing(db, daemon):
    c = daemon.connect()
    handle = c.call("BEGIN")
    in_tx(c, handle, update(1))
    c.sql(update(2))
    assert (db.v(1), db.v(2)) == (0, 1)
    c.call(f"#{handle}", "ROLLBACK")
    assert db.v(2) == 1


# -- HERE

def test_begin_here_is_joined_by_untagged_requests_until_it_ends(db, daemon):
    c = daemon.connect()
    handle = c.call("BEGIN", "HERE")
    assert isinstance(handle, int)
    c.sql(update(1))
    assert db.v(1) == 0
    c.send("@t", "SQL", update(2))
    assert c.tag("t") == "UPDATE 1"
    assert db.v(2) == 1, "a tagged request joined it"
    assert c.call("COMMIT") == "COMMIT"
    assert db.v(1) == 1
    c.sql(update(1))
    assert db.v(1) == 2


def test_begin_here_twice_is_an_error_and_keeps_the_first(db, daemon):
    c = daemon.connect()
    c.call("BEGIN", "HERE")
    c.sql(update(1))
    assert isinstance(c.try_call("BEGIN", "HERE"), LkError)
    assert c.call("ROLLBACK") == "ROLLBACK"
    assert db.v(1) == 0
    assert_nothing_left(db, c)


def test_an_untagged_begin_in_mode_blocking_is_here(db, daemon):
    c = daemon.connect("3", "MODE", "blocking", "THREAD", "t1")
    c.call("BEGIN")
    c.sql(update(1))
    assert db.v(1) == 0
    assert c.call("COMMIT") == "COMMIT"
    assert db.v(1) == 1


def test_commit_without_any_tx_is_notx(daemon):
    c = daemon.connect()
    for request in (["COMMIT"], ["ROLLBACK"], ["SAVEPOINT", "s"],
                    ["RELEASE", "s"], ["ROLLBACK", "TO", "s"]):
        assert c.fails("NOTX", *request).sqlstate == "25P01"


# -- isolation

@pytest.mark.parametrize("words,isolation,read_only,deferrable", [
    ([], "read committed", "off", "off"),
    (["READ COMMITTED"], "read committed", "off", "off"),
    (["REPEATABLE READ"], "repeatable read", "off", "off"),
    (["SERIALIZABLE"], "serializable", "off", "off"),
    (["READ ONLY"], "read committed", "on", "off"),
    (["SERIALIZABLE", "READ ONLY", "DEFERRABLE"], "serializable", "on", "on"),
    (["repeatable read", "read only"], "repeatable read", "on", "off"),
])
def test_isolation_words_are_in_force(daemon, words, isolation, read_only,
                                      deferrable):
    c = daemon.connect()
    handle = c.call("BEGIN", *" ".join(words).split())
    assert setting(c, handle, "transaction_isolation") == isolation
    assert setting(c, handle, "transaction_read_only") == read_only
    assert setting(c, handle, "transaction_deferrable") == deferrable
    c.call(f"#{handle}", "ROLLBACK")


def test_repeatable_read_keeps_its_snapshot_and_read_committed_does_not(
        db, daemon):
    c = daemon.connect()
    steady = c.call("BEGIN", "REPEATABLE", "READ")
    fresh = c.call("BEGIN", "READ", "COMMITTED")
    read = "SELECT v FROM r WHERE id = 1"
    in_tx(c, steady, read), in_tx(c, fresh, read)
    db.sql("UPDATE r SET v = 9 WHERE id = 1")
    assert in_tx(c, steady, read) == [{"v": 0}]
    assert in_tx(c, fresh, read) == [{"v": 9}]
    for handle in (steady, fresh):
        c.call(f"#{handle}", "COMMIT")


def test_a_read_only_tx_cannot_write(db, daemon):
    c = daemon.connect()
    handle = c.call("BEGIN", "READ", "ONLY")
    error = c.fails("PG", f"#{handle}", "SQL", update(1))
    assert error.sqlstate == "25006"
    c.call(f"#{handle}", "ROLLBACK")
    assert db.v(1) == 0


def test_the_words_of_one_tx_do_not_leak_into_the_next(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    handle = c.call("BEGIN", "SERIALIZABLE", "READ", "ONLY")
    in_tx(c, handle, "SELECT 1")
    c.call(f"#{handle}", "COMMIT")
    assert c.sql(update(1)) == "UPDATE 1"
    handle = c.call("BEGIN")
    assert setting(c, handle, "transaction_isolation") == "read committed"
    c.call(f"#{handle}", "ROLLBACK")


def test_write_skew_is_serialize(db, daemon):
    c = daemon.connect()
    a, b = (c.call("BEGIN", "SERIALIZABLE") for _ in range(2))
    for handle in (a, b):
        in_tx(c, handle, "SELECT sum(v) FROM r WHERE id IN (1, 2)")
    in_tx(c, a, update(1))
    in_tx(c, b, update(2))
    assert c.call(f"#{a}", "COMMIT") == "COMMIT"
    error = c.fails("SERIALIZE", f"#{b}", "COMMIT")
    assert error.sqlstate == "40001"
    assert (db.v(1), db.v(2)) == (1, 0)
    c.fails("NOTX", f"#{b}", "SQL", "SELECT 1")
    assert_nothing_left(db, c)


# -- savepoints

def test_savepoints_set_release_and_roll_back(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    assert c.call(tx, "SAVEPOINT", "one") == "SAVEPOINT"
    c.call(tx, "SQL", update(2))
    assert c.call(tx, "SAVEPOINT", "two") == "SAVEPOINT"
    c.call(tx, "SQL", update(3))
    assert c.call(tx, "RELEASE", "two") == "RELEASE"
    assert c.call(tx, "ROLLBACK", "TO", "one").startswith("ROLLBACK")
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert (db.v(1), db.v(2), db.v(3)) == (1, 0, 0)


def test_a_savepoints_name_is_quoted(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    for name in ("select", 'a"b; COMMIT', "Ä ö"):
        assert c.call(tx, "SAVEPOINT", name) == "SAVEPOINT"
        assert c.call(tx, "ROLLBACK", "TO", name).startswith("ROLLBACK")
        assert c.call(tx, "RELEASE", name) == "RELEASE"
    c.call(tx, "SQL", update(1))
    c.call(tx, "ROLLBACK")
    assert db.v(1) == 0


def test_a_savepoint_as_first_statement_begins_the_tx(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    assert c.call(tx, "SAVEPOINT", "s") == "SAVEPOINT"
    c.call(tx, "SQL", update(1))
    c.call(tx, "ROLLBACK", "TO", "s")
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 0


def test_rollback_to_makes_an_aborted_tx_usable_again(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.call(tx, "SAVEPOINT", "s")
    c.fails("PG", tx, "SQL", "SELECT 1/0")
    c.fails("TXABORTED", tx, "SQL", "SELECT 1")
    assert c.call(tx, "ROLLBACK", "TO", "s").startswith("ROLLBACK")
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 1


def test_an_unknown_savepoint_is_the_servers_error(daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    assert c.fails("PG", tx, "ROLLBACK", "TO", "no").sqlstate == "3B001"
    c.call(tx, "ROLLBACK")


# -- aborted

def test_after_an_error_all_is_txaborted_until_rollback(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.fails("PG", tx, "SQL", "SELECT 1/0")
    assert c.fails("TXABORTED", tx, "SQL", "SELECT 1").sqlstate == "25P02"
    assert c.call(tx, "ROLLBACK") == "ROLLBACK"
    c.fails("NOTX", tx, "SQL", "SELECT 1")
    assert db.v(1) == 0


def test_commit_of_an_aborted_tx_is_txaborted_and_ends_it(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.fails("PG", tx, "SQL", "SELECT 1/0")
    assert c.fails("TXABORTED", tx, "COMMIT").sqlstate == "25P02"
    c.fails("NOTX", tx, "COMMIT")
    assert db.v(1) == 0
    assert_nothing_left(db, c)


def test_an_error_as_first_statement_aborts_the_tx_too(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.fails("PG", tx, "SQL", "SELEKT")
    c.fails("TXABORTED", tx, "SQL", update(1))
    c.call(tx, "ROLLBACK")
    assert db.v(1) == 0
    assert_nothing_left(db, c)


# -- certain replies

def deferred_table(db):
    db.sql("""CREATE TABLE d (id int,
        CONSTRAINT d_unique UNIQUE (id) DEFERRABLE INITIALLY DEFERRED);
        INSERT INTO d VALUES (1)""")


def test_a_deferred_constraint_is_commits_reply(db, daemon):
    deferred_table(db)
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    assert c.call(tx, "SQL", "INSERT INTO d VALUES (1)") == "INSERT 0 1"
    error = c.fails("PG", tx, "COMMIT")
    assert error.sqlstate == "23505"
    c.fails("NOTX", tx, "SQL", "SELECT 1")
    assert db.value("SELECT count(*) FROM d") == "1"
    assert_nothing_left(db, c)


def test_a_deferred_constraint_is_an_autocommit_statements_reply(db, daemon):
    deferred_table(db)
    c = daemon.connect()
    error = c.fails("PG", "SQL", "INSERT INTO d VALUES (1)")
    assert error.sqlstate == "23505"
    error = c.fails("PG", "SQL", "INSERT INTO d VALUES (1) RETURNING id")
    assert error.sqlstate == "23505"
    assert db.value("SELECT count(*) FROM d") == "1"
    assert c.sql("INSERT INTO d VALUES (2)") == "INSERT 0 1"


# -- whose

def test_another_connections_handle_is_notx_and_runs_nothing(db, daemon):
    a, b = daemon.connect(), daemon.connect()
    tx = f"#{a.call('BEGIN')}"
    a.call(tx, "SQL", update(1))
    for request in (["SQL", update(2)], ["COMMIT"], ["ROLLBACK"],
                    ["SAVEPOINT", "s"]):
        assert b.fails("NOTX", tx, *request).sqlstate == "25P01"
    assert db.v(2) == 0
    assert a.call(tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 1


def test_unknown_and_ended_handles_are_notx(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "COMMIT")
    for name in (tx, "#1", "#9007199254740991"):
        c.fails("NOTX", name, "SQL", update(1))
    assert db.v(1) == 0


def test_a_tx_opened_with_a_task_is_that_tasks_alone(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call("%a", tx, "SQL", update(1))
    c.fails("NOTX", "%b", tx, "SQL", update(2))
    c.fails("NOTX", "%b", tx, "COMMIT")
    assert c.call("%a", tx, "COMMIT") == "COMMIT"
    assert (db.v(1), db.v(2)) == (1, 0)


def test_without_a_task_the_handle_implies_its_owner(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call(tx, "SQL", update(1))
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 1


def test_give_hands_a_tx_over(db, daemon):
    c = daemon.connect()
    handle = c.call("%a", "BEGIN")
    tx = f"#{handle}"
    c.call("%a", tx, "SQL", update(1))
    assert c.call("%a", "GIVE", handle, "b") == "OK"
    c.fails("NOTX", "%a", tx, "COMMIT")
    assert c.call("%b", tx, "COMMIT") == "COMMIT"
    assert db.v(1) == 1


def test_give_of_somebody_elses_tx_is_notx(daemon):
    a, b = daemon.connect(), daemon.connect()
    handle = a.call("%a", "BEGIN")
    b.fails("NOTX", "GIVE", handle, "b")
    assert a.call("%a", f"#{handle}", "ROLLBACK") == "ROLLBACK"


def test_a_shared_tx_is_any_tasks_of_its_connection(db, daemon):
    c, other = daemon.connect(), daemon.connect()
    tx = f"#{c.call('%a', 'BEGIN', 'SHARED')}"
    c.call("%a", tx, "SQL", update(1))
    c.call("%b", tx, "SQL", update(2))
    other.fails("NOTX", "%a", tx, "COMMIT")
    assert c.call("%c", tx, "COMMIT") == "COMMIT"
    assert (db.v(1), db.v(2)) == (1, 1)


def test_requests_behind_a_commit_in_the_same_tx_are_notx(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.send("@1", tx, "SQL", update(1))
    c.send("@2", tx, "COMMIT")
    c.send("@3", tx, "SQL", update(2))
    assert c.tag("1") == "UPDATE 1"
    assert c.tag("2") == "COMMIT"
    bad("NOTX", c.tag("3"))
    assert (db.v(1), db.v(2)) == (1, 0)


# -- what SQL may not say

REFUSED = [
    "BEGIN", "begin;", "/* c */ ; begin", "-- c\nBEGIN", "START TRANSACTION",
    "COMMIT", "end", "ROLLBACK", "ABORT", "ROLLBACK TO s", "SAVEPOINT s",
    "RELEASE s", "PREPARE TRANSACTION 'x'", "; ;/* /* nested */ */COMMIT",
    "COPY r TO STDOUT", "COPY r FROM STDIN", "LISTEN c", "UNLISTEN c",
    "SELECT 1; SELECT 2", "UPDATE r SET v = 1; COMMIT",
    "COMMIT AND CHAIN", "ROLLBACK AND CHAIN",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_sql_that_would_change_the_tx_is_refused_session_intact(
        db, lockkeeperd, sql):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    pid = c.value("SELECT pg_backend_pid()")
    error = c.fails("SYNTAX", "SQL", sql)
    assert error.sqlstate == "42601"
    assert c.value("SELECT pg_backend_pid()") == pid
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.fails("SYNTAX", tx, "SQL", sql)
    reply = c.try_call(tx, "COMMIT")
    if ";" not in sql.strip(";") or sql.lstrip("; ").startswith("/*"):
        good(reply)
        assert db.v(1) == 1
    assert c.value("SELECT pg_backend_pid()") == pid
    assert_nothing_left(db, c)


@pytest.mark.parametrize("sql,verb", [
    ("BEGIN", "BEGIN"), ("COMMIT", "COMMIT"), ("ROLLBACK", "ROLLBACK"),
    ("SAVEPOINT s", "SAVEPOINT"), ("RELEASE SAVEPOINT s", "RELEASE"),
    ("START TRANSACTION", "BEGIN"), ("END", "COMMIT"),
    ("ABORT", "ROLLBACK"), ("ROLLBACK TO s", "ROLLBACK TO")])
def test_a_refusal_names_the_verb_to_use(daemon, sql, verb):
    assert verb in daemon.connect().fails("SYNTAX", "SQL", sql).message


def test_empty_sql_is_an_error_or_nothing_and_the_session_stays(daemon):
    c = daemon.connect()
    for sql in ("", "  ", ";", "-- c", "/* c */"):
        c.try_call("SQL", sql)
        assert c.value("SELECT 1") == 1


def test_a_procedure_may_commit_for_itself_outside_a_tx(db, daemon):
    db.sql("""CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN
        UPDATE r SET v = 1 WHERE id = 1; COMMIT;
        UPDATE r SET v = 1 WHERE id = 2; ROLLBACK; END $$""")
    c = daemon.connect()
    assert c.sql("CALL p()") == "CALL"
    assert (db.v(1), db.v(2)) == (1, 0)
    assert_nothing_left(db, c)


def test_commit_and_rollback_prepared_are_allowed_outside_a_tx(db, daemon):
    foreign = db.connect()
    for gid, row in (("keep", 1), ("drop", 2)):
        foreign.query(f"BEGIN; {update(row)}; PREPARE TRANSACTION '{gid}'")
    c = daemon.connect()
    assert c.sql("COMMIT PREPARED 'keep'") == "COMMIT PREPARED"
    assert c.sql("ROLLBACK PREPARED 'drop'") == "ROLLBACK PREPARED"
    assert (db.v(1), db.v(2)) == (1, 0)
    tx = f"#{c.call('BEGIN')}"
    c.fails("SYNTAX", tx, "SQL", "COMMIT PREPARED 'x'")
    c.call(tx, "ROLLBACK")


# -- state of the session

@pytest.mark.parametrize("soil,look,clean", [
    ("SET work_mem = '7MB'", "SELECT current_setting('work_mem') = '7MB' AS v",
     False),
    ("SELECT set_config('search_path', 'nowhere', false)",
     "SELECT current_setting('search_path') = 'nowhere' AS v", False),
    ("SELECT pg_advisory_lock(5)",
     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0),
    ("CREATE TEMP TABLE tt (i int)",
     "SELECT to_regclass('pg_temp.tt') IS NULL AS v", True),
    ("SELECT set_config('role', 'pg_monitor', false)",
     "SELECT current_user::text", "postgres"),
])
def test_a_session_is_clean_when_it_serves_the_next(
        lockkeeperd, soil, look, clean):
    daemon = lockkeeperd(workers={"min": 1, "max": 1})
    a, b = daemon.connect(), daemon.connect()
    a.sql(soil)
    assert b.value(look) == clean
    tx = f"#{a.call('BEGIN')}"
    a.call(tx, "GET", "r", 1)
    a.call(tx, "SQL", soil)
    a.call(tx, "COMMIT")
    assert b.value(look) == clean
    a.call("MULTI")
    a.call("GET", "r", 1)
    a.call("SQL", soil)
    a.call("EXEC")
    assert b.value(look) == clean


def last_statement(db):
    return db.value("SELECT query FROM pg_stat_activity "
                    "WHERE application_name = 'lockkeeper'")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_behind_verbs_on_plain_tables_there_is_nothing_to_clean(
        db, lockkeeperd, end):
    """What ends the transaction is the last that the session was asked."""
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect("3")
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "GET", "r", 1)
    c.call(tx, "SAVEPOINT", "s")
    c.call(tx, "UPDATE", "r", 1, "SET", "v", "+=", 1)
    c.call(tx, "ROLLBACK", "TO", "s")
    c.call(tx, end)
    assert last_statement(db) == end
    for row in (1, 2):
        c.call("MULTI")
        c.call("GET", "r", row)
        c.call("UPDATE", "r", row, "SET", "v", "+=", 1)
        c.call("EXEC")
        assert last_statement(db) == "COMMIT"
    c.call("SQL", "SELECT 1")
    eventually(lambda: last_statement(db) == "DISCARD SEQUENCES", "cleaned")


def test_a_session_that_a_trigger_may_have_soiled_is_cleaned(db, lockkeeperd):
    db.sql("""CREATE FUNCTION soil() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM set_config('lockkeeper.soil', 'x', false); RETURN NEW;
        END $$;
        CREATE TRIGGER soil BEFORE UPDATE ON r
        FOR EACH ROW EXECUTE FUNCTION soil()""")
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect("3")
    add = ("UPDATE", "r", 1, "SET", "v", "+=", 1)
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, *add)
    c.call(tx, "GET", "r", 1)
    c.call(tx, "COMMIT")
    seen = "SELECT coalesce(current_setting('lockkeeper.soil', true), '')"
    assert c.value(seen) == ""
    c.call("MULTI")
    c.call(*add)
    c.call("EXEC")
    assert c.value(seen) == ""


# -- a BEGIN that fails

@pytest.fixture
def standby(pg):
    """A server where BEGIN SERIALIZABLE fails: one in recovery."""
    copy = Cluster()
    try:
        with pg.stopped():
            copy.copy_of(pg)
            (copy.data / "standby.signal").touch()
        copy.start()
        yield copy
    finally:
        copy.remove()


def test_a_failing_begin_does_not_leave_the_statement_in_autocommit(
        db, standby, lockkeeperd):
    db.reconnect()
    daemon = lockkeeperd(standby.conninfo(), workers={"min": 1, "max": 1})
    c = daemon.connect()
    bystander = standby.connect()
    tx = f"#{c.call('BEGIN', 'SERIALIZABLE')}"
    c.send("@1", tx, "SQL", f"SELECT pg_terminate_backend({bystander.pid})")
    c.send("@2", tx, "SQL", f"SELECT pg_terminate_backend({bystander.pid})")
    c.send("@3", tx, "ROLLBACK")
    assert bad("PG", c.tag("1")).sqlstate == "0A000"
    assert isinstance(c.tag("2"), LkError)
    assert bystander.value("SELECT 1") == "1"
    assert c.value("SELECT 1") == 1
