"""A STUN server (RFC 8489) that answers Binding requests, until it is killed. Arguments: address and port."""

from __future__ import annotations

import socket
import struct
import sys

MAGIC = 0x2112A442


def main(address: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, port))
        print("ready", flush=True)
        while True:
            request, (host, number) = server.recvfrom(1500)
            if len(request) < 20 or request[:2] != b"\x00\x01":
                continue
            masked = int.from_bytes(socket.inet_aton(host)) ^ MAGIC
            mapped = struct.pack("!HHBBHI", 0x0020, 8, 0, 1, number ^ (MAGIC >> 16), masked)
            server.sendto(struct.pack("!HHI", 0x0101, len(mapped), MAGIC) + request[8:20] + mapped, (host, number))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
