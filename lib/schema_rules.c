#include "schema_rules.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cert.h"
#include "clock.h"
#include "enrich.h"
#include "jq.h"
#include "principal.h"
#include "quote.h"

#define ATTRIBUTES_MAX 4096 /* bytes of a client's attributes, as JSON */

struct retention {
	int64_t days;
	struct fault *fault;
};

static int
fits_retention(const char *path, jv subscription, void *arg)
{
	struct retention *r = arg;
	jv properties = jq_get(subscription, "properties");
	bool ok = subscription_ttl(properties) <= r->days * CLOCK_DAY;

	jv_free(properties);
	jv_free(subscription);
	if (ok)
		return 0;
	return fault_set(r->fault, FAULT_BAD_REQUEST, "eventRetentionInDays: "
	    "eventTimeToLive of %s is more", path);
}

static jv
topic_rules(struct making *m, jv properties)
{
	struct retention r = {
		jq_int(jq_get(properties, "eventRetentionInDays"), 0),
		m->check.fault
	};
	char prefix[SCHEMA_PATH + 1];

	snprintf(prefix, sizeof(prefix), "%s/", m->path);
	if (!jv_is_valid(m->old) || registry_each(m->registry, prefix,
	    fits_retention, &r) == 0)
		return properties;
	jv_free(properties);
	return jv_invalid();
}

static bool
good_attribute(jv v)
{
	double n;

	switch (jv_get_kind(v)) {
	case JV_KIND_STRING:
	case JV_KIND_TRUE:
	case JV_KIND_FALSE:
		return true;
	case JV_KIND_NUMBER:
		n = jv_number_value(v);
		return n == floor(n);
	case JV_KIND_ARRAY:
		jv_array_foreach(v, i, item) {
			bool ok = jv_get_kind(item) == JV_KIND_STRING;

			jv_free(item);
			if (!ok)
				return false;
		}
		return true;
	default:
		return false;
	}
}

static bool
check_attributes(struct making *m, jv attributes)
{
	struct check *c = &m->check;
	bool ok = true;
	jv text;

	if (jv_get_kind(attributes) != JV_KIND_OBJECT)
		return true;
	check_down(c, "attributes");
	jv_object_foreach(attributes, key, value) {
		const char *name = jv_string_value(key);
		size_t level = check_down(c, name);

		if (ok && (name[0] == '\0' || name[strspn(name, "abcdefgh"
		    "ijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")]
		    != '\0')) {
			check_bad(c, "a name has letters, digits and _ only");
			ok = false;
		} else if (ok && !good_attribute(value)) {
			check_bad(c, "must be a whole number, true, false, a "
			    "string or an array of strings");
			ok = false;
		}
		check_up(c, level);
		jv_free(key);
		jv_free(value);
	}
	text = jv_dump_string(jv_copy(attributes), 0);
	if (ok && jv_string_length_bytes(jv_copy(text)) >= ATTRIBUTES_MAX) {
		check_bad(c, "more than %d bytes in all", ATTRIBUTES_MAX);
		ok = false;
	}
	jv_free(text);
	check_up(c, 0);
	return ok;
}

static bool
check_thumbprints(struct making *m, jv properties)
{
	jv list = jq_get(properties,
	    "clientCertificateAuthentication.allowedThumbprints");
	const char *scheme = jq_str(properties,
	    "clientCertificateAuthentication.validationScheme");
	bool some = jv_get_kind(list) == JV_KIND_ARRAY &&
	    jv_array_length(jv_copy(list)) > 0;

	jv_free(list);
	if (some == (strcmp(scheme, "ThumbprintMatch") == 0))
		return true;
	check_down(&m->check, "clientCertificateAuthentication");
	check_down(&m->check, "allowedThumbprints");
	if (some)
		check_bad(&m->check, "only with ThumbprintMatch");
	else
		check_bad(&m->check, "ThumbprintMatch needs one or two");
	return false;
}

static jv
client_rules(struct making *m, jv properties)
{
	jv attributes = jq_get(properties, "attributes");
	bool ok = check_attributes(m, attributes) &&
	    check_thumbprints(m, properties);

	jv_free(attributes);
	if (ok)
		return properties;
	jv_free(properties);
	return jv_invalid();
}

