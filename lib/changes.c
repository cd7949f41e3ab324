#include "changes.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "crc32c.h"
#include "json.h"

static uint32_t
checksum(const char *line, size_t len)
{
	uint32_t crc = crc32c(0, line, CHANGES_CRC_AT);

	return crc32c(crc, line + CHANGES_CRC_AT + 8,
	    len - CHANGES_CRC_AT - 8);
}

static bool
number(const struct json *json, const char *name, uint64_t *n)
{
	uint32_t t = json_member(json, 0, name, strlen(name));
	int64_t value;

	if (t == 0 || !json_int64(json, t, &value) || value < 1)
		return false;
	*n = (uint64_t)value;
	return true;
}

static bool
members(const struct json *json, struct change *c)
{
	uint32_t path = json_member(json, 0, "path", 4);
	uint32_t op = json_member(json, 0, "op", 2);
	uint32_t resource = json_member(json, 0, "resource", 8);
	uint64_t n, of;

	if (!number(json, "transaction", &c->transaction) ||
	    !number(json, "change", &n) || !number(json, "of", &of) ||
	    n > of || of > UINT32_MAX)
		return false;
	if (path == 0 || json->tok[path].type != JSON_STRING ||
	    json->tok[path].escaped || op == 0)
		return false;
	if (json_is(json, op, "put", 3) != (resource != 0))
		return false;
	c->number = (uint32_t)n;
	c->of = (uint32_t)of;
	c->path = json->text + json->tok[path].start + 1;
	c->path_len = json->tok[path].end - json->tok[path].start - 2;
	c->resource = c->name = NULL;
	c->resource_len = c->name_len = 0;
	if (resource != 0) {
		c->resource = json->text + json->tok[resource].start;
		c->resource_len = json->tok[resource].end -
		    json->tok[resource].start;
	}
	return true;
}

void
changes_format(struct buf *b, const struct change *c, int64_t time,
    const char *who)
{
	char text[CLOCK_TEXT + 1];
	size_t at = b->len;

	clock_format(text, time);
	buf_printf(b, "{\"time\":\"%s\",\"crc32c\":\"00000000\",\"who\":",
	    text);
	buf_json(b, who, strlen(who));
	buf_printf(b, ",\"transaction\":%ju,\"change\":%u,\"of\":%u,\"op\":",
	    (uintmax_t)c->transaction, c->number, c->of);
	buf_str(b, c->resource != NULL ? "\"put\",\"path\":" :
	    "\"delete\",\"path\":");
	buf_json(b, c->path, c->path_len);
	if (c->resource != NULL) {
		buf_str(b, ",\"resource\":");
		buf_add(b, c->resource, c->resource_len);
	} else if (c->name != NULL) {
		buf_str(b, ",\"authenticationName\":");
		buf_json(b, c->name, c->name_len);
	}
	buf_add(b, "}", 1);
	if (!b->bad)
		crc32c_format(buf_data(b) + at + CHANGES_CRC_AT,
		    checksum(buf_data(b) + at, b->len - at));
	buf_add(b, "\n", 1);
}

bool
changes_parse(struct json *json, const char *line, size_t len,
    struct change *c)
{
	char crc[CRC32C_TEXT];

	if (len < CHANGES_CRC_AT + 10)
		return false;
	crc32c_format(crc, checksum(line, len));
	if (memcmp(line + CHANGES_CRC_AT, crc, sizeof(crc)) != 0)
		return false;
	return json_scan(json, line, len, NULL) == 0 &&
	    json->tok[0].type == JSON_OBJECT && members(json, c);
}

/* The lines of one whole transaction, known to be good. */
static int
replay(struct json *json, const char *text, size_t from, size_t end,
    int (*change)(const struct change *, void *), void *arg)
{
	const char *nl;
	struct change c;
	size_t n;
	int rc;

	for (; from < end; from += n + 1) {
		nl = memchr(text + from, '\n', end - from);
		n = (size_t)(nl - (text + from));
		if (!changes_parse(json, text + from, n, &c))
			abort();
		if ((rc = change(&c, arg)) != 0)
			return rc;
	}
	return 0;
}

int
changes_walk(const char *text, size_t len, struct changes_mark *mark,
    int (*change)(const struct change *, void *), void *arg, struct fault *f)
{
	struct json json = { 0 };
	struct change c;
	const char *nl;
	size_t at = mark->offset, n;
	uint64_t seen = 0; /* changes of the transaction under way */
	int rc = 0;

	while (rc == 0 && at < len &&
	    (nl = memchr(text + at, '\n', len - at)) != NULL) {
		n = (size_t)(nl - (text + at));
		if (!changes_parse(&json, text + at, n, &c) ||
		    c.transaction != mark->transaction + 1 ||
		    c.number != ++seen) {
			rc = fault_set(f, FAULT_INTERNAL,
			    "changes.ndjson: the line at byte %zu is damaged",
			    at);
			break;
		}
		if (c.number == c.of) {
			if (change != NULL)
				rc = replay(&json, text, mark->offset,
				    at + n + 1, change, arg);
			mark->line = at;
			mark->offset = at + n + 1;
			mark->transaction = c.transaction;
			memcpy(mark->crc, text + at + CHANGES_CRC_AT, 8);
			seen = 0;
		}
		at += n + 1;
	}
	json_free(&json);
	return rc;
}
