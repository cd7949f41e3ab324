/* a custom topic over HTTPS, as a target */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "credential.h"
#include "endpoint.h"
#include "fetch.h"
#include "jq.h"
#include "json.h"
#include "quote.h"
#include "secret.h"
#include "target.h"

#define AUDIENCE "https://eventgrid.azure.net"
#define TIME 30000     /* milliseconds for a parcel and the answer's status */
#define BODY_TIME 2000 /* and for what the answer says beside it */
#define ANSWER 65536   /* bytes of that */

/* What a hook is to be told as soon as the loop runs. */
enum news { NOTHING, OPENED, POSITION, ANSWERED };

struct custom {
	struct target target; /* first */
	struct ev_loop *loop;
	char *id, *url;
	struct fetcher *fetcher;
	struct credential *credential; /* NULL: it wants none */
	ev_timer soon;
	enum news news;
	enum outcome outcome; /* of the parcel, with the next two */
	int64_t retry_after;
	struct fault fault;
	uint64_t run, number; /* what has been stored, as far as we have seen */
	/* the parcel under way */
	struct fetch *fetch;  /* NULL: it waits for the token */
	bool waits;
	bool again;           /* the second time, with another token */
	struct buf body, proof; /* proof: the credential's header */
	uint64_t parcel_run, parcel_last;
};

/* ---- the answer ---- */

/*
 * The message of {"error":{"code","message"}}, fit for people: it begins with
 * ": ", or is empty. Who has our secret may send it back, but not into our log.
 */
static void
read_message(const struct fetch_answer *a, const char *secret, char *out,
    size_t len)
{
	struct json j = { 0 };
	struct buf text = { 0 };
	uint32_t error = 0, t = 0;
	char q[QUOTE_MAX];

	*out = '\0';
	if (json_scan(&j, a->body, a->body_len, NULL) == 0 &&
	    j.tok[0].type == JSON_OBJECT)
		error = json_member(&j, 0, "error", 5);
	if (error != 0 && j.tok[error].type == JSON_OBJECT)
		t = json_member(&j, error, "message", 7);
	if (t != 0 && j.tok[t].type == JSON_STRING) {
		json_string(&j, t, &text);
		if (!text.bad && !secret_told(buf_data(&text), text.len,
		    secret, strlen(secret)))
			snprintf(out, len, ": '%s'", quote(q, buf_data(&text),
			    text.len));
	}
	buf_free(&text);
	json_free(&j);
}

/* What ends an attempt for good is the same for all deliveries. */
static enum outcome
outcome_of(long status)
{
	if (status >= 200 && status < 300)
		return OUTCOME_STORED;
	switch (status) {
	case 401:
	case 403: return OUTCOME_DENIED;
	case 404:
	case 410: return OUTCOME_GONE;
	case 400:
	case 413:
	case 414:
	case 415: return OUTCOME_REFUSED;
	default: return OUTCOME_LATER;
	}
}

static enum fault_code
code_of(long status)
{
	switch (outcome_of(status)) {
	case OUTCOME_STORED: return FAULT_NONE;
	case OUTCOME_GONE: return FAULT_NOT_FOUND;
	case OUTCOME_DENIED: return status == 401 ? FAULT_UNAUTHORIZED :
	    FAULT_FORBIDDEN;
	case OUTCOME_REFUSED: return status == 413 ? FAULT_TOO_LARGE :
	    FAULT_BAD_REQUEST;
	case OUTCOME_LATER: return status == 429 ? FAULT_TOO_MANY :
	    FAULT_UNAVAILABLE;
	case OUTCOME_BEHIND: break;
	}
	abort();
}

static const char *
advice_of(long status)
{
	if (status >= 300 && status < 400)
		return ", and redirects are not followed";
	switch (outcome_of(status)) {
	case OUTCOME_DENIED: return "; check its credential in endpoints";
	case OUTCOME_GONE: return "; check its url in endpoints";
	default: return "";
	}
}

static void
explain(struct custom *c, const struct fetch_answer *a, struct fault *f)
{
	const char *secret = c->proof.len > 0 ?
	    strrchr(buf_data(&c->proof), ' ') + 1 : "";
	char q[QUOTE_MAX], words[QUOTE_MAX + 8];

	if (a->status == 0) {
		fault_set(f, FAULT_UNAVAILABLE, "topic '%s': %s",
		    quote(q, c->id, strlen(c->id)), a->error);
		return;
	}
	read_message(a, secret, words, sizeof(words));
	fault_set(f, code_of(a->status), "topic '%s': status %ld%s%s",
	    quote(q, c->id, strlen(c->id)), a->status, advice_of(a->status),
	    words);
}

/* ---- the parcel ---- */

