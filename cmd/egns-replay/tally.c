#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "buf.h"
#include "quote.h"
#include "tally.h"

void
tally_held(struct tally *t, const char *reason)
{
	const char *name = reason[0] != '\0' ? reason : "no reason";

	t->held++;
	for (unsigned i = 0; i < t->nreasons; i++) {
		if (strcmp(t->reasons[i], name) == 0)
			return;
	}
	if (t->nreasons < TALLY_REASONS)
		snprintf(t->reasons[t->nreasons++], LETTER_REASON_MAX, "%s",
		    name);
	else
		t->more = true;
}

void
tally_say(struct tally *t, const char *fmt, ...)
{
	va_list ap;

	if (t->words++ >= TALLY_WORDS)
		return;
	progress_wipe(&t->progress);
	va_start(ap, fmt);
	vwarnx(fmt, ap);
	va_end(ap);
}

static bool
is_something(const struct tally *t)
{
	return t->replayed > 0 || t->before > 0 || t->quarantined > 0 ||
	    t->refused > 0 || t->stuck > 0 || t->later > 0 || t->left > 0;
}

static void
add_count(struct buf *b, uint64_t n, const char *words)
{
	buf_printf(b, "%s%llu %s", b->len == 0 ? "" : ", ",
	    (unsigned long long)n, words);
}

static void
add_reasons(struct buf *b, const struct tally *t)
{
	char q[QUOTE_MAX];

	if (t->nreasons == 0)
		return;
	for (unsigned i = 0; i < t->nreasons; i++)
		buf_printf(b, "%s%s", i == 0 ? " (" : ", ",
		    quote(q, t->reasons[i], strlen(t->reasons[i])));
	buf_str(b, t->more ? ", ...)" : ")");
}

static int
status(const struct tally *t, enum tally_of what)
{
	if (t->later > 0 || t->left > 0 || t->unreadable)
		return EX_TEMPFAIL;
	if (t->status != 0)
		return t->status;
	if (what == TALLY_PLANNED)
		return is_something(t) ? 1 : EX_OK;
	return t->quarantined > 0 || t->stuck > 0 ? EX_DATAERR : EX_OK;
}

static void
add_all(struct buf *b, const struct tally *t, enum tally_of what)
{
	static const char *const words[][3] = {
		[TALLY_DONE] = { "replayed", "held", "quarantined" },
		[TALLY_PLANNED] = { "to replay", "to hold", "to quarantine" },
		[TALLY_PRINTED] = { "printed", "not", "to quarantine" },
	};

	add_count(b, t->replayed, words[what][0]);
	add_count(b, t->held, words[what][1]);
	add_reasons(b, t);
	if (what != TALLY_PRINTED)
		add_count(b, t->quarantined, words[what][2]);
	if (what == TALLY_DONE)
		add_count(b, t->later, "to be tried later");
	if (t->before > 0)
		add_count(b, t->before, "replayed before");
	if (t->refused > 0)
		add_count(b, t->refused, "refused");
	if (t->left > 0)
		add_count(b, t->left, "still to be taken out of their blobs");
	if (t->words > TALLY_WORDS)
		add_count(b, t->words - TALLY_WORDS, "more lines like these");
}

int
tally_end(struct tally *t, enum tally_of what)
{
	struct buf b = { 0 };

	progress_wipe(&t->progress);
	if (isatty(STDERR_FILENO) || what == TALLY_PLANNED ||
	    t->words > TALLY_WORDS ||
	    (what == TALLY_DONE && is_something(t))) {
		add_all(&b, t, what);
		warnx("%.*s", (int)b.len, b.bad ? "" : buf_data(&b));
		buf_free(&b);
	}
	return status(t, what);
}
