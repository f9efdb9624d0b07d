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
#define TIMEOUT_US	5000000ULL

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
call(struct lk_client *client, const char *verb, const char *what,
    struct lk_value *reply_out)
{
	struct lk_arg words[2] = {
		{ verb, strlen(verb) }, { what, what ? strlen(what) : 0 },
	};
	struct lk_error error;
	int rc;

	lk_error_init(&error);
	rc = lk_client_call_wait(client, words, what != NULL ? 2 : 1,
	    reply_out, &error);
	if (rc < 0)
		lk_cli_say("%s", error.message);
	lk_error_fini(&error);
	return rc;
}

static int
print_ping(struct lk_client *client, const struct lk_value *hello)
{
	const struct lk_value *databases;
	struct lk_value reply;
	struct lk_buf text = LK_BUF_INIT;
	double began_ms = now_ms(), took_ms;
	int rc;

	rc = call(client, "PING", NULL, &reply);
	if (rc < 0)
		return rc;
	took_ms = now_ms() - began_ms;
	printf("%s %s, answers in %.2f ms\n",
	    lk_client_map_text(hello, "server"),
	    lk_client_map_text(hello, "version"), took_ms);
	databases = lk_client_map_get(hello, "databases");
	if (databases != NULL) {
		lk_print_json(&text, databases);
		printf("databases: %s\n", lk_buf_cstr(&text));
	}
	lk_buf_fini(&text);
	lk_value_fini(&reply);
	return 0;
}

static int
print_section(struct lk_client *client, const char *what, size_t max_width,
    bool *has_failed)
{
	struct lk_value reply;
	struct lk_buf text = LK_BUF_INIT;
	int rc;

	rc = call(client, "SHOW", what, &reply);
	if (rc < 0)
		return rc;
	printf("\n%s\n", what);
	if (reply.type == LK_VALUE_ERROR)
		*has_failed = true;
	if (reply.type == LK_VALUE_ARRAY && reply.n_items == 0)
		lk_buf_puts(&text, "(none)\n");
	else
		lk_print_human(&text, &reply, max_width);
	fputs(lk_buf_cstr(&text), stdout);
	lk_buf_fini(&text);
	lk_value_fini(&reply);
	return 0;
}

static enum lk_exit
print_status(struct lk_client *client, const struct lk_value *hello)
{
	static const char *const sections[] = { "stats", "workers", "waits" };
	struct winsize size;
	size_t max_width = 0, i;
	bool has_failed = false;
	int rc;

	if (isatty(STDOUT_FILENO) &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		max_width = size.ws_col;
	rc = print_ping(client, hello);
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]) && rc == 0; i++)
		rc = print_section(client, sections[i], max_width,
		    &has_failed);
	return rc < 0 || has_failed ? LK_EXIT_FAILED : LK_EXIT_OK;
}

static enum lk_exit
run(int argc, char **argv)
{
	struct lk_session_options session = { NULL, 3, TIMEOUT_US };
	struct lk_client *client;
	struct lk_value hello;
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
	client = lk_session_open(&session, &hello);
	if (client == NULL)
		return LK_EXIT_FAILED;
	code = print_status(client, &hello);
	lk_value_fini(&hello);
	lk_client_free(&client);
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
