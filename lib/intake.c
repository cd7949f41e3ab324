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

/* ---- names ---- */

static int
add_name(struct intake *in, const char *text, const struct maildir_name *proof)
{
	struct intake_name *names;
	size_t cap = in->cap > 0 ? 2 * in->cap : 64;

	if (in->n == in->cap) {
		names = realloc(in->names, cap * sizeof(*names));
		if (names == NULL)
			return -1;
		in->names = names;
		in->cap = cap;
	}
	in->names[in->n].proof = *proof;
	strcpy(in->names[in->n++].name, text);
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
sort(struct intake *in, int (*order)(const void *, const void *))
{
	if (in->n > 1)
		qsort(in->names, in->n, sizeof(*in->names), order);
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
		if (add_name(in, e->d_name, &name) == -1)
			return -1;
		if (in->n == (size_t)2 * INTAKE_NAMES) {
			sort(in, by_name);
			in->n = INTAKE_NAMES;
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

	in->n = in->at = 0;
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
	sort(in, by_name);
	if (in->n > INTAKE_NAMES)
		in->n = INTAKE_NAMES;
	return rc == -1 ? -1 : 0;
}

/* ---- what was left ---- */

static int
by_number(const void *a, const void *b)
{
	const struct maildir_name *x = &((const struct intake_name *)a)->proof;
	const struct maildir_name *y = &((const struct intake_name *)b)->proof;

	if (x->run != y->run)
		return x->run < y->run ? -1 : 1;
	return (x->first > y->first) - (x->first < y->first);
}

/* Sorted by runs: the one whose first file is older goes first. */
static void
order_runs(struct intake *in)
{
	size_t i, j, n;

	for (i = 0; i < in->n; i = n) {
		for (n = i; n < in->n &&
		     in->names[n].proof.run == in->names[i].proof.run; n++)
			continue;
		for (j = i; j < n; j++)
			in->names[j].proof.time = in->names[i].proof.time;
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

static int
take_back(struct intake *in, const char *text)
{
	struct maildir_name name;

	if (!maildir_parse(text, &name))
		return put_aside(in, "cur", text,
		    "this is no name of the spool's");
	if (name.run != 0)
		return add_name(in, text, &name);
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
	sort(in, by_number);
	order_runs(in);
	sort(in, by_run);
	in->left = in->n;
	return rc;
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
next_batch(struct intake *in, struct batch **batch)
{
	const struct intake_name *name = &in->names[in->at];
	int rc;

	*batch = NULL;
	if (in->left > 0) {
		rc = read_left(in, name, batch);
		if (rc != -1)
			in->left--;
	} else {
		rc = read_batch(in, "new", name, batch);
		if (*batch != NULL && (rc = number(in, *batch)) != 1)
			batch_free(*batch);
	}
	if (rc != -1)
		in->at++;
	return rc;
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
	    (in->left == 0 || sync_cur(in) == 0))
		return 0;
	intake_close(in);
	return -1;
}

void
intake_close(struct intake *in)
{
	free(in->names);
	in->names = NULL;
	in->n = in->cap = in->at = in->left = 0;
}

int
intake_take(struct intake *in, size_t max_bytes, size_t max_files,
    struct batch **list)
{
	struct batch **end = list;
	bool new = in->left == 0;
	size_t bytes = 0, files = 0;
	uint64_t run = 0;
	int rc = 0;

	*list = NULL;
	if (in->at == in->n && look(in) == -1)
		return -1;
	while (in->at < in->n && bytes < max_bytes && files < max_files &&
	    new == (in->left == 0) &&
	    (new || run == 0 || in->names[in->at].proof.run == run)) {
		if ((rc = next_batch(in, end)) == -1)
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
	if (rc == -1 && *list == NULL)
		return -1;
	if (*list == NULL && in->stuck != 0) {
		errno = in->stuck;
		return -1;
	}
	if (new && *list != NULL && sync_cur(in) == -1) {
		batches_free(*list);
		*list = NULL;
		return -1;
	}
	return 0;
}

int
intake_done(struct intake *in, const struct batch *b)
{
	char taken[MAILDIR_NAME], path[PATH_MAX];

	name_taken(taken, b);
	if (stage_path(path, in, "cur", taken) == -1)
		return -1;
	return unlinkat(in->dir, path, 0) == 0 || errno == ENOENT ? 0 : -1;
}
