/*
 * Wait graph and its reduction: who waits for whom, and who can never move
 * again.  Pure and general: it knows nodes and edges, not what they stand for.
 *
 * An AND node moves once all its successors can (a session waiting for locks,
 * a task waiting for its request); one without successors can move.  An OR
 * node moves once one of its successors can (a request that any free slot will
 * serve); one without successors never can.  What is left when everything
 * that can move has been removed is the residue: a proven deadlock.
 *
 * Adding nodes and edges may allocate (fixed-size growth, so it aborts rather
 * than fails); reducing and asking never do, and are linear in nodes + edges.
 */
#ifndef LK_CORE_GRAPH_H
#define LK_CORE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lk_node_type {
	LK_NODE_AND,
	LK_NODE_OR,
};

struct lk_graph_node;
struct lk_graph_edge;

struct lk_graph {
	struct lk_graph_node	*nodes;
	uint32_t		 n_nodes;
	uint32_t		 cap_nodes;
	struct lk_graph_edge	*edges;
	uint32_t		 n_edges;
	uint32_t		 cap_edges;
	uint32_t		*queue;		/* scratch, cap_nodes long */
	bool			 counts_soft;	/* by the last reduction */
};

void	lk_graph_init(struct lk_graph *graph);
void	lk_graph_fini(struct lk_graph *graph);
/* Forget nodes and edges, keep the memory. */
void	lk_graph_clear(struct lk_graph *graph);

/* Returns the node's number: 0, 1, 2 … */
uint32_t lk_graph_add_node(struct lk_graph *graph, enum lk_node_type type);
/* from waits for to.  soft: only by its place in a queue. */
void	lk_graph_add_edge(struct lk_graph *graph, uint32_t from, uint32_t to,
	    bool is_soft);
/* This node can move whatever its edges say (and all that is unknown can). */
void	lk_graph_set_alive(struct lk_graph *graph, uint32_t node);

/*
 * Find the residue, counting soft edges or not; returns how many nodes are in
 * it.  Without soft edges every edge so marked is as if it were not there.
 */
size_t	lk_graph_reduce(struct lk_graph *graph, bool with_soft);
/* As lk_graph_reduce(), as if this node were alive. */
size_t	lk_graph_reduce_without(struct lk_graph *graph, uint32_t node,
	    bool with_soft);
/* After lk_graph_reduce(): whether the node is in the residue. */
bool	lk_graph_is_stuck(const struct lk_graph *graph, uint32_t node);
/*
 * After lk_graph_reduce(): a shortest cycle inside the residue, over the edges
 * that were counted, that leads through node; its nodes in order, node first,
 * into out, at most max.  Returns how many, or 0 when no cycle leads through
 * node (it then only waits for one) or it is longer than max.
 */
size_t	lk_graph_cycle(struct lk_graph *graph, uint32_t node, uint32_t *out,
	    size_t max);
/* Whether from waits for to, and only by its place in a queue. */
bool	lk_graph_is_soft(const struct lk_graph *graph, uint32_t from,
	    uint32_t to);

#endif
