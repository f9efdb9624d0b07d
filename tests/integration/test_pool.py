"""Workers and their sessions: how many, how they come back, who gets one."""
import collections
import queue
import threading
import time

import pytest

import pgwire
from checks import assert_nothing_left, update
from client import LkError, bad, good, pairs
from proxy import Proxy
from timing import eventually, note, stays, within


def workers(client):
    return client.show("workers")


def n_workers(client):
    """Workers that have a session."""
    return len([w for w in workers(client) if w["state"] != "connecting"])


def until_it_answers(client, timeout_s=10):
    """Until SQL works again; on the way only CONNLOST may be said."""
    def probe():
        reply = client.try_call("SQL", "SELECT 1 AS v")
        if isinstance(reply, LkError):
            assert reply.kind in ("CONNLOST", "POOLTIMEOUT"), reply.line
            return False
        return reply == [{"v": 1}]

    eventually(probe, "SQL works again", timeout_s, 0.05)


def sleep_at_once(client, n, seconds):
    for i in range(n):
        client.send(f"@p{i}", "SQL", f"SELECT pg_sleep({seconds})")
    for i in range(n):
        good(client.tag(f"p{i}"))


# -- how many

def test_min_workers_are_there_from_the_start(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 3, "max": 5}).connect()
    eventually(lambda: n_workers(c) == 3, "three workers")
    assert len(db.backends()) >= 3


def test_the_pool_grows_on_demand_up_to_max(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 4}).connect()
    with within(200, "4 x pg_sleep(0.3) on 4 slots, beyond the 300 ms") as w:
        w.start += 0.3
        sleep_at_once(c, 4, 0.3)
    assert n_workers(c) == 4
    for i in range(6):
        c.send(f"@p{i}", "SQL", "SELECT pg_sleep(0.3)")
    stays(lambda: len(db.backends("state = 'active'")) <= 4,
          "no more than max are busy")
    for i in range(6):
        good(c.tag(f"p{i}"))
    assert n_workers(c) == 4


def test_control_one_slot_runs_them_one_after_another(lockkeeperd):
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    start = time.monotonic()
    sleep_at_once(c, 3, 0.2)
    assert time.monotonic() - start >= 0.6


def test_idle_workers_above_min_end_after_their_time(db, lockkeeperd):
    c = lockkeeperd(
        workers={"min": 1, "max": 4, "idle": "300ms"}).connect()
    sleep_at_once(c, 4, 0.1)
    assert n_workers(c) == 4
    eventually(lambda: len(workers(c)) == 1, "one worker is left")
    eventually(lambda: len(db.backends()) <= 2, "their sessions are gone")
    stays(lambda: len(workers(c)) == 1, "one stays", 0.5)
    sleep_at_once(c, 4, 0.1)
    assert n_workers(c) == 4


def test_min_may_be_0(db, lockkeeperd):
    c = lockkeeperd(
        workers={"min": 0, "max": 2, "idle": "200ms"}).connect()
    assert c.value("SELECT 1") == 1
    eventually(lambda: not workers(c), "no worker is left")
    assert c.value("SELECT 2") == 2


def test_idle_workers_rest_while_few_are_needed(lockkeeperd):
    """The most recently used is taken, once it has cleaned its session."""
    c = lockkeeperd(workers={"min": 4, "max": 4}).connect()
    eventually(lambda: n_workers(c) == 4, "four workers")
    pids = set()
    for _ in range(20):
        pids.add(c.value("SELECT pg_backend_pid()"))
        eventually(lambda: [row["state"] for row in c.show("workers")]
                   == ["idle"] * 4, "it is idle again")
    assert len(pids) == 1


# -- sessions that die

def kill_sessions(db, where="true"):
    db.sql(f"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = '{db.name}' AND {db.OURS} AND ({where})""")


def test_killed_sessions_are_opened_anew(db, lockkeeperd):
    c = lockkeeperd(workers={"min": 2, "max": 2}).connect()
    c.sql("SELECT 1")
    for _ in range(3):
        kill_sessions(db)
        until_it_answers(c)
    eventually(lambda: n_workers(c) == 2, "both are back")


def test_a_statement_whose_session_is_killed_is_told_the_truth(db, daemon):
    c = daemon.connect()
    c.send("SQL", "UPDATE r SET v = 1 FROM pg_sleep(30) WHERE id = 1")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    kill_sessions(db)
    reply = c.recv()
    assert isinstance(reply, LkError)
    assert reply.kind in ("CONNLOST", "UNKNOWN"), reply.line
    assert db.v(1) == 0
    until_it_answers(c)


