/*
 * Child processes without a shell, and the signals that a process with
 * children waits for.  For programs of one thread.
 */
#ifndef LK_CLI_PROCESS_H
#define LK_CLI_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* An account to run something as. */
struct lk_user {
	uid_t	 uid;
	gid_t	 gid;
	char	*name;		/* heap */
};

struct lk_process {
	const char *const *argv;	/* argv[0] is the program's path */
	const struct lk_user *user;	/* NULL: as we are */
	const char	*dir;		/* its working directory */
	int		 in_fd;		/* -1: /dev/null */
	int		 out_fd;	/* stdout and stderr; -1: ours */
	int		 death_signal;	/* what it gets when we die; 0: none */
};

/*
 * From now on SIGTERM, SIGCHLD and, unless they are ignored, SIGINT and SIGHUP
 * come only out of lk_process_wait_signal(), and writing to a closed pipe is
 * an error.
 */
void	lk_process_catch_signals(void);
/*
 * Wait for one of them; its number, or 0 when timeout_ms passed without.
 * timeout_ms -1: for ever.
 */
int	lk_process_wait_signal(int timeout_ms);

/*
 * Start a program in a session of its own, so that a Ctrl-C at the terminal
 * reaches only us.  -1 and errno when there can be no process; a program that
 * cannot be run says why on its stderr and exits with 127.
 */
pid_t	lk_process_start(const struct lk_process *process);
/* Whether *pid has ended: then *pid is 0 and *status_out what wait(2) says. */
bool	lk_process_has_ended(pid_t *pid, int *status_out);
/*
 * Wait for the end of *pid.  A stop signal that comes meanwhile goes on to it
 * as SIGTERM and is returned; else 0.
 */
int	lk_process_wait(pid_t *pid, int *status_out);
/*
 * End *pid by first_signal, and by last_signal when it has not ended after
 * grace_ms or when a stop signal comes meanwhile.  *pid is 0 after, and 0 is fine.
 */
void	lk_process_stop(pid_t *pid, int first_signal, int grace_ms,
	    int last_signal);
/* "exited with status 1", "was killed by signal 9 (Killed)"; heap. */
char	*lk_process_describe(int status);

/* Run fn(arg) in a child as user (NULL: as we are); 0, or what it returned. */
int	lk_process_call(const struct lk_user *user, int (*fn)(const void *arg),
	    const void *arg);

#endif
