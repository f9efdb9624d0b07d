/* What each coroutine of `lockkeeper bench` asks for, and asks for next. */
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"

#define FIND_ROWS	"10"
#define MAX_AMOUNT	10
#define MAX_WORDS	16
#define NUMBER_BYTES	24

/* ---- requests ---- */

struct request {
	struct lk_bench_word	args[MAX_WORDS];
	size_t		n_args;
	char		numbers[MAX_WORDS][NUMBER_BYTES];
};

static void
put(struct request *request, const char *word)
{
	request->args[request->n_args++] =
	    (struct lk_bench_word){ word, strlen(word) };
}

static void
put_number(struct request *request, const char *sign, uint64_t number)
{
	char *text = request->numbers[request->n_args];
	char *p = text + NUMBER_BYTES;

	do {
		*--p = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	if (sign[0] != '\0')
		*--p = sign[0];
	request->args[request->n_args++] =
	    (struct lk_bench_word){ p, (size_t)(text + NUMBER_BYTES - p) };
}

static void
begin_request(struct request *request, const struct lk_bench_task *task,
    unsigned step)
{
	request->n_args = 0;
	put_number(request, "@", (uint64_t)task->number << LK_BENCH_STEP_BITS | step);
}

/* One that names its coroutine, as those of a transaction have to. */
static void
begin_named(struct request *request, const struct lk_bench_task *task,
    unsigned step)
{
	begin_request(request, task, step);
	put_number(request, "%", task->number);
}

static void
send_request(const struct request *request, const struct lk_bench_task *task)
{
	lk_bench_encode(task->out, request->args, request->n_args);
}

static unsigned
random_below(struct lk_bench_scene *scene, unsigned n)
{
	uint64_t x = scene->random;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	scene->random = x;
	return (unsigned)((x >> 32) * n >> 32);
}

static unsigned
random_row(struct lk_bench_scene *scene)
{
	return 1 + random_below(scene, scene->n_rows);
}

static void
put_get(struct request *request, const struct lk_bench_scene *scene,
    unsigned row)
{
	put(request, "GET");
	put(request, scene->table);
	put_number(request, "", row);
}

static void
put_update(struct request *request, const struct lk_bench_scene *scene,
    unsigned row, const char *op, unsigned amount)
{
	put(request, "UPDATE");
	put(request, scene->table);
	put_number(request, "", row);
	put(request, "SET");
	put(request, "balance");
	put(request, op);
	put_number(request, "", amount);
}

static bool
begins_with(const struct lk_bench_reply *reply, const char *kind)
{
	size_t n = strlen(kind);

	return reply->n_line > n && memcmp(reply->line, kind, n) == 0 &&
	    reply->line[n] == ' ';
}

/* What a program would do again; an answer to it has to be expected. */
static bool
has_lost(const struct lk_bench_reply *reply)
{
	return reply->type == '-' && (begins_with(reply, "DEADLOCK") ||
	    begins_with(reply, "SERIALIZE"));
}

/* An error, or no row where there must be one. */
static bool
has_failed(const struct lk_bench_reply *reply)
{
	return reply->type == '-' || reply->type == '_' ||
	    (reply->type == '$' && reply->line[0] == '-');
}

static unsigned
step_of(const struct lk_bench_reply *reply)
{
	return reply->tag & ((1u << LK_BENCH_STEP_BITS) - 1);
}

/* ---- single requests ---- */

static void
begin_get(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	struct request request;

	begin_request(&request, task, 0);
	put_get(&request, scene, random_row(scene));
	send_request(&request, task);
}

static void
begin_find(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	struct request request;

	begin_request(&request, task, 0);
	put(&request, "FIND");
	put(&request, scene->table);
	put(&request, "WHERE");
	put(&request, "id");
	put(&request, ">=");
	put_number(&request, "", random_row(scene));
	put(&request, "ORDER");
	put(&request, "id");
	put(&request, "LIMIT");
	put(&request, FIND_ROWS);
	send_request(&request, task);
}

/* Step 1 adds to a balance, step 0 does not. */
static void
update_row(struct lk_bench_scene *scene, struct lk_bench_task *task,
    unsigned row)
{
	struct request request;

	begin_request(&request, task, 1);
	put_update(&request, scene, row, "+=", 1);
	send_request(&request, task);
}

static void
begin_update(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	update_row(scene, task, random_row(scene));
}

static void
begin_hot(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	update_row(scene, task, 1);
}

static void
begin_mix(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	unsigned dice = random_below(scene, 10);

	if (dice < 8)
		begin_get(scene, task);
	else if (dice == 8)
		begin_find(scene, task);
	else
		begin_update(scene, task);
}

static enum lk_bench_next
end_single(struct lk_bench_scene *scene, struct lk_bench_task *task,
    const struct lk_bench_reply *reply)
{
	(void)task;
	if (has_failed(reply))
		return LK_BENCH_FAILED;
	scene->added += step_of(reply);
	return LK_BENCH_DONE;
}

void
lk_bench_touch(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	update_row(scene, task, 0);
}

void
lk_bench_ping(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	struct request request;

	(void)scene;
	begin_request(&request, task, 0);
	put(&request, "PING");
	send_request(&request, task);
}

/* ---- transfers ---- */

static void
choose_transfer(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	task->from = random_row(scene);
	task->to = 1 + random_below(scene, scene->n_rows - 1);
	task->to += task->to >= task->from;
	if (scene->is_in_order && task->to < task->from) {
		unsigned low = task->to;

		task->to = task->from;
		task->from = low;
	}
	task->amount = 1 + random_below(scene, MAX_AMOUNT);
}

enum step {
	STEP_BEGIN,
	STEP_GET,
	STEP_TAKE,
	STEP_GIVE,
	STEP_END,
	STEP_ROLLBACK,
};

/* The verbs between the first and the last, in either kind. */
static void
put_step(struct request *request, const struct lk_bench_scene *scene,
    const struct lk_bench_task *task, enum step step)
{
	if (step == STEP_GET)
		put_get(request, scene, task->from);
	else if (step == STEP_TAKE)
		put_update(request, scene, task->from, "-=", task->amount);
	else
		put_update(request, scene, task->to, "+=", task->amount);
}

static void
send_unit(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	struct request request;
	unsigned step;

	for (step = STEP_BEGIN; step <= STEP_END; step++) {
		begin_named(&request, task, step);
		if (step == STEP_BEGIN)
			put(&request, "MULTI");
		else if (step == STEP_END)
			put(&request, "EXEC");
		else
			put_step(&request, scene, task, step);
		send_request(&request, task);
	}
}

static void
begin_unit(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	choose_transfer(scene, task);
	send_unit(scene, task);
}

static enum lk_bench_next
go_on_unit(struct lk_bench_scene *scene, struct lk_bench_task *task,
    const struct lk_bench_reply *reply)
{
	bool is_last = step_of(reply) == STEP_END;

	if (is_last && has_lost(reply)) {
		scene->n_lost++;
		send_unit(scene, task);
		return LK_BENCH_ASKED;
	}
	if (has_failed(reply))
		return LK_BENCH_FAILED;
	return is_last ? LK_BENCH_DONE : LK_BENCH_ASKED;
}

static void
send_step(struct lk_bench_scene *scene, struct lk_bench_task *task,
    enum step step)
{
	struct request request;

	task->step = step;
	begin_named(&request, task, step);
	if (step != STEP_BEGIN)
		put_number(&request, "#", (uint64_t)task->tx);
	if (step == STEP_BEGIN)
		put(&request, "BEGIN");
	else if (step == STEP_END)
		put(&request, "COMMIT");
	else if (step == STEP_ROLLBACK)
		put(&request, "ROLLBACK");
	else
		put_step(&request, scene, task, step);
	send_request(&request, task);
}

static void
begin_tx(struct lk_bench_scene *scene, struct lk_bench_task *task)
{
	choose_transfer(scene, task);
	send_step(scene, task, STEP_BEGIN);
}

static enum lk_bench_next
go_on_tx(struct lk_bench_scene *scene, struct lk_bench_task *task,
    const struct lk_bench_reply *reply)
{
	if (has_lost(reply) && task->step > STEP_BEGIN &&
	    task->step < STEP_END) {
		scene->n_lost++;
		send_step(scene, task, STEP_ROLLBACK);
		return LK_BENCH_ASKED;
	}
	if (has_failed(reply))
		return LK_BENCH_FAILED;
	if (task->step == STEP_END)
		return LK_BENCH_DONE;
	if (task->step == STEP_BEGIN)
		task->tx = strtoll(reply->line, NULL, 10);
	send_step(scene, task, task->step == STEP_ROLLBACK ? STEP_BEGIN :
	    task->step + 1);
	return LK_BENCH_ASKED;
}

const struct lk_bench_work lk_bench_works[] = {
	{ "get", "GET of a row by its key", false, false,
	    begin_get, end_single },
	{ "find", "FIND of " FIND_ROWS " rows in the key's order", false,
	    false, begin_find, end_single },
	{ "update", "UPDATE of a row", false, false, begin_update,
	    end_single },
	{ "hot", "UPDATE of the same row by all", true, false, begin_hot,
	    end_single },
	{ "transfer-unit", "from a row to another, in a unit (MULTI, EXEC)",
	    false, true, begin_unit, go_on_unit },
	{ "transfer-tx", "the same in a transaction, word by word (BEGIN, "
	    "COMMIT)", false, true, begin_tx, go_on_tx },
	{ "mix", "of ten requests eight GET, one FIND and one UPDATE", false,
	    false, begin_mix, end_single },
};

const size_t lk_bench_n_works =
    sizeof(lk_bench_works) / sizeof(lk_bench_works[0]);
