#include "tls.h"

#include <string.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>

#include "chain.h"
#include "check.h"
#include "clock.h"

static char clock_file[] = "/tmp/egns-clock-XXXXXX";

/* tests/certs/tls/NAME; see `make` there. */
static const char *
file(const char *name)
{
	static char text[32][4096];
	static unsigned next;
	char *to = text[next++ % 32], path[64];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "tests/certs/tls/%s", name);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(to, 1, sizeof(text[0]) - 1, f);
		fclose(f);
	}
	CHECK(n > 0);
	to[n] = '\0';
	return to;
}

/* What a test wants; zeros are TLS 1.3, any cipher and no certificate. */
struct want {
	const char *authority[3];
	const char *server; /* its certificate, and key */
	const char *server_key;
	const char *shows[3]; /* certificates of the client, leaf first */
	const char *key;      /* "device.key" */
	WOLFSSL_METHOD *(*method)(void);
	const char *ciphers;
	size_t step; /* bytes that the server is fed at once; 0 is all */
};

/* A server and a client, and the bytes between them. */
struct pair {
	struct tls_server *config;
	struct tls *server;
	WOLFSSL_CTX *ctx;
	WOLFSSL *client;
	struct buf to_server, to_client;
	struct buf plain; /* what the server has read */
	enum tls_result result;
	int client_error;
	size_t step;
};

static int
client_reads(WOLFSSL *ssl, char *to, int n, void *arg)
{
	struct buf *b = &((struct pair *)arg)->to_client;

	(void)ssl;
	if (b->len == 0)
		return WOLFSSL_CBIO_ERR_WANT_READ;
	if ((size_t)n > b->len)
		n = (int)b->len;
	memcpy(to, buf_data(b), (size_t)n);
	buf_take(b, (size_t)n);
	return n;
}

static int
client_writes(WOLFSSL *ssl, char *from, int n, void *arg)
{
	(void)ssl;
	buf_add(&((struct pair *)arg)->to_server, from, (size_t)n);
	return n;
}

static struct tls_server *
server_of(const struct want *w)
{
	const char *authorities[3];
	struct tls_server *s;
	struct fault f = { .text = "" };
	size_t n = 0;

	for (; n < 3 && w->authority[n] != NULL; n++)
		authorities[n] = file(w->authority[n]);
	s = tls_server_new(file(w->server != NULL ? w->server : "server.pem"),
	    file(w->server_key != NULL ? w->server_key : "server.key"),
	    authorities, n, &f);
	if (s == NULL)
		printf("# %s\n", f.text);
	return s;
}

static void
client_shows(WOLFSSL_CTX *ctx, const struct want *w)
{
	const char *key = file(w->key != NULL ? w->key : "device.key");
	char chain[3 * 4096] = "";

	for (size_t i = 0; i < 3 && w->shows[i] != NULL; i++)
		strcat(chain, file(w->shows[i]));
	CHECK(wolfSSL_CTX_use_certificate_chain_buffer(ctx,
	    (unsigned char *)chain, (long)strlen(chain)) == WOLFSSL_SUCCESS);
	CHECK(wolfSSL_CTX_use_PrivateKey_buffer(ctx, (const unsigned char *)key,
	    (long)strlen(key), WOLFSSL_FILETYPE_PEM) == WOLFSSL_SUCCESS);
}

static void
start(struct pair *p, const struct want *w)
{
	memset(p, 0, sizeof(*p));
	p->step = w->step;
	p->config = server_of(w);
	p->server = tls_new(p->config);
	p->ctx = wolfSSL_CTX_new(w->method != NULL ? w->method() :
	    wolfTLSv1_3_client_method());
	wolfSSL_CTX_set_verify(p->ctx, WOLFSSL_VERIFY_NONE, NULL);
	wolfSSL_CTX_SetIORecv(p->ctx, client_reads);
	wolfSSL_CTX_SetIOSend(p->ctx, client_writes);
	if (w->shows[0] != NULL)
		client_shows(p->ctx, w);
	if (w->ciphers != NULL)
		CHECK(wolfSSL_CTX_set_cipher_list(p->ctx, w->ciphers) ==
		    WOLFSSL_SUCCESS);
	p->client = wolfSSL_new(p->ctx);
	wolfSSL_SetIOReadCtx(p->client, p);
	wolfSSL_SetIOWriteCtx(p->client, p);
}

