#include "cli/bench.h"

#define PER_POWER	(1u << LK_HIST_BITS)

/*
 * Values below PER_POWER have a bucket each; those from a power of two to the
 * next share PER_POWER between them.
 */
static size_t
bucket_of(uint64_t ns)
{
	unsigned shift;

	if (ns >> LK_HIST_MAX != 0)
		return LK_HIST_BUCKETS - 1;
	if (ns < PER_POWER)
		return (size_t)ns;
	shift = 63 - (unsigned)__builtin_clzll(ns) - LK_HIST_BITS;
	return ((size_t)shift << LK_HIST_BITS) + (size_t)(ns >> shift);
}

/* The middle of its values. */
static double
value_of(size_t bucket)
{
	size_t shift;

	if (bucket < 2 * PER_POWER)
		return (double)bucket;
	shift = (bucket >> LK_HIST_BITS) - 1;
	return ((double)(bucket - (shift << LK_HIST_BITS)) + 0.5) *
	    (double)(1ULL << shift);
}

void
lk_hist_add(struct lk_hist *hist, uint64_t ns)
{
	hist->n++;
	if (ns > hist->max_ns)
		hist->max_ns = ns;
	hist->counts[bucket_of(ns)]++;
}

double
lk_hist_percentile_us(const struct lk_hist *hist, double percent)
{
	double wanted = (double)hist->n * percent / 100;
	uint64_t n = 0;
	size_t i;

	if (hist->n == 0)
		return 0;
	for (i = 0; i < LK_HIST_BUCKETS; i++) {
		n += hist->counts[i];
		if (n > 0 && (double)n >= wanted)
			return value_of(i) / 1e3;
	}
	return (double)hist->max_ns / 1e3;
}
