/*
 * liblockkeeper: requests to lockkeeperd, from any event loop, from coroutines,
 * or blocking.  The manual is liblockkeeper(3) and the pages that it names.
 *
 * What this header declares is all that the library exports.  Structs that it
 * only names are the library's own.  The two that it defines are filled in by
 * the program and begin with their size, so that they can grow: set them to
 * LK_OPTIONS_INIT or LK_ENVELOPE_INIT, then what is to differ.
 *
 * A connection, and what was made from it, belongs to one thread at a time.
 * A reply may go to another.
 */
#ifndef LOCKKEEPER_H
#define LOCKKEEPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define LK_PUBLIC	__attribute__((visibility("default")))
#else
#define LK_PUBLIC
#endif

/* The library's release, as "0.1.0". */
LK_PUBLIC const char *lk_version(void);

/* ---- replies: lk_reply(3) ---- */

/*
 * A reply is a tree of values, and each of its values has this type.  The
 * program frees what it was given as a reply; what it reaches from there goes
 * with it, and so do all texts.
 */
struct lk_reply;

enum lk_reply_type {
	LK_REPLY_NULL,
	LK_REPLY_BOOL,
	LK_REPLY_INT,
	LK_REPLY_DOUBLE,
	LK_REPLY_TEXT,		/* a bulk string: any bytes */
	LK_REPLY_WORD,		/* a simple string, as COMMIT */
	LK_REPLY_ERROR,
	LK_REPLY_ARRAY,
	LK_REPLY_MAP,
	LK_REPLY_PUSH
};

/* The first word of an error.  New ones get new numbers. */
enum lk_kind {
	LK_KIND_OTHER = 0,	/* one that this library does not know */
	LK_KIND_PG = 1,
	LK_KIND_DEADLOCK = 2,
	LK_KIND_SERIALIZE = 3,
	LK_KIND_LOCKTIMEOUT = 4,
	LK_KIND_TIMEOUT = 5,
	LK_KIND_CANCELED = 6,
	LK_KIND_POOLTIMEOUT = 7,
	LK_KIND_TXABORTED = 8,
	LK_KIND_TXEXPIRED = 9,
	LK_KIND_NOTX = 10,
	LK_KIND_UNKNOWN = 11,	/* it may have been carried out */
	LK_KIND_CONNLOST = 12,	/* nothing of it was committed */
	LK_KIND_UNMET = 13,
	LK_KIND_EXECABORT = 14,
	LK_KIND_CLOSING = 15,
	LK_KIND_NOPROTO = 16,
	LK_KIND_NOMODEL = 17,
	LK_KIND_NOCOLUMN = 18,
	LK_KIND_DENIED = 19,
	LK_KIND_SYNTAX = 20,
	LK_KIND_OVERLOAD = 21,
	LK_KIND_PROTO = 22
};

/* What may be tried again after an error. */
enum lk_again {
	LK_AGAIN_NO,
	LK_AGAIN_STATEMENT,
	LK_AGAIN_TRANSACTION
};

/* *reply is NULL after; NULL is fine. */
LK_PUBLIC void lk_reply_free(struct lk_reply **reply);

LK_PUBLIC enum lk_reply_type lk_reply_type(const struct lk_reply *reply);
/* NULL is a null, too. */
LK_PUBLIC bool lk_reply_is_null(const struct lk_reply *reply);
LK_PUBLIC bool lk_reply_is_error(const struct lk_reply *reply);

/* An integer, a boolean as 0 or 1, or a text that reads as one; else 0. */
LK_PUBLIC int64_t lk_reply_int(const struct lk_reply *reply);
/* A number, or a text that reads as one, in every locale; else 0. */
LK_PUBLIC double lk_reply_double(const struct lk_reply *reply);
/*
 * The bytes of a text, word or double, or an error's message; a NUL follows.
 * "" for all else.  n_out may be NULL.
 */
LK_PUBLIC const char *lk_reply_text(const struct lk_reply *reply,
    size_t *n_out);

/* Elements of an array or push, entries of a map; else 0. */
LK_PUBLIC size_t lk_reply_count(const struct lk_reply *reply);
/* An element, or an entry's value; NULL beyond the last. */
LK_PUBLIC const struct lk_reply *lk_reply_at(const struct lk_reply *reply,
    size_t i);
/* An entry's key; NULL where there is none. */
LK_PUBLIC const struct lk_reply *lk_reply_key(const struct lk_reply *reply,
    size_t i);
/* A map's value for that key; NULL when it has none, or is no map. */
LK_PUBLIC const struct lk_reply *lk_reply_get(const struct lk_reply *map,
    const char *key);

