"""Between a daemon and its PostgreSQL: a line that can be cut."""
import selectors
import shutil
import socket
import threading

from cluster import short_tempdir


class Proxy:
    """Listens as a PostgreSQL server does and passes everything on to one."""

    def __init__(self, cluster, dbname):
        self._target = f"{cluster.directory}/.s.PGSQL.5432"
        self._directory = short_tempdir("lkpx")
        self.conninfo = (f"host={self._directory} port=5432 user=postgres "
                         f"dbname={dbname}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._directory}/.s.PGSQL.5432")
        self._listener.listen()
        self._peer = {}		# each end of a line: the other
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._to_us, self._wake = socket.socketpair()
        self._selector.register(self._to_us, selectors.EVENT_READ)
        self._was_cut = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self):
        """Close every line that is open now, without a word."""
        self._was_cut.clear()
        self._wake.send(b"c")
        assert self._was_cut.wait(5)

    def close(self):
        self._wake.send(b"q")
        self._thread.join(5)
        for sock in (self._listener, self._to_us, self._wake):
            sock.close()
        self._selector.close()
        shutil.rmtree(self._directory)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def _run(self):
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._to_us:
                    word = self._to_us.recv(1)
                    self._hang_up(list(self._peer))
                    self._was_cut.set()
                    if word == b"q":
                        return
                    break	# what else was ready is gone
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peer:
                    self._pass_on(key.fileobj)

    def _accept(self):
        a, b = self._listener.accept()[0], socket.socket(socket.AF_UNIX)
        b.connect(self._target)
        self._peer |= {a: b, b: a}
        for sock in (a, b):
            self._selector.register(sock, selectors.EVENT_READ)

    def _pass_on(self, sock):
        try:
            data = sock.recv(65536)
            if data:
                self._peer[sock].sendall(data)
                return
        except OSError:
            pass
        self._hang_up([sock, self._peer[sock]])

    def _hang_up(self, socks):
        for sock in socks:
            self._selector.unregister(sock)
            del self._peer[sock]
            sock.close()
