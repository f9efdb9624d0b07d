/*
 * PostgreSQL's text form of arrays, {a,"b c",{d,NULL}}, taken apart.  Pure.
 * Lower bounds ([2:3]={…}) are passed over.
 */
#ifndef LK_DB_ARRAY_H
#define LK_DB_ARRAY_H

#include <stddef.h>

#include "base/buf.h"
#include "base/role.h"

/* What is told of an array, in the order of its text. */
struct lk_array_sink {
	void	(*open)(void *ctx, size_t n);	/* n elements or arrays follow */
	void	(*close)(void *ctx);
	/* data is not NUL-terminated and gone after the call; NULL: a NULL */
	void	(*element)(void *ctx, const char *data, size_t n);
	void	 *ctx;
};

/*
 * Tell sink of the array in text[0..n).  scratch is for elements with escapes.
 * 0, or -LK_E_INVAL when the text is no array, of which sink may then have
 * been told a part.
 */
int	lk_array_walk(const char *text, size_t n, char delim,
	    const struct lk_array_sink *sink, struct lk_buf *scratch)
	    LK_ON_WORKER;

/* One more element: in quotes it may be any text.  The caller closes with }. */
void	lk_array_put(struct lk_buf *array, const char *data, size_t n)
	    LK_ON_WORKER;

/* How deep it nests; 1 for an empty one, 0 when the text is no array. */
unsigned lk_array_dims(const char *text, size_t n) LK_ON_WORKER;

#endif
