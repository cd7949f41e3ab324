/* egns-replay --plan: what is written in a plan, and no more */
#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "array.h"
#include "plan.h"
#include "quote.h"
#include "run.h"

#define CARRY_LINES 65536 /* of a blob, that are carried out in one go */
#define CARRY_CONTAINERS 256

/* A line of the plan. */
struct want {
	uint8_t key[LETTER_KEY];
	uint64_t line; /* of the plan */
	struct wish wish;
	bool seen;
};

struct carry {
	struct run run;
	const char *file; /* for people */
	struct plan_reader plan;
	/* lines that stand together, of one blob */
	struct buf container, blob;
	struct want *wants;
	size_t nwants;
	struct container *open[CARRY_CONTAINERS];
	size_t nopen;
	uint64_t whole; /* bytes of the plan, 0: not known */
};

/* ---- lines of a blob ---- */

static int
by_key(const void *a, const void *b)
{
	const struct want *one = a, *other = b;
	int order = memcmp(one->key, other->key, LETTER_KEY);

	return order != 0 ? order : one->line < other->line ? -1 :
	    one->line > other->line;
}

static int
of_key(const void *key, const void *want)
{
	return memcmp(key, ((const struct want *)want)->key, LETTER_KEY);
}

/* What the plan says of a letter: its last line about it. */
static struct want *
find(const struct carry *c, const struct letter *letter,
    const struct letter_place *place)
{
	uint8_t key[LETTER_KEY];
	struct want *w, *end = c->wants + c->nwants;

	letter_key(letter, place->path->topic, place->path->subscription,
	    place->blob, key);
	w = bsearch(key, c->wants, c->nwants, sizeof(*w), of_key);
	if (w == NULL)
		return NULL;
	while (w > c->wants && of_key(key, w - 1) == 0)
		w--;
	for (; w + 1 < end && of_key(key, w + 1) == 0; w++)
		w->seen = true;
	w->seen = true;
	return w;
}

static int
by_line(const void *a, const void *b)
{
	const struct want *one = a, *other = b;

	return one->line < other->line ? -1 : one->line > other->line;
}

/* Lines whose letters were not met. */
static void
say_missing(struct carry *c)
{
	qsort(c->wants, c->nwants, sizeof(*c->wants), by_line);
	for (size_t i = 0; i < c->nwants; i++) {
		if (!c->wants[i].seen)
			tally_say(&c->run.tally, "%s: line %llu: the letter "
			    "is not there any more", c->file,
			    (unsigned long long)c->wants[i].line);
	}
}

static int
carry_letters(struct carry *c, const struct letter_place *place,
    struct leaving_blob *blob, const char *text, struct fault *f)
{
	struct letters letters = { .text = text, .len = place->size };
	struct letter letter;
	struct decision d;
	struct fault why;
	struct want *w;
	int rc = 0, n;

	while (rc == 0 && (n = letters_next(&letters, &letter, &why)) != 0) {
		w = n == 1 ? find(c, &letter, place) : NULL;
		if (w == NULL)
			leaving_stays(blob);
		else
			rc = run_letter(&c->run, &letter, place, &w->wish, blob,
			    &d, f);
	}
	letters_free(&letters);
	return rc;
}

static int
carry_blob(struct carry *c, struct letter_place *place, struct fault *f)
{
	struct leaving_blob *blob;
	char etag[BLOB_ETAG], *text;
	size_t len;
	int rc;

	text = container_get(place->container, place->blob, LETTER_BLOB_MAX,
	    &len, etag, f);
	if (text == NULL && f->code == FAULT_NOT_FOUND) {
		say_missing(c);
		return 0;
	}
	if (text == NULL) {
		run_trouble(&c->run, container_name(place->container),
		    place->blob, 0, f);
		return 0;
	}
	place->etag = etag;
	place->size = len;
	qsort(c->wants, c->nwants, sizeof(*c->wants), by_key);
	if ((blob = leaving_open(&c->run.leaving, place)) == NULL)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	else
		rc = carry_letters(c, place, blob, text, f);
	free(text);
	if (rc == -1 || run_blob_end(&c->run, blob, etag, f) == -1)
		return -1;
	say_missing(c);
	return 0;
}

/* The registry rests before and behind. */
static struct container *
open_container(struct run *run, const char *name, struct fault *f)
{
	struct container *c = NULL;

	if (registry_resume(run->registry, f) == 0) {
		c = selection_open(&run->use, run->registry, name, f);
		registry_rest(run->registry);
	}
	return c;
}

