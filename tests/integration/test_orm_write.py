"""CREATE, CREATEMANY, UPDATE, DELETE, UPDATEALL, DELETEALL: each replies with,
and leaves, what the same statement in SQL does."""
import pytest

from client import LkError, bad
from orm import as_resp2, words
from twice import NOW, assert_count, assert_nothing, assert_row

# -- CREATE

FILM = "film_id = 900 title = X language_id = 1"
CREATE = [
    ("language", "language_id = 90 name = Dutch", "(90, 'Dutch')",
     "language_id, name"),
    ("film", FILM, "(900, 'X', 1)", "film_id, title, language_id"),
    ("film", f"{FILM} rating = PG-13 release_year = 2011 rental_rate = 0.99 "
     "special_features = '{Trailers,\"Deleted Scenes\",NULL}' length = _",
     "(900, 'X', 1, 'PG-13', 2011, 0.99, "
     "'{Trailers,\"Deleted Scenes\",NULL}', NULL)",
     "film_id, title, language_id, rating, release_year, rental_rate, "
     "special_features, length"),
    ("film", f"{FILM} rating TO NULL rental_rate TO DEFAULT length TO NULL "
     "description = NULL", "(900, 'X', 1, NULL, DEFAULT, NULL, 'NULL')",
     "film_id, title, language_id, rating, rental_rate, length, description"),
    ("film", f"{FILM} revenue_projection TO DEFAULT",
     "(900, 'X', 1, DEFAULT)",
     "film_id, title, language_id, revenue_projection"),
    ("film", f"{FILM} description = ''", "(900, 'X', 1, '')",
     "film_id, title, language_id, description"),
    ("film", f"{FILM} description = '; DROP TABLE film; --'",
     "(900, 'X', 1, '; DROP TABLE film; --')",
     "film_id, title, language_id, description"),
    ("film_actor", "actor_id = 1 film_id = 200", "(1, 200)",
     "actor_id, film_id"),
    ("payment", "payment_id = 9000 customer_id = 1 staff_id = 1 rental_id = 1 "
     "amount = 5 payment_date = '2022-02-03 04:05:06.789+01'",
     "(9000, 1, 1, 1, 5, '2022-02-03 04:05:06.789+01')",
     "payment_id, customer_id, staff_id, rental_id, amount, payment_date")]


@pytest.mark.parametrize("model, given, values, columns", CREATE)
def test_create(pagila, model, given, values, columns):
    assert_row(pagila, model, f"CREATE {model} {given}",
               f"INSERT INTO {model} ({columns}) VALUES {values}")


def test_create_gives_the_key_that_the_server_has_made(pagila):
    with pagila.tx() as tx:
        row = pagila.ask(f"{tx} CREATE actor first_name = A last_name = B")
        assert row["actor_id"] > 60
        assert pagila.client.call(tx, "GET", "actor", row["actor_id"]) == row
        film = pagila.ask(f"{tx} CREATE film title = X language_id = 1")
        assert film["revenue_projection"] == "14.97"
        assert film["fulltext"] == "'x':1"


def test_a_table_without_columns_has_rows_all_the_same(db, lockkeeperd):
    db.sql("CREATE TABLE empty (); INSERT INTO empty DEFAULT VALUES")
    c = lockkeeperd().connect()
    assert c.call("FIND", "empty") == [{}] and c.call("FIRST", "empty") == {}
    assert c.call("=table", "FIND", "empty") == {
        "columns": [], "types": [], "rows": [[]]}
    assert "INSERT" in c.fails("SYNTAX", "CREATE", "empty")
    assert "it has none" in c.fails("NOCOLUMN", "CREATE", "empty", "a", "=", 1)
    assert c.call("DELETEALL", "empty", "WHERE", "ALL") == 1
    assert c.call("COUNT", "empty") == 0


def test_create_of_defaults_alone(awkward):
    with awkward.tx() as tx:
        row = awkward.ask(f"{tx} CREATE tag")
        assert row == {"name": None, "n": None, "weight": None}


