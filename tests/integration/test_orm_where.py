"""Conditions: each finds the rows that the same question in SQL does."""
import pytest

KEYS = {"film": "film_id", "rental": "rental_id", "customer": "customer_id",
        "staff": "staff_id", "inventory": "inventory_id", "city": "city_id",
        "payment": "payment_id", "address": "address_id", "user": '"id"',
        "book": "isbn", "shop.orders": "id", "kinds": "id", "words": "word",
        "packages_apt_postgresql_org": "last_updated"}


def quoted(model):
    return ".".join(f'"{part}"' for part in model.split("."))


def assert_same(both, model, condition, sql, *more):
    """FIND, COUNT, EXISTS and SQL agree; returns the rows' keys."""
    key = KEYS[model]
    found = both.ask(f"FIND {model} ORDER {key} FIELDS {key} WHERE "
                     f"{condition}", *more)
    keys = [row[key.strip('"')] for row in found]
    assert keys == both.column(f"SELECT {key} FROM {quoted(model)} AS t "
                               f"WHERE {sql} ORDER BY {key}")
    assert both.ask(f"COUNT {model} WHERE {condition}", *more) == len(keys)
    assert both.ask(f"EXISTS {model} WHERE {condition}", *more) is bool(keys)
    return keys


def assert_some(both, model, condition, sql, *more):
    """The same, of a condition that some rows meet and others do not."""
    n = len(assert_same(both, model, condition, sql, *more))
    assert 0 < n < both.ask(f"COUNT {model}")


# -- operators

COMPARISONS = {"=": "=", "EQ": "=", "eq": "=", "!=": "<>", "<>": "<>",
               "NE": "<>", "<": "<", "LT": "<", "<=": "<=", "LE": "<=",
               ">": ">", "GT": ">", ">=": ">=", "GE": ">=", "Ge": ">="}

# A value in the middle of each column, of every kind of type.
MIDDLES = [("film", "film_id", "100"), ("film", "title", "GRAPES HEAD"),
           ("film", "rental_rate", "2.99"), ("film", "length", "95"),
           ("film", "release_year", "2005"), ("film", "rating", "PG-13"),
           ("film", "special_features", "{Commentaries,Deleted Scenes}"),
           ("rental", "rental_date", "2022-02-01 00:00:00+00"),
           ("rental", "return_date", "2022-02-01T00:00:00Z"),
           ("customer", "create_date", "2022-02-18"),
           ("staff", "active", "f"), ("staff", "active", "TRUE")]


@pytest.mark.parametrize("model, column, value", MIDDLES)
def test_comparisons(pagila, model, column, value):
    n = [len(assert_same(pagila, model, f"{column} {word} '{value}'",
                         f"{column} {operator} '{value}'"))
         for word, operator in COMPARISONS.items()]
    assert len(set(n)) > 2


@pytest.mark.parametrize("word, operator", COMPARISONS.items())
def test_comparisons_of_bpchar_ignore_its_blanks(pagila, word, operator):
    assert_some(pagila, "film", f"language.name {word} Italian",
                f"""(SELECT name FROM language l
                WHERE l.language_id = t.language_id) {operator} 'Italian'""")


