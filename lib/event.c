#include <string.h>

#include "base64.h"
#include "buf.h"
#include "clock.h"
#include "event.h"
#include "hex.h"
#include "quote.h"
#include "utf8.h"

enum { SPECVERSION, ID, SOURCE, TYPE, SUBJECT, TIME, DATACONTENTTYPE,
	DATASCHEMA, DATA, DATA_BASE64, KNOWN };

/* An event while its members are looked at, one after the other. */
struct parse {
	const struct json *js;
	struct fault *fault;
	uint32_t tok[KNOWN]; /* values; 0 for none and null */
	unsigned seen;       /* a bit for each of those, null or not */
	unsigned members;
	unsigned nothers; /* extensions; their names are for comparison */
	struct {
		const char *name;
		size_t len;
	} other[EVENT_ATTRIBUTES];
	char unescaped[EVENT_ATTRIBUTES][EVENT_NAME_MAX];
	struct buf scratch;
};

static bool
non_empty(struct parse *p, uint32_t t)
{
	return p->js->tok[t].end - p->js->tok[t].start > 2;
}

static bool
version(struct parse *p, uint32_t t)
{
	return json_is(p->js, t, "1.0", 3);
}

static bool
alpha(int32_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
digit(int32_t c)
{
	return c >= '0' && c <= '9';
}

/* RFC 3986, 2: reserved, unreserved and '%' */
static bool
uri_char(int32_t c)
{
	switch (c) {
	case '"': case '<': case '>': case '\\': case '^': case '`':
	case '{': case '|': case '}':
		return false;
	default:
		return c > ' ' && c < 0x7f;
	}
}

/*
 * RFC 3986, 4.1, looked at by characters, escapes, the scheme and the fragment;
 * what is inside an authority is left to whoever connects to it.
 */
static bool
uri(const struct json *js, uint32_t t, bool *scheme)
{
	struct json_chars chars;
	bool first = true, name = true, fragment = false;
	int32_t c;
	size_t n;

	*scheme = false;
	json_chars(js, t, &chars);
	for (n = 0; (c = json_next(&chars)) != -1; n++) {
		if (!uri_char(c))
			return false;
		if (c == '%' && (hex_digit(json_next(&chars)) == -1 ||
		    hex_digit(json_next(&chars)) == -1))
			return false;
		if (c == '#' && fragment)
			return false;
		fragment |= c == '#';
		if (!first)
			continue;
		/* a ':' before any of "/?#" ends a scheme: 3.1 and 4.2 */
		if (c == ':') {
			if (n == 0 || !name)
				return false;
			*scheme = true;
		}
		first = c != ':' && c != '/' && c != '?' && c != '#';
		name &= alpha(c) || (n > 0 && (digit(c) || c == '+' ||
		    c == '-' || c == '.'));
	}
	return n > 0;
}

static bool
uri_reference(struct parse *p, uint32_t t)
{
	bool scheme;

	return uri(p->js, t, &scheme);
}

/* A fragment, which RFC 3986, 4.3 leaves out, names a part of a schema. */
static bool
absolute_uri(struct parse *p, uint32_t t)
{
	bool scheme;

	return uri(p->js, t, &scheme) && scheme;
}

/* RFC 2045, 5.1 */
static bool
token_char(int32_t c)
{
	switch (c) {
	case '(': case ')': case '<': case '>': case '@': case ',': case ';':
	case ':': case '\\': case '"': case '/': case '[': case ']':
	case '?': case '=':
		return false;
	default:
		return c > ' ' && c < 0x7f;
	}
}

/* type "/" subtype, and whatever parameters */
static bool
media_type(const struct json *js, uint32_t t)
{
	struct json_chars chars;
	size_t type = 0, subtype = 0;
	int32_t c;

	json_chars(js, t, &chars);
	while (token_char(c = json_next(&chars)))
		type++;
	if (type == 0 || c != '/')
		return false;
	while (token_char(c = json_next(&chars)))
		subtype++;
	while (c == ' ')
		c = json_next(&chars);
	return subtype > 0 && (c == -1 || c == ';');
}

static bool
content_type(struct parse *p, uint32_t t)
{
	return media_type(p->js, t);
}

/* A string's bytes; NULL when it has escapes and there is no memory. */
static const char *
bytes(struct parse *p, uint32_t t, size_t *n)
{
	const struct json_token *tok = &p->js->tok[t];

	if (!tok->escaped) {
		*n = tok->end - tok->start - 2;
		return p->js->text + tok->start + 1;
	}
	buf_reset(&p->scratch, EVENT_MAX);
	json_string(p->js, t, &p->scratch);
	if (p->scratch.bad)
		return NULL;
	*n = p->scratch.len;
	return buf_data(&p->scratch);
}

static bool
timestamp(struct parse *p, uint32_t t)
{
	size_t n;
	const char *s = bytes(p, t, &n);
	int64_t us;

	return s != NULL && clock_parse(s, n, &us) == 0;
}

static bool
base64(struct parse *p, uint32_t t)
{
	size_t n;
	const char *s = bytes(p, t, &n);

	return s != NULL && base64_decode(NULL, s, n) != -1;
}

#define NAME(s) s, sizeof(s) - 1

/* Members with rules of their own. All but data are strings. */
static const struct rule {
	const char *name;
	size_t len;
	bool (*check)(struct parse *, uint32_t);
	const char *must;
} rules[KNOWN] = {
	[SPECVERSION] = { NAME("specversion"), version, "must be \"1.0\"" },
	[ID] = { NAME("id"), non_empty, "must be a non-empty string" },
	[SOURCE] = { NAME("source"), uri_reference,
	    "must be a non-empty URI-reference (RFC 3986)" },
	[TYPE] = { NAME("type"), non_empty, "must be a non-empty string" },
	[SUBJECT] = { NAME("subject"), non_empty,
	    "must be a non-empty string" },
	[TIME] = { NAME("time"), timestamp,
	    "must be a time with its zone (RFC 3339)" },
	[DATACONTENTTYPE] = { NAME("datacontenttype"), content_type,
	    "must be a media type, as \"application/json\"" },
	[DATASCHEMA] = { NAME("dataschema"), absolute_uri,
	    "must be an absolute URI (RFC 3986)" },
	[DATA] = { NAME("data"), NULL, NULL },
	[DATA_BASE64] = { NAME("data_base64"), base64,
	    "must be a string in base64, padded (RFC 4648)" },
};

static int
refuse(struct parse *p, const char *name, size_t n, const char *why)
{
	char quoted[QUOTE_MAX];

	return fault_set(p->fault, FAULT_BAD_REQUEST, "\"%s\" %s",
	    quote(quoted, name, n), why);
}

/* Is there a byte from 0x7f up? Those below a space are no JSON at all. */
static bool
beyond_ascii(const char *s, size_t n)
{
	const uint64_t one = UINT64_C(0x0101010101010101);
	uint64_t word, all = 0;
	size_t i = 0;

	for (; n - i >= sizeof(word); i += sizeof(word)) {
		memcpy(&word, s + i, sizeof(word));
		/* a carry comes out of 0xff only, and that counts anyhow */
		all |= word | (word + one);
	}
	for (; i < n; i++)
		if ((unsigned char)s[i] >= 0x7f)
			return true;
	return (all & one << 7) != 0;
}

static bool
well_formed(const struct json *js, uint32_t t)
{
	const struct json_token *tok = &js->tok[t];
	struct json_chars chars;
	int32_t c;

	if (!tok->escaped && !beyond_ascii(js->text + tok->start,
	    tok->end - tok->start))
		return true;
	json_chars(js, t, &chars);
	while ((c = json_next(&chars)) != -1)
		if (!event_is_char(c))
			return false;
	return true;
}

static int
known(struct parse *p, unsigned i, uint32_t t)
{
	const struct rule *rule = &rules[i];

	if (p->seen & 1U << i)
		return refuse(p, rule->name, rule->len, "is given twice");
	p->seen |= 1U << i;
	if (i == DATA) {
		p->tok[i] = t;
		return 0;
	}
	if (p->js->tok[t].type == JSON_NULL)
		return 0;
	p->tok[i] = t;
	if (p->js->tok[t].type == JSON_STRING) {
		if (i != DATA_BASE64 && !well_formed(p->js, t))
			return refuse(p, rule->name, rule->len,
			    "has a control character or a non-character");
		if (rule->check(p, t))
			return 0;
	}
	if (p->scratch.bad)
		return fault_set(p->fault, FAULT_INTERNAL, "out of memory");
	return refuse(p, rule->name, rule->len, rule->must);
}

static int
extension(struct parse *p, const char *name, size_t len, uint32_t t)
{
	int64_t v;

	for (unsigned i = 0; i < p->nothers; i++)
		if (p->other[i].len == len &&
		    memcmp(p->other[i].name, name, len) == 0)
			return refuse(p, name, len, "is given twice");
	p->other[p->nothers].name = name;
	p->other[p->nothers++].len = len;
	switch (p->js->tok[t].type) {
	case JSON_STRING:
		if (well_formed(p->js, t))
			return 0;
		return refuse(p, name, len,
		    "has a control character or a non-character");
	case JSON_NUMBER:
		if (json_int64(p->js, t, &v) && v >= INT32_MIN &&
		    v <= INT32_MAX)
			return 0;
		return refuse(p, name, len,
		    "must be a whole number, -2147483648 to 2147483647");
	case JSON_ARRAY:
	case JSON_OBJECT:
		return refuse(p, name, len,
		    "must be a string, a whole number, true, false or null");
	default:
		return 0;
	}
}

/* A name without its escapes; NULL when it cannot be an attribute's. */
static const char *
member_name(struct parse *p, uint32_t t, size_t *len)
{
	const struct json_token *tok = &p->js->tok[t];
	char *out = p->unescaped[p->members];
	struct json_chars chars;
	int32_t c;

	if (!tok->escaped) {
		*len = tok->end - tok->start - 2;
		return p->js->text + tok->start + 1;
	}
	json_chars(p->js, t, &chars);
	for (*len = 0; (c = json_next(&chars)) != -1; (*len)++) {
		if (*len == EVENT_NAME_MAX || c >= 0x80)
			return NULL;
		out[*len] = (char)c;
	}
	return out;
}

/* Token t is a name, and the one behind it its value. */
static int
member(struct parse *p, uint32_t t)
{
	const struct json_token *tok = &p->js->tok[t];
	size_t len;
	const char *name = member_name(p, t, &len);

	for (unsigned i = 0; name != NULL && i < KNOWN; i++)
		if (rules[i].len == len &&
		    memcmp(rules[i].name, name, len) == 0)
			return known(p, i, t + 1);
	if (name == NULL || !event_is_name(name, len))
		return refuse(p, p->js->text + tok->start + 1,
		    tok->end - tok->start - 2,
		    "is no attribute name: 1 to 20 characters of a-z and 0-9");
	return extension(p, name, len, t + 1);
}

static int
members(struct parse *p)
{
	const struct json_token *tok = p->js->tok;
	static const unsigned required[] = { SPECVERSION, ID, SOURCE, TYPE };

	if (tok[0].type != JSON_OBJECT)
		return fault_set(p->fault, FAULT_BAD_REQUEST,
		    "an event must be a JSON object");
	for (uint32_t t = 1; t < tok[0].next; t = tok[t + 1].next) {
		if (p->members == EVENT_ATTRIBUTES)
			return fault_set(p->fault, FAULT_BAD_REQUEST,
			    "an event may have at most %d attributes",
			    EVENT_ATTRIBUTES);
		if (member(p, t) == -1)
			return -1;
		p->members++;
	}
	for (size_t i = 0; i < sizeof(required) / sizeof(*required); i++)
		if (p->tok[required[i]] == 0)
			return refuse(p, rules[required[i]].name,
			    rules[required[i]].len, "is missing");
	if (p->tok[DATA] != 0 && p->tok[DATA_BASE64] != 0)
		return fault_set(p->fault, FAULT_BAD_REQUEST,
		    "\"data\" and \"data_base64\" exclude each other");
	return 0;
}

static bool
event_grid_schema(const struct json *js)
{
	return json_member(js, 0, NAME("specversion")) == 0 &&
	    json_member(js, 0, NAME("eventType")) != 0;
}

int
event_parse(struct event *ev, const char *text, size_t n, struct fault *f)
{
	struct parse p;
	int rc;

	if (n > EVENT_MAX)
		return fault_set(f, FAULT_TOO_LARGE,
		    "an event may have at most %d bytes, not %zu", EVENT_MAX,
		    n);
	json_trim(&ev->json); /* the event before was perhaps a rare one */
	if (json_scan(&ev->json, text, n, f) == -1)
		return -1;
	if (!json_is_within(&ev->json, EVENT_DEPTH))
		return fault_set(f, FAULT_BAD_REQUEST,
		    "an event may have at most %d levels", EVENT_DEPTH);
	p.js = &ev->json;
	p.fault = f;
	p.seen = p.members = p.nothers = 0;
	memset(p.tok, 0, sizeof(p.tok));
	p.scratch = (struct buf){ 0 };
	rc = members(&p);
	buf_free(&p.scratch);
	if (rc == -1 && event_grid_schema(&ev->json))
		return fault_set(f, FAULT_BAD_REQUEST,
		    "this is an event of the EventGridSchema; "
		    "a topic takes CloudEvents 1.0 only");
	ev->id = p.tok[ID];
	ev->source = p.tok[SOURCE];
	ev->type = p.tok[TYPE];
	ev->subject = p.tok[SUBJECT];
	ev->time = p.tok[TIME];
	ev->datacontenttype = p.tok[DATACONTENTTYPE];
	ev->dataschema = p.tok[DATASCHEMA];
	ev->data = p.tok[DATA];
	ev->data_base64 = p.tok[DATA_BASE64];
	return rc;
}

void
event_free(struct event *ev)
{
	json_free(&ev->json);
	*ev = (struct event){ 0 };
}

bool
event_is_name(const char *name, size_t len)
{
	if (len == 0 || len > EVENT_NAME_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!digit(name[i]) && (name[i] < 'a' || name[i] > 'z'))
			return false;
	return true;
}

bool
event_is_media_type(const struct json *js, uint32_t t)
{
	return well_formed(js, t) && media_type(js, t);
}

/* The code point of n bytes that are a character. */
static int32_t
decode(const char *s, size_t n)
{
	struct json_chars chars = { s, s + n };

	return json_next(&chars);
}

void
event_add_text(struct buf *b, const char *s, size_t n)
{
	size_t i, plain = 0, len;

	buf_add(b, "\"", 1);
	for (i = 0; i < n; i += len) {
		len = utf8_char(s + i, n - i);
		if (len == 0) {
			len = 1;
		} else if (s[i] == '"' || s[i] == '\\') {
			buf_add(b, s + plain, i - plain);
			buf_add(b, "\\", 1);
			plain = i;
			continue;
		} else if (event_is_char(decode(s + i, len))) {
			continue;
		}
		buf_add(b, s + plain, i - plain);
		buf_str(b, EVENT_REPLACEMENT);
		plain = i + len;
	}
	if (n > plain)
		buf_add(b, s + plain, n - plain);
	buf_add(b, "\"", 1);
}

void
event_add_token(struct buf *b, const struct json *js, uint32_t t)
{
	const struct json_token *tok = &js->tok[t];
	struct buf text = { 0 };

	if (tok->type != JSON_STRING) {
		event_add_text(b, js->text + tok->start,
		    tok->end - tok->start);
	} else if (well_formed(js, t)) {
		buf_add(b, js->text + tok->start, tok->end - tok->start);
	} else {
		json_string(js, t, &text);
		b->bad |= text.bad;
		event_add_text(b, buf_data(&text), text.len);
		buf_free(&text);
	}
}
