/* The whole registry as text, and text as the registry. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <tcutil.h>
#include <unistd.h>

#include "buf.h"
#include "ctl.h"
#include "jq.h"
#include "line.h"
#include "quote.h"
#include "schema.h"
#include "session.h"

#define RESOURCE_MAX (1024 * 1024) /* bytes of a resource */
#define PROGRESS 5000           /* lines between two looks at the terminal */
#define CHUNK (256 * 1024)      /* bytes gathered before a write */

static bool
flush(struct buf *b)
{
	bool ok = !b->bad && (b->len == 0 ||
	    fwrite(buf_data(b), 1, b->len, stdout) == b->len);

	buf_reset(b, 2 * CHUNK);
	return ok;
}

static int
export_one(const char *path, jv v, void *arg)
{
	struct buf *b = arg;
	jv line = JV_OBJECT(jv_string("path"), jv_string(path));

	jq_print(b, jv_object_merge(line, v), false);
	buf_str(b, "\n");
	return b->len < CHUNK || flush(b) ? 0 : -1;
}

int
verb_export(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct session s = { 0 };
	struct buf b = { 0 };
	int rc;

	(void)argv;
	if (argc > 0)
		return ctl_usage(verb);
	if ((rc = session_open(&s, ctl, false)) != 0)
		return rc;
	if (registry_each(s.registry, "", export_one, &b) != 0 || !flush(&b) ||
	    fflush(stdout) == EOF) {
		perror("egns-ctl: standard output");
		rc = EX_IOERR;
	}
	buf_free(&b);
	session_close(&s);
	return rc;
}

/* ---- apply ---- */

struct applying {
	struct session session;
	const char *file;
	bool dry, prune;
	TCMAP *seen;    /* paths of the file */
	jv later;       /* what names others, with its line numbers */
	uint64_t line;
	uint64_t added, changed, removed;
	off_t size;     /* of the file, when it has one */
	uint64_t bytes; /* read so far */
	bool terminal;
};

static int
fault_at_line(const struct applying *a, const char *path, const struct fault *f)
{
	struct fault said;
	char q[QUOTE_MAX];

	fault_set(&said, f->code, "%s: line %ju: %s%s%.300s", a->file,
	    (uintmax_t)a->line, path == NULL ? "" : quote(q, path,
	    strlen(path)), path == NULL ? "" : ": ", f->text);
	return ctl_fault(&said);
}

/* What differs, one member a line. */
static void
differences(const char *where, jv old, jv new)
{
	struct buf b = { 0 }, name = { 0 };
	jv both;

	if (jv_equal(jv_copy(old), jv_copy(new))) {
		jv_free(old);
		jv_free(new);
		return;
	}
	if (jv_get_kind(old) == JV_KIND_OBJECT &&
	    jv_get_kind(new) == JV_KIND_OBJECT) {
		both = jv_keys(jv_object_merge(jv_copy(old), jv_copy(new)));
		jv_array_foreach(both, i, key) {
			const char *k = jv_string_value(key);

			buf_reset(&name, 4096);
			buf_printf(&name, "%s%s%s", where, *where == '\0' ? "" :
			    ".", k);
			buf_add(&name, "", 1);
			if (strcmp(k, "systemData") != 0 &&
			    strcmp(k, "keys") != 0 && !name.bad)
				differences(buf_data(&name), jq_get(old, k),
				    jq_get(new, k));
			jv_free(key);
		}
		jv_free(both);
		jv_free(old);
		jv_free(new);
	} else {
		buf_printf(&b, "    %s: ", where);
		jq_print(&b, old, false);
		buf_str(&b, " -> ");
		jq_print(&b, new, false);
		buf_str(&b, "\n");
		flush(&b);
	}
	buf_free(&name);
	buf_free(&b);
}

static int
put(struct applying *a, const char *path, jv given)
{
	struct registry *r = a->session.registry;
	const struct schema_noun *noun = schema_noun(path);
	struct fault f = { 0 };
	bool changed, there = registry_has(r, path);
	jv v = schema_make(r, path, given, a->session.who, &changed, &f);

	if (!jv_is_valid(v))
		return fault_at_line(a, path, &f);
	if (!changed) {
		jv_free(v);
		return 0;
	}
	*(there ? &a->changed : &a->added) += 1;
	if (a->dry) {
		printf("%c %s\n", there ? '~' : '+', path);
		if (there)
			differences("", schema_public(noun,
			    registry_get(r, path)), schema_public(noun,
			    jv_copy(v)));
	}
	if (registry_put(r, path, v, &f) == -1)
		return fault_at_line(a, path, &f);
	return 0;
}

