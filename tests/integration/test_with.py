"""WITH: related rows in each row, in each form, compared with the same
questions asked in SQL; by how many statements; and how it ends early."""
import json
import threading
import time

import pytest

from client import bad, good, pairs
from timing import eventually, within

SCHEMA = r'''
DROP TABLE r;
CREATE TABLE users (id int PRIMARY KEY, name text,
    boss_id int REFERENCES users);
CREATE TABLE profiles (user_id int PRIMARY KEY REFERENCES users, motto text);
CREATE TABLE posts (id bigint PRIMARY KEY, author_id int REFERENCES users,
    title text, score float8, is_public bool, day date, tags text[]);
CREATE INDEX ON posts (author_id, day);
CREATE TABLE comments (id int PRIMARY KEY, post_id bigint NOT NULL
    REFERENCES posts, "text" text, writer_id int REFERENCES users);
CREATE TABLE labels (word text PRIMARY KEY);
CREATE TABLE post_labels (post_id bigint REFERENCES posts,
    word text REFERENCES labels, PRIMARY KEY (post_id, word));
INSERT INTO users VALUES (1, 'Ann', NULL), (2, 'Bob', 1), (3, 'Cy', 1),
    (4, 'Di "D"', 2);
INSERT INTO profiles VALUES (1, 'Ha!'), (3, NULL);
INSERT INTO posts SELECT i, nullif(i % 4, 0), 't' || i, i + 0.5, i % 2 = 0,
    date '2026-01-01' + i % 5, ARRAY['a', 'b"' || i] FROM
    generate_series(1, 12) i;
INSERT INTO comments SELECT i, i % 5 + 1, 'c' || i, nullif(i % 3, 0)
    FROM generate_series(1, 20) i;
INSERT INTO labels VALUES ('new'), ('it''s "so"'), ('{a,\b}'), (''), ('NULL');
INSERT INTO post_labels SELECT p.id, l.word FROM posts p, labels l
    WHERE (p.id + length(l.word)) % 3 = 0;
'''

FORMS = ["maps", "table", "json"]


@pytest.fixture
def tables(db):
    db.sql(SCHEMA)
    return db


@pytest.fixture
def c(tables, lockkeeperd):
    return lockkeeperd().connect("3")


class counted:
    """with counted(client, 3): … sends so many statements."""

    def __init__(self, client, n):
        self.client = client
        self.n = n

    def _said(self):
        return pairs(self.client.call("SHOW", "stats"))["statements"]

    def __enter__(self):
        self.before = self._said()

    def __exit__(self, kind, value, traceback):
        if kind is None:
            assert self._said() - self.before == self.n


# -- replies of all forms and protocols as what is wanted

def rows_of(table):
    """A rowset's rows as maps; of anything else, itself."""
    if not (isinstance(table, dict) and "columns" in table) \
            and not (isinstance(table, list) and table[:1] == ["columns"]):
        return None
    table = pairs(table)
    return [dict(zip(table["columns"], row)) for row in table["rows"]]


def like(value, wanted):
    """As wanted has it, where the form or the protocol has it otherwise."""
    if value is None:
        return None
    if isinstance(wanted, (dict, list)) and isinstance(value, str):
        return json.loads(value)
    if isinstance(wanted, dict):
        rows = rows_of(value)
        assert rows is None or len(rows) == 1
        row = pairs(value) if rows is None else rows[0]
        return {name: like(cell, wanted.get(name))
                for name, cell in row.items()}
    if isinstance(wanted, list):
        rows = rows_of(value)
        rows = value if rows is None else rows
        return [like(row, w) for row, w in zip(rows, wanted)] \
            if len(rows) == len(wanted) else rows
    if isinstance(wanted, bool):
        return {0: False, 1: True}[value]
    return float(value) if isinstance(wanted, float) else value


def assert_same(client, form, request, wanted):
    """wanted: a map, or a list of them."""
    reply = client.call(f"={form}", *request)
    got = like(reply, wanted)
    assert got == wanted
    # In that order, too.
    assert json.dumps(got) == json.dumps(wanted)


def asked(db, sql):
    """What that query makes, as JSON."""
    return json.loads(db.value(sql))


# -- rows nest

USER = "'id', u.id, 'name', u.name, 'boss_id', u.boss_id"
POST = """'id', p.id, 'author_id', p.author_id, 'title', p.title,
    'score', p.score, 'is_public', p.is_public, 'day', p.day, 'tags', p.tags"""
COMMENT = """'id', c.id, 'post_id', c.post_id, 'text', c."text",
    'writer_id', c.writer_id"""
POSTS_OF_U = "FROM posts p WHERE p.author_id = u.id"

