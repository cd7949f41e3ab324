#include "issue.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/ecc.h>
#include <wolfssl/wolfcrypt/error-crypt.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/sha.h>

#include "cert.h"
#include "clock.h"
#include "quote.h"
#include "utf8.h"

#define KEY_BYTES 32 /* of P-256 */

/* Clocks of devices run slow: it is valid from so long before now. */
#define BACKDATE (3600 * CLOCK_SECOND)

#define ALTERNATIVE_MAX 512 /* bytes */
#define ALTERNATIVES_MAX 32 /* so a certificate has less than 64 KiB */

#define KEY_MAX 512       /* of a key, as DER */
#define SIGNATURE_MAX 256 /* and its algorithm */

static int
crypto_fault(struct fault *f, const char *what, int rc)
{
	return fault_set(f, FAULT_INTERNAL, "%s: %s", what,
	    wc_GetErrorString(rc));
}

/* DER, in armour, added to a buffer. */
static int
add_pem(struct buf *b, const byte *der, int len, int type, struct fault *f)
{
	int n = wc_DerToPem(der, (word32)len, NULL, 0, type);
	char *room = n > 0 ? buf_room(b, (size_t)n) : NULL;

	if (room == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	n = wc_DerToPem(der, (word32)len, (byte *)room, (word32)n, type);
	if (n <= 0)
		return crypto_fault(f, "PEM", n);
	buf_grew(b, (size_t)n);
	return 0;
}

/* ---- keys ---- */

static int
add_key(struct buf *b, ecc_key *key, struct fault *f)
{
	byte der[KEY_MAX];
	word32 len = sizeof(der);
	int rc = wc_EccKeyToPKCS8(key, der, &len);

	rc = rc <= 0 ? crypto_fault(f, "key", rc) :
	    add_pem(b, der, (int)len, PKCS8_PRIVATEKEY_TYPE, f);
	explicit_bzero(der, sizeof(der));
	return rc;
}

int
issue_key(struct buf *b, struct fault *f)
{
	ecc_key key;
	WC_RNG rng;
	int rc;

	if ((rc = wc_InitRng(&rng)) != 0)
		return crypto_fault(f, "random numbers", rc);
	rc = wc_ecc_init(&key);
	if (rc == 0)
		rc = wc_ecc_make_key_ex(&rng, KEY_BYTES, &key, ECC_SECP256R1);
	rc = rc != 0 ? crypto_fault(f, "key", rc) : add_key(b, &key, f);
	wc_ecc_free(&key);
	wc_FreeRng(&rng);
	return rc;
}

/* To be freed by wc_ecc_free(), even after a fault. */
static int
read_key(ecc_key *key, const char *pem, struct fault *f)
{
	byte der[KEY_MAX];
	word32 at = 0;
	int n, rc = wc_ecc_init(key);

	n = wc_KeyPemToDer((const byte *)pem, (int)strlen(pem), der,
	    sizeof(der), NULL);
	if (rc == 0 && n > 0)
		rc = wc_EccPrivateKeyDecode(der, &at, key, (word32)n);
	explicit_bzero(der, sizeof(der));
	if (rc != 0 || n <= 0 || wc_ecc_size(key) != KEY_BYTES)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "is not a key of the P-256 curve as PEM");
	/* it may stand in the file without its public part */
	if (key->type == ECC_PRIVATEKEY_ONLY)
		rc = wc_ecc_make_pub(key, NULL);
	return rc == 0 ? 0 : crypto_fault(f, "key", rc);
}

/*
 * ---- DER ----
 * Written by hand, as wolfSSL 5.5 cannot make basicConstraints critical, which
 * RFC 5280 wants of an authority and strict verifiers insist on. What has been
 * written from `at` on becomes the contents of one more element.
 */
enum der {
	DER_BOOLEAN = 0x01,
	DER_INTEGER = 0x02,
	DER_BITS = 0x03,
	DER_OCTETS = 0x04,
	DER_UTF8 = 0x0c,
	DER_UTC_TIME = 0x17,
	DER_TIME = 0x18,
	DER_SEQUENCE = 0x30,
	DER_SET = 0x31,
	DER_IN = 0x80,    /* [n], primitive */
	DER_AROUND = 0xa0, /* [n], constructed */
};

