#ifndef TABLE_H
#define TABLE_H

#include <jv.h>

#include "buf.h"

/*
 * Results for eyes and for cut(1), added to a buffer; both consume the value.
 * A row is an object (its scalars are the columns) or a list of scalars; a list
 * of rows is a table, a single one a table of one row.
 */
void table_print(struct buf *, jv);

/* No heading, a tab between values, a line per row. */
void table_tsv(struct buf *, jv);

#endif
