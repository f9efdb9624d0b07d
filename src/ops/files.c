#include "ops/files.h"

#include <sys/resource.h>

/* A session's socket, its thread's inbox, and the connection of a cancel. */
#define FILES_PER_SESSION	3
/* Standard streams, log, epoll, timers, the listening socket, one connection
 * over the limit that is to be told so, and what libraries open. */
#define FILES_OWN		64

static rlim_t
count_files(const struct lk_config *config)
{
	rlim_t n = FILES_OWN + config->limit_clients;
	size_t i;

	/* And a watcher each, and a channel listener. */
	for (i = 0; i < config->n_databases; i++)
		n += FILES_PER_SESSION *
		    ((rlim_t)config->databases[i].workers_max +
		    config->databases[i].workers_reserve + 2);
	return n;
}

int
lk_files_allow(const struct lk_config *config, struct lk_error *error)
{
	rlim_t need = count_files(config);
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= need)
		return 0;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need;	/* which root may */
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	getrlimit(RLIMIT_NOFILE, &limit);
	lk_error_set(error, LK_ERR_SYNTAX, "limits.clients: %u clients and the "
	    "sessions need %llu open files, and no more than %llu are allowed: "
	    "lower limits.clients, or raise the limit (LimitNOFILE= of the "
	    "service, ulimit -Hn)", (unsigned)config->limit_clients,
	    (unsigned long long)need, (unsigned long long)limit.rlim_max);
	return -LK_E_LIMIT;
}
