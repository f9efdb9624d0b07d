/*
 * Reader thread: reads a database's catalog once, on a session of its own, so
 * that neither waits for a worker.  It is asked by one LK_MSG_CATALOG, has
 * closed its session when it posts that back, and then only waits to be told to
 * stop; told so earlier, it leaves off.
 */
#ifndef LK_DB_READER_H
#define LK_DB_READER_H

#include "db/worker.h"
#include "offload/thread.h"

/* A body for lk_thread_start(); arg is a struct lk_db_args. */
void	lk_reader_main(struct lk_thread *thread) LK_ON_WORKER;

#endif
