#include <err.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "pull.h"

/* Print the lines that the answer announced. */
static int
print(struct client *c, struct fault *f)
{
	uint64_t n = client_number(c, "count");
	const char *line;
	size_t len;

	while (n-- > 0) {
		if (client_line(c, &line, &len, f) == -1)
			return -1;
		fwrite(line, 1, len, stdout);
		putchar('\n');
	}
	return 0;
}

int
verb_receive(const struct options *opt, const struct verb *v, char *argv[])
{
	struct request r = { 0 };
	struct client c;
	struct spool spool;
	struct fault f;
	int status = 0;

	(void)argv;
	if (spool_open(&spool, opt->spool, &f) == -1)
		return pull_fault(&f);
	if (client_open(&c, &spool, "topicd", &f) == -1) {
		status = pull_fault(&f);
		goto out;
	}
	request_begin(&r, opt, v->op);
	request_number(&r, "maxEvents", opt->events);
	if (strchr(v->options, 'w') != NULL)
		request_number(&r, "maxWaitTime", opt->wait);
	request_end(&r);
	client_add(&c, buf_data(&r.text), r.text.len);
	if (client_flush(&c, &f) == -1 || client_answer(&c, &f) == -1 ||
	    print(&c, &f) == -1)
		status = pull_fault(&f);
	client_close(&c);
	if (fflush(stdout) == EOF || ferror(stdout)) {
		warn("standard output");
		status = EX_IOERR;
	}
out:
	buf_free(&r.text);
	spool_close(&spool);
	return status;
}
