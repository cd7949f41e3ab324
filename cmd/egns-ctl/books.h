#ifndef BOOKS_H
#define BOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jv.h>

#include "fault.h"
#include "spool.h"

/*
 * What should be on disk, for audit and scrub: the counts of every topic and
 * subscription. A running topicd tells them, as of a moment at which all of it
 * was on disk; else they are in its files, and it is kept from starting.
 */

/* Offsets in a log. */
struct offsets {
	uint64_t *at;
	size_t n, cap;
};

/*
 * Dead letters of a subscription, each with what is known of it: the offset in
 * the upper 56 bits, marks in the lower 8.
 */
enum mark {
	MARK_WAITS = 1,    /* in deadletter/, on its way */
	MARK_LATE = 2,     /* in dropped/, as it could not be written */
	MARK_LOCAL = 4,    /* written to a container of the spool */
	MARK_AWAY = 8,     /* written elsewhere */
	MARK_RECENT = 16,  /* written so lately that replay/ knows of it */
	MARK_REPLAYED = 32,
	MARK_KEPT = 64,    /* in a container of the spool now */
	MARK_WRITTEN = MARK_LOCAL | MARK_AWAY,
	MARK_RECORDED = MARK_WAITS | MARK_LATE | MARK_WRITTEN,
};

struct account { /* of a subscription */
	char *name, *uid;
	int64_t created; /* microseconds */
	bool counted;    /* topicd, or a state file, knows it */
	uint64_t matched, cursor;
	uint64_t pending, in_flight, acknowledged, dead_lettered, dropped;
	uint64_t settled_before;
	uint64_t vouched; /* queue entries that the checkpoint counts */
	struct offsets held;    /* unsettled; only when topicd does not run */
	struct offsets drops;   /* records in dropped/ */
	struct offsets letters; /* with their marks */
	uint64_t recorded, waiting, written, late; /* of them */
	/* what became of the written ones; of those that replay/ has forgotten
	 * nobody knows */
	uint64_t replayed, kept, away, pruned, gone;
	uint64_t differences;
};

struct ledger { /* of a topic */
	char *topic, *uid;
	int dir; /* topics/TOPIC; -1 when it is not there */
	bool counted;
	uint64_t start, end, number; /* end: UINT64_MAX when topicd is down */
	uint64_t vouched; /* log offset of the checkpoint */
	uint64_t events, bytes; /* found in the log */
	struct account *account;
	size_t n;
	uint64_t differences;
};

struct books {
	struct spool spool;
	bool running; /* topicd is, and told all this */
	int lock;     /* that keeps it from starting; -1 */
	struct ledger *ledger;
	size_t n;
};

/* Of all topics, or one. 0, or -1 and a fault. */
int books_open(struct books *, const char *spool, const char *topic,
    struct fault *);
void books_close(struct books *);

/* The ledger of a topic, the account of a subscription; NULL: none. */
struct ledger *books_ledger(struct books *, const char *, size_t);
struct account *ledger_account(struct ledger *, const char *, size_t);

/* A subscription (not consumed) that has reached its expiration time is none
 * any more. */
bool books_expired(jv resource);

/* 0, or -1 without memory. */
int offsets_add(struct offsets *, uint64_t);
/* In order, each once. */
void offsets_sort(struct offsets *);

/* The same of dead letters: one more mark of one; an offset that can be none is
 * left out. In order, each once with all its marks. */
int marks_add(struct offsets *, int64_t offset, unsigned marks);
void marks_sort(struct offsets *);

#endif
