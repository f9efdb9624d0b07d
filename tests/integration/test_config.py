"""What a config key does, where no other test is about that."""
import grp
import os
import stat

import pytest

from checks import n_verdicts, update
from client import bad, encode
from timing import eventually, stays, within


def status_of(daemon):
    return os.stat(daemon.socket)


@pytest.mark.parametrize("mode", ["0600", "0666", "0770"])
def test_listen_mode_is_the_sockets(lockkeeperd, mode):
    daemon = lockkeeperd(listen={"mode": mode})
    assert stat.S_IMODE(status_of(daemon).st_mode) == int(mode, 8)


def test_listen_group_is_the_sockets_by_name_or_number(lockkeeperd):
    gid = 65534 if os.geteuid() == 0 else os.getegid()
    for group in (str(gid), grp.getgrgid(gid).gr_name):
        daemon = lockkeeperd(listen={"group": group})
        assert status_of(daemon).st_gid == gid
    assert status_of(lockkeeperd()).st_gid == os.getegid()


def test_listen_socket_is_where_it_says(lockkeeperd):
    daemon = lockkeeperd(listen={"socket": "another name"})
    assert daemon.socket.endswith("/another name")
    assert stat.S_ISSOCK(status_of(daemon).st_mode)
    assert daemon.connect().call("PING") == "PONG"


def test_first_look_is_how_long_a_deadlock_goes_unnoticed(lockkeeperd):
    daemon = lockkeeperd(deadlock={"first_look": "600ms"})
    a, b = (daemon.connect("3", "MODE", "blocking", "THREAD", "t")
            for _ in range(2))
    a.call("BEGIN")
    a.sql(update(1))
    with within(700, "a deadlock looked for after 600 ms") as limit:
        b.send("SQL", update(1))
        stays(lambda: n_verdicts(a) == 0, "no verdict", 0.4)
        bad("DEADLOCK", b.recv())
    assert limit.took_ms >= 600
    a.call("COMMIT")


def test_output_is_how_much_may_be_unread_before_requests_wait(lockkeeperd):
    daemon = lockkeeperd(limits={"output": "64KiB"})
    c, other = daemon.connect("3", "NAME", "idler"), daemon.connect()
    n = 1000

    def n_requests():
        return next(row["requests"] for row in other.show("clients")
                    if row["name"] == "idler")

    c.send_raw(n * encode(["COMMAND", "DOCS"]))	# some KiB for each
    # What the kernel's buffers of the socket take is not unread to us.
    stays(lambda: n_requests() < n // 2, "most of them wait")
    for _ in range(n):
        assert c.recv()
    assert n_requests() == 1 + n


def test_control_output_with_room_enough_lets_them_all_in(lockkeeperd):
    daemon = lockkeeperd(limits={"output": "64MiB"})
    c, other = daemon.connect("3", "NAME", "idler"), daemon.connect()
    c.send_raw(1000 * encode(["COMMAND", "DOCS"]))
    eventually(lambda: other.show("clients")[0]["requests"] == 1001,
               "all are taken")


@pytest.mark.parametrize("level,says", [("info", True), ("error", False)])
def test_log_level_is_the_least_that_is_written(lockkeeperd, level, says):
    daemon = lockkeeperd(log={"level": level})
    daemon.connect()
    if says:
        eventually(lambda: "info: ready" in daemon.log, "it says so")
    daemon.stop()
    assert says == ("ready" in daemon.log)
