"""What travels on the wire: HELLO, inline requests, values, errors."""
import json

import pytest

from client import Client, Closed, LkError, Simple, bad, encode, pairs

HELLO_KEYS = {"server", "version", "proto", "id", "mode", "role", "modules",
              "protocol", "features", "database", "databases"}


def bulk(data):
    data = data if isinstance(data, bytes) else data.encode()
    return b"$%d\r\n%s\r\n" % (len(data), data)


def row_of(proto, value):
    """Bytes of the reply with one row whose column v is value."""
    header = b"%1\r\n" if proto == 3 else b"*2\r\n"
    return b"*1\r\n" + header + bulk("v") + value


def assert_bytes(client, expected, *args):
    client.send(*args)
    got = client.read_raw(len(expected))
    assert got == expected
    client.send("PING", "end")		# nothing more comes than that
    assert client.read_raw(9) == b"$3\r\nend\r\n"


# -- HELLO

def test_hello_3_is_a_map_with_redis_keys_and_ours(daemon):
    hello = daemon.connect("3").hello
    assert isinstance(hello, dict)
    assert HELLO_KEYS <= set(hello)
    assert hello["proto"] == 3
    assert hello["database"] == "main"
    assert hello["databases"] == ["main"]
    assert isinstance(hello["modules"], list)


def test_hello_2_is_the_same_map_as_a_flat_array(daemon):
    hello = daemon.connect("2").hello
    assert isinstance(hello, list)
    assert HELLO_KEYS <= set(pairs(hello))
    assert pairs(hello)["proto"] == 2


def test_a_connection_speaks_resp2_until_hello_3(daemon):
    c = daemon.connect(None)
    assert_bytes(c, row_of(2, b"$-1\r\n"), "SQL", "SELECT NULL AS v")
    c.call("HELLO", "3")
    assert_bytes(c, row_of(3, b"_\r\n"), "SQL", "SELECT NULL AS v")
    c.call("HELLO", "2")
    assert_bytes(c, row_of(2, b"$-1\r\n"), "SQL", "SELECT NULL AS v")


def test_hello_without_version_keeps_the_one_in_use(daemon):
    c = daemon.connect("3")
    assert c.call("HELLO")["proto"] == 3
    assert pairs(daemon.connect("2").call("HELLO"))["proto"] == 2


def test_hello_takes_options_without_a_version(daemon):
    c = daemon.connect("3")
    assert c.call("HELLO", "NAME", "later")["proto"] == 3
    assert [row["name"] for row in c.show("clients")] == ["later"]


def test_hello_gives_each_connection_another_id(daemon):
    ids = {daemon.connect("3").hello["id"] for _ in range(5)}
    assert len(ids) == 5


def test_hello_4_is_noproto_and_changes_nothing(daemon):
    c = daemon.connect("3")
    error = c.fails("NOPROTO", "HELLO", "4")
    assert error.sqlstate == "0A000"
    assert_bytes(c, row_of(3, b"_\r\n"), "SQL", "SELECT NULL AS v")


def test_hello_with_an_unknown_word_is_syntax_and_changes_nothing(daemon):
    c = daemon.connect("3")
    c.fails("SYNTAX", "HELLO", "2", "NOSUCHWORD", "x")
    assert_bytes(c, row_of(3, b"_\r\n"), "SQL", "SELECT NULL AS v")


def test_hello_name_is_seen_in_show_clients(daemon):
    c = daemon.connect("3", "NAME", "billing")
    assert "billing" in [row.get("name") for row in c.show("clients")]


def test_hello_rows_sets_the_default_form(daemon):
    c = daemon.connect("3", "ROWS", "table")
    assert c.sql("SELECT 1 AS a, 2 AS b")["rows"] == [[1, 2]]
    c = daemon.connect("2", "ROWS", "json")
    assert [json.loads(r) for r in c.sql("SELECT 1 AS a")] == [{"a": 1}]


# -- simple verbs and inline requests

@pytest.mark.parametrize("proto", ["2", "3"])
def test_ping_answers_pong_or_its_argument(daemon, proto):
    c = daemon.connect(proto)
    reply = c.call("PING")
    assert reply == "PONG" and isinstance(reply, Simple)
    reply = c.call("PING", "hello there")
    assert reply == "hello there" and not isinstance(reply, Simple)
    assert c.call("ping") == "PONG"


