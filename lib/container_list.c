/* container_dir.h: the blobs below a directory, in order */
#include "container_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "buf.h"
#include "file.h"

/* The names in one directory. */
struct names {
	struct buf text;
	size_t *at;
	size_t n;
};

struct walk {
	const struct container_dir *dir;
	const char *prefix;
	int (*fn)(const struct blob_entry *, void *);
	void *arg;
	struct fault *fault; /* of the first that could not be read */
	bool unread;
	char path[BLOB_NAME + 1]; /* of where it is */
	size_t len;
};

/* ---- order ---- */

static bool
is_number(const char *s)
{
	return *s != '\0' && s[strspn(s, "0123456789")] == '\0';
}

/* Numbers by their value, and before all others. */
static int
compare(const void *a, const void *b, void *text)
{
	const char *s = (const char *)text + *(const size_t *)a, *ds = s;
	const char *t = (const char *)text + *(const size_t *)b, *dt = t;
	bool number = is_number(s);
	size_t n, m;
	int order;

	if (number != is_number(t))
		return number ? -1 : 1;
	if (number) {
		ds += strspn(s, "0");
		dt += strspn(t, "0");
		n = strlen(ds);
		m = strlen(dt);
		if (n != m)
			return n < m ? -1 : 1;
		if ((order = strcmp(ds, dt)) != 0)
			return order;
	}
	return strcmp(s, t);
}

/* ---- a directory ---- */

static int
add_name(struct names *names, const char *name)
{
	size_t len = strlen(name), *at;

	if (!container_dir_part(name, len))
		return 0;
	if ((at = array_room(names->at, names->n, sizeof(*at))) == NULL)
		return -1;
	names->at = at;
	at[names->n++] = names->text.len;
	buf_add(&names->text, name, len + 1);
	return names->text.bad ? -1 : 0;
}

static int
read_names(struct names *names, int fd)
{
	DIR *d = file_opendir(fd, ".", 0);
	struct dirent *e;
	int rc = 0, error;

	if (d == NULL)
		return -1;
	while (rc == 0 && (errno = 0, e = readdir(d)) != NULL)
		if ((rc = add_name(names, e->d_name)) == -1)
			errno = ENOMEM;
	error = errno;
	closedir(d);
	errno = error;
	if (error != 0)
		return -1;
	if (names->n > 1)
		qsort_r(names->at, names->n, sizeof(*names->at), compare,
		    buf_data(&names->text));
	return 0;
}

/* ---- the walk ---- */

static int visit(struct walk *, int fd);

/* The rest is told of all the same. */
static int
unread(struct walk *w)
{
	if (!w->unread)
		container_dir_failed(w->dir, w->path, w->fault);
	w->unread = true;
	return 0;
}

/* Can there be names with the prefix in the directory that the walk is at? */
static bool
leads_on(const struct walk *w)
{
	size_t n = strnlen(w->prefix, w->len + 1);

	return n <= w->len ? strncmp(w->path, w->prefix, n) == 0 :
	    strncmp(w->path, w->prefix, w->len) == 0 &&
	    w->prefix[w->len] == '/';
}

static int
descend(struct walk *w, int fd, const char *name)
{
	int sub;

	if (!leads_on(w))
		return 0;
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW |
	    O_CLOEXEC);
	if (sub != -1)
		return visit(w, sub);
	/* it has gone meanwhile, or is something else now */
	return errno == ENOENT || errno == ENOTDIR ? 0 : unread(w);
}

static int
tell(const struct walk *w, const struct stat *st)
{
	char etag[BLOB_ETAG];
	const struct blob_entry e = {
		.name = w->path,
		.size = (uint64_t)st->st_size,
		.modified = (int64_t)st->st_mtim.tv_sec * 1000000 +
		    st->st_mtim.tv_nsec / 1000,
		.etag = etag,
	};

	if (strncmp(w->path, w->prefix, strlen(w->prefix)) != 0)
		return 0;
	container_dir_etag(etag, st);
	return w->fn(&e, w->arg);
}

static int
visit_one(struct walk *w, int fd, const char *name)
{
	struct stat st;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return errno == ENOENT ? 0 : unread(w);
	if (S_ISDIR(st.st_mode))
		return descend(w, fd, name);
	return S_ISREG(st.st_mode) ? tell(w, &st) : 0;
}

/* All of a directory, which is closed then. What would have too long a name
 * cannot be a blob, and bounds how deep it goes. */
static int
visit(struct walk *w, int fd)
{
	struct names names = { .n = 0 };
	size_t len = w->len, n;
	const char *name;
	int rc = 0;

	if (read_names(&names, fd) == -1) {
		unread(w);
		names.n = 0;
	}
	for (size_t i = 0; rc == 0 && i < names.n; i++) {
		name = buf_data(&names.text) + names.at[i];
		n = strlen(name);
		if (n >= sizeof(w->path) - len - 1)
			continue;
		if (len > 0)
			w->path[w->len++] = '/';
		memcpy(w->path + w->len, name, n + 1);
		w->len += n;
		rc = visit_one(w, fd, name);
		w->path[w->len = len] = '\0';
	}
	buf_free(&names.text);
	free(names.at);
	close(fd);
	return rc;
}

int
container_dir_list(const struct container_dir *d, const char *prefix,
    int (*fn)(const struct blob_entry *, void *arg), void *arg,
    struct fault *f)
{
	struct walk w = {
		.dir = d, .prefix = prefix == NULL ? "" : prefix,
		.fn = fn, .arg = arg, .fault = f,
	};
	int fd = container_dir_open(d, f), rc;

	if (fd == -1)
		return -1;
	rc = visit(&w, fd);
	return rc == 0 && w.unread ? -1 : rc;
}
