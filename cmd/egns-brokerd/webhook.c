/* the question to the webhook, and what its answer means */
#include "webhook.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "buf.h"
#include "clock.h"
#include "credential.h"
#include "fetch.h"
#include "jq.h"
#include "json.h"
#include "quote.h"

struct webhook {
	jv settings; /* all that it was made from */
	char *url;
	struct fetcher *fetcher;
	struct credential *credential; /* NULL: it wants no token */
	struct webhook_ask *asked, *waiting; /* the others wait for the token */
	unsigned busy;
};

struct webhook_ask {
	struct webhook *hook;
	struct webhook_ask *next, **link; /* link: what points here */
	struct fetch *fetch; /* NULL: it waits for the token */
	struct buf body;     /* until then */
	void (*done)(struct webhook_answer *, void *arg);
	void *arg;
};

static void
ask_link(struct webhook_ask *a, struct webhook_ask **list)
{
	a->next = *list;
	a->link = list;
	if (a->next != NULL)
		a->next->link = &a->next;
	*list = a;
}

static void
ask_unlink(struct webhook_ask *a)
{
	*a->link = a->next;
	if (a->next != NULL)
		a->next->link = a->link;
}

static void
ask_free(struct webhook_ask *a)
{
	ask_unlink(a);
	a->hook->busy--;
	fetch_drop(a->fetch);
	buf_free(&a->body);
	free(a);
}

/* ---- the question ---- */

static void
add_string(struct buf *b, const char *name, struct mqtt_str s)
{
	if (s.p == NULL)
		return;
	buf_printf(b, ",\"%s\":", name);
	buf_json(b, s.p, s.len);
}

static void
add_binary(struct buf *b, const char *name, struct mqtt_str s)
{
	if (s.p == NULL)
		return;
	buf_printf(b, ",\"%s\":\"", name);
	base64_add(b, s.p, s.len);
	buf_str(b, "\"");
}

/* As PEM, in a JSON string. */
static void
add_certificate(struct buf *b, const uint8_t *der, size_t len)
{
	const size_t line = 48; /* bytes, which are 64 characters */

	buf_str(b, "-----BEGIN CERTIFICATE-----\\n");
	for (size_t n; len > 0; der += n, len -= n) {
		n = len < line ? len : line;
		base64_add(b, der, n);
		buf_str(b, "\\n");
	}
	buf_str(b, "-----END CERTIFICATE-----\\n");
}

static void
add_certificates(struct buf *b, const struct tls_certificate *c)
{
	if (c == NULL || c->n == 0)
		return;
	buf_str(b, ",\"clientCertificate\":\"");
	add_certificate(b, c->der[0], c->len[0]);
	buf_str(b, "\"");
	if (c->n == 1)
		return;
	buf_str(b, ",\"clientCertificateChain\":\"");
	for (size_t i = 1; i < c->n; i++)
		add_certificate(b, c->der[i], c->len[i]);
	buf_str(b, "\"");
}

static void
add_question(struct buf *b, const struct auth_request *q)
{
	buf_str(b, "{\"clientId\":");
	buf_json(b, q->client_id.len > 0 ? q->client_id.p : "",
	    q->client_id.len);
	if (q->connect != NULL) {
		add_string(b, "userName", q->connect->user);
		add_binary(b, "password", q->connect->password);
	}
	add_string(b, "authenticationMethod", q->method);
	add_binary(b, "authenticationData", q->data);
	add_certificates(b, q->certificate);
	buf_str(b, "}");
}

/* ---- the answer ---- */

static int
bad(struct fault *f, const char *what)
{
	return fault_set(f, FAULT_UNAVAILABLE, "the webhook's answer: %s",
	    what);
}

static int
read_denial(const struct json *j, struct fault *f)
{
	uint32_t t = json_member(j, 0, "errorReason", 11);
	struct buf b = { 0 };
	char q[QUOTE_MAX];

	if (t == 0 || j->tok[t].type != JSON_STRING)
		return fault_set(f, FAULT_UNAUTHORIZED,
		    "the webhook denied it without a reason");
	json_string(j, t, &b);
	fault_set(f, FAULT_UNAUTHORIZED, "the webhook denied it: '%s'",
	    quote(q, b.len > 0 ? buf_data(&b) : "", b.len));
	buf_free(&b);
	return -1;
}

