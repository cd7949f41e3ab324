#include "intake.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "file.h"
#include "spool.h"

#define NAMESAKES 10000 /* in corrupt/, before we give up */
#define NUMBER_MAX ((INT64_C(1) << 53) - 1) /* that topics take as a sequence */

struct intake_name {
	struct maildir_name proof;
	char name[MAILDIR_NAME]; /* as it stands in its directory */
};

/* path/stage/name */
static int
stage_path(char out[PATH_MAX], const struct intake *in, const char *stage,
    const char *name)
{
	if (snprintf(out, PATH_MAX, "%s/%s%s%s", in->path, stage,
	    *name == '\0' ? "" : "/", name) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

static int
move(const struct intake *in, const char *from, const char *name,
    const char *to, const char *new_name)
{
	char old[PATH_MAX], new[PATH_MAX];

	if (stage_path(old, in, from, name) == -1 ||
	    stage_path(new, in, to, new_name) == -1)
		return -1;
	return renameat2(in->dir, old, in->dir, new, RENAME_NOREPLACE);
}

static int
sync_cur(const struct intake *in)
{
	char path[PATH_MAX];

	if (stage_path(path, in, "cur", "") == 0 &&
	    spool_sync_dir(in->dir, path) == 0)
		return 0;
	errno = EIO;
	return -1;
}

/*
 * Out of the way, under a name that is free there. What cannot be moved is passed
 * by and met again, so it keeps nothing else waiting; intake_take tells of it
 * when there is nothing else.
 */
static int
put_aside(struct intake *in, const char *stage, const char *name,
    const char *why)
{
	char as[NAME_MAX + 1];
	int rc, i = 1;

	snprintf(as, sizeof(as), "%s", name);
	while ((rc = move(in, stage, name, "corrupt", as)) == -1 &&
	    errno == EEXIST && i < NAMESAKES)
		snprintf(as, sizeof(as), "%.240s.%d", name, ++i);
	if (rc == 0)
		in->corrupt(as, why, in->arg);
	else if (errno != ENOENT)
		in->stuck = errno;
	return 0;
}

static int
forget(const struct intake *in, const char *name)
{
	char path[PATH_MAX];

	if (stage_path(path, in, "cur", name) == -1)
		return -1;
	return unlinkat(in->dir, path, 0) == 0 || errno == ENOENT ? 0 : -1;
}

/* ---- names ---- */

static int
add_name(struct intake_names *to, const char *text,
    const struct maildir_name *proof)
{
	struct intake_name *name;
	size_t cap = to->cap > 0 ? 2 * to->cap : 64;

	if (to->n == to->cap) {
		name = realloc(to->name, cap * sizeof(*name));
		if (name == NULL)
			return -1;
		to->name = name;
		to->cap = cap;
	}
	to->name[to->n].proof = *proof;
	strcpy(to->name[to->n++].name, text);
	return 0;
}

static int
by_name(const void *a, const void *b)
{
	const struct intake_name *x = a, *y = b;
	int order = maildir_order(&x->proof, &y->proof);

	return order != 0 ? order : strcmp(x->name, y->name);
}

static void
sort(struct intake_names *names, int (*order)(const void *, const void *))
{
	if (names->n > 1)
		qsort(names->name, names->n, sizeof(*names->name), order);
}

/*
 * While we read the directory a file may come that we pass by, and one behind it
 * that we see. So look twice: what is not above the highest name of the first
 * time was there before the second began.
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
			if (put_aside(in, "new", e->d_name,
			    "this is no name of the spool's") == -1)
				return -1;
			continue;
		}
		if (maildir_order(&name, high) > 0)
			continue;
		if (add_name(&in->new, e->d_name, &name) == -1)
			return -1;
		if (in->new.n == (size_t)2 * INTAKE_NAMES) {
			sort(&in->new, by_name);
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
	if (stage_path(path, in, "new", "") == -1 ||
	    (dir = file_opendir(in->dir, path, 0)) == NULL)
		return -1;
	rc = highest(dir, &high);
	if (rc > 0)
		rc = read_names(in, dir, &high);
	error = errno;
	closedir(dir);
	errno = error;
	sort(&in->new, by_name);
	if (in->new.n > INTAKE_NAMES)
		in->new.n = INTAKE_NAMES;
	return rc == -1 ? -1 : 0;
}

/* ---- files ---- */

/* Its bytes, or NULL: `why` when it is not whole, else errno. */
static char *
read_whole(int fd, const struct maildir_name *proof, const char **why)
{
	struct stat st;
	char *text;
	ssize_t n;

	*why = NULL;
	if (fstat(fd, &st) == -1)
		return NULL;
	if (!S_ISREG(st.st_mode))
		*why = "it is not a file";
	else if ((uint64_t)st.st_size != proof->bytes)
		*why = "it has more or fewer bytes than its name says";
	else if (st.st_size > INTAKE_FILE_MAX)
		*why = "it has more than 64 MiB";
	if (*why != NULL ||
	    (text = malloc((size_t)st.st_size + 1)) == NULL)
		return NULL;
	n = file_pread(fd, text, (size_t)st.st_size, 0);
	if (n != -1 && !maildir_whole(proof, text, (size_t)n))
		*why = "its lines or its checksum are not what its name says";
	if (n == -1 || *why != NULL) {
		free(text);
		return NULL;
	}
	return text;
}

static struct batch *
make_batch(const struct intake_name *from, char *text)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->text = text;
	b->proof = from->proof;
	snprintf(b->name, sizeof(b->name), "%.*s",
	    (int)strcspn(from->name, ":"), from->name);
	b->run = from->proof.run;
	b->first = from->proof.first;
	return b;
}

/* 1 and a batch; 0: it is gone, or was put aside; -1 and errno. */
static int
read_batch(struct intake *in, const char *stage,
    const struct intake_name *name, struct batch **batch)
{
	char path[PATH_MAX], *text;
	const char *why;
	int fd;

	if (stage_path(path, in, stage, name->name) == -1)
		return -1;
	fd = openat(in->dir, path,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd == -1 && errno == ENOENT)
		return 0;
	if (fd == -1 && (errno == EACCES || errno == EPERM))
		return put_aside(in, stage, name->name, "it may not be read");
	if (fd == -1 && (errno == ELOOP || errno == ENXIO))
		return put_aside(in, stage, name->name, "it is not a file");
	if (fd == -1)
		return -1;
	text = read_whole(fd, &name->proof, &why);
	if (file_close(fd, text == NULL ? -1 : 0) == -1 && why == NULL) {
		free(text);
		return -1;
	}
	if (text == NULL)
		return put_aside(in, stage, name->name, why);
	if ((*batch = make_batch(name, text)) != NULL)
		return 1;
	free(text);
	return -1;
}

/* ---- parts ---- */

/* Where line `number` of a batch begins; NULL: it has none. */
static const char *
find_line(const struct batch *b, uint64_t number)
{
	const char *p = b->text, *end = p + b->proof.bytes;
	uint64_t at = b->first;

	for (; at < number && p < end; at++)
		p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
	return p < end ? p : NULL;
}

/* Are these the very lines that the other one has under their numbers? */
static bool
is_part(const struct batch *part, const struct batch *whole)
{
	const char *p = find_line(whole, part->first);

	return p != NULL && part->proof.bytes <=
	    whole->proof.bytes - (uint64_t)(p - whole->text) &&
	    memcmp(p, part->text, part->proof.bytes) == 0;
}

static bool
within(const struct maildir_name *part, const struct maildir_name *whole)
{
	return part->run == whole->run && part->lines < whole->lines &&
	    part->first >= whole->first &&
	    part->first - whole->first <= whole->lines - part->lines;
}

/* 1: it was one, and is gone. */
static int
drop_part(struct intake *in, const struct intake_name *name,
    const struct batch *whole)
{
	struct batch *part = NULL;
	int rc = read_batch(in, "cur", name, &part);

	if (rc != 1)
		return rc;
	rc = is_part(part, whole) ? 1 : 0;
	batch_free(part);
	return rc == 1 && forget(in, name->name) == -1 ? -1 : rc;
}

/* Files behind `at` that it was made of. */
static int
drop_parts_of(struct intake *in, size_t at)
{
	struct intake_name *name = in->cur.name;
	struct batch *whole = NULL;
	size_t i, kept = at + 1;
	int rc;

	if (at + 1 >= in->cur.n ||
	    !within(&name[at + 1].proof, &name[at].proof))
		return 0;
	if ((rc = read_batch(in, "cur", &name[at], &whole)) != 1)
		return rc;
	for (i = at + 1, rc = 0; i < in->cur.n; i++) {
		rc = within(&name[i].proof, &name[at].proof) ?
		    drop_part(in, &name[i], whole) : 0;
		if (rc == -1)
			break;
		if (rc == 0)
			name[kept++] = name[i];
	}
	for (; i < in->cur.n; i++)
		name[kept++] = name[i];
	in->cur.n = kept;
	batch_free(whole);
	return rc == -1 ? -1 : 0;
}

/* A crash has left parts of what was gathered. */
static int
drop_parts(struct intake *in)
{
	for (size_t i = 0; i < in->cur.n; i++)
		if (drop_parts_of(in, i) == -1)
			return -1;
	return 0;
}

/* ---- what was left ---- */

static int
by_number(const void *a, const void *b)
{
	const struct maildir_name *x = &((const struct intake_name *)a)->proof;
	const struct maildir_name *y = &((const struct intake_name *)b)->proof;

	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	/* what was gathered stands before its parts */
	return (x->lines < y->lines) - (x->lines > y->lines);
}

/* Sorted by runs: the one whose first file is older goes first. */
static void
order_runs(struct intake *in)
{
	struct intake_name *name = in->cur.name;
	size_t i, j, n;

	for (i = 0; i < in->cur.n; i = n) {
		for (n = i; n < in->cur.n &&
		     name[n].proof.run == name[i].proof.run; n++)
			continue;
		for (j = i; j < n; j++)
			name[j].proof.time = name[i].proof.time;
	}
}

static int
by_run(const void *a, const void *b)
{
	const struct maildir_name *x = &((const struct intake_name *)a)->proof;
	const struct maildir_name *y = &((const struct intake_name *)b)->proof;

	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	return by_number(a, b);
}

/* Of write_joined, which a crash has cut short. */
static bool
is_unfinished(const char *text)
{
	char name[MAILDIR_NAME];
	struct maildir_name proof;
	size_t len = strlen(text);

	if (len < 4 || len - 4 >= sizeof(name) ||
	    strcmp(text + len - 4, ".tmp") != 0)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)len - 4, text);
	return maildir_parse(name, &proof) && proof.run != 0;
}

