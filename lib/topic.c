#include "topic.h"

#include <stdbool.h>
#include <string.h>

#include "quote.h"

#define ALPHABET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define KEY_CHARACTERS ALPHABET "0123456789_"

struct parser {
	struct topic_template *template;
	const char *begin, *p;
	struct fault *fault;
};

static int
refuse(const struct parser *ps, const char *at, const char *why)
{
	char q[QUOTE_MAX];

	if (*at == '\0')
		return fault_set(ps->fault, FAULT_BAD_REQUEST, "%s at its end",
		    why);
	return fault_set(ps->fault, FAULT_BAD_REQUEST,
	    "%s at '%s', byte %td", why, quote(q, at, strnlen(at, 40)),
	    at - ps->begin + 1);
}

static void
add_piece(struct parser *ps, enum topic_piece_type type, const char *text,
    size_t len)
{
	struct topic_template *t = ps->template;

	t->pieces[t->npieces++] = (struct topic_piece){ type, text, len };
	t->levels[t->nlevels - 1].npieces++;
}

/* Is the variable's name here? Then go behind it. */
static bool
take(struct parser *ps, const char *name)
{
	size_t len = strlen(name);

	if (strncmp(ps->p, name, len) != 0)
		return false;
	ps->p += len;
	return true;
}

static int
unknown_variable(const struct parser *ps, const char *at)
{
	if (strncmp(at + 2, "principal.", 10) == 0)
		return refuse(ps, at, "${principal...} is now "
		    "${client.authenticationName} or ${client.attributes.KEY}");
	return refuse(ps, at, "${client.authenticationName}, "
	    "${client.attributes.KEY} or ${dollar} expected");
}

static int
suffix(struct parser *ps)
{
	const char *text = ps->p;
	size_t len = strcspn(text, "/+#${|}");

	if (len == 0 || text[len] != '}')
		return refuse(ps, text + len, "'|' needs text without "
		    "/ + # $ { | up to a '}'");
	add_piece(ps, TOPIC_TEXT, text, len);
	ps->p = text + len;
	return 0;
}

/* "${...}", all of it. */
static int
variable(struct parser *ps)
{
	const char *at = ps->p, *key;

	if (at[1] != '{')
		return refuse(ps, at, "'$' begins no variable; a literal one "
		    "is ${dollar}");
	if (take(ps, "${dollar}")) {
		add_piece(ps, TOPIC_TEXT, at, 1);
		return 0;
	}
	if (take(ps, "${client.authenticationName"))
		add_piece(ps, TOPIC_NAME, at, 0);
	else if (take(ps, "${client.attributes.")) {
		key = ps->p;
		ps->p += strspn(key, KEY_CHARACTERS);
		if (ps->p == key)
			return refuse(ps, key, "a name of letters, digits and "
			    "_ expected");
		add_piece(ps, TOPIC_ATTRIBUTE, key, (size_t)(ps->p - key));
	} else
		return unknown_variable(ps, at);
	if (*ps->p == '|') {
		ps->p++;
		if (suffix(ps) == -1)
			return -1;
	}
	return take(ps, "}") ? 0 : refuse(ps, ps->p, "'}' expected");
}

static int
wildcard(struct parser *ps)
{
	struct topic_template *t = ps->template;
	bool rest = *ps->p == '#';

	/* MQTT-4.7.1-1, MQTT-4.7.1-2 */
	if (t->levels[t->nlevels - 1].npieces != 0 ||
	    (ps->p[1] != '/' && ps->p[1] != '\0'))
		return refuse(ps, ps->p, "a wildcard is a level of its own");
	if (rest && ps->p[1] != '\0')
		return refuse(ps, ps->p, "'#' is the last level");
	t->levels[t->nlevels - 1].type = rest ? TOPIC_REST : TOPIC_ONE;
	ps->p++;
	return 0;
}

static int
level(struct parser *ps)
{
	struct topic_template *t = ps->template;
	size_t len;
	int rc = 0;

	if (t->nlevels == TOPIC_LEVELS)
		return fault_set(ps->fault, FAULT_BAD_REQUEST,
		    "more than %d levels", TOPIC_LEVELS);
	t->levels[t->nlevels++] = (struct topic_level){
		.type = TOPIC_PIECED, .piece = t->npieces
	};
	while (rc == 0 && *ps->p != '\0' && *ps->p != '/') {
		if (*ps->p == '$')
			rc = variable(ps);
		else if (*ps->p == '+' || *ps->p == '#')
			rc = wildcard(ps);
		else {
			len = strcspn(ps->p, "/+#$");
			add_piece(ps, TOPIC_TEXT, ps->p, len);
			ps->p += len;
		}
	}
	return rc;
}

int
topic_template_parse(struct topic_template *t, const char *text,
    struct fault *f)
{
	struct parser ps = { .begin = text, .p = text, .fault = f };
	size_t len = strlen(text);

	t->nlevels = t->npieces = 0;
	ps.template = t;
	if (len == 0 || len > TOPIC_MAX)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "has %zu bytes; must have 1 to %d", len, TOPIC_MAX);
	if ((text[0] == '$' && text[1] != '{') ||
	    strncmp(text, "${dollar}", 9) == 0)
		return fault_set(f, FAULT_BAD_REQUEST,
		    "topics that begin with '$' are reserved");
	while (level(&ps) == 0) {
		if (*ps.p == '\0')
			return 0;
		ps.p++;
	}
	return -1;
}
