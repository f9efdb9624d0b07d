/*
 * The wait graph: one named case for each way in which the daemon can stand
 * still, or only seems to; and random small graphs against an oracle that
 * reduces by definition.  LK_SEED=n begins the random graphs at seed n.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "base/clock.h"
#include "core/graph.h"

#define HARD	false
#define SOFT	true

/* ---- counting allocations, where no sanitizer has taken malloc ---- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)
#define COUNTS_ALLOCATIONS 1

/* glibc's own, under the names it exports for those who replace malloc. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *ptr, size_t size);

static unsigned long n_allocations;

void *
malloc(size_t size)
{
	n_allocations++;
	return __libc_malloc(size);
}

void *
calloc(size_t n, size_t size)
{
	n_allocations++;
	return __libc_calloc(n, size);
}

void *
realloc(void *ptr, size_t size)
{
	n_allocations++;
	return __libc_realloc(ptr, size);
}
#endif

/* ---- building ---- */

static struct lk_graph graph;

static int
set_up(void **state)
{
	(void)state;
	lk_graph_init(&graph);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	lk_graph_fini(&graph);
	return 0;
}

static uint32_t
and_node(void)
{
	return lk_graph_add_node(&graph, LK_NODE_AND);
}

static uint32_t
or_node(void)
{
	return lk_graph_add_node(&graph, LK_NODE_OR);
}

static void
edge(uint32_t from, uint32_t to)
{
	lk_graph_add_edge(&graph, from, to, HARD);
}

static void
soft_edge(uint32_t from, uint32_t to)
{
	lk_graph_add_edge(&graph, from, to, SOFT);
}

static size_t
reduce(void)
{
	return lk_graph_reduce(&graph, false);
}

static void
assert_cycle(uint32_t node, const uint32_t *want, size_t n_want)
{
	uint32_t got[128];
	size_t n = lk_graph_cycle(&graph, node, got, 128), i;

	assert_int_equal(n, n_want);
	for (i = 0; i < n; i++)
		assert_int_equal(got[i], want[i]);
}

#define CYCLE(...)							\
	assert_cycle(((uint32_t[]){ __VA_ARGS__ })[0],			\
	    (uint32_t[]){ __VA_ARGS__ },				\
	    sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t))

static void
assert_no_cycle(uint32_t node)
{
	uint32_t got[128];

	assert_int_equal(lk_graph_cycle(&graph, node, got, 128), 0);
}

/* ---- rows ---- */

static void
ring(uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		and_node();
	for (i = 0; i < n; i++)
		edge(i, (i + 1) % n);
}

static void
two_crossed_rows_are_a_deadlock(void **state)
{
	(void)state;
	ring(2);
	assert_int_equal(reduce(), 2);
	assert_true(lk_graph_is_stuck(&graph, 0));
	assert_true(lk_graph_is_stuck(&graph, 1));
	CYCLE(0, 1);
	CYCLE(1, 0);
}

static void
ring_of_64_is_a_deadlock(void **state)
{
	uint32_t want[64], i;

	(void)state;
	ring(64);
	assert_int_equal(reduce(), 64);
	for (i = 0; i < 64; i++)
		want[i] = (i + 7) % 64;
	assert_cycle(7, want, 64);
}

static void
chain_is_no_deadlock(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 0; i < 64; i++)
		and_node();
	for (i = 0; i + 1 < 64; i++)
		edge(i, i + 1);
	assert_int_equal(reduce(), 0);
	assert_false(lk_graph_is_stuck(&graph, 0));
	assert_no_cycle(0);
}

static void
ring_with_an_alive_member_dissolves(void **state)
{
	(void)state;
	ring(5);
	assert_int_equal(reduce(), 5);
	lk_graph_set_alive(&graph, 3);
	assert_int_equal(reduce(), 0);
	assert_no_cycle(0);
}

