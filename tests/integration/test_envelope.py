"""Words before the verb, and the order of replies and of work."""
import json

import pytest

from checks import update
from client import LkError, bad, good, pairs
from timing import eventually


def names_in(reply, *words):
    assert isinstance(reply, LkError), reply
    assert any(word in reply.line for word in words), reply.line


# -- tags

@pytest.mark.parametrize("proto", ["2", "3"])
def test_a_tagged_reply_is_an_array_of_reply_tag_and_value(daemon, proto):
    c = daemon.connect(proto)
    expected = b"*3\r\n+reply\r\n$3\r\na b\r\n+PONG\r\n"
    c.send("@a b", "PING")
    assert c.read_raw(len(expected)) == expected
    expected = b"*3\r\n+reply\r\n$1\r\nx\r\n-PG 22012 division by zero\r\n"
    c.send("@x", "SQL", "SELECT 1/0")
    assert c.read_raw(len(expected)) == expected


def test_tagged_replies_come_when_ready(daemon):
    c = daemon.connect()
    c.send("@slow", "SQL", "SELECT 1 AS v FROM pg_sleep(0.3)")
    c.send("@fast", "SQL", "SELECT 2 AS v")
    assert c.tag("slow") == [{"v": 1}]
    assert [tag for _, tag, _ in c.arrived[1:]] == ["fast", "slow"]


def test_a_tag_may_be_used_again_after_its_reply(daemon):
    c = daemon.connect()
    for i in range(3):
        c.send("@t", "SQL", f"SELECT {i} AS v")
        assert c.tag("t") == [{"v": i}]


def test_a_tag_in_use_is_syntax_and_the_first_goes_on(daemon):
    c = daemon.connect()
    c.send("@t", "SQL", "SELECT 1 AS v FROM pg_sleep(0.3)")
    c.send("@t", "PING")
    c.until(lambda: len(c.arrived) >= 2, "the refusal")
    _, tag, value = c.arrived[1]
    assert bad("SYNTAX", value).sqlstate == "42601"
    c.tagged.pop(tag, None)
    assert c.tag("t") == [{"v": 1}]


def test_tags_of_two_connections_are_apart(daemon):
    a, b = daemon.connect(), daemon.connect()
    a.send("@t", "SQL", "SELECT 1 AS v FROM pg_sleep(0.2)")
    b.send("@t", "SQL", "SELECT 2 AS v")
    assert b.tag("t") == [{"v": 2}]
    assert a.tag("t") == [{"v": 1}]


def test_a_tag_has_1_to_64_bytes(daemon):
    c = daemon.connect()
    c.send("@" + "t" * 64, "PING")
    assert c.tag("t" * 64) == "PONG"
    for tag in ("@", "@" + "t" * 65):
        c.fails("SYNTAX", tag, "PING")


# -- the other words

@pytest.mark.parametrize("words", [
    ("@a", "@b"), ("%a", "%b"), ("~100", "~100"), ("?1", "?2"),
    ("/main", "/main"), ("=maps", "=table"), ("!", "!"), ("#1", "#1")])
def test_each_word_may_come_once(daemon, words):
    c = daemon.connect()
    c.send(*words, "SQL", "SELECT 1 AS v")
    c.until(lambda: c.arrived[1:], "a reply")
    bad("SYNTAX", c.arrived[1][2])
    c.replies.clear()
    assert c.call("PING") == "PONG"


@pytest.mark.parametrize("word", [
    "~", "~x", "~-1", "~1.5x", "~99999999999999999999", "?", "?x", "?-1",
    "=xml", "=", "#x", "#", "#-1", "%", "!x"])
def test_a_malformed_word_is_an_error_and_runs_nothing(db, daemon, word):
    c = daemon.connect()
    reply = c.try_call(word, "SQL", update(1))
    assert isinstance(reply, LkError), reply
    assert reply.kind in ("SYNTAX", "NOTX"), reply.line
    assert db.v(1) == 0
    assert c.call("PING") == "PONG"


def test_an_envelope_without_a_verb_is_syntax(daemon):
    c = daemon.connect()
    c.fails("SYNTAX", "%a", "~100")
    assert c.call("PING") == "PONG"


def test_words_come_in_any_order(daemon):
    c = daemon.connect()
    c.send("=table", "~5000", "/main", "?1000", "%t", "!", "@x",
           "SQL", "SELECT 1 AS v")
    assert c.tag("x")["rows"] == [[1]]


def test_an_unknown_database_is_an_error_that_names_it(daemon):
    c = daemon.connect()
    names_in(c.try_call("/nosuch", "SQL", "SELECT 1"), "nosuch")
    assert c.value("SELECT 1") == 1


def test_the_database_word_picks_the_database(pg, db, lockkeeperd):
    daemon = lockkeeperd(databases=[
        {"name": "main", "conninfo": db.conninfo,
         "workers": {"min": 1, "max": 2}},
        {"name": "other", "conninfo": pg.conninfo("template1"),
         "workers": {"min": 0, "max": 1}}])
    c = daemon.connect()
    current = "SELECT current_database()::text AS v"
    assert c.sql(current) == [{"v": db.name}]
    assert c.call("/other", "SQL", current) == [{"v": "template1"}]
    other = daemon.connect("3", "DATABASE", "other")
    assert other.hello["database"] == "other"
    assert other.sql(current) == [{"v": "template1"}]
    assert other.call("/main", "SQL", current) == [{"v": db.name}]
    handle = c.call("/other", "BEGIN")
    assert c.call(f"#{handle}", "SQL", current) == [{"v": "template1"}]
    c.call(f"#{handle}", "ROLLBACK")


