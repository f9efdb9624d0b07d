/*
 * core among clients that send anything, with sessions, cancels, looks and a
 * clock that do what the input says: nothing breaks, every request gets
 * exactly one reply, which is RESP, and nothing is left in the end.
 *
 * The input is a play: requests, RESP or inline, and between them lines that
 * begin with a dot, stage directions.  N, M are workers from 0 on.
 *   .1 .2 .3	who speaks from here on; connects when not there; 1 and 2 are
 *		one process, and may not KILL
 *   .x		the speaker's connection ends
 *   .p .P	sockets have undecoded bytes from here on; no longer
 *   .mN	worker N moves on: its session opens, is clean, or ends
 *   .dN	worker N loses its session
 *   .fN .eN .kN .rN .lN .nN
 *		N's statement ends: done, by an error, as the victim of a
 *		deadlock, by a cancel, unanswered, unsent
 *   .oN	N's COMMIT is answered with ROLLBACK
 *   .c .C .F	one cancel was sent, came too late, failed
 *   .w .wNM.. .W	one look sees no wait; N wait for M, and so on; fails
 *   .tN	time passes: 4^N ms
 *   .s .S	statements and lock waits may take a second; end no more
 *   .g .G	deadlocks are only reported, or not looked for, from here on
 * In requests #a to #d, and $a to $d without the sign, are the handles of the
 * first four transactions.
 */
#include "../unit/core_world.h"

#include "base/die.h"
#include "core/internal.h"
#include "fuzz.h"
#include "resp/value.h"

#define MAX_REQUEST	512
#define N_PLAYERS	3
#define N_WORKERS	3
#define N_HANDLES	4
#define MAX_WORDS	64
#define MAX_SETTLING	20000

struct player {
	struct fake_conn conn;
	size_t		 n_sent, n_got;
};

static struct player players[N_PLAYERS];
static struct player *speaker;
static int64_t handles[N_HANDLES];
static size_t n_handles;
static bool has_undecoded;

/* ---- replies ---- */

static void
count_reply(struct player *player, const struct lk_value *value)
{
	const struct lk_value *body = value;
	bool is_tagged = (value->type == LK_VALUE_ARRAY ||
	    value->type == LK_VALUE_PUSH) && value->n_items == 3 &&
	    value->items[0].type == LK_VALUE_SIMPLE &&
	    strcmp(value->items[0].text, "reply") == 0;

	if (value->type == LK_VALUE_PUSH && !is_tagged)
		return;
	player->n_got++;
	if (is_tagged)
		body = &value->items[2];
	if (body->type == LK_VALUE_INT && n_handles < N_HANDLES &&
	    body->integer > INT32_MAX)
		handles[n_handles++] = body->integer;
}

static void
read_replies(struct player *player)
{
	struct lk_buf *got = &player->conn.got;
	struct lk_error error = { 0 };
	struct lk_value value;
	size_t used;

	while (got->len > 0) {
		lk_assert(lk_value_decode(got->data, got->len, &value, &used,
		    &error) == 0);
		count_reply(player, &value);
		lk_value_fini(&value);
		lk_buf_consume(got, used);
	}
	lk_assert(player->n_got <= player->n_sent);
}

static void
read_all_replies(void)
{
	size_t i;

	for (i = 0; i < N_PLAYERS; i++)
		read_replies(&players[i]);
}

/* ---- clients ---- */

static void
set_speaker(size_t i)
{
	lk_assert_loop();
	speaker = &players[i];
	if (speaker->conn.client != NULL)
		return;
	*speaker = (struct player){ .conn = { .got = LK_BUF_INIT } };
	speaker->conn.client = lk_core_client_new(world.core, &speaker->conn,
	    &(struct lk_peer){ .pid = (pid_t)(10 + i / 2), .uid = i < 2 });
}

static bool
drain(struct fake_conn *conn)
{
	(void)conn;
	return !has_undecoded;
}

/* The handle that a word stands for, in text; else the word itself. */
static struct lk_arg
with_handle(const struct lk_arg *word, char text[32])
{
	size_t i;

	if (word->data == NULL || word->len != 2 ||
	    strchr("#$", word->data[0]) == NULL)
		return *word;
	i = (size_t)(word->data[1] - 'a');
	if (i >= n_handles)
		return *word;
	snprintf(text, 32, "#%lld", (long long)handles[i]);
	return word->data[0] == '#' ?
	    (struct lk_arg){ text, strlen(text) } :
	    (struct lk_arg){ text + 1, strlen(text) - 1 };
}

