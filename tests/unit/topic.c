#include "topic.h"

#include <stdbool.h>
#include <string.h>

#include "buf.h"
#include "check.h"

#define NAME "${client.authenticationName}"
#define LEVEL16 "/////" "/////" "/////" /* 15 slashes: 16 levels */

/* "a/<name>-x/+/#", or "! " and the words of the fault. */
static void
show(struct buf *b, const struct topic_template *t)
{
	for (size_t i = 0; i < t->nlevels; i++) {
		const struct topic_level *l = &t->levels[i];

		buf_str(b, i == 0 ? "" : "/");
		if (l->type != TOPIC_PIECED)
			buf_str(b, l->type == TOPIC_ONE ? "+" : "#");
		for (size_t j = l->piece; j < l->piece + l->npieces; j++) {
			const struct topic_piece *p = &t->pieces[j];

			if (p->type == TOPIC_NAME)
				buf_str(b, "<name>");
			else
				buf_printf(b, p->type == TOPIC_TEXT ?
				    "%.*s" : "<%.*s>", (int)p->len, p->text);
		}
	}
	buf_add(b, "", 1);
}

static void
try(const char *text, const char *want)
{
	struct topic_template t;
	struct fault f = { 0 };
	struct buf b = { 0 };
	bool good;

	if (topic_template_parse(&t, text, &f) == -1) {
		buf_printf(&b, "! %s", f.text);
		buf_add(&b, "", 1);
		good = want[0] == '!' && strstr(f.text, want + 2) != NULL;
	} else {
		show(&b, &t);
		good = strcmp(buf_data(&b), want) == 0;
	}
	if (!good)
		printf("# %s: %s\n", text, buf_data(&b));
	CHECK(good);
	buf_free(&b);
}

static void
filters_are_those_of_mqtt(void)
{
	try("a", "a");
	try("a/b/c", "a/b/c");
	try("/", "/");
	try("/a//b/", "/a//b/");
	try("#", "#");
	try("+", "+");
	try("+/+/#", "+/+/#");
	try("a b/\xc3\xa9", "a b/\xc3\xa9");
	try("a/#/b", "! '#' is the last level at '#/b', byte 3");
	try("#/", "! '#' is the last level");
	try("a#", "! a wildcard is a level of its own at '#', byte 2");
	try("a/b+/c", "! a wildcard is a level of its own at '+/c', byte 4");
	try("+a", "! a wildcard is a level of its own");
	try("++", "! a wildcard is a level of its own");
	try("##", "! a wildcard is a level of its own");
	try("#+", "! a wildcard is a level of its own");
}

static void
variables_are_levels_or_parts_of_them(void)
{
	try("devices/" NAME "/#", "devices/<name>/#");
	try(NAME, "<name>");
	try("a-" NAME "-b", "a-<name>-b");
	try(NAME NAME, "<name><name>");
	try("x/${client.attributes.hall_3}", "x/<hall_3>");
	try("x/" NAME "${client.attributes.A}", "x/<name><A>");
	try("${client.authenticationName|.west}/t", "<name>.west/t");
	try("${client.attributes.a|-1}2", "<a>-12");
	try("a|b/}{", "a|b/}{");
	try("a/${dollar}SYS/b${dollar}", "a/$SYS/b$");
}

static void
what_is_no_variable_is_refused(void)
{
	try("a/${client.name}", "! expected at '${client.name}', byte 3");
	try("a/${}", "! expected at '${}'");
	try("a/${", "! expected at '${'");
	try("a/$", "! '$' begins no variable; a literal one is ${dollar}");
	try("a/$b", "! '$' begins no variable");
	try("a/${client.authenticationName", "! '}' expected at its end");
	try("a/${client.authenticationName/b}", "! '}' expected at '/b}'");
	try("a/${client.authenticationNames}", "! '}' expected at 's}'");
	try("a/${CLIENT.authenticationName}", "! expected at '${CLIENT.");
	try("a/${client.attributes.}", "! a name of letters, digits and _");
	try("a/${client.attributes.a-b}", "! '}' expected at '-b}'");
	try("a/${client.attributes.a b}", "! '}' expected at ' b}'");
	try("a/${client.authenticationName|}", "! '|' needs text");
	try("a/${client.authenticationName|b", "! '|' needs text");
	try("a/${client.authenticationName|b/c}", "! at '/c}'");
	try("a/${client.authenticationName|+}", "! at '+}'");
	try("a/${client.authenticationName|" NAME "}", "! at '${client");
	try("a/${client.authenticationName|b|c}", "! at '|c}'");
	try("a/" NAME "+", "! a wildcard is a level of its own");
	try("a/+" NAME, "! a wildcard is a level of its own");
	try("a/#" NAME, "! a wildcard is a level of its own");
	try("${principal.name}", "! is now ${client.authenticationName}");
	try("${principal.attributes.a}", "! or ${client.attributes.KEY}");
}

static void
the_services_topics_are_its_own(void)
{
	try("$share/g/a", "! topics that begin with '$' are reserved");
	try("$SYS/#", "! topics that begin with '$' are reserved");
	try("${dollar}SYS", "! topics that begin with '$' are reserved");
	try("$", "! topics that begin with '$' are reserved");
}

static void
there_are_limits(void)
{
	char text[TOPIC_MAX + 2], want[64];

	try("", "! has 0 bytes; must have 1 to 256");
	memset(text, 'a', sizeof(text));
	text[TOPIC_MAX + 1] = '\0';
	try(text, "! has 257 bytes; must have 1 to 256");
	text[TOPIC_MAX] = '\0';
	try(text, text);
	try(&LEVEL16[1], &LEVEL16[1]);
	try(LEVEL16, "! more than 15 levels");
	/* many pieces */
	strcpy(text, "///////");
	for (int i = 0; i < 24; i++)
		strcat(text, "a${dollar}");
	strcpy(want, "///////");
	for (int i = 0; i < 24; i++)
		strcat(want, "a$");
	try(text, want);
	text[0] = '\0';
	for (int i = 0; i < 10; i++)
		strcat(text, "${client.attributes.a|b}c");
	try(text, "<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc<a>bc");
}

int
main(void)
{
	RUN(filters_are_those_of_mqtt);
	RUN(variables_are_levels_or_parts_of_them);
	RUN(what_is_no_variable_is_refused);
	RUN(the_services_topics_are_its_own);
	RUN(there_are_limits);
	DONE();
}