def test_quit_answers_ok_and_closes(daemon):
    c = daemon.connect("3")
    c.send("QUIT")
    assert c.read_to_end() == b"+OK\r\n"


def test_quit_leaves_after_the_replies_before_it(daemon):
    c = daemon.connect("3")
    c.send("SQL", "SELECT 1 AS v FROM pg_sleep(0.1)")
    c.send("QUIT")
    assert c.read_to_end() == row_of(3, b":1\r\n") + b"+OK\r\n"


@pytest.mark.parametrize("last, said", [
    (b"QUIT\r\n", "OK"),
    (b"@q QUIT\r\n", None),
    (b"*1\r\n!", "PROTO"),
], ids=["quit", "tagged_quit", "proto"])
def test_tagged_replies_that_are_due_leave_before_the_end(
        db, daemon, last, said):
    c = daemon.connect("3")
    c.send("@slow", "SQL", "SELECT 1 AS v FROM pg_sleep(0.3)")
    c.send("@held", "SQL", "UPDATE r SET v = 7 FROM pg_sleep(0.1) "
                           "WHERE id = 1")
    c.send_raw(last)
    if said is None:
        assert c.tag("q") == "OK"
    else:
        assert said in c.recv()
    assert c.tag("held") == "UPDATE 1"
    assert c.tag("slow") == [{"v": 1}]
    with pytest.raises(Closed):
        c.pump(5)
    assert db.v(1) == 7


@pytest.mark.parametrize("line,reply", [
    (b"PING\r\n", b"+PONG\r\n"),
    (b"PING\n", b"+PONG\r\n"),
    (b"  ping   hi  \r\n", b"$2\r\nhi\r\n"),
    (b'PING "a b\\n\\x41\\""\r\n', b'$6\r\na b\nA"\r\n'),
    (b"PING 'a \"b'\r\n", b'$4\r\na "b\r\n'),
    (b"PING ''\r\n", b"$0\r\n\r\n"),
    (b"\r\n\r\nPING\r\n", b"+PONG\r\n"),
    (b"*0\r\nPING\r\n", b"+PONG\r\n"),
    (b'SQL "SELECT 1 AS v"\r\n', b"*1\r\n*2\r\n$1\r\nv\r\n:1\r\n"),
])
def test_an_inline_request_is_quoted_as_redis_quotes(daemon, line, reply):
    c = daemon.connect(None)
    c.send_raw(line)
    assert c.read_raw(len(reply)) == reply


def test_an_unknown_verb_is_syntax_and_is_named(daemon):
    c = daemon.connect("3")
    error = c.fails("SYNTAX", "FROBNICATE", "x")
    assert error.sqlstate == "42601"
    assert "FROBNICATE" in error.message
    assert c.call("PING") == "PONG"


@pytest.mark.parametrize("request_", [
    ("SQL",), ("GIVE", "1"), ("CANCEL",), ("AWAIT",), ("SAVEPOINT",),
    ("RELEASE",), ("ROLLBACK", "TO"), ("BEGIN", "SOMEHOW"),
    ("COMMIT", "NOW"), ("SHOW", "nonsense"), ("SHOW",), ("PING", "a", "b")])
def test_wrong_arguments_are_syntax(daemon, request_):
    c = daemon.connect("3")
    c.fails("SYNTAX", *request_)
    assert c.call("PING") == "PONG"


def test_requests_may_come_byte_by_byte(daemon):
    c = daemon.connect("3")
    for byte in encode(["SQL", "SELECT $1::int AS v", "7"]):
        c.send_raw(bytes([byte]))
    assert c.recv() == [{"v": 7}]


def test_a_pipeline_of_requests_is_answered_in_order(daemon):
    c = daemon.connect("3")
    c.send_raw(b"".join(encode(["SQL", f"SELECT {i} AS v"])
                        for i in range(200)))
    assert [c.recv() for _ in range(200)] == [[{"v": i}] for i in range(200)]


