#include "registry.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char dir[] = "/tmp/egns-registry.XXXXXX";
static struct spool spool;
static const char *self;

static struct registry *
open_it(bool write)
{
	struct fault f = { 0 };
	struct registry *r = registry_open(&spool, write, &f);

	if (r == NULL)
		printf("# %s\n", f.text);
	return r;
}

static void
fresh(void)
{
	CHECK(spool_remove(spool.fd, "namespace") == 0);
	CHECK(registry_create(spool.fd, NULL) == 0);
}

static void
put(struct registry *r, const char *path, int n)
{
	CHECK(registry_put(r, path, JV_OBJECT(jv_string("n"), jv_number(n)),
	    NULL) == 0);
}

/* -1: not there */
static int
get(struct registry *r, const char *path)
{
	jv v = registry_get(r, path), n;
	int value;

	if (!jv_is_valid(v)) {
		jv_free(v);
		return -1;
	}
	n = jv_object_get(v, jv_string("n"));
	value = (int)jv_number_value(n);
	jv_free(n);
	return value;
}

static int
note(const char *path, jv v, void *arg)
{
	jv_free(v);
	strcat(arg, path);
	strcat(arg, " ");
	return 0;
}

static int
note_text(const char *path, const char *text, size_t len, void *arg)
{
	sprintf((char *)arg + strlen(arg), "%s %.*s ", path, (int)len, text);
	return 0;
}

static void
commit(struct registry *r)
{
	CHECK(registry_commit(r, "user:ann", NULL) == 0);
}

static void
one_change(const char *path, int n)
{
	struct registry *r = open_it(true);

	put(r, path, n);
	commit(r);
	registry_close(r);
}

static int
read_one(const char *path)
{
	struct registry *r = open_it(false);
	int n = r == NULL ? -2 : get(r, path);

	registry_close(r);
	return n;
}

static char *
slurp(const char *path, size_t *len)
{
	return spool_read(spool.fd, path, 1 << 30, len);
}

static void
spit(const char *path, const char *text, size_t len)
{
	int fd = openat(spool.fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd != -1 && write(fd, text, len) == (ssize_t)len);
	close(fd);
}

static void
puts_and_deletes_are_seen_before_and_after_a_commit(void)
{
	struct registry *r;
	char paths[256] = "";

	fresh();
	r = open_it(true);
	put(r, "topics/b", 1);
	put(r, "topics/b/eventSubscriptions/s", 2);
	put(r, "topics/a", 3);
	CHECK(get(r, "topics/b") == 1);
	commit(r);
	put(r, "topics/a", 4);
	put(r, "topics/c", 5);
	CHECK(registry_delete(r, "topics/b", NULL) == 0);
	CHECK(!registry_has(r, "topics/b/eventSubscriptions/s"));
	registry_each(r, "topics/", note, paths);
	CHECK(strcmp(paths, "topics/a topics/c ") == 0);
	commit(r);
	CHECK(get(r, "topics/a") == 4);
	registry_close(r);

	r = open_it(false);
	paths[0] = '\0';
	registry_each(r, "", note, paths);
	CHECK(strcmp(paths, "topics/a topics/c ") == 0);
	registry_close(r);
}

static void
a_close_without_commit_changes_nothing(void)
{
	struct registry *r;

	fresh();
	one_change("topics/a", 1);
	r = open_it(true);
	put(r, "topics/a", 2);
	CHECK(registry_delete(r, "topics/x", NULL) == -1);
	registry_close(r);
	CHECK(read_one("topics/a") == 1);
}

/* The log is cut at every byte of its last transaction, with and without an
 * index that is behind it. */
