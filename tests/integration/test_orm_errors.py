"""What is refused, and what somebody who typed it is told."""
import pytest

from client import LkError
from orm import words
from timing import within

# A request, the error's kind and SQLSTATE, and what its text has.
SAMPLE = [
    # Keys.
    ("GET film abc", "SYNTAX 22P02", 'film.film_id: "abc" is no integer'),
    ("GET film 1.5", "SYNTAX 22P02", 'film.film_id: "1.5" is no integer'),
    ("GET film ''", "SYNTAX 22P02", 'film.film_id: "" is no integer'),
    ("GET film 2147483648", "SYNTAX 22003",
     'film.film_id: "2147483648" is out of range for integer'),
    ("GET film -2147483649", "SYNTAX 22003", "out of range for integer"),
    ("GET film", "SYNTAX 42601",
     "the key of film is film_id: 1 value, not 0", "syntax: GET model key"),
    ("GET film 1 2", "SYNTAX 42601",
     'or the end, not "2" (argument 3)'),
    ("GET film_actor 1", "SYNTAX 42601", "the key of film_actor is actor_id, "
     "film_id: 2 values, not 1"),
    ("GET film_actor 1 x", "SYNTAX 22P02",
     'film_actor.film_id: "x" is no integer'),
    ("GET film _", "SYNTAX 42601", "film.film_id: a key is never NULL"),
    ("GET film film_id = 5", "SYNTAX 42601",
     "FIND's: FIND film WHERE ..."),
    ("GET film 5 = 5", "SYNTAX 42601",
     "the key's values stand alone, without its columns' names"),
    ("GET film_list 5", "SYNTAX 42601", "film_list has no primary key",
     "FIND"),
    ("UPDATE film x SET length = 5", "SYNTAX 22P02", "film.film_id"),
    ("DELETE film x", "SYNTAX 22P02", "film.film_id"),
    ("LOAD film x language", "SYNTAX 22P02", "film.film_id"),
    # Values: which column, and what is wrong with them.
    ("GET payment yesterday-ish 5", "PG 22007",
     'payment.payment_date: invalid input syntax for type timestamp with time '
     'zone: "yesterday-ish"'),
    ("FIND film WHERE length = 40000", "SYNTAX 22003",
     'film.length: "40000" is out of range for smallint'),
    ("FIND film WHERE release_year > MMX", "SYNTAX 22P02",
     'film.release_year: "MMX" is no integer'),
    ("FIND film WHERE rating = XX", "PG 22P02",
     'film.rating: invalid input value for enum mpaa_rating: "XX"'),
    ("FIND film WHERE rental_rate = cheap", "SYNTAX 22P02",
     'film.rental_rate: "cheap" is no numeric'),
    ("FIND film WHERE special_features @> Trailers", "PG 22P02",
     'film.special_features: malformed array literal: "Trailers"'),
    ("FIND film WHERE language.language_id = x", "SYNTAX 22P02",
     'language.language_id: "x" is no integer'),
    ("FIND staff WHERE active = maybe", "SYNTAX 22P02",
     'staff.active: "maybe" is no boolean'),
    ("FIND customer WHERE create_date < 2022-02-30", "PG 22008",
     'customer.create_date: date/time field value out of range: '
     '"2022-02-30"'),
    ("FIND packages_apt_postgresql_org WHERE aptdata @> '{'", "PG 22P02",
     "packages_apt_postgresql_org.aptdata: invalid input syntax for type "
     "json"),
    ("CREATE film title = X language_id = English", "SYNTAX 22P02",
     'film.language_id: "English" is no integer'),
    ("CREATE film title = X language_id = 1 release_year = 1800", "PG 23514",
     "film.release_year: value for domain year violates check"),
    ("CREATEMANY language 2 language_id name 90 A B C", "SYNTAX 22P02",
     'language.language_id: "B" is no integer (argument 7)'),
    ("UPDATE film 5 SET length += many", "SYNTAX 22P02", "film.length"),
    ("UPDATE rental 5 SET return_date += soon", "PG 22007",
     'rental.return_date: invalid input syntax for type interval: "soon"'),
    ("FIND film AFTER x", "SYNTAX 22P02", "film.film_id"),
    ("FIND film WHERE length > _", "SYNTAX 42601", "use IS NULL"),
    ("FIND film WHERE length IN 2 5 _", "SYNTAX 42601", "use IS NULL"),
    ("UPDATE film 5 SET length += _", "SYNTAX 42601", "use TO NULL"),
    # Names.
    ("GET flim 5", "NOMODEL 42P01", 'no model "flim"', "film"),
    ("GET Film 5", "NOMODEL 42P01", 'no model "Film"', "film"),
    ("FIND pg_class", "NOMODEL 42P01", 'no model "pg_class"'),
    ("FIND payment_p2022_01", "NOMODEL 42P01", "payment"),
    ("FIND 'film f'", "NOMODEL 42P01", 'no model "film f"'),
    ('FIND "film', "SYNTAX 42601", "whole quotes"),
    ("FIND film WHERE lenght > 5", "NOCOLUMN 42703",
     'film has no column or relation "lenght"', "length"),
    ("FIND film WHERE Length > 5", "NOCOLUMN 42703", "length"),
    ("FIND film WHERE language.nmae = x", "NOCOLUMN 42703",
     'language has no column or relation "nmae"', "name"),
    ("FIND film WHERE langauge.name = x", "NOCOLUMN 42703",
     'film has no column or relation "langauge"', "language"),
    ("FIND film ORDER lenght", "NOCOLUMN 42703", "length"),
    ("FIND film FIELDS lenght", "NOCOLUMN 42703", "length"),
    ("FIND film FIELDS language.name", "NOCOLUMN 42703", "language"),
    ("CREATE film tilte = X", "NOCOLUMN 42703", "title"),
    ("UPDATE film 5 SET tilte = X", "NOCOLUMN 42703", "title"),
    ("UPSERT film film_id = 5 tilte = X", "NOCOLUMN 42703", "title"),
    ("UPSERT film film_id = 5 ON flim_id", "NOCOLUMN 42703", "film_id"),
    ("CREATEMANY film 1 tilte X", "NOCOLUMN 42703", "title"),
    ("LOAD film 5 actors", "NOCOLUMN 42703", "actor"),
    ("LOAD film 5 title", "SYNTAX 42601",
     "film.title is a column, not a relation"),
    ("LOAD film 5", "SYNTAX 42601", "a relation behind the key"),
    ("LOAD language 1 film", "NOCOLUMN 42703", "film_by_language_id",
     "film_by_original_language_id"),
    ("FIND film WHERE language = 1", "SYNTAX 42601",
     "film.language is a relation, not a column",
     "name a column of its row behind a dot"),
    ("FIND film WHERE actor.last_name = X", "SYNTAX 42601",
     "film.actor leads to many rows; only to one can a dot lead"),
    ("FIND film WHERE actor = X", "SYNTAX 42601", "is a relation"),
    ("FIND film WHERE film_id::regclass = 5", "SYNTAX 42601",
     'no type "regclass" to cast to'),
    ("FIND film WHERE title->x = 5", "SYNTAX 42601",
     "film.title is text: -> goes into json and jsonb"),
    ("FIND film WHERE title = x AND", "SYNTAX 42601", "expected a column"),
    # Clauses.
    ("FIND film title = X", "SYNTAX 42601", "WHERE before a condition"),
    ("FIND film WHERE", "SYNTAX 42601", "expected a column, not the end"),
    ("FIND film WHERE title", "SYNTAX 42601", "expected = != <"),
    ("FIND film WHERE title=X", "SYNTAX 42601", '"title=X" is one element'),
    ("FIND film WHERE title == X", "SYNTAX 42601", 'not "=="',
     "what is equal has one ="),
    ("FIND film WHERE ( title = X", "SYNTAX 42601", "AND, OR or )"),
    ("FIND film WHERE [ title = X )", "SYNTAX 42601", "AND, OR or ]"),
    ("FIND film WHERE title IS X", "SYNTAX 42601", "NULL or NOT NULL"),
    ("FIND film WHERE title = X title = Y", "SYNTAX 42601", "AND, OR"),
    ("FIND film WHERE film_id IN (1,2)", "SYNTAX 42601", "IN 2 a b"),
    ("FIND film WHERE film_id IN 3 1 2", "SYNTAX 42601",
     "IN says 3 values, and 2 arguments follow"),
    ("FIND film LIMIT ten", "SYNTAX 42601", "a number of rows behind LIMIT"),
    ("FIND film LIMIT -1", "SYNTAX 42601", "a number of rows behind LIMIT"),
    ("FIND film LIMIT 1 LIMIT 1", "SYNTAX 42601", "LIMIT stands there twice"),
    ("ONE film LIMIT 1", "SYNTAX 42601", "not \"LIMIT\""),
    ("COUNT film ORDER title", "SYNTAX 42601", "not \"ORDER\""),
    ("FIND film FOR UPDATE", "SYNTAX 42601", "BEGIN one"),
    ("GET film 5 FOR SHARE", "SYNTAX 42601", "BEGIN one"),
    ("CREATE film title += X", "SYNTAX 42601", "= or TO behind the column"),
    ("CREATE film title = X title = Y", "SYNTAX 42601",
     "title stands there twice"),
    ("CREATE film title", "SYNTAX 42601", "= or TO behind the column"),
    ("CREATE film title =", "SYNTAX 42601", "a value for title"),
    ("CREATE film title TO X", "SYNTAX 42601", "NULL or DEFAULT behind TO"),
    ("UPDATE film 5 title = X", "SYNTAX 42601", "expected SET"),
    ("UPDATE film 5 SET", "SYNTAX 42601", "a column behind SET"),
    ("UPSERT film title = X", "SYNTAX 42601", "no value for film_id"),
    ("UPSERT film film_id = 5 ON title", "SYNTAX 42601",
     "ON names no unique key of film; there is film_id"),
    ("UPSERT rental staff_id = 1 ON rental_date", "SYNTAX 42601",
     "rental_id or rental_date,inventory_id,customer_id"),
    ("UPSERT film_list fid = 1", "SYNTAX 42601", "film_list has no primary"),
    ("UPSERT film film_id = 5 length -= 1", "SYNTAX 42601", "= += ||= or TO"),
    ("UPDATEALL film SET length = 5", "SYNTAX 42601",
     "WHERE ALL for every row"),
    ("DELETEALL film", "SYNTAX 42601", "WHERE ALL for every row"),
    ("DELETEALL film WHERE", "SYNTAX 42601", "expected a column"),
    ("UPDATEALL film WHERE ALL", "SYNTAX 42601", "expected SET"),
    ("CREATEMANY language 0", "SYNTAX 42601", "no columns"),
    ("CREATEMANY language 2 language_id name 1", "SYNTAX 42601",
     "1 values are no whole rows of 2 columns"),
    ("CREATEMANY language x", "SYNTAX 42601", "the number of columns"),
    # SQL from habit.
    ("CREATE TABLE t (id int)", "SYNTAX 42601", 'SQL "CREATE TABLE ..."'),
    ("CREATE UNIQUE INDEX ON film (title)", "SYNTAX 42601",
     'SQL "CREATE UNIQUE ..."'),
    ("CREATE or replace view v as select 1", "SYNTAX 42601",
     'SQL "CREATE or ..."'),
    ("CREATE user name = Ann", "NOMODEL 42P01", 'no model "user"'),
    ("CREATE INTO film title = X", "SYNTAX 42601",
     "the model stands behind the verb"),
    ("CREATE film (title) VALUES (X)", "SYNTAX 42601",
     "columns and values go in pairs"),
    ("DELETE FROM film WHERE film_id = 5", "SYNTAX 42601", "DELETE users 1",
     "DELETEALL users WHERE", 'SQL "DELETE FROM ..."'),
    ("DELETE film WHERE film_id = 5", "SYNTAX 42601", "DELETEALL model WHERE"),
    ("DELETE film 5 WHERE length = 5", "SYNTAX 42601",
     "one row's condition stands behind IF"),
    ("UPDATE film SET title = X WHERE film_id = 5", "SYNTAX 42601",
     "UPDATEALL model SET ... WHERE"),
    ("UPDATE film 5 SET title = X WHERE length = 5", "SYNTAX 42601",
     "one row's condition stands behind IF"),
    ("UPDATE film 5 SET title = X RETURNING film_id", "SYNTAX 42601",
     "the whole row comes back by itself"),
    ("FIND * FROM film", "SYNTAX 42601", "as in FIND users"),
    ("COUNT * FROM film", "SYNTAX 42601", "as in COUNT users"),
    ("GET film WHERE film_id = 5", "SYNTAX 42601", "FIND model WHERE"),
    ("FIND film ORDER BY title", "SYNTAX 42601", "ORDER a,-b"),
    ("FIND film ORDER title DESC", "SYNTAX 42601", "ORDER -column"),
    ("FIND film ORDER title ASC", "SYNTAX 42601", "ascends"),
    ("FIND film WHERE title = X GROUP BY title", "SYNTAX 42601",
     'SQL "SELECT ..."'),
    ("FIND film JOIN language", "SYNTAX 42601", 'SQL "SELECT ..."'),
    ("FIND film WHERE film_id = ANY '{1}'", "SYNTAX 22P02", '"ANY"'),
    ("FIND film IF length = 5", "SYNTAX 42601", "IF is UPDATE's and DELETE's"),
    ("UPDATE film 5 SET length = length + 1", "SYNTAX 42601",
     "length += ..."),
    ("FIND film FIELDS film_id, title", "SYNTAX 42601", "FIELDS a,b"),
    ("FIND film FIELDS film_id title", "SYNTAX 42601", "FIELDS a,b"),
    ("FIND film WHERE length BETWEEN 1 AND 5", "SYNTAX 42601",
     "BETWEEN takes two values without AND"),
    ("FIND film WHERE length = 1 && title = X", "SYNTAX 42601", "AND"),
    ("CREATE film language = 1", "SYNTAX 42601", "say language_id"),
    ("FIND film WHERE length = NULL", "SYNTAX 22P02", "IS NULL"),
    ("SQL SELECT * FROM film", "SYNTAX 42601", "quote the statement"),
    ("SQL 'SELECT 1' 2", "SYNTAX 42601", "the statement has no $1"),
    ("SELECT * FROM film", "SYNTAX 42601", 'SQL "SELECT ..."'),
    ("SELECT 1", "SYNTAX 42601", "USE"),
    ("EXISTS film:1 film:2", "NOMODEL 42P01", "there is film"),
    ("EXISTS film 5", "SYNTAX 42601", "one row by its key is GET's"),
    # What only the server can know.
    ("FIND film WHERE length LIKE 5%", "PG 42883", "operator does not exist"),
    ("FIND film WHERE title @> x", "PG 42883", "operator does not exist"),
    ("FIND packages_apt_postgresql_org WHERE aptdata->>Size::int = 5",
     "PG 22P02", '"big"'),
    ("UPDATE film 5 SET title += x", "PG 42883", "operator does not exist"),
    ("UPDATE film_list SET title = x WHERE ALL", "SYNTAX 42601",
     "UPDATEALL model SET ... WHERE"),
    ("UPDATEALL film_list SET title = x WHERE ALL", "PG 55000", "film_list"),
    ("CREATE film_list fid = 1", "PG 55000", "film_list"),
    ("UPDATEALL film SET film_id = 1 WHERE ALL", "PG 23505", "film_pkey"),
]


