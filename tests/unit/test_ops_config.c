/*
 * The config file: what each key means and its default; that everything wrong
 * is refused with file, line, key and what is accepted; that what is shown can
 * be read again, and shows no password.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ops/config.h"
#include "ops/key.h"
#include "ops/mask.h"

#define DB	"databases = ( { name = \"main\"; conninfo = \"\"; } );\n"

static char path[] = "/tmp/test_ops_config.XXXXXX";

static void
write_bytes(const void *bytes, size_t n)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

static struct lk_config *
load(const char *text)
{
	struct lk_error error = { 0 };
	struct lk_config *config = NULL;

	write_bytes(text, strlen(text));
	if (lk_config_load(path, &config, &error) < 0)
		fail_msg("%s\nin: %s", error.message, text);
	assert_false(error.is_set);
	return config;
}

/* The error for this file, behind its name; the caller frees. */
static char *
load_wrong_bytes(const void *bytes, size_t n)
{
	struct lk_error error = { 0 };
	struct lk_config *config = NULL;
	char *message;

	write_bytes(bytes, n);
	if (lk_config_load(path, &config, &error) == 0)
		fail_msg("taken: %.*s", (int)n, (const char *)bytes);
	assert_null(config);
	assert_true(error.is_set);
	assert_int_equal(strncmp(error.message, path, strlen(path)), 0);
	message = strdup(error.message + strlen(path));
	lk_error_fini(&error);
	return message;
}

static char *
show(const struct lk_config *config)
{
	struct lk_buf out = LK_BUF_INIT;
	char *text;

	lk_config_show(config, &out);
	text = strdup(lk_buf_cstr(&out));
	lk_buf_fini(&out);
	return text;
}

/* ---- what is right ---- */

static void
test_defaults(void **state)
{
	struct lk_config *config = load(DB);
	const struct lk_config_database *db = &config->databases[0];

	(void)state;
	assert_string_equal(config->listen_socket,
	    "/run/lockkeeper/lockkeeper.sock");
	assert_int_equal(config->listen_mode, 0660);
	assert_string_equal(config->listen_group, "");
	assert_int_equal(config->n_databases, 1);
	assert_string_equal(db->name, "main");
	assert_string_equal(db->conninfo, "");
	assert_int_equal(db->workers_min, 2);
	assert_int_equal(db->workers_max, 16);
	assert_int_equal(db->workers_reserve, 2);
	assert_int_equal(db->workers_idle_us, 60000000);
	assert_int_equal(config->timeout_queue_us, 30000000);
	assert_int_equal(config->timeout_lock_us, 0);
	assert_int_equal(config->timeout_statement_us, 0);
	assert_int_equal(config->timeout_connect_us, 5000000);
	assert_int_equal(config->timeout_drain_us, 30000000);
	assert_int_equal(config->deadlock_mode, LK_DEADLOCK_RESOLVE);
	assert_int_equal(config->deadlock_first_look_us, 15000);
	assert_int_equal(config->deadlock_notify_us, 500000);
	assert_int_equal(config->limit_request_bytes, 16 << 20);
	assert_int_equal(config->limit_result_bytes, 64 << 20);
	assert_int_equal(config->limit_output_bytes, 1 << 20);
	assert_int_equal(config->limit_clients, 10100);
	assert_int_equal(config->limit_stall_us, 10000000);
	assert_int_equal(config->models->n, 0);
	assert_int_equal(config->log_level, LK_LOG_INFO);
	assert_string_equal(config->log_target, "stderr");
	assert_int_equal(config->log_format, LK_LOG_TEXT);
	assert_int_equal(config->log_slow_us, 1000000);
	lk_config_free(&config);
	assert_null(config);
}

/* Every key off its default, in every unit. */
static const char full_text[] =
"# 99999999999 in a comment\n"
"// 99999999999\n"
"/* 99999999999 \" */\n"
"listen : { socket = \"/tmp/a \\\"b\\\"\\\\\";\n"
"  mode = \"0600\", group = \"g\" };\n"
"databases = (\n"
"  { name = \"a99999999999\"; conninfo = \"dbname='x 99999999999'\";\n"
"    workers = { min = 0; max = 0x10; reserve = 5; idle = \"2h\"; }; },\n"
"  { name = \"b\"; conninfo = \"host=h\" \" port=1\"; }\n"
");\n"
"timeouts = { queue = \"1min\"; lock = \"2ms\"; statement = \"7us\";\n"
"  connect = \"0\"; drain = \"9s\"; };\n"
"deadlock = { mode = \"report\"; first_look = \"20ms\"; notify = \"2s\"; };\n"
"limits = { request = \"4096B\"; result = \"1GiB\"; output = \"64KiB\";\n"
"  clients = 7; stall = \"0\"; };\n"
"models = ( { table = \"app.\\\"t\\\"\"; name = \"u\"; hidden = true; },\n"
"  { name = \"posts\"; database = \"b\"; relations = (\n"
"    { name = \"one\"; to = \"u\"; columns = [\"a\", \"b \\\"c\\\"\"];\n"
"      references = (\"x\", \"y\"); },\n"
"    { name = \"many\"; to = \"tags\"; columns = [\"a\"];\n"
"      references = [\"x\", \"y\"]; through = \"j\"; near = [\"n\"];\n"
"      far = [\"f\", \"g\"]; } ); } );\n"
"log = { level = \"debug\"; target = \"/var/log/lk\"; format = \"json\";\n"
"  slow = \"0\"; };\n";

