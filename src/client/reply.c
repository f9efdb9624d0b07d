#include "client/reply.h"

#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

struct lk_root {
	struct lk_value	 value;
	void		*block;		/* heap */
};

/*
 * An error's text is taken apart where it stands: kind, SQLSTATE and message
 * each end in a NUL, then come lines of fields, which do too.  integer says
 * that it was, and by whom it is said.
 */
#define IS_APART	1
#define IS_LOCAL	2

/* Said when there is no memory to say anything else; never freed. */
static const char no_memory_text[] =
    "OVERLOAD\0" "53400\0" "no memory for the reply";
static const struct lk_root no_memory = {
	.value = {
		.type = LK_VALUE_ERROR,
		.integer = IS_APART | IS_LOCAL,
		.text = (char *)no_memory_text,
		.n_text = sizeof(no_memory_text) - 1,
	},
};

static const struct lk_value *
value_of(const struct lk_reply *reply)
{
	return (const void *)reply;
}

static const struct lk_reply *
reply_of(const struct lk_value *value)
{
	return (const void *)value;
}

/* ---- errors ---- */

/* "KIND SQLSTATE message", LF and a line for each field. */
static void
take_apart(struct lk_value *error)
{
	char *kind_end = memchr(error->text, ' ', error->n_text), *end, *p;
	size_t n_first;

	end = memchr(error->text, '\n', error->n_text);
	n_first = end != NULL ? (size_t)(end - error->text) : error->n_text;
	if (kind_end == NULL ||
	    (size_t)(kind_end - error->text) + 6 >= n_first ||
	    kind_end[6] != ' ' ||
	    memchr(error->text, '\0', error->n_text) != NULL)
		return;
	*kind_end = kind_end[6] = '\0';
	for (p = end; p != NULL; p = strchr(p + 1, '\n'))
		*p = '\0';
	error->integer = IS_APART;
}

static void
take_errors_apart(struct lk_value *value)
{
	size_t i;

	if (value->type == LK_VALUE_ERROR)
		take_apart(value);
	for (i = 0; i < value->n_items; i++)
		take_errors_apart(&value->items[i]);
}

/* ---- making ---- */

/* part is the root or below it. */
static struct lk_reply *
make_reply(struct lk_value *root_value, struct lk_value *part)
{
	struct lk_root *root = malloc(sizeof(*root));

	if (root == NULL) {
		lk_value_fini(root_value);
		return (struct lk_reply *)(uintptr_t)&no_memory;
	}
	root->block = lk_value_block(root_value);
	root->value = *part;
	take_errors_apart(&root->value);
	memset(root_value, 0, sizeof(*root_value));
	return (void *)root;
}

struct lk_reply *
lk_reply_take(struct lk_value *value)
{
	return make_reply(value, value);
}

struct lk_reply *
lk_reply_take_item(struct lk_value *value, size_t i)
{
	return make_reply(value, &value->items[i]);
}

/* text is taken. */
static struct lk_reply *
make_text(enum lk_value_type type, struct lk_buf *text)
{
	struct lk_value value = { .type = type };

	(void)lk_buf_cstr(text);
	if (text->broken) {
		lk_buf_fini(text);
		return (struct lk_reply *)(uintptr_t)&no_memory;
	}
	value.text = text->data;
	value.n_text = text->len;
	return lk_reply_take(&value);
}

struct lk_reply *
lk_reply_local(enum lk_error_kind kind, const char *fmt, ...)
{
	struct lk_buf text = LK_BUF_INIT;
	struct lk_reply *reply;
	va_list ap;

	lk_buf_printf(&text, "%s %s ", lk_error_word(kind),
	    lk_error_sqlstate(kind));
	va_start(ap, fmt);
	lk_buf_vprintf(&text, fmt, ap);
	va_end(ap);
	lk_buf_printf(&text, "\nretry: %s",
	    lk_retry_word(lk_error_retry(kind)));
	reply = make_text(LK_VALUE_ERROR, &text);
	if (value_of(reply) != &no_memory.value)
		((struct lk_value *)(void *)reply)->integer |= IS_LOCAL;
	return reply;
}

