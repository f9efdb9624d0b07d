"""pgbench's own tables: a hundred thousand accounts, a history without a key,
and its transaction said in verbs."""
import random

import pytest

from orm import words

N_ACCOUNTS = 100000


@pytest.mark.parametrize("line, sql", [
    ("FIND pgbench_branches", "SELECT * FROM pgbench_branches"),
    ("FIND pgbench_tellers ORDER tid",
     "SELECT * FROM pgbench_tellers ORDER BY tid"),
    ("FIND pgbench_accounts WHERE aid BETWEEN 500 600 ORDER -aid",
     "SELECT * FROM pgbench_accounts WHERE aid BETWEEN 500 AND 600 "
     "ORDER BY aid DESC"),
    ("FIND pgbench_accounts ORDER bid AFTER 1 99990",
     "SELECT * FROM pgbench_accounts WHERE aid > 99990 ORDER BY aid"),
    ("FIND pgbench_accounts WHERE abalance != 0 OR filler LIKE x%",
     "SELECT * FROM pgbench_accounts WHERE abalance <> 0"),
    ("FIND pgbench_history", "SELECT * FROM pgbench_history"),
    ("LOAD pgbench_branches 1 pgbench_tellers ORDER -tid LIMIT 3",
     "SELECT * FROM pgbench_tellers WHERE bid = 1 ORDER BY tid DESC LIMIT 3"),
    ("LOAD pgbench_branches 1 pgbench_accounts AFTER 99998",
     "SELECT * FROM pgbench_accounts WHERE aid > 99998 ORDER BY aid"),
    ("FIND pgbench_tellers WHERE pgbench_branches_by_bid.bbalance = 0 "
     "AND tid < 3", "SELECT * FROM pgbench_tellers WHERE tid < 3")])
def test_rows(pgbench, line, sql):
    assert pgbench.ask(line) == pgbench.rows(sql)


def test_numbers(pgbench):
    assert pgbench.ask("COUNT pgbench_accounts") == N_ACCOUNTS
    assert pgbench.ask("COUNT pgbench_accounts WHERE aid > 50000") == 50000
    assert pgbench.ask("EXISTS pgbench_history") is False
    row = pgbench.rows("SELECT * FROM pgbench_branches")[0]
    assert pgbench.ask("GET pgbench_branches 1") == row
    assert pgbench.ask("LOAD pgbench_accounts 7 pgbench_branches_by_bid") == row
    pgbench.fails("SYNTAX", "GET pgbench_history 1")


def test_a_whole_table_page_by_page(pgbench):
    expected, after = 1, []
    while True:
        page = pgbench.client.call("=table", "FIND", "pgbench_accounts",
                                   *after, "LIMIT", 20000, "FIELDS", "aid")
        aids = [aid for aid, in page["rows"]]
        if not aids:
            break
        assert aids == list(range(expected, expected + len(aids)))
        expected += len(aids)
        after = ["AFTER", aids[-1]]
    assert expected == N_ACCOUNTS + 1


def transaction(c, tx, chance):
    """pgbench's, in verbs; returns what it adds."""
    aid, tid = chance.randint(1, N_ACCOUNTS), chance.randint(1, 10)
    delta = chance.randint(-5000, 5000)
    row = c.call(tx, "UPDATE", "pgbench_accounts", aid, "SET", "abalance",
                 "+=", delta)
    assert c.call(tx, "GET", "pgbench_accounts", aid, "FIELDS",
                  "abalance") == {"abalance": row["abalance"]}
    c.call(tx, "UPDATE", "pgbench_tellers", tid, "SET", "tbalance", "+=",
           delta)
    c.call(tx, "UPDATE", "pgbench_branches", 1, "SET", "bbalance", "+=", delta)
    c.call(tx, "CREATE", "pgbench_history", "tid", "=", tid, "bid", "=", 1,
           "aid", "=", aid, "delta", "=", delta, "mtime", "=",
           "2024-01-01 00:00:00")
    return delta


def test_its_transaction_in_verbs(pgbench):
    c, chance, total = pgbench.client, random.Random(5), 0
    for i in range(40):
        with pgbench.tx() as tx:
            delta = transaction(c, tx, chance)
            if i % 4:
                assert c.call(tx, "COMMIT") == "COMMIT"
                total += delta
    for table, column in (("accounts", "abalance"), ("tellers", "tbalance"),
                          ("branches", "bbalance"), ("history", "delta")):
        assert pgbench.value(
            f"SELECT sum({column}) FROM pgbench_{table}") == total
    assert pgbench.ask("COUNT pgbench_history") == 30
    assert pgbench.ask("FIND pgbench_history WHERE delta > 0 ORDER delta") == \
        pgbench.rows("""SELECT * FROM pgbench_history WHERE delta > 0
            ORDER BY delta""")


@pytest.mark.parametrize("line, n", [
    ("UPDATEALL pgbench_accounts SET filler = x abalance += 1 "
     "WHERE aid <= 5000", 5000),
    ("DELETEALL pgbench_history WHERE ALL", None),
    ("CREATEMANY pgbench_branches 2 bid bbalance 2 0 3 0", 2)])
def test_many_rows_are_written(pgbench, line, n):
    if n is None:
        n = pgbench.value("SELECT count(*) FROM pgbench_history")
    with pgbench.tx() as tx:
        assert pgbench.client.call(tx, *words(line)) == n
