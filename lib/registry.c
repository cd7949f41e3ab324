#include "registry.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <tcbdb.h>
#include <unistd.h>

#include "buf.h"
#include "cabinet.h"
#include "changes.h"
#include "clock.h"
#include "file.h"
#include "json.h"
#include "spool.h"

#define DIR_NAME "namespace"
#define LOG_NAME "changes.ndjson"
#define INDEX_NAME "index.tcb"
#define NEW_NAME "index.tcb.new"

/*
 * Keys of our own begin with '!' and sort before all paths. The mark is a
 * struct changes_mark as text, behind the version of what is in the index; a
 * name is that of a client in lower case, and its value the client's path.
 */
#define MARK_KEY "!applied"
#define NAME_KEY "!name/"
#define FIRST_PATH "\""
#define VERSION "v2"

#define CLIENTS "clients/"

/* From so many changes on an index is copied, so that readers do not wait. */
#define BIG_TRANSACTION 4096

/* Bytes of lines formatted before they are written. */
#define WRITE_CHUNK (1024 * 1024)

/*
 * Two locks, so that readers hardly ever wait. The writers' lock is on
 * changes.ndjson, from open to close. The readers' lock is on the directory:
 * shared while an index is in use, exclusive only while it changes in place.
 *
 * The index changes under the name index.tcb.new: a crash leaves no index.tcb,
 * or the one from before, never half of one.
 */
struct registry {
	int dir;
	int log;
	bool write;
	TCBDB *index; /* NULL: not open */
	struct changes_mark mark;
	struct pending *pending;
	size_t npending, cap;
	TCMAP *by_path; /* path -> index in pending */
	jv namespace;   /* the resource that is asked for all the time */
	struct json json; /* of the client that is looked at */
	struct buf name, key, old_key; /* of clients */
};

struct pending {
	char *path;
	char *text; /* NULL: to be deleted */
	size_t len;
};

