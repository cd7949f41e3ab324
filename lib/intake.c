#include "intake_files.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "crc32c.h"
#include "file.h"
#include "spool.h"

#define NUMBER_MAX ((INT64_C(1) << 53) - 1) /* that topics take as a sequence */

/* ---- names ---- */

static int
by_name(const void *a, const void *b)
{
	const struct intake_name *x = a, *y = b;
	int order = maildir_order(&x->proof, &y->proof);

	return order != 0 ? order : strcmp(x->name, y->name);
}

/*
 * While we read the directory a file may come that we pass by, and one behind
 * it that we see. So look twice: what is not above the highest name of the
 * first time was there before the second began.
 */
static int
highest(DIR *dir, struct maildir_name *high)
{
	struct maildir_name name;
	struct dirent *e;
	int n = 0;

	errno = 0;
	while ((e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (!maildir_parse(e->d_name, &name))
			n++;
		else if (n++ == 0 || maildir_order(high, &name) < 0)
			*high = name;
	}
	rewinddir(dir);
	return errno == 0 ? n : -1;
}

/* Of more than INTAKE_NAMES the first ones are kept. */
static int
read_names(struct intake *in, DIR *dir, const struct maildir_name *high)
{
	struct maildir_name name;
	struct dirent *e;

	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		if (e->d_name[0] == '.')
			continue;
		if (!maildir_parse(e->d_name, &name) || name.run != 0) {
			intake_put_aside(in, "new", e->d_name,
			    "this is no name of the spool's");
			continue;
		}
		if (maildir_order(&name, high) > 0)
			continue;
		if (intake_add(&in->new, e->d_name, &name) == -1)
			return -1;
		if (in->new.n == (size_t)2 * INTAKE_NAMES) {
			intake_sort(&in->new, by_name);
			in->new.n = INTAKE_NAMES;
		}
	}
	return errno == 0 ? 0 : -1;
}

static int
look(struct intake *in)
{
	struct maildir_name high = { 0 };
	char path[PATH_MAX];
	int error, rc;
	DIR *dir;

	in->new.n = in->new.at = 0;
	in->stuck = 0;
	if (intake_path(path, in, "new", "") == -1 ||
	    (dir = file_opendir(in->dir, path, 0)) == NULL)
		return -1;
	rc = highest(dir, &high);
	if (rc > 0)
		rc = read_names(in, dir, &high);
	error = errno;
	closedir(dir);
	errno = error;
	intake_sort(&in->new, by_name);
	if (in->new.n > INTAKE_NAMES)
		in->new.n = INTAKE_NAMES;
	return rc == -1 ? -1 : 0;
}

/* ---- taking ---- */

void
batch_name(const struct batch *b, char name[MAILDIR_NAME])
{
	/* there is room for all of it: maildir.c */
	snprintf(name, MAILDIR_NAME, "%.150s:%016" PRIx64 ".%" PRIu64, b->name,
	    b->run, b->first);
}

/* A file of new/ goes to cur/, with numbers. */
static int
number(struct intake *in, const struct intake_name *name,
    struct batch **batch)
{
	char taken[MAILDIR_NAME];
	struct batch *b;

	if (intake_read(in, "new", name, batch) == -1)
		return -1;
	if ((b = *batch) == NULL)
		return 0;
	b->run = in->run;
	b->first = in->number;
	batch_name(b, taken);
	if (intake_move(in, "new", b->name, "cur", taken) == 0) {
		in->number += b->proof.lines;
		return 0;
	}
	*batch = NULL;
	batch_free(b);
	return errno == ENOENT ? 0 : -1;
}

/* Lines with numbers that others have, or that none can have, would be taken
 * for some that have arrived. */
static bool
is_numbered(struct intake *in, const struct batch *b)
{
	if (b->first > NUMBER_MAX - b->proof.lines ||
	    (b->run == in->left_run && b->first < in->left_end))
		return false;
	in->left_run = b->run;
	in->left_end = b->first + b->proof.lines;
	return true;
}

static int
read_left(struct intake *in, const struct intake_name *name,
    struct batch **batch)
{
	if (intake_read(in, "cur", name, batch) == -1)
		return -1;
	if (*batch == NULL || is_numbered(in, *batch))
		return 0;
	batch_free(*batch);
	*batch = NULL;
	intake_put_aside(in, "cur", name->name,
	    "its lines cannot have these numbers");
	return 0;
}

/* NULL: it is gone, or was put aside. */
static int
next_batch(struct intake *in, struct intake_names *from, struct batch **batch)
{
	const struct intake_name *name = &from->name[from->at];
	int rc = from == &in->cur ? read_left(in, name, batch) :
	    number(in, name, batch);

	if (rc == 0)
		from->at++;
	return rc;
}

/* The first of them, of one run. 0; -1 and errno, and none. */
static int
take(struct intake *in, struct intake_names *from, size_t max_bytes,
    size_t max_files, struct batch **list)
{
	struct batch **end = list;
	size_t bytes = 0, files = 0;
	uint64_t run = 0;
	int rc = 0;

	while (from->at < from->n && bytes < max_bytes && files < max_files &&
	    (run == 0 || from == &in->new ||
	    from->name[from->at].proof.run == run)) {
		if ((rc = next_batch(in, from, end)) == -1)
			break;
		if (*end == NULL)
			continue;
		bytes += (*end)->proof.bytes;
		files++;
		run = (*end)->run;
		end = &(*end)->next;
	}
	/* those before the failure are taken */
	return rc == -1 && *list == NULL ? -1 : 0;
}

