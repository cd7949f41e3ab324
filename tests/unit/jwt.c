#include "jwt.h"

#include <stdbool.h>
#include <string.h>
#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/asn.h>
#include <wolfssl/wolfcrypt/hash.h>
#include <wolfssl/wolfcrypt/random.h>
#include <wolfssl/wolfcrypt/rsa.h>

#include "base64.h"
#include "check.h"
#include "clock.h"

#define HOST "ns.westeurope-1.ts.eventgrid.example"
#define ISSUER "https://login.example/v1"
#define HEADER "{\"alg\":\"RS256\",\"typ\":\"JWT\"}"
#define TIMES "\"exp\":4102444800,\"nbf\":1700000000"
#define CLAIMS "{\"iss\":\"" ISSUER "\",\"sub\":\"press-07\",\"aud\":\"" \
	HOST "\"," TIMES "}"

static WC_RNG rng;

/* tests/certs/NAME */
static char *
file(const char *name)
{
	static char text[2][8192];
	static int which;
	char path[64], *to = text[which ^= 1];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "tests/certs/%s", name);
	if ((f = fopen(path, "r")) != NULL) {
		n = fread(to, 1, sizeof(text[0]) - 1, f);
		fclose(f);
	}
	CHECK(n > 0);
	to[n] = '\0';
	return to;
}

/* {"kid":..,"encodedCertificate":..}; a kid of NULL is left out. */
static jv
encoded(const char *kid, const char *name)
{
	jv item = JV_OBJECT(jv_string("encodedCertificate"),
	    jv_string(file(name)));

	return kid == NULL ? item :
	    jv_object_set(item, jv_string("kid"), jv_string(kid));
}

static jv
settings(jv certificates)
{
	return JV_OBJECT(jv_string("tokenIssuer"), jv_string(ISSUER),
	    jv_string("encodedIssuerCertificates"), certificates);
}

static jv
reference(const char *url)
{
	return JV_OBJECT(jv_string("tokenIssuer"), jv_string(ISSUER),
	    jv_string("issuerCertificates"), JV_ARRAY(JV_OBJECT(
	    jv_string("certificateUrl"), jv_string(url))));
}

static struct jwt_issuer *
issuer_new(jv s)
{
	static const char *const hosts[] = { HOST, "mqtt.example" };
	struct fault f = { 0 };
	struct jwt_issuer *issuer = jwt_issuer_new(s, hosts, 2, &f);

	if (issuer == NULL)
		printf("# %s\n", f.text);
	CHECK(issuer != NULL);
	return issuer;
}

static void
add_part(struct buf *b, const void *data, size_t n)
{
	char text[16384];
	size_t len = BASE64_LEN(n);

	base64_encode(text, data, n);
	while (len > 0 && text[len - 1] == '=')
		len--;
	for (size_t i = 0; i < len; i++)
		text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
	buf_add(b, text, len);
}

/* PKCS#1 v1.5 over a DigestInfo of a digest, with more behind it; or over the
 * bare digest. */
static void
add_signature(struct buf *b, const char *key_name, int hash_oid, word32 more)
{
	unsigned char der[4096], digest[32], info[128] = "", signature[512];
	const char *pem = file(key_name);
	word32 at = 0, info_len = sizeof(digest);
	RsaKey key;
	int n;

	wc_InitRsaKey(&key, NULL);
	wc_RsaSetRNG(&key, &rng);
	n = wc_KeyPemToDer((const unsigned char *)pem, (int)strlen(pem), der,
	    sizeof(der), NULL);
	CHECK(n > 0 && wc_RsaPrivateKeyDecode(der, &at, &key, (word32)n) == 0);
	wc_Sha256Hash((const unsigned char *)buf_data(b), (word32)b->len,
	    digest);
	memcpy(info, digest, sizeof(digest));
	if (hash_oid != 0)
		info_len = wc_EncodeSignature(info, digest, sizeof(digest),
		    hash_oid);
	n = wc_RsaSSL_Sign(info, info_len + more, signature,
	    sizeof(signature), &key, &rng);
	CHECK(n > 0);
	buf_add(b, ".", 1);
	add_part(b, signature, (size_t)n);
	wc_FreeRsaKey(&key);
}

static struct buf
token_of(const char *key, const char *header, const char *claims)
{
	struct buf b = { 0 };

	add_part(&b, header, strlen(header));
	buf_add(&b, ".", 1);
	add_part(&b, claims, strlen(claims));
	add_signature(&b, key, SHA256h, 0);
	return b;
}

