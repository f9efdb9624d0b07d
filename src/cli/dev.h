/*
 * `lockkeeper dev`: a private PostgreSQL cluster and a daemon for it, in one
 * directory.  One process watches over both; as it dies, however that
 * happens, the kernel tells both to stop.
 *
 *	data/		the cluster, its owner's alone
 *	run/		the sockets of both (elsewhere when the path is long)
 *	lockkeeper.conf	written on first use, from then on the user's
 *	postgres.log, lockkeeperd.log
 *	dev.lock	locked by the process that watches
 *
 * Functions that can fail say why on stderr and return -1; -1 as well when a
 * stop signal came, which they leave in stop_signal.
 */
#ifndef LK_CLI_DEV_H
#define LK_CLI_DEV_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cli/cli.h"
#include "cli/process.h"

#define LK_DEV_PG_USER		"lockkeeper"
#define LK_DEV_PG_DATABASE	"app"
#define LK_DEV_PG_PORT		"5432"

struct lk_dev {
	/* All on the heap; absolute. */
	char		*dir;
	char		*data;
	char		*run;
	char		*socket;	/* the daemon's */
	char		*config;
	char		*postgres_log;
	char		*daemon_log;
	char		*server_version; /* PostgreSQL's; NULL till it said */
	struct lk_user	 owner;		/* of the cluster; name NULL: we are */
	int		 lock_fd;	/* -1: not held */
	pid_t		 postgres_pid;	/* 0: not running */
	pid_t		 daemon_pid;	/* 0: not running */
	int		 stop_signal;	/* that came; 0: none */
	bool		 is_detached;	/* the daemon's log goes to its file */
};

void	lk_dev_init(struct lk_dev *dev);
void	lk_dev_fini(struct lk_dev *dev);	/* stops nothing */

/*
 * dev.c: wait that long, or less when a child ends.  -1 when a stop signal
 * came.
 */
int	lk_dev_pause(struct lk_dev *dev, int pause_ms);

/* dev_dir.c: the directory. */

/* Name the files under dir, which must exist when must_exist. */
int	lk_dev_set_dir(struct lk_dev *dev, const char *dir, bool must_exist);
/* Make what is missing, find out who owns the cluster. */
int	lk_dev_prepare_dir(struct lk_dev *dev);
/*
 * The process that watches over the directory, 0 when there is none, -1 when
 * that cannot be known.
 */
pid_t	lk_dev_find_running(const struct lk_dev *dev);
/* Be that process; -1 when there is one. */
int	lk_dev_lock(struct lk_dev *dev);
/* Open a log for appending; *size_out is its length.  The descriptor or -1. */
int	lk_dev_open_log(const char *path, off_t *size_out);
/* Print the end of a log, from no earlier than `from` on. */
void	lk_dev_print_log(const char *path, off_t from);

/* dev_link.c: what lk_session_default_socket() finds. */

void	lk_dev_link(const struct lk_dev *dev);
void	lk_dev_unlink(const struct lk_dev *dev);

/* dev_pg.c: the cluster and its server. */

/* Make it on first use, start it, and wait until it takes connections. */
int	lk_dev_start_postgres(struct lk_dev *dev);

/* dev_find.c: programs and left-over processes. */

/* Where initdb and postgres are; NULL (and said why) when nowhere.  Heap. */
char	*lk_dev_find_bindir(void);
/* The daemon's program, on the heap, or NULL as above. */
char	*lk_dev_find_daemon(void);
/*
 * How many PostgreSQL processes, of whatever start, live in this data
 * directory.
 */
size_t	lk_dev_count_postgres(const char *data);

/* dev_daemon.c: the daemon. */

/* Write its config on first use, start it, and wait until it answers. */
int	lk_dev_start_daemon(struct lk_dev *dev);

#endif
