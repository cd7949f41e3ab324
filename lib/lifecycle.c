/* what becomes of clients and their sessions, as CloudEvents */
#include "lifecycle.h"

#include <string.h>

#include "changes.h"
#include "clock.h"
#include "event.h"

#define NAME(s) s, sizeof(s) - 1

#define TYPE "Microsoft.EventGrid."
#define CONNECTED "MQTTClientSessionConnected"
#define DISCONNECTED "MQTTClientSessionDisconnected"
#define UPDATED "MQTTClientCreatedOrUpdated"
#define DELETED "MQTTClientDeleted"

#define CLIENTS "clients/"

/* An event while it is made. */
struct making {
	const struct lifecycle *of;
	const struct json *json; /* of the line */
	struct buf *out;
	size_t before; /* bytes of `out` that are not ours */
};

static int
wrong(struct fault *f, const char *name)
{
	return fault_set(f, FAULT_BAD_REQUEST, "\"%s\" is missing, or not what "
	    "it should be", name);
}

/* A member of that type; 0 and a fault. */
static uint32_t
need(const struct json *js, uint32_t obj, const char *name, size_t len,
    enum json_type type, struct fault *f)
{
	uint32_t t = json_member(js, obj, name, len);

	if (t != 0 && js->tok[t].type == type)
		return t;
	wrong(f, name);
	return 0;
}

/* A string that is a time, without escapes. */
static uint32_t
need_time(const struct json *js, uint32_t obj, const char *name, size_t len,
    struct fault *f)
{
	uint32_t t = need(js, obj, name, len, JSON_STRING, f);
	int64_t us;

	if (t == 0 || clock_parse(js->text + js->tok[t].start + 1,
	    js->tok[t].end - js->tok[t].start - 2, &us) == 0)
		return t;
	wrong(f, name);
	return 0;
}

static void
add_token(struct making *m, uint32_t t)
{
	const struct json_token *tok = &m->json->tok[t];

	buf_add(m->out, m->json->text + tok->start, tok->end - tok->start);
}

/* The characters of a string as it is written there, for an attribute. */
static void
add_clean(struct making *m, uint32_t t)
{
	struct json_chars chars;
	const char *from;
	int32_t c;

	json_chars(m->json, t, &chars);
	while (from = chars.p, (c = json_next(&chars)) != -1)
		if (event_is_char(c))
			buf_add(m->out, from, (size_t)(chars.p - from));
		else
			buf_str(m->out, EVENT_REPLACEMENT);
}

/* Up to the subject, which is open. */
static void
begin(struct making *m, const char *type, const char *id, uint32_t time)
{
	m->before = m->out->len;
	buf_str(m->out, "{\"specversion\":\"1.0\",\"type\":\"" TYPE);
	buf_str(m->out, type);
	buf_str(m->out, "\",\"source\":\"");
	/* resource groups have names with all kinds of characters in them */
	buf_uri(m->out, m->of->resource_id, "/()!*',;:@&=+$");
	buf_str(m->out, "\",\"id\":\"");
	buf_str(m->out, id);
	buf_str(m->out, "\",\"time\":");
	add_token(m, time);
	buf_str(m->out, ",\"subject\":\"" CLIENTS);
}

/* The subject is closed; the first member of data. */
static void
begin_data(struct making *m)
{
	buf_str(m->out, "\",\"datacontenttype\":\"application/json\","
	    "\"data\":{\"namespaceName\":");
	buf_json(m->out, m->of->namespace, strlen(m->of->namespace));
}

/* ,"name":value as it stands in the line */
static void
add_member(struct making *m, const char *name, uint32_t t)
{
	buf_str(m->out, ",\"");
	buf_str(m->out, name);
	buf_str(m->out, "\":");
	add_token(m, t);
}

static int
finish(struct making *m, struct fault *f)
{
	buf_str(m->out, "}}\n");
	if (!m->out->bad)
		return 0;
	m->out->len = m->before;
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

void
lifecycle_record(struct buf *b, int64_t time, const char *name,
    const char *session, uint64_t sequence, const char *reason)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, time);
	buf_str(b, "{\"tst\":\"");
	buf_str(b, text);
	buf_str(b, reason == NULL ? "\",\"event\":\"" CONNECTED "\"" :
	    "\",\"event\":\"" DISCONNECTED "\"");
	buf_str(b, ",\"name\":");
	buf_json(b, name, strlen(name));
	buf_str(b, ",\"session\":");
	buf_json(b, session, strlen(session));
	buf_str(b, ",\"sequenceNumber\":");
	buf_u64(b, sequence);
	if (reason != NULL) {
		buf_str(b, ",\"disconnectionReason\":\"");
		buf_str(b, reason);
		buf_str(b, "\"");
	}
	buf_str(b, "}\n");
}

