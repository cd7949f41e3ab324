/* a lane: lines of a supply, in order, to a target */
#include "lane.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base64.h"
#include "clock.h"
#include "commit.h"
#include "deadletter.h"
#include "file.h"
#include "json.h"
#include "log.h"

#define RETRY CLOCK_SECOND /* of file work that found no room */
#define LOCAL_PAUSE (10 * CLOCK_SECOND) /* a full disk is looked at so often */
#define SAY_PERIOD (60 * CLOCK_SECOND)  /* of words about drops of one kind */

enum state {
	NOWHERE, /* there is no target */
	WAITING, /* until it is due */
	OPENING,
	ASKING,  /* how far it has come */
	UP,
};

/* The next line; no batch: behind the last. */
struct cursor {
	struct batch *batch;
	size_t offset;
	uint64_t number;
};

struct sent {
	struct cursor from, to;
	uint64_t last;
	uint32_t count;
};

/* Lines that were dropped, a record each: in the log there is one a period. */
struct unsaid {
	int64_t since; /* clock_mono() of the last words; 0: none yet */
	uint64_t n;
};

/* File work, for the thread while it is under way. */
struct job {
	struct batch *done; /* to be removed, behind what is dropped */
	struct buf drops;
	bool take, gather;
	size_t max_bytes, max_files;
	struct batch *taken;
	int gathered;
	int drop_error, done_error, take_error;
};

struct lane {
	struct ev_loop *loop;
	const struct spool *spool;
	const char *name;
	struct supply *supply;
	const struct schedule *schedule;
	char *id;
	struct lane_counts counts;
	struct json json;

	struct commit *thread;
	struct job job;
	int64_t job_due; /* clock_mono(): after a failure */
	int job_error;   /* that was logged */
	bool more;       /* there may be something to be taken */
	bool begun;      /* a supply with its own run knows where */
	bool dropping;   /* the job has records for dropped/ */
	bool stopping;

	/* lines that are held, from the oldest that has not arrived */
	struct batch *first, **last;
	size_t bytes, files;
	struct batch *done, **done_last; /* for the next job */
	struct buf drops;                /* likewise */

	struct target *target, *next; /* next: takes over when nothing is under way */
	bool replace, next_exists, exists;
	char *next_id;
	enum state state;
	bool open;
	int64_t due;       /* clock_mono(); WAITING */
	unsigned attempts; /* that failed, since the last success */
	char error[sizeof(((struct fault *)0)->text)];
	struct unsaid unsaid[DROPS];
	bool shut; /* the target takes nothing: what comes is dropped */
	bool said; /* that there is trouble; its end is said, too */

	struct cursor cursor;
	uint64_t run, sent_last; /* of that run: number of the last line sent */
	uint64_t single;         /* up to here events are sent one by one */
	struct sent sent[LANE_WINDOW];
	unsigned head, under_way;
	bool draining;           /* answers to come mean nothing */
	struct cursor resume;    /* where to go on then */
	int64_t pause;           /* and after how long, for which reason */
	char why[sizeof(((struct fault *)0)->text)];
	unsigned behind;         /* times in a row */
	ev_timer turn;           /* to `next`, when the hook has returned */
	struct parcel parcel;
};

static void fill(struct lane *);
static void begin_job(struct lane *);

const char *
lane_drop_name(enum lane_drop drop)
{
	static const char *const names[] = {
		[DROP_TOPIC_NOT_FOUND] = "TopicNotFoundError",
		[DROP_AUTHENTICATION] = "AuthenticationError",
		[DROP_BAD_REQUEST] = "BadRequest",
		[DROP_TOO_LARGE] = "PayloadTooLarge",
	};

	return names[drop];
}

/* The last part of a resource id is enough for people. */
static const char *
label(const struct lane *l)
{
	const char *slash = strrchr(l->id, '/');

	return slash == NULL ? l->id : slash + 1;
}

/* ---- lines ---- */

