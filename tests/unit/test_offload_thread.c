#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/role.h"
#include "offload/cross.h"
#include "offload/thread.h"

static struct lk_mailbox outbox;
static struct lk_thread thread;

static int
make_outbox(void **state)
{
	(void)state;
	lk_role_enter(LK_ROLE_LOOP);
	return lk_mailbox_init(&outbox);
}

static int
drop_outbox(void **state)
{
	(void)state;
	lk_mailbox_fini(&outbox);
	lk_role_enter(LK_ROLE_NONE);
	return 0;
}

static struct lk_msg *
to_msg(struct lk_list *link)
{
	return lk_container(link, struct lk_msg, link);
}

/* Wait for mail in box and take all of it. */
static void
await_mail(struct lk_mailbox *box, struct lk_list *out)
{
	struct pollfd fd = { .fd = lk_mailbox_fd(box), .events = POLLIN };

	lk_list_init(out);
	while (lk_list_is_empty(out)) {
		poll(&fd, 1, -1);
		lk_mailbox_take(box, out);
	}
}

/* The next message in the outbox; one at a time is expected. */
static struct lk_msg *
next_message(void)
{
	struct lk_list mail;
	struct lk_msg *msg;

	await_mail(&outbox, &mail);
	msg = to_msg(mail.next);
	lk_list_remove(&msg->link);
	assert_true(lk_list_is_empty(&mail));
	return msg;
}

static void
join_after_exit(void) LK_ON_LOOP
{
	assert_ptr_equal(next_message(), &thread.exited);
	assert_int_equal(thread.exited.kind, LK_MSG_EXITED);
	lk_thread_join(&thread);
}

/* What a thread is told and finds, written by it before it exits. */
static struct {
	enum lk_role_kind role;
	void	*arg;
	char	 name[16];
	bool	 has_all_signals_blocked;
} found;

static void
look_around(struct lk_thread *self)
{
	sigset_t blocked;

	found.role = lk_role_current();
	found.arg = self->arg;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	found.has_all_signals_blocked = sigismember(&blocked, SIGTERM) == 1 &&
	    sigismember(&blocked, SIGINT) == 1 &&
	    sigismember(&blocked, SIGPIPE) == 1;
}

static void
runs_as_a_worker_with_signals_blocked(void **state)
{
	sigset_t before, after;
	int arg;

	(void)state;
	lk_assert_loop();
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(lk_thread_start(&thread, 3, "lk-test", look_around,
	    &arg, &outbox), 0);
	join_after_exit();
	assert_int_equal(thread.exited.thread, 3);
	assert_int_equal(found.role, LK_ROLE_WORKER);
	assert_ptr_equal(found.arg, &arg);
	assert_true(found.has_all_signals_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGTERM),
	    sigismember(&before, SIGTERM));
	assert_int_equal(lk_role_current(), LK_ROLE_LOOP);
}

/* Send every message back until told to stop. */
static void
echo(struct lk_thread *self)
{
	struct lk_list mail, *it, *following;
	struct lk_msg *msg;
	bool is_stopped = false;

	lk_assert_worker();
	while (!is_stopped) {
		await_mail(&self->inbox, &mail);
		LK_LIST_EACH(&mail, it, following) {
			msg = to_msg(it);
			lk_list_remove(it);
			if (msg->kind == LK_MSG_STOP)
				is_stopped = true;
			else
				lk_thread_post(self, msg);
		}
	}
}

static void
what_it_posts_bears_its_number(void **state)
{
	struct lk_look *look = lk_look_new();
	struct lk_msg *msg;

	(void)state;
	lk_assert_loop();
	assert_int_equal(lk_thread_start(&thread, 42, "lk-echo", echo, NULL,
	    &outbox), 0);
	look->seq = 5;
	lk_mailbox_post(&thread.inbox, &look->msg);
	look = NULL;
	msg = next_message();
	assert_int_equal(msg->kind, LK_MSG_LOOK);
	assert_int_equal(msg->thread, 42);
	look = lk_container(msg, struct lk_look, msg);
	assert_int_equal(look->seq, 5);
	lk_look_free(&look);
	assert_null(look);
	lk_thread_stop(&thread);
	join_after_exit();
}

static void
can_be_started_again(void **state)
{
	int i;

	(void)state;
	lk_assert_loop();
	for (i = 0; i < 20; i++) {
		assert_int_equal(lk_thread_start(&thread, 1, "lk-echo", echo,
		    NULL, &outbox), 0);
		lk_thread_stop(&thread);
		join_after_exit();
	}
}

static void
exit_at_once(struct lk_thread *self)
{
	(void)self;
}

static void
leave_mail_unread(void *arg)
{
	struct lk_look *look = lk_look_new();

	(void)arg;
	lk_assert_loop();
	lk_thread_start(&thread, 1, "lk-test", exit_at_once, NULL, &outbox);
	next_message();
	lk_mailbox_post(&thread.inbox, &look->msg);
	lk_thread_join(&thread);
}

/* Mail that nobody reads would be a job without an answer. */
static void
joining_with_unread_mail_aborts(void **state)
{
	(void)state;
	assert_true(unit_aborts(leave_mail_unread, NULL));
}

static void
job_frees_all_that_its_items_hold(void **state)
{
	struct lk_job *job = lk_job_new(2);

	(void)state;
	assert_int_equal(job->msg.kind, LK_MSG_JOB);
	assert_int_equal(job->n_items, 2);
	assert_int_equal(job->items[1].outcome, LK_ITEM_UNSENT);
	assert_true(lk_id_is_none(job->tx));
	job->items[0].text = strdup("SELECT 1");
	job->items[0].params = calloc(1, sizeof(struct lk_param));
	lk_buf_puts(&job->items[0].reply, "+OK\r\n");
	lk_error_set(&job->items[1].error, LK_ERR_PG, "no");
	lk_job_free(&job);
	assert_null(job);
	lk_job_free(&job);
}

/* The leak checker of the address build is the judge here. */
static void
look_frees_all_that_it_holds(void **state)
{
	struct lk_look *look = lk_look_new();

	(void)state;
	look->n_waits = 1;
	look->waits = calloc(1, sizeof(struct lk_wait));
	look->waits[0].object = strdup("row in accounts");
	look->waits[0].n_blockers = 1;
	look->waits[0].blockers = calloc(1, sizeof(struct lk_blocker));
	look->waits[0].blockers[0].gid = strdup("prepared");
	look->n_backends = 1;
	look->backends = calloc(1, sizeof(struct lk_backend));
	look->backends[0].application = strdup("a");
	look->backends[0].user = strdup("b");
	look->backends[0].database = strdup("c");
	look->backends[0].state = strdup("d");
	look->backends[0].query = strdup("e");
	lk_error_set(&look->error, LK_ERR_PG, "f");
	lk_look_free(&look);
	assert_null(look);
	lk_look_free(&look);
}

#define THREAD_TEST(test)						\
	cmocka_unit_test_setup_teardown(test, make_outbox, drop_outbox)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		THREAD_TEST(runs_as_a_worker_with_signals_blocked),
		THREAD_TEST(what_it_posts_bears_its_number),
		THREAD_TEST(can_be_started_again),
		THREAD_TEST(joining_with_unread_mail_aborts),
		cmocka_unit_test(job_frees_all_that_its_items_hold),
		cmocka_unit_test(look_frees_all_that_it_holds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
