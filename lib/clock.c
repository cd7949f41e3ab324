#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"

#define DAY INT64_C(86400)
#define YEAR_9999 INT64_C(253402300799) /* its last second */
#define YEAR_0 INT64_C(-62167219200)    /* its first */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *file;        /* NULL when the clock cannot be moved */
static _Atomic int64_t offset;  /* microseconds */
static _Atomic int64_t checked; /* when the file was read, by the raw clock */

static int64_t
raw(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

/* Decimal digits from *p on, at most max of them; their number. */
static int
digits(const char **p, const char *end, int max, int64_t *value)
{
	int n;

	*value = 0;
	for (n = 0; n < max && *p < end && **p >= '0' && **p <= '9'; n++)
		*value = *value * 10 + (*(*p)++ - '0');
	return n;
}

/* Exactly n digits. */
static bool
exactly(const char **p, const char *end, int n, int64_t *value)
{
	return digits(p, end, n, value) == n;
}

/* One of the characters in set. */
static bool
one(const char **p, const char *end, const char *set, char *which)
{
	if (*p == end || **p == '\0' || strchr(set, **p) == NULL)
		return false;
	*which = *(*p)++;
	return true;
}

/* A point and digits, in microseconds; what is finer is cut off. */
static bool
fraction(const char **p, const char *end, int64_t *us)
{
	int64_t finer;
	int n;

	*us = 0;
	if (*p == end || **p != '.')
		return true;
	++*p;
	if ((n = digits(p, end, 6, us)) == 0)
		return false;
	for (; n < 6; n++)
		*us *= 10;
	while (digits(p, end, 9, &finer) > 0)
		;
	return true;
}

/* "SECONDS" with an optional sign and fraction, and space around it. */
static bool
parse_offset(const char *p, const char *end, int64_t *us)
{
	int64_t seconds, part;
	char sign = '+';

	while (p < end && strchr(" \t\r\n", *p) != NULL && *p != '\0')
		p++;
	while (end > p && strchr(" \t\r\n", end[-1]) != NULL && end[-1] != '\0')
		end--;
	one(&p, end, "+-", &sign);
	if (digits(&p, end, 11, &seconds) == 0 || !fraction(&p, end, &part) ||
	    p != end)
		return false;
	*us = seconds * CLOCK_SECOND + part;
	if (sign == '-')
		*us = -*us;
	return true;
}

static void
read_file(void)
{
	char text[64];
	int64_t us;
	ssize_t n;
	int fd;

	if ((fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK)) == -1) {
		if (errno == ENOENT)
			offset = 0;
		return;
	}
	n = read(fd, text, sizeof(text));
	if (n > 0 && parse_offset(text, text + n, &us))
		offset = us;
	close(fd);
}

static void
start(void)
{
	file = getenv("EGNS_CLOCK");
	if (file != NULL && *file == '\0')
		file = NULL;
	if (file != NULL)
		read_file();
	checked = raw(CLOCK_MONOTONIC);
}

/*
 * The whole file is read each time: to ask for its mtime first would cost the
 * same, and miss two changes within one tick of the kernel's clock.
 */
static int64_t
moved(void)
{
	int error = errno;
	int64_t now;

	pthread_once(&once, start);
	if (file == NULL)
		return 0;
	now = raw(CLOCK_MONOTONIC);
	if (now - checked >= CLOCK_CHECK_MS * INT64_C(1000)) {
		checked = now;
		read_file();
		errno = error;
	}
	return offset;
}

int64_t
clock_now(void)
{
	return raw(CLOCK_REALTIME) + moved();
}

int64_t
clock_mono(void)
{
	return raw(CLOCK_MONOTONIC) + moved();
}

bool
clock_movable(void)
{
	pthread_once(&once, start);
	return file != NULL;
}

static void
put(char *p, int n, int64_t value)
{
	while (n-- > 0) {
		p[n] = (char)('0' + value % 10);
		value /= 10;
	}
}

/* "2026-01-31T12:00:00." */
static void
format_second(char *text, int64_t second)
{
	time_t t = (time_t)second;
	struct tm tm;

	gmtime_r(&t, &tm);
	memcpy(text, "0000-00-00T00:00:00.", 20);
	put(text, 4, tm.tm_year + 1900);
	put(text + 5, 2, tm.tm_mon + 1);
	put(text + 8, 2, tm.tm_mday);
	put(text + 11, 2, tm.tm_hour);
	put(text + 14, 2, tm.tm_min);
	put(text + 17, 2, tm.tm_sec);
}

