/*
 * The request decoder against golden bytes, hostile ones and random ones.
 * Every input is also given in pieces, each time in another piece of memory of
 * exactly that size, and has to give the same transcript.
 */
#include "unit.h"

#include <stdlib.h>

#include "base/buf.h"
#include "resp/request.h"

#define MAX_BYTES	(1024 * 1024)

static void
put_args(struct lk_buf *out, const struct lk_arg *args, size_t n_args)
{
	size_t i;

	lk_buf_printf(out, "%zu", n_args);
	for (i = 0; i < n_args; i++) {
		lk_buf_putc(out, '<');
		if (args[i].data == NULL)
			lk_buf_puts(out, ">NULL");
		else
			lk_buf_append(out, args[i].data, args[i].len);
		lk_buf_putc(out, '>');
	}
	lk_buf_putc(out, ';');
}

/*
 * One call in memory of its own.  The transcript gets what it gave, but for
 * AGAIN; used_out is 0 when the connection cannot go on.  A caller whose
 * buffer holds max_bytes is never told to bring more.
 */
static int
decode_copy(struct lk_request_decoder *decoder, const char *bytes, size_t n,
    size_t max_bytes, struct lk_buf *transcript, size_t *used_out)
{
	const struct lk_arg	*args;
	struct lk_error		 error = { .is_set = false };
	char			*copy = malloc(n > 0 ? n : 1);
	size_t			 n_args;
	int			 rc;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	*used_out = 0;
	rc = lk_request_decode(decoder, copy, n, &args, &n_args, used_out,
	    &error);
	assert_true(rc != -LK_E_AGAIN || n < max_bytes);
	if (rc == 0) {
		assert_true(*used_out > 0 && *used_out <= n);
		put_args(transcript, args, n_args);
	} else if (rc != -LK_E_AGAIN) {
		assert_true(error.is_set);
		assert_int_equal(error.kind, LK_ERR_PROTO);
		lk_buf_printf(transcript, "%s %s;",
		    rc == -LK_E_LIMIT ? "LIMIT" : "INVAL", error.message);
	}
	lk_error_fini(&error);
	free(copy);
	return rc;
}

/*
 * Read a connection that brings its bytes in pieces, the first of n_first and
 * then n_step at a time, into a transcript.
 */
static void
read_connection(const char *bytes, size_t n, size_t n_first, size_t n_step,
    size_t max_bytes, struct lk_buf *transcript)
{
	struct lk_request_decoder *decoder = lk_request_decoder_new(max_bytes);
	size_t	from = 0, there = n_first, used;
	int	rc;

	for (;;) {
		rc = decode_copy(decoder, bytes + from, there - from,
		    max_bytes, transcript, &used);
		from += used;
		if (rc == -LK_E_AGAIN && there < n)
			there += n_step < n - there ? n_step : n - there;
		else if (rc != 0)
			break;
	}
	lk_request_decoder_free(&decoder);
	assert_null(decoder);
}

/* The transcript of bytes, which is the same however they are cut. */
static void
read_all_ways(const char *bytes, size_t n, size_t max_bytes,
    struct lk_buf *transcript)
{
	struct lk_buf	other = LK_BUF_INIT;
	size_t		cut;

	read_connection(bytes, n, n, 1, max_bytes, transcript);
	for (cut = 0; cut <= n; cut++) {
		read_connection(bytes, n, cut, cut == 0 ? 1 : n, max_bytes,
		    &other);
		if (other.len != transcript->len || (other.len > 0 &&
		    memcmp(other.data, transcript->data, other.len) != 0))
			fail_msg("cut at %zu: \"%s\" instead of \"%s\"", cut,
			    lk_buf_cstr(&other), lk_buf_cstr(transcript));
		lk_buf_fini(&other);
	}
}

struct golden {
	const char	*bytes;
	size_t		 n;
	const char	*transcript;
};

#define GOLDEN(bytes, transcript) { bytes, sizeof(bytes) - 1, transcript }

