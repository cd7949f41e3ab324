#include "group.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "array.h"
#include "quote.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define WORD LETTERS "0123456789_"

enum operation {
	OP_AND, /* of the two results before it */
	OP_OR,
	OP_EQUAL,
	OP_NOT_EQUAL,
	OP_LESS,
	OP_GREATER,
	OP_AT_MOST,
	OP_AT_LEAST,
	OP_IN,
};

struct value {
	const char *text; /* points into the query; NULL: a number */
	size_t len;
	int64_t number;
};

struct step {
	enum operation op;
	const char *key; /* points into the query; NULL: authenticationName */
	size_t key_len;
	size_t value, nvalues;
};

/*
 * Steps in the order of evaluation: each leaves a result, and an AND or OR
 * takes two to leave one.
 */
struct group {
	char *query;
	struct step *steps;
	size_t nsteps;
	struct value *values;
	size_t nvalues;
};

struct parser {
	struct group *group;
	const char *p;
	struct fault *fault;
	int depth;
};

static int disjunction(struct parser *);

static int
refuse(const struct parser *ps, const char *why)
{
	char q[QUOTE_MAX];

	if (*ps->p == '\0')
		return fault_set(ps->fault, FAULT_BAD_REQUEST, "%s at its end",
		    why);
	return fault_set(ps->fault, FAULT_BAD_REQUEST,
	    "%s at '%s', byte %td", why, quote(q, ps->p, strnlen(ps->p, 40)),
	    ps->p - ps->group->query + 1);
}

static int
no_memory(struct fault *f)
{
	return fault_set(f, FAULT_INTERNAL, "out of memory");
}

static int
add_step(struct parser *ps, const struct step *step)
{
	struct group *g = ps->group;
	struct step *steps = array_room(g->steps, g->nsteps, sizeof(*step));

	if (steps == NULL)
		return no_memory(ps->fault);
	g->steps = steps;
	steps[g->nsteps++] = *step;
	return 0;
}

static int
add_value(struct parser *ps, const struct value *value)
{
	struct group *g = ps->group;
	struct value *values = array_room(g->values, g->nvalues,
	    sizeof(*value));

	if (values == NULL)
		return no_memory(ps->fault);
	g->values = values;
	values[g->nvalues++] = *value;
	return 0;
}

static void
blanks(struct parser *ps)
{
	ps->p += strspn(ps->p, " \t\r\n");
}

static bool
take(struct parser *ps, const char *token)
{
	size_t len = strlen(token);

	blanks(ps);
	if (strncmp(ps->p, token, len) != 0)
		return false;
	ps->p += len;
	return true;
}

/* A word stands here, in any case, and not the beginning of a longer one. */
static bool
is_word(const char *p, const char *word)
{
	size_t len = strspn(p, WORD);

	return strlen(word) == len && strncasecmp(p, word, len) == 0;
}

static bool
take_word(struct parser *ps, const char *word)
{
	blanks(ps);
	if (!is_word(ps->p, word))
		return false;
	ps->p += strlen(word);
	return true;
}

static int
operand(struct parser *ps, struct step *step)
{
	static const char name[] = "authenticationName";

	blanks(ps);
	if (is_word(ps->p, "not"))
		return refuse(ps, "there is no NOT; != expected");
	if (strspn(ps->p, WORD) == sizeof(name) - 1 && take(ps, name))
		return 0;
	if (!take(ps, "attributes."))
		return refuse(ps, "attributes.KEY, authenticationName or '(' "
		    "expected");
	step->key = ps->p;
	step->key_len = strspn(ps->p, WORD);
	if (step->key_len == 0)
		return refuse(ps, "a name of letters, digits and _ expected");
	ps->p += step->key_len;
	return 0;
}

static bool
is_order(enum operation op)
{
	return op >= OP_LESS && op <= OP_AT_LEAST;
}

static int
comparison(struct parser *ps, struct step *step)
{
	static const struct {
		const char *token;
		enum operation op;
	} table[] = { /* the longer ones first */
		{ "<>", OP_NOT_EQUAL }, { "!=", OP_NOT_EQUAL },
		{ "<=", OP_AT_MOST }, { ">=", OP_AT_LEAST },
		{ "<", OP_LESS }, { ">", OP_GREATER }, { "=", OP_EQUAL },
	};

	step->op = OP_IN;
	if (take_word(ps, "in"))
		return 0;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		step->op = table[i].op;
		if (step->key == NULL && is_order(step->op))
			continue;
		if (take(ps, table[i].token))
			return 0;
	}
	return refuse(ps, step->key == NULL ? "= <> != or IN expected" :
	    "= <> != < > <= >= or IN expected");
}

