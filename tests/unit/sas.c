#include "sas.h"

#include <string.h>

#include "check.h"

#define VECTOR "SharedAccessSignature " \
	"sr=https%3A%2F%2Feh1.servicebus.windows.net%2Fhub1" \
	"&sig=b8eeH8yGv2IZGDEuDuHAcByLoy07sc3u7XTX8PuZ2Es%3D" \
	"&se=1767225600&skn=send"

static void
signatures(void)
{
	struct buf b = { 0 };

	sas_sign(&b, "https://eh1.servicebus.windows.net/hub1", "send",
	    "sharedkeytext0123456789", 1767225600);
	CHECK(!b.bad && b.len == strlen(VECTOR) &&
	    memcmp(buf_data(&b), VECTOR, b.len) == 0);
	buf_free(&b);
	sas_sign(&b, "http://127.0.0.1:8/hub1", "a b&c", "k", 1);
	buf_add(&b, "", 1);
	CHECK(strstr(buf_data(&b), "sr=http%3A%2F%2F127.0.0.1%3A8%2Fhub1&") !=
	    NULL);
	CHECK(strstr(buf_data(&b), "&se=1&skn=a%20b%26c") != NULL);
	buf_free(&b);
}

#define NAMED "SharedAccessKeyName=send;SharedAccessKey=s3cret+/8="

static void
connection_strings(void)
{
	static const struct {
		const char *text, *host, *entity;
	} rows[] = {
		{ "Endpoint=sb://eh1.servicebus.windows.net/;" NAMED,
		    "eh1.servicebus.windows.net", NULL },
		{ "Endpoint=sb://h;" NAMED ";EntityPath=hub1", "h", "hub1" },
		{ "entitypath=hub1;" NAMED ";ENDPOINT=SB://h:5671/;", "h:5671",
		    "hub1" },
		{ "Endpoint=sb://localhost;" NAMED
		    ";UseDevelopmentEmulator=true;EntityPath=", "localhost",
		    NULL },
	};
	struct sas_connection s;
	struct fault f;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK(sas_parse(&s, rows[i].text, &f) == 0);
		CHECK(strcmp(s.host, rows[i].host) == 0);
		CHECK(strcmp(s.rule, "send") == 0);
		CHECK(strcmp(s.key, "s3cret+/8=") == 0);
		CHECK(rows[i].entity == NULL ? s.entity == NULL :
		    strcmp(s.entity, rows[i].entity) == 0);
	}
}

static void
refused(const char *text, const char *words)
{
	struct sas_connection s;
	struct fault f = { 0 };

	CHECK(sas_parse(&s, text, &f) == -1);
	if (strstr(f.text, words) == NULL)
		printf("# %s: %s\n", text, f.text);
	CHECK(strstr(f.text, words) != NULL);
	CHECK(strstr(f.text, "s3cret") == NULL);
}

static void
what_is_none(void)
{
	static char longest[4096];

	refused("", "no Endpoint");
	refused("s3cret", "no Endpoint");
	refused(NAMED, "no Endpoint");
	refused("Endpoint=https://h/;" NAMED, "no Endpoint");
	refused("Endpoint=sb://;" NAMED, "no Endpoint");
	refused("Endpoint=sb:///;" NAMED, "no Endpoint");
	refused("Endpoint=sb://h/x;" NAMED, "no Endpoint");
	refused("Endpoint=sb://h@s3cret/;" NAMED, "no Endpoint");
	refused("Endpoint=sb://h/", "no SharedAccessKeyName or no");
	refused("Endpoint=sb://h/;SharedAccessKey=s3cret",
	    "no SharedAccessKeyName or no");
	refused("Endpoint=sb://h/;SharedAccessKeyName=send;"
	    "SharedAccessKey=", "or no SharedAccessKey");
	refused("Endpoint=sb://h/;SharedAccessSignature=s3cret",
	    "or no SharedAccessKey");
	refused("Endpoint=sb://h/;" NAMED ";sharedaccesskey=s3cret",
	    "a part twice");
	memset(longest, 's', sizeof(longest) - 1);
	refused(longest, "less than 2048 bytes");
}

int
main(void)
{
	RUN(signatures);
	RUN(connection_strings);
	RUN(what_is_none);
	DONE();
}
