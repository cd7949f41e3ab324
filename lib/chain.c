#include "chain.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/sha.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "cert.h"
#include "clock.h"

/* A certificate, read. Points into its DER. */
struct link {
	struct DecodedCert cert;
	const uint8_t *der;
	word32 len;
	int64_t begins, ends;
	bool read;
};

struct authority {
	struct link link;
	uint8_t sha256[WC_SHA256_DIGEST_SIZE];
	uint8_t der[];
};

/*
 * Leaves whose signature has been found good, by their SHA-256: a device that
 * comes back costs one public key operation less, of five. Dates are looked at
 * every time.
 */
#define SEEN_MAX 1024
struct seen {
	uint8_t sha256[WC_SHA256_DIGEST_SIZE];
	const struct authority *by;
};

struct authorities {
	struct seen seen[SEEN_MAX];
	size_t n;
	struct authority *list[];
};

static int
time_of(const byte *raw, int len, int64_t *us)
{
	const byte *text;
	byte format;
	struct tm tm = { .tm_sec = 0 };
	int n;

	if (raw == NULL || wc_GetDateInfo(raw, len, &text, &format, &n) != 0 ||
	    wc_GetDateAsCalendarTime(text, n, format, &tm) != 0)
		return -1;
	*us = (int64_t)timegm(&tm) * CLOCK_SECOND;
	return 0;
}

static int
link_read(struct link *l, const uint8_t *der, size_t len)
{
	struct DecodedCert *c = &l->cert;

	l->der = der;
	l->len = (word32)len;
	l->read = true;
	wc_InitDecodedCert(c, der, l->len, NULL);
	return wc_ParseCert(c, CERT_TYPE, NO_VERIFY, NULL) == 0 &&
	    time_of(c->beforeDate, c->beforeDateLen, &l->begins) == 0 &&
	    time_of(c->afterDate, c->afterDateLen, &l->ends) == 0 ? 0 : -1;
}

static void
link_free(struct link *l)
{
	if (l->read)
		wc_FreeDecodedCert(&l->cert);
	l->read = false;
}

static bool
signature_is_strong(word32 oid)
{
	switch (oid) {
	case CTC_SHA256wRSA:
	case CTC_SHA384wRSA:
	case CTC_SHA512wRSA:
	case CTC_RSASSAPSS:
	case CTC_SHA256wECDSA:
	case CTC_SHA384wECDSA:
	case CTC_SHA512wECDSA:
	case CTC_ED25519:
	case CTC_ED448:
		return true;
	default: /* MD5, SHA-1 and what nobody uses */
		return false;
	}
}

static bool
names_as_issuer(const struct link *lower, const struct link *upper)
{
	const struct DecodedCert *l = &lower->cert, *u = &upper->cert;

	return l->issuerRawLen > 0 && l->issuerRawLen == u->subjectRawLen &&
	    memcmp(l->issuerRaw, u->subjectRaw, (size_t)l->issuerRawLen) == 0;
}

static bool
is_signed_by(const struct link *lower, const struct link *upper)
{
	return names_as_issuer(lower, upper) &&
	    signature_is_strong(lower->cert.signatureOID) &&
	    wc_CheckCertSigPubKey(lower->der, lower->len, NULL,
	    upper->cert.publicKey, upper->cert.pubKeySize,
	    (int)upper->cert.keyOID) == 0;
}

static const char *
date_fault(const struct link *l, int64_t now)
{
	if (now < l->begins)
		return "a certificate is not valid yet";
	if (now > l->ends)
		return "a certificate has expired";
	return NULL;
}

/* May a TLS client show it? An issuer that lists uses limits what it has signed
 * to these. */
static const char *
use_fault(const struct link *l, bool leaf)
{
	const struct DecodedCert *c = &l->cert;

	if (c->extExtKeyUsageSet && (c->extExtKeyUsage &
	    (EXTKEYUSE_CLIENT_AUTH | EXTKEYUSE_ANY)) == 0)
		return "extendedKeyUsage lacks clientAuth";
	if (leaf && c->extKeyUsageSet && (c->extKeyUsage &
	    (KEYUSE_DIGITAL_SIG | KEYUSE_KEY_AGREE)) == 0)
		return "keyUsage lacks digitalSignature";
	return NULL;
}

/* May it sign a certificate below which are `below` more issuers? */
static const char *
issuer_fault(const struct link *l, size_t below)
{
	const struct DecodedCert *c = &l->cert;

	if (!c->isCA)
		return "an issuer is no authority: basicConstraints lacks "
		    "CA:TRUE";
	if (c->extKeyUsageSet && (c->extKeyUsage & KEYUSE_KEY_CERT_SIGN) == 0)
		return "an issuer may not sign: keyUsage lacks keyCertSign";
	if (c->pathLengthSet && c->pathLength < below)
		return "the chain is longer than an issuer allows";
	/* nobody here compares names with them: better none than any */
	if (c->extNameConstraintSet)
		return "an issuer has nameConstraints, which are not supported";
	return NULL;
}

static const char *
authority_fault(const struct authority *a, size_t below, int64_t now)
{
	const char *why = date_fault(&a->link, now);

	return why != NULL ? why : issuer_fault(&a->link, below);
}

