/*
 * Any bytes that are an event: its headers hold no byte that HTTP has no place
 * for there, and decode to the attributes that it has, all of them; its type
 * and data are what the event says.
 */
#include <stdlib.h>
#include <string.h>

#include "base64.h"
#include "binding.h"
#include "jq.h"
#include "mapping.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool truth)
{
	if (!truth)
		abort();
}

static bool
same(const struct buf *b, const char *s, size_t n)
{
	return b->len == n && (n == 0 || memcmp(buf_data(b), s, n) == 0);
}

/* A value as its event has it: a string, or the text of something else. */
static void
must_be_value(const struct json *js, uint32_t t, const char *s, size_t n)
{
	const struct json_token *tok = &js->tok[t];

	must(tok->type != JSON_NULL && tok->type < JSON_ARRAY);
	if (tok->type == JSON_STRING)
		must(json_is(js, t, s, n));
	else
		must(tok->end - tok->start == n &&
		    memcmp(js->text + tok->start, s, n) == 0);
}

static unsigned
hex(char c)
{
	const char *digits = "0123456789ABCDEF", *at = strchr(digits, c);

	must(c != '\0' && at != NULL);
	return (unsigned)(at - digits);
}

static void
percent_decode(const char *s, struct buf *out)
{
	char c;

	for (; *s != '\0'; s++) {
		must(*s > ' ' && *s < 0x7f && *s != '"');
		c = *s;
		if (c == '%') {
			c = (char)(hex(s[1]) << 4 | hex(s[2]));
			s += 2;
		}
		buf_add(out, &c, 1);
	}
}

/* How many attributes belong into the head. */
static unsigned
attributes(const struct event *ev)
{
	const struct json *js = &ev->json;
	unsigned n = 0;

	for (uint32_t t = 1; t < js->tok[0].next; t = js->tok[t + 1].next)
		n += js->tok[t + 1].type != JSON_NULL;
	return n - (ev->data != 0 && js->tok[ev->data].type != JSON_NULL) -
	    (ev->data_base64 != 0) - (ev->datacontenttype != 0);
}

static void
check_http(const struct event *ev)
{
	static struct buf head, value;
	const char *p, *end, *colon;
	unsigned n = 0;
	uint32_t t;

	buf_reset(&head, 0);
	binding_http(ev, &head);
	must(!head.bad);
	end = buf_data(&head) + head.len;
	for (p = buf_data(&head); p < end; p += strlen(p) + 1, n++) {
		must(strncmp(p, "ce-", 3) == 0);
		must((colon = strchr(p, ':')) != NULL && colon[1] == ' ');
		must(event_is_name(p + 3, (size_t)(colon - p) - 3));
		t = json_member(&ev->json, 0, p + 3, (size_t)(colon - p) - 3);
		must(t != 0);
		buf_reset(&value, 0);
		percent_decode(colon + 2, &value);
		must_be_value(&ev->json, t, value.len == 0 ? "" :
		    buf_data(&value), value.len);
	}
	must(n == attributes(ev));
}

struct count {
	const struct event *ev;
	unsigned n;
};

static int
check_header(const char *name, const char *value, size_t n, void *arg)
{
	struct count *c = arg;
	struct buf field = { 0 };
	uint32_t t;

	c->n++;
	must(strncmp(name, "ce_", 3) == 0);
	t = json_member(&c->ev->json, 0, name + 3, strlen(name + 3));
	must(t != 0);
	must_be_value(&c->ev->json, t, value, n);
	must(binding_field(c->ev, name + 3, &field) == 0 &&
	    same(&field, value, n));
	buf_free(&field);
	return 0;
}

static void
check_type(const struct event *ev, struct buf *type)
{
	binding_type(ev, type);
	must(!type->bad);
	for (size_t i = 0; i < type->len; i++) {
		unsigned char c = (unsigned char)buf_data(type)[i];

		must(c >= ' ' && c != 0x7f);
	}
	must(type->len == 0 || buf_data(type)[type->len - 1] != ' ');
	must((type->len > 0) == (ev->datacontenttype != 0 || ev->data != 0));
}

/* Of a string both forms are right; which one is the unit test's. */
static void
check_data(const struct event *ev)
{
	const struct json *js = &ev->json;
	const struct json_token *tok = &js->tok[ev->data];
	struct buf data = { 0 }, coded = { 0 };

	binding_data(ev, &data);
	must(!data.bad);
	if (ev->data_base64 != 0) {
		base64_add(&coded, buf_data(&data), data.len);
		must(json_is(js, ev->data_base64, coded.len == 0 ? "" :
		    buf_data(&coded), coded.len));
	} else if (ev->data == 0) {
		must(data.len == 0);
	} else if (!same(&data, js->text + tok->start, tok->end - tok->start)) {
		must(ev->datacontenttype != 0 && tok->type == JSON_STRING &&
		    json_is(js, ev->data, data.len == 0 ? "" :
		    buf_data(&data), data.len));
	}
	buf_free(&data);
	buf_free(&coded);
}

static int
check_mapped(const char *name, const char *value, bool secret, void *arg)
{
	size_t n = strlen(value);

	(void)name;
	(void)arg;
	must(!secret && n <= MAPPINGS_VALUE);
	for (size_t i = 0; i < n; i++)
		must((unsigned char)value[i] >= ' ' && value[i] != 0x7f);
	must(n == 0 || (value[0] != ' ' && value[n - 1] != ' '));
	return 0;
}

#define D(name, field) "{\"name\":\"" name "\",\"type\":\"Dynamic\"," \
	"\"properties\":{\"sourceField\":\"" field "\"}}"

static void
check_mappings(const struct event *ev)
{
	static const char text[] = "[" D("a", "data") "," D("b", "data.a") ","
	    D("c", "data.a.b") "," D("d", "subject") "," D("e", "data.") "]";
	static struct mappings *m;

	if (m == NULL) {
		jv list = jq_parse(text, sizeof(text) - 1, NULL);

		m = mappings_new(list, NULL);
		jv_free(list);
	}
	must(m != NULL && mappings_each(m, ev, check_mapped, NULL) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct event ev;
	static struct buf type;
	struct count c = { .ev = &ev };

	if (event_parse(&ev, (const char *)data, n, NULL) == -1)
		return 0;
	buf_reset(&type, 0);
	check_type(&ev, &type);
	check_data(&ev);
	check_http(&ev);
	must(binding_kafka(&ev, check_header, &c) == 0);
	must(c.n == attributes(&ev));
	check_mappings(&ev);
	return 0;
}