/* Checked in memory of its size; consumed. Words: of the fault, NULL: good. */
static void
judge(const struct jwt_issuer *issuer, struct buf token, const char *words,
    struct jwt_claims *c)
{
	struct fault f = { 0 };
	char *copy = malloc(token.len + 1);
	bool good;
	int rc;

	if (token.len > 0)
		memcpy(copy, buf_data(&token), token.len);
	copy = realloc(copy, token.len > 0 ? token.len : 1);
	rc = jwt_check(issuer, copy, token.len, c, &f);
	if (words == NULL)
		good = rc == 0;
	else
		good = rc == -1 && f.code == FAULT_UNAUTHORIZED &&
		    strstr(f.text, words) != NULL && c->subject.mem == NULL;
	if (!good)
		printf("# '%s', not '%s'\n", f.text, words ? words : "");
	CHECK(good);
	free(copy);
	buf_free(&token);
}

static void
refused(const struct jwt_issuer *issuer, struct buf token, const char *words)
{
	struct jwt_claims c;

	judge(issuer, token, words, &c);
	jwt_claims_free(&c);
}

static struct jwt_issuer *
one_issuer(void)
{
	return issuer_new(settings(JV_ARRAY(encoded("k1", "issuer-1.pem"))));
}

static void
a_token_says_who_it_is(void)
{
	struct jwt_issuer *issuer = one_issuer();
	struct jwt_claims c;

	judge(issuer, token_of("issuer-1.key", HEADER, CLAIMS), NULL, &c);
	CHECK(c.subject.len == 8 &&
	    memcmp(buf_data(&c.subject), "press-07", 8) == 0);
	CHECK(c.attributes.len == 2 &&
	    memcmp(buf_data(&c.attributes), "{}", 2) == 0);
	CHECK(c.expires == 4102444800 * CLOCK_SECOND);
	jwt_claims_free(&c);
	judge(issuer, token_of("issuer-1.key",
	    "{\"typ\":\"JWS\",\"kid\":\"k1\",\"alg\":\"RS256\",\"x\":1}",
	    CLAIMS), NULL, &c);
	jwt_claims_free(&c);
	jwt_issuer_free(issuer);
}

/* A token with these claims and the usual ones: what its attributes are. */
static void
attributes(const struct jwt_issuer *issuer, const char *claims,
    const char *want)
{
	char text[1024];
	struct jwt_claims c;

	snprintf(text, sizeof(text), "{%s,\"iss\":\"" ISSUER "\",\"sub\":\"a\","
	    "\"aud\":\"" HOST "\"," TIMES "}", claims);
	judge(issuer, token_of("issuer-1.key", HEADER, text), NULL, &c);
	if (c.attributes.len != strlen(want) ||
	    memcmp(buf_data(&c.attributes), want, strlen(want)) != 0) {
		printf("# %.*s\n", (int)c.attributes.len,
		    buf_data(&c.attributes));
		CHECK(!"attributes as wanted");
	}
	jwt_claims_free(&c);
}

static void
claims_become_attributes(void)
{
	struct jwt_issuer *issuer = one_issuer();

	attributes(issuer, "\"hall\":3,\"o_1\":\"p\\u0061 \\\"\xc3\xa9\","
	    "\"Tags\": [ \"a\" ,\n\"b\"], \"none\":[]",
	    "{\"hall\":3,\"o_1\":\"p\\u0061 \\\"\xc3\xa9\","
	    "\"Tags\":[\"a\",\"b\"],\"none\":[]}");
	attributes(issuer, "\"a\":2147483647,\"b\":-2147483648,"
	    "\"c\":2147483648,\"d\":-2147483649,\"e\":1.0,\"f\":1e3",
	    "{\"a\":2147483647,\"b\":-2147483648}");
	attributes(issuer, "\"a\":true,\"b\":null,\"c\":{\"d\":1},\"d\":[1],"
	    "\"e\":[\"x\",[\"y\"]],\"f\":[\"x\",1],\"g\":\"yes\"",
	    "{\"g\":\"yes\"}");
	attributes(issuer, "\"iat\":1,\"jti\":\"x\",\"s\\u0075b\":\"b\"",
	    "{}");
	attributes(issuer, "\"a-b\":1,\"a.b\":1,\"\":1,\"\xc3\xa9\":1,"
	    "\"a b\":1,\"\\u0061_9\":1,\"$\":2", "{\"a_9\":1}");
	attributes(issuer, "\"a\":1,\"b\":2,\"\\u0061\":3",
	    "{\"b\":2,\"a\":3}");
	jwt_issuer_free(issuer);
}

