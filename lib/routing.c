#include "routing.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "event.h"
#include "jq.h"
#include "routing_payload.h"

#define NAME(s) s, sizeof(s) - 1

struct enrichment {
	char *text;     /* ,"key": and the value of a static one */
	size_t len;
	const char *name; /* the key, within the text */
	size_t name_len;
	bool dynamic;
	struct enrich enrich;
	char *key;      /* of the expression */
};

struct routing {
	bool azure;
	char *source; /* a JSON string */
	struct enrichment enrichments[ENRICH_MAX];
	size_t nenrichments;
	struct routing_counts counts;

	struct routing_scratch scratch;
	struct buf value;   /* scratch: of an enrichment */
	struct event event; /* scratch: the one that comes or is made */
};

/* ---- attributes ---- */

/* Those of a message; of how many the value was cut. */
static unsigned
add_enrichments(struct routing *r, const struct message *m, struct buf *b)
{
	unsigned cut = 0;

	for (size_t i = 0; i < r->nenrichments; i++) {
		const struct enrichment *e = &r->enrichments[i];

		buf_add(b, e->text, e->len);
		if (e->dynamic)
			cut += enrich_value(&e->enrich, &m->from, &r->value, b);
	}
	return cut;
}

/* datacontenttype: the message's, or what consumers would not guess. */
static void
add_type(const struct routing *r, const struct message *m,
    const struct payload *p, struct buf *b)
{
	static const char *const types[] = {
		[FORM_NONE] = NULL,
		[FORM_JSON] = "\"application/json\"",
		[FORM_TEXT] = "\"text/plain\"",
		[FORM_BYTES] = "\"application/octet-stream\"",
	};
	const char *type = types[p->form];

	if (m->type.len == 0 && p->form == FORM_TEXT && r->azure)
		type = NULL;
	if (m->type.len == 0 && type == NULL)
		return;
	buf_add(b, NAME(",\"datacontenttype\":"));
	if (m->type.len > 0)
		event_add_token(b, m->js, m->content_type);
	else
		buf_str(b, type);
}

/* A time that mosquitto_sub prints: the local one, a 'Z' that does not belong
 * there, and the zone without its colon. */
static bool
foreign_time(struct mqtt_str s, int64_t *us)
{
	char text[64];
	size_t n = s.len;

	if (n < 6 || n > sizeof(text) - 1 ||
	    (s.p[n - 5] != '+' && s.p[n - 5] != '-'))
		return false;
	n -= 5;
	if (s.p[n - 1] == 'Z')
		n--;
	memcpy(text, s.p, n);
	memcpy(text + n, s.p + s.len - 5, 3);
	text[n + 3] = ':';
	memcpy(text + n + 4, s.p + s.len - 2, 2);
	return clock_parse(text, n + 6, us) == 0;
}

/* Older ones print seconds. */
static bool
seconds(const struct json *js, uint32_t t, int64_t *us)
{
	return js->tok[t].type == JSON_NUMBER && json_int64(js, t, us) &&
	    !__builtin_mul_overflow(*us, CLOCK_SECOND, us);
}

static void
add_time(const struct message *m, int64_t now, struct buf *b)
{
	struct mqtt_str s = routing_token(m->js, m->time);
	char text[CLOCK_TEXT + 1];
	int64_t us;

	buf_add(b, NAME(",\"time\":"));
	if (m->time != 0 && m->js->tok[m->time].type == JSON_STRING &&
	    !m->js->tok[m->time].escaped) {
		s.p++;
		s.len -= 2;
		if (clock_parse(s.p, s.len, &us) == 0) {
			if (s.p[s.len - 1] == 'Z') {
				buf_add(b, s.p - 1, s.len + 2);
				return;
			}
			now = us;
		} else if (foreign_time(s, &us)) {
			now = us;
		}
	} else if (m->time != 0 && seconds(m->js, m->time, &us)) {
		now = us;
	}
	clock_format(text, now);
	buf_add(b, "\"", 1);
	buf_add(b, text, CLOCK_TEXT);
	buf_add(b, "\"", 1);
}

/* ---- messages that are CloudEvents already ---- */

/* Does an enrichment take the place of this member? */
static bool
is_replaced(const struct routing *r, const struct json *js, uint32_t name)
{
	for (size_t i = 0; i < r->nenrichments; i++)
		if (json_is(js, name, r->enrichments[i].name,
		    r->enrichments[i].name_len))
			return true;
	return false;
}

/* The event that was parsed, with the enrichments; false when these are too
 * many for it. */
static bool
enrich_event(struct routing *r, const struct message *m, struct buf *b,
    unsigned *cut)
{
	const struct json *js = &r->event.json;
	const struct json_token *tok = js->tok;
	size_t before = b->len, members = r->nenrichments;

	for (uint32_t t = 1; t < tok[0].next; t = tok[t + 1].next) {
		if (is_replaced(r, js, t))
			continue;
		buf_add(b, ",", 1);
		routing_add_json(b, (struct mqtt_str){ js->text + tok[t].start,
			tok[t + 1].end - tok[t].start });
		members++;
	}
	*cut = add_enrichments(r, m, b);
	if (!b->bad)
		buf_data(b)[before] = '{';
	buf_add(b, "}", 1);
	return members <= EVENT_ATTRIBUTES;
}