static void
send_request(const struct lk_arg *words, size_t n)
{
	char texts[MAX_WORDS][32];
	struct lk_arg args[MAX_WORDS];
	size_t i;

	lk_assert_loop();
	for (i = 0; i < n && i < MAX_WORDS; i++)
		args[i] = with_handle(&words[i], texts[i]);
	/* Behind QUIT and behind bytes that are no RESP nothing is read. */
	speaker->n_sent += !speaker->conn.client->is_closing;
	lk_core_request(speaker->conn.client, args, i);
}

static void
send_bad_request(const struct lk_error *error)
{
	lk_assert_loop();
	speaker->n_sent += !speaker->conn.client->is_closing;
	lk_core_bad_request(speaker->conn.client, error);
}

/* From text[at], which no request begins with, to the next direction. */
static size_t
skip_to_direction(const char *text, size_t n, size_t at)
{
	while (at < n && !(text[at] == '.' && at > 0 && text[at - 1] == '\n'))
		at++;
	return at;
}

static size_t
speak(const char *text, size_t n, size_t at)
{
	struct lk_request_decoder *decoder =
	    lk_request_decoder_new(MAX_REQUEST);
	struct lk_error error = { 0 };
	const struct lk_arg *words;
	size_t n_words, n_used;
	int rc;

	if (speaker->conn.client == NULL)
		set_speaker((size_t)(speaker - players));
	rc = lk_request_decode(decoder, text + at, n - at, &words, &n_words,
	    &n_used, &error);
	if (rc == 0 && n_words > 0)
		send_request(words, n_words);
	else if (rc != 0 && rc != -LK_E_AGAIN)
		send_bad_request(&error);
	lk_error_fini(&error);
	lk_request_decoder_free(&decoder);
	return rc == 0 ? at + n_used : skip_to_direction(text, n, at + 1);
}

/* ---- threads ---- */

static void
move_worker(uint32_t w)
{
	struct fake_worker *fake = &world.workers[w];

	if (!fake->is_started || fake->job != NULL)
		return;
	if (fake->is_stopping)
		end_worker(w);
	else if (fake->pid == 0)
		come_up(w);
	else if (fake->is_cleaning)
		post_ready(w);
}

static void
end_job(uint32_t w, char how)
{
	struct lk_job *job = world.workers[w].job;
	struct lk_item *item;
	bool is_good = how == 'f' || how == 'o';
	size_t i;

	if (job == NULL)
		return;
	if (how == 'l' || how == 'n') {
		lose(w, how == 'l' ? LK_ITEM_LOST : LK_ITEM_UNSENT);
		return;
	}
	item = &job->items[job->n_items - 1];
	for (i = 0; i < job->n_items; i++)
		job->items[i].outcome = LK_ITEM_DONE;
	item->outcome = is_good ? LK_ITEM_DONE : LK_ITEM_FAILED;
	job->after = !job->in_tx ? LK_XACT_IDLE : is_good ? LK_XACT_OPEN :
	    LK_XACT_ERROR;
	if (is_good) {
		snprintf(item->tag, sizeof(item->tag), "%.60s",
		    how == 'o' ? "ROLLBACK" : item->sql);
		lk_buf_puts(&item->reply, "+done\r\n");
	} else {
		lk_error_set(&item->error, how == 'k' ? LK_ERR_DEADLOCK :
		    LK_ERR_PG, "the server's words");
		lk_error_set_sqlstate(&item->error, how == 'k' ? "40P01" :
		    how == 'r' ? "57014" : "23505");
	}
	post_job(w);
}

static void
direct_worker(char what, uint32_t w)
{
	struct fake_worker *fake = &world.workers[w];

	if (!fake->is_started)
		return;
	if (what == 'm')
		move_worker(w);
	else if (what == 'd' && fake->job == NULL && !fake->is_stopping)
		go_down(w);
	else if (memchr("fekrlno", what, 7) != NULL)
		end_job(w, what);
}

static void
answer_cancel(char how)
{
	struct lk_cancel *cancel;

	if (world.n_cancels == 0)
		return;
	cancel = world.cancels[--world.n_cancels];
	cancel->sent = how == 'c';
	cancel->failed = how == 'F';
	deliver(&cancel->msg, LK_MSG_CANCEL, WATCHER_BIT);
}

/* waits: pairs of workers; where there is no such one, somebody else's session
 * waits or holds. */
static void
direct_look(char what, const char *waits, size_t n)
{
	size_t i;

	if (world.look == NULL)
		return;
	world.look->failed = what == 'W';
	for (i = 0; i + 1 < n && i < 2 * N_WORKERS; i += 2)
		add_wait(FIRST_PID + waits[i] - '0',
		    FIRST_PID + waits[i + 1] - '0', 600 * LK_US_PER_MS);
	answer_look();
}