static struct container *
container(struct carry *c, struct fault *f)
{
	const char *name = buf_data(&c->container);

	for (size_t i = 0; i < c->nopen; i++) {
		if (strcmp(container_name(c->open[i]), name) == 0)
			return c->open[i];
	}
	if (c->nopen == CARRY_CONTAINERS) {
		fault_set(f, FAULT_BAD_REQUEST, "more than %d containers",
		    CARRY_CONTAINERS);
		return NULL;
	}
	c->open[c->nopen] = open_container(&c->run, name, f);
	return c->open[c->nopen] == NULL ? NULL : c->open[c->nopen++];
}

/* All lines that stand together. */
static int
carry_wants(struct carry *c, struct fault *f)
{
	struct letter_place place = { .blob = buf_data(&c->blob) };
	struct blob_path path;
	char q[QUOTE_MAX];
	int rc = 0;

	if (c->nwants == 0)
		return 0;
	blob_path_read(&path, place.blob);
	place.path = &path;
	place.container = container(c, f);
	if (place.container == NULL)
		run_trouble(&c->run, quote(q, buf_data(&c->container),
		    c->container.len - 1), NULL, 0, f);
	else
		rc = carry_blob(c, &place, f);
	c->nwants = 0;
	return rc;
}

/* ---- the plan ---- */

static bool
is_same(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && memcmp(buf_data(a), buf_data(b), a->len) == 0;
}

static int
take(struct carry *c, struct fault *f)
{
	const struct options *opt = c->run.opt;
	struct plan_reader *p = &c->plan;
	struct want *wants;

	if ((c->nwants == CARRY_LINES || !is_same(&p->blob, &c->blob) ||
	    !is_same(&p->container, &c->container)) && carry_wants(c, f) == -1)
		return -1;
	if (c->nwants == 0) {
		buf_reset(&c->container, BLOB_NAME);
		buf_reset(&c->blob, BLOB_NAME);
		buf_add(&c->container, buf_data(&p->container),
		    p->container.len);
		buf_add(&c->blob, buf_data(&p->blob), p->blob.len);
	}
	wants = array_room(c->wants, c->nwants, sizeof(*wants));
	if (wants != NULL)
		c->wants = wants;
	if (wants == NULL || c->container.bad || c->blob.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	wants[c->nwants] = (struct want){ .line = p->in.number,
		.wish = p->wish };
	memcpy(wants[c->nwants].key, p->key, LETTER_KEY);
	if (opt->to != NULL)
		wants[c->nwants].wish.to_topic = strcmp(opt->to, "topic") == 0;
	c->nwants++;
	progress_show(&c->run.tally.progress, p->bytes, c->whole,
	    c->run.tally.replayed, "events replayed");
	return 0;
}

static int
carry_plan(struct carry *c, struct fault *f)
{
	struct fault why;
	int n = 0, rc = 0;

	while (rc == 0 && (n = plan_next(&c->plan, &why)) == 1)
		rc = take(c, f);
	/* what stands before a bad line is done */
	if (rc == 0)
		rc = carry_wants(c, f);
	if (rc == 0)
		rc = run_flush(&c->run, f);
	if (rc == -1)
		run_abandon(&c->run);
	else if (n == -1)
		rc = fault_set(f, why.code, "%s: %.300s", c->file, why.text);
	return rc;
}

int
carry_run(const struct options *opt)
{
	struct carry c = { .plan.in.fd = STDIN_FILENO };
	struct stat st;
	struct fault f;
	char q[QUOTE_MAX];
	int rc;

	c.file = quote(q, opt->plan, strlen(opt->plan));
	if (strcmp(opt->plan, "-") == 0)
		c.file = "standard input";
	else if ((c.plan.in.fd = open(opt->plan, O_RDONLY | O_CLOEXEC)) == -1)
		err(EX_NOINPUT, "%s", c.file);
	if ((rc = run_begin(&c.run, opt, &f)) == 0) {
		registry_rest(c.run.registry);
		progress_begin(&c.run.tally.progress);
		c.whole = fstat(c.plan.in.fd, &st) == 0 ?
		    (uint64_t)st.st_size : 0;
		rc = carry_plan(&c, &f);
	}
	while (c.nopen > 0)
		container_close(c.open[--c.nopen]);
	plan_free(&c.plan);
	buf_free(&c.container);
	buf_free(&c.blob);
	free(c.wants);
	if (c.plan.in.fd != STDIN_FILENO)
		close(c.plan.in.fd);
	return run_end(&c.run, rc, &f);
}
