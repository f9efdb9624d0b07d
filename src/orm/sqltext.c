#include "orm/sqltext.h"

#include <string.h>

#include "base/buf.h"

/*
 * A reader of PostgreSQL's lexical rules: where words, comments and literals
 * begin and end, and nothing of what they mean.  Where servers of different
 * versions disagree (is a vertical tab a blank?) it takes the reading under
 * which less gets past lk_sql_check() and lk_sql_redact().
 */
struct cursor {
	const char	*at;
	const char	*end;
};

static size_t
left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

/* The byte i places on, or NUL behind the end. */
static char
peek(const struct cursor *c, size_t i)
{
	return i < left(c) ? c->at[i] : '\0';
}

static void
skip(struct cursor *c, size_t n)
{
	c->at += n < left(c) ? n : left(c);
}

static bool
is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Beyond ASCII every byte is part of a name, in whatever encoding. */
static bool
is_word_start(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (unsigned char)c >= 0x80;
}

static bool
is_word_part(char c)
{
	return is_word_start(c) || is_digit(c) || c == '$';
}

/* Not tolower(): keywords are ASCII in every locale. */
static char
fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static void
skip_line(struct cursor *c)
{
	while (c->at < c->end && *c->at != '\n' && *c->at != '\r')
		c->at++;
}

static void
skip_block(struct cursor *c)
{
	size_t depth = 0;

	do {
		if (peek(c, 0) == '/' && peek(c, 1) == '*') {
			depth++;
			skip(c, 2);
		} else if (peek(c, 0) == '*' && peek(c, 1) == '/') {
			depth--;
			skip(c, 2);
		} else {
			skip(c, 1);
		}
	} while (depth > 0 && c->at < c->end);
}

/* Blanks and comments; whether there were any. */
static bool
skip_blanks(struct cursor *c)
{
	const char *from = c->at;

	while (c->at < c->end) {
		if (is_blank(*c->at))
			c->at++;
		else if (peek(c, 0) == '-' && peek(c, 1) == '-')
			skip_line(c);
		else if (peek(c, 0) == '/' && peek(c, 1) == '*')
			skip_block(c);
		else
			break;
	}
	return c->at > from;
}

static size_t
word_len(const struct cursor *c)
{
	size_t n = 0;

	if (!is_word_start(peek(c, 0)))
		return 0;
	while (is_word_part(peek(c, n)))
		n++;
	return n;
}

/* ---- what a statement begins with ---- */

