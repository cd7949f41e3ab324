/* the session store: lines for the disk, and where messages are in it */
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "journal.h"
#include "local.h"
#include "log.h"
#include "record.h"
#include "window.h"

/* state.ndjson is written anew when it has grown to twice its content and
 * this. */
#define STATE_GARBAGE (1024 * 1024)

/* Numbers of connections that are set aside: so many before they are needed. */
#define CONNECTIONS_AHEAD 50000

/* Bytes of lines that a window cleans at most. */
#define CLEAN_STEP (256 * 1024)

/* ---- lines ---- */

static void
number(struct buf *b, const char *name, uint64_t n)
{
	buf_str(b, "\"");
	buf_str(b, name);
	buf_str(b, "\":");
	buf_u64(b, n);
}

static void
text(struct buf *b, const char *name, const char *value, size_t len)
{
	buf_str(b, ",\"");
	buf_str(b, name);
	buf_str(b, "\":");
	buf_json(b, value, len);
}

static void
instant(struct buf *b, const char *name, int64_t us)
{
	char t[CLOCK_TEXT + 1];

	clock_format(t, us);
	text(b, name, t, CLOCK_TEXT);
}

/* ---- sessions ---- */

/* Of sessions that are not stored nothing else tells how far they have come. */
static void
reserve(struct broker *b, uint64_t up_to)
{
	struct buf *lines = window_lines(b, WINDOW_STATE_MUST);
	size_t at = record_begin(lines);

	b->store->reserved = up_to;
	number(lines, "connections", up_to);
	record_end(lines, at);
}

bool
store_connection(struct session *s)
{
	struct store *st = s->broker->store;

	if (s->connections == 0)
		s->connections = st->connections;
	if (++s->connections > st->connections)
		st->connections = s->connections;
	if (st->connections + CONNECTIONS_AHEAD > st->reserved)
		reserve(s->broker, st->connections + 2 * CONNECTIONS_AHEAD);
	return s->connections <= st->safe;
}

void
store_last_connection(struct broker *b)
{
	if (b->store->reserved > b->store->connections)
		reserve(b, b->store->connections);
}

static void
session_line(struct buf *b, const struct session *s)
{
	size_t at = record_begin(b);

	number(b, "session", s->number);
	text(b, "id", s->id, strlen(s->id));
	text(b, "name", s->name, strlen(s->name));
	buf_printf(b, ",\"registered\":%s,\"expiry\":%u,\"connections\":%ju",
	    s->registered ? "true" : "false", s->expiry,
	    (uintmax_t)s->connections);
	if (s->client == NULL && s->offline_since != 0) {
		instant(b, "offline", s->offline_since);
		buf_printf(b, ",\"sent\":%ju", (uintmax_t)s->sent);
	}
	if (s->will.message != NULL) {
		buf_printf(b, ",\"will\":{\"delay\":%u,\"client\":%s,",
		    s->will.delay, s->will.client);
		buf_str(b, s->will.record);
		buf_str(b, "}");
	}
	record_end(b, at);
}

void
store_session(struct session *s)
{
	tcmapput(s->broker->store->by_number, &s->number, sizeof(s->number),
	    &s, sizeof(s));
	s->told = true;
	session_line(window_lines(s->broker, WINDOW_STATE), s);
}

void
store_disconnected(struct session *s, bool will)
{
	struct buf *b = window_lines(s->broker, WINDOW_STATE_MUST);
	size_t at = record_begin(b);

	number(b, "session", s->number);
	buf_printf(b, ",\"connections\":%ju,\"sent\":%ju,\"will\":%s",
	    (uintmax_t)s->connections, (uintmax_t)s->sent,
	    will ? "true" : "false");
	instant(b, "disconnected", s->offline_since);
	record_end(b, at);
}

void
store_ended(struct session *s)
{
	struct buf *b = window_lines(s->broker, WINDOW_STATE_MUST);
	size_t at = record_begin(b);

	tcmapout(s->broker->store->by_number, &s->number, sizeof(s->number));
	number(b, "session", s->number);
	buf_str(b, ",\"ended\":true");
	record_end(b, at);
}

