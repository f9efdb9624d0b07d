"""Plays the scenarios of tests/isolation: who acts, and what each step does.
"""
import collections
import shlex
import time

import pgwire
import relay
from checks import assert_forgotten, assert_nothing_left, update
from client import Client, LkError, Push, bad, encode
from timing import FACTOR, eventually, note

PATIENCE_S = 20			# for what has no limit of its own
ENDS = ("COMMIT", "ROLLBACK")
ON_RECEIPT = ("PING", "ECHO")		# part of no transaction
KINDS = {"40P01": "DEADLOCK", "55P03": "LOCKTIMEOUT", "57014": "CANCELED",
         "25P02": "TXABORTED"}


def text_of(reply):
    """A reply as the files write it; an error stays one."""
    if isinstance(reply, LkError):
        return reply
    if isinstance(reply, list):
        return ", ".join(text_of(row) for row in reply)
    if isinstance(reply, dict):
        return " ".join(text_of(value) for value in reply.values())
    if isinstance(reply, tuple):
        return " ".join(text_of(value) for value in reply)
    return "null" if reply is None else str(reply)


def sql_of(text):
    """The files' short forms of what they say most."""
    word, _, rest = text.partition(" ")
    if word == "update":
        return update(*rest.split())
    if word == "lock":
        return f"SELECT pg_advisory_xact_lock({rest})"
    return None


class Actor:
    """Who sends requests: what is out, what has come, and its transaction."""

    def __init__(self, name):
        self.name = name
        self.out = collections.deque()	# verbs without a reply yet
        self.came = collections.deque()	# (time, reply) not yet looked at
        self.tx = None			# handle, or True in a plain session
        self.handle = None		# of its last transaction
        self.ending = []		# replies expected of what ends it
        self.is_victim = False
        self.is_gone = False

    def take(self, reply, when=None):
        verb = self.out.popleft()
        if verb == "BEGIN" and not isinstance(reply, LkError):
            self.tx = reply
            self.handle = reply
        elif verb in ENDS:
            self.tx = None
        self.came.append((when or time.monotonic(), reply))


class Plain(Actor):
    """A session of PostgreSQL that the daemon knows nothing of."""

    def __init__(self, name, session):
        super().__init__(name)
        self.session = session

    def is_in(self, text):
        return str(self.session.pid) in text

    def send(self, text, resolve):
        """Requests to the daemon are understood, too, for the controls."""
        del resolve
        verb = text.split()[0].rstrip(";")
        sql = sql_of(text) or text.removeprefix("SQL ")
        if verb == "BEGIN" and sql.endswith(" HERE"):
            sql = "BEGIN"
        is_end = verb in ENDS and not text.startswith("ROLLBACK TO")
        if verb in ("BEGIN", "PREPARE"):
            self.tx = verb == "BEGIN" or None
        self.out.append("COMMIT" if is_end else "SQL")
        self.session.start(sql)

    def poll(self):
        if not self.out:
            return
        try:
            rows = self.session.finish(0)
            self.take(rows or self.session.tag)
        except pgwire.StillWaiting:
            pass
        except pgwire.PgError as error:
            kind = KINDS.get(error.sqlstate, "PG")
            self.take(LkError(f"{kind} {error.sqlstate} {error.message}"))


class Connection:
    """A client, and whose turn it is on it."""

    def __init__(self, daemon, words):
        self.relay = None
        if "process" in words:
            words = [word for word in words if word != "process"]
            self.relay = relay.Relay(daemon.socket)
        self.client = Client(
            daemon.socket, "3", *words, timeout_s=PATIENCE_S,
            sock=self.relay and self.relay.sock)
        self.tagged = {}			# tag: actor
        self.untagged = collections.deque()	# actors
        self.n_looked_at = len(self.client.arrived)
        self.n_sent = 0

    def poll(self):
        client = self.client
        while client.pump(0):
            pass
        for when, tag, reply in client.arrived[self.n_looked_at:]:
            if tag in self.tagged:
                self.tagged.pop(tag).take(reply, when)
            elif tag is None and not isinstance(reply, Push):
                self.untagged.popleft().take(reply, when)
        self.n_looked_at = len(client.arrived)

    def taken_in(self):
        """All that was sent has reached the daemon."""
        self.client.send("@taken-in", "PING")
        self.client.tag("taken-in")

    def close(self):
        if self.relay:
            self.relay.kill()
        self.client.close()


