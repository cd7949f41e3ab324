#include "tls.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/asn_public.h>
#include <wolfssl/wolfcrypt/ecc.h>

#include "chain.h"
#include "spool.h"

#define RECORD_MAX 16384  /* bytes of plain text in one record */
#define PEM_MAX (256 * 1024) /* bytes of a file */
#define SESSION_MAX 65536 /* more than what wolfSSL's session takes */

/*
 * In our order of preference, which is what counts. AES-GCM of Debian's wolfSSL
 * works without the processor's help and costs more than twice as much as
 * ChaCha20-Poly1305.
 */
static const char ciphers[] =
    "TLS13-CHACHA20-POLY1305-SHA256:"
    "TLS13-AES128-GCM-SHA256:"
    "TLS13-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:"
    "ECDHE-ECDSA-AES128-GCM-SHA256:"
    "ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384";

static const char signatures[] =
    "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ED25519:"
    "RSA-PSS+SHA256:RSA-PSS+SHA384:RSA-PSS+SHA512:"
    "RSA+SHA256:RSA+SHA384:RSA+SHA512";

struct tls_server {
	WOLFSSL_CTX *ctx;
	struct authorities *authorities;
	unsigned users; /* its connections, and whoever made it */
};

/* What the client has shown, with the bytes behind it. */
struct shown {
	struct tls_certificate certificate;
	bool judged;
	uint8_t der[];
};

struct tls {
	WOLFSSL *ssl; /* from the first byte on */
	struct tls_server *server;
	struct shown *shown;
	const char *error;
	enum tls_result result;
	bool established;
	bool spoken; /* something has been sent */
	size_t handshake; /* bytes taken before it was established */
	/* of the call under way */
	const uint8_t *in;
	size_t in_len;
	struct buf *out;
};

