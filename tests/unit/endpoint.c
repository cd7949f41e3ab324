#include "endpoint.h"

#include <stdbool.h>
#include <string.h>

#include "check.h"
#include "jq.h"

static void
urls(void)
{
	static const struct {
		const char *url;
		bool good;
	} rows[] = {
		{ "https://h", true },
		{ "HTTPS://h:8443/api/events?x=y", true },
		{ "https://[2001:db8::1]:8443/", true },
		{ "https://h/a@b", true },
		{ "http://localhost/", true },
		{ "http://LOCALHOST:1/", true },
		{ "http://127.0.0.1:10000/a", true },
		{ "http://127.1.2.3", true },
		{ "http://[::1]:80/", true },
		{ "http://h/", false },
		{ "http://localhost.example.org/", false },
		{ "http://127.0.0.1.example.org/", false },
		{ "http://127.0.0.1@example.org/", false },
		{ "http://example.org#@127.0.0.1/", false },
		{ "http://[::1", false },
		{ "http://[::1].example.org/", false },
		{ "http://[::2]/", false },
		{ "https://h:/", true },
		{ "https://h:65535?x", true },
		{ "https://h:65536/", false },
		{ "https://h:0/", false },
		{ "https://h:8x/", false },
		{ "https://h:080443/", false },
		{ "http://[::1]:x/", false },
		{ "https://", false },
		{ "https:///x", false },
		{ "https://:443/", false },
		{ "https://?x", false },
		{ "https://user:pw@h/", false },
		{ "https://h/\n", false },
		{ "https://h/a b", false },
		{ "https://h/\xc3\xa4", false },
		{ "ftp://h/", false },
		{ "h", false },
		{ "", false },
	};
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = endpoint_check_url(rows[i].url, &f) == 0;

		if (good != rows[i].good)
			printf("# '%s'\n", rows[i].url);
		CHECK(good == rows[i].good);
		CHECK(good || strstr(f.text, "pw") == NULL);
	}
}

static void
places(void)
{
	static const struct {
		const char *url;
		bool good;
	} rows[] = {
		{ "https://h/a", true },
		{ "http://h/", false },
		{ "kafkas://h:9093/hub-1_x.y", true },
		{ "KAFKAS://h.example.org:1/t", true },
		{ "kafkas://[2001:db8::1]:9093/t", true },
		{ "kafka://127.0.0.1:9092/t", true },
		{ "kafka://localhost:65535/t", true },
		{ "kafka://[::1]:9092/t", true },
		{ "kafka://h:9092/t", false },
		{ "kafka://127.0.0.1.example.org:9092/t", false },
		{ "kafkas://h/t", false },
		{ "kafkas://h:/t", false },
		{ "kafkas://h:0/t", false },
		{ "kafkas://h:65536/t", false },
		{ "kafkas://h:999999999999/t", false },
		{ "kafkas://h:9093x/t", false },
		{ "kafkas://h:9093,g:9093/t", false },
		{ "kafkas://h:9093", false },
		{ "kafkas://h:9093/", false },
		{ "kafkas://h:9093/.", false },
		{ "kafkas://h:9093/..", false },
		{ "kafkas://h:9093/a/b", false },
		{ "kafkas://h:9093/a?b", false },
		{ "kafkas://h:9093?/t", false },
		{ "kafkas://:9093/t", false },
		{ "kafkas://[::1:9093/t", false },
		{ "kafkas://u:pw@h:9093/t", false },
		{ "kafkas://h:9093/a b", false },
		{ "kafkas://h:9093/\xc3\xa4", false },
		{ "kafkas://", false },
		{ "kafka:h", false },
	};
	char longest[300] = "kafkas://h:9093/";
	size_t prefix = strlen(longest);
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool good = endpoint_check_place(rows[i].url, &f) == 0;

		if (good != rows[i].good)
			printf("# '%s'\n", rows[i].url);
		CHECK(good == rows[i].good);
		CHECK(good || strstr(f.text, "pw") == NULL);
	}
	memset(longest + prefix, 't', 249);
	CHECK(endpoint_check_place(longest, &f) == 0);
	longest[prefix + 249] = 't';
	CHECK(endpoint_check_place(longest, &f) == -1);
	CHECK(strcmp(f.text, "must be kafkas://HOST:PORT/TOPIC, or kafka:// "
	    "on this machine") == 0);
}

static void
parts_of_kafka(void)
{
	struct endpoint_kafka k;

	CHECK(!endpoint_kafka("https://h/a", &k));
	CHECK(endpoint_kafka("kafka://[::1]:9092/t", &k));
	CHECK(!k.secure && strcmp(k.topic, "t") == 0);
	CHECK(k.len == 10 && memcmp(k.server, "[::1]:9092", k.len) == 0);
	CHECK(endpoint_kafka("Kafkas://h:1/hub", &k));
	CHECK(k.secure && strcmp(k.topic, "hub") == 0);
	CHECK(k.len == 3 && memcmp(k.server, "h:1", k.len) == 0);
}

