#include "sas.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base64.h"
#include "connection.h"
#include "hmac.h"

/* HOST[:PORT] of sb://HOST[:PORT]/, cut out of it. */
static const char *
host_of(char *endpoint)
{
	size_t len;

	if (strncasecmp(endpoint, "sb://", 5) != 0)
		return "";
	endpoint += 5;
	len = strspn(endpoint, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]");
	if (endpoint[len] == '/' && endpoint[len + 1] == '\0')
		endpoint[len] = '\0';
	return endpoint[len] == '\0' ? endpoint : "";
}

static bool
is_empty(const char *s)
{
	return s == NULL || *s == '\0';
}

int
sas_parse(struct sas_connection *s, const char *text, struct fault *f)
{
	const char *endpoint;
	const struct connection_part parts[] = {
		{ "Endpoint", &endpoint },
		{ "SharedAccessKeyName", &s->rule },
		{ "SharedAccessKey", &s->key },
		{ "EntityPath", &s->entity },
	};

	if (strlen(text) >= sizeof(s->text))
		return fault_set(f, FAULT_BAD_REQUEST, "a connection string "
		    "has less than %zu bytes", sizeof(s->text));
	memcpy(s->text, text, strlen(text) + 1);
	if (connection_parse(s->text, parts, sizeof(parts) / sizeof(parts[0]),
	    f) == -1)
		return -1;
	s->host = endpoint == NULL ? NULL :
	    host_of(s->text + (endpoint - s->text));
	if (is_empty(s->host))
		return fault_set(f, FAULT_BAD_REQUEST,
		    "the connection string has no Endpoint=sb://HOST/");
	if (is_empty(s->rule) || is_empty(s->key))
		return fault_set(f, FAULT_BAD_REQUEST, "the connection string "
		    "has no SharedAccessKeyName or no SharedAccessKey");
	if (s->entity != NULL && *s->entity == '\0')
		s->entity = NULL;
	return 0;
}

void
sas_sign(struct buf *b, const char *resource, const char *rule,
    const char *key, int64_t until)
{
	uint8_t mac[HMAC_LEN];
	char sig[BASE64_LEN(sizeof(mac)) + 1];
	struct buf text = { 0 };

	buf_uri(&text, resource, "");
	buf_printf(&text, "\n%" PRId64, until);
	if (text.bad || hmac_sha256(mac, key, strlen(key),
	    buf_data(&text), text.len) == -1) {
		b->bad = true;
	} else {
		base64_encode(sig, mac, sizeof(mac));
		sig[sizeof(sig) - 1] = '\0';
		buf_str(b, "SharedAccessSignature sr=");
		buf_uri(b, resource, "");
		buf_str(b, "&sig=");
		buf_uri(b, sig, "");
		buf_printf(b, "&se=%" PRId64 "&skn=", until);
		buf_uri(b, rule, "");
	}
	buf_free(&text);
}
