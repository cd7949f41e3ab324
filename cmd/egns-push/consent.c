/* what somebody says at the callback */
#include "consent.h"

#include <http_parser.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "num.h"

#define PATH "/callback/"
#define RATE "WebHook-Allowed-Rate"

struct consent {
	http_parser parser;
	size_t len; /* of the request so far */
	struct buf url, name, value;
	bool in_value, done;
	bool bad_rate;
	long rate; /* 0: none was said */
	char key[CONSENT_KEY];
};

static void
answer(const struct consent *c, const char *status, const char *more,
    const char *words, struct buf *out)
{
	buf_printf(out, "HTTP/1.1 %s\r\n%sContent-Type: text/plain; "
	    "charset=utf-8\r\nContent-Length: %zu\r\nCache-Control: no-store"
	    "\r\nConnection: close\r\n\r\n", status, more, strlen(words));
	if (!c->done || c->parser.method != HTTP_HEAD)
		buf_str(out, words);
}

static enum consent_result
refuse(const struct consent *c, const char *status, const char *more,
    const char *words, struct buf *out)
{
	answer(c, status, more, words, out);
	return CONSENT_REFUSED;
}

/* "120", "*" or, in a query, "%2A". A second one would contradict the first. */
static void
take_rate(struct consent *c, const char *p, size_t n)
{
	char text[sizeof("2147483647")] = "";
	int64_t rate = -1;

	for (; n > 0 && (p[n - 1] == ' ' || p[n - 1] == '\t'); n--)
		;
	if (n < sizeof(text))
		memcpy(text, p, n);
	if (c->rate != 0 || (strcmp(text, "*") != 0 &&
	    strcasecmp(text, "%2A") != 0 &&
	    num_parse(RATE, text, 1, INT32_MAX, &rate, NULL) == -1))
		c->bad_rate = true;
	c->rate = (long)rate;
}

/* A header is complete. */
static void
header(struct consent *c)
{
	if (c->name.len == strlen(RATE) &&
	    strncasecmp(buf_data(&c->name), RATE, c->name.len) == 0)
		take_rate(c, c->value.len == 0 ? "" : buf_data(&c->value),
		    c->value.len);
	buf_take(&c->name, c->name.len);
	buf_take(&c->value, c->value.len);
	c->in_value = false;
}

static int
on_url(http_parser *p, const char *at, size_t n)
{
	struct consent *c = p->data;

	buf_add(&c->url, at, n);
	return 0;
}

/* A name or a value may come in pieces. */
static int
on_header_field(http_parser *p, const char *at, size_t n)
{
	struct consent *c = p->data;

	if (c->in_value)
		header(c);
	buf_add(&c->name, at, n);
	return 0;
}

static int
on_header_value(http_parser *p, const char *at, size_t n)
{
	struct consent *c = p->data;

	buf_add(&c->value, at, n);
	c->in_value = true;
	return 0;
}

/* 2: what stands behind is nothing to the parser. */
static int
on_headers_complete(http_parser *p)
{
	struct consent *c = p->data;

	header(c);
	c->done = true;
	return 2;
}

/* A person's browser has no headers to set. */
static void
take_query(struct consent *c, const char *p, size_t n)
{
	const char *end = p + n, *item;
	size_t len;

	while (p < end) {
		item = p;
		while (p < end && *p != '&')
			p++;
		len = (size_t)(p - item);
		if (len >= sizeof(RATE "=") - 1 &&
		    strncasecmp(item, RATE "=", sizeof(RATE "=") - 1) == 0)
			take_rate(c, item + sizeof(RATE), len - sizeof(RATE));
		p += p < end;
	}
}

/* Take the URL apart; false when it is none of ours. */
static bool
take_url(struct consent *c)
{
	struct http_parser_url u;
	const char *url = buf_data(&c->url), *path;
	size_t n = sizeof(PATH) - 1;

	http_parser_url_init(&u);
	if (http_parser_parse_url(url, c->url.len, 0, &u) != 0 ||
	    (u.field_set & 1 << UF_PATH) == 0)
		return false;
	path = url + u.field_data[UF_PATH].off;
	if (u.field_data[UF_PATH].len != n + CONSENT_KEY ||
	    memcmp(path, PATH, n) != 0)
		return false;
	memcpy(c->key, path + n, CONSENT_KEY);
	/* the header is the specification's own way, so it wins */
	if ((u.field_set & 1 << UF_QUERY) != 0 && c->rate == 0)
		take_query(c, url + u.field_data[UF_QUERY].off,
		    u.field_data[UF_QUERY].len);
	return true;
}

static enum consent_result
judge(struct consent *c, struct buf *out)
{
	if (c->parser.method != HTTP_GET && c->parser.method != HTTP_POST)
		return refuse(c, "405 Method Not Allowed",
		    "Allow: GET, POST\r\n", "the method is GET or POST\n",
		    out);
	if (!take_url(c)) {
		consent_unknown(c, out);
		return CONSENT_REFUSED;
	}
	if (c->bad_rate)
		return refuse(c, "400 Bad Request", "", RATE " is one whole "
		    "number of requests a minute, or *\n", out);
	return CONSENT_ASKED;
}

struct consent *
consent_new(void)
{
	struct consent *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	http_parser_init(&c->parser, HTTP_REQUEST);
	c->parser.data = c;
	return c;
}

void
consent_free(struct consent *c)
{
	if (c == NULL)
		return;
	buf_free(&c->url);
	buf_free(&c->name);
	buf_free(&c->value);
	free(c);
}

enum consent_result
consent_feed(struct consent *c, const void *data, size_t n, struct buf *out)
{
	static const http_parser_settings calls = {
		.on_url = on_url,
		.on_header_field = on_header_field,
		.on_header_value = on_header_value,
		.on_headers_complete = on_headers_complete,
	};
	size_t left = CONSENT_REQUEST - c->len;

	n = n < left ? n : left;
	http_parser_execute(&c->parser, &calls, data, n);
	c->len += n;
	if (c->url.bad || c->name.bad || c->value.bad)
		return refuse(c, "503 Service Unavailable", "",
		    "out of memory\n", out);
	if (c->done)
		return judge(c, out);
	if (c->parser.http_errno != HPE_OK)
		return refuse(c, "400 Bad Request", "",
		    "this is not an HTTP request\n", out);
	if (c->len == CONSENT_REQUEST)
		return refuse(c, "431 Request Header Fields Too Large", "",
		    "the request is too long\n", out);
	return CONSENT_MORE;
}

const char *
consent_key(const struct consent *c)
{
	return c->key;
}

long
consent_rate(const struct consent *c)
{
	return c->rate;
}

void
consent_granted(const struct consent *c, struct buf *out)
{
	char words[128] = "granted: events will be delivered\n";

	if (c->rate == -1)
		snprintf(words, sizeof(words), "granted: events will be "
		    "delivered, at any rate\n");
	else if (c->rate > 0)
		snprintf(words, sizeof(words), "granted: events will be "
		    "delivered, in at most %ld requests a minute\n", c->rate);
	answer(c, "200 OK", "", words, out);
}

void
consent_unknown(const struct consent *c, struct buf *out)
{
	answer(c, "404 Not Found", "", "nothing waits for this\n", out);
}
