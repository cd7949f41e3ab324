#include <stdlib.h>
#include <string.h>

#include "array.h"
#include "leaving.h"
#include "quarantine.h"
#include "quote.h"
#include "remains.h"

struct item {
	uint8_t key[LETTER_KEY];
	uint32_t line;  /* a blob is of LETTER_BLOB_MAX bytes */
	uint8_t state;  /* enum leaving_state */
};

struct leaving_blob {
	struct leaving_blob *newer, *older;
	struct leaving_blob *next; /* of those that are ready */
	struct container *container;
	char etag[BLOB_ETAG];
	struct item *items;
	size_t nitems, waiting;
	bool stays;  /* something that is no item */
	bool closed; /* nothing more comes */
	char name[];
};

void
leaving_init(struct leaving *l)
{
	l->all = l->ready = NULL;
	l->last = &l->ready;
	l->n = 0;
}

struct leaving_blob *
leaving_open(struct leaving *l, const struct letter_place *place)
{
	size_t len = strlen(place->blob) + 1;
	struct leaving_blob *b = malloc(sizeof(*b) + len);

	if (b == NULL)
		return NULL;
	*b = (struct leaving_blob){ .container = place->container,
		.older = l->all };
	memcpy(b->name, place->blob, len);
	if (l->all != NULL)
		l->all->newer = b;
	l->all = b;
	l->n++;
	return b;
}

static void
drop(struct leaving *l, struct leaving_blob *b)
{
	if (b->older != NULL)
		b->older->newer = b->newer;
	if (b->newer != NULL)
		b->newer->older = b->older;
	else
		l->all = b->older;
	l->n--;
	free(b->items);
	free(b);
}

const char *
leaving_name(const struct leaving_blob *b)
{
	return b->name;
}

void
leaving_stays(struct leaving_blob *b)
{
	b->stays = true;
}

int
leaving_letter(struct leaving_blob *b, const uint8_t key[LETTER_KEY],
    uint64_t line, enum leaving_state state)
{
	struct item *items = array_room(b->items, b->nitems, sizeof(*items));
	struct item *item;

	if (items == NULL)
		return -1;
	b->items = items;
	item = &items[b->nitems++];
	memcpy(item->key, key, LETTER_KEY);
	item->line = (uint32_t)line;
	item->state = (uint8_t)state;
	b->waiting += state == LEAVING_WAITS;
	return 0;
}

static void
get_ready(struct leaving *l, struct leaving_blob *b)
{
	if (!b->closed || b->waiting > 0)
		return;
	b->next = NULL;
	*l->last = b;
	l->last = &b->next;
}

void
leaving_close(struct leaving *l, struct leaving_blob *b, const char *etag)
{
	if (etag == NULL || strlen(etag) >= sizeof(b->etag))
		b->stays = true;
	else
		memcpy(b->etag, etag, strlen(etag) + 1);
	b->closed = true;
	get_ready(l, b);
}

/* Items are in the order of their lines until all results are here. */
static int
by_line(const void *line, const void *item)
{
	uint32_t a = *(const uint32_t *)line;
	uint32_t b = ((const struct item *)item)->line;

	return a < b ? -1 : a > b;
}

void
leaving_result(struct leaving *l, struct leaving_blob *b, uint64_t line,
    enum leaving_state state)
{
	uint32_t wanted = (uint32_t)line;
	struct item *item = bsearch(&wanted, b->items, b->nitems,
	    sizeof(*item), by_line);

	if (item == NULL || item->state != LEAVING_WAITS)
		abort(); /* nobody waited for it */
	item->state = (uint8_t)state;
	b->waiting--;
	get_ready(l, b);
}

/* ---- a blob is written ---- */

/* A blob that is read again, and taken apart. */
struct parting {
	struct leaving *leaving;
	struct leaving_blob *blob;
	struct blob_path path;
	struct buf left, aside, kept;
	bool noting;      /* the second time, when they have been put aside */
	struct returns *returns;
	struct fault *fault;
	bool failed;
};

