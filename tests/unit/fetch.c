#include "fetch.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <wolfssl/options.h>
#include <wolfssl/ssl.h>
#include <wolfssl/wolfcrypt/ecc.h>

#include "buf.h"
#include "check.h"

/*
 * A server of the answers below: http on one port, https with a certificate
 * that no system knows on another. A thread for each connection.
 */
struct server {
	int fd;
	unsigned port;
	WOLFSSL_CTX *tls;
	int connections;
};

struct connection {
	struct server *server;
	int fd, number, requests;
	WOLFSSL *tls;
};

static ssize_t
get(struct connection *c, char *data, size_t n)
{
	return c->tls == NULL ? read(c->fd, data, n) :
	    wolfSSL_read(c->tls, data, (int)n);
}

static bool
put(struct connection *c, const struct buf *b)
{
	if (c->tls != NULL)
		return wolfSSL_write(c->tls, buf_data(b), (int)b->len) > 0;
	return send(c->fd, buf_data(b), b->len, MSG_NOSIGNAL) != -1;
}

#define TLS_HANDSHAKE 22 /* the first byte of TLS */

/* A request with its body, or false at the end. */
static bool
get_request(struct connection *c, struct buf *in)
{
	struct buf no = { 0 };
	const char *end = NULL, *length;
	size_t body = 0;
	ssize_t n;

	buf_reset(in, 1 << 20);
	while (end == NULL || strlen(end + 4) < body) {
		if ((n = get(c, buf_room(in, 65536), 65535)) <= 0)
			return false;
		buf_grew(in, (size_t)n);
		buf_data(in)[in->len] = '\0';
		if (buf_data(in)[0] == TLS_HANDSHAKE) {
			buf_str(&no, "HTTP/1.1 400 Bad Request\r\n\r\n");
			put(c, &no);
			buf_free(&no);
			return false;
		}
		/* it has been idle for too long, as it were */
		if (c->requests > 0 && strstr(buf_data(in), " /once") != NULL)
			return false;
		end = strstr(buf_data(in), "\r\n\r\n");
		length = strstr(buf_data(in), "Content-Length: ");
		if (length != NULL)
			body = strtoul(length + 16, NULL, 10);
	}
	c->requests++;
	return true;
}

/* A status with Retry-After: seconds, or "date" for in 100 seconds. */
static const char *
again(const char *when)
{
	static char text[128], date[64];
	time_t t = time(NULL) + 100;

	if (strncmp(when, "date", 4) == 0)
		strftime(date, sizeof(date), "%a, %d %b %Y %T GMT",
		    gmtime(&t));
	else
		snprintf(date, sizeof(date), "%.*s",
		    (int)strcspn(when, " "), when);
	snprintf(text, sizeof(text), "503 Busy\r\nRetry-After: %s", date);
	return text;
}

static void
answer(struct connection *c, const struct buf *in)
{
	struct buf body = { 0 }, out = { 0 }, head = { 0 };
	const char *status = "200 OK", *path;
	size_t missing = 0; /* of the body */
	bool whole = strncmp(buf_data(in), "HEAD", 4) != 0;

	path = strchr(buf_data(in), ' ') + 1;
	if (strncmp(path, "/number", 7) == 0)
		buf_printf(&body, "%d", c->number);
	else if (strncmp(path, "/echo", 5) == 0)
		buf_str(&body, buf_data(in));
	else if (strncmp(path, "/big", 4) == 0)
		buf_printf(&body, "%0100000d", 0);
	else if (strncmp(path, "/redirect", 9) == 0)
		status = "302 Found\r\nLocation: /number";
	else if (strncmp(path, "/again/", 7) == 0)
		status = again(path + 7);
	else if (strncmp(path, "/folded", 7) == 0)
		status = "200 OK\r\n Folded: to nothing";
	else if (strncmp(path, "/half", 5) == 0)
		missing = 100;
	else if (strncmp(path, "/endless", 8) == 0)
		missing = (size_t)1 << 30;
	else if (strncmp(path, "/headers", 8) == 0)
		for (int i = 0; i < 2000; i++)
			buf_printf(&out, "X-%d: %040d\r\n", i, i);
	buf_printf(&body, "%s", missing > 0 ? "part" : "");
	buf_printf(&head, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n"
	    "Content-Length: %zu\r\n", status, body.len + missing);
	buf_add(&head, buf_data(&out), out.len);
	buf_str(&head, "\r\n");
	buf_reset(&out, 0);
	buf_add(&out, buf_data(&head), head.len);
	buf_free(&head);
	if (whole)
		buf_add(&out, buf_data(&body), body.len);
	put(c, &out);
	if (strncmp(path, "/endless", 8) == 0)
		while (put(c, &out)) /* more than was said */
			;
	buf_free(&body);
	buf_free(&out);
}

