"""liblockkeeper against a real daemon: tests/clients/lk_client does what it is
told here, the examples do what they say, and what is installed is enough to
build them anew."""
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import pytest

from checks import assert_forgotten, update
from daemon import find_daemon
from timing import FACTOR, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZERS = os.environ.get("LK_SANITIZERS", "")
# Its shadow of the stack is the thread's, whatever swapcontext(3) does.
NO_FIBERS = "ThreadSanitizer does not know ucontext's coroutines"
NO_LUA = "no Lua 5.4 (Debian: apt-get install liblua5.4-dev)"

ucontext = pytest.mark.skipif(SANITIZERS == "thread", reason=NO_FIBERS)


def program(name):
    path = find_daemon().parent / name
    assert os.access(path, os.X_OK), f"{path} is not built"
    return path


def finish(*argv, env=None, timeout_s=60):
    """What it says, but for warnings: AddressSanitizer has one about
    ucontext, whatever comes of it."""
    done = subprocess.run([str(arg) for arg in argv], text=True, check=False,
                          capture_output=True,
                          timeout=timeout_s * FACTOR / 10,
                          env=os.environ | (env or {}))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Failed(Exception):
    """An error reply."""

    def __init__(self, parts):
        super().__init__(" ".join(parts[:3]))
        self.kind, self.sqlstate, self.message, self.is_local = parts


def quoted(word):
    """As requests' lines are."""
    return '"' + str(word).replace("\\", "\\\\").replace('"', '\\"') + '"'