@pytest.mark.parametrize("rubbish", [
    b"*2\r\n+PING\r\n", b"*x\r\n", b"*1\r\n$-5\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxx", b"*1000000000\r\n", b"*1\r\n$99999999999\r\n",
    b"*-2\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n", b'PING "open\r\n'])
def test_bytes_that_are_no_resp_get_proto_and_the_end(daemon, rubbish):
    c = daemon.connect(None)
    c.send_raw(encode(["PING"]) + rubbish)
    said = c.read_to_end()
    assert said.startswith(b"+PONG\r\n-PROTO 08P01 "), said
    assert said.count(b"\r\n") == 2


# -- values out

VALUES = [
    # expression, RESP3, RESP2 (None: the same)
    ("NULL::int", b"_\r\n", b"$-1\r\n"),
    ("true", b"#t\r\n", b":1\r\n"),
    ("false", b"#f\r\n", b":0\r\n"),
    ("(-7)::int2", b":-7\r\n", None),
    ("2147483647::int4", b":2147483647\r\n", None),
    ("'-9223372036854775808'::int8", b":-9223372036854775808\r\n", None),
    ("4294967295::oid", b":4294967295\r\n", None),
    ("0.1::float4", b",0.1\r\n", bulk("0.1")),
    ("0.1::float8 + 0.2::float8", b",0.30000000000000004\r\n",
     bulk("0.30000000000000004")),
    ("1e300::float8", b",1e+300\r\n", bulk("1e+300")),
    ("'NaN'::float8", bulk("NaN"), None),
    ("'NaN'::float4", bulk("NaN"), None),
    ("'Infinity'::float8", bulk("Infinity"), None),
    ("'-Infinity'::float4", bulk("-Infinity"), None),
    ("1.10::numeric", bulk("1.10"), None),
    ("'NaN'::numeric", bulk("NaN"), None),
    ("''::text", bulk(""), None),
    ("E'a\\r\\nb'::text", bulk("a\r\nb"), None),
    ("'h\u00e9\u00df \u4e16'::varchar", bulk("h\u00e9\u00df \u4e16"), None),
    ("'ab'::char(4)", bulk("ab  "), None),
    ("'\\x00ff0d0a'::bytea", bulk(b"\x00\xff\r\n"), None),
    ("''::bytea", bulk(b""), None),
    ("date '2024-02-29'", bulk("2024-02-29"), None),
    ("timestamptz '2024-01-02 03:04:05.5+02'",
     bulk("2024-01-02 01:04:05.5+00"), None),
    ("timestamp 'infinity'", bulk("infinity"), None),
    ("interval '1 day 2 hours'", bulk("1 day 02:00:00"), None),
    ("time '10:11'", bulk("10:11:00"), None),
    ("'{\"a\": [1]}'::jsonb", bulk('{"a": [1]}'), None),
    ("'6f1c5a2e-0000-4000-8000-000000000001'::uuid",
     bulk("6f1c5a2e-0000-4000-8000-000000000001"), None),
    ("'angry'::mood", bulk("angry"), None),
    ("ROW(1, 'a,b')", bulk('(1,"a,b")'), None),
    ("int4range(1, 5)", bulk("[1,5)"), None),
    # arrays
    ("'{}'::int[]", b"*0\r\n", None),
    ("NULL::int[]", b"_\r\n", b"$-1\r\n"),
    ("ARRAY[1,NULL,3]", b"*3\r\n:1\r\n_\r\n:3\r\n",
     b"*3\r\n:1\r\n$-1\r\n:3\r\n"),
    ("ARRAY[[1,2],[3,4]]",
     b"*2\r\n*2\r\n:1\r\n:2\r\n*2\r\n:3\r\n:4\r\n", None),
    ("'[2:3]={7,8}'::int8[]", b"*2\r\n:7\r\n:8\r\n", None),
    ("ARRAY[[[1],[2]]]::int2[]",
     b"*1\r\n*2\r\n*1\r\n:1\r\n*1\r\n:2\r\n", None),
    ("ARRAY[true,NULL]", b"*2\r\n#t\r\n_\r\n", b"*2\r\n:1\r\n$-1\r\n"),
    ("ARRAY[1.5,'NaN']::float8[]", b"*2\r\n,1.5\r\n" + bulk("NaN"),
     b"*2\r\n" + bulk("1.5") + bulk("NaN")),
    ("ARRAY['a,b', 'say \"x\"', 'NULL', NULL, '', E'back\\\\slash', '{}']",
     b"*7\r\n" + bulk("a,b") + bulk('say "x"') + bulk("NULL") + b"_\r\n"
     + bulk("") + bulk("back\\slash") + bulk("{}"),
     b"*7\r\n" + bulk("a,b") + bulk('say "x"') + bulk("NULL") + b"$-1\r\n"
     + bulk("") + bulk("back\\slash") + bulk("{}")),
    ("ARRAY[1.50,2]::numeric[]", b"*2\r\n" + bulk("1.50") + bulk("2"), None),
    ("ARRAY['\\x00ff'::bytea, NULL]", b"*2\r\n" + bulk(b"\x00\xff") + b"_\r\n",
     b"*2\r\n" + bulk(b"\x00\xff") + b"$-1\r\n"),
    ("ARRAY['angry','happy']::mood[]",
     b"*2\r\n" + bulk("angry") + bulk("happy"), None),
    ("ARRAY[box '((1,2),(3,4))', box '((5,6),(7,8))']",
     b"*2\r\n" + bulk("(3,4),(1,2)") + bulk("(7,8),(5,6)"), None),
    ("ARRAY[date '2024-02-29']", b"*1\r\n" + bulk("2024-02-29"), None),
]


