#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "hex.h"
#include "json.h"
#include "utf8.h"

#define JSON_KEEP 4096 /* tokens, 64 KiB: more than all but rare texts need */

struct scan {
	struct json *js;
	const unsigned char *p, *end;
	const unsigned char *at; /* of what is wrong */
	const char *why;         /* "" means no memory */
	unsigned depth;
	bool escaped, nul;       /* of the string just read */
	uint32_t open[JSON_DEPTH];
};

static bool
bad(struct scan *s, const unsigned char *at, const char *why)
{
	s->at = at;
	s->why = why;
	return false;
}

static bool
grow(struct json *js)
{
	uint32_t cap = js->cap != 0 ? js->cap * 2 : 64;
	struct json_token *tok;

	/* a text of 4 GiB has fewer than 2^31 + 2 tokens */
	if (js->cap > UINT32_MAX / 2)
		return false;
	tok = realloc(js->tok, cap * sizeof(*tok));
	if (tok == NULL)
		return false;
	js->tok = tok;
	js->cap = cap;
	return true;
}

static inline uint32_t
offset(const struct scan *s, const unsigned char *p)
{
	return (uint32_t)(p - (const unsigned char *)s->js->text);
}

/* A token from start to s->p. */
static inline bool
add(struct scan *s, const unsigned char *start, enum json_type type)
{
	struct json *js = s->js;
	struct json_token *t;

	if (js->ntok == js->cap && !grow(js))
		return bad(s, start, "");
	t = &js->tok[js->ntok++];
	t->start = offset(s, start);
	t->end = offset(s, s->p);
	t->next = js->ntok;
	t->type = (uint8_t)type;
	t->escaped = type == JSON_STRING && s->escaped;
	return true;
}

static inline void
space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' ||
	    *s->p == '\r' || *s->p == '\t'))
		s->p++;
}

/* 0 at the end: no token begins with it. */
static inline int
peek(const struct scan *s)
{
	return s->p < s->end ? *s->p : 0;
}

static bool
literal(struct scan *s, const char *word, size_t n, enum json_type type)
{
	const unsigned char *start = s->p;

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return bad(s, start, "a value was expected");
	s->p += n;
	return add(s, start, type);
}

/* At least one digit. */
static inline bool
digits(struct scan *s)
{
	if (s->p == s->end || *s->p < '0' || *s->p > '9')
		return bad(s, s->p, "a digit was expected");
	do
		s->p++;
	while (s->p < s->end && *s->p >= '0' && *s->p <= '9');
	return true;
}

static bool
number(struct scan *s)
{
	const unsigned char *start = s->p;

	if (*s->p == '-')
		s->p++;
	if (peek(s) == '0')
		s->p++;
	else if (!digits(s))
		return false;
	if (peek(s) == '.') {
		s->p++;
		if (!digits(s))
			return false;
	}
	if (peek(s) == 'e' || peek(s) == 'E') {
		s->p++;
		if (peek(s) == '+' || peek(s) == '-')
			s->p++;
		if (!digits(s))
			return false;
	}
	return add(s, start, JSON_NUMBER);
}

/* Four hexadecimal digits, -1 when there are none. */
static int32_t
hex4(const unsigned char *p, const unsigned char *end)
{
	int32_t v = 0, digit;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		if ((digit = hex_digit(p[i])) == -1)
			return -1;
		v = v << 4 | digit;
	}
	return v;
}

/* Behind a backslash. */
static bool
escape(struct scan *s)
{
	const unsigned char *at = s->p - 1;
	int32_t c, low;

	s->escaped = true;
	switch (peek(s)) {
	case '"': case '\\': case '/':
	case 'b': case 'f': case 'n': case 'r': case 't':
		s->p++;
		return true;
	case 'u':
		break;
	default:
		return bad(s, at, "no such escape");
	}
	c = hex4(s->p + 1, s->end);
	if (c < 0)
		return bad(s, at, "\\u needs four hexadecimal digits");
	s->p += 5;
	s->nul |= c == 0;
	if (c < 0xd800 || c > 0xdfff)
		return true;
	if (c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' &&
	    s->p[1] == 'u') {
		low = hex4(s->p + 2, s->end);
		s->p += 6;
		if (low >= 0xdc00 && low <= 0xdfff)
			return true;
	}
	return bad(s, at, "unpaired surrogate");
}

