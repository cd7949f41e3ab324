#ifndef PULL_H
#define PULL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "client.h"
#include "fault.h"
#include "spool.h"

struct options {
	const char *spool, *topic, *subscription;
	int64_t events;   /* -n */
	int64_t wait;     /* -w, seconds */
	int64_t delay;    /* --delay, seconds */
	int64_t jobs;     /* -j */
	int64_t batch;    /* --batch; 0: one event, with its facts */
	bool until_empty; /* --until-empty */
	bool verbose;     /* -v */
};

/*
 * A verb: its operation in the protocol (NULL when it has more than one), the
 * letters of the options that it takes, and the rest of its usage.
 */
struct verb {
	const char *name, *op, *options, *usage;
	int (*run)(const struct options *, const struct verb *, char *argv[]);
};

/* Say what is wrong; the status to end with. */
int pull_fault(const struct fault *);

int verb_receive(const struct options *, const struct verb *, char *[]);
int verb_settle(const struct options *, const struct verb *, char *[]);
int verb_exec(const struct options *, const struct verb *, char *[]);

/* A request for topicd: its header line as far as it is written. */
#define REQUEST_TOKENS 1000        /* lock tokens of a request */
#define REQUEST_BYTES (120 * 1024) /* topicd takes a line of 128 KiB */
#define TOKEN_MAX 1024             /* bytes; no token of ours is longer */

struct request {
	struct request *next;
	const char *op;
	struct buf text;
	size_t tokens;
};

void request_begin(struct request *, const struct options *, const char *op);
void request_number(struct request *, const char *name, int64_t);
void request_token(struct request *, const char *, size_t);
bool request_full(const struct request *);
void request_end(struct request *);

/*
 * Call fn for each of the failed tokens of a settlement's answer, with strings
 * that last as long as the call.
 */
void request_failed(const struct client *,
    void (*fn)(void *, const char *token, const char *code, const char *message),
    void *);

/* A string member of an object of the answer, unescaped; "" for none. */
const char *request_string(const struct json *, uint32_t obj, const char *name,
    struct buf *);

#endif
