/*
 * Replies as the program gets them.  What lockkeeper.h calls a struct lk_reply
 * is a struct lk_value, and that of a reply as a whole the first member of a
 * struct lk_root: one piece of memory beside the block of its values.
 */
#ifndef LK_CLIENT_REPLY_H
#define LK_CLIENT_REPLY_H

#include <lockkeeper.h>

#include "base/error.h"
#include "resp/value.h"

/*
 * What value comes to, whose block it takes; value is empty after.  Its errors
 * are taken apart in place.  Never NULL: without memory it is an error.
 */
struct lk_reply *lk_reply_take(struct lk_value *value);
/* The same of one of its elements; the others go with it. */
struct lk_reply *lk_reply_take_item(struct lk_value *value, size_t i);

/* An error that this library says. */
struct lk_reply *lk_reply_local(enum lk_error_kind kind, const char *fmt, ...)
	    __attribute__((format(printf, 2, 3)));
/* A simple string that this library says. */
struct lk_reply *lk_reply_word(const char *word);

#endif
