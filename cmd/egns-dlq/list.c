/* list: dead letters counted by where they failed, why and when */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "clock.h"
#include "groups.h"
#include "jq.h"
#include "look.h"
#include "quote.h"
#include "table.h"

#define HOUR (3600 * CLOCK_SECOND)

enum column { TOPIC, SUBSCRIPTION, REASON, IN_HOUR, CONTAINER, BLOB, COLUMNS };
static const char *const columns[COLUMNS] = { "topic", "subscription",
	"reason", "hour", "container", "blob" };

struct list {
	struct look look;
	enum column by[COLUMNS];
	size_t nby;
	struct groups groups;
	struct buf key;
	uint64_t blob;  /* the number of the one that is walked */
	char hour[CLOCK_TEXT + 1];
};

/* ---- what it is counted by ---- */

static enum column
column(const char *name, size_t len)
{
	char q[QUOTE_MAX];

	for (enum column c = 0; c < COLUMNS; c++) {
		if (strlen(columns[c]) == len &&
		    memcmp(columns[c], name, len) == 0)
			return c;
	}
	errx(EX_USAGE, "--by '%s': not topic, subscription, reason, hour, "
	    "container or blob", quote(q, name, len));
}

static void
by(struct list *l, const char *text)
{
	size_t len, i;
	enum column c;

	for (;; text += len + 1) {
		len = strcspn(text, ",");
		c = column(text, len);
		for (i = 0; i < l->nby; i++) {
			if (l->by[i] == c)
				errx(EX_USAGE, "--by: '%s' twice", columns[c]);
		}
		l->by[l->nby++] = c;
		if (text[len] == '\0')
			return;
	}
}

/* The hour in which a letter became one, as --since takes it. */
static const char *
hour(struct list *l, int64_t time)
{
	if (time == 0)
		return "";
	clock_format(l->hour, time - time % HOUR);
	strcpy(l->hour + strlen("2026-01-31T12:00:00"), "Z");
	return l->hour;
}

static const char *
value(struct list *l, enum column c, const struct letter *letter,
    const struct letter_place *place)
{
	switch (c) {
	case TOPIC: return place->path->topic;
	case SUBSCRIPTION: return place->path->subscription;
	case REASON: return look_reason(letter);
	case IN_HOUR: return hour(l, look_time(letter, place));
	case CONTAINER: return container_name(place->container);
	case BLOB: return place->blob;
	case COLUMNS: break;
	}
	abort();
}

/* ---- the walk ---- */

static int
take(const struct letter *letter, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	struct list *l = arg;
	struct group *g;
	const char *text;

	look_seen(&l->look);
	if (!selected)
		return 0;
	buf_reset(&l->key, 65536);
	for (size_t i = 0; i < l->nby; i++) {
		text = value(l, l->by[i], letter, place);
		buf_add(&l->key, text, strlen(text) + 1);
	}
	if (l->key.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	g = groups_get(&l->groups, buf_data(&l->key), l->key.len);
	if (g == NULL)
		return fault_set(f, FAULT_TOO_LARGE, "more than %d rows: "
		    "choose fewer dead letters, or count them --by less",
		    GROUPS_MAX);
	group_count(g, letter->len, look_time(letter, place), l->blob);
	return 0;
}

static int
end(const struct letter_place *place, void *arg, struct fault *f)
{
	struct list *l = arg;

	(void)place, (void)f;
	l->blob++;
	return 0;
}

/* ---- the rows ---- */

static jv
row(const struct list *l, const struct group *g)
{
	const char *text = g->key;
	char time[CLOCK_TEXT + 1];
	jv v = jv_object();

	for (size_t i = 0; i < l->nby; i++) {
		v = jv_object_set(v, jv_string(columns[l->by[i]]),
		    *text == '\0' ? jv_null() : jv_string(text));
		text += strlen(text) + 1;
	}
	v = jq_set_number(v, "count", g->letters);
	clock_format(time, g->oldest);
	return jv_object_set(v, jv_string("oldest"), g->oldest == 0 ?
	    jv_null() : jv_string(time));
}

static void
format(const struct list *l, struct buf *b)
{
	const char *as = l->look.opt->format;
	jv rows = jv_array();
	size_t i;

	for (i = 0; i < l->groups.n; i++) {
		if (strcmp(as, "json") == 0) {
			jq_print(b, row(l, &l->groups.sorted[i]), false);
			buf_str(b, "\n");
		} else
			rows = jv_array_append(rows,
			    row(l, &l->groups.sorted[i]));
	}
	if (strcmp(as, "tsv") == 0)
		table_tsv(b, rows);
	else
		table_print(b, rows);
}

int
verb_list(struct options *opt, char *words[])
{
	struct list l = { .blob = 1 };
	struct buf out = { 0 };
	struct fault f;
	int rc;

	(void)words;
	by(&l, opt->by != NULL ? opt->by : "topic,subscription,reason,hour");
	if ((rc = look_open(&l.look, opt, &f)) == 0) {
		progress_begin(&l.look.progress);
		rc = look_walk(&l.look, take, end, &f);
		progress_wipe(&l.look.progress);
	}
	if (rc == 0 && groups_sort(&l.groups) == -1)
		rc = fault_set(&f, FAULT_INTERNAL, "out of memory");
	if (rc == 0) {
		format(&l, &out);
		rc = look_write(&out, &f);
	}
	groups_free(&l.groups);
	buf_free(&l.key);
	return look_end(&l.look, rc, &f);
}
