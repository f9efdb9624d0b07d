"""AFTER: page by page through whole tables, in any order, and every row comes
once, as ORDER BY and OFFSET have them."""
import itertools

import pytest

KEYS = {"film": "film_id", "payment": "payment_date,payment_id",
        "rental": "rental_id", "customer": "customer_id",
        "film_actor": "actor_id,film_id", "words": "word",
        "user": "id", "kinds": "id"}


def last_values(both, model, row, terms, key):
    """What AFTER takes, of a page's last row."""
    where = " AND ".join(f"{column} = $value${row[column]}$value$"
                         for column in KEYS[model].split(","))
    columns = [sql for sql, _ in terms] + key
    return next(iter(both.session.query(
        f'SELECT {", ".join(columns)} FROM "{model}" t WHERE {where}')))


def pages(both, model, clauses, terms, n):
    """All pages of n rows, keys only.  terms: ORDER's columns as SQL, and
    whether they descend."""
    in_order = [sql for sql, _ in terms]
    key = [k for k in KEYS[model].split(",") if k not in in_order]
    after = []
    while True:
        page = both.client.call(
            "FIND", model, *clauses, *after, "LIMIT", n, "FIELDS",
            KEYS[model])
        yield page
        if len(page) < n:
            return
        after = ["AFTER", *last_values(both, model, page[-1], terms, key)]


def assert_paged(both, model, order, terms, n, where=(), sql="true"):
    """terms: ORDER's columns as SQL and their directions."""
    clauses = [*where, *(["ORDER", order] if order else [])]
    down = " DESC" if terms and terms[-1][1] else ""
    in_order = [term for term, _ in terms]
    ties = [f"{k}{down}" for k in KEYS[model].split(",") if k not in in_order]
    order_by = [f"{term}{' DESC' if is_down else ''}"
                for term, is_down in terms] + ties
    rows = both.rows(f"""SELECT {KEYS[model]} FROM "{model}" t WHERE {sql}
        ORDER BY {", ".join(order_by)}""")
    got = list(itertools.islice(pages(both, model, clauses, terms, n),
                                len(rows) + 1))
    assert [row for page in got for row in page] == rows
    assert all(len(page) == n for page in got[:-1]) and len(got) > 1


def terms_of(order):
    return [(term.lstrip("-"), term.startswith("-"))
            for term in order.split(",")] if order else []


@pytest.mark.parametrize("order", [
    "", "film_id", "-film_id", "title", "-title",
    # Columns that may be NULL, and many rows of one value.
    "length", "-length", "original_language_id", "-original_language_id",
    "special_features,title", "rating,length", "-rating,length",
    "rating,-length", "-rating,-length", "length,-original_language_id,rating",
    "-original_language_id,-length,title", "-rental_rate,original_language_id",
    "title,film_id,length", "-length,film_id,title", "last_update",
    "-last_update,-release_year,description"])
def test_films(pagila, order):
    assert_paged(pagila, "film", order, terms_of(order), 23)


@pytest.mark.parametrize("n", [1, 2, 199, 200])
def test_pages_of_any_size(pagila, n):
    assert_paged(pagila, "film", "-length,rating",
                 [("length", True), ("rating", False)], n)


ENGLISH = "(SELECT name FROM language l WHERE l.language_id = t.{})"


@pytest.mark.parametrize("order, terms", [
    ("language.name", [(ENGLISH.format("language_id"), False)]),
    ("-original_language.name,length", [
        (ENGLISH.format("original_language_id"), True), ("length", False)]),
    ("original_language.name,-language.name,rating", [
        (ENGLISH.format("original_language_id"), False),
        (ENGLISH.format("language_id"), True), ("rating", False)]),
    ("length::text,-rental_rate::int", [
        ("length::text", False), ("rental_rate::int", True)])])
def test_orders_by_other_rows_columns_and_casts(pagila, order, terms):
    assert_paged(pagila, "film", order, terms, 31)