/* First match decides, so longer phrases stand before their beginnings. */
static const struct opening {
	const char		*phrase;	/* lower case, single blanks */
	enum lk_sql_class	 class;
	const char		*advice;	/* NULL: it may be sent */
} openings[] = {
	{ "select", LK_SQL_PLAIN, NULL },
	{ "insert", LK_SQL_PLAIN, NULL },
	{ "update", LK_SQL_PLAIN, NULL },
	{ "delete", LK_SQL_PLAIN, NULL },
	{ "merge", LK_SQL_PLAIN, NULL },
	{ "with", LK_SQL_PLAIN, NULL },
	{ "values", LK_SQL_PLAIN, NULL },
	{ "table", LK_SQL_PLAIN, NULL },
	{ "begin", LK_SQL_REFUSED,
	    "use the verb BEGIN instead of SQL BEGIN" },
	{ "start", LK_SQL_REFUSED,
	    "use the verb BEGIN instead of SQL START TRANSACTION" },
	{ "commit prepared", LK_SQL_OUTSIDE_ONLY,
	    "COMMIT PREPARED cannot run inside a transaction; "
	    "send it outside, or use the verb COMMIT to end this one" },
	{ "commit", LK_SQL_REFUSED,
	    "use the verb COMMIT instead of SQL COMMIT" },
	{ "end", LK_SQL_REFUSED,
	    "use the verb COMMIT instead of SQL END" },
	{ "rollback prepared", LK_SQL_OUTSIDE_ONLY,
	    "ROLLBACK PREPARED cannot run inside a transaction; "
	    "send it outside, or use the verb ROLLBACK to end this one" },
	{ "rollback to", LK_SQL_REFUSED,
	    "use the verb ROLLBACK TO instead of SQL ROLLBACK TO" },
	{ "rollback work to", LK_SQL_REFUSED,
	    "use the verb ROLLBACK TO instead of SQL ROLLBACK TO" },
	{ "rollback transaction to", LK_SQL_REFUSED,
	    "use the verb ROLLBACK TO instead of SQL ROLLBACK TO" },
	{ "rollback", LK_SQL_REFUSED,
	    "use the verb ROLLBACK instead of SQL ROLLBACK" },
	{ "abort", LK_SQL_REFUSED,
	    "use the verb ROLLBACK instead of SQL ABORT" },
	{ "savepoint", LK_SQL_REFUSED,
	    "use the verb SAVEPOINT instead of SQL SAVEPOINT" },
	{ "release", LK_SQL_REFUSED,
	    "use the verb RELEASE instead of SQL RELEASE" },
	{ "prepare transaction", LK_SQL_REFUSED,
	    "PREPARE TRANSACTION is not carried; use the verb COMMIT" },
	{ "copy", LK_SQL_REFUSED,
	    "COPY is not carried; use INSERT ... VALUES with parameters, or "
	    "SELECT" },
	{ "listen", LK_SQL_REFUSED,
	    "use the verb SUBSCRIBE instead of SQL LISTEN" },
	{ "unlisten", LK_SQL_REFUSED,
	    "use the verb UNSUBSCRIBE instead of SQL UNLISTEN" },
};

/* Whether the words from here on are those of phrase. */
static bool
begins_with(struct cursor c, const char *phrase)
{
	size_t n, i;

	for (;;) {
		n = strcspn(phrase, " ");
		if (word_len(&c) != n)
			return false;
		for (i = 0; i < n; i++) {
			if (fold(c.at[i]) != phrase[i])
				return false;
		}
		if (phrase[n] == '\0')
			return true;
		phrase += n + 1;
		skip(&c, n);
		skip_blanks(&c);
	}
}

/* The row of a text that has one; c is left at its first word. */
static const struct opening *
find_opening(struct cursor *c)
{
	size_t i;

	while (skip_blanks(c) || peek(c, 0) == ';' || peek(c, 0) == '(') {
		if (peek(c, 0) == ';' || peek(c, 0) == '(')
			skip(c, 1);
	}
	for (i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
		if (begins_with(*c, openings[i].phrase))
			return &openings[i];
	}
	return NULL;
}

enum lk_sql_class
lk_sql_classify(const char *sql, size_t n)
{
	struct cursor		 c = { sql, sql + n };
	const struct opening	*opening = find_opening(&c);

	if (c.at == c.end)
		return LK_SQL_EMPTY;
	return opening != NULL ? opening->class : LK_SQL_UTILITY;
}

/* Whether it begins with one of four words. */
static bool
is_one_of(const char *sql, size_t n, const char *const words[4])
{
	struct cursor		 c = { sql, sql + n };
	const struct opening	*opening = find_opening(&c);
	size_t			 i;

	for (i = 0; i < 4; i++) {
		if (opening != NULL && strcmp(opening->phrase, words[i]) == 0)
			return true;
	}
	return false;
}

bool
lk_sql_is_dml(const char *sql, size_t n)
{
	static const char *const words[4] = {
		"insert", "update", "delete", "merge" };

	return is_one_of(sql, n, words);
}

bool
lk_sql_is_query(const char *sql, size_t n)
{
	static const char *const words[4] = {
		"select", "values", "table", "with" };

	return is_one_of(sql, n, words);
}

/* A statement that was typed without quotes is its first word, and the rest of
 * it are parameters. */