static void
check_golden(const struct golden *cases, size_t n_cases)
{
	struct lk_buf	got = LK_BUF_INIT;
	size_t		i;

	for (i = 0; i < n_cases; i++) {
		read_all_ways(cases[i].bytes, cases[i].n, MAX_BYTES, &got);
		assert_string_equal(lk_buf_cstr(&got), cases[i].transcript);
		assert_int_equal(got.len, strlen(cases[i].transcript));
		lk_buf_fini(&got);
	}
}

static void
arrays(void **state)
{
	static const struct golden cases[] = {
		GOLDEN("*1\r\n$4\r\nPING\r\n", "1<PING>;"),
		GOLDEN("*2\r\n$3\r\nSQL\r\n$8\r\nSELECT 1\r\n",
		    "2<SQL><SELECT 1>;"),
		GOLDEN("*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n", "2<><\r\n>;"),
		GOLDEN("*0\r\n*1\r\n$1\r\na\r\n", "0;1<a>;"),
		GOLDEN("*3\r\n$1\r\na\r\n$-1\r\n_\r\n",
		    "3<a><>NULL><>NULL>;"),
		GOLDEN("*4\r\n:0\r\n:-5\r\n:+5\r\n:9223372036854775807\r\n",
		    "4<0><-5><5><9223372036854775807>;"),
		GOLDEN("*1\r\n:-9223372036854775808\r\n",
		    "1<-9223372036854775808>;"),
		GOLDEN("*6\r\n,1.5\r\n,-1e-7\r\n,.5\r\n,inf\r\n,-inf\r\n"
		    ",nan\r\n", "6<1.5><-1e-7><.5><inf><-inf><nan>;"),
		GOLDEN("*2\r\n#t\r\n#f\r\n", "2<t><f>;"),
		GOLDEN("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nQUIT\r\n",
		    "1<PING>;1<QUIT>;"),
		GOLDEN("*1\r\n$4\r\nPING\r\nPING x\r\n*1\r\n",
		    "1<PING>;2<PING><x>;"),
		GOLDEN("*2\r\n$1\r\n", ""),
	};

	(void)state;
	check_golden(cases, sizeof(cases) / sizeof(cases[0]));
}

static void
bulk_may_hold_any_byte(void **state)
{
	static const char	 bytes[] = "*1\r\n$4\r\n\0\xff\r\n\r\n";
	static const char	 want[] = "1<\0\xff\r\n>;";
	struct lk_buf		 got = LK_BUF_INIT;

	(void)state;
	read_all_ways(bytes, sizeof(bytes) - 1, MAX_BYTES, &got);
	assert_int_equal(got.len, sizeof(want) - 1);
	assert_memory_equal(got.data, want, sizeof(want) - 1);
	lk_buf_fini(&got);
}

static void
inline_lines_are_quoted_as_in_redis(void **state)
{
	static const struct golden cases[] = {
		GOLDEN("PING\r\n", "1<PING>;"),
		GOLDEN("PING\n", "1<PING>;"),
		GOLDEN("\r\n\n  \r\nPING\n", "0;0;0;1<PING>;"),
		GOLDEN("  SQL\t a  b \r\n", "3<SQL><a><b>;"),
		GOLDEN("@t #3 /db COMMIT\n", "4<@t><#3></db><COMMIT>;"),
		GOLDEN("SQL \"SELECT 'x', \\\"y\\\"\"\n",
		    "2<SQL><SELECT 'x', \"y\">;"),
		GOLDEN("a \"\\n\\r\\t\\b\\a\\q\\\\\"\n",
		    "2<a><\n\r\t\b\aq\\>;"),
		GOLDEN("a \"\\x41\\x7A\\xg1\\x4\"\n", "2<a><Azxg1x4>;"),
		GOLDEN("a 'it\\'s' '\\n\"'\n", "3<a><it's><\\n\">;"),
		GOLDEN("a \"\" ''\n", "3<a><><>;"),
		GOLDEN("\"\"\n", "1<>;"),
		GOLDEN("a foo\"bar\"\n", "2<a><foobar>;"),
		GOLDEN("a \"x\"\r\n", "2<a><x>;"),
		GOLDEN("\xc3\xa9 \"\xe2\x82\xac\"\n",
		    "2<\xc3\xa9><\xe2\x82\xac>;"),
		GOLDEN("no end", ""),
	};

	(void)state;
	check_golden(cases, sizeof(cases) / sizeof(cases[0]));
}

