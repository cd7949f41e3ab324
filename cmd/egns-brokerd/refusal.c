/* lines about what was refused: not too many of one client */
#include "refusal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "clock.h"
#include "hash.h"
#include "log.h"
#include "quote.h"

#define SLOTS 512 /* a power of 2 */

struct slot {
	uint64_t hash;
	int64_t since; /* clock_mono() of the period's first; 0: free */
	unsigned said;
	uint64_t held;
	const char *operation;
	char who[80]; /* quoted, the beginning */
};

struct refusals {
	struct hash_key key;
	struct slot slots[SLOTS];
};

int
refusals_open(struct broker *b, struct fault *f)
{
	if ((b->refusals = calloc(1, sizeof(*b->refusals))) == NULL ||
	    hash_key(&b->refusals->key) == -1)
		return fault_errno(f, FAULT_INTERNAL, "the table of refusals");
	return 0;
}

void
refusals_close(struct broker *b)
{
	free(b->refusals);
	b->refusals = NULL;
}

static bool
over(const struct slot *s, int64_t now)
{
	return now - s->since >= REFUSAL_PERIOD * CLOCK_SECOND;
}

static void
finish(struct slot *s)
{
	if (s->held > 0)
		log_warn("'%s': %s, %ju more times in %d s", s->who,
		    s->operation, (uintmax_t)s->held, REFUSAL_PERIOD);
	*s = (struct slot){ 0 };
}

static void
begin(struct slot *s, uint64_t hash, int64_t now, const char *who, size_t len,
    const char *operation)
{
	char q[QUOTE_MAX];

	s->hash = hash;
	s->since = now;
	s->operation = operation;
	quote(q, who, len);
	memcpy(s->who, q, sizeof(s->who) - 1);
}

/* Who finds its place taken by another one speaks: log.h bounds them all. */
bool
refusal_may_say(struct broker *b, const char *who, size_t len,
    const char *operation)
{
	struct refusals *r = b->refusals;
	uint64_t hash = hash_bytes(&r->key, who, len) ^
	    hash_bytes(&r->key, operation, strlen(operation));
	struct slot *s = &r->slots[hash & (SLOTS - 1)];
	int64_t now = clock_mono();

	if (s->since != 0 && over(s, now))
		finish(s);
	if (s->since == 0)
		begin(s, hash, now, who, len, operation);
	if (s->hash != hash)
		return true;
	if (s->said < REFUSAL_BURST) {
		s->said++;
		return true;
	}
	s->held++;
	return false;
}

void
refusals_sweep(struct broker *b)
{
	int64_t now = clock_mono();

	for (struct slot *s = b->refusals->slots;
	     s < b->refusals->slots + SLOTS; s++)
		if (s->since != 0 && over(s, now))
			finish(s);
}
