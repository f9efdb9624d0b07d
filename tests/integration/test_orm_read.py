"""GET, FIND, ONE, FIRST, COUNT, EXISTS: their clauses, and rows in each form,
compared with SQL's."""
import json

import pytest

from client import LkError, pairs
from orm import as_resp2

# Each table and view of the sample with what its rows are told apart by.
MODELS = {
    "actor": "actor_id", "category": "category_id", "country": "country_id",
    "city": "city_id", "address": "address_id", "language": "language_id",
    "film": "film_id", "film_actor": "actor_id, film_id",
    "film_category": "film_id, category_id", "store": "store_id",
    "staff": "staff_id", "customer": "customer_id",
    "inventory": "inventory_id", "rental": "rental_id",
    "payment": "payment_date, payment_id",
    "packages_apt_postgresql_org": None, "customer_list": None,
    "film_list": None, "staff_list": None, "sales_by_store": None,
    "english_film": None, "rental_by_category": None}
FIRST_COLUMN = {"packages_apt_postgresql_org": "last_updated",
                "customer_list": "id", "film_list": "fid", "staff_list": "id",
                "sales_by_store": "store", "english_film": "film_id",
                "rental_by_category": "category"}


def order(model):
    return MODELS[model] or FIRST_COLUMN[model]


def columns(rows):
    return [list(row) for row in rows]


@pytest.mark.parametrize("model", MODELS)
def test_find_gives_all_rows_with_all_columns(pagila, model):
    found = pagila.ask(f"FIND {model} ORDER {order(model).replace(' ', '')}")
    rows = pagila.rows(f"SELECT * FROM {model} ORDER BY {order(model)}")
    assert found == rows
    assert columns(found) == columns(rows)
    assert pagila.ask(f"COUNT {model}") == len(rows) > 0
    assert pagila.ask(f"EXISTS {model}") is True
    unordered = pagila.ask(f"FIND {model}")
    assert sorted(map(repr, unordered)) == sorted(map(repr, rows))


@pytest.mark.parametrize("model", [m for m, key in MODELS.items() if key])
def test_get_and_first_and_one_find_each_by_its_key(pagila, model):
    rows = pagila.rows(f"SELECT * FROM {model} ORDER BY {order(model)}")
    key = order(model).split(", ")
    for row in rows[:3] + rows[-3:]:
        values = [row[column] for column in key]
        assert pagila.client.call("GET", model, *values) == row
        where = ["WHERE"]
        for column, value in zip(key, values):
            where += [column, "=", value, "AND"]
        assert pagila.client.call("ONE", model, *where[:-1]) == row
        assert pagila.client.call("FIRST", model, *where[:-1]) == row
    assert pagila.ask(f"FIRST {model}") == rows[0]
    assert pagila.ask(f"FIRST {model} OFFSET 2") == (rows + [None] * 2)[2]


@pytest.mark.parametrize("line, expected", [
    ("GET film 0", None), ("GET film -1", None), ("GET film 2147483647", None),
    ("GET film_actor 0 0", None), ("FIRST film WHERE film_id < 0", None),
    ("FIND film WHERE film_id < 0", []), ("COUNT film WHERE film_id < 0", 0),
    ("EXISTS film WHERE film_id < 0", False), ("FIND film LIMIT 0", []),
    ("FIND film OFFSET 200", []), ("FIND film OFFSET 9223372036854775807", []),
    ("GET film ' 00007 ' FIELDS film_id", {"film_id": 7}),
    ("get film 7 fields film_id", {"film_id": 7}),
    ("GET public.film 7 FIELDS film_id", {"film_id": 7}),
    ('GET "film" 7 FIELDS "film_id"', {"film_id": 7}),
    ('GET "public"."film" 7 FIELDS film_id', {"film_id": 7})])
def test_there_is_none_or_another_spelling(pagila, line, expected):
    assert pagila.ask(line) == expected


def test_one_is_one(pagila):
    assert pagila.ask("ONE film WHERE film_id = 7")["film_id"] == 7
    none = pagila.fails("UNMET", "ONE film WHERE film_id = 0")
    many = pagila.fails("UNMET", "ONE film WHERE film_id > 0 ORDER film_id")
    assert none.sqlstate == many.sqlstate == "LK002"
    assert none.message != many.message
    assert pagila.ask("ONE film OFFSET 199 ORDER film_id")["film_id"] == 200


