#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/die.h"

#define FIRST_BUCKETS	16

static uint64_t sip_key[2];
static pthread_once_t sip_once = PTHREAD_ONCE_INIT;

void
lk_hash_init(struct lk_hash *hash)
{
	*hash = (struct lk_hash){ NULL, 0, 0 };
}

void
lk_hash_fini(struct lk_hash *hash)
{
	free(hash->buckets);
	lk_hash_init(hash);
}

struct lk_hash_node *
lk_hash_find(const struct lk_hash *hash, uint64_t h, lk_hash_match_fn match,
    const void *key)
{
	struct lk_hash_node *node;

	if (hash->n_buckets == 0)
		return NULL;
	node = hash->buckets[h & (hash->n_buckets - 1)];
	while (node != NULL && (node->hash != h || !match(node, key)))
		node = node->next;
	return node;
}

static void
grow(struct lk_hash *hash)
{
	size_t	 n = hash->n_buckets ? 2 * hash->n_buckets : FIRST_BUCKETS;
	size_t	 i;
	struct lk_hash_node **buckets = lk_xcalloc(n, sizeof(*buckets));
	struct lk_hash_node *node, *next;

	for (i = 0; i < hash->n_buckets; i++) {
		for (node = hash->buckets[i]; node != NULL; node = next) {
			next = node->next;
			node->next = buckets[node->hash & (n - 1)];
			buckets[node->hash & (n - 1)] = node;
		}
	}
	free(hash->buckets);
	hash->buckets = buckets;
	hash->n_buckets = n;
}

void
lk_hash_insert(struct lk_hash *hash, struct lk_hash_node *node, uint64_t h)
{
	struct lk_hash_node **bucket;

	if (hash->n_nodes >= hash->n_buckets)
		grow(hash);
	bucket = &hash->buckets[h & (hash->n_buckets - 1)];
	node->hash = h;
	node->next = *bucket;
	*bucket = node;
	hash->n_nodes++;
}

void
lk_hash_remove(struct lk_hash *hash, struct lk_hash_node *node)
{
	struct lk_hash_node **at;

	lk_assert(hash->n_buckets > 0);
	at = &hash->buckets[node->hash & (hash->n_buckets - 1)];
	while (*at != node) {
		lk_assert(*at != NULL);
		at = &(*at)->next;
	}
	*at = node->next;
	hash->n_nodes--;
}

static void
draw_sip_key(void)
{
	ssize_t got = getrandom(sip_key, sizeof(sip_key), 0);

	if (got != (ssize_t)sizeof(sip_key)) {
		sip_key[0] = (uint64_t)time(NULL);
		sip_key[1] = (uint64_t)(uintptr_t)&sip_key;
	}
}

static uint64_t
rotl(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

/* Inline, so that the state stays in registers. */
static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t
lk_hash_bytes(uint64_t seed, const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint64_t v[4], word;
	size_t left;
	int i;

	pthread_once(&sip_once, draw_sip_key);
	v[0] = sip_key[0] ^ 0x736f6d6570736575ULL;
	v[1] = sip_key[1] ^ seed ^ 0x646f72616e646f6dULL;
	v[2] = sip_key[0] ^ 0x6c7967656e657261ULL;
	v[3] = sip_key[1] ^ seed ^ 0x7465646279746573ULL;
	for (left = n; left >= 8; left -= 8, p += 8) {
		memcpy(&word, p, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)n << 56;
	if (left > 0)	/* bytes may be NULL when there are none */
		memcpy(&word, p, left);
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