class Orders:
    """lk_client orders: a program with coroutines on one connection."""

    def __init__(self, loop, socket):
        # pylint: disable=consider-using-with
        self._process = subprocess.Popen(
            [program("tests/clients/lk_client"), "orders", loop, socket],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        os.set_blocking(self._process.stdout.fileno(), False)
        self._number = 0
        self._text = b""
        self._answers = {}
        self.states = []
        self.pushes = []
        self.why = ""

    def start(self, order, *words):
        """Its number, for answer()."""
        self._number += 1
        line = " ".join([str(self._number), order, *map(quoted, words)])
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return self._number

    def _read(self):
        self._text += self._process.stdout.read() or b""
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            said = json.loads(line)
            if "state" in said:
                self.states.append(said["state"])
                self.why = said["why"] or self.why
            elif "push" in said:
                self.pushes.append(said["push"])
            else:
                self._answers[said["number"]] = said

    def is_answered(self, number):
        self._read()
        return number in self._answers

    def answer(self, number, timeout_s=10):
        eventually(lambda: self.is_answered(number), f"answer {number}",
                   timeout_s)
        said = self._answers.pop(number)
        if "error" in said:
            raise Failed(said["error"])
        return said["value"]

    def await_(self, task, *words):
        return self.answer(self.start("await", task, *words))

    def until(self, state):
        def has_come():
            self._read()
            return self.states and self.states[-1] == state
        eventually(has_come, f"the connection is {state}", 10)

    def close(self):
        """Ends well, by itself."""
        self._process.stdin.close()
        status = self._process.wait(10 * FACTOR / 10)
        self._process.stdout.close()
        assert status == 0

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def orders(daemon):
    made = []

    def make(loop="poll"):
        made.append(Orders(loop, daemon.socket))
        made[-1].until("up")
        return made[-1]

    if SANITIZERS == "thread":
        pytest.skip(NO_FIBERS)
    try:
        yield make
        for each in made:
            each.close()
    finally:
        for each in made:
            each.kill()


@pytest.fixture
def watcher(daemon):
    return daemon.connect("3", "NAME", "watcher")


# -- many coroutines

@ucontext
def test_one_connection_serves_ten_thousand_coroutines(daemon, watcher, db):
    said = finish(program("tests/clients/lk_client"), "many", daemon.socket,
                  10000, timeout_s=120)
    assert said == "10000 at once, 10000 right\n"
    assert_forgotten(db, watcher)


# -- tasks

@pytest.mark.parametrize("loop", ["poll", "event"])
def test_each_coroutine_is_a_task_in_its_own_transaction(
        orders, watcher, db, loop):
    client = orders(loop)
    tx = {task: client.await_(task, "BEGIN") for task in "ab"}
    for n, task in enumerate("ab", 1):
        assert client.await_(task, "SQL", update(n)) == "UPDATE 1"
    rows = {row["tx"]: row for row in watcher.show("transactions")}
    assert {rows[tx[task]]["task"] for task in "ab"} == {"a", "b"}
    assert client.await_("a", "COMMIT") == "COMMIT"
    assert client.await_("b", "ROLLBACK") == "ROLLBACK"
    assert (db.v(1), db.v(2)) == (1, 0)
    with pytest.raises(Failed) as failed:
        client.await_("a", "COMMIT")
    assert failed.value.kind == "NOTX" and not failed.value.is_local


def test_one_that_waits_for_a_lock_keeps_nobody_else_waiting(orders):
    client = orders()
    client.await_("a", "BEGIN")
    client.await_("a", "SQL", update(1))
    waits = client.start("await", "b", "SQL", update(1))
    assert client.await_("c", "SQL", "SELECT 1 AS one") == [{"one": 1}]
    assert not client.is_answered(waits)
    assert client.await_("a", "COMMIT") == "COMMIT"
    assert client.answer(waits) == "UPDATE 1"


def test_crossed_rows_are_a_deadlock_of_named_tasks(orders):
    client = orders()
    for n, task in enumerate(("left", "right"), 1):
        client.await_(task, "BEGIN")
        client.await_(task, "SQL", update(n))
    waits = [client.start("await", "left", "SQL", update(2)),
             client.start("await", "right", "SQL", update(1))]
    outcomes = []
    for number in waits:
        try:
            outcomes.append(client.answer(number))
        except Failed as failed:
            assert "left" in failed.message and "right" in failed.message
            outcomes.append(failed.kind)
    assert sorted(outcomes) == ["DEADLOCK", "UPDATE 1"]


def test_an_abandoned_coroutine_is_cancelled_and_rolled_back(
        orders, watcher, db):
    client = orders()
    client.await_("a", "BEGIN")
    client.await_("a", "SQL", update(1))
    waits = client.start("await", "a", "SQL", "SELECT pg_sleep(60)")
    eventually(db.busy, "it sleeps")
    client.start("abandon", "a")
    assert client.await_("b", "SQL", update(1)) == "UPDATE 1"
    eventually(lambda: not watcher.show("transactions"), "no transaction")
    assert db.v(1) == 1 and not client.is_answered(waits)


def test_what_is_awaited_can_be_cancelled(orders, db):
    client = orders()
    waits = client.start("await", "a", "SQL", "SELECT pg_sleep(60)")
    eventually(db.busy, "it sleeps")
    client.start("cancel", "a")
    with pytest.raises(Failed) as failed:
        client.answer(waits)
    assert failed.value.kind == "CANCELED"
    assert client.await_("a", "PING") == "PONG"


def test_a_deadline_ends_what_is_late(orders):
    client = orders()
    with pytest.raises(Failed) as failed:
        client.answer(client.start("limited", "a", 50, "SQL",
                                   "SELECT pg_sleep(60)"))
    assert failed.value.kind == "TIMEOUT"


def test_a_unit_is_all_or_nothing(orders, db):
    client = orders()
    assert client.answer(client.start(
        "unit", "a", "SQL", update(1), ";", "SQL", update(2))) == [
            "UPDATE 1", "UPDATE 1"]
    with pytest.raises(Failed) as failed:
        client.answer(client.start("unit", "a", "SQL", update(1), ";",
                                   "SQL", "SELECT 1/0"))
    assert failed.value.sqlstate == "22012"
    with pytest.raises(Failed) as failed:
        client.answer(client.start("unit", "a", "SQL", update(1), ";",
                                   "NONSENSE"))
    assert failed.value.kind == "SYNTAX" and "NONSENSE" in str(failed.value)
    assert (db.v(1), db.v(2)) == (1, 1)


def test_a_cursor_is_read_in_pieces(orders):
    client = orders()
    client.await_("a", "BEGIN")
    cursor = client.await_("a", "OPEN", "SQL",
                           "SELECT n FROM generate_series(1, 5) AS n")
    seen = [[row["n"] for row in client.await_("a", "FETCH", cursor, 2)]
            for _ in range(3)]
    assert seen == [[1, 2], [3, 4], [5]]
    client.await_("a", "COMMIT")


def test_pushes_are_handed_on(orders):
    client = orders()
    assert client.answer(client.start("submit", "SUBSCRIBE", "ch")) == 1
    assert client.answer(client.start("submit", "PUBLISH", "ch", "hi")) == 1
    eventually(lambda: client.is_answered(0) or
               ["message", "ch", "hi"] in client.pushes, "the message")
    assert ["subscribe", "ch", 1] in client.pushes


# -- losses

def test_a_killed_daemon_leaves_the_truth_and_is_found_again(
        orders, daemon, db):
    client = orders()
    client.await_("tx", "BEGIN")
    client.await_("tx", "SQL", update(1))
    inside = client.start("await", "tx", "SQL", "SELECT pg_sleep(60)")
    outside = client.start("await", "auto", "SQL",
                           "SELECT pg_sleep(60), 'outside'")
    reading = client.start("await", "reader", "SUBSCRIBE", "ch", "ch2")
    eventually(lambda: len(db.busy()) == 2, "both sleep")
    client.answer(reading)
    daemon.send_signal(signal.SIGKILL)
    for number, kind in ((inside, "CONNLOST"), (outside, "UNKNOWN")):
        with pytest.raises(Failed) as failed:
            client.answer(number)
        assert failed.value.kind == kind and failed.value.is_local
    daemon.forget()
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
           "WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()")
    daemon.start()
    client.until("up")
    # Its transaction has gone with the connection, which it has to hear.
    with pytest.raises(Failed) as failed:
        client.await_("tx", "SQL", update(1))
    assert failed.value.kind == "CONNLOST"
    assert client.await_("tx", "ROLLBACK") == "ROLLBACK"
    assert client.await_("tx", "SQL", update(1)) == "UPDATE 1"
    assert db.v(1) == 1
    # Nothing was sent a second time.
    assert not [row for row in db.busy() if "outside" in str(row)]


