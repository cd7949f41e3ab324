#include "blob_auth.h"

#include <stdio.h>
#include <string.h>

#include "check.h"

#define KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SAS "sv=2021-08-06&sp=rcwdl&sig=c2VjcmV0%2Bc2VjcmV0c2VjcmV0%3D"
#define ID "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/" \
	"storageAccounts/acct1"

static bool
has(const char *text, const char *words)
{
	if (strstr(text, words) != NULL)
		return true;
	printf("# no '%s' in: %s\n", words, text);
	return false;
}

static bool
same(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	printf("# %s\n# is not %s\n", a, b);
	return false;
}

/* An endpoint's entry; NULL is what is not there. */
static jv
entry(const char *url, const char *id)
{
	jv e = jv_object();

	if (url != NULL)
		e = jv_object_set(e, jv_string("url"), jv_string(url));
	if (id != NULL)
		e = jv_object_set(e, jv_string("resourceId"), jv_string(id));
	return e;
}

/* ---- who we are ---- */

static void
accounts(void)
{
	static const struct {
		const char *url, *id, *is, *name;
	} rows[] = {
		{ "https://acct1.blob.core.windows.net", NULL,
		    "https://acct1.blob.core.windows.net", "acct1" },
		{ "https://acct1.blob.core.windows.net//", ID "x",
		    "https://acct1.blob.core.windows.net", "acct1" },
		{ NULL, ID, "https://acct1.blob.core.windows.net", "acct1" },
		{ NULL, ID "TWO", "https://acct1two.blob.core.windows.net",
		    "acct1two" },
		{ NULL, ID "/blobServices/default", NULL, NULL },
		{ "http://127.0.0.1:10000/devstoreaccount1", ID,
		    "http://127.0.0.1:10000/devstoreaccount1",
		    "devstoreaccount1" },
		{ "http://localhost:8/other/", ID, "http://localhost:8/other",
		    "other" },
		{ "http://dev.blob.localhost:8", ID, NULL, NULL },
		{ "https://dev.blob.localhost:8", ID,
		    "https://dev.blob.localhost:8", "dev" },
		{ "https://blobs.example.org", ID, "https://blobs.example.org",
		    "acct1" },
		{ "https://blobs.example.org", NULL,
		    "https://blobs.example.org", "" },
		{ "https://blobs.example.org", "/a.blob.b/c",
		    "https://blobs.example.org", "" },
		{ NULL, "/subscriptions/s", NULL, NULL },
		{ NULL, NULL, NULL, NULL },
		{ NULL, ID "@evil.example", NULL, NULL },
		{ "http://example.org", ID, NULL, NULL },
		{ "https://acct1.blob.core.windows.net/?" SAS, ID, NULL, NULL },
	};
	struct blob_account a;
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		jv e = entry(rows[i].url, rows[i].id);

		f = (struct fault){ .text = "" };
		if (rows[i].is == NULL) {
			CHECK(blob_account_init(&a, e, &f) == -1);
			CHECK(f.code == FAULT_BAD_REQUEST);
			CHECK(strstr(f.text, "sig=") == NULL);
		} else {
			CHECK(blob_account_init(&a, e, &f) == 0);
			CHECK(same(a.url, rows[i].is));
			CHECK(same(a.name, rows[i].name));
			CHECK(a.given == (rows[i].url != NULL));
			blob_account_free(&a);
		}
		jv_free(e);
	}
}

/* A token's proof: "HOW URL ACCOUNT SECRET", or the fault. */
static const char *
proof(const char *url, const char *type, const char *token)
{
	static char out[2048];
	jv e = entry(url, ID);
	struct blob_account a;
	struct blob_proof p;
	struct fault f = { .text = "" };

	CHECK(blob_account_init(&a, e, &f) == 0);
	if (blob_proof_init(&p, &a, type, token, &f) == 0) {
		snprintf(out, sizeof(out), "%d %s %s %s", (int)p.how, p.url,
		    p.account, p.secret);
		blob_proof_free(&p);
	} else {
		CHECK(f.code == FAULT_UNAVAILABLE ||
		    f.code == FAULT_BAD_REQUEST);
		CHECK(strstr(f.text, "s3cret") == NULL);
		snprintf(out, sizeof(out), "%s", f.text);
	}
	blob_account_free(&a);
	jv_free(e);
	return out;
}

#define URL "https://acct1.blob.core.windows.net"
#define LOCAL "http://127.0.0.1:10000/devstoreaccount1"

static void
proofs(void)
{
	CHECK(same(proof(NULL, "bearer", "eyJ"), "0 " URL " acct1 eyJ"));
	CHECK(same(proof(LOCAL, "key", KEY), "1 " LOCAL
	    " devstoreaccount1 " KEY));
	CHECK(same(proof(NULL, "sas", SAS), "2 " URL " acct1 " SAS));
	CHECK(same(proof(NULL, "sas", "?" SAS), "2 " URL " acct1 " SAS));
	CHECK(same(proof(NULL, "sas", "sig=x"), "2 " URL " acct1 sig=x"));
	CHECK(has(proof(NULL, "sas", "sv=2021&s3cret"), "no shared access"));
	CHECK(has(proof(NULL, "sas", "sig=s3cret x"), "no shared access"));
	CHECK(has(proof(NULL, "sas", "sig=s3cret#x"), "no shared access"));
	CHECK(has(proof(NULL, "key", "s3cret"), "no key of an account"));
	CHECK(has(proof(NULL, "key", ""), "no key of an account"));
}

