#include "sas.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include "base64.h"

/* Is the part NAME=..., whose name is compared without case? Then its value. */
static char *
value_of(char *part, const char *name)
{
	size_t len = strlen(name);

	if (strncasecmp(part, name, len) != 0 || part[len] != '=')
		return NULL;
	return part + len + 1;
}

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

/* False: the part is there twice. What we know nothing of is for others. */
static bool
take_part(struct sas_connection *s, char *part)
{
	const struct {
		const char *name, **where;
	} parts[] = {
		{ "Endpoint", &s->host },
		{ "SharedAccessKeyName", &s->rule },
		{ "SharedAccessKey", &s->key },
		{ "EntityPath", &s->entity },
	};
	char *value;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if ((value = value_of(part, parts[i].name)) == NULL)
			continue;
		if (*parts[i].where != NULL)
			return false;
		*parts[i].where = i == 0 ? host_of(value) : value;
	}
	return true;
}

static bool
is_empty(const char *s)
{
	return s == NULL || *s == '\0';
}

int
sas_parse(struct sas_connection *s, const char *text, struct fault *f)
{
	char *rest = s->text, *part;

	s->host = s->rule = s->key = s->entity = NULL;
	if (strlen(text) >= sizeof(s->text))
		return fault_set(f, FAULT_BAD_REQUEST, "a connection string "
		    "has less than %zu bytes", sizeof(s->text));
	memcpy(s->text, text, strlen(text) + 1);
	while ((part = strsep(&rest, ";")) != NULL)
		if (!take_part(s, part))
			return fault_set(f, FAULT_BAD_REQUEST,
			    "the connection string has a part twice");
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

static int
hmac(uint8_t out[WC_SHA256_DIGEST_SIZE], const char *key, const char *text,
    size_t len)
{
	Hmac h;
	int rc = wc_HmacInit(&h, NULL, INVALID_DEVID);

	if (rc != 0)
		return -1;
	rc = wc_HmacSetKey(&h, WC_SHA256, (const byte *)key,
	    (word32)strlen(key));
	if (rc == 0)
		rc = wc_HmacUpdate(&h, (const byte *)text, (word32)len);
	if (rc == 0)
		rc = wc_HmacFinal(&h, out);
	wc_HmacFree(&h);
	return rc == 0 ? 0 : -1;
}

void
sas_sign(struct buf *b, const char *resource, const char *rule,
    const char *key, int64_t until)
{
	uint8_t mac[WC_SHA256_DIGEST_SIZE];
	char sig[BASE64_LEN(sizeof(mac)) + 1];
	struct buf text = { 0 };

	buf_uri(&text, resource, "");
	buf_printf(&text, "\n%" PRId64, until);
	if (text.bad || hmac(mac, key, buf_data(&text), text.len) == -1) {
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