def test_requests_wait_for_a_daemon_that_comes_back_soon(orders, daemon):
    client = orders()
    daemon.stop()
    client.until("down")
    waits = client.start("await", "a", "PING")
    daemon.start()
    assert client.answer(waits) == "PONG"
    assert client.states.count("up") == 2


# -- blocking calls

def test_blocking_calls_of_one_thread_are_told_of_their_deadlock(daemon):
    said = [json.loads(line) for line in finish(
        program("tests/clients/lk_client"), "essay",
        daemon.socket).splitlines()]
    assert said[1]["value"] == "UPDATE 1"
    kind, sqlstate, message, _ = said[2]["error"]
    assert (kind, sqlstate) == ("DEADLOCK", "40P01")
    assert "essay" in message and "thread" in message
    assert [said[3]["value"], said[4]["value"]] == ["COMMIT", "UPDATE 1"]


# -- examples

@pytest.fixture
def accounts(db):
    """The table of `lockkeeper dev`, which the examples work on."""
    db.sql("""CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL,
        balance numeric NOT NULL DEFAULT 0);
        INSERT INTO accounts VALUES (1, 'Ada', 100), (2, 'Grace', 200)""")
    return db


def check_transfers(said, accounts):
    found = re.match(r"20 transfers, done in (\d+) tries", said)
    assert found and int(found[1]) >= 20, said
    assert accounts.sql("SELECT balance FROM accounts ORDER BY id") == [
        ("100",), ("200",)]


@ucontext
def test_example_coroutines(daemon, accounts):
    check_transfers(finish(program("examples/coroutines"), daemon.socket),
                    accounts)


