#include <string.h>

#include "pull.h"

void
request_begin(struct request *r, const struct options *opt, const char *op)
{
	r->op = op;
	r->tokens = 0;
	buf_reset(&r->text, REQUEST_BYTES);
	buf_printf(&r->text, "{\"op\":\"%s\",\"topic\":", op);
	buf_json(&r->text, opt->topic, strlen(opt->topic));
	buf_str(&r->text, ",\"subscription\":");
	buf_json(&r->text, opt->subscription, strlen(opt->subscription));
}

void
request_number(struct request *r, const char *name, int64_t n)
{
	buf_printf(&r->text, ",\"%s\":%lld", name, (long long)n);
}

void
request_token(struct request *r, const char *token, size_t len)
{
	buf_str(&r->text, r->tokens++ == 0 ? ",\"lockTokens\":[" : ",");
	buf_json(&r->text, token, len);
}

bool
request_full(const struct request *r)
{
	/* JSON may take six bytes for one. */
	return r->tokens == REQUEST_TOKENS ||
	    r->text.len > REQUEST_BYTES - 6 * TOKEN_MAX;
}

void
request_end(struct request *r)
{
	buf_str(&r->text, r->tokens > 0 ? "]}\n" : "}\n");
}

const char *
request_string(const struct json *j, uint32_t obj, const char *name,
    struct buf *b)
{
	uint32_t t = json_member(j, obj, name, strlen(name));

	buf_reset(b, TOKEN_MAX);
	if (t > 0 && j->tok[t].type == JSON_STRING)
		json_string(j, t, b);
	buf_add(b, "", 1);
	return b->bad ? "" : buf_data(b);
}

void
request_failed(const struct client *c,
    void (*fn)(void *, const char *token, const char *code, const char *message),
    void *arg)
{
	const struct json *j = &c->json;
	uint32_t list = json_member(j, 0, "failedLockTokens", 16), t, error;
	struct buf token = { 0 }, code = { 0 }, message = { 0 };

	if (list == 0 || j->tok[list].type != JSON_ARRAY)
		return;
	for (t = list + 1; t < j->tok[list].next; t = j->tok[t].next) {
		if (j->tok[t].type != JSON_OBJECT)
			continue;
		error = json_member(j, t, "error", 5);
		if (error == 0 || j->tok[error].type != JSON_OBJECT)
			error = t;
		fn(arg, request_string(j, t, "lockToken", &token),
		    request_string(j, error, "code", &code),
		    request_string(j, error, "message", &message));
	}
	buf_free(&token);
	buf_free(&code);
	buf_free(&message);
}