@pytest.fixture(scope="module")
def replies(pagila):
    """All are asked at once: names that are unknown wait for a newer catalog,
    which comes once a second at most."""
    c = pagila.client
    for i, (line, *_) in enumerate(SAMPLE):
        c.send(f"@{i}", *words(line))
    return {line: c.tag(str(i)) for i, (line, *_) in enumerate(SAMPLE)}


@pytest.mark.parametrize("line, kind, parts", [
    (line, kind, parts) for line, kind, *parts in SAMPLE])
def test_the_error_says_what_is_wrong_and_what_to_type(replies, line, kind,
                                                       parts):
    error = replies[line]
    assert isinstance(error, LkError), error
    assert f"{error.kind} {error.sqlstate}".startswith(kind), error
    for part in parts:
        assert part in error, error


def test_nothing_was_done_meanwhile(pagila, replies):
    assert replies
    assert pagila.value("SELECT count(*) FROM film") == 200
    assert pagila.value("SELECT count(DISTINCT film_id) FROM film") == 200
    assert pagila.value("SELECT count(*) FROM language") == 6


BYTES = [(b"\xff", "22021", "is no UTF-8"), (b"\xc0\x80", "22021", "no UTF-8"),
         (b"\xed\xa0\x80", "22021", "no UTF-8"), (b"a\xc3", "22021", "UTF-8"),
         (b"a\0b", "22021", "holds a NUL byte, which only a bytea may")]