SAME = {
    "to one": (
        "FIND posts ORDER id WITH author",
        f"""SELECT json_agg(json_build_object({POST}, 'author', (SELECT
            json_build_object({USER}) FROM users u WHERE u.id = p.author_id))
            ORDER BY p.id) FROM posts p"""),
    "to many": (
        "FIND users ORDER id WITH posts::id",
        f"""SELECT json_agg(json_build_object({USER}, 'posts', (SELECT
            coalesce(json_agg(json_build_object({POST}) ORDER BY p.id), '[]')
            {POSTS_OF_U})) ORDER BY u.id) FROM users u"""),
    "to one that has the key": (
        "FIND users ORDER id WITH profiles",
        f"""SELECT json_agg(json_build_object({USER}, 'profiles', (SELECT
            json_build_object('user_id', f.user_id, 'motto', f.motto)
            FROM profiles f WHERE f.user_id = u.id)) ORDER BY u.id)
            FROM users u"""),
    "to its own kind, both ways": (
        "FIND users ORDER id WITH boss,users::id",
        f"""SELECT json_agg(json_build_object('id', t.id, 'name', t.name,
            'boss_id', t.boss_id, 'boss', (SELECT json_build_object({USER})
            FROM users u WHERE u.id = t.boss_id), 'users', (SELECT
            coalesce(json_agg(json_build_object({USER}) ORDER BY u.id), '[]')
            FROM users u WHERE u.boss_id = t.id)) ORDER BY t.id)
            FROM users t"""),
    "through a join table": (
        "FIND posts ORDER id FIELDS id WITH labels::word",
        """SELECT json_agg(json_build_object('id', p.id, 'labels', (SELECT
            coalesce(json_agg(json_build_object('word', l.word) ORDER BY
            l.word COLLATE "C"), '[]') FROM post_labels JOIN labels l
            USING (word) WHERE post_id = p.id)) ORDER BY p.id) FROM posts p"""),
    "back through it": (
        "FIND labels ORDER word WITH posts::id",
        f"""SELECT json_agg(json_build_object('word', l.word, 'posts', (SELECT
            coalesce(json_agg(json_build_object({POST}) ORDER BY p.id), '[]')
            FROM post_labels JOIN posts p ON p.id = post_id
            WHERE word = l.word)) ORDER BY l.word COLLATE "C")
            FROM labels l"""),
    "one that the key leads to": (
        "GET posts 3 FIELDS title WITH author",
        f"""SELECT json_build_object('title', p.title, 'author', (SELECT
            json_build_object({USER}) FROM users u WHERE u.id = p.author_id))
            FROM posts p WHERE p.id = 3"""),
    "of the one that LOAD leads to": (
        "LOAD posts 2 author WITH posts:2:-id",
        f"""SELECT json_build_object({USER}, 'posts', (SELECT json_agg(
            json_build_object({POST}) ORDER BY p.id DESC) FROM (SELECT *
            {POSTS_OF_U} ORDER BY id DESC LIMIT 2) p))
            FROM users u WHERE u.id = 2"""),
}

DEEP = {
    "several levels": (
        "FIND users WHERE id < 4 ORDER id WITH posts::id,posts.author,boss",
        f"""SELECT json_agg(json_build_object('id', t.id, 'name', t.name,
            'boss_id', t.boss_id, 'posts', (SELECT coalesce(json_agg(
            json_build_object({POST}, 'author', (SELECT json_build_object(
            {USER}) FROM users u WHERE u.id = p.author_id)) ORDER BY p.id),
            '[]') FROM posts p WHERE p.author_id = t.id), 'boss', (SELECT
            json_build_object({USER}) FROM users u WHERE u.id = t.boss_id))
            ORDER BY t.id) FROM users t WHERE t.id < 4"""),
    "the same relation at several places": (
        "GET comments 4 WITH writer.boss,post.author.boss,post",
        f"""SELECT json_build_object({COMMENT}, 'writer', (SELECT
            json_build_object({USER}, 'boss', NULL) FROM users u
            WHERE u.id = c.writer_id), 'post', (SELECT json_build_object(
            {POST}, 'author', (SELECT json_build_object({USER}, 'boss', NULL)
            FROM users u WHERE u.id = p.author_id)) FROM posts p
            WHERE p.id = c.post_id)) FROM comments c WHERE c.id = 4"""),
}


@pytest.mark.parametrize("proto", ["2", "3"])
def test_rows_nest_in_every_form(tables, lockkeeperd, proto):
    client = lockkeeperd().connect(proto)
    for line, sql in SAME.values():
        for form in FORMS:
            assert_same(client, form, line.split(), asked(tables, sql))
    for line, sql in DEEP.values():
        for form in ["maps", "json"]:
            assert_same(client, form, line.split(), asked(tables, sql))


