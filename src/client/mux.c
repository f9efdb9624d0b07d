#include "client/mux.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "client/frame.h"
#include "client/reply.h"
#include "client/unit.h"
#include "client/verb.h"
#include "resp/encode.h"

#define DEFAULT_LIMIT	((size_t)1 << 30)
/* What was sent or read stays in front of a buffer up to this size. */
#define MAX_SLACK	((size_t)64 * 1024)
/* An empty buffer that has grown beyond this is given back. */
#define MAX_KEPT	((size_t)1024 * 1024)

#define NO_SLOT		UINT32_MAX

enum slot_kind {
	SLOT_FREE,
	SLOT_TAGGED,		/* the tag is the slot's number */
	SLOT_ORDERED,
};

/* A request without a reply. */
struct slot {
	enum slot_kind	 kind;
	uint32_t	 generation;	/* of the requests that had this slot */
	uint32_t	 next;		/* free, or ordered; NO_SLOT: none */
	uint32_t	 exec;		/* of a unit's queued verb; else NO_SLOT */
	bool		 is_own;	/* nobody but us wants its reply */
	bool		 is_lasting;	/* see lk_verb_traits */
	uint64_t	 end;		/* its last byte in all that is put out */
	void		*arg;
	struct lk_reply	*queue_error;	/* of EXEC: the first of its verbs' */
};

struct lk_mux {
	struct lk_buf	 out;
	size_t		 out_at;	/* sent of out */
	uint64_t	 n_sent;	/* in all */
	struct lk_buf	 in;
	size_t		 in_at;		/* taken of in */
	struct lk_frame	 frame;		/* of what stands there */
	size_t		 max_bytes;
	struct slot	*slots;		/* heap */
	uint32_t	 n_slots;
	uint32_t	 cap_slots;
	uint32_t	 free;		/* the first; NO_SLOT */
	uint32_t	 first;		/* ordered; NO_SLOT */
	uint32_t	 last;
	size_t		 n_outstanding;
	char		*broken;	/* heap; why, or NULL */
	char		*lost;		/* heap; why, or NULL */
	uint32_t	 n_lost;	/* slots that were looked at since */
};

/* How a request goes out. */
struct sending {
	const struct lk_envelope *envelope;
	uint32_t	 slot;
	bool		 is_tagged;
};

/* ---- slots ---- */

/* So many can be taken from now on. */
static bool
reserve_slots(struct lk_mux *mux, size_t n)
{
	size_t cap = mux->cap_slots != 0 ? mux->cap_slots : 16;
	struct slot *slots;

	while (cap - mux->n_slots < n && cap < NO_SLOT / 4)
		cap *= 2;
	if (cap - mux->n_slots < n)
		return false;
	if (cap == mux->cap_slots)
		return true;
	slots = realloc(mux->slots, cap * sizeof(*slots));
	if (slots == NULL)
		return false;
	mux->slots = slots;
	mux->cap_slots = (uint32_t)cap;
	return true;
}

/* One that was reserved. */
static uint32_t
take_slot(struct lk_mux *mux)
{
	uint32_t at = mux->free;

	if (at != NO_SLOT) {
		mux->free = mux->slots[at].next;
		return at;
	}
	lk_assert(mux->n_slots < mux->cap_slots);
	mux->slots[mux->n_slots] = (struct slot){ .generation = 1 };
	return mux->n_slots++;
}

static void
put_back_slot(struct lk_mux *mux, uint32_t at)
{
	struct slot *slot = &mux->slots[at];

	if (slot->kind != SLOT_FREE && !slot->is_own)
		mux->n_outstanding--;
	slot->kind = SLOT_FREE;
	slot->generation++;
	slot->next = mux->free;
	lk_reply_free(&slot->queue_error);
	mux->free = at;
}

/* The slot of a request that is encoded now. */
static struct slot *
fill_slot(struct lk_mux *mux, const struct sending *s, void *arg)
{
	struct slot *slot = &mux->slots[s->slot];

	*slot = (struct slot){
		.kind = s->is_tagged ? SLOT_TAGGED : SLOT_ORDERED,
		.generation = slot->generation, .next = NO_SLOT,
		.exec = NO_SLOT, .arg = arg,
		.end = mux->n_sent + mux->out.len - mux->out_at,
	};
	mux->n_outstanding++;
	if (s->is_tagged)
		return slot;
	if (mux->first == NO_SLOT)
		mux->first = s->slot;
	else
		mux->slots[mux->last].next = s->slot;
	mux->last = s->slot;
	return slot;
}

