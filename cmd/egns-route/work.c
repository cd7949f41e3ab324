/* work: what a lane does with files */
#include "work.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "commit.h"
#include "deadletter.h"
#include "file.h"
#include "log.h"

#define RETRY CLOCK_SECOND            /* of a job that found no room */
#define TAKE_BYTES (4 * 1024 * 1024)  /* that are taken at a time */
#define KEEP 65536                    /* bytes of buffers */

/* For the thread while it is under way; what has failed stays in it. */
struct job {
	struct buf drops;
	struct batch *done; /* to be removed, behind the records in drops */
	enum work_want want;
	size_t max_files;
	struct batch *taken;
	int gathered;
	int drop_error, done_error, take_error;
};

struct work {
	const struct spool *spool;
	const char *name;
	struct supply *supply;
	void (*taken)(struct batch *, bool, void *);
	void *arg;

	struct commit *thread;
	struct job job;
	bool dropping; /* the job has records */
	int64_t due;   /* clock_mono(): after a failure */
	int error;     /* that was logged */

	/* for the next job */
	struct buf drops;
	struct batch *done, **done_last;
};

/* ---- in the thread ---- */

static int
remove_done(struct supply *s, struct job *j)
{
	struct batch *b;

	while ((b = j->done) != NULL) {
		if (s->calls->done(s, b) == -1)
			return -1;
		j->done = b->next;
		batch_free(b);
	}
	return 0;
}

static int
look_for_more(struct supply *s, struct job *j)
{
	switch (j->want) {
	case WORK_NO_MORE:
		break;
	case WORK_TAKE:
		return s->calls->take(s, TAKE_BYTES, j->max_files, &j->taken);
	case WORK_GATHER:
		j->gathered = s->calls->gather(s, TAKE_BYTES, j->max_files);
		return j->gathered;
	}
	return 0;
}

static int
work(void *arg)
{
	struct work *w = arg;
	struct job *j = &w->job;

	j->drop_error = j->done_error = j->take_error = 0;
	if (j->drops.len > 0 && dropped_append(w->spool->fd, clock_now(),
	    buf_data(&j->drops), j->drops.len) == -1)
		j->drop_error = errno;
	else
		buf_reset(&j->drops, KEEP);
	if (j->drop_error == 0 && remove_done(w->supply, j) == -1)
		j->done_error = errno;
	if (look_for_more(w->supply, j) == -1)
		j->take_error = errno;
	return 0;
}

/* ---- in the loop ---- */

/* A full disk, and the like, is waited for; it is said once. */
static void
look_at_errors(struct work *w)
{
	const struct job *j = &w->job;
	int error = j->drop_error != 0 ? j->drop_error : j->take_error;

	if (j->take_error == EIO ||
	    (j->drop_error != 0 && !file_no_room(j->drop_error)))
		log_fatal(EX_IOERR, "%s: %s", j->drop_error != 0 ? "dropped" :
		    w->name, strerror(error));
	if (error == 0)
		error = j->done_error;
	if (error != 0 && error != w->error)
		log_warn("%s: %s; tried again every second", w->name,
		    strerror(error));
	w->error = error;
	w->dropping = j->drop_error != 0;
	if (error != 0)
		w->due = clock_mono() + RETRY;
}

static void
worked(void *arg, int error)
{
	struct work *w = arg;
	struct job *j = &w->job;
	struct batch *list = j->taken;

	(void)error;
	look_at_errors(w);
	j->taken = NULL;
	w->taken(list, list != NULL || j->gathered > 0 || j->take_error != 0,
	    w->arg);
}

struct work *
work_new(struct ev_loop *loop, const struct spool *spool, const char *name,
    struct supply *supply, void (*taken)(struct batch *, bool, void *),
    void *arg)
{
	struct work *w = calloc(1, sizeof(*w));

	if (w == NULL || (w->thread = commit_new(loop, work, worked)) == NULL) {
		free(w);
		supply->calls->free(supply);
		return NULL;
	}
	w->spool = spool;
	w->name = name;
	w->supply = supply;
	w->taken = taken;
	w->arg = arg;
	w->done_last = &w->done;
	return w;
}

void
work_free(struct work *w)
{
	commit_free(w->thread);
	w->supply->calls->free(w->supply);
	batches_free(w->done);
	batches_free(w->job.done);
	buf_free(&w->job.drops);
	buf_free(&w->drops);
	free(w);
}

struct buf *
work_drops(struct work *w)
{
	return &w->drops;
}

void
work_done(struct work *w, struct batch *b)
{
	b->next = NULL;
	*w->done_last = b;
	w->done_last = &b->next;
}

/* Behind what an earlier job has left. */
static void
hand_over(struct work *w)
{
	struct job *j = &w->job;
	struct batch **end = &j->done;

	while (*end != NULL)
		end = &(*end)->next;
	*end = w->done;
	w->done = NULL;
	w->done_last = &w->done;
	buf_add(&j->drops, buf_data(&w->drops), w->drops.len);
	if (w->drops.bad || j->drops.bad)
		log_fatal(EX_OSERR, "out of memory");
	buf_reset(&w->drops, KEEP);
	w->dropping = j->drops.len > 0;
}

bool
work_start(struct work *w, enum work_want want, size_t max_files)
{
	struct job *j = &w->job;

	if (commit_busy(w->thread) || clock_mono() < w->due ||
	    (want == WORK_NO_MORE && w->done == NULL && w->drops.len == 0 &&
	    j->done == NULL && j->drops.len == 0))
		return false;
	hand_over(w);
	j->want = want;
	j->max_files = max_files;
	j->gathered = 0;
	commit_start(w->thread, w);
	return want != WORK_NO_MORE;
}

bool
work_busy(const struct work *w)
{
	return commit_busy(w->thread);
}

bool
work_is_safe(const struct work *w)
{
	return !w->dropping && w->drops.len == 0;
}

bool
work_idle(const struct work *w)
{
	return !commit_busy(w->thread) && w->done == NULL && w->drops.len == 0;
}
