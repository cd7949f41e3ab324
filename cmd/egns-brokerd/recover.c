/* the session store at start: sessions and messages as a restart finds them */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base64.h"
#include "clock.h"
#include "deadletter.h"
#include "file.h"
#include "local.h"
#include "log.h"
#include "notice.h"
#include "quote.h"
#include "record.h"
#include "segment.h"

/* A payload of 512 KiB whose every byte is escaped, and thousands of
 * targets. */
#define LINE_MAX_BYTES (16 * 1024 * 1024)

/* A message as its lines tell, until all have been read. */
struct found {
	struct message *message;
	struct found_target {
		uint64_t session;
		struct deliver deliver;
		uint32_t *ids;
	} *targets;
	uint32_t n;
	bool retained;
	bool cleared; /* the retained one of its topic */
};

/* Found messages by number: open addressing, a power of two. */
struct table {
	struct found **slots;
	size_t cap, n;
};

struct recovery {
	struct broker *broker;
	struct store *store;
	struct table table;
	struct json json;
	struct record record;
	struct buf text; /* scratch */
	int64_t now;
	struct fault *fault;
};

void
store_segment_name(char name[STORE_NAME], uint32_t number)
{
	snprintf(name, STORE_NAME, "%010u.ndjson", number);
}

struct segment_info *
store_add_segment(struct store *st, uint32_t number)
{
	struct segment_info *list;

	if (st->nsegments == st->cap) {
		size_t cap = st->cap ? 2 * st->cap : 8;

		list = realloc(st->segments, cap * sizeof(*list));
		if (list == NULL)
			return NULL;
		st->segments = list;
		st->cap = cap;
	}
	list = &st->segments[st->nsegments++];
	*list = (struct segment_info){ .number = number };
	return list;
}

struct session *
store_session_of(struct store *st, uint64_t number)
{
	int size;
	struct session *const *s = tcmapget(st->by_number, &number,
	    sizeof(number), &size);

	return s == NULL ? NULL : *s;
}

/* ---- the table ---- */

static struct found **
slot_of(const struct table *t, uint64_t number)
{
	size_t i = (size_t)(number * UINT64_C(0x9e3779b97f4a7c15) >> 20);

	for (;; i++) {
		struct found **slot = &t->slots[i & (t->cap - 1)];

		if (*slot == NULL || (*slot)->message->number == number)
			return slot;
	}
}

static int
table_grow(struct table *t)
{
	struct table bigger = { .cap = t->cap ? 2 * t->cap : 1024 };

	bigger.slots = calloc(bigger.cap, sizeof(*bigger.slots));
	if (bigger.slots == NULL)
		return -1;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i] != NULL)
			*slot_of(&bigger, t->slots[i]->message->number) =
			    t->slots[i];
	bigger.n = t->n;
	free(t->slots);
	*t = bigger;
	return 0;
}

static void
found_clear(struct found *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		free(f->targets[i].ids);
	free(f->targets);
	f->targets = NULL;
	f->n = 0;
	f->retained = false;
}

/* ---- state.ndjson ---- */

static int64_t
int_of(const struct json *j, uint32_t obj, const char *name)
{
	uint32_t t = json_member(j, obj, name, strlen(name));
	int64_t n;

	return t != 0 && j->tok[t].type == JSON_NUMBER && json_int64(j, t, &n) ?
	    n : 0;
}

static bool
true_of(const struct json *j, uint32_t obj, const char *name)
{
	uint32_t t = json_member(j, obj, name, strlen(name));

	return t != 0 && j->tok[t].type == JSON_TRUE;
}

/* A string member, unescaped into the scratch buffer with a NUL behind. */
static char *
string_of(struct recovery *r, uint32_t obj, const char *name, size_t *len)
{
	uint32_t t = json_member(&r->json, obj, name, strlen(name));

	if (t == 0 || r->json.tok[t].type != JSON_STRING)
		return NULL;
	buf_reset(&r->text, 65536);
	json_string(&r->json, t, &r->text);
	*len = r->text.len;
	buf_add(&r->text, "", 1);
	return r->text.bad ? NULL : buf_data(&r->text);
}

static int64_t
time_of(struct recovery *r, const char *name)
{
	size_t len;
	const char *text = string_of(r, 0, name, &len);
	int64_t us;

	return text != NULL && clock_parse(text, len, &us) == 0 ? us : 0;
}

