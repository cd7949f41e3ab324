#ifndef LOCAL_H
#define LOCAL_H

/* The inside of the engine that keeps events in the spool; for its files
 * only. */

#include <jv.h>

#include "commit.h"
#include "deliveries.h"
#include "filter.h"
#include "journal.h"
#include "queue.h"
#include "registry.h"
#include "store.h"

/* Log bytes between checkpoints: what a start has to read again at most, at
 * about 200 MB/s. */
#define CHECKPOINT_BYTES (32 * 1024 * 1024)
/* Producers remembered per topic; the one not heard of longest is forgotten. */
#define PRODUCERS_MAX 1024
/* Pending events of a window, bytes; publishers wait above it. */
#define WINDOW_MAX (8 * 1024 * 1024)
/* One peer that writes more than this has probably sent the next batch already:
 * it is looked at while the disk works. */
#define DETOUR_BYTES (64 * 1024)
/* Events that end by themselves in one turn of the loop; none does when there
 * are so many bytes of ends that wait for the disk. */
#define SWEEP_EVENTS 2000
#define SWEEP_BYTES (4 * 1024 * 1024)
/* Likewise, then none that is rejected: a few requests of 1,000 tokens. */
#define ENDS_MAX (16 * 1024 * 1024)
/* A received event's lock is written down this much later at the latest. */
#define STATE_DELAY (CLOCK_SECOND / 20)
/* A lock can be renewed within this time of its beginning. */
#define RENEW_WITHIN (3600 * CLOCK_SECOND)
/* After a write failed for want of space, the next try. */
#define SPACE_RETRY CLOCK_SECOND

/* Numbers for metrics since the start; truth that must last is elsewhere. */
struct meter {
	uint64_t done[METRIC_OPS];
	uint64_t failed[METRIC_OPS][FAULT_INTERNAL + 1];
	uint64_t latency_us[METRIC_OPS];
	uint64_t latency_count[METRIC_OPS];
};

struct subscription {
	struct topic *topic;
	char *name;
	char *uid;
	char *state_path; /* below the topic's directory */
	char *queue_path;
	struct filter *filter; /* NULL: all events */
	char *config;          /* what it was made of, as text; or NULL */
	struct filter *earlier; /* at a start: the filter until we went down */
	bool has_earlier;
	char *destination;     /* dead-letter destination as text; NULL: drop */
	char *custom;          /* its customDeliveryProperties likewise; or NULL */
	int64_t lock;          /* receiveLockDurationInSeconds, microseconds */
	int64_t ttl;           /* the lower of time to live and retention */
	int64_t expires;       /* of the subscription itself; 0: never */
	unsigned max_count;
	bool pushes;
	bool seen;  /* during a reload: the registry has it */
	bool dirty; /* in the store's list */
	bool created; /* no state file yet: begins here */
	struct subscription *dirty_next;
	struct queue queue;
	struct deliveries d;
	uint64_t visible; /* queue entries on disk */
	uint64_t closing; /* entries of the window being committed */
	uint64_t before;  /* entries before the write that may fail */
	uint64_t scan_from; /* log offset from which the queue is rebuilt */
	int64_t created_at; /* events before it are not for us */
	uint64_t head;      /* queue index whose publish time head_time is */
	int64_t head_time;
	unsigned char token_id[6];
	struct meter meter;
	void *context;
};

struct producer {
	char name[JOURNAL_NAME_MAX + 1];
	uint64_t stored, pending; /* the last sequence written, and appended */
	uint64_t used;            /* log offset of its last batch */
};

struct topic {
	struct store *store;
	char *name;
	char *uid;
	int dir; /* topics/NAME */
	struct journal *journal;
	int64_t retention;
	struct subscription **subs;
	size_t nsubs;
	struct producer *producers;
	size_t nproducers;
	uint64_t checkpoint; /* log offset of the last one */
	bool owed; /* there was no room for it: with the next commit */
	uint64_t unmatched;
	uint64_t pending_events, pending_unmatched;
	bool touched; /* has pending events; in the store's list */
	bool closing; /* has events in the window being committed */
	bool refused; /* likewise, but they were not written */
	bool seen;
	struct topic *touched_next;
	struct meter meter;
};

/* A checkpoint on its way to the disk. */
struct checkpoint {
	struct topic *topic;
	bool failed; /* for want of space */
	int dir;
	int *queues;
	size_t nqueues;
	struct buf text;
};

struct save {
	struct subscription *sub;
	struct deliveries_save save;
	uint64_t cursor; /* that the save makes durable */
	int error;
};

/* What is made durable together, and what the thread makes of it. */
struct window {
	struct store *store;
	uint64_t number;
	int spool;
	int64_t now;
	struct journal_sync *syncs;
	size_t nsyncs, syncs_cap;
	struct buf deadletters, dropped;
	struct save *saves;
	size_t nsaves, saves_cap;
	struct checkpoint *checkpoints;
	size_t ncheckpoints, checkpoints_cap;
	int publish_error; /* errno; 0 */
	int settle_error;
	int ends_error;
	char what[128]; /* what a final error was about */
};

