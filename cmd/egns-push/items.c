/* the events that a pusher holds */
#include "pushing.h"

#include <stdlib.h>

void
items_put(struct pusher *p, struct item *item)
{
	struct items *list = &p->ready;

	item->next = NULL;
	*list->last = item;
	list->last = &item->next;
	list->n++;
	list->bytes += item->len;
}

struct item *
items_take(struct pusher *p, struct item **link)
{
	struct items *list = &p->ready;
	struct item *item = *link;

	if ((*link = item->next) == NULL)
		list->last = link;
	item->next = NULL;
	list->n--;
	list->bytes -= item->len;
	return item;
}

void
items_free(struct pusher *p, struct item *item)
{
	p->common->bytes -= item->len;
	free(item);
}

void
items_settle(struct pusher *p, const struct settlement *how, struct item *item)
{
	ledger_settle(p->ledger, how, item->token);
	items_free(p, item);
}

/* No attempt was made for these: topicd is to keep them. */
void
items_give_back(struct pusher *p, struct item *item)
{
	static const struct settlement how = { .how = SETTLE_GIVE_BACK };

	if (p->subjects != NULL)
		p->rewind = true;
	items_settle(p, &how, item);
}

void
items_give_back_all(struct pusher *p)
{
	while (p->ready.first != NULL)
		items_give_back(p, items_take(p, &p->ready.first));
}
