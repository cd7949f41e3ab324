#include "enrich.h"

#include <stdbool.h>
#include <string.h>

#include "quote.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
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
