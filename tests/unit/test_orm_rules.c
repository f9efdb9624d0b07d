/*
 * What the configuration says of models: other names, models that are none,
 * relations more; and that what is not there is said and does no harm.
 */
#include "orm_tables.h"

static struct lk_buf said;

/* With these rules, for the database main. */
static void
finish(struct lk_config_model *list, size_t n)
{
	struct lk_config_models models = { 1, list, n };

	lk_catalog_finish_as(catalog, &models, "main", &said);
}

static void
expect_said(const char *text)
{
	assert_string_equal(lk_buf_cstr(&said), text);
	lk_buf_fini(&said);
}

static const struct lk_model *
get(const char *name)
{
	struct lk_error error = { 0 };
	const struct lk_model *model = lk_catalog_find(catalog, name,
	    strlen(name), &error);

	lk_error_fini(&error);
	return model;
}

#define TEXT(text)	(char *)(uintptr_t)(text)
#define RULE(t, n)	.database = TEXT(""), .table = TEXT(t), .name = TEXT(n)
#define RELATION(n, t, from, there)					\
	.name = TEXT(n), .to = TEXT(t), .columns = TEXT(from),		\
	.references = TEXT(there)
#define DIRECT	.through = TEXT(""), .near = TEXT(""), .far = TEXT("")

/* ---- names ---- */

static void
test_a_model_is_renamed(void **state)
{
	struct lk_model *accounts = add_table("app", "user_accounts", "id"),
	    *posts = table("posts", "id author_id");
	struct lk_config_model rules[] = {
		{ RULE("app.user_accounts", "users") },
	};

	(void)state;
	refer(posts, "author_id", accounts, "id");
	refer(posts, "id", accounts, "id");
	finish(rules, 1);
	expect_said("");
	assert_ptr_equal(get("users"), accounts);
	assert_ptr_equal(get("app.user_accounts"), accounts);
	assert_null(get("user_accounts"));
	assert_string_equal(relations("posts"),
	    "author>users users_by_id>users");
}

static void
test_a_renamed_child_is_called_so_by_its_parent(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *posts = table("tbl_posts", "id author_id");
	struct lk_config_model rules[] = { { RULE("tbl_posts", "posts") } };

	(void)state;
	refer(posts, "author_id", users, "id");
	finish(rules, 1);
	expect_said("");
	assert_string_equal(relations("users"), "posts>posts");
}

static void
test_two_may_change_names(void **state)
{
	struct lk_model *a = table("a", "id"), *b = table("b", "id");
	struct lk_config_model rules[] = {
		{ RULE("a", "b") }, { RULE("b", "a") } };

	(void)state;
	finish(rules, 2);
	expect_said("");
	assert_ptr_equal(get("a"), b);
	assert_ptr_equal(get("b"), a);
}

static void
test_a_name_that_another_has_is_not_given(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *old = table("old", "id"), *older = table("older", "id");
	struct lk_config_model rules[] = {
		{ RULE("old", "users") }, { RULE("older", "elders") } };

	(void)state;
	finish(rules, 2);
	expect_said("models: old: another model is called users, too\n");
	assert_ptr_equal(get("users"), users);
	assert_ptr_equal(get("public.old"), old);
	assert_ptr_equal(get("elders"), older);
}

static void
test_a_hidden_models_name_is_free(void **state)
{
	struct lk_model *fresh = table("users_v2", "id");
	struct lk_config_model rules[] = {
		{ RULE("users_v2", "users") },
		{ RULE("users", ""), .is_hidden = true },
	};

	(void)state;
	table("users", "id");
	finish(rules, 2);
	expect_said("");
	assert_ptr_equal(get("users"), fresh);
	assert_int_equal(lk_catalog_n_models(catalog), 1);
}

/* ---- hiding ---- */

