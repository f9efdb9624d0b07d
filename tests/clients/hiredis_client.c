/*
 * libhiredis at the tests' orders: hiredis_client sync|async SOCKET
 *
 * Reads orders from standard input, a line each, and prints answers, a line of
 * JSON each, as tests/clients/node/driver.mjs does:
 *
 *	NUMBER CONNECTION open WORD...	connect, then say HELLO WORD...
 *	NUMBER CONNECTION call WORD...	send a request
 *
 * A word is x and its bytes in hex.  The answer has the order's number and
 * "value", or "error" for an error reply, or "lost" for what the library says
 * of a broken connection.  hiredis does not connect again by itself; the next
 * call after a loss does, and says HELLO again before it.
 *
 * sync serves one connection, async ten on one event loop.
 */
#include <err.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <hiredis/adapters/libevent.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>

#define MAX_WORDS	64
#define MAX_CONNECTIONS	10

struct words {
	int		 n;
	char		*bytes[MAX_WORDS];
	size_t		 len[MAX_WORDS];
};

struct order {
	long		 number;	/* 0: our own, its answer is not printed */
	int		 connection;
	bool		 is_open;
	struct words	 words;
};

/* ---- orders ---- */

static void
add_word(struct words *words, const char *bytes, size_t len)
{
	if (words->n == MAX_WORDS)
		errx(1, "more than %d words", MAX_WORDS);
	words->bytes[words->n] = malloc(len + 1);
	memcpy(words->bytes[words->n], bytes, len);
	words->bytes[words->n][len] = '\0';
	words->len[words->n++] = len;
}

static void
clear_words(struct words *words)
{
	while (words->n > 0)
		free(words->bytes[--words->n]);
}

static void
add_hex(struct words *words, const char *hex)
{
	size_t i, len = strlen(hex) / 2;
	char *bytes = malloc(len + 1);
	unsigned byte;

	for (i = 0; i < len; i++) {
		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			errx(1, "not hex: %s", hex);
		bytes[i] = (char)byte;
	}
	add_word(words, bytes, len);
	free(bytes);
}

static struct order
parse_order(char *line)
{
	struct order order = { 0 };
	char *rest = line, *word;

	order.number = atol(strsep(&rest, " "));
	order.connection = atoi(strsep(&rest, " "));
	order.is_open = strcmp(strsep(&rest, " "), "open") == 0;
	if (order.connection < 0 || order.connection >= MAX_CONNECTIONS)
		errx(1, "no connection %d", order.connection);
	if (order.is_open)
		add_word(&order.words, "HELLO", 5);
	while ((word = strsep(&rest, " ")) != NULL)
		add_hex(&order.words, word + 1);
	return order;
}

/* ---- answers ---- */

static void
print_bytes(const char *bytes, size_t len)
{
	size_t i;

	printf("{\"hex\": \"");
	for (i = 0; i < len; i++)
		printf("%02x", (unsigned char)bytes[i]);
	printf("\"}");
}

static void
print_reply(const redisReply *reply)
{
	size_t i;

	switch (reply->type) {
	case REDIS_REPLY_INTEGER:
		printf("%lld", reply->integer);
		break;
	case REDIS_REPLY_NIL:
		printf("null");
		break;
	case REDIS_REPLY_ARRAY:
		for (i = 0; i < reply->elements; i++) {
			printf(i == 0 ? "[" : ", ");
			print_reply(reply->element[i]);
		}
		printf(i == 0 ? "[]" : "]");
		break;
	case REDIS_REPLY_ERROR:
		printf("{\"error\": ");
		print_bytes(reply->str, reply->len);
		printf("}");
		break;
	default:
		print_bytes(reply->str, reply->len);
	}
}

/* reply is NULL when there is none; errstr then says why. */
static void
answer(long number, const redisReply *reply, const char *errstr)
{
	if (number == 0)
		return;
	printf("{\"number\": %ld, \"%s\": ", number, reply == NULL ? "lost" :
	    reply->type == REDIS_REPLY_ERROR ? "error" : "value");
	if (reply == NULL)
		print_bytes(errstr, strlen(errstr));
	else if (reply->type == REDIS_REPLY_ERROR)
		print_bytes(reply->str, reply->len);
	else
		print_reply(reply);
	printf("}\n");
	fflush(stdout);
}

/* ---- the blocking API ---- */