static const char *
line_at(const struct cursor *c, size_t *len)
{
	const char *line = c->batch->text + c->offset;

	*len = (size_t)((const char *)memchr(line, '\n',
	    c->batch->proof.bytes - c->offset) - line);
	return line;
}

static struct cursor
start_of(struct batch *b)
{
	return (struct cursor){ b, 0, b == NULL ? 0 : b->first };
}

static void
advance(struct cursor *c, size_t len)
{
	c->offset += len + 1;
	c->number++;
	if (c->offset == c->batch->proof.bytes)
		*c = start_of(c->batch->next);
}

static bool
same(const struct cursor *a, const struct cursor *b)
{
	return a->batch == b->batch && a->offset == b->offset;
}

static void
append(struct lane *l, struct batch *list)
{
	struct cursor start = start_of(list);

	if (list == NULL)
		return;
	/* who stood behind the last stands before these now */
	if (l->cursor.batch == NULL)
		l->cursor = start;
	if (l->resume.batch == NULL)
		l->resume = start;
	for (unsigned i = 0; i < LANE_WINDOW; i++)
		if (l->sent[i].to.batch == NULL)
			l->sent[i].to = start;
	*l->last = list;
	for (struct batch *b = list; b != NULL; b = b->next) {
		l->bytes += b->proof.bytes;
		l->files++;
		l->last = &b->next;
	}
}

/* What has been answered, or dropped, is done. */
static void
release(struct lane *l)
{
	const struct cursor *c = l->draining ? &l->resume :
	    l->under_way > 0 ? &l->sent[l->head].from : &l->cursor;
	struct batch *b;

	while (l->first != c->batch) {
		b = l->first;
		l->first = b->next;
		l->bytes -= b->proof.bytes;
		l->files--;
		b->next = NULL;
		*l->done_last = b;
		l->done_last = &b->next;
	}
	if (l->first == NULL)
		l->last = &l->first;
	begin_job(l);
}

/* The target has these already. */
static void
skip(struct lane *l, uint64_t number)
{
	struct cursor *c = &l->cursor;
	size_t len;

	while (c->batch != NULL && c->batch->run == l->run &&
	    c->number <= number) {
		if (c->batch->first + c->batch->proof.lines - 1 <= number) {
			*c = start_of(c->batch->next);
		} else {
			line_at(c, &len);
			advance(c, len);
		}
	}
}

/* ---- what is dropped ---- */

static void
add_line(struct lane *l, struct buf *b, const char *line, size_t len)
{
	if (json_scan(&l->json, line, len, NULL) == 0) {
		buf_str(b, ",\"record\":");
		buf_add(b, line, len);
		return;
	}
	buf_str(b, ",\"line_base64\":\"");
	base64_add(b, line, len);
	buf_str(b, "\"");
}

static void
drop_line(struct lane *l, const char *line, size_t len, enum lane_drop drop,
    const char *words)
{
	char now[CLOCK_TEXT + 1];
	struct buf *b = &l->drops;

	l->counts.dropped[drop]++;
	clock_format(now, clock_now());
	buf_str(b, "{\"time\":\"");
	buf_str(b, now);
	buf_str(b, "\",\"reason\":\"");
	buf_str(b, lane_drop_name(drop));
	buf_str(b, "\",\"message\":");
	buf_json(b, words, strlen(words));
	buf_str(b, ",\"target\":");
	buf_json(b, l->id, strlen(l->id));
	add_line(l, b, line, len);
	buf_str(b, "}\n");
	if (b->bad)
		log_fatal(EX_OSERR, "out of memory");
}

static bool
may_say(struct lane *l, enum lane_drop drop, uint64_t n)
{
	struct unsaid *u = &l->unsaid[drop];
	int64_t now = clock_mono();

	if (u->since != 0 && now - u->since < SAY_PERIOD) {
		u->n += n;
		return false;
	}
	u->since = now;
	return true;
}

