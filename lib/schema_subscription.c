/* schema_rules.h: what an event subscription's properties have to do with each
 * other */
#include "schema_rules.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "clock.h"
#include "filter.h"
#include "jq.h"
#include "mapping.h"
#include "storage.h"

#define TTL_STEP (60 * CLOCK_SECOND)
#define PUSH "deliveryConfiguration.push"

/* ---- where it delivers ---- */

/* Where a push subscription (not consumed) has its destination: NULL for
 * nowhere, or in both places. */
static const char *
destination_path(jv properties)
{
	static const char *const paths[] = { PUSH ".destination",
		PUSH ".deliveryWithResourceIdentity.destination" };
	const char *found = NULL;

	for (int i = 0; i < 2; i++) {
		jv v = jq_get(properties, paths[i]);
		bool there = jv_get_kind(v) == JV_KIND_OBJECT;

		jv_free(v);
		if (there && found != NULL)
			return NULL;
		if (there)
			found = paths[i];
	}
	return found;
}

jv
schema_destination(jv subscription)
{
	jv properties = jq_get(subscription, "properties");
	const char *path = destination_path(properties);
	jv v = path == NULL ? jv_null() : jq_get(properties, path);

	jv_free(properties);
	return v;
}

/* The path of a member of the destination's properties. */
static const char *
destination_member(char path[128], const char *destination, const char *name)
{
	snprintf(path, 128, "%s.properties.%s", destination, name);
	return path;
}

/* ---- before the check ---- */

/* {endpointType,StorageBlob:{..}} becomes {deadLetterDestination:{..}}. */
static jv
unfold(jv dl)
{
	jv type = jv_object_get(jv_copy(dl), jv_string("endpointType")), inner;
	const char *name;

	if (jv_get_kind(type) != JV_KIND_STRING) {
		jv_free(type);
		return dl;
	}
	name = strcasecmp(jv_string_value(type), "Directory") == 0 ?
	    "Directory" : "StorageBlob";
	inner = jv_object_get(jv_copy(dl), jv_string(name));
	dl = jv_object_delete(dl, jv_string("endpointType"));
	dl = jv_object_delete(dl, jv_string(name));
	return jv_object_set(dl, jv_string("deadLetterDestination"),
	    JV_OBJECT(jv_string("endpointType"), type, jv_string("properties"),
	    jv_is_valid(inner) ? inner : jv_null()));
}

/* The mode decides whether there is a queue or a push, before the check. */
static jv
subscription_shape(jv given)
{
	static const char dl[] = "deadLetterDestinationWithResourceIdentity";
	jv delivery = jq_get(given, "deliveryConfiguration"), part, d;
	const char *mode, *name;
	bool push;

	if (jv_get_kind(delivery) == JV_KIND_NULL) {
		jv_free(delivery);
		delivery = jv_object();
	}
	if (jv_get_kind(delivery) != JV_KIND_OBJECT) {
		jv_free(delivery);
		return given;
	}
	mode = jq_str(delivery, "deliveryMode");
	push = mode != NULL && strcasecmp(mode, "Push") == 0;
	name = push ? "push" : "queue";
	part = jq_get(delivery, name);
	if (jv_get_kind(part) == JV_KIND_NULL && !push) {
		jv_free(part);
		part = jv_object();
	}
	if (jv_get_kind(part) == JV_KIND_OBJECT) {
		d = jq_get(part, dl);
		if (jv_get_kind(d) == JV_KIND_OBJECT)
			part = jv_object_set(part, jv_string(dl), unfold(d));
		else
			jv_free(d);
	}
	delivery = jv_object_set(delivery, jv_string(name), part);
	return jv_object_set(given, jv_string("deliveryConfiguration"),
	    delivery);
}

/* The secret value of a mapping of that name; invalid: there is none. */
static jv
secret_value(jv list, const char *name)
{
	jv value = jv_invalid();

	jv_array_foreach(list, i, one) {
		const char *its = jq_str(one, "name");
		jv secret = jq_get(one, "properties.isSecret");

		if (!jv_is_valid(value) && its != NULL && name != NULL &&
		    strcasecmp(its, name) == 0 &&
		    jv_get_kind(secret) == JV_KIND_TRUE)
			value = jq_get(one, "properties.value");
		jv_free(secret);
		jv_free(one);
	}
	return value;
}