/* Give the server what the client has sent. */
static void
deliver(struct pair *p)
{
	while (p->to_server.len > 0 && p->result == TLS_OK) {
		size_t n = p->to_server.len;
		/* exactly as long as it says, so that one too far is seen */
		char *copy;

		if (p->step != 0 && n > p->step)
			n = p->step;
		copy = malloc(n);
		memcpy(copy, buf_data(&p->to_server), n);
		buf_take(&p->to_server, n);
		p->result = tls_feed(p->server, copy, n, &p->plain,
		    &p->to_client);
		free(copy);
	}
}

static void
move_clock(int64_t seconds)
{
	FILE *f = fopen(clock_file, "w");

	fprintf(f, "%lld\n", (long long)seconds);
	fclose(f);
}

/* One turn of each; false when there is nothing left to do. */
static bool
turn(struct pair *p)
{
	int rc = wolfSSL_connect(p->client);

	if (rc != WOLFSSL_SUCCESS) {
		p->client_error = wolfSSL_get_error(p->client, rc);
		if (p->client_error == WOLFSSL_ERROR_WANT_READ)
			p->client_error = 0;
	}
	if (p->to_server.len == 0)
		return false;
	deliver(p);
	return true;
}

static void
shake_hands(struct pair *p)
{
	while (turn(p))
		;
}

static void
finish(struct pair *p)
{
	wolfSSL_free(p->client);
	wolfSSL_CTX_free(p->ctx);
	tls_free(p->server);
	tls_server_free(p->config);
	buf_free(&p->to_server);
	buf_free(&p->to_client);
	buf_free(&p->plain);
}

static void
begin(struct pair *p, const struct want *w)
{
	start(p, w);
	shake_hands(p);
	if (p->result != TLS_OK)
		printf("# %s\n", tls_error(p->server));
	CHECK(p->result == TLS_OK && p->client_error == 0);
	CHECK(tls_established(p->server));
}

/* A line each way. */
static void
talk(struct pair *p)
{
	char line[16] = "";

	CHECK(wolfSSL_write(p->client, "hello", 5) == 5);
	deliver(p);
	CHECK(p->plain.len >= 5 && memcmp(buf_data(&p->plain) + p->plain.len -
	    5, "hello", 5) == 0);
	CHECK(tls_write(p->server, "welcome", 7, &p->to_client) == TLS_OK);
	CHECK(wolfSSL_read(p->client, line, sizeof(line)) == 7);
	CHECK(strcmp(line, "welcome") == 0);
}

static void
both_versions_are_spoken(void)
{
	struct pair p;

	begin(&p, &(struct want){ 0 });
	CHECK(strcmp(wolfSSL_get_version(p.client), "TLSv1.3") == 0);
	CHECK(tls_certificate(p.server) == NULL);
	talk(&p);
	tls_forget(p.server);
	talk(&p);
	finish(&p);

	begin(&p, &(struct want){ .method = wolfTLSv1_2_client_method });
	CHECK(strcmp(wolfSSL_get_version(p.client), "TLSv1.2") == 0);
	CHECK(tls_certificate(p.server) == NULL);
	talk(&p);
	tls_forget(p.server);
	talk(&p);
	finish(&p);

	begin(&p, &(struct want){ .server = "server-rsa.pem",
	    .server_key = "rsa.key" });
	talk(&p);
	finish(&p);
}

static void
cipher_is(const char *offered, WOLFSSL_METHOD *(*method)(void),
    const char *name)
{
	struct pair p;

	begin(&p, &(struct want){ .ciphers = offered, .method = method });
	if (strcmp(tls_cipher(p.server), name) != 0)
		printf("# %s\n", tls_cipher(p.server));
	CHECK(strcmp(tls_cipher(p.server), name) == 0);
	talk(&p);
	finish(&p);
}