static void
subscription_line(struct buf *b, const struct session *s, const char *filter,
    size_t len, const struct subscription_options *o)
{
	size_t at = record_begin(b);

	number(b, "session", s->number);
	text(b, "subscribe", filter, len);
	buf_printf(b, ",\"qos\":%u", o->qos);
	if (o->no_local)
		buf_str(b, ",\"noLocal\":true");
	if (o->retain_as_published)
		buf_str(b, ",\"retainAsPublished\":true");
	if (o->id != 0)
		buf_printf(b, ",\"identifier\":%u", o->id);
	record_end(b, at);
}

void
store_subscribed(struct session *s, const char *filter, size_t len,
    const struct subscription_options *o)
{
	subscription_line(window_lines(s->broker, WINDOW_STATE), s, filter,
	    len, o);
}

void
store_unsubscribed(struct session *s, const char *filter, size_t len)
{
	struct buf *b = window_lines(s->broker, WINDOW_STATE);
	size_t at = record_begin(b);

	number(b, "session", s->number);
	text(b, "unsubscribe", filter, len);
	record_end(b, at);
}

/* All sessions as they are now; what is in the window follows. */
static void
snapshot(struct broker *b, struct buf *out)
{
	size_t at = record_begin(out);

	number(out, "next", b->next_session);
	buf_str(out, ",");
	number(out, "connections", b->store->reserved);
	record_end(out, at);
	for (struct session *s = b->sessions; s != NULL; s = s->next) {
		if (!s->stored)
			continue;
		session_line(out, s);
		for (uint32_t i = 0; i < s->nsubscriptions; i++) {
			struct subscription *sub = s->subscriptions[i];

			subscription_line(out, s, sub->filter, sub->filter_len,
			    &sub->options);
		}
	}
}

/* ---- messages ---- */

#define RETAINED ",\"retained\":true"

static struct segment_info *
segment_of(struct store *st, const struct message *m)
{
	for (size_t i = 0; i < st->nsegments; i++)
		if (st->segments[i].number == m->segment)
			return &st->segments[i];
	return NULL;
}

/* Its line is garbage from now on. */
static void
leave_segment(struct store *st, struct message *m)
{
	struct segment_info *seg = segment_of(st, m);

	if (m->segment == 0 || seg == NULL)
		return;
	if (m->prev != NULL)
		m->prev->next = m->next;
	else
		seg->first = m->next;
	if (m->next != NULL)
		m->next->prev = m->prev;
	else
		seg->last = m->prev;
	m->next = m->prev = NULL;
	m->segment = 0;
	seg->live -= m->length;
	st->live -= m->length;
}

void
store_enter(struct store *st, struct message *m, struct segment_info *seg,
    uint64_t offset, uint32_t length)
{
	m->segment = seg->number;
	m->offset = offset;
	m->length = length;
	m->next = NULL;
	m->prev = seg->last;
	if (seg->last != NULL)
		seg->last->next = m;
	else
		seg->first = m;
	seg->last = m;
	seg->live += length;
	st->live += length;
}

/* A holder of a message that came through the store: [session, sequence] and
 * what else its delivery needs. */
static void
target(struct buf *b, const struct store_target *t)
{
	const struct deliver *d = &t->deliver;

	buf_str(b, "[");
	buf_u64(b, t->session->number);
	buf_str(b, ",");
	buf_u64(b, d->sequence);
	if (d->retain || d->share != NULL || d->nids > 0) {
		buf_printf(b, ",{\"retain\":%s", d->retain ? "true" : "false");
		if (d->share != NULL)
			text(b, "share", share_filter(d->share),
			    strlen(share_filter(d->share)));
		for (uint32_t i = 0; i < d->nids; i++)
			buf_printf(b, "%s%u", i ? "," : ",\"identifiers\":[",
			    d->ids[i]);
		buf_str(b, d->nids > 0 ? "]}" : "}");
	}
	buf_str(b, "]");
}

