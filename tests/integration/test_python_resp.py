"""The asyncio client's decoder: whatever pieces a reply comes in."""
import gc
import random
import sys

import pytest

import aio  # noqa: F401  pylint: disable=unused-import
from lockkeeper import _pyresp, _resp, errors
from lockkeeper._rows import Row

TABLE = (b"%3\r\n$7\r\ncolumns\r\n*2\r\n$2\r\nid\r\n$1\r\nv\r\n"
         b"$5\r\ntypes\r\n*2\r\n$7\r\ninteger\r\n$4\r\ntext\r\n"
         b"$4\r\nrows\r\n*3\r\n*2\r\n:1\r\n$5\r\na\r\nbc\r\n"
         b"*2\r\n:-2\r\n_\r\n*2\r\n_\r\n*2\r\n$1\r\nx\r\n*0\r\n")
ROWS = [[1, b"a\r\nbc"], [-2, None], [None, [b"x", []]]]
EMPTY = (b"%3\r\n$7\r\ncolumns\r\n*0\r\n$5\r\ntypes\r\n*0\r\n$4\r\nrows\r\n"
         b"*2\r\n*0\r\n*0\r\n")

REPLIES = [
    (b"+OK\r\n", "OK"),
    (b":-7\r\n", -7),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"$-1\r\n", None),
    (b"*-1\r\n", None),
    (b"_\r\n", None),
    (b"#t\r\n", True),
    (b"#f\r\n", False),
    (b",1.5e300\r\n", 1.5e300),
    (b"*0\r\n", []),
    (b"%0\r\n", {}),
    (b"*2\r\n*1\r\n:1\r\n%1\r\n$1\r\nk\r\n*0\r\n", [[1], {"k": []}]),
    (b"%3\r\n+a\r\n:1\r\n+b\r\n:2\r\n+c\r\n:3\r\n", {"a": 1, "b": 2, "c": 3}),
    (b"-PG 22012 no\r\n", _resp.ErrorReply("PG 22012 no")),
    (b"!13\r\nPG 22012 a\r\nb\r\n", _resp.ErrorReply("PG 22012 a\r\nb")),
]


IMPLEMENTATIONS = [_pyresp]
if _resp.implementation == "c":
    from lockkeeper import _cresp
    IMPLEMENTATIONS.append(_cresp)

resp = _pyresp


@pytest.fixture(params=IMPLEMENTATIONS, ids=lambda module: module.__name__,
                autouse=True)
def implementation(request):
    global resp		# pylint: disable=global-statement
    resp = request.param


def decode(data, pieces):
    decoder = resp.Decoder()
    done, at = [], 0
    for size in pieces:
        done += decoder.feed(data[at:at + size])
        at += size
    done += decoder.feed(data[at:])
    assert decoder.n_bytes == len(data)
    return done


@pytest.mark.parametrize("data, value", REPLIES)
def test_every_kind_is_read_however_it_is_cut(data, value):
    for cut in range(len(data) + 1):
        assert decode(data + b":5\r\n", [cut]) == [(None, value), (None, 5)]


def test_a_reply_with_a_tag_has_it():
    data = b">3\r\n+reply\r\n$2\r\n17\r\n*1\r\n:1\r\n+OK\r\n"
    for cut in range(len(data) + 1):
        assert decode(data, [cut]) == [(b"17", [1]), (None, "OK")]


def test_a_push_is_no_reply():
    data = b">2\r\n$7\r\nclosing\r\n%0\r\n>3\r\n+message\r\n$1\r\nc\r\n+x\r\n"
    for cut in range(len(data) + 1):
        assert decode(data, [cut]) == [
            (None, _resp.Push("closing", [{}])),
            (None, _resp.Push("message", [b"c", "x"]))]


def test_a_table_is_read_however_it_is_cut():
    for cut in range(len(TABLE) + 1):
        [(_, table), (_, nested)] = decode(
            TABLE + b"*1\r\n*1\r\n" + TABLE, [cut])
        assert table.rows == ROWS == nested[0][0].rows
        assert table.shape.columns == ("id", "v")
        assert table.shape.types == ("integer", "text")
        assert table.shape is nested[0][0].shape


def test_a_table_without_columns_has_rows():
    for cut in range(len(EMPTY) + 1):
        [(_, table)] = decode(EMPTY, [cut])
        assert table.rows == [[], []]


def test_a_table_without_rows_ends():
    data = TABLE[:TABLE.index(b"*3\r\n")] + b"*0\r\n"
    for cut in range(len(data) + 1):
        assert decode(data + b":1\r\n", [cut])[0][1].rows == []


def test_many_replies_in_any_pieces():
    rng = random.Random(7)
    data = [data for data, _ in REPLIES]
    values = [value for _, value in REPLIES]
    for _ in range(200):
        pieces = [rng.randrange(1, 40) for _ in range(rng.randrange(40))]
        done = decode(b"".join(data), pieces)
        assert [value for _, value in done] == values


