/* dead letters as they lie in blobs */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/sha256.h>

#include "clock.h"
#include "deadletter.h"
#include "letter.h"
#include "utf8.h"

/* Members of a record: the values, 0 for what it lacks. */
enum { DEADLETTER, DEAD_LETTER, BROKER, CUSTOM, EVENT, BESIDES };
enum { ID, SOURCE, TYPE, SUBJECT, ATTRIBUTES };
struct name {
	const char *text;
	size_t len;
};
#define NAME(s) { s, sizeof(s) - 1 }
static const struct name besides[BESIDES] = {
	[DEADLETTER] = NAME("deadletterProperties"),
	[DEAD_LETTER] = NAME("deadLetterProperties"),
	[BROKER] = NAME("brokerProperties"),
	[CUSTOM] = NAME("customDeliveryProperties"),
	[EVENT] = NAME("event"),
};
static const struct name attributes[ATTRIBUTES] = {
	[ID] = NAME("id"),
	[SOURCE] = NAME("source"),
	[TYPE] = NAME("type"),
	[SUBJECT] = NAME("subject"),
};

/* Members of its properties, whoever wrote them. */
enum { REASON, ATTEMPTS, RESULT, ATTEMPTED, PUBLISHED, DIED, OFFSET };
static const struct {
	struct name name;
	int what;
} properties[] = {
	{ NAME("deadletterreason"), REASON },
	{ NAME("deliveryattempts"), ATTEMPTS },
	{ NAME("deliveryresult"), RESULT },
	{ NAME("lastDeliveryAttemptTime"), ATTEMPTED },
	{ NAME("deliveryattemptutc"), ATTEMPTED },
	{ NAME("publishTime"), PUBLISHED },
	{ NAME("publishutc"), PUBLISHED },
	{ NAME("deadLetterTime"), DIED },
	{ NAME("offset"), OFFSET },
};
#define PROPERTIES (sizeof(properties) / sizeof(properties[0]))

static inline bool
is_name(const struct json *js, uint32_t t, const struct name *name)
{
	const struct json_token *tok = &js->tok[t];

	if (!tok->escaped && tok->end - tok->start - 2 != name->len)
		return false;
	return json_is(js, t, name->text, name->len);
}

/* The values of an object's members by name; the last of equal names. */
static void
find(const struct json *js, uint32_t object, const struct name *names,
    size_t n, uint32_t *values)
{
	uint32_t end = js->tok[object].next;

	memset(values, 0, n * sizeof(*values));
	for (uint32_t t = object + 1; t < end; t = js->tok[t + 1].next)
		for (size_t i = 0; i < n; i++)
			if (is_name(js, t, &names[i]))
				values[i] = t + 1;
}

/* A string as it stands, cut between characters when it is too long. */
static void
copy_text(const struct json *js, uint32_t t, char *out, size_t size)
{
	struct buf b = { 0 };
	const char *s = js->text + js->tok[t].start + 1;
	size_t n = js->tok[t].end - js->tok[t].start - 2;

	if (js->tok[t].escaped) {
		json_string(js, t, &b);
		s = buf_data(&b);
		n = b.len;
	}
	if (n >= size)
		for (n = size - 1; n > 0 && (s[n] & 0xc0) == 0x80; n--)
			;
	if (n > 0)
		memcpy(out, s, n);
	out[n] = '\0';
	buf_free(&b);
}

static int64_t
time_of(const struct json *js, uint32_t t)
{
	int64_t us;

	if (js->tok[t].type != JSON_STRING || clock_parse(js->text +
	    js->tok[t].start + 1, js->tok[t].end - js->tok[t].start - 2,
	    &us) == -1)
		return 0;
	return us;
}

static int64_t
count_of(const struct json *js, uint32_t t)
{
	int64_t n;

	if (js->tok[t].type != JSON_NUMBER || !json_int64(js, t, &n) || n < 0)
		return -1;
	return n;
}

