#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int
resolve(const char *address, struct addrinfo **list, struct fault *f)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	const char *colon = strrchr(address, ':');
	size_t len = (size_t)(colon - address);
	char host[256];
	int rc;

	if (len >= 2 && address[0] == '[' && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)len - 2, address + 1);
	else
		snprintf(host, sizeof(host), "%.*s", (int)len, address);
	rc = getaddrinfo(host[0] == '\0' ? NULL : host, colon + 1, &hints,
	    list);
	if (rc != 0)
		return fault_set(f, FAULT_BAD_REQUEST, "listen on '%s': %s",
		    address, gai_strerror(rc));
	return 0;
}

int
address_listen(const char *address, int backlog, struct fault *f)
{
	struct addrinfo *list;
	int fd, yes = 1;

	if (resolve(address, &list, f) == -1) {
		errno = 0;
		return -1;
	}
	fd = socket(list->ai_family, list->ai_socktype | SOCK_NONBLOCK |
	    SOCK_CLOEXEC, list->ai_protocol);
	if (fd != -1)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (fd == -1 || bind(fd, list->ai_addr, list->ai_addrlen) == -1 ||
	    listen(fd, backlog) == -1) {
		fault_errno(f, FAULT_UNAVAILABLE, "listen on '%s'", address);
		if (fd != -1)
			close(fd);
		fd = -1;
	}
	freeaddrinfo(list);
	return fd;
}

void
address_of(int fd, char text[ADDRESS_MAX])
{
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(a);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	text[0] = '\0';
	if (getsockname(fd, (struct sockaddr *)&a, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&a, len, host, sizeof(host), port,
	    sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(text, ADDRESS_MAX, a.ss_family == AF_INET6 ?
		    "[%.45s]:%.5s" : "%.45s:%.5s", host, port);
}
