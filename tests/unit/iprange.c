#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "check.h"
#include "iprange.h"

static bool
has(const char *range, const char *address)
{
	struct sockaddr_storage s = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&s;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&s;
	struct iprange r;

	CHECK(iprange_parse(&r, range, NULL) == 0);
	s.ss_family = strchr(address, ':') == NULL ? AF_INET : AF_INET6;
	CHECK(inet_pton(s.ss_family, address, s.ss_family == AF_INET ?
	    (void *)&in->sin_addr : (void *)&in6->sin6_addr) == 1);
	return iprange_has(&r, (struct sockaddr *)&s);
}

static void
test_in(void)
{
	CHECK(has("192.0.2.0/24", "192.0.2.0"));
	CHECK(has("192.0.2.0/24", "192.0.2.255"));
	CHECK(has("192.0.2.7/24", "192.0.2.8"));
	CHECK(has("192.0.2.7", "192.0.2.7"));
	CHECK(has("192.0.2.7/32", "192.0.2.7"));
	CHECK(has("0.0.0.0/0", "203.0.113.9"));
	CHECK(has("127.0.0.0/8", "::1"));
	CHECK(has("192.0.2.0/24", "::ffff:192.0.2.9"));
}

static void
test_out(void)
{
	struct sockaddr local = { .sa_family = AF_UNIX };
	struct iprange r;

	CHECK(!has("192.0.2.0/24", "192.0.3.0"));
	CHECK(!has("192.0.2.0/24", "192.0.1.255"));
	CHECK(!has("192.0.2.7", "192.0.2.6"));
	CHECK(!has("0.0.0.0/0", "2001:db8::1"));
	CHECK(!has("192.0.2.0/24", "2001:db8::192.0.2.1"));
	CHECK(!has("192.0.2.0/24", "::ffff:192.0.3.1"));
	CHECK(iprange_parse(&r, "0.0.0.0/0", NULL) == 0);
	CHECK(!iprange_has(&r, &local));
}

static void
test_none(void)
{
	static const char *const none[] = { "", "/", "/8", "192.0.2.0/",
		"192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/8/8", "192.0.2",
		"300.0.0.0/8", "192.0.2.0 /8", "2001:db8::/32",
		"111.111.111.111111" };
	struct iprange r;
	struct fault f;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		CHECK(iprange_parse(&r, none[i], NULL) == -1);
	CHECK(iprange_parse(&r, "a\nb", &f) == -1);
	CHECK(strstr(f.text, "'a\\x0Ab' is no range") != NULL);
}

int
main(void)
{
	RUN(test_in);
	RUN(test_out);
	RUN(test_none);
	DONE();
}
