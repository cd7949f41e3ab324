#include "http.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include "jq.h"
#include "secret.h"

#define HEADERS_MAX 256 /* of a request: an event has 128 attributes */
/* Bytes of them: what HTTP/2 has room for, less curl's own. One that has more
 * fails there as if the endpoint did, and takes the connection along. */
#define HEAD_MAX (65536 - 4096)
#define HIDDEN "***"

struct http_exchange {
	TAILQ_ENTRY(http_exchange) entry;
	struct exchanges *list; /* that it is in */
	struct http *http;
	struct http_request request;
	struct fetch *fetch; /* when it has been sent */
	struct buf proof;    /* the credential's header */
	unsigned forgotten;  /* the http's, when the token was taken */
	bool again;          /* the second time, with another token */
	struct outcome outcome; /* that it ends with, before any answer */
	void (*done)(const struct outcome *, const struct fetch_answer *,
	    void *);
	void *arg;
};
TAILQ_HEAD(exchanges, http_exchange);

struct http {
	struct ev_loop *loop;
	struct fetcher *fetcher;
	struct credential *credential; /* NULL: none is wanted */
	char *audience;
	http_proof *proof;
	void *proof_arg;
	long timeout_ms;
	unsigned forgotten; /* how many tokens have been */
	struct exchanges waiting; /* for the token */
	struct exchanges sent;
	struct exchanges failed;  /* `soon` tells them */
	ev_timer soon;
};

/* ---- an exchange ---- */

static void
move(struct http_exchange *x, struct exchanges *to)
{
	if (x->list != NULL)
		TAILQ_REMOVE(x->list, x, entry);
	x->list = to;
	if (to != NULL)
		TAILQ_INSERT_TAIL(to, x, entry);
}

static void
exchange_free(struct http_exchange *x)
{
	fetch_drop(x->fetch);
	buf_wipe(&x->proof);
	buf_free(&x->request.head);
	buf_free(&x->request.secret);
	buf_free(&x->request.body);
	free(x);
}

/* What is told may drop all others. */
static void
finish(struct http_exchange *x, const struct outcome *o,
    const struct fetch_answer *a)
{
	move(x, NULL);
	x->done(o, a, x->arg);
	exchange_free(x);
}

/* What ends without an answer is told by the loop. */
static void
fail(struct http_exchange *x)
{
	struct http *h = x->http;

	move(x, &h->failed);
	ev_timer_start(h->loop, &h->soon);
}

/* There is no token, or no memory. */
static void
fail_unmade(struct http_exchange *x, const struct fault *f)
{
	if (x->again)
		outcome_later(&x->outcome, DL_RESULT_UNAUTHORIZED,
		    "status 401, and another token: %s", f->text);
	else
		outcome_unmade(&x->outcome, "%s", f->text);
	x->outcome.status = x->again ? 401 : 0;
	fail(x);
}

/* It cannot be sent. That is for people to mend, but an event for which it will
 * never be otherwise must come to an end. */
static void
fail_request(struct http_exchange *x, const struct fault *f)
{
	if (f->code == FAULT_INTERNAL) {
		fail_unmade(x, f);
		return;
	}
	outcome_later(&x->outcome, f->code == FAULT_TOO_LARGE ?
	    DL_RESULT_PAYLOAD_TOO_LARGE : DL_BAD_REQUEST, "%s", f->text);
	fail(x);
}

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct http *h = timer->data;
	struct http_exchange *x;
	size_t n = 0;

	(void)loop, (void)events;
	/* those that fail meanwhile wait for the next turn */
	TAILQ_FOREACH(x, &h->failed, entry)
		n++;
	while (n-- > 0 && (x = TAILQ_FIRST(&h->failed)) != NULL)
		finish(x, &x->outcome, NULL); /* NOLINT(*-unix.Malloc) */
	if (!TAILQ_EMPTY(&h->failed))
		ev_timer_start(h->loop, &h->soon);
}

static void begin(struct http_exchange *);

/* A token may have been taken back since we got it. Of many requests that it
 * was sent with, the first whose answer says so forgets it. */
static void
begin_again(struct http_exchange *x)
{
	struct http *h = x->http;

	if (x->forgotten == h->forgotten) {
		credential_forget(h->credential);
		h->forgotten++;
	}
	x->again = true;
	begin(x);
}

static void
on_answer(const struct fetch_answer *a, void *arg)
{
	struct http_exchange *x = arg;
	struct outcome o;

	x->fetch = NULL; /* it ends by itself */
	if (a->status == 401 && x->http->credential != NULL && !x->again) {
		begin_again(x);
		return;
	}
	outcome_http(&o, a);
	finish(x, &o, a);
}

