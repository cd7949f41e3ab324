/* a webhook, as a target */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "binding.h"
#include "clock.h"
#include "endpoint.h"
#include "event.h"
#include "handshake.h"
#include "http.h"
#include "jq.h"
#include "late.h"
#include "mapping.h"
#include "num.h"
#include "target.h"
#include "uuid.h"

#define ORIGIN "eventgrid.azure.net"
#define AGENT "egns-push"
#define KEEP 65536 /* bytes of a buffer that is used again */

struct webhook {
	struct target target; /* first */
	struct standing *standing;
	struct http *http;
	struct handshake *handshake; /* NULL: abuse protection is off */
	struct mappings *mappings;
	char *url, *origin;
	struct buf same;   /* headers that are the same in each delivery */
	struct buf asked;  /* and in the handshake */
	struct buf secret; /* names of those that nobody is to see */
	bool binary, unlimited;
	bool dynamic; /* mappings are made for each delivery */
	bool agent;   /* one of them is the User-Agent */
	struct event event; /* that is looked at, if any has to be */
	/* joins: what the mappings make of the event with this token */
	char token[ITEM_TOKEN + 1];
	struct buf firsts, others;
	struct late late;
};

/* ---- a delivery ---- */

static void
add_line(struct buf *b, const char *name, const char *value)
{
	buf_str(b, name);
	buf_add(b, value, strlen(value) + 1);
}

static int
add_mapping(const char *name, const char *value, bool secret, void *arg)
{
	struct buf *b = arg;

	(void)secret;
	buf_str(b, name);
	add_line(b, ": ", value);
	return b->bad ? -1 : 0;
}

static int
add_mappings(const struct webhook *w, const struct event *ev, struct buf *b)
{
	return mappings_each(w->mappings, ev, add_mapping, b);
}

static void
add_head(const struct webhook *w, const struct attempt *a, struct buf *b)
{
	char uuid[UUID_SIZE];

	buf_room(b, w->same.len + 2 * UUID_SIZE + 64);
	buf_add(b, buf_data(&w->same), w->same.len);
	buf_str(b, "aeg-delivery-count: ");
	buf_u64(b, a->count);
	buf_add(b, "", 1);
	uuid_next(uuid);
	buf_str(b, "aeg-output-event-id: ");
	buf_add(b, uuid, UUID_SIZE);
}

/* The events' own text. */
static void
add_events(const struct webhook *w, const struct attempt *a, struct buf *b)
{
	char before = '[';

	if (w->target.batch == 1) {
		buf_add(b, a->first->text, a->first->len);
		return;
	}
	buf_room(b, a->bytes + a->n + 1);
	for (struct item *i = a->first; i != NULL; i = i->next, before = ',') {
		buf_add(b, &before, 1);
		buf_add(b, i->text, i->len);
	}
	buf_str(b, "]");
}

static void
add_binary(const struct webhook *w, struct http_request *q)
{
	struct buf type = { 0 };

	binding_type(&w->event, &type);
	binding_data(&w->event, &q->body);
	/* bytes of an unknown type are of this; and without any, curl must not
	 * name one of its own */
	if (type.len == 0 && q->body.len > 0)
		buf_str(&type, "application/octet-stream");
	buf_str(&q->head, type.len > 0 ? "Content-Type: " : "Content-Type:");
	buf_add(&q->head, buf_data(&type), type.len);
	buf_add(&q->head, "", 1);
	q->head.bad |= type.bad;
	binding_http(&w->event, &q->head);
	buf_free(&type);
}

static int
make(struct webhook *w, const struct attempt *a, struct http_request *q,
    struct fault *f)
{
	const struct item *first = a->first;

	*q = (struct http_request){ .method = "POST", .url = w->url };
	if ((w->binary || w->dynamic) &&
	    event_parse(&w->event, first->text, first->len, f) == -1)
		return -1;
	add_head(w, a, &q->head);
	if (w->dynamic && add_mappings(w, &w->event, &q->head) == -1)
		q->head.bad = true;
	if (w->binary)
		add_binary(w, q);
	else
		add_events(w, a, &q->body);
	return 0;
}

static void
on_answer(const struct outcome *o, const struct fetch_answer *answer,
    void *arg)
{
	struct attempt *a = arg;
	struct webhook *w = a->data;

	(void)answer;
	w->target.hooks->answered(a, o, w->target.arg);
}

static void
webhook_send(struct target *target, struct attempt *a)
{
	struct webhook *w = (struct webhook *)target;
	struct http_request q;
	struct fault f = { FAULT_INTERNAL, "out of memory" };

	if (make(w, a, &q, &f) == 0) {
		a->data = w;
		if (http_send(w->http, &q, on_answer, a) != NULL)
			return;
		buf_free(&q.head);
		buf_free(&q.body);
	}
	late_fail(&w->late, a, &f);
}

