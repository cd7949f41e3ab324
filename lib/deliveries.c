/* what a subscription has handed out and not settled, and its text on disk */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "deliveries.h"
#include "file.h"
#include "json.h"
#include "spool.h"

/* a file is replaced when it has grown by this much and to twice its size */
#define COMPACT_GROWTH (1024 * 1024)
/* the longest line: every slot, ten numbers of at most 20 digits each */
#define STATE_MAX ((size_t)DELIVERIES_MAX * 220 + 4096)
/* {"crc32c":"xxxxxxxx" */
#define CRC_AT 11
#define CRC_END 20

static bool
earlier(const struct deliveries *d, uint32_t a, uint32_t b)
{
	return d->slot[a].due < d->slot[b].due;
}

static void
heap_put(struct deliveries *d, uint32_t at, uint32_t slot)
{
	d->heap[at] = slot;
	d->slot[slot].heap = at;
}

static void
heap_up(struct deliveries *d, uint32_t at)
{
	uint32_t slot = d->heap[at], up;

	for (; at > 0; at = up) {
		up = (at - 1) / 2;
		if (!earlier(d, slot, d->heap[up]))
			break;
		heap_put(d, at, d->heap[up]);
	}
	heap_put(d, at, slot);
}

static void
heap_down(struct deliveries *d, uint32_t at)
{
	uint32_t slot = d->heap[at], down;

	for (; (down = 2 * at + 1) < d->used; at = down) {
		if (down + 1 < d->used &&
		    earlier(d, d->heap[down + 1], d->heap[down]))
			down++;
		if (!earlier(d, d->heap[down], slot))
			break;
		heap_put(d, at, d->heap[down]);
	}
	heap_put(d, at, slot);
}

static void
heap_fix(struct deliveries *d, uint32_t at)
{
	uint32_t slot = d->heap[at];

	heap_up(d, at);
	heap_down(d, d->slot[slot].heap);
}

static void
ready_add(struct deliveries *d, uint32_t slot)
{
	struct delivery *v = &d->slot[slot];

	v->next = DELIVERY_NONE;
	v->prev = d->ready_last;
	if (v->prev == DELIVERY_NONE)
		d->ready = slot;
	else
		d->slot[v->prev].next = slot;
	d->ready_last = slot;
}

static void
ready_remove(struct deliveries *d, uint32_t slot)
{
	struct delivery *v = &d->slot[slot];

	if (v->prev == DELIVERY_NONE)
		d->ready = v->next;
	else
		d->slot[v->prev].next = v->next;
	if (v->next == DELIVERY_NONE)
		d->ready_last = v->prev;
	else
		d->slot[v->next].prev = v->prev;
}

static void
mark(struct deliveries *d, uint32_t slot)
{
	struct delivery *v = &d->slot[slot];

	d->changed = true;
	if (v->dirty)
		return;
	v->dirty = true;
	d->dirty[d->ndirty++] = slot;
}

/* make room for n slots; new ones are free, the lowest first */
static int
grow(struct deliveries *d, uint32_t n)
{
	struct delivery *slot;
	uint32_t *heap, *dirty, i;

	if ((slot = realloc(d->slot, n * sizeof(*slot))) == NULL)
		return -1;
	d->slot = slot;
	if ((heap = realloc(d->heap, n * sizeof(*heap))) == NULL)
		return -1;
	d->heap = heap;
	if ((dirty = realloc(d->dirty, n * sizeof(*dirty))) == NULL)
		return -1;
	d->dirty = dirty;
	for (i = n; i-- > d->nslots;) {
		memset(&slot[i], 0, sizeof(slot[i]));
		slot[i].next = d->free;
		d->free = i;
	}
	d->nslots = n;
	return 0;
}

/* room for more slots, up to DELIVERIES_MAX */
static int
enlarge(struct deliveries *d)
{
	uint32_t n = d->nslots ? d->nslots * 2 : 64;

	if (n > DELIVERIES_MAX)
		n = DELIVERIES_MAX;
	return n == d->nslots ? -1 : grow(d, n);
}

static void
take_slot(struct deliveries *d, uint32_t slot, uint64_t offset)
{
	struct delivery *v = &d->slot[slot];
	bool dirty = v->dirty, saved = v->saved;

	memset(v, 0, sizeof(*v));
	v->dirty = dirty;
	v->saved = saved;
	v->offset = offset;
	v->state = DELIVERY_LOCKED;
	v->due = INT64_MAX;
	heap_put(d, d->used++, slot);
}

uint32_t
deliveries_new(struct deliveries *d, uint64_t offset)
{
	uint32_t slot;

	if (d->free == DELIVERY_NONE && enlarge(d) == -1)
		return DELIVERY_NONE;
	slot = d->free;
	d->free = d->slot[slot].next;
	take_slot(d, slot, offset);
	return slot;
}

