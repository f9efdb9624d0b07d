"""A client's socket in a process of its own, which can be killed."""
import signal
import socket
import sys

import process

CODE = """
import select, socket, sys
here, there = socket.socket(fileno=0), socket.socket(socket.AF_UNIX)
there.connect(sys.argv[1])
other = {here: there, there: here}
while True:
    for end in select.select([here, there], [], [])[0]:
        data = end.recv(65536)
        if not data:
            sys.exit()
        other[end].sendall(data)
"""


class Relay:
    """Passes on what is said at `sock`; the daemon sees its process."""

    def __init__(self, path):
        self.sock, theirs = socket.socketpair()
        self._process = process.spawn(
            [sys.executable, "-ISc", CODE, path], log=sys.stderr.fileno(),
            stdin=theirs)
        theirs.close()

    def kill(self):
        process.end(self._process, signal.SIGKILL)
        self.sock.close()
