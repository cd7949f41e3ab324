#ifndef UUID_H
#define UUID_H

/* UUIDs as text, RFC 9562. */
#define UUID_SIZE 37 /* with the NUL */

/* One that nobody has had before. */
void uuid_new(char uuid[UUID_SIZE]);

/* The same for who needs tens of thousands a second: random when it is first
 * asked for, and then counted up in its last digits. For one thread. */
void uuid_next(char uuid[UUID_SIZE]);

/* One that is always the same for the same words. */
void uuid_of(char uuid[UUID_SIZE], const char *words);

#endif
