#include "identity.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base64.h"
#include "check.h"
#include "clock.h"

static char dir[] = "/tmp/egns-identity.XXXXXX";
static struct spool spool;
static uint8_t der[4096];
static struct tls_certificate certificate;

/* tests/certs/NAME.pem as a trusted certificate of now. */
static struct tls_certificate *
load(const char *name)
{
	char path[64], text[8192], packed[8192], *p, *end;
	size_t n = 0, len = 0;
	long bytes;
	FILE *f;

	snprintf(path, sizeof(path), "tests/certs/%s.pem", name);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	text[n] = '\0';
	end = strstr(text, "-----END");
	CHECK(end != NULL);
	for (p = strchr(text, '\n'); p != NULL && p < end; p++)
		if (*p != '\n')
			packed[len++] = *p;
	bytes = base64_decode((char *)der, packed, len);
	CHECK(bytes > 0);
	certificate = (struct tls_certificate){ .n = 1, .trusted = true };
	certificate.der[0] = der;
	certificate.len[0] = (size_t)bytes;
	certificate.begins = clock_now() - CLOCK_SECOND;
	certificate.ends = clock_now() + 3600 * CLOCK_SECOND;
	return &certificate;
}

/* The same with some of its bytes overwritten. */
static struct tls_certificate *
forged(const char *name, const char *what, const char *with, size_t len)
{
	struct tls_certificate *c = load(name);
	uint8_t *p = der;

	while ((p = memmem(p, c->len[0] - (size_t)(p - der), what, len))
	    != NULL)
		memcpy(p, with, len);
	return c;
}

static bool
checks(enum identity_scheme scheme, const char *name,
    const struct tls_certificate *c, const char *words)
{
	char *copy = strdup(name);
	struct identity id = { .name = copy, .scheme = scheme };
	struct fault f = { 0 };
	int rc = identity_check(&id, c, &f);
	bool same = words == NULL ? rc == 0 : rc == -1 &&
	    f.code == FAULT_UNAUTHORIZED && strstr(f.text, words) != NULL;

	if (!same)
		printf("# %s: %s\n", name, f.text);
	free(copy);
	return same;
}

static const struct {
	enum identity_scheme scheme;
	const char *name, *words; /* NULL: it is the client's */
} device[] = {
	{ IDENTITY_SUBJECT, "press-07", NULL },
	{ IDENTITY_SUBJECT, "CN=press-07,O=Acme\\, Inc.,C=DE", NULL },
	{ IDENTITY_SUBJECT, "CN=press-07, O=Acme\\, Inc., C=DE", NULL },
	{ IDENTITY_SUBJECT, "Press-07", "subject is 'press-07', "
	    "'CN=press-07,O=Acme\\x5C, Inc.,C=DE'" },
	{ IDENTITY_SUBJECT, "press-0", "'press-0' is wanted" },
	{ IDENTITY_SUBJECT, "CN=press-07", "'CN=press-07' is wanted" },
	{ IDENTITY_SUBJECT, "DE", "subject is" },
	{ IDENTITY_SUBJECT, "", "subject is" },
	{ IDENTITY_SUBJECT, "a.example", "subject is" },
	{ IDENTITY_DNS, "a.example", NULL },
	{ IDENTITY_DNS, "press-07.example", NULL },
	{ IDENTITY_DNS, "A.EXAMPLE", NULL },
	{ IDENTITY_DNS, "press-07", "DNS name is 'a.example', "
	    "'Press-07.Example'; 'press-07' is wanted" },
	{ IDENTITY_DNS, "b.example", "DNS name is" },
	{ IDENTITY_URI, "urn:press:7", NULL },
	{ IDENTITY_URI, "URN:press:7", "URI is 'urn:press:7'" },
	{ IDENTITY_IP, "192.0.2.7", NULL },
	{ IDENTITY_IP, "2001:db8::7", NULL },
	{ IDENTITY_IP, "2001:0DB8:0:0::7", NULL },
	{ IDENTITY_IP, "192.0.2.8", "address is '192.0.2.7', '2001:db8::7'" },
	{ IDENTITY_IP, "::ffff:192.0.2.7", "IP address is" },
	{ IDENTITY_IP, "nonsense", "IP address is" },
	{ IDENTITY_EMAIL, "press@example.org", NULL },
	{ IDENTITY_EMAIL, "seven@example.org", NULL },
	{ IDENTITY_EMAIL, "Seven@example.org", "e-mail address is" },
	{ IDENTITY_EMAIL, "a.example", "e-mail address is 'press@example.org', "
	    "'seven@example.org'" },
};

