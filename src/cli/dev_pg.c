/* The cluster of `lockkeeper dev` and its server. */
#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/dev.h"

#define POLL_MS		20
#define START_MS	60000	/* recovery after a crash may take its time */
#define LEFTOVER_MS	15000	/* a fast shutdown that goes on */
#define READY_LINE	8	/* of postmaster.pid, since PostgreSQL 10 */

static const char create_database[] =
    "CREATE DATABASE " LK_DEV_PG_DATABASE ";\n\n";

/* What the examples of the README work on. */
static const char create_sample[] =
    "CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL,"
    " balance numeric NOT NULL DEFAULT 0);\n\n"
    "INSERT INTO accounts VALUES (1, 'Ada', 100), (2, 'Grace', 200),"
    " (3, 'Edsger', 300), (4, 'Barbara', 400), (5, 'Tony', 500);\n\n"
    "CREATE TABLE entries (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    " account_id int NOT NULL REFERENCES accounts, amount numeric NOT NULL,"
    " reason text);\n\n"
    "INSERT INTO entries (account_id, amount, reason) SELECT id, balance + 20,"
    " 'salary' FROM accounts UNION ALL SELECT id, -20, 'books' FROM"
    " accounts;\n\n";

static const struct lk_user *
owner_of(const struct lk_dev *dev)
{
	return dev->owner.name != NULL ? &dev->owner : NULL;
}

/* ---- first use ---- */

/*
 * Run a program of PostgreSQL's to its end, with sql (or nothing) to read and
 * its words in the log.
 */
static int
run_program(struct lk_dev *dev, const char *const *argv, const char *sql)
{
	struct lk_process process = {
		argv, owner_of(dev), dev->dir, -1, -1, SIGTERM
	};
	char *how;
	off_t log_from;
	pid_t pid = -1;
	int status, rc = -1;

	process.out_fd = lk_dev_open_log(dev->postgres_log, &log_from);
	if (process.out_fd < 0)
		return -1;
	if (sql != NULL) {
		process.in_fd = memfd_create("sql", MFD_CLOEXEC);
		if (process.in_fd < 0 || pwrite(process.in_fd, sql,
		    strlen(sql), 0) != (ssize_t)strlen(sql))
			goto out;
	}
	pid = lk_process_start(&process);
	if (pid < 0)
		goto out;
	dev->stop_signal = lk_process_wait(&pid, &status);
	if (dev->stop_signal != 0)
		goto out;
	if (status == 0) {
		rc = 0;
	} else {
		how = lk_process_describe(status);
		lk_cli_say("%s %s", argv[0], how);
		free(how);
		lk_dev_print_log(dev->postgres_log, log_from);
	}
out:
	if (pid < 0)
		lk_cli_say("cannot start %s: %s", argv[0], strerror(errno));
	if (process.in_fd >= 0)
		close(process.in_fd);
	close(process.out_fd);
	return rc;
}

/* The server as a program that reads SQL, since no other would know how. */
static int
run_sql(struct lk_dev *dev, const char *bindir, const char *data,
    const char *database, const char *sql)
{
	char *program = lk_cli_format("%s/postgres", bindir);
	const char *argv[] = {
		program, "--single", "-D", data, "-j",
		"-c", "exit_on_error=on", database, NULL,
	};
	int rc;

	rc = run_program(dev, argv, sql);
	free(program);
	return rc;
}

static int
run_initdb(struct lk_dev *dev, const char *bindir, const char *data)
{
	char *program = lk_cli_format("%s/initdb", bindir);
	const char *argv[] = {
		program, "-D", data, "-U", LK_DEV_PG_USER, "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-instructions", NULL,
	};
	int rc;

	rc = run_program(dev, argv, NULL);
	free(program);
	return rc;
}

static int
remove_entry(const char *path, const struct stat *st, int type,
    struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

/* Runs as the owner, so that it removes no more than the owner could. */
static int
remove_tree(const void *path)
{
	return nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) < 0 &&
	    errno != ENOENT;
}

static int
make_owned_dir(struct lk_dev *dev, const char *path)
{
	if (mkdir(path, 0700) == 0 && (dev->owner.name == NULL ||
	    chown(path, dev->owner.uid, dev->owner.gid) == 0))
		return 0;
	lk_cli_say("cannot make %s: %s", path, strerror(errno));
	return -1;
}

/*
 * Under another name until it is complete: a first use that was cut short
 * leaves nothing that a later one would take for a cluster.
 */
static int
create_cluster(struct lk_dev *dev, const char *bindir)
{
	char *fresh = lk_cli_format("%s.new", dev->data);
	int rc = -1;

	fprintf(stderr, "Making a PostgreSQL cluster in %s …\n", dev->data);
	lk_process_call(owner_of(dev), remove_tree, fresh);
	rmdir(fresh);	/* its parent may be root's */
	if (make_owned_dir(dev, fresh) < 0 ||
	    run_initdb(dev, bindir, fresh) < 0 ||
	    run_sql(dev, bindir, fresh, "postgres", create_database) < 0 ||
	    run_sql(dev, bindir, fresh, LK_DEV_PG_DATABASE,
	    create_sample) < 0)
		goto out;
	if (rename(fresh, dev->data) < 0) {
		lk_cli_say("cannot rename %s: %s", fresh, strerror(errno));
		goto out;
	}
	rc = 0;
out:
	free(fresh);
	return rc;
}

/* 1: there is a cluster, 0: there is nothing, -1: something else is there. */
static int
has_cluster(const struct lk_dev *dev)
{
	char *version = lk_cli_format("%s/PG_VERSION", dev->data);
	int has;

	has = access(version, F_OK) == 0;
	if (!has && access(dev->data, F_OK) == 0) {
		lk_cli_say("%s holds no PostgreSQL cluster; move it away",
		    dev->data);
		has = -1;
	}
	free(version);
	return has;
}