static int
receive(WOLFSSL *ssl, char *to, int n, void *arg)
{
	struct tls *t = arg;
	size_t len = (size_t)n < t->in_len ? (size_t)n : t->in_len;

	(void)ssl;
	if (len == 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	if (!t->established) {
		if (len > TLS_HANDSHAKE_MAX - t->handshake) {
			t->error = "its handshake is too long";
			return WOLFSSL_CBIO_ERR_GENERAL;
		}
		t->handshake += len;
	}
	memcpy(to, t->in, len);
	t->in += len;
	t->in_len -= len;
	return (int)len;
}

static int
transmit(WOLFSSL *ssl, char *from, int n, void *arg)
{
	struct tls *t = arg;

	(void)ssl;
	t->spoken = true;
	buf_add(t->out, from, (size_t)n);
	return t->out->bad ? WOLFSSL_CBIO_ERR_GENERAL : n;
}

/* Copy the chain of a client, as it was sent. */
static struct shown *
copy_chain(const WOLFSSL_BUFFER_INFO *certs, size_t n)
{
	struct shown *s;
	size_t i, size = 0;
	uint8_t *p;

	for (i = 0; i < n; i++)
		size += certs[i].length;
	if ((s = calloc(1, sizeof(*s) + size)) == NULL)
		return NULL;
	for (i = 0, p = s->der; i < n; p += certs[i].length, i++) {
		memcpy(p, certs[i].buffer, certs[i].length);
		s->certificate.der[i] = p;
		s->certificate.len[i] = certs[i].length;
	}
	s->certificate.n = n;
	return s;
}

/* wolfSSL keeps a second copy of the peer's key for those who ask for it, which
 * takes 17 KiB. */
static void
drop_key(WOLFSSL_X509 *x)
{
	WOLFSSL_X509_PUBKEY *key = wolfSSL_X509_get_X509_PUBKEY(x);

	wolfSSL_EVP_PKEY_free(key->pkey);
	key->pkey = NULL;
}

/*
 * wolfSSL has no authorities here, so it trusts no certificate, and what it
 * thinks of dates is not asked for: tls_certificate() judges the chain once the
 * client has proved that it has the key. One that cannot be read is refused.
 */
static int
take_chain(int ok, WOLFSSL_X509_STORE_CTX *store)
{
	struct tls *t = store->userCtx;

	if (store->totalCerts == 0) /* it has none */
		return 1;
	switch (store->error) {
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
	case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
	case KEYUSE_SIGNATURE_E:
	case EXTKEYUSE_AUTH_E:
		break;
	default:
		if (!ok)
			return 0;
	}
	if (store->error_depth == 0)
		drop_key(store->current_cert);
	/* called for each of them, and shown all every time */
	if (t->shown == NULL && store->totalCerts <= TLS_CHAIN_MAX)
		t->shown = copy_chain(store->certs, (size_t)store->totalCerts);
	return t->shown != NULL;
}

static void
release(struct tls_server *s)
{
	if (--s->users > 0)
		return;
	authorities_free(s->authorities);
	wolfSSL_CTX_free(s->ctx);
	wolfSSL_Cleanup();
	free(s);
}

/*
 * Is the key, if it is one of an elliptic curve, that of the certificate?
 * wolfSSL_CTX_check_private_key() of 5.5 says yes to any; for RSA it can tell.
 */
static bool
is_key_of(const char *key, WOLFSSL_X509 *x)
{
	byte der[4096], point[2 * MAX_ECC_BYTES + 1];
	word32 at = 0, len = sizeof(point);
	int size, n = wc_KeyPemToDer((const byte *)key, (int)strlen(key), der,
	    sizeof(der), NULL);
	const unsigned char *certificate = wolfSSL_X509_get_der(x, &size);
	bool is = true;
	ecc_key ecc;

	wc_ecc_init(&ecc);
	if (n > 0 && certificate != NULL &&
	    wc_EccPrivateKeyDecode(der, &at, &ecc, (word32)n) == 0)
		is = wc_ecc_make_pub(&ecc, NULL) == 0 &&
		    wc_ecc_export_x963(&ecc, point, &len) == 0 &&
		    memmem(certificate, (size_t)size, point, len) != NULL;
	wc_ecc_free(&ecc);
	explicit_bzero(der, sizeof(der));
	return is;
}

static int
use_key(WOLFSSL_CTX *ctx, const char *certificates, const char *key,
    struct fault *f)
{
	if (wolfSSL_CTX_use_certificate_chain_buffer(ctx,
	    (const unsigned char *)certificates,
	    (long)strlen(certificates)) != WOLFSSL_SUCCESS)
		return fault_set(f, FAULT_BAD_REQUEST, "the server's "
		    "certificate is no certificate in PEM");
	if (wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const unsigned char *)key,
	    (long)strlen(key), WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
		return fault_set(f, FAULT_BAD_REQUEST, "the server's key is "
		    "no private key in PEM");
	if (wolfSSL_CTX_check_private_key(ctx) != WOLFSSL_SUCCESS ||
	    !is_key_of(key, wolfSSL_CTX_get0_certificate(ctx)))
		return fault_set(f, FAULT_BAD_REQUEST, "the server's key is "
		    "not the one of its certificate");
	return 0;
}

static int
configure(WOLFSSL_CTX *ctx, struct fault *f)
{
	int groups[] = { WOLFSSL_ECC_X25519, WOLFSSL_ECC_SECP256R1,
	    WOLFSSL_ECC_SECP384R1 };

	wolfSSL_CTX_SetIORecv(ctx, receive);
	wolfSSL_CTX_SetIOSend(ctx, transmit);
	wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, take_chain);
	wolfSSL_CTX_set_session_cache_mode(ctx, WOLFSSL_SESS_CACHE_OFF);
	if (wolfSSL_CTX_SetMinVersion(ctx, WOLFSSL_TLSV1_2) !=
	    WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set_cipher_list(ctx, ciphers) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set1_sigalgs_list(ctx, signatures) !=
	    WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_set_groups(ctx, groups,
	    sizeof(groups) / sizeof(*groups)) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_SetMinRsaKey_Sz(ctx, 2048) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_no_ticket_TLSv13(ctx) != 0)
		return fault_set(f, FAULT_INTERNAL, "wolfSSL lacks what TLS "
		    "needs here");
	return 0;
}