static void
read_property(struct letter *l, int what, uint32_t t)
{
	const struct json *js = l->json;
	bool string = js->tok[t].type == JSON_STRING;

	switch (what) {
	case REASON:
		if (string)
			copy_text(js, t, l->reason_text,
			    sizeof(l->reason_text));
		break;
	case RESULT:
		if (string)
			copy_text(js, t, l->result, sizeof(l->result));
		break;
	case ATTEMPTS: l->attempts = count_of(js, t); break;
	case ATTEMPTED: l->attempted = time_of(js, t); break;
	case PUBLISHED: l->published = time_of(js, t); break;
	case DIED: l->died = time_of(js, t); break;
	case OFFSET: l->offset = count_of(js, t); break;
	}
}

static void
read_properties(struct letter *l, uint32_t object)
{
	const struct json_token *tok = l->json->tok;
	const char *s;
	size_t len;

	for (uint32_t t = object + 1; t < tok[object].next;
	    t = tok[t + 1].next) {
		s = l->json->text + tok[t].start + 1;
		len = tok[t].end - tok[t].start - 2;
		for (size_t i = 0; i < PROPERTIES; i++)
			if (properties[i].name.len == len && strncasecmp(s,
			    properties[i].name.text, len) == 0)
				read_property(l, properties[i].what, t + 1);
	}
	l->reason = letter_reason(l->reason_text, strlen(l->reason_text),
	    l->result, strlen(l->result));
}

/* Where our members begin, in a letter that is of our form, properties and all;
 * else 0: an event of ours may have members of any name. */
static uint32_t
our_member(const struct letter *l)
{
	const struct json_token *tok = l->json->tok;
	uint32_t last = 0, before = 0;

	if (l->died == 0 || l->offset == -1)
		return 0;
	for (uint32_t t = 1; t < tok[0].next; t = tok[t + 1].next) {
		before = last;
		last = t;
	}
	if (is_name(l->json, last, &besides[CUSTOM]))
		last = before;
	return is_name(l->json, last, &besides[DEADLETTER]) ? last : 0;
}

static uint32_t
string_or_none(const struct json *js, uint32_t t)
{
	return t != 0 && js->tok[t].type == JSON_STRING ? t : 0;
}

/* What was scanned is a dead letter. */
static int
read_letter(struct letter *l, struct fault *f)
{
	const struct json *js = l->json;
	uint32_t v[BESIDES], a[ATTRIBUTES], props = 0;

	if (js->tok[0].type != JSON_OBJECT)
		return fault_set(f, FAULT_BAD_REQUEST, "not a JSON object");
	find(js, 0, besides, BESIDES, v);
	for (int i = BROKER; i >= DEADLETTER; i--)
		if (v[i] != 0 && js->tok[v[i]].type == JSON_OBJECT)
			props = v[i];
	if (props == 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "an object without \"deadletterProperties\"");
	read_properties(l, props);
	l->wrapped = v[EVENT] != 0 && js->tok[v[EVENT]].type == JSON_OBJECT &&
	    our_member(l) == 0;
	l->event = l->wrapped ? v[EVENT] : 0;
	find(js, l->event, attributes, ATTRIBUTES, a);
	l->id = string_or_none(js, a[ID]);
	l->source = string_or_none(js, a[SOURCE]);
	l->type = string_or_none(js, a[TYPE]);
	l->subject = string_or_none(js, a[SUBJECT]);
	return 0;
}

/* To what is next; false at the end. */
static bool
skip(struct letters *ls)
{
	bool blank = ls->at == 0;

	if (blank)
		ls->at = utf8_bom(ls->text, ls->len);
	for (; ls->at < ls->len; ls->at++) {
		switch (ls->text[ls->at]) {
		case '\n':
			ls->number += blank;
			blank = true;
			break;
		case ' ': case '\t': case '\r':
			break;
		case ',': case '[': case ']':
			blank = false;
			break;
		default:
			return true;
		}
	}
	return false;
}

/* Bytes to the end of the line. */
static size_t
line_len(const char *text, size_t len)
{
	const char *end = memchr(text, '\n', len);

	return end == NULL ? len : (size_t)(end - text);
}

/*
 * The value that text begins with, usually one line. What has no end may be
 * looked at again and again, once for each line that it begins with: so much of
 * that, and no more.
 */
static int
scan(struct letters *ls, const char *text, size_t *used, struct fault *f)
{
	size_t len = ls->len - ls->at, line;

	if (ls->wasted > ls->len)
		len = line_len(text, len);
	if (json_scan_first(&ls->json, text, len, used, f) == 0)
		return 0;
	line = line_len(text, len);
	if (*used > line)
		ls->wasted += *used - line;
	*used = line;
	return -1;
}

