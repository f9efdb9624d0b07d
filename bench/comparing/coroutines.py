#!/usr/bin/env python3
"""Many coroutines of one Python program, through one of the usual ways to a
database.  Prints JSON: how often the work was done in a second, and how long
it took.

usage: coroutines.py DRIVER JSON
"""
import asyncio
import concurrent.futures
import json
import math
import random
import sys
import threading
import time

WARM_S = 0.5		# at most, and uncounted

GET = "SELECT * FROM {table} WHERE id = {0}"
ADD = "UPDATE {table} SET balance = balance + {1} WHERE id = {0}"


class Asyncpg:
    """A pool of sessions, as its manual recommends."""

    def __init__(self, wanted):
        import asyncpg	# pylint: disable=import-outside-toplevel
        self.module = asyncpg
        self.version = asyncpg.__version__
        self.wanted = wanted
        self.get_sql = GET.format("$1", table=wanted["table"])
        self.add_sql = ADD.format("$1", "$2", table=wanted["table"])
        self.pool = None
        self.lost = asyncpg.DeadlockDetectedError

    async def open(self):
        n = self.wanted["sessions"]
        self.pool = await self.module.create_pool(
            host=self.wanted["host"], user="postgres", database="postgres",
            min_size=n, max_size=n)

    async def close(self):
        await self.pool.close()

    def get(self, row):
        return self.pool.fetchrow(self.get_sql, row)

    async def add(self, row, amount):
        await self.pool.execute(self.add_sql, row, amount)

    async def transfer(self, first, second, amount):
        async with self.pool.acquire() as session:
            async with session.transaction():
                await session.fetchrow(self.get_sql, first)
                await session.execute(self.add_sql, first, -amount)
                await session.execute(self.add_sql, second, amount)


class Sqlalchemy:
    """Its Core on asyncpg; single statements in autocommit."""

    def __init__(self, wanted):
        # pylint: disable=import-outside-toplevel
        import sqlalchemy
        from sqlalchemy.ext import asyncio as sqlalchemy_asyncio
        self.version = sqlalchemy.__version__
        self.lost = sqlalchemy.exc.DBAPIError
        self.engine = sqlalchemy_asyncio.create_async_engine(
            f"postgresql+asyncpg://postgres@/postgres?host={wanted['host']}",
            pool_size=wanted["sessions"], max_overflow=0, pool_timeout=60)
        self.single = self.engine.execution_options(
            isolation_level="AUTOCOMMIT")
        table = sqlalchemy.Table(
            wanted["table"], sqlalchemy.MetaData(),
            sqlalchemy.Column("id", sqlalchemy.Integer, primary_key=True),
            sqlalchemy.Column("balance", sqlalchemy.BigInteger),
            sqlalchemy.Column("owner", sqlalchemy.Text))
        row = sqlalchemy.bindparam("row")
        self.get_sql = sqlalchemy.select(table).where(table.c.id == row)
        self.add_sql = sqlalchemy.update(table).where(
            table.c.id == row).values(
                balance=table.c.balance + sqlalchemy.bindparam("amount"))

    async def open(self):
        await self.get(1)

    async def close(self):
        await self.engine.dispose()

    async def get(self, row):
        async with self.single.connect() as session:
            return (await session.execute(self.get_sql, {"row": row})).first()

    async def add(self, row, amount):
        async with self.single.connect() as session:
            await session.execute(self.add_sql, {"row": row, "amount": amount})

    async def transfer(self, first, second, amount):
        async with self.engine.begin() as session:
            await session.execute(self.get_sql, {"row": first})
            await session.execute(self.add_sql,
                                  {"row": first, "amount": -amount})
            await session.execute(self.add_sql,
                                  {"row": second, "amount": amount})


