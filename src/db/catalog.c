#include "db/catalog.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/hash.h"
#include "base/utf8.h"
#include "db/pgerror.h"
#include "db/pipe.h"
#include "orm/catalog.h"

/* What a catalog may take to be read; the largest takes seconds. */
#define READ_US	(30 * LK_US_PER_S)

/* pg_index and pg_constraint allow no more. */
#define MAX_KEY	32

/*
 * Everything with its schema: the session's search_path is the daemon's user's
 * to choose, and pg_table_is_visible() and format_type() are to go by it.
 */
#define EQ	" OPERATOR(pg_catalog.=) "
#define NE	" OPERATOR(pg_catalog.<>) "

#define FROM_CLASSES							\
	" FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n "	\
	"ON n.oid" EQ "c.relnamespace "
#define IS_USERS							\
	" n.nspname OPERATOR(pg_catalog.!~) '^pg_' "			\
	"AND n.nspname" NE "'information_schema' "
/* Partitions are rows of the table that they are a part of. */
#define IS_MODEL							\
	" c.relkind" EQ "ANY ('{r,p,f,v,m}'::pg_catalog.\"char\"[]) "	\
	"AND NOT c.relispartition AND c.relpersistence" NE "'t' AND"	\
	IS_USERS

/* So many that are left out are told of one by one. */
#define MAX_SAID 20

/* What is being filled, and how far that went well. */
struct reading {
	struct lk_catalog *catalog;
	struct lk_model	*model;		/* of the last row that had one */
	struct lk_catalog_type *type;	/* likewise */
	uint64_t	 hash;		/* of all cells so far */
	struct lk_buf	*said;
	size_t		 n_left_out;	/* models and columns */
	struct lk_buf	 name, type_name;	/* shown_at()'s */
	size_t		 n_left;	/* Syncs to come */
	bool		 is_strange;	/* no answer of PostgreSQL's */
	struct lk_error	 error;		/* the server's first */
};

struct question {
	const char	*sql;
	int		 n_columns;	/* of its answer; 0: none */
	void		(*take)(struct reading *reading, const PGresult *res,
			    int row);
};

/* ---- cells ---- */

/* "" for NULL. */
static const char *
text_at(const PGresult *res, int row, int column)
{
	return PQgetvalue(res, row, column);
}

static uint32_t
oid_at(const PGresult *res, int row, int column)
{
	return (uint32_t)strtoul(text_at(res, row, column), NULL, 10);
}

static bool
is_utf8_at(const PGresult *res, int row, int column)
{
	return lk_utf8_is_text(text_at(res, row, column),
	    (size_t)PQgetlength(res, row, column));
}

/* What is nobody's to name, only to read: bytes that are no UTF-8 as "\xe9",
 * and then in buf. */
static const char *
shown_at(struct lk_buf *buf, const PGresult *res, int row, int column)
{
	const char *text = text_at(res, row, column);
	size_t n = (size_t)PQgetlength(res, row, column);

	if (lk_utf8_is_text(text, n))
		return text;
	lk_buf_truncate(buf, 0);
	lk_utf8_escape(buf, text, n);
	return lk_buf_cstr(buf);
}

/* A model or a column, since nobody could name it: the log says which. */
static void
leave_out(struct reading *reading, const char *what, const char *of,
    const char *name)
{
	if (reading->n_left_out++ < MAX_SAID)
		lk_buf_printf(reading->said, "%s %s.%s is left out, since its "
		    "name is no UTF-8\n", what, of, name);
}

static bool
is_true_at(const PGresult *res, int row, int column)
{
	return text_at(res, row, column)[0] == 't';
}

/* "1 3": at most max numbers; returns how many there are. */
static size_t
numbers_at(const PGresult *res, int row, int column, int *numbers, size_t max)
{
	const char *at = text_at(res, row, column);
	char *end;
	size_t n;

	for (n = 0; n < max; n++) {
		numbers[n] = (int)strtol(at, &end, 10);
		if (end == at)
			break;
		at = end;
	}
	return n;
}

/* Rows come by their table's oid. */
static struct lk_model *
model_at(struct reading *reading, const PGresult *res, int row)
{
	uint32_t oid = oid_at(res, row, 0);

	if (reading->model == NULL || reading->model->oid != oid)
		reading->model = lk_catalog_model(reading->catalog, oid);
	return reading->model;
}

