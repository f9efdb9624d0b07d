/* The blocking calls: a connection, waited for in place. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/heap.h"
#include "client/conn.h"
#include "client/mux.h"
#include "client/reply.h"
#include "client/unit.h"

/* A wait for a reply. */
struct wait {
	struct lk_conn	*conn;
	uint64_t	 end_us;	/* LK_NEVER */
	bool		 is_done;
	struct lk_reply	*reply;
	struct lk_waiter waiter;
};

static void
take_reply(void *arg, struct lk_reply *reply)
{
	struct wait *wait = arg;

	wait->reply = reply;
	wait->is_done = true;
}

static void
init_wait(struct wait *wait, struct lk_conn *conn)
{
	int timeout_ms = conn->options.timeout_ms;

	*wait = (struct wait){ .conn = conn, .end_us = LK_NEVER };
	wait->waiter = (struct lk_waiter){ take_reply, wait, false };
	if (timeout_ms > 0)
		wait->end_us = lk_clock_us() +
		    (uint64_t)timeout_ms * LK_US_PER_MS;
}

static int
left_ms(const struct wait *wait)
{
	uint64_t now_us = lk_clock_us(), ms;

	if (wait->end_us == LK_NEVER)
		return -1;
	if (wait->end_us <= now_us)
		return 0;
	ms = (wait->end_us - now_us + LK_US_PER_MS - 1) / LK_US_PER_MS;
	return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* A daemon that says nothing for so long is taken for dead. */
static void
give_up(struct wait *wait)
{
	char why[64];

	snprintf(why, sizeof(why), "no reply from the daemon in %d ms",
	    wait->conn->options.timeout_ms);
	lk_conn_drop(wait->conn, why);
}

/* One step of it. */
static void
wait_some(struct wait *wait)
{
	int ms = left_ms(wait);

	if (ms == 0)
		give_up(wait);
	else
		lk_conn_wait(wait->conn, ms);
}

struct lk_conn *
lk_open(const struct lk_options *options, struct lk_reply **error_out)
{
	struct lk_conn *conn = lk_conn_make(options, true);
	int saved = errno;

	if (conn != NULL) {
		do
			lk_conn_wait(conn, -1);
		while (conn->state == LK_STATE_CONNECTING);
		if (conn->state == LK_STATE_UP)
			return conn;
		saved = conn->last_errno;
	}
	if (error_out != NULL)
		*error_out = lk_reply_local(LK_ERR_CONNLOST, "%s",
		    conn != NULL ? conn->why : strerror(saved));
	lk_conn_free(&conn);
	errno = saved;
	return NULL;
}

/* The reply to what has this number, or why it has none. */
static struct lk_reply *
wait_for(struct wait *wait, uint64_t number)
{
	if (number == 0)
		return lk_reply_local(errno == ENOMEM ? LK_ERR_OVERLOAD :
		    LK_ERR_SYNTAX, "the request cannot be made: %s",
		    strerror(errno));
	lk_conn_handle(wait->conn, LK_WRITE);
	while (!wait->is_done)
		wait_some(wait);
	return wait->reply;
}

/*
 * An end of the connection that is known by now is better noticed before the
 * request is sent than behind it.
 */
static void
prepare(struct lk_conn *conn)
{
	lk_conn_handle(conn, LK_READ);
	lk_conn_say_thread(conn);
}

struct lk_reply *
lk_call(struct lk_conn *conn, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words, const size_t *lens)
{
	struct lk_verb_traits traits = lk_verb_traits(n_words, words, lens);
	struct lk_envelope whole;
	struct lk_reply *reply;
	struct wait wait;

	if (!lk_unit_read_envelope(&whole, envelope))
		return lk_reply_local(LK_ERR_SYNTAX, "no envelope");
	prepare(conn);
	init_wait(&wait, conn);
	whole.flags |= LK_IN_ORDER;
	reply = lk_scope_enter(&conn->scope, conn, &traits, &whole);
	if (reply != NULL)
		return reply;
	reply = wait_for(&wait, lk_conn_submit(conn, &whole, n_words, words,
	    lens, &wait.waiter));
	lk_scope_leave(&conn->scope, conn, &traits, NULL, reply);
	return reply;
}

struct lk_reply *
lk_call_unit(struct lk_conn *conn, const struct lk_envelope *envelope,
    const struct lk_unit *unit)
{
	struct lk_envelope whole;
	struct lk_reply *reply;
	struct wait wait;

	if (!lk_unit_read_envelope(&whole, envelope))
		return lk_reply_local(LK_ERR_SYNTAX, "no envelope");
	prepare(conn);
	init_wait(&wait, conn);
	whole.flags |= LK_IN_ORDER;
	reply = lk_scope_enter_unit(&conn->scope);
	if (reply != NULL)
		return reply;
	return wait_for(&wait, lk_conn_submit_unit(conn, &whole, unit,
	    &wait.waiter));
}

struct lk_reply *
lk_ask(struct lk_conn *conn, const char *verb, ...)
{
	const char *few[16], **words = few;
	struct lk_reply *reply;
	const char *word;
	size_t n = 1, i;
	va_list ap;

	va_start(ap, verb);
	while (va_arg(ap, const char *) != NULL)
		n++;
	va_end(ap);
	if (n > sizeof(few) / sizeof(few[0]))
		words = malloc(n * sizeof(*words));
	if (words == NULL)
		return lk_reply_local(LK_ERR_OVERLOAD, "no memory for a "
		    "request of this size");
	words[0] = verb;
	va_start(ap, verb);
	for (i = 1; (word = va_arg(ap, const char *)) != NULL; i++)
		words[i] = word;
	va_end(ap);
	reply = lk_call(conn, NULL, n, words, NULL);
	if (words != few)
		free(words);
	return reply;
}

/* ---- prompts ---- */

int
lk_send(struct lk_conn *conn, size_t n_words, const char *const *words,
    const size_t *lens)
{
	prepare(conn);
	conn->is_raw = true;
	if (conn->state != LK_STATE_UP) {
		errno = ENOTCONN;
		return -1;
	}
	if (lk_mux_put(conn->mux, n_words, words, lens) < 0)
		return -1;
	lk_conn_handle(conn, LK_WRITE);
	return 0;
}

struct lk_reply *
lk_read(struct lk_conn *conn)
{
	struct lk_reply *reply;
	struct wait wait;

	init_wait(&wait, conn);
	while (conn->n_strays == 0) {
		if (conn->state != LK_STATE_UP)
			return lk_reply_local(LK_ERR_UNKNOWN, "%s",
			    conn->why != NULL ? conn->why : "not connected");
		wait_some(&wait);
	}
	reply = conn->strays[0];
	conn->n_strays--;
	memmove(conn->strays, conn->strays + 1,
	    conn->n_strays * sizeof(*conn->strays));
	return reply;
}
