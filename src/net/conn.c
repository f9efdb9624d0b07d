#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/log.h"
#include "net/listener.h"
#include "net/outq.h"

/* A peer that reads nothing for so long does not get its last replies. */
#define CLOSE_WAIT_S	5

/* Turns of reading for lk_conn_drain(): one who sends on and on is alive. */
#define DRAIN_TURNS	16

/* Kept input takes at most this many times its bytes. */
#define INPUT_SLACK	4
#define INPUT_SMALL	1024

/* Up to so much is put before what is read next. */
#define INPUT_JOINED	4096

/*
 * A connection is freed in drop() only, and never while is_busy: core may
 * close it, or reply to it, from inside the request that it just sent.  What
 * makes it end meanwhile is noted in is_failed and done by settle().
 */
struct lk_conn {
	struct lk_list	 link;		/* conns->all */
	struct lk_list	 dirty_link;	/* conns->dirty */
	struct lk_conns	*conns;
	struct lk_client *client;
	struct event	 event;
	int		 fd;
	short		 watched;	/* what event is set for; 0: nothing */
	bool		 is_busy;	/* its input is with core */
	bool		 is_failed;	/* to be dropped: the peer is gone, or a
					   stream is no longer whole */
	bool		 is_deaf;	/* sent no RESP: input is thrown away */
	bool		 is_closing;	/* ends when its output is out */
	bool		 is_paused;	/* too many unread replies: not read */
	struct lk_buf	 input;		/* bytes of a request that is not whole,
					   and when paused what is behind it */
	struct lk_request_decoder *decoder;	/* while input is not empty */
	struct lk_outq	 out;
	uint64_t	 taken_us;	/* paused: when the peer last took some */
};

void
lk_conns_init(struct lk_conns *conns, struct event_base *base,
    const struct lk_config *config, struct lk_core *core,
    void (*after_input)(void *ctx), void *ctx)
{
	*conns = (struct lk_conns){
		.base = base,
		.config = config,
		.core = core,
		.after_input = after_input,
		.ctx = ctx,
	};
	lk_list_init(&conns->all);
	lk_list_init(&conns->dirty);
}

void
lk_conns_set_config(struct lk_conns *conns, const struct lk_config *config)
{
	conns->config = config;
}

static void
mark_dirty(struct lk_conn *conn)
{
	if (!lk_list_is_linked(&conn->dirty_link))
		lk_list_append(&conn->conns->dirty, &conn->dirty_link);
}

static size_t
output_limit(const struct lk_conn *conn)
{
	return conn->conns->config->limit_output_bytes;
}

/* ---- its end ---- */

static void
fail(struct lk_conn *conn, const char *why, int error)
{
	struct lk_log_about about = { 0 };

	lk_assert_loop();
	about.client = lk_core_client_id(conn->client);
	lk_log_about(&about, LK_LOG_ERROR, "the connection ends: %s: %s", why,
	    strerror(error));
	conn->is_failed = true;
}

static void
drop(struct lk_conn *conn)
{
	lk_assert_loop();
	conn->is_busy = true;	/* core may not drain it any more */
	if (!conn->is_failed)
		lk_outq_send(&conn->out, conn->fd);
	if (conn->watched != 0)
		event_del(&conn->event);
	lk_core_client_gone(&conn->client);
	close(conn->fd);
	lk_list_remove(&conn->link);
	lk_list_remove(&conn->dirty_link);
	lk_request_decoder_free(&conn->decoder);
	lk_buf_fini(&conn->input);
	lk_outq_fini(&conn->out);
	free(conn);
}

void
lk_conns_fini(struct lk_conns *conns)
{
	while (!lk_list_is_empty(&conns->all))
		drop(lk_container(conns->all.next, struct lk_conn, link));
	lk_request_decoder_free(&conns->decoder);
	free(conns->scratch);
}

/* ---- what its event is set for ---- */

static void on_event(evutil_socket_t fd, short what, void *arg);

