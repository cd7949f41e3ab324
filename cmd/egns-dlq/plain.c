/* plain: text of strangers, for eyes */
#include "plain.h"

#include <stdbool.h>
#include <string.h>

#include "quote.h"

#define PIECE ((QUOTE_MAX - 1) / 4) /* bytes of which \xNN fit into a quote */

void
plain_text(struct buf *b, const char *s, size_t n)
{
	char q[QUOTE_MAX];
	size_t len;

	for (; n > 0; s += len, n -= len) {
		len = n < PIECE ? n : PIECE;
		/* between characters */
		while (len < n && len > PIECE - 3 && (s[len] & 0xc0) == 0x80)
			len--;
		buf_str(b, quote(q, s, len));
	}
}

void
plain_json(struct buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i, from = 0;

	for (i = 0; i < n; i++) {
		if (p[i] >= ' ' && p[i] != 0x7f &&
		    (p[i] != 0xc2 || n - i < 2 || p[i + 1] >= 0xa0))
			continue;
		buf_add(b, s + from, i - from);
		if (p[i] < ' ')
			buf_str(b, " ");
		else if (p[i] == 0x7f)
			buf_str(b, "\\u007f");
		else
			buf_printf(b, "\\u%04x", p[++i]);
		from = i + 1;
	}
	buf_add(b, s + from, n - from);
}

static void
scalar(struct buf *b, const struct json *j, uint32_t t)
{
	plain_json(b, j->text + j->tok[t].start,
	    j->tok[t].end - j->tok[t].start);
}

static void
new_line(struct buf *b, unsigned indent)
{
	buf_printf(b, "\n%*s", (int)indent, "");
}

void
plain_value(struct buf *b, const struct json *j, uint32_t t, unsigned indent)
{
	bool object = j->tok[t].type == JSON_OBJECT;
	const char *sep = "";
	uint32_t i;

	if ((!object && j->tok[t].type != JSON_ARRAY) ||
	    j->tok[t].next == t + 1) {
		scalar(b, j, t);
		return;
	}
	buf_str(b, object ? "{" : "[");
	for (i = t + 1; i < j->tok[t].next; i = j->tok[i].next) {
		buf_str(b, sep);
		new_line(b, indent + 2);
		if (object) {
			scalar(b, j, i);
			buf_str(b, ": ");
			i = j->tok[i].next;
		}
		plain_value(b, j, i, indent + 2);
		sep = ",";
	}
	new_line(b, indent);
	buf_str(b, object ? "}" : "]");
}
