/*
 * The request decoder: whatever the bytes, it reads the same requests from
 * them, and says the same error, whether they come all at once or in pieces.
 * Byte 0 of the input chooses max_bytes, byte 1 the pieces.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/die.h"
#include "fuzz.h"
#include "resp/request.h"

/* Small, so that limits are met; the last is out of reach. */
static const size_t limits[] = { 1, 16, 64, 256, 1024,
    LK_FUZZ_MAX_BYTES + 1 };

static uint32_t
next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

/* Seed 0: byte by byte. */
static size_t
piece_len(uint32_t *state)
{
	return *state == 0 ? 1 : 1 + next_random(state) % 24;
}

static void
tell_request(struct lk_buf *told, const struct lk_arg *args, size_t n_args)
{
	size_t i;

	lk_buf_printf(told, "%zu:", n_args);
	for (i = 0; i < n_args; i++) {
		lk_buf_printf(told, "%zu,", args[i].len);
		if (args[i].data == NULL)
			lk_buf_puts(told, "null");
		else	/* reads each byte: all must be there */
			lk_buf_append(told, args[i].data, args[i].len);
	}
}

/*
 * Read as many requests as bytes[0..n) hold, and move *done behind them.
 * False once an error was told.  Each call gets the rest of the bytes in a
 * block of its own: callers move them about, and none may be read beyond.
 */
static bool
read_requests(struct lk_request_decoder *decoder, size_t max_bytes,
    const uint8_t *bytes, size_t n, size_t *done, struct lk_buf *told)
{
	struct lk_error error = { 0 };
	const struct lk_arg *args;
	size_t n_args, n_used, n_rest;
	char *rest;
	int rc = 0;

	while (rc == 0 && *done < n) {
		n_rest = n - *done;
		rest = lk_xmalloc(n_rest);
		memcpy(rest, bytes + *done, n_rest);
		rc = lk_request_decode(decoder, rest, n_rest, &args, &n_args,
		    &n_used, &error);
		if (rc == 0) {
			lk_assert(n_used > 0 && n_used <= n_rest);
			lk_assert(n_used <= max_bytes);
			tell_request(told, args, n_args);
			*done += n_used;
		}
		/* It never asks for more than it would take. */
		lk_assert(rc != -LK_E_AGAIN || n_rest < max_bytes);
		free(rest);
	}
	lk_assert(error.is_set == (rc != 0 && rc != -LK_E_AGAIN));
	if (error.is_set)
		lk_buf_printf(told, "%d %s", rc, error.message);
	lk_error_fini(&error);
	return rc == 0 || rc == -LK_E_AGAIN;
}

static void
read_in_pieces(size_t max_bytes, const uint8_t *bytes, size_t n,
    uint32_t seed, struct lk_buf *told)
{
	struct lk_request_decoder *decoder = lk_request_decoder_new(max_bytes);
	size_t done = 0, at = 0;
	bool is_good = true;

	while (is_good && at < n) {
		at += piece_len(&seed);
		if (at > n)
			at = n;
		is_good = read_requests(decoder, max_bytes, bytes, at, &done,
		    told);
	}
	if (is_good)
		lk_buf_printf(told, "and %zu bytes", n - done);
	lk_request_decoder_free(&decoder);
}

static void
read_whole(size_t max_bytes, const uint8_t *bytes, size_t n,
    struct lk_buf *told)
{
	struct lk_request_decoder *decoder = lk_request_decoder_new(max_bytes);
	size_t done = 0;

	if (read_requests(decoder, max_bytes, bytes, n, &done, told))
		lk_buf_printf(told, "and %zu bytes", n - done);
	lk_request_decoder_free(&decoder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	struct lk_buf whole = LK_BUF_INIT, pieces = LK_BUF_INIT;
	size_t max_bytes;

	if (n < 2 || n > LK_FUZZ_MAX_BYTES)
		return 0;
	max_bytes = limits[bytes[0] % (sizeof(limits) / sizeof(limits[0]))];
	read_whole(max_bytes, bytes + 2, n - 2, &whole);
	read_in_pieces(max_bytes, bytes + 2, n - 2, bytes[1] - (uint32_t)'0',
	    &pieces);
	lk_assert(!whole.broken && !pieces.broken);
	lk_assert(whole.len == pieces.len);
	lk_assert(memcmp(whole.data, pieces.data, whole.len) == 0);
	lk_buf_fini(&whole);
	lk_buf_fini(&pieces);
	return 0;
}