static void
a_waiter_of_two_holders_needs_both(void **state)
{
	uint32_t waiter = and_node(), runs = and_node(), stands = and_node();

	(void)state;
	edge(waiter, runs);
	edge(waiter, stands);
	edge(stands, waiter);
	assert_int_equal(reduce(), 2);
	assert_false(lk_graph_is_stuck(&graph, runs));
	CYCLE(waiter, stands);
}

/* One statement on A, one on B; neither server sees more than its half. */
static void
cycle_over_two_databases_is_a_deadlock(void **state)
{
	uint32_t t1_on_a = and_node(), t1_on_b = and_node();
	uint32_t t2_on_a = and_node(), t2_on_b = and_node();
	uint32_t task1 = and_node(), task2 = and_node();
	uint32_t request1 = and_node(), request2 = and_node();

	(void)state;
	edge(t1_on_a, task1);		/* idle there: its task is busy on B */
	edge(task1, request1);
	edge(request1, t1_on_b);
	edge(t1_on_b, t2_on_b);
	edge(t2_on_b, task2);
	edge(task2, request2);
	edge(request2, t2_on_a);
	edge(t2_on_a, t1_on_a);
	assert_int_equal(reduce(), 8);
	CYCLE(task1, request1, t1_on_b, t2_on_b, task2, request2, t2_on_a,
	    t1_on_a);
}

/* ---- slots ---- */

/* Nodes of a pool whose every slot a tx has pinned. */
struct pool {
	uint32_t	slots[8];
	uint32_t	txs[8];
	uint32_t	tasks[8];
	uint32_t	requests[8];	/* OR: each task's, for a second slot */
	uint32_t	n;
};

static void
pin_slot(struct pool *pool, uint32_t i)
{
	pool->slots[i] = and_node();
	pool->txs[i] = and_node();
	pool->tasks[i] = and_node();
	pool->requests[i] = or_node();
	edge(pool->slots[i], pool->txs[i]);
	edge(pool->txs[i], pool->tasks[i]);
	edge(pool->tasks[i], pool->requests[i]);
}

static void
exhaust(struct pool *pool, uint32_t n)
{
	uint32_t i, j;

	pool->n = n;
	for (i = 0; i < n; i++)
		pin_slot(pool, i);
	for (i = 0; i < n; i++) {
		for (j = 0; j < n; j++)
			edge(pool->requests[i], pool->slots[j]);
	}
}

static void
exhausted_pool_is_a_deadlock(void **state)
{
	struct pool pool;

	(void)state;
	exhaust(&pool, 4);
	assert_int_equal(reduce(), 16);
	CYCLE(pool.requests[2], pool.slots[2], pool.txs[2], pool.tasks[2]);
}

static void
one_more_free_slot_is_enough_for_all(void **state)
{
	struct pool pool;
	uint32_t i, one_more;

	(void)state;
	exhaust(&pool, 4);
	one_more = and_node();
	for (i = 0; i < pool.n; i++)
		edge(pool.requests[i], one_more);
	assert_int_equal(reduce(), 0);
}

/* A slot that runs a slow query: its tx waits for nothing. */
static void
an_alive_slot_is_enough_for_all(void **state)
{
	struct pool pool;
	uint32_t i, slow = and_node();

	(void)state;
	exhaust(&pool, 4);
	for (i = 0; i < pool.n; i++)
		edge(pool.requests[i], slow);
	lk_graph_set_alive(&graph, slow);
	assert_int_equal(reduce(), 0);
	assert_no_cycle(pool.requests[0]);
}

/* One of the tasks in the pool asks for nothing: its tx will end. */
static void
one_tx_that_can_end_is_enough_for_all(void **state)
{
	struct pool pool;
	uint32_t task;

	(void)state;
	exhaust(&pool, 3);
	task = pool.tasks[1];
	assert_int_equal(reduce(), 12);
	lk_graph_set_alive(&graph, task);
	assert_int_equal(reduce(), 0);
}

