/* Pushes as single lines. */
#include <inttypes.h>
#include <string.h>

#include "cli/print.h"
#include "cli/text.h"

static bool
is_text(const struct lk_reply *value)
{
	return lk_reply_type(value) == LK_REPLY_TEXT ||
	    lk_reply_type(value) == LK_REPLY_WORD;
}

static bool
has(const struct lk_reply *map, const char *key)
{
	const struct lk_reply *value = lk_reply_get(map, key);

	return !lk_reply_is_null(value) &&
	    (!is_text(value) || lk_reply_text(value, NULL)[0] != '\0');
}

/* before, the entry as text, after; nothing when there is no such entry. */
static void
add(struct lk_buf *out, const struct lk_reply *map, const char *before,
    const char *key, const char *after)
{
	const struct lk_reply *value = lk_reply_get(map, key);
	const char *text;
	size_t n;

	if (!has(map, key))
		return;
	lk_buf_puts(out, before);
	text = lk_reply_text(value, &n);
	if (is_text(value))
		lk_text_escape(out, text, n);
	else
		lk_print_json(out, value);
	lk_buf_puts(out, after);
}

static void
print_blocker(struct lk_buf *out, const struct lk_reply *blocker)
{
	const char *state = lk_reply_text(lk_reply_get(blocker, "state"),
	    NULL);

	if (strcmp(state, "prepared") == 0) {
		add(out, blocker, "prepared transaction ", "client", "");
		return;
	}
	if (has(blocker, "tx"))
		add(out, blocker, "transaction #", "tx", "");
	else
		add(out, blocker, "backend ", "pid", "");
	add(out, blocker, " of task ", "task", "");
	add(out, blocker, " of ", "client", "");
	add(out, blocker, ", ", "state", "");
	if (lk_reply_int(lk_reply_get(blocker, "idle_ms")) > 0)
		add(out, blocker, " for ", "idle_ms", " ms");
	add(out, blocker, ", doing: ", "doing", "");
}

static void
print_lockwait(struct lk_buf *out, const struct lk_reply *map)
{
	const struct lk_reply *blockers = lk_reply_get(map, "blockers");
	size_t i;

	add(out, map, " after ", "waiting_ms", " ms");
	add(out, map, ": waiting for ", "object", "");
	for (i = 0; i < lk_reply_count(blockers); i++) {
		lk_buf_puts(out, i == 0 ? ", held by " : "; and by ");
		print_blocker(out, lk_reply_at(blockers, i));
	}
}

static void
print_blocking(struct lk_buf *out, const struct lk_reply *map)
{
	const struct lk_reply *waiter = lk_reply_get(map, "waiter");

	add(out, map, ": transaction #", "tx", "");
	add(out, map, " of task ", "task", "");
	add(out, map, " keeps ", "waiters", " waiting");
	if (lk_reply_type(waiter) != LK_REPLY_MAP)
		return;
	lk_buf_puts(out, ", longest");
	add(out, waiter, " task ", "task", " of");
	add(out, waiter, " ", "client", "");
	add(out, map, ", ", "waiting_ms", " ms");
	add(out, map, " for ", "object", "");
	add(out, waiter, ", doing: ", "doing", "");
}

void
lk_print_push(struct lk_buf *out, const struct lk_reply *push)
{
	const struct lk_reply *rest = lk_reply_at(push, 1);
	bool is_map = lk_reply_count(push) == 2 &&
	    lk_reply_type(rest) == LK_REPLY_MAP;
	const char *kind;
	size_t n, i;

	if (!is_text(lk_reply_at(push, 0))) {
		lk_print_json(out, push);
		return;
	}
	kind = lk_reply_text(lk_reply_at(push, 0), &n);
	lk_text_escape(out, kind, n);
	if (is_map && strcmp(kind, "lockwait") == 0) {
		print_lockwait(out, rest);
		return;
	}
	if (is_map && strcmp(kind, "blocking") == 0) {
		print_blocking(out, rest);
		return;
	}
	for (i = 1; i < lk_reply_count(push); i++) {
		lk_buf_putc(out, ' ');
		lk_print_json(out, lk_reply_at(push, i));
	}
}
