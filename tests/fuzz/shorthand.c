/*
 * Any text as the value of a flag, for properties of every type, and as a path
 * to set and to remove. What comes out must be JSON that libjq can print.
 */
#include <stdlib.h>
#include <string.h>

#include "query.h"
#include "shorthand.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
use(jv v)
{
	if (jv_is_valid(v))
		v = jv_dump_string(v, 0);
	jv_free(v);
}

static void
every_property(struct shorthand *sh, const struct schema_noun *noun,
    const char *text)
{
	for (const struct schema *m = noun->self.of; m->name != NULL; m++) {
		use(shorthand_value(sh, m, text));
		use(shorthand_argument(sh, m, jv_invalid(), text));
	}
	use(shorthand_set(sh, &noun->self, jv_object(), text));
	use(shorthand_add(sh, &noun->self, jv_object(), text, text));
	use(shorthand_remove(sh, &noun->self, jv_object(), text));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shorthand sh = { .fault = NULL };
	struct buf program = { 0 };
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	/* files are not what is tried here */
	if (strchr(text, '@') == NULL)
		for (int i = 0; i < SCHEMA_KINDS; i++)
			every_property(&sh, &schema_nouns[i], text);
	query_translate(&program, text, NULL);
	buf_free(&program);
	free(text);
	return 0;
}