/* Structured mode: the payload is the event. */
static bool
is_structured(const struct message *m)
{
	return routing_is(m->type, NAME("application/cloudevents")) ||
	    routing_is(m->type, NAME("application/cloudevents+json"));
}

static bool
add_structured(struct routing *r, const struct message *m,
    const struct payload *p, struct buf *b, unsigned *cut)
{
	if (event_parse(&r->event, p->bytes.p, p->bytes.len, NULL) == -1)
		return false;
	if (r->nenrichments > 0)
		return enrich_event(r, m, b, cut);
	routing_add_json(b, routing_token(&r->event.json, 0));
	return true;
}

/* Binary mode: user properties are the attributes. */
static bool
is_binary(const struct message *m)
{
	static const struct {
		const char *name;
		size_t len;
	} needed[] = { { NAME("specversion") }, { NAME("id") },
		{ NAME("source") }, { NAME("type") } };
	uint32_t at = 0, name, value;
	unsigned found = 0;

	while (enrich_next_user(&m->from, &at, &name, &value))
		for (unsigned i = 0; i < 4; i++)
			if (json_is(m->js, name, needed[i].name,
			    needed[i].len))
				found |= 1u << i;
	return found == 0xf;
}

/* The attributes that were added. */
struct names {
	struct mqtt_str name[EVENT_ATTRIBUTES];
	size_t n;
};

static bool
has_name(const struct names *names, struct mqtt_str s)
{
	for (size_t i = 0; i < names->n; i++)
		if (names->name[i].len == s.len &&
		    memcmp(names->name[i].p, s.p, s.len) == 0)
			return true;
	return false;
}

/* A user property that is an attribute: the first of its name. */
static bool
add_user(struct routing *r, struct message *m, struct names *names,
    uint32_t name, uint32_t value, struct buf *b)
{
	struct mqtt_str s = routing_token(m->js, name);

	s.p++;
	s.len -= 2;
	/* an escape is in no attribute's name, unless to hide it */
	if (!event_is_name(s.p, s.len) || routing_is(s, NAME("data")) ||
	    is_replaced(r, m->js, name) || has_name(names, s))
		return true;
	if (routing_is(s, NAME("datacontenttype"))) {
		if (m->type.len == 0) {
			m->content_type = value;
			routing_read_type(&r->scratch, m);
		}
		return true;
	}
	if (names->n == EVENT_ATTRIBUTES)
		return false;
	names->name[names->n++] = s;
	buf_add(b, ",\"", 2);
	buf_add(b, s.p, s.len);
	buf_add(b, "\":", 2);
	event_add_token(b, m->js, value);
	return true;
}

static bool
add_binary(struct routing *r, struct message m, const struct payload *p,
    struct buf *b, unsigned *cut)
{
	struct names names = { .n = 0 };
	uint32_t at = 0, name, value;
	size_t before = b->len;

	while (enrich_next_user(&m.from, &at, &name, &value))
		if (!add_user(r, &m, &names, name, value, b))
			return false;
	add_type(r, &m, p, b);
	*cut = add_enrichments(r, &m, b);
	routing_payload_add(b, m.js, p);
	buf_add(b, "}", 1);
	if (b->bad)
		return true;
	buf_data(b)[before] = '{';
	return b->len - before > EVENT_MAX || event_parse(&r->event,
	    buf_data(b) + before, b->len - before, NULL) == 0;
}

/* ---- events ---- */

static unsigned
add_wrapped(struct routing *r, const struct message *m,
    const struct payload *p, const char *id, int64_t now, struct buf *b)
{
	unsigned cut;

	buf_add(b, NAME("{\"specversion\":\"1.0\",\"id\":\""));
	buf_str(b, id);
	buf_add(b, NAME("\",\"source\":"));
	buf_str(b, r->source);
	buf_add(b, NAME(",\"type\":\"MQTT.EventPublished\",\"subject\":"));
	event_add_token(b, m->js, m->from.topic);
	add_time(m, now, b);
	add_type(r, m, p, b);
	cut = add_enrichments(r, m, b);
	routing_payload_add(b, m->js, p);
	buf_add(b, "}", 1);
	return cut;
}

/* In whichever way it can be; the number of enrichments that were cut. */
static unsigned
add_event(struct routing *r, const struct message *m, struct payload *p,
    const char *id, int64_t now, struct buf *b)
{
	bool structured = is_structured(m);
	size_t before = b->len;
	unsigned cut = 0;

	if (structured && add_structured(r, m, p, b, &cut))
		return cut;
	routing_payload_shape(&r->scratch, m, p, r->azure);
	if (!structured && is_binary(m)) {
		if (add_binary(r, *m, p, b, &cut))
			return cut;
		structured = true;
	}
	b->len = before;
	r->counts.wrapped += structured;
	return add_wrapped(r, m, p, id, now, b);
}