@pytest.mark.parametrize("proto", [2, 3])
def test_values_travel_as_these_bytes(db, daemon, proto):
    db.sql("CREATE TYPE mood AS ENUM ('happy', 'angry')")
    c = daemon.connect(str(proto))
    c.hello = None
    wrong = []
    for expression, resp3, resp2 in VALUES:
        value = resp3 if proto == 3 or resp2 is None else resp2
        expected = row_of(proto, value)
        c.send("SQL", f"SELECT {expression} AS v")
        c.send("PING", "end")
        got = b""
        while not got.endswith(b"$3\r\nend\r\n"):
            got += c.read_raw(1)
        got = got[:-len(b"$3\r\nend\r\n")]
        if got != expected:
            wrong.append((expression, got, expected))
    assert not wrong


def test_an_enum_array_of_a_type_made_after_the_start_is_an_array(db, daemon):
    c = daemon.connect("3")
    c.sql("SELECT 1")
    c.sql("CREATE TYPE late AS ENUM ('x', 'y')")
    assert c.value("SELECT ARRAY['x','y']::late[] AS v") == ["x", "y"]


def test_text_forms_do_not_depend_on_the_databases_settings(db, lockkeeperd):
    for setting in ("datestyle = 'German, DMY'", "timezone = 'Asia/Tokyo'",
                    "intervalstyle = 'iso_8601'", "extra_float_digits = 0",
                    "bytea_output = 'escape'"):
        db.sql(f"ALTER DATABASE {db.name} SET {setting}")
    try:
        c = lockkeeperd().connect("3")
        assert c.sql("""SELECT timestamptz '2024-01-02 03:04:05+00' AS t,
            interval '1 day' AS i, 0.1::float8 + 0.2::float8 AS f,
            '\\x00c3a9'::bytea AS b""") == [{
                "t": "2024-01-02 03:04:05+00", "i": "1 day",
                "f": 0.30000000000000004, "b": "\x00\u00e9"}]
    finally:
        db.sql(f"ALTER DATABASE {db.name} RESET ALL")


def test_a_second_column_of_the_same_name_gets_a_number(daemon):
    c = daemon.connect("3")
    row, = c.sql("SELECT 1 AS id, 2 AS id, 3 AS id, 4 AS x")
    assert list(row.items()) == [("id", 1), ("id_2", 2), ("id_3", 3), ("x", 4)]


def test_no_rows_are_an_empty_array(daemon):
    c = daemon.connect(None)
    assert_bytes(c, b"*0\r\n", "SQL", "SELECT 1 WHERE false")


