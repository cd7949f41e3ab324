#include "sorter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <tcutil.h>
#include <unistd.h>

#include "clock.h"
#include "file.h"
#include "intake.h"
#include "intake_files.h"
#include "log.h"
#include "maildir.h"

#define DEADLETTER "deadletter"
#define BATCH "deadletter/batch"
#define BATCH_NEW "deadletter/batch.tmp"
#define TAKEN "taken"          /* the files that it was made of, a line each */
#define CORRUPT "records"      /* lines that are none */
#define TAKEN_MAX ((size_t)ROUND_FILES * MAILDIR_NAME)
#define HOUR (3600 * CLOCK_SECOND)
#define KEY_SIZE (2 * PARCEL_WORD + 32)

struct group { /* of records that become a parcel */
	struct parcel parcel;
	struct buf records;
};

struct sorter {
	const struct spool *spool;
	struct intake intake;
	struct batch *taken;   /* of a round that there was no room for */
	int64_t last;          /* number of a parcel */
	struct sorter_check check;
	/* of this round */
	bool committed;        /* its batch counts, and is to be finished */
	int lines;             /* of what was taken */
	TCMAP *groups;         /* "TOPIC.SUBSCRIPTION.HOUR" -> struct group * */
	struct parcels made;
	struct buf corrupt;
	uint64_t ncorrupt;
};

/* ---- finishing a round ---- */

/* One that fails is not tried again: nobody knows what is on disk then. */
static int
sync_dir(const struct sorter *s, const char *path)
{
	if (spool_sync_dir(s->spool->fd, path) == 0)
		return 0;
	errno = EIO;
	return -1;
}

static int
remove_taken(struct sorter *s)
{
	size_t len;
	char *text = spool_read(s->spool->fd, BATCH "/" TAKEN, TAKEN_MAX, &len);
	char *at = text, *name;
	int rc = 0;

	if (text == NULL)
		return errno == ENOENT ? 0 : -1;
	while (rc == 0 && (name = strsep(&at, "\n")) != NULL)
		if (*name != '\0')
			rc = intake_forget(&s->intake, name);
	free(text);
	/* or they would come back with the power, when their parcels are gone */
	return rc == -1 ? -1 : sync_dir(s, DEADLETTER "/cur");
}

static int
move_one(struct sorter *s, const char *name)
{
	char from[PARCEL_NAME + 64], to[PARCEL_NAME + 64];
	struct parcel p;

	snprintf(from, sizeof(from), BATCH "/%.255s", name);
	if (parcel_parse(&p, name))
		snprintf(to, sizeof(to), PARCEL_SORTED "/%.255s", name);
	else
		snprintf(to, sizeof(to), DEADLETTER "/corrupt/%.255s", name);
	return renameat(s->spool->fd, from, s->spool->fd, to);
}

static int
move_all(struct sorter *s)
{
	DIR *dir = file_opendir(s->spool->fd, BATCH, 0);
	struct dirent *e;
	int rc = 0, error;

	if (dir == NULL)
		return -1;
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0 &&
		    strcmp(e->d_name, TAKEN) != 0)
			rc = move_one(s, e->d_name);
	if (rc == 0 && errno != 0)
		rc = -1;
	error = errno;
	closedir(dir);
	errno = error;
	return rc;
}

/* A batch that counts: what it was made of goes, its parcels to their places. */
static int
finish(struct sorter *s)
{
	int fd = s->spool->fd;

	if (faccessat(fd, BATCH, F_OK, 0) == -1)
		return errno == ENOENT ? 0 : -1;
	if (remove_taken(s) == -1 || move_all(s) == -1 ||
	    sync_dir(s, PARCEL_SORTED) == -1 ||
	    sync_dir(s, DEADLETTER "/corrupt") == -1 ||
	    sync_dir(s, BATCH) == -1)
		return -1;
	if (unlinkat(fd, BATCH "/" TAKEN, 0) == -1 && errno != ENOENT)
		return -1;
	return unlinkat(fd, BATCH, AT_REMOVEDIR);
}

/* ---- records ---- */

static int
take_word(const struct json *j, const char *member, char word[PARCEL_WORD],
    struct fault *f)
{
	uint32_t t = json_member(j, 0, member, strlen(member));
	size_t len = 0;

	if (t != 0 && j->tok[t].type == JSON_STRING)
		len = j->tok[t].end - j->tok[t].start - 2;
	if (len == 0 || !parcel_is_word(j->text + j->tok[t].start + 1, len))
		return fault_set(f, FAULT_BAD_REQUEST, "\"%s\" must be the "
		    "name of one", member);
	snprintf(word, PARCEL_WORD, "%.*s", (int)len,
	    j->text + j->tok[t].start + 1);
	return 0;
}

static int
take_hour(const struct json *j, int64_t *hour, struct fault *f)
{
	uint32_t t = json_member(j, 0, "time", 4);

	if (t == 0 || j->tok[t].type != JSON_STRING ||
	    clock_parse(j->text + j->tok[t].start + 1,
	    j->tok[t].end - j->tok[t].start - 2, hour) == -1)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "\"time\" must be a time of RFC 3339");
	*hour -= (*hour % HOUR + HOUR) % HOUR;
	return 0;
}

