#include "client/conn.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/die.h"
#include "base/heap.h"
#include "client/mux.h"
#include "client/reply.h"
#include "client/task.h"

#define READ_BYTES	((size_t)64 * 1024)
/* Reads of one turn, so that one connection does not keep the thread. */
#define MAX_READS	16

#define WAIT_MS		5000
/* A daemon that lives answers HELLO sooner, whatever else it does. */
#define GREETING_MS	30000
/* Between attempts: the first wait, and what it grows to. */
#define FIRST_RETRY_MS	10
#define MAX_RETRY_MS	5000

/* ---- options ---- */

static bool
copy_text(const char **text)
{
	if (*text == NULL)
		return true;
	*text = strdup(*text);
	return *text != NULL;
}

/* A copy that is whole and the heap's; false with errno. */
static bool
copy_options(struct lk_options *to, const struct lk_options *from)
{
	const char *socket = getenv("LOCKKEEPER_SOCKET");

	*to = (struct lk_options)LK_OPTIONS_INIT;
	if (from != NULL && (from->size < sizeof(from->size) ||
	    from->size > sizeof(*to))) {
		errno = EINVAL;
		return false;
	}
	if (from != NULL)
		memcpy(to, from, from->size);
	if (to->proto == 0)
		to->proto = 3;
	if (to->wait_ms == 0)
		to->wait_ms = WAIT_MS;
	if (to->socket == NULL)
		to->socket = socket != NULL && socket[0] != '\0' ? socket :
		    LK_DEFAULT_SOCKET;
	if (to->proto != 2 && to->proto != 3)
		errno = EINVAL;
	else if (strlen(to->socket) >= LK_SOCKET_PATH_BYTES)
		errno = ENAMETOOLONG;
	else
		errno = 0;
	return errno == 0;
}

static bool
copy_texts(struct lk_options *options)
{
	/* All, so that all can be freed. */
	bool is_whole = copy_text(&options->socket);

	is_whole = copy_text(&options->name) && is_whole;
	is_whole = copy_text(&options->database) && is_whole;
	is_whole = copy_text(&options->group) && is_whole;
	return copy_text(&options->rows) && is_whole;
}

static void
free_texts(struct lk_options *options)
{
	free((char *)(uintptr_t)options->socket);
	free((char *)(uintptr_t)options->name);
	free((char *)(uintptr_t)options->database);
	free((char *)(uintptr_t)options->group);
	free((char *)(uintptr_t)options->rows);
}

/* ---- greeting ---- */

/* HELLO, alone on the stream until it is answered. */
static void
greet(struct lk_conn *conn)
{
	const struct lk_options *o = &conn->options;
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	char thread[LK_THREAD_TEXT_BYTES];
	const char *words[16];
	size_t n = 0;

	lk_thread_text(thread);
	conn->thread = lk_thread_number();
	words[n++] = "HELLO";
	words[n++] = o->proto == 2 ? "2" : "3";
	words[n++] = "THREAD";
	words[n++] = thread;
	words[n++] = "MODE";
	words[n++] = conn->is_blocking ? "blocking" : "async";
	if (o->proto == 3) {
		words[n++] = "ERRORS";
		words[n++] = "blob";
	}
#define OPTION(word, value)						\
	if ((value) != NULL) {						\
		words[n++] = (word);					\
		words[n++] = (value);					\
	}
	OPTION("NAME", o->name)
	OPTION("DATABASE", o->database)
	OPTION("GROUP", o->group)
	OPTION("ROWS", o->rows)
#undef OPTION
	envelope.flags = LK_IN_ORDER;
	conn->greeter = lk_mux_new();
	lk_assert(conn->greeter != NULL);
	lk_mux_submit(conn->greeter, &envelope, n, words, NULL, NULL);
}

void
lk_conn_say_thread(struct lk_conn *conn)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	char thread[LK_THREAD_TEXT_BYTES];
	const char *words[] = { "HELLO", "THREAD", thread };

	if (conn->state != LK_STATE_UP || lk_thread_number() == conn->thread)
		return;
	lk_thread_text(thread);
	conn->thread = lk_thread_number();
	envelope.flags = LK_IN_ORDER;
	lk_mux_tell(conn->mux, &envelope, 3, words);
}

/* ---- states ---- */

static void
set_state(struct lk_conn *conn, enum lk_state state)
{
	if (conn->state == state)
		return;
	conn->state = state;
	if (conn->options.on_state != NULL && !conn->is_closed)
		conn->options.on_state(conn->options.arg, conn, state,
		    state == LK_STATE_DOWN ? conn->why : "");
}