static void
our_order_of_ciphers_counts(void)
{
	cipher_is("TLS13-AES256-GCM-SHA384:TLS13-AES128-GCM-SHA256:"
	    "TLS13-CHACHA20-POLY1305-SHA256", wolfTLSv1_3_client_method,
	    "TLS13-CHACHA20-POLY1305-SHA256");
	cipher_is("TLS13-AES256-GCM-SHA384:TLS13-AES128-GCM-SHA256",
	    wolfTLSv1_3_client_method, "TLS13-AES128-GCM-SHA256");
	cipher_is("ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305",
	    wolfTLSv1_2_client_method,
	    "ECDHE-ECDSA-CHACHA20-POLY1305");
}

/* The certificate that the client shows, after the handshake. */
static const struct tls_certificate *
shown(struct pair *p, const struct want *w)
{
	static const struct tls_certificate none = { .why = "" };
	const struct tls_certificate *c;

	begin(p, w);
	c = tls_certificate(p->server);
	CHECK(c != NULL);
	return c != NULL ? c : &none;
}

static void
trusted(const struct want *w)
{
	const struct tls_certificate *c;
	struct pair p;

	c = shown(&p, w);
	if (!c->trusted)
		printf("# %s: %s\n", w->shows[0], c->why);
	CHECK(c->trusted && c->why == NULL);
	CHECK(tls_has_authority(p.config, c->anchor));
	talk(&p);
	finish(&p);
}

static void
refused(const struct want *w, const char *why)
{
	const struct tls_certificate *c;
	struct pair p;

	c = shown(&p, w);
	if (c->trusted || strstr(c->why, why) == NULL)
		printf("# %s: %s\n", w->shows[0], c->trusted ? "ok" : c->why);
	CHECK(!c->trusted && strstr(c->why, why) != NULL);
	talk(&p);
	finish(&p);
}

static void
good_chains_are_trusted(void)
{
	static const char *const leaves[][2] = {
		{ "leaf.pem", "device.key" },
		{ "leaf-plain.pem", "device.key" },
		{ "leaf-rsa.pem", "rsa.key" },
		{ "leaf-p384.pem", "p384.key" },
		{ "leaf-ed25519.pem", "ed25519.key" },
	};

	for (size_t i = 0; i < sizeof(leaves) / sizeof(*leaves); i++) {
		struct want w = { .authority = { "root.pem" },
			.shows = { leaves[i][0] }, .key = leaves[i][1] };

		trusted(&w);
		w.method = wolfTLSv1_2_client_method;
		trusted(&w);
	}
	/* the client sends the intermediate, or we know it */
	trusted(&(struct want){ .authority = { "root.pem" },
	    .shows = { "below-authority.pem", "middle-authority.pem" } });
	trusted(&(struct want){ .authority = { "middle-authority.pem" },
	    .shows = { "below-authority.pem" } });
	trusted(&(struct want){ .authority = { "middle-authority.pem" },
	    .shows = { "below-authority.pem", "middle-authority.pem" } });
	trusted(&(struct want){ .authority = { "root.pem" },
	    .shows = { "below-short.pem", "middle-short.pem", "root.pem" } });
}

static void
an_old_and_a_new_authority_have_one_name(void)
{
	struct want w = { .authority = { "root.pem", "other.pem" },
		.shows = { "leaf.pem" } };
	const struct tls_certificate *c;
	uint8_t root[32];
	struct pair p;

	c = shown(&p, &w);
	CHECK(c->trusted);
	memcpy(root, c->anchor, sizeof(root));
	finish(&p);
	w.shows[0] = "leaf-other.pem";
	c = shown(&p, &w);
	CHECK(c->trusted && memcmp(root, c->anchor, sizeof(root)) != 0);
	CHECK(tls_has_authority(p.config, root));
	finish(&p);

	/* the same key, too: one has expired */
	w = (struct want){ .authority = { "old.pem", "root.pem" },
		.shows = { "leaf.pem" } };
	c = shown(&p, &w);
	CHECK(c->trusted && memcmp(root, c->anchor, sizeof(root)) == 0);
	finish(&p);
	w.authority[1] = NULL;
	c = shown(&p, &w);
	CHECK(!c->trusted && strstr(c->why, "expired") != NULL);
	CHECK(!tls_has_authority(p.config, root));
	finish(&p);
}