static int
need_object(const struct json *j, const char *member, struct fault *f)
{
	uint32_t t = json_member(j, 0, member, strlen(member));

	if (t != 0 && j->tok[t].type == JSON_OBJECT)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "\"%s\" must be an object",
	    member);
}

int
sorter_check(struct sorter_check *c, const char *line, size_t len,
    struct fault *f)
{
	struct json *j = &c->json;

	c->parcel = (struct parcel){ .hour = 0 };
	if (json_scan(j, line, len, f) == -1)
		return -1;
	if (j->tok[0].type != JSON_OBJECT)
		return fault_set(f, FAULT_BAD_REQUEST, "no object");
	/* what a letter is made of: none is found missing when that is done */
	if (need_object(j, "event", f) == -1 ||
	    need_object(j, "deadletterProperties", f) == -1 ||
	    take_hour(j, &c->parcel.hour, f) == -1 ||
	    take_word(j, "topic", c->parcel.topic, f) == -1)
		return -1;
	return take_word(j, "subscription", c->parcel.subscription, f);
}

void
sorter_check_free(struct sorter_check *c)
{
	json_free(&c->json);
}

static void
begin_parcel(struct sorter *s, struct parcel *p)
{
	int64_t now = clock_now();

	s->last = now > s->last ? now : s->last + 1;
	p->first = p->last = s->last;
	p->letters = p->bytes = 0;
	uuid_new(p->guid);
}

/* Its file is in the batch; the group is empty then, and begins another. */
static int
close_parcel(struct sorter *s, struct group *g)
{
	struct parcel *p;

	if (g->records.len == 0)
		return 0;
	if (g->records.bad || (p = malloc(sizeof(*p))) == NULL) {
		errno = ENOMEM;
		return -1;
	}
	*p = g->parcel;
	p->bytes = g->records.len;
	if (parcel_write(s->spool->fd, BATCH_NEW, p, &g->records) == -1) {
		free(p);
		return -1;
	}
	TAILQ_INSERT_TAIL(&s->made, p, entry);
	buf_reset(&g->records, PARCEL_BYTES);
	begin_parcel(s, &g->parcel);
	return 0;
}

static struct group *
find_group(struct sorter *s, const struct parcel *p)
{
	char key[KEY_SIZE];
	int klen = snprintf(key, sizeof(key), "%s.%s.%lld", p->topic,
	    p->subscription, (long long)p->hour), n;
	struct group *const *there = tcmapget(s->groups, key, klen, &n);
	struct group *g;

	if (there != NULL)
		return *there;
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return NULL;
	g->parcel = *p;
	begin_parcel(s, &g->parcel);
	tcmapput(s->groups, key, klen, &g, sizeof(g));
	return g;
}

static int
sort_line(struct sorter *s, const char *line, size_t len)
{
	struct group *g;

	if (sorter_check(&s->check, line, len, NULL) == -1) {
		s->ncorrupt++;
		buf_add(&s->corrupt, line, len);
		buf_add(&s->corrupt, "\n", 1);
		return 0;
	}
	if ((g = find_group(s, &s->check.parcel)) == NULL)
		return -1;
	if (g->records.len + len >= PARCEL_BYTES && close_parcel(s, g) == -1)
		return -1;
	g->parcel.letters++;
	buf_add(&g->records, line, len);
	buf_add(&g->records, "\n", 1);
	return 0;
}

static int
sort_file(struct sorter *s, const struct batch *b)
{
	const char *at = b->text, *end = at + b->proof.bytes, *nl;

	for (; at < end; at = nl + 1) {
		nl = memchr(at, '\n', (size_t)(end - at));
		if (sort_line(s, at, (size_t)(nl - at)) == -1)
			return -1;
	}
	return 0;
}

/* ---- a round ---- */

static int
write_new(struct sorter *s, const char *name, const struct buf *b)
{
	char path[PARCEL_NAME];

	if (b->bad) {
		errno = ENOMEM;
		return -1;
	}
	snprintf(path, sizeof(path), BATCH_NEW "/%s", name);
	return spool_replace(s->spool->fd, path, buf_data(b), b->len, true);
}

static int
write_taken(struct sorter *s)
{
	char name[MAILDIR_NAME];
	struct buf b = { 0 };
	int rc;

	for (const struct batch *f = s->taken; f != NULL; f = f->next) {
		batch_name(f, name);
		buf_printf(&b, "%s\n", name);
	}
	rc = write_new(s, TAKEN, &b);
	buf_free(&b);
	return rc;
}

static int
write_corrupt(struct sorter *s)
{
	char name[64];

	if (s->ncorrupt == 0)
		return 0;
	snprintf(name, sizeof(name), CORRUPT ".%lld", (long long)clock_now());
	if (write_new(s, name, &s->corrupt) == -1)
		return -1;
	log_warn("deadletter/corrupt/%s: %llu lines that are no records of "
	    "dead letters", name, (unsigned long long)s->ncorrupt);
	return 0;
}

