#include "ws.h"

#include <malloc.h>
#include <stdint.h>
#include <string.h>

#include "check.h"

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define HOST "Host: egns.example\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define PROTOCOL "Sec-WebSocket-Protocol: mqtt\r\n"
#define REST HOST UPGRADE KEY VERSION PROTOCOL "\r\n"
#define GOOD "GET /mqtt HTTP/1.1\r\n" REST
#define GET "GET /mqtt HTTP/1.1\r\n"

static bool
begins(const struct buf *b, const char *s)
{
	return b->len >= strlen(s) && memcmp(buf_data(b), s, strlen(s)) == 0;
}

static bool
same(const struct buf *b, const void *s, size_t n)
{
	return b->len == n && (n == 0 || memcmp(buf_data(b), s, n) == 0);
}

static bool
says(const char *why, const char *word)
{
	if (why == NULL || word == NULL)
		return why == word;
	return strstr(why, word) != NULL;
}

/* Feed it in steps of so many bytes, until it wants no more. */
static bool
feed(struct ws *ws, const void *data, size_t n, size_t step,
    struct buf *plain, struct buf *out)
{
	size_t len;

	for (size_t i = 0; i < n; i += len) {
		len = n - i < step ? n - i : step;
		if (!ws_feed(ws, (const char *)data + i, len, plain, out))
			return false;
	}
	return true;
}

struct request {
	const char *text;
	const char *answer; /* what it begins with */
	const char *error;  /* NULL: it is a WebSocket now */
};

static void
try_requests(const struct request *r)
{
	static const size_t steps[] = { 1, 7, SIZE_MAX };

	for (; r->text != NULL; r++) {
		for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
			struct buf plain = { 0 }, out = { 0 };
			struct ws *ws = ws_new();
			bool open = feed(ws, r->text, strlen(r->text),
			    steps[i], &plain, &out);
			const char *why = ws_error(ws);

			CHECK(open == (r->error == NULL));
			CHECK(ws_open(ws) == open);
			CHECK(says(why, r->error));
			if (!begins(&out, r->answer))
				printf("# %s\n# %.*s\n", r->text, (int)out.len,
				    buf_data(&out));
			CHECK(begins(&out, r->answer));
			CHECK(plain.len == 0);
			CHECK(open || !ws_feed(ws, GOOD, strlen(GOOD), &plain,
			    &out));
			ws_free(ws);
			buf_free(&plain);
			buf_free(&out);
		}
	}
}

static void
upgrades_are_accepted(void)
{
	/* the key and its answer are those of RFC 6455, 1.3 */
	static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
	    "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
	static const struct request requests[] = {
		{ GOOD, answer, NULL },
		{ "GET /mqtt?a=b HTTP/1.1\r\n" REST, answer, NULL },
		{ "GET wss://egns.example:8443/mqtt HTTP/1.1\r\n" REST, answer,
		    NULL },
		{ GET "X-Empty:\r\nHOST: h\r\nupgrade:WebSocket\r\n"
		    "connection: keep-alive ,\tUPGRADE \r\nSEC-WEBSOCKET-KEY: "
		    "dGhlIHNhbXBsZSBub25jZQ==\r\n" VERSION
		    "sec-websocket-protocol: mqttv3.1, mqtt\r\n\r\n", answer,
		    NULL },
		{ GET HOST UPGRADE KEY VERSION
		    "Sec-WebSocket-Extensions: permessage-deflate\r\n"
		    "Sec-WebSocket-Protocol: mqttv3.1\r\n" PROTOCOL "\r\n",
		    answer, NULL },
		{ NULL, NULL, NULL },
	};

	try_requests(requests);
}

