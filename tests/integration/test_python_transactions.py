"""The asyncio client: transactions, savepoints, units, cursors, channels."""
import asyncio
import gc
import warnings

import pytest

import aio
import lockkeeper


def read(lk):
    return lk.autocommit().fetchval("SELECT v FROM r WHERE id = 1")


def put(lk, v):
    return lk.execute("UPDATE r SET v = $1 WHERE id = 1", v)


def test_a_block_is_committed_at_its_end(daemon):
    async def program(lk):
        async with lk.transaction() as tx:
            await put(lk, 1)
            assert tx.is_open and await read(lk) == 0
        assert not tx.is_open and await read(lk) == 1

    aio.run(daemon, program)


def test_a_block_that_an_exception_leaves_is_rolled_back(daemon):
    async def program(lk):
        with pytest.raises(lockkeeper.PostgresError, match="zero"):
            async with lk.transaction():
                await put(lk, 1)
                await lk.fetch("SELECT 1/0")
        with pytest.raises(ZeroDivisionError):
            async with lk.transaction():
                await put(lk, 1)
                raise ZeroDivisionError
        assert await read(lk) == 0

    aio.run(daemon, program)


def test_a_block_inside_of_another_is_a_savepoint(daemon):
    async def program(lk):
        async with lk.transaction() as tx:
            await put(lk, 1)
            with pytest.raises(lockkeeper.PostgresError):
                async with lk.transaction():
                    await put(lk, 2)
                    await lk.fetch("SELECT 1/0")
            assert await lk.fetchval("SELECT v FROM r WHERE id = 1") == 1
            async with tx.transaction() as inner:
                await put(lk, 3)
                async with inner.transaction():
                    await put(lk, 4)
                assert inner.handle == tx.handle
        assert await read(lk) == 4

    aio.run(daemon, program)


def test_a_block_may_end_its_transaction_early(daemon):
    async def program(lk):
        async with lk.transaction() as tx:
            await put(lk, 1)
            await tx.rollback()
            with pytest.raises(lockkeeper.TransactionEnded):
                await put(lk, 2)
            with pytest.raises(lockkeeper.TransactionEnded):
                await tx.rollback()
        assert await read(lk) == 0
        async with lk.transaction():
            await put(lk, 3)
            async with lk.transaction() as inner:
                await put(lk, 4)
                await inner.rollback()
                with pytest.raises(lockkeeper.TransactionEnded):
                    await put(lk, 5)
            await lk.execute("UPDATE r SET v = 6 WHERE id = 2")
            async with lk.transaction() as inner:
                await put(lk, 7)
                await inner.commit()
        assert await read(lk) == 7
        assert (await lk.get("r", 2)).v == 6
        async with lk.transaction() as outer:
            async with lk.transaction():
                await outer.rollback()
                with pytest.raises(lockkeeper.TransactionEnded):
                    await put(lk, 8)
        assert await read(lk) == 7

    aio.run(daemon, program)


def test_a_transaction_can_be_managed_by_hand(daemon):
    async def program(lk):
        tx = lk.transaction()
        with pytest.raises(lockkeeper.TransactionEnded, match="not been"):
            await tx.fetch("SELECT 1")
        await tx.start()
        await put(tx, 1)
        assert await read(lk) == 0
        await tx.commit()
        assert await read(lk) == 1
        with pytest.raises(lockkeeper.UsageError, match="once"):
            await tx.start()
        tx = await lk.transaction().start()
        await put(tx, 2)
        await tx.rollback()
        assert await read(lk) == 1

    aio.run(daemon, program)


def test_one_by_hand_that_is_never_ended_is_rolled_back(daemon):
    async def program(lk):
        async def forget():
            await put(await lk.transaction().start(), 1)

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            await forget()
            gc.collect()
        assert "never ended" in str(caught[0].message)

        async def is_gone():
            return await lk.call("SHOW", "transactions") == []

        await aio.eventually(is_gone, "it is rolled back")
        await put(lk, 2)

    aio.run(daemon, program)


def test_isolation_and_reading_only_are_postgresqls(daemon):
    async def program(lk):
        for name in ("read committed", "repeatable_read", "SERIALIZABLE"):
            async with lk.transaction(isolation=name):
                assert await lk.fetchval(
                    "SELECT current_setting('transaction_isolation')") \
                    == name.replace("_", " ").lower()
        async with lk.transaction(read_only=True, deferrable=True,
                                  isolation="serializable"):
            assert await lk.fetchval(
                "SELECT current_setting('transaction_read_only')") == "on"
            with pytest.raises(lockkeeper.UsageError):
                lk.transaction(isolation="serializable")
        with pytest.raises(lockkeeper.UsageError, match="no isolation"):
            lk.transaction(isolation="none")

    aio.run(daemon, program)


