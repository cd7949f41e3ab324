#include "ws.h"

#include <http_parser.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wslay/wslay.h>

#include "base64.h"

#define KEY_LEN BASE64_LEN(16)
#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* RFC 6455, 1.3 */

enum {
	FRAME_CLOSE = 0x88, /* the first byte of what we send, whole */
	FRAME_BINARY = 0x82,
};

/* What is only needed until the upgrade. */
struct handshake {
	http_parser parser;
	size_t len; /* of the request so far */
	struct buf url, name, value;
	char key[KEY_LEN];
	unsigned keys, hosts;
	bool in_value;
	bool upgrade, connection, version, protocol, body, done;
};

struct ws {
	struct handshake *shake; /* NULL once it is a WebSocket */
	/* The frame reader of 9 KiB, NULL as long as nothing is half read. */
	wslay_event_context_ptr frames;
	/* Bytes that wslay took, less those of all frames that have begun. It
	 * may go below zero, and around: only zero is looked for. */
	uint64_t ahead;
	const uint8_t *in; /* not taken yet; these five are of one ws_feed */
	size_t in_len;
	struct buf *plain, *out;
	size_t out_len;    /* before it */
	const char *error;
	bool payload;      /* the frame is part of a message */
	bool partial;      /* and more of that are to come */
	bool said_goodbye;
	bool over;
};

/* Why a request is refused: `more` stands among the headers of the answer. */
struct refusal {
	const char *status, *more, *why;
};

#define REFUSAL(name, ...) \
	static const struct refusal name = { __VA_ARGS__ }
REFUSAL(too_long, "431 Request Header Fields Too Large", "",
    "the request is too long");
REFUSAL(malformed, "400 Bad Request", "", "this is not an HTTP request");
REFUSAL(old_http, "505 HTTP Version Not Supported", "",
    "HTTP/1.1 is needed");
REFUSAL(no_path, "404 Not Found", "", "the path is /mqtt");
REFUSAL(no_get, "405 Method Not Allowed", "Allow: GET\r\n",
    "the method is GET");
REFUSAL(no_host, "400 Bad Request", "", "one Host is needed");
REFUSAL(has_body, "400 Bad Request", "",
    "a request to upgrade has no body");
REFUSAL(no_upgrade, "426 Upgrade Required",
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "\"Upgrade: websocket\" and \"Connection: Upgrade\" are needed");
REFUSAL(no_version, "426 Upgrade Required",
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    "Sec-WebSocket-Version is 13");
REFUSAL(no_key, "400 Bad Request", "",
    "Sec-WebSocket-Key is one of 16 bytes in base64");
REFUSAL(no_protocol, "400 Bad Request", "",
    "Sec-WebSocket-Protocol names no \"mqtt\"");

/* Does a list with commas have this word? */
static bool
has(const struct buf *list, const char *word,
    int (*compare)(const char *, const char *, size_t))
{
	const char *p = list->len > 0 ? buf_data(list) : "", *item;
	const char *end = p + list->len;
	size_t n, len = strlen(word);

	while (p < end) {
		item = p;
		while (p < end && *p != ',')
			p++;
		n = (size_t)(p - item);
		for (; n > 0 && (*item == ' ' || *item == '\t'); n--)
			item++;
		while (n > 0 && (item[n - 1] == ' ' || item[n - 1] == '\t'))
			n--;
		if (n == len && compare(item, word, n) == 0)
			return true;
		p++;
	}
	return false;
}

static bool
is(const struct buf *name, const char *word)
{
	return name->len == strlen(word) &&
	    strncasecmp(buf_data(name), word, name->len) == 0;
}

