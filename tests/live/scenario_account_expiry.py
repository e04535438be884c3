# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Account expiry: OpenLDAP's slapd with a password policy, and a reminder job in the crontab of its own user.

FreeIPA's ipa-epn needs a FreeIPA server, which Debian 12 does not have. So test_ipa_epn shows that it mails nothing
without one; then the four functions that ask the server or for its client are replaced (the API's schema, whether the
client is configured, the directory, the domain of the addresses), and the rest runs: `ipa-epn --mail-test` reads its
configuration, gives up root, fills in its template and mails it. What it would read from the directory is not tested.
"""

import unittest

from harness import Sink, free_port, get, short
from mta import Root
from scenario import ATTACKER, SystemCase

SLAPD = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
database mdb
suffix dc=corp,dc=example
directory /run/directory
overlay ppolicy
ppolicy_default cn=policy,dc=corp,dc=example
"""
TREE = """dn: dc=corp,dc=example
objectClass: dcObject
objectClass: organization
dc: corp
o: corp

dn: cn=policy,dc=corp,dc=example
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdMaxAge: 7776000
pwdExpireWarning: 1209600

dn: ou=staff,dc=corp,dc=example
objectClass: organizationalUnit
ou: staff

dn: ou=guests,dc=corp,dc=example
objectClass: organizationalUnit
ou: guests
"""
ACCOUNT = """
dn: cn={name},ou={unit},dc=corp,dc=example
objectClass: inetOrgPerson
cn: {name}
sn: {name}
mail: {mail}
userPassword: secret
pwdChangedTime: {changed}
"""
REMIND = r"""#!/bin/sh
# remind URL BASE RELAY: mails to every account below BASE whose password expires within two weeks.
old=$(date -u -d '-76 days' +%Y%m%d%H%M%SZ)
ldapsearch -x -LLL -o ldif-wrap=no -H "$1" -b "$2" "(pwdChangedTime<=$old)" mail pwdChangedTime |
awk '/^mail:/ { mail = $2 } /^pwdChangedTime:/ { changed = substr($2, 1, 8) } /^$/ && mail { print mail, changed; mail = "" }' |
while read -r mail changed; do
	swaks --silent 3 --server "$3" --from hr@corp.example --to "$mail" --body 'Please renew your account.' \
		--header "Subject: Your account expires on $(date -d "$changed +90 days" +%F)" </dev/null
done
"""
SWAKS = "swaks --silent 3 --from hr@corp.example --header 'Subject: Your account expires on 2027-01-31' " \
        "--body 'Please renew your account.' </dev/null"
EPN_CONF = """[global]
smtp_server = localhost
smtp_port = {port}
smtp_admin = {admin}
mail_from = {admin}
"""
IPA_CONF = """[global]
realm = CORP.EXAMPLE
domain = corp.example
basedn = dc=corp,dc=example
server = ipa.corp.example
xmlrpc_uri = https://ipa.corp.example/ipa/xml
"""
# The package depends on sssd, certmonger and chrony. Its own files need only python3-ipaclient.
UNPACK = """cd /run
apt-get download freeipa-client-epn
dpkg -x freeipa-client-epn_*.deb epn
cp -r epn/etc/ipa /etc
cp epn/usr/sbin/ipa-epn /usr/sbin
"""
WITHOUT_SERVER = """
type(api).finalize = lambda self: None
is_ipa_client_configured = lambda *arguments: True
EPN._get_connection = lambda self: None
EPN._read_ipa_configuration = lambda self: setattr(self, "default_email_domain", "corp.example")
"""