static void
attributes_have_a_limit(void)
{
	struct jwt_issuer *issuer = one_issuer();
	struct jwt_claims c = { .expires = 0 };
	char text[8192];
	int fill = 4095 - (int)strlen("{\"a\":\"\"}");

	snprintf(text, sizeof(text), "{\"a\":\"%0*d\",\"iss\":\"" ISSUER
	    "\",\"sub\":\"a\",\"aud\":\"" HOST "\"," TIMES "}", fill, 0);
	judge(issuer, token_of("issuer-1.key", HEADER, text), NULL, &c);
	CHECK(c.attributes.len == 4095);
	jwt_claims_free(&c);
	snprintf(text, sizeof(text), "{\"a\":\"%0*d\",\"iss\":\"" ISSUER
	    "\",\"sub\":\"a\",\"aud\":\"" HOST "\"," TIMES "}", fill + 1, 0);
	refused(issuer, token_of("issuer-1.key", HEADER, text), "4 KB");
	jwt_issuer_free(issuer);
}

static void
headers_are_checked(void)
{
	static const struct {
		const char *header, *words; /* NULL: good */
	} tries[] = {
		{ "{\"alg\":\"none\",\"typ\":\"JWT\"}", "alg" },
		{ "{\"alg\":\"HS256\",\"typ\":\"JWT\"}", "alg" },
		{ "{\"alg\":\"rs256\",\"typ\":\"JWT\"}", "alg" },
		{ "{\"alg\":[\"RS256\"],\"typ\":\"JWT\"}", "alg" },
		{ "{\"typ\":\"JWT\"}", "alg" },
		{ "{\"alg\":\"RS256\"}", "typ" },
		{ "{\"alg\":\"RS256\",\"typ\":\"at+jwt\"}", "typ" },
		{ "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"k2\"}",
		    "kid names no" },
		{ "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":1}",
		    "kid is not a string" },
		{ "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"crit\":[\"b64\"]}",
		    "crit" },
		{ "[\"RS256\"]", "header: not an object" },
		{ "{\"alg\":\"RS256\",}", "header: invalid JSON" },
		{ "x", "header: invalid JSON" },
	};
	struct jwt_issuer *issuer = one_issuer();

	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		refused(issuer, token_of("issuer-1.key", tries[i].header,
		    CLAIMS), tries[i].words);
	jwt_issuer_free(issuer);
}

#define WITH(iss, sub, aud, exp, nbf) "{" iss sub aud exp nbf "\"x\":1}"
#define ISS "\"iss\":\"" ISSUER "\","
#define SUB "\"sub\":\"a\","
#define AUD "\"aud\":\"" HOST "\","
#define EXP "\"exp\":4102444800,"
#define NBF "\"nbf\":1700000000,"

static void
claims_are_checked(void)
{
	static const struct {
		const char *claims, *words; /* NULL: good */
	} tries[] = {
		{ WITH("", SUB, AUD, EXP, NBF), "claim iss is not '" ISSUER },
		{ WITH("\"iss\":\"https://login.example/\",", SUB, AUD, EXP,
		    NBF), "claim iss" },
		{ WITH("\"iss\":[\"" ISSUER "\"],", SUB, AUD, EXP, NBF),
		    "claim iss" },
		{ WITH(ISS, "", AUD, EXP, NBF), "claim sub" },
		{ WITH(ISS, "\"sub\":\"\",", AUD, EXP, NBF), "claim sub" },
		{ WITH(ISS, "\"sub\":7,", AUD, EXP, NBF), "claim sub" },
		{ WITH(ISS, "\"sub\":\"a\\u0000b\",", AUD, EXP, NBF),
		    "claim sub" },
		{ WITH(ISS, SUB, "", EXP, NBF), "claim aud does not name "
		    HOST },
		{ WITH(ISS, SUB, "\"aud\":\"\",", EXP, NBF), "claim aud" },
		{ WITH(ISS, SUB, "\"aud\":\"/\",", EXP, NBF), "claim aud" },
		{ WITH(ISS, SUB, "\"aud\":\"x." HOST "\",", EXP, NBF),
		    "claim aud" },
		{ WITH(ISS, SUB, "\"aud\":{\"a\":\"" HOST "\"},", EXP, NBF),
		    "claim aud" },
		{ WITH(ISS, SUB, "\"aud\":[[\"" HOST "\"]],", EXP, NBF),
		    "claim aud" },
		{ WITH(ISS, SUB, "\"aud\":[],", EXP, NBF), "claim aud" },
		{ WITH(ISS, SUB, "\"aud\":[1,\"x\",\"MQTT.example/\"],", EXP,
		    NBF), NULL },
		{ WITH(ISS, SUB, "\"aud\":\"mqtt.example//\",", EXP, NBF),
		    "claim aud" },
		{ WITH(ISS, SUB, AUD, "", NBF), "claim exp is not a time" },
		{ WITH(ISS, SUB, AUD, "\"exp\":\"4102444800\",", NBF),
		    "claim exp is not a time" },
		{ WITH(ISS, SUB, AUD, "\"exp\":1e300,", NBF),
		    "claim exp is not a time" },
		{ WITH(ISS, SUB, AUD, "\"exp\":-1,", NBF),
		    "claim exp is not a time" },
		{ WITH(ISS, SUB, AUD, "\"exp\":1700000000,", NBF),
		    "claim exp: it has ended at 2023-11-14T22:13:20" },
		{ WITH(ISS, SUB, AUD, "\"exp\":4102444800.5,", NBF), NULL },
		{ WITH(ISS, SUB, AUD, EXP, ""), "claim nbf is not a time" },
		{ WITH(ISS, SUB, AUD, EXP, "\"nbf\":null,"),
		    "claim nbf is not a time" },
		{ WITH(ISS, SUB, AUD, EXP, "\"nbf\":4102444799,"),
		    "claim nbf: it begins at 2099-12-31T23:59:59" },
		{ "[]", "claims: not an object" },
		{ "\"\"", "claims: not an object" },
		{ "{\"sub\":\"\xff\"}", "claims: invalid JSON" },
	};
	struct jwt_issuer *issuer = one_issuer();

	for (size_t i = 0; i < sizeof(tries) / sizeof(*tries); i++)
		refused(issuer, token_of("issuer-1.key", HEADER,
		    tries[i].claims), tries[i].words);
	jwt_issuer_free(issuer);
}

