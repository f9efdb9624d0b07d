#include "ops/conftext.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <ctype.h>
#include <stdbool.h>

#define READ_BYTES	(16 * 1024)

/* More of either would not fit libconfig's int. */
#define MAX_DIGITS	9
#define MAX_HEX_DIGITS	7

struct scan {
	const char	*path;
	const char	*p;		/* the text ends with a NUL */
	unsigned	 line;
	struct lk_error	*error;
};

static int
read_all(int fd, struct lk_buf *text)
{
	ssize_t n;

	do {
		char *to = lk_buf_reserve(text, READ_BYTES);

		if (to == NULL)
			return -LK_E_NOMEM;
		do {
			n = read(fd, to, READ_BYTES);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return -LK_E_IO;
		text->len += (size_t)n;
		if (text->len > LK_CONFTEXT_MAX_BYTES)
			return -LK_E_LIMIT;
	} while (n > 0);
	return 0;
}

static int
read_file(const char *path, struct lk_buf *text, struct lk_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -LK_E_IO : read_all(fd, text);

	if (rc == -LK_E_LIMIT)
		lk_error_set(error, LK_ERR_SYNTAX,
		    "%s: is larger than %d bytes", path, LK_CONFTEXT_MAX_BYTES);
	else if (rc < 0)
		lk_error_set(error, LK_ERR_SYNTAX, "%s: cannot be read: %s",
		    path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return rc;
}

static int
fail_at(const struct scan *scan, unsigned line, const char *text)
{
	lk_error_set(scan->error, LK_ERR_SYNTAX, "%s:%u: %s", scan->path, line,
	    text);
	return -LK_E_INVAL;
}

static void
skip_line(struct scan *scan)
{
	scan->p += strcspn(scan->p, "\n");
}

static int
skip_comment(struct scan *scan)
{
	unsigned first_line = scan->line;

	for (scan->p += 2; *scan->p != '\0'; scan->p++) {
		if (*scan->p == '\n')
			scan->line++;
		if (scan->p[0] == '*' && scan->p[1] == '/') {
			scan->p += 2;
			return 0;
		}
	}
	return fail_at(scan, first_line, "a comment begins here and never "
	    "ends; close it with */");
}

static int
skip_string(struct scan *scan)
{
	unsigned first_line = scan->line;

	for (scan->p++; *scan->p != '\0'; scan->p++) {
		if (*scan->p == '\n')
			scan->line++;
		if (*scan->p == '"') {
			scan->p++;
			return 0;
		}
		if (*scan->p != '\\' || scan->p[1] == '\0')
			continue;
		if (strncmp(scan->p, "\\x00", 4) == 0)
			return fail_at(scan, scan->line,
			    "a string cannot hold a zero byte");
		if (*++scan->p == '\n')
			scan->line++;
	}
	return fail_at(scan, first_line,
	    "a string begins here and never ends; close it with \"");
}

static void
skip_name(struct scan *scan)
{
	while (isalnum((unsigned char)*scan->p) || strchr("-_*", *scan->p)) {
		if (*scan->p == '\0')
			break;
		scan->p++;
	}
}

static int
skip_number(struct scan *scan)
{
	bool is_hex = scan->p[0] == '0' && strchr("xX", scan->p[1]) != NULL &&
	    scan->p[1] != '\0';
	unsigned n = 0;

	if (is_hex)
		scan->p += 2;
	while (is_hex ? isxdigit((unsigned char)*scan->p) :
	    isdigit((unsigned char)*scan->p)) {
		n++;
		scan->p++;
	}
	if (n > (is_hex ? MAX_HEX_DIGITS : MAX_DIGITS))
		return fail_at(scan, scan->line, is_hex ?
		    "a number has more than seven hexadecimal digits" :
		    "a number has more than nine digits");
	return 0;
}

static int
scan_token(struct scan *scan)
{
	char c = *scan->p;

	if (c == '#' || strncmp(scan->p, "//", 2) == 0)
		skip_line(scan);
	else if (strncmp(scan->p, "/*", 2) == 0)
		return skip_comment(scan);
	else if (c == '"')
		return skip_string(scan);
	else if (isdigit((unsigned char)c))
		return skip_number(scan);
	else if (isalpha((unsigned char)c) || c == '*')
		skip_name(scan);
	else if (c == '@')
		return fail_at(scan, scan->line, "@include is not supported; "
		    "everything is in one file");
	else
		scan->line += *scan->p++ == '\n';
	return 0;
}

static int
check_text(const char *path, struct lk_buf *text, struct lk_error *error)
{
	struct scan scan = { path, lk_buf_cstr(text), 1, error };
	int rc = 0;

	while (rc == 0 && *scan.p != '\0')
		rc = scan_token(&scan);
	if (rc == 0 && scan.p != text->data + text->len)
		rc = fail_at(&scan, scan.line, "a zero byte: this is no text");
	return rc;
}

int
lk_conftext_read(const char *path, struct lk_buf *text, struct lk_error *error)
{
	int rc = read_file(path, text, error);

	return rc < 0 ? rc : check_text(path, text, error);
}
