"""--dump: the tables that the manual is made from, and what is true of them."""
import pytest

from client import pairs
from daemon import run

N_COLUMNS = {"verbs": 5, "hello": 4, "envelope": 3, "errors": 4, "pushes": 3,
             "replies": 3, "show": 3, "stats": 2, "config": 8}


def dump(table):
    """Its rows, each a list of texts."""
    done = run("--dump", table)
    assert (done.returncode, done.stderr) == (0, "")
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.parametrize("table", N_COLUMNS)
def test_each_row_has_all_its_columns(table):
    rows = dump(table)
    assert rows
    for row in rows:
        assert len(row) == N_COLUMNS[table], row
        assert row[0] and row[-1], row
    assert len({tuple(row[:2]) for row in rows}) == len(rows)


def test_an_unknown_table_is_an_error_that_lists_the_known_ones():
    done = run("--dump", "tables")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'tables'" in done.stderr
    assert all(table in done.stderr for table in N_COLUMNS)


def test_help_lists_them():
    assert " ".join(N_COLUMNS) in run("--help").stdout


def test_command_docs_says_the_verbs_as_the_table_does(daemon):
    c = daemon.connect()
    docs = c.call("COMMAND", "DOCS")
    rows = dump("verbs")
    assert list(docs) == [row[0].lower() for row in rows]
    for verb, syntax, _, _, summary in rows:
        said = docs[verb.lower()]
        assert said["summary"] == summary
        arguments = [a["name"] for a in said.get("arguments", [])]
        assert " ".join([verb] + arguments) == syntax


@pytest.mark.parametrize("row", dump("hello"), ids=lambda row: row[0])
def test_hello_takes_each_option_and_only_its_words(daemon, row):
    option, value, kind, _ = row
    c = daemon.connect("3")
    if kind == "words":
        values = [[word] for word in value.split("|")]
        c.fails("SYNTAX", "HELLO", option, "nonsense")
    elif option == "DATABASE":
        values = [["main"]]
    else:
        values = [["x"] * len(value.split())]
    for words in values:
        assert c.call("HELLO", option, *words)["proto"] == 3
    assert f"[{option} {value}]" in c.fails("SYNTAX", "HELLO", option)


def test_stats_and_errors_are_in_show_too(daemon):
    c = daemon.connect("2")
    shown = [column for name, column, _ in dump("show") if name == "stats"]
    assert shown == list(pairs(c.call("SHOW", "stats")))
    assert shown[-len(dump("stats")):] == [row[0] for row in dump("stats")]
    c.fails("PG", "SQL", "SELEKT")
    known = [column for name, column, _ in dump("show") if name == "error"]
    said = list(pairs(c.call("SHOW", "error")))
    assert said == [column for column in known if column in said]
    assert "position" in said
