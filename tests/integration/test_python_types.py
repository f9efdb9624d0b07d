"""The asyncio client's values: PostgreSQL's types as Python's, both ways."""
import asyncio
import datetime
import enum
import ipaddress
import pickle
import uuid
from decimal import Decimal

import pytest

import aio
import lockkeeper
from lockkeeper import Interval, Json, Multirange, Range

UTC = datetime.timezone.utc
D, T, DT = datetime.date, datetime.time, datetime.datetime
INF = float("inf")
HALF = datetime.timezone(datetime.timedelta(hours=5, minutes=30))

# (type, value): sent as a parameter of the type, it comes back the same.
BOTH_WAYS = [
    ("bool", True), ("bool", False),
    ("int2", -2 ** 15), ("int4", 2 ** 31 - 1), ("int8", -2 ** 63),
    ("int8", 2 ** 63 - 1), ("oid", 2 ** 32 - 1),
    ("float4", 0.5), ("float8", 1.7976931348623157e308), ("float8", 5e-324),
    ("float8", -0.0), ("float8", INF), ("float8", -INF), ("float8", 0.1),
    ("numeric", Decimal("0.1")), ("numeric", Decimal("-1E-30")),
    ("numeric", Decimal("1" + "0" * 60)), ("numeric", Decimal("1.00")),
    ("numeric", Decimal("Infinity")), ("numeric", Decimal("-Infinity")),
    ("text", ""), ("text", "NULL"), ("text", "ä\r\n\"'\\\t𝄞"),
    ("varchar", "x"), ("bpchar", "x"), ("name", "n"), ("xml", "<a/>"),
    ("bytea", b""), ("bytea", bytes(range(256))),
    ("uuid", uuid.UUID(int=0)), ("uuid", uuid.UUID(int=2 ** 128 - 1)),
    ("date", D(1, 1, 2)), ("date", D(9999, 12, 30)), ("date", D.max),
    ("date", D.min), ("date", D(2024, 2, 29)),
    ("time", T(0)), ("time", T(23, 59, 59, 999999)), ("time", T(1, 2, 3, 4)),
    ("timetz", T(1, 2, 3, tzinfo=UTC)), ("timetz", T(1, 2, tzinfo=HALF)),
    ("timestamp", DT(1, 1, 1, 0, 0, 0, 1)), ("timestamp", DT.max),
    ("timestamp", DT.min), ("timestamp", DT(2026, 11, 26, 1, 2, 3, 400000)),
    ("timestamptz", DT(2026, 11, 26, tzinfo=UTC)),
    ("timestamptz", DT.max.replace(tzinfo=UTC)),
    ("timestamptz", DT.min.replace(tzinfo=UTC)),
    ("interval", Interval()), ("interval", Interval(1, 2, 3)),
    ("interval", Interval(-14, 31, -1)), ("interval", Interval(0, 0, 86400 *
                                                               10 ** 6)),
    ("interval", Interval(12, -1, 1)), ("interval", Interval(0, 0, -1500000)),
    ("interval", Interval(0, 1, -1)), ("interval", Interval(-11, 0, 0)),
    ("json", {"a": [1, 2.5, None, True, "ä"]}), ("jsonb", {}),
    ("inet", ipaddress.ip_address("192.0.2.1")),
    ("inet", ipaddress.ip_interface("192.0.2.1/24")),
    ("inet", ipaddress.ip_address("2001:db8::1")),
    ("cidr", ipaddress.ip_network("192.0.2.0/24")),
    ("cidr", ipaddress.ip_network("2001:db8::/32")),
    ("int4[]", []), ("int4[]", [1, None, 3]), ("int4[]", [[1, 2], [3, 4]]),
    ("text[]", ["", "NULL", "null", None, "a,b", "{}", '"\\', " ", "ä"]),
    ("bool[]", [True, None, False]), ("float8[]", [0.5, INF]),
    ("numeric[]", [Decimal("1.5"), None]),
    ("bytea[]", [b"", b"\x00\xff", b"\\"]), ("uuid[]", [uuid.UUID(int=5)]),
    ("date[]", [D(2026, 1, 1), D.max]), ("interval[]", [Interval(1, 1, 1)]),
    ("timestamptz[]", [DT(2026, 1, 1, 1, tzinfo=UTC)]),
    ("jsonb[]", [{"a": '"'}, {"b": None}]),
    ("inet[]", [ipaddress.ip_address("192.0.2.1")]),
    ("int4range", Range(1, 5)), ("int4range", Range(None, 5)),
    ("int4range", Range(1, None)), ("int4range", Range(None, None)),
    ("int4range", Range.empty()), ("int8range", Range(-2 ** 62, 2 ** 62)),
    ("numrange", Range(Decimal("1.5"), Decimal("2.5"), "(]")),
    ("numrange", Range(Decimal("1.5"), Decimal("1.5"), "[]")),
    ("daterange", Range(D(2026, 1, 1), D(2026, 2, 1))),
    ("tsrange", Range(DT(2026, 1, 1, 1), DT(2026, 2, 1), "[]")),
    ("tstzrange", Range(DT(2026, 1, 1, tzinfo=UTC), None, "()")),
    ("int4range[]", [Range(1, 2), Range.empty(), None]),
    ("int4multirange", Multirange()),
    ("int4multirange", Multirange([Range(1, 2), Range(5, None)])),
    ("datemultirange", Multirange([Range(D(2026, 1, 1), D(2026, 1, 2))])),
    ("tsmultirange", Multirange([Range(DT(2026, 1, 1, 1), DT(2026, 1, 2))])),
    # Of types of the test's own, see SCHEMA.
    ("mood", "so so"), ("mood[]", ["sad", "so so", None]),
    ("money_amount", Decimal("1.50")), ("words", ["a", "b"]),
    ("floatrange", Range(0.5, 1.5)),
    ("floatrange[]", [Range(0.5, None)]),
    ("pair", (1, "x")), ("pair", (None, None)), ("pair", (2, 'a"b\\,()')),
    ("pair", (3, "")), ("pair[]", [(1, "x"), None, (None, 'q"')]),
    ("nest", ((1, "x"), [1, None, 2], b"\x00\\", [(2, ",")], True, "sad",
              Decimal("2.5"), D(2026, 1, 1), [["a", '"'], ["c", "NULL"]])),
    ('"Odd Name"', (Range(1, 2), {"k": [1]})),
]