/* The message is not in a segment yet: place() says where it comes to be. */
static void
gathered(struct store *st, struct message *m, size_t at, size_t length)
{
	struct placed *p;

	if (st->nplaced == st->placed_cap) {
		size_t cap = st->placed_cap ? 2 * st->placed_cap : 256;

		if ((p = realloc(st->placed, cap * sizeof(*p))) == NULL)
			log_fatal(71, "out of memory");
		st->placed = p;
		st->placed_cap = cap;
	}
	st->placed[st->nplaced++] = (struct placed){
		.message = message_ref(m), .at = at,
		.length = (uint32_t)length };
}

void
store_message(struct broker *broker, struct message *m, const char *record,
    size_t len, const struct store_target *to, size_t n,
    enum store_retain retain)
{
	struct buf *b = window_lines(broker, WINDOW_MESSAGES);
	size_t at = record_begin(b), listed = 0;

	m->number = broker->store->next_message++;
	number(b, "message", m->number);
	buf_str(b, ",\"to\":[");
	for (size_t i = 0; i < n; i++) {
		if (!to[i].deliver.held)
			continue;
		if (listed++ > 0)
			buf_str(b, ",");
		target(b, &to[i]);
	}
	buf_str(b, "]");
	m->retained = retain == STORE_RETAINED;
	m->holders = (uint32_t)listed + m->retained;
	buf_str(b, m->retained ? RETAINED : "");
	buf_str(b, retain == STORE_CLEARS ? ",\"cleared\":true" : "");
	if (m->expires != 0)
		instant(b, "expires", m->expires);
	if (m->from != 0) {
		buf_str(b, ",");
		number(b, "from", m->from);
	}
	buf_str(b, ",");
	buf_add(b, record, len);
	record_end(b, at);
	gathered(broker->store, m, at, b->len - at);
}

void
store_also(struct broker *broker, struct message *m,
    const struct store_target *t)
{
	struct buf *b = window_lines(broker, WINDOW_MESSAGES);
	struct holder *h;
	size_t at, from;

	at = record_begin(b);
	number(b, "also", m->number);
	buf_str(b, ",\"to\":[");
	from = b->len;
	target(b, t);
	if (b->bad || (h = malloc(sizeof(*h) + b->len - from + 1)) == NULL)
		log_fatal(71, "out of memory");
	h->session = t->session->number;
	h->sequence = t->deliver.sequence;
	memcpy(h->line, buf_data(b) + from, b->len - from);
	h->line[b->len - from] = '\0';
	h->next = m->also;
	m->also = h;
	m->holders++;
	m->promised++;
	buf_str(b, "]");
	record_end(b, at);
}

void
store_also_done(struct message *m)
{
	m->promised--;
}

/* After a restart: as store_also, for a line that is there. */
int
store_was_also(struct message *m, uint64_t session, uint64_t sequence,
    const char *line, size_t len)
{
	struct holder *h = malloc(sizeof(*h) + len + 1);

	if (h == NULL)
		return -1;
	h->session = session;
	h->sequence = sequence;
	memcpy(h->line, line, len);
	h->line[len] = '\0';
	h->next = m->also;
	m->also = h;
	return 0;
}

void
store_release(struct broker *b, struct message *m)
{
	if (m->holders > 0 && --m->holders == 0)
		leave_segment(b->store, m);
}

void
store_settled(struct session *s, struct message *m)
{
	struct store *st = s->broker->store;

	if (s->settled.len > 0)
		buf_str(&s->settled, ",");
	buf_u64(&s->settled, m->number);
	if (!s->settling) {
		s->settling = true;
		s->settled_next = st->settling;
		st->settling = session_ref(s);
	}
	store_release(s->broker, m);
}

void
store_unretained(struct broker *broker, struct message *m)
{
	struct buf *b = window_lines(broker, WINDOW_MESSAGES_MUST);
	size_t at;

	at = record_begin(b);
	buf_printf(b, "\"session\":0,\"settled\":[%ju]", (uintmax_t)m->number);
	record_end(b, at);
	m->retained = false;
	store_release(broker, m);
}