static void *
serve_connection(void *arg)
{
	struct connection *c = arg;
	struct linger reset = { .l_onoff = 1 };
	struct buf in = { 0 };

	if (c->server->tls != NULL) {
		c->tls = wolfSSL_new(c->server->tls);
		wolfSSL_set_fd(c->tls, c->fd);
		if (wolfSSL_accept(c->tls) != WOLFSSL_SUCCESS)
			goto out;
	}
	while (get_request(c, &in)) {
		if (strstr(buf_data(&in), " /gone") != NULL)
			break;
		if (strstr(buf_data(&in), " /silent") == NULL)
			answer(c, &in);
		if (strstr(buf_data(&in), " /half/end") != NULL)
			break;
		if (strstr(buf_data(&in), " /half/reset") != NULL) {
			setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset,
			    sizeof(reset));
			break;
		}
	}
out:
	wolfSSL_free(c->tls);
	wc_ecc_fp_free(); /* of this thread */
	close(c->fd);
	buf_free(&in);
	free(c);
	return NULL;
}

static void *
serve(void *arg)
{
	struct server *s = arg;
	struct connection *c;
	pthread_t t;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) != -1) {
		c = calloc(1, sizeof(*c));
		c->server = s;
		c->fd = fd;
		c->number = ++s->connections;
		pthread_create(&t, NULL, serve_connection, c);
		pthread_detach(t);
	}
	return NULL;
}

static int
listen_anywhere(unsigned *port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd == -1 || bind(fd, (struct sockaddr *)&in, len) == -1 ||
	    listen(fd, 16) == -1 ||
	    getsockname(fd, (struct sockaddr *)&in, &len) == -1)
		abort();
	*port = ntohs(in.sin_port);
	return fd;
}

static struct server plain, secure, tls12;

static void
start(struct server *s)
{
	pthread_t t;

	s->fd = listen_anywhere(&s->port);
	pthread_create(&t, NULL, serve, s);
	pthread_detach(t);
}

/* The answer to one request, copied. */
struct got {
	long status;
	bool sent;
	char error[512], body[4096], type[64];
	size_t body_len;
	enum fetch_failure failure;
	int64_t retry_after;
	int calls;
};

static void
on_done(const struct fetch_answer *a, void *arg)
{
	struct got *g = arg;

	g->calls++;
	g->status = a->status;
	g->sent = a->sent;
	g->body_len = a->body_len;
	g->failure = a->failure;
	g->retry_after = a->retry_after;
	CHECK((a->failure == FETCH_WHOLE) == (a->error == NULL));
	if (a->status != 0)
		CHECK(strcmp(fetch_header(a, "content-type"), "text/plain") ==
		    0 && fetch_header(a, "x-none") == NULL);
	snprintf(g->error, sizeof(g->error), "%s", a->error ? a->error : "");
	snprintf(g->type, sizeof(g->type), "%s",
	    a->content_type ? a->content_type : "");
	snprintf(g->body, sizeof(g->body), "%.*s", (int)a->body_len, a->body);
}

/* A host, a port and what follows. */
static const char *
url(const char *host, unsigned port, const char *path)
{
	static char text[128];

	snprintf(text, sizeof(text), "%s:%u%s", host, port, path);
	return text;
}

#define HTTP "http://127.0.0.1"
#define HERE(path) url(HTTP, plain.port, path)