static void
other_requests_are_refused(void)
{
	static const char no[] = "HTTP/1.1 426 Upgrade Required\r\n"
	    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
	static const struct request requests[] = {
		{ "GET / HTTP/1.1\r\n" REST, "HTTP/1.1 404 ", "path" },
		{ "GET /mqtt/ HTTP/1.1\r\n" REST, "HTTP/1.1 404 ", "path" },
		{ "GET /MQTT HTTP/1.1\r\n" REST, "HTTP/1.1 404 ", "path" },
		{ "GET http:// HTTP/1.1\r\n" REST, "HTTP/1.1 400 ", "HTTP" },
		{ "CONNECT mqtt:1 HTTP/1.1\r\n" REST, "HTTP/1.1 404 ",
		    "path" },
		{ "POST /mqtt HTTP/1.1\r\n" REST, "HTTP/1.1 405 Method Not "
		    "Allowed\r\nAllow: GET\r\n", "method" },
		{ "GET /mqtt HTTP/1.0\r\n" REST, "HTTP/1.1 505 ", "1.1" },
		{ GET UPGRADE KEY VERSION PROTOCOL "\r\n", "HTTP/1.1 400 ",
		    "Host" },
		{ GET HOST REST, "HTTP/1.1 400 ", "Host" },
		{ GET "Content-Length: 5\r\n" REST, "HTTP/1.1 400 ", "body" },
		{ GET "Transfer-Encoding: chunked\r\n" REST, "HTTP/1.1 400 ",
		    "body" },
		{ GET HOST "\r\n", no, "Upgrade" },
		{ GET HOST "Upgrade: websocket\r\n" KEY VERSION PROTOCOL
		    "\r\n", no, "Upgrade" },
		{ GET HOST "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY
		    VERSION PROTOCOL "\r\n", no, "Upgrade" },
		{ GET HOST UPGRADE KEY PROTOCOL "\r\n", no, "Version" },
		{ GET "Sec-WebSocket-Version:\r\n" HOST UPGRADE KEY PROTOCOL
		    "\r\n", no, "Version" },
		{ GET HOST UPGRADE KEY "Sec-WebSocket-Version: 8\r\n" PROTOCOL
		    "\r\n", no, "Version" },
		{ GET HOST UPGRADE VERSION PROTOCOL "\r\n", "HTTP/1.1 400 ",
		    "Key" },
		{ GET KEY REST, "HTTP/1.1 400 ", "Key" },
		{ GET HOST UPGRADE "Sec-WebSocket-Key: AAAA\r\n" VERSION
		    PROTOCOL "\r\n", "HTTP/1.1 400 ", "Key" },
		{ GET HOST UPGRADE "Sec-WebSocket-Key: "
		    "dGhlIHNhbXBsZSBub25jZSE!\r\n" VERSION PROTOCOL "\r\n",
		    "HTTP/1.1 400 ", "Key" },
		{ GET HOST UPGRADE KEY VERSION "\r\n", "HTTP/1.1 400 ",
		    "Protocol" },
		{ GET HOST UPGRADE KEY VERSION
		    "Sec-WebSocket-Protocol: mqttv3.1, MQTT, mqtt x\r\n\r\n",
		    "HTTP/1.1 400 ", "Protocol" },
		{ "\x10\x0c", "HTTP/1.1 400 ", "HTTP" },
		{ GET "No colon\r\n" REST, "HTTP/1.1 400 ", "HTTP" },
		{ NULL, NULL, NULL },
	};

	try_requests(requests);
}

static void
a_request_has_a_limit(void)
{
	char text[2 * WS_REQUEST_MAX + sizeof(GOOD)];
	struct request r[] = {
		{ text, "HTTP/1.1 101 ", NULL },
		{ NULL, NULL, NULL },
	};
	int fill = WS_REQUEST_MAX - (int)strlen(GOOD "X: \r\n");

	snprintf(text, sizeof(text), GET "X: %0*d\r\n" REST, fill, 0);
	try_requests(r);
	r[0].answer = "HTTP/1.1 431 ";
	r[0].error = "long";
	snprintf(text, sizeof(text), GET "X: %0*d\r\n" REST, fill + 1, 0);
	try_requests(r);
	snprintf(text, sizeof(text), GET "X%0*d: x\r\n" REST, 2 * fill, 0);
	try_requests(r);
	snprintf(text, sizeof(text), "GET /%0*d", 2 * fill, 0);
	try_requests(r);
}

static struct ws *
opened(void)
{
	struct ws *ws = ws_new();
	struct buf plain = { 0 }, out = { 0 };

	CHECK(ws_feed(ws, GOOD, strlen(GOOD), &plain, &out));
	buf_free(&plain);
	buf_free(&out);
	return ws;
}

#define BYTES(s) { s, sizeof(s) - 1 }
#define MASK "\x01\x02\x03\x04" /* "abcde" becomes "````d" */

struct frames {
	struct {
		const char *data;
		size_t len;
	} in, plain, out;
	const char *error;
	bool open;
};

static void
try_frames(const struct frames *f)
{
	static const size_t steps[] = { 1, 5, SIZE_MAX };

	for (; f->in.data != NULL; f++) {
		for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
			struct buf plain = { 0 }, out = { 0 };
			struct ws *ws = opened();
			bool open = feed(ws, f->in.data, f->in.len, steps[i],
			    &plain, &out);
			const char *why = ws_error(ws);

			CHECK(open == f->open);
			CHECK(says(why, f->error));
			if (!same(&plain, f->plain.data, f->plain.len) ||
			    !same(&out, f->out.data, f->out.len))
				printf("# step %zu: out %zu, plain %zu bytes\n",
				    i, out.len, plain.len);
			CHECK(same(&plain, f->plain.data, f->plain.len));
			CHECK(same(&out, f->out.data, f->out.len));
			ws_free(ws);
			buf_free(&plain);
			buf_free(&out);
		}
		if (check_bad) {
			printf("# frame ");
			for (size_t i = 0; i < f->in.len; i++)
				printf("%02x", (unsigned char)f->in.data[i]);
			printf("\n");
			return;
		}
	}
}

