#include "base/error.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"

static const struct {
	const char	*word;
	const char	*sqlstate;
	enum lk_retry	 retry;
	const char	*when;
} kinds[LK_ERR__N] = {
#define LK_ERROR(symbol, kind, sqlstate, retry, when)			\
	[LK_ERR_##symbol] = { kind, sqlstate, LK_RETRY_##retry, when },
#include "base/error.def"
#undef LK_ERROR
};

static const char *const field_names[LK_FIELD__N] = {
#define LK_FIELD(symbol, name, help) [LK_FIELD_##symbol] = name,
#include "base/fields.def"
#undef LK_FIELD
};

void
lk_error_init(struct lk_error *error)
{
	memset(error, 0, sizeof(*error));
}

void
lk_error_fini(struct lk_error *error)
{
	int i;

	if (!error->is_set)
		return;
	free(error->message);
	for (i = 0; i < LK_FIELD__N; i++)
		free(error->fields[i]);
	lk_error_init(error);
}

/* The text becomes the message. */
static void
take_message(struct lk_error *error, struct lk_buf *text)
{
	char *p;

	free(error->message);
	error->message = lk_xstrdup(lk_buf_cstr(text));
	for (p = error->message; *p != '\0'; p++) {
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	}
	lk_buf_fini(text);
}

void
lk_error_set(struct lk_error *error, enum lk_error_kind kind, const char *fmt,
    ...)
{
	struct lk_buf text = LK_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	lk_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	lk_error_fini(error);
	error->is_set = true;
	error->kind = kind;
	error->retry = kinds[kind].retry;
	lk_error_set_sqlstate(error, kinds[kind].sqlstate);
	take_message(error, &text);
}

void
lk_error_prefix(struct lk_error *error, const char *fmt, ...)
{
	struct lk_buf text = LK_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	lk_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	lk_buf_puts(&text, error->message);
	take_message(error, &text);
}

void
lk_error_set_sqlstate(struct lk_error *error, const char *sqlstate)
{
	strncpy(error->sqlstate, sqlstate, sizeof(error->sqlstate) - 1);
	error->sqlstate[sizeof(error->sqlstate) - 1] = '\0';
}

void
lk_error_set_field(struct lk_error *error, enum lk_error_field field,
    const char *text)
{
	char *copy = text != NULL ? lk_xstrdup(text) : NULL;

	lk_assert(error->is_set);
	free(error->fields[field]);
	error->fields[field] = copy;
}

void
lk_error_move(struct lk_error *dst, struct lk_error *src)
{
	lk_error_fini(dst);
	*dst = *src;
	lk_error_init(src);
}

const char *
lk_error_word(enum lk_error_kind kind)
{
	return kinds[kind].word;
}

const char *
lk_error_sqlstate(enum lk_error_kind kind)
{
	return kinds[kind].sqlstate;
}

enum lk_retry
lk_error_retry(enum lk_error_kind kind)
{
	return kinds[kind].retry;
}

const char *
lk_error_when(enum lk_error_kind kind)
{
	return kinds[kind].when;
}

const char *
lk_error_field_name(enum lk_error_field field)
{
	return field_names[field];
}

const char *
lk_retry_word(enum lk_retry retry)
{
	static const char *const words[] = { "no", "statement", "transaction" };

	return words[retry];
}