def test_a_table_says_what_is_a_rowset(c):
    table = c.call("=table", "GET", "users", "4", "FIELDS", "name", "WITH",
                   "posts,boss")
    assert table["columns"] == ["name", "posts", "boss"]
    assert table["types"] == ["text", "rowset", "rowset"]
    [[name, posts, boss]] = table["rows"]
    assert name == 'Di "D"'
    assert posts == {"columns": [
        "id", "author_id", "title", "score", "is_public", "day", "tags"],
        "types": ["bigint", "integer", "text", "double precision", "boolean",
                  "date", "text[]"], "rows": []}
    assert boss == {"columns": ["id", "name", "boss_id"],
                    "types": ["integer", "text", "integer"],
                    "rows": [[2, "Bob", 1]]}
    table = c.call("=table", "GET", "users", "1", "WITH", "boss")
    assert table["rows"] == [[1, "Ann", None, None]]


def test_nothing_belongs_to_no_row(c):
    assert c.call("GET", "users", "99", "WITH", "posts.comments") is None
    assert c.call("FIND", "users", "WHERE", "id", ">", "99", "WITH",
                  "posts.author") == []
    assert c.call("FIRST", "users", "WHERE", "id", ">", "99", "WITH",
                  "boss") is None
    c.fails("UNMET", "ONE", "users", "WHERE", "id", ">", "99", "WITH", "boss")
    with counted(c, 1):
        c.fails("UNMET", "ONE", "users", "WITH", "boss")


# A model, its key, a relation; whose row each row is, and the rows in order.
EVERY_ROW = [
    ("film", "film_id", "actor::actor_id", """SELECT film_id AS whose, a.*
        FROM film_actor JOIN actor a USING (actor_id) ORDER BY actor_id"""),
    ("actor", "actor_id", "film::-title", """SELECT actor_id AS whose, f.*
        FROM film_actor JOIN film f USING (film_id) ORDER BY title DESC,
        film_id DESC"""),
    ("category", "category_id", "film:5:-length,title", """SELECT whose,
        (f).* FROM (SELECT category_id AS whose, f, row_number() OVER (
        PARTITION BY category_id ORDER BY length DESC, title, film_id) FROM
        film_category JOIN film f USING (film_id)) x WHERE row_number <= 5
        ORDER BY row_number"""),
    ("customer", "customer_id", "payment:3:-amount,payment_date", """SELECT
        whose, (p).* FROM (SELECT customer_id AS whose, p, row_number() OVER (
        PARTITION BY customer_id ORDER BY amount DESC, payment_date,
        payment_id) FROM payment p) x WHERE row_number <= 3
        ORDER BY row_number"""),
    ("film", "film_id", "inventory::inventory_id", """SELECT film_id AS whose,
        i.* FROM inventory i ORDER BY inventory_id"""),
    ("film", "film_id", "original_language", """SELECT film_id AS whose, l.*
        FROM film JOIN language l ON l.language_id = original_language_id"""),
    ("rental", "rental_id", "customer", """SELECT rental_id AS whose, c.*
        FROM rental JOIN customer c USING (customer_id)"""),
    ("staff", "staff_id", "store_by_manager_staff_id", """SELECT
        manager_staff_id AS whose, s.* FROM store s"""),
    ("store", "store_id", "manager_staff", """SELECT s.store_id AS whose, m.*
        FROM store s JOIN staff m ON m.staff_id = manager_staff_id"""),
]


@pytest.mark.parametrize("model, key, relation, sql", EVERY_ROW)
def test_every_row_has_its_own(pagila, model, key, relation, sql):
    name = relation.partition(":")[0]
    of = {}
    for row in pagila.rows(sql):
        of.setdefault(row.pop("whose"), []).append(row)
    sent = pagila.statements()
    rows = pagila.ask(f"FIND {model} WITH {relation}")
    assert sent() == 2
    assert len(rows) == pagila.value(f"SELECT count(*) FROM {model}")
    assert of
    for row in rows:
        assert row[name] == (of.get(row[key], []) if ":" in relation
                             else of.get(row[key], [None])[0])


# -- how many statements

@pytest.mark.parametrize("n, request_line", [
    (1, "FIND users"),
    (2, "FIND users WITH posts"),
    (2, "GET users 1 WITH posts"),
    (4, "FIND users WITH posts,boss,profiles"),
    (3, "FIND users WITH posts.author"),
    (6, "FIND posts WITH author.boss,author.profiles,comments,labels"),
    (2, "FIND users ORDER -id WITH posts:1:-day"),
    (2, "LOAD users 1 posts WITH author"),
    # Who has no row, and no key, asks for nothing.
    (1, "FIND users WHERE id > 99 WITH posts.comments"),
    (1, "GET users 1 WITH boss.boss"),
    (2, "GET users 2 WITH boss.boss"),
    (2, "FIND users WHERE id = 4 WITH posts.comments"),
])
def test_a_relation_is_a_statement(c, n, request_line):
    with counted(c, n):
        c.call("=json", *request_line.split())