void
will_free(struct will *w)
{
	if (w->message != NULL)
		message_unref(w->message);
	free(w->record);
	free(w->client);
	*w = (struct will){ 0 };
}

static struct message *
message_of(struct recovery *r, uint32_t obj)
{
	struct record *rec = &r->record;
	struct message *m;

	if (record_read(rec, &r->json, obj, NULL) == -1)
		return NULL;
	m = message_new(rec->topic, (struct mqtt_str){
	    buf_data(&rec->forward), rec->forward.len }, rec->payload);
	if (m != NULL) {
		m->qos = rec->qos;
		m->retain = rec->retain;
	}
	return m;
}

/* The will's members behind its own two are its record, to the byte. */
static void
read_will(struct recovery *r, struct session *s)
{
	const struct json *j = &r->json;
	uint32_t obj = json_member(j, 0, "will", 4), client;
	struct will *w = &s->will;

	will_free(w);
	if (obj == 0 || j->tok[obj].type != JSON_OBJECT ||
	    (client = json_member(j, obj, "client", 6)) == 0 ||
	    j->tok[client].end + 2 > j->tok[obj].end)
		return;
	w->message = message_of(r, obj);
	w->expiry = r->record.expires ? r->record.expiry : 0;
	w->delay = (uint32_t)int_of(j, obj, "delay");
	w->client = strndup(j->text + j->tok[client].start,
	    j->tok[client].end - j->tok[client].start);
	w->record = strndup(j->text + j->tok[client].end + 1,
	    j->tok[obj].end - j->tok[client].end - 2);
	if (w->message == NULL || w->client == NULL || w->record == NULL)
		will_free(w);
}

static int
session_found(struct recovery *r, uint64_t number)
{
	struct broker *b = r->broker;
	struct session *s = store_session_of(r->store, number);
	size_t len, id_len;
	char *text, *id, *name;

	if (s == NULL) {
		if ((text = string_of(r, 0, "id", &id_len)) == NULL ||
		    (id = strndup(text, id_len)) == NULL)
			return -1;
		if ((text = string_of(r, 0, "name", &len)) == NULL ||
		    (name = strndup(text, len)) == NULL) {
			free(id);
			return -1;
		}
		s = session_new(b, number, id, id_len, name);
		free(id);
		free(name);
		if (s == NULL)
			return -1;
		tcmapput(r->store->by_number, &number, sizeof(number), &s,
		    sizeof(s));
	}
	s->told = s->stored = true;
	s->registered = true_of(&r->json, 0, "registered");
	s->expiry = (uint32_t)int_of(&r->json, 0, "expiry");
	s->connections = (uint64_t)int_of(&r->json, 0, "connections");
	s->offline_since = time_of(r, "offline");
	if (s->offline_since != 0)
		s->sent = (uint64_t)int_of(&r->json, 0, "sent");
	read_will(r, s);
	return 0;
}

static void
subscription_found(struct recovery *r, struct session *s)
{
	const struct json *j = &r->json;
	struct subscription_options o = {
		.qos = (uint8_t)int_of(j, 0, "qos"),
		.no_local = true_of(j, 0, "noLocal"),
		.retain_as_published = true_of(j, 0, "retainAsPublished"),
		.id = (uint32_t)int_of(j, 0, "identifier"),
	};
	bool existed;
	size_t len;
	const char *filter = string_of(r, 0, "subscribe", &len);

	if (filter != NULL)
		subs_add(r->broker->subs, s, filter, len, &o, &existed);
	else if ((filter = string_of(r, 0, "unsubscribe", &len)) != NULL)
		subs_remove(r->broker->subs, s, filter, len);
}

/* A number is never given twice, even if the line that gave it is broken: what
 * is kept for one session must not come to another. */
static void
number_seen(struct broker *b, uint64_t number)
{
	if (number >= b->next_session)
		b->next_session = number + 1;
}

