"""UPDATEs of the same row, which one statement does: each is to have what it would
have had alone."""
import pytest

from checks import assert_nothing_left
from client import good

N = 60
ONE = {"min": 1, "max": 1}


def send_behind(c, requests):
    """Send them while somebody has the only session: they go together once his
    transaction, which is returned, has ended."""
    c.call("MODELS")	# the catalog has been read
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", "SELECT 1")
    for i, words in enumerate(requests):
        c.send(f"@w{i}", *words)
    return tx


def pile_up(c, requests):
    """Their replies, in order."""
    c.call(send_behind(c, requests), "COMMIT")
    return replies(c, len(requests))


def replies(c, n):
    return [c.tag(f"w{i}") for i in range(n)]


def told(reply):
    """What a client sees of it."""
    return getattr(reply, "line", reply)


class Comparison:
    """The same requests with groups and without, of the same row."""

    def __init__(self, db, lockkeeperd, hello=(), **config):
        self._db = db
        self._lockkeeperd = lockkeeperd
        self._hello = hello
        self._config = config
        self.stats = None	# of the daemon with groups

    def run(self, make, requests):
        """The replies, which are the same, as are the rows behind them."""
        seen = []
        for mode in ("off", "safe"):
            self._db.sql("DROP TABLE IF EXISTS r;" + make)
            daemon = self._lockkeeperd(workers=ONE,
                                       batch={"group_commit": mode},
                                       **self._config)
            c = daemon.connect("3")
            c.call("HELLO", "3", *self._hello)
            got = pile_up(c, requests)
            seen.append(([told(r) for r in got],
                         self._db.value("SELECT string_agg(r::text, ' ') "
                                        "FROM r")))
            self.stats = daemon.connect("3").call("SHOW", "stats")
        assert seen[0] == seen[1]
        return got


@pytest.fixture
def compare(db, lockkeeperd):
    return Comparison(db, lockkeeperd)


def updates(*sets, key=("1",)):
    """UPDATE r key SET …, for each of them, such as ("v", "+=", 1)."""
    return [("UPDATE", "r", *key, "SET",
             *(word if word is None else str(word) for word in words))
            for words in sets]


def table(columns, values, key="id"):
    return (f"CREATE TABLE r ({columns}, PRIMARY KEY ({key}));"
            f"INSERT INTO r VALUES ({values})")


def test_each_has_the_row_as_it_has_left_it(compare):
    got = compare.run(table("id int, v int, name text", "1, 7, 'Ann'"),
                          updates(*[("v", "+=", i) for i in range(N)]))
    assert good(got[-1]) == {"id": 1, "v": 7 + N * (N - 1) // 2,
                                 "name": "Ann"}
    s = compare.stats
    assert s["folded"] == s["grouped"] == N and s["groups"] == 1
    assert s["group_replays"] == 0


def each(*words):
    """N of them, in which {i} is a number from 0 up."""
    return updates(*[[str(word).replace("{i}", str(i)) for word in words]
                     for i in range(N)])


