#include "query.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "jq.h"
#include "quote.h"

/*
 * A Pratt parser, with the binding powers of JMESPath's specification. Each
 * step turns the program so far (`left`, a jq filter in a buffer) into a longer
 * one. The names below are jq functions with JMESPath's ideas of null, truth
 * and projection.
 */
static const char prelude[] =
    "def _f($k): if type==\"object\" then .[$k] else null end;"
    "def _i($i): if type==\"array\" then .[$i] else null end;"
    "def _s(f): if type==\"array\" then f else null end;"
    "def _p(f): if type==\"array\" then [.[]|f|select(.!=null)] "
    "else null end;"
    "def _v: if type==\"object\" then [.[]] else null end;"
    "def _t: .!=null and .!=false and .!=\"\" and .!=[] and .!={};"
    "def _w(f): if type==\"array\" then [.[]|select(f|_t)] else null end;"
    "def _l: if type==\"array\" then "
    "[.[]|if type==\"array\" then .[] else . end] else null end;"
    "def _n(f): if .==null then null else f end;"
    "def _a(f;g): f as $x|if $x|_t then g else $x end;"
    "def _o(f;g): f as $x|if $x|_t then $x else g end;"
    "def _c(f;g;h): f as $x|g as $y|if ($x|type)==($y|type) and "
    "(($x|type)==\"number\" or ($x|type)==\"string\") "
    "then [$x,$y]|h else null end;"
    "def _m(f): if type!=\"array\" or .==[] then null else f end;"
    "def _contains($y): if type==\"string\" then ($y|type)==\"string\" "
    "and contains($y) else any(.[];.==$y) end;"
    "def _tonumber: if type==\"number\" then . else "
    "(try tonumber catch null) end;";

enum power {
	POWER_PIPE = 1,
	POWER_OR = 2,
	POWER_AND = 3,
	POWER_COMPARE = 5,
	POWER_FLATTEN = 9,
	POWER_STOP = 10, /* a projection ends before what binds less */
	POWER_DOT = 40,
	POWER_NOT = 45,
	POWER_BRACKET = 55,
};

struct parser {
	const char *begin, *p;
	struct fault *fault;
	int depth;
};

static int expression(struct parser *, struct buf *, int power);
static int suffixes(struct parser *, struct buf *, int power);

static int
refuse(struct parser *ps, const char *why)
{
	char q[QUOTE_MAX];

	if (*ps->p == '\0')
		return fault_set(ps->fault, FAULT_BAD_REQUEST,
		    "query: %s at its end", why);
	return fault_set(ps->fault, FAULT_BAD_REQUEST,
	    "query, character %td: %s at '%.40s'", ps->p - ps->begin + 1, why,
	    quote(q, ps->p, strlen(ps->p)));
}