def test_a_thousand_rows_ask_once(tables, c):
    tables.sql("""INSERT INTO users SELECT i, 'u' || i
        FROM generate_series(5, 200) i; INSERT INTO posts (id, author_id)
        SELECT i, nullif(i % 300, 0) FROM generate_series(13, 3000) i
        WHERE i % 300 <= 200; ANALYZE""")
    with counted(c, 3):
        rows = c.call("FIND", "posts", "ORDER", "id", "LIMIT", "1000",
                      "FIELDS", "id", "WITH", "author.boss")
    assert len(rows) == 1000
    assert [(r["id"], r["author"] and r["author"]["name"],
             r["author"] and r["author"]["boss"]
             and r["author"]["boss"]["name"]) for r in rows] \
        == [(int(i), name, boss) for i, name, boss in tables.sql(
            """SELECT p.id, u.name, b.name FROM posts p LEFT JOIN users u
            ON u.id = author_id LEFT JOIN users b ON b.id = u.boss_id
            ORDER BY p.id LIMIT 1000""")]
    with counted(c, 2):
        users = c.call("FIND", "users", "WITH", "posts")
    assert sum(len(u["posts"]) for u in users) == int(tables.value(
        "SELECT count(author_id) FROM posts"))
    assert all(p["author_id"] == u["id"] for u in users for p in u["posts"])


# -- order and number

def test_each_has_so_many_of_its_own(tables, c):
    for n in (0, 1, 2, 100):
        for order, sql in [("", "id"), (":-day", "day DESC, id DESC"),
                           (":is_public,-day", "is_public, day DESC, id DESC"),
                           (":-day,title", "day DESC, title, id")]:
            users = c.call("FIND", "users", "ORDER", "id", "WITH",
                           f"posts:{n}{order}")
            assert [[p["id"] for p in u["posts"]] for u in users] == [
                [int(i) for i, in tables.sql(f"""SELECT id FROM posts
                    WHERE author_id = {u['id']} ORDER BY {sql} LIMIT {n}""")]
                for u in users]


def test_many_to_many_has_a_number_too(tables, c):
    rows = c.call("FIND", "labels", "WITH", "posts:2:-id,posts.author")
    assert {r["word"]: [p["id"] for p in r["posts"]] for r in rows} == {
        word: [int(i) for i, in tables.sql(f"""SELECT post_id FROM post_labels
            WHERE word = $w${word}$w$ ORDER BY 1 DESC LIMIT 2""")]
        for word, in tables.sql("SELECT word FROM labels")}
    assert all(p["author"]["id"] == p["author_id"] for r in rows
               for p in r["posts"] if p["author_id"])


def test_behind_a_comma_a_column_of_the_order_comes_first(tables, c):
    tables.sql("ALTER TABLE posts ADD boss int DEFAULT 7")
    c.call("RELOAD")
    eventually(lambda: "boss" in [column["name"] for column in
                                  c.call("DESCRIBE", "posts")["columns"]],
               "the column is known")
    both = c.call("GET", "users", "2", "WITH", "boss,posts:1:-id")
    assert both["boss"]["name"] == "Ann" and len(both["posts"]) == 1
    only = c.call("GET", "users", "2", "WITH", "posts:1:-id,boss")
    assert "boss" not in only and only["posts"] == both["posts"]


# -- keys of all kinds

KEYS = r'''
CREATE TYPE mood AS ENUM ('sad', 'so, so', '"');
CREATE DOMAIN code AS varchar(5) CHECK (VALUE <> '');
CREATE TABLE kinds (m mood, n numeric, b bytea, f float8, d code, u uuid,
    c char(4), o "char", t timestamptz(3), s smallint, x text,
    PRIMARY KEY (x), UNIQUE (m), UNIQUE (n), UNIQUE (b), UNIQUE (f),
    UNIQUE (d), UNIQUE (u), UNIQUE (c), UNIQUE (o), UNIQUE (t), UNIQUE (s));
INSERT INTO kinds VALUES
    ('so, so', 1.0, '\x00ff5c22', '0.1', 'a"\{,', gen_random_uuid(), 'a', 'x',
     '2026-01-01 00:00:00.5+02', 7, 'a"b\c''{,}é'),
    ('"', 'NaN', '', '-Infinity', ' a ', gen_random_uuid(), '', '"',
     'infinity', -32768, E'\n\t'), (NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, '');
CREATE TABLE uses (id int PRIMARY KEY, m mood REFERENCES kinds (m),
    n numeric REFERENCES kinds (n), b bytea REFERENCES kinds (b),
    f float8 REFERENCES kinds (f), d code REFERENCES kinds (d),
    u uuid REFERENCES kinds (u), c char(4) REFERENCES kinds (c),
    o "char" REFERENCES kinds (o), t timestamptz REFERENCES kinds (t),
    s bigint REFERENCES kinds (s), x text REFERENCES kinds (x));
INSERT INTO uses SELECT row_number() OVER (), m, n, b, f, d, u, c, o, t, s, x
    FROM kinds, generate_series(1, 2);
UPDATE uses SET n = '1.0000' WHERE n = 1.0 AND id % 2 = 0;
'''