def test_many_rows_all_arrive(daemon):
    c = daemon.connect("3")
    rows = c.sql("SELECT i, repeat('x', 100) AS t "
                 "FROM generate_series(1, 20000) i")
    assert [row["i"] for row in rows] == list(range(1, 20001))


def test_a_large_value_arrives_whole(daemon):
    c = daemon.connect("3")
    assert c.value("SELECT repeat('abcdefgh', 500000)") == "abcdefgh" * 500000


def test_a_reply_above_limits_result_is_an_error_and_the_session_stays(
        lockkeeperd):
    daemon = lockkeeperd(limits={"result": "1MiB"})
    c = daemon.connect("3")
    c.fails("OVERLOAD", "SQL", "SELECT repeat('x', 2000000)")
    assert c.value("SELECT length(repeat('x', 500000))") == 500000


# -- values in

def all_bytes():
    return bytes(range(256))


@pytest.mark.parametrize("proto", [2, 3])
def test_bytea_is_the_raw_bytes_in_and_out(db, daemon, proto):
    c = daemon.connect(str(proto))
    assert_bytes(c, row_of(proto, bulk(all_bytes())),
                 "SQL", "SELECT $1::bytea AS v", all_bytes())
    db.sql("CREATE TABLE b (v bytea)")
    assert_bytes(c, b"+INSERT 0 1\r\n",
                 "SQL", "INSERT INTO b VALUES ($1)", all_bytes())
    assert db.value("SELECT encode(v, 'hex') FROM b") == all_bytes().hex()


def test_a_nul_in_text_is_an_error_and_nothing_runs(db, daemon):
    c = daemon.connect("3")
    db.sql("CREATE TABLE t (v text)")
    reply = c.try_call("SQL", "INSERT INTO t VALUES ($1)", b"a\0b")
    assert isinstance(reply, LkError)
    reply = c.try_call("SQL", b"INSERT INTO t VALUES ('a\0b')")
    assert isinstance(reply, LkError)
    assert db.value("SELECT count(*) FROM t") == "0"
    assert c.value("SELECT 1") == 1


def test_parameters_of_every_element_kind_are_accepted(daemon):
    c = daemon.connect("3")
    c.send_raw(b"*7\r\n$3\r\nSQL\r\n" + bulk(
        "SELECT $1::int8 AS a, $2::float8 AS b, $3::bool AS c, $4::text AS d,"
        " $5::text AS e") + b":42\r\n,1.5\r\n#t\r\n_\r\n$-1\r\n")
    assert c.recv() == [{"a": 42, "b": 1.5, "c": True, "d": None, "e": None}]


def test_the_empty_string_is_not_null(daemon):
    c = daemon.connect("3")
    assert c.value("SELECT $1::text IS NULL", "") is False
    assert c.value("SELECT $1::text IS NULL", None) is True
    assert c.value("SELECT $1::text", "NULL") == "NULL"


def test_an_array_goes_in_as_postgresqls_literal(daemon):
    c = daemon.connect("3")
    assert c.value("SELECT $1::text[]", '{a,"b c",NULL}') == ["a", "b c", None]


def test_the_wrong_number_of_parameters_is_an_error(daemon):
    c = daemon.connect("3")
    assert isinstance(c.try_call("SQL", "SELECT $1::int"), LkError)
    assert isinstance(c.try_call("SQL", "SELECT 1", "2"), LkError)
    assert c.value("SELECT 1") == 1


# -- tags and errors

@pytest.mark.parametrize("sql,tag", [
    ("UPDATE r SET v = 1 WHERE id <= 3", "UPDATE 3"),
    ("INSERT INTO r VALUES (1000), (1001)", "INSERT 0 2"),
    ("DELETE FROM r WHERE id = 5", "DELETE 1"),
    ("CREATE TABLE n (i int)", "CREATE TABLE"),
    ("SET work_mem = '1MB'", "SET"),
    ("DO $$ BEGIN END $$", "DO"),
    ("/* a */ UPDATE r SET v = 1 WHERE id = 1;", "UPDATE 1"),
])
def test_a_statement_without_rows_answers_its_command_tag(daemon, sql, tag):
    assert_bytes(daemon.connect(None), b"+%s\r\n" % tag.encode(), "SQL", sql)


