"""LOAD: related rows as SQL's joins give them, by one statement each."""
import pytest

from orm import words

# A way from a row, and the rows at its end: of film 5 unless it says another.
MANY = [
    ("film 5 actor", """SELECT a.* FROM actor a JOIN film_actor
     USING (actor_id) WHERE film_id = 5""", "actor_id"),
    ("film 5 film_actor", "SELECT * FROM film_actor WHERE film_id = 5",
     "actor_id"),
    ("film 5 category", """SELECT c.* FROM category c JOIN film_category
     USING (category_id) WHERE film_id = 5""", "category_id"),
    ("film 5 inventory", "SELECT * FROM inventory WHERE film_id = 5",
     "inventory_id"),
    ("actor 7 film", """SELECT f.* FROM film f JOIN film_actor USING (film_id)
     WHERE actor_id = 7""", "film_id"),
    ("category 3 film", """SELECT f.* FROM film f JOIN film_category
     USING (film_id) WHERE category_id = 3""", "film_id"),
    ("language 2 film_by_language_id",
     "SELECT * FROM film WHERE language_id = 2", "film_id"),
    ("language 2 film_by_original_language_id",
     "SELECT * FROM film WHERE original_language_id = 2", "film_id"),
    ("customer 9 rental", "SELECT * FROM rental WHERE customer_id = 9",
     "rental_id"),
    ("customer 9 payment", "SELECT * FROM payment WHERE customer_id = 9",
     "payment_date"),
    ("country 4 city", "SELECT * FROM city WHERE country_id = 4", "city_id"),
    ("staff 1 payment", "SELECT * FROM payment WHERE staff_id = 1",
     "payment_date"),
    ("store 1 staff", "SELECT * FROM staff WHERE store_id = 1", "staff_id"),
    ("store 2 customer", "SELECT * FROM customer WHERE store_id = 2",
     "customer_id")]
ONE = [
    ("film 5 language", """SELECT l.* FROM language l JOIN film
     USING (language_id) WHERE film_id = 5"""),
    ("film 13 original_language", """SELECT l.* FROM language l JOIN film f
     ON l.language_id = original_language_id WHERE film_id = 13"""),
    ("film_actor 6 13 film", "SELECT * FROM film WHERE film_id = 13"),
    ("city 8 country", """SELECT * FROM country WHERE country_id = (
     SELECT country_id FROM city WHERE city_id = 8)"""),
    ("store 1 manager_staff", "SELECT * FROM staff WHERE staff_id = 1"),
    ("staff 2 store", "SELECT * FROM store WHERE store_id = 2"),
    ("staff 2 store_by_manager_staff_id",
     "SELECT * FROM store WHERE manager_staff_id = 2"),
    ("rental 70 customer", """SELECT * FROM customer WHERE customer_id = (
     SELECT customer_id FROM rental WHERE rental_id = 70)""")]
NONE = ["film 5 original_language", "film 0 language",
        "staff 3 store_by_manager_staff_id"]


def assert_one_statement(both, line):
    """The reply; that it took one statement."""
    sent = both.statements()
    reply = both.ask(line)
    assert sent() == 1
    return reply


@pytest.mark.parametrize("way, sql, order", MANY)
def test_many_rows(pagila, way, sql, order):
    rows = pagila.rows(f"{sql} ORDER BY {order}")
    assert rows
    line = f"LOAD {way} ORDER {order}"
    assert assert_one_statement(pagila, line) == rows
    unordered = assert_one_statement(pagila, f"LOAD {way}")
    assert sorted(map(repr, unordered)) == sorted(map(repr, rows))
    assert pagila.ask(f"LOAD {way} ORDER -{order} LIMIT 2 OFFSET 1") == \
        rows[::-1][1:3]
    last = pagila.ask(f"{line} FIELDS {order}")[-1][order]
    assert pagila.client.call(*words(f"LOAD {way} WHERE {order} ="), last) == [
        row for row in rows if row[order] == last]