static short
wanted_events(const struct lk_conn *conn)
{
	short events = EV_PERSIST;

	if (conn->is_closing)
		return events | EV_WRITE;
	/* Unread input hides a peer's death from EV_READ, not from EV_CLOSED. */
	events |= conn->is_paused ? EV_CLOSED : EV_READ;
	if (conn->out.n_bytes > 0)
		events |= EV_WRITE;
	return events;
}

/* How long it may do nothing of what its event is set for; NULL: for ever. */
static const struct timeval *
find_patience(const struct lk_conn *conn, struct timeval *patience)
{
	uint64_t stall_us = conn->conns->config->limit_stall_us;

	if (conn->is_closing) {
		*patience = (struct timeval){ CLOSE_WAIT_S, 0 };
		return patience;
	}
	if (!conn->is_paused || stall_us == 0)
		return NULL;
	patience->tv_sec = (time_t)(stall_us / LK_US_PER_S);
	patience->tv_usec = (suseconds_t)(stall_us % LK_US_PER_S);
	return patience;
}

static void
watch(struct lk_conn *conn)
{
	struct timeval patience;
	short events = wanted_events(conn);

	if (events == conn->watched)
		return;
	if (conn->watched != 0)
		event_del(&conn->event);
	conn->watched = 0;
	if (event_assign(&conn->event, conn->conns->base, conn->fd, events,
	    on_event, conn) == 0 &&
	    event_add(&conn->event, find_patience(conn, &patience)) == 0) {
		conn->watched = events;
		return;
	}
	fail(conn, "cannot watch it", errno);
	mark_dirty(conn);
}

/* ---- output ---- */

static void
send_some(struct lk_conn *conn)
{
	size_t n_before = conn->out.n_bytes;

	if (conn->is_failed)
		return;
	if (lk_outq_send(&conn->out, conn->fd) < 0)
		conn->is_failed = true;
	if (conn->out.n_bytes < n_before)
		conn->taken_us = lk_clock_us();
}

static void
pause_reading(struct lk_conn *conn)
{
	lk_assert_loop();
	if (conn->is_paused)
		return;
	conn->taken_us = lk_clock_us();
	conn->is_paused = true;
	lk_core_client_pause(conn->client, true);
}

void
lk_conn_reply(void *arg, struct lk_buf *bytes)
{
	struct lk_conn *conn = arg;

	if (lk_outq_append(&conn->out, bytes) < 0)
		fail(conn, "cannot keep its replies", ENOMEM);
	mark_dirty(conn);
}

void
lk_conn_reply_head(void *arg, const void *bytes, size_t n)
{
	struct lk_conn *conn = arg;

	if (lk_outq_put(&conn->out, bytes, n) < 0)
		fail(conn, "cannot keep its replies", ENOMEM);
	mark_dirty(conn);
}

void
lk_conn_close(void *arg)
{
	struct lk_conn *conn = arg;

	conn->is_closing = true;
	mark_dirty(conn);
}

uint64_t
lk_conn_stalled_us(void *arg)
{
	const struct lk_conn *conn = arg;

	return conn->is_paused ? lk_clock_us() - conn->taken_us : 0;
}

void
lk_conn_drop(void *arg)
{
	struct lk_conn *conn = arg;

	conn->is_failed = true;
	mark_dirty(conn);
}

/* ---- input ---- */

/* Whether its next request may go to core; one that grows too many unread
 * replies is paused in the middle of its input. */
static bool
may_go_on(struct lk_conn *conn)
{
	if (conn->is_failed || conn->is_closing || conn->is_deaf)
		return false;
	if (conn->out.n_bytes > output_limit(conn)) {
		send_some(conn);
		if (conn->out.n_bytes > output_limit(conn))
			pause_reading(conn);
	}
	return !conn->is_paused && !conn->is_failed;
}

