/*
 * Bytes of a client of the WebSocket. The first says in what steps they come:
 * whatever these are, the same comes out, but for pings that stood together.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct result {
	struct buf plain, out;
	bool good, open;
};

static void
feed(struct result *r, const uint8_t *data, size_t n, size_t step)
{
	struct ws *ws = ws_new();
	size_t len, before;

	if (ws == NULL)
		abort();
	r->good = true;
	for (size_t i = 0; r->good && i < n; i += len) {
		len = n - i < step ? n - i : step;
		before = r->out.len;
		r->good = ws_feed(ws, data + i, len, &r->plain, &r->out);
		/* an answer to the request, a pong and a close at most */
		if (r->out.len - before > 512)
			abort();
		if (!r->good && r->out.len == before)
			abort();
	}
	if (r->plain.len > n || (r->plain.len > 0 && !ws_open(ws)))
		abort();
	r->open = ws_open(ws);
	ws_free(ws);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole = { 0 }, steps = { 0 };

	if (size == 0)
		return 0;
	feed(&whole, data + 1, size - 1, SIZE_MAX);
	feed(&steps, data + 1, size - 1, data[0] % 64 + 1);
	if (whole.good != steps.good || whole.open != steps.open ||
	    whole.plain.len != steps.plain.len || (whole.plain.len > 0 &&
	    memcmp(buf_data(&whole.plain), buf_data(&steps.plain),
	    whole.plain.len) != 0))
		abort();
	buf_free(&whole.plain);
	buf_free(&whole.out);
	buf_free(&steps.plain);
	buf_free(&steps.out);
	return 0;
}
