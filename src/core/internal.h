/*
 * The functions between core's files.  All of it is the loop's and is entered
 * only through core.h.
 */
#ifndef LK_CORE_INTERNAL_H
#define LK_CORE_INTERNAL_H

#include "core/state.h"

/* core.c */
void	lk_core_pump(struct lk_core *core);
uint64_t lk_core_wall_ms(const struct lk_core *core, uint64_t at_us);

/* client.c */
bool	lk_client_same_thread(const struct lk_client *a,
	    const struct lk_client *b);
/* NULL: it is gone. */
struct lk_client *lk_client_by_id(const struct lk_core *core, uint64_t id);
struct lk_task *lk_client_task(struct lk_client *client);
/* An empty name is none. */
/* Some of its requests are to be begun no more, or may be again. */
void	lk_client_hold_back(struct lk_client *client);
void	lk_client_go_on(struct lk_client *client);
void	lk_client_set_name(struct lk_client *client, const struct lk_arg *name);
/* As when it had just connected, but for `by`, the request that asks. */
void	lk_client_reset(struct lk_client *client, struct lk_request *by);
void	lk_client_join_group(struct lk_client *client, const char *group,
	    size_t n);
/* Each of its requests but `by` ends with this error, if it still can. */
void	lk_client_end_requests(struct lk_client *client,
	    const struct lk_request *by, enum lk_error_kind kind,
	    const char *text);

/* arrive.c */
/* Whether a value is SQL NULL, also by what HELLO NULL has named. */
bool	lk_client_says_null(const struct lk_client *client,
	    const struct lk_arg *arg);

/* task.c */
struct lk_task *lk_task_new(struct lk_core *core, struct lk_client *client);
/* Found or made; what another client of its group made stays that one's. */
struct lk_task *lk_task_named(struct lk_client *client, const char *name,
	    size_t n);
void	lk_task_set_client(struct lk_task *task, struct lk_client *client);
void	lk_task_await(struct lk_task *task, bool any, struct lk_task **others,
	    size_t n);
/* Its next transaction is another try of one that lost so many. */
void	lk_task_remember(struct lk_task *task, const struct lk_rounds *rounds);
/* What its next transaction is another try of; it is that one's from now on. */
struct lk_rounds lk_task_take_rounds(struct lk_task *task);
/* Free it when nobody needs it any more. */
void	lk_task_forget(struct lk_task *task);

/* request.c */
struct lk_request *lk_request_new(struct lk_client *client);
/* Whether too much is kept for its client for it to begin now. */
bool	lk_request_is_held_back(const struct lk_request *req);
/* If it is to be held back: out of the ready queue, to be tried again later. */
void	lk_request_put_back(struct lk_request *req);
/* Where it waits for a lock, running or parked; else NULL. */
struct lk_server *lk_request_server(const struct lk_request *req);
/* What is left of its ?ms in a wait that has lasted so long; LK_NEVER: it may
 * wait for ever. */
uint64_t lk_request_lock_left(const struct lk_request *req, uint64_t waited_us);
/* Its tag, of no more bytes than there is room for; false: it is in use. */
bool	lk_request_set_tag(struct lk_request *req, const char *tag, size_t n);
/* From here on lk_request_by_tag() finds it by the tag that it has. */
void	lk_request_take_tag(struct lk_request *req);
void	lk_request_set_state(struct lk_request *req,
	    enum lk_request_state state);
