#include "client/scope.h"

#include "client/conn.h"
#include "client/reply.h"

static bool
is_lost(const struct lk_scope *scope, const struct lk_conn *conn)
{
	return scope->epoch != conn->epoch;
}

/* The transaction was rolled back when its connection ended. */
static struct lk_reply *
say_lost(struct lk_scope *scope, const struct lk_verb_traits *traits)
{
	if (traits->part != LK_VERB_OTHER)
		scope->tx = 0;
	if (traits->part == LK_VERB_ROLLS_BACK)
		return lk_reply_word("ROLLBACK");
	return lk_reply_local(LK_ERR_CONNLOST, "the transaction was rolled "
	    "back when its connection ended");
}

struct lk_reply *
lk_scope_enter(struct lk_scope *scope, const struct lk_conn *conn,
    const struct lk_verb_traits *traits, struct lk_envelope *envelope)
{
	if (scope->tx == 0 || envelope->tx != 0)
		return NULL;
	if (traits->part == LK_VERB_BEGINS)
		return lk_reply_local(LK_ERR_SYNTAX, "BEGIN inside a "
		    "transaction; SAVEPOINT nests, and another task can have "
		    "one of its own");
	if (!traits->joins)
		return NULL;
	if (is_lost(scope, conn))
		return say_lost(scope, traits);
	envelope->tx = scope->tx;
	return NULL;
}

struct lk_reply *
lk_scope_enter_unit(const struct lk_scope *scope)
{
	if (scope->tx == 0)
		return NULL;
	return lk_reply_local(LK_ERR_SYNTAX, "a unit is a transaction of its "
	    "own, and there is one open");
}

void
lk_scope_abandon(struct lk_scope *scope, struct lk_conn *conn,
    const char *task)
{
	static const char *const words[] = { "ROLLBACK" };
	struct lk_envelope envelope = LK_ENVELOPE_INIT;

	envelope.tx = scope->tx;
	envelope.task = task;
	if (scope->tx != 0 && conn != NULL && !is_lost(scope, conn))
		lk_conn_tell(conn, &envelope, 1, words);
	scope->tx = 0;
}

void
lk_scope_leave(struct lk_scope *scope, struct lk_conn *conn,
    const struct lk_verb_traits *traits, const char *task,
    const struct lk_reply *reply)
{
	if (traits->part == LK_VERB_BEGINS &&
	    lk_reply_type(reply) == LK_REPLY_INT) {
		scope->tx = lk_reply_int(reply);
		scope->epoch = conn->epoch;
	} else if (traits->part == LK_VERB_COMMITS &&
	    lk_reply_is_error(reply)) {
		lk_scope_abandon(scope, conn, task);
	} else if (traits->part == LK_VERB_COMMITS ||
	    traits->part == LK_VERB_ROLLS_BACK) {
		scope->tx = 0;
	}
}
