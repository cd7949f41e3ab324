#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

#define LINE 2048 /* bytes: a fault's text, names and words around it */

static int verbose;

/* One second's allowance; the committer's thread may log too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static time_t second;
static unsigned int said, held;

/* One write, so that lines of several processes do not mix. */
static void
say(const char *level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
say(const char *level, const char *fmt, va_list ap)
{
	char line[LINE], *p;
	int n;

	n = snprintf(line, sizeof(line) / 2, "%.64s: %s: ",
	    program_invocation_short_name, level);
	vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, ap);
	for (p = line; *p != '\0'; p++) {
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	}
	*p++ = '\n';
	if (write(STDERR_FILENO, line, (size_t)(p - line)) == -1)
		return; /* nowhere left to say so */
}

static void
sayf(const char *level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
sayf(const char *level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(level, fmt, ap);
	va_end(ap);
}

static void
report_held(void)
{
	if (held > 0)
		sayf("warn", "%u lines held back", held);
	held = 0;
}

static void
say_bounded(const char *level, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

static void
say_bounded(const char *level, const char *fmt, va_list ap)
{
	struct timespec now;
	int error = errno;

	pthread_mutex_lock(&lock);
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != second) {
		second = now.tv_sec;
		said = 0;
		report_held();
	}
	if (said < LOG_BURST) {
		said++;
		errno = error;
		say(level, fmt, ap);
	} else {
		held++;
	}
	pthread_mutex_unlock(&lock);
	errno = error;
}

void
log_verbose(int level)
{
	verbose = level;
}

void
log_debug(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	if (verbose < 2)
		return;
	va_start(ap, fmt);
	say("debug", fmt, ap);
	va_end(ap);
	errno = error;
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	if (verbose < 1)
		return;
	va_start(ap, fmt);
	say_bounded("info", fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_bounded("warn", fmt, ap);
	va_end(ap);
}

void
log_fatal(int status, const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	report_held();
	errno = error;
	va_start(ap, fmt);
	say("fatal", fmt, ap);
	va_end(ap);
	exit(status);
}
