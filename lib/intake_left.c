/* what earlier runs of an intake have left in cur/ */
#include "intake_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "file.h"

/* ---- parts of what was gathered ---- */

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
	struct batch *part;
	bool found;

	if (intake_read(in, "cur", name, &part) == -1)
		return -1;
	found = part != NULL && is_part(part, whole);
	batches_free(part);
	if (!found)
		return 0;
	return intake_forget(in, name->name) == -1 ? -1 : 1;
}

/* Files behind `at` that it was made of. */
static int
drop_parts_of(struct intake *in, size_t at)
{
	struct intake_name *name = in->cur.name;
	struct batch *whole;
	size_t i, kept = at + 1;
	int rc = 0;

	if (at + 1 >= in->cur.n ||
	    !within(&name[at + 1].proof, &name[at].proof))
		return 0;
	if (intake_read(in, "cur", &name[at], &whole) == -1)
		return -1;
	if (whole == NULL)
		return 0;
	for (i = at + 1; i < in->cur.n; i++) {
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

/* ---- names ---- */

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

/* Of intake_gather, which a crash has cut short. */
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
		return intake_forget(in, text);
	if (!maildir_parse(text, &name))
		intake_put_aside(in, "cur", text,
		    "this is no name of the spool's");
	else if (name.run != 0)
		return intake_add(&in->cur, text, &name);
	else if (intake_move(in, "cur", text, "new", text) == 0)
		return 0;
	else if (errno == EEXIST)
		intake_put_aside(in, "cur", text,
		    "there is one of its name in new/");
	else if (errno != ENOENT)
		return -1;
	return 0;
}

int
intake_find_left(struct intake *in)
{
	char path[PATH_MAX];
	struct dirent *e;
	int error, rc = 0;
	DIR *dir;

	if (intake_path(path, in, "cur", "") == -1 ||
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
	intake_sort(&in->cur, by_number);
	if (rc == 0)
		rc = drop_parts(in);
	order_runs(in);
	intake_sort(&in->cur, by_run);
	return rc;
}
