#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "fault.h"

static const struct {
	const char *name;
	int exit;
} faults[] = {
	[FAULT_NONE] = { "None", EX_OK },
	[FAULT_BAD_REQUEST] = { "BadRequest", EX_DATAERR },
	[FAULT_UNAUTHORIZED] = { "Unauthorized", EX_NOPERM },
	[FAULT_FORBIDDEN] = { "Forbidden", EX_NOPERM },
	[FAULT_NOT_FOUND] = { "NotFound", EX_NOINPUT },
	[FAULT_CONFLICT] = { "Conflict", EX_CANTCREAT },
	[FAULT_TOO_LARGE] = { "PayloadTooLarge", EX_DATAERR },
	[FAULT_TOO_MANY] = { "TooManyRequests", EX_TEMPFAIL },
	[FAULT_UNAVAILABLE] = { "Unavailable", EX_UNAVAILABLE },
	[FAULT_INTERNAL] = { "InternalServerError", EX_OSERR },
};

#define NFAULTS (sizeof(faults) / sizeof(faults[0]))

static void
fill(struct fault *f, enum fault_code code, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void
fill(struct fault *f, enum fault_code code, const char *fmt, va_list ap)
{
	f->code = code;
	vsnprintf(f->text, sizeof(f->text), fmt, ap);
}

int
fault_set(struct fault *f, enum fault_code code, const char *fmt, ...)
{
	va_list ap;

	if (f != NULL) {
		va_start(ap, fmt);
		fill(f, code, fmt, ap);
		va_end(ap);
	}
	return -1;
}

int
fault_errno(struct fault *f, enum fault_code code, const char *fmt, ...)
{
	int error = errno;
	va_list ap;
	size_t len;

	if (f != NULL) {
		va_start(ap, fmt);
		fill(f, code, fmt, ap);
		va_end(ap);
		len = strlen(f->text);
		snprintf(f->text + len, sizeof(f->text) - len, ": %s",
		    strerror(error));
	}
	errno = error;
	return -1;
}

const char *
fault_name(enum fault_code code)
{
	return faults[code < NFAULTS ? code : FAULT_INTERNAL].name;
}

enum fault_code
fault_code(const char *name, size_t len)
{
	size_t i;

	for (i = FAULT_BAD_REQUEST; i < NFAULTS; i++) {
		if (strlen(faults[i].name) == len &&
		    memcmp(faults[i].name, name, len) == 0)
			return (enum fault_code)i;
	}
	return FAULT_INTERNAL;
}

int
fault_exit(enum fault_code code)
{
	return faults[code < NFAULTS ? code : FAULT_INTERNAL].exit;
}