struct store {
	const struct spool *spool;
	struct ev_loop *loop;
	struct store_hooks hooks;
	struct commit *commit;
	ev_timer timer;
	struct topic **topics;
	size_t ntopics;
	struct window *open, *flight;
	struct topic *touched;
	struct subscription *dirty;
	bool urgent; /* the open window is waited for */
	int64_t dirty_since; /* first lock not written down yet; 0 */
	/* ends not on disk yet, and why not */
	struct buf deadletters, dropped;
	int blocked;
	int64_t retry_at;
	void (*reloaded)(const struct fault *, void *);
	void *reloaded_arg;
	size_t swept; /* in this turn */
	size_t sweeps; /* turns so far */
	int64_t next; /* when the sweep has to run */
	int64_t last; /* when it ran */
	bool still; /* something has to be done while nothing is under way */
	uint32_t epoch; /* of lock names: random at each start */
	uint32_t locks;
	struct event event; /* scratch of publish and recovery */
	struct matched {
		uint32_t event;
		struct subscription *sub;
	} *matched;
	size_t nmatched, matched_cap;
};

/* topic.c */
struct topic *topic_open(struct store *, const char *name, jv resource,
    struct registry *, struct fault *);
void topic_close(struct topic *);
int topic_configure(struct topic *, jv resource, struct registry *,
    struct fault *);
/* End subscription i, with a record of what it still had; without room for the
 * record false, and its files stay. Nothing is under way. */
bool topic_remove(struct topic *, size_t i, const char *reason);
/* Directories of what was deleted while nobody looked: of topics, or of the
 * subscriptions of one. */
void topic_remove_strays(struct store *, struct topic *);
/* All files of a topic that is gone. 0, or -1 and errno. */
int topic_remove_files(struct store *, const char *name);
/* Segments that are past retention and needed by nobody: is there one, and
 * remove them. What nobody needs has to be on disk. */
bool topic_has_old_segment(struct topic *, int64_t now);
void topic_remove_segments(struct topic *, int64_t now);

/* A record in dropped/ of what ceases as a whole: `members` is text behind
 * topic, subscription (if any) and reason. False when it could not be written:
 * then the files stay, and the next start tries again. */
bool topic_gone(struct store *, const char *topic, const char *subscription,
    const char *reason, const char *members);

/* recover.c */
/* Durable indexes up to the end of the log, as text and descriptors. */
int topic_checkpoint(struct topic *, struct checkpoint *);
int checkpoint_write(struct checkpoint *); /* in any thread */
void checkpoint_free(struct checkpoint *);
/* Both at once, by the loop. */
int topic_write_checkpoint(struct topic *, struct fault *);
/* ... or owe it, should the disk be full: it only saves work. */
int topic_try_checkpoint(struct topic *, struct fault *);
/* The one on disk, or invalid when there is none that can be read. */
jv topic_read_checkpoint(struct topic *);
/* Open the log, and rebuild from it what the queues lack. */
int topic_recover(struct topic *, jv checkpoint, struct fault *);

/* publish.c */
/* A batch of this producer stands in the log at this offset. */
int producer_seen(struct topic *, const char *name, size_t len,
    uint64_t sequence, uint64_t offset);
/* Write pending events and queue entries. 0, or an errno that is survivable;
 * others end the daemon. */
int topic_write(struct topic *);

/* subscription.c */
struct subscription *subscription_new(struct topic *, const char *name,
    jv resource, struct fault *);
int subscription_configure(struct subscription *, jv resource, struct fault *);
/* Open state and queue; `count` entries are trusted up to log offset `upto`
 * (count < 0: the checkpoint knows nothing). Sets scan_from. */
int subscription_recover(struct subscription *, int64_t count, uint64_t upto,
    struct fault *);
void subscription_recovered(struct subscription *);
void subscription_free(struct subscription *);
void subscription_dirty(struct subscription *);
/* The clock was set back: what was locked in the future is locked from now. */
void subscription_clock(struct subscription *, int64_t now);

/* deliver.c */
/* When its time to live ends a delivery; INT64_MAX: not before an attempt. */
int64_t delivery_end(const struct subscription *, const struct delivery *);
/* Let things happen that are due, within the turn's bounds. When the next one
 * is; INT64_MAX: nothing. */
int64_t subscription_sweep(struct subscription *, int64_t now);
bool subscription_ready(const struct subscription *);
/* The lowest log offset that is still needed. */
uint64_t subscription_needs(struct subscription *);

/* store.c */
void store_end(struct store *, const struct dl_record *);
void store_wake(struct store *, int64_t at);
_Noreturn void store_die(int error, const char *what);

#endif
