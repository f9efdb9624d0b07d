"""SUBSCRIBE, UNSUBSCRIBE, PUBLISH: LISTEN and NOTIFY in Redis's words."""
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest

from checks import assert_nothing_left, update
import process
import ready
from client import Closed, Push, bad, encode, good, pairs
from process import resident_kib
from timing import FACTOR, SANITIZED, eventually, note, stays, within


both_versions = pytest.mark.parametrize("version", ["2", "3"])


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def publish(db, channel, payload):
    """As another program."""
    db.sql(f"SELECT pg_notify({literal(channel)}, {literal(payload)})")


def said(client, timeout_s=None):
    """The next that is said to a subscriber: in RESP3 pushes, in RESP2 what
    looks like replies."""
    if pairs(client.hello)["proto"] == 2:
        return client.recv(timeout_s)
    client.until(lambda: client.pushes, "a push", timeout_s)
    return client.pushes.pop(0)


def subscribe(client, *channels):
    """Subscribe and see it confirmed; what comes after is messages."""
    client.send("SUBSCRIBE", *channels)
    for i, channel in enumerate(channels):
        assert said(client) == ["subscribe", channel, i + 1]


def listeners(db):
    """Backends that listen in this test's database."""
    return [int(pid) for pid, in db.sql(f"""SELECT pid FROM pg_stat_activity
        WHERE datname = '{db.name}'
        AND application_name = 'lockkeeper listener'""")]


def end_listener(db):
    pid, = listeners(db)
    db.sql(f"SELECT pg_terminate_backend({pid})")
    return pid


def database(client, name="main"):
    """The row of SHOW databases, asked by one who may."""
    return next(row for row in client.show("databases")
                if row["name"] == name)


# -- messages

@both_versions
def test_what_is_notified_comes_as_redis_would_say_it(db, daemon, version):
    c = daemon.connect(version)
    c.send("SUBSCRIBE", "news", "other")
    assert said(c) == ["subscribe", "news", 1]
    assert said(c) == ["subscribe", "other", 2]
    publish(db, "news", "one")
    publish(db, "elsewhere", "not this")
    publish(db, "other", "two")
    assert said(c) == ["message", "news", "one"]
    message = said(c)
    assert message == ["message", "other", "two"]
    assert isinstance(message, Push) == (version == "3")
    c.send("UNSUBSCRIBE", "news")
    assert said(c) == ["unsubscribe", "news", 1]
    publish(db, "news", "not this either")
    publish(db, "other", "three")
    assert said(c) == ["message", "other", "three"]
    c.send("UNSUBSCRIBE")
    assert said(c) == ["unsubscribe", "other", 0]
    c.send("UNSUBSCRIBE")
    assert said(c) == ["unsubscribe", None, 0]
    assert c.call("PING") == "PONG"


def test_they_come_in_order_and_none_is_left_out(db, lockkeeperd):
    daemon = lockkeeperd(limits={"output": "64MiB"})
    c = daemon.connect("3")
    subscribe(c, "n")
    n = 20000
    db.sql(f"SELECT pg_notify('n', i::text || repeat('x', 100)) "
           f"FROM generate_series(1, {n}) i")
    c.until(lambda: len(c.pushes) == n, "all of them", 30)
    assert [int(push[2].rstrip("x")) for push in c.pushes] == \
        list(range(1, n + 1))
    assert daemon.connect().call("SHOW", "stats")["notifications"] == n


@both_versions
def test_publish(daemon, version):
    c, other = daemon.connect(version), daemon.connect(version, "INT8", "text")
    subscribe(c, "news")
    assert other.call("PUBLISH", "news", "one") == 1
    assert said(c) == ["message", "news", "one"]
    assert other.call("=table", "PUBLISH", "nobody hears", "it") == 1
    other.send("@p", "PUBLISH", "news", "two")
    assert other.tag("p") == 1
    assert said(c) == ["message", "news", "two"]
    assert other.call("SQL", "SELECT count(*)::int AS n FROM r")