static void
der_wrap(struct buf *b, size_t at, unsigned tag)
{
	size_t len = b->len - at, n = 2;
	uint8_t head[4] = { (uint8_t)tag, (uint8_t)len };

	if (len >= 0x100) {
		head[1] = 0x82;
		head[2] = (uint8_t)(len >> 8);
		head[3] = (uint8_t)len;
		n = 4;
	} else if (len >= 0x80) {
		head[1] = 0x81;
		head[2] = (uint8_t)len;
		n = 3;
	}
	if (buf_room(b, n) == NULL)
		return;
	buf_grew(b, n);
	memmove(buf_data(b) + at + n, buf_data(b) + at, len);
	memcpy(buf_data(b) + at, head, n);
}

static void
der_put(struct buf *b, unsigned tag, const void *value, size_t len)
{
	size_t at = b->len;

	buf_add(b, value, len);
	der_wrap(b, at, tag);
}

/* ---- alternative names ---- */

static bool
put_address(struct buf *b, const char *text)
{
	uint8_t bytes[16];
	size_t len = inet_pton(AF_INET, text, bytes) == 1 ? 4 :
	    inet_pton(AF_INET6, text, bytes) == 1 ? 16 : 0;

	if (len != 0)
		der_put(b, DER_IN | 7, bytes, len);
	return len != 0;
}

/* The other kinds are ASCII without blanks. */
static bool
put_text(struct buf *b, unsigned tag, const char *text)
{
	size_t len = strlen(text);

	for (const char *p = text; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return false;
	if (len == 0 || len > ALTERNATIVE_MAX)
		return false;
	der_put(b, tag, text, len);
	return true;
}

static bool
put_alternative(struct buf *b, const char *text)
{
	static const struct {
		const char *prefix;
		unsigned tag;
	} kinds[] = {
		{ "email:", DER_IN | 1 }, { "DNS:", DER_IN | 2 },
		{ "URI:", DER_IN | 6 },
	};

	if (strncasecmp(text, "IP:", 3) == 0)
		return put_address(b, text + 3);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncasecmp(text, kinds[i].prefix, len) == 0)
			return put_text(b, kinds[i].tag, text + len);
	}
	return put_address(b, text) || (strchr(text, ':') == NULL &&
	    put_text(b, DER_IN | 2, text));
}

static int
put_alternatives(struct buf *b, const struct issue *how, struct fault *f)
{
	char q[QUOTE_MAX];

	if (how->n > ALTERNATIVES_MAX)
		return fault_set(f, FAULT_BAD_REQUEST, "more than %d "
		    "alternative names", ALTERNATIVES_MAX);
	for (size_t i = 0; i < how->n; i++) {
		const char *text = how->alternatives[i];

		if (!put_alternative(b, text))
			return fault_set(f, FAULT_BAD_REQUEST, "'%s' is none "
			    "of DNS:NAME, IP:ADDRESS, URI:..., email:...",
			    quote(q, text, strlen(text)));
	}
	return 0;
}

/* ---- the certificate ---- */

/* Of the authority, as its certificate has it; of itself, its own. */
struct issuer {
	const uint8_t *name; /* contents of its DER; NULL: the subject's */
	size_t name_len;
	const uint8_t *key_id;
	int64_t ends;
};

static bool
good_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)name[i]))
			return false;
	return len > 0 && len <= ISSUE_NAME_MAX && utf8_text(name, len);
}

static void
put_name(struct buf *b, const char *name)
{
	static const uint8_t common_name[] = { 0x06, 3, 0x55, 4, 3 };
	size_t at = b->len;

	buf_add(b, common_name, sizeof(common_name));
	der_put(b, DER_UTF8, name, strlen(name));
	der_wrap(b, at, DER_SEQUENCE);
	der_wrap(b, at, DER_SET);
	der_wrap(b, at, DER_SEQUENCE);
}

/* Up to 2049 without the century. */
static void
put_date(struct buf *b, int64_t us)
{
	time_t s = (time_t)(us / CLOCK_SECOND);
	char text[32];
	struct tm tm;
	size_t n;

	gmtime_r(&s, &tm);
	n = strftime(text, sizeof(text), "%Y%m%d%H%M%SZ", &tm);
	if (tm.tm_year + 1900 < 2050)
		der_put(b, DER_UTC_TIME, text + 2, n - 2);
	else
		der_put(b, DER_TIME, text, n);
}

static void
put_dates(struct buf *b, int days, int64_t limit)
{
	int64_t now = clock_now(), end = now + days * CLOCK_DAY;
	size_t at = b->len;

	put_date(b, now - BACKDATE);
	put_date(b, end < limit ? end : limit);
	der_wrap(b, at, DER_SEQUENCE);
}

