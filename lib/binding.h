#ifndef BINDING_H
#define BINDING_H

#include <stddef.h>

#include "buf.h"
#include "event.h"
#include "fault.h"

/*
 * A CloudEvent as an HTTP or Kafka message (CloudEvents 1.0.2: HTTP binding 3,
 * Kafka binding 3). Structured and batched bodies are the events' own text; this
 * is about binary mode, in which attributes are headers, and data the body.
 */
#define BINDING_STRUCTURED "application/cloudevents+json; charset=utf-8"
#define BINDING_BATCH "application/cloudevents-batch+json; charset=utf-8"

/*
 * The data's media type: datacontenttype; "application/json" when there is none
 * and the data is JSON; added without a NUL. Nothing when it is not known.
 */
void binding_type(const struct event *, struct buf *);

/* The data's bytes: JSON as it stands, a string of another type as text,
 * data_base64 decoded. */
void binding_data(const struct event *, struct buf *);

/* "ce-NAME: VALUE" of each attribute, each with a NUL; values are
 * percent-encoded. Extensions that are null are not there. */
void binding_http(const struct event *, struct buf *);

/* The same for Kafka: calls fn with "ce_NAME" and the value as it is, UTF-8. 0;
 * or what fn has returned, if not 0, which ends it; or -1 without memory. */
int binding_kafka(const struct event *, int (*fn)(const char *name,
    const char *value, size_t len, void *arg), void *arg);

/* The value of an attribute by a dotted path, "subject", "data.system.name": the
 * text of a string, number or boolean, added to a buffer. 0; -1: there is none,
 * or it is something else. */
int binding_field(const struct event *, const char *path, struct buf *);

#endif
