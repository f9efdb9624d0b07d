#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/daemon.h"
#include "daemon/dump.h"
#include "ops/config.h"
#include "ops/logsink.h"

#define DEFAULT_CONFIG	LK_SYSCONFDIR "/lockkeeper/lockkeeper.conf"

enum action {
	ACTION_SERVE,
	ACTION_CHECK,
	ACTION_SHOW_CONFIG,
	ACTION_VERSION,
	ACTION_HELP,
	ACTION_DUMP,
	ACTION_USAGE,		/* the options were wrong */
};

struct options {
	enum action	 action;
	const char	*config_path;
	const char	*dump;		/* which table */
};

static const char usage[] =
    "usage: lockkeeperd [-c FILE] [--check | --show-config]\n"
    "       lockkeeperd --dump TABLE\n"
    "       lockkeeperd --version | --help\n";

static const char help[] =
    "\n"
    "  -c FILE            read the configuration from FILE instead of\n"
    "                     " DEFAULT_CONFIG "\n"
    "  --check            read the configuration, say ok or what is wrong\n"
    "  --show-config      print the effective configuration\n"
    "  --dump TABLE       print the rows of a table that it is made from:\n"
    "                    %s\n"
    "  --version          print the version\n"
    "  --help             print this\n"
    "\n"
    "It runs in the foreground and logs to standard error, or where the\n"
    "configuration says; SIGTERM or SIGINT ends it, SIGHUP makes it read its\n"
    "configuration again.  See lockkeeperd(8).\n";

static const struct option long_options[] = {
	{ "check", no_argument, NULL, ACTION_CHECK },
	{ "show-config", no_argument, NULL, ACTION_SHOW_CONFIG },
	{ "version", no_argument, NULL, ACTION_VERSION },
	{ "help", no_argument, NULL, ACTION_HELP },
	{ "dump", required_argument, NULL, ACTION_DUMP },
	{ NULL, 0, NULL, 0 },
};

static void
parse_options(int argc, char **argv, struct options *options)
{
	int c;

	while ((c = getopt_long(argc, argv, "c:", long_options, NULL)) != -1) {
		if (c == 'c')
			options->config_path = optarg;
		else if (c == '?' || options->action != ACTION_SERVE)
			options->action = ACTION_USAGE;
		else
			options->action = (enum action)c;
		if (c == ACTION_DUMP)
			options->dump = optarg;
	}
	if (optind < argc)
		options->action = ACTION_USAGE;
}

/* Returns the exit status. */
static int
print(struct lk_buf *out)
{
	size_t n = fwrite(lk_buf_cstr(out), 1, out->len, stdout);
	bool is_whole = n == out->len && fflush(stdout) == 0 && !out->broken;

	if (!is_whole)
		perror("lockkeeperd: standard output");
	lk_buf_fini(out);
	return is_whole ? 0 : 1;
}

/* Returns the exit status. */
static int
print_help(void)
{
	struct lk_buf names = LK_BUF_INIT, out = LK_BUF_INIT;

	lk_dump_names(&names);
	lk_buf_puts(&out, usage);
	lk_buf_printf(&out, help, lk_buf_cstr(&names));
	lk_buf_fini(&names);
	return print(&out);
}

/* Returns the exit status. */
static int
dump(const char *table)
{
	struct lk_buf out = LK_BUF_INIT;
	struct lk_error error = { 0 };

	if (lk_dump(table, &out, &error) == 0)
		return print(&out);
	fprintf(stderr, "lockkeeperd: %s\n", error.message);
	lk_error_fini(&error);
	return 2;
}

/* Returns the exit status. */
static int
serve(const char *config_path, struct lk_config **config,
    struct lk_error *error)
{
	struct lk_daemon *daemon;
	int status = 1;

	if (lk_logsink_start(*config, error) < 0)
		return 1;
	if (lk_daemon_new(config_path, config, &daemon, error) == 0) {
		lk_daemon_run(daemon);
		lk_daemon_free(&daemon);
		status = 0;
	}
	lk_logsink_stop();
	return status;
}

/* What needs the config; returns the exit status. */
static int
run(const struct options *options)
{
	struct lk_buf out = LK_BUF_INIT;
	struct lk_error error = { 0 };
	struct lk_config *config = NULL;
	int status = 1;

	if (lk_config_load(options->config_path, &config, &error) < 0)
		goto out;
	if (options->action == ACTION_SERVE) {
		status = serve(options->config_path, &config, &error);
		goto out;
	}
	if (options->action == ACTION_SHOW_CONFIG)
		lk_config_show(config, &out);
	else
		lk_buf_puts(&out, "ok\n");
	status = print(&out);
out:
	if (error.is_set)
		fprintf(stderr, "lockkeeperd: %s\n", error.message);
	lk_error_fini(&error);
	lk_config_free(&config);
	return status;
}

int
main(int argc, char **argv)
{
	struct options options = { ACTION_SERVE, DEFAULT_CONFIG, NULL };
	struct lk_buf out = LK_BUF_INIT;

	parse_options(argc, argv, &options);
	switch (options.action) {
	case ACTION_VERSION:
		lk_buf_puts(&out, "lockkeeperd " PACKAGE_VERSION "\n");
		return print(&out);
	case ACTION_HELP:
		return print_help();
	case ACTION_DUMP:
		return dump(options.dump);
	case ACTION_SERVE:
	case ACTION_CHECK:
	case ACTION_SHOW_CONFIG:
		return run(&options);
	case ACTION_USAGE:
		break;
	}
	fputs(usage, stderr);
	return 2;
}
