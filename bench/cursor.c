/*
 * Rows a second out of one cursor: by libpq with FETCH, by libpq with one
 * statement in single-row mode, and by the daemon in each form, in turns.
 *
 * usage: bench/cursor CONNINFO SOCKET
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "client/client.h"

#define N_ROWS		1000000
#define N_ROUNDS	3
#define FETCH		"10000"
#define QUERY		"SELECT generate_series(1, 1000000) AS id, "	\
			"'some more text' AS note, 1.5::float8 AS score"

static PGconn *direct;
static struct lk_client *client;

/* ---- libpq ---- */

/* Rows of one answer, all of whose values were there to be read. */
static int
take(PGresult *result)
{
	int n = PQntuples(result);

	if (PQresultStatus(result) != PGRES_TUPLES_OK &&
	    PQresultStatus(result) != PGRES_SINGLE_TUPLE)
		bench_die("%s", PQresultErrorMessage(result));
	PQclear(result);
	return n;
}

static int
by_fetch(const char *form)
{
	int n_rows = 0, n;

	(void)form;
	bench_exec(direct, "BEGIN");
	bench_exec(direct, "DECLARE c NO SCROLL CURSOR FOR " QUERY);
	do
		n_rows += n = take(PQexec(direct, "FETCH " FETCH " FROM c"));
	while (n > 0);
	bench_exec(direct, "COMMIT");
	return n_rows;
}

static int
by_single_rows(const char *form)
{
	PGresult *result;
	int n_rows = 0;

	(void)form;
	if (PQsendQuery(direct, QUERY) != 1 ||
	    PQsetSingleRowMode(direct) != 1)
		bench_die("%s", PQerrorMessage(direct));
	while ((result = PQgetResult(direct)) != NULL)
		n_rows += take(result);
	return n_rows;
}

/* ---- the daemon ---- */

/* The words of one request, the last being NULL. */
static void
call(const char *const *words, struct lk_value *reply_out)
{
	struct lk_error error = { 0 };
	struct lk_arg args[8];
	size_t n;

	for (n = 0; words[n] != NULL; n++)
		args[n] = (struct lk_arg){ words[n], strlen(words[n]) };
	if (lk_client_call_wait(client, args, n, reply_out, &error) < 0)
		bench_die("%s", error.message);
	if (reply_out->type == LK_VALUE_ERROR)
		bench_die("%s", reply_out->text);
}

#define CALL(reply, ...)						\
	call((const char *const[]){ __VA_ARGS__, NULL }, reply)

static int
by_daemon(const char *form)
{
	struct lk_value reply, *rows;
	int n_rows = 0, n;

	/* Integers, which own nothing. */
	CALL(&reply, "BEGIN", "HERE");
	CALL(&reply, "OPEN", "SQL", QUERY);
	do {
		CALL(&reply, form, "FETCH", "1", FETCH);
		/* Of a table they are the last of its entries. */
		rows = reply.type == LK_VALUE_MAP ?
		    &reply.items[reply.n_items - 1] : &reply;
		n_rows += n = (int)rows->n_items;
		lk_value_fini(&reply);
	} while (n > 0);
	CALL(&reply, "COMMIT");
	lk_value_fini(&reply);
	return n_rows;
}

/* ---- in turns ---- */

static const struct way {
	const char	*name, *form;
	int		 (*read)(const char *form);
} ways[] = {
	{ "libpq, FETCH " FETCH, NULL, by_fetch },
	{ "libpq, single-row mode", NULL, by_single_rows },
	{ "daemon, FETCH 1 " FETCH ", maps", "=maps", by_daemon },
	{ "daemon, the same, table", "=table", by_daemon },
	{ "daemon, the same, json", "=json", by_daemon },
};

#define N_WAYS	(sizeof(ways) / sizeof(ways[0]))

static double per_s[N_WAYS][N_ROUNDS];

static void
measure(size_t way, int round)
{
	double start_us = bench_now_us();

	if (ways[way].read(ways[way].form) != N_ROWS)
		bench_die("%s: not %d rows", ways[way].name, N_ROWS);
	per_s[way][round] = N_ROWS * 1e6 / (bench_now_us() - start_us);
}

int
main(int argc, char **argv)
{
	struct lk_error error = { 0 };
	struct lk_value reply;
	size_t way;
	int round;

	if (argc != 3) {
		fputs("usage: cursor CONNINFO SOCKET\n", stderr);
		return 2;
	}
	direct = bench_connect(argv[1]);
	if (lk_client_connect_wait(argv[2], &client, &error) < 0)
		bench_die("%s", error.message);
	CALL(&reply, "HELLO", "3");
	lk_value_fini(&reply);
	for (round = 0; round < N_ROUNDS; round++) {
		for (way = 0; way < N_WAYS; way++)
			measure(way, round);
	}
	printf("\n%d rows of 3 columns, rows a second, medians of %d\n",
	    N_ROWS, N_ROUNDS);
	for (way = 0; way < N_WAYS; way++) {
		qsort(per_s[way], N_ROUNDS, sizeof(double), bench_compare);
		printf("  %-34s%10.0f%8.2f\n", ways[way].name,
		    per_s[way][N_ROUNDS / 2], per_s[way][N_ROUNDS / 2] /
		    per_s[0][N_ROUNDS / 2]);
	}
	PQfinish(direct);
	lk_client_free(&client);
	return 0;
}