@pytest.mark.parametrize("column", list("mnbfducotsx"))
def test_keys_of_any_type_lead_there_and_back(tables, lockkeeperd, column):
    tables.sql(KEYS)
    client = lockkeeperd().connect("3")
    name, = (r["name"] for r in client.call("DESCRIBE", "uses")["relations"]
             if r["name"].endswith(f"_by_{column}"))
    uses = client.call("FIND", "uses", "FIELDS", "id", "WITH", name)
    assert {r["id"]: r[name] and r[name]["x"] for r in uses} == {
        int(i): x for i, x in tables.sql(f"""SELECT u.id, k.x FROM uses u
            LEFT JOIN kinds k ON k.{column} = u.{column}""")}
    back = f"uses_by_{column}"
    kinds = client.call("FIND", "kinds", "FIELDS", "x", "WITH", back)
    assert {r["x"]: sorted(u["id"] for u in r[back]) for r in kinds} == {
        x: json.loads(ids) for x, ids in tables.sql(f"""SELECT k.x,
            coalesce(json_agg(u.id ORDER BY u.id) FILTER (WHERE u.id > 0),
            '[]') FROM kinds k LEFT JOIN uses u ON k.{column} = u.{column}
            GROUP BY 1""")}


def test_keys_of_several_columns(tables, lockkeeperd):
    tables.sql("""CREATE TABLE shops (country char(2), "no." int, name text,
            PRIMARY KEY (country, "no."));
        CREATE TABLE staff (id int PRIMARY KEY, country char(2), shop int,
            FOREIGN KEY (country, shop) REFERENCES shops);
        INSERT INTO shops VALUES ('de', 1, 'A'), ('de', 2, 'B'), ('fr', 1, 'C');
        INSERT INTO staff VALUES (1, 'de', 2), (2, 'fr', 1), (3, 'de', NULL),
            (4, NULL, 1), (5, 'de', 2), (6, NULL, NULL)""")
    client = lockkeeperd().connect("3")
    with counted(client, 2):
        shops = client.call("FIND", "shops", "FIELDS", "name", "WITH",
                            "staff::id")
    assert {s["name"]: [p["id"] for p in s["staff"]] for s in shops} == {
        "A": [], "B": [1, 5], "C": [2]}
    staff = client.call("DESCRIBE", "staff")
    relation, = (r["name"] for r in staff["relations"])
    with counted(client, 2):
        staff = client.call("FIND", "staff", "ORDER", "id", "WITH", relation)
    assert [s[relation] and s[relation]["name"] for s in staff] == [
        "B", "C", None, None, "B", None]


def test_names_that_want_quotes(tables, lockkeeperd):
    tables.sql('''DROP SCHEMA IF EXISTS "Odd s" CASCADE; CREATE SCHEMA "Odd s";
        CREATE TABLE "Odd s"."sel.ect" ("from" int PRIMARY KEY, "a,b" text,
            "where_id" int REFERENCES "Odd s"."sel.ect");
        INSERT INTO "Odd s"."sel.ect" VALUES (1, 'x', NULL), (2, 'y', 1),
            (3, 'a', 1)''')
    try:
        client = lockkeeperd().connect("3")
        back, = (r["name"] for r in client.call(
            "DESCRIBE", "Odd s.sel.ect")["relations"] if r["name"] != "where")
        got = client.call("FIND", "Odd s.sel.ect", "ORDER", "from", "WITH",
                          f'where,"{back}":5:"a,b",from')
        assert [(r["from"], r["where"] and r["where"]["from"],
                 [b["from"] for b in r[back]]) for r in got] == [
            (1, None, [3, 2]), (2, 1, []), (3, 1, [])]
    finally:
        tables.sql('DROP SCHEMA "Odd s" CASCADE')


