#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <../include/jq.h> /* libjq's, as ours has the same name */

#include "jq.h"
#include "json.h"
#include "quote.h"

struct jq_program {
	jq_state *state;
	char error[QUOTE_MAX]; /* the first that libjq reported */
};

/* The members of all objects in a value (not consumed), JSON_DEPTH deep. */
static size_t
count_members(jv v)
{
	size_t n = 0;

	if (jv_get_kind(v) == JV_KIND_ARRAY) {
		jv_array_foreach(v, i, element) {
			n += count_members(element);
			jv_free(element);
		}
	} else if (jv_get_kind(v) == JV_KIND_OBJECT) {
		for (int i = jv_object_iter(v); jv_object_iter_valid(v, i);
		    i = jv_object_iter_next(v, i)) {
			jv element = jv_object_iter_value(v, i);

			n += 1 + count_members(element);
			jv_free(element);
		}
	}
	return n;
}

/* A string token as jv. */
static jv
string(const struct json *js, uint32_t t)
{
	struct buf b = { 0 };
	jv v;

	json_string(js, t, &b);
	v = jv_string_sized(b.len > 0 ? buf_data(&b) : "", (int)b.len);
	buf_free(&b);
	return v;
}

/* Find the name that an object has twice; 0 when all are different. */
static uint32_t
name_given_twice(const struct json *js)
{
	const struct json_token *tok = js->tok;
	uint32_t found = 0;

	for (uint32_t o = 0; found == 0 && o < js->ntok; o++) {
		jv names = jv_object();

		if (tok[o].type == JSON_OBJECT)
			for (uint32_t t = o + 1; found == 0 && t < tok[o].next;
			    t = tok[t + 1].next) {
				jv name = string(js, t);

				if (jv_object_has(jv_copy(names),
				    jv_copy(name)))
					found = t;
				names = jv_object_set(names, name, jv_true());
			}
		jv_free(names);
	}
	return found;
}

/* As many members as the text has names, or some name was there twice. */
static int
check_names(const struct json *js, jv v, struct fault *f)
{
	const struct json_token *tok = js->tok;
	size_t n = 0;
	uint32_t t;
	struct buf name = { 0 };
	char quoted[QUOTE_MAX];

	for (uint32_t o = 0; o < js->ntok; o++)
		if (tok[o].type == JSON_OBJECT)
			for (t = o + 1; t < tok[o].next; t = tok[t + 1].next)
				n++;
	if (count_members(v) == n)
		return 0;
	t = name_given_twice(js);
	json_string(js, t, &name);
	fault_set(f, FAULT_BAD_REQUEST,
	    "invalid JSON at byte %zu: \"%s\" is given twice",
	    (size_t)tok[t].start + 1, quote(quoted, buf_data(&name), name.len));
	buf_free(&name);
	return -1;
}

jv
jq_parse(const char *text, size_t n, struct fault *f)
{
	struct json js = { 0 };
	jv v = jv_invalid();

	if (n > INT_MAX)
		fault_set(f, FAULT_TOO_LARGE, "JSON text over 2 GiB");
	else if (json_scan(&js, text, n, f) == 0) {
		v = jv_parse_sized(text, (int)n);
		if (!jv_is_valid(v)) {
			fault_set(f, FAULT_BAD_REQUEST, "invalid JSON");
		} else if (check_names(&js, v, f) == -1) {
			jv_free(v);
			v = jv_invalid();
		}
	}
	json_free(&js);
	return v;
}

void
jq_print(struct buf *b, jv v, bool indent)
{
	jv text = jv_dump_string(v, indent ? JV_PRINT_INDENT_FLAGS(2) : 0);

	buf_add(b, jv_string_value(text),
	    (size_t)jv_string_length_bytes(jv_copy(text)));
	jv_free(text);
}

jv
jq_get(jv v, const char *path)
{
	size_t n;

	v = jv_copy(v);
	for (;; path += n + 1) {
		n = strcspn(path, ".");
		if (jv_get_kind(v) != JV_KIND_OBJECT) {
			jv_free(v);
			return jv_null();
		}
		v = jv_object_get(v, jv_string_sized(path, (int)n));
		if (!jv_is_valid(v)) {
			jv_free(v);
			return jv_null();
		}
		if (path[n] == '\0')
			return v;
	}
}

jv
jq_set(jv object, const char *path, jv value)
{
	return jv_setpath(object, jv_string_split(jv_string(path),
	    jv_string(".")), value);
}

