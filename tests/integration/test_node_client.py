"""The client for Node.js: its own tests, which npm's `node --test` runs, with a
daemon; and what of it can only be seen from outside."""
import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import subprocess

import pytest

import process
from daemon import run
from node import with_our_client
from timing import FACTOR

ROOT = pathlib.Path(__file__).resolve().parents[2]
NODE = ROOT / "node"
TESTS = sorted(path.name for path in (NODE / "test").glob("*.test.js"))

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None,
    reason="no node (Debian: apt-get install nodejs): the client for Node.js")


class Orders:
    """What tests in Node.js ask of the harness, one order a connection.  They
    are carried out here: a daemon lives as long as the thread that starts it."""

    def __init__(self, daemon, db):
        self._daemon = daemon
        self._db = db
        self.path = str(daemon.directory / "orders")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()

    def _obey(self, order):
        verb, _, rest = order.partition(" ")
        if verb == "sql":
            self._db.sql(rest)
        elif verb in ("restart", "stop", "start"):
            getattr(self._daemon, verb)()
        else:
            raise ValueError(order)

    def serve(self, until_ended, timeout_s=60):
        """Until that has ended, or should have."""
        for _ in range(int(timeout_s * FACTOR / 10 / 0.05)):
            if until_ended.poll() is not None:
                return
            if not select.select([self._listener], [], [], 0.05)[0]:
                continue
            with self._listener.accept()[0] as asked:
                order = asked.makefile().read()
                try:
                    self._obey(order)
                    asked.sendall(b"done")
                except Exception as error:	# Node.js is to fail, not we
                    asked.sendall(repr(error).encode())


def count(said, what):
    """Of the closing lines, which no version writes as another does."""
    return int(re.search(rf"^\S+ {what} (\d+)$", said, re.M)[1])


@pytest.mark.parametrize("name", TESTS)
def test_its_own_tests(db, daemon, name, tmp_path):
    env = os.environ | {"LOCKKEEPER_SOCKET": daemon.socket}
    with Orders(daemon, db) as orders, open(tmp_path / "said", "w+b") as said:
        started = process.spawn(
            ["node", "--test", f"test/{name}"], log=said, cwd=NODE,
            env=env | {"LOCKKEEPER_ORDERS": orders.path})
        try:
            orders.serve(started)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)	# and who it started
            started.wait()
        said.seek(0)
        text = said.read().decode()
    assert started.returncode == 0, text
    assert count(text, "pass") > 0 and count(text, "skipped") == 0, text


def javascript(program, *argv, cwd=NODE):
    """What it prints, as JSON."""
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", program, *argv], cwd=cwd,
        capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_classes_are_those_of_the_daemons_table():
    from test_dump import dump
    told = javascript("""
        import { classOf } from './lib/kinds.js';
        import { LockkeeperError } from 'lockkeeper';
        console.log(JSON.stringify(process.argv.slice(1).map((word) => {
            const made = classOf(...word.split(' '));
            return [made.kind, made.sqlstate, made.retry,
                made.prototype instanceof LockkeeperError];
        })));""", *[f"{kind} {sqlstate}"
                    for kind, sqlstate, _, _ in dump("errors")])
    assert told == [[kind, sqlstate, retry, True]
                    for kind, sqlstate, retry, _ in dump("errors")]


def test_its_version_is_the_daemons():
    version = json.loads((NODE / "package.json").read_text())["version"]
    assert version in run("--version").stdout


def test_npm_packs_all_of_it_and_nothing_else(tmp_path):
    if shutil.which("npm") is None:
        pytest.skip("no npm (Debian: apt-get install npm)")
    done = subprocess.run(
        ["npm", "pack", "--json", "--dry-run", "--offline", str(NODE)],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    packed = {each["path"] for each in json.loads(done.stdout)[0]["files"]}
    assert packed == {"README", "index.d.ts", "package.json"} | {
        f"lib/{path.name}" for path in (NODE / "lib").iterdir()}


def block(path, heading):
    """The first lines of code below a heading."""
    text = path.read_text()
    below = text[text.index(f"\n{heading}\n----"):]
    return "\n".join(re.search(r"\n\n((?:    .*\n|\n)+)", below)[1].split(
        "\n    ")).strip()


@pytest.mark.parametrize("path, heading", [
    (ROOT / "README", "From Node.js"), (NODE / "README", "In short")])
def test_the_readmes_lines_do_what_they_say(db, daemon, tmp_path, path,
                                            heading):
    db.sql("""CREATE TABLE accounts (id int PRIMARY KEY GENERATED ALWAYS AS
        IDENTITY, owner text NOT NULL, balance numeric NOT NULL DEFAULT 0);
        INSERT INTO accounts (owner, balance) VALUES ('Ada', 100)""")
    (with_our_client(tmp_path) / "program.mjs").write_text(block(path, heading))
    done = subprocess.run(
        ["node", "program.mjs"], cwd=tmp_path, text=True, check=False,
        capture_output=True, timeout=60,
        env=os.environ | {"LOCKKEEPER_SOCKET": daemon.socket})
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert db.sql("SELECT id FROM accounts WHERE balance = 70")