def cut(_db, proxy):
    proxy.cut()


def kill(db, _proxy):
    kill_sessions(db)


def waiting(db):
    return {row[0] for row in db.backends("wait_event_type = 'Lock'")}


@pytest.mark.parametrize("lose", [cut, kill])
def test_a_read_whose_session_is_lost_runs_again(pg, db, lockkeeperd, lose):
    """Once: one that takes its server along would do so for ever."""
    with Proxy(pg, db.name) as proxy:
        c = lockkeeperd(proxy.conninfo).connect()
        assert c.call("GET", "r", 1) == {"id": 1, "v": 0}
        other = db.connect()
        other.query("BEGIN; LOCK TABLE r")
        c.send("FIND", "r", "WHERE", "id", "<", 3)
        db.wait_for_waiters(1)
        before = waiting(db)
        lose(db, proxy)
        eventually(lambda: waiting(db) - before, "another session waits", 10)
        other.query("UPDATE r SET v = 7 WHERE id = 2; COMMIT")
        assert c.recv() == [{"id": 1, "v": 0}, {"id": 2, "v": 7}]

        other.query("BEGIN; LOCK TABLE r")
        c.send("FIND", "r", "WHERE", "id", "<", 3)
        db.wait_for_waiters(1)
        before = waiting(db)
        lose(db, proxy)
        eventually(lambda: waiting(db) - before, "another session waits", 10)
        lose(db, proxy)
        bad("CONNLOST", c.recv())
        other.query("COMMIT")


def test_a_read_of_a_view_whose_session_is_lost_may_have_done_more(
        pg, db, lockkeeperd):
    db.sql("CREATE VIEW seen AS SELECT * FROM r")
    with Proxy(pg, db.name) as proxy:
        c = lockkeeperd(proxy.conninfo).connect()
        assert c.call("COUNT", "seen") == 100
        other = db.connect()
        other.query("BEGIN; LOCK TABLE r")
        c.send("COUNT", "seen")
        db.wait_for_waiters(1)
        proxy.cut()
        bad("UNKNOWN", c.recv())
        other.query("COMMIT")


def test_reads_outlast_a_restart_of_postgresql(pg, db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"connect": "60s"})
    clients = [daemon.connect() for _ in range(4)]
    for client in clients:
        client.send("FIND", "r", "WHERE", "id", "<=", 2)
        good(client.recv())
    other = db.connect()
    other.query("BEGIN; LOCK TABLE r")
    for client in clients:
        client.send("FIND", "r", "WHERE", "id", "<=", 2)
    # On a slow machine the others are parked before all have been sent.
    db.wait_for_waiters(1)
    pg.restart()
    db.reconnect()
    for client in clients:
        assert good(client.recv()) == [{"id": 1, "v": 0}, {"id": 2, "v": 0}]


def test_a_tx_whose_session_is_killed_is_over(db, daemon):
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    kill_sessions(db, "state = 'idle in transaction'")
    eventually(lambda: not db.backends("state = 'idle in transaction'"),
               "it is gone")
    for request in (["SQL", update(1)], ["COMMIT"]):
        reply = c.try_call(tx, *request)
        assert isinstance(reply, LkError), reply
        assert reply.kind in ("CONNLOST", "TXABORTED", "NOTX"), reply.line
    c.try_call(tx, "ROLLBACK")		# NOTX when COMMIT's error ended it
    c.fails("NOTX", tx, "SQL", update(1))
    assert db.v(1) == 0
    assert_nothing_left(db, c)
    until_it_answers(c)


def test_sessions_come_back_after_a_restart_of_postgresql(pg, db, daemon):
    c = daemon.connect()
    c.sql("SELECT 1")
    pg.restart()
    until_it_answers(c)
    db.reconnect()
    assert c.sql(update(1)) == "UPDATE 1"
    assert db.v(1) == 1


def test_lock_waits_are_seen_after_a_restart_of_postgresql(pg, db, daemon):
    c = daemon.connect()
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    c.fails("LOCKTIMEOUT", "?50", "SQL", update(1))
    pg.restart()
    db.reconnect()
    until_it_answers(c)
    foreign = db.connect()
    foreign.query(f"BEGIN; {update(1)}")
    error = c.fails("LOCKTIMEOUT", "?1500", "SQL", update(1))
    assert str(foreign.pid) in error.message


