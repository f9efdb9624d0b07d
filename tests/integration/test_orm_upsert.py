"""What comes on top of what is there: UPDATE's += -= ||= and UPSERT, compared
with SQL."""
import pytest

from client import LkError
from orm import words
from twice import assert_row, timeless

COUNTERS = [
    ("n += 5", "n = n + 5"), ("n -= -5", "n = n - -5"),
    ("log ||= ab", "log = log || 'ab'"),
    ("tags ||= '{x,\"y z\"}'", "tags = tags || '{x,\"y z\"}'"),
    ("doc ||= '{\"b\": 2}'", "doc = doc || '{\"b\": 2}'"),
    ("doc -= a", "doc = doc - 'a'"), ("log TO NULL", "log = NULL"),
    ("doc = '{\"n\": null}'", "doc = '{\"n\": null}'"),
    ("n = 5 log = LIMIT tags = {} doc TO DEFAULT",
     "n = 5, log = 'LIMIT', tags = '{}', doc = DEFAULT")]


@pytest.fixture
def counters(awkward):
    awkward.session.query("""TRUNCATE counter; INSERT INTO counter VALUES
        ('a', 1, 'x', '{t}', '{"a": 1}'), ('b', 2, NULL, NULL, NULL)""")
    return awkward


@pytest.mark.parametrize("given, sql", COUNTERS)
@pytest.mark.parametrize("name", ["a", "b"])
def test_what_comes_on_top(counters, name, given, sql):
    """Of NULL nothing comes of it, as in SQL."""
    assert_row(counters, "counter", f"UPDATE counter {name} SET {given}",
               f"UPDATE counter SET {sql} WHERE name = '{name}'")


KINDS = [
    ("i2 -= 5", "i2 = i2 - 5::int2"), ("i8 += -1", "i8 = i8 - 1"),
    ("f8 -= 0.5", "f8 = f8 - 0.5"), ("num += 0.5", "num = num + 0.5"),
    ("pos += 3", "pos = pos + 3"), ("d += 1", "d = d + 1"),
    ("d -= '1 day 3 hours'", "d = d - interval '1 day 3 hours'"),
    ("tm += '1 hour'", "tm = tm + interval '1 hour'"),
    ("tmz -= '1 hour'", "tmz = tmz - interval '1 hour'"),
    ("ts += '1 hour'", "ts = ts + interval '1 hour'"),
    ("tsz -= 1 iv += 1", "tsz = tsz - interval '1', iv = iv + interval '1'"),
    ("r += [5,9)", "r = r + '[5,9)'"), ("r -= [1,3)", "r = r - '[1,3)'"),
    ("jb ||= '{\"z\": 0}'", "jb = jb || '{\"z\": 0}'"),
    ("vc ||= abc", "vc = vc || 'abc'"), ("ch ||= x", "ch = ch || 'x'"),
    ("n ||= x", "n = n || 'x'"), ("ints ||= {7,8}", "ints = ints || '{7,8}'"),
    ("nested ||= '{{3,4}}'", "nested = nested || '{{3,4}}'"),
    ("t ||= ''", "t = t || ''")]


@pytest.mark.parametrize("given, sql", KINDS)
def test_what_comes_on_top_of_each_type(awkward, given, sql):
    assert_row(awkward, "kinds", f"UPDATE kinds 1 SET {given}",
               f"UPDATE kinds SET {sql} WHERE id = 1")


def test_what_cannot_come_on_top(awkward):
    """An operator that is not there, or a value that no longer fits."""
    given = ["t += x", "yes += t", "j ||= {}", "bits ||= 1", "u += 1",
             "i2 += 1", "pos -= 5", "vc ||= 'too long'"]
    before = awkward.rows("SELECT * FROM kinds WHERE id = 1")
    for each in given:		# some are tried again with a newer catalog
        awkward.client.send(f"@{each}",
                            *words(f"UPDATE kinds 1 SET {each}"))
    errors = [awkward.client.tag(each) for each in given]
    assert all(isinstance(error, LkError) for error in errors), errors
    assert [error.sqlstate for error in errors[-3:]] == ["22003", "23514",
                                                         "22001"]
    assert awkward.rows("SELECT * FROM kinds WHERE id = 1") == before


def test_bytes_come_on_top_of_bytes(awkward):
    with awkward.tx() as tx:
        row = awkward.client.call(tx, "UPDATE", "kinds", 1, "SET", "by", "||=",
                                  b"\0\xfe", "bl", "||=", b"\xfd")
        assert row["by"] == b"\0\xff\r\n'\0\xfe".decode("utf-8",
                                                      "surrogateescape")
        assert row["bl"] == b"\0\xfd".decode("utf-8", "surrogateescape")


