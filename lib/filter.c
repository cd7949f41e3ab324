#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filter.h"
#include "quote.h"

enum kind { NUMBERS, RANGES, BOOLEAN, STRINGS, NOTHING };

enum test { EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, IN_RANGE,
	CONTAINS, BEGINS, ENDS, IS_NULL, IS_NOT_NULL };

/* The operators: a Not is true when its opposite is true of no operand. */
static const struct operator {
	const char *name;
	enum kind kind;
	enum test test;
	bool not;
	bool missing; /* the result for a key that is missing or null */
	bool single;  /* takes one operand */
} operators[] = {
	{ "NumberIn", NUMBERS, EQUAL, false, false, false },
	{ "NumberNotIn", NUMBERS, EQUAL, true, true, false },
	{ "NumberLessThan", NUMBERS, LESS, false, false, true },
	{ "NumberLessThanOrEquals", NUMBERS, LESS_EQUAL, false, false, true },
	{ "NumberGreaterThan", NUMBERS, GREATER, false, false, true },
	{ "NumberGreaterThanOrEquals", NUMBERS, GREATER_EQUAL, false, false,
	    true },
	{ "NumberInRange", RANGES, IN_RANGE, false, false, false },
	{ "NumberNotInRange", RANGES, IN_RANGE, true, false, false },
	{ "BoolEquals", BOOLEAN, EQUAL, false, false, true },
	{ "StringContains", STRINGS, CONTAINS, false, false, false },
	{ "StringNotContains", STRINGS, CONTAINS, true, false, false },
	{ "StringBeginsWith", STRINGS, BEGINS, false, false, false },
	{ "StringNotBeginsWith", STRINGS, BEGINS, true, false, false },
	{ "StringEndsWith", STRINGS, ENDS, false, false, false },
	{ "StringNotEndsWith", STRINGS, ENDS, true, false, false },
	{ "StringIn", STRINGS, EQUAL, false, false, false },
	{ "StringNotIn", STRINGS, EQUAL, true, true, false },
	{ "IsNullOrUndefined", NOTHING, IS_NULL, false, true, false },
	{ "IsNotNull", NOTHING, IS_NOT_NULL, false, false, false },
};

#define NOPERATORS (sizeof(operators) / sizeof(*operators))

/* Folded characters, and for each how much of the front ends there, too
 * (Knuth, Morris, Pratt): no text is ever looked at twice. */
struct pattern {
	size_t n;
	int32_t *chars;
	uint16_t *border;
};

struct operand {
	double low, high; /* equal for a plain number */
	bool truth;
	struct pattern pattern;
};

struct condition {
	const struct operator *op;
	bool attribute; /* not below data: compared in string form, too */
	size_t nnames;  /* of the path from the event down */
	char *names;    /* a NUL behind each */
	size_t noperands;
	struct operand *operands;
};

struct filter {
	size_t ntypes;
	struct pattern *types;
	size_t nconditions;
	struct condition conditions[FILTER_MAX];
};

/*
 * Comparison ignores case: of ASCII, of Latin-1, of Greek and of Cyrillic,
 * where the other case is at a fixed distance. Elsewhere characters must be the
 * same.
 */
static inline int32_t
fold(int32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c + 0x20 : c;
	if ((c >= 0xc0 && c <= 0xde && c != 0xd7) ||
	    (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) ||
	    (c >= 0x410 && c <= 0x42f))
		return c + 0x20;
	return c >= 0x400 && c <= 0x40f ? c + 0x50 : c;
}

static bool
text_equals(const struct json *js, uint32_t t, const struct pattern *p)
{
	struct json_chars chars;

	json_chars(js, t, &chars);
	for (size_t i = 0; i < p->n; i++)
		if (fold(json_next(&chars)) != p->chars[i])
			return false;
	return json_next(&chars) == -1;
}

static bool
text_begins(const struct json *js, uint32_t t, const struct pattern *p)
{
	struct json_chars chars;

	json_chars(js, t, &chars);
	for (size_t i = 0; i < p->n; i++)
		if (fold(json_next(&chars)) != p->chars[i])
			return false;
	return true;
}