struct lk_reply *
lk_reply_word(const char *word)
{
	struct lk_buf text = LK_BUF_INIT;

	lk_buf_puts(&text, word);
	return make_text(LK_VALUE_SIMPLE, &text);
}

void
lk_reply_free(struct lk_reply **reply)
{
	struct lk_root *root = (void *)*reply;

	*reply = NULL;
	if (root == NULL || root == &no_memory)
		return;
	free(root->block);
	free(root);
}

/* ---- what it is ---- */

enum lk_reply_type
lk_reply_type(const struct lk_reply *reply)
{
	static const enum lk_reply_type types[] = {
		[LK_VALUE_NULL] = LK_REPLY_NULL,
		[LK_VALUE_BOOL] = LK_REPLY_BOOL,
		[LK_VALUE_INT] = LK_REPLY_INT,
		[LK_VALUE_DOUBLE] = LK_REPLY_DOUBLE,
		[LK_VALUE_BULK] = LK_REPLY_TEXT,
		[LK_VALUE_SIMPLE] = LK_REPLY_WORD,
		[LK_VALUE_ERROR] = LK_REPLY_ERROR,
		[LK_VALUE_ARRAY] = LK_REPLY_ARRAY,
		[LK_VALUE_MAP] = LK_REPLY_MAP,
		[LK_VALUE_PUSH] = LK_REPLY_PUSH,
	};

	return reply == NULL ? LK_REPLY_NULL : types[value_of(reply)->type];
}

bool
lk_reply_is_null(const struct lk_reply *reply)
{
	return lk_reply_type(reply) == LK_REPLY_NULL;
}

bool
lk_reply_is_error(const struct lk_reply *reply)
{
	return lk_reply_type(reply) == LK_REPLY_ERROR;
}

/* ---- scalars ---- */

const char *
lk_reply_text(const struct lk_reply *reply, size_t *n_out)
{
	const struct lk_value *value = value_of(reply);
	const char *text = "";
	size_t n = 0;

	if (value != NULL && value->text != NULL) {
		text = value->text;
		n = value->n_text;
	}
	if (value != NULL && value->type == LK_VALUE_ERROR &&
	    value->integer & IS_APART) {
		text += strlen(text) + 7;	/* and the SQLSTATE's */
		n = strlen(text);
	}
	if (n_out != NULL)
		*n_out = n;
	return text;
}

static bool
is_scalar_text(const struct lk_reply *reply)
{
	enum lk_reply_type type = lk_reply_type(reply);

	return type == LK_REPLY_TEXT || type == LK_REPLY_WORD ||
	    type == LK_REPLY_DOUBLE;
}

int64_t
lk_reply_int(const struct lk_reply *reply)
{
	enum lk_reply_type type = lk_reply_type(reply);
	const char *text;
	char *end;
	long long number;
	size_t n;

	if (type == LK_REPLY_INT || type == LK_REPLY_BOOL)
		return value_of(reply)->integer;
	if (!is_scalar_text(reply))
		return 0;
	text = lk_reply_text(reply, &n);
	number = strtoll(text, &end, 10);
	return n > 0 && end == text + n ? number : 0;
}

double
lk_reply_double(const struct lk_reply *reply)
{
	locale_t c_locale;
	const char *text;
	char *end;
	double number = 0;
	size_t n;

	if (!is_scalar_text(reply))
		return (double)lk_reply_int(reply);
	text = lk_reply_text(reply, &n);
	c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
	if (c_locale == (locale_t)0)
		return 0;
	number = strtod_l(text, &end, c_locale);
	freelocale(c_locale);
	return n > 0 && end == text + n ? number : 0;
}

/* ---- aggregates ---- */

