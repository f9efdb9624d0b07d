"""Models as the configuration has them: other names, none at all, and relations
that no foreign key makes."""
import pytest

import process
from daemon import config_text, run
from timing import SANITIZED, eventually, note

SCHEMA = """
CREATE SCHEMA app;
CREATE TABLE app.user_accounts (id int PRIMARY KEY, name text UNIQUE);
CREATE TABLE groups (id int PRIMARY KEY, title text);
CREATE TABLE memberships (id serial PRIMARY KEY, user_id int, group_id int);
CREATE TABLE posts (id int PRIMARY KEY, author_name text,
    editor_id int REFERENCES app.user_accounts);
CREATE TABLE audit_log (id int, user_id int REFERENCES app.user_accounts);
INSERT INTO app.user_accounts VALUES (1, 'Ann'), (2, 'Bob');
INSERT INTO groups VALUES (1, 'red'), (2, 'blue');
INSERT INTO memberships (user_id, group_id) VALUES (1, 1), (1, 2), (2, 2);
INSERT INTO posts VALUES (1, 'Bob', 1);
"""

MODELS = [
    {"table": "app.user_accounts", "name": "users", "relations": [
        {"name": "groups", "to": "groups", "columns": ["id"],
         "references": ["id"], "through": "memberships",
         "near": ["user_id"], "far": ["group_id"]},
        {"name": "written", "to": "posts", "columns": ["name"],
         "references": ["author_name"]}]},
    {"table": "audit_log", "hidden": True},
    {"name": "posts", "relations": [
        {"name": "writer", "to": "users", "columns": ["author_name"],
         "references": ["name"]}]},
]


@pytest.fixture
def schema(db):
    db.sql("DROP SCHEMA IF EXISTS app CASCADE; DROP TABLE r")
    db.sql(SCHEMA)
    yield db
    db.sql("DROP SCHEMA IF EXISTS app CASCADE")


def names(client):
    return [row["model"] for row in client.call("MODELS")]


def relations(client, model):
    return {row["name"]: (row["kind"], row["model"])
            for row in client.call("DESCRIBE", model)["relations"]}


def test_models_are_called_as_the_configuration_has_it(schema, lockkeeperd):
    c = lockkeeperd(models=MODELS).connect()
    assert names(c) == ["groups", "memberships", "posts", "users"]
    assert c.call("DESCRIBE", "users")["table"] == "user_accounts"
    assert c.call("DESCRIBE", "app.user_accounts")["model"] == "users"
    c.fails("NOMODEL", "DESCRIBE", "audit_log")
    assert c.call("GET", "users", 1) == {"id": 1, "name": "Ann"}
    c.fails("NOMODEL", "GET", "audit_log", 1)


def test_relations_are_added(schema, lockkeeperd):
    c = lockkeeperd(models=MODELS).connect()
    assert relations(c, "users") == {
        "groups": ("many", "groups"), "written": ("many", "posts"),
        "posts": ("many", "posts")}
    assert relations(c, "posts") == {
        "writer": ("one", "users"), "editor": ("one", "users")}
    assert c.call("LOAD", "users", 1, "groups", "ORDER", "id") == [
        {"id": 1, "title": "red"}, {"id": 2, "title": "blue"}]
    assert c.call("LOAD", "posts", 1, "writer") == {"id": 2, "name": "Bob"}
    assert [row["id"] for row in c.call("LOAD", "users", 2, "written")] == [1]
    assert c.call("COUNT", "posts", "WHERE", "writer.name", "=", "Bob") == 1


def test_one_row_costs_one_row_where_there_are_many(schema, lockkeeperd):
    """The key that made it a relation to one is gone meanwhile; 128 MiB."""
    daemon = lockkeeperd(models=MODELS)
    c = daemon.connect()
    assert c.call("LOAD", "posts", 1, "writer") == {"id": 2, "name": "Bob"}
    schema.sql("""ALTER TABLE app.user_accounts DROP CONSTRAINT
        user_accounts_name_key;
        UPDATE posts SET author_name = repeat('x', 16384) WHERE id = 1;
        INSERT INTO app.user_accounts
        SELECT i, repeat('x', 16384) FROM generate_series(1001, 9192) i""")
    before = process.resident_kib(daemon.pid)
    row = c.call("LOAD", "posts", 1, "writer", timeout_s=60)
    assert row["id"] > 1000 and len(row["name"]) == 16384
    grown = (process.peak_kib(daemon.pid) - before) / 1024
    note("memory for one row of 128 MiB of them", grown, 20, "MiB")
    assert SANITIZED or grown < 20


