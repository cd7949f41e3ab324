#ifndef UUID_H
#define UUID_H

/* UUIDs as text, RFC 9562. */
#define UUID_SIZE 37 /* with the NUL */

/* One that nobody has had before. */
void uuid_new(char uuid[UUID_SIZE]);

/* One that is always the same for the same words. */
void uuid_of(char uuid[UUID_SIZE], const char *words);

#endif
