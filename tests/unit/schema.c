#include "schema.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "jq.h"

static char dir[] = "/tmp/egns-schema.XXXXXX";
static struct spool spool;
static struct registry *registry;

/* A registry with a namespace, topics/t1 (2 days), a group and a space. */
static int
put(const char *path, const char *text, struct fault *f)
{
	bool changed;
	jv v = schema_make(registry, path, jv_parse(text), "user:ann",
	    &changed, f);

	if (!jv_is_valid(v)) {
		jv_free(v);
		return -1;
	}
	return registry_put(registry, path, v, f);
}

static void
begin(void)
{
	bool changed;

	CHECK(registry_create(spool.fd, NULL) == 0);
	registry = registry_open(&spool, true, NULL);
	CHECK(registry_put(registry, "namespace", schema_make(NULL,
	    "namespace", jv_parse("{\"name\":\"ns\",\"id\":"
	    "\"/subscriptions/s/resourceGroups/g/providers/"
	    "Microsoft.EventGrid/namespaces/ns\"}"), "user:ann", &changed,
	    NULL), NULL) == 0);
	CHECK(put("topics/t01", "{\"eventRetentionInDays\":2}", NULL) == 0);
	CHECK(put("clientGroups/group", "{\"query\":\"attributes.x = 1\"}",
	    NULL) == 0);
	CHECK(put("topicSpaces/space", "{\"topicTemplates\":[\"a\"]}", NULL)
	    == 0);
}

#define CA \
	"-----BEGIN CERTIFICATE-----\n" \
	"MIIBXjCCAQSgAwIBAgIUcTrzxaAMt9qaAWUAbg1uao7SC74wCgYIKoZIzj0EAwIw\n" \
	"DTELMAkGA1UEAwwCY2EwHhcNMjYwMTAxMDAwMDAwWhcNNDYwMTAxMDAwMDAwWjAN\n" \
	"MQswCQYDVQQDDAJjYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABCbjo7Qz1SMK\n" \
	"g7k4FRPkSugFewVU1PNsmnL6oDL8o0lK2Bv1SOvCtwkyA5c7D1RweeDanJjaAwIv\n" \
	"pZpsusRhe7WjQjBAMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgEGMB0G\n" \
	"A1UdDgQWBBRQcuCFuUqv8de5tVChY/SKkl+K4TAKBggqhkjOPQQDAgNIADBFAiEA\n" \
	"getsSX6CzZmCi1hFvnHttuXUmPzlmNvoIcfN46O32awCIENLRAAEkMhMh8GXVc1F\n" \
	"JnBaE4Wat7I5pGy1M3+e0XFZ\n" \
	"-----END CERTIFICATE-----\n"

/* 70 characters of three bytes */
#define TEN "\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac\u20ac"
#define EUROS TEN TEN TEN TEN TEN TEN TEN

#define SUB "topics/t01/eventSubscriptions/s01"

/* A push subscription with a destination of that type, its properties, and
 * more members of push. */
#define PUSH(type, properties, more) \
	"{\"deliveryConfiguration\":{\"deliveryMode\":\"Push\",\"push\":{" \
	"\"destination\":{\"endpointType\":\"" type "\",\"properties\":" \
	properties "}" more "}}}"
#define HOOK(properties, more) PUSH("WebHook", "{\"endpointUrl\":" \
	"\"https://h/x?code=1\"" properties "}", more)
#define HEADER(name, type, properties) ",\"deliveryAttributeMappings\":[{" \
	"\"name\":\"" name "\",\"type\":\"" type "\",\"properties\":" \
	properties "}]"
#define HUB "/subscriptions/s/resourceGroups/g/providers/Microsoft.EventHub/" \
	"namespaces/n/eventhubs/h"
#define KAFKA(servers, more) PUSH("Kafka", "{\"bootstrapServers\":\"" servers \
	"\",\"topic\":\"t\"" more "}", "")

#define TS "{\"topicSpacesConfiguration\":"
#define AUTH "{\"clientAuthentication\":"

