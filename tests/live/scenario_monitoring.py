# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Health checks: the Zabbix server with PostgreSQL, configured by SQL alone. A value that zabbix_sender pushes is a
problem, and the server mails it with its own SMTP code. (Nagios 4 runs in test_scenarios.py.)"""

import subprocess
import unittest

from harness import SLOW, Sink, free_port, get, is_listening, short, wait_for
from mta import Root
from scenario import ATTACKER, SystemCase

POSTGRES = """set -e
install -d -o postgres -g postgres /run/pg
install -d -o zabbix -g zabbix /run/zabbix
cd /run/pg
setpriv --reuid postgres --regid postgres --clear-groups /usr/lib/postgresql/*/bin/initdb -D /run/pg/data -U zabbix \
	--auth=trust --no-sync --locale=C -E UTF8
ln -s /usr/lib/postgresql/*/bin/postgres /run/pg/postgres
"""
SERVER = """
ListenIP=127.0.0.1
ListenPort={port}
DBHost=127.0.0.1
DBPort={database}
DBName=zabbix
DBUser=zabbix
LogType=console
PidFile=/run/zabbix/server.pid
SocketDir=/run/zabbix
"""
# The host `web` has an item that takes pushed values, and a trigger for which each value above 0 is a new problem.
# Media type 1 is Email; action 3 reports problems to the group of the user 1.
CONFIGURATION = """
update media_type set status=0, smtp_server='127.0.0.1', smtp_port={relay}, smtp_helo='monitor.example',
  smtp_email='zabbix@monitor.example' where mediatypeid=1;
update actions set status=0 where actionid=3;
update hosts set status=1 where hostid=10084;
insert into hosts (hostid, host, name, name_upper) values (900001, 'web', 'web', 'WEB');
insert into hosts_groups (hostgroupid, hostid, groupid) values (900001, 900001, 2);
insert into items (itemid, type, hostid, name, key_, value_type) values (900001, 2, 900001, 'http', 'http', 3);
insert into item_rtdata (itemid) values (900001);
insert into triggers (triggerid, expression, description, priority, type, recovery_mode)
  values (900001, '{{900001}}>0', 'Service Unreachable: http', 4, 1, 2);
insert into functions (functionid, itemid, triggerid, name, parameter) values (900001, 900001, 900001, 'last', '$');
insert into media (mediaid, userid, mediatypeid, sendto) values (900001, 1, 1, 'nobody@corp.example');
"""
LOAD_S = 240  # to load 170,000 lines of templates, on a busy host
MAIL = "Subject: Problem: x\r\n\r\nProblem name: Service Unreachable\r\n"


class Zabbix(SystemCase):
    name = "zabbix"
    limit_s = SystemCase.limit_s + LOAD_S

    def setUp(self):
        super().setUp()
        self.good, self.other = Sink(self), Sink(self)
        root = Root(type(self), "")
        root.run("sh", "-c", POSTGRES)
        self.begin(root, "monitoring", self.good.port)
        self.database = free_port()
        self.port = next(port for port in range(20000, 32767) if not is_listening(port))  # Zabbix takes none above
        self.start("/run/pg/postgres", "-D", "/run/pg/data", "-p", str(self.database), "-k", "/run/pg", "-h", "127.0.0.1",
                   "-c", "fsync=off", user="postgres", port=self.database)
        self.psql("postgres", "create database zabbix")
        for name in ("schema", "images", "data"):
            root.run("sh", "-ec", f"zcat /usr/share/zabbix-server-pgsql/{name}.sql.gz | psql -q -v ON_ERROR_STOP=1 "
                     f"-h 127.0.0.1 -U zabbix -p {self.database} zabbix", timeout_s=LOAD_S)
        self.sql(CONFIGURATION.format(relay=self.good.port))
        root.write("/run/zabbix/server.conf", SERVER.format(port=self.port, database=self.database))
        self.start("/usr/sbin/zabbix_server", "-f", "-c", "/run/zabbix/server.conf", user="zabbix", port=self.port)

    def psql(self, database, text):
        return self.root.run("psql", "-q", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-U", "zabbix", "-p",
                             str(self.database), "-c", text, database)

    def sql(self, text):
        self.psql("zabbix", text)

    def push(self):
        """Reports a problem; False if the server does not know the item yet."""
        return subprocess.run([*self.root.prefix, "zabbix_sender", "-z", "127.0.0.1", "-p", str(self.port), "-s", "web",
                               "-k", "http", "-o", "1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0

    def problem(self, recipient):
        self.sql(f"update media set sendto='{recipient}' where mediaid=900001")
        wait_for(self.push, 60 * SLOW, lambda: "the server to take the value: " + self.errors(), 0.5)
        return self.now.message(recipient, 40 * SLOW)

    def failed(self, recipient):
        return get(self.assert_alert(self.now, recipient, self.name), "smtpsnoop.nearest.failed")

    def test_zabbix(self):
        event = self.problem("one@corp.example")
        self.assertEqual(get(event, "process.executable"), "/usr/sbin/zabbix_server", short(event))
        self.assert_excluded(self.now, "one@corp.example", self.name)
        self.assert_schedule("one@corp.example", self.name)
        self.problem("box@evil.example")
        self.assertEqual(self.failed("box@evil.example"), ["mail.recipients"])
        self.sql(f"update media_type set smtp_port={self.other.port} where mediatypeid=1")
        self.problem("relay@corp.example")
        self.assertEqual(self.failed("relay@corp.example"), ["relay"])
        self.sql(f"update media_type set smtp_port={self.good.port} where mediatypeid=1")
        self.by_hand()
        self.problem("two@corp.example")
        self.assert_excluded(self.now, "two@corp.example", self.name)
        self.problem("three@corp.example")
        self.assert_limit("three@corp.example", self.name)
        self.end()

    def by_hand(self):
        """The same mail by another program, and by another user."""
        text = self.write("mail.txt", MAIL, 0o644)
        for user, recipient, failed in (("zabbix", "exe@corp.example", ["process.executable"]),
                                        (ATTACKER, "user@corp.example", ["process.executable", "process.user"])):
            self.shell(user, f"curl -sS smtp://127.0.0.1:{self.good.port} --mail-from zabbix@monitor.example "
                       f"--mail-rcpt {recipient} -T {text}")
            event = self.now.message(recipient)
            self.assertEqual(get(event, "smtpsnoop.verdict"), "alert")
            self.assertEqual(sorted(self.failed(recipient)), failed, short(event))


if __name__ == "__main__":
    unittest.main()
