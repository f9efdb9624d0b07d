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

/* Replies nest so deep at most: ready clients stop at 7 to 9. */
#define LK_ROWS_MAX_DEPTH	7
/* So may the text of a row: the strictest readers of JSON stop at 64. */
#define LK_JSON_MAX_DEPTH	32

/* Levels from what holds a row's cells up to what stands for all its rows: of
 * a list, or of a row that stands alone. */
static inline unsigned
lk_rows_levels(enum lk_rows_form form, bool is_list)
{
	return form == LK_ROWS_TABLE ? 3 : is_list ? 2 : 1;
}

/* What the reply to a statement is made of. */
enum lk_shape {
	LK_SHAPE_ANY,	/* its rows, or the command's tag where it has none */
	LK_SHAPE_ROWS,
	LK_SHAPE_FETCH,	/* the same, of a cursor: what was read cannot be again */
	LK_SHAPE_ROW,	/* the first one, or null where there is none */
	LK_SHAPE_ONE,	/* exactly one row, else UNMET */
	LK_SHAPE_INT,	/* the one row's one column, an int8 */
	LK_SHAPE_BOOL,	/* likewise, a bool */
	LK_SHAPE_COUNT,	/* rows affected, by the command's tag */
};

struct lk_format {
	uint8_t		proto;		/* RESP version: 2 or 3 */
	uint8_t		rows;		/* enum lk_rows_form */
	bool		int8_text;	/* int8 as text: the client's numbers end
					   at 2^53 */
	uint8_t		depth;		/* arrays that the reply stands in */
};

#endif