/* What was held back; all of it when it is over. */
static void
say_rest(struct lane *l, bool over)
{
	for (int i = 0; i < DROPS; i++) {
		struct unsaid *u = &l->unsaid[i];

		if (u->since == 0 ||
		    (!over && clock_mono() - u->since < SAY_PERIOD))
			continue;
		if (u->n > 0)
			log_warn("%s: %s: %" PRIu64 " more dropped, which "
			    "dropped/ has now: %s", l->name, label(l), u->n,
			    lane_drop_name((enum lane_drop)i));
		u->since = u->n > 0 && !over ? clock_mono() : 0;
		u->n = 0;
	}
}

static void
drop_span(struct lane *l, const struct sent *s, enum lane_drop drop,
    const char *words)
{
	struct cursor c = s->from;
	uint64_t before = l->counts.dropped[drop], n;
	const char *line;
	size_t len;

	while (!same(&c, &s->to)) {
		line = line_at(&c, &len);
		drop_line(l, line, len, drop, words);
		advance(&c, len);
	}
	n = l->counts.dropped[drop] - before;
	if (may_say(l, drop, n))
		log_warn("%s: %s: %" PRIu64 " dropped, which dropped/ has now: "
		    "%s: %s", l->name, label(l), n, lane_drop_name(drop),
		    words);
}

/* ---- parcels ---- */

static void
drop_bad(struct lane *l, const struct cursor *c, const char *line, size_t len,
    const struct fault *f)
{
	enum lane_drop drop = f->code == FAULT_TOO_LARGE ? DROP_TOO_LARGE :
	    DROP_BAD_REQUEST;

	if (may_say(l, drop, 1))
		log_warn("%s: %s, line %" PRIu64 ": dropped, which dropped/ has "
		    "now: %s", l->name, c->batch->name,
		    c->number - c->batch->first + 1, f->text);
	drop_line(l, line, len, drop, f->text);
}

/*
 * False: it is not its turn. A line is dropped when all before it have arrived,
 * and none behind it is sent before that record is safe: where the target is
 * tells what is done, also after a crash.
 */
static bool
pack(struct lane *l, const struct cursor *c, const char *line, size_t len)
{
	struct parcel *p = &l->parcel;
	size_t before = p->text.len;
	struct fault f;
	int rc = l->supply->calls->event(l->supply, c->batch, c->number, line,
	    len, &p->text, &f);

	if (rc == -1) {
		if (p->count > 0 || l->under_way > 0)
			return false;
		drop_bad(l, c, line, len, &f);
	}
	if (rc != 1)
		return true;
	if (l->drops.len > 0 ||
	    (p->count > 0 && p->text.len > PARCEL_BYTES)) {
		p->text.len = before;
		return false;
	}
	p->count++;
	p->last = c->number;
	return true;
}

static bool
build(struct lane *l, struct sent *s)
{
	struct parcel *p = &l->parcel;
	struct cursor *c = &l->cursor;
	const char *line;
	size_t len;

	buf_reset(&p->text, 2 * PARCEL_BYTES);
	p->count = 0;
	s->from = *c;
	while (c->batch != NULL && c->batch->run == l->run &&
	    p->count < (c->number <= l->single ? 1 : PARCEL_EVENTS) &&
	    l->drops.len < LANE_DROPS) {
		line = line_at(c, &len);
		if (!pack(l, c, line, len))
			break;
		advance(c, len);
	}
	if (p->text.bad)
		log_fatal(EX_OSERR, "out of memory");
	s->to = *c;
	s->last = p->last;
	s->count = p->count;
	return p->count > 0;
}

static void
ask(struct lane *l)
{
	uint64_t run = l->supply->run;

	if (run == 0 && l->cursor.batch != NULL)
		run = l->cursor.batch->run;
	if (run != l->run)
		l->single = 0;
	l->run = run;
	if (run == 0) {
		l->state = UP;
		return;
	}
	l->state = ASKING;
	l->target->calls->ask(l->target, run);
}