static void
refuse(struct lk_conn *conn, struct lk_error *error)
{
	lk_assert_loop();
	conn->is_deaf = true;
	lk_core_bad_request(conn->client, error);
}

/* Give whole requests to core; returns how many bytes are done with. */
static size_t
handle_requests(struct lk_conn *conn, const char *bytes, size_t n)
{
	struct lk_error error = { 0 };
	const struct lk_arg *args;
	size_t n_args, n_used, done = 0;
	int rc = 0;

	lk_assert_loop();
	while (done < n && may_go_on(conn)) {
		rc = lk_request_decode(conn->decoder, bytes + done, n - done,
		    &args, &n_args, &n_used, &error);
		if (rc < 0)
			break;
		done += n_used;
		if (n_args > 0)
			lk_core_request(conn->client, args, n_args);
	}
	if (rc < 0 && rc != -LK_E_AGAIN)
		refuse(conn, &error);
	lk_error_fini(&error);
	return conn->is_deaf || conn->is_closing ? n : done;
}

static void
shrink_input(struct lk_buf *input)
{
	struct lk_buf copy = LK_BUF_INIT;

	if (input->len > 0 && (input->cap <= INPUT_SMALL ||
	    input->cap / INPUT_SLACK <= input->len))
		return;
	lk_buf_append(&copy, input->data, input->len);
	if (copy.broken) {
		lk_buf_fini(&copy);
		return;
	}
	lk_buf_fini(input);
	*input = copy;
}

/* A decoder is needed as long as it is inside a request. */
static void
take_decoder(struct lk_conn *conn)
{
	struct lk_conns *conns = conn->conns;
	size_t max_bytes = conns->config->limit_request_bytes;

	if (conn->decoder != NULL)
		return;
	conn->decoder = conns->decoder;
	conns->decoder = NULL;
	if (conn->decoder == NULL)
		conn->decoder = lk_request_decoder_new(max_bytes);
	else
		lk_request_decoder_set_max(conn->decoder, max_bytes);
}

static void
give_decoder(struct lk_conn *conn)
{
	/* One that met bytes that are no RESP is of no more use. */
	if (conn->conns->decoder == NULL && !conn->is_deaf) {
		conn->conns->decoder = conn->decoder;
		conn->decoder = NULL;
	}
	lk_request_decoder_free(&conn->decoder);
}

/* bytes, behind those kept from before. */
static void
handle_input(struct lk_conn *conn, const char *bytes, size_t n)
{
	size_t done;

	take_decoder(conn);
	conn->is_busy = true;
	if (conn->input.len > 0) {
		lk_buf_append(&conn->input, bytes, n);
		done = handle_requests(conn, conn->input.data, conn->input.len);
		lk_buf_consume(&conn->input, done);
	} else {
		done = handle_requests(conn, bytes, n);
		lk_buf_append(&conn->input, bytes + done, n - done);
	}
	shrink_input(&conn->input);
	conn->is_busy = false;
	if (conn->input.broken)
		fail(conn, "cannot keep its request", ENOMEM);
	if (conn->input.len == 0)
		give_decoder(conn);
}

/*
 * Who sends many requests at once has the last of them cut by nearly every
 * read.  What is kept of it goes before what is read next, instead of that
 * behind it: so few bytes are copied, and no room has to be made.
 */
static size_t
join_input(const struct lk_conn *conn, char *scratch)
{
	size_t n = conn->input.len;

	if (n == 0 || n > INPUT_JOINED)
		return 0;
	memcpy(scratch, conn->input.data, n);
	return n;
}

static void
handle_joined(struct lk_conn *conn, const char *scratch, size_t n_kept,
    size_t n)
{
	if (n_kept > 0)
		lk_buf_truncate(&conn->input, 0);
	handle_input(conn, scratch, n_kept + n);
}

/*
 * Read once.  Returns whether there may be more to read; the end of the stream
 * is a failure of it, too.
 *
 * The scratch buffer is taken away while core sees what is in it: inside that
 * call core may drain another connection.
 */
