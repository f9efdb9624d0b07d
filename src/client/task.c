#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "client/conn.h"
#include "client/reply.h"
#include "client/scope.h"
#include "client/task.h"
#include "client/unit.h"
#include "client/verb.h"

struct lk_task {
	struct lk_list	 link;		/* of conn->tasks */
	struct lk_conn	*conn;		/* NULL: it is gone */
	const struct lk_hooks *hooks;
	char		*name;		/* heap */
	struct lk_scope	 scope;
	struct lk_waiter waiter;	/* of what it awaits */
	uint64_t	 awaits;	/* number of a request; 0: nothing */
	struct lk_verb_traits traits;	/* of that request */
	void		*coroutine;	/* to resume */
	bool		 is_abandoned;	/* goes once its reply has come */
};

static void
destroy(struct lk_task *task)
{
	lk_list_remove(&task->link);
	free(task->name);
	free(task);
}

/* Connections of one group share names, so those that are made up differ. */
static char *
make_name(struct lk_conn *conn, const char *name)
{
	char text[64];

	if (name != NULL)
		return strdup(name);
	conn->n_tasks++;
	if (conn->options.group != NULL)
		snprintf(text, sizeof(text), "coroutine-%p-%u", (void *)conn,
		    conn->n_tasks);
	else
		snprintf(text, sizeof(text), "coroutine-%u", conn->n_tasks);
	return strdup(text);
}

struct lk_task *
lk_task_new(struct lk_conn *conn, const struct lk_hooks *hooks,
    const char *name)
{
	struct lk_task *task;

	if (hooks == NULL || hooks->size != sizeof(*hooks) ||
	    hooks->suspend == NULL || hooks->resume == NULL) {
		errno = EINVAL;
		return NULL;
	}
	task = calloc(1, sizeof(*task));
	if (task == NULL)
		return NULL;
	task->name = make_name(conn, name);
	if (task->name == NULL) {
		free(task);
		return NULL;
	}
	task->conn = conn;
	task->hooks = hooks;
	lk_list_append(&conn->tasks, &task->link);
	return task;
}

const char *
lk_task_name(const struct lk_task *task)
{
	return task->name;
}

int64_t
lk_task_tx(const struct lk_task *task)
{
	return task->scope.tx;
}

/* The reply to what it awaits. */
static void
go_on(void *arg, struct lk_reply *reply)
{
	struct lk_task *task = arg;

	task->awaits = 0;
	if (task->conn != NULL)
		lk_scope_leave(&task->scope, task->conn, &task->traits,
		    task->name, reply);
	if (!task->is_abandoned) {
		task->hooks->resume(task->hooks->arg, task->coroutine, reply);
		return;
	}
	lk_scope_abandon(&task->scope, task->conn, task->name);
	lk_reply_free(&reply);
	destroy(task);
}

void
lk_task_free(struct lk_task **task)
{
	struct lk_task *old = *task;

	if (old == NULL)
		return;
	*task = NULL;
	lk_task_cancel(old);
	lk_scope_abandon(&old->scope, old->conn, old->name);
	if (old->awaits != 0)
		old->is_abandoned = true;
	else
		destroy(old);
}

void
lk_tasks_lose(struct lk_list *tasks)
{
	struct lk_list *at, *next;

	LK_LIST_EACH(tasks, at, next) {
		lk_container(at, struct lk_task, link)->conn = NULL;
		lk_list_remove(at);
	}
}

bool
lk_task_cancel(struct lk_task *task)
{
	return task->awaits != 0 && task->conn != NULL &&
	    lk_cancel(task->conn, task->awaits);
}

/* Why it cannot ask for anything now; NULL when it can. */
static struct lk_reply *
check_ready(const struct lk_task *task)
{
	if (task->conn == NULL)
		return lk_reply_local(LK_ERR_CONNLOST, "this program has "
		    "closed the connection");
	if (task->awaits != 0)
		return lk_reply_local(LK_ERR_SYNTAX, "task %s awaits a reply "
		    "already", task->name);
	return NULL;
}

/*
 * Stop until the reply is there.  suspend may not come back, so nothing may
 * follow it.
 */
static struct lk_reply *
stop_for(struct lk_task *task, uint64_t number)
{
	if (number == 0)
		return lk_reply_local(errno == ENOMEM ? LK_ERR_OVERLOAD :
		    LK_ERR_SYNTAX, "the request cannot be made: %s",
		    strerror(errno));
	task->awaits = number;
	return task->hooks->suspend(task->hooks->arg, &task->coroutine);
}

struct lk_reply *
lk_await(struct lk_task *task, const struct lk_envelope *envelope,
    size_t n_words, const char *const *words, const size_t *lens)
{
	struct lk_reply *instead = check_ready(task);
	struct lk_envelope whole;

	if (instead != NULL)
		return instead;
	if (!lk_unit_read_envelope(&whole, envelope))
		return lk_reply_local(LK_ERR_SYNTAX, "no envelope");
	task->traits = lk_verb_traits(n_words, words, lens);
	instead = lk_scope_enter(&task->scope, task->conn, &task->traits,
	    &whole);
	if (instead != NULL)
		return instead;
	whole.task = task->name;
	task->waiter = (struct lk_waiter){ go_on, task, false };
	return stop_for(task, lk_conn_submit(task->conn, &whole, n_words,
	    words, lens, &task->waiter));
}

struct lk_reply *
lk_await_unit(struct lk_task *task, const struct lk_envelope *envelope,
    const struct lk_unit *unit)
{
	struct lk_reply *instead = check_ready(task);
	struct lk_envelope whole;

	if (instead == NULL)
		instead = lk_scope_enter_unit(&task->scope);
	if (instead != NULL)
		return instead;
	if (!lk_unit_read_envelope(&whole, envelope))
		return lk_reply_local(LK_ERR_SYNTAX, "no envelope");
	whole.task = task->name;
	task->traits = (struct lk_verb_traits){ .is_lasting = true };
	task->waiter = (struct lk_waiter){ go_on, task, false };
	return stop_for(task, lk_conn_submit_unit(task->conn, &whole, unit,
	    &task->waiter));
}