/* Pointers to the lines of the head, and to the proof. */
static int
point(const struct http_exchange *x, const char *headers[HEADERS_MAX + 2],
    struct fault *f)
{
	const char *p = buf_data(&x->request.head);
	const char *end = p + x->request.head.len;
	size_t n = 0;

	if (x->request.head.bad || x->request.secret.bad ||
	    x->request.body.bad || x->proof.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (x->request.head.len + x->proof.len > HEAD_MAX)
		return fault_set(f, FAULT_TOO_LARGE, "a request with more "
		    "than %d bytes of headers", HEAD_MAX);
	for (; p < end; p += strlen(p) + 1) {
		if (n == HEADERS_MAX)
			return fault_set(f, FAULT_TOO_LARGE, "a request with "
			    "more than %d headers", HEADERS_MAX);
		headers[n++] = p;
	}
	if (x->proof.len > 0)
		headers[n++] = buf_data(&x->proof);
	headers[n] = NULL;
	return 0;
}

static void
start(struct http_exchange *x, const char *token)
{
	struct http *h = x->http;
	const char *headers[HEADERS_MAX + 2];
	struct fetch_request q = {
		.method = x->request.method,
		.url = x->request.url,
		.headers = headers,
		.body = buf_data(&x->request.body),
		.body_len = x->request.body.len,
		.lent = true,
		.timeout_ms = h->timeout_ms,
		.body_ms = HTTP_BODY_TIME,
		.answer_max = HTTP_ANSWER,
	};
	struct fault f;

	/* a POST says that its body is empty */
	if (q.body == NULL && strcmp(q.method, "POST") == 0)
		q.body = "";
	buf_wipe(&x->proof);
	if (token != NULL &&
	    h->proof(h->credential, token, q.url, h->proof_arg, &x->proof,
	    &f) == -1) {
		fail_unmade(x, &f);
		return;
	}
	x->forgotten = h->forgotten;
	if (point(x, headers, &f) == 0)
		x->fetch = fetch_start(h->fetcher, &q, on_answer, x, &f);
	if (x->fetch == NULL)
		fail_request(x, &f);
	else
		move(x, &h->sent);
}

static void
begin(struct http_exchange *x)
{
	struct http *h = x->http;
	enum credential_state state = CREDENTIAL_HERE;
	const char *token = NULL;
	struct fault f;

	if (h->credential != NULL)
		state = credential_token(h->credential, &token, &f);
	if (state == CREDENTIAL_LATER)
		move(x, &h->waiting);
	else if (state == CREDENTIAL_NONE)
		fail_unmade(x, &f);
	else
		start(x, token);
}

/* The token is there, or will not be. */
static void
on_token(const char *token, const struct fault *why, void *arg)
{
	struct http *h = arg;
	struct http_exchange *x;

	while ((x = TAILQ_FIRST(&h->waiting)) != NULL)
		if (token == NULL)
			fail_unmade(x, why);
		else
			start(x, token);
}

/* ---- */

/* The way that a credential itself knows. */
static int
plain_proof(const struct credential *c, const char *token, const char *url,
    void *arg, struct buf *head, struct fault *f)
{
	(void)url, (void)arg, (void)f;
	credential_header(c, token, head);
	return 0;
}

static int
set_up(struct http *h, const struct target_use *use,
    struct http_settings *s, struct fault *f)
{
	struct credential_use c = { .loop = use->loop, .dir = use->spool->fd,
		.connections = s->proof != NULL };

	h->fetcher = fetcher_new(use->loop, jq_str(use->namespace,
	    "properties.trustedCertificates"), f);
	if (h->fetcher == NULL)
		return -1;
	/* and one that asks for tokens */
	fetcher_connections(h->fetcher, s->connections + 1);
	if (fetcher_minimum_tls(h->fetcher, s->minimum_tls) == -1)
		return fault_set(f, FAULT_BAD_REQUEST, "no version of TLS");
	if (jv_get_kind(s->credential) == JV_KIND_NULL)
		return 0;
	if (s->audience != NULL && (h->audience = strdup(s->audience)) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	c.fetcher = h->fetcher;
	c.audience = h->audience;
	h->credential = credential_new(&c, jv_copy(s->credential), on_token,
	    h, f);
	return h->credential == NULL ? -1 : 0;
}

struct http *
http_new(const struct target_use *use, struct http_settings *s,
    struct fault *f)
{
	struct http *h = calloc(1, sizeof(*h));