static int
by_key(const void *a, const void *b)
{
	const struct item *one = a, *other = b;
	int order = memcmp(one->key, other->key, LETTER_KEY);

	/* of the same dead letter, which may lie here twice, what it does */
	return order != 0 ? order : (int)other->state - (int)one->state;
}

static void
sort_by_key(struct leaving_blob *b)
{
	qsort(b->items, b->nitems, sizeof(*b->items), by_key);
	for (size_t i = 1; i < b->nitems; i++) {
		if (memcmp(b->items[i].key, b->items[i - 1].key,
		    LETTER_KEY) == 0)
			b->items[i].state = b->items[i - 1].state;
	}
}

static int
of_key(const void *key, const void *item)
{
	return memcmp(key, ((const struct item *)item)->key, LETTER_KEY);
}

static struct item *
item_of(const struct parting *p, const struct letter *letter)
{
	uint8_t key[LETTER_KEY];

	letter_key(letter, p->path.topic, p->path.subscription, p->blob->name,
	    key);
	return bsearch(key, p->blob->items, p->blob->nitems,
	    sizeof(struct item), of_key);
}

static void
add_line(struct buf *b, const struct letter *letter)
{
	letter_line(letter, b);
	buf_add(b, "\n", 1);
}

static bool
goes(const struct letter *letter, void *arg)
{
	struct parting *p = arg;
	const struct item *item = item_of(p, letter);

	if (item == NULL || item->state <= LEAVING_WAITS)
		return false;
	if (item->state != LEAVING_GOES)
		add_line(&p->aside, letter);
	else if (p->leaving->keep)
		add_line(&p->kept, letter);
	return true;
}

void
leaving_describe(struct returned *r, const struct letter *letter,
    const struct container *container, const char *blob,
    const struct blob_path *path)
{
	r->container = container_name(container);
	r->blob = blob;
	r->line = letter->number;
	r->topic = path->topic;
	r->subscription = path->subscription;
	r->reason = letter->reason_text;
	r->offset = letter->offset;
}

static void
note(struct parting *p, const struct letter *letter)
{
	struct item *item = item_of(p, letter);
	struct returned r = { 0 };
	struct buf id = { 0 };

	if (p->failed || item == NULL || item->state != LEAVING_ASIDE)
		return;
	memcpy(r.key, item->key, LETTER_KEY);
	leaving_describe(&r, letter, p->blob->container, p->blob->name,
	    &p->path);
	if (letter->id != 0)
		json_string(letter->json, letter->id, &id);
	buf_add(&id, "", 1);
	r.id = id.bad ? "" : buf_data(&id);
	if (returns_note(p->returns, &r, "quarantined", p->fault) == -1)
		p->failed = true;
	else
		item->state = LEAVING_NOTED;
	buf_free(&id);
}

/* What was put aside is in the books before it leaves. */
static int
note_all(struct parting *p, const char *text, size_t len)
{
	struct letters letters = { .text = text, .len = len };
	struct letter letter;
	int rc;

	p->returns = p->leaving->returns(p->leaving->arg, p->fault);
	if (p->returns == NULL)
		return -1;
	while ((rc = letters_next(&letters, &letter, NULL)) != 0) {
		if (rc == 1)
			note(p, &letter);
	}
	letters_free(&letters);
	return p->failed ? -1 : 0;
}

static int
put_aside(struct parting *p, const char *text, size_t len)
{
	const struct leaving_blob *b = p->blob;

	if (p->aside.bad || p->kept.bad)
		return fault_set(p->fault, FAULT_INTERNAL, "out of memory");
	if (p->aside.len > 0 && (quarantine_put(b->container,
	    CONTAINER_QUARANTINE, b->name, &p->aside, p->fault) == -1 ||
	    note_all(p, text, len) == -1))
		return -1;
	return p->kept.len == 0 ? 0 : quarantine_put(b->container,
	    CONTAINER_REPLAYED, b->name, &p->kept, p->fault);
}