@pytest.mark.parametrize("value, sqlstate, part", BYTES)
def test_bytes_that_are_no_text(pagila, value, sqlstate, part):
    c = pagila.client
    for request in (["CREATE", "category", "name", "=", value],
                    ["FIND", "film", "WHERE", "title", "LIKE", value],
                    ["UPDATE", "film", "5", "SET", "title", "||=", value],
                    ["CREATEMANY", "category", "1", "name", "x", value]):
        error = c.fails("SYNTAX", *request)
        assert error.sqlstate == sqlstate and part in error
        assert "category.name" in error or "film.title" in error
        shown = c.call("SHOW", "error")
        assert (shown["table"], shown["column"]) in (("category", "name"),
                                                     ("film", "title"))


NO_NAMES = [
    ["GET", b"\xff", "5"], ["GET", "film\0", "5"], ["GET", b"fi\0lm", "5"],
    ["FIND", "film", "WHERE", b"title\0", "=", "x"],
    ["FIND", "film", "ORDER", b"\xfe"], ["FIND", "film", "FIELDS", "\0"],
    ["CREATE", "film", b"\xfftitle", "=", "x"],
    ["LOAD", "film", "5", b"actor\0"], [b"FI\0ND", "film"]]


def test_bytes_that_are_no_name(pagila):
    for request in NO_NAMES:
        pagila.client.send(*request)
    for request in NO_NAMES:
        error = pagila.client.recv()
        assert isinstance(error, LkError), request
        assert error.kind in ("NOMODEL", "NOCOLUMN", "SYNTAX"), error
        error.line.encode("utf-8")	# what of it is shown is UTF-8