/* The holder asks outside its tx while waiters of its row fill the pool. */
static void
waiters_that_fill_the_pool_are_a_deadlock(void **state)
{
	uint32_t holder_slot = and_node(), holder = and_node();
	uint32_t waiter_slot = and_node(), waiter = and_node();
	uint32_t task = and_node(), request = or_node();

	(void)state;
	edge(holder_slot, holder);
	edge(holder, task);
	edge(task, request);
	edge(request, holder_slot);
	edge(request, waiter_slot);
	edge(waiter_slot, waiter);
	edge(waiter, holder);
	assert_int_equal(reduce(), 6);
	CYCLE(request, holder_slot, holder, task);
	CYCLE(waiter, holder, task, request, waiter_slot);
}

/* ---- threads and declared awaits ---- */

/*
 * Coroutine 1 holds the row in its tx; coroutine 2 of the same thread sends a
 * blocking update of it.
 */
struct essay {
	uint32_t	tx;
	uint32_t	tasks[2];
	uint32_t	request;
	uint32_t	session;
};

static void
tell_the_essay(struct essay *essay)
{
	essay->tx = and_node();
	essay->tasks[0] = and_node();
	essay->tasks[1] = and_node();
	essay->request = and_node();
	essay->session = and_node();
	edge(essay->tasks[1], essay->request);
	edge(essay->request, essay->session);
	edge(essay->session, essay->tx);
	edge(essay->tx, essay->tasks[0]);
}

static void
blocked_thread_is_a_deadlock(void **state)
{
	struct essay essay;

	(void)state;
	tell_the_essay(&essay);
	edge(essay.tasks[0], essay.request);
	assert_int_equal(reduce(), 5);
	CYCLE(essay.request, essay.session, essay.tx, essay.tasks[0]);
	assert_no_cycle(essay.tasks[1]);
}

static void
undeclared_thread_is_no_deadlock(void **state)
{
	struct essay essay;

	(void)state;
	tell_the_essay(&essay);
	assert_int_equal(reduce(), 0);
}

static void
blocked_thread_with_a_holder_elsewhere_is_no_deadlock(void **state)
{
	struct essay essay;
	uint32_t other_task = and_node();

	(void)state;
	tell_the_essay(&essay);
	edge(other_task, essay.request);	/* of the blocked thread */
	assert_int_equal(reduce(), 0);
}

/* Task 1 holds the row and awaits 2, which updates it. */
static void
holder_that_awaits_its_waiter_is_a_deadlock(void **state)
{
	struct essay essay;

	(void)state;
	tell_the_essay(&essay);
	edge(essay.tasks[0], essay.tasks[1]);
	assert_int_equal(reduce(), 5);
	CYCLE(essay.tasks[0], essay.tasks[1], essay.request, essay.session,
	    essay.tx);
}

/* Builds the same for both: awaits two tasks, one of which never ends. */
static uint32_t
await_a_ring_and_a_runner(enum lk_node_type type)
{
	uint32_t waiter = lk_graph_add_node(&graph, type);
	uint32_t stands = and_node(), runs = and_node();

	edge(stands, stands);
	edge(waiter, stands);
	edge(waiter, runs);
	return waiter;
}

static void
await_all_needs_every_task(void **state)
{
	uint32_t waiter = await_a_ring_and_a_runner(LK_NODE_AND);

	(void)state;
	assert_int_equal(reduce(), 2);
	assert_true(lk_graph_is_stuck(&graph, waiter));
}

static void
await_any_needs_one_task(void **state)
{
	uint32_t waiter = await_a_ring_and_a_runner(LK_NODE_OR);

	(void)state;
	assert_int_equal(reduce(), 1);
	assert_false(lk_graph_is_stuck(&graph, waiter));
}

static void
await_any_of_two_that_never_end_is_stuck(void **state)
{
	uint32_t waiter = or_node(), one = and_node(), two = and_node();

	(void)state;
	edge(waiter, one);
	edge(waiter, two);
	edge(one, waiter);
	edge(two, two);
	assert_int_equal(reduce(), 3);
	CYCLE(waiter, one);
}

/* ---- soft edges ---- */