def test_one_in_a_transaction_comes_when_that_commits(daemon):
    c, other = daemon.connect(), daemon.connect()
    subscribe(c, "news")
    for end in ("ROLLBACK", "COMMIT"):
        tx = f"#{other.call('BEGIN')}"
        assert other.call(tx, "PUBLISH", "news", end) == 1
        c.pump(0.2)
        assert not c.pushes
        assert other.call(tx, end) == end
    assert said(c) == ["message", "news", "COMMIT"]
    other.call("BEGIN", "HERE")
    assert other.call("PUBLISH", "news", "here") == 1
    c.pump(0.2)
    assert not c.pushes
    other.call("COMMIT")
    assert said(c) == ["message", "news", "here"]


def test_ones_own_come_too(daemon):
    c = daemon.connect("3")
    c.send("SUBSCRIBE", "me")
    c.send("PUBLISH", "me", "hello")
    assert said(c) == ["subscribe", "me", 1]
    assert said(c) == ["message", "me", "hello"]
    assert c.recv() == 1


def test_what_postgresql_does_not_take_is_an_error(daemon):
    c = daemon.connect()
    assert bad("PG", c.try_call("PUBLISH", "a", "x" * 8000)).sqlstate == "22023"
    assert bad("PG", c.try_call("PUBLISH", "a", b"\xff")).sqlstate == "22021"
    assert "NUL" in bad("SYNTAX", c.try_call("PUBLISH", "a", b"\0")).message
    for channel in ("", "x" * 64, None):
        c.fails("SYNTAX", "PUBLISH", channel, "x")
    c.fails("SYNTAX", "PUBLISH", "a")
    c.fails("SYNTAX", "PUBLISH", "a", "b", "c")
    assert c.call("PUBLISH", "a", None) == 1


def test_nothing_is_cleaned_up_behind_a_publish(db, lockkeeperd):
    """It is the last that its session was asked."""
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    for i in range(5):
        assert c.call("PUBLISH", "a", str(i)) == 1
    assert db.value("SELECT query FROM pg_stat_activity "
                    "WHERE application_name = 'lockkeeper'") == \
        "SELECT 1 FROM pg_catalog.pg_notify($1, $2)"


@pytest.mark.parametrize("channel", [
    "News", "two words", 'a"b', '"; DROP TABLE r; --', "it's", "\\x", "Zoë 漢",
    "select", "x" * 63, "é" * 31, "%s", "a\r\nb"])
def test_a_channel_is_any_text(db, daemon, channel):
    c = daemon.connect()
    subscribe(c, channel)
    publish(db, channel[:-1] + "_", "another's")
    publish(db, channel, "x")
    assert said(c) == ["message", channel, "x"]
    assert c.call("PUBLISH", channel, "y") == 1
    assert said(c) == ["message", channel, "y"]
    c.send("UNSUBSCRIBE", channel)
    assert said(c) == ["unsubscribe", channel, 0]
    assert db.value("SELECT count(*) FROM r") == "100"


def test_case_makes_two_of_a_name(db, daemon):
    c = daemon.connect()
    subscribe(c, "News", "news")
    publish(db, "news", "small")
    publish(db, "News", "great")
    assert said(c) == ["message", "news", "small"]
    assert said(c) == ["message", "News", "great"]


@pytest.mark.parametrize("payload", [
    "", " ", "two\r\nlines\n", "Zoë 漢 \U0001f511", "x" * 7999, "\x01\x7f"],
    ids=["empty", "blank", "lines", "UTF-8", "longest", "control"])
def test_a_payload_comes_as_it_is(db, daemon, payload):
    c = daemon.connect()
    subscribe(c, "news")
    publish(db, "news", payload)
    assert said(c) == ["message", "news", payload]
    assert c.call("PUBLISH", "news", payload) == 1
    assert said(c) == ["message", "news", payload]


@pytest.mark.parametrize("channel", ["", "x" * 64, "é" * 32, b"a\0b", None])
def test_a_name_that_is_none_is_an_error(db, daemon, channel):
    c = daemon.connect()
    for verb in ("SUBSCRIBE", "UNSUBSCRIBE"):
        error = c.fails("SYNTAX", verb, "fine", channel)
        assert "a channel's name has 1 to 63 bytes" in error.message
    c.fails("SYNTAX", "SUBSCRIBE")
    assert not listeners(db)