/* With a scalar, which is no letter, goes what is behind it and no separator. */
static size_t
with_rest(const char *text, size_t len, size_t used)
{
	size_t line = used + line_len(text + used, len - used);
	size_t at = used;

	while (at < line && strchr(" \t\r", text[at]) != NULL)
		at++;
	return at == line || text[at] == ',' || text[at] == ']' ? used : line;
}

int
letters_next(struct letters *ls, struct letter *l, struct fault *f)
{
	const char *text;
	size_t used;
	int rc;

	*l = (struct letter){ .json = &ls->json, .reason = -1, .attempts = -1,
		.offset = -1 };
	if (!skip(ls))
		return 0;
	text = ls->text + ls->at;
	rc = scan(ls, text, &used, f);
	if (rc == 0 && (rc = read_letter(l, f)) == -1 && *text != '{')
		used = with_rest(text, ls->len - ls->at, used);
	l->number = ++ls->number;
	l->text = text;
	l->len = used;
	if (rc == -1 && used > 0 && text[used - 1] == '\r')
		l->len--;
	ls->at += used;
	return rc == 0 ? 1 : -1;
}

void
letters_free(struct letters *ls)
{
	json_free(&ls->json);
}

int64_t
letter_time(const struct letter *l)
{
	return l->died != 0 ? l->died :
	    l->attempted != 0 ? l->attempted : l->published;
}

