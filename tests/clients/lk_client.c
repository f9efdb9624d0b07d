/*
 * liblockkeeper at the tests' orders.
 *
 *	lk_client many SOCKET N		N coroutines on one connection
 *	lk_client essay SOCKET		blocking calls of one thread
 *	lk_client orders poll|event SOCKET
 *
 * orders reads from standard input, a line each, quoted as requests are, and
 * answers with lines of JSON:
 *
 *	NUMBER await TASK WORD...	by a coroutine of that name, which is
 *					made on first use
 *	NUMBER submit WORD...		without one
 *	NUMBER limited TASK MS WORD...	await with a deadline
 *	NUMBER unit TASK WORD... ; WORD...
 *	NUMBER cancel TASK
 *	NUMBER abandon TASK		free what the coroutine has, and never
 *					let it go on
 *
 * The answer has the number and "value" or "error", an array of kind, SQLSTATE,
 * message and whether the library said so.  Pushes and states are answered
 * unasked, with number 0.
 */
#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <lockkeeper-libevent.h>
#include <lockkeeper-poll.h>
#include <lockkeeper.h>

#define STACK_BYTES	((size_t)64 * 1024)

/* ---- JSON ---- */

static void
print_text(const char *text, size_t n)
{
	size_t i;

	putchar('"');
	for (i = 0; i < n; i++) {
		if ((unsigned char)text[i] < 0x20 || text[i] == '"' ||
		    text[i] == '\\')
			printf("\\u%04x", (unsigned)text[i]);
		else
			putchar(text[i]);
	}
	putchar('"');
}

static void
print_value(const struct lk_reply *reply)
{
	enum lk_reply_type type = lk_reply_type(reply);
	const char *text;
	size_t n, i;

	switch (type) {
	case LK_REPLY_NULL:
		printf("null");
		break;
	case LK_REPLY_BOOL:
		printf(lk_reply_int(reply) ? "true" : "false");
		break;
	case LK_REPLY_INT:
		printf("%" PRId64, lk_reply_int(reply));
		break;
	case LK_REPLY_DOUBLE:
		printf("%.17g", lk_reply_double(reply));
		break;
	case LK_REPLY_ERROR:
		printf("[\"%s\",\"%s\",", lk_reply_kind_word(reply),
		    lk_reply_sqlstate(reply));
		text = lk_reply_text(reply, &n);
		print_text(text, n);
		printf(",%s]", lk_reply_is_local(reply) ? "true" : "false");
		break;
	case LK_REPLY_TEXT:
	case LK_REPLY_WORD:
		text = lk_reply_text(reply, &n);
		print_text(text, n);
		break;
	default:
		putchar(type == LK_REPLY_MAP ? '{' : '[');
		for (i = 0; i < lk_reply_count(reply); i++) {
			if (i > 0)
				putchar(',');
			if (type == LK_REPLY_MAP) {
				print_value(lk_reply_key(reply, i));
				putchar(':');
			}
			print_value(lk_reply_at(reply, i));
		}
		putchar(type == LK_REPLY_MAP ? '}' : ']');
	}
}

static void
print_answer(long number, struct lk_reply *reply)
{
	printf("{\"number\":%ld,\"%s\":", number,
	    lk_reply_is_error(reply) ? "error" : "value");
	print_value(reply);
	printf("}\n");
	fflush(stdout);
	lk_reply_free(&reply);
}

/* ---- coroutines ---- */

struct coroutine {
	ucontext_t	 context;
	void		(*body)(struct coroutine *me);
	struct lk_task	*task;
	struct lk_reply	*reply;
	void		*stack;
	int		 index;
	/* orders */
	char		 name[64];
	long		 number;
	struct lk_line	*order;		/* NULL: it waits for one */
};

static struct lk_conn *conn;
static ucontext_t loop_context;
static struct coroutine *running;
static int n_running;

