/* an event as a record of Kafka */
#include "kafka_record.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "binding.h"
#include "jq.h"
#include "uuid.h"

#define KEY "PartitionKey" /* the mapping that is the record's key */
#define KEY_EXTENSION "partitionkey"
#define DATA_KEPT 65536

int
kafka_shape_init(struct kafka_shape *s, jv subscription, const char *name,
    struct fault *f)
{
	jv properties = target_properties(subscription);
	jv list = jq_get(properties, "deliveryAttributeMappings");

	*s = (struct kafka_shape){
		.mappings = mappings_new(list, f),
		.binary = target_binary(subscription),
		.name = name,
	};
	jv_free(list);
	jv_free(properties);
	return s->mappings == NULL ? -1 : 0;
}

void
kafka_shape_free(struct kafka_shape *s)
{
	if (s->mappings != NULL)
		mappings_free(s->mappings);
	event_free(&s->event);
}

/* Most events can go as they are. A name may be written with escapes. */
static bool
needs_parsing(const struct kafka_shape *s, const struct item *item)
{
	return s->binary || mappings_dynamic(s->mappings) ||
	    memchr(item->text, '\\', item->len) != NULL ||
	    memmem(item->text, item->len, KEY_EXTENSION,
	    strlen(KEY_EXTENSION)) != NULL;
}

static int
take_key(const char *name, const char *value, bool secret, void *arg)
{
	(void)secret;
	if (strcasecmp(name, KEY) == 0)
		buf_str(arg, value);
	return 0;
}

static bool
has_data(const struct event *e)
{
	return e->data != 0 || e->data_base64 != 0;
}

static void
take_value(struct kafka_record *r, const struct kafka_shape *s,
    const struct item *item)
{
	r->value = item->text;
	r->len = item->len;
	if (!s->binary)
		return;
	binding_data(&s->event, &r->data);
	r->len = r->data.len;
	r->value = r->len > 0 ? buf_data(&r->data) : "";
	if (!has_data(&s->event))
		r->value = NULL;
}

int
kafka_record_make(struct kafka_record *r, struct kafka_shape *s,
    const struct item *item, struct fault *f)
{
	bool parsed = needs_parsing(s, item);

	buf_reset(&r->key, MAPPINGS_VALUE);
	buf_reset(&r->data, DATA_KEPT);
	if (parsed && event_parse(&s->event, item->text, item->len, f) == -1)
		return -1;
	if (mappings_each(s->mappings, parsed ? &s->event : NULL, take_key,
	    &r->key) != 0)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (r->key.len == 0 && parsed)
		binding_field(&s->event, KEY_EXTENSION, &r->key);
	take_value(r, s, item);
	return r->key.bad || r->data.bad ?
	    fault_set(f, FAULT_INTERNAL, "out of memory") : 0;
}

/* ---- headers ---- */

struct sink {
	kafka_header *fn;
	void *arg;
};

static int
pass_mapping(const char *name, const char *value, bool secret, void *arg)
{
	struct sink *sink = arg;

	return strcasecmp(name, KEY) == 0 ? 0 :
	    sink->fn(name, value, strlen(value), secret, sink->arg);
}

static int
pass_attribute(const char *name, const char *value, size_t len, void *arg)
{
	struct sink *sink = arg;

	return sink->fn(name, value, len, false, sink->arg);
}

static int
pass_text(struct sink *sink, const char *name, const char *value)
{
	return pass_attribute(name, value, strlen(value), sink);
}

static int
pass_content(const struct kafka_shape *s, struct sink *sink)
{
	struct buf type = { 0 };
	int rc = 0;

	if (!s->binary)
		return pass_text(sink, "content-type", BINDING_STRUCTURED);
	binding_type(&s->event, &type);
	if (type.bad)
		rc = -1;
	else if (type.len > 0)
		rc = pass_attribute("content-type", buf_data(&type), type.len,
		    sink);
	buf_free(&type);
	return rc != 0 ? rc : binding_kafka(&s->event, pass_attribute, sink);
}

/* What the service says beside each event. */
static int
pass_system(struct kafka_shape *s, const struct item *item, struct sink *sink)
{
	char count[16], id[UUID_SIZE];
	int rc;

	snprintf(count, sizeof(count), "%u", item->count);
	uuid_next(id);
	if ((rc = pass_text(sink, "aeg-subscription-name", s->name)) != 0 ||
	    (rc = pass_text(sink, "aeg-delivery-count", count)) != 0 ||
	    (rc = pass_text(sink, "aeg-output-event-id", id)) != 0 ||
	    (rc = pass_text(sink, "aeg-compatibility-mode-enabled",
	    "false")) != 0)
		return rc;
	return pass_text(sink, "aeg-metadata-version", "1.0");
}

int
kafka_record_headers(struct kafka_shape *s, const struct item *item,
    kafka_header *fn, void *arg)
{
	struct sink sink = { fn, arg };
	int rc = pass_content(s, &sink);

	if (rc == 0)
		rc = pass_system(s, item, &sink);
	if (rc == 0)
		rc = mappings_each(s->mappings, mappings_dynamic(s->mappings) ?
		    &s->event : NULL, pass_mapping, &sink);
	return rc;
}