/* Of an error; of all else OTHER, "", "", NO, NULL, false. */
LK_PUBLIC enum lk_kind lk_reply_kind(const struct lk_reply *error);
LK_PUBLIC const char *lk_reply_kind_word(const struct lk_reply *error);
LK_PUBLIC const char *lk_reply_sqlstate(const struct lk_reply *error);
LK_PUBLIC enum lk_again lk_reply_again(const struct lk_reply *error);
/* "detail", "constraint" and so on; NULL when it is not known. */
LK_PUBLIC const char *lk_reply_field(const struct lk_reply *error,
    const char *name);
/* Whether this library said so, and not the daemon. */
LK_PUBLIC bool lk_reply_is_local(const struct lk_reply *error);

/* ---- requests: lk_request(3) ---- */

/* What stands before the verb.  Zero and NULL: nothing. */
struct lk_envelope {
	size_t		 size;
	const char	*task;		/* %; coroutines have theirs */
	const char	*database;	/* / */
	const char	*rows;		/* =: "maps", "table" or "json" */
	int64_t		 tx;		/* #: BEGIN's reply */
	int64_t		 deadline_ms;	/* ~ */
	int64_t		 lock_ms;	/* ?; LK_NOWAIT: not at all */
	unsigned	 flags;		/* LK_REPLAY, LK_IN_ORDER */
};

#define LK_ENVELOPE_INIT	\
	{ sizeof(struct lk_envelope), NULL, NULL, NULL, 0, 0, 0, 0 }

#define LK_NOWAIT	(-1)
/* The statement may be run again from its start: the envelope's ! */
#define LK_REPLAY	1u
/* Without a tag: its reply comes behind those to earlier ones like it. */
#define LK_IN_ORDER	2u

/*
 * A unit: verbs that are sent in one go, from MULTI to EXEC, and are all
 * carried out or none.
 */
struct lk_unit;

/* words are MULTI's, as "RETRY", "5"; NULL when there is no memory. */
LK_PUBLIC struct lk_unit *lk_unit_new(size_t n_words,
    const char *const *words, const size_t *lens);
LK_PUBLIC void lk_unit_free(struct lk_unit **unit);
/*
 * A verb more, with the envelope's rows and flags.  0, or -1 with errno.
 * Whether it is right is said when the unit is sent.
 */
LK_PUBLIC int lk_unit_add(struct lk_unit *unit,
    const struct lk_envelope *envelope, size_t n_words,
    const char *const *words, const size_t *lens);

/*
 * A line as people type requests, quoted as lockkeeper-protocol(7) says.
 * NULL with errno EINVAL when its quotes are not right, or ENOMEM.
 */
struct lk_line;

/* The longest line, its end included. */
#define LK_LINE_MAX	65536

LK_PUBLIC struct lk_line *lk_line_parse(const char *text, size_t n);
LK_PUBLIC void lk_line_free(struct lk_line **line);
/* How many words; *words_out and *lens_out are the line's. */
LK_PUBLIC size_t lk_line_words(const struct lk_line *line,
    const char *const **words_out, const size_t **lens_out);

/* ---- the protocol without I/O: lk_mux(3) ---- */

/*
 * The requests of one byte stream, and the replies to them.  Does no I/O, has
 * no clock and calls nobody.
 */
struct lk_mux;

enum lk_mux_event {
	LK_MUX_NOTHING,		/* until more bytes are fed */
	LK_MUX_REPLY,		/* to the request with that arg */
	LK_MUX_PUSH,
	LK_MUX_STRAY		/* a reply to nothing that was submitted */
};

LK_PUBLIC struct lk_mux *lk_mux_new(void);
LK_PUBLIC void lk_mux_free(struct lk_mux **mux);
/* A reply of more bytes breaks the stream; at first 1 GiB. */
LK_PUBLIC void lk_mux_set_limit(struct lk_mux *mux, size_t max_bytes);

/*
 * Encode a request.  words[i] NULL is SQL NULL; lens may be NULL when all are
 * strings.  Its number, or 0 with errno EINVAL or ENOMEM.
 */
LK_PUBLIC uint64_t lk_mux_submit(struct lk_mux *mux,
    const struct lk_envelope *envelope, size_t n_words,
    const char *const *words, const size_t *lens, void *arg);
/* The same of a unit, whose reply is EXEC's. */
LK_PUBLIC uint64_t lk_mux_submit_unit(struct lk_mux *mux,
    const struct lk_envelope *envelope, const struct lk_unit *unit,
    void *arg);
/*
 * Ask the daemon to end that request, which gets its one reply as ever.
 * False when there is no such request, or it has no tag.
 */
