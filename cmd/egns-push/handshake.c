#include "handshake.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>

#include "callback.h"
#include "clock.h"
#include "hex.h"
#include "log.h"
#include "num.h"
#include "quote.h"

struct handshake {
	struct handshake_settings settings;
	struct target_use use; /* its jv's are not ours */
	char endpoint[65];     /* as in the standing */
	struct http_exchange *exchange; /* OPTIONS under way */
	struct callback_wait *wait;     /* NULL: no callback was offered */
	char key[CALLBACK_KEY + 1];
	ev_timer soon;
	bool known;   /* soon: the answer to ask is the outcome */
	bool granted; /* soon: by the callback */
	struct outcome outcome;
};

/* ---- what the standing keeps ---- */

static int
hash_endpoint(struct handshake *h, struct fault *f)
{
	unsigned char hash[WC_SHA256_DIGEST_SIZE];
	struct buf b = { 0 };
	int rc;

	/* a NUL between them: neither has one */
	buf_add(&b, h->settings.origin, strlen(h->settings.origin) + 1);
	buf_str(&b, h->settings.url);
	rc = b.bad ? -1 : wc_Sha256Hash((unsigned char *)buf_data(&b),
	    (word32)b.len, hash);
	buf_free(&b);
	if (rc != 0)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	hex_text(h->endpoint, hash, sizeof(hash));
	return 0;
}

static bool
is_of_us(const struct handshake *h)
{
	return strcmp(h->use.standing->handshake.endpoint, h->endpoint) == 0;
}

static bool
is_granted(const struct handshake *h)
{
	return is_of_us(h) &&
	    h->use.standing->handshake.state == HANDSHAKE_GRANTED;
}

static void
keep(struct handshake *h, enum handshake_state state, long status,
    const char *origin, long rate)
{
	struct standing *s = h->use.standing;
	char q[QUOTE_MAX];
	struct fault f;

	memset(&s->handshake, 0, sizeof(s->handshake));
	s->handshake.state = state;
	s->handshake.time = clock_now();
	s->handshake.status = status;
	s->handshake.rate = rate;
	snprintf(s->handshake.endpoint, sizeof(s->handshake.endpoint), "%s",
	    h->endpoint);
	if (origin != NULL)
		snprintf(s->handshake.origin, sizeof(s->handshake.origin),
		    "%s", quote(q, origin, strlen(origin)));
	if (state == HANDSHAKE_PENDING)
		snprintf(s->handshake.key, sizeof(s->handshake.key), "%s",
		    h->key);
	/* an attempt by hand knows of no hold, and is not to end one on disk */
	if (s->uid[0] != '\0' && standing_save(s, h->use.spool->fd,
	    h->use.topic, h->use.name, &f) == -1)
		log_warn("subscription %s/%s: the answer to the handshake is "
		    "not kept: %s", h->use.topic, h->use.name, f.text);
}

/* ---- the callback ---- */

/* We are in the midst of it, so the rest is the loop's. */
static void
on_callback(long rate, void *arg)
{
	struct handshake *h = arg;
	long status = is_of_us(h) ? h->use.standing->handshake.status : 0;

	keep(h, HANDSHAKE_GRANTED, status, h->settings.origin, rate);
	h->granted = true;
	ev_timer_start(h->use.loop, &h->soon);
}

/* An endpoint that has a callback from us keeps it: the key stays the same. */
static void
offer_callback(struct handshake *h)
{
	const struct standing *s = h->use.standing;

	if (h->wait != NULL || h->use.callback == NULL)
		return;
	h->key[0] = '\0';
	if (is_of_us(h) && s->handshake.state == HANDSHAKE_PENDING)
		snprintf(h->key, sizeof(h->key), "%s", s->handshake.key);
	h->wait = callback_wait(h->use.callback, h->key, on_callback, h);
}

static void
end_callback(struct handshake *h)
{
	callback_forget(h->wait);
	h->wait = NULL;
}

/* ---- the answer ---- */

/* WebHook-Allowed-Rate: requests a minute, -1 for any number; one that makes no
 * sense is none. */
static long
rate_of(const struct fetch_answer *a)
{
	const char *text = fetch_header(a, "WebHook-Allowed-Rate");
	int64_t rate;

	if (text == NULL)
		return 0;
	if (strcmp(text, "*") == 0)
		return -1;
	return num_parse("rate", text, 1, LONG_MAX, &rate, NULL) == 0 ?
	    (long)rate : 0;
}

static void
refuse(struct handshake *h, const struct fetch_answer *a, const char *origin,
    struct outcome *o)
{
	bool pending = origin == NULL && h->wait != NULL;
	char q[QUOTE_MAX], found[QUOTE_MAX + 32] = "no WebHook-Allowed-Origin";

