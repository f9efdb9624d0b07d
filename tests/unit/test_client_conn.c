/*
 * Connections, tasks and blocking calls against a daemon played by the test
 * itself: it accepts, reads what was sent, and answers.
 */
#include "unit.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <lockkeeper.h>

#include "client/conn.h"
#include "client/socket.h"

#define HELLO_REPLY	"%1\r\n+server\r\n+lockkeeper\r\n"

struct world {
	char		 dir[32];
	char		 path[64];
	int		 listen_fd;
	int		 fd;		/* the daemon's end; -1 */
	struct lk_options options;
	struct lk_conn	*conn;
	char		 got[4096];	/* what the daemon read last */
	unsigned	 n_replies;
	struct lk_reply	*reply;		/* the last one */
	unsigned	 n_pushes;
	enum lk_state	 state;
	char		 why[256];
	unsigned	 n_changes;
};

/* ---- the daemon ---- */

static void
listen_here(struct world *w)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, w->path);
	unlink(w->path);
	w->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(w->listen_fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	assert_int_equal(listen(w->listen_fd, 4), 0);
}

static void
hang_up(struct world *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

/* Let the connection work until it has nothing more to do. */
static void
settle(struct world *w)
{
	struct pollfd pfd;

	do {
		lk_conn_handle(w->conn, LK_READ | LK_WRITE);
		pfd = (struct pollfd){ lk_conn_fd(w->conn), POLLIN, 0 };
	} while (lk_conn_events(w->conn) & LK_WRITE ||
	    (pfd.fd >= 0 && poll(&pfd, 1, 0) > 0));
}

/* What was sent, in w->got. */
static void
read_sent(struct world *w)
{
	ssize_t n;

	settle(w);
	n = recv(w->fd, w->got, sizeof(w->got) - 1, MSG_DONTWAIT);
	w->got[n > 0 ? n : 0] = '\0';
}

static void
answer(struct world *w, const char *bytes)
{
	assert_int_equal(write(w->fd, bytes, strlen(bytes)), strlen(bytes));
	settle(w);
}

static void
accept_conn(struct world *w)
{
	settle(w);
	w->fd = accept(w->listen_fd, NULL, NULL);
	assert_true(w->fd >= 0);
}

static void
greet(struct world *w)
{
	accept_conn(w);
	read_sent(w);
	answer(w, HELLO_REPLY);
	assert_int_equal(lk_conn_state(w->conn), LK_STATE_UP);
}

/* ---- the program ---- */

static void
take_reply(void *arg, struct lk_reply *reply)
{
	struct world *w = arg;

	lk_reply_free(&w->reply);
	w->reply = reply;
	w->n_replies++;
}

static void
take_push(void *arg, struct lk_conn *conn, const struct lk_reply *push)
{
	struct world *w = arg;

	assert_ptr_equal(conn, w->conn);
	assert_int_equal(lk_reply_type(push), LK_REPLY_PUSH);
	w->n_pushes++;
}

static void
take_state(void *arg, struct lk_conn *conn, enum lk_state state,
    const char *why)
{
	struct world *w = arg;

	(void)conn;
	w->state = state;
	snprintf(w->why, sizeof(w->why), "%s", why);
}

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	strcpy(w->dir, "/tmp/lkunit.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	listen_here(w);
	w->fd = -1;
	w->options = (struct lk_options)LK_OPTIONS_INIT;
	w->options.socket = w->path;
	w->options.on_push = take_push;
	w->options.on_state = take_state;
	w->options.arg = w;
	w->conn = lk_conn_new(&w->options);
	assert_non_null(w->conn);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	lk_conn_free(&w->conn);
	lk_reply_free(&w->reply);
	hang_up(w);
	close(w->listen_fd);
	unlink(w->path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static uint64_t
submit(struct world *w, const char *verb, const char *arg)
{
	const char *words[] = { verb, arg };

	return lk_submit(w->conn, NULL, arg != NULL ? 2 : 1, words, NULL,
	    take_reply, w);
}

static void
assert_kind(struct world *w, unsigned n_replies, enum lk_kind kind)
{
	assert_int_equal(w->n_replies, n_replies);
	assert_int_equal(lk_reply_kind(w->reply), kind);
}

/* ---- connections ---- */

static void
nothing_is_sent_before_hello_is_answered(void **state)
{
	struct world *w = *state;

	submit(w, "PING", NULL);
	accept_conn(w);
	read_sent(w);
	assert_non_null(strstr(w->got, "HELLO"));
	assert_non_null(strstr(w->got, "THREAD"));
	assert_null(strstr(w->got, "PING"));
	/* What comes with the reply is not lost. */
	answer(w, HELLO_REPLY ">2\r\n+closing\r\n%0\r\n");
	assert_int_equal(w->n_pushes, 1);
	read_sent(w);
	assert_string_equal(w->got, "*2\r\n$2\r\n@0\r\n$4\r\nPING\r\n");
	answer(w, "*3\r\n+reply\r\n$1\r\n0\r\n+PONG\r\n");
	assert_int_equal(w->n_replies, 1);
	assert_string_equal(lk_reply_text(lk_reply_get(lk_conn_hello(w->conn),
	    "server"), NULL), "lockkeeper");
}

/* Until the connection has tried again, and failed or not. */
static void
wait_while(struct world *w, enum lk_state state)
{
	while (lk_conn_state(w->conn) == state)
		lk_conn_wait(w->conn, -1);
}

static void
a_refused_hello_is_told_and_tried_again(void **state)
{
	struct world *w = *state;

	accept_conn(w);
	answer(w, "-DENIED 42501 not you\r\n");
	assert_int_equal(w->state, LK_STATE_DOWN);
	assert_non_null(strstr(w->why, "not you"));
	assert_true(lk_conn_timeout_ms(w->conn) >= 0);
	hang_up(w);
	wait_while(w, LK_STATE_DOWN);
	greet(w);
}

static void
a_loss_is_told_as_it_is_and_not_sent_again(void **state)
{
	struct world *w = *state;

	greet(w);
	submit(w, "SQL", "UPDATE t SET v = 1");
	read_sent(w);
	hang_up(w);
	settle(w);
	assert_kind(w, 1, LK_KIND_UNKNOWN);
	submit(w, "GET", "t");
	wait_while(w, LK_STATE_DOWN);
	accept_conn(w);
	read_sent(w);
	answer(w, HELLO_REPLY);
	read_sent(w);
	assert_null(strstr(w->got, "UPDATE"));
	assert_non_null(strstr(w->got, "GET"));
	hang_up(w);
	settle(w);
	assert_kind(w, 2, LK_KIND_CONNLOST);
}

/* One that greets and closes is as little use as one that is not there. */
static void
what_is_lost_again_and_again_is_tried_less_often(void **state)
{
	struct world *w = *state;
	unsigned i;

	for (i = 1; i < 6; i++) {
		greet(w);
		hang_up(w);
		settle(w);
		assert_int_equal(w->conn->n_failed, i);
		wait_while(w, LK_STATE_DOWN);
	}
	greet(w);
	submit(w, "PING", NULL);
	read_sent(w);
	answer(w, "*3\r\n+reply\r\n$1\r\n0\r\n+PONG\r\n");
	hang_up(w);
	settle(w);
	assert_int_equal(w->conn->n_failed, 1);
}

static void
without_a_daemon_requests_fail_after_wait_ms(void **state)
{
	struct world *w = *state;

	close(w->listen_fd);
	lk_conn_free(&w->conn);
	w->options.wait_ms = 500;
	w->conn = lk_conn_new(&w->options);
	submit(w, "PING", NULL);
	lk_conn_wait(w->conn, -1);
	assert_int_equal(w->state, LK_STATE_DOWN);
	assert_int_equal(w->n_replies, 0);
	while (w->n_replies == 0)
		lk_conn_wait(w->conn, -1);
	assert_kind(w, 1, LK_KIND_CONNLOST);
	assert_non_null(strstr(lk_reply_text(w->reply, NULL), w->path));
	submit(w, "PING", NULL);	/* and from then on at once */
	lk_conn_wait(w->conn, 0);
	assert_kind(w, 2, LK_KIND_CONNLOST);
	listen_here(w);
}

static void
free_conn(void *arg, struct lk_reply *reply)
{
	struct world *w = arg;

	lk_reply_free(&reply);
	lk_conn_free(&w->conn);
}

static void
a_reply_may_close_the_connection(void **state)
{
	static const char pong[] = "*3\r\n+reply\r\n$1\r\n0\r\n+PONG\r\n";
	const char *words[] = { "PING" };
	struct world *w = *state;
	struct lk_conn *conn = w->conn;

	greet(w);
	lk_submit(w->conn, NULL, 1, words, NULL, free_conn, w);
	submit(w, "SQL", "SELECT 1");
	read_sent(w);
	assert_int_equal(write(w->fd, pong, sizeof(pong) - 1),
	    sizeof(pong) - 1);
	lk_conn_handle(conn, LK_READ);
	assert_null(w->conn);
	assert_kind(w, 1, LK_KIND_UNKNOWN);
}

static void
count_change(void *arg, struct lk_conn *conn)
{
	struct world *w = arg;

	(void)conn;
	w->n_changes++;
}

static void
an_event_loop_is_told_when_there_is_something_to_send(void **state)
{
	struct world *w = *state;

	greet(w);
	lk_conn_on_change(w->conn, count_change, w);
	assert_int_equal(lk_conn_events(w->conn), LK_READ);
	submit(w, "PING", NULL);
	submit(w, "PING", NULL);
	assert_int_equal(w->n_changes, 1);
	assert_int_equal(lk_conn_events(w->conn), LK_READ | LK_WRITE);
	read_sent(w);
	assert_int_equal(lk_conn_events(w->conn), LK_READ);
}

static void
options_that_are_none_are_refused(void **state)
{
	struct lk_options options = LK_OPTIONS_INIT;
	char path[LK_SOCKET_PATH_BYTES + 1];

	(void)state;
	options.proto = 4;
	assert_null(lk_conn_new(&options));
	assert_int_equal(errno, EINVAL);
	options = (struct lk_options)LK_OPTIONS_INIT;
	options.size++;
	assert_null(lk_conn_new(&options));
	assert_int_equal(errno, EINVAL);
	options = (struct lk_options)LK_OPTIONS_INIT;
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	options.socket = path;
	assert_null(lk_conn_new(&options));
	assert_int_equal(errno, ENAMETOOLONG);
}

/* ---- tasks, whose coroutines are made up: nothing is behind an await ---- */

static struct lk_reply *
suspend(void *arg, void **coroutine_out)
{
	*coroutine_out = arg;
	return NULL;
}

static void
resume(void *arg, void *coroutine, struct lk_reply *reply)
{
	assert_ptr_equal(arg, coroutine);
	take_reply(arg, reply);
}

struct stage {
	struct lk_hooks	 hooks;
	struct lk_task	*task;
};

static void
begin_task(struct world *w, struct stage *stage, const char *name)
{
	stage->hooks = (struct lk_hooks){ sizeof(struct lk_hooks), suspend,
	    resume, w };
	stage->task = lk_task_new(w->conn, &stage->hooks, name);
	assert_non_null(stage->task);
}

static struct lk_reply *
await(struct stage *stage, const char *verb, const char *arg)
{
	const char *words[] = { verb, arg };

	return lk_await(stage->task, NULL, arg != NULL ? 2 : 1, words, NULL);
}

/* It awaits this, sends it so, and is answered. */
static void
play(struct world *w, struct stage *stage, const char *verb, const char *arg,
    const char *sent, const char *reply)
{
	unsigned n_replies = w->n_replies;
	char bytes[256];

	assert_null(await(stage, verb, arg));
	read_sent(w);
	if (strstr(w->got, sent) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", sent, w->got);
	snprintf(bytes, sizeof(bytes), "*3\r\n+reply\r\n$1\r\n0\r\n%s", reply);
	answer(w, bytes);
	assert_int_equal(w->n_replies, n_replies + 1);
}

static void
a_task_stays_in_its_transaction(void **state)
{
	struct world *w = *state;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, "t");
	play(w, &stage, "BEGIN", NULL, "$2\r\n%t\r\n$5\r\nBEGIN", ":77\r\n");
	assert_int_equal(lk_task_tx(stage.task), 77);
	play(w, &stage, "SQL", "x", "%t\r\n$3\r\n#77\r\n$3\r\nSQL", "+OK\r\n");
	play(w, &stage, "SHOW", "x", "%t\r\n$4\r\nSHOW", "+OK\r\n");
	play(w, &stage, "COMMIT", NULL, "#77\r\n$6\r\nCOMMIT", "+COMMIT\r\n");
	assert_int_equal(lk_task_tx(stage.task), 0);
	play(w, &stage, "SQL", "x", "%t\r\n$3\r\nSQL", "+OK\r\n");
	lk_task_free(&stage.task);
}

static void
what_a_transaction_does_not_allow_is_not_sent(void **state)
{
	struct world *w = *state;
	struct lk_unit *unit = lk_unit_new(0, NULL, NULL);
	struct lk_reply *reply;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, NULL);
	play(w, &stage, "BEGIN", NULL, "%coroutine-1\r\n", ":77\r\n");
	reply = await(&stage, "BEGIN", NULL);
	assert_int_equal(lk_reply_kind(reply), LK_KIND_SYNTAX);
	lk_reply_free(&reply);
	reply = lk_await_unit(stage.task, NULL, unit);
	assert_int_equal(lk_reply_kind(reply), LK_KIND_SYNTAX);
	lk_reply_free(&reply);
	lk_unit_free(&unit);
	assert_null(await(&stage, "SQL", "x"));
	reply = await(&stage, "SQL", "y");	/* it awaits one already */
	assert_int_equal(lk_reply_kind(reply), LK_KIND_SYNTAX);
	lk_reply_free(&reply);
	lk_task_free(&stage.task);
}

static void
a_commit_that_failed_is_rolled_back(void **state)
{
	struct world *w = *state;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, "t");
	play(w, &stage, "BEGIN", NULL, "BEGIN", ":77\r\n");
	play(w, &stage, "COMMIT", NULL, "COMMIT", "-SERIALIZE 40001 no\r\n");
	read_sent(w);
	assert_non_null(strstr(w->got, "%t\r\n$3\r\n#77\r\n$8\r\nROLLBACK"));
	lk_task_free(&stage.task);
}

static void
an_abandoned_task_is_cancelled_and_rolled_back(void **state)
{
	struct world *w = *state;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, "t");
	play(w, &stage, "BEGIN", NULL, "BEGIN", ":77\r\n");
	assert_null(await(&stage, "SQL", "x"));
	read_sent(w);
	lk_task_free(&stage.task);
	read_sent(w);
	assert_non_null(strstr(w->got, "$6\r\nCANCEL\r\n$1\r\n0\r\n"));
	assert_non_null(strstr(w->got, "%t\r\n$3\r\n#77\r\n$8\r\nROLLBACK"));
	answer(w, "*3\r\n+reply\r\n$1\r\n0\r\n-CANCELED 57014 x\r\n");
	assert_int_equal(w->n_replies, 1);	/* BEGIN's, and no other */
}

