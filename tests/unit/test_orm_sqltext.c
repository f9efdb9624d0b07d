/* What a statement begins with, what may be sent, and what others may see. */
#include "unit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "orm/sqltext.h"

#define N(array)	(sizeof(array) / sizeof((array)[0]))

/* In memory of its own, so that a byte read too many is seen. */
static char *
copy_of(const char *sql, size_t n)
{
	char *copy = malloc(n > 0 ? n : 1);

	assert_non_null(copy);
	memcpy(copy, sql, n);
	return copy;
}

static void
first_word_gives_the_class(void **state)
{
	static const struct {
		const char		*sql;
		enum lk_sql_class	 class;
	} cases[] = {
		{ "", LK_SQL_EMPTY },
		{ " \t\r\n\f", LK_SQL_EMPTY },
		{ ";;; ;", LK_SQL_EMPTY },
		{ "-- SELECT 1", LK_SQL_EMPTY },
		{ "/* SELECT 1 */ ; -- x", LK_SQL_EMPTY },
		{ "/* SELECT 1", LK_SQL_EMPTY },
		{ "/* /* */ SELECT 1", LK_SQL_EMPTY },
		{ "((", LK_SQL_EMPTY },
		{ "SELECT 1", LK_SQL_PLAIN },
		{ "sElEcT\t1", LK_SQL_PLAIN },
		{ "select*from t", LK_SQL_PLAIN },
		{ "select", LK_SQL_PLAIN },
		{ "INSERT INTO t VALUES (1)", LK_SQL_PLAIN },
		{ "update t set a = 1", LK_SQL_PLAIN },
		{ "delete from t", LK_SQL_PLAIN },
		{ "merge into t", LK_SQL_PLAIN },
		{ "with a as (select 1) select 2", LK_SQL_PLAIN },
		{ "values(1)", LK_SQL_PLAIN },
		{ "table t", LK_SQL_PLAIN },
		{ "(select 1) union (select 2)", LK_SQL_PLAIN },
		{ " ( ( select 1 ) )", LK_SQL_PLAIN },
		{ ";;select 1", LK_SQL_PLAIN },
		{ "-- BEGIN\nselect 1", LK_SQL_PLAIN },
		{ "-- BEGIN\rselect 1", LK_SQL_PLAIN },
		{ "/* BEGIN */select 1", LK_SQL_PLAIN },
		{ "/* /* BEGIN */ BEGIN */ select 1", LK_SQL_PLAIN },
		{ "/***/select 1", LK_SQL_PLAIN },
		{ "/*/ BEGIN */select 1", LK_SQL_PLAIN },
		{ "/* -- */select 1", LK_SQL_PLAIN },
		{ "-- /*\nselect 1", LK_SQL_PLAIN },
		{ "selection", LK_SQL_UTILITY },
		{ "select_it", LK_SQL_UTILITY },
		{ "select$", LK_SQL_UTILITY },
		{ "select\xc3\xa9", LK_SQL_UTILITY },
		{ "\"select\" 1", LK_SQL_UTILITY },
		{ "CREATE TABLE t ()", LK_SQL_UTILITY },
		{ "explain select 1", LK_SQL_UTILITY },
		{ "call p()", LK_SQL_UTILITY },
		{ "do $$ begin commit; end $$", LK_SQL_UTILITY },
		{ "prepare p as select 1", LK_SQL_UTILITY },
		{ "prepare transactions as select 1", LK_SQL_UTILITY },
		{ "set transaction read only", LK_SQL_UTILITY },
		{ "beginning", LK_SQL_UTILITY },
		{ "1", LK_SQL_UTILITY },
		{ "- - select", LK_SQL_UTILITY },
		{ "$1", LK_SQL_UTILITY },
		{ "begin", LK_SQL_REFUSED },
		{ "BEGIN;", LK_SQL_REFUSED },
		{ " bEgIn isolation level serializable", LK_SQL_REFUSED },
		{ "/* hi */ -- ho\n ; /* /* */ */ ;BEGIN", LK_SQL_REFUSED },
		{ "start transaction", LK_SQL_REFUSED },
		{ "commit", LK_SQL_REFUSED },
		{ "commit and chain", LK_SQL_REFUSED },
		{ "commit/**/", LK_SQL_REFUSED },
		{ "end", LK_SQL_REFUSED },
		{ "rollback", LK_SQL_REFUSED },
		{ "rollback to savepoint a", LK_SQL_REFUSED },
		{ "abort", LK_SQL_REFUSED },
		{ "savepoint a", LK_SQL_REFUSED },
		{ "release a", LK_SQL_REFUSED },
		{ "prepare transaction 'x'", LK_SQL_REFUSED },
		{ "PREPARE/* */--\nTRANSACTION'x'", LK_SQL_REFUSED },
		{ "copy t from stdin", LK_SQL_REFUSED },
		{ "copy(select 1) to stdout", LK_SQL_REFUSED },
		{ "listen c", LK_SQL_REFUSED },
		{ "unlisten *", LK_SQL_REFUSED },
		{ "commit prepared 'x'", LK_SQL_OUTSIDE_ONLY },
		{ "COMMIT /* ; */ -- x\n PREPARED'x'", LK_SQL_OUTSIDE_ONLY },
		{ "rollback prepared 'x'", LK_SQL_OUTSIDE_ONLY },
		{ "commit;prepared", LK_SQL_REFUSED },
		{ "commit(prepared", LK_SQL_REFUSED },
	};
	size_t	 i, n;
	char	*copy;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		n = strlen(cases[i].sql);
		copy = copy_of(cases[i].sql, n);
		if (lk_sql_classify(copy, n) != cases[i].class)
			fail_msg("\"%s\": class %d", cases[i].sql,
			    lk_sql_classify(copy, n));
		free(copy);
	}
}

