/*
 * From a verb's arguments and a catalog's snapshot to one SQL statement.
 *
 * Nothing that a client sends becomes SQL: the statement is made of fixed
 * words, of names as the snapshot has them, quoted, and of placeholders.
 * Values travel beside it as parameters that know their column's type.
 *
 * Pure.
 */
#ifndef LK_ORM_VERB_H
#define LK_ORM_VERB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/format.h"
#include "base/with.h"
#include "orm/catalog.h"
#include "orm/key.h"
#include "orm/ref.h"
#include "resp/request.h"

enum lk_orm_verb {
#define LK_ORM_VERB(symbol, word, is_write, compile, syntax, summary)	\
	LK_ORM_##symbol,
#include "orm/verb.def"
#undef LK_ORM_VERB
	LK_ORM_N_VERBS,
};

/* PostgreSQL's protocol counts parameters in 16 bits. */
#define LK_PLAN_MAX_PARAMS	65535

/* What becomes of a value. */
enum lk_use {
	LK_USE_COMPARED,
	LK_USE_STORED,
	LK_USE_ADDED,		/* with the column's old one it is stored */
};

struct lk_plan_param {
	const char	*data;	/* in the arguments; NULL: SQL NULL */
	size_t		 len;
	uint32_t	 type;	/* oid; bytea's is to travel as binary */
	const struct lk_model *model;	/* the snapshot's: for which column it */
	const struct lk_column *column;	/* is, or NULL */
	uint32_t	 from;	/* 0; else data is a column's name, and the value
				   is what it holds in the row of the unit's verb
				   with this number */
	enum lk_use	 use;
};

struct lk_plan {
	char		*sql;		/* heap */
	struct lk_plan_param *params;	/* heap; as long as the arguments */
	size_t		 n_params;
	enum lk_shape	 shape;
	bool		 is_write;	/* inserts, updates or deletes */
	bool		 has_no_trace;	/* when it is taken back, nothing of it is
					   left: plain tables, without triggers */
	bool		 is_clean;	/* it leaves nothing in its session */
	bool		 is_by_key;	/* reads what belongs to one key, which all of
					   its values together say: GET, LOAD, and
					   FIND and its kin where the condition is a
					   key's columns; or has a fold */
	char		*fold;		/* heap; does many of these UPDATEs, of one
					   row, at once, for struct lk_keyed; NULL:
					   it may not be the same as one by one */
	const struct lk_model *model;	/* whose rows; the snapshot's */
	struct lk_row_lock row;		/* which of them it locks: the primary key's
					   columns have the first values in params
					   that are for them */
	struct lk_with	 with;		/* what else is to be asked for */
};

struct lk_verb_call {
	enum lk_orm_verb verb;
	const struct lk_arg *args;	/* what follows the verb */
	size_t		 n_args;
	bool		 in_tx;
	struct lk_format format;	/* of the reply */
	const char	*null_text;	/* a value that reads so is SQL NULL; NULL:
					   none */
	struct lk_ref_scope refs;	/* what values may refer to */
};

/*
 * Returns
 *   0             *plan_out is the caller's, for lk_plan_fini()
 *   -LK_E_INVAL   the request is wrong: error (SYNTAX) says how
 *   -LK_E_NOENT   it names a model, column, relation or key that this snapshot
 *                 does not know; a newer one may
 *   -LK_E_NOMEM   no memory for a statement of this size: error (OVERLOAD)
 * and leaves *plan_out alone unless it is 0.
 */
int	lk_verb_compile(const struct lk_catalog *catalog,
	    const struct lk_verb_call *call, struct lk_plan *plan_out,
	    struct lk_error *error);
void	lk_plan_fini(struct lk_plan *plan);

/* The server refused the plan's statement: if for a value, say in the error for
 * which column that is. */
void	lk_plan_blame(const struct lk_plan *plan, struct lk_error *error);

/* Whether rows of this form, with what they nest, would be deeper than a reply
 * may be, and if so which of them.  is_list: unless it is one row alone. */
bool	lk_with_is_too_deep(const struct lk_with *with,
	    struct lk_format format, bool is_list, struct lk_buf *why_out);

const char *lk_orm_verb_word(enum lk_orm_verb verb);	/* "FIND" */
const char *lk_orm_verb_syntax(enum lk_orm_verb verb);

#endif