void
deliveries_set(struct deliveries *d, uint32_t slot, enum delivery_state state,
    int64_t due)
{
	struct delivery *v = &d->slot[slot];
	bool was = v->state == DELIVERY_AVAILABLE;
	bool is = state == DELIVERY_AVAILABLE;

	if (was && !is)
		ready_remove(d, slot);
	v->state = (uint8_t)state;
	v->due = due;
	if (is && !was)
		ready_add(d, slot);
	heap_fix(d, v->heap);
	mark(d, slot);
}

void
deliveries_remove(struct deliveries *d, uint32_t slot)
{
	struct delivery *v = &d->slot[slot];
	uint32_t at = v->heap;

	if (v->state == DELIVERY_AVAILABLE)
		ready_remove(d, slot);
	if (at != --d->used) {
		heap_put(d, at, d->heap[d->used]);
		heap_fix(d, at);
	}
	v->state = DELIVERY_FREE;
	v->next = d->free;
	d->free = slot;
	mark(d, slot);
}

uint32_t
deliveries_due(const struct deliveries *d)
{
	return d->used ? d->heap[0] : DELIVERY_NONE;
}

uint32_t
deliveries_ready(const struct deliveries *d)
{
	return d->ready;
}

/* Two lists in the order of the log, as one. */
static uint32_t
merge(struct deliveries *d, uint32_t a, uint32_t b)
{
	uint32_t first, *end = &first, *from;

	while (a != DELIVERY_NONE && b != DELIVERY_NONE) {
		from = d->slot[a].offset < d->slot[b].offset ? &a : &b;
		*end = *from;
		end = &d->slot[*from].next;
		*from = *end;
	}
	*end = a != DELIVERY_NONE ? a : b;
	return first;
}

/* Take n > 0 off the front of a list: a sorted one. */
static uint32_t
take_sorted(struct deliveries *d, uint32_t *list, uint32_t n)
{
	uint32_t first = *list;

	if (n == 1) {
		*list = d->slot[first].next;
		d->slot[first].next = DELIVERY_NONE;
		return first;
	}
	first = take_sorted(d, list, n / 2);
	return merge(d, first, take_sorted(d, list, n - n / 2));
}

void
deliveries_sort(struct deliveries *d, uint32_t n)
{
	uint32_t list = DELIVERY_NONE, before = d->ready_last, slot, k;

	for (k = 0; k < n && before != DELIVERY_NONE; k++) {
		list = before;
		before = d->slot[list].prev;
	}
	if (k < 2)
		return;
	slot = take_sorted(d, &list, k);
	if (before == DELIVERY_NONE)
		d->ready = slot;
	else
		d->slot[before].next = slot;
	for (; slot != DELIVERY_NONE; slot = d->slot[slot].next) {
		d->slot[slot].prev = before;
		before = slot;
	}
	d->ready_last = before;
}

void
deliveries_touch(struct deliveries *d)
{
	d->changed = true;
}

static void
number(struct buf *b, const char *name, uint64_t n)
{
	buf_add(b, ",\"", 2);
	buf_str(b, name);
	buf_add(b, "\":", 2);
	buf_u64(b, n);
}

static void
numbers(struct buf *b, const char *name, const uint64_t *n, size_t count)
{
	size_t i;

	buf_add(b, ",\"", 2);
	buf_str(b, name);
	buf_add(b, "\":[", 3);
	for (i = 0; i < count; i++) {
		if (i > 0)
			buf_add(b, ",", 1);
		buf_u64(b, n[i]);
	}
	buf_add(b, "]", 1);
}

static void
put_slot(struct buf *b, const struct delivery *v, uint32_t slot)
{
	const uint64_t n[] = { slot, v->offset, (uint64_t)v->published,
		(uint64_t)v->locked, (uint64_t)v->last, (uint64_t)v->due,
		v->lock, v->count, v->result, v->state };
	size_t i;

	for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
		buf_add(b, i ? "," : "[", 1);
		buf_u64(b, n[i]);
	}
	buf_add(b, "]", 1);
}

/* "put" or "out": the dirty (or, for a whole file, all) slots of that kind */
static void
put_slots(struct deliveries *d, struct buf *b, bool out)
{
	uint32_t i, n = d->whole ? d->nslots : d->ndirty, slot;
	const struct delivery *v;
	bool first = true;

	for (i = 0; i < n; i++) {
		slot = d->whole ? i : d->dirty[i];
		v = &d->slot[slot];
		if ((v->state == DELIVERY_FREE) != out ||
		    (out && (d->whole || !v->saved)))
			continue;
		if (first)
			buf_str(b, out ? ",\"out\":[" : ",\"put\":[");
		else
			buf_add(b, ",", 1);
		first = false;
		if (out)
			buf_u64(b, slot);
		else
			put_slot(b, v, slot);
	}
	if (!first)
		buf_add(b, "]", 1);
}

