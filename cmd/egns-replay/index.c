/* keys of what was replayed, and where their lines are */
#include "index.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "array.h"
#include "cabinet.h"
#include "clock.h"
#include "crc32c.h"
#include "daybook.h"
#include "file.h"
#include "json.h"
#include "ledger.h"

#define NAME "index.tch"
#define NEW_NAME "index.tch.new"
#define DAYS_KEY "days"
#define VERSION "1\n"
#define DAY_NAME 18 /* of a day's file, with a NUL */

/*
 * Buckets are mapped, 4 bytes each: 8 MiB. They are few, so that tens of
 * millions of keys need no more memory: the keys of a bucket are a tree.
 */
#define BUCKETS (2 * 1024 * 1024)
#define ALIGN_POWER 4
#define HEADER 256 /* Tokyo Cabinet's, in front of the buckets */
#define FREE_POWER 4 /* next to nothing is ever freed */

#define CHUNK (1024 * 1024) /* of a file that is read */
#define TAIL 64  /* bytes by which a file is known again */
#define JUNK_MIN 100000 /* keys that nobody removes */
#define BOOT_TEXT 36

/* How far a day's file is in the index. */
struct index_day {
	char name[DAY_NAME];
	uint64_t offset; /* behind the last line */
	uint64_t keys;   /* of so many lines */
	uint32_t crc;    /* of what is in front of the offset */
};

/* ---- keys, places ---- */

bool
index_key(struct json *js, const char *line, size_t len,
    uint8_t key[LETTER_KEY])
{
	static const char begin[] = "{\"time\":\"", between[] = "\",\"key\":\"";
	const size_t at = sizeof(begin) - 1 + CLOCK_TEXT;
	const size_t from = at + sizeof(between) - 1;
	uint32_t t;

	if (len > from + 2 * LETTER_KEY &&
	    memcmp(line + at, between, sizeof(between) - 1) == 0 &&
	    line[from + 2 * LETTER_KEY] == '"')
		return ledger_key_parse(line + from, key);
	/* somebody else has written it */
	return json_scan(js, line, len, NULL) == 0 &&
	    (t = json_member(js, 0, "key", 3)) != 0 &&
	    js->tok[t].type == JSON_STRING &&
	    js->tok[t].end - js->tok[t].start == 2 * LETTER_KEY + 2 &&
	    ledger_key_parse(line + js->tok[t].start + 1, key);
}

#define OFFSET_BITS 48

static uint64_t
pack(const struct index_place *p)
{
	return htole64((uint64_t)p->day << OFFSET_BITS | p->offset);
}

static struct index_place
unpack(uint64_t packed)
{
	packed = le64toh(packed);
	return (struct index_place){ (int64_t)(packed >> OFFSET_BITS),
		packed & ((UINT64_C(1) << OFFSET_BITS) - 1) };
}

/* The day that a file is of. */
static int64_t
day_of(const char *name)
{
	char text[DAY_NAME + 16];
	int64_t us;

	snprintf(text, sizeof(text), "%.10sT00:00:00Z", name);
	return clock_parse(text, strlen(text), &us) == 0 ? us / CLOCK_DAY : -1;
}

/* ---- Tokyo Cabinet ---- */

/* A file that a call has failed on. */
static int
failed(struct fault *f, const char *name)
{
	return fault_errno(f, file_no_room(errno) ? FAULT_TOO_MANY :
	    FAULT_INTERNAL, "replay/%s", name);
}

static int
trouble(TCHDB *db, struct fault *f)
{
	if (file_no_room(errno))
		return failed(f, NAME);
	return fault_set(f, FAULT_INTERNAL, "replay/" NAME ": %s",
	    tchdberrmsg(tchdbecode(db)));
}

static void
path_of(const struct index *x, const char *name, char path[64])
{
	snprintf(path, 64, "/proc/self/fd/%d/%s", x->dir, name);
}

