#ifndef STORE_H
#define STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker.h"
#include "message.h"
#include "session.h"
#include "subs.h"

/*
 * What of sessions survives a restart, as text in sessions/, egns-spool(5):
 *
 *	state.ndjson	sessions, their subscriptions and wills
 *	N.ndjson	messages and what became of them
 *
 * Lines are gathered in the open window (window.h). A message is held by each
 * stored session that it waits for, and by the retained ones; the last holder's
 * end makes its line garbage. Segments go from the front, when nothing in them
 * is alive; while more than half is garbage, what is alive in the first is
 * written anew behind the last.
 */
#define STORE_SEGMENT (64 * 1024 * 1024) /* bytes, then the next begins */
#define STORE_GARBAGE (128 * 1024 * 1024) /* bytes that are never cleaned */
#define STORE_MEMORY (256 * 1024 * 1024) /* then bodies are read when needed */

/* Read all, make sessions and retained messages. 0, or -1 and a fault. */
int store_open(struct broker *, struct fault *);
void store_close(struct broker *);

/*
 * Its next connection gets a number: above all that it had, and, when it is
 * new, above all that any session had, also in earlier runs. False: a crash now
 * could lead to that number once more; it is safe once what is gathered is on
 * disk.
 */
bool store_connection(struct session *);
/* This was the last: what was set aside is given back. */
void store_last_connection(struct broker *);

/* A session is new, or its connection or will is. */
void store_session(struct session *);
void store_disconnected(struct session *, bool will);
/* It, and all that it waits for, is over. */
void store_ended(struct session *);

void store_subscribed(struct session *, const char *filter, size_t,
    const struct subscription_options *);
void store_unsubscribed(struct session *, const char *filter, size_t);

/*
 * A message with its holders: those of n sessions whose delivery is `held`, and
 * the retained messages when it is STORE_RETAINED. It gets its number. `record`
 * has its members (record.h). When its window fails there is no message any
 * more: then, and when a holder never comes about, store_release().
 */
struct store_target {
	struct session *session;
	struct deliver deliver;
};
enum store_retain {
	STORE_NOT_RETAINED,
	STORE_RETAINED, /* it takes the place of its topic's last */
	STORE_CLEARS,   /* the topic has none any more */
};
void store_message(struct broker *, struct message *, const char *record,
    size_t, const struct store_target *, size_t n, enum store_retain);

/* One session more holds a message that is on disk. store_also_done: its window
 * is done, for good or ill; an ill one is followed by store_release(). */
void store_also(struct broker *, struct message *, const struct store_target *);
void store_also_done(struct message *);

/* One holder less, and the store is told at the end of the turn at the latest;
 * the same without telling, because the session's end says it. */
void store_settled(struct session *, struct message *);
void store_release(struct broker *, struct message *);
/* It is not retained any more. */
void store_unretained(struct broker *, struct message *);

/* The message's body is needed. 0, or -1: it cannot be read (logged). */
int store_load(struct broker *, struct message *);
/* Memory may be short: its body can be read again, if none but its holders and
 * `others` refer to it. */
void store_may_forget(struct broker *, struct message *, uint32_t others);

/* Before a window closes: lines that were put off, cleaning. */
void store_turn(struct broker *);

/*
 * The files, for window.c: what a commit does to them. store_seal: no window is
 * under way, this one is closed now; the rest runs in the thread. Messages are
 * written and synced before the state: a will that was sent is in the messages
 * before the state says so.
 */
struct store_commit {
	struct buf *state, *state_must, *messages, *messages_must, *moved;
	/* filled in by store_seal */
	struct buf snapshot; /* replaces state.ndjson, when not empty */
	uint32_t segment;
	bool begin; /* a new segment */
	uint64_t state_at, messages_at;
	uint64_t reserved; /* connections; see struct store */
	int fd;        /* of that segment */
	bool fatal;    /* it was a sync that failed */
	bool replaced; /* the snapshot is there */
};
void store_seal(struct broker *, struct store_commit *);
/* Write messages; sync them, write and sync the state. 0; or errno, and all is
 * as it was, unless it is `fatal`. */
int store_write(struct broker *, struct store_commit *);
void store_undo(struct broker *, struct store_commit *);
int store_sync(struct broker *, struct store_commit *);
/* In the loop: done or not. */
void store_committed(struct broker *, struct store_commit *, int error);

#endif
