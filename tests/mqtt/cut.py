"""cut.py SOCKET STEP - stand before the server of a socket, and cut its connections.

The server's socket moves to SOCKET.behind. The first connection is cut when the
client has sent STEP bytes, the second when the server has, the next two after
twice as many, and so on; what is cut off never arrives. Prints a line for each.
"""
import os
import selectors
import socket
import sys


def pump(client, server, limits):
    """Until one ends, or has sent its limit: that one's index, or None."""
    ends = [client, server]
    chosen = selectors.DefaultSelector()
    for i, end in enumerate(ends):
        chosen.register(end, selectors.EVENT_READ, i)
    while True:
        for key, _ in chosen.select():
            i = key.data
            try:
                data = ends[i].recv(min(65536, limits[i]))
                if not data:
                    return None
                ends[1 - i].sendall(data)
            except OSError:
                return None
            limits[i] -= len(data)
            if limits[i] == 0:
                return i


def main():
    path, step = sys.argv[1], int(sys.argv[2])
    behind = path + ".behind"
    os.rename(path, behind)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        n = 0
        while True:
            os.chmod(path, 0o666)  # as a server does when it begins
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            server.connect(behind)
            limits = [1 << 62, 1 << 62]
            limits[n % 2] = step * (n // 2 + 1)
            print(n, pump(client, server, limits), flush=True)
            client.close()
            server.close()
            n += 1


main()
