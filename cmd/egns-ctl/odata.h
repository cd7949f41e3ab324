#ifndef ODATA_H
#define ODATA_H

#include <stdbool.h>

#include "fault.h"

/*
 * list --filter: OData over the one property `name`:
 *	contains(name, 'a')  name eq 'a'  name ne 'a'  and  or  not  ( )
 * Compared without case.
 */
struct odata;

/* NULL and a fault. The text must outlive the filter. */
struct odata *odata_compile(const char *, struct fault *);
void odata_free(struct odata *);
bool odata_matches(const struct odata *, const char *name);

#endif
