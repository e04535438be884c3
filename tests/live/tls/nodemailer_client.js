// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// nodemailer. Arguments: see tls_clients.py; HOW is "one" connection for all mails, one for "each", or "parallel".
"use strict";

const fs = require("fs");
const nodemailer = require("nodemailer");

const [mode, port, auth, how, sender, ...recipients] = process.argv.slice(2);
const [user, pass] = fs.readFileSync(auth, "ascii").trim().split(/\s+/);
const options = {
	host: "127.0.0.1", port: Number(port), secure: mode === "smtps", requireTLS: mode === "starttls",
	name: "client.test", tls: { rejectUnauthorized: false, servername: "mail.test" }, auth: { user, pass },
	pool: how === "one", maxConnections: 1,
};

async function main() {
	const transport = nodemailer.createTransport(options);
	const mail = (recipient) => transport.sendMail({ from: sender, to: recipient, subject: "to " + recipient, text: "hello" });
	if (how === "parallel")
		await Promise.all(recipients.map(mail));
	else
		for (const recipient of recipients)
			await mail(recipient);
	transport.close();
}

main().catch((error) => {
	console.error(error);
	process.exit(1);
});
