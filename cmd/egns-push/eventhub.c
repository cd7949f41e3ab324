/* an event hub over HTTPS, as a target */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "binding.h"
#include "clock.h"
#include "endpoint.h"
#include "event.h"
#include "http.h"
#include "jq.h"
#include "mapping.h"
#include "quote.h"
#include "sas.h"
#include "target.h"
#include "utf8.h"
#include "uuid.h"

#define AUDIENCE "https://eventhubs.azure.net"
#define QUERY "/messages?timeout=60&api-version=2014-01"
#define BATCH_TYPE "application/vnd.microsoft.servicebus.json"
#define IN_FLIGHT 64
#define TIME 30   /* seconds until the answer's status */
#define LIFE 3600 /* seconds that a signature is good for */
#define EARLY 600 /* and how long before its end another one is made */
#define KEEP 65536 /* bytes of a buffer that is used again */

#define BATCH_MAX 1000000 /* bytes of a request's body */
#define BATCH_EVENTS 256
#define HEAD_MAX 8192 /* bytes of properties that may be headers */
#define KEY_MAX 128   /* characters of a partition key */
/* Bytes of escapes that are no reason for base64. */
#define SHORT 32
/* Bytes of an element of a batch, beside its body and what is measured: names,
 * quotes and commas; the content type; escapes; a key of 4 bytes for each
 * character. */
#define ELEMENT (192 + SHORT + 4 * KEY_MAX)
/* In binary mode attributes become longer, by a prefix and quotes. */
#define PREFIX "cloudEvents_"
#define ATTRIBUTES (EVENT_ATTRIBUTES * (sizeof(PREFIX) + 2))
/* Events whose mappings have more than this in them go alone. */
#define MAPPED 1024

struct eventhub {
	struct target target; /* first */
	struct ev_loop *loop;
	const char *name; /* of the subscription */
	struct http *http;
	struct mappings *mappings;
	char *hub, *url; /* what is signed; where events go */
	bool binary;
	struct event event; /* that is looked at */
	struct buf data, key; /* of it */
	bool secret; /* the key */
	/* joins: the first event's token and key, and whether it goes alone */
	char token[ITEM_TOKEN + 1];
	bool alone;
	struct buf first_key, mapped;
	size_t same; /* bytes of mappings that are the same for all */
	/* a signature, and the connection string that it was made with */
	struct buf signature, string;
	int64_t made; /* clock_now() */
	ev_timer soon;
	bool ready; /* soon: attempts may be made */
	struct attempt *failed; /* soon: these end so; linked by their data */
	struct outcome outcome;
};

/* ---- properties of a message ---- */

/* Where they go: headers of a request, or members of an object. */
struct properties {
	struct buf *b;
	struct buf *secret; /* headers: names of those nobody is to see */
	bool json;
	bool shown;  /* members for people */
	bool unfit;  /* not all can be headers */
	char before; /* a member */
};

/* Quotes and backslashes need no escapes in a header; all but ASCII would. */
static bool
is_header(const char *value, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (value[i] < ' ' || value[i] > '~')
			return false;
	return len > 0 && value[0] != ' ' && value[len - 1] != ' ';
}

static void
add_property(struct properties *p, const char *name, const char *value,
    size_t len, bool secret)
{
	if (p->json) {
		buf_add(p->b, &p->before, 1);
		p->before = ',';
		buf_json(p->b, name, strlen(name));
		buf_str(p->b, ":");
		if (secret && p->shown)
			buf_str(p->b, "\"***\"");
		else
			buf_json(p->b, value, len);
		return;
	}
	p->unfit |= !is_header(value, len);
	buf_str(p->b, name);
	buf_str(p->b, ": ");
	buf_add(p->b, value, len);
	buf_add(p->b, "", 1);
	if (secret)
		buf_add(p->secret, name, strlen(name) + 1);
}

static void
add_word(struct properties *p, const char *name, const char *value)
{
	add_property(p, name, value, strlen(value), false);
}

static int
add_mapping(const char *name, const char *value, bool secret, void *arg)
{
	if (strcasecmp(name, "PartitionKey") != 0)
		add_property(arg, name, value, strlen(value), secret);
	return 0;
}

/* ce_NAME of the Kafka binding is cloudEvents_NAME of that for AMQP, which is
 * how messages of event hubs are read. */
