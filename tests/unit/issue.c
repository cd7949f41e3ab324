#include "issue.h"

#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

#include "cert.h"
#include "check.h"
#include "clock.h"

#define DAY (86400 * CLOCK_SECOND)

static struct buf ca, ca_key, key;

static void
text(struct buf *b)
{
	buf_add(b, "", 1);
	CHECK(!b->bad);
}

static void
begin(void)
{
	struct issue how = { .use = ISSUE_AUTHORITY, .name = "ns CA",
		.days = 3650 };
	struct fault f = { 0 };
	int64_t from, to, now = clock_now();

	CHECK(issue_key(&ca_key, &f) == 0);
	CHECK(issue_key(&key, &f) == 0);
	text(&ca_key);
	text(&key);
	CHECK(strcmp(buf_data(&ca_key), buf_data(&key)) != 0);
	how.key = buf_data(&ca_key);
	CHECK(issue_certificate(&how, &ca, &f) == 0);
	text(&ca);
	CHECK(cert_authority(buf_data(&ca), &from, &to, &f) == 0);
	CHECK(from < now && to > now + 3649 * DAY && to < now + 3651 * DAY);
}

static struct issue
device(const char *name)
{
	return (struct issue){ .use = ISSUE_CLIENT, .name = name, .days = 30,
		.key = buf_data(&key), .authority = buf_data(&ca),
		.authority_key = buf_data(&ca_key) };
}

/* Issue, and look at it with other eyes; NULL: refused. */
static WOLFSSL_X509 *
issue(const struct issue *how, struct fault *f)
{
	struct buf pem = { 0 };
	WOLFSSL_X509 *x = NULL;

	if (issue_certificate(how, &pem, f) == 0)
		x = wolfSSL_X509_load_certificate_buffer(
		    (unsigned char *)buf_data(&pem), (int)pem.len,
		    WOLFSSL_FILETYPE_PEM);
	buf_free(&pem);
	return x;
}

