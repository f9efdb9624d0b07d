/*
 * The blocking client against a daemon played by the test itself: what it
 * answers is in the socket's buffer before the client asks for it.
 */
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/client.h"

struct world {
	char		 dir[32];
	char		 path[64];
	int		 listen_fd;
	int		 fd;		/* the daemon's end */
	struct lk_client *client;
	struct lk_error	 error;
	struct lk_value	 reply;
	unsigned	 n_pushes;
	char		 pushed[64];	/* the last one's kind */
};

static int
set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(w->dir, "/tmp/lkunit.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/s", w->dir);
	strcpy(address.sun_path, w->path);
	w->listen_fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(w->listen_fd, (struct sockaddr *)&address,
	    sizeof(address)), 0);
	assert_int_equal(listen(w->listen_fd, 1), 0);
	assert_int_equal(lk_client_connect_wait(w->path, &w->client,
	    &w->error), 0);
	w->fd = accept(w->listen_fd, NULL, NULL);
	assert_true(w->fd >= 0);
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	lk_client_free(&w->client);
	assert_null(w->client);
	lk_error_fini(&w->error);
	if (w->fd >= 0)
		close(w->fd);
	close(w->listen_fd);
	unlink(w->path);
	rmdir(w->dir);
	free(w);
	return 0;
}

static void
answer(struct world *w, const char *bytes)
{
	assert_int_equal(write(w->fd, bytes, strlen(bytes)), strlen(bytes));
}

static void
hang_up(struct world *w)
{
	close(w->fd);
	w->fd = -1;
}

static int
read_reply(struct world *w)
{
	return lk_client_read_wait(w->client, &w->reply, &w->error);
}

static void
assert_reply_text(struct world *w, const char *text)
{
	assert_int_equal(read_reply(w), 0);
	assert_string_equal(w->reply.text, text);
	lk_value_fini(&w->reply);
}

static void
requests_are_arrays_of_bulk_strings(void **state)
{
	static const char wanted[] =
	    "*4\r\n$3\r\nSQL\r\n$3\r\na\0b\r\n$0\r\n\r\n$-1\r\n";
	const struct lk_arg args[] = {
		{ "SQL", 3 }, { "a\0b", 3 }, { "", 0 }, { NULL, 0 },
	};
	struct lk_buf buf = LK_BUF_INIT;

	(void)state;
	lk_client_encode(&buf, args, 4);
	assert_int_equal(buf.len, sizeof(wanted) - 1);
	assert_memory_equal(buf.data, wanted, buf.len);
	lk_buf_fini(&buf);
}

static void
a_call_sends_and_reads(void **state)
{
	const struct lk_arg ping = { "PING", 4 };
	struct world *w = *state;
	char sent[64];

	answer(w, "+PONG\r\n");
	assert_int_equal(lk_client_call_wait(w->client, &ping, 1, &w->reply,
	    &w->error), 0);
	assert_int_equal(w->reply.type, LK_VALUE_SIMPLE);
	assert_string_equal(w->reply.text, "PONG");
	lk_value_fini(&w->reply);
	assert_int_equal(read(w->fd, sent, sizeof(sent)), 14);
	assert_memory_equal(sent, "*1\r\n$4\r\nPING\r\n", 14);
}

static void
replies_come_one_by_one(void **state)
{
	struct world *w = *state;

	answer(w, "+one\r\n$3\r\ntwo\r\n-thr");
	assert_reply_text(w, "one");
	assert_reply_text(w, "two");
	answer(w, "ee\r\n");
	assert_reply_text(w, "three");
}

static void
remember_push(void *ctx, const struct lk_value *push)
{
	struct world *w = ctx;

	assert_int_equal(push->type, LK_VALUE_PUSH);
	w->n_pushes++;
	snprintf(w->pushed, sizeof(w->pushed), "%s", push->items[0].text);
}

static void
pushes_are_told_apart(void **state)
{
	struct world *w = *state;

	answer(w, ">2\r\n+lockwait\r\n%0\r\n+one\r\n"
	    ">1\r\n+closing\r\n+two\r\n");
	assert_reply_text(w, "one");	/* without a handler: dropped */
	lk_client_set_push(w->client, remember_push, w);
	assert_reply_text(w, "two");
	assert_int_equal(w->n_pushes, 1);
	assert_string_equal(w->pushed, "closing");
}

