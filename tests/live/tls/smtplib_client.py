# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Python's smtplib. MODE PORT AUTH HOW SENDER RECIPIENT...: see tls_clients.py.

HOW: "one" connection for all mails, one for "each", or "wait": one connection, and
before each mail it prints "ready" and waits for a line on standard input.
"""

import smtplib
import ssl
import sys

mode, port, auth, how, sender, *recipients = sys.argv[1:]
with open(auth, encoding="ascii") as file:
    user, secret = file.read().split()
context = ssl._create_unverified_context()


def connect():
    if mode == "smtps":
        client = smtplib.SMTP_SSL("127.0.0.1", int(port), context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", int(port))
        client.starttls(context=context)
    client.login(user, secret)
    return client


def mail(client, recipient):
    text = f"From: {sender}\r\nTo: {recipient}\r\nSubject: to {recipient}\r\n\r\nhello\r\n"
    try:
        client.sendmail(sender, [recipient], text)
    except smtplib.SMTPResponseException:
        if "refuse" not in sender:
            raise


if how == "each":
    for recipient in recipients:
        with connect() as client:
            mail(client, recipient)
else:
    with connect() as client:
        for recipient in recipients:
            if how == "wait":
                print("ready", flush=True)
                sys.stdin.readline()
            mail(client, recipient)
