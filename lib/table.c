#include "table.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

static bool
is_list(jv v)
{
	return jv_get_kind(v) == JV_KIND_ARRAY;
}

static bool
is_scalar(jv v)
{
	return !is_list(v) && jv_get_kind(v) != JV_KIND_OBJECT;
}

/* A control character of two bytes: some terminals obey them. The text ends with
 * a NUL. */
static bool
is_c1(const char *p)
{
	return (unsigned char)p[0] == 0xc2 && (unsigned char)p[1] >= 0x80 &&
	    (unsigned char)p[1] < 0xa0;
}

/* A cell (consumed). Whatever would break a line or a column is escaped. */
static void
cell(struct buf *b, jv v)
{
	const char *p;
	jv text;
	int len;

	if (jv_get_kind(v) == JV_KIND_NULL || !jv_is_valid(v)) {
		jv_free(v);
		return;
	}
	if (is_list(v)) {
		buf_printf(b, "%d", jv_array_length(v));
		return;
	}
	if (jv_get_kind(v) == JV_KIND_OBJECT) {
		jv_free(v);
		return;
	}
	text = jv_get_kind(v) == JV_KIND_STRING ? v : jv_dump_string(v, 0);
	p = jv_string_value(text);
	len = jv_string_length_bytes(jv_copy(text));
	for (int i = 0; i < len; i++)
		if (is_c1(p + i)) {
			buf_printf(b, "\\xc2\\x%02x", (unsigned char)p[i + 1]);
			i++;
		} else if (iscntrl((unsigned char)p[i]))
			buf_printf(b, "\\x%02x", (unsigned char)p[i]);
		else
			buf_add(b, p + i, 1);
	jv_free(text);
}

static void
tsv_row(struct buf *b, jv row)
{
	const char *sep = "";

	if (is_list(row)) {
		jv_array_foreach(row, i, item) {
			buf_str(b, sep);
			cell(b, item);
			sep = "\t";
		}
		jv_free(row);
	} else if (jv_get_kind(row) == JV_KIND_OBJECT) {
		jv_object_foreach(row, key, item) {
			buf_str(b, sep);
			cell(b, item);
			jv_free(key);
			sep = "\t";
		}
		jv_free(row);
	} else
		cell(b, row);
	buf_str(b, "\n");
}

void
table_tsv(struct buf *b, jv v)
{
	if (!is_list(v)) {
		if (jv_get_kind(v) == JV_KIND_NULL)
			jv_free(v);
		else
			tsv_row(b, v);
		return;
	}
	jv_array_foreach(v, i, row)
		tsv_row(b, row);
	jv_free(v);
}

/* ---- table ---- */

/* Not worth a column: they are long, and say little that is new. */
static bool
is_noise(const char *name)
{
	return strcmp(name, "id") == 0 || strcmp(name, "type") == 0 ||
	    strcmp(name, "uid") == 0;
}

/* A row as an object of columns. */
static jv
columns(jv row)
{
	jv out = jv_object();

	if (is_scalar(row))
		return jv_object_set(out, jv_string("Result"), row);
	if (is_list(row)) {
		jv_array_foreach(row, i, item)
			out = jv_object_set(out,
			    jv_string_fmt("Column%d", i + 1), item);
		jv_free(row);
		return out;
	}
	jv_object_foreach(row, key, item) {
		const char *name = jv_string_value(key);

		if (is_scalar(item) && !is_noise(name)) {
			out = jv_object_set(out, *name == '\0' ?
			    jv_string("") : jv_string_fmt("%c%s",
			    toupper((unsigned char)*name), name + 1), item);
		} else
			jv_free(item);
		jv_free(key);
	}
	jv_free(row);
	return out;
}

/* Characters that a cell takes on the screen, near enough. */
static size_t
width(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += ((unsigned char)s[i] & 0xc0) != 0x80;
	return n;
}

static size_t
cell_width(jv v)
{
	struct buf b = { 0 };
	size_t n;

	cell(&b, v);
	n = b.len == 0 ? 0 : width(buf_data(&b), b.len);
	buf_free(&b);
	return n;
}

/* All headings, in the order of first appearance -> the column's width. */
static jv
measure(jv rows)
{
	jv widths = jv_object();

	jv_array_foreach(rows, i, row) {
		jv_object_foreach(row, key, item) {
			jv old = jv_object_get(jv_copy(widths), jv_copy(key));
			double w = jv_is_valid(old) ? jv_number_value(old) :
			    (double)jv_string_length_codepoints(jv_copy(key));
			double n = (double)cell_width(item);

			jv_free(old);
			widths = jv_object_set(widths, key,
			    jv_number(n > w ? n : w));
		}
		jv_free(row);
	}
	return widths;
}

/* One line: of headings, of dashes, or of a row's cells. */
static void
line(struct buf *b, jv widths, jv row, char fill)
{
	size_t start, gap = 0, n;

	jv_object_foreach(widths, key, w) {
		for (; gap > 0; gap--)
			buf_str(b, " ");
		n = (size_t)jv_number_value(w);
		start = b->len;
		if (fill == '-')
			for (size_t i = 0; i < n; i++)
				buf_str(b, "-");
		else if (fill == 'h')
			cell(b, jv_copy(key));
		else
			cell(b, jv_object_get(jv_copy(row), jv_copy(key)));
		if (!b->bad)
			gap = n + 2 - width(buf_data(b) + start,
			    b->len - start);
		jv_free(key);
	}
	while (b->len > 0 && buf_data(b)[b->len - 1] == ' ')
		b->len--;
	buf_str(b, "\n");
}

void
table_print(struct buf *b, jv v)
{
	jv rows = jv_array(), widths;

	if (!is_list(v)) {
		if (jv_get_kind(v) == JV_KIND_NULL) {
			jv_free(rows);
			return;
		}
		v = JV_ARRAY(v);
	}
	jv_array_foreach(v, i, row)
		rows = jv_array_append(rows, columns(row));
	jv_free(v);
	widths = measure(rows);
	if (jv_object_length(jv_copy(widths)) > 0) {
		line(b, widths, jv_null(), 'h');
		line(b, widths, jv_null(), '-');
		jv_array_foreach(rows, i, row) {
			line(b, widths, row, 0);
			jv_free(row);
		}
	}
	jv_free(widths);
	jv_free(rows);
}
