#ifndef EGNS_JQ_H
#define EGNS_JQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jv.h>

#include "buf.h"
#include "fault.h"

/*
 * libjq for our own data: registry resources and expressions of people. As
 * everywhere with jv: a jv argument is consumed, a jv result is the caller's.
 */

/* libjq has functions of these names, and calls them itself. */
#define jq_parse egns_jq_parse
#define jq_compile egns_jq_compile

/* Strict (json.h, and no name twice in any object), or invalid and a fault. */
jv jq_parse(const char *, size_t, struct fault *);

/* Compact text, or indented; appended to a buffer. */
void jq_print(struct buf *, jv, bool indent);

/* A member by path of names, ".", e.g. jq_get(v, "properties.state"); jv null
 * for what is not there. v is NOT consumed. */
jv jq_get(jv v, const char *path);

/* The object with a value, which is consumed, too, at such a path. */
jv jq_set(jv object, const char *path, jv value);

/* The C string of a string member; NULL when it is none. Valid while v is. */
const char *jq_str(jv v, const char *path);

/* A number (consumed) without its fraction; `otherwise` when it is none. */
int64_t jq_int(jv, int64_t otherwise);

/* The object (consumed) with a number as a member. */
jv jq_set_number(jv object, const char *name, uint64_t);

/*
 * Compile an expression: NULL and a fault that carries jq's own words. A
 * program is used again for value after value. It cannot import files.
 */
struct jq_program;
struct jq_program *jq_compile(const char *expression, struct fault *);
void jq_free(struct jq_program *);

/* Call fn with each output (which fn consumes). 0, or -1 and a fault. */
int jq_run(struct jq_program *, jv input, void (*fn)(jv, void *), void *,
    struct fault *);

#endif