/* Settled messages of sessions, a line for each session. */
static void
settle_lines(struct broker *broker)
{
	struct store *st = broker->store;
	struct session *s;

	while ((s = st->settling) != NULL) {
		st->settling = s->settled_next;
		s->settling = false;
		if (!s->ended && s->settled.len > 0) {
			struct buf *b = window_lines(broker,
			    WINDOW_MESSAGES_MUST);
			size_t at = record_begin(b);

			number(b, "session", s->number);
			buf_str(b, ",\"settled\":[");
			buf_add(b, buf_data(&s->settled), s->settled.len);
			buf_str(b, "]");
			b->bad |= s->settled.bad;
			record_end(b, at);
		}
		buf_free(&s->settled);
		session_unref(s);
	}
}

/* ---- reading back ---- */

static char *
read_line(struct store *st, const struct message *m)
{
	char name[STORE_NAME];
	char *line;
	int fd;

	if (m->segment == 0 || (line = malloc(m->length)) == NULL)
		return NULL;
	store_segment_name(name, m->segment);
	fd = openat(st->dir, name, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || file_pread(fd, line, m->length, (off_t)m->offset) !=
	    (ssize_t)m->length || !record_whole(line, m->length)) {
		log_warn("sessions/%s: message %ju at %ju cannot be read", name,
		    (uintmax_t)m->number, (uintmax_t)m->offset);
		free(line);
		line = NULL;
	}
	if (fd != -1)
		close(fd);
	return line;
}

int
store_load(struct broker *b, struct message *m)
{
	struct record r = { 0 };
	char *line;
	int rc = -1;

	if (m->body != NULL)
		return 0;
	if ((line = read_line(b->store, m)) != NULL &&
	    json_scan(&b->json, line, m->length - 1, NULL) == 0 &&
	    record_read(&r, &b->json, 0, NULL) == 0)
		rc = message_remember(m, r.topic, (struct mqtt_str){
		    buf_data(&r.forward), r.forward.len }, r.payload);
	record_free(&r);
	free(line);
	return rc;
}

void
store_may_forget(struct broker *b, struct message *m, uint32_t others)
{
	(void)b;
	if (m->segment != 0 && m->body != NULL &&
	    message_total() > STORE_MEMORY && m->refs <= m->holders + others)
		message_forget(m);
}

/* ---- cleaning ---- */

/* Is a target of an old line still waited for? */
static bool
still_held(struct store *st, uint64_t number, uint64_t sequence)
{
	struct session *s = store_session_of(st, number);

	return s != NULL && session_holds(s, sequence);
}

static bool
target_held(struct store *st, const struct json *j, uint32_t t)
{
	int64_t number, sequence;

	return json_int64(j, t + 1, &number) && json_int64(j, t + 2, &sequence)
	    && still_held(st, (uint64_t)number, (uint64_t)sequence);
}

/* Those that came later are in the line now, like the others. */
static void
add_holders(struct store *st, struct message *m, struct buf *b, size_t listed)
{
	for (struct holder *h = m->also; h != NULL; h = h->next)
		if (still_held(st, h->session, h->sequence)) {
			buf_str(b, listed++ > 0 ? "," : "");
			buf_str(b, h->line);
		}
}

/* The line once more, with those holders that are left. */
static bool
write_again(struct broker *broker, struct message *m)
{
	struct buf *b = window_lines(broker, WINDOW_MOVED);
	struct json *j = &broker->json;
	char *line = read_line(broker->store, m);
	size_t at = b->len, listed = 0, rest;
	uint32_t to, t;

	if (line == NULL || json_scan(j, line, m->length - 1, NULL) == -1 ||
	    (to = json_member(j, 0, "to", 2)) == 0) {
		free(line);
		return false;
	}
	record_begin(b);
	number(b, "message", m->number);
	buf_str(b, ",\"to\":[");
	for (t = to + 1; t < j->tok[to].next; t = j->tok[t].next) {
		if (!target_held(broker->store, j, t))
			continue;
		buf_str(b, listed++ > 0 ? "," : "");
		buf_add(b, line + j->tok[t].start,
		    j->tok[t].end - j->tok[t].start);
	}
	add_holders(broker->store, m, b, listed);
	buf_str(b, "]");
	/* from behind the list to the closing brace and its newline */
	rest = j->tok[to].end;
	if (!m->retained && strncmp(line + rest, RETAINED,
	    sizeof(RETAINED) - 1) == 0)
		rest += sizeof(RETAINED) - 1;
	buf_add(b, line + rest, m->length - 2 - rest);
	record_end(b, at);
	free(line);
	gathered(broker->store, m, at, b->len - at);
	broker->store->placed[broker->store->nplaced - 1].again = true;
	m->moving = true;
	return true;
}