@pytest.mark.parametrize("clauses, sql", [
    ("ORDER film_id LIMIT 3", "ORDER BY film_id LIMIT 3"),
    ("LIMIT 3 ORDER -film_id", "ORDER BY film_id DESC LIMIT 3"),
    ("ORDER length OFFSET 190",
     "ORDER BY length, film_id LIMIT NULL OFFSET 190"),
    ("OFFSET 5 LIMIT 10 ORDER -length,title",
     "ORDER BY length DESC, title, film_id LIMIT 10 OFFSET 5"),
    ("WHERE rating = PG ORDER title,-length LIMIT 9",
     "WHERE rating = 'PG' ORDER BY title, length DESC, film_id DESC LIMIT 9"),
    ("ORDER rating,-original_language_id WHERE length < 60 OR length IS NULL",
     """WHERE length < 60 OR length IS NULL
     ORDER BY rating, original_language_id DESC, film_id DESC"""),
    ("ORDER language.name,-original_language.name,rental_rate LIMIT 50",
     """ORDER BY (SELECT name FROM language l
     WHERE l.language_id = film.language_id), (SELECT name FROM language l
     WHERE l.language_id = film.original_language_id) DESC, rental_rate,
     film_id LIMIT 50"""),
    ("ORDER film_id::text LIMIT 20",
     "ORDER BY film_id::text, film_id LIMIT 20"),
    ("ORDER special_features,film_id", "ORDER BY special_features, film_id"),
    ("LIMIT 5", "ORDER BY film_id LIMIT 5"),
    ("OFFSET 195", "ORDER BY film_id OFFSET 195")])
def test_order_limit_and_offset(pagila, clauses, sql):
    rows = pagila.rows(f"SELECT * FROM film {sql}")
    assert pagila.ask(f"FIND film {clauses}") == rows
    assert len(rows) > 1
    if "LIMIT" not in clauses:
        assert pagila.ask(f"FIRST film {clauses}") == rows[0]


@pytest.mark.parametrize("fields, sql", [
    ("title", "title"), ("title,film_id", "title, film_id"),
    ("rating,special_features,revenue_projection",
     "rating, special_features, revenue_projection"),
    ('"title","length"', "title, length"),
    ("title,title", 'title, title AS "title_2"')])
def test_fields_gives_just_those_in_that_order(pagila, fields, sql):
    for clauses, rest in (("", "ORDER BY film_id"),
                          ("WHERE length > 100", "WHERE length > 100 "
                           "ORDER BY film_id")):
        found = pagila.ask(f"FIND film ORDER film_id {clauses} FIELDS {fields}")
        rows = pagila.rows(f"SELECT {sql} FROM film {rest}")
        assert found == rows
        assert columns(found) == columns(rows)
    assert pagila.ask(f"GET film 5 FIELDS {fields}") == pagila.rows(
        f"SELECT {sql} FROM film WHERE film_id = 5")[0]


# -- forms of rows

QUESTIONS = [
    ("FIND film ORDER film_id LIMIT 12",
     "SELECT * FROM film ORDER BY film_id LIMIT 12"),
    ("FIND staff ORDER staff_id", "SELECT * FROM staff ORDER BY staff_id"),
    ("FIND rental ORDER -return_date LIMIT 5", """SELECT * FROM rental
     ORDER BY return_date DESC, rental_id DESC LIMIT 5"""),
    ("FIND film WHERE film_id < 0", "SELECT * FROM film WHERE false"),
    ("GET film 17", "SELECT * FROM film WHERE film_id = 17"),
    ("GET film 0", "SELECT * FROM film WHERE false"),
    ("FIRST staff WHERE active = false",
     "SELECT * FROM staff WHERE NOT active"),
    ("LOAD film 5 language",
     """SELECT l.* FROM film JOIN language l USING (language_id)
     WHERE film_id = 5""")]
KINDS = [("FIND kinds ORDER id", "SELECT * FROM kinds ORDER BY id"),
         ("GET kinds 1", "SELECT * FROM kinds WHERE id = 1"),
         ("ONE kinds WHERE id = 2", "SELECT * FROM kinds WHERE id = 2")]


def is_rows(line):
    return line.startswith("FIND")


