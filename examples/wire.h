/*
 * The client's side of Lockkeeper's protocol, as much of it as the essay needs:
 * requests out, replies and pushes in, each rendered as one line of text.
 * lockkeeper-protocol(7) describes the whole.
 */
#ifndef ESSAY_WIRE_H
#define ESSAY_WIRE_H

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coro.h"

/* ---- RESP, as much as a client of Lockkeeper needs ---- */

struct wire {
	int	fd;
	size_t	n;
	char	in[64 * 1024];	/* received, not yet taken; NUL-terminated */
};

static void
wire_open(struct wire *wire, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	wire->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (wire->fd < 0 ||
	    connect(wire->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		die("%s: %s", path, strerror(errno));
	fcntl(wire->fd, F_SETFL, O_NONBLOCK);
	wire->n = 0;
}

/* A request is an array of bulk strings; words is NULL-terminated. */
static void
wire_send(struct wire *wire, const char **words)
{
	char *bytes;
	size_t n, done = 0, n_words = 0;
	FILE *out = open_memstream(&bytes, &n);
	const char **word;

	for (word = words; *word != NULL; word++)
		n_words++;
	fprintf(out, "*%zu\r\n", n_words);
	for (word = words; *word != NULL; word++)
		fprintf(out, "$%zu\r\n%s\r\n", strlen(*word), *word);
	fclose(out);
	while (done < n) {
		struct pollfd pfd = { .fd = wire->fd, .events = POLLOUT };
		ssize_t sent = write(wire->fd, bytes + done, n - done);

		if (sent > 0)
			done += (size_t)sent;
		else if (errno == EAGAIN)
			poll(&pfd, 1, -1);
		else
			die("cannot send: %s", strerror(errno));
	}
	free(bytes);
}

/* Take in what the socket has; no more than that. */
static void
wire_receive(struct wire *wire)
{
	ssize_t n = read(wire->fd, wire->in + wire->n,
	    sizeof(wire->in) - 1 - wire->n);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the daemon closed the connection");
	if (n > 0)
		wire->n += (size_t)n;
	wire->in[wire->n] = '\0';
}

/*
 * Print the RESP value at p in readable form.  Returns what follows it, or
 * NULL when it is not whole yet.  Every value begins with a byte that says its
 * type and a line that says its length or is itself the value.
 */
static const char *
render(const char *p, const char *end, FILE *out)
{
	const char *eol = strstr(p, "\r\n"), *next;
	char type = *p++;
	long n, i;

	if (eol == NULL)
		return NULL;
	n = strtol(p, NULL, 10);
	next = eol + 2;
	switch (type) {
	case '$':		/* a string of n bytes; -1 is null in RESP2 */
		if (n >= 0 && n > end - next - 2)
			return NULL;
		fprintf(out, "%.*s", n < 0 ? 4 : (int)n, n < 0 ? "null" : next);
		return n < 0 ? next : next + n + 2;
	case '%':		/* a map: n keys, each followed by its value */
	case '*':		/* an array of n */
	case '>':		/* a push: an array that nobody asked for */
		n *= type == '%' ? 2 : 1;
		fputc(type == '%' ? '{' : '[', out);
		for (i = 0; i < n && next != NULL; i++) {
			if (i > 0)
				fputs(type == '%' && i % 2 ? ": " : ", ", out);
			next = render(next, end, out);
		}
		fputc(type == '%' ? '}' : ']', out);
		return next;
	case '_':
		fputs("null", out);
		return next;
	case '-':		/* an error: its sign stays, to know it by */
		fputc('-', out);
		/* FALLTHROUGH */
	default:		/* + simple string, : integer, , double, # bool */
		fprintf(out, "%.*s", (int)(eol - p), p);
		return next;
	}
}

static bool
is_error(const char *text)
{
	return text[0] == '-';
}

/* Text of the value at *p, which moves past it; NULL when not whole. Heap. */
static char *
render_text(const char **p, const char *end)
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	const char *next = render(*p, end, out);

	fclose(out);
	if (next == NULL) {
		free(text);
		return NULL;
	}
	*p = next;
	return text;
}

/*
 * The next value received: a push, a reply, or a reply to a request that had a
 * tag, which is the array `reply`, tag, value.  False when there is none yet.
 */
static bool
wire_next(struct wire *wire, char *type_out, char **tag_out, char **text_out)
{
	static const char tagged[] = "*3\r\n+reply\r\n";
	const char *p = wire->in, *end = wire->in + wire->n;

	*tag_out = NULL;
	*type_out = *p;
	if (strncmp(p, tagged, strlen(tagged)) == 0) {
		p += strlen(tagged);
		*tag_out = render_text(&p, end);
		if (*tag_out == NULL)
			return false;
	}
	*text_out = render_text(&p, end);
	if (*text_out == NULL) {
		free(*tag_out);
		return false;
	}
	wire->n = (size_t)(end - p);
	memmove(wire->in, p, wire->n + 1);
	return true;
}

/*
 * Send and wait in place, as a blocking driver does; of pushes that come
 * meanwhile the beginning is told.  Heap.
 */
static char *
call_blocking(struct wire *wire, const char **words)
{
	char *tag, *text, type;

	wire_send(wire, words);
	for (;;) {
		struct pollfd pfd = { .fd = wire->fd, .events = POLLIN };

		while (wire_next(wire, &type, &tag, &text)) {
			free(tag);
			if (type != '>')
				return text;
			say("push", "%.60s ...", text);
			free(text);
		}
		poll(&pfd, 1, -1);
		wire_receive(wire);
	}
}

#define CALL(wire, ...) \
	call_blocking(wire, (const char *[]){ __VA_ARGS__, NULL })

/* For a reply that can only be good. */
static void
expect_good(char *text)
{
	if (is_error(text))
		die("%s", text + 1);
	free(text);
}

#endif
