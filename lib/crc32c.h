#ifndef CRC32C_H
#define CRC32C_H

#include <stddef.h>
#include <stdint.h>

/*
 * CRC-32C (Castagnoli, RFC 3720 appendix B.4). Start with 0 and pass the result
 * on to continue. Uses the processor's instruction where there is one.
 */
uint32_t crc32c(uint32_t crc, const void *, size_t);

/* As it stands in files: eight lower-case hexadecimal digits, no NUL. */
#define CRC32C_TEXT 8
void crc32c_format(char text[CRC32C_TEXT], uint32_t crc);

#endif