static bool
read_some(struct lk_conn *conn)
{
	struct lk_conns *conns = conn->conns;
	char *scratch = conns->scratch;
	size_t n_kept;
	ssize_t n;

	conns->scratch = NULL;
	if (scratch == NULL)
		scratch = lk_xmalloc(INPUT_JOINED + LK_CONN_READ_BYTES);
	n_kept = join_input(conn, scratch);
	do {
		n = recv(conn->fd, scratch + n_kept, LK_CONN_READ_BYTES,
		    MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n == 0 || (n < 0 && errno != EAGAIN))
		conn->is_failed = true;
	else if (n > 0 && !conn->is_deaf && !conn->is_closing)
		handle_joined(conn, scratch, n_kept, (size_t)n);
	if (conns->scratch == NULL)
		conns->scratch = scratch;
	else
		free(scratch);
	return n > 0 && !conn->is_failed;
}

/* ---- after something happened ---- */

/* Send, pause or go on; may free conn. */
static void
settle(struct lk_conn *conn)
{
	lk_assert_loop();
	send_some(conn);
	if (conn->is_failed ||
	    (conn->is_closing && conn->out.n_bytes == 0)) {
		drop(conn);
		return;
	}
	if (conn->out.n_bytes > output_limit(conn)) {
		pause_reading(conn);
	} else if (conn->is_paused &&
	    conn->out.n_bytes <= output_limit(conn) / 2) {
		conn->is_paused = false;
		lk_core_client_pause(conn->client, false);
		/* What was read already: no event will tell of it. */
		if (conn->input.len > 0)
			handle_input(conn, NULL, 0);
		mark_dirty(conn);
	}
	watch(conn);
}

void
lk_conns_flush(struct lk_conns *conns)
{
	struct lk_conn *conn;

	/* One's end may give another a reply, so the list may grow. */
	while (!lk_list_is_empty(&conns->dirty)) {
		conn = lk_container(conns->dirty.next, struct lk_conn,
		    dirty_link);
		lk_list_remove(&conn->dirty_link);
		settle(conn);
	}
}

bool
lk_conn_drain(void *arg)
{
	struct lk_conn *conn = arg;
	int i;

	if (conn->is_busy || conn->is_paused || conn->is_failed)
		return false;
	for (i = 0; i < DRAIN_TURNS && read_some(conn); i++)
		;
	mark_dirty(conn);
	if (conn->is_failed) {
		drop(conn);
		return true;
	}
	/* What is thrown away changes nothing. */
	return conn->is_deaf || conn->is_closing ||
	    (i < DRAIN_TURNS && conn->input.len == 0 && !conn->is_paused);
}

/* It has read nothing for CLOSE_WAIT_S, or for limits.stall. */
static void
give_up(struct lk_conn *conn)
{
	lk_assert_loop();
	conn->is_failed = true;
	if (!conn->is_closing)
		lk_core_client_stalled(conn->client);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct lk_conn *conn = arg;
	struct lk_conns *conns = conn->conns;

	(void)fd;
	lk_assert_loop();
	lk_core_set_now(conns->core, lk_clock_us());
	if (what & EV_READ)
		read_some(conn);
	else if (what & EV_CLOSED)
		conn->is_failed = true;
	else if (what & EV_TIMEOUT)
		give_up(conn);
	mark_dirty(conn);
	lk_conns_flush(conns);
	conns->after_input(conns->ctx);
}

void
lk_conn_start(struct lk_conns *conns, int fd, const struct lk_peer *peer)
{
	struct lk_conn *conn = lk_xcalloc(1, sizeof(*conn));

	conn->conns = conns;
	conn->fd = fd;
	lk_list_init(&conn->dirty_link);
	lk_list_append(&conns->all, &conn->link);
	lk_outq_init(&conn->out);
	conn->client = lk_core_client_new(conns->core, conn, peer);
	watch(conn);
}
