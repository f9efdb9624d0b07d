/*
 * What cleaning a session costs: a statement alone, and one with the cleaning
 * of db/clean.h behind it in a Sync of its own, as workers send it, in turns on
 * one session.
 *
 * usage: bench/cleaning CONNINFO
 */
#include <libpq-fe.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "db/clean.h"

#define N_ROUNDS	5000
#define N_PREPARED	100	/* beside it, as a session in use has them */

static PGconn *conn;

static void
die(const char *what)
{
	fprintf(stderr, "bench/cleaning: %s: %s", what, PQerrorMessage(conn));
	exit(1);
}

static void
check(int sent)
{
	if (sent != 1)
		die("cannot send");
}

/* Up to the next answer to a Sync. */
static void
read_to_sync(void)
{
	ExecStatusType status = PGRES_EMPTY_QUERY;
	PGresult *res;

	while (status != PGRES_PIPELINE_SYNC) {
		res = PQgetResult(conn);
		status = PQresultStatus(res);
		if (res == NULL)
			continue;
		if (status == PGRES_FATAL_ERROR)
			die("a statement failed");
		PQclear(res);
	}
}

static void
prepare(void)
{
	char name[32], sql[64];
	int i;

	for (i = 0; i < N_PREPARED; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		snprintf(sql, sizeof(sql), "SELECT $1::int + %d AS v", i);
		check(PQsendPrepare(conn, name, sql, 0, NULL));
	}
	check(PQpipelineSync(conn));
	read_to_sync();
}

static void
run(bool cleans, double *reply_us_out, double *clean_us_out)
{
	static const char *const values[] = { "1" };
	uint64_t start_us = lk_clock_us();
	int i;

	check(PQsendQueryPrepared(conn, "s0", 1, values, NULL, NULL, 0));
	check(PQpipelineSync(conn));
	if (cleans) {
		for (i = 0; lk_clean_statements[i] != NULL; i++)
			check(PQsendQueryParams(conn, lk_clean_statements[i],
			    0, NULL, NULL, NULL, NULL, 0));
		check(PQpipelineSync(conn));
	}
	read_to_sync();
	*reply_us_out = (double)(lk_clock_us() - start_us);
	if (cleans)
		read_to_sync();
	*clean_us_out = (double)(lk_clock_us() - start_us);
}

static int
compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
median(double *values)
{
	qsort(values, N_ROUNDS, sizeof(*values), compare);
	return values[N_ROUNDS / 2];
}

int
main(int argc, char **argv)
{
	static double alone[N_ROUNDS], reply[N_ROUNDS], clean[N_ROUNDS];
	double unused;
	int i;

	if (argc != 2) {
		fputs("usage: bench/cleaning CONNINFO\n", stderr);
		return 2;
	}
	conn = PQconnectdb(argv[1]);
	if (PQstatus(conn) != CONNECTION_OK || PQenterPipelineMode(conn) != 1)
		die("cannot connect");
	prepare();
	for (i = 0; i < N_ROUNDS; i++) {
		run(false, &alone[i], &unused);
		run(true, &reply[i], &clean[i]);
	}
	PQfinish(conn);
	printf("\nCleaning a session, %d statements prepared; medians of %d\n"
	    "  a statement alone              %8.1f us\n"
	    "  its reply, cleaning behind it  %8.1f us\n"
	    "  until the session is clean     %8.1f us\n", N_PREPARED, N_ROUNDS,
	    median(alone), median(reply), median(clean));
	return 0;
}