/* A header is complete. */
static void
header(struct handshake *s)
{
	const struct buf *name = &s->name, *value = &s->value;

	if (is(name, "Host"))
		s->hosts++;
	else if (is(name, "Upgrade"))
		s->upgrade |= has(value, "websocket", strncasecmp);
	else if (is(name, "Connection"))
		s->connection |= has(value, "upgrade", strncasecmp);
	else if (is(name, "Sec-WebSocket-Version"))
		s->version |= has(value, "13", strncmp);
	else if (is(name, "Sec-WebSocket-Protocol"))
		s->protocol |= has(value, "mqtt", strncmp);
	else if (is(name, "Sec-WebSocket-Key") && s->keys++ == 0 &&
	    value->len == KEY_LEN)
		memcpy(s->key, buf_data(value), KEY_LEN);
	buf_reset(&s->name, s->name.cap);
	buf_reset(&s->value, s->value.cap);
	s->in_value = false;
}

static int
on_url(http_parser *p, const char *at, size_t n)
{
	struct handshake *s = p->data;

	buf_add(&s->url, at, n);
	return 0;
}

/* A name or a value may come in pieces. */
static int
on_header_field(http_parser *p, const char *at, size_t n)
{
	struct handshake *s = p->data;

	if (s->in_value)
		header(s);
	buf_add(&s->name, at, n);
	return 0;
}

static int
on_header_value(http_parser *p, const char *at, size_t n)
{
	struct handshake *s = p->data;

	buf_add(&s->value, at, n);
	s->in_value = true;
	return 0;
}

/* 2: what stands behind the request is not HTTP. */
static int
on_headers_complete(http_parser *p)
{
	struct handshake *s = p->data;

	header(s);
	s->body = (p->flags & F_CHUNKED) != 0 ||
	    (p->content_length > 0 && p->content_length != ULLONG_MAX);
	s->done = true;
	return 2;
}

static bool
path_is(const struct buf *url, const char *path)
{
	struct http_parser_url u;
	const char *at;

	http_parser_url_init(&u);
	if (http_parser_parse_url(buf_data(url), url->len, 0, &u) != 0 ||
	    (u.field_set & 1 << UF_PATH) == 0)
		return false;
	at = buf_data(url) + u.field_data[UF_PATH].off;
	return u.field_data[UF_PATH].len == strlen(path) &&
	    memcmp(at, path, strlen(path)) == 0;
}

static const struct refusal *
judge(const struct handshake *s)
{
	unsigned char key[KEY_LEN / 4 * 3];

	if (!path_is(&s->url, "/mqtt"))
		return &no_path;
	if (s->parser.method != HTTP_GET)
		return &no_get;
	if (s->parser.http_major != 1 || s->parser.http_minor < 1)
		return &old_http;
	if (s->hosts != 1)
		return &no_host;
	if (s->body)
		return &has_body;
	if (!s->upgrade || !s->connection)
		return &no_upgrade;
	if (!s->version)
		return &no_version;
	if (s->keys != 1 || base64_decode(key, s->key, KEY_LEN) != 16)
		return &no_key;
	return s->protocol ? NULL : &no_protocol;
}

static bool
refuse(struct ws *ws, const struct refusal *r, struct buf *out)
{
	buf_printf(out, "HTTP/1.1 %s\r\n%sContent-Type: text/plain\r\n"
	    "Content-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
	    r->status, r->more, strlen(r->why) + 1, r->why);
	ws->error = r->why;
	return false;
}

static int
accept_key(const char *key, char answer[BASE64_LEN(WC_SHA_DIGEST_SIZE)])
{
	unsigned char digest[WC_SHA_DIGEST_SIZE];
	unsigned char text[KEY_LEN + sizeof(GUID) - 1];

	memcpy(text, key, KEY_LEN);
	memcpy(text + KEY_LEN, GUID, sizeof(GUID) - 1);
	if (wc_ShaHash(text, sizeof(text), digest) != 0)
		return -1;
	base64_encode(answer, digest, sizeof(digest));
	return 0;
}

static void
shake_free(struct ws *ws)
{
	if (ws->shake == NULL)
		return;
	buf_free(&ws->shake->url);
	buf_free(&ws->shake->name);
	buf_free(&ws->shake->value);
	free(ws->shake);
	ws->shake = NULL;
}

static bool
fail(struct ws *ws, const char *why)
{
	ws->error = why;
	return false;
}

