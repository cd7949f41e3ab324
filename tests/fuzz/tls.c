/*
 * Bytes that a fresh connection gets from a peer: the first one says how many
 * it is fed at once. It fails with a reason and an alert, or waits for more.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static char *
text_of(const char *path)
{
	static char text[2][4096];
	static int next;
	FILE *f = fopen(path, "r");
	size_t n;

	if (f == NULL)
		abort();
	n = fread(text[next], 1, sizeof(text[0]) - 1, f);
	fclose(f);
	text[next][n] = '\0';
	return text[next++];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tls_server *server;
	struct buf plain = { 0 }, out = { 0 };
	enum tls_result result = TLS_OK;
	struct tls *t;
	size_t step;

	if (server == NULL)
		server = tls_server_new(text_of("tests/certs/tls/server.pem"),
		    text_of("tests/certs/tls/server.key"), NULL, 0, NULL);
	if (size == 0 || (t = tls_new(server)) == NULL)
		return 0;
	step = *data++ + 1u;
	size--;
	while (size > 0 && result == TLS_OK) {
		size_t n = step < size ? step : size;

		result = tls_feed(t, data, n, &plain, &out);
		data += n;
		size -= n;
	}
	if (result == TLS_FAILED && (out.len == 0 || *tls_error(t) == '\0'))
		abort();
	if (plain.len != 0 || tls_established(t) || tls_certificate(t) != NULL)
		abort();
	tls_free(t);
	buf_free(&plain);
	buf_free(&out);
	return 0;
}
