/*
 * `lockkeeper bench`: many coroutines in one program, none of which is more
 * than a number here.  Each asks for its piece of work again as soon as it is
 * done; one thread and one epoll serve them all, and what they ask for in one
 * turn of it leaves with one system call for each connection.
 */
#ifndef LK_CLI_BENCH_H
#define LK_CLI_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/die.h"

/* ---- bench_hist.c: how long things took ---- */

#define LK_HIST_BITS	7	/* of a value that count: within 0.8 % */
#define LK_HIST_MAX	40	/* bits of the largest, 18 minutes */
#define LK_HIST_BUCKETS	((LK_HIST_MAX - LK_HIST_BITS + 1) << LK_HIST_BITS)

struct lk_hist {
	uint64_t n;
	uint64_t max_ns;
	uint64_t counts[LK_HIST_BUCKETS];
};

void	lk_hist_add(struct lk_hist *hist, uint64_t ns);
/* What so many in a hundred did not exceed, in microseconds; 0 without any. */
double	lk_hist_percentile_us(const struct lk_hist *hist, double percent);

/* ---- bench_wire.c: requests and replies, without a tree of each ---- */

struct lk_bench_word {
	const char	*data;
	size_t		 len;
};

/* Append a request to buf. */
void	lk_bench_encode(struct lk_buf *buf, const struct lk_bench_word *words,
	    size_t n_words);

struct lk_bench_reply {
	uint64_t	 tag;		/* a number, as all of ours are */
	char		 type;		/* '-': an error */
	const char	*line;		/* the value's first, in the buffer */
	size_t		 n_line;
};

/*
 * The reply that bytes[0..n) begin with, which must have a tag: how many bytes
 * it has, 0 when more have to come, -1 when it is none.
 */
ptrdiff_t lk_bench_scan(const char *bytes, size_t n,
	    struct lk_bench_reply *reply_out);

/* ---- bench_work.c: what the coroutines do ---- */

/* A tag is a task's number, and in these bits which step of its work it is. */
#define LK_BENCH_STEP_BITS	3

struct lk_bench_task {
	unsigned	 number;
	unsigned	 step;		/* that it has asked for last */
	struct lk_buf	*out;		/* of its connection */
	uint64_t	 began_ns;
	int64_t		 tx;		/* handle; 0: none is open */
	unsigned	 from, to;	/* rows */
	unsigned	 amount;
};

enum lk_bench_next {
	LK_BENCH_ASKED,		/* there is more to it */
	LK_BENCH_DONE,
	LK_BENCH_FAILED,	/* by an error that is no lost deadlock */
};

/* What its requests are about, and what came of them. */
struct lk_bench_scene {
	const char	*table;
	unsigned	 n_rows;	/* 1 … n_rows, and row 0 apart */
	bool		 is_in_order;	/* a transfer's first row is the lower */
	uint64_t	 random;	/* state; never 0 */
	uint64_t	 n_lost;	/* deadlocks that a coroutine heard of */
	int64_t		 added;		/* to the sum of all balances */
};

struct lk_bench_work {
	const char	*name;
	const char	*summary;
	bool		 watches_row;	/* is another row's update as quick? */
	bool		 is_transfer;	/* needs two rows */
	void		(*begin)(struct lk_bench_scene *scene,
			    struct lk_bench_task *task);
	enum lk_bench_next (*go_on)(struct lk_bench_scene *scene,
			    struct lk_bench_task *task,
			    const struct lk_bench_reply *reply);
};

extern const struct lk_bench_work lk_bench_works[];
extern const size_t lk_bench_n_works;

/* Of nobody's: is the loop quick, is row 0 free. */
void	lk_bench_ping(struct lk_bench_scene *scene,
	    struct lk_bench_task *task);
void	lk_bench_touch(struct lk_bench_scene *scene,
	    struct lk_bench_task *task);

/* ---- bench_load.c: the loop ---- */

struct lk_bench_options {
	const char	*socket;
	const char	*database;	/* NULL: the daemon's first */
	const struct lk_bench_work *work;
	size_t		 n_clients;
	size_t		 n_connections;
	uint64_t	 duration_ns;
};

struct lk_bench_result {
	uint64_t	 n_done;	/* within the time */
	uint64_t	 took_ns;
	uint64_t	 cpu_ns;	/* of this program's */
	bool		 was_stopped;	/* by a signal */
	struct lk_hist	 latency;
	struct lk_hist	 ping;
	struct lk_hist	 quiet;		/* row 0's updates before, … */
	struct lk_hist	 meanwhile;	/* … and during the work */
};

/* 0 and *result_out; -1, and said why. */
int	lk_bench_run(const struct lk_bench_options *options,
	    struct lk_bench_scene *scene, struct lk_bench_result *result_out);

#endif
