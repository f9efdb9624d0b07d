/*
 * Coroutines on one thread, in POSIX's ucontext: each has a stack of its own
 * and keeps the thread until it awaits something; an event loop then lets the
 * others run.  Any coroutine library does the same; this one is small enough
 * to read.
 */
#ifndef ESSAY_CORO_H
#define ESSAY_CORO_H

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>

/* ---- telling what happens ---- */

static long long started_us;	/* what the times are counted from */

static long long
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

/* Bytes of text that go on a line of max columns: whole words where it can. */
static int
line_length(const char *text, int max)
{
	int n = (int)strlen(text), i;

	if (n <= max)
		return n;
	for (i = max; i > 0; i--)
		if (text[i] == ' ')
			return i;
	return max;
}

/* A line with milliseconds and who speaks; may come from any thread. */
static void __attribute__((format(printf, 2, 3)))
say(const char *who, const char *fmt, ...)
{
	double ms = (now_us() - started_us) / 1000.0;
	char text[4096], *rest = text;
	va_list ap;
	int n;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	flockfile(stdout);
	n = line_length(rest, 57);
	printf("%7.1f ms  %-10s %.*s\n", ms, who, n, rest);
	while (rest += n, *rest != '\0') {
		rest += *rest == ' ';
		n = line_length(rest, 55);
		printf("%23s%.*s\n", "", n, rest);
	}
	funlockfile(stdout);
}

static void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("essay: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(2);
}

/* ---- coroutines: a stack each, and a loop that says who runs ---- */

struct coro {
	const char	*name;
	void		(*body)(void);
	ucontext_t	 context;
	long long	 wake_us;	/* run again at this time; 0: when woken */
	bool		 is_ready;
	bool		 is_done;
	char		 tag[16];	/* of the request it awaits (part 3) */
	char		*answer;	/* and what came; heap */
};

#define MAX_COROS	8
#define STACK_BYTES	(256 * 1024)

static struct coro coros[MAX_COROS];
static int n_coros;
static struct coro *me;		/* the one that runs now */
static ucontext_t loop_context;
static long long longest_turn_us;	/* how long the loop was ever held up */

/* Give the thread back to the loop until somebody wakes this coroutine. */
static void
yield(void)
{
	swapcontext(&me->context, &loop_context);
}

static void
await_ms(int ms)
{
	say(me->name, "awaits something that takes %d ms", ms);
	me->wake_us = now_us() + ms * 1000LL;
	yield();
}

static void
begin_body(void)
{
	me->body();
	me->is_done = true;
	/* uc_link leads back to the loop. */
}

static void
spawn(const char *name, void (*body)(void))
{
	struct coro *coro = &coros[n_coros++];

	coro->name = name;
	coro->body = body;
	coro->is_ready = true;
	getcontext(&coro->context);
	coro->context.uc_stack.ss_sp = malloc(STACK_BYTES);
	coro->context.uc_stack.ss_size = STACK_BYTES;
	coro->context.uc_link = &loop_context;
	if (coro->context.uc_stack.ss_sp == NULL)
		die("out of memory");
	makecontext(&coro->context, begin_body, 0);
}

/* Run each coroutine that can; returns how long to sleep, or -1: no timer. */
static int
run_ready(bool *all_done_out)
{
	long long now = now_us(), next_us = 0;
	int i;

	*all_done_out = true;
	for (i = 0; i < n_coros; i++) {
		struct coro *coro = &coros[i];

		if (coro->wake_us != 0 && coro->wake_us <= now) {
			coro->wake_us = 0;
			coro->is_ready = true;
		}
		if (coro->is_ready) {
			coro->is_ready = false;
			me = coro;
			swapcontext(&loop_context, &coro->context);
		}
		if (coro->wake_us != 0 &&
		    (next_us == 0 || coro->wake_us < next_us))
			next_us = coro->wake_us;
		*all_done_out = *all_done_out && coro->is_done;
	}
	if (next_us == 0)
		return -1;
	now = now_us();
	return next_us <= now ? 0 : (int)((next_us - now + 999) / 1000);
}

/*
 * The event loop: coroutines in turn, then sleep until a timer is due or fd
 * has something for on_input, which wakes whoever it is for.
 */
static void
run_loop(int fd, void (*on_input)(void))
{
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		long long turn_us = now_us();
		bool all_done;
		int ms = run_ready(&all_done);

		turn_us = now_us() - turn_us;
		if (turn_us > longest_turn_us)
			longest_turn_us = turn_us;
		if (all_done)
			return;
		if (poll(&pfd, 1, ms) > 0)
			on_input();
	}
}

#endif
