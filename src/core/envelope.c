#include <stdlib.h>
#include <string.h>

#include "base/die.h"
#include "core/internal.h"

#define MAX_TAG		sizeof(((struct lk_request *)NULL)->tag)
#define MAX_TASK	256
#define MAX_HANDLE	(1ULL << 53)
#define MAX_MS		(365ULL * 24 * 3600 * 1000)

/* What the envelope words said, before it is known what they refer to. */
struct envelope {
	unsigned	 seen;		/* bits, by place in `signs` */
	const struct lk_arg *task, *database;
	uint64_t	 handle;
};

static const char signs[] =
#define LK_ENVELOPE(sign, value, help) sign
#include "core/envelope.def"
#undef LK_ENVELOPE
    ;

static int
parse_number(const struct lk_arg *word, uint64_t max, uint64_t *value_out)
{
	uint64_t value = 0;
	size_t i;

	if (word->len < 2 || word->len > 20)
		return -LK_E_INVAL;
	for (i = 1; i < word->len; i++) {
		if (word->data[i] < '0' || word->data[i] > '9')
			return -LK_E_INVAL;
		value = value * 10 + (uint64_t)(word->data[i] - '0');
		if (value > max)
			return -LK_E_INVAL;
	}
	*value_out = value;
	return 0;
}

static bool
has_control_bytes(const char *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++) {
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			return true;
	}
	return false;
}

static int
take_tag(struct lk_request *req, const struct lk_arg *word,
    struct lk_error *error)
{
	size_t n = word->len - 1;

	if (n < 1 || n > MAX_TAG) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "a tag (@) has 1 to %zu bytes, this one has %zu",
		    MAX_TAG, n);
		return -LK_E_INVAL;
	}
	if (lk_request_set_tag(req, word->data + 1, n))
		return 0;
	lk_error_set(error, LK_ERR_SYNTAX,
	    "the tag is in use by a request that has no reply yet");
	return -LK_E_INVAL;
}

static int
take_ms(struct lk_request *req, const struct lk_arg *word,
    struct lk_error *error)
{
	uint64_t ms;

	req->time_said = true;
	if (parse_number(word, MAX_MS, &ms) < 0) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "%s takes a whole number of milliseconds",
		    word->data[0] == '~' ? "~ (deadline)" : "? (lock timeout)");
		return -LK_E_INVAL;
	}
	if (word->data[0] == '~') {
		req->deadline_ms = ms;
		req->deadline_us = req->arrived_us + ms * LK_US_PER_MS;
	} else {
		req->lock_us = ms * LK_US_PER_MS;
	}
	return 0;
}

static int
take_rows(struct lk_request *req, const struct lk_arg *word,
    struct lk_error *error)
{
	static const char *const forms[] = {
		[LK_ROWS_MAPS] = "=maps",
		[LK_ROWS_TABLE] = "=table",
		[LK_ROWS_JSON] = "=json",
	};
	size_t i;

	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (lk_arg_is(word, forms[i])) {
			req->format.rows = (uint8_t)i;
			req->rows_said = true;
			return 0;
		}
	}
	lk_error_set(error, LK_ERR_SYNTAX,
	    "the form of rows is =maps, =table or =json");
	return -LK_E_INVAL;
}

static int
take_name(const struct lk_arg *word, const struct lk_arg **name_out,
    const char *what, struct lk_error *error)
{
	if (word->len < 2 || word->len > MAX_TASK ||
	    has_control_bytes(word->data + 1, word->len - 1)) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "a %s has 1 to %d printable bytes", what, MAX_TASK - 1);
		return -LK_E_INVAL;
	}
	*name_out = word;
	return 0;
}

static int
take_word(struct lk_request *req, struct envelope *env,
    const struct lk_arg *word, struct lk_error *error)
{
	switch (word->data[0]) {
	case '@':
		return take_tag(req, word, error);
	case '%':
		return take_name(word, &env->task, "task (%)", error);
	case '/':
		return take_name(word, &env->database, "database (/)", error);
	case '~':
	case '?':
		return take_ms(req, word, error);
	case '=':
		return take_rows(req, word, error);
	case '#':
		req->tx_said = true;
		if (parse_number(word, MAX_HANDLE, &env->handle) == 0)
			return 0;
		lk_error_set(error, LK_ERR_SYNTAX,
		    "# takes a transaction's handle, as BEGIN gave it");
		return -LK_E_INVAL;
	default:
		if (word->len == 1) {
			req->may_rerun = true;
			return 0;
		}
		lk_error_set(error, LK_ERR_SYNTAX, "! stands alone");
		return -LK_E_INVAL;
	}
}

static const char *
sign_of(const struct lk_arg *arg)
{
	if (arg->data == NULL || arg->len == 0 || arg->data[0] == '\0')
		return NULL;
	return strchr(signs, arg->data[0]);
}

static int
find_database(struct lk_request *req, const struct lk_arg *word,
    struct lk_error *error)
{
	struct lk_arg name = { word->data + 1, word->len - 1 };

	req->database = lk_database_named(req->core, &name, error);
	return req->database != NULL ? 0 : -LK_E_INVAL;
}