def test_bytes_and_texts_are_stored_as_they_are(awkward):
    every = bytes(range(256)) * 3
    text = "".join(map(chr, [*range(1, 0x300), 0x2603, 0x1f600]))
    with awkward.tx() as tx:
        row = awkward.client.call(tx, "CREATE", "kinds", "id", "=", 9, "by",
                                  "=", every, "bl", "=", every, "t", "=", text)
        assert row["by"] == every.decode("utf-8", "surrogateescape")
        assert row["bl"] == row["by"]
        assert row["t"] == text
        shown = awkward.client.call(
            tx, "SQL", "SELECT encode(by, 'hex') AS a, encode(bl, 'hex') AS b,"
            " encode(convert_to(t, 'UTF8'), 'hex') AS t FROM kinds "
            "WHERE id = 9")
        assert shown == [{"a": every.hex(), "b": every.hex(),
                          "t": text.encode().hex()}]


def test_every_type_goes_in_as_it_came_out(awkward):
    """What a row has been read as can be written."""
    for i in (1, 2):
        before = awkward.client.call("=json", "GET", "kinds", i)
        cells = awkward.session.query(f"SELECT * FROM kinds WHERE id = {i}")[0]
        given = []
        for (name, oid), text in zip(awkward.session.columns, cells):
            if name != "id":
                given += [name, "=", bytes.fromhex(text[2:])
                          if oid == 17 or name == "bl" else text]
        with awkward.tx() as tx:
            row = awkward.client.call(tx, "CREATE", "kinds", "id", "=", 10 + i,
                                      *given)
            assert row == awkward.ask(f"GET kinds {i}") | {"id": 10 + i}
            after = awkward.client.call(tx, "=json", "GET", "kinds", 10 + i)
            assert after == before.replace(f'"id":{i}', f'"id":{10 + i}') \
                != before
            many = [word for word in given[2::3]]
            assert awkward.client.call(
                tx, "CREATEMANY", "kinds", len(many) + 1, "id", *given[::3],
                20, *many, 21, *many) == 2
            for j in (20, 21):
                assert awkward.client.call(tx, "GET", "kinds", j) == \
                    row | {"id": j}


def test_create_beyond_the_search_path(awkward):
    with awkward.tx() as tx:
        row = awkward.ask(f"{tx} CREATE shop.customers name = x boss_id = 3")
        assert (row["name"], row["boss_id"]) == ("x", 3) and row["id"] > 15
        row = awkward.client.call(tx, "CREATE", "Order Items", '"Order No"',
                                  "=", 50, 'item "no"', "=", "a", '"="', "=",
                                  7, "naïve", "=", "ü")
        assert (row["="], row["naïve"], row["Ünïcode ☃"]) == (
            7, "ü", "snow")
    error = awkward.fails("PG", "CREATE shop.customers name = x id = 5")
    assert error.sqlstate == "428C9"


# -- CREATEMANY

def test_createmany(pagila):
    assert_count(
        pagila, "language",
        "CREATEMANY language 2 language_id name 90 Dutch 91 'A B' 92 NULL",
        """INSERT INTO language (language_id, name)
        VALUES (90, 'Dutch'), (91, 'A B'), (92, 'NULL')""")
    assert_count(
        pagila, "address", "CREATEMANY address 6 address_id address district "
        "city_id phone postal_code 900 a b 1 c _ 901 d e 2 f g",
        """INSERT INTO address (address_id, address, district, city_id, phone,
        postal_code) VALUES (900, 'a', 'b', 1, 'c', NULL),
        (901, 'd', 'e', 2, 'f', 'g')""")


@pytest.mark.parametrize("tail, sqlstate", [
    ("1 A", "23505"), ("92 _", "23502"), ("90 A", "23505"),
    ("93 'too long a name for twenty'", "22001")])
def test_createmany_is_all_or_nothing(pagila, tail, sqlstate):
    before = pagila.rows("SELECT * FROM language ORDER BY 1")
    error = pagila.try_ask(
        f"CREATEMANY language 2 language_id name 90 A 91 B {tail}")
    assert isinstance(error, LkError) and error.sqlstate == sqlstate
    assert pagila.rows("SELECT * FROM language ORDER BY 1") == before


def test_createmany_of_thousands(awkward):
    with awkward.tx() as tx:
        values = [v for i in range(20000) for v in (i, f"text {i}")]
        assert awkward.client.call(tx, "CREATEMANY", "heap", 2, "a", "b",
                                   *values) == 20000
        assert awkward.client.call(
            tx, "SQL", "SELECT count(*) AS n, sum(a) AS a, max(b) AS b "
            "FROM heap") == [{"n": 20003, "a": 199990002, "b": "x"}]