/* Nobody else counts it, or is told of it. */
static void
make_own(struct lk_mux *mux, uint32_t at)
{
	mux->slots[at].is_own = true;
	mux->n_outstanding--;
}

static uint64_t
number_of(const struct lk_mux *mux, uint32_t at)
{
	return (uint64_t)mux->slots[at].generation << 32 | at;
}

/* ---- making and ending ---- */

struct lk_mux *
lk_mux_new(void)
{
	struct lk_mux *mux = calloc(1, sizeof(*mux));

	if (mux == NULL)
		return NULL;
	lk_frame_init(&mux->frame);
	mux->max_bytes = DEFAULT_LIMIT;
	mux->free = mux->first = mux->last = NO_SLOT;
	return mux;
}

void
lk_mux_free(struct lk_mux **mux)
{
	uint32_t i;

	if (*mux == NULL)
		return;
	for (i = 0; i < (*mux)->n_slots; i++) {
		if ((*mux)->slots[i].kind != SLOT_FREE)
			lk_reply_free(&(*mux)->slots[i].queue_error);
	}
	lk_buf_fini(&(*mux)->out);
	lk_buf_fini(&(*mux)->in);
	free((*mux)->slots);
	free((*mux)->broken);
	free((*mux)->lost);
	free(*mux);
	*mux = NULL;
}

void
lk_mux_set_limit(struct lk_mux *mux, size_t max_bytes)
{
	mux->max_bytes = max_bytes;
}

size_t
lk_mux_outstanding(const struct lk_mux *mux)
{
	return mux->n_outstanding;
}

/* ---- encoding ---- */

static void
put_number(struct lk_buf *buf, char sign, int64_t number)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRId64, number);
	lk_unit_put_signed(buf, sign, text);
}

/* The head of a request whose own elements follow. */
static void
put_head(struct lk_buf *out, const struct sending *s, size_t n_elements)
{
	const struct lk_envelope *envelope = s->envelope;
	size_t n = n_elements + s->is_tagged + (envelope->task != NULL) +
	    (envelope->database != NULL) + (envelope->tx != 0) +
	    (envelope->deadline_ms > 0) + (envelope->lock_ms != 0) +
	    (envelope->rows != NULL) + !!(envelope->flags & LK_REPLAY);

	lk_enc_array(out, n);
	if (s->is_tagged)
		put_number(out, '@', s->slot);
	if (envelope->task != NULL)
		lk_unit_put_signed(out, '%', envelope->task);
	if (envelope->database != NULL)
		lk_unit_put_signed(out, '/', envelope->database);
	if (envelope->tx != 0)
		put_number(out, '#', envelope->tx);
	if (envelope->deadline_ms > 0)
		put_number(out, '~', envelope->deadline_ms);
	if (envelope->lock_ms != 0)
		put_number(out, '?', envelope->lock_ms > 0 ?
		    envelope->lock_ms : 0);
	lk_unit_put_form(out, envelope->rows, envelope->flags);
}

/* The envelope as it is, and slots for so many requests; false with errno. */
static bool
begin_sending(struct lk_mux *mux, const struct lk_envelope *envelope,
    size_t n_slots, struct lk_envelope *whole)
{
	if (mux->lost != NULL || !lk_unit_read_envelope(whole, envelope)) {
		errno = EINVAL;
		return false;
	}
	if (reserve_slots(mux, n_slots))
		return true;
	errno = ENOMEM;
	return false;
}

/*
 * What was appended behind out[0..len) is taken back when not all of it is
 * there: then nothing has happened.
 */
static bool
keep_output(struct lk_mux *mux, size_t len)
{
	if (!mux->out.broken)
		return true;
	mux->out.broken = false;
	lk_buf_truncate(&mux->out, len);
	errno = ENOMEM;
	return false;
}

