#include "blob_xml.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <curl/curl.h>
#include <expat.h>

#include "clock.h"
#include "hex.h"
#include "num.h"
#include "utf8.h"

#define OPEN_LEN 256 /* bytes of the names of elements that are open */
/* Of the text of one: a marker, or a name, each byte as %XX. */
#define TEXT_LEN 4200
_Static_assert(TEXT_LEN > BLOB_MARKER && TEXT_LEN > 3 * BLOB_NAME, "both fit");

struct reader {
	XML_Parser parser;
	bool bad;            /* it is none that the service writes */
	char path[OPEN_LEN]; /* "EnumerationResults/Blobs/Blob/Name" */
	size_t path_len;
	char text[TEXT_LEN]; /* of the element that is open */
	size_t len;
	bool too_long, encoded;
	void (*close)(struct reader *); /* an element is whole */
	/* of a list */
	bool is_list;
	char name[BLOB_NAME + 1], etag[BLOB_ETAG];
	struct blob_entry entry; /* its name is NULL: not to be told of */
	bool directory;
	char *marker;
	void (*each)(const struct blob_entry *, void *);
	void *arg;
	/* of an error */
	struct blob_error *error;
};

static bool
is_at(const struct reader *r, const char *path)
{
	return strcmp(r->path, path) == 0;
}

static void
stop(struct reader *r)
{
	r->bad = true;
	XML_StopParser(r->parser, XML_FALSE);
}

static void XMLCALL
on_open(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reader *r = arg;
	size_t len = strlen(name);

	if (len + 1 >= sizeof(r->path) - r->path_len) {
		stop(r);
		return;
	}
	if (r->path_len > 0)
		r->path[r->path_len++] = '/';
	memcpy(r->path + r->path_len, name, len + 1);
	r->path_len += len;
	r->len = 0;
	r->too_long = r->encoded = false;
	for (; *attributes != NULL; attributes += 2)
		if (strcmp(attributes[0], "Encoded") == 0)
			r->encoded = strcmp(attributes[1], "true") == 0;
	if (is_at(r, "EnumerationResults/Blobs/Blob")) {
		r->entry = (struct blob_entry){ .etag = "" };
		r->directory = false;
	}
}

static void XMLCALL
on_close(void *arg, const XML_Char *name)
{
	struct reader *r = arg;
	char *slash;

	(void)name;
	r->text[r->len] = '\0';
	r->close(r);
	slash = strrchr(r->path, '/');
	r->path_len = slash == NULL ? 0 : (size_t)(slash - r->path);
	r->path[r->path_len] = '\0';
	r->len = 0;
	r->too_long = false;
}

static void XMLCALL
on_text(void *arg, const XML_Char *text, int n)
{
	struct reader *r = arg;

	if ((size_t)n > sizeof(r->text) - 1 - r->len) {
		r->too_long = true;
		return;
	}
	memcpy(r->text + r->len, text, (size_t)n);
	r->len += (size_t)n;
}

static void XMLCALL
on_doctype(void *arg, const XML_Char *name, const XML_Char *system,
    const XML_Char *public, int internal)
{
	(void)name, (void)system, (void)public, (void)internal;
	stop(arg);
}

/* -1: it is no XML, or none that the service writes. */
static int
read_xml(struct reader *r, const char *text, size_t len)
{
	enum XML_Status status = XML_STATUS_ERROR;

	/* whatever it declares: a byte order mark is no harm */
	if ((r->parser = XML_ParserCreate("UTF-8")) == NULL)
		return -1;
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_open, on_close);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (len <= INT32_MAX)
		status = XML_Parse(r->parser, text, (int)len, XML_TRUE);
	XML_ParserFree(r->parser);
	return status == XML_STATUS_OK && !r->bad ? 0 : -1;
}

/* ---- a list ---- */