/* An authority that has signed this one, and what is wrong with that: NULL when
 * there is one with which nothing is. */
static const struct authority *
find_authority(const struct authorities *a, const struct link *l, size_t below,
    int64_t now, const char **why)
{
	const struct authority *found = NULL;

	for (size_t i = 0; i < a->n; i++) {
		if (!is_signed_by(l, &a->list[i]->link))
			continue;
		found = a->list[i];
		if ((*why = authority_fault(found, below, now)) == NULL)
			break;
	}
	return found;
}

/* The same for a leaf, which may have been here before. */
static const struct authority *
find_again(struct authorities *a, const struct link *leaf,
    const uint8_t sha256[WC_SHA256_DIGEST_SIZE], int64_t now, const char **why)
{
	struct seen *s = &a->seen[(sha256[0] << 8 | sha256[1]) % SEEN_MAX];

	if (s->by != NULL &&
	    memcmp(s->sha256, sha256, sizeof(s->sha256)) == 0 &&
	    authority_fault(s->by, 0, now) == NULL)
		return s->by;
	memcpy(s->sha256, sha256, sizeof(s->sha256));
	return s->by = find_authority(a, leaf, 0, now, why);
}

static int64_t
earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* From the leaf, pair[0], up to an authority. What is wrong, or NULL. */
static const char *
climb(struct authorities *a, struct tls_certificate *c, struct link pair[2])
{
	static const char unknown[] = "no registered authority has signed it";
	const struct authority *anchor;
	const char *why = NULL;
	int64_t now = clock_now();

	c->trusted_until = INT64_MAX;
	for (size_t i = 0; why == NULL; i++) {
		struct link *at = &pair[i % 2], *up = &pair[(i + 1) % 2];

		c->trusted_until = earlier(c->trusted_until, at->ends);
		if ((why = date_fault(at, now)) != NULL ||
		    (why = use_fault(at, i == 0)) != NULL)
			break;
		anchor = i == 0 ? find_again(a, at, c->sha256, now, &why) :
		    find_authority(a, at, i, now, &why);
		if (anchor != NULL) {
			memcpy(c->anchor, anchor->sha256, sizeof(c->anchor));
			c->trusted_until = earlier(c->trusted_until,
			    anchor->link.ends);
			break;
		}
		link_free(up);
		if (i + 1 == c->n || link_read(up, c->der[i + 1],
		    c->len[i + 1]) == -1 || !is_signed_by(at, up))
			why = unknown;
		else
			why = issuer_fault(up, i);
	}
	return why;
}

static void
authority_free(struct authority *a)
{
	if (a == NULL)
		return;
	link_free(&a->link);
	free(a);
}

static struct authority *
authority_new(const char *text, struct fault *f)
{
	struct buf der = { 0 };
	struct authority *a = NULL;
	int64_t issued, expires;

	if (cert_authority(text, &issued, &expires, f) == -1)
		return NULL;
	if (cert_der(text, &der, f) == 0 &&
	    (a = calloc(1, sizeof(*a) + der.len)) == NULL)
		fault_errno(f, FAULT_INTERNAL, "authority");
	if (a != NULL) {
		memcpy(a->der, buf_data(&der), der.len);
		wc_Sha256Hash(a->der, (word32)der.len, a->sha256);
		if (link_read(&a->link, a->der, der.len) == -1) {
			authority_free(a);
			a = NULL;
			fault_set(f, FAULT_BAD_REQUEST, "is a certificate "
			    "that cannot be used to check others");
		}
	}
	buf_free(&der);
	return a;
}

struct authorities *
authorities_new(const char *const *texts, size_t n, struct fault *f)
{
	struct authorities *a = calloc(1, sizeof(*a) + n * sizeof(*a->list));
	struct fault why;

	if (a == NULL) {
		fault_errno(f, FAULT_INTERNAL, "authorities");
		return NULL;
	}
	for (; a->n < n; a->n++) {
		a->list[a->n] = authority_new(texts[a->n], &why);
		if (a->list[a->n] == NULL) {
			fault_set(f, why.code, "authority %zu %s", a->n + 1,
			    why.text);
			authorities_free(a);
			return NULL;
		}
	}
	return a;
}

void
authorities_free(struct authorities *a)
{
	for (size_t i = 0; a != NULL && i < a->n; i++)
		authority_free(a->list[i]);
	free(a);
}

bool
authorities_have(const struct authorities *a, const uint8_t sha256[32])
{
	for (size_t i = 0; i < a->n; i++)
		if (memcmp(a->list[i]->sha256, sha256, 32) == 0)
			return true;
	return false;
}

void
chain_judge(struct authorities *a, struct tls_certificate *c)
{
	struct link pair[2] = { { .read = false } };

	wc_ShaHash(c->der[0], (word32)c->len[0], c->sha1);
	wc_Sha256Hash(c->der[0], (word32)c->len[0], c->sha256);
	if (link_read(&pair[0], c->der[0], c->len[0]) == 0) {
		c->begins = pair[0].begins;
		c->ends = pair[0].ends;
		c->why = climb(a, c, pair);
	} else {
		c->begins = INT64_MAX; /* never valid */
		c->why = "it makes no sense";
	}
	c->trusted = c->why == NULL;
	link_free(&pair[0]);
	link_free(&pair[1]);
}
