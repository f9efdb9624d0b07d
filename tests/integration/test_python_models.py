"""The asyncio client's models: rows as objects."""
import asyncio
import enum
import importlib.util
import subprocess
import sys
from typing import Any

import pytest

import aio
import lockkeeper
from lockkeeper.models import Column, JsonProperty, Many, Model, One, column, \
    json_property, relation

SCHEMA = """CREATE TYPE mood AS ENUM ('sad', 'so so');
    CREATE TABLE users (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        name text NOT NULL UNIQUE, age int, balance numeric DEFAULT 0,
        status mood DEFAULT 'sad', past mood[], profile jsonb DEFAULT '{}',
        "class" text, boss_id int REFERENCES users);
    CREATE TABLE posts (id int PRIMARY KEY, title text,
        author_id int REFERENCES users, day date);
    CREATE TABLE tags (id int PRIMARY KEY, word text);
    CREATE TABLE posts_tags (post_id int REFERENCES posts,
        tag_id int REFERENCES tags, PRIMARY KEY (post_id, tag_id));
    CREATE TABLE keyless (a int, b int);
    CREATE TABLE pairs (a int, b int, v text, PRIMARY KEY (a, b))"""


class Mood(enum.Enum):
    SAD = "sad"
    SO_SO = "so so"


class Base(Model, table=""):
    """The test's own."""


class User(Base, table="users"):
    id: Column[int]
    name: Column[str]
    age: "Column[int | None]"
    balance: Column[Any]
    status: Column[Mood]
    past: "Column[list[Mood]]"
    profile: Column[dict]
    class_: Column[str] = column("class")
    boss_id: Column[int]
    city: JsonProperty[str] = json_property("profile", "city")
    visits: JsonProperty[int] = json_property("profile", "visits", 0, "int")
    boss: One["User"]
    staff: Many["User"] = relation("users")
    posts: Many["Post"]


class Post(Base, table="posts"):
    id: Column[int]
    title: Column[str]
    author_id: Column[int]
    author: One[User]
    tags: Many["Tag"]


class Tag(Base, table="tags"):
    id: Column[int]
    word: Column[str]


class Keyless(Base):
    a: Column[int]
    b: Column[int]


class Pair(Base, table="pairs"):
    a: Column[int]
    b: Column[int]
    v: Column[str]


@pytest.fixture
def play(db, daemon):
    """play(program) runs it with a client that the classes ask."""
    db.sql(SCHEMA)

    def run(program):
        async def bound(lk):
            lk.bind(Base)
            return await program(lk)

        return aio.run(daemon, bound)

    return run


async def three():
    ann = await User.create(name="Ann", age=30)
    bob = await User.create(name="Bob", age=20, boss_id=ann.id)
    cid = await User.create(name="Cid", boss_id=ann.id)
    await Post.create_many([
        {"id": i, "title": f"t{i}", "author_id": ann.id} for i in (1, 2, 3)])
    return ann, bob, cid


def test_rows_are_objects(play):
    async def program(lk):
        ann, _, _ = await three()
        assert (ann.id, ann.name, ann.age, ann.class_) == (1, "Ann", 30, None)
        got = await User.get(1)
        assert got is not ann and got.to_dict() == ann.to_dict()
        assert got.to_dict()["class_"] is None
        assert await User.get_or_none(99) is None
        with pytest.raises(lockkeeper.NotFound, match="User 99"):
            await User.get(99)
        with pytest.raises(lockkeeper.UsageError, match="update"):
            ann.age = 31
        with pytest.raises(lockkeeper.UsageError, match="no column other"):
            await User.create(other=1)
        assert "name='Ann'" in repr(ann)

    play(program)


def test_objects_are_changed_and_deleted(play):
    async def program(lk):
        ann, bob, _ = await three()
        assert await ann.update(age=User.age + 5, class_="a") is ann
        assert (ann.age, ann.class_) == (35, "a")
        assert (await User.get(1)).age == 35
        with pytest.raises(lockkeeper.NotFound):
            await ann.update(age=0, if_=User.age == 1)
        with pytest.raises(lockkeeper.UsageError, match="itself"):
            await ann.update(age=User.balance + 1)
        await lk.execute("UPDATE users SET age = 40 WHERE id = 1")
        await ann.refresh()
        assert ann.age == 40
        assert await bob.delete() is True
        assert await bob.delete() is False
        with pytest.raises(lockkeeper.NotFound, match="gone"):
            await bob.update(age=1)
        with pytest.raises(lockkeeper.NotFound):
            await bob.refresh()

    play(program)


