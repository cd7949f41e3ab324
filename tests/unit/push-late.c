#include "../../cmd/egns-push/late.h"

#include <string.h>

#include "check.h"

static struct ev_loop *loop;
static struct late late;
static unsigned prepared, answered;
static struct outcome last;

static void
on_prepared(const struct outcome *o, void *arg)
{
	(void)arg;
	CHECK(o->verdict == VERDICT_DELIVERED);
	CHECK(answered == 0);
	prepared++;
}

static void
on_answered(struct attempt *a, const struct outcome *o, void *arg)
{
	CHECK(arg == &late && a->n == 7);
	last = *o;
	answered++;
}

static const struct target_hooks hooks = { on_prepared, on_answered, NULL };
static struct target target = { .hooks = &hooks, .arg = &late };

static void
begin(void)
{
	prepared = answered = 0;
	late_init(&late, loop, &target);
}

static void
fail(struct attempt *a, enum fault_code code)
{
	unsigned before = answered;
	struct fault f;

	a->n = 7;
	fault_set(&f, code, "why");
	late_fail(&late, a, &f);
	CHECK(answered == before);
}

static void
turn(void)
{
	ev_run(loop, EVRUN_ONCE);
}

static void
the_loop_tells(void)
{
	struct attempt a;

	begin();
	late_ready(&late);
	fail(&a, FAULT_BAD_REQUEST);
	CHECK(prepared == 0);
	turn();
	CHECK(prepared == 1 && answered == 1);
	CHECK(last.verdict == VERDICT_FINAL && last.result == DL_BAD_REQUEST &&
	    last.reason == DL_SCHEMA_REJECTED);
	CHECK(strcmp(last.words, "the event is no CloudEvent: why") == 0);
	fail(&a, FAULT_INTERNAL);
	answered = 0;
	turn();
	CHECK(prepared == 1 && answered == 1);
	CHECK(last.verdict == VERDICT_UNMADE && strcmp(last.words, "why") == 0);
}

/* What lacked memory is no event that is malformed, whichever came first. */
static void
memory_before_form(void)
{
	static const enum fault_code rows[][2] = {
		{ FAULT_INTERNAL, FAULT_BAD_REQUEST },
		{ FAULT_BAD_REQUEST, FAULT_INTERNAL },
	};
	struct attempt a, b;

	for (int i = 0; i < 2; i++) {
		begin();
		fail(&a, rows[i][0]);
		fail(&b, rows[i][1]);
		turn();
		CHECK(answered == 2 && last.verdict == VERDICT_UNMADE);
	}
	/* and the next ones begin anew */
	answered = 0;
	fail(&a, FAULT_BAD_REQUEST);
	turn();
	CHECK(answered == 1 && last.verdict == VERDICT_FINAL);
}

static void
dropped(void)
{
	struct attempt a;

	begin();
	late_ready(&late);
	fail(&a, FAULT_INTERNAL);
	late_drop(&late);
	ev_run(loop, EVRUN_NOWAIT);
	CHECK(prepared == 0 && answered == 0);
}

int
main(void)
{
	loop = ev_default_loop(0);
	RUN(the_loop_tells);
	RUN(memory_before_form);
	RUN(dropped);
	DONE();
}