SCHEMA = """CREATE TYPE mood AS ENUM ('sad', 'so so');
    CREATE DOMAIN money_amount AS numeric CHECK (value >= 0);
    CREATE DOMAIN words AS text[];
    CREATE TYPE floatrange AS RANGE (subtype = float8);
    CREATE TYPE pair AS (a int, b text);
    CREATE TYPE nest AS (p pair, i int[], b bytea, ps pair[], ok bool, m mood,
        n money_amount, d date, t text[]);
    CREATE TYPE "Odd Name" AS (r int4range, j jsonb)"""


def same(a, b):
    """Equal, and of the same types all the way down."""
    if isinstance(a, Interval):
        return isinstance(b, Interval) and a.parts == b.parts
    if isinstance(a, tuple) and not isinstance(a, Multirange):
        return isinstance(b, lockkeeper.Record) \
            and len(a) == len(b) and all(map(same, a, b.values()))
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) \
            and all(map(same, a, b))
    return type(a) is type(b) and a == b and repr(a) == repr(b) \
        or isinstance(a, Range) and a == b


def test_values_come_back_as_they_went(db, daemon):
    db.sql(SCHEMA)

    async def program(lk):
        for name, value in BOTH_WAYS:
            got = await lk.fetchval(f"SELECT $1::{name}", value)
            assert same(value, got), (name, value, got)
            got = await lk.fetchval(f"SELECT $1::{name}", None)
            assert got is None, name
        nan = await lk.fetchval("SELECT $1::float8", float("nan"))
        assert nan != nan
        assert (await lk.fetchval("SELECT $1::numeric",
                                  Decimal("NaN"))).is_nan()

    aio.run(daemon, program)


def test_values_of_models_come_back_as_they_went(db, daemon):
    """In the form of rows that have related ones, too."""
    db.sql(SCHEMA)
    names = sorted({name for name, _ in BOTH_WAYS})
    columns = {name: f"c{i}" for i, name in enumerate(names)}
    db.sql("CREATE TABLE one (id int PRIMARY KEY, one_id int REFERENCES one, "
           + ", ".join(f"{columns[name]} {name}" for name in names) + ")")

    async def program(lk):
        for i, (name, value) in enumerate(BOTH_WAYS):
            column = columns[name]
            row = await lk.create("one", {"id": i, column: value, "one_id": i})
            assert same(value, row[column]), (name, value, row[column])
            row = await lk.get("one", i, with_=["one"])
            assert same(value, row[column]), (name, value, row[column])
            assert same(value, row.one[column]), (name, value)

    aio.run(daemon, program)


def test_columns_with_modifiers_and_domains_have_their_types(db, daemon):
    db.sql("""CREATE DOMAIN yes AS bool; CREATE DOMAIN number AS int;
        CREATE TABLE m (id int PRIMARY KEY, m_id int REFERENCES m,
            n numeric(10,2), v varchar(5), t timestamp(3), z timestamptz(0),
            i interval day to second(2), b bit(3), y yes, k number,
            ns numeric(4,1)[])""")
    row = {"id": 1, "m_id": 1, "n": Decimal("1.50"), "v": "x",
           "t": DT(2026, 1, 1), "z": DT(2026, 1, 1, tzinfo=UTC),
           "i": Interval(0, 1, 0), "b": "101", "y": True, "k": 5,
           "ns": [Decimal("0.5")]}

    async def program(lk):
        assert await lk.create("m", row) == row
        got = await lk.get("m", 1, with_=["m"])
        assert got == row | {"m": row}
        assert got.y is True and type(got.k) is int

    aio.run(daemon, program)


