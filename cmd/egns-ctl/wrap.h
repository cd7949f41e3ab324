#ifndef WRAP_H
#define WRAP_H

#include <stddef.h>

#include "buf.h"
#include "fault.h"
#include "jq.h"
#include "json.h"

/* Events around JSON values: egns-ctl publish --wrap. */
struct wrap {
	const char *type, *source, *content_type;
	struct jq_program *subject, *id; /* over the value; NULL: none, random */
	struct json json;
};

/* Put an event with this value as its data into an empty buffer. 0, or -1. */
int wrap_event(struct wrap *, const char *value, size_t, struct buf *,
    struct fault *);
void wrap_free(struct wrap *);

#endif
