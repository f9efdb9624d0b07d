/*
 * A blocking client for one connection to the daemon, for bench/: it measures
 * what the library's own way of connecting would add to.  Not in the library.
 *
 * A client belongs to one thread at a time.  Functions that block say so, and
 * end with -LK_E_AGAIN when the time set by lk_client_set_timeout() has
 * passed: the reply may still come, and reading again waits for it anew.
 * -LK_E_IO (the daemon went away, or the socket failed) and -LK_E_INVAL (what
 * came is no RESP) end the connection: all that can be done then is to free
 * the client.  The words are in error, whose kind is CONNLOST or PROTO.
 *
 * Errors that the daemon replies with are replies like any other: values of
 * type LK_VALUE_ERROR, and these functions return 0.
 */
#ifndef LK_CLIENT_CLIENT_H
#define LK_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/die.h"
#include "base/error.h"
#include "base/version.h"
#include "resp/request.h"
#include "resp/value.h"

struct lk_client;

/*
 * Called from the reading functions, in the order of arrival, for what the
 * daemon says unasked on RESP3, messages of channels included.  push is of type LK_VALUE_PUSH and goes away
 * after the call.  May not use the client.
 */
typedef void (*lk_client_push_fn)(void *ctx, const struct lk_value *push);

/*
 * Connect to the Unix socket at path.  Blocks only while the daemon's queue of
 * new connections is full.  0 and *client_out, or -LK_E_IO with errno as
 * connect(2) left it.
 */
int	lk_client_connect_wait(const char *path, struct lk_client **client_out,
	    struct lk_error *error);
/* Closes; the daemon then ends what was left open.  *client is NULL after. */
void	lk_client_free(struct lk_client **client);

/* How long each wait for a reply may last; 0, as at first: for ever. */
void	lk_client_set_timeout(struct lk_client *client, uint64_t timeout_us);
/* Without one, pushes are dropped. */
void	lk_client_set_push(struct lk_client *client, lk_client_push_fn on_push,
	    void *ctx);

/* Append a request to buf; an element whose data is NULL travels as NULL. */
void	lk_client_encode(struct lk_buf *buf, const struct lk_arg *args,
	    size_t n_args);

/*
 * Send one request.  Blocks while the daemon does not read.  Several may be
 * sent before their replies are read.
 */
int	lk_client_send_wait(struct lk_client *client,
	    const struct lk_arg *args, size_t n_args, struct lk_error *error);
/*
 * Block for the next reply; the caller ends it with lk_value_fini().  SUBSCRIBE
 * and UNSUBSCRIBE get one for each channel, which on RESP3 is a push.
 */
int	lk_client_read_wait(struct lk_client *client,
	    struct lk_value *reply_out, struct lk_error *error);
/* Both.  Where sending fails, what the daemon said before it closed counts. */
int	lk_client_call_wait(struct lk_client *client,
	    const struct lk_arg *args, size_t n_args,
	    struct lk_value *reply_out, struct lk_error *error);

/* The value of a map's entry, owned by map; NULL when there is none. */
const struct lk_value *lk_client_map_get(const struct lk_value *map,
	    const char *key);
/* The same as text: "" when there is none or it is no text. */
const char *lk_client_map_text(const struct lk_value *map, const char *key);

#endif