def test_other_forms_of_python_are_understood(db, daemon):
    class Mood(enum.Enum):
        SAD = "sad"

    class Flag(enum.IntEnum):
        ONE = 1

    class Text(str):
        pass

    db.sql(SCHEMA)
    cases = [
        ("mood", Mood.SAD, "sad"), ("int4", Flag.ONE, 1),
        ("text", Text("x"), "x"), ("bytea", bytearray(b"x"), b"x"),
        ("bytea", memoryview(b"x"), b"x"),
        ("interval", datetime.timedelta(days=-1, seconds=1),
         Interval(0, -1, 1000000)),
        ("timestamptz", DT(2026, 1, 1, 5, 30, tzinfo=HALF),
         DT(2026, 1, 1, tzinfo=UTC)),
        ("jsonb", Json([1, "a"]), [1, "a"]), ("jsonb", Json("a"), "a"),
        ("jsonb", Json(None), None), ("json", '{"a": 1}', {"a": 1}),
        ("text", 5, "5"), ("float8", 2, 2.0), ("numeric", 5, Decimal(5)),
        ("int4range", Range(1, 4, "[]"), Range(1, 5)),
    ]

    async def program(lk):
        for name, value, expected in cases:
            assert await lk.fetchval(f"SELECT $1::{name}", value) == expected
        row = await lk.fetchrow("SELECT ROW(1, 'x,')::pair AS p")
        assert await lk.fetchval("SELECT ($1::pair).b", row.p) == "x,"
        assert (row.p.a, row.p["b"], row.p) == (1, "x,", (1, "x,"))

    aio.run(daemon, program)


def test_what_python_cannot_hold_is_an_error_that_says_how_to_have_it(daemon):
    async def program(lk):
        for text in ("'10000-01-01'::date", "'4000-01-01 BC'::timestamp",
                     "'24:00'::time", "'200000-1-1'::timestamptz"):
            with pytest.raises(lockkeeper.DataError, match="::text"):
                await lk.fetchval(f"SELECT {text}")
        assert await lk.fetchval("SELECT ('10000-01-01'::date)::text") \
            == "10000-01-01"
        assert await lk.fetchval("SELECT 1") == 1

    aio.run(daemon, program)


def test_a_type_that_has_changed_is_learnt_again(db, daemon):
    db.sql("CREATE TYPE pair AS (a int, b text)")

    async def program(lk):
        assert await lk.fetchval("SELECT '(1,x)'::pair") == (1, "x")
        await lk.execute("ALTER TYPE pair ADD ATTRIBUTE c bool")
        assert await lk.fetchval("SELECT '(1,x,t)'::pair") == (1, "x", True)

    aio.run(daemon, program)


def test_a_type_made_in_the_transaction_is_known_there(daemon):
    async def program(lk):
        async with lk.transaction():
            await lk.execute("CREATE TYPE inner_pair AS (a int, b text)")
            assert await lk.fetchval("SELECT '(1,x)'::inner_pair") == (1, "x")

    aio.run(daemon, program)


def test_many_coroutines_may_learn_a_type_at_once(db, daemon):
    db.sql(SCHEMA)

    async def program(lk):
        got = await asyncio.gather(*[
            lk.fetchval("SELECT ROW($1, 'x')::pair", i) for i in range(50)])
        assert got == [(i, "x") for i in range(50)]

    aio.run(daemon, program)


# ---- the package's own types ----

def test_an_interval_is_a_timedelta_that_keeps_its_parts():
    value = Interval(1, 2, 3)
    assert value == datetime.timedelta(days=32, microseconds=3)
    assert pickle.loads(pickle.dumps(value)).parts == (1, 2, 3)
    assert repr(value) == "Interval(months=1, days=2, microseconds=3)"


def test_a_range_says_what_is_in_it():
    assert 1 in Range(1, 3) and 3 not in Range(1, 3)
    assert 3 in Range(1, 3, "(]") and 1 not in Range(1, 3, "(]")
    assert 10 ** 9 in Range(1, None) and -5 in Range(None, 1)
    assert 1 not in Range.empty() and not Range.empty()
    assert Range(None, 1, "()") == Range(None, 1, "[)")
    assert Range(1, 2) != Range(1, 2, "[]") and Range(1, 2) != (1, 2)
    assert len({Range(1, 2), Range(1, 2), Range.empty()}) == 2
    with pytest.raises(ValueError):
        Range(1, 2, "<>")