/* Cancels are repeated; what is asked for again and again is answered. */
static void
let_time_pass(uint64_t ms)
{
	lk_assert_loop();
	while (world.n_cancels > MAX_CANCELS / 2)
		answer_cancel('c');
	set_now(world.now_us + ms * LK_US_PER_MS);
	lk_core_run_timers(world.core);
}

/* Nobody is cancelled twice for the same wait. */
static void
check_cancels(void)
{
	const struct lk_cancel *a, *b;
	size_t i, k;

	for (i = 0; i < world.n_cancels; i++) {
		for (k = 0; k < i; k++) {
			a = world.cancels[i];
			b = world.cancels[k];
			lk_assert(a->waitstart[0] == '\0' ||
			    b->waitstart[0] == '\0' ||
			    a->request.index != b->request.index ||
			    a->request.generation != b->request.generation);
		}
	}
}

/* ---- the play ---- */

static void
set_timeouts(uint64_t us)
{
	world.config.timeout_statement_us = us;
	world.config.timeout_lock_us = us;
}

/* What stands between a dot and the end of its line. */
static void
direct(const char *text, size_t n)
{
	char what = n > 0 ? text[0] : '\0';
	uint32_t number = n > 1 ? (uint32_t)(text[1] - '0') : 0;

	switch (what) {
	case '1': case '2': case '3':
		set_speaker((size_t)(what - '1'));
		break;
	case 'x':
		vanish(&speaker->conn);
		break;
	case 'p': case 'P':
		has_undecoded = what == 'p';
		break;
	case 'w': case 'W':
		direct_look(what, text + 1, n - 1);
		break;
	case 'c': case 'C': case 'F':
		answer_cancel(what);
		break;
	case 's': case 'S':
		set_timeouts(what == 's' ? LK_US_PER_S : 0);
		break;
	case 'g': case 'G':
		world.config.deadlock_mode = what == 'g' ?
		    LK_DEADLOCK_REPORT : LK_DEADLOCK_OFF;
		break;
	case 't':
		if (number < 10)
			let_time_pass(1u << 2 * number);
		break;
	default:
		if (number < N_WORKERS)
			direct_worker(what, number);
	}
}

static void
play(const char *text, size_t n)
{
	const char *end;
	size_t at = 0;

	while (at < n) {
		if (text[at] != '.') {
			at = speak(text, n, at);
		} else {
			end = memchr(text + at, '\n', n - at);
			if (end == NULL)
				end = text + n;
			direct(text + at + 1, (size_t)(end - text) - at - 1);
			at = (size_t)(end - text) + 1;
		}
		read_all_replies();
		check_cancels();
	}
}

static bool
is_answered(const struct player *player)
{
	/* A connection that core has closed is owed nothing more. */
	return player->conn.client == NULL || player->conn.is_closed ||
	    player->n_got == player->n_sent;
}

static bool
has_settled(void)
{
	size_t i;

	for (i = 0; i < N_PLAYERS; i++) {
		if (!is_answered(&players[i]))
			return false;
	}
	return n_running() == 0 && world.n_cancels == 0;
}

/* All that is out comes back, and time goes on. */
static void
settle(void)
{
	uint32_t i, w;

	for (i = 0; !has_settled(); i++) {
		lk_assert(i < MAX_SETTLING);
		for (w = 0; w < MAX_WORKERS; w++) {
			end_job(w, 'f');
			move_worker(w);
		}
		answer_cancel('c');
		answer_look();
		let_time_pass(20);
		read_all_replies();
	}
}

/* Assertions of core_world.h are cmocka's, which are to end the process. */
static void
prepare(void)
{
	static bool is_done;

	if (is_done)
		return;
	is_done = true;
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	lk_role_enter(LK_ROLE_LOOP);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	size_t i;

	if (n > LK_FUZZ_MAX_BYTES)
		return 0;
	prepare();
	begin_world(1, N_WORKERS);
	world.config.limit_in_flight = 6;
	world.config.limit_queue = 10;
	world.config.timeout_idle_tx_us = 300 * LK_US_PER_S;
	world.drain = drain;
	has_undecoded = false;
	n_handles = 0;
	set_speaker(0);
	play((const char *)bytes, n);
	settle();
	for (i = 0; i < N_PLAYERS; i++)
		vanish(&players[i].conn);
	settle();
	end_world();
	return 0;
}
