# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Writes the seeds of each fuzz target to FOLDER/TARGET: seeds.py FOLDER"""

import os
import platform
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "replay"))
import test_replay  # noqa: E402 (it builds recordings)

CLIENT, SERVER = 0, 2

LINES = [
    b"EHLO client.example", b"HELO c", b"LHLO c", b"MAIL FROM:<a@x> SIZE=100 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=e",
    b'rcpt to:<"a b>c"@x> NOTIFY=SUCCESS ORCPT=rfc822;a@x', b"MAIL FROM: a@x", b"MAIL FROM:<@r1,@r2:a@x>",
    b"BDAT 100 LAST", b"BDAT 0", b"AUTH PLAIN AGFAeABzZWNyZXQ=", b"AUTH XOAUTH2 dXNlcj1hQHgBYXV0aD1CZWFyZXIgdAEB",
    b"AUTH LOGIN dXNlcg==", b"AUTH CRAM-MD5", b"AUTH CRAM-MD5 dSAwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZg==",
    b"AUTH SCRAM-SHA-1 biwsbj11LHI9YWJj", b"AUTH OAUTHBEARER bixhPXUsAWF1dGg9dAEB",
    b"AUTH NTLM TlRMTVNTUAADAAAAAAAAAEAAAAAAAAAAQAAAAAAAAABAAAAABAAEAEAAAAAAAAAAQAAAAAAAAABAAAAAAQAAAHUAdQA=",
    b"STARTTLS", b"RSET", b"VRFY x", b"NOOP", b"QUIT", b"DATA",
]


def steps(*parts):
    out = b"\1"
    for side, text in parts:
        for at in range(0, len(text), 64):
            piece = text[at:at + 64]
            out += bytes([(len(piece) - 1) << 2 | side]) + piece
    return out


