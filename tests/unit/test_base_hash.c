#include "unit.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/list.h"

#define N_WORDS	5000

struct word {
	struct lk_hash_node	node;
	char			text[32];
	bool			is_in;
};

static struct word words[N_WORDS];

static struct word *
to_word(const struct lk_hash_node *node)
{
	return lk_container(node, struct word, node);
}

static bool
has_text(const struct lk_hash_node *node, const void *key)
{
	return strcmp(to_word(node)->text, key) == 0;
}

static uint64_t
hash_of(const char *text)
{
	return lk_hash_bytes(0, text, strlen(text));
}

static void
insert_word(struct lk_hash *hash, struct word *word)
{
	lk_hash_insert(hash, &word->node, hash_of(word->text));
	word->is_in = true;
}

static void
remove_word(struct lk_hash *hash, struct word *word)
{
	lk_hash_remove(hash, &word->node);
	word->is_in = false;
}

static struct word *
find_word(const struct lk_hash *hash, const char *text)
{
	struct lk_hash_node *node;

	node = lk_hash_find(hash, hash_of(text), has_text, text);
	return node != NULL ? to_word(node) : NULL;
}

static int
make_words(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < N_WORDS; i++) {
		snprintf(words[i].text, sizeof(words[i].text), "word %d", i);
		words[i].is_in = false;
	}
	return 0;
}

static void
assert_as_marked(const struct lk_hash *hash)
{
	size_t n = 0;
	int i;

	for (i = 0; i < N_WORDS; i++) {
		assert_ptr_equal(find_word(hash, words[i].text),
		    words[i].is_in ? &words[i] : NULL);
		n += words[i].is_in;
	}
	assert_int_equal(hash->n_nodes, n);
}

static void
empty_table_finds_nothing(void **state)
{
	struct lk_hash hash;

	(void)state;
	lk_hash_init(&hash);
	assert_null(find_word(&hash, "word 1"));
	lk_hash_fini(&hash);
}

static void
finds_all_while_growing(void **state)
{
	struct lk_hash hash;
	int i;

	(void)state;
	lk_hash_init(&hash);
	for (i = 0; i < N_WORDS; i++) {
		insert_word(&hash, &words[i]);
		assert_ptr_equal(find_word(&hash, "word 0"), &words[0]);
	}
	assert_as_marked(&hash);
	assert_true(hash.n_buckets >= N_WORDS);
	assert_int_equal(hash.n_buckets & (hash.n_buckets - 1), 0);
	assert_null(find_word(&hash, "word"));
	lk_hash_fini(&hash);
}

static void
finds_what_random_changes_left(void **state)
{
	struct lk_hash hash;
	struct word *word;
	int i;

	(void)state;
	lk_hash_init(&hash);
	srand(7);
	for (i = 0; i < 4 * N_WORDS; i++) {
		word = &words[rand() % N_WORDS];
		if (word->is_in)
			remove_word(&hash, word);
		else
			insert_word(&hash, word);
	}
	assert_as_marked(&hash);
	for (i = 0; i < N_WORDS; i++) {
		if (words[i].is_in)
			remove_word(&hash, &words[i]);
	}
	assert_as_marked(&hash);
	lk_hash_fini(&hash);
}

/* The match function decides, not the hash alone. */
static void
tells_colliding_keys_apart(void **state)
{
	struct lk_hash hash;
	int i;

	(void)state;
	lk_hash_init(&hash);
	for (i = 0; i < 40; i++)
		lk_hash_insert(&hash, &words[i].node, 99);
	for (i = 0; i < 40; i++)
		assert_ptr_equal(lk_hash_find(&hash, 99, has_text,
		    words[i].text), &words[i].node);
	lk_hash_remove(&hash, &words[20].node);
	assert_null(lk_hash_find(&hash, 99, has_text, words[20].text));
	assert_ptr_equal(lk_hash_find(&hash, 99, has_text, words[21].text),
	    &words[21].node);
	assert_ptr_equal(lk_hash_find(&hash, 99, has_text, words[19].text),
	    &words[19].node);
	lk_hash_fini(&hash);
}

static void
bytes_length_and_seed_all_count(void **state)
{
	char bytes[64];
	size_t n;

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	for (n = 1; n < sizeof(bytes); n++) {
		assert_true(lk_hash_bytes(0, bytes, n) ==
		    lk_hash_bytes(0, bytes, n));
		assert_true(lk_hash_bytes(0, bytes, n) !=
		    lk_hash_bytes(0, bytes, n - 1));
		assert_true(lk_hash_bytes(0, bytes, n) !=
		    lk_hash_bytes(1, bytes, n));
		bytes[n - 1] = 1;
		assert_true(lk_hash_bytes(0, bytes, n) !=
		    lk_hash_bytes(0, "", 0));
		bytes[n - 1] = 0;
	}
	assert_true(lk_hash_bytes(3, NULL, 0) == lk_hash_bytes(3, "", 0));
}

/* Every single bit of a key moves about half of the hash's. */
static void
each_bit_spreads(void **state)
{
	unsigned char bytes[11] = "avalanche!";
	uint64_t before = lk_hash_bytes(0, bytes, sizeof(bytes));
	unsigned bit;
	int moved;

	(void)state;
	for (bit = 0; bit < 8 * sizeof(bytes); bit++) {
		bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
		moved = __builtin_popcountll(before ^
		    lk_hash_bytes(0, bytes, sizeof(bytes)));
		assert_in_range(moved, 8, 56);
		bytes[bit / 8] ^= (unsigned char)(1U << bit % 8);
	}
}

static void
remove_from_empty(void *arg)
{
	(void)arg;
	lk_hash_remove(&(struct lk_hash){ NULL, 0, 0 }, &words[0].node);
}

static void
remove_stranger(void *arg)
{
	lk_hash_remove(arg, &words[1].node);
}

static void
removing_what_is_not_there_aborts(void **state)
{
	struct lk_hash hash;

	(void)state;
	lk_hash_init(&hash);
	insert_word(&hash, &words[0]);
	words[1].node = (struct lk_hash_node){ NULL, words[0].node.hash };
	assert_true(unit_aborts(remove_from_empty, NULL));
	assert_true(unit_aborts(remove_stranger, &hash));
	lk_hash_fini(&hash);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(empty_table_finds_nothing, make_words),
		cmocka_unit_test_setup(finds_all_while_growing, make_words),
		cmocka_unit_test_setup(finds_what_random_changes_left,
		    make_words),
		cmocka_unit_test_setup(tells_colliding_keys_apart, make_words),
		cmocka_unit_test(bytes_length_and_seed_all_count),
		cmocka_unit_test(each_bit_spreads),
		cmocka_unit_test_setup(removing_what_is_not_there_aborts,
		    make_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