static void
switch_to(struct coroutine *coroutine)
{
	struct coroutine *before = running;

	running = coroutine;
	swapcontext(before != NULL ? &before->context : &loop_context,
	    &coroutine->context);
	running = before;
}

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
	((struct coroutine *)coroutine)->reply = reply;
	switch_to(coroutine);
}

static const struct lk_hooks hooks = {
	sizeof(struct lk_hooks), suspend, resume, NULL
};

static void
run_body(void)
{
	running->body(running);
	n_running--;
}

static void
start(struct coroutine *coroutine, const char *name,
    void (*body)(struct coroutine *))
{
	coroutine->body = body;
	coroutine->task = lk_task_new(conn, &hooks, name);
	coroutine->stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (coroutine->task == NULL || coroutine->stack == MAP_FAILED)
		err(1, "no coroutine");
	getcontext(&coroutine->context);
	coroutine->context.uc_stack.ss_sp = coroutine->stack;
	coroutine->context.uc_stack.ss_size = STACK_BYTES;
	coroutine->context.uc_link = &loop_context;
	makecontext(&coroutine->context, run_body, 0);
	n_running++;
	switch_to(coroutine);
}

/* ---- many ---- */

static size_t max_outstanding;
static int n_right;

static struct lk_reply *
await(struct coroutine *me, const char *a, const char *b, const char *c)
{
	const char *words[] = { a, b, c };

	return lk_await(me->task, NULL, c != NULL ? 3 : b != NULL ? 2 : 1,
	    words, NULL);
}

/* Its own number, before and in a transaction. */
static void
check_numbers(struct coroutine *me)
{
	struct lk_reply *reply;
	char number[16];
	int i, n = me->index % 10 == 0 ? 3 : 1;

	snprintf(number, sizeof(number), "%d", me->index);
	if (n == 3)
		lk_reply_free(&(struct lk_reply *){
		    await(me, "BEGIN", NULL, NULL) });
	for (i = 0; i < n; i++) {
		reply = await(me, "SQL", "SELECT $1::int AS n", number);
		if (lk_reply_is_error(reply))
			errx(1, "%d: %s", me->index,
			    lk_reply_text(reply, NULL));
		if (lk_reply_int(lk_reply_get(lk_reply_at(reply, 0), "n")) !=
		    me->index)
			errx(1, "%d has the reply of another", me->index);
		lk_reply_free(&reply);
	}
	if (n == 3)
		lk_reply_free(&(struct lk_reply *){
		    await(me, "COMMIT", NULL, NULL) });
	n_right++;
	lk_task_free(&me->task);
}

static int
run_many(const char *socket, int n)
{
	struct lk_options options = LK_OPTIONS_INIT;
	struct coroutine *all = calloc((size_t)n, sizeof(*all));
	int i;

	options.socket = socket;
	conn = lk_conn_new(&options);
	for (i = 0; i < n; i++) {
		all[i].index = i;
		start(&all[i], NULL, check_numbers);
	}
	max_outstanding = lk_conn_outstanding(conn);
	while (n_running > 0)
		lk_conn_wait(conn, -1);
	for (i = 0; i < n; i++)
		munmap(all[i].stack, STACK_BYTES);
	free(all);
	lk_conn_free(&conn);
	printf("%zu at once, %d right\n", max_outstanding, n_right);
	return 0;
}

/* ---- essay ---- */

static int
run_essay(const char *socket)
{
	static const char update[] = "UPDATE r SET v = v + 1 WHERE id = 1";
	struct lk_options options = LK_OPTIONS_INIT;
	struct lk_conn *c1, *c2;
	struct lk_reply *error;

	options.socket = socket;
	options.name = "essay";
	c1 = lk_open(&options, &error);
	c2 = c1 != NULL ? lk_open(&options, &error) : NULL;
	if (c2 == NULL)
		errx(1, "%s", lk_reply_text(error, NULL));
	print_answer(1, lk_ask(c1, "BEGIN", (char *)NULL));
	print_answer(2, lk_ask(c1, "SQL", update, (char *)NULL));
	print_answer(3, lk_ask(c2, "SQL", update, (char *)NULL));
	print_answer(4, lk_ask(c1, "COMMIT", (char *)NULL));
	print_answer(5, lk_ask(c2, "SQL", update, (char *)NULL));
	lk_conn_free(&c1);
	lk_conn_free(&c2);
	return 0;
}