static int
find_tx(struct lk_request *req, const struct envelope *env,
    struct lk_error *error)
{
	struct lk_tx *tx = lk_tx_by_handle(req->core, env->handle);

	if (tx == NULL || !lk_tx_may_use(tx, req->client, req->task,
	    env->task != NULL)) {
		lk_error_set(error, LK_ERR_NOTX, "#%llu is no transaction of "
		    "yours: it has ended, or another task or connection "
		    "opened it", (unsigned long long)env->handle);
		return -LK_E_INVAL;
	}
	if (env->database != NULL && req->database != tx->database) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "#%llu is a transaction in %s, not in %s",
		    (unsigned long long)env->handle, tx->database->config->name,
		    req->database->config->name);
		return -LK_E_INVAL;
	}
	req->tx = tx;
	req->database = tx->database;
	return 0;
}

/* What the words refer to; on-receipt verbs wait in nobody's queue. */
static int
resolve(struct lk_request *req, const struct envelope *env,
    struct lk_error *error)
{
	int rc;

	req->database = req->client->database;
	req->database_said = env->database != NULL;
	if (env->database != NULL) {
		rc = find_database(req, env->database, error);
		if (rc < 0)
			return rc;
	}
	if (req->tx_said && !(req->verb->flags & LK_VERB_TX)) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "%s does not run inside a transaction: leave out #",
		    req->verb->name);
		return -LK_E_INVAL;
	}
	if (req->verb->flags & LK_VERB_ON_RECEIPT)
		return 0;
	if (env->task != NULL) {
		req->task = lk_task_named(req->client, env->task->data + 1,
		    env->task->len - 1);
		lk_task_set_client(req->task, req->client);
	}
	rc = req->tx_said ? find_tx(req, env, error) : 0;
	if (rc < 0 && req->task != NULL) {
		lk_task_forget(req->task);
		req->task = NULL;
	}
	return rc;
}

static int
find_verb(struct lk_request *req, const struct lk_arg *word,
    struct lk_error *error)
{
	req->verb = word->data != NULL ?
	    lk_verb_find(word->data, word->len) : NULL;
	if (req->verb != NULL)
		return 0;
	lk_verb_unknown(word, error);
	return -LK_E_INVAL;
}

/* The next element is the verb; or it is MUST, and the verb follows. */
static int
take_verb(struct lk_request *req, const struct lk_arg *args, size_t n_args,
    size_t *at, struct lk_error *error)
{
	const struct lk_verb *must;
	int rc = find_verb(req, &args[(*at)++], error);

	if (rc < 0 || !(req->verb->flags & LK_VERB_PREFIX))
		return rc;
	must = req->verb;
	req->is_must = true;
	if (*at < n_args && find_verb(req, &args[(*at)++], error) < 0)
		return -LK_E_INVAL;
	if ((req->verb->flags & LK_VERB_UNIT) && req->verb->run != lk_run_unit)
		return 0;
	lk_error_set(error, LK_ERR_SYNTAX, "%s stands before SQL, PUBLISH "
	    "or a verb about models: %s", must->name, must->syntax);
	return -LK_E_INVAL;
}

struct lk_task *
lk_envelope_task(struct lk_request *req, const struct lk_arg *args,
    size_t n_args)
{
	const struct lk_arg *name = NULL;
	const char *sign;
	bool has_tag = false;
	size_t i;

	for (i = 0; i < n_args && (sign = sign_of(&args[i])) != NULL; i++) {
		if (*sign == '%')
			name = &args[i];
		has_tag |= *sign == '@';
		req->tx_said |= *sign == '#';
	}
	if (name != NULL)
		return name->len < 2 || name->len > MAX_TASK ? NULL :
		    lk_task_named(req->client, name->data + 1, name->len - 1);
	if (req->tx != NULL)
		return req->tx->owner;
	return has_tag || req->tx_said ? NULL : req->client->task;
}

/*
 * Read the envelope words and the verb; what is left after *n_used_out
 * elements are the verb's arguments.  A tag that was read stands even when
 * something after it is wrong, so that the error finds its way.
 */
int
lk_envelope_parse(struct lk_request *req, const struct lk_arg *args,
    size_t n_args, size_t *n_used_out, struct lk_error *error)
{
	struct envelope env = { 0 };
	const char *sign;
	unsigned bit;
	size_t i;
	int rc;

	for (i = 0; i < n_args && (sign = sign_of(&args[i])) != NULL; i++) {
		bit = 1u << (sign - signs);
		if (env.seen & bit) {
			lk_error_set(error, LK_ERR_SYNTAX,
			    "the envelope word %c stands twice", *sign);
			return -LK_E_INVAL;
		}
		env.seen |= bit;
		rc = take_word(req, &env, &args[i], error);
		if (rc < 0)
			return rc;
	}
	if (i == n_args) {
		lk_error_set(error, LK_ERR_SYNTAX,
		    "the request has no verb after its envelope");
		return -LK_E_INVAL;
	}
	rc = take_verb(req, args, n_args, &i, error);
	if (rc < 0)
		return rc;
	*n_used_out = i;
	return resolve(req, &env, error);
}