def test_table_gives_columns_types_and_rows(daemon):
    for proto in "23":
        c = daemon.connect(proto)
        table = pairs(c.call("=table", "SQL",
                             "SELECT 1 AS a, 'x'::text AS b, NULL::bool AS a "
                             "FROM generate_series(1, 2)"))
        assert list(table) == ["columns", "types", "rows"]
        assert table["columns"] == ["a", "b", "a_2"]
        assert table["types"] == ["integer", "text", "boolean"]
        assert table["rows"] == [[1, "x", None]] * 2


def test_table_of_a_statement_without_rows_is_its_tag(daemon):
    c = daemon.connect()
    assert c.call("=table", "SQL", update(1)) == "UPDATE 1"
    assert c.call("=json", "SQL", update(1)) == "UPDATE 1"


def test_json_gives_each_row_as_one_json_text(daemon):
    for proto in "23":
        c = daemon.connect(proto)
        rows = c.call("=json", "SQL", """SELECT 1 AS i, 1.50::numeric AS n,
            NULL::int AS z, true AS t, E'q"\\\\\\n\\u0001' AS s,
            ARRAY[1,NULL] AS a, '{"k": [1]}'::jsonb AS j""")
        row = json.loads(rows[0])
        assert row["i"] == 1 and row["z"] is None and row["t"] is True
        assert row["s"] == 'q"\\\n\x01'
        assert float(row["n"]) == 1.5
        assert row["a"] == [1, None]


def test_maps_overrides_the_connections_form(daemon):
    c = daemon.connect("3", "ROWS", "table")
    assert c.call("=maps", "SQL", "SELECT 1 AS v") == [{"v": 1}]


# -- order

def test_untagged_replies_leave_in_the_order_of_their_requests(daemon):
    c = daemon.connect()
    c.send("%a", "SQL", "SELECT 1 AS v FROM pg_sleep(0.3)")
    c.send("%b", "SQL", "SELECT 2 AS v")
    c.send("PING", "three")
    assert [c.recv() for _ in range(3)] == [[{"v": 1}], [{"v": 2}], "three"]


def test_untagged_requests_of_two_tasks_run_at_once(db, daemon):
    c = daemon.connect()
    c.send("%a", "SQL", "SELECT 1 FROM pg_sleep(0.5)")
    c.send("%b", "SQL", update(1, 7))
    eventually(lambda: db.v(1) == 7, "the second is done", 0.4)
    assert not c.has_reply()
    assert len(c.recv()) == 1
    assert c.recv() == "UPDATE 1"


def test_requests_of_one_task_run_in_the_order_sent(daemon):
    c = daemon.connect()
    for i, sleep in enumerate((0.2, 0.1, 0)):
        c.send(f"@{i}", "%same", "SQL", f"SELECT pg_sleep({sleep})")
    good(c.tag("2"))
    assert [tag for _, tag, _ in c.arrived[1:]] == ["0", "1", "2"]


def test_untagged_requests_without_a_task_run_in_the_order_sent(db, daemon):
    c = daemon.connect()
    c.send("SQL", "UPDATE r SET v = 1 WHERE id = 1 AND pg_sleep(0.2) IS NULL")
    c.send("SQL", "UPDATE r SET v = 1 FROM pg_sleep(0.2) WHERE id = 1")
    c.send("SQL", "UPDATE r SET v = v * 10 WHERE id = 1")
    assert [c.recv() for _ in range(3)] == ["UPDATE 0", "UPDATE 1", "UPDATE 1"]
    assert db.v(1) == 10


def test_requests_of_one_tx_run_in_the_order_sent(daemon):
    c = daemon.connect()
    handle = c.call("BEGIN")
    for i, sleep in enumerate((0.2, 0.1, 0)):
        c.send(f"@{i}", f"#{handle}", "SQL", f"SELECT pg_sleep({sleep})")
    c.send("@end", f"#{handle}", "COMMIT")
    assert c.tag("end") == "COMMIT"
    assert [tag for _, tag, _ in c.arrived[2:]] == ["0", "1", "2", "end"]


def test_ping_and_show_wait_behind_nothing_of_their_task(daemon):
    c = daemon.connect()
    c.send("@slow", "%t", "SQL", "SELECT pg_sleep(0.4)")
    c.send("@ping", "%t", "PING")
    c.send("@show", "%t", "SHOW", "tasks")
    assert c.tag("ping") == "PONG"
    assert "t" in [row["task"] for row in c.tag("show")]
    assert not c.has_reply("slow")
    good(c.tag("slow"))


def test_commit_overtakes_another_coroutines_lock_wait(db, daemon):
    c = daemon.connect()
    handle = c.call("%a", "BEGIN")
    c.call("%a", f"#{handle}", "SQL", update(1))
    c.send("%b", "SQL", update(1))
    db.wait_for_waiters(1)
    c.send("%a", f"#{handle}", "COMMIT")
    assert c.recv() == "UPDATE 1"
    assert c.recv() == "COMMIT"
    assert db.v(1) == 2


def test_groups_share_task_names_and_others_do_not(daemon):
    a = daemon.connect("3", "GROUP", "g")
    b = daemon.connect("3", "GROUP", "g")
    alone = daemon.connect("3")
    a.send("@1", "%t", "SQL", "SELECT 1 AS v FROM pg_sleep(0.4)")
    a.pump(0.1)
    alone.send("@1", "%t", "SQL", "SELECT 3 AS v")
    b.send("@1", "%t", "SQL", "SELECT 2 AS v")
    assert alone.tag("1") == [{"v": 3}]
    assert not b.has_reply("1"), "runs although its task has a request out"
    good(a.tag("1"))
    assert b.tag("1") == [{"v": 2}]
