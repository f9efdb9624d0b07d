"""`lockkeeper dev`: a private PostgreSQL and a daemon, from nothing."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

import process
from cluster import short_tempdir
from test_cli import good, program
from timing import FACTOR, eventually

IS_ROOT = os.geteuid() == 0
READY_S = 60 * FACTOR / 10	# initdb included


def children(pid):
    """{name: pid} of a process's children."""
    found = {}
    for child in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(
            ).split():
        name = pathlib.Path(f"/proc/{child}/comm").read_text().strip()
        found[name] = int(child)
    return found


def is_alive(pid):
    try:
        return process.stat(pid)[0] != "Z"
    except OSError:
        return False


class Dev:
    """`lockkeeper dev` in a directory, with a home of the test's."""

    def __init__(self, home, directory=None):
        self.home = home
        self.directory = directory or home / "lockkeeper" / "dev"
        self.args = ["--dir", str(directory)] if directory else []
        self.socket = self.directory / "run" / "lockkeeper.sock"
        self.env = {k: v for k, v in os.environ.items()
                    if k != "LOCKKEEPER_SOCKET"} | {"XDG_DATA_HOME": str(home)}
        self.process = None

    def run(self, *args, **options):
        """The command to its end, in this home."""
        return subprocess.run(
            [program(), *args], text=True, env=self.env, check=False,
            capture_output=True, timeout=READY_S,
            **options)

    def dev(self, *args):
        return self.run("dev", *self.args, *args)

    def start(self, **options):
        """In the foreground, until it says that it is ready."""
        self.process = subprocess.Popen(
            [program(), "dev", *self.args], text=True, env=self.env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, **options)
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line.startswith("Ctrl-C"):
                return "".join(said)
        raise AssertionError("not ready: " + self.process.stderr.read())

    def ended(self, timeout_s=30.0):
        """(exit status, stderr) of what must end by itself."""
        started, self.process = self.process, None
        try:
            _, err = started.communicate(timeout=timeout_s * FACTOR / 10)
        finally:
            started.kill()
        return started.returncode, err

    def stop(self, number=signal.SIGINT):
        self.process.send_signal(number)
        status, err = self.ended()
        assert status == 0, err
        return err

    def rows(self):
        return good(self.run("sql", "--json", "SELECT count(*) AS n "
                             "FROM accounts"))

    def is_gone(self):
        return (not self.socket.exists() and
                not (self.directory / "data" / "postmaster.pid").exists())

    def remove(self):
        if self.process is not None:
            process.end(self.process, signal.SIGTERM, 30)
        self.dev("--stop")


@pytest.fixture(scope="module")
def home():
    directory = short_tempdir("lkdev")
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def dev(home):
    it = Dev(home)
    try:
        yield it
    finally:
        it.remove()


def test_first_use_makes_all_that_the_examples_need(dev):
    said = dev.start()
    assert str(dev.socket) in said and "status" in said
    assert "Making a PostgreSQL cluster" in dev.stop()
    assert dev.is_gone()


def test_commands_find_it_without_being_told(dev):
    dev.start()
    assert dev.rows() == '[{"n":5}]\n'
    assert good(dev.run("call", "PING")) == "PONG\n"
    dev.stop()
    assert dev.run("call", "PING").returncode == 1


def test_ctrl_c_stops_both_in_order_and_leaves_nothing(dev):
    dev.start()
    pids = children(dev.process.pid).values()
    assert len(pids) == 2
    dev.stop(signal.SIGINT)
    assert not any(map(is_alive, pids))
    assert dev.is_gone()


def test_a_second_one_says_that_one_is_running(dev):
    dev.start()
    done = dev.dev()
    assert done.returncode == 1
    assert "running already" in done.stderr
    assert str(dev.process.pid) in done.stderr
    assert dev.rows() == '[{"n":5}]\n'


def test_background_is_left_and_stopped_by_name(dev):
    said = good(dev.dev("--detach"))
    assert "--stop" in said
    assert dev.rows() == '[{"n":5}]\n'
    assert (dev.directory / "lockkeeperd.log").exists()
    assert good(dev.dev("--stop")) == "Stopped.\n"
    assert dev.is_gone()
    done = dev.dev("--stop")
    assert done.returncode == 1 and "none is running" in done.stderr


@pytest.mark.parametrize("name, said", [
    ("lockkeeperd", "lockkeeperd was killed by signal 9"),
    ("postgres", "PostgreSQL was killed by signal 9"),
])
def test_the_death_of_one_ends_the_other(dev, name, said):
    dev.start()
    pids = children(dev.process.pid)
    os.kill(pids[name], signal.SIGKILL)
    status, err = dev.ended()
    assert status == 1
    assert said in err
    assert not any(map(is_alive, pids.values()))


