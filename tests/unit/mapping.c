#include "mapping.h"

#include <string.h>

#include "check.h"
#include "jq.h"

#define STATIC(name, value) "{\"name\":\"" name "\",\"type\":\"Static\"," \
	"\"properties\":{\"value\":\"" value "\"}}"
#define SECRET(name, value) "{\"name\":\"" name "\",\"type\":\"Static\"," \
	"\"properties\":{\"value\":\"" value "\",\"isSecret\":true}}"
#define DYNAMIC(name, field) "{\"name\":\"" name "\",\"type\":\"Dynamic\"," \
	"\"properties\":{\"sourceField\":\"" field "\"}}"

static jv
list(const char *text)
{
	jv v = jq_parse(text, strlen(text), NULL);

	CHECK(jv_is_valid(v));
	return v;
}

/* What check says; "" is "good". */
static void
check(const char *text, unsigned own, const char *words)
{
	jv v = list(text);
	struct fault f = { .text = "" };
	int rc = mappings_check(v, own, &f);

	if (rc != (*words == '\0' ? 0 : -1) || strcmp(f.text, words) != 0)
		printf("# %s\n", f.text);
	CHECK(rc == (*words == '\0' ? 0 : -1));
	CHECK(strcmp(f.text, words) == 0);
	CHECK(rc == 0 || f.code == FAULT_BAD_REQUEST);
	jv_free(v);
}

#define NO_NAME "is no name of a header"
#define IN_USE "the name is in use by the delivery"

static void
names(void)
{
	static const char *const used[] = { "Host", "content-length",
		"Content-Type", "TRANSFER-ENCODING", "Connection", "expect",
		"ce-x", "CE-id", "ce_id", "aeg-event-type", "AEG-",
		"WebHook-Request-Origin", "webhook-x", "TE", "Upgrade",
		"Trailer", "Keep-Alive", "Proxy-Connection" };
	static const char *const none[] = { "", "a b", "a:", "\\u00e4",
		"a\\r\\nb", "a\\u0000", "a\\\"", "(", "a/b" };
	static const char *const good[] = { "PartitionKey", "X", "x-1",
		"!#$%&'*+-.^_`|~09", "Hosts", "ce", "aeg", "WebHook", "Accept" };
	char text[256], words[256];

	for (size_t i = 0; i < sizeof(used) / sizeof(used[0]); i++) {
		snprintf(text, sizeof(text), "[" STATIC("%s", "x") "]", used[i]);
		snprintf(words, sizeof(words), "delivery attribute '%s': "
		    IN_USE, used[i]);
		check(text, 0, words);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		jv v;
		struct fault f;

		snprintf(text, sizeof(text), "[" STATIC("%s", "x") "]", none[i]);
		v = list(text);
		CHECK(mappings_check(v, 0, &f) == -1);
		CHECK(strstr(f.text, NO_NAME) != NULL);
		CHECK(strpbrk(f.text, "\r\n") == NULL);
		jv_free(v);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		snprintf(text, sizeof(text), "[" STATIC("%s", "x") "]", good[i]);
		check(text, MAPPINGS_TOKEN, "");
	}
	check("[" STATIC("Origin", "x") "]", MAPPINGS_TOKEN, "");
	check("[" STATIC("origin", "x") "]", MAPPINGS_ORIGIN,
	    "delivery attribute 'origin': " IN_USE);
	check("[{}]", 0, "a delivery attribute has no name");
	check("[1]", 0, "a delivery attribute has no name");
	check("[{\"name\":1}]", 0, "a delivery attribute has no name");
	check("[" STATIC("a", "") "," DYNAMIC("A", "id") "]", 0,
	    "delivery attribute 'A': is there twice");
}

static void
credentials(void)
{
	check("[" SECRET("authorization", "x") "]", 0, "");
	check("[" SECRET("Authorization", "x") "]", MAPPINGS_TOKEN,
	    "delivery attribute "
	    "'Authorization': the delivery has a credential of its own");
	check("[" DYNAMIC("Authorization", "id") "]", 0,
	    "delivery attribute 'Authorization': must be static");
}

