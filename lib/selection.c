/* which dead letters are meant */
#include "selection.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "buf.h"
#include "clock.h"
#include "deadletter.h"
#include "distance.h"
#include "num.h"
#include "quote.h"

/* ---- options ---- */

/* 90s, 30m, 2h, 7d */
static int
parse_ago(const char *text, int64_t *us)
{
	static const char units[] = "smhd";
	static const int64_t seconds[] = { 1, 60, 3600, 86400 };
	size_t n = strspn(text, "0123456789");
	const char *unit;

	/* so many days are fewer than INT64_MAX microseconds */
	if (n == 0 || n > 8 || text[n] == '\0' || text[n + 1] != '\0' ||
	    (unit = strchr(units, text[n])) == NULL)
		return -1;
	*us = clock_now() - strtoll(text, NULL, 10) * seconds[unit - units] *
	    CLOCK_SECOND;
	return 0;
}

static int
parse_date(const char *text, int64_t *us)
{
	char time[] = "0000-00-00T00:00:00Z";

	if (strlen(text) != 10)
		return -1;
	memcpy(time, text, 10);
	return clock_parse(time, sizeof(time) - 1, us);
}

static int
take_time(const char *option, const char *text, int64_t *us, struct fault *f)
{
	char q[QUOTE_MAX];

	if (clock_parse(text, strlen(text), us) == 0 ||
	    parse_date(text, us) == 0 || parse_ago(text, us) == 0)
		return 0;
	return fault_set(f, FAULT_BAD_REQUEST, "%s: '%s' is no time: "
	    "2026-01-31T12:00:00Z, 2026-01-31, or how long ago: 90s, 30m, 2h, "
	    "7d", option, quote(q, text, strlen(text)));
}

static int
take_reasons(struct selection *s, char *list, struct fault *f)
{
	size_t before = s->nreasons;
	char *reason, *end;

	while ((reason = strsep(&list, ",")) != NULL) {
		reason += strspn(reason, " ");
		end = reason + strlen(reason);
		while (end > reason && end[-1] == ' ')
			*--end = '\0';
		if (*reason == '\0')
			continue;
		if (s->nreasons == SELECTION_REASONS)
			return fault_set(f, FAULT_BAD_REQUEST,
			    "--reason: more than %d", SELECTION_REASONS);
		s->reasons[s->nreasons++] = reason;
	}
	if (s->nreasons == before)
		return fault_set(f, FAULT_BAD_REQUEST, "--reason: none given");
	return 0;
}

static int
take_name(const char *option, const char *value, const char **name,
    struct fault *f)
{
	if (*value == '\0')
		return fault_set(f, FAULT_BAD_REQUEST, "%s: empty", option);
	*name = value;
	return 0;
}

static int
take_container(const char *value, const char **name, struct fault *f)
{
	char q[QUOTE_MAX];

	if (*value != '/' && *value != '.' && strchr(value, '/') == NULL)
		return fault_set(f, FAULT_BAD_REQUEST, "--container: '%s' is "
		    "none: ACCOUNT/NAME, a path that begins with / or ., or a "
		    "URL", quote(q, value, strlen(value)));
	*name = value;
	return 0;
}

static int
take_expression(struct selection *s, const char *text, struct fault *f)
{
	struct jq_program *program = jq_compile(text, f);
	struct fault why;

	if (program == NULL) {
		if (f != NULL) {
			why = *f;
			fault_set(f, why.code, "--select: %s", why.text);
		}
		return -1;
	}
	jq_free(s->select);
	s->select = program;
	return 0;
}

int
selection_option(struct selection *s, int ch, char *value, struct fault *f)
{
	int64_t n;

	switch (ch) {
	case SELECTION_TOPIC:
		return take_name("--topic", value, &s->topic, f);
	case SELECTION_SUBSCRIPTION:
		return take_name("--subscription", value, &s->subscription, f);
	case SELECTION_CONTAINER:
		return take_container(value, &s->container, f);
	case SELECTION_REASON:
		return take_reasons(s, value, f);
	case SELECTION_SINCE:
		return take_time("--since", value, &s->since, f);
	case SELECTION_UNTIL:
		return take_time("--until", value, &s->until, f);
	case SELECTION_SUBJECT:
		s->subject = value;
		return 0;
	case SELECTION_SELECT:
		return take_expression(s, value, f);
	case SELECTION_QUARANTINE:
		s->quarantine = true;
		return 0;
	case SELECTION_LIMIT:
		if (num_parse("--limit", value, 1, INT64_MAX, &n, f) == -1)
			return -1;
		s->limit = (uint64_t)n;
		return 0;
	default:
		return fault_set(f, FAULT_BAD_REQUEST, "no such option");
	}
}