def made_up(rng, depth):
    """A value as bytes."""
    def text(size):
        return bytes(rng.choice(b"ab\r\n$*:,0") for _ in range(size))

    kind = rng.randrange(12 if depth else 9)
    if kind == 0:
        return TABLE
    if kind == 1:
        return b":%d\r\n" % rng.randrange(-1 << 63, 1 << 63)
    if kind == 2:
        return b",%r\r\n" % rng.choice([0.5, -1e300, 1e-300]) \
            if rng.randrange(3) else rng.choice([b",inf\r\n", b",-inf\r\n"])
    if kind == 3:
        return rng.choice([b"_\r\n", b"#t\r\n", b"#f\r\n", b"$-1\r\n",
                           b"*-1\r\n", b"+x\r\n", b"-E 1 x\r\n"])
    if kind < 9:
        word = text(rng.choice([0, 1, 2, 5, 300]))
        return b"%c%d\r\n%b\r\n" % (rng.choice(b"$$$!"), len(word), word)
    n = rng.randrange(4)
    if kind == 9:
        keys = b"$1\r\na\r\n", b"+b\r\n", b"$7\r\ncolumn2\r\n", b":1\r\n"
        return b"%%%d\r\n" % n + b"".join(
            key + made_up(rng, depth - 1) for key in rng.sample(keys, n))
    return b"*%d\r\n" % n + b"".join(
        made_up(rng, depth - 1) for _ in range(n))


def like(value):
    """To be compared: a Shape is what it was made of."""
    if isinstance(value, _resp.Table):
        shape = value.shape
        return "table", shape.columns, shape.types, like(value.rows)
    if isinstance(value, _resp.ErrorReply):
        return "error", value.text
    if isinstance(value, list | tuple):
        return [like(each) for each in value]
    if isinstance(value, dict):
        return {key: like(each) for key, each in value.items()}
    return type(value), value


def test_both_make_the_same_of_anything():
    rng = random.Random(11)
    for _ in range(300):
        data = b"".join(made_up(rng, 4) for _ in range(rng.randrange(1, 6)))
        pieces = [rng.randrange(1, 200) for _ in range(rng.randrange(10))]
        decoder, at, done = _pyresp.Decoder(), 0, []
        for size in (*pieces, len(data)):
            done += decoder.feed(data[at:at + size])
            at += size
        assert like(decode(data, pieces)) == like(done)