static void
hex_escape_gives_any_byte(void **state)
{
	struct lk_buf got = LK_BUF_INIT;

	(void)state;
	read_all_ways("a \"\\x00\\xFF\"\n", 13, MAX_BYTES, &got);
	assert_int_equal(got.len, 9);
	assert_memory_equal(got.data, "2<a><\0\xff>;", 9);
	lk_buf_fini(&got);
}

static void
hostile_bytes_are_refused_with_words(void **state)
{
#define COUNT "INVAL invalid number of elements in a request, expected 0 to " \
	"65599;"
#define LENGTH "INVAL invalid length of a bulk string;"
#define LIMIT "LIMIT request larger than limits.request, 1048576 bytes;"
#define LONG_LINE "INVAL line longer than 32 bytes in a request;"
#define LONE_LF "INVAL line ends with LF alone, expected CRLF;"
#define NO_CRLF "INVAL no CRLF behind a bulk string of 1 bytes;"
#define GOT(what) "INVAL expected '$' but got " what ";"
#define VALUE(type) "INVAL invalid value behind '" type "' in a request;"
	static const struct golden cases[] = {
		GOLDEN("*-1\r\n", COUNT),
		GOLDEN("*65600\r\n", COUNT),
		GOLDEN("*1000000000\r\n", COUNT),
		GOLDEN("*9223372036854775808\r\n", COUNT),
		GOLDEN("*01\r\n", COUNT),
		GOLDEN("*+1\r\n", COUNT),
		GOLDEN("* 1\r\n", COUNT),
		GOLDEN("*1 \r\n", COUNT),
		GOLDEN("*\r\n", COUNT),
		GOLDEN("*-\r\n", COUNT),
		GOLDEN("*-0\r\n", COUNT),
		GOLDEN("*1\rX\r\n", COUNT),
		GOLDEN("*1\n", LONE_LF),
		GOLDEN("*00000000000000000000000000000000\r\n", LONG_LINE),
		GOLDEN("*1111111111111111111111111111111111111", LONG_LINE),
		GOLDEN("*1\r\n$-2\r\n", LENGTH),
		GOLDEN("*1\r\n$03\r\nabc\r\n", LENGTH),
		GOLDEN("*1\r\n$+3\r\nabc\r\n", LENGTH),
		GOLDEN("*1\r\n$ 3\r\nabc\r\n", LENGTH),
		GOLDEN("*1\r\n$3 \r\nabc\r\n", LENGTH),
		GOLDEN("*1\r\n$\r\n", LENGTH),
		GOLDEN("*1\r\n$0x3\r\n", LENGTH),
		GOLDEN("*1\r\n$9223372036854775808\r\n", LENGTH),
		GOLDEN("*1\r\n$2147483648\r\n", LIMIT),
		GOLDEN("*1\r\n$9223372036854775807\r\n", LIMIT),
		GOLDEN("*1\r\n$9223372036854775806\r\n", LIMIT),
		GOLDEN("*1\r\n$1\nx\r\n", LONE_LF),
		GOLDEN("*1\r\n$1\r\nxy", NO_CRLF),
		GOLDEN("*1\r\n$1\r\nx\n", NO_CRLF),
		GOLDEN("*1\r\n$1\r\nx\rz", NO_CRLF),
		GOLDEN("*2\r\n$1\r\na\r\n*1\r\n", "INVAL expected '$' but got "
		    "'*': a request holds no arrays;"),
		GOLDEN("*1\r\nx", GOT("'x'")),
		GOLDEN("*1\r\n'", GOT("'''")),
		GOLDEN("*1\r\n+OK\r\n", GOT("'+'")),
		GOLDEN("*1\r\n%1\r\n", GOT("'%'")),
		GOLDEN("*1\r\n\r\n", GOT("byte 0x0d")),
		GOLDEN("*1\r\n\0", GOT("byte 0x00")),
		GOLDEN("*1\r\n\x1b[2J", GOT("byte 0x1b")),
		GOLDEN("*1\r\n\xff", GOT("byte 0xff")),
		GOLDEN("*1\r\n:\r\n", VALUE(":")),
		GOLDEN("*1\r\n:1.5\r\n", VALUE(":")),
		GOLDEN("*1\r\n:+-1\r\n", VALUE(":")),
		GOLDEN("*1\r\n:9223372036854775808\r\n", VALUE(":")),
		GOLDEN("*1\r\n,\r\n", VALUE(",")),
		GOLDEN("*1\r\n,.\r\n", VALUE(",")),
		GOLDEN("*1\r\n,1e\r\n", VALUE(",")),
		GOLDEN("*1\r\n,1;\r\n", VALUE(",")),
		GOLDEN("*1\r\n,infinite\r\n", VALUE(",")),
		GOLDEN("*1\r\n#\r\n", VALUE("#")),
		GOLDEN("*1\r\n#true\r\n", VALUE("#")),
		GOLDEN("*1\r\n_x\r\n", VALUE("_")),
		GOLDEN("a \"b\n", "INVAL unbalanced quotes in an inline "
		    "request;"),
		GOLDEN("a 'b\n", "INVAL unbalanced quotes in an inline "
		    "request;"),
		GOLDEN("a \"b\"c\n", "INVAL unbalanced quotes in an inline "
		    "request;"),
		GOLDEN("a \"b\\\n", "INVAL unbalanced quotes in an inline "
		    "request;"),
		GOLDEN("a\0b\n", "INVAL byte 0x00 in an inline request;"),
	};

	(void)state;
	check_golden(cases, sizeof(cases) / sizeof(cases[0]));
}

