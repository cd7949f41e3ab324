/*
 * A text as the query of a client group, and behind NULs a name and attributes.
 * There are words if, and only if, the client is not in the group.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "group.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
evaluate(const struct group *g, const char *name, const char *text, size_t len)
{
	struct buf why = { 0 };
	struct json js = { 0 };
	uint32_t attributes = 0;
	bool in;

	if (json_scan(&js, text, len, NULL) == 0 &&
	    js.tok[0].type == JSON_OBJECT)
		attributes = json_member(&js, 0, "a", 1);
	if (attributes != 0 && js.tok[attributes].type != JSON_OBJECT)
		attributes = 0;
	in = group_holds(g, name, strlen(name), &js, attributes, &why);
	if (in != group_holds(g, name, strlen(name), &js, attributes, NULL) ||
	    in != (why.len == 0))
		abort();
	buf_free(&why);
	json_free(&js);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault f;
	struct group *g;
	char *text = malloc(size + 1);
	const char *name, *rest, *end;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if ((g = group_compile(text, &f)) != NULL) {
		end = text + size;
		name = text + strlen(text);
		name += name < end;
		rest = name + strlen(name);
		evaluate(g, name, rest + (rest < end),
		    (size_t)(end - rest) - (rest < end));
	}
	group_free(g);
	free(text);
	return 0;
}