FILMS = [
    ("title LIKE A%", "title LIKE 'A%'"),
    ("title like %EGG", "title LIKE '%EGG'"),
    ("title NOT LIKE A%", "title NOT LIKE 'A%'"),
    ("title ILIKE a%", "title ILIKE 'a%'"),
    ("title NOT ILIKE a%", "title NOT ILIKE 'a%'"),
    ("title LIKE __G%", "title LIKE '__G%'"),
    ("description LIKE %Epic%", "description LIKE '%Epic%'"),
    ("description IS NULL", "description IS NULL"),
    ("description IS NOT NULL", "description IS NOT NULL"),
    ("description = _", "description IS NULL"),
    ("description != _", "description IS NOT NULL"),
    ("description NE _", "description IS NOT NULL"),
    ("original_language_id is not null", "original_language_id IS NOT NULL"),
    ("film_id IN 3 1 2 3", "film_id IN (1, 2, 3)"),
    ("film_id IN 1 7", "film_id = 7"),
    ("film_id NOT IN 2 1 2", "film_id NOT IN (1, 2)"),
    ("rating IN 2 G R", "rating IN ('G', 'R')"),
    ("rating NOT IN 2 G R", "rating NOT IN ('G', 'R')"),
    ("NOT rating IN 2 G R", "NOT rating IN ('G', 'R')"),
    ("length BETWEEN 60 90", "length BETWEEN 60 AND 90"),
    ("length NOT BETWEEN 60 90", "length NOT BETWEEN 60 AND 90"),
    ("NOT length BETWEEN 60 90", "NOT length BETWEEN 60 AND 90"),
    ("rental_rate BETWEEN 1 2.99", "rental_rate BETWEEN 1 AND 2.99"),
    ("length BETWEEN 60 90 AND rating = PG",
     "length BETWEEN 60 AND 90 AND rating = 'PG'"),
    # What binds how.
    ("rating = PG OR rating = R AND length > 100",
     "rating = 'PG' OR rating = 'R' AND length > 100"),
    ("( rating = PG OR rating = R ) AND length > 100",
     "(rating = 'PG' OR rating = 'R') AND length > 100"),
    ("[ rating = PG OR rating = R ] AND length > 100",
     "(rating = 'PG' OR rating = 'R') AND length > 100"),
    ("length > 100 and [ rating = PG or ( rating = R and film_id < 90 ) ]",
     "length > 100 AND (rating = 'PG' OR (rating = 'R' AND film_id < 90))"),
    ("NOT rating = PG AND length > 100",
     "(NOT rating = 'PG') AND length > 100"),
    ("NOT ( rating = PG AND length > 100 )",
     "NOT (rating = 'PG' AND length > 100)"),
    ("NOT NOT rating = PG", "rating = 'PG'"),
    ("NOT [ NOT rating = PG OR length IS NULL ]",
     "NOT (NOT rating = 'PG' OR length IS NULL)"),
    ("NOT title NOT LIKE A%", "title LIKE 'A%'"),
    # Arrays.
    ("special_features @> {Trailers}", "special_features @> '{Trailers}'"),
    ("special_features @> '{\"Deleted Scenes\",Commentaries}'",
     "special_features @> '{Deleted Scenes,Commentaries}'"),
    ("special_features <@ '{Trailers,Commentaries,Deleted Scenes}'",
     "special_features <@ '{Trailers,Commentaries,Deleted Scenes}'"),
    ("special_features && '{Behind the Scenes,Trailers}'",
     "special_features && '{Behind the Scenes,Trailers}'"),
    ("special_features = {}", "special_features = '{}'"),
    ("NOT special_features && {Trailers}",
     "NOT special_features && '{Trailers}'"),
    # Casts.
    ("film_id::text LIKE 1%", "film_id::text LIKE '1%'"),
    ("rating::text LIKE PG%", "rating::text LIKE 'PG%'"),
    ("rental_rate::int = 3", "rental_rate::int = 3"),
    ("last_update::date = 2022-09-10 AND film_id ::text = 5",
     "last_update::date = '2022-09-10' AND film_id::text = '5'"),
    # The rows that a row leads to.
    ("language.name = English", "language_id = 1"),
    ("language.name != English", "language_id <> 1"),
    ("original_language.name = French", "original_language_id = 5"),
    # No row there is as a row of NULLs.
    ("original_language.name IS NULL", "original_language_id IS NULL"),
    ("NOT original_language.name = French",
     "NOT original_language_id = 5"),
    ("language.name = Italian AND original_language.name IS NOT NULL",
     "language_id = 2 AND original_language_id IS NOT NULL"),
    ("language.name LIKE %an%", """EXISTS (SELECT FROM language l WHERE
     l.language_id = t.language_id AND l.name LIKE '%an%')"""),
]


@pytest.mark.parametrize("condition, sql", FILMS)
def test_films(pagila, condition, sql):
    assert_some(pagila, "film", condition, sql)


