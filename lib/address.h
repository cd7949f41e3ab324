#ifndef ADDRESS_H
#define ADDRESS_H

#include "fault.h"

/*
 * HOST:PORT, as the namespace's `listeners` have it: a name or an address, which
 * stands in [] when it has colons; none is all of this machine's; port 0 is any
 * that is free.
 */
#define ADDRESS_MAX 64 /* "[IPv6]:PORT" with a NUL */

/* A TCP socket that listens, non-blocking; or -1 and a fault; errno is 0 for a
 * name that is none. */
int address_listen(const char *, int backlog, struct fault *);

/* The address that a socket has got, in figures; "" when it has none. */
void address_of(int fd, char text[ADDRESS_MAX]);

#endif
