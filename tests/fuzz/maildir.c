/*
 * Names of files in a stage: whoever may write there chooses them. A name that
 * is taken is one that we would write, so it prints back to the same text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "maildir.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
same_again(const char *name, const struct maildir_name *m)
{
	const char *host = strchr(strchr(name, '.') + 1, '.') + 1;
	char again[MAILDIR_NAME], mark[40] = "";
	int n;

	if (m->run != 0)
		snprintf(mark, sizeof(mark), ":%016" PRIx64 ".%" PRIu64,
		    m->run, m->first);

	n = snprintf(again, sizeof(again),
	    "%" PRId64 ".M%06" PRId64 "P%" PRIu32 "Q%" PRIu32 ".%.*s,S=%" PRIu64
	    ",N=%" PRIu64 ",C=%08" PRIx32 "%s",
	    m->time / CLOCK_SECOND, m->time % CLOCK_SECOND, m->pid, m->seq,
	    (int)strcspn(host, ","), host, m->bytes, m->lines, m->crc,
	    mark);
	if ((m->run == 0) != (m->first == 0))
		abort();
	if (n < 0 || n >= MAILDIR_NAME || strcmp(again, name) != 0 ||
	    strchr(name, '/') != NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct maildir_name m;
	char *name;

	if ((name = malloc(n + 1)) == NULL)
		return 0;
	if (n > 0)
		memcpy(name, data, n);
	name[n] = '\0';
	if (maildir_parse(name, &m)) {
		same_again(name, &m);
		maildir_whole(&m, name, n);
	}
	free(name);
	return 0;
}
