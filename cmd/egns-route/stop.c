/* stop: signals that end waiting */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>
#include <time.h>

#include "clock.h"
#include "stop.h"

static volatile sig_atomic_t asked;
static sigset_t ours, before;

static void
ask(int sig)
{
	if (sig != SIGALRM)
		asked = 1;
}

void
stop_init(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGALRM };
	/* without SA_RESTART */
	struct sigaction act = { .sa_handler = ask };

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&ours);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaddset(&ours, signals[i]);
		sigaction(signals[i], &act, NULL);
	}
	sigprocmask(SIG_BLOCK, &ours, &before);
}

bool
stop_asked(void)
{
	return asked;
}

int
stop_wait(int fd, int events, int64_t us)
{
	struct pollfd p = { .fd = fd, .events = (short)events };
	int64_t end = clock_mono() + us, left;
	struct timespec t;
	int n;

	do {
		left = end - clock_mono();
		if (left < 0)
			left = 0;
		if (clock_movable() && left > CLOCK_CHECK_MS * 1000)
			left = CLOCK_CHECK_MS * 1000;
		t.tv_sec = left / CLOCK_SECOND;
		t.tv_nsec = left % CLOCK_SECOND * 1000;
		n = ppoll(&p, 1, &t, &before);
	} while (n == 0 && left > 0 && clock_mono() < end);
	return n == 1 ? p.revents : 0;
}

void
stop_interrupts(unsigned seconds)
{
	/* again and again: the first may come just before the call */
	struct itimerval timer = { .it_interval.tv_sec = seconds > 0,
		.it_value.tv_sec = seconds };

	if (seconds > 0)
		sigprocmask(SIG_SETMASK, &before, NULL);
	else
		sigprocmask(SIG_BLOCK, &ours, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}