static void
webhook_show(struct target *target, const struct attempt *a, struct buf *b)
{
	struct webhook *w = (struct webhook *)target;
	struct http_request q;
	struct fault f;

	if (make(w, a, &q, &f) == -1) {
		buf_printf(b, "no request: %s\n", f.text);
		return;
	}
	buf_add(&q.secret, buf_data(&w->secret), w->secret.len);
	if (q.head.bad || q.body.bad || q.secret.bad)
		buf_str(b, "no request: out of memory\n");
	else
		http_show(w->http, &q, b);
	buf_free(&q.head);
	buf_free(&q.secret);
	buf_free(&q.body);
}

/* ---- batches: one head for all their events ---- */

static int
read_values(struct webhook *w, const struct item *i, struct buf *b)
{
	buf_reset(b, KEEP);
	if (event_parse(&w->event, i->text, i->len, NULL) == -1)
		return -1;
	return add_mappings(w, &w->event, b);
}

static bool
webhook_joins(struct target *target, const struct item *first,
    const struct item *item)
{
	struct webhook *w = (struct webhook *)target;

	if (!w->dynamic)
		return true;
	if (*first->token == '\0' || strcmp(first->token, w->token) != 0) {
		w->token[0] = '\0';
		if (read_values(w, first, &w->firsts) == -1)
			return false;
		memcpy(w->token, first->token, sizeof(w->token));
	}
	return read_values(w, item, &w->others) == 0 &&
	    w->firsts.len == w->others.len && (w->firsts.len == 0 ||
	    memcmp(buf_data(&w->firsts), buf_data(&w->others),
	    w->firsts.len) == 0);
}

/* ---- may we? ---- */

/* What an endpoint grants it also takes as a limit; the service does not obey
 * it. */
static void
obey(struct webhook *w)
{
	long rate = w->standing->handshake.rate;

	w->target.pause = rate > 0 && !w->unlimited ?
	    60 * CLOCK_SECOND / rate + 1 : 0;
}

static void
on_prepared(const struct outcome *o, void *arg)
{
	struct webhook *w = arg;

	if (o->verdict == VERDICT_DELIVERED)
		obey(w);
	w->target.hooks->prepared(o, w->target.arg);
}

static void
on_granted(void *arg)
{
	struct webhook *w = arg;

	w->target.hooks->granted(w->target.arg);
}

static void
webhook_prepare(struct target *target)
{
	struct webhook *w = (struct webhook *)target;

	if (w->handshake != NULL)
		handshake_ask(w->handshake);
	else
		late_ready(&w->late);
}

static void
webhook_drop(struct target *target)
{
	struct webhook *w = (struct webhook *)target;

	if (w->handshake != NULL)
		handshake_drop(w->handshake);
	http_drop_all(w->http);
	late_drop(&w->late);
}

static void
webhook_free(struct target *target)
{
	struct webhook *w = (struct webhook *)target;

	late_drop(&w->late);
	handshake_free(w->handshake);
	http_free(w->http);
	mappings_free(w->mappings);
	buf_wipe(&w->same);
	buf_wipe(&w->asked);
	buf_free(&w->secret);
	buf_free(&w->firsts);
	buf_free(&w->others);
	event_free(&w->event);
	free(w->url);
	free(w->origin);
	free(w);
}

/* ---- settings ---- */

static char *
copy(const char *text, struct fault *f)
{
	char *to = strdup(text);

	if (to == NULL)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	return to;
}

static int
take_url(struct webhook *w, jv properties, struct fault *f)
{
	const char *url = jq_str(properties, "endpointUrl");
	struct fault why;

	if (url == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "no endpointUrl");
	if (endpoint_check_url(url, &why) == -1)
		return fault_set(f, why.code, "endpointUrl: %s", why.text);
	w->url = copy(url, f);
	return w->url == NULL ? -1 : 0;
}

/* Of the application that tokens are for; NULL: it wants none. */
static const char *
application(jv properties)
{
	const char *id = jq_str(properties,
	    "azureActiveDirectoryApplicationIdOrUri");

	return id != NULL && *id != '\0' ? id : NULL;
}

static bool
wants_handshake(jv push)
{
	const char *mode = jq_str(push, "abuseProtection");

	return mode == NULL || strcmp(mode, "Off") != 0;
}

static bool
has_agent(jv list)
{
	bool has = false;

	if (jv_get_kind(list) != JV_KIND_ARRAY)
		return false;
	jv_array_foreach(list, i, mapping) {
		has |= strcasecmp(jq_str(mapping, "name"), "User-Agent") == 0;
		jv_free(mapping);
	}
	return has;
}

static int
take_mappings(struct webhook *w, jv push, jv properties, struct fault *f)
{
	jv list = jq_get(properties, "deliveryAttributeMappings");
	unsigned own = (application(properties) != NULL ? MAPPINGS_TOKEN : 0) |
	    (wants_handshake(push) ? MAPPINGS_ORIGIN : 0);
	int rc = mappings_check(list, own, f);

	if (rc == 0) {
		w->mappings = mappings_new(list, f);
		rc = w->mappings == NULL ? -1 : 0;
		w->agent = has_agent(list);
	}
	jv_free(list);
	w->dynamic = rc == 0 && mappings_dynamic(w->mappings);
	return rc;
}