static bool
upgrade(struct ws *ws, struct buf *out)
{
	char answer[BASE64_LEN(WC_SHA_DIGEST_SIZE)];

	if (accept_key(ws->shake->key, answer) == -1)
		return fail(ws, "out of memory");
	buf_printf(out, "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %.*s\r\n"
	    "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
	    (int)sizeof(answer), answer);
	shake_free(ws);
	return true;
}

/* What is left in ws->in is behind the request. */
static bool
feed_request(struct ws *ws, struct buf *out)
{
	static const http_parser_settings calls = {
		.on_url = on_url,
		.on_header_field = on_header_field,
		.on_header_value = on_header_value,
		.on_headers_complete = on_headers_complete,
	};
	struct handshake *s = ws->shake;
	size_t left = WS_REQUEST_MAX - s->len, used;
	const struct refusal *r;

	used = http_parser_execute(&s->parser, &calls, (const char *)ws->in,
	    ws->in_len < left ? ws->in_len : left);
	if (s->url.bad || s->name.bad || s->value.bad)
		return fail(ws, "out of memory");
	if (!s->done && s->parser.http_errno != HPE_OK)
		return refuse(ws, &malformed, out);
	s->len += used;
	ws->in += used;
	ws->in_len -= used;
	if (!s->done)
		return s->len < WS_REQUEST_MAX || refuse(ws, &too_long, out);
	if ((r = judge(s)) != NULL)
		return refuse(ws, r, out);
	return upgrade(ws, out);
}

