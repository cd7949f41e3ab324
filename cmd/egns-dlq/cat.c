/* cat: dead letters for pipes, one on a line */
#include <unistd.h>

#include "choice.h"
#include "plain.h"

struct form {
	bool events;
	bool eyes; /* they see it as it comes */
};

static void
event(struct buf *b, const struct letter *letter, bool eyes)
{
	struct buf text = { 0 };

	if (!eyes) {
		letter_event(letter, b);
		return;
	}
	letter_event(letter, &text);
	plain_json(b, buf_data(&text), text.len);
	b->bad = b->bad || text.bad;
	buf_free(&text);
}

static void
format(struct buf *b, const struct letter *letter,
    const struct letter_place *place, void *arg)
{
	const struct form *form = arg;

	(void)place;
	if (form->events)
		event(b, letter, form->eyes);
	else if (form->eyes)
		plain_json(b, letter->text, letter->len);
	else
		letter_line(letter, b);
	buf_str(b, "\n");
}

int
verb_cat(struct options *opt, char *words[])
{
	struct form form = { opt->events, isatty(STDOUT_FILENO) };

	return choice_print(opt, words, format, &form);
}
