/* schema.h: names between resources, and how many there may be */
#include "schema.h"

#include <stdio.h>
#include <string.h>

#include "endpoint.h"
#include "jq.h"
#include "quote.h"

#define TOPICS_PER_UNIT 100
#define SUBSCRIPTIONS_PER_TOPIC 500
#define TOPICS_NAMED 8 /* of those that there are, in a fault */

struct naming {
	struct buf list;
	int n;
};

static int
name_topic(const char *path, const char *text, size_t len, void *arg)
{
	struct naming *n = arg;
	const char *name = path + strlen("topics/");

	(void)text, (void)len;
	if (strchr(name, '/') != NULL)
		return 0;
	buf_printf(&n->list, "%s%s", n->n == 0 ? "; there is " : ", ",
	    n->n == TOPICS_NAMED ? "..." : name);
	return n->n++ == TOPICS_NAMED;
}

static int
no_such_topic(struct registry *r, const char *field, const char *what,
    struct fault *f)
{
	struct naming n = { .n = 0 };
	char q[QUOTE_MAX];
	int rc;

	registry_each_text(r, "topics/", name_topic, &n);
	rc = fault_set(f, FAULT_BAD_REQUEST,
	    "namespace: %s: there is no topic '%s'%.*s", field,
	    quote(q, what, strlen(what)), (int)n.list.len, n.list.len == 0 ?
	    "" : buf_data(&n.list));
	buf_free(&n.list);
	return rc;
}

static int
custom_link(jv namespace, const char *field, const char *id, struct fault *f)
{
	jv entry = endpoint_find(namespace, id);
	bool found = jv_get_kind(entry) != JV_KIND_NULL;
	const char *url = jq_str(entry, "url");
	bool good = url != NULL && endpoint_check_url(url, NULL) == 0;
	char q[QUOTE_MAX];

	jv_free(entry);
	if (good)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "namespace: %s: endpoints have "
	    "no %s for the custom topic '%s'", field,
	    found ? "https:// url" : "entry", quote(q, id, strlen(id)));
}

/*
 * A resource id that names a topic: of ours it must exist when it is set. It
 * may be deleted later: what goes there is dropped then, and recorded. Where a
 * custom topic is must be known as long as it is named.
 */
static int
topic_link(struct registry *r, jv namespace, jv before, const char *where,
    struct fault *f)
{
	const char *id = jq_str(namespace, where), *old = jq_str(before, where);
	const char *field = strrchr(where, '.') + 1;
	char path[SCHEMA_PATH];

	if (id == NULL)
		return 0;
	if (strcasestr(id, "/providers/Microsoft.EventGrid/topics/") != NULL)
		return custom_link(namespace, field, id, f);
	if (old != NULL && strcmp(id, old) == 0)
		return 0;
	if (schema_id_path(r, id, path, NULL) == -1 ||
	    strncmp(path, "topics/", 7) != 0)
		return no_such_topic(r, field, id, f);
	if (!registry_has(r, path))
		return no_such_topic(r, field, path + 7, f);
	return 0;
}

struct links {
	struct registry *registry;
	struct fault *fault;
	int64_t topics, subscriptions; /* of the latest topic */
};

static int
binding_link(const char *path, jv binding, void *arg)
{
	struct links *l = arg;
	const char *group = jq_str(binding, "properties.clientGroupName");
	const char *space = jq_str(binding, "properties.topicSpaceName");
	char target[SCHEMA_PATH], q[QUOTE_MAX];
	int rc = 0;

	snprintf(target, sizeof(target), "clientGroups/%s", group);
	if (strcmp(group, "$all") != 0 && !registry_has(l->registry, target))
		rc = fault_set(l->fault, FAULT_BAD_REQUEST,
		    "%s: clientGroupName: there is no client group '%s'", path,
		    quote(q, group, strlen(group)));
	snprintf(target, sizeof(target), "topicSpaces/%s", space);
	if (rc == 0 && !registry_has(l->registry, target))
		rc = fault_set(l->fault, FAULT_BAD_REQUEST,
		    "%s: topicSpaceName: there is no topic space '%s'", path,
		    quote(q, space, strlen(space)));
	jv_free(binding);
	return rc;
}

static int
count_topics(const char *path, jv resource, void *arg)
{
	struct links *l = arg;

	jv_free(resource);
	if (schema_noun(path)->kind == SCHEMA_TOPIC) {
		l->topics++;
		l->subscriptions = 0;
	} else if (++l->subscriptions > SUBSCRIPTIONS_PER_TOPIC)
		return fault_set(l->fault, FAULT_TOO_MANY,
		    "%s: a topic has at most %d subscriptions", path,
		    SUBSCRIPTIONS_PER_TOPIC);
	return 0;
}

/* Limits of a namespace, mqtt-broker reference 18. */
static const struct {
	const char *prefix;
	int max;
} limits[] = {
	{ "clientGroups/", 10 },
	{ "topicSpaces/", 10 },
	{ "permissionBindings/", 100 },
	{ "caCertificates/", 11 }, /* ten, and that of `cert issue` */
};

static int
count_one(const char *path, const char *text, size_t len, void *arg)
{
	int *n = arg;

	(void)path;
	(void)text;
	(void)len;
	++*n;
	return 0;
}

static int
within_limits(struct registry *r, struct fault *f)
{
	int n;

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		n = 0;
		if (registry_each_text(r, limits[i].prefix, count_one, &n) ==
		    -1)
			return fault_set(f, FAULT_INTERNAL, "out of memory");
		if (n > limits[i].max)
			return fault_set(f, FAULT_TOO_MANY, "%.*s: a namespace "
			    "has at most %d", (int)strlen(limits[i].prefix) - 1,
			    limits[i].prefix, limits[i].max);
	}
	return 0;
}

/* No two clients have the same authentication name. */
static int
unique_names(struct registry *r, struct fault *f)
{
	jv one, other;

	if (!registry_twins(r, &one, &other))
		return 0;
	fault_set(f, FAULT_CONFLICT, "%s: authenticationName: %s has it; case "
	    "does not count", jv_string_value(one), jv_string_value(other));
	jv_free(one);
	jv_free(other);
	return -1;
}

int
schema_links(struct registry *r, struct fault *f)
{
	struct links l = { .registry = r, .fault = f };
	jv namespace = registry_get(r, "namespace");
	jv before = registry_stored(r, "namespace");
	int64_t units = jq_int(jq_get(namespace, "sku.capacity"), 0);
	int rc;

	rc = topic_link(r, namespace, before, SCHEMA_ROUTE, f);
	if (rc == 0)
		rc = topic_link(r, namespace, before, SCHEMA_LIFECYCLE, f);
	if (rc == 0)
		rc = registry_each(r, "permissionBindings/", binding_link, &l);
	if (rc == 0)
		rc = registry_each(r, "topics/", count_topics, &l);
	if (rc == 0)
		rc = unique_names(r, f);
	if (rc == 0)
		rc = within_limits(r, f);
	if (rc == 0 && l.topics > units * TOPICS_PER_UNIT)
		rc = fault_set(f, FAULT_TOO_MANY, "topics: at most %d a "
		    "throughput unit: raise sku.capacity", TOPICS_PER_UNIT);
	jv_free(namespace);
	jv_free(before);
	return rc;
}