class Ours(Actor):
    """One that speaks to the daemon: a task of a connection, or the whole
    connection, which then sends no tags and joins no #transaction."""

    def __init__(self, name, connection, words=()):
        super().__init__(name)
        self.connection = connection
        self.task = [w for w in words if w.startswith("%")]
        self.place = [w for w in words if w.startswith("/")]
        self.is_tagged = bool(self.task) and "untagged" not in words

    def is_in(self, text):
        """By its transaction's handle, or as its task or client."""
        if self.handle and str(self.handle) in text:
            return True
        if not self.task:
            number = self.connection.client.hello["id"]
            return f"client {number} " in text or f"'client': {number}," in text
        name = self.task[0][1:]
        return f"task {name} " in text or f"'{name}'" in text

    def send(self, text, resolve):
        envelope = list(self.task)
        words = text.split()
        while words[0][0] in "@#~?/=!":
            envelope.append(resolve(words.pop(0)))
        text = text[text.index(words[0]):]
        if self.tx and self.task and words[0] not in ON_RECEIPT \
                and not any(w[0] == "#" for w in envelope):
            envelope.append(f"#{self.tx}")
        elif not any(w[0] == "/" for w in envelope):
            envelope += self.place
        sql = sql_of(text)
        if sql is None and words[0] == "SQL":
            sql = text[4:]
        request = ["SQL", sql] if sql else [resolve(w) for w in words]
        connection = self.connection
        if self.is_tagged:
            connection.n_sent += 1
            tag = f"{self.name}.{connection.n_sent}"
            envelope.insert(0, "@" + tag)
            connection.tagged[tag] = self
            self.tag = tag
        else:
            connection.untagged.append(self)
        is_end = words[0] in ENDS and words[1:2] != ["TO"]
        self.out.append(words[0] if words[0] == "BEGIN" or is_end else "SQL")
        connection.client.send_raw(encode(envelope + request))

    def poll(self):
        if not self.is_gone:
            self.connection.poll()


