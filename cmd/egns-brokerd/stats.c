/* what the broker counts: for Prometheus, and for `stats` on its socket */
#include "stats.h"

#include "broker.h"
#include "client.h"
#include "metrics.h"
#include "store.h"

static const char *const protocols[] = {
	[STATS_MQTT3] = "MQTT3",
	[STATS_MQTT5] = "MQTT5",
	[STATS_MQTT3_WS] = "MQTT3-WS",
	[STATS_MQTT5_WS] = "MQTT5-WS",
};

static const struct {
	const char *result, *error;
} errors[] = {
	[STATS_SUCCESS] = { "Success", NULL },
	[STATS_QUOTA] = { "ClientError", "QuotaExceeded" },
	[STATS_AUTHENTICATION] = { "ClientError", "AuthenticationError" },
	[STATS_AUTHORIZATION] = { "ClientError", "AuthorizationError" },
	[STATS_CLIENT] = { "ClientError", "ClientError" },
	[STATS_SERVICE] = { "ServiceError", "ServiceError" },
};

static const char *const operations[] = {
	[STATS_CONNECT] = "Connect",
	[STATS_PUBLISH] = "Publish",
	[STATS_DELIVER] = "Deliver",
	[STATS_SUBSCRIBE] = "Subscribe",
	[STATS_UNSUBSCRIBE] = "Unsubscribe",
};

static const char *const drops[] = {
	[SESSION_ENDED] = "TransientSession",
	[SESSION_EXPIRY] = "SessionExpiry",
	[SESSION_OVERFLOW] = "SessionOverflow",
	[SESSION_AUTHORIZATION] = "AuthorizationError",
};

const char *const stats_ends[] = {
	[END_AUTHENTICATION] = "ClientAuthenticationError",
	[END_AUTHORIZATION] = "ClientAuthorizationError",
	[END_CLIENT_ERROR] = "ClientError",
	[END_INITIATED] = "ClientInitiatedDisconnect",
	[END_IP] = "IpForbidden",
	[END_LOST] = "ConnectionLost",
	[END_QUOTA] = "QuotaExceeded",
	[END_SERVER_ERROR] = "ServerError",
	[END_SERVER] = "ServerInitiatedDisconnect",
	[END_OVERFLOW] = "SessionOverflow",
	[END_TAKEN_OVER] = "SessionTakenOver",
};
_Static_assert(ENDS <= 16, "stats.ends");

static const char *const qos_names[] = { "0", "1" };

static void
requests(const struct stats *s, struct buf *b)
{
	static const char name[] = "egns_MQTT_RequestCount";

	metrics_family(b, name, "counter", "requests of clients");
	for (int o = 0; o < STATS_OPERATIONS; o++)
		for (int p = 0; p < STATS_PROTOCOLS; p++)
			for (int e = 0; e < STATS_ERRORS; e++)
				if (s->requests[o][p][e] != 0)
					metrics_sample(b, name,
					    (const char *const[]){
					    "OperationType", operations[o],
					    "Protocol", protocols[p],
					    "Result", errors[e].result,
					    "Error", errors[e].error, NULL },
					    (double)s->requests[o][p][e]);
}

static void
publishes(const struct stats *s, struct buf *b, bool failed)
{
	const char *name = failed ? "egns_MQTT_FailedPublishedMessages" :
	    "egns_MQTT_SuccessfulPublishedMessages";

	metrics_family(b, name, "counter", failed ? "publishes refused" :
	    "publishes accepted");
	for (int p = 0; p < STATS_PROTOCOLS; p++)
		for (int q = 0; q < 2; q++)
			for (int e = 0; e < STATS_ERRORS; e++)
				if ((e != STATS_SUCCESS) == failed &&
				    s->published[p][q][e] != 0)
					metrics_sample(b, name,
					    (const char *const[]){
					    "Protocol", protocols[p],
					    "QoS", qos_names[q],
					    "Error", errors[e].error, NULL },
					    (double)s->published[p][q][e]);
}

static void
filters(const struct stats *s, struct buf *b, bool failed)
{
	const char *name = failed ? "egns_MQTT_FailedSubscriptionOperations" :
	    "egns_MQTT_SuccessfulSubscriptionOperations";

	metrics_family(b, name, "counter", failed ? "filters refused" :
	    "filters subscribed or unsubscribed");
	for (int u = 0; u < 2; u++)
		for (int p = 0; p < STATS_PROTOCOLS; p++)
			for (int e = 0; e < STATS_ERRORS; e++)
				if ((e != STATS_SUCCESS) == failed &&
				    s->filters[u][p][e] != 0)
					metrics_sample(b, name,
					    (const char *const[]){
					    "OperationType", u ?
					    "Unsubscribe" : "Subscribe",
					    "Protocol", protocols[p],
					    "Error", errors[e].error, NULL },
					    (double)s->filters[u][p][e]);
}

