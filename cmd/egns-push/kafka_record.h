#ifndef KAFKA_RECORD_H
#define KAFKA_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jv.h>

#include "buf.h"
#include "event.h"
#include "fault.h"
#include "mapping.h"
#include "target.h"

/*
 * An event as a record of Kafka (CloudEvents Kafka binding): its key, its value
 * and its headers.
 */
struct kafka_shape {
	struct mappings *mappings;
	bool binary;
	const char *name;   /* of the subscription; outlives it */
	struct event event; /* used again for each */
};

int kafka_shape_init(struct kafka_shape *, jv subscription, const char *name,
    struct fault *);
void kafka_shape_free(struct kafka_shape *);

struct kafka_record {
	struct buf key;    /* empty: it has none */
	const char *value; /* NULL: it has none */
	size_t len;
	struct buf data;   /* what the value may be in */
};

/* All zeros to begin with, and used for record after record; buf_free of its
 * parts is the owner's. 0, or -1 and a fault. */
int kafka_record_make(struct kafka_record *, struct kafka_shape *,
    const struct item *, struct fault *);

/* Call fn with each header of the record that was made last. 0; or what fn has
 * returned, if not 0, which ends it; or -1 without memory. */
typedef int kafka_header(const char *name, const char *value, size_t len,
    bool secret, void *arg);
int kafka_record_headers(struct kafka_shape *, const struct item *,
    kafka_header *fn, void *arg);

#endif
