/* prune: dead letters that nobody wants any more go */
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "array.h"
#include "clock.h"
#include "daybook.h"
#include "look.h"
#include "plain.h"
#include "remains.h"

struct prune {
	struct look look;
	uint64_t troubles;  /* before this blob */
	uint64_t all;       /* letters of it */
	uint64_t *number;   /* of those that go, rising */
	size_t n, next;
	uint64_t letters, blobs; /* that have gone, or would */
};

/* ---- one blob ---- */

/* The line that it leaves. */
static int
note(struct prune *p, const struct letter_place *place, struct fault *f)
{
	const char *container = container_name(place->container);
	const struct blob_path *path = place->path;
	char now[CLOCK_TEXT + 1];
	struct buf b = { 0 };
	int rc;

	clock_format(now, clock_now());
	buf_printf(&b, "{\"time\":\"%s\",\"topic\":", now);
	buf_json(&b, path->topic, strlen(path->topic));
	buf_str(&b, ",\"subscription\":");
	buf_json(&b, path->subscription, strlen(path->subscription));
	buf_str(&b, ",\"container\":");
	buf_json(&b, container, strlen(container));
	buf_str(&b, ",\"blob\":");
	buf_json(&b, place->blob, strlen(place->blob));
	buf_printf(&b, ",\"pruned\":%zu}\n", p->n);
	rc = b.bad ? fault_set(f, FAULT_INTERNAL, "out of memory") :
	    daybook_append(p->look.spool.fd, "deadletter/written", clock_now(),
	    buf_data(&b), b.len);
	if (rc == -1 && !b.bad)
		fault_errno(f, FAULT_INTERNAL, "deadletter/written");
	buf_free(&b);
	return rc;
}

static bool
goes(const struct letter *letter, void *arg)
{
	struct prune *p = arg;

	while (p->next < p->n && p->number[p->next] < letter->number)
		p->next++;
	return p->next < p->n && p->number[p->next] == letter->number;
}

/* What is left of a blob when letters of it go; empty: nothing. */
static int
leave(struct prune *p, const struct letter_place *place, struct buf *left,
    struct fault *f)
{
	char etag[BLOB_ETAG];
	size_t len, taken;
	char *text = container_get(place->container, place->blob,
	    LETTER_BLOB_MAX, &len, etag, f);
	int rc;

	if (text == NULL)
		return -1;
	p->next = 0;
	if (strcmp(etag, place->etag) != 0)
		rc = fault_set(f, FAULT_CONFLICT, "it has changed meanwhile");
	else
		rc = remains_of(left, text, len, goes, p, &taken, f);
	free(text);
	return rc;
}

static int
take_out(struct prune *p, const struct letter_place *place, struct fault *f)
{
	bool whole = p->n == p->all && p->troubles == p->look.troubles;
	struct buf left = { 0 };
	int rc;

	if (!whole && leave(p, place, &left, f) == -1) {
		buf_free(&left);
		return -1;
	}
	if ((rc = note(p, place, f)) == 0)
		rc = left.len == 0 ?
		    container_delete(place->container, place->blob,
		    place->etag, f) :
		    container_replace(place->container, place->blob,
		    place->etag, buf_data(&left), left.len, f);
	buf_free(&left);
	return rc;
}

/* What would go: its number of dead letters, and the blob. */
static int
tell(const struct prune *p, const struct letter_place *place)
{
	const char *container = container_name(place->container);
	struct buf b = { 0 };
	int rc;

	buf_printf(&b, "%zu\t", p->n);
	plain_text(&b, container, strlen(container));
	buf_str(&b, "/");
	plain_text(&b, place->blob, strlen(place->blob));
	buf_str(&b, "\n");
	rc = look_print(buf_data(&b), b.len);
	buf_free(&b);
	return rc;
}

/* ---- the walk ---- */

static int
take(const struct letter *letter, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	struct prune *p = arg;
	uint64_t *room;

	(void)place;
	look_seen(&p->look);
	p->all++;
	if (!selected)
		return 0;
	if ((room = array_room(p->number, p->n, sizeof(*room))) == NULL)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	p->number = room;
	p->number[p->n++] = letter->number;
	return 0;
}

static int
end(const struct letter_place *place, void *arg, struct fault *f)
{
	struct prune *p = arg;
	int rc = 0;

	if (p->n > 0) {
		rc = p->look.opt->dry ? tell(p, place) :
		    take_out(p, place, f);
		if (rc == -1)
			look_trouble(container_name(place->container),
			    place->blob, 0, f, &p->look);
		else {
			p->letters += p->n;
			p->blobs++;
		}
	}
	p->n = 0;
	p->all = 0;
	p->troubles = p->look.troubles;
	return rc == -1 ? 0 : rc;
}

int
verb_prune(struct options *opt, char *words[])
{
	struct selection *s = &opt->selection;
	struct prune p = { .letters = 0 };
	struct fault f;
	int rc, status;

	(void)words;
	if (s->until == 0 || s->until > opt->older)
		s->until = opt->older;
	if ((rc = look_open(&p.look, opt, &f)) == 0) {
		progress_begin(&p.look.progress);
		rc = look_walk(&p.look, take, end, &f);
	}
	look_flush();
	status = look_end(&p.look, rc, &f);
	/* cron mails what was done, and not that nothing was */
	if (p.letters > 0 || (rc == 0 && isatty(STDERR_FILENO)))
		warnx("%" PRIu64 " dead letter%s of %" PRIu64 " blob%s %s",
		    p.letters, p.letters == 1 ? "" : "s", p.blobs,
		    p.blobs == 1 ? "" : "s", !opt->dry ? "removed" :
		    "would be removed");
	free(p.number);
	return status;
}
