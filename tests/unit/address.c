#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "address.h"
#include "check.h"

static void
test_split(void)
{
	static const struct {
		const char *text, *host, *port;
	} cases[] = {
		{ "localhost:8883", "localhost", "8883" },
		{ "127.0.0.1:0", "127.0.0.1", "0" },
		{ "[::1]:8883", "::1", "8883" },
		{ "::1:8883", "::1", "8883" },
		{ ":8883", "", "8883" },
		{ "[]:1", "", "1" },
		{ "h:", "h", "" },
		{ "h", "h", NULL },
		{ "[::1]", "::1", NULL },
		{ "", "", NULL },
		/* whoever looks at the host has to refuse these */
		{ "[::1:8883", "[::1", "8883" },
		{ "[::1]x:8883", "[::1]x", "8883" },
		{ "a:b:8883", "a:b", "8883" },
	};
	struct address a;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *port = cases[i].port;
		size_t len = strlen(cases[i].text);
		char *text = malloc(len + 1);

		/* nothing behind the text is looked at */
		memcpy(text, cases[i].text, len);
		text[len] = ':';
		address_split(&a, text, len);
		CHECK(a.host_len == strlen(cases[i].host) &&
		    memcmp(a.host, cases[i].host, a.host_len) == 0);
		CHECK((a.port == NULL) == (port == NULL));
		CHECK(a.port_len == (port == NULL ? 0 : strlen(port)));
		if (port != NULL && a.port != NULL)
			CHECK(memcmp(a.port, port, a.port_len) == 0);
		free(text);
	}
}

static void
test_port(void)
{
	CHECK(address_port("0", 1) == 0);
	CHECK(address_port("8883", 4) == 8883);
	CHECK(address_port("88834", 4) == 8883);
	CHECK(address_port("65535", 5) == 65535);
	CHECK(address_port("65536", 5) == -1);
	CHECK(address_port("000080", 6) == -1);
	CHECK(address_port("", 0) == -1);
	CHECK(address_port(NULL, 0) == -1);
	CHECK(address_port("-1", 2) == -1);
	CHECK(address_port("80 ", 3) == -1);
}

static bool
is_any(const char *text)
{
	struct address a;

	address_split(&a, text, strlen(text));
	return address_is_any(&a);
}

static void
test_any(void)
{
	CHECK(is_any(":1"));
	CHECK(is_any("0.0.0.0:1"));
	CHECK(is_any("[::]:1"));
	CHECK(!is_any("[::1]:1"));
	CHECK(!is_any("127.0.0.1:1"));
	CHECK(!is_any("localhost:1"));
}

static void
test_listen(void)
{
	struct sockaddr_storage none = { .ss_family = AF_UNIX };
	struct address a;
	struct fault f;
	char text[ADDRESS_MAX];
	int fd = address_listen("127.0.0.1:0", 1, &f);

	CHECK(fd != -1);
	address_of(fd, text);
	address_split(&a, text, strlen(text));
	CHECK(a.host_len == 9 && memcmp(a.host, "127.0.0.1", 9) == 0);
	CHECK(address_port(a.port, a.port_len) > 0);
	CHECK(address_listen(text, 1, &f) == -1);
	close(fd);
	CHECK(address_listen("127.0.0.1:x", 1, &f) == -1);
	CHECK(strncmp(f.text, "listen on '127.0.0.1:x': ", 25) == 0);
	address_text(&none, text);
	CHECK(*text == '\0');
}

static void
test_text(void)
{
	union {
		struct sockaddr_storage any;
		struct sockaddr_in6 six;
	} a = { .six = { .sin6_family = AF_INET6, .sin6_port = htons(8883),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT } };
	char text[ADDRESS_MAX];

	address_text(&a.any, text);
	CHECK(strcmp(text, "[::1]:8883") == 0);
}

int
main(void)
{
	RUN(test_split);
	RUN(test_port);
	RUN(test_any);
	RUN(test_listen);
	RUN(test_text);
	DONE();
}
