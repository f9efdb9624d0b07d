#include "base/clock.h"

#include <time.h>

static uint64_t
read_clock(clockid_t which)
{
	struct timespec ts;

	clock_gettime(which, &ts);
	return (uint64_t)ts.tv_sec * LK_US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
lk_clock_us(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t
lk_wall_us(void)
{
	return read_clock(CLOCK_REALTIME);
}
