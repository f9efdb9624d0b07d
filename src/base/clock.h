/*
 * Time in microseconds.  The monotonic clock is what every deadline and age is
 * counted in; the wall clock is only for people and for numbering handles.
 * core takes the time as an argument, so a simulator can bring its own.
 */
#ifndef LK_BASE_CLOCK_H
#define LK_BASE_CLOCK_H

#include <stdint.h>

#define LK_US_PER_MS	1000ULL
#define LK_US_PER_S	1000000ULL

uint64_t lk_clock_us(void);	/* CLOCK_MONOTONIC */
uint64_t lk_wall_us(void);	/* CLOCK_REALTIME since 1970 */

#endif