def test_a_name_that_is_no_utf8_is_an_error_of_its_own(db, daemon):
    c, other = daemon.connect(), daemon.connect()
    c.send("SUBSCRIBE", b"\xff")
    other.send("SUBSCRIBE", "fine")
    assert bad("PG", c.recv()).sqlstate == "22021"
    assert said(other) == ["subscribe", "fine", 1]
    c.close()
    publish(db, "fine", "x")
    assert said(other) == ["message", "fine", "x"]


def test_sql_says_which_verb_it_is(daemon):
    c = daemon.connect()
    assert "SUBSCRIBE" in c.fails("SYNTAX", "SQL", "LISTEN news").message
    assert "UNSUBSCRIBE" in c.fails("SYNTAX", "SQL", "UNLISTEN *").message


# -- confirmations

def test_confirmations_come_in_the_order_of_replies(db, daemon):
    c, other = daemon.connect("3"), daemon.connect("3")
    subscribe(other, "news")
    c.send("SQL", "SELECT pg_sleep(0.3)")
    c.send("%t", "SUBSCRIBE", "news")
    c.send("%t", "SQL", "SELECT 1 AS v")
    time.sleep(0.1)
    publish(db, "news", "too early")
    assert said(other) == ["message", "news", "too early"]
    c.until(lambda: len(c.arrived) == 4, "all")
    slept, confirmed, one = [value for _, _, value in c.arrived[1:]]
    assert slept == [{"pg_sleep": ""}]
    assert confirmed == ["subscribe", "news", 1]
    assert one == [{"v": 1}]
    publish(db, "news", "x")
    assert said(c) == ["subscribe", "news", 1]
    assert said(c) == ["message", "news", "x"]


def test_with_a_tag_they_overtake_and_the_count_follows(daemon):
    c = daemon.connect("3")
    c.send("SQL", "SELECT pg_sleep(0.3)")
    c.send("@s", "SUBSCRIBE", "a", "b")
    assert c.tag("s") == 2
    assert not c.replies
    assert [said(c), said(c)] == [["subscribe", "a", 1], ["subscribe", "b", 2]]
    c.send("@u", "UNSUBSCRIBE")
    assert c.tag("u") == 0
    assert good(c.recv())


@both_versions
def test_a_commit_is_not_stuck_behind_one(db, daemon, version):
    """It waits for its turn behind a lock wait that the COMMIT ends."""
    c = daemon.connect(version)
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call("%a", tx, "SQL", update(1))
    c.send("%b", "SQL", update(1))
    db.wait_for_waiters(1)
    c.send("%a", "SUBSCRIBE", "news")
    c.send("@c", "%a", tx, "COMMIT")
    assert c.tag("c") == "COMMIT"
    assert c.recv() == "UPDATE 1"
    assert said(c) == ["subscribe", "news", 1]


