#ifndef FAULT_H
#define FAULT_H

#include <stddef.h>

/*
 * Why something was refused: a class that callers act on, and words for people.
 * The names are the error codes of the local protocol, egns-protocol(7).
 */
enum fault_code {
	FAULT_NONE,
	FAULT_BAD_REQUEST,  /* BadRequest: malformed, out of range */
	FAULT_UNAUTHORIZED, /* Unauthorized: who are you */
	FAULT_FORBIDDEN,    /* Forbidden: no grant */
	FAULT_NOT_FOUND,    /* NotFound: no such topic or other resource */
	FAULT_CONFLICT,     /* Conflict: exists already, or is in use */
	FAULT_TOO_LARGE,    /* PayloadTooLarge */
	FAULT_TOO_MANY,     /* TooManyRequests: a limit or a full disk; later */
	FAULT_UNAVAILABLE,  /* Unavailable: a daemon that cannot be reached */
	FAULT_INTERNAL,     /* InternalServerError: the machine's fault */
};

struct fault {
	enum fault_code code;
	char text[512]; /* one line, no newline, text from outside quoted */
};

/* Fill in a fault (which may be NULL). Always returns -1. */
int fault_set(struct fault *, enum fault_code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Like fault_set, with ": " and strerror(errno) behind. Keeps errno. */
int fault_errno(struct fault *, enum fault_code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* "BadRequest"; never NULL. */
const char *fault_name(enum fault_code);

/* The code of such a name; FAULT_INTERNAL for one not known. */
enum fault_code fault_code(const char *name, size_t len);

/* The sysexits(3) status that a command ends with. */
int fault_exit(enum fault_code);

#endif
