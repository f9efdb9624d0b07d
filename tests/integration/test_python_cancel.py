"""The asyncio client: a task that ends leaves nothing of it behind."""
import asyncio
import random
import time

import pytest

import aio
import lockkeeper
import timing

N_CANCELS = 1000 if timing.IS_SLOW else 10000


async def is_clean(lk):
    """Only the one that asks has a request, and nobody has a transaction."""
    [client] = await lk.call("SHOW", "clients")
    return client["outstanding"] <= 1 and client["transactions"] == 0 \
        and await lk.call("SHOW", "transactions") == [] \
        and await lk.call("SHOW", "waits") == [] \
        and all(task["requests"] <= 1 and not task["transactions"]
                for task in await lk.call("SHOW", "tasks")) \
        and lk.core.connection.n_pending == 0


async def becomes_clean(lk):
    await aio.eventually(lambda: is_clean(lk), "SHOW is clean")


def test_a_cancelled_call_is_ended_in_the_daemon(db, daemon):
    async def program(lk):
        task = asyncio.create_task(lk.fetch("SELECT pg_sleep(600)"))
        await aio.eventually(lambda: asyncio.to_thread(db.busy), "it runs")
        before = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - before < 1	# nothing was waited for
        await becomes_clean(lk)
        assert db.busy() == []

    aio.run(daemon, program)


def test_a_cancelled_task_takes_no_turn_of_the_loop_to_end(daemon):
    """It awaits nothing more, also where it holds a transaction."""
    async def program(lk):
        async def hold():
            async with lk.transaction():
                await lk.execute("UPDATE r SET v = 1 WHERE id = 1")
                await lk.fetch("SELECT pg_sleep(600)")

        task = asyncio.create_task(hold())
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert task.done()
        await lk.execute("UPDATE r SET v = 2 WHERE id = 1")
        await becomes_clean(lk)
        assert (await lk.get("r", 1)).v == 2

    aio.run(daemon, program)


def test_a_timeout_inside_of_a_block_leaves_the_transaction_whole(daemon):
    """asyncio.timeout and lk.wait_for stay in the task."""
    async def program(lk):
        async with lk.transaction():
            await lk.execute("UPDATE r SET v = 1 WHERE id = 1")
            async with lk.transaction():
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.05):
                        async with lk.transaction():
                            await lk.fetch("SELECT pg_sleep(600)")
                with pytest.raises(TimeoutError):
                    async with lk.transaction():
                        await lk.wait_for(lk.fetch("SELECT pg_sleep(600)"),
                                          0.05)
            assert await lk.wait_for(lk.fetchval(
                "SELECT v FROM r WHERE id = 1"), 60) == 1
        assert (await lk.get("r", 1)).v == 1
        await becomes_clean(lk)

    aio.run(daemon, program)


def test_a_transaction_whose_begin_is_cancelled_is_not_left_open(daemon):
    async def program(lk):
        async def block():
            async with lk.transaction():
                await lk.get("r", 1)

        for turns in range(8):
            task = asyncio.create_task(block())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await becomes_clean(lk)

    aio.run(daemon, program)


def test_a_cancelled_commit_has_committed_or_not(db, daemon):
    db.sql("""CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON r DEFERRABLE
        INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow()""")

    async def program(lk):
        async def block():
            async with lk.transaction():
                await lk.execute("UPDATE r SET v = v + 1 WHERE id = 1")

        task = asyncio.create_task(block())
        await aio.eventually(lambda: asyncio.to_thread(lambda: [
            row for row in db.busy() if "COMMIT" in row[3]]), "it commits")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await becomes_clean(lk)
        v = (await lk.get("r", 1)).v
        assert v in (0, 1)
        await lk.execute("UPDATE r SET v = v + 1 WHERE id = 1")
        assert (await lk.get("r", 1)).v == v + 1

    aio.run(daemon, program)


class Odd(BaseException):
    """As KeyboardInterrupt and GeneratorExit are."""


