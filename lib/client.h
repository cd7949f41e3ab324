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
 * A client of topicd's socket, egns-protocol(7), blocking, for commands.
 * Requests may be pipelined: send several, then take the answers in order.
 */
struct client {
	int fd;
	struct buf out, in;
	struct json json; /* of the last answer's header line */
	size_t taken;     /* bytes of `in` that the last lines occupy */
};

/* Connect and take the greeting. 0, or -1 and a fault (Unavailable). */
int client_open(struct client *, const struct spool *, struct fault *);
void client_close(struct client *);

/* Queue text to be sent: a header line and its event lines. */
void client_add(struct client *, const void *, size_t);

/* Send all that is queued (and read answers meanwhile, so that neither side
 * waits for the other). 0, or -1 and a fault. */
int client_flush(struct client *, struct fault *);

/*
 * Wait for the next answer's header line. 0 and its tokens in client->json; -1
 * and a fault: for {"ok":false} the error's code and message, else Unavailable
 * or InternalServerError when the connection is gone or the answer is not ours.
 * The connection can go on only after a fault that came as an answer
 * (client->fd is not -1 then).
 */
int client_answer(struct client *, struct fault *);

/* The next of the lines that "count" announced, without its newline. It stays
 * valid until the next call. 0, or -1 and a fault. */
int client_line(struct client *, const char **line, size_t *len,
    struct fault *);

#endif