static int
add_attribute(const char *name, const char *value, size_t len, void *arg)
{
	struct properties *p = arg;
	struct buf full = { 0 };

	buf_printf(&full, PREFIX "%s%c", name + 3, '\0');
	if (full.bad)
		p->b->bad = true;
	else
		add_property(p, buf_data(&full), value, len, false);
	buf_free(&full);
	return 0;
}

/* Of the event that is looked at, or of none: then those that every event
 * has. */
static void
add_properties(const struct eventhub *h, unsigned count,
    const struct event *ev, struct properties *p)
{
	char uuid[UUID_SIZE], number[16];

	snprintf(number, sizeof(number), "%u", count);
	uuid_new(uuid);
	add_word(p, "aeg-subscription-name", h->name);
	add_word(p, "aeg-delivery-count", number);
	add_word(p, "aeg-output-event-id", uuid);
	add_word(p, "aeg-metadata-version", "1.0");
	add_word(p, "aeg-compatibility-mode-enabled", "false");
	if (mappings_each(h->mappings, ev, add_mapping, p) == -1 ||
	    (ev != NULL && h->binary &&
	    binding_kafka(ev, add_attribute, p) == -1))
		p->b->bad = true;
}

static int
take_key(const char *name, const char *value, bool secret, void *arg)
{
	struct eventhub *h = arg;

	if (strcasecmp(name, "PartitionKey") != 0)
		return 0;
	buf_str(&h->key, value);
	h->secret = secret;
	return 0;
}

/* The partition key of the event that is looked at; the service refuses longer
 * ones, so only their beginning counts. */
static void
read_key(struct eventhub *h)
{
	struct buf *b = &h->key;
	size_t end = 0;

	buf_reset(b, KEEP);
	h->secret = false;
	if (mappings_each(h->mappings, &h->event, take_key, h) == -1)
		b->bad = true;
	if (b->len == 0)
		binding_field(&h->event, "partitionkey", b);
	for (unsigned n = 0; n < KEY_MAX && end < b->len; n++)
		end += utf8_char(buf_data(b) + end, b->len - end);
	b->len = end;
}

/* The body, and the content type of it; none when it is empty. */
static void
read_data(struct eventhub *h, const struct item *item, struct buf *type)
{
	buf_reset(&h->data, KEEP);
	if (!h->binary) {
		buf_str(type, BINDING_STRUCTURED);
		buf_add(&h->data, item->text, item->len);
		return;
	}
	binding_type(&h->event, type);
	binding_data(&h->event, &h->data);
	if (type->len == 0 && h->data.len > 0)
		buf_str(type, "application/octet-stream");
}

static int
look_at(struct eventhub *h, const struct item *item, struct fault *f)
{
	if (event_parse(&h->event, item->text, item->len, f) == -1)
		return -1;
	read_key(h);
	return 0;
}

/* ---- one event ---- */

static void
add_key(const struct eventhub *h, bool shown, struct buf *b)
{
	buf_str(b, "{\"PartitionKey\":");
	if (h->secret && shown)
		buf_str(b, "\"***\"");
	else
		buf_json(b, buf_data(&h->key), h->key.len);
	buf_str(b, "}");
}

static void
add_key_header(const struct eventhub *h, struct properties *p)
{
	static const char name[] = "BrokerProperties";

	if (h->key.len == 0)
		return;
	p->unfit |= !is_header(buf_data(&h->key), h->key.len);
	buf_str(p->b, name);
	buf_str(p->b, ": ");
	add_key(h, false, p->b);
	buf_add(p->b, "", 1);
	if (h->secret)
		buf_add(p->secret, name, sizeof(name));
}

/* Without a type there is none: not one of curl's either. */
static void
add_type_header(const struct buf *type, struct properties *p)
{
	p->unfit |= type->len > 0 && !is_header(buf_data(type), type->len);
	buf_str(p->b, type->len > 0 ? "Content-Type: " : "Content-Type:");
	buf_add(p->b, buf_data(type), type->len);
	buf_add(p->b, "", 1);
}

/* Its properties are headers. False: they cannot be. */
static bool
make_single(struct eventhub *h, const struct item *item,
    struct http_request *q)
{
	struct properties p = { .b = &q->head, .secret = &q->secret };
	struct buf type = { 0 };