static int
refuse_params(const char *sql, size_t n, size_t n_params,
    struct lk_error *error)
{
	struct cursor c = { sql, sql + n };

	(void)find_opening(&c);
	if (word_len(&c) == (size_t)(c.end - c.at))
		lk_error_set(error, LK_ERR_SYNTAX, "quote the statement, which "
		    "is one element: SQL \"SELECT ...\"");
	else
		lk_error_set(error, LK_ERR_SYNTAX, "the statement has no $1, "
		    "and %zu value%s behind it", n_params,
		    n_params == 1 ? " stands" : "s stand");
	return -LK_E_INVAL;
}

int
lk_sql_check(const char *sql, size_t n, size_t n_params, bool in_tx,
    struct lk_error *error)
{
	struct cursor		 c = { sql, sql + n };
	const struct opening	*opening = find_opening(&c);

	if (n > 0 && memchr(sql, '\0', n) != NULL) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "the statement holds a NUL byte");
		return -LK_E_INVAL;
	}
	if (c.at == c.end) {
		lk_error_set(error, LK_ERR_SYNTAX, "empty statement");
		return -LK_E_INVAL;
	}
	if (opening == NULL || opening->class == LK_SQL_PLAIN ||
	    (opening->class == LK_SQL_OUTSIDE_ONLY && !in_tx))
		return n_params == 0 || memchr(sql, '$', n) != NULL ? 0 :
		    refuse_params(sql, n, n_params, error);
	lk_error_set(error, LK_ERR_SYNTAX, "%s", opening->advice);
	return -LK_E_INVAL;
}

/* ---- for other people's eyes ---- */

struct redaction {
	struct lk_buf	*out;
	size_t		 start;		/* length of out before us */
	size_t		 max_bytes;
};

/* One byte more than allowed is kept, to know that something was cut. */
static bool
is_full(const struct redaction *r)
{
	return r->out->broken || r->out->len - r->start > r->max_bytes;
}

/* Control bytes become blanks: what people look at may be a terminal. */
static void
put(struct redaction *r, char c)
{
	if ((unsigned char)c < 0x20 || c == 0x7f)
		c = ' ';
	if (!is_full(r))
		lk_buf_putc(r->out, c);
}

static void
copy(struct redaction *r, struct cursor *c, size_t n)
{
	const char *end = c->at + n;

	for (; c->at < end && !is_full(r); c->at++)
		put(r, *c->at);
	c->at = end;
}

/*
 * From an opening quote to behind the closing one; a doubled one is inside.
 * False where none closes.
 */
static bool
skip_quoted(struct cursor *c, bool has_escapes)
{
	char quote = *c->at++;

	while (c->at < c->end) {
		if (*c->at == '\\' && has_escapes) {
			skip(c, 2);
		} else if (*c->at != quote) {
			c->at++;
		} else if (peek(c, 1) == quote) {
			c->at += 2;
		} else {
			c->at++;
			return true;
		}
	}
	return false;
}

/* SQL goes on with a literal behind blanks that hold a line end. */
static bool
skip_to_continuation(struct cursor *c)
{
	struct cursor	next = *c;
	bool		has_line_end = false;

	while (next.at < next.end) {
		if (*next.at == '\n' || *next.at == '\r')
			has_line_end = true;
		if (is_blank(*next.at))
			next.at++;
		else if (next.at[0] == '-' && peek(&next, 1) == '-')
			skip_line(&next);
		else
			break;
	}
	if (!has_line_end || peek(&next, 0) != '\'')
		return false;
	*c = next;
	return true;
}

static void
skip_string(struct cursor *c, bool has_escapes)
{
	do
		skip_quoted(c, has_escapes);
	while (skip_to_continuation(c));
}

/* Bytes of the $tag$ here, or 0. */
static size_t
dollar_len(const struct cursor *c)
{
	size_t n = 1;

	if (peek(c, 0) != '$' || is_digit(peek(c, 1)))
		return 0;
	while (is_word_part(peek(c, n)) && peek(c, n) != '$')
		n++;
	return peek(c, n) == '$' ? n + 1 : 0;
}