uint64_t
lk_mux_submit(struct lk_mux *mux, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words, const size_t *lens, void *arg)
{
	struct lk_verb_traits traits = lk_verb_traits(n_words, words, lens);
	size_t len = mux->out.len;
	struct lk_envelope whole;
	struct sending s;

	if (n_words == 0) {
		errno = EINVAL;
		return 0;
	}
	if (!begin_sending(mux, envelope, 1, &whole))
		return 0;
	s = (struct sending){ &whole, take_slot(mux),
	    traits.is_confirmed || !(whole.flags & LK_IN_ORDER) };
	put_head(&mux->out, &s, n_words);
	lk_unit_put_words(&mux->out, n_words, words, lens);
	if (!keep_output(mux, len)) {
		put_back_slot(mux, s.slot);
		return 0;
	}
	fill_slot(mux, &s, arg)->is_lasting = traits.part == LK_VERB_COMMITS ||
	    (traits.is_lasting && whole.tx == 0);
	return number_of(mux, s.slot);
}

void
lk_mux_tell(struct lk_mux *mux, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words)
{
	uint64_t number = lk_mux_submit(mux, envelope, n_words, words, NULL,
	    NULL);

	if (number != 0)
		make_own(mux, (uint32_t)number);
}

int
lk_mux_put(struct lk_mux *mux, size_t n_words, const char *const *words,
    const size_t *lens)
{
	size_t len = mux->out.len;

	lk_enc_array(&mux->out, n_words);
	lk_unit_put_words(&mux->out, n_words, words, lens);
	return keep_output(mux, len) ? 0 : -1;
}

/* ---- units ---- */

/* A unit's requests before EXEC, for whose slot they are. */
static void
put_parts(struct lk_mux *mux, const struct sending *exec,
    const struct lk_unit *unit)
{
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	struct sending s = { &envelope, 0, exec->is_tagged };
	size_t i, from = 0;

	envelope.task = exec->envelope->task;
	envelope.database = exec->envelope->database;
	for (i = 0; i < unit->n_parts; i++) {
		s.slot = take_slot(mux);
		put_head(&mux->out, &s, unit->parts[i].n_elements);
		lk_buf_append(&mux->out, unit->bytes.data + from,
		    unit->parts[i].end - from);
		fill_slot(mux, &s, NULL)->exec = exec->slot;
		make_own(mux, s.slot);
		from = unit->parts[i].end;
		envelope.database = NULL;	/* MULTI says it for all */
	}
}

/* Bytes of a unit's requests at most. */
static size_t
unit_bytes(const struct lk_unit *unit, const struct lk_envelope *envelope)
{
	size_t n_each = 256;	/* numbers, signs and counts */

	n_each += envelope->task != NULL ? strlen(envelope->task) : 0;
	n_each += envelope->database != NULL ? strlen(envelope->database) : 0;
	n_each += envelope->rows != NULL ? strlen(envelope->rows) : 0;
	return unit->bytes.len + (unit->n_parts + 1) * n_each;
}

uint64_t
lk_mux_submit_unit(struct lk_mux *mux, const struct lk_envelope *envelope,
    const struct lk_unit *unit, void *arg)
{
	static const char *const words[] = { "EXEC" };
	struct lk_envelope whole;
	struct sending s;
	char task[32];

	if (!begin_sending(mux, envelope, unit->n_parts + 1, &whole))
		return 0;
	(void)lk_buf_reserve(&mux->out, unit_bytes(unit, &whole));
	if (!keep_output(mux, mux->out.len))
		return 0;
	s = (struct sending){ &whole, take_slot(mux),
	    !(whole.flags & LK_IN_ORDER) };
	if (whole.task == NULL && s.is_tagged) {
		snprintf(task, sizeof(task), "unit-%u", (unsigned)s.slot);
		whole.task = task;
	}
	put_parts(mux, &s, unit);
	whole.database = NULL;
	whole.tx = 0;
	put_head(&mux->out, &s, 1);
	lk_unit_put_words(&mux->out, 1, words, NULL);
	fill_slot(mux, &s, arg)->is_lasting = true;
	return number_of(mux, s.slot);
}

/* ---- cancelling ---- */

bool
lk_mux_cancel(struct lk_mux *mux, uint64_t number)
{
	uint32_t at = (uint32_t)number;
	const char *words[] = { "CANCEL", NULL };
	char tag[16];

	if (at >= mux->n_slots || number_of(mux, at) != number ||
	    mux->slots[at].kind != SLOT_TAGGED || mux->lost != NULL)
		return false;
	snprintf(tag, sizeof(tag), "%u", (unsigned)at);
	words[1] = tag;
	lk_mux_tell(mux, NULL, 2, words);
	return true;
}

