/*
 * The snapshot of a catalog: what its relations are called, what is found in it
 * and by which name, and what is offered instead of a name that is unknown.
 */
#include "orm_tables.h"

#include <stdio.h>
#include <time.h>

static void
assert_found(const char *name, const struct lk_model *model)
{
	struct lk_error error = { 0 };

	assert_ptr_equal(lk_catalog_find(catalog, name, strlen(name), &error),
	    model);
}

static void
assert_no_column(const struct lk_model *model, const char *name,
    const char *said)
{
	struct lk_error error = { 0 };

	lk_model_no_column(model, name, strlen(name), &error);
	assert_int_equal(error.kind, LK_ERR_NOCOLUMN);
	assert_string_equal(error.message, said);
	lk_error_fini(&error);
}

/* ---- relations ---- */

static void
test_a_foreign_key_is_a_relation_both_ways(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *posts = table("posts", "id author_id");
	const struct lk_relation *relation;

	(void)state;
	refer(posts, "author_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"), "author>users");
	assert_string_equal(relations("users"), "posts>posts");
	relation = lk_model_relation(users, "posts", 5);
	assert_int_equal(relation->kind, LK_RELATION_MANY);
	assert_false(relation->is_unique);
	assert_int_equal(relation->n_columns, 1);
	assert_int_equal(relation->from_columns[0], 0);
	assert_int_equal(relation->to_columns[0], 1);
	assert_null(lk_model_relation(users, "post", 4));
}

static void
test_a_column_without_id_is_not_a_relations_name(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *posts = table("posts", "author _id");

	(void)state;
	refer(posts, "author", users, "id");
	refer(posts, "_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"),
	    "users_by__id>users users_by_author>users");
}

static void
test_a_unique_key_leads_to_one_row(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *profiles = table("profiles", "user_id"),
	    *badges = table("badges", "user_id kind");

	(void)state;
	add_key(profiles, "user_id", true);
	add_key(badges, "user_id kind", true);
	refer(profiles, "user_id", users, "id");
	refer(badges, "user_id", users, "id");
	lk_catalog_finish(catalog);
	assert_true(lk_model_relation(users, "profiles", 8)->is_unique);
	assert_false(lk_model_relation(users, "badges", 6)->is_unique);
}

static void
test_a_table_may_refer_to_itself(void **state)
{
	struct lk_model *users = table("users", "id boss_id");

	(void)state;
	refer(users, "boss_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("users"), "boss>users users>users");
}

static void
test_two_keys_to_one_table_have_their_columns_in_their_names(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *mails = table("mails", "id sender_id recipient_id");

	(void)state;
	refer(mails, "sender_id", users, "id");
	refer(mails, "recipient_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("mails"), "recipient>users sender>users");
	assert_string_equal(relations("users"),
	    "mails_by_recipient_id>mails mails_by_sender_id>mails");
	assert_no_column(users, "mails", "users has no column or relation "
	    "\"mails\"; say mails_by_recipient_id or mails_by_sender_id");
}

static void
test_a_relation_never_shadows_a_column(void **state)
{
	struct lk_model *users = table("users", "id posts"),
	    *posts = table("posts", "id author author_id");

	(void)state;
	refer(posts, "author_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"), "users_by_author_id>users");
	assert_string_equal(relations("users"), "posts_by_author_id>posts");
}

static void
test_a_parents_name_comes_before_a_childs(void **state)
{
	struct lk_model *users = table("users", "id posts_id"),
	    *posts = table("posts", "id author_id");

	(void)state;
	refer(posts, "author_id", users, "id");
	refer(users, "posts_id", posts, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("users"),
	    "posts>posts posts_by_author_id>posts");
}

static void
test_keys_of_several_columns_have_all_in_their_names(void **state)
{
	struct lk_model *orders = table("orders", "shop no"),
	    *items = table("items", "shop order_no gift_no");

	(void)state;
	refer(items, "shop order_no", orders, "shop no");
	refer(items, "shop gift_no", orders, "shop no");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("items"), "orders_by_shop_gift_no>orders "
	    "orders_by_shop_order_no>orders");
	assert_string_equal(relations("orders"), "items_by_shop_gift_no>items "
	    "items_by_shop_order_no>items");
}

static void
test_a_join_table_leads_through_it_both_ways(void **state)
{
	struct lk_model *posts = table("posts", "id"),
	    *tags = table("tags", "id"),
	    *joins = table("post_tags", "post_id tag_id");
	const struct lk_relation *relation;

	(void)state;
	add_key(joins, "tag_id post_id", true);
	refer(joins, "post_id", posts, "id");
	refer(joins, "tag_id", tags, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"),
	    "post_tags>post_tags tags>tags");
	assert_string_equal(relations("tags"),
	    "post_tags>post_tags posts>posts");
	relation = lk_model_relation(posts, "tags", 4);
	assert_int_equal(relation->kind, LK_RELATION_THROUGH);
	assert_ptr_equal(relation->through, joins);
	assert_int_equal(relation->near[0], 0);
	assert_int_equal(relation->far[0], 1);
}