static void
skip_dollar_string(struct cursor *c, size_t n_tag)
{
	const char *tag = c->at;
	const char *close;

	c->at += n_tag;
	close = memmem(c->at, left(c), tag, n_tag);
	c->at = close != NULL ? close + n_tag : c->end;
}

/* Any spelling of any version: 1.5e-3, .5, 0xff, 1_000. */
static void
skip_number(struct cursor *c)
{
	char c0 = '\0';

	while (is_digit(peek(c, 0)) || peek(c, 0) == '.' ||
	    (is_word_start(peek(c, 0)) &&
	    (unsigned char)peek(c, 0) < 0x80) ||
	    ((peek(c, 0) == '-' || peek(c, 0) == '+') && c0 == 'e' &&
	    is_digit(peek(c, 1)))) {
		c0 = fold(*c->at);
		c->at++;
	}
}

/* Whether a string begins here; and how many bytes of E, B, X, N or U& stand
 * before its quote. */
static bool
is_string(const struct cursor *c, size_t *n_prefix_out)
{
	char first = fold(peek(c, 0));

	if (first == '\'')
		*n_prefix_out = 0;
	else if (first != '\0' && strchr("ebxn", first) != NULL &&
	    peek(c, 1) == '\'')
		*n_prefix_out = 1;
	else if (first == 'u' && peek(c, 1) == '&' && peek(c, 2) == '\'')
		*n_prefix_out = 2;
	else
		return false;
	return true;
}

/* Move the token at c to out, or a `?` for it. */
static void
redact_token(struct redaction *r, struct cursor *c)
{
	struct cursor	quoted = *c;
	bool		has_escapes = fold(*c->at) == 'e';
	size_t		n_prefix, n;

	if (is_string(c, &n_prefix)) {
		c->at += n_prefix;
		skip_string(c, has_escapes);
		put(r, '?');
	} else if ((n = dollar_len(c)) > 0) {
		skip_dollar_string(c, n);
		put(r, '?');
	} else if (is_digit(*c->at) ||
	    (*c->at == '.' && is_digit(peek(c, 1)))) {
		skip_number(c);
		put(r, '?');
	} else if (*c->at == '"' && skip_quoted(&quoted, false)) {
		copy(r, c, (size_t)(quoted.at - c->at));
	} else if (*c->at == '"') {
		/* Where it was meant to close is not known, nor what is in. */
		c->at = c->end;
		put(r, '?');
	} else if (*c->at == '$') {
		/* $1 is a parameter's place, not its value. */
		for (n = 1; is_digit(peek(c, n)); n++)
			continue;
		copy(r, c, n);
	} else {
		n = word_len(c);
		copy(r, c, n > 0 ? n : 1);
	}
}

/* Cut what is beyond max_bytes where a character ends, and blanks there. */
static void
cut(struct redaction *r)
{
	struct lk_buf	*out = r->out;
	size_t		 len = out->len;

	if (len - r->start > r->max_bytes) {
		len = r->start + r->max_bytes;
		while (len > r->start &&
		    ((unsigned char)out->data[len] & 0xc0) == 0x80)
			len--;
	}
	while (len > r->start && out->data[len - 1] == ' ')
		len--;
	lk_buf_truncate(out, len);
}

void
lk_sql_redact(const char *sql, size_t n, size_t max_bytes, struct lk_buf *out)
{
	struct cursor		c = { sql, sql + n };
	struct redaction	r = { out, out->len, max_bytes };
	bool			is_apart;

	for (;;) {
		is_apart = skip_blanks(&c);
		if (c.at == c.end || is_full(&r))
			break;
		if (is_apart && out->len > r.start)
			put(&r, ' ');
		redact_token(&r, &c);
	}
	cut(&r);
}
