#include "cert.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "base64.h"
#include "buf.h"
#include "clock.h"
#include "quote.h"

#define BEGIN "-----BEGIN "
#define CERT_KEY_MAX 1100 /* bytes of an RSA key of 8192 bits, and more */
#define SHA1_DIGITS 40
#define SHA256_DIGITS 64

/* One certificate and nothing else in armour, such as its key, which would be
 * shown to everybody. */
static bool
one_in_armour(const char *text, size_t len)
{
	static const char type[] = BEGIN "CERTIFICATE-----";
	const char *first = memmem(text, len, BEGIN, strlen(BEGIN));
	size_t rest = len - (size_t)(first - text);

	return rest >= strlen(type) &&
	    memcmp(first, type, strlen(type)) == 0 && memmem(first + 1,
	    rest - 1, BEGIN, strlen(BEGIN)) == NULL;
}

/* Base64 with line ends becomes what it stands for. */
static int
decode(struct buf *out, const char *text)
{
	struct buf packed = { 0 };
	char *room;
	long n = -1;

	for (size_t len; *text != '\0'; text += len) {
		text += strspn(text, " \t\r\n");
		len = strcspn(text, " \t\r\n");
		buf_add(&packed, text, len);
	}
	room = buf_room(out, packed.len + 1);
	if (!packed.bad && packed.len != 0 && room != NULL)
		n = base64_decode(room, buf_data(&packed), packed.len);
	buf_free(&packed);
	if (n <= 0)
		return -1;
	buf_grew(out, (size_t)n);
	return 0;
}

static WOLFSSL_X509 *
load(const char *data, size_t len)
{
	bool pem = memmem(data, len, BEGIN, strlen(BEGIN)) != NULL;

	if (pem && !one_in_armour(data, len))
		return NULL;
	return wolfSSL_X509_load_certificate_buffer(
	    (const unsigned char *)data, (int)len,
	    pem ? WOLFSSL_FILETYPE_PEM : WOLFSSL_FILETYPE_ASN1);
}

static WOLFSSL_X509 *
read_text(const char *text)
{
	struct buf bytes = { 0 };
	WOLFSSL_X509 *x = NULL;

	if (strstr(text, BEGIN) != NULL)
		return load(text, strlen(text));
	if (decode(&bytes, text) == 0)
		x = load(buf_data(&bytes), bytes.len);
	buf_free(&bytes);
	return x;
}

static int
time_of(const WOLFSSL_ASN1_TIME *t, int64_t *us)
{
	struct tm tm = { .tm_sec = 0 };

	if (t == NULL || wolfSSL_ASN1_TIME_to_tm(t, &tm) != WOLFSSL_SUCCESS)
		return -1;
	*us = (int64_t)timegm(&tm) * CLOCK_SECOND;
	return 0;
}

static int
not_one(struct fault *f)
{
	return fault_set(f, FAULT_BAD_REQUEST, "must be one X.509 "
	    "certificate, in PEM or base64, and nothing else");
}

int
cert_check_bundle(const char *text, struct fault *f)
{
	const char *next = strstr(text, BEGIN);
	WOLFSSL_X509 *x;

	do {
		const char *at = next;

		next = at == NULL ? NULL : strstr(at + 1, BEGIN);
		x = at == NULL ? NULL : load(at, next == NULL ? strlen(at) :
		    (size_t)(next - at));
		if (x == NULL)
			return fault_set(f, FAULT_BAD_REQUEST, "must be X.509 "
			    "certificates in PEM, and nothing else");
		wolfSSL_X509_free(x);
	} while (next != NULL);
	return 0;
}

int
cert_authority(const char *text, int64_t *issued, int64_t *expires,
    struct fault *f)
{
	WOLFSSL_X509 *x = read_text(text);
	unsigned usage;
	int rc = 0;

	if (x == NULL)
		return not_one(f);
	usage = wolfSSL_X509_get_keyUsage(x);
	if (!wolfSSL_X509_get_isCA(x))
		rc = fault_set(f, FAULT_BAD_REQUEST, "is not the certificate "
		    "of an authority: basicConstraints lacks CA:TRUE");
	/* without the extension a key may be used for everything */
	else if (usage != 0 && (usage & KEYUSE_KEY_CERT_SIGN) == 0)
		rc = fault_set(f, FAULT_BAD_REQUEST, "may not sign "
		    "certificates: keyUsage lacks keyCertSign");
	else if (time_of(wolfSSL_X509_get_notBefore(x), issued) == -1 ||
	    time_of(wolfSSL_X509_get_notAfter(x), expires) == -1)
		rc = fault_set(f, FAULT_BAD_REQUEST,
		    "has no times between which it is valid");
	wolfSSL_X509_free(x);
	return rc;
}

