/*
 * Any text as a token; or, when its first byte is a brace, as the claims of
 * one whose signature was good. What comes out of these can be believed to be
 * a name and a line of JSON.
 */
#include <stdio.h>

#include "../../lib/jwt.c"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct jwt_issuer *
issuer_new(void)
{
	static const char *const hosts[] = { "mqtt.example" };
	char path[4096];
	struct fault f = { 0 };
	struct jwt_issuer *issuer;

	if (realpath("tests/certs/issuer-1.pem", path) == NULL)
		abort();
	issuer = jwt_issuer_new(JV_OBJECT(jv_string("tokenIssuer"),
	    jv_string("i"), jv_string("issuerCertificates"),
	    JV_ARRAY(JV_OBJECT(jv_string("certificateUrl"),
	    jv_string(path)))), hosts, 1, &f);
	if (issuer == NULL)
		abort();
	return issuer;
}

static void
check(const struct jwt_claims *c)
{
	static struct json json;
	const char *text = buf_data(&c->attributes);

	if (c->subject.len == 0 || c->subject.len > IDENTITY_NAME_MAX ||
	    memchr(buf_data(&c->subject), '\0', c->subject.len) != NULL)
		abort();
	if (c->attributes.len >= ATTRIBUTES_MAX ||
	    memchr(text, '\n', c->attributes.len) != NULL ||
	    json_scan(&json, text, c->attributes.len, NULL) == -1 ||
	    json.tok[0].type != JSON_OBJECT)
		abort();
	for (uint32_t i = 1; i < json.tok[0].next; i = json.tok[i + 1].next)
		if (json_member(&json, 0, json.text + json.tok[i].start + 1,
		    json.tok[i].end - json.tok[i].start - 2) != i + 1)
			abort();
}

static int
claims(const struct jwt_issuer *issuer, const uint8_t *data, size_t size,
    struct jwt_claims *c, struct fault *f)
{
	struct token t = { 0 };
	int rc;

	buf_add(&t.claims, data, size);
	*c = (struct jwt_claims){ .expires = 0 };
	rc = check_claims(issuer, &t, c, f);
	if (rc == 0)
		check(c);
	jwt_claims_free(c);
	json_free(&t.json);
	buf_free(&t.claims);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct jwt_issuer *issuer;
	struct fault f = { 0 };
	struct jwt_claims c;
	int rc;

	if (issuer == NULL)
		issuer = issuer_new();
	if (size > 0 && data[0] == '{')
		rc = claims(issuer, data, size, &c, &f);
	else if ((rc = jwt_check(issuer, (const char *)data, size, &c, &f)) ==
	    0) {
		check(&c);
		jwt_claims_free(&c);
	}
	if ((rc == -1) != (f.code == FAULT_UNAUTHORIZED))
		abort();
	return 0;
}