def test_rows_are_found_by_conditions(play):
    async def program(lk):
        await three()

        async def names(*conditions, **equal):
            return [user.name for user in await User.find(
                *conditions, **equal).order_by(User.id)]

        assert await names() == ["Ann", "Bob", "Cid"]
        assert await names(User.age >= 21) == ["Ann"]
        assert await names((User.age < 25) | User.age.is_null()) \
            == ["Bob", "Cid"]
        assert await names(~User.name.like("A%"),
                           User.age.is_not_null()) == ["Bob"]
        assert await names(age=None) == ["Cid"]
        assert await names(User.name.in_(["Ann", "Cid"])) == ["Ann", "Cid"]
        assert await names(User.age.between(10, 25)) == ["Bob"]
        assert await names(User.boss.name == "Ann") == ["Bob", "Cid"]
        assert await names(name="Bob", age=20) == ["Bob"]
        assert await names(status=Mood.SAD) == ["Ann", "Bob", "Cid"]
        with pytest.raises(lockkeeper.UsageError, match="no column"):
            User.find(other=1)

    play(program)


def test_one_first_and_scalar_are_what_they_say(play):
    async def program(lk):
        await three()
        by_age = User.find().order_by(User.age.desc(), User.id)
        assert (await by_age.first()).name == "Cid"
        assert await User.find(User.age > 90).first() is None
        assert (await User.find(name="Bob").one()).age == 20
        for none_or_two in (User.find(name="Dan"), User.find()):
            with pytest.raises(lockkeeper.UnmetError):
                await none_or_two.one()
        assert await User.find(name="Dan").one_or_none() is None
        assert (await User.find(name="Bob").one_or_none()).age == 20
        with pytest.raises(lockkeeper.UnmetError, match="more than one"):
            await User.find().one_or_none()
        assert await User.find(name="Bob").scalar(User.age) == 20
        assert await User.find(name="Bob").scalar(User.status) is Mood.SAD
        assert await User.find(name="Dan").scalar(User.age) is None
        assert await User.find().count() == 3
        assert await User.find(User.age > 25).count() == 1
        assert await User.find(name="Ann").exists() is True
        assert await User.find(name="Dan").exists() is False
        assert await User.find().order_by("id").limit(1).values(
            User.name, User.age) == [{"name": "Ann", "age": 30}]

    play(program)


def test_pages_go_on_behind_an_object(play):
    async def program(lk):
        await Post.create_many([{"id": i, "title": f"t{i % 2}"}
                                for i in range(10)])
        pages = Post.find().order_by(Post.title.desc()).limit(4)
        seen, page = [], await pages
        while page:
            seen += [post.id for post in page]
            page = await pages.after(page[-1])
        assert seen == [9, 7, 5, 3, 1, 8, 6, 4, 2, 0]
        assert [p.id for p in await pages.after(["t1", 3])] == [1, 8, 6, 4]
        assert [p.id for p in await pages.offset(8)] == [2, 0]
        assert [p.id async for p in Post.find(Post.id > 6).order_by("id")] \
            == [7, 8, 9]
        async with lk.transaction():
            assert [p.id async for p in Post.find(Post.id < 2)
                    .order_by("-id")] == [1, 0]

    play(program)


def test_rows_are_changed_in_bulk_by_a_condition(play):
    async def program(lk):
        await three()
        assert await User.find(User.age.is_not_null()).update(
            age=User.age + 1, class_="x") == 2
        assert sorted(u.age or 0 for u in await User.find()) == [0, 21, 31]
        with pytest.raises(lockkeeper.UsageError, match="everything"):
            await User.find().update(age=0)
        with pytest.raises(lockkeeper.UsageError, match="limit"):
            await User.find(User.age > 1).limit(1).delete()
        assert await Post.find(Post.id > 1).delete() == 2
        assert await Post.find(lockkeeper.everything).delete() == 1
        assert await User.create_many([]) == 0

    play(program)


def test_upsert_creates_or_changes(play):
    async def program(lk):
        for age in (1, 2):
            user = await User.upsert(name="Ann", age=User.age + 1,
                                     on=[User.name])
            assert user.age == age
        assert await User.find().count() == 1

    play(program)


def test_a_composite_key_has_its_parts_in_order(play):
    async def program(lk):
        pair = await Pair.create(a=1, b=2, v="x")
        assert (await Pair.get(1, 2)).v == "x"
        await pair.update(v="y")
        assert (await Pair.get(1, 2)).v == "y"
        assert await pair.delete()

    play(program)


def test_a_model_without_a_key_refuses_changes_of_one_row(play):
    async def program(lk):
        row = await Keyless.create(a=1, b=2)
        with pytest.raises(lockkeeper.UsageError, match="no primary key"):
            await row.update(b=3)
        with pytest.raises(lockkeeper.UsageError, match="no primary key"):
            await row.delete()
        assert await Keyless.find(a=1).update(b=3) == 1

    play(program)


