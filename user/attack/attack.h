/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ways in which bytes of a process can reach a TCP peer, for doctor --attack. Each brings one
 * mail to a server that belongs to the test, over loopback or in its own namespaces, and harms
 * nothing.
 */
#ifndef SMTPSNOOP_ATTACK_H
#define SMTPSNOOP_ATTACK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum attack_status {
	ATTACK_DONE,	    /* the server accepted the mail */
	ATTACK_UNAVAILABLE, /* this kernel or machine does not have it */
	ATTACK_FAILED,	    /* the mail did not arrive */
};

/* In memory shared between the attack's processes and the caller. */
struct attack_shared {
	pid_t sender_pid;     /* the process that sent the mail, in the caller's pid namespace */
	uint16_t source_port; /* of the mail's connection; 0: not looked at */
	char why[128];	      /* why it is unavailable or failed */
};

/* Servers whose first words do not look like a greeting, or later ones like commands. */
enum attack_odd {
	ATTACK_ODD_PROXY,  /* a proxy's answer and the greeting, in one segment */
	ATTACK_ODD_PIECES, /* everything in segments of two bytes */
	ATTACK_ODD_BLANK,  /* a blank line before the greeting */
	ATTACK_ODD_ECHO,   /* a segment that begins with the client's EHLO */
	ATTACK_ODD_LATE,   /* the greeting comes late */
	ATTACK_ODD_COUNT,
};

/* The servers that attack_serve() started: one for each kind of socket. */
struct attack_server {
	pid_t pid;
	uint16_t port;	     /* TCP over IPv4, with Fast Open */
	uint16_t ipv6_port;  /* 0: there is none */
	uint16_t mptcp_port; /* 0: there is none */
	uint16_t smc_port;   /* 0: there is none */
	/* The input is TLS, decrypted in the kernel with a key that both sides know */
	uint16_t ktls_port;
	/* a connection here is answered by one back, to the port that the client names */
	uint16_t call_port;
	uint16_t smtps_port;
	uint16_t roles_port; /* after STARTTLS, the server is TLS's client */
	uint16_t odd_ports[ATTACK_ODD_COUNT];
};

struct attack_target {
	struct attack_server server;
	char sender[64];    /* the reverse-path */
	char recipient[64]; /* the only one */
	/* a connection that was made and greeted before the watch; -1: none */
	int older_fd;
	struct attack_shared *shared;
};

struct attack {
	const char *name;  /* as in docs/coverage.md */
	const char *title; /* for people */
	enum attack_status (*run)(const struct attack_target *target);
};

/* The class that brings no mail: its session is an alert. */
#define ATTACK_CHANNEL "vrfy-channel"

extern const struct attack attacks[];
extern const size_t attack_count;

/*
 * Runs one attack in its own process group, for at most ten seconds; then ends what is left of it.
 */
enum attack_status attack_run(const struct attack *attack, const struct attack_target *target);

/* Starts the servers in a child, which ends with its parent. Returns 0 or a negative errno. */
int attack_serve(struct attack_server *server);

/* The same on every IPv6 address: only in a network namespace of one's own. */
int attack_serve_anywhere(struct attack_server *server);

/* A connection to the server, greeted; -1: none. */
int attack_connect_greeted(const struct attack_server *server);

#endif