static struct lk_catalog_type *
type_at(struct reading *reading, const PGresult *res, int row)
{
	uint32_t oid = oid_at(res, row, 0);

	if (reading->type == NULL || reading->type->oid != oid)
		reading->type = lk_catalog_type(reading->catalog, oid);
	return reading->type;
}

/* ---- types ---- */

static enum lk_type_kind
type_kind(char typtype)
{
	switch (typtype) {
	case 'a':
		return LK_TYPE_ARRAY;
	case 'c':
		return LK_TYPE_COMPOSITE;
	case 'd':
		return LK_TYPE_DOMAIN;
	case 'e':
		return LK_TYPE_ENUM;
	case 'm':
	case 'r':
		return LK_TYPE_RANGE;
	case 'p':
		return LK_TYPE_PSEUDO;
	}
	return LK_TYPE_BASE;
}

static void
take_type(struct reading *reading, const PGresult *res, int row)
{
	struct lk_catalog_type *type = lk_catalog_add_type(reading->catalog,
	    oid_at(res, row, 0), shown_at(&reading->name, res, row, 1),
	    type_kind(text_at(res, row, 2)[0]));

	type->of = oid_at(res, row, 3);
	type->relation = oid_at(res, row, 4);
	type->is_not_null = is_true_at(res, row, 5);
	type->array = oid_at(res, row, 6);
}

static void
take_label(struct reading *reading, const PGresult *res, int row)
{
	struct lk_catalog_type *type = type_at(reading, res, row);

	if (type != NULL)
		lk_type_add_label(type, shown_at(&reading->name, res, row,
		    1));
}

static void
take_field(struct reading *reading, const PGresult *res, int row)
{
	struct lk_catalog_type *type = type_at(reading, res, row);

	if (type != NULL)
		lk_type_add_field(type, shown_at(&reading->name, res, row, 1),
		    oid_at(res, row, 2), shown_at(&reading->type_name, res,
		    row, 3));
}

/* ---- models ---- */

static const char *
model_kind(char relkind)
{
	switch (relkind) {
	case 'f':
		return "foreign table";
	case 'm':
		return "materialized view";
	case 'p':
		return "partitioned table";
	case 'v':
		return "view";
	}
	return "table";
}

static void
take_model(struct reading *reading, const PGresult *res, int row)
{
	char relkind = text_at(res, row, 3)[0];
	struct lk_model *model;

	if (!is_utf8_at(res, row, 1) || !is_utf8_at(res, row, 2)) {
		leave_out(reading, model_kind(relkind),
		    shown_at(&reading->name, res, row, 1),
		    shown_at(&reading->type_name, res, row, 2));
		return;
	}
	model = lk_catalog_add_model(reading->catalog, oid_at(res, row, 0),
	    text_at(res, row, 1), text_at(res, row, 2),
	    is_true_at(res, row, 4));
	model->kind = model_kind(relkind);
	model->is_view = relkind != 'r' && relkind != 'p';
	model->has_triggers = is_true_at(res, row, 5);
	model->is_alone = is_true_at(res, row, 6);
	model->has_checks = is_true_at(res, row, 7);
}

static void
take_column(struct reading *reading, const PGresult *res, int row)
{
	struct lk_model *model = model_at(reading, res, row);
	struct lk_column *column;

	if (model == NULL)
		return;
	if (!is_utf8_at(res, row, 1)) {
		leave_out(reading, "column", model->name,
		    shown_at(&reading->name, res, row, 1));
		return;
	}
	column = lk_model_add_column(model, text_at(res, row, 1),
	    atoi(text_at(res, row, 2)));
	column->type = column->base_type = oid_at(res, row, 3);
	column->type_name = lk_xstrdup(shown_at(&reading->type_name, res, row,
	    4));
	column->is_not_null = is_true_at(res, row, 5);
	column->has_default = is_true_at(res, row, 6);
	if (PQgetisnull(res, row, 7) == 0)
		column->default_text = lk_xstrdup(shown_at(
		    &reading->type_name, res, row, 7));
	column->is_generated = is_true_at(res, row, 8);
	column->is_identity = text_at(res, row, 9)[0] != '\0';
	column->is_identity_always = text_at(res, row, 9)[0] == 'a';
}