/* Secret values were not shown: those that are missing are what they were. */
static jv
keep_values(jv list, jv old)
{
	jv out = jv_array(), secret, value, kept;

	jv_array_foreach(list, i, one) {
		secret = jq_get(one, "properties.isSecret");
		value = jq_get(one, "properties.value");
		kept = jv_get_kind(secret) == JV_KIND_TRUE &&
		    jv_get_kind(value) == JV_KIND_NULL ?
		    secret_value(old, jq_str(one, "name")) : jv_invalid();
		jv_free(secret);
		jv_free(value);
		if (jv_is_valid(kept))
			one = jq_set(one, "properties.value", kept);
		else
			jv_free(kept);
		out = jv_array_append(out, one);
	}
	jv_free(list);
	return out;
}

static jv
keep_secrets(const struct making *m, jv given)
{
	const char *at = destination_path(given), *was;
	jv old = schema_hoist(jv_copy(m->old)), list, values;
	char path[128];

	was = destination_path(old);
	if (at == NULL || was == NULL) {
		jv_free(old);
		return given;
	}
	values = jq_get(old, destination_member(path, was,
	    "deliveryAttributeMappings"));
	list = jq_get(given, destination_member(path, at,
	    "deliveryAttributeMappings"));
	if (jv_get_kind(list) == JV_KIND_ARRAY &&
	    jv_get_kind(values) == JV_KIND_ARRAY)
		given = jq_set(given, path, keep_values(list, values));
	else
		jv_free(list);
	jv_free(values);
	jv_free(old);
	return given;
}

jv
subscription_prepare(const struct making *m, jv given)
{
	return subscription_shape(jv_is_valid(m->old) ?
	    keep_secrets(m, given) : given);
}

/* ---- rules ---- */

static int64_t
time_to_live(jv properties, const char *mode)
{
	char path[64];
	const char *text;
	int64_t us;

	snprintf(path, sizeof(path), "deliveryConfiguration.%s.eventTimeToLive",
	    mode);
	if ((text = jq_str(properties, path)) == NULL ||
	    clock_duration(text, strlen(text), &us) == -1)
		return 0;
	return us;
}

int64_t
subscription_ttl(jv properties)
{
	int64_t us = time_to_live(properties, "queue");

	return us != 0 ? us : time_to_live(properties, "push");
}

static bool
check_ttl(struct making *m, jv properties, const char *mode)
{
	int64_t us = time_to_live(properties, mode), retention;
	char topic[SCHEMA_PATH], days[32];
	jv t;

	if (us == 0 && jq_str(properties, !strcmp(mode, "queue") ?
	    "deliveryConfiguration.queue.eventTimeToLive" :
	    "deliveryConfiguration.push.eventTimeToLive") == NULL)
		return true;
	snprintf(topic, sizeof(topic), "%.*s",
	    (int)(strstr(m->path, "/eventSubscriptions/") - m->path), m->path);
	t = registry_get(m->registry, topic);
	retention = jq_int(jq_get(t, "properties.eventRetentionInDays"), 0);
	jv_free(t);
	snprintf(days, sizeof(days), "P%dD", (int)retention);
	check_down(&m->check, "deliveryConfiguration");
	check_down(&m->check, mode);
	check_down(&m->check, "eventTimeToLive");
	if (us < TTL_STEP || us % TTL_STEP != 0)
		check_bad(&m->check, "must be whole minutes, PT1M or more");
	else if (us > retention * CLOCK_DAY)
		check_bad(&m->check, "is more than the topic's retention, %s",
		    days);
	else {
		check_up(&m->check, 0);
		return true;
	}
	return false;
}

static bool
check_mappings(struct making *m, jv properties, const char *destination)
{
	char path[128];
	const char *type, *mode, *application;
	unsigned own = 0;
	struct fault f;
	jv list;
	int rc;

	snprintf(path, sizeof(path), "%s.endpointType", destination);
	type = jq_str(properties, path);
	application = jq_str(properties, destination_member(path, destination,
	    "azureActiveDirectoryApplicationIdOrUri"));
	list = jq_get(properties, destination_member(path, destination,
	    "deliveryAttributeMappings"));
	mode = jq_str(properties, PUSH ".abuseProtection");
	if (application != NULL || strcmp(type, "WebHook") != 0)
		own |= MAPPINGS_TOKEN;
	if (strcmp(type, "WebHook") == 0 &&
	    (mode == NULL || strcmp(mode, "Off") != 0))
		own |= MAPPINGS_ORIGIN;
	rc = mappings_check(list, own, &f);
	jv_free(list);
	if (rc == 0)
		return true;
	check_down(&m->check, path);
	check_bad(&m->check, "%s", f.text);
	return false;
}