static void
soft_edges_are_as_if_absent_until_counted(void **state)
{
	uint32_t a = and_node(), b = and_node();

	(void)state;
	edge(a, b);
	soft_edge(b, a);
	assert_int_equal(lk_graph_reduce(&graph, false), 0);
	assert_no_cycle(a);
	assert_int_equal(lk_graph_reduce(&graph, true), 2);
	CYCLE(a, b);
	assert_int_equal(lk_graph_reduce(&graph, false), 0);
}

static void
hard_residue_is_found_without_the_soft_one(void **state)
{
	uint32_t a = and_node(), b = and_node();
	uint32_t c = and_node(), d = and_node();

	(void)state;
	edge(a, b);
	edge(b, a);
	edge(c, d);
	soft_edge(d, c);
	assert_int_equal(lk_graph_reduce(&graph, false), 2);
	assert_true(lk_graph_is_stuck(&graph, a));
	assert_false(lk_graph_is_stuck(&graph, c));
	assert_int_equal(lk_graph_reduce(&graph, true), 4);
	assert_true(lk_graph_is_stuck(&graph, c));
}

static void
an_edge_is_soft_when_no_other_is_hard(void **state)
{
	uint32_t a = and_node(), b = and_node(), c = and_node();

	(void)state;
	soft_edge(a, b);
	soft_edge(a, c);
	edge(a, c);
	assert_true(lk_graph_is_soft(&graph, a, b));
	assert_false(lk_graph_is_soft(&graph, a, c));
	assert_false(lk_graph_is_soft(&graph, b, a));
}

/* The shorter way is soft: it is taken only when it was counted. */
static void
cycle_follows_counted_edges_only(void **state)
{
	uint32_t a = and_node(), b = and_node(), c = and_node();

	(void)state;
	edge(a, b);
	edge(b, c);
	edge(c, a);
	soft_edge(b, a);
	lk_graph_reduce(&graph, false);
	CYCLE(a, b, c);
	lk_graph_reduce(&graph, true);
	CYCLE(a, b);
}

static void
or_node_with_only_soft_edges_is_stuck_until_they_count(void **state)
{
	uint32_t waiter = or_node(), runs = and_node();

	(void)state;
	soft_edge(waiter, runs);
	assert_int_equal(lk_graph_reduce(&graph, false), 1);
	assert_int_equal(lk_graph_reduce(&graph, true), 0);
}

/* ---- edges of the definition ---- */

static void
who_merely_waits_for_a_residue_has_no_cycle(void **state)
{
	uint32_t far, near;

	(void)state;
	ring(3);
	near = and_node();
	far = or_node();
	edge(near, 1);
	edge(far, near);
	assert_int_equal(reduce(), 5);
	assert_true(lk_graph_is_stuck(&graph, far));
	assert_no_cycle(near);
	assert_no_cycle(far);
	CYCLE(1, 2, 0);
}

static void
cycle_is_a_shortest_one(void **state)
{
	uint32_t i;

	(void)state;
	ring(10);
	for (i = 0; i < 4; i++)		/* a way back in 5, added last */
		and_node();
	edge(0, 10);
	edge(10, 11);
	edge(11, 12);
	edge(12, 13);
	edge(13, 0);
	reduce();
	CYCLE(0, 10, 11, 12, 13);
	CYCLE(5, 6, 7, 8, 9, 0, 1, 2, 3, 4);
}

static void
cycle_does_not_lead_through_who_can_move(void **state)
{
	uint32_t a = and_node(), moves = or_node(), b = and_node();
	uint32_t runs = and_node();

	(void)state;
	edge(a, moves);
	edge(moves, a);
	edge(moves, runs);
	edge(a, b);
	edge(b, b);
	assert_int_equal(reduce(), 2);
	assert_no_cycle(a);
	assert_no_cycle(moves);
	CYCLE(b);
}

static void
cycle_longer_than_max_is_none(void **state)
{
	uint32_t out[8] = { 0 };

	(void)state;
	ring(5);
	reduce();
	assert_int_equal(lk_graph_cycle(&graph, 0, out, 0), 0);
	assert_int_equal(lk_graph_cycle(&graph, 0, out, 4), 0);
	assert_int_equal(lk_graph_cycle(&graph, 0, out, 5), 5);
	assert_int_equal(out[5], 0);
}

