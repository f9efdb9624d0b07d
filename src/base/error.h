/*
 * Errors.  Functions return 0 or a negative -LK_E*.  Text that is meant for a
 * client is written once, where the cause is known, into a struct lk_error of
 * the caller's.
 */
#ifndef LK_BASE_ERROR_H
#define LK_BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum lk_errno {
	LK_E_OK,
	LK_E_AGAIN,	/* not yet: more bytes, or a later call */
	LK_E_NOMEM,	/* an allocation whose size a peer chose */
	LK_E_INVAL,	/* the argument or the bytes are wrong; lk_error says how */
	LK_E_LIMIT,	/* a configured limit was passed */
	LK_E_NOENT,	/* there is nothing of that name */
	LK_E_IO,	/* errno or libpq said so; lk_error has the words */
};

enum lk_error_kind {
#define LK_ERROR(symbol, kind, sqlstate, retry, when) LK_ERR_##symbol,
#include "base/error.def"
#undef LK_ERROR
	LK_ERR__N,
};

enum lk_retry {
	LK_RETRY_NO,
	LK_RETRY_STATEMENT,	/* the same statement may be sent again */
	LK_RETRY_TRANSACTION,	/* all of the transaction must be */
};

/* Optional: NULL where nothing is known. */
enum lk_error_field {
#define LK_FIELD(symbol, name, help) LK_FIELD_##symbol,
#include "base/fields.def"
#undef LK_FIELD
	LK_FIELD__N,
};

struct lk_error {
	bool		 is_set;
	enum lk_error_kind kind;
	enum lk_retry	 retry;
	char		 sqlstate[6];
	char		*message;	/* heap; one line after lk_error_set */
	char		*fields[LK_FIELD__N];	/* heap or NULL */
	/* Of PostgreSQL's own. */
	size_t		 param;		/* of the statement, that it is about, if it
					   has said so; from 1, else 0 */
	bool		 is_inner;	/* it arose in what the statement calls: a
					   function, a trigger */
};

/* Zeroed memory is an empty lk_error too. */
void	lk_error_init(struct lk_error *error);
void	lk_error_fini(struct lk_error *error);

/*
 * Set kind and message, with the kind's SQLSTATE and retry; earlier contents
 * go.  Line ends in the message become blanks: it travels on one line.
 */
void	lk_error_set(struct lk_error *error, enum lk_error_kind kind,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* More in front of the message. */
void	lk_error_prefix(struct lk_error *error, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
void	lk_error_set_sqlstate(struct lk_error *error, const char *sqlstate);
/* Of an error that is set; text may be NULL, which clears the field. */
void	lk_error_set_field(struct lk_error *error, enum lk_error_field field,
	    const char *text);
/* Contents go to dst, whose own are freed; src is empty after. */
void	lk_error_move(struct lk_error *dst, struct lk_error *src);

const char *lk_error_word(enum lk_error_kind kind);	/* "DEADLOCK" */
const char *lk_error_sqlstate(enum lk_error_kind kind);
enum lk_retry lk_error_retry(enum lk_error_kind kind);
const char *lk_error_when(enum lk_error_kind kind);
const char *lk_error_field_name(enum lk_error_field field);
const char *lk_retry_word(enum lk_retry retry);

#endif