/* Hooks are called from the loop, where nobody minds what they do. */
static void
later(struct custom *c, enum news news)
{
	c->news = news;
	ev_timer_start(c->loop, &c->soon);
}

static void
answer(struct custom *c, enum outcome outcome, int64_t retry_after)
{
	c->outcome = outcome;
	c->retry_after = retry_after;
	later(c, ANSWERED);
}

/* What cannot be sent now waits: that is for people to mend. */
static void
fail(struct custom *c, const struct fault *f)
{
	char q[QUOTE_MAX];

	fault_set(&c->fault, f->code, "topic '%s': %s",
	    quote(q, c->id, strlen(c->id)), f->text);
	answer(c, OUTCOME_LATER, 0);
}

static void send_body(struct custom *);

/* A token may have been taken back, or a key changed, since we got it. */
static bool
try_again(struct custom *c, enum outcome outcome)
{
	if (outcome != OUTCOME_DENIED || c->credential == NULL)
		return false;
	credential_forget(c->credential);
	if (c->again)
		return false;
	c->again = true;
	send_body(c);
	return true;
}

static void
on_answer(const struct fetch_answer *a, void *arg)
{
	struct custom *c = arg;
	enum outcome outcome = outcome_of(a->status);

	c->fetch = NULL;
	c->fault.code = FAULT_NONE;
	if (outcome == OUTCOME_STORED) {
		c->run = c->parcel_run;
		c->number = c->parcel_last;
	} else {
		explain(c, a, &c->fault);
	}
	if (!try_again(c, outcome))
		answer(c, outcome, a->retry_after);
}

static int
start(struct custom *c, const char *token, struct fault *f)
{
	const char *headers[] = { "Content-Type: "
		"application/cloudevents-batch+json; charset=utf-8", NULL,
		NULL };
	struct fetch_request q = {
		.method = "POST",
		.url = c->url,
		.headers = headers,
		.body = buf_data(&c->body),
		.body_len = c->body.len,
		.timeout_ms = TIME,
		.body_ms = BODY_TIME,
		.answer_max = ANSWER,
	};

	buf_wipe(&c->proof);
	if (token != NULL) {
		credential_header(c->credential, token, &c->proof);
		headers[1] = buf_data(&c->proof);
	}
	if (c->proof.bad || c->body.bad)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	else
		c->fetch = fetch_start(c->fetcher, &q, on_answer, c, f);
	return c->fetch == NULL ? -1 : 0;
}

static void
send_body(struct custom *c)
{
	enum credential_state state = CREDENTIAL_HERE;
	const char *token = NULL;
	struct fault f;
	int rc = 0;

	if (c->credential != NULL)
		state = credential_token(c->credential, &token, &f);
	c->waits = state == CREDENTIAL_LATER;
	if (state == CREDENTIAL_NONE)
		rc = -1;
	else if (state == CREDENTIAL_HERE)
		rc = start(c, token, &f);
	if (rc == -1)
		fail(c, &f);
}

/* The token is there, or will not be. */
static void
on_token(const char *token, const struct fault *why, void *arg)
{
	struct custom *c = arg;
	struct fault f = *why;

	if (!c->waits)
		return;
	c->waits = false;
	if (token == NULL || start(c, token, &f) == -1)
		fail(c, &f);
}

/* ---- calls of the lane ---- */

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct custom *c = timer->data;
	enum news news = c->news;
	struct fault f = c->fault;

	(void)loop;
	(void)events;
	c->news = NOTHING;
	switch (news) {
	case OPENED:
		c->target.hooks->opened(c->target.arg);
		break;
	case POSITION:
		c->target.hooks->position(c->number, c->target.arg);
		break;
	case ANSWERED:
		buf_reset(&c->body, PARCEL_BYTES);
		buf_wipe(&c->proof);
		c->target.hooks->answered(c->outcome, c->retry_after, &f,
		    c->target.arg);
		break;
	case NOTHING:
		break;
	}
}

/* There is no connection yet; the first parcel makes it. */
static void
custom_open(struct target *target)
{
	later((struct custom *)target, OPENED);
}

/* Nobody but us remembers: after a restart what was under way is repeated. */
static void
custom_ask(struct target *target, uint64_t run)
{
	struct custom *c = (struct custom *)target;

	if (c->run != run) {
		c->run = run;
		c->number = 0;
	}
	later(c, POSITION);
}

/* Lines become the elements of an array. */
static void
add_batch(struct buf *b, const struct buf *lines)
{
	const char *p = buf_data(lines), *end = p + lines->len, *newline;

	for (char c = '['; p < end; c = ',', p = newline + 1) {
		newline = memchr(p, '\n', (size_t)(end - p));
		if (newline == NULL)
			newline = end;
		buf_add(b, &c, 1);
		buf_add(b, p, (size_t)(newline - p));
	}
	buf_str(b, "]");
}

