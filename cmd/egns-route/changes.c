/* the changes of the registry, as a supply */
#include "changes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file.h"
#include "jq.h"
#include "registry.h"
#include "segment.h"
#include "supplies.h"
#include "uuid.h"

#define PATH "namespace/changes.ndjson"
#define MARK "lifecycle/changes"
#define MARK_MAX 256
#define LINE_MAX_BYTES (16 * 1024 * 1024) /* of a line: a resource, mostly */

/*
 * A line's number is its place in the file, from 1. Lines are given away when
 * their transaction is whole, and safe; the file is read in pieces, and nothing
 * of it is kept.
 */
struct changes {
	struct supply supply; /* first */
	const struct spool *spool;
	int (*event)(const char *, size_t, const char *, struct buf *, void *,
	    struct fault *);
	void *arg;
	char uid[UUID_SIZE]; /* of the namespace */
	struct json json;

	uint64_t skip;   /* lines up to this one are not given */
	bool placed;     /* and that is the last word */
	ino_t file;      /* what the rest is about */
	uint64_t at;     /* offset of the next line */
	uint64_t line;   /* its number */
	uint64_t whole;  /* up to here transactions are */
	uint64_t transaction; /* the last one of these */
	uint64_t marked; /* number in MARK */
};

/* ---- the file ---- */