static void
or_without_successors_is_stuck(void **state)
{
	uint32_t or = or_node();

	(void)state;
	assert_int_equal(reduce(), 1);
	assert_no_cycle(or);
	lk_graph_set_alive(&graph, or);
	assert_int_equal(reduce(), 0);
}

static void
and_without_successors_moves(void **state)
{
	(void)state;
	and_node();
	assert_int_equal(reduce(), 0);
}

static void
self_edge_is_a_cycle_of_one(void **state)
{
	uint32_t and = and_node(), or = or_node(), way_out = or_node();
	uint32_t runs = and_node();

	(void)state;
	edge(and, and);
	edge(or, or);
	edge(way_out, way_out);
	edge(way_out, runs);
	assert_int_equal(reduce(), 2);
	CYCLE(and);
	CYCLE(or);
	assert_false(lk_graph_is_stuck(&graph, way_out));
}

static void
duplicate_edges_change_nothing(void **state)
{
	uint32_t waiter = and_node(), runs = and_node(), any = or_node();
	uint32_t i, a = and_node(), b = and_node();

	(void)state;
	for (i = 0; i < 3; i++) {
		edge(waiter, runs);
		edge(any, runs);
		edge(any, a);
		edge(a, b);
		edge(b, a);
	}
	soft_edge(waiter, runs);
	assert_int_equal(reduce(), 2);
	CYCLE(a, b);
	assert_int_equal(lk_graph_reduce(&graph, true), 2);
}

static void
empty_graph_has_no_residue(void **state)
{
	(void)state;
	assert_int_equal(lk_graph_reduce(&graph, false), 0);
	assert_int_equal(lk_graph_reduce(&graph, true), 0);
}

static void
cleared_graph_keeps_nothing_but_memory(void **state)
{
	struct lk_graph before;

	(void)state;
	ring(1000);
	lk_graph_set_alive(&graph, 3);
	assert_int_equal(reduce(), 0);
	before = graph;
	lk_graph_clear(&graph);
	assert_int_equal(lk_graph_reduce(&graph, true), 0);
	ring(1000);
	assert_int_equal(reduce(), 1000);
	assert_ptr_equal(graph.nodes, before.nodes);
	assert_ptr_equal(graph.edges, before.edges);
	assert_ptr_equal(graph.queue, before.queue);
	lk_graph_clear(&graph);
	assert_int_equal(and_node(), 0);
	assert_int_equal(reduce(), 0);
}

/* ---- random graphs against the definition ---- */

#define MAX_NODES	12	/* of a random graph */
#define MAX_SUBSETS	10	/* nodes of one whose subsets are all tried */
#define N_RANDOM	120000

/* A graph as the oracle keeps it: sets of nodes are bits of a word. */
struct model {
	uint32_t	  n;
	enum lk_node_type types[MAX_NODES];
	unsigned	  alive;
	unsigned	  hard[MAX_NODES];	/* successors */
	unsigned	  soft[MAX_NODES];
};