static int
state_line(struct recovery *r)
{
	const struct json *j = &r->json;
	uint64_t number = (uint64_t)int_of(j, 0, "session");
	struct session *s;

	if (number == 0) {
		number = (uint64_t)int_of(j, 0, "next");
		if (number > r->broker->next_session)
			r->broker->next_session = number;
		if (json_member(j, 0, "connections", 11) != 0)
			r->store->connections = (uint64_t)int_of(j, 0,
			    "connections");
		return 0;
	}
	number_seen(r->broker, number);
	if (json_member(j, 0, "id", 2) != 0)
		return session_found(r, number);
	if ((s = store_session_of(r->store, number)) == NULL)
		return 0;
	if (true_of(j, 0, "ended")) {
		tcmapout(r->store->by_number, &number, sizeof(number));
		s->told = s->stored = false;
		will_free(&s->will);
		session_end(s, SESSION_ENDED);
	} else if (json_member(j, 0, "disconnected", 12) != 0) {
		if ((uint64_t)int_of(j, 0, "connections") == s->connections) {
			s->offline_since = time_of(r, "disconnected");
			s->sent = (uint64_t)int_of(j, 0, "sent");
			if (!true_of(j, 0, "will"))
				will_free(&s->will);
		}
	} else
		subscription_found(r, s);
	return 0;
}

/* ---- N.ndjson ---- */

static int
read_target(struct recovery *r, struct found_target *f, uint32_t t)
{
	const struct json *j = &r->json;
	uint32_t extra, ids, i;
	int64_t session, sequence, id;
	struct session *s;
	char *share;
	size_t len;

	if (j->tok[t].type != JSON_ARRAY || j->tok[t].next < t + 3 ||
	    j->tok[t + 1].type != JSON_NUMBER ||
	    j->tok[t + 2].type != JSON_NUMBER ||
	    !json_int64(j, t + 1, &session) || !json_int64(j, t + 2, &sequence))
		return -1;
	number_seen(r->broker, (uint64_t)session);
	/* nor a sequence number, as long as a line has it */
	s = store_session_of(r->store, (uint64_t)session);
	if (s != NULL && (uint64_t)sequence >= s->sequence)
		s->sequence = (uint64_t)sequence + 1;
	f->session = (uint64_t)session;
	f->deliver = (struct deliver){ .qos = 1, .held = true,
		.sequence = (uint64_t)sequence };
	if ((extra = t + 3) >= j->tok[t].next ||
	    j->tok[extra].type != JSON_OBJECT)
		return 0;
	f->deliver.retain = true_of(j, extra, "retain");
	if ((share = string_of(r, extra, "share", &len)) != NULL)
		f->deliver.share = share_find(r->broker->subs, share, len);
	ids = json_member(j, extra, "identifiers", 11);
	if (ids == 0 || j->tok[ids].type != JSON_ARRAY)
		return 0;
	f->ids = calloc(j->tok[ids].next - ids, sizeof(*f->ids));
	if (f->ids == NULL)
		return -1;
	f->deliver.ids = f->ids;
	for (i = ids + 1; i < j->tok[ids].next; i = j->tok[i].next)
		if (j->tok[i].type == JSON_NUMBER && json_int64(j, i, &id))
			f->ids[f->deliver.nids++] = (uint32_t)id;
	return 0;
}

static int
read_targets(struct recovery *r, struct found *f)
{
	const struct json *j = &r->json;
	uint32_t to = json_member(j, 0, "to", 2), t, n = 0;

	if (to == 0 || j->tok[to].type != JSON_ARRAY)
		return -1;
	for (t = to + 1; t < j->tok[to].next; t = j->tok[t].next)
		n++;
	f->targets = calloc(n ? n : 1, sizeof(*f->targets));
	if (f->targets == NULL)
		return -1;
	for (t = to + 1; t < j->tok[to].next; t = j->tok[t].next)
		if (read_target(r, &f->targets[f->n++], t) == -1)
			return -1;
	return 0;
}