static int
take_http(struct webhook *w, const struct target_use *use, jv push,
    jv properties, struct fault *f)
{
	struct http_settings s = {
		.audience = application(properties),
		.minimum_tls = jq_str(properties, "minimumTlsVersionAllowed"),
		.connections = (unsigned)jq_int(jq_get(push, "maxInFlight"),
		    HTTP_IN_FLIGHT),
		.timeout_ms = target_timeout_ms(use->subscription),
	};

	s.credential = s.audience != NULL ?
	    target_credential(use, s.audience) : jv_null();
	w->http = http_new(use, &s, f);
	return w->http == NULL ? -1 : 0;
}

static int
take_handshake(struct webhook *w, const struct target_use *use, jv push,
    struct fault *f)
{
	const char *origin = jq_str(use->namespace,
	    "properties.webhookOrigin");
	const char *profile = jq_str(use->namespace, "properties.profile");
	struct handshake_settings s = { .use = use, .http = w->http,
		.url = w->url, .head = &w->asked, .secret = &w->secret,
		.prepared = on_prepared, .granted = on_granted, .arg = w };

	w->unlimited = profile != NULL && strcmp(profile, "Azure") == 0;
	if (!wants_handshake(push))
		return 0;
	w->origin = copy(origin != NULL ? origin : ORIGIN, f);
	if (w->origin == NULL)
		return -1;
	s.origin = w->origin;
	w->handshake = handshake_new(&s, f);
	return w->handshake == NULL ? -1 : 0;
}

/*
 * Several events go together when maxEventsPerBatch allows more than one: an
 * array then, even of a single event. preferredBatchSizeInKilobytes alone
 * changes nothing, because one event is what the other property is by default.
 */
static void
take_batch(struct webhook *w, const struct target_use *use, jv properties)
{
	w->binary = target_binary(use->subscription);
	w->target.batch = w->binary ? 1 : (unsigned)jq_int(jq_get(properties,
	    "maxEventsPerBatch"), 1);
	w->target.batch_bytes = 1024 * (size_t)jq_int(jq_get(properties,
	    "preferredBatchSizeInKilobytes"), 64);
}

static int
add_secret(const char *name, const char *value, bool secret, void *arg)
{
	(void)value;
	if (secret || strcasecmp(name, "Authorization") == 0)
		add_line(arg, "", name);
	return 0;
}

/* All that is the same in each request is made once. */
static int
make_heads(struct webhook *w, const char *name, struct fault *f)
{
	struct buf *b = &w->same;
	int rc;

	rc = add_mappings(w, NULL, &w->asked);
	if (rc == 0 && !w->dynamic)
		rc = add_mappings(w, NULL, b);
	if (rc == 0)
		rc = mappings_each(w->mappings, NULL, add_secret, &w->secret);
	if (!w->agent) {
		add_line(&w->asked, "User-Agent: ", AGENT);
		add_line(b, "User-Agent: ", AGENT);
	}
	if (!w->binary)
		add_line(b, "Content-Type: ", w->target.batch > 1 ?
		    BINDING_BATCH : BINDING_STRUCTURED);
	add_line(b, "aeg-event-type: ", "Notification");
	add_line(b, "aeg-subscription-name: ", name);
	add_line(b, "aeg-metadata-version: ", "1.0");
	if (w->origin != NULL) {
		add_line(b, "WebHook-Request-Origin: ", w->origin);
		/* its name in CloudEvents 1.0, which some still look for */
		add_line(b, "Origin: ", w->origin);
	}
	if (rc == -1 || b->bad || w->asked.bad || w->secret.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

static int
set_up(struct webhook *w, const struct target_use *use, struct fault *f)
{
	jv push = jq_get(use->subscription,
	    "properties.deliveryConfiguration.push");
	jv properties = target_properties(use->subscription);
	int rc = -1;

	take_batch(w, use, properties);
	if (take_url(w, properties, f) == 0 &&
	    take_mappings(w, push, properties, f) == 0 &&
	    take_http(w, use, push, properties, f) == 0 &&
	    take_handshake(w, use, push, f) == 0)
		rc = make_heads(w, use->name, f);
	jv_free(properties);
	jv_free(push);
	return rc;
}

struct target *
webhook_new(const struct target_use *use, struct fault *f)
{
	static const struct target_calls calls = { webhook_prepare,
		webhook_send, webhook_joins, webhook_show, webhook_drop,
		webhook_free };
	struct webhook *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	w->target.calls = &calls;
	w->target.in_flight = HTTP_IN_FLIGHT;
	w->target.connects = true;
	w->standing = use->standing;
	late_init(&w->late, use->loop, &w->target);
	if (set_up(w, use, f) == -1) {
		webhook_free(&w->target);
		return NULL;
	}
	return &w->target;
}