static void
bad_chains_are_not(void)
{
	static const struct {
		const char *shows[3], *why;
	} bad[] = {
		{ { "self.pem" }, "no registered authority" },
		{ { "leaf-other.pem" }, "no registered authority" },
		{ { "below-authority.pem" }, "no registered authority" },
		{ { "below-authority.pem", "middle-short.pem" },
		    "no registered authority" },
		{ { "below-authority.pem", "leaf.pem",
		    "middle-authority.pem" }, "no registered authority" },
		{ { "sha1.pem" }, "no registered authority" },
		{ { "expired.pem" }, "has expired" },
		{ { "future.pem" }, "not valid yet" },
		{ { "for-servers.pem" }, "lacks clientAuth" },
		{ { "encipher.pem" }, "lacks digitalSignature" },
		{ { "below-expired.pem", "middle-expired.pem" },
		    "has expired" },
		{ { "below-no_ca.pem", "middle-no_ca.pem" }, "CA:TRUE" },
		{ { "below-no_sign.pem", "middle-no_sign.pem" },
		    "keyCertSign" },
		{ { "below-for_servers.pem", "middle-for_servers.pem" },
		    "lacks clientAuth" },
		{ { "below-constrained.pem", "middle-constrained.pem" },
		    "nameConstraints" },
		{ { "below-second.pem", "second.pem", "middle-short.pem" },
		    "longer than" },
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct want w = { .authority = { "root.pem" } };

		memcpy(w.shows, bad[i].shows, sizeof(w.shows));
		refused(&w, bad[i].why);
		w.method = wolfTLSv1_2_client_method;
		refused(&w, bad[i].why);
	}
	refused(&(struct want){ .shows = { "leaf.pem" } },
	    "no registered authority");
}

static void
what_is_told_of_a_certificate(void)
{
	const struct tls_certificate *c;
	char from[CLOCK_TEXT + 1], to[CLOCK_TEXT + 1];
	struct pair p;

	c = shown(&p, &(struct want){ .authority = { "old.pem", "root.pem" },
	    .shows = { "below-authority.pem", "middle-authority.pem" } });
	CHECK(c->n == 2 && c->len[0] > 200 && c->der[0][0] == 0x30);
	clock_format(from, c->begins);
	clock_format(to, c->ends);
	CHECK(strcmp(from, "2000-01-01T00:00:00.000000Z") == 0);
	CHECK(strcmp(to, "2100-01-01T00:00:00.000000Z") == 0);
	CHECK(c->trusted_until == c->ends);
	CHECK(memcmp(c->sha1, c->sha256, sizeof(c->sha1)) != 0);
	tls_forget(p.server);
	CHECK(tls_certificate(p.server) == NULL);
	talk(&p);
	finish(&p);

	/* a thumbprint needs dates even when nobody trusts it */
	c = shown(&p, &(struct want){ .shows = { "self.pem" } });
	CHECK(c->n == 1 && !c->trusted);
	clock_format(to, c->ends);
	CHECK(strcmp(to, "2100-01-01T00:00:00.000000Z") == 0);
	finish(&p);
}

/* Somebody else's certificate, without its key. */
static void
a_stolen_certificate_is_worth_nothing(void)
{
	struct want w = { .authority = { "root.pem" }, .shows = { "leaf.pem" },
		.key = "other.key" };
	struct pair p;

	for (int i = 0; i < 2; i++) {
		start(&p, &w);
		shake_hands(&p);
		CHECK(p.result == TLS_FAILED && !tls_established(p.server));
		CHECK(tls_certificate(p.server) == NULL);
		finish(&p);
		w.method = wolfTLSv1_2_client_method;
	}
}

