/* scrub: every checksum of logs, states, maildirs, sessions and the registry,
 * and that dead letters are records */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit.h"
#include "changes.h"
#include "ctl.h"
#include "deliveries.h"
#include "file.h"
#include "journal.h"
#include "json.h"
#include "line.h"
#include "maildir.h"
#include "record.h"
#include "segment.h"
#include "transit.h"

#define PATH_SIZE 512
#define SESSIONS_LINE (16 * 1024 * 1024) /* bytes, as in brokerd */
#define PARCEL_LINE (64 * 1024 * 1024)   /* bytes, as in egns-dlq */
#define BROKEN_MAX 10000 /* rows of the answer; the rest is only counted */

struct scrub {
	struct books books;
	uint64_t files, lines, bytes; /* looked at */
	uint64_t nbroken;
	jv broken;
};

static void
broken(struct scrub *s, const char *file, uint64_t offset, const char *reason)
{
	jv v = jv_object();

	if (++s->nbroken > BROKEN_MAX)
		return;
	v = jv_object_set(v, jv_string("file"), jv_string(file));
	v = jv_object_set(v, jv_string("offset"), jv_number((double)offset));
	v = jv_object_set(v, jv_string("reason"), jv_string(reason));
	s->broken = jv_array_append(s->broken, v);
}

/* ---- the registry ---- */

/* A registry of many clients is larger than memory need be: map it. */
int
scrub_registry(const struct spool *spool, uint64_t *offset, struct fault *f)
{
	struct changes_mark mark = { 0 };
	struct stat st;
	char *text;
	int fd, rc;

	*offset = 0;
	fd = openat(spool->fd, "namespace/changes.ndjson",
	    O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1) {
		fault_errno(f, FAULT_INTERNAL, "namespace/changes.ndjson");
		if (fd != -1)
			close(fd);
		return -1;
	}
	text = st.st_size == 0 ? NULL : mmap(NULL, (size_t)st.st_size,
	    PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (text == NULL)
		return 0;
	if (text == MAP_FAILED)
		return fault_errno(f, FAULT_INTERNAL,
		    "namespace/changes.ndjson");
	rc = changes_walk(text, (size_t)st.st_size, &mark, NULL, NULL, f);
	munmap(text, (size_t)st.st_size);
	*offset = mark.offset;
	return rc;
}

static void
scrub_changes(struct scrub *s)
{
	uint64_t offset;
	struct fault f;

	s->files++;
	if (scrub_registry(&s->books.spool, &offset, &f) == -1)
		broken(s, "namespace/changes.ndjson", offset, f.text);
}

/* ---- a log ---- */

struct log {
	struct scrub *scrub;
	const struct ledger *ledger;
	struct segment *seg;
	size_t n, i; /* segments; the one that the line is in */
};

static int
see_line(const struct journal_line *line, void *arg)
{
	struct log *l = arg;
	char file[PATH_SIZE];

	l->scrub->lines++;
	l->scrub->bytes += line->len;
	if (line->event != NULL)
		return 0;
	while (l->i + 1 < l->n && l->seg[l->i + 1].start <= line->offset)
		l->i++;
	snprintf(file, sizeof(file), "topics/%s/log/%020" PRIu64 ".ndjson",
	    l->ledger->topic, l->seg[l->i].start);
	broken(l->scrub, file, line->offset - l->seg[l->i].start,
	    "the line does not match its checksum");
	return 0;
}

static int
scrub_log(struct scrub *s, const struct ledger *ledger, struct fault *f)
{
	struct log l = { .scrub = s, .ledger = ledger };
	int dir, rc;

	if (ledger->dir == -1)
		return 0;
	dir = openat(ledger->dir, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir == -1 && errno == ENOENT)
		return 0;
	if (dir == -1)
		return fault_errno(f, FAULT_INTERNAL, "topics/%s/log",
		    ledger->topic);
	rc = segment_list(dir, "log", &l.seg, &l.n, f);
	close(dir);
	if (rc == 0 && l.n > 0)
		rc = journal_walk(ledger->dir, "log", ledger->end, see_line,
		    &l, f);
	s->files += l.n;
	free(l.seg);
	return rc;
}

/* ---- a subscription's state ---- */

/* Bytes of whole lines, -1 and a fault. */
static int
good_bytes(const struct ledger *l, const struct account *a, const char *path,
    uint64_t *good, struct fault *f)
{
	struct deliveries d;
	bool found;

	if (deliveries_open(&d, l->dir, path, a->uid, &found, f) == -1)
		return -1;
	*good = d.size;
	deliveries_close(&d);
	return 0;
}

/* Is there a newline behind an offset? What has none is torn, or being
 * written. */
static bool
goes_on(int dir, const char *path, uint64_t from)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	char block[64 * 1024];
	bool found = false;
	ssize_t n;

	if (fd == -1)
		return false;
	while (!found && (n = pread(fd, block, sizeof(block), (off_t)from)) > 0) {
		found = memchr(block, '\n', (size_t)n) != NULL;
		from += (uint64_t)n;
	}
	close(fd);
	return found;
}

