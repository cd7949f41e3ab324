#include <string.h>

#include "clock.h"
#include "plan.h"
#include "quote.h"

/* ---- out ---- */

static void
add_string(struct buf *b, const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	buf_printf(b, ",\"%s\":", name);
	buf_json(b, value, strlen(value));
}

/* A member of the event as it stands there. */
static void
add_token(struct buf *b, const char *name, const struct json *j, uint32_t t)
{
	if (t == 0)
		return;
	buf_printf(b, ",\"%s\":", name);
	buf_add(b, j->text + j->tok[t].start, j->tok[t].end - j->tok[t].start);
}

static void
add_time(struct buf *b, const char *name, int64_t time)
{
	char text[CLOCK_TEXT + 1];

	if (time == 0)
		return;
	clock_format(text, time);
	add_string(b, name, text);
}

static void
add_key(struct buf *b, const uint8_t key[LETTER_KEY])
{
	char text[LEDGER_KEY_TEXT + 1];

	ledger_key_format(text, key);
	add_string(b, "key", text);
}

void
plan_add(struct buf *b, const struct decision *d, const struct letter *letter,
    const struct letter_place *place)
{
	buf_printf(b, "{\"action\":\"%s\"", action_name(d->action));
	add_string(b, "why", d->why);
	add_string(b, "container", container_name(place->container));
	add_string(b, "blob", place->blob);
	buf_printf(b, ",\"line\":%llu", (unsigned long long)letter->number);
	add_key(b, d->key);
	add_string(b, "topic", d->topic);
	add_string(b, "subscription", d->subscription);
	add_string(b, "to", d->to_topic ? "topic" : "subscription");
	add_token(b, "id", letter->json, letter->id);
	add_string(b, "reason", letter->reason_text);
	add_string(b, "result", letter->result);
	if (letter->attempts != -1)
		buf_printf(b, ",\"attempts\":%lld",
		    (long long)letter->attempts);
	add_time(b, "publishTime", letter->published);
	add_time(b, "deadLetterTime", letter_time(letter));
	add_token(b, "type", letter->json, letter->type);
	add_token(b, "subject", letter->json, letter->subject);
	buf_str(b, "}\n");
}

/* ---- in ---- */

static int
bad(struct fault *f, const char *words)
{
	return fault_set(f, FAULT_BAD_REQUEST, "%s", words);
}

static uint32_t
member(const struct plan_reader *p, const char *name, enum json_type type)
{
	uint32_t t = json_member(&p->json, 0, name, strlen(name));

	return t != 0 && p->json.tok[t].type == type ? t : 0;
}

/* Not empty, and without a NUL in it. */
static bool
take_string(const struct plan_reader *p, const char *name, struct buf *b)
{
	uint32_t t = member(p, name, JSON_STRING);

	buf_reset(b, BLOB_NAME);
	if (t == 0)
		return false;
	json_string(&p->json, t, b);
	buf_add(b, "", 1);
	return !b->bad && b->len > 1 &&
	    strlen(buf_data(b)) == b->len - 1;
}

static bool
take_key(struct plan_reader *p)
{
	uint32_t t = member(p, "key", JSON_STRING);
	const struct json_token *key = &p->json.tok[t];

	return t != 0 && key->end - key->start == LEDGER_KEY_TEXT + 2 &&
	    ledger_key_parse(p->json.text + key->start + 1, p->key);
}

static int
take_to(struct plan_reader *p, struct fault *f)
{
	uint32_t t = json_member(&p->json, 0, "to", 2);

	p->wish.to_topic = t != 0 && json_is(&p->json, t, "topic", 5);
	if (t != 0 && !p->wish.to_topic &&
	    !json_is(&p->json, t, "subscription", 12))
		return bad(f, "\"to\" must be subscription or topic");
	return 0;
}

static int
take(struct plan_reader *p, struct fault *f)
{
	uint32_t t;
	int64_t line = 0;
	int action = -1;

	if (p->json.tok[0].type != JSON_OBJECT)
		return bad(f, "not a JSON object");
	if ((t = member(p, "action", JSON_STRING)) != 0)
		action = action_parse(&p->json, t);
	if (action == -1)
		return bad(f, "\"action\" must be rehydrate, hold, quarantine "
		    "or skip");
	p->wish.action = (enum action)action;
	if (!take_string(p, "container", &p->container))
		return bad(f, "\"container\" must be the name of one");
	if (!take_string(p, "blob", &p->blob) || p->blob.len > BLOB_NAME + 1)
		return bad(f, "\"blob\" must be the name of one");
	if (!take_key(p))
		return bad(f, "\"key\" must be 32 hexadecimal digits");
	if ((t = member(p, "line", JSON_NUMBER)) == 0 ||
	    !json_int64(&p->json, t, &line) || line < 1)
		return bad(f, "\"line\" must be a number");
	return take_to(p, f);
}

int
plan_next(struct plan_reader *p, struct fault *f)
{
	const char *text;
	struct fault why;
	size_t len;
	int rc;

	p->in.max = PLAN_LINE;
	do
		rc = line_next(&p->in, &text, &len);
	while (rc == 1 && len == 0);
	if (rc == -1)
		return fault_errno(f, FAULT_BAD_REQUEST, "line %llu",
		    (unsigned long long)p->in.number);
	if (rc == 0)
		return 0;
	p->bytes += len + 1;
	if (json_scan(&p->json, text, len, &why) == 0 && take(p, &why) == 0)
		return 1;
	return fault_set(f, why.code, "line %llu: %s",
	    (unsigned long long)p->in.number, why.text);
}

void
plan_free(struct plan_reader *p)
{
	line_free(&p->in);
	json_free(&p->json);
	buf_free(&p->container);
	buf_free(&p->blob);
}
