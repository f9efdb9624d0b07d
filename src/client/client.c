#include "client/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/frame.h"
#include "resp/encode.h"

#define READ_BYTES	(64 * 1024)

struct lk_client {
	int		 fd;
	uint64_t	 timeout_us;	/* 0: none */
	lk_client_push_fn on_push;	/* or NULL */
	void		*push_ctx;
	struct lk_buf	 in;		/* begins where a reply does */
	struct lk_frame	 frame;		/* of the reply that in begins with */
};

static int
set_path(struct sockaddr_un *address, const char *path)
{
	size_t n = strlen(path);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (n >= sizeof(address->sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address->sun_path, path, n + 1);
	return 0;
}

static int
connect_fd(const char *path)
{
	struct sockaddr_un address;
	int fd, saved;

	if (set_path(&address, path) < 0)
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

int
lk_client_connect_wait(const char *path, struct lk_client **client_out,
    struct lk_error *error)
{
	struct lk_client *client;
	int fd, saved;

	fd = connect_fd(path);
	if (fd < 0) {
		saved = errno;
		lk_error_set(error, LK_ERR_CONNLOST, "%s: %s", path,
		    strerror(saved));
		errno = saved;
		return -LK_E_IO;
	}
	client = lk_xcalloc(1, sizeof(*client));
	client->fd = fd;
	lk_buf_init(&client->in);
	lk_frame_init(&client->frame);
	*client_out = client;
	return 0;
}

void
lk_client_free(struct lk_client **client)
{
	if (*client == NULL)
		return;
	close((*client)->fd);
	lk_buf_fini(&(*client)->in);
	free(*client);
	*client = NULL;
}

void
lk_client_set_timeout(struct lk_client *client, uint64_t timeout_us)
{
	client->timeout_us = timeout_us;
}

void
lk_client_set_push(struct lk_client *client, lk_client_push_fn on_push,
    void *ctx)
{
	client->on_push = on_push;
	client->push_ctx = ctx;
}

void
lk_client_encode(struct lk_buf *buf, const struct lk_arg *args, size_t n_args)
{
	size_t i;

	lk_enc_array(buf, n_args);
	for (i = 0; i < n_args; i++) {
		if (args[i].data == NULL)
			lk_enc_null(buf, 2);
		else
			lk_enc_bulk(buf, args[i].data, args[i].len);
	}
}

static int
send_all(struct lk_client *client, const char *bytes, size_t n,
    struct lk_error *error)
{
	ssize_t sent;

	while (n > 0) {
		sent = send(client->fd, bytes, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0) {
			lk_error_set(error, LK_ERR_CONNLOST,
			    "sending to the daemon: %s", strerror(errno));
			return -LK_E_IO;
		}
		bytes += sent;
		n -= (size_t)sent;
	}
	return 0;
}

int
lk_client_send_wait(struct lk_client *client, const struct lk_arg *args,
    size_t n_args, struct lk_error *error)
{
	struct lk_buf bytes = LK_BUF_INIT;
	int rc;

	lk_client_encode(&bytes, args, n_args);
	if (bytes.broken) {
		lk_error_set(error, LK_ERR_OVERLOAD,
		    "no memory for a request of this size");
		rc = -LK_E_NOMEM;
	} else {
		rc = send_all(client, bytes.data, bytes.len, error);
	}
	lk_buf_fini(&bytes);
	return rc;
}

/* Milliseconds from now to the end of the wait, for poll(2). */
static int
left_ms(uint64_t end_us)
{
	uint64_t now_us, left_us;

	if (end_us == 0)
		return -1;
	now_us = lk_clock_us();
	if (now_us >= end_us)
		return 0;
	left_us = end_us - now_us + LK_US_PER_MS - 1;
	return left_us / LK_US_PER_MS > 3600000 ? 3600000 :
	    (int)(left_us / LK_US_PER_MS);
}

static int
wait_for_bytes(struct lk_client *client, uint64_t end_us,
    struct lk_error *error)
{
	struct pollfd fd = { .fd = client->fd, .events = POLLIN };
	int rc;

	for (;;) {
		rc = poll(&fd, 1, left_ms(end_us));
		if (rc > 0)
			return 0;
		if (rc < 0 && errno != EINTR && errno != EAGAIN) {
			lk_error_set(error, LK_ERR_CONNLOST,
			    "waiting for the daemon: %s", strerror(errno));
			return -LK_E_IO;
		}
		if (end_us != 0 && lk_clock_us() >= end_us) {
			lk_error_set(error, LK_ERR_CONNLOST,
			    "no reply from the daemon in %llu ms",
			    (unsigned long long)
			    (client->timeout_us / LK_US_PER_MS));
			return -LK_E_AGAIN;
		}
	}
}

static int
read_some(struct lk_client *client, struct lk_error *error)
{
	char *to = lk_buf_reserve(&client->in, READ_BYTES);
	ssize_t n;

	if (to == NULL) {
		lk_error_set(error, LK_ERR_CONNLOST,
		    "no memory for a reply of this size");
		return -LK_E_IO;
	}
	n = recv(client->fd, to, READ_BYTES, 0);
	if (n > 0) {
		client->in.len += (size_t)n;
		return 0;
	}
	if (n < 0 && errno == EINTR)
		return 0;
	if (n == 0)
		lk_error_set(error, LK_ERR_CONNLOST,
		    "the daemon closed the connection");
	else
		lk_error_set(error, LK_ERR_CONNLOST,
		    "reading from the daemon: %s", strerror(errno));
	return -LK_E_IO;
}

/* Take the value that the buffer begins with, once it is whole. */
static int
take_value(struct lk_client *client, struct lk_value *value_out,
    struct lk_error *error)
{
	size_t used = 0;
	int rc;

	if (!lk_frame_is_whole(&client->frame, client->in.data,
	    client->in.len))
		return -LK_E_AGAIN;
	rc = lk_value_decode(client->in.data, client->in.len, value_out, &used,
	    error);
	if (rc == 0) {
		lk_buf_consume(&client->in, used);
		lk_frame_init(&client->frame);
	} else if (rc == -LK_E_AGAIN) {
		lk_error_set(error, LK_ERR_PROTO,
		    "the daemon's reply is no RESP");
		rc = -LK_E_INVAL;
	}
	return rc;
}

/* What confirms a request is its reply. */
static bool
is_unasked(const struct lk_value *value)
{
	static const char *const replies[] = { "subscribe", "unsubscribe" };
	size_t i;

	if (value->type != LK_VALUE_PUSH)
		return false;
	for (i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		if (value->n_items > 0 && value->items[0].text != NULL &&
		    strcmp(value->items[0].text, replies[i]) == 0)
			return false;
	}
	return true;
}

int
lk_client_read_wait(struct lk_client *client, struct lk_value *reply_out,
    struct lk_error *error)
{
	uint64_t end_us = client->timeout_us == 0 ? 0 :
	    lk_clock_us() + client->timeout_us;
	int rc;

	for (;;) {
		rc = take_value(client, reply_out, error);
		if (rc == 0 && is_unasked(reply_out)) {
			if (client->on_push != NULL)
				client->on_push(client->push_ctx, reply_out);
			lk_value_fini(reply_out);
			continue;
		}
		if (rc != -LK_E_AGAIN)
			return rc;
		rc = wait_for_bytes(client, end_us, error);
		if (rc == 0)
			rc = read_some(client, error);
		if (rc < 0)
			return rc;
	}
}

int
lk_client_call_wait(struct lk_client *client, const struct lk_arg *args,
    size_t n_args, struct lk_value *reply_out, struct lk_error *error)
{
	struct lk_error unread;
	int rc;

	rc = lk_client_send_wait(client, args, n_args, error);
	if (rc == 0)
		return lk_client_read_wait(client, reply_out, error);
	if (rc != -LK_E_IO)
		return rc;
	lk_error_init(&unread);
	if (lk_client_read_wait(client, reply_out, &unread) == 0)
		rc = 0;
	lk_error_fini(&unread);
	return rc;
}

const struct lk_value *
lk_client_map_get(const struct lk_value *map, const char *key)
{
	size_t n_key = strlen(key), i;
	const struct lk_value *at;

	if (map == NULL || map->type != LK_VALUE_MAP)
		return NULL;
	for (i = 0; i + 1 < map->n_items; i += 2) {
		at = &map->items[i];
		if (at->text != NULL && at->n_text == n_key &&
		    memcmp(at->text, key, n_key) == 0)
			return at + 1;
	}
	return NULL;
}

const char *
lk_client_map_text(const struct lk_value *map, const char *key)
{
	const struct lk_value *value = lk_client_map_get(map, key);

	return value == NULL || value->text == NULL ? "" : value->text;
}