static struct buf
text_of(const char *s)
{
	struct buf b = { 0 };

	buf_str(&b, s);
	return b;
}

static void
other_forms_are_no_tokens(void)
{
	static const char three[] = "it is not three parts";
	static const char base64[] = "base64url";
	struct jwt_issuer *issuer = one_issuer();
	struct buf b = token_of("issuer-1.key", HEADER, CLAIMS);
	struct buf long_one = { 0 };

	refused(issuer, text_of(""), three);
	refused(issuer, text_of("."), three);
	refused(issuer, text_of("YQ.YQ"), three);
	refused(issuer, text_of(".."), base64);
	refused(issuer, text_of("YQ..YQ"), base64);
	refused(issuer, text_of("YQ.YQ."), base64);
	refused(issuer, text_of("YQ.YQ.YQ.YQ"), base64);
	refused(issuer, text_of("YQ==.YQ.YQ"), base64);
	refused(issuer, text_of("YQ.YR.YQ"), base64); /* bits left over */
	refused(issuer, text_of("YQ.Y.YQ"), base64);
	refused(issuer, text_of("YQ.Y+++.YQ"), base64);
	refused(issuer, text_of("YQ.Y///.YQ"), base64);
	refused(issuer, text_of("YQ.Y Q.YQ"), base64);
	refused(issuer, text_of("YQ.Y--_.YQ"), "header: invalid JSON");
	buf_add(&b, "=", 1);
	refused(issuer, b, base64);
	for (int i = 0; i < JWT_MAX; i++)
		buf_add(&long_one, i < 4 ? "YQ.." + i : "Y", 1);
	buf_add(&long_one, "Y", 1);
	refused(issuer, long_one, "more than 8192");
	jwt_issuer_free(issuer);
}

static void
signatures_are_checked(void)
{
	static const char none[] = "no issuer certificate fits";
	struct jwt_issuer *issuer = one_issuer();
	struct buf b = token_of("issuer-2.key", HEADER, CLAIMS);
	size_t at;

	refused(issuer, b, none);
	/* the claims are others than those that were signed */
	b = token_of("issuer-1.key", HEADER, CLAIMS);
	at = (size_t)((char *)memchr(buf_data(&b), '.', b.len) - buf_data(&b));
	buf_data(&b)[at + 20] ^= 1;
	refused(issuer, b, none);
	/* a signature that is short, or of another size */
	b = text_of("");
	add_part(&b, HEADER, strlen(HEADER));
	buf_add(&b, ".", 1);
	add_part(&b, CLAIMS, strlen(CLAIMS));
	buf_str(&b, ".AAAA");
	refused(issuer, b, none);
	refused(issuer, token_of("issuer-small.key", HEADER, CLAIMS), none);
	for (int i = 0; i < 3; i++) {
		/* the bare digest, one that says it is SHA-512, one with a
		 * byte behind it */
		b = text_of("");
		add_part(&b, HEADER, strlen(HEADER));
		buf_add(&b, ".", 1);
		add_part(&b, CLAIMS, strlen(CLAIMS));
		add_signature(&b, "issuer-1.key", i == 0 ? 0 : i == 1 ?
		    SHA512h : SHA256h, i == 2);
		refused(issuer, b, none);
	}
	jwt_issuer_free(issuer);
}

