/*
 * Watcher thread: reads pg_locks and sends cancels on a session of its own,
 * so that neither waits for a worker.  It opens that at its start and then asks
 * the server nothing unless asked.  When it has no session it tries to connect
 * again, when asked and at most once a second, and where that fails says so in
 * each answer (failed).
 */
#ifndef LK_DB_WATCHER_H
#define LK_DB_WATCHER_H

#include "db/worker.h"
#include "offload/thread.h"

/* A body for lk_thread_start(); arg is a struct lk_db_args. */
void	lk_watcher_main(struct lk_thread *thread) LK_ON_WORKER;

#endif