/* ---- leftovers of an earlier run ---- */

/* The first word of a line of postmaster.pid (from 1), or NULL; heap. */
static char *
read_pid_file(const struct lk_dev *dev, int line_wanted)
{
	char *path = lk_cli_format("%s/postmaster.pid", dev->data);
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t cap = 0;
	int n_read = 0;

	free(path);
	if (file == NULL)
		return NULL;
	while (n_read < line_wanted && getline(&line, &cap, file) > 0)
		n_read++;
	fclose(file);
	if (n_read < line_wanted) {
		free(line);
		return NULL;
	}
	line[strcspn(line, " \n")] = '\0';
	return line;
}

/* The server that the file names; 0: none. */
static pid_t
read_server_pid(const struct lk_dev *dev)
{
	char *word = read_pid_file(dev, 1);
	int pid = word != NULL ? atoi(word) : 0;

	free(word);
	return pid > 1 ? (pid_t)pid : 0;
}

static void
remove_file(const char *dir, const char *name)
{
	char *path = lk_cli_format("%s/%s", dir, name);

	unlink(path);
	free(path);
}

/*
 * PostgreSQL believes a lock file whose number is some process's, and after a
 * crash it may be anybody's.  That no server lives here is certain once no
 * process has the directory as its own.
 */
static int
clear_leftovers(struct lk_dev *dev)
{
	pid_t server = read_server_pid(dev);
	int waited_ms = 0;
	size_t n;

	n = lk_dev_count_postgres(dev->data);
	if (n > 0 && server != 0) {
		fprintf(stderr, "Waiting for an earlier PostgreSQL in %s to "
		    "end …\n", dev->data);
		kill(server, SIGINT);
	}
	while (n > 0 && waited_ms < LEFTOVER_MS &&
	    lk_dev_pause(dev, POLL_MS) == 0) {
		waited_ms += POLL_MS;
		n = lk_dev_count_postgres(dev->data);
	}
	if (dev->stop_signal != 0)
		return -1;
	if (n > 0) {
		lk_cli_say("%zu processes of an earlier PostgreSQL still run "
		    "in %s", n, dev->data);
		return -1;
	}
	remove_file(dev->data, "postmaster.pid");
	remove_file(dev->run, ".s.PGSQL." LK_DEV_PG_PORT ".lock");
	return 0;
}

/* ---- the server ---- */

/* As SplitDirectoriesString() reads it: within quotes, each of them twice. */
static char *
quote_directory(const char *dir)
{
	struct lk_buf text = LK_BUF_INIT;
	char *option;

	for (; *dir != '\0'; dir++) {
		if (*dir == '"')
			lk_buf_putc(&text, '"');
		lk_buf_putc(&text, *dir);
	}
	option = lk_cli_format("unix_socket_directories=\"%s\"",
	    lk_buf_cstr(&text));
	lk_buf_fini(&text);
	return option;
}

static int
start_server(struct lk_dev *dev, const char *bindir, int log_fd)
{
	char *program = lk_cli_format("%s/postgres", bindir);
	char *sockets = quote_directory(dev->run);
	const char *argv[] = {
		program, "-D", dev->data, "-p", LK_DEV_PG_PORT,
		"-c", "listen_addresses=", "-c", sockets,
		"-c", "max_connections=100", NULL,
	};
	struct lk_process process = {
		argv, owner_of(dev), dev->dir, -1, log_fd, SIGINT
	};
	int rc = 0;

	dev->postgres_pid = lk_process_start(&process);
	if (dev->postgres_pid < 0) {
		lk_cli_say("cannot start %s: %s", program, strerror(errno));
		dev->postgres_pid = 0;
		rc = -1;
	}
	free(sockets);
	free(program);
	return rc;
}

static bool
is_ready(const struct lk_dev *dev)
{
	char *state;
	bool is;

	if (read_server_pid(dev) != dev->postgres_pid)
		return false;
	state = read_pid_file(dev, READY_LINE);
	is = state != NULL && strcmp(state, "ready") == 0;
	free(state);
	return is;
}

static int
wait_until_ready(struct lk_dev *dev, off_t log_from)
{
	int waited_ms, status;
	char *how;

	for (waited_ms = 0; waited_ms < START_MS; waited_ms += POLL_MS) {
		if (is_ready(dev))
			return 0;
		if (lk_process_has_ended(&dev->postgres_pid, &status)) {
			how = lk_process_describe(status);
			lk_cli_say("PostgreSQL %s as it started", how);
			free(how);
			lk_dev_print_log(dev->postgres_log, log_from);
			return -1;
		}
		if (lk_dev_pause(dev, POLL_MS) < 0)
			return -1;
	}
	lk_cli_say("PostgreSQL is not ready after %d s", START_MS / 1000);
	lk_dev_print_log(dev->postgres_log, log_from);
	return -1;
}

int
lk_dev_start_postgres(struct lk_dev *dev)
{
	char *bindir = lk_dev_find_bindir();
	int rc = -1, log_fd = -1, has;
	off_t log_from;

	if (bindir == NULL)
		return -1;
	has = has_cluster(dev);
	if (has < 0 || (has == 0 && create_cluster(dev, bindir) < 0) ||
	    clear_leftovers(dev) < 0)
		goto out;
	log_fd = lk_dev_open_log(dev->postgres_log, &log_from);
	if (log_fd < 0 || start_server(dev, bindir, log_fd) < 0)
		goto out;
	rc = wait_until_ready(dev, log_from);
out:
	if (log_fd >= 0)
		close(log_fd);
	free(bindir);
	return rc;
}
