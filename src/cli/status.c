/* `lockkeeper status`: how the daemon is, on one page. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/print.h"
#include "cli/session.h"

/* A daemon that does not answer in this time is not well. */
#define TIMEOUT_MS	5000

static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

static double
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static int
print_ping(struct lk_conn *conn)
{
	static const char *const words[] = { "PING", NULL };
	const struct lk_reply *hello = lk_conn_hello(conn), *databases;
	struct lk_reply *reply;
	struct lk_buf text = LK_BUF_INIT;
	double began_ms = now_ms(), took_ms;

	reply = lk_session_ask(conn, "", words);
	if (reply == NULL)
		return -1;
	took_ms = now_ms() - began_ms;
	printf("%s %s, answers in %.2f ms\n",
	    lk_reply_text(lk_reply_get(hello, "server"), NULL),
	    lk_reply_text(lk_reply_get(hello, "version"), NULL), took_ms);
	databases = lk_reply_get(hello, "databases");
	if (databases != NULL) {
		lk_print_json(&text, databases);
		printf("databases: %s\n", lk_buf_cstr(&text));
	}
	lk_buf_fini(&text);
	lk_reply_free(&reply);
	return 0;
}

static int
print_section(struct lk_conn *conn, const char *what, size_t max_width,
    bool *has_failed)
{
	const char *words[] = { "SHOW", what };
	struct lk_reply *reply = lk_call(conn, NULL, 2, words, NULL);
	struct lk_buf text = LK_BUF_INIT;

	if (lk_reply_is_local(reply)) {
		lk_cli_say("%s", lk_reply_text(reply, NULL));
		lk_reply_free(&reply);
		return -1;
	}
	printf("\n%s\n", what);
	if (lk_reply_is_error(reply))
		*has_failed = true;
	if (lk_reply_type(reply) == LK_REPLY_ARRAY &&
	    lk_reply_count(reply) == 0)
		lk_buf_puts(&text, "(none)\n");
	else
		lk_print_human(&text, reply, max_width);
	fputs(lk_buf_cstr(&text), stdout);
	lk_buf_fini(&text);
	lk_reply_free(&reply);
	return 0;
}

static enum lk_exit
print_status(struct lk_conn *conn)
{
	static const char *const sections[] = { "stats", "workers", "waits" };
	struct winsize size;
	size_t max_width = 0, i;
	bool has_failed = false;
	int rc;

	if (isatty(STDOUT_FILENO) &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		max_width = size.ws_col;
	rc = print_ping(conn);
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]) && rc == 0; i++)
		rc = print_section(conn, sections[i], max_width,
		    &has_failed);
	return rc < 0 || has_failed ? LK_EXIT_FAILED : LK_EXIT_OK;
}

static enum lk_exit
run(int argc, char **argv)
{
	struct lk_session_options session = {
		.proto = 3, .timeout_ms = TIMEOUT_MS,
	};
	struct lk_conn *conn;
	enum lk_exit code;
	int c;

	while ((c = getopt_long(argc, argv, "s:h", options, NULL)) != -1) {
		if (c == 'h') {
			lk_cli_help(&lk_command_status);
			return LK_EXIT_OK;
		}
		if (c != 's')
			return lk_cli_point_to_help(&lk_command_status);
		session.socket = optarg;
	}
	if (optind < argc)
		return lk_cli_misuse(&lk_command_status,
		    "unexpected argument \"%s\"", argv[optind]);
	conn = lk_session_open(&session);
	if (conn == NULL)
		return LK_EXIT_FAILED;
	code = print_status(conn);
	lk_conn_free(&conn);
	return code;
}

const struct lk_command lk_command_status = {
	.name = "status",
	.synopsis = "[-s PATH]",
	.summary = "Say how the daemon is: its counters, workers and waits",
	.help =
	    "  -s, --socket PATH    the daemon's socket\n"
	    "      --help           print this\n",
	.run = run,
};
