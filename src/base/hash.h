/*
 * Intrusive hash table.  The caller embeds lk_hash_node, computes the hash of
 * its key with lk_hash_bytes() and tells nodes apart with its own comparison.
 * SipHash-1-3 under a key drawn at start, since names come from clients.
 */
#ifndef LK_BASE_HASH_H
#define LK_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lk_hash_node {
	struct lk_hash_node	*next;	/* in its bucket */
	uint64_t		 hash;
};

struct lk_hash {
	struct lk_hash_node	**buckets;	/* NULL while empty */
	size_t			 n_buckets;	/* a power of two, or 0 */
	size_t			 n_nodes;
};

/* Whether node has this key. */
typedef bool (*lk_hash_match_fn)(const struct lk_hash_node *node,
    const void *key);

void	lk_hash_init(struct lk_hash *hash);
void	lk_hash_fini(struct lk_hash *hash);	/* the nodes stay the caller's */

struct lk_hash_node *lk_hash_find(const struct lk_hash *hash, uint64_t h,
	    lk_hash_match_fn match, const void *key);
void	lk_hash_insert(struct lk_hash *hash, struct lk_hash_node *node,
	    uint64_t h);
void	lk_hash_remove(struct lk_hash *hash, struct lk_hash_node *node);

/* seed joins two keys into one, as in (scope, name); 0 where there is none. */
uint64_t lk_hash_bytes(uint64_t seed, const void *bytes, size_t n);

#endif