static int
message_found(struct recovery *r, struct segment_info *seg, uint64_t offset,
    size_t length)
{
	struct found *f, **slot;
	struct message *m = message_of(r, 0);

	if (m == NULL)
		return -1;
	m->number = (uint64_t)int_of(&r->json, 0, "message");
	m->expires = time_of(r, "expires");
	m->from = (uint64_t)int_of(&r->json, 0, "from");
	if ((r->table.n + 1) * 2 > r->table.cap && table_grow(&r->table) == -1)
		goto fail;
	slot = slot_of(&r->table, m->number);
	if ((f = *slot) == NULL) {
		if ((f = calloc(1, sizeof(*f))) == NULL)
			goto fail;
		*slot = f;
		r->table.n++;
	} else {
		/* cleaning has written it anew: the line before is garbage */
		f->message->holders = 1;
		store_release(r->broker, f->message);
		message_unref(f->message);
		found_clear(f);
	}
	f->message = m;
	f->retained = true_of(&r->json, 0, "retained");
	f->cleared = true_of(&r->json, 0, "cleared");
	if (m->number >= r->store->next_message)
		r->store->next_message = m->number + 1;
	store_enter(r->store, m, seg, offset, (uint32_t)length);
	if (message_total() > STORE_MEMORY)
		message_forget(m);
	return read_targets(r, f);
fail:
	message_unref(m);
	return -1;
}

/* One more session holds a message whose line came before. */
static int
also_found(struct recovery *r)
{
	const struct json *j = &r->json;
	uint64_t number = (uint64_t)int_of(j, 0, "also");
	uint32_t to = json_member(j, 0, "to", 2), t = to + 1;
	struct found_target *list;
	struct found *f;

	if (to == 0 || j->tok[to].type != JSON_ARRAY || t >= j->tok[to].next)
		return -1;
	if (r->table.cap == 0 || (f = *slot_of(&r->table, number)) == NULL)
		return 0; /* all that held it was over already */
	list = realloc(f->targets, (f->n + 1) * sizeof(*list));
	if (list == NULL)
		return -1;
	f->targets = list;
	list[f->n] = (struct found_target){ 0 };
	if (read_target(r, &list[f->n++], t) == -1)
		return -1;
	return store_was_also(f->message, list[f->n - 1].session,
	    list[f->n - 1].deliver.sequence, j->text + j->tok[t].start,
	    j->tok[t].end - j->tok[t].start);
}

static void
settled_found(struct recovery *r)
{
	const struct json *j = &r->json;
	uint64_t session = (uint64_t)int_of(j, 0, "session");
	uint32_t list = json_member(j, 0, "settled", 7), t, i;
	struct found *f;
	int64_t number;

	if (list == 0 || r->table.cap == 0)
		return;
	for (t = list + 1; t < j->tok[list].next; t = j->tok[t].next) {
		if (j->tok[t].type != JSON_NUMBER || !json_int64(j, t, &number)
		    || (f = *slot_of(&r->table, (uint64_t)number)) == NULL)
			continue;
		if (session == 0)
			f->retained = false;
		for (i = 0; i < f->n; i++)
			if (session != 0 && f->targets[i].session == session) {
				f->targets[i].session = 0;
				break;
			}
	}
}

/* ---- files ---- */

/* A line that is broken is kept for people; the rest goes on. */
static int
corrupt(struct recovery *r, const char *name, uint64_t at, const char *line,
    size_t len)
{
	char now[CLOCK_TEXT + 1];
	struct buf b = { 0 };
	int rc;

	log_warn("sessions/%s: line at %ju is broken; it is kept in dropped/",
	    name, (uintmax_t)at);
	clock_format(now, r->now);
	buf_printf(&b, "{\"time\":\"%s\",\"file\":\"sessions/%s\","
	    "\"offset\":%ju,\"reason\":\"Corrupt\",\"line_base64\":\"", now,
	    name, (uintmax_t)at);
	base64_add(&b, line, len);
	buf_str(&b, "\"}\n");
	rc = b.bad ? -1 : dropped_append(r->broker->spool->fd, r->now,
	    buf_data(&b), b.len);
	buf_free(&b);
	return rc == 0 ? 0 : fault_errno(r->fault, FAULT_INTERNAL, "dropped/");
}

static int
take_line(struct recovery *r, struct segment_info *seg, uint64_t at,
    const char *line, size_t len)
{
	if (!record_whole(line, len) ||
	    json_scan(&r->json, line, len - 1, NULL) == -1)
		return -1;
	if (seg == NULL)
		return state_line(r);
	if (json_member(&r->json, 0, "message", 7) != 0)
		return message_found(r, seg, at, len);
	if (json_member(&r->json, 0, "also", 4) != 0)
		return also_found(r);
	settled_found(r);
	return 0;
}