TALK = ((SERVER, b"220 mx\r\n"), (CLIENT, b"EHLO c\r\n"), (SERVER, b"250-mx\r\n250 PIPELINING\r\n"))
ENVELOPE = ((CLIENT, b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"),
            (SERVER, b"250 2.1.0 Ok\r\n250 Ok\r\n550 5.1.1 no\r\n354 go\r\n"))
TEXT = ((CLIENT, b"Subject: s\r\nFrom: a@x\r\n\r\n..dot\r\n.\r\nQUIT\r\n"), (SERVER, b"250 2.0.0 Ok: queued as 4X\r\n221 bye\r\n"))
SESSIONS = [
    steps(*TALK, *ENVELOPE, *TEXT),
    steps(*TALK, (CLIENT, b"AUTH LOGIN\r\n"), (SERVER, b"334 VXNlcm5hbWU6\r\n"), (CLIENT, b"dXNlcg==\r\n"),
          (SERVER, b"334 UGFzc3dvcmQ6\r\n"), (CLIENT, b"c2VjcmV0\r\n"), (SERVER, b"235 Ok\r\n"), *ENVELOPE, *TEXT),
    steps(*TALK, (CLIENT, b"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 4\r\nabcdBDAT 2 LAST\r\nef"),
          (SERVER, b"250 a\r\n250 b\r\n250 c\r\n552 d\r\n")),
    steps(*TALK, (CLIENT, b"STARTTLS\r\nMAIL FROM:<a@x>\r\n"), (SERVER, b"220 go\r\n"), (CLIENT, b"\x16\x03\x01")),
    steps((SERVER, b"220 l\r\n"), (CLIENT, b"LHLO c\r\n"), (SERVER, b"250 l\r\n"), *ENVELOPE, (CLIENT, b"x\n.\n"),
          (SERVER, b"250 a\r\n451 b\r\n")),
    steps((CLIENT, b"CONNECT h:25 HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"),
          (SERVER, b"HTTP/1.1 200 ok\r\n\r\n"), *TALK, *ENVELOPE, *TEXT),
    steps((CLIENT, b"\5\1\2\1\1u\1p\5\1\0\3\1h\0\x19"), (SERVER, b"\5\2\1\0\5\0\0\1\0\0\0\0\0\0"),
          (CLIENT, b"\4\1\0\x19\0\0\0\1u\0h\0"), (SERVER, b"\0\x5a\0\0\0\0\0\0"), *TALK, *ENVELOPE, *TEXT),
]
MAILS = [
    b"\x05Received: by h (Postfix, from userid 1000)\r\n\tid 4X; Mon, 1 Jan 2024 00:00:00 +0100\r\nX-PHP-Originating-Script: 33:a.php\r\n"
    b"X-Source-Args: php a.php\r\n\t-t\r\nFrom: =?utf-8?q?J=C3=B6?= <a@x>\r\n"
    b"To: g: b@y, \"c, d\" <c@y>;\r\nCc: (x(y)) <@r:d@y>\r\nSubject: =?iso-8859-1?B?5A==?=\r\n =?utf-8?Q?b?=\r\n"
    b"Date: Mon, 1 Jan 2024 00:00:00 +0100\r\nMessage-ID: <i@x>\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\npre\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\n"
    b"Content-Type: application/pdf; name*0*=utf-8''a%20; name*1=b.pdf\r\nContent-Transfer-Encoding: base64\r\n"
    b"Content-Disposition: attachment; filename=\"r.pdf\"\r\n\r\nYWJj\r\n--b\r\n"
    b"Content-Type: multipart/alternative; boundary=c\r\n\r\n--c\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    b"Content-Disposition: inline; filename==?utf-8?q?x?=\r\n\r\na=3Db=\r\nc\r\n--c--\r\n--b--\r\nend\r\n",
]


# The machine, and code: SSL_write, SSL_get_client_random of three releases of OpenSSL
CODES = [
    b"\0" + bytes.fromhex("4883ec18 4863d2 4889e1 e871000000 4883c418 c3"),
    b"\0" + bytes.fromhex("488d8760010000 c3"),
    b"\0" + bytes.fromhex("488bbfa8000000 488d8fb8000000 c3"),
    b"\0" + bytes.fromhex("8b07 85c0 7408 e800020000 4889c7 488d8f88010000 c3"),
    b"\1" + bytes.fromhex("ff8300d1 427c4093 e3030091 1d000094 c0035fd6"),
    b"\1" + bytes.fromhex("01800591 c0035fd6"),
]

WILDCARDS = [b"\0/usr/**/bin/*\n/usr/local/bin/x", b"\1*@corp.example\nJoe@corp.example", b"\2[a-z!]?x\\*\nbcx*", b"\3[!a]*\nb"]
SCHEDULES = [b"\x10\0\0\0e0 8 * * *", b"\x11\0\0\0e*/20 8-9 1,15 jan-jun mon", b"\x12\0\0\0eMon..Fri *-*-* 08:00:00/20",
             b"\x13\0\0\0e*-02~03 2:30", b"\x10\0\0\0e@daily", b"\x11\0\0\0e2024..2026-06-15"]
EVENTS = [b"\x02ab" * 20, b"\x42\\x" * 20, b"\x05a\\=|\n" * 20, b"\x44\xff\xf0\x9f\x98" * 20, b" " + b"\x46 act=x" * 20]
CONFIGURATIONS = [
    b"""decision: { deadline: 90s }
exclusions:
  - name: a
    note: &n "x"
    process: { executable: [/usr/bin/m*], sha256: [], user: reports, unit: a.service, scheduled_by: cron, tty: none }
    relay: ["10.0.0.25:587", mail.example, 10.1.0.0/16, "[2001:db8::1]:25"]
    mail: { sender: a@x, recipients: ["*@x"], subject: ["a *"], contains: [x], matches: ['a+'] }
    schedule: { at: "0 8 * * *", for: 15m, early: 5m, timezone: Europe/Berlin }
    limits: { messages: 20/1h, recipients: 50/1d, bytes: 10MiB/30m }
    origin: { user: [reports] }
    tls: any
    encrypted: deny
    expires: 2027-06-30
  - { name: *n, relay: x.example:25, accept_forgeable: true }
""",
]

PRIVACIES = [
    mode + b"\n".join([b"a@x", b"AUTH=b+40x ORCPT=rfc822;\1 X=\1 Y=\4", b"\1", b"\"c d\"@y", b"@a,@b:e@z", b"5.1.1 \3: no \1.",
                       b"'\1'", b"f@x.pdf\1", b"hello", b"\1 \3 \4", b"h@x", b"PLAIN", b"\1",
                       b"x\2--to=\1\2-f\1\2g%40x,\1\2hello\2(c)@x\2\5\6 \7\2\x08", b"/srv/\1/i@1.2/\4/\x08"])
    for mode in (b"\0", b"\1", b"\2", b"\3")
]


# x86-64. SSL_write and SSL_write_ex, 20 bytes on, call the same function, 36 bytes on; then a function that returns a
# part of its object. A Go function begins with a check of its stack.
OPENSSL_CODE = (bytes.fromhex("4883ec18 488d4c2408 e816000000 4883c418 c3 90 4883ec08 e807000000 4883c408 c3 6690") +
                bytes.fromhex("4156 4155 31c0 415d 415e c3 90 488b8760010000 c3"))
GO_CODE = bytes.fromhex("493b6610 7606 55 5d c3") + bytes(7) + bytes.fromhex("493b6610 7606 4889442408 c3")


def elf(*sections, code=OPENSSL_CODE):
    """A program of this machine with code, constants and data of 64 bytes each, and (name, type, link, content)."""
    names, content, headers = b"\0", b"", struct.pack("<IIQQQQIIQQ", *[0] * 10)
    segments = b"".join(struct.pack("<IIQQQQQQ", 1, flags, at, at << 8, at << 8, 64, 64, 1)
                        for flags, at in ((5, 232), (4, 296), (6, 360)))
    code = code.ljust(64, b"\0") + b"OpenSSL 3.0.19".ljust(64, b"\0") + struct.pack("<QQ", 296 << 8, 7).ljust(64, b"\0")
    for name, kind, link, data in sections + ((b".shstrtab", 3, 0, b""),):
        at = 424 + len(content)
        names, start = names + name + b"\0", len(names)
        data = names if name == b".shstrtab" else data
        headers += struct.pack("<IIQQQQIIQQ", start, kind, 0, 232 << 8, at, len(data), link, 0, 1, 24 if link else 0)
        content += data
    machine = {"x86_64": 62, "aarch64": 183}[platform.machine()]
    header = b"\x7fELF\2\1\1".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 424 + len(content), 0, 64, 56, 3, 64, len(headers) // 64, len(headers) // 64 - 1)
    return header + segments + code + content + headers


def gopclntab(magic):
    """.gopclntab of Go 1.16, 1.18 or 1.20, with two functions."""
    names = b"crypto/tls.(*Conn).Write\0crypto/tls.(*Conn).Read\0"
    old = magic == 0xfffffffa
    start, word = (64, "<Q") if old else (72, "<I")
    text = () if old else (232 << 8,)
    base = 232 << 8 if old else 0
    offsets = (start,) + (start + len(names),) * 4
    table = struct.pack("<IBBBBQQ", magic, 0, 0, 1, 8, 2, 1) + struct.pack(f"<{len(text + offsets)}Q", *text, *offsets) + names
    words = struct.calcsize(word) * 5
    for value in (base, words, base + 16, words + 44, base + 48):
        table += struct.pack(word, value)
    for entry, name in ((base, 0), (base + 16, 25)):
        table += (struct.pack(word, entry) + struct.pack("<I", name)).ljust(44, b"\0")
    return table


def elves():
    functions = [(b"SSL_write", 1, 0), (b"SSL_write_ex", 1, 20), (b"SSL_read", 0, 0), (b"SSL_read_ex", 1, 20),
                 (b"SSL_get_client_random", 1, 44), (b"SSL_is_server", 1, 44), (b"gnutls_record_send", 1, 0),
                 (b"gnutls_record_send2", 1, 36), (b"gnutls_record_recv", 1, 0), (b"gnutls_record_recv_seq", 2, 20)]
    strings, symbols = b"\0", bytes(24)
    for name, bind, at in functions:
        symbols += struct.pack("<IBBHQQ", len(strings), bind << 4 | 2, 0, 1, (232 << 8) + at, 16)
        strings += name + b"\0"
    for first in (1, 7):  # with OpenSSL, without
        part = symbols[24 * first:]
        versions = struct.pack(f"<{len(part) // 24}H", *range(0x7ffe, 0x7ffe + len(part) // 24))
        yield elf((b".dynstr", 3, 0, strings), (b".dynsym", 11, 1, part), (b".gnu.version", 0x6fffffff, 2, versions),
                  (b".symtab", 2, 1, symbols[24:48]))
    build = b"\xff Go buildinf:\x08"
    for magic in (0xfffffffa, 0xfffffff0, 0xfffffff1):
        yield elf((b".text", 1, 0, b""), (b".gopclntab", 1, 0, gopclntab(magic)),
                  (b".go.buildinfo", 1, 0, (build + b"\2").ljust(32, b"\0") + b"\x08go1.19.8"), code=GO_CODE)
    yield elf((b".data.rel.ro.gopclntab", 1, 0, gopclntab(0xfffffff1)),
              (b".rela.dyn", 4, 1, struct.pack("<QQq", 256, 8, 232 << 8)),
              (b".go.buildinfo", 1, 0, build + b"\0" + struct.pack("<QQ", 360 << 8, 0)), code=GO_CODE)


def hello(message, body):
    """A handshake message in one record, behind the two bytes that choose the cut."""
    body = bytes([message]) + struct.pack(">I", len(body))[1:] + body
    return b"\xff\0\x16\3\3" + struct.pack(">H", len(body)) + body


HELLOS = [
    hello(1, b"\3\3" + bytes(32) + b"\0\0\4\x13\2\x13\1\1\0\0\x16\0\0\0\x0b\0\x09\0\0\6mx.exa\0\x2b\0\3\2\3\4"),
    hello(2, b"\3\3" + bytes(32) + b"\4abcd\x13\2\0\0\6\0\x2b\0\2\3\4"),
    hello(2, b"\3\3" + bytes(32) + b"\0\xc0\x30\0"),
]


def records():
    """One watch of one session, as a recording and as the list of records that the record target reads."""
    recording = test_replay.Recording()
    recording.exec(100, 5, "/usr/bin/client", ("client", "-x"))
    recording.directory(9, 100, 5, "/srv/www/uploads")
    recording.sender(9, 100, 5, uid=1000, ancestors=((1, 1),))
    recording.session(9, 100, 5, test_replay.STEPS, uid=1000)
    recording.name(1000, "joe")
    recording.hash(bytes(32))
    recording.close(9)
    data = bytes(recording.data)
    at, out = data.index(b"\n") + 1, b""
    body = data[at:]
    while at < len(data):
        length = struct.unpack_from("<I", data, at + 4)[0]
        out += struct.pack("<H", length) + data[at:at + length]
        at += length
    return body, out


def write(folder, name, seeds):
    os.makedirs(os.path.join(folder, name), exist_ok=True)
    for number, seed in enumerate(seeds):
        with open(os.path.join(folder, name, f"seed-{number}"), "wb") as file:
            file.write(seed)


def main():
    folder = sys.argv[1]
    recording, listed = records()
    write(folder, "fuzz_command", LINES)
    write(folder, "fuzz_session", SESSIONS)
    write(folder, "fuzz_mail", MAILS)
    write(folder, "fuzz_hello", HELLOS)
    write(folder, "fuzz_record", [listed])
    write(folder, "fuzz_wildcard", WILDCARDS)
    write(folder, "fuzz_schedule", SCHEDULES)
    write(folder, "fuzz_privacy", PRIVACIES)
    write(folder, "fuzz_config", CONFIGURATIONS)
    write(folder, "fuzz_event", EVENTS)
    write(folder, "fuzz_elf", elves())
    write(folder, "fuzz_code", CODES)
    write(folder, "fuzz_recording", [b"\1" + recording, b"\0x"])


main()
