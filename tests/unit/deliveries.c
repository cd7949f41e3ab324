/* what is handed out, against a model; and its file, cut at every byte */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"
#include "deliveries.h"
#include "spool.h"

#define FILE_NAME "deliveries.test"
#define SLOTS 200

static char dir_name[] = "/tmp/egns-deliveries-XXXXXX";
static int dir;

static void
fresh(struct deliveries *d)
{
	bool found;

	unlinkat(dir, FILE_NAME, 0);
	CHECK(deliveries_open(d, dir, FILE_NAME, "uid-1", &found, NULL) == 0);
	CHECK(!found);
}

static bool
save(struct deliveries *d)
{
	struct deliveries_save s = { .dir = dir, .path = FILE_NAME };
	bool fatal, ok;

	if (!deliveries_changes(d, &s))
		return true;
	ok = deliveries_save(&s, &fatal) == 0;
	buf_free(&s.text);
	return ok;
}

static void
reopen(struct deliveries *d)
{
	bool found;

	deliveries_close(d);
	CHECK(deliveries_open(d, dir, FILE_NAME, "uid-1", &found, NULL) == 0);
	CHECK(found);
}

static void
check_heap(const struct deliveries *d)
{
	uint32_t i, n = 0;

	for (i = 1; i < d->used; i++)
		CHECK(d->slot[d->heap[i]].due >=
		    d->slot[d->heap[(i - 1) / 2]].due);
	for (i = 0; i < d->used; i++)
		CHECK(d->slot[d->heap[i]].heap == i);
	for (i = d->ready; i != DELIVERY_NONE; i = d->slot[i].next, n++)
		CHECK(d->slot[i].state == DELIVERY_AVAILABLE);
	for (i = 0; i < d->nslots; i++)
		n -= d->slot[i].state == DELIVERY_AVAILABLE;
	CHECK(n == 0);
}

/* The model: what each offset's state and due time must be. */
struct model {
	int state;
	int64_t due;
	uint32_t slot;
};

static void
compare(const struct deliveries *d, const struct model *m)
{
	uint32_t i, used = 0;

	for (i = 0; i < SLOTS; i++) {
		if (m[i].state == DELIVERY_FREE)
			continue;
		used++;
		CHECK(d->slot[m[i].slot].state == m[i].state);
		CHECK(d->slot[m[i].slot].offset == i);
		CHECK(d->slot[m[i].slot].due == m[i].due);
	}
	CHECK(d->used == used);
	check_heap(d);
}

static void
one_step(struct deliveries *d, struct model *m)
{
	struct model *v = &m[rand() % SLOTS];
	int state = 1 + rand() % 3;

	if (v->state == DELIVERY_FREE)
		v->slot = deliveries_new(d, (uint64_t)(v - m));
	else if (rand() % 3 == 0) {
		deliveries_remove(d, v->slot);
		v->state = DELIVERY_FREE;
		d->acknowledged++;
		return;
	}
	v->state = state;
	v->due = rand() % 1000;
	d->slot[v->slot].lock = (uint64_t)rand() << 31;
	deliveries_set(d, v->slot, (enum delivery_state)state, v->due);
}

static void
random_steps_are_kept(void)
{
	struct model m[SLOTS] = { 0 };
	struct deliveries d;
	uint64_t acknowledged;
	int i;

	fresh(&d);
	srand(7);
	for (i = 0; i < 5000; i++) {
		one_step(&d, m);
		if (rand() % 20 == 0)
			CHECK(save(&d));
		if (rand() % 500 != 0)
			continue;
		CHECK(save(&d));
		acknowledged = d.acknowledged;
		reopen(&d);
		CHECK(d.acknowledged == acknowledged);
		compare(&d, m);
	}
	compare(&d, m);
	deliveries_close(&d);
}

/* Available ones stand behind each other as they became it, until sorted. */
static void
available_in_order(void)
{
	static const uint64_t offset[] = { 5, 2, 9, 0, 7, 2000, 1, 3 };
	static const uint64_t some[] = { 5, 2, 9, 0, 7, 1, 3, 2000 };
	static const uint64_t sorted[] = { 0, 1, 2, 3, 5, 7, 9, 2000 };
	struct deliveries d;
	uint32_t slot, i;

	fresh(&d);
	deliveries_sort(&d, 3);
	CHECK(deliveries_ready(&d) == DELIVERY_NONE);
	for (i = 0; i < 8; i++)
		deliveries_set(&d, deliveries_new(&d, offset[i]),
		    DELIVERY_AVAILABLE, 10);
	for (i = 0; i < 8; i++) /* another due time, the same place */
		deliveries_set(&d, i, DELIVERY_AVAILABLE, i % 2 ? 30 : 20);
	for (slot = d.ready, i = 0; i < 8; slot = d.slot[slot].next, i++)
		CHECK(d.slot[slot].offset == offset[i]);
	CHECK(slot == DELIVERY_NONE);
	deliveries_sort(&d, 3);
	check_heap(&d);
	for (slot = d.ready, i = 0; i < 8; slot = d.slot[slot].next, i++)
		CHECK(d.slot[slot].offset == some[i]);
	deliveries_sort(&d, 8);
	check_heap(&d);
	for (i = 0; i < 8; i++) {
		CHECK(d.slot[d.ready].offset == sorted[i]);
		CHECK(d.slot[d.ready_last].offset == 2000);
		deliveries_remove(&d, d.ready);
	}
	CHECK(d.ready == DELIVERY_NONE && d.ready_last == DELIVERY_NONE);
	deliveries_close(&d);
}