static void
fill(struct lane *l)
{
	struct sent *s;

	while (l->state == UP && !l->draining && !l->stopping && !l->replace &&
	    l->under_way < l->target->window && l->cursor.batch != NULL &&
	    !l->dropping && l->drops.len == 0) {
		if (l->cursor.batch->run != l->run) {
			if (l->under_way == 0)
				ask(l);
			break;
		}
		s = &l->sent[(l->head + l->under_way) % LANE_WINDOW];
		if (!build(l, s)) {
			if (same(&s->from, &l->cursor))
				break;
			continue;
		}
		l->parcel.run = l->run;
		l->parcel.after = l->sent_last;
		l->sent_last = s->last;
		l->under_way++;
		l->target->calls->send(l->target, &l->parcel);
	}
	release(l);
}

/* ---- the target ---- */

static int64_t
pause_of(const struct lane *l)
{
	const struct schedule *s = l->schedule;

	return s->pause[l->attempts < s->n ? l->attempts : s->n - 1];
}

static void
wait_for_it(struct lane *l, int64_t pause, const char *words)
{
	if (pause == 0)
		pause = pause_of(l);
	l->attempts++;
	l->shut = false;
	l->state = WAITING;
	l->due = clock_mono() + pause;
	if (strcmp(l->error, words) == 0)
		return;
	snprintf(l->error, sizeof(l->error), "%s", words);
	l->said = true;
	log_warn("%s: %s: %s; what comes waits, next attempt in %lld s",
	    l->name, label(l), words, (long long)(pause / CLOCK_SECOND));
}

static void
attempt(struct lane *l)
{
	if (l->stopping)
		return;
	if (l->open) {
		ask(l);
		if (l->state == UP)
			fill(l);
		return;
	}
	l->state = OPENING;
	l->target->calls->open(l->target);
}

static void
take_over(struct lane *l)
{
	bool moved = l->id == NULL || l->next_id == NULL ||
	    strcmp(l->id, l->next_id) != 0;

	say_rest(l, true);
	if (l->target != NULL)
		l->target->calls->free(l->target);
	free(l->id);
	l->id = l->next_id;
	l->target = l->next;
	l->exists = l->next_exists;
	l->next = NULL;
	l->next_id = NULL;
	l->replace = l->open = l->shut = false;
	l->attempts = 0;
	l->error[0] = '\0';
	l->said &= !moved;
	/* what another topic has of a supply that has a run is not known */
	if (moved && l->supply->run != 0) {
		batches_free(l->first);
		l->first = NULL;
		l->last = &l->first;
		l->bytes = l->files = 0;
		l->cursor = (struct cursor){ .batch = NULL };
		l->begun = false;
		l->more = true;
	}
	if (l->target == NULL)
		l->state = NOWHERE;
	else
		attempt(l);
}

/* The new one, when nothing is under way to the old one. */
static void
replace(struct lane *l)
{
	if (l->replace && l->under_way == 0 && !commit_busy(l->thread))
		take_over(l);
}

static void
on_turn(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	replace(timer->data);
}

/* A hook must not free its target. */
static void
replace_soon(struct lane *l)
{
	if (!l->replace || ev_is_active(&l->turn))
		return;
	ev_timer_set(&l->turn, 0, 0);
	ev_timer_start(l->loop, &l->turn);
}

/* Nothing more is answered: go on where `resume` says. */
static void
drained(struct lane *l, const char *words)
{
	l->draining = false;
	l->cursor = l->resume;
	if (l->pause == -1) {
		ask(l);
		return;
	}
	wait_for_it(l, l->pause, words);
}

static void
drain(struct lane *l, const struct cursor *resume, int64_t pause,
    const char *words)
{
	l->draining = true;
	l->resume = *resume;
	l->pause = pause;
	if (l->under_way == 0)
		drained(l, words);
	else
		snprintf(l->why, sizeof(l->why), "%s", words);
}

static void
on_opened(void *arg)
{
	struct lane *l = arg;

	l->open = true;
	ask(l);
	fill(l);
}