# ---- relations ----

def test_related_rows_are_loaded_by_awaiting_them_and_never_else(play):
    async def program(lk):
        ann, bob, _ = await three()
        for look in (len, list, bool, lambda posts: posts[0],
                     lambda posts: posts.loaded):
            with pytest.raises(lockkeeper.NotLoaded, match="await"):
                look(ann.posts)
        with pytest.raises(lockkeeper.NotLoaded):
            bool(bob.boss)
        assert "not loaded" in repr(ann.posts)
        assert [post.title for post in await ann.posts] == ["t1", "t2", "t3"]
        assert len(ann.posts) == 3 and ann.posts[0].title == "t1"
        assert ann.posts.is_loaded
        before = (await lk.call("SHOW", "stats"))["requests"]
        assert len(await ann.posts) == 3	# it is there already
        assert (await lk.call("SHOW", "stats"))["requests"] == before + 1
        boss = await bob.boss
        assert isinstance(boss, User) and boss.name == "Ann"
        assert bob.boss.loaded is boss and bob.boss
        assert await ann.boss is None and not ann.boss
        assert [user.name for user in await ann.staff] == ["Bob", "Cid"]
        post = await Post.get(1)
        assert (await post.author).name == "Ann"
        assert await post.tags == []
        await Post.create(id=4, title="t4", author_id=1)
        assert len(ann.posts) == 3
        assert len(await ann.posts.load()) == 4
        with pytest.raises(lockkeeper.UsageError, match="posts"):
            ann.posts = []

    play(program)


def test_related_rows_come_along_with_their_own(play):
    async def program(lk):
        await three()
        await Tag.create(id=1, word="new")
        await lk.execute("INSERT INTO posts_tags VALUES (2, 1)")
        ann = await User.get(1, with_=[User.posts.with_(Post.tags),
                                       User.boss])
        assert [[tag.word for tag in post.tags] for post in ann.posts] \
            == [[], ["new"], []]
        assert ann.boss.loaded is None
        [ann] = await User.find(name="Ann").with_(
            User.posts.only(2, [Post.id.desc()]))
        assert [post.id for post in ann.posts] == [3, 2]
        assert ann.to_dict(related=True)["posts"][0]["title"] == "t3"
        assert "posts" not in ann.to_dict()
        posts = await Post.find().with_(Post.author).order_by(Post.id)
        assert {post.author.loaded.name for post in posts} == {"Ann"}
        assert [user.staff[0].name async for user in
                User.find(id=1).with_(User.staff.only(1, ["-id"]))] == ["Cid"]

    play(program)


async def n_statements(lk):
    return (await lk.call("SHOW", "stats"))["statements"]


def test_a_hundred_coroutines_load_what_is_theirs(play):
    async def program(lk):
        await User.create_many([{"name": f"u{i}"} for i in range(100)])
        await Post.create_many([{"id": i, "author_id": i + 1}
                                for i in range(100)])
        users = await User.find()
        before = await n_statements(lk)
        loaded = await asyncio.gather(*[user.posts.load() for user in users])
        assert [[post.author_id for post in posts] for posts in loaded] \
            == [[user.id] for user in users]
        assert await n_statements(lk) - before <= 8

    play(program)


# ---- values ----

def test_enums_are_pythons(play):
    async def program(lk):
        user = await User.create(name="Ann", status=Mood.SO_SO,
                                 past=[Mood.SAD, None])
        assert user.status is Mood.SO_SO
        assert user.past == [Mood.SAD, None]
        await user.update(status=Mood.SAD)
        assert (await User.get(1)).status is Mood.SAD
        assert await User.find(User.status == Mood.SO_SO) == []
        assert user.to_dict()["status"] is Mood.SAD

    play(program)


def test_properties_live_in_a_json_column(play):
    async def program(lk):
        ann = await User.create(name="Ann", city="Rome")
        bob = await User.create(name="Bob", profile={"a": 1}, visits=3)
        assert (ann.city, ann.visits, ann.profile) \
            == ("Rome", 0, {"city": "Rome"})
        assert bob.profile == {"a": 1, "visits": 3} and bob.city is None
        await bob.update(city="Oslo", visits=10)
        assert bob.profile == {"a": 1, "visits": 10, "city": "Oslo"}
        assert [u.name for u in await User.find(User.city == "Rome")] \
            == ["Ann"]
        assert [u.name for u in await User.find(User.visits > 9)] == ["Bob"]
        assert [u.name for u in await User.find(city="Oslo")] == ["Bob"]
        assert [u.name for u in await User.find(
            User.profile["a"] == 1)] == ["Bob"]
        with pytest.raises(lockkeeper.UsageError, match="part"):
            await bob.update(city="x", profile={})
        for value in ([1, "a"], "text", 5, {"k": None}):
            await bob.update(profile=value)
            assert (await User.get(2)).profile == value

    play(program)