# -- UPDATE

UPDATE = [
    ("film", "5", "title = Y", "title = 'Y'"),
    ("film", "5", "length += 5 rental_rate -= 0.5",
     "length = length + 5, rental_rate = rental_rate - 0.5"),
    ("film", "5", "title ||= ' II' description ||= '!'",
     "title = title || ' II', description = description || '!'"),
    ("film", "5", "special_features ||= {Trailers}",
     "special_features = special_features || '{Trailers}'"),
    ("film", "5", "rating = R release_year = 1999 original_language_id = 2",
     "rating = 'R', release_year = 1999, original_language_id = 2"),
    ("film", "5", "rating TO DEFAULT length TO NULL description = _",
     "rating = DEFAULT, length = NULL, description = NULL"),
    ("film", "5", "revenue_projection TO DEFAULT rental_duration = 7",
     "rental_duration = 7"),
    ("film", "5", "release_year += 1", "release_year = release_year + 1"),
    ("film", "13", "film_id = 913", "film_id = 913"),
    ("film_actor", "6 13", "film_id = 200", "film_id = 200"),
    ("rental", "70", "return_date += '1 day' rental_date -= '1 month 2 hours'",
     "return_date = return_date + interval '1 day', rental_date = "
     "rental_date - interval '1 month 2 hours'"),
    ("customer", "9", "create_date += 7", "create_date = create_date + 7"),
    ("customer", "9", "create_date -= '1 month'",
     "create_date = create_date - interval '1 month'"),
    ("staff", "1", "active = f password TO NULL",
     "active = false, password = NULL"),
    # From one partition to another.
    ("payment", "'2022-01-01 09:33:17.123456+00' 1",
     "amount += 1 payment_date += '2 months'",
     "amount = amount + 1, payment_date = payment_date + interval '2 months'")]
KEYS = {"film": ["film_id"], "film_actor": ["actor_id", "film_id"],
        "rental": ["rental_id"], "customer": ["customer_id"],
        "staff": ["staff_id"], "payment": ["payment_date", "payment_id"],
        "language": ["language_id"]}


def where(model, key):
    return " AND ".join(f"{column} = $q${value}$q$"
                        for column, value in zip(KEYS[model], words(key)))


@pytest.mark.parametrize("model, key, given, sql", UPDATE)
def test_update(pagila, model, key, given, sql):
    assert_row(pagila, model, f"UPDATE {model} {key} SET {given}",
               f"UPDATE {model} SET {sql} WHERE {where(model, key)}")


CONDITIONS = [
    ("length > 10", "length > 10"), ("length < 10", "length < 10"),
    ("rating = PG OR length > 10", "rating = 'PG' OR length > 10"),
    ("rating = XX", None), ("length IS NULL", "length IS NULL"),
    ("language.name = English", "language_id = 1"),
    ("language.name != English", "language_id <> 1"),
    ("original_language.name IS NULL", "original_language_id IS NULL"),
    ("NOT language.name IN 2 English Italian", "language_id > 2")]


@pytest.mark.parametrize("condition, sql", CONDITIONS)
def test_update_if_and_delete_if(pagila, condition, sql):
    for film in (197, 198, 199):
        line = f"UPDATE film {film} SET title ||= x IF {condition}"
        if sql is None:
            assert pagila.try_ask(line).sqlstate == "22P02"
            continue
        meets = pagila.value(f"""SELECT count(*) FROM film
            WHERE film_id = {film} AND ({sql})""")
        if meets:
            assert_row(pagila, "film", line, f"""UPDATE film
                SET title = title || 'x' WHERE film_id = {film}""")
        else:
            assert_nothing(pagila, "film", line)
        with pagila.tx() as tx:
            pagila.ask(f"{tx} DELETEALL film_actor WHERE film_id = {film}")
            assert pagila.ask(f"{tx} DELETE film {film} IF {condition}") == \
                meets
            assert pagila.ask(f"{tx} EXISTS film WHERE film_id = {film}") is \
                (not meets)


def test_nothing_to_update_or_delete(pagila):
    assert_nothing(pagila, "film", "UPDATE film 0 SET title = x")
    assert_nothing(pagila, "film_actor",
                   "UPDATE film_actor 1 0 SET film_id = 5")
    assert_count(pagila, "film", "DELETE film 0",
                 "DELETE FROM film WHERE false")


