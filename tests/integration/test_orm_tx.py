"""Verbs in transactions: what they see, what they lock, whom they wait for,
and how that ends; as SQL does."""
import pytest

from checks import assert_nothing_left
from client import LkError
from timing import within

ROW = ("GET", "city", "5")


@pytest.fixture
def other(pagila):
    """A second client, of whom nothing is left afterwards."""
    client = pagila.daemon.connect()
    yield client
    client.close()
    assert_nothing_left(pagila.db, pagila.client)


@pytest.fixture
def foreign(pagila):
    session = pagila.db.connect()
    yield session
    session.close()


def begin(client, *options):
    return f"#{client.call('BEGIN', *options)}"


def test_what_is_done_inside_is_seen_inside_and_then_by_all(pagila, other):
    c = pagila.client
    tx = begin(c)
    made = c.call(tx, "CREATE", "category", "name", "=", "Silent")
    key = made["category_id"]
    assert c.call(tx, "GET", "category", key) == made
    assert c.call(tx, "EXISTS", "category", "WHERE", "name", "=", "Silent")
    assert c.call(tx, "LOAD", "category", key, "film") == []
    assert other.call("GET", "category", key) is None
    assert c.call(tx, "COMMIT") == "COMMIT"
    assert other.call("GET", "category", key) == made
    tx = begin(c)
    assert c.call(tx, "DELETE", "category", key) == 1
    assert c.call(tx, "GET", "category", key) is None
    assert other.call("GET", "category", key) == made
    c.call(tx, "ROLLBACK")
    assert other.call("DELETE", "category", key) == 1


def test_savepoints(pagila):
    with pagila.tx() as tx:
        ask = pagila.ask
        ask(f"{tx} UPDATE film 5 SET title = one")
        ask(f"{tx} SAVEPOINT s")
        ask(f"{tx} UPDATE film 5 SET title = two")
        assert ask(f"{tx} GET film 5 FIELDS title") == {"title": "two"}
        ask(f"{tx} ROLLBACK TO s")
        assert ask(f"{tx} GET film 5 FIELDS title") == {"title": "one"}


def test_the_connections_current_transaction(pagila, other):
    other.call("BEGIN", "HERE")
    other.call("UPDATE", "film", "5", "SET", "title", "=", "here")
    assert other.call("GET", "film", "5", "FIELDS", "title") == {
        "title": "here"}
    assert pagila.ask("GET film 5 FIELDS title") != {"title": "here"}
    other.call("GET", "film", "5", "FOR", "UPDATE")
    assert other.call("ROLLBACK") == "ROLLBACK"


def test_a_snapshot_stays_the_same(pagila, foreign):
    c = pagila.client
    tx = begin(c, "REPEATABLE", "READ")
    before = c.call(tx, *ROW)
    foreign.query("UPDATE city SET city = city || '!' WHERE city_id = 5")
    assert c.call(tx, *ROW) == before
    assert c.call(*ROW)["city"] == before["city"] + "!"
    error = c.fails("SERIALIZE", tx, "UPDATE", "city", "5", "SET", "city",
                    "=", before["city"])
    assert error.sqlstate == "40001"
    c.call(tx, "ROLLBACK")
    c.call("UPDATE", "city", "5", "SET", "city", "=", before["city"])


@pytest.mark.parametrize("write", [
    "CREATE category name = X", "UPDATE film 5 SET title = X",
    "DELETE film 0", "UPSERT category category_id = 5 name = X",
    "CREATEMANY category 1 name X", "UPDATEALL film SET title = X WHERE ALL",
    "DELETEALL payment WHERE ALL", "GET film 5 FOR UPDATE"])
def test_read_only_is_read_only(pagila, write):
    with pagila.tx("READ", "ONLY") as tx:
        assert pagila.ask(f"{tx} COUNT film") == 200
        assert pagila.fails("PG", f"{tx} {write}").sqlstate == "25006"


# -- locks

STRENGTHS = {"UPDATE": "UPDATE", "NO KEY UPDATE": "NO KEY UPDATE",
             "SHARE": "SHARE", "KEY SHARE": "KEY SHARE",
             "no key update": "NO KEY UPDATE"}


@pytest.mark.parametrize("verb", [
    "GET city 5", "FIND city WHERE city_id = 5", "ONE city WHERE city_id = 5",
    "FIRST city WHERE city_id = 5", "LOAD address 10 city"])
