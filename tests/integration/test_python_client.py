"""The asyncio client: calls, rows, errors, tasks, reconnecting, forks."""
import asyncio
import os
import pickle

import pytest

import aio
import lockkeeper


def test_any_verb_can_be_called(daemon):
    async def program(lk):
        assert await lk.call("PING") == "PONG"
        assert await lk.call("GET", "r", 3) == {"id": 3, "v": 0}
        assert await lk.call("GET", "r", 300) is None
        assert await lk.call("COUNT", "r") == 100
        rows = await lk.call("FIND", "r", "ORDER", "-id", "LIMIT", 2)
        assert [row.id for row in rows] == [100, 99]
        assert await lk.call("SQL", "UPDATE r SET v = 1 WHERE id = 1") \
            == "UPDATE 1"
        clients = await lk.call("SHOW", "clients")
        assert clients[0]["mode"] == "async"

    aio.run(daemon, program)


def test_statements_reply_as_asyncpg_has_them(daemon):
    async def program(lk):
        assert await lk.fetch("SELECT id FROM r WHERE id < $1 ORDER BY id",
                              3) == [{"id": 1}, {"id": 2}]
        assert await lk.fetch("SELECT 1 WHERE false") == []
        assert await lk.fetch("UPDATE r SET v = v WHERE id = 1") == []
        assert (await lk.fetchrow("SELECT 1 AS a, 2 AS b")).b == 2
        assert await lk.fetchrow("SELECT 1 WHERE false") is None
        assert await lk.fetchval("SELECT 7, 8") == 7
        assert await lk.fetchval("SELECT 1 WHERE false") is None
        assert await lk.fetchval("SELECT NULL") is None
        assert await lk.execute("DELETE FROM r WHERE id > $1", 90) \
            == "DELETE 10"
        assert await lk.execute("SELECT * FROM r WHERE id < 4") == "SELECT 3"

    aio.run(daemon, program)


def test_a_row_is_a_mapping_whose_columns_are_attributes(daemon):
    async def program(lk):
        row = await lk.fetchrow(
            "SELECT 1 AS id, 'x' AS name, 2 AS id, 5 AS items")
        assert dict(row) == {"id": 1, "name": "x", "id_2": 2, "items": 5}
        assert list(row) == ["id", "name", "id_2", "items"]
        assert (row["name"], row.name, row[1], row[-1]) == ("x", "x", "x", 5)
        assert row[:2] == (1, "x")
        assert row["items"] == 5 and len(list(row.items())) == 4
        assert "name" in row and "x" not in row
        assert {**row}["id_2"] == 2
        with pytest.raises(KeyError):
            row["other"]
        with pytest.raises(AttributeError, match="other"):
            row.other
        assert pickle.loads(pickle.dumps(row)) == row
        assert repr(row) == "<Row id=1, name='x', id_2=2, items=5>"

    aio.run(daemon, program)


def test_models_are_read_and_changed(db, daemon):
    db.sql("""CREATE TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS
        IDENTITY, name text UNIQUE, age int, "order" int)""")
    db.sql("""CREATE TABLE posts (id int PRIMARY KEY, title text,
        author_id int REFERENCES users)""")
    col = lockkeeper.col

    async def program(lk):
        ann = await lk.create("users", name="Ann", age=30)
        assert ann == {"id": 1, "name": "Ann", "age": 30, "order": None}
        assert await lk.create_many("users", [
            {"name": "Bob", "age": 20}, {"name": "Cid", "age": None}]) == 2
        assert await lk.create_many("users", []) == 0
        assert await lk.get("users", 1) == ann
        assert await lk.get("users", 9) is None
        assert await lk.get("users", 2, fields=["name"]) == {"name": "Bob"}
        assert [u.name for u in await lk.find(
            "users", (col("age") >= 20) & ~col("name").like("B%"))] == ["Ann"]
        assert [u.name for u in await lk.find(
            "users", order_by=["-id"], limit=2)] == ["Cid", "Bob"]
        assert [u.name for u in await lk.find(
            "users", order_by=["id"], after=[1], offset=1)] == ["Cid"]
        assert (await lk.one("users", name="Bob")).age == 20
        with pytest.raises(lockkeeper.UnmetError):
            await lk.one("users")
        assert (await lk.first("users", order_by=[col("age").desc()])).name \
            == "Cid"
        assert await lk.first("users", age=99) is None
        assert await lk.count("users") == 3
        assert await lk.count("users", age=None) == 1
        assert await lk.exists("users", name="Cid") is True
        assert await lk.exists("users", name="Dan") is False
        row = await lk.update("users", 1, age=col("age") + 5, order=2)
        assert (row.age, row["order"]) == (35, 2)
        assert await lk.find("users", order=2) == [row]
        assert await lk.update("users", 1, if_=col("age") == 1, age=0) is None
        assert await lk.update("users", 99, age=0) is None
        assert (await lk.upsert("users", name="Bob", age=col("age") + 1,
                                on=["name"])).age == 21
        assert await lk.update_all("users", col("age").is_null(),
                                   age=lockkeeper.default) == 1
        assert await lk.update_all("users", lockkeeper.everything,
                                   {"age": 1}) == 3
        await lk.create("posts", id=1, title="Hello", author_id=1)
        user = await lk.get("users", 1, with_=["posts"])
        assert user.posts == [{"id": 1, "title": "Hello", "author_id": 1}]
        assert (await lk.get("users", 2, with_=["posts"])).posts == []
        [post] = await lk.find("posts", with_=["author"])
        assert post.author.name == "Ann"
        deep = await lk.get("posts", 1, with_=[lockkeeper.related(
            "author", with_=[lockkeeper.related("posts", 1, ["-id"])])])
        assert deep.author.posts[0].title == "Hello"
        assert (await lk.load("posts", 1, "author")).name == "Ann"
        assert [p.id for p in await lk.load("users", 1, "posts")] == [1]
        assert await lk.load("users", 2, "posts") == []
        assert [p.title for p in await lk.find(
            "posts", col("author").name == "Ann")] == ["Hello"]
        assert await lk.delete("posts", 1) is True
        assert await lk.delete("posts", 1) is False
        assert await lk.delete_all("users", col("id").in_([2, 3])) == 2
        assert await lk.find("users", col("id").in_([])) == []
        assert await lk.find("users", ~col("id").in_([])) != []

    aio.run(daemon, program)


