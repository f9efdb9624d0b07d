"""The tests in several processes at a time, each with a PostgreSQL of its own.

usage: shares.py DIRECTORY...

Most of the time a test waits.  Each share is a pytest that loads this file as
a plugin: it has collected all tests, and runs those of one file after the
other, of which the shares agree who takes it.  Tests marked `alone` run at the
end, by themselves.  What a share prints is shown when it has ended; the last
line adds up.

A few that have failed beside the others are run once more, by themselves, and
are named: many a test bounds a time, and whose the processors were meanwhile it
cannot say.  But what a sanitizer reports, and a daemon that ended as it should
not, is never passed over.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import sys
import tempfile

import pytest

import process

HERE = pathlib.Path(__file__).resolve().parent
# More than processors: most of the time a test waits.
N_SHARES = int(os.environ.get("LK_SHARES") or (os.cpu_count() or 1) + 1)
OUTCOMES = ("failed", "passed", "skipped", "error", "warning")
# What a file is taken by: the shares make files in there.
TAKEN = "LK_SHARES_TAKEN"
# Where they write which tests have failed.
FAILED = "LK_SHARES_FAILED"
MAX_AGAIN = 3
GRAVE = ("Sanitizer", "broken invariant", "runtime error:", "exit status is",
         "the daemon ended", "did not end")


# -- in a share: the plugin

def _take(path):
    """Whether it is ours: the first to ask gets it."""
    place = os.path.join(os.environ[TAKEN], str(path).replace("/", "_"))
    try:
        os.close(os.open(place, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def _our_items(items):
    files = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    # The longest first, so that all end at about the same time.
    for path in sorted(files, key=lambda path: -path.stat().st_size):
        if _take(path):
            yield from files[path]


def pytest_runtestloop(session):
    """pytest's own, but for where the items come from.  An item is run when
    the next is known, since that says which fixtures stay."""
    if session.testsfailed or session.config.option.collectonly \
            or TAKEN not in os.environ:
        return None		# pytest does it
    ours = _our_items(session.items)
    item = next(ours, None)
    while item is not None:
        following = next(ours, None)
        item.config.hook.pytest_runtest_protocol(item=item,
                                                 nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
        item = following
    return True


def pytest_runtest_logreport(report):
    if not report.failed or FAILED not in os.environ:
        return
    # With what the daemon has said, which is behind it (conftest.py).
    told = report.longreprtext + "".join(text for _, text in report.sections)
    is_grave = any(word in told for word in GRAVE)
    with open(os.environ[FAILED], "a", encoding="utf-8") as out:
        print(json.dumps([report.nodeid, is_grave]), file=out)


# -- all of them: the driver

class Share:
    def __init__(self, what, which, taken=None, failed=None):
        self._output = tempfile.TemporaryFile()
        self.is_finished = False
        env = os.environ | {"PYTHONPATH": os.pathsep.join(
            [str(HERE)] + os.environ.get("PYTHONPATH", "").split(os.pathsep))}
        if taken:
            env[TAKEN] = taken
        if failed:
            env[FAILED] = failed
        self._process = process.spawn(
            [sys.executable, "-m", "pytest", "-q", "-c", HERE / "pytest.ini",
             "--rootdir", HERE.parent, "-p", "shares", "-m", which,
             "-o", "console_output_style=classic", *what],
            log=self._output, env=env)

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def finish(self, counts, failed):
        """Wait for its end, show what it said, and add to the counts what its
        last line says and to failed the lines that name a test; returns its
        exit status."""
        status = self._process.wait()
        self.is_finished = True
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()
        self._output.close()
        found = re.findall(rf"(\d+) ({'|'.join(OUTCOMES)})s?\b",
                           lines[-1] if lines else "")
        for number, outcome in found:
            counts[outcome] += int(number)
        failed += [line for line in lines
                   if line.startswith(("FAILED ", "ERROR "))]
        print("\n".join(lines[:-1] if found else lines), flush=True)
        if status < 0:
            print(f"pytest was ended by signal {-status}")
        # There may be none that are alone.
        if status == pytest.ExitCode.NO_TESTS_COLLECTED:
            return 0
        return abs(status)


def to_run_again(path):
    """The tests to give another chance: few, and none in a grave way."""
    try:
        with open(path, encoding="utf-8") as lines:
            reports = [json.loads(line) for line in lines]
    except FileNotFoundError:
        return []
    names = list(dict.fromkeys(name for name, is_grave in reports))
    if len(names) > MAX_AGAIN or any(is_grave for name, is_grave in reports):
        return []
    return names


def run(directories):
    counts, failed = collections.Counter(), []
    shares, statuses = [], []
    place = tempfile.mkdtemp(prefix="lkshares")
    taken, log = os.path.join(place, "taken"), os.path.join(place, "failed")
    os.mkdir(taken)
    try:
        shares += [Share(directories, "not alone", taken, log)
                   for _ in range(N_SHARES)]
        statuses += [share.finish(counts, failed) for share in shares]
        shares.append(Share(directories, "alone", None, log))
        statuses.append(shares[-1].finish(counts, failed))
        again = to_run_again(log)
        if again and set(statuses) <= {0, pytest.ExitCode.TESTS_FAILED}:
            print(f"Once more, by themselves: {', '.join(again)}")
            failed = [f"failed at first: {name}" for name in again]
            counts["failed"] = counts["error"] = 0
            shares.append(Share([HERE.parent / name for name in again], ""))
            statuses = [shares[-1].finish(counts, failed)]
    finally:
        for share in shares:
            share.stop()
            if not share.is_finished:
                statuses.append(share.finish(counts, failed) or 1)
        shutil.rmtree(place, ignore_errors=True)
        if not counts["failed"]:	# one that broke may not have said so
            counts["error"] = max(counts["error"], sum(map(bool, statuses)))
        for line in failed:
            print(line)		# once more, where it is found
        print(", ".join(f"{counts[outcome]} {outcome}"
                        for outcome in OUTCOMES if counts[outcome])
              or "0 passed")
    return max(statuses)


def main():
    def interrupt(number, frame):
        raise KeyboardInterrupt(f"signal {number}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