static struct ev_loop *loop;

static struct fetch_request
request(const char *method, const char *where)
{
	return (struct fetch_request){ .method = method, .url = where,
		.timeout_ms = 10000, .answer_max = 4000 };
}

static struct got
fetch(struct fetcher *r, const struct fetch_request *q)
{
	struct got g = { 0 };
	struct fault f = { 0 };

	CHECK(fetch_start(r, q, on_done, &g, &f) != NULL);
	CHECK(g.calls == 0);
	while (f.code == FAULT_NONE && g.calls == 0)
		ev_run(loop, EVRUN_ONCE);
	return g;
}

static void
answers_arrive(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/number"));
	struct got g = fetch(r, &q);

	CHECK(g.status == 200 && g.calls == 1 && g.error[0] == '\0');
	CHECK(g.sent);
	CHECK(strcmp(g.type, "text/plain") == 0);
	CHECK(g.body_len == strlen(g.body) && atoi(g.body) > 0);
	q = request("HEAD", HERE("/number"));
	g = fetch(r, &q);
	CHECK(g.status == 200 && g.body_len == 0);
	fetcher_free(r);
}

static void
requests_are_sent_as_given(void)
{
	static const char *const headers[] = { "Content-Type: text/x", "X-A: b",
		NULL };
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("PUT", HERE("/echo?x=y"));
	struct got g;

	q.headers = headers;
	q.body = "a\nb";
	q.body_len = 3;
	g = fetch(r, &q);
	CHECK(strncmp(g.body, "PUT /echo?x=y HTTP/1.1\r\n", 24) == 0);
	CHECK(strstr(g.body, "\r\nContent-Type: text/x\r\n") != NULL);
	CHECK(strstr(g.body, "\r\nX-A: b\r\n") != NULL);
	CHECK(strstr(g.body, "\r\nContent-Length: 3\r\n") != NULL);
	CHECK(strstr(g.body, "\r\n\r\na\nb") != NULL);

	q = request("POST", HERE("/echo"));
	q.body = "";
	g = fetch(r, &q);
	CHECK(strncmp(g.body, "POST /echo HTTP/1.1\r\n", 21) == 0);
	CHECK(strstr(g.body, "\r\nContent-Length: 0\r\n") != NULL);
	fetcher_free(r);
}

static void
connections_are_kept(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/number"));
	struct got first = fetch(r, &q), second = fetch(r, &q);

	CHECK(first.status == 200 && strcmp(first.body, second.body) == 0);
	fetcher_free(r);
}

static void
many_go_on_at_a_time(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/silent"));
	struct got silent = { 0 }, g[8] = { 0 };
	struct fetch *f = fetch_start(r, &q, on_done, &silent, NULL);
	int done = 0;

	q = request("GET", HERE("/number"));
	for (int i = 0; i < 8; i++)
		CHECK(fetch_start(r, &q, on_done, &g[i], NULL) != NULL);
	while (done < 8) {
		ev_run(loop, EVRUN_ONCE);
		done = 0;
		for (int i = 0; i < 8; i++)
			done += g[i].calls;
	}
	for (int i = 0; i < 8; i++)
		CHECK(g[i].status == 200 && g[i].calls == 1);
	fetch_drop(f);
	CHECK(silent.calls == 0);

	/* with one under way */
	q = request("GET", HERE("/silent"));
	CHECK(fetch_start(r, &q, on_done, &silent, NULL) != NULL);
	ev_run(loop, EVRUN_NOWAIT);
	fetcher_free(r);
	CHECK(silent.calls == 0);
	CHECK(!ev_run(loop, EVRUN_NOWAIT)); /* no watcher is left */
}

static void
on_folded(const struct fetch_answer *a, void *arg)
{
	CHECK(a->status == 200);
	++*(int *)arg;
}

/* A line that begins with a blank goes on with the one before, but there is
 * none: and that of the answer before is none, either. */
