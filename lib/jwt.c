#include "jwt.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "base64.h"
#include "cert.h"
#include "clock.h"
#include "file.h"
#include "identity.h"
#include "jq.h"
#include "json.h"
#include "quote.h"

#define SIGNATURE_MAX 1024     /* bytes: keys of 8192 bits */
#define ATTRIBUTES_MAX 4096    /* all of a client are below it */
#define CERTIFICATE_MAX 65536  /* bytes of a file with one */
#define TIME_MAX 253402300799. /* the end of the year 9999 */

/* The DER of a DigestInfo of SHA-256, up to the digest (RFC 8017, 9.2). */
static const unsigned char sha256_info[] = {
	0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
	0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20,
};

struct key {
	struct key *next;
	char *kid; /* NULL: it has none, and serves for any */
	RsaKey rsa;
};

struct jwt_issuer {
	char *name;
	struct key *keys;
	char **hosts;
	size_t nhosts;
};

/* The three parts of a token, decoded, and the JSON of one after the other. */
struct token {
	const char *text;
	size_t signed_len; /* of header and claims, with their dot */
	struct buf header, claims, signature;
	struct json json;
};

static int
no_memory(struct fault *f)
{
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

static int
add_key(struct jwt_issuer *issuer, const char *kid, const char *pem,
    struct fault *f)
{
	struct key *key = calloc(1, sizeof(*key));

	if (key == NULL)
		return no_memory(f);
	if (kid != NULL && (key->kid = strdup(kid)) == NULL) {
		free(key);
		return no_memory(f);
	}
	if (cert_rsa_key(pem, &key->rsa, f) == -1) {
		free(key->kid);
		free(key);
		return -1;
	}
	key->next = issuer->keys;
	issuer->keys = key;
	return 0;
}

static int
read_certificate(const char *path, char text[CERTIFICATE_MAX + 1],
    struct fault *f)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = -1;

	if (fd != -1) {
		n = file_pread(fd, text, CERTIFICATE_MAX, 0);
		file_close(fd, -1);
	}
	if (n == -1)
		return fault_errno(f, FAULT_BAD_REQUEST, "cannot be read");
	text[n] = '\0';
	return 0;
}

/* A reference to a key vault, of which only files are at hand. */
static int
add_reference(struct jwt_issuer *issuer, const char *url, struct fault *f)
{
	char text[CERTIFICATE_MAX + 1];
	const char *path = url;

	if (strncmp(url, "file://", 7) == 0)
		path = url + 7;
	else if (strncmp(url, "file:", 5) == 0)
		path = url + 5;
	if (path[0] != '/')
		return fault_set(f, FAULT_BAD_REQUEST, "a key vault cannot be "
		    "asked here; give a file as file:///PATH or the "
		    "certificate in encodedIssuerCertificates");
	if (read_certificate(path, text, f) == -1)
		return -1;
	return add_key(issuer, NULL, text, f);
}

static int
add_item(struct jwt_issuer *issuer, jv item, struct fault *f)
{
	const char *kid = jq_str(item, "kid");
	const char *pem = jq_str(item, "encodedCertificate");
	const char *url = jq_str(item, "certificateUrl");
	const char *name = pem != NULL && kid != NULL ? kid : url;
	char q[QUOTE_MAX];
	struct fault why;
	int rc;

	if (pem != NULL)
		rc = add_key(issuer, kid, pem, &why);
	else if (url != NULL)
		rc = add_reference(issuer, url, &why);
	else
		rc = fault_set(&why, FAULT_BAD_REQUEST, "has no certificate");
	if (rc == -1)
		fault_set(f, why.code, "'%s': %s", name != NULL ?
		    quote(q, name, strlen(name)) : "", why.text);
	return rc;
}

static int
add_list(struct jwt_issuer *issuer, jv settings, const char *name,
    struct fault *f)
{
	jv list = jq_get(settings, name), item;
	struct fault why;
	int rc = 0, n = 0;

	if (jv_get_kind(list) == JV_KIND_ARRAY)
		n = jv_array_length(jv_copy(list));
	for (int i = 0; rc == 0 && i < n; i++) {
		item = jv_array_get(jv_copy(list), i);
		if ((rc = add_item(issuer, item, &why)) == -1)
			fault_set(f, why.code, "%s: %s", name, why.text);
		jv_free(item);
	}
	jv_free(list);
	return rc;
}