static void
take_key(struct reading *reading, const PGresult *res, int row)
{
	struct lk_model *model = model_at(reading, res, row);
	int attnums[MAX_KEY];
	size_t n = numbers_at(res, row, 1, attnums, MAX_KEY);
	size_t n_key = oid_at(res, row, 2);	/* without INCLUDE */

	if (model != NULL)
		lk_model_add_key(model, attnums, n < n_key ? n : n_key,
		    is_true_at(res, row, 3));
}

/* What a condition of its goes by counts as an expression in it. */
static void
take_index(struct reading *reading, const PGresult *res, int row)
{
	struct lk_model *model = model_at(reading, res, row);
	int attnums[MAX_KEY + 1];
	size_t n = numbers_at(res, row, 1, attnums, MAX_KEY);
	size_t n_key = oid_at(res, row, 2);

	if (is_true_at(res, row, 4))
		attnums[n++] = 0;
	if (model != NULL)
		lk_model_note_index(model, attnums, n,
		    is_true_at(res, row, 3) ? n_key : 0);
}

static void
take_foreign_key(struct reading *reading, const PGresult *res, int row)
{
	int child[MAX_KEY], parent[MAX_KEY];
	size_t n = numbers_at(res, row, 2, child, MAX_KEY);

	if (n > 0 && n == numbers_at(res, row, 3, parent, MAX_KEY))
		lk_catalog_add_foreign_key(reading->catalog,
		    oid_at(res, row, 0), child, oid_at(res, row, 1), parent,
		    n);
}

static void
take_trigger(struct reading *reading, const PGresult *res, int row)
{
	struct lk_model *model = model_at(reading, res, row);

	if (model != NULL)
		lk_model_add_trigger(model, shown_at(&reading->name, res, row,
		    1));
}

static void
take_nothing(struct reading *reading, const PGresult *res, int row)
{
	(void)reading;
	(void)res;
	(void)row;
}

static void
take_isolation(struct reading *reading, const PGresult *res, int row)
{
	if (strcmp(text_at(res, row, 0), "read committed") == 0)
		lk_catalog_set_read_committed(reading->catalog);
}

/* ---- asking ---- */

/*
 * Who has locked pg_class is not waited for, nor made others wait for.  A
 * default has no variables, so pg_get_expr() is given no table: it would lock
 * that, and wait for whoever is altering it.
 */