static void
key_of_nobody(void)
{
	jv e = entry("https://blobs.example.org", NULL);
	struct blob_account a;
	struct blob_proof p;
	struct fault f = { .text = "" };

	CHECK(blob_account_init(&a, e, &f) == 0);
	CHECK(blob_proof_init(&p, &a, "key", KEY, &f) == -1);
	CHECK(has(f.text, "does not say which account the key is of"));
	blob_account_free(&a);
	jv_free(e);
}

static const char *
connection(const char *url, const char *text)
{
	return proof(url, "connectionString", text);
}

static void
connection_strings(void)
{
	CHECK(same(connection(NULL, "DefaultEndpointsProtocol=https;"
	    "AccountName=acct2;AccountKey=" KEY
	    ";EndpointSuffix=core.chinacloudapi.cn"),
	    "1 https://acct2.blob.core.chinacloudapi.cn acct2 " KEY));
	CHECK(same(connection(NULL, "accountname=acct2;ACCOUNTKEY=" KEY ";"),
	    "1 https://acct2.blob.core.windows.net acct2 " KEY));
	CHECK(same(connection(NULL, "AccountName=acct2;AccountKey=" KEY
	    ";BlobEndpoint=http://localhost:8/acct2/;QueueEndpoint=x"),
	    "1 http://localhost:8/acct2 acct2 " KEY));
	CHECK(same(connection(NULL, "BlobEndpoint=https://h/;"
	    "SharedAccessSignature=" SAS), "2 https://h acct1 " SAS));
	CHECK(same(connection(NULL, "AccountName=acct2;AccountKey=" KEY
	    ";UseDevelopmentStorage=false"), "1 https://acct2.blob."
	    "core.windows.net acct2 " KEY));
	CHECK(has(connection(NULL, "UseDevelopmentStorage=true"),
	    "1 http://127.0.0.1:10000/devstoreaccount1 devstoreaccount1 Eby8"));
	/* a url of the endpoint wins */
	CHECK(same(connection(LOCAL, "AccountName=devstoreaccount1;AccountKey="
	    KEY ";BlobEndpoint=https://h/"),
	    "1 " LOCAL " devstoreaccount1 " KEY));
	CHECK(has(connection(LOCAL, "UseDevelopmentStorage=true"),
	    "1 " LOCAL " devstoreaccount1 Eby8"));
}

static void
connection_strings_that_are_none(void)
{
	CHECK(has(connection(NULL, "s3cret"), "neither BlobEndpoint nor"));
	CHECK(has(connection(URL, "s3cret"), "neither AccountKey nor"));
	CHECK(has(connection(NULL, "AccountName=a"), "neither AccountKey nor"));
	CHECK(has(connection(NULL, "AccountName=a;AccountKey=s3cret"),
	    "no key of an account"));
	CHECK(has(connection(NULL, "AccountName=a;"
	    "SharedAccessSignature=s3cret"), "no shared access signature"));
	CHECK(has(connection(NULL, "AccountName=a;AccountKey=" KEY
	    ";AccountKey=s3cret"), "a part twice"));
	/* what is sent by these is sent in the clear */
	CHECK(has(connection(NULL, "DefaultEndpointsProtocol=http;"
	    "AccountName=a;AccountKey=" KEY), "must be https://"));
	CHECK(has(connection(NULL, "BlobEndpoint=https://u:s3cret@h/;"
	    "AccountName=a;AccountKey=" KEY), "has a user or a password"));
	CHECK(has(connection(NULL, "BlobEndpoint=https://h/?s3cret;"
	    "AccountName=a;AccountKey=" KEY), "it has no query"));
}

/* ---- requests ---- */

/* As they go out: the URL, then the headers. */
static const char *
request(const char *url, const char *type, const char *token,
    const struct blob_call *c)
{
	static char out[4096];
	struct buf u = { 0 }, head = { 0 };
	jv e = entry(url, ID);
	struct blob_account a;
	struct blob_proof p;
	struct fault f = { .text = "" };

	CHECK(blob_account_init(&a, e, &f) == 0);
	CHECK(blob_proof_init(&p, &a, type, token, &f) == 0);
	/* Sat, 31 Jan 2026 12:00:00 GMT */
	CHECK(blob_call_sign(c, &p, 1769860800, &u, &head, &f) == 0);
	for (char *h = buf_data(&head); h < buf_data(&head) + head.len; h++)
		if (*h == '\0')
			*h = '\n';
	snprintf(out, sizeof(out), "%s\n%.*s", buf_data(&u), (int)head.len,
	    buf_data(&head));
	buf_free(&u);
	buf_free(&head);
	blob_proof_free(&p);
	blob_account_free(&a);
	jv_free(e);
	return out;
}