/* Another namespace's line is not for us to rename ours. */
static int
check_name(struct applying *a, jv v)
{
	jv namespace = registry_get(a->session.registry, "namespace");
	const char *ours = jq_str(namespace, "name"), *theirs =
	    jq_str(v, "name");
	struct fault f = { 0 };
	char q[QUOTE_MAX];

	if (theirs != NULL && strcmp(ours, theirs) != 0)
		fault_set(&f, FAULT_BAD_REQUEST, "name: '%s' is not this "
		    "namespace, '%s'", quote(q, theirs, strlen(theirs)), ours);
	jv_free(namespace);
	return f.code == FAULT_NONE ? 0 : fault_at_line(a, "namespace", &f);
}

/* Where a line belongs: its "path", or what its "id" means. */
static const struct schema_noun *
place(struct applying *a, jv v, char path[SCHEMA_PATH], struct fault *f)
{
	const char *given = jq_str(v, "path");

	if (given == NULL && (given = jq_str(v, "id")) == NULL) {
		fault_set(f, FAULT_BAD_REQUEST, "neither \"path\" nor \"id\"");
		return NULL;
	}
	if (schema_id_path(a->session.registry, given, path, f) == -1)
		return NULL;
	return schema_check_path(path, f);
}

static int
apply_line(struct applying *a, const char *text, size_t len)
{
	const struct schema_noun *noun;
	char path[SCHEMA_PATH];
	struct fault f = { 0 };
	jv v = jq_parse(text, len, &f);
	int size;

	if (len == 1 && strchr("{[", *text) != NULL)
		fault_set(&f, FAULT_BAD_REQUEST, "a lone '%c': each resource "
		    "stands on one line, as jq -c prints it", *text);
	if (!jv_is_valid(v))
		return fault_at_line(a, NULL, &f);
	if (jv_get_kind(v) != JV_KIND_OBJECT) {
		jv_free(v);
		fault_set(&f, FAULT_BAD_REQUEST, "not an object");
		return fault_at_line(a, NULL, &f);
	}
	noun = place(a, v, path, &f);
	if (noun != NULL && tcmapget(a->seen, path, (int)strlen(path), &size)) {
		fault_set(&f, FAULT_BAD_REQUEST, "is there twice");
		noun = NULL;
	}
	if (noun == NULL) {
		jv_free(v);
		return fault_at_line(a, f.code == FAULT_BAD_REQUEST &&
		    !strcmp(f.text, "is there twice") ? path : NULL, &f);
	}
	tcmapput2(a->seen, path, "");
	v = jv_object_delete(v, jv_string("path"));
	if (noun->kind == SCHEMA_NAMESPACE && check_name(a, v) != 0) {
		jv_free(v);
		return EX_DATAERR;
	}
	v = schema_hoist(v);
	if (noun->kind != SCHEMA_SUBSCRIPTION &&
	    noun->kind != SCHEMA_ROLE_ASSIGNMENT)
		return put(a, path, v);
	/* its topic, or its scope, may be further down */
	a->later = jv_array_append(a->later, JV_OBJECT(jv_string("path"),
	    jv_string(path), jv_string("line"), jv_number((double)a->line),
	    jv_string("given"), v));
	return 0;
}

static void
progress(const struct applying *a, bool last)
{
	if (!a->terminal || (!last && a->line % PROGRESS != 0) ||
	    (last && a->line < PROGRESS))
		return;
	if (a->size > 0)
		fprintf(stderr, "\rapply: %ju resources, %d%%",
		    (uintmax_t)a->line, (int)(a->bytes * 100 /
		    (uint64_t)a->size));
	else
		fprintf(stderr, "\rapply: %ju resources", (uintmax_t)a->line);
	if (last)
		fputs("\n", stderr);
}