def test_returning_answers_rows(daemon):
    c = daemon.connect("3")
    assert c.sql("UPDATE r SET v = 5 WHERE id = 2 RETURNING id, v") == [
        {"id": 2, "v": 5}]


@pytest.mark.parametrize("proto", ["2", "3"])
def test_a_server_error_is_one_line_with_its_sqlstate(daemon, proto):
    c = daemon.connect(proto)
    assert_bytes(c, b"-PG 22012 division by zero\r\n", "SQL", "SELECT 1/0")
    error = c.fails("PG", "SQL", "INSERT INTO r VALUES (1)")
    assert error.sqlstate == "23505"
    c.send("SQL", r"DO $$ BEGIN RAISE EXCEPTION E'one\r\ntwo\nthree'; END $$")
    error = bad("PG", c.recv())
    assert error.sqlstate == "P0001"
    assert "one" in error.message and "three" in error.message
    assert c.call("PING") == "PONG"


def test_show_error_has_the_fields_of_the_last_one(daemon):
    c = daemon.connect("3")
    c.fails("PG", "SQL", "INSERT INTO r VALUES (1)")
    c.sql("SELECT 1")
    shown = c.call("SHOW", "error")
    assert shown["kind"] == "PG"
    assert shown["sqlstate"] == "23505"
    assert shown["table"] == "r"
    assert shown["constraint"] == "r_pkey"
    assert shown["retry"] == "no"
    assert "(1)" in shown["detail"]
    c.fails("PG", "SQL", "SELEKT 1")
    assert int(c.call("SHOW", "error")["position"]) == 1


def test_show_error_is_the_connections_own(daemon):
    a, b = daemon.connect("3"), daemon.connect("3")
    a.fails("PG", "SQL", "SELECT 1/0")
    assert not (b.call("SHOW", "error") or {}).get("message")


def test_an_error_does_not_spoil_the_next_of_a_pipeline(daemon):
    c = daemon.connect("3")
    for sql in ("SELECT 1 AS v", "SELECT 1/0", "SELECT 2 AS v"):
        c.send("SQL", sql)
    assert c.recv() == [{"v": 1}]
    bad("PG", c.recv())
    assert c.recv() == [{"v": 2}]


def test_a_prepared_statement_survives_a_change_of_its_table(db, daemon):
    c = daemon.connect("3")
    assert c.sql("SELECT * FROM r WHERE id = $1", "1") == [{"id": 1, "v": 0}]
    db.sql("ALTER TABLE r ADD w int")
    assert c.sql("SELECT * FROM r WHERE id = $1", "1") == [
        {"id": 1, "v": 0, "w": None}]


def test_a_closed_client_is_gone_from_show_clients(daemon):
    c = daemon.connect("3")
    other = Client(daemon.socket, "3", "NAME", "leaving")
    other.send("QUIT")
    other.read_to_end()
    names = [row["name"] for row in c.show("clients")]
    assert "leaving" not in names
    with pytest.raises(Closed):
        other.pump(1)


def test_more_parameters_than_can_be_described_are_refused(daemon):
    c = daemon.connect()

    def ask(n):
        marks = ",".join(f"${i + 1}::int" for i in range(n))
        return c.try_call("SQL", f"SELECT cardinality(ARRAY[{marks}]) AS v",
                          *["1"] * n)

    assert ask(7498) == [{"v": 7498}]
    error = bad("SYNTAX", ask(7499))
    assert "7499 parameters" in error.message and "ANY" in error.message
    assert ask(1) == [{"v": 1}]


@pytest.mark.parametrize("form, deepest", [("=maps", 5), ("=table", 4)])
def test_replies_nest_seven_deep_at_most(daemon, form, deepest):
    c = daemon.connect()

    def ask(n):
        ones = ",".join(["1"] * n)
        return c.try_call(form, "SQL",
                          f"SELECT array_fill(7, ARRAY[{ones}]) AS v")

    value = ask(deepest)
    for _ in range(deepest + 2 if form == "=maps" else deepest + 3):
        value = value["rows"] if isinstance(value, dict) and "rows" in value \
            else value["v"] if isinstance(value, dict) else value[0]
    assert value == 7
    assert "nest" in ask(deepest + 1).message