static uint64_t
draw(uint64_t *rng)
{
	uint64_t z = *rng += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint32_t
below(uint64_t *rng, uint32_t n)
{
	return (uint32_t)(draw(rng) % n);
}

static void
draw_edge(uint64_t *rng, struct model *model, uint32_t percent_soft)
{
	uint32_t from = below(rng, model->n), to = below(rng, model->n);
	bool is_soft = below(rng, 100) < percent_soft;

	lk_graph_add_edge(&graph, from, to, is_soft);
	if (is_soft)
		model->soft[from] |= 1U << to;
	else
		model->hard[from] |= 1U << to;
}

/*
 * Sizes, and how dense, soft and alive a graph is, differ from one to the
 * next, so that empty, partial and whole residues all are common.
 */
static void
draw_graph(uint64_t *rng, struct model *model)
{
	uint32_t i, n_edges, percent_or = below(rng, 101);
	uint32_t percent_soft = below(rng, 3) ? below(rng, 101) : 0;
	uint32_t percent_alive = below(rng, 3) ? below(rng, 40) : 0;

	*model = (struct model){ .n = 1 + below(rng, MAX_NODES) };
	for (i = 0; i < model->n; i++) {
		model->types[i] = below(rng, 100) < percent_or ?
		    LK_NODE_OR : LK_NODE_AND;
		lk_graph_add_node(&graph, model->types[i]);
	}
	n_edges = below(rng, 4 * model->n + 1);
	for (i = 0; i < n_edges; i++)
		draw_edge(rng, model, percent_soft);
	for (i = 0; i < model->n; i++) {
		if (below(rng, 100) >= percent_alive)
			continue;
		model->alive |= 1U << i;
		lk_graph_set_alive(&graph, i);
	}
}

static unsigned
successors(const struct model *model, uint32_t node, bool with_soft)
{
	return model->hard[node] | (with_soft ? model->soft[node] : 0);
}

static bool
may_move(const struct model *model, uint32_t node, unsigned moved,
    bool with_soft)
{
	unsigned next = successors(model, node, with_soft);

	if (model->alive & 1U << node)
		return true;
	if (model->types[node] == LK_NODE_AND)
		return (next & ~moved) == 0;
	return (next & moved) != 0;
}

/*
 * Least set closed under the rules: look at all nodes, in any order, again and
 * again, until a round changes nothing.
 */
static unsigned
residue_by_scanning(const struct model *model, bool with_soft, uint64_t *rng)
{
	uint32_t order[MAX_NODES], i, j, swap;
	unsigned moved = 0, before;

	for (i = 0; i < model->n; i++)
		order[i] = i;
	for (i = model->n; i > 1; i--) {
		j = below(rng, i);
		swap = order[j];
		order[j] = order[i - 1];
		order[i - 1] = swap;
	}
	do {
		before = moved;
		for (i = 0; i < model->n; i++) {
			if (may_move(model, order[i], moved, with_soft))
				moved |= 1U << order[i];
		}
	} while (moved != before);
	return ~moved & ((1U << model->n) - 1);
}

/* Whether nobody in set can be the first of them to move. */
static bool
holds_itself(const struct model *model, unsigned set, bool with_soft)
{
	uint32_t i;
	unsigned next;

	if (set & model->alive)
		return false;
	for (i = 0; i < model->n; i++) {
		if (!(set & 1U << i))
			continue;
		next = successors(model, i, with_soft);
		if (model->types[i] == LK_NODE_AND && !(next & set))
			return false;
		if (model->types[i] == LK_NODE_OR && (next & ~set))
			return false;
	}
	return true;
}

/*
 * Greatest set that holds itself.  The union of two such sets is one too, so
 * the union of all of them is the greatest.
 */
static unsigned
residue_by_subsets(const struct model *model, bool with_soft)
{
	unsigned set, all = 0;

	for (set = 1; set < 1U << model->n; set++) {
		if (holds_itself(model, set, with_soft))
			all |= set;
	}
	assert_true(holds_itself(model, all, with_soft));
	return all;
}

/* Steps of the shortest way from node back to itself inside set; 0: none. */
static size_t
way_back(const struct model *model, uint32_t node, unsigned set,
    bool with_soft)
{
	unsigned reached = 1U << node, next;
	size_t steps;
	uint32_t i;

	if (!(set & reached))
		return 0;
	for (steps = 1; steps <= model->n; steps++) {
		next = 0;
		for (i = 0; i < model->n; i++) {
			if (reached & 1U << i)
				next |= successors(model, i, with_soft) & set;
		}
		if (next & 1U << node)
			return steps;
		reached = next;
	}
	return 0;
}

static bool
is_way(const struct model *model, const uint32_t *way, size_t n, unsigned set,
    bool with_soft)
{
	unsigned seen = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (seen & 1U << way[i] || !(set & 1U << way[i]))
			return false;
		seen |= 1U << way[i];
		if (!(successors(model, way[i], with_soft) &
		    1U << way[(i + 1) % n]))
			return false;
	}
	return true;
}