#define KID(k) "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"" k "\"}"

static void
two_certificates_serve_for_rotation(void)
{
	struct jwt_issuer *issuer = issuer_new(settings(JV_ARRAY(
	    encoded("k1", "issuer-1.pem"), encoded("k2", "issuer-2.pem"))));

	refused(issuer, token_of("issuer-1.key", HEADER, CLAIMS), NULL);
	refused(issuer, token_of("issuer-2.key", HEADER, CLAIMS), NULL);
	refused(issuer, token_of("issuer-2.key", KID("k2"), CLAIMS), NULL);
	refused(issuer, token_of("issuer-2.key", KID("k1"), CLAIMS),
	    "no issuer certificate fits");
	refused(issuer, token_of("issuer-2.key", KID("k3"), CLAIMS),
	    "kid names no issuer certificate");
	jwt_issuer_free(issuer);
}

static void
references_name_files(void)
{
	char path[4096], url[4200];
	struct jwt_issuer *issuer;

	if (realpath("tests/certs/issuer-2.pem", path) == NULL)
		abort();
	issuer = issuer_new(reference(path));
	refused(issuer, token_of("issuer-2.key", HEADER, CLAIMS), NULL);
	refused(issuer, token_of("issuer-2.key", KID("any"), CLAIMS), NULL);
	refused(issuer, token_of("issuer-1.key", HEADER, CLAIMS), "fits");
	jwt_issuer_free(issuer);
	for (int i = 0; i < 2; i++) {
		snprintf(url, sizeof(url), "file:%s%s", i == 0 ? "//" : "",
		    path);
		jwt_issuer_free(issuer_new(reference(url)));
	}
}

static void
not_made(jv s, const char *words)
{
	struct fault f = { 0 };

	CHECK(jwt_issuer_new(s, NULL, 0, &f) == NULL);
	if (strstr(f.text, words) == NULL)
		printf("# %s\n", f.text);
	CHECK(f.code == FAULT_BAD_REQUEST && strstr(f.text, words) != NULL);
}

static void
bad_settings_are_refused(void)
{
	not_made(jv_null(), "tokenIssuer is missing");
	not_made(jv_object(), "tokenIssuer is missing");
	not_made(settings(jv_array()), "there is no issuer certificate");
	not_made(settings(JV_ARRAY(encoded("k1", "issuer-1.pem"),
	    encoded("k2", "ca.pem"))), "encodedIssuerCertificates: 'k2': must "
	    "be the certificate of an RSA key");
	not_made(settings(JV_ARRAY(encoded("k1", "issuer-small.pem"))),
	    "encodedIssuerCertificates: 'k1': its RSA key has 1024 bits");
	not_made(settings(JV_ARRAY(encoded(NULL, "issuer-1.key"))),
	    "must be one X.509 certificate");
	not_made(settings(JV_ARRAY(jv_object())), "has no certificate");
	not_made(reference("https://v.vault.azure.net/certificates/x/1"),
	    "issuerCertificates: 'https://v.vault.azure.net/certificates/x/1':"
	    " a key vault cannot be asked here");
	not_made(reference("file:tests/certs/issuer-1.pem"), "key vault");
	not_made(reference("tests/certs/issuer-1.pem"), "key vault");
	not_made(reference("/nonexistent"), "issuerCertificates: "
	    "'/nonexistent': cannot be read: No such file");
	not_made(reference("/etc"), "cannot be read: Is a directory");
	not_made(reference("/dev/null"), "must be one X.509 certificate");
}

int
main(void)
{
	wc_InitRng(&rng);
	RUN(a_token_says_who_it_is);
	RUN(claims_become_attributes);
	RUN(attributes_have_a_limit);
	RUN(headers_are_checked);
	RUN(claims_are_checked);
	RUN(other_forms_are_no_tokens);
	RUN(signatures_are_checked);
	RUN(two_certificates_serve_for_rotation);
	RUN(references_name_files);
	RUN(bad_settings_are_refused);
	wc_FreeRng(&rng);
	DONE();
}
