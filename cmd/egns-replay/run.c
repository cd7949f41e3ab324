#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "quote.h"
#include "registry.h"
#include "run.h"

/* ---- what becomes of letters ---- */

static bool
is_later(const struct fault *f)
{
	return f->code == FAULT_UNAVAILABLE || f->code == FAULT_TOO_MANY;
}

/* The same words are said once. */
static void
say(struct run *run, const struct fault *f)
{
	if (strcmp(run->said, f->text) == 0)
		return;
	snprintf(run->said, sizeof(run->said), "%s", f->text);
	tally_say(&run->tally, "%s", f->text);
}

static void
later(struct run *run, const struct fault *f)
{
	run->tally.later++;
	run->down = run->down || f->code == FAULT_UNAVAILABLE;
	say(run, f);
}

static void
refused(struct run *run, const struct returned *r, const struct fault *f)
{
	struct fault all;
	char q[QUOTE_MAX];

	run->tally.refused++;
	if (f->code == FAULT_FORBIDDEN || f->code == FAULT_UNAUTHORIZED)
		run->tally.status = fault_exit(f->code);
	else if (run->tally.status == 0)
		run->tally.status = EX_DATAERR;
	if (f->code != FAULT_BAD_REQUEST && f->code != FAULT_TOO_LARGE) {
		say(run, f); /* it will be the same for others */
		return;
	}
	fault_set(&all, f->code, "%.100s/%.255s: line %llu: %.100s",
	    r->container, quote(q, r->blob, strlen(r->blob)),
	    (unsigned long long)r->line, f->text);
	say(run, &all);
}

static void
on_returned(const struct returned *r, enum returns_result result,
    const struct fault *f, void *arg)
{
	struct run *run = arg;
	enum leaving_state state = LEAVING_STAYS;

	switch (result) {
	case RETURNS_STORED:
		run->tally.replayed++;
		state = LEAVING_GOES;
		break;
	case RETURNS_BEFORE:
		run->tally.before++;
		state = LEAVING_GOES;
		break;
	case RETURNS_REFUSED: refused(run, r, f); break;
	case RETURNS_LATER: later(run, f); break;
	}
	leaving_result(&run->leaving, r->owner, r->line, state);
}

/* Nobody has to be there until something is to be published. */
static struct returns *
returns(void *arg, struct fault *f)
{
	struct run *run = arg;

	if (run->returns == NULL)
		run->returns = returns_new(&run->spool, run->ledger,
		    run->opt->rate, on_returned, run, f);
	return run->returns;
}

static int
rehydrate(struct run *run, const struct letter *letter,
    const struct letter_place *place, struct leaving_blob *blob,
    const struct decision *d, struct fault *f)
{
	struct returned r = { .again = run->opt->again, .owner = blob };
	const struct buf *event = &run->decider.text;

	if (run->down || returns(run, f) == NULL) {
		if (!run->down && f->code != FAULT_UNAVAILABLE)
			return -1;
		if (!run->down)
			say(run, f);
		run->down = true;
		run->tally.later++;
		leaving_stays(blob);
		return 0;
	}
	memcpy(r.key, d->key, LETTER_KEY);
	buf_reset(&run->id, BLOB_NAME);
	json_string(letter->json, letter->id, &run->id);
	buf_add(&run->id, "", 1);
	leaving_describe(&r, letter, place->container, leaving_name(blob),
	    place->path);
	r.id = buf_data(&run->id);
	r.topic = d->topic;
	r.subscription = d->subscription;
	if (run->id.bad || leaving_letter(blob, d->key, letter->number,
	    LEAVING_WAITS) == -1)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	run->done++;
	return returns_add(run->returns, &r, d->to_topic, buf_data(event),
	    event->len, f);
}

static void
count(struct run *run, const struct letter *letter, const struct decision *d)
{
	struct tally *t = &run->tally;

	if (d->action == ACTION_REHYDRATE)
		t->replayed++;
	else if (d->action == ACTION_QUARANTINE && run->quarantine)
		t->quarantined++;
	else if (d->action == ACTION_SKIP)
		t->before += d->replayed;
	else
		tally_held(t, letter->reason_text);
	run->done += d->action == ACTION_REHYDRATE ||
	    (d->action == ACTION_QUARANTINE && run->quarantine);
}

/* What was to go back, and cannot: somebody has to do something. The words about
 * a subscription that is gone are the same for all its letters. */
static void
stuck(struct run *run, const struct letter *letter,
    const struct letter_place *place, const struct decision *d)
{
	char q[QUOTE_MAX];
	struct fault f;

	run->tally.stuck++;
	if (d->nowhere)
		fault_set(&f, FAULT_NOT_FOUND, "%s/%s: %.300s", d->topic,
		    d->subscription, d->why);
	else
		fault_set(&f, FAULT_BAD_REQUEST, "%.100s/%.200s: line %llu: "
		    "%.160s", container_name(place->container), quote(q,
		    place->blob, strlen(place->blob)),
		    (unsigned long long)letter->number, d->why);
	say(run, &f);
}

