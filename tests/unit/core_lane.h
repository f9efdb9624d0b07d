/* What tests of lanes share: three clients, and who has which row. */
#ifndef LK_TESTS_CORE_LANE_H
#define LK_TESTS_CORE_LANE_H

#include "core_world.h"
#include "core/state.h"
#include "orm_models.h"

static struct fake_conn ann, bob, eve;

static inline void
begin_lanes(uint32_t n_min, uint32_t n_max)
{
	struct lk_catalog *catalog = orm_catalog();

	lk_assert_loop();
	begin_unread_world(1, n_min, n_max);
	lk_core_run_timers(world.core);
	lk_catalog_set_read_committed(catalog);
	answer_catalog(0, catalog);
	connect_as(&ann, 11);
	connect_as(&bob, 12);
	connect_as(&eve, 13);
}

static inline int
begin_each(void **state)
{
	(void)state;
	begin_lanes(4, 4);
	world.config.group_commit = LK_GROUP_OFF;
	return 0;
}

static inline int
end_each(void **state)
{
	uint32_t w;

	(void)state;
	vanish(&ann);
	vanish(&bob);
	vanish(&eve);
	answer_cancels(false);
	for (w = 0; w < MAX_WORKERS; w++) {
		while (world.workers[w].job != NULL)
			finish(w, "ROLLBACK");
	}
	/* A lane vanishes with those who want its row. */
	assert_int_equal(world.core->lanes.n_nodes, 0);
	end_world();
	return 0;
}

/* The worker whose statement has this as its first parameter, the key. */
static inline uint32_t
has_key(const char *key)
{
	uint32_t w;

	for (w = 0; w < MAX_WORKERS; w++) {
		if (world.workers[w].job != NULL &&
		    world.workers[w].job->items[0].n_params > 0 &&
		    strcmp(world.workers[w].job->items[0].params[0].data,
		    key) == 0)
			return w;
	}
	fail_msg("nobody has the row %s", key);
	return 0;
}

/* That worker's statement is done, and has found its row, or not. */
static inline void
done(uint32_t w, uint64_t n_rows)
{
	world.workers[w].job->items[0].n_rows = n_rows;
	finish(w, n_rows > 0 ? "row" : "null");
}

#define UPDATE(conn, tag, key)						\
	SAY(conn, "@" tag, "UPDATE", "users", key, "SET", "age", "+=", "1")
#define UPDATE_IN(conn, tag, tx, key)					\
	SAY(conn, "@" tag, tx, "UPDATE", "users", key, "SET", "age", "+=", "1")

/* UPDATE in a transaction, which has the row from then on. */
#define LOCK(conn, tx, key)						\
	do {								\
		SAY(conn, tx, "UPDATE", "users", key, "SET", "age", "=", "1"); \
		done(has_key(key), 1);					\
		expect(conn, "+row\r\n");				\
	} while (0)

/* The transaction ends, and its reply is taken. */
static inline void
commit_tx(struct fake_conn *conn, const char *tx)
{
	SAY(conn, tx, "COMMIT");
	finish(runs("COMMIT"), "COMMIT");
	lk_buf_truncate(&conn->got, 0);
}

static inline void
expect_tagged(struct fake_conn *conn, const char *tag, const char *value)
{
	char text[64];

	snprintf(text, sizeof(text), "*3\r\n+reply\r\n$1\r\n%s\r\n+%s\r\n", tag,
	    value);
	expect(conn, text);
}

static inline void
expect_tagged_error(struct fake_conn *conn, const char *kind,
    const char *part)
{
	lk_buf_consume(&conn->got, strlen("*3\r\n+reply\r\n$1\r\na\r\n"));
	expect_error(conn, kind, part);
}

#endif