static void
test_a_key_with_a_column_more_joins_nothing(void **state)
{
	struct lk_model *posts = table("posts", "id"),
	    *tags = table("tags", "id"),
	    *joins = table("post_tags", "post_id tag_id at");

	(void)state;
	add_key(joins, "post_id tag_id at", true);
	refer(joins, "post_id", posts, "id");
	refer(joins, "tag_id", tags, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"), "post_tags>post_tags");
}

static void
test_friends_of_friends_go_both_ways(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *friends = table("friends", "one_id other_id");

	(void)state;
	add_key(friends, "one_id other_id", true);
	refer(friends, "one_id", users, "id");
	refer(friends, "other_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("users"),
	    "friends_by_one_id>friends friends_by_other_id>friends "
	    "users_by_one_id>users users_by_other_id>users");
}

/* What several tenants have of their own, each in his schema. */
static void
test_tables_of_one_name_have_their_schema_in_their_names(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *a = add_table("a", "posts", "id author_id"),
	    *b = add_table("b", "posts", "id author_id");

	(void)state;
	refer(a, "author_id", users, "id");
	refer(b, "author_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("users"),
	    "a_posts_by_author_id>a.posts b_posts_by_author_id>b.posts");
	assert_string_equal(relations("a.posts"), "author>users");
}

static void
test_the_same_key_twice_is_one_relation(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *posts = table("posts", "id author_id");

	(void)state;
	refer(posts, "author_id", users, "id");
	refer(posts, "author_id", users, "id");
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"), "author>users");
	assert_string_equal(relations("users"), "posts>posts");
}

static void
test_a_key_to_what_is_no_model_is_none(void **state)
{
	struct lk_model *posts = table("posts", "id author_id");
	int two = 2, one = 1;

	(void)state;
	lk_catalog_add_foreign_key(catalog, posts->oid, &two, 4711, &one, 1);
	lk_catalog_add_foreign_key(catalog, 4711, &one, posts->oid, &two, 1);
	lk_catalog_finish(catalog);
	assert_string_equal(relations("posts"), "");
}

/* Whatever the order in which the tables were read. */
/* A column may be left out, and what cannot be without it is, too. */
static void
test_a_key_of_columns_that_are_not_there_is_none(void **state)
{
	struct lk_model *users = table("users", "id no"),
	    *posts = table("posts", "id user_id");
	static const int here[] = { 1, 2 }, gone[] = { 1, 9 };

	(void)state;
	lk_model_add_key(users, gone, 2, true);
	lk_model_add_key(users, here, 2, false);
	lk_catalog_add_foreign_key(catalog, posts->oid, gone, users->oid, here,
	    2);
	lk_catalog_add_foreign_key(catalog, posts->oid, here, users->oid, gone,
	    2);
	lk_catalog_finish(catalog);
	assert_null(lk_model_primary(users));
	assert_int_equal(users->n_keys, 1);
	assert_string_equal(relations("posts"), "");
}

static void
test_names_do_not_depend_on_the_order(void **state)
{
	struct lk_model *users = table("users", "id"), *tables[3];
	static const char *const schemas[] = { "a", "b", "public" };
	struct lk_buf first = LK_BUF_INIT;
	int turn, i;

	(void)state;
	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < 3; i++)
			tables[i] = add_table(schemas[(i + turn) % 3], "posts",
			    "id author_id editor_id");
		for (i = 0; i < 3; i++) {
			refer(tables[i], turn % 2 ? "author_id" : "editor_id",
			    users, "id");
			refer(tables[i], turn % 2 ? "editor_id" : "author_id",
			    users, "id");
		}
		lk_catalog_finish(catalog);
		if (turn == 0)
			lk_buf_puts(&first, relations("users"));
		assert_string_equal(relations("users"), lk_buf_cstr(&first));
		lk_catalog_free(&catalog);
		set_up(NULL);
		users = table("users", "id");
	}
	assert_non_null(strstr(lk_buf_cstr(&first),
	    "public_posts_by_editor_id"));
	lk_buf_fini(&first);
}

/* ---- models by name ---- */