struct tls_server *
tls_server_new(const char *certificates, const char *key,
    const char *const *authorities, size_t n, struct fault *f)
{
	struct tls_server *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		fault_errno(f, FAULT_INTERNAL, "TLS");
		return NULL;
	}
	wolfSSL_Init();
	s->users = 1;
	s->ctx = wolfSSL_CTX_new(wolfSSLv23_server_method());
	if (s->ctx == NULL)
		fault_set(f, FAULT_INTERNAL, "TLS: no memory");
	else if (configure(s->ctx, f) == 0 &&
	    use_key(s->ctx, certificates, key, f) == 0 &&
	    (s->authorities = authorities_new(authorities, n, f)) != NULL)
		return s;
	release(s);
	return NULL;
}

struct tls_server *
tls_server_open(int spool, const char *const *authorities, size_t n,
    struct fault *f)
{
	struct tls_server *s = NULL;
	size_t len;
	char *pem = spool_read(spool, "namespace/tls/server.pem", PEM_MAX,
	    &len);
	char *key = spool_read(spool, "namespace/tls/server.key", PEM_MAX,
	    &len);

	if (pem == NULL || key == NULL)
		fault_set(f, FAULT_NOT_FOUND, "namespace/tls/server.pem and "
		    "server.key: %s; egns-ctl cert renew-server makes them",
		    strerror(errno));
	else
		s = tls_server_new(pem, key, authorities, n, f);
	if (key != NULL)
		explicit_bzero(key, len);
	free(key);
	free(pem);
	return s;
}

void
tls_server_free(struct tls_server *s)
{
	if (s != NULL)
		release(s);
}

struct tls *
tls_new(struct tls_server *s)
{
	struct tls *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->server = s;
	s->users++;
	return t;
}

void
tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	wolfSSL_free(t->ssl);
	free(t->shown);
	release(t->server);
	free(t);
}

/* For a peer whose first bytes are no TLS at all wolfSSL has no answer. */
static void
send_first_alert(struct tls *t)
{
	static const char alert[] = { 21, 3, 3, 0, 2, alert_fatal,
		decode_error };

	if (!t->spoken)
		buf_add(t->out, alert, sizeof(alert));
	t->spoken = true;
}

/* Remember why it has failed. */
static enum tls_result
fail(struct tls *t, int code)
{
	WOLFSSL_ALERT_HISTORY alerts;
	int error = wolfSSL_get_error(t->ssl, code);

	t->result = TLS_FAILED;
	send_first_alert(t);
	if (t->error != NULL)
		return t->result;
	if (error == WOLFSSL_ERROR_NONE) /* its last check before it goes on */
		t->error = "it has not proved that it has the key";
	else if (error == FATAL_ERROR && wolfSSL_get_alert_history(t->ssl,
	    &alerts) == WOLFSSL_SUCCESS && alerts.last_rx.code >= 0)
		t->error = wolfSSL_alert_desc_string_long(alerts.last_rx.code);
	else
		t->error = wolfSSL_ERR_reason_error_string(
		    (unsigned long)error);
	wolfSSL_ERR_clear_error();
	return t->result;
}

/*
 * A session has room for two chains of nine certificates of 2 KiB each, used or
 * not, and there is no call to be rid of them. Give whole pages in there back
 * to the kernel; should anybody look, there are zeros.
 */
static void
drop_chains(WOLFSSL *ssl)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = (uintptr_t)wolfSSL_get_chain_cert(
	    wolfSSL_get_peer_chain(ssl), 0);
	uintptr_t to = (uintptr_t)wolfSSL_get_chain_cert(
	    wolfSSL_get_peer_alt_chain(ssl), TLS_CHAIN_MAX - 1);

	from = (from + page - 1) / page * page;
	to = to / page * page;
	if (from < to && to - from < SESSION_MAX)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

/* Somebody has said something. */
static int
begin(struct tls *t)
{
	if ((t->ssl = wolfSSL_new(t->server->ctx)) == NULL)
		return -1;
	wolfSSL_SetIOReadCtx(t->ssl, t);
	wolfSSL_SetIOWriteCtx(t->ssl, t);
	wolfSSL_SetCertCbCtx(t->ssl, t);
	drop_chains(t->ssl);
	return 0;
}