/* Give up on this graph, naming the seed that draws it again. */
#define REQUIRE(expr, seed)						\
	do {								\
		if (!(expr))						\
			fail_msg("%s; replay with LK_SEED=%llu", #expr,	\
			    (unsigned long long)(seed));		\
	} while (0)

static void
check_cycles(const struct model *model, unsigned residue, bool with_soft,
    uint64_t seed)
{
	uint32_t i, way[MAX_NODES];
	size_t n, want;

	for (i = 0; i < model->n; i++) {
		want = way_back(model, i, residue, with_soft);
		n = lk_graph_cycle(&graph, i, way, MAX_NODES);
		REQUIRE(n == want, seed);
		if (n == 0)
			continue;
		REQUIRE(way[0] == i, seed);
		REQUIRE(is_way(model, way, n, residue, with_soft), seed);
		REQUIRE(lk_graph_cycle(&graph, i, way, n - 1) == 0, seed);
	}
}

/* Returns the residue. */
static unsigned
check_residue(const struct model *model, bool with_soft, uint64_t *rng,
    uint64_t seed)
{
	unsigned got = 0, want = residue_by_scanning(model, with_soft, rng);
	size_t n = lk_graph_reduce(&graph, with_soft);
	uint32_t i;

	for (i = 0; i < model->n; i++) {
		if (lk_graph_is_stuck(&graph, i))
			got |= 1U << i;
	}
	REQUIRE(got == want, seed);
	REQUIRE(n == (size_t)__builtin_popcount(want), seed);
	if (model->n <= MAX_SUBSETS)
		REQUIRE(want == residue_by_subsets(model, with_soft), seed);
	check_cycles(model, want, with_soft, seed);
	return want;
}

static uint64_t
first_seed(void)
{
	const char *text = getenv("LK_SEED");

	return text != NULL ? strtoull(text, NULL, 10) : 1;
}

static void
random_graphs_reduce_as_defined(void **state)
{
	uint64_t seed = first_seed(), end = seed + N_RANDOM, rng;
	unsigned residue, n_partial = 0, n_whole = 0, n_empty = 0;
	struct model model;

	(void)state;
	for (; seed != end; seed++) {
		rng = seed;
		draw_graph(&rng, &model);
		residue = check_residue(&model, true, &rng, seed);
		residue = check_residue(&model, false, &rng, seed);
		if (residue == 0)
			n_empty++;
		else if (residue == (1U << model.n) - 1)
			n_whole++;
		else
			n_partial++;
		/* Mostly one graph used again, now and then a new one. */
		if (seed % 64 == 0)
			lk_graph_fini(&graph);
		lk_graph_clear(&graph);
	}
	/* A generator that draws only easy graphs would prove nothing. */
	assert_true(n_empty > N_RANDOM / 20);
	assert_true(n_partial > N_RANDOM / 20);
	assert_true(n_whole > N_RANDOM / 20);
}

/* ---- cost ---- */

#define N_LARGE		200000
#define N_LARGE_EDGES	1000000

static uint64_t
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * LK_US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

/* Time of a reduction and of a search for a cycle. */
static uint64_t
cost_us(size_t n_residue)
{
	uint64_t start = cpu_us();
	uint32_t out[4];

	assert_int_equal(lk_graph_reduce(&graph, false), n_residue);
	lk_graph_cycle(&graph, N_LARGE - 1, out, 4);
	return cpu_us() - start;
}

static void
draw_large(void)
{
	uint64_t rng = 1;
	uint32_t i;

	for (i = 0; i < N_LARGE; i++)
		and_node();
	for (i = 0; i < N_LARGE_EDGES; i++)
		edge(below(&rng, N_LARGE), below(&rng, N_LARGE));
}