/* What is asked of the machine: sanitizers make it slower. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECOND	(10 * CLOCKS_PER_SEC)
#else
#define SECOND	CLOCKS_PER_SEC
#endif

static void
test_a_table_may_be_referred_to_by_many(void **state)
{
	struct lk_model *users = table("users", "id");
	char name[16];
	clock_t start;
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "t%05d", i);
		refer(table(name, "id user_id"), "user_id", users, "id");
	}
	start = clock();
	lk_catalog_finish(catalog);
	/* With each compared with all others it would be ten. */
	assert_true(clock() - start < 3 * SECOND);
	assert_int_equal(users->n_relations, 20000);
	assert_string_equal(users->relations[19999]->name, "t19999");
}

static void
test_models_are_found_by_both_names(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *orders = add_table("shop", "Or\"ders x", "id"),
	    *dotted = table("a.b", "id"), *b = add_table("a", "b", "id");

	(void)state;
	lk_catalog_finish(catalog);
	assert_found("users", users);
	assert_found("public.users", users);
	assert_found("shop.Or\"ders x", orders);
	assert_found("a.b", dotted);
	assert_found("public.a.b", dotted);
	assert_string_equal(b->name, "a.b");
	assert_no_model("USERS", "no model \"USERS\"; there is users");
	assert_no_model("Or\"ders x",
	    "no model \"Or\"ders x\"; there is shop.Or\"ders x");
	assert_ptr_equal(lk_catalog_model(catalog, users->oid), users);
	assert_null(lk_catalog_model(catalog, 1));
}

static void
test_an_unknown_name_is_told_the_nearest(void **state)
{
	(void)state;
	table("user_roles", "id");
	table("users", "id");
	table("uses", "id");
	table("posts", "id");
	add_table("old", "usr", "id");
	lk_catalog_finish(catalog);
	assert_no_model("user", "no model \"user\"; there is users and uses");
	assert_no_model("post", "no model \"post\"; there is posts");
	assert_no_model("usr",
	    "no model \"usr\"; there is old.usr");
	assert_no_model("invoices",
	    "no model \"invoices\"; MODELS lists those that there are");
	assert_no_model("", "no model \"\"; MODELS lists those that there are");
	assert_no_model("userroles",
	    "no model \"userroles\"; there is user_roles");
}

static void
test_at_most_three_are_offered(void **state)
{
	(void)state;
	table("t1", "id");
	table("t2", "id");
	table("t3", "id");
	table("t4", "id");
	lk_catalog_finish(catalog);
	assert_no_model("t", "no model \"t\"; there is t1, t2 and t3");
}

static void
test_a_long_name_is_cut(void **state)
{
	char name[200], said[300];

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	table(name, "id");
	lk_catalog_finish(catalog);
	name[0] = 'y';
	snprintf(said, sizeof(said), "no model \"%.64s...\"; MODELS lists "
	    "those that there are", name);
	assert_no_model(name, said);
	name[0] = 'x';
	assert_string_equal(relations(name), "");
}

static void
test_a_name_is_shown_as_one_line_of_text(void **state)
{
	struct lk_model *users = table("users", "id");

	(void)state;
	lk_catalog_finish(catalog);
	assert_no_model("\x1b[2J\nus\xc3\xa9\xff", "no model \"?[2J?us\xc3\xa9?\";"
	    " MODELS lists those that there are");
	assert_no_column(users, "i\xc3", "users has no column or relation "
	    "\"i?\"; it has id");
}

static void
test_many_models_are_compared_with_an_unknown_name_quickly(void **state)
{
	char name[64];
	clock_t start;
	int i;

	(void)state;
	for (i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "%063d", i);
		table(name, "id");
	}
	lk_catalog_finish(catalog);
	memset(name, 'x', sizeof(name) - 1);
	start = clock();
	for (i = 0; i < 20; i++)
		assert_null(lk_catalog_find(catalog, name, 63, NULL));
	/* Nobody reads why: nothing is compared. */
	assert_true(clock() - start < SECOND / 10);
	start = clock();
	for (i = 0; i < 20; i++) {
		struct lk_error error = { 0 };

		assert_null(lk_catalog_find(catalog, name, 63, &error));
		lk_error_fini(&error);
	}
	/* Each to its end it would be thrice that, and more. */
	assert_true(clock() - start < SECOND);
}

static void
test_what_a_model_has_is_listed(void **state)
{
	struct lk_model *users = table("users", "id name"),
	    *posts = table("posts", "id author_id"), *wide;
	struct lk_buf columns = LK_BUF_INIT;
	struct lk_error error = { 0 };
	int i;

	(void)state;
	refer(posts, "author_id", users, "id");
	for (i = 0; i < 100; i++)
		lk_buf_printf(&columns, "%sc%d", i > 0 ? " " : "", i);
	wide = table("wide", lk_buf_cstr(&columns));
	lk_buf_fini(&columns);
	lk_catalog_finish(catalog);
	assert_no_column(users, "nam", "users has no column or relation "
	    "\"nam\"; it has id, name, posts");
	lk_model_no_column(wide, "c", 1, &error);
	assert_non_null(strstr(error.message, "c59 and 40 more"));
	lk_error_fini(&error);
}

