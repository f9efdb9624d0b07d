/*
 * Maps in replies, key by key: each list of rows is a table of keys in a .def
 * file, and a map that gets too few or too many of them, or out of their order,
 * is a broken invariant.
 */
#ifndef LK_CORE_ROW_H
#define LK_CORE_ROW_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

struct lk_client;
struct lk_core;
struct lk_key;

struct lk_row {
	struct lk_buf	*out;
	int		 proto;		/* RESP version */
	const struct lk_key *next;	/* of the keys to come */
	size_t		 n_left;
	const struct lk_client *viewer;	/* who is to see it */
	struct lk_core	*core;
};

/* Only to count on; returns how many keys the list has. */
size_t	lk_row_expect(struct lk_row *row, const char *list);
/* A map of the list's. */
void	lk_row_begin(struct lk_row *row, const char *list);
/* All keys have come. */
void	lk_row_end(const struct lk_row *row);
/* The next key; its value is the caller's to encode. */
void	lk_row_key(struct lk_row *row);
/* The next key and its value. */
void	lk_row_int(struct lk_row *row, uint64_t value);
void	lk_row_bool(struct lk_row *row, int value);
void	lk_row_null(struct lk_row *row);
/* NULL is null. */
void	lk_row_text(struct lk_row *row, const char *text);
/* Whose contents go. */
void	lk_row_words(struct lk_row *row, struct lk_buf *words);

#endif