static void
entries(void)
{
	static const struct {
		const char *json;
		bool good;
	} rows[] = {
		{ "{\"resourceId\":\"/x\",\"url\":\"https://h\"}", true },
		{ "{\"resourceId\":\"/x\",\"credential\":{}}", true },
		{ "{\"resourceId\":\"/x\"}", false },
	};
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		jv v = jq_parse(rows[i].json, strlen(rows[i].json), NULL);

		CHECK((endpoint_check_entry(v, &f) == 0) == rows[i].good);
		jv_free(v);
	}
	CHECK(strcmp(f.text, "must have a url, a credential or both") == 0);
}

static void
credentials(void)
{
	static const struct {
		const char *json, *words; /* NULL: it is good */
	} rows[] = {
		{ "{\"file\":\"/x\"}", NULL },
		{ "{\"command\":\"pass x\",\"type\":\"key\"}", NULL },
		{ "{\"file\":\"x\",\"type\":\"sas\"}", NULL },
		{ "{\"file\":\"x\",\"type\":\"bearer\"}", NULL },
		{ "{\"identity\":\"SystemAssigned\"}", NULL },
		{ "{\"identity\":\"/subscriptions/x\",\"type\":\"bearer\"}",
		    NULL },
		{ "{\"key\":\"s3cret\"}",
		    "\"key\" is no member of it: a credential is {\"file\": "
		    "PATH}, {\"command\": COMMAND} or {\"identity\": NAME}, "
		    "never the secret itself" },
		{ "{\"file\":\"x\",\"token\":\"s3cret\"}", "never the secret" },
		{ "\"s3cret\"", "never the secret" },
		{ "[]", "must be {\"file\"" },
		{ "{}", "is wanted" },
		{ "{\"type\":\"key\"}", "is wanted" },
		{ "{\"file\":\"x\",\"command\":\"y\"}", "one of" },
		{ "{\"file\":\"\"}", "\"file\" must be a string" },
		{ "{\"file\":[\"s3cret\"]}", "\"file\" must be a string" },
		{ "{\"file\":\"x\",\"type\":\"connectionString\"}", NULL },
		{ "{\"file\":\"x\",\"type\":\"s3cret\"}",
		    "bearer, key, sas or connectionString" },
		{ "{\"identity\":\"x\",\"type\":\"key\"}", "must be bearer" },
		{ "{\"identity\":\"x\",\"type\":\"connectionString\"}",
		    "must be bearer" },
	};
	struct fault f;
	jv v;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int rc;

		f.text[0] = '\0';
		v = jq_parse(rows[i].json, strlen(rows[i].json), NULL);
		rc = endpoint_check_credential(v, &f);
		jv_free(v);
		if ((rc == 0) != (rows[i].words == NULL) || (rc == -1 &&
		    strstr(f.text, rows[i].words) == NULL))
			printf("# %s: %s\n", rows[i].json, f.text);
		CHECK((rc == 0) == (rows[i].words == NULL));
		CHECK(rc == 0 || strstr(f.text, rows[i].words) != NULL);
		CHECK(strstr(f.text, "s3cret") == NULL);
	}
}

static const char *
found(jv namespace, const char *id)
{
	static char url[64];
	jv e = endpoint_find(namespace, id);
	const char *text = jq_str(e, "url");

	snprintf(url, sizeof(url), "%s", text != NULL ? text : "none");
	jv_free(e);
	return url;
}

static void
entries_are_found(void)
{
	static const char text[] = "{\"properties\":{\"endpoints\":["
	    "{\"resourceId\":\"/a/B\",\"url\":\"https://1\"},7,"
	    "{\"resourceId\":\"/A/b\",\"url\":\"https://2\"},"
	    "{\"resourceId\":\"/c\",\"url\":\"https://3\"}]}}";
	jv ns = jq_parse(text, sizeof(text) - 1, NULL), none = jv_object();

	CHECK(strcmp(found(ns, "/a/b"), "https://1") == 0);
	CHECK(strcmp(found(ns, "/C"), "https://3") == 0);
	CHECK(strcmp(found(ns, "/a"), "none") == 0);
	CHECK(strcmp(found(none, "/a"), "none") == 0);
	jv_free(ns);
	jv_free(none);
}

int
main(void)
{
	RUN(urls);
	RUN(places);
	RUN(parts_of_kafka);
	RUN(entries);
	RUN(credentials);
	RUN(entries_are_found);
	DONE();
}