/* want NULL: it may be sent. */
static void
assert_check_with(size_t n_params, const char *sql, size_t n, bool in_tx,
    const char *want)
{
	struct lk_error	 error = { .is_set = false };
	char		*copy = copy_of(sql, n);
	int		 rc = lk_sql_check(copy, n, n_params, in_tx,
	    &error);

	free(copy);
	assert_int_equal(rc, want != NULL ? -LK_E_INVAL : 0);
	assert_int_equal(error.is_set, want != NULL);
	if (want != NULL) {
		assert_int_equal(error.kind, LK_ERR_SYNTAX);
		assert_string_equal(error.message, want);
	}
	lk_error_fini(&error);
}

static void
assert_check(const char *sql, size_t n, bool in_tx, const char *want)
{
	assert_check_with(0, sql, n, in_tx, want);
}

/* Typed without quotes, a statement is its first word. */
static void
parameters_want_a_place_in_the_statement(void **state)
{
	static const char quote[] = "quote the statement, which is one "
	    "element: SQL \"SELECT ...\"";

	(void)state;
	assert_check_with(3, "SELECT", 6, true, quote);
	assert_check_with(3, "select", 6, false, quote);
	assert_check_with(1, " drop", 5, false, quote);
	assert_check_with(0, "SELECT", 6, true, NULL);
	assert_check_with(1, "SELECT 1", 8, true, "the statement has no $1, "
	    "and 1 value stands behind it");
	assert_check_with(2, "SELECT 1", 8, true, "the statement has no $1, "
	    "and 2 values stand behind it");
	assert_check_with(2, "SELECT $2", 9, true, NULL);
	assert_check_with(2, "BEGIN", 5, true,
	    "use the verb BEGIN instead of SQL BEGIN");
}

