/*
 * The reply decoder against golden bytes, hostile ones and random ones.  Every
 * input is given at every length, in memory of exactly that size.
 */
#include "unit.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/buf.h"
#include "resp/encode.h"
#include "resp/value.h"

static void
put_value(struct lk_buf *out, const struct lk_value *value)
{
	static const char *const names[] = {
		[LK_VALUE_NULL] = "null", [LK_VALUE_BOOL] = "bool",
		[LK_VALUE_INT] = "int", [LK_VALUE_DOUBLE] = "double",
		[LK_VALUE_BULK] = "bulk", [LK_VALUE_SIMPLE] = "simple",
		[LK_VALUE_ERROR] = "error", [LK_VALUE_ARRAY] = "array",
		[LK_VALUE_MAP] = "map", [LK_VALUE_PUSH] = "push",
	};
	size_t i;

	lk_buf_puts(out, names[value->type]);
	switch (value->type) {
	case LK_VALUE_NULL:
		break;
	case LK_VALUE_BOOL:
	case LK_VALUE_INT:
		lk_buf_printf(out, " %" PRId64, value->integer);
		break;
	case LK_VALUE_ARRAY:
	case LK_VALUE_MAP:
	case LK_VALUE_PUSH:
		lk_buf_putc(out, '[');
		for (i = 0; i < value->n_items; i++) {
			if (i > 0)
				lk_buf_puts(out, ", ");
			put_value(out, &value->items[i]);
		}
		lk_buf_putc(out, ']');
		break;
	default:
		assert_int_equal(value->text[value->n_text], '\0');
		lk_buf_printf(out, " \"%s\"", value->text);
		assert_int_equal(strlen(value->text), value->n_text);
		break;
	}
}

/* One call in memory of its own; transcript is what it gave. */
static int
decode_copy(const char *bytes, size_t n, struct lk_buf *transcript,
    size_t *used_out)
{
	struct lk_value	 value;
	struct lk_error	 error = { .is_set = false };
	char		*copy = malloc(n > 0 ? n : 1);
	int		 rc;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	rc = lk_value_decode(copy, n, &value, used_out, &error);
	free(copy);
	if (rc == 0) {
		assert_true(*used_out > 0 && *used_out <= n);
		put_value(transcript, &value);
	} else {
		assert_null(value.text);
		assert_null(value.items);
	}
	assert_int_equal(error.is_set, rc == -LK_E_INVAL);
	if (rc == -LK_E_INVAL) {
		assert_int_equal(error.kind, LK_ERR_PROTO);
		lk_buf_puts(transcript, error.message);
	}
	lk_value_fini(&value);
	lk_error_fini(&error);
	return rc;
}

/*
 * Decode at every length up to n, into the transcript: AGAIN until the result
 * is there, and from then on the same result.  Returns the bytes used or, for
 * an error, 0.
 */
static size_t
decode_at_every_length(const char *bytes, size_t n, struct lk_buf *transcript)
{
	struct lk_buf	now = LK_BUF_INIT;
	size_t		len, used, used_first = 0;
	int		rc, rc_first = -LK_E_AGAIN;

	for (len = 0; len <= n; len++) {
		rc = decode_copy(bytes, len, &now, &used);
		if (rc_first == -LK_E_AGAIN && rc == 0) {
			used_first = used;
			assert_int_equal(used, len);
		} else if (rc_first != -LK_E_AGAIN) {
			assert_int_equal(rc, rc_first);
			assert_string_equal(lk_buf_cstr(&now),
			    lk_buf_cstr(transcript));
		}
		if (rc == 0)
			assert_int_equal(used, used_first);
		rc_first = rc;
		lk_buf_fini(transcript);
		lk_buf_move(transcript, &now);
	}
	return used_first;
}

struct golden {
	const char	*bytes;
	size_t		 n;
	const char	*value;
};

#define GOLDEN(bytes, value) { bytes, sizeof(bytes) - 1, value }