/* With what is there now: 0, or -1 and a fault. */
static int
part(struct parting *p)
{
	const struct leaving_blob *b = p->blob;
	char etag[BLOB_ETAG], *text;
	size_t len, taken;
	int rc;

	text = container_get(b->container, b->name, LETTER_BLOB_MAX, &len, etag,
	    p->fault);
	if (text == NULL) /* somebody has taken it away */
		return p->fault->code == FAULT_NOT_FOUND ? 0 : -1;
	rc = remains_of(&p->left, text, len, goes, p, &taken, p->fault);
	if (rc == 0 && taken > 0)
		rc = put_aside(p, text, len);
	free(text);
	if (rc == -1 || taken == 0)
		return rc;
	if (p->left.len == 0)
		return container_delete(b->container, b->name, etag, p->fault);
	return container_replace(b->container, b->name, etag,
	    buf_data(&p->left), p->left.len, p->fault);
}

static int
part_changed(struct leaving *l, struct leaving_blob *b, struct fault *f)
{
	struct parting p = { .leaving = l, .blob = b, .fault = f };
	int rc = -1;

	sort_by_key(b);
	blob_path_read(&p.path, b->name);
	f->code = FAULT_CONFLICT;
	for (int i = 0; i < LEAVING_TRIES && rc == -1 &&
	    f->code == FAULT_CONFLICT; i++) {
		buf_reset(&p.left, 0);
		buf_reset(&p.aside, 0);
		buf_reset(&p.kept, 0);
		rc = part(&p);
	}
	buf_free(&p.left);
	buf_free(&p.aside);
	buf_free(&p.kept);
	return rc;
}

struct sums {
	uint64_t go, aside, stay;
};

static struct sums
sum(const struct leaving_blob *b)
{
	struct sums s = { .stay = b->stays };

	for (size_t i = 0; i < b->nitems; i++) {
		if (b->items[i].state == LEAVING_GOES)
			s.go++;
		else if (b->items[i].state >= LEAVING_ASIDE)
			s.aside++;
		else
			s.stay++;
	}
	return s;
}

static int
settle(struct leaving *l, struct leaving_blob *b, const struct sums *s,
    struct fault *f)
{
	if (s->go + s->aside == 0)
		return 0;
	/* the usual case needs no second look at it */
	if (s->stay == 0 && s->aside == 0 && !l->keep) {
		if (container_delete(b->container, b->name, b->etag, f) == 0 ||
		    f->code == FAULT_NOT_FOUND)
			return 0;
		if (f->code != FAULT_CONFLICT)
			return -1;
	}
	return part_changed(l, b, f);
}

void
leaving_settle(struct leaving *l)
{
	struct leaving_blob *b;
	char q[QUOTE_MAX];
	struct fault f;
	struct sums s;

	while ((b = l->ready) != NULL) {
		if ((l->ready = b->next) == NULL)
			l->last = &l->ready;
		s = sum(b);
		if (settle(l, b, &s, &f) == 0) {
			l->tally->quarantined += s.aside;
		} else {
			l->tally->left += s.go;
			l->tally->later += s.aside;
			tally_say(l->tally, "%s/%s: %s",
			    container_name(b->container),
			    quote(q, b->name, strlen(b->name)), f.text);
		}
		drop(l, b);
	}
}

void
leaving_abandon(struct leaving *l)
{
	leaving_settle(l);
	for (struct leaving_blob *b = l->all; b != NULL; b = b->older) {
		for (size_t i = 0; i < b->nitems; i++) {
			if (b->items[i].state != LEAVING_WAITS)
				continue;
			b->items[i].state = LEAVING_STAYS;
			l->tally->later++;
		}
		/* one that is not closed may have more, which stays */
		b->stays = b->stays || !b->closed;
		b->closed = true;
		b->waiting = 0;
		get_ready(l, b);
	}
	leaving_settle(l);
}