/* In its place; false: it is not percent-encoded. */
static bool
decode(char *text, size_t *len)
{
	size_t n = 0;
	int code;

	for (size_t i = 0; i < *len; i++) {
		text[n] = text[i];
		if (text[i] == '%') {
			/* a NUL is behind the last */
			if ((code = hex_byte(text + i + 1)) == -1)
				return false;
			text[n] = (char)code;
			i += 2;
		}
		n++;
	}
	text[n] = '\0';
	*len = n;
	return true;
}

static void
take_name(struct reader *r)
{
	size_t len = r->len;

	if (r->too_long || (r->encoded && !decode(r->text, &len)) ||
	    len == 0 || len > BLOB_NAME || strlen(r->text) != len ||
	    !utf8_text(r->text, len))
		return;
	memcpy(r->name, r->text, len + 1);
	r->entry.name = r->name;
}

/* As HTTP has it, in quotes, which a list leaves out. */
static void
take_etag(struct reader *r)
{
	size_t quotes = r->text[0] == '"' ? 0 : 1;

	if (r->len == 0 || r->len + 2 * quotes >= sizeof(r->etag))
		return;
	r->etag[0] = r->etag[r->len + quotes] = '"';
	memcpy(r->etag + quotes, r->text, r->len);
	r->etag[r->len + 2 * quotes] = '\0';
	r->entry.etag = r->etag;
}

static void
take_property(struct reader *r, const char *name)
{
	int64_t n;
	time_t t;

	if (strcmp(name, "Content-Length") == 0) {
		if (num_parse(name, r->text, 0, INT64_MAX, &n, NULL) == 0)
			r->entry.size = (uint64_t)n;
	} else if (strcmp(name, "Last-Modified") == 0) {
		t = curl_getdate(r->text, NULL);
		if (t > 0 && t < INT64_MAX / CLOCK_SECOND)
			r->entry.modified = t * CLOCK_SECOND;
	} else if (strcmp(name, "Etag") == 0) {
		take_etag(r);
	} else if (strcmp(name, "ResourceType") == 0) {
		/* an account with a hierarchy lists these, too */
		r->directory = strcmp(r->text, "directory") == 0;
	}
}

static void
close_list(struct reader *r)
{
	static const char property[] =
	    "EnumerationResults/Blobs/Blob/Properties/";

	if (is_at(r, "EnumerationResults")) {
		r->is_list = true;
	} else if (is_at(r, "EnumerationResults/NextMarker")) {
		if (r->too_long || r->len >= BLOB_MARKER)
			stop(r);
		else
			memcpy(r->marker, r->text, r->len + 1);
	} else if (is_at(r, "EnumerationResults/Blobs/Blob/Name")) {
		take_name(r);
	} else if (is_at(r, "EnumerationResults/Blobs/Blob")) {
		if (r->entry.name != NULL && !r->directory)
			r->each(&r->entry, r->arg);
	} else if (strncmp(r->path, property, sizeof(property) - 1) == 0) {
		take_property(r, r->path + sizeof(property) - 1);
	}
}

int
blob_xml_list(const char *text, size_t len,
    void (*each)(const struct blob_entry *, void *), void *arg,
    char marker[BLOB_MARKER], struct fault *f)
{
	struct reader r = { .close = close_list, .marker = marker,
		.each = each, .arg = arg };

	marker[0] = '\0';
	if (read_xml(&r, text, len) == 0 && r.is_list)
		return 0;
	return fault_set(f, FAULT_UNAVAILABLE,
	    "the answer is no list of blobs, or not a whole one");
}

/* ---- an error ---- */

static void
close_error(struct reader *r)
{
	struct blob_error *e = r->error;

	if (is_at(r, "Error/Code") && r->len < sizeof(e->code))
		memcpy(e->code, r->text, r->len + 1);
	else if (is_at(r, "Error/Message"))
		/* the next lines are the request's id and the time */
		snprintf(e->message, sizeof(e->message), "%.*s",
		    (int)strcspn(r->text, "\n"), r->text);
}

void
blob_xml_error(const char *text, size_t len, struct blob_error *e)
{
	struct reader r = { .close = close_error, .error = e };

	*e = (struct blob_error){ .code = "" };
	read_xml(&r, text, len);
}
