# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Password resets: Django's PasswordResetView and the portal of LemonLDAP::NG, asked over HTTP as a browser does."""

import json
import re
import unittest
import urllib.parse
import urllib.request

from harness import Sink, free_port, get, short
from mta import Root
from scenario import ATTACKER, SystemCase

DJANGO = '''
import os, sys
from django.conf import settings
settings.configure(
    SECRET_KEY="x" * 50, ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "/var/lib/portal/db"}},
    INSTALLED_APPS=["django.contrib." + app for app in ("admin", "auth", "contenttypes", "sessions", "messages")],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
                "django.contrib.auth.middleware.AuthenticationMiddleware",
                "django.contrib.messages.middleware.MessageMiddleware"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True,
                "OPTIONS": {"context_processors": ["django.template.context_processors.request",
                                                   "django.contrib.auth.context_processors.auth",
                                                   "django.contrib.messages.context_processors.messages"]}}],
    SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"), DEFAULT_FROM_EMAIL="no-reply@idp.example",
    EMAIL_HOST="127.0.0.1", EMAIL_PORT=int(os.environ["EMAIL_PORT"]))
import django
django.setup()
from django.contrib import admin
from django.urls import include, path
urlpatterns = [path("admin/", admin.site.urls), path("", include("django.contrib.auth.urls"))]
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
'''
DJANGO_USERS = """from django.contrib.auth.models import User
for mail in %r:
    User.objects.create_user(mail, mail, "secret")
"""
MAILER = """use Net::SMTP;
my $smtp = Net::SMTP->new("127.0.0.1", Port => %(port)d);
$smtp->mail("no-reply\\@idp.example"); $smtp->to("%(recipient)s"); $smtp->data();
$smtp->datasend("From: no-reply\\@idp.example\\nSubject: [LemonLDAP::NG] Password reset confirmation\\n\\n");
$smtp->datasend("https://login.corp.example/resetpwd?mail_token=0123456789abcdef0123456789abcdef\\n");
$smtp->dataend(); $smtp->quit;
"""


def ask(url, form=None, **headers):
    """A request with these header fields; returns the answer's text and its cookies."""
    data = urllib.parse.urlencode(form).encode() if form else None
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    with urllib.request.urlopen(urllib.request.Request(url, data, fields), timeout=30) as answer:
        cookies = [value.split(";")[0] for value in answer.headers.get_all("Set-Cookie", [])]
        return answer.read().decode(), "; ".join(cookies)


