#ifndef HASH_H
#define HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/random.h>

/*
 * A quick hash of bytes under a key of its own, so that who chooses the bytes
 * does not choose which of them collide. For tables in memory, nothing else.
 */
struct hash_key {
	uint64_t a, b;
};

/* 0, or -1 and errno. */
static inline int
hash_key(struct hash_key *k)
{
	if (getrandom(k, sizeof(*k), 0) != sizeof(*k))
		return -1;
	k->b |= 1;
	return 0;
}

/* Both halves of the product, folded: each bit of it depends on all of x. */
static inline uint64_t
hash_mix(const struct hash_key *k, uint64_t x)
{
	__extension__ unsigned __int128 r =
	    (unsigned __int128)(x ^ k->a) * (k->b ^ 0x9e3779b97f4a7c15);

	return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t
hash_bytes(const struct hash_key *k, const void *data, size_t n)
{
	const unsigned char *p = data;
	uint64_t h = hash_mix(k, n), w;

	for (; n >= sizeof(w); n -= sizeof(w), p += sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		h = hash_mix(k, h ^ w);
	}
	w = 0;
	if (n > 0)
		memcpy(&w, p, n);
	return hash_mix(k, h ^ w);
}

#endif