def test_keys_and_columns_that_are_words(awkward):
    for word in awkward.column("SELECT word FROM words"):
        with awkward.tx() as tx:
            c = awkward.client
            assert c.call(tx, "UPDATE", "words", word, "SET", "n", "+=", 3,
                          "IF", "n", "=", 0) == {"word": word, "n": 3}
            assert c.call(tx, "UPDATE", "words", word, "SET", "word", "=",
                          "x", "n", "=", 4) == {"word": "x", "n": 4}
            assert c.call(tx, "DELETE", "words", word) == 0
            assert c.call(tx, "CREATE", "words", "word", "=", word) == {
                "word": word, "n": 0}
            assert c.call(tx, "UPSERT", "words", "word", "=", word, "n", "+=",
                          5) == {"word": word, "n": 5}
            assert c.call(tx, "DELETE", "words", word, "IF", "n", "=",
                          5) == 1


@pytest.mark.parametrize("given, sql", [
    ('"order" = x "limit" = 5', "\"order\" = 'x', \"limit\" = 5"),
    ('order = SET set = 9 where = WHERE IF not = t',
     "\"order\" = 'SET', \"set\" = 9, \"where\" = 'WHERE'"),
    ('"in" += 1 all -= 1 null TO NULL on TO DEFAULT',
     "\"in\" = \"in\" + 1, \"all\" = \"all\" - 1, \"null\" = NULL, "
     "\"on\" = DEFAULT")])
def test_columns_that_are_called_as_words_are(awkward, given, sql):
    assert_row(awkward, "user", f"UPDATE user 4 SET {given}".replace(
        "IF not", 'IF "not"'), f'UPDATE "user" SET {sql} WHERE id = 4')


# -- DELETE, and rows by a condition

def test_delete(pagila):
    for key, sql in (("6 13", "(6, 13)"), ("1 0", "(1, 0)")):
        assert_count(pagila, "film_actor", f"DELETE film_actor {key}",
                     f"DELETE FROM film_actor WHERE (actor_id, film_id) = "
                     f"{sql}")
    assert_count(pagila, "payment",
                 "DELETE payment '2022-01-01 09:33:17.123456+00' 1",
                 "DELETE FROM payment WHERE payment_id = 1")


BY_CONDITION = [
    ("film", "title ||= ' II'", "title = title || ' II'",
     "rating = PG OR length IS NULL", "rating = 'PG' OR length IS NULL"),
    ("film", "rental_rate += 1 length TO NULL rating TO DEFAULT",
     "rental_rate = rental_rate + 1, length = NULL, rating = DEFAULT",
     "language.name = English", "language_id = 1"),
    ("film", "length = 5", "length = 5", "film_id IN 0", "false"),
    ("rental", "return_date = '2022-06-01 00:00Z'",
     "return_date = '2022-06-01 00:00Z'",
     "inventory.film.language.name = Japanese AND return_date IS NULL",
     """return_date IS NULL AND inventory_id IN (SELECT inventory_id
     FROM inventory JOIN film USING (film_id) WHERE language_id = 3)"""),
    ("payment", "amount -= 0.5", "amount = amount - 0.5",
     "customer.last_name LIKE SMITH%", """customer_id IN (SELECT customer_id
     FROM customer WHERE last_name LIKE 'SMITH%')"""),
    ("staff", "store_id = 1", "store_id = 1",
     "store_by_manager_staff_id.store_id = 2", "staff_id = 2"),
    ("film", "description = ALL", "description = 'ALL'", "ALL", "true")]


@pytest.mark.parametrize("model, given, setting, condition, sql", BY_CONDITION)
def test_updateall(pagila, model, given, setting, condition, sql):
    n = assert_count(
        pagila, model, f"UPDATEALL {model} SET {given} WHERE {condition}",
        f"UPDATE {model} SET {setting} WHERE {sql}")
    assert n > 0 or sql == "false"


@pytest.mark.parametrize("model, condition, sql", [
    ("film_actor", "actor.last_name LIKE O_HARA OR film_id < 9",
     """actor_id IN (SELECT actor_id FROM actor WHERE last_name = 'O''HARA')
     OR film_id < 9"""),
    ("payment", "rental.return_date IS NULL", """rental_id IN (SELECT rental_id
     FROM rental WHERE return_date IS NULL)"""),
    ("film_category", "ALL", "true"), ("payment", "all", "true"),
    ("film_actor", "film_id NOT IN 0", "true")])
