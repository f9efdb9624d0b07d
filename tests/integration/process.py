"""Child processes that never outlive the test run, not even its SIGKILL."""
import ctypes
import os
import pwd
import signal
import subprocess
import time

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def spawn(argv, *, log, death_signal=signal.SIGTERM, user=None, env=None):
    """Start argv with stdout and stderr going to the open file log."""
    def set_death_signal():
        _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal))

    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True, preexec_fn=set_death_signal, env=env,
        **as_user(user))


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


def end(process, number=signal.SIGTERM, timeout_s=5.0):
    """Signal the process and reap it; returns its exit status, or None when
    it had to be killed."""
    if process.poll() is None:
        process.send_signal(number)
    last = time.monotonic() + timeout_s
    while process.poll() is None and time.monotonic() < last:
        time.sleep(0.002)	# wait() with a timeout naps for longer
    if process.returncode is None:
        process.kill()
        process.wait()
        return None
    return process.returncode