static void
on_lost(const struct fault *f, void *arg)
{
	struct lane *l = arg;

	l->open = false;
	if (l->draining)
		l->cursor = l->resume;
	else if (l->under_way > 0)
		l->cursor = l->sent[l->head].from;
	l->draining = false;
	l->under_way = 0;
	l->counts.retries[0]++;
	wait_for_it(l, 0, f->text);
	release(l);
	replace_soon(l);
}

static void
on_hint(void *arg)
{
	struct lane *l = arg;

	if (l->state == WAITING) {
		l->attempts = 0;
		attempt(l);
	}
}

static void
on_position(uint64_t number, void *arg)
{
	struct lane *l = arg;

	l->state = UP;
	l->more = true; /* behind what was gathered meanwhile */
	l->sent_last = number;
	if (l->supply->run != 0 && !l->begun) {
		l->begun = true;
		l->supply->calls->begin(l->supply, number);
	}
	skip(l, number);
	fill(l);
}

static void
stored(struct lane *l, const struct sent *s)
{
	l->counts.routed += s->count;
	l->attempts = l->behind = 0;
	l->shut = false;
	l->error[0] = '\0';
	if (!l->said)
		return;
	say_rest(l, true);
	log_warn("%s: %s: events arrive again", l->name, label(l));
	l->said = false;
}

/* It is gone for good, or closed to us, for all that was sent. */
static void
turned_away(struct lane *l, const struct sent *s, enum outcome outcome,
    const char *words)
{
	drop_span(l, s, outcome == OUTCOME_GONE ? DROP_TOPIC_NOT_FOUND :
	    DROP_AUTHENTICATION, words);
	snprintf(l->error, sizeof(l->error), "%s", words);
	l->shut = l->said = true;
	drain(l, &s->to, -1, words);
}

/* One of them is at fault: it is found by sending each alone. */
static void
refused(struct lane *l, const struct sent *s, const struct fault *f)
{
	if (s->count > 1) {
		l->single = s->last;
		drain(l, &s->from, -1, f->text);
		return;
	}
	drop_span(l, s, f->code == FAULT_TOO_LARGE ? DROP_TOO_LARGE :
	    DROP_BAD_REQUEST, f->text);
	drain(l, &s->to, -1, f->text);
}

static void
later(struct lane *l, const struct sent *s, int64_t pause,
    const struct fault *f)
{
	l->counts.retries[f->code == FAULT_TOO_MANY]++;
	/* what the target says counts when it is later than the schedule */
	if (pause < pause_of(l))
		pause = pause_of(l);
	/* a disk of ours: looking is cheap */
	if (l->exists && f->code == FAULT_TOO_MANY && pause_of(l) > LOCAL_PAUSE)
		pause = LOCAL_PAUSE;
	drain(l, &s->from, pause, f->text);
}

static void
on_answered(enum outcome outcome, int64_t retry_after, const struct fault *f,
    void *arg)
{
	struct lane *l = arg;
	struct sent s = l->sent[l->head];

	l->head = (l->head + 1) % LANE_WINDOW;
	l->under_way--;
	if (outcome == OUTCOME_GONE && l->exists)
		outcome = OUTCOME_LATER;
	if (l->draining) {
		if ((outcome == OUTCOME_GONE || outcome == OUTCOME_DENIED) &&
		    same(&s.from, &l->resume))
			turned_away(l, &s, outcome, f->text);
		else if (l->under_way == 0)
			drained(l, l->why);
	} else {
		switch (outcome) {
		case OUTCOME_STORED:
			stored(l, &s);
			break;
		case OUTCOME_LATER:
			later(l, &s, retry_after, f);
			break;
		case OUTCOME_BEHIND:
			/* asked, and told wrong, again and again? */
			drain(l, &s.from, l->behind++ < 3 ? -1 : 0, f->text);
			break;
		case OUTCOME_GONE:
		case OUTCOME_DENIED:
			turned_away(l, &s, outcome, f->text);
			break;
		case OUTCOME_REFUSED:
			refused(l, &s, f);
			break;
		}
	}
	fill(l);
	replace_soon(l);
}