static void
check_models(const struct lk_config_models *models)
{
	const struct lk_config_relation *relation;

	assert_int_equal(models->n, 2);
	assert_string_equal(models->list[0].table, "app.\"t\"");
	assert_string_equal(models->list[0].name, "u");
	assert_string_equal(models->list[0].database, "");
	assert_true(models->list[0].is_hidden);
	assert_int_equal(models->list[0].n_relations, 0);
	assert_string_equal(models->list[1].table, "");
	assert_string_equal(models->list[1].database, "b");
	assert_false(models->list[1].is_hidden);
	assert_int_equal(models->list[1].n_relations, 2);
	relation = &models->list[1].relations[0];
	assert_string_equal(relation->columns, "a\nb \"c\"");
	assert_string_equal(relation->references, "x\ny");
	assert_string_equal(relation->through, "");
	assert_string_equal(relation->near, "");
	relation = &models->list[1].relations[1];
	assert_string_equal(relation->name, "many");
	assert_string_equal(relation->to, "tags");
	assert_string_equal(relation->through, "j");
	assert_string_equal(relation->near, "n");
	assert_string_equal(relation->far, "f\ng");
}

static void
check_full(const struct lk_config *config)
{
	const struct lk_config_database *db = config->databases;

	assert_string_equal(config->listen_socket, "/tmp/a \"b\"\\");
	assert_int_equal(config->listen_mode, 0600);
	assert_string_equal(config->listen_group, "g");
	assert_int_equal(config->n_databases, 2);
	assert_string_equal(db[0].name, "a99999999999");
	assert_string_equal(db[0].conninfo, "dbname='x 99999999999'");
	assert_int_equal(db[0].workers_min, 0);
	assert_int_equal(db[0].workers_max, 16);
	assert_int_equal(db[0].workers_reserve, 5);
	assert_int_equal(db[0].workers_idle_us, 7200000000);
	assert_string_equal(db[1].name, "b");
	assert_string_equal(db[1].conninfo, "host=h port=1");
	assert_int_equal(db[1].workers_min, 2);
	assert_int_equal(config->timeout_queue_us, 60000000);
	assert_int_equal(config->timeout_lock_us, 2000);
	assert_int_equal(config->timeout_statement_us, 7);
	assert_int_equal(config->timeout_connect_us, 0);
	assert_int_equal(config->deadlock_mode, LK_DEADLOCK_REPORT);
	assert_int_equal(config->deadlock_first_look_us, 20000);
	assert_int_equal(config->deadlock_notify_us, 2000000);
	assert_int_equal(config->limit_request_bytes, 4096);
	assert_int_equal(config->limit_result_bytes, 1 << 30);
	assert_int_equal(config->limit_output_bytes, 65536);
	assert_int_equal(config->timeout_drain_us, 9000000);
	assert_int_equal(config->limit_clients, 7);
	assert_int_equal(config->limit_stall_us, 0);
	check_models(config->models);
	assert_int_equal(config->log_level, LK_LOG_DEBUG);
	assert_string_equal(config->log_target, "/var/log/lk");
	assert_int_equal(config->log_format, LK_LOG_JSON);
	assert_int_equal(config->log_slow_us, 0);
}

static void
test_every_key_is_read(void **state)
{
	struct lk_config *config = load(full_text);

	(void)state;
	check_full(config);
	lk_config_free(&config);
}

static void
test_shown_config_reads_to_the_same_values(void **state)
{
	struct lk_config *config = load(full_text);
	char *first = show(config), *second;

	(void)state;
	lk_config_free(&config);
	config = load(first);
	check_full(config);
	second = show(config);
	assert_string_equal(first, second);
	lk_config_free(&config);
	free(first);
	free(second);
}

static void
test_odd_bytes_in_conninfo_survive_showing(void **state)
{
	struct lk_config *config = load("databases = ( { name = \"é\"; "
	    "conninfo = \"a=\\x01\\t\\n\\\\ \\\"\\xff\"; } );");
	char *text = show(config);

	(void)state;
	lk_config_free(&config);
	config = load(text);
	assert_string_equal(config->databases[0].name, "é");
	assert_string_equal(config->databases[0].conninfo,
	    "a=\x01\t\n\\ \"\xff");
	lk_config_free(&config);
	free(text);
}