#define VECTOR "7AlpK60kZHK0m9AyYug3TKnmEvmFyMxBncqeC0ww6pk="

static void
signatures(void)
{
	struct blob_call c = { .method = "PUT", .container = "deadletter",
		.name = "ns/t/s/a.json", .content_type = "application/json",
		.put = true, .length = 11 };
	const char *made = request(NULL, "key", KEY, &c);

	CHECK(same(made, URL "/deadletter/ns/t/s/a.json\n"
	    "x-ms-date: Sat, 31 Jan 2026 12:00:00 GMT\n"
	    "x-ms-version: 2021-08-06\n"
	    "x-ms-blob-type: BlockBlob\n"
	    "Content-Type: application/json\n"
	    "Authorization: SharedKey acct1:" VECTOR "\n"));
}

/* Where each thing stands in the text was computed apart from here, by the
 * words of the reference. */
static void
signatures_of_all_parts(void)
{
	struct blob_call put = { .method = "PUT", .container = "c",
		.name = "a b/\xc3\xa9+&%.json", .content_type = "text/plain",
		.content_md5 = "XUFAKrxLKna5cZ2REBfFkg==", .put = true,
		.length = 5, .if_none_match = "*" };
	struct blob_call delete = { .method = "DELETE", .container = "c",
		.name = "x", .if_match = "\"0x8D\"" };
	struct blob_call list = { .method = "GET", .container = "c",
		.params = { { "comp", "list" }, { "marker", "2!8/=" },
		{ "prefix", "a b/\xc3\xa9" }, { "restype", "container" } } };
	const char *made;

	made = request(LOCAL, "key", KEY, &put);
	CHECK(has(made, "/c/a%20b/%C3%A9%2B%26%25.json\n"));
	CHECK(has(made, "SharedKey devstoreaccount1:"
	    "sRnw6ziBOJWJec+3kZiKLVrh/aA8QWJMWoGdHkA1cd8="));
	CHECK(has(request(LOCAL, "key", KEY, &delete),
	    "QUxZftmVZ/PBn+vXp8bUs8bgqRzMyiA3HRcw5zJMesY="));
	made = request(LOCAL, "key", KEY, &list);
	CHECK(has(made, "/c?comp=list&marker=2%218%2F%3D&prefix=a%20b%2F%C3%A9"
	    "&restype=container\n"));
	CHECK(has(made, "EF7pER3C0qx0C0G+u5hdcFH0napioRQItgqNMhDHBL8="));
}

static void
other_proofs(void)
{
	struct blob_call get = { .method = "GET", .container = "c",
		.name = "x" };
	struct blob_call list = { .method = "GET", .container = "c",
		.params = { { "comp", "list" }, { "restype", "container" } } };

	CHECK(same(request(NULL, "sas", SAS, &get), URL "/c/x?" SAS "\n"
	    "x-ms-date: Sat, 31 Jan 2026 12:00:00 GMT\n"
	    "x-ms-version: 2021-08-06\n"));
	CHECK(has(request(NULL, "sas", SAS, &list),
	    URL "/c?comp=list&restype=container&" SAS "\n"));
	CHECK(has(request(NULL, "bearer", "eyJ.x", &get),
	    "\nAuthorization: Bearer eyJ.x\n"));
}

static void
secrets_in_words(void)
{
	static const struct {
		const char *type, *token, *words;
		bool told;
	} rows[] = {
		{ "key", KEY, "the key " KEY " is wrong", true },
		{ "key", KEY, "the key HyAAECAwQFBgcICQoLDA0Oyes", true },
		{ "key", KEY, "the MAC signature is wrong", false },
		{ "sas", SAS, "c2VjcmV0%2Bc2VjcmV0", true },
		{ "sas", "sig=a%2Bb%2fc%2Bd%2fe%2Bf%2fg%3D",
		    "the sig a+b/c+d/e+f/g= is wrong", true },
		{ "sas", SAS, "Signature did not match.", false },
		{ "bearer", "s3cret", "token s3cret", true },
		{ "bearer", "eyJ0eXAiOiJKV1Q.rest", "yJ0eXAiOiJKV!", true },
		{ "bearer", "eyJ0eXAiOiJKV1Q.rest", "eyJ0 is none", false },
	};
	jv e = entry(NULL, ID);
	struct blob_account a;
	struct blob_proof p;
	struct fault f;

	CHECK(blob_account_init(&a, e, &f) == 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK(blob_proof_init(&p, &a, rows[i].type, rows[i].token,
		    &f) == 0);
		if (blob_proof_told(&p, rows[i].words) != rows[i].told)
			printf("# row %zu\n", i);
		CHECK(blob_proof_told(&p, rows[i].words) == rows[i].told);
		blob_proof_free(&p);
	}
	blob_account_free(&a);
	jv_free(e);
}

int
main(void)
{
	RUN(accounts);
	RUN(proofs);
	RUN(key_of_nobody);
	RUN(connection_strings);
	RUN(connection_strings_that_are_none);
	RUN(signatures);
	RUN(signatures_of_all_parts);
	RUN(other_proofs);
	RUN(secrets_in_words);
	DONE();
}
