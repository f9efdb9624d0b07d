/*
 * What cmocka's header needs before it, and a way to see that a broken
 * invariant aborts.
 */
#ifndef LK_TESTS_UNIT_H
#define LK_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run body(arg) in a child whose stderr is the file descriptor err_fd, or goes
 * nowhere with -1; returns the child's wait status. */
static inline int
unit_run_in_child(void (*body)(void *arg), void *arg, int err_fd)
{
	struct rlimit no_core = { 0, 0 };
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);	/* cmocka's would go on */
		setrlimit(RLIMIT_CORE, &no_core);
		if (err_fd >= 0)
			dup2(err_fd, STDERR_FILENO);
		else
			close(STDERR_FILENO);
		body(arg);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static inline bool
unit_aborts(void (*body)(void *arg), void *arg)
{
	int status = unit_run_in_child(body, arg, -1);

	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

#endif
