/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs that do nothing, on the hooks of a send: the cost of being called at all. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

SEC("tp_btf/tcp_sendmsg_locked")
int empty_begin(void *ctx)
{
	return 0;
}

SEC("tp_btf/sock_send_length")
int empty_end(void *ctx)
{
	return 0;
}

SEC("cgroup_skb/egress")
int empty_egress(struct __sk_buff *skb)
{
	return 1;
}

SEC("cgroup_skb/ingress")
int empty_ingress(struct __sk_buff *skb)
{
	return 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
