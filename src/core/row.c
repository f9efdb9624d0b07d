#include "core/row.h"

#include <string.h>

#include "base/die.h"
#include "resp/encode.h"

struct lk_key {
	const char	*list, *name;
};

static const struct lk_key keys[] = {
#define LK_SHOW(list, column, help) { #list, #column },
#include "core/show.def"
#undef LK_SHOW
#define LK_REPLY(list, key, help) { list, key },
#include "core/replies.def"
#undef LK_REPLY
};

#define N_KEYS	(sizeof(keys) / sizeof(keys[0]))

size_t
lk_row_expect(struct lk_row *row, const char *list)
{
	size_t i = 0;

	while (strcmp(keys[i].list, list) != 0)
		i++;
	row->next = &keys[i];
	while (i < N_KEYS && strcmp(keys[i].list, list) == 0)
		i++;
	return row->n_left = (size_t)(&keys[i] - row->next);
}

void
lk_row_begin(struct lk_row *row, const char *list)
{
	lk_enc_map(row->out, row->proto, lk_row_expect(row, list));
}

void
lk_row_end(const struct lk_row *row)
{
	lk_assert(row->n_left == 0);
}

void
lk_row_key(struct lk_row *row)
{
	lk_assert(row->n_left > 0);
	lk_enc_text(row->out, row->next->name);
	row->next++;
	row->n_left--;
}

void
lk_row_int(struct lk_row *row, uint64_t value)
{
	lk_row_key(row);
	lk_enc_int(row->out, (int64_t)value);
}

void
lk_row_bool(struct lk_row *row, int value)
{
	lk_row_key(row);
	lk_enc_bool(row->out, row->proto, value != 0);
}

void
lk_row_null(struct lk_row *row)
{
	lk_row_key(row);
	lk_enc_null(row->out, row->proto);
}

void
lk_row_text(struct lk_row *row, const char *text)
{
	lk_row_key(row);
	if (text != NULL)
		lk_enc_text(row->out, text);
	else
		lk_enc_null(row->out, row->proto);
}

void
lk_row_words(struct lk_row *row, struct lk_buf *words)
{
	lk_row_key(row);
	lk_enc_bulk(row->out, words->data, words->len);
	lk_buf_fini(words);
}
