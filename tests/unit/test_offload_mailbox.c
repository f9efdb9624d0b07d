#include "unit.h"

#include <poll.h>
#include <pthread.h>

#include "offload/mailbox.h"

#define N_LETTERS	8

static struct lk_mailbox box;
static struct lk_msg letters[N_LETTERS];

static int
make_box(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < N_LETTERS; i++) {
		lk_list_init(&letters[i].link);
		letters[i].kind = LK_MSG_NOTE;
		letters[i].thread = i;
	}
	return lk_mailbox_init(&box);
}

static int
drop_box(void **state)
{
	(void)state;
	lk_mailbox_fini(&box);
	return 0;
}

static bool
is_readable(int timeout_ms)
{
	struct pollfd fd = { .fd = lk_mailbox_fd(&box), .events = POLLIN };

	return poll(&fd, 1, timeout_ms) == 1;
}

/* How often it was rung since the last asking: an eventfd adds up. */
static uint64_t
count_rings(void)
{
	uint64_t n = 0;

	if (read(lk_mailbox_fd(&box), &n, sizeof(n)) < 0)
		return 0;
	return n;
}

/* Take all and compare with the letters' numbers, as digits. */
static void
assert_mail(const char *digits)
{
	struct lk_list mail, *it, *following;
	size_t i = 0;

	lk_list_init(&mail);
	lk_mailbox_take(&box, &mail);
	LK_LIST_EACH(&mail, it, following) {
		assert_int_equal(lk_container(it, struct lk_msg, link)->thread,
		    digits[i] - '0');
		lk_list_remove(it);
		i++;
	}
	assert_int_equal(i, strlen(digits));
}

static void
readable_exactly_while_there_is_mail(void **state)
{
	(void)state;
	assert_false(is_readable(0));
	lk_mailbox_post(&box, &letters[0]);
	assert_true(is_readable(0));
	assert_true(is_readable(0));
	assert_mail("0");
	assert_false(is_readable(0));
}

static void
mail_keeps_its_order(void **state)
{
	int i;

	(void)state;
	for (i = N_LETTERS - 1; i >= 0; i--)
		lk_mailbox_post(&box, &letters[i]);
	assert_mail("76543210");
	lk_mailbox_post(&box, &letters[3]);
	lk_mailbox_post(&box, &letters[1]);
	assert_mail("31");
}

static void
a_burst_rings_once(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < N_LETTERS; i++)
		lk_mailbox_post(&box, &letters[i]);
	assert_int_equal(count_rings(), 1);
	assert_mail("01234567");
	assert_int_equal(count_rings(), 0);
	lk_mailbox_post(&box, &letters[2]);
	assert_int_equal(count_rings(), 1);
	assert_mail("2");
}

static void
taking_from_an_empty_box_does_not_wait(void **state)
{
	(void)state;
	assert_mail("");
	assert_mail("");
}

static void
taken_mail_comes_behind_what_the_receiver_has(void **state)
{
	struct lk_list mail;

	(void)state;
	lk_list_init(&mail);
	lk_list_append(&mail, &letters[5].link);
	lk_mailbox_post(&box, &letters[6]);
	lk_mailbox_take(&box, &mail);
	assert_ptr_equal(mail.next, &letters[5].link);
	assert_ptr_equal(mail.prev, &letters[6].link);
}

#define N_POSTERS	4
#define N_EACH		2000

struct poster {
	pthread_t	thread;
	struct lk_msg	mail[N_EACH];
	int		n_arrived;
};

static struct poster posters[N_POSTERS];

static void *
post_all(void *arg)
{
	struct poster *poster = arg;
	uint32_t i;

	for (i = 0; i < N_EACH; i++) {
		lk_list_init(&poster->mail[i].link);
		poster->mail[i].thread = (uint32_t)(poster - posters);
		lk_mailbox_post(&box, &poster->mail[i]);
	}
	return NULL;
}

static int
receive_in_order(void)
{
	struct lk_list mail, *it, *following;
	struct poster *poster;
	struct lk_msg *msg;
	int n = 0;

	lk_list_init(&mail);
	lk_mailbox_take(&box, &mail);
	LK_LIST_EACH(&mail, it, following) {
		msg = lk_container(it, struct lk_msg, link);
		poster = &posters[msg->thread];
		assert_ptr_equal(msg, &poster->mail[poster->n_arrived]);
		poster->n_arrived++;
		n++;
	}
	return n;
}

/* A letter posted between the two halves of taking would otherwise lie there
 * with nobody told: a receiver that sleeps in poll() shows it. */
static void
no_letter_is_forgotten_under_contention(void **state)
{
	int i, n = 0;

	(void)state;
	for (i = 0; i < N_POSTERS; i++) {
		posters[i].n_arrived = 0;
		pthread_create(&posters[i].thread, NULL, post_all,
		    &posters[i]);
	}
	while (n < N_POSTERS * N_EACH) {
		assert_true(is_readable(20000));
		n += receive_in_order();
	}
	for (i = 0; i < N_POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	assert_int_equal(n, N_POSTERS * N_EACH);
	assert_mail("");
}

static void
fini_with_mail(void *arg)
{
	(void)arg;
	lk_mailbox_post(&box, &letters[0]);
	lk_mailbox_fini(&box);
}

static void
throwing_mail_away_aborts(void **state)
{
	(void)state;
	assert_true(unit_aborts(fini_with_mail, NULL));
}

#define BOX_TEST(test)							\
	cmocka_unit_test_setup_teardown(test, make_box, drop_box)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		BOX_TEST(readable_exactly_while_there_is_mail),
		BOX_TEST(mail_keeps_its_order),
		BOX_TEST(a_burst_rings_once),
		BOX_TEST(taking_from_an_empty_box_does_not_wait),
		BOX_TEST(taken_mail_comes_behind_what_the_receiver_has),
		BOX_TEST(no_letter_is_forgotten_under_contention),
		BOX_TEST(throwing_mail_away_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
