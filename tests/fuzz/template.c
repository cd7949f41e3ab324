/*
 * Any text as a topic template. Of one that is taken, the pieces lie within the
 * text, one behind the other, and none of them reaches into another level.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "template.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct template *t, const char *text)
{
	const char *at = text, *end = text + strlen(text);
	size_t pieces = 0;

	if (t->nlevels == 0 || t->nlevels > TOPIC_LEVELS)
		abort();
	for (size_t i = 0; i < t->nlevels; i++) {
		const struct template_level *l = &t->levels[i];

		if (l->piece != pieces ||
		    (l->type != TEMPLATE_PIECED && l->npieces != 0) ||
		    (l->type == TEMPLATE_REST && i != t->nlevels - 1))
			abort();
		pieces += l->npieces;
	}
	if (pieces != t->npieces || pieces > TEMPLATE_PIECES)
		abort();
	for (size_t i = 0; i < pieces; i++) {
		const struct template_piece *p = &t->pieces[i];

		if (p->text < at || p->len > (size_t)(end - p->text) ||
		    (p->len == 0) != (p->type == TEMPLATE_NAME))
			abort();
		for (size_t j = 0; j < p->len; j++)
			if (strchr("/+#", p->text[j]) != NULL)
				abort();
		at = p->text + p->len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct template t;
	char *text = malloc(size + 1);

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (template_parse(&t, text, NULL) == 0)
		check(&t, text);
	free(text);
	return 0;
}