@pytest.mark.parametrize("asked, sql", STRENGTHS.items())
def test_each_strength_locks_as_sql_does(pagila, foreign, verb, asked, sql):
    """What others can still have of the row, tried strength by strength."""
    row = pagila.ask(verb)
    row = row[0] if isinstance(row, list) else row

    def left():
        got = []
        for strength in dict.fromkeys(STRENGTHS.values()):
            rows = foreign.query(f"""SELECT 1 FROM city
                WHERE city_id = {row["city_id"]} FOR {strength} SKIP LOCKED""")
            got.append(len(rows))
        return got

    with pagila.tx() as tx:
        pagila.ask(f"{tx} {verb} FOR {asked}")
        by_verb = left()
    pagila.session.query("BEGIN")
    pagila.session.query(f"""SELECT 1 FROM city
        WHERE city_id = {row["city_id"]} FOR {sql}""")
    by_sql = left()
    pagila.session.query("ROLLBACK")
    assert by_verb == by_sql != [1, 1, 1, 1]


def test_nowait_and_skip_locked(pagila, foreign):
    foreign.query("BEGIN; SELECT 1 FROM city WHERE city_id < 4 FOR UPDATE")
    with pagila.tx() as tx:
        with within(50, "NOWAIT"):
            error = pagila.fails("LOCKTIMEOUT",
                                 f"{tx} GET city 1 FOR UPDATE NOWAIT")
        assert error.sqlstate == "55P03"
    with pagila.tx() as tx:
        for verb, expected in (
                ("FIND city WHERE city_id < 6 FIELDS city_id ORDER city_id",
                 [{"city_id": 4}, {"city_id": 5}]),
                ("GET city 1", None), ("FIRST city WHERE city_id < 4", None),
                ("FIRST city FIELDS city_id", {"city_id": 4}),
                ("LOAD country 4 city WHERE city_id < 4", [])):
            assert pagila.ask(f"{tx} {verb} FOR UPDATE SKIP LOCKED") == \
                expected
    foreign.query("ROLLBACK")


def test_only_the_models_own_rows_are_locked(pagila, foreign):
    with pagila.tx() as tx:
        row = pagila.ask(f"{tx} ONE city WHERE country.country != '' "
                         "AND city_id = 5 FOR UPDATE")
        assert foreign.query(f"""SELECT 1 FROM country WHERE country_id =
            {row["country_id"]} FOR UPDATE NOWAIT""")


@pytest.fixture
def vienna(pagila):
    """A city where nobody lives: city 90."""
    pagila.session.query("""INSERT INTO city (city_id, city, country_id)
        VALUES (90, 'Vienna', 1)""")
    yield
    pagila.session.query("DELETE FROM city WHERE city_id = 90")


@pytest.mark.parametrize("line", [
    "UPDATE city 90 SET city = X", "DELETE city 90",
    "UPSERT city city_id = 90 city = X country_id = 1",
    "UPDATEALL city SET city = X WHERE city_id = 90",
    "DELETEALL city WHERE city_id = 90",
    "CREATE city city_id = 90 city = X country_id = 1"])
def test_a_lock_wait_ends_at_its_limit_and_names_the_holder(
        pagila, vienna, other, line):
    del vienna
    # A CREATE waits only for a key that is going.
    holder = begin(other)
    other.call(holder, *("DELETE city 90" if line.startswith("CREATE")
                         else "GET city 90 FOR UPDATE").split())
    with within(100, "LOCKTIMEOUT of a verb"):
        error = pagila.fails("LOCKTIMEOUT", f"?30 {line}")
    assert error.sqlstate == "55P03"
    assert holder in error
    assert pagila.fails("LOCKTIMEOUT", f"?0 {line}").sqlstate == "55P03"
    assert pagila.fails("TIMEOUT", f"~30 {line}").sqlstate == "57014"
    other.call(holder, "ROLLBACK")


def test_a_lock_wait_is_shown_in_words_without_values(pagila, other):
    holder = begin(other)
    other.call(holder, "UPDATE", "city", "5", "SET", "city", "=", "secret")
    pagila.client.send("@w", "UPDATEALL", "city", "SET", "city", "=", "City 5",
                       "WHERE", "city_id", "IN", "2", "5", "12345")
    wait, = other.until(lambda: other.show("waits"), "a wait")
    other.call(holder, "ROLLBACK")
    assert pagila.client.tag("w") == 1
    assert wait["doing"].startswith('UPDATEALL city: UPDATE "public"."city" ')
    assert " after UPDATE city: UPDATE " in wait["blockers"]
    assert not any(value in repr(wait)
                   for value in ("secret", "City 5", "12345"))