static void
a_field_holds_the_name(void)
{
	const struct tls_certificate *c = load("device");

	for (size_t i = 0; i < sizeof(device) / sizeof(device[0]); i++)
		CHECK(checks(device[i].scheme, device[i].name, c,
		    device[i].words));
	c = load("nameless");
	CHECK(checks(IDENTITY_SUBJECT, "O=Acme", c, NULL));
	CHECK(checks(IDENTITY_SUBJECT, "Acme", c, "subject is 'O=Acme'; "
	    "'Acme' is wanted"));
	CHECK(checks(IDENTITY_DNS, "a", c, "has no DNS name; 'a' is wanted"));
	c = load("two-names");
	CHECK(checks(IDENTITY_SUBJECT, "hall-3", c, NULL));
	CHECK(checks(IDENTITY_SUBJECT, "press-07", c, NULL));
}

static void
a_value_with_nul_in_it_is_none(void)
{
	const struct tls_certificate *c;

	c = forged("device", "press-07", "press\0-7", 8);
	CHECK(checks(IDENTITY_SUBJECT, "press", c, "has no subject"));
	CHECK(checks(IDENTITY_SUBJECT, "press-07", c, "has no subject"));
	c = forged("device", "a.example", "a.e\0mp.de", 9);
	CHECK(checks(IDENTITY_DNS, "a.e", c, "DNS name is 'Press-07"));
	CHECK(checks(IDENTITY_DNS, "press-07.example", c, NULL));
	c = forged("device", "urn:press:7", "urn:press\0:", 11);
	CHECK(checks(IDENTITY_URI, "urn:press", c, "has no URI"));
	c = forged("device", "press@example.org", "press@ex\0mple.org", 17);
	CHECK(checks(IDENTITY_EMAIL, "press@ex", c, "address is 'seven@"));
	/* nor is what is not UTF-8 */
	c = forged("device", "press-07", "press\xff""07", 8);
	CHECK(checks(IDENTITY_SUBJECT, "press\xff""07", c, "has no subject"));
}

static void
torn_certificates_match_nothing(void)
{
	struct tls_certificate *c = load("device");
	size_t len = c->len[0];
	uint8_t *copy;

	for (size_t cut = 0; cut < len; cut += 7) {
		copy = malloc(cut + 1);
		memcpy(copy, der, cut);
		c->der[0] = copy;
		c->len[0] = cut;
		CHECK(checks(IDENTITY_DNS, "a.example", c, "has no DNS name"));
		free(copy);
	}
}

static void
it_must_be_trusted_and_of_now(void)
{
	struct tls_certificate *c = load("device");

	c->trusted = false;
	c->why = "no such authority";
	CHECK(checks(IDENTITY_SUBJECT, "press-07", c, "no such authority"));
	c->trusted = true;
	c->ends = clock_now() - 1;
	CHECK(checks(IDENTITY_SUBJECT, "press-07", c, "has expired at 20"));
	c->ends = INT64_MAX;
	c->begins = clock_now() + 60 * CLOCK_SECOND;
	CHECK(checks(IDENTITY_SUBJECT, "press-07", c, "is not valid before"));
	CHECK(checks(IDENTITY_SUBJECT, "press-07", NULL, "no certificate"));
	c->n = 0;
	CHECK(checks(IDENTITY_SUBJECT, "press-07", c, "no certificate"));
}

#define SHA1 "000102030405060708090a0b0c0d0e0f10111213"

static void
thumbprints_need_no_trust_but_dates(void)
{
	struct tls_certificate *c = load("device");
	struct identity id = { .scheme = IDENTITY_THUMBPRINT };
	struct fault f = { 0 };
	char sha256[65], sha1[] = SHA1;

	for (uint8_t i = 0; i < 20; i++)
		c->sha1[i] = i;
	for (uint8_t i = 0; i < 32; i++) {
		c->sha256[i] = (uint8_t)(255 - i);
		sprintf(sha256 + 2 * i, "%02x", 255 - i);
	}
	c->trusted = false;
	CHECK(identity_check(&id, c, &f) == -1);
	id.thumbprints[1] = sha256;
	CHECK(identity_check(&id, c, &f) == 0);
	sha256[63] ^= 1;
	CHECK(identity_check(&id, c, &f) == -1);
	CHECK(strstr(f.text, "(SHA-1 " SHA1 "); the client has") != NULL);
	id.thumbprints[0] = sha1;
	CHECK(identity_check(&id, c, &f) == 0);
	sha1[39] = '4';
	CHECK(identity_check(&id, c, &f) == -1);
	sha1[39] = '3';
	c->ends = clock_now() - CLOCK_SECOND;
	CHECK(identity_check(&id, c, &f) == -1);
	CHECK(strstr(f.text, "expired") != NULL);
}