static void
set_why(struct lk_conn *conn, const char *why)
{
	free(conn->why);
	conn->why = lk_xstrdup(why);
}

static uint64_t
after_ms(int ms)
{
	return lk_clock_us() + (uint64_t)(ms > 0 ? ms : 0) * LK_US_PER_MS;
}

/* Longer after each failure, and not for all clients at once. */
static void
plan_retry(struct lk_conn *conn)
{
	uint64_t wait_ms = FIRST_RETRY_MS;
	unsigned i;

	for (i = 0; i < conn->n_failed && wait_ms < MAX_RETRY_MS; i++)
		wait_ms *= 2;
	if (wait_ms > MAX_RETRY_MS)
		wait_ms = MAX_RETRY_MS;
	wait_ms += lk_clock_us() % (wait_ms / 2 + 1);
	conn->retry_us = after_ms((int)wait_ms);
	conn->n_failed++;
}

static void
close_fd(struct lk_conn *conn)
{
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->is_deaf = false;
	conn->greet_us = LK_NEVER;
	lk_mux_free(&conn->greeter);
}

static void
hand_over(struct lk_waiter *waiter, struct lk_reply *reply)
{
	struct lk_waiter copy = *waiter;

	if (waiter->is_heap)
		free(waiter);
	if (copy.done != NULL)
		copy.done(copy.arg, reply);
	else
		lk_reply_free(&reply);
}

/* All that waits fails, with what can be said of it. */
static void
fail_all(struct lk_conn *conn, const char *why)
{
	struct lk_mux *old = conn->mux;
	struct lk_reply *reply;
	enum lk_mux_event event;
	void *arg;

	conn->mux = lk_mux_new();
	lk_assert(conn->mux != NULL);
	lk_mux_lose(old, why);
	while ((event = lk_mux_next(old, &reply, &arg)) != LK_MUX_NOTHING) {
		if (event == LK_MUX_REPLY)
			hand_over(arg, reply);
		else
			lk_reply_free(&reply);
	}
	lk_mux_free(&old);
}

void
lk_conn_drop(struct lk_conn *conn, const char *why)
{
	char *copy = lk_xstrdup(why);

	conn->depth++;
	conn->epoch++;
	conn->last_errno = 0;
	close_fd(conn);
	set_why(conn, copy);
	plan_retry(conn);
	conn->give_up_us = after_ms(conn->options.wait_ms);
	set_state(conn, LK_STATE_DOWN);
	fail_all(conn, copy);
	conn->depth--;
	free(copy);
}

/* There is no connection yet; who waits for one waits on. */
static void
fail_attempt(struct lk_conn *conn, const char *why)
{
	close_fd(conn);
	set_why(conn, why);
	plan_retry(conn);
	set_state(conn, LK_STATE_DOWN);
}

static int
greeting_ms(const struct lk_conn *conn)
{
	return conn->options.timeout_ms > 0 ? conn->options.timeout_ms :
	    GREETING_MS;
}

static void
attempt(struct lk_conn *conn)
{
	char why[LK_SOCKET_PATH_BYTES + 128];

	conn->retry_us = LK_NEVER;
	set_state(conn, LK_STATE_CONNECTING);
	if (conn->is_closed)
		return;
	if (conn->greet_us == LK_NEVER)
		conn->greet_us = after_ms(greeting_ms(conn));
	conn->fd = lk_socket_connect(conn->options.socket);
	if (conn->fd >= 0) {
		conn->last_errno = 0;
		greet(conn);
		return;
	}
	conn->last_errno = errno;
	snprintf(why, sizeof(why), "%s: %s", conn->options.socket,
	    strerror(errno));
	if (conn->last_errno == EAGAIN)		/* it is only busy */
		conn->retry_us = after_ms(FIRST_RETRY_MS);
	else
		fail_attempt(conn, why);
}

/* ---- what comes ---- */

static void
keep_stray(struct lk_conn *conn, struct lk_reply *reply)
{
	size_t cap = conn->cap_strays != 0 ? 2 * conn->cap_strays : 8;

	if (!conn->is_raw) {
		lk_reply_free(&reply);
		return;
	}
	if (conn->n_strays == conn->cap_strays) {
		conn->strays = lk_xrealloc(conn->strays,
		    cap * sizeof(*conn->strays));
		conn->cap_strays = cap;
	}
	conn->strays[conn->n_strays++] = reply;
}

