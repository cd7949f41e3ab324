/* choice: the dead letters that words name */
#include "choice.h"

#include <err.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "look.h"
#include "quote.h"

#define KEEP (1024 * 1024) /* bytes of a letter whose memory is kept */

struct choice {
	struct look look;
	char **words; /* NULL-terminated */
	bool *met;    /* which of them named one */
	void (*format)(struct buf *, const struct letter *,
	    const struct letter_place *, void *arg);
	void *arg;
	struct buf text;
	bool enough;  /* for who reads it */
};

/* Is a word the last parts of a path of two? It is taken off from the back. */
static bool
is_end(const char *word, const char *first, const char *second)
{
	size_t len = strlen(word), n = strlen(second);

	if (len <= n)
		return len > 0 && strcmp(second + n - len, word) == 0 &&
		    (len == n || second[n - len - 1] == '/');
	len -= n;
	if (strcmp(word + len, second) != 0 || word[--len] != '/')
		return false;
	n = strlen(first);
	return len <= n && memcmp(first + n - len, word, len) == 0 &&
	    (len == n || first[n - len - 1] == '/');
}

static bool
is_meant(struct choice *c, const struct letter *letter,
    const struct letter_place *place)
{
	bool has = c->words[0] == NULL, this;
	const char *word;
	size_t i;

	for (i = 0; (word = c->words[i]) != NULL; i++) {
		this = (letter->id != 0 && json_is(letter->json, letter->id,
		    word, strlen(word))) ||
		    is_end(word, container_name(place->container),
		    place->blob);
		c->met[i] = c->met[i] || this;
		has = has || this;
	}
	return has;
}

static bool
all_met(const struct choice *c)
{
	char q[QUOTE_MAX];
	bool all = true;
	size_t i;

	for (i = 0; c->words[i] != NULL; i++) {
		if (c->met[i])
			continue;
		warnx("'%s': no such dead letter", quote(q, c->words[i],
		    strlen(c->words[i])));
		all = false;
	}
	return all;
}

static int
take(const struct letter *letter, const struct letter_place *place,
    bool selected, void *arg, struct fault *f)
{
	struct choice *c = arg;

	if (!selected || !is_meant(c, letter, place))
		return 0;
	buf_reset(&c->text, KEEP);
	c->format(&c->text, letter, place, c->arg);
	if (c->text.bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	c->enough = look_print(buf_data(&c->text), c->text.len) == 1;
	return c->enough;
}

int
choice_print(struct options *opt, char *words[], void (*format)(struct buf *,
    const struct letter *, const struct letter_place *, void *arg), void *arg)
{
	struct choice c = { .words = words, .format = format, .arg = arg };
	struct fault f;
	size_t n = 0;
	int rc, status;

	while (words[n] != NULL)
		n++;
	if ((c.met = calloc(n + 1, sizeof(*c.met))) == NULL)
		err(EX_OSERR, NULL);
	if ((rc = look_open(&c.look, opt, &f)) == 0)
		rc = look_walk(&c.look, take, NULL, &f);
	look_flush();
	status = look_end(&c.look, rc, &f);
	if (status == EX_OK && !c.enough && !all_met(&c))
		status = EX_NOINPUT;
	free(c.met);
	buf_free(&c.text);
	return status;
}
