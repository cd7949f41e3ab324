/* events as messages of an event hub */
#include "hub_format.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "binding.h"
#include "jq.h"
#include "quote.h"
#include "utf8.h"
#include "uuid.h"

#define BATCH_TYPE "application/vnd.microsoft.servicebus.json"
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
add_properties(const struct hub_format *h, unsigned count,
    const struct event *ev, struct properties *p)
{
	char uuid[UUID_SIZE], number[16];

	snprintf(number, sizeof(number), "%u", count);
	uuid_next(uuid);
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
	struct hub_format *h = arg;

	if (strcasecmp(name, "PartitionKey") != 0)
		return 0;
	buf_str(&h->key, value);
	h->secret = secret;
	return 0;
}

/* The partition key of the event that is looked at; the service refuses longer
 * ones, so only their beginning counts. */
static void
read_key(struct hub_format *h)
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
read_data(struct hub_format *h, const struct item *item, struct buf *type)
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
look_at(struct hub_format *h, const struct item *item, struct fault *f)
{
	if (event_parse(&h->event, item->text, item->len, f) == -1)
		return -1;
	read_key(h);
	return 0;
}

/* ---- one event ---- */

static void
add_key(const struct hub_format *h, bool shown, struct buf *b)
{
	buf_str(b, "{\"PartitionKey\":");
	if (h->secret && shown)
		buf_str(b, "\"***\"");
	else
		buf_json(b, buf_data(&h->key), h->key.len);
	buf_str(b, "}");
}

static void
add_key_header(const struct hub_format *h, struct properties *p)
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
make_single(struct hub_format *h, const struct item *item,
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

/* Text is a string, unless base64 of it is much shorter: so it is at most a
 * third longer than the text, whatever is in it. */
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
add_element(struct hub_format *h, const struct item *item, bool shown,
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
make_batch(struct hub_format *h, const struct attempt *a, bool shown,
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

/* ---- */

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

/* Does an event go alone, because of what its mappings take from it? */
static bool
is_large(struct hub_format *h)
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

int
hub_format_init(struct hub_format *h, const char *name, bool binary, jv list,
    struct fault *f)
{
	*h = (struct hub_format){ .name = name, .binary = binary };
	if (mappings_check(list, MAPPINGS_TOKEN, f) == -1 ||
	    check_names(list, f) == -1)
		return -1;
	h->mappings = mappings_new(list, f);
	return h->mappings == NULL ? -1 : 0;
}

void
hub_format_free(struct hub_format *h)
{
	mappings_free(h->mappings);
	event_free(&h->event);
	buf_wipe(&h->mapped);
	buf_free(&h->data);
	buf_free(&h->key);
	buf_free(&h->first_key);
}

int
hub_format_limits(struct hub_format *h, unsigned *events, size_t *bytes,
    struct fault *f)
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
	*events = BATCH_EVENTS;
	while (*events > 1 && *events * element > BATCH_MAX / 2)
		*events /= 2;
	/* and a third more than the events have */
	*bytes = (BATCH_MAX - *events * element) / 4 * 3;
	return 0;
}

bool
hub_format_joins(struct hub_format *h, const struct item *first,
    const struct item *item)
{
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

int
hub_format_request(struct hub_format *h, const struct attempt *a, bool shown,
    struct http_request *q, struct fault *f)
{
	if (a->n == 1) {
		if (look_at(h, a->first, f) == -1)
			return -1;
		if (make_single(h, a->first, q))
			return 0;
	}
	return make_batch(h, a, shown, q, f);
}