static void
blanks(struct parser *ps)
{
	while (*ps->p == ' ' || *ps->p == '\t' || *ps->p == '\n' ||
	    *ps->p == '\r')
		ps->p++;
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

/* Is this the operator, and not the beginning of a longer one? */
static bool
next_is(struct parser *ps, const char *token, char but_not)
{
	size_t len = strlen(token);

	blanks(ps);
	return strncmp(ps->p, token, len) == 0 && ps->p[len] != but_not;
}

static size_t
identifier_len(const char *p)
{
	size_t n = 0;

	if (!isalpha((unsigned char)*p) && *p != '_')
		return 0;
	while (isalnum((unsigned char)p[n]) || p[n] == '_')
		n++;
	return n;
}

/* out = before left between ... : wraps what is in a buffer. */
static void
wrap(struct buf *left, const char *before, const char *after)
{
	struct buf b = { 0 };

	buf_str(&b, before);
	if (left->len > 0)
		buf_add(&b, buf_data(left), left->len);
	buf_str(&b, after);
	b.bad |= left->bad;
	buf_free(left);
	*left = b;
}

/* A name as a JSON string, from an identifier or "quoted" text. */
static int
name(struct parser *ps, struct buf *out)
{
	const char *start;
	size_t len;
	jv v;

	blanks(ps);
	start = ps->p;
	if (*start != '"') {
		if ((len = identifier_len(start)) == 0)
			return refuse(ps, "expected a name");
		buf_json(out, start, len);
		ps->p += len;
		return 0;
	}
	for (ps->p++; *ps->p != '"'; ps->p++) {
		if (*ps->p == '\\' && ps->p[1] != '\0')
			ps->p++;
		if (*ps->p == '\0')
			return refuse(ps, "no closing quote");
	}
	ps->p++;
	len = (size_t)(ps->p - start);
	v = jq_parse(start, len, ps->fault);
	if (!jv_is_valid(v)) {
		jv_free(v);
		return -1;
	}
	jq_print(out, v, false); /* escapes as jq reads them */
	return 0;
}

/* 'raw text', in which \' stands for a quote. */
static int
raw_string(struct parser *ps, struct buf *out)
{
	struct buf b = { 0 };

	for (ps->p++; *ps->p != '\''; ps->p++) {
		if (*ps->p == '\0') {
			buf_free(&b);
			return refuse(ps, "no closing quote");
		}
		if (*ps->p == '\\' && ps->p[1] == '\'')
			ps->p++;
		buf_add(&b, ps->p, 1);
	}
	ps->p++;
	buf_json(out, b.len > 0 ? buf_data(&b) : "", b.len);
	buf_free(&b);
	return 0;
}

/* `JSON`, or for the lazy a bare word between the backticks. */
static int
literal(struct parser *ps, struct buf *out)
{
	const char *start = ++ps->p;
	size_t len = strcspn(start, "`");
	jv v;

	if (start[len] == '\0')
		return refuse(ps, "no closing backtick");
	v = jq_parse(start, len, NULL);
	if (jv_is_valid(v))
		jq_print(out, v, false);
	else {
		jv_free(v);
		buf_json(out, start, len);
	}
	ps->p += len + 1;
	return 0;
}

static int
number(struct parser *ps, struct buf *out)
{
	char *end;

	buf_printf(out, "%.17g", strtod(ps->p, &end));
	ps->p = end;
	return 0;
}

/* ---- functions ---- */

/* jq text in which $1 and $2 stand for the arguments; & is an expression. */
static const struct function {
	const char *name;
	int arguments;
	const char *text;
} functions[] = {
	{ "contains", 2, "(. as $r|($1)|_contains($r|$2))" },
	{ "ends_with", 2, "(. as $r|($1)|endswith($r|$2))" },
	{ "join", 2, "(. as $r|($2)|join($r|$1))" },
	{ "keys", 1, "($1|keys_unsorted)" },
	{ "length", 1, "($1|length)" },
	{ "max", 1, "($1|_m(max))" },
	{ "min", 1, "($1|_m(min))" },
	{ "not_null", 2, "($1|if .==null then null else . end) // ($2)" },
	{ "reverse", 1, "($1|if type==\"string\" then explode|reverse|implode "
	    "else reverse end)" },
	{ "sort", 1, "($1|sort)" },
	{ "sort_by", 2, "($1|sort_by($2))" },
	{ "starts_with", 2, "(. as $r|($1)|startswith($r|$2))" },
	{ "sum", 1, "($1|add // 0)" },
	{ "to_number", 1, "($1|_tonumber)" },
	{ "to_string", 1, "($1|tostring)" },
	{ "type", 1, "($1|type)" },
	{ "values", 1, "($1|_v)" },
};

static int
call(struct parser *ps, struct buf *out, const struct function *fn)
{
	struct buf args[2] = {{0}, {0}};
	int n = 0, rc = 0;

	if (!take(ps, ")"))
		do {
			if (n == fn->arguments)
				rc = refuse(ps, "too many arguments");
			else {
				take(ps, "&");
				rc = expression(ps, &args[n++], 0);
			}
		} while (rc == 0 && take(ps, ","));
	if (rc == 0 && (n < fn->arguments || !take(ps, ")")))
		rc = refuse(ps, n < fn->arguments ? "too few arguments" :
		    "expected )");
	for (const char *p = fn->text; rc == 0 && *p != '\0'; p++)
		if (*p == '$' && (p[1] == '1' || p[1] == '2')) {
			const struct buf *arg = &args[*++p - '1'];

			buf_add(out, buf_data(arg), arg->len);
			out->bad |= arg->bad;
		} else
			buf_add(out, p, 1);
	buf_free(&args[0]);
	buf_free(&args[1]);
	return rc;
}

static int
function(struct parser *ps, struct buf *out, size_t len)
{
	char q[QUOTE_MAX];

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (strlen(functions[i].name) == len &&
		    memcmp(functions[i].name, ps->p, len) == 0) {
			ps->p += len;
			take(ps, "(");
			return call(ps, out, &functions[i]);
		}
	return fault_set(ps->fault, FAULT_BAD_REQUEST,
	    "query: function '%s' is not supported; --jq takes jq's own",
	    quote(q, ps->p, len));
}

/* ---- projections ---- */

/* What follows a projection, up to where it stops, as a filter of elements. */
static int
projected(struct parser *ps, struct buf *right)
{
	buf_str(right, ".");
	return suffixes(ps, right, POWER_STOP);
}

/* left becomes: the elements that `source` makes of left, each through right */
static int
project(struct parser *ps, struct buf *left, const char *source)
{
	struct buf right = { 0 };
	int rc = projected(ps, &right);

	if (rc == 0) {
		buf_printf(left, "|%s|_p(", source);
		buf_add(left, buf_data(&right), right.len);
		buf_str(left, ")");
		left->bad |= right.bad;
		wrap(left, "(", ")");
	}
	buf_free(&right);
	return rc;
}

static int
filtered(struct parser *ps, struct buf *left)
{
	struct buf condition = { 0 };
	int rc = expression(ps, &condition, 0);

	if (rc == 0 && !take(ps, "]"))
		rc = refuse(ps, "expected ]");
	if (rc == 0) {
		wrap(&condition, "_w(", ")");
		buf_add(&condition, "", 1);
		rc = condition.bad ? fault_set(ps->fault, FAULT_INTERNAL,
		    "out of memory") : project(ps, left, buf_data(&condition));
	}
	buf_free(&condition);
	return rc;
}

/* An optional whole number. */
static bool
whole(struct parser *ps, long *n)
{
	char *end;

	blanks(ps);
	if (*ps->p != '-' && !isdigit((unsigned char)*ps->p))
		return false;
	*n = strtol(ps->p, &end, 10);
	if (end == ps->p || labs(*n) > 1000000000)
		return false;
	ps->p = end;
	return true;
}

/* [from:to:step], of which all may be left out */
static int
slice(struct parser *ps, struct buf *left, bool has_from, long from)
{
	struct buf text = { 0 };
	bool has_to = false, has_step = false;
	long to = 0, step = 1;
	int rc;

	has_to = whole(ps, &to);
	if (take(ps, ":"))
		has_step = whole(ps, &step);
	if (!take(ps, "]"))
		return refuse(ps, "expected ]");
	if (has_step && step != 1 && step != -1)
		return refuse(ps, "a step other than 1 and -1");
	if (step == -1 && (has_from || has_to))
		return refuse(ps, "a backward slice with bounds");
	if (step == -1)
		buf_str(&text, "_s(reverse)");
	else if (!has_from && !has_to)
		buf_str(&text, "_s(.)");
	else {
		buf_str(&text, "_s(.[");
		if (has_from)
			buf_printf(&text, "%ld", from);
		buf_str(&text, ":");
		if (has_to)
			buf_printf(&text, "%ld", to);
		buf_str(&text, "])");
	}
	buf_add(&text, "", 1);
	rc = project(ps, left, buf_data(&text));
	buf_free(&text);
	return rc;
}

/* Behind "[", with something to apply it to. */
static int
bracket(struct parser *ps, struct buf *left)
{
	long i = 0;
	bool given;

	if (take(ps, "]"))
		return project(ps, left, "_l");
	if (take(ps, "?"))
		return filtered(ps, left);
	if (next_is(ps, "*", '\0') && take(ps, "*")) {
		if (!take(ps, "]"))
			return refuse(ps, "expected ]");
		return project(ps, left, "_s(.)");
	}
	given = whole(ps, &i);
	if (take(ps, ":"))
		return slice(ps, left, given, i);
	if (!given)
		return refuse(ps, "expected an index");
	if (!take(ps, "]"))
		return refuse(ps, "expected ]");
	buf_printf(left, "|_i(%ld)", i);
	wrap(left, "(", ")");
	return 0;
}

static bool
is_index(struct parser *ps)
{
	blanks(ps);
	return *ps->p == ']' || *ps->p == '?' || *ps->p == ':' ||
	    *ps->p == '-' || isdigit((unsigned char)*ps->p) ||
	    (*ps->p == '*' && ps->p[1 + strspn(ps->p + 1, " \t")] == ']');
}

static int
multiselect_list(struct parser *ps, struct buf *out)
{
	struct buf item = { 0 };
	const char *sep = "";
	int rc;

	buf_str(out, "_n([");
	do {
		rc = expression(ps, &item, 0);
		if (rc == 0) {
			buf_str(out, sep);
			wrap(&item, "(", ")");
			buf_add(out, buf_data(&item), item.len);
			out->bad |= item.bad;
		}
		buf_free(&item);
		memset(&item, 0, sizeof(item));
		sep = ",";
	} while (rc == 0 && take(ps, ","));
	buf_str(out, "])");
	if (rc == 0 && !take(ps, "]"))
		return refuse(ps, "expected , or ]");
	return rc;
}

static int
multiselect_hash(struct parser *ps, struct buf *out)
{
	struct buf item = { 0 };
	const char *sep = "";
	int rc;

	buf_str(out, "_n({");
	do {
		buf_str(out, sep);
		rc = name(ps, out);
		if (rc == 0 && !take(ps, ":"))
			rc = refuse(ps, "expected :");
		if (rc == 0)
			rc = expression(ps, &item, 0);
		if (rc == 0) {
			wrap(&item, ":(", ")");
			buf_add(out, buf_data(&item), item.len);
			out->bad |= item.bad;
		}
		buf_free(&item);
		memset(&item, 0, sizeof(item));
		sep = ",";
	} while (rc == 0 && take(ps, ","));
	buf_str(out, "})");
	if (rc == 0 && !take(ps, "}"))
		return refuse(ps, "expected , or }");
	return rc;
}

/* ---- expressions ---- */

/* What an expression can begin with. */
static int
prefix(struct parser *ps, struct buf *out)
{
	size_t len;
	int rc;

	blanks(ps);
	len = identifier_len(ps->p);
	if (len > 0 && ps->p[len] == '(')
		return function(ps, out, len);
	if (len > 0 || *ps->p == '"') {
		buf_str(out, "_f(");
		rc = name(ps, out);
		buf_str(out, ")");
		return rc;
	}
	if (*ps->p == '\'')
		return raw_string(ps, out);
	if (*ps->p == '`')
		return literal(ps, out);
	if (isdigit((unsigned char)*ps->p) || *ps->p == '-')
		return number(ps, out);
	if (take(ps, "@")) {
		buf_str(out, ".");
		return 0;
	}
	if (take(ps, "!")) {
		rc = expression(ps, out, POWER_NOT);
		wrap(out, "(", "|_t|not)");
		return rc;
	}
	if (take(ps, "(")) {
		rc = expression(ps, out, 0);
		wrap(out, "(", ")");
		return rc == 0 && !take(ps, ")") ? refuse(ps, "expected )") :
		    rc;
	}
	if (take(ps, "{"))
		return multiselect_hash(ps, out);
	if (take(ps, "*")) {
		buf_str(out, ".");
		return project(ps, out, "_v");
	}
	if (take(ps, "[")) {
		if (!is_index(ps))
			return multiselect_list(ps, out);
		buf_str(out, ".");
		return bracket(ps, out);
	}
	return refuse(ps, "expected an expression");
}

/* Behind a dot. */
static int
member(struct parser *ps, struct buf *left)
{
	struct buf right = { 0 };
	int rc;

	if (take(ps, "*"))
		return project(ps, left, "_v");
	blanks(ps);
	if (identifier_len(ps->p) == 0 && *ps->p != '"' && *ps->p != '{' &&
	    *ps->p != '[')
		return refuse(ps, "expected a name");
	if (take(ps, "["))
		rc = multiselect_list(ps, &right);
	else
		rc = prefix(ps, &right);
	if (rc == 0) {
		buf_str(left, "|");
		buf_add(left, buf_data(&right), right.len);
		left->bad |= right.bad;
		wrap(left, "(", ")");
	}
	buf_free(&right);
	return rc;
}

/* left OP right, where `form` has the places of both as $1 and $2. */
static int
binary(struct parser *ps, struct buf *left, int power, const char *form)
{
	struct buf right = { 0 }, out = { 0 };
	int rc = expression(ps, &right, power);

	for (; rc == 0 && *form != '\0'; form++)
		if (*form == '$' && (form[1] == '1' || form[1] == '2')) {
			const struct buf *b = *++form == '1' ? left : &right;

			buf_add(&out, buf_data(b), b->len);
			out.bad |= b->bad;
		} else
			buf_add(&out, form, 1);
	buf_free(&right);
	if (rc == 0) {
		buf_free(left);
		*left = out;
	} else
		buf_free(&out);
	return rc;
}

static const struct {
	const char *token;
	char but_not; /* the character that would make it another token */
	int power;
	const char *form;
} operators[] = {
	{ "||", '\0', POWER_OR, "_o($1;$2)" },
	{ "|", '|', POWER_PIPE, "(($1)|($2))" },
	{ "&&", '\0', POWER_AND, "_a($1;$2)" },
	{ "==", '\0', POWER_COMPARE, "(($1)==($2))" },
	{ "!=", '\0', POWER_COMPARE, "(($1)!=($2))" },
	{ "<=", '\0', POWER_COMPARE, "_c($1;$2;.[0]<=.[1])" },
	{ ">=", '\0', POWER_COMPARE, "_c($1;$2;.[0]>=.[1])" },
	{ "<", '=', POWER_COMPARE, "_c($1;$2;.[0]<.[1])" },
	{ ">", '=', POWER_COMPARE, "_c($1;$2;.[0]>.[1])" },
};
#define OPERATORS (sizeof(operators) / sizeof(operators[0]))

/* What can follow an expression: 1 taken, 0 nothing that binds so tightly. */
static int
suffix(struct parser *ps, struct buf *left, int power)
{
	blanks(ps);
	if (*ps->p == '.' && power < POWER_DOT) {
		ps->p++;
		return member(ps, left) == -1 ? -1 : 1;
	}
	if (*ps->p == '[') {
		bool flatten = ps->p[1] == ']';

		if (power >= (flatten ? POWER_FLATTEN : POWER_BRACKET))
			return 0;
		ps->p++;
		return bracket(ps, left) == -1 ? -1 : 1;
	}
	for (size_t i = 0; i < OPERATORS; i++)
		if (next_is(ps, operators[i].token, operators[i].but_not)) {
			if (power >= operators[i].power)
				return 0;
			ps->p += strlen(operators[i].token);
			return binary(ps, left, operators[i].power,
			    operators[i].form) == -1 ? -1 : 1;
		}
	return 0;
}

static int
suffixes(struct parser *ps, struct buf *out, int power)
{
	int rc;

	if (++ps->depth > QUERY_DEPTH)
		return refuse(ps, "nested too deeply");
	while ((rc = suffix(ps, out, power)) == 1)
		;
	ps->depth--;
	return rc;
}

/* An expression whose operators bind tighter than power. */
static int
expression(struct parser *ps, struct buf *out, int power)
{
	if (++ps->depth > QUERY_DEPTH)
		return refuse(ps, "nested too deeply");
	if (prefix(ps, out) == -1)
		return -1;
	ps->depth--;
	return suffixes(ps, out, power);
}

int
query_translate(struct buf *out, const char *query, struct fault *f)
{
	struct parser ps = { .begin = query, .p = query, .fault = f };
	struct buf text = { 0 };
	int rc = expression(&ps, &text, 0);

	blanks(&ps);
	if (rc == 0 && *ps.p != '\0')
		rc = refuse(&ps, "not understood");
	if (rc == 0) {
		buf_str(out, prelude);
		buf_add(out, buf_data(&text), text.len);
		out->bad |= text.bad;
		if (out->bad)
			rc = fault_set(f, FAULT_INTERNAL, "out of memory");
	}
	buf_free(&text);
	return rc;
}
