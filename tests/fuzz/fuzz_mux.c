/*
 * What a client makes of whatever a daemon sends: the same in one piece and
 * byte by byte, each request gets one reply at most while the stream lives,
 * and exactly one in all when it is lost.
 */
#include <stdlib.h>
#include <string.h>

#include <lockkeeper.h>

#include "base/die.h"
#include "fuzz.h"

#define N_REQUESTS	4

struct outcome {
	size_t	n_replies[N_REQUESTS];	/* by request */
	size_t	n_pushes;
	size_t	n_strays;
	size_t	n_values;		/* in all of them */
	bool	is_broken;
};

/* All accessors, of all values. */
static size_t
read_all(const struct lk_reply *reply)
{
	size_t n_values = 1, i, n;
	const char *text = lk_reply_text(reply, &n);

	lk_assert(text[n] == '\0');
	lk_assert(strlen(lk_reply_sqlstate(reply)) % 5 == 0);
	lk_assert(lk_reply_kind(reply) == LK_KIND_OTHER ||
	    lk_reply_is_error(reply));
	(void)lk_reply_again(reply);
	(void)lk_reply_field(reply, "detail");
	(void)lk_reply_int(reply);
	(void)lk_reply_double(reply);
	for (i = 0; i < lk_reply_count(reply); i++) {
		if (lk_reply_type(reply) == LK_REPLY_MAP)
			n_values += read_all(lk_reply_key(reply, i));
		n_values += read_all(lk_reply_at(reply, i));
	}
	lk_assert(lk_reply_at(reply, i) == NULL);
	return n_values;
}

static void
take_all(struct lk_mux *mux, char *requests, struct outcome *out)
{
	struct lk_reply *reply;
	enum lk_mux_event event;
	void *arg;

	while ((event = lk_mux_next(mux, &reply, &arg)) != LK_MUX_NOTHING) {
		out->n_values += read_all(reply);
		lk_reply_free(&reply);
		if (event == LK_MUX_REPLY)
			out->n_replies[(char *)arg - requests]++;
		else if (event == LK_MUX_PUSH)
			out->n_pushes++;
		else
			out->n_strays++;
	}
}

/* Two with tags, 0 and 1, and two in order, so many bytes at a time. */
static struct outcome
play(const uint8_t *bytes, size_t n, size_t n_each)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	const char *words[] = { "PING" };
	char requests[N_REQUESTS];
	struct lk_mux *mux = lk_mux_new();
	struct outcome out = { { 0 }, 0, 0, 0, false };
	size_t i, at;

	for (i = 0; i < N_REQUESTS; i++) {
		envelope.flags = i < 2 ? 0 : LK_IN_ORDER;
		lk_assert(lk_mux_submit(mux, &envelope, 1, words, NULL,
		    &requests[i]) != 0);
	}
	for (at = 0; at < n; at += n_each) {
		lk_mux_feed(mux, (const char *)bytes + at,
		    n - at < n_each ? n - at : n_each);
		take_all(mux, requests, &out);
	}
	for (i = 0; i < N_REQUESTS; i++)
		lk_assert(out.n_replies[i] <= 1);
	out.is_broken = lk_mux_error(mux) != NULL;
	lk_mux_lose(mux, "gone");
	take_all(mux, requests, &out);
	for (i = 0; i < N_REQUESTS; i++)
		lk_assert(out.n_replies[i] == 1);
	lk_assert(lk_mux_outstanding(mux) == 0);
	lk_mux_free(&mux);
	return out;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct outcome whole, pieces;

	if (n == 0 || n > LK_FUZZ_MAX_BYTES)
		return 0;
	whole = play(bytes, n, n);
	pieces = play(bytes, n, 1);
	lk_assert(whole.n_pushes == pieces.n_pushes);
	lk_assert(whole.n_strays == pieces.n_strays);
	lk_assert(whole.n_values == pieces.n_values);
	lk_assert(whole.is_broken == pieces.is_broken);
	return 0;
}
