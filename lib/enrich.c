#include "enrich.h"

#include <stdbool.h>
#include <string.h>

#include "base64.h"
#include "event.h"
#include "quote.h"
#include "utf8.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define VALUE_BYTES (4 * ENRICH_VALUE) /* of so many characters in UTF-8 */
#define WORD LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "_"

int
enrich_check_key(const char *key, struct fault *f)
{
	static const char *const taken[] = {
		"specversion", "id", "time", "type", "source", "subject",
		"datacontenttype", "dataschema", "data", "data_base64"
	};
	char q[QUOTE_MAX];

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (strcmp(key, taken[i]) == 0)
			return fault_set(f, FAULT_BAD_REQUEST,
			    "'%s' is an attribute of every event", key);
	if (key[0] == '\0' || key[strspn(key, LOWER DIGITS)] != '\0')
		return fault_set(f, FAULT_BAD_REQUEST, "'%s': only a to z and "
		    "0 to 9", quote(q, key, strnlen(key, 40)));
	if (strncmp(key, "azsp", 4) == 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "'%s': must not begin with azsp", key);
	return 0;
}

static bool
take(const char **p, const char *token)
{
	size_t len = strlen(token);

	if (strncmp(*p, token, len) != 0)
		return false;
	*p += len;
	return true;
}

static bool
plain_key(struct enrich *e, const char **p, const char *alphabet)
{
	e->key = *p;
	e->key_len = strspn(*p, alphabet);
	*p += e->key_len;
	return e->key_len != 0;
}

/* In quotes, where \' and \\ stand for a quote and a backslash. */
static bool
quoted_key(struct enrich *e, const char **p)
{
	e->key = *p;
	*p += strcspn(*p, "'\\");
	while (**p == '\\') {
		if ((*p)[1] != '\'' && (*p)[1] != '\\')
			return false;
		*p += 2;
		*p += strcspn(*p, "'\\");
	}
	e->key_len = (size_t)(*p - e->key);
	return e->key_len != 0 && take(p, "']");
}

static bool
source(struct enrich *e, const char **p)
{
	static const struct {
		const char *words;
		enum enrich_source source;
	} table[] = {
		{ "client.authenticationName", ENRICH_NAME },
		{ "client.attributes.", ENRICH_ATTRIBUTE },
		{ "mqtt.message.userProperties", ENRICH_USER_PROPERTY },
		{ "mqtt.message.topicName", ENRICH_TOPIC },
		{ "mqtt.message.responseTopic", ENRICH_RESPONSE },
		{ "mqtt.message.correlationData", ENRICH_CORRELATION },
		{ "mqtt.message.pfi", ENRICH_PFI },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (!take(p, table[i].words))
			continue;
		e->source = table[i].source;
		if (e->source == ENRICH_ATTRIBUTE)
			return plain_key(e, p, WORD);
		if (e->source != ENRICH_USER_PROPERTY)
			return true;
		return take(p, "['") ? quoted_key(e, p) :
		    take(p, ".") && plain_key(e, p, WORD "-");
	}
	return false;
}

int
enrich_parse(struct enrich *e, const char *expression, struct fault *f)
{
	const char *p = expression;
	char q[QUOTE_MAX];

	*e = (struct enrich){ .key = NULL };
	if (take(&p, "${") && source(e, &p) && take(&p, "}") && *p == '\0')
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "'%s' is none of "
	    "${client.authenticationName}, ${client.attributes.KEY}, "
	    "${mqtt.message.NAME} (topicName, responseTopic, correlationData, "
	    "pfi, userProperties.KEY, userProperties['KEY'])",
	    quote(q, expression, strnlen(expression, 40)));
}

void
enrich_unescape(struct enrich *e, char *plain)
{
	size_t n = 0;

	for (size_t i = 0; i < e->key_len; i++) {
		if (e->source == ENRICH_USER_PROPERTY && e->key[i] == '\\')
			i++;
		plain[n++] = e->key[i];
	}
	e->key = plain;
	e->key_len = n;
}

bool
enrich_next_user(const struct enrich_message *m, uint32_t *at, uint32_t *name,
    uint32_t *value)
{
	const struct json_token *tok = m->js->tok;
	uint32_t t = *at != 0 ? *at : m->users + 1;

	if (m->users == 0 || t >= tok[m->users].next)
		return false;
	*name = tok[m->users].type == JSON_ARRAY ? t + 1 : t;
	*value = *name + 1;
	*at = tok[*value].next;
	return true;
}