static void
seal(struct buf *b)
{
	char *p = buf_data(b);

	if (!b->bad)
		crc32c_format(p + CRC_AT,
		    crc32c(0, p + CRC_END, b->len - CRC_END - 1));
}

bool
deliveries_changes(struct deliveries *d, struct deliveries_save *s)
{
	struct buf *b = &s->text;
	struct delivery *v;
	uint32_t i;

	if (!d->changed)
		return false;
	if (d->size > d->base + COMPACT_GROWTH && d->size > 2 * d->base)
		d->whole = true;
	buf_str(b, "{\"crc32c\":\"00000000\"");
	if (d->whole) {
		buf_str(b, ",\"uid\":");
		buf_json(b, d->uid, strlen(d->uid));
		number(b, "from", d->from);
	}
	number(b, "cursor", d->cursor);
	number(b, "after", d->after);
	number(b, "acknowledged", d->acknowledged);
	number(b, "settledBefore", d->settled_before);
	numbers(b, "deadLettered", d->dead_lettered, DL_REASONS);
	numbers(b, "dropped", d->dropped, DL_REASONS);
	put_slots(d, b, false);
	put_slots(d, b, true);
	buf_add(b, "}\n", 2);
	seal(b);
	if (b->bad)
		return true;
	for (i = 0; i < d->ndirty; i++) {
		v = &d->slot[d->dirty[i]];
		v->dirty = false;
		v->saved = v->state != DELIVERY_FREE;
	}
	s->replace = d->whole;
	d->size = d->whole ? b->len : d->size + b->len;
	if (d->whole)
		d->base = b->len;
	d->ndirty = 0;
	d->changed = d->whole = false;
	return true;
}

void
deliveries_unsaved(struct deliveries *d)
{
	d->changed = d->whole = true;
}

/* Behind what is there; what is not whole is cut off again. */
static int
append(int fd, const struct buf *text, bool *fatal)
{
	struct stat st;
	int error;

	if (fstat(fd, &st) == -1)
		return -1;
	if (file_pwrite(fd, buf_data(text), text->len, st.st_size) == -1) {
		error = errno;
		*fatal = ftruncate(fd, st.st_size) == -1 || error == EIO;
		errno = error;
		return -1;
	}
	if (fdatasync(fd) == 0)
		return 0;
	*fatal = true;
	return -1;
}

int
deliveries_save(struct deliveries_save *s, bool *fatal)
{
	int fd;

	*fatal = false;
	if (!s->replace) {
		fd = openat(s->dir, s->path, O_WRONLY | O_CLOEXEC);
		return fd == -1 ? -1 :
		    file_close(fd, append(fd, &s->text, fatal));
	}
	if (spool_replace(s->dir, s->path, buf_data(&s->text), s->text.len,
		true) == 0)
		return 0;
	*fatal = !file_no_room(errno);
	return -1;
}

static uint64_t
member(const struct json *j, const char *name)
{
	uint32_t t = json_member(j, 0, name, strlen(name));
	int64_t n;

	return t && json_int64(j, t, &n) && n >= 0 ? (uint64_t)n : 0;
}

static void
members(const struct json *j, const char *name, uint64_t *out)
{
	uint32_t t = json_member(j, 0, name, strlen(name)), i, k;
	int64_t n;

	if (t == 0)
		return;
	for (i = t + 1, k = 0; i < j->tok[t].next && k < DL_REASONS;
	     i = j->tok[i].next, k++)
		out[k] = json_int64(j, i, &n) ? (uint64_t)n : 0;
}

static bool
ten_numbers(const struct json *j, uint32_t row, uint64_t n[10])
{
	uint32_t i, k = 0;
	int64_t v;

	for (i = row + 1; i < j->tok[row].next; i = j->tok[i].next, k++) {
		if (k == 10 || !json_int64(j, i, &v))
			return false;
		n[k] = (uint64_t)v;
	}
	return k == 10;
}

/* While a file is read slots are only marked; lists and heap come at the end. */
static int
read_put(struct deliveries *d, const struct json *j, uint32_t row)
{
	struct delivery *v;
	uint64_t n[10];

	if (!ten_numbers(j, row, n) || n[0] >= DELIVERIES_MAX ||
	    n[9] == DELIVERY_FREE || n[9] > DELIVERY_AVAILABLE)
		return 0;
	while (n[0] >= d->nslots)
		if (enlarge(d) == -1)
			return -1;
	v = &d->slot[n[0]];
	v->offset = n[1];
	v->published = (int64_t)n[2];
	v->locked = (int64_t)n[3];
	v->last = (int64_t)n[4];
	v->due = (int64_t)n[5];
	v->lock = n[6];
	v->count = (uint8_t)n[7];
	v->result = (uint8_t)(n[8] < DL_RESULTS ? n[8] : 0);
	v->state = (uint8_t)n[9];
	v->saved = true;
	return 0;
}