def test_nothing_of_the_envelope_that_has_no_sense(daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    assert "transaction" in c.fails("SYNTAX", tx, "SUBSCRIBE", "a").message


# -- RESP2's subscriber mode

def test_on_resp2_only_redis_s_verbs_go_while_subscribed(db, daemon):
    c = daemon.connect("2")
    subscribe(c, "news")
    for words in (["SQL", "SELECT 1"], ["SHOW", "stats"], ["HELLO", "3"],
                  ["ECHO", "x"], ["BEGIN"], ["PUBLISH", "news", "x"]):
        error = bad("SYNTAX", c.try_call(*words))
        assert error.message.startswith(
            f"Can't execute '{words[0]}': only SUBSCRIBE / UNSUBSCRIBE / "
            "PING / QUIT / RESET are allowed in this context")
    assert c.call("PING") == ["pong", ""]
    assert c.call("PING", "hi") == ["pong", "hi"]
    assert c.call("SUBSCRIBE", "more") == ["subscribe", "more", 2]
    assert c.call("UNSUBSCRIBE", "news") == ["unsubscribe", "news", 1]
    assert c.call("UNSUBSCRIBE", "more") == ["unsubscribe", "more", 0]
    assert c.call("PING", "hi") == "hi"
    assert c.value("SELECT 1") == 1
    subscribe(c, "news")
    assert c.call("RESET") == "RESET"
    assert c.value("SELECT 1") == 1
    publish(db, "news", "x")
    assert c.is_silent(0.2)
    subscribe(c, "news")
    assert c.call("QUIT") == "OK"
    with pytest.raises(Closed):
        c.pump(5)


def test_on_resp3_all_of_them_go(daemon):
    c = daemon.connect("3")
    subscribe(c, "news")
    assert c.call("PING") == "PONG"
    assert c.value("SELECT 1") == 1
    assert c.call("ECHO", "x") == "x"


# -- one session listens

def test_one_session_for_a_thousand_subscribers(db, daemon):
    n = 1000
    message = b"*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$1\r\nx\r\n"
    confirmed = b"*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n"
    admin = daemon.connect()
    sockets = []
    try:
        for _ in range(n):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect(daemon.socket)
            sock.sendall(encode(["SUBSCRIBE", "news"]))
            sockets.append(sock)
        for sock in sockets:
            assert sock.recv(1000) == confirmed
        assert len(listeners(db)) == 1
        assert database(admin)["channels"] == 1
        with within(50, f"a message to {n} subscribers"):
            publish(db, "news", "x")
            for sock in sockets:
                assert sock.recv(1000) == message
        assert admin.call("SHOW", "stats")["messages"] == n
        assert db.value("SELECT query FROM pg_stat_activity WHERE "
                        "application_name = 'lockkeeper listener'") \
            == 'LISTEN "news"'
    finally:
        for sock in sockets:
            sock.close()
    eventually(lambda: not listeners(db), "nobody listens any more")


def test_it_is_there_only_while_somebody_is_subscribed(db, daemon):
    admin, other = daemon.connect(), daemon.connect()
    assert not listeners(db)
    for leave in (lambda c: c.send("UNSUBSCRIBE"), lambda c: c.send("RESET"),
                  lambda c: c.close()):
        c = daemon.connect()
        subscribe(c, "news")
        subscribe(other, "news")
        assert len(listeners(db)) == 1
        other.send("UNSUBSCRIBE")
        assert said(other) == ["unsubscribe", "news", 0]
        assert len(listeners(db)) == 1
        leave(c)
        eventually(lambda: not listeners(db), "it is gone")
        eventually(lambda: database(admin)["listener"] == "none", "shown")
    assert_nothing_left(db, admin)


def test_one_who_comes_while_it_ends_is_served(db, daemon):
    c = daemon.connect("3")
    for i in range(50):
        c.send("SUBSCRIBE", "news")
        c.send("UNSUBSCRIBE")
        assert said(c) == ["subscribe", "news", 1], i
        assert said(c) == ["unsubscribe", "news", 0], i
    subscribe(c, "news")
    publish(db, "news", "x")
    assert said(c) == ["message", "news", "x"]


def test_each_database_has_its_own_channels(db, lockkeeperd):
    daemon = lockkeeperd(databases=[
        {"name": "a", "conninfo": db.conninfo},
        {"name": "b", "conninfo": db.cluster.conninfo()}])
    c = daemon.connect()
    subscribe(c, "news")
    c.send("/b", "SUBSCRIBE", "news", "more")
    assert [said(c), said(c)] == [["subscribe", "news", 2],
                                  ["subscribe", "more", 3]]
    db.cluster.psql("NOTIFY news, 'in b'")
    assert said(c) == ["message", "news", "in b"]
    c.send("USE", "b")
    c.send("UNSUBSCRIBE", "news")
    assert said(c) == ["unsubscribe", "news", 2]
    db.cluster.psql("NOTIFY news, 'in b'")
    publish(db, "news", "in a")
    assert said(c) == ["message", "news", "in a"]
    assert [database(daemon.connect(), name)["channels"] for name in "ab"] \
        == [1, 1]
    c.send("UNSUBSCRIBE")
    assert [said(c)[2], said(c)[2]] == [1, 0]


def test_many_channels(db, daemon):
    n = 10000
    c, other = daemon.connect(), daemon.connect()
    with within(2000, f"{n} channels"):
        subscribe(c, *(f"c{i}" for i in range(n)))
    error = bad("OVERLOAD", c.try_call("SUBSCRIBE", "one more"))
    assert "at most 10000 channels" in error.message
    subscribe(other, "one more")
    publish(db, "c9999", "last")
    assert said(c) == ["message", "c9999", "last"]
    c.close()
    publish(db, "one more", "x")
    assert said(other) == ["message", "one more", "x"]
    eventually(lambda: database(daemon.connect())["channels"] == 1, "left")


def test_it_is_no_part_of_lock_waits(db, lockkeeperd):
    """Nor does it hold or wait for anything itself."""
    daemon = lockkeeperd(deadlock={"notify": "20ms"})
    c, holder, admin = (daemon.connect() for _ in "abc")
    subscribe(c, "news")
    tx = f"#{holder.call('BEGIN')}"
    holder.call(tx, "SQL", update(1))
    c.send("@w", "SQL", update(1))
    wait, = eventually(lambda: admin.show("waits"), "it is seen to wait")
    assert not re.search(rf"\b{listeners(db)[0]}\b", str(wait))
    assert db.sql("SELECT count(*) FROM pg_locks "
                  f"WHERE pid = {listeners(db)[0]}") == [("0",)]
    publish(db, "news", "x")
    c.until(lambda: ["message", "news", "x"] in c.pushes, "the message")
    holder.call(tx, "COMMIT")
    assert c.tag("w") == "UPDATE 1"


# -- when it is lost

def assert_missed(client, version, channels, words):
    """It is told so, once."""
    if version == "2":
        for channel in channels:
            kind, pattern, name, text = said(client)
            assert (kind, pattern, name) == ("pmessage", "missed", channel)
            assert words in text
    else:
        missed = client.push("missed")
        assert missed["database"] == "main"
        assert missed["channels"] == channels
        assert words in missed["text"]


@both_versions
def test_a_session_that_is_killed_is_made_good_and_told_of(
        db, daemon, version):
    c, other = daemon.connect(version), daemon.connect()
    subscribe(c, "a", "b")
    subscribe(other, "b")
    before = end_listener(db)
    assert_missed(c, version, ["a", "b"], "the session that listens was lost")
    assert_missed(other, "3", ["b"], "the session that listens was lost")
    after, = listeners(db)
    assert after != before
    publish(db, "b", "again")
    assert said(c) == ["message", "b", "again"]
    assert said(other) == ["message", "b", "again"]
    daemon.says("no session listens to channels: terminating")
    eventually(lambda: "a session listens to channels" in daemon.log, "it is")


def test_a_server_that_is_restarted_is_listened_to_again(db, pg, daemon):
    c, late = daemon.connect("2"), daemon.connect("3")
    subscribe(c, "news")
    with pg.stopped():
        eventually(lambda: database(late)["listener"] == "connecting",
                   "it is down")
        late.send("SUBSCRIBE", "news", "late")
        stays(lambda: not late.pump(0), "it waits for the server", 0.5)
    db.reconnect()
    assert_missed(c, "2", ["news"], "the session that listens was lost")
    assert said(late, 10) == ["subscribe", "news", 1]
    assert said(late) == ["subscribe", "late", 2]
    publish(db, "news", "x")
    for client in (c, late):
        assert said(client) == ["message", "news", "x"]
    assert "missed" not in [push[0] for push in late.pushes]


def test_one_who_subscribes_while_it_is_down_gets_the_server_s_words(
        db, lockkeeperd):
    daemon = lockkeeperd(db.conninfo.replace("user=postgres", "user=nobody_"),
                         timeouts={"queue": "500ms"})
    c = daemon.connect()
    with within(600, "no session listens within timeouts.queue"):
        error = c.fails("CONNLOST", "SUBSCRIBE", "news")
    assert "channels of main could not be listened to" in error.message
    assert 'role "nobody_" does not exist' in error.message
    shown = c.call("SHOW", "error")
    assert 'role "nobody_" does not exist' in shown["detail"]
    eventually(lambda: database(c)["listener"] == "none", "nobody waits")
    c.send("@t", "~100", "SUBSCRIBE", "news")
    assert "listening" in bad("TIMEOUT", c.tag("t")).message
    c.send("@c", "SUBSCRIBE", "news")
    assert c.call("CANCEL", "c") == 1
    bad("CANCELED", c.tag("c"))


# -- who does not read

def flood(db, channel, n, size):
    db.sql(f"SELECT pg_notify('{channel}', i::text || repeat('x', {size})) "
           f"FROM generate_series(1, {n}) i")


def test_one_that_never_reads_costs_the_others_nothing(db, lockkeeperd):
    """A hundred MiB go by him."""
    daemon = lockkeeperd(limits={"stall": "0"})
    lazy = [daemon.connect("2") for _ in range(5)]
    c, admin = daemon.connect("3"), daemon.connect()
    for client in (*lazy, c):
        subscribe(client, "news")
    before = resident_kib(daemon.pid)
    n, size, n_rounds = 100, 7000, 150
    for _ in range(n_rounds):
        flood(db, "news", n, size)
        c.until(lambda: sum(p[0] == "message" for p in c.pushes) == n,
                "all messages", 10)
        c.pushes.clear()
        c.arrived.clear()
    grown = (resident_kib(daemon.pid) - before) / 1024
    note("memory for 5 x 100 MiB of messages that nobody reads", grown, 20,
         "MiB")
    assert SANITIZED or grown < 20
    stats = admin.call("SHOW", "stats")
    assert stats["notifications"] == n_rounds * n
    assert stats["messages"] + stats["messages_missed"] == 6 * n_rounds * n
    # What was kept comes in order, and then what was not is told of.
    heard = []
    while not heard or heard[-1][0] == "message":
        heard.append(said(lazy[0]))
    assert heard[-1][:3] == ["pmessage", "missed", "news"]
    assert "limits.output" in heard[-1][3]
    numbers = [int(message[2].rstrip("x")) for message in heard[:-1]]
    assert numbers == [i % n + 1 for i in range(len(numbers))]
    publish(db, "news", "again")
    assert said(lazy[0]) == ["message", "news", "again"]


def test_one_that_never_reads_is_closed_after_limits_stall(db, lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "300ms"})
    lazy, admin = daemon.connect("3", "NAME", "lazy"), daemon.connect()
    subscribe(lazy, "news")
    with within(800, "a subscriber that reads nothing is closed"):
        flood(db, "news", 1000, 7000)
        eventually(lambda: len(admin.show("clients")) == 1, "it is gone", 6)
    daemon.says("limits.stall (300 ms)")
    eventually(lambda: not listeners(db), "nobody is subscribed any more")