static void
a_transaction_that_begins_for_nobody_is_rolled_back(void **state)
{
	struct world *w = *state;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, "t");
	assert_null(await(&stage, "BEGIN", NULL));
	read_sent(w);
	lk_task_free(&stage.task);
	answer(w, "*3\r\n+reply\r\n$1\r\n0\r\n:78\r\n");
	read_sent(w);
	assert_non_null(strstr(w->got, "%t\r\n$3\r\n#78\r\n$8\r\nROLLBACK"));
	assert_int_equal(w->n_replies, 0);
}

static void
a_lost_transaction_fails_until_its_end_is_asked_for(void **state)
{
	struct world *w = *state;
	struct lk_reply *reply;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, "t");
	play(w, &stage, "BEGIN", NULL, "BEGIN", ":77\r\n");
	hang_up(w);
	settle(w);
	wait_while(w, LK_STATE_DOWN);
	greet(w);
	reply = await(&stage, "SQL", "x");
	assert_int_equal(lk_reply_kind(reply), LK_KIND_CONNLOST);
	lk_reply_free(&reply);
	reply = await(&stage, "ROLLBACK", NULL);
	assert_string_equal(lk_reply_text(reply, NULL), "ROLLBACK");
	lk_reply_free(&reply);
	play(w, &stage, "SQL", "x", "%t\r\n$3\r\nSQL", "+OK\r\n");
	lk_task_free(&stage.task);
}