static void
deliveries(const struct stats *s, struct buf *b)
{
	static const char name[] = "egns_MQTT_SuccessfulDeliveredMessages";

	metrics_family(b, name, "counter", "messages sent to clients");
	for (int p = 0; p < STATS_PROTOCOLS; p++)
		for (int q = 0; q < 2; q++)
			metrics_sample(b, name, (const char *const[]){
			    "Protocol", protocols[p], "QoS", qos_names[q],
			    NULL }, (double)s->delivered[p][q]);
}

static void
single(struct buf *b, const char *name, const char *type, const char *help,
    double value)
{
	static const char *const none[] = { NULL };

	metrics_family(b, name, type, help);
	metrics_sample(b, name, none, value);
}

static void
by_reason(struct buf *b, const char *name, const char *label,
    const char *const *names, size_t n, const uint64_t *values,
    const char *help)
{
	metrics_family(b, name, "counter", help);
	for (size_t i = 0; i < n; i++)
		metrics_sample(b, name, (const char *const[]){ label, names[i],
		    NULL }, (double)values[i]);
}

void
stats_metrics(const struct broker *broker, struct buf *b)
{
	const struct stats *s = &broker->stats;

	requests(s, b);
	publishes(s, b, false);
	publishes(s, b, true);
	filters(s, b, false);
	filters(s, b, true);
	deliveries(s, b);
	metrics_family(b, "egns_MQTT_Throughput", "counter",
	    "bytes on the network");
	metrics_sample(b, "egns_MQTT_Throughput", (const char *const[]){
	    "Direction", "Inbound", NULL }, (double)s->bytes_in);
	metrics_sample(b, "egns_MQTT_Throughput", (const char *const[]){
	    "Direction", "Outbound", NULL }, (double)s->bytes_out);
	metrics_family(b, "egns_MQTT_Connections", "gauge",
	    "clients that are connected");
	for (int p = 0; p < STATS_PROTOCOLS; p++)
		metrics_sample(b, "egns_MQTT_Connections",
		    (const char *const[]){ "Protocol", protocols[p], NULL },
		    (double)s->connections[p]);
	by_reason(b, "egns_Mqtt_DroppedSessions", "DropReason", drops,
	    SESSION_ENDS, s->dropped_sessions, "sessions that have ended");
	by_reason(b, "egns_Mqtt_Disconnections", "Reason", stats_ends, ENDS,
	    s->ends, "connections that have ended");
	if (broker->rate != NULL)
		by_reason(b, "egns_MQTT_ThrottlingEnforcements", "ThrottleType",
		    rate_names, RATES, s->throttled, "what a rate of the "
		    "profile Azure has refused or put off");
	single(b, "egns_Mqtt_Sessions", "gauge", "sessions, offline included",
	    (double)broker->nsessions);
	single(b, "egns_Mqtt_Subscriptions", "gauge",
	    "subscriptions of all sessions", (double)subs_count(broker->subs));
	single(b, "egns_Mqtt_QueuedMessages", "gauge",
	    "messages that wait for sessions", (double)broker->queued_total);
	single(b, "egns_Mqtt_RetainedMessages", "gauge", "retained messages",
	    (double)retain_count(broker->retain));
	single(b, "egns_Mqtt_DroppedMessages", "counter", "QoS 1 messages that "
	    "were dropped, with a record", (double)s->dropped_messages);
	single(b, "egns_Mqtt_DroppedQoS0Messages", "counter", "QoS 0 messages "
	    "that clients did not read in time", (double)s->dropped_qos0);
	single(b, "egns_Mqtt_RoutedMessages", "counter",
	    "messages written to route/", (double)s->routed);
	single(b, "egns_Mqtt_LifecycleEvents", "counter",
	    "life-cycle events written to lifecycle/", (double)s->notices);
	single(b, "egns_Mqtt_DroppedLifecycleEvents", "counter",
	    "life-cycle events that were not, for want of room",
	    (double)s->lost_notices);
}

void
stats_line(const struct broker *broker, struct buf *b)
{
	const struct stats *s = &broker->stats;

	buf_printf(b, "{\"listeners\":{\"mqtts\":\"%s\",\"wss\":\"%s\"},"
	    "\"connections\":%u,\"sessions\":%ju,\"subscriptions\":%zu,"
	    "\"queued\":%ju,\"retained\":%zu,\"droppedMessages\":%ju,"
	    "\"droppedQoS0Messages\":%ju,\"routed\":%ju,"
	    "\"lifecycleEvents\":%ju,\"droppedLifecycleEvents\":%ju}\n",
	    broker->mqtts.address, broker->wss.address, broker->nclients,
	    (uintmax_t)broker->nsessions, subs_count(broker->subs),
	    (uintmax_t)broker->queued_total, retain_count(broker->retain),
	    (uintmax_t)s->dropped_messages, (uintmax_t)s->dropped_qos0,
	    (uintmax_t)s->routed, (uintmax_t)s->notices,
	    (uintmax_t)s->lost_notices);
}