static int
set_up(struct jwt_issuer *issuer, jv settings, const char *const *hosts,
    size_t nhosts, struct fault *f)
{
	const char *name = jq_str(settings, "tokenIssuer");

	if (name == NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "tokenIssuer is missing");
	issuer->name = strdup(name);
	issuer->hosts = calloc(nhosts + 1, sizeof(*issuer->hosts));
	if (issuer->name == NULL || issuer->hosts == NULL)
		return no_memory(f);
	for (; issuer->nhosts < nhosts; issuer->nhosts++) {
		issuer->hosts[issuer->nhosts] = strdup(hosts[issuer->nhosts]);
		if (issuer->hosts[issuer->nhosts] == NULL)
			return no_memory(f);
	}
	if (add_list(issuer, settings, "encodedIssuerCertificates", f) == -1 ||
	    add_list(issuer, settings, "issuerCertificates", f) == -1)
		return -1;
	return issuer->keys != NULL ? 0 : fault_set(f, FAULT_BAD_REQUEST,
	    "there is no issuer certificate");
}

struct jwt_issuer *
jwt_issuer_new(jv settings, const char *const *hosts, size_t nhosts,
    struct fault *f)
{
	struct jwt_issuer *issuer = calloc(1, sizeof(*issuer));

	if (issuer == NULL)
		no_memory(f);
	else if (set_up(issuer, settings, hosts, nhosts, f) == -1) {
		jwt_issuer_free(issuer);
		issuer = NULL;
	}
	jv_free(settings);
	return issuer;
}

void
jwt_issuer_free(struct jwt_issuer *issuer)
{
	struct key *key;

	if (issuer == NULL)
		return;
	while ((key = issuer->keys) != NULL) {
		issuer->keys = key->next;
		wc_FreeRsaKey(&key->rsa);
		free(key->kid);
		free(key);
	}
	for (size_t i = 0; i < issuer->nhosts; i++)
		free(issuer->hosts[i]);
	free(issuer->hosts);
	free(issuer->name);
	free(issuer);
}

void
jwt_claims_free(struct jwt_claims *c)
{
	buf_free(&c->subject);
	buf_free(&c->attributes);
}

static int
refuse(struct fault *f, const char *why)
{
	return fault_set(f, FAULT_UNAUTHORIZED, "token: %s", why);
}

/* Base64url without padding (RFC 7515, 2). */
static bool
decode(struct buf *out, const char *s, size_t n)
{
	struct buf packed = { 0 };
	char *room, *p;
	long len = -1;

	if (n == 0 || memchr(s, '+', n) != NULL || memchr(s, '/', n) != NULL ||
	    memchr(s, '=', n) != NULL)
		return false;
	buf_add(&packed, s, n);
	buf_add(&packed, "==", n % 4 == 2 ? 2 : n % 4 == 3);
	room = buf_room(out, n);
	if (!packed.bad && room != NULL) {
		p = buf_data(&packed);
		for (size_t i = 0; i < n; i++)
			p[i] = p[i] == '-' ? '+' : p[i] == '_' ? '/' : p[i];
		len = base64_decode(room, p, packed.len);
	}
	buf_free(&packed);
	if (len < 0)
		return false;
	buf_grew(out, (size_t)len);
	return true;
}

static int
split(struct token *t, const char *text, size_t n, struct fault *f)
{
	const char *end = text + n, *dot, *dot2 = NULL;

	if (n > JWT_MAX)
		return refuse(f, "it has more than 8192 bytes");
	if ((dot = memchr(text, '.', n)) != NULL)
		dot2 = memchr(dot + 1, '.', (size_t)(end - dot - 1));
	if (dot2 == NULL)
		return refuse(f, "it is not three parts with dots between");
	t->text = text;
	t->signed_len = (size_t)(dot2 - text);
	if (!decode(&t->header, text, (size_t)(dot - text)) ||
	    !decode(&t->claims, dot + 1, (size_t)(dot2 - dot - 1)) ||
	    !decode(&t->signature, dot2 + 1, (size_t)(end - dot2 - 1)))
		return refuse(f, "its parts are not base64url");
	return 0;
}

/* An object in t->json. */
static int
scan(struct token *t, const struct buf *text, const char *name,
    struct fault *f)
{
	struct fault why;

	if (json_scan(&t->json, buf_data(text), text->len, &why) == -1)
		return fault_set(f, FAULT_UNAUTHORIZED, "token: %s: %s", name,
		    why.text);
	if (t->json.tok[0].type != JSON_OBJECT)
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "token: %s: not an object", name);
	return 0;
}

static uint32_t
member(const struct token *t, const char *name)
{
	return json_member(&t->json, 0, name, strlen(name));
}

static bool
member_is(const struct token *t, const char *name, const char *value)
{
	uint32_t m = member(t, name);

	return m != 0 && json_is(&t->json, m, value, strlen(value));
}

