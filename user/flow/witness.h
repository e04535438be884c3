/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of the two hooks saw a range of bytes, and whether they agree. */
#ifndef SMTPSNOOP_WITNESS_H
#define SMTPSNOOP_WITNESS_H

enum witness {
	WITNESS_NONE,	   /* neither hook: there is nothing to compare */
	WITNESS_AGREE,	   /* the wire carried what the send hook read */
	WITNESS_SEND_ONLY, /* there is no wire hook, or it saw none of these bytes */
	WITNESS_WIRE_ONLY, /* the bytes left, but no send hook saw their send */
	WITNESS_DIFFER, /* the bytes changed between the send and the wire; under TLS their number
			 */
};

#endif