const char *
jq_str(jv v, const char *path)
{
	jv s = jq_get(v, path);
	const char *text = NULL;

	if (jv_get_kind(s) == JV_KIND_STRING)
		text = jv_string_value(s);
	jv_free(s); /* v holds it, too */
	return text;
}

int64_t
jq_int(jv v, int64_t otherwise)
{
	double n = jv_get_kind(v) == JV_KIND_NUMBER ? jv_number_value(v) : NAN;

	jv_free(v);
	if (isnan(n))
		return otherwise;
	/* 2^63 is a double, INT64_MAX is none */
	if (n >= 0x1p63)
		return INT64_MAX;
	return n < -0x1p63 ? INT64_MIN : (int64_t)n;
}

jv
jq_set_number(jv object, const char *name, uint64_t n)
{
	return jv_object_set(object, jv_string(name), jv_number((double)n));
}

/* Step over a word that a text begins with. */
static const char *
skip(const char *text, const char *word)
{
	size_t n = strlen(word);

	return strncmp(text, word, n) == 0 ? text + n : text;
}

/*
 * Keep the first line of "jq: error: syntax error, unexpected $end (Unix shell
 * quoting issues?) at <top-level>, line 1:\n.foo |" and such.
 */
static void
remember(void *arg, jv message)
{
	struct jq_program *p = arg;
	const char *text, *hint;
	char quoted[QUOTE_MAX];
	size_t n;

	/* not by jq_format_error, which leaks what is no string */
	if (jv_get_kind(message) != JV_KIND_STRING)
		message = jv_dump_string(message, 0);
	text = skip(skip(jv_string_value(message), "jq: "), "error: ");
	if (*p->error == '\0') {
		n = strcspn(text, "\n");
		n -= n > 0 && text[n - 1] == ':';
		hint = strstr(text, " (Unix shell quoting issues?)");
		if (hint != NULL)
			n = (size_t)(hint - text);
		strcpy(p->error, quote(quoted, text, n));
	}
	jv_free(message);
}

/* `input` finds nothing and `debug` says nothing: they would crash. */
static jv
no_input(jq_state *state, void *arg)
{
	(void)state;
	(void)arg;
	return jv_invalid();
}

static void
no_debug(void *arg, jv message)
{
	(void)arg;
	jv_free(message);
}

/* import, include and module stand first in a program, or not at all. */
static bool
names_modules(const char *s)
{
	static const char *const words[] = { "import", "include", "module" };
	size_t n;

	while (s += strspn(s, " \t\r\n"), *s == '#')
		s += strcspn(s, "\n");
	n = strspn(s, "abcdefghijklmnopqrstuvwxyz_0123456789");
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strlen(words[i]) == n && memcmp(s, words[i], n) == 0)
			return true;
	return false;
}

struct jq_program *
jq_compile(const char *expression, struct fault *f)
{
	struct jq_program *p;

	if (names_modules(expression)) {
		fault_set(f, FAULT_BAD_REQUEST,
		    "jq: import, include and module are not available");
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL || (p->state = jq_init()) == NULL) {
		free(p);
		fault_set(f, FAULT_INTERNAL, "out of memory");
		return NULL;
	}
	jq_set_error_cb(p->state, remember, p);
	jq_set_input_cb(p->state, no_input, NULL);
	jq_set_debug_cb(p->state, no_debug, NULL);
	if (!jq_compile_args(p->state, expression, jv_object())) {
		fault_set(f, FAULT_BAD_REQUEST, "jq: %s",
		    p->error[0] != '\0' ? p->error : "cannot compile");
		jq_free(p);
		return NULL;
	}
	return p;
}

void
jq_free(struct jq_program *p)
{
	if (p == NULL)
		return;
	jq_teardown(&p->state);
	free(p);
}

int
jq_run(struct jq_program *p, jv input, void (*fn)(jv, void *), void *arg,
    struct fault *f)
{
	jv out;

	p->error[0] = '\0';
	jq_start(p->state, input, 0);
	while (jv_is_valid(out = jq_next(p->state)))
		fn(out, arg);
	out = jv_invalid_get_msg(out);
	/* halt_error says it in another way */
	if (jq_halted(p->state)) {
		jv_free(out);
		out = jv_is_valid(jq_get_exit_code(p->state)) ?
		    jq_get_error_message(p->state) : jv_null();
	}
	if (jv_get_kind(out) == JV_KIND_NULL)
		return 0;
	remember(p, out);
	return fault_set(f, FAULT_BAD_REQUEST, "jq: %s", p->error);
}