/* What answers SUBSCRIBE, where nothing else does. */
static bool
is_confirmation(const struct lk_reply *push)
{
	const char *kind = lk_reply_text(lk_reply_at(push, 0), NULL);

	return strcmp(kind, "subscribe") == 0 ||
	    strcmp(kind, "unsubscribe") == 0;
}

static void
take_push(struct lk_conn *conn, struct lk_reply *push)
{
	if (conn->is_raw && is_confirmation(push)) {
		keep_stray(conn, push);
		return;
	}
	if (conn->options.on_push != NULL)
		conn->options.on_push(conn->options.arg, conn, push);
	lk_reply_free(&push);
}

/* Call everybody whose reply is here.  Any of them may close us. */
static void
deliver(struct lk_conn *conn)
{
	unsigned epoch = conn->epoch;
	enum lk_mux_event event;
	struct lk_reply *reply;
	void *arg;

	while (!conn->is_closed && conn->epoch == epoch) {
		event = lk_mux_next(conn->mux, &reply, &arg);
		if (event == LK_MUX_NOTHING)
			return;
		if (event == LK_MUX_PUSH) {
			take_push(conn, reply);
		} else if (event == LK_MUX_STRAY) {
			keep_stray(conn, reply);
		} else {
			conn->n_failed = 0;	/* it is of use */
			hand_over(arg, reply);
		}
	}
}

static void
be_up(struct lk_conn *conn, struct lk_reply *hello)
{
	lk_reply_free(&conn->hello);
	conn->hello = hello;
	lk_mux_pass_on(conn->greeter, conn->mux);
	lk_mux_free(&conn->greeter);
	conn->greet_us = conn->give_up_us = LK_NEVER;
	set_state(conn, LK_STATE_UP);
}

/* HELLO's reply, which may not be there yet. */
static void
take_greeting(struct lk_conn *conn)
{
	struct lk_reply *reply;
	enum lk_mux_event event;
	char why[256];
	void *arg;

	while ((event = lk_mux_next(conn->greeter, &reply, &arg)) ==
	    LK_MUX_PUSH)
		lk_reply_free(&reply);
	if (event == LK_MUX_NOTHING)
		return;
	if (!lk_reply_is_error(reply)) {
		be_up(conn, reply);
		return;
	}
	snprintf(why, sizeof(why), "the daemon refused HELLO: %s %s %s",
	    lk_reply_kind_word(reply), lk_reply_sqlstate(reply),
	    lk_reply_text(reply, NULL));
	lk_reply_free(&reply);
	fail_attempt(conn, why);
}

/* ---- bytes ---- */

static struct lk_mux *
stream_of(const struct lk_conn *conn)
{
	return conn->state == LK_STATE_UP ? conn->mux : conn->greeter;
}

/* This connection has ended, or never became one. */
static void
end_stream(struct lk_conn *conn, const char *why)
{
	if (conn->state == LK_STATE_UP)
		lk_conn_drop(conn, why);
	else
		fail_attempt(conn, why);
}

/* What the daemon said before it closed is read first: see is_deaf. */
static void
send_some(struct lk_conn *conn)
{
	struct lk_mux *mux = stream_of(conn);
	const char *bytes;
	ssize_t n;

	while (!conn->is_deaf && lk_mux_output(mux, &bytes) > 0) {
		n = send(conn->fd, bytes, lk_mux_output(mux, &bytes),
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n >= 0)
			lk_mux_sent(mux, (size_t)n);
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			return;
		else if (errno != EINTR)
			conn->is_deaf = true;
	}
}

/* Whether more may be there; *why_out is set when the stream has ended. */
static bool
receive_once(struct lk_conn *conn, const char **why_out)
{
	struct lk_mux *mux = stream_of(conn);
	char *room = lk_mux_room(mux, READ_BYTES);
	ssize_t n;

	if (room == NULL) {
		*why_out = lk_mux_error(mux);
		return false;
	}
	n = recv(conn->fd, room, READ_BYTES, MSG_DONTWAIT);
	if (n > 0) {
		lk_mux_came(mux, (size_t)n);
		return (size_t)n == READ_BYTES;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n == 0 || errno == ECONNRESET)
		*why_out = "the daemon closed the connection";
	else if (errno != EAGAIN && errno != EWOULDBLOCK)
		*why_out = strerror(errno);
	return false;
}

static void
receive_some(struct lk_conn *conn)
{
	unsigned epoch = conn->epoch, i;
	const char *why = NULL;
	bool has_more = true;

	for (i = 0; i < MAX_READS && has_more && why == NULL; i++) {
		has_more = receive_once(conn, &why);
		if (conn->state != LK_STATE_UP && conn->greeter != NULL)
			take_greeting(conn);
		if (conn->state == LK_STATE_UP)
			deliver(conn);
		/* Functions of the program's may have done anything. */
		if (conn->is_closed || conn->epoch != epoch || conn->fd < 0)
			return;
		if (why == NULL)
			why = lk_mux_error(stream_of(conn));
	}
	if (why != NULL)
		end_stream(conn, why);
}