/* Is the pattern in the text; or if so asked, at its end? */
static bool
text_has(const struct json *js, uint32_t t, const struct pattern *p, bool end)
{
	struct json_chars chars;
	int32_t c;
	size_t n = 0; /* characters of the pattern that match up to here */

	if (p->n == 0)
		return true;
	json_chars(js, t, &chars);
	while ((c = json_next(&chars)) != -1) {
		c = fold(c);
		while (n > 0 && (n == p->n || p->chars[n] != c))
			n = p->border[n - 1];
		n += p->chars[n] == c;
		if (n == p->n && !end)
			return true;
	}
	return n == p->n;
}

static bool
text_matches(enum test test, const struct json *js, uint32_t t,
    const struct pattern *p)
{
	switch (test) {
	case CONTAINS: return text_has(js, t, p, false);
	case BEGINS: return text_begins(js, t, p);
	case ENDS: return text_has(js, t, p, true);
	default: return text_equals(js, t, p);
	}
}

static bool
number_matches(enum test test, double v, const struct operand *o)
{
	switch (test) {
	case LESS: return v < o->low;
	case LESS_EQUAL: return v <= o->low;
	case GREATER: return v > o->low;
	case GREATER_EQUAL: return v >= o->low;
	default: return v >= o->low && v <= o->high;
	}
}

/* Does one value, neither array nor null, match any operand? */
static bool
value_matches(const struct condition *c, const struct json *js, uint32_t t)
{
	unsigned type = js->tok[t].type;
	double v = 0;

	switch (c->op->kind) {
	case NUMBERS:
	case RANGES:
		if (type != JSON_NUMBER)
			return false;
		v = json_double(js, t);
		break;
	case BOOLEAN:
		return type == (c->operands[0].truth ? JSON_TRUE : JSON_FALSE);
	case STRINGS:
		if (type == JSON_OBJECT ||
		    (type != JSON_STRING && !c->attribute))
			return false;
		break;
	case NOTHING:
		return c->op->test == IS_NOT_NULL;
	}
	for (size_t i = 0; i < c->noperands; i++)
		if (c->op->kind == STRINGS ?
		    text_matches(c->op->test, js, t, &c->operands[i].pattern) :
		    number_matches(c->op->test, v, &c->operands[i]))
			return true;
	return false;
}

/* The token that a key leads to; 0 for none. */
static uint32_t
find(const struct condition *c, const struct json *js)
{
	const char *name = c->names;
	uint32_t t = 0;
	size_t n;

	for (size_t i = 0; i < c->nnames; i++, name += n + 1) {
		n = strlen(name);
		t = json_member(js, t, name, n);
		if (t == 0 || js->tok[t].type == JSON_NULL)
			return 0;
	}
	return t;
}

/*
 * A value of a type that the operator is not for is there, but matches nothing;
 * so it is with the elements of an array.
 */
static bool
condition_holds(const struct condition *c, const struct json *js)
{
	uint32_t t = find(c, js);
	bool any = false;

	if (t == 0)
		return c->op->missing;
	if (js->tok[t].type != JSON_ARRAY || c->op->kind == NOTHING)
		any = value_matches(c, js, t);
	else
		for (uint32_t i = t + 1; !any && i < js->tok[t].next;
		    i = js->tok[i].next)
			any = js->tok[i].type != JSON_ARRAY &&
			    value_matches(c, js, i);
	return any != c->op->not;
}

/* A configuration while it is compiled; `where` is in the words of people. */
struct compile {
	struct filter *filter;
	struct fault *fault;
	size_t noperands; /* of all filters */
	char where[64];
};

static int
refuse(struct compile *c, const char *why)
{
	return fault_set(c->fault, FAULT_BAD_REQUEST, "%s: %s", c->where, why);
}

static int
no_memory(struct compile *c)
{
	return fault_set(c->fault, FAULT_INTERNAL, "out of memory");
}