static void
test_a_hidden_model_is_none(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *logs = table("audit_log", "id user_id"),
	    *joins = table("user_tags", "user_id tag_id"),
	    *tags = table("tags", "id");
	struct lk_config_model rules[] = {
		{ RULE("audit_log", ""), .is_hidden = true },
		{ RULE("", "user_tags"), .is_hidden = true },
	};

	(void)state;
	add_key(joins, "user_id tag_id", true);
	refer(logs, "user_id", users, "id");
	refer(joins, "user_id", users, "id");
	refer(joins, "tag_id", tags, "id");
	finish(rules, 2);
	expect_said("");
	assert_null(get("audit_log"));
	assert_null(get("public.audit_log"));
	assert_no_model("audit_lo",
	    "no model \"audit_lo\"; MODELS lists those that there are");
	assert_string_equal(relations("users"), "");
	assert_int_equal(lk_catalog_n_models(catalog), 2);
	assert_string_equal(lk_catalog_model_at(catalog, 0)->name, "tags");
	assert_string_equal(lk_catalog_model_at(catalog, 1)->name, "users");
}

/* ---- relations ---- */

static void
test_a_relation_is_added(void **state)
{
	struct lk_model *users = table("users", "id name"),
	    *posts = table("posts", "id author_name");
	struct lk_config_relation writer = {
		RELATION("writer", "users", "author_name", "name"), DIRECT };
	struct lk_config_relation written = {
		RELATION("written", "posts", "name", "author_name"), DIRECT };
	struct lk_config_model rules[] = {
		{ RULE("posts", ""), .relations = &writer, .n_relations = 1 },
		{ RULE("users", ""), .relations = &written, .n_relations = 1 },
	};
	const struct lk_relation *relation;

	(void)state;
	add_key(users, "id", true);
	add_key(users, "name", false);
	add_key(posts, "id", true);
	finish(rules, 2);
	expect_said("");
	assert_string_equal(relations("posts"), "writer>users");
	relation = lk_model_relation(posts, "writer", 6);
	assert_int_equal(relation->kind, LK_RELATION_ONE);
	assert_int_equal(relation->from_columns[0], 1);
	assert_int_equal(relation->to_columns[0], 1);
	assert_string_equal(relations("users"), "written>posts");
	assert_int_equal(lk_model_relation(users, "written", 7)->kind,
	    LK_RELATION_MANY);
}

/* Its key is its own, so nothing says that it is one. */
static void
test_a_relation_through_any_table_is_added(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *members = table("memberships", "id user_id group_id"),
	    *groups = table("groups", "id");
	struct lk_config_relation relation = {
		RELATION("groups", "groups", "id", "id"),
		.through = TEXT("memberships"), .near = TEXT("user_id"),
		.far = TEXT("group_id") };
	struct lk_config_model rules[] = {
		{ RULE("users", ""), .relations = &relation,
		    .n_relations = 1 },
	};
	const struct lk_relation *made;

	(void)state;
	add_key(members, "id", true);
	refer(members, "user_id", users, "id");
	refer(members, "group_id", groups, "id");
	finish(rules, 1);
	expect_said("");
	assert_string_equal(relations("users"),
	    "groups>groups memberships>memberships");
	made = lk_model_relation(users, "groups", 6);
	assert_int_equal(made->kind, LK_RELATION_THROUGH);
	assert_ptr_equal(made->through, members);
	assert_int_equal(made->near[0], 1);
	assert_int_equal(made->far[0], 2);
	assert_int_equal(made->n_far, 1);
}

static void
test_one_that_is_a_foreign_keys_takes_its_place(void **state)
{
	struct lk_model *users = table("users", "id"),
	    *mails = table("mails", "id sender_id recipient_id");
	struct lk_config_relation sent = {
		RELATION("sent", "mails", "id", "sender_id"), DIRECT };
	struct lk_config_model rules[] = {
		{ RULE("users", ""), .relations = &sent, .n_relations = 1 },
	};

	(void)state;
	refer(mails, "sender_id", users, "id");
	refer(mails, "recipient_id", users, "id");
	finish(rules, 1);
	expect_said("");
	assert_string_equal(relations("users"), "mails>mails sent>mails");
}

