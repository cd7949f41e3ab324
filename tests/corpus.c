/*
 * The main program of a fuzz target without a fuzzer: gives it every file of
 * its corpus once. Each input stands alone in memory of its size, so that a
 * sanitizer sees one byte too far. Prints TAP: a corpus is one test.
 */
#include <dirent.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
feed(const char *path, const struct stat *st)
{
	size_t n = (size_t)st->st_size;
	uint8_t *mem = malloc(n > 0 ? n : 1);
	FILE *f = fopen(path, "rb");

	if (mem == NULL || f == NULL || fread(mem, 1, n, f) != n)
		err(1, "%s", path);
	fclose(f);
	LLVMFuzzerTestOneInput(mem, n);
	free(mem);
}

int
main(int argc, char *argv[])
{
	char path[4096];
	struct dirent *entry;
	struct stat st;
	DIR *dir;
	int n = 0;

	if (argc != 2 || (dir = opendir(argv[1])) == NULL)
		err(1, "usage: %s CORPUS", argv[0]);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", argv[1], entry->d_name);
		if (stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
			feed(path, &st);
			n++;
		}
	}
	closedir(dir);
	printf("%s 1 - %d inputs of %s\n1..1\n", n > 0 ? "ok" : "not ok", n,
	    argv[1]);
	return n == 0;
}
