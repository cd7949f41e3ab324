/* a lane: lines of a supply, in order, to a target */
#include "lane.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "cursor.h"
#include "log.h"
#include "work.h"

#define HELD_BYTES (32 * 1024 * 1024)  /* of lines that wait for an answer */
#define HELD_FILES 4096
#define DROP_BYTES (8 * 1024 * 1024)   /* of records; then they are written */
#define KEEP (2 * PARCEL_BYTES)        /* bytes of a buffer */
#define ASK_AGAIN 3                    /* times in a row without a pause */
#define SILENCE (60 * CLOCK_SECOND)     /* of a target, until it is said */
#define LOCAL_PAUSE (10 * CLOCK_SECOND) /* a full disk is looked at so often */

enum state {
	NOWHERE, /* there is no target */
	WAITING, /* until it is due */
	OPENING,
	ASKING,  /* how far it has come */
	UP,
};

/* A parcel under way. */
struct sent {
	struct cursor from, to;
	uint64_t last;
	uint32_t count;
};

struct lane {
	struct ev_loop *loop;
	const char *name;
	struct supply *supply;
	const struct schedule *schedule;
	struct lane_counts counts;
	struct work *work;
	bool more;  /* there may be something to be taken */
	bool begun; /* a supply with its own run knows where */
	bool stopping;

	/* lines that are held, from the oldest that has not arrived */
	struct batch *first, **last;
	size_t bytes, files;

	char *id, *next_id; /* resource ids of the targets */
	struct target *target, *next; /* next: when nothing is under way */
	bool exists, next_exists;
	bool replace;
	ev_timer turn;      /* to `next`, when the hook has returned */

	enum state state;
	bool open;
	int64_t due;       /* clock_mono(); WAITING */
	unsigned attempts; /* that failed, since the last success */
	unsigned heard, heard_before; /* answers; at the last look */
	int64_t silent_since;         /* clock_mono() */
	bool silent;                  /* and it was said */
	char error[sizeof(((struct fault *)0)->text)];
	bool shut; /* the target takes nothing: what comes is dropped */
	bool said; /* that there is trouble; its end is said, too */
	struct drop_log log;
	struct json json; /* scratch */

	struct cursor cursor; /* of the next line to be sent */
	uint64_t run, sent_last; /* of that run: number of the last line sent */
	uint64_t single;         /* up to here events are sent one by one */
	struct parcel parcel;
	struct sent sent[TARGET_WINDOW]; /* a ring: the oldest at head */
	unsigned head, under_way;
	unsigned behind;         /* times in a row */

	bool draining;           /* answers to come mean nothing */
	struct cursor resume;    /* where to go on then */
	int64_t pause;           /* and after how long, for which reason */
	char why[sizeof(((struct fault *)0)->text)];
};

static void fill(struct lane *);
static void begin_job(struct lane *);

/* The last part of a resource id is enough for people. */
static const char *
label(const struct lane *l)
{
	const char *slash = strrchr(l->id, '/');

	return slash == NULL ? l->id : slash + 1;
}

/* ---- lines ---- */

static void
append(struct lane *l, struct batch *list)
{
	struct cursor start = cursor_at(list);

	if (list == NULL)
		return;
	/* who stood behind the last stands before these now */
	if (l->cursor.batch == NULL)
		l->cursor = start;
	if (l->resume.batch == NULL)
		l->resume = start;
	for (unsigned i = 0; i < TARGET_WINDOW; i++)
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
		work_done(l->work, b);
	}
	if (l->first == NULL)
		l->last = &l->first;
	begin_job(l);
}

/* ---- what is dropped ---- */

static void
drop_line(struct lane *l, const char *line, size_t len, enum drop drop,
    const char *words)
{
	l->counts.dropped[drop]++;
	drop_record(work_drops(l->work), drop, words, l->id, line, len,
	    &l->json);
}