static void
confirmations_are_replies_and_messages_are_not(void **state)
{
	struct world *w = *state;

	lk_client_set_push(w->client, remember_push, w);
	answer(w, ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"
	    ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nx\r\n"
	    ">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
	assert_int_equal(read_reply(w), 0);
	assert_int_equal(w->reply.type, LK_VALUE_PUSH);
	assert_string_equal(w->reply.items[0].text, "subscribe");
	lk_value_fini(&w->reply);
	assert_int_equal(w->n_pushes, 0);
	assert_int_equal(read_reply(w), 0);
	assert_string_equal(w->reply.items[0].text, "unsubscribe");
	lk_value_fini(&w->reply);
	assert_int_equal(w->n_pushes, 1);
	assert_string_equal(w->pushed, "message");
}

static void
a_wait_that_times_out_can_go_on(void **state)
{
	struct world *w = *state;

	lk_client_set_timeout(w->client, 1000);
	answer(w, "+la");
	assert_int_equal(read_reply(w), -LK_E_AGAIN);
	assert_non_null(strstr(w->error.message, "1 ms"));
	answer(w, "te\r\n");
	assert_reply_text(w, "late");
}

static void
the_end_of_the_connection_is_an_error(void **state)
{
	struct world *w = *state;

	answer(w, "+last\r\n+hal");
	hang_up(w);
	assert_reply_text(w, "last");
	assert_int_equal(read_reply(w), -LK_E_IO);
	assert_int_equal(w->error.kind, LK_ERR_CONNLOST);
}

static void
bytes_that_are_no_resp_are_an_error(void **state)
{
	struct world *w = *state;

	answer(w, "HTTP/1.1 400 Bad Request\r\n");
	assert_int_equal(read_reply(w), -LK_E_INVAL);
	assert_int_equal(w->error.kind, LK_ERR_PROTO);
}

/* The daemon says why it closes, as for a request that is too large. */
static void
last_words_count_where_sending_fails(void **state)
{
	const struct lk_arg ping = { "PING", 4 };
	struct world *w = *state;

	answer(w, "-PROTO 08P01 too large\r\n");
	hang_up(w);
	assert_int_equal(lk_client_call_wait(w->client, &ping, 1, &w->reply,
	    &w->error), 0);
	assert_int_equal(w->reply.type, LK_VALUE_ERROR);
	lk_value_fini(&w->reply);
	assert_int_equal(lk_client_call_wait(w->client, &ping, 1, &w->reply,
	    &w->error), -LK_E_IO);
}

static void
a_missing_socket_is_named(void **state)
{
	struct lk_client *client = NULL;
	struct lk_error error = { .is_set = false };
	char path[300];

	(void)state;
	assert_int_equal(lk_client_connect_wait("/nowhere/s", &client,
	    &error), -LK_E_IO);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(error.message, "/nowhere/s"));
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(lk_client_connect_wait(path, &client, &error),
	    -LK_E_IO);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_null(client);
	lk_error_fini(&error);
}

static void
maps_are_asked_by_key(void **state)
{
	struct world *w = *state;

	answer(w, "%2\r\n+version\r\n$3\r\n0.1\r\n+id\r\n:7\r\n");
	assert_int_equal(read_reply(w), 0);
	assert_string_equal(lk_client_map_text(&w->reply, "version"), "0.1");
	assert_string_equal(lk_client_map_text(&w->reply, "id"), "");
	assert_int_equal(lk_client_map_get(&w->reply, "id")->integer, 7);
	assert_null(lk_client_map_get(&w->reply, "vers"));
	assert_null(lk_client_map_get(NULL, "id"));
	lk_value_fini(&w->reply);
}

#define WITH_DAEMON(test)	\
	cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_arrays_of_bulk_strings),
		WITH_DAEMON(a_call_sends_and_reads),
		WITH_DAEMON(replies_come_one_by_one),
		WITH_DAEMON(pushes_are_told_apart),
		WITH_DAEMON(confirmations_are_replies_and_messages_are_not),
		WITH_DAEMON(a_wait_that_times_out_can_go_on),
		WITH_DAEMON(the_end_of_the_connection_is_an_error),
		WITH_DAEMON(bytes_that_are_no_resp_are_an_error),
		WITH_DAEMON(last_words_count_where_sending_fails),
		cmocka_unit_test(a_missing_socket_is_named),
		WITH_DAEMON(maps_are_asked_by_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