/* Its chain holds by wolfSSL's judgement. */
static bool
verifies(const struct issue *how, struct fault *f)
{
	WOLFSSL_CERT_MANAGER *m = wolfSSL_CertManagerNew();
	struct buf pem = { 0 };
	bool ok;

	ok = issue_certificate(how, &pem, f) == 0 &&
	    wolfSSL_CertManagerLoadCABuffer(m, (unsigned char *)buf_data(&ca),
	    (long)ca.len - 1, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS &&
	    wolfSSL_CertManagerVerifyBuffer(m, (unsigned char *)buf_data(&pem),
	    (long)pem.len, WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS;
	buf_free(&pem);
	wolfSSL_CertManagerFree(m);
	return ok;
}

static void
what_is_issued_verifies(void)
{
	static const char *const names[] = { "a.example", "IP:::1",
		"URI:urn:x" };
	struct issue how = device("press-07");
	struct fault f;

	CHECK(verifies(&how, &f));
	how.use = ISSUE_SERVER;
	how.alternatives = names;
	how.n = 3;
	CHECK(verifies(&how, &f));
	how.authority_key = buf_data(&key); /* not the authority's */
	CHECK(!verifies(&how, &f));
}

static void
keys_and_signers_are_told_apart(void)
{
	struct issue how = device("press-07");
	struct buf one = { 0 }, other = { 0 }, new_ca = { 0 };
	int64_t begins, ends;
	struct fault f;

	CHECK(issue_certificate(&how, &one, NULL) == 0);
	text(&one);
	CHECK(cert_times(buf_data(&one), &begins, &ends, NULL) == 0);
	CHECK(ends > clock_now() + 29 * DAY && ends < clock_now() + 31 * DAY);
	CHECK(cert_times("x", &begins, &ends, &f) == -1);
	CHECK(cert_signed_by(buf_data(&one), buf_data(&ca)));
	CHECK(!cert_signed_by(buf_data(&ca), buf_data(&one)));
	CHECK(!cert_signed_by("x", buf_data(&ca)));
	CHECK(!cert_signed_by(buf_data(&one), "x"));
	/* the authority, renewed: the old certificate is still its own */
	how = (struct issue){ .use = ISSUE_AUTHORITY, .name = "ns CA",
		.days = 10, .key = buf_data(&ca_key) };
	CHECK(issue_certificate(&how, &new_ca, NULL) == 0);
	text(&new_ca);
	CHECK(cert_signed_by(buf_data(&one), buf_data(&new_ca)));
	CHECK(cert_same_key(buf_data(&ca), buf_data(&new_ca)));
	CHECK(!cert_same_key(buf_data(&ca), buf_data(&one)));
	CHECK(!cert_same_key("x", "x"));
	/* one of the same name is another */
	how.key = buf_data(&key);
	CHECK(issue_certificate(&how, &other, NULL) == 0);
	text(&other);
	CHECK(!cert_same_key(buf_data(&ca), buf_data(&other)));
	CHECK(!cert_signed_by(buf_data(&one), buf_data(&other)));
	buf_free(&one);
	buf_free(&other);
	buf_free(&new_ca);
}

static void
names_have_a_length(void)
{
	char name[66] = "";
	struct issue how = device(name);
	struct fault f = { 0 };
	WOLFSSL_X509 *x;

	CHECK(issue(&how, &f) == NULL);
	strcpy(name, "a\nb");
	CHECK(issue(&how, &f) == NULL);
	strcpy(name, "a\xff");
	CHECK(issue(&how, &f) == NULL);
	memset(name, 'x', 64);
	x = issue(&how, &f);
	CHECK(x != NULL && strcmp(wolfSSL_X509_get_subjectCN(x), name) == 0);
	wolfSSL_X509_free(x);
	name[64] = 'x';
	CHECK(issue(&how, &f) == NULL);
	CHECK(f.code == FAULT_BAD_REQUEST &&
	    strstr(f.text, "1 to 64 bytes") != NULL);
}

static void
what_is_no_alternative_name_is_refused(void)
{
	static const char *const bad[] = { "", "DNS:", "IP:x", "IP:1.2.3",
		"a b", "x:y", "dirName:x", "DNS:\xc3\x84" };
	struct issue how = device("c");
	const char *many[33];
	char long_[600];
	struct fault f;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		how.alternatives = &bad[i];
		how.n = 1;
		CHECK(issue(&how, &f) == NULL);
		CHECK(strstr(f.text, "is none of DNS:NAME") != NULL);
	}
	memset(long_, 'x', sizeof(long_));
	long_[512] = '\0';
	for (size_t i = 0; i < 33; i++)
		many[i] = long_;
	how.alternatives = many;
	how.n = 32;
	CHECK(verifies(&how, &f));
	how.n = 33;
	CHECK(issue(&how, &f) == NULL);
}

static void
nothing_outlives_its_authority(void)
{
	struct issue how = device("c");
	int64_t from, end, to;
	WOLFSSL_X509 *x;
	struct tm tm;

	how.days = 36500;
	CHECK(cert_authority(buf_data(&ca), &from, &end, NULL) == 0);
	x = issue(&how, NULL);
	CHECK(x != NULL && wolfSSL_ASN1_TIME_to_tm(
	    wolfSSL_X509_get_notAfter(x), &tm) == WOLFSSL_SUCCESS);
	to = (int64_t)timegm(&tm) * CLOCK_SECOND;
	CHECK(to == end);
	wolfSSL_X509_free(x);
}

static void
broken_keys_and_authorities_are_refused(void)
{
	struct issue how = device("c");
	struct fault f;

	how.key = "nonsense";
	CHECK(issue(&how, &f) == NULL && f.code == FAULT_BAD_REQUEST);
	CHECK(strstr(f.text, "P-256") != NULL);
	how = device("c");
	how.authority = buf_data(&ca_key);
	CHECK(issue(&how, &f) == NULL);
	how.authority = "";
	CHECK(issue(&how, &f) == NULL);
	how = device("c");
	how.authority_key = buf_data(&ca);
	CHECK(issue(&how, &f) == NULL);
}

int
main(void)
{
	RUN(begin);
	RUN(what_is_issued_verifies);
	RUN(keys_and_signers_are_told_apart);
	RUN(names_have_a_length);
	RUN(what_is_no_alternative_name_is_refused);
	RUN(nothing_outlives_its_authority);
	RUN(broken_keys_and_authorities_are_refused);
	buf_wipe(&ca);
	buf_wipe(&ca_key);
	buf_wipe(&key);
	DONE();
}
