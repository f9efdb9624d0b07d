/*
 * The parts of the verbs' compiler (orm/verb.h), to each other.  Functions
 * that return an int give 0, or -LK_E* with the error set.
 */
#ifndef LK_ORM_COMPILE_H
#define LK_ORM_COMPILE_H

#include "base/buf.h"
#include "orm/verb.h"

/* A condition's ( and NOT in each other; each is a function's call. */
#define LK_COMPILE_MAX_DEPTH	100
/* Tables that one statement joins to the model's own, or looks into. */
#define LK_COMPILE_MAX_JOINS	32
/* Columns of a key that a condition is known to be. */
#define LK_COMPILE_MAX_EQUALS	8
/* Statements beside the verb's own, for WITH. */
#define LK_COMPILE_MAX_LOADS	32

/* Types that the verbs treat by rules of their own. */
enum {
	LK_OID_BOOL = 16,
	LK_OID_BYTEA = 17,
	LK_OID_NAME = 19,
	LK_OID_INT8 = 20,
	LK_OID_INT2 = 21,
	LK_OID_INT4 = 23,
	LK_OID_TEXT = 25,
	LK_OID_OID = 26,
	LK_OID_JSON = 114,
	LK_OID_FLOAT4 = 700,
	LK_OID_FLOAT8 = 701,
	LK_OID_BPCHAR = 1042,
	LK_OID_VARCHAR = 1043,
	LK_OID_DATE = 1082,
	LK_OID_TIME = 1083,
	LK_OID_TIMESTAMP = 1114,
	LK_OID_TIMESTAMPTZ = 1184,
	LK_OID_INTERVAL = 1186,
	LK_OID_TIMETZ = 1266,
	LK_OID_NUMERIC = 1700,
	LK_OID_UUID = 2950,
	LK_OID_JSONB = 3802,
};

/* Text that somebody else keeps. */
struct lk_span {
	const char	*at;
	size_t		 n;
};

/* A row to which another leads: its alias is t and its index plus 1. */
struct lk_join {
	const struct lk_relation *relation;
	size_t		 parent;	/* 0: t; else its index plus 1 */
};

struct lk_node;

struct lk_compile {
	const struct lk_catalog *catalog;
	enum lk_orm_verb verb;
	const struct lk_arg *args;
	size_t		 n_args;
	size_t		 at;		/* the next argument's index */
	bool		 in_tx;
	struct lk_format format;
	bool		 can_join;	/* a SELECT, whose FROM can */
	const char	*null_text;	/* or NULL: see struct lk_verb_call */
	const struct lk_ref_scope *refs;
	const struct lk_model *model;	/* of the rows that are t */
	const struct lk_model *source, *through; /* LOAD's, on the way to t */
	struct lk_join	 joins[LK_COMPILE_MAX_JOINS];
	size_t		 n_joins;	/* or rows looked up */
	size_t		 equals[LK_COMPILE_MAX_EQUALS];	/* WHERE: t's columns in
					   tests of the kind a = value, */
	size_t		 n_equals;
	bool		 has_others;	/* and whether there is anything else than
					   these with AND between them */
	bool		 is_by_key;
	struct lk_buf	 fold;
	struct lk_buf	 params;	/* of struct lk_plan_param */
	size_t		 n_params;
	struct lk_buf	 sql;
	struct lk_node	*nodes;		/* of WITH's tree; heap, or NULL */
	size_t		 n_nodes;
	struct lk_with	 with;
	enum lk_shape	 shape;
	struct lk_row_lock row;
	struct lk_error	*error;
};

/* ---- word.c: the arguments, one by one ---- */

struct lk_shown {
	char		 text[64];
};

/* A client's text for an error's: quoted, short, without control bytes. */
const char *lk_word_show(struct lk_shown *shown, const char *text, size_t n);

/* Whether it is this word, in upper or lower case. */
bool	lk_span_is(struct lk_span span, const char *word);

/* The i-th argument from here on, or NULL behind the last. */
const struct lk_arg *lk_word_peek(const struct lk_compile *c, size_t i);
/* The next one where a value stands: its data is NULL for SQL NULL. */
const struct lk_arg *lk_word_value(const struct lk_compile *c);
/* Whether the next one is this word, which then is done with. */
bool	lk_word_take(struct lk_compile *c, const char *word);
/* The next one: a number of at most max. */
int	lk_word_number(struct lk_compile *c, const char *what, uint64_t max,
	    uint64_t *number_out);
