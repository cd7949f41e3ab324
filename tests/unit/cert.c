#include "cert.h"

#include <string.h>

#include "base64.h"
#include "check.h"
#include "clock.h"

/* tests/certs/NAME.pem */
static char *
pem(const char *name)
{
	static char text[8192];
	char path[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "tests/certs/%s.pem", name);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		fclose(f);
	}
	CHECK(n > 0);
	text[n] = '\0';
	return text;
}

static void
valid(const char *text, const char *from, const char *to)
{
	char issued[CLOCK_TEXT + 1] = "", expires[CLOCK_TEXT + 1] = "";
	struct fault f = { 0 };
	int64_t t1, t2;
	int rc = cert_authority(text, &t1, &t2, &f);

	if (rc == 0) {
		clock_format(issued, t1);
		clock_format(expires, t2);
	} else
		printf("# %s\n", f.text);
	CHECK(rc == 0);
	CHECK(strcmp(issued, from) == 0 && strcmp(expires, to) == 0);
}

static void
refused(const char *text, const char *words)
{
	struct fault f = { 0 };
	int64_t t1, t2;

	CHECK(cert_authority(text, &t1, &t2, &f) == -1);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(strstr(f.text, words) != NULL);
}

static void
authorities_are_read(void)
{
	valid(pem("ca"), "2026-01-01T00:00:00.000000Z",
	    "2046-01-01T00:00:00.000000Z");
	/* no keyUsage; a GeneralizedTime */
	valid(pem("root"), "2026-01-01T00:00:00.000000Z",
	    "9999-12-31T23:59:59.000000Z");
	valid(pem("expired"), "2000-01-01T00:00:00.000000Z",
	    "2001-01-01T00:00:00.000000Z");
}

static void
others_are_not(void)
{
	refused(pem("leaf"), "basicConstraints lacks CA:TRUE");
	refused(pem("version1"), "basicConstraints lacks CA:TRUE");
	refused(pem("no-sign"), "keyUsage lacks keyCertSign");
}

/* What stands between the lines of a PEM. */
static char *
body(char *text)
{
	char *end = strstr(text, "-----END");

	*end = '\0';
	return strchr(text, '\n') + 1;
}

static void
base64_will_do(void)
{
	static char twice[16384];
	char *text = pem("ca");
	size_t len = strlen(text);

	base64_encode(twice, text, len);
	twice[BASE64_LEN(len)] = '\0';
	valid(twice, "2026-01-01T00:00:00.000000Z",
	    "2046-01-01T00:00:00.000000Z");
	valid(body(text), "2026-01-01T00:00:00.000000Z",
	    "2046-01-01T00:00:00.000000Z");
	refused(body(pem("leaf")), "basicConstraints");
}

static void
text_around_it_does_no_harm(void)
{
	static char text[16384];

	snprintf(text, sizeof(text), "Subject: ca\n\n%s\n\n", pem("ca"));
	valid(text, "2026-01-01T00:00:00.000000Z",
	    "2046-01-01T00:00:00.000000Z");
}

static void
what_is_no_certificate_is_refused(void)
{
	static const char *const bad[] = {
		"", "x", " \n", "eA==", "MIIB", "-----BEGIN ",
		"-----BEGIN CERTIFICATE-----",
		"-----BEGIN CERTIFICATE-----\nx\n",
		"-----BEGIN CERTIFICATE-----\neA==\n"
		    "-----END CERTIFICATE-----\n",
		"LS0tLS1CRUdJTiA=", /* the base64 of "-----BEGIN " */
	};
	char *text;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refused(bad[i], "must be one X.509 certificate");
	text = pem("ca");
	for (size_t n = strlen(text) - 30; n > 0; n -= n > 37 ? 37 : n) {
		text[n] = '\0';
		refused(text, "must be one X.509 certificate");
	}
}

static void
one_is_enough_and_a_key_too_much(void)
{
	static char text[16384];

	strcpy(text, pem("ca"));
	strcat(text, pem("root"));
	refused(text, "must be one X.509 certificate");
	strcpy(text, "-----BEGIN PRIVATE KEY-----\neA==\n"
	    "-----END PRIVATE KEY-----\n");
	refused(text, "must be one X.509 certificate");
	strcat(text, pem("ca"));
	refused(text, "must be one X.509 certificate");
	strcpy(text, pem("ca"));
	strcat(text, "-----BEGIN PRIVATE KEY-----\n");
	refused(text, "must be one X.509 certificate");
}

static void
a_token_is_signed_by_an_rsa_key(void)
{
	struct fault f = { 0 };

	CHECK(cert_check_rsa(pem("rsa"), NULL) == 0);
	CHECK(cert_check_rsa(pem("ca"), &f) == -1);
	CHECK(strstr(f.text, "of an RSA key") != NULL);
	CHECK(cert_check_rsa(pem("issuer-small"), &f) == -1);
	CHECK(strstr(f.text, "1024 bits") != NULL);
	CHECK(cert_check_rsa("x", &f) == -1);
	CHECK(strstr(f.text, "must be one X.509 certificate") != NULL);
}

#define SHA1 "da39a3ee5e6b4b0d3255bfef95601890afd80709"
#define SHA256 "e3b0c44298fc1c149afbf4c8996fb924" \
	"27ae41e4649b934ca495991b7852b855"

static void
thumbprints_have_a_form(void)
{
	static const char *const good[] = {
		SHA1, SHA256, "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709",
		"DA:39:A3:EE:5E:6B:4B:0D:32:55:BF:EF:95:60:18:90:AF:D8:07:09",
	};
	static const char *const bad[] = {
		"", "A1B2C3", SHA1 "0", SHA1 "00", SHA1 ":", ":" SHA1,
		SHA1 " ", SHA256 "00", "d:a39a3ee5e6b4b0d3255bfef95601890afd807"
		"09", "da::39a3ee5e6b4b0d3255bfef95601890afd80709",
		"ga39a3ee5e6b4b0d3255bfef95601890afd80709",
	};
	struct fault f;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		CHECK(cert_check_thumbprint(good[i], NULL) == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(cert_check_thumbprint(bad[i], &f) == -1);
		CHECK(strstr(f.text, "40 or 64 hex digits") != NULL);
	}
}

int
main(void)
{
	RUN(authorities_are_read);
	RUN(others_are_not);
	RUN(base64_will_do);
	RUN(text_around_it_does_no_harm);
	RUN(what_is_no_certificate_is_refused);
	RUN(one_is_enough_and_a_key_too_much);
	RUN(a_token_is_signed_by_an_rsa_key);
	RUN(thumbprints_have_a_form);
	DONE();
}