def test_the_death_of_the_watcher_ends_both(dev):
    dev.start()
    pids = children(dev.process.pid).values()
    dev.process.kill()
    dev.ended()
    eventually(lambda: not any(map(is_alive, pids)), "both have ended", 20)


def test_it_recovers_from_the_death_of_all(dev):
    dev.start()
    good(dev.run("sql", "INSERT INTO accounts VALUES (6, 'Alan', 1)"))
    pids = children(dev.process.pid)
    for pid in (dev.process.pid, *pids.values()):
        os.kill(pid, signal.SIGKILL)
    dev.ended()
    assert not dev.is_gone()
    dev.start()
    assert dev.rows() == '[{"n":6}]\n'
    good(dev.run("sql", "DELETE FROM accounts WHERE id = 6"))
    dev.stop()


def test_a_pid_file_with_somebody_elses_number_is_no_obstacle(dev):
    """As after a crash, when numbers start anew in a container."""
    (dev.directory / "data" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{dev.directory}/data\n{int(time.time())}\n5432\n"
        f"{dev.directory}/run\n\n  1234  5678\nready   \n")
    dev.start()
    dev.stop()


def test_the_config_is_the_users_once_written(dev):
    config = dev.directory / "lockkeeper.conf"
    text = config.read_text() + "# mine\n"
    config.write_text(text)
    dev.start()
    dev.stop()
    assert config.read_text() == text


def test_a_config_for_another_place_is_refused(dev):
    config = dev.directory / "lockkeeper.conf"
    text = config.read_text()
    config.write_text(text.replace("lockkeeper.sock", "other.sock"))
    done = dev.dev()
    config.write_text(text)
    assert done.returncode == 1
    assert str(dev.socket) in done.stderr


def test_a_first_use_that_was_cut_short_is_begun_anew(home):
    dev = Dev(home, home / "cut")
    try:
        first = subprocess.Popen([program(), "dev", *dev.args], env=dev.env,
                                 stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE, text=True)
        eventually((dev.directory / "data.new" / "PG_VERSION").exists,
                   "initdb is at work", 20)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=30)
        assert not (dev.directory / "data").exists()
        dev.start()
        assert dev.rows() == '[{"n":5}]\n'
        dev.stop()
    finally:
        dev.remove()


def test_background_holds_on_to_no_pipe(dev):
    """Else whoever reads our output would wait for ever."""
    reader, writer = os.pipe()
    done = dev.run("dev", "--detach", pass_fds=[writer])
    os.close(writer)
    assert done.returncode == 0
    assert os.read(reader, 1) == b""
    os.close(reader)
    good(dev.dev("--stop"))


def test_programs_that_are_missing_are_named(dev):
    dev.env["PG_BINDIR"] = "/nowhere"
    done = dev.dev()
    assert done.returncode == 1
    assert "PG_BINDIR is /nowhere" in done.stderr


def test_a_directory_with_a_long_or_odd_name_will_do(home):
    name = "a \"b\" 'c', \\d" + 12 * "/far away"
    dev = Dev(home, home / "long" / name)
    run = None
    try:
        done = dev.dev("--detach")
        assert done.returncode == 0, done.stderr
        run = pathlib.Path(done.stdout.partition("socket ")[2].split()[0]
                           ).parent
        assert str(run).startswith("/tmp/lockkeeper-")
        assert dev.rows() == '[{"n":5}]\n'
        good(dev.dev("--stop"))
    finally:
        dev.remove()
        if run:
            shutil.rmtree(run, ignore_errors=True)


@pytest.mark.skipif(not IS_ROOT, reason="only root has another user's cluster")
def test_root_is_told_where_postgresql_cannot_go(home):
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    dev = Dev(home, closed / "dev")
    done = dev.dev()
    assert done.returncode == 1
    assert f"may not enter {closed}" in done.stderr


@pytest.mark.skipif(not IS_ROOT, reason="every other test shows it")
def test_an_ordinary_user_needs_no_root():
    user = process.as_user(process.unprivileged_user())
    home = short_tempdir("lkdev")
    shutil.chown(home, user["user"])
    dev = Dev(home)
    try:
        try:
            dev.run("--version", cwd=home, **user)
        except PermissionError:
            pytest.skip("the build is where only root can go")
        dev.start(cwd=home, **user)
        assert dev.rows() == '[{"n":5}]\n'
        dev.stop()
    finally:
        dev.remove()
        shutil.rmtree(home, ignore_errors=True)