/* What is refused, and the words that name the field. */
static const struct {
	const char *path, *text, *fault;
} refused[] = {
	{ "topics/t02", "{\"eventRetentionInDays\":8}",
	    "eventRetentionInDays: 8 is not in 1..7" },
	{ "topics/t02", "{\"eventRetentionInDays\":1.5}",
	    "eventRetentionInDays: must be a whole number" },
	{ "topics/t02", "{\"eventRetentionInDays\":\"1\"}",
	    "eventRetentionInDays: must be a whole number" },
	{ "topics/t02", "{\"retention\":1}", "retention: no such property" },
	{ "topics/t02", "{\"inputSchema\":\"EventGridSchema\"}",
	    "inputSchema: 'EventGridSchema' is none of CloudEventSchemaV1_0" },
	{ "topics/nope/eventSubscriptions/s01", "{}",
	    "topics/nope: not found" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"receiveLockDurationInSeconds\":59}}}",
	    "deliveryConfiguration.queue.receiveLockDurationInSeconds: 59 is "
	    "not in 60..300" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"maxDeliveryCount\":11}}}", "maxDeliveryCount: 11 is not" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"eventTimeToLive\":\"P3D\"}}}",
	    "eventTimeToLive: is more than the topic's retention, P2D" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"eventTimeToLive\":\"PT90S\"}}}", "must be whole minutes" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"eventTimeToLive\":\"PT0S\"}}}", "must be whole minutes" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"eventTimeToLive\":\"soon\"}}}", "eventTimeToLive: must be a "
	    "duration" },
	{ SUB, "{\"deliveryConfiguration\":{\"deliveryMode\":\"Push\"}}",
	    "deliveryConfiguration.push: needs either destination" },
	{ SUB, "{\"deliveryConfiguration\":{\"push\":{}}}",
	    "deliveryConfiguration.push: deliveryMode is Queue" },
	{ SUB, "{\"deliveryConfiguration\":{\"deliveryMode\":\"Push\","
	    "\"push\":{\"destination\":{\"endpointType\":\"EventHub\","
	    "\"properties\":{\"endpointUrl\":\"x\"}}}}}",
	    "destination.properties.endpointUrl: no such property" },
	{ SUB, "{\"deliveryConfiguration\":{\"deliveryMode\":\"Push\","
	    "\"push\":{\"destination\":{\"endpointType\":\"WebHook\"}}}}",
	    "destination.properties: is required" },
	{ SUB, PUSH("StorageQueue", "{}", ""), "endpointType: 'StorageQueue' "
	    "is none of WebHook, EventHub, Kafka" },
	{ SUB, PUSH("WebHook", "{\"endpointUrl\":\"http://h/\"}", ""),
	    "destination.properties.endpointUrl: must be https://" },
	{ SUB, PUSH("WebHook", "{\"endpointUrl\":\"https://u:p@h/\"}", ""),
	    "endpointUrl: has a user or a password" },
	{ SUB, HOOK(",\"maxEventsPerBatch\":2",
	    ",\"contentMode\":\"binary\""),
	    "properties.maxEventsPerBatch: contentMode is binary" },
	{ SUB, HOOK("", ",\"timeoutInSeconds\":31"),
	    "push.timeoutInSeconds: 31 is not in 1..30" },
	{ SUB, HOOK("", ",\"timeoutInSeconds\":0"),
	    "push.timeoutInSeconds: 0 is not in 1..30" },
	{ SUB, HOOK("", ",\"abuseProtection\":\"No\""),
	    "push.abuseProtection: 'No' is none of Required, Off" },
	{ SUB, HOOK(HEADER("ce-id", "Static", "{\"value\":\"v\"}"), ""),
	    "deliveryConfiguration.push.destination.properties."
	    "deliveryAttributeMappings: delivery attribute 'ce-id'" },
	{ SUB, HOOK(HEADER("h", "Dynamic", "{}"), ""), "sourceField" },
	{ SUB, HOOK(HEADER("h", "Static", "{\"isSecret\":true}"), ""),
	    "a static one needs a value" },
	{ SUB, HOOK(HEADER("Authorization", "Static", "{\"value\":\"v\"}")
	    ",\"azureActiveDirectoryApplicationIdOrUri\":\"a\"", ""),
	    "'Authorization': the delivery has a credential" },
	{ SUB, PUSH("EventHub", "{\"resourceId\":\"" HUB "\"" HEADER(
	    "Authorization", "Static", "{\"value\":\"v\"}") "}", ""),
	    "'Authorization': the delivery has a credential" },
	{ SUB, PUSH("EventHub", "{\"resourceId\":\"/subscriptions/x/y\"}",
	    ""), "resourceId: must be the id of an event hub" },
	{ SUB, PUSH("EventHub", "{\"resourceId\":\"" HUB "/more\"}", ""),
	    "resourceId: must be the id of an event hub" },
	{ SUB, PUSH("EventHub", "{\"resourceId\":\"/providers/"
	    "Microsoft.EventHub/namespaces//eventhubs/h\"}", ""),
	    "resourceId: must be the id of an event hub" },
	{ SUB, KAFKA("h", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA("h:0", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA("h:65536", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA("a:1,", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA("a:1, b:2", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA("::1:9092", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA(":9092", ""), "bootstrapServers: must be HOST:PORT" },
	{ SUB, KAFKA("h:9092", ",\"credential\":\"secret\""),
	    "properties.credential: must be" },
	{ "namespace", "{\"webhookOrigin\":\"a b\"}",
	    "webhookOrigin: must be a DNS name" },
	{ "namespace", "{\"webhookOrigin\":\"\"}", "must be a DNS name" },
	{ "namespace", "{\"webhookOrigin\":\"a..b\"}", "must be a DNS name" },
	{ "namespace", "{\"webhookOrigin\":\"a-.b\"}", "must be a DNS name" },
	{ "namespace", "{\"webhookOrigin\":\"https://a\"}",
	    "must be a DNS name" },
	{ "namespace", "{\"listeners\":{\"callback\":\"h\"}}",
	    "listeners.callback: must be HOST:PORT" },
	{ SUB, "{\"filtersConfiguration\":{\"filters\":[{\"operatorType\":"
	    "\"NumberIn\",\"key\":\"data.x\",\"values\":[\"a\"]}]}}",
	    "filtersConfiguration.filters[0]" },
	{ SUB, "{\"filtersConfiguration\":{\"filters\":[{\"operatorType\":"
	    "\"Like\",\"key\":\"x\"}]}}",
	    "filtersConfiguration.filters[0].operatorType: 'Like'" },
	{ SUB, "{\"noDeadLetter\":true,\"deliveryConfiguration\":{\"queue\":{"
	    "\"deadLetterDestinationWithResourceIdentity\":{"
	    "\"deadLetterDestination\":{\"endpointType\":\"Directory\","
	    "\"properties\":{\"path\":\"/x\"}}}}}}",
	    "contradicts noDeadLetter" },
	{ SUB, "{\"deliveryConfiguration\":{\"queue\":{"
	    "\"deadLetterDestinationWithResourceIdentity\":{"
	    "\"deliveryRetryPeriodInDays\":3,\"deadLetterDestination\":{"
	    "\"endpointType\":\"Directory\",\"properties\":{\"path\":\"/x\"}}"
	    "}}}}", "deliveryRetryPeriodInDays: 3 is not in 0..2" },
	{ "clients/c", "{\"attributes\":{\"a b\":1}}", "attributes.a b: a "
	    "name has" },
	{ "clients/c", "{\"attributes\":{\"a\":{}}}", "attributes.a: must" },
	{ "clients/c", "{\"attributes\":{\"a\":[1]}}", "attributes.a: must" },
	{ "clients/c", "{\"clientCertificateAuthentication\":"
	    "{\"validationScheme\":\"ThumbprintMatch\"}}",
	    "allowedThumbprints: ThumbprintMatch needs" },
	{ "clients/c", "{\"clientCertificateAuthentication\":"
	    "{\"validationScheme\":\"ThumbprintMatch\","
	    "\"allowedThumbprints\":[\"A1B2C3\"]}}",
	    "clientCertificateAuthentication.allowedThumbprints[0]: 'A1B2C3' "
	    "is not a SHA-1" },
	{ "clients/c", "{\"clientCertificateAuthentication\":"
	    "{\"allowedThumbprints\":["
	    "\"da39a3ee5e6b4b0d3255bfef95601890afd80709\"]}}",
	    "allowedThumbprints: only with ThumbprintMatch" },
	{ "clients/c", "{\"authenticationName\":\"" EUROS EUROS "\"}",
	    "authenticationName: has 140 characters; must have 1 to 128" },
	{ "clientGroups/gr2", "{}", "query: is required" },
	{ "clientGroups/gr2", "{\"query\":\"attributes.x\"}",
	    "query: = <> != < > <= >= or IN expected at its end" },
	{ "topicSpaces/sp2", "{\"topicTemplates\":[]}",
	    "topicTemplates: has 0 elements" },
	{ "topicSpaces/sp2", "{\"topicTemplates\":[\"a\",\"#/a\"]}",
	    "topicTemplates[1]: '#' is the last level" },
	{ "caCertificates/ca1", "{\"encodedCertificate\":\"x\"}",
	    "encodedCertificate: must be one X.509 certificate" },
	{ "namespace", "{\"topicSpacesConfiguration\":{"
	    "\"routingEnrichments\":{\"static\":[{\"key\":\"a\",\"value\":"
	    "\"b\"},{\"key\":\"Id\",\"value\":\"b\"}]}}}",
	    "routingEnrichments.static[1].key: 'Id': only a to z" },
	{ "namespace", "{\"topicSpacesConfiguration\":{"
	    "\"routingEnrichments\":{\"static\":[{\"key\":\"a\",\"value\":"
	    "\"b\"}],\"dynamic\":[{\"key\":\"a\",\"value\":"
	    "\"${mqtt.message.pfi}\"}]}}}",
	    "routingEnrichments: key 'a' is there twice" },
	{ "namespace", "{\"topicSpacesConfiguration\":{"
	    "\"routingEnrichments\":{\"dynamic\":[{\"key\":\"a\",\"value\":"
	    "\"${client.name}\"}]}}}",
	    "routingEnrichments.dynamic[0].value: '${client.name}' is none" },
	{ "permissionBindings/pb1", "{\"clientGroupName\":\"$all\","
	    "\"topicSpaceName\":\"space\",\"permission\":\"Both\"}",
	    "permission: 'Both' is none of Publisher, Subscriber" },
	{ "roleAssignments/ra1", "{\"principalName\":\"ann\","
	    "\"roleDefinitionName\":\"EventGrid Contributor\","
	    "\"scope\":\"namespace\"}", "principalName: must be user:NAME" },
	{ "roleAssignments/ra1", "{\"principalName\":\"user:ann\","
	    "\"roleDefinitionName\":\"EventGrid Contributor\","
	    "\"scope\":\"topics/nope\"}", "scope: there is no 'topics/nope'" },
	{ "namespace", "{\"listeners\":{\"mqtts\":\"localhost\"}}",
	    "listeners.mqtts: must be HOST:PORT" },
	{ "namespace", "{\"listeners\":{\"mqtts\":\"localhost:65536\"}}",
	    "listeners.mqtts: must be HOST:PORT" },
	{ "namespace", "{\"sku\":{\"capacity\":41}}", "sku.capacity: 41" },
	{ "namespace", "{\"profile\":\"aws\"}",
	    "profile: 'aws' is none of Default, Azure" },
	{ "namespace", TS "{\"routingSpool\":{\"maximumBytes\":1}}}",
	    "routingSpool.maximumBytes: 1 is not in 1024.." },
	{ "namespace", TS AUTH "{\"customJwtAuthentication\":{"
	    "\"encodedIssuerCertificates\":[{\"kid\":\"k\","
	    "\"encodedCertificate\":\"x\"}]}}}}",
	    "encodedIssuerCertificates[0].encodedCertificate: must be one" },
	{ "namespace", TS AUTH "{\"webhookAuthentication\":{"
	    "\"endpointUrl\":\"http://h/x\"}}}}",
	    "webhookAuthentication.endpointUrl: must be https://" },
	{ "namespace", TS AUTH "{\"webhookAuthentication\":{"
	    "\"endpointUrl\":\"https:///x\"}}}}", "must be https://HOST" },
	{ "namespace", TS AUTH "{\"webhookAuthentication\":{"
	    "\"endpointUrl\":\"https://h/a b\"}}}}", "has no blanks" },
	{ "namespace", "{\"location\":\"elsewhere\"}",
	    "location: cannot be changed after creation" },
	{ "namespace", "{\"tags\":{\"a\":1}}", "tags.a: must be a string" },
};

static void
what_is_wrong_is_refused_by_field(void)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct fault f = { 0 };
		int rc = put(refused[i].path, refused[i].text, &f);

		if (rc != -1 || strstr(f.text, refused[i].fault) == NULL)
			printf("# %s: %s\n", refused[i].text, f.text);
		CHECK(rc == -1 && strstr(f.text, refused[i].fault) != NULL);
	}
}

static bool
holds(const char *path, const char *member, const char *json)
{
	jv v = registry_get(registry, path), m = jq_get(v, member);
	jv text = jv_dump_string(m, 0);
	bool ok = strcmp(jv_string_value(text), json) == 0;

	if (!ok)
		printf("# %s: %s\n", member, jv_string_value(text));
	jv_free(text);
	jv_free(v);
	return ok;
}

static void
what_is_left_out_is_filled_in(void)
{
	CHECK(put(SUB, "{}", NULL) == 0);
	CHECK(holds(SUB, "properties.deliveryConfiguration.deliveryMode",
	    "\"Queue\""));
	CHECK(holds(SUB, "properties.deliveryConfiguration.queue", "{"
	    "\"receiveLockDurationInSeconds\":60,\"maxDeliveryCount\":10,"
	    "\"deadLetterDestinationWithResourceIdentity\":{"
	    "\"deadLetterDestination\":{\"endpointType\":\"StorageBlob\","
	    "\"properties\":{\"resourceId\":\"/subscriptions/s/resourceGroups/"
	    "g/providers/Microsoft.Storage/storageAccounts/local\","
	    "\"blobContainerName\":\"deadletter\"}},"
	    "\"deliveryRetryPeriodInDays\":2}}"));
	CHECK(holds(SUB, "properties.provisioningState", "\"Succeeded\""));
	CHECK(holds(SUB, "id", "\"/subscriptions/s/resourceGroups/g/providers/"
	    "Microsoft.EventGrid/namespaces/ns/" SUB "\""));
	CHECK(holds("namespace", "properties.topicSpacesConfiguration."
	    "routingSpool.maximumBytes", "1073741824"));
	CHECK(holds("namespace", "properties.profile", "\"Default\""));
	CHECK(put("clients/a.b", "{\"state\":\"disabled\"}", NULL) == 0);
	CHECK(holds("clients/a.b", "properties.authenticationName",
	    "\"a.b\""));
	CHECK(holds("clients/a.b", "properties.state", "\"Disabled\""));
	CHECK(put("clients/euro", "{\"authenticationName\":\"" EUROS "\"}",
	    NULL) == 0);
}

#define ACCOUNT "/subscriptions/s/resourceGroups/g/providers/" \
	"Microsoft.Storage/storageAccounts/abc"

static void
the_flat_dead_letter_shape_becomes_arms(void)
{
	CHECK(put(SUB, "{\"deliveryConfiguration\":{\"deliveryMode\":\"queue\","
	    "\"queue\":{\"deadLetterDestinationWithResourceIdentity\":{"
	    "\"deliveryRetryPeriodInDays\":1,\"endpointType\":\"StorageBlob\","
	    "\"StorageBlob\":{\"blobContainerName\":\"abc\",\"resourceId\":"
	    "\"" ACCOUNT "\"},\"identity\":{\"type\":\"SystemAssigned\"}"
	    "}}}}", NULL) == 0);
	CHECK(holds(SUB, "properties.deliveryConfiguration.queue."
	    "deadLetterDestinationWithResourceIdentity", "{\"identity\":{"
	    "\"type\":\"SystemAssigned\"},\"deadLetterDestination\":{"
	    "\"endpointType\":\"StorageBlob\",\"properties\":{\"resourceId\":"
	    "\"" ACCOUNT "\",\"blobContainerName\":\"abc\"}},"
	    "\"deliveryRetryPeriodInDays\":1}"));
}

static void
silent_loss_has_to_be_asked_for(void)
{
	struct fault f = { 0 };

	CHECK(put(SUB, "{\"noDeadLetter\":true}", NULL) == 0);
	CHECK(holds(SUB, "properties.deliveryConfiguration.queue."
	    "deadLetterDestinationWithResourceIdentity", "null"));
	CHECK(put("namespace", "{\"allowNoDeadLetter\":false}", NULL) == 0);
	CHECK(put(SUB, "{\"noDeadLetter\":true}", &f) == -1);
	CHECK(strstr(f.text, "allowNoDeadLetter is false") != NULL);
	CHECK(put("namespace", "{}", NULL) == 0);
}

static void
a_retention_covers_the_time_to_live(void)
{
	struct fault f = { 0 };

	CHECK(put(SUB, "{\"deliveryConfiguration\":{\"queue\":"
	    "{\"eventTimeToLive\":\"P2D\"}}}", NULL) == 0);
	CHECK(put("topics/t01", "{\"eventRetentionInDays\":1}", &f) == -1);
	CHECK(strstr(f.text, SUB) != NULL);
	CHECK(put("topics/t01", "{\"eventRetentionInDays\":7}", NULL) == 0);
}

static void
what_is_ours_stays(void)
{
	jv before = registry_get(registry, "topics/t01"), after;
	bool changed = true;

	after = schema_make(registry, "topics/t01", jv_parse("{\"uid\":\"mine\""
	    ",\"provisioningState\":\"Failed\",\"eventRetentionInDays\":7}"),
	    "user:bob", &changed, NULL);
	CHECK(!changed && jv_equal(after, jv_copy(before)));
	jv_free(before);
	CHECK(put("clients/fix", "{\"authenticationName\":\"x\"}", NULL) == 0);
	CHECK(put("clients/fix", "{\"description\":\"d\"}", NULL) == 0);
	CHECK(holds("clients/fix", "properties.authenticationName", "\"x\""));
	CHECK(put("clients/fix", "{\"authenticationName\":\"y\"}", NULL)
	    == -1);
}

#define DESTINATION "properties.deliveryConfiguration.push.destination."

static void
what_push_may_be(void)
{
	CHECK(put(SUB, PUSH("eventhub", "{\"resourceId\":\"" HUB "\"}", ""),
	    NULL) == 0);
	CHECK(put(SUB, KAFKA("a.b:9092,[::1]:1,10.0.0.1:65535",
	    ",\"credential\":{\"file\":\"/f\"}"), NULL) == 0);
	CHECK(put(SUB, HOOK("", ",\"contentMode\":\"binary\""), NULL) == 0);
	CHECK(holds(SUB, "properties.deliveryConfiguration.push."
	    "timeoutInSeconds", "30"));
	CHECK(holds(SUB, "properties.deliveryConfiguration.push."
	    "abuseProtection", "\"Required\""));
	CHECK(holds(SUB, DESTINATION "properties.endpointBaseUrl",
	    "\"https://h/x\""));
	CHECK(put(SUB, PUSH("webhook", "{\"endpointUrl\":\"http://[::1]:80#f\""
	    ",\"endpointBaseUrl\":\"https://mine/\"}", ""), NULL) == 0);
	CHECK(holds(SUB, DESTINATION "properties.endpointBaseUrl",
	    "\"http://[::1]:80\""));
	CHECK(holds("namespace", "properties.webhookOrigin",
	    "\"eventgrid.azure.net\""));
	CHECK(holds("namespace", "properties.listeners.callback", "null"));
	registry_delete(registry, SUB, NULL);
}

/* What is shown, changed and applied has no secrets: they are as before. */
static void
secrets_that_are_not_mentioned_stay(void)
{
	static const char values[] = DESTINATION
	    "properties.deliveryAttributeMappings";
	jv before;
	bool changed;

	CHECK(put(SUB, HOOK(HEADER("h", "Static",
	    "{\"value\":\"v\",\"isSecret\":true}"), ""), NULL) == 0);
	before = registry_get(registry, SUB);
	jv_free(schema_make(registry, SUB, schema_hoist(schema_public(
	    schema_noun(SUB), jv_copy(before))), "user:ann", &changed, NULL));
	CHECK(!changed);
	jv_free(before);
	CHECK(put(SUB, PUSH("WebHook", "{\"maxEventsPerBatch\":5" HEADER("H",
	    "Static", "{\"isSecret\":true}") "}", ""), NULL) == 0);
	CHECK(holds(SUB, DESTINATION "properties.endpointUrl",
	    "\"https://h/x?code=1\""));
	CHECK(holds(SUB, values, "[{\"name\":\"H\",\"type\":\"Static\","
	    "\"properties\":{\"value\":\"v\",\"isSecret\":true}}]"));
	/* but no other name gets it, and it cannot be made public */
	CHECK(put(SUB, HOOK(HEADER("g", "Static", "{\"isSecret\":true}"), ""),
	    NULL) == -1);
	CHECK(put(SUB, HOOK(HEADER("h", "Static", "{\"isSecret\":false}"), ""),
	    NULL) == -1);
	/* another URL is what was said */
	CHECK(put(SUB, PUSH("WebHook", "{\"endpointUrl\":\"https://g/\"}",
	    ""), NULL) == 0);
	CHECK(holds(SUB, DESTINATION "properties.endpointUrl",
	    "\"https://g/\""));
	registry_delete(registry, SUB, NULL);
	CHECK(put(SUB, PUSH("WebHook", "{}", ""), NULL) == -1);
}

static void
secrets_are_not_shown(void)
{
	jv v;

	CHECK(put(SUB, HOOK(HEADER("h", "Static",
	    "{\"value\":\"v\",\"isSecret\":true}"), ""), NULL) == 0);
	v = jv_dump_string(schema_public(schema_noun(SUB),
	    registry_get(registry, SUB)), 0);
	CHECK(strstr(jv_string_value(v), "code=1") == NULL);
	CHECK(strstr(jv_string_value(v), "\"value\"") == NULL);
	CHECK(strstr(jv_string_value(v), "maxEventsPerBatch") != NULL);
	jv_free(v);
	v = jv_dump_string(schema_public(schema_noun("topics/t01"),
	    registry_get(registry, "topics/t01")), 0);
	CHECK(strstr(jv_string_value(v), "key1") == NULL);
	jv_free(v);
}

static void
dangling_names_are_found(void)
{
	static const struct {
		const char *path, *text, *fault;
	} cases[] = {
		{ "permissionBindings/pb1", "{\"clientGroupName\":\"none\","
		    "\"topicSpaceName\":\"space\",\"permission\":"
		    "\"Publisher\"}", "there is no client group 'none'" },
		{ "permissionBindings/pb1", "{\"clientGroupName\":\"$all\","
		    "\"topicSpaceName\":\"none\",\"permission\":"
		    "\"publisher\"}", "there is no topic space 'none'" },
		{ "permissionBindings/pb1", "{\"clientGroupName\":\"group\","
		    "\"topicSpaceName\":\"space\",\"permission\":"
		    "\"Publisher\"}", "" },
		{ "namespace", "{\"topicSpacesConfiguration\":"
		    "{\"routeTopicResourceId\":\"/subscriptions/s/"
		    "resourceGroups/g/providers/Microsoft.EventGrid/"
		    "namespaces/ns/topics/none\"}}",
		    "routeTopicResourceId: there is no topic" },
		{ "namespace", "{\"topicSpacesConfiguration\":"
		    "{\"routeTopicResourceId\":\"/subscriptions/x/"
		    "resourceGroups/y/providers/Microsoft.EventGrid/"
		    "Namespaces/NS/Topics/t01\"}}", "" },
		{ "namespace", "{\"lifecycleTopicResourceId\":\"topics/no\"}",
		    "lifecycleTopicResourceId: there is no topic" },
		{ "namespace", "{}", "" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fault f = { 0 };

		CHECK(put(cases[i].path, cases[i].text, &f) == 0);
		CHECK(schema_links(registry, &f) ==
		    (cases[i].fault[0] == '\0' ? 0 : -1));
		if (strstr(f.text, cases[i].fault) == NULL)
			printf("# %s\n", f.text);
		CHECK(strstr(f.text, cases[i].fault) != NULL);
	}
}

static void
certificates_tell_their_times(void)
{
	jv given = jv_object_set(jv_object(), jv_string("encodedCertificate"),
	    jv_string(CA)), v;
	bool changed;

	v = schema_make(registry, "caCertificates/ca1", jv_copy(given), "u",
	    &changed, NULL);
	CHECK(jv_is_valid(v));
	CHECK(registry_put(registry, "caCertificates/ca1", v, NULL) == 0);
	CHECK(holds("caCertificates/ca1", "properties.issueTimeInUtc",
	    "\"2026-01-01T00:00:00.000000Z\""));
	CHECK(holds("caCertificates/ca1", "properties.expiryTimeInUtc",
	    "\"2046-01-01T00:00:00.000000Z\""));
	/* what others say about them does not count */
	given = jv_object_set(given, jv_string("expiryTimeInUtc"),
	    jv_string("2000-01-01T00:00:00Z"));
	jv_free(schema_make(registry, "caCertificates/ca1", given, "u",
	    &changed, NULL));
	CHECK(!changed);
}

static void
an_authentication_name_is_of_one_client(void)
{
	struct fault f = { 0 };

	CHECK(put("clients/one", "{\"authenticationName\":\"The One\"}", NULL)
	    == 0);
	CHECK(put("clients/two", "{\"attributes\":{\"authenticationName\":"
	    "\"the one\"}}", NULL) == 0);
	CHECK(schema_links(registry, NULL) == 0);
	CHECK(registry_commit(registry, "user:ann", NULL) == 0);
	CHECK(put("clients/three", "{\"authenticationName\":\"tHE oNE\"}",
	    NULL) == 0);
	CHECK(schema_links(registry, &f) == -1 && f.code == FAULT_CONFLICT);
	CHECK(strcmp(f.text, "clients/three: authenticationName: clients/one "
	    "has it; case does not count") == 0);
	/* the one that had it goes */
	CHECK(registry_delete(registry, "clients/one", NULL) == 0);
	CHECK(schema_links(registry, NULL) == 0);
	/* two new ones */
	CHECK(put("clients/TWO", "{\"authenticationName\":\"2\"}", NULL) == 0);
	CHECK(put("clients/2", "{}", NULL) == 0);
	CHECK(schema_links(registry, &f) == -1);
	CHECK(strstr(f.text, "clients/TWO: authenticationName: clients/2 has")
	    != NULL);
	CHECK(registry_delete(registry, "clients/2", NULL) == 0);
	CHECK(registry_commit(registry, "user:ann", NULL) == 0);
}

static void
there_are_not_too_many(void)
{
	struct fault f = { 0 };
	char path[SCHEMA_PATH];

	for (int i = 2; i <= 100; i++) {
		snprintf(path, sizeof(path), "topics/t%02d", i);
		CHECK(put(path, "{}", NULL) == 0);
	}
	CHECK(schema_links(registry, &f) == 0);
	CHECK(put("topics/onemore", "{}", NULL) == 0);
	CHECK(schema_links(registry, &f) == -1 && f.code == FAULT_TOO_MANY);
	CHECK(put("namespace", "{\"sku\":{\"capacity\":2}}", NULL) == 0);
	CHECK(schema_links(registry, &f) == 0);
	for (int i = 0; i < 499; i++) {
		snprintf(path, sizeof(path), "topics/t01/eventSubscriptions/"
		    "n%03d", i);
		CHECK(put(path, "{}", NULL) == 0);
	}
	CHECK(schema_links(registry, &f) == 0);
	CHECK(put("topics/t01/eventSubscriptions/onemore", "{}", NULL) == 0);
	CHECK(schema_links(registry, &f) == -1 && f.code == FAULT_TOO_MANY);
}

static void
names_have_a_length_and_an_alphabet(void)
{
	static const struct {
		enum schema_kind kind;
		const char *name;
		bool good;
	} cases[] = {
		{ SCHEMA_TOPIC, "ab", false },
		{ SCHEMA_TOPIC, "abc", true },
		{ SCHEMA_TOPIC, "a_c", false },
		{ SCHEMA_TOPIC, "a/c", false },
		{ SCHEMA_TOPIC, "..-", false },
		{ SCHEMA_TOPIC, "12345678901234567890123456789012345678901234567"
		    "890", true },
		{ SCHEMA_TOPIC, "12345678901234567890123456789012345678901234567"
		    "8901", false },
		{ SCHEMA_CLIENT, "a", true },
		{ SCHEMA_CLIENT, "a:b.c_d-e", true },
		{ SCHEMA_CLIENT, "a b", false },
		{ SCHEMA_CLIENT_GROUP, "$all", false },
		{ SCHEMA_NAMESPACE, "microsoft-x", false },
		{ SCHEMA_TOPIC, "microsoft-x", true },
	};
	char path[SCHEMA_PATH];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK((schema_path(path, &schema_nouns[cases[i].kind], NULL,
		    cases[i].name, NULL) == 0) == cases[i].good);
}

int
main(void)
{
	if (mkdtemp(dir) == NULL || (spool.fd = open(dir, O_RDONLY)) == -1)
		return 99;
	spool.path = dir;
	RUN(begin);
	RUN(what_is_wrong_is_refused_by_field);
	RUN(what_is_left_out_is_filled_in);
	RUN(the_flat_dead_letter_shape_becomes_arms);
	RUN(silent_loss_has_to_be_asked_for);
	RUN(a_retention_covers_the_time_to_live);
	RUN(what_is_ours_stays);
	RUN(what_push_may_be);
	RUN(secrets_that_are_not_mentioned_stay);
	RUN(secrets_are_not_shown);
	RUN(dangling_names_are_found);
	RUN(certificates_tell_their_times);
	RUN(an_authentication_name_is_of_one_client);
	RUN(there_are_not_too_many);
	RUN(names_have_a_length_and_an_alphabet);
	registry_close(registry);
	spool_remove(spool.fd, "namespace");
	rmdir(dir);
	DONE();
}
