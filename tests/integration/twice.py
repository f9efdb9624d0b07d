"""What a verb that writes replies with and leaves, and what the same statement
in SQL does; both are undone."""
from orm import words

NOW = {"last_update"}		# columns that a trigger or default sets to now()


def timeless(rows):
    return [{k: v for k, v in row.items() if k not in NOW} for row in rows]


def table(model):
    return ".".join(f'"{part}"' for part in model.split("."))


def in_sql(both, model, sql):
    """What a statement returns, and the table when it is done; then it is
    undone."""
    both.session.query("BEGIN")
    try:
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            returned = both.rows(f"{sql} RETURNING *")
        else:
            returned = both.rows(sql)
        return timeless(returned), timeless(both.rows(
            f"SELECT * FROM {table(model)} ORDER BY 1, 2"))
    finally:
        both.session.query("ROLLBACK")


def in_verbs(both, model, line, *more):
    """Likewise, of a verb."""
    with both.tx() as tx:
        reply = both.client.call(tx, *words(line), *more)
        # The daemon's own view of it is as good as any other's here.
        left = both.client.call(tx, "SQL", f"SELECT * FROM {table(model)} "
                                "ORDER BY 1, 2")
    return reply, timeless(left)


def assert_row(both, model, line, sql, *more):
    """The reply is the row that SQL returns."""
    reply, left = in_verbs(both, model, line, *more)
    row, expected = in_sql(both, model, sql)
    assert len(row) == 1
    assert timeless([reply]) == row
    assert left == expected


def assert_count(both, model, line, sql, *more):
    """The reply is the number of rows that SQL returns."""
    reply, left = in_verbs(both, model, line, *more)
    rows, expected = in_sql(both, model, sql)
    assert reply == len(rows)
    assert left == expected
    return reply


def assert_nothing(both, model, line, *more):
    """The reply is null, and the table as before."""
    reply, left = in_verbs(both, model, line, *more)
    assert reply is None
    assert left == in_sql(both, model, "SELECT 1")[1]
