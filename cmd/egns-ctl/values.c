#include <errno.h>

#include "values.h"

static bool
space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int
values_fault(const struct values *v, struct fault *f)
{
	struct fault why = *f;

	if (v->element > 0)
		return fault_set(f, why.code, "%.255s: line %llu, element %llu: %s",
		    v->name, (unsigned long long)v->line,
		    (unsigned long long)v->element, why.text);
	return fault_set(f, why.code, "%.255s: line %llu: %s", v->name,
	    (unsigned long long)v->line, why.text);
}

static int
bad(const struct values *v, const char *why, struct fault *f)
{
	fault_set(f, FAULT_BAD_REQUEST, "%s", why);
	return values_fault(v, f);
}

static int
failed(const struct values *v, struct fault *f)
{
	if (errno == EMSGSIZE) {
		fault_set(f, FAULT_TOO_LARGE, "longer than %zu bytes",
		    v->in.max);
		return values_fault(v, f);
	}
	return fault_errno(f, FAULT_NOT_FOUND, "%s", v->name);
}

/* line_fill, with a word to the caller before it waits. */
static int
fill(struct values *v, struct fault *f)
{
	int n;

	if (v->idle != NULL && line_waits(&v->in) && v->idle(v->arg, f) == -1)
		return -1;
	if ((n = line_fill(&v->in)) == -1)
		return failed(v, f);
	return n;
}

/* Is it an array? White space before is left for the lines to count. */
static int
begin(struct values *v, struct fault *f)
{
	size_t at = 0;
	char c;
	int n;

	v->begun = true;
	while (!v->lines && at < v->in.max) {
		if (at == v->in.in.len) {
			if ((n = fill(v, f)) == 1)
				continue;
			return n;
		}
		c = buf_data(&v->in.in)[at++];
		if (c == '\n')
			v->newlines++;
		if (space(c))
			continue;
		if ((v->array = c == '['))
			buf_take(&v->in.in, at);
		break;
	}
	return 0;
}

static int
next_line(struct values *v, const char **text, size_t *len, struct fault *f)
{
	int n;

	do {
		if (v->idle != NULL && line_pauses(&v->in) &&
		    v->idle(v->arg, f) == -1)
			return -1;
		n = line_next(&v->in, text, len);
		v->line = v->in.number;
		if (n == -1)
			return failed(v, f);
		while (n == 1 && *len > 0 && space(**text))
			++*text, --*len;
		while (n == 1 && *len > 0 && space((*text)[*len - 1]))
			--*len;
	} while (n == 1 && *len == 0);
	return n;
}

/* The first character that is not white space, not taken; 0 at the end. */
static int
skip(struct values *v, char *c, struct fault *f)
{
	int n;

	for (;; buf_take(&v->in.in, 1)) {
		if (v->in.in.len == 0 && (n = fill(v, f)) != 1)
			return n;
		*c = *buf_data(&v->in.in);
		if (!space(*c))
			break;
		if (*c == '\n')
			v->newlines++;
	}
	v->line = v->newlines + 1;
	return 1;
}

/* Find the comma or bracket behind an element; its distance, or -1. */
static long
extent(struct values *v, struct fault *f)
{
	bool string = false, escaped = false;
	size_t at, depth = 0;
	char *c;
	int n;

	for (at = 0; at <= v->in.max; at++) {
		if (at == v->in.in.len && (n = fill(v, f)) != 1)
			return n == -1 ? -1 : bad(v, "the array has no end", f);
		c = buf_data(&v->in.in) + at;
		if (string) {
			string = escaped || *c != '"';
			escaped = !escaped && *c == '\\';
		} else if (*c == '"') {
			string = true;
		} else if (*c == '[' || *c == '{') {
			depth++;
		} else if (depth == 0 && (*c == ',' || *c == ']')) {
			return (long)at;
		} else if (*c == ']' || *c == '}') {
			depth -= depth > 0;
		} else if (space(*c)) {
			/* An event goes out on one line. */
			v->newlines += *c == '\n';
			*c = ' ';
		}
	}
	errno = EMSGSIZE;
	return failed(v, f);
}

/* Nothing but white space may follow the array. */
static int
array_end(struct values *v, struct fault *f)
{
	char c;
	int n;

	v->ended = true;
	buf_take(&v->in.in, 1);
	v->element = 0;
	if ((n = skip(v, &c, f)) == 1)
		return bad(v, "something stands behind the array", f);
	return n;
}

static int
next_element(struct values *v, const char **text, size_t *len, struct fault *f)
{
	bool first = v->element == 0;
	char c = 0;
	long n;

	if (v->ended)
		return 0;
	buf_take(&v->in.in, v->in.taken);
	v->in.taken = 0;
	if (!first && v->in.in.len > 0 && *buf_data(&v->in.in) == ']')
		return array_end(v, f);
	if (!first)
		buf_take(&v->in.in, 1); /* the comma */
	v->element++;
	if (skip(v, &c, f) == -1)
		return -1;
	if (first && c == ']')
		return array_end(v, f);
	if ((n = extent(v, f)) == -1)
		return -1;
	*text = buf_data(&v->in.in);
	v->in.taken = *len = (size_t)n;
	while (*len > 0 && space((*text)[*len - 1]))
		--*len;
	return *len > 0 ? 1 : bad(v, "an element is missing", f);
}

int
values_next(struct values *v, const char **text, size_t *len, struct fault *f)
{
	if (!v->begun && begin(v, f) == -1)
		return -1;
	return v->array ? next_element(v, text, len, f) :
	    next_line(v, text, len, f);
}

void
values_free(struct values *v)
{
	line_free(&v->in);
}