static void
a_torn_transaction_is_as_if_it_never_was(void)
{
	struct registry *r;
	char *before, *log, *index;
	size_t before_len, len, index_len;

	fresh();
	one_change("topics/a", 1);
	before = slurp("namespace/changes.ndjson", &before_len);
	index = slurp("namespace/index.tcb", &index_len);
	r = open_it(true);
	put(r, "topics/a", 2);
	put(r, "topics/b", 3);
	commit(r);
	registry_close(r);
	log = slurp("namespace/changes.ndjson", &len);
	for (size_t cut = before_len; cut < len; cut++) {
		spit("namespace/changes.ndjson", log, cut);
		if (cut % 2)
			spit("namespace/index.tcb", index, index_len);
		else
			unlinkat(spool.fd, "namespace/index.tcb", 0);
		CHECK(read_one("topics/a") == 1);
		CHECK(read_one("topics/b") == -1);
		one_change("topics/c", 4);
		CHECK(read_one("topics/a") == 1);
		CHECK(read_one("topics/c") == 4);
	}
	spit("namespace/changes.ndjson", log, len);
	spit("namespace/index.tcb", index, index_len);
	CHECK(read_one("topics/b") == 3);
	free(before);
	free(log);
	free(index);
}

static void
a_lost_or_broken_index_is_made_again(void)
{
	char *index;
	size_t len;

	fresh();
	one_change("topics/a", 1);
	one_change("topics/b", 2);
	index = slurp("namespace/index.tcb", &len);
	unlinkat(spool.fd, "namespace/index.tcb", 0);
	CHECK(read_one("topics/b") == 2);
	for (size_t cut = 0; cut < len; cut += 509) {
		spit("namespace/index.tcb", index, cut);
		CHECK(read_one("topics/b") == 2);
	}
	index[33] |= 1; /* a writer died with it open */
	spit("namespace/index.tcb", index, len);
	CHECK(read_one("topics/a") == 1);
	/* left over by a crash in the middle of a change */
	renameat(spool.fd, "namespace/index.tcb", spool.fd,
	    "namespace/index.tcb.new");
	CHECK(read_one("topics/a") == 1);
	one_change("topics/a", 7);
	CHECK(read_one("topics/a") == 7);
	free(index);
}

static void
an_index_of_another_log_is_not_believed(void)
{
	char *index;
	size_t len;

	fresh();
	one_change("topics/a", 1);
	index = slurp("namespace/index.tcb", &len);
	fresh();
	one_change("topics/a", 2);
	spit("namespace/index.tcb", index, len);
	CHECK(read_one("topics/a") == 2);
	free(index);
}

static void
a_damaged_line_is_refused_and_kept(void)
{
	struct fault f = { 0 };
	char *log;
	size_t len;

	fresh();
	one_change("topics/a", 1);
	one_change("topics/b", 2);
	log = slurp("namespace/changes.ndjson", &len);
	log[100] ^= 1;
	spit("namespace/changes.ndjson", log, len);
	unlinkat(spool.fd, "namespace/index.tcb", 0);
	CHECK(registry_open(&spool, true, &f) == NULL);
	CHECK(f.code == FAULT_INTERNAL && strstr(f.text, "byte 0") != NULL);
	free(log);
	log = slurp("namespace/changes.ndjson", &len);
	CHECK(len > 300);
	free(log);
}

static void
a_reader_does_not_wait_for_a_writer(void)
{
	struct registry *w, *r;
	char command[4096 + 64];

	fresh();
	one_change("topics/a", 1);
	w = open_it(true);
	put(w, "topics/a", 2);
	/* another program: Tokyo Cabinet opens a file once in a process */
	snprintf(command, sizeof(command), "exec '%s' %s", self, dir);
	CHECK(system(command) == 1 << 8);
	commit(w);
	registry_close(w);
	r = open_it(false);
	CHECK(get(r, "topics/a") == 2);
	registry_close(r);
}

static void
a_big_transaction_is_one_step(void)
{
	struct registry *r;
	char path[64];

	fresh();
	one_change("topics/a", 1);
	r = open_it(true);
	for (int i = 0; i < 20000; i++) {
		snprintf(path, sizeof(path), "clients/c%05d", i);
		put(r, path, i);
	}
	commit(r);
	registry_close(r);
	CHECK(read_one("clients/c19999") == 19999);
	CHECK(read_one("topics/a") == 1);
	unlinkat(spool.fd, "namespace/index.tcb", 0);
	CHECK(read_one("clients/c00007") == 7);
}

