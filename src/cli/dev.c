/* `lockkeeper dev`: the command, and the process that watches over both. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/dev.h"
#include "cli/session.h"

#define DAEMON_GRACE_MS		40000	/* more than it gives its clients */
#define POSTGRES_GRACE_MS	30000
#define STOP_POLL_MS		50
#define STOP_MS			(DAEMON_GRACE_MS + POSTGRES_GRACE_MS)
#define MAX_INHERITED		1024
#define READY_BYTE		"R"

struct settings {
	char	*dir;		/* heap */
	bool	 is_default_dir;
	bool	 is_detached;
	bool	 is_stop;
};

/* ---- what is said ---- */

/* As a word for the shell; heap. */
static char *
shell_word(const char *text)
{
	struct lk_buf out = LK_BUF_INIT;
	char *word;

	if (strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789/._-+:@%") == strlen(text))
		return lk_xstrdup(text);
	lk_buf_putc(&out, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			lk_buf_puts(&out, "'\\'");
		lk_buf_putc(&out, *text);
	}
	lk_buf_putc(&out, '\'');
	word = lk_xstrdup(lk_buf_cstr(&out));
	lk_buf_fini(&out);
	return word;
}

/* " -s SOCKET" where the command would not find it alone; heap. */
static char *
socket_option(const struct lk_dev *dev, const char *socket)
{
	char *found = lk_session_default_socket();
	char *option = strcmp(found, dev->socket) == 0 ? lk_xstrdup("") :
	    lk_cli_format(" -s %s", socket);

	free(found);
	return option;
}

static void
print_banner(const struct lk_dev *dev, const struct settings *settings)
{
	char *socket = shell_word(dev->socket), *run = shell_word(dev->run);
	char *dir = shell_word(dev->dir);
	char *option = socket_option(dev, socket);
	char *program = shell_word(lk_cli_program());

	printf("Lockkeeper is ready.\n"
	    "  socket      %s\n"
	    "  config      %s\n"
	    "  PostgreSQL  %s, database %s: psql -h %s -U %s %s\n"
	    "\nType next, in another terminal:\n"
	    "  %s sql%s 'SELECT * FROM accounts'\n"
	    "  redis-cli -s %s GET accounts 1\n"
	    "  %s status%s\n\n",
	    dev->socket, dev->config,
	    dev->server_version != NULL ? dev->server_version : "",
	    LK_DEV_PG_DATABASE, run, LK_DEV_PG_USER, LK_DEV_PG_DATABASE,
	    program, option, socket, program, option);
	if (!dev->is_detached)
		printf("Ctrl-C stops both.\n");
	else
		printf("Both run in the background, watched over by process "
		    "%d; to stop them:\n  %s dev --stop%s%s\n", (int)getpid(),
		    program, settings->is_default_dir ? "" : " --dir ",
		    settings->is_default_dir ? "" : dir);
	fflush(stdout);
	free(program);
	free(option);
	free(dir);
	free(run);
	free(socket);
}

static void
say_ended(const char *name, int status)
{
	char *how = lk_process_describe(status);

	lk_cli_say("%s %s; stopping", name, how);
	free(how);
}

/* ---- watching over both ---- */

int
lk_dev_pause(struct lk_dev *dev, int pause_ms)
{
	int number = lk_process_wait_signal(pause_ms);

	if (number != 0 && number != SIGCHLD)
		dev->stop_signal = number;
	return dev->stop_signal != 0 ? -1 : 0;
}

/* Until a stop signal comes (0) or one of them ends (-1). */
static int
watch(struct lk_dev *dev)
{
	int status;

	do {
		if (lk_process_has_ended(&dev->daemon_pid, &status)) {
			say_ended("lockkeeperd", status);
			return -1;
		}
		if (lk_process_has_ended(&dev->postgres_pid, &status)) {
			say_ended("PostgreSQL", status);
			lk_dev_print_log(dev->postgres_log, 0);
			return -1;
		}
	} while (lk_dev_pause(dev, -1) == 0);
	return 0;
}

/* The daemon first: its clients get their transactions ended in order. */
static void
stop_both(struct lk_dev *dev)
{
	lk_process_stop(&dev->daemon_pid, SIGTERM, DAEMON_GRACE_MS, SIGKILL);
	lk_process_stop(&dev->postgres_pid, SIGINT, POSTGRES_GRACE_MS,
	    SIGQUIT);
}

/* Leave the terminal, and tell the process that waits there.  -1: it left. */
static int
go_to_background(struct lk_dev *dev, int ready_fd)
{
	off_t size;
	int log_fd = lk_dev_open_log(dev->daemon_log, &size);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int rc = -1;

	if (log_fd >= 0 && null_fd >= 0 && chdir("/") == 0 &&
	    dup2(null_fd, STDIN_FILENO) >= 0 &&
	    dup2(log_fd, STDOUT_FILENO) >= 0 &&
	    dup2(log_fd, STDERR_FILENO) >= 0 &&
	    write(ready_fd, READY_BYTE, 1) == 1)
		rc = 0;
	close(ready_fd);
	if (null_fd >= 0)
		close(null_fd);
	if (log_fd >= 0)
		close(log_fd);
	return rc;
}

/* ready_fd: -1 in the foreground. */
static enum lk_exit
supervise(struct lk_dev *dev, const struct settings *settings, int ready_fd)
{
	int rc = -1;

	lk_process_catch_signals();
	if (lk_dev_lock(dev) < 0 || lk_dev_prepare_dir(dev) < 0)
		return LK_EXIT_FAILED;
	if (lk_dev_start_postgres(dev) == 0 && lk_dev_start_daemon(dev) == 0) {
		lk_dev_link(dev);
		print_banner(dev, settings);
		if (!dev->is_detached || go_to_background(dev, ready_fd) == 0)
			rc = watch(dev);
		lk_dev_unlink(dev);
	}
	if (!dev->is_detached && dev->stop_signal != 0)
		fprintf(stderr, "Stopping …\n");
	stop_both(dev);
	return rc < 0 && dev->stop_signal == 0 ? LK_EXIT_FAILED : LK_EXIT_OK;
}

/*
 * Whoever waits for the end of a pipe that we were given would wait as long as
 * we run.
 */
static void
close_inherited(int ready_fd)
{
	int fd;

	for (fd = STDERR_FILENO + 1; fd < MAX_INHERITED; fd++) {
		if (fd != ready_fd)
			close(fd);
	}
}

static enum lk_exit
detach(struct lk_dev *dev, const struct settings *settings)
{
	int fds[2];
	char byte;
	pid_t pid;

	dev->is_detached = true;
	if (pipe2(fds, O_CLOEXEC) < 0 || (pid = fork()) < 0) {
		lk_cli_say("cannot start a process: %s", strerror(errno));
		return LK_EXIT_FAILED;
	}
	if (pid == 0) {
		close_inherited(fds[1]);
		setsid();
		return supervise(dev, settings, fds[1]);
	}
	close(fds[1]);
	return read(fds[0], &byte, 1) == 1 ? LK_EXIT_OK : LK_EXIT_FAILED;
}

static enum lk_exit
stop(const struct lk_dev *dev)
{
	pid_t pid = lk_dev_find_running(dev);
	int waited_ms = 0;

	if (pid < 0)
		return LK_EXIT_FAILED;
	if (pid == 0) {
		lk_cli_say("none is running in %s", dev->dir);
		return LK_EXIT_FAILED;
	}
	if (kill(pid, SIGTERM) < 0) {
		lk_cli_say("cannot stop process %d: %s", (int)pid,
		    strerror(errno));
		return LK_EXIT_FAILED;
	}
	while (lk_dev_find_running(dev) == pid) {
		if (waited_ms >= STOP_MS) {
			lk_cli_say("process %d has not ended after %d s",
			    (int)pid, STOP_MS / 1000);
			return LK_EXIT_FAILED;
		}
		usleep(STOP_POLL_MS * 1000);
		waited_ms += STOP_POLL_MS;
	}
	printf("Stopped.\n");
	return LK_EXIT_OK;
}

/* ---- the command ---- */

static const struct option options[] = {
	{ "dir", required_argument, NULL, 'D' },
	{ "detach", no_argument, NULL, 'd' },
	{ "stop", no_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

/* 0; LK_EXIT_USAGE; or -1 when only help was wanted. */
static int
read_options(struct settings *settings, int argc, char **argv)
{
	int c;

	while ((c = getopt_long(argc, argv, "D:h", options, NULL)) != -1) {
		switch (c) {
		case 'D':
			free(settings->dir);
			settings->dir = lk_xstrdup(optarg);
			break;
		case 'd':
			settings->is_detached = true;
			break;
		case 's':
			settings->is_stop = true;
			break;
		case 'h':
			lk_cli_help(&lk_command_dev);
			return -1;
		default:
			return (int)lk_cli_point_to_help(&lk_command_dev);
		}
	}
	if (optind < argc)
		return (int)lk_cli_misuse(&lk_command_dev,
		    "unexpected argument \"%s\"", argv[optind]);
	if (settings->is_stop && settings->is_detached)
		return (int)lk_cli_misuse(&lk_command_dev,
		    "--stop and --detach exclude each other");
	return 0;
}

static int
choose_dir(struct settings *settings)
{
	char *base;

	if (settings->dir != NULL)
		return 0;
	base = lk_session_data_dir();
	if (base == NULL) {
		lk_cli_say("HOME is not set: name a directory with --dir");
		return -1;
	}
	settings->is_default_dir = true;
	settings->dir = lk_cli_format("%s/dev", base);
	free(base);
	return 0;
}

static enum lk_exit
run(int argc, char **argv)
{
	struct settings settings = { NULL, false, false, false };
	struct lk_dev dev;
	enum lk_exit code = LK_EXIT_FAILED;
	int rc;

	lk_dev_init(&dev);
	rc = read_options(&settings, argc, argv);
	if (rc != 0)
		code = rc < 0 ? LK_EXIT_OK : LK_EXIT_USAGE;
	else if (choose_dir(&settings) < 0 ||
	    lk_dev_set_dir(&dev, settings.dir, settings.is_stop) < 0)
		code = LK_EXIT_FAILED;
	else if (settings.is_stop)
		code = stop(&dev);
	else if (settings.is_detached)
		code = detach(&dev, &settings);
	else
		code = supervise(&dev, &settings, -1);
	lk_dev_fini(&dev);
	free(settings.dir);
	return code;
}

const struct lk_command lk_command_dev = {
	.name = "dev",
	.synopsis = "[--dir DIR] [--detach | --stop]",
	.summary = "Run a private PostgreSQL and a daemon, to try things out",
	.help =
	    "  -D, --dir DIR    where they live; made on first use "
	    "[/var/lib/lockkeeper/dev as\n"
	    "                   root, else ~/.local/share/lockkeeper/dev]\n"
	    "      --detach     leave both running in the background\n"
	    "      --stop       stop those in DIR\n"
	    "      --help       print this\n",
	.run = run,
};
