"""A service of systemd: its notifications and the socket that it hands on."""
import os
import signal
import socket
import sys

import pytest

from checks import update
from timing import eventually, stays


class Notified:
    """A notification socket, as systemd has one for each service."""

    def __init__(self, name):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(name)
        self.sock.settimeout(5)

    def next(self):
        """The variables of the next message."""
        text = self.sock.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.split("\n"))

    def is_silent(self):
        self.sock.setblocking(False)
        try:
            self.sock.recv(1)
            return False
        except BlockingIOError:
            return True


@pytest.fixture(params=["path", "abstract"])
def service(request, lockkeeperd):
    daemon = lockkeeperd(timeouts={"drain": "20s"})
    daemon.stop()
    name = str(daemon.directory / "notify")
    notified = Notified(name if request.param == "path" else "\0" + name)
    daemon.env["NOTIFY_SOCKET"] = name if request.param == "path" else \
        "@" + name
    daemon.start()
    yield daemon, notified
    notified.sock.close()


def test_ready_reloading_and_stopping_are_told(service):
    daemon, notified = service
    assert notified.next() == {"READY": "1", "STATUS": "serving main"}
    daemon.send_signal(signal.SIGHUP)
    told = notified.next()
    assert told["RELOADING"] == "1" and int(told["MONOTONIC_USEC"]) > 0
    assert notified.next() == {"READY": "1"}
    daemon.config_path.write_text("wrong")
    daemon.send_signal(signal.SIGHUP)
    assert notified.next()["RELOADING"] == "1"
    assert notified.next()["READY"] == "1"
    c = daemon.connect()
    tx = f"#{c.call('BEGIN')}"
    c.call(tx, "SQL", update(1))
    daemon.send_signal(signal.SIGTERM)
    told = notified.next()
    assert told["STOPPING"] == "1" and "draining" in told["STATUS"]
    c.call(tx, "COMMIT")
    assert daemon.exit_status() == 0
    assert notified.is_silent()


def test_when_it_is_ready_it_can_be_connected_to(service):
    daemon, notified = service
    assert notified.next()["READY"] == "1"
    assert daemon.connect().call("PING") == "PONG"


@pytest.mark.parametrize("name", ["", "relative", "/no/such/socket", "@"])
def test_a_notification_socket_that_does_not_work_is_no_obstacle(
        lockkeeperd, name):
    daemon = lockkeeperd()
    daemon.stop()
    daemon.env["NOTIFY_SOCKET"] = name
    daemon.start()
    assert daemon.connect().call("PING") == "PONG"


HANDING_ON = """
import os, sys
fd, n, pid = map(int, sys.argv[1:4])
os.dup2(fd, 3, inheritable=True)
os.environ |= {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(n)}
os.execvp(sys.argv[4], sys.argv[4:])
"""


def hand_on(daemon, sock, n=1, pid=0):
    """As systemd does: descriptor 3, and the variables that say so."""
    daemon.wrapper = [sys.executable, "-c", HANDING_ON, str(sock.fileno()),
                      str(n), str(pid)]
    daemon.pass_fds = (sock.fileno(),)


@pytest.fixture
def stopped(lockkeeperd):
    daemon = lockkeeperd()
    daemon.stop()
    return daemon


def listening(path, kind=socket.SOCK_STREAM, family=socket.AF_UNIX):
    sock = socket.socket(family, kind)
    sock.bind(path)
    if kind == socket.SOCK_STREAM:
        sock.listen(10)
    return sock


def test_it_serves_the_socket_that_was_handed_on(stopped):
    path = str(stopped.directory / "theirs")
    with listening(path) as sock:
        early = socket.socket(socket.AF_UNIX)
        early.connect(path)		# before there was a daemon
        early.sendall(b"PING\r\n")
        stopped.socket = path
        hand_on(stopped, sock)
        stopped.start()
        early.settimeout(5)
        assert early.recv(100) == b"+PONG\r\n"
        assert stopped.connect().call("SQL", "SELECT 1 AS v") == [{"v": 1}]
        inode = os.stat(path).st_ino
        stopped.stop()
        assert os.stat(path).st_ino == inode, "the file was not ours"
        stopped.start()			# the same socket, once more
        assert stopped.connect().call("PING") == "PONG"
        early.close()
        stopped.stop()


def test_variables_meant_for_another_process_are_ignored(stopped):
    with listening(str(stopped.directory / "theirs")) as sock:
        hand_on(stopped, sock, pid=1)
        stopped.start()
        assert stopped.connect().call("PING") == "PONG"
        assert os.path.exists(stopped.socket)
        stopped.stop()


def refused(daemon):
    """What it says as it refuses to start."""
    with pytest.raises(RuntimeError) as failure:
        daemon.start()
    daemon.forget()
    return str(failure.value)


def test_more_than_one_socket_is_refused(stopped):
    with listening(str(stopped.directory / "theirs")) as sock:
        hand_on(stopped, sock, n=2)
        assert "one ListenStream=" in refused(stopped)


def test_what_is_no_listening_unix_socket_is_refused(stopped):
    where = stopped.directory
    for sock in (listening(str(where / "dgram"), socket.SOCK_DGRAM),
                 listening(("127.0.0.1", 0), family=socket.AF_INET),
                 socket.socket(socket.AF_UNIX)):
        with sock:
            hand_on(stopped, sock)
            assert "no listening Unix stream socket" in refused(stopped)


def test_without_systemd_it_ends_in_silence(daemon):
    stays(lambda: daemon.connect().call("PING") == "PONG", "it serves", 0.1)
    eventually(lambda: "ready" in daemon.log, "it says so in its log")
