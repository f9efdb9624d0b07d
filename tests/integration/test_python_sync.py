"""The Python client without asyncio, and beside it in threads."""
import asyncio
import os
import threading
import time

import pytest

import aio
import lockkeeper
import lockkeeper.sync
from lockkeeper.models import Column, Many, Model
from timing import eventually

col = lockkeeper.col


@pytest.fixture
def lk(daemon):
    with lockkeeper.sync.connect(daemon.socket) as client:
        yield client


def test_calls_block_and_give_what_asyncio_gets(lk):
    assert lk.call("PING") == "PONG"
    assert lk.get("r", 1) == {"id": 1, "v": 0}
    assert lk.fetch("SELECT id FROM r WHERE id < $1 ORDER BY id", 3) \
        == [{"id": 1}, {"id": 2}]
    assert lk.fetchrow("SELECT 1 AS a").a == 1
    assert lk.fetchval("SELECT ARRAY[1.5]")[0] == 1.5
    assert lk.execute("UPDATE r SET v = 1 WHERE id = 1") == "UPDATE 1"
    assert lk.create("r", id=200, v=1).v == 1
    assert lk.create_many("r", [{"id": 201, "v": 1}, {"id": 202, "v": 2}]) == 2
    assert lk.update("r", 200, v=col("v") + 5).v == 6
    assert lk.upsert("r", id=200, v=7).v == 7
    assert [row.id for row in lk.find("r", col("id") > 200,
                                      order_by=["-id"])] == [202, 201]
    assert lk.one("r", id=200).v == 7 and lk.first("r", v=99) is None
    assert lk.count("r", v=7) == 1 and lk.exists("r", v=7)
    assert lk.update_all("r", col("id") > 200, v=9) == 2
    assert lk.delete("r", 200) and lk.delete_all("r", col("id") > 200) == 2
    assert [row.id for row in lk.iterate("SELECT id FROM r ORDER BY id")] \
        == list(range(1, 101))
    with pytest.raises(lockkeeper.TimeoutError):
        lk.options(timeout=0.05).fetch("SELECT pg_sleep(600)")
    with pytest.raises(lockkeeper.PostgresError):
        lk.fetch("SELECT 1/0")


def test_types_are_learnt(db, lk):
    db.sql("CREATE TYPE pair AS (a int, b text)")
    assert lk.fetchval("SELECT '(1,x)'::pair") == (1, "x")
    db.sql("CREATE TABLE c (id int PRIMARY KEY, r_id int REFERENCES r)")
    lk.create("c", id=1, r_id=5)
    assert lk.get("c", 1, with_=["r"]).r.id == 5
    assert lk.load("r", 5, "c") == [{"id": 1, "r_id": 5}]


def test_models_are_run(db, lk):
    db.sql("CREATE TABLE c (id int PRIMARY KEY, r_id int REFERENCES r)")

    class Base(Model, table=""):
        pass

    class R(Base, table="r"):
        id: Column[int]
        v: Column[int]
        c: Many["C"]

    class C(Base, table="c"):
        id: Column[int]
        r_id: Column[int]

    lk.bind(R, C)
    one = lk.run(R.get(1))
    lk.run(C.create(id=7, r_id=1))
    assert [each.id for each in lk.run(one.c)] == [7]
    with pytest.raises(lockkeeper.NotFound), lk.transaction() as tx:
        lk.run(one.update(v=5))
        assert lk.run(R.find(v=5, using=tx))[0].id == 1
        assert lk.run(R.find(v=5, using=lk.autocommit()).count()) == 0
        lk.run(R.get(1000))
    assert lk.run(R.get(1)).v == 0
    seen = []
    thread = threading.Thread(target=lambda: seen.append(lk.run(R.get(2))))
    thread.start()
    thread.join()
    assert seen[0].id == 2
    assert {row["mode"] for row in lk.call("SHOW", "clients")} == {"blocking"}


