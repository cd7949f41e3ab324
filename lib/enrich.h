#ifndef ENRICH_H
#define ENRICH_H

#include <stddef.h>

#include "fault.h"

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

#endif
