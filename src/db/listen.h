/*
 * Channel listener thread: one session that listens to the channels that the
 * loop names, and hands on what is notified there.
 *
 * It connects, posts LK_NOTE_UP, does what it is told (struct lk_listen), posts
 * what it hears (struct lk_heard), and when the session is lost posts
 * LK_NOTE_DOWN and connects again, with back-off, until it is told to stop.
 * It remembers no channel: after each LK_NOTE_UP all are to be named anew.  It
 * blocks only in poll() on its session's socket and its inbox.
 */
#ifndef LK_DB_LISTEN_H
#define LK_DB_LISTEN_H

#include "db/worker.h"
#include "offload/thread.h"

/* A body for lk_thread_start(); arg is a struct lk_db_args. */
void	lk_listen_main(struct lk_thread *thread) LK_ON_WORKER;

#endif