static int
read_name(const struct json *j, struct webhook_answer *a)
{
	uint32_t t = json_member(j, 0, "clientAuthenticationName", 24);
	struct buf b = { 0 };
	int rc = 0;

	if (t != 0 && j->tok[t].type == JSON_STRING)
		json_string(j, t, &b);
	if (!b.bad && b.len == 0)
		rc = bad(&a->why, "no \"clientAuthenticationName\"");
	else if (!b.bad && memchr(buf_data(&b), '\0', b.len) != NULL)
		rc = bad(&a->why, "NUL in \"clientAuthenticationName\"");
	else if (b.bad || (a->name = strndup(buf_data(&b), b.len)) == NULL)
		rc = fault_set(&a->why, FAULT_INTERNAL, "out of memory");
	buf_free(&b);
	return rc;
}

/* A string, a 32 bit number, an array of strings. */
static bool
is_attribute(const struct json *j, uint32_t t)
{
	int64_t n;
	uint32_t i;

	switch (j->tok[t].type) {
	case JSON_STRING:
		return true;
	case JSON_NUMBER:
		return json_int64(j, t, &n) && n >= INT32_MIN && n <= INT32_MAX;
	case JSON_ARRAY:
		for (i = t + 1; i < j->tok[t].next; i++)
			if (j->tok[i].type != JSON_STRING)
				return false;
		return true;
	}
	return false;
}

/* Others than these are left out, as those of tokens are. */
static int
read_attributes(const struct json *j, struct webhook_answer *a)
{
	uint32_t o = json_member(j, 0, "attributes", 10), t;
	struct buf b = { 0 };
	int rc = 0;

	buf_str(&b, "{");
	if (o != 0 && j->tok[o].type == JSON_OBJECT)
		for (t = o + 1; t < j->tok[o].next; t = j->tok[t + 1].next) {
			if (!is_attribute(j, t + 1))
				continue;
			if (b.len > 1)
				buf_str(&b, ",");
			buf_add(&b, j->text + j->tok[t].start,
			    j->tok[t + 1].end - j->tok[t].start);
		}
	buf_str(&b, "}");
	if (b.len >= WEBHOOK_ATTRIBUTES)
		rc = bad(&a->why, "attributes of 4 KB and more");
	else if (b.bad ||
	    (a->attributes = strndup(buf_data(&b), b.len)) == NULL)
		rc = fault_set(&a->why, FAULT_INTERNAL, "out of memory");
	buf_free(&b);
	return rc;
}

static int
read_expiration(const struct json *j, struct webhook_answer *a)
{
	uint32_t t = json_member(j, 0, "expiration", 10);
	int64_t seconds;

	if (t == 0 || j->tok[t].type == JSON_NULL)
		return 0;
	if (j->tok[t].type != JSON_NUMBER || !json_int64(j, t, &seconds) ||
	    seconds < 0 || seconds > INT64_MAX / CLOCK_SECOND)
		return bad(&a->why,
		    "\"expiration\" is not in seconds since 1970");
	a->expires = seconds * CLOCK_SECOND;
	if (a->expires <= clock_now())
		return fault_set(&a->why, FAULT_UNAUTHORIZED,
		    "the webhook's decision has expired already");
	return 0;
}

static int
read_decision(const struct json *j, struct webhook_answer *a)
{
	uint32_t decision;

	if (j->tok[0].type != JSON_OBJECT)
		return bad(&a->why, "not a JSON object");
	decision = json_member(j, 0, "decision", 8);
	if (decision != 0 && json_is(j, decision, "deny", 4))
		return read_denial(j, &a->why);
	if (decision == 0 || !json_is(j, decision, "allow", 5))
		return bad(&a->why,
		    "\"decision\" is neither \"allow\" nor \"deny\"");
	if (read_name(j, a) == -1 || read_attributes(j, a) == -1)
		return -1;
	return read_expiration(j, a);
}