static void
a_client_may_dribble(void)
{
	struct want w = { .authority = { "root.pem" }, .step = 1,
		.shows = { "below-authority.pem", "middle-authority.pem" } };

	trusted(&w);
	w.method = wolfTLSv1_2_client_method;
	trusted(&w);
}

/* With a kind of key that TLS has no signatures for, which a check that goes by
 * the kinds it knows would pass over. */
static void
a_key_that_cannot_sign_is_refused(void)
{
	struct want w = { .authority = { "root.pem" },
		.shows = { "leaf-dsa.pem" }, .key = "device.key" };
	struct pair p;

	for (int i = 0; i < 2; i++) {
		start(&p, &w);
		shake_hands(&p);
		CHECK(p.result == TLS_FAILED && !tls_established(p.server));
		CHECK(tls_certificate(p.server) == NULL);
		CHECK(strcmp(tls_error(p.server), "ok") != 0);
		finish(&p);
		w.method = wolfTLSv1_2_client_method;
	}
}

/* Dates are those of EGNS_CLOCK, for a leaf that was here before, too. */
static void
the_clock_is_ours(void)
{
	static const int64_t year = 365 * 86400, second = CLOCK_SECOND;
	const struct want future = { .authority = { "root.pem" },
		.shows = { "future.pem" } };
	const struct want leaf = { .authority = { "root.pem" },
		.shows = { "leaf.pem" } };
	const struct tls_certificate *c;
	int64_t now = clock_now();
	struct tls_server *config;
	struct pair p;

	refused(&future, "not valid yet");
	start(&p, &leaf);
	shake_hands(&p);
	CHECK(tls_certificate(p.server)->trusted);
	config = p.config;
	p.config = NULL;
	finish(&p);

	move_clock(70 * year);
	while (clock_now() < now + 70 * year * second)
		usleep(1000);
	trusted(&future);
	move_clock(80 * year);
	while (clock_now() < now + 80 * year * second)
		usleep(1000);
	start(&p, &leaf);
	tls_free(p.server);
	p.server = tls_new(config);
	shake_hands(&p);
	c = tls_certificate(p.server);
	CHECK(!c->trusted && strstr(c->why, "expired") != NULL);
	tls_server_free(config);
	finish(&p);
	move_clock(0);
	while (clock_now() > now + year * second)
		usleep(1000);
}

/* The certificate of the leaf, and its length. */
static size_t
leaf_of(const char *name, uint8_t der[1024])
{
	const struct tls_certificate *c;
	struct pair p;
	size_t n;

	c = shown(&p, &(struct want){ .shows = { name } });
	n = c->len[0];
	memcpy(der, c->der[0], n);
	finish(&p);
	return n;
}

/* What has been found good is remembered by its hash: by all of that. */
static void
a_leaf_is_not_taken_for_another(void)
{
	uint8_t good[1024], bad[1024];
	struct tls_certificate c = { .der = { good }, .n = 1 };
	const char *root = file("root.pem");
	struct authorities *a = authorities_new(&root, 1, NULL);
	size_t len;

	c.len[0] = leaf_of("leaf.pem", good);
	len = leaf_of("leaf-other.pem", bad);
	chain_judge(a, &c);
	CHECK(c.trusted);
	/* one of these has the same place in any table */
	c.der[0] = bad;
	c.len[0] = len + 2;
	for (unsigned i = 0; i < 16384; i++) {
		bad[len] = (uint8_t)(i >> 8);
		bad[len + 1] = (uint8_t)i;
		chain_judge(a, &c);
		if (c.trusted)
			break;
	}
	CHECK(!c.trusted);
	authorities_free(a);
}

