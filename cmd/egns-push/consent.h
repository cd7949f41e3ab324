#ifndef CONSENT_H
#define CONSENT_H

#include <stddef.h>

#include "buf.h"

/*
 * A request to the callback: bytes in, what is asked and the answer out, no
 * I/O. HTTP by http-parser.
 */
#define CONSENT_REQUEST 8192 /* bytes of its head; what is behind is not read */
#define CONSENT_KEY 32

struct consent;
struct consent *consent_new(void); /* NULL without memory */
void consent_free(struct consent *);

enum consent_result {
	CONSENT_MORE,    /* the head is not all there */
	CONSENT_ASKED,   /* somebody has to say whether the key is known */
	CONSENT_REFUSED, /* the answer is in `out` */
};

/* Once it was more than CONSENT_MORE, nothing is to be fed any more. */
enum consent_result consent_feed(struct consent *, const void *, size_t,
    struct buf *out);

/* Of what is asked: CONSENT_KEY bytes; and requests a minute, 0: it was not
 * said, -1: "*", any. */
const char *consent_key(const struct consent *);
long consent_rate(const struct consent *);

/* The answer: the key is known, or it is not. */
void consent_granted(const struct consent *, struct buf *out);
void consent_unknown(const struct consent *, struct buf *out);

#endif