/* How often is this the key of an enrichment? The list is not consumed. */
static int
count_keys(jv enrichments, const char *key)
{
	int n = 0;

	jv_array_foreach(enrichments, i, one) {
		n += strcmp(jq_str(one, "key"), key) == 0;
		jv_free(one);
	}
	return n;
}

/* Static and dynamic ones together: not too many, and no key twice. */
static bool
check_enrichments(struct making *m, jv p)
{
	static const char at[] = "topicSpacesConfiguration.routingEnrichments";
	jv fixed = jq_get(p, "topicSpacesConfiguration.routingEnrichments."
	    "static");
	jv all = jq_get(p, "topicSpacesConfiguration.routingEnrichments."
	    "dynamic");
	bool ok;

	all = jv_get_kind(all) == JV_KIND_ARRAY ? all : jv_array();
	if (jv_get_kind(fixed) == JV_KIND_ARRAY)
		all = jv_array_concat(all, fixed);
	if (!(ok = jv_array_length(jv_copy(all)) <= ENRICH_MAX)) {
		check_down(&m->check, at);
		check_bad(&m->check, "more than %d in all", ENRICH_MAX);
	}
	jv_array_foreach(all, i, one) {
		const char *key = jq_str(one, "key");

		if (ok && count_keys(all, key) > 1) {
			check_down(&m->check, at);
			check_bad(&m->check, "key '%s' is there twice", key);
			ok = false;
		}
		jv_free(one);
	}
	jv_free(all);
	return ok;
}

/* What role assignments may call the identities that it has been given. */
static jv
user_identities(jv identity)
{
	jv map = jq_get(identity, "userAssignedIdentities"), out;
	char uuid[UUID_SIZE];

	if (jv_get_kind(map) != JV_KIND_OBJECT) {
		jv_free(map);
		return identity;
	}
	out = jv_object();
	jv_object_foreach(map, id, one) {
		principal_of_identity(uuid, jv_string_value(id));
		out = jv_object_set(out, id, jv_get_kind(one) !=
		    JV_KIND_OBJECT ? one : jv_object_set(one,
		    jv_string("principalId"), jv_string(uuid)));
	}
	jv_free(map);
	return jv_object_set(identity, jv_string("userAssignedIdentities"),
	    out);
}

/* Identity and host names: made up, but always the same. */
static jv
namespace_identity(struct making *m, jv p)
{
	const char *name = jq_str(m->namespace, "name");
	const char *type = jq_str(p, "identity.type");
	const char *location = jq_str(p, "location");
	char uuid[UUID_SIZE];
	bool system = strstr(type, "SystemAssigned") != NULL;
	jv host = jv_string_fmt("%s.%s-1.eventgrid.azure.net", name, location);
	jv mqtt = jv_string_fmt("%s.%s-1.ts.eventgrid.azure.net", name,
	    location);
	jv identity = jq_get(p, "identity");

	identity = jv_object_delete(identity, jv_string("principalId"));
	identity = jv_object_delete(identity, jv_string("tenantId"));
	if (system) {
		principal_of_namespace(uuid, name);
		identity = jq_set(identity, "principalId", jv_string(uuid));
		uuid_of(uuid, "tenant");
		identity = jq_set(identity, "tenantId", jv_string(uuid));
	}
	p = jq_set(p, "identity", user_identities(identity));
	p = jq_set(p, "topicsConfiguration.hostname", host);
	return jq_set(p, "topicSpacesConfiguration.hostname", mqtt);
}

/* A topic may be given by its name or path: kept is its resource id, and "" is
 * none. */
static jv
topic_id(struct making *m, jv p, const char *where)
{
	const char *given = jq_str(p, where);
	char path[SCHEMA_PATH];

	if (given == NULL || given[0] == '/')
		return p;
	if (given[0] == '\0')
		return jv_delpaths(p, JV_ARRAY(jv_string_split(
		    jv_string(where), jv_string("."))));
	if (strchr(given, '/') == NULL)
		snprintf(path, sizeof(path), "topics/%s", given);
	else
		schema_id_path(m->registry, given, path, NULL);
	return jq_set(p, where, jv_string_fmt("%s/%s", m->namespace_id, path));
}

static jv
namespace_rules(struct making *m, jv p)
{
	if (!check_enrichments(m, p)) {
		jv_free(p);
		return jv_invalid();
	}
	p = topic_id(m, p, "topicSpacesConfiguration.routeTopicResourceId");
	p = topic_id(m, p, "lifecycleTopicResourceId");
	return namespace_identity(m, p);
}