/* The one that signed it has expired since; another with its key has not. */
static void
a_known_leaf_finds_another_authority(void)
{
	const char *texts[] = { file("old.pem"), file("root.pem") };
	struct authorities *a = authorities_new(texts, 2, NULL);
	uint8_t der[1024], anchor[32];
	struct tls_certificate c = { .der = { der }, .n = 1 };
	int64_t now = clock_now(), mid_2000 = INT64_C(961804800);

	c.len[0] = leaf_of("leaf.pem", der);
	move_clock(mid_2000 - now / CLOCK_SECOND);
	while (clock_now() / CLOCK_SECOND > mid_2000 + 86400)
		usleep(1000);
	chain_judge(a, &c);
	CHECK(c.trusted && c.trusted_until < now);
	memcpy(anchor, c.anchor, sizeof(anchor));
	move_clock(0);
	while (clock_now() < now)
		usleep(1000);
	chain_judge(a, &c);
	CHECK(c.trusted && c.trusted_until > now);
	CHECK(memcmp(anchor, c.anchor, sizeof(anchor)) != 0);
	authorities_free(a);
}

/* Other authorities for other connections: this one keeps its own. */
static void
a_connection_outlives_its_server(void)
{
	struct pair p;

	begin(&p, &(struct want){ .authority = { "root.pem" },
	    .shows = { "leaf.pem" } });
	tls_server_free(p.config);
	p.config = NULL;
	CHECK(tls_certificate(p.server)->trusted);
	talk(&p);
	finish(&p);
}