@pytest.mark.parametrize("error", [RuntimeError, Odd, asyncio.CancelledError])
def test_whatever_leaves_a_block_rolls_it_back(daemon, error):
    async def program(lk):
        with pytest.raises(error):
            async with lk.transaction():
                await lk.execute("UPDATE r SET v = 5 WHERE id = 1")
                raise error()
        assert (await lk.get("r", 1)).v == 0
        await becomes_clean(lk)

    aio.run(daemon, program)


def test_a_cancelled_unit_leaves_nothing(db, daemon):
    async def program(lk):
        async with lk.transaction():
            await lk.execute("UPDATE r SET v = 1 WHERE id = 1")

            async def unit():
                with lk.autocommit():
                    async with lk.unit() as u:
                        u.execute("UPDATE r SET v = 9 WHERE id = 2")
                        u.execute("UPDATE r SET v = 9 WHERE id = 1")

            task = asyncio.create_task(unit())
            await aio.eventually(lambda: asyncio.to_thread(db.n_waiting),
                                 "it waits")
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # Else it may be done before it is ended.
            await aio.eventually(lambda: asyncio.to_thread(
                lambda: not db.n_waiting()), "it waits no more")
        await becomes_clean(lk)
        assert (await lk.get("r", 2)).v == 0

    aio.run(daemon, program)


def test_after_a_cancelled_unit_the_task_goes_on(daemon):
    """Also when EXEC was ended before its turn had come."""
    async def program(lk):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lk.fetch("SELECT pg_sleep(600)")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                async with lk.unit() as u:
                    u.update("r", 1, v=1)
        # Where its turn had come it may have been done before the cancel.
        async with lk.transaction():
            assert (await lk.get("r", 1)).v in (0, 1)

    aio.run(daemon, program)


@pytest.mark.alone
def test_random_cancels_and_timeouts_leave_nothing(db, lockkeeperd):
    """Of everything that can be awaited, at any moment."""
    daemon = lockkeeperd(workers={"max": 4})
    rng = random.Random(11)

    async def program(lk):
        async def plain():
            await lk.get("r", rng.randrange(1, 101))

        async def update():
            await lk.execute("UPDATE r SET v = v + 1 WHERE id = $1",
                             rng.randrange(1, 6))

        async def block():
            async with lk.transaction():
                await update()
                if rng.random() < 0.3:
                    async with lk.transaction():
                        await update()
                await asyncio.sleep(0)

        async def early():
            async with lk.transaction() as tx:
                await update()
                await tx.rollback()

        async def unit():
            async with lk.unit(retry=50) as u:
                u.execute("UPDATE r SET v = v + 1 WHERE id = $1",
                          rng.randrange(1, 6))
                u.get("r", 1)

        async def rows():
            async for row in lk.iterate("SELECT * FROM r"):
                if row.id == 40:
                    break

        async def slow():
            await lk.fetch("SELECT pg_sleep(1)")

        kinds = (plain, plain, update, block, block, early, unit, rows, slow)

        async def one():
            kind = rng.choice(kinds)
            try:
                if rng.random() < 0.5:
                    async with asyncio.timeout(rng.random() * 0.02):
                        await kind()
                else:
                    task = asyncio.create_task(kind())
                    for _ in range(rng.randrange(30)):
                        await asyncio.sleep(0)
                    task.cancel()
                    await task
            except (TimeoutError, asyncio.CancelledError,
                    lockkeeper.DeadlockError):
                pass

        async def worker(n):
            for _ in range(n):
                await one()

        await asyncio.gather(*[worker(N_CANCELS // 50) for _ in range(50)])

        async def both_clean():
            clients = await lk.call("SHOW", "clients")
            return sum(c["outstanding"] for c in clients) <= 1 \
                and await lk.call("SHOW", "transactions") == [] \
                and await lk.call("SHOW", "waits") == [] \
                and all(not task["transactions"]
                        for task in await lk.call("SHOW", "tasks"))

        await aio.eventually(both_clean, "SHOW is clean", 60)
        assert lk.core.connection.n_pending == 0
        assert lk.core.bulk().n_pending == 0
        assert db.busy() == [] and db.locks() == []

    aio.run(daemon, program)