static bool
signed_by(const struct token *t, struct key *key,
    const unsigned char digest[WC_SHA256_DIGEST_SIZE])
{
	unsigned char info[SIGNATURE_MAX];
	word32 len = (word32)t->signature.len;
	int n;

	if (len > sizeof(info) || wc_RsaEncryptSize(&key->rsa) != (int)len)
		return false;
	n = wc_RsaSSL_Verify((const unsigned char *)buf_data(&t->signature),
	    len, info, sizeof(info), &key->rsa);
	return n == (int)sizeof(sha256_info) + WC_SHA256_DIGEST_SIZE &&
	    memcmp(info, sha256_info, sizeof(sha256_info)) == 0 &&
	    memcmp(info + sizeof(sha256_info), digest,
		WC_SHA256_DIGEST_SIZE) == 0;
}

static int
check_signature(const struct jwt_issuer *issuer, const struct token *t,
    struct fault *f)
{
	unsigned char digest[WC_SHA256_DIGEST_SIZE];
	uint32_t kid = member(t, "kid");
	bool tried = false;

	if (kid != 0 && t->json.tok[kid].type != JSON_STRING)
		return refuse(f, "header kid is not a string");
	if (wc_Sha256Hash((const unsigned char *)t->text,
	    (word32)t->signed_len, digest) != 0)
		return no_memory(f);
	for (struct key *key = issuer->keys; key != NULL; key = key->next) {
		if (kid != 0 && key->kid != NULL && !json_is(&t->json, kid,
		    key->kid, strlen(key->kid)))
			continue;
		if (signed_by(t, key, digest))
			return 0;
		tried = true;
	}
	return refuse(f, tried ? "no issuer certificate fits its signature" :
	    "header kid names no issuer certificate");
}

static int
check_header(const struct jwt_issuer *issuer, struct token *t,
    struct fault *f)
{
	if (scan(t, &t->header, "header", f) == -1)
		return -1;
	if (!member_is(t, "alg", "RS256"))
		return refuse(f, "header alg is not RS256");
	if (!member_is(t, "typ", "JWT") && !member_is(t, "typ", "JWS"))
		return refuse(f, "header typ is neither JWT nor JWS");
	/* extensions that must be understood, RFC 7515, 4.1.11 */
	if (member(t, "crit") != 0)
		return refuse(f, "header crit asks for what is not known");
	return check_signature(issuer, t, f);
}

/* Does a string name one of our hosts, in any case, with or without a slash? */
static bool
is_host(const struct jwt_issuer *issuer, const struct token *t, uint32_t value)
{
	struct buf text = { 0 };
	bool found = false;
	size_t n;

	json_string(&t->json, value, &text);
	n = text.len;
	if (n > 0 && buf_data(&text)[n - 1] == '/')
		n--;
	for (size_t i = 0; !found && i < issuer->nhosts; i++)
		found = n > 0 && strlen(issuer->hosts[i]) == n &&
		    strncasecmp(buf_data(&text), issuer->hosts[i], n) == 0;
	buf_free(&text);
	return found;
}

static int
check_audience(const struct jwt_issuer *issuer, const struct token *t,
    struct fault *f)
{
	const struct json_token *tok = t->json.tok;
	uint32_t aud = member(t, "aud"), i;

	if (aud != 0 && tok[aud].type == JSON_STRING &&
	    is_host(issuer, t, aud))
		return 0;
	if (aud != 0 && tok[aud].type == JSON_ARRAY) {
		for (i = aud + 1; i < tok[aud].next; i = tok[i].next)
			if (tok[i].type == JSON_STRING && is_host(issuer, t, i))
				return 0;
	}
	return fault_set(f, FAULT_UNAUTHORIZED, "token: claim aud does not "
	    "name %s", issuer->nhosts > 0 ? issuer->hosts[0] :
	    "this namespace");
}

/* A time in seconds since 1970, RFC 7519's NumericDate, as microseconds. */
static int
get_time(const struct token *t, const char *name, int64_t *us, struct fault *f)
{
	uint32_t m = member(t, name);
	double v = -1;

	if (m != 0 && t->json.tok[m].type == JSON_NUMBER)
		v = json_double(&t->json, m);
	if (!(v >= 0 && v <= TIME_MAX))
		return fault_set(f, FAULT_UNAUTHORIZED, "token: claim %s is "
		    "not a time in seconds since 1970", name);
	*us = (int64_t)(v * CLOCK_SECOND);
	return 0;
}

static int
check_times(const struct token *t, int64_t *expires, struct fault *f)
{
	int64_t now = clock_now(), begins = 0;
	char text[CLOCK_TEXT + 1];

	if (get_time(t, "exp", expires, f) == -1 ||
	    get_time(t, "nbf", &begins, f) == -1)
		return -1;
	if (now >= *expires) {
		clock_format(text, *expires);
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "token: claim exp: it has ended at %s", text);
	}
	if (now < begins) {
		clock_format(text, begins);
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "token: claim nbf: it begins at %s", text);
	}
	return 0;
}

