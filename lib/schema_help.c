/* schema.h: the table, for people */
#include "schema_check.h"

#include <string.h>

void
schema_describe(struct buf *b, const struct schema *m)
{
	static const char *const names[] = {
		[SCHEMA_STRING] = "string", [SCHEMA_INT] = "number",
		[SCHEMA_BOOL] = "true|false", [SCHEMA_ENUM] = "",
		[SCHEMA_TIME] = "time", [SCHEMA_DURATION] = "duration",
		[SCHEMA_ADDRESS] = "HOST:PORT", [SCHEMA_ANY] = "JSON",
		[SCHEMA_OBJECT] = "{...}", [SCHEMA_VARIANT] = "{...}",
		[SCHEMA_ARRAY] = "[...]", [SCHEMA_MAP] = "{NAME:VALUE,...}",
	};
	const char *p = m->values, *from, *to;
	size_t from_len, to_len;

	buf_str(b, names[m->type]);
	for (const char *sep = ""; m->type == SCHEMA_ENUM && p != NULL;) {
		p = check_next_value(p, &from, &from_len, &to, &to_len);
		if (from != to)
			continue;
		buf_printf(b, "%s%.*s", sep, (int)to_len, to);
		sep = "|";
	}
	if (m->type == SCHEMA_INT && m->max != 0)
		buf_printf(b, " %lld..%lld", (long long)m->min,
		    (long long)m->max);
	if (m->dflt != NULL && strcmp(m->dflt, "{}") != 0)
		buf_printf(b, " (%s)", m->dflt);
	if (m->flags & SCHEMA_REQUIRED)
		buf_str(b, ", required");
	if (m->flags & SCHEMA_FIXED)
		buf_str(b, ", fixed after creation");
	if (m->flags & SCHEMA_SECRET)
		buf_str(b, ", not shown");
	if (m->help != NULL)
		buf_printf(b, "; %s", m->help);
	buf_str(b, "\n");
}

static void
help_member(struct buf *b, const struct schema *m, const char *indent)
{
	buf_printf(b, "%s%s: ", indent, m->name);
	schema_describe(b, m);
}

static void
help_members(struct buf *b, const struct schema *list, const char *indent)
{
	for (; list->name != NULL; list++)
		if ((list->flags & (SCHEMA_READONLY | SCHEMA_TOLERATED)) == 0)
			help_member(b, list, indent);
}

void
schema_help(struct buf *b, const struct schema *s)
{
	if (s->type == SCHEMA_ARRAY) {
		buf_str(b, "an array; each element:\n");
		s = s->of;
	}
	if (s->type == SCHEMA_OBJECT)
		help_members(b, s->of, "  ");
	else if (s->type == SCHEMA_VARIANT)
		for (const struct schema *v = s->of; v->name != NULL; v++) {
			buf_printf(b, "  endpointType %s:\n", v->name);
			help_members(b, v->of, "    ");
		}
	else if (s->name != NULL)
		help_member(b, s, "  ");
	else
		buf_printf(b, "  %s\n", check_type_words[s->type]);
}
