/* one event of a subject at a time */
#include "subjects.h"

#include <stdlib.h>
#include <tcutil.h>

#include "clock.h"
#include "hash.h"

/* An event that is due and does not come has ended, by its time to live. This
 * counts from when we see that it is due, as we may have slept. */
#define GRACE (5 * CLOCK_SECOND)
/* Subjects of which nothing came any more are forgotten when it has been due for
 * so long, and looked for as often. */
#define FORGET (600 * CLOCK_SECOND)

struct subject {
	int64_t back;   /* 0: one is under way */
	int64_t seen;   /* when it was seen to be due; 0: not yet */
	uint64_t event; /* which one is waited for: a hash of its text */
};

struct subjects {
	TCMAP *map; /* of those that are not free */
	struct hash_key key;
	int64_t due; /* the earliest `back` */
	int64_t swept; /* when such subjects were last looked for */
};

struct subjects *
subjects_new(void)
{
	struct subjects *s = calloc(1, sizeof(*s));

	if (s == NULL || hash_key(&s->key) == -1) {
		free(s);
		return NULL;
	}
	s->map = tcmapnew(); /* which ends the process without memory */
	s->due = INT64_MAX;
	return s;
}

void
subjects_free(struct subjects *s)
{
	if (s == NULL)
		return;
	tcmapdel(s->map);
	free(s);
}

void
subjects_clear(struct subjects *s)
{
	tcmapclear(s->map);
	s->due = INT64_MAX;
}

static void
put(struct subjects *s, const struct item *item, struct subject one)
{
	tcmapput(s->map, &item->subject, sizeof(item->subject), &one,
	    sizeof(one));
}

/* Or each event that has ended by its time to live would leave one here. */
static void
sweep(struct subjects *s, int64_t now)
{
	const uint64_t *key;
	const struct subject *one;
	uint64_t subject;
	int n;

	if (now - s->swept < FORGET)
		return;
	s->swept = now;
	tcmapiterinit(s->map);
	while ((key = tcmapiternext(s->map, &n)) != NULL) {
		one = tcmapiterval(key, &n);
		if (one->back == 0 || now - one->back < FORGET)
			continue;
		subject = *key; /* which goes with it */
		tcmapout(s->map, &subject, sizeof(subject));
	}
}

bool
subjects_may(struct subjects *s, const struct item *item)
{
	int64_t now = clock_mono();
	const struct subject *found;
	struct subject one;
	int n;

	if (item->subject == 0)
		return true;
	found = tcmapget(s->map, &item->subject, sizeof(item->subject), &n);
	if (found == NULL)
		return true;
	one = *found;
	if (one.back == 0)
		return false;
	if (one.event == hash_bytes(&s->key, item->text, item->len))
		return true;
	if (one.seen == 0 && now > one.back) {
		one.seen = now;
		put(s, item, one);
	}
	return one.seen != 0 && now - one.seen > GRACE;
}

void
subjects_begin(struct subjects *s, const struct item *item)
{
	if (item->subject != 0)
		put(s, item, (struct subject){ .back = 0 });
}

void
subjects_end(struct subjects *s, const struct item *item, int64_t back)
{
	if (item->subject == 0)
		return;
	if (back == 0) {
		tcmapout(s->map, &item->subject, sizeof(item->subject));
		return;
	}
	put(s, item, (struct subject){ .back = back,
	    .event = hash_bytes(&s->key, item->text, item->len) });
	if (back < s->due)
		s->due = back;
	sweep(s, clock_mono());
}

bool
subjects_due(struct subjects *s)
{
	int64_t now = clock_mono(), due = s->due;
	const uint64_t *key;
	const struct subject *one;
	int n;

	if (now < due)
		return false;
	s->due = INT64_MAX;
	tcmapiterinit(s->map);
	while ((key = tcmapiternext(s->map, &n)) != NULL) {
		one = tcmapiterval(key, &n);
		if (one->back > now && one->back < s->due)
			s->due = one->back;
	}
	return due != INT64_MAX;
}