/* An object that has nothing in memory but the buckets. */
static TCHDB *
cabinet(void)
{
	TCHDB *db = tchdbnew();

	if (db != NULL && tchdbtune(db, BUCKETS, ALIGN_POWER, FREE_POWER, 0) &&
	    tchdbsetxmsiz(db, 0))
		return db;
	if (db != NULL)
		tchdbdel(db);
	return NULL;
}

static void
put_down(struct index *x)
{
	if (x->db != NULL)
		tchdbdel(x->db); /* closes, too */
	x->db = NULL;
}

/* What it knows of days. */
static bool
read_days(struct index *x, const char *text)
{
	struct index_day *days, day;
	uintmax_t offset, keys;
	int n = 0;

	x->ndays = 0;
	if (strncmp(text, VERSION, sizeof(VERSION) - 1) != 0)
		return false;
	for (text += sizeof(VERSION) - 1; *text != '\0'; text += n) {
		if (sscanf(text, "%17s %ju %ju %" SCNx32 "\n%n", day.name,
		    &offset, &keys, &day.crc, &n) != 4 ||
		    !daybook_is_name(day.name) ||
		    (days = array_room(x->days, x->ndays, sizeof(day))) == NULL)
			return false;
		day.offset = offset;
		day.keys = keys;
		x->days = days;
		days[x->ndays++] = day;
	}
	return true;
}

static bool
write_days(const struct index *x, TCHDB *db)
{
	struct buf b = { 0 };
	bool ok;

	buf_str(&b, VERSION);
	for (size_t i = 0; i < x->ndays; i++)
		buf_printf(&b, "%s %ju %ju %" PRIx32 "\n", x->days[i].name,
		    (uintmax_t)x->days[i].offset, (uintmax_t)x->days[i].keys,
		    x->days[i].crc);
	ok = !b.bad && tchdbput(db, DAYS_KEY, sizeof(DAYS_KEY) - 1,
	    buf_data(&b), (int)b.len);
	buf_free(&b);
	return ok;
}

/* Open it to look into; the directory is locked. */
static bool
open_to_look(struct index *x)
{
	char path[64], *text = NULL;
	bool ok;

	put_down(x);
	x->ndays = 0;
	path_of(x, NAME, path);
	if (!cabinet_sound(x->dir, NAME) || (x->db = cabinet()) == NULL)
		return false;
	ok = tchdbopen(x->db, path, HDBOREADER | HDBONOLCK) &&
	    tchdbbnum(x->db) <= tchdbfsiz(x->db) / sizeof(uint32_t) -
		HEADER / sizeof(uint32_t) &&
	    (text = tchdbget2(x->db, DAYS_KEY)) != NULL && read_days(x, text);
	free(text);
	if (!ok)
		put_down(x);
	return ok;
}

static int64_t
oldest_day(void)
{
	return clock_now() / CLOCK_DAY - LEDGER_DAYS;
}

bool
index_look(struct index *x)
{
	bool ok;

	x->oldest = oldest_day();
	if (file_lock(x->dir, LOCK_SH) == -1)
		return false;
	ok = open_to_look(x);
	file_lock(x->dir, LOCK_UN);
	return ok;
}

bool
index_find(const struct index *x, const uint8_t key[LETTER_KEY],
    struct index_place *place)
{
	uint64_t packed;
	int n;

	if (x->db == NULL || (!x->locked && file_lock(x->dir, LOCK_SH) == -1))
		return false;
	n = tchdbget3(x->db, key, LETTER_KEY, &packed, sizeof(packed));
	if (!x->locked)
		file_lock(x->dir, LOCK_UN);
	if (n != sizeof(packed))
		return false;
	*place = unpack(packed);
	return place->day >= x->oldest;
}

bool
index_failed(struct index *x)
{
	if (x->db == NULL || !x->db->fatal)
		return false;
	unlinkat(x->dir, NAME, 0);
	return true;
}

/* ---- is it as on disk? ---- */

/*
 * After a crash of the machine the index may be a mixture of old and new pages.
 * So replay/lock says in which life of the machine it was changed last, unless
 * it was synced since.
 */
