/*
 * What requests and replies share on the wire: lines, numbers, and how a bad
 * byte is shown in an error.  For this layer's own use.
 */
#ifndef LK_RESP_WIRE_H
#define LK_RESP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Bytes of a line with a count or an integer at most, its type included. */
#define LK_WIRE_MAX_INT		32
/* As above with a double: 1e-308 written without exponent takes 330. */
#define LK_WIRE_MAX_DOUBLE	512

/*
 * Find the end of the line that begins at bytes[pos], looking no further than
 * bytes[end - 1].  *scanned is where an earlier search stopped, and is moved.
 *   0             *len_out is its length without CRLF
 *   -LK_E_AGAIN   not within the n bytes there are
 *   -LK_E_LIMIT   not before end; error is left alone
 *   -LK_E_INVAL   it ends with LF alone: error (PROTO) says so
 */
int	lk_wire_find_line(const char *bytes, size_t n, size_t pos, size_t end,
	    size_t *scanned, size_t *len_out, struct lk_error *error);

/* The only spelling of a number: no plus, blanks, leading zeros or "-0". */
bool	lk_wire_parse_int(const char *text, size_t n, int64_t *value_out);
/* Digits with sign, point and exponent where wanted; inf, nan. */
bool	lk_wire_is_double(const char *text, size_t n);

#define LK_WIRE_SHOWN_BYTES	12
/* 'x', or byte 0x0d where c is not printable.  Returns shown. */
const char *lk_wire_show_byte(char c, char shown[LK_WIRE_SHOWN_BYTES]);

#endif
