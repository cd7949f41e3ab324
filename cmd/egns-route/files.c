/* the lines of a maildir, as a supply */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "quote.h"
#include "supplies.h"

struct files {
	struct supply supply; /* first */
	struct intake intake;
	int (*event)(const char *, size_t, const char *, struct buf *, void *,
	    struct fault *);
	void *arg;
};

static int
files_take(struct supply *s, size_t max_bytes, size_t max_files,
    struct batch **list)
{
	return intake_take(&((struct files *)s)->intake, max_bytes, max_files,
	    list);
}

static int
files_gather(struct supply *s, size_t max_bytes, size_t max_files)
{
	return intake_gather(&((struct files *)s)->intake, max_bytes,
	    max_files);
}

static int
files_done(struct supply *s, const struct batch *b)
{
	return intake_done(&((struct files *)s)->intake, b);
}

/* RUN/NUMBER: what a line keeps, whatever becomes of its file. */
static int
files_event(struct supply *s, const struct batch *b, uint64_t number,
    const char *line, size_t len, struct buf *out, struct fault *f)
{
	struct files *files = (struct files *)s;
	char id[16 + 1 + 20 + 1];

	snprintf(id, sizeof(id), "%016" PRIx64 "/%" PRIu64, b->run, number);
	return files->event(line, len, id, out, files->arg, f);
}

static void
files_free(struct supply *s)
{
	intake_close(&((struct files *)s)->intake);
	free(s);
}

static void
corrupt(const char *name, const char *why, void *arg)
{
	const struct intake *in = arg;
	char q[QUOTE_MAX];

	log_warn("%s: %s: %s; it is in %s/corrupt/ now", in->path,
	    quote(q, name, strlen(name)), why, in->path);
}

struct supply *
files_new(const struct spool *spool, const char *path,
    int (*event)(const char *line, size_t, const char *id, struct buf *,
	void *arg, struct fault *), void *arg, struct fault *f)
{
	static const struct supply_calls calls = {
		.take = files_take, .gather = files_gather, .done = files_done,
		.event = files_event, .free = files_free,
	};
	struct files *files = calloc(1, sizeof(*files));

	if (files == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	files->supply.calls = &calls;
	files->event = event;
	files->arg = arg;
	if (intake_open(&files->intake, spool->fd, path, corrupt,
	    &files->intake) == 0)
		return &files->supply;
	fault_errno(f, FAULT_INTERNAL, "%s", path);
	free(files);
	return NULL;
}