def test_keys_that_no_array_lists(tables, lockkeeperd):
    tables.sql("""CREATE TYPE pair AS (a int, b int);
        CREATE TABLE lists (l int[] PRIMARY KEY, p pair UNIQUE);
        CREATE TABLE uses (id int PRIMARY KEY, l int[] REFERENCES lists,
            p pair REFERENCES lists (p));
        INSERT INTO lists VALUES ('{1,2}', '(1,2)');
        INSERT INTO uses VALUES (1, '{1,2}', '(1,2)')""")
    client = lockkeeperd().connect("3")
    for column in "lp":
        relation = f"lists_by_{column}"
        error = client.fails("SYNTAX", "FIND", "uses", "WITH", relation)
        assert f"LOAD {relation} row by row" in error
        assert client.call("LOAD", "uses", "1", relation)["l"] == [1, 2]


# -- what is refused

def test_replies_nest_so_deep(c):
    error = c.fails("SYNTAX", "FIND", "users", "WITH",
                    "posts.comments.writer.posts")
    assert "nest 9 deep, and 7 is the most" in error
    assert c.call("FIND", "users", "WITH", "posts.comments.writer")
    assert c.call("=json", "FIND", "users", "WITH",
                  "posts.comments.writer.posts")
    error = c.fails("SYNTAX", "=table", "FIND", "users", "WITH",
                    "posts.comments")
    assert "nest 9 deep" in error
    # As the connection's rows are, where the request does not say.
    c.call("HELLO", "3", "ROWS", "table")
    c.fails("SYNTAX", "FIND", "users", "WITH", "posts.comments")
    far = "post.author" + 9 * ".posts.author" + ".posts"
    assert c.call("=json", "GET", "comments", "1", "WITH", far)
    error = c.fails("SYNTAX", "=json", "GET", "comments", "1", "WITH",
                    f"{far}.author")
    assert "nest 33 deep, and 32 is the most" in error


def test_what_is_no_relation_is_said(c):
    assert "users.name is a column" in c.fails(
        "SYNTAX", "FIND", "users", "WITH", "name")
    assert "no column or relation \"nothing\"" in c.fails(
        "NOCOLUMN", "FIND", "users", "WITH", "posts.nothing")
    c.fails("NOCOLUMN", "FIND", "users", "WITH", "posts:1:nothing")
    c.fails("SYNTAX", "FIND", "users", "WITH", "posts:x")
    c.fails("SYNTAX", "COUNT", "users", "WITH", "posts")


def test_a_relation_made_a_moment_ago(tables, c):
    c.fails("NOCOLUMN", "FIND", "users", "WITH", "pets")
    tables.sql("""CREATE TABLE pets (id int PRIMARY KEY,
        owner_id int REFERENCES users); INSERT INTO pets VALUES (1, 2)""")
    assert c.call("GET", "users", "2", "WITH", "pets")["pets"] == [
        {"id": 1, "owner_id": 2}]


# -- how large

def test_what_is_kept_is_limited(tables, lockkeeperd):
    client = lockkeeperd(limits={"result": "1MiB"}).connect("3")
    tables.sql("UPDATE posts SET title = repeat('x', 150000)")
    assert len(client.call("=json", "GET", "users", "1", "WITH", "posts")) \
        > 450000
    for request in ["FIND users WITH posts", "FIND users WITH posts,boss",
                    "FIND users WITH profiles,posts.comments"]:
        error = client.fails("OVERLOAD", *request.split())
        assert "limits.result" in error
    # The session goes on.
    assert client.call("GET", "users", "1", "WITH", "boss")["boss"] is None
    assert len(client.show("workers")) >= 1


def test_what_is_said_is_limited(tables, lockkeeperd):
    """One author, of whom there is much to say, has all the posts."""
    client = lockkeeperd(limits={"result": "1MiB"}).connect("3")
    tables.sql("""UPDATE users SET name = repeat('x', 150000) WHERE id = 1;
        UPDATE posts SET author_id = 1""")
    for form in FORMS:
        error = client.fails("OVERLOAD", f"={form}", "FIND", "posts", "WITH",
                             "author")
        assert "limits.result" in error
    assert client.call("FIND", "posts", "LIMIT", "5", "WITH", "author")


def test_a_huge_relation_is_not_read_to_its_end(tables, lockkeeperd):
    tables.sql("""INSERT INTO posts (id, author_id, title)
        SELECT i, 1, repeat('x', 300) FROM generate_series(100, 40000) i""")
    client = lockkeeperd(limits={"result": "64KiB"}).connect("3")
    with within(500, "a relation that is too large"):
        client.fails("OVERLOAD", "GET", "users", "1", "WITH", "posts")
    handle = f"#{client.call('BEGIN')}"
    client.fails("OVERLOAD", handle, "GET", "users", "1", "WITH", "posts")
    client.fails("TXABORTED", handle, "GET", "users", "1")
    client.call(handle, "ROLLBACK")


# -- FIELDS and FOR