# -- UPSERT

@pytest.mark.parametrize("name", ["a", "new"])
@pytest.mark.parametrize("given, columns, values, found", [
    ("n = 5", "n", "5", "n = 5"), ("n += 5", "n", "5", "n = c.n + 5"),
    ("n += 5 log ||= y", "n, log", "5, 'y'",
     "n = c.n + 5, log = c.log || 'y'"),
    ("n = 1 tags ||= {u} doc ||= '{\"b\": 2}'", "n, tags, doc",
     "1, '{u}', '{\"b\": 2}'",
     "n = 1, tags = c.tags || '{u}', doc = c.doc || '{\"b\": 2}'"),
    ("n = 1 log TO NULL tags TO DEFAULT", "n, log, tags", "1, NULL, DEFAULT",
     "n = 1, log = NULL, tags = DEFAULT"),
    ("n = 1 log = _", "n, log", "1, NULL", "n = 1, log = NULL")])
def test_upsert_inserts_or_adds(counters, name, given, columns, values, found):
    assert_row(
        counters, "counter", f"UPSERT counter name = {name} {given}",
        f"""INSERT INTO counter AS c (name, {columns})
        VALUES ('{name}', {values}) ON CONFLICT (name) DO UPDATE
        SET {found}""")


def test_upsert_of_nothing_but_the_key_returns_the_row(pagila, awkward):
    film = pagila.ask("GET film_actor 6 13")
    with pagila.tx() as tx:
        row = pagila.ask(f"{tx} UPSERT film_actor film_id = 13 actor_id = 6")
        assert timeless([row]) == timeless([film])
        assert pagila.ask(f"{tx} UPSERT film_actor film_id = 14 actor_id = 6 "
                          "ON film_id,actor_id")["film_id"] == 14
    with awkward.tx() as tx:
        assert awkward.ask(f"{tx} UPSERT words word = IF") == {
            "word": "IF", "n": 0}


def test_upsert_by_another_key(awkward, pagila):
    with awkward.tx() as tx:
        assert awkward.ask(f"{tx} UPSERT tag name = x n = 1 weight += 0.5 "
                           "ON name") == {"name": "x", "n": 1, "weight": 0.5}
        assert awkward.ask(f'{tx} UPSERT tag n = 2 weight += 0.5 name = x '
                           'ON "name"') == {"name": "x", "n": 2, "weight": 1.0}
        row = awkward.ask(f"{tx} UPSERT shop.customers name = 'customer 3' "
                          "boss_id = 9 ON name")
        assert row == {"id": 3, "name": "customer 3", "boss_id": 9}
    with pagila.tx() as tx:
        rental = pagila.ask("GET rental 70")
        row = pagila.client.call(
            tx, "UPSERT", "rental", "rental_date", "=", rental["rental_date"],
            "inventory_id", "=", rental["inventory_id"], "customer_id", "=",
            rental["customer_id"], "staff_id", "=", 3, "ON",
            "customer_id,rental_date,inventory_id")
        assert (row["rental_id"], row["staff_id"]) == (70, 3)


def test_upsert_of_many_at_once_adds_up(counters):
    """Whoever comes first inserts."""
    clients = [counters.daemon.connect() for _ in range(8)]
    for _ in range(5):
        for c in clients:
            c.send("UPSERT", "counter", "name", "=", "c", "n", "+=", "1")
    got = sorted(c.recv()["n"] for _ in range(5) for c in clients)
    assert got == list(range(1, 41))
    assert counters.value("SELECT n FROM counter WHERE name = 'c'") == 40
    for c in clients:
        c.close()


# -- what is done outside a transaction stays

def test_outside_a_transaction_it_is_done(counters):
    ask = counters.ask
    assert ask("CREATE counter name = z n = 1")["n"] == 1
    assert counters.value("SELECT n FROM counter WHERE name = 'z'") == 1
    assert ask("UPDATE counter z SET n += 4")["n"] == 5
    assert ask("UPSERT counter name = z n += 4")["n"] == 9
    assert ask("UPDATEALL counter SET n += 1 WHERE name = z") == 1
    assert counters.value("SELECT n FROM counter WHERE name = 'z'") == 10
    assert ask("CREATEMANY counter 2 name n y 1 x 2") == 2
    assert ask("DELETE counter z") == 1
    assert ask("DELETEALL counter WHERE name IN 2 x y") == 2
    assert counters.value("SELECT count(*) FROM counter") == 2
