#ifndef CHOICE_H
#define CHOICE_H

#include "buf.h"
#include "dlq.h"
#include "letter.h"
#include "selection.h"

/*
 * A command that prints dead letters one after the other: those that are
 * selected, or, when there are words, those of them that a word names: the id
 * of an event, or a blob, by "CONTAINER/NAME" or any end of that behind a
 * slash. `format` adds one to the buffer, which is empty. The exit status.
 */
int choice_print(struct options *, char *words[], void (*format)(struct buf *,
    const struct letter *, const struct letter_place *, void *arg), void *arg);

#endif
