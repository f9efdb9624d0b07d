/* Lines of words, and what else the library has that needs nothing. */
#include <lockkeeper.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/version.h"
#include "resp/request.h"

struct lk_line {
	size_t		 n_words;
	const char	**words;	/* behind this */
	size_t		*lens;
};

const char *
lk_version(void)
{
	return LK_VERSION;
}

/* All in one piece of memory. */
static struct lk_line *
make_line(const struct lk_arg *args, size_t n_args)
{
	size_t n_text = 0, i;
	struct lk_line *line;
	char *text;

	for (i = 0; i < n_args; i++)
		n_text += args[i].len + 1;
	line = malloc(sizeof(*line) + n_args * (sizeof(char *) +
	    sizeof(size_t)) + n_text);
	if (line == NULL)
		return NULL;
	line->n_words = n_args;
	line->words = (const char **)(void *)(line + 1);
	line->lens = (size_t *)(void *)(line->words + n_args);
	text = (char *)(line->lens + n_args);
	for (i = 0; i < n_args; i++) {
		line->words[i] = text;
		line->lens[i] = args[i].len;
		if (args[i].len > 0)
			memcpy(text, args[i].data, args[i].len);
		text[args[i].len] = '\0';
		text += args[i].len + 1;
	}
	return line;
}

/* bytes end in a line end. */
static struct lk_line *
parse_bytes(const char *bytes, size_t n)
{
	struct lk_request_decoder *decoder;
	struct lk_line *line = NULL;
	struct lk_error error = { 0 };
	const struct lk_arg *args;
	size_t n_args, used;
	int rc;

	decoder = lk_request_decoder_new(LK_LINE_MAX + 2);
	rc = lk_request_decode(decoder, bytes, n, &args, &n_args, &used,
	    &error);
	errno = rc == -LK_E_NOMEM ? ENOMEM : EINVAL;
	if (rc == 0 && used == n)
		line = make_line(args, n_args);
	lk_request_decoder_free(&decoder);
	lk_error_fini(&error);
	return line;
}

struct lk_line *
lk_line_parse(const char *text, size_t n)
{
	struct lk_buf bytes = LK_BUF_INIT;
	struct lk_line *line = NULL;

	errno = EINVAL;
	if (n > LK_LINE_MAX || (n > 0 && text[0] == '*'))
		return NULL;
	lk_buf_append(&bytes, text, n);
	if (n == 0 || text[n - 1] != '\n')
		lk_buf_putc(&bytes, '\n');
	if (bytes.broken)
		errno = ENOMEM;
	else
		line = parse_bytes(bytes.data, bytes.len);
	lk_buf_fini(&bytes);
	return line;
}

void
lk_line_free(struct lk_line **line)
{
	free(*line);
	*line = NULL;
}

size_t
lk_line_words(const struct lk_line *line, const char *const **words_out,
    const size_t **lens_out)
{
	*words_out = line->words;
	*lens_out = line->lens;
	return line->n_words;
}
