#include "intake_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "spool.h"

#define NAMESAKES 10000 /* in corrupt/, before we give up */

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

/* Takes ownership of the text. */
static struct batch *
make_batch(const struct intake_name *from, char *text)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL) {
		free(text);
		return NULL;
	}
	b->text = text;
	b->proof = from->proof;
	snprintf(b->name, sizeof(b->name), "%.*s",
	    (int)strcspn(from->name, ":"), from->name);
	b->run = from->proof.run;
	b->first = from->proof.first;
	return b;
}

/* Why a file is not to be waited for; NULL: that may pass. */
static const char *
unreadable(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return "it may not be read";
	case ELOOP:
	case ENXIO:
		return "it is not a file";
	case EIO:
		return "it cannot be read";
	}
	return NULL;
}

int
intake_path(char out[PATH_MAX], const struct intake *in, const char *stage,
    const char *name)
{
	if (snprintf(out, PATH_MAX, "%s/%s%s%s", in->path, stage,
	    *name == '\0' ? "" : "/", name) < PATH_MAX)
		return 0;
	errno = ENAMETOOLONG;
	return -1;
}

int
intake_move(const struct intake *in, const char *from, const char *name,
    const char *to, const char *new_name)
{
	char old[PATH_MAX], new[PATH_MAX];

	if (intake_path(old, in, from, name) == -1 ||
	    intake_path(new, in, to, new_name) == -1)
		return -1;
	return renameat2(in->dir, old, in->dir, new, RENAME_NOREPLACE);
}

int
intake_forget(const struct intake *in, const char *name)
{
	char path[PATH_MAX];

	if (intake_path(path, in, "cur", name) == -1)
		return -1;
	return unlinkat(in->dir, path, 0) == 0 || errno == ENOENT ? 0 : -1;
}

int
intake_sync(const struct intake *in)
{
	char path[PATH_MAX];

	if (intake_path(path, in, "cur", "") == 0 &&
	    spool_sync_dir(in->dir, path) == 0)
		return 0;
	errno = EIO;
	return -1;
}

void
intake_put_aside(struct intake *in, const char *stage, const char *name,
    const char *why)
{
	char as[NAME_MAX + 1];
	int rc, i = 1;

	snprintf(as, sizeof(as), "%s", name);
	while ((rc = intake_move(in, stage, name, "corrupt", as)) == -1 &&
	    errno == EEXIST && i < NAMESAKES)
		snprintf(as, sizeof(as), "%.240s.%d", name, ++i);
	if (rc == 0)
		in->corrupt(as, why, in->arg);
	else if (errno != ENOENT)
		in->stuck = errno;
}

int
intake_add(struct intake_names *to, const char *text,
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

void
intake_sort(struct intake_names *names,
    int (*order)(const void *, const void *))
{
	if (names->n > 1)
		qsort(names->name, names->n, sizeof(*names->name), order);
}

int
intake_read(struct intake *in, const char *stage,
    const struct intake_name *name, struct batch **batch)
{
	char path[PATH_MAX], *text = NULL;
	const char *why = NULL;
	int fd;

	*batch = NULL;
	if (intake_path(path, in, stage, name->name) == -1)
		return -1;
	fd = openat(in->dir, path,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd != -1) {
		text = read_whole(fd, &name->proof, &why);
		file_close(fd, text == NULL ? -1 : 0);
	}
	if (text == NULL && why == NULL) {
		if (errno == ENOENT)
			return 0;
		if ((why = unreadable(errno)) == NULL)
			return -1;
	}
	if (text == NULL)
		intake_put_aside(in, stage, name->name, why);
	else if ((*batch = make_batch(name, text)) == NULL)
		return -1;
	return 0;
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