static void
every_type_is_read(void **state)
{
	static const struct golden cases[] = {
		GOLDEN("+OK\r\n", "simple \"OK\""),
		GOLDEN("+\r\n", "simple \"\""),
		GOLDEN("-PG 23505 twice\r\n", "error \"PG 23505 twice\""),
		GOLDEN("!7\r\nPG X\r\nY\r\n", "error \"PG X\r\nY\""),
		GOLDEN(":0\r\n", "int 0"),
		GOLDEN(":-7\r\n", "int -7"),
		GOLDEN(":+7\r\n", "int 7"),
		GOLDEN(":-9223372036854775808\r\n",
		    "int -9223372036854775808"),
		GOLDEN("$5\r\na\r\nbc\r\n", "bulk \"a\r\nbc\""),
		GOLDEN("$0\r\n\r\n", "bulk \"\""),
		GOLDEN("=8\r\ntxt:some\r\n", "bulk \"some\""),
		GOLDEN("=4\r\nmkd:\r\n", "bulk \"\""),
		GOLDEN("$-1\r\n", "null"),
		GOLDEN("*-1\r\n", "null"),
		GOLDEN("_\r\n", "null"),
		GOLDEN("#t\r\n", "bool 1"),
		GOLDEN("#f\r\n", "bool 0"),
		GOLDEN(",1.5\r\n", "double \"1.5\""),
		GOLDEN(",-inf\r\n", "double \"-inf\""),
		GOLDEN(",nan\r\n", "double \"nan\""),
		GOLDEN("(-3492890328409238509324850943850943825024385\r\n",
		    "simple \"-3492890328409238509324850943850943825024385\""),
		GOLDEN("*0\r\n", "array[]"),
		GOLDEN("*3\r\n:1\r\n$1\r\na\r\n*1\r\n_\r\n",
		    "array[int 1, bulk \"a\", array[null]]"),
		GOLDEN("~2\r\n+a\r\n+b\r\n",
		    "array[simple \"a\", simple \"b\"]"),
		GOLDEN("%2\r\n+a\r\n:1\r\n+b\r\n%0\r\n",
		    "map[simple \"a\", int 1, simple \"b\", map[]]"),
		GOLDEN(">2\r\n+lockwait\r\n%1\r\n+tx\r\n:3\r\n",
		    "push[simple \"lockwait\", map[simple \"tx\", int 3]]"),
		GOLDEN("|1\r\n+ttl\r\n:3\r\n:5\r\n", "int 5"),
		GOLDEN("|1\r\n+a\r\n*1\r\n:1\r\n|0\r\n*1\r\n|1\r\n+b\r\n_\r\n"
		    ":9\r\n", "array[int 9]"),
	};
	struct lk_buf	got = LK_BUF_INIT;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(decode_at_every_length(cases[i].bytes,
		    cases[i].n, &got), cases[i].n);
		assert_string_equal(lk_buf_cstr(&got), cases[i].value);
		lk_buf_fini(&got);
	}
}

static void
what_follows_is_left_alone(void **state)
{
	static const char	bytes[] = "*1\r\n:1\r\n+next\r\nrubbish";
	struct lk_buf		got = LK_BUF_INIT;
	size_t			used;

	(void)state;
	assert_int_equal(decode_copy(bytes, sizeof(bytes) - 1, &got, &used), 0);
	assert_int_equal(used, 8);
	assert_int_equal(decode_copy(bytes + 8, sizeof(bytes) - 9, &got,
	    &used), 0);
	assert_int_equal(used, 7);
	assert_string_equal(lk_buf_cstr(&got), "array[int 1]simple \"next\"");
	lk_buf_fini(&got);
}

static void
bulk_holds_any_byte(void **state)
{
	static const char	bytes[] = "$4\r\n\0\xff\r\n\r\n";
	struct lk_value		value;
	struct lk_error		error = { .is_set = false };
	size_t			used;

	(void)state;
	assert_int_equal(lk_value_decode(bytes, sizeof(bytes) - 1, &value,
	    &used, &error), 0);
	assert_int_equal(value.n_text, 4);
	assert_memory_equal(value.text, "\0\xff\r\n", 5);
	lk_value_fini(&value);
	lk_value_fini(&value);	/* harmless on one that is empty */
}

