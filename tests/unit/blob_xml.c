#include "blob_xml.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "check.h"

#define URL "https://acct1.blob.core.windows.net"

static bool
same(const char *a, const char *b)
{
	if (strcmp(a, b) == 0)
		return true;
	printf("# %s\n# is not %s\n", a, b);
	return false;
}

static struct buf seen;

static void
see(const struct blob_entry *e, void *arg)
{
	CHECK(arg == &seen);
	buf_printf(&seen, "%s %llu %lld %s\n", e->name,
	    (unsigned long long)e->size, (long long)e->modified, e->etag);
}

/* What a list tells, with its marker; or "no list". */
static const char *
listed(const char *text)
{
	char marker[BLOB_MARKER];
	struct fault f = { .text = "" };

	buf_reset(&seen, SIZE_MAX);
	if (blob_xml_list(text, strlen(text), see, &seen, marker, &f) == 0)
		buf_str(&seen, marker);
	else {
		CHECK(f.code == FAULT_UNAVAILABLE);
		buf_reset(&seen, SIZE_MAX);
		buf_str(&seen, "no list");
	}
	buf_add(&seen, "", 1);
	return buf_data(&seen);
}

/* The text with these words where it has an @; good until the third call. */
static const char *
with(const char *text, const char *words)
{
	static struct buf out[2];
	static unsigned turn;
	struct buf *b = &out[turn++ % 2];
	size_t len = strcspn(text, "@");

	buf_reset(b, SIZE_MAX);
	buf_printf(b, "%.*s%s%s%c", (int)len, text, words, text + len + 1,
	    '\0');
	return buf_data(b);
}

#define LIST(blobs) "\xef\xbb\xbf<?xml version=\"1.0\" encoding=\"utf-8\"?>" \
	"<EnumerationResults ServiceEndpoint=\"" URL "/\">" \
	"<Prefix>a</Prefix><MaxResults>2</MaxResults><Blobs>" blobs "</Blobs>" \
	"<NextMarker>2!8/=</NextMarker></EnumerationResults>"
#define BLOB(name) "<Blob><Name" name "</Name><Properties>" \
	"<Creation-Time>Sat, 31 Jan 2026 11:00:00 GMT</Creation-Time>" \
	"<Last-Modified>Sat, 31 Jan 2026 12:00:00 GMT</Last-Modified>" \
	"<Etag>0x8D</Etag><Content-Length>1234</Content-Length>" \
	"<Content-MD5 /></Properties><OrMetadata/></Blob>"
#define TOLD " 1234 1769860800000000 \"0x8D\"\n"

static void
lists(void)
{
	static char longest[BLOB_NAME + 1];

	CHECK(same(listed(LIST(BLOB(">a/b.json") BLOB(">a/c &amp;&lt;&#233;"))),
	    "a/b.json" TOLD "a/c &<\xc3\xa9" TOLD "2!8/="));
	CHECK(same(listed(LIST("")), "2!8/="));
	CHECK(same(listed("<EnumerationResults><Blobs/><NextMarker/>"
	    "</EnumerationResults>"), ""));
	CHECK(same(listed("<EnumerationResults/>"), ""));
	/* what XML cannot say */
	CHECK(same(listed(LIST(BLOB(" Encoded=\"true\">a%01%2fb%25c"))),
	    "a\x01/b%c" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(" Encoded=\"false\">a%41"))),
	    "a%41" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(">a%41"))), "a%41" TOLD "2!8/="));
	/* blanks are of the name */
	CHECK(same(listed(LIST(BLOB("> a\n "))), " a\n " TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB("><![CDATA[<a>]]>"))),
	    "<a>" TOLD "2!8/="));
	/* little is said */
	CHECK(same(listed(LIST("<Blob><Name>a</Name></Blob>")),
	    "a 0 0 \n2!8/="));
	CHECK(same(listed(LIST("<Blob><Name>a</Name><Properties>"
	    "<Etag>\"0x8D\"</Etag><Content-Length>-1</Content-Length>"
	    "<Last-Modified>yesterday</Last-Modified></Properties></Blob>")),
	    "a 0 0 \"0x8D\"\n2!8/="));
	/* the next one has nothing of the last */
	CHECK(same(listed(LIST(BLOB(">a") "<Blob><Name>b</Name></Blob>"
	    "<Blob><Properties/></Blob>")), "a" TOLD "b 0 0 \n2!8/="));
	/* an account with a hierarchy */
	CHECK(same(listed(LIST("<Blob><Name>a</Name><Properties><ResourceType>"
	    "directory</ResourceType></Properties></Blob>" BLOB(">a/b"))),
	    "a/b" TOLD "2!8/="));
	memset(longest, 'x', BLOB_NAME);
	CHECK(same(listed(with(LIST(BLOB(">@")), longest)), with("@" TOLD
	    "2!8/=", longest)));
}

