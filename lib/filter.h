#ifndef FILTER_H
#define FILTER_H

#include <stdbool.h>

#include <jv.h>

#include "event.h"
#include "fault.h"

/*
 * A subscription's filtersConfiguration: includedEventTypes and filters of 19
 * operators, compiled once, matched against tokens of an event without
 * allocating. The rules are in egns-events(7).
 */
#define FILTER_MAX 25          /* filters of a subscription */
#define FILTER_OPERANDS 25     /* operands of all of them */
#define FILTER_OPERAND_MAX 512 /* characters of a string operand */

struct filter;

/*
 * Compile (config is consumed; null or invalid is "all events"). NULL and a
 * fault that names the member, e.g. filters[2].values[0].
 */
struct filter *filter_compile(jv config, struct fault *);
void filter_free(struct filter *);
bool filter_matches(const struct filter *, const struct event *);

#endif