static int
read_boot(char boot[BOOT_TEXT])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return -1;
	n = file_pread(fd, boot, BOOT_TEXT, 0);
	close(fd);
	if (n == BOOT_TEXT)
		return 0;
	errno = EIO;
	return -1;
}

/* Did it come through what happened to the machine? */
static bool
is_of_this_life(struct index *x)
{
	char boot[BOOT_TEXT], then[BOOT_TEXT + 1];
	ssize_t n = file_pread(x->lock, then, sizeof(then), 0);

	x->changing = n == BOOT_TEXT && read_boot(boot) == 0 &&
	    memcmp(boot, then, BOOT_TEXT) == 0;
	return n == 0 || x->changing;
}

static int
say_changing(struct index *x)
{
	char boot[BOOT_TEXT];

	if (x->changing)
		return 0;
	if (read_boot(boot) == -1 || ftruncate(x->lock, BOOT_TEXT) == -1 ||
	    file_pwrite(x->lock, boot, BOOT_TEXT, 0) == -1 ||
	    fdatasync(x->lock) == -1)
		return -1;
	x->changing = true;
	return 0;
}

void
index_settle(struct index *x)
{
	int fd;

	if (!x->changing || x->db == NULL ||
	    (fd = openat(x->dir, NAME, O_RDONLY | O_CLOEXEC)) == -1)
		return;
	if (fsync(fd) == 0 && fsync(x->dir) == 0 && ftruncate(x->lock, 0) == 0)
		x->changing = false;
	close(fd);
}

/* ---- changing it ---- */

/* To be changed, or made: the directory is locked then. NULL and a fault. */
static TCHDB *
begin(struct index *x, bool anew, struct fault *f)
{
	const char *name = anew ? NEW_NAME : NAME;
	char path[64];
	TCHDB *db;
	int fd;

	if (say_changing(x) == -1) {
		failed(f, "lock");
		return NULL;
	}
	/* Tokyo Cabinet would let everybody read it */
	if (anew && ((fd = openat(x->dir, name, O_WRONLY | O_CREAT | O_TRUNC |
	    O_CLOEXEC, 0600)) == -1 || close(fd) == -1)) {
		failed(f, name);
		return NULL;
	}
	put_down(x);
	path_of(x, name, path);
	if ((db = cabinet()) == NULL || file_lock(x->dir, LOCK_EX) == -1) {
		failed(f, name);
	} else if (!tchdbopen(db, path, HDBOWRITER | HDBONOLCK)) {
		trouble(db, f);
		file_lock(x->dir, LOCK_UN);
	} else {
		errno = 0;
		return db;
	}
	if (db != NULL)
		tchdbdel(db);
	return NULL;
}

/* It is whole, or (rc -1) gone. */
static int
end(struct index *x, TCHDB *db, bool anew, int rc, struct fault *f)
{
	if (rc == 0 && (!write_days(x, db) || !tchdbclose(db)))
		rc = trouble(db, f);
	else if (rc == 0 && cabinet_lost())
		rc = failed(f, NAME);
	tchdbdel(db);
	if (rc == -1)
		unlinkat(x->dir, anew ? NEW_NAME : NAME, 0);
	else if (anew && renameat(x->dir, NEW_NAME, x->dir, NAME) == -1)
		rc = failed(f, NAME);
	if (rc == 0 && !open_to_look(x))
		rc = fault_set(f, FAULT_INTERNAL,
		    "replay/" NAME ": it cannot be read");
	file_lock(x->dir, LOCK_UN);
	return rc;
}

/* What stands in front of an offset; -1 and errno. */
static int
tail_crc(int fd, uint64_t offset, uint32_t *crc)
{
	char tail[TAIL];
	size_t n = offset < TAIL ? (size_t)offset : TAIL;

	if (file_pread(fd, tail, n, (off_t)(offset - n)) != (ssize_t)n)
		return -1;
	*crc = crc32c(0, tail, n);
	return 0;
}