static void
hostile_bytes_are_refused_with_words(void **state)
{
#define LENGTH(type) "invalid length behind '" type "' in a reply"
#define VALUE(type) "invalid value behind '" type "' in a reply"
#define NUMBER(type) "invalid number behind '" type "' in a reply"
#define LONE_LF "line ends with LF alone, expected CRLF"
	static const struct golden cases[] = {
		GOLDEN("$-2\r\n", LENGTH("$")),
		GOLDEN("$2147483648\r\n", LENGTH("$")),
		GOLDEN("$9223372036854775807\r\n", LENGTH("$")),
		GOLDEN("$99999999999999999999\r\n", LENGTH("$")),
		GOLDEN("$03\r\nabc\r\n", LENGTH("$")),
		GOLDEN("$+3\r\nabc\r\n", LENGTH("$")),
		GOLDEN("$ 3\r\nabc\r\n", LENGTH("$")),
		GOLDEN("$?\r\n;1\r\na\r\n", LENGTH("$")),
		GOLDEN("$\r\n", LENGTH("$")),
		GOLDEN("!-1\r\n", LENGTH("!")),
		GOLDEN("=-1\r\n", LENGTH("=")),
		GOLDEN("%-1\r\n", LENGTH("%")),
		GOLDEN("~-1\r\n", LENGTH("~")),
		GOLDEN(">-1\r\n", LENGTH(">")),
		GOLDEN("|-1\r\n", LENGTH("|")),
		GOLDEN("*-2\r\n", LENGTH("*")),
		GOLDEN("*1073741825\r\n", LENGTH("*")),
		GOLDEN("%9223372036854775807\r\n", LENGTH("%")),
		GOLDEN("$1\r\nab\r\n", "no CRLF behind a string of 1 bytes"),
		GOLDEN("$1\r\na\r\r\n", "no CRLF behind a string of 1 bytes"),
		GOLDEN("=3\r\ntxt\r\n", "verbatim string without a format"),
		GOLDEN("=4\r\ntext\r\n", "verbatim string without a format"),
		GOLDEN(":\r\n", VALUE(":")),
		GOLDEN(":1x\r\n", VALUE(":")),
		GOLDEN(":9223372036854775808\r\n", VALUE(":")),
		GOLDEN("#x\r\n", VALUE("#")),
		GOLDEN("_1\r\n", VALUE("_")),
		GOLDEN(",one\r\n", NUMBER(",")),
		GOLDEN("(\r\n", NUMBER("(")),
		GOLDEN("(12a\r\n", NUMBER("(")),
		GOLDEN("+OK\n", LONE_LF),
		GOLDEN("$1\na\r\n", LONE_LF),
		GOLDEN(":111111111111111111111111111111111111", "line longer "
		    "than 32 bytes in a reply"),
		GOLDEN("x\r\n", "expected a reply but got 'x'"),
		GOLDEN("*1\r\n\0", "expected a reply but got byte 0x00"),
		GOLDEN("\x1b[2J", "expected a reply but got byte 0x1b"),
		GOLDEN("\r\n", "expected a reply but got byte 0x0d"),
		GOLDEN("*2\r\n:1\r\n?", "expected a reply but got '?'"),
	};
	struct lk_buf	got = LK_BUF_INIT;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(decode_at_every_length(cases[i].bytes,
		    cases[i].n, &got), 0);
		assert_string_equal(lk_buf_cstr(&got), cases[i].value);
		lk_buf_fini(&got);
	}
}

/* A count alone costs nothing: memory comes when the items have. */
static void
announced_counts_are_not_believed(void **state)
{
	struct lk_buf	got = LK_BUF_INIT;
	size_t		used;

	(void)state;
	assert_int_equal(decode_copy("*1073741824\r\n", 13, &got, &used),
	    -LK_E_AGAIN);
	assert_int_equal(decode_copy("$1073741824\r\n", 13, &got, &used),
	    -LK_E_AGAIN);
	assert_int_equal(decode_copy("%1073741824\r\n:1\r\n", 17, &got, &used),
	    -LK_E_AGAIN);
	lk_buf_fini(&got);
}