static void
test_bounds_are_inclusive(void **state)
{
	struct lk_config *config = load(DB
	    "deadlock = { first_look = \"1ms\"; notify = \"1h\"; };\n"
	    "limits = { output = \"4KiB\"; request = \"512MiB\"; };\n");

	(void)state;
	assert_int_equal(config->deadlock_first_look_us, 1000);
	assert_int_equal(config->deadlock_notify_us, 3600000000);
	assert_int_equal(config->limit_output_bytes, 4096);
	assert_int_equal(config->limit_request_bytes, 512 << 20);
	lk_config_free(&config);
	config = load("databases = ( { name = \"m\"; conninfo = \"\"; "
	    "workers = { min = 3; max = 3; }; } );");
	assert_int_equal(config->databases[0].workers_min, 3);
	assert_int_equal(config->databases[0].workers_max, 3);
	lk_config_free(&config);
}

/* ---- what is wrong ---- */

struct wrong {
	const char	*text;
	const char	*where;		/* the error behind the file's name */
	const char	*what;		/* and somewhere later */
	const char	*accepted;	/* and after that */
};

/* With these keys behind its name. */
#define RELATION(keys)	DB "models = ( { table = \"t\"; relations = (\n" \
	"{ name = \"r\"; to = \"u\"; " keys " } ); } );"

