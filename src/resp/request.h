/*
 * Request decoder: pure and incremental, with limits and no I/O.  A request is
 * an array of bulk strings (also :int, ,double, #t/#f, _ and $-1 as elements)
 * or an inline line with Redis's quoting.
 *
 * The caller keeps the bytes; the decoder remembers how far it has looked, so
 * that a large request arriving in pieces is not read again from its start.
 */
#ifndef LK_RESP_REQUEST_H
#define LK_RESP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* An element.  Points into the bytes given, or into the decoder's own memory. */
struct lk_arg {
	const char	*data;		/* NULL for SQL NULL */
	size_t		 len;
};

/* Whether it is this word, in upper or lower case; arg may be NULL. */
bool	lk_arg_is(const struct lk_arg *arg, const char *word);

/* Elements of one request at most; PostgreSQL takes 65,535 parameters. */
#define LK_REQUEST_MAX_ARGS	(65535 + 64)
/* An inline line at most, as in Redis. */
#define LK_REQUEST_MAX_INLINE	(64 * 1024)

struct lk_request_decoder;

/* max_bytes bounds one request, its framing included. */
struct lk_request_decoder *lk_request_decoder_new(size_t max_bytes);
/* Between two requests: the bound of those to come. */
void	lk_request_decoder_set_max(struct lk_request_decoder *decoder,
	    size_t max_bytes);
void	lk_request_decoder_free(struct lk_request_decoder **decoder);

/*
 * Decode the request that begins at bytes[0].
 *   0             *args_out, *n_args_out are it and *used_out bytes are done;
 *                 n_args 0 is an empty line or array, to be ignored.  Valid
 *                 until the next call or until the bytes go.
 *   -LK_E_AGAIN   not whole yet.  Call again with the same start and more.
 *   -LK_E_INVAL   no RESP: error (PROTO) says what.  Nothing after is usable.
 *   -LK_E_LIMIT   larger than max_bytes: error (PROTO) names limits.request.
 *   -LK_E_NOMEM   no memory for it: error (OVERLOAD).  Nor is what follows.
 */
int	lk_request_decode(struct lk_request_decoder *decoder, const char *bytes,
	    size_t n, const struct lk_arg **args_out, size_t *n_args_out,
	    size_t *used_out, struct lk_error *error);

#endif
