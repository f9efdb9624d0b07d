#include "db/backoff.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/heap.h"

#define MIN_US	(100 * LK_US_PER_MS)
/* For so long a server is away to those who ask, though it is back. */
#define MAX_US	LK_US_PER_S

void
lk_backoff_init(struct lk_backoff *backoff, unsigned seed)
{
	lk_assert_worker();
	backoff->seed = (unsigned)lk_clock_us() ^ seed;
	lk_backoff_reset(backoff);
}

void
lk_backoff_reset(struct lk_backoff *backoff)
{
	lk_assert_worker();
	backoff->next_us = MIN_US;
}

void
lk_backoff_wait(struct lk_backoff *backoff, struct lk_session *session)
{
	uint64_t quarter = backoff->next_us / 4;
	uint64_t due_us = lk_clock_us() + backoff->next_us - quarter +
	    (uint64_t)rand_r(&backoff->seed) % (2 * quarter);

	lk_assert_worker();
	while (!session->is_stopping && lk_clock_us() < due_us)
		lk_session_wait(session, 0, due_us);
	backoff->next_us *= 2;
	if (backoff->next_us > MAX_US)
		backoff->next_us = MAX_US;
}