def test_keys_that_were_not_asked_for_do_not_appear(c):
    for form in FORMS:
        row = c.call(f"={form}", "GET", "posts", "3", "FIELDS", "title,title",
                     "WITH", "author,comments:1:id,labels")
        if form == "json":
            row = json.loads(row)
        names = row["columns"] if form == "table" else list(row)
        assert names == ["title", "title_2", "author", "comments", "labels"]


def test_only_the_verbs_own_rows_are_locked(tables, c):
    tx = f"#{c.call('BEGIN')}"
    row = c.call(tx, "GET", "posts", "3", "WITH", "author,comments", "FOR",
                 "UPDATE")
    assert row["author"]["id"] == 3 and row["comments"]
    other = tables.connect()
    other.query("UPDATE users SET name = 'Z' WHERE id = 3")
    other.query("UPDATE comments SET text = 'z'")
    other.start("UPDATE posts SET title = 'z' WHERE id = 3")
    time.sleep(0.1)
    assert other.is_waiting()
    c.call(tx, "ROLLBACK")
    other.finish()


# -- transactions

def test_a_transaction_sees_its_own(c):
    tx = f"#{c.call('BEGIN')}"
    with counted(c, 4):
        c.call(tx, "CREATE", "users", "id", "=", "9", "boss_id", "=", "1")
        c.call(tx, "CREATE", "posts", "id", "=", "99", "author_id", "=", "9")
        row = c.call(tx, "GET", "users", "9", "FIELDS", "id", "WITH", "posts")
    assert [p["id"] for p in row["posts"]] == [99]
    c.call(tx, "ROLLBACK")
    assert c.call("GET", "users", "9", "WITH", "posts") is None


def test_the_first_statement_of_a_transaction(c):
    tx = f"#{c.call('BEGIN', 'REPEATABLE', 'READ')}"
    assert c.call(tx, "GET", "users", "2", "WITH", "boss")["boss"]["id"] == 1
    c.call("CREATE", "posts", "id", "=", "99", "author_id", "=", "2")
    seen = c.call(tx, "GET", "users", "2", "WITH", "posts")["posts"]
    assert 99 not in [p["id"] for p in seen]
    c.call(tx, "COMMIT")
    seen = c.call("GET", "users", "2", "WITH", "posts")["posts"]
    assert 99 in [p["id"] for p in seen]


def test_an_error_below_is_the_requests(tables, c):
    assert c.call("GET", "users", "1", "WITH", "profiles")["profiles"]
    # The snapshot is older than that.
    tables.sql("ALTER TABLE profiles RENAME TO gone")
    assert "profiles" in c.fails(
        "NOCOLUMN", "GET", "users", "1", "WITH", "profiles")
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "GET", "users", "1", "WITH", "gone")
    c.call(tx, "ROLLBACK")
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "GET", "posts", "1")
    tables.sql("ALTER TABLE gone RENAME TO profiles")
    assert "42P01" in c.fails("PG", tx, "GET", "users", "1", "WITH", "gone")
    c.fails("TXABORTED", tx, "GET", "users", "1")
    c.call(tx, "ROLLBACK")
    assert c.call("GET", "users", "1", "WITH", "profiles")["profiles"]


def test_prepared_statements_of_all_levels_are_made_anew(tables, lockkeeperd):
    client = lockkeeperd(workers={"min": 1, "max": 1}).connect("3")
    request = ["GET", "users", "2", "WITH", "boss,posts.comments"]
    for _ in range(3):
        before = client.call(*request)
    tables.sql("""ALTER TABLE users ALTER name TYPE varchar(40);
        ALTER TABLE posts ALTER score TYPE float4, ALTER title TYPE varchar;
        ALTER TABLE comments ALTER "text" TYPE varchar""")
    assert client.call(*request) == before
    # Nothing but BEGIN was done before it.
    tx = f"#{client.call('BEGIN')}"
    tables.sql("ALTER TABLE posts ALTER score TYPE float8")
    assert client.call(tx, *request) == before
    client.call(tx, "ROLLBACK")
    tx = f"#{client.call('BEGIN')}"
    client.call(tx, "GET", "labels", "new")
    tables.sql("ALTER TABLE comments ALTER \"text\" TYPE text")
    assert "cached plan" in client.fails("PG", tx, *request)
    client.call(tx, "ROLLBACK")
    assert client.call(*request) == before


# -- cursors