def test_a_long_string_is_not_copied_for_each_piece():
    """64 MiB in pieces of 4 KiB: who starts again each time copies 500 GB."""
    n, piece = 64 << 20, b"x" * 4096
    decoder = resp.Decoder()
    assert decoder.feed(b"$%d\r\n" % n) == []
    for _ in range(n // 4096):
        assert decoder.feed(piece) == []
    [(_, value)] = decoder.feed(b"\r\n")
    assert len(value) == n


def test_a_long_table_is_not_read_again_for_each_piece():
    head = TABLE[:TABLE.index(b"*3\r\n")]
    row = b"*2\r\n:1\r\n*1\r\n$1\r\nx\r\n"
    n = 30000
    data = head + b"*%d\r\n" % n + row * n
    [(_, table)] = decode(data, [50] * (len(data) // 50))
    assert len(table.rows) == n and table.rows[-1] == [1, [b"x"]]


@pytest.mark.parametrize("data", [
    b"?\r\n", b"\r\n", b"$3\r\nabcdef\r\n", b":x\r\n"])
def test_what_is_no_reply_is_an_error(data):
    with pytest.raises((errors.ProtocolError, ValueError, IndexError)):
        resp.Decoder().feed(data)


def test_a_request_is_an_array_of_strings():
    assert resp.request([b"SQL", b"", None, b"a\r\n"]) == \
        b"*4\r\n$3\r\nSQL\r\n$0\r\n\r\n$-1\r\n$3\r\na\r\n\r\n"


def test_a_word_is_bytes_or_none():
    assert resp.bulk(None) == b"$-1\r\n" and resp.bulk(b"a") == b"$1\r\na\r\n"
    assert resp.bulks([]) == b"" and resp.bulks((b"", None)) == \
        b"$0\r\n\r\n$-1\r\n"
    with pytest.raises(TypeError):
        resp.bulks(["text"])


def test_an_errors_fields_follow_its_line():
    error = errors.from_reply(
        "PG 23505 twice\nretry: no\ndetail: Key: x\nposition: 7\n"
        "later: unknown")
    assert type(error) is errors.UniqueViolationError
    assert error.position == 7
    assert error.detail == "Key: x"
    assert not hasattr(error, "later")
    assert str(error) == "twice"


def tagged(tag, value):
    return b">3\r\n+reply\r\n$%d\r\n%b\r\n%b" % (len(tag), tag, value)


def test_tables_that_follow_each_other_are_each_their_own():
    other = TABLE.replace(b"\r\nid\r\n", b"\r\nno\r\n")
    data = b"".join((
        TABLE, tagged(b"1", TABLE), tagged(b"22", other), tagged(b"3", other),
        tagged(b"4", EMPTY), tagged(b"5", EMPTY), tagged(b"6", b"_\r\n"),
        tagged(b"", TABLE), tagged(b"8", TABLE),
        tagged(b"9", TABLE[:-4] + b"*1\r\n" + TABLE)))
    for cut in range(len(data)):
        done = decode(data, [cut])
        assert [tag for tag, _ in done] == [
            None, b"1", b"22", b"3", b"4", b"5", b"6", b"", b"8", b"9"]
        tables = [value for _, value in done]
        assert [t.rows for t in tables[:4]] == [ROWS] * 4
        assert [t.shape.columns[0] for t in tables[:4]] == ["id", "id", "no",
                                                            "no"]
        assert tables[4].rows == tables[5].rows == [[], []]
        assert tables[6] is None
        assert tables[7].shape is tables[8].shape is tables[0].shape
        inner = tables[9].rows[-1][1][1][0]
        assert inner.rows == ROWS and inner.shape is tables[0].shape


class Waiter:
    """What settle() asks of a future."""

    def __init__(self, is_done=False):
        self.is_done = is_done
        self.value = None

    def done(self):
        return self.is_done

    def set_result(self, value):
        assert not self.is_done
        self.value, self.is_done = value, True


def test_each_reply_goes_to_who_waits_for_it():
    waits, left, orphans = Waiter(), Waiter(True), []
    pending = {b"1": (waits, True, None), b"2": (left, False, orphans.append),
               b"3": (Waiter(True), False, None), b"4": (None, False, None),
               b"5": (Waiter(), False, None)}
    rest = resp.settle(pending, [
        (b"1", "one"), (None, "push"), (b"2", "two"), (b"3", "three"),
        (b"4", "four"), (b"6", "nobody's"), (None, None)])
    assert rest == ["push", None]
    assert waits.value == "one" and orphans == ["two"]
    assert list(pending) == [b"5"] and not pending[b"5"][0].is_done


def test_an_orphans_error_is_its_callers():
    def orphan(value):
        raise KeyError(value)

    with pytest.raises(KeyError):
        resp.settle({b"1": (Waiter(True), False, orphan)}, [(b"1", 7)])


def test_values_are_encoded_as_words():
    def encode(value):
        seen.append(value)
        return None if value is None else str(value).encode()

    class Text(str):
        pass

    seen = []
    huge = 10 ** 30
    values = [b"a", "ü", "", 0, -1, 12345678901, -2 ** 63, 2 ** 63, huge, True,
              None, 1.5, Text("t")]
    expected = [b"a", "ü".encode(), b"", b"0", b"-1", b"12345678901",
                b"%d" % -2 ** 63, b"%d" % 2 ** 63, b"%d" % huge, b"True",
                None, b"1.5", b"t"]
    assert resp.encoded(values, encode) == resp.bulks(expected)
    assert huge in seen and True in seen
    with pytest.raises(UnicodeEncodeError):
        resp.encoded(["\ud800"], str.encode)
    with pytest.raises(ZeroDivisionError):
        resp.encoded([1.0], lambda value: value / 0)
    with pytest.raises(TypeError):
        resp.encoded([1.0], lambda value: value)
    with pytest.raises(TypeError):
        resp.encoded(7, str.encode)


@pytest.mark.parametrize("number", [0, 9, 10, 2 ** 63, 2 ** 64 - 1])
def test_a_request_has_its_tag_and_all_words(number):
    head, data = resp.bulk(b"%task"), resp.bulks([b"GET", None, b"\r\n\0"])
    tag, request = resp.tagged(number, 4, head, data)
    assert tag == b"%d" % number
    assert request == resp.request(
        [b"@" + tag, b"%task", b"GET", None, b"\r\n\0"])
    with pytest.raises(TypeError):
        resp.tagged(number, 4, head, "text")


class Slotted:
    __slots__ = ("_cells", "_other", "_shape")

    def __init__(self, shape, cells):
        self._shape = shape
        self._cells = cells


def test_rows_are_made_of_cells_as_the_plan_says():
    def refuse(cell):
        raise KeyError(cell)

    shape = object()
    lists = [[1, b"\xc3\xbc", [b"x"]], [2, None, None]]
    plan = ((1, bytes.decode), (2, len))
    made = resp.rows(Slotted, shape, plan, lists)
    assert [row._cells for row in made] == [[1, "ü", 1], [2, None, None]]
    assert {type(row) for row in made} == {Slotted}
    assert all(row._shape is shape for row in made)
    assert lists[0][1] == b"\xc3\xbc", "what came is as it was"
    assert [row._cells for row in resp.rows(Slotted, shape, (), lists)] == lists
    assert resp.rows(Slotted, shape, plan, []) == []
    assert resp.rows(Row, shape, (), lists)[1][0] == 2
    for bad in (((1, refuse),), ((3, len),), ((0, bytes.decode),)):
        with pytest.raises((KeyError, IndexError, TypeError)):
            resp.rows(Slotted, shape, bad, lists)
    with pytest.raises(UnicodeDecodeError):
        resp.rows(Slotted, shape, plan, [[1, b"\xff", None]])
    gc.collect()
    assert sys.getrefcount(shape) <= 3 + len(made), "and let go of"