void
clock_format(char text[CLOCK_TEXT + 1], int64_t us)
{
	/* most times to be written are of the second that it is */
	static _Thread_local int64_t cached = INT64_MIN;
	static _Thread_local char cache[20];
	int64_t second = us / CLOCK_SECOND, part = us % CLOCK_SECOND;

	if (part < 0) {
		part += CLOCK_SECOND;
		second--;
	}
	if (second < YEAR_0 || second > YEAR_9999) {
		part = second < YEAR_0 ? 0 : CLOCK_SECOND - 1;
		second = second < YEAR_0 ? YEAR_0 : YEAR_9999;
	}
	if (second != cached) {
		format_second(cache, second);
		cached = second;
	}
	memcpy(text, cache, 20);
	put(text + 20, 6, part);
	text[26] = 'Z';
	text[27] = '\0';
}

static int64_t
days_of_month(int64_t year, int64_t month)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30,
		31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

/*
 * Days from 1970-01-01 in the Gregorian calendar, with years that begin in
 * March so that a leap day is the last of its year; 719468 is the distance of
 * 0000-03-01. year is shifted by 400, which makes it positive.
 */
static int64_t
days_of_date(int64_t year, int64_t month, int64_t day)
{
	int64_t y = year + 400 - (month <= 2);
	int64_t m = month > 2 ? month - 3 : month + 9;

	return 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day -
	    1 - 719468 - 146097;
}

/* 'Z' or +hh:mm, in seconds to take off. */
static bool
zone(const char **p, const char *end, int64_t *seconds)
{
	int64_t hour, minute;
	char c, colon;

	*seconds = 0;
	if (!one(p, end, "Zz+-", &c))
		return false;
	if (c == 'Z' || c == 'z')
		return true;
	if (!exactly(p, end, 2, &hour) || !one(p, end, ":", &colon) ||
	    !exactly(p, end, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*seconds = hour * 3600 + minute * 60;
	if (c == '-')
		*seconds = -*seconds;
	return true;
}

int
clock_parse(const char *text, size_t len, int64_t *us)
{
	const char *p = text, *end = text + len;
	int64_t year, month, day, hour, minute, sec, part, off, t;
	char c;

	if (!exactly(&p, end, 4, &year) || !one(&p, end, "-", &c) ||
	    !exactly(&p, end, 2, &month) || !one(&p, end, "-", &c) ||
	    !exactly(&p, end, 2, &day) || !one(&p, end, "Tt", &c) ||
	    !exactly(&p, end, 2, &hour) || !one(&p, end, ":", &c) ||
	    !exactly(&p, end, 2, &minute) || !one(&p, end, ":", &c) ||
	    !exactly(&p, end, 2, &sec) || !fraction(&p, end, &part) ||
	    !zone(&p, end, &off) || p != end)
		return -1;
	if (month < 1 || month > 12 || day < 1 ||
	    day > days_of_month(year, month) || hour > 23 || minute > 59 ||
	    sec > 60)
		return -1;
	t = days_of_date(year, month, day) * DAY + hour * 3600 + minute * 60 +
	    sec - off;
	/* RFC 3339, 5.7: second 60 is the last of a day in UTC */
	if (sec == 60 && t % DAY != 0)
		return -1;
	*us = t * CLOCK_SECOND + part;
	return 0;
}

int
clock_duration(const char *text, size_t len, int64_t *us)
{
	static const struct {
		char letter;
		bool time; /* behind the T */
		int64_t seconds;
	} parts[] = { { 'Y', false, 365 * DAY }, { 'M', false, 30 * DAY },
		{ 'D', false, DAY }, { 'H', true, 3600 }, { 'M', true, 60 },
		{ 'S', true, 1 } };
	const size_t nparts = sizeof(parts) / sizeof(parts[0]);
	const char *p = text, *end = text + len;
	int64_t n, sum = 0;
	bool time = false;
	size_t i = 0;
	char c;

	if (!one(&p, end, "P", &c))
		return -1;
	do {
		if (!time && one(&p, end, "T", &c))
			time = true;
		if (digits(&p, end, 9, &n) == 0 || p == end)
			return -1;
		while (i < nparts &&
		    (parts[i].time != time || parts[i].letter != *p))
			i++;
		if (i == nparts)
			return -1;
		if (__builtin_mul_overflow(n, parts[i].seconds, &n) ||
		    __builtin_mul_overflow(n, CLOCK_SECOND, &n) ||
		    __builtin_add_overflow(sum, n, &sum))
			return -1;
		i++, p++;
	} while (p < end);
	*us = sum;
	return 0;
}