def test_hooks_are_called_around_changes(play):
    called = []

    class Hooked(Base, table="posts"):
        id: Column[int]
        title: Column[str]

        @classmethod
        def before_create(cls, values):
            values["title"] = values["title"].upper()
            called.append("before_create")

        async def after_create(self):
            called.append(f"after_create {self.title}")

        async def before_update(self, values):
            called.append(f"before_update {sorted(values)}")

        def after_update(self):
            called.append("after_update")

        def before_delete(self):
            called.append("before_delete")

        def after_delete(self):
            called.append("after_delete")

    async def program(lk):
        made = await Hooked.create(id=1, title="x")
        await made.update(title="y")
        await made.delete()

    try:
        play(program)
    finally:
        Base._registry["posts"] = Post
    assert called == ["before_create", "after_create X",
                      "before_update ['title']", "after_update",
                      "before_delete", "after_delete"]


# ---- where ----

def test_models_are_part_of_the_tasks_transaction(play):
    async def program(lk):
        with pytest.raises(ZeroDivisionError):
            async with lk.transaction():
                await User.create(name="Ann")
                raise ZeroDivisionError
        assert await User.find().count() == 0
        async with lk.transaction() as tx:
            await User.create(name="Ann")

            async def child():
                with pytest.raises(lockkeeper.TransactionNotInherited):
                    await User.get(2)
                ann = await User.get(2, using=tx, lock="UPDATE")
                await ann.update(age=7)
                assert await ann.posts == []
                return await User.find().using(tx).count()

            assert await asyncio.create_task(child()) == 1
        assert (await User.get(2)).age == 7

    play(program)


def test_a_model_that_is_bound_to_nobody_says_so():
    class Lonely(Model):
        id: Column[int]

    async def program():
        with pytest.raises(lockkeeper.UsageError, match="bind"):
            await Lonely.get(1)

    asyncio.run(program())


# ---- from the catalog ----

def test_models_can_be_reflected(play):
    async def program(lk):
        await three()
        models = await lk.reflect()
        ann = await models.users.get(1, with_=[models.users.posts])
        assert ann.class_ is None and len(ann.posts) == 3
        assert (await ann.posts[0].author).name == "Ann"
        assert await models["posts"].find(
            models.posts.id > 1, title="t2").count() == 1
        assert {cls.__name__ for cls in models} >= {"users", "posts", "tags"}
        with pytest.raises(lockkeeper.NoModelError):
            models.other

    play(program)


def test_the_command_writes_typed_classes(db, lockkeeperd, tmp_path):
    db.sql(SCHEMA)
    daemon = lockkeeperd()
    path = tmp_path / "written.py"
    done = subprocess.run(
        [sys.executable, "-B", "-m", "lockkeeper", "models", "--socket",
         daemon.socket, "--output", str(path)], cwd=aio.PYTHON, text=True,
        capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    spec = importlib.util.spec_from_file_location("written", path)
    written = importlib.util.module_from_spec(spec)
    sys.modules["written"] = written
    try:
        spec.loader.exec_module(written)
        ask_written(daemon, written)
    finally:
        del sys.modules["written"]
    (tmp_path / "program.py").write_text("""\
import written


async def main() -> None:
    user: written.Users = await written.Users.get(1)
    name: str = user.name
    age: int | None = user.age
    mood: written.Mood | None = user.status
    posts: list[written.Posts] = await user.posts
    title: str | None = posts[0].title
    author: written.Users | None = await posts[0].author
    found: list[written.Users] = await written.Users.find(
        written.Users.age >= 21).order_by(written.Users.name.desc())
    print(name, age, mood, title, author, found)
""")
    from test_python_package import mypy
    mypy(tmp_path, "program.py", "written.py")


def ask_written(daemon, written):
    async def program(lk):
        lk.bind(written.Base)
        ann = await written.Users.create(name="Ann",
                                         status=written.Mood.SO_SO)
        assert ann.status is written.Mood.SO_SO
        await written.Posts.create(id=1, title="x", author_id=ann.id)
        ann = await written.Users.get(1, with_=[written.Users.posts])
        assert [post.title for post in ann.posts] == ["x"]

    aio.run(daemon, program)


def test_the_command_says_what_is_wrong(tmp_path):
    done = subprocess.run(
        [sys.executable, "-B", "-m", "lockkeeper", "models", "--socket",
         str(tmp_path / "none")], cwd=aio.PYTHON, text=True,
        capture_output=True, check=False)
    assert done.returncode == 1 and "No such file" in done.stderr
