"""maildir.py BOX SECOND [PER] - standard input as files of BOX/new, as a writer's.

Each PER lines (1) are a file; the first is of that SECOND, the next of the second
after it. Prints their names.
"""
import os
import sys


def table():
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        yield n


TABLE = list(table())


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 0xff]
    return crc ^ 0xffffffff


def name_of(second, data):
    return (f"{second}.M000000P1Q1.h,S={len(data)},N={data.count(10)},"
            f"C={crc32c(data):08x}")


def put(box, second, data):
    name = name_of(second, data)
    with open(f"{box}/tmp/{name}", "wb") as file:
        file.write(data)
    os.rename(f"{box}/tmp/{name}", f"{box}/new/{name}")
    return name


def main():
    box, second = sys.argv[1], int(sys.argv[2])
    per = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    lines = sys.stdin.buffer.readlines()
    for at in range(0, len(lines), per):
        print(put(box, second, b"".join(lines[at:at + per])))
        second += 1


if __name__ == "__main__":
    main()
