#ifndef STOP_H
#define STOP_H

#include <stdbool.h>
#include <stdint.h>

/*
 * TERM and INT for a program that waits in one place at a time: they come only
 * while it does, and end the wait.
 */
void stop_init(void);
bool stop_asked(void);

/* Wait until there are such events (of poll) at fd (-1: none), for `us`
 * microseconds at most, or until a signal comes. The events, or 0. */
int stop_wait(int fd, int events, int64_t us);

/* Let signals, and the end of some seconds, interrupt calls that block (EINTR):
 * from here, to here (seconds 0). */
void stop_interrupts(unsigned seconds);

#endif