int
registry_create(int dir, struct fault *f)
{
	int fd;

	/* who can open it can lock it, and keep everybody else out */
	if (spool_mkdir(dir, DIR_NAME, 0711) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	fd = openat(dir, DIR_NAME "/" LOG_NAME,
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd == -1)
		return fault_errno(f, FAULT_INTERNAL, LOG_NAME);
	if (fsync(fd) == -1 || spool_sync_dir(dir, DIR_NAME) == -1) {
		fault_errno(f, FAULT_INTERNAL, LOG_NAME);
		close(fd);
		return -1;
	}
	close(fd);
	return 0;
}

/* The path by which Tokyo Cabinet reaches a file of ours. */
static void
index_path(const struct registry *r, const char *name, char path[64])
{
	snprintf(path, 64, "/proc/self/fd/%d/%s", r->dir, name);
}

/* The mark, when it fits the log; the log may have gone on since. */
static bool
index_mark(struct registry *r)
{
	struct changes_mark m = { 0 };
	uintmax_t offset, transaction, line;
	char *text, crc[8];
	struct stat st;
	bool ok;

	if ((text = tcbdbget2(r->index, MARK_KEY)) == NULL)
		return false;
	ok = sscanf(text, VERSION " %ju %ju %ju %8[0-9a-f]", &offset,
	    &transaction, &line, m.crc) == 4;
	free(text);
	if (!ok || fstat(r->log, &st) == -1 ||
	    offset > (uintmax_t)st.st_size || line > offset)
		return false;
	if (offset != 0 && (pread(r->log, crc, 8,
	    (off_t)(line + CHANGES_CRC_AT)) != 8 || memcmp(crc, m.crc, 8) != 0))
		return false;
	m.offset = offset;
	m.transaction = transaction;
	m.line = line;
	r->mark = m;
	return true;
}

static void
index_close(struct registry *r)
{
	if (r->index != NULL)
		tcbdbdel(r->index); /* closes, too */
	r->index = NULL;
}

/* Open the index to read from it; false: missing or broken. */
static bool
index_open(struct registry *r)
{
	char path[64];

	index_close(r);
	memset(&r->mark, 0, sizeof(r->mark));
	if (!cabinet_sound(r->dir, INDEX_NAME) ||
	    (r->index = tcbdbnew()) == NULL)
		return false;
	index_path(r, INDEX_NAME, path);
	/* some MB at most: a reader that rests keeps it */
	if (tcbdbsetcache(r->index, 64, 64) &&
	    tcbdbopen(r->index, path, BDBOREADER | BDBONOLCK) && index_mark(r))
		return true;
	index_close(r);
	return false;
}

static int
copy_file(int dir, const char *from, const char *to)
{
	int in, out, error;
	ssize_t n = -1;

	in = openat(dir, from, O_RDONLY | O_CLOEXEC);
	out = openat(dir, to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (in != -1 && out != -1)
		do
			n = copy_file_range(in, NULL, out, NULL, 1 << 26, 0);
		while (n > 0);
	error = errno;
	if (in != -1)
		close(in);
	if (out != -1 && close(out) == -1 && n == 0) {
		error = errno;
		n = -1;
	}
	errno = error;
	return n == 0 ? 0 : -1;
}

/* Name of the index while it changes: a fresh one, a copy, or the old one. */
static int
index_prepare(struct registry *r, bool copy)
{
	int fd;

	if (unlinkat(r->dir, NEW_NAME, 0) == -1 && errno != ENOENT)
		return -1;
	if (r->mark.offset == 0) {
		if (unlinkat(r->dir, INDEX_NAME, 0) == -1 && errno != ENOENT)
			return -1;
		/* Tokyo Cabinet would let everybody read it */
		fd = openat(r->dir, NEW_NAME,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		return fd == -1 ? -1 : close(fd);
	}
	if (copy)
		return copy_file(r->dir, INDEX_NAME, NEW_NAME);
	if (renameat(r->dir, INDEX_NAME, r->dir, NEW_NAME) == -1)
		return -1;
	return fsync(r->dir);
}

/* What has become of a change of the index. */
static int
index_trouble(const struct registry *r, struct fault *f)
{
	if (cabinet_lost())
		return fault_errno(f, errno == EIO ? FAULT_INTERNAL :
		    FAULT_TOO_MANY, INDEX_NAME);
	return fault_set(f, FAULT_INTERNAL, INDEX_NAME ": %s",
	    tcbdberrmsg(tcbdbecode(r->index)));
}

/*
 * Make the index ready for changes. Without `copy` no reader may be there. -1
 * and a fault.
 */
static int
index_begin(struct registry *r, bool copy, struct fault *f)
{
	char path[64];

	index_close(r);
	if (index_prepare(r, copy) == -1)
		return fault_errno(f, errno == EACCES ? FAULT_FORBIDDEN :
		    FAULT_INTERNAL, INDEX_NAME);
	index_path(r, NEW_NAME, path);
	if ((r->index = tcbdbnew()) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	/* 128 records a leaf: a cache of 256 leaves is some 30 MB */
	errno = 0;
	if (!tcbdbsetcache(r->index, 256, 512) || !tcbdbopen(r->index, path,
	    BDBOWRITER | BDBOCREAT | BDBONOLCK))
		return index_trouble(r, f);
	return 0;
}

/* The index now says what the log says up to the mark. */
static int
index_end(struct registry *r, struct fault *f)
{
	char text[128];

	snprintf(text, sizeof(text), VERSION " %ju %ju %ju %.8s",
	    (uintmax_t)r->mark.offset, (uintmax_t)r->mark.transaction,
	    (uintmax_t)r->mark.line,
	    r->mark.offset == 0 ? "00000000" : r->mark.crc);
	if (!tcbdbput2(r->index, MARK_KEY, text) || !tcbdbsync(r->index) ||
	    !tcbdbclose(r->index) || cabinet_lost())
		return index_trouble(r, f);
	index_close(r);
	if (renameat(r->dir, NEW_NAME, r->dir, INDEX_NAME) == -1)
		return fault_errno(f, FAULT_INTERNAL, INDEX_NAME);
	return 0;
}

/* ---- names of clients ---- */

/* The key of a name: without case, where it is ASCII. */
static bool
name_key(struct buf *key, const char *name, size_t len)
{
	char *room;

	buf_reset(key, 4096);
	buf_str(key, NAME_KEY);
	if ((room = buf_room(key, len)) == NULL)
		return false;
	for (size_t i = 0; i < len; i++)
		room[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ?
		    name[i] - 'A' + 'a' : name[i]);
	buf_grew(key, len);
	return true;
}

/* The name that a client's text tells; false: it tells none. */
static bool
client_name(struct registry *r, struct buf *name, const char *text, size_t len)
{
	static const char member[] = "authenticationName";
	uint32_t i;

	buf_reset(name, 4096);
	if (text == NULL || json_scan(&r->json, text, len, NULL) == -1 ||
	    (i = json_member(&r->json, 0, "properties", 10)) == 0 ||
	    (i = json_member(&r->json, i, member, sizeof(member) - 1)) == 0 ||
	    r->json.tok[i].type != JSON_STRING)
		return false;
	json_string(&r->json, i, name);
	return !name->bad;
}

/* The key of that name. */
static bool
client_key(struct registry *r, struct buf *key, const char *text, size_t len)
{
	return client_name(r, &r->name, text, len) &&
	    name_key(key, buf_data(&r->name), r->name.len);
}

static bool
is_client(const char *path, size_t len)
{
	return len > strlen(CLIENTS) &&
	    memcmp(path, CLIENTS, strlen(CLIENTS)) == 0;
}

/* Take a name back, unless it has become another client's. */
static bool
name_out(struct registry *r, const struct change *c, const struct buf *key)
{
	int size;
	const void *path = tcbdbget3(r->index, buf_data(key), (int)key->len,
	    &size);

	if (path == NULL || (size_t)size != c->path_len ||
	    memcmp(path, c->path, c->path_len) != 0)
		return true;
	return tcbdbout(r->index, buf_data(key), (int)key->len);
}

/* Keep the names of clients as a change of one of them leaves them. */
static bool
name_apply(struct registry *r, const struct change *c)
{
	struct buf *key = &r->key, *old = &r->old_key;
	const char *text;
	int size;
	bool had, has;

	/* valid until the index is touched again */
	text = tcbdbget3(r->index, c->path, (int)c->path_len, &size);
	had = text != NULL && client_key(r, old, text, (size_t)size);
	has = client_key(r, key, c->resource, c->resource_len);
	if (had && has && old->len == key->len &&
	    memcmp(buf_data(old), buf_data(key), key->len) == 0)
		return true;
	if (had && !name_out(r, c, old))
		return false;
	return !has || tcbdbput(r->index, buf_data(key), (int)key->len,
	    c->path, (int)c->path_len);
}

static int
index_apply(const struct change *c, void *arg)
{
	struct registry *r = arg;
	bool ok;

	if (is_client(c->path, c->path_len) && !name_apply(r, c))
		return -1;
	if (c->resource != NULL)
		ok = tcbdbput(r->index, c->path, (int)c->path_len, c->resource,
		    (int)c->resource_len);
	else
		ok = tcbdbout(r->index, c->path, (int)c->path_len) ||
		    tcbdbecode(r->index) == TCENOREC;
	return ok && !cabinet_lost() ? 0 : -1;
}

/* Bring the index from its mark to the end of the log; both locks are held. */
static int
catch_up(struct registry *r, struct fault *f)
{
	struct changes_mark end;
	struct stat st;
	char *text = NULL;
	int rc;

	if (!index_open(r))
		memset(&r->mark, 0, sizeof(r->mark));
	if (fstat(r->log, &st) == -1)
		return fault_errno(f, FAULT_INTERNAL, LOG_NAME);
	if (r->index != NULL && r->mark.offset == (uint64_t)st.st_size)
		return 0;
	if (st.st_size != 0 && (text = mmap(NULL, (size_t)st.st_size,
	    PROT_READ, MAP_SHARED, r->log, 0)) == MAP_FAILED)
		return fault_errno(f, FAULT_INTERNAL, LOG_NAME);
	end = r->mark;
	rc = changes_walk(text, (size_t)st.st_size, &end, NULL, NULL, f);
	if (rc == 0 && (r->index == NULL || end.offset != r->mark.offset)) {
		rc = index_begin(r, false, f);
		if (rc == 0 && changes_walk(text, (size_t)st.st_size, &r->mark,
		    index_apply, r, NULL) != 0)
			rc = index_trouble(r, f);
		if (rc == 0)
			rc = index_end(r, f);
	}
	if (text != NULL)
		munmap(text, (size_t)st.st_size);
	if (rc == 0 && r->write && end.offset < (uint64_t)st.st_size &&
	    (ftruncate(r->log, (off_t)end.offset) == -1 ||
	    fdatasync(r->log) == -1))
		rc = fault_errno(f, FAULT_INTERNAL, LOG_NAME);
	return rc;
}

/* Readers: take the index as it is when it is current, else mend it. */
static int
open_reader(struct registry *r, struct fault *f)
{
	struct stat st;
	bool usable;

	if (file_lock(r->dir, LOCK_SH) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	usable = index_open(r);
	if (usable && fstat(r->log, &st) == 0 &&
	    r->mark.offset == (uint64_t)st.st_size)
		return 0;
	if (file_lock(r->log, LOCK_EX | LOCK_NB) == -1) {
		/* behind a commit under way: the state before it */
		if (usable)
			return 0;
		if (file_lock(r->dir, LOCK_UN) == -1 ||
		    file_lock(r->log, LOCK_EX) == -1)
			return fault_errno(f, FAULT_INTERNAL, LOG_NAME);
	}
	if (file_lock(r->dir, LOCK_EX) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	if (catch_up(r, f) == -1)
		return -1;
	if (r->index == NULL && !index_open(r))
		return fault_set(f, FAULT_INTERNAL, INDEX_NAME
		    ": cannot be read again");
	if (file_lock(r->dir, LOCK_SH) == -1 ||
	    file_lock(r->log, LOCK_UN) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	return 0;
}

static int
open_writer(struct registry *r, struct fault *f)
{
	if (file_lock(r->log, LOCK_EX) == -1 ||
	    file_lock(r->dir, LOCK_EX) == -1)
		return fault_errno(f, FAULT_INTERNAL, LOG_NAME);
	if (catch_up(r, f) == -1)
		return -1;
	if (r->index == NULL && !index_open(r))
		return fault_set(f, FAULT_INTERNAL, INDEX_NAME
		    ": cannot be read again");
	if (file_lock(r->dir, LOCK_UN) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	return 0;
}

struct registry *
registry_open(const struct spool *spool, bool write, struct fault *f)
{
	struct registry *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	r->write = write;
	r->namespace = jv_invalid();
	r->log = -1;
	r->dir = openat(spool->fd, DIR_NAME,
	    O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->dir != -1)
		r->log = openat(r->dir, LOG_NAME,
		    (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (r->log == -1) {
		fault_errno(f, errno == EACCES ? FAULT_FORBIDDEN :
		    FAULT_INTERNAL, "%s/" DIR_NAME "/" LOG_NAME, spool->path);
		registry_close(r);
		return NULL;
	}
	if ((write ? open_writer : open_reader)(r, f) == -1) {
		registry_close(r);
		return NULL;
	}
	return r;
}

void
registry_rest(struct registry *r)
{
	file_lock(r->dir, LOCK_UN);
}

/* The log grows before the index changes in place, and never shrinks below what
 * an index knows: as long as it is as long, the index is the one that is
 * open. */
int
registry_resume(struct registry *r, struct fault *f)
{
	struct stat st;

	if (file_lock(r->dir, LOCK_SH) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	if (r->index != NULL && fstat(r->log, &st) == 0 &&
	    (uint64_t)st.st_size == r->mark.offset)
		return 0;
	jv_free(r->namespace);
	r->namespace = jv_invalid();
	index_close(r);
	return open_reader(r, f);
}

static void
forget(struct registry *r)
{
	for (size_t i = 0; i < r->npending; i++) {
		free(r->pending[i].path);
		free(r->pending[i].text);
	}
	r->npending = 0;
	if (r->by_path != NULL)
		tcmapclear(r->by_path);
}

void
registry_close(struct registry *r)
{
	if (r == NULL)
		return;
	forget(r);
	free(r->pending);
	if (r->by_path != NULL)
		tcmapdel(r->by_path);
	index_close(r);
	json_free(&r->json);
	buf_free(&r->name);
	buf_free(&r->key);
	buf_free(&r->old_key);
	jv_free(r->namespace);
	if (r->log != -1)
		close(r->log);
	if (r->dir != -1)
		close(r->dir);
	free(r);
}

static struct pending *
find_pending(const struct registry *r, const char *path)
{
	const size_t *i;
	int size;

	if (r->by_path == NULL)
		return NULL;
	i = tcmapget(r->by_path, path, (int)strlen(path), &size);
	return i == NULL ? NULL : &r->pending[*i];
}

static jv
look_up(struct registry *r, const char *path)
{
	const struct pending *p = find_pending(r, path);

	if (p != NULL)
		return p->text == NULL ? jv_invalid() :
		    jv_parse_sized(p->text, (int)p->len);
	return registry_stored(r, path);
}

jv
registry_get(struct registry *r, const char *path)
{
	if (strcmp(path, "namespace") != 0)
		return look_up(r, path);
	if (!jv_is_valid(r->namespace))
		r->namespace = look_up(r, path);
	return jv_copy(r->namespace);
}

bool
registry_has(struct registry *r, const char *path)
{
	const struct pending *p = find_pending(r, path);

	if (p != NULL)
		return p->text != NULL;
	return tcbdbvsiz(r->index, path, (int)strlen(path)) != -1;
}

jv
registry_stored(struct registry *r, const char *path)
{
	int len;
	char *text = tcbdbget(r->index, path, (int)strlen(path), &len);
	jv v;

	if (text == NULL)
		return jv_invalid();
	v = jv_parse_sized(text, len);
	free(text);
	return v;
}

/* Has the transaction a client with the name of this key? */
static const struct pending *
pending_client(struct registry *r, const struct buf *key)
{
	for (size_t i = 0; i < r->npending; i++) {
		const struct pending *p = &r->pending[i];

		if (is_client(p->path, strlen(p->path)) &&
		    client_key(r, &r->old_key, p->text, p->len) &&
		    r->old_key.len == key->len && memcmp(buf_data(&r->old_key),
		    buf_data(key), key->len) == 0)
			return p;
	}
	return NULL;
}

/* The client that the index has under the name of a key, unless it has changed
 * since: its path, which the caller frees; NULL. */
static char *
index_client(const struct registry *r, const struct buf *key)
{
	int size;
	char *path = tcbdbget(r->index, buf_data(key), (int)key->len, &size);

	if (path == NULL || find_pending(r, path) == NULL)
		return path;
	free(path);
	return NULL;
}

char *
registry_client(struct registry *r, const char *name, size_t len,
    size_t *text_len)
{
	const struct pending *p;
	char *path, *text;
	int size = 0;

	if (!name_key(&r->key, name, len))
		return NULL;
	if ((p = pending_client(r, &r->key)) != NULL) {
		*text_len = p->len;
		return strdup(p->text);
	}
	if ((path = index_client(r, &r->key)) == NULL)
		return NULL;
	text = tcbdbget(r->index, path, (int)strlen(path), &size);
	free(path);
	*text_len = (size_t)size;
	return text;
}

bool
registry_twins(struct registry *r, jv *one, jv *other)
{
	TCMAP *names = tcmapnew(); /* of the transaction */
	bool found = false;

	for (size_t i = 0; !found && i < r->npending; i++) {
		const struct pending *p = &r->pending[i];
		const char *first;
		char *path;
		int size;

		if (!is_client(p->path, strlen(p->path)) ||
		    !client_key(r, &r->key, p->text, p->len))
			continue;
		path = index_client(r, &r->key);
		first = tcmapget(names, buf_data(&r->key), (int)r->key.len,
		    &size);
		found = path != NULL || first != NULL;
		if (found) {
			*one = jv_string(first != NULL ? first : p->path);
			*other = jv_string(first != NULL ? p->path : path);
		}
		free(path);
		tcmapput(names, buf_data(&r->key), (int)r->key.len, p->path,
		    (int)strlen(p->path));
	}
	tcmapdel(names);
	return found;
}

static int
by_path(const void *a, const void *b)
{
	return strcmp((*(struct pending *const *)a)->path,
	    (*(struct pending *const *)b)->path);
}

/* The pending changes below a prefix, in path order; NULL-terminated. */
static struct pending **
sorted(const struct registry *r, const char *prefix)
{
	struct pending **list = calloc(r->npending + 1, sizeof(*list));
	size_t n = 0, len = strlen(prefix);

	if (list == NULL)
		return NULL;
	for (size_t i = 0; i < r->npending; i++)
		if (strncmp(r->pending[i].path, prefix, len) == 0)
			list[n++] = &r->pending[i];
	qsort(list, n, sizeof(*list), by_path);
	return list;
}

/* Two sorted sequences side by side: the index, and what is pending. */
struct walk {
	BDBCUR *cur;
	const char *prefix;
	size_t prefix_len;
	TCXSTR *key, *value; /* of the cursor; an empty key: at its end */
	struct pending **next;
};

static void
walk_step(struct walk *w)
{
	bool more = tcbdbcurrec(w->cur, w->key, w->value);

	if (!more || strncmp(tcxstrptr(w->key), w->prefix, w->prefix_len) != 0)
		tcxstrclear(w->key);
	else
		tcbdbcurnext(w->cur);
}

static int
walk_all(struct walk *w, int (*fn)(const char *, const char *, size_t, void *),
    void *arg)
{
	const struct pending *p;
	int rc = 0, order;

	walk_step(w);
	while (rc == 0 && (tcxstrsize(w->key) != 0 || *w->next != NULL)) {
		p = *w->next;
		if (p == NULL)
			order = -1;
		else if (tcxstrsize(w->key) == 0)
			order = 1;
		else
			order = strcmp(tcxstrptr(w->key), p->path);
		if (order >= 0) {
			w->next++;
			if (p->text != NULL)
				rc = fn(p->path, p->text, p->len, arg);
		} else
			rc = fn(tcxstrptr(w->key), tcxstrptr(w->value),
			    (size_t)tcxstrsize(w->value), arg);
		if (order <= 0)
			walk_step(w);
	}
	return rc;
}

struct parsing {
	int (*fn)(const char *, jv, void *);
	void *arg;
};

static int
parse_one(const char *path, const char *text, size_t len, void *arg)
{
	struct parsing *p = arg;

	return p->fn(path, jv_parse_sized(text, (int)len), p->arg);
}

int
registry_each(struct registry *r, const char *prefix,
    int (*fn)(const char *path, jv resource, void *arg), void *arg)
{
	struct parsing p = { fn, arg };

	return registry_each_text(r, prefix, parse_one, &p);
}

int
registry_each_text(struct registry *r, const char *prefix,
    int (*fn)(const char *path, const char *text, size_t, void *arg),
    void *arg)
{
	struct pending **list = sorted(r, prefix);
	struct walk w = {
		.cur = tcbdbcurnew(r->index),
		.prefix = prefix,
		.prefix_len = strlen(prefix),
		.key = tcxstrnew(),
		.value = tcxstrnew(),
		.next = list,
	};
	int rc = -1;

	if (list != NULL) {
		tcbdbcurjump2(w.cur, *prefix == '\0' ? FIRST_PATH : prefix);
		rc = walk_all(&w, fn, arg);
	}
	tcxstrdel(w.value);
	tcxstrdel(w.key);
	tcbdbcurdel(w.cur);
	free(list);
	return rc;
}

/* Takes ownership of text (NULL: delete). */
static int
pend(struct registry *r, const char *path, char *text, size_t len,
    struct fault *f)
{
	struct pending *p = find_pending(r, path);
	size_t cap;

	if (strcmp(path, "namespace") == 0) {
		jv_free(r->namespace);
		r->namespace = jv_invalid();
	}
	if (p != NULL) {
		free(p->text);
		p->text = text;
		p->len = len;
		return 0;
	}
	if (r->pending == NULL || r->npending == r->cap) {
		cap = r->cap == 0 ? 16 : 2 * r->cap;
		p = realloc(r->pending, cap * sizeof(*p));
		if (p == NULL)
			goto no_memory;
		r->pending = p;
		r->cap = cap;
	}
	if (r->by_path == NULL && (r->by_path = tcmapnew()) == NULL)
		goto no_memory;
	p = &r->pending[r->npending];
	*p = (struct pending){ strdup(path), text, len };
	if (p->path == NULL)
		goto no_memory;
	tcmapput(r->by_path, path, (int)strlen(path), &r->npending,
	    sizeof(r->npending));
	r->npending++;
	return 0;

no_memory:
	free(text);
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

int
registry_put(struct registry *r, const char *path, jv resource, struct fault *f)
{
	jv s = jv_dump_string(resource, 0);
	size_t len = (size_t)jv_string_length_bytes(jv_copy(s));
	char *text = malloc(len + 1);

	if (text != NULL)
		memcpy(text, jv_string_value(s), len + 1);
	jv_free(s);
	if (text == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return pend(r, path, text, len, f);
}

static int
collect(const char *path, jv resource, void *arg)
{
	TCLIST *paths = arg;

	jv_free(resource);
	tclistpush2(paths, path);
	return 0;
}

/* Looking for what is below sorts what is pending: not for each of 400,000. */
static bool
can_have_below(const char *path)
{
	return strcmp(path, "namespace") == 0 ||
	    (strncmp(path, "topics/", 7) == 0 && strchr(path + 7, '/') == NULL);
}

int
registry_delete(struct registry *r, const char *path, struct fault *f)
{
	TCLIST *paths;
	struct buf below = { 0 };
	int rc = -1;

	if (!registry_has(r, path))
		return fault_set(f, FAULT_NOT_FOUND, "%s: not found", path);
	if (!can_have_below(path))
		return pend(r, path, NULL, 0, f);
	paths = tclistnew();
	tclistpush2(paths, path);
	buf_printf(&below, "%s/", path);
	buf_add(&below, "", 1);
	if (!below.bad)
		rc = registry_each(r, buf_data(&below), collect, paths);
	buf_free(&below);
	if (rc == -1)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	for (int i = 0; rc == 0 && i < tclistnum(paths); i++)
		rc = pend(r, tclistval2(paths, i), NULL, 0, f);
	tclistdel(paths);
	return rc;
}

/* Deletes of what never was on disk say nothing. */
static void
drop_idle(struct registry *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->npending; i++) {
		struct pending *p = &r->pending[i];

		if (p->text == NULL && tcbdbvsiz(r->index, p->path,
		    (int)strlen(p->path)) == -1)
			free(p->path);
		else
			r->pending[n++] = *p;
	}
	r->npending = n;
}

/* A change that is pending; of a client that goes its name is looked up. */
static void
describe(struct registry *r, const struct pending *p, struct change *c)
{
	const char *text;
	int size;

	c->path = p->path;
	c->path_len = strlen(p->path);
	c->resource = p->text;
	c->resource_len = p->len;
	c->name = NULL;
	if (p->text != NULL || !is_client(c->path, c->path_len))
		return;
	/* valid until the index is touched again */
	text = tcbdbget3(r->index, c->path, (int)c->path_len, &size);
	if (text != NULL && client_name(r, &r->name, text, (size_t)size)) {
		c->name = buf_data(&r->name);
		c->name_len = r->name.len;
	}
}

/* Add the transaction's lines to the log; `end` becomes the mark behind it. */
static int
append(struct registry *r, const char *who, struct changes_mark *end)
{
	struct change c = {
		.transaction = r->mark.transaction + 1,
		.of = (uint32_t)r->npending,
	};
	struct buf b = { 0 };
	int64_t now = clock_now();
	size_t at;
	int rc = 0;

	end->offset = r->mark.offset;
	end->transaction = c.transaction;
	for (size_t i = 0; rc == 0 && i < r->npending; i++) {
		c.number = (uint32_t)i + 1;
		describe(r, &r->pending[i], &c);
		at = b.len;
		changes_format(&b, &c, now, who);
		if (b.bad) {
			errno = ENOMEM;
			rc = -1;
			break;
		}
		end->line = end->offset;
		end->offset += b.len - at;
		memcpy(end->crc, buf_data(&b) + at + CHANGES_CRC_AT, 8);
		if (b.len >= WRITE_CHUNK || c.number == c.of) {
			rc = file_pwrite(r->log, buf_data(&b), b.len,
			    (off_t)(end->offset - b.len));
			buf_reset(&b, WRITE_CHUNK * 2);
		}
	}
	buf_free(&b);
	return rc == 0 ? fdatasync(r->log) : -1;
}

static int
commit_log(struct registry *r, const char *who, struct fault *f)
{
	struct changes_mark end = { 0 };
	enum fault_code code;

	if (append(r, who, &end) == 0) {
		r->mark = end;
		return 0;
	}
	code = file_no_room(errno) ? FAULT_TOO_MANY : FAULT_INTERNAL;
	fault_errno(f, code, LOG_NAME ": nothing was changed");
	/* what cannot be cut off is an incomplete transaction: passed over */
	if (ftruncate(r->log, (off_t)r->mark.offset) == -1)
		return -1;
	return -1;
}

static int
commit_index(struct registry *r, bool big, struct fault *f)
{
	struct changes_mark after = r->mark;
	struct change c = { 0 };
	int rc;

	if (!big && file_lock(r->dir, LOCK_EX) == -1)
		return fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	rc = index_begin(r, big, f);
	for (size_t i = 0; rc == 0 && i < r->npending; i++) {
		c.path = r->pending[i].path;
		c.path_len = strlen(c.path);
		c.resource = r->pending[i].text;
		c.resource_len = r->pending[i].len;
		if (index_apply(&c, r) == -1)
			rc = index_trouble(r, f);
	}
	r->mark = after;
	if (rc == 0)
		rc = index_end(r, f);
	if (rc == 0 && !index_open(r))
		rc = fault_set(f, FAULT_INTERNAL, INDEX_NAME
		    ": cannot be read again");
	if (!big && file_lock(r->dir, LOCK_UN) == -1 && rc == 0)
		rc = fault_errno(f, FAULT_INTERNAL, DIR_NAME);
	return rc;
}

/* The log has the change, and is the truth: the index will follow. */
static int
made_all_the_same(struct fault *f)
{
	struct fault why = *f;

	return fault_set(f, why.code, "%.256s; the change is in " DIR_NAME "/"
	    LOG_NAME " all the same, and counts with the next one", why.text);
}

int
registry_commit(struct registry *r, const char *who, struct fault *f)
{
	int rc;

	drop_idle(r);
	if (r->npending == 0) {
		forget(r);
		return 0;
	}
	rc = commit_log(r, who, f);
	if (rc == 0 && commit_index(r, r->npending >= BIG_TRANSACTION, f) == -1)
		rc = made_all_the_same(f);
	forget(r);
	return rc;
}
