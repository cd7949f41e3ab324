/* stat: how many dead letters there are, why, and since when */
#include <string.h>

#include "clock.h"
#include "groups.h"
#include "jq.h"
#include "look.h"
#include "table.h"

struct summary {
	struct look look;
	struct groups reasons;
	struct group others; /* of reasons beyond GROUPS_MAX */
	struct group all;
	uint64_t blob;       /* the number of the one that is walked */
};

static int
take(const struct letter *letter, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	struct summary *s = arg;
	const char *reason = look_reason(letter);
	struct group *g;
	int64_t time;

	(void)f;
	look_seen(&s->look);
	if (!selected)
		return 0;
	time = look_time(letter, place);
	g = groups_get(&s->reasons, reason, strlen(reason) + 1);
	group_count(g != NULL ? g : &s->others, letter->len, time, s->blob);
	group_count(&s->all, letter->len, time, s->blob);
	return 0;
}

static int
end(const struct letter_place *place, void *arg, struct fault *f)
{
	struct summary *s = arg;

	(void)place, (void)f;
	s->blob++;
	return 0;
}

/* ---- what is printed ---- */

static jv
moment(int64_t time)
{
	char text[CLOCK_TEXT + 1];

	clock_format(text, time);
	return time == 0 ? jv_null() : jv_string(text);
}

static jv
numbers(jv v, const struct group *g)
{
	v = jq_set_number(v, "count", g->letters);
	v = jv_object_set(v, jv_string("oldest"), moment(g->oldest));
	v = jv_object_set(v, jv_string("newest"), moment(g->newest));
	v = jq_set_number(v, "blobs", g->blobs);
	return jq_set_number(v, "bytes", g->bytes);
}

static jv
row(jv reason, const struct group *g)
{
	return numbers(jv_object_set(jv_object(), jv_string("reason"), reason),
	    g);
}

/* A row for each reason; a missing one is null. */
static jv
rows(const struct summary *s)
{
	const struct group *g;
	jv v = jv_array();
	size_t i;

	for (i = 0; i < s->reasons.n; i++) {
		g = &s->reasons.sorted[i];
		v = jv_array_append(v, row(*g->key == '\0' ? jv_null() :
		    jv_string(g->key), g));
	}
	if (s->others.letters > 0)
		v = jv_array_append(v, row(jv_string("(others)"), &s->others));
	return v;
}

static void
format(const struct summary *s, struct buf *b)
{
	const char *as = s->look.opt->format;
	jv v;

	if (strcmp(as, "json") == 0) {
		v = numbers(jv_object(), &s->all);
		v = jq_set_number(v, "unreadable", s->look.troubles);
		v = jv_object_set(v, jv_string("reasons"), rows(s));
		jq_print(b, v, false);
		buf_str(b, "\n");
		return;
	}
	v = jv_array_append(rows(s), row(jv_string("(all)"), &s->all));
	if (strcmp(as, "tsv") == 0)
		table_tsv(b, v);
	else
		table_print(b, v);
}

int
verb_stat(struct options *opt, char *words[])
{
	struct summary s = { .blob = 1 };
	struct buf out = { 0 };
	struct fault f;
	int rc;

	(void)words;
	if ((rc = look_open(&s.look, opt, &f)) == 0) {
		progress_begin(&s.look.progress);
		rc = look_walk(&s.look, take, end, &f);
		progress_wipe(&s.look.progress);
	}
	if (rc == 0 && groups_sort(&s.reasons) == -1)
		rc = fault_set(&f, FAULT_INTERNAL, "out of memory");
	if (rc == 0) {
		format(&s, &out);
		rc = look_write(&out, &f);
	}
	groups_free(&s.reasons);
	return look_end(&s.look, rc, &f);
}
