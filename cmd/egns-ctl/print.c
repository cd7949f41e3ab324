#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "buf.h"
#include "ctl.h"
#include "jq.h"
#include "query.h"
#include "table.h"

int
ctl_fault(const struct fault *f)
{
	fprintf(stderr, "egns-ctl: %s\n", f->text);
	return fault_exit(f->code);
}

/* The outputs of an expression, all formatted into one buffer. */
struct printing {
	const struct ctl *ctl;
	struct buf out;
};

static void
print_one(jv v, void *arg)
{
	struct printing *p = arg;
	const char *as = p->ctl->output;

	if (strcmp(as, "none") == 0)
		jv_free(v);
	else if (strcmp(as, "table") == 0)
		table_print(&p->out, v);
	else if (strcmp(as, "tsv") == 0)
		table_tsv(&p->out, v);
	else {
		jq_print(&p->out, v, true);
		buf_str(&p->out, "\n");
	}
}

static int
evaluate(struct printing *p, const char *expression, jv v, struct fault *f)
{
	struct jq_program *program = jq_compile(expression, f);
	int rc;

	if (program == NULL) {
		jv_free(v);
		return -1;
	}
	rc = jq_run(program, v, print_one, p, f);
	jq_free(program);
	return rc;
}

static int
query(struct printing *p, const char *text, jv v, struct fault *f)
{
	struct buf b = { 0 };
	int rc = query_translate(&b, text, f);

	if (rc == 0) {
		buf_add(&b, "", 1);
		rc = b.bad ? fault_set(f, FAULT_INTERNAL, "out of memory") :
		    evaluate(p, buf_data(&b), jv_copy(v), f);
	}
	jv_free(v);
	buf_free(&b);
	return rc;
}

bool
ctl_as_rows(const struct ctl *ctl)
{
	return ctl->query == NULL && ctl->jq == NULL &&
	    (strcmp(ctl->output, "table") == 0 ||
	    strcmp(ctl->output, "tsv") == 0);
}

int
ctl_flush(void)
{
	if (fflush(stdout) == EOF || ferror(stdout)) {
		perror("egns-ctl: standard output");
		return EX_IOERR;
	}
	return 0;
}

int
ctl_print(struct ctl *ctl, jv v)
{
	struct printing p = { .ctl = ctl };
	struct fault f = { 0 };
	int rc = 0;

	if (ctl->query != NULL)
		rc = query(&p, ctl->query, v, &f);
	else if (ctl->jq != NULL)
		rc = evaluate(&p, ctl->jq, v, &f);
	else
		print_one(v, &p);
	if (p.out.len > 0 && !p.out.bad)
		fwrite(buf_data(&p.out), 1, p.out.len, stdout);
	buf_free(&p.out);
	return rc == -1 ? ctl_fault(&f) : ctl_flush();
}
