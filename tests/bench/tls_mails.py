# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Many mails at once over TLS, each with a sender of its own, for bench_tls.py. One thread and memory BIOs: nothing but
the TLS session itself tells which write belongs to which socket.

    tls_mails.py serve CERTIFICATE KEY    prints its port, then SENDER PORT for each mail, until its input ends
    tls_mails.py send PORT MAILS AT_ONCE
"""

import asyncio
import os
import ssl
import sys

SUFFIX = "@bench.example"


async def serve_one(reader, writer):
    port = writer.get_extra_info("peername")[1]
    writer.write(b"220 bench.example ESMTP\r\n")
    sender, text = "", False
    while line := await reader.readline():
        verb = line[:4].upper()
        if text:
            text = line != b".\r\n"
            if text:
                continue
            print(sender, port, flush=True)
        elif verb == b"MAIL":
            sender = line.decode().split("<")[1].split(">")[0]
        text = verb == b"DATA"
        writer.write({b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(verb, b"250 ok\r\n"))
        if verb == b"QUIT":
            break
    writer.close()


async def serve(certificate, key):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = await asyncio.start_server(serve_one, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 4096) or ended.set())
    await ended.wait()


async def send_one(port, context, number, turn):
    async with turn:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        await reader.readline()
        for line in ("EHLO bench.example", f"MAIL FROM:<{os.getpid()}-{number}{SUFFIX}>", f"RCPT TO:<r{SUFFIX}>", "DATA",
                     f"Subject: {number}\r\n\r\ntext\r\n.", "QUIT"):
            writer.write(line.encode() + b"\r\n")
            await reader.readline()
        writer.close()


async def send(port, mails, at_once):
    context = ssl._create_unverified_context()
    turn = asyncio.Semaphore(at_once)
    await asyncio.gather(*(send_one(port, context, number, turn) for number in range(mails)))


def main():
    if sys.argv[1] == "serve":
        asyncio.run(serve(*sys.argv[2:4]))
    else:
        asyncio.run(send(*map(int, sys.argv[2:5])))


if __name__ == "__main__":
    main()