size_t
lk_reply_count(const struct lk_reply *reply)
{
	if (reply == NULL)
		return 0;
	return lk_reply_type(reply) == LK_REPLY_MAP ?
	    value_of(reply)->n_items / 2 : value_of(reply)->n_items;
}

const struct lk_reply *
lk_reply_at(const struct lk_reply *reply, size_t i)
{
	if (i >= lk_reply_count(reply))
		return NULL;
	return reply_of(&value_of(reply)->items[
	    lk_reply_type(reply) == LK_REPLY_MAP ? 2 * i + 1 : i]);
}

const struct lk_reply *
lk_reply_key(const struct lk_reply *reply, size_t i)
{
	if (lk_reply_type(reply) != LK_REPLY_MAP || i >= lk_reply_count(reply))
		return NULL;
	return reply_of(&value_of(reply)->items[2 * i]);
}

const struct lk_reply *
lk_reply_get(const struct lk_reply *map, const char *key)
{
	size_t n_key = strlen(key), i;
	const struct lk_value *at;

	if (lk_reply_type(map) != LK_REPLY_MAP)
		return NULL;
	for (i = 0; i < lk_reply_count(map); i++) {
		at = value_of(lk_reply_key(map, i));
		if (at->text != NULL && at->n_text == n_key &&
		    memcmp(at->text, key, n_key) == 0)
			return lk_reply_at(map, i);
	}
	return NULL;
}

/* ---- errors ---- */

static bool
is_apart(const struct lk_reply *error)
{
	return lk_reply_is_error(error) && value_of(error)->integer & IS_APART;
}

const char *
lk_reply_kind_word(const struct lk_reply *error)
{
	return is_apart(error) ? value_of(error)->text : "";
}

const char *
lk_reply_sqlstate(const struct lk_reply *error)
{
	const char *word = lk_reply_kind_word(error);

	return is_apart(error) ? word + strlen(word) + 1 : "";
}

/* A kind that lockkeeper.h lacks does not compile here. */
static const struct {
	const char	*word;
	enum lk_kind	 kind;
	enum lk_again	 again;
} kinds[] = {
	{ "", LK_KIND_OTHER, LK_AGAIN_NO },
#define LK_ERROR(symbol, word, sqlstate, retry, when)			\
	{ word, LK_KIND_##symbol, LK_AGAIN_##retry },
#include "base/error.def"
#undef LK_ERROR
};

/* Its place in kinds; 0 when it is none of them. */
static size_t
find_kind(const struct lk_reply *error)
{
	const char *word = lk_reply_kind_word(error);
	size_t i = sizeof(kinds) / sizeof(kinds[0]) - 1;

	while (i > 0 && strcmp(kinds[i].word, word) != 0)
		i--;
	return i;
}

enum lk_kind
lk_reply_kind(const struct lk_reply *error)
{
	return kinds[find_kind(error)].kind;
}

const char *
lk_reply_field(const struct lk_reply *error, const char *name)
{
	const struct lk_value *value = value_of(error);
	size_t n_name = strlen(name);
	const char *at;

	if (!is_apart(error))
		return NULL;
	at = lk_reply_text(error, NULL);
	for (at += strlen(at) + 1; at < value->text + value->n_text;
	    at += strlen(at) + 1) {
		if (strncmp(at, name, n_name) == 0 && at[n_name] == ':' &&
		    at[n_name + 1] == ' ')
			return at + n_name + 2;
	}
	return NULL;
}

enum lk_again
lk_reply_again(const struct lk_reply *error)
{
	const char *word = lk_reply_field(error, "retry");

	if (word == NULL)	/* not every error is a blob */
		return kinds[find_kind(error)].again;
	if (strcmp(word, "statement") == 0)
		return LK_AGAIN_STATEMENT;
	return strcmp(word, "transaction") == 0 ? LK_AGAIN_TRANSACTION :
	    LK_AGAIN_NO;
}

bool
lk_reply_is_local(const struct lk_reply *error)
{
	return lk_reply_is_error(error) && value_of(error)->integer & IS_LOCAL;
}
