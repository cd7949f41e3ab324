#ifndef CLOCK_H
#define CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The time in microseconds. EGNS_CLOCK=FILE names a file that holds seconds
 * (decimal, a sign and a fraction allowed) to add; it is looked at again at
 * most CLOCK_CHECK_MS later, so a change is in effect within 100 ms. A file
 * that is not there adds nothing; one that makes no sense, as while somebody
 * writes it, changes nothing. Without EGNS_CLOCK a call is one clock_gettime.
 * Any thread may call.
 */
#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_DAY (86400 * CLOCK_SECOND)
#define CLOCK_CHECK_MS 40

/* Since 1970, UTC. */
int64_t clock_now(void);

/* Since some moment, never backwards unless EGNS_CLOCK says so; for I/O. */
int64_t clock_mono(void);

/* Is EGNS_CLOCK in use, so that waits must be short? */
bool clock_movable(void);

/* "2026-01-31T12:00:00.123456Z": always CLOCK_TEXT bytes and a NUL. */
#define CLOCK_TEXT 27
void clock_format(char text[CLOCK_TEXT + 1], int64_t us);

/*
 * RFC 3339, with zone, any number of fraction digits, 'T' or 't', 'Z' or 'z'.
 * 0, or -1 when it is none.
 */
int clock_parse(const char *, size_t, int64_t *us);

/*
 * An ISO 8601 duration, P(n)Y(n)M(n)DT(n)H(n)M(n)S (a year is 365 days, a month
 * 30), in microseconds. 0, or -1 when it is none.
 */
int clock_duration(const char *, size_t, int64_t *us);

#endif