/* topicd may append between our two looks: a broken line is there both
 * times. */
static int
scrub_state(struct scrub *s, const struct ledger *l, const struct account *a,
    struct fault *f)
{
	char path[PATH_SIZE], file[PATH_SIZE + 64];
	uint64_t first, second;

	snprintf(path, sizeof(path), "subscriptions/%s/state.ndjson", a->name);
	snprintf(file, sizeof(file), "topics/%s/%s", l->topic, path);
	if (l->dir == -1 || faccessat(l->dir, path, F_OK, 0) == -1)
		return 0;
	s->files++;
	if (good_bytes(l, a, path, &first, f) == -1)
		return -1;
	if (!goes_on(l->dir, path, first))
		return 0;
	if (good_bytes(l, a, path, &second, f) == -1)
		return -1;
	if (second == first)
		broken(s, file, first, "the line does not match its checksum, "
		    "or is of another subscription");
	return 0;
}

/* ---- maildirs ---- */

static void
scrub_mail(struct scrub *s, int dir, const char *path, const char *name)
{
	struct maildir_name parts;
	char file[PATH_SIZE];
	struct stat st;
	char *text;
	size_t len;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	if (fstatat(dir, name, &st, 0) == -1)
		return; /* the next stage took it */
	s->files++;
	s->bytes += (uint64_t)st.st_size;
	if (!maildir_parse(name, &parts)) {
		broken(s, file, 0, "not a name of ours");
		return;
	}
	if ((uint64_t)st.st_size != parts.bytes) {
		broken(s, file, (uint64_t)st.st_size,
		    "the file is not as long as its name says");
		return;
	}
	text = spool_read(dir, name, parts.bytes, &len);
	if (text == NULL && errno != ENOENT)
		broken(s, file, 0, strerror(errno));
	else if (text != NULL && !maildir_whole(&parts, text, len))
		broken(s, file, 0, "the file does not match its name");
	free(text);
}

/* Was that all of a directory? It is closed. */
static int
end_of(DIR *dir, const char *path, struct fault *f)
{
	int rc = errno == 0 ? 0 :
	    fault_errno(f, FAULT_INTERNAL, "%s", path);

	closedir(dir);
	return rc;
}