/* s is not consumed. */
static int
compile_pattern(struct compile *c, struct pattern *p, jv s)
{
	jv chars;
	size_t i, n = 0;

	if (jv_get_kind(s) != JV_KIND_STRING)
		return refuse(c, "must be a string");
	chars = jv_string_explode(jv_copy(s));
	p->n = (size_t)jv_array_length(jv_copy(chars));
	if (p->n > FILTER_OPERAND_MAX) {
		jv_free(chars);
		return refuse(c, "has more than 512 characters");
	}
	p->chars = calloc(p->n + 1, sizeof(*p->chars));
	p->border = calloc(p->n + 1, sizeof(*p->border));
	if (p->chars == NULL || p->border == NULL) {
		jv_free(chars);
		return no_memory(c);
	}
	for (i = 0; i < p->n; i++) {
		jv one = jv_array_get(jv_copy(chars), (int)i);

		p->chars[i] = fold((int32_t)jv_number_value(one));
		jv_free(one);
	}
	jv_free(chars);
	for (i = 1; i < p->n; i++) {
		while (n > 0 && p->chars[n] != p->chars[i])
			n = p->border[n - 1];
		n += p->chars[n] == p->chars[i];
		p->border[i] = (uint16_t)n;
	}
	return 0;
}

/* [low, high]; v is not consumed. */
static int
compile_range(struct compile *c, struct operand *o, jv v)
{
	jv low = jv_invalid(), high = jv_invalid();
	int rc = -1;

	if (jv_get_kind(v) == JV_KIND_ARRAY &&
	    jv_array_length(jv_copy(v)) == 2) {
		low = jv_array_get(jv_copy(v), 0);
		high = jv_array_get(jv_copy(v), 1);
	}
	if (jv_get_kind(low) == JV_KIND_NUMBER &&
	    jv_get_kind(high) == JV_KIND_NUMBER) {
		o->low = jv_number_value(low);
		o->high = jv_number_value(high);
		rc = o->low <= o->high ? 0 : -1;
	}
	jv_free(low);
	jv_free(high);
	return rc == 0 ? 0 : refuse(c,
	    "must be a range [LOW, HIGH] of two numbers, LOW not above HIGH");
}

static int
compile_operand(struct compile *c, enum kind kind, struct operand *o, jv v)
{
	switch (kind) {
	case NUMBERS:
		if (jv_get_kind(v) != JV_KIND_NUMBER)
			return refuse(c, "must be a number");
		o->low = o->high = jv_number_value(v);
		return 0;
	case RANGES:
		return compile_range(c, o, v);
	case BOOLEAN:
		o->truth = jv_get_kind(v) == JV_KIND_TRUE;
		if (!o->truth && jv_get_kind(v) != JV_KIND_FALSE)
			return refuse(c, "must be true or false");
		return 0;
	default:
		return compile_pattern(c, &o->pattern, v);
	}
}

/* Is v a list of operands, or one? One range may stand alone in "value". */
static bool
is_list(jv v, enum kind kind, bool alone)
{
	bool list = jv_get_kind(v) == JV_KIND_ARRAY;

	if (list && kind == RANGES && alone) {
		jv first = jv_array_get(jv_copy(v), 0);

		list = jv_get_kind(first) != JV_KIND_NUMBER;
		jv_free(first);
	}
	return list;
}

/* One operand, or a list; v is not consumed. */
static int
compile_list(struct compile *c, struct condition *to, jv v, bool list)
{
	size_t n = list ? (size_t)jv_array_length(jv_copy(v)) : 1;
	size_t len = strlen(c->where);
	int rc;

	if (n == 0)
		return refuse(c, "must not be empty");
	if (n > 1 && to->op->single)
		return refuse(c, "the operator takes one value");
	c->noperands += n;
	if (c->noperands > FILTER_OPERANDS)
		return refuse(c, "more than 25 values in all filters");
	to->operands = calloc(n, sizeof(*to->operands));
	if (to->operands == NULL)
		return no_memory(c);
	to->noperands = n;
	for (size_t i = 0; i < n; i++) {
		jv one = list ? jv_array_get(jv_copy(v), (int)i) : jv_copy(v);

		if (list)
			snprintf(c->where + len, sizeof(c->where) - len,
			    "[%zu]", i);
		rc = compile_operand(c, to->op->kind, &to->operands[i], one);
		jv_free(one);
		if (rc == -1)
			return -1;
	}
	return 0;
}

/* Append ".name" to where; the length to cut it back to. */
static size_t
step_into(struct compile *c, const char *name)
{
	size_t len = strlen(c->where);

	snprintf(c->where + len, sizeof(c->where) - len, ".%s", name);
	return len;
}

