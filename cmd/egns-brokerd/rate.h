#ifndef RATE_H
#define RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The rates of the service, reference section 18: with the profile Azure alone.
 * A second's worth may come at once. Of the namespace's, those that are per
 * throughput unit grow with its units.
 */
enum rate_kind { /* ThrottleType of Mqtt.ThrottlingEnforcements */
	RATE_IN_BYTES_ALL,
	RATE_IN_BYTES,
	RATE_IN_ALL,
	RATE_IN,
	RATE_OUT_ALL,
	RATE_OUT,
	RATE_OUT_BYTES_ALL,
	RATE_OUT_BYTES,
	RATE_SUBSCRIBE_ALL,
	RATE_SUBSCRIBE,
	RATE_CONNECT_ALL,
	RATE_CONNECT,
	RATES,
};

#define RATE_SESSIONS 10000 /* of a throughput unit */

struct broker;
struct client;
struct rate;

/* Names of the kinds, for metrics. */
extern const char *const rate_names[RATES];

/* Have limits, or have none: as the settings are now. */
void rate_change(struct broker *);
void rate_close(struct broker *);
void rate_client(struct client *);

/*
 * May there be one more? Only asked when there are limits (broker's or client's
 * `rate` is not NULL); what is refused is counted.
 */
bool rate_connect(struct broker *);
bool rate_session(struct broker *, const char *id, size_t);
bool rate_publish(struct client *, size_t bytes);
bool rate_subscribe(struct client *);
/* To it: this is not refused, but waits for a later turn. */
bool rate_deliver(struct client *, size_t bytes);

#endif