/* ---- bytes ---- */

/* Take n bytes more off the front of buf, of which *at are gone already. */
static void
advance(struct lk_buf *buf, size_t *at, size_t n)
{
	*at += n;
	if (*at == buf->len) {
		if (buf->cap > MAX_KEPT)
			lk_buf_fini(buf);
		else
			lk_buf_truncate(buf, 0);
		*at = 0;
	} else if (*at > MAX_SLACK && *at > buf->len / 2) {
		lk_buf_consume(buf, *at);
		*at = 0;
	}
}

size_t
lk_mux_output(const struct lk_mux *mux, const char **bytes_out)
{
	size_t n = mux->out.len - mux->out_at;

	*bytes_out = n > 0 ? mux->out.data + mux->out_at : "";
	return n;
}

void
lk_mux_sent(struct lk_mux *mux, size_t n)
{
	mux->n_sent += n;
	advance(&mux->out, &mux->out_at, n);
}

static void
break_stream(struct lk_mux *mux, const char *why)
{
	if (mux->broken == NULL)
		mux->broken = lk_xstrdup(why);
}

char *
lk_mux_room(struct lk_mux *mux, size_t n)
{
	char *room = mux->broken == NULL ? lk_buf_reserve(&mux->in, n) : NULL;

	if (mux->in.broken)
		break_stream(mux, "no memory for a reply of this size");
	return room;
}

void
lk_mux_came(struct lk_mux *mux, size_t n)
{
	mux->in.len += n;
}

int
lk_mux_feed(struct lk_mux *mux, const char *bytes, size_t n)
{
	char *room;

	if (n == 0)
		return mux->broken == NULL ? 0 : -1;
	room = lk_mux_room(mux, n);
	if (room == NULL)
		return -1;
	memcpy(room, bytes, n);
	lk_mux_came(mux, n);
	return 0;
}

void
lk_mux_pass_on(struct lk_mux *from, struct lk_mux *to)
{
	lk_mux_feed(to, from->in.data + from->in_at,
	    from->in.len - from->in_at);
	advance(&from->in, &from->in_at, from->in.len - from->in_at);
}

const char *
lk_mux_error(const struct lk_mux *mux)
{
	return mux->broken;
}

void
lk_mux_lose(struct lk_mux *mux, const char *why)
{
	if (mux->lost == NULL)
		mux->lost = lk_xstrdup(why);
}

/* ---- replies ---- */

/* The next value of the stream, when it is whole. */
static bool
take_value(struct lk_mux *mux, struct lk_value *value)
{
	size_t n = mux->in.len - mux->in_at, used;
	const char *bytes;
	struct lk_error error = { 0 };
	int rc = -LK_E_AGAIN;
	bool is_whole;

	if (n == 0 || mux->broken != NULL)
		return false;
	bytes = mux->in.data + mux->in_at;
	is_whole = lk_frame_is_whole(&mux->frame, bytes, n);
	if (is_whole)
		rc = lk_value_decode(bytes, n, value, &used, &error);
	if (rc == 0 && used <= mux->max_bytes) {
		advance(&mux->in, &mux->in_at, used);
		lk_frame_init(&mux->frame);
		return true;
	}
	if (rc == 0)
		lk_value_fini(value);
	if (rc == 0 || (!is_whole && n > mux->max_bytes))
		break_stream(mux, "a reply is larger than this client takes");
	else if (is_whole)
		break_stream(mux, error.is_set ? error.message :
		    "a reply is no RESP");
	lk_error_fini(&error);
	return false;
}

/* The slot whose tag the value carries; NO_SLOT when it carries none of ours. */
static uint32_t
find_tagged(const struct lk_mux *mux, const struct lk_value *value)
{
	const struct lk_value *tag;
	uint32_t at = 0;
	size_t i;

	if ((value->type != LK_VALUE_ARRAY && value->type != LK_VALUE_PUSH) ||
	    value->n_items != 3 || value->items[0].type != LK_VALUE_SIMPLE ||
	    strcmp(value->items[0].text, "reply") != 0)
		return NO_SLOT;
	tag = &value->items[1];
	if (tag->type != LK_VALUE_BULK || tag->n_text == 0 || tag->n_text > 9)
		return NO_SLOT;
	for (i = 0; i < tag->n_text; i++) {
		if (tag->text[i] < '0' || tag->text[i] > '9')
			return NO_SLOT;
		at = 10 * at + (uint32_t)(tag->text[i] - '0');
	}
	return at < mux->n_slots && mux->slots[at].kind == SLOT_TAGGED ? at :
	    NO_SLOT;
}

