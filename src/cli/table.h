/* Cells of text, laid out in columns.  The first row is the headings. */
#ifndef LK_CLI_TABLE_H
#define LK_CLI_TABLE_H

#include <stddef.h>

#include "base/buf.h"

struct lk_table {
	size_t		 n_columns;	/* at least 1 */
	struct lk_buf	*cells;		/* row after row; heap */
	size_t		 n_cells;
	size_t		 cap_cells;
};

void	lk_table_init(struct lk_table *table, size_t n_columns);
void	lk_table_fini(struct lk_table *table);
/* The next cell; its contents are taken and cell is empty after. */
void	lk_table_add(struct lk_table *table, struct lk_buf *cell);

/* Columns of the terminal that lk_table_print() would use. */
size_t	lk_table_width(const struct lk_table *table);
/* As psql does, columns of numbers to the right. */
void	lk_table_print(const struct lk_table *table, struct lk_buf *out);
/* A numbered block of "heading  cell" lines for each row. */
void	lk_table_print_blocks(const struct lk_table *table,
	    struct lk_buf *out);
/* The lines alone, for a table of one row. */
void	lk_table_print_pairs(const struct lk_table *table, struct lk_buf *out);

#endif
