/* A record of the log, and the line that it becomes. */
#ifndef LK_BASE_LOGLINE_H
#define LK_BASE_LOGLINE_H

#include <time.h>

#include "base/log.h"

struct lk_logline {
	struct timespec	 at;
	enum lk_log_level level;
	uint64_t	 client, tx;	/* as in struct lk_log_about */
	int		 pid;
	size_t		 n_text;	/* bytes of the text, any but NUL */
	size_t		 n_members;	/* bytes of JSON behind the text */
};

/* The members that a record's fields are in JSON, a comma before each. */
void	lk_logline_put_fields(struct lk_buf *out,
	    const struct lk_log_field *fields, size_t n);
/* The finished line; `bytes` are the text and the members. */
void	lk_logline_put(struct lk_buf *out, const struct lk_log_form *form,
	    const struct lk_logline *line, const char *bytes);

#endif
