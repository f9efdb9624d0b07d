"""A socket in front of the daemon's at which replies get lost."""
import socket
import threading


class Gate:
    """Clients connect to `path` and are passed on to the daemon.  While it is
    shut, requests still pass, replies are lost, and clients do not hear of a
    daemon that goes; when it opens again, those whose daemon has gone lose
    their connection, and can have the next at once."""

    def __init__(self, daemon):
        self.path = str(daemon.directory / "gate")
        self._to = daemon.socket
        self._is_open = threading.Event()
        self._is_open.set()
        self._sockets = []
        self._threads = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._start(self._accept)

    def shut(self):
        self._is_open.clear()

    def open(self):
        self._is_open.set()

    def _start(self, run, *args):
        thread = threading.Thread(target=run, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            self._sockets += [client, server]
            try:
                server.connect(self._to)
            except OSError:
                close(client)
                continue
            self._start(self._carry_requests, client, server)
            self._start(self._carry_replies, client, server)

    def _carry_requests(self, client, server):
        for data in read(client):
            write(server, data)
        close(server)

    def _carry_replies(self, client, server):
        for data in read(server):
            if self._is_open.is_set():
                write(client, data)
        self._is_open.wait()
        close(client)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.open()
        close(self._listener)
        for sock in self._sockets:
            close(sock)
        for thread in self._threads:
            thread.join()
        for sock in self._sockets + [self._listener]:
            sock.close()


def read(sock):
    while True:
        try:
            data = sock.recv(65536)
        except OSError:
            return
        if not data:
            return
        yield data


def write(sock, data):
    try:
        sock.sendall(data)
    except OSError:
        close(sock)


def close(sock):
    """Both ways, and for whoever waits for it in another thread."""
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