/* Keys of the whole lines that begin `text`; 0 or -1. */
static int
put_lines(struct index *x, TCHDB *db, struct index_day *day, const char *text,
    size_t len)
{
	struct index_place place = { .day = day_of(day->name) };
	uint8_t key[LETTER_KEY];
	const char *nl;
	uint64_t packed;
	size_t at = 0, n;

	while ((nl = memchr(text + at, '\n', len - at)) != NULL) {
		n = (size_t)(nl - (text + at));
		place.offset = day->offset;
		packed = pack(&place);
		if (index_key(&x->json, text + at, n, key)) {
			if (!tchdbputasync(db, key, sizeof(key), &packed,
			    sizeof(packed)))
				return -1;
			day->keys++;
		}
		day->offset += n + 1;
		at += n + 1;
	}
	return 0;
}

/* Lines of a day that are new. 0, or -1 and errno, or Tokyo Cabinet's error. */
static int
feed_file(struct index *x, TCHDB *db, struct index_day *day, int fd)
{
	uint64_t at = day->offset, from;
	ssize_t n;
	char *room;

	buf_reset(&x->chunk, 2 * CHUNK);
	for (;;) {
		if ((room = buf_room(&x->chunk, CHUNK)) == NULL)
			return -1;
		if ((n = file_pread(fd, room, CHUNK, (off_t)at)) == -1)
			return -1;
		if (n == 0)
			break; /* what is left has no newline: it is torn */
		at += (uint64_t)n;
		buf_grew(&x->chunk, (size_t)n);
		from = day->offset;
		if (put_lines(x, db, day, buf_data(&x->chunk),
		    x->chunk.len) == -1)
			return -1;
		buf_take(&x->chunk, (size_t)(day->offset - from));
	}
	return tail_crc(fd, day->offset, &day->crc);
}

static int
feed(struct index *x, TCHDB *db, struct index_day *day, struct fault *f)
{
	int fd, rc;

	if ((fd = openat(x->dir, day->name, O_RDONLY | O_CLOEXEC)) == -1)
		return fault_errno(f, FAULT_INTERNAL, "replay/%s", day->name);
	rc = feed_file(x, db, day, fd);
	if (rc == -1 && tchdbecode(db) != TCESUCCESS)
		trouble(db, f);
	else if (rc == -1)
		fault_errno(f, FAULT_INTERNAL, "replay/%s", day->name);
	close(fd);
	return rc;
}

/* ---- days ---- */

struct file {
	char name[DAY_NAME];
	uint64_t size;
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name,
	    ((const struct file *)b)->name);
}

static int
of_name(const void *name, const void *file)
{
	return strcmp(name, ((const struct file *)file)->name);
}

/* A day's file counts, or is removed. 0, or -1 and errno. */
static int
add_file(struct index *x, const char *name, struct file **files, size_t *n)
{
	struct file *more;
	struct stat st;

	if (day_of(name) < x->oldest) {
		if (x->write && day_of(name) != -1)
			unlinkat(x->dir, name, 0);
		return 0;
	}
	if (fstatat(x->dir, name, &st, 0) == -1 ||
	    (more = array_room(*files, *n, sizeof(*more))) == NULL)
		return -1;
	*files = more;
	more += (*n)++;
	memcpy(more->name, name, sizeof(more->name));
	more->size = (uint64_t)st.st_size;
	return 0;
}

/* All files that count, in order. 0, or -1 and errno. */
static int
list_files(struct index *x, struct file **files, size_t *n)
{
	DIR *dir = file_opendir(x->dir, ".", 0);
	struct dirent *e;
	int rc = 0;

	*files = NULL;
	*n = 0;
	if (dir == NULL)
		return -1;
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL)
		if (daybook_is_name(e->d_name))
			rc = add_file(x, e->d_name, files, n);
	if (errno != 0)
		rc = -1;
	if (*n > 0)
		qsort(*files, *n, sizeof(**files), by_name);
	closedir(dir);
	return rc;
}

