#ifndef BUF_H
#define BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bytes that grow at the end and are taken from the front. All zeros is an
 * empty buffer. A failed allocation sticks: later additions do nothing, and the
 * caller looks at `bad` once, at the end.
 */
struct buf {
	char *mem;
	size_t start; /* of the bytes not taken yet */
	size_t len;   /* how many these are */
	size_t cap;
	bool bad;
};

static inline char *
buf_data(const struct buf *b)
{
	return b->mem == NULL ? NULL : b->mem + b->start;
}

void buf_free(struct buf *);

/* The same of a secret: none of it stays in memory, but for what it had when it
 * grew. */
void buf_wipe(struct buf *);

/* Empty, and good again; keeps the memory unless it is more than `keep`. */
void buf_reset(struct buf *, size_t keep);

/* Room for n more bytes: a pointer to it, or NULL (and bad). */
char *buf_room(struct buf *, size_t n);

/* Say that n bytes were written where buf_room pointed. */
void buf_grew(struct buf *, size_t n);

/* Take n bytes off the front. */
void buf_take(struct buf *, size_t n);

void buf_add(struct buf *, const void *, size_t n);
void buf_str(struct buf *, const char *);
void buf_printf(struct buf *, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A decimal number; the quick way for hot paths. */
void buf_u64(struct buf *, uint64_t);

/* s as a JSON string, quotes included; what is not UTF-8 becomes U+FFFD. */
void buf_json(struct buf *, const char *s, size_t n);

/* s percent-encoded, but for what a URI never reserves (RFC 3986, 2.3) and the
 * characters of `also`. */
void buf_uri(struct buf *, const char *s, const char *also);

#endif
