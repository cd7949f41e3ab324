/* check: is there anything that somebody should look at? For monitoring. */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "groups.h"
#include "look.h"
#include "quote.h"
#include "records.h"

#define REASONS 5 /* that are named */

/* What monitoring plugins return. */
enum { OK, WARNING, CRITICAL, UNKNOWN };
static const char *const states[] = { "OK", "WARNING", "CRITICAL", "UNKNOWN" };

struct findings {
	struct look look;
	struct groups letters, drops; /* by reason */
	uint64_t nletters, ndrops, waiting;
	/* FAULT_NONE: all is known */
	struct fault unsure_letters, unsure_drops;
};

/* ---- what there is ---- */

static void
add(struct groups *groups, const char *reason, uint64_t n)
{
	struct group *g = groups_get(groups, reason, strlen(reason) + 1);

	if (g != NULL)
		g->letters += n;
}

static int
take_letter(const struct letter *letter, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	struct findings *c = arg;

	(void)place, (void)f;
	look_seen(&c->look);
	if (selected) {
		add(&c->letters, look_reason(letter), 1);
		c->nletters++;
	}
	return 0;
}

static void
take_drop(const char *reason, uint64_t count, void *arg)
{
	struct findings *c = arg;

	add(&c->drops, reason, count);
	c->ndrops += count;
}

/* Drops are a thing of the past, and stay on record: those of a day count. */
static void
find_drops(struct findings *c)
{
	struct selection s = c->look.opt->selection;
	struct fault f;

	if (s.since == 0)
		s.since = (s.until != 0 ? s.until : clock_now()) - CLOCK_DAY;
	if (records_dropped(c->look.spool.fd, &s, take_drop, c, &f) == -1)
		c->unsure_drops = f;
}

static void
find_letters(struct findings *c)
{
	struct fault f;
	uint64_t n;

	progress_begin(&c->look.progress);
	if (look_walk(&c->look, take_letter, NULL, &f) == -1)
		c->unsure_letters = f;
	else if ((n = c->look.troubles) > 0)
		fault_set(&c->unsure_letters, FAULT_INTERNAL,
		    "%" PRIu64 " container%s, blob%s or line%s cannot be "
		    "read: %.400s", n, n == 1 ? "" : "s", n == 1 ? "" : "s",
		    n == 1 ? "" : "s", c->look.first.text);
	progress_wipe(&c->look.progress);
	if (records_waiting(c->look.spool.fd, &c->look.opt->selection,
	    &c->waiting, &f) == -1)
		c->unsure_letters = f;
}

/* ---- what is said ---- */

/* Words on the one line: neither a line's end nor what ends the words. */
static void
say(const char *text)
{
	char q[QUOTE_MAX], *p;

	quote(q, text, strlen(text));
	while ((p = strchr(q, '|')) != NULL)
		*p = '/';
	fputs(q, stdout);
}

static void
say_number(uint64_t n, const char *one, const char *many)
{
	printf("%" PRIu64 " %s", n, n == 1 ? one : many);
}

static void
say_reasons(struct groups *g)
{
	const char *sep = " (";
	size_t i;

	if (g->n == 0 || groups_sort(g) == -1)
		return;
	for (i = 0; i < g->n && i < REASONS; i++) {
		printf("%s%" PRIu64 " ", sep, g->sorted[i].letters);
		say(*g->sorted[i].key == '\0' ? "without a reason" :
		    g->sorted[i].key);
		sep = ", ";
	}
	printf("%s)", i < g->n ? ", ..." : "");
}

static int
state(const struct findings *c)
{
	if (c->ndrops > 0)
		return CRITICAL;
	if (c->unsure_drops.code != FAULT_NONE)
		return UNKNOWN;
	if (c->nletters > 0 || c->waiting > 0)
		return WARNING;
	return c->unsure_letters.code != FAULT_NONE ? UNKNOWN : OK;
}

static void
say_findings(struct findings *c)
{
	if (c->ndrops > 0) {
		say_number(c->ndrops, "event dropped", "events dropped");
		say_reasons(&c->drops);
	} else {
		printf("nothing dropped");
	}
	printf(", ");
	say_number(c->nletters, "dead letter", "dead letters");
	say_reasons(&c->letters);
	if (c->waiting > 0)
		printf(", %" PRIu64 " on %s way", c->waiting,
		    c->waiting == 1 ? "its" : "their");
	if (c->unsure_drops.code != FAULT_NONE) {
		printf("; ");
		say(c->unsure_drops.text);
	}
	if (c->unsure_letters.code != FAULT_NONE) {
		printf("; ");
		say(c->unsure_letters.text);
	}
}

/* Numbers have their limits: to warn, to call somebody; and their minimum. */
static int
report(struct findings *c)
{
	int s = state(c);

	printf("%s - ", states[s]);
	say_findings(c);
	printf(" | deadlettered=%" PRIu64 ";0;;0 dropped=%" PRIu64 ";;0;0 "
	    "waiting=%" PRIu64 ";0;;0\n", c->nletters, c->ndrops, c->waiting);
	return s;
}

static int
unknown(const struct fault *f)
{
	printf("%s - ", states[UNKNOWN]);
	say(f->text);
	printf("\n");
	return UNKNOWN;
}

int
verb_check(struct options *opt, char *words[])
{
	struct findings c = { .nletters = 0 };
	struct fault f;
	int status;

	(void)words;
	if (look_open(&c.look, opt, &f) == -1) {
		status = unknown(&f);
	} else {
		c.look.use.deadline = clock_mono() + opt->timeout *
		    CLOCK_SECOND;
		find_drops(&c);
		find_letters(&c);
		status = report(&c);
	}
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	groups_free(&c.letters);
	groups_free(&c.drops);
	look_close(&c.look);
	return status;
}
