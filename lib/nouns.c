/* The table of schema.h: every noun, every property. */
#include "schema.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "address.h"
#include "cert.h"
#include "endpoint.h"
#include "enrich.h"
#include "group.h"
#include "iprange.h"
#include "kafka_properties.h"
#include "storage.h"
#include "template.h"

#define END { .name = NULL }

static const struct schema any = { .type = SCHEMA_ANY };
static const struct schema text = { .type = SCHEMA_STRING };
static const struct schema seconds = {
	.type = SCHEMA_INT, .min = 0, .max = 86400
};

/* ---- strings with a language of their own ---- */

static int
check_template(const char *s, struct fault *f)
{
	struct template t;

	return template_parse(&t, s, f);
}

static int
check_query(const char *s, struct fault *f)
{
	struct group *g = group_compile(s, f);

	group_free(g);
	return g == NULL ? -1 : 0;
}

static int
check_expression(const char *s, struct fault *f)
{
	struct enrich e;

	return enrich_parse(&e, s, f);
}

static int
check_https(const char *s, struct fault *f)
{
	static const char scheme[] = "https://";
	const size_t len = sizeof(scheme) - 1;

	/* what is no host, or cannot stand in a request */
	if (strncasecmp(s, scheme, len) != 0 || strchr("/:?#", s[len]) != NULL)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "must be https://HOST[:PORT]/...");
	for (const unsigned char *p = (const unsigned char *)s; *p != '\0'; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return fault_set(f, FAULT_BAD_REQUEST, "a URL has no "
			    "blanks and is ASCII; others are written %%XX");
	return 0;
}

static int
check_range(const char *s, struct fault *f)
{
	struct iprange r;

	return iprange_parse(&r, s, f);
}

/* An empty value is none. */
static int
check_trusted(const char *s, struct fault *f)
{
	return *s == '\0' ? 0 : cert_check_bundle(s, f);
}

/* RFC 1123, 2.1 */
static int
check_host(const char *s, struct fault *f)
{
	size_t len = strlen(s), label = 0;

	for (size_t i = 0; i <= len; i++) {
		if (s[i] == '.' || s[i] == '\0') {
			if (label == 0 || label > 63 || s[i - 1] == '-')
				break;
			label = 0;
		} else if (isascii((unsigned char)s[i]) &&
		    (isalnum((unsigned char)s[i]) ||
		    (s[i] == '-' && label > 0)))
			label++;
		else
			break;
		if (i == len && len <= 253)
			return 0;
	}
	return fault_set(f, FAULT_BAD_REQUEST, "must be a DNS name");
}

/* HOST:PORT, [ADDRESS]:PORT */
static bool
is_server(const char *s, size_t len)
{
	struct address a;

	address_split(&a, s, len);
	if (a.host_len == 0 || address_port(a.port, a.port_len) < 1 ||
	    *a.port == '0')
		return false;
	if (a.host > s)
		return strspn(a.host, "0123456789abcdefABCDEF:.") ==
		    a.host_len;
	for (size_t i = 0; i < a.host_len; i++)
		if (!isascii((unsigned char)s[i]) ||
		    (!isalnum((unsigned char)s[i]) && strchr("-._", s[i])
		    == NULL))
			return false;
	return true;
}

static int
check_servers(const char *s, struct fault *f)
{
	size_t len;

	for (;; s += len + 1) {
		len = strcspn(s, ",");
		if (!is_server(s, len))
			return fault_set(f, FAULT_BAD_REQUEST,
			    "must be HOST:PORT[,HOST:PORT...]");
		if (s[len] == '\0')
			return 0;
	}
}

static int
check_hub(const char *s, struct fault *f)
{
	static const char provider[] =
	    "/providers/Microsoft.EventHub/namespaces/";
	static const char hubs[] = "/eventhubs/";
	const char *at = s[0] == '/' ? strcasestr(s, provider) : NULL;
	size_t len;

	if (at != NULL) {
		at += sizeof(provider) - 1;
		len = strcspn(at, "/");
		if (len > 0 && strncasecmp(at + len, hubs,
		    sizeof(hubs) - 1) == 0) {
			at += len + sizeof(hubs) - 1;
			if (*at != '\0' && strchr(at, '/') == NULL)
				return 0;
		}
	}
	return fault_set(f, FAULT_BAD_REQUEST, "must be the id of an event hub,"
	    " .../providers/Microsoft.EventHub/namespaces/NAMESPACE/eventhubs/"
	    "HUB");
}