static bool
check_batch(struct making *m, jv properties, const char *destination)
{
	const char *mode = jq_str(properties, PUSH ".contentMode");
	char path[128];

	destination_member(path, destination, "maxEventsPerBatch");
	if (strcmp(mode, "binary") != 0 ||
	    jq_int(jq_get(properties, path), 0) <= 1)
		return true;
	check_down(&m->check, path);
	check_bad(&m->check, "contentMode is binary, which has room for one "
	    "event only: no more than 1");
	return false;
}

static bool
check_push(struct making *m, jv properties)
{
	const char *destination = destination_path(properties);

	if (destination != NULL)
		return check_mappings(m, properties, destination) &&
		    check_batch(m, properties, destination);
	check_down(&m->check, PUSH);
	check_bad(&m->check, "needs either destination or "
	    "deliveryWithResourceIdentity");
	return false;
}

/* What of a webhook's URL may be shown. */
static jv
give_base_url(jv properties)
{
	const char *destination = destination_path(properties), *url;
	char path[128];
	jv base;

	if (destination == NULL || (url = jq_str(properties,
	    destination_member(path, destination, "endpointUrl"))) == NULL)
		return properties;
	base = jv_string_sized(url, (int)strcspn(url, "?#"));
	return jq_set(properties, destination_member(path, destination,
	    "endpointBaseUrl"), base);
}

static bool
check_filters(struct making *m, jv properties)
{
	struct filter *filter;
	struct fault f = { 0 };

	filter = filter_compile(jq_get(properties, "filtersConfiguration"),
	    &f);
	if (filter == NULL) {
		fault_set(m->check.fault, f.code, "filtersConfiguration.%s",
		    f.text);
		return false;
	}
	filter_free(filter);
	return true;
}

static jv
default_dead_letter(const struct making *m)
{
	return JV_OBJECT(jv_string("deadLetterDestination"), JV_OBJECT(
	    jv_string("endpointType"), jv_string("StorageBlob"),
	    jv_string("properties"), JV_OBJECT(
	    jv_string("resourceId"), storage_local_account(m->namespace_id),
	    jv_string("blobContainerName"), jv_string("deadletter"))),
	    jv_string("deliveryRetryPeriodInDays"), jv_number(2));
}

/* Every subscription has a dead-letter destination unless it says so. */
static jv
give_dead_letter(struct making *m, jv properties, const char *mode)
{
	jv none = jq_get(properties, "noDeadLetter"), there, allowed;
	bool without = jv_get_kind(none) == JV_KIND_TRUE, has, may;
	char path[96];

	snprintf(path, sizeof(path), "deliveryConfiguration.%s."
	    "deadLetterDestinationWithResourceIdentity", mode);
	there = jq_get(properties, path);
	has = jv_get_kind(there) == JV_KIND_OBJECT;
	allowed = jq_get(m->namespace, "properties.allowNoDeadLetter");
	may = jv_get_kind(allowed) != JV_KIND_FALSE;
	jv_free(none);
	jv_free(there);
	jv_free(allowed);
	if (!without)
		return has ? properties :
		    jq_set(properties, path, default_dead_letter(m));
	jv_free(properties);
	if (has) {
		check_down(&m->check, path);
		return check_bad(&m->check, "contradicts noDeadLetter");
	}
	check_down(&m->check, "noDeadLetter");
	if (!may)
		return check_bad(&m->check,
		    "the namespace's allowNoDeadLetter is false");
	return jv_null();
}

jv
subscription_rules(struct making *m, jv properties)
{
	const char *mode = jq_str(properties,
	    "deliveryConfiguration.deliveryMode");
	bool push = strcmp(mode, "Push") == 0;
	const char *part = push ? "push" : "queue";
	const char *other = push ? "queue" : "push";
	jv delivery = jq_get(properties, "deliveryConfiguration"), v, copy;
	bool ok = true;

	v = jq_get(delivery, other);
	if (jv_get_kind(v) != JV_KIND_NULL) {
		check_down(&m->check, "deliveryConfiguration");
		check_down(&m->check, other);
		check_bad(&m->check, "deliveryMode is %s", mode);
		ok = false;
	}
	jv_free(v);
	jv_free(delivery);
	if (ok && push)
		ok = check_push(m, properties);
	if (!ok || !check_ttl(m, properties, part) ||
	    !check_filters(m, properties)) {
		jv_free(properties);
		return jv_invalid();
	}
	properties = give_base_url(properties);
	copy = jv_copy(properties);
	v = give_dead_letter(m, properties, part);
	if (jv_get_kind(v) != JV_KIND_NULL) {
		jv_free(copy);
		return v;
	}
	check_up(&m->check, 0);
	return copy;
}
