#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "uuid.h"
#include "wrap.h"

#define CONTENT_TYPE "application/json"

/* What an expression gave: its first result. */
static void
keep_first(jv v, void *arg)
{
	jv *result = arg;

	if (jv_get_kind(*result) == JV_KIND_INVALID)
		*result = v;
	else
		jv_free(v);
}

/*
 * The result of an expression over the value as a JSON string: 1, or 0 when
 * there is none or null, or -1.
 */
static int
add_result(struct buf *b, struct jq_program *program, const char *option,
    const char *value, size_t len, struct fault *f)
{
	struct fault why;
	jv input = jq_parse(value, len, f), result = jv_invalid();
	int rc = 1;

	if (!jv_is_valid(input))
		return -1;
	if (jq_run(program, input, keep_first, &result, &why) == -1) {
		jv_free(result);
		return fault_set(f, why.code, "%s: %s", option, why.text);
	}
	switch (jv_get_kind(result)) {
	case JV_KIND_INVALID:
	case JV_KIND_NULL:
		rc = 0;
		break;
	case JV_KIND_NUMBER:
		result = jv_dump_string(result, 0);
		/* FALLTHROUGH */
	case JV_KIND_STRING:
		buf_json(b, jv_string_value(result),
		    (size_t)jv_string_length_bytes(jv_copy(result)));
		break;
	default:
		rc = fault_set(f, FAULT_BAD_REQUEST,
		    "%s: the result is not a string or a number", option);
	}
	jv_free(result);
	return rc;
}

static int
add_id(struct wrap *w, const char *value, size_t len, struct buf *b,
    struct fault *f)
{
	char uuid[UUID_SIZE];
	int rc;

	if (w->id == NULL) {
		uuid_new(uuid);
		buf_printf(b, "\"%s\"", uuid);
		return 0;
	}
	rc = add_result(b, w->id, "--id", value, len, f);
	if (rc == 0)
		return fault_set(f, FAULT_BAD_REQUEST, "--id: no result");
	return rc;
}

static int
add_subject(struct wrap *w, const char *value, size_t len, struct buf *b,
    struct fault *f)
{
	struct buf subject = { 0 };
	int rc;

	if (w->subject == NULL)
		return 0;
	rc = add_result(&subject, w->subject, "--subject", value, len, f);
	if (rc == 1) {
		buf_str(b, ",\"subject\":");
		buf_add(b, buf_data(&subject), subject.len);
	}
	buf_free(&subject);
	return rc;
}

int
wrap_event(struct wrap *w, const char *value, size_t len, struct buf *b,
    struct fault *f)
{
	const char *content = w->content_type != NULL ? w->content_type :
	    CONTENT_TYPE;
	char now[CLOCK_TEXT + 1];

	/* By itself, or it could close our object and add to it. */
	if (json_scan(&w->json, value, len, f) == -1)
		return -1;
	buf_str(b, "{\"specversion\":\"1.0\",\"id\":");
	if (add_id(w, value, len, b, f) == -1)
		return -1;
	buf_str(b, ",\"source\":");
	buf_json(b, w->source, strlen(w->source));
	buf_str(b, ",\"type\":");
	buf_json(b, w->type, strlen(w->type));
	if (add_subject(w, value, len, b, f) == -1)
		return -1;
	clock_format(now, clock_now());
	buf_printf(b, ",\"time\":\"%s\",\"datacontenttype\":", now);
	buf_json(b, content, strlen(content));
	buf_str(b, ",\"data\":");
	buf_add(b, value, len);
	buf_add(b, "}", 1);
	if (b->bad)
		return fault_set(f, FAULT_INTERNAL, "out of memory");
	return 0;
}

void
wrap_free(struct wrap *w)
{
	if (w->subject != NULL)
		jq_free(w->subject);
	if (w->id != NULL)
		jq_free(w->id);
	json_free(&w->json);
}
