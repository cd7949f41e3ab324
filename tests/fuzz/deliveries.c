/*
 * A state file of arbitrary lines, each given the checksum that it needs to be
 * believed: what is read must hold together.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crc32c.h"
#include "deliveries.h"

#define HEAD 20 /* {"crc32c":"xxxxxxxx" */

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
seal(char *line, size_t len)
{
	char head[HEAD + 1];

	if (len <= HEAD)
		return;
	snprintf(head, sizeof(head), "{\"crc32c\":\"%08x\"",
	    crc32c(0, line + HEAD, len - HEAD));
	memcpy(line, head, HEAD);
}

static void
seal_lines(char *text, size_t len)
{
	char *nl;
	size_t at = 0;

	for (; (nl = memchr(text + at, '\n', len - at)) != NULL;
	     at = (size_t)(nl - text) + 1)
		seal(text + at, (size_t)(nl - text) - at);
}

static void
check(const struct deliveries *d)
{
	uint32_t i, used = 0, ready = 0, free_slots = 0;

	for (i = 0; i < d->nslots; i++)
		used += d->slot[i].state != DELIVERY_FREE;
	for (i = d->ready; i != DELIVERY_NONE; i = d->slot[i].next)
		ready += d->slot[i].state == DELIVERY_AVAILABLE;
	for (i = d->free; i != DELIVERY_NONE; i = d->slot[i].next)
		free_slots += d->slot[i].state == DELIVERY_FREE;
	if (used != d->used || free_slots + used != d->nslots || ready > used ||
	    d->nslots > DELIVERIES_MAX)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("state", MFD_CLOEXEC);
	char *text = malloc(size + 1), path[32];
	struct deliveries d;
	uint32_t slot;
	bool found;

	if (fd == -1 || text == NULL)
		abort();
	memcpy(text, data, size);
	seal_lines(text, size);
	if (write(fd, text, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (deliveries_open(&d, AT_FDCWD, path, "u", &found, NULL) == 0) {
		check(&d);
		while ((slot = deliveries_due(&d)) != DELIVERY_NONE)
			deliveries_remove(&d, slot);
		if (d.nslots < DELIVERIES_MAX &&
		    deliveries_new(&d, 1) == DELIVERY_NONE)
			abort();
		check(&d);
		deliveries_close(&d);
	}
	close(fd);
	free(text);
	return 0;
}