static void
texts_are_told_as_they_will_be(void)
{
	struct registry *r;
	char all[256] = "";

	fresh();
	one_change("clients/b", 1);
	r = open_it(true);
	put(r, "clients/z", 2);
	put(r, "clients/b", 3);
	put(r, "clients/a", 4);
	put(r, "clients/gone", 5);
	put(r, "topics/t", 6);
	CHECK(registry_delete(r, "clients/gone", NULL) == 0);
	registry_each_text(r, "clients/", note_text, all);
	CHECK(strcmp(all, "clients/a {\"n\":4} clients/b {\"n\":3} "
	    "clients/z {\"n\":2} ") == 0);
	registry_close(r);
}

/* ---- clients by their authentication names ---- */

static void
client(struct registry *r, const char *path, const char *name)
{
	CHECK(registry_put(r, path, JV_OBJECT(jv_string("name"),
	    jv_string(path), jv_string("properties"),
	    JV_OBJECT(jv_string("authenticationName"), jv_string(name))),
	    NULL) == 0);
}

/* Is it this client (NULL: none) that has the name? */
static bool
has_name(struct registry *r, const char *name, const char *path)
{
	size_t len = 0;
	char *text = registry_client(r, name, strlen(name), &len);
	jv v;
	bool same;

	if (text == NULL || path == NULL)
		same = text == NULL && path == NULL;
	else {
		v = jv_object_get(jv_parse_sized(text, (int)len),
		    jv_string("name"));
		same = strcmp(jv_string_value(v), path) == 0;
		jv_free(v);
	}
	free(text);
	return same;
}

static bool
named(const char *name, const char *path)
{
	struct registry *r = open_it(false);
	bool same = has_name(r, name, path);

	registry_close(r);
	return same;
}

static void
clients_are_found_by_name_in_any_case(void)
{
	struct registry *r;

	fresh();
	r = open_it(true);
	client(r, "clients/a", "Press-07");
	client(r, "clients/b", "quote \" \\ \xc3\x84");
	CHECK(has_name(r, "PRESS-07", "clients/a"));
	commit(r);
	CHECK(has_name(r, "press-07", "clients/a"));
	registry_close(r);
	CHECK(named("QUOTE \" \\ \xc3\x84", "clients/b"));
	CHECK(named("quote \" \\ \xc3\xa4", NULL)); /* not ASCII: another */
	CHECK(named("press-0", NULL));
	CHECK(named("press-077", NULL));
	CHECK(named("", NULL));
	unlinkat(spool.fd, "namespace/index.tcb", 0);
	CHECK(named("press-07", "clients/a"));
}

/* Nobody else can tell any more which name has gone. */
static void
a_client_that_goes_leaves_its_name(void)
{
	struct registry *r;
	char *log;
	size_t len;

	fresh();
	r = open_it(true);
	client(r, "clients/a", "Press \"7\"");
	put(r, "topics/t", 1);
	commit(r);
	CHECK(registry_delete(r, "clients/a", NULL) == 0);
	CHECK(registry_delete(r, "topics/t", NULL) == 0);
	commit(r);
	registry_close(r);
	log = slurp("namespace/changes.ndjson", &len);
	CHECK(strstr(log, "\"delete\",\"path\":\"clients/a\","
	    "\"authenticationName\":\"Press \\\"7\\\"\"}\n") != NULL);
	CHECK(strstr(log, "\"delete\",\"path\":\"topics/t\"}\n") != NULL);
	free(log);
}

static void
names_follow_their_clients(void)
{
	struct registry *r;

	fresh();
	r = open_it(true);
	client(r, "clients/a", "one");
	client(r, "clients/b", "two");
	client(r, "clients/c", "three");
	commit(r);
	/* made anew under each other's names */
	client(r, "clients/a", "two");
	client(r, "clients/b", "one");
	CHECK(registry_delete(r, "clients/c", NULL) == 0);
	CHECK(has_name(r, "two", "clients/a"));
	CHECK(has_name(r, "three", NULL));
	commit(r);
	CHECK(has_name(r, "one", "clients/b"));
	client(r, "clients/b", "four");
	CHECK(has_name(r, "one", NULL));
	commit(r);
	registry_close(r);
	CHECK(named("two", "clients/a"));
	CHECK(named("four", "clients/b"));
	CHECK(named("one", NULL));
	CHECK(named("three", NULL));
}

