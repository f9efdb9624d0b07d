/*
 * The reply decoder, and the frame walker that clients ask before it: both say
 * the same whatever pieces a reply comes in, they agree where it ends, and
 * what is encoded again reads as before.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "client/frame.h"
#include "fuzz.h"
#include "resp/encode.h"
#include "resp/value.h"

/* ---- encoding again ---- */

static void	put_value(struct lk_buf *out, int proto,
		    const struct lk_value *value);

static void
put_items(struct lk_buf *out, int proto, const struct lk_value *value)
{
	size_t i;

	if (value->type == LK_VALUE_MAP)
		lk_enc_map(out, proto, value->n_items / 2);
	else if (value->type == LK_VALUE_PUSH)
		lk_enc_push(out, proto, value->n_items);
	else
		lk_enc_array(out, value->n_items);
	for (i = 0; i < value->n_items; i++)
		put_value(out, proto, &value->items[i]);
}

/* The encoder has none for text with a CR in it, which no daemon sends. */
static void
put_simple(struct lk_buf *out, const struct lk_value *value)
{
	if (memchr(value->text, '\r', value->n_text) != NULL ||
	    memchr(value->text, '\0', value->n_text) != NULL)
		lk_enc_bulk(out, value->text, value->n_text);
	else
		lk_enc_simple(out, value->text);
}

static void
put_value(struct lk_buf *out, int proto, const struct lk_value *value)
{
	switch (value->type) {
	case LK_VALUE_NULL:
		lk_enc_null(out, proto);
		break;
	case LK_VALUE_BOOL:
		lk_enc_bool(out, proto, value->integer != 0);
		break;
	case LK_VALUE_INT:
		lk_enc_int(out, value->integer);
		break;
	case LK_VALUE_DOUBLE:
		lk_enc_double(out, proto, value->text, value->n_text);
		break;
	case LK_VALUE_SIMPLE:
		put_simple(out, value);
		break;
	case LK_VALUE_BULK:
	case LK_VALUE_ERROR:	/* made from a struct lk_error, not from text */
		lk_enc_bulk(out, value->text, value->n_text);
		break;
	case LK_VALUE_ARRAY:
	case LK_VALUE_MAP:
	case LK_VALUE_PUSH:
		put_items(out, proto, value);
		break;
	}
}

static void
check_encoding(const struct lk_value *value, int proto)
{
	struct lk_buf once = LK_BUF_INIT, again = LK_BUF_INIT;
	struct lk_error error = { 0 };
	struct lk_value copy;
	size_t used;

	put_value(&once, proto, value);
	lk_assert(lk_value_decode(once.data, once.len, &copy, &used,
	    &error) == 0);
	lk_assert(used == once.len);
	put_value(&again, proto, &copy);
	lk_assert(again.len == once.len);
	lk_assert(memcmp(again.data, once.data, once.len) == 0);
	lk_value_fini(&copy);
	lk_buf_fini(&once);
	lk_buf_fini(&again);
}

/* ---- decoding ---- */

/* What decoding a prefix gave. */
struct outcome {
	int		 rc;
	size_t		 used;
	struct lk_error	 error;
};

static void
decode(const char *bytes, size_t n, struct outcome *out)
{
	struct lk_value value;

	*out = (struct outcome){ 0 };
	out->rc = lk_value_decode(bytes, n, &value, &out->used, &out->error);
	lk_assert(out->error.is_set == (out->rc == -LK_E_INVAL));
	if (out->rc == 0) {
		lk_assert(out->used > 0 && out->used <= n);
		check_encoding(&value, 2);
		check_encoding(&value, 3);
	}
	lk_value_fini(&value);
}

/* What was said of a prefix is said of all that begins with it. */
static void
check_prefix(const struct outcome *part, const struct outcome *all)
{
	if (part->rc == -LK_E_AGAIN)
		return;
	lk_assert(part->rc == all->rc);
	lk_assert(part->used == all->used);
	if (part->error.is_set)
		lk_assert(strcmp(part->error.message,
		    all->error.message) == 0);
}

static void
check_frame(const struct lk_frame *frame, bool is_whole,
    const struct outcome *part, const struct outcome *all)
{
	if (part->rc == 0)
		lk_assert(is_whole && frame->at == part->used);
	/* Whole, but no value: then nothing behind it makes it one. */
	if (part->rc == -LK_E_AGAIN && is_whole)
		lk_assert(all->rc != 0);
}

/* bytes grow by one at a time, in memory of just their size. */
static void
check_all_prefixes(const uint8_t *bytes, size_t n, const struct outcome *all)
{
	struct outcome part;
	struct lk_frame frame;
	bool is_whole = false;
	char *copy;
	size_t i;

	lk_frame_init(&frame);
	for (i = 1; i <= n && !is_whole; i++) {
		copy = lk_xmalloc(i);
		memcpy(copy, bytes, i);
		decode(copy, i, &part);
		check_prefix(&part, all);
		is_whole = lk_frame_is_whole(&frame, copy, i);
		check_frame(&frame, is_whole, &part, all);
		lk_error_fini(&part.error);
		free(copy);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct lk_frame frame;
	struct outcome all;
	bool is_whole;

	if (n > LK_FUZZ_MAX_BYTES)
		return 0;
	decode((const char *)bytes, n, &all);
	lk_frame_init(&frame);
	is_whole = lk_frame_is_whole(&frame, (const char *)bytes, n);
	check_frame(&frame, is_whole, &all, &all);
	check_all_prefixes(bytes, n, &all);
	lk_error_fini(&all.error);
	return 0;
}