def test_values_where_a_name_should_be(pagila):
    for request in ([], [None], ["film", "WHERE", None, "=", "5"],
                    ["film", "ORDER", None], ["film", "FIELDS", None],
                    ["film", "LIMIT", None], ["film", None],
                    ["film", "WHERE", "title", None, "x"],
                    ["film", "WHERE", "title", "IN", None]):
        pagila.client.fails("SYNTAX", "FIND", *request)


def test_an_error_has_its_fields(pagila):
    c = pagila.daemon.connect("3", "ERRORS", "blob")
    error = c.fails("SYNTAX", "GET", "film", "abc")
    assert error.fields["table"] == "film"
    assert error.fields["column"] == "film_id"
    assert error.fields["retry"] == "no"
    error = c.fails("PG", "FIND", "film", "WHERE", "rating", "=", "XX")
    assert (error.fields["table"], error.fields["column"]) == ("film",
                                                               "rating")
    shown = c.call("SHOW", "error")
    assert (shown["table"], shown["column"]) == ("film", "rating")
    c.close()


def test_long_texts_are_shown_in_part_only(pagila):
    error = pagila.client.fails("SYNTAX", "GET", "film", "x" * 100000)
    assert len(error.line) < 400 and '..."' in error
    name = "ü" * 5000
    pagila.client.send("GET", name, "1")
    pagila.client.send("FIND", "film", "ORDER", name)
    for _ in range(2):
        assert len(pagila.client.recv().line) < 1000


