/* records on standard input, as if topicd had handed them over */
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "dlq.h"
#include "line.h"
#include "maildir.h"
#include "sorter.h"

#define RECORD_MAX (4 * 1024 * 1024) /* bytes of a line */
#define FILE_BYTES (1024 * 1024)     /* about, of a file */

struct pipe {
	struct spool spool;
	struct sorter_check check;
	struct line_reader in;
	struct buf records;
	uint64_t taken, refused;
};

/* What was read is safe, and on its way. */
static int
hand_over(struct pipe *p)
{
	if (p->records.bad)
		errx(EX_OSERR, "out of memory");
	if (p->records.len > 0 && maildir_write(p->spool.fd, "deadletter",
	    buf_data(&p->records), p->records.len) == -1) {
		warn("deadletter: line %" PRIu64 " and some before it are not "
		    "taken", p->in.number);
		return -1;
	}
	buf_reset(&p->records, 2 * FILE_BYTES);
	return 0;
}

static int
take(struct pipe *p, const char *line, size_t len)
{
	struct fault f;

	if (sorter_check(&p->check, line, len, &f) == -1) {
		warnx("standard input: line %" PRIu64 ": %s", p->in.number,
		    f.text);
		p->refused++;
		return 0;
	}
	buf_add(&p->records, line, len);
	buf_add(&p->records, "\n", 1);
	p->taken++;
	/* who writes slowly wants each on its way */
	if (p->records.len < FILE_BYTES && !line_pauses(&p->in))
		return 0;
	return hand_over(p);
}

static int
take_all(struct pipe *p)
{
	const char *line;
	size_t len;
	int n;

	for (;;) {
		n = line_next(&p->in, &line, &len);
		if (n == -1 && errno == EMSGSIZE) {
			warnx("standard input: line %" PRIu64 ": more than %d "
			    "bytes", p->in.number, RECORD_MAX);
			p->refused++;
			n = line_skip(&p->in);
			len = 0;
		}
		if (n == -1) {
			warn("standard input");
			return EX_IOERR;
		}
		if (n == 0)
			return hand_over(p) == -1 ? EX_CANTCREAT : EX_OK;
		if (len > 0 && take(p, line, len) == -1)
			return EX_CANTCREAT;
	}
}

int
pipe_run(const struct options *opt)
{
	struct pipe p = { .in = { .fd = STDIN_FILENO, .max = RECORD_MAX } };
	struct fault f;
	int status;

	if (spool_open(&p.spool, opt->spool, &f) == -1)
		errx(fault_exit(f.code), "%s", f.text);
	if (maildir_make(p.spool.fd, "deadletter") == -1)
		err(EX_CANTCREAT, "deadletter");
	status = take_all(&p);
	if (p.taken > 0 && spool_holder(&p.spool, "dlq") == 0)
		warnx("egns-dlq does not run: %" PRIu64 " dead letters wait in "
		    "deadletter/", p.taken);
	if (status == EX_OK && p.refused > 0)
		status = EX_DATAERR;
	line_free(&p.in);
	buf_free(&p.records);
	sorter_check_free(&p.check);
	spool_close(&p.spool);
	return status;
}