class AccountExpiry(SystemCase):
    accounts = ("hr-notify",)
    name = "account-expiry"

    def setUp(self):
        super().setUp()
        self.good, self.other = Sink(self), Sink(self)
        self.begin(Root(type(self), ""), self.name, self.good.port)

    def directory(self, accounts):
        """Starts slapd with (name, unit, mail, age of the password in days); returns its URL."""
        tree, port = TREE, free_port()
        for name, unit, mail, days in accounts:
            changed = self.root.run("date", "-u", "-d", f"-{days} days", "+%Y%m%d%H%M%SZ").decode().strip()
            tree += ACCOUNT.format(name=name, unit=unit, mail=mail, changed=changed)
        self.root.write("/run/slapd.conf", SLAPD)
        self.root.write("/run/tree.ldif", tree)
        self.root.run("install", "-d", "-o", "openldap", "-g", "openldap", "/run/directory")
        self.root.run(*self.by("openldap"), "/usr/sbin/slapadd", "-f", "/run/slapd.conf", "-l", "/run/tree.ldif")
        url = f"ldap://127.0.0.1:{port}"
        self.start("/usr/sbin/slapd", "-d", "0", "-f", "/run/slapd.conf", "-h", url, user="openldap", port=port)
        return url

    def failed(self, recipient, name=name):
        return sorted(get(self.assert_alert(self.now, recipient, name), "smtpsnoop.nearest.failed"))

    def test_reminders(self):
        url = self.directory([
            ("outside", "staff", "box@evil.example", 85), ("one", "staff", "one@corp.example", 80),
            ("fresh", "staff", "fresh@corp.example", 5), ("two", "staff", "two@corp.example", 88),
            ("three", "staff", "three@corp.example", 77), ("relay", "guests", "relay@corp.example", 80)])
        self.root.write("/usr/local/bin/remind", REMIND)
        self.root.run("chmod", "755", "/usr/local/bin/remind")
        self.root.run("sh", "-c", "find /etc/cron.d /var/spool/cron/crontabs -type f -delete")
        remind = f"/usr/local/bin/remind {url}"
        self.root.write("/etc/crontab", f"""PATH=/usr/sbin:/usr/bin:/sbin:/bin
@reboot hr-notify {remind} ou=guests,dc=corp,dc=example 127.0.0.1:{self.other.port}
@reboot hr-notify {remind} ou=staff,dc=corp,dc=example 127.0.0.1:{self.good.port}
@reboot {ATTACKER} {SWAKS} --server 127.0.0.1:{self.good.port} --to user@corp.example
""")
        self.start("/usr/sbin/cron", "-f")
        event = self.assert_excluded(self.now, "one@corp.example", self.name, 30)
        self.assertEqual(get(event, "smtpsnoop.process.scheduled_by"), "cron", short(event))
        self.assert_schedule("one@corp.example", self.name)
        self.assert_excluded(self.now, "two@corp.example", self.name)
        self.assert_limit("three@corp.example", self.name)
        self.assertIn("mail.recipients", self.failed("box@evil.example"))
        self.assertEqual(self.failed("relay@corp.example"), ["relay"])
        self.assertEqual(self.failed("user@corp.example")[0], "process.user")
        self.assertEqual(self.now.messages(lambda event: "fresh@corp.example" in get(event, "smtp.rcpt_to")), [])
        self.by_hand()
        self.end()

    def by_hand(self):
        """The same mail by the same user, but not by the job."""
        self.shell("hr-notify", f"{SWAKS} --server 127.0.0.1:{self.good.port} --to hand@corp.example")
        self.assertIn("process.scheduled_by", self.failed("hand@corp.example"))
        self.shell("hr-notify", f"cp /usr/bin/swaks /tmp/{self.good.port}; perl /tmp/{self.good.port} "
                   f"{SWAKS.removeprefix('swaks ')} --server 127.0.0.1:{self.good.port} --to script@corp.example; "
                   f"rm /tmp/{self.good.port}")
        self.assertIn("process.script", self.failed("script@corp.example"))

    def test_ipa_epn(self):
        self.root.run("sh", "-ec", UNPACK)
        with self.assertRaisesRegex(AssertionError, "IPA client is not configured on this system"):
            self.root.run("ipa-epn", "--mail-test")
        self.root.write("/etc/ipa/default.conf", IPA_CONF)
        self.root.write("/etc/ipa/ca.crt", "")
        self.root.run("sh", "-c", 'cat >> "$(dpkg -L python3-ipaclient | grep ipa_epn.py)"', stdin=None,
                      input=WITHOUT_SERVER.encode())
        name = "ipa-epn"

        def remind(admin, port=self.good.port):
            self.root.write("/etc/ipa/epn.conf", EPN_CONF.format(port=port, admin=admin))
            self.root.run("ipa-epn", "--mail-test")

        remind("ipa@corp.example")
        event = self.assert_excluded(self.now, "ipa@corp.example", name)
        self.assertEqual((get(event, "user.name"), get(event, "smtpsnoop.process.script")), ("daemon", "/usr/sbin/ipa-epn"))
        self.assert_schedule("ipa@corp.example", name)
        remind("box@evil.example")
        self.assertEqual(self.failed("box@evil.example", name), ["mail.recipients", "mail.sender"])
        self.end()


if __name__ == "__main__":
    unittest.main()