def test_a_wait_ends_with_the_holder(pagila, other):
    holder = begin(other)
    other.call(holder, "UPDATE", "city", "6", "SET", "city", "||=", "?")
    pagila.client.send("@w", "UPDATE", "city", "6", "SET", "city", "||=", "!")
    assert not pagila.client.has_reply("w")
    other.call(holder, "COMMIT")
    assert pagila.client.tag("w")["city"] == "City 6?!"
    assert pagila.ask("UPDATE city 6 SET city = 'City 6'")


# -- deadlocks

def verdict(client):
    """The first error of the two tags, and the other tag."""
    lost = client.until(lambda: next(
        (tag for tag, reply in client.tagged.items()
         if isinstance(reply, LkError)), None), "a verdict", 5)
    return client.tagged.pop(lost), ({"a", "b"} - {lost}).pop()


@pytest.mark.parametrize("first, second", [
    ("UPDATE city {} SET city ||= x", "UPDATE city {} SET city ||= x"),
    ("GET city {} FOR UPDATE", "UPDATEALL city SET city ||= x WHERE "
     "city_id = {}"),
    ("UPSERT city city_id = {} city = x country_id = 1",
     "FIND city WHERE city_id = {} FOR SHARE")])
def test_two_tasks_deadlock_and_one_goes_on(pagila, other, first, second):
    txs = {name: begin(other) for name in "ab"}
    for (name, tx), row in zip(txs.items(), (7, 8)):
        other.call(tx, *first.format(row).split())
    other.send("@a", txs["a"], *second.format(8).split())
    with within(250, "deadlock of verbs"):
        other.send("@b", txs["b"], *second.format(7).split())
        error, winner = verdict(other)
    assert (error.kind, error.sqlstate) == ("DEADLOCK", "40P01")
    assert all(tx in error for tx in txs.values())
    assert "city" in error
    assert not isinstance(other.tag(winner), LkError)
    loser = ({"a", "b"} - {winner}).pop()
    other.fails("TXABORTED", txs[loser], "COUNT", "city")
    for tx in txs.values():
        other.call(tx, "ROLLBACK")
    shown = other.show("deadlocks")
    assert second.split()[0] in repr(shown[0]) + repr(shown[-1])


def test_a_task_that_blocks_itself_by_an_autocommit_verb(pagila, other):
    """The essay's case: its own transaction has the row."""
    tx = begin(other)
    other.call("%C1", "PING")
    handle = f"#{other.call('%C1', 'BEGIN')}"
    other.call("%C1", handle, "UPDATE", "city", "9", "SET", "city", "=", "x")
    with within(250, "deadlock of a task with itself"):
        error = other.fails("DEADLOCK", "%C1", "UPDATE", "city", "9", "SET",
                            "city", "=", "y")
    assert handle in error
    other.call("%C1", handle, "ROLLBACK")
    other.call(tx, "ROLLBACK")


@pytest.mark.parametrize("model, has_trigger", [
    ("payment", False), ("city", True)])
def test_a_verb_is_run_again_where_that_leaves_no_trace(
        pagila, other, model, has_trigger):
    """It has row 1 and waits for row 2, whose holder asks for row 1.  A
    trigger may have done what cannot be taken back."""
    def lock(tx, row):
        return (tx, "FIND", model, "WHERE", f"{model}_id", "=", row, "FIELDS",
                f"{model}_id", "FOR", "UPDATE")

    tx = begin(other)
    other.call(*lock(tx, 2))
    other.send("@u", "UPDATEALL", model, "SET", "last_update" if has_trigger
               else "amount", "=", "2022-01-01" if has_trigger else "9",
               "WHERE", f"{model}_id", "IN", "2", "1", "2")
    other.until(lambda: other.show("waits"), "it waits")
    assert other.call(*lock(tx, 1)) == [{f"{model}_id": 1}]
    other.call(tx, "COMMIT")
    reply = other.tag("u")
    if has_trigger:
        assert (reply.kind, reply.sqlstate) == ("DEADLOCK", "40P01")
    else:
        assert reply == 2
