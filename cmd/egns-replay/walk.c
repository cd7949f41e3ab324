/* egns-replay: over all blobs that are meant */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>

#include "plan.h"
#include "run.h"

#define PRINT_AT 65536 /* bytes of a plan */

struct walk {
	struct run run;
	struct leaving_blob *blob; /* the one that is read; NULL with --dry-run */
	bool enough;
	struct buf out;
	uint64_t read, whole; /* bytes, for the bar */
};

/* ---- how much there is ---- */

static int
add_size(const struct letter_place *place, void *arg, struct fault *f)
{
	struct walk *w = arg;

	(void)f;
	w->whole += place->size;
	return 0;
}

/* Where there is somebody to see it. What cannot be listed will be told of. */
static void
look_ahead(struct walk *w, const struct selection *selection)
{
	const struct letter_walk calls = { .blob = add_size, .arg = w };
	struct fault f;

	progress_begin(&w->run.tally.progress);
	if (w->run.tally.progress.on)
		selection_walk(selection, &w->run.use, w->run.registry, &calls,
		    &f);
}

static void
show(struct walk *w)
{
	const struct options *opt = w->run.opt;

	progress_show(&w->run.tally.progress, w->read, w->whole,
	    w->run.tally.replayed, opt->dry ? "events to replay" :
	    "events replayed");
}

/* ---- the walk ---- */

static int
print(struct walk *w, struct fault *f)
{
	size_t n = w->out.len;

	if (n > 0)
		progress_wipe(&w->run.tally.progress);
	if (w->out.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	if (n > 0 && (fwrite(buf_data(&w->out), 1, n, stdout) != n ||
	    fflush(stdout) == EOF))
		err(EX_IOERR, "standard output");
	buf_reset(&w->out, 2 * PRINT_AT);
	return 0;
}

/* Without an ETag it was not read to its end. */
static int
leave_blob(struct walk *w, const char *etag, struct fault *f)
{
	struct leaving_blob *blob = w->blob;

	w->blob = NULL;
	return blob == NULL ? 0 : run_blob_end(&w->run, blob, etag, f);
}

/* The fault ends the walk, and the containers with it. */
static int
lost(struct walk *w)
{
	w->blob = NULL;
	run_abandon(&w->run);
	return -1;
}

static int
on_blob(const struct letter_place *place, void *arg, struct fault *f)
{
	struct walk *w = arg;

	if (leave_blob(w, NULL, f) == -1)
		return lost(w);
	if (w->enough)
		return 0;
	if (w->run.opt->dry)
		return 1;
	if ((w->blob = leaving_open(&w->run.leaving, place)) == NULL) {
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return lost(w);
	}
	return 1;
}

static int
on_letter(const struct letter *letter, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	struct walk *w = arg;
	uint64_t limit = w->run.opt->selection.limit;
	struct decision d;

	show(w);
	if (!selected || w->enough) {
		if (w->blob != NULL)
			leaving_stays(w->blob);
		return 0;
	}
	if (run_letter(&w->run, letter, place, NULL, w->blob, &d, f) == -1)
		return lost(w);
	w->enough = limit > 0 && w->run.done >= limit;
	if (!w->run.opt->dry)
		return 0;
	plan_add(&w->out, &d, letter, place);
	return w->out.len >= PRINT_AT || w->out.bad ? print(w, f) : 0;
}

static int
on_end(const struct letter_place *place, void *arg, struct fault *f)
{
	struct walk *w = arg;

	if (leave_blob(w, place->etag, f) == -1)
		return lost(w);
	w->read += place->size;
	return w->enough;
}

static int
on_leave(struct container *container, void *arg, struct fault *f)
{
	struct walk *w = arg;

	(void)container;
	if (leave_blob(w, NULL, f) == -1 || run_flush(&w->run, f) == -1)
		return lost(w);
	return 0;
}

static void
on_trouble(const char *container, const char *blob, uint64_t line,
    const struct fault *f, void *arg)
{
	struct walk *w = arg;

	if (w->blob != NULL)
		leaving_stays(w->blob);
	run_trouble(&w->run, container, blob, line, f);
}

static void
on_slip(const struct fault *f, void *arg)
{
	struct walk *w = arg;

	tally_say(&w->run.tally, "%s", f->text);
}

int
walk_run(const struct options *opt)
{
	struct walk w = { 0 };
	const struct letter_walk calls = { on_blob, on_letter, on_end, on_leave,
		on_trouble, on_slip, &w };
	struct selection selection = opt->selection;
	struct fault f;
	int rc;

	/* ours is of letters that something is done with */
	selection.limit = 0;
	if ((rc = run_begin(&w.run, opt, &f)) == 0) {
		look_ahead(&w, &selection);
		rc = registry_resume(w.run.registry, &f);
	}
	if (rc == 0)
		rc = selection_walk(&selection, &w.run.use, w.run.registry,
		    &calls, &f);
	if (rc != -1)
		rc = print(&w, &f);
	buf_free(&w.out);
	return run_end(&w.run, rc, &f);
}