/* ---- time ---- */

static void
run_timers(struct lk_conn *conn)
{
	uint64_t now_us = lk_clock_us();
	char why[128];

	if (conn->fd < 0 && now_us >= conn->retry_us)
		attempt(conn);
	if (conn->is_closed)
		return;
	if (now_us >= conn->greet_us) {
		snprintf(why, sizeof(why), "no reply from the daemon in %d ms",
		    greeting_ms(conn));
		fail_attempt(conn, why);
	}
	if (conn->state == LK_STATE_DOWN && now_us >= conn->give_up_us &&
	    lk_mux_outstanding(conn->mux) > 0)
		fail_all(conn, conn->why);
}

int
lk_conn_timeout_ms(const struct lk_conn *conn)
{
	uint64_t due_us = conn->retry_us, now_us;

	if (conn->greet_us < due_us)
		due_us = conn->greet_us;
	if (conn->state == LK_STATE_DOWN && conn->give_up_us < due_us &&
	    lk_mux_outstanding(conn->mux) > 0)
		due_us = conn->give_up_us;
	if (due_us == LK_NEVER)
		return -1;
	now_us = lk_clock_us();
	return due_us <= now_us ? 0 :
	    (int)((due_us - now_us + LK_US_PER_MS - 1) / LK_US_PER_MS);
}

/* ---- for event loops ---- */

int
lk_conn_fd(const struct lk_conn *conn)
{
	return conn->fd;
}

int
lk_conn_events(const struct lk_conn *conn)
{
	const char *bytes;

	if (conn->fd < 0)
		return 0;
	return LK_READ | (!conn->is_deaf &&
	    lk_mux_output(stream_of(conn), &bytes) > 0 ? LK_WRITE : 0);
}

void
lk_conn_on_change(struct lk_conn *conn, lk_change_fn on_change, void *arg)
{
	conn->on_change = on_change;
	conn->change_arg = arg;
}

static void
say_change(struct lk_conn *conn)
{
	if (conn->on_change != NULL && conn->depth == 0 && !conn->is_closed)
		conn->on_change(conn->change_arg, conn);
}

static void	destroy(struct lk_conn *conn);

void
lk_conn_handle(struct lk_conn *conn, int events)
{
	conn->depth++;
	lk_conn_say_thread(conn);
	run_timers(conn);
	if (conn->fd >= 0)
		send_some(conn);
	if (conn->fd >= 0 && (events & LK_READ || conn->is_deaf))
		receive_some(conn);
	if (conn->fd >= 0 && !conn->is_closed)
		send_some(conn);
	conn->depth--;
	if (conn->is_closed && conn->depth == 0)
		destroy(conn);
}

void
lk_conn_wait(struct lk_conn *conn, int timeout_ms)
{
	int due_ms = lk_conn_timeout_ms(conn), events = 0;
	struct pollfd pfd = { .fd = conn->fd };

	if (due_ms >= 0 && (timeout_ms < 0 || due_ms < timeout_ms))
		timeout_ms = due_ms;
	if (lk_conn_events(conn) & LK_READ)
		pfd.events |= POLLIN;
	if (lk_conn_events(conn) & LK_WRITE)
		pfd.events |= POLLOUT;
	if (poll(&pfd, conn->fd >= 0, timeout_ms) > 0) {
		if (pfd.revents & ~POLLOUT)
			events |= LK_READ;
		if (pfd.revents & POLLOUT)
			events |= LK_WRITE;
	}
	lk_conn_handle(conn, events);
}

/* ---- requests ---- */

/* number is that of a request that was submitted now, or 0. */
static uint64_t
note_submitted(struct lk_conn *conn, size_t n_before, uint64_t number)
{
	if (number != 0 && (n_before == 0 || conn->fd < 0))
		say_change(conn);
	return number;
}

static size_t
n_output(const struct lk_conn *conn)
{
	const char *bytes;

	return lk_mux_output(conn->mux, &bytes);
}

uint64_t
lk_conn_submit(struct lk_conn *conn, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words, const size_t *lens,
    struct lk_waiter *waiter)
{
	size_t n_before = n_output(conn);

	if (conn->is_closed) {
		errno = ENOTCONN;
		return 0;
	}
	return note_submitted(conn, n_before, lk_mux_submit(conn->mux,
	    envelope, n_words, words, lens, waiter));
}