	add_properties(h, item->count, &h->event, &p);
	add_key_header(h, &p);
	read_data(h, item, &type);
	add_type_header(&type, &p);
	buf_add(&q->body, buf_data(&h->data), h->data.len);
	q->body.bad |= type.bad || h->data.bad || h->key.bad;
	buf_free(&type);
	if (!p.unfit && q->head.len <= HEAD_MAX)
		return true;
	buf_reset(&q->head, KEEP);
	buf_reset(&q->secret, KEEP);
	buf_reset(&q->body, EVENT_MAX);
	return false;
}

/* ---- several ---- */

/* Text is a string, unless base64 of it is much shorter: so it is at most a third
 * longer than the text, whatever is in it. */
static void
add_body(struct buf *b, const char *p, size_t n)
{
	size_t escaped = n;

	for (size_t i = 0; i < n; i++)
		if ((unsigned char)p[i] < ' ')
			escaped += 5;
		else
			escaped += p[i] == '"' || p[i] == '\\';
	buf_str(b, "{\"Body\":");
	if (escaped <= BASE64_LEN(n) + SHORT && utf8_text(p, n)) {
		buf_json(b, p, n);
		return;
	}
	buf_str(b, "\"");
	base64_add(b, p, n);
	buf_str(b, "\",\"IsBodyBase64\":true");
}

static void
add_element(struct eventhub *h, const struct item *item, bool shown,
    struct buf *b)
{
	struct properties p = { .b = b, .json = true, .shown = shown,
		.before = '{' };
	struct buf type = { 0 };

	read_data(h, item, &type);
	add_body(b, buf_data(&h->data), h->data.len);
	buf_str(b, ",\"UserProperties\":");
	add_properties(h, item->count, &h->event, &p);
	/* a batch has no other place for it */
	if (type.len > 0)
		add_property(&p, "content-type", buf_data(&type), type.len,
		    false);
	buf_str(b, "}");
	if (h->key.len > 0) {
		buf_str(b, ",\"BrokerProperties\":");
		add_key(h, shown, b);
	}
	buf_str(b, "}");
	b->bad |= type.bad || h->data.bad || h->key.bad;
	buf_free(&type);
}

static int
make_batch(struct eventhub *h, const struct attempt *a, bool shown,
    struct http_request *q, struct fault *f)
{
	static const char type[] = "Content-Type: " BATCH_TYPE;
	char before = '[';

	buf_add(&q->head, type, sizeof(type));
	for (struct item *i = a->first; i != NULL; i = i->next, before = ',') {
		if (look_at(h, i, f) == -1)
			return -1;
		buf_add(&q->body, &before, 1);
		add_element(h, i, shown, &q->body);
	}
	buf_str(&q->body, "]");
	return 0;
}

static void
request_free(struct http_request *q)
{
	buf_free(&q->head);
	buf_free(&q->secret);
	buf_free(&q->body);
}

static int
make(struct eventhub *h, const struct attempt *a, bool shown,
    struct http_request *q, struct fault *f)
{
	*q = (struct http_request){ .method = "POST", .url = h->url };
	if (a->n == 1 && look_at(h, a->first, f) == -1)
		return -1;
	if (a->n == 1 && make_single(h, a->first, q))
		return 0;
	if (make_batch(h, a, shown, q, f) == 0)
		return 0;
	request_free(q);
	return -1;
}

/* ---- attempts ---- */

/* Hooks are called from the loop. What is no event goes alone. */
static void
fail(struct eventhub *h, struct attempt *a, const struct fault *f)
{
	if (f->code == FAULT_INTERNAL)
		outcome_unmade(&h->outcome, "%s", f->text);
	else
		outcome_final(&h->outcome, DL_SCHEMA_REJECTED, DL_BAD_REQUEST,
		    "the event is none: %s", f->text);
	a->data = h->failed;
	h->failed = a;
	ev_timer_start(h->loop, &h->soon);
}

static void
on_answer(const struct outcome *o, const struct fetch_answer *answer,
    void *arg)
{
	struct attempt *a = arg;
	struct eventhub *h = a->data;

	(void)answer;
	h->target.hooks->answered(a, o, h->target.arg);
}

static void
eventhub_send(struct target *target, struct attempt *a)
{
	struct eventhub *h = (struct eventhub *)target;
	struct fault f = { FAULT_INTERNAL, "out of memory" };
	struct http_request q;

	if (make(h, a, false, &q, &f) == 0) {
		a->data = h;
		if (http_send(h->http, &q, on_answer, a) != NULL)
			return;
		request_free(&q);
	}
	fail(h, a, &f);
}

