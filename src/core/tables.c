#include "core/tables.h"

#include "core/internal.h"

void
lk_tables_verbs(struct lk_buf *out)
{
	const struct lk_verb *verb;
	size_t i;

	for (i = 0; (verb = lk_verb_at(i)) != NULL; i++)
		lk_buf_printf(out, "%s\t%s\t%s\t%s\t%s\n", verb->name,
		    verb->syntax,
		    verb->flags & LK_VERB_ON_RECEIPT ? "receipt" : "turn",
		    verb->flags & LK_VERB_TX ? "tx" : "-", verb->summary);
}

void
lk_tables_hello(struct lk_buf *out)
{
#define LK_HELLO_TEXT(word, value, help)				\
	lk_buf_puts(out, word "\t" value "\ttext\t" help "\n");
#define LK_HELLO_WORDS(word, words, help)				\
	lk_buf_puts(out, word "\t" words "\twords\t" help "\n");
#include "core/hello.def"
#undef LK_HELLO_TEXT
#undef LK_HELLO_WORDS
}

void
lk_tables_envelope(struct lk_buf *out)
{
#define LK_ENVELOPE(sign, value, help)					\
	lk_buf_puts(out, sign "\t" value "\t" help "\n");
#include "core/envelope.def"
#undef LK_ENVELOPE
}

void
lk_tables_pushes(struct lk_buf *out)
{
#define LK_PUSH(kind, key, help)					\
	lk_buf_puts(out, kind "\t" key "\t" help "\n");
#include "core/pushes.def"
#undef LK_PUSH
}

void
lk_tables_replies(struct lk_buf *out)
{
#define LK_REPLY(list, key, help)					\
	lk_buf_puts(out, list "\t" key "\t" help "\n");
#include "core/replies.def"
#undef LK_REPLY
}

void
lk_tables_stats(struct lk_buf *out)
{
#define LK_STAT(name, help) lk_buf_puts(out, #name "\t" help "\n");
#include "core/stats.def"
#undef LK_STAT
}

void
lk_tables_show(struct lk_buf *out)
{
#define LK_SHOW(list, column, help)					\
	lk_buf_puts(out, #list "\t" #column "\t" help "\n");
#include "core/show.def"
#undef LK_SHOW
#define LK_STAT(name, help)						\
	lk_buf_puts(out, "stats\t" #name "\t" help "\n");
#include "core/stats.def"
#undef LK_STAT
#define LK_FIELD(symbol, name, help)					\
	lk_buf_puts(out, "error\t" name "\t" help "\n");
#include "base/fields.def"
#undef LK_FIELD
}
