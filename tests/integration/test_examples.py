"""The examples with ready clients, and ours for Node.js, do what they say."""
import pathlib
import shutil
import sys

import pytest

import process
import ready
from daemon import find_daemon
from node import with_our_client
from timing import eventually

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def accounts(db):
    """The table of `lockkeeper dev`, which the examples work on."""
    db.sql("""CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL,
        balance numeric NOT NULL DEFAULT 0);
        INSERT INTO accounts VALUES (1, 'Ada', 100), (2, 'Grace', 200)""")
    return db


def finish(run):
    said = run.communicate(timeout=60)[0]
    assert run.returncode == 0, said
    return said


def hold(accounts, row):
    holder = accounts.connect()
    holder.query(f"BEGIN; SELECT 1 FROM accounts WHERE id = {row} FOR UPDATE")
    return holder


def play_transfers(accounts, *argv):
    """Two transfers, crossed for certain: the first has row 1 and stands
    behind the second for row 2.  One of them starts again, and may have to
    more than once."""
    holders = [hold(accounts, row) for row in (1, 2)]
    with process.running(*argv) as run:
        accounts.wait_for_waiters(2)
        holders[0].query("COMMIT")
        eventually(lambda: accounts.sql(
            "SELECT 1 FROM pg_locks WHERE locktype = 'tuple' AND NOT granted"),
            "the first is behind the second")
        holders[1].query("COMMIT")
        said = finish(run)
    assert "starts again: 40P01" in said
    assert accounts.sql("SELECT balance FROM accounts ORDER BY id") == [
        ("120",), ("180",)]
    return said


def test_redis_py(accounts, daemon):
    if ready.redis is None:
        pytest.skip(ready.NO_REDIS_PY)
    said = play_transfers(accounts, sys.executable, EXAMPLES / "redis-py.py",
                          daemon.socket)
    assert "{'owner': 'Ada', 'balance': '120', 'note': None}" in said


@pytest.mark.parametrize("name, row", [
    ("ioredis.mjs", "[ 'owner', 'Ada', 'balance', '120', 'note', null ]"),
    ("node-redis.mjs", "{ owner: 'Ada', balance: '120', note: null }")])
def test_node(accounts, daemon, request, name, row):
    if shutil.which("node") is None:
        pytest.skip(ready.NO_NODE)
    directory = request.getfixturevalue("npm_directory")
    said = play_transfers(accounts, "node", directory / "examples" / name,
                          daemon.socket)
    assert row in said


def test_our_client_for_node(accounts, daemon, tmp_path):
    if shutil.which("node") is None:
        pytest.skip(ready.NO_NODE)
    program = with_our_client(tmp_path) / "lockkeeper.mjs"
    shutil.copy(EXAMPLES / program.name, program)
    said = play_transfers(accounts, "node", program, daemon.socket)
    assert "{ owner: 'Ada', balance: '120', note: null }" in said


def test_hiredis(accounts, daemon):
    program = find_daemon().parent / "examples" / "hiredis"
    if not program.exists():
        pytest.skip(ready.NO_HIREDIS)
    with process.running(program, daemon.socket) as run:
        assert finish(run).splitlines() == [
            "UPDATE 1", "COMMIT", "owner", "Ada", "balance", "110", "note",
            "null", "error of kind PG, SQLSTATE 22012"]
    assert accounts.value("SELECT balance FROM accounts WHERE id = 1") == "110"