static void
headers_are_of_one_answer(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q;
	int calls = 0;

	for (int i = 0; i < 4; i++) {
		q = request("GET", HERE("/number"));
		CHECK(fetch(r, &q).status == 200);
		q = request("GET", HERE("/folded"));
		fetch_start(r, &q, on_folded, &calls, NULL);
		while (calls == i)
			ev_run(loop, EVRUN_ONCE);
	}
	CHECK(calls == 4);
	fetcher_free(r);
}

/* Each comes when the server has just closed the connection of the last one:
 * before it has all of the request, so that there may be a reset. */
static void
closed_connections_do_not_count(void)
{
	static const size_t sizes[] = { 0, 300, 100000, 1000000 };
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct buf body = { 0 };
	struct fetch_request q;
	struct got g;

	memset(buf_room(&body, 1000000), 'x', 1000000);
	buf_grew(&body, 1000000);
	for (int i = 0; i < 80; i++) {
		q = request("POST", HERE("/once"));
		q.body = buf_data(&body);
		q.body_len = sizes[i % 4];
		q.lent = i % 8 < 4;
		g = fetch(r, &q);
		if (g.status != 200)
			printf("# %zu: %s\n", q.body_len, g.error);
		CHECK(g.status == 200 && g.failure == FETCH_WHOLE);
	}
	buf_free(&body);
	fetcher_free(r);
}

static void
requests_leave_nothing_behind(void)
{
	static const char *const headers[] = { "X-A: b", "X-C: d", NULL };
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("HEAD", HERE("/echo"));
	struct got g;

	CHECK(fetch(r, &q).status == 200);
	q = request("PUT", HERE("/echo?first"));
	q.headers = headers;
	q.body = "one";
	q.body_len = 3;
	g = fetch(r, &q);
	CHECK(strstr(g.body, "PUT /echo?first ") != NULL);
	CHECK(strstr(g.body, "\r\nX-C: d\r\n") != NULL);
	CHECK(strcmp(g.body + g.body_len - 7, "\r\n\r\none") == 0);
	q = request("GET", HERE("/echo?second"));
	g = fetch(r, &q);
	CHECK(strncmp(g.body, "GET /echo?second HTTP/1.1\r\n", 27) == 0);
	CHECK(strstr(g.body, "X-A") == NULL && strstr(g.body, "Content-") ==
	    NULL);
	CHECK(strcmp(g.body + g.body_len - 4, "\r\n\r\n") == 0);
	q.url = url("http://localhost", plain.port, "/echo");
	g = fetch(r, &q);
	CHECK(strstr(g.body, "\r\nHost: localhost:") != NULL);
	q.url = "/echo";
	CHECK(fetch_start(r, &q, on_done, &g, NULL) == NULL);
	fetcher_free(r);
}

static void
connections_are_bounded(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/number"));
	int before = plain.connections, done = 0;
	struct got g[20] = { 0 };

	fetcher_connections(r, 3);
	for (int i = 0; i < 20; i++)
		CHECK(fetch_start(r, &q, on_done, &g[i], NULL) != NULL);
	while (done < 20) {
		ev_run(loop, EVRUN_ONCE);
		done = 0;
		for (int i = 0; i < 20; i++)
			done += g[i].calls;
	}
	for (int i = 0; i < 20; i++)
		CHECK(g[i].status == 200 && g[i].calls == 1);
	CHECK(plain.connections - before <= 3);
	fetcher_free(r);
}

/* ---- a name server that is silent ---- */

static pthread_mutex_t names = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t named = PTHREAD_COND_INITIALIZER;
static bool silent;
static int asking; /* how many wait for it */

/* libcurl calls this one. */
int
getaddrinfo(const char *name, const char *service,
    const struct addrinfo *hints, struct addrinfo **result)
{
	int (*real)(const char *, const char *, const struct addrinfo *,
	    struct addrinfo **);

	if (name != NULL && strcmp(name, "silent.example") == 0) {
		pthread_mutex_lock(&names);
		asking++;
		while (silent)
			pthread_cond_wait(&named, &names);
		asking--;
		pthread_cond_signal(&named);
		pthread_mutex_unlock(&names);
		return EAI_AGAIN;
	}
	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	return real(name, service, hints, result);
}