static void
messages_flow(void)
{
	static const struct frames frames[] = {
		{ BYTES("\x82\x85" MASK "````d"), BYTES("abcde"), BYTES(""),
		    NULL, true },
		{ BYTES("\x82\x80" MASK), BYTES(""), BYTES(""), NULL, true },
		/* a message in pieces, with a ping and a pong between them */
		{ BYTES("\x02\x81" MASK "`" "\x00\x80" MASK
		    "\x89\x82" MASK "ij" "\x8a\x80" MASK "\x80\x81" MASK "`"),
		    BYTES("aa"), BYTES("\x8a\x02hh"), NULL, true },
		/* a quarter of a packet, and 1 GiB to come */
		{ BYTES("\x82\xff\x00\x00\x00\x00\x40\x00\x00\x00" MASK "`"),
		    BYTES("a"), BYTES(""), NULL, true },
		{ BYTES("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" MASK "`"),
		    BYTES("a"), BYTES(""), NULL, true },
		{ .in = { NULL, 0 } },
	};

	try_frames(frames);
}

static void
bad_frames_end_it(void)
{
	static const char *bad = "\x88\x02\x03\xea"; /* 1002 */
	static const char *text = "\x88\x02\x03\xeb"; /* 1003 */
	static const struct frames frames[] = {
		{ BYTES("\x82\x05" "abcde"), BYTES(""), { "", 4 }, "frame",
		    false },
		{ BYTES("\x82\x00"), BYTES(""), { "", 4 }, "frame", false },
		/* reserved bits */
		{ BYTES("\xc2\x81" MASK "`"), BYTES(""), { "", 4 }, "frame",
		    false },
		{ BYTES("\xa2\x81" MASK "`"), BYTES(""), { "", 4 }, "frame",
		    false },
		{ BYTES("\x92\x81" MASK "`"), BYTES(""), { "", 4 }, "frame",
		    false },
		/* control frames: 126 bytes, in pieces, no such code */
		{ BYTES("\x89\xfe\x00\x7e" MASK), BYTES(""), { "", 4 },
		    "frame", false },
		{ BYTES("\x09\x80" MASK), BYTES(""), { "", 4 }, "frame",
		    false },
		{ BYTES("\x8b\x80" MASK), BYTES(""), { "", 4 }, "frame",
		    false },
		{ BYTES("\x83\x81" MASK "`"), BYTES(""), { "", 4 }, "frame",
		    false },
		/* lengths that are not written the short way, or negative */
		{ BYTES("\x82\xfe\x00\x01" MASK "`"), BYTES(""), { "", 4 },
		    "frame", false },
		{ BYTES("\x82\xff\x00\x00\x00\x00\x00\x00\x00\x01" MASK "`"),
		    BYTES(""), { "", 4 }, "frame", false },
		{ BYTES("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00" MASK "`"),
		    BYTES(""), { "", 4 }, "frame", false },
		/* a piece of no message, a message within another */
		{ BYTES("\x80\x81" MASK "`"), BYTES(""), { "", 4 }, "frame",
		    false },
		{ BYTES("\x02\x81" MASK "`" "\x82\x81" MASK "`"), BYTES("a"),
		    { "", 4 }, "frame", false },
		{ BYTES("\x81\x81" MASK "`"), BYTES(""), { NULL, 4 }, "text",
		    false },
		{ BYTES("\x01\x81" MASK "\xff" "\x80\x81" MASK "`"), BYTES(""),
		    { NULL, 4 }, "text", false },
		{ .in = { NULL, 0 } },
	};
	struct frames f[sizeof(frames) / sizeof(*frames)];

	memcpy(f, frames, sizeof(f));
	for (size_t i = 0; f[i].in.data != NULL; i++)
		f[i].out.data = f[i].out.data != NULL ? bad : text;
	try_frames(f);
}

static void
a_close_is_answered(void)
{
	static const struct frames frames[] = {
		{ BYTES("\x88\x80" MASK), BYTES(""), BYTES("\x88\x00"), NULL,
		    false },
		{ BYTES("\x88\x84" MASK "\x02\xeajm"), BYTES(""),
		    BYTES("\x88\x04\x03\xe8ii"), NULL, false },
		/* what stands behind it is not looked at */
		{ BYTES("\x88\x80" MASK "\x82\x81" MASK "`"), BYTES(""),
		    BYTES("\x88\x00"), NULL, false },
		/* a code that nobody sends */
		{ BYTES("\x88\x82" MASK "\x02\xef"), BYTES(""),
		    BYTES("\x88\x02\x03\xea"), "frame", false },
		{ .in = { NULL, 0 } },
	};

	try_frames(frames);
}