static void
dml_is_known_by_its_first_word(void **state)
{
	static const struct {
		const char	*sql;
		bool		 is_dml;
	} cases[] = {
		{ "UPDATE r SET v = 1", true },
		{ " /* a */ insert into r values (1)", true },
		{ "(DELETE FROM r)", true },
		{ "merge into r using s on true when matched then delete", true },
		{ "SELECT 1", false },
		{ "WITH x AS (UPDATE r SET v = 1) SELECT 1", false },
		{ "CALL f()", false },
		{ "DO 'x'", false },
		{ "EXPLAIN ANALYZE UPDATE r SET v = 1", false },
		{ "updated", false },
		{ "-- update\nTRUNCATE r", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (lk_sql_is_dml(cases[i].sql, strlen(cases[i].sql)) !=
		    cases[i].is_dml)
			fail_msg("%s", cases[i].sql);
	}
}

static void
a_query_is_known_by_its_first_word(void **state)
{
	static const struct {
		const char	*sql;
		bool		 is_query;
	} cases[] = {
		{ "SELECT 1", true },
		{ " /* a */ values (1)", true },
		{ "(TABLE r)", true },
		{ "with x AS (SELECT 1) TABLE x", true },
		{ "UPDATE r SET v = 1 RETURNING v", false },
		{ "EXPLAIN SELECT 1", false },
		{ "selected", false },
		{ "-- select\nSHOW work_mem", false },
		{ "", false },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (lk_sql_is_query(cases[i].sql, strlen(cases[i].sql)) !=
		    cases[i].is_query)
			fail_msg("%s", cases[i].sql);
	}
}

static void
refusal_names_the_verb(void **state)
{
	static const char *const cases[][2] = {
		{ "begin", "use the verb BEGIN instead of SQL BEGIN" },
		{ "start transaction",
		    "use the verb BEGIN instead of SQL START TRANSACTION" },
		{ "commit", "use the verb COMMIT instead of SQL COMMIT" },
		{ "end", "use the verb COMMIT instead of SQL END" },
		{ "rollback",
		    "use the verb ROLLBACK instead of SQL ROLLBACK" },
		{ "rollback work",
		    "use the verb ROLLBACK instead of SQL ROLLBACK" },
		{ "abort", "use the verb ROLLBACK instead of SQL ABORT" },
		{ "rollback to a",
		    "use the verb ROLLBACK TO instead of SQL ROLLBACK TO" },
		{ "rollback work to savepoint a",
		    "use the verb ROLLBACK TO instead of SQL ROLLBACK TO" },
		{ "ROLLBACK TRANSACTION TO a",
		    "use the verb ROLLBACK TO instead of SQL ROLLBACK TO" },
		{ "savepoint a",
		    "use the verb SAVEPOINT instead of SQL SAVEPOINT" },
		{ "release savepoint a",
		    "use the verb RELEASE instead of SQL RELEASE" },
		{ "prepare transaction 'a'",
		    "PREPARE TRANSACTION is not carried; use the verb COMMIT" },
		{ "copy t to stdout", "COPY is not carried; use INSERT ... "
		    "VALUES with parameters, or SELECT" },
		{ "listen a",
		    "use the verb SUBSCRIBE instead of SQL LISTEN" },
		{ "unlisten a",
		    "use the verb UNSUBSCRIBE instead of SQL UNLISTEN" },
		{ " ; -- x", "empty statement" },
		{ "", "empty statement" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_check(cases[i][0], strlen(cases[i][0]), false,
		    cases[i][1]);
		assert_check(cases[i][0], strlen(cases[i][0]), true,
		    cases[i][1]);
	}
}

static void
all_else_may_be_sent(void **state)
{
	static const char *const cases[] = {
		"select 1", "prepare p as select 1", "execute p", "notify c",
		"create table t ()", "set x = 1", "fetch c", "lock table t",
		"vacuum", "select 'begin'",
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_check(cases[i], strlen(cases[i]), false, NULL);
		assert_check(cases[i], strlen(cases[i]), true, NULL);
	}
}

static void
prepared_transactions_end_outside_only(void **state)
{
	(void)state;
	assert_check("commit prepared 'x'", 19, false, NULL);
	assert_check("rollback prepared 'x'", 21, false, NULL);
	assert_check("commit prepared 'x'", 19, true,
	    "COMMIT PREPARED cannot run inside a transaction; send it "
	    "outside, or use the verb COMMIT to end this one");
	assert_check("rollback prepared 'x'", 21, true,
	    "ROLLBACK PREPARED cannot run inside a transaction; send it "
	    "outside, or use the verb ROLLBACK to end this one");
}

/* libpq would end the text there, and a COMMIT could stand behind. */
static void
nul_is_refused_wherever_it_stands(void **state)
{
	static const char want[] = "the statement holds a NUL byte";

	(void)state;
	assert_check("\0", 1, false, want);
	assert_check("select 1\0", 9, false, want);
	assert_check("select '\0'", 10, true, want);
	assert_check("\0begin", 6, false, want);
}

static void
assert_redacted(const char *sql, size_t max_bytes, const char *want)
{
	struct lk_buf	 out = LK_BUF_INIT;
	size_t		 n = strlen(sql);
	char		*copy = copy_of(sql, n);

	lk_buf_puts(&out, "> ");
	lk_sql_redact(copy, n, max_bytes, &out);
	free(copy);
	assert_false(out.broken);
	if (strncmp(lk_buf_cstr(&out), "> ", 2) != 0 ||
	    strcmp(lk_buf_cstr(&out) + 2, want) != 0)
		fail_msg("\"%s\" became \"%s\"", sql, lk_buf_cstr(&out));
	lk_buf_fini(&out);
}

static void
redact_leaves_shape_and_takes_values(void **state)
{
	static const char *const cases[][2] = {
		{ "", "" },
		{ "  ", "" },
		{ "-- nothing", "" },
		{ "SELECT 1", "SELECT ?" },
		{ " select  a\n,\tb  from t ; ", "select a , b from t ;" },
		{ "a/* x */b", "a b" },
		{ "a /* /* ' */ \" */ b -- 'c\n d", "a b d" },
		{ "a --c\rb", "a b" },
		{ "/* lead */ a /* trail */", "a" },
		{ "a /* open", "a" },
		{ "x = 'secret'", "x = ?" },
		{ "x='it''s'and y", "x=?and y" },
		{ "''", "?" },
		{ "'' '' ''''", "? ? ?" },
		{ "'a\\' b", "? b" },
		{ "e'a\\'b' c", "? c" },
		{ "E'a\\\\' b 'c'", "? b ?" },
		{ "E'a''b\\'' c", "? c" },
		{ "E'open \\", "?" },
		{ "N'a' n'b'", "? ?" },
		{ "B'01' b'1' X'ff' x'0'", "? ? ? ?" },
		{ "U&'\\0061' u&'b' UESCAPE '!'", "? ? UESCAPE ?" },
		{ "U&\"d\\0061t\" + u & 'a'", "U&\"d\\0061t\" + u & ?" },
		{ "'one'\n'two' x", "? x" },
		{ "'one' -- c\n -- d\n 'two' x", "? x" },
		{ "'one' 'two'", "? ?" },
		{ "e'one'\n'two\\'secret' x", "? x" },
		{ "'one'\n'two\\' x", "? x" },
		{ "'one' -- 'c", "?" },
		{ "'open", "?" },
		{ "a 'open -- ' b", "a ? b" },
		{ "$$secret$$ x", "? x" },
		{ "$a$ $$ $b$ ' $a$ x", "? x" },
		{ "$a$ $A$ $a$", "?" },
		{ "$a$$a$", "?" },
		{ "$\xc3\xa9$x$\xc3\xa9$ y", "? y" },
		{ "$a$ open $b$", "?" },
		{ "$1 + $23", "$1 + $23" },
		{ "$1$a", "$1$a" },
		{ "a$b$c$b$ 'x'", "a$b$c$b$ ?" },
		{ "$ a", "$ a" },
		{ "do $x$ begin 'a' end $x$", "do ?" },
		{ "1 22 3.14 .5 5. 1e10 1.5E-3 2e+7", "? ? ? ? ? ? ? ?" },
		{ "0xff 1_000 0b1 1e", "? ? ? ?" },
		{ "-5 +6 7-8 9--9", "-? +? ?-? ?" },
		{ "a[1:2] (3,4)", "a[?:?] (?,?)" },
		{ "t1.c2 int4 _3 a.b", "t1.c2 int4 _3 a.b" },
		{ "1'a'2", "???" },
		{ "\"Mixed 'Case' 1\"  \"a\"\"b\"", "\"Mixed 'Case' 1\" "
		    "\"a\"\"b\"" },
		{ "\"two\nlines\"", "\"two lines\"" },
		{ "a \"open 'x", "a ?" },
		{ "x::text || 'a' <@ ARRAY[1,'b']", "x::text || ? <@ "
		    "ARRAY[?,?]" },
		{ "date '2020-01-01'", "date ?" },
		{ "name'x'", "name?" },
		{ "caf\xc3\xa9 = 'th\xc3\xa9'", "caf\xc3\xa9 = ?" },
		{ "a\x1b[J b", "a [J b" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++)
		assert_redacted(cases[i][0], 200, cases[i][1]);
}

static void
redact_cuts_where_a_character_ends(void **state)
{
	(void)state;
	assert_redacted("select a", 8, "select a");
	assert_redacted("select a", 7, "select");
	assert_redacted("select a", 6, "select");
	assert_redacted("select a", 5, "selec");
	assert_redacted("select a", 0, "");
	assert_redacted("select 'long long long' x", 10, "select ? x");
	assert_redacted("x\xc3\xa9y", 4, "x\xc3\xa9y");
	assert_redacted("x\xc3\xa9y", 3, "x\xc3\xa9");
	assert_redacted("x\xc3\xa9y", 2, "x");
	assert_redacted("\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80");
	assert_redacted("\xf0\x9f\x98\x80", 3, "");
	assert_redacted("\"\xe2\x82\xac\xe2\x82\xac\"", 6, "\"\xe2\x82\xac");
	assert_redacted("\x80\x80\x80", 2, "");
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/*
 * Random texts in which digits stand for what is secret, with every kind of
 * quote around them: no digit comes through but in a name or a quoted name.
 */
static void
redact_of_random_text(void **state)
{
	static const char *const pieces[] = {
		"'", "''", "E'", "\\", "\\'", "$$", "$a$", "U&'", "7", "77",
		" ", "\n", "--", "/*", "*/", ";", "(", "x'", ".", "e", "+",
	};
	struct lk_buf	sql = LK_BUF_INIT;
	struct lk_buf	out = LK_BUF_INIT;
	uint64_t	seed = 20240302;
	size_t		i, n, max;
	char		*copy, *digit;

	(void)state;
	for (i = 0; i < 100000; i++) {
		for (n = next_random(&seed) % 16; n > 0; n--)
			lk_buf_puts(&sql,
			    pieces[next_random(&seed) % N(pieces)]);
		n = sql.len;
		max = next_random(&seed) % 40;
		copy = copy_of(lk_buf_cstr(&sql), n);
		lk_sql_classify(copy, n);
		lk_sql_redact(copy, n, max, &out);
		free(copy);
		assert_true(out.len <= max);
		digit = strchr(lk_buf_cstr(&out), '7');
		if (digit != NULL && (digit == out.data ||
		    strchr("ae7x$", digit[-1]) == NULL))
			fail_msg("\"%s\" became \"%s\"", lk_buf_cstr(&sql),
			    out.data);
		lk_buf_truncate(&sql, 0);
		lk_buf_truncate(&out, 0);
	}
	lk_buf_fini(&sql);
	lk_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_word_gives_the_class),
		cmocka_unit_test(parameters_want_a_place_in_the_statement),
		cmocka_unit_test(dml_is_known_by_its_first_word),
		cmocka_unit_test(a_query_is_known_by_its_first_word),
		cmocka_unit_test(refusal_names_the_verb),
		cmocka_unit_test(all_else_may_be_sent),
		cmocka_unit_test(prepared_transactions_end_outside_only),
		cmocka_unit_test(nul_is_refused_wherever_it_stands),
		cmocka_unit_test(redact_leaves_shape_and_takes_values),
		cmocka_unit_test(redact_cuts_where_a_character_ends),
		cmocka_unit_test(redact_of_random_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