static void
values(void)
{
	static char big[8192];

	check("null", 0, "");
	check("[]", 0, "");
	check("{}", 0, "delivery attributes must be an array");
	check("[{\"name\":\"a\",\"type\":\"Static\"}]", 0,
	    "delivery attribute 'a': a static one needs a value");
	check("[{\"name\":\"a\",\"type\":\"Static\",\"properties\":"
	    "{\"value\":5}}]", 0,
	    "delivery attribute 'a': a static one needs a value");
	check("[{\"name\":\"a\",\"type\":\"Dynamic\"}]", 0,
	    "delivery attribute 'a': a dynamic one needs a sourceField");
	check("[" DYNAMIC("a", "") "]", 0,
	    "delivery attribute 'a': a dynamic one needs a sourceField");
	check("[" DYNAMIC("a", "\\u0000") "]", 0,
	    "delivery attribute 'a': has control characters");
	check("[" STATIC("a", "\\r\\nX: y") "]", 0,
	    "delivery attribute 'a': has control characters");
	check("[" STATIC("a", "\\u0000") "]", 0,
	    "delivery attribute 'a': has control characters");
	check("[" STATIC("a", "\\u007f") "]", 0,
	    "delivery attribute 'a': has control characters");
	check("[" STATIC("a", "\\u0085") "]", 0,
	    "delivery attribute 'a': has control characters");
	check("[" STATIC("a", "\\u00a0\\u20ac") "]", 0, "");
	snprintf(big, sizeof(big), "[" STATIC("a", "%04096d") "]", 1);
	check(big, 0, "");
	snprintf(big, sizeof(big), "[" STATIC("a", "%04097d") "]", 1);
	check(big, 0, "delivery attribute 'a': is over 4096 bytes");
}

static void
ten_at_most(void)
{
	struct buf b = { 0 };

	buf_str(&b, "[" STATIC("a0", "x"));
	for (int i = 1; i < MAPPINGS_MAX; i++)
		buf_printf(&b, "," STATIC("a%d", "x"), i);
	buf_add(&b, "]", 2);
	check(buf_data(&b), 0, "");
	b.len -= 2;
	buf_add(&b, "," STATIC("b", "x") "]", sizeof("," STATIC("b", "x") "]"));
	check(buf_data(&b), 0, "more than 10 delivery attributes");
	buf_free(&b);
}

static int
add(const char *name, const char *value, bool secret, void *arg)
{
	buf_printf(arg, "%s%s=%s|", secret ? "*" : "", name, value);
	return 0;
}

static int
stop(const char *name, const char *value, bool secret, void *arg)
{
	(void)name;
	(void)value;
	(void)secret;
	return ++*(int *)arg == 2 ? 5 : 0;
}

static void
each(const char *text, const struct event *ev, bool dynamic, const char *want)
{
	jv v = list(text);
	struct mappings *m = mappings_new(v, NULL);
	struct buf b = { 0 };

	jv_free(v);
	CHECK(m != NULL && mappings_dynamic(m) == dynamic);
	CHECK(mappings_each(m, ev, add, &b) == 0);
	buf_add(&b, "", 1);
	if (strcmp(buf_data(&b), want) != 0)
		printf("# %s\n", buf_data(&b));
	CHECK(strcmp(buf_data(&b), want) == 0);
	buf_free(&b);
	mappings_free(m);
}

static void
headers_of_an_event(void)
{
	static const char all[] = "[" STATIC("one", " x y ") ","
	    DYNAMIC("two", "subject") "," SECRET("three", "s3cret") ","
	    DYNAMIC("four", "data.n") "," DYNAMIC("five", "data.cr") ","
	    DYNAMIC("six", "data.none") "," DYNAMIC("seven", "data.long") ","
	    DYNAMIC("eight", "data.blank") "," DYNAMIC("nine", "data.o") ","
	    DYNAMIC("ten", "data.nul") "]";
	struct event ev = { .id = 0 };
	struct mappings *m;
	char text[8192];
	jv v = list(all);
	int n = 0;

	snprintf(text, sizeof(text), "{\"specversion\":\"1.0\",\"id\":\"1\","
	    "\"source\":\"/s\",\"type\":\"t\",\"subject\":\" \xc3\xa4 b  \","
	    "\"data\":{\"n\":-5,\"cr\":\"a\\r\\nX: y\",\"long\":\"%04097d\","
	    "\"blank\":\"  \",\"o\":{},\"nul\":\"a\\u0000b\"}}", 1);
	CHECK(event_parse(&ev, text, strlen(text), NULL) == 0);
	each(all, &ev, true,
	    "one=x y|two=\xc3\xa4 b|*three=s3cret|four=-5|eight=|");
	each(all, NULL, true, "one=x y|*three=s3cret|");
	each("[" STATIC("a", "b") "]", &ev, false, "a=b|");
	each("null", &ev, false, "");
	m = mappings_new(v, NULL);
	CHECK(mappings_each(m, &ev, stop, &n) == 5 && n == 2);
	mappings_free(m);
	mappings_free(NULL);
	jv_free(v);
	event_free(&ev);
}

static void
wrong_ones_are_refused(void)
{
	jv v = list("[" STATIC("Host", "x") "]");
	struct fault f = { .text = "" };

	CHECK(mappings_new(v, &f) == NULL && f.code == FAULT_BAD_REQUEST);
	jv_free(v);
}

int
main(void)
{
	RUN(names);
	RUN(credentials);
	RUN(values);
	RUN(ten_at_most);
	RUN(headers_of_an_event);
	RUN(wrong_ones_are_refused);
	DONE();
}