/* SYNTAX about the next argument: what should be in its place. */
int	lk_expected(struct lk_compile *c, const char *what);
/* SYNTAX about the request; both errors end with the verb's syntax. */
int	lk_refuse(struct lk_compile *c, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* The next one is a model's name. */
int	lk_word_model(struct lk_compile *c, const struct lk_model **model_out);
/*
 * Cut from *rest the part before the first of the stops that is in no quotes,
 * and leave in *rest what follows the stop.  False: nothing was left.
 */
bool	lk_span_cut(struct lk_span *rest, char stop, struct lk_span *part_out);
/* The name as meant: without quotes when it is in such.  False: not whole. */
bool	lk_span_name(struct lk_span span, struct lk_buf *name_out);

/* ---- value.c: what becomes parameters ---- */

/* What a value is compared with or stored in. */
struct lk_target {
	const struct lk_model *model;	/* NULL: no column's value */
	const struct lk_column *column;
	uint32_t	 type;		/* the parameter's */
	uint32_t	 check;		/* what its text must be: an oid */
	enum lk_use	 use;
};

/* One more parameter, without a look; its number in *number_out. */
int	lk_param_add(struct lk_compile *c, const struct lk_target *target,
	    const struct lk_arg *arg, size_t *number_out);
/* The same with a look: whether it is one for target. */
int	lk_value_add(struct lk_compile *c, const struct lk_target *target,
	    const struct lk_arg *arg, size_t *number_out);
/* The same of a value that is not NULL, without words for why not. */
bool	lk_value_fits(uint32_t type, const struct lk_arg *arg);
/* The next argument, whatever it is, is a value for target. */
int	lk_value_take(struct lk_compile *c, const struct lk_target *target,
	    size_t *number_out);
/* For comparing with the column: a domain's checks are not asked. */
void	lk_target_compare(struct lk_target *target,
	    const struct lk_model *model, const struct lk_column *column);
/* For storing in it. */
void	lk_target_store(struct lk_target *target,
	    const struct lk_model *model, const struct lk_column *column);

/* ---- quote.c: names of the snapshot in SQL ---- */

void	lk_quote(struct lk_buf *out, const char *name);
void	lk_quote_model(struct lk_buf *out, const struct lk_model *model);
/* An alias that is no t: the row that LOAD begins at, and the join table's. */
#define LK_ALIAS_SOURCE		((size_t)-1)
#define LK_ALIAS_THROUGH	((size_t)-2)

/* 0 is t, 1 is t1. */
void	lk_quote_alias(struct lk_buf *out, size_t alias);
void	lk_quote_column(struct lk_buf *out, size_t alias,
	    const struct lk_column *column);
/* "schema"."table" AS t */
void	lk_quote_table(struct lk_buf *out, const struct lk_model *model,
	    size_t alias);
/* All of the model's, as t's: a SELECT's list. */
void	lk_quote_columns(struct lk_buf *out, const struct lk_model *model);
void	lk_quote_param(struct lk_buf *out, size_t number);
/* SQL that was made here, with other things around each parameter's number than
 * the $ before it. */
void	lk_quote_params_as(struct lk_buf *out, const char *sql,
	    const char *before, const char *behind);

/* ---- cast.c: what may stand behind :: ---- */

/* The type's oid; 0: none that is known. */
uint32_t lk_cast_find(struct lk_span word);
/* As SQL has it: of one that was found. */
const char *lk_cast_sql(uint32_t type);

/* ---- path.c: columns, also of rows to which one leads, and JSON ---- */

struct lk_path {
	struct lk_buf	 sql;		/* an expression that binds tightly */
	struct lk_target target;	/* of what is compared with it */
	bool		 is_nullable;
	struct lk_buf	 keys;		/* into JSON: "$1, $2" */
	bool		 is_text;	/* behind ->> */
	bool		 is_cast;
};

/* Zeroed memory is an empty path. */
void	lk_path_fini(struct lk_path *path);
/* From a part of the next argument, which remains the next. */
int	lk_path_parse(struct lk_compile *c, struct lk_span text,
	    struct lk_path *path);
/* From the next argument and the -> and :: that follow it. */
int	lk_path_take(struct lk_compile *c, struct lk_path *path);
/* One relation's name, in quotes or without, of any kind. */
int	lk_path_relation(struct lk_compile *c, const struct lk_model *model,
	    struct lk_span text, const struct lk_relation **relation_out);
/* Whether there is one row at most to which it leads. */
bool	lk_relation_is_one(const struct lk_relation *relation);
/* A column of the model itself, by its name in quotes or without. */
int	lk_path_column(struct lk_compile *c, struct lk_span text,
	    const struct lk_column **column_out);
/* " LEFT JOIN …" for all rows that paths lead to. */
void	lk_path_put_joins(const struct lk_compile *c, struct lk_buf *out);
/* Columns of one row. */
struct lk_end {
	const struct lk_model *model;
	size_t		 alias;
	const size_t	*columns;	/* indices */
};

/* "t1.a = t.b AND …" */
void	lk_path_put_equal(struct lk_buf *out, const struct lk_end *left,
	    const struct lk_end *right, size_t n);
/* " JOIN …" behind t for the rows of a join table, where the relation to t has
 * one; and what then equals the columns that the relation starts from. */
struct lk_end lk_path_put_through(const struct lk_relation *relation,
	    struct lk_buf *out);

/* ---- cond.c ---- */

struct lk_cond {
	struct lk_buf	 sql;
	bool		 is_or;		/* it wants ( ) beside an AND */
};

/* Zeroed memory is an empty condition. */
void	lk_cond_fini(struct lk_cond *cond);
/* Up to where no AND or OR goes on. */
int	lk_cond_take(struct lk_compile *c, struct lk_cond *cond);
/* is_part: of several with AND between them. */
void	lk_cond_put(const struct lk_cond *cond, bool is_part,
	    struct lk_buf *out);
/* The next arguments are the primary key's values: "t.a = $1 AND …". */
int	lk_key_take(struct lk_compile *c, const struct lk_model *model,
	    size_t alias, struct lk_buf *out);

/* ---- page.c: ORDER and AFTER ---- */

/* Of ORDER; the key's columns come on top. */
#define LK_PAGE_MAX_TERMS	64

struct lk_page {
	struct lk_path	*terms;		/* heap */
	bool		*is_descending;	/* heap; per term */
	size_t		 n_terms;
	bool		 is_tied;	/* the key's columns are in */
	struct lk_buf	 after;		/* the condition */
};

void	lk_page_fini(struct lk_page *page);
/* ORDER's list is the next argument. */
int	lk_page_order(struct lk_compile *c, struct lk_page *page);
/* AFTER's values are the next arguments. */
int	lk_page_after(struct lk_compile *c, struct lk_page *page);
/* One more term: a column of the rows t. */
int	lk_page_add(struct lk_compile *c, struct lk_page *page,
	    const struct lk_model *model, const struct lk_column *column,
	    bool is_descending);
/* The key's columns that are not among the terms become so, to break ties. */
void	lk_page_tie(struct lk_page *page, const struct lk_model *model);
void	lk_page_put_order(const struct lk_page *page, struct lk_buf *out);

/* ---- with.c: WITH, and the columns that it goes by ---- */

/* What a SELECT has of t. */
struct lk_fields {
	size_t		*columns;	/* indices into the model's; heap */
	size_t		 n, cap;
};

/* A relation in WITH's tree. */
struct lk_node {
	const struct lk_relation *relation;
	size_t		 parent;	/* its index plus 1; 0: the verb's rows */
	bool		 is_said;	/* not only on the way to another */
	int64_t		 limit;		/* as struct lk_load has it */
	struct lk_page	 page;
};

void	lk_fields_fini(struct lk_fields *fields);
void	lk_fields_add(struct lk_fields *fields, size_t column);
/* Where it is among them, or is from now on. */
size_t	lk_fields_find(struct lk_fields *fields, size_t column);

/* WITH's list is the next argument. */
int	lk_with_take(struct lk_compile *c);
/*
 * Once c->shape is known: c->with for rows of these columns, to which those
 * are added that relations go by.
 */
int	lk_with_finish(struct lk_compile *c, struct lk_fields *fields);
/* Let go of all that these two have made. */
void	lk_with_forget(struct lk_compile *c);

/* ---- assign.c ---- */

enum lk_assign_op {
	LK_ASSIGN_SET,
	LK_ASSIGN_ADD,
	LK_ASSIGN_SUBTRACT,
	LK_ASSIGN_APPEND,
	LK_ASSIGN_NULL,
	LK_ASSIGN_DEFAULT,
};

struct lk_assign {
	size_t		 column;	/* index into the model's */
	enum lk_assign_op op;
	size_t		 param;		/* unless NULL or DEFAULT */
};

struct lk_assigns {
	struct lk_assign *list;		/* heap */
	size_t		 n;
	bool		*is_assigned;	/* heap; per column of the model */
};

/* Zeroed memory is an empty list. */
void	lk_assigns_fini(struct lk_assigns *assigns);
/* The next argument is a column that has not been one before. */
int	lk_assign_column(struct lk_compile *c, struct lk_assigns *assigns,
	    size_t *column_out);
/* Up to the word stop, which remains the next, or to the end. */
int	lk_assigns_take(struct lk_compile *c, struct lk_assigns *assigns,
	    const char *stop);
/* What a new row has. */
void	lk_assign_put_value(const struct lk_assign *assign, struct lk_buf *out);
/* What a row that is there has from then on: "t.a + $1". */
void	lk_assign_put_change(const struct lk_assign *assign,
	    const struct lk_model *model, struct lk_buf *out);
/* " + " where the value comes on top of the old one; else NULL. */
const char *lk_assign_sign(const struct lk_assign *assign);

/* ---- fold.c ---- */

/*
 * The statement that is being compiled is an UPDATE of the row with this key, on
 * this condition if c->row.is_conditional: c->fold, where many of them can be one.
 */
void	lk_fold_put(struct lk_compile *c, const struct lk_assigns *assigns,
	    struct lk_buf *key, const struct lk_cond *condition);

/* ---- write.c: parts that upsert.c has, too ---- */

/* "INSERT INTO table AS t", then its columns and values. */
void	lk_write_put_insert(struct lk_compile *c);
void	lk_write_put_assigned(struct lk_compile *c,
	    const struct lk_assigns *assigns);
void	lk_write_put_returning(struct lk_compile *c);
/* One more column of a row that is there is written: how that is locked. */
void	lk_write_note_set(struct lk_row_lock *row, const struct lk_model *model,
	    const struct lk_assign *assign);

/* ---- select.c, write.c, upsert.c: a verb's statement into c->sql ---- */

int	lk_compile_get(struct lk_compile *c);
int	lk_compile_find(struct lk_compile *c);	/* ONE, FIRST, too */
int	lk_compile_count(struct lk_compile *c);	/* EXISTS, too */
int	lk_compile_load(struct lk_compile *c);

int	lk_compile_create(struct lk_compile *c);
int	lk_compile_createmany(struct lk_compile *c);
int	lk_compile_update(struct lk_compile *c);
int	lk_compile_upsert(struct lk_compile *c);
int	lk_compile_delete(struct lk_compile *c);
int	lk_compile_updateall(struct lk_compile *c);
int	lk_compile_deleteall(struct lk_compile *c);

/* ---- habit.c: SQL from habit ---- */

/* After a request was refused: where it is SQL's rather than a verb's, the error
 * says what to type instead. */
void	lk_habit_explain(struct lk_compile *c);
/* About the next argument, which does not fit: what to type, or NULL. */
const char *lk_habit_advise(const struct lk_compile *c);
/* About a value that is none for its column, likewise. */
const char *lk_habit_advise_value(const struct lk_arg *arg,
	    const struct lk_target *target);
/* Whether the next argument begins with a column's or a relation's name, maybe
 * with more behind, as a condition does. */
bool	lk_habit_is_path(const struct lk_compile *c);
/* Whether a name that is unknown is a condition or an assignment in one
 * element, as "id=1". */
bool	lk_habit_is_glued(const struct lk_model *model, struct lk_span name);

#endif