@pytest.mark.parametrize("request_", [
    ["FIND", "film", "." * 15_000_000],
    ["FIND", "film", "WHERE", '"' * 15_000_000, "=", "1"],
    ["FIND", "film", "ORDER", "film_id," * 1_800_000],
    ["FIND", "film", "FIELDS", ",".join(["film_id"] * 1_800_000)],
    ["UPSERT", "film", "film_id", "=", "1", "ON",
     ",".join(["film_id"] * 1_800_000)],
    ["FIND", "film", "WHERE", "language." * 1_600_000, "=", "1"],
    ["FIND", "packages_apt_postgresql_org", "WHERE",
     "aptdata" + "->a" * 5_000_000, "=", "1"]])
def test_huge_texts_hold_up_nobody(pagila, request_):
    other = pagila.daemon.connect()
    pagila.client.send(*request_)
    with within(50, "PING behind a huge request"):
        assert other.call("PING") == "PONG"
    assert isinstance(pagila.client.recv(), LkError)
    other.close()


def test_too_many_values(pagila):
    values = list(range(65536))
    error = pagila.client.fails("SYNTAX", "FIND", "film", "WHERE", "film_id",
                                "IN", len(values) - 50, *values[:-50],
                                "AND", "length", "IN", 50, *values[:50],
                                "LIMIT", 1)
    assert error.sqlstate == "54000"
    assert "more than 65535 values" in error
    assert pagila.client.call(
        "FIND", "film", "WHERE", "film_id", "IN", 60000, *values[:60000],
        "FIELDS", "film_id", "LIMIT", 1) == [{"film_id": 1}]


