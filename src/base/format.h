/*
 * The form of one reply, plain data that travels with its request: from the
 * connection that chose it, through core, to the worker that encodes.
 */
#ifndef LK_BASE_FORMAT_H
#define LK_BASE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

/* How rows travel. */
enum lk_rows_form {
	LK_ROWS_MAPS,
	LK_ROWS_TABLE,
	LK_ROWS_JSON,
};

struct lk_format {
	uint8_t		proto;		/* RESP version: 2 or 3 */
	uint8_t		rows;		/* enum lk_rows_form */
	bool		int8_text;	/* int8 as text: the client's numbers end
					   at 2^53 */
};

#endif
