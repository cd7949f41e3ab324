#include "push.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "clock.h"
#include "jq.h"
#include "schema.h"
#include "standing.h"

/* What it says of each, beside the state. inFlight is topicd's: all that is
 * locked, be it held or on its way. */
static const char *const members[] = { "reason", "since", "by", "nextAttempt",
	"endpointType", "handshake", "held", "attempts", "delivered",
	"failures", "lastError" };
#define MEMBERS (sizeof(members) / sizeof(members[0]))

static jv
put(jv row, const char *name, jv value)
{
	return jv_object_set(row, jv_string(name), value);
}

bool
push_is(jv resource)
{
	const char *mode = jq_str(resource,
	    "properties.deliveryConfiguration.deliveryMode");

	return mode != NULL && strcmp(mode, "Push") == 0;
}

bool
push_is_row(jv row)
{
	return jv_object_has(jv_copy(row), jv_string("endpointType"));
}

static bool
state_is(jv row, const char *state)
{
	return strcmp(jq_str(row, "state"), state) == 0;
}

/* Our own states have a capital, and so have all that people see. */
static jv
titled(jv v)
{
	char word[32];

	if (jv_get_kind(v) != JV_KIND_STRING)
		return v;
	snprintf(word, sizeof(word), "%s", jv_string_value(v));
	word[0] = (char)toupper((unsigned char)word[0]);
	jv_free(v);
	return jv_string(word);
}

static jv
titled_handshake(jv v)
{
	return jv_get_kind(v) != JV_KIND_OBJECT ? v :
	    put(v, "state", titled(jq_get(v, "state")));
}

static jv
handshake(const struct standing *s)
{
	struct buf b = { 0 };
	jv v;

	standing_show(s, &b);
	v = b.bad ? jv_null() : jv_parse_sized(buf_data(&b), (int)b.len);
	buf_free(&b);
	return titled_handshake(v);
}

/* What would be known if egns-push did not run. */
static jv
add_standing(jv row, const struct spool *spool, const char *uid)
{
	char since[CLOCK_TEXT + 1];
	struct standing s;
	struct fault f;

	if (standing_load(&s, spool->fd, jq_str(row, "topic"),
	    jq_str(row, "subscription"), uid, &f) == -1)
		return put(row, "lastError", jv_string(f.text));
	row = put(row, "handshake", handshake(&s));
	if (s.hold.since == 0)
		return row;
	clock_format(since, s.hold.since);
	row = put(row, "since", jv_string(since));
	row = put(row, "by", jv_string(s.hold.by));
	return put(row, "reason", jv_string(s.hold.reason));
}

jv
push_row(jv row, const struct spool *spool, jv resource)
{
	const char *uid = jq_str(resource, "uid");
	jv destination = schema_destination(resource);

	for (size_t i = 0; i < MEMBERS; i++)
		row = put(row, members[i], jv_null());
	row = put(row, "endpointType", jq_get(destination, "endpointType"));
	jv_free(destination);
	return add_standing(row, spool, uid == NULL ? "" : uid);
}

jv
push_add(jv row, jv line)
{
	for (size_t i = 0; i < MEMBERS; i++)
		row = put(row, members[i], jq_get(line, members[i]));
	row = put(row, "handshake", titled_handshake(jq_get(row, "handshake")));
	if (state_is(row, "Active"))
		row = put(row, "state", titled(jq_get(line, "state")));
	jv_free(line);
	return row;
}

jv
push_end(jv row, const char *state, const char *why)
{
	jv attempts = jq_get(row, "attempts");
	bool told = jv_get_kind(attempts) == JV_KIND_NUMBER;
	const char *reason = jq_str(row, "reason");
	jv words;

	jv_free(attempts);
	if (told || !state_is(row, "Active"))
		return row;
	row = put(row, "state", jv_string(jq_str(row, "since") != NULL ?
	    "OnHold" : state));
	words = jv_string_fmt("%s%s%s", reason == NULL ? "" : reason,
	    reason == NULL || *reason == '\0' ? "" : "; ", why);
	return put(row, "reason", words);
}

jv
push_words(jv line)
{
	static const char *const more[][2] = { { "by", "; by " },
		{ "since", "; since " }, { "nextAttempt", "; next attempt " } };
	const char *s = jq_str(line, "reason");
	struct buf b = { 0 };
	jv words;

	buf_str(&b, s == NULL ? "" : s);
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++)
		if ((s = jq_str(line, more[i][0])) != NULL && *s != '\0')
			buf_printf(&b, "%s%s", more[i][1] + (b.len > 0 ? 0 : 2),
			    s);
	words = jv_string_sized(b.len > 0 ? buf_data(&b) : "", (int)b.len);
	buf_free(&b);
	return words;
}

static void
add_number(struct buf *b, jv row, const char *name)
{
	jv n = jq_get(row, name);

	if (jv_get_kind(n) == JV_KIND_NUMBER)
		buf_printf(b, ", %s %.0f", name, jv_number_value(n));
	jv_free(n);
}

/* "WebHook, handshake Granted, attempts 12, delivered 9, Busy 3, ..." */
static jv
delivery(jv row)
{
	const char *type = jq_str(row, "endpointType");
	const char *state = jq_str(row, "handshake.state");
	const char *error = jq_str(row, "lastError");
	jv failures = jq_get(row, "failures"), words;
	struct buf b = { 0 };

	buf_str(&b, type == NULL ? "" : type);
	if (state != NULL)
		buf_printf(&b, ", handshake %s", state);
	add_number(&b, row, "attempts");
	add_number(&b, row, "delivered");
	if (jv_get_kind(failures) == JV_KIND_OBJECT)
		jv_object_foreach(failures, name, n) {
			buf_printf(&b, ", %s %.0f", jv_string_value(name),
			    jv_number_value(n));
			jv_free(name);
			jv_free(n);
		}
	if (error != NULL)
		buf_printf(&b, ", last error: %s", error);
	words = jv_string_sized(b.len > 0 ? buf_data(&b) : "", (int)b.len);
	jv_free(failures);
	buf_free(&b);
	return words;
}

jv
push_cells(jv row)
{
	bool is = push_is_row(row);
	jv why = is ? push_words(row) : jv_null();
	jv how = is ? delivery(row) : jv_null();

	for (size_t i = 0; i < MEMBERS; i++)
		row = jv_object_delete(row, jv_string(members[i]));
	row = put(row, "reason", why);
	return put(row, "delivery", how);
}