const struct target_hooks lane_hooks = { on_opened, on_lost, on_hint,
	on_position, on_answered };

/* ---- file work ---- */

static int
work(void *arg)
{
	struct lane *l = arg;
	struct job *j = &l->job;
	struct supply *s = l->supply;

	j->drop_error = j->done_error = j->take_error = 0;
	if (j->drops.len > 0 && dropped_append(l->spool->fd, clock_now(),
	    buf_data(&j->drops), j->drops.len) == -1)
		j->drop_error = errno;
	else
		buf_reset(&j->drops, 65536);
	while (j->drop_error == 0 && j->done != NULL) {
		struct batch *b = j->done;

		if (s->calls->done(s, b) == -1) {
			j->done_error = errno;
			break;
		}
		j->done = b->next;
		batch_free(b);
	}
	if (j->take && s->calls->take(s, j->max_bytes, j->max_files,
	    &j->taken) == -1)
		j->take_error = errno;
	if (j->gather && (j->gathered = s->calls->gather(s, j->max_bytes,
	    j->max_files)) == -1)
		j->take_error = errno;
	return 0;
}

/* A full disk, and the like, is waited for; it is said once. */
static void
look_at_errors(struct lane *l)
{
	const struct job *j = &l->job;
	int error = j->drop_error != 0 ? j->drop_error : j->take_error;

	if (j->take_error == EIO ||
	    (j->drop_error != 0 && !file_no_room(j->drop_error)))
		log_fatal(EX_IOERR, "%s: %s", j->drop_error != 0 ? "dropped" :
		    l->name, strerror(error));
	if (error == 0)
		error = j->done_error;
	if (error != 0 && error != l->job_error)
		log_warn("%s: %s; tried again every second", l->name,
		    strerror(error));
	l->job_error = error;
	l->dropping = j->drop_error != 0;
	if (error != 0)
		l->job_due = clock_mono() + RETRY;
}

static void
worked(void *arg, int error)
{
	struct lane *l = arg;
	struct job *j = &l->job;

	(void)error;
	look_at_errors(l);
	if ((j->take || j->gather) && (j->taken != NULL || j->gathered > 0 ||
	    j->take_error != 0))
		l->more = true;
	append(l, j->taken);
	j->taken = NULL;
	replace(l);
	fill(l);
}

static bool
may_take(const struct lane *l)
{
	return l->more && !l->stopping && !l->replace && l->state != NOWHERE &&
	    (l->supply->run == 0 || l->begun) && l->bytes < LANE_BYTES &&
	    l->files < LANE_FILES;
}

/* There is no room for more, and nobody takes any. */
static bool
may_gather(const struct lane *l)
{
	return l->more && !l->stopping && !l->replace && l->state == WAITING &&
	    (l->bytes >= LANE_BYTES || l->files >= LANE_FILES) &&
	    l->supply->calls->gather != NULL;
}

static void
begin_job(struct lane *l)
{
	struct job *j = &l->job;
	struct batch **end = &j->done;

	if (commit_busy(l->thread) || clock_mono() < l->job_due)
		return;
	j->take = may_take(l);
	j->gather = may_gather(l);
	if (!j->take && !j->gather && l->done == NULL && l->drops.len == 0 &&
	    j->done == NULL && j->drops.len == 0)
		return;
	while (*end != NULL) /* an earlier one has failed */
		end = &(*end)->next;
	*end = l->done;
	l->done = NULL;
	l->done_last = &l->done;
	buf_add(&j->drops, buf_data(&l->drops), l->drops.len);
	buf_reset(&l->drops, 65536);
	if (j->drops.bad)
		log_fatal(EX_OSERR, "out of memory");
	l->dropping = j->drops.len > 0;
	if (j->take || j->gather)
		l->more = false;
	j->gathered = 0;
	j->max_bytes = LANE_TAKE;
	j->max_files = j->gather ? LANE_FILES : LANE_FILES - l->files;
	commit_start(l->thread, l);
}

