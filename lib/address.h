#ifndef ADDRESS_H
#define ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "fault.h"

/*
 * HOST:PORT, as the namespace's `listeners` have it: a name or an address, which
 * stands in [] when it has colons; none is all of this machine's; port 0 is any
 * that is free.
 */
#define ADDRESS_MAX 64 /* "[IPv6]:PORT" with a NUL */

/* Its parts, which point into it. */
struct address {
	const char *host; /* without the [] */
	size_t host_len;
	const char *port; /* NULL when there is no colon for it; all of the text
	                   * is the host then */
	size_t port_len;
};
void address_split(struct address *, const char *text, size_t len);

/* The number of a port, 0 to 65535 in one to five digits; -1: it is none. */
int address_port(const char *text, size_t len);

/* Does the host stand for all of this machine's: none, 0.0.0.0, [::]? */
bool address_is_any(const struct address *);

/* A TCP socket that listens, non-blocking; or -1 and a fault; errno is 0 for a
 * name that is none. */
int address_listen(const char *, int backlog, struct fault *);

/* An address in figures; "" when it has no port. */
void address_text(const struct sockaddr_storage *, char text[ADDRESS_MAX]);

/* The one that a socket has got. */
void address_of(int fd, char text[ADDRESS_MAX]);

#endif