static void
silent_name_servers_hold_up_nobody(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", "http://silent.example/");
	struct got g, dropped = { 0 };
	struct fetch *f;

	silent = true;
	q.timeout_ms = 50;
	g = fetch(r, &q);
	CHECK(g.failure == FETCH_TIMEOUT && !g.sent);
	q.timeout_ms = 10000;
	f = fetch_start(r, &q, on_done, &dropped, NULL);
	CHECK(f != NULL);
	ev_run(loop, EVRUN_NOWAIT);
	fetch_drop(f);
	CHECK(fetch_start(r, &q, on_done, &dropped, NULL) != NULL);
	ev_run(loop, EVRUN_NOWAIT);
	q = request("GET", HERE("/number"));
	CHECK(fetch(r, &q).status == 200);
	fetcher_free(r);
	CHECK(dropped.calls == 0);
	pthread_mutex_lock(&names);
	CHECK(asking > 0);
	silent = false;
	pthread_cond_broadcast(&named);
	while (asking > 0)
		pthread_cond_wait(&named, &names);
	pthread_mutex_unlock(&names);
}

/* ---- */

static void
a_proxy_is_not_for_all(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/number"));

	setenv("http_proxy", "http://127.0.0.1:1", 1);
	CHECK(fetch(r, &q).failure == FETCH_CONNECT);
	q.direct = true;
	CHECK(fetch(r, &q).status == 200);
	unsetenv("http_proxy");
	fetcher_free(r);
}

static void
fails(const char *where, long timeout_ms, enum fetch_failure failure,
    bool sent, const char *words)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", where);
	struct got g;

	q.timeout_ms = timeout_ms;
	g = fetch(r, &q);
	if (g.status != 0 || g.failure != failure ||
	    strstr(g.error, words) == NULL)
		printf("# %ld %d %s\n", g.status, g.failure, g.error);
	CHECK(g.failure == failure && g.sent == sent);
	CHECK(g.status == 0 && strstr(g.error, words) != NULL);
	CHECK(strstr(g.error, "secret") == NULL);
	CHECK(g.body_len == 0);
	fetcher_free(r);
}

static void
failures_have_words(void)
{
	unsigned unused;
	int fd = listen_anywhere(&unused);

	close(fd);
	fails("https://nobody.invalid/?secret", 10000, FETCH_RESOLVE, false,
	    "Could not resolve host: nobody.invalid");
	fails(url(HTTP, unused, "/?secret"), 10000, FETCH_CONNECT,
	    false, "Failed to connect to 127.0.0.1 port ");
	fails(HERE("/silent?secret"), 100, FETCH_TIMEOUT, true,
	    "127.0.0.1: Operation timed out");
	fails(HERE("/gone?secret"), 10000, FETCH_BROKEN, true,
	    "127.0.0.1: Empty reply from server");
	fails(url("https://127.0.0.1", plain.port, "/?secret"), 10000,
	    FETCH_TLS, false, "wrong version number");
	fails(url("https://localhost", secure.port, "/?secret"), 10000,
	    FETCH_TLS, false, "localhost: SSL certificate problem");
}

/* A status of which the body does not come whole. */
static void
cut(const char *where, long timeout_ms, long body_ms,
    enum fetch_failure failure, size_t body_len, const char *words)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", where);
	struct got g;

	q.timeout_ms = timeout_ms;
	q.body_ms = body_ms;
	g = fetch(r, &q);
	if (strstr(g.error, words) == NULL)
		printf("# %ld %d %s\n", g.status, g.failure, g.error);
	CHECK(g.status == 200 && g.failure == failure);
	CHECK(g.body_len == body_len && strstr(g.error, words) != NULL);
	CHECK(g.calls == 1 && strstr(g.error, "secret") == NULL);
	fetcher_free(r);
}