static void
test_a_foreign_key_gives_way_to_a_given_name(void **state)
{
	struct lk_model *users = table("users", "id best"),
	    *posts = table("posts", "id author_id");
	struct lk_config_relation best = {
		RELATION("posts", "posts", "best", "id"), DIRECT };
	struct lk_config_model rules[] = {
		{ RULE("users", ""), .relations = &best, .n_relations = 1 },
	};

	(void)state;
	refer(posts, "author_id", users, "id");
	finish(rules, 1);
	expect_said("");
	assert_string_equal(relations("users"),
	    "posts>posts posts_by_author_id>posts");
}

static void
test_names_are_meant_as_they_are_after_renaming(void **state)
{
	struct lk_config_relation relation = {
		RELATION("owner", "people", "user_id", "id"), DIRECT };
	struct lk_config_model rules[] = {
		{ RULE("things", "items"), .relations = &relation,
		    .n_relations = 1 },
		{ RULE("users", "people") },
	};

	(void)state;
	table("users", "id");
	table("things", "id user_id");
	finish(rules, 2);
	expect_said("");
	assert_string_equal(relations("items"), "owner>people");
}

/* ---- what is not there ---- */

static void
test_what_is_not_there_is_said(void **state)
{
	struct lk_config_relation wrong[] = {
		{ RELATION("a", "userz", "id", "id"), DIRECT },
		{ RELATION("b", "users", "idd", "id"), DIRECT },
		{ RELATION("c", "users", "id", "idd"), DIRECT },
		{ RELATION("d", "users", "id", "id"), .through = TEXT("joins"),
		    .near = TEXT("id"), .far = TEXT("id") },
		{ RELATION("e", "users", "id", "id"), .through = TEXT("users"),
		    .near = TEXT("no"), .far = TEXT("id") },
		{ RELATION("author_id", "users", "id", "id"), DIRECT },
		{ RELATION("good", "users", "author_id", "id"), DIRECT },
	};
	struct lk_config_model rules[] = {
		{ RULE("nothing", "something") },
		{ RULE("posts", ""), .relations = wrong, .n_relations = 7 },
	};

	(void)state;
	table("users", "id");
	table("posts", "id author_id");
	finish(rules, 2);
	expect_said("models: nothing: there is no such table\n"
	    "models: posts.a: no model \"userz\"; there is users\n"
	    "models: posts.b: posts has no column or relation \"idd\"; it has "
	    "id, author_id\n"
	    "models: posts.c: users has no column or relation \"idd\"; it has "
	    "id\n"
	    "models: posts.d: no model \"joins\"; MODELS lists those that there "
	    "are\n"
	    "models: posts.e: users has no column or relation \"no\"; it has "
	    "id\n"
	    "models: posts.author_id: a column is called so\n");
	assert_string_equal(relations("posts"), "good>users");
}

static void
test_another_databases_rules_are_not_for_this_one(void **state)
{
	struct lk_config_model rules[] = {
		{ .database = TEXT("other"), .table = TEXT("users"),
		    .name = TEXT("people") },
		{ .database = TEXT("other"), .table = TEXT("nothing"),
		    .name = TEXT("x") },
		{ .database = TEXT("main"), .table = TEXT("posts"),
		    .name = TEXT("texts") },
	};

	(void)state;
	table("users", "id");
	table("posts", "id");
	finish(rules, 3);
	expect_said("");
	assert_non_null(get("users"));
	assert_non_null(get("texts"));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_a_model_is_renamed),
		TEST(test_a_renamed_child_is_called_so_by_its_parent),
		TEST(test_two_may_change_names),
		TEST(test_a_name_that_another_has_is_not_given),
		TEST(test_a_hidden_models_name_is_free),
		TEST(test_a_hidden_model_is_none),
		TEST(test_a_relation_is_added),
		TEST(test_a_relation_through_any_table_is_added),
		TEST(test_one_that_is_a_foreign_keys_takes_its_place),
		TEST(test_a_foreign_key_gives_way_to_a_given_name),
		TEST(test_names_are_meant_as_they_are_after_renaming),
		TEST(test_what_is_not_there_is_said),
		TEST(test_another_databases_rules_are_not_for_this_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