static void
large_random_graph_reduces_fast(void **state)
{
	uint32_t i;

	(void)state;
	draw_large();
	for (i = 0; i < N_LARGE; i++)
		lk_graph_set_alive(&graph, i);
	assert_true(cost_us(0) < LK_US_PER_S);
}

/*
 * A chain against the order of its numbers, and wide: each node waits for the
 * next five, so whoever scans for the next one to move takes for ever.
 */
static void
large_chain_reduces_fast(void **state)
{
	uint32_t i, j;

	(void)state;
	for (i = 0; i < N_LARGE; i++)
		and_node();
	for (i = 0; i < N_LARGE; i++) {
		for (j = i + 1; j <= i + 5 && j < N_LARGE; j++)
			edge(i, j);
	}
	assert_true(cost_us(0) < LK_US_PER_S);
}

static void
large_ring_is_found_fast(void **state)
{
	uint32_t i, j;

	(void)state;
	for (i = 0; i < N_LARGE; i++)
		and_node();
	for (i = 0; i < N_LARGE; i++) {
		for (j = 1; j <= 5; j++)
			edge(i, (i + j) % N_LARGE);
	}
	assert_true(cost_us(N_LARGE) < LK_US_PER_S);
}

static void
reducing_and_asking_allocate_nothing(void **state)
{
	(void)state;
#ifdef COUNTS_ALLOCATIONS
	{
		unsigned long before = n_allocations;
		uint32_t out[64];

		ring(64);
		assert_true(n_allocations > before);
		before = n_allocations;
		lk_graph_reduce(&graph, true);
		lk_graph_reduce(&graph, false);
		lk_graph_cycle(&graph, 0, out, 64);
		lk_graph_clear(&graph);
		ring(64);
		lk_graph_reduce(&graph, false);
		assert_int_equal(n_allocations, before);
	}
#else
	skip();
#endif
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(two_crossed_rows_are_a_deadlock),
		CASE(ring_of_64_is_a_deadlock),
		CASE(chain_is_no_deadlock),
		CASE(ring_with_an_alive_member_dissolves),
		CASE(a_waiter_of_two_holders_needs_both),
		CASE(cycle_over_two_databases_is_a_deadlock),
		CASE(exhausted_pool_is_a_deadlock),
		CASE(one_more_free_slot_is_enough_for_all),
		CASE(an_alive_slot_is_enough_for_all),
		CASE(one_tx_that_can_end_is_enough_for_all),
		CASE(waiters_that_fill_the_pool_are_a_deadlock),
		CASE(blocked_thread_is_a_deadlock),
		CASE(undeclared_thread_is_no_deadlock),
		CASE(blocked_thread_with_a_holder_elsewhere_is_no_deadlock),
		CASE(holder_that_awaits_its_waiter_is_a_deadlock),
		CASE(await_all_needs_every_task),
		CASE(await_any_needs_one_task),
		CASE(await_any_of_two_that_never_end_is_stuck),
		CASE(soft_edges_are_as_if_absent_until_counted),
		CASE(hard_residue_is_found_without_the_soft_one),
		CASE(an_edge_is_soft_when_no_other_is_hard),
		CASE(cycle_follows_counted_edges_only),
		CASE(or_node_with_only_soft_edges_is_stuck_until_they_count),
		CASE(who_merely_waits_for_a_residue_has_no_cycle),
		CASE(cycle_is_a_shortest_one),
		CASE(cycle_does_not_lead_through_who_can_move),
		CASE(cycle_longer_than_max_is_none),
		CASE(or_without_successors_is_stuck),
		CASE(and_without_successors_moves),
		CASE(self_edge_is_a_cycle_of_one),
		CASE(duplicate_edges_change_nothing),
		CASE(empty_graph_has_no_residue),
		CASE(cleared_graph_keeps_nothing_but_memory),
		CASE(random_graphs_reduce_as_defined),
		CASE(large_random_graph_reduces_fast),
		CASE(large_chain_reduces_fast),
		CASE(large_ring_is_found_fast),
		CASE(reducing_and_asking_allocate_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