static void
depth_is_limited(void **state)
{
	struct lk_buf	wire = LK_BUF_INIT;
	struct lk_buf	got = LK_BUF_INIT;
	size_t		i, used;

	(void)state;
	for (i = 0; i < LK_VALUE_MAX_DEPTH; i++)
		lk_buf_puts(&wire, "*1\r\n");
	lk_buf_puts(&wire, ":1\r\n");
	assert_int_equal(decode_copy(wire.data, wire.len, &got, &used), 0);
	assert_int_equal(used, wire.len);
	lk_buf_fini(&got);
	lk_buf_fini(&wire);

	for (i = 0; i < LK_VALUE_MAX_DEPTH + 1; i++)
		lk_buf_puts(&wire, "*1\r\n");
	lk_buf_puts(&wire, ":1\r\n");
	assert_int_equal(decode_copy(wire.data, wire.len, &got, &used),
	    -LK_E_INVAL);
	lk_buf_fini(&got);
	lk_buf_fini(&wire);

	for (i = 0; i < 100000; i++)
		lk_buf_puts(&wire, i % 2 == 0 ? "*1\r\n" : "|1\r\n");
	assert_int_equal(decode_copy(wire.data, wire.len, &got, &used),
	    -LK_E_INVAL);
	assert_string_equal(lk_buf_cstr(&got),
	    "reply nested more than 16 deep");
	lk_buf_fini(&got);
	lk_buf_fini(&wire);
}

static void
reads_what_the_encoder_writes(void **state)
{
	static const char *const want[] = {
		[2] = "array[bulk \"k\", null, int 1, int -3, bulk \"1.5\", "
		    "array[bulk \"NaN\", simple \"OK\"], "
		    "error \"PROTO 08P01 no\", array[]]",
		[3] = "map[bulk \"k\", null, bool 1, int -3, double \"1.5\", "
		    "push[bulk \"NaN\", simple \"OK\"], "
		    "error \"PROTO 08P01 no\", array[]]",
	};
	struct lk_error	error = { .is_set = false };
	struct lk_buf	wire = LK_BUF_INIT;
	struct lk_buf	got = LK_BUF_INIT;
	int		proto;

	(void)state;
	lk_error_set(&error, LK_ERR_PROTO, "no");
	for (proto = 2; proto <= 3; proto++) {
		lk_enc_map(&wire, proto, 4);
		lk_enc_text(&wire, "k");
		lk_enc_null(&wire, proto);
		lk_enc_bool(&wire, proto, true);
		lk_enc_int(&wire, -3);
		lk_enc_double(&wire, proto, "1.5", 3);
		lk_enc_push(&wire, proto, 2);
		lk_enc_double(&wire, proto, "NaN", 3);
		lk_enc_simple(&wire, "OK");
		lk_enc_error(&wire, &error);
		lk_enc_array(&wire, 0);
		assert_int_equal(decode_at_every_length(wire.data, wire.len,
		    &got), wire.len);
		assert_string_equal(lk_buf_cstr(&got), want[proto]);
		lk_buf_fini(&got);
		lk_buf_fini(&wire);
	}
	lk_error_fini(&error);
}

static uint64_t
next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static size_t
make_noise(uint64_t *seed, char *bytes, size_t max)
{
	static const char *const pieces[] = {
		"*1\r\n", "*2\r\n", "%1\r\n", "~1\r\n", ">1\r\n", "|1\r\n",
		"*-1\r\n", "$1\r\nx\r\n", "$0\r\n\r\n", "$-1\r\n", "_\r\n",
		":12\r\n", ",1.5\r\n", "#t\r\n", "+a\r\n", "-E\r\n", "(12\r\n",
		"=5\r\ntxt:a\r\n", "!1\r\nE\r\n", "\r\n", "\n", "*", "$", "1",
	};
	const size_t	n_pieces = sizeof(pieces) / sizeof(pieces[0]);
	size_t		n = 0, len, i;

	while (n < max && next_random(seed) % 12 != 0) {
		i = next_random(seed) % (n_pieces + 1);
		if (i == n_pieces) {
			/* Printable, as put_value() wants strings. */
			bytes[n++] = (char)(' ' + next_random(seed) % 95);
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
random_bytes_read_the_same_at_every_length(void **state)
{
	struct lk_buf	got = LK_BUF_INIT;
	char		bytes[40];
	uint64_t	seed = 20240301;
	size_t		n, i;

	(void)state;
	for (i = 0; i < 30000; i++) {
		n = make_noise(&seed, bytes, sizeof(bytes));
		decode_at_every_length(bytes, n, &got);
		lk_buf_fini(&got);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_is_read),
		cmocka_unit_test(what_follows_is_left_alone),
		cmocka_unit_test(bulk_holds_any_byte),
		cmocka_unit_test(hostile_bytes_are_refused_with_words),
		cmocka_unit_test(announced_counts_are_not_believed),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(reads_what_the_encoder_writes),
		cmocka_unit_test(
		    random_bytes_read_the_same_at_every_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