static void
names_come_from_the_first_source_that_has_one(void)
{
	static const struct {
		const char *list, *certificate, *name;
	} cases[] = {
		{ "null", "device", "" },
		{ "[]", "device", "" },
		{ "[\"ClientCertificateSubject\"]", "device", "press-07" },
		{ "[\"ClientCertificateSubject\"]", "two-names", "press-07" },
		{ "[\"ClientCertificateSubject\"]", "nameless", "O=Acme" },
		{ "[\"ClientCertificateDns\",\"ClientCertificateSubject\"]",
		    "device", "a.example" },
		{ "[\"ClientCertificateDns\",\"ClientCertificateSubject\"]",
		    "two-names", "press-07" },
		{ "[\"ClientCertificateUri\"]", "device", "urn:press:7" },
		{ "[\"ClientCertificateIp\"]", "device", "192.0.2.7" },
		{ "[\"ClientCertificateEmail\"]", "nameless", "" },
	};
	struct identity_sources s;
	char name[IDENTITY_NAME_MAX + 1];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CHECK(identity_sources(&s, jv_parse(cases[i].list)) == 0);
		CHECK(identity_name(&s, load(cases[i].certificate), name) ==
		    strlen(cases[i].name));
		CHECK(strcmp(name, cases[i].name) == 0);
	}
	CHECK(identity_name(&s, NULL, name) == 0);
	CHECK(identity_sources(&s, jv_parse("[\"Subject\"]")) == -1);
	CHECK(identity_sources(&s, jv_parse("[1]")) == -1);
	CHECK(identity_sources(&s, jv_parse("{}")) == -1);
	CHECK(identity_sources(&s, jv_parse("[\"ClientCertificateIp\","
	    "\"ClientCertificateIp\",\"ClientCertificateIp\","
	    "\"ClientCertificateIp\",\"ClientCertificateIp\","
	    "\"ClientCertificateIp\"]")) == -1);
}

static void
put(struct registry *r, const char *path, const char *text)
{
	CHECK(registry_put(r, path, jv_parse(text), NULL) == 0);
}

static void
clients_are_found_with_all_that_counts(void)
{
	struct registry *r = registry_open(&spool, true, NULL);
	struct identity id = { 0 };
	struct fault f;

	put(r, "clients/a", "{\"name\":\"a\",\"uid\":\"u1\",\"properties\":{"
	    "\"authenticationName\":\"Press-07\",\"state\":\"Enabled\","
	    "\"attributes\":{\"hall\":3,\"tags\":[\"x\"]},"
	    "\"clientCertificateAuthentication\":{\"validationScheme\":"
	    "\"ThumbprintMatch\",\"allowedThumbprints\":[\"AB:cD:01\","
	    "\"ef\"]}}}");
	put(r, "clients/b", "{\"name\":\"b\",\"uid\":\"u2\",\"properties\":{"
	    "\"authenticationName\":\"b\",\"state\":\"Disabled\","
	    "\"clientCertificateAuthentication\":{\"validationScheme\":"
	    "\"EmailMatchesAuthenticationName\"}}}");
	CHECK(registry_commit(r, "user:ann", NULL) == 0);
	CHECK(identity_find(r, "PRESS-07", 8, &id, &f) == 0);
	CHECK(strcmp(id.client, "a") == 0 && strcmp(id.uid, "u1") == 0);
	CHECK(strcmp(id.name, "Press-07") == 0 && !id.disabled);
	CHECK(strcmp(id.attributes, "{\"hall\":3,\"tags\":[\"x\"]}") == 0);
	CHECK(id.scheme == IDENTITY_THUMBPRINT);
	CHECK(strcmp(id.thumbprints[0], "abcd01") == 0);
	CHECK(strcmp(id.thumbprints[1], "ef") == 0);
	identity_free(&id);
	CHECK(identity_find(r, "b", 1, &id, &f) == 0);
	CHECK(id.disabled && id.scheme == IDENTITY_EMAIL);
	CHECK(strcmp(id.attributes, "{}") == 0 && id.thumbprints[0] == NULL);
	identity_free(&id);
	CHECK(identity_find(r, "a\0b", 3, &id, &f) == -1);
	CHECK(identity_find(r, "b\0", 2, &id, &f) == -1);
	CHECK(identity_find(r, "c\n", 2, &id, &f) == -1);
	CHECK(f.code == FAULT_NOT_FOUND && strchr(f.text, '\n') == NULL);
	registry_close(r);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL || (spool.fd = open(dir, O_RDONLY)) == -1)
		return 99;
	spool.path = dir;
	CHECK(registry_create(spool.fd, NULL) == 0);
	RUN(a_field_holds_the_name);
	RUN(a_value_with_nul_in_it_is_none);
	RUN(torn_certificates_match_nothing);
	RUN(it_must_be_trusted_and_of_now);
	RUN(thumbprints_need_no_trust_but_dates);
	RUN(names_come_from_the_first_source_that_has_one);
	RUN(clients_are_found_with_all_that_counts);
	spool_remove(spool.fd, "namespace");
	rmdir(dir);
	DONE();
}