/* ---- identities ---- */

static const struct schema user_identity_members[] = {
	{ "principalId", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ "clientId", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	END,
};
static const struct schema user_identity = {
	.type = SCHEMA_OBJECT, .of = user_identity_members
};

static const struct schema identity[] = {
	{ "type", SCHEMA_ENUM, .dflt = "\"None\"",
	    .values = "None|SystemAssigned|UserAssigned|"
	    "SystemAssigned, UserAssigned" },
	{ "principalId", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ "tenantId", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ "userAssignedIdentities", SCHEMA_MAP, .of = &user_identity, .max = 2,
	    .help = "resource id of an identity -> {}" },
	END,
};

static const struct schema federated[] = {
	{ .name = "federatedClientId", .type = SCHEMA_STRING },
	END,
};

static const struct schema delivery_identity[] = {
	{ "type", SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	    .values = "SystemAssigned|UserAssigned" },
	{ .name = "userAssignedIdentity", .type = SCHEMA_STRING },
	{ "federatedIdentityCredentialInfo", SCHEMA_OBJECT, .of = federated },
	END,
};

static const struct schema routing_identity[] = {
	{ "type", SCHEMA_ENUM, .dflt = "\"None\"",
	    .values = "None|SystemAssigned|UserAssigned" },
	{ .name = "userAssignedIdentity", .type = SCHEMA_STRING },
	END,
};

static const struct schema domain_identity[] = {
	{ "type", SCHEMA_ENUM, .values = "SystemAssigned|UserAssigned" },
	{ .name = "userAssignedIdentity", .type = SCHEMA_STRING },
	END,
};

/* ---- namespace ---- */

static const struct schema sku[] = {
	{ "name", SCHEMA_ENUM, .dflt = "\"Standard\"", .values = "Standard" },
	{ "capacity", SCHEMA_INT, .dflt = "1", .min = 1, .max = 40,
	    .help = "throughput units" },
	END,
};

static const struct schema ip_rule_members[] = {
	{ "ipMask", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .check = check_range,
	    .help = "an address range, 192.0.2.0/24" },
	{ "action", SCHEMA_ENUM, .dflt = "\"Allow\"", .values = "Allow" },
	END,
};
static const struct schema ip_rule = {
	.type = SCHEMA_OBJECT, .of = ip_rule_members
};

static const struct schema domain_members[] = {
	{ "fullyQualifiedDomainName", SCHEMA_STRING,
	    .flags = SCHEMA_REQUIRED },
	{ "validationState", SCHEMA_ENUM,
	    .values = "Pending|Approved|ErrorRetrievingDnsRecord" },
	{ "identity", SCHEMA_OBJECT, .of = domain_identity },
	{ .name = "certificateUrl", .type = SCHEMA_STRING },
	{ .name = "expectedTxtRecordName", .type = SCHEMA_STRING },
	{ .name = "expectedTxtRecordValue", .type = SCHEMA_STRING },
	END,
};
static const struct schema domain = {
	.type = SCHEMA_OBJECT, .of = domain_members
};

static const struct schema topics_configuration[] = {
	{ "hostname", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ "customDomains", SCHEMA_ARRAY, .of = &domain },
	END,
};

static const struct schema static_enrichment_members[] = {
	{ "key", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 20, .check = enrich_check_key },
	{ "valueType", SCHEMA_ENUM, .dflt = "\"String\"",
	    .values = "String" },
	{ "value", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 128 },
	END,
};
static const struct schema static_enrichment = {
	.type = SCHEMA_OBJECT, .of = static_enrichment_members
};
static const struct schema dynamic_enrichment_members[] = {
	{ "key", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 20, .check = enrich_check_key },
	{ "value", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 128, .check = check_expression,
	    .help = "${client.authenticationName} and the like" },
	END,
};
static const struct schema dynamic_enrichment = {
	.type = SCHEMA_OBJECT, .of = dynamic_enrichment_members
};
static const struct schema enrichments[] = {
	{ "static", SCHEMA_ARRAY, .of = &static_enrichment,
	    .max = ENRICH_MAX },
	{ "dynamic", SCHEMA_ARRAY, .of = &dynamic_enrichment,
	    .max = ENRICH_MAX },
	END,
};

static const struct schema name_source = {
	.type = SCHEMA_ENUM,
	.values = "ClientCertificateSubject|ClientCertificateDns|"
	    "ClientCertificateUri|ClientCertificateIp|ClientCertificateEmail"
};
static const struct schema issuer_members[] = {
	{ "certificateUrl", SCHEMA_STRING, .flags = SCHEMA_REQUIRED },
	{ "identity", SCHEMA_OBJECT, .of = domain_identity },
	END,
};
static const struct schema issuer = {
	.type = SCHEMA_OBJECT, .of = issuer_members
};
static const struct schema encoded_issuer_members[] = {
	{ "kid", SCHEMA_STRING, .flags = SCHEMA_REQUIRED },
	{ "encodedCertificate", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .min = 1, .max = 65536, .check = cert_check_rsa,
	    .help = "PEM of one with an RSA key" },
	END,
};
static const struct schema encoded_issuer = {
	.type = SCHEMA_OBJECT, .of = encoded_issuer_members
};
static const struct schema jwt[] = {
	{ .name = "tokenIssuer", .type = SCHEMA_STRING },
	{ "issuerCertificates", SCHEMA_ARRAY, .of = &issuer, .max = 2 },
	{ "encodedIssuerCertificates", SCHEMA_ARRAY, .of = &encoded_issuer,
	    .max = 2 },
	END,
};
static const struct schema webhook_authentication[] = {
	{ "identity", SCHEMA_OBJECT, .of = routing_identity },
	{ "endpointUrl", SCHEMA_STRING, .flags = SCHEMA_SECRET,
	    .check = check_https, .help = "https://HOST/..." },
	{ "endpointBaseUrl", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ .name = "azureActiveDirectoryApplicationIdOrUri",
	    .type = SCHEMA_STRING },
	{ .name = "azureActiveDirectoryTenantId", .type = SCHEMA_STRING },
	END,
};
static const struct schema client_authentication[] = {
	{ "alternativeAuthenticationNameSources", SCHEMA_ARRAY,
	    .of = &name_source, .max = 5 },
	{ "customJwtAuthentication", SCHEMA_OBJECT, .of = jwt },
	{ "webhookAuthentication", SCHEMA_OBJECT,
	    .of = webhook_authentication },
	END,
};

static const struct schema session_queue[] = {
	{ "maximumMessages", SCHEMA_INT, .dflt = "100000", .min = 1,
	    .max = 100000000 },
	{ "maximumBytes", SCHEMA_INT, .dflt = "67108864", .min = 1024,
	    .max = INT64_C(1) << 40 },
	END,
};

static const struct schema routing_spool[] = {
	{ "maximumBytes", SCHEMA_INT, .dflt = "1073741824", .min = 1024,
	    .max = INT64_C(1) << 50 },
	END,
};

static const struct schema topic_spaces_configuration[] = {
	{ "state", SCHEMA_ENUM, .dflt = "\"Disabled\"",
	    .values = "Disabled|Enabled", .help = "the MQTT broker" },
	{ "hostname", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ "routeTopicResourceId", SCHEMA_STRING,
	    .help = "topic that MQTT messages go to: its name, or the resource "
	    "id of a custom topic" },
	{ "routingIdentityInfo", SCHEMA_OBJECT, .of = routing_identity },
	{ "routingEnrichments", SCHEMA_OBJECT, .of = enrichments },
	{ "maximumSessionExpiryInHours", SCHEMA_INT, .dflt = "1", .min = 1,
	    .max = 8 },
	{ "maximumClientSessionsPerAuthenticationName", SCHEMA_INT,
	    .dflt = "1", .min = 1, .max = 100 },
	{ "clientAuthentication", SCHEMA_OBJECT, .of = client_authentication },
	{ "customDomains", SCHEMA_ARRAY, .of = &domain },
	{ "sessionQueue", SCHEMA_OBJECT, .dflt = "{}", .of = session_queue,
	    .help = "of an offline or stalled session" },
	{ "routingSpool", SCHEMA_OBJECT, .dflt = "{}", .of = routing_spool,
	    .help = "what may wait in route/; then publishes are "
	    "refused" },
	END,
};

static const struct schema listeners[] = {
	{ "mqtts", SCHEMA_ADDRESS, .dflt = "\"127.0.0.1:8883\"",
	    .help = "MQTT over TLS" },
	{ "wss", SCHEMA_ADDRESS, .dflt = "\"127.0.0.1:8443\"",
	    .help = "MQTT over secure WebSocket" },
	{ "https", SCHEMA_ADDRESS, .dflt = "\"127.0.0.1:8444\"",
	    .help = "the REST interface" },
	{ "callback", SCHEMA_ADDRESS,
	    .help = "where webhooks may say yes after the handshake" },
	END,
};

static const struct schema endpoint_members[] = {
	{ "resourceId", SCHEMA_STRING, .flags = SCHEMA_REQUIRED },
	{ "url", SCHEMA_STRING, .check = endpoint_check_place,
	    .help = "https://HOST/..., kafkas://HOST:PORT/TOPIC" },
	{ "credential", SCHEMA_ANY, .check_any = endpoint_check_credential,
	    .help = "{file}, {command} or {identity}; type: bearer, key, sas, "
	    "connectionString" },
	END,
};
static const struct schema endpoint = {
	.type = SCHEMA_OBJECT, .of = endpoint_members,
	.check_any = endpoint_check_entry
};

static const struct schema namespace_members[] = {
	{ "location", SCHEMA_STRING, .flags = SCHEMA_TOP | SCHEMA_FIXED,
	    .dflt = "\"local\"", .min = 1, .max = 64 },
	{ "tags", SCHEMA_MAP, .flags = SCHEMA_TOP, .of = &text, .max = 50 },
	{ "identity", SCHEMA_OBJECT, .flags = SCHEMA_TOP, .dflt = "{}",
	    .of = identity },
	{ "sku", SCHEMA_OBJECT, .flags = SCHEMA_TOP, .dflt = "{}", .of = sku },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	{ "isZoneRedundant", SCHEMA_BOOL, .flags = SCHEMA_FIXED },
	{ "publicNetworkAccess", SCHEMA_ENUM, .dflt = "\"Enabled\"",
	    .values = "Enabled|Disabled|SecuredByPerimeter" },
	{ "inboundIpRules", SCHEMA_ARRAY, .of = &ip_rule, .max = 16 },
	{ "minimumTlsVersionAllowed", SCHEMA_ENUM, .dflt = "\"1.2\"",
	    .values = "1.2" },
	{ "privateEndpointConnections", SCHEMA_ARRAY, .of = &any },
	{ "topicsConfiguration", SCHEMA_OBJECT, .dflt = "{}",
	    .of = topics_configuration },
	{ "topicSpacesConfiguration", SCHEMA_OBJECT, .dflt = "{}",
	    .of = topic_spaces_configuration },
	{ "listeners", SCHEMA_OBJECT, .dflt = "{}", .of = listeners,
	    .help = "HOST:PORT of each; port 0 is any free one" },
	{ "endpoints", SCHEMA_ARRAY, .of = &endpoint,
	    .help = "what resource ids of other services mean" },
	{ "deliverySchedule", SCHEMA_ARRAY, .of = &seconds, .min = 1,
	    .max = 100, .help = "seconds between push attempts" },
	{ "deadLetterSchedule", SCHEMA_ARRAY, .of = &seconds, .min = 1,
	    .max = 100, .help = "seconds between dead-letter writes" },
	{ "routingSchedule", SCHEMA_ARRAY, .of = &seconds, .min = 1,
	    .max = 100, .help = "seconds between routing attempts" },
	{ "webhookOrigin", SCHEMA_STRING, .dflt = "\"eventgrid.azure.net\"",
	    .check = check_host,
	    .help = "who we say to webhooks that we are" },
	{ "lifecycleTopicResourceId", SCHEMA_STRING,
	    .help = "topic that gets the clients' life-cycle events: as "
	    "routeTopicResourceId" },
	{ "trustedCertificates", SCHEMA_STRING, .check = check_trusted,
	    .help = "PEM of the authorities that endpoints are checked with" },
	{ "profile", SCHEMA_ENUM, .dflt = "\"Default\"",
	    .values = "Default|Azure",
	    .help = "Azure: the broker keeps the service's limits and habits "
	    "where ours are wider" },
	{ "allowNoDeadLetter", SCHEMA_BOOL, .dflt = "true",
	    .help = "may a subscription be without a dead-letter destination" },
	END,
};

/* ---- topic ---- */

static const struct schema topic_members[] = {
	{ "publisherType", SCHEMA_ENUM, .flags = SCHEMA_FIXED,
	    .dflt = "\"Custom\"", .values = "Custom" },
	{ "inputSchema", SCHEMA_ENUM, .flags = SCHEMA_FIXED,
	    .dflt = "\"CloudEventSchemaV1_0\"",
	    .values = "CloudEventSchemaV1_0" },
	{ "eventRetentionInDays", SCHEMA_INT, .dflt = "1", .min = 1,
	    .max = 7 },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

/* ---- subscription ---- */

static const struct schema blob[] = {
	{ "resourceId", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .check = storage_check_account,
	    .help = "of the storage account" },
	{ "blobContainerName", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .check = storage_check_container },
	END,
};
static const struct schema directory[] = {
	{ "path", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 4000, .check = storage_check_path,
	    .help = "of a directory; a relative one is below the spool" },
	END,
};
static const struct schema dead_letter_types[] = {
	{ "StorageBlob", SCHEMA_OBJECT, .of = blob },
	{ "Directory", SCHEMA_OBJECT, .of = directory },
	END,
};
static const struct schema dead_letter_destination[] = {
	{ "endpointType", SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	    .values = "StorageBlob|Directory" },
	{ "properties", SCHEMA_VARIANT, .flags = SCHEMA_REQUIRED,
	    .of = dead_letter_types },
	END,
};
static const struct schema dead_letter[] = {
	{ "identity", SCHEMA_OBJECT, .of = delivery_identity },
	{ "deadLetterDestination", SCHEMA_OBJECT, .flags = SCHEMA_REQUIRED,
	    .of = dead_letter_destination },
	{ "deliveryRetryPeriodInDays", SCHEMA_INT, .dflt = "2", .min = 0,
	    .max = 2 },
	{ "endpointType", SCHEMA_ENUM, .flags = SCHEMA_TOLERATED,
	    .values = "StorageBlob|Directory" },
	{ "StorageBlob", SCHEMA_OBJECT, .flags = SCHEMA_TOLERATED,
	    .of = blob },
	{ "Directory", SCHEMA_OBJECT, .flags = SCHEMA_TOLERATED,
	    .of = directory },
	END,
};

#define MAX_DELIVERY_COUNT \
	{ "maxDeliveryCount", SCHEMA_INT, .dflt = "10", .min = 1, .max = 10 }
#define EVENT_TIME_TO_LIVE \
	{ "eventTimeToLive", SCHEMA_DURATION, \
	    .help = "PT1M up to the topic's retention, which is the default" }
#define DEAD_LETTER \
	{ "deadLetterDestinationWithResourceIdentity", SCHEMA_OBJECT, \
	    .of = dead_letter, \
	    .help = "where undeliverable events go; a local one by default" }

static const struct schema queue[] = {
	{ "receiveLockDurationInSeconds", SCHEMA_INT, .dflt = "60", .min = 60,
	    .max = 300 },
	MAX_DELIVERY_COUNT,
	EVENT_TIME_TO_LIVE,
	DEAD_LETTER,
	END,
};

static const struct schema mapping_properties[] = {
	{ "value", SCHEMA_STRING, .max = 4096 },
	{ .name = "isSecret", .type = SCHEMA_BOOL },
	{ .name = "sourceField", .type = SCHEMA_STRING },
	END,
};
static const struct schema mapping_members[] = {
	{ "name", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 256 },
	{ "type", SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	    .values = "Static|Dynamic" },
	{ "properties", SCHEMA_OBJECT, .dflt = "{}",
	    .of = mapping_properties },
	END,
};
static const struct schema mapping = {
	.type = SCHEMA_OBJECT, .of = mapping_members
};

#define MAPPINGS \
	{ "deliveryAttributeMappings", SCHEMA_ARRAY, .of = &mapping, \
	    .max = 10, .help = "headers of every delivery" }

static const struct schema webhook[] = {
	{ "endpointUrl", SCHEMA_STRING,
	    .flags = SCHEMA_REQUIRED | SCHEMA_SECRET,
	    .check = endpoint_check_url, .help = "https://HOST/..." },
	{ "endpointBaseUrl", SCHEMA_STRING, .flags = SCHEMA_READONLY },
	{ "maxEventsPerBatch", SCHEMA_INT, .dflt = "1", .min = 1,
	    .max = 5000 },
	{ "preferredBatchSizeInKilobytes", SCHEMA_INT, .dflt = "64",
	    .min = 1, .max = 1024 },
	{ .name = "azureActiveDirectoryTenantId", .type = SCHEMA_STRING },
	{ .name = "azureActiveDirectoryApplicationIdOrUri",
	    .type = SCHEMA_STRING },
	MAPPINGS,
	{ "minimumTlsVersionAllowed", SCHEMA_ENUM,
	    .values = "1.0|1.1|1.2|1.3" },
	END,
};
static const struct schema event_hub[] = {
	{ "resourceId", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .check = check_hub },
	MAPPINGS,
	END,
};
static const struct schema kafka[] = {
	{ "bootstrapServers", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .check = check_servers, .help = "HOST:PORT,..." },
	{ "topic", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 249 },
	{ "properties", SCHEMA_MAP, .of = &text,
	    .check_any = kafka_properties_check,
	    .help = "of the producer, as librdkafka names them" },
	{ "credential", SCHEMA_ANY, .check_any = endpoint_check_credential,
	    .help = "{file}, {command} or {identity}: the password of SASL, or "
	    "who asks for a token" },
	MAPPINGS,
	END,
};
static const struct schema destination_types[] = {
	{ "WebHook", SCHEMA_OBJECT, .of = webhook },
	{ "EventHub", SCHEMA_OBJECT, .of = event_hub },
	{ "Kafka", SCHEMA_OBJECT, .of = kafka },
	END,
};
static const struct schema destination[] = {
	{ "endpointType", SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	    .values = "WebHook|EventHub|Kafka" },
	{ "properties", SCHEMA_VARIANT, .flags = SCHEMA_REQUIRED,
	    .of = destination_types },
	END,
};
static const struct schema delivery_with_identity[] = {
	{ "identity", SCHEMA_OBJECT, .flags = SCHEMA_REQUIRED,
	    .of = delivery_identity },
	{ "destination", SCHEMA_OBJECT, .flags = SCHEMA_REQUIRED,
	    .of = destination },
	END,
};
static const struct schema circuit_breaker[] = {
	{ "failures", SCHEMA_INT, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 1000000, .help = "for good and in a row, then it is on "
	    "hold" },
	END,
};
static const struct schema push[] = {
	MAX_DELIVERY_COUNT,
	EVENT_TIME_TO_LIVE,
	DEAD_LETTER,
	{ "deliveryWithResourceIdentity", SCHEMA_OBJECT,
	    .of = delivery_with_identity },
	{ "destination", SCHEMA_OBJECT, .of = destination },
	{ "contentMode", SCHEMA_ENUM, .dflt = "\"structured\"",
	    .values = "structured|binary" },
	{ "maxInFlight", SCHEMA_INT, .min = 1, .max = 10000 },
	{ "orderBySubject", SCHEMA_BOOL, .dflt = "false" },
	{ "timeoutInSeconds", SCHEMA_INT, .dflt = "30", .min = 1, .max = 30,
	    .help = "until an endpoint's answer" },
	{ "abuseProtection", SCHEMA_ENUM, .dflt = "\"Required\"",
	    .values = "Required|Off",
	    .help = "is a webhook asked before the first delivery" },
	{ "circuitBreaker", SCHEMA_OBJECT, .of = circuit_breaker },
	END,
};

static const struct schema delivery[] = {
	{ "deliveryMode", SCHEMA_ENUM, .dflt = "\"Queue\"",
	    .values = "Queue|Push" },
	{ "queue", SCHEMA_OBJECT, .of = queue },
	{ "push", SCHEMA_OBJECT, .of = push },
	END,
};

static const struct schema filter_members[] = {
	{ "operatorType", SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	    .values = "NumberIn|NumberNotIn|NumberLessThan|"
	    "NumberLessThanOrEquals|NumberGreaterThan|"
	    "NumberGreaterThanOrEquals|NumberInRange|NumberNotInRange|"
	    "BoolEquals|StringContains|StringNotContains|StringBeginsWith|"
	    "StringNotBeginsWith|StringEndsWith|StringNotEndsWith|StringIn|"
	    "StringNotIn|IsNullOrUndefined|IsNotNull" },
	{ "key", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 1024 },
	{ .name = "value", .type = SCHEMA_ANY },
	{ "values", SCHEMA_ARRAY, .of = &any },
	END,
};
static const struct schema filter = {
	.type = SCHEMA_OBJECT, .of = filter_members
};
static const struct schema filters[] = {
	{ "includedEventTypes", SCHEMA_ARRAY, .of = &text },
	{ "filters", SCHEMA_ARRAY, .of = &filter },
	END,
};

static const struct schema subscription_members[] = {
	{ "deliveryConfiguration", SCHEMA_OBJECT, .dflt = "{}",
	    .of = delivery },
	{ "eventDeliverySchema", SCHEMA_ENUM,
	    .dflt = "\"CloudEventSchemaV1_0\"",
	    .values = "CloudEventSchemaV1_0" },
	{ "filtersConfiguration", SCHEMA_OBJECT, .of = filters,
	    .help = "all events by default" },
	{ "expirationTimeUtc", SCHEMA_TIME,
	    .help = "when the subscription itself ends" },
	{ "tags", SCHEMA_MAP, .of = &text, .max = 50 },
	{ "noDeadLetter", SCHEMA_BOOL, .dflt = "false",
	    .help = "undeliverable events are dropped, with a record" },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

/* ---- MQTT ---- */

static const struct schema thumbprint = {
	.type = SCHEMA_STRING, .check = cert_check_thumbprint
};
static const struct schema certificate_authentication[] = {
	{ "validationScheme", SCHEMA_ENUM,
	    .dflt = "\"SubjectMatchesAuthenticationName\"",
	    .values = "SubjectMatchesAuthenticationName|"
	    "DnsMatchesAuthenticationName|UriMatchesAuthenticationName|"
	    "IpMatchesAuthenticationName|EmailMatchesAuthenticationName|"
	    "ThumbprintMatch|Rfc822MatchesAuthenticationName="
	    "EmailMatchesAuthenticationName" },
	{ "allowedThumbprints", SCHEMA_ARRAY, .of = &thumbprint, .max = 2,
	    .help = "SHA-1 or SHA-256 in hex" },
	END,
};

static const struct schema client_members[] = {
	{ "description", SCHEMA_STRING, .max = 1024 },
	{ "authenticationName", SCHEMA_STRING, .flags = SCHEMA_FIXED,
	    .min = 1, .max = 128, .help = "the client's name by default" },
	{ "clientCertificateAuthentication", SCHEMA_OBJECT, .dflt = "{}",
	    .of = certificate_authentication },
	{ "state", SCHEMA_ENUM, .dflt = "\"Enabled\"",
	    .values = "Enabled|Disabled" },
	{ "attributes", SCHEMA_MAP, .of = &any,
	    .help = "values: whole number, true, false, string, strings" },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

static const struct schema client_group_members[] = {
	{ "description", SCHEMA_STRING, .max = 1024 },
	{ "query", SCHEMA_STRING, .flags = SCHEMA_REQUIRED, .min = 1,
	    .max = 4096, .check = check_query,
	    .help = "attributes.NAME = 'value' and the like" },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

static const struct schema template = {
	.type = SCHEMA_STRING, .check = check_template
};
static const struct schema topic_space_members[] = {
	{ "description", SCHEMA_STRING, .max = 1024 },
	{ "topicTemplates", SCHEMA_ARRAY, .flags = SCHEMA_REQUIRED,
	    .of = &template, .min = 1, .max = 10,
	    .help = "devices/${client.authenticationName}/#" },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

static const struct schema permission_binding_members[] = {
	{ "description", SCHEMA_STRING, .max = 1024 },
	{ "topicSpaceName", SCHEMA_STRING, .flags = SCHEMA_REQUIRED },
	{ "clientGroupName", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .help = "$all is every client" },
	{ "permission", SCHEMA_ENUM, .flags = SCHEMA_REQUIRED,
	    .values = "Publisher|Subscriber" },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

static const struct schema ca_certificate_members[] = {
	{ "description", SCHEMA_STRING, .max = 1024 },
	{ "encodedCertificate", SCHEMA_STRING, .flags = SCHEMA_REQUIRED,
	    .min = 1, .max = 65536, .help = "PEM; @FILE reads it" },
	{ "issueTimeInUtc", SCHEMA_TIME, .flags = SCHEMA_READONLY },
	{ "expiryTimeInUtc", SCHEMA_TIME, .flags = SCHEMA_READONLY },
	{ "provisioningState", SCHEMA_STRING, .flags = SCHEMA_READONLY,
	    .dflt = "\"Succeeded\"" },
	END,
};

/* The service's names of roles, and their ids. */
static const struct schema role_assignment_members[] = {
	{ "principalName", SCHEMA_STRING,
	    .flags = SCHEMA_REQUIRED | SCHEMA_FIXED, .min = 1, .max = 256,
	    .help = "user:NAME, uid:N, group:NAME, or an identity's id" },
	{ "roleDefinitionName", SCHEMA_ENUM,
	    .flags = SCHEMA_REQUIRED | SCHEMA_FIXED,
	    .values = "EventGrid Data Sender|EventGrid Data Receiver|"
	    "EventGrid Data Contributor|EventGrid Contributor|"
	    "Storage Blob Data Contributor|Azure Event Hubs Data Sender|"
	    "d5a91429-5739-47e2-a06b-3470a27159e7=EventGrid Data Sender|"
	    "1d8c3fe3-8864-474b-8749-01e3783e8157=EventGrid Data Contributor|"
	    "1e241071-0855-49ea-94dc-649edcd759de=EventGrid Contributor|"
	    "ba92f5b4-2d11-453d-a403-e96b0029c9fe="
	    "Storage Blob Data Contributor" },
	{ "scope", SCHEMA_STRING, .flags = SCHEMA_REQUIRED | SCHEMA_FIXED,
	    .help = "namespace, topics/T, topics/T/eventSubscriptions/S, or a "
	    "resource id" },
	END,
};

#define NOUN(kind_, words_, collection_, type_, help_, members_) \
	[kind_] = { \
		.kind = kind_, .words = words_, .collection = collection_, \
		.type = type_, .help = help_, \
		.self = { .type = SCHEMA_OBJECT, .of = members_, \
		    .help = help_ }, \
	}
#define TYPE "Microsoft.EventGrid/namespaces"

const struct schema_noun schema_nouns[SCHEMA_KINDS] = {
	NOUN(SCHEMA_NAMESPACE, "namespace", "namespace", TYPE,
	    "what holds all the others: one per spool", namespace_members),
	NOUN(SCHEMA_TOPIC, "namespace topic", "topics", TYPE "/topics",
	    "where events are published to and kept", topic_members),
	NOUN(SCHEMA_SUBSCRIPTION, "namespace topic event-subscription",
	    "eventSubscriptions", TYPE "/topics/eventSubscriptions",
	    "an own copy of a topic's events, for consumers or an endpoint",
	    subscription_members),
	NOUN(SCHEMA_CLIENT, "namespace client", "clients", TYPE "/clients",
	    "a device or application that connects by MQTT", client_members),
	NOUN(SCHEMA_CLIENT_GROUP, "namespace client-group", "clientGroups",
	    TYPE "/clientGroups", "clients that a query selects",
	    client_group_members),
	NOUN(SCHEMA_TOPIC_SPACE, "namespace topic-space", "topicSpaces",
	    TYPE "/topicSpaces", "MQTT topics, as templates",
	    topic_space_members),
	NOUN(SCHEMA_PERMISSION_BINDING, "namespace permission-binding",
	    "permissionBindings", TYPE "/permissionBindings",
	    "lets a client group publish or subscribe to a topic space",
	    permission_binding_members),
	NOUN(SCHEMA_CA_CERTIFICATE, "namespace ca-certificate",
	    "caCertificates", TYPE "/caCertificates",
	    "an authority that signs clients' certificates",
	    ca_certificate_members),
	NOUN(SCHEMA_ROLE_ASSIGNMENT, "role assignment", "roleAssignments",
	    "Microsoft.Authorization/roleAssignments",
	    "what a local user or group may do", role_assignment_members),
};