def test_example_lua(daemon, accounts):
    path = find_daemon().parent / "examples" / "lua"
    if not path.exists():
        pytest.skip(NO_LUA)
    check_transfers(finish(path, daemon.socket, ROOT / "examples/lua.lua"),
                    accounts)


# -- what is installed

def configured(name):
    text = (find_daemon().parent / "Makefile").read_text(encoding="utf-8")
    return shlex.split(re.search(rf"^{name} = (.*)$", text, re.M)[1])


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Where `make install` has put it, and what pkg-config says of that."""
    if SANITIZERS not in ("", "no"):
        pytest.skip("with sanitizers liblockkeeper is not built as a shared "
                    "library")
    directory = tmp_path_factory.mktemp("installed")
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("MAKE", "MFLAGS"))}
    goals = ["install-libLTLIBRARIES", "install-includeHEADERS",
             "install-nodist_pkgconfigDATA", "install-man3"]
    done = subprocess.run(
        ["make", "-s", "-C", find_daemon().parent, f"DESTDIR={directory}",
         *goals], env=env, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, check=False, timeout=600)
    assert done.returncode == 0, done.stdout
    return directory


def pkg_config(installed, *options):
    found, = installed.rglob("lockkeeper.pc")
    return shlex.split(finish("pkg-config", *options, "lockkeeper", env={
        "PKG_CONFIG_PATH": str(found.parent),
        "PKG_CONFIG_SYSROOT_DIR": str(installed)}))


def build(installed, directory, source, *flags):
    out = directory / pathlib.Path(source).stem
    finish(*configured("CC"), *configured("LK_CFLAGS"), "-Wall", "-Wextra",
           "-Werror", "-D_GNU_SOURCE", *configured("CFLAGS"),
           "-o", out, ROOT / source,
           *pkg_config(installed, "--cflags", "--libs"), *flags)
    return out


def library_path(installed):
    found, = installed.rglob("liblockkeeper.so.0")
    return {"LD_LIBRARY_PATH": str(found.parent)}


@ucontext
def test_what_is_installed_builds_the_example(
        installed, tmp_path, daemon, accounts):
    built = build(installed, tmp_path, "examples/coroutines.c")
    assert "liblockkeeper.so.0" in finish("ldd", built,
                                          env=library_path(installed))
    check_transfers(finish(built, daemon.socket,
                           env=library_path(installed)), accounts)


def test_what_is_installed_builds_a_program_with_libevent(
        installed, tmp_path, daemon):
    built = build(installed, tmp_path, "tests/clients/lk_client.c",
                  "-levent")
    said = finish(built, "essay", daemon.socket, env=library_path(installed))
    assert "DEADLOCK" in said


def test_the_static_library_is_enough(installed, tmp_path, daemon):
    archive, = installed.rglob("liblockkeeper.a")
    out = tmp_path / "lk_client"
    finish(*configured("CC"), *configured("LK_CFLAGS"), "-D_GNU_SOURCE",
           "-o", out, ROOT / "tests/clients/lk_client.c",
           *pkg_config(installed, "--cflags"), archive, "-levent")
    assert "DEADLOCK" in finish(out, "essay", daemon.socket)


def test_the_example_of_the_manual(installed, tmp_path, daemon, accounts):
    page = (ROOT / "man/liblockkeeper.3").read_text(encoding="utf-8")
    text = re.search(r"^\.Bd -literal\n(#include.*?)^\.Ed", page, re.M | re.S)
    (tmp_path / "manual.c").write_text(text[1].replace(r"\e", "\\"))
    built = build(installed, tmp_path, tmp_path / "manual.c")
    env = library_path(installed) | {"LOCKKEEPER_SOCKET": daemon.socket}
    assert finish(built, env=env) == "Ada\n"
    accounts.sql("DROP TABLE accounts")
    assert finish(built, env=env).startswith("NOMODEL ")


def test_no_more_than_the_headers_say_is_installed(installed):
    names = sorted(path.name for path in installed.rglob("*.h"))
    assert names == ["lockkeeper-libevent.h", "lockkeeper-poll.h",
                     "lockkeeper.h"]
