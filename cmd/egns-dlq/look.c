/* look: the namespace, its containers, and what is wrong with them */
#include "look.h"

#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "deadletter.h"
#include "jq.h"
#include "quote.h"

int
look_open(struct look *l, struct options *opt, struct fault *f)
{
	l->opt = opt;
	l->spool.fd = -1;
	l->namespace = jv_null();
	if (spool_open(&l->spool, opt->spool, f) == -1 ||
	    (l->registry = registry_open(&l->spool, false, f)) == NULL)
		return -1;
	l->use.loop = ev_default_loop(0);
	if (l->use.loop == NULL)
		return fault_set(f, FAULT_INTERNAL, "no event loop");
	l->namespace = registry_get(l->registry, "namespace");
	l->fetcher = fetcher_new(l->use.loop, jq_str(l->namespace,
	    "properties.trustedCertificates"), f);
	if (l->fetcher == NULL)
		return -1;
	l->use.spool = &l->spool;
	l->use.fetcher = l->fetcher;
	l->use.namespace = l->namespace;
	return 0;
}

void
look_close(struct look *l)
{
	progress_wipe(&l->progress);
	if (l->fetcher != NULL)
		fetcher_free(l->fetcher);
	jv_free(l->namespace);
	if (l->registry != NULL)
		registry_close(l->registry);
	if (l->spool.fd != -1)
		spool_close(&l->spool);
}

static void
slip(const struct fault *f, void *arg)
{
	struct look *l = arg;

	progress_wipe(&l->progress);
	warnx("%s", f->text);
}

int
look_walk(struct look *l, int (*letter)(const struct letter *,
    const struct letter_place *, bool selected, void *, struct fault *),
    int (*end)(const struct letter_place *, void *, struct fault *),
    struct fault *f)
{
	struct letter_walk walk = { .letter = letter, .end = end,
		.trouble = look_trouble, .slip = slip, .arg = l };

	return selection_walk(&l->opt->selection, &l->use, l->registry, &walk,
	    f);
}

void
look_seen(struct look *l)
{
	l->seen++;
	progress_show(&l->progress, 0, 0, l->seen, "dead letters read");
}

void
look_trouble(const char *container, const char *blob, uint64_t line,
    const struct fault *f, void *arg)
{
	char c[QUOTE_MAX], b[QUOTE_MAX], at[32] = "";
	struct look *l = arg;

	quote(c, container, strlen(container));
	if (l->troubles == 0)
		fault_set(&l->first, f->code, "%.200s: %.300s", c, f->text);
	if (l->troubles++ >= LOOK_TROUBLES)
		return;
	progress_wipe(&l->progress);
	if (line > 0)
		snprintf(at, sizeof(at), "line %llu: ",
		    (unsigned long long)line);
	warnx("%s%s%s: %s%s", c, blob != NULL ? "/" : "",
	    blob != NULL ? quote(b, blob, strlen(blob)) : "", at, f->text);
}

int
look_end(struct look *l, int rc, const struct fault *f)
{
	look_close(l);
	if (l->troubles > LOOK_TROUBLES)
		warnx("%llu more that cannot be read",
		    (unsigned long long)(l->troubles - LOOK_TROUBLES));
	if (rc == -1) {
		warnx("%s", f->text);
		return fault_exit(f->code);
	}
	return l->troubles > 0 ? EX_IOERR : EX_OK;
}

int64_t
look_time(const struct letter *letter, const struct letter_place *place)
{
	int64_t time = letter_time(letter);

	if (time == 0)
		time = place->path->hour;
	return time != 0 ? time : place->modified;
}

const char *
look_reason(const struct letter *letter)
{
	return letter->reason >= 0 ?
	    dl_reason_name((enum dl_reason)letter->reason) :
	    letter->reason_text;
}

/* 0; 1: nobody wants it. */
static int
written(bool done)
{
	if (!done && errno != EPIPE)
		err(EX_IOERR, "standard output");
	return done ? 0 : 1;
}

int
look_print(const void *data, size_t len)
{
	return written(len == 0 || fwrite(data, len, 1, stdout) == 1);
}

int
look_flush(void)
{
	return written(fflush(stdout) == 0);
}

int
look_write(struct buf *b, struct fault *f)
{
	int rc = 0;

	if (b->bad)
		rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	else if (look_print(buf_data(b), b->len) == 0)
		look_flush();
	buf_free(b);
	return rc;
}
