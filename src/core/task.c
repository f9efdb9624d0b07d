#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

struct task_key {
	uint64_t	 scope;
	const char	*name;
	size_t		 n;
};

static bool
is_named(const struct lk_hash_node *node, const void *arg)
{
	const struct lk_task *task = lk_container(node, struct lk_task, node);
	const struct task_key *key = arg;

	return task->scope == key->scope && strlen(task->name) == key->n &&
	    memcmp(task->name, key->name, key->n) == 0;
}

static void
forget_rounds(struct lk_task *task)
{
	task->rounds = (struct lk_rounds){ 0 };
	lk_timer_clear(&task->core->timers, &task->rounds_timer);
}

static void
rounds_are_over(struct lk_timer *timer)
{
	struct lk_task *task = lk_container(timer, struct lk_task,
	    rounds_timer);

	forget_rounds(task);
	lk_task_forget(task);
}

void
lk_task_remember(struct lk_task *task, const struct lk_rounds *rounds)
{
	/* Of two transactions, the one that lost more. */
	if (task->client == NULL || rounds->n_lost < task->rounds.n_lost)
		return;
	task->rounds = *rounds;
	lk_timer_set(&task->core->timers, &task->rounds_timer,
	    rounds->until_us);
}

struct lk_rounds
lk_task_take_rounds(struct lk_task *task)
{
	struct lk_rounds rounds = task->rounds;

	forget_rounds(task);
	return rounds;
}

struct lk_task *
lk_task_new(struct lk_core *core, struct lk_client *client)
{
	struct lk_task *task = lk_pool_take(&core->task_pool);

	task->core = core;
	task->id = core->next_number++;
	lk_list_append(&core->tasks, &task->link);
	lk_list_init(&task->client_link);
	lk_list_init(&task->requests);
	lk_list_init(&task->held);
	lk_list_init(&task->txs);
	lk_list_init(&task->awaits);
	lk_list_init(&task->awaited_by);
	task->await_seq = core->seq;
	lk_timer_init(&task->rounds_timer, rounds_are_over);
	lk_task_set_client(task, client);
	return task;
}

struct lk_task *
lk_task_named(struct lk_client *client, const char *name, size_t n)
{
	struct lk_core *core = client->core;
	struct task_key key = { client->scope, name, n };
	uint64_t h = lk_hash_bytes(client->scope, name, n);
	struct lk_hash_node *node;
	struct lk_task *task;

	node = lk_hash_find(&core->tasks_by_name, h, is_named, &key);
	if (node != NULL)
		return lk_container(node, struct lk_task, node);
	task = lk_task_new(core, client);
	task->scope = client->scope;
	task->name = n < sizeof(task->short_name) ? task->short_name :
	    lk_xmalloc(n + 1);
	memcpy(task->name, name, n);
	task->name[n] = '\0';
	task->is_placed = false;	/* who names it need not be it */
	lk_hash_insert(&core->tasks_by_name, &task->node, h);
	return task;
}

void
lk_task_set_client(struct lk_task *task, struct lk_client *client)
{
	task->is_placed = client != NULL;
	if (task->client == client && client != NULL)
		return;
	lk_list_remove(&task->client_link);
	task->client = client;
	if (client != NULL) {
		lk_list_append(&client->tasks, &task->client_link);
	} else {
		forget_rounds(task);
		lk_task_forget(task);
	}
}

static void
drop_await(struct lk_await *await)
{
	struct lk_task *from = await->from, *to = await->to;

	lk_list_remove(&await->from_link);
	lk_list_remove(&await->to_link);
	free(await);
	if (to != from)		/* that one is its caller's to forget */
		lk_task_forget(to);
}

void
lk_task_await(struct lk_task *task, bool any, struct lk_task **others, size_t n)
{
	struct lk_await *await;
	struct lk_list before;
	size_t i;

	/* Those named again must not be forgotten in between. */
	lk_list_init(&before);
	lk_list_splice(&before, &task->awaits);
	task->await_any = any;
	task->await_seq = ++task->core->seq;
	task->await_us = task->core->now_us;
	for (i = 0; i < n; i++) {
		await = lk_xcalloc(1, sizeof(*await));
		await->from = task;
		await->to = others[i];
		lk_list_append(&task->awaits, &await->from_link);
		lk_list_append(&others[i]->awaited_by, &await->to_link);
	}
	while (!lk_list_is_empty(&before))
		drop_await(lk_container(before.next, struct lk_await,
		    from_link));
}

static bool
is_needed(const struct lk_task *task)
{
	return !lk_list_is_empty(&task->requests) ||
	    !lk_list_is_empty(&task->held) ||
	    !lk_list_is_empty(&task->txs) || task->unit != NULL ||
	    task->rounds.n_lost > 0 ||
	    !lk_list_is_empty(&task->awaits) ||
	    !lk_list_is_empty(&task->awaited_by);
}

void
lk_task_forget(struct lk_task *task)
{
	if (is_needed(task))
		return;
	/* The connection's own stays: it is as good as the connection. */
	if (task->client != NULL && task->client->task == task)
		return;
	lk_list_remove(&task->client_link);
	lk_list_remove(&task->link);
	if (task->name != NULL)
		lk_hash_remove(&task->core->tasks_by_name, &task->node);
	if (task->name != task->short_name)
		free(task->name);
	lk_pool_give(&task->core->task_pool, task);
}
