#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"
#include "spool.h"

/*
 * A client of a daemon's socket, egns-protocol(7), for commands. Requests may
 * be pipelined: send several, then take the answers in order. Calls wait,
 * except client_connect, client_greeted, client_move and client_ready, which
 * serve a program with a loop.
 */
#define CLIENT_LINE_MAX (2 * 1024 * 1024) /* an event of 1 MiB, and its facts */
#define CLIENT_GREETING_MS 10000 /* a daemon that lives answers sooner */

struct client {
	const char *name; /* of the daemon */
	int fd; /* -1: none, or lost; answers that came before can be taken */
	struct buf out, in;
	struct json json; /* of the last answer's header line */
	size_t taken;     /* bytes of `in` that the last line occupies */
	int timeout_ms;   /* of a wait for a line; 0, as at first: none */
};

/* Connect to the daemon of that name, which the client keeps, and take the
 * greeting. 0, or -1 and a fault (Unavailable). */
int client_open(struct client *, const struct spool *, const char *name,
    struct fault *);
void client_close(struct client *);

/*
 * The same for a program with a loop: connect, then ask client_greeted whenever
 * something has come, until it is 1; 0 is not yet, -1 a fault.
 */
int client_connect(struct client *, const struct spool *, const char *name,
    struct fault *);
int client_greeted(struct client *, struct fault *);

/* Queue text to be sent: a header line and its event lines. */
void client_add(struct client *, const void *, size_t);

/* Send all that is queued (and read answers meanwhile, so that neither side
 * waits for the other). 0, or -1 and a fault. */
int client_flush(struct client *, struct fault *);

/*
 * Wait for the next answer's header line. 0 and its tokens in client->json,
 * valid until the next call; -1 and a fault: for {"ok":false} the error's code
 * and message, else Unavailable or InternalServerError when the connection is
 * gone or the answer is not ours. The connection can go on only after a fault
 * that came as an answer (client->fd is not -1 then).
 */
int client_answer(struct client *, struct fault *);

/* The number that a member of the last answer holds, or 0: its "count". */
uint64_t client_number(const struct client *, const char *member);

/* The next of the lines that "count" announced, without its newline. It stays
 * valid until the next call. 0, or -1 and a fault. */
int client_line(struct client *, const char **line, size_t *len,
    struct fault *);

/* Send and read what goes without waiting. 0, or -1 and a fault: gone. */
int client_move(struct client *, struct fault *);

/* Is a whole line here, so that client_answer or client_line will not wait? */
bool client_ready(const struct client *);

#endif
