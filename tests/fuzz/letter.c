/*
 * Any bytes as a blob; and as an event, which a record, a letter and a blob
 * carry and give back to the byte.
 */
#include <stdlib.h>
#include <string.h>

#include "letter.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct json js;
static struct buf out, record, blob;

/* Each is behind the one before, and its event is one line of JSON. */
static void
read_blob(const char *text, size_t len)
{
	struct letters ls = { .text = text, .len = len };
	const char *behind = text;
	uint64_t number = 0;
	struct letter l;
	struct fault f = { 0 };
	uint8_t key[LETTER_KEY];
	int rc;

	while ((rc = letters_next(&ls, &l, &f)) != 0) {
		if (l.number <= number || l.text < behind ||
		    l.len > (size_t)(text + len - l.text) ||
		    (rc == -1 && f.code == FAULT_NONE))
			abort();
		number = l.number;
		behind = l.text + l.len;
		if (rc == -1)
			continue;
		buf_reset(&out, 1 << 20);
		letter_event(&l, &out);
		if (json_scan(&js, buf_data(&out), out.len, NULL) == -1 ||
		    js.tok[0].type != JSON_OBJECT ||
		    memchr(buf_data(&out), '\n', out.len) != NULL)
			abort();
		letter_key(&l, "t", "s", "b", key);
		letter_time(&l);
	}
	letters_free(&ls);
}

static void
there_and_back(const char *text, size_t len)
{
	struct letters ls = { 0 };
	struct letter l;
	struct fault f;

	if (memchr(text, '\n', len) != NULL || memchr(text, '\r', len) != NULL ||
	    json_scan(&js, text, len, NULL) == -1 ||
	    js.tok[0].type != JSON_OBJECT || !json_is_within(&js,
	    JSON_DEPTH - 1))
		return;
	text += js.tok[0].start;
	len = js.tok[0].end - js.tok[0].start;
	buf_reset(&record, 1 << 20);
	buf_reset(&blob, 1 << 20);
	buf_reset(&out, 1 << 20);
	buf_str(&record, "{\"time\":\"2026-01-31T12:01:00.000000Z\","
	    "\"offset\":12,\"deadletterProperties\":{},\"event\":");
	buf_add(&record, text, len);
	buf_str(&record, "}\n");
	if (letter_write(&blob, &js, buf_data(&record), record.len, &f) == -1)
		abort();
	ls.text = buf_data(&blob);
	ls.len = blob.len;
	if (letters_next(&ls, &l, &f) != 1 || l.offset != 12)
		abort();
	letter_event(&l, &out);
	if (out.len != len || memcmp(buf_data(&out), text, len) != 0 ||
	    letters_next(&ls, &l, &f) != 0)
		abort();
	letters_free(&ls);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	read_blob((const char *)data, n);
	there_and_back((const char *)data, n);
	buf_reset(&out, 0);
	if (letter_write(&out, &js, (const char *)data, n, NULL) == 0)
		read_blob(buf_data(&out), out.len);
	return 0;
}