/* ---- orders ---- */

#define MAX_COROUTINES	64

static struct coroutine coroutines[MAX_COROUTINES];
static bool is_over;

static void
answer_submitted(void *arg, struct lk_reply *reply)
{
	print_answer((long)(intptr_t)arg, reply);
}

static void
print_push(void *arg, struct lk_conn *from, const struct lk_reply *push)
{
	(void)arg;
	(void)from;
	printf("{\"number\":0,\"push\":");
	print_value(push);
	printf("}\n");
	fflush(stdout);
}

static void
print_state(void *arg, struct lk_conn *from, enum lk_state state,
    const char *why)
{
	static const char *const words[] = { "connecting", "up", "down" };

	(void)arg;
	(void)from;
	printf("{\"number\":0,\"state\":\"%s\",\"why\":", words[state]);
	print_text(why, strlen(why));
	printf("}\n");
	fflush(stdout);
}

/* words[3..] in parts, between those that are ";". */
static struct lk_reply *
await_unit(struct coroutine *me, size_t n, const char *const *words,
    const size_t *lens)
{
	struct lk_unit *unit = lk_unit_new(0, NULL, NULL);
	struct lk_reply *reply;
	size_t i, from = 0;

	for (i = 0; i <= n; i++) {
		if (i < n && strcmp(words[i], ";") != 0)
			continue;
		lk_unit_add(unit, NULL, i - from, words + from, lens + from);
		from = i + 1;
	}
	reply = lk_await_unit(me->task, NULL, unit);
	lk_unit_free(&unit);
	return reply;
}

static void
take_orders(struct coroutine *me)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	const char *const *words;
	const size_t *lens;
	struct lk_reply *reply;
	struct lk_line *order;
	size_t n;

	for (;;) {
		order = me->order;
		n = lk_line_words(order, &words, &lens);
		envelope.deadline_ms = 0;
		if (strcmp(words[1], "unit") == 0) {
			reply = await_unit(me, n - 3, words + 3, lens + 3);
		} else if (strcmp(words[1], "limited") == 0) {
			envelope.deadline_ms = atoi(words[3]);
			reply = lk_await(me->task, &envelope, n - 4, words + 4,
			    lens + 4);
		} else {
			reply = lk_await(me->task, NULL, n - 3, words + 3,
			    lens + 3);
		}
		print_answer(me->number, reply);
		lk_line_free(&order);
		me->order = NULL;
		swapcontext(&me->context, &loop_context);
	}
}

static struct coroutine *
find_coroutine(const char *name)
{
	int i;

	for (i = 0; i < MAX_COROUTINES; i++) {
		if (coroutines[i].task != NULL &&
		    strcmp(coroutines[i].name, name) == 0)
			return &coroutines[i];
	}
	return NULL;
}

static void
give_order(const char *name, long number, struct lk_line *order)
{
	struct coroutine *coroutine = find_coroutine(name);
	bool is_new = coroutine == NULL;
	int i;

	for (i = 0; coroutine == NULL; i++) {
		if (coroutines[i].stack == NULL)
			coroutine = &coroutines[i];
	}
	if (coroutine->order != NULL)
		errx(1, "%s has an order", name);
	coroutine->number = number;
	coroutine->order = order;
	snprintf(coroutine->name, sizeof(coroutine->name), "%s", name);
	if (is_new)
		start(coroutine, name, take_orders);
	else
		switch_to(coroutine);
}

