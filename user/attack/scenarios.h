/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Attacks that are more than another call: each is the run() of a struct attack. */
#ifndef SMTPSNOOP_ATTACK_SCENARIOS_H
#define SMTPSNOOP_ATTACK_SCENARIOS_H

#include "attack/attack_session.h"

enum attack_status run_inet6(const struct attack_target *target);
enum attack_status run_mapped(const struct attack_target *target);
enum attack_status run_mptcp(const struct attack_target *target);
enum attack_status run_smc(const struct attack_target *target);
enum attack_status run_ktls(const struct attack_target *target);
enum attack_status run_fastopen(const struct attack_target *target);
enum attack_status run_fastopen_connect(const struct attack_target *target);
enum attack_status run_netns(const struct attack_target *target);
enum attack_status run_container(const struct attack_target *target);
enum attack_status run_inherited(const struct attack_target *target);
enum attack_status run_setuid(const struct attack_target *target);
enum attack_status run_exec(const struct attack_target *target);
enum attack_status run_passed(const struct attack_target *target);
enum attack_status run_fetched(const struct attack_target *target);
enum attack_status run_turns(const struct attack_target *target);
enum attack_status run_thread(const struct attack_target *target);
enum attack_status run_accepted(const struct attack_target *target);
enum attack_status run_junk(const struct attack_target *target);
enum attack_status run_rewritten(const struct attack_target *target);
enum attack_status run_unmapped(const struct attack_target *target);
enum attack_status run_userfault(const struct attack_target *target);

enum attack_status run_older(const struct attack_target *target);
enum attack_status run_ktls_sendfile(const struct attack_target *target);

/* The peer reads something else than each send shows: see stream.c. */
enum attack_status run_urgent(const struct attack_target *target);
enum attack_status run_pieces(const struct attack_target *target);
enum attack_status run_fake_tls(const struct attack_target *target);
enum attack_status run_changed_later(const struct attack_target *target);
enum attack_status run_blocked(const struct attack_target *target);
enum attack_status run_channel(const struct attack_target *target);
enum attack_status run_scoped(const struct attack_target *target);
enum attack_status run_encapsulated(const struct attack_target *target);

/* The connection does not look like SMTP: see hidden.c. */
enum attack_status run_proxy_answer(const struct attack_target *target);
enum attack_status run_greeting_pieces(const struct attack_target *target);
enum attack_status run_greeting_blank(const struct attack_target *target);
enum attack_status run_echo(const struct attack_target *target);
enum attack_status run_early(const struct attack_target *target);
enum attack_status run_repair(const struct attack_target *target);

/* TLS by the host's libssl: see tls.c. */
enum attack_status run_tls_starttls(const struct attack_target *target);
enum attack_status run_tls_smtps(const struct attack_target *target);
enum attack_status run_tls_memory_bio(const struct attack_target *target);
enum attack_status run_tls_reused_object(const struct attack_target *target);
enum attack_status run_tls_server_object(const struct attack_target *target);
enum attack_status run_tls_forged_object(const struct attack_target *target);
enum attack_status run_tls_library_copy(const struct attack_target *target);
enum attack_status run_tls_many_libraries(const struct attack_target *target);
enum attack_status run_tls_forged_symbols(const struct attack_target *target);

/* Raw and packet sockets, with TCP in user space: see raw.c. */
enum attack_status run_raw_socket(const struct attack_target *target);
enum attack_status run_packet_socket(const struct attack_target *target);

#endif
