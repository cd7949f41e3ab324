#ifndef QUEUE_H
#define QUEUE_H

#include <stddef.h>
#include <stdint.h>

/*
 * The offsets of the events that matched a subscription, in order: a file of
 * 8-byte little-endian numbers, so that entry i stands at byte 8i for ever. The
 * front that is no longer needed becomes a hole. An index: rebuilt from the log.
 *
 * Not thread-safe, except queue_sync().
 */
struct queue {
	int fd;
	uint64_t count;   /* entries in the file */
	uint64_t pending; /* entries added but not written yet */
	uint64_t punched; /* entries that are a hole */
	uint64_t *add;    /* the pending ones */
	size_t cap;
	uint64_t *read; /* read-ahead: entries read_at .. read_at + read_n */
	uint64_t read_at;
	size_t read_n;
};

/* Open or create below dir; a torn last entry is cut off. 0, or -1 and errno. */
int queue_open(struct queue *, int dir, const char *path);
void queue_close(struct queue *);

/* Keep the first n entries; n beyond the end makes a hole. 0, or -1. */
int queue_truncate(struct queue *, uint64_t n);

/* Add one; memory only. 0, or -1 without memory. */
int queue_add(struct queue *, uint64_t offset);

/* Write what is pending, or -1 and errno and then nothing is pending and the
 * file is as before. */
int queue_write(struct queue *);
void queue_rollback(struct queue *);

/* In any thread. */
int queue_sync(int fd);

/* Entry i. 0; -1 and errno: ENOENT when there is none or it is a hole. */
int queue_get(struct queue *, uint64_t i, uint64_t *offset);

/* The first entry that is not a hole, or count. */
uint64_t queue_first(struct queue *);

/* Entries below n are not needed any more: give their blocks back, in steps of
 * QUEUE_PUNCH, best effort. */
#define QUEUE_PUNCH (128 * 1024)
void queue_punch(struct queue *, uint64_t n);

#endif