static void
frames_may_follow_the_request_at_once(void)
{
	static const char all[] = GOOD "\x82\x81" MASK "`";
	struct buf plain = { 0 }, out = { 0 };
	struct ws *ws = ws_new();

	CHECK(ws_feed(ws, all, sizeof(all) - 1, &plain, &out));
	CHECK(same(&plain, "a", 1));
	CHECK(begins(&out, "HTTP/1.1 101 "));
	ws_free(ws);
	buf_free(&plain);
	buf_free(&out);
}

static void
many_pings_make_one_pong(void)
{
	struct buf plain = { 0 }, out = { 0 }, in = { 0 };
	struct ws *ws = opened();

	for (int i = 0; i < 100000; i++)
		buf_add(&in, "\x89\x82" MASK "ab", 8);
	buf_add(&in, "\x89\x82" MASK "ij", 8);
	buf_str(&out, "before");
	CHECK(ws_feed(ws, buf_data(&in), in.len, &plain, &out));
	CHECK(same(&out, "before\x8a\x02hh", 10));
	CHECK(out.cap < 1024);
	ws_free(ws);
	buf_free(&plain);
	buf_free(&out);
	buf_free(&in);
}

static void
messages_are_written(void)
{
	struct buf out = { 0 };
	struct ws *ws = ws_new();
	char data[65536];

	ws_write(ws, "a", 1, &out);
	CHECK(out.len == 0); /* it is not one yet */
	ws_free(ws);

	ws = opened();
	memset(data, 'x', sizeof(data));
	ws_write(ws, data, 125, &out);
	CHECK(out.len == 127 && begins(&out, "\x82\x7dxx"));
	buf_reset(&out, 0);
	ws_write(ws, data, 126, &out);
	CHECK(out.len == 130 && memcmp(buf_data(&out), "\x82\x7e\x00\x7exx",
	    6) == 0);
	buf_reset(&out, 0);
	ws_write(ws, data, 65535, &out);
	CHECK(out.len == 65539 && begins(&out, "\x82\x7e\xff\xffxx"));
	buf_reset(&out, 0);
	ws_write(ws, data, 65536, &out);
	CHECK(out.len == 65546 && memcmp(buf_data(&out),
	    "\x82\x7f\0\0\0\0\0\1\0\0xx", 12) == 0);
	ws_free(ws);
	buf_free(&out);
}

static void
goodbye_is_said_once(void)
{
	struct buf plain = { 0 }, out = { 0 };
	struct ws *ws = opened();

	ws_goodbye(ws, 1001, &out);
	ws_goodbye(ws, 1001, &out);
	ws_write(ws, "a", 1, &out);
	CHECK(same(&out, "\x88\x02\x03\xe9", 4));
	/* messages that were under way, and then the answer */
	CHECK(ws_feed(ws, "\x82\x81" MASK "`", 7, &plain, &out));
	CHECK(plain.len == 0);
	CHECK(!ws_feed(ws, "\x88\x82" MASK "\x02\xeb", 8, &plain, &out));
	CHECK(ws_error(ws) == NULL);
	CHECK(same(&out, "\x88\x02\x03\xe9", 4));
	ws_free(ws);
	buf_free(&plain);
	buf_free(&out);
}

#ifndef __SANITIZE_ADDRESS__
static void
an_idle_one_is_small(void)
{
	struct buf plain = { 0 }, out = { 0 };
	size_t before, idle;
	struct ws *ws;

	buf_room(&plain, 4096);
	buf_room(&out, 4096);
	before = mallinfo2().uordblks;
	ws = ws_new();
	CHECK(ws_feed(ws, GOOD, strlen(GOOD), &plain, &out));
	CHECK(ws_feed(ws, "\x89\x81" MASK "`", 7, &plain, &out));
	CHECK(ws_feed(ws, "\x82\x81" MASK "`", 7, &plain, &out));
	idle = mallinfo2().uordblks - before;
	printf("# %zu bytes idle\n", idle);
	CHECK(idle <= 128);
	CHECK(ws_feed(ws, "\x82", 1, &plain, &out));
	printf("# %zu bytes within a frame\n", mallinfo2().uordblks - before);
	ws_free(ws);
	CHECK(mallinfo2().uordblks == before);
	buf_free(&plain);
	buf_free(&out);
}
#endif

int
main(void)
{
	RUN(upgrades_are_accepted);
	RUN(other_requests_are_refused);
	RUN(a_request_has_a_limit);
	RUN(messages_flow);
	RUN(bad_frames_end_it);
	RUN(a_close_is_answered);
	RUN(frames_may_follow_the_request_at_once);
	RUN(many_pings_make_one_pong);
	RUN(messages_are_written);
	RUN(goodbye_is_said_once);
#ifndef __SANITIZE_ADDRESS__
	RUN(an_idle_one_is_small);
#endif
	DONE();
}
