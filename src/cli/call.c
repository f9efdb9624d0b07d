/* `lockkeeper call` and `lockkeeper sql`: requests from the command line. */
#include <errno.h>
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

#define MAX_ENVELOPE	4

struct call {
	const struct lk_command	*command;
	struct lk_session_options session;
	struct lk_conn	*conn;
	char		*envelope[MAX_ENVELOPE];	/* heap; "%task" … */
	size_t		 n_envelope;
	size_t		 max_width;	/* of tables; 0: any */
	bool		 is_json;
	bool		 has_failed;	/* a reply was an error */
	bool		 is_subscriber;	/* messages are what it waits for */
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

	lk_conn_free(&call->conn);
	for (i = 0; i < call->n_envelope; i++)
		free(call->envelope[i]);
}

static void
print_reply(struct call *call, const struct lk_reply *reply)
{
	struct lk_buf text = LK_BUF_INIT;

	if (lk_reply_is_error(reply)) {
		call->has_failed = true;
		fflush(stdout);
		lk_print_error(&text, reply);
		fprintf(stderr, "%s\n", lk_buf_cstr(&text));
	} else if (call->is_json) {
		lk_print_json(&text, reply);
		lk_buf_putc(&text, '\n');
	} else {
		lk_print_human(&text, reply, call->max_width);
	}
	if (text.broken) {
		call->has_failed = true;
		lk_cli_say("no memory to print a reply of this size");
	} else if (!lk_reply_is_error(reply)) {
		fwrite(text.data, 1, text.len, stdout);
		fflush(stdout);
	}
	lk_buf_fini(&text);
}

static bool
is_word(const char *word, const char *wanted)
{
	return word != NULL && strcasecmp(word, wanted) == 0;
}

/* One, but for the verbs that get one for each channel; and who is subscribed
 * is there for what comes then. */
static size_t
count_replies(const char *const *words, size_t n_words)
{
	size_t n_tags = 0;

	while (n_words > 0 && words[0] != NULL && words[0][0] != '\0' &&
	    strchr("@%#~?/=!", words[0][0]) != NULL) {
		n_tags += words[0][0] == '@';
		words++;
		n_words--;
	}
	if (n_words > 0 && is_word(words[0], "SUBSCRIBE"))
		return SIZE_MAX;
	if (n_words > 1 && is_word(words[0], "UNSUBSCRIBE"))
		return n_words - 1 + n_tags;
	return n_words > 0 && is_word(words[0], "UNSUBSCRIBE") ? 1 + n_tags :
	    1;
}

/* A subscriber's messages go where replies do. */
static void
take_push(void *arg, struct lk_conn *conn, const struct lk_reply *push)
{
	struct call *call = arg;

	if (call->is_subscriber)
		print_reply(call, push);
	else
		lk_session_print_push(NULL, conn, push);
}

/*
 * Print and free it; the error of a tagged request is inside its reply.
 * Whether more may follow, as none does behind an error.
 */
static bool
take_reply(struct call *call, struct lk_reply *reply)
{
	const struct lk_reply *shown = reply;
	bool is_error;

	if (lk_print_is_tagged(reply) &&
	    lk_reply_is_error(lk_reply_at(reply, 2)))
		shown = lk_reply_at(reply, 2);
	is_error = lk_reply_is_error(shown);
	print_reply(call, shown);
	lk_reply_free(&reply);
	return !is_error;
}

/* The next one; NULL, and said why, when there is no daemon any more. */
static struct lk_reply *
read_reply(struct call *call)
{
	struct lk_reply *reply = lk_read(call->conn);

	if (!lk_reply_is_local(reply))
		return reply;
	lk_cli_say("%s", lk_reply_text(reply, NULL));
	lk_reply_free(&reply);
	return NULL;
}

/* 0 when there was a reply, if only an error.  lens NULL: strings. */
static int
make_request(struct call *call, const char *const *words, const size_t *lens,
    size_t n_words)
{
	size_t n = call->n_envelope + n_words, i;
	size_t n_replies = count_replies(words, n_words);
	const char **all = lk_xcalloc(n, sizeof(*all));
	size_t *all_lens = lk_xcalloc(n, sizeof(*all_lens));
	struct lk_reply *reply = NULL;

	call->is_subscriber |= n_replies == SIZE_MAX;
	for (i = 0; i < n; i++) {
		all[i] = i < call->n_envelope ? call->envelope[i] :
		    words[i - call->n_envelope];
		all_lens[i] = i < call->n_envelope || lens == NULL ?
		    strlen(all[i]) : lens[i - call->n_envelope];
	}
	if (lk_send(call->conn, n, all, all_lens) < 0 && errno == ENOMEM)
		lk_cli_say("no memory for a request of this size");
	else	/* which says why, too, when there is no connection */
		reply = read_reply(call);
	free(all);
	free(all_lens);
	while (reply != NULL && take_reply(call, reply) && --n_replies > 0)
		reply = read_reply(call);
	return reply == NULL ? -1 : 0;
}

static int
request_words(struct call *call, const char *first, char **words,
    size_t n_words)
{
	size_t n_first = first != NULL ? 1 : 0, i;
	const char **all = lk_xcalloc(n_words + 1, sizeof(*all));
	int rc;

	all[0] = first;
	for (i = 0; i < n_words; i++)
		all[n_first + i] = words[i];
	rc = make_request(call, all, NULL, n_first + n_words);
	free(all);
	return rc;
}

/* A line that is no request is skipped; what follows may still be of use. */
static int
request_line(struct call *call, const char *text, size_t n_text,
    unsigned n_read)
{
	struct lk_line *line = lk_line_parse(text, n_text);
	const char *const *words;
	const size_t *lens;
	size_t n_words;
	int rc = 0;

	if (line == NULL) {
		lk_cli_say("line %u: %s", n_read, n_text > LK_LINE_MAX ?
		    "too long" : "a request is one line of words here, whose "
		    "quotes are closed");
		call->has_failed = true;
		return 0;
	}
	n_words = lk_line_words(line, &words, &lens);
	if (n_words > 0)
		rc = make_request(call, words, lens, n_words);
	lk_line_free(&line);
	return rc;
}

static int
request_lines(struct call *call)
{
	bool is_prompted = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
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
		rc = request_line(call, line, (size_t)n, ++n_read);
	}
	if (is_prompted && rc == 0)
		putchar('\n');
	free(line);
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
	call.session.on_push = take_push;
	call.session.arg = &call;
	call.conn = lk_session_open(&call.session);
	if (call.conn == NULL)
		rc = -1;
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
