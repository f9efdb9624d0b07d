#include "client/unit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "resp/encode.h"

void
lk_unit_put_words(struct lk_buf *buf, size_t n_words, const char *const *words,
    const size_t *lens)
{
	size_t i;

	for (i = 0; i < n_words; i++) {
		if (words[i] == NULL)
			lk_enc_null(buf, 2);
		else
			lk_enc_bulk(buf, words[i],
			    lens != NULL ? lens[i] : strlen(words[i]));
	}
}

void
lk_unit_put_signed(struct lk_buf *buf, char sign, const char *text)
{
	size_t n = strlen(text);

	lk_buf_printf(buf, "$%zu\r\n%c", n + 1, sign);
	lk_buf_append(buf, text, n);
	lk_buf_append(buf, "\r\n", 2);
}

size_t
lk_unit_put_form(struct lk_buf *buf, const char *rows, unsigned flags)
{
	if (rows != NULL)
		lk_unit_put_signed(buf, '=', rows);
	if (flags & LK_REPLAY)
		lk_unit_put_signed(buf, '!', "");
	return (rows != NULL) + !!(flags & LK_REPLAY);
}

bool
lk_unit_read_envelope(struct lk_envelope *to,
    const struct lk_envelope *envelope)
{
	*to = (struct lk_envelope)LK_ENVELOPE_INIT;
	if (envelope == NULL)
		return true;
	if (envelope->size < sizeof(envelope->size) ||
	    envelope->size > sizeof(*to))
		return false;
	memcpy(to, envelope, envelope->size);
	return true;
}

/* What was appended since the last part is one. */
static int
end_part(struct lk_unit *unit, size_t n_elements)
{
	struct lk_unit_part *parts;
	size_t cap = unit->cap_parts != 0 ? 2 * unit->cap_parts : 8;

	if (unit->n_parts == unit->cap_parts) {
		parts = realloc(unit->parts, cap * sizeof(*parts));
		if (parts == NULL)
			unit->bytes.broken = true;
		if (unit->bytes.broken)
			goto broken;
		unit->parts = parts;
		unit->cap_parts = cap;
	}
	if (unit->bytes.broken)
		goto broken;
	unit->parts[unit->n_parts].n_elements = n_elements;
	unit->parts[unit->n_parts++].end = unit->bytes.len;
	return 0;
broken:
	errno = ENOMEM;
	return -1;
}

struct lk_unit *
lk_unit_new(size_t n_words, const char *const *words, const size_t *lens)
{
	static const char *const multi[] = { "MULTI" };
	struct lk_unit *unit = calloc(1, sizeof(*unit));

	if (unit == NULL)
		return NULL;
	lk_unit_put_words(&unit->bytes, 1, multi, NULL);
	lk_unit_put_words(&unit->bytes, n_words, words, lens);
	if (end_part(unit, 1 + n_words) < 0)
		lk_unit_free(&unit);
	return unit;
}

void
lk_unit_free(struct lk_unit **unit)
{
	if (*unit == NULL)
		return;
	lk_buf_fini(&(*unit)->bytes);
	free((*unit)->parts);
	free(*unit);
	*unit = NULL;
}

int
lk_unit_add(struct lk_unit *unit, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words, const size_t *lens)
{
	struct lk_envelope whole;
	size_t n;

	if (n_words == 0 || !lk_unit_read_envelope(&whole, envelope)) {
		errno = EINVAL;
		return -1;
	}
	n = lk_unit_put_form(&unit->bytes, whole.rows, whole.flags);
	lk_unit_put_words(&unit->bytes, n_words, words, lens);
	return end_part(unit, n + n_words);
}