int
cert_der(const char *text, struct buf *b, struct fault *f)
{
	WOLFSSL_X509 *x = read_text(text);
	const unsigned char *der;
	int len;

	if (x == NULL)
		return not_one(f);
	if ((der = wolfSSL_X509_get_der(x, &len)) != NULL)
		buf_add(b, der, (size_t)len);
	wolfSSL_X509_free(x);
	return der != NULL && !b->bad ? 0 :
	    fault_set(f, FAULT_INTERNAL, "out of memory");
}

static int
rsa_key(WOLFSSL_X509 *x, struct RsaKey *key, struct fault *f)
{
	unsigned char der[CERT_KEY_MAX];
	int len = sizeof(der), bits;
	word32 at = 0;

	if (wolfSSL_X509_get_pubkey_type(x) != RSAk)
		return fault_set(f, FAULT_BAD_REQUEST, "must be the "
		    "certificate of an RSA key: tokens are signed by RS256");
	if (wc_InitRsaKey(key, NULL) != 0)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (wolfSSL_X509_get_pubkey_buffer(x, der, &len) != WOLFSSL_SUCCESS ||
	    wc_RsaPublicKeyDecode(der, &at, key, (word32)len) != 0) {
		wc_FreeRsaKey(key);
		return fault_set(f, FAULT_BAD_REQUEST,
		    "its RSA key makes no sense");
	}
	bits = wc_RsaEncryptSize(key) * 8;
	if (bits >= CERT_RSA_BITS)
		return 0;
	wc_FreeRsaKey(key);
	return fault_set(f, FAULT_BAD_REQUEST, "its RSA key has %d bits, and "
	    "%d are the least", bits, CERT_RSA_BITS);
}

int
cert_rsa_key(const char *text, struct RsaKey *key, struct fault *f)
{
	WOLFSSL_X509 *x = read_text(text);
	int rc;

	if (x == NULL)
		return not_one(f);
	rc = rsa_key(x, key, f);
	wolfSSL_X509_free(x);
	return rc;
}

int
cert_check_rsa(const char *text, struct fault *f)
{
	struct RsaKey key;

	if (cert_rsa_key(text, &key, f) == -1)
		return -1;
	wc_FreeRsaKey(&key);
	return 0;
}

/* The first, whatever follows. */
static WOLFSSL_X509 *
read_first(const char *pem)
{
	return wolfSSL_X509_load_certificate_buffer(
	    (const unsigned char *)pem, (int)strlen(pem),
	    WOLFSSL_FILETYPE_PEM);
}

int
cert_times(const char *pem, int64_t *begins, int64_t *ends, struct fault *f)
{
	WOLFSSL_X509 *x = read_first(pem);
	int rc = -1;

	if (x != NULL && time_of(wolfSSL_X509_get_notBefore(x), begins) == 0)
		rc = time_of(wolfSSL_X509_get_notAfter(x), ends);
	wolfSSL_X509_free(x);
	return rc == 0 ? 0 : fault_set(f, FAULT_BAD_REQUEST,
	    "is no X.509 certificate in PEM");
}

bool
cert_same_key(const char *pem, const char *other)
{
	WOLFSSL_X509 *a = read_text(pem), *b = read_text(other);
	unsigned char key[2][4096];
	int len[2] = { sizeof(key[0]), sizeof(key[1]) };
	bool same;

	same = a != NULL && b != NULL &&
	    wolfSSL_X509_get_pubkey_buffer(a, key[0], &len[0])
	    == WOLFSSL_SUCCESS &&
	    wolfSSL_X509_get_pubkey_buffer(b, key[1], &len[1])
	    == WOLFSSL_SUCCESS && len[0] == len[1] &&
	    memcmp(key[0], key[1], (size_t)len[0]) == 0;
	wolfSSL_X509_free(a);
	wolfSSL_X509_free(b);
	return same;
}

bool
cert_signed_by(const char *pem, const char *authority)
{
	WOLFSSL_X509 *x = read_first(pem), *ca = read_first(authority);
	WOLFSSL_EVP_PKEY *key = ca == NULL ? NULL :
	    wolfSSL_X509_get_pubkey(ca);
	bool is = x != NULL && key != NULL &&
	    wolfSSL_X509_verify(x, key) == WOLFSSL_SUCCESS;

	wolfSSL_EVP_PKEY_free(key);
	wolfSSL_X509_free(x);
	wolfSSL_X509_free(ca);
	return is;
}

int
cert_check_thumbprint(const char *text, struct fault *f)
{
	size_t digits = 0;
	const char *p = text;
	char q[QUOTE_MAX];

	while (isxdigit((unsigned char)p[0]) &&
	    isxdigit((unsigned char)p[1])) {
		digits += 2;
		p += 2;
		if (p[0] == ':' && p[1] != '\0')
			p++;
	}
	if (*p == '\0' && (digits == SHA1_DIGITS || digits == SHA256_DIGITS))
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "'%s' is not a SHA-1 or SHA-256 "
	    "thumbprint, %d or %d hex digits", quote(q, text,
	    strnlen(text, 80)), SHA1_DIGITS, SHA256_DIGITS);
}
