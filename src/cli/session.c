#include "cli/session.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/print.h"

#define ROOT_DATA_DIR	"/var/lib/lockkeeper"

static const char *
get_env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

char *
lk_session_data_dir(void)
{
	const char *dir = get_env("XDG_DATA_HOME");

	if (dir != NULL && dir[0] == '/')
		return lk_cli_format("%s/lockkeeper", dir);
	if (geteuid() == 0)
		return lk_xstrdup(ROOT_DATA_DIR);
	dir = get_env("HOME");
	if (dir == NULL)
		return NULL;
	return lk_cli_format("%s/.local/share/lockkeeper", dir);
}

char *
lk_session_dev_link(void)
{
	char *dir = lk_session_data_dir(), *path;

	if (dir == NULL)
		return NULL;
	path = lk_cli_format("%s/dev.sock", dir);
	free(dir);
	return path;
}

/* The target, since the link's own path may be too long for connect(2). */
static char *
find_dev_socket(void)
{
	char *link_path = lk_session_dev_link();
	char target[PATH_MAX];
	ssize_t n = -1;

	if (link_path != NULL)
		n = readlink(link_path, target, sizeof(target) - 1);
	free(link_path);
	if (n <= 0)
		return NULL;
	target[n] = '\0';
	return access(target, F_OK) == 0 ? lk_xstrdup(target) : NULL;
}

char *
lk_session_default_socket(void)
{
	const char *path = get_env("LOCKKEEPER_SOCKET");
	char *dev;

	if (path != NULL)
		return lk_xstrdup(path);
	if (access(LK_DEFAULT_SOCKET, F_OK) < 0 && errno == ENOENT) {
		dev = find_dev_socket();
		if (dev != NULL)
			return dev;
	}
	return lk_xstrdup(LK_DEFAULT_SOCKET);
}

static void
say_no_daemon(const char *path, int why)
{
	if (why == ENOENT || why == ECONNREFUSED) {
		lk_cli_say("no daemon at %s (%s)", path,
		    why == ENOENT ? "no such socket" : "nobody listens");
		fprintf(stderr, "Start one with `%s dev' (a private "
		    "PostgreSQL and a daemon, to try it out)\nor with "
		    "`systemctl start lockkeeper'; or name its socket with -s "
		    "or $LOCKKEEPER_SOCKET.\n", lk_cli_program());
	} else if (why == EACCES) {
		lk_cli_say("%s: no permission to talk to this daemon; "
		    "listen.mode and listen.group in its config say who may",
		    path);
	} else {
		lk_cli_say("%s: %s", path, strerror(why));
	}
}

static void
print_push(void *ctx, const struct lk_value *push)
{
	struct lk_buf line = LK_BUF_INIT;

	(void)ctx;
	lk_print_push(&line, push);
	fflush(stdout);
	fprintf(stderr, "%s\n", lk_buf_cstr(&line));
	lk_buf_fini(&line);
}

static int
say_hello(struct lk_client *client, int proto, struct lk_value *reply_out)
{
	struct lk_error error;
	struct lk_arg words[] = {
		{ "HELLO", 5 }, { proto == 2 ? "2" : "3", 1 },
		{ "NAME", 4 }, { "lockkeeper", 10 },
	};
	int rc;

	lk_error_init(&error);
	rc = lk_client_call_wait(client, words, 4, reply_out, &error);
	if (rc < 0) {
		lk_cli_say("%s", error.message);
	} else if (reply_out->type == LK_VALUE_ERROR) {
		lk_cli_say("the daemon refused HELLO: %s", reply_out->text);
		lk_value_fini(reply_out);
		rc = -LK_E_INVAL;
	}
	lk_error_fini(&error);
	return rc;
}

struct lk_client *
lk_session_open(const struct lk_session_options *options,
    struct lk_value *hello_out)
{
	struct lk_client *client = NULL;
	struct lk_value hello;
	struct lk_error error;
	char *path;

	lk_error_init(&error);
	path = options->socket != NULL ? lk_xstrdup(options->socket) :
	    lk_session_default_socket();
	if (lk_client_connect_wait(path, &client, &error) < 0) {
		say_no_daemon(path, errno);
		goto out;
	}
	lk_client_set_timeout(client, options->timeout_us);
	lk_client_set_push(client, print_push, NULL);
	if (say_hello(client, options->proto, &hello) < 0) {
		lk_client_free(&client);
		goto out;
	}
	if (hello_out != NULL)
		*hello_out = hello;
	else
		lk_value_fini(&hello);
out:
	lk_error_fini(&error);
	free(path);
	return client;
}
