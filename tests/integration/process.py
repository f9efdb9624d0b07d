"""Child processes that never outlive the test run, not even its SIGKILL."""
import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import threading
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def spawn(argv, *, log, death_signal=signal.SIGTERM, user=None, env=None,
          stdin=subprocess.DEVNULL, stdout=None, cwd=None, pass_fds=()):
    """Start argv with stderr, and stdout unless it goes elsewhere, going to
    the open file log.  In the main thread: it ends with who started it."""
    assert threading.current_thread() is threading.main_thread()

    def set_death_signal():
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))

    return subprocess.Popen(
        argv, stdin=stdin, stdout=stdout or log, stderr=log,
        start_new_session=True, preexec_fn=set_death_signal, env=env,
        cwd=cwd, pass_fds=pass_fds, **as_user(user))


@contextlib.contextmanager
def running(*argv):
    """argv for as long as the block lasts at most; what it says is text."""
    started = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True)
    try:
        yield started
    finally:
        end(started, signal.SIGKILL)
        started.stdout.close()


def as_user(user):
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def unprivileged_user():
    """Whom to run PostgreSQL as: None when that is ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
            return name
        except KeyError:
            continue
    raise RuntimeError("neither a user postgres nor nobody on this machine")


def wait_for(process, number, timeout_s):
    """Signal the process and reap it; returns its exit status."""
    if process.poll() is None:
        process.send_signal(number)
    last = time.monotonic() + timeout_s
    while process.poll() is None:
        if time.monotonic() >= last:
            raise TimeoutError(f"{process.args[0]} did not end")
        time.sleep(0.002)	# wait() with a timeout naps for longer
    return process.returncode


def end(process, number=signal.SIGTERM, timeout_s=5.0):
    """Like wait_for(), but returns None when it had to be killed."""
    try:
        return wait_for(process, number, timeout_s)
    except TimeoutError:
        process.kill()
        process.wait()
        return None


def resident_kib(pid):
    return status(pid, "VmRSS")


def peak_kib(pid):
    """The most that it ever was resident."""
    return status(pid, "VmHWM")


def status(pid, key):
    """A number of /proc/PID/status."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f
                    if line.startswith(key + ":"))


def cpu_ticks(pid):
    """User and system time, in clock ticks, of all its threads."""
    return sum(map(int, stat(pid)[11:13]))


def stat(pid):
    """The fields of /proc/PID/stat behind its name: the first is its state."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
        return f.read().rpartition(")")[2].split()