static int
read_line(struct deliveries *d, const struct json *j)
{
	uint32_t t, i;
	int64_t n;

	d->cursor = member(j, "cursor");
	d->after = member(j, "after");
	d->acknowledged = member(j, "acknowledged");
	d->settled_before = member(j, "settledBefore");
	members(j, "deadLettered", d->dead_lettered);
	members(j, "dropped", d->dropped);
	if ((t = json_member(j, 0, "put", 3)) != 0)
		for (i = t + 1; i < j->tok[t].next; i = j->tok[i].next)
			if (read_put(d, j, i) == -1)
				return -1;
	if ((t = json_member(j, 0, "out", 3)) != 0)
		for (i = t + 1; i < j->tok[t].next; i = j->tok[i].next)
			if (json_int64(j, i, &n) && n >= 0 && n < d->nslots)
				d->slot[n].state = DELIVERY_FREE;
	return 0;
}

static void
rebuild(struct deliveries *d)
{
	uint32_t i;

	d->free = d->ready = d->ready_last = DELIVERY_NONE;
	d->used = 0;
	for (i = d->nslots; i-- > 0;) {
		if (d->slot[i].state != DELIVERY_FREE)
			continue;
		d->slot[i].next = d->free;
		d->free = i;
	}
	for (i = 0; i < d->nslots; i++) {
		if (d->slot[i].state == DELIVERY_FREE)
			continue;
		heap_put(d, d->used++, i);
		heap_up(d, d->slot[i].heap);
		if (d->slot[i].state == DELIVERY_AVAILABLE)
			ready_add(d, i);
	}
	deliveries_sort(d, d->used);
}

/* Does a line's checksum hold? */
static bool
whole(const char *p, size_t len)
{
	char crc[CRC32C_TEXT];

	if (len < CRC_END + 1 || memcmp(p, "{\"crc32c\":\"", CRC_AT) != 0)
		return false;
	crc32c_format(crc, crc32c(0, p + CRC_END, len - CRC_END));
	return memcmp(crc, p + CRC_AT, sizeof(crc)) == 0;
}

/* Read line after line; returns the bytes of those that are whole, or -1. */
static ssize_t
read_lines(struct deliveries *d, struct json *j, const char *text, size_t len,
    bool *found, struct fault *fault)
{
	size_t at = 0, n;
	const char *nl;
	uint32_t t;

	for (; (nl = memchr(text + at, '\n', len - at)) != NULL; at += n + 1) {
		n = (size_t)(nl - (text + at));
		if (!whole(text + at, n) ||
		    json_scan(j, text + at, n, NULL) == -1)
			break;
		if (at == 0) {
			t = json_member(j, 0, "uid", 3);
			if (t == 0 || !json_is(j, t, d->uid, strlen(d->uid)))
				return 0;
			d->from = member(j, "from");
			d->base = n + 1;
			*found = true;
		}
		if (read_line(d, j) == -1)
			return fault_errno(fault, FAULT_INTERNAL, "state");
	}
	return (ssize_t)at;
}

int
deliveries_open(struct deliveries *d, int dir, const char *path,
    const char *uid, bool *found, struct fault *fault)
{
	struct json j = { 0 };
	ssize_t good = 0;
	size_t len = 0;
	char *text;

	memset(d, 0, sizeof(*d));
	d->free = d->ready = d->ready_last = DELIVERY_NONE;
	*found = false;
	if ((d->uid = strdup(uid)) == NULL)
		return fault_errno(fault, FAULT_INTERNAL, "%s", path);
	text = spool_read(dir, path, 4 * STATE_MAX, &len);
	if (text == NULL && errno != ENOENT) {
		fault_errno(fault, FAULT_INTERNAL, "%s", path);
		deliveries_close(d);
		return -1;
	}
	if (text != NULL)
		good = read_lines(d, &j, text, len, found, fault);
	free(text);
	json_free(&j);
	if (good == -1) {
		deliveries_close(d);
		return -1;
	}
	d->size = (size_t)good;
	/* a torn or broken end must not stand before what is appended */
	if (!*found || d->size != len)
		deliveries_unsaved(d);
	rebuild(d);
	return 0;
}

void
deliveries_close(struct deliveries *d)
{
	free(d->slot);
	free(d->heap);
	free(d->dirty);
	free(d->uid);
	memset(d, 0, sizeof(*d));
}