/* Text, cut when it is too long. */
static bool
add_text(struct buf *b, const char *s, size_t n)
{
	size_t i = 0, chars = 0;

	while (i < n && chars++ < ENRICH_VALUE)
		i += utf8_char(s + i, n - i);
	event_add_text(b, s, i);
	return i < n;
}

static bool
add_string(const struct json *js, uint32_t t, struct buf *scratch,
    struct buf *b)
{
	if (js->tok[t].end - js->tok[t].start <= ENRICH_VALUE) {
		event_add_token(b, js, t);
		return false;
	}
	json_string(js, t, scratch);
	b->bad |= scratch->bad;
	return add_text(b, buf_data(scratch), scratch->len);
}

/* One more of what is joined; what is cut anyhow is left out. */
static void
join(struct buf *scratch, const char *comma, const struct json *js, uint32_t t)
{
	const struct json_token *tok = &js->tok[t];

	if (scratch->len > VALUE_BYTES)
		return;
	buf_str(scratch, comma);
	if (tok->type == JSON_STRING)
		json_string(js, t, scratch);
	else if (tok->type != JSON_NULL && tok->type < JSON_ARRAY)
		buf_add(scratch, js->text + tok->start, tok->end - tok->start);
}

static bool
add_attribute(const struct enrich *e, const struct enrich_message *m,
    struct buf *scratch, struct buf *b)
{
	const struct json_token *tok = m->js->tok;
	uint32_t t = m->attributes == 0 ? 0 :
	    json_member(m->js, m->attributes, e->key, e->key_len);
	const char *comma = "";

	if (t == 0)
		return add_text(b, "", 0);
	if (tok[t].type == JSON_STRING)
		return add_string(m->js, t, scratch, b);
	if (tok[t].type != JSON_ARRAY)
		join(scratch, comma, m->js, t);
	for (uint32_t i = t + 1; tok[t].type == JSON_ARRAY && i < tok[t].next;
	    i = tok[i].next) {
		join(scratch, comma, m->js, i);
		comma = ",";
	}
	b->bad |= scratch->bad;
	return add_text(b, buf_data(scratch), scratch->len);
}

static bool
add_user(const struct enrich *e, const struct enrich_message *m,
    struct buf *scratch, struct buf *b)
{
	uint32_t at = 0, name, value, found = 0;

	while (enrich_next_user(m, &at, &name, &value)) {
		if (!json_is(m->js, name, e->key, e->key_len))
			continue;
		join(scratch, found++ > 0 ? "," : "", m->js, value);
	}
	b->bad |= scratch->bad;
	return add_text(b, buf_data(scratch), scratch->len);
}

/* Base64, of as many bytes as have ENRICH_VALUE digits. */
static bool
add_correlation(const struct enrich_message *m, struct buf *scratch,
    struct buf *b)
{
	size_t max = ENRICH_VALUE / 4 * 3, n;
	bool coded = m->correlation_base64 != 0;
	char text[ENRICH_VALUE];

	json_string(m->js, coded ? m->correlation_base64 : m->correlation,
	    scratch);
	b->bad |= scratch->bad;
	if (coded) {
		n = scratch->len < ENRICH_VALUE ? scratch->len : ENRICH_VALUE;
		event_add_text(b, buf_data(scratch), n);
		return n < scratch->len;
	}
	n = scratch->len < max ? scratch->len : max;
	base64_encode(text, buf_data(scratch), n);
	event_add_text(b, text, BASE64_LEN(n));
	return n < scratch->len;
}

bool
enrich_value(const struct enrich *e, const struct enrich_message *m,
    struct buf *scratch, struct buf *b)
{
	const struct json_token *pfi = &m->js->tok[m->pfi];
	uint32_t t = 0;

	buf_reset(scratch, SIZE_MAX);
	switch (e->source) {
	case ENRICH_NAME:
		t = m->name;
		break;
	case ENRICH_ATTRIBUTE:
		return add_attribute(e, m, scratch, b);
	case ENRICH_USER_PROPERTY:
		return add_user(e, m, scratch, b);
	case ENRICH_TOPIC:
		t = m->topic;
		break;
	case ENRICH_RESPONSE:
		t = m->response;
		break;
	case ENRICH_CORRELATION:
		if (m->correlation != 0 || m->correlation_base64 != 0)
			return add_correlation(m, scratch, b);
		break;
	case ENRICH_PFI:
		if (m->pfi == 0)
			break;
		buf_add(b, m->js->text + pfi->start, pfi->end - pfi->start);
		return false;
	}
	return t != 0 ? add_string(m->js, t, scratch, b) : add_text(b, "", 0);
}