static int
string(struct parser *ps, struct value *value)
{
	const char *end = strchr(ps->p + 1, *ps->p);

	if (end == NULL)
		return refuse(ps, "a string without its closing quote");
	value->text = ps->p + 1;
	value->len = (size_t)(end - value->text);
	ps->p = end + 1;
	return 0;
}

static int
number(struct parser *ps, struct value *value)
{
	size_t len = *ps->p == '-';

	len += strspn(ps->p + len, "0123456789");
	if (len == (size_t)(*ps->p == '-') ||
	    strspn(ps->p + len, WORD ".") != 0)
		return refuse(ps, "a string in quotes or a whole number "
		    "expected");
	errno = 0;
	value->number = strtoll(ps->p, NULL, 10);
	if (errno != 0)
		return refuse(ps, "a number of more than 64 bits");
	ps->p += len;
	return 0;
}

static int
value_for(struct parser *ps, const struct step *step)
{
	struct value value = { .text = NULL };
	bool quoted;

	blanks(ps);
	quoted = *ps->p == '\'' || *ps->p == '"';
	if (quoted && is_order(step->op))
		return refuse(ps, "< > <= and >= compare with a whole number; "
		    "one expected");
	if (!quoted && step->key == NULL)
		return refuse(ps, "a string in quotes expected");
	if ((quoted ? string : number)(ps, &value) == -1)
		return -1;
	return add_value(ps, &value);
}

static int
value_list(struct parser *ps, const struct step *step)
{
	if (!take(ps, "["))
		return refuse(ps, "'[' expected");
	do {
		if (value_for(ps, step) == -1)
			return -1;
	} while (take(ps, ","));
	return take(ps, "]") ? 0 : refuse(ps, "',' or ']' expected");
}

static int
condition(struct parser *ps)
{
	struct step step = { .value = ps->group->nvalues };

	if (operand(ps, &step) == -1 || comparison(ps, &step) == -1 ||
	    (step.op == OP_IN ? value_list : value_for)(ps, &step) == -1)
		return -1;
	step.nvalues = ps->group->nvalues - step.value;
	return add_step(ps, &step);
}

static int
primary(struct parser *ps)
{
	if (!take(ps, "("))
		return condition(ps);
	if (++ps->depth > GROUP_DEPTH)
		return refuse(ps, "too many parentheses");
	if (disjunction(ps) == -1)
		return -1;
	ps->depth--;
	return take(ps, ")") ? 0 : refuse(ps, "and, or or ')' expected");
}

static int
conjunction(struct parser *ps)
{
	int rc = primary(ps);

	while (rc == 0 && take_word(ps, "and"))
		if ((rc = primary(ps)) == 0)
			rc = add_step(ps, &(struct step){ .op = OP_AND });
	return rc;
}

static int
disjunction(struct parser *ps)
{
	int rc = conjunction(ps);

	while (rc == 0 && take_word(ps, "or"))
		if ((rc = conjunction(ps)) == 0)
			rc = add_step(ps, &(struct step){ .op = OP_OR });
	return rc;
}

struct group *
group_compile(const char *query, struct fault *f)
{
	struct group *g = calloc(1, sizeof(*g));
	struct parser ps = { .group = g, .fault = f };
	int rc;

	if (g == NULL || (g->query = strdup(query)) == NULL) {
		no_memory(f);
		free(g);
		return NULL;
	}
	ps.p = g->query;
	rc = disjunction(&ps);
	blanks(&ps);
	if (rc == 0 && *ps.p != '\0')
		rc = refuse(&ps, "and, or or its end expected");
	if (rc == 0)
		return g;
	group_free(g);
	return NULL;
}

void
group_free(struct group *g)
{
	if (g == NULL)
		return;
	free(g->query);
	free(g->steps);
	free(g->values);
	free(g);
}

/* ---- for one client ---- */

/*
 * Results that wait for their AND or OR: one at each side of an OR and an AND
 * in each pair of parentheses, and the one that was found last.
 */
#define WAITING (2 * (GROUP_DEPTH + 1) + 1)

struct client {
	const char *name;
	size_t name_len;
	const struct json *json;
	uint32_t attributes;
};

static bool
is_number(const struct json *js, uint32_t t, int64_t *n)
{
	return js->tok[t].type == JSON_NUMBER && json_int64(js, t, n);
}

static bool
is_equal(const struct json *js, uint32_t t, const struct value *v)
{
	int64_t n;

	if (v->text == NULL)
		return is_number(js, t, &n) && n == v->number;
	return js->tok[t].type == JSON_STRING &&
	    json_is(js, t, v->text, v->len);
}

