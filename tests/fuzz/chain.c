/*
 * Certificates that a client might show, each behind its length in two bytes.
 * What is trusted is whole: it has an authority of ours and is valid now.
 */
#include <stdio.h>
#include <stdlib.h>

#include "chain.h"
#include "clock.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static struct authorities *
read_authorities(void)
{
	static char text[4096];
	const char *const texts[] = { text };
	FILE *f = fopen("tests/certs/tls/root.pem", "r");

	if (f == NULL)
		abort();
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return authorities_new(texts, 1, NULL);
}

static void
split(struct tls_certificate *c, const uint8_t *data, size_t size)
{
	while (size > 2 && c->n < TLS_CHAIN_MAX) {
		size_t n = (size_t)data[0] << 8 | data[1];

		data += 2;
		size -= 2;
		if (n > size)
			n = size;
		c->der[c->n] = data;
		c->len[c->n++] = n;
		data += n;
		size -= n;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct authorities *authorities;
	struct tls_certificate c = { .n = 0 };
	int64_t now;

	if (authorities == NULL && (authorities = read_authorities()) == NULL)
		abort();
	split(&c, data, size);
	if (c.n == 0)
		return 0;
	chain_judge(authorities, &c);
	now = clock_now();
	if (c.trusted != (c.why == NULL))
		abort();
	if (c.trusted && (!authorities_have(authorities, c.anchor) ||
	    c.begins > now || c.ends < c.trusted_until ||
	    c.trusted_until < now))
		abort();
	return 0;
}
