/* The daemon of `lockkeeper dev`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dev.h"
#include "cli/session.h"

#define POLL_MS		20
#define START_MS	20000
#define LEFTOVER_MS	10000
#define ANSWER_MS	15000	/* opening the first session included */

/* ---- config ---- */

/* text with a backslash before each quote and backslash. */
static char *
escape(const char *text, char quote)
{
	struct lk_buf out = LK_BUF_INIT;
	char *copy;

	for (; *text != '\0'; text++) {
		if (*text == quote || *text == '\\')
			lk_buf_putc(&out, '\\');
		lk_buf_putc(&out, *text);
	}
	copy = lk_xstrdup(lk_buf_cstr(&out));
	lk_buf_fini(&out);
	return copy;
}

/* For libpq, then for libconfig. */
static char *
make_conninfo(const struct lk_dev *dev)
{
	char *host = escape(dev->run, '\'');
	char *text = lk_cli_format("host='%s' port=%s user=%s dbname=%s", host,
	    LK_DEV_PG_PORT, LK_DEV_PG_USER, LK_DEV_PG_DATABASE);
	char *escaped = escape(text, '"');

	free(text);
	free(host);
	return escaped;
}

static int
write_config(const struct lk_dev *dev, const char *socket,
    const char *conninfo)
{
	FILE *file = fopen(dev->config, "wxe");
	int rc = 0;

	if (file == NULL && errno == EEXIST)
		return 0;
	if (file != NULL) {
		fprintf(file,
		    "# Written once by `lockkeeper dev', yours to change; see "
		    "lockkeeper.conf(5).\n"
		    "# The socket and the conninfo must stay as they are.\n"
		    "listen = { socket = \"%s\"; };\n"
		    "databases = (\n"
		    "  { name = \"%s\";\n"
		    "    conninfo = \"%s\";\n"
		    "    workers = { min = 2; max = 16; }; }\n"
		    ");\n"
		    "# Ctrl-C waits no longer for a transaction left open.\n"
		    "timeouts = { drain = \"1s\"; };\n", socket, LK_DEV_PG_DATABASE, conninfo);
		rc = ferror(file);
		rc = fclose(file) != 0 || rc ? -1 : 0;
	}
	if (file == NULL || rc < 0) {
		lk_cli_say("cannot write %s: %s", dev->config,
		    strerror(errno));
		if (file != NULL)
			unlink(dev->config);
		return -1;
	}
	return 0;
}

/* A directory that was moved has a config for its old place. */
static int
check_config(const struct lk_dev *dev, const char *socket,
    const char *conninfo)
{
	FILE *file = fopen(dev->config, "re");
	char text[16384];
	size_t n;

	if (file == NULL) {
		lk_cli_say("cannot read %s: %s", dev->config, strerror(errno));
		return -1;
	}
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	if (strstr(text, socket) != NULL && strstr(text, conninfo) != NULL)
		return 0;
	lk_cli_say("%s is for another place: it must name the socket %s and "
	    "the conninfo \"%s\"; remove it to have it written anew",
	    dev->config, socket, conninfo);
	return -1;
}

static int
prepare_config(const struct lk_dev *dev)
{
	char *socket = escape(dev->socket, '"');
	char *conninfo = make_conninfo(dev);
	int rc;

	rc = write_config(dev, socket, conninfo);
	if (rc == 0)
		rc = check_config(dev, socket, conninfo);
	free(conninfo);
	free(socket);
	return rc;
}

/* ---- is it there? ---- */

/* NULL, and *is_there_out whether somebody listens all the same. */
static struct lk_conn *
try_connect(const struct lk_dev *dev, bool *is_there_out)
{
	struct lk_options options = LK_OPTIONS_INIT;
	struct lk_conn *conn;

	options.socket = dev->socket;
	options.timeout_ms = ANSWER_MS;
	conn = lk_open(&options, NULL);
	*is_there_out = conn != NULL || errno == 0;
	return conn;
}

/* The daemon of a `dev` that was killed is told to end, and may be at it. */
static int
wait_for_leftover(struct lk_dev *dev)
{
	struct lk_conn *conn;
	bool is_there;
	int waited_ms = 0;

	for (;;) {
		conn = try_connect(dev, &is_there);
		lk_conn_free(&conn);
		if (!is_there)
			return 0;
		if (lk_dev_pause(dev, POLL_MS) < 0)
			return -1;
		waited_ms += POLL_MS;
		if (waited_ms >= LEFTOVER_MS) {
			lk_cli_say("another daemon listens at %s",
			    dev->socket);
			return -1;
		}
	}
}

/* Through to PostgreSQL: only then is it of use. */
static int
check_answers(struct lk_dev *dev, struct lk_conn *conn)
{
	static const char *const ping[] = { "PING", NULL };
	static const char *const show[] = { "SQL", "SHOW server_version",
	    NULL };
	struct lk_reply *reply;

	reply = lk_session_ask(conn, "lockkeeperd: ", ping);
	if (reply == NULL)
		return -1;
	lk_reply_free(&reply);
	reply = lk_session_ask(conn, "lockkeeperd: ", show);
	if (reply == NULL)
		return -1;
	dev->server_version = lk_xstrdup(lk_reply_text(lk_reply_get(
	    lk_reply_at(reply, 0), "server_version"), NULL));
	lk_reply_free(&reply);
	return 0;
}

/* ---- start ---- */

static int
start_program(struct lk_dev *dev, const char *program, int log_fd)
{
	const char *argv[] = { program, "-c", dev->config, NULL };
	struct lk_process process = {
		argv, NULL, dev->dir, -1, log_fd, SIGTERM
	};

	dev->daemon_pid = lk_process_start(&process);
	if (dev->daemon_pid > 0)
		return 0;
	lk_cli_say("cannot start %s: %s", program, strerror(errno));
	dev->daemon_pid = 0;
	return -1;
}

static int
wait_until_up(struct lk_dev *dev)
{
	struct lk_conn *conn;
	bool is_there;
	int waited_ms, status, rc;
	char *how;

	for (waited_ms = 0; waited_ms < START_MS; waited_ms += POLL_MS) {
		if (lk_process_has_ended(&dev->daemon_pid, &status)) {
			how = lk_process_describe(status);
			lk_cli_say("lockkeeperd %s as it started", how);
			free(how);
			return -1;
		}
		conn = try_connect(dev, &is_there);
		if (conn != NULL) {
			rc = check_answers(dev, conn);
			lk_conn_free(&conn);
			return rc;
		}
		if (lk_dev_pause(dev, POLL_MS) < 0)
			return -1;
	}
	lk_cli_say("lockkeeperd does not listen at %s after %d s", dev->socket,
	    START_MS / 1000);
	return -1;
}

int
lk_dev_start_daemon(struct lk_dev *dev)
{
	char *program = lk_dev_find_daemon();
	int log_fd = -1, rc = -1;
	off_t log_from = 0;

	if (program == NULL || wait_for_leftover(dev) < 0 ||
	    prepare_config(dev) < 0)
		goto out;
	if (dev->is_detached) {
		log_fd = lk_dev_open_log(dev->daemon_log, &log_from);
		if (log_fd < 0)
			goto out;
	}
	rc = start_program(dev, program, log_fd);
	if (rc == 0)
		rc = wait_until_up(dev);
	if (rc < 0 && dev->is_detached && dev->stop_signal == 0)
		lk_dev_print_log(dev->daemon_log, log_from);
out:
	if (log_fd >= 0)
		close(log_fd);
	free(program);
	return rc;
}
