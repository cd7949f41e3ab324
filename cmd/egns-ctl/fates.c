/* what became of dead letters that were written: they are in a container still,
 * or were replayed, or pruned, or are gone */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "audit.h"
#include "file.h"
#include "letter.h"
#include "quote.h"

#define DEPTH 8 /* of directories; a blob of ours lies in yyyy/MM/dd/HH */

/* The letters of a subscription in containers of the spool; where is found out
 * from where its blobs are. */
struct search {
	int spool;
	const char *topic;
	struct account *account;
	char path[4096]; /* below the spool */
};

/* What cannot be looked at may hold what is missed then. */
static int
unread(const struct search *s)
{
	char q[QUOTE_MAX];

	if (errno == ENOMEM)
		return -1;
	if (errno != ENOENT)
		fprintf(stderr, "egns-ctl: %s: %s\n", quote(q, s->path,
		    strlen(s->path)), strerror(errno));
	return 0;
}

static int
look_into(const struct search *s)
{
	struct letters letters = { 0 };
	struct letter letter;
	struct fault f;
	char *text = spool_read(s->spool, s->path, LETTER_BLOB_MAX,
	    &letters.len);
	int rc = 0, got;

	if (text == NULL)
		return unread(s);
	letters.text = text;
	while (rc == 0 && (got = letters_next(&letters, &letter, &f)) != 0) {
		if (got == 1)
			rc = marks_add(&s->account->letters, letter.offset,
			    MARK_KEPT);
	}
	letters_free(&letters);
	free(text);
	return rc;
}

/* The path with one more part: its length, or 0: it is too long. */
static size_t
add_part(struct search *s, size_t len, const char *name)
{
	int n = snprintf(s->path + len, sizeof(s->path) - len, "/%s", name);

	return (size_t)n < sizeof(s->path) - len ? len + (size_t)n : 0;
}

/* All blobs at the path; hidden names, and those that end in ~, are none. */
static int
walk(struct search *s, size_t len, int depth)
{
	DIR *dir = file_opendir(s->spool, s->path, O_NOFOLLOW);
	struct dirent *e;
	struct stat st;
	size_t end;
	int rc = 0;

	if (dir == NULL)
		return unread(s);
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.' ||
		    e->d_name[strlen(e->d_name) - 1] == '~' ||
		    (end = add_part(s, len, e->d_name)) == 0 ||
		    fstatat(s->spool, s->path, &st, AT_SYMLINK_NOFOLLOW) == -1)
			continue;
		if (S_ISREG(st.st_mode))
			rc = look_into(s);
		else if (S_ISDIR(st.st_mode) && depth < DEPTH)
			rc = walk(s, end, depth + 1);
	}
	s->path[len] = '\0';
	if (rc == 0 && errno != 0)
		rc = unread(s);
	closedir(dir);
	return rc;
}

/* fn with each directory at the path; _quarantine and _replayed are not of
 * them. */
static int
each(struct search *s, size_t len, int (*fn)(struct search *, size_t))
{
	DIR *dir = file_opendir(s->spool, s->path, 0);
	struct dirent *e;
	struct stat st;
	size_t end;
	int rc = 0;

	if (dir == NULL)
		return unread(s);
	while (rc == 0 && (errno = 0, e = readdir(dir)) != NULL) {
		if (e->d_name[0] != '.' && e->d_name[0] != '_' &&
		    (end = add_part(s, len, e->d_name)) != 0 &&
		    fstatat(s->spool, s->path, &st, 0) == 0 &&
		    S_ISDIR(st.st_mode))
			rc = fn(s, end);
	}
	s->path[len] = '\0';
	if (rc == 0 && errno != 0)
		rc = unread(s);
	closedir(dir);
	return rc;
}

static int
in_namespace(struct search *s, size_t len)
{
	if ((len = add_part(s, len, s->topic)) == 0 ||
	    (len = add_part(s, len, s->account->name)) == 0)
		return 0;
	return walk(s, len, 0);
}

/* Those that were put aside last: what egns-replay moves there while we look is
 * met twice, and not never. */
static int
in_container(struct search *s, size_t len)
{
	static const char *const aside[] = { "_quarantine", "_replayed" };
	size_t end, i;
	int rc = each(s, len, in_namespace);

	for (i = 0; rc == 0 && i < sizeof(aside) / sizeof(aside[0]); i++) {
		if ((end = add_part(s, len, aside[i])) != 0)
			rc = each(s, end, in_namespace);
	}
	return rc;
}

static int
in_account(struct search *s, size_t len)
{
	return each(s, len, in_container);
}

static int
search_all(struct books *b, struct ledger *l, struct account *a)
{
	struct search s = { .spool = b->spool.fd, .topic = l->topic,
		.account = a, .path = "containers" };
	size_t i;
	int rc;

	for (i = 0; i < a->letters.n; i++) {
		if (a->letters.at[i] & MARK_LOCAL)
			break;
	}
	if (i == a->letters.n)
		return 0;
	rc = each(&s, strlen(s.path), in_account);
	marks_sort(&a->letters);
	return rc;
}

/* ---- the numbers ---- */

static void
count_record(struct account *a, uint64_t marks)
{
	if (marks & MARK_WRITTEN)
		a->written++;
	else if (marks & MARK_LATE)
		a->late++;
	else
		a->waiting++;
}

static void
count(struct account *a)
{
	uint64_t marks, lost = 0;
	size_t i;

	for (i = 0; i < a->letters.n; i++) {
		marks = a->letters.at[i];
		if (marks & MARK_RECORDED)
			count_record(a, marks);
		if (!(marks & MARK_WRITTEN))
			continue;
		if (marks & MARK_REPLAYED)
			a->replayed++;
		else if (marks & MARK_KEPT)
			a->kept++;
		else if (marks & MARK_AWAY)
			a->away++;
		else if (marks & MARK_RECENT)
			lost++;
	}
	if (a->pruned > lost)
		a->pruned = lost;
	a->gone = lost - a->pruned;
}

int
fates_find(struct books *b, uint64_t *broken, struct fault *f)
{
	struct ledger *l;
	size_t i;

	for (l = b->ledger; l < b->ledger + b->n; l++) {
		for (i = 0; i < l->n; i++) {
			if (search_all(b, l, &l->account[i]) == -1)
				return fault_errno(f, FAULT_INTERNAL,
				    "containers");
		}
	}
	if (records_gather_replayed(b, broken, f) == -1 ||
	    records_gather_pruned(b, f) == -1)
		return -1;
	for (l = b->ledger; l < b->ledger + b->n; l++) {
		for (i = 0; i < l->n; i++)
			count(&l->account[i]);
	}
	return 0;
}