/*
 * While more than half of the store is garbage, what is alive in its first
 * segment moves behind the last, a step a window.
 */
static void
clean(struct broker *b)
{
	struct store *st = b->store;
	struct segment_info *first = &st->segments[0];
	struct message *m, *next;
	size_t done = 0;

	if (st->nsegments < 2 || st->cleaning || first->number == st->stuck ||
	    st->total < 2 * st->live + STORE_GARBAGE)
		return;
	for (m = first->first; m != NULL && done < CLEAN_STEP; m = next) {
		next = m->next;
		if (m->promised > 0)
			break; /* somebody comes to hold it just now */
		done += m->length;
		if (!write_again(b, m)) {
			/* it stays where it is, until nobody waits for it */
			st->stuck = first->number;
			return;
		}
		st->cleaning = true;
	}
}

void
store_turn(struct broker *b)
{
	settle_lines(b);
	clean(b);
}

/* ---- the window's part ---- */

/* Where the lines of this window come to be. */
static void
place(struct store *st, struct store_commit *c)
{
	for (size_t i = 0; i < st->nplaced; i++) {
		struct placed *p = &st->placed[i];

		if (p->again)
			p->at += c->messages->len + c->messages_must->len;
		p->at += c->messages_at;
	}
}

void
store_seal(struct broker *b, struct store_commit *c)
{
	struct store *st = b->store;
	struct segment_info *last = &st->segments[st->nsegments - 1];

	c->begin = last->size >= STORE_SEGMENT;
	c->segment = c->begin ? last->number + 1 : last->number;
	c->messages_at = c->begin ? 0 : last->size;
	c->state_at = st->state_size;
	c->reserved = st->reserved;
	if (st->state_size > 2 * st->state_base + STATE_GARBAGE)
		snapshot(b, &c->snapshot);
	place(st, c);
	/* what is gathered from now on belongs to the next window */
	st->committing = st->placed;
	st->ncommitting = st->nplaced;
	st->placed = NULL;
	st->nplaced = st->placed_cap = 0;
}

/* One behind the other; *at moves on. */
static int
append(int fd, uint64_t *at, const struct buf *lines)
{
	if (lines->len > 0 && file_pwrite(fd, buf_data(lines), lines->len,
	    (off_t)*at) == -1)
		return errno;
	*at += lines->len;
	return 0;
}

static int
append_messages(const struct store_commit *c)
{
	uint64_t at = c->messages_at;
	int error;

	if ((error = append(c->fd, &at, c->messages)) == 0 &&
	    (error = append(c->fd, &at, c->messages_must)) == 0)
		error = append(c->fd, &at, c->moved);
	return error;
}

static int
append_state(const struct store *st, const struct store_commit *c)
{
	uint64_t at = c->state_at;
	int error = append(st->state_fd, &at, c->state);

	return error == 0 ? append(st->state_fd, &at, c->state_must) : error;
}

static int
sync_failed(struct store_commit *c)
{
	c->fatal = true;
	return errno;
}

/* A snapshot that finds no room is for another time; but what is behind the
 * name must not be another file than the one that is appended to. */
static int
replace_state(struct store *st, struct store_commit *c)
{
	struct stat old;

	buf_add(&c->snapshot, buf_data(c->state), c->state->len);
	buf_add(&c->snapshot, buf_data(c->state_must), c->state_must->len);
	if (c->snapshot.bad)
		return 0;
	if (spool_replace(st->dir, STORE_STATE, buf_data(&c->snapshot),
	    c->snapshot.len, true) == -1) {
		if (!file_no_room(errno) || fstat(st->state_fd, &old) == -1 ||
		    old.st_nlink == 0)
			return sync_failed(c);
		return 0;
	}
	close(st->state_fd);
	st->state_fd = openat(st->dir, STORE_STATE, O_RDWR | O_CLOEXEC);
	if (st->state_fd == -1)
		return sync_failed(c);
	c->replaced = true;
	return 0;
}

