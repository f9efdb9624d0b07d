/* The daemon of `lockkeeper dev`. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dev.h"

#define POLL_MS		20
#define START_MS	20000
#define LEFTOVER_MS	10000
#define ANSWER_US	15000000ULL	/* opening the first session included */

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

static struct lk_client *
try_connect(const struct lk_dev *dev)
{
	struct lk_client *client = NULL;
	struct lk_error error;

	lk_error_init(&error);
	lk_client_connect_wait(dev->socket, &client, &error);
	lk_error_fini(&error);
	return client;
}

/* The daemon of a `dev` that was killed is told to end, and may be at it. */
static int
wait_for_leftover(struct lk_dev *dev)
{
	struct lk_client *client;
	int waited_ms = 0;

	while ((client = try_connect(dev)) != NULL) {
		lk_client_free(&client);
		if (lk_dev_pause(dev, POLL_MS) < 0)
			return -1;
		waited_ms += POLL_MS;
		if (waited_ms >= LEFTOVER_MS) {
			lk_cli_say("another daemon listens at %s",
			    dev->socket);
			return -1;
		}
	}
	return 0;
}

static int
ask(struct lk_client *client, const struct lk_arg *words, size_t n_words,
    struct lk_value *reply_out)
{
	struct lk_error error;
	int rc;

	lk_error_init(&error);
	rc = lk_client_call_wait(client, words, n_words, reply_out, &error);
	if (rc < 0) {
		lk_cli_say("lockkeeperd: %s", error.message);
	} else if (reply_out->type == LK_VALUE_ERROR) {
		lk_cli_say("lockkeeperd: %s", reply_out->text);
		lk_value_fini(reply_out);
		rc = -1;
	}
	lk_error_fini(&error);
	return rc < 0 ? -1 : 0;
}

/* Through to PostgreSQL: only then is it of use. */
static int
check_answers(struct lk_dev *dev, struct lk_client *client)
{
	static const struct lk_arg ping[] = { { "PING", 4 } };
	static const struct lk_arg show[] = {
		{ "SQL", 3 }, { "SHOW server_version", 19 },
	};
	const struct lk_value *row;
	struct lk_value reply;

	lk_client_set_timeout(client, ANSWER_US);
	if (ask(client, ping, 1, &reply) < 0)
		return -1;
	lk_value_fini(&reply);
	if (ask(client, show, 2, &reply) < 0)
		return -1;
	/* On RESP2, which nobody has left yet: rows of column and value. */
	row = reply.n_items > 0 ? &reply.items[0] : &reply;
	if (row->n_items >= 2 && row->items[1].text != NULL)
		dev->server_version = lk_xstrdup(row->items[1].text);
	lk_value_fini(&reply);
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
	struct lk_client *client;
	int waited_ms, status, rc;
	char *how;

	for (waited_ms = 0; waited_ms < START_MS; waited_ms += POLL_MS) {
		if (lk_process_has_ended(&dev->daemon_pid, &status)) {
			how = lk_process_describe(status);
			lk_cli_say("lockkeeperd %s as it started", how);
			free(how);
			return -1;
		}
		client = try_connect(dev);
		if (client != NULL) {
			rc = check_answers(dev, client);
			lk_client_free(&client);
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
