"""The daemon under test: its config file, its process, its socket, its log."""
import os
import pathlib
import shlex
import shutil
import signal
import subprocess

import process
from client import Client
from cluster import short_tempdir
from timing import FACTOR, eventually

HERE = pathlib.Path(__file__).resolve().parent


def find_daemon():
    roots = [os.environ.get("LK_BUILDDIR"), HERE.parents[1] / "build",
             HERE.parents[1]]
    for root in filter(None, roots):
        for place in ("lockkeeperd", "src/daemon/lockkeeperd",
                      "src/lockkeeperd"):
            path = pathlib.Path(root).resolve() / place
            if os.access(path, os.X_OK) and path.is_file():
                return path
    raise RuntimeError("no lockkeeperd: build it, or set LK_BUILDDIR")


def value_text(value):
    """A Python value in libconfig's syntax."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, dict):
        inner = " ".join(f"{k} = {value_text(v)};" for k, v in value.items())
        return "{ " + inner + " }"
    return "( " + ", ".join(value_text(v) for v in value) + " )"


def config_text(settings):
    return "".join(f"{k} = {value_text(v)};\n" for k, v in settings.items())


def run(*args, timeout_s=20):
    """The daemon with options that make it print something and end."""
    return subprocess.run(
        _command() + [str(a) for a in args], text=True, errors="replace",
        capture_output=True, check=False, timeout=timeout_s)


def is_built():
    try:
        return bool(find_daemon())
    except RuntimeError:
        return False


def _command():
    """LK_RUN may hold a program to run it under."""
    return shlex.split(os.environ.get("LK_RUN", "")) + [str(find_daemon())]


class Daemon:
    """Settings are the config's groups as dicts.  `workers` and `conninfo`
    are those of the only database, unless `databases` is given.  The socket
    is in the daemon's own directory, whatever else `listen` says."""

    def __init__(self, conninfo, workers=None, listen=None, **settings):
        self.directory = short_tempdir("lkd")
        listen = {"socket": "s"} | (listen or {})
        self.socket = str(self.directory / listen["socket"])
        self.config_path = self.directory / "lockkeeper.conf"
        self.log_path = self.directory / "log"
        self.wrapper = []	# a command to start it with, and what that needs
        self.env = {}
        self.pass_fds = ()
        self._process = None
        self._clients = []
        workers = {"min": 1, "max": 4, "idle": "60s"} | (workers or {})
        # What a test leaves open at its end is not to be waited for.
        timeouts = {"drain": "50ms"} | settings.pop("timeouts", {})
        self.settings = {
            "listen": listen | {"socket": self.socket},
            "databases": [{"name": "main", "conninfo": conninfo,
                           "workers": workers}],
            "timeouts": timeouts,
        } | settings
        self.config_path.write_text(config_text(self.settings))

    def configure(self, **settings):
        """Write the file anew; its groups are merged into those before."""
        for group, keys in settings.items():
            before = self.settings.get(group)
            self.settings[group] = before | keys \
                if isinstance(before, dict) else keys
        self.config_path.write_text(config_text(self.settings))

    def start(self, stderr=None):
        """With stderr, an open file, in place of the file that `log` reads."""
        with open(self.log_path, "ab") as log:
            self._process = process.spawn(
                self.wrapper + _command() + ["-c", str(self.config_path)],
                log=stderr or log, env=os.environ | self.env,
                pass_fds=self.pass_fds)
        eventually(self._is_up, "the daemon answers", 10)
        return self

    def _is_up(self):
        if self._process.poll() is not None:
            raise RuntimeError(
                f"the daemon ended ({self._process.returncode}):\n{self.log}")
        try:
            Client(self.socket).close()
            return True
        except OSError:
            return False

    @property
    def pid(self):
        return self._process.pid

    @property
    def log(self):
        try:
            return self.log_path.read_text(errors="replace")
        except OSError:
            return ""

    def says(self, *texts):
        """Its log has these, or will in a moment: a thread writes it."""
        for text in texts:
            eventually(lambda: text in self.log, f"the log has {text!r}")

    def connect(self, *hello, **options):
        """A client; says HELLO 3 unless told otherwise, nothing for None."""
        words = () if hello == (None,) else hello or ("3",)
        client = Client(self.socket, *words, **options)
        self._clients.append(client)
        return client

    def exit_status(self, timeout_s=5.0):
        """Wait for an end that was asked for already."""
        return self._process.wait(timeout_s * FACTOR / 10)

    def send_signal(self, number):
        self._process.send_signal(number)

    def stop(self, number=signal.SIGTERM):
        """End it and check that it ended well."""
        if self._process is None:
            return
        started, self._process = self._process, None
        status = process.end(started, number, 5.0 * FACTOR / 10)
        log = self.log
        assert status is not None, "the daemon did not end:\n" + log[-4000:]
        assert status == 0, f"the daemon's exit status is {status}:\n" + \
            log[-8000:]
        for word in ("Sanitizer", "broken invariant", "runtime error:"):
            assert word not in log, log[-8000:]

    def forget(self):
        """Its process has ended by itself."""
        self._process.wait(5)
        self._process = None

    def restart(self):
        self.stop()
        return self.start()

    def remove(self):
        """What must happen whatever else went wrong."""
        for client in self._clients:
            client.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        shutil.rmtree(self.directory, ignore_errors=True)