static void
names_are_no_resources(void)
{
	struct registry *r;
	char paths[256] = "";

	fresh();
	r = open_it(true);
	client(r, "clients/a", "one");
	put(r, "caCertificates/x", 1);
	commit(r);
	registry_each(r, "", note, paths);
	CHECK(strcmp(paths, "caCertificates/x clients/a ") == 0);
	put(r, "aaa/new", 1);
	paths[0] = '\0';
	registry_each(r, "", note, paths);
	CHECK(strcmp(paths, "aaa/new caCertificates/x clients/a ") == 0);
	registry_close(r);
}

static bool
twins(struct registry *r, const char *one, const char *other)
{
	jv a, b;
	bool same;

	if (!registry_twins(r, &a, &b))
		return one == NULL;
	same = one != NULL && strcmp(jv_string_value(a), one) == 0 &&
	    strcmp(jv_string_value(b), other) == 0;
	jv_free(a);
	jv_free(b);
	return same;
}

static void
a_name_that_two_would_have_is_found(void)
{
	struct registry *r;

	fresh();
	r = open_it(true);
	client(r, "clients/a", "one");
	client(r, "clients/b", "two");
	commit(r);
	client(r, "clients/a", "one"); /* its own */
	CHECK(twins(r, NULL, NULL));
	client(r, "clients/new", "Two");
	CHECK(twins(r, "clients/new", "clients/b"));
	CHECK(registry_delete(r, "clients/b", NULL) == 0);
	CHECK(twins(r, NULL, NULL));
	client(r, "clients/newer", "tWo");
	CHECK(twins(r, "clients/new", "clients/newer"));
	registry_close(r);
}

/* An index of before names were kept in it. */
static void
an_old_index_is_made_again(void)
{
	struct registry *r;
	char *index, *mark;
	size_t len;

	fresh();
	r = open_it(true);
	client(r, "clients/a", "one");
	commit(r);
	registry_close(r);
	index = slurp("namespace/index.tcb", &len);
	mark = memmem(index, len, "!name/one", 9);
	CHECK(mark != NULL);
	memcpy(mark, "!name/xxx", 9);
	spit("namespace/index.tcb", index, len);
	CHECK(named("one", NULL));
	mark = memmem(index, len, "!appliedv", 9);
	CHECK(mark != NULL);
	if (mark != NULL)
		mark[9] = '1';
	spit("namespace/index.tcb", index, len);
	CHECK(named("one", "clients/a"));
	free(index);
}

static void
nobody_else_can_read_what_holds_keys(void)
{
	struct stat st;

	fresh();
	one_change("topics/a", 1);
	CHECK(fstatat(spool.fd, "namespace/changes.ndjson", &st, 0) == 0 &&
	    (st.st_mode & 077) == 0);
	CHECK(fstatat(spool.fd, "namespace/index.tcb", &st, 0) == 0 &&
	    (st.st_mode & 077) == 0);
}

/* With an argument: exits with what topics/a is in that spool. */
int
main(int argc, char *argv[])
{
	self = argv[0];
	if (argc == 2) {
		spool.path = argv[1];
		spool.fd = open(spool.path, O_RDONLY);
		return read_one("topics/a");
	}
	if (mkdtemp(dir) == NULL || (spool.fd = open(dir, O_RDONLY)) == -1)
		return 99;
	spool.path = dir;
	RUN(puts_and_deletes_are_seen_before_and_after_a_commit);
	RUN(a_close_without_commit_changes_nothing);
	RUN(a_torn_transaction_is_as_if_it_never_was);
	RUN(a_lost_or_broken_index_is_made_again);
	RUN(an_index_of_another_log_is_not_believed);
	RUN(a_damaged_line_is_refused_and_kept);
	RUN(a_reader_does_not_wait_for_a_writer);
	RUN(a_big_transaction_is_one_step);
	RUN(texts_are_told_as_they_will_be);
	RUN(clients_are_found_by_name_in_any_case);
	RUN(a_client_that_goes_leaves_its_name);
	RUN(names_follow_their_clients);
	RUN(names_are_no_resources);
	RUN(a_name_that_two_would_have_is_found);
	RUN(an_old_index_is_made_again);
	RUN(nobody_else_can_read_what_holds_keys);
	spool_remove(spool.fd, "namespace");
	rmdir(dir);
	DONE();
}