static void
read_answer(const struct fetch_answer *got, struct webhook_answer *a)
{
	struct json j = { 0 };
	struct fault f;

	if (got->failure != FETCH_WHOLE)
		fault_set(&a->why, FAULT_UNAVAILABLE,
		    "no answer of the webhook: %s", got->error);
	else if (got->status != 200)
		fault_set(&a->why, FAULT_UNAVAILABLE,
		    "the webhook's answer: status %ld", got->status);
	else if (json_scan(&j, got->body, got->body_len, &f) == -1)
		bad(&a->why, f.text);
	else
		read_decision(&j, a);
	json_free(&j);
}

/* ---- from one to the other ---- */

/* The callee takes what it wants of the answer. */
static void
ask_end(struct webhook_ask *a, struct webhook_answer *answer)
{
	void (*done)(struct webhook_answer *, void *) = a->done;
	void *arg = a->arg;

	ask_free(a);
	done(answer, arg);
	free(answer->name);
	free(answer->attributes);
}

static void
on_answer(const struct fetch_answer *got, void *arg)
{
	struct webhook_ask *a = arg;
	struct webhook_answer answer = { 0 };

	a->fetch = NULL;
	if (a->hook->credential != NULL &&
	    (got->status == 401 || got->status == 403))
		credential_forget(a->hook->credential);
	read_answer(got, &answer);
	ask_end(a, &answer);
}

static int
ask_send(struct webhook_ask *a, const char *token, struct fault *f)
{
	struct buf authorization = { 0 };
	const char *headers[] = { "Content-Type: application/json",
		"Accept: application/json", NULL, NULL };
	struct fetch_request q = {
		.method = "POST",
		.url = a->hook->url,
		.headers = headers,
		.body = buf_data(&a->body),
		.body_len = a->body.len,
		.timeout_ms = WEBHOOK_TIME,
		.answer_max = WEBHOOK_ANSWER,
	};

	if (token != NULL) {
		credential_header(a->hook->credential, token, &authorization);
		headers[2] = buf_data(&authorization);
	}
	if (authorization.bad)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	else
		a->fetch = fetch_start(a->hook->fetcher, &q, on_answer, a, f);
	buf_free(&authorization);
	buf_free(&a->body);
	return a->fetch == NULL ? -1 : 0;
}

/* The token is there, or will not be; a callee may ask or drop others. */
static void
on_token(const char *token, const struct fault *f, void *arg)
{
	struct webhook *h = arg;
	struct webhook_ask *a, *list = h->waiting;

	h->waiting = NULL;
	if (list != NULL)
		list->link = &list;
	while ((a = list) != NULL) {
		struct webhook_answer answer = { .why = *f };

		ask_unlink(a);
		ask_link(a, &h->asked);
		if (token == NULL || ask_send(a, token, &answer.why) == -1)
			ask_end(a, &answer);
	}
}