class PasswordReset(SystemCase):
    accounts = ("portal", "sso")

    def setUp(self):
        super().setUp()
        self.good, self.other = Sink(self), Sink(self)
        self.begin(Root(type(self), ""), "password-reset", self.good.port)

    def failed(self, recipient, name):
        return get(self.assert_alert(self.now, recipient, name), "smtpsnoop.nearest.failed")

    # ---- Django

    def manage(self, *words, relay):
        return ("env", f"EMAIL_PORT={relay}", "/usr/bin/python3", "/opt/portal/manage.py", *words)

    def django(self, relay):
        port = free_port()
        self.start(*self.manage("runserver", "--noreload", f"127.0.0.1:{port}", relay=relay), user="portal", port=port)
        return f"http://127.0.0.1:{port}/password_reset/"

    def reset(self, url, mail, host="login.corp.example"):
        """What a browser does behind a proxy that ends TLS: gets the form, and posts it."""
        headers = {"Host": host, "X_Forwarded_Proto": "https", "Referer": f"https://{host}/"}
        page, cookies = ask(url, **headers)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page).group(1)
        try:
            ask(url, {"csrfmiddlewaretoken": token, "email": mail}, Cookie=cookies, **headers)
        except urllib.error.URLError:
            pass  # it redirects to the host of the request, which does not exist

    def test_django(self):
        users = [f"{name}@corp.example" for name in ("one", "two", "three", "link", "relay")] + ["box@evil.example"]
        self.root.run("install", "-d", "/opt/portal")
        self.root.run("install", "-d", "-o", "portal", "/var/lib/portal")
        self.root.write("/opt/portal/manage.py", DJANGO)
        self.root.run(*self.by("portal"), *self.manage("migrate", relay=1))
        self.root.run(*self.by("portal"), *self.manage("shell", "-c", DJANGO_USERS % users, relay=1))
        url, elsewhere, name = self.django(self.good.port), self.django(self.other.port), "password-reset"
        self.reset(url, "one@corp.example")
        event = self.assert_excluded(self.now, "one@corp.example", name)
        self.assertEqual(get(event, "smtpsnoop.process.script"), "/opt/portal/manage.py", short(event))
        self.assert_schedule("one@corp.example", name)

        self.reset(url, "link@corp.example", host="evil.example")
        self.assertEqual(self.failed("link@corp.example", name), ["mail.matches"])
        self.reset(url, "box@evil.example")
        self.assertEqual(self.failed("box@evil.example", name), ["mail.recipients"])
        self.reset(elsewhere, "relay@corp.example")
        self.assertEqual(self.failed("relay@corp.example", name), ["relay"])
        self.shell("portal", "python3 -c \"import smtplib; smtplib.SMTP('127.0.0.1', "
                   f"{self.good.port}).sendmail('no-reply@idp.example', 'script@corp.example', 'From: no-reply@idp.example"
                   "\\nSubject: Password reset on x\\n\\n"
                   f"https://login.corp.example/reset/MQ/abc-{'0' * 32}/')\"")
        self.assertEqual(self.failed("script@corp.example", name), ["process.script"])

        self.reset(url, "two@corp.example")
        self.assert_excluded(self.now, "two@corp.example", name)
        self.reset(url, "three@corp.example")
        self.assert_limit("three@corp.example", name)
        self.end()

    # ---- LemonLDAP::NG

    def configure(self):
        """Debian's configuration, with the accounts of the backend Demo, mailed at corp.example."""
        path = "/var/lib/lemonldap-ng/conf/lmConf-1.json"
        values = json.loads(self.root.run("cat", path))
        values.update(portal="https://login.corp.example/", SMTPServer="127.0.0.1", SMTPPort=self.good.port,
                      mailFrom="no-reply@idp.example", portalDisplayResetPassword=1, requireToken=0,
                      captcha_mail_enabled=0, passwordDB="Demo", mailSessionKey="address",
                      macros={"address": "$uid . '@corp.example'"})
        self.root.write(path, json.dumps(values))
        self.root.run("chown", "-R", "sso:sso", "/var/lib/lemonldap-ng", "/etc/lemonldap-ng")

    def mail_by_hand(self, user, recipient, port):
        script = self.write(f"{recipient}.pl", MAILER % {"port": port, "recipient": recipient.replace("@", "\\@")}, 0o644)
        self.shell(user, f"/usr/bin/perl {script}")

    def test_lemonldap(self):
        self.configure()
        port, name = free_port(), "sso-password-reset"
        self.start("/usr/bin/plackup", "-E", "deployment", "-o", "127.0.0.1", "-p", str(port),
                   "/usr/share/lemonldap-ng/portal/htdocs/index.psgi", user="sso", port=port)

        def reset(user):
            ask(f"http://127.0.0.1:{port}/resetpwd", {"mail": f"{user}@badwolf.org"}, Accept="text/html")

        reset("dwho")
        event = self.assert_excluded(self.now, "dwho@corp.example", name)
        self.assertEqual(get(event, "smtpsnoop.process.script"), "/usr/bin/plackup", short(event))
        self.assert_schedule("dwho@corp.example", name)

        self.mail_by_hand("sso", "script@corp.example", self.good.port)
        self.assertEqual(self.failed("script@corp.example", name), ["process.script"])
        self.mail_by_hand(ATTACKER, "user@corp.example", self.good.port)
        self.assertEqual(sorted(self.failed("user@corp.example", name)), ["process.script", "process.user"])
        self.mail_by_hand("sso", "relay@corp.example", self.other.port)
        self.assertEqual(sorted(self.failed("relay@corp.example", name)), ["process.script", "relay"])
        self.mail_by_hand("sso", "box@evil.example", self.good.port)
        self.assertEqual(sorted(self.failed("box@evil.example", name)), ["mail.recipients", "process.script"])

        reset("rtyler")
        self.assert_excluded(self.now, "rtyler@corp.example", name)
        reset("msmith")
        self.assert_limit("msmith@corp.example", name)
        self.end()


if __name__ == "__main__":
    unittest.main()