def test_a_deferred_constraint_fails_the_commit(db, daemon):
    db.sql("""CREATE TABLE c (id int PRIMARY KEY, r int REFERENCES r
        DEFERRABLE INITIALLY DEFERRED)""")

    async def program(lk):
        with pytest.raises(lockkeeper.ForeignKeyViolationError):
            async with lk.transaction():
                await lk.create("c", id=1, r=1000)
        assert await lk.count("c") == 0
        assert await lk.call("SHOW", "transactions") == []

    aio.run(daemon, program)


def test_who_loses_a_deadlock_can_begin_again(daemon):
    async def program(lk):
        met = asyncio.Barrier(2)

        async def transfer(first, second):
            for tries in range(1, 10):
                try:
                    async with lk.transaction():
                        await lk.execute(
                            "UPDATE r SET v = v + 1 WHERE id = $1", first)
                        if tries == 1:
                            await met.wait()
                        await lk.execute(
                            "UPDATE r SET v = v + 1 WHERE id = $1", second)
                    return tries
                except lockkeeper.DeadlockError as error:
                    assert error.retry == "transaction" and error.members

        tries = await asyncio.gather(transfer(1, 2), transfer(2, 1))
        assert sorted(tries) == [1, 2]
        assert [row.v for row in await lk.find(
            "r", lockkeeper.col("id") <= 2)] == [2, 2]

    aio.run(daemon, program)


# ---- who is in it ----

def test_work_of_another_task_does_not_escape_from_a_block(daemon):
    async def program(lk):
        async with lk.transaction() as tx:
            await put(lk, 1)

            async def get(of):
                return (await of.get("r", 1)).v

            with pytest.raises(lockkeeper.TransactionNotInherited,
                               match="autocommit"):
                await asyncio.wait_for(get(lk), 10)
            outcomes = await asyncio.gather(
                get(lk), lk.fetch("SELECT 1"), return_exceptions=True)
            assert all(isinstance(o, lockkeeper.TransactionNotInherited)
                       for o in outcomes)
            for make in (lk.transaction, lk.unit,
                         lambda: lk.iterate("SELECT 1")):
                async def other():
                    make()
                with pytest.raises(lockkeeper.TransactionNotInherited):
                    await asyncio.create_task(other())
            # Said, it is what it says.
            assert await asyncio.wait_for(get(tx), 10) == 1
            assert await asyncio.gather(get(tx), get(tx)) == [1, 1]
            assert await asyncio.wait_for(get(lk.autocommit()), 10) == 0

            async def outside():
                with lk.autocommit():
                    return await get(lk)

            assert await asyncio.create_task(outside()) == 0
            assert await get(lk) == 1

    aio.run(daemon, program)


def test_a_task_that_outlives_the_block_does_not_escape_either(daemon):
    async def program(lk):
        ended = asyncio.Event()

        async def late():
            await ended.wait()
            await put(lk, 5)

        async with lk.transaction():
            task = asyncio.create_task(late())
        ended.set()
        with pytest.raises(lockkeeper.TransactionNotInherited):
            await task
        assert await read(lk) == 0

    aio.run(daemon, program)


def test_a_unit_cannot_hide_in_a_transaction(daemon):
    async def program(lk):
        async with lk.transaction():
            with pytest.raises(lockkeeper.UsageError, match="savepoint"):
                lk.unit()

    aio.run(daemon, program)


def test_a_fixtures_transaction_is_rolled_back_and_joined(daemon):
    async def program(lk):
        async with lk.transaction(force_rollback=True):
            await put(lk, 1)

            async def child():
                async with lk.transaction():
                    await lk.execute("UPDATE r SET v = v + 1 WHERE id = 1")
                return await lk.fetchval("SELECT v FROM r WHERE id = 1")

            assert await asyncio.create_task(child()) == 2
            assert await asyncio.wait_for(child(), 10) == 3
        assert await read(lk) == 0

    aio.run(daemon, program)


