/*
 * Any bytes to json_scan. What it takes must be text that libjq takes, too,
 * with tokens inside one another and strings that can be written anew.
 */
#include <stdlib.h>
#include <string.h>

#include <jv.h>

#include "json.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool truth)
{
	if (!truth)
		abort();
}

static void
check_string(const struct json *js, uint32_t t)
{
	struct json again = { 0 };
	struct buf s = { 0 }, text = { 0 };
	const char *bytes;

	json_string(js, t, &s);
	bytes = s.len > 0 ? buf_data(&s) : "";
	must(json_is(js, t, bytes, s.len));
	buf_json(&text, bytes, s.len);
	must(json_scan(&again, buf_data(&text), text.len, NULL) == 0);
	must(again.ntok == 1 && json_is(&again, 0, bytes, s.len));
	json_free(&again);
	buf_free(&text);
	buf_free(&s);
}

static void
check_number(const struct json *js, uint32_t t)
{
	double v = json_double(js, t);
	int64_t whole;

	must(v == v);
	if (json_int64(js, t, &whole))
		must((double)whole == v);
}

static void
check_token(const struct json *js, uint32_t t, size_t n)
{
	const struct json_token *tok = &js->tok[t];
	uint32_t i = t + 1, end = tok->start;

	must(tok->start < tok->end && tok->end <= n);
	must(tok->next > t && tok->next <= js->ntok);
	for (; i < tok->next; i = js->tok[i].next) {
		must(js->tok[i].start > end && js->tok[i].end < tok->end);
		end = js->tok[i].end - 1;
	}
	must(i == tok->next);
	if (tok->type == JSON_STRING)
		check_string(js, t);
	if (tok->type == JSON_NUMBER)
		check_number(js, t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const char *text = (const char *)data;
	struct json js = { 0 };
	struct fault f = { 0 };
	jv v;

	if (json_scan(&js, text, n, &f) == 0) {
		for (uint32_t t = 0; t < js.ntok; t++)
			check_token(&js, t, n);
		v = jv_parse_sized(text, (int)n);
		must(jv_is_valid(v));
		jv_free(v);
	} else {
		must(js.ntok == 0 && f.code != FAULT_NONE && f.text[0] != 0);
	}
	json_free(&js);
	return 0;
}