def test_transactions_and_units(lk):
    with lk.transaction() as tx:
        lk.execute("UPDATE r SET v = 1 WHERE id = 1")
        assert tx.get("r", 1).v == 1
        assert lk.autocommit().get("r", 1).v == 0
        with pytest.raises(ZeroDivisionError):
            with lk.transaction():
                lk.execute("UPDATE r SET v = 2 WHERE id = 1")
                raise ZeroDivisionError
    assert lk.get("r", 1).v == 1
    with pytest.raises(ZeroDivisionError):
        with lk.transaction(isolation="serializable"):
            lk.execute("UPDATE r SET v = 3 WHERE id = 1")
            raise ZeroDivisionError
    with lk.transaction() as tx:
        lk.execute("UPDATE r SET v = 4 WHERE id = 1")
        tx.rollback()
        with pytest.raises(lockkeeper.TransactionEnded):
            lk.get("r", 1)
    assert lk.get("r", 1).v == 1
    with lk.unit(retry=5) as u:
        got = u.update("r", 1, v=col("v") + 5, must=True)
        u.update("r", 2, v=got.v)
    assert got.value.v == 6 and lk.get("r", 2).v == 6
    with pytest.raises(lockkeeper.NoColumnError):
        with lk.unit() as u:
            u.update("r", 1, w=1)
    assert lk.call("SHOW", "transactions") == []


def test_each_thread_has_a_connection_that_says_which_it_is(lk):
    clients = []

    def other():
        [row] = [row for row in lk.call("SHOW", "clients")
                 if row["outstanding"]]
        clients.append(row)

    other()
    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert [row["mode"] for row in clients] == ["blocking"] * 2
    assert len({row["thread"] for row in clients}) == 2
    assert len({row["id"] for row in clients}) == 2
    with lk.transaction():
        lk.get("r", 1)
        [row] = lk.call("SHOW", "transactions")
        assert row["task"].startswith(threading.current_thread().name)


def test_the_end_of_the_daemon_is_told_and_it_is_found_again(daemon, lk):
    with lk.transaction() as tx:
        daemon.restart()
        with pytest.raises(lockkeeper.Error):
            tx.get("r", 1)
        with pytest.raises(lockkeeper.ConnectionLostError):
            tx.get("r", 1)
        tx._of._end()
    assert lk.get("r", 1).id == 1


def test_a_child_process_connects_anew(lk):
    assert lk.get("r", 1).id == 1
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if lk.get("r", 2).id == 2 else 1
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert lk.get("r", 3).id == 3


def test_what_is_wrong_is_said_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        lockkeeper.sync.connect(str(tmp_path / "none"))


# ---- beside asyncio ----

def test_under_to_thread_a_call_is_the_awaiting_tasks(daemon, lk):
    async def program(_):
        def tasks():
            # The task may begin to await a moment after the thread runs.
            eventually(lockkeeper.sync.awaiting_task, "it is awaited")
            with lk.transaction():
                lk.get("r", 1)
                [row] = lk.call("SHOW", "transactions")
                return row["task"]

        async def one():
            return await asyncio.to_thread(tasks)

        name = await asyncio.create_task(one(), name="starter")
        assert name.startswith("starter/")
        assert lockkeeper.sync.awaiting_task() is None

    aio.run(daemon, program)


def test_a_holder_that_awaits_a_thread_that_waits_for_it_is_a_deadlock(
        daemon, lk):
    """Half of a service is blocking, the other half is not: neither sees the
    other, and the daemon sees both."""
    async def program(both):
        update = "UPDATE r SET v = $1 WHERE id = 1"

        def blocking():
            eventually(lockkeeper.sync.awaiting_task, "it is awaited")
            lk.execute(update, 2)

        before = time.monotonic()
        with pytest.raises(lockkeeper.DeadlockError):
            async with both.transaction():
                await both.execute(update, 1)
                await asyncio.to_thread(blocking)
        assert time.monotonic() - before < 60
        await both.execute(update, 3)

    aio.run(daemon, program)


def test_a_call_that_blocks_the_loop_which_would_end_its_wait_is_a_deadlock(
        daemon, lk):
    """Of the loop's thread: no task of it can commit meanwhile."""
    async def program(both):
        update = "UPDATE r SET v = 1 WHERE id = 1"

        async def forget_where_one_is():
            lk.execute(update)

        with pytest.raises(lockkeeper.DeadlockError):
            async with both.transaction():
                await both.execute(update)
                await forget_where_one_is()
        assert await both.execute(update) == "UPDATE 1"

    aio.run(daemon, program)