/*
 * The request at `at` has this reply, which becomes the caller's; false when
 * nobody waits for it.
 */
static bool
finish(struct lk_mux *mux, uint32_t at, struct lk_reply *reply,
    struct lk_reply **reply_out, void **arg_out)
{
	struct slot *slot = &mux->slots[at], *exec;
	bool is_own = slot->is_own;

	exec = slot->exec != NO_SLOT ? &mux->slots[slot->exec] : NULL;
	if (exec != NULL && exec->queue_error == NULL &&
	    lk_reply_is_error(reply)) {
		exec->queue_error = reply;
		reply = NULL;
	} else if (lk_reply_kind(reply) == LK_KIND_EXECABORT &&
	    slot->queue_error != NULL) {
		/* It says more: what was wrong with which verb. */
		lk_reply_free(&reply);
		reply = slot->queue_error;
		slot->queue_error = NULL;
	}
	*arg_out = slot->arg;
	put_back_slot(mux, at);
	if (is_own)
		lk_reply_free(&reply);
	else
		*reply_out = reply;
	return !is_own;
}

static uint32_t
take_ordered(struct lk_mux *mux)
{
	uint32_t at = mux->first;

	mux->first = mux->slots[at].next;
	if (mux->first == NO_SLOT)
		mux->last = NO_SLOT;
	return at;
}

/* What a value comes to; NOTHING when nobody waits for it. */
static enum lk_mux_event
sort_value(struct lk_mux *mux, struct lk_value *value,
    struct lk_reply **reply_out, void **arg_out)
{
	bool is_push = value->type == LK_VALUE_PUSH;
	uint32_t at = find_tagged(mux, value);

	if (at != NO_SLOT)
		return finish(mux, at, lk_reply_take_item(value, 2), reply_out,
		    arg_out) ? LK_MUX_REPLY : LK_MUX_NOTHING;
	if (!is_push && mux->first != NO_SLOT)
		return finish(mux, take_ordered(mux), lk_reply_take(value),
		    reply_out, arg_out) ? LK_MUX_REPLY : LK_MUX_NOTHING;
	*reply_out = lk_reply_take(value);
	return is_push ? LK_MUX_PUSH : LK_MUX_STRAY;
}

/* What can be said of a request whose reply will not come. */
static struct lk_reply *
tell_truth(const struct lk_mux *mux, const struct slot *slot)
{
	if (slot->end > mux->n_sent)
		return lk_reply_local(LK_ERR_CONNLOST, "%s; the request was "
		    "not sent", mux->lost);
	if (slot->is_lasting)
		return lk_reply_local(LK_ERR_UNKNOWN, "%s; the request may "
		    "have been carried out", mux->lost);
	return lk_reply_local(LK_ERR_CONNLOST, "%s; nothing of the request "
	    "was committed", mux->lost);
}

static enum lk_mux_event
next_lost(struct lk_mux *mux, struct lk_reply **reply_out, void **arg_out)
{
	uint32_t at;

	while (mux->n_lost < mux->n_slots) {
		at = mux->n_lost++;
		if (mux->slots[at].kind == SLOT_FREE)
			continue;
		if (mux->slots[at].is_own)
			put_back_slot(mux, at);
		else if (finish(mux, at, tell_truth(mux, &mux->slots[at]),
		    reply_out, arg_out))
			return LK_MUX_REPLY;
	}
	mux->first = mux->last = NO_SLOT;
	return LK_MUX_NOTHING;
}

enum lk_mux_event
lk_mux_next(struct lk_mux *mux, struct lk_reply **reply_out, void **arg_out)
{
	enum lk_mux_event event = LK_MUX_NOTHING;
	struct lk_value value;

	*reply_out = NULL;
	*arg_out = NULL;
	while (event == LK_MUX_NOTHING && take_value(mux, &value))
		event = sort_value(mux, &value, reply_out, arg_out);
	if (event == LK_MUX_NOTHING && mux->lost != NULL)
		event = next_lost(mux, reply_out, arg_out);
	return event;
}