def test_a_reload_applies_another_list(schema, lockkeeperd):
    daemon = lockkeeperd()
    c = daemon.connect()
    assert "app.user_accounts" in names(c)
    daemon.configure(models=[{"table": "app.user_accounts",
                              "name": "people", "hidden": False,
                              "database": "main"}])
    assert c.call("RELOAD") == "OK"
    assert "people" in names(c)
    daemon.configure(models=[{"table": "app.user_accounts",
                              "name": "people", "database": "elsewhere"}])
    error = c.fails("SYNTAX", "RELOAD")
    assert "models.database: is none of the databases" in error
    assert "people" in names(c)
    daemon.configure(models=[])
    assert c.call("RELOAD") == "OK"
    eventually(lambda: "app.user_accounts" in names(c), "it is as it was")


def test_what_is_not_there_is_a_warning(schema, lockkeeperd):
    daemon = lockkeeperd(models=[
        {"table": "app.nothing", "name": "something"},
        {"name": "posts", "relations": [
            {"name": "writer", "to": "userz", "columns": ["author_name"],
             "references": ["name"]}]}])
    c = daemon.connect()
    assert "posts" in names(c)
    said = ["warning: main: models: app.nothing: there is no such table",
            "warning: main: models: posts.writer: no model \"userz\""]
    eventually(lambda: all(line in daemon.log for line in said), "it is said")
    schema.sql("CREATE TABLE userz (name text)")
    assert c.call("RELOAD") == "OK"
    eventually(lambda: "writer" in relations(c, "posts"), "it is there now")
    eventually(lambda: daemon.log.count("app.nothing") == 2, "it is said again")
    assert daemon.log.count("userz") == 1
    schema.sql("CREATE TABLE app.nothing (id int)")
    assert c.call("RELOAD") == "OK"
    eventually(lambda: "something" in names(c), "that, too")


def test_each_database_may_have_its_own(pg, schema, lockkeeperd):
    daemon = lockkeeperd(
        databases=[{"name": "main", "conninfo": schema.conninfo},
                   {"name": "other", "conninfo": pg.conninfo("postgres")}],
        models=[{"table": "posts", "name": "texts", "database": "main"},
                {"table": "nothing", "name": "none", "database": "other"}])
    c = daemon.connect()
    assert "texts" in names(c)
    eventually(lambda: "other: models: nothing: there is no such table"
               in daemon.log, "the other one has no such table")
    assert "main: models:" not in daemon.log


def test_they_are_shown(schema, lockkeeperd):
    daemon = lockkeeperd(models=MODELS)
    c = daemon.connect()
    rows = {row["key"]: row for row in c.show("config")}
    assert rows["models.users.table"] == {
        "key": "models.users.table", "value": "app.user_accounts",
        "default": "", "reload": True}
    assert rows["models.audit_log.hidden"]["value"] == "true"
    relation = "models.users.relations.groups."
    assert rows[relation + "near"]["value"] == '["user_id"]'
    assert rows[relation + "to"]["default"] is None
    shown = run("-c", daemon.config_path, "--show-config").stdout
    again = daemon.directory / "again.conf"
    again.write_text(shown)
    assert run("-c", again, "--show-config").stdout == shown
    assert 'far = ["group_id"];' in shown


def test_check_says_where_it_is_wrong(tmp_path):
    path = tmp_path / "lockkeeper.conf"
    path.write_text(config_text({
        "databases": [{"name": "main", "conninfo": ""}],
        "models": [{"table": "posts", "relations": [
            {"name": "writer", "to": "users", "columns": ["a", "b"],
             "references": ["id"]}]}]}))
    done = run("-c", path, "--check")
    assert done.returncode == 1
    assert f"{path}:2: models.relations.references: has not as many names " \
        "as columns" in done.stderr
