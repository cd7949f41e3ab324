#ifndef LETTER_H
#define LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "json.h"

/*
 * Dead letters as they lie in a blob, egns-events(7). Ours are the event with a
 * member more, one on a line:
 *	{...,"deadletterProperties":{"deadletterreason","deliveryattempts",
 *	 "deliveryresult","lastDeliveryAttemptTime","publishTime",
 *	 "deadLetterTime","offset"}}
 * and behind that "customDeliveryProperties" when the record has some.
 * What others have written is read as well (reference: dead-letter record,
 * shapes 1 to 3): an object with "event" beside these properties, an array of
 * either, in one line or many; the properties called deadletterProperties,
 * deadLetterProperties or brokerProperties; publishutc and deliveryattemptutc
 * for publishTime and lastDeliveryAttemptTime; customDeliveryProperties, which
 * is no part of the event.
 */
#define LETTER_BLOB_MAX (32 * 1024 * 1024) /* a larger blob is not read */
#define LETTER_REASON_MAX 128 /* bytes of a reason that is kept, with a NUL */

struct letter {
	uint64_t number;   /* in its blob, from 1: for one on a line, the line */
	const char *text;  /* the record, as it stands in the blob */
	size_t len;
	int reason;        /* enum dl_reason; -1: none of ours, or missing */
	char reason_text[LETTER_REASON_MAX]; /* as it stands, or "" */
	char result[64];   /* deliveryresult, or "" */
	int64_t attempts;  /* -1: missing */
	int64_t published, attempted, died; /* microseconds; 0: not said */
	int64_t offset;    /* in the topic's log; -1: not said */
	const struct json *json;
	uint32_t event;    /* the object that holds the attributes */
	uint32_t id, source, type, subject; /* its strings; 0: missing */
	bool wrapped;      /* it has "event"; else the event is around the
	                    * properties */
};

/*
 * A blob's text, letter by letter. The text outlives it; all zeros but for text
 * and len. Between letters are blanks, commas and the brackets of arrays, which
 * are passed over, so that an array without its end has letters, too.
 */
struct letters {
	const char *text;
	size_t len, at;
	struct json json;
	uint64_t number; /* of the last one: each letter, each empty line and
	                  * whatever is refused counts */
	size_t wasted;   /* bytes that were looked at behind broken lines: when
	                  * they are more than all, values end with their line */
};

/*
 * The next one, valid until the next call: 1, or 0 at the end, or -1 and a
 * fault: what is here is no dead letter (letter->text, len and number say what:
 * a value, or the rest of a line), and the next call goes on behind it. An event
 * in it that is none of ours is a letter all the same: whoever publishes it
 * finds out.
 */
int letters_next(struct letters *, struct letter *, struct fault *);
void letters_free(struct letters *);

/* When it became one, as well as can be told: died, else attempted, else
 * published; 0: no idea. */
int64_t letter_time(const struct letter *);

/* Add the event as it was published, to the byte; newlines between its tokens,
 * which ours never have, become blanks. Of ours the last member goes, of others
 * all that is named above. */
void letter_event(const struct letter *, struct buf *);

/* Add the record as it stands, on one line, without a newline. */
void letter_line(const struct letter *, struct buf *);

/*
 * What it is known by, wherever it lies: topic, subscription, offset and the
 * time of publication for ours, the blob's name and the record's text for
 * others, and where topic or subscription is "". Two of the same key are the
 * same dead letter, written twice. (SHA-256, cut short.)
 */
#define LETTER_KEY 16
void letter_key(const struct letter *, const char *topic,
    const char *subscription, const char *blob, uint8_t key[LETTER_KEY]);

/* deadletterreason as one of ours, in any case of letters: our own names, those
 * of the basic tier, and the sentences of samples (with the result beside). -1:
 * none. */
int letter_reason(const char *reason, size_t, const char *result, size_t);

/*
 * A record on its way, a line of deadletter/ (deadletter.h), as our dead letter:
 * add it to a blob, with its newline. 0, or -1 and a fault: it is none.
 */
int letter_write(struct buf *, struct json *, const char *line, size_t,
    struct fault *);

#endif