static const struct file *
find_file(const struct file *files, size_t n, const char *name)
{
	return n == 0 ? NULL : bsearch(name, files, n, sizeof(*files), of_name);
}

static struct index_day *
find_day(const struct index *x, const char *name)
{
	for (size_t i = x->ndays; i > 0; i--)
		if (strcmp(x->days[i - 1].name, name) == 0)
			return &x->days[i - 1];
	return NULL;
}

/* Days that do not count any more are not known any more. */
static bool
forget_days(struct index *x)
{
	size_t i, n = 0;

	for (i = 0; i < x->ndays; i++)
		if (day_of(x->days[i].name) >= x->oldest)
			x->days[n++] = x->days[i];
	i = x->ndays;
	x->ndays = n;
	return n < i;
}

/* Is what the index knows of a day still there? */
static bool
day_fits(const struct index *x, const struct index_day *day,
    const struct file *file)
{
	uint32_t crc;
	bool ok;
	int fd;

	if (file == NULL || file->size < day->offset ||
	    (fd = openat(x->dir, day->name, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	ok = tail_crc(fd, day->offset, &crc) == 0 && crc == day->crc;
	close(fd);
	return ok;
}

/* Is the index of these files, and not mostly of days that are gone? */
static bool
fits(const struct index *x, const struct file *files, size_t n)
{
	uint64_t keys = 0;

	for (size_t i = 0; i < x->ndays; i++) {
		if (!day_fits(x, &x->days[i],
		    find_file(files, n, x->days[i].name)))
			return false;
		keys += x->days[i].keys;
	}
	return tchdbrnum(x->db) <= 2 * keys + JUNK_MIN;
}

static bool
is_behind(const struct index *x, const struct file *files, size_t n)
{
	const struct index_day *day;

	for (size_t i = 0; i < n; i++) {
		day = find_day(x, files[i].name);
		if (files[i].size > (day == NULL ? 0 : day->offset))
			return true;
	}
	return false;
}

static int
feed_all(struct index *x, TCHDB *db, const struct file *files, size_t n,
    struct fault *f)
{
	struct index_day *day;
	size_t i;

	for (i = 0; i < n; i++) {
		if ((day = find_day(x, files[i].name)) == NULL) {
			day = array_room(x->days, x->ndays, sizeof(*day));
			if (day == NULL)
				return fault_set(f, FAULT_INTERNAL,
				    "out of memory");
			x->days = day;
			day += x->ndays++;
			*day = (struct index_day){ .offset = 0 };
			memcpy(day->name, files[i].name, sizeof(day->name));
		}
		if (files[i].size > day->offset && feed(x, db, day, f) == -1)
			return -1;
	}
	return 0;
}

static int
bring_up(struct index *x, const struct file *files, size_t n, struct fault *f)
{
	bool forgot, anew;
	TCHDB *db;

	if (file_lock(x->dir, LOCK_SH) == -1)
		return fault_errno(f, FAULT_INTERNAL, "replay");
	anew = !is_of_this_life(x) || !open_to_look(x);
	file_lock(x->dir, LOCK_UN);
	forgot = forget_days(x);
	anew = anew || !fits(x, files, n);
	if (!anew && !forgot && !is_behind(x, files, n))
		return 0;
	if ((db = begin(x, anew, f)) == NULL)
		return -1;
	if (anew)
		x->ndays = 0;
	return end(x, db, anew, feed_all(x, db, files, n, f), f);
}

int
index_update(struct index *x, struct fault *f)
{
	struct file *files;
	size_t n;
	int rc;

	x->oldest = oldest_day();
	if ((rc = list_files(x, &files, &n)) == -1)
		fault_errno(f, FAULT_INTERNAL, "replay");
	else
		rc = bring_up(x, files, n, f);
	free(files);
	return rc;
}

void
index_free(struct index *x)
{
	put_down(x);
	free(x->days);
	buf_free(&x->chunk);
	json_free(&x->json);
}