static int
hand_over(struct run *run, const struct letter *letter,
    const struct letter_place *place, struct leaving_blob *blob,
    const struct decision *d, struct fault *f)
{
	enum leaving_state state = LEAVING_STAYS;

	if (d->action == ACTION_REHYDRATE)
		return rehydrate(run, letter, place, blob, d, f);
	if (d->action == ACTION_QUARANTINE && run->quarantine &&
	    !place->path->quarantine) {
		run->done++;
		state = LEAVING_ASIDE;
	} else if (d->action == ACTION_SKIP && d->replayed) {
		run->tally.before++;
		state = LEAVING_GOES;
	} else if (d->action != ACTION_SKIP) {
		tally_held(&run->tally, letter->reason_text);
		if (d->stuck)
			stuck(run, letter, place, d);
	}
	if (state == LEAVING_STAYS)
		leaving_stays(blob);
	else if (leaving_letter(blob, d->key, letter->number, state) == -1)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

int
run_letter(struct run *run, const struct letter *letter,
    const struct letter_place *place, const struct wish *wish,
    struct leaving_blob *blob, struct decision *d, struct fault *f)
{
	if (decide(&run->decider, letter, place, wish, d, f) == -1)
		return -1;
	if (blob == NULL) {
		count(run, letter, d);
		return 0;
	}
	if (hand_over(run, letter, place, blob, d, f) == -1)
		return -1;
	leaving_settle(&run->leaving);
	return 0;
}

int
run_blob_end(struct run *run, struct leaving_blob *blob, const char *etag,
    struct fault *f)
{
	leaving_close(&run->leaving, blob, etag);
	leaving_settle(&run->leaving);
	return run->leaving.n < LEAVING_BLOBS ? 0 : run_flush(run, f);
}

int
run_flush(struct run *run, struct fault *f)
{
	if (run->returns != NULL && returns_flush(run->returns, f) == -1)
		return -1;
	leaving_settle(&run->leaving);
	return 0;
}

void
run_abandon(struct run *run)
{
	returns_free(run->returns);
	run->returns = NULL;
	leaving_abandon(&run->leaving);
}

void
run_trouble(struct run *run, const char *container, const char *blob,
    uint64_t line, const struct fault *f)
{
	char q[QUOTE_MAX], at[32] = "";

	/* another one has dealt with it since it was listed */
	if (blob != NULL && line == 0 && f->code == FAULT_NOT_FOUND)
		return;
	if (line == 0 && is_later(f))
		run->tally.unreadable = true;
	else if (line == 0 && run->tally.status == 0)
		run->tally.status = EX_IOERR;
	if (line > 0)
		snprintf(at, sizeof(at), ": line %llu",
		    (unsigned long long)line);
	if (blob == NULL)
		tally_say(&run->tally, "%s: %s", container, f->text);
	else
		tally_say(&run->tally, "%s/%s%s: %s", container, quote(q, blob,
		    strlen(blob)), at, f->text);
}

/* ---- begin and end ---- */

static int
open_containers(struct run *run, struct fault *f)
{
	run->use.loop = ev_default_loop(0);
	run->use.spool = &run->spool;
	if (run->use.loop == NULL)
		return fault_set(f, FAULT_INTERNAL, "no event loop");
	run->use.fetcher = fetcher_new(run->use.loop, jq_str(run->use.namespace,
	    "properties.trustedCertificates"), f);
	return run->use.fetcher == NULL ? -1 : 0;
}

static int
read_policy(struct run *run, struct fault *f)
{
	const char *file = run->opt->policy;

	run->policy = file != NULL ? policy_read(file, f) : policy_builtin();
	if (run->policy == NULL && file == NULL)
		fault_set(f, FAULT_INTERNAL, "out of memory");
	return run->policy == NULL ? -1 : 0;
}

int
run_begin(struct run *run, const struct options *opt, struct fault *f)
{
	*run = (struct run){ .opt = opt, .spool.fd = -1,
		.quarantine = opt->quarantine || opt->plan != NULL };
	run->use.namespace = jv_invalid();
	leaving_init(&run->leaving);
	run->leaving.tally = &run->tally;
	run->leaving.returns = returns;
	run->leaving.arg = run;
	run->leaving.keep = opt->keep;
	if (read_policy(run, f) == -1 ||
	    spool_open(&run->spool, opt->spool, f) == -1 ||
	    (run->registry = registry_open(&run->spool, false, f)) == NULL)
		return -1;
	run->use.namespace = registry_get(run->registry, "namespace");
	if (known_read(&run->known, run->registry, f) == -1 ||
	    open_containers(run, f) == -1 ||
	    (run->ledger = ledger_open(&run->spool, !opt->dry, f)) == NULL)
		return -1;
	run->decider = (struct decider){ .opt = opt, .policy = run->policy,
		.known = &run->known, .ledger = run->ledger };
	return 0;
}

static void
close_all(struct run *run)
{
	returns_free(run->returns);
	if (run->ledger != NULL)
		ledger_close(run->ledger);
	decide_free(&run->decider);
	known_free(&run->known);
	policy_free(run->policy);
	buf_free(&run->id);
	if (run->use.fetcher != NULL)
		fetcher_free(run->use.fetcher);
	jv_free(run->use.namespace);
	if (run->registry != NULL)
		registry_close(run->registry);
	if (run->spool.fd != -1)
		spool_close(&run->spool);
}

int
run_end(struct run *run, int rc, const struct fault *f)
{
	struct tally *t = &run->tally;
	int status;

	if (rc == -1) {
		warnx("%s", f->text);
		t->status = fault_exit(f->code);
		t->unreadable = t->unreadable || is_later(f);
	}
	if (rc == -1 && t->replayed + t->quarantined + t->later == 0)
		status = t->unreadable ? EX_TEMPFAIL : t->status;
	else
		status = tally_end(t, run->opt->dry ? TALLY_PLANNED :
		    TALLY_DONE);
	close_all(run);
	return status;
}