/* A line that no event is made of was not to arrive, and is not dropped. */
static bool
has_event(struct lane *l, const struct cursor *c, const char *line, size_t len)
{
	struct buf *scratch = &l->parcel.text; /* which has been sent */
	struct fault f;

	buf_reset(scratch, KEEP);
	return l->supply->calls->event(l->supply, c->batch, c->number, line,
	    len, scratch, &f) != 0;
}

static void
drop_span(struct lane *l, const struct sent *s, enum drop drop,
    const char *words)
{
	struct cursor c = s->from;
	uint64_t before = l->counts.dropped[drop], n;
	const char *line;
	size_t len;

	while (!cursor_same(&c, &s->to)) {
		line = cursor_line(&c, &len);
		if (has_event(l, &c, line, len))
			drop_line(l, line, len, drop, words);
		cursor_advance(&c, len);
	}
	n = l->counts.dropped[drop] - before;
	if (drop_may_say(&l->log, drop, n))
		log_warn("%s: %s: %" PRIu64 " dropped, which dropped/ has now: "
		    "%s: %s", l->name, label(l), n, drop_name(drop),
		    words);
}

static void
say_rest(struct lane *l, bool over)
{
	if (l->id != NULL)
		drop_say_rest(&l->log, l->name, label(l), over);
}

/* ---- parcels ---- */

