/*
 * Worker thread: one PostgreSQL session and the job in its hands.
 *
 * It connects, posts LK_NOTE_UP, serves jobs, and when the session is lost
 * posts LK_NOTE_DOWN and connects again, with back-off and jitter, until it is
 * told to stop.  It blocks only in poll() on its session's socket and its
 * inbox.  offload/cross.h says what a job means.
 */
#ifndef LK_DB_WORKER_H
#define LK_DB_WORKER_H

#include <stdatomic.h>
#include <stdint.h>

#include "offload/thread.h"

/* Shared by all workers and watchers of a database, which only read it. */
struct lk_db_args {
	char		*conninfo;
	atomic_uint_fast64_t connect_timeout_us;	/* 0: libpq's own; the
							   loop may change it */
};

/* A body for lk_thread_start(); arg is a struct lk_db_args. */
void	lk_worker_main(struct lk_thread *thread) LK_ON_WORKER;

#endif
