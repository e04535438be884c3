# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Python's asyncio: TLS in memory, and the socket is written to after the library call. Arguments: see tls_clients.py.

HOW: "one" connection for all mails, one for "each", or "parallel": one for each, all at once on one thread.
"""

import asyncio
import base64
import ssl
import sys

mode, port, auth, how, sender, *recipients = sys.argv[1:]
with open(auth, encoding="ascii") as file:
    user, secret = file.read().split()
context = ssl._create_unverified_context()


class Session:
    async def open(self):
        implicit = {"ssl": context, "server_hostname": "mail.test"} if mode == "smtps" else {}
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", int(port), **implicit)
        await self.reply()
        await self.command("EHLO client.test")
        if mode == "starttls":
            await self.command("STARTTLS")
            await self.writer.start_tls(context, server_hostname="mail.test")
            await self.command("EHLO client.test")
        await self.command("AUTH PLAIN " + base64.b64encode(f"\0{user}\0{secret}".encode()).decode())
        return self

    async def reply(self):
        while True:
            line = await self.reader.readline()
            if line[:1] not in (b"2", b"3"):
                raise SystemExit(f"the server said {line!r}")
            if line[3:4] != b"-":
                return

    async def command(self, line):
        self.writer.write(line.encode() + b"\r\n")
        await self.writer.drain()
        await self.reply()

    async def mail(self, recipient):
        await self.command(f"MAIL FROM:<{sender}>")
        await self.command(f"RCPT TO:<{recipient}>")
        await self.command("DATA")
        await self.command(f"From: {sender}\r\nTo: {recipient}\r\nSubject: to {recipient}\r\n\r\nhello\r\n.")

    async def close(self):
        await self.command("QUIT")
        self.writer.close()


async def one(some, together=None):
    session = await Session().open()
    if together:
        await together.wait()
    for recipient in some:
        await session.mail(recipient)
        await asyncio.sleep(0)
    await session.close()


class Together:
    """Waits until this many have come."""

    def __init__(self, count):
        self.left, self.all = count, asyncio.Event()

    async def wait(self):
        self.left -= 1
        if not self.left:
            self.all.set()
        await self.all.wait()


async def main():
    if how == "one":
        await one(recipients)
    elif how == "each":
        for recipient in recipients:
            await one([recipient])
    else:
        together = Together(len(recipients))
        await asyncio.gather(*(one([recipient], together) for recipient in recipients))


asyncio.run(main())