/* The first byte that is not plain: not ASCII, a control, '"' or '\\'. */
static inline const unsigned char *
plain(const unsigned char *p, const unsigned char *end)
{
#ifdef __SSE2__
	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* bytes from 0x80 are negative, hence below the space, too */
		__m128i stop = _mm_or_si128(
		    _mm_cmplt_epi8(v, _mm_set1_epi8(' ')),
		    _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
			_mm_cmpeq_epi8(v, _mm_set1_epi8('\\'))));
		int mask = _mm_movemask_epi8(stop);

		if (mask != 0)
			return p + __builtin_ctz((unsigned)mask);
		p += 16;
	}
#endif
	while (p < end && *p >= ' ' && *p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

static bool
string(struct scan *s)
{
	const unsigned char *start = s->p++;
	size_t n;

	s->escaped = s->nul = false;
	for (;;) {
		s->p = plain(s->p, s->end);
		if (s->p == s->end)
			return bad(s, start, "a string without an end");
		if (*s->p == '"') {
			s->p++;
			return add(s, start, JSON_STRING);
		}
		if (*s->p == '\\') {
			s->p++;
			if (!escape(s))
				return false;
			continue;
		}
		if (*s->p < ' ')
			return bad(s, s->p, "control character in a string");
		n = utf8_char((const char *)s->p, (size_t)(s->end - s->p));
		if (n == 0)
			return bad(s, s->p, "invalid UTF-8");
		s->p += n;
	}
}

/* A member's name and its colon. */
static bool
name(struct scan *s)
{
	const unsigned char *start = s->p;

	if (peek(s) != '"')
		return bad(s, start, "a name in quotes was expected");
	if (!string(s))
		return false;
	if (s->nul)
		return bad(s, start, "a name with NUL in it");
	space(s);
	if (peek(s) != ':')
		return bad(s, s->p, "\":\" was expected");
	s->p++;
	space(s);
	return true;
}

static bool
enter(struct scan *s, enum json_type type)
{
	if (s->depth == JSON_DEPTH)
		return bad(s, s->p, "nested too deep");
	s->open[s->depth++] = s->js->ntok;
	s->p++;
	return add(s, s->p - 1, type);
}

static void
leave(struct scan *s)
{
	struct json_token *t = &s->js->tok[s->open[--s->depth]];

	s->p++;
	t->end = offset(s, s->p);
	t->next = s->js->ntok;
}

/* A scalar, or the beginning of an array or object. */
static bool
begin(struct scan *s)
{
	switch (peek(s)) {
	case '"': return string(s);
	case '{': return enter(s, JSON_OBJECT);
	case '[': return enter(s, JSON_ARRAY);
	case 't': return literal(s, "true", 4, JSON_TRUE);
	case 'f': return literal(s, "false", 5, JSON_FALSE);
	case 'n': return literal(s, "null", 4, JSON_NULL);
	case '-': case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		return number(s);
	default:
		return bad(s, s->p, "a value was expected");
	}
}

static inline bool
in_object(const struct scan *s)
{
	return s->js->tok[s->open[s->depth - 1]].type == JSON_OBJECT;
}

static bool
value(struct scan *s)
{
	bool first;
	unsigned depth;

	for (;;) {
		depth = s->depth;
		if (!begin(s))
			return false;
		first = s->depth > depth;
		space(s);
		while (s->depth > 0 && peek(s) == (in_object(s) ? '}' : ']')) {
			leave(s);
			space(s);
			first = false;
		}
		if (s->depth == 0)
			return true;
		if (!first) {
			if (peek(s) != ',')
				return bad(s, s->p, in_object(s) ?
				    "\",\" or \"}\" was expected" :
				    "\",\" or \"]\" was expected");
			s->p++;
			space(s);
		}
		if (in_object(s) && !name(s))
			return false;
	}
}

static int
scan(struct scan *s, bool whole, struct fault *f)
{
	struct json *js = s->js;
	const unsigned char *text = s->p;

	js->text = (const char *)text;
	js->ntok = 0;
	if (s->end - text > UINT32_MAX)
		return fault_set(f, FAULT_TOO_LARGE, "JSON text over 4 GiB");
	space(s);
	if (value(s)) {
		if (!whole || s->p == s->end)
			return 0;
		bad(s, s->p, "something behind the value");
	}
	js->ntok = 0;
	if (*s->why == '\0')
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return fault_set(f, FAULT_BAD_REQUEST, "invalid JSON at byte %zu: %s",
	    (size_t)(s->at - text) + 1, s->why);
}

int
json_scan(struct json *js, const char *text, size_t n, struct fault *f)
{
	const unsigned char *p = (const unsigned char *)text;
	struct scan s = { .js = js, .p = p, .end = p + n };

	return scan(&s, true, f);
}

int
json_scan_first(struct json *js, const char *text, size_t n, size_t *used,
    struct fault *f)
{
	const unsigned char *p = (const unsigned char *)text;
	struct scan s = { .js = js, .p = p, .end = p + n };
	int rc = scan(&s, false, f);

	*used = rc == 0 ? js->tok[0].end : (size_t)(s.p - p);
	return rc;
}

bool
json_is_within(const struct json *js, uint32_t levels)
{
	uint32_t ends[JSON_DEPTH], depth = 0;

	if (js->ntok <= levels)
		return true;
	for (uint32_t t = 0; t < js->ntok; t++) {
		while (depth > 0 && t >= ends[depth - 1])
			depth--;
		if (js->tok[t].type < JSON_ARRAY)
			continue;
		if (depth == levels)
			return false;
		ends[depth++] = js->tok[t].next;
	}
	return true;
}

void
json_trim(struct json *js)
{
	if (js->cap > JSON_KEEP)
		json_free(js);
}

void
json_free(struct json *js)
{
	free(js->tok);
	*js = (struct json){ 0 };
}

uint32_t
json_member(const struct json *js, uint32_t obj, const char *key,
    size_t n)
{
	const struct json_token *tok = js->tok;
	uint32_t found = 0;

	if (tok[obj].type != JSON_OBJECT)
		return 0;
	for (uint32_t i = obj + 1; i < tok[obj].next; i = tok[i + 1].next)
		if (json_is(js, i, key, n))
			found = i + 1;
	return found;
}

/* A code point as UTF-8; the number of bytes. */
static size_t
utf8_encode(char out[4], int32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

bool
json_is(const struct json *js, uint32_t t, const char *s, size_t n)
{
	const struct json_token *tok = &js->tok[t];
	struct json_chars chars;
	size_t used = 0, len;
	int32_t c;
	char utf8[4];

	if (tok->type != JSON_STRING)
		return false;
	if (!tok->escaped)
		return tok->end - tok->start - 2 == n &&
		    memcmp(js->text + tok->start + 1, s, n) == 0;
	json_chars(js, t, &chars);
	while ((c = json_next(&chars)) != -1) {
		len = utf8_encode(utf8, c);
		if (len > n - used || memcmp(s + used, utf8, len) != 0)
			return false;
		used += len;
	}
	return used == n;
}

void
json_string(const struct json *js, uint32_t t, struct buf *b)
{
	const struct json_token *tok = &js->tok[t];
	struct json_chars chars;
	int32_t c;
	char *out, *p;

	if (!tok->escaped) {
		buf_add(b, js->text + tok->start + 1,
		    tok->end - tok->start - 2);
		return;
	}
	/* no escape is shorter than what it stands for */
	out = p = buf_room(b, tok->end - tok->start);
	if (out == NULL)
		return;
	json_chars(js, t, &chars);
	while ((c = json_next(&chars)) != -1)
		p += utf8_encode(p, c);
	buf_grew(b, (size_t)(p - out));
}

void
json_chars(const struct json *js, uint32_t t, struct json_chars *chars)
{
	const struct json_token *tok = &js->tok[t];
	unsigned quote = tok->type == JSON_STRING;

	chars->p = js->text + tok->start + quote;
	chars->end = js->text + tok->end - quote;
}

/* The code point of an escape that was checked, behind its backslash. */
static int32_t
unescape(struct json_chars *chars)
{
	const unsigned char *p = (const unsigned char *)chars->p;
	const unsigned char *end = (const unsigned char *)chars->end;
	int32_t c;

	chars->p++;
	switch (*p) {
	case 'b': return '\b';
	case 'f': return '\f';
	case 'n': return '\n';
	case 'r': return '\r';
	case 't': return '\t';
	case 'u': break;
	default: return *p;
	}
	c = hex4(p + 1, end);
	chars->p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	chars->p += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 7, end) - 0xdc00);
}