static void
eventhub_show(struct target *target, const struct attempt *a, struct buf *b)
{
	struct eventhub *h = (struct eventhub *)target;
	struct http_request q;
	struct fault f;

	if (make(h, a, true, &q, &f) == -1) {
		buf_printf(b, "no request: %s\n", f.text);
		return;
	}
	if (q.head.bad || q.secret.bad || q.body.bad)
		buf_str(b, "no request: out of memory\n");
	else
		http_show(h->http, &q, b);
	request_free(&q);
}

/* Does an event go alone, because of what its mappings take from it? */
static bool
is_large(struct eventhub *h)
{
	struct properties p = { .b = &h->mapped, .json = true, .before = '{' };

	buf_reset(&h->mapped, KEEP);
	if (mappings_each(h->mappings, &h->event, add_mapping, &p) == -1 ||
	    h->mapped.bad)
		return true;
	return h->mapped.len > h->same + MAPPED;
}

static bool
is_same(const struct buf *a, const struct buf *b)
{
	return !a->bad && !b->bad && a->len == b->len && (a->len == 0 ||
	    memcmp(buf_data(a), buf_data(b), a->len) == 0);
}

/* What goes together goes to one partition. */
static bool
eventhub_joins(struct target *target, const struct item *first,
    const struct item *item)
{
	struct eventhub *h = (struct eventhub *)target;

	if (*first->token == '\0' || strcmp(first->token, h->token) != 0) {
		h->token[0] = '\0';
		if (look_at(h, first, NULL) == -1)
			return false;
		buf_reset(&h->first_key, KEEP);
		buf_add(&h->first_key, buf_data(&h->key), h->key.len);
		h->first_key.bad |= h->key.bad;
		h->alone = is_large(h);
		memcpy(h->token, first->token, sizeof(h->token));
	}
	return !h->alone && look_at(h, item, NULL) == 0 && !is_large(h) &&
	    is_same(&h->key, &h->first_key);
}

/* There is nobody to ask. */
static void
eventhub_prepare(struct target *target)
{
	struct eventhub *h = (struct eventhub *)target;

	h->ready = true;
	ev_timer_start(h->loop, &h->soon);
}

static void
on_soon(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct eventhub *h = timer->data;
	struct outcome ok = { .verdict = VERDICT_DELIVERED };
	struct outcome failed = h->outcome;
	struct attempt *a;

	(void)loop, (void)events;
	if (h->ready) {
		h->ready = false;
		h->target.hooks->prepared(&ok, h->target.arg);
	}
	while ((a = h->failed) != NULL) {
		h->failed = a->data;
		h->target.hooks->answered(a, &failed, h->target.arg);
	}
}

static void
eventhub_drop(struct target *target)
{
	struct eventhub *h = (struct eventhub *)target;

	http_drop_all(h->http);
	ev_timer_stop(h->loop, &h->soon);
	h->ready = false;
	h->failed = NULL;
}

static void
wipe(struct buf *b)
{
	if (b->mem != NULL)
		explicit_bzero(b->mem, b->cap);
	buf_free(b);
}

static void
eventhub_free(struct target *target)
{
	struct eventhub *h = (struct eventhub *)target;

	ev_timer_stop(h->loop, &h->soon);
	http_free(h->http);
	mappings_free(h->mappings);
	event_free(&h->event);
	wipe(&h->signature);
	wipe(&h->string);
	wipe(&h->mapped);
	buf_free(&h->data);
	buf_free(&h->key);
	buf_free(&h->first_key);
	free(h->hub);
	free(h->url);
	free(h);
}

/* ---- who we are ---- */

/* Is there a signature of this connection string that is good for a while? */
static bool
has_signature(const struct eventhub *h, const char *string)
{
	int64_t age = clock_now() - h->made;

	return h->signature.len > 0 && strcmp(buf_data(&h->string), string) ==
	    0 && age >= 0 && age < (LIFE - EARLY) * CLOCK_SECOND;
}