static void
abandon(struct coroutine *coroutine)
{
	lk_task_free(&coroutine->task);
	lk_line_free(&coroutine->order);
	munmap(coroutine->stack, STACK_BYTES);
	coroutine->stack = NULL;
}

static void
obey(const char *text)
{
	struct lk_line *order = lk_line_parse(text, strlen(text));
	const char *const *words;
	const size_t *lens;
	struct coroutine *named;
	long number;
	size_t n;

	if (order == NULL)
		err(1, "no order: %s", text);
	n = lk_line_words(order, &words, &lens);
	number = atol(words[0]);
	if (strcmp(words[1], "submit") == 0) {
		lk_submit(conn, NULL, n - 2, words + 2, lens + 2,
		    answer_submitted, (void *)(intptr_t)number);
		lk_line_free(&order);
		return;
	}
	named = find_coroutine(words[2]);
	if (strcmp(words[1], "cancel") == 0) {
		lk_task_cancel(named->task);
		lk_line_free(&order);
	} else if (strcmp(words[1], "abandon") == 0) {
		abandon(named);
		lk_line_free(&order);
	} else {
		give_order(words[2], number, order);
	}
}

/* Whole lines; what is left of one stays for the next time. */
static void
read_orders(void)
{
	static char text[256 * 1024];
	static size_t n_text;
	ssize_t n = read(STDIN_FILENO, text + n_text,
	    sizeof(text) - 1 - n_text);
	char *line = text, *end;

	if (n <= 0) {
		is_over = true;
		return;
	}
	n_text += (size_t)n;
	text[n_text] = '\0';
	while ((end = strchr(line, '\n')) != NULL) {
		*end = '\0';
		obey(line);
		line = end + 1;
	}
	n_text -= (size_t)(line - text);
	memmove(text, line, n_text);
}

static void
run_poll(void)
{
	struct pollfd fds[2] = { { STDIN_FILENO, POLLIN, 0 } };
	int timeout_ms;

	while (!is_over) {
		timeout_ms = -1;
		fds[0].revents = 0;
		lk_poll_prepare(conn, &fds[1], &timeout_ms);
		if (poll(fds, 2, timeout_ms) < 0)
			err(1, "poll");
		lk_poll_handle(conn, &fds[1]);
		if (fds[0].revents != 0)
			read_orders();
	}
}

static void
take_input(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	read_orders();
	if (is_over)
		event_base_loopbreak(arg);
}

static void
run_event(void)
{
	struct event_base *base = event_base_new();
	struct event *input = event_new(base, STDIN_FILENO,
	    EV_READ | EV_PERSIST, take_input, base);
	struct lk_libevent *loop = lk_libevent_attach(base, conn);

	event_add(input, NULL);
	event_base_dispatch(base);
	lk_libevent_detach(loop);
	event_free(input);
	event_base_free(base);
}

static int
run_orders(const char *loop, const char *socket)
{
	struct lk_options options = LK_OPTIONS_INIT;
	int i;

	options.socket = socket;
	options.name = "orders";
	options.on_push = print_push;
	options.on_state = print_state;
	conn = lk_conn_new(&options);
	if (conn == NULL)
		err(1, "no connection");
	if (strcmp(loop, "event") == 0)
		run_event();
	else
		run_poll();
	for (i = 0; i < MAX_COROUTINES; i++) {
		if (coroutines[i].task != NULL)
			abandon(&coroutines[i]);
	}
	lk_conn_free(&conn);
	return 0;
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && strcmp(argv[1], "many") == 0)
		return run_many(argv[2], atoi(argv[3]));
	if (argc == 3 && strcmp(argv[1], "essay") == 0)
		return run_essay(argv[2]);
	if (argc == 4 && strcmp(argv[1], "orders") == 0)
		return run_orders(argv[2], argv[3]);
	errx(2, "usage: lk_client many|essay|orders ...");
}