static void
a_status_is_one_without_its_body(void)
{
	cut(HERE("/big?secret"), 10000, 0, FETCH_TOO_LONG, 4000,
	    "127.0.0.1: the answer has more than 4000 bytes");
	cut(HERE("/headers?secret"), 10000, 0, FETCH_TOO_LONG, 0,
	    "127.0.0.1: the answer has more than 65536 bytes");
	cut(HERE("/half?secret"), 100, 0, FETCH_TIMEOUT, 4, "timed out");
	cut(HERE("/half?secret"), 10000000, 10, FETCH_TIMEOUT, 4,
	    "127.0.0.1: Timeout was reached");
	cut(HERE("/half/end?secret"), 10000, 0, FETCH_BROKEN, 4,
	    "127.0.0.1: transfer closed");
	cut(HERE("/half/reset?secret"), 10000, 0, FETCH_BROKEN, 4,
	    "127.0.0.1: Recv failure");
	cut(HERE("/endless?secret"), 10000, 0, FETCH_TOO_LONG, 4000,
	    "127.0.0.1: the answer has more than 4000 bytes");
}

static void
too_long_an_answer_closes_but_its_connection(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/number"));
	struct got number = fetch(r, &q), g[2] = { 0 };

	q = request("GET", HERE("/silent"));
	q.timeout_ms = 10000;
	CHECK(fetch_start(r, &q, on_done, &g[0], NULL) != NULL);
	q = request("GET", HERE("/endless"));
	CHECK(fetch_start(r, &q, on_done, &g[1], NULL) != NULL);
	while (g[1].calls == 0)
		ev_run(loop, EVRUN_ONCE);
	CHECK(g[1].status == 200 && g[1].failure == FETCH_TOO_LONG);
	CHECK(g[0].calls == 0);
	q = request("GET", HERE("/number"));
	g[1] = fetch(r, &q);
	CHECK(g[1].status == 200 && strcmp(g[1].body, number.body) != 0);
	fetcher_free(r);
}

static struct got
by_tls(unsigned port, const char *authorities, const char *minimum)
{
	struct fetcher *r = fetcher_new(loop, authorities, NULL);
	struct fetch_request q = request("GET", url("https://localhost", port,
	    "/number"));
	struct got g;

	CHECK(fetcher_minimum_tls(r, minimum) == 0);
	g = fetch(r, &q);
	fetcher_free(r);
	return g;
}

static void
tls_is_new_enough(void)
{
	static const char *const low[] = { NULL, "1.0", "1.1", "1.2" };
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	char pem[4096] = "";
	FILE *f = fopen("tests/certs/localhost.pem", "r");
	struct got g;

	CHECK(f != NULL && fread(pem, 1, sizeof(pem) - 1, f) > 0);
	fclose(f);
	for (int i = 0; i < 4; i++) {
		CHECK(by_tls(secure.port, pem, low[i]).status == 200);
		CHECK(by_tls(tls12.port, pem, low[i]).status == 200);
	}
	CHECK(by_tls(secure.port, pem, "1.3").status == 200);
	g = by_tls(tls12.port, pem, "1.3");
	CHECK(g.failure == FETCH_TLS && !g.sent);
	CHECK(fetcher_minimum_tls(r, "1.4") == -1);
	CHECK(fetcher_minimum_tls(r, "") == -1);
	fetcher_free(r);
}

static void
a_limit_of_the_body_leaves_the_quick_alone(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/number"));

	q.body_ms = 10000;
	CHECK(fetch(r, &q).failure == FETCH_WHOLE);
	ev_run(loop, 0); /* nothing keeps it */
	fetcher_free(r);
	CHECK(!ev_run(loop, EVRUN_NOWAIT));
}

static int64_t
retry_after(const char *path)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE(path));
	struct got g = fetch(r, &q);

	fetcher_free(r);
	return g.retry_after;
}

static void
answers_say_when_to_try_again(void)
{
	int64_t date = retry_after("/again/date");

	CHECK(retry_after("/number") == 0);
	CHECK(retry_after("/again/7") == 7000000);
	CHECK(date > 90 * 1000000 && date <= 100 * 1000000);
	CHECK(retry_after("/again/99999999999") == FETCH_RETRY_MAX);
	CHECK(retry_after("/again/-5") == 0);
	CHECK(retry_after("/again/soon") == 0);
}

