#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"

#define NO_EXEC		127	/* as shells have it */
#define POLL_MS		100

static sigset_t caught;

/* Where it is ignored, as nohup(1) has it, it stays so. */
static void
catch_unless_ignored(int number)
{
	struct sigaction action;

	if (sigaction(number, NULL, &action) == 0 &&
	    action.sa_handler != SIG_IGN)
		sigaddset(&caught, number);
}

void
lk_process_catch_signals(void)
{
	sigemptyset(&caught);
	sigaddset(&caught, SIGTERM);
	sigaddset(&caught, SIGCHLD);
	catch_unless_ignored(SIGINT);
	catch_unless_ignored(SIGHUP);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_BLOCK, &caught, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int
lk_process_wait_signal(int timeout_ms)
{
	struct timespec timeout = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = timeout_ms % 1000 * 1000000L,
	};
	int number;

	do
		number = timeout_ms < 0 ? sigwaitinfo(&caught, NULL) :
		    sigtimedwait(&caught, NULL, &timeout);
	while (number < 0 && errno == EINTR && timeout_ms < 0);
	return number < 0 ? 0 : number;
}

/* ---- in the child ---- */

static void
fail_child(const char *what, const char *name)
{
	fprintf(stderr, "lockkeeper: %s %s: %s\n", what, name,
	    strerror(errno));
	_exit(NO_EXEC);
}

static void
become(const struct lk_user *user)
{
	if (user == NULL)
		return;
	if (initgroups(user->name, user->gid) < 0 || setgid(user->gid) < 0 ||
	    setuid(user->uid) < 0)
		fail_child("cannot become user", user->name);
}

static void
redirect(const struct lk_process *process)
{
	int in_fd = process->in_fd;

	if (in_fd < 0)
		in_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in_fd < 0 || dup2(in_fd, STDIN_FILENO) < 0)
		fail_child("cannot open", "/dev/null");
	if (process->out_fd >= 0 &&
	    (dup2(process->out_fd, STDERR_FILENO) < 0 ||
	    dup2(process->out_fd, STDOUT_FILENO) < 0))
		fail_child("cannot redirect", process->argv[0]);
}

static void
reset_signals(void)
{
	sigset_t none;

	signal(SIGPIPE, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
run_child(const struct lk_process *process, pid_t parent)
{
	setsid();
	redirect(process);
	become(process->user);
	/* Only now: a change of user clears it. */
	if (process->death_signal != 0) {
		prctl(PR_SET_PDEATHSIG, process->death_signal);
		if (getppid() != parent)
			_exit(NO_EXEC);
	}
	if (chdir(process->dir) < 0)
		fail_child("cannot enter", process->dir);
	reset_signals();
	execv(process->argv[0], (char *const *)process->argv);
	fail_child("cannot run", process->argv[0]);
}

/* ---- in the parent ---- */

pid_t
lk_process_start(const struct lk_process *process)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		run_child(process, parent);
	return pid;
}

bool
lk_process_has_ended(pid_t *pid, int *status_out)
{
	if (*pid == 0 || waitpid(*pid, status_out, WNOHANG) != *pid)
		return false;
	*pid = 0;
	return true;
}

int
lk_process_wait(pid_t *pid, int *status_out)
{
	int stop = 0, number;

	while (!lk_process_has_ended(pid, status_out)) {
		number = lk_process_wait_signal(POLL_MS);
		if (number == 0 || number == SIGCHLD)
			continue;
		stop = number;
		kill(*pid, SIGTERM);
	}
	return stop;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void
lk_process_stop(pid_t *pid, int first_signal, int grace_ms, int last_signal)
{
	int64_t end_ms = now_ms() + grace_ms;
	int status, number;

	if (*pid == 0)
		return;
	kill(*pid, first_signal);
	while (!lk_process_has_ended(pid, &status)) {
		number = lk_process_wait_signal(POLL_MS);
		if ((number != 0 && number != SIGCHLD) || now_ms() > end_ms) {
			kill(*pid, last_signal);
			end_ms = now_ms() + grace_ms;
			last_signal = SIGKILL;
		}
	}
}

char *
lk_process_describe(int status)
{
	if (WIFSIGNALED(status))
		return lk_cli_format("was killed by signal %d (%s)",
		    WTERMSIG(status), strsignal(WTERMSIG(status)));
	return lk_cli_format("exited with status %d", WEXITSTATUS(status));
}

int
lk_process_call(const struct lk_user *user, int (*fn)(const void *arg),
    const void *arg)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		become(user);
		status = fn(arg);
		fflush(stdout);
		_exit(status);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : NO_EXEC;
}