static void
names_that_are_none(void)
{
	static char name[8192];

	CHECK(same(listed(LIST(BLOB(">") BLOB(">a"))), "a" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(" Encoded=\"true\">a%0") BLOB(">a"))),
	    "a" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(" Encoded=\"true\">a%") BLOB(">a"))),
	    "a" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(" Encoded=\"true\">a%zz") BLOB(">a"))),
	    "a" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(" Encoded=\"true\">a%00b") BLOB(">a"))),
	    "a" TOLD "2!8/="));
	CHECK(same(listed(LIST(BLOB(" Encoded=\"true\">a%ff") BLOB(">a"))),
	    "a" TOLD "2!8/="));
	for (size_t len = BLOB_NAME + 1; len < sizeof(name); len += 3000) {
		memset(name, 'x', len);
		name[len] = '\0';
		CHECK(same(listed(with(LIST(BLOB(">@") BLOB(">a")), name)),
		    "a" TOLD "2!8/="));
	}
}

#define LOL "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b " \
	"\"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]>"

static void
hostile_lists(void)
{
	static const char *const rows[] = {
		"",
		"nonsense",
		"<html><body>log in, please</body></html>",
		"<Error><Code>x</Code></Error>",
		"<EnumerationResults>",
		"<EnumerationResults><Blobs><Blob><Name>a</Name></Blob>",
		LIST(BLOB(">a")) "more",
		LIST(BLOB(">a\x01")),
		LIST(BLOB(">\xff")),
		LIST(BLOB(">&b;")),
		LOL "<EnumerationResults/>",
		LOL LIST(""),
		"<!DOCTYPE x SYSTEM \"file:///etc/passwd\">"
		    "<EnumerationResults/>",
		"<!DOCTYPE EnumerationResults><EnumerationResults/>",
	};
	static char deep[1 << 20];
	static const char marked[] = "<EnumerationResults><NextMarker>@"
	    "</NextMarker></EnumerationResults>";

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(listed(rows[i]), "no list") != 0)
			printf("# row %zu\n", i);
		CHECK(same(listed(rows[i]), "no list"));
	}
	for (size_t i = 0; i + 3 < sizeof(deep); i += 3)
		memcpy(deep + i, "<a>", 4);
	CHECK(same(listed(deep), "no list"));
	memset(deep, 'a', BLOB_MARKER);
	deep[BLOB_MARKER] = '\0';
	CHECK(same(listed(with(marked, deep)), "no list"));
	CHECK(same(listed(with(marked, deep + 1)), deep + 1));
	deep[300] = '\0';
	CHECK(same(listed(with("<EnumerationResults><@/></EnumerationResults>",
	    deep)), "no list"));
}

static void
errors(void)
{
	static const struct {
		const char *text, *code, *message;
	} rows[] = {
		{ "\xef\xbb\xbf<?xml version=\"1.0\"?><Error><Code>ServerBusy"
		    "</Code><Message>The server is busy.\nRequestId:1\nTime:2"
		    "</Message></Error>", "ServerBusy", "The server is busy." },
		{ "<Error><Code>a</Code><Message>b</Message>", "a", "b" },
		{ "<Error><Code>a</Code><Mess", "a", "" },
		{ "<html><Code>a</Code></html>", "", "" },
		{ "", "", "" },
		{ LOL "<Error><Code>&b;</Code></Error>", "", "" },
	};
	struct blob_error e;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		blob_xml_error(rows[i].text, strlen(rows[i].text), &e);
		CHECK(same(e.code, rows[i].code));
		CHECK(same(e.message, rows[i].message));
	}
}


int
main(void)
{
	RUN(lists);
	RUN(names_that_are_none);
	RUN(hostile_lists);
	RUN(errors);
	DONE();
}
