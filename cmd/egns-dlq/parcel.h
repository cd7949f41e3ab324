#ifndef PARCEL_H
#define PARCEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "buf.h"
#include "uuid.h"

/*
 * Records of one subscription and hour that travel together, egns-spool(5): a
 * file of lines of deadletter/ that becomes one blob. Its name says whose it is,
 *	TOPIC.SUBSCRIPTION.yyyyMMddHH.FIRST-LAST.GUID
 * FIRST and LAST are microseconds that rise with each parcel that is made; one
 * that was made of others has the range of all of them, so that what a crash has
 * left of these is known. GUID is the blob's name.
 */
#define PARCEL_SORTED "deadletter/sorted"   /* not tried yet */
#define PARCEL_SENDING "deadletter/sending" /* its blob may be there */
#define PARCEL_BYTES (2 * 1024 * 1024)      /* about; a record has its own */
#define PARCEL_WORD 64  /* of a topic or a subscription, with its NUL */
#define PARCEL_NAME 240

struct parcel {
	TAILQ_ENTRY(parcel) entry;
	char topic[PARCEL_WORD], subscription[PARCEL_WORD];
	int64_t hour;        /* microseconds since 1970, its first one */
	int64_t first, last;
	char guid[UUID_SIZE];
	bool sending;        /* where its file is */
	bool flying;         /* its blob is being written */
	bool landed;         /* is there; that is not on record yet */
	uint64_t letters, bytes;
	unsigned attempts;
	int64_t due;         /* clock_mono(): not before; 0: at once */
};
TAILQ_HEAD(parcels, parcel);

/* Can it be the name of a topic or a subscription, and so a part of a path? */
bool parcel_is_word(const char *, size_t);

void parcel_name(const struct parcel *, char name[PARCEL_NAME]);
/* Take a name apart; false: it is none. */
bool parcel_parse(struct parcel *, const char *name);
/* Where its file is, below the spool. */
void parcel_path(const struct parcel *, char path[PARCEL_NAME]);

/* Is it one of those that the other was made of? */
bool parcel_is_part(const struct parcel *part, const struct parcel *whole);

/* Its records, which the caller frees. NULL and errno. */
char *parcel_read(int spool, const struct parcel *, size_t *len);

/* Write, sync and close a new file with these records, below dir; its name is
 * not safe yet. 0, or -1 and errno. */
int parcel_write(int spool, const char *dir, const struct parcel *,
    const struct buf *records);

/* Its file is to go. 0, or -1 and errno. */
int parcel_remove(int spool, const struct parcel *);

/*
 * What a directory holds, in no order: fn takes each (malloc'd). Files that are
 * no parcels are passed by, and so is one that cannot be read, which is said; one
 * that was not finished goes. 0, or -1 and errno.
 */
int parcel_load(int spool, bool sending, int (*fn)(struct parcel *, void *),
    void *arg);

#endif
