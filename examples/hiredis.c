/*
 * Lockkeeper with libhiredis: cc -o hiredis hiredis.c -lhiredis, then
 * ./hiredis SOCKET
 *
 * A blocking client says so: the daemon then knows that nothing else on this
 * thread runs while it waits for a reply, and BEGIN opens a transaction that
 * the connection's next requests belong to.
 */
#include <err.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <hiredis/hiredis.h>

/* The reply, an error reply included; never NULL.  Nothing is sent twice. */
static redisReply *
ask(redisContext *ctx, const char *format, ...)
{
	redisReply *reply;
	va_list ap;

	va_start(ap, format);
	reply = redisvCommand(ctx, format, ap);
	va_end(ap);
	if (reply == NULL)	/* redisReconnect(), and look at what was done */
		errx(1, "the connection is gone: %s", ctx->errstr);
	return reply;
}

static void
print(const redisReply *reply)
{
	char kind[16], sqlstate[6];
	size_t i;

	if (reply->type == REDIS_REPLY_ERROR &&
	    sscanf(reply->str, "%15s %5s", kind, sqlstate) == 2)
		printf("error of kind %s, SQLSTATE %s\n", kind, sqlstate);
	else if (reply->type == REDIS_REPLY_NIL)
		printf("null\n");
	else if (reply->type == REDIS_REPLY_INTEGER)
		printf("%lld\n", reply->integer);
	else if (reply->type != REDIS_REPLY_ARRAY)
		printf("%s\n", reply->str);
	for (i = 0; i < reply->elements; i++)	/* rows; names and values */
		print(reply->element[i]);
}

static void
show(redisReply *reply)
{
	print(reply);
	freeReplyObject(reply);
}

int
main(int argc, char **argv)
{
	redisContext *ctx;

	signal(SIGPIPE, SIG_IGN);	/* else a lost connection is the end */
	ctx = redisConnectUnix(argc > 1 ? argv[1] :
	    "/run/lockkeeper/lockkeeper.sock");
	if (ctx == NULL || ctx->err != 0)
		errx(1, "%s", ctx != NULL ? ctx->errstr : "out of memory");
	freeReplyObject(ask(ctx, "HELLO 2 MODE blocking THREAD %d NULL \\N",
	    (int)getpid()));
	freeReplyObject(ask(ctx, "BEGIN"));
	show(ask(ctx, "SQL %s %d %d", "UPDATE accounts SET balance = "
	    "balance + $1 WHERE id = $2", 10, 1));
	show(ask(ctx, "COMMIT"));
	show(ask(ctx, "SQL %s %s %d", "SELECT owner, balance, $1::text AS note "
	    "FROM accounts WHERE id = $2", "\\N", 1));
	show(ask(ctx, "SQL %s %s", "SELECT 1 / $1::int", "0"));
	redisFree(ctx);
	return 0;
}