def test_deleteall(pagila, model, condition, sql):
    assert assert_count(pagila, model, f"DELETEALL {model} WHERE {condition}",
                        f"DELETE FROM {model} WHERE {sql}") > 0


def test_a_column_that_is_called_all(awkward):
    assert_count(awkward, "user", "UPDATEALL user SET in = 5 WHERE all < 4",
                 'UPDATE "user" SET "in" = 5 WHERE "all" < 4')


def test_rows_without_a_key(awkward):
    assert_count(awkward, "heap", "UPDATEALL heap SET b = y WHERE a = 1",
                 "UPDATE heap SET b = 'y' WHERE a = 1")
    assert_count(awkward, "heap", "DELETEALL heap WHERE a = ",
                 "DELETE FROM heap WHERE a IS NULL", None)
    assert_count(awkward, "heap", "CREATEMANY heap 1 a 5",
                 "INSERT INTO heap (a) VALUES (5)")


def test_a_view_that_can_be_written_through(pagila):
    with pagila.tx() as tx:
        n = pagila.ask(f"{tx} UPDATEALL english_film SET title = X "
                       "WHERE length > 100")
        assert n == pagila.value("""SELECT count(*) FROM film
            WHERE language_id = 1 AND length > 100""") > 0
        assert pagila.ask(f"{tx} COUNT film WHERE title = X") == n
    assert pagila.try_ask(
        "DELETEALL film_list WHERE ALL").sqlstate == "55000"


# -- what is refused

REFUSED = [
    ("CREATE film title = X", "23502"),
    ("CREATE english_film title = X", "23502"),
    ("CREATE film title = X language_id = 99", "23503"),
    ("CREATE language language_id = 1 name = X", "23505"),
    ("CREATE film title = X language_id = 1 release_year = 1800", "23514"),
    ("CREATE film title = X language_id = 1 rating = XX", "22P02"),
    ("CREATE film title = X language_id = 1 rental_rate = 100", "22003"),
    ("CREATE film title = X language_id = 1 revenue_projection = 1", "428C9"),
    ("CREATE payment customer_id = 1 staff_id = 1 rental_id = 1 amount = 1 "
     "payment_date = 2030-01-01", "23514"),
    ("UPDATE film 5 SET title TO NULL", "23502"),
    ("UPDATE film 5 SET length += 32767", "22003"),
    ("UPDATE film 5 SET language_id = 99", "23503"),
    ("DELETE language 1", "23503"), ("DELETEALL film WHERE ALL", "23503")]


def test_what_the_server_refuses(pagila):
    """As for SQL, with the server's fields."""
    c = pagila.client
    for i, (line, _) in enumerate(REFUSED):
        c.send(f"@{i}", *words(line))
    errors = [bad("PG", c.tag(str(i))) for i in range(len(REFUSED))]
    for error, (line, sqlstate) in zip(errors, REFUSED):
        assert error.sqlstate == sqlstate, (line, error)
        with pagila.tx() as tx:
            error = bad("PG", c.try_call(tx, *words(line)))
            shown = c.call("SHOW", "error")
            assert shown["sqlstate"] == error.sqlstate == sqlstate
            if sqlstate in ("23502", "23503", "23505"):
                assert shown["table"] and (shown.get("column")
                                           or shown.get("constraint"))
            bad("TXABORTED", c.try_call(tx, "COUNT", "film"))


def test_resp2_has_the_same_rows(pagila):
    two = pagila.daemon.connect("2")
    handle = f"#{two.call('BEGIN')}"
    row = two.call(handle, "UPDATE", "staff", "1", "SET", "active", "=", "f")
    expected = as_resp2(pagila.ask("GET staff 1") | {"active": False})
    for got, wanted, name in zip(row[1::2], expected[1::2], expected[::2]):
        assert got == wanted or name in NOW
    assert two.call(handle, "UPDATE", "staff", "0", "SET", "active", "=",
                    "f") is None
    assert two.call(handle, "DELETE", "staff", "0") == 0
    two.call(handle, "ROLLBACK")