@pytest.mark.parametrize("way, sql", ONE)
def test_one_row(pagila, way, sql):
    row, = pagila.rows(sql)
    assert assert_one_statement(pagila, f"LOAD {way}") == row
    first = next(iter(row))
    assert pagila.ask(f"LOAD {way} FIELDS {first}") == {first: row[first]}
    assert pagila.ask(f"LOAD {way} WHERE {first} = {row[first]}") == row
    assert pagila.ask(f"LOAD {way} WHERE {first} < 0") is None
    table = pagila.ask(f"=table LOAD {way}")
    assert table["rows"] == [list(row.values())]


@pytest.mark.parametrize("way", NONE)
def test_no_row(pagila, way):
    assert assert_one_statement(pagila, f"LOAD {way}") is None


def test_no_rows(pagila):
    for way in ("film 0 actor", "film 197 category", "language 2 film_by_"
                "original_language_id WHERE film_id < 0"):
        assert pagila.ask(f"LOAD {way}") == []
        assert pagila.ask(f"=table LOAD {way}")["rows"] == []


def test_clauses_as_finds(pagila):
    assert pagila.ask(
        "LOAD actor 7 film WHERE language.name = English OR length IS NULL "
        "ORDER -length,title FIELDS title,length OFFSET 1 LIMIT 3") == \
        pagila.rows("""SELECT title, length FROM film f JOIN film_actor
            USING (film_id) WHERE actor_id = 7
            AND (language_id = 1 OR length IS NULL)
            ORDER BY length DESC, title, film_id LIMIT 3 OFFSET 1""")


def test_pages_of_a_relation(pagila):
    rows = pagila.rows("""SELECT rental_id, return_date FROM rental
        WHERE customer_id = 9 ORDER BY return_date DESC, rental_id DESC""")
    got, after = [], []
    while len(got) < len(rows):
        page = pagila.client.call(
            "LOAD", "customer", 9, "rental", "ORDER", "-return_date", *after,
            "LIMIT", 3, "FIELDS", "rental_id,return_date")
        assert page
        got += page
        after = ["AFTER", got[-1]["return_date"], got[-1]["rental_id"]]
    assert got == rows
    assert pagila.client.call("LOAD", "customer", 9, "rental", "ORDER",
                              "-return_date", *after) == []


def test_rows_are_locked_as_finds(pagila):
    with pagila.tx() as tx:
        locked = pagila.ask(f"{tx} LOAD film 5 actor FOR UPDATE")
        other = pagila.daemon.connect()
        with_other = f"#{other.call('BEGIN')}"
        for row in locked:
            other.fails("LOCKTIMEOUT", "?0", with_other, "GET", "actor",
                        row["actor_id"], "FOR", "SHARE")
            other.call(with_other, "ROLLBACK")
            with_other = f"#{other.call('BEGIN')}"
        assert other.call(with_other, "LOAD", "film", 5, "actor", "FOR",
                          "UPDATE", "SKIP", "LOCKED") == []
        # Nor is the row at which it began, nor those between.
        assert other.call(with_other, "GET", "film", 5, "FOR", "UPDATE",
                          "NOWAIT")
        assert len(other.call(
            with_other, "FIND", "film_actor", "WHERE", "film_id", "=", 5,
            "FOR", "UPDATE", "NOWAIT")) == len(locked)
        other.close()
    pagila.fails("SYNTAX", "LOAD film 5 actor FOR UPDATE")