FURTHER = [
    ("rental", "inventory.film.title = 'EGG BEVERLY'", """inventory_id IN (
     SELECT inventory_id FROM inventory JOIN film USING (film_id)
     WHERE title = 'EGG BEVERLY')"""),
    ("rental", "inventory.film.language.name = Japanese AND "
     "customer.address.city.country.country = Réunion", """EXISTS (
     SELECT FROM inventory i JOIN film USING (film_id), customer c
     JOIN address USING (address_id) JOIN city USING (city_id)
     JOIN country USING (country_id) WHERE i.inventory_id = t.inventory_id
     AND c.customer_id = t.customer_id AND language_id = 3
     AND country = 'Réunion')"""),
    ("rental", "staff.store.manager_staff.first_name = Mike",
     "staff_id IN (SELECT staff_id FROM staff WHERE store_id = 1)"),
    # The other way, where there can be one at most.
    ("staff", "store_by_manager_staff_id.store_id = 2", "staff_id = 2"),
    ("staff", "store_by_manager_staff_id.store_id IS NULL", "staff_id = 3"),
    ("staff", "picture = _ OR picture IS NOT NULL AND active = f",
     "picture IS NULL OR picture IS NOT NULL AND NOT active"),
    ("payment", "amount > 5 AND rental.customer.last_name LIKE SMITH%",
     """amount > 5 AND customer_id IN (SELECT customer_id FROM customer
     WHERE last_name LIKE 'SMITH%')"""),
    ("payment", "payment_date < 2022-01-15", "payment_date < '2022-01-15'"),
    ("address", "address2 = ''", "address2 = ''"),
    ("address", "postal_code IS NULL OR city.country.country = India",
     """postal_code IS NULL OR city_id IN (SELECT city_id FROM city
     JOIN country USING (country_id) WHERE country = 'India')"""),
]


@pytest.mark.parametrize("model, condition, sql", FURTHER)
def test_ways_over_several_tables(pagila, model, condition, sql):
    assert_some(pagila, model, condition, sql)


PACKAGES = [
    ("aptdata->>Package = libpq5", "aptdata->>'Package' = 'libpq5'"),
    ("aptdata ->> Package = libpq5", "aptdata->>'Package' = 'libpq5'"),
    ("aptdata->>Package LIKE pg%", "aptdata->>'Package' LIKE 'pg%'"),
    ("aptdata->Size = 187", "aptdata->'Size' = '187'"),
    ("aptdata->Essential = true", "aptdata->'Essential' = 'true'"),
    ("aptdata->>Essential::bool = true AND aptdata ->> Size ::int4 > 5",
     "(aptdata->>'Essential')::bool AND (aptdata->>'Size')::int > 5"),
    ("aptdata->>Size = big OR aptdata->>Size::int < 1000",
     "last_updated IN ('2022-10-02+0', '2022-10-03+0')"),
    ("aptdata->Maintainer->>name = Debian",
     "aptdata->'Maintainer'->>'name' = 'Debian'"),
    ("aptdata -> Maintainer -> 'a b' ->> 0 = nought",
     "aptdata->'Maintainer'->'a b'->>'0' = 'nought'"),
    ("aptdata->0 = 1", "aptdata->0 = '1'"),
    ("aptdata->1->>two = 2", "aptdata->1->>'two' = '2'"),
    ("aptdata->-1 = '\"three\"'", "aptdata->-1 = '\"three\"'"),
    ("aptdata ? Essential", "aptdata ? 'Essential'"),
    ("NOT aptdata ? Essential", "NOT aptdata ? 'Essential'"),
    ("aptdata->Depends ? libc6", "aptdata->'Depends' ? 'libc6'"),
    ("aptdata->Depends @> '[\"libpq5\"]'",
     "aptdata->'Depends' @> '[\"libpq5\"]'"),
    ("aptdata @> '{\"Size\": 187}'", "aptdata @> '{\"Size\": 187}'"),
    ("aptdata <@ '[1, 2, {\"two\": 2}, \"three\"]'",
     "aptdata <@ '[1, 2, {\"two\": 2}, \"three\"]'"),
    ("aptdata IS NULL", "aptdata IS NULL"),
    ("aptdata = null", "aptdata = 'null'"),
    ("aptdata = _", "aptdata IS NULL"),
    # ->> of JSON's null and of what is not there is NULL, -> of null is not.
    ("aptdata->>Maintainer IS NOT NULL", "aptdata->>'Maintainer' IS NOT NULL"),
    ("aptdata->Maintainer IS NOT NULL", "aptdata->'Maintainer' IS NOT NULL"),
]