# -- what only the server finds out about a value, and of which column

REFUSED = [
    # When it takes the parameters.
    ("CREATE kinds id = 100 j = {", "22P02", "j"),
    ("CREATE kinds id = 100 jb = '{\"a\": 5$2'", "22P02", "jb"),
    ("CREATE kinds id = 100 jb = '\"\\u0000\"'", "22P05", "jb"),
    ("CREATE kinds id = 100 ints = '{1,x}'", "22P02", "ints"),
    ("CREATE kinds id = 100 texts = '{a' ints = '{1}'", "22P02", "texts"),
    ("CREATE kinds id = 100 days = '{2024-02-30}'", "22008", "days"),
    ("CREATE kinds id = 100 nested = '{{1},{2,3}}'", "22P02", "nested"),
    ("CREATE kinds id = 100 p = '(x,y)'", "22P02", "p"),
    ("CREATE kinds id = 100 r = '[5,1]'", "22000", "r"),
    ("CREATE kinds id = 100 pos = 0", "23514", "pos"),
    ("CREATEMANY kinds 2 id j 100 {} 101 {", "22P02", "j"),
    ("UPSERT kinds id = 1 iv = 1s ip = x", "22P02", "ip"),
    ("UPDATE kinds 1 SET jb ||= {", "22P02", "jb"),
    ("UPDATE kinds 1 SET tsz -= x", "22007", "tsz"),
    ("UPDATE kinds 1 SET t = x IF d = x", "22007", "d"),
    ("FIND kinds WHERE d = x AND ts = x", "22007", "d"),
    ("FIND kinds WHERE NOT ( ints && '{1}' OR jb @> '{' )", "22P02", "jb"),
    ("FIND kinds WHERE d IN 3 2024-01-01 x 2024-01-02 LIMIT 5", "22007", "d"),
    ("FIND kinds ORDER u AFTER x 1", "22P02", "u"),
    # When it stores them.
    ("CREATE kinds id = 100 vc = abcdef", "22001", "vc"),
    ("CREATE kinds id = 100 ch = abcde vc = abcde", "22001", "ch"),
    ("CREATE kinds id = 100 money = 1234567 num = 1e30", "22003", "money"),
    ("CREATE kinds id = 100 bits = 10", "22026", "bits"),
    ("CREATEMANY kinds 2 id vc 100 abc 101 abcdef", "22001", "vc"),
    ("UPSERT kinds id = 1 vc = abcdef", "22001", "vc"),
    ("UPDATE kinds 1 SET vc ||= abcd", "22001", "vc"),
    ("UPDATE kinds 1 SET i2 += 1 id = 1", "22003", "i2"),
    ("UPDATE kinds 1 SET i8 += 1 i2 = 1", "22003", "i8"),
    ("UPDATE kinds 1 SET pos -= 5", "23514", "pos"),
    ("UPDATEALL kinds SET money += 999999 WHERE id = 1", "22003", "money")]


