#include "base/logline.h"

#include <inttypes.h>
#include <string.h>

#include "base/utf8.h"

static const char *const level_words[] = {
	[LK_LOG_ERROR] = "error",
	[LK_LOG_WARNING] = "warning",
	[LK_LOG_INFO] = "info",
	[LK_LOG_DEBUG] = "debug",
};

/* syslog's, as sd-daemon(3) has them. */
static const char priorities[] = {
	[LK_LOG_ERROR] = '3',
	[LK_LOG_WARNING] = '4',
	[LK_LOG_INFO] = '6',
	[LK_LOG_DEBUG] = '7',
};

static void
put_time(struct lk_buf *out, const struct timespec *at)
{
	struct tm tm;
	char text[32];

	gmtime_r(&at->tv_sec, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	lk_buf_printf(out, "%s.%03ldZ", text, at->tv_nsec / 1000000);
}

static bool
is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

/* ---- text ---- */

/* What a line is read on may be a terminal, and a line is one record. */
static void
put_plain(struct lk_buf *out, const char *text, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		lk_buf_putc(out, is_control(text[i]) ? ' ' : text[i]);
}

static void
put_about(struct lk_buf *out, const struct lk_logline *line)
{
	if (line->client != 0)
		lk_buf_printf(out, " client %" PRIu64, line->client);
	if (line->tx != 0)
		lk_buf_printf(out, " tx %" PRIu64, line->tx);
	if (line->pid != 0)
		lk_buf_printf(out, " pid %d", line->pid);
	if (line->client != 0 || line->tx != 0 || line->pid != 0)
		lk_buf_putc(out, ':');
}

static void
put_text_line(struct lk_buf *out, const struct lk_log_form *form,
    const struct lk_logline *line, const char *bytes)
{
	if (!form->has_priority) {
		put_time(out, &line->at);
		lk_buf_putc(out, ' ');
	}
	lk_buf_printf(out, "%s:", level_words[line->level]);
	put_about(out, line);
	lk_buf_putc(out, ' ');
	put_plain(out, bytes, line->n_text);
}

/* ---- JSON ---- */

static void
put_string(struct lk_buf *out, const char *text, size_t n)
{
	size_t len;

	lk_buf_putc(out, '"');
	while (n > 0) {
		len = lk_utf8_len(text, n);
		if (len == 0)
			lk_buf_puts(out, "\\ufffd");
		else if (is_control(*text))
			lk_buf_printf(out, "\\u%04x", (unsigned)*text);
		else if (*text == '"' || *text == '\\')
			lk_buf_printf(out, "\\%c", *text);
		else
			lk_buf_append(out, text, len);
		len = len == 0 ? 1 : len;
		text += len;
		n -= len;
	}
	lk_buf_putc(out, '"');
}

void
lk_logline_put_fields(struct lk_buf *out, const struct lk_log_field *fields,
    size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		lk_buf_printf(out, ",\"%s\":", fields[i].key);
		if (fields[i].is_number)
			lk_buf_printf(out, "%" PRIu64, fields[i].number);
		else if (fields[i].text != NULL)
			put_string(out, fields[i].text,
			    strlen(fields[i].text));
		else
			lk_buf_puts(out, "null");
	}
}

static void
put_number(struct lk_buf *out, const char *key, uint64_t number)
{
	if (number != 0)
		lk_buf_printf(out, "\"%s\":%" PRIu64 ",", key, number);
	else
		lk_buf_printf(out, "\"%s\":null,", key);
}

static void
put_json_line(struct lk_buf *out, const struct lk_logline *line,
    const char *bytes)
{
	lk_buf_puts(out, "{\"time\":\"");
	put_time(out, &line->at);
	lk_buf_printf(out, "\",\"level\":\"%s\",", level_words[line->level]);
	put_number(out, "client", line->client);
	put_number(out, "tx", line->tx);
	put_number(out, "pid", (uint64_t)line->pid);
	lk_buf_puts(out, "\"text\":");
	put_string(out, bytes, line->n_text);
	lk_buf_append(out, bytes + line->n_text, line->n_members);
	lk_buf_putc(out, '}');
}

void
lk_logline_put(struct lk_buf *out, const struct lk_log_form *form,
    const struct lk_logline *line, const char *bytes)
{
	if (form->has_priority)
		lk_buf_printf(out, "<%c>", priorities[line->level]);
	if (form->format == LK_LOG_JSON)
		put_json_line(out, line, bytes);
	else
		put_text_line(out, form, line, bytes);
	lk_buf_putc(out, '\n');
}