	if (h != NULL) {
		h->loop = use->loop;
		h->proof = s->proof != NULL ? s->proof : plain_proof;
		h->proof_arg = s->proof_arg;
		h->timeout_ms = s->timeout_ms;
		TAILQ_INIT(&h->waiting);
		TAILQ_INIT(&h->sent);
		TAILQ_INIT(&h->failed);
		ev_timer_init(&h->soon, on_soon, 0, 0);
		h->soon.data = h;
		if (set_up(h, use, s, f) == -1) {
			http_free(h);
			h = NULL;
		}
	} else {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	jv_free(s->credential);
	s->credential = jv_null();
	return h;
}

void
http_free(struct http *h)
{
	if (h == NULL)
		return;
	http_drop_all(h);
	credential_free(h->credential);
	fetcher_free(h->fetcher);
	free(h->audience);
	free(h);
}

struct http_exchange *
http_send(struct http *h, struct http_request *q,
    void (*done)(const struct outcome *, const struct fetch_answer *, void *),
    void *arg)
{
	struct http_exchange *x = calloc(1, sizeof(*x));

	if (x == NULL)
		return NULL;
	x->http = h;
	x->request = *q;
	q->head = q->secret = q->body = (struct buf){ 0 };
	x->done = done;
	x->arg = arg;
	begin(x);
	return x;
}

void
http_drop(struct http_exchange *x)
{
	if (x == NULL)
		return;
	move(x, NULL);
	exchange_free(x);
}

void
http_drop_all(struct http *h)
{
	struct exchanges *const lists[] = { &h->waiting, &h->sent, &h->failed };
	struct http_exchange *x;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		while ((x = TAILQ_FIRST(lists[i])) != NULL)
			http_drop(x); /* NOLINT(*-unix.Malloc) */
	ev_timer_stop(h->loop, &h->soon);
}

/* ---- secrets ---- */

static bool
is_secret(const struct http_request *q, const char *header, size_t name)
{
	const char *p = buf_data(&q->secret), *end = p + q->secret.len;

	for (; p < end; p += strlen(p) + 1)
		if (strlen(p) == name && strncasecmp(p, header, name) == 0)
			return true;
	return false;
}

/* A header's value, or what is behind its scheme: "Bearer". */
static bool
tells(const char *text, const char *header)
{
	const char *value = strrchr(header, ' ');

	return value != NULL && secret_told(text, strlen(text), value + 1,
	    strlen(value + 1));
}

bool
http_tells(const struct http_exchange *x, const char *text)
{
	const struct http_request *q = &x->request;
	const char *p = buf_data(&q->head), *end = p + q->head.len;
	bool told = x->proof.len > 0 && tells(text, buf_data(&x->proof));

	for (; p < end && !told; p += strlen(p) + 1)
		told = is_secret(q, p, strcspn(p, ":")) && tells(text, p);
	return told;
}

/* ---- for people ---- */

/* What a proof is made of may be more than one token. */
static void
show_proof(const struct http *h, const struct http_request *q, struct buf *b)
{
	struct buf line = { 0 };
	struct fault f;

	if (h->credential == NULL)
		return;
	if (h->proof(h->credential, HIDDEN, q->url, h->proof_arg, &line,
	    &f) == 0 &&
	    !line.bad && strstr(buf_data(&line), HIDDEN) != NULL)
		buf_printf(b, "%s\n", buf_data(&line));
	else
		buf_str(b, "Authorization: " HIDDEN "\n");
	buf_free(&line);
}

static bool
is_text(const struct buf *body)
{
	const char *p = buf_data(body);

	for (size_t i = 0; i < body->len; i++)
		if ((p[i] >= 0 && p[i] < ' ' && p[i] != '\t' &&
		    p[i] != '\n') || p[i] == 0x7f)
			return false;
	return true;
}

void
http_show(const struct http *h, const struct http_request *q, struct buf *b)
{
	const char *p = buf_data(&q->head), *end = p + q->head.len;
	size_t url = strcspn(q->url, "?"), name;

	buf_printf(b, "%s %.*s%s\n", q->method, (int)url, q->url,
	    q->url[url] == '?' ? "?" HIDDEN : "");
	for (; p < end; p += strlen(p) + 1) {
		name = strcspn(p, ":");
		if (is_secret(q, p, name))
			buf_printf(b, "%.*s: " HIDDEN "\n", (int)name, p);
		else if (strcmp(p + name, ":") != 0) /* is not sent */
			buf_printf(b, "%s\n", p);
	}
	show_proof(h, q, b);
	buf_str(b, "\n");
	if (!is_text(&q->body))
		buf_printf(b, "(%zu bytes)", q->body.len);
	else if (q->body.len > 0)
		buf_add(b, buf_data(&q->body), q->body.len);
	buf_str(b, "\n");
}