/*
 * All lines of a file. A last line without its end, in the last file, was never
 * promised to anybody, and is cut off: *size is what remains.
 */
static int
read_file(struct recovery *r, int fd, const char *name,
    struct segment_info *seg, bool last, uint64_t *size)
{
	struct segment_reader in = { .fd = fd, .max = LINE_MAX_BYTES };
	struct stat st;
	const char *line;
	uint64_t at;
	size_t len;
	int rc;

	if (fstat(fd, &st) == -1)
		return fault_errno(r->fault, FAULT_INTERNAL, "sessions/%s",
		    name);
	in.end = (uint64_t)st.st_size;
	for (at = 0; (rc = segment_line(&in, &line, &len)) == 1; at += len) {
		if (line != NULL && take_line(r, seg, at, line, len) == 0)
			continue;
		if (corrupt(r, name, at, line == NULL ? "" : line,
		    line == NULL ? 0 : len) == -1) {
			segment_reader_free(&in);
			return -1;
		}
	}
	segment_reader_free(&in);
	if (rc == -1)
		return fault_errno(r->fault, FAULT_INTERNAL, "sessions/%s",
		    name);
	*size = last ? at : in.end;
	if (last && at < in.end && ftruncate(fd, (off_t)at) == -1)
		return fault_errno(r->fault, FAULT_INTERNAL, "sessions/%s",
		    name);
	return 0;
}

static int
read_state(struct recovery *r)
{
	struct store *st = r->store;

	st->state_fd = openat(st->dir, STORE_STATE,
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (st->state_fd == -1)
		return fault_errno(r->fault, FAULT_INTERNAL,
		    "sessions/" STORE_STATE);
	if (read_file(r, st->state_fd, STORE_STATE, NULL, true,
	    &st->state_size) == -1)
		return -1;
	st->state_base = st->state_size / 2;
	return 0;
}

static int
by_number(const void *a, const void *b)
{
	const struct segment_info *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static int
list_segments(struct recovery *r)
{
	struct store *st = r->store;
	DIR *d = file_opendir(st->dir, ".", 0);
	struct dirent *e;
	unsigned number;
	int end, rc = 0;

	if (d == NULL)
		return fault_errno(r->fault, FAULT_INTERNAL, "sessions");
	while ((errno = 0, e = readdir(d)) != NULL) {
		end = 0;
		if (strlen(e->d_name) == 17 && sscanf(e->d_name,
		    "%10u.ndjson%n", &number, &end) == 1 && end == 17 &&
		    number != 0 && store_add_segment(st, number) == NULL) {
			closedir(d);
			return fault_set(r->fault, FAULT_INTERNAL,
			    "out of memory");
		}
	}
	if (errno != 0)
		rc = fault_errno(r->fault, FAULT_INTERNAL, "sessions");
	closedir(d);
	if (rc == -1)
		return -1;
	if (st->nsegments == 0 && store_add_segment(st, 1) == NULL)
		return fault_set(r->fault, FAULT_INTERNAL, "out of memory");
	qsort(st->segments, st->nsegments, sizeof(*st->segments), by_number);
	return 0;
}

static int
read_segments(struct recovery *r)
{
	struct store *st = r->store;
	char name[STORE_NAME];
	bool last;
	int fd;

	for (size_t i = 0; i < st->nsegments; i++) {
		last = i + 1 == st->nsegments;
		store_segment_name(name, st->segments[i].number);
		fd = openat(st->dir, name, (last ? O_RDWR | O_CREAT : O_RDONLY)
		    | O_CLOEXEC, 0600);
		if (fd == -1)
			return fault_errno(r->fault, FAULT_INTERNAL,
			    "sessions/%s", name);
		if (read_file(r, fd, name, &st->segments[i], last,
		    &st->segments[i].size) == -1) {
			close(fd);
			return -1;
		}
		st->total += st->segments[i].size;
		if (last)
			st->segment_fd = fd;
		else
			close(fd);
	}
	return 0;
}

/* ---- together ---- */

static int
by_message(const void *a, const void *b)
{
	const struct found *x = *(struct found *const *)a;
	const struct found *y = *(struct found *const *)b;

	return (x->message->number > y->message->number) -
	    (x->message->number < y->message->number);
}

/* They come in the order in which they were published. */
static int
hand_over_retained(struct recovery *r, struct found *f)
{
	struct broker *b = r->broker;
	struct message *m = f->message, *old = NULL;

	if (store_load(b, m) == -1)
		return 0; /* logged, and as good as dropped */
	if (f->cleared)
		old = retain_clear(b->retain, m->body, m->topic_len);
	else if (retain_set(b->retain, m, &old) == -1)
		return -1;
	if (f->retained) {
		m->retained = true;
		m->holders++;
	}
	/* no line may say so yet */
	if (old != NULL) {
		store_unretained(b, old);
		message_unref(old);
	}
	return 0;
}

/* Give a message to those that wait for it. */
static int
hand_over(struct recovery *r, struct found *f)
{
	struct broker *b = r->broker;
	struct message *m = f->message;
	struct session *s;

	m->holders = 1; /* ours, while it is handed over */
	for (uint32_t i = 0; i < f->n; i++) {
		s = store_session_of(r->store, f->targets[i].session);
		if (s == NULL)
			continue;
		if (session_restore(s, m, &f->targets[i].deliver) == -1)
			return -1;
		m->holders++;
	}
	if ((f->retained || f->cleared) && hand_over_retained(r, f) == -1)
		return -1;
	store_may_forget(b, m, 1);
	store_release(b, m);
	return 0;
}

static int
hand_over_all(struct recovery *r)
{
	struct table *t = &r->table;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i] != NULL)
			t->slots[n++] = t->slots[i];
	if (n > 0)
		qsort(t->slots, n, sizeof(*t->slots), by_message);
	for (size_t i = 0; i < n; i++) {
		if (rc == 0)
			rc = hand_over(r, t->slots[i]);
		message_unref(t->slots[i]->message);
		found_clear(t->slots[i]);
		free(t->slots[i]);
	}
	free(t->slots);
	return rc == 0 ? 0 : fault_set(r->fault, FAULT_INTERNAL,
	    "out of memory");
}