/* ---- for the daemon ---- */

struct lane *
lane_new(struct ev_loop *loop, const struct spool *spool, const char *name,
    struct supply *supply, const struct schedule *schedule)
{
	struct lane *l = calloc(1, sizeof(*l));

	if (l == NULL || (l->thread = commit_new(loop, work, worked)) == NULL) {
		free(l);
		supply->calls->free(supply);
		return NULL;
	}
	l->loop = loop;
	l->spool = spool;
	l->name = name;
	l->supply = supply;
	l->schedule = schedule;
	l->last = &l->first;
	l->done_last = &l->done;
	l->more = true;
	ev_init(&l->turn, on_turn);
	l->turn.data = l;
	return l;
}

void
lane_target(struct lane *l, const char *id, struct target *target, bool exists)
{
	if (l->next != NULL)
		l->next->calls->free(l->next);
	free(l->next_id);
	l->next = target;
	l->next_id = id == NULL ? NULL : strdup(id);
	l->next_exists = exists;
	l->replace = true;
	replace(l);
}

void
lane_wake(struct lane *l)
{
	l->more = true;
	begin_job(l);
}

void
lane_retry(struct lane *l)
{
	on_hint(l);
}

void
lane_tick(struct lane *l)
{
	replace(l);
	say_rest(l, false);
	if (l->state == WAITING && clock_mono() >= l->due)
		attempt(l);
	begin_job(l);
}

void
lane_stop(struct lane *l)
{
	l->stopping = true;
}

bool
lane_idle(const struct lane *l)
{
	return l->under_way == 0 && !commit_busy(l->thread) &&
	    l->done == NULL && l->drops.len == 0;
}

void
lane_free(struct lane *l)
{
	lane_stop(l);
	say_rest(l, true);
	commit_free(l->thread);
	ev_timer_stop(l->loop, &l->turn);
	if (l->target != NULL)
		l->target->calls->free(l->target);
	if (l->next != NULL)
		l->next->calls->free(l->next);
	l->supply->calls->free(l->supply);
	batches_free(l->first);
	batches_free(l->done);
	batches_free(l->job.done);
	buf_free(&l->job.drops);
	buf_free(&l->drops);
	buf_free(&l->parcel.text);
	json_free(&l->json);
	free(l->id);
	free(l->next_id);
	free(l);
}

const char *
lane_name(const struct lane *l)
{
	return l->name;
}

const struct lane_counts *
lane_counts(const struct lane *l)
{
	return &l->counts;
}

static const char *
state_name(const struct lane *l)
{
	switch (l->state) {
	case NOWHERE: return "nowhere";
	case WAITING: return "waiting";
	case OPENING: return "connecting";
	default: return l->shut ? "dropping" : "up";
	}
}

void
lane_stats(const struct lane *l, struct buf *b)
{
	char due[CLOCK_TEXT + 1];
	uint64_t dropped = 0;

	for (int i = 0; i < DROPS; i++)
		dropped += l->counts.dropped[i];
	buf_printf(b, "{\"lane\":\"%s\",\"state\":\"%s\"", l->name,
	    state_name(l));
	if (l->id != NULL) {
		buf_str(b, ",\"target\":");
		buf_json(b, l->id, strlen(l->id));
	}
	if (l->error[0] != '\0') {
		buf_str(b, ",\"error\":");
		buf_json(b, l->error, strlen(l->error));
	}
	if (l->state == WAITING) {
		clock_format(due, clock_now() + l->due - clock_mono());
		buf_printf(b, ",\"nextAttempt\":\"%s\"", due);
	}
	buf_printf(b, ",\"held\":%zu,\"routed\":%llu,\"dropped\":%llu}",
	    l->files, (unsigned long long)l->counts.routed,
	    (unsigned long long)dropped);
}