@pytest.mark.parametrize("line, sqlstate, column", REFUSED)
def test_the_servers_error_names_the_column(awkward, line, sqlstate, column):
    with awkward.tx() as tx:
        error = awkward.client.fails("PG", tx, *words(line))
    assert error.sqlstate == sqlstate, error
    assert error.message.startswith(f"kinds.{column}: "), error
    shown = awkward.client.call("SHOW", "error")
    assert (shown["table"], shown["column"]) == ("kinds", column)


def test_the_column_is_named_however_it_runs(pagila):
    c, bad = pagila.client, ["film", "WHERE", "last_update", ">", "x"]
    c.call("MULTI", "REF", "$")
    c.call("FIND", "film", "WHERE", "title", "=", "x")
    c.call("FIND", *bad)
    assert "verb 2 (FIND film): film.last_update: " in c.fails("PG", "EXEC")
    c.call("MULTI", "REF", "$")
    c.call("GET", "film", 5)
    c.call("UPDATE", "rental", 5, "SET", "return_date", "=", "$1.title")
    assert "rental.return_date: invalid" in c.fails("PG", "EXEC")
    with pagila.tx() as tx:
        error = c.fails("PG", tx, "OPEN", "FIND", *bad)
        assert error.message.startswith("film.last_update: invalid")
    error = c.fails("PG", "FIND", *bad, "WITH", "language")
    assert error.message.startswith("film.last_update: invalid")


def test_the_column_is_named_whatever_the_server_logs(db, lockkeeperd):
    db.sql("CREATE TABLE t (id int PRIMARY KEY, a jsonb, b date, "
           "c varchar(3), d numeric(2), e numeric(3))")
    setting = "-c log_parameter_max_length_on_error=-1"
    c = lockkeeperd(f"{db.conninfo} options='{setting}'").connect()
    for value in ("abcd", "$1 = '5'", "a\nPL/pgSQL function f()"):
        error = c.fails("PG", "CREATE", "t", "id", "=", 1, "c", "=", value)
        assert error.message.startswith("t.c: value too long"), error
    error = c.fails("PG", "CREATE", "t", "id", "=", 1, "d", "=", 500, "e", "=",
                    500)
    assert error.message.startswith("t.d: numeric field overflow"), error
    for value in "x", "x' $2", "\nunnamed portal parameter $2", "'", "''$2 '":
        error = c.fails("PG", "CREATE", "t", "id", "=", 1, "a", "=", "{}",
                        "b", "=", value)
        assert error.message.startswith("t.b: invalid input"), error


def test_what_a_trigger_says_is_of_no_column(db, lockkeeperd):
    db.sql("""
        CREATE TABLE t (id int PRIMARY KEY, a varchar(5), b int);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            NEW.b := length(NEW.a || NEW.b::varchar(5)) + 2147483647;
            RETURN NEW;
        END $$;
        CREATE TRIGGER f BEFORE UPDATE ON t FOR EACH ROW
            EXECUTE FUNCTION f();
        INSERT INTO t VALUES (1, 'a', 1)""")
    c = lockkeeperd().connect()
    error = c.fails("PG", "UPDATE", "t", 1, "SET", "b", "+=", 1)
    assert error.message.startswith("integer out of range"), error


def test_errors_in_a_transaction(pagila):
    """What was never sent leaves it whole; what the server refused does not,
    and a savepoint brings it back."""
    c = pagila.client
    with pagila.tx() as tx:
        lines = ["GET film abc", "FIND film WHERE", "GET flim 5",
                 "FIND film ORDER lenght", "DELETE FROM film",
                 "SQL SELECT * FROM film"]
        for line in lines:
            c.send(tx, *line.split())
        assert all(isinstance(c.recv(), LkError) for _ in lines)
        assert c.call(tx, "COUNT", "film") == 200
        c.call(tx, "SAVEPOINT", "a")
        c.fails("PG", tx, "DELETE", "language", 1)
        c.fails("TXABORTED", tx, "GET", "film", 5)
        c.call(tx, "ROLLBACK", "TO", "a")
        assert c.call(tx, "COUNT", "film") == 200