/* Those that were connected are offline since now. */
static void
finish_sessions(struct recovery *r)
{
	struct store *st = r->store;
	struct session *s;
	int64_t delay;

	for (s = r->broker->sessions; s != NULL; s = s->next) {
		if (s->connections > st->connections)
			st->connections = s->connections;
		session_restored(s, s->offline_since == 0);
		if (s->offline_since == 0) {
			s->offline_since = r->now;
			store_disconnected(s, s->will.message != NULL);
		}
		if (s->will.message == NULL)
			continue;
		delay = s->will.delay < s->expiry ? s->will.delay : s->expiry;
		s->will_due = s->offline_since + delay * CLOCK_SECOND;
	}
}

int
store_open(struct broker *b, struct fault *f)
{
	struct store *st = calloc(1, sizeof(*st));
	struct recovery r = { .broker = b, .store = st, .fault = f,
		.now = clock_now() };
	int rc;

	if (st == NULL || (st->by_number = tcmapnew()) == NULL) {
		free(st);
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	b->store = st;
	st->state_fd = st->segment_fd = -1;
	st->next_message = 1;
	if (b->next_session == 0)
		b->next_session = 1;
	if (spool_mkdir(b->spool->fd, "sessions", 0700) == -1 ||
	    (st->dir = openat(b->spool->fd, "sessions", O_RDONLY |
	    O_DIRECTORY | O_CLOEXEC)) == -1)
		return fault_errno(f, FAULT_INTERNAL, "sessions");
	rc = read_state(&r);
	if (rc == 0 && (rc = list_segments(&r)) == 0)
		rc = read_segments(&r);
	if (hand_over_all(&r) == -1)
		rc = -1;
	if (rc == 0)
		rc = notices_recover(b, f);
	finish_sessions(&r);
	if (rc == 0 && spool_sync_dir(st->dir, ".") == -1)
		rc = fault_errno(f, FAULT_INTERNAL, "sessions");
	json_free(&r.json);
	record_free(&r.record);
	buf_free(&r.text);
	return rc;
}

void
store_close(struct broker *b)
{
	struct store *st = b->store;

	if (st == NULL)
		return;
	close(st->state_fd);
	close(st->segment_fd);
	close(st->dir);
	tcmapdel(st->by_number);
	free(st->segments);
	free(st->placed);
	free(st);
	b->store = NULL;
}