def test_without_a_server_requests_get_connlost(pg, db, lockkeeperd):
    daemon = lockkeeperd(timeouts={"connect": "1s", "queue": "2s"})
    c = daemon.connect()
    c.sql("SELECT 1")
    tx = f"#{c.call('BEGIN')}"
    with pg.stopped():
        with within(2000, "CONNLOST without a server"):
            error = c.fails("CONNLOST", "SQL", "SELECT 1")
        assert error.sqlstate == "08006"
        assert c.call("PING") == "PONG"
        assert isinstance(c.try_call(tx, "SQL", update(1)), LkError)
        shown = c.call("SHOW", "error")
        assert shown["kind"] == "CONNLOST"
    db.reconnect()
    until_it_answers(c)


def test_a_daemon_started_before_its_server_serves_when_it_is_there(
        pg, db, lockkeeperd):
    with pg.stopped():
        daemon = lockkeeperd(timeouts={"connect": "1s", "queue": "1s"})
        c = daemon.connect()
        assert c.call("PING") == "PONG"
        assert c.try_call("SQL", "SELECT 1").kind == "CONNLOST"
    db.reconnect()
    until_it_answers(c)


def test_a_server_that_is_away_is_looked_for_each_second(pg, lockkeeperd):
    """Until then who asks is told that it is away."""
    daemon = lockkeeperd(pg.conninfo("no_such_database"),
                         workers={"min": 1, "max": 1})
    c = daemon.connect()

    def until_tried(n):
        eventually(lambda: pairs(c.call("SHOW", "stats"))["sessions_lost"]
                   >= n, "it is looked for", 60)
        return time.monotonic()

    times = [until_tried(n) for n in range(7, 12)]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert min(gaps) < 2, gaps


def test_a_wrong_database_is_connlost_with_the_servers_words(
        pg, lockkeeperd):
    daemon = lockkeeperd(pg.conninfo("no_such_database"),
                         timeouts={"queue": "1s"})
    c = daemon.connect()
    error = c.fails("CONNLOST", "SQL", "SELECT 1")
    detail = c.call("SHOW", "error").get("detail") or ""
    assert "no_such_database" in error.message + detail


# -- who gets a slot

def test_pooltimeout_names_who_holds_the_slots(lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 2},
                         timeouts={"queue": "200ms"})
    holder = daemon.connect("3", "NAME", "billing")
    handle = holder.call("%invoice", "BEGIN")
    holder.call("%invoice", f"#{handle}", "SQL", update(1))
    holder.send("@s", "%report", "SQL", "SELECT pg_sleep(30)")
    holder.call("PING")
    c = daemon.connect()
    with within(100, "POOLTIMEOUT after 200 ms, beyond them") as w:
        w.start += 0.2
        error = c.fails("POOLTIMEOUT", "SQL", update(2))
    assert error.sqlstate == "LK001"
    assert "ms after SQL UPDATE r SET" in error.message
    assert "ms: SQL SELECT pg_sleep" in error.message
    for word in (str(handle), "invoice", "report", "billing"):
        assert word in error.message, error.line
    holder.call("CANCEL", "s")
    holder.call(f"#{handle}", "COMMIT")
    assert c.sql(update(2)) == "UPDATE 1"


def test_pooltimeout_says_what_the_slots_wait_for(lockkeeperd):
    daemon = lockkeeperd(workers={"min": 2, "max": 2},
                         timeouts={"queue": "400ms"}, replay="off")
    holder, c = daemon.connect(), daemon.connect()
    handle = holder.call("%invoice", "BEGIN")
    holder.call("%invoice", f"#{handle}", "SQL", update(1))
    c.send("@w", "%basket", "SQL", update(1))
    eventually(lambda: holder.show("waits"), "it is seen to wait")
    error = daemon.connect().fails("POOLTIMEOUT", "SQL", update(2))
    assert "ms, waiting for row (0,1) of r: SQL UPDATE r SET" in error.message
    holder.call("%invoice", f"#{handle}", "COMMIT")
    assert c.tag("w") == "UPDATE 1"


@pytest.mark.alone
def test_txs_at_work_go_before_new_work(lockkeeperd):
    """The holder's statements and COMMIT pass fifty queued requests."""
    c = lockkeeperd(workers={"min": 1, "max": 1}).connect()
    tx = f"#{c.call('%a', 'BEGIN')}"
    c.call("%a", tx, "SQL", update(1))
    for i in range(50):
        c.send(f"@q{i}", "SQL", update(2))
    with within(10, "three requests of a tx before fifty queued ones"):
        for words in (["SQL", update(1)], ["SQL", update(1)], ["COMMIT"]):
            c.send("@a", "%a", tx, *words)
            good(c.tag("a"))
    for i in range(50):
        assert c.tag(f"q{i}") == "UPDATE 1"


