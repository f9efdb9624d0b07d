"""Many tasks at once, with verbs of all kinds: sums hold, nothing is lost, and
nothing is left."""
import collections
import random
import time

import pytest

from checks import assert_nothing_left
from client import LkError

N_TASKS = 64
N_ACCOUNTS = 40
FOR_S = 2.0
# What a task that came to grief among others may be told.
EXPECTED = {"DEADLOCK", "LOCKTIMEOUT", "SERIALIZE"}


@pytest.fixture
def bank(awkward):
    """Accounts with money, and a book of what was moved."""
    awkward.session.query(f"""
        DROP TABLE IF EXISTS move, account;
        CREATE TABLE account (id int PRIMARY KEY, owner text NOT NULL,
            balance int NOT NULL);
        CREATE TABLE move (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            account_id int NOT NULL REFERENCES account, amount int NOT NULL);
        INSERT INTO account SELECT i, 'owner ' || i % 7, 1000
            FROM generate_series(1, {N_ACCOUNTS}) AS i""")
    return awkward


class Task:
    """A coroutine: it says what to send, gets the reply, and goes on."""

    def __init__(self, name, client, seed):
        self.name = name
        self.client = client
        self.random = random.Random(seed)
        self.n_sent = 0
        self.done = collections.Counter()	# replies by verb
        self.lost = collections.Counter()	# errors by kind
        self.rows = 0		# of the book, that are ours for good
        self.steps = None
        self.out = None		# the tag that is awaited

    def send(self, *request):
        self.n_sent += 1
        self.out = f"{self.name}.{self.n_sent}"
        self.client.send(f"@{self.out}", f"%{self.name}", *request)

    def go_on(self, reply, is_over):
        try:
            request = self.steps.send(reply) if self.steps else None
        except StopIteration:
            request = None
        if request is None:
            self.out, self.steps = None, None
            if not is_over:
                self.steps = self.choose()
                request = next(self.steps)
        if request is not None:
            self.send(*request)

    def note(self, verb, reply):
        if isinstance(reply, LkError):
            assert reply.kind in EXPECTED, (verb, reply.line)
            self.lost[reply.kind] += 1
            return False
        self.done[verb] += 1
        return True

    def choose(self):
        return self.random.choice([self.transfer, self.transfer, self.single,
                                   self.upsert, self.read, self.read])()

    def account(self):
        return self.random.randint(1, N_ACCOUNTS)

    def transfer(self):
        """From one account to another, and both into the book."""
        one, two = self.random.sample(range(1, N_ACCOUNTS + 1), 2)
        amount = self.random.randint(1, 20)
        handle = yield ["BEGIN"]
        tx = f"#{handle}"
        for request in (
                [tx, "UPDATE", "account", one, "SET", "balance", "-=", amount],
                [tx, "UPDATEALL", "account", "SET", "balance", "+=", amount,
                 "WHERE", "id", "=", two],
                [tx, "CREATEMANY", "move", 2, "account_id", "amount",
                 one, -amount, two, amount]):
            reply = yield request
            if not self.note(request[1], reply):
                yield [tx, "ROLLBACK"]
                return
        if self.note("COMMIT", (yield [tx, "COMMIT"])):
            self.rows += 2

    def single(self):
        """A row of the book that is nothing, made, changed and deleted."""
        row = yield ["CREATE", "move", "account_id", "=", self.account(),
                     "amount", "=", "0"]
        if not self.note("CREATE", row):
            return
        reply = yield ["UPDATE", "move", row["id"], "SET", "amount", "+=", "0",
                       "IF", "account.balance", ">", "-1000000"]
        assert self.note("UPDATE IF", reply) and reply["id"] == row["id"]
        reply = yield ["DELETE", "move", row["id"], "IF", "amount", "=", "0"]
        assert self.note("DELETE", reply) and reply == 1

    def upsert(self):
        """An account is there, so nothing is inserted, and nothing added."""
        id_ = self.account()
        reply = yield ["UPSERT", "account", "id", "=", id_, "owner", "=",
                       self.name, "balance", "+=", "0"]
        if self.note("UPSERT", reply):
            assert reply["owner"] == self.name

    def read(self):
        id_ = self.account()
        row = yield ["GET", "account", id_]
        assert self.note("GET", row) and row["id"] == id_
        rows = yield ["FIND", "account", "WHERE", "owner", "LIKE", "owner%",
                      "ORDER", "-balance", "LIMIT", "5", "FIELDS", "balance"]
        assert self.note("FIND", rows)
        n = [row["balance"] for row in rows]
        assert n == sorted(n, reverse=True)
        reply = yield ["LOAD", "account", id_, "move", "LIMIT", "3"]
        assert self.note("LOAD", reply)
        assert all(row["account_id"] == id_ for row in reply)
        reply = yield ["COUNT", "account"]
        assert self.note("COUNT", reply) and reply == N_ACCOUNTS


def play(clients, tasks):
    end = time.monotonic() + FOR_S
    for task in tasks:
        task.go_on(None, False)
    while any(task.out for task in tasks):
        is_over = time.monotonic() > end
        assert time.monotonic() < end + 20, [t.out for t in tasks if t.out]
        for client in clients:
            client.pump(0.001)
        for task in tasks:
            if task.out in task.client.tagged:
                task.go_on(task.client.tagged.pop(task.out), is_over)


def test_sums_hold(bank):
    clients = [bank.daemon.connect() for _ in range(4)]
    tasks = [Task(f"t{i}", clients[i % 4], i) for i in range(N_TASKS)]
    play(clients, tasks)
    done = sum((task.done for task in tasks), collections.Counter())
    lost = sum((task.lost for task in tasks), collections.Counter())
    print(dict(done), dict(lost))
    assert all(done[verb] for verb in (
        "UPDATE", "UPDATEALL", "CREATEMANY", "COMMIT", "CREATE", "UPDATE IF",
        "DELETE", "UPSERT", "GET", "FIND", "LOAD", "COUNT"))
    total = N_ACCOUNTS * 1000
    assert bank.value("SELECT sum(balance) FROM account") == total
    assert bank.value("SELECT count(*) FROM account") == N_ACCOUNTS
    assert bank.value("SELECT coalesce(sum(amount), 0) FROM move") == 0
    assert bank.value("SELECT count(*) FROM move") == sum(
        task.rows for task in tasks)
    assert bank.rows("""SELECT id FROM account a WHERE balance <> 1000 +
        (SELECT coalesce(sum(amount), 0) FROM move
        WHERE account_id = a.id)""") == []
    for client in clients:
        client.close()
    assert_nothing_left(bank.db, bank.client)