int
store_write(struct broker *b, struct store_commit *c)
{
	struct store *st = b->store;
	char name[STORE_NAME];
	int error = 0;

	if (c->begin) {
		store_segment_name(name, c->segment);
		c->fd = openat(st->dir, name, O_RDWR | O_CREAT | O_TRUNC |
		    O_CLOEXEC, 0600);
		if (c->fd == -1)
			return errno;
	} else
		c->fd = st->segment_fd;
	if ((error = append_messages(c)) != 0)
		store_undo(b, c);
	return error;
}

void
store_undo(struct broker *b, struct store_commit *c)
{
	struct store *st = b->store;
	char name[STORE_NAME];

	/* lines that were refused must not be found behind those to come */
	if (ftruncate(st->state_fd, (off_t)c->state_at) == -1)
		c->fatal = true;
	if (!c->begin) {
		if (ftruncate(c->fd, (off_t)c->messages_at) == -1)
			c->fatal = true;
		return;
	}
	close(c->fd);
	store_segment_name(name, c->segment);
	if (unlinkat(st->dir, name, 0) == -1)
		c->fatal = true;
}

int
store_sync(struct broker *b, struct store_commit *c)
{
	struct store *st = b->store;
	int error;

	if (c->begin && fsync(st->dir) == -1)
		return sync_failed(c);
	if (c->messages->len + c->messages_must->len + c->moved->len > 0 &&
	    fdatasync(c->fd) == -1)
		return sync_failed(c);
	if (c->snapshot.len > 0 && (error = replace_state(st, c)) != 0)
		return error;
	if (c->replaced || c->state->len + c->state_must->len == 0)
		return 0;
	if ((error = append_state(st, c)) != 0)
		store_undo(b, c);
	else if (fdatasync(st->state_fd) == -1)
		return sync_failed(c);
	return error;
}

/* Messages of this window are where they were to be, or nowhere. */
static void
settle_places(struct broker *b, int error)
{
	struct store *st = b->store;
	struct segment_info *last = &st->segments[st->nsegments - 1];

	for (size_t i = 0; i < st->ncommitting; i++) {
		struct placed *p = &st->committing[i];
		struct message *m = p->message;

		m->moving = false;
		if (error == 0 && m->holders > 0) {
			leave_segment(st, m);
			store_enter(st, m, last, p->at, p->length);
		} else if (error != 0 && !p->again)
			m->number = 0;
		message_unref(m);
	}
	free(st->committing);
	st->committing = NULL;
	st->ncommitting = 0;
}

static void
drop_segments(struct store *st)
{
	char name[STORE_NAME];

	while (st->nsegments > 1 && st->segments[0].first == NULL) {
		store_segment_name(name, st->segments[0].number);
		if (unlinkat(st->dir, name, 0) == -1 && errno != ENOENT)
			log_warn("sessions/%s: %s", name, strerror(errno));
		st->total -= st->segments[0].size;
		memmove(st->segments, st->segments + 1,
		    --st->nsegments * sizeof(*st->segments));
	}
}

void
store_committed(struct broker *b, struct store_commit *c, int error)
{
	struct store *st = b->store;
	uint64_t messages = c->messages->len + c->messages_must->len +
	    c->moved->len;
	struct segment_info *last;

	st->cleaning = false;
	if (error == 0) {
		if (c->begin) {
			close(st->segment_fd);
			st->segment_fd = c->fd;
			if (store_add_segment(st, c->segment) == NULL)
				log_fatal(71, "out of memory");
		}
		last = &st->segments[st->nsegments - 1];
		last->size += messages;
		st->total += messages;
		st->state_size += c->state->len + c->state_must->len;
		st->safe = c->reserved;
		if (c->replaced)
			st->state_size = st->state_base = c->snapshot.len;
		else if (c->snapshot.len > 0)
			st->state_base = st->state_size; /* not again at once */
	}
	settle_places(b, error);
	drop_segments(st);
	buf_free(&c->snapshot);
}