/* Text of JSON, in one line. */
static void
add_line(struct buf *b, const char *text, size_t n)
{
	char *p = buf_room(b, n);

	if (p == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		p[i] = text[i] == '\n' || text[i] == '\r' ? ' ' : text[i];
	buf_grew(b, n);
}

/* Is this the name of what was put around an event? */
static bool
is_beside(const struct json *js, uint32_t t)
{
	for (int i = 0; i < EVENT; i++)
		if (is_name(js, t, &besides[i]))
			return true;
	return false;
}

/* The comma before a member that is not the first. */
static uint32_t
comma_before(const char *text, uint32_t at)
{
	do
		at--;
	while (text[at] != ',');
	return at;
}

void
letter_event(const struct letter *l, struct buf *b)
{
	const struct json_token *tok = l->json->tok;
	const char *text = l->json->text;
	uint32_t ours, next, at = tok[0].start;
	bool kept = false;

	if (l->wrapped) {
		add_line(b, text + tok[l->event].start,
		    tok[l->event].end - tok[l->event].start);
		return;
	}
	ours = our_member(l);
	for (uint32_t t = 1; t < tok[0].next; t = next) {
		next = tok[t + 1].next;
		if (ours != 0 ? t < ours : !is_beside(l->json, t)) {
			kept = true;
			continue;
		}
		add_line(b, text + at, (kept ?
		    comma_before(text, tok[t].start) : tok[t].start) - at);
		at = kept || next == tok[0].next ? tok[t + 1].end :
		    tok[next].start;
	}
	add_line(b, text + at, tok[0].end - at);
}

void
letter_line(const struct letter *l, struct buf *b)
{
	add_line(b, l->text, l->len);
}

void
letter_key(const struct letter *l, const char *topic,
    const char *subscription, const char *blob, uint8_t key[LETTER_KEY])
{
	uint8_t digest[WC_SHA256_DIGEST_SIZE];
	char place[256];
	wc_Sha256 sha;
	int n;

	wc_InitSha256(&sha);
	if (l->offset >= 0 && l->published != 0 && *topic != '\0' &&
	    *subscription != '\0') {
		n = snprintf(place, sizeof(place), "/%" PRId64 "/%" PRId64,
		    l->offset, l->published);
		/* neither name has a slash */
		wc_Sha256Update(&sha, (const byte *)topic,
		    (word32)strlen(topic));
		wc_Sha256Update(&sha, (const byte *)"/", 1);
		wc_Sha256Update(&sha, (const byte *)subscription,
		    (word32)strlen(subscription));
		wc_Sha256Update(&sha, (const byte *)place, (word32)n);
	} else {
		wc_Sha256Update(&sha, (const byte *)blob,
		    (word32)strlen(blob) + 1);
		wc_Sha256Update(&sha, (const byte *)l->text, (word32)l->len);
	}
	wc_Sha256Final(&sha, digest);
	wc_Sha256Free(&sha);
	memcpy(key, digest, LETTER_KEY);
}

static bool
says(const char *s, size_t len, const char *words)
{
	size_t n = strlen(words);

	return (len == n || (len == n + 1 && s[n] == '.')) &&
	    strncasecmp(s, words, n) == 0;
}

/* Undeliverable due to client error: which? */
static int
client_error(const char *result, size_t len)
{
	switch (dl_result_parse(result, len)) {
	case DL_RESULT_UNAUTHORIZED:
	case DL_FORBIDDEN:
		return DL_UNAUTHORIZED;
	case DL_NOT_FOUND:
		return DL_ENDPOINT_NOT_FOUND;
	case DL_BAD_REQUEST:
		return DL_SCHEMA_REJECTED;
	case DL_RESULT_PAYLOAD_TOO_LARGE:
		return DL_PAYLOAD_TOO_LARGE;
	default:
		return -1;
	}
}

int
letter_reason(const char *reason, size_t len, const char *result,
    size_t result_len)
{
	if (says(reason, len, "MaxDeliveryAttemptsExceeded") ||
	    says(reason, len, "Maximum delivery attempts was exceeded"))
		return DL_MAX_DELIVERY_COUNT;
	if (says(reason, len, "Undeliverable due to client error"))
		return client_error(result, result_len);
	return dl_reason_parse(reason, len);
}

/* A member of the properties that are written, if the value is of its type. */
static void
add_member(struct buf *b, bool *first, const char *name,
    const struct json *js, uint32_t t, enum json_type type)
{
	if (t == 0 || js->tok[t].type != type)
		return;
	buf_str(b, *first ? "\"" : ",\"");
	buf_str(b, name);
	buf_str(b, "\":");
	buf_add(b, js->text + js->tok[t].start,
	    js->tok[t].end - js->tok[t].start);
	*first = false;
}

static void
add_properties(struct buf *b, const struct json *js, uint32_t object)
{
	static const struct {
		const char *name, *from;
		enum json_type type;
	} members[] = {
		{ "deadletterreason", NULL, JSON_STRING },
		{ "deliveryattempts", NULL, JSON_NUMBER },
		{ "deliveryresult", NULL, JSON_STRING },
		{ "lastDeliveryAttemptTime", NULL, JSON_STRING },
		{ "publishTime", NULL, JSON_STRING },
		{ "deadLetterTime", "time", JSON_STRING },
		{ "offset", "offset", JSON_NUMBER },
	};
	const char *name;
	bool first = true;

	buf_str(b, "\"deadletterProperties\":{");
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		name = members[i].from != NULL ? members[i].from :
		    members[i].name;
		add_member(b, &first, members[i].name, js, json_member(js,
		    members[i].from != NULL ? 0 : object, name, strlen(name)),
		    members[i].type);
	}
	buf_str(b, "}");
}

/* Its member that is an object. */
static uint32_t
object_of(const struct json *js, const struct name *name)
{
	uint32_t t = json_member(js, 0, name->text, name->len);

	return t != 0 && js->tok[t].type == JSON_OBJECT ? t : 0;
}

int
letter_write(struct buf *b, struct json *js, const char *line, size_t len,
    struct fault *f)
{
	uint32_t event, props, custom;

	if (json_scan(js, line, len, f) == -1)
		return -1;
	if ((event = object_of(js, &besides[EVENT])) == 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "a record without \"event\", an object");
	if ((props = object_of(js, &besides[DEADLETTER])) == 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "a record without \"deadletterProperties\"");
	add_line(b, js->text + js->tok[event].start,
	    js->tok[event].end - js->tok[event].start - 1);
	if (js->tok[event].next > event + 1)
		buf_str(b, ",");
	add_properties(b, js, props);
	if ((custom = object_of(js, &besides[CUSTOM])) != 0) {
		buf_str(b, ",\"customDeliveryProperties\":");
		add_line(b, js->text + js->tok[custom].start,
		    js->tok[custom].end - js->tok[custom].start);
	}
	buf_str(b, "}\n");
	if (b->bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}