static int
get_subject(const struct token *t, struct buf *subject, struct fault *f)
{
	uint32_t sub = member(t, "sub");

	if (sub != 0 && t->json.tok[sub].type == JSON_STRING)
		json_string(&t->json, sub, subject);
	if (subject->bad)
		return no_memory(f);
	if (subject->len == 0 || subject->len > IDENTITY_NAME_MAX)
		return refuse(f, "claim sub is not an authentication name");
	for (size_t i = 0; i < subject->len; i++)
		if ((unsigned char)buf_data(subject)[i] < ' ')
			return refuse(f, "claim sub has control characters");
	return 0;
}

/* A member's name, if it can be that of an attribute; else it is empty. */
static void
attribute_name(const struct token *t, uint32_t m, struct buf *name)
{
	static const char *const claims[] = {
		"iss", "sub", "aud", "exp", "nbf", "iat", "jti"
	};
	struct json_chars chars;
	int32_t c;
	char byte;

	buf_reset(name, name->cap);
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		if (json_is(&t->json, m, claims[i], 3))
			return;
	json_chars(&t->json, m, &chars);
	while ((c = json_next(&chars)) != -1) {
		if (c != '_' && !(c >= '0' && c <= '9') &&
		    !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z')) {
			buf_reset(name, name->cap);
			return;
		}
		byte = (char)c;
		buf_add(name, &byte, 1);
	}
}

static bool
strings_only(const struct json *js, uint32_t array)
{
	for (uint32_t i = array + 1; i < js->tok[array].next; i++)
		if (js->tok[i].type != JSON_STRING)
			return false;
	return true;
}

static void
add_raw(const struct json *js, uint32_t t, struct buf *b)
{
	buf_add(b, js->text + js->tok[t].start,
	    js->tok[t].end - js->tok[t].start);
}

/* Add a value that an attribute may have: it is one, or nothing is added. */
static bool
add_value(const struct json *js, uint32_t t, struct buf *b)
{
	int64_t v;

	switch (js->tok[t].type) {
	case JSON_STRING:
		add_raw(js, t, b);
		return true;
	case JSON_NUMBER:
		if (!json_int64(js, t, &v) || v < INT32_MIN || v > INT32_MAX)
			return false;
		buf_printf(b, "%" PRId64, v);
		return true;
	case JSON_ARRAY:
		if (!strings_only(js, t))
			return false;
		buf_add(b, "[", 1);
		for (uint32_t i = t + 1; i < js->tok[t].next; i++) {
			if (i > t + 1)
				buf_add(b, ",", 1);
			add_raw(js, i, b);
		}
		buf_add(b, "]", 1);
		return true;
	default:
		return false;
	}
}

static int
get_attributes(const struct token *t, struct buf *b, struct fault *f)
{
	const struct json *js = &t->json;
	struct buf name = { 0 };
	size_t len;

	buf_add(b, "{", 1);
	for (uint32_t i = 1; i < js->tok[0].next; i = js->tok[i + 1].next) {
		attribute_name(t, i, &name);
		/* the last of equal names is the one */
		if (name.len == 0 || json_member(js, 0, buf_data(&name),
		    name.len) != i + 1)
			continue;
		len = b->len;
		if (len > 1)
			buf_add(b, ",", 1);
		buf_json(b, buf_data(&name), name.len);
		buf_add(b, ":", 1);
		if (!add_value(js, i + 1, b))
			b->len = len;
	}
	buf_add(b, "}", 1);
	buf_free(&name);
	if (b->bad)
		return no_memory(f);
	return b->len < ATTRIBUTES_MAX ? 0 : refuse(f,
	    "the claims that become attributes are not below 4 KB");
}

static int
check_claims(const struct jwt_issuer *issuer, struct token *t,
    struct jwt_claims *c, struct fault *f)
{
	char q[QUOTE_MAX];

	if (scan(t, &t->claims, "claims", f) == -1)
		return -1;
	if (!member_is(t, "iss", issuer->name))
		return fault_set(f, FAULT_UNAUTHORIZED, "token: claim iss is "
		    "not '%s'", quote(q, issuer->name, strlen(issuer->name)));
	if (check_audience(issuer, t, f) == -1 ||
	    check_times(t, &c->expires, f) == -1 ||
	    get_subject(t, &c->subject, f) == -1)
		return -1;
	return get_attributes(t, &c->attributes, f);
}

int
jwt_check(const struct jwt_issuer *issuer, const char *text, size_t n,
    struct jwt_claims *c, struct fault *f)
{
	struct token t = { 0 };
	int rc = -1;

	*c = (struct jwt_claims){ .expires = 0 };
	if (split(&t, text, n, f) == 0 && check_header(issuer, &t, f) == 0)
		rc = check_claims(issuer, &t, c, f);
	if (rc == -1)
		jwt_claims_free(c);
	json_free(&t.json);
	buf_free(&t.header);
	buf_free(&t.claims);
	buf_free(&t.signature);
	return rc;
}