int32_t
json_next(struct json_chars *chars)
{
	const unsigned char *p = (const unsigned char *)chars->p;

	if (chars->p == chars->end)
		return -1;
	if (p[0] < 0x80) {
		chars->p++;
		return p[0] == '\\' ? unescape(chars) : p[0];
	}
	if (p[0] < 0xe0) {
		chars->p += 2;
		return (p[0] & 0x1f) << 6 | (p[1] & 0x3f);
	}
	if (p[0] < 0xf0) {
		chars->p += 3;
		return (p[0] & 0x0f) << 12 | (p[1] & 0x3f) << 6 |
		    (p[2] & 0x3f);
	}
	chars->p += 4;
	return (p[0] & 0x07) << 18 | (p[1] & 0x3f) << 12 |
	    (p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

/* A long or odd number; NAN, which equals nothing, without memory. */
static double
slow_double(const char *p, size_t n)
{
	char few[64];
	char *copy = n < sizeof(few) ? few : malloc(n + 1);
	double v;

	if (copy == NULL)
		return NAN;
	memcpy(copy, p, n);
	copy[n] = '\0';
	v = strtod(copy, NULL);
	if (copy != few)
		free(copy);
	return v;
}

double
json_double(const struct json *js, uint32_t t)
{
	static const double ten[] = { 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7,
		1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
	const char *start = js->text + js->tok[t].start;
	const char *end = js->text + js->tok[t].end, *point = NULL;
	bool negative = *start == '-';
	int64_t v = 0;
	double d;

	/* up to 15 digits and a power of ten are exact, hence the quotient */
	if (end - start > 15)
		return slow_double(start, (size_t)(end - start));
	for (const char *p = start + negative; p < end; p++) {
		if (*p >= '0' && *p <= '9')
			v = v * 10 + (*p - '0');
		else if (*p == '.')
			point = p;
		else
			return slow_double(start, (size_t)(end - start));
	}
	d = (double)v / ten[point != NULL ? end - point - 1 : 0];
	return negative ? -d : d;
}

bool
json_int64(const struct json *js, uint32_t t, int64_t *out)
{
	const char *p = js->text + js->tok[t].start;
	const char *end = js->text + js->tok[t].end;
	bool negative = *p == '-';
	int64_t v = 0;

	for (p += negative; p < end; p++) {
		if (*p < '0' || *p > '9')
			return false;
		/* downwards, as INT64_MIN has no opposite */
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_sub_overflow(v, *p - '0', &v))
			return false;
	}
	if (!negative && v == INT64_MIN)
		return false;
	*out = negative ? v : -v;
	return true;
}