static enum tls_result
shake_hands(struct tls *t)
{
	int rc;

	if (t->ssl == NULL && begin(t) == -1) {
		t->error = "out of memory";
		return t->result = TLS_FAILED;
	}
	rc = wolfSSL_accept(t->ssl);
	if (rc == WOLFSSL_SUCCESS) {
		t->established = true;
		return TLS_OK;
	}
	if (wolfSSL_get_error(t->ssl, rc) == WOLFSSL_ERROR_WANT_READ)
		return TLS_OK;
	return fail(t, rc);
}

static size_t
room_for(const struct tls *t)
{
	size_t pending = (size_t)wolfSSL_pending(t->ssl);
	size_t n = pending != 0 ? pending : t->in_len;

	return n < RECORD_MAX ? n : RECORD_MAX;
}

/* Read all records that are there. wolfSSL takes no byte that it does not need,
 * so when none is left nothing more is in it than part of a record. */
static enum tls_result
read_records(struct tls *t, struct buf *plain)
{
	size_t want;

	while ((want = room_for(t)) > 0) {
		char *room = buf_room(plain, want);
		int n, error;

		if (room == NULL) {
			t->error = "out of memory";
			return t->result = TLS_FAILED;
		}
		n = wolfSSL_read(t->ssl, room, (int)want);
		if (n > 0) {
			buf_grew(plain, (size_t)n);
			continue;
		}
		error = wolfSSL_get_error(t->ssl, n);
		if (error == WOLFSSL_ERROR_WANT_READ)
			continue;
		if (error == WOLFSSL_ERROR_ZERO_RETURN)
			return t->result = TLS_CLOSED;
		return fail(t, n);
	}
	return TLS_OK;
}

enum tls_result
tls_feed(struct tls *t, const void *data, size_t len, struct buf *plain,
    struct buf *out)
{
	enum tls_result result = t->result;

	t->in = data;
	t->in_len = len;
	t->out = out;
	if (result == TLS_OK && !t->established)
		result = shake_hands(t);
	if (result == TLS_OK && t->established)
		result = read_records(t, plain);
	t->in_len = 0;
	t->out = NULL;
	return result;
}

enum tls_result
tls_write(struct tls *t, const void *data, size_t len, struct buf *out)
{
	const uint8_t *p = data;

	t->out = out;
	while (len > 0 && t->result != TLS_FAILED) {
		int n = len < INT_MAX ? (int)len : INT_MAX;
		int rc = wolfSSL_write(t->ssl, p, n);

		if (rc != n)
			fail(t, rc);
		p += n;
		len -= (size_t)n;
	}
	t->out = NULL;
	return t->result;
}

void
tls_goodbye(struct tls *t, struct buf *out)
{
	if (t->ssl == NULL || t->result == TLS_FAILED)
		return;
	t->out = out;
	wolfSSL_shutdown(t->ssl);
	t->out = NULL;
}

bool
tls_established(const struct tls *t)
{
	return t->established;
}

const char *
tls_error(const struct tls *t)
{
	return t->error != NULL ? t->error : "no error";
}

const char *
tls_cipher(const struct tls *t)
{
	return t->established ? wolfSSL_get_cipher_name(t->ssl) : "none";
}

const struct tls_certificate *
tls_certificate(struct tls *t)
{
	struct shown *s = t->shown;

	if (s == NULL || !t->established)
		return NULL;
	if (!s->judged)
		chain_judge(t->server->authorities, &s->certificate);
	s->judged = true;
	return &s->certificate;
}

void
tls_forget(struct tls *t)
{
	free(t->shown);
	t->shown = NULL;
	wolfSSL_FreeArrays(t->ssl);
	drop_chains(t->ssl);
}

bool
tls_has_authority(const struct tls_server *s, const uint8_t anchor[32])
{
	return authorities_have(s->authorities, anchor);
}