def test_control_commit_behind_waiters_of_a_plain_thread_pool_stands_still(
        db):
    """tests/isolation/commit_overtakes.spec with N threads that take blocking
    calls from a queue."""
    n, jobs = 2, queue.Queue()
    sessions = [db.connect() for _ in range(n + 1)]
    done = []

    def work():
        while job := jobs.get():
            name, session, sql = job
            try:
                session.query(sql, 30)
                done.append(name)
            except pgwire.PgError:
                pass

    threads = [threading.Thread(target=work, daemon=True) for _ in range(n)]
    sessions[0].query(f"BEGIN; {update(1)}")
    for thread in threads:
        thread.start()
    for i in range(n):
        jobs.put((f"w{i}", sessions[i + 1], update(1)))
    jobs.put(("commit", sessions[0], "COMMIT"))
    db.wait_for_waiters(n)
    stays(lambda: not done, "nobody moves", 1.5)
    db.sql(f"SELECT pg_cancel_backend({sessions[1].pid})")
    for _ in threads:
        jobs.put(None)
    for thread in threads:
        thread.join(10)
    assert sorted(done) == ["commit", "w1"], "a free thread was all it lacked"


def test_nobody_starves_behind_a_stream_of_txs(lockkeeperd):
    """New transactions wait behind autocommit work, but not for ever."""
    c = lockkeeperd(workers={"min": 2, "max": 2}).connect()
    for i in range(200):
        c.send(f"@a{i}", "SQL", "SELECT pg_sleep(0.002)")
    tx = f"#{c.call('BEGIN')}"
    c.send("@t", tx, "SQL", "SELECT 1 AS v")
    assert c.tag("t") == [{"v": 1}]
    for i in range(200):
        good(c.tag(f"a{i}"))
    c.call(tx, "COMMIT")


@pytest.mark.parametrize("n", [200])
def test_many_tasks_on_few_slots_all_finish(db, lockkeeperd, n):
    c = lockkeeperd(workers={"min": 2, "max": 4}).connect()
    handles = [c.call(f"%t{i}", "BEGIN") for i in range(n)]
    for i, handle in enumerate(handles):
        c.send(f"@u{i}", f"%t{i}", f"#{handle}", "SQL", update(1))
        c.send(f"@c{i}", f"%t{i}", f"#{handle}", "COMMIT")
    for i in range(n):
        assert c.tag(f"u{i}") == "UPDATE 1"
        assert c.tag(f"c{i}") == "COMMIT"
    assert db.v(1) == n
    assert_nothing_left(db, c)


def test_a_thousand_txs_share_ten_slots_fairly(lockkeeperd):
    """Scenario 29: each waits 50 ms between its SELECT and its COMMIT."""
    n, n_slots, think_s = 1000, 10, 0.05
    c = lockkeeperd(workers={"min": n_slots, "max": n_slots}).connect()
    handles = [f"#{c.call('BEGIN')}" for _ in range(n)]
    waited, to_commit = {}, collections.deque()
    with within(n / n_slots * think_s * 1000 * 1.2, "scenario 29: all done"):
        start = time.monotonic()
        for i, tx in enumerate(handles):
            c.send(f"@s{i}", tx, "SQL", "SELECT 1 AS v")
        n_seen = n_done = 0
        while n_done < n:
            c.pump(0.005)
            now = time.monotonic()
            for came, tag, value in c.arrived[n_seen:]:
                if tag and tag.startswith("s"):
                    assert value == [{"v": 1}]
                    waited[int(tag[1:])] = came - start
                    to_commit.append((now + think_s, int(tag[1:])))
                elif tag:
                    assert value == "COMMIT"
                    n_done += 1
            n_seen = len(c.arrived)
            while to_commit and to_commit[0][0] <= now:
                i = to_commit.popleft()[1]
                c.send(f"@c{i}", handles[i], "COMMIT")
    mean = sum(waited.values()) / n
    note("scenario 29: longest wait, in means", max(waited.values()) / mean,
         2, "x ")
    assert max(waited.values()) < 3 * mean
    order = sorted(waited, key=waited.get)
    assert all(abs(place - i) <= 3 * n_slots
               for place, i in enumerate(order)), "not in the order sent"
