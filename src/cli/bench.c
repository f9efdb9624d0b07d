/* `lockkeeper bench`: how much work a daemon gets done, and how fast. */
#include "cli/bench.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/session.h"

#define MAX_CLIENTS	100000
#define MAX_ROWS	10000000
#define MAX_SECONDS	86400
#define FIRST_BALANCE	"1000"

struct bench {
	struct lk_bench_options load;
	struct lk_session_options session;
	const char	*table;		/* of --table, or NULL */
	unsigned	 n_rows;
	bool		 is_json;

	struct lk_conn	*conn;
	struct lk_bench_scene scene;
	struct lk_bench_result result;
	int64_t		 total_before;	/* of all balances */
	int64_t		 total_after;
};

static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "db", required_argument, NULL, 'b' },
	{ "clients", required_argument, NULL, 'c' },
	{ "connections", required_argument, NULL, 'n' },
	{ "seconds", required_argument, NULL, 't' },
	{ "rows", required_argument, NULL, 'r' },
	{ "in-order", no_argument, NULL, 'o' },
	{ "table", required_argument, NULL, 'T' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* ---- the command line ---- */

/* A number from 1 to max; LK_EXIT_USAGE, and said why, when it is none. */
static int
take_number(const char *option, const char *text, double max, bool is_whole,
    double *number_out)
{
	char *end;

	*number_out = strtod(text, &end);
	if (end != text && *end == '\0' && *number_out > 0 &&
	    *number_out <= max && (!is_whole || (*number_out >= 1 &&
	    strspn(text, "0123456789") == strlen(text))))
		return 0;
	return (int)lk_cli_misuse(&lk_command_bench,
	    "--%s takes a number%s up to %.0f, not \"%s\"", option,
	    is_whole ? " from 1" : " of seconds", max, text);
}

static void
print_help(void)
{
	size_t i;

	lk_cli_help(&lk_command_bench);
	printf("\nWorkloads:\n");
	for (i = 0; i < lk_bench_n_works; i++)
		printf("  %-15s%s\n", lk_bench_works[i].name,
		    lk_bench_works[i].summary);
}

/* 0, or LK_EXIT_USAGE after saying what is wrong; -1: only help was wanted. */
static int
take_option(struct bench *bench, int c)
{
	double number;
	int rc = 0;

	switch (c) {
	case 's':
		bench->session.socket = optarg;
		return 0;
	case 'b':
		bench->load.database = optarg;
		return 0;
	case 'c':
		rc = take_number("clients", optarg, MAX_CLIENTS, true,
		    &number);
		bench->load.n_clients = (size_t)number;
		return rc;
	case 'n':
		rc = take_number("connections", optarg, MAX_CLIENTS, true,
		    &number);
		bench->load.n_connections = (size_t)number;
		return rc;
	case 't':
		rc = take_number("seconds", optarg, MAX_SECONDS, false,
		    &number);
		bench->load.duration_ns = (uint64_t)(number * 1e9);
		return rc;
	case 'r':
		rc = take_number("rows", optarg, MAX_ROWS, true, &number);
		bench->n_rows = (unsigned)number;
		return rc;
	case 'o':
		bench->scene.is_in_order = true;
		return 0;
	case 'T':
		bench->table = optarg;
		return 0;
	case 'j':
		bench->is_json = true;
		return 0;
	case 'h':
		print_help();
		return -1;
	default:
		return (int)lk_cli_point_to_help(&lk_command_bench);
	}
}

static int
take_workload(struct bench *bench, const char *name)
{
	size_t i;

	for (i = 0; i < lk_bench_n_works; i++) {
		if (strcmp(name, lk_bench_works[i].name) == 0)
			bench->load.work = &lk_bench_works[i];
	}
	if (bench->load.work == NULL)
		return (int)lk_cli_misuse(&lk_command_bench,
		    "no workload \"%s\"", name);
	if (bench->load.work->is_transfer && bench->n_rows < 2)
		return (int)lk_cli_misuse(&lk_command_bench,
		    "%s needs two rows", name);
	return 0;
}

static int
take_arguments(struct bench *bench, int argc, char **argv)
{
	int c, rc = 0;

	while (rc == 0 && (c = getopt_long(argc, argv, "s:c:n:t:h", options,
	    NULL)) != -1)
		rc = take_option(bench, c);
	if (rc != 0)
		return rc;
	if (optind == argc)
		return (int)lk_cli_misuse(&lk_command_bench,
		    "no workload given");
	if (optind + 1 < argc)
		return (int)lk_cli_misuse(&lk_command_bench,
		    "unexpected argument \"%s\"", argv[optind + 1]);
	if (bench->load.n_connections == 0)
		bench->load.n_connections = bench->load.n_clients < 16 ?
		    bench->load.n_clients : 16;
	if (bench->load.n_connections > bench->load.n_clients)
		return (int)lk_cli_misuse(&lk_command_bench,
		    "%zu connections are more than %zu clients",
		    bench->load.n_connections, bench->load.n_clients);
	return take_workload(bench, argv[optind]);
}

/* ---- the table ---- */

/* The reply, if it is no error; else NULL, and said why. */
static struct lk_reply *
call(struct bench *bench, const char *verb, const char *first,
    const char *second)
{
	const char *words[] = { verb, first, second };
	struct lk_envelope envelope = LK_ENVELOPE_INIT;
	struct lk_reply *reply;

	envelope.database = bench->load.database;
	reply = lk_call(bench->conn, &envelope, second != NULL ? 3 : 2, words,
	    NULL);
	if (!lk_reply_is_error(reply))
		return reply;
	lk_cli_say("%s %s %s", lk_reply_kind_word(reply),
	    lk_reply_sqlstate(reply), lk_reply_text(reply, NULL));
	lk_reply_free(&reply);
	return NULL;
}

static int __attribute__((format(printf, 2, 3)))
do_sql(struct bench *bench, const char *fmt, ...)
{
	struct lk_reply *reply;
	char *text;
	va_list ap;
	int rc;

	va_start(ap, fmt);
	rc = vasprintf(&text, fmt, ap);
	va_end(ap);
	lk_assert(rc >= 0);
	reply = call(bench, "SQL", text, NULL);
	rc = reply == NULL ? -1 : 0;
	lk_reply_free(&reply);
	free(text);
	return rc;
}

static int
make_table(struct bench *bench)
{
	const char *table = bench->scene.table;

	if (do_sql(bench, "CREATE TABLE %s (id int PRIMARY KEY,"
	    " balance bigint NOT NULL, owner text)", table) < 0)
		return -1;
	return do_sql(bench, "INSERT INTO %s SELECT i, " FIRST_BALANCE
	    ", 'owner ' || i FROM generate_series(0, %u) i", table,
	    bench->n_rows);
}

static int
read_total(struct bench *bench, int64_t *total_out)
{
	char *text = lk_cli_format("SELECT coalesce(sum(balance), 0)::int8"
	    " AS total FROM %s", bench->scene.table);
	struct lk_reply *reply = call(bench, "SQL", text, NULL);

	free(text);
	if (reply == NULL)
		return -1;
	*total_out = lk_reply_int(lk_reply_get(lk_reply_at(reply, 0),
	    "total"));
	lk_reply_free(&reply);
	return 0;
}

/* So that nobody waits for the daemon to learn of the table. */
static int
get_first(struct bench *bench)
{
	struct lk_reply *reply = call(bench, "GET", bench->scene.table, "0");

	if (reply == NULL)
		return -1;
	lk_reply_free(&reply);
	return 0;
}

/* ---- what came of it ---- */

static bool
adds_up(const struct bench *bench)
{
	return bench->total_after ==
	    bench->total_before + bench->scene.added;
}

static void
print_times(const char *what, const struct lk_hist *hist)
{
	if (hist->n == 0)
		return;
	printf("  %-22sp50 %.0f us, p99 %.0f us, p99.9 %.0f us, longest %.0f "
	    "us\n", what, lk_hist_percentile_us(hist, 50),
	    lk_hist_percentile_us(hist, 99),
	    lk_hist_percentile_us(hist, 99.9), (double)hist->max_ns / 1e3);
}

static void
print_result(const struct bench *bench)
{
	const struct lk_bench_result *result = &bench->result;
	double seconds = (double)result->took_ns / 1e9;

	printf("%s: %zu clients on %zu connections, %.1f s%s\n",
	    bench->load.work->name, bench->load.n_clients,
	    bench->load.n_connections, seconds,
	    result->was_stopped ? ", then stopped" : "");
	printf("  %-22s%.0f a second, %" PRIu64 " in all\n", "throughput",
	    (double)result->n_done / seconds, result->n_done);
	print_times("latency", &result->latency);
	print_times("loop lag", &result->ping);
	print_times("other row, before", &result->quiet);
	print_times("other row, meanwhile", &result->meanwhile);
	if (bench->load.work->is_transfer)
		printf("  %-22s%" PRIu64 "\n", "deadlocks met",
		    bench->scene.n_lost);
	printf("  %-22s%" PRId64 ", %s\n", "sum of balances",
	    bench->total_after, adds_up(bench) ? "as it must be" :
	    "which is wrong");
	printf("  %-22s%.0f %% of a core\n", "this program used",
	    (double)result->cpu_ns * 100 / (double)result->took_ns);
}

static void
print_json_times(const char *name, const struct lk_hist *hist)
{
	printf(", \"%s\": {\"n\": %" PRIu64 ", \"p50\": %.1f, \"p99\": %.1f, "
	    "\"p99.9\": %.1f, \"max\": %.1f}", name, hist->n,
	    lk_hist_percentile_us(hist, 50),
	    lk_hist_percentile_us(hist, 99),
	    lk_hist_percentile_us(hist, 99.9), (double)hist->max_ns / 1e3);
}

static void
print_json(const struct bench *bench)
{
	const struct lk_bench_result *result = &bench->result;
	double seconds = (double)result->took_ns / 1e9;

	printf("{\"workload\": \"%s\", \"clients\": %zu, \"connections\": %zu"
	    ", \"seconds\": %.3f, \"done\": %" PRIu64 ", \"per_s\": %.1f",
	    bench->load.work->name, bench->load.n_clients,
	    bench->load.n_connections, seconds, result->n_done,
	    (double)result->n_done / seconds);
	print_json_times("latency_us", &result->latency);
	print_json_times("loop_lag_us", &result->ping);
	print_json_times("other_row_before_us", &result->quiet);
	print_json_times("other_row_us", &result->meanwhile);
	printf(", \"deadlocks\": %" PRIu64 ", \"total_before\": %" PRId64
	    ", \"total_after\": %" PRId64 ", \"added\": %" PRId64
	    ", \"cpu\": %.3f}\n", bench->scene.n_lost, bench->total_before,
	    bench->total_after, bench->scene.added,
	    (double)result->cpu_ns / (double)result->took_ns);
}

/* ---- all of it ---- */

static int
run_on_table(struct bench *bench)
{
	if (get_first(bench) < 0 ||
	    read_total(bench, &bench->total_before) < 0 ||
	    lk_bench_run(&bench->load, &bench->scene, &bench->result) < 0 ||
	    read_total(bench, &bench->total_after) < 0)
		return -1;
	if (bench->is_json)
		print_json(bench);
	else
		print_result(bench);
	if (adds_up(bench))
		return 0;
	lk_cli_say("the sum of balances is %" PRId64 " and must be %" PRId64
	    ": an update was lost, or somebody else writes to %s",
	    bench->total_after, bench->total_before + bench->scene.added,
	    bench->scene.table);
	return -1;
}

/* The table is ours unless one was named, and goes with us. */
static int
run_bench(struct bench *bench)
{
	char *name = lk_cli_format("lockkeeper_bench_%ld", (long)getpid());
	int rc = 0;

	bench->scene.table = bench->table != NULL ? bench->table : name;
	bench->scene.n_rows = bench->n_rows;
	bench->scene.random = (uint64_t)time(NULL) << 20 | (uint64_t)getpid();
	if (bench->table != NULL) {
		rc = run_on_table(bench);
	} else {
		rc = make_table(bench);
		if (rc == 0)
			rc = run_on_table(bench);
		if (do_sql(bench, "DROP TABLE IF EXISTS %s", name) < 0)
			rc = -1;
	}
	free(name);
	return rc;
}

static enum lk_exit
run(int argc, char **argv)
{
	/* The histograms are too large for a stack. */
	struct bench *bench = lk_xcalloc(1, sizeof(*bench));
	char *socket_path = NULL;
	int rc;

	bench->session.proto = 3;
	bench->load.n_clients = 1000;
	bench->load.duration_ns = 5000000000ULL;
	bench->n_rows = 10000;
	rc = take_arguments(bench, argc, argv);
	if (rc != 0) {
		free(bench);
		return rc < 0 ? LK_EXIT_OK : (enum lk_exit)rc;
	}
	socket_path = bench->session.socket != NULL ?
	    lk_xstrdup(bench->session.socket) : lk_session_default_socket();
	bench->load.socket = socket_path;
	bench->conn = lk_session_open(&bench->session);
	rc = bench->conn == NULL ? -1 : run_bench(bench);
	lk_conn_free(&bench->conn);
	free(socket_path);
	free(bench);
	return rc < 0 ? LK_EXIT_FAILED : LK_EXIT_OK;
}

const struct lk_command lk_command_bench = {
	.name = "bench",
	.synopsis = "[OPTION…] WORKLOAD",
	.summary = "Measure how much work a daemon gets done, and how fast",
	.help =
	    "  -s, --socket PATH    the daemon's socket\n"
	    "      --db NAME        in this database\n"
	    "  -c, --clients N      coroutines; each asks again when it has "
	    "its reply [1000]\n"
	    "  -n, --connections N  that they share [16]\n"
	    "  -t, --seconds S      for so long [5]\n"
	    "      --rows N         that they work on, from 1 to N [10000]\n"
	    "      --in-order       transfer from the lower number to the "
	    "other row\n"
	    "      --table NAME     with columns id and balance and the rows 0 "
	    "to N, instead of\n"
	    "                       one that is made and dropped\n"
	    "      --json           print one line of JSON\n"
	    "      --help           print this\n",
	.run = run,
};