static ssize_t
on_recv(wslay_event_context_ptr frames, uint8_t *room, size_t n, int flags,
    void *arg)
{
	struct ws *ws = arg;

	(void)flags;
	if (n > ws->in_len)
		n = ws->in_len;
	if (n == 0) {
		wslay_event_set_error(frames, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(room, ws->in, n);
	ws->in += n;
	ws->in_len -= n;
	ws->ahead += n;
	return (ssize_t)n;
}

/* Only pongs and a close come this way. */
static ssize_t
on_send(wslay_event_context_ptr frames, const uint8_t *data, size_t n,
    int flags, void *arg)
{
	struct ws *ws = arg;

	(void)frames;
	(void)flags;
	if (!ws->said_goodbye)
		buf_add(ws->out, data, n);
	return (ssize_t)n;
}

static void
on_start(wslay_event_context_ptr frames,
    const struct wslay_event_on_frame_recv_start_arg *frame, void *arg)
{
	struct ws *ws = arg;
	uint64_t n = frame->payload_length;

	/* two bytes, the mask, and a length as short as it can be */
	ws->ahead -= 2 + 4 + n + (n > UINT16_MAX ? 8 : n > 125 ? 2 : 0);
	ws->payload = !wslay_is_ctrl_frame(frame->opcode);
	if (ws->payload)
		ws->partial = !frame->fin;
	if (frame->opcode == WSLAY_TEXT_FRAME) {
		ws->payload = false;
		wslay_event_queue_close(frames, WSLAY_CODE_UNSUPPORTED_DATA,
		    NULL, 0);
		wslay_event_shutdown_read(frames);
	}
}

static void
on_chunk(wslay_event_context_ptr frames,
    const struct wslay_event_on_frame_recv_chunk_arg *chunk, void *arg)
{
	struct ws *ws = arg;

	(void)frames;
	if (ws->payload && !ws->said_goodbye)
		buf_add(ws->plain, chunk->data, chunk->data_length);
}

/* The pong has been queued. As the last ping's will do for several (RFC 6455,
 * 5.5.3), a flood of them makes one pong of what was read at once. */
static void
on_message(wslay_event_context_ptr frames,
    const struct wslay_event_on_msg_recv_arg *message, void *arg)
{
	struct ws *ws = arg;

	if (message->opcode != WSLAY_PING)
		return;
	ws->out->len = ws->out_len;
	wslay_event_send(frames);
}

static bool
frames_new(struct ws *ws)
{
	static const struct wslay_event_callbacks calls = {
		.recv_callback = on_recv,
		.send_callback = on_send,
		.on_frame_recv_start_callback = on_start,
		.on_frame_recv_chunk_callback = on_chunk,
		.on_msg_recv_callback = on_message,
	};

	if (wslay_event_context_server_init(&ws->frames, &calls, ws) != 0)
		return false;
	wslay_event_config_set_no_buffering(ws->frames, 1);
	wslay_event_config_set_max_recv_msg_length(ws->frames, INT64_MAX);
	return true;
}

static void
frames_free(struct ws *ws)
{
	if (ws->frames != NULL)
		wslay_event_context_free(ws->frames);
	ws->frames = NULL;
}

/* wslay reads no further: why? */
static bool
ended(struct ws *ws)
{
	ws->said_goodbye = true;
	if (wslay_event_get_close_received(ws->frames))
		return false;
	return fail(ws, wslay_event_get_status_code_sent(ws->frames) ==
	    WSLAY_CODE_UNSUPPORTED_DATA ? "a text message; MQTT is binary" :
	    "not a frame that a client may send now");
}

static bool
feed_frames(struct ws *ws)
{
	int rc;

	if (ws->frames == NULL && !frames_new(ws))
		return fail(ws, "out of memory");
	rc = wslay_event_recv(ws->frames);
	if (rc == WSLAY_ERR_NOMEM)
		return fail(ws, "out of memory");
	if (rc != 0) {
		ws_goodbye(ws, WSLAY_CODE_PROTOCOL_ERROR, ws->out);
		return fail(ws, "a malformed frame");
	}
	if (wslay_event_send(ws->frames) != 0)
		return fail(ws, "out of memory");
	if (!wslay_event_get_read_enabled(ws->frames))
		return ended(ws);
	if (ws->ahead == 0 && !ws->partial)
		frames_free(ws);
	return true;
}

static void
put_frame(struct buf *out, unsigned char first, const void *data, size_t n)
{
	unsigned char head[10] = { first };
	size_t len = 0;

	if (n > 125)
		len = n > UINT16_MAX ? 8 : 2;
	head[1] = (unsigned char)(len == 0 ? n : len == 2 ? 126 : 127);
	for (size_t i = 0; i < len; i++)
		head[2 + i] = (unsigned char)((uint64_t)n >>
		    8 * (len - 1 - i));
	buf_add(out, head, 2 + len);
	buf_add(out, data, n);
}

struct ws *
ws_new(void)
{
	struct ws *ws = calloc(1, sizeof(*ws));

	if (ws == NULL || (ws->shake = calloc(1, sizeof(*ws->shake))) == NULL) {
		free(ws);
		return NULL;
	}
	http_parser_init(&ws->shake->parser, HTTP_REQUEST);
	ws->shake->parser.data = ws->shake;
	return ws;
}

void
ws_free(struct ws *ws)
{
	if (ws == NULL)
		return;
	shake_free(ws);
	frames_free(ws);
	free(ws);
}

bool
ws_feed(struct ws *ws, const void *data, size_t n, struct buf *plain,
    struct buf *out)
{
	bool good = !ws->over;

	ws->in = data;
	ws->in_len = n;
	ws->plain = plain;
	ws->out = out;
	if (good && ws->shake != NULL)
		good = feed_request(ws, out);
	ws->out_len = out->len;
	if (good && ws->shake == NULL && ws->in_len > 0)
		good = feed_frames(ws);
	if (good && (plain->bad || out->bad))
		good = fail(ws, "out of memory");
	ws->over = !good;
	return good;
}

bool
ws_open(const struct ws *ws)
{
	return ws->shake == NULL;
}

void
ws_write(struct ws *ws, const void *data, size_t n, struct buf *out)
{
	if (ws_open(ws) && !ws->said_goodbye)
		put_frame(out, FRAME_BINARY, data, n);
}

void
ws_goodbye(struct ws *ws, unsigned code, struct buf *out)
{
	const unsigned char status[] = {
		(unsigned char)(code >> 8), (unsigned char)code,
	};

	if (ws_open(ws) && !ws->said_goodbye)
		put_frame(out, FRAME_CLOSE, status, sizeof(status));
	ws->said_goodbye = true;
}

const char *
ws_error(const struct ws *ws)
{
	return ws->error;
}