static void
drop_bad(struct lane *l, const struct cursor *c, const char *line, size_t len,
    const struct fault *f)
{
	enum drop drop = drop_of(f);

	if (drop_may_say(&l->log, drop, 1))
		log_warn("%s: %s, line %" PRIu64 ": dropped, which dropped/ "
		    "has now: %s", l->name, c->batch->name,
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
	if (!work_is_safe(l->work) ||
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

	buf_reset(&p->text, KEEP);
	p->count = 0;
	s->from = *c;
	while (c->batch != NULL && c->batch->run == l->run &&
	    p->count < (c->number <= l->single ? 1 : PARCEL_EVENTS) &&
	    work_drops(l->work)->len < DROP_BYTES) {
		line = cursor_line(c, &len);
		if (!pack(l, c, line, len))
			break;
		cursor_advance(c, len);
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
	    work_is_safe(l->work)) {
		if (l->cursor.batch->run != l->run) {
			if (l->under_way == 0)
				ask(l);
			break;
		}
		s = &l->sent[(l->head + l->under_way) % TARGET_WINDOW];
		if (!build(l, s)) {
			if (cursor_same(&s->from, &l->cursor))
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
	return schedule_pause(l->schedule, l->attempts) * CLOCK_SECOND;
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
	l->replace = l->open = l->shut = l->silent = false;
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
	if (l->replace && l->under_way == 0 && !work_busy(l->work))
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

	l->heard++;
	l->open = true;
	ask(l);
	fill(l);
}

static void
on_lost(const struct fault *f, void *arg)
{
	struct lane *l = arg;

	l->silent = false;
	l->open = false;
	if (l->draining)
		l->cursor = l->resume;
	else if (l->under_way > 0)
		l->cursor = l->sent[l->head].from;
	l->draining = false;
	l->under_way = 0;
	l->counts.failed++;
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

	l->heard++;
	l->state = UP;
	l->more = true; /* behind what was gathered meanwhile */
	l->sent_last = number;
	if (l->supply->run != 0 && !l->begun) {
		l->begun = true;
		l->supply->calls->begin(l->supply, number);
	}
	cursor_skip(&l->cursor, l->run, number);
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
	drop_span(l, s, drop_of(f), f->text);
	drain(l, &s->to, -1, f->text);
}

static void
later(struct lane *l, const struct sent *s, int64_t pause,
    const struct fault *f)
{
	if (f->code == FAULT_TOO_MANY)
		l->counts.throttled++;
	else
		l->counts.failed++;
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

	l->heard++;
	l->head = (l->head + 1) % TARGET_WINDOW;
	l->under_way--;
	if (outcome == OUTCOME_GONE && l->exists)
		outcome = OUTCOME_LATER;
	if (l->draining) {
		if ((outcome == OUTCOME_GONE || outcome == OUTCOME_DENIED) &&
		    cursor_same(&s.from, &l->resume))
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
			drain(l, &s.from, l->behind++ < ASK_AGAIN ? -1 : 0,
			    f->text);
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

static void
taken(struct batch *list, bool more, void *arg)
{
	struct lane *l = arg;

	l->more |= more;
	append(l, list);
	replace(l);
	fill(l);
}

static bool
may_take(const struct lane *l)
{
	return l->more && !l->stopping && !l->replace && l->state != NOWHERE &&
	    (l->supply->run == 0 || l->begun) && l->bytes < HELD_BYTES &&
	    l->files < HELD_FILES;
}

/* There is no room for more, and nobody takes any. */
static bool
may_gather(const struct lane *l)
{
	return l->more && !l->stopping && !l->replace && l->state == WAITING &&
	    (l->bytes >= HELD_BYTES || l->files >= HELD_FILES) &&
	    l->supply->calls->gather != NULL;
}

static void
begin_job(struct lane *l)
{
	enum work_want want = may_take(l) ? WORK_TAKE :
	    may_gather(l) ? WORK_GATHER : WORK_NO_MORE;

	if (work_start(l->work, want, want == WORK_GATHER ? HELD_FILES :
	    HELD_FILES - l->files))
		l->more = false;
}

/* ---- for the daemon ---- */

struct lane *
lane_new(struct ev_loop *loop, const struct spool *spool, const char *name,
    struct supply *supply, const struct schedule *schedule)
{
	struct lane *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		supply->calls->free(supply);
		return NULL;
	}
	l->work = work_new(loop, spool, name, supply, taken, l);
	if (l->work == NULL) {
		free(l);
		return NULL;
	}
	l->loop = loop;
	l->name = name;
	l->supply = supply;
	l->schedule = schedule;
	l->silent_since = clock_mono();
	l->last = &l->first;
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
	l->next_id = NULL;
	if (id != NULL && (l->next_id = strdup(id)) == NULL)
		log_fatal(EX_OSERR, "out of memory");
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

/* A target that is there, and says nothing: for people to look at. */
static void
look_for_silence(struct lane *l)
{
	int64_t now = clock_mono();
	bool awaited = l->state == OPENING || l->state == ASKING ||
	    l->under_way > 0;

	if (!awaited || l->heard != l->heard_before) {
		if (l->silent) {
			log_warn("%s: %s: it answers again", l->name, label(l));
			l->error[0] = '\0';
		}
		l->silent = false;
		l->heard_before = l->heard;
		l->silent_since = now;
	} else if (!l->silent && now - l->silent_since >= SILENCE) {
		l->silent = true;
		snprintf(l->error, sizeof(l->error), "no answer for %d s",
		    (int)(SILENCE / CLOCK_SECOND));
		log_warn("%s: %s: %s; what comes waits", l->name, label(l),
		    l->error);
	}
}

void
lane_tick(struct lane *l)
{
	replace(l);
	say_rest(l, false);
	look_for_silence(l);
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
	return l->under_way == 0 && work_idle(l->work);
}

void
lane_free(struct lane *l)
{
	lane_stop(l);
	say_rest(l, true);
	work_free(l->work);
	ev_timer_stop(l->loop, &l->turn);
	if (l->target != NULL)
		l->target->calls->free(l->target);
	if (l->next != NULL)
		l->next->calls->free(l->next);
	batches_free(l->first);
	buf_free(&l->parcel.text);
	json_free(&l->json);
	free(l->id);
	free(l->next_id);
	free(l);
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
	buf_printf(b, ",\"held\":%zu,\"routed\":%" PRIu64
	    ",\"dropped\":%" PRIu64 "}", l->files, l->counts.routed, dropped);
}
