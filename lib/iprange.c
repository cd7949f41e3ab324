#include "iprange.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "num.h"
#include "quote.h"

int
iprange_parse(struct iprange *r, const char *text, struct fault *f)
{
	char address[INET_ADDRSTRLEN], q[QUOTE_MAX];
	size_t len = strcspn(text, "/");
	int64_t bits = 32;
	struct in_addr in;

	if (len < sizeof(address)) {
		memcpy(address, text, len);
		address[len] = '\0';
		if (inet_pton(AF_INET, address, &in) == 1 &&
		    (text[len] == '\0' || num_parse("prefix", text + len + 1,
		    0, 32, &bits, NULL) == 0)) {
			r->mask = bits == 0 ? 0 : UINT32_MAX << (32 - bits);
			r->net = ntohl(in.s_addr) & r->mask;
			return 0;
		}
	}
	return fault_set(f, FAULT_BAD_REQUEST, "'%s' is no range of IPv4 "
	    "addresses, such as 192.0.2.0/24", quote(q, text, strlen(text)));
}

/* False: it has no IPv4 address. */
static bool
ipv4(const struct sockaddr *peer, uint32_t *address)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (peer->sa_family == AF_INET) {
		memcpy(&in, peer, sizeof(in));
		*address = ntohl(in.sin_addr.s_addr);
		return true;
	}
	if (peer->sa_family != AF_INET6)
		return false;
	memcpy(&in6, peer, sizeof(in6));
	if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr)) {
		*address = INADDR_LOOPBACK;
		return true;
	}
	memcpy(address, in6.sin6_addr.s6_addr + 12, sizeof(*address));
	*address = ntohl(*address);
	return IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
}

bool
iprange_has(const struct iprange *r, const struct sockaddr *peer)
{
	uint32_t address;

	return ipv4(peer, &address) && (address & r->mask) == r->net;
}