static void
custom_send(struct target *target, const struct parcel *p)
{
	struct custom *c = (struct custom *)target;

	c->parcel_run = p->run;
	c->parcel_last = p->last;
	c->again = false;
	add_batch(&c->body, &p->text);
	send_body(c);
}

static void
custom_close(struct target *target)
{
	struct custom *c = (struct custom *)target;

	ev_timer_stop(c->loop, &c->soon);
	fetch_drop(c->fetch);
	c->fetch = NULL;
	c->waits = false;
	c->news = NOTHING;
	buf_reset(&c->body, 0);
	buf_wipe(&c->proof);
}

static void
custom_free(struct target *target)
{
	struct custom *c = (struct custom *)target;

	custom_close(target);
	credential_free(c->credential);
	fetcher_free(c->fetcher);
	buf_free(&c->body);
	free(c->id);
	free(c->url);
	free(c);
}

/* ---- settings ---- */

/* Of the entry; or of the identity that the namespace routes with. Null: none
 * is wanted. */
static jv
credential_of(jv namespace, jv entry)
{
	jv credential = jq_get(entry, "credential"), info;
	const char *type, *identity = NULL;

	if (jv_get_kind(credential) != JV_KIND_NULL)
		return credential;
	info = jq_get(namespace, "properties.topicSpacesConfiguration."
	    "routingIdentityInfo");
	type = jq_str(info, "type");
	if (type != NULL && strcmp(type, "SystemAssigned") == 0)
		identity = type;
	else if (type != NULL && strcmp(type, "UserAssigned") == 0)
		identity = jq_str(info, "userAssignedIdentity");
	if (identity != NULL)
		credential = JV_OBJECT(jv_string("identity"),
		    jv_string(identity));
	jv_free(info);
	return credential;
}

static int
take_entry(struct custom *c, jv entry, struct fault *f)
{
	const char *url = jq_str(entry, "url");
	struct fault why;
	char q[QUOTE_MAX];

	if (jv_get_kind(entry) != JV_KIND_OBJECT)
		return fault_set(f, FAULT_NOT_FOUND, "endpoints have no entry "
		    "for the custom topic '%s'",
		    quote(q, c->id, strlen(c->id)));
	if (url == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "endpoints: the entry "
		    "of the custom topic '%s' has no url",
		    quote(q, c->id, strlen(c->id)));
	if (endpoint_check_url(url, &why) == -1)
		return fault_set(f, why.code, "endpoints: url: %s", why.text);
	c->url = strdup(url);
	return c->url == NULL ?
	    fault_set(f, FAULT_INTERNAL, "out of memory") : 0;
}

static int
set_up(struct custom *c, const struct spool *spool, jv namespace,
    struct fault *f)
{
	jv entry = endpoint_find(namespace, c->id);
	jv credential = credential_of(namespace, entry);
	struct credential_use use = { .loop = c->loop, .dir = spool->fd,
		.audience = AUDIENCE };
	int rc = take_entry(c, entry, f);

	if (rc == 0) {
		c->fetcher = fetcher_new(c->loop, jq_str(namespace,
		    "properties.trustedCertificates"), f);
		use.fetcher = c->fetcher;
		rc = c->fetcher == NULL ? -1 : 0;
	}
	if (rc == 0 && jv_get_kind(credential) != JV_KIND_NULL) {
		c->credential = credential_new(&use, jv_copy(credential),
		    on_token, c, f);
		rc = c->credential == NULL ? -1 : 0;
	}
	jv_free(credential);
	jv_free(entry);
	return rc;
}

struct target *
custom_new(struct ev_loop *loop, const struct spool *spool, jv namespace,
    const char *resource_id, const struct target_hooks *hooks, void *arg,
    struct fault *f)
{
	static const struct target_calls calls = { custom_open, custom_ask,
		custom_send, custom_close, custom_free };
	struct custom *c = calloc(1, sizeof(*c));
	int rc = -1;

	if (c != NULL) {
		c->target = (struct target){ .calls = &calls, .hooks = hooks,
			.arg = arg, .window = 1 };
		c->loop = loop;
		ev_timer_init(&c->soon, on_soon, 0, 0);
		c->soon.data = c;
		if ((c->id = strdup(resource_id)) == NULL)
			fault_set(f, FAULT_INTERNAL, "out of memory");
		else
			rc = set_up(c, spool, namespace, f);
		if (rc == -1)
			custom_free(&c->target);
	} else {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	jv_free(namespace);
	return rc == 0 ? &c->target : NULL;
}