static void
redirects_are_answers(void)
{
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", HERE("/redirect"));

	CHECK(fetch(r, &q).status == 302);
	fetcher_free(r);
}

static void
given_authorities_are_trusted(void)
{
	char pem[4096] = "";
	FILE *f = fopen("tests/certs/localhost.pem", "r");
	struct fetch_request q;
	struct fetcher *r;
	struct got g;

	CHECK(f != NULL && fread(pem, 1, sizeof(pem) - 1, f) > 0);
	fclose(f);
	r = fetcher_new(loop, pem, NULL);
	memset(pem, 0, sizeof(pem)); /* it has its own */
	q = request("GET", url("https://localhost", secure.port, "/number"));
	g = fetch(r, &q);
	if (g.status != 200)
		printf("# %s\n", g.error);
	CHECK(g.status == 200);
	q = request("GET", url("https://127.0.0.1", secure.port, "/number"));
	g = fetch(r, &q);
	CHECK(g.status == 0 && strstr(g.error, "subject name") != NULL);
	fetcher_free(r);
}

static void
refused(const char *where, const char *header, const char *words)
{
	const char *const headers[] = { "X-Good: yes", header, NULL };
	struct fetcher *r = fetcher_new(loop, NULL, NULL);
	struct fetch_request q = request("GET", where);
	struct fault f = { 0 };

	q.headers = headers;
	CHECK(fetch_start(r, &q, on_done, NULL, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(f.code == FAULT_BAD_REQUEST && strstr(f.text, words) != NULL);
	CHECK(strstr(f.text, "secret") == NULL);
	fetcher_free(r);
}

static void
some_requests_cannot_be_made(void)
{
	refused("http:///?secret", NULL, "not a URL: ");
	refused("127.0.0.1/?secret", NULL, "not a URL: ");
	refused("http://a b/?secret", NULL, "not a URL: ");
	refused("", NULL, "not a URL: ");
	refused("file:///etc/secret", NULL, "file");
	refused("ftp://h/?secret", NULL, "ftp is neither https nor http");
	refused(HERE("/"), "X-B: secret\r\nX-C: d", "'X-B' has a line end");
	refused(HERE("/"), "X-B: secret\n", "'X-B' has a line end");
}

static WOLFSSL_CTX *
server_tls(WOLFSSL_METHOD *method)
{
	WOLFSSL_CTX *c = wolfSSL_CTX_new(method);

	if (wolfSSL_CTX_use_certificate_file(c, "tests/certs/localhost.pem",
	    WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS ||
	    wolfSSL_CTX_use_PrivateKey_file(c, "tests/certs/localhost.key",
	    WOLFSSL_FILETYPE_PEM) != WOLFSSL_SUCCESS)
		abort();
	return c;
}

int
main(void)
{
	loop = ev_default_loop(0);
	wolfSSL_Init();
	secure.tls = server_tls(wolfTLS_server_method());
	tls12.tls = server_tls(wolfTLSv1_2_server_method());
	start(&plain);
	start(&secure);
	start(&tls12);
	RUN(answers_arrive);
	RUN(requests_are_sent_as_given);
	RUN(connections_are_kept);
	RUN(many_go_on_at_a_time);
	RUN(headers_are_of_one_answer);
	RUN(closed_connections_do_not_count);
	RUN(requests_leave_nothing_behind);
	RUN(connections_are_bounded);
	RUN(silent_name_servers_hold_up_nobody);
	RUN(failures_have_words);
	RUN(a_status_is_one_without_its_body);
	RUN(too_long_an_answer_closes_but_its_connection);
	RUN(tls_is_new_enough);
	RUN(a_limit_of_the_body_leaves_the_quick_alone);
	RUN(answers_say_when_to_try_again);
	RUN(a_proxy_is_not_for_all);
	RUN(redirects_are_answers);
	RUN(given_authorities_are_trusted);
	RUN(some_requests_cannot_be_made);
	DONE();
}