static const struct wrong wrongs[] = {
	/* syntax */
	{ "", ":1: databases: ", "is missing", "name = " },
	{ "listen = {", ":1: ", "syntax error", "key = value" },
	{ "listen = { mode = 12abc; };", ":1: ", "syntax error", "" },
	{ "log = {};\nlog = {};", ":2: ", "duplicate", "" },
	{ "log = {};\n\n/* x\n", ":3: ", "comment begins here", "*/" },
	{ "log = {\n level = \"info };\n" DB, ":3: ",
	    "string begins here", "" },
	{ "\nlog = { level = \"info; };\n", ":2: ", "string begins here",
	    "close it" },
	{ "\n@include \"other\"\n", ":2: ", "@include is not supported", "" },
	{ "a = \"x\\x00y\";", ":1: ", "zero byte", "" },
	/* names */
	{ "listne = {};", ":1: listne: ", "is not known",
	    "listen, databases, timeouts, deadlock, replay, batch, limits, "
	    "models, log" },
	{ DB "listen = {\n sock = \"x\"; };", ":3: listen.sock: ",
	    "is not known", "socket, mode, group" },
	{ DB "listen = {\n Mode = \"0600\"; };", ":3: listen.Mode: ",
	    "is not known", "socket, mode, group" },
	{ DB "timeouts = { idle = \"1s\"; };", ":2: timeouts.idle: ",
	    "is not known", "queue, lock, statement, "
	    "idle_in_transaction, idle_holder, connect" },
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n pool = 3; } );",
	    ":2: databases.pool: ", "is not known", "name, conninfo, workers" },
	{ "databases = ( { name = \"m\"; conninfo = \"\"; workers = {\n"
	    "size = 3; }; } );", ":2: databases.workers.size: ",
	    "is not known", "min, max, reserve, idle" },
	/* types */
	{ DB "listen = 5;", ":2: listen: ", "is no group", "{ key = value" },
	{ DB "listen = ( { mode = \"0600\"; } );", ":2: listen: ",
	    "is no group", "{ key = value" },
	{ DB "log = { level = 3; };", ":2: log.level: ", "is an integer",
	    "\"error\", \"warning\", \"info\", \"debug\"" },
	{ DB "listen = { mode = 0660; };", ":2: listen.mode: ",
	    "is an integer", "an octal mode in quotes" },
	{ DB "listen = { socket = true; };", ":2: listen.socket: ",
	    "is a boolean", "a string of 1 to 107 bytes" },
	{ DB "timeouts = { queue = 30; };", ":2: timeouts.queue: ",
	    "is an integer", "a duration in quotes" },
	{ DB "timeouts = { queue = 0.5; };", ":2: timeouts.queue: ",
	    "is a fraction", "a duration in quotes" },
	{ DB "timeouts = { queue = [ \"1s\" ]; };", ":2: timeouts.queue: ",
	    "is an array", "a duration in quotes" },
	{ DB "limits = { output = {}; };", ":2: limits.output: ",
	    "is a group", "a size in quotes" },
	{ "databases = { name = \"m\"; conninfo = \"\"; };", ":1: databases: ",
	    "is no list", "( { … }, { … } )" },
	{ "databases = ( \"main\" );", ":1: databases: ", "is no group",
	    "{ key = value" },
	{ "databases = ( { name = \"m\"; conninfo = \"\"; workers = 4; } );",
	    ":1: databases.workers: ", "is no group", "{ key = value" },
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n"
	    "workers = { max = \"4\"; }; } );", ":2: databases.workers.max: ",
	    "is a string", "a whole number from 1 to 1000" },
	/* durations and sizes */
	{ DB "timeouts = { queue = \"30\"; };", ":2: timeouts.queue: ",
	    "\"30\" has no unit", "h, min, s, ms, us" },
	{ DB "timeouts = { queue = \"30 s\"; };", ":2: timeouts.queue: ",
	    "unknown unit", "h, min, s, ms, us" },
	{ DB "timeouts = { queue = \"3m\"; };", ":2: timeouts.queue: ",
	    "\"3m\" has an unknown unit", "\"0\" for off" },
	{ DB "timeouts = { queue = \"3S\"; };", ":2: timeouts.queue: ",
	    "unknown unit", "" },
	{ DB "timeouts = { queue = \"1.5s\"; };", ":2: timeouts.queue: ",
	    "unknown unit", "" },
	{ DB "timeouts = { queue = \"\"; };", ":2: timeouts.queue: ",
	    "does not begin with a digit", "" },
	{ DB "timeouts = { queue = \"s\"; };", ":2: timeouts.queue: ",
	    "does not begin with a digit", "" },
	{ DB "timeouts = { queue = \"-1s\"; };", ":2: timeouts.queue: ",
	    "does not begin with a digit", "" },
	{ DB "timeouts = { queue = \"25h\"; };", ":2: timeouts.queue: ",
	    "is too large", "up to 24h" },
	{ DB "timeouts = { queue = \"18446744073709551617us\"; };",
	    ":2: timeouts.queue: ", "more than nine digits", "" },
	{ DB "deadlock = { first_look = \"0\"; };", ":2: deadlock.first_look: ",
	    "is too small", "from 1ms to 10s" },
	{ DB "deadlock = { first_look = \"999us\"; };",
	    ":2: deadlock.first_look: ", "is too small", "" },
	{ DB "deadlock = { notify = \"61min\"; };", ":2: deadlock.notify: ",
	    "is too large", "to 1h" },
	{ DB "limits = { output = \"1MB\"; };", ":2: limits.output: ",
	    "unknown unit", "GiB, MiB, KiB, B" },
	{ DB "limits = { output = \"0\"; };", ":2: limits.output: ",
	    "is too small", "from 4KiB" },
	{ DB "limits = { request = \"513MiB\"; };", ":2: limits.request: ",
	    "is too large", "to 512MiB" },
	{ DB "limits = { result = \"1s\"; };", ":2: limits.result: ",
	    "unknown unit", "" },
	{ DB "limits = { clients = 0; };", ":2: limits.clients: ",
	    "\"0\" is too small", "from 1 to 1000000" },
	{ DB "limits = { clients = 1000001; };", ":2: limits.clients: ",
	    "is too large", "from 1 to 1000000" },
	{ DB "limits = { clients = \"10\"; };", ":2: limits.clients: ",
	    "is a string", "a whole number" },
	{ DB "limits = { stall = 10; };", ":2: limits.stall: ",
	    "is an integer", "a duration in quotes up to 24h" },
	{ DB "limits = { stall = \"10\"; };", ":2: limits.stall: ",
	    "has no unit", "or \"0\" for off" },
	{ DB "timeouts = { drain = \"2d\"; };", ":2: timeouts.drain: ",
	    "unknown unit", "h, min, s, ms, us" },
	{ DB "timeouts = { drain = \"25h\"; };", ":2: timeouts.drain: ",
	    "is too large", "up to 24h" },
	{ DB "timeouts = { queue = \"1s\"; queue = \"2s\"; };", ":2: ",
	    "duplicate", "key = value" },
	/* words and modes */
	{ DB "deadlock = { mode = \"Resolve\"; };", ":2: deadlock.mode: ",
	    "\"Resolve\" is none", "\"resolve\", \"report\", \"off\"" },
	{ DB "log = { level = \"\"; };", ":2: log.level: ", "\"\" is none",
	    "\"info\"" },
	{ DB "log = { format = \"JSON\"; };", ":2: log.format: ",
	    "\"JSON\" is none", "\"text\", \"json\"" },
	{ DB "log = { target = \"log/lockkeeperd\"; };", ":2: log.target: ",
	    "\"log/lockkeeperd\" is neither", "\"stderr\", or the path" },
	{ DB "log = { target = \"\"; };", ":2: log.target: ",
	    "\"\" is neither", "from / on" },
	{ DB "log = { target = \"/var/log/\x07\"; };", ":2: log.target: ",
	    "control character", "" },
	{ DB "log = { slow = \"250\"; };", ":2: log.slow: ",
	    "has no unit", "\"0\" for off" },
	{ DB "listen = { mode = \"1777\"; };", ":2: listen.mode: ",
	    "no such mode", "as \"0660\"" },
	{ DB "listen = { mode = \"0680\"; };", ":2: listen.mode: ",
	    "no such mode", "" },
	{ DB "listen = { mode = \"rw\"; };", ":2: listen.mode: ",
	    "no such mode", "" },
	{ DB "listen = { socket = \"\"; };", ":2: listen.socket: ", "is empty",
	    "1 to 107 bytes" },
	{ DB "listen = { socket = \"/a\\nb\"; };", ":2: listen.socket: ",
	    "control character", "" },
	{ DB "listen = { socket = \"/3456789/123456789/123456789/123456789/"
	    "123456789/123456789/123456789/123456789/123456789/123456789/"
	    "123456789\"; };", ":2: listen.socket: ", "is too long", "107" },
	/* databases */
	{ "databases = ();", ":1: databases: ", "is empty", "at least one" },
	{ "databases = (\n{ conninfo = \"\"; } );", ":2: databases.name: ",
	    "is missing", "1 to 63 bytes" },
	{ "databases = (\n{ name = \"m\"; } );", ":2: databases.conninfo: ",
	    "is missing", "a string" },
	{ "databases = (\n{ name = \"\"; conninfo = \"\"; } );",
	    ":2: databases.name: ", "is empty", "1 to 63 bytes" },
	{ "databases = ( { name = \"m\"; conninfo = \"\"; },\n"
	    "{ name = \"n\"; conninfo = \"\"; },\n"
	    "{ name = \"m\"; conninfo = \"\"; } );",
	    ":3: databases.name: ", "another database", "" },
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n"
	    "workers = {\n min = 5;\n max = 4; }; } );",
	    ":3: databases.workers.min: ", "more than max", "at most max" },
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n"
	    "workers = {\n max = 1; }; } );",
	    ":2: databases.workers.min: ", "more than max", "" },
	/* models */
	{ DB "models = {};", ":2: models: ", "is no list", "( { table = " },
	{ DB "models = ( { table = \"t\"; },\n5 );", ":3: models: ",
	    "is no group", "{ key = value" },
	{ DB "models = (\n{ hidden = true; } );", ":3: models.table: ",
	    "is missing", "or name" },
	{ DB "models = ( { tabel = \"t\"; } );", ":2: models.tabel: ",
	    "is not known", "table, name, hidden, database, relations" },
	{ DB "models = ( { table = 5; } );", ":2: models.table: ",
	    "is an integer", "a string of 0 to 127 bytes" },
	{ DB "models = ( { table = \"t\"; hidden = \"true\"; } );",
	    ":2: models.hidden: ", "is a string", "true or false, without" },
	{ DB "models = ( { table = \"t\"; hidden = 1; } );",
	    ":2: models.hidden: ", "is an integer", "" },
	{ DB "models = ( { table = \"t\";\ndatabase = \"m\"; } );",
	    ":3: models.database: ", "is none of the databases", "name of one" },
	{ DB "models = ( { table = \"t\"; },\n{ name = \"t\"; } );",
	    ":3: models.name: ", "another entry", "one for each table" },
	{ DB "models = ( { table = \"t\"; relations = {}; } );",
	    ":2: models.relations: ", "is no list", "( { name = " },
	{ DB "models = ( { table = \"t\"; relations = (\n"
	    "{ to = \"u\"; columns = [\"a\"]; references = [\"b\"]; } ); } );",
	    ":3: models.relations.name: ", "is missing", "1 to 63 bytes" },
	{ DB "models = ( { table = \"t\"; relations = (\n"
	    "{ name = \"r\"; to = \"u\"; references = [\"b\"]; } ); } );",
	    ":3: models.relations.columns: ", "is missing",
	    "1 to 32 names of at most 63 bytes, as [\"one\", \"other\"]" },
	{ RELATION("columns = []; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "too few names", "1 to 32" },
	{ RELATION("columns = \"a\"; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "is a string", "as [" },
	{ RELATION("columns = [1]; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "is an array", "as [" },
	{ RELATION("columns = [\"a\\nb\"]; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "is an array", "" },
	{ RELATION("columns = [\"a\", \"\"]; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "an empty name", "" },
	{ RELATION("columns = [\"\\x07\"]; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "control character", "" },
	{ RELATION("columns = [\"0123456789012345678901234567890123456789"
	    "012345678901234567890123\"]; references = [\"b\"];"),
	    ":3: models.relations.columns: ", "too long", "" },
	{ RELATION("columns = [\"a\"]; references = [\"b\", \"c\"];"),
	    ":3: models.relations.references: ", "not as many", "one for each" },
	{ RELATION("columns = [\"a\"]; references = [\"b\"]; near = [\"c\"];"),
	    ":3: models.relations.near: ", "third model", "through" },
	{ RELATION("columns = [\"a\"]; references = [\"b\"]; far = [\"c\"];"),
	    ":3: models.relations.far: ", "third model", "through" },
	{ RELATION("columns = [\"a\"]; references = [\"b\"];\n"
	    "through = \"j\";"), ":3: models.relations.near: ",
	    "not as many names as columns", "" },
	{ RELATION("columns = [\"a\"]; references = [\"b\"];\n"
	    "through = \"j\"; near = [\"n\"];"),
	    ":3: models.relations.far: ", "not as many names as references",
	    "" },
	{ DB "models = ( { table = \"t\"; relations = (\n"
	    "{ name = \"r\"; to = \"u\"; columns = [\"a\"]; "
	    "references = [\"b\"]; },\n"
	    "{ name = \"r\"; to = \"u\"; columns = [\"a\"]; "
	    "references = [\"b\"]; } ); } );",
	    ":4: models.relations.name: ", "another relation", "" },
	/* counts */
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n"
	    "workers = { max = 0; }; } );", ":2: databases.workers.max: ",
	    "\"0\" is too small", "from 1 to 1000" },
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n"
	    "workers = { min = -1; }; } );", ":2: databases.workers.min: ",
	    "\"-1\" is too small", "from 0 to 1000" },
	{ "databases = ( { name = \"m\"; conninfo = \"\";\n"
	    "workers = { max = 1001; }; } );", ":2: databases.workers.max: ",
	    "is too large", "" },
	/* what libconfig would take modulo 2^32: 8, 16 and 4 */
	{ "\nx = 4294967304;", ":2: ", "more than nine digits", "" },
	{ "x = 0x100000010;", ":1: ", "more than seven hexadecimal", "" },
	{ "x = \"\\\"\"; # \"\n/* \" */ y = -4294967292;", ":2: ",
	    "more than nine digits", "" },
	{ "x = 4294967304L;", ":1: ", "more than nine digits", "" },
};

static void
test_wrong_configs_are_refused_with_line_and_key(void **state)
{
	const struct wrong *wrong;
	char *message, *p;

	(void)state;
	for (wrong = wrongs; wrong < wrongs + sizeof(wrongs) /
	    sizeof(wrongs[0]); wrong++) {
		message = load_wrong_bytes(wrong->text, strlen(wrong->text));
		p = message;
		if (strncmp(p, wrong->where, strlen(wrong->where)) != 0 ||
		    (p = strstr(p, wrong->what)) == NULL ||
		    strstr(p, wrong->accepted) == NULL)
			fail_msg("%s\nsays%s\nnot%s … %s … %s", wrong->text,
			    message, wrong->where, wrong->what,
			    wrong->accepted);
		free(message);
	}
}

static void
test_bytes_that_are_no_text_are_refused(void **state)
{
	static const char bytes[] = DB "log = {};\0\nlisten = 5;";
	char *message = load_wrong_bytes(bytes, sizeof(bytes) - 1);

	(void)state;
	assert_string_equal(message, ":2: a zero byte: this is no text");
	free(message);
}

static void
test_nesting_without_end_is_refused(void **state)
{
	char *text = malloc(500002), *message;

	(void)state;
	memset(text, '(', 500002);
	text[0] = 'a';
	text[1] = '=';
	message = load_wrong_bytes(text, 500002);
	assert_int_equal(strncmp(message, ":1: ", 4), 0);
	free(message);
	free(text);
}

static void
test_file_larger_than_a_mebibyte_is_refused(void **state)
{
	size_t n = (1 << 20) + 1;
	char *text = malloc(n), *message;

	(void)state;
	memset(text, '\n', n);
	message = load_wrong_bytes(text, n);
	assert_string_equal(message, ": is larger than 1048576 bytes");
	free(message);
	memcpy(text, DB, strlen(DB));
	text[n - 1] = '\0';
	{
		struct lk_config *config = load(text);

		lk_config_free(&config);
	}
	free(text);
}

static void
expect_unreadable(const char *name, const char *reason)
{
	struct lk_error error = { 0 };
	struct lk_config *config = NULL;

	assert_int_equal(lk_config_load(name, &config, &error), -LK_E_IO);
	assert_null(config);
	assert_int_equal(strncmp(error.message, name, strlen(name)), 0);
	assert_non_null(strstr(error.message, reason));
	lk_error_fini(&error);
}

static void
test_unreadable_files_are_named(void **state)
{
	(void)state;
	expect_unreadable("/nonexistent/lockkeeper.conf", "No such file");
	expect_unreadable("/tmp", "Is a directory");
	write_bytes(DB, strlen(DB));
	if (geteuid() == 0)
		return;		/* root may read everything */
	assert_int_equal(chmod(path, 0), 0);
	expect_unreadable(path, "Permission denied");
	assert_int_equal(chmod(path, 0600), 0);
}

/* A password is in no error either. */
static void
test_too_long_conninfo_is_not_repeated(void **state)
{
	char text[9000] = "databases = ( { name = \"m\"; conninfo = \"secret";
	size_t n = strlen(text);
	char *message;

	(void)state;
	memset(text + n, 'x', 8500);
	strcpy(text + n + 8500, "\"; } );");
	message = load_wrong_bytes(text, strlen(text));
	assert_null(strstr(message, "secret"));
	assert_non_null(strstr(message, "databases.conninfo: is too long"));
	free(message);
}

/* ---- passwords ---- */

#define M	"********"

static const char *const masks[][2] = {
	{ "", "" },
	{ "host=h dbname=d", "host=h dbname=d" },
	{ "password=x", "password=" M },
	{ "password=x host=h", "password=" M " host=h" },
	{ "host=h password='a b' user=u", "host=h password=" M " user=u" },
	{ "host=h password = 'a\\' b'user=u",
	    "host=h password = " M " user=u" },
	{ "password=a\\ b user=u", "password=" M " user=u" },
	{ "password=\\' user=u", "password=" M " user=u" },
	{ "PassWord=x", "PassWord=" M },
	{ "sslpassword=x passfile=f", "sslpassword=" M " passfile=f" },
	{ "password='not closed", "password=" M },
	{ "password=", "password=" M },
	{ "  dbname='password=x'  ", "  dbname='password=x'  " },
	{ "user='a=b' password=x", "user='a=b' password=" M },
	{ "loose password=x", "loose password=" M },
	{ "postgresql://h/db", "postgresql://h/db" },
	{ "postgresql://u@h:5432/db", "postgresql://u@h:5432/db" },
	{ "postgresql://u:p@h/db", "postgresql://u:" M "@h/db" },
	{ "postgres://u:p@h:5432,i:5433/db?a=b",
	    "postgres://u:" M "@h:5432,i:5433/db?a=b" },
	{ "postgresql://u:p@ss@h/db", "postgresql://u:" M "@h/db" },
	{ "postgresql://u:p/s@h/db", "postgresql://u:" M "@h/db" },
	{ "postgresql://u:p?s@h/db", "postgresql://u:" M "@h/db" },
	{ "postgresql://h:5432/db?user=a@b&password=x&a=b",
	    "postgresql://h:5432/db?user=a@b&password=" M "&a=b" },
	{ "postgresql:///db?password=x", "postgresql:///db?password=" M },
	{ "postgresql:///db?host=/s&sslpassword=x",
	    "postgresql:///db?host=/s&sslpassword=" M },
	{ "postgresql://", "postgresql://" },
};

static void
test_passwords_are_masked(void **state)
{
	struct lk_buf out = LK_BUF_INIT;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		lk_mask_conninfo(masks[i][0], &out);
		assert_string_equal(lk_buf_cstr(&out), masks[i][1]);
		/* Masking is stable, and so is the form. */
		lk_buf_fini(&out);
		lk_mask_conninfo(masks[i][1], &out);
		assert_string_equal(lk_buf_cstr(&out), masks[i][1]);
		lk_buf_fini(&out);
	}
}

static void
test_shown_config_has_no_password_and_still_reads(void **state)
{
	struct lk_config *config = load("databases = (\n"
	    "{ name = \"a\"; conninfo = \"password='top secret' host=h\"; },\n"
	    "{ name = \"b\"; conninfo = \"postgresql://u:secret@h/db\"; }\n"
	    ");");
	char *text = show(config);

	(void)state;
	assert_null(strstr(text, "secret"));
	lk_config_free(&config);
	config = load(text);
	assert_string_equal(config->databases[0].conninfo,
	    "password=" M " host=h");
	assert_string_equal(config->databases[1].conninfo,
	    "postgresql://u:" M "@h/db");
	lk_config_free(&config);
	free(text);
}

/* ---- reading it again ---- */

/* What reloading `after` gives while `before` is in force; both are freed but
 * the result. */
static struct lk_config *
reload(const char *before, const char *after, const char *ignored)
{
	struct lk_config *running = load(before), *config = NULL;
	struct lk_buf names = LK_BUF_INIT;
	struct lk_error error = { 0 };

	write_bytes(after, strlen(after));
	assert_int_equal(lk_config_reload(path, running, &config, &names,
	    &error), 0);
	assert_string_equal(lk_buf_cstr(&names), ignored);
	lk_buf_fini(&names);
	lk_config_free(&running);
	return config;
}

static const char *
row_value(const struct lk_config *config, const char *key)
{
	size_t i;

	for (i = 0; i < config->n_rows; i++) {
		if (strcmp(config->rows[i].key, key) == 0)
			return config->rows[i].value;
	}
	fail_msg("no row %s", key);
	return NULL;
}

#define TWO(a, b)							\
	"databases = ( { name = \"a\"; conninfo = \"\"; workers = "	\
	"{ max = " a "; }; }, { name = \"b\"; conninfo = \"\"; "	\
	"workers = { max = " b "; }; } );\n"

static void
test_reload_takes_what_can_change_at_once(void **state)
{
	struct lk_config *config = reload(TWO("3", "4"), TWO("5", "6")
	    "timeouts = { queue = \"7s\"; }; log = { level = \"debug\"; };",
	    "");

	(void)state;
	assert_int_equal(config->databases[0].workers_max, 5);
	assert_int_equal(config->databases[1].workers_max, 6);
	assert_int_equal(config->timeout_queue_us, 7000000);
	assert_int_equal(config->log_level, LK_LOG_DEBUG);
	assert_string_equal(row_value(config, "timeouts.queue"), "7s");
	assert_string_equal(row_value(config, "databases.b.workers.max"),
	    "6");
	lk_config_free(&config);
}

static void
test_reload_keeps_and_names_what_needs_a_start(void **state)
{
	struct lk_config *config = reload(
	    "databases = ( { name = \"a\"; conninfo = \"dbname=x\"; } );",
	    "listen = { socket = \"/other\"; mode = \"0600\"; };\n"
	    "databases = ( { name = \"a\"; conninfo = \"dbname=y\"; } );\n"
	    "timeouts = { queue = \"7s\"; };", "listen.socket, "
	    "listen.mode, databases.conninfo");

	(void)state;
	assert_string_equal(config->listen_socket,
	    "/run/lockkeeper/lockkeeper.sock");
	assert_int_equal(config->listen_mode, 0660);
	assert_string_equal(config->databases[0].conninfo, "dbname=x");
	assert_string_equal(row_value(config, "databases.a.conninfo"),
	    "dbname=x");
	assert_int_equal(config->timeout_queue_us, 7000000);
	lk_config_free(&config);
}

static void
test_reload_keeps_the_databases_that_run(void **state)
{
	static const char b[] =
	    "databases = ( { name = \"b\"; conninfo = \"\"; workers = "
	    "{ max = 9; }; } );";
	struct lk_config *config = reload(TWO("3", "4"), b, "databases");

	(void)state;
	assert_int_equal(config->n_databases, 2);
	assert_string_equal(config->databases[0].name, "a");
	assert_int_equal(config->databases[0].workers_max, 3);
	assert_int_equal(config->databases[1].workers_max, 9);
	lk_config_free(&config);
	config = reload(b, TWO("5", "6"), "databases");
	assert_int_equal(config->n_databases, 1);
	assert_int_equal(config->databases[0].workers_max, 6);
	lk_config_free(&config);
}

static void
test_reload_of_a_wrong_file_gives_nothing(void **state)
{
	struct lk_config *running = load(TWO("3", "4")), *config = NULL;
	struct lk_buf names = LK_BUF_INIT;
	struct lk_error error = { 0 };

	(void)state;
	write_bytes(TWO("5", "0"), strlen(TWO("5", "0")));
	assert_int_equal(lk_config_reload(path, running, &config, &names,
	    &error), -LK_E_INVAL);
	assert_null(config);
	assert_non_null(strstr(error.message, "databases.workers.max"));
	lk_error_fini(&error);
	lk_buf_fini(&names);
	lk_config_free(&running);
}

/* ---- the table ---- */

static void
test_dump_has_a_row_for_each_key(void **state)
{
	struct lk_buf out = LK_BUF_INIT;
	const char *text, *p;
	size_t n_rows = 0, n_tabs = 0;

	(void)state;
	lk_config_dump(&out);
	text = lk_buf_cstr(&out);
	for (p = text; *p != '\0'; p++) {
		n_rows += *p == '\n';
		n_tabs += *p == '\t';
	}
	assert_int_equal(n_rows, lk_n_keys);
	assert_int_equal(n_tabs, 7 * n_rows);
	assert_non_null(strstr(text,
	    "deadlock\tfirst_look\tduration\t15ms\t1ms\t10s\tyes\t"));
	assert_non_null(strstr(text,
	    "databases\tname\ttext\t-\t1\t63\tno\t"));
	assert_non_null(strstr(text,
	    "deadlock\tmode\tresolve|report|off\tresolve\t-\t-\tyes\t"));
	lk_buf_fini(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_every_key_is_read),
		cmocka_unit_test(test_shown_config_reads_to_the_same_values),
		cmocka_unit_test(test_odd_bytes_in_conninfo_survive_showing),
		cmocka_unit_test(test_bounds_are_inclusive),
		cmocka_unit_test(
		    test_wrong_configs_are_refused_with_line_and_key),
		cmocka_unit_test(test_bytes_that_are_no_text_are_refused),
		cmocka_unit_test(test_nesting_without_end_is_refused),
		cmocka_unit_test(test_file_larger_than_a_mebibyte_is_refused),
		cmocka_unit_test(test_unreadable_files_are_named),
		cmocka_unit_test(test_too_long_conninfo_is_not_repeated),
		cmocka_unit_test(test_passwords_are_masked),
		cmocka_unit_test(
		    test_shown_config_has_no_password_and_still_reads),
		cmocka_unit_test(test_reload_takes_what_can_change_at_once),
		cmocka_unit_test(
		    test_reload_keeps_and_names_what_needs_a_start),
		cmocka_unit_test(test_reload_keeps_the_databases_that_run),
		cmocka_unit_test(test_reload_of_a_wrong_file_gives_nothing),
		cmocka_unit_test(test_dump_has_a_row_for_each_key),
	};
	int fd = mkstemp(path), n_failed;

	if (fd < 0)
		return 1;
	close(fd);
	n_failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return n_failed;
}
