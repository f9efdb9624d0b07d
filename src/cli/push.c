/* Pushes as single lines. */
#include <inttypes.h>
#include <string.h>

#include "cli/print.h"
#include "cli/text.h"

static bool
has(const struct lk_value *map, const char *key)
{
	const struct lk_value *value = lk_client_map_get(map, key);

	return value != NULL && value->type != LK_VALUE_NULL &&
	    (value->text == NULL || value->n_text > 0);
}

/* before, the entry as text, after; nothing when there is no such entry. */
static void
add(struct lk_buf *out, const struct lk_value *map, const char *before,
    const char *key, const char *after)
{
	const struct lk_value *value = lk_client_map_get(map, key);

	if (!has(map, key))
		return;
	lk_buf_puts(out, before);
	if (value->text != NULL)
		lk_text_escape(out, value->text, value->n_text);
	else
		lk_print_json(out, value);
	lk_buf_puts(out, after);
}

static void
print_blocker(struct lk_buf *out, const struct lk_value *blocker)
{
	const struct lk_value *idle = lk_client_map_get(blocker, "idle_ms");
	const char *state = lk_client_map_text(blocker, "state");

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
	if (idle != NULL && idle->integer > 0)
		add(out, blocker, " for ", "idle_ms", " ms");
	add(out, blocker, ", doing: ", "doing", "");
}

static void
print_lockwait(struct lk_buf *out, const struct lk_value *map)
{
	const struct lk_value *blockers = lk_client_map_get(map, "blockers");
	size_t i;

	add(out, map, " after ", "waiting_ms", " ms");
	add(out, map, ": waiting for ", "object", "");
	if (blockers == NULL || blockers->type != LK_VALUE_ARRAY)
		return;
	for (i = 0; i < blockers->n_items; i++) {
		lk_buf_puts(out, i == 0 ? ", held by " : "; and by ");
		print_blocker(out, &blockers->items[i]);
	}
}

static void
print_blocking(struct lk_buf *out, const struct lk_value *map)
{
	const struct lk_value *waiter = lk_client_map_get(map, "waiter");

	add(out, map, ": transaction #", "tx", "");
	add(out, map, " of task ", "task", "");
	add(out, map, " keeps ", "waiters", " waiting");
	if (waiter == NULL || waiter->type != LK_VALUE_MAP)
		return;
	lk_buf_puts(out, ", longest");
	add(out, waiter, " task ", "task", " of");
	add(out, waiter, " ", "client", "");
	add(out, map, ", ", "waiting_ms", " ms");
	add(out, map, " for ", "object", "");
	add(out, waiter, ", doing: ", "doing", "");
}

void
lk_print_push(struct lk_buf *out, const struct lk_value *push)
{
	const struct lk_value *kind = &push->items[0], *rest = &push->items[1];
	size_t i;

	if (push->n_items == 0 || kind->text == NULL) {
		lk_print_json(out, push);
		return;
	}
	lk_text_escape(out, kind->text, kind->n_text);
	if (push->n_items == 2 && strcmp(kind->text, "lockwait") == 0 &&
	    rest->type == LK_VALUE_MAP) {
		print_lockwait(out, rest);
		return;
	}
	if (push->n_items == 2 && strcmp(kind->text, "blocking") == 0 &&
	    rest->type == LK_VALUE_MAP) {
		print_blocking(out, rest);
		return;
	}
	for (i = 1; i < push->n_items; i++) {
		lk_buf_putc(out, ' ');
		lk_print_json(out, &push->items[i]);
	}
}
