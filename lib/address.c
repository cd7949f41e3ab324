#include "address.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int
resolve(const char *address, struct addrinfo **list, struct fault *f)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct address a;
	char host[256];
	int rc;

	address_split(&a, address, strlen(address));
	snprintf(host, sizeof(host), "%.*s", (int)a.host_len, a.host);
	rc = getaddrinfo(host[0] == '\0' ? NULL : host, a.port, &hints, list);
	if (rc != 0)
		return fault_set(f, FAULT_BAD_REQUEST, "listen on '%s': %s",
		    address, gai_strerror(rc));
	return 0;
}

void
address_split(struct address *a, const char *text, size_t len)
{
	const char *end = text + len, *colon = NULL;

	if (len > 0 && end[-1] != ']')
		colon = memrchr(text, ':', len);
	a->host = text;
	a->host_len = colon == NULL ? len : (size_t)(colon - text);
	a->port = colon == NULL ? NULL : colon + 1;
	a->port_len = colon == NULL ? 0 : (size_t)(end - a->port);
	if (a->host_len >= 2 && text[0] == '[' &&
	    text[a->host_len - 1] == ']') {
		a->host++;
		a->host_len -= 2;
	}
}

int
address_port(const char *text, size_t len)
{
	int port = 0;

	if (len == 0 || len > 5)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		port = port * 10 + text[i] - '0';
	}
	return port <= 65535 ? port : -1;
}

bool
address_is_any(const struct address *a)
{
	return a->host_len == 0 ||
	    (a->host_len == 2 && memcmp(a->host, "::", 2) == 0) ||
	    (a->host_len == 7 && memcmp(a->host, "0.0.0.0", 7) == 0);
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
address_text(const struct sockaddr_storage *a, char text[ADDRESS_MAX])
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool six = a->ss_family == AF_INET6;

	text[0] = '\0';
	if ((six || a->ss_family == AF_INET) &&
	    getnameinfo((const struct sockaddr *)a, sizeof(*a), host,
	    sizeof(host), port, sizeof(port),
	    NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(text, ADDRESS_MAX, six ? "[%.45s]:%.5s" :
		    "%.45s:%.5s", host, port);
}

void
address_of(int fd, char text[ADDRESS_MAX])
{
	struct sockaddr_storage a = { .ss_family = AF_UNSPEC };
	socklen_t len = sizeof(a);

	getsockname(fd, (struct sockaddr *)&a, &len);
	address_text(&a, text);
}
