#include "client/frame.h"

#include <stdint.h>
#include <string.h>

/* No reply has more elements or longer strings than this. */
#define MAX_COUNT	((int64_t)1 << 40)
#define MAX_DIGITS	13

enum step {
	STEP_ON,
	STEP_MORE,	/* bytes are missing */
	STEP_BAD,
};

void
lk_frame_init(struct lk_frame *frame)
{
	frame->at = 0;
	frame->n_pending = 1;
}

/* The number that a header's line is; -1 is the null of RESP2. */
static enum step
read_count(const char *text, size_t n, int64_t *count_out)
{
	int64_t count = 0;
	size_t i;

	if (n == 2 && memcmp(text, "-1", 2) == 0) {
		*count_out = -1;
		return STEP_ON;
	}
	if (n == 0 || n > MAX_DIGITS)
		return STEP_BAD;
	for (i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return STEP_BAD;
		count = 10 * count + (text[i] - '0');
	}
	*count_out = count;
	return count > MAX_COUNT ? STEP_BAD : STEP_ON;
}

static enum step
skip_header(struct lk_frame *frame, char sign, const char *line, size_t n_line,
    size_t n)
{
	int64_t count = 0;

	switch (sign) {
	case '+': case '-': case ':': case ',': case '#': case '_': case '(':
		frame->n_pending--;
		return STEP_ON;
	case '$': case '!': case '=':
		if (read_count(line, n_line, &count) == STEP_BAD)
			return STEP_BAD;
		if (count < 0)
			count = -2;	/* nor the line end that strings have */
		if ((int64_t)(n - frame->at) < count + 2)
			return STEP_MORE;
		frame->at += (size_t)(count + 2);
		frame->n_pending--;
		return STEP_ON;
	case '*': case '~': case '>': case '%': case '|':
		if (read_count(line, n_line, &count) == STEP_BAD ||
		    frame->n_pending > (size_t)MAX_COUNT)
			return STEP_BAD;
		if (sign != '|')	/* it stands before a value */
			frame->n_pending--;
		if (count > 0)
			frame->n_pending += (size_t)count *
			    (sign == '%' || sign == '|' ? 2 : 1);
		return STEP_ON;
	default:
		return STEP_BAD;
	}
}

static enum step
skip_value(struct lk_frame *frame, const char *bytes, size_t n)
{
	size_t begin = frame->at;
	const char *lf;
	enum step step;

	if (begin == n)
		return STEP_MORE;
	lf = memchr(bytes + begin, '\n', n - begin);
	if (lf == NULL)
		return STEP_MORE;
	if (lf - bytes < (ptrdiff_t)begin + 2 || lf[-1] != '\r')
		return STEP_BAD;
	frame->at = (size_t)(lf - bytes) + 1;
	step = skip_header(frame, bytes[begin], bytes + begin + 1,
	    (size_t)(lf - bytes) - begin - 2, n);
	if (step == STEP_MORE)
		frame->at = begin;
	return step;
}

bool
lk_frame_is_whole(struct lk_frame *frame, const char *bytes, size_t n)
{
	while (frame->n_pending > 0) {
		switch (skip_value(frame, bytes, n)) {
		case STEP_ON:
			break;
		case STEP_MORE:
			return false;
		case STEP_BAD:
			return true;
		}
	}
	return true;
}