/* A file does not tell since when they are: then the log's order counts. */
static void
read_in_the_order_of_the_log(void)
{
	struct deliveries d;
	uint64_t i;

	fresh(&d);
	for (i = 100; i-- > 0;)
		deliveries_set(&d, deliveries_new(&d, i), DELIVERY_AVAILABLE,
		    INT64_MAX);
	CHECK(save(&d));
	reopen(&d);
	for (i = 0; i < 100; i++) {
		CHECK(d.slot[d.ready].offset == i);
		CHECK(d.slot[d.ready].due == INT64_MAX);
		deliveries_remove(&d, d.ready);
	}
	deliveries_close(&d);
}

/* What is settled between two saves never reaches the file. */
static void
settled_before_it_is_saved(void)
{
	struct deliveries d;
	struct deliveries_save s = { .dir = dir, .path = FILE_NAME };
	uint32_t slot;

	fresh(&d);
	CHECK(save(&d));
	slot = deliveries_new(&d, 5);
	deliveries_set(&d, slot, DELIVERY_LOCKED, 9);
	deliveries_remove(&d, slot);
	CHECK(deliveries_changes(&d, &s));
	buf_add(&s.text, "", 1);
	CHECK(strstr(buf_data(&s.text), "\"put\"") == NULL);
	CHECK(strstr(buf_data(&s.text), "\"out\"") == NULL);
	buf_free(&s.text);
	deliveries_close(&d);
}

static size_t
file_size(void)
{
	struct stat st;

	return fstatat(dir, FILE_NAME, &st, 0) == 0 ? (size_t)st.st_size : 0;
}

/* A torn last line is as if it had never been; what follows is not lost. */
static void
cut_at_every_byte(void)
{
	struct deliveries d;
	size_t before, after, at;
	char *text;
	int fd;

	fresh(&d);
	d.cursor = 3;
	deliveries_touch(&d);
	CHECK(save(&d));
	before = file_size();
	deliveries_set(&d, deliveries_new(&d, 77), DELIVERY_LOCKED, 1);
	d.cursor = 4;
	CHECK(save(&d));
	deliveries_close(&d);
	text = spool_read(dir, FILE_NAME, 1 << 20, &after);
	CHECK(text != NULL && after > before);
	for (at = before; at < after; at++) {
		fd = openat(dir, FILE_NAME, O_WRONLY | O_TRUNC);
		CHECK(write(fd, text, at) == (ssize_t)at);
		close(fd);
		d = (struct deliveries){ 0 };
		reopen(&d);
		CHECK(d.cursor == 3 && d.used == 0);
		d.cursor = 9;
		deliveries_touch(&d);
		CHECK(save(&d));
		reopen(&d);
		CHECK(d.cursor == 9);
		deliveries_close(&d);
	}
	free(text);
}

/* A flipped bit takes its line and all behind it: they come once more. */
static void
flipped_bit(void)
{
	struct deliveries d;
	size_t len, first;
	char *text;
	int fd;

	fresh(&d);
	for (d.cursor = 1; d.cursor <= 3; d.cursor++) {
		deliveries_touch(&d);
		CHECK(save(&d));
	}
	deliveries_close(&d);
	text = spool_read(dir, FILE_NAME, 1 << 20, &len);
	first = (size_t)(strchr(text, '\n') - text) + 1;
	text[first + 40] ^= 4;
	fd = openat(dir, FILE_NAME, O_WRONLY);
	CHECK(write(fd, text, len) == (ssize_t)len);
	close(fd);
	free(text);
	reopen(&d);
	CHECK(d.cursor == 1);
	deliveries_close(&d);
}

static void
another_uid_begins_anew(void)
{
	struct deliveries d;
	bool found;

	fresh(&d);
	d.cursor = 5;
	deliveries_touch(&d);
	CHECK(save(&d));
	deliveries_close(&d);
	CHECK(deliveries_open(&d, dir, FILE_NAME, "uid-2", &found, NULL) == 0);
	CHECK(!found && d.cursor == 0);
	deliveries_close(&d);
}

static void
file_does_not_grow_for_ever(void)
{
	struct deliveries d;
	uint32_t slot[100];
	int i, k;

	fresh(&d);
	for (i = 0; i < 500; i++) {
		for (k = 0; k < 100; k++) {
			slot[k] = deliveries_new(&d, (uint64_t)k);
			deliveries_set(&d, slot[k], DELIVERY_LOCKED, k);
		}
		CHECK(save(&d));
		for (k = 0; k < 100; k++)
			deliveries_remove(&d, slot[k]);
		CHECK(save(&d));
	}
	CHECK(file_size() < 2 * 1024 * 1024);
	deliveries_close(&d);
}

static void
no_more_than_the_limit(void)
{
	struct deliveries d;
	uint32_t i;

	fresh(&d);
	for (i = 0; i < DELIVERIES_MAX; i++)
		deliveries_set(&d, deliveries_new(&d, i), DELIVERY_LOCKED, 1);
	CHECK(deliveries_new(&d, i) == DELIVERY_NONE);
	CHECK(save(&d));
	reopen(&d);
	CHECK(d.used == DELIVERIES_MAX);
	deliveries_remove(&d, deliveries_due(&d));
	CHECK(deliveries_new(&d, i) != DELIVERY_NONE);
	deliveries_close(&d);
}

int
main(void)
{
	if (mkdtemp(dir_name) == NULL ||
	    (dir = open(dir_name, O_RDONLY | O_DIRECTORY)) == -1)
		return 1;
	RUN(random_steps_are_kept);
	RUN(available_in_order);
	RUN(read_in_the_order_of_the_log);
	RUN(settled_before_it_is_saved);
	RUN(cut_at_every_byte);
	RUN(flipped_bit);
	RUN(another_uid_begins_anew);
	RUN(file_does_not_grow_for_ever);
	RUN(no_more_than_the_limit);
	unlinkat(dir, FILE_NAME, 0);
	rmdir(dir_name);
	DONE();
}