static const struct question questions[] = {
	{ "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", 0, NULL },
	{ "SET LOCAL lock_timeout = '1s'", 0, NULL },
	{ "SET LOCAL jit = off", 0, NULL },
	{ LK_SESSION_TAKES_BYTES, 1, take_nothing },
	{ "SHOW default_transaction_isolation", 1, take_isolation },
	{ "SELECT t.oid, pg_catalog.format_type(t.oid, NULL), "
	    "CASE WHEN t.typsubscript" EQ "'pg_catalog."
	    "array_subscript_handler'::pg_catalog.regproc THEN 'a' "
	    "ELSE t.typtype END, "
	    "CASE WHEN t.typsubscript" EQ "'pg_catalog."
	    "array_subscript_handler'::pg_catalog.regproc THEN t.typelem "
	    "WHEN t.typtype" EQ "'d' THEN t.typbasetype "
	    "ELSE COALESCE(r.rngsubtype, m.rngtypid, 0) END, t.typrelid, "
	    "t.typnotnull, t.typarray "
	    "FROM pg_catalog.pg_type t "
	    "LEFT JOIN pg_catalog.pg_range r ON r.rngtypid" EQ "t.oid "
	    "LEFT JOIN pg_catalog.pg_range m ON m.rngmultitypid" EQ "t.oid "
	    "JOIN pg_catalog.pg_namespace n ON n.oid" EQ "t.typnamespace "
	    "WHERE t.typrelid" EQ "0 OR" IS_USERS "ORDER BY t.oid",
	    7, take_type },
	{ "SELECT enumtypid, enumlabel FROM pg_catalog.pg_enum "
	    "ORDER BY enumtypid, enumsortorder", 2, take_label },
	{ "SELECT c.reltype, a.attname, a.atttypid, "
	    "pg_catalog.format_type(a.atttypid, a.atttypmod)" FROM_CLASSES
	    "JOIN pg_catalog.pg_attribute a ON a.attrelid" EQ "c.oid "
	    "WHERE c.relkind" EQ "'c' AND a.attnum OPERATOR(pg_catalog.>) 0 "
	    "AND NOT a.attisdropped ORDER BY c.oid, a.attnum", 4, take_field },
	/* What is done to a table is done to those that inherit from it. */
	{ "WITH RECURSIVE models AS (SELECT c.oid, n.nspname, c.relname, "
	    "c.relkind, c.relchecks" FROM_CLASSES "WHERE" IS_MODEL "), below AS ("
	    "SELECT oid AS top, oid FROM models UNION "
	    "SELECT b.top, i.inhrelid FROM below b "
	    "JOIN pg_catalog.pg_inherits i ON i.inhparent" EQ "b.oid) "
	    "SELECT m.oid, m.nspname, m.relname, m.relkind, "
	    "pg_catalog.pg_table_is_visible(m.oid), m.oid" EQ "ANY ("
	    "SELECT b.top FROM below b "
	    "JOIN pg_catalog.pg_class c ON c.oid" EQ "b.oid "
	    "WHERE c.relrowsecurity OR EXISTS ("
	    "SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid" EQ "c.oid "
	    "AND NOT t.tgisinternal) OR EXISTS ("
	    "SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class" EQ "c.oid "
	    "AND r.rulename" NE "'_RETURN')), m.relkind" EQ "'r' "
	    "AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i "
	    "WHERE i.inhparent" EQ "m.oid OR i.inhrelid" EQ "m.oid), "
	    "m.relchecks" NE "0 FROM models m ORDER BY m.oid", 8, take_model },
	{ "SELECT a.attrelid, a.attname, a.attnum, a.atttypid, "
	    "pg_catalog.format_type(a.atttypid, a.atttypmod), "
	    "a.attnotnull, a.attgenerated" EQ "'' AND "
	    "(a.atthasdef OR a.attidentity" NE "'' "
	    "OR t.typdefault IS NOT NULL), "
	    "CASE WHEN a.attgenerated" EQ "'' THEN "
	    "COALESCE(pg_catalog.pg_get_expr(d.adbin, 0), t.typdefault) END, "
	    "a.attgenerated" NE "'', a.attidentity" FROM_CLASSES
	    "JOIN pg_catalog.pg_attribute a ON a.attrelid" EQ "c.oid "
	    "JOIN pg_catalog.pg_type t ON t.oid" EQ "a.atttypid "
	    "LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid" EQ "a.attrelid "
	    "AND d.adnum" EQ "a.attnum WHERE a.attnum "
	    "OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped AND" IS_MODEL
	    "ORDER BY a.attrelid, a.attnum", 10, take_column },
	/* As ON CONFLICT can name them, and the primary key. */
	{ "SELECT indrelid, indkey, indnkeyatts, indisprimary "
	    "FROM pg_catalog.pg_index WHERE indisunique AND indisvalid "
	    "AND (indimmediate OR indisprimary) AND indpred IS NULL "
	    "AND indexprs IS NULL ORDER BY indrelid, indexrelid",
	    4, take_key },
	{ "SELECT indrelid, indkey, indnkeyatts, indisunique "
	    "AND indpred IS NULL AND indexprs IS NULL, indpred IS NOT NULL "
	    "FROM pg_catalog.pg_index ORDER BY indrelid", 5, take_index },
	/* Those of partitions are their tables' once more. */
	{ "SELECT conrelid, confrelid, "
	    "pg_catalog.array_to_string(conkey, ' '), "
	    "pg_catalog.array_to_string(confkey, ' ') "
	    "FROM pg_catalog.pg_constraint WHERE contype" EQ "'f' "
	    "AND conparentid" EQ "0 ORDER BY conrelid, conname",
	    4, take_foreign_key },
	{ "SELECT tgrelid, tgname FROM pg_catalog.pg_trigger "
	    "WHERE NOT tgisinternal ORDER BY tgrelid, tgname",
	    2, take_trigger },
	{ "COMMIT", 0, NULL },
};

