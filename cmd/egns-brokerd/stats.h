#ifndef STATS_H
#define STATS_H

#include <stdint.h>

#include "buf.h"
#include "rate.h"

/* What the broker counts, by the dimensions of the service's metrics. */
enum stats_protocol {
	STATS_MQTT3,
	STATS_MQTT5,
	STATS_MQTT3_WS,
	STATS_MQTT5_WS,
	STATS_PROTOCOLS,
};

enum stats_error {
	STATS_SUCCESS,
	STATS_QUOTA,
	STATS_AUTHENTICATION,
	STATS_AUTHORIZATION,
	STATS_CLIENT,
	STATS_SERVICE,
	STATS_ERRORS,
};

enum stats_operation {
	STATS_CONNECT,
	STATS_PUBLISH,
	STATS_DELIVER,
	STATS_SUBSCRIBE,
	STATS_UNSUBSCRIBE,
	STATS_OPERATIONS,
};

struct stats {
	uint64_t requests[STATS_OPERATIONS][STATS_PROTOCOLS][STATS_ERRORS];
	uint64_t filters[2][STATS_PROTOCOLS][STATS_ERRORS]; /* (un)subscribe */
	uint64_t published[STATS_PROTOCOLS][2][STATS_ERRORS]; /* by QoS */
	uint64_t delivered[STATS_PROTOCOLS][2];
	uint64_t connections[STATS_PROTOCOLS];
	uint64_t bytes_in, bytes_out;
	uint64_t dropped_sessions[4]; /* enum session_end */
	uint64_t dropped_messages;    /* for full queues, expired .. */
	uint64_t dropped_qos0;        /* that a client did not read in time */
	uint64_t ends[16];            /* enum client_end */
	uint64_t throttled[RATES];
	uint64_t routed;
	uint64_t notices;      /* lines that are in lifecycle/ */
	uint64_t lost_notices; /* that never came there */
};

/* `disconnectionReason`, by enum client_end. */
extern const char *const stats_ends[];

struct broker;
/* metrics/brokerd.prom, and the line that `stats` on the socket answers. */
void stats_metrics(const struct broker *, struct buf *);
void stats_line(const struct broker *, struct buf *);

#endif
