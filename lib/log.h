#ifndef LOG_H
#define LOG_H

/*
 * One line per event on stderr, key word first: "PROGRAM: level: words". errno
 * survives. Text from outside goes through quote() first. log_warn and log_info
 * let LOG_BURST lines a second through and then say how many they held back.
 */
#define LOG_BURST 200

void log_verbose(int level); /* 0: warn and fatal; 1: info too; 2: debug too */

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Say it and exit with a sysexits(3) status. */
void log_fatal(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

#endif
