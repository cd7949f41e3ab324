#ifndef LEDGER_H
#define LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"
#include "letter.h"
#include "spool.h"

/*
 * What was replayed, so that no dead letter goes back twice: egns-spool(5).
 *	replay/YYYY-MM-DD.ndjson  a line for each dead letter and result; truth
 *	replay/pending.ndjson     what is being published now, or was when
 *	                          somebody was killed: requests as topicd
 *	                          takes them
 *	replay/index.tch          Tokyo Cabinet hash, letter_key -> where its
 *	                          line is; rebuilt from the lines when it is
 *	                          missing, broken or behind
 *	replay/lock               held by who publishes
 * A line begins {"time":"...","key":"..."; time and key as clock_format and
 * ledger_key_format write them.
 * Days that are older than LEDGER_DAYS are removed, with their keys.
 */
#define LEDGER_DAYS 90

#define LEDGER_KEY_TEXT (2 * LETTER_KEY) /* lower-case hexadecimal digits */
void ledger_key_format(char text[LEDGER_KEY_TEXT + 1],
    const uint8_t key[LETTER_KEY]);
/* The same back, from as many bytes; false: they are no key. */
bool ledger_key_parse(const char *text, uint8_t key[LETTER_KEY]);

struct ledger;

/* Open for looking, or for writing, too. NULL and a fault. */
struct ledger *ledger_open(const struct spool *, bool write, struct fault *);
void ledger_close(struct ledger *);

/* Was it replayed? As of the last lock, or of opening. What was only put aside
 * may be put back, and is as any other then. */
bool ledger_has(const struct ledger *, const uint8_t key[LETTER_KEY]);

/* Its line, the last of them, added without newline: "time" and "result" say
 * what became of it. 1, 0: it has none, or -1 and a fault. */
int ledger_line(struct ledger *, const uint8_t key[LETTER_KEY], struct buf *,
    struct fault *);

/* What is published together: the lines of its letters, in the order of their
 * events, and the requests as topicd takes them. */
struct ledger_round {
	struct buf lines, requests;
};
void ledger_round_free(struct ledger_round *);

/*
 * Keep others from publishing, waiting for who does now, and catch up with what
 * they have done. *left gets what a killed one has left, empty when there is
 * none: it has to be published again, as it is, and ended, before anything
 * else. 0, or -1 and a fault.
 */
int ledger_lock(struct ledger *, struct ledger_round *left, struct fault *);
void ledger_unlock(struct ledger *);

/* With the lock: make safe what will be sent, before the first byte is. */
int ledger_begin(struct ledger *, const struct ledger_round *, struct fault *);

/*
 * With the lock: it has ended. Lines (whole ones, of one or more letters) are
 * appended to the day's file and synced, unless they are there already, their
 * keys are in the index then, and nothing is pending. Without lines nothing was
 * done. 0, or -1 and a fault: it is pending still.
 */
int ledger_end(struct ledger *, const struct buf *lines, struct fault *);

/* Without the lock: a line of what is not published, unless there is one of its
 * letter (or `again`). What is pending stays so. */
int ledger_note(struct ledger *, const struct buf *line, bool again,
    struct fault *);

#endif