struct webhook_ask *
webhook_ask(struct webhook *h, const struct auth_request *q,
    void (*done)(struct webhook_answer *, void *), void *arg, struct fault *f)
{
	enum credential_state state = CREDENTIAL_HERE;
	const char *token = NULL;
	struct webhook_ask *a;

	if (h->busy >= WEBHOOK_MAX) {
		fault_set(f, FAULT_TOO_MANY, "%d logins wait for the webhook",
		    WEBHOOK_MAX);
		return NULL;
	}
	if (h->credential != NULL)
		state = credential_token(h->credential, &token, f);
	if (state == CREDENTIAL_NONE)
		return NULL;
	if ((a = calloc(1, sizeof(*a))) == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	a->hook = h;
	a->done = done;
	a->arg = arg;
	h->busy++;
	ask_link(a, state == CREDENTIAL_LATER ? &h->waiting : &h->asked);
	add_question(&a->body, q);
	if (a->body.bad)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	else if (state == CREDENTIAL_LATER || ask_send(a, token, f) == 0)
		return a;
	ask_free(a);
	return NULL;
}

void
webhook_drop(struct webhook_ask *a)
{
	ask_free(a);
}

/* ---- settings ---- */

static bool
names(jv endpoint, const char *member, jv hook, const char *name)
{
	const char *a = jq_str(endpoint, member), *b = jq_str(hook, name);

	return a != NULL && b != NULL && strcmp(a, b) == 0;
}

/* Of the entry of `endpoints` that means the webhook; null: there is none. */
static jv
find_credential(jv ns, jv hook)
{
	jv list = jq_get(ns, "properties.endpoints"), found = jv_null();
	const char *const id = "azureActiveDirectoryApplicationIdOrUri";

	if (jv_get_kind(list) == JV_KIND_ARRAY) {
		jv_array_foreach(list, i, e) {
			if (jv_get_kind(found) == JV_KIND_NULL &&
			    (names(e, "url", hook, "endpointUrl") ||
			    names(e, "resourceId", hook, "endpointUrl") ||
			    names(e, "url", hook, id) ||
			    names(e, "resourceId", hook, id)))
				found = jq_get(e, "credential");
			jv_free(e);
		}
	}
	jv_free(list);
	return found;
}

/* All that a webhook is made from; without "url" when there is none. */
static jv
settings_of(jv ns)
{
	jv hook = jq_get(ns, "properties.topicSpacesConfiguration."
	    "clientAuthentication.webhookAuthentication");
	jv s = jv_object();
	const char *url = jq_str(hook, "endpointUrl");

	if (url != NULL && *url != '\0')
		s = jv_object_set(s, jv_string("url"), jv_string(url));
	s = jv_object_set(s, jv_string("credential"), find_credential(ns,
	    hook));
	s = jv_object_set(s, jv_string("audience"), jq_get(hook,
	    "azureActiveDirectoryApplicationIdOrUri"));
	s = jv_object_set(s, jv_string("authorities"),
	    jq_get(ns, "properties.trustedCertificates"));
	jv_free(hook);
	return s;
}

static int
set_up(struct webhook *h, struct ev_loop *loop, const struct spool *spool,
    struct fault *f)
{
	struct credential_use use = { .loop = loop, .dir = spool->fd,
		.audience = jq_str(h->settings, "audience") };
	jv credential = jq_get(h->settings, "credential");

	if (strncasecmp(h->url, "https://", 8) != 0) {
		jv_free(credential);
		return fault_set(f, FAULT_BAD_REQUEST,
		    "webhookAuthentication.endpointUrl: must begin with "
		    "https://");
	}
	h->fetcher = fetcher_new(loop, jq_str(h->settings, "authorities"), f);
	if (h->fetcher == NULL || jv_get_kind(credential) == JV_KIND_NULL) {
		jv_free(credential);
		return h->fetcher == NULL ? -1 : 0;
	}
	use.fetcher = h->fetcher;
	h->credential = credential_new(&use, credential, on_token, h, f);
	return h->credential == NULL ? -1 : 0;
}

int
webhook_new(struct webhook **hook, struct webhook *old, struct ev_loop *loop,
    const struct spool *spool, jv ns, struct fault *f)
{
	jv settings = settings_of(ns);
	const char *url = jq_str(settings, "url");
	struct webhook *h = NULL;
	int rc = 0;

	if (url != NULL && old != NULL &&
	    jv_equal(jv_copy(settings), jv_copy(old->settings))) {
		h = old;
	} else if (url != NULL) {
		h = calloc(1, sizeof(*h));
		if (h != NULL)
			h->settings = jv_copy(settings);
		if (h == NULL || (h->url = strdup(url)) == NULL)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
		else
			rc = set_up(h, loop, spool, f);
	}
	jv_free(settings);
	if (rc == -1) {
		webhook_free(h);
		h = NULL;
	}
	*hook = h;
	return rc;
}

void
webhook_free(struct webhook *h)
{
	struct webhook_ask *a, *next;

	if (h == NULL)
		return;
	for (a = h->asked; a != NULL; a = next) {
		next = a->next;
		ask_free(a);
	}
	for (a = h->waiting; a != NULL; a = next) {
		next = a->next;
		ask_free(a);
	}
	credential_free(h->credential);
	fetcher_free(h->fetcher);
	jv_free(h->settings);
	free(h->url);
	free(h);
}

bool
webhook_busy(const struct webhook *h)
{
	return h->busy > 0;
}