static int
take_back(struct intake *in, const char *text)
{
	struct maildir_name name;

	if (is_unfinished(text))
		return forget(in, text);
	if (!maildir_parse(text, &name))
		return put_aside(in, "cur", text,
		    "this is no name of the spool's");
	if (name.run != 0)
		return add_name(&in->cur, text, &name);
	if (move(in, "cur", text, "new", text) == 0 || errno == ENOENT)
		return 0;
	return errno != EEXIST ? -1 : put_aside(in, "cur", text,
	    "there is one of its name in new/");
}

static int
find_left(struct intake *in)
{
	char path[PATH_MAX];
	struct dirent *e;
	int error, rc = 0;
	DIR *dir;

	if (stage_path(path, in, "cur", "") == -1 ||
	    (dir = file_opendir(in->dir, path, 0)) == NULL)
		return -1;
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0)
		if (e->d_name[0] != '.' && take_back(in, e->d_name) == -1)
			break;
	if (errno != 0)
		rc = -1;
	error = errno;
	closedir(dir);
	errno = error;
	sort(&in->cur, by_number);
	if (rc == 0)
		rc = drop_parts(in);
	order_runs(in);
	sort(&in->cur, by_run);
	return rc;
}

/* ---- taking ---- */

static void
name_taken(char out[MAILDIR_NAME], const struct batch *b)
{
	snprintf(out, MAILDIR_NAME, "%.150s:%016" PRIx64 ".%" PRIu64, b->name,
	    b->run, b->first);
}

