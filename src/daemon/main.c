#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "daemon/daemon.h"
#include "ops/config.h"

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
    "       lockkeeperd --version | --help | --dump errors|config\n";

static const char help[] =
    "\n"
    "  -c FILE            read the configuration from FILE instead of\n"
    "                     " DEFAULT_CONFIG "\n"
    "  --check            read the configuration, say ok or what is wrong\n"
    "  --show-config      print the effective configuration\n"
    "  --dump errors      print every kind of error a client can see\n"
    "  --dump config      print every key of the configuration\n"
    "  --version          print the version\n"
    "  --help             print this\n"
    "\n"
    "It runs in the foreground and logs to standard error; SIGTERM or\n"
    "SIGINT ends it.  See lockkeeperd(8).\n";

static const struct option long_options[] = {
	{ "check", no_argument, NULL, ACTION_CHECK },
	{ "show-config", no_argument, NULL, ACTION_SHOW_CONFIG },
	{ "version", no_argument, NULL, ACTION_VERSION },
	{ "help", no_argument, NULL, ACTION_HELP },
	{ "dump", required_argument, NULL, ACTION_DUMP },
	{ NULL, 0, NULL, 0 },
};

static void
dump_errors(struct lk_buf *out)
{
	int kind;

	for (kind = 0; kind < LK_ERR__N; kind++) {
		struct lk_error error = { 0 };

		lk_error_set(&error, kind, "-");
		lk_buf_printf(out, "%s\t%s\t%s\t%s\n", lk_error_word(kind),
		    lk_error_sqlstate(kind), lk_retry_word(error.retry),
		    lk_error_when(kind));
		lk_error_fini(&error);
	}
}

static const struct {
	const char	*name;
	void		(*print)(struct lk_buf *out);
} dumps[] = {
	{ "errors", dump_errors },
	{ "config", lk_config_dump },
};

static bool
dump(const char *name, struct lk_buf *out)
{
	size_t i;

	for (i = 0; i < sizeof(dumps) / sizeof(dumps[0]); i++) {
		if (strcmp(dumps[i].name, name) == 0) {
			dumps[i].print(out);
			return true;
		}
	}
	return false;
}

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
serve(const struct lk_config *config, struct lk_error *error)
{
	struct lk_daemon *daemon;

	lk_log_set_level(config->log_level);
	if (lk_daemon_new(config, &daemon, error) < 0)
		return 1;
	lk_daemon_run(daemon);
	lk_daemon_free(&daemon);
	return 0;
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
		status = serve(config, &error);
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
		lk_buf_printf(&out, "%s%s", usage, help);
		return print(&out);
	case ACTION_DUMP:
		if (dump(options.dump, &out))
			return print(&out);
		break;
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