@pytest.mark.parametrize("model, order", [
    ("payment", ""), ("payment", "-payment_id"), ("payment", "amount"),
    ("payment", "-amount,payment_date"), ("film_actor", ""),
    ("film_actor", "film_id"), ("film_actor", "-film_id"),
    ("rental", "-return_date"), ("rental", "return_date,-staff_id"),
    ("customer", "-active,email"), ("customer", "last_update,-create_date")])
def test_keys_of_several_columns_and_other_tables(pagila, model, order):
    assert_paged(pagila, model, order, terms_of(order), 97)


@pytest.mark.parametrize("where, sql", [
    ("rating = PG OR length IS NULL", "rating = 'PG' OR length IS NULL"),
    ("language.name = English OR original_language.name IS NOT NULL",
     "language_id = 1 OR original_language_id IS NOT NULL")])
@pytest.mark.parametrize("order", ["-length", "title,-length"])
def test_pages_of_some_rows(pagila, where, sql, order):
    assert_paged(pagila, "film", order, terms_of(order), 7,
                 ["WHERE", *where.split()], sql)


def test_values_of_after_are_data(awkward):
    assert_paged(awkward, "words", "", [], 1)
    assert_paged(awkward, "words", "n,-word", [("n", False), ("word", True)],
                 4)


@pytest.mark.parametrize("column", [
    "i2", "i8", "oid_", "f4", "f8", "num", "money", "yes", "t", "vc", "ch",
    "n", "d", "tm", "tmz", "ts", "tsz", "iv", "u", "jb", "r", "ip", "bits",
    "p", "pos", "ints", "texts", "nested", "bools", "days"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_column_of_each_type(awkward, column, sign):
    """NaN, infinities, empty text and NULL have their places, too."""
    assert_paged(awkward, "kinds", sign + column, [(column, bool(sign))], 1)


def test_a_page_begins_by_the_values_also_where_their_row_has_gone(pagila):
    with pagila.tx() as tx:
        pagila.ask(f"{tx} DELETEALL film_actor WHERE film_id = 7")
        pagila.ask(f"{tx} DELETEALL film_category WHERE film_id = 7")
        pagila.ask(f"{tx} DELETEALL inventory WHERE film_id = 195")
        for values in ("7", "'100 '", "-5", "2147483647"):
            assert pagila.ask(f"{tx} FIND film AFTER {values} FIELDS film_id "
                              "LIMIT 5") == pagila.rows(f"""SELECT film_id
                FROM film WHERE film_id > '{values.strip("'")}'
                ORDER BY 1 LIMIT 5""")


def test_offset_counts_from_after(pagila):
    assert pagila.ask("FIND film AFTER 10 OFFSET 5 LIMIT 2 FIELDS film_id") \
        == [{"film_id": 16}, {"film_id": 17}]
    assert pagila.ask("FIRST film ORDER -film_id AFTER 10 FIELDS film_id") \
        == {"film_id": 9}
    assert pagila.ask("ONE film ORDER -film_id AFTER 2 FIELDS film_id") \
        == {"film_id": 1}


@pytest.mark.parametrize("line, part", [
    ("FIND film ORDER length AFTER 5",
     "AFTER takes 2 values (length, film_id), and 1 follow"),
    ("FIND film AFTER", "AFTER takes 1 values (film_id), and 0 follow"),
    ("FIND film AFTER 5 ORDER title", "ORDER stands before AFTER"),
    ("FIND payment AFTER 5 LIMIT 1",
     "payment.payment_id: \"LIMIT\" is no integer"),
    ("FIND film_list AFTER 5", "wants a primary key"),
    ("FIND film ORDER rating AFTER PG x", "film.film_id: \"x\" is no integer"),
    ("FIND film AFTER 5 6", "not \"6\"")])
def test_after_that_does_not_fit(pagila, line, part):
    error = pagila.try_ask(line)
    assert part in error