/* From when to when it is valid stands in the certificate itself. */
static jv
certificate_rules(struct making *m, jv p)
{
	char issued[CLOCK_TEXT + 1], expires[CLOCK_TEXT + 1];
	int64_t from, to;
	struct fault f;

	if (cert_authority(jq_str(p, "encodedCertificate"), &from, &to, &f)
	    == -1) {
		jv_free(p);
		check_down(&m->check, "encodedCertificate");
		return check_bad(&m->check, "%s", f.text);
	}
	clock_format(issued, from);
	clock_format(expires, to);
	p = jq_set(p, "issueTimeInUtc", jv_string(issued));
	return jq_set(p, "expiryTimeInUtc", jv_string(expires));
}

static const char *const principals[] = { "user:", "uid:", "group:" };

#define IDENTITIES \
	"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"

static bool
good_principal(const char *name)
{
	const char *identity = name[0] == '/' ? strcasestr(name, IDENTITIES) :
	    NULL;

	if (identity != NULL) {
		identity += sizeof(IDENTITIES) - 1;
		return *identity != '\0' && strchr(identity, '/') == NULL;
	}
	for (int i = 0; i < 3; i++) {
		size_t len = strlen(principals[i]);

		if (strncmp(name, principals[i], len) == 0)
			return name[len] != '\0' && (i != 1 ||
			    name[len + strspn(name + len, "0123456789")]
			    == '\0');
	}
	return strlen(name) == UUID_SIZE - 1 && strspn(name,
	    "0123456789abcdefABCDEF-") == UUID_SIZE - 1;
}

/* The scope becomes a full id; what is ours must exist. */
static jv
role_rules(struct making *m, jv p)
{
	const char *scope = jq_str(p, "scope"), *id = m->namespace_id;
	char path[SCHEMA_PATH], q[QUOTE_MAX];

	if (!good_principal(jq_str(p, "principalName"))) {
		jv_free(p);
		check_down(&m->check, "principalName");
		return check_bad(&m->check, "must be user:NAME, uid:N, "
		    "group:NAME or an identity's id");
	}
	if (scope[0] == '/' && strcasestr(scope, SCHEMA_PROVIDER) == NULL)
		return p;
	if (schema_id_path(m->registry, scope, path, m->check.fault) == -1) {
		jv_free(p);
		return jv_invalid();
	}
	if (!registry_has(m->registry, path)) {
		quote(q, scope, strlen(scope));
		jv_free(p);
		check_down(&m->check, "scope");
		fault_set(m->check.fault, FAULT_NOT_FOUND,
		    "scope: there is no '%s'", q);
		return jv_invalid();
	}
	return jq_set(p, "scope", strcmp(path, "namespace") == 0 ?
	    jv_string(id) : jv_string_fmt("%s/%s", id, path));
}

jv
rules_prepare(const struct making *m, const struct schema_noun *noun, jv given)
{
	if (noun->kind == SCHEMA_SUBSCRIPTION)
		return subscription_prepare(m, given);
	if (noun->kind == SCHEMA_CLIENT && !jv_is_valid(m->old) &&
	    jq_str(given, "authenticationName") == NULL)
		return jv_object_set(given, jv_string("authenticationName"),
		    jv_string(strchr(m->path, '/') + 1));
	return given;
}

jv
rules_apply(struct making *m, const struct schema_noun *noun, jv properties)
{
	switch (noun->kind) {
	case SCHEMA_NAMESPACE:
		return namespace_rules(m, properties);
	case SCHEMA_TOPIC:
		return topic_rules(m, properties);
	case SCHEMA_SUBSCRIPTION:
		return subscription_rules(m, properties);
	case SCHEMA_CLIENT:
		return client_rules(m, properties);
	case SCHEMA_ROLE_ASSIGNMENT:
		return role_rules(m, properties);
	case SCHEMA_CA_CERTIFICATE:
		return certificate_rules(m, properties);
	case SCHEMA_CLIENT_GROUP:
	case SCHEMA_TOPIC_SPACE:
	case SCHEMA_PERMISSION_BINDING:
	case SCHEMA_KINDS:
		break;
	}
	return properties;
}
