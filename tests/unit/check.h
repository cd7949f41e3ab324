#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

/*
 * For small tests of lib: a test is a function, CHECK says where it was untrue,
 * and main lists them with RUN. Prints TAP, so that the runner can count.
 */
static int check_tests, check_bad, check_failures;

#define CHECK(x) \
	do { \
		if (!(x)) { \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #x); \
			check_bad = 1; \
		} \
	} while (0)

#define RUN(test) \
	do { \
		check_bad = 0; \
		test(); \
		printf("%s %d - %s\n", check_bad ? "not ok" : "ok", \
		    ++check_tests, #test); \
		check_failures += check_bad; \
	} while (0)

#define DONE() \
	do { \
		printf("1..%d\n", check_tests); \
		return check_failures != 0; \
	} while (0)

#endif