/* "value" or "values", whichever there is; v is not consumed. */
static int
compile_operands(struct compile *c, struct condition *to, jv v)
{
	jv one = jv_object_get(jv_copy(v), jv_string("value"));
	jv many = jv_object_get(jv_copy(v), jv_string("values"));
	bool has_one = jv_is_valid(one) && jv_get_kind(one) != JV_KIND_NULL;
	bool has_many = jv_is_valid(many) && jv_get_kind(many) != JV_KIND_NULL;
	int rc;

	step_into(c, has_one ? "value" : "values");
	if (to->op->kind == NOTHING)
		rc = has_one || has_many ?
		    refuse(c, "the operator takes no value") : 0;
	else if (has_one && has_many)
		rc = refuse(c, "stands beside \"values\"; give only one");
	else if (!has_one && !has_many)
		rc = refuse(c, "is missing");
	else if (has_one)
		rc = compile_list(c, to, one, is_list(one, to->op->kind, true));
	else
		rc = compile_list(c, to, many,
		    is_list(many, to->op->kind, false));
	jv_free(one);
	jv_free(many);
	return rc;
}

static bool
attribute_name(char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++) {
		s[i] = (char)fold((unsigned char)s[i]);
		if ((s[i] < 'a' || s[i] > 'z') && (s[i] < '0' || s[i] > '9'))
			return false;
	}
	return n > 0 && n <= EVENT_NAME_MAX;
}

/* An attribute's name, without case and with two aliases, or a path in data. */
static int
compile_key(struct compile *c, struct condition *to, jv key)
{
	static const char must[] =
	    "must be an attribute's name, \"data\" or \"data.NAME...\"";
	const char *s;
	char *p;

	if (jv_get_kind(key) != JV_KIND_STRING)
		return refuse(c, jv_is_valid(key) ? must : "is missing");
	s = jv_string_value(key);
	if (strlen(s) != (size_t)jv_string_length_bytes(jv_copy(key)))
		return refuse(c, must);
	if (strcasecmp(s, "eventid") == 0 || strcasecmp(s, "eventtype") == 0)
		s += strlen("event");
	to->names = p = strdup(s);
	if (p == NULL)
		return no_memory(c);
	for (to->nnames = 1; (p = strchr(p, '.')) != NULL; to->nnames++) {
		*p++ = '\0';
		if (*p == '.' || *p == '\0')
			return refuse(c, must);
	}
	if (!attribute_name(to->names))
		return refuse(c, must);
	to->attribute = strcmp(to->names, "data") != 0;
	return to->attribute && to->nnames > 1 ? refuse(c, must) : 0;
}

static int
compile_operator(struct compile *c, struct condition *to, jv name)
{
	if (jv_get_kind(name) != JV_KIND_STRING)
		return refuse(c, jv_is_valid(name) ? "must be a string" :
		    "is missing");
	for (size_t i = 0; i < NOPERATORS; i++)
		if (strcasecmp(operators[i].name, jv_string_value(name)) == 0) {
			to->op = &operators[i];
			return 0;
		}
	return refuse(c, "no such operator");
}

/* Only members of these names; v is not consumed. */
static int
check_members(struct compile *c, jv v, const char *const names[], size_t n)
{
	char quoted[QUOTE_MAX];
	bool known = true;

	for (int i = jv_object_iter(v); known && jv_object_iter_valid(v, i);
	    i = jv_object_iter_next(v, i)) {
		jv key = jv_object_iter_key(v, i);
		const char *s = jv_string_value(key);

		known = false;
		for (size_t j = 0; j < n; j++)
			known |= strcmp(names[j], s) == 0;
		if (!known)
			fault_set(c->fault, FAULT_BAD_REQUEST,
			    "%s%s%s: no such member", c->where,
			    *c->where != '\0' ? "." : "",
			    quote(quoted, s, strlen(s)));
		jv_free(key);
	}
	return known ? 0 : -1;
}

/* A member by one of the functions above. */
static int
compile_member(struct compile *c, struct condition *to, jv v, const char *name,
    int (*fn)(struct compile *, struct condition *, jv))
{
	jv member = jv_object_get(jv_copy(v), jv_string(name));
	size_t len = step_into(c, name);
	int rc = fn(c, to, member);

	c->where[len] = '\0';
	jv_free(member);
	return rc;
}

