#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "orm/compile.h"

/* ---- for people to read ---- */

/* Of a client's text in an error, in bytes. */
#define MAX_SHOWN	40

const char *
lk_word_show(struct lk_shown *shown, const char *text, size_t n)
{
	struct lk_buf buf = LK_BUF_INIT;

	if (text == NULL)
		return strcpy(shown->text, "NULL");
	lk_utf8_show(&buf, text, n, MAX_SHOWN);
	strcpy(shown->text, lk_buf_cstr(&buf));
	lk_buf_fini(&buf);
	return shown->text;
}

static int
set_error(struct lk_compile *c, struct lk_buf *text)
{
	lk_error_set(c->error, LK_ERR_SYNTAX, "%s: %s; syntax: %s",
	    lk_orm_verb_word(c->verb), lk_buf_cstr(text),
	    lk_orm_verb_syntax(c->verb));
	lk_buf_fini(text);
	return -LK_E_INVAL;
}

int
lk_expected(struct lk_compile *c, const char *what)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	const char *advice = lk_habit_advise(c);
	struct lk_buf text = LK_BUF_INIT;
	struct lk_shown shown;

	/* Arguments are counted as people do, the verb not included. */
	if (arg != NULL)
		lk_buf_printf(&text, "expected %s, not %s (argument %zu)",
		    what, lk_word_show(&shown, arg->data, arg->len), c->at + 1);
	else
		lk_buf_printf(&text, "expected %s, not the end", what);
	if (advice != NULL)
		lk_buf_printf(&text, "; %s", advice);
	return set_error(c, &text);
}

int
lk_refuse(struct lk_compile *c, const char *fmt, ...)
{
	struct lk_buf text = LK_BUF_INIT;
	va_list ap;

	va_start(ap, fmt);
	lk_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	return set_error(c, &text);
}

/* ---- words ---- */

/* Not tolower(): the words are ASCII in every locale. */
static char
fold(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

bool
lk_span_is(struct lk_span span, const char *word)
{
	size_t i;

	if (span.at == NULL || strlen(word) != span.n)
		return false;
	for (i = 0; i < span.n; i++) {
		if (fold(span.at[i]) != fold(word[i]))
			return false;
	}
	return true;
}

const struct lk_arg *
lk_word_peek(const struct lk_compile *c, size_t i)
{
	return i < c->n_args - c->at ? &c->args[c->at + i] : NULL;
}

const struct lk_arg *
lk_word_value(const struct lk_compile *c)
{
	static const struct lk_arg null = { NULL, 0 };
	const struct lk_arg *arg = lk_word_peek(c, 0);

	if (arg == NULL || arg->data == NULL || c->null_text == NULL ||
	    arg->len != strlen(c->null_text) ||
	    memcmp(arg->data, c->null_text, arg->len) != 0)
		return arg;
	return &null;
}

bool
lk_word_take(struct lk_compile *c, const char *word)
{
	if (!lk_arg_is(lk_word_peek(c, 0), word))
		return false;
	c->at++;
	return true;
}

int
lk_word_number(struct lk_compile *c, const char *what, uint64_t max,
    uint64_t *number_out)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	uint64_t number = 0, digit;
	size_t i;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, what);
	for (i = 0; i < arg->len; i++) {
		if (arg->data[i] < '0' || arg->data[i] > '9')
			return lk_expected(c, what);
		digit = (uint64_t)(arg->data[i] - '0');
		if (number > (max - digit) / 10)
			return lk_refuse(c, "%s is too large: at most %llu "
			    "(argument %zu)", what, (unsigned long long)max,
			    c->at + 1);
		number = number * 10 + digit;
	}
	c->at++;
	*number_out = number;
	return 0;
}

/* ---- names ---- */

bool
lk_span_cut(struct lk_span *rest, char stop, struct lk_span *part_out)
{
	bool is_quoted = false;
	size_t i;

	if (rest->at == NULL)
		return false;
	for (i = 0; i < rest->n; i++) {
		if (rest->at[i] == '"')
			is_quoted = !is_quoted;
		else if (rest->at[i] == stop && !is_quoted)
			break;
	}
	*part_out = (struct lk_span){ rest->at, i };
	if (i < rest->n)
		*rest = (struct lk_span){ rest->at + i + 1, rest->n - i - 1 };
	else
		*rest = (struct lk_span){ NULL, 0 };
	return true;
}

bool
lk_span_name(struct lk_span span, struct lk_buf *name_out)
{
	size_t i;

	lk_buf_truncate(name_out, 0);
	if (span.n == 0 || span.at[0] != '"') {
		lk_buf_append(name_out, span.at, span.n);
		return span.n > 0;
	}
	for (i = 1; i < span.n; i++) {
		if (span.at[i] == '"' && i == span.n - 1)
			return i > 1;
		if (span.at[i] == '"' && span.at[++i] != '"')
			return false;
		lk_buf_putc(name_out, span.at[i]);
	}
	return false;
}

/* "shop"."orders" is the model shop.orders. */
static bool
read_quoted_model(struct lk_span text, struct lk_buf *name_out)
{
	struct lk_buf part = LK_BUF_INIT;
	struct lk_span span;
	bool is_whole = true;

	while (is_whole && lk_span_cut(&text, '.', &span)) {
		if (name_out->len > 0)
			lk_buf_putc(name_out, '.');
		is_whole = lk_span_name(span, &part);
		lk_buf_append(name_out, part.data, part.len);
	}
	lk_buf_fini(&part);
	return is_whole;
}

int
lk_word_model(struct lk_compile *c, const struct lk_model **model_out)
{
	const struct lk_arg *arg = lk_word_peek(c, 0);
	struct lk_buf name = LK_BUF_INIT;
	int rc = -LK_E_INVAL;

	if (arg == NULL || arg->data == NULL || arg->len == 0)
		return lk_expected(c, "a model");
	if (arg->data[0] != '"')
		lk_buf_append(&name, arg->data, arg->len);
	else if (!read_quoted_model((struct lk_span){ arg->data, arg->len },
	    &name)) {
		lk_expected(c, "a model, or its name in whole quotes");
		goto out;
	}
	*model_out = lk_catalog_find(c->catalog, lk_buf_cstr(&name), name.len,
	    c->error);
	rc = *model_out != NULL ? 0 : -LK_E_NOENT;
	c->at++;
out:
	lk_buf_fini(&name);
	return rc;
}
