#include "target.h"

#include <string.h>

#include "endpoint.h"
#include "jq.h"

/* Where the destination is, in either form. */
#define PUSH "properties.deliveryConfiguration.push."
#define WITH_IDENTITY PUSH "deliveryWithResourceIdentity."

#define TIMEOUT 30 /* seconds until the answer's status */

/* Event hubs of a lab are topics of a Kafka. */
static struct target *
hub_new(const struct target_use *use, struct fault *f)
{
	jv properties = target_properties(use->subscription), hub = jv_null();
	const char *id = jq_str(properties, "resourceId"), *url = NULL;
	struct endpoint_kafka kafka;
	struct target *t;

	if (id != NULL) {
		hub = endpoint_find(use->namespace, id);
		url = jq_str(hub, "url");
	}
	if (url != NULL && endpoint_kafka(url, &kafka))
		t = kafka_new(use, jv_copy(hub), f);
	else
		t = eventhub_new(use, f);
	jv_free(hub);
	jv_free(properties);
	return t;
}

struct target *
target_new(const struct target_use *use, struct fault *f)
{
	const char *type = target_type(use->subscription);

	if (strcmp(type, "WebHook") == 0)
		return webhook_new(use, f);
	if (strcmp(type, "EventHub") == 0)
		return hub_new(use, f);
	if (strcmp(type, "Kafka") == 0)
		return kafka_new(use, jv_null(), f);
	fault_set(f, FAULT_BAD_REQUEST, "push needs a destination with the "
	    "endpointType WebHook, EventHub or Kafka");
	return NULL;
}

bool
target_fits(struct target *t, const struct attempt *a, const struct item *item)
{
	return a->n < t->batch && a->bytes + item->len <= t->batch_bytes &&
	    (t->calls->joins == NULL || t->calls->joins(t, a->first, item));
}

jv
target_properties(jv subscription)
{
	jv v = jq_get(subscription, PUSH "destination.properties");

	if (jv_get_kind(v) == JV_KIND_OBJECT)
		return v;
	jv_free(v);
	return jq_get(subscription, WITH_IDENTITY "destination.properties");
}

jv
target_identity(jv subscription)
{
	return jq_get(subscription, WITH_IDENTITY "identity");
}

const char *
target_type(jv subscription)
{
	const char *type;

	type = jq_str(subscription, PUSH "destination.endpointType");
	if (type == NULL)
		type = jq_str(subscription,
		    WITH_IDENTITY "destination.endpointType");
	return type != NULL ? type : "";
}

bool
target_binary(jv subscription)
{
	const char *mode = jq_str(subscription, PUSH "contentMode");

	return mode != NULL && strcmp(mode, "binary") == 0;
}

long
target_timeout_ms(jv subscription)
{
	return 1000 * (long)jq_int(jq_get(subscription,
	    PUSH "timeoutInSeconds"), TIMEOUT);
}

jv
target_credential(const struct target_use *use, const char *resource_id)
{
	jv entry = endpoint_find(use->namespace, resource_id);
	jv credential = jq_get(entry, "credential"), identity;
	const char *type, *name = "SystemAssigned";

	jv_free(entry);
	if (jv_get_kind(credential) != JV_KIND_NULL)
		return credential;
	identity = target_identity(use->subscription);
	type = jq_str(identity, "type");
	if (type != NULL && strcmp(type, "UserAssigned") == 0)
		name = jq_str(identity, "userAssignedIdentity");
	credential = JV_OBJECT(jv_string("identity"),
	    jv_string(name != NULL ? name : ""));
	jv_free(identity);
	return credential;
}