int
lifecycle_session(struct lifecycle *lc, const char *line, size_t len,
    const char *id, struct buf *b, struct fault *f)
{
	const struct json *js = &lc->json;
	struct making m = { .of = lc, .json = js, .out = b };
	uint32_t event, time, name, session, sequence, reason = 0;
	int64_t number;
	bool ended;

	if (json_scan(&lc->json, line, len, f) == -1)
		return -1;
	if ((event = need(js, 0, NAME("event"), JSON_STRING, f)) == 0 ||
	    (time = need_time(js, 0, NAME("tst"), f)) == 0 ||
	    (name = need(js, 0, NAME("name"), JSON_STRING, f)) == 0 ||
	    (session = need(js, 0, NAME("session"), JSON_STRING, f)) == 0 ||
	    (sequence = need(js, 0, NAME("sequenceNumber"), JSON_NUMBER,
	    f)) == 0)
		return -1;
	ended = json_is(js, event, NAME(DISCONNECTED));
	if (!ended && !json_is(js, event, NAME(CONNECTED)))
		return wrong(f, "event");
	if (!json_int64(js, sequence, &number) || number < 0)
		return wrong(f, "sequenceNumber");
	if (ended && (reason = need(js, 0, NAME("disconnectionReason"),
	    JSON_STRING, f)) == 0)
		return -1;
	begin(&m, ended ? DISCONNECTED : CONNECTED, id, time);
	add_clean(&m, name);
	buf_str(b, "/sessions/");
	add_clean(&m, session);
	begin_data(&m);
	add_member(&m, "clientAuthenticationName", name);
	add_member(&m, "clientSessionName", session);
	add_member(&m, "sequenceNumber", sequence);
	if (ended)
		add_member(&m, "disconnectionReason", reason);
	return finish(&m, f);
}

/* The path of a client is as plain as its name. */
static void
begin_client(struct making *m, const struct change *c, const char *type,
    const char *id, uint32_t time)
{
	const char *name = c->path + strlen(CLIENTS);
	size_t len = c->path_len - strlen(CLIENTS);

	begin(m, type, id, time);
	buf_add(m->out, name, len);
	begin_data(m);
	buf_str(m->out, ",\"clientName\":\"");
	buf_add(m->out, name, len);
	buf_str(m->out, "\"");
}

static int
updated(struct making *m, const struct change *c, const char *id,
    uint32_t time, struct fault *f)
{
	const struct json *js = m->json;
	uint32_t resource = json_member(js, 0, NAME("resource"));
	uint32_t properties, system, created, modified, name, state, t;

	if ((properties = need(js, resource, NAME("properties"), JSON_OBJECT,
	    f)) == 0 ||
	    (system = need(js, resource, NAME("systemData"), JSON_OBJECT,
	    f)) == 0 ||
	    (created = need_time(js, system, NAME("createdAt"), f)) == 0 ||
	    (modified = need_time(js, system, NAME("lastModifiedAt"),
	    f)) == 0 ||
	    (name = need(js, properties, NAME("authenticationName"),
	    JSON_STRING, f)) == 0 ||
	    (state = need(js, properties, NAME("state"), JSON_STRING, f)) == 0)
		return -1;
	begin_client(m, c, UPDATED, id, time);
	add_member(m, "clientAuthenticationName", name);
	add_member(m, "createdOn", created);
	add_member(m, "updatedOn", modified);
	add_member(m, "state", state);
	t = json_member(js, properties, NAME("attributes"));
	if (t != 0 && js->tok[t].type == JSON_OBJECT)
		add_member(m, "attributes", t);
	else
		buf_str(m->out, ",\"attributes\":{}");
	return finish(m, f);
}

static int
deleted(struct making *m, const struct change *c, const char *id,
    uint32_t time, struct fault *f)
{
	uint32_t name = need(m->json, 0, NAME("authenticationName"),
	    JSON_STRING, f);

	if (name == 0)
		return -1;
	begin_client(m, c, DELETED, id, time);
	add_member(m, "clientAuthenticationName", name);
	return finish(m, f);
}

int
lifecycle_change(struct lifecycle *lc, const char *line, size_t len,
    const char *id, struct buf *b, struct fault *f)
{
	struct making m = { .of = lc, .json = &lc->json, .out = b };
	struct change c;
	uint32_t time;
	int rc;

	if (!changes_parse(&lc->json, line, len, &c))
		return fault_set(f, FAULT_BAD_REQUEST, "no line of changes");
	if (c.path_len <= strlen(CLIENTS) ||
	    memcmp(c.path, CLIENTS, strlen(CLIENTS)) != 0)
		return 0;
	if ((time = need_time(m.json, 0, NAME("time"), f)) == 0)
		return -1;
	rc = c.resource != NULL ? updated(&m, &c, id, time, f) :
	    deleted(&m, &c, id, time, f);
	return rc == 0 ? 1 : -1;
}
