/*
 * RESP encoder: appends to a buffer, for protocol version 2 or 3.  What RESP2
 * has no type for is sent as Redis does: null as $-1, booleans as :1 and :0,
 * doubles as bulk strings, maps as flat arrays, pushes as arrays.
 */
#ifndef LK_RESP_ENCODE_H
#define LK_RESP_ENCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/format.h"

void	lk_enc_array(struct lk_buf *buf, size_t n);
void	lk_enc_map(struct lk_buf *buf, int proto, size_t n_pairs);
void	lk_enc_push(struct lk_buf *buf, int proto, size_t n);
void	lk_enc_null(struct lk_buf *buf, int proto);
void	lk_enc_bool(struct lk_buf *buf, int proto, bool value);
void	lk_enc_int(struct lk_buf *buf, int64_t value);
/* text is what PostgreSQL prints; NaN and infinities go as bulk strings. */
void	lk_enc_double(struct lk_buf *buf, int proto, const char *text, size_t n);
void	lk_enc_bulk(struct lk_buf *buf, const void *bytes, size_t n);
void	lk_enc_text(struct lk_buf *buf, const char *text);
/* text must hold no CR or LF. */
void	lk_enc_simple(struct lk_buf *buf, const char *text);
/* -KIND SQLSTATE message */
void	lk_enc_error(struct lk_buf *buf, const struct lk_error *error);
/*
 * RESP3 only: a blob error.  Its first line is what lk_enc_error() says; then
 * a line "name: value" for retry and for each field that is set.
 */
void	lk_enc_error_blob(struct lk_buf *buf, const struct lk_error *error);

#endif