/* An extension, 2.5.29.id, whose value has been written from `at` on. */
static void
wrap_extension(struct buf *b, size_t at, uint8_t id, bool critical)
{
	static const uint8_t yes = 0xff;
	const uint8_t oid[] = { 0x06, 3, 0x55, 0x1d, id };
	struct buf value = { 0 };

	der_wrap(b, at, DER_OCTETS);
	buf_add(&value, buf_data(b) + at, b->len - at);
	b->len = at;
	buf_add(b, oid, sizeof(oid));
	if (critical)
		der_put(b, DER_BOOLEAN, &yes, 1);
	buf_add(b, buf_data(&value), value.len);
	b->bad |= value.bad;
	buf_free(&value);
	der_wrap(b, at, DER_SEQUENCE);
}

/* What the use demands: who signs others, and what for. */
static void
put_use(struct buf *b, enum issue_use use)
{
	static const uint8_t authority[] = { DER_BOOLEAN, 1, 0xff,
		DER_INTEGER, 1, 0 }; /* nobody that signs is below it */
	static const uint8_t sign[] = { 1, 0x06 }, signature[] = { 7, 0x80 };
	/* 1.3.6.1.5.5.7.3.1: servers; .2: clients */
	uint8_t purpose[] = { 0x06, 8, 0x2b, 6, 1, 5, 5, 7, 3,
		use == ISSUE_SERVER ? 1 : 2 };
	size_t at = b->len;

	der_put(b, DER_SEQUENCE, authority, use == ISSUE_AUTHORITY ?
	    sizeof(authority) : 0);
	wrap_extension(b, at, 19, true);
	at = b->len;
	der_put(b, DER_BITS, use == ISSUE_AUTHORITY ? sign : signature, 2);
	wrap_extension(b, at, 15, true);
	if (use == ISSUE_AUTHORITY)
		return;
	at = b->len;
	der_put(b, DER_SEQUENCE, purpose, sizeof(purpose));
	wrap_extension(b, at, 37, false);
}

static void
put_key_ids(struct buf *b, const uint8_t *own, const uint8_t *issuers)
{
	size_t at = b->len;

	der_put(b, DER_OCTETS, own, WC_SHA_DIGEST_SIZE);
	wrap_extension(b, at, 14, false);
	at = b->len;
	der_put(b, DER_IN | 0, issuers, WC_SHA_DIGEST_SIZE);
	der_wrap(b, at, DER_SEQUENCE);
	wrap_extension(b, at, 35, false);
}

static int
put_extensions(struct buf *b, const struct issue *how, const uint8_t *own,
    const uint8_t *issuers, struct fault *f)
{
	size_t all = b->len, at;

	put_use(b, how->use);
	put_key_ids(b, own, issuers);
	at = b->len;
	if (how->n > 0) {
		if (put_alternatives(b, how, f) == -1)
			return -1;
		der_wrap(b, at, DER_SEQUENCE);
		wrap_extension(b, at, 17, false);
	}
	der_wrap(b, all, DER_SEQUENCE);
	der_wrap(b, all, DER_AROUND | 3);
	return 0;
}

static int
put_serial(struct buf *b, struct fault *f)
{
	uint8_t bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		return fault_errno(f, FAULT_INTERNAL, "random numbers");
	bytes[0] = (bytes[0] & 0x3f) | 0x40; /* positive, and of full length */
	der_put(b, DER_INTEGER, bytes, sizeof(bytes));
	return 0;
}

/* All that is signed; `spki` is the subject's key. */
static int
put_body(struct buf *b, const struct issue *how, const struct buf *spki,
    const struct issuer *issuer, struct fault *f)
{
	static const uint8_t version3[] = { DER_AROUND, 3, DER_INTEGER, 1, 2 };
	static const uint8_t ecdsa_sha256[] = { DER_SEQUENCE, 10, 0x06, 8,
		0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2 };
	uint8_t own[WC_SHA_DIGEST_SIZE];
	int rc = wc_ShaHash((const byte *)buf_data(spki), (word32)spki->len,
	    own);

	if (rc != 0)
		return crypto_fault(f, "SHA-1", rc);
	buf_add(b, version3, sizeof(version3));
	if (put_serial(b, f) == -1)
		return -1;
	buf_add(b, ecdsa_sha256, sizeof(ecdsa_sha256));
	if (issuer->name != NULL)
		der_put(b, DER_SEQUENCE, issuer->name, issuer->name_len);
	else
		put_name(b, how->name);
	put_dates(b, how->days, issuer->ends);
	put_name(b, how->name);
	buf_add(b, buf_data(spki), spki->len);
	if (put_extensions(b, how, own, issuer->key_id != NULL ?
	    issuer->key_id : own, f) == -1)
		return -1;
	der_wrap(b, 0, DER_SEQUENCE);
	return b->bad ? fault_set(f, FAULT_INTERNAL, "out of memory") : 0;
}