LK_PUBLIC bool lk_mux_cancel(struct lk_mux *mux, uint64_t number);
/* How many have no reply yet. */
LK_PUBLIC size_t lk_mux_outstanding(const struct lk_mux *mux);

/* What is to be sent: how many bytes.  *bytes_out until the next call. */
LK_PUBLIC size_t lk_mux_output(const struct lk_mux *mux,
    const char **bytes_out);
/* So many of them were. */
LK_PUBLIC void lk_mux_sent(struct lk_mux *mux, size_t n);

/* What was received.  -1 when there is no memory for it: the stream breaks. */
LK_PUBLIC int lk_mux_feed(struct lk_mux *mux, const char *bytes, size_t n);
/*
 * What it comes to, one by one.  The reply is the caller's.  *arg_out is the
 * request's, else NULL.
 */
LK_PUBLIC enum lk_mux_event lk_mux_next(struct lk_mux *mux,
    struct lk_reply **reply_out, void **arg_out);
/* Why nothing that is fed can be understood any more; NULL while it can. */
LK_PUBLIC const char *lk_mux_error(const struct lk_mux *mux);
/*
 * The stream has ended.  What has no reply gets one out of lk_mux_next():
 * CONNLOST when nothing of it can have been committed, else UNKNOWN.
 */
LK_PUBLIC void lk_mux_lose(struct lk_mux *mux, const char *why);

/* ---- connections: lk_conn(3) ---- */

struct lk_conn;

enum lk_state {
	LK_STATE_CONNECTING,
	LK_STATE_UP,
	LK_STATE_DOWN		/* until the next attempt */
};

/* The reply is the function's to free. */
typedef void (*lk_reply_fn)(void *arg, struct lk_reply *reply);
/* push goes away after the call. */
typedef void (*lk_push_fn)(void *arg, struct lk_conn *conn,
    const struct lk_reply *push);
/* why: of DOWN, in words; else "". */
typedef void (*lk_state_fn)(void *arg, struct lk_conn *conn,
    enum lk_state state, const char *why);
/* The descriptor, the wanted events or the time-out are others now. */
typedef void (*lk_change_fn)(void *arg, struct lk_conn *conn);

/* Zero and NULL: as said. */
struct lk_options {
	size_t		 size;
	const char	*socket;	/* $LOCKKEEPER_SOCKET, or the system's */
	const char	*name;		/* what messages call it; none */
	const char	*database;	/* the config's first */
	const char	*group;		/* whose names of tasks it shares; none */
	const char	*rows;		/* maps */
	int		 proto;		/* version of RESP: 3 */
	int		 wait_ms;	/* of requests for a connection: 5000;
					   -1: not at all */
	int		 timeout_ms;	/* of blocking calls, for any reply: none */
	lk_push_fn	 on_push;
	lk_state_fn	 on_state;
	void		*arg;		/* of these two */
};

#define LK_OPTIONS_INIT		\
	{ sizeof(struct lk_options), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, \
	    NULL, NULL, NULL }

/* Where the daemon listens when nothing else is said. */
#define LK_DEFAULT_SOCKET	"/run/lockkeeper/lockkeeper.sock"

/*
 * Begin to connect, for an event loop.  Never blocks.  NULL with errno EINVAL,
 * ENOMEM or ENAMETOOLONG.
 */
LK_PUBLIC struct lk_conn *lk_conn_new(const struct lk_options *options);
/*
 * Close.  What has no reply gets one first, as when the daemon had gone.  The
 * daemon ends what it was doing.  May be called from its own functions.
 */
LK_PUBLIC void lk_conn_free(struct lk_conn **conn);

#define LK_READ		1
#define LK_WRITE	2

/* The descriptor to wait for; -1: none now. */
LK_PUBLIC int lk_conn_fd(const struct lk_conn *conn);
/* LK_READ, LK_WRITE or both. */
LK_PUBLIC int lk_conn_events(const struct lk_conn *conn);
/* When to call lk_conn_handle() with 0 at the latest; -1: never. */
LK_PUBLIC int lk_conn_timeout_ms(const struct lk_conn *conn);
/* Called whenever one of these three changes other than by lk_conn_handle(). */
LK_PUBLIC void lk_conn_on_change(struct lk_conn *conn, lk_change_fn on_change,
    void *arg);
/*
 * Do what can be done: send, receive, call the functions of finished requests.
 * Never blocks.  After a loss it connects again, in growing intervals.
 */
LK_PUBLIC void lk_conn_handle(struct lk_conn *conn, int events);
/*
 * The poll(2) adapter for one connection: wait that long (-1: for ever) for
 * something to do, and do it.  Blocks.
 */
LK_PUBLIC void lk_conn_wait(struct lk_conn *conn, int timeout_ms);