def test_a_cursors_rows_bring_theirs(tables, lockkeeperd):
    client = lockkeeperd().connect("3")
    tx = f"#{client.call('BEGIN')}"
    request = ["FIND", "users", "ORDER", "id", "FIELDS", "name", "WITH",
               "posts:2:-id,posts.author"]
    wanted = client.call(*request)
    with counted(client, 6):
        cursor = client.call(tx, "OPEN", *request)
        assert client.call(tx, "FETCH", cursor, "3") == wanted[:3]
        assert client.call(tx, "FETCH", cursor, "3") == wanted[3:]
    with counted(client, 1):
        assert client.call(tx, "FETCH", cursor, "3") == []
    cursor = client.call(tx, "OPEN", *request)
    # One level less would do, and the transaction goes on.
    error = client.fails("SYNTAX", "=table", tx, "FETCH", cursor, "3")
    assert "WITH posts.author: rows would nest 9 deep" in error
    assert [json.loads(row) for row in client.call(
        "=json", tx, "FETCH", cursor, "4")] == wanted
    client.call(tx, "CLOSE", cursor)
    client.call(tx, "COMMIT")


# -- ending early, with the children's table locked

@pytest.fixture
def stuck(tables, lockkeeperd):
    """A client, and a session that holds up what is asked for comments."""
    daemon = lockkeeperd(workers={"min": 2, "max": 2})
    holder = tables.connect()
    holder.query("BEGIN; LOCK TABLE comments")
    return daemon.connect("3"), holder


STUCK = ["FIND", "users", "WITH", "posts.comments,boss"]


def test_it_waits_for_locks_below(tables, stuck):
    client, holder = stuck
    client.send("@x", *STUCK)
    tables.wait_for_waiters(1)
    assert not client.has_reply("x")
    holder.query("COMMIT")
    users = good(client.tag("x"))
    assert any(p["comments"] for u in users for p in u["posts"])


def test_it_is_cancelled(tables, stuck):
    client, _ = stuck
    client.send("@x", *STUCK)
    tables.wait_for_waiters(1)
    assert client.call("CANCEL", "x") == 1
    bad("CANCELED", client.tag("x"))
    assert len(client.call("FIND", "users", "WITH", "posts")) == 4
    eventually(lambda: tables.n_waiting() == 0, "nobody waits")


def test_it_has_a_deadline(stuck):
    client, _ = stuck
    with within(300, "a deadline below"):
        client.fails("TIMEOUT", "~100", *STUCK)
    with within(300, "a lock timeout below"):
        error = client.fails("LOCKTIMEOUT", "?100", *STUCK)
    assert "comments" in error
    assert len(client.call("FIND", "users", "WITH", "posts")) == 4


def test_it_ends_with_its_client(tables, stuck):
    client, _ = stuck
    client.send(*STUCK)
    tables.wait_for_waiters(1)
    client.close()
    eventually(lambda: tables.n_waiting() == 0, "nobody waits")
    eventually(lambda: not tables.busy(), "no session is busy")


@pytest.mark.parametrize("is_in_tx", [False, True])
def test_its_session_dies(tables, stuck, is_in_tx):
    client, _ = stuck
    tx = [f"#{client.call('BEGIN')}"] if is_in_tx else []
    client.send("@x", *tx, *STUCK)
    killed = "0"
    # Outside a transaction it is asked once more.
    for _ in range(1 if tx else 2):
        killed, = eventually(lambda: tables.sql(f"""SELECT pid
            FROM pg_stat_activity WHERE wait_event_type = 'Lock'
            AND pid <> {killed}"""), "it waits")[0]
        tables.sql(f"SELECT pg_terminate_backend({killed})")
    bad("CONNLOST", client.tag("x"))
    if tx:
        client.fails("TXABORTED", *tx, "GET", "users", "1")
        client.call(*tx, "ROLLBACK")
    eventually(lambda: len(client.call("FIND", "users", "WITH", "boss")) == 4,
               "another session serves")


# -- sessions are clean behind it

def test_the_session_is_cleaned_behind_the_last_level(tables, lockkeeperd):
    # What a table with a trigger may call is not known.
    tables.sql("""CREATE TRIGGER kept BEFORE UPDATE ON users FOR EACH ROW
        EXECUTE FUNCTION suppress_redundant_updates_trigger()""")
    client = lockkeeperd(workers={"min": 1, "max": 1}).connect("3")
    client.call("FIND", "users", "WITH", "posts.comments")
    eventually(lambda: tables.backends(
        "query !~ 'SELECT' AND state = 'idle'"), "it was cleaned last")


def test_many_at_once(tables, lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 6})
    wrong = []

    def ask(i):
        with daemon.connect("3") as client:
            for k in range(20):
                row = client.call("=json", "GET", "users", i % 4 + 1, "FIELDS",
                                  "id", "WITH", "posts::id,posts.author,boss")
                row = json.loads(row)
                if any(p["author"]["id"] != row["id"] for p in row["posts"]) \
                        or (row["boss"] or {}).get("id") not in (None, 1, 2):
                    wrong.append((i, k, row))

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
