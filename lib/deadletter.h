#ifndef DEADLETTER_H
#define DEADLETTER_H

#include <stdint.h>

#include "buf.h"
#include "journal.h"

/*
 * The end of an event that nobody acknowledged: the record that goes to
 * deadletter/ on its way to a destination, and the line in dropped/ when there
 * is none. The forms are in egns-events(7).
 */
enum dl_reason {
	DL_MAX_DELIVERY_COUNT, /* MaxDeliveryCountExceeded */
	DL_TIME_TO_LIVE,       /* TimeToLiveExceeded */
	DL_UNAUTHORIZED,       /* Unauthorized: 401, 403 */
	DL_ENDPOINT_NOT_FOUND, /* EndpointNotFound: 404, 410 */
	DL_SCHEMA_REJECTED,    /* SchemaRejected: 400, 415 */
	DL_PAYLOAD_TOO_LARGE,  /* PayloadTooLarge: 413, 414 */
	DL_REJECTED,           /* Rejected, by a pull consumer */
	DL_CORRUPT,           /* Corrupt: the log line is broken; only dropped/ */
	DL_REASONS,
};
#define DL_WRITE_FAILED "DeadLetterWriteFailed" /* only dropped/: no destination
                                                 * would have it */
const char *dl_reason_name(enum dl_reason);
int dl_reason_parse(const char *, size_t); /* in any case; -1: none of ours */

/* Outcome names of a delivery attempt, for `deliveryresult`. */
enum dl_result {
	DL_NOT_ACKNOWLEDGED, /* pull: the lock ran out, or it was released */
	DL_RESULT_REJECTED,
	DL_BAD_REQUEST,
	DL_RESULT_UNAUTHORIZED,
	DL_FORBIDDEN,
	DL_NOT_FOUND,
	DL_RESULT_PAYLOAD_TOO_LARGE,
	DL_TIMED_OUT,
	DL_BUSY,
	DL_ABORTED,
	DL_SOCKET_ERROR,
	DL_RESOLUTION_ERROR,
	DL_RESULTS,
};
const char *dl_result_name(enum dl_result);
int dl_result_parse(const char *, size_t);

struct dl_record {
	const char *topic, *subscription;
	const char *destination; /* JSON text; NULL: dropped */
	const char *custom;      /* customDeliveryProperties likewise; or NULL */
	const struct journal_line *line;
	enum dl_reason reason;
	enum dl_result result;
	unsigned attempts;
	int64_t last_attempt; /* microseconds; 0: there was none */
	int64_t now;
};

/*
 * Add a record's line, newline included, to a buffer:
 * {"time","topic","subscription","offset","destination","deadletterProperties":
 * {...},"event":{...}}, "event" last and verbatim, "customDeliveryProperties"
 * before it when there are some. In dropped/ the same without destination and
 * these, and with "reason". A corrupt line stands as "line_base64" in place
 * of "event".
 */
void dl_format(struct buf *, const struct dl_record *);

/*
 * Append whole lines to dropped/YYYY-MM-DD.ndjson (of `now`) and sync. A torn
 * last line, which a crash left, is cut off first; writers exclude each other by
 * a lock. 0, or -1 and errno; in any thread.
 */
int dropped_append(int spool, int64_t now, const void *lines, size_t len);

#endif