/* Another protocol's greeting has no line end that one could wait for. */
static void
foreign_greetings_are_refused_at_once(void **state)
{
	static const struct golden cases[] = {
		GOLDEN("\x16\x03\x01\x02", "INVAL expected a request but got "
		    "byte 0x16, as TLS begins;"),
		GOLDEN("\0\0\0\x08\x04\xd2\x16\x2f", "INVAL expected a request "
		    "but got byte 0x00;"),
		GOLDEN("\x7f" "ELF", "INVAL expected a request but got "
		    "byte 0x7f;"),
	};

	(void)state;
	check_golden(cases, sizeof(cases) / sizeof(cases[0]));
}

static void
limit_counts_the_whole_request(void **state)
{
	static const char whole[] = "*2\r\n$1\r\na\r\n$3\r\nabc\r\n";
	struct lk_buf	got = LK_BUF_INIT;
	size_t		max;

	(void)state;
	for (max = 1; max < sizeof(whole) - 1; max++) {
		read_all_ways(whole, sizeof(whole) - 1, max, &got);
		assert_int_equal(strncmp(lk_buf_cstr(&got), "LIMIT request "
		    "larger than limits.request, ", 42), 0);
		lk_buf_fini(&got);
	}
	read_all_ways(whole, sizeof(whole) - 1, max, &got);
	assert_string_equal(lk_buf_cstr(&got), "2<a><abc>;");
	lk_buf_fini(&got);
	read_all_ways("PING\r\n", 6, 5, &got);
	assert_int_equal(strncmp(lk_buf_cstr(&got), "LIMIT ", 6), 0);
	lk_buf_fini(&got);
	read_all_ways("PING\r\nPING\r\n", 12, 6, &got);
	assert_string_equal(lk_buf_cstr(&got), "1<PING>;1<PING>;");
	lk_buf_fini(&got);
}

/* A line that is too long for the request, and one too long for a line. */
static void
limit_of_a_line(void **state)
{
	const size_t	max_line = 512;
	struct lk_buf	wire = LK_BUF_INIT;
	struct lk_buf	got = LK_BUF_INIT;
	size_t		max;

	(void)state;
	lk_buf_puts(&wire, "*1\r\n,1.");
	while (wire.len < 4 + max_line)
		lk_buf_putc(&wire, '0');
	lk_buf_puts(&wire, "\r\n");
	for (max = wire.len - 4; max <= wire.len + 1; max++) {
		read_all_ways(wire.data, wire.len, max, &got);
		assert_int_equal(strncmp(lk_buf_cstr(&got), max < wire.len ?
		    "LIMIT" : "1<1.00", 5), 0);
		lk_buf_fini(&got);
	}
	memcpy(wire.data + wire.len - 2, "0\r", 2);
	lk_buf_putc(&wire, '\n');
	read_all_ways(wire.data, wire.len, MAX_BYTES, &got);
	assert_string_equal(lk_buf_cstr(&got),
	    "INVAL line longer than 512 bytes in a request;");
	lk_buf_fini(&got);
	lk_buf_fini(&wire);
}