class Play:
    """One run of a scenario.  databases: by their names in the file."""

    def __init__(self, scenario, databases, daemon=None):
        self.scenario = scenario
        self.databases = databases
        self.db = databases[scenario.databases[0]]
        self.daemon = daemon
        self.connections = {}
        self.actors = {}
        self.watcher = None
        self.since = time.monotonic()	# when the last request was sent
        self.took_ms = None		# what the timed step took
        self.error = None		# the last one that was expected
        self.n_victims = 0
        self.before = None

    # -- who

    def set_up(self):
        scenario = self.scenario
        for name, sql in scenario.setup:
            self.databases[name].sql(sql)
        for name, (place, application) in scenario.foreign.items():
            self.actors[name] = Plain(
                name, self.databases[place].connect(application))
        if self.daemon is None:
            return
        self.watcher = self.daemon.connect("3", "NAME", "watcher")
        self.before = self.stats()
        clients = scenario.clients or {"c": []}
        for name, words in clients.items():
            connection = Connection(self.daemon, words)
            self.connections[name] = connection
            self.actors[name] = Ours(name, connection)
        for name, (client, words) in scenario.actors.items():
            self.actors[name] = Ours(name, self.connections[client], words)

    def actor(self, name):
        """One that was not declared is a task of the first client."""
        if name not in self.actors:
            self.actors[name] = (
                Ours(name, next(iter(self.connections.values())),
                     ["%" + name]) if self.daemon
                else Plain(name, self.db.connect()))
        return self.actors[name]

    def stats(self):
        return self.watcher.call("SHOW", "stats")

    def resolve(self, word):
        """#NAME is the handle of that actor's transaction."""
        sign, name = word[:1], word[1:]
        if sign == "#" and name in self.actors:
            return f"#{self.actors[name].handle}"
        return word

    def close(self):
        for connection in self.connections.values():
            connection.close()
        if self.watcher:
            self.watcher.close()

    # -- replies

    def poll(self):
        for actor in self.actors.values():
            actor.poll()

    def until(self, probe, what, timeout_s=PATIENCE_S):
        def polled():
            self.poll()
            return probe()

        return eventually(polled, what, timeout_s, 0.001)

    def errors(self):
        return [reply for actor in self.actors.values()
                for _, reply in actor.came if isinstance(reply, LkError)]

    def one_reply(self, actor, where):
        self.until(lambda: actor.came, f"{where}: a reply for {actor.name}")
        return actor.came.popleft()

    def expect(self, reply, expected, where):
        if expected is None:
            assert not isinstance(reply, LkError), f"{where}: {reply}"
            return
        word, _, rest = expected.partition(" ")
        if word == "error":
            kind, _, words = rest.partition(" ")
            self.error = bad(kind, reply)
            self.do_names(words)
        else:
            assert text_of(reply) == expected, f"{where}: {reply!r}"

    # -- steps

    def play(self, until=()):
        """All steps, or those up to the first of these."""
        for step in self.scenario.steps:
            if step.op in until:
                return
            try:
                self.do(step)
            except Exception as error:
                error.add_note(f"{step.where}: {step.op} {step.who} "
                               f"{step.text}")
                raise

    def do(self, step):
        if step.op not in ("call", "send", "gets"):
            getattr(self, "do_" + step.op)(step.text)
            return
        actor = self.actor(step.who)
        if step.op != "gets":
            self.since = time.monotonic()
            actor.send(step.text, self.resolve)
        if step.op != "send":
            self.expect(self.one_reply(actor, step.where)[1], step.expected,
                        step.where)
        elif isinstance(actor, Ours):
            actor.connection.taken_in()

    def timed(self, when, what):
        self.took_ms = max(self.took_ms or 0, (when - self.since) * 1000)
        allowed = self.scenario.within_ms * FACTOR
        assert self.took_ms <= allowed, (
            f"{what} took {self.took_ms:.1f} ms, {allowed:g} ms are allowed")

    def do_fails(self, text):
        """The first of these gets DEADLOCK; others may go on thereby."""
        actors = [self.actor(name) for name in text.split() if name != "or"] \
            if text != "anybody" else list(self.actors.values())
        self.until(self.errors, f"the end of {text}")
        lost = [(when, actor) for actor in actors for when, reply in actor.came
                if isinstance(reply, LkError)]
        assert lost, self.errors()
        when, victim = min(lost, key=lambda each: each[0])
        self.error = bad("DEADLOCK", victim.came.popleft()[1])
        self.timed(when, "the verdict")
        victim.is_victim = True
        self.n_victims += 1
        if self.daemon:
            # A unit's error says first of which verb.
            assert any(row["action"] == "failed"
                       and self.error.message.endswith(row["text"])
                       for row in self.watcher.show("deadlocks"))

    def do_goes(self, text):
        """These get what they wait for, from one to another."""
        for name in text.split():
            when, reply = self.one_reply(self.actor(name), "goes")
            self.expect(reply, None, name)
            self.timed(when, f"{name}'s reply")

    def do_names(self, text):
        """The last error's text has all these."""
        self.assert_said(text, self.error.line)

    def assert_said(self, words, text):
        assert self.says(words, text), f"not {words}: {text}"

    def says(self, words, text):
        """Whether the text has all words; actors as messages call them."""
        return all(self.actors[word].is_in(text) if word in self.actors
                   else word in text for word in shlex.split(words))

    def do_finish(self, text):
        """Everybody ends what it has open as soon as it can: victims by
        ROLLBACK, others by COMMIT."""
        del text
        self.until(self.is_finished, "everybody finishes")
        for actor in self.actors.values():
            actor.is_victim = False

    def is_finished(self):
        living = [a for a in self.actors.values() if not a.is_gone]
        for actor in living:
            while actor.came:
                expected = actor.ending.pop(0) if actor.ending else None
                self.expect(actor.came.popleft()[1], expected, actor.name)
            if actor.tx and not actor.out:
                self.end(actor)
        return not any(actor.out or actor.tx for actor in living)

    def end(self, actor):
        actor.ending = ["error TXABORTED", "ROLLBACK"] if actor.is_victim \
            else ["COMMIT"]
        if actor.is_victim:
            actor.send("SQL SELECT 1", self.resolve)
        actor.send("ROLLBACK" if actor.is_victim else "COMMIT", self.resolve)

    def do_waits(self, text):
        """So many sessions wait for a lock."""
        eventually(lambda: int(self.db.value(
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE wait_event_type = 'Lock'")) >= int(text),
            f"{text} sessions wait for a lock")

    def do_queued(self, text):
        """So many requests wait for a slot."""
        eventually(lambda: sum(row["queued"] for row in self.watcher.show(
            "databases")) >= int(text), f"{text} requests are queued")

    def do_busy(self, text):
        """So many workers do or hold something, and no more."""
        eventually(lambda: sum(row["state"] not in ("idle", "connecting")
                               for row in self.watcher.show("workers"))
                   == int(text), f"{text} workers are busy")

    def do_unsuspected(self, text):
        """No wait has looked bad so far."""
        del text
        assert self.stats()["suspects"] == self.before["suspects"]
        assert all(row["suspect"] is None
                   for row in self.watcher.show("waits"))

    def do_silent(self, text):
        """Nobody gets a reply in so many milliseconds."""
        end = time.monotonic() + float(text) / 1000
        while time.monotonic() < end:
            self.poll()
            came = {a.name: a.came for a in self.actors.values() if a.came}
            assert not came, came
            time.sleep(0.002)

    def do_looks(self, text):
        """pg_locks was read so many times at most."""
        n = self.stats()["looks"] - self.before["looks"]
        assert 0 < n <= int(text), f"{n} looks"
        note(f"{self.scenario.name}: looks", n, int(text), "  ")

    def do_shows(self, text):
        """A row of this SHOW has all these words."""
        what, words = text.split(None, 1)

        def find():
            return any(self.says(words, repr(row))
                       for row in self.watcher.show(what))

        try:
            eventually(find, f"SHOW {what} with {words}")
        except AssertionError as error:
            error.add_note(repr(self.watcher.show(what)))
            raise

    def do_hears(self, text):
        """A push comes, and has all these words."""
        name, kind, *rest = text.split(None, 2)
        said = self.connections[name].client.push(kind)
        self.assert_said(rest[0] if rest else "", repr(said))

    def do_cancel(self, text):
        """CANCEL of what the actor has out."""
        actor = self.actor(text)
        client = actor.connection.client
        client.send("@cancel", "CANCEL", actor.tag)
        assert client.tag("cancel") == 1

    def do_give(self, text):
        """GIVE of the first one's transaction to the second one's task."""
        giver, taker = (self.actor(name) for name in text.split())
        client = giver.connection.client
        self.since = time.monotonic()
        client.send("@give", "GIVE", str(giver.tx), taker.task[0][1:])
        assert client.tag("give") == "OK"
        taker.tx, giver.tx = giver.tx, None
        taker.handle = giver.handle

    def do_dies(self, text):
        """The client's process is killed, or its connection closed."""
        for actor in self.actors.values():
            if (isinstance(actor, Ours)
                    and actor.connection is self.connections[text]):
                actor.is_gone = True
        self.since = time.monotonic()
        self.connections[text].close()

    def do_check(self, text):
        """A query's answer, afterwards."""
        name, query = self.scenario.databases[0], text
        if text.startswith("/"):
            name, _, query = text[1:].partition(" ")
        query, _, expected = query.rpartition(" = ")
        assert str(self.databases[name].value(query)) == expected, query

    # -- afterwards

    def assert_over(self):
        """No reply that nobody expected, the verdicts that were counted, and
        nothing left of anybody."""
        self.poll()
        left = {a.name: (list(a.out), list(a.came))
                for a in self.actors.values()
                if (a.out or a.came) and not a.is_gone}
        assert not left, left
        if self.daemon is None:
            return
        self.assert_victims(self.n_victims)
        assert_nothing_left(self.db, self.watcher)
        self.assert_forgotten()

    def assert_victims(self, n):
        stats = self.stats()
        of = {name: stats[name] - self.before[name] for name in (
            "deadlocks", "deadlock_victims", "deadlock_replays",
            "reserve_lent")}
        assert of["deadlock_victims"] == n, of
        assert (of["deadlocks"] - of["deadlock_replays"]
                - of["reserve_lent"]) == n, of

    def assert_forgotten(self):
        """Once the clients have gone."""
        for connection in self.connections.values():
            connection.close()
        self.connections = {}
        for name in self.scenario.databases:
            assert_forgotten(self.databases[name], self.watcher)