def test_one_that_reads_late_is_told_that_it_missed_some(db, lockkeeperd):
    daemon = lockkeeperd(limits={"stall": "0"})
    late, admin = daemon.connect("3"), daemon.connect()
    subscribe(late, "a", "b")
    flood(db, "a", 1000, 7000)
    eventually(lambda: admin.call("SHOW", "stats")["messages_missed"],
               "it has missed some")
    missed = late.push("missed", 10)
    assert missed["channels"] == ["a"]
    assert "limits.output" in missed["text"]


# -- clients that others have written

@pytest.fixture
def pubsub(daemon):
    """redis-py's, which speaks RESP2."""
    if ready.redis is None:
        pytest.skip(ready.NO_REDIS_PY)
    client = ready.redis.Redis(unix_socket_path=daemon.socket,
                               decode_responses=True)
    with client.pubsub() as made:
        yield made
    client.close()


def heard(pubsub):
    """The next of redis-py's messages, as much of it as we know of."""
    message = eventually(lambda: pubsub.get_message(timeout=0.1), "a message")
    return [message[key] for key in ("type", "pattern", "channel", "data")]


def test_redis_py(db, daemon, pubsub):
    c = daemon.connect()
    pubsub.subscribe("news", "other")
    assert heard(pubsub) == ["subscribe", None, "news", 1]
    assert heard(pubsub) == ["subscribe", None, "other", 2]
    c.call("PUBLISH", "news", "Zoë 漢")
    assert heard(pubsub) == ["message", None, "news", "Zoë 漢"]
    pubsub.ping("there?")
    assert heard(pubsub) == ["pong", None, None, "there?"]
    end_listener(db)
    for channel in ("news", "other"):
        kind, pattern, said_of, text = heard(pubsub)
        assert (kind, pattern, said_of) == ("pmessage", "missed", channel)
        assert "was lost" in text
    c.call("PUBLISH", "other", "again")
    assert heard(pubsub) == ["message", None, "other", "again"]
    pubsub.unsubscribe()
    assert heard(pubsub) == ["unsubscribe", None, "news", 1]
    assert heard(pubsub) == ["unsubscribe", None, "other", 0]
    eventually(lambda: not listeners(db), "nobody listens any more")