class Psycopg2:
    """A blocking driver in as many threads as there are sessions."""

    def __init__(self, wanted):
        # pylint: disable=import-outside-toplevel
        import psycopg2
        from psycopg2.extensions import TransactionRollbackError
        self.module = psycopg2
        self.version = psycopg2.__version__.split()[0]
        self.lost = TransactionRollbackError
        self.wanted = wanted
        self.get_sql = GET.format("%s", table=wanted["table"])
        self.add_sql = ADD.format("%(row)s", "%(amount)s",
                                  table=wanted["table"])
        self.threads = concurrent.futures.ThreadPoolExecutor(
            wanted["sessions"])
        self.local = threading.local()
        self.sessions = []

    def _session(self):
        if not hasattr(self.local, "session"):
            self.local.session = self.module.connect(
                host=self.wanted["host"], user="postgres", dbname="postgres")
            self.local.session.autocommit = True
            self.sessions.append(self.local.session)
        return self.local.session

    async def _in_thread(self, function, *args):
        return await asyncio.get_running_loop().run_in_executor(
            self.threads, function, *args)

    async def open(self):
        await self.get(1)

    async def close(self):
        self.threads.shutdown()
        for session in self.sessions:
            session.close()

    def _get(self, row):
        with self._session().cursor() as cursor:
            cursor.execute(self.get_sql, (row,))
            return cursor.fetchone()

    def _add(self, row, amount):
        with self._session().cursor() as cursor:
            cursor.execute(self.add_sql, {"row": row, "amount": amount})

    def _transfer(self, first, second, amount):
        session = self._session()
        session.autocommit = False
        try:
            with session:
                self._get(first)
                self._add(first, -amount)
                self._add(second, amount)
        finally:
            session.autocommit = True

    async def get(self, row):
        return await self._in_thread(self._get, row)

    async def add(self, row, amount):
        await self._in_thread(self._add, row, amount)

    async def transfer(self, first, second, amount):
        await self._in_thread(self._transfer, first, second, amount)


class Lockkeeper:
    """Our own package: one connection, whatever the number of coroutines."""

    def __init__(self, wanted):
        import lockkeeper	# pylint: disable=import-outside-toplevel
        self.module = lockkeeper
        self.version = lockkeeper.implementation
        self.lost = lockkeeper.DeadlockError
        self.wanted = wanted
        self.table = wanted["table"]
        self.client = None

    async def open(self):
        self.client = await self.module.connect(self.wanted["socket"])

    async def close(self):
        await self.client.close()

    def get(self, row):
        return self.client.get(self.table, row)

    async def add(self, row, amount):
        await self.client.call("UPDATE", self.table, row, "SET", "balance",
                               "+=", amount)

    async def transfer(self, first, second, amount):
        async with self.client.transaction() as tx:
            await tx.get(self.table, first)
            await tx.call("UPDATE", self.table, first, "SET", "balance", "-=",
                          amount)
            await tx.call("UPDATE", self.table, second, "SET", "balance",
                          "+=", amount)

    async def transfer_unit(self, first, second, amount):
        async with self.client.unit() as unit:
            unit.call("GET", self.table, first)
            unit.call("UPDATE", self.table, first, "SET", "balance", "-=",
                      amount)
            unit.call("UPDATE", self.table, second, "SET", "balance", "+=",
                      amount)


DRIVERS = {"asyncpg": Asyncpg, "sqlalchemy": Sqlalchemy,
           "psycopg2": Psycopg2, "lockkeeper": Lockkeeper}


async def transfer_once(transfer, lost, rows):
    """Two different rows, in whatever order; again when a deadlock is lost."""
    first, second = random.sample(range(1, rows + 1), 2)
    while True:
        try:
            return await transfer(first, second, random.randint(1, 10))
        except lost:
            pass


async def measure(driver, wanted):
    rows = wanted["rows"]
    works = {
        # Quickly chosen: it is not what is measured.
        "get": lambda: driver.get(1 + int(random.random() * rows)),
        "hot": lambda: driver.add(1, 1),
        "transfer-tx": lambda: transfer_once(driver.transfer, driver.lost,
                                             rows),
        # Who has none does it verb by verb.
        "transfer-unit": lambda: transfer_once(
            getattr(driver, "transfer_unit", driver.transfer), driver.lost,
            rows),
    }
    once = works[wanted["workload"]]
    took = []
    await driver.open()
    start = time.perf_counter() + min(WARM_S, wanted["seconds"] / 4)
    end = start + wanted["seconds"]

    async def coroutine():
        now = time.perf_counter()
        while now < end:
            before = now
            await once()
            now = time.perf_counter()
            if start <= now < end:
                took.append(now - before)

    await asyncio.gather(*(coroutine() for _ in range(wanted["coroutines"])))
    await driver.close()
    took.sort()
    return {"per_s": len(took) / wanted["seconds"],
            "p50": took[len(took) // 2] * 1e6 if took else math.inf,
            "p99": took[len(took) * 99 // 100] * 1e6 if took else math.inf}


def main():
    wanted = json.loads(sys.argv[2])
    try:
        import uvloop	# pylint: disable=import-outside-toplevel
        uvloop.install()
    except ImportError:
        pass
    driver = DRIVERS[sys.argv[1]](wanted)
    print(json.dumps({"version": driver.version,
                      "has_uvloop": "uvloop" in sys.modules} | asyncio.run(
                          measure(driver, wanted))))


if __name__ == "__main__":
    main()
