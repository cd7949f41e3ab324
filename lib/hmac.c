#include "hmac.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

_Static_assert(HMAC_LEN == WC_SHA256_DIGEST_SIZE, "of SHA-256");

int
hmac_sha256(uint8_t out[HMAC_LEN], const void *key, size_t key_len,
    const void *text, size_t len)
{
	Hmac h;
	int rc = wc_HmacInit(&h, NULL, INVALID_DEVID);

	if (rc != 0)
		return -1;
	rc = wc_HmacSetKey(&h, WC_SHA256, key, (word32)key_len);
	if (rc == 0)
		rc = wc_HmacUpdate(&h, text, (word32)len);
	if (rc == 0)
		rc = wc_HmacFinal(&h, out);
	wc_HmacFree(&h);
	return rc == 0 ? 0 : -1;
}
