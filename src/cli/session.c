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

void
lk_session_print_push(void *arg, struct lk_conn *conn,
    const struct lk_reply *push)
{
	struct lk_buf line = LK_BUF_INIT;

	(void)arg;
	(void)conn;
	lk_print_push(&line, push);
	fflush(stdout);
	fprintf(stderr, "%s\n", lk_buf_cstr(&line));
	lk_buf_fini(&line);
}

struct lk_conn *
lk_session_open(const struct lk_session_options *options)
{
	struct lk_options how = LK_OPTIONS_INIT;
	struct lk_reply *error = NULL;
	struct lk_conn *conn;
	char *path;

	path = options->socket != NULL ? lk_xstrdup(options->socket) :
	    lk_session_default_socket();
	how.socket = path;
	how.name = "lockkeeper";
	how.proto = options->proto;
	how.timeout_ms = options->timeout_ms;
	how.on_push = options->on_push != NULL ? options->on_push :
	    lk_session_print_push;
	how.arg = options->arg;
	conn = lk_open(&how, &error);
	if (conn == NULL && errno != 0)
		say_no_daemon(path, errno);
	else if (conn == NULL)
		lk_cli_say("%s", lk_reply_text(error, NULL));
	lk_reply_free(&error);
	free(path);
	return conn;
}

struct lk_reply *
lk_session_ask(struct lk_conn *conn, const char *who, const char *const *words)
{
	struct lk_buf line = LK_BUF_INIT;
	struct lk_reply *reply;
	size_t n = 0;

	while (words[n] != NULL)
		n++;
	reply = lk_call(conn, NULL, n, words, NULL);
	if (!lk_reply_is_error(reply))
		return reply;
	if (lk_reply_is_local(reply))
		lk_buf_puts(&line, lk_reply_text(reply, NULL));
	else
		lk_print_error(&line, reply);
	lk_cli_say("%s%s", who, lk_buf_cstr(&line));
	lk_buf_fini(&line);
	lk_reply_free(&reply);
	return NULL;
}