/* From new/ to cur/, with numbers. 1; 0: it is gone; -1 and errno. */
static int
number(struct intake *in, struct batch *b)
{
	char taken[MAILDIR_NAME];

	b->run = in->run;
	b->first = in->number;
	name_taken(taken, b);
	if (move(in, "new", b->name, "cur", taken) == -1)
		return errno == ENOENT ? 0 : -1;
	in->number += b->proof.lines;
	return 1;
}

/* Of a file that was left. Lines with numbers that others have, or that none can
 * have, would be taken for some that have arrived. */
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
	int rc = read_batch(in, "cur", name, batch);

	if (rc != 1 || is_numbered(in, *batch))
		return rc;
	batch_free(*batch);
	return put_aside(in, "cur", name->name,
	    "its lines cannot have these numbers");
}

static int
next_batch(struct intake *in, struct intake_names *from, struct batch **batch)
{
	const struct intake_name *name = &from->name[from->at];
	int rc;

	*batch = NULL;
	if (from == &in->cur) {
		rc = read_left(in, name, batch);
	} else {
		rc = read_batch(in, "new", name, batch);
		if (*batch != NULL && (rc = number(in, *batch)) != 1)
			batch_free(*batch);
	}
	if (rc != -1)
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
		if (rc == 0)
			continue;
		bytes += (*end)->proof.bytes;
		files++;
		run = (*end)->run;
		end = &(*end)->next;
	}
	*end = NULL;
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
	if (*list == NULL || sync_cur(in) == 0)
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
	name_taken(taken, b);
	return add_name(&in->cur, taken, &proof);
}

/* All of it is on disk, whole and safe. */
static int
write_joined(struct intake *in, const struct batch *b)
{
	char taken[MAILDIR_NAME], path[PATH_MAX];

	name_taken(taken, b);
	if (stage_path(path, in, "cur", taken) == -1)
		return -1;
	return spool_replace(in->dir, path, b->text, b->proof.bytes, true);
}

/*
 * They have numbers: when they cannot be kept in their turn, none behind them may
 * be taken. When the large file cannot be written, as there is no room, they are
 * kept as they are.
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

void
batch_free(struct batch *b)
{
	free(b->text);
	free(b);
}

void
batches_free(struct batch *b)
{
	struct batch *next;

	for (; b != NULL; b = next) {
		next = b->next;
		batch_free(b);
	}
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
	if (maildir_make(dir, path) == 0 && find_left(in) == 0 &&
	    (in->cur.n == 0 || sync_cur(in) == 0))
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

	name_taken(taken, b);
	return forget(in, taken);
}