static int
compile_condition(struct compile *c, struct condition *to, jv v)
{
	static const char *const names[] = { "operatorType", "key", "value",
		"values" };

	if (jv_get_kind(v) != JV_KIND_OBJECT)
		return refuse(c, "must be an object");
	if (check_members(c, v, names, 4) == -1 ||
	    compile_member(c, to, v, "operatorType", compile_operator) == -1 ||
	    compile_member(c, to, v, "key", compile_key) == -1)
		return -1;
	return compile_operands(c, to, v);
}

static int
compile_type(struct compile *c, size_t i, jv v)
{
	c->filter->ntypes = i + 1;
	return compile_pattern(c, &c->filter->types[i], v);
}

static int
compile_filter(struct compile *c, size_t i, jv v)
{
	c->filter->nconditions = i + 1;
	return compile_condition(c, &c->filter->conditions[i], v);
}

/* The array `name` of config (not consumed), if there is one. */
static int
compile_array(struct compile *c, jv config, const char *name,
    int (*begin)(struct compile *, size_t n),
    int (*fn)(struct compile *, size_t, jv))
{
	jv list = jv_object_get(jv_copy(config), jv_string(name));
	int rc = 0;

	snprintf(c->where, sizeof(c->where), "%s", name);
	if (jv_get_kind(list) == JV_KIND_ARRAY) {
		size_t n = (size_t)jv_array_length(jv_copy(list));

		rc = begin(c, n);
		for (size_t i = 0; rc == 0 && i < n; i++) {
			jv v = jv_array_get(jv_copy(list), (int)i);

			snprintf(c->where, sizeof(c->where), "%s[%zu]", name,
			    i);
			rc = fn(c, i, v);
			jv_free(v);
		}
	} else if (jv_is_valid(list) && jv_get_kind(list) != JV_KIND_NULL) {
		rc = refuse(c, "must be an array");
	}
	jv_free(list);
	return rc;
}

static int
begin_types(struct compile *c, size_t n)
{
	c->filter->types = calloc(n + 1, sizeof(*c->filter->types));
	return c->filter->types != NULL ? 0 : no_memory(c);
}

static int
begin_filters(struct compile *c, size_t n)
{
	return n <= FILTER_MAX ? 0 : refuse(c, "more than 25 filters");
}

/* config is not consumed. */
static int
compile(struct compile *c, jv config)
{
	static const char *const names[] = { "includedEventTypes", "filters" };

	if (!jv_is_valid(config) || jv_get_kind(config) == JV_KIND_NULL)
		return 0;
	if (jv_get_kind(config) != JV_KIND_OBJECT)
		return fault_set(c->fault, FAULT_BAD_REQUEST,
		    "filtersConfiguration: must be an object");
	if (check_members(c, config, names, 2) == -1 ||
	    compile_array(c, config, names[0], begin_types, compile_type) == -1)
		return -1;
	return compile_array(c, config, names[1], begin_filters,
	    compile_filter);
}

struct filter *
filter_compile(jv config, struct fault *f)
{
	struct compile c = { .fault = f };

	c.filter = calloc(1, sizeof(*c.filter));
	if (c.filter == NULL)
		no_memory(&c);
	else if (compile(&c, config) == -1) {
		filter_free(c.filter);
		c.filter = NULL;
	}
	jv_free(config);
	return c.filter;
}

static void
free_pattern(struct pattern *p)
{
	free(p->chars);
	free(p->border);
}

void
filter_free(struct filter *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->ntypes; i++)
		free_pattern(&f->types[i]);
	free(f->types);
	for (size_t i = 0; i < f->nconditions; i++) {
		struct condition *c = &f->conditions[i];

		for (size_t j = 0; j < c->noperands; j++)
			free_pattern(&c->operands[j].pattern);
		free(c->operands);
		free(c->names);
	}
	free(f);
}

bool
filter_matches(const struct filter *f, const struct event *ev)
{
	bool any = f->ntypes == 0;

	for (size_t i = 0; !any && i < f->ntypes; i++)
		any = text_equals(&ev->json, ev->type, &f->types[i]);
	if (!any)
		return false;
	for (size_t i = 0; i < f->nconditions; i++)
		if (!condition_holds(&f->conditions[i], &ev->json))
			return false;
	return true;
}
