#ifndef MOSQ_H
#define MOSQ_H

#include <stdbool.h>
#include <stddef.h>

#include <mosquitto.h>
#include <mqtt_protocol.h>

#include "buf.h"
#include "json.h"
#include "quote.h"

/* What libmosquitto tells, in our words, for whoever is a broker's client. */

/* Add a message as a record, with its braces: {"tst":now,"topic":..}, see
 * record.h. `scratch` is for its payload. */
void mosq_record(struct buf *, const struct mosquitto_message *,
    const mosquitto_property *, struct json *scratch);

/* The reason code of MQTT 5 that a CONNACK of MQTT 3.1.1 means. */
int mosq_reason(int connack);

/* The sysexits(3) status that a reason code comes to. */
int mosq_status(int reason);

/*
 * "not authorized (0x87)" of a reason code, and behind it the broker's own
 * words if the properties have some. Have they?
 */
#define MOSQ_WHY (QUOTE_MAX + 96)
bool mosq_why(char why[MOSQ_WHY], int reason, const mosquitto_property *);

/* Was it TLS that a call failed of, by what it returned? Look while errno is
 * what it has left. */
bool mosq_is_tls(int rc);

/*
 * Why a call has failed. `tls` are the words that mosq_log has kept; OpenSSL
 * tells only the log.
 */
void mosq_error(char why[MOSQ_WHY], int rc, const char *tls);

/* Of what comes to the log callback, keep the words of the first error. */
void mosq_log(char tls[QUOTE_MAX], int level, const char *line);

/* For mosquitto_tls_set: nobody is asked for the password of a key. */
int mosq_no_password(char *, int size, int flag, void *);

#endif
