/* `lockkeeper call` and `lockkeeper sql`: requests from the command line. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/print.h"
#include "cli/session.h"

/* One request from standard input at most: an inline line and some room. */
#define MAX_LINE_BYTES	(LK_REQUEST_MAX_INLINE + 16)
#define MAX_ENVELOPE	4

struct call {
	const struct lk_command	*command;
	struct lk_session_options session;
	struct lk_client *client;
	char		*envelope[MAX_ENVELOPE];	/* heap; "%task" … */
	size_t		 n_envelope;
	size_t		 max_width;	/* of tables; 0: any */
	bool		 is_json;
	bool		 has_failed;	/* a reply was an error */
};

static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "task", required_argument, NULL, 't' },
	{ "deadline", required_argument, NULL, 'd' },
	{ "lock", required_argument, NULL, 'l' },
	{ "db", required_argument, NULL, 'b' },
	{ "resp2", no_argument, NULL, '2' },
	{ "resp3", no_argument, NULL, '3' },
	{ "json", no_argument, NULL, 'j' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

#define OPTIONS_HELP							\
	"  -s, --socket PATH    the daemon's socket\n"			\
	"      --task NAME      as this task\n"				\
	"      --deadline MS    time for the whole request\n"		\
	"      --lock MS        time to wait for locks; 0: do not wait\n" \
	"      --db NAME        in this database\n"			\
	"      --json           print replies as JSON, one a line\n"	\
	"  -2, --resp2          speak RESP2\n"				\
	"  -3, --resp3          speak RESP3, as without either\n"	\
	"      --help           print this\n"

static void
add_envelope(struct call *call, char sign, const char *value)
{
	size_t i;

	for (i = 0; i < call->n_envelope; i++) {
		if (call->envelope[i][0] == sign)
			break;
	}
	if (i == call->n_envelope)
		call->n_envelope++;
	else
		free(call->envelope[i]);
	call->envelope[i] = lk_cli_format("%c%s", sign, value);
}

/* 0, or LK_EXIT_USAGE after saying what is wrong; -1: only help was wanted. */
static int
take_option(struct call *call, int c)
{
	bool is_number = c == 'd' || c == 'l';

	if (is_number && (optarg[0] == '\0' ||
	    strspn(optarg, "0123456789") != strlen(optarg)))
		return (int)lk_cli_misuse(call->command,
		    "--%s takes milliseconds, not \"%s\"",
		    c == 'd' ? "deadline" : "lock", optarg);
	switch (c) {
	case 's':
		call->session.socket = optarg;
		return 0;
	case 't':
		add_envelope(call, '%', optarg);
		return 0;
	case 'd':
		add_envelope(call, '~', optarg);
		return 0;
	case 'l':
		add_envelope(call, '?', optarg);
		return 0;
	case 'b':
		add_envelope(call, '/', optarg);
		return 0;
	case '2':
	case '3':
		call->session.proto = c - '0';
		return 0;
	case 'j':
		call->is_json = true;
		return 0;
	case 'h':
		lk_cli_help(call->command);
		if (call->command == &lk_command_call)
			lk_cli_print_verbs(call->session.socket);
		return -1;
	default:
		return (int)lk_cli_point_to_help(call->command);
	}
}

static void
init_call(struct call *call, const struct lk_command *command)
{
	struct winsize size;

	memset(call, 0, sizeof(*call));
	call->command = command;
	call->session.proto = 3;
	if (isatty(STDOUT_FILENO) &&
	    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		call->max_width = size.ws_col;
}

static void
fini_call(struct call *call)
{
	size_t i;

	lk_client_free(&call->client);
	for (i = 0; i < call->n_envelope; i++)
		free(call->envelope[i]);
}

static void
print_reply(struct call *call, const struct lk_value *reply)
{
	struct lk_buf text = LK_BUF_INIT;

	if (reply->type == LK_VALUE_ERROR) {
		call->has_failed = true;
		fflush(stdout);
		lk_print_human(&text, reply, 0);
		fputs(lk_buf_cstr(&text) + strlen("(error) "), stderr);
	} else if (call->is_json) {
		lk_print_json(&text, reply);
		lk_buf_putc(&text, '\n');
	} else {
		lk_print_human(&text, reply, call->max_width);
	}
	if (text.broken) {
		call->has_failed = true;
		lk_cli_say("no memory to print a reply of this size");
	} else if (reply->type != LK_VALUE_ERROR) {
		fwrite(text.data, 1, text.len, stdout);
		fflush(stdout);
	}
	lk_buf_fini(&text);
}

/* The error of a tagged request is inside its reply. */
static bool
is_tagged_error(const struct lk_value *reply)
{
	return reply->type == LK_VALUE_ARRAY && reply->n_items == 3 &&
	    reply->items[0].type == LK_VALUE_SIMPLE &&
	    strcmp(reply->items[0].text, "reply") == 0 &&
	    reply->items[2].type == LK_VALUE_ERROR;
}

static bool
is_word(const struct lk_arg *arg, const char *word)
{
	return arg->len == strlen(word) &&
	    strncasecmp(arg->data, word, arg->len) == 0;
}

/* One, but for the verbs that get one for each channel; and who is subscribed
 * is there for what comes then. */
static size_t
count_replies(const struct lk_arg *words, size_t n_words)
{
	size_t n_tags = 0;

	while (n_words > 0 && words->len > 0 &&
	    strchr("@%#~?/=!", words->data[0]) != NULL) {
		n_tags += words->data[0] == '@';
		words++;
		n_words--;
	}
	if (n_words > 0 && is_word(words, "SUBSCRIBE"))
		return SIZE_MAX;
	if (n_words > 1 && is_word(words, "UNSUBSCRIBE"))
		return n_words - 1 + n_tags;
	return n_words > 0 && is_word(words, "UNSUBSCRIBE") ? 1 + n_tags : 1;
}

/* A subscriber's messages go where replies do. */
static void
print_message(void *ctx, const struct lk_value *push)
{
	print_reply(ctx, push);
}

/* Print and free it; whether more may follow, as none does behind an error. */
static bool
take_reply(struct call *call, struct lk_value *reply)
{
	const struct lk_value *shown = is_tagged_error(reply) ?
	    &reply->items[2] : reply;
	bool is_error = shown->type == LK_VALUE_ERROR;

	print_reply(call, shown);
	lk_value_fini(reply);
	return !is_error;
}

/* 0 when there was a reply, if only an error. */
static int
make_request(struct call *call, const struct lk_arg *words, size_t n_words)
{
	size_t n = call->n_envelope + n_words, i;
	size_t n_replies = count_replies(words, n_words);
	struct lk_arg *args = lk_xcalloc(n, sizeof(*args));
	struct lk_value reply;
	struct lk_error error;
	int rc;

	if (n_replies == SIZE_MAX)
		lk_client_set_push(call->client, print_message, call);
	for (i = 0; i < call->n_envelope; i++) {
		args[i].data = call->envelope[i];
		args[i].len = strlen(call->envelope[i]);
	}
	memcpy(args + call->n_envelope, words, n_words * sizeof(*words));
	lk_error_init(&error);
	rc = lk_client_call_wait(call->client, args, n, &reply, &error);
	while (rc == 0 && take_reply(call, &reply) && --n_replies > 0)
		rc = lk_client_read_wait(call->client, &reply, &error);
	if (rc < 0)
		lk_cli_say("%s", error.message);
	lk_error_fini(&error);
	free(args);
	return rc;
}

static int
request_words(struct call *call, const char *first, char **words,
    size_t n_words)
{
	size_t n_first = first != NULL ? 1 : 0, i;
	struct lk_arg *args = lk_xcalloc(n_words + 1, sizeof(*args));
	int rc;

	args[0].data = first;
	args[0].len = first != NULL ? strlen(first) : 0;
	for (i = 0; i < n_words; i++) {
		args[n_first + i].data = words[i];
		args[n_first + i].len = strlen(words[i]);
	}
	rc = make_request(call, args, n_first + n_words);
	free(args);
	return rc;
}

/* A line that is no request is skipped; what follows may still be of use. */
static int
request_line(struct call *call, const char *line, size_t n_line,
    unsigned n_read)
{
	struct lk_request_decoder *decoder;
	const struct lk_arg *args;
	size_t n_args, used;
	struct lk_error error;
	int rc;

	lk_error_init(&error);
	decoder = lk_request_decoder_new(MAX_LINE_BYTES);
	rc = lk_request_decode(decoder, line, n_line, &args, &n_args, &used,
	    &error);
	if (line[0] == '*' || rc == -LK_E_AGAIN)
		lk_error_set(&error, LK_ERR_PROTO,
		    "a request is one line of words here");
	if (error.is_set) {
		lk_cli_say("line %u: %s", n_read, error.message);
		call->has_failed = true;
		rc = 0;
	} else if (n_args > 0) {
		rc = make_request(call, args, n_args);
	}
	lk_request_decoder_free(&decoder);
	lk_error_fini(&error);
	return rc;
}

static int
request_lines(struct call *call)
{
	bool is_prompted = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct lk_buf bytes = LK_BUF_INIT;
	char *line = NULL;
	size_t cap = 0;
	unsigned n_read = 0;
	ssize_t n;
	int rc = 0;

	while (rc == 0) {
		if (is_prompted) {
			fputs("lockkeeper> ", stdout);
			fflush(stdout);
		}
		n = getline(&line, &cap, stdin);
		if (n <= 0)
			break;
		lk_buf_truncate(&bytes, 0);
		lk_buf_append(&bytes, line, (size_t)n);
		if (line[n - 1] != '\n')
			lk_buf_putc(&bytes, '\n');
		rc = request_line(call, bytes.data, bytes.len, ++n_read);
	}
	if (is_prompted && rc == 0)
		putchar('\n');
	free(line);
	lk_buf_fini(&bytes);
	return rc;
}

static enum lk_exit
run(const struct lk_command *command, const char *verb, const char *missing,
    int argc, char **argv)
{
	struct call call;
	int c, stop = 0, rc;

	init_call(&call, command);
	while (stop == 0 && (c = getopt_long(argc, argv, "+s:23h", options,
	    NULL)) != -1)
		stop = take_option(&call, c);
	if (stop == 0 && optind == argc)
		stop = (int)lk_cli_misuse(command, "%s", missing);
	if (stop != 0) {
		fini_call(&call);
		return stop < 0 ? LK_EXIT_OK : (enum lk_exit)stop;
	}
	call.client = lk_session_open(&call.session, NULL);
	if (call.client == NULL)
		rc = -LK_E_IO;
	else if (verb == NULL && argc - optind == 1 &&
	    strcmp(argv[optind], "-") == 0)
		rc = request_lines(&call);
	else
		rc = request_words(&call, verb, argv + optind,
		    (size_t)(argc - optind));
	fini_call(&call);
	return rc < 0 || call.has_failed ? LK_EXIT_FAILED : LK_EXIT_OK;
}

static enum lk_exit
run_call(int argc, char **argv)
{
	return run(&lk_command_call, NULL, "no verb given", argc, argv);
}

static enum lk_exit
run_sql(int argc, char **argv)
{
	return run(&lk_command_sql, "SQL", "no SQL text given", argc, argv);
}

const struct lk_command lk_command_call = {
	.name = "call",
	.synopsis = "[OPTION…] VERB [ARG…] | -",
	.summary = "Make a request and print the reply",
	.help = OPTIONS_HELP "\n"
	    "With -, requests are read from standard input, one a line, quoted "
	    "as redis-cli\n"
	    "does, and made one after another on one connection:\n"
	    "    BEGIN HERE\n"
	    "    SQL \"UPDATE accounts SET balance = balance - $1\" 10\n"
	    "    COMMIT\n",
	.run = run_call,
};

const struct lk_command lk_command_sql = {
	.name = "sql",
	.synopsis = "[OPTION…] TEXT [PARAMETER…]",
	.summary = "Run one SQL statement; $1, $2 … are the parameters",
	.help = OPTIONS_HELP,
	.run = run_sql,
};
