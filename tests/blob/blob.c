/*
 * blob ENDPOINT CONTAINER VERB [ARG...] - lib/blob from a shell. ENDPOINT is
 * the namespace's entry, as JSON; files of credentials are relative to here.
 *
 *	put NAME [ETAG]     what is on standard input; says its ETag
 *	get NAME [MAX]      to standard output; its ETag to standard error
 *	delete NAME [ETAG]
 *	list [PREFIX]       a line of JSON for each, of all pages
 *
 * Exit status: 65 refused, 66 missing, 73 there is one, 74 it has changed, 75
 * later; with what it says on standard error.
 */
#include <err.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob.h"
#include "buf.h"
#include "jq.h"

static struct blob_container *container;
static const char *prefix;

static void
on_done(const struct blob_answer *a, void *arg)
{
	static const int status[] = { [BLOB_DONE] = 0, [BLOB_EXISTS] = 73,
		[BLOB_CHANGED] = 74, [BLOB_MISSING] = 66, [BLOB_LATER] = 75,
		[BLOB_REFUSED] = 65 };

	if (a->result != BLOB_DONE)
		errx(status[a->result], "%s%s", a->fault.text,
		    a->unsure ? " (unsure)" : "");
	if (strcmp(arg, "put") == 0)
		puts(a->etag);
	else if (strcmp(arg, "get") == 0)
		fprintf(stderr, "%s\n", a->etag);
	if (strcmp(arg, "get") == 0)
		fwrite(a->text, 1, a->len, stdout);
}

static void
on_entry(const struct blob_entry *e, void *arg)
{
	struct buf b = { 0 };

	(void)arg;
	buf_str(&b, "{\"name\":");
	buf_json(&b, e->name, strlen(e->name));
	buf_printf(&b, ",\"size\":%" PRIu64 ",\"modified\":%" PRId64
	    ",\"etag\":", e->size, e->modified);
	buf_json(&b, e->etag, strlen(e->etag));
	printf("%.*s}\n", (int)b.len, buf_data(&b));
	buf_free(&b);
}

static void
on_page(const struct blob_answer *a, void *arg)
{
	on_done(a, arg);
	if (a->len > 0)
		blob_list(container, prefix, a->text, on_entry, on_page, arg);
}

static struct blob_request *
put(const char *name, const char *etag, void *verb)
{
	struct blob_request *r;
	struct buf b = { 0 };
	ssize_t n;

	while ((n = read(STDIN_FILENO, buf_room(&b, 65536), 65536)) > 0)
		buf_grew(&b, (size_t)n);
	r = blob_put(container, name, buf_data(&b), b.len, etag, on_done,
	    verb);
	buf_free(&b);
	return r;
}

static struct blob_request *
begin(int argc, char *argv[])
{
	char *verb = argv[0];
	const char *name = argc > 1 ? argv[1] : NULL;
	const char *more = argc > 2 ? argv[2] : NULL;

	if (strcmp(verb, "list") == 0) {
		prefix = name;
		return blob_list(container, prefix, NULL, on_entry, on_page,
		    verb);
	}
	if (name == NULL)
		errx(64, "%s what?", verb);
	if (strcmp(verb, "put") == 0)
		return put(name, more, verb);
	if (strcmp(verb, "get") == 0)
		return blob_get(container, name, more != NULL ?
		    strtoul(more, NULL, 10) : 1 << 30, on_done, verb);
	if (strcmp(verb, "delete") == 0)
		return blob_delete(container, name, more, on_done, verb);
	errx(64, "no verb '%s'", verb);
}

int
main(int argc, char *argv[])
{
	struct blob_use use = { .loop = ev_default_loop(0),
		.dir = open(".", O_RDONLY | O_DIRECTORY) };
	struct fault f;
	jv endpoint;

	if (argc < 4)
		errx(64, "usage: blob ENDPOINT CONTAINER VERB [ARG...]");
	endpoint = jq_parse(argv[1], strlen(argv[1]), &f);
	if (!jv_is_valid(endpoint) ||
	    (use.fetcher = fetcher_new(use.loop, NULL, &f)) == NULL ||
	    (container = blob_open(&use, endpoint, NULL, argv[2], &f)) == NULL)
		errx(78, "%s", f.text);
	if (begin(argc - 3, argv + 3) == NULL)
		errx(71, "out of memory");
	ev_run(use.loop, 0);
	blob_close(container);
	fetcher_free(use.fetcher);
	return fflush(stdout) == 0 ? 0 : 74;
}