@pytest.mark.parametrize("condition, sql", PACKAGES)
def test_json(pagila, condition, sql):
    assert_some(pagila, "packages_apt_postgresql_org", condition, sql)


# -- nothing and everything

ALL, NONE = "true", "false"


@pytest.mark.parametrize("condition, sql", [
    ("film_id IN 0", NONE), ("film_id NOT IN 0", ALL),
    ("length IN 0", NONE), ("length NOT IN 0", ALL),
    ("NOT length IN 0 AND NOT film_id < 0", ALL),
    ("length = 5 AND length != 5", NONE),
    ("film_id = -2147483648 OR film_id > 2147483647", NONE),
    ("language.name IS NOT NULL", ALL),
    ("( ( ( film_id >= 1 ) ) )", ALL)])
def test_nothing_and_everything(pagila, condition, sql):
    assert_same(pagila, "film", condition, sql)


@pytest.mark.parametrize("condition, keys", [
    ("f8 = nan", [2]), ("num = nan", [2]), ("f8 > 1e300", [1, 2]),
    ("f8 > infinity", [2]), ("f4 = 3.4028235e38", [1]), ("f4 = -0", [2]),
    ("f4 < inf", [1, 2]),
    ("i8 = 9223372036854775807", [1]), ("i8 = -9223372036854775808", [2]),
    ("i2 = ' 32767 '", [1]), ("oid_ = 4294967295", [1]),
    ("num = 123456789012345678901234567890.123", [1]),
    ("num = 1.23456789012345678901234567890123e29", [1]),
    ("money = 99.90", [1]), ("yes = yes", [1]), ("yes = of", [2]),
    ("yes = T", [1]), ("t = ''", [2]), ("vc = vc", [1]), ("ch = ch", [1]),
    ("ch = 'ch  '", [1]), ("c = x", [1]), ("n = name", [1]),
    ("n LIKE na%", [1]), ("ch LIKE ch%", [1]),
    ("d = '0001-01-01 BC'", [2]), ("ts = infinity", [2]),
    ("tsz = '2024-02-29 10:34:56Z'", [1]), ("iv = '32 days'", [1]),
    ("iv < 0", [2]),
    ("u = 12345678123456781234567812345678", [1]), ("by = ''", [2]),
    ("j IS NOT NULL", [1, 2]), ("j->>a = 1", [1]), ("jb->a->0 = 1", [1]),
    ("jb->a->1->b = null", [1]), ("r @> [2,3)", [1]), ("r = empty", [2]),
    ("r <@ [0,9]", [1, 2]), ("r && [4,9]", [1]), ("ip = ::1", [2]),
    ("ip <= 10.0.0.1/8", [1]), ("bits = 101", [1]), ("p = (1,x)", [1]),
    ("pos = 5", [1]), ("pos = -5", []), ("pos IN 2 5 0", [1]),
    ("ints @> {2}", [1]),
    ("ints = {1,2,NULL}", [1]), ("texts @> '{\"NULL\"}'", [1]),
    ("texts && {a}", [1]), ("nested = '{{1.5,2},{NaN,Infinity}}'", [1]),
    ("bools <@ {f}", [2]), ("days @> {2024-02-29}", [1]), ("t = _", [3]),
    ("by IS NULL", [3]), ("p IS NULL", [2, 3])])
def test_a_column_of_each_type(awkward, condition, keys):
    found = awkward.ask(f"FIND kinds ORDER id FIELDS id WHERE {condition}")
    assert [row["id"] for row in found] == keys


@pytest.mark.parametrize("column, value", [
    ("by", b"\0\xff\r\n'"), ("bl", b"\0")])
def test_bytes_are_compared_as_they_are(awkward, column, value):
    row, = awkward.client.call("FIND", "kinds", "WHERE", column, "=", value,
                               "FIELDS", "id")
    assert row == {"id": 1}


# -- values are data, names are names

def test_values_that_look_like_words_or_sql(awkward):
    values = awkward.column("SELECT word FROM words")
    assert {"WHERE", "NULL", "", "'; DROP TABLE words; --"} < set(values)
    for value in values:
        for test in (["=", value], ["IN", 1, value], ["LIKE", value],
                     ["BETWEEN", value, value], ["NOT", "IN", 2, value, "x"]):
            if test[0] == "LIKE" and value in ("\\", "_"):
                continue
            found = awkward.client.call(
                "FIND", "words", "WHERE", "word", *test, "FIELDS", "word")
            expected = [v for v in values if (v == value)
                        is (test[0] != "NOT")]
            assert sorted(row["word"] for row in found) == sorted(expected)