static void
inline_limit(void **state)
{
	struct lk_buf	line = LK_BUF_INIT;
	struct lk_buf	got = LK_BUF_INIT;

	(void)state;
	while (line.len < LK_REQUEST_MAX_INLINE - 1)
		lk_buf_putc(&line, 'x');
	lk_buf_putc(&line, '\n');
	read_connection(line.data, line.len, 1, 1000, MAX_BYTES, &got);
	assert_int_equal(got.len, LK_REQUEST_MAX_INLINE - 1 + 4);
	lk_buf_fini(&got);
	line.data[line.len - 1] = 'x';
	lk_buf_putc(&line, '\n');
	read_connection(line.data, line.len, line.len, 1, MAX_BYTES, &got);
	read_connection(line.data, line.len, 1, 1000, MAX_BYTES, &got);
	assert_string_equal(lk_buf_cstr(&got),
	    "INVAL inline request longer than 65536 bytes;"
	    "INVAL inline request longer than 65536 bytes;");
	lk_buf_fini(&got);
	lk_buf_fini(&line);
}

/*
 * What was understood is not looked at again: in all calls between the first
 * and the last, the bytes seen before are shown as line ends instead.
 */
static void
read_with_amnesia(const char *bytes, size_t n, size_t n_step,
    struct lk_buf *transcript)
{
	struct lk_request_decoder *decoder = lk_request_decoder_new(n);
	const struct lk_arg	*args;
	struct lk_error		 error = { .is_set = false };
	char			*shown = malloc(n);
	size_t			 there, last = 0, n_args, used;

	assert_non_null(shown);
	for (there = n_step; there < n; there += n_step) {
		memcpy(shown + last, bytes + last, there - last);
		assert_int_equal(lk_request_decode(decoder, shown, there,
		    &args, &n_args, &used, &error), -LK_E_AGAIN);
		memset(shown + last, '\n', there - last);
		last = there;
	}
	assert_int_equal(lk_request_decode(decoder, bytes, n, &args, &n_args,
	    &used, &error), 0);
	assert_int_equal(used, n);
	put_args(transcript, args, n_args);
	free(shown);
	lk_request_decoder_free(&decoder);
}

static void
nothing_is_read_twice(void **state)
{
	const size_t	n_body = 16 * 1024 * 1024;
	struct lk_buf	wire = LK_BUF_INIT;
	struct lk_buf	got = LK_BUF_INIT;
	char		*body;

	(void)state;
	lk_buf_printf(&wire, "*2\r\n$3\r\nSQL\r\n$%zu\r\n", n_body);
	body = lk_buf_reserve(&wire, n_body);
	assert_non_null(body);
	memset(body, 'x', n_body);
	wire.len += n_body;
	lk_buf_puts(&wire, "\r\n");
	read_with_amnesia(wire.data, wire.len, 4096, &got);
	assert_int_equal(got.len, n_body + 9);
	lk_buf_fini(&got);
	lk_buf_fini(&wire);

	while (wire.len < 60000)
		lk_buf_putc(&wire, 'y');
	lk_buf_puts(&wire, "\r\n");
	read_with_amnesia(wire.data, wire.len, 1, &got);
	assert_int_equal(got.len, 60000 + 4);
	lk_buf_fini(&got);
	lk_buf_fini(&wire);
}