	if (origin != NULL)
		snprintf(found, sizeof(found), "WebHook-Allowed-Origin: '%s'",
		    quote(q, origin, strlen(origin)));
	if (pending) {
		outcome_unmade(o, "the handshake was answered "
		    "without permission (status %ld, %s): it may still be "
		    "given by the callback that the endpoint was sent",
		    a->status, found);
	} else {
		outcome_unmade(o, "the handshake was answered "
		    "without permission (status %ld, %s): the endpoint has to "
		    "answer OPTIONS with WebHook-Allowed-Origin: %.64s; or set "
		    "push.abuseProtection to Off", a->status, found,
		    h->settings.origin);
		end_callback(h);
	}
	o->status = a->status;
	o->retry_after = a->retry_after;
	keep(h, pending ? HANDSHAKE_PENDING : HANDSHAKE_REFUSED, a->status,
	    origin, 0);
}

/* Who is in trouble has not said no. Who does not know OPTIONS has. */
static bool
is_trouble(long status)
{
	return status == 0 || status == 408 || status == 429 ||
	    (status >= 500 && status != 501);
}

static void
weigh(struct handshake *h, const struct http_exchange *x,
    const struct fetch_answer *a, struct outcome *o)
{
	const char *origin = fetch_header(a, "WebHook-Allowed-Origin");

	if (origin == NULL && is_trouble(a->status)) {
		outcome_http(o, a);
		return;
	}
	if (origin == NULL || (strcmp(origin, "*") != 0 &&
	    strcasecmp(origin, h->settings.origin) != 0)) {
		/* some say what they were sent */
		refuse(h, a, origin != NULL && http_tells(x, origin) ? "***" :
		    origin, o);
		return;
	}
	end_callback(h);
	keep(h, HANDSHAKE_GRANTED, a->status, origin, rate_of(a));
	*o = (struct outcome){ .verdict = VERDICT_DELIVERED,
		.status = a->status };
}

static void
explain(struct outcome *o)
{
	char words[sizeof(o->words)];

	snprintf(words, sizeof(words), "the handshake: %.480s", o->words);
	memcpy(o->words, words, sizeof(words));
}

static void
on_answer(const struct outcome *why, const struct fetch_answer *a, void *arg)
{
	struct handshake *h = arg;
	const struct http_exchange *x = h->exchange;
	struct outcome o;

	h->exchange = NULL;
	if (is_granted(h)) /* by the callback, meanwhile */
		o = (struct outcome){ .verdict = VERDICT_DELIVERED };
	else if (a != NULL)
		weigh(h, x, a, &o);
	else
		o = *why;
	if (o.verdict == VERDICT_LATER)
		explain(&o);
	h->settings.prepared(&o, h->settings.arg);
}

/* ---- the question ---- */

static void
add_headers(struct handshake *h, struct buf *b)
{
	buf_add(b, buf_data(h->settings.head), h->settings.head->len);
	buf_printf(b, "WebHook-Request-Origin: %s%c", h->settings.origin,
	    '\0');
	if (h->wait == NULL)
		return;
	buf_str(b, "WebHook-Request-Callback: ");
	callback_url(h->wait, b);
	buf_add(b, "", 1);
}

static void
know(struct handshake *h)
{
	h->known = true;
	ev_timer_start(h->use.loop, &h->soon);
}

static void
ask(struct handshake *h)
{
	struct http_request q = { .method = "OPTIONS",
		.url = h->settings.url };

	offer_callback(h);
	add_headers(h, &q.head);
	buf_add(&q.secret, buf_data(h->settings.secret),
	    h->settings.secret->len);
	h->exchange = http_send(h->settings.http, &q, on_answer, h);
	if (h->exchange != NULL)
		return;
	buf_free(&q.head);
	buf_free(&q.secret);
	outcome_unmade(&h->outcome, "out of memory");
	know(h);
}

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct handshake *h = timer->data;
	bool known = h->known, granted = h->granted;

	(void)loop, (void)events;
	h->known = h->granted = false;
	if (granted)
		end_callback(h);
	if (known)
		h->settings.prepared(&h->outcome, h->settings.arg);
	else if (granted && h->exchange == NULL)
		h->settings.granted(h->settings.arg);
}

struct handshake *
handshake_new(const struct handshake_settings *s, struct fault *f)
{
	struct handshake *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	h->settings = *s;
	h->use = *s->use;
	ev_timer_init(&h->soon, on_soon, 0, 0);
	h->soon.data = h;
	if (hash_endpoint(h, f) == -1) {
		handshake_free(h);
		return NULL;
	}
	return h;
}

void
handshake_free(struct handshake *h)
{
	if (h == NULL)
		return;
	handshake_drop(h);
	end_callback(h);
	ev_timer_stop(h->use.loop, &h->soon);
	free(h);
}

void
handshake_ask(struct handshake *h)
{
	if (h->exchange != NULL)
		return;
	if (is_granted(h)) {
		h->outcome = (struct outcome){ .verdict = VERDICT_DELIVERED };
		know(h);
	} else {
		ask(h);
	}
}

void
handshake_drop(struct handshake *h)
{
	http_drop(h->exchange);
	h->exchange = NULL;
	h->known = false;
}