void
selection_free(struct selection *s)
{
	jq_free(s->select);
	s->select = NULL;
}

/* ---- letters ---- */

static bool
has_place(const struct selection *s, const struct blob_path *path)
{
	return (s->topic == NULL || strcmp(s->topic, path->topic) == 0) &&
	    (s->subscription == NULL ||
	    strcmp(s->subscription, path->subscription) == 0);
}

static bool
has_reason(const struct selection *s, const struct letter *l)
{
	const char *name;

	for (size_t i = 0; i < s->nreasons; i++) {
		name = s->reasons[i];
		if (strcasecmp(name, l->reason_text) == 0 || (l->reason != -1 &&
		    letter_reason(name, strlen(name), "", 0) == l->reason))
			return true;
	}
	return s->nreasons == 0;
}

static bool
has_time(const struct selection *s, const struct letter *l,
    const struct letter_place *place)
{
	int64_t time = letter_time(l);

	if (time == 0)
		time = place->path->hour != 0 ? place->path->hour :
		    place->modified;
	return time >= s->since && (s->until == 0 || time < s->until);
}

static bool
has_subject(const struct selection *s, const struct letter *l)
{
	struct buf b = { 0 };
	size_t n;
	bool has;

	if (s->subject == NULL || *s->subject == '\0')
		return true;
	if (l->subject == 0)
		return false;
	n = strlen(s->subject);
	json_string(l->json, l->subject, &b);
	has = b.len >= n && memcmp(buf_data(&b), s->subject, n) == 0;
	buf_free(&b);
	return has;
}

struct answer {
	bool given, yes;
};

/* The first output is the answer. */
static void
on_output(jv v, void *arg)
{
	jv_kind kind = jv_get_kind(v);
	struct answer *a = arg;

	if (!a->given)
		a->yes = kind != JV_KIND_FALSE && kind != JV_KIND_NULL;
	a->given = true;
	jv_free(v);
}

static int
has_answer(struct jq_program *select, const struct letter *l, struct fault *f)
{
	struct answer a = { 0 };
	jv record = jq_parse(l->text, l->len, f);

	if (!jv_is_valid(record)) {
		jv_free(record);
		return -1;
	}
	if (jq_run(select, record, on_output, &a, f) == -1)
		return -1;
	return a.yes;
}

int
selection_has(const struct selection *s, const struct letter *l,
    const struct letter_place *place, struct fault *f)
{
	if (!has_place(s, place->path) || !has_reason(s, l) ||
	    !has_time(s, l, place) || !has_subject(s, l))
		return 0;
	return s->select == NULL ? 1 : has_answer(s->select, l, f);
}

/* ---- slips of the pen ---- */

uint32_t
selection_strange(const struct selection *s)
{
	uint32_t strange = 0;

	for (size_t i = 0; i < s->nreasons; i++) {
		if (letter_reason(s->reasons[i], strlen(s->reasons[i]), "",
		    0) == -1 && strcasecmp(s->reasons[i],
		    DL_WRITE_FAILED) != 0)
			strange |= UINT32_C(1) << i;
	}
	return strange;
}

void
selection_meet(const struct selection *s, const struct letter *l,
    uint32_t *strange)
{
	for (size_t i = 0; *strange != 0 && i < s->nreasons; i++) {
		if (strcasecmp(s->reasons[i], l->reason_text) == 0)
			*strange &= ~(UINT32_C(1) << i);
	}
}

const char *
selection_nearest(const char *name)
{
	size_t least = strlen(name) / 3 + 1, d;
	const char *best = NULL, *one;

	for (int i = 0; i < DL_REASONS; i++) {
		one = dl_reason_name((enum dl_reason)i);
		if ((d = distance(name, one)) <= least) {
			least = d;
			best = one;
		}
	}
	return best;
}

bool
selection_slip(const struct selection *s, uint32_t *strange, struct fault *f)
{
	const char *name, *meant;
	char q[QUOTE_MAX];
	size_t i = 0;

	if (*strange == 0)
		return false;
	while ((*strange & UINT32_C(1) << i) == 0)
		i++;
	*strange &= ~(UINT32_C(1) << i);
	name = s->reasons[i];
	meant = selection_nearest(name);
	fault_set(f, FAULT_NOT_FOUND, "no dead letter was found with the "
	    "reason '%s'%s%s%s", quote(q, name, strlen(name)),
	    meant != NULL ? "; did you mean '" : "",
	    meant != NULL ? meant : "", meant != NULL ? "'?" : "");
	return true;
}