static int
sign(struct buf *body, ecc_key *signer, struct buf *out, struct fault *f)
{
	int len = (int)body->len, rc;
	WC_RNG rng;

	if (buf_room(body, SIGNATURE_MAX) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if ((rc = wc_InitRng(&rng)) != 0)
		return crypto_fault(f, "random numbers", rc);
	rc = wc_SignCert_ex(len, CTC_SHA256wECDSA, (byte *)buf_data(body),
	    (word32)len + SIGNATURE_MAX, ECC_TYPE, signer, &rng);
	wc_FreeRng(&rng);
	return rc <= 0 ? crypto_fault(f, "signature", rc) :
	    add_pem(out, (const byte *)buf_data(body), rc, CERT_TYPE, f);
}

static int
put_key(struct buf *spki, ecc_key *key, struct fault *f)
{
	byte der[KEY_MAX];
	int n = wc_EccPublicKeyToDer(key, der, sizeof(der), 1);

	if (n <= 0)
		return crypto_fault(f, "key", n);
	buf_add(spki, der, (size_t)n);
	return 0;
}

/* Sign with the issuer's key, which is the subject's own without an authority. */
static int
make(const struct issue *how, const struct issuer *issuer, struct buf *out,
    struct fault *f)
{
	const char *signer_key = issuer->name != NULL ? how->authority_key :
	    how->key;
	struct buf body = { 0 }, spki = { 0 };
	ecc_key key, signer;
	int rc = read_key(&key, how->key, f);

	if (read_key(&signer, signer_key, f) == -1)
		rc = -1;
	if (rc == 0)
		rc = put_key(&spki, &key, f);
	if (rc == 0)
		rc = put_body(&body, how, &spki, issuer, f);
	if (rc == 0)
		rc = sign(&body, &signer, out, f);
	wc_ecc_free(&signer);
	wc_ecc_free(&key);
	buf_free(&spki);
	buf_free(&body);
	return rc;
}

/* What an authority's certificate tells, into the issuer, which points into the
 * decoded one. */
static int
read_issuer(struct issuer *issuer, DecodedCert *cert, const char *pem,
    struct fault *f)
{
	int64_t begins;

	if (cert_authority(pem, &begins, &issuer->ends, f) == -1)
		return -1;
	if (issuer->ends <= clock_now())
		return fault_set(f, FAULT_CONFLICT,
		    "the authority's certificate has expired");
	if (wc_ParseCert(cert, CERT_TYPE, NO_VERIFY, NULL) != 0 ||
	    cert->subjectRaw == NULL || !cert->extSubjKeyIdSet)
		return fault_set(f, FAULT_BAD_REQUEST, "the authority's "
		    "certificate has no name or no key identifier");
	issuer->key_id = cert->extSubjKeyId;
	issuer->name = cert->subjectRaw;
	issuer->name_len = (size_t)cert->subjectRawLen;
	return 0;
}

int
issue_certificate(const struct issue *how, struct buf *out, struct fault *f)
{
	struct issuer issuer = { .ends = INT64_MAX };
	struct buf der = { 0 };
	struct fault why;
	DecodedCert cert;
	int rc;

	if (!good_name(how->name))
		return fault_set(f, FAULT_BAD_REQUEST, "a name in a "
		    "certificate has 1 to %d bytes of text", ISSUE_NAME_MAX);
	if (how->authority == NULL)
		return make(how, &issuer, out, f);
	if (cert_der(how->authority, &der, &why) == -1) {
		buf_free(&der);
		return fault_set(f, why.code, "the authority's certificate "
		    "%s", why.text);
	}
	wc_InitDecodedCert(&cert, (const byte *)buf_data(&der),
	    (word32)der.len, NULL);
	rc = read_issuer(&issuer, &cert, how->authority, f);
	if (rc == 0)
		rc = make(how, &issuer, out, f);
	wc_FreeDecodedCert(&cert);
	buf_free(&der);
	return rc;
}