LK_PUBLIC enum lk_state lk_conn_state(const struct lk_conn *conn);
/* The daemon's reply to the last HELLO, until the next; NULL before. */
LK_PUBLIC const struct lk_reply *lk_conn_hello(const struct lk_conn *conn);
LK_PUBLIC size_t lk_conn_outstanding(const struct lk_conn *conn);

/*
 * Ask for something; done is called once, from lk_conn_handle() or
 * lk_conn_free(), never from here.  Its number, or 0 with errno.  done may be
 * NULL: the reply is dropped.
 */
LK_PUBLIC uint64_t lk_submit(struct lk_conn *conn,
    const struct lk_envelope *envelope, size_t n_words,
    const char *const *words, const size_t *lens, lk_reply_fn done, void *arg);
LK_PUBLIC uint64_t lk_submit_unit(struct lk_conn *conn,
    const struct lk_envelope *envelope, const struct lk_unit *unit,
    lk_reply_fn done, void *arg);
/* As lk_mux_cancel(). */
LK_PUBLIC bool lk_cancel(struct lk_conn *conn, uint64_t number);

/* ---- blocking calls: lk_call(3) ---- */

/*
 * Connect, in MODE blocking and with this thread's THREAD; both are said by
 * the library, again when another thread uses the connection.  NULL and
 * *error_out, which may be NULL, and errno as connect(2) left it, or 0.
 */
LK_PUBLIC struct lk_conn *lk_open(const struct lk_options *options,
    struct lk_reply **error_out);
/*
 * Ask and wait for the reply; never NULL.  BEGIN's transaction is that of the
 * requests behind it until it ends.
 */
LK_PUBLIC struct lk_reply *lk_call(struct lk_conn *conn,
    const struct lk_envelope *envelope, size_t n_words,
    const char *const *words, const size_t *lens);
LK_PUBLIC struct lk_reply *lk_call_unit(struct lk_conn *conn,
    const struct lk_envelope *envelope, const struct lk_unit *unit);
/* Words one by one, up to (char *)NULL. */
LK_PUBLIC struct lk_reply *lk_ask(struct lk_conn *conn, const char *verb, ...)
#if defined(__GNUC__)
    __attribute__((sentinel))
#endif
    ;

/*
 * For prompts, which pass on what people type, tags included: send words as
 * they are, and take whatever reply comes next.  Not while lk_call() or
 * lk_submit() have requests out.  0, or -1 with errno.
 */
LK_PUBLIC int lk_send(struct lk_conn *conn, size_t n_words,
    const char *const *words, const size_t *lens);
LK_PUBLIC struct lk_reply *lk_read(struct lk_conn *conn);

/* ---- coroutines: lk_await(3) ---- */

/* How the program's coroutines stop and go on. */
struct lk_hooks {
	size_t	size;
	/*
	 * Stop the running coroutine and store in *coroutine_out what resume
	 * is to be given.  Returns what resume was given, once it was; or never
	 * returns, when it is resumed in another way.
	 */
	struct lk_reply *(*suspend)(void *arg, void **coroutine_out);
	/* Let it go on with this reply, now or later. */
	void	(*resume)(void *arg, void *coroutine, struct lk_reply *reply);
	void	*arg;
};

/* One coroutine's use of a connection: a task. */
struct lk_task;

/*
 * hooks stay the caller's and must outlive it.  name NULL: one is made up.
 * NULL with errno.
 */
LK_PUBLIC struct lk_task *lk_task_new(struct lk_conn *conn,
    const struct lk_hooks *hooks, const char *name);
/*
 * Of a coroutine that has ended, or never will go on: what it awaits is
 * cancelled, its transaction rolled back, and nobody is resumed.
 */
LK_PUBLIC void lk_task_free(struct lk_task **task);
LK_PUBLIC const char *lk_task_name(const struct lk_task *task);
/* The transaction that its requests are in; 0: none. */
LK_PUBLIC int64_t lk_task_tx(const struct lk_task *task);

/*
 * Ask, let others run, go on with the reply.  Never NULL.  BEGIN's transaction
 * is that of the task's requests behind it until it ends.  Returns at once
 * where it can only be an error.
 */
LK_PUBLIC struct lk_reply *lk_await(struct lk_task *task,
    const struct lk_envelope *envelope, size_t n_words,
    const char *const *words, const size_t *lens);
LK_PUBLIC struct lk_reply *lk_await_unit(struct lk_task *task,
    const struct lk_envelope *envelope, const struct lk_unit *unit);
/* End what it awaits: as lk_cancel(). */
LK_PUBLIC bool lk_task_cancel(struct lk_task *task);

#ifdef __cplusplus
}
#endif

#endif
