#include "odata.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "quote.h"

#define DEPTH 50

struct odata {
	enum { CONTAINS, EQ, NE, AND, OR, NOT } op;
	char *text;
	struct odata *left, *right;
};

struct parser {
	const char *p;
	struct fault *fault;
	int depth;
};

static struct odata *either(struct parser *);

void
odata_free(struct odata *o)
{
	if (o == NULL)
		return;
	odata_free(o->left);
	odata_free(o->right);
	free(o->text);
	free(o);
}

static struct odata *
refuse(struct parser *ps)
{
	char q[QUOTE_MAX];

	fault_set(ps->fault, FAULT_BAD_REQUEST, "--filter: contains(name, "
	    "'a'), name eq 'a', name ne 'a', and, or, not; not '%.60s'",
	    quote(q, ps->p, strlen(ps->p)));
	return NULL;
}

static struct odata *
node(int op, char *text, struct odata *left, struct odata *right)
{
	struct odata *o = calloc(1, sizeof(*o));

	if (o == NULL)
		abort();
	o->op = op;
	o->text = text;
	o->left = left;
	o->right = right;
	return o;
}

static bool
take(struct parser *ps, const char *word)
{
	size_t len = strlen(word);

	ps->p += strspn(ps->p, " \t");
	if (strncasecmp(ps->p, word, len) != 0 || (word[0] >= 'a' &&
	    strspn(ps->p + len, "abcdefghijklmnopqrstuvwxyz_") != 0))
		return false;
	ps->p += len;
	return true;
}

/* 'text'; NULL: none */
static char *
text(struct parser *ps)
{
	const char *end;
	char *s = NULL;

	ps->p += strspn(ps->p, " \t");
	if (*ps->p == '\'' && (end = strchr(ps->p + 1, '\'')) != NULL) {
		s = strndup(ps->p + 1, (size_t)(end - ps->p - 1));
		ps->p = end + 1;
	}
	return s;
}

static struct odata *
primary(struct parser *ps)
{
	struct odata *o;
	char *s;
	int op;

	if (++ps->depth > DEPTH)
		return refuse(ps);
	if (take(ps, "not"))
		return (o = primary(ps)) == NULL ? NULL :
		    node(NOT, NULL, o, NULL);
	if (take(ps, "(")) {
		o = either(ps);
		if (o == NULL || take(ps, ")"))
			return o;
		odata_free(o);
		return refuse(ps);
	}
	if (take(ps, "contains")) {
		if (!take(ps, "(") || !take(ps, "name") || !take(ps, ",") ||
		    (s = text(ps)) == NULL)
			return refuse(ps);
		o = node(CONTAINS, s, NULL, NULL);
		if (take(ps, ")"))
			return o;
		odata_free(o);
		return refuse(ps);
	}
	if (!take(ps, "name"))
		return refuse(ps);
	if (take(ps, "eq"))
		op = EQ;
	else if (take(ps, "ne"))
		op = NE;
	else
		return refuse(ps);
	return (s = text(ps)) == NULL ? refuse(ps) : node(op, s, NULL, NULL);
}

static struct odata *
binary(struct parser *ps, struct odata *(*operand)(struct parser *),
    const char *word, int op)
{
	struct odata *left = operand(ps), *right;

	while (left != NULL && take(ps, word)) {
		if ((right = operand(ps)) == NULL) {
			odata_free(left);
			return NULL;
		}
		left = node(op, NULL, left, right);
	}
	return left;
}

static struct odata *
both(struct parser *ps)
{
	return binary(ps, primary, "and", AND);
}

static struct odata *
either(struct parser *ps)
{
	return binary(ps, both, "or", OR);
}

struct odata *
odata_compile(const char *words, struct fault *f)
{
	struct parser ps = { .p = words, .fault = f };
	struct odata *o = either(&ps);

	ps.p += strspn(ps.p, " \t");
	if (o != NULL && *ps.p != '\0') {
		odata_free(o);
		return refuse(&ps);
	}
	/* The nodes are of malloc: nothing of them points at the parser. */
	/* cppcheck-suppress returnDanglingLifetime */
	return o;
}

bool
odata_matches(const struct odata *o, const char *name)
{
	switch (o->op) {
	case CONTAINS:
		return strcasestr(name, o->text) != NULL;
	case EQ:
		return strcasecmp(name, o->text) == 0;
	case NE:
		return strcasecmp(name, o->text) != 0;
	case AND:
		return odata_matches(o->left, name) &&
		    odata_matches(o->right, name);
	case OR:
		return odata_matches(o->left, name) ||
		    odata_matches(o->right, name);
	case NOT:
		return !odata_matches(o->left, name);
	}
	abort();
}