def test_conditions_go_into_json(db, daemon):
    db.sql("""CREATE TABLE e (id int PRIMARY KEY, data jsonb);
        INSERT INTO e VALUES (1, '{"user": {"age": 31, "na me": "Ann"},
            "tags": ["a", "b"], "ok": true}'), (2, '{"user": {"age": 9}}')""")
    data = lockkeeper.col("data")

    async def program(lk):
        async def ids(where):
            return [row.id for row in await lk.find("e", where)]

        assert await ids(data["user"]["age"] > 10) == [1]
        assert await ids(data["user"]["na me"] == "Ann") == [1]
        assert await ids(data["tags"][1] == "b") == [1]
        assert await ids(data["ok"] == True) == [1]  # noqa: E712
        assert await ids(data["user"]["age"].as_("int").between(5, 10)) == [2]
        assert await ids(data["user"]["age"].in_([9, 10])) == [2]
        assert await ids(data.contains({"user": {"age": 9}})) == [2]
        assert await ids(data.has_key("tags")) == [1]
        assert await ids(data["tags"].is_null()) == [2]
        with pytest.raises(lockkeeper.UsageError, match="join"):
            bool(data["ok"] == 1)

    aio.run(daemon, program)


# ---- errors ----

def test_each_error_has_its_class_and_its_fields(db, daemon):
    db.sql("""CREATE TABLE c (id int PRIMARY KEY, v int NOT NULL CHECK (v > 0),
        r int REFERENCES r, u int UNIQUE,
        EXCLUDE USING gist (int4range(u, u + 1) WITH &&))""")

    async def program(lk):
        async def fails(cls, sql, *args):
            with pytest.raises(cls) as caught:
                await lk.fetch(sql, *args)
            assert type(caught.value) is cls
            assert isinstance(caught.value, lockkeeper.Error)
            return caught.value

        error = await fails(lockkeeper.PostgresError, "SELECT 1/0")
        assert (error.kind, error.sqlstate, error.retry) \
            == ("PG", "22012", "no")
        assert error.message == str(error) == "division by zero"
        error = await fails(lockkeeper.PostgresError, "SELECT nothing")
        assert (error.sqlstate, error.position) == ("42703", 8)
        put = "INSERT INTO c VALUES ($1, $2, $3, $4)"
        await lk.execute(put, 1, 1, 1, 1)
        error = await fails(lockkeeper.UniqueViolationError, put, 1, 1, 1, 2)
        assert (error.table, error.constraint) == ("c", "c_pkey")
        assert error.detail == "Key (id)=(1) already exists."
        assert isinstance(error, lockkeeper.IntegrityError)
        error = await fails(lockkeeper.NotNullViolationError, put, 2, None, 1,
                            2)
        assert error.column == "v"
        await fails(lockkeeper.CheckViolationError, put, 2, 0, 1, 2)
        await fails(lockkeeper.ForeignKeyViolationError, put, 2, 1, 1000, 2)
        await lk.execute("ALTER TABLE c DROP CONSTRAINT c_u_key")
        await fails(lockkeeper.ExclusionViolationError, put, 2, 1, 1, 1)
        await fails(lockkeeper.RequestSyntaxError, "BEGIN")
        with pytest.raises(lockkeeper.NoModelError):
            await lk.get("nothing", 1)
        with pytest.raises(lockkeeper.NoColumnError):
            await lk.find("r", w=1)
        with pytest.raises(lockkeeper.TimeoutError) as caught:
            await lk.options(timeout=0.05).fetch("SELECT pg_sleep(60)")
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(lockkeeper.DataError):
            await lk.fetch("SELECT $1", object())

    aio.run(daemon, program)