@pytest.mark.parametrize("columns, values, words", [
    ("v smallint", "-5", ("v", "-=", "{i}")),
    ("v bigint", "9000000000000000000", ("v", "+=", "1000000000000000")),
    ("v int, w bigint, x int", "0, 0, 3", ("w", "+=", "{i}", "v", "-=", "{i}")),
    ("v int", "NULL", ("v", "+=", "{i}")),
    ("v int", "7", ("v", "=", "{i}")),
    ("v numeric(6, 2)", "0.005", ("v", "+=", "0.{i}")),
    ("v numeric", "0", ("v", "+=", "0.{i}")),
    ("v real", "0.1", ("v", "+=", "{i}e5")),
    ("v float8", "0.1", ("v", "-=", "0.{i}")),
    ("v bool", "NULL", ("v", "=", "true")),
    ("v date", "'2026-01-31'", ("v", "=", "epoch")),
    ("v timestamptz(3)", "'2026-01-31 12:00+01'", ("v", "+=", "{i}.0006 s")),
    ("v timestamp", "'2026-01-31'", ("v", "=", "2026-01-31 00:00:{i}")),
    ("v time(0)", "'12:00'", ("v", "-=", "{i}.5 s")),
    ("v interval day", "'1 day'", ("v", "+=", "{i} hours")),
    ("v uuid", "NULL", ("v", "=", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    ("v jsonb", "'{}'", ("v", "||=", '{"{i}": [{i}, "a\\"b"]}')),
    ("v jsonb", """'{"1": 1, "7": 0}'""", ("v", "-=", "{i}")),
    ("v json", "'{}'", ("v", "=", '{"a": {i}}')),
    ("v int, t text COLLATE \"C\"", "0, 'Ä'", ("v", "+=", "1")),
    ('v int, n int, d int, o1 int, s int, "s.n + 1" int, b int',
     "0, 1, 2, 3, 4, 5, 6", ("d", "+=", "1", "n", "+=", "{i}", "b", "-=", "1")),
    ("v int", "0", ("v", "+=", "1", "IF", "v", "<", "30")),
    ("v int", "40", ("v", "-=", "{i}", "IF", "v", ">=", "{i}")),
    ("v int", "NULL", ("v", "=", "{i}", "IF", "v", "IS", "NULL", "OR", "v",
                       "IN", "3", "4", "0", "{i}")),
    ("v int", "NULL", ("v", "=", "{i}", "IF", "v", "<", "{i}")),
    ("v int, t varchar(5) COLLATE \"C\"", "0, 'open'",
     ("v", "+=", "1", "IF", "NOT", "(", "t", "LIKE", "%{i}%", "OR", "v", ">",
      "20", ")")),
], ids=lambda value: " ".join(value) if isinstance(value, tuple) else value)
def test_each_has_what_it_would_have_had_alone(compare, columns, values, words):
    compare.run(table(f"id int, {columns}", f"1, {values}"), each(*words))
    s = compare.stats
    assert s["folded"] == N, s
    assert s["group_replays"] == s["errors"] == 0


def test_beside_columns_of_whatever_types(compare):
    compare.run("""DROP TYPE IF EXISTS mood, pair; CREATE TYPE mood AS ENUM
        ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);
        DROP DOMAIN IF EXISTS plus; CREATE DOMAIN plus AS int CHECK (VALUE > 0);
        CREATE TABLE r (id int PRIMARY KEY, v int, a text[], b bytea, c char(5),
        d xml, e point, f money, g mood, h pair, i plus, j plus[], k int4range,
        l varchar COLLATE "C", m tsvector, n inet, o bit(3), p name, q "char");
        INSERT INTO r VALUES (1, 0, '{"a b",NULL}', '\\x00ff', 'x', '<a/>',
        '(1,2)', 5.25, 'ok', '(1,"b, c")', 7, '{8}', '[1,5)', 'Ä', 'a:1 b',
        '10.0.0.1', '101', 'who', 'q')""", each("v", "+=", "{i}"))
    assert compare.stats["folded"] == N, compare.stats


def test_large_values_go_one_by_one(compare):
    compare.run(table("id int, v jsonb", "1, '{}'"), updates(
        ("v", "=", "{}"), *[("v", "=", '{"%d": "%s"}' % (i, "x" * 5000))
                            for i in range(N)]))
    assert compare.stats["grouped"] == N + 1 and compare.stats["folded"] == 0


def test_null_is_no_value_of_others(compare):
    got = compare.run(table("id int, v int, w int", "1, 0, NULL"), updates(
        *[("v", "+=", 1, "IF", "w", "=", None), ("v", "+=", 1, "IF", "w", "=",
                                                 5)] * 20))
    assert [good(r) is None for r in got] == [False, True] * 20


def test_an_integer_is_days_whatever_was_sent_before(compare):
    """Of a date the type of what is added goes by the value."""
    got = compare.run(table("id int, v date", "1, '2026-01-31'"), updates(
        ("v", "+=", "1 day"), *[("v", "+=", 5)] * N))
    assert good(got[-1])["v"] == "2026-11-28"


@pytest.mark.parametrize("make, key", [
    (table('a text, "B "" $1" int, v int', "E'\\\\ \"x\", {}', 2, 0",
           'a, "B "" $1"'), ('\\ "x", {}', "2")),
    (table("id int, v int", "1, 0"), ("01",)),
    (table("id uuid, v int", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 0"),
     ("{A0EEBC999C0B4EF8BB6D6BB9BD380A11}",)),
], ids=["two columns", "zeros", "uuid"])
def test_by_whatever_key(compare, make, key):
    got = compare.run(make, updates(
        *[("v", "+=", i) for i in range(N)], key=key))
    assert good(got[-1])["v"] == N * (N - 1) // 2
    assert compare.stats["folded"] == N, compare.stats


def test_where_no_condition_holds_nothing_is_written(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    before = db.value("SELECT ctid FROM r WHERE id = 1")
    assert pile_up(c, each("v", "+=", 1, "IF", "v", ">", 0)) == [None] * N
    assert c.call("SHOW", "stats")["folded"] == N
    assert db.value("SELECT ctid FROM r WHERE id = 1") == before


def test_a_row_that_is_gone_is_null_for_all(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    c.call("MODELS")	# the catalog has been read
    db.sql("DELETE FROM r WHERE id = 1")
    assert pile_up(c, each("v", "+=", 1)) == [None] * N
    s = c.call("SHOW", "stats")
    assert s["folded"] == N and s["group_replays"] == 0


def test_one_that_would_have_been_too_large_between(compare):
    """The last fits, the one before it did not, and so it has failed alone."""
    got = compare.run(table("id int, v smallint", "1, 10000"),
                          updates(*[("v", "+=", 1)] * 20 + [("v", "+=", 30000),
                               ("v", "+=", -30000), ("v", "+=", 1)]))
    assert got[20].sqlstate == "22003"
    assert good(got[22])["v"] == 10021 - 30000
    s = compare.stats
    assert s["folded"] == 0 and s["group_replays"] == 1 and s["errors"] == 1


def test_those_that_pass_the_end_fail(compare):
    got = compare.run(table("id int, v int", "1, 2147483637"),
                          updates(*[("v", "+=", 1)] * 20))
    assert [good(r)["v"] for r in got[:10]] == list(
        range(2147483638, 2147483648))
    assert {r.sqlstate for r in got[10:]} == {"22003"}


CHECKED = "id int, v int CHECK (v >= 0), w int"


@pytest.mark.parametrize("make, requests", [
    (table(CHECKED, "1, 5, 0"), updates(*[("v", "-=", 1), ("v", "+=", 2)] * 15)),
    (table(CHECKED, "1, 5, 0"), updates(*[("w", "-=", 1)] * 30)),
    (table("id int, v int, w int GENERATED ALWAYS AS (v * 2) STORED", "1, 5"),
     updates(*[("v", "+=", 1)] * 30)),
    (table("id int, v int, w text", "1, 0, ''"),
     updates(*[("v", "+=", 1, "w", "||=", "x")] * 30)),
    (table("id int, v varchar(9)", "1, 0"), updates(*[("v", "||=", "x")] * 30)),
    (table("id int, v int", "1, 0"),
     updates(*[("v", "+=", 1), ("v", "-=", 2)] * 15)),
    (table("id int, v int NOT NULL", "1, 0"),
     updates(("v", "+=", 1), *[("v", "TO", "NULL")] * 30)),
    ("DROP DOMAIN IF EXISTS small; CREATE DOMAIN small AS int CHECK "
     "(VALUE < 9);" + table("id int, v small", "1, 0"),
     updates(*[("v", "+=", 3), ("v", "+=", -3)] * 15)),
    ("DROP TABLE IF EXISTS o; CREATE TABLE o (id int PRIMARY KEY, v int);"
     "INSERT INTO o VALUES (1, 5);" +
     table("id int, v int, o_id int REFERENCES o", "1, 0, 1"),
     updates(*[("v", "+=", 1, "IF", "o.v", "=", 5)] * 30)),
    (table("id int, v int, m jsonb", """1, 0, '{"max": 9}'"""),
     updates(*[("v", "+=", 1, "IF", "m->max::int", ">", i) for i in range(30)])),
], ids=["a checked column", "another is checked", "generated", "text", "varchar",
        "two shapes", "NULL", "a domain", "another table's row", "a part of a document"])
def test_others_are_done_one_by_one(compare, make, requests):
    compare.run(make, requests)
    assert compare.stats["folded"] == 0


def test_not_what_triggers_are_to_see(compare):
    compare.run(table("id int, v int", "1, 0") + """;
        CREATE TABLE IF NOT EXISTS seen (v int); TRUNCATE seen;
        CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN INSERT INTO seen VALUES (NEW.v); RETURN NEW; END';
        CREATE TRIGGER t AFTER UPDATE ON r FOR EACH ROW
        EXECUTE FUNCTION see()""", updates(*[("v", "+=", 1)] * 20))
    assert compare.stats["folded"] == 0


@pytest.mark.parametrize("hello", [
    ("ROWS", "table"), ("ROWS", "json"), ("INT8", "text")],
    ids=lambda words: " ".join(words))
def test_in_every_form(db, lockkeeperd, hello):
    compare = Comparison(db, lockkeeperd, hello)
    compare.run(table("id int, v bigint, w text", "1, 0, 'x'"),
                updates(*[("v", "+=", i) for i in range(N)]))
    assert compare.stats["folded"] == N, compare.stats


def test_each_reply_may_be_as_large_as_any(db, lockkeeperd):
    compare = Comparison(db, lockkeeperd, limits={"result": "64KiB"})
    got = compare.run(table("id int, v int, w text",
                                "1, 0, repeat('x', 60000)"),
                          updates(*[("v", "+=", 1)] * N))
    assert [good(r)["v"] for r in got] == list(range(1, N + 1))
    assert compare.stats["folded"] == N, compare.stats


def test_some_are_too_large_and_others_not(db, lockkeeperd):
    compare = Comparison(db, lockkeeperd, limits={"result": "8KiB"})
    # Of what is long at first nothing is remembered.
    sizes = [1] + [2000] * (N - 1)
    got = compare.run(table("id int, v jsonb", "1, '{}'"), updates(
        *[("v", "||=", '{"%d": "%s"}' % (i, "x" * size))
          for i, size in enumerate(sizes)]))
    assert all(good(reply) for reply in got[:4])
    assert {r.kind for r in got[5:]} == {"OVERLOAD"}
    assert compare.stats["folded"] == N


@pytest.mark.parametrize("size", [65537, 200000])
def test_one_that_is_too_large_has_been_done_all_the_same(db, lockkeeperd, size):
    compare = Comparison(db, lockkeeperd, limits={"result": "64KiB"})
    got = compare.run(table("id int, v int, w text",
                                f"1, 0, repeat('x', {size})"),
                          updates(*[("v", "+=", 1)] * N))
    assert {r.kind for r in got} == {"OVERLOAD"}
    assert all("took effect" in r.line for r in got)
    assert compare.stats["folded"] == N, compare.stats
    assert db.value("SELECT v FROM r") == str(N)


OTHERS_DIFFER = ("UPDATE r SET v = -id WHERE id > 2;"
                 "UPDATE r SET v = 30 WHERE id = 2;")


@pytest.mark.parametrize("change", [
    "ALTER TABLE r ADD CHECK (v <> 30)",
    "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS "
    "'BEGIN IF NEW.v = 30 THEN RAISE EXCEPTION ''%'', NEW.v USING ERRCODE = "
    "''23514''; END IF; RETURN NEW; END'; CREATE TRIGGER t BEFORE UPDATE ON r "
    "FOR EACH ROW EXECUTE FUNCTION see()",
    OTHERS_DIFFER + "CREATE UNIQUE INDEX ON r (v)",
    OTHERS_DIFFER + "CREATE UNIQUE INDEX ON r ((v + 1))",
    "CREATE TABLE o (v int PRIMARY KEY); INSERT INTO o SELECT i "
    "FROM generate_series(0, 100) i WHERE i <> 30;"
    "ALTER TABLE r ADD FOREIGN KEY (v) REFERENCES o",
], ids=["check", "trigger", "unique", "unique expression", "foreign key"])
def test_what_nobody_has_told_the_daemon_of(db, pg, lockkeeperd, change):
    """One of them must fail, in the midst of those that pass over it."""
    c = lockkeeperd(workers=ONE).connect("3")
    requests = updates(*[("v", "+=", 1)] * 20)
    assert good(pile_up(c, requests)[-1])["v"] == 20
    db.sql(change)
    got = pile_up(c, updates(*[("v", "+=", 1)] * 10 +
                                  [("v", "+=", 5)] * 10))
    assert [good(r)["v"] for r in got[:9]] == list(range(21, 30))
    assert got[9].sqlstate[:2] == "23"
    assert [good(r)["v"] for r in got[10:]] == list(range(34, 84, 5))
    s = c.call("SHOW", "stats")
    assert s["folded"] == 20 and s["group_replays"] == 1, s
    assert "its updates go one by one" in pg.log_text()


def test_a_column_has_another_type_meanwhile(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    requests = updates(*[("v", "+=", 1)] * 20)
    assert good(pile_up(c, requests)[-1])["v"] == 20
    db.sql("ALTER TABLE r ALTER v TYPE numeric(6, 2);"
           "UPDATE r SET v = 0.25 WHERE id = 1")
    got = [good(r) for r in pile_up(c, requests)]
    assert [r["v"] for r in got] == [f"{i}.25" for i in range(1, 21)]
    assert c.call("SHOW", "stats")["folded"] == 20


def test_it_is_another_table_meanwhile(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    requests = updates(*[("v", "+=", 1)] * 20)
    assert good(pile_up(c, requests)[-1])["v"] == 20
    db.sql("DROP TABLE r; CREATE TABLE r (id int PRIMARY KEY, v int CHECK "
           "(v <> 7)); INSERT INTO r VALUES (1, 3)")
    got = pile_up(c, requests)
    assert [good(r)["v"] for r in got[:3]] == [4, 5, 6]
    assert {r.sqlstate for r in got[3:]} == {"23514"}
    assert_nothing_left(db, c)


# -- somebody else, who is no client, has the row

def test_it_goes_by_what_somebody_else_has_left(db, lockkeeperd):
    """It waits for him in PostgreSQL, with an older row in sight."""
    c = lockkeeperd(workers=ONE).connect("3")
    tx = send_behind(c, each("v", "+=", 1))
    with db.connect() as other:
        other.query("BEGIN; UPDATE r SET v = v + 1000 WHERE id = 1")
        c.call(tx, "COMMIT")
        db.wait_for_waiters(1)
        other.query("COMMIT")
    assert [good(r)["v"] for r in replies(c, N)] == list(range(1001, 1001 + N))
    assert c.call("SHOW", "stats")["folded"] == N
    assert db.v(1) == 1000 + N


def test_whose_condition_does_not_hold_waits_for_nobody(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    tx = send_behind(c, each("v", "+=", 1, "IF", "v", ">", 0))
    with db.connect() as other:
        other.query("BEGIN; UPDATE r SET v = v + 1000 WHERE id = 1")
        c.call(tx, "COMMIT")
        assert replies(c, N) == [None] * N
    assert c.call("SHOW", "stats")["folded"] == 0


def test_whose_condition_holds_waits_alone(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    tx = send_behind(c, each("v", "+=", 1, "IF", "v", "<", 1050))
    with db.connect() as other:
        other.query("BEGIN; UPDATE r SET v = v + 1000 WHERE id = 1")
        c.call(tx, "COMMIT")
        db.wait_for_waiters(1)
        other.query("COMMIT")
    got = replies(c, N)
    assert [good(r)["v"] for r in got[:50]] == list(range(1001, 1051))
    assert got[50:] == [None] * (N - 50)
    assert db.v(1) == 1050


def test_control_in_a_transaction_each_is_its_own(db, lockkeeperd):
    c = lockkeeperd(workers=ONE).connect("3")
    tx = f"#{c.call('BEGIN')}"
    for i in range(N):
        c.send(f"@w{i}", tx, "UPDATE", "r", "1", "SET", "v", "+=", "1")
    assert [good(c.tag(f"w{i}"))["v"] for i in range(N)] == list(range(1, N + 1))
    c.call(tx, "COMMIT")
    assert c.call("SHOW", "stats")["folded"] == 0
    assert db.v(1) == N