static int
scrub_maildir(struct scrub *s, const char *path, struct fault *f)
{
	DIR *dir = file_opendir(s->books.spool.fd, path, 0);
	struct dirent *e;

	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fault_errno(f, FAULT_INTERNAL, "%s", path);
	while ((errno = 0, e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.')
			scrub_mail(s, dirfd(dir), path, e->d_name);
	}
	return end_of(dir, path, f);
}

/* ---- parcels of dead letters ---- */

/* They have no checksum: lines of JSON is what can be told. */
static void
scrub_parcel(struct scrub *s, int dir, const char *path, const char *name)
{
	struct line_reader in = { .max = PARCEL_LINE };
	struct json json = { 0 };
	char file[PATH_SIZE];
	const char *line;
	uint64_t at = 0;
	size_t len;
	int rc;

	if ((in.fd = openat(dir, name, O_RDONLY | O_CLOEXEC)) == -1)
		return; /* the next stage took it */
	snprintf(file, sizeof(file), "%s/%s", path, name);
	s->files++;
	while ((rc = line_next(&in, &line, &len)) == 1) {
		s->lines++;
		s->bytes += in.taken;
		if (in.taken == len || json_scan(&json, line, len, NULL) == -1)
			broken(s, file, at, "the line is no record");
		at += in.taken;
	}
	if (rc == -1)
		broken(s, file, at, strerror(errno));
	json_free(&json);
	line_free(&in);
	close(in.fd);
}

static int
scrub_letters(struct scrub *s, struct fault *f)
{
	struct dirent *e;
	DIR *dir;

	for (size_t i = TRANSIT_MAILDIRS; i < TRANSIT_STAGES; i++) {
		dir = file_opendir(s->books.spool.fd, transit[i].path, 0);
		if (dir == NULL && errno == ENOENT)
			continue;
		if (dir == NULL)
			return fault_errno(f, FAULT_INTERNAL, "%s",
			    transit[i].path);
		while ((errno = 0, e = readdir(dir)) != NULL) {
			if (transit[i].is_ours(e->d_name))
				scrub_parcel(s, dirfd(dir), transit[i].path,
				    e->d_name);
		}
		if (end_of(dir, transit[i].path, f) == -1)
			return -1;
	}
	return 0;
}

/* ---- sessions of brokerd ---- */

/* What has no newline yet is torn, or being written. */
static int
scrub_lines(struct scrub *s, int fd, const char *file, struct fault *f)
{
	struct segment_reader in = { .fd = fd, .max = SESSIONS_LINE };
	struct stat st;
	const char *line;
	uint64_t at = 0;
	size_t len;
	int rc;

	if (fstat(fd, &st) == -1)
		return fault_errno(f, FAULT_INTERNAL, "%s", file);
	in.end = (uint64_t)st.st_size;
	for (; (rc = segment_line(&in, &line, &len)) == 1; at += len) {
		s->lines++;
		s->bytes += len;
		if (line == NULL || !record_whole(line, len))
			broken(s, file, at,
			    "the line does not match its checksum");
	}
	segment_reader_free(&in);
	return rc == -1 ? fault_errno(f, FAULT_INTERNAL, "%s", file) : 0;
}

static int
scrub_sessions(struct scrub *s, struct fault *f)
{
	DIR *dir = file_opendir(s->books.spool.fd, "sessions", 0);
	char file[PATH_SIZE];
	struct dirent *e;
	size_t len;
	int fd, rc = 0;

	if (dir == NULL)
		return errno == ENOENT ? 0 :
		    fault_errno(f, FAULT_INTERNAL, "sessions");
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		len = strlen(e->d_name);
		if (len < 7 || strcmp(e->d_name + len - 7, ".ndjson") != 0)
			continue;
		snprintf(file, sizeof(file), "sessions/%s", e->d_name);
		fd = openat(dirfd(dir), e->d_name, O_RDONLY | O_CLOEXEC);
		if (fd == -1 && errno == ENOENT)
			continue; /* nobody waits for it any more */
		s->files++;
		rc = fd == -1 ? fault_errno(f, FAULT_INTERNAL, "%s", file) :
		    scrub_lines(s, fd, file, f);
		if (fd != -1)
			close(fd);
	}
	if (rc == 0)
		return end_of(dir, "sessions", f);
	closedir(dir);
	return rc;
}

/* ---- */

static int
scrub_topics(struct scrub *s, struct fault *f)
{
	const struct ledger *l;
	size_t i;

	for (l = s->books.ledger; l < s->books.ledger + s->books.n; l++) {
		if (scrub_log(s, l, f) == -1)
			return -1;
		for (i = 0; i < l->n; i++) {
			if (scrub_state(s, l, &l->account[i], f) == -1)
				return -1;
		}
	}
	return 0;
}

static int
scrub_rest(struct scrub *s, struct fault *f)
{
	static const char *const maildirs[] = { "deadletter/new",
		"deadletter/cur", "route/new", "route/cur", "lifecycle/new",
		"lifecycle/cur" };
	size_t i;

	scrub_changes(s);
	if (scrub_sessions(s, f) == -1 || scrub_letters(s, f) == -1)
		return -1;
	for (i = 0; i < sizeof(maildirs) / sizeof(maildirs[0]); i++) {
		if (scrub_maildir(s, maildirs[i], f) == -1)
			return -1;
	}
	return 0;
}

/* A table has what is broken as rows. */
static int
print(struct ctl *ctl, struct scrub *s)
{
	jv all;

	if (ctl_as_rows(ctl))
		return ctl_print(ctl, jv_copy(s->broken));
	all = jv_object();
	all = jv_object_set(all, jv_string("whole"), jv_bool(s->nbroken == 0));
	all = jv_object_set(all, jv_string("files"),
	    jv_number((double)s->files));
	all = jv_object_set(all, jv_string("lines"),
	    jv_number((double)s->lines));
	all = jv_object_set(all, jv_string("bytes"),
	    jv_number((double)s->bytes));
	all = jv_object_set(all, jv_string("broken"), jv_copy(s->broken));
	return ctl_print(ctl, all);
}

int
verb_scrub(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct scrub s = { .nbroken = 0 };
	const char *topic;
	struct fault f;
	int status;

	if (!audit_topic(argc, argv, &topic))
		return ctl_usage(verb);
	if (books_open(&s.books, ctl->spool, topic, &f) == -1)
		return ctl_fault(&f);
	s.broken = jv_array();
	if (scrub_topics(&s, &f) == -1 ||
	    (topic == NULL && scrub_rest(&s, &f) == -1))
		status = ctl_fault(&f);
	else if ((status = print(ctl, &s)) == 0 && s.nbroken > 0)
		status = 1;
	jv_free(s.broken);
	books_close(&s.books);
	return status;
}
