#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "base/version.h"
#include "core/internal.h"

/* What HELLO said, checked as a whole before any of it is done. */
struct hello {
	int			 proto;		/* 0: not said */
	const struct lk_arg	*name, *thread, *group, *null_text;
	struct lk_database	*database;
	int			 mode;		/* -1: not said; else is_blocking */
	int			 rows;		/* -1: not said */
	bool			 tags_push, error_blobs, int8_text;
};

bool
lk_is_printable(const struct lk_arg *arg)
{
	size_t i;

	if (arg->data == NULL || arg->len < 1 || arg->len > 255)
		return false;
	for (i = 0; i < arg->len; i++) {
		if ((unsigned char)arg->data[i] < 0x20 || arg->data[i] == 0x7f)
			return false;
	}
	return true;
}

static int
word_index(const struct lk_arg *arg, const char *const *words, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		if (lk_arg_is(arg, words[i]))
			return i;
	}
	return -1;
}

/* One option with its value; false when the value is wrong, and error may say
 * why. */
static bool
take_text(struct hello *hello, struct lk_core *core,
    const struct lk_arg *option, const struct lk_arg *value, bool *known_out,
    struct lk_error *error)
{
	if (lk_arg_is(option, "DATABASE")) {
		hello->database = lk_database_named(core, value, error);
		return hello->database != NULL;
	}
	if (lk_arg_is(option, "NAME") || lk_arg_is(option, "SETNAME"))
		hello->name = value;
	else if (lk_arg_is(option, "THREAD"))
		hello->thread = value;
	else if (lk_arg_is(option, "GROUP"))
		hello->group = value;
	else if (lk_arg_is(option, "NULL"))
		hello->null_text = value;
	else
		return *known_out = false;
	return lk_is_printable(value);
}

static bool
take_word(struct hello *hello, const struct lk_arg *option,
    const struct lk_arg *value, bool *known_out)
{
	static const char *const modes[] = { "async", "blocking" };
	static const char *const forms[] = { "maps", "table", "json" };

	if (lk_arg_is(option, "MODE")) {
		hello->mode = word_index(value, modes, 2);
		return hello->mode >= 0;
	}
	if (lk_arg_is(option, "ROWS")) {
		hello->rows = word_index(value, forms, 3);
		return hello->rows >= 0;
	}
	if (lk_arg_is(option, "TAGS"))
		return hello->tags_push = lk_arg_is(value, "push");
	if (lk_arg_is(option, "ERRORS"))
		return hello->error_blobs = lk_arg_is(value, "blob");
	if (lk_arg_is(option, "INT8"))
		return hello->int8_text = lk_arg_is(value, "text");
	return *known_out = false;
}

static bool
is_number(const struct lk_arg *arg)
{
	return arg->data != NULL && arg->len > 0 &&
	    strspn(arg->data, "0123456789") == arg->len;
}

static int
parse_proto(struct hello *hello, const struct lk_arg *arg,
    struct lk_error *error)
{
	if (lk_arg_is(arg, "2") || lk_arg_is(arg, "3")) {
		hello->proto = arg->data[0] - '0';
		return 0;
	}
	lk_error_set(error, LK_ERR_NOPROTO,
	    "protocol versions 2 and 3 are spoken here");
	return -LK_E_INVAL;
}

/* How many words an option is: its name and its values. */
static size_t
count_words(const struct lk_arg *option)
{
	return lk_arg_is(option, "AUTH") ? 3 : 2;
}

/* False when the option's value is wrong, or when there is no such option. */
static bool
take_option(struct hello *hello, struct lk_core *core,
    const struct lk_arg *args, bool *known_out, struct lk_error *error)
{
	bool fits;

	*known_out = true;
	if (lk_arg_is(&args[0], "AUTH"))
		return true;	/* as the verb AUTH: nothing is to be proven */
	fits = take_text(hello, core, &args[0], &args[1], known_out, error);
	if (*known_out)
		return fits;
	*known_out = true;
	return take_word(hello, &args[0], &args[1], known_out);
}

static void
refuse_value(const struct lk_arg *option, const char *syntax,
    struct lk_error *error)
{
	static const struct {
		const char *word, *takes;
	} options[] = {
#define LK_HELLO_TEXT(word, value, help)				\
		{ word, "1 to 255 printable characters" },
#define LK_HELLO_WORDS(word, words, help)				\
		{ word, words },
#include "core/hello.def"
#undef LK_HELLO_TEXT
#undef LK_HELLO_WORDS
	};
	size_t i;