@pytest.mark.parametrize("way, sql", [
    ("book 'isbn 1' shelf_by_room_shelf_no",
     "SELECT * FROM shelf WHERE (room, no) = (1, 'b')"),
    ("book 'isbn 4' shelf_by_room_shelf_no", None),
    ("book 'isbn 5' sequel", "SELECT * FROM book WHERE isbn = 'isbn 6'"),
    ("book 'isbn 5' book", "SELECT * FROM book WHERE isbn = 'isbn 4'"),
    ("shop.customers 4 boss", "SELECT * FROM shop.customers WHERE id = 2"),
    ("shop.orders 3 user", 'SELECT * FROM "user" WHERE id = 4'),
    ('"shop"."orders" 3 "user"', 'SELECT * FROM "user" WHERE id = 4')])
def test_one_row_by_odd_keys(awkward, way, sql):
    row = awkward.rows(sql)[0] if sql else None
    assert assert_one_statement(awkward, f"LOAD {way}") == row


@pytest.mark.parametrize("way, sql", [
    ("shelf 1 b book",
     "SELECT * FROM book WHERE (room, shelf_no) = (1, 'b') ORDER BY isbn"),
    ("shelf 1 b user", """SELECT u.* FROM "user" u JOIN shelf_user s
     ON u.id = s.user_id WHERE (room, no) = (1, 'b') ORDER BY id"""),
    ("user 2 shelf", """SELECT s.* FROM shelf s JOIN shelf_user
     USING (room, no) WHERE user_id = 2 ORDER BY room, no"""),
    ("shop.customers 2 customers",
     "SELECT * FROM shop.customers WHERE boss_id = 2 ORDER BY id")])
def test_many_rows_by_odd_keys(awkward, way, sql):
    rows = awkward.rows(sql)
    assert rows and assert_one_statement(
        awkward, f"LOAD {way} OFFSET 0") == rows


# -- how many statements

VERBS = [
    ("GET", "film 5"), ("GET", "film 0"), ("FIND", "film"),
    ("FIND", "rental WHERE inventory.film.language.name = English AND "
     "customer.address.city.country.country LIKE %a% ORDER "
     "staff.store.manager_staff.first_name LIMIT 10"),
    ("ONE", "film WHERE film_id = 5"), ("FIRST", "film ORDER -title"),
    ("COUNT", "film WHERE language.name = English"), ("EXISTS", "film"),
    ("CREATE", "language language_id = 90 name = Dutch"),
    ("CREATEMANY", "language 2 language_id name 91 Finnish 92 Polish"),
    ("UPDATE", "language 90 SET name = Flemish IF name = Dutch"),
    ("UPDATE", "language 0 SET name = Flemish"),
    ("UPSERT", "language language_id = 90 name = Frisian"),
    ("UPDATEALL", "language SET name = x WHERE language_id >= 90"),
    ("DELETEALL", "language WHERE language_id >= 91"),
    ("DELETE", "language 90"), ("DELETE", "language 0"),
    ("LOAD", "film 5 actor LIMIT never"),
    ("LOAD", "actor 5 film WHERE language.name = English")]


def assert_sent(both, verb, rest, n):
    sent = both.statements()
    reply = both.client.try_call(verb, *words(rest))
    assert sent() == n, reply


@pytest.mark.parametrize("verb, rest", VERBS)
def test_each_verb_is_one_statement(pagila, verb, rest):
    """None where it is refused before it is sent."""
    assert_sent(pagila, verb, rest, 0 if "never" in rest else 1)


def test_the_server_counts_the_same(pagila, schemas):
    if not schemas.has_preloaded():
        pytest.skip("no pg_stat_statements (Debian: it is in postgresql-15)")
    before = calls(pagila)
    for verb, rest in VERBS:
        pagila.client.try_call(verb, *words(rest))
    n = calls(pagila) - before
    assert n == len([rest for _, rest in VERBS if "never" not in rest])


def calls(both):
    """Statements of the daemon's about the sample's tables."""
    return int(both.value("""SELECT coalesce(sum(calls), 0)
        FROM pg_stat_statements JOIN pg_database ON dbid = oid
        WHERE datname = current_database() AND query LIKE '%"public"."%'
        AND query !~ 'pg_catalog|pg_stat'"""))