def test_the_classes_are_those_of_the_daemons_table():
    from test_dump import dump
    for kind, sqlstate, retry, _ in dump("errors"):
        cls = lockkeeper.errors.class_of(kind, sqlstate)
        assert (cls.kind, cls.sqlstate, cls.retry) == (kind, sqlstate, retry)
        assert issubclass(cls, lockkeeper.Error)
    assert lockkeeper.errors.class_of("LATER", "00000") is lockkeeper.Error


def test_a_lock_that_is_not_to_be_had_names_who_holds_it(daemon):
    async def program(lk):
        async with lk.transaction() as tx:
            await tx.execute("UPDATE r SET v = 1 WHERE id = 1")
            with pytest.raises(lockkeeper.LockTimeoutError):
                await lk.autocommit().options(lock_timeout=0).execute(
                    "UPDATE r SET v = 2 WHERE id = 1")

    aio.run(daemon, program)


# ---- tasks ----

def test_the_asyncio_task_is_the_daemons(daemon):
    async def program(lk):
        async def names():
            tx = await lk.transaction().start()
            [row] = [row for row in await lk.call("SHOW", "transactions")
                     if row["tx"] == tx.handle]
            await tx.rollback()
            return row["task"]

        here = await names()
        assert here == await names()
        assert here.startswith(asyncio.current_task().get_name())
        there = await asyncio.gather(*[
            asyncio.create_task(names(), name="näme\n") for _ in range(3)])
        assert len({here, *there}) == 4
        assert all(name.startswith("näme?") for name in there)

    aio.run(daemon, program)


def test_writes_of_one_turn_of_the_loop_leave_together(daemon):
    async def program(lk):
        transport = lk.core.connection._transport
        written = []
        write = transport.write
        transport.write = lambda data: (written.append(data), write(data))
        assert await asyncio.gather(*[lk.get("r", i) for i in range(1, 51)]) \
            == [{"id": i, "v": 0} for i in range(1, 51)]
        assert len(written) == 1

    aio.run(daemon, program)


def test_a_thousand_coroutines_get_their_own_replies(daemon):
    async def program(lk):
        async def one(i):
            assert (await lk.get("r", i % 100 + 1)).id == i % 100 + 1
            assert await lk.fetchval("SELECT $1::int", i) == i

        await asyncio.gather(*map(one, range(1000)))
        assert lk.core.connection.n_pending == 0

    aio.run(daemon, program)


def test_the_replies_of_large_requests_come_by_another_connection(daemon):
    async def program(lk):
        assert await lk.options(bulk=True).fetchval(
            "SELECT repeat('x', 1000000)") == "x" * 1000000
        assert lk.core.connection.n_bytes < 10000
        assert len(await lk.call("SHOW", "clients")) == 2

    aio.run(daemon, program)


def test_requests_that_the_daemon_does_not_take_yet_wait_in_the_program(
        daemon):
    async def program(lk):
        """More than the socket and the transport hold."""
        text = "x" * 100000
        lengths = await asyncio.gather(*[
            lk.fetchval("SELECT length($1)", text) for _ in range(200)])
        assert lengths == [100000] * 200

    aio.run(daemon, program)


# ---- the connection ----

def test_it_says_what_keeps_it_from_connecting(tmp_path):
    async def program():
        with pytest.raises(FileNotFoundError):
            await lockkeeper.connect(str(tmp_path / "none"))

    asyncio.run(program())


def test_an_unknown_database_is_an_error(daemon):
    with pytest.raises(lockkeeper.Error, match="no database other here"):
        aio.run(daemon, None, database="other")


def test_the_database_can_be_another(pg, db, lockkeeperd):
    daemon = lockkeeperd(databases=[
        {"name": name, "conninfo": pg.conninfo(name)}
        for name in (db.name, "postgres")])

    async def program(lk):
        assert lk.database == "postgres"
        name = "SELECT current_database()"
        assert await lk.fetchval(name) == "postgres"
        there = lk.options(database=db.name)
        assert await there.fetchval(name) == db.name
        async with there.transaction():
            assert await lk.fetchval(name) == db.name
            with pytest.raises(lockkeeper.UsageError):
                await lk.options(database="postgres").fetchval(name)

    aio.run(daemon, program, database="postgres")