def test_two_clients_transactions_do_not_mix(daemon):
    async def program(one):
        async with lockkeeper.connect(daemon.socket) as two:
            async with one.transaction():
                await put(one, 1)
                assert await two.fetchval("SELECT v FROM r WHERE id = 1") == 0
                async with two.transaction():
                    assert (await one.get("r", 1)).v == 1
                    assert (await two.get("r", 1)).v == 0

    aio.run(daemon, program)


# ---- units ----

def test_a_unit_is_sent_whole(db, daemon):
    db.sql("""CREATE TABLE a (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        owner text); CREATE TABLE log (a_id int, text text)""")

    async def program(lk):
        async with lk.unit(retry=5) as u:
            made = u.create("a", owner="Ann")
            u.create("log", a_id=made.id, text="made")
            u.execute("INSERT INTO log VALUES ($1, $2)", made["id"], "again")
            log = u.find("log", a_id=made.id)
            n = u.fetchval("SELECT count(*) FROM log")
            one = u.fetchrow("SELECT 1 AS x")
            none = u.get("a", 100)
            with pytest.raises(lockkeeper.UsageError, match="not been"):
                made.value
        assert made.value == {"id": 1, "owner": "Ann"}
        assert [row.text for row in log.value] == ["made", "again"]
        assert (n.value, one.value.x, none.value) == (2, 1, None)
        assert (await lk.call("SHOW", "unit"))["retry"] == 5
        with pytest.raises(lockkeeper.UsageError):
            u.get("a", 1)

    aio.run(daemon, program)


def test_a_units_changes_are_all_or_nothing(daemon):
    col = lockkeeper.col

    async def program(lk):
        with pytest.raises(lockkeeper.UnmetError) as caught:
            async with lk.unit() as u:
                u.update("r", 1, v=col("v") + 5)
                u.update("r", 2, if_=col("v") >= 5, v=0, must=True)
        assert caught.value.index == 2
        with pytest.raises(lockkeeper.NoColumnError) as caught:
            async with lk.unit() as u:
                u.update("r", 1, v=5)
                u.update("r", 1, w=5)
        assert caught.value.index == 2
        with pytest.raises(RuntimeError):
            async with lk.unit() as u:
                u.update("r", 1, v=5)
                raise RuntimeError
        async with lk.unit():
            pass
        assert await read(lk) == 0
        async with lk.unit(isolation="serializable") as u:
            u.delete("r", 3, must=True)
            n = u.update_all("r", col("id") < 3, v=7)
            u.delete_all("r", col("id") > 50)
            u.upsert("r", id=200, v=1)
            u.create_many("r", [{"id": 300, "v": 1}, {"id": 301, "v": 2}])
            count = u.count("r")
            u.call("PUBLISH", "c", "x")
        assert (n.value, count.value) == (2, 52)

    aio.run(daemon, program)


def test_a_reference_belongs_to_its_unit(daemon):
    async def program(lk):
        async with lk.unit() as u:
            made = u.get("r", 1)
        with pytest.raises(lockkeeper.UsageError):
            async with lk.unit() as other:
                other.update("r", made.id, v=1)
        with pytest.raises(lockkeeper.UsageError):
            await lk.get("r", made.id)

    aio.run(daemon, program)


# ---- cursors ----

def test_rows_come_some_at_a_time_in_small_replies(daemon):
    """What others wait behind stays under 256 KiB, whatever the rows."""
    async def program(lk):
        sizes = []
        ask = lockkeeper.Transaction.ask

        async def asked(tx, request, *more):
            before = tx._connection.n_bytes
            got = await ask(tx, request, *more)
            if request.verb == "FETCH":
                sizes.append(tx._connection.n_bytes - before)
            return got

        lockkeeper.Transaction.ask = asked
        try:
            n = 0
            async for row in lk.iterate(
                    "SELECT g, repeat('x', CASE WHEN g < 3000 THEN 10 ELSE "
                    "1000 END) AS t FROM generate_series(1, $1) g", 5000):
                n += 1
                assert row.g == n
        finally:
            lockkeeper.Transaction.ask = ask
        assert n == 5000
        assert len(sizes) < 60
        # Rows that suddenly are a hundred times as large are seen once.
        assert sum(size > 256 * 1024 for size in sizes) <= 1

    aio.run(daemon, program)


def test_a_cursor_outside_a_transaction_is_on_another_connection(daemon):
    async def program(lk):
        seen = 0
        async for row in lk.iterate("SELECT * FROM r"):
            seen += 1
            if seen == 5:
                assert [tx["client"] for tx in await lk.call(
                    "SHOW", "transactions")] != [
                        await lk.call("CLIENT", "ID")]
        assert seen == 100
        assert await lk.call("SHOW", "transactions") == []

    aio.run(daemon, program)


