"""Time limits of scenarios, and what they took.

A scenario's limit is what the daemon promises on a quiet machine; tests
allow a multiple of it, print what it took, and the run's summary lists it.
"""
import os
import time

def _is_said(name):
    return os.environ.get(name, "") not in ("", "0", "no")


SANITIZERS = os.environ.get("LK_SANITIZERS", "")	# "address" or "thread"
SANITIZED = _is_said("LK_SANITIZERS")	# its memory says nothing
IS_SLOW = SANITIZED or _is_said("LK_SLOW")
FACTOR = 20 if IS_SLOW else 10

TOOK = []	# (what, how much, what is promised, unit)


def note(what, took, promised, unit="ms"):
    TOOK.append((what, took, promised, unit))
    print(f"{what}: {took:.1f} {unit} (promised: {promised:g} {unit})")


class within:
    """with within(100, "verdict"): ...  fails when it took too long."""

    def __init__(self, limit_ms, what):
        self.limit_ms = limit_ms
        self.what = what
        self.took_ms = None

    @property
    def allowed_s(self):
        return self.limit_ms * FACTOR / 1000

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, kind, value, traceback):
        if kind is not None:
            return
        self.took_ms = (time.monotonic() - self.start) * 1000
        note(self.what, self.took_ms, self.limit_ms)
        assert self.took_ms <= self.limit_ms * FACTOR, (
            f"{self.what} took {self.took_ms:.1f} ms, "
            f"{self.limit_ms:g} ms x {FACTOR} are allowed")


def eventually(probe, what, timeout_s=5.0, every_s=0.005):
    """Ask probe until it answers something true, and return that."""
    timeout_s *= FACTOR / 10
    end = time.monotonic() + timeout_s
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(
                f"not within {timeout_s:g} s: {what} (last: {answer!r})")
        time.sleep(every_s)


def stays(probe, what, for_s=0.3, every_s=0.02):
    """Fail when probe answers something false within that time."""
    end = time.monotonic() + for_s
    while time.monotonic() < end:
        answer = probe()
        assert answer, f"did not stay: {what} (now: {answer!r})"
        time.sleep(every_s)
