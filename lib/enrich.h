#ifndef ENRICH_H
#define ENRICH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * Routing enrichments: attributes that an MQTT message's event is given, with
 * the same value always, or one of the message and its publisher.
 */
#define ENRICH_MAX 20 /* enrichments of a namespace */

/* Is it a key? 0, or -1 and a fault. */
int enrich_check_key(const char *, struct fault *);

enum enrich_source {
	ENRICH_NAME,          /* ${client.authenticationName} */
	ENRICH_ATTRIBUTE,     /* ${client.attributes.KEY} */
	ENRICH_USER_PROPERTY, /* ${mqtt.message.userProperties.KEY}, ['KEY'] */
	ENRICH_TOPIC,         /* ${mqtt.message.topicName} */
	ENRICH_RESPONSE,      /* ${mqtt.message.responseTopic} */
	ENRICH_CORRELATION,   /* ${mqtt.message.correlationData} */
	ENRICH_PFI,           /* ${mqtt.message.pfi} */
};

/* A dynamic value. */
struct enrich {
	enum enrich_source source;
	const char *key; /* points into the expression, backslashes and all */
	size_t key_len;
};

/* 0, or -1 and a fault that says what was expected. */
int enrich_parse(struct enrich *, const char *expression, struct fault *);

/* The key without its backslashes into `plain`, which holds key_len bytes and
 * is the key from then on. */
void enrich_unescape(struct enrich *, char *plain);

/* What values are made of: tokens of a record, egns-events(7), that was looked
 * at; 0 for what it lacks. */
struct enrich_message {
	const struct json *js;
	uint32_t name;        /* strings */
	uint32_t topic, response, correlation, correlation_base64;
	uint32_t attributes;  /* an object */
	uint32_t pfi;         /* a number */
	uint32_t users;       /* pairs of strings, or an object of them */
};

/*
 * The user properties, from `at` 0 on: false behind the last, else the tokens
 * of a name and a value.
 */
bool enrich_next_user(const struct enrich_message *, uint32_t *at,
    uint32_t *name, uint32_t *value);

/*
 * Add the value as JSON: true when it had more than ENRICH_VALUE characters and
 * was cut. What is not there is "". `scratch` is just that.
 */
#define ENRICH_VALUE 128
bool enrich_value(const struct enrich *, const struct enrich_message *,
    struct buf *scratch, struct buf *);

#endif