/* Files of new/, which have their numbers for good when this returns. */
static int
take_new(struct intake *in, size_t max_bytes, size_t max_files,
    struct batch **list)
{
	if (take(in, &in->new, max_bytes, max_files, list) == -1)
		return -1;
	if (*list == NULL || intake_sync(in) == 0)
		return 0;
	batches_free(*list);
	*list = NULL;
	errno = EIO;
	return -1;
}

/* ---- gathering ---- */

/* Is it less than they are, and not too large to be read? */
static bool
can_join(const struct batch *list)
{
	uint64_t bytes = 0;

	for (const struct batch *p = list; p != NULL; p = p->next)
		bytes += p->proof.bytes;
	return list->next != NULL && bytes <= INTAKE_FILE_MAX;
}

/* Their text as one; the first one's name, with another proof. */
static struct batch *
join(const struct batch *list)
{
	struct batch *b = calloc(1, sizeof(*b));
	size_t at = 0;

	if (b == NULL)
		return NULL;
	b->proof = list->proof;
	b->run = list->run;
	b->first = list->first;
	b->proof.bytes = b->proof.lines = 0;
	for (const struct batch *p = list; p != NULL; p = p->next) {
		b->proof.bytes += p->proof.bytes;
		b->proof.lines += p->proof.lines;
	}
	if ((b->text = malloc(b->proof.bytes)) == NULL) {
		free(b);
		return NULL;
	}
	for (const struct batch *p = list; p != NULL; p = p->next) {
		memcpy(b->text + at, p->text, p->proof.bytes);
		at += p->proof.bytes;
	}
	b->proof.crc = crc32c(0, b->text, b->proof.bytes);
	snprintf(b->name, sizeof(b->name), "%.*s,S=%" PRIu64 ",N=%" PRIu64
	    ",C=%08" PRIx32, (int)strcspn(list->name, ","), list->name,
	    b->proof.bytes, b->proof.lines, b->proof.crc);
	return b;
}

/* A batch, as its name in cur/, behind those that are there. */
static int
keep(struct intake *in, const struct batch *b)
{
	char taken[MAILDIR_NAME];
	struct maildir_name proof = b->proof;

	proof.run = b->run;
	proof.first = b->first;
	batch_name(b, taken);
	return intake_add(&in->cur, taken, &proof);
}

/* All of it is on disk, whole and safe. */
static int
write_joined(struct intake *in, const struct batch *b)
{
	char taken[MAILDIR_NAME], path[PATH_MAX];

	batch_name(b, taken);
	if (intake_path(path, in, "cur", taken) == -1)
		return -1;
	return spool_replace(in->dir, path, b->text, b->proof.bytes, true);
}

/*
 * They have numbers: when they cannot be kept in their turn, none behind them
 * may be taken. When there is no room for the large file, they are kept as they
 * are; another failure is that of a sync.
 */
static int
gather(struct intake *in, const struct batch *list)
{
	struct batch *joined = can_join(list) ? join(list) : NULL;
	int rc = 0;

	if (joined != NULL && write_joined(in, joined) == 0) {
		rc = keep(in, joined);
		/* a part that stays is dropped by the next start */
		for (; rc == 0 && list != NULL; list = list->next)
			intake_done(in, list);
	} else if (joined != NULL && !file_no_room(errno)) {
		rc = -1;
	} else {
		for (; rc == 0 && list != NULL; list = list->next)
			rc = keep(in, list);
	}
	batches_free(joined);
	if (rc == -1)
		errno = EIO;
	return rc;
}

static size_t
count(const struct batch *list)
{
	size_t n = 0;

	for (; list != NULL; list = list->next)
		n++;
	return n;
}

int
intake_open(struct intake *in, int dir, const char *path,
    void (*corrupt)(const char *name, const char *why, void *), void *arg)
{
	*in = (struct intake){ .dir = dir, .path = path, .number = 1,
		.corrupt = corrupt, .arg = arg };
	while (in->run == 0)
		if (getrandom(&in->run, sizeof(in->run), 0) != sizeof(in->run))
			return -1;
	if (maildir_make(dir, path) == 0 && intake_find_left(in) == 0 &&
	    (in->cur.n == 0 || intake_sync(in) == 0))
		return 0;
	intake_close(in);
	return -1;
}

void
intake_close(struct intake *in)
{
	free(in->cur.name);
	free(in->new.name);
	in->cur = in->new = (struct intake_names){ .name = NULL };
}

int
intake_take(struct intake *in, size_t max_bytes, size_t max_files,
    struct batch **list)
{
	*list = NULL;
	if (take(in, &in->cur, max_bytes, max_files, list) == -1)
		return -1;
	if (*list != NULL || in->cur.at < in->cur.n)
		return 0;
	in->cur.n = in->cur.at = 0;
	if (in->new.at == in->new.n && look(in) == -1)
		return -1;
	if (take_new(in, max_bytes, max_files, list) == -1)
		return -1;
	if (*list == NULL && in->stuck != 0) {
		errno = in->stuck;
		return -1;
	}
	return 0;
}

int
intake_gather(struct intake *in, size_t max_bytes, size_t max_files)
{
	struct batch *list = NULL;
	size_t n;
	int rc = 0;

	if (in->new.at == in->new.n && look(in) == -1)
		return -1;
	if (in->new.n - in->new.at < INTAKE_GATHER) {
		in->new.n = in->new.at = 0; /* more may come */
		return 0;
	}
	if (take_new(in, max_bytes, max_files, &list) == -1)
		return -1;
	if ((n = count(list)) > 0)
		rc = gather(in, list);
	batches_free(list);
	return rc == -1 ? -1 : (int)n;
}

int
intake_done(struct intake *in, const struct batch *b)
{
	char taken[MAILDIR_NAME];

	batch_name(b, taken);
	return intake_forget(in, taken);
}