def test_redis_py_with_handlers_in_a_thread(daemon, pubsub):
    c = daemon.connect()
    said_so = []
    pubsub.subscribe(news=lambda message: said_so.append(message["data"]))
    thread = pubsub.run_in_thread(sleep_time=0.01)
    try:
        eventually(lambda: any(row["subscriptions"]
                               for row in c.show("clients")), "subscribed")
        for i in range(3):
            c.call("PUBLISH", "news", str(i))
        eventually(lambda: said_so == ["0", "1", "2"], "all are handled")
    finally:
        thread.stop()
        thread.join()


@pytest.mark.parametrize("library, version", [
    ("ioredis", "2"), ("redis", "2"), ("redis", "3")])
def test_clients_of_npm(db, daemon, npm_directory, library, version):
    """What tells that messages were missed does them no harm."""
    if shutil.which("node") is None:
        pytest.skip(ready.NO_NODE)
    c = daemon.connect()
    node = process.spawn(
        ["node", "subscribe.mjs", library, daemon.socket, version, "news"],
        log=sys.stderr.fileno(), stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, cwd=npm_directory)
    try:
        def next_line():
            return json.loads(node.stdout.readline())

        assert next_line() == ["subscribed"]
        c.call("PUBLISH", "news", "Zoë 漢")
        assert next_line() == ["message", "news", "Zoë 漢"]
        before = end_listener(db)
        eventually(lambda: listeners(db) not in ([], [before]), "it is back")
        eventually(lambda: database(c)["listener"] == "listening", "shown")
        if library == "ioredis":
            assert next_line()[:3] == ["pmessage", "missed", "news"]
        c.call("PUBLISH", "news", "again")
        assert next_line() == ["message", "news", "again"]
        node.stdin.close()
        assert next_line() == ["unsubscribed"]
        assert node.wait(10) == 0
    finally:
        process.end(node, signal.SIGKILL)
        node.stdout.close()