static int
close_all(struct sorter *s)
{
	const void *key;
	int n;

	tcmapiterinit(s->groups);
	while ((key = tcmapiternext(s->groups, &n)) != NULL)
		if (close_parcel(s, *(struct group *const *)
		    tcmapiterval(key, &n)) == -1)
			return -1;
	return 0;
}

static int
sort_all(struct sorter *s)
{
	int fd = s->spool->fd;

	if (spool_remove(fd, BATCH_NEW) == -1 ||
	    mkdirat(fd, BATCH_NEW, 0700) == -1)
		return -1;
	for (const struct batch *f = s->taken; f != NULL; f = f->next)
		if (sort_file(s, f) == -1)
			return -1;
	if (close_all(s) == -1 || write_corrupt(s) == -1 ||
	    write_taken(s) == -1 || spool_sync_dir(fd, BATCH_NEW) == -1 ||
	    renameat(fd, BATCH_NEW, fd, BATCH) == -1)
		return -1;
	return sync_dir(s, DEADLETTER);
}

static void
begin_round(struct sorter *s)
{
	TAILQ_INIT(&s->made);
	s->groups = tcmapnew();
	s->ncorrupt = 0;
	s->lines = 0;
}

/* The parcels are still here when it failed. */
static void
end_round(struct sorter *s)
{
	struct parcel *p;
	const void *key;
	struct group *g;
	int n;

	while ((p = TAILQ_FIRST(&s->made)) != NULL) {
		TAILQ_REMOVE(&s->made, p, entry);
		free(p);
	}
	tcmapiterinit(s->groups);
	while ((key = tcmapiternext(s->groups, &n)) != NULL) {
		g = *(struct group *const *)tcmapiterval(key, &n);
		buf_free(&g->records);
		free(g);
	}
	tcmapdel(s->groups);
	buf_reset(&s->corrupt, 0);
	json_trim(&s->check.json);
}

static int
failed(struct fault *f, const char *what)
{
	return fault_errno(f, file_no_room(errno) || errno == ENOMEM ?
	    FAULT_TOO_MANY : FAULT_INTERNAL, "%s", what);
}

/* What is taken becomes a batch that counts. */
static int
commit(struct sorter *s, struct fault *f)
{
	begin_round(s);
	for (const struct batch *b = s->taken; b != NULL; b = b->next)
		s->lines += (int)b->proof.lines;
	if (sort_all(s) == -1) {
		failed(f, "deadletter");
		end_round(s);
		if (f->code == FAULT_TOO_MANY)
			spool_remove(s->spool->fd, BATCH_NEW);
		return -1;
	}
	s->committed = true;
	batches_free(s->taken);
	s->taken = NULL;
	return 0;
}

int
sorter_round(struct sorter *s, void (*made)(struct parcel *, void *),
    void *arg, struct fault *f)
{
	struct parcel *p;

	if (!s->committed) {
		if (s->taken == NULL && intake_take(&s->intake, ROUND_BYTES,
		    ROUND_FILES, &s->taken) == -1)
			return fault_errno(f, errno == EIO ? FAULT_INTERNAL :
			    FAULT_TOO_MANY, "deadletter");
		if (s->taken == NULL)
			return 0;
		if (commit(s, f) == -1)
			return -1;
	}
	if (finish(s) == -1)
		return failed(f, BATCH);
	s->committed = false;
	while ((p = TAILQ_FIRST(&s->made)) != NULL) {
		TAILQ_REMOVE(&s->made, p, entry);
		made(p, arg);
	}
	end_round(s);
	return s->lines;
}

/* ---- */

static void
on_corrupt(const char *name, const char *why, void *arg)
{
	(void)arg;
	log_warn("deadletter/corrupt/%s: %s", name, why);
}

void
sorter_saw(struct sorter *s, const struct parcel *p)
{
	if (p->last > s->last)
		s->last = p->last;
}

struct sorter *
sorter_open(const struct spool *spool, struct fault *f)
{
	struct sorter *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	s->spool = spool;
	/* what of a finish is left needs only where the maildir is */
	s->intake = (struct intake){ .dir = spool->fd, .path = DEADLETTER };
	if (maildir_make(spool->fd, DEADLETTER) == -1 ||
	    spool_mkdir(spool->fd, PARCEL_SORTED, 0700) == -1 ||
	    spool_mkdir(spool->fd, PARCEL_SENDING, 0700) == -1 ||
	    spool_remove(spool->fd, BATCH_NEW) == -1 || finish(s) == -1 ||
	    intake_open(&s->intake, spool->fd, DEADLETTER, on_corrupt,
	    s) == -1) {
		fault_errno(f, FAULT_INTERNAL, "deadletter");
		free(s);
		return NULL;
	}
	return s;
}

void
sorter_close(struct sorter *s)
{
	if (s == NULL)
		return;
	if (s->committed)
		end_round(s);
	batches_free(s->taken);
	intake_close(&s->intake);
	buf_free(&s->corrupt);
	sorter_check_free(&s->check);
	free(s);
}