static void
no_server(const char *certificate, const char *key, const char *authority,
    const char *words)
{
	struct fault f = { .text = "" };

	CHECK(tls_server_new(certificate, key, &authority, 1, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(f.code == FAULT_BAD_REQUEST && strstr(f.text, words) != NULL);
}

static void
what_makes_no_server(void)
{
	const char *cert = file("server.pem"), *key = file("server.key");

	no_server("", key, file("root.pem"), "certificate is no certificate");
	no_server(key, key, file("root.pem"), "certificate is no certificate");
	no_server(cert, cert, file("root.pem"), "key is no private key");
	no_server(cert, file("other.key"), file("root.pem"),
	    "not the one of its certificate");
	no_server(cert, key, "AAAA", "authority 1 must be");
	no_server(cert, key, file("leaf.pem"), "authority 1 is not");
}

/* A megabyte each way: 16 KiB records, and what is left. */
static void
much_data_takes_few_records(void)
{
	static char data[1 << 20], back[1 << 20];
	size_t got = 0;
	struct pair p;
	int n;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 31 >> 3);
	for (size_t step = 0; step <= 20000; step += 5000) {
		begin(&p, &(struct want){ .step = step });
		CHECK(wolfSSL_write(p.client, data, sizeof(data)) ==
		    sizeof(data));
		deliver(&p);
		CHECK(p.plain.len == sizeof(data));
		CHECK(memcmp(buf_data(&p.plain), data, sizeof(data)) == 0);
		p.to_client.len = 0;
		CHECK(tls_write(p.server, data, sizeof(data), &p.to_client) ==
		    TLS_OK);
		CHECK(p.to_client.len == sizeof(data) + 64 * 22);
		for (got = 0; (n = wolfSSL_read(p.client, back + got,
		    (int)(sizeof(back) - got))) > 0; got += (size_t)n)
			;
		CHECK(got == sizeof(data) &&
		    memcmp(back, data, sizeof(data)) == 0);
		finish(&p);
	}
}

static void
a_goodbye_is_heard(void)
{
	char c;
	struct pair p;

	begin(&p, &(struct want){ 0 });
	wolfSSL_write(p.client, "bye", 3);
	wolfSSL_shutdown(p.client);
	deliver(&p);
	CHECK(p.result == TLS_CLOSED && p.plain.len == 3);
	CHECK(tls_feed(p.server, "x", 1, &p.plain, &p.to_client) == TLS_CLOSED);
	finish(&p);

	begin(&p, &(struct want){ 0 });
	tls_goodbye(p.server, &p.to_client);
	CHECK(wolfSSL_read(p.client, &c, 1) <= 0);
	CHECK(wolfSSL_get_error(p.client, 0) == WOLFSSL_ERROR_ZERO_RETURN);
	finish(&p);
}

/* These bytes instead of a ClientHello: an alert in the clear comes back. */
static void
is_no_hello(const void *bytes, size_t n)
{
	struct pair p;
	const unsigned char *alert;
	size_t len;

	start(&p, &(struct want){ 0 });
	p.result = tls_feed(p.server, bytes, n, &p.plain, &p.to_client);
	CHECK(p.result == TLS_FAILED && p.plain.len == 0);
	CHECK(strcmp(tls_error(p.server), "no error") != 0);
	alert = (unsigned char *)buf_data(&p.to_client);
	len = p.to_client.len;
	CHECK(len >= 7 && alert[0] == 0x15 && alert[5] == 2);
	/* and that is that */
	CHECK(tls_feed(p.server, bytes, n, &p.plain, &p.to_client) ==
	    TLS_FAILED);
	CHECK(p.to_client.len == len);
	finish(&p);
}

static void
garbage_fails(void)
{
	static const char http[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
	static const char mqtt[] = "\x10\x10\0\4MQTT\5\2\0\74\0\0\3abc";
	char zeros[600] = { 0 }, record[600] = "\x16\3\1\2\0\1\0\1\xfc";
	char long_record[600] = "\x16\3\1\xff\xff";
	/* a ClientHello of 16 MB */
	char long_hello[600] = "\x16\3\1\2\0\1\xff\xff\xff";

	is_no_hello(http, sizeof(http) - 1);
	is_no_hello(mqtt, sizeof(mqtt) - 1);
	is_no_hello(zeros, sizeof(zeros));
	is_no_hello(record, sizeof(record));
	is_no_hello(long_record, sizeof(long_record));
	is_no_hello(long_hello, sizeof(long_hello));
}

static void
old_versions_fail(void)
{
	struct pair p;
	const unsigned char *alert;

	start(&p, &(struct want){ .method = wolfTLSv1_1_client_method });
	CHECK(wolfSSL_connect(p.client) != WOLFSSL_SUCCESS);
	deliver(&p);
	CHECK(p.result == TLS_FAILED);
	alert = (unsigned char *)buf_data(&p.to_client);
	CHECK(p.to_client.len == 7 && alert[0] == 0x15 && alert[5] == 2 &&
	    alert[6] == protocol_version);
	finish(&p);
}

/* Each byte of a long ClientHello in a record of its own. */
static void
a_handshake_has_an_end(void)
{
	static const char first[] = { 22, 3, 1, 0, 6, 1, 0, 0x40, 0, 3, 3 };
	static const char next[] = { 22, 3, 1, 0, 1, 0 };
	size_t fed = sizeof(first);
	enum tls_result result;
	struct pair p;

	start(&p, &(struct want){ 0 });
	result = tls_feed(p.server, first, fed, &p.plain, &p.to_client);
	for (; result == TLS_OK && fed < 2 * TLS_HANDSHAKE_MAX;
	     fed += sizeof(next))
		result = tls_feed(p.server, next, sizeof(next), &p.plain,
		    &p.to_client);
	CHECK(result == TLS_FAILED && fed > TLS_HANDSHAKE_MAX &&
	    fed <= TLS_HANDSHAKE_MAX + sizeof(next));
	CHECK(strstr(tls_error(p.server), "too long") != NULL);
	CHECK(p.to_client.len == 7);
	finish(&p);
}

/* A client that goes away in the middle of its handshake. */
static void
a_handshake_may_end_early(void)
{
	struct want w = { .authority = { "root.pem" }, .shows = { "leaf.pem" } };
	struct buf flight = { 0 };
	struct pair p;

	for (int hello = 1; hello >= 0; hello--) {
		size_t n;

		start(&p, &w);
		wolfSSL_connect(p.client);
		if (!hello) {
			deliver(&p);
			wolfSSL_connect(p.client);
		}
		/* the last byte of it is missing */
		n = p.to_server.len - 1;
		buf_add(&flight, buf_data(&p.to_server), n);
		CHECK(tls_feed(p.server, buf_data(&flight), n, &p.plain,
		    &p.to_client) == TLS_OK);
		CHECK(!tls_established(p.server));
		CHECK(tls_certificate(p.server) == NULL);
		tls_goodbye(p.server, &p.to_client);
		flight.len = 0;
		finish(&p);
	}
	buf_free(&flight);
}

/* A byte of what the client sends after its hello is another one. */
static void
a_changed_byte_fails(void)
{
	struct want w = { .authority = { "root.pem" }, .shows = { "leaf.pem" } };
	struct pair p;
	unsigned char *bytes;

	start(&p, &w);
	turn(&p);
	wolfSSL_connect(p.client);
	bytes = (unsigned char *)buf_data(&p.to_server);
	bytes[p.to_server.len / 2] ^= 1;
	deliver(&p);
	CHECK(p.result == TLS_FAILED && !tls_established(p.server));
	/* which it is told */
	wolfSSL_read(p.client, &w, 1);
	CHECK(wolfSSL_get_error(p.client, 0) == FATAL_ERROR ||
	    p.client_error != 0);
	finish(&p);
}

/* A ClientHello, encrypted as the client's next record of TLS 1.2. */
static void
ask_to_renegotiate(struct pair *p)
{
	unsigned char iv[12], plain[80] = { 1, 0, 0, 76, 3, 3 };
	unsigned char aad[13] = { 0, 0, 0, 0, 0, 0, 0, 1, 22, 3, 3, 0, 80 };
	unsigned char record[5 + 80 + 16] = { 22, 3, 3, 0, 96 };

	memcpy(iv, wolfSSL_GetClientWriteIV(p->client), sizeof(iv));
	iv[11] ^= 1; /* after Finished */
	/* no session, one suite, no compression */
	memcpy(plain + 38, "\0\0\2\xcc\xa9\1\0", 7);
	CHECK(wc_ChaCha20Poly1305_Encrypt(wolfSSL_GetClientWriteKey(p->client),
	    iv, aad, sizeof(aad), plain, sizeof(plain), record + 5,
	    record + 85) == 0);
	buf_add(&p->to_server, record, sizeof(record));
}

static void
nothing_is_negotiated_again(void)
{
	struct pair p;

	begin(&p, &(struct want){ .method = wolfTLSv1_2_client_method,
	    .ciphers = "ECDHE-ECDSA-CHACHA20-POLY1305" });
	p.to_client.len = 0;
	ask_to_renegotiate(&p);
	deliver(&p);
	CHECK(p.result == TLS_FAILED && p.plain.len == 0);
	CHECK(strstr(tls_error(p.server), "Duplicate") != NULL);
	CHECK(p.to_client.len > 0);
	finish(&p);
}

int
main(void)
{
	int fd = mkstemp(clock_file);

	close(fd);
	setenv("EGNS_CLOCK", clock_file, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	RUN(both_versions_are_spoken);
	RUN(our_order_of_ciphers_counts);
	RUN(good_chains_are_trusted);
	RUN(an_old_and_a_new_authority_have_one_name);
	RUN(bad_chains_are_not);
	RUN(what_is_told_of_a_certificate);
	RUN(a_stolen_certificate_is_worth_nothing);
	RUN(a_key_that_cannot_sign_is_refused);
	RUN(the_clock_is_ours);
	RUN(a_leaf_is_not_taken_for_another);
	RUN(a_known_leaf_finds_another_authority);
	RUN(a_connection_outlives_its_server);
	RUN(what_makes_no_server);
	RUN(a_client_may_dribble);
	RUN(much_data_takes_few_records);
	RUN(a_goodbye_is_heard);
	RUN(garbage_fails);
	RUN(old_versions_fail);
	RUN(a_handshake_has_an_end);
	RUN(a_handshake_may_end_early);
	RUN(a_changed_byte_fails);
	RUN(nothing_is_negotiated_again);
	unlink(clock_file);
	DONE();
}
