#ifndef DROP_H
#define DROP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/* What will never arrive: its record in dropped/, and words for the log. */
enum drop {
	DROP_TOPIC_NOT_FOUND, /* TopicNotFoundError */
	DROP_AUTHENTICATION,  /* AuthenticationError */
	DROP_BAD_REQUEST,     /* BadRequest: it is not taken, now or ever */
	DROP_TOO_LARGE,       /* PayloadTooLarge */
	DROPS,
};
const char *drop_name(enum drop);

/* Of a message that there is no event of, or none that is taken. */
enum drop drop_of(const struct fault *);

/*
 * Add the record of a line, newline included, egns-events(7). `target` is the
 * resource id of where it should have gone; the json is scratch.
 */
void drop_record(struct buf *, enum drop, const char *words,
    const char *target, const char *line, size_t, struct json *);

/* Each line has its record; of each reason the log has one line a minute. */
struct drop_log {
	struct {
		int64_t since; /* clock_mono() of the last words; 0: none */
		uint64_t n;    /* not told of since */
	} unsaid[DROPS];
};

/* May these n be told of now? Else they are counted. */
bool drop_may_say(struct drop_log *, enum drop, uint64_t n);

/* Tell of those that were counted, a minute after the last words; all of them
 * when it is over. Lane and target are as people know them. */
void drop_say_rest(struct drop_log *, const char *lane, const char *target,
    bool over);

#endif