	for (i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		if (lk_arg_is(option, options[i].word))
			lk_error_set(error, LK_ERR_SYNTAX,
			    "HELLO: %s takes %s: %s", options[i].word,
			    options[i].takes, syntax);
	}
}

static int
parse_hello(struct lk_request *req, struct hello *hello,
    struct lk_error *error)
{
	const struct lk_arg *args = req->args;
	size_t i, n_words, number = 0, first = 0;
	bool known;

	if (req->n_args > 0 && is_number(&args[0])) {
		if (parse_proto(hello, &args[0], error) < 0)
			return -LK_E_INVAL;
		first = 1;
	}
	for (i = first; i < req->n_args; i += n_words) {
		number++;
		n_words = count_words(&args[i]);
		if (req->n_args - i < n_words) {
			lk_error_set(error, LK_ERR_SYNTAX,
			    "HELLO's last option lacks a value: %s",
			    req->verb->syntax);
			return -LK_E_INVAL;
		}
		if (take_option(hello, req->core, &args[i], &known, error))
			continue;
		if (!known)
			lk_error_set(error, LK_ERR_SYNTAX,
			    "HELLO does not know its option %zu: %s",
			    number, req->verb->syntax);
		else if (!error->is_set)
			refuse_value(&args[i], req->verb->syntax, error);
		return -LK_E_INVAL;
	}
	return 0;
}

static void
keep_text(char **to, const struct lk_arg *arg)
{
	free(*to);
	*to = lk_xmalloc(arg->len + 1);
	memcpy(*to, arg->data, arg->len);
	(*to)[arg->len] = '\0';
}

static void
apply(struct lk_client *client, const struct hello *hello)
{
	if (hello->proto != 0)
		client->format.proto = (uint8_t)hello->proto;
	if (hello->rows >= 0)
		client->format.rows = (uint8_t)hello->rows;
	if (hello->mode >= 0)
		client->is_blocking = hello->mode == 1;
	if (hello->database != NULL)
		client->database = hello->database;
	if (hello->name != NULL)
		lk_client_set_name(client, hello->name);
	if (hello->thread != NULL)
		keep_text(&client->thread, hello->thread);
	if (hello->null_text != NULL)
		keep_text(&client->null_text, hello->null_text);
	/* These are asked for and never taken back, but by RESET. */
	client->tags_push |= hello->tags_push;
	client->error_blobs |= hello->error_blobs;
	client->format.int8_text |= hello->int8_text;
	if (hello->group != NULL)
		lk_client_join_group(client, hello->group->data,
		    hello->group->len);
	client->core->seq++;
}

static void
put_pair(struct lk_buf *out, const char *key, const char *value)
{
	lk_enc_text(out, key);
	lk_enc_text(out, value);
}

void
lk_hello(struct lk_request *req)
{
	struct lk_client *client = req->client;
	struct lk_core *core = req->core;
	struct hello hello = { .mode = -1, .rows = -1 };
	struct lk_buf out = LK_BUF_INIT;
	struct lk_error error;
	size_t i;
	int proto;

	lk_error_init(&error);
	if (parse_hello(req, &hello, &error) < 0) {
		lk_request_fail(req, &error);
		return;
	}
	apply(client, &hello);
	proto = client->format.proto;
	lk_enc_map(&out, proto, 11);
	put_pair(&out, "server", "lockkeeper");
	put_pair(&out, "version", LK_VERSION);
	lk_enc_text(&out, "proto");
	lk_enc_int(&out, proto);
	lk_enc_text(&out, "id");
	lk_enc_int(&out, (int64_t)client->id);
	put_pair(&out, "mode", "standalone");
	put_pair(&out, "role", "master");
	lk_enc_text(&out, "modules");
	lk_enc_array(&out, 0);
	lk_enc_text(&out, "protocol");
	lk_enc_int(&out, 1);
	lk_enc_text(&out, "features");
	lk_enc_array(&out, 3);
	lk_enc_text(&out, "lockwait");
	lk_enc_text(&out, "blocking");
	lk_enc_text(&out, "subscribe");
	put_pair(&out, "database", client->database->config->name);
	lk_enc_text(&out, "databases");
	lk_enc_array(&out, core->n_databases);
	for (i = 0; i < core->n_databases; i++)
		lk_enc_text(&out, core->databases[i].config->name);
	lk_request_reply(req, &out);
	lk_buf_fini(&out);
}