def test_null_is_four_letters(awkward):
    assert_some(awkward, "user", '"null" = NULL', '"null" = \'NULL\'')
    assert_some(awkward, "user", '"null" != NULL', '"null" <> \'NULL\'')
    assert_some(awkward, "user", '"null" IS NULL', '"null" IS NULL')
    assert_some(awkward, "user", '"null" =', '"null" IS NULL', None)


def test_a_text_for_null(awkward):
    c = awkward.daemon.connect("3", "NULL", "NULL")
    assert c.call("COUNT", "user", "WHERE", '"null"', "=", "NULL") == 4
    assert c.call("COUNT", "user", "WHERE", '"null"', "=", "null") == 4
    assert c.call("COUNT", "user", "WHERE", '"null"', "!=", "NULL") == 8
    assert c.call("COUNT", "user", "WHERE", '"null"', "IS", "NULL") == 4


@pytest.mark.parametrize("condition, sql", [
    ('"order" = \'order 1\'', "\"order\" = 'order 1'"),
    ('"limit" > 1 AND "where" LIKE %1',
     "\"limit\" > 1 AND \"where\" LIKE '%1'"),
    ('"not" = t', '"not"'), ('NOT "not" = t', 'NOT "not"'),
    ('not "not" IN 1 f', '"not"'),
    ('"in" IN 2 1 2', '"in" IN (1, 2)'), ('in IN 2 1 2', '"in" IN (1, 2)'),
    ('limit = 2 OR order = \'order 2\'',
     "\"limit\" = 2 OR \"order\" = 'order 2'"),
    ('"all" < 5 OR "set" = 7', '"all" < 5 OR "set" = 7'),
    ('where = \'where 7\'', "\"where\" = 'where 7'"),
    ('"id"::text = 5', "id = 5"), ('id::"int" = 5', None)])
def test_columns_that_are_called_as_words_are(awkward, condition, sql):
    if sql is None:
        awkward.fails("SYNTAX", f"FIND user WHERE {condition}")
    else:
        assert_some(awkward, "user", condition, sql)


def test_columns_of_any_name(awkward):
    for name, in awkward.session.query("""SELECT attname FROM pg_attribute
            WHERE attrelid = '"Order Items"'::regclass AND attnum > 0"""):
        quote = '"' + name.replace('"', '""') + '"'
        value = awkward.value(f'SELECT max({quote})::text FROM "Order Items"')
        expected = awkward.value(f"""SELECT count(*) FROM "Order Items"
            WHERE {quote}::text = $word${value}$word$""")
        for spelled in {quote, name} - {"-minus"}:
            assert awkward.client.call(
                "COUNT", "Order Items", "WHERE", spelled, "=", value) \
                == expected > 0


@pytest.mark.parametrize("model, condition, sql", [
    ("shop.orders", "customer.boss.name = 'customer 3'", """customer_id IN (
     SELECT c.id FROM shop.customers c JOIN shop.customers b
     ON c.boss_id = b.id WHERE b.name = 'customer 3')"""),
    ("shop.orders", 'user."order" = \'order 1\'', """user_id IN (
     SELECT id FROM "user" WHERE "order" = 'order 1')"""),
    ("shop.orders", '"user"."limit" IS NULL', "user_id IS NULL"),
    ("book", "shelf_by_room_shelf_no.label LIKE %4", """EXISTS (SELECT
     FROM shelf s WHERE s.room = t.room AND s.no = t.shelf_no
     AND label LIKE '%4')"""),
    ("book", "shelf_by_room_shelf_no.label IS NULL", "room IS NULL"),
    ("book", "sequel.sequel.isbn = 'isbn 5'", "isbn = 'isbn 3'"),
    ("book", "book.isbn = 'isbn 5'", "isbn = 'isbn 6'")])
def test_ways_by_keys_of_several_columns_and_over_schemas(
        awkward, model, condition, sql):
    assert_some(awkward, model, condition, sql)
