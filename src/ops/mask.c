#include "ops/mask.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define MASK	"********"
#define BLANKS	" \t\n\r\f\v"

static bool
is_secret(const char *name, size_t n)
{
	static const char *const secrets[] = { "password", "sslpassword" };
	size_t i;

	for (i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
		if (n == strlen(secrets[i]) &&
		    strncasecmp(name, secrets[i], n) == 0)
			return true;
	}
	return false;
}

/* Past a value of a keyword string: to a blank, or to the closing quote. */
static const char *
skip_value(const char *p)
{
	bool is_quoted = *p == '\'';

	if (is_quoted)
		p++;
	while (*p != '\0' && (is_quoted ? *p != '\'' :
	    strchr(BLANKS, *p) == NULL)) {
		if (*p == '\\' && p[1] != '\0')
			p++;
		p++;
	}
	return is_quoted && *p != '\0' ? p + 1 : p;
}

static void
mask_keywords(const char *p, struct lk_buf *out)
{
	const char *name, *value, *end;
	size_t n_name;

	while (*p != '\0') {
		name = p + strspn(p, BLANKS);
		n_name = strcspn(name, "=" BLANKS);
		value = name + n_name;
		value += strspn(value, BLANKS);
		if (*value != '=') {
			/* No value: libpq will refuse it. */
			lk_buf_append(out, p, (size_t)(value - p));
			p = value;
			continue;
		}
		value++;
		value += strspn(value, BLANKS);
		end = skip_value(value);
		lk_buf_append(out, p, (size_t)(value - p));
		if (!is_secret(name, n_name))
			lk_buf_append(out, value, (size_t)(end - value));
		else	/* 'x'next=y is legal: the quote parted the two */
			lk_buf_printf(out, "%s%s", MASK, *end == '\0' ||
			    strchr(BLANKS, *end) != NULL ? "" : " ");
		p = end;
	}
}

/* The query part of a URI: name=value&name=value. */
static void
mask_query(const char *p, struct lk_buf *out)
{
	size_t n_pair, n_name;

	for (; *p != '\0'; p += n_pair) {
		if (*p == '?' || *p == '&')
			lk_buf_putc(out, *p++);
		n_pair = strcspn(p, "&");
		n_name = strcspn(p, "=&");
		if (n_name < n_pair && is_secret(p, n_name)) {
			lk_buf_append(out, p, n_name + 1);
			lk_buf_puts(out, MASK);
		} else {
			lk_buf_append(out, p, n_pair);
		}
	}
}

static const char *
find_last(const char *p, size_t n, char c)
{
	return memrchr(p, c, n);
}

/*
 * p is behind "//".  libpq takes the password from the first colon to the
 * first '@' before a '/'.  One that was not percent-encoded may hold any of
 * those, so all up to the last '@' goes.
 */
static void
mask_uri(const char *p, struct lk_buf *out)
{
	const char *colon = strchr(p, ':');
	const char *at = find_last(p, strcspn(p, "/?"), '@');

	if (at == NULL)
		at = find_last(p, strcspn(p, "?"), '@');
	if (at == NULL && colon != NULL)
		at = find_last(p, strcspn(p, "/"), '@');
	if (at != NULL && colon != NULL && colon < at) {
		lk_buf_append(out, p, (size_t)(colon + 1 - p));
		lk_buf_puts(out, MASK);
		p = at;
	}
	lk_buf_append(out, p, strcspn(p, "?&"));
	mask_query(p + strcspn(p, "?&"), out);
}

void
lk_mask_conninfo(const char *conninfo, struct lk_buf *out)
{
	static const char *const schemes[] = { "postgresql://", "postgres://" };
	size_t i, n;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		n = strlen(schemes[i]);
		if (strncmp(conninfo, schemes[i], n) == 0) {
			lk_buf_append(out, conninfo, n);
			mask_uri(conninfo + n, out);
			return;
		}
	}
	mask_keywords(conninfo, out);
}