static bool
has_equal(const struct json *js, uint32_t t, const struct value *v)
{
	if (js->tok[t].type != JSON_ARRAY)
		return is_equal(js, t, v);
	for (uint32_t i = t + 1; i < js->tok[t].next; i = js->tok[i].next)
		if (v->text != NULL && is_equal(js, i, v))
			return true;
	return false;
}

static bool
is_unequal(const struct json *js, uint32_t t, const struct value *v)
{
	int64_t n;

	return (v->text == NULL ? is_number(js, t, &n) :
	    js->tok[t].type == JSON_STRING) && !is_equal(js, t, v);
}

static bool
is_ordered(enum operation op, int64_t a, int64_t b)
{
	return op == OP_LESS ? a < b : op == OP_GREATER ? a > b :
	    op == OP_AT_MOST ? a <= b : a >= b;
}

static bool
attribute_holds(const struct group *g, const struct step *s,
    const struct json *js, uint32_t t)
{
	const struct value *v = &g->values[s->value];
	int64_t n;

	/* "!=" has one value, order has a number */
	if (is_order(s->op))
		return is_number(js, t, &n) && is_ordered(s->op, n, v->number);
	if (s->op == OP_NOT_EQUAL)
		return is_unequal(js, t, v);
	for (size_t i = 0; i < s->nvalues; i++)
		if (has_equal(js, t, &v[i]))
			return true;
	return false;
}

static bool
name_holds(const struct group *g, const struct step *s,
    const struct client *c)
{
	const struct value *v = &g->values[s->value];
	bool equal = false;

	for (size_t i = 0; !equal && i < s->nvalues; i++)
		equal = v[i].len == c->name_len &&
		    memcmp(v[i].text, c->name, c->name_len) == 0;
	return equal != (s->op == OP_NOT_EQUAL);
}

/* What a comparison that failed saw. An operand is spoken of once. */
static void
explain(const struct step *s, const struct client *c, uint32_t t,
    struct buf *why, size_t begin)
{
	size_t at = why->len, len = at - begin;
	const char *mark = "'", *text = c->name;
	size_t text_len = c->name_len;
	char q[QUOTE_MAX];

	if (s->key != NULL && t != 0) {
		const struct json_token *tok = &c->json->tok[t];
		bool string = tok->type == JSON_STRING;

		mark = string ? "'" : "";
		text = c->json->text + tok->start + string;
		text_len = tok->end - tok->start - 2 * (size_t)string;
	}
	if (s->key == NULL)
		buf_str(why, "authenticationName");
	else
		buf_printf(why, "attributes.%.*s", (int)s->key_len, s->key);
	if (s->key != NULL && t == 0)
		buf_str(why, " is absent");
	else
		buf_printf(why, " is %s%s%s", mark, quote(q, text, text_len),
		    mark);
	buf_str(why, ", ");
	if (!why->bad && memmem(buf_data(why) + begin, len,
	    buf_data(why) + at, why->len - at) != NULL)
		why->len = at;
}

static bool
step_holds(const struct group *g, const struct step *s,
    const struct client *c, struct buf *why, size_t begin)
{
	uint32_t t = 0;
	bool holds;

	if (s->key != NULL && c->attributes != 0)
		t = json_member(c->json, c->attributes, s->key, s->key_len);
	holds = s->key == NULL ? name_holds(g, s, c) :
	    t != 0 && attribute_holds(g, s, c->json, t);
	if (!holds && why != NULL)
		explain(s, c, t, why, begin);
	return holds;
}

bool
group_holds(const struct group *g, const char *name, size_t name_len,
    const struct json *js, uint32_t attributes, struct buf *why)
{
	const struct client c = { name, name_len, js, attributes };
	struct {
		bool holds;
		size_t words; /* where those begin that say why not */
	} waiting[WAITING] = { { false, 0 } }, *top = waiting;
	size_t begin = why != NULL ? why->len : 0;

	for (size_t i = 0; i < g->nsteps; i++) {
		const struct step *s = &g->steps[i];

		if (s->op == OP_AND || s->op == OP_OR) {
			top--;
			top[-1].holds = s->op == OP_AND ?
			    top[-1].holds && top[0].holds :
			    top[-1].holds || top[0].holds;
		} else {
			top->words = why != NULL ? why->len : 0;
			top->holds = step_holds(g, s, &c, why, begin);
			top++;
		}
		if (top[-1].holds && why != NULL)
			why->len = top[-1].words;
	}
	if (!waiting[0].holds && why != NULL && !why->bad)
		why->len -= strlen(", ");
	return waiting[0].holds;
}
