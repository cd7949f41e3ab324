#ifndef SELECTION_H
#define SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container.h"
#include "fault.h"
#include "jq.h"
#include "letter.h"

/*
 * Which dead letters: what commands are told by options, and the walk over all
 * blobs of all containers for those that are meant.
 */
#define SELECTION_REASONS 32

struct selection {
	const char *container;   /* NULL: all destinations of the namespace's
	                          * subscriptions, and all containers/ */
	const char *topic, *subscription; /* NULL: all */
	const char *reasons[SELECTION_REASONS]; /* names; none: all */
	size_t nreasons;
	int64_t since, until;    /* of letter_time(); until 0: no end. A letter
	                          * without a time is told by its blob's */
	const char *subject;     /* what it begins with; NULL: any */
	struct jq_program *select; /* of the whole record: the first output is
	                            * neither false nor null; NULL: all */
	bool quarantine;         /* look there, not at the others */
	uint64_t limit;          /* letters; 0: all */
};

/*
 * Options that commands have in common, as getopt_long(3) takes them: put
 * SELECTION_OPTIONS into the list of long options, and give every ch that is
 * below to selection_option(). Short: -t, -s.
 */
enum selection_ch {
	SELECTION_TOPIC = 't',
	SELECTION_SUBSCRIPTION = 's',
	SELECTION_FIRST = 1000,
	SELECTION_REASON = SELECTION_FIRST,
	SELECTION_SINCE,
	SELECTION_UNTIL,
	SELECTION_SUBJECT,
	SELECTION_SELECT,
	SELECTION_CONTAINER,
	SELECTION_QUARANTINE,
	SELECTION_LIMIT,
	SELECTION_LAST,
};
#define SELECTION_OPTIONS \
	{ "topic", required_argument, NULL, SELECTION_TOPIC }, \
	{ "topic-name", required_argument, NULL, SELECTION_TOPIC }, \
	{ "subscription", required_argument, NULL, SELECTION_SUBSCRIPTION }, \
	{ "event-subscription-name", required_argument, NULL, \
	    SELECTION_SUBSCRIPTION }, \
	{ "reason", required_argument, NULL, SELECTION_REASON }, \
	{ "since", required_argument, NULL, SELECTION_SINCE }, \
	{ "until", required_argument, NULL, SELECTION_UNTIL }, \
	{ "subject", required_argument, NULL, SELECTION_SUBJECT }, \
	{ "select", required_argument, NULL, SELECTION_SELECT }, \
	{ "container", required_argument, NULL, SELECTION_CONTAINER }, \
	{ "limit", required_argument, NULL, SELECTION_LIMIT }

/*
 * Take one. A time is RFC 3339, a date (its first moment, UTC), or how long ago:
 * 90s, 30m, 2h, 7d. Reasons are separated by commas: names that letter_reason()
 * knows, or what the letters say. Values are kept as they are given, not copied;
 * a list of reasons is cut up. 0, or -1 and a BadRequest fault.
 */
int selection_option(struct selection *, int ch, char *value, struct fault *);
void selection_free(struct selection *);

/* Where a letter lies. */
struct letter_place {
	struct container *container;
	const char *blob;      /* its name */
	const char *etag;
	const struct blob_path *path;
	int64_t modified;      /* of the blob */
	uint64_t size;         /* bytes of it */
};

/* Is it one of them? 1, 0, or -1 and a fault: the expression failed on it, for
 * instance, and it is not. Where it lies in the container is not asked, nor how
 * many there were. */
int selection_has(const struct selection *, const struct letter *,
    const struct letter_place *, struct fault *);

/*
 * Slips of the pen: reasons that were named, are none of ours and no letter's. To
 * begin with the ones that are none of ours, a bit each; what letters have is
 * taken out; and the rest is told, one after the other: false: no more.
 */
uint32_t selection_strange(const struct selection *);
void selection_meet(const struct selection *, const struct letter *,
    uint32_t *strange);
bool selection_slip(const struct selection *, uint32_t *strange,
    struct fault *);

/* The reason of ours that is most like a name; NULL: none is. */
const char *selection_nearest(const char *name);

/*
 * The walk, blob after blob. Calls may be NULL. `blob` says whether it is to be
 * read: 1 yes, 0 no; `letter` gets every letter of it, with whether it was
 * selected; `end` is told when all of a blob's have been seen, and may replace
 * and delete it then. A blob that is gone when it is to be read has no `end`, nor
 * has one that cannot be read. Each returns -1 and a fault to end the walk at
 * once; `end` and `letter` may also return 1: enough. With that, and with the
 * limit, the rest of the blob's letters are told as not selected, then its end,
 * and then the walk ends. `leave` is told when the last of a
 * container's blobs has been seen (or enough is), and before it is closed.
 * `trouble` is told of what cannot be read, a container, a blob, a line (0: all
 * of the blob): the walk goes on; but not in a container of Blob Storage that
 * does not give one blob after the other, so that nobody waits for each.
 * `slip` is told of reasons that were named, as selection_slip() tells them, when
 * all letters have been seen.
 */
struct letter_walk {
	int (*blob)(const struct letter_place *, void *arg, struct fault *);
	int (*letter)(const struct letter *, const struct letter_place *,
	    bool selected, void *arg, struct fault *);
	int (*end)(const struct letter_place *, void *arg, struct fault *);
	int (*leave)(struct container *, void *arg, struct fault *);
	void (*trouble)(const char *container, const char *blob, uint64_t line,
	    const struct fault *, void *arg);
	void (*slip)(const struct fault *, void *arg);
	void *arg;
};
/*
 * 0, or -1 and a fault: a callback's, or the container that was named is none;
 * NotFound when the walk is over and no letter was selected of a topic or
 * subscription that was named, and is not in the registry: a slip of the pen.
 * With a topic only the blobs of this namespace's are listed. Blobs are passed
 * over whose names say another namespace and an hour; that were there, and whose
 * hour was over, before `since`; and that were put aside, unless the quarantine
 * is meant. The registry rests meanwhile, and when this returns:
 * registry_resume().
 */
int selection_walk(const struct selection *, const struct container_use *,
    struct registry *, const struct letter_walk *, struct fault *);

/*
 * A container by its name, as container_open_name(); one of Blob Storage as the
 * first subscription has it whose destination it is: with the identity of that.
 * NULL and a fault.
 */
struct container *selection_open(const struct container_use *,
    struct registry *, const char *name, struct fault *);

#endif