async def stop_and_notice(daemon, lk):
    """What is sent before the client has noticed has an unknown outcome."""
    before = lk.core.connection.generation
    await asyncio.to_thread(daemon.stop)
    while lk.core.connection.generation == before:
        await asyncio.sleep(0.01)


def test_a_daemon_that_starts_again_is_found_again(daemon):
    async def program(lk):
        await lk.fetchval("SELECT 1")
        await stop_and_notice(daemon, lk)
        daemon.start()
        assert await lk.fetchval("SELECT 2") == 2
        assert await lk.get("r", 1) == {"id": 1, "v": 0}

    aio.run(daemon, program)


def test_what_is_in_flight_at_its_end_gets_the_truth(db, daemon):
    async def program(lk):
        sleeping = asyncio.create_task(lk.fetch("SELECT pg_sleep(60)"))
        reading = asyncio.create_task(lk.call(
            "FIND", "r", "WHERE", "id", "=", 1))
        tx = await lk.transaction().start()
        inside = asyncio.create_task(tx.fetch("SELECT pg_sleep(60)"))
        await reading
        await aio.eventually(
            lambda: asyncio.to_thread(lambda: len(db.busy()) == 2),
            "both sleep")
        lk.core.connection._transport.abort()
        with pytest.raises(lockkeeper.OutcomeUnknownError):
            await sleeping
        with pytest.raises(lockkeeper.ConnectionLostError):
            await inside
        with pytest.raises(lockkeeper.ConnectionLostError):
            await tx.fetch("SELECT 1")
        assert await lk.fetchval("SELECT 3") == 3

        async def all_ended():
            return await lk.call("SHOW", "transactions") == []

        await aio.eventually(all_ended, "the transaction is rolled back")

    aio.run(daemon, program)


def test_a_daemon_that_stays_away_is_an_error_after_a_while(daemon):
    async def program(lk):
        await stop_and_notice(daemon, lk)
        with pytest.raises(lockkeeper.ConnectionLostError, match="within"):
            await lk.fetchval("SELECT 1")

    aio.run(daemon, program, connect_timeout=0.2)


def test_a_closed_client_says_so(daemon):
    async def program(lk):
        pending = asyncio.create_task(lk.fetch("SELECT pg_sleep(60)"))
        await asyncio.sleep(0)
        await lk.close()
        with pytest.raises(lockkeeper.OutcomeUnknownError):
            await pending
        with pytest.raises(lockkeeper.ClosedError):
            await lk.fetchval("SELECT 1")

    aio.run(daemon, program)


def test_a_child_process_gets_a_connection_of_its_own(daemon):
    """The parent's stays the parent's, and ends with it alone."""
    async def program(lk):
        await lk.execute("UPDATE r SET v = 7 WHERE id = 1")
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                asyncio.events._set_running_loop(None)
                loop = asyncio.new_event_loop()
                got = loop.run_until_complete(lk.get("r", 1))
                os.write(write, b"%d" % got.v)
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        said = await asyncio.to_thread(os.read, read, 100)
        os.close(read)
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        assert (said, status) == (b"7", 0)
        assert (await lk.get("r", 1)).v == 7

    aio.run(daemon, program)


def test_another_loop_cannot_use_it(daemon):
    async def program(lk):
        def other():
            with pytest.raises(lockkeeper.UsageError, match="loop"):
                asyncio.run(lk.get("r", 1))

        await asyncio.to_thread(other)

    aio.run(daemon, program)


def test_it_runs_on_uvloop(daemon):
    pytest.importorskip("uvloop", reason="no uvloop (Debian: apt-get install "
                        "python3-uvloop)")

    async def program(lk):
        assert "uvloop" in type(asyncio.get_running_loop()).__module__
        assert (await asyncio.gather(*[
            lk.get("r", i) for i in range(1, 101)]))[99] == {"id": 100, "v": 0}
        slow = asyncio.create_task(lk.fetch("SELECT pg_sleep(60)"))
        await asyncio.sleep(0.05)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        async with lk.transaction():
            await lk.execute("UPDATE r SET v = 1 WHERE id = 1")
        await aio.eventually(nobody_works(lk), "it has ended")
        await stop_and_notice(daemon, lk)
        daemon.start()
        assert (await lk.get("r", 1)).v == 1

    aio.run_uvloop(daemon, program)


def nobody_works(lk):
    async def probe():
        return all(row["outstanding"] <= 1
                   for row in await lk.call("SHOW", "clients"))
    return probe
