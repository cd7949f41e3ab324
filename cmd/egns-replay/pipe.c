/* egns-replay -: the events of dead letters, from standard input to output */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "clock.h"
#include "decide.h"
#include "tally.h"

/* What is looked at together. A letter begins before the last part of it, unless
 * that is all there is, and ends within: it has an event, EVENT_MAX, and what was
 * put around it. */
#define WINDOW (8 * 1024 * 1024)
#define TAIL (2 * 1024 * 1024)
#define READ_SIZE 65536

struct pipe {
	struct decider decider;
	struct selection selection;
	struct blob_path path; /* says nothing */
	struct letter_place place;
	struct tally tally;
	struct buf in;
	uint64_t number, done;
	uint32_t strange; /* reasons that no letter had */
	bool eof, enough;
};

static void
fill(struct pipe *p)
{
	char *room;
	ssize_t n;

	while (!p->eof && p->in.len < WINDOW) {
		if ((room = buf_room(&p->in, READ_SIZE)) == NULL)
			errx(EX_OSERR, "out of memory");
		n = read(STDIN_FILENO, room, READ_SIZE);
		if (n == -1 && errno != EINTR)
			err(EX_NOINPUT, "standard input");
		buf_grew(&p->in, n > 0 ? (size_t)n : 0);
		p->eof = n == 0;
	}
}

static void
bad(struct pipe *p, uint64_t number, const struct fault *f)
{
	number += p->number;
	p->tally.status = EX_DATAERR;
	tally_say(&p->tally, "standard input: line %llu: %s",
	    (unsigned long long)number, f->text);
}

static void
take(struct pipe *p, const struct letter *letter)
{
	struct decider *d = &p->decider;
	char why[DECIDE_WHY];
	struct fault f;
	int rc;

	selection_meet(&p->selection, letter, &p->strange);
	if ((rc = selection_has(&p->selection, letter, &p->place, &f)) == -1)
		bad(p, letter->number, &f);
	if (rc != 1)
		return;
	if (decide_alone(d, letter, why) != ACTION_REHYDRATE) {
		tally_held(&p->tally, letter->reason_text);
		return;
	}
	buf_add(&d->text, "\n", 1);
	if (d->text.bad)
		errx(EX_OSERR, "out of memory");
	if (fwrite(buf_data(&d->text), 1, d->text.len, stdout) != d->text.len)
		err(EX_IOERR, "standard output");
	p->tally.replayed++;
	p->enough = p->tally.replayed == p->decider.opt->selection.limit;
}

/* The letters that begin in the first part of what was read. */
static void
take_all(struct pipe *p)
{
	struct letters letters = { .text = buf_data(&p->in),
		.len = p->in.len };
	size_t end = p->eof ? p->in.len : p->in.len - TAIL;
	struct letter letter;
	struct fault f;
	int rc = 1;

	while (!p->enough && letters.at < end &&
	    (rc = letters_next(&letters, &letter, &f)) != 0) {
		if (rc == -1 && f.code == FAULT_INTERNAL)
			errx(EX_OSERR, "%s", f.text);
		if (rc == 1)
			take(p, &letter);
		else
			bad(p, letter.number, &f);
	}
	p->number += letters.number;
	buf_take(&p->in, rc == 0 ? p->in.len : letters.at);
	letters_free(&letters);
}

int
pipe_run(const struct options *opt)
{
	static const struct known nothing;
	struct pipe p = { .selection = opt->selection };
	struct policy *policy;
	struct fault f;

	p.selection.limit = 0;
	p.strange = selection_strange(&p.selection);
	policy = opt->policy != NULL ? policy_read(opt->policy, &f) :
	    policy_builtin();
	if (policy == NULL)
		errx(opt->policy != NULL ? fault_exit(f.code) : EX_OSERR, "%s",
		    opt->policy != NULL ? f.text : "out of memory");
	p.decider = (struct decider){ .opt = opt, .policy = policy,
		.known = &nothing };
	p.place = (struct letter_place){ .blob = "", .etag = "",
		.path = &p.path, .modified = clock_now() };
	do {
		fill(&p);
		take_all(&p);
	} while (!p.enough && (!p.eof || p.in.len > 0));
	while (!p.enough && selection_slip(&p.selection, &p.strange, &f))
		tally_say(&p.tally, "%s", f.text);
	if (fflush(stdout) == EOF)
		err(EX_IOERR, "standard output");
	decide_free(&p.decider);
	policy_free(policy);
	buf_free(&p.in);
	return tally_end(&p.tally, TALLY_PRINTED);
}