def assert_forms(both, line, sql):
    """In maps, table and json, in RESP3 and RESP2."""
    rows, shown = both.rows(sql), both.session.columns
    expected = rows if is_rows(line) else rows[0] if rows else None
    assert both.ask(f"=maps {line}") == expected
    two = both.daemon.connect("2")
    said = two.call(*f"=maps {line}".split())
    assert as_texts(said) == as_texts(as_resp2(expected))
    table = both.ask(f"=table {line}")
    if rows or is_rows(line):
        assert table["columns"] == [name for name, _ in shown]
        assert table["types"] == both.column("SELECT format_type(oid, NULL) "
            f"FROM unnest(ARRAY[{', '.join(str(oid) for _, oid in shown)}]) "
            "WITH ORDINALITY AS o(oid, i) ORDER BY i")
        assert table["rows"] == [list(row.values()) for row in rows]
        flat = pairs(two.call(*f"=table {line}".split()))
        assert flat["columns"] == table["columns"]
        assert flat["types"] == table["types"]
        assert as_texts(flat["rows"]) == as_texts(as_resp2(table["rows"]))
    else:
        assert table is None
    texts = both.ask(f"=json {line}")
    assert two.call(*f"=json {line}".split()) == texts
    if not is_rows(line):
        texts = [texts] if texts is not None else []
    assert [list(json.loads(text)) for text in texts] == columns(rows)


def as_texts(value):
    """RESP2 has doubles as text, of a form that is not our concern here."""
    if isinstance(value, list):
        return [as_texts(v) for v in value]
    try:
        return repr(float(value)) if isinstance(value, (str, float)) else value
    except ValueError:
        return value


@pytest.mark.parametrize("line, sql", QUESTIONS)
def test_forms_of_the_samples_rows(pagila, line, sql):
    assert_forms(pagila, line, sql)


@pytest.mark.parametrize("line, sql", KINDS)
def test_forms_of_a_column_of_each_type(awkward, line, sql):
    assert_forms(awkward, line, sql)


def test_json_is_what_the_server_makes_of_the_row(pagila):
    rows = pagila.session.query("""SELECT to_jsonb(c) FROM city AS c
        ORDER BY city_id""")
    texts = pagila.ask("=json FIND city ORDER city_id FIELDS city,country_id,"
                       "city_id")
    for (row,), text in zip(rows, texts, strict=True):
        expected = json.loads(row)
        del expected["last_update"]
        assert json.loads(text) == expected


def test_counts_are_integers_and_exists_is_a_boolean_in_both_versions(pagila):
    two = pagila.daemon.connect("2")
    for c, true in ((pagila.client, True), (two, 1)):
        for form in ("=maps", "=table", "=json"):
            assert c.call(form, "COUNT", "film") == 200
            assert c.call(form, "EXISTS", "film") is true or \
                c.call(form, "EXISTS", "film") == true


def test_int8_may_be_text(awkward):
    c = awkward.daemon.connect("3", "INT8", "text")
    assert c.call("GET", "kinds", "1", "FIELDS", "i8,i2") == {
        "i8": "9223372036854775807", "i2": 32767}
    assert c.call("COUNT", "kinds") in (3, "3")


def test_no_database_but_its_own(pagila):
    assert pagila.ask("/main COUNT film") == 200
    pagila.fails("SYNTAX", "/other COUNT film")


# -- names

def test_models_of_any_name(awkward):
    for model, n in (("user", 12), ('"user"', 12), ("public.user", 12),
                     ("Order Items", 20), ('"Order Items"', 20),
                     ("words", 15), ("public.words", 15), ("shop.words", 1),
                     ('"shop"."words"', 1), ("shop.customers", 15),
                     ("Büro.Straße 1", 2), ('"Büro"."Straße 1"', 2),
                     ("heap", 3), ("tag", 0)):
        assert awkward.client.call("COUNT", model) == n, model
    none = ("User", "order items", "customers", "Straße 1", "shop",
            "shop.user", "büro.straße 1", '"user', "user; --", "", "public",
            "pg_class", "pg_catalog.pg_class")
    for model in none:		# all wait for one reading of the catalog
        awkward.client.send("COUNT", model)
    for model in none:
        error = awkward.client.recv()
        assert isinstance(error, LkError), model
        assert error.kind in ("NOMODEL", "SYNTAX"), error


def test_keys_that_are_words(awkward):
    for word in awkward.column("SELECT word FROM words"):
        row = {"word": word, "n": 0}
        assert awkward.client.call("GET", "words", word) == row
        assert awkward.client.call("GET", "words", word, "FIELDS", "n") == {
            "n": 0}


def test_keys_of_several_columns_with_odd_names(awkward):
    for row in awkward.rows('SELECT * FROM "Order Items"'):
        assert awkward.client.call(
            "GET", "Order Items", row["Order No"], row['item "no"']) == row
    rows = awkward.rows("""SELECT "a.b", "com,ma", "-minus", "Ünïcode ☃"
        FROM "Order Items" ORDER BY "-minus" DESC, "com,ma" """)
    assert rows == awkward.client.call(
        "FIND", "Order Items", "ORDER", '-"-minus","com,ma"', "FIELDS",
        'a.b,"com,ma","-minus",Ünïcode ☃')
