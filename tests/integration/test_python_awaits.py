"""The asyncio client tells which task awaits which, so that a deadlock is found
that runs through the program: the holder awaits the waiter."""
import asyncio
import logging

import pytest

import aio
import lockkeeper
from lockkeeper._awaits import awaited_by

SOON = {"notify": "50ms"}


def put(lk, v=1):
    return lk.execute("UPDATE r SET v = $1 WHERE id = 1", v)


# How the holder may wait for the task whose request waits for its lock.

async def by_await(task):
    await task


async def by_gather(task):
    await asyncio.gather(task, asyncio.create_task(asyncio.sleep(0)))


async def by_wait(task):
    await asyncio.wait([task])
    await task


async def by_wait_for_any(task):
    await asyncio.wait([task], return_when=asyncio.FIRST_COMPLETED)
    await task


async def by_wait_for(task):
    await asyncio.wait_for(task, 600)


async def by_timeout(task):
    async with asyncio.timeout(600):
        await task


async def by_group(task):
    async with asyncio.TaskGroup() as group:
        group.create_task(by_await(task))


async def by_another(task):
    await asyncio.create_task(by_wait(task))


async def by_a_deep_call(task):
    async def deeper():
        async def deepest():
            await asyncio.wait({task})
            await task
        await deepest()
    await deeper()


async def later(task):
    """Long after the daemon has said that it blocks."""
    await asyncio.sleep(0.5)
    await task


@pytest.mark.parametrize("wait", [
    by_await, by_gather, by_wait, by_wait_for_any, by_wait_for, by_timeout,
    by_group, by_another, by_a_deep_call, later])
def test_a_holder_that_awaits_its_waiter_is_a_deadlock(lockkeeperd, wait):
    daemon = lockkeeperd(deadlock=SOON)

    async def program(lk):
        told = []
        lk.on("deadlock", told.append)
        with pytest.raises((lockkeeper.DeadlockError, ExceptionGroup)) as why:
            async with asyncio.timeout(60):
                async with lk.transaction():
                    await put(lk)
                    task = asyncio.create_task(put(lk.autocommit()))
                    await wait(task)
        assert "DeadlockError" in repr(why.value)
        await put(lk)
        assert f"task {asyncio.current_task().get_name()}" in told[0]["text"]
        assert lk.core._awaits._said == {}
        assert [row["awaits"] for row in await lk.call("SHOW", "tasks")
                if row["awaits"]] == []

    aio.run(daemon, program)


def test_a_holder_that_may_go_on_is_none(lockkeeperd):
    """It waits for what another task will do: a timer, an event, a queue."""
    daemon = lockkeeperd(deadlock=SOON)

    async def program(lk):
        go_on = asyncio.Event()
        async with lk.transaction():
            await put(lk, 1)
            waiter = asyncio.create_task(put(lk.autocommit(), 2))
            timer = asyncio.get_running_loop().call_later(1.0, go_on.set)
            other = asyncio.create_task(go_on.wait())
            await asyncio.wait([waiter, other],
                               return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(other, go_on.wait())
            timer.cancel()
        await waiter
        assert (await lk.get("r", 1)).v == 2
        assert await lk.call("SHOW", "deadlocks") == []

    aio.run(daemon, program)


def test_what_is_not_certain_is_not_said():
    async def program():
        plain = asyncio.get_running_loop().create_future()
        one = asyncio.create_task(asyncio.sleep(600))
        two = asyncio.create_task(asyncio.sleep(600))

        async def see(awaitable):
            task = asyncio.create_task(awaitable)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            try:
                return awaited_by(task)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

        async def wait(*futures, **how):
            await asyncio.wait(futures, **how)

        first = {"return_when": asyncio.FIRST_COMPLETED}
        assert await see(wait(one, two)) == (False, {one, two})
        assert await see(wait(one, two, **first)) == (True, {one, two})
        assert await see(wait(one, plain)) == (False, {one})
        assert await see(wait(one, plain, **first)) is None
        assert await see(wait(plain)) is None
        assert await see(asyncio.sleep(600)) is None
        assert await see(asyncio.Event().wait()) is None
        for task in (one, two):
            task.cancel()
        await asyncio.gather(one, two, return_exceptions=True)
        assert awaited_by(one) is None

    asyncio.run(program())


def test_waits_are_logged_and_told_to_hooks(lockkeeperd, caplog):
    daemon = lockkeeperd(deadlock=SOON)
    caplog.set_level(logging.INFO, "lockkeeper")

    async def program(lk):
        told = []
        both = asyncio.Event()

        def hook(push):
            told.append(push)
            if len(told) == 2:
                both.set()

        lk.on("lockwait", hook)
        lk.on("blocking", hook)
        with pytest.raises(lockkeeper.UsageError):
            lk.on("other", hook)
        async with lk.transaction() as tx:
            await put(lk)
            waiter = asyncio.create_task(put(lk.autocommit()), name="second")
            await both.wait()
        await waiter
        assert {push["task"].split("/")[0] for push in told} == {
            "second", asyncio.current_task().get_name()}
        assert any(push.get("tx") == tx.handle for push in told)
        assert "second" in caplog.text and "waiting for" in caplog.text

    aio.run(daemon, program)


def test_a_hook_that_fails_is_logged_and_harms_nobody(lockkeeperd, caplog):
    daemon = lockkeeperd(deadlock=SOON)

    async def program(lk):
        failed = asyncio.Event()

        def hook(push):
            failed.set()
            raise RuntimeError("of the hook")

        lk.on("lockwait", hook)
        async with lk.transaction():
            await put(lk)
            waiter = asyncio.create_task(put(lk.autocommit()))
            await failed.wait()
        await waiter
        assert "of the hook" in caplog.text

    aio.run(daemon, program)