uint64_t
lk_conn_submit_unit(struct lk_conn *conn, const struct lk_envelope *envelope,
    const struct lk_unit *unit, struct lk_waiter *waiter)
{
	size_t n_before = n_output(conn);

	if (conn->is_closed) {
		errno = ENOTCONN;
		return 0;
	}
	return note_submitted(conn, n_before, lk_mux_submit_unit(conn->mux,
	    envelope, unit, waiter));
}

static struct lk_waiter *
new_waiter(lk_reply_fn done, void *arg)
{
	struct lk_waiter *waiter = malloc(sizeof(*waiter));

	if (waiter != NULL)
		*waiter = (struct lk_waiter){ done, arg, true };
	return waiter;
}

/* Errno stays what submitting made it. */
static uint64_t
keep_waiter(struct lk_waiter *waiter, uint64_t number)
{
	int saved = errno;

	if (number == 0)
		free(waiter);
	errno = saved;
	return number;
}

uint64_t
lk_submit(struct lk_conn *conn, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words, const size_t *lens,
    lk_reply_fn done, void *arg)
{
	struct lk_waiter *waiter = new_waiter(done, arg);

	return waiter == NULL ? 0 : keep_waiter(waiter, lk_conn_submit(conn,
	    envelope, n_words, words, lens, waiter));
}

uint64_t
lk_submit_unit(struct lk_conn *conn, const struct lk_envelope *envelope,
    const struct lk_unit *unit, lk_reply_fn done, void *arg)
{
	struct lk_waiter *waiter = new_waiter(done, arg);

	return waiter == NULL ? 0 : keep_waiter(waiter,
	    lk_conn_submit_unit(conn, envelope, unit, waiter));
}

void
lk_conn_tell(struct lk_conn *conn, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words)
{
	size_t n_before = n_output(conn);

	if (conn->is_closed || conn->state != LK_STATE_UP)
		return;
	lk_mux_tell(conn->mux, envelope, n_words, words);
	note_submitted(conn, n_before, 1);
}

bool
lk_cancel(struct lk_conn *conn, uint64_t number)
{
	size_t n_before = n_output(conn);

	if (conn->is_closed || !lk_mux_cancel(conn->mux, number))
		return false;
	note_submitted(conn, n_before, 1);
	return true;
}

/* ---- the whole ---- */

enum lk_state
lk_conn_state(const struct lk_conn *conn)
{
	return conn->state;
}

const struct lk_reply *
lk_conn_hello(const struct lk_conn *conn)
{
	return conn->hello;
}

size_t
lk_conn_outstanding(const struct lk_conn *conn)
{
	return lk_mux_outstanding(conn->mux);
}

struct lk_conn *
lk_conn_make(const struct lk_options *options, bool is_blocking)
{
	struct lk_options whole;
	struct lk_conn *conn;

	if (!copy_options(&whole, options))
		return NULL;
	conn = calloc(1, sizeof(*conn));
	if (conn == NULL)
		return NULL;
	conn->options = whole;
	conn->is_blocking = is_blocking;
	conn->fd = -1;
	conn->state = LK_STATE_CONNECTING;
	conn->greet_us = LK_NEVER;
	conn->give_up_us = after_ms(whole.wait_ms);
	lk_list_init(&conn->tasks);
	conn->mux = lk_mux_new();
	if (copy_texts(&conn->options) && conn->mux != NULL)
		return conn;	/* retry_us is 0: the first attempt is due */
	free_texts(&conn->options);
	lk_mux_free(&conn->mux);
	free(conn);
	errno = ENOMEM;
	return NULL;
}

struct lk_conn *
lk_conn_new(const struct lk_options *options)
{
	return lk_conn_make(options, false);
}

static void
destroy(struct lk_conn *conn)
{
	size_t i;

	for (i = 0; i < conn->n_strays; i++)
		lk_reply_free(&conn->strays[i]);
	free(conn->strays);
	lk_reply_free(&conn->hello);
	lk_mux_free(&conn->mux);
	free_texts(&conn->options);
	free(conn->why);
	free(conn);
}

void
lk_conn_free(struct lk_conn **conn)
{
	struct lk_conn *old = *conn;

	if (old == NULL)
		return;
	*conn = NULL;
	old->is_closed = true;
	old->depth++;
	close_fd(old);
	fail_all(old, "this program has closed the connection");
	lk_tasks_lose(&old->tasks);
	old->depth--;
	if (old->depth == 0)
		destroy(old);
}
