#include "core/graph.h"

#include <stdlib.h>

#include "base/die.h"

#define NONE		UINT32_MAX	/* no edge, no node */
#define FIRST_CAP	64

struct lk_graph_node {
	enum lk_node_type type;
	bool		  is_alive;	/* moves whatever its edges say */
	bool		  is_stuck;	/* by the last reduction */
	uint32_t	  first_out;	/* edge to a successor, or NONE */
	uint32_t	  first_in;	/* edge from a predecessor, or NONE */
	uint32_t	  n_needed;	/* successors that must move first */
	uint32_t	  found_from;	/* node the cycle search came from */
};

/* Threaded on two lists, so that both directions are walked in linear time. */
struct lk_graph_edge {
	uint32_t	from;
	uint32_t	to;
	uint32_t	next_out;	/* next edge of from, or NONE */
	uint32_t	next_in;	/* next edge to to, or NONE */
	bool		is_soft;
};

void
lk_graph_init(struct lk_graph *graph)
{
	*graph = (struct lk_graph){ 0 };
}

void
lk_graph_fini(struct lk_graph *graph)
{
	free(graph->nodes);
	free(graph->edges);
	free(graph->queue);
	lk_graph_init(graph);
}

void
lk_graph_clear(struct lk_graph *graph)
{
	graph->n_nodes = 0;
	graph->n_edges = 0;
}

static uint32_t
next_cap(uint32_t cap)
{
	/* Keeps every number below NONE. */
	lk_assert(cap <= UINT32_MAX / 4);
	return cap > 0 ? 2 * cap : FIRST_CAP;
}

/* The queue grows with the nodes: a reduction puts each into it once. */
static void
grow_nodes(struct lk_graph *graph)
{
	graph->cap_nodes = next_cap(graph->cap_nodes);
	graph->nodes = lk_xrealloc(graph->nodes,
	    graph->cap_nodes * sizeof(*graph->nodes));
	graph->queue = lk_xrealloc(graph->queue,
	    graph->cap_nodes * sizeof(*graph->queue));
}

uint32_t
lk_graph_add_node(struct lk_graph *graph, enum lk_node_type type)
{
	if (graph->n_nodes == graph->cap_nodes)
		grow_nodes(graph);
	graph->nodes[graph->n_nodes] = (struct lk_graph_node){
		.type = type,
		.first_out = NONE,
		.first_in = NONE,
	};
	return graph->n_nodes++;
}

static void
grow_edges(struct lk_graph *graph)
{
	graph->cap_edges = next_cap(graph->cap_edges);
	graph->edges = lk_xrealloc(graph->edges,
	    graph->cap_edges * sizeof(*graph->edges));
}

void
lk_graph_add_edge(struct lk_graph *graph, uint32_t from, uint32_t to,
    bool is_soft)
{
	struct lk_graph_node *nodes = graph->nodes;

	lk_assert(from < graph->n_nodes && to < graph->n_nodes);
	if (graph->n_edges == graph->cap_edges)
		grow_edges(graph);
	graph->edges[graph->n_edges] = (struct lk_graph_edge){
		.from = from,
		.to = to,
		.next_out = nodes[from].first_out,
		.next_in = nodes[to].first_in,
		.is_soft = is_soft,
	};
	nodes[from].first_out = graph->n_edges;
	nodes[to].first_in = graph->n_edges;
	graph->n_edges++;
}

void
lk_graph_set_alive(struct lk_graph *graph, uint32_t node)
{
	lk_assert(node < graph->n_nodes);
	graph->nodes[node].is_alive = true;
}

static bool
is_counted(const struct lk_graph *graph, const struct lk_graph_edge *edge)
{
	return !edge->is_soft || graph->counts_soft;
}

/*
 * An AND node needs each of its successors (one that is named twice counts
 * twice and is taken off twice); an OR node needs one, even if it has none.
 */
static void
count_needs(struct lk_graph *graph)
{
	struct lk_graph_node *node;
	const struct lk_graph_edge *edge;
	uint32_t i;

	for (i = 0; i < graph->n_nodes; i++) {
		node = &graph->nodes[i];
		node->is_stuck = true;
		node->n_needed = node->type == LK_NODE_OR ? 1 : 0;
	}
	for (i = 0; i < graph->n_edges; i++) {
		edge = &graph->edges[i];
		node = &graph->nodes[edge->from];
		if (node->type == LK_NODE_AND && is_counted(graph, edge))
			node->n_needed++;
	}
}

