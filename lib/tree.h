#ifndef TREE_H
#define TREE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A tree of topic levels, with things at its nodes: subscriptions by filter, or
 * retained messages by name. What a look costs depends on what it finds, not on
 * how much there is: levels are found by hash, and a node that nothing is below
 * any more is gone. Texts are names and filters that topic.h finds nothing bad
 * in; one of more levels is nowhere.
 */
struct tree;
struct tree *tree_new(void); /* NULL without memory */
void tree_free(struct tree *);

/*
 * The place for whatever the caller keeps under a text (a name or a filter): it
 * holds NULL when it is new. NULL without memory. Stays where it is until
 * tree_drop.
 */
void **tree_put(struct tree *, const char *, size_t);
void **tree_get(struct tree *, const char *, size_t); /* NULL: none */
/* Forget a place; its pointer was cleared by the caller. */
void tree_drop(struct tree *, const char *, size_t);

/* Places whose text is a filter that matches a name. `found` leaves the tree
 * as it is. */
void tree_match(struct tree *, const char *name, size_t,
    void (*found)(void *thing, void *arg), void *arg);

/* Places whose text is a name that a filter matches, until found returns
 * false. */
void tree_walk(struct tree *, const char *filter, size_t,
    bool (*found)(void *thing, void *arg), void *arg);

size_t tree_count(const struct tree *); /* of places */
size_t tree_bytes(const struct tree *); /* of memory */

#endif
