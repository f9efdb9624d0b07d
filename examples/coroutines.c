/*
 * Lockkeeper from coroutines, here those of POSIX's ucontext:
 * cc -o coroutines coroutines.c $(pkg-config --cflags --libs lockkeeper), then
 * ./coroutines SOCKET
 *
 * All of them share one connection and one thread.  Each moves money between
 * two accounts of `lockkeeper dev' in a transaction of its own, in an order
 * that makes some of them wait for each other in a ring; those that lose begin
 * again.  The library needs to be told two things only: how the running
 * coroutine stops, and how it goes on.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

#include <lockkeeper.h>

#define N_COROUTINES	20
#define STACK_BYTES	((size_t)64 * 1024)

struct coroutine {
	ucontext_t	 context;
	struct lk_task	*task;
	struct lk_reply	*reply;		/* that it goes on with */
	int		 number;
	int		 n_tries;
};

static ucontext_t loop_context;
static struct coroutine *running;	/* NULL: the loop */
static int n_running;

/* ---- the two callbacks ---- */

static struct lk_reply *
suspend(void *arg, void **coroutine_out)
{
	struct coroutine *me = running;

	(void)arg;
	*coroutine_out = me;
	swapcontext(&me->context, &loop_context);
	return me->reply;
}

static void
resume(void *arg, void *coroutine, struct lk_reply *reply)
{
	(void)arg;
	running = coroutine;
	running->reply = reply;
	swapcontext(&loop_context, &running->context);
	running = NULL;
}

static const struct lk_hooks hooks = {
	sizeof(struct lk_hooks), suspend, resume, NULL
};

/* ---- what a coroutine does: it reads as if it were alone ---- */

/* 0, or -1 when all has to begin again; the task is then in no transaction. */
static int
ask(struct lk_task *task, size_t n_words, const char *const *words)
{
	struct lk_reply *reply = lk_await(task, NULL, n_words, words, NULL);
	enum lk_again again = lk_reply_again(reply);

	if (lk_reply_is_error(reply) && again != LK_AGAIN_TRANSACTION)
		errx(1, "%s %s", lk_reply_kind_word(reply),
		    lk_reply_text(reply, NULL));
	lk_reply_free(&reply);
	if (again != LK_AGAIN_TRANSACTION)
		return 0;
	reply = lk_await(task, NULL, 1, (const char *[]){ "ROLLBACK" }, NULL);
	lk_reply_free(&reply);
	return -1;
}

static int
move_money(struct lk_task *task, const char *from, const char *to)
{
	const char *begin[] = { "BEGIN" }, *commit[] = { "COMMIT" };
	const char *take[] = { "UPDATE", "accounts", from, "SET", "balance",
	    "-=", "1" };
	const char *give[] = { "UPDATE", "accounts", to, "SET", "balance",
	    "+=", "1" };

	if (ask(task, 1, begin) < 0 || ask(task, 7, take) < 0 ||
	    ask(task, 7, give) < 0)
		return -1;
	return ask(task, 1, commit);
}

static void
run_coroutine(void)
{
	struct coroutine *me = running;

	do
		me->n_tries++;
	while (move_money(me->task, me->number % 2 ? "1" : "2",
	    me->number % 2 ? "2" : "1") < 0);
	lk_task_free(&me->task);
	n_running--;
	/* uc_link leads back to the loop. */
}

static void
start_coroutine(struct coroutine *coroutine, struct lk_conn *conn, int number)
{
	coroutine->number = number;
	coroutine->task = lk_task_new(conn, &hooks, NULL);
	getcontext(&coroutine->context);
	coroutine->context.uc_stack.ss_sp = malloc(STACK_BYTES);
	coroutine->context.uc_stack.ss_size = STACK_BYTES;
	coroutine->context.uc_link = &loop_context;
	if (coroutine->task == NULL ||
	    coroutine->context.uc_stack.ss_sp == NULL)
		err(1, "no coroutine");
	makecontext(&coroutine->context, run_coroutine, 0);
	n_running++;
	running = coroutine;
	swapcontext(&loop_context, &coroutine->context);
	running = NULL;
}

int
main(int argc, char **argv)
{
	static struct coroutine coroutines[N_COROUTINES];
	struct lk_options options = LK_OPTIONS_INIT;
	struct lk_conn *conn;
	int i, n_tries = 0;

	options.socket = argc > 1 ? argv[1] : NULL;
	options.name = "coroutines";
	conn = lk_conn_new(&options);
	if (conn == NULL)
		err(1, "no connection");
	for (i = 0; i < N_COROUTINES; i++)
		start_coroutine(&coroutines[i], conn, i);
	while (n_running > 0)		/* any event loop does: see lk_conn(3) */
		lk_conn_wait(conn, -1);
	for (i = 0; i < N_COROUTINES; i++) {
		n_tries += coroutines[i].n_tries;
		free(coroutines[i].context.uc_stack.ss_sp);
	}
	lk_conn_free(&conn);
	printf("%d transfers, done in %d tries\n", N_COROUTINES, n_tries);
	return 0;
}