/* Open it; when it is another one than before, all begins anew. */
static int
open_file(struct changes *c, uint64_t *size)
{
	struct stat st;
	int fd = openat(c->spool->fd, PATH, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return -1;
	if (fstat(fd, &st) == -1) {
		close(fd);
		return -1;
	}
	*size = (uint64_t)st.st_size;
	if (!c->placed || c->file != st.st_ino || *size < c->whole) {
		if (c->placed && c->skip < c->line - 1)
			c->skip = c->line - 1;
		c->file = st.st_ino;
		c->placed = false;
		c->at = c->whole = c->transaction = 0;
		c->line = 1;
	}
	return fd;
}

/* What is not a line of the registry's is for people to look at. */
static int
damaged(void)
{
	errno = EBADMSG;
	return -1;
}

/* ---- where to begin ---- */

/* The value of lifecycleTopicResourceId as the line has it; 0: none. */
static size_t
topic_of(struct changes *c, const struct change *ch, const char **value)
{
	static const char name[] = "lifecycleTopicResourceId";
	const struct json *js = &c->json;
	uint32_t t;

	if (ch->resource == NULL ||
	    (t = json_member(js, 0, "resource", 8)) == 0 ||
	    (t = json_member(js, t, "properties", 10)) == 0 ||
	    (t = json_member(js, t, name, sizeof(name) - 1)) == 0 ||
	    js->tok[t].type != JSON_STRING)
		return 0;
	*value = js->text + js->tok[t].start;
	return js->tok[t].end - js->tok[t].start;
}

/* Of the line that is the last to have changed that value: its number. */
static int
find_set(struct changes *c, int fd, uint64_t size, uint64_t *set)
{
	struct segment_reader r = { .fd = fd, .end = size,
		.max = LINE_MAX_BYTES };
	struct buf topic = { 0 };
	const char *line, *value;
	struct change ch;
	uint64_t number = 0;
	size_t len, n;
	int rc;

	*set = 0;
	while ((rc = segment_line(&r, &line, &len)) == 1) {
		number++;
		/* few are, and looking is cheaper than reading */
		if (line == NULL || memmem(line, len,
		    "\"path\":\"namespace\"", 18) == NULL ||
		    !changes_parse(&c->json, line, len - 1, &ch) ||
		    ch.path_len != 9 || memcmp(ch.path, "namespace", 9) != 0)
			continue;
		n = topic_of(c, &ch, &value);
		if (n == topic.len && (n == 0 ||
		    memcmp(value, buf_data(&topic), n) == 0))
			continue;
		*set = number;
		buf_reset(&topic, SIZE_MAX);
		if (n > 0)
			buf_add(&topic, value, n);
	}
	segment_reader_free(&r);
	buf_free(&topic);
	return rc;
}

/* Lines up to this one have arrived, as far as we have written down. */
static void
read_mark(struct changes *c)
{
	size_t len;
	char *text = spool_read(c->spool->fd, MARK, MARK_MAX, &len);
	uint32_t t;
	int64_t n;

	if (text != NULL && json_scan(&c->json, text, len, NULL) == 0 &&
	    (t = json_member(&c->json, 0, "line", 4)) != 0 &&
	    c->json.tok[t].type == JSON_NUMBER &&
	    json_int64(&c->json, t, &n) && n > 0)
		c->marked = (uint64_t)n;
	free(text);
}

static int
place(struct changes *c, int fd, uint64_t size)
{
	uint64_t set;

	if (c->placed)
		return 0;
	if (find_set(c, fd, size, &set) == -1)
		return -1;
	if (c->skip < set)
		c->skip = set;
	if (c->skip < c->marked)
		c->skip = c->marked;
	c->placed = true;
	return 0;
}

/* ---- whole transactions ---- */

/* Behind c->whole: as many as make `enough` bytes in all, or up to the end. */
static int
find_whole(struct changes *c, int fd, uint64_t size, uint64_t enough)
{
	struct segment_reader r = { .fd = fd, .at = c->whole, .end = size,
		.max = LINE_MAX_BYTES };
	uint64_t before = c->whole, at = c->whole;
	uint32_t seen = 0;
	struct change ch;
	const char *line;
	size_t len;
	int rc = 1;

	while (c->whole < enough &&
	    (rc = segment_line(&r, &line, &len)) == 1) {
		if (line == NULL ||
		    !changes_parse(&c->json, line, len - 1, &ch) ||
		    ch.transaction != c->transaction + 1 ||
		    ch.number != ++seen) {
			rc = damaged();
			break;
		}
		at += len;
		if (ch.number < ch.of)
			continue;
		c->whole = at;
		c->transaction = ch.transaction;
		seen = 0;
	}
	segment_reader_free(&r);
	json_trim(&c->json);
	if (rc == -1)
		return -1;
	/* the writer may not have come to it yet */
	if (c->whole > before && fdatasync(fd) == -1) {
		errno = EIO;
		return -1;
	}
	return 0;
}

/* Whole lines from c->at on, about max bytes; NULL and errno. */
static char *
read_lines(struct changes *c, int fd, size_t max, size_t *len)
{
	uint64_t rest = c->whole - c->at;
	size_t size = rest < max ? (size_t)rest : max;
	char *text, *nl;
	ssize_t n;

	for (;; size = rest < 2 * size ? (size_t)rest : 2 * size) {
		if ((text = malloc(size)) == NULL)
			return NULL;
		n = file_pread(fd, text, size, (off_t)c->at);
		nl = n <= 0 ? NULL : memrchr(text, '\n', (size_t)n);
		if (nl != NULL) {
			*len = (size_t)(nl - text) + 1;
			return text;
		}
		free(text);
		if (n < (ssize_t)size || size == rest) {
			if (n != -1)
				damaged();
			return NULL;
		}
	}
}

/* Take lines off the front that are not to be given. */
static void
pass_over(struct changes *c, char *text, size_t *len)
{
	const char *p = text, *end = text + *len;

	for (; p < end && c->line <= c->skip; c->line++)
		p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
	*len = (size_t)(end - p);
	memmove(text, p, *len);
}

static struct batch *
make_batch(struct changes *c, char *text, size_t len)
{
	struct batch *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	strcpy(b->name, "changes.ndjson");
	b->proof.bytes = len;
	b->proof.lines = maildir_lines(text, len);
	b->run = c->supply.run;
	b->first = c->line;
	b->text = text;
	c->line += b->proof.lines;
	return b;
}

static int
take_from(struct changes *c, int fd, uint64_t size, size_t max,
    struct batch **list)
{
	char *text;
	size_t len;

	while (*list == NULL) {
		if (c->at == c->whole &&
		    find_whole(c, fd, size, c->at + max) == -1)
			return -1;
		if (c->at == c->whole)
			return 0;
		if ((text = read_lines(c, fd, max, &len)) == NULL)
			return -1;
		c->at += len;
		pass_over(c, text, &len);
		if (len == 0)
			free(text);
		else if ((*list = make_batch(c, text, len)) == NULL) {
			free(text);
			c->at -= len;
			errno = ENOMEM;
			return -1;
		}
	}
	return 0;
}

/* ---- the supply ---- */

static int
changes_take(struct supply *s, size_t max_bytes, size_t max_files,
    struct batch **list)
{
	struct changes *c = (struct changes *)s;
	uint64_t size;
	int fd, rc;

	(void)max_files;
	*list = NULL;
	if ((fd = open_file(c, &size)) == -1)
		return -1;
	if ((rc = place(c, fd, size)) == 0)
		rc = take_from(c, fd, size, max_bytes, list);
	return file_close(fd, rc);
}

/*
 * For targets that do not remember, and for what was dropped. Not synced: what
 * is behind it may be sent again, after a crash of the machine.
 */
static int
changes_done(struct supply *s, const struct batch *b)
{
	struct changes *c = (struct changes *)s;
	uint64_t last = b->first + b->proof.lines - 1;
	char text[MARK_MAX];
	int n;

	if (last <= c->marked)
		return 0;
	n = snprintf(text, sizeof(text), "{\"line\":%" PRIu64 "}\n", last);
	if (spool_replace(c->spool->fd, MARK, text, (size_t)n, false) == -1)
		return -1;
	c->marked = last;
	return 0;
}

static int
changes_event(struct supply *s, const struct batch *b, uint64_t number,
    const char *line, size_t len, struct buf *out, struct fault *f)
{
	struct changes *c = (struct changes *)s;
	char id[UUID_SIZE + 24];

	(void)b;
	snprintf(id, sizeof(id), "%s/%" PRIu64, c->uid, number);
	return c->event(line, len, id, out, c->arg, f);
}

static void
changes_begin(struct supply *s, uint64_t number)
{
	struct changes *c = (struct changes *)s;

	c->skip = number;
	c->placed = false;
}

static void
changes_free(struct supply *s)
{
	json_free(&((struct changes *)s)->json);
	free(s);
}

/* The namespace's uid, and the run that it stands for. */
static int
identify(struct changes *c, struct fault *f)
{
	struct registry *r = registry_open(c->spool, false, f);
	const char *uid;
	jv namespace;
	unsigned i = 0;

	if (r == NULL)
		return -1;
	namespace = registry_get(r, "namespace");
	uid = jq_str(namespace, "uid");
	snprintf(c->uid, sizeof(c->uid), "%s", uid == NULL ? "" : uid);
	jv_free(namespace);
	registry_close(r);
	for (const char *p = c->uid; *p != '\0' && i < 16; p++)
		if (*p != '-') {
			c->supply.run = c->supply.run << 4 |
			    (uint64_t)(*p <= '9' ? *p - '0' : (*p & 7) + 9);
			i++;
		}
	return c->supply.run != 0 ? 0 :
	    fault_set(f, FAULT_NOT_FOUND, "there is no namespace");
}

struct supply *
changes_new(const struct spool *spool,
    int (*event)(const char *line, size_t, const char *id, struct buf *,
	void *arg, struct fault *), void *arg, struct fault *f)
{
	static const struct supply_calls calls = {
		.take = changes_take, .done = changes_done,
		.event = changes_event, .begin = changes_begin,
		.free = changes_free,
	};
	struct changes *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	c->supply.calls = &calls;
	c->spool = spool;
	c->event = event;
	c->arg = arg;
	if (identify(c, f) == -1) {
		free(c);
		return NULL;
	}
	if (spool_mkdir(spool->fd, "lifecycle", 0700) == -1) {
		fault_errno(f, FAULT_INTERNAL, "lifecycle");
		free(c);
		return NULL;
	}
	read_mark(c);
	return &c->supply;
}