/* ---- the namespace ---- */

static int
add_enrichment(struct routing *r, const char *key, const char *value,
    bool dynamic, struct fault *f)
{
	struct enrichment *e = &r->enrichments[r->nenrichments];
	struct buf b = { 0 };

	if (r->nenrichments == ENRICH_MAX)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "more than %d enrichments", ENRICH_MAX);
	if (key == NULL || value == NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "an enrichment without key or value");
	if (enrich_check_key(key, f) == -1 ||
	    (dynamic && enrich_parse(&e->enrich, value, f) == -1))
		return -1;
	buf_printf(&b, ",\"%s\":", key);
	if (!dynamic)
		event_add_text(&b, value, strlen(value));
	e->text = b.bad ? NULL : strndup(buf_data(&b), b.len);
	e->key = malloc(e->enrich.key_len + 1);
	buf_free(&b);
	r->nenrichments++;
	if (e->text == NULL || e->key == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	e->len = strlen(e->text);
	e->name = e->text + 2;
	e->name_len = strlen(key);
	e->dynamic = dynamic;
	enrich_unescape(&e->enrich, e->key);
	return 0;
}

/* A list of them. */
static int
add_list(struct routing *r, jv namespace, const char *path, bool dynamic,
    struct fault *f)
{
	jv list = jq_get(namespace, path);
	int rc = 0;

	if (jv_get_kind(list) == JV_KIND_ARRAY) {
		jv_array_foreach(list, i, one) {
			if (rc == 0)
				rc = add_enrichment(r, jq_str(one, "key"),
				    jq_str(one, "value"), dynamic, f);
			jv_free(one);
		}
	}
	jv_free(list);
	return rc;
}

/* The name as a JSON string; it is what an event's source may be. */
static int
set_source(struct routing *r, const char *name, struct fault *f)
{
	struct buf b = { 0 };
	size_t before;
	int rc;

	buf_str(&b, "{\"specversion\":\"1.0\",\"id\":\"1\",\"type\":\"t\","
	    "\"source\":");
	before = b.len;
	buf_json(&b, name, strlen(name));
	if (!b.bad)
		r->source = strndup(buf_data(&b) + before, b.len - before);
	buf_str(&b, "}");
	if (b.bad || r->source == NULL)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	else
		rc = event_parse(&r->event, buf_data(&b), b.len, f);
	buf_free(&b);
	return rc;
}

struct routing *
routing_new(jv namespace, struct fault *f)
{
	static const char path[] =
	    "properties.topicSpacesConfiguration.routingEnrichments";
	const char *name = jq_str(namespace, "name");
	const char *profile = jq_str(namespace, "properties.profile");
	struct routing *r = calloc(1, sizeof(*r));
	jv lists = jq_get(namespace, path);
	int rc = -1;

	if (r == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	} else {
		r->azure = profile != NULL && strcmp(profile, "Azure") == 0;
		rc = set_source(r, name != NULL ? name : "", f);
	}
	if (rc == 0)
		rc = add_list(r, lists, "static", false, f);
	if (rc == 0)
		rc = add_list(r, lists, "dynamic", true, f);
	jv_free(lists);
	jv_free(namespace);
	if (rc == 0 || r == NULL)
		return r;
	routing_free(r);
	return NULL;
}

void
routing_free(struct routing *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->nenrichments; i++) {
		free(r->enrichments[i].text);
		free(r->enrichments[i].key);
	}
	free(r->source);
	routing_scratch_free(&r->scratch);
	buf_free(&r->value);
	event_free(&r->event);
	free(r);
}

int
routing_event(struct routing *r, const char *text, size_t n, const char *id,
    int64_t now, struct buf *b, struct fault *f)
{
	struct routing_scratch *s = &r->scratch;
	struct routing_counts counts = r->counts;
	struct message m;
	struct payload p;
	size_t before = b->len;
	unsigned cut;

	if (routing_read(s, text, n, &m, f) == -1 ||
	    routing_payload_read(s, &m, &p, f) == -1)
		return -1;
	cut = add_event(r, &m, &p, id, now, b);
	if (p.form == FORM_TEXT && b->len - before > EVENT_MAX) {
		/* six bytes for one, where base64 has four for three */
		p.too_long = true;
		b->len = before;
		r->counts = counts;
		cut = add_event(r, &m, &p, id, now, b);
	}
	buf_add(b, "\n", 1);
	if (b->bad || s->text.bad || s->type.bad) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
	} else if (b->len - before - 1 > EVENT_MAX) {
		fault_set(f, FAULT_TOO_LARGE, "its event has %zu bytes; an "
		    "event may have at most %d", b->len - before - 1,
		    EVENT_MAX);
	} else {
		r->counts.truncated += cut;
		return 0;
	}
	b->len = before;
	return -1;
}

struct routing_counts
routing_counts(const struct routing *r)
{
	return r->counts;
}
