#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "fault.h"

/*
 * A strict, quick look over JSON text that keeps the text as it is: RFC 8259,
 * valid UTF-8, no unpaired surrogates in escapes, no NUL (nor \u0000 in names),
 * no deeper than JSON_DEPTH. It serves everything that comes from outside; jq.h
 * is for our own data and for expressions.
 */

/* jq 1.6 reads 256 levels; we put an event into a line and an answer. */
#define JSON_DEPTH 128

enum json_type {
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/*
 * The tokens of a text stand in order. An object's children are name, value,
 * name, value...; `next` is the index of the token behind a whole value, so
 * the children of token t are t+1, then tok[t+1].next, ... below tok[t].next.
 */
struct json_token {
	uint32_t start; /* of the value in the text; a string's quote */
	uint32_t end;   /* behind it */
	uint32_t next;
	uint8_t type;
	bool escaped; /* a string with a backslash in it */
};

/* All zeros to begin with; used again for text after text. */
struct json {
	const char *text;
	struct json_token *tok; /* tok[0] is the whole value */
	uint32_t ntok, cap;
};

/*
 * Scan one value with nothing but white space around it. The text must outlive
 * the use of the tokens; at most UINT32_MAX bytes. 0, or -1 with a fault
 * (BadRequest and where, or InternalServerError without memory).
 */
int json_scan(struct json *, const char *text, size_t, struct fault *);

/*
 * The same of the value that a text begins with, whatever is behind it. *used is
 * the first byte behind it; of one that is none, how far it was looked at.
 */
int json_scan_first(struct json *, const char *text, size_t, size_t *used,
    struct fault *);

/* Are arrays and objects in no more than so many levels (to JSON_DEPTH)? */
bool json_is_within(const struct json *, uint32_t levels);

/* Give back what a rare huge text took; keep what is usual. */
void json_trim(struct json *);
void json_free(struct json *);

/*
 * The value of a member of object token `obj`: its token, or 0 when there is
 * none (0 is never a member). Names compare unescaped; the last of equal names.
 */
uint32_t json_member(const struct json *, uint32_t obj, const char *name,
    size_t);

/* A token is this very string, unescaped. */
bool json_is(const struct json *, uint32_t, const char *, size_t);

/* Add a string's unescaped bytes to a buffer; the token is a JSON_STRING. */
void json_string(const struct json *, uint32_t, struct buf *);

/*
 * Walk the characters of a token without a copy: those of a string unescaped,
 * those of any other value as they stand in the text.
 */
struct json_chars {
	const char *p, *end;
};
void json_chars(const struct json *, uint32_t, struct json_chars *);

/* The next code point, or -1 behind the last. */
int32_t json_next(struct json_chars *);

/*
 * A JSON_NUMBER as a double; as a whole number: false when it is written with a
 * fraction or an exponent, or does not fit.
 */
double json_double(const struct json *, uint32_t);
bool json_int64(const struct json *, uint32_t, int64_t *);

#endif
