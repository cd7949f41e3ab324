/*
 * A text as a topic template, and behind NULs a name and attributes. Of one
 * that is taken, the pieces lie within the text, one behind the other, and none
 * of them reaches into another level. What it becomes for the client is a filter
 * that it covers with '+' for each level with a variable.
 */
#include <stdbool.h>
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

static void
add_widest(const struct template *t, struct buf *b)
{
	for (size_t i = 0; i < t->nlevels; i++) {
		const struct template_level *l = &t->levels[i];
		bool variable = l->type == TEMPLATE_ONE;

		for (size_t j = l->piece; j < l->piece + l->npieces; j++)
			variable |= t->pieces[j].type != TEMPLATE_TEXT;
		buf_str(b, i > 0 ? "/" : "");
		if (variable || l->type == TEMPLATE_REST)
			buf_str(b, variable ? "+" : "#");
		for (size_t j = l->piece; !variable &&
		    j < l->piece + l->npieces; j++)
			buf_add(b, t->pieces[j].text, t->pieces[j].len);
	}
}

static void
expand(const struct template *t, const char *name, size_t name_len,
    const char *text, size_t len)
{
	const struct template_piece *blame = NULL;
	struct buf filter = { 0 }, widest = { 0 };
	struct json js = { 0 };
	uint32_t attributes = 0;

	if (json_scan(&js, text, len, NULL) == 0 &&
	    js.tok[0].type == JSON_OBJECT)
		attributes = json_member(&js, 0, "a", 1);
	if (attributes != 0 && js.tok[attributes].type != JSON_OBJECT)
		attributes = 0;
	if (template_expand(t, name, name_len, &js, attributes, &filter,
	    &blame) == -1) {
		if (blame < t->pieces || blame >= t->pieces + t->npieces ||
		    filter.len != 0)
			abort();
	} else {
		add_widest(t, &widest);
		if (topic_bad_filter(buf_data(&filter), filter.len) != NULL ||
		    buf_data(&filter)[0] == '$' ||
		    !topic_covers(buf_data(&widest), widest.len,
		    buf_data(&filter), filter.len))
			abort();
	}
	buf_free(&filter);
	buf_free(&widest);
	json_free(&js);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct template t;
	char *text = malloc(size + 1);
	const char *name, *rest, *end;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (template_parse(&t, text, NULL) == 0) {
		check(&t, text);
		end = text + size;
		name = text + strlen(text);
		name += name < end;
		rest = name + strlen(name);
		expand(&t, name, strlen(name), rest + (rest < end),
		    (size_t)(end - rest) - (rest < end));
	}
	free(text);
	return 0;
}