void	lk_request_todo(struct lk_request *req);
void	lk_request_try(struct lk_request *req);
/* Its verb, if that may be said now. */
void	lk_request_run(struct lk_request *req);
void	lk_request_join(struct lk_request *req, struct lk_tx *tx);
/* One of these ends a request; the pointer is dead after. */
void	lk_request_reply(struct lk_request *req, struct lk_buf *value);
void	lk_request_fail(struct lk_request *req, struct lk_error *error);
void	lk_request_failf(struct lk_request *req, enum lk_error_kind kind,
	    const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void	lk_request_simple(struct lk_request *req, const char *text);
void	lk_request_int(struct lk_request *req, int64_t value);
/* Its client is gone: end it without a reply. */
void	lk_request_drop(struct lk_request *req);
struct lk_request *lk_request_by_tag(struct lk_client *client, const char *tag,
	    size_t n);

/* envelope.c */
int	lk_envelope_parse(struct lk_request *req, const struct lk_arg *args,
	    size_t n_args, size_t *n_used_out, struct lk_error *error);
/* Whose a request is that is refused, or acts on receipt, by its words, whose # is
 * noted too; NULL: no lasting task's, or of a transaction that there is not. */
struct lk_task *lk_envelope_task(struct lk_request *req,
	    const struct lk_arg *args, size_t n_args);

/* tx.c */
struct lk_tx *lk_tx_new(struct lk_client *client, struct lk_task *owner,
	    struct lk_database *database, const char *begin);
void	lk_tx_set_state(struct lk_tx *tx, enum lk_tx_state state);
struct lk_tx *lk_tx_by_handle(struct lk_core *core, uint64_t handle);
void	lk_tx_set_owner(struct lk_tx *tx, struct lk_task *owner);
bool	lk_tx_may_use(const struct lk_tx *tx, const struct lk_client *client,
	    const struct lk_task *task, bool task_said);
/* Its client is gone: cancel and roll back. */
void	lk_tx_abandon(struct lk_tx *tx);
/* Whether the request is in none; then it has failed for that. */
bool	lk_tx_is_missing(struct lk_request *req);
/* Whether the request's is aborted; then it has failed for that. */
bool	lk_tx_refuses(struct lk_request *req);
/* The server has ended it without the client's word. */
void	lk_tx_abort(struct lk_tx *tx, struct lk_error *why);
/* End it against its client's will, who is told this kind and why. */
void	lk_tx_expire(struct lk_tx *tx, enum lk_error_kind kind,
	    const char *why);
/* The same for one that held a session and was idle for longer than that key
 * allows; also says what else, text that begins with a space or is empty. */
void	lk_tx_expire_idle(struct lk_tx *tx, const char *key,
	    uint64_t patience_us, const char *also);
/* By its state, and by the timeouts of idle transactions as they are by now. */
void	lk_tx_set_idle_timer(struct lk_tx *tx);
/* Over: whatever is still queued in it gets NOTX.  Frees it. */
void	lk_tx_done(struct lk_tx *tx);
void	lk_tx_rollback(struct lk_tx *tx);
/* Its request fails for that reason, and with it all of the transaction: which
 * is rolled back before anybody is told. */
void	lk_tx_lose(struct lk_request *req, struct lk_error *why);
/* A job of its has come back. */
void	lk_tx_job_done(struct lk_tx *tx, struct lk_worker *worker,
	    struct lk_request *req, struct lk_job *job);

/* batch.c: shapes, and reads by key */
void	lk_batch_init(struct lk_database *db);
void	lk_batch_fini(struct lk_database *db);
/* Whether the call is of a shape that is known, which its request then has. */
bool	lk_shape_find(struct lk_request *req, const struct lk_verb_call *call);
/* It was compiled: from now on its shape is known, if it has one. */
void	lk_shape_remember(struct lk_request *req,
	    const struct lk_verb_call *call);
void	lk_shape_leave(struct lk_request *req);
/* A hold that was taken from a request. */
void	lk_shape_let_go(struct lk_key_shape **shape);
/* The catalog is another. */
void	lk_shapes_forget(struct lk_database *db);
/* All of the job's items are requests of this shape: they may be one statement. */
void	lk_shape_put_together(const struct lk_key_shape *shape,
	    struct lk_job *job);
/* Whether it is to wait for a reader and not for any slot. */
bool	lk_batch_takes(const struct lk_request *req);
/* It is in the queue of reads from now on, or no more. */
void	lk_batch_enter(struct lk_request *req);
void	lk_batch_leave(struct lk_request *req);
/* How many workers they could use. */
size_t	lk_batch_wants(const struct lk_database *db);
/* The first of them that may have one, or NULL. */
struct lk_request *lk_batch_next(struct lk_database *db);
/* That one, and what can go with it. */
void	lk_batch_hand_over(struct lk_worker *worker,
	    struct lk_request *first);
/* The worker's job is back, or is out for so long that it counts no more. */
void	lk_batch_reader_done(struct lk_worker *worker);

/* pool.c */
void	lk_database_init(struct lk_database *db, struct lk_core *core,
	    const struct lk_config_database *config);
void	lk_database_fini(struct lk_database *db);
struct lk_database *lk_database_named(struct lk_core *core,
	    const struct lk_arg *name, struct lk_error *error);
/* Wait for a slot: state becomes QUEUED. */
void	lk_database_enqueue(struct lk_database *db, struct lk_request *req);
/* Likewise, in the place of its arrival; lk_database_serve() is to follow. */
void	lk_database_enqueue_again(struct lk_database *db,
	    struct lk_request *req);
/* Hand the queue to whatever slots there are. */
void	lk_database_serve(struct lk_database *db);
/* All slots are taken, and more are wanted. */
bool	lk_database_is_short(const struct lk_database *db);
/* CONNLOST: no session can be opened, and the server's words for why. */
void	lk_database_say_down(const struct lk_database *db,
	    struct lk_error *error);
void	lk_database_dequeue(struct lk_request *req);
/* Whether its reserve has a worker left that could be opened. */
bool	lk_database_may_lend(const struct lk_database *db);
/* A reserve worker is started for this QUEUED request; false: it cannot be. */
bool	lk_database_lend(struct lk_request *req);
/* One for the reserve could not be opened: those it was for wait as before. */
void	lk_database_cannot_lend(struct lk_database *db);
/* As many workers as the config wants by now. */
void	lk_database_resize(struct lk_database *db);
void	lk_database_dispatch(struct lk_database *db);

/* No session could be opened for so long that nobody is to wait for one. */
bool	lk_database_is_given_up(const struct lk_database *db);

/* catalog.c */
void	lk_catalog_init(struct lk_database *db);
void	lk_catalog_fini(struct lk_database *db);
void	lk_catalog_start(struct lk_database *db);
void	lk_catalog_stop(struct lk_database *db);
/* The snapshot in force, or NULL; one that is old is read anew, since it is in
 * use. */
struct lk_catalog *lk_catalog_use(struct lk_database *db);
/* Instead of lk_catalog_free(), here: a large one does not hold up the loop. */
void	lk_catalog_let_go(struct lk_database *db, struct lk_catalog **catalog);
/* The request needs a snapshot, or a newer one than is in force: it is tried
 * again (lk_request_todo()) when one has been read, and may find in that what
 * it needs or ask once more.  False: the one in force was read after the
 * request came and the last statement of its task was over, so what it does not
 * know does not exist. */
bool	lk_catalog_await(struct lk_request *req);
/* The same for who only wants to see it: false also when the one in force is
 * not in doubt and is less than a second old. */
bool	lk_catalog_await_recent(struct lk_request *req);
/* It no longer is WAITING, and so for nothing of the catalog. */
void	lk_catalog_leave(struct lk_request *req);
/* Its timer has fired: ends it if it has waited for too long; or all that
 * wait. */
void	lk_catalog_time_out(struct lk_request *req);
void	lk_catalog_give_up(struct lk_database *db);
/* The server has said that something is not as the snapshot has it, or somebody
 * that it may not be: read it anew, soon. */
void	lk_catalog_doubt(struct lk_database *db);
/* Likewise, and as soon as for somebody who waits for it. */
void	lk_catalog_reload(struct lk_database *db);
/* A session could be opened again. */
void	lk_catalog_reachable(struct lk_database *db);
void	lk_catalog_answered(struct lk_database *db,
	    struct lk_catalog_read *read);
void	lk_catalog_reader_exited(struct lk_database *db);

/* channel.c: which channels are to be listened to, and by whom */
void	lk_channels_init(struct lk_channels *channels);
void	lk_channels_fini(struct lk_channels *channels);
/* NULL: nobody wants it. */
struct lk_channel *lk_channel_find(const struct lk_database *db,
	    const char *name, size_t n);
/* Found or made; lk_channel_settle() is to follow. */
struct lk_channel *lk_channel_get(struct lk_database *db, const char *name,
	    size_t n);
/* Its subscriptions are others than before: frees it where nobody wants it.
 * Then lk_channels_serve() is to follow. */
void	lk_channel_settle(struct lk_channel *channel);
/* Start or stop the listener, or tell it what is new. */
void	lk_channels_serve(struct lk_database *db);
/* CONNLOST: no session listens, and the server's words for why. */
void	lk_channels_say_down(const struct lk_database *db,
	    struct lk_error *error);
/* Mail from the listener; takes msg. */
void	lk_channels_deliver(struct lk_database *db, struct lk_msg *msg);

/* subscribe.c: the verbs, and who is subscribed */
void	lk_run_subscribe(struct lk_request *req);
void	lk_run_unsubscribe(struct lk_request *req);
void	lk_run_publish(struct lk_request *req);
/* Of its arguments; false: it has failed, since they name no channel. */
bool	lk_publish_plan(struct lk_request *req, struct lk_plan *plan);
/* LISTENING: it may have got what it waits for. */
void	lk_subscribe_try(struct lk_request *req);
/* Its turn has come: what it asks for is in force, and out says so. */
void	lk_subscribe_confirm(struct lk_request *req, struct lk_buf *out);
/* What it asks for and has not got, it does not want any more. */
void	lk_subscribe_leave(struct lk_request *req);
/* All that the client has. */
void	lk_subscribe_end(struct lk_client *client);
/* Redis's subscriber mode: RESP2 does not tell replies from messages, so little
 * else goes there.  And fails a request that does not. */
bool	lk_subscribe_is_mode(const struct lk_client *client);
bool	lk_subscribe_refuses(struct lk_request *req);
/* The server has refused the channel to those who ask for it; or it is listened
 * to from now on. */
void	lk_subscribe_refused(struct lk_channel *channel,
	    const struct lk_error *why);
void	lk_subscribe_listened(struct lk_channel *channel);

/* message.c: what subscribers hear */
void	lk_message_heard(struct lk_database *db, const struct lk_heard *heard);
/* The channel was not listened to for a while. */
void	lk_message_lost(struct lk_subscription *sub);
/* The client, or any of them, has missed something: tell it once it reads. */
void	lk_message_go_on(struct lk_client *client);
void	lk_message_tell_missed(struct lk_core *core);

/* worker.c */
struct lk_worker *lk_worker_start(struct lk_database *db);
/* End it: idle and not needed any more. */
void	lk_worker_retire(struct lk_worker *worker);
/* Idle: how long it may stay so. */
void	lk_worker_set_idle_timer(struct lk_worker *worker);
void	lk_worker_set_state(struct lk_worker *worker,
	    enum lk_worker_state state);
bool	lk_worker_is_free(const struct lk_worker *worker);
/* Hand the request's statement to its worker. */
void	lk_worker_submit(struct lk_worker *worker, struct lk_request *req);
void	lk_worker_submit_rollback(struct lk_worker *worker);
/*
 * Hand over n requests of autocommit, whose job the caller has made: an item
 * each, in their order, by lk_worker_fill(), and COMMIT behind them in a group.  Whatever the items have to do
 * with each other on the session, each comes back with an outcome of its own:
 * UNSENT is queued again.
 */
void	lk_worker_submit_batch(struct lk_worker *worker,
	    struct lk_request **reqs, size_t n, struct lk_job *job);
/* The request's statement; the item points into its arguments. */
void	lk_worker_fill(struct lk_item *item, const struct lk_request *req);
/*
 * A RUNNING request is to end before its time.  True: it has left a batch in
 * which there are others, and what comes back for it will be dropped.  False:
 * its statement is to be cancelled.
 */
bool	lk_worker_lets_go(struct lk_request *req);
/* Whatever may be next on it: its tx's statement, or the pool. */
void	lk_worker_settle(struct lk_worker *worker);
void	lk_worker_job_done(struct lk_worker *worker, struct lk_job *job);
void	lk_worker_note(struct lk_worker *worker, struct lk_note *note);
void	lk_worker_exited(struct lk_worker *worker);
struct lk_worker *lk_worker_by_pid(const struct lk_server *server, int pid);
/* The one that has this link in worker->requests. */
struct lk_request *lk_worker_request_at(const struct lk_list *link);
/* The first whose job is out; NULL: no job is, or one of ours. */
struct lk_request *lk_worker_request(const struct lk_worker *worker);

/* cancel.c */
/*
 * End a request before its time.  *why is what its client is told, if the
 * statement does end by it; wait narrows the cancel to that very wait.
 */
void	lk_cancel_request(struct lk_request *req, struct lk_error *why,
	    const struct lk_wait *wait);
/* Likewise a batch that is in this wait: its requests are asked again, each
 * alone. */
void	lk_cancel_batch(struct lk_worker *worker, const struct lk_wait *wait);
/* Whether it is by our cancel that the statement failed; or one was asked for,
 * and with its session gone it has done nothing. */
bool	lk_cancel_has_hit(const struct lk_request *req,
	    const struct lk_item *item);
/* A failed statement's error: ours when the server's word is our cancel. */
struct lk_error *lk_cancel_reason(struct lk_request *req,
	    struct lk_item *item);
void	lk_cancel_answered(struct lk_core *core, struct lk_cancel *cancel);
void	lk_cancel_timer_init(struct lk_request *req);

/* server.c */
struct lk_server *lk_server_get(struct lk_core *core, const char *id,
	    struct lk_database *database);
void	lk_server_free(struct lk_server **server);
/* A session of ours has ended; and whether one of this pid has since the last
 * look was asked, which saw it as it was before. */
void	lk_server_note_gone(struct lk_server *server, int pid);
bool	lk_server_is_gone(const struct lk_server *server, int pid);
/* Those that had ended when this look was asked. */
void	lk_server_forget_gone(struct lk_server *server,
	    const struct lk_look *look);
/* Whether its watcher can be asked to look and to cancel. */
bool	lk_server_is_watched(const struct lk_server *server);
const struct lk_wait *lk_look_find(const struct lk_look *look, int pid);
/* Who waits so, running or parked; NULL: another program's session. */
const struct lk_request *lk_wait_request(const struct lk_server *server,
	    const struct lk_wait *wait);
/* The lock wait of a request, as its server's last look saw it, or NULL. */
const struct lk_wait *lk_request_wait(const struct lk_request *req);
const struct lk_backend *lk_look_backend(const struct lk_look *look, int pid);

/* watch.c */
void	lk_watch_init(struct lk_server *server);
/* A statement went out, or an edge changed: see that a look comes. */
void	lk_watch_statement(struct lk_request *req);
void	lk_watch_now(struct lk_server *server);
/* Somebody waits for a lock without a session that a look could see: what he
 * waits for may come to wait for him, so looks go on. */
void	lk_watch_parked(struct lk_server *server);
/* Likewise in a lane, and what he waits for has not been looked at. */
void	lk_watch_laned(struct lk_server *server);
/* Somebody waits for it: its client is to take its replies, or to go. */
void	lk_watch_drop_stalled(struct lk_tx *tx);
void	lk_watch_soon(struct lk_server *server, uint64_t due_us);
void	lk_watch_all_soon(struct lk_core *core);
/* A request waits for a slot, or a worker has come to stand still. */
void	lk_watch_queue(struct lk_database *db);
/* By the graph as it is reduced: read again what a proof needs read again. */
bool	lk_watch_confirm(struct lk_core *core);
void	lk_watch_look(struct lk_server *server, struct lk_look *look);

/* park.c: waiting for a lock without a slot */
/* Whether the statement may be run again from the start, by who sent it and
 * by config.replay. */
bool	lk_park_may_rerun(const struct lk_request *req);
/* Before it gets a slot: if an equal statement is parked, wait with it. */
bool	lk_park_join(struct lk_request *req);
/* The same of one statement of a unit. */
bool	lk_park_may_rerun_verb(const struct lk_core *core,
	    const struct lk_unit_verb *verb);
/* Whether it may be run again, and it is known whose end it is to wait for. */
bool	lk_park_can(const struct lk_request *req);
/* Cancel it, to be run again once the holder of what it waits for has ended. */
void	lk_park_begin(struct lk_request *req);
/* The cancel of lk_park_begin() is for nothing, or for something else. */
void	lk_park_give_up(struct lk_request *req);
/* It has been cancelled: nothing of it remains on the server. */
void	lk_park_arrive(struct lk_request *req);
/* Out of the park; the caller changes its state. */
void	lk_park_leave(struct lk_request *req);
/* The wait that a PARKED request was in, as of now. */
const struct lk_wait *lk_park_wait(struct lk_request *req);
/* PARKED: its own timer. */
void	lk_park_time_out(struct lk_request *req);
/* Send it once more, to see on the server whether and for whom it waits. */
void	lk_park_prove(struct lk_request *req);
/* The transaction has let go of locks, some or all. */
void	lk_park_release(struct lk_tx *tx);
/* Whether anybody is parked behind a holder on this server. */
bool	lk_park_is_used(const struct lk_server *server);
void	lk_park_init(struct lk_request *req);
/* Who holds, in the end, what a wait waits for. */
struct lk_park_holder {
	struct lk_tx	*tx;		/* one of ours; NULL: */
	int		 pid;		/* this backend; 0: */
	const char	*gid;		/* this prepared transaction, */
	uint64_t	 age_us;	/* which was prepared so long ago */
};
/* The wait of a statement of ours, as the last look saw it; NULL: none that
 * could be named to the server. */
const struct lk_wait *lk_park_wait_of(const struct lk_request *req);
bool	lk_park_find_holder(const struct lk_server *server,
	    const struct lk_wait *wait, struct lk_park_holder *holder);
bool	lk_park_is_of(const struct lk_park *park,
	    const struct lk_server *server,
	    const struct lk_park_holder *holder);
struct lk_park *lk_park_get(struct lk_server *server,
	    const struct lk_park_holder *holder);
/* As lk_park_begin(), when its wait and that one's holder are known. */
void	lk_park_behind(struct lk_request *req, const struct lk_wait *wait,
	    const struct lk_park_holder *holder);
/* The request that has this link in park->requests or park->coming. */
struct lk_request *lk_park_at(struct lk_list *link);
/* Back into the ready queue, which the caller is to serve. */
void	lk_park_requeue(struct lk_request *req);
/* All that are in it; frees it. */
void	lk_park_release_all(struct lk_park *park);
void	lk_park_free_if_empty(struct lk_park *park);

/* What is left of its ?ms, and of the time until it is told of, from now. */
void	lk_park_set_timer(struct lk_request *req);
void	lk_park_forget_wait(struct lk_request *req);

/* lane.c: waiting for a row that others of ours have, or want */
/*
 * Before it stands in the ready queue, or goes to the worker of its transaction:
 * take its place in the lane of its row, if that is known.  False: it waits in
 * the lane from now on, PARKED.
 */
bool	lk_lane_enter(struct lk_request *req);
/* QUEUED, and a worker is there for it.  False: it waits in its lane again. */
bool	lk_lane_take(struct lk_request *req);
/* It no longer wants the row, or its statement of autocommit is over. */
void	lk_lane_leave(struct lk_request *req);
/* A statement in a transaction is over: what has it locked? */
void	lk_lane_note(struct lk_tx *tx, struct lk_request *req,
	    const struct lk_item *item);
/* It has given back what it locked after its so many first statements. */
void	lk_lane_rollback_to(struct lk_tx *tx, uint64_t statement);
/* It has nothing any more, and its statement waits for nothing. */
void	lk_lane_abort(struct lk_tx *tx);
/* Whether it waits in a lane. */
bool	lk_lane_has_waiter(const struct lk_request *req);
/* Send one that does, whoever has the row. */
void	lk_lane_let_through(struct lk_request *req);
/* Those whose rows have become free are queued for a worker, or tried again. */
void	lk_lane_serve(struct lk_core *core);
/* The configuration is another: some may wait for nobody by that. */
void	lk_lane_reconsider(struct lk_core *core);
/* Whether one that is WAITING, of, waits for hold, in the same lane. */
bool	lk_lane_is_in_the_way(const struct lk_hold *hold,
	    const struct lk_hold *of);
/* What one that is WAITING waits for in its lane, one after another: the first
 * behind NULL; NULL after the last. */
const struct lk_hold *lk_lane_blocker(const struct lk_hold *of,
	    const struct lk_hold *last);
/* The first of its holds that is WAITING, or NULL. */
const struct lk_hold *lk_lane_waits_for(const struct lk_request *req);
/* The one that has this link in one of its lane's lists. */
struct lk_hold *lk_lane_hold_at(struct lk_list *link);

/*
 * Of those who wait in the lane of first, which is about to be sent, the next ones
 * for as long as may_go says so: theirs is the row as well then.  reqs has room
 * for max, first included; returns how many there are.
 */
size_t	lk_lane_gather(struct lk_request *first,
	    bool (*may_go)(const struct lk_request *req),
	    struct lk_request **reqs, size_t max);

/* group.c: statements that share a transaction */
/* Send it; and with it, under one COMMIT, those that wait for the same row. */
void	lk_group_submit(struct lk_worker *worker, struct lk_request *req);
/* The group of which this one was the first has failed. */
void	lk_group_failed(const struct lk_request *first);

/* lanes.c: what is to be seen of lanes */
/* The wait of one that waits in a lane, as of now. */
const struct lk_wait *lk_lane_wait(struct lk_request *req);

/* ring.c */
#define LK_RING_MAX	(LK_CYCLE_MAX / 2)
/*
 * A ring of transactions each of which waits for the next one's row, and would in
 * PostgreSQL: their requests from req on, which waits in a lane.  0: none.
 */
size_t	lk_ring_find(struct lk_request *req, struct lk_request **members);

/* sentinel.c: of those who wait for somebody else's transaction, who does so on
 * the server; and after each look, who is to be parked */
struct lk_request *lk_sentinel_of(const struct lk_park *park);
/* It is none any more; nobody takes its place. */
void	lk_sentinel_resign(struct lk_request *req);
/* The statement that waits for all others is over. */
void	lk_sentinel_gone(struct lk_request *req, bool has_waited);
/* Somebody is parked: the others may want another lock than the sentinel. */
void	lk_sentinel_probe_later(struct lk_park *park);
/* A park's probe_timer: send one to see whether it still has to wait. */
void	lk_sentinel_probe(struct lk_timer *timer);
/* A statement that kept its slot has been carried out: if it was to see whether
 * it still had to wait, it had not, and the others may not have to either. */
void	lk_sentinel_probe_through(const struct lk_request *req);
/* After a look: who is to wait without a slot from now on. */
void	lk_sentinel_look(struct lk_server *server);

/* holder.c */
/* After each look: who holds up others, and whether that has to end. */
void	lk_holder_look(struct lk_server *server);
/* When a look is due because this transaction, or NULL, is idle. */
uint64_t lk_holder_due(const struct lk_server *server, const struct lk_tx *tx);
void	lk_holder_forget(struct lk_server *server);

/* suspect.c: what looks bad and is no proof; false: nothing does */
bool	lk_suspect_wait(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_wait *wait, const struct lk_client *viewer);
/* Of one at the end of a chain; waiter: for whom, or NULL. */
bool	lk_suspect_root(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_blocker *root, const struct lk_client *waiter,
	    const struct lk_client *viewer);
/* The lowest pid's in a cycle of other programs that wait leads to, or NULL. */
const struct lk_wait *lk_suspect_cycle(const struct lk_server *server,
	    const struct lk_wait *wait);
void	lk_suspect_put_cycle(struct lk_buf *out,
	    const struct lk_server *server, const struct lk_wait *first);
bool	lk_suspect_slots(struct lk_buf *out, const struct lk_database *db);

/* deadlock.c */
/* Its wait in a lane may have closed a ring that needs no look to be certain:
 * somebody in it is failed then. */
void	lk_deadlock_refuse(struct lk_request *req);
/* Whether one was found; how it ends is then on its way. */
bool	lk_deadlock_search(struct lk_server *server);

/* report.c: the story of a deadlock */
/* Whose the node is; NULL: no client's of ours, or one that is gone. */
struct lk_client *lk_ref_client(const struct lk_ref *ref);
/* Who is part of it, and all of it, in words. */
void	lk_report_members(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_cycle *cycle);
void	lk_report_text(struct lk_buf *out, const struct lk_cycle *cycle,
	    struct lk_buf *members);
/* For SHOW deadlocks and the log; action says what is done. */
struct lk_deadlock *lk_report_record(struct lk_server *server,
	    const struct lk_cycle *cycle, const char *text,
	    const char *members, const char *action);
/* By the push. */
void	lk_report_tell(struct lk_core *core, const struct lk_deadlock *entry);
enum lk_deadlock_end {
	LK_DEADLOCK_FAILED,	/* the victim has its error */
	LK_DEADLOCK_DISSOLVED,	/* what it waited for came after all */
	LK_DEADLOCK_REPLAYED,	/* it waits to be run again, and nobody lost */
};
void	lk_deadlock_ended(struct lk_request *req, enum lk_deadlock_end end);
/* One to which a reserve worker was to be lent waits for it no more. */
void	lk_deadlock_lent(struct lk_request *req, const char *action);
void	lk_deadlock_fini(struct lk_deadlock *deadlock);

/* victim.c */
bool	lk_victim_find(struct lk_server *server, const struct lk_look *at,
	    bool with_soft, struct lk_cycle *cycle);
/* A statement of that residue whose being run again later would end the
 * deadlock without a victim, or NULL. */
struct lk_request *lk_victim_to_replay(struct lk_server *server,
	    const struct lk_cycle *cycle);
/* Likewise a unit whose next try would; the one to be failed when it is one
 * itself, else one that has not lost often. */
struct lk_request *lk_victim_to_retry(struct lk_server *server,
	    const struct lk_cycle *cycle);

/* The one of them to fail: each waits, and would lose all of its transaction. */
struct lk_request *lk_victim_of(struct lk_request *const *members, size_t n,
	    bool *spares_elder_out);

/* waits.c: the wait graph, in core->graph and core->refs */
/*
 * As it was at the instant of that look, a server's last; or, with NULL, as if
 * all that was seen last had been in force at once, which proves nothing.
 */
void	lk_waits_build(struct lk_core *core, const struct lk_look *at);
/* Whether a wait of this server's is in the residue of the last reduction. */
bool	lk_waits_are_stuck(const struct lk_server *server);
/* Pids of those in the residue whose soft blockers are unconfirmed; heap. */
uint32_t *lk_waits_to_ask(const struct lk_server *server, size_t *n_out);

/* words.c: the same story everywhere */
/* What others see of a statement, in bytes. */
#define LK_DOING_MAX	200
void	lk_words_task(struct lk_buf *out, const struct lk_task *task);
void	lk_words_client(struct lk_buf *out, const struct lk_client *client);
void	lk_words_doing(struct lk_buf *out, const struct lk_request *req,
	    const struct lk_client *viewer);
/* A unit's verbs, likewise. */
void	lk_words_unit(struct lk_buf *out, const struct lk_unit *unit);
/* "DEADLOCK 40P01 ..." */
char	*lk_words_error(const struct lk_error *error);
/* What it does becomes req->doing, whatever becomes of its arguments. */
void	lk_words_keep(struct lk_request *req);
void	lk_words_tx(struct lk_buf *out, const struct lk_tx *tx,
	    const struct lk_client *viewer);
void	lk_words_blocker(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_blocker *blocker, const struct lk_client *viewer);
const struct lk_blocker *lk_words_root(const struct lk_server *server,
	    const struct lk_wait *wait);
/* How many of its blockers, from the first, lead to who holds it up: who only
 * stands before it is behind the same. */
size_t	lk_words_n_holders(const struct lk_wait *wait);
/* The same of one that blocks: itself, when it waits for nobody. */
const struct lk_blocker *lk_words_root_of(const struct lk_server *server,
	    const struct lk_blocker *blocker);
/* Who waits, how long so far, for what. */
void	lk_words_waiter(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_wait *wait, const struct lk_client *viewer);
void	lk_words_blockers(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_wait *wait, const struct lk_client *viewer);
void	lk_words_slots(struct lk_buf *out, const struct lk_database *db,
	    const struct lk_client *viewer);
/* "lock", for how long, for what, and who holds it. */
void	lk_words_lock(struct lk_buf *out, const struct lk_server *server,
	    const struct lk_wait *wait, const struct lk_client *viewer);
/* LOCKTIMEOUT, and who held what. */
void	lk_words_lock_timeout(struct lk_error *why,
	    const struct lk_request *req, const struct lk_server *server,
	    const struct lk_wait *wait);
/* What a request that is not sent yet waits for. */
void	lk_words_queue(struct lk_buf *out, const struct lk_request *req);
bool	lk_words_may_see(const struct lk_client *viewer,
	    const struct lk_client *client);

/* push.c */
void	lk_push_lockwait(struct lk_request *req, const struct lk_wait *wait);
void	lk_push_blocking(const struct lk_tx *tx, const struct lk_server *server,
	    const struct lk_holder *holder);
void	lk_push_txexpired(const struct lk_tx *tx);
void	lk_push_closing(struct lk_client *client, uint64_t patience_us);
/* Of the channels of that database that have_missed something. */
void	lk_push_missed(struct lk_client *client, const struct lk_database *db);
void	lk_push_deadlock(struct lk_client *client, const char *text,
	    const char *members);

/* record.c: what core says to the log */
struct lk_log_about lk_about_client(const struct lk_client *client);
struct lk_log_about lk_about_tx(const struct lk_tx *tx);
struct lk_log_about lk_about_request(const struct lk_request *req);
struct lk_log_about lk_about_worker(const struct lk_worker *worker);
void	lk_record_received(const struct lk_request *req);
/* The server has answered, after its worker had it for run_us. */
void	lk_record_answered(struct lk_request *req, uint64_t run_us);
/* Its reply is ready: was it slow? */
void	lk_record_slow(const struct lk_request *req);
/* The daemon ended it, and why; says so when it is a limit that has passed. */
void	lk_record_timeout(const struct lk_request *req,
	    const struct lk_error *why);
void	lk_record_failure(const struct lk_request *req,
	    const struct lk_error *error);
void	lk_record_verdict(const struct lk_request *req,
	    const struct lk_deadlock *deadlock);
void	lk_record_deadlock_end(const struct lk_request *req,
	    const struct lk_deadlock *deadlock);

/* show.c */
void	lk_show(struct lk_request *req);

struct lk_row;
/* lanes.c */
void	lk_show_lanes(struct lk_row *row);

/* hello.c */
void	lk_hello(struct lk_request *req);
/* 1 to 255 bytes without control characters. */
bool	lk_is_printable(const struct lk_arg *arg);

/* verbs.c */
enum {
	LK_VERB_ON_RECEIPT = 1,	/* waits behind nothing; but LK_VERB_LONG */
	LK_VERB_TX = 2,		/* runs in a tx when one is named or current */
	LK_VERB_NO_DEADLINE = 4, /* timeouts.statement is not for it */
	LK_VERB_PARAMS = 8,	/* arguments from the second on are values */
	LK_VERB_ALWAYS = 16,	/* never OVERLOAD: it makes room */
	LK_VERB_SUBSCRIBER = 32, /* also for a subscriber on RESP2 */
	LK_VERB_LONG = 64,	/* its reply may be: not for who reads none */
	LK_VERB_UNIT = 128,	/* may stand between MULTI and EXEC */
	LK_VERB_PAST_UNIT = 256, /* is carried out there, and not queued */
	LK_VERB_PREFIX = 512,	/* no verb itself: one follows it */
	LK_VERB_WORK = 1024,	/* as LK_VERB_TX, a statement; but in no tx */
};

struct lk_verb {
	const char	*name;
	size_t		 min_args, max_args;
	unsigned	 flags;
	void		(*run)(struct lk_request *req);
	const char	*syntax, *summary;
	enum lk_orm_verb orm;	/* where run is lk_run_orm() */
};

/* Send it in its transaction, or queue for that's or for any slot. */
void	lk_run_statement(struct lk_request *req);

/* orm.c: the verbs about models */
void	lk_run_orm(struct lk_request *req);
/*
 * Its plan: of that verb with the arguments from the first-th on.  False: it
 * waits for a newer catalog, and its verb is run again then, or it has failed.
 */
bool	lk_orm_compile(struct lk_request *req, enum lk_orm_verb verb,
	    size_t first);
/* Whether it waits for a newer snapshot, since the compiler has refused it so. */
bool	lk_orm_awaits_newer(struct lk_request *req, int rc);
/* What its worker is to run, once it has a plan. */
void	lk_orm_fill(struct lk_item *item, const struct lk_plan *plan);
/* The same of a request that has one. */
void	lk_orm_fill_item(struct lk_item *item, const struct lk_request *req);
/*
 * Say more of why it failed.  True: the catalog is not what it was compiled
 * for, and is to be read again.
 */
bool	lk_orm_explain(struct lk_database *db, const struct lk_plan *plan,
	    struct lk_error *error);
/* Nothing was done, and nobody has asked for its end. */
bool	lk_orm_may_go_back(const struct lk_request *req);
/* Outside a transaction it only reads plain tables: nothing can have come of
 * it, whatever has become of its session. */
bool	lk_orm_only_reads(const struct lk_request *req);
/*
 * Its job has come back.  True: it is to be tried again from the start, since
 * the catalog is not what it was compiled for, or the session was lost and
 * nothing can have come of it.
 */
bool	lk_orm_goes_back(struct lk_request *req, struct lk_item *item);
/* Let go of the plan, if there is one. */
void	lk_orm_forget(struct lk_request *req);

/* unit.c: from MULTI to EXEC */
void	lk_run_multi(struct lk_request *req);
void	lk_run_unit(struct lk_request *req);
void	lk_run_discard(struct lk_request *req);
/* Of MULTI or UNIT. */
int	lk_unit_take_options(struct lk_unit *unit,
	    const struct lk_request *req, struct lk_error *error);
/*
 * It fails: the unit that it was for, if any, by the order of its task's
 * requests, is not to be carried out, and over if it was to end it.
 */
void	lk_unit_note_failure(const struct lk_request *req,
	    struct lk_task *task, const struct lk_error *error);
/* It leaves its task's queue, in which it is linked still. */
void	lk_unit_passed(struct lk_request *req);
/* Of a task's queue it becomes EXEC's. */
void	lk_unit_take_out(struct lk_unit *unit);
void	lk_unit_forget_verbs(struct lk_unit *unit);
void	lk_unit_free(struct lk_unit **unit);
/* The client's that wait for their EXEC. */
void	lk_unit_drop_all(struct lk_client *client);

/* queue.c: the verbs of a unit */
/* Whether the request, whose turn it is, is to be queued in a unit. */
bool	lk_unit_takes(const struct lk_request *req);
/* Queue it, or say why not; or it waits for the catalog. */
void	lk_unit_queue(struct lk_request *req);
/* The i-th verb, against the snapshot in force. */
int	lk_unit_compile(struct lk_unit *unit, size_t i,
	    struct lk_format format, const char *null_text,
	    struct lk_error *error);
/* Of the reply to the i-th verb: the form that it said, else EXEC's. */
struct lk_format lk_unit_format(const struct lk_request *req, size_t i);
struct lk_job *lk_unit_job(struct lk_request *req);
/* Whether none of its statements leaves anything in the session. */
bool	lk_unit_is_clean(const struct lk_unit *unit);
/* The job has come back: what it says of this try. */
void	lk_unit_note_try(struct lk_request *req, struct lk_job *job);

/* exec.c: units being carried out */
void	lk_run_exec(struct lk_request *req);
/* The job has come back, and is not to be parked. */
void	lk_exec_done(struct lk_request *req, struct lk_job *job);
/* From now on it is RETRYING, in no worker's hands; then its time has come. */
void	lk_exec_rest(struct lk_request *req);
void	lk_exec_try_again(struct lk_request *req);
/* One more try was given up, for that reason. */
void	lk_exec_note_try(struct lk_request *req, const struct lk_error *why);
/* Whether it may be run again from the start when it loses a deadlock. */
bool	lk_exec_may_replay(const struct lk_request *req);
/* It fails: for SHOW unit. */
void	lk_exec_note_failure(struct lk_request *req,
	    const struct lk_error *error);
/* The request is no more: keep its unit for SHOW. */
void	lk_exec_end(struct lk_request *req);

/* cursor.c: OPEN, FETCH, CLOSE */
void	lk_run_open(struct lk_request *req);
void	lk_run_fetch(struct lk_request *req);
void	lk_run_close(struct lk_request *req);
/* A new transaction has no cursor and no savepoint; one that ends, neither. */
void	lk_cursor_init(struct lk_tx *tx);
void	lk_cursor_fini(struct lk_tx *tx);
/* How many statements its youngest savepoint leaves in force; 0: none. */
uint64_t lk_cursor_savepoint(const struct lk_tx *tx);
/* A statement in a transaction has come back: what it has changed.  Writes the
 * reply where that is not what the worker made. */
void	lk_cursor_note(struct lk_request *req, struct lk_item *item);
/* What stands behind the verb that opens, fetches or closes one. */
void	lk_cursor_words(struct lk_buf *out, const struct lk_request *req);

/* drain.c */
void	lk_drain_init(struct lk_core *core);
/* Fails the request with CLOSING when it would begin something new. */
bool	lk_drain_refuses(struct lk_request *req);

/* models.c: what the catalog knows */
void	lk_run_models(struct lk_request *req);
void	lk_run_describe(struct lk_request *req);
void	lk_run_types(struct lk_request *req);

/* admin.c: what administrators ask */
void	lk_run_kill(struct lk_request *req);
void	lk_run_reload(struct lk_request *req);
void	lk_run_shutdown(struct lk_request *req);

/* compat.c: what ready Redis clients send */
void	lk_run_command(struct lk_request *req);
void	lk_run_info(struct lk_request *req);
void	lk_run_client(struct lk_request *req);
void	lk_run_select(struct lk_request *req);
void	lk_run_auth(struct lk_request *req);
void	lk_run_use(struct lk_request *req);
void	lk_run_reset(struct lk_request *req);

/* Whether it is one of those that take a session's time. */
bool	lk_verb_is_statement(const struct lk_verb *verb);
/* How many words of args name an isolation level; 0: they are others. */
size_t	lk_isolation_take(const struct lk_arg *args, size_t n,
	    const char **begin_out);

size_t	lk_verb_count(void);
const struct lk_verb *lk_verb_at(size_t i);	/* NULL: past the last */
const struct lk_verb *lk_verb_find(const char *name, size_t n);

/* unknown.c: a word that is no verb; the error says what to type instead. */
void	lk_verb_unknown(const struct lk_arg *word, struct lk_error *error);
int	lk_parse_handle(const struct lk_arg *arg, uint64_t *handle_out);
const char *lk_request_state_word(enum lk_request_state state);
const char *lk_tx_state_word(enum lk_tx_state state);
const char *lk_worker_state_word(enum lk_worker_state state);
const char *lk_listener_state_word(enum lk_listener_state state);

#endif
