#include "endpoint.h"

#include <string.h>
#include <strings.h>

#include "address.h"
#include "jq.h"
#include "quote.h"

/* The length of `scheme`, if the URL begins with it; else 0. */
static size_t
scheme_of(const char *url, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncasecmp(url, scheme, len) == 0 ? len : 0;
}

/* Nobody on the way can read what goes to one of these. */
static bool
is_loopback(const char *host, size_t len)
{
	static const char *const names[] = { "localhost", "[::1]" };

	if (len >= 4 && memcmp(host, "127.", 4) == 0 &&
	    strspn(host, "0123456789.") == len)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len == strlen(names[i]) &&
		    strncasecmp(host, names[i], len) == 0)
			return true;
	return false;
}

/* No blank, no control character and nothing that is not ASCII. */
static int
check_characters(const char *url, struct fault *f)
{
	for (const unsigned char *p = (const unsigned char *)url; *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return fault_set(f, FAULT_BAD_REQUEST, "a URL has no "
			    "blanks and is ASCII; others are written %%XX");
	return 0;
}

/* The length of the host that an authority begins with, brackets included; 0
 * when there is none, or no port behind it but something else. */
static size_t
host_of(const char *authority, size_t len)
{
	size_t host = strcspn(authority, "/?#\\:");

	if (authority[0] == '[')
		host = strcspn(authority, "]/?#\\") + 1;
	if (host > len || (host < len && authority[host] != ':'))
		return 0;
	return host;
}

int
endpoint_check_url(const char *url, struct fault *f)
{
	size_t secure = scheme_of(url, "https://");
	size_t plain = scheme_of(url, "http://"), len, host;
	const char *authority = url + secure + plain;

	if (check_characters(url, f) == -1)
		return -1;
	len = strcspn(authority, "/?#\\");
	host = host_of(authority, len);
	if (secure + plain > 0 && memchr(authority, '@', len) != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "has a user or a "
		    "password in it; what proves who we are is a credential");
	if (host == 0 || (secure == 0 &&
	    (plain == 0 || !is_loopback(authority, host))))
		return fault_set(f, FAULT_BAD_REQUEST, "must be "
		    "https://HOST[:PORT]/..., or http:// on this machine");
	/* "http://host:/" is good, too */
	if (len - host > 1 &&
	    address_port(authority + host + 1, len - host - 1) < 1)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "has a port that is none: it must be 1 to 65535");
	return 0;
}

/* What Kafka takes as the name of a topic, up to 249 characters. */
static bool
is_topic(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	return len > 0 && len <= 249 && name[len] == '\0' &&
	    strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

bool
endpoint_kafka(const char *url, struct endpoint_kafka *k)
{
	size_t secure = scheme_of(url, "kafkas://");
	size_t plain = scheme_of(url, "kafka://");

	if (secure + plain == 0)
		return false;
	k->secure = secure > 0;
	k->server = url + secure + plain;
	k->len = strcspn(k->server, "/?#\\");
	k->topic = k->server + k->len;
	if (*k->topic == '/')
		k->topic++;
	return true;
}

static int
check_kafka(const struct endpoint_kafka *k, struct fault *f)
{
	size_t host = host_of(k->server, k->len);
	int port = host < k->len ?
	    address_port(k->server + host + 1, k->len - host - 1) : -1;

	if (memchr(k->server, '@', k->len) != NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "has a user or a "
		    "password in it; what proves who we are is a credential");
	if (host == 0 || port < 1 || !is_topic(k->topic) ||
	    (!k->secure && !is_loopback(k->server, host)))
		return fault_set(f, FAULT_BAD_REQUEST, "must be "
		    "kafkas://HOST:PORT/TOPIC, or kafka:// on this machine");
	return 0;
}

int
endpoint_check_place(const char *url, struct fault *f)
{
	struct endpoint_kafka kafka;

	if (!endpoint_kafka(url, &kafka))
		return endpoint_check_url(url, f);
	if (check_characters(url, f) == -1)
		return -1;
	return check_kafka(&kafka, f);
}

#define FORMS \
	"{\"file\": PATH}, {\"command\": COMMAND} or {\"identity\": NAME}"

static int
check_member(const char *name, jv value, struct fault *f)
{
	static const char *const known[] = { "file", "command", "identity",
		"type" };
	char q[QUOTE_MAX];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(name, known[i]) != 0)
			continue;
		if (jv_get_kind(value) == JV_KIND_STRING &&
		    jv_string_value(value)[0] != '\0')
			return 0;
		return fault_set(f, FAULT_BAD_REQUEST,
		    "\"%s\" must be a string with something in it", name);
	}
	return fault_set(f, FAULT_BAD_REQUEST, "\"%s\" is no member of it: "
	    "a credential is " FORMS ", never the secret itself",
	    quote(q, name, strlen(name)));
}

static int
check_members(jv v, struct fault *f)
{
	int rc = 0;

	jv_object_foreach(v, name, value) {
		if (rc == 0)
			rc = check_member(jv_string_value(name), value, f);
		jv_free(name);
		jv_free(value);
	}
	return rc;
}

static int
check_type(jv v, struct fault *f)
{
	const char *type = jq_str(v, "type");

	if (type == NULL || strcmp(type, "bearer") == 0)
		return 0;
	if (strcmp(type, "key") != 0 && strcmp(type, "sas") != 0 &&
	    strcmp(type, "connectionString") != 0)
		return fault_set(f, FAULT_BAD_REQUEST, "\"type\" must be "
		    "bearer, key, sas or connectionString");
	if (jq_str(v, "identity") != NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "\"type\" of an identity must be bearer");
	return 0;
}

int
endpoint_check_credential(jv v, struct fault *f)
{
	int sources;

	if (jv_get_kind(v) != JV_KIND_OBJECT)
		return fault_set(f, FAULT_BAD_REQUEST, "must be " FORMS
		    ", never the secret itself");
	if (check_members(v, f) == -1)
		return -1;
	sources = (jq_str(v, "file") != NULL) + (jq_str(v, "command") != NULL) +
	    (jq_str(v, "identity") != NULL);
	if (sources != 1)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "one of " FORMS " is wanted");
	return check_type(v, f);
}

int
endpoint_check_entry(jv v, struct fault *f)
{
	jv credential = jq_get(v, "credential");
	bool some = jv_get_kind(credential) != JV_KIND_NULL;

	jv_free(credential);
	if (some || jq_str(v, "url") != NULL)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST,
	    "must have a url, a credential or both");
}

jv
endpoint_find(jv namespace, const char *resource_id)
{
	jv list = jq_get(namespace, "properties.endpoints");
	jv found = jv_null();

	if (jv_get_kind(list) == JV_KIND_ARRAY) {
		jv_array_foreach(list, i, e) {
			const char *id = jq_str(e, "resourceId");

			if (jv_get_kind(found) == JV_KIND_NULL && id != NULL &&
			    strcasecmp(id, resource_id) == 0)
				found = jv_copy(e);
			jv_free(e);
		}
	}
	jv_free(list);
	return found;
}