def test_a_cursor_in_a_transaction_sees_it(daemon):
    async def program(lk):
        async with lk.transaction():
            await put(lk, 5)
            rows = [row async for row in lk.iterate(
                "SELECT v FROM r WHERE id <= $1 ORDER BY id", 2)]
            assert rows == [{"v": 5}, {"v": 0}]
            cursor = lk.iterate("SELECT * FROM r")
            async with cursor:
                await anext(cursor)
            [row] = await lk.call("SHOW", "transactions")
            assert (await lk.call("SHOW", "tx", row["tx"]))["cursors"] == []

    aio.run(daemon, program)


def test_a_loop_that_is_left_early_closes_its_cursor(daemon):
    async def program(lk):
        async for _ in lk.iterate("SELECT * FROM generate_series(1, 10000)"):
            break
        gc.collect()

        async def is_gone():
            return await lk.call("SHOW", "transactions") == []

        await aio.eventually(is_gone, "its transaction has ended")
        async with lk.iterate("SELECT * FROM r") as cursor:
            await anext(cursor)
        assert await is_gone()
        with pytest.raises(lockkeeper.PostgresError):
            async for _ in lk.iterate("SELECT 1/(50 - id) FROM r ORDER BY id"):
                pass
        await aio.eventually(is_gone, "its transaction has ended")

    aio.run(daemon, program)


# ---- channels ----

def test_messages_come_to_all_who_hear_their_channel(daemon):
    async def program(lk):
        async with lk.subscribe("a", "B") as one, lk.subscribe("a") as two:
            await lk.publish("a", "1")
            await lk.execute("SELECT pg_notify('B', '2')")
            async with lk.transaction():
                await lk.publish("a", "3")
            got = [await anext(one) for _ in range(3)]
            assert got == [("a", "1", False), ("B", "2", False),
                           ("a", "3", False)]
            assert [(await anext(two)).payload, (await anext(two)).payload] \
                == ["1", "3"]
            two.close()
            await lk.publish("a", "4")
            assert (await anext(one)).payload == "4"
            assert [message async for message in two] == []
        await lk.publish("a", "5")
        [client] = await lk.call("SHOW", "clients")
        assert client["subscriptions"] == 0

    aio.run(daemon, program)


def test_a_loop_over_a_subscription_can_be_cancelled(daemon):
    async def program(lk):
        heard = []

        async def hear():
            async for message in lk.subscribe("a"):
                heard.append(message.payload)

        task = asyncio.create_task(hear())

        async def is_heard():
            await lk.publish("a", "x")
            return heard

        await aio.eventually(is_heard, "it hears")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        async def is_gone():
            gc.collect()
            [client] = await lk.call("SHOW", "clients")
            return client["subscriptions"] == 0

        await aio.eventually(is_gone, "it hears no more")

    aio.run(daemon, program)


def test_a_subscription_may_end_before_it_is_confirmed(daemon):
    async def program(lk):
        two = lk.subscribe("a")
        starting = asyncio.create_task(two.start())
        await asyncio.sleep(0)		# it is asked for
        two.close()
        await starting

        async def is_gone():
            [client] = await lk.call("SHOW", "clients")
            return client["subscriptions"] == 0

        await aio.eventually(is_gone, "it hears no more")
        assert [message async for message in two] == []

    aio.run(daemon, program)


def test_a_subscription_outlives_the_connection_and_says_so(daemon):
    async def program(lk):
        async with lk.subscribe("a") as messages:
            lk.core.connection._transport.abort()
            assert (await anext(messages)).is_missed

            async def is_heard():
                await lk.publish("a", "x")
                return messages._waiting

            await aio.eventually(is_heard, "it hears again")
            assert (await anext(messages)) == ("a", "x", False)

    aio.run(daemon, program)


def test_a_hearer_who_takes_nothing_is_told_what_it_missed(daemon):
    async def program(lk):
        async with lk.subscribe("a") as messages:
            await lk.execute("""SELECT pg_notify('a', g::text)
                FROM generate_series(1, 10050) g""")
            await lk.publish("a", "last")

            async def is_last():
                return messages._waiting \
                    and messages._waiting[-1].payload == "last"

            await aio.eventually(is_last, "all have come")
            first = await anext(messages)
            assert first.is_missed and "more" in first.payload

    aio.run(daemon, program)
