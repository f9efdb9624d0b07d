"""lockkeeper.asyncpg: the same program on asyncpg and on Lockkeeper."""
import asyncio

import pytest

import aio  # noqa: F401  pylint: disable=unused-import
import lockkeeper.asyncpg

asyncpg = pytest.importorskip(
    "asyncpg", reason="no asyncpg (Debian: apt-get install python3-asyncpg)")


@pytest.fixture(params=["asyncpg", "lockkeeper"])
def run(request, pg, db, daemon):
    """run(program) with a pool of either; program(pool, module)."""
    async def main(program):
        if request.param == "asyncpg":
            module = asyncpg
            pool = module.create_pool(
                host=str(pg.directory), port=5432, user="postgres",
                database=db.name, min_size=1, max_size=4)
        else:
            module = lockkeeper.asyncpg
            pool = module.create_pool(daemon.socket)
        async with pool:
            await program(pool, module)

    return lambda program: asyncio.run(main(program))


def test_a_pool_runs_statements(run):
    async def program(pool, module):
        assert await pool.execute("UPDATE r SET v = $1 WHERE id < $2", 5, 3) \
            == "UPDATE 2"
        rows = await pool.fetch("SELECT * FROM r WHERE id < $1 ORDER BY id", 3)
        assert [dict(row) for row in rows] == [{"id": 1, "v": 5},
                                               {"id": 2, "v": 5}]
        row = rows[0]
        assert isinstance(row, module.Record)
        assert (row["v"], row[0], list(row), len(row)) == (5, 1, [1, 5], 2)
        assert list(row.keys()) == ["id", "v"]
        assert list(row.values()) == [1, 5]
        assert list(row.items()) == [("id", 1), ("v", 5)]
        assert row == (1, 5) and row == rows[0] and row != rows[1]
        assert row.get("w", 7) == 7 and "v" in row
        assert repr(row) == "<Record id=1 v=5>"
        a, b = row
        assert (a, b) == (1, 5)
        assert await pool.fetchrow("SELECT 1 WHERE false") is None
        assert await pool.fetchval("SELECT 1, 2", column=1) == 2
        await pool.executemany("UPDATE r SET v = $2 WHERE id = $1",
                               [(1, 7), (2, 8)])
        assert [row["v"] for row in await pool.fetch(
            "SELECT v FROM r WHERE id < 3 ORDER BY id")] == [7, 8]
        with pytest.raises((TimeoutError, asyncio.TimeoutError)):
            await pool.fetch("SELECT pg_sleep(60)", timeout=0.1)
        with pytest.raises(module.PostgresError):
            await pool.fetch("SELECT 1/0")

    run(program)


def test_executemany_is_all_or_nothing(run):
    async def program(pool, module):
        with pytest.raises(module.PostgresError):
            await pool.executemany("UPDATE r SET v = 1/$2::int WHERE id = $1",
                                   [(1, 1), (2, 0)])
        assert await pool.fetchval("SELECT sum(v) FROM r") == 0

    run(program)


def test_a_connection_has_transactions(run):
    async def program(pool, module):
        del module
        async with pool.acquire() as con:
            async with con.transaction():
                await con.execute("UPDATE r SET v = 1 WHERE id = 1")
                assert con.is_in_transaction()
                assert await pool.fetchval(
                    "SELECT v FROM r WHERE id = 1") == 0
                with pytest.raises(ZeroDivisionError):
                    async with con.transaction():
                        await con.execute("UPDATE r SET v = 2 WHERE id = 1")
                        raise ZeroDivisionError
                assert await con.fetchval(
                    "SELECT v FROM r WHERE id = 1") == 1
            assert not con.is_in_transaction()
            tx = con.transaction(isolation="serializable")
            await tx.start()
            await con.execute("UPDATE r SET v = 3 WHERE id = 1")
            await tx.rollback()
            tx = con.transaction()
            await tx.start()
            await con.execute("UPDATE r SET v = v + 1 WHERE id = 1")
            await tx.commit()
        con = await pool.acquire()
        try:
            assert await con.fetchval("SELECT v FROM r WHERE id = 1") == 2
        finally:
            await pool.release(con)

    run(program)


def test_a_connection_may_be_used_by_child_tasks(run):
    async def program(pool, module):
        del module
        async with pool.acquire() as con, con.transaction():
            await con.execute("UPDATE r SET v = 1 WHERE id = 1")
            assert await asyncio.wait_for(con.fetchval(
                "SELECT v FROM r WHERE id = 1"), 60) == 1

    run(program)


def test_a_transaction_that_is_left_open_goes_with_its_connection(run):
    async def program(pool, module):
        del module
        async with pool.acquire() as con:
            await con.transaction().start()
            await con.execute("UPDATE r SET v = 1 WHERE id = 1")
        assert await pool.fetchval("SELECT v FROM r WHERE id = 1") == 0
        await asyncio.wait_for(
            pool.execute("UPDATE r SET v = 1 WHERE id = 1"), 60)

    run(program)


def test_a_connection_has_cursors_and_prepared_statements(run):
    async def program(pool, module):
        async with pool.acquire() as con:
            with pytest.raises(Exception, match="transaction|cursor"):
                async for _ in con.cursor("SELECT 1"):
                    pass
            async with con.transaction():
                assert [row["id"] async for row in con.cursor(
                    "SELECT id FROM r WHERE id < $1 ORDER BY id", 4)] \
                    == [1, 2, 3]
                cursor = await con.cursor("SELECT id FROM r ORDER BY id")
                assert (await cursor.fetchrow())["id"] == 1
                assert [row["id"] for row in await cursor.fetch(3)] \
                    == [2, 3, 4]
                assert len(await cursor.fetch(1000)) == 96
                assert await cursor.fetchrow() is None
            statement = await con.prepare("SELECT $1::int + $2::int AS n, 5")
            assert statement.get_query().startswith("SELECT")
            assert await statement.fetchval(1, 2) == 3
            assert await statement.fetchval(1, 2, column=1) == 5
            assert (await statement.fetchrow(3, 4))["n"] == 7
            assert [row["n"] for row in await statement.fetch(5, 6)] == [11]
            put = await con.prepare("UPDATE r SET v = $2 WHERE id = $1")
            await put.executemany([(1, 5), (2, 6)])
            async with con.transaction():
                assert [row["v"] async for row in (await con.prepare(
                    "SELECT v FROM r WHERE id < $1 ORDER BY id")).cursor(3)] \
                    == [5, 6]
        with pytest.raises(module.InterfaceError):
            await con.fetch("SELECT 1")

    run(program)


def test_a_cancelled_block_is_rolled_back(run):
    async def program(pool, module):
        del module

        async def block():
            async with pool.acquire() as con, con.transaction():
                await con.execute("UPDATE r SET v = 1 WHERE id = 1")
                await con.fetch("SELECT pg_sleep(600)")

        task = asyncio.create_task(block())
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await pool.execute("UPDATE r SET v = v + 5 WHERE id = 1") \
            == "UPDATE 1"
        assert await pool.fetchval("SELECT v FROM r WHERE id = 1") == 5

    run(program)


def test_a_pool_that_is_not_open_says_so():
    async def program():
        with pytest.raises(lockkeeper.asyncpg.InterfaceError, match="await"):
            await lockkeeper.asyncpg.create_pool("/nowhere").fetch("SELECT 1")

    asyncio.run(program())