/* This node moves: its predecessors are looked at when its turn comes. */
static void
let_go(struct lk_graph *graph, uint32_t node, uint32_t *n_moving)
{
	graph->nodes[node].is_stuck = false;
	graph->queue[(*n_moving)++] = node;
}

static void
let_go_of_predecessors(struct lk_graph *graph, uint32_t node,
    uint32_t *n_moving)
{
	const struct lk_graph_edge *edge;
	struct lk_graph_node *from;
	uint32_t i;

	for (i = graph->nodes[node].first_in; i != NONE; i = edge->next_in) {
		edge = &graph->edges[i];
		from = &graph->nodes[edge->from];
		if (from->is_stuck && is_counted(graph, edge) &&
		    --from->n_needed == 0)
			let_go(graph, edge->from, n_moving);
	}
}

size_t
lk_graph_reduce(struct lk_graph *graph, bool with_soft)
{
	uint32_t i, n_moving = 0;

	graph->counts_soft = with_soft;
	count_needs(graph);
	for (i = 0; i < graph->n_nodes; i++) {
		if (graph->nodes[i].is_alive || graph->nodes[i].n_needed == 0)
			let_go(graph, i, &n_moving);
	}
	for (i = 0; i < n_moving; i++)
		let_go_of_predecessors(graph, graph->queue[i], &n_moving);
	return graph->n_nodes - n_moving;
}

size_t
lk_graph_reduce_without(struct lk_graph *graph, uint32_t node, bool with_soft)
{
	bool was_alive = graph->nodes[node].is_alive;
	size_t n_stuck;

	lk_graph_set_alive(graph, node);
	n_stuck = lk_graph_reduce(graph, with_soft);
	graph->nodes[node].is_alive = was_alive;
	return n_stuck;
}

bool
lk_graph_is_stuck(const struct lk_graph *graph, uint32_t node)
{
	lk_assert(node < graph->n_nodes);
	return graph->nodes[node].is_stuck;
}

/* Write the way from node to last; the edge last -> node closes it. */
static size_t
write_cycle(const struct lk_graph *graph, uint32_t node, uint32_t last,
    uint32_t *out, size_t max)
{
	size_t n = 1, i;
	uint32_t at;

	for (at = last; at != node; at = graph->nodes[at].found_from)
		n++;
	if (n > max)
		return 0;
	for (i = n, at = last; i > 1; at = graph->nodes[at].found_from)
		out[--i] = at;
	out[0] = node;
	return n;
}

/* Put what at waits for into the search; true when that includes node. */
static bool
search_from(struct lk_graph *graph, uint32_t at, uint32_t node,
    uint32_t *n_found)
{
	const struct lk_graph_edge *edge;
	struct lk_graph_node *to;
	uint32_t i;

	for (i = graph->nodes[at].first_out; i != NONE; i = edge->next_out) {
		edge = &graph->edges[i];
		to = &graph->nodes[edge->to];
		if (!to->is_stuck || !is_counted(graph, edge))
			continue;
		if (edge->to == node)
			return true;
		if (to->found_from != NONE)
			continue;
		to->found_from = at;
		graph->queue[(*n_found)++] = edge->to;
	}
	return false;
}

/* Breadth first, so the first way back to node is a shortest one. */
size_t
lk_graph_cycle(struct lk_graph *graph, uint32_t node, uint32_t *out,
    size_t max)
{
	uint32_t i, n_found = 0;

	if (!lk_graph_is_stuck(graph, node))
		return 0;
	for (i = 0; i < graph->n_nodes; i++)
		graph->nodes[i].found_from = NONE;
	graph->queue[n_found++] = node;
	for (i = 0; i < n_found; i++) {
		if (search_from(graph, graph->queue[i], node, &n_found))
			return write_cycle(graph, node, graph->queue[i], out,
			    max);
	}
	return 0;
}

bool
lk_graph_is_soft(const struct lk_graph *graph, uint32_t from, uint32_t to)
{
	const struct lk_graph_edge *edge;
	bool waits = false;
	uint32_t i;

	lk_assert(from < graph->n_nodes && to < graph->n_nodes);
	for (i = graph->nodes[from].first_out; i != NONE; i = edge->next_out) {
		edge = &graph->edges[i];
		if (edge->to == to && !edge->is_soft)
			return false;
		waits |= edge->to == to;
	}
	return waits;
}