static void
as_many_elements_as_allowed(void **state)
{
	struct lk_request_decoder *decoder = lk_request_decoder_new(MAX_BYTES);
	const struct lk_arg	*args;
	struct lk_error		 error = { .is_set = false };
	struct lk_buf		 wire = LK_BUF_INIT;
	size_t			 i, n_args, used;

	(void)state;
	lk_buf_printf(&wire, "*%d\r\n", LK_REQUEST_MAX_ARGS);
	for (i = 0; i < LK_REQUEST_MAX_ARGS; i++)
		lk_buf_puts(&wire, "$1\r\nx\r\n");
	for (i = 0; i < wire.len; i++)
		assert_int_equal(lk_request_decode(decoder, wire.data, i,
		    &args, &n_args, &used, &error), -LK_E_AGAIN);
	assert_int_equal(lk_request_decode(decoder, wire.data, wire.len, &args,
	    &n_args, &used, &error), 0);
	assert_int_equal(n_args, LK_REQUEST_MAX_ARGS);
	assert_ptr_equal(args[n_args - 1].data, wire.data + wire.len - 3);
	/* A small one after a large one. */
	assert_int_equal(lk_request_decode(decoder, "PING\n", 5, &args,
	    &n_args, &used, &error), 0);
	assert_int_equal(n_args, 1);
	assert_int_equal(used, 5);
	lk_buf_fini(&wire);
	lk_request_decoder_free(&decoder);
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Pieces of requests, put together wrongly more often than not. */
static size_t
make_noise(uint64_t *seed, char *bytes, size_t max)
{
	static const char *const pieces[] = {
		"*1\r\n", "*2\r\n", "*3\r\n", "*0\r\n", "$1\r\nx\r\n", "$0\r\n",
		"\r\n", "$-1\r\n", "_\r\n", ":12\r\n", ",1.5\r\n", "#t\r\n",
		"PING", " ", "\"", "'", "\\", "\\x41", "\n", "\r", "$2\r\n",
		"a", "*", "$", ":", ",", "#", "-", "+", "1", "99999999999",
	};
	size_t n = 0, len, i;

	while (n < max && next_random(seed) % 12 != 0) {
		i = next_random(seed) % (sizeof(pieces) / sizeof(pieces[0]) +
		    2);
		if (i >= sizeof(pieces) / sizeof(pieces[0])) {
			bytes[n++] = (char)next_random(seed);
			continue;
		}
		len = strlen(pieces[i]);
		if (len > max - n)
			len = max - n;
		memcpy(bytes + n, pieces[i], len);
		n += len;
	}
	return n;
}

static void
random_bytes_read_the_same_in_pieces(void **state)
{
	struct lk_buf	whole = LK_BUF_INIT, bytewise = LK_BUF_INIT;
	struct lk_buf	cut = LK_BUF_INIT;
	char		bytes[48];
	uint64_t	seed = 20240229;
	size_t		n, i, at;

	(void)state;
	for (i = 0; i < 100000; i++) {
		n = make_noise(&seed, bytes, sizeof(bytes));
		at = n > 0 ? next_random(&seed) % n : 0;
		read_connection(bytes, n, n, 1, 40, &whole);
		read_connection(bytes, n, 0, 1, 40, &bytewise);
		read_connection(bytes, n, at, n, 40, &cut);
		if (whole.len != bytewise.len || whole.len != cut.len ||
		    (whole.len > 0 && (memcmp(whole.data, bytewise.data,
		    whole.len) != 0 || memcmp(whole.data, cut.data,
		    whole.len) != 0)))
			fail_msg("input %zu: \"%s\", bytewise \"%s\", cut at "
			    "%zu \"%s\"", i, lk_buf_cstr(&whole),
			    lk_buf_cstr(&bytewise), at, lk_buf_cstr(&cut));
		lk_buf_truncate(&whole, 0);
		lk_buf_truncate(&bytewise, 0);
		lk_buf_truncate(&cut, 0);
	}
	lk_buf_fini(&whole);
	lk_buf_fini(&bytewise);
	lk_buf_fini(&cut);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arrays),
		cmocka_unit_test(bulk_may_hold_any_byte),
		cmocka_unit_test(inline_lines_are_quoted_as_in_redis),
		cmocka_unit_test(hex_escape_gives_any_byte),
		cmocka_unit_test(hostile_bytes_are_refused_with_words),
		cmocka_unit_test(foreign_greetings_are_refused_at_once),
		cmocka_unit_test(limit_counts_the_whole_request),
		cmocka_unit_test(limit_of_a_line),
		cmocka_unit_test(inline_limit),
		cmocka_unit_test(nothing_is_read_twice),
		cmocka_unit_test(as_many_elements_as_allowed),
		cmocka_unit_test(random_bytes_read_the_same_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
