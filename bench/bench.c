#include "bench.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/client.h"

#define ROOM	(64 * 1024)	/* for one read */

void
bench_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

double
bench_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

int
bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

PGconn *
bench_connect(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		bench_die("%s", PQerrorMessage(conn));
	bench_exec(conn, "SET client_min_messages = warning");
	return conn;
}

void
bench_exec(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	if (PQresultStatus(result) != PGRES_COMMAND_OK &&
	    PQresultStatus(result) != PGRES_TUPLES_OK)
		bench_die("%s: %s", sql, PQerrorMessage(conn));
	PQclear(result);
}

void
bench_open_link(struct bench_link *link, const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	link->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (link->fd < 0 ||
	    connect(link->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
		bench_die("%s: %s", path, strerror(errno));
	fcntl(link->fd, F_SETFL, O_NONBLOCK);
	lk_buf_init(&link->in);
	lk_buf_init(&link->out);
	link->n_decoded = 0;
}

void
bench_close_link(struct bench_link *link)
{
	close(link->fd);
	lk_buf_fini(&link->in);
	lk_buf_fini(&link->out);
}

void
bench_send_some(struct bench_link *link)
{
	ssize_t n = write(link->fd, link->out.data, link->out.len);

	if (n > 0)
		lk_buf_consume(&link->out, (size_t)n);
	else if (n < 0 && errno != EAGAIN)
		bench_die("write: %s", strerror(errno));
}

void
bench_read_some(struct bench_link *link)
{
	ssize_t n;

	lk_buf_consume(&link->in, link->n_decoded);
	link->n_decoded = 0;
	n = read(link->fd, lk_buf_reserve(&link->in, ROOM), ROOM);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		bench_die("the daemon closed the connection");
	link->in.len += n > 0 ? (size_t)n : 0;
}

bool
bench_next_reply(struct bench_link *link, struct lk_value *reply_out)
{
	struct lk_error error = { 0 };
	size_t used;

	if (lk_value_decode(link->in.data + link->n_decoded,
	    link->in.len - link->n_decoded, reply_out, &used, &error) != 0)
		return false;
	link->n_decoded += used;
	if (reply_out->n_items != 3)
		bench_die("a reply without a tag: %s", reply_out->text != NULL ?
		    reply_out->text : "");
	return true;
}
