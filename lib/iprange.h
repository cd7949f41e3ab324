#ifndef IPRANGE_H
#define IPRANGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "fault.h"

/* Ranges of IPv4 addresses, as `inboundIpRules` has them. */
struct iprange {
	uint32_t net, mask;
};

/* "192.0.2.0/24", or an address alone. 0, or -1 and a fault. */
int iprange_parse(struct iprange *, const char *, struct fault *);

/* Is the peer's address in it? An IPv6 peer has one when it is mapped IPv4, or
 * this machine, ::1, which is 127.0.0.1. */
bool iprange_has(const struct iprange *, const struct sockaddr *);

#endif
