#include "cargo.h"

#include <string.h>

#include "base64.h"
#include "clock.h"
#include "deadletter.h"
#include "letter.h"
#include "log.h"

#define UNKNOWN DL_REASONS

const char *
cargo_reason(int i)
{
	return i == UNKNOWN ? "Unknown" : dl_reason_name((enum dl_reason)i);
}

/* The record that the tokens are of. */
static void
count(struct cargo *c)
{
	const struct json *j = &c->json;
	uint32_t props = json_member(j, 0, "deadletterProperties", 20);
	uint32_t t = json_member(j, 0, "offset", 6), why = 0;
	int64_t offset;
	int reason = -1;

	if (props != 0 && j->tok[props].type == JSON_OBJECT)
		why = json_member(j, props, "deadletterreason", 16);
	if (why != 0 && j->tok[why].type == JSON_STRING)
		reason = dl_reason_parse(j->text + j->tok[why].start + 1,
		    j->tok[why].end - j->tok[why].start - 2);
	c->letters++;
	c->reason[reason == -1 ? UNKNOWN : reason]++;
	if (t != 0 && json_int64(j, t, &offset) && offset >= 0) {
		if (c->offsets.len > 0)
			buf_add(&c->offsets, ",", 1);
		buf_u64(&c->offsets, (uint64_t)offset);
	}
}

/* Where a line ends; the last one of a file that was spoilt has no newline. */
static const char *
end_of_line(const char *at, const char *end)
{
	const char *nl = memchr(at, '\n', (size_t)(end - at));

	return nl != NULL ? nl : end;
}

static void
add_text(struct buf *b, const char *member, const char *text)
{
	buf_printf(b, ",\"%s\":", member);
	buf_json(b, text, strlen(text));
}

/* What is no record any more leaves one all the same. */
static void
spoil(const struct parcel *p, const char *line, size_t len, const char *why,
    struct buf *b)
{
	char time[CLOCK_TEXT + 1];

	log_warn("%s/%s: a record of a parcel is none, and is dropped: %s",
	    p->topic, p->subscription, why);
	clock_format(time, clock_now());
	buf_printf(b, "{\"time\":\"%s\"", time);
	add_text(b, "topic", p->topic);
	add_text(b, "subscription", p->subscription);
	buf_printf(b, ",\"reason\":\"%s\"", dl_reason_name(DL_CORRUPT));
	add_text(b, "error", why);
	buf_str(b, ",\"line_base64\":\"");
	base64_add(b, line, len);
	buf_str(b, "\"}\n");
}

int
cargo_load(struct cargo *c, const struct parcel *p, const char *records,
    size_t len, struct fault *f)
{
	const char *at = records, *end = at + len, *nl;
	struct fault why;

	for (; at < end; at = nl + 1) {
		nl = end_of_line(at, end);
		if (letter_write(&c->text, &c->json, at, (size_t)(nl - at),
		    &why) == 0)
			count(c);
		else if (why.code == FAULT_INTERNAL)
			return fault_set(f, why.code, "%s", why.text);
		else
			spoil(p, at, (size_t)(nl - at), why.text, &c->spoilt);
	}
	return c->text.bad || c->offsets.bad || c->spoilt.bad ?
	    fault_set(f, FAULT_INTERNAL, "out of memory") : 0;
}

void
cargo_free(struct cargo *c)
{
	buf_free(&c->text);
	buf_free(&c->offsets);
	buf_free(&c->spoilt);
	json_free(&c->json);
	memset(c, 0, sizeof(*c));
}

void
cargo_line(const struct cargo *c, const struct parcel *p,
    const char *container, const char *blob, struct buf *b)
{
	char time[CLOCK_TEXT + 1];
	const char *comma = "";

	clock_format(time, clock_now());
	buf_printf(b, "{\"time\":\"%s\"", time);
	add_text(b, "topic", p->topic);
	add_text(b, "subscription", p->subscription);
	add_text(b, "container", container);
	add_text(b, "blob", blob);
	buf_str(b, ",\"count\":");
	buf_u64(b, c->letters);
	buf_str(b, ",\"reasons\":{");
	for (int i = 0; i <= UNKNOWN; i++) {
		if (c->reason[i] == 0)
			continue;
		buf_printf(b, "%s\"%s\":", comma, cargo_reason(i));
		buf_u64(b, c->reason[i]);
		comma = ",";
	}
	buf_str(b, "},\"offsets\":[");
	buf_add(b, buf_data(&c->offsets), c->offsets.len);
	buf_str(b, "]}\n");
}

static void
add_member(struct buf *b, const struct json *j, const char *member)
{
	uint32_t t = json_member(j, 0, member, strlen(member));

	if (t == 0)
		return;
	buf_printf(b, ",\"%s\":", member);
	buf_add(b, j->text + j->tok[t].start,
	    j->tok[t].end - j->tok[t].start);
}

/* As it was, with the time of the drop, and why in place of where to. */
static void
drop_one(struct cargo *c, const char *error, const char *time, struct buf *b)
{
	buf_printf(b, "{\"time\":\"%s\"", time);
	add_member(b, &c->json, "topic");
	add_member(b, &c->json, "subscription");
	add_member(b, &c->json, "offset");
	buf_str(b, ",\"reason\":\"" DL_WRITE_FAILED "\"");
	add_text(b, "error", error);
	add_member(b, &c->json, "deadletterProperties");
	add_member(b, &c->json, "event");
	buf_str(b, "}\n");
	count(c);
}

void
cargo_drop(struct cargo *c, const struct parcel *p, const char *records,
    size_t len, const char *error, struct buf *lines)
{
	const char *at = records, *end = at + len, *nl;
	char time[CLOCK_TEXT + 1];
	struct fault why;

	clock_format(time, clock_now());
	for (; at < end; at = nl + 1) {
		nl = end_of_line(at, end);
		if (json_scan(&c->json, at, (size_t)(nl - at), &why) == 0)
			drop_one(c, error, time, lines);
		else
			spoil(p, at, (size_t)(nl - at), why.text, lines);
	}
}
