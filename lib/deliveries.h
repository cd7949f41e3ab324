#ifndef DELIVERIES_H
#define DELIVERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "deadletter.h"
#include "fault.h"

/*
 * What a subscription has handed out and not settled yet, how far it has come in
 * its queue, and its counters; in memory, and as text in state.ndjson:
 *
 *	{"crc32c":"8 hex digits","uid":"..","from":N,"cursor":N,"after":N,
 *	 "acknowledged":N,"settledBefore":N,"deadLettered":[N..],"dropped":[N..],
 *	 "put":[[slot,offset,published,locked,last,due,lock,count,result,state]..],
 *	 "out":[slot..]}
 *
 * A line is one commit: what it has takes the place of what was there. The
 * checksum is over the line behind it. Reading stops at the first line that is
 * not whole: what was settled behind it is delivered once more, never lost. When
 * the file has grown enough it is replaced by a single line.
 *
 * Everything here is for the loop's thread, but deliveries_save().
 */

/* Unsettled deliveries of one subscription: 64 bytes each. When there are so
 * many, no new event is handed out until one is settled. */
#define DELIVERIES_MAX 100000

enum delivery_state {
	DELIVERY_FREE,      /* the slot is nobody's */
	DELIVERY_LOCKED,    /* until `due` */
	DELIVERY_DELAYED,   /* released; available at `due` */
	DELIVERY_AVAILABLE, /* waits for a consumer; expires at `due` */
};

struct delivery {
	uint64_t offset;   /* in the log */
	int64_t published; /* publishTime */
	int64_t locked;    /* when this lock began */
	int64_t last;      /* when it was handed out for the last attempt */
	int64_t due;       /* when something happens by itself */
	uint64_t lock;     /* names the delivery that a token is for */
	uint32_t heap;     /* place in the heap of due times */
	uint32_t next, prev; /* in the list of available or of free slots */
	uint8_t count;     /* deliveries so far */
	uint8_t result;    /* enum dl_result of that attempt */
	uint8_t state;
	bool dirty : 1; /* changed since it was last written */
	bool saved : 1; /* the file knows this slot */
};

#define DELIVERY_NONE UINT32_MAX

struct deliveries {
	uint64_t from;   /* log offset at which the subscription began */
	uint64_t cursor; /* queue entries handed out at least once */
	uint64_t after;  /* log offset behind the last of these events */
	uint64_t acknowledged;
	uint64_t settled_before; /* settled as a lost state file knew */
	uint64_t dead_lettered[DL_REASONS];
	uint64_t dropped[DL_REASONS];

	struct delivery *slot;
	uint32_t nslots, used;
	uint32_t free; /* list of free slots */
	uint32_t ready, ready_last; /* available ones, in their order */
	uint32_t *heap; /* slots by due time; `used` of them */
	uint32_t *dirty; /* slots to write */
	uint32_t ndirty;
	bool changed; /* counters or slots differ from the file */
	bool whole;   /* the next save replaces the file */
	size_t size, base; /* bytes of the file, and when it was last replaced */
	char *uid;
};

/*
 * Read dir/path, or begin anew (cursor 0) when it is missing or belongs to
 * another uid: then *found is false. 0, or -1 and a fault.
 */
int deliveries_open(struct deliveries *, int dir, const char *path,
    const char *uid, bool *found, struct fault *);
void deliveries_close(struct deliveries *);

/* A slot for an event handed out; the caller fills the delivery in and calls
 * deliveries_set. DELIVERY_NONE when there are too many, or without memory. */
uint32_t deliveries_new(struct deliveries *, uint64_t offset);

/* Change state and due time: heap, lists and dirty marks follow. */
void deliveries_set(struct deliveries *, uint32_t slot, enum delivery_state,
    int64_t due);
void deliveries_remove(struct deliveries *, uint32_t slot);

/* The slot that is due first; the first one available; or DELIVERY_NONE. */
uint32_t deliveries_due(const struct deliveries *);
uint32_t deliveries_ready(const struct deliveries *);

/* The n that became available last, or all, in the order of the log and no
 * longer in that in which they became it. When a file was read all are so. */
void deliveries_sort(struct deliveries *, uint32_t n);

/* The cursor or a counter was changed. */
void deliveries_touch(struct deliveries *);

/* A change to be made durable by another thread. */
struct deliveries_save {
	int dir;
	const char *path;
	struct buf text; /* whole lines */
	bool replace;    /* the whole file, not its end */
};

/*
 * All changes since the last time, as text. False when there are none. `text` is
 * bad without memory.
 */
bool deliveries_changes(struct deliveries *, struct deliveries_save *);

/*
 * In any thread: append and fdatasync, or replace. 0; or -1 and errno, and then
 * the file is as it was: call deliveries_unsaved in the loop, and the next save
 * has everything. EIO, or a file that could not be cut back, is final: *fatal.
 */
int deliveries_save(struct deliveries_save *, bool *fatal);
void deliveries_unsaved(struct deliveries *);

#endif