static void
say(redisContext *ctx, long number, struct words *words)
{
	redisReply *reply = ctx->err != 0 ? NULL : redisCommandArgv(ctx,
	    words->n, (const char **)words->bytes, words->len);

	answer(number, reply, ctx->errstr);
	freeReplyObject(reply);
}

static void
run_sync(const char *path)
{
	redisContext *ctx = redisConnectUnix(path);
	struct words hello = { 0 };
	struct order order;
	char *line = NULL;
	size_t size = 0;

	if (ctx == NULL)
		errx(1, "out of memory");
	while (getline(&line, &size, stdin) > 0) {
		line[strcspn(line, "\n")] = '\0';
		order = parse_order(line);
		if (!order.is_open && ctx->err != 0 &&
		    redisReconnect(ctx) == REDIS_OK)
			say(ctx, 0, &hello);
		say(ctx, order.number, &order.words);
		if (order.is_open)
			hello = order.words;
		else
			clear_words(&order.words);
	}
	free(line);
	clear_words(&hello);
	redisFree(ctx);
}

/* ---- the asynchronous API ---- */

struct loop {
	struct event_base	*base;
	const char		*path;
	redisAsyncContext	*connections[MAX_CONNECTIONS];	/* NULL: none */
	struct words		 hello[MAX_CONNECTIONS];
};

static void
take_reply(redisAsyncContext *ctx, void *reply, void *number)
{
	answer((long)number, reply, ctx->errstr);
}

/* The library frees it after this. */
static void
forget(const redisAsyncContext *ctx, int status)
{
	redisAsyncContext **at = ctx->data;

	(void)status;
	*at = NULL;
}

static void
ask(redisAsyncContext *ctx, long number, struct words *words)
{
	if (redisAsyncCommandArgv(ctx, take_reply, (void *)number, words->n,
	    (const char **)words->bytes, words->len) != REDIS_OK)
		answer(number, NULL, "closing");
}

/* NULL when it cannot be had; the order has its answer then. */
static redisAsyncContext *
connect_again(struct loop *loop, const struct order *order)
{
	redisAsyncContext *ctx = redisAsyncConnectUnix(loop->path);

	if (ctx == NULL || ctx->err != 0) {
		answer(order->number, NULL,
		    ctx != NULL ? ctx->errstr : "out of memory");
		if (ctx != NULL)
			redisAsyncFree(ctx);
		return NULL;
	}
	loop->connections[order->connection] = ctx;
	ctx->data = &loop->connections[order->connection];
	redisLibeventAttach(ctx, loop->base);
	redisAsyncSetDisconnectCallback(ctx, forget);
	ask(ctx, order->is_open ? order->number : 0,
	    &loop->hello[order->connection]);
	return ctx;
}

static void
obey(struct loop *loop, struct order *order)
{
	redisAsyncContext *ctx = loop->connections[order->connection];

	if (order->is_open) {
		loop->hello[order->connection] = order->words;
		connect_again(loop, order);
		return;
	}
	if (ctx == NULL)
		ctx = connect_again(loop, order);
	if (ctx != NULL)
		ask(ctx, order->number, &order->words);
	clear_words(&order->words);
}

static void
read_orders(struct bufferevent *input, void *arg)
{
	struct loop *loop = arg;
	struct order order;
	char *line;

	while ((line = evbuffer_readln(bufferevent_get_input(input), NULL,
	    EVBUFFER_EOL_LF)) != NULL) {
		order = parse_order(line);
		obey(loop, &order);
		free(line);
	}
}

static void
end_loop(struct bufferevent *input, short what, void *arg)
{
	struct loop *loop = arg;

	(void)input;
	(void)what;
	event_base_loopbreak(loop->base);
}

static void
run_async(const char *path)
{
	struct loop loop = { .base = event_base_new(), .path = path };
	struct bufferevent *input = bufferevent_socket_new(loop.base, 0, 0);
	int i;

	bufferevent_setcb(input, read_orders, NULL, end_loop, &loop);
	bufferevent_enable(input, EV_READ);
	event_base_dispatch(loop.base);
	for (i = 0; i < MAX_CONNECTIONS; i++) {
		if (loop.connections[i] != NULL)
			redisAsyncFree(loop.connections[i]);
		clear_words(&loop.hello[i]);
	}
	bufferevent_free(input);
	event_base_free(loop.base);
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);	/* hiredis writes to what has gone */
	if (argc == 3 && strcmp(argv[1], "sync") == 0)
		run_sync(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "async") == 0)
		run_async(argv[2]);
	else
		errx(2, "usage: hiredis_client sync|async SOCKET");
	return 0;
}