#define N_QUESTIONS	(sizeof(questions) / sizeof(questions[0]))

struct step {
	struct reading	*reading;
	const struct question *question;
};

static LK_ON_WORKER void
keep_error(struct reading *reading, const PGresult *res)
{
	if (PQresultStatus(res) == PGRES_FATAL_ERROR && !reading->error.is_set)
		lk_pgerror_set(&reading->error, res);
}

/* Each with its length, and NULL is no empty text. */
static LK_ON_WORKER void
note_cells(struct reading *reading, const PGresult *res, int row)
{
	int i;

	for (i = 0; i < PQnfields(res); i++)
		reading->hash = lk_hash_bytes(reading->hash +
		    (PQgetisnull(res, row, i) != 0), text_at(res, row, i),
		    (size_t)PQgetlength(res, row, i));
}

static void
on_answer(void *ctx, PGresult **res)
{
	const struct step *step = ctx;
	struct reading *reading = step->reading;
	int row;

	lk_assert_worker();
	keep_error(reading, *res);
	if (PQresultStatus(*res) == PGRES_FATAL_ERROR ||
	    PQresultStatus(*res) == PGRES_PIPELINE_ABORTED)
		return;
	if (PQnfields(*res) != step->question->n_columns)
		reading->is_strange = true;
	/* Two answers are not one that is as long as both. */
	reading->hash += (uint64_t)PQntuples(*res) + 1;
	for (row = 0; row < PQntuples(*res) && !reading->is_strange; row++) {
		note_cells(reading, *res, row);
		step->question->take(reading, *res, row);
	}
}

static void
on_sync(void *ctx, PGresult **res)
{
	struct reading *reading = ctx;

	lk_assert_worker();
	keep_error(reading, *res);
	if (PQresultStatus(*res) == PGRES_PIPELINE_SYNC)
		reading->n_left = 0;
}

static LK_ON_WORKER int
ask_all(struct lk_pipe *pipe, struct reading *reading)
{
	struct step steps[N_QUESTIONS];
	size_t i;

	for (i = 0; i < N_QUESTIONS; i++) {
		steps[i] = (struct step){ reading, &questions[i] };
		lk_pipe_sql(pipe, questions[i].sql, on_answer, &steps[i]);
	}
	lk_pipe_sync(pipe, on_sync, reading);
	return lk_pipe_run(pipe, &reading->n_left);
}

static LK_ON_WORKER void
judge(struct lk_pipe *pipe, struct reading *reading, int rc,
    struct lk_error *error)
{
	if (rc < 0)
		lk_error_move(error, &pipe->error);
	else if (reading->error.is_set)
		lk_error_move(error, &reading->error);
	else if (reading->is_strange)
		lk_pgerror_set_lost(error, "the server does not answer as "
		    "PostgreSQL does");
}

static void
say_more(const struct reading *reading)
{
	if (reading->n_left_out > MAX_SAID)
		lk_buf_printf(reading->said, "%zu more are left out like these"
		    "\n", reading->n_left_out - MAX_SAID);
}

/* It has been read whole. */
static void
fill(struct lk_catalog_read *read, struct reading *reading)
{
	read->hash = reading->hash;
	read->is_unchanged = read->hash == read->known;
	if (read->is_unchanged)
		return;
	say_more(reading);
	lk_catalog_finish_as(reading->catalog, read->models, read->database,
	    reading->said);
	read->catalog = reading->catalog;
	reading->catalog = NULL;
}

void
lk_catalog_read_wait(struct lk_session *session, struct lk_catalog_read *read)
{
	struct reading reading = { .catalog = lk_catalog_new(), .n_left = 1,
	    .said = &read->said };
	struct lk_pipe pipe;

	lk_assert_worker();
	lk_pipe_init(&pipe, session, lk_clock_us() + READ_US);
	pipe.ends_on_stop = true;
	judge(&pipe, &reading, ask_all(&pipe, &reading), &read->error);
	if (!read->error.is_set)
		fill(read, &reading);
	lk_catalog_free(&reading.catalog);
	lk_buf_fini(&reading.name);
	lk_buf_fini(&reading.type_name);
	lk_error_fini(&reading.error);
	lk_pipe_fini(&pipe);
}
