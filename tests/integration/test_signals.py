"""Starting and ending, and the options that only print."""
import os
import signal
import socket
import time

import pytest

import daemon as lk
from checks import update
from client import Closed
from timing import eventually, within


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT],
                         ids=["TERM", "INT"])
def test_a_signal_ends_it_cleanly_with_open_txs_rolled_back(
        db, lockkeeperd, number):
    daemon = lockkeeperd(workers={"min": 1, "max": 4})
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    c.send("@slow", "SQL", "UPDATE r SET v = 9 FROM pg_sleep(30) "
                           "WHERE id = 2")
    c.send("@wait", "SQL", update(1, 100))
    db.wait_for_waiters(1)
    with within(1000, f"end by {number.name} with work in hand"):
        daemon.stop(number)
    with pytest.raises(Closed):
        for _ in range(100):
            c.pump(1)
    eventually(lambda: not db.backends(), "its sessions are gone")
    assert db.v(1) in (0, 100), "the tx was not rolled back"
    assert db.v(2) == 0
    assert not os.path.exists(daemon.socket)


def test_an_idle_daemon_ends_at_once(lockkeeperd):
    daemon = lockkeeperd()
    daemon.connect()
    with within(200, "end of an idle daemon"):
        daemon.stop()


def test_a_signal_counts_from_the_first_moment_on(lockkeeperd):
    """Under ThreadSanitizer one in forty was lost while they were caught by a
    handler."""
    for _ in range(30):
        lockkeeperd().stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT],
                         ids=["TERM", "INT"])
def test_a_signal_counts_though_its_parent_ignores_it(lockkeeperd, number):
    """As it does what nohup starts, or a shell with an &."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        daemon = lockkeeperd()
    finally:
        signal.signal(number, before)
    daemon.stop(number)


def test_it_ends_while_postgresql_is_away(pg, db, lockkeeperd):
    daemon = lockkeeperd()
    c = daemon.connect()
    c.sql("SELECT 1")
    with pg.stopped():
        c.send("@x", "SQL", "SELECT 1")
        time.sleep(0.1)
        with within(500, "end without a server"):
            daemon.stop()
    db.reconnect()


def test_a_second_signal_ends_it_at_once(db, lockkeeperd):
    """Cleanly, when the first has done so already; else it dies of it."""
    daemon = lockkeeperd()
    c = daemon.connect()
    c.send("SQL", "SELECT pg_sleep(30)")
    eventually(lambda: db.backends("wait_event = 'PgSleep'"), "it runs")
    daemon.send_signal(signal.SIGTERM)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.exit_status(1.0) in (0, -signal.SIGTERM)
    daemon.remove()


def test_sigpipe_and_sighup_do_not_end_it(daemon):
    daemon.send_signal(signal.SIGPIPE)
    c = daemon.connect()
    assert c.call("PING") == "PONG"


def test_a_socket_that_nobody_listens_on_is_replaced(lockkeeperd):
    daemon = lockkeeperd()
    daemon.stop()
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(daemon.socket)
    daemon.start()
    assert daemon.connect().call("PING") == "PONG"


def test_a_socket_that_somebody_listens_on_is_refused(daemon):
    done = lk.run("-c", daemon.config_path)
    assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
    assert daemon.socket in done.stderr
    assert daemon.connect().call("PING") == "PONG"


def test_a_file_in_the_sockets_place_is_refused_and_kept(
        db, lockkeeperd, tmp_path):
    daemon = lockkeeperd()
    daemon.stop()
    with open(daemon.socket, "w", encoding="ascii") as f:
        f.write("precious")
    done = lk.run("-c", daemon.config_path)
    assert done.returncode != 0
    with open(daemon.socket, encoding="ascii") as f:
        assert f.read() == "precious"


def test_the_sockets_mode_is_the_configs(lockkeeperd, db):
    daemon = lk.Daemon(db.conninfo)
    try:
        daemon.settings["listen"]["mode"] = "0600"
        daemon.config_path.write_text(lk.config_text(daemon.settings))
        daemon.start()
        assert os.stat(daemon.socket).st_mode & 0o777 == 0o600
        daemon.stop()
    finally:
        daemon.remove()


# -- options

def test_version_prints_one_line(db):
    done = lk.run("--version")
    assert done.returncode == 0
    assert "ockkeeper" in done.stdout
    assert done.stdout.count("\n") == 1


def test_help_names_every_option(db):
    done = lk.run("--help")
    assert done.returncode == 0
    for option in ("-c", "--check", "--show-config", "--version", "--help"):
        assert option in done.stdout


def test_an_unknown_option_is_refused_with_usage(db):
    done = lk.run("--frobnicate")
    assert done.returncode not in (0, -signal.SIGSEGV)
    assert "frobnicate" in done.stderr


GOOD = """
listen = { socket = "/run/never-used"; mode = "0600"; };
databases = ( { name = "main"; conninfo = "host=/x dbname=y password=hush";
  workers = { min = 1; max = 3; idle = "5s"; }; } );
timeouts = { queue = "1500ms"; };
"""


def write(tmp_path, text):
    path = tmp_path / "lockkeeper.conf"
    path.write_text(text)
    return path


def test_check_says_ok(tmp_path):
    done = lk.run("--check", "-c", write(tmp_path, GOOD))
    assert (done.returncode, done.stdout.strip()) == (0, "ok")


def test_show_config_is_a_config_that_shows_itself(tmp_path):
    first = lk.run("--show-config", "-c", write(tmp_path, GOOD))
    assert first.returncode == 0, first.stderr
    assert "hush" not in first.stdout
    for word in ("never-used", "1500ms", '"main"', "deadlock", "15ms"):
        assert word in first.stdout, first.stdout
    again = lk.run("--show-config", "-c", write(tmp_path, first.stdout))
    assert again.stdout == first.stdout


@pytest.mark.parametrize("text,line,key", [
    (GOOD + "nonsense = 1;\n", 6, "nonsense"),
    (GOOD.replace("queue", "cue"), 5, "cue"),
    (GOOD.replace('"1500ms"', "1500"), 5, "queue"),
    (GOOD.replace('"1500ms"', '"1500 bananas"'), 5, "queue"),
    (GOOD.replace("max = 3", "max = 0"), 4, "max"),
    (GOOD.replace("max = 3", 'max = "3"'), 4, "max"),
    (GOOD.replace("max = 3", "max = 30000000000"), 4, ""),
    (GOOD.replace('"0600"', '"abc"'), 2, "mode"),
    (GOOD.replace("timeouts = {", "timeouts = "), 5, ""),
    (GOOD + 'deadlock = { mode = "perhaps"; };\n', 6, "mode"),
])
def test_a_wrong_config_is_named_by_file_line_and_key(
        tmp_path, text, line, key):
    path = write(tmp_path, text)
    for options in (["--check"], []):
        done = lk.run(*options, "-c", path)
        assert done.returncode not in (0, -signal.SIGSEGV, -signal.SIGABRT)
        assert f"{path}:{line}" in done.stderr, done.stderr
        assert key in done.stderr


def test_a_config_without_databases_is_refused(tmp_path):
    done = lk.run("--check", "-c",
                  write(tmp_path, 'listen = { socket = "/run/x"; };\n'))
    assert done.returncode != 0
    assert "databases" in done.stderr


def test_a_missing_config_is_named(tmp_path):
    done = lk.run("--check", "-c", tmp_path / "nowhere.conf")
    assert done.returncode != 0
    assert "nowhere.conf" in done.stderr