static int
sign(struct eventhub *h, const char *string, struct fault *f)
{
	struct sas_connection c;
	int rc = sas_parse(&c, string, f);

	wipe(&h->signature);
	wipe(&h->string);
	h->made = clock_now();
	if (rc == 0) {
		sas_sign(&h->signature, h->hub, c.rule, c.key,
		    h->made / CLOCK_SECOND + LIFE);
		buf_add(&h->signature, "", 1);
		buf_add(&h->string, string, strlen(string) + 1);
		if (h->signature.bad || h->string.bad)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	if (rc == -1)
		wipe(&h->signature);
	explicit_bzero(&c, sizeof(c));
	return rc;
}

static int
prove(const struct credential *c, const char *token, const char *url,
    void *arg, struct buf *head, struct fault *f)
{
	static const char scheme[] = "SharedAccessSignature ";
	struct eventhub *h = arg;
	const char *type = credential_type(c);

	(void)url;
	if (strcmp(type, "bearer") == 0) {
		credential_header(c, token, head);
		return 0;
	}
	if (strcmp(type, "connectionString") == 0) {
		if (!has_signature(h, token) && sign(h, token, f) == -1)
			return -1;
		token = buf_data(&h->signature);
	}
	buf_str(head, "Authorization: ");
	if (strncasecmp(token, scheme, sizeof(scheme) - 1) != 0)
		buf_str(head, scheme);
	buf_add(head, token, strlen(token) + 1);
	return 0;
}

/* ---- settings ---- */

/* The length of a name of letters, digits and these; 0 when it has others, up
 * to `end`. */
static size_t
name_len(const char *name, const char *also, char end)
{
	size_t n = 0;

	while ((name[n] >= 'a' && name[n] <= 'z') ||
	    (name[n] >= 'A' && name[n] <= 'Z') ||
	    (name[n] >= '0' && name[n] <= '9') ||
	    (name[n] != '\0' && strchr(also, name[n]) != NULL))
		n++;
	return name[n] == end ? n : 0;
}

/* Where the service has the hub of a resource id. */
static int
add_service_url(const char *id, struct buf *b, struct fault *f)
{
	static const char hubs[] = "/providers/Microsoft.EventHub/namespaces/";
	static const char hub[] = "/eventhubs/";
	const char *name = strcasestr(id, hubs);
	char q[QUOTE_MAX];
	size_t len, rest = 0;

	if (name != NULL) {
		name += sizeof(hubs) - 1;
		len = name_len(name, "-", '/');
		if (len > 0 &&
		    strncasecmp(name + len, hub, sizeof(hub) - 1) == 0)
			rest = name_len(name + len + sizeof(hub) - 1, "-._",
			    '\0');
	}
	if (rest == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "resourceId: '%s' is "
		    "no .../Microsoft.EventHub/namespaces/NAME/eventhubs/NAME",
		    quote(q, id, strlen(id)));
	buf_printf(b, "https://%.*s.servicebus.windows.net/%s", (int)len, name,
	    name + len + sizeof(hub) - 1);
	return 0;
}

static int
add_local_url(const char *url, struct buf *b, struct fault *f)
{
	size_t len = strlen(url);
	struct fault why;

	if (endpoint_check_url(url, &why) == -1)
		return fault_set(f, why.code, "endpoints: url: %s", why.text);
	if (strpbrk(url, "?#") != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "endpoints: url: of an "
		    "event hub it has no query, https://HOST[:PORT]/HUB");
	while (len > 0 && url[len - 1] == '/')
		len--;
	buf_add(b, url, len);
	return 0;
}

static int
take_urls(struct eventhub *h, const struct target_use *use, const char *id,
    struct fault *f)
{
	jv entry = endpoint_find(use->namespace, id);
	const char *url = jq_str(entry, "url");
	struct buf b = { 0 };
	int rc = url != NULL ? add_local_url(url, &b, f) :
	    add_service_url(id, &b, f);

	jv_free(entry);
	if (rc == 0) {
		buf_add(&b, "", 1);
		h->hub = b.bad ? NULL : strdup(buf_data(&b));
		b.len -= !b.bad;
		buf_add(&b, QUERY, sizeof(QUERY));
		h->url = b.bad ? NULL : strdup(buf_data(&b));
		if (h->hub == NULL || h->url == NULL)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	buf_free(&b);
	return rc;
}

/* Names that a message has for other things. */
static int
check_names(jv list, struct fault *f)
{
	bool taken = false;
	char q[QUOTE_MAX] = "";

	if (jv_get_kind(list) != JV_KIND_ARRAY)
		return 0;
	jv_array_foreach(list, i, mapping) {
		const char *name = jq_str(mapping, "name");

		if (!taken && (strcasecmp(name, "BrokerProperties") == 0 ||
		    strncasecmp(name, PREFIX, sizeof(PREFIX) - 2) == 0)) {
			taken = true;
			quote(q, name, strlen(name));
		}
		jv_free(mapping);
	}
	return !taken ? 0 : fault_set(f, FAULT_BAD_REQUEST, "delivery "
	    "attribute '%s': the name is in use by the delivery", q);
}

static int
take_mappings(struct eventhub *h, jv properties, struct fault *f)
{
	jv list = jq_get(properties, "deliveryAttributeMappings");
	int rc = mappings_check(list, true, f);

	if (rc == 0)
		rc = check_names(list, f);
	if (rc == 0) {
		h->mappings = mappings_new(list, f);
		rc = h->mappings == NULL ? -1 : 0;
	}
	jv_free(list);
	return rc;
}

static int
take_http(struct eventhub *h, const struct target_use *use, const char *id,
    jv push, struct fault *f)
{
	struct http_settings s = {
		.credential = target_credential(use, id),
		.audience = AUDIENCE,
		.proof = prove,
		.proof_arg = h,
		.connections = (unsigned)jq_int(jq_get(push, "maxInFlight"),
		    IN_FLIGHT),
		.timeout_ms = 1000 * (long)jq_int(jq_get(push,
		    "timeoutInSeconds"), TIME),
	};
	const char *type = jq_str(s.credential, "type");

	if (type != NULL && strcmp(type, "key") == 0) {
		jv_free(s.credential);
		return fault_set(f, FAULT_BAD_REQUEST, "credential: an event "
		    "hub takes no key; the type is bearer, sas or "
		    "connectionString");
	}
	h->http = http_new(use, &s, f);
	return h->http == NULL ? -1 : 0;
}

/*
 * How much fits into a request, whatever the events are: so many elements with
 * all that they have beside their event, and a third more than the events.
 */
static int
take_batch(struct eventhub *h, struct fault *f)
{
	struct properties p = { .b = &h->mapped, .json = true, .before = '{' };
	size_t element;

	mappings_each(h->mappings, NULL, add_mapping, &p);
	h->same = h->mapped.len;
	buf_reset(&h->mapped, KEEP);
	p.before = '{';
	add_properties(h, UINT_MAX, NULL, &p);
	if (h->mapped.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	element = h->mapped.len + ELEMENT + (h->binary ? ATTRIBUTES : 0) +
	    (mappings_dynamic(h->mappings) ? MAPPED : 0);
	h->target.batch = BATCH_EVENTS;
	while (h->target.batch > 1 && h->target.batch * element > BATCH_MAX / 2)
		h->target.batch /= 2;
	h->target.batch_bytes = (BATCH_MAX - h->target.batch * element) / 4 * 3;
	return 0;
}

static int
set_up(struct eventhub *h, const struct target_use *use, struct fault *f)
{
	jv push = jq_get(use->subscription,
	    "properties.deliveryConfiguration.push");
	jv properties = target_properties(use->subscription);
	const char *id = jq_str(properties, "resourceId");
	const char *mode = jq_str(push, "contentMode");
	int rc = -1;

	h->binary = mode != NULL && strcmp(mode, "binary") == 0;
	if (id == NULL)
		fault_set(f, FAULT_BAD_REQUEST, "no resourceId");
	else if (take_urls(h, use, id, f) == 0 &&
	    take_mappings(h, properties, f) == 0 &&
	    take_http(h, use, id, push, f) == 0)
		rc = take_batch(h, f);
	jv_free(properties);
	jv_free(push);
	return rc;
}

struct target *
eventhub_new(const struct target_use *use, struct fault *f)
{
	static const struct target_calls calls = { eventhub_prepare,
		eventhub_send, eventhub_joins, eventhub_show, eventhub_drop,
		eventhub_free };
	struct eventhub *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	h->target.calls = &calls;
	h->target.in_flight = IN_FLIGHT;
	h->target.connects = true;
	h->loop = use->loop;
	h->name = use->name;
	ev_timer_init(&h->soon, on_soon, 0, 0);
	h->soon.data = h;
	if (set_up(h, use, f) == 0)
		return &h->target;
	eventhub_free(&h->target);
	return NULL;
}
