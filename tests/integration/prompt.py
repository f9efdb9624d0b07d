"""A program at a terminal: what a person types, and what comes back."""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time

import process
from timing import FACTOR

MOVES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|\r")


class Prompt:
    """redis-cli with these arguments, at its prompt."""

    def __init__(self, *args):
        self._prompts = (f"redis {args[1]}> ", "not connected> ")
        self._bytes = b""
        self._fd, terminal = pty.openpty()
        # As wide as no line is long: nothing wraps.
        fcntl.ioctl(terminal, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 50, 5000, 0, 0))
        env = os.environ | {"TERM": "xterm", "REDISCLI_HISTFILE": "/dev/null",
                            "REDISCLI_RCFILE": "/dev/null"}
        self._process = process.spawn(["redis-cli", *args], log=terminal,
                                      stdin=terminal, env=env)
        os.close(terminal)
        self.greeting = self.answer()

    def type(self, line):
        """Type a line and its end, and see it come back."""
        os.write(self._fd, line.encode() + b"\r")
        self._until(lambda: "\n" in self._text(), f"{line} is echoed")
        self._bytes = self._bytes.split(b"\n", 1)[1]

    def answer(self, timeout_s=10.0):
        """What is printed up to the next prompt."""
        self._until(lambda: self._text().endswith(self._prompts),
                    "the prompt comes back", timeout_s)
        said, self._bytes = self._text(), b""
        for end in self._prompts:
            said = said.removesuffix(end)
        return said.strip()

    def shows(self, text):
        """What is printed up to this text, without a prompt coming back."""
        self._until(lambda: text in self._text(), f"{text!r} is printed")
        said = self._text()
        self._bytes = b""
        return said

    def hint(self, start, text):
        """Type the start of a line, and see text offered behind it."""
        os.write(self._fd, start.encode())
        self._until(lambda: text in self._text(), f"{text!r} is offered")

    def ask(self, line):
        self.type(line)
        return self.answer()

    def _text(self):
        """What was printed since, without colours and movements."""
        text = self._bytes.decode("utf-8", "surrogateescape")
        return MOVES.sub("", text)

    def _until(self, probe, what, timeout_s=10.0):
        end = time.monotonic() + timeout_s * FACTOR / 10
        while not probe():
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._fd], [], [], left)[0]:
                raise AssertionError(f"not in time: {what}\n{self._text()}")
            self._bytes += self._read()

    def _read(self):
        try:
            data = os.read(self._fd, 65536)
        except OSError:		# how a terminal says that nobody is left
            data = b""
        if not data:
            raise AssertionError(f"it has ended\n{self._text()}")
        return data

    def close(self):
        process.end(self._process)
        os.close(self._fd)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()
