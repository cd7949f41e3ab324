#ifndef TLS_H
#define TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"

/*
 * The server's side of TLS 1.2 and 1.3 over wolfSSL, without I/O: bytes of the
 * network in, bytes for it out. A client certificate is asked for and not
 * demanded: whether it is good enough is decided when MQTT says who it is to be.
 * ChaCha20-Poly1305 is preferred when offered; no renegotiation, no tickets.
 */
#define TLS_CHAIN_MAX 9          /* certificates that a client may send */
#define TLS_HANDSHAKE_MAX 65536  /* bytes it may send before it has finished */

/* Certificate chain and key of the server, and the authorities of clients. */
struct tls_server;

/* PEM texts; `authorities` are n certificates as the registry holds them (PEM or
 * base64). NULL and a fault that says which one is wrong. */
struct tls_server *tls_server_new(const char *certificates, const char *key,
    const char *const *authorities, size_t n, struct fault *);
/* The same of a spool's namespace/tls/server.pem and server.key. */
struct tls_server *tls_server_open(int spool, const char *const *authorities,
    size_t n, struct fault *);
/* Its connections go on. */
void tls_server_free(struct tls_server *);

struct tls;
struct tls *tls_new(struct tls_server *); /* NULL without memory */
void tls_free(struct tls *);

enum tls_result {
	TLS_OK,
	TLS_CLOSED, /* the peer has ended it properly */
	TLS_FAILED, /* see tls_error(); `out` may hold an alert to be sent */
};

/* Bytes that have arrived: what they say is added to `plain`, what is to be sent
 * (handshake, alerts) to `out`. All of them are taken. */
enum tls_result tls_feed(struct tls *, const void *, size_t, struct buf *plain,
    struct buf *out);

/* Bytes to be sent, in as few records as can be; established only. */
enum tls_result tls_write(struct tls *, const void *, size_t, struct buf *out);

/* Say goodbye. */
void tls_goodbye(struct tls *, struct buf *out);

bool tls_established(const struct tls *);
/* Why it failed, for people; never NULL. */
const char *tls_error(const struct tls *);
/* "TLS13-CHACHA20-POLY1305-SHA256". */
const char *tls_cipher(const struct tls *);

/*
 * The client's certificate. `trusted`: its chain ends at one of the authorities,
 * each signature holds, each certificate above the leaf may sign others, the
 * leaf may be used by a TLS client, and all are valid now by clock_now(); else
 * `why` says what is wrong. (A thumbprint needs no trusted chain, but dates.)
 */
struct tls_certificate {
	const uint8_t *der[TLS_CHAIN_MAX]; /* leaf first */
	size_t len[TLS_CHAIN_MAX];
	size_t n;
	uint8_t sha1[20], sha256[32]; /* of the leaf */
	bool trusted;
	const char *why;
	uint8_t anchor[32];        /* SHA-256 of the authority, when trusted */
	int64_t begins, ends;      /* the leaf's notBefore, notAfter */
	int64_t trusted_until;     /* the earliest end in a trusted chain */
};

/* NULL when the client showed none. Valid until tls_forget(). */
const struct tls_certificate *tls_certificate(struct tls *);

/* The client is known: let go of its certificate and of all that only the
 * handshake needed. */
void tls_forget(struct tls *);

/* Is the authority with this SHA-256 still one of the server's? */
bool tls_has_authority(const struct tls_server *, const uint8_t anchor[32]);

#endif