static void
a_task_may_outlive_its_connection(void **state)
{
	struct world *w = *state;
	struct lk_reply *reply;
	struct stage stage;

	greet(w);
	begin_task(w, &stage, "t");
	assert_null(await(&stage, "SQL", "x"));
	read_sent(w);
	lk_conn_free(&w->conn);
	assert_kind(w, 1, LK_KIND_UNKNOWN);
	reply = await(&stage, "SQL", "x");
	assert_int_equal(lk_reply_kind(reply), LK_KIND_CONNLOST);
	lk_reply_free(&reply);
	lk_task_free(&stage.task);
}

#define TEST(name)	\
	cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_sent_before_hello_is_answered),
		TEST(a_refused_hello_is_told_and_tried_again),
		TEST(a_loss_is_told_as_it_is_and_not_sent_again),
		TEST(what_is_lost_again_and_again_is_tried_less_often),
		TEST(without_a_daemon_requests_fail_after_wait_ms),
		TEST(a_reply_may_close_the_connection),
		TEST(an_event_loop_is_told_when_there_is_something_to_send),
		cmocka_unit_test(options_that_are_none_are_refused),
		TEST(a_task_stays_in_its_transaction),
		TEST(what_a_transaction_does_not_allow_is_not_sent),
		TEST(a_commit_that_failed_is_rolled_back),
		TEST(an_abandoned_task_is_cancelled_and_rolled_back),
		TEST(a_transaction_that_begins_for_nobody_is_rolled_back),
		TEST(a_lost_transaction_fails_until_its_end_is_asked_for),
		TEST(a_task_may_outlive_its_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