# -- what is shown

def test_show_knows_of_it(db, daemon):
    admin, c = daemon.connect(), daemon.connect("3", "NAME", "c")
    row = database(admin)
    assert (row["channels"], row["listener"], row["listener_pid"]) == \
        (0, "none", None)
    subscribe(c, "a", "b")
    publish(db, "a", "x")
    assert said(c) == ["message", "a", "x"]
    row = database(admin)
    assert [row["listener_pid"]] == listeners(db)
    assert (row["channels"], row["listener"]) == (2, "listening")
    shown = {row["name"]: row["subscriptions"] for row in admin.show("clients")}
    assert shown == {None: 0, "c": 2}
    stats = admin.call("SHOW", "stats")
    assert (stats["notifications"], stats["messages"],
            stats["messages_missed"]) == (1, 1, 0)
    assert {"channels", "listener", "listener_pid"} <= set(
        admin.show("databases")[0])


# -- the end of the daemon

def test_subscriptions_go_on_while_it_drains_and_end_with_it(db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"drain": "20s"})
    c, holder, late = (daemon.connect() for _ in "abc")
    subscribe(c, "news")
    tx = f"#{holder.call('BEGIN')}"
    holder.call(tx, "SQL", update(1))
    daemon.send_signal(signal.SIGTERM)
    assert "shutting down" in c.push("closing")["text"]
    late.fails("CLOSING", "SUBSCRIBE", "news")
    late.fails("CLOSING", "PUBLISH", "news", "x")
    publish(db, "news", "last")
    assert said(c) == ["message", "news", "last"]
    assert holder.call(tx, "COMMIT") == "COMMIT"
    with pytest.raises(Closed):
        while c.pump(5):
            pass
    assert daemon.exit_status() == 0
    eventually(lambda: not listeners(db), "nobody listens any more")


def test_alone_they_keep_it_from_nothing(lockkeeperd):
    daemon = lockkeeperd(timeouts={"drain": "20s"})
    clients = [daemon.connect(version) for version in "23"]
    for client in clients:
        subscribe(client, "news")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.exit_status(5.0 * FACTOR / 10) == 0