/* ---- the rest ---- */

static void
test_the_primary_key_comes_first(void **state)
{
	struct lk_model *users = table("users", "id name");

	(void)state;
	add_key(users, "name", false);
	assert_null(lk_model_primary(users));
	add_key(users, "id", true);
	lk_catalog_finish(catalog);
	assert_int_equal(lk_model_primary(users)->columns[0], 0);
	assert_int_equal(users->n_keys, 2);
	assert_int_equal(users->keys[1].columns[0], 1);
}

static void
test_a_column_knows_what_its_type_rests_on(void **state)
{
	struct lk_model *users = table("users", "a b c d");
	struct lk_catalog_type *type;

	(void)state;
	lk_catalog_add_type(catalog, INT4, "integer", LK_TYPE_BASE);
	lk_catalog_add_type(catalog, 100, "integer[]", LK_TYPE_ARRAY)->of =
	    INT4;
	lk_catalog_add_type(catalog, 101, "list", LK_TYPE_DOMAIN)->of = 100;
	lk_catalog_add_type(catalog, 102, "nelist", LK_TYPE_DOMAIN)->of = 101;
	type = lk_catalog_add_type(catalog, 103, "mood", LK_TYPE_ENUM);
	lk_type_add_label(type, "ok");
	lk_type_add_label(type, "bad");
	users->columns[1].type = 102;
	users->columns[2].type = 103;
	users->columns[3].type = users->columns[3].base_type = 999;
	lk_catalog_finish(catalog);
	assert_int_equal(users->columns[0].kind, LK_TYPE_BASE);
	assert_int_equal(users->columns[1].kind, LK_TYPE_DOMAIN);
	assert_int_equal(users->columns[1].base_type, 100);
	assert_int_equal(users->columns[1].element_type, INT4);
	assert_int_equal(users->columns[2].kind, LK_TYPE_ENUM);
	assert_int_equal(users->columns[2].base_type, 103);
	assert_int_equal(users->columns[3].base_type, 999);
	assert_string_equal(lk_catalog_type(catalog, 103)->labels[1], "bad");
	assert_null(lk_catalog_type(catalog, 104));
}

static void
test_it_lives_until_its_last_hold_goes(void **state)
{
	struct lk_catalog *second;

	(void)state;
	table("users", "id");
	lk_catalog_finish(catalog);
	second = lk_catalog_hold(catalog);
	lk_catalog_free(&catalog);
	assert_null(catalog);
	assert_string_equal(names_of(second, "users"), "");
	lk_catalog_free(&second);
	lk_catalog_free(&second);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_a_foreign_key_is_a_relation_both_ways),
		TEST(test_a_column_without_id_is_not_a_relations_name),
		TEST(test_a_unique_key_leads_to_one_row),
		TEST(test_a_table_may_refer_to_itself),
		TEST(test_two_keys_to_one_table_have_their_columns_in_their_names),
		TEST(test_a_relation_never_shadows_a_column),
		TEST(test_a_parents_name_comes_before_a_childs),
		TEST(test_keys_of_several_columns_have_all_in_their_names),
		TEST(test_a_join_table_leads_through_it_both_ways),
		TEST(test_a_key_with_a_column_more_joins_nothing),
		TEST(test_friends_of_friends_go_both_ways),
		TEST(test_tables_of_one_name_have_their_schema_in_their_names),
		TEST(test_the_same_key_twice_is_one_relation),
		TEST(test_a_key_to_what_is_no_model_is_none),
		TEST(test_a_key_of_columns_that_are_not_there_is_none),
		TEST(test_names_do_not_depend_on_the_order),
		TEST(test_a_table_may_be_referred_to_by_many),
		TEST(test_models_are_found_by_both_names),
		TEST(test_an_unknown_name_is_told_the_nearest),
		TEST(test_at_most_three_are_offered),
		TEST(test_a_long_name_is_cut),
		TEST(test_a_name_is_shown_as_one_line_of_text),
		TEST(test_many_models_are_compared_with_an_unknown_name_quickly),
		TEST(test_what_a_model_has_is_listed),
		TEST(test_the_primary_key_comes_first),
		TEST(test_a_column_knows_what_its_type_rests_on),
		TEST(test_it_lives_until_its_last_hold_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
