#ifndef ENDPOINT_H
#define ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include <jv.h>

#include "fault.h"

/*
 * The namespace's `endpoints`: what resource ids of other services mean. An
 * entry is {"resourceId","url","credential"}; credentials are in credential.h. The
 * url may be left out where there is a credential: then the entry says only what
 * proves who we are to that resource.
 */

/* Is this a URL to send to: https://, or http:// on this machine, without a
 * password? 0, or -1 and a fault, which has nothing of the URL. */
int endpoint_check_url(const char *, struct fault *);

/* Is this the url of an entry: such a one, or where a topic of Kafka is,
 * kafkas://HOST:PORT/TOPIC, or kafka:// on this machine? 0, or -1 and a fault,
 * which has nothing of the URL. */
int endpoint_check_place(const char *, struct fault *);

/* Has the URL, which was checked, a scheme of Kafka? Then its parts, which point
 * into it. */
struct endpoint_kafka {
	bool secure;        /* kafkas:// */
	const char *server; /* HOST:PORT */
	size_t len;
	const char *topic;
};
bool endpoint_kafka(const char *url, struct endpoint_kafka *);

/* Is this (not consumed) a credential? 0, or -1 and a fault, which has none of
 * its values. */
int endpoint_check_credential(jv, struct fault *);

/* Has the entry (not consumed, its members are good) all that it needs? 0, or -1
 * and a fault. */
int endpoint_check_entry(jv, struct fault *);

/* The entry of a resource id, in any case of letters, of a namespace's
 * resource (not consumed); jv null when there is none. */
jv endpoint_find(jv namespace, const char *resource_id);

#endif