/* Resources of a kind whose turn is behind that of all others. */
static int
put_later(struct applying *a, enum schema_kind kind)
{
	int rc = 0;

	for (int i = 0; rc == 0 && i < jv_array_length(jv_copy(a->later));
	    i++) {
		jv one = jv_array_get(jv_copy(a->later), i);
		const char *path = jq_str(one, "path");

		a->line = (uint64_t)jq_int(jq_get(one, "line"), 0);
		if (schema_noun(path)->kind == kind)
			rc = put(a, path, jq_get(one, "given"));
		jv_free(one);
	}
	return rc;
}

static int
read_all(struct applying *a, int fd)
{
	struct line_reader in = { .fd = fd, .max = RESOURCE_MAX };
	struct fault f;
	const char *text;
	size_t len;
	int rc = 0, got = 0;

	while (rc == 0 && (got = line_next(&in, &text, &len)) == 1) {
		a->line = in.number;
		a->bytes += len + 1;
		if (len > strspn(text, " \t\r"))
			rc = apply_line(a, text, len);
		progress(a, false);
	}
	if (rc == 0 && got == -1) {
		a->line++;
		fault_errno(&f, errno == EMSGSIZE ? FAULT_BAD_REQUEST :
		    FAULT_INTERNAL, "cannot be read");
		rc = fault_at_line(a, NULL, &f);
	}
	line_free(&in);
	if (rc == 0)
		rc = put_later(a, SCHEMA_SUBSCRIPTION);
	if (rc == 0)
		rc = put_later(a, SCHEMA_ROLE_ASSIGNMENT);
	return rc;
}

static int
collect_unseen(const char *path, jv v, void *arg)
{
	void **args = arg;
	struct applying *a = args[0];
	int size;

	jv_free(v);
	if (strcmp(path, "namespace") != 0 &&
	    tcmapget(a->seen, path, (int)strlen(path), &size) == NULL)
		tclistpush2(args[1], path);
	return 0;
}

/* Remove what the file lacks. */
static int
prune(struct applying *a)
{
	struct registry *r = a->session.registry;
	TCLIST *paths = tclistnew();
	void *args[] = { a, paths };
	struct fault f;
	int rc = 0;

	registry_each(r, "", collect_unseen, args);
	for (int i = 0; rc == 0 && i < tclistnum(paths); i++) {
		const char *path = tclistval2(paths, i);

		if (a->dry)
			printf("- %s\n", path);
		a->removed++;
		if (registry_has(r, path) &&
		    session_delete(&a->session, path, &f) == -1)
			rc = ctl_fault(&f);
	}
	tclistdel(paths);
	return rc;
}

static int
finish(struct applying *a)
{
	struct fault f;

	if (schema_links(a->session.registry, &f) == -1)
		return ctl_fault(&f);
	if (a->added + a->changed + a->removed == 0)
		return 0;
	return a->dry ? 1 : session_commit(&a->session);
}

static int
apply(struct applying *a, struct ctl *ctl, int fd)
{
	struct stat st;
	int rc = session_open(&a->session, ctl, !a->dry);

	if (rc != 0)
		return rc;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		a->size = st.st_size;
	a->terminal = isatty(STDERR_FILENO);
	a->seen = tcmapnew();
	a->later = jv_array();
	rc = read_all(a, fd);
	progress(a, true);
	if (rc == 0 && a->prune)
		rc = prune(a);
	if (rc == 0)
		rc = finish(a);
	jv_free(a->later);
	tcmapdel(a->seen);
	session_close(&a->session);
	return rc;
}

int
verb_apply(struct ctl *ctl, const struct verb *verb, int argc, char *argv[])
{
	struct applying a = { .file = NULL };
	int fd, rc;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--dry-run") == 0)
			a.dry = true;
		else if (strcmp(argv[i], "--prune") == 0)
			a.prune = true;
		else if (argv[i][0] == '-' && argv[i][1] != '\0')
			return ctl_unknown_flag(verb, argv[i]);
		else if (a.file != NULL)
			return ctl_usage(verb);
		else
			a.file = argv[i];
	}
	if (a.file == NULL)
		return ctl_usage(verb);
	fd = strcmp(a.file, "-") == 0 ? STDIN_FILENO :
	    open(a.file, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		fprintf(stderr, "egns-ctl: %s: %s\n", a.file, strerror(errno));
		return EX_NOINPUT;
	}
	rc = apply(&a, ctl, fd);
	if (fd != STDIN_FILENO)
		close(fd);
	return rc;
}
