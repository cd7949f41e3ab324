#ifndef COMMIT_H
#define COMMIT_H

#include <stdbool.h>

#include <ev.h>

/*
 * Group commit: one thread that does what blocks (fdatasync, fsync, rename) for
 * a loop that must not. The loop gathers a window, hands it over, gathers the
 * next while the thread works, and sends its acknowledgements when it is done.
 * A window under way keeps the loop alive, an idle committer does not. Signals
 * never go to the thread. All calls come from the loop's thread.
 */
struct commit;

/*
 * work() runs in the thread and returns 0 or an errno; done() runs in the loop
 * with that result and the same window. NULL without memory or thread.
 */
struct commit *commit_new(struct ev_loop *, int (*work)(void *window),
    void (*done)(void *window, int error));

/* Is a window under way? Then the next one has to wait for done(). */
bool commit_busy(const struct commit *);

/* Hand a window over; nothing is under way. done() may do that, too. */
void commit_start(struct commit *, void *window);

/* Wait for the window under way, if any, and end the thread; done() is called
 * before this returns; not to be called from there. */
void commit_free(struct commit *);

#endif
