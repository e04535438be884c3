/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* cgroup_parse(): paths that systemd and container engines create, and paths that imitate them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "process/cgroup.h"

#define ID    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define POD   "1f0c2f3e_4d5a_6b7c_8d9e_0f1a2b3c4d5e"
#define UUID  "1f0c2f3e-4d5a-6b7c-8d9e-0f1a2b3c4d5e"
#define TASK  "0123456789abcdef0123456789abcdef"

#define HANDLE "6f265890-5165-7fab-6b52-18d1" /* of Garden */
#define BUILD  "x1dg8m3p8c0zq4l7v9w2k5t6y"    /* of BuildKit */

struct example {
	const char *path, *unit, *user_unit, *container;
};

static void check(const struct example *examples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct example *example = &examples[i];
		const size_t len = strlen(example->path);
		char *copy = malloc(len + 1); /* of exact length: there is no NUL behind it */
		struct cgroup_names names;

		assert_non_null(copy);
		memcpy(copy, example->path, len);
		cgroup_parse((struct span){copy, len}, &names);
		if (strcmp(names.unit, example->unit) ||
		    strcmp(names.user_unit, example->user_unit) ||
		    strcmp(names.container, example->container) || names.container_name[0])
			fail_msg("%s: unit '%s', user unit '%s', container '%s', name '%s'",
				 example->path, names.unit, names.user_unit, names.container,
				 names.container_name);
		free(copy);
	}
}

#define CHECK(...)                                                                                 \
	do {                                                                                       \
		const struct example examples_[] = {__VA_ARGS__};                                  \
		check(examples_, sizeof(examples_) / sizeof(examples_[0]));                        \
	} while (0)

struct container {
	const char *path, *id, *name, *runtime;
};

static void check_containers(const struct container *examples, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct container *example = &examples[i];
		struct cgroup_names names;

		cgroup_parse(span_of(example->path), &names);
		if (strcmp(names.container, example->id) ||
		    strcmp(names.container_name, example->name) ||
		    strcmp(names.runtime, example->runtime))
			fail_msg("%s: id '%s', name '%s', runtime '%s'", example->path,
				 names.container, names.container_name, names.runtime);
	}
}

#define CHECK_CONTAINERS(...)                                                                      \
	do {                                                                                       \
		const struct container examples_[] = {__VA_ARGS__};                                \
		check_containers(examples_, sizeof(examples_) / sizeof(examples_[0]));             \
	} while (0)

static void test_system_units(void **state)
{
	(void)state;
	CHECK({"/system.slice/cron.service", "cron.service", "", ""},
	      {"/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "", ""},
	      {"/init.scope", "init.scope", "", ""},
	      {"/web.slice/web-front.slice/nginx.service", "nginx.service", "", ""},
	      {"/user.slice/user-1000.slice/session-3.scope", "session-3.scope", "", ""},
	      {"/system.slice/ssh.socket", "ssh.socket", "", ""},
	      {"/system.slice/dev-hugepages.mount", "dev-hugepages.mount", "", ""},
	      {"/system.slice/dev-sda2.swap", "dev-sda2.swap", "", ""},
	      {"/system.slice/run-r1f.scope", "run-r1f.scope", "", ""},
	      {"/system.slice/system-postfix.slice/postfix@-.service", "postfix@-.service", "", ""},
	      {"/system.slice/my\\x2dtool.service", "my\\x2dtool.service", "", ""},
	      /* systemd escapes names that a file of the kernel could have */
	      {"/system.slice/_io.service", "io.service", "", ""},
	      {"/system.slice/__own.service", "_own.service", "", ""});
}

static void test_no_unit(void **state)
{
	(void)state;
	CHECK({"", "", "", ""}, {"/", "", "", ""}, {"//", "", "", ""}, {"cron.service", "", "", ""},
	      {"/system.slice", "", "", ""}, {"/system.slice/", "", "", ""},
	      {"/system.slice//cron.service", "", "", ""},
	      {"/system.slice/cron.service/", "", "", ""},
	      {"/../system.slice/cron.service", "", "", ""},
	      {"/system.slice/./cron.service", "", "", ""}, {"/system.slice/cron", "", "", ""},
	      {"/system.slice/.service", "", "", ""}, {"/system.slice/cron.service\n", "", "", ""},
	      {"/system.slice/cr on.service", "", "", ""},
	      {"/system.slice/cron.service (deleted)", "", "", ""},
	      {"/system.slice/\xc3\xa4.service", "", "", ""},
	      {"/system.slice/@x.service", "", "", ""}, {"/system.slice/x.timer", "", "", ""},
	      {"/user.slice/user-1000.slice", "", "", ""});
}

/* Below a delegated cgroup: the system manager did not choose the name. */
static void test_delegated(void **state)
{
	(void)state;
	CHECK({"/system.slice/build.service/cron.service", "", "", ""},
	      {"/system.slice/build.service/sub", "", "", ""},
	      {"/system.slice/build.service/system.slice/cron.service", "", "", ""},
	      {"/system.slice/build.service/docker-" ID ".scope", "", "", ""},
	      {"/system.slice/build.service/docker/" ID, "", "", ""},
	      {"/system.slice/build.service/libpod-payload-" ID, "", "", ""},
	      {"/user.slice/user-1000.slice/session-3.scope/cron.service", "", "", ""},
	      {"/user.slice/user-1000.slice/session-3.scope/lxc.payload.x", "", "", ""},
	      {"/init.scope/cron.service", "", "", ""});
}

/* A slice must be inside the slice that its name begins with. */
static void test_slices_out_of_place(void **state)
{
	(void)state;
	CHECK({"/system.slice/user-1000.slice/cron.service", "", "", ""},
	      {"/system.slice/system.slice/cron.service", "", "", ""},
	      {"/system-a.slice/cron.service", "", "", ""},
	      {"/system.slice/system-a-b.slice/cron.service", "", "", ""},
	      {"/system.slice/system-.slice/cron.service", "", "", ""},
	      {"/.slice/cron.service", "", "", ""},
	      {"/made.up/system.slice/cron.service", "", "", ""},
	      {"/system.slice/sys tem.slice/cron.service", "", "", ""},
	      {"/system.slice/system-a.slice/system-a-b.slice/x.service", "x.service", "", ""});
}

static void test_user_manager(void **state)
{
	(void)state;
	CHECK({"/user.slice/user-1000.slice/user@1000.service", "user@1000.service", "", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/init.scope", "", "init.scope", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/app.slice/mail.service", "",
	       "mail.service", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/app.slice/app-x.slice/y.service", "",
	       "y.service", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/mail.service/below", "",
	       "mail.service", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/app.slice", "", "", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/sub/mail.service", "", "", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID
	       ".scope/container",
	       "", "libpod-" ID ".scope", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/docker/" ID, "", "", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/lxc.payload.x", "", "", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/machine.slice/machine-x.scope", "",
	       "machine-x.scope", ""},
	      {"/user.slice/user-1000.slice/user@1000.service/app.slice/bad name.service", "", "",
	       ""});
}

static void test_containers_by_systemd(void **state)
{
	(void)state;
	CHECK({"/system.slice/docker-" ID ".scope", "docker-" ID ".scope", "", ID},
	      {"/system.slice/docker-" ID ".scope/init.scope", "", "", ID},
	      {"/system.slice/docker-" ID ".scope/system.slice/cron.service", "", "", ID},
	      {"/system.slice/docker-" ID ".scope/docker/" OTHER, "", "", ID},
	      {"/machine.slice/libpod-" ID ".scope/container", "", "", ID},
	      {"/machine.slice/libpod-" ID ".scope/libpod-payload-" OTHER, "", "", ID},
	      {"/machine.slice/libpod-conmon-" ID ".scope", "libpod-conmon-" ID ".scope", "", ""},
	      {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" POD
	       ".slice/cri-containerd-" ID ".scope",
	       "cri-containerd-" ID ".scope", "", ID},
	      {"/kubepods.slice/kubepods-pod" POD ".slice/crio-" ID ".scope/x", "", "", ID},
	      {"/kubepods.slice/kubepods-pod" POD ".slice/crio-conmon-" ID ".scope",
	       "crio-conmon-" ID ".scope", "", ""});
}

static void test_containers_by_cgroupfs(void **state)
{
	(void)state;
	CHECK({"/docker/" ID, "", "", ID}, {"/docker/" ID "/system.slice/cron.service", "", "", ID},
	      {"/docker/" ID "/docker/" OTHER, "", "", ID}, {"/docker", "", "", ""},
	      {"/docker/buildx", "", "", ""}, {"/docker/x/" ID, "", "", ""},
	      {"/kubepods/besteffort/pod1f0c2f3e-4d5a/" ID, "", "", ID},
	      {"/kubepods/pod1f0c2f3e-4d5a/" ID, "", "", ID}, {"/kubepods/a/b/c/" ID, "", "", ""},
	      {"/kubepods/burstable/podx", "", "", ""}, {"/libpod_parent/libpod-" ID, "", "", ID},
	      {"/system.slice:docker:" ID, "", "", ID},
	      {"/system.slice:docker:" ID "/cron.service", "", "", ID},
	      {"/system.slice/containerd.service/kubepods-besteffort-pod" POD
	       ".slice:cri-containerd:" ID,
	       "", "", ID},
	      {"/system.slice/containerd.service", "containerd.service", "", ""},
	      {"/system.slice/k3s.service/kubepods/burstable/pod1/" ID, "", "", ID},
	      {"/system.slice:evil:" ID, "", "", ""}, {"/:docker:" ID, "", "", ""},
	      {"/" ID, "", "", ""});
}

/* Trees that other documented engines create, and what looks like one elsewhere. */
static void test_containers_of_other_engines(void **state)
{
	(void)state;
	CHECK_CONTAINERS(/* Amazon ECS: on EC2, of older clusters, on Fargate */
			 {"/ecs/" TASK "/" ID, ID, "", "docker"},
			 {"/ecs/" UUID "/" ID, ID, "", "docker"},
			 {"/ecs/web-cluster/" TASK "/" ID "/init", ID, "", "docker"},
			 {"/ecs/" TASK "/" TASK "-1234567890", TASK "-1234567890", "", ""},
			 {"/ecs/" TASK "-1234567890", TASK "-1234567890", "", ""},
			 {"/ecstasks.slice/ecstasks-" TASK ".slice/docker-" ID ".scope", ID, "",
			  "docker"},
			 {"/ecs/" TASK, "", "", ""}, {"/ecs/" TASK "/" TASK "-", "", "", ""},
			 {"/ecs/" TASK "/" TASK "-12x", "", "", ""}, {"/ecs/a/b/c/" ID, "", "", ""},
			 {"/system.slice/build.service/ecs/" TASK "/" ID, "", "", ""},
			 {"/user.slice/user-1000.slice/user@1000.service/ecs/" TASK "/" ID, "", "",
			  ""},
			 {"/alice/ecs/" TASK "/" ID, "", "", ""},
			 /* CRI-O and Podman without systemd */
			 {"/kubepods/burstable/pod1/crio-" ID, ID, "", "cri-o"},
			 {"/kubepods/burstable/pod1/crio-conmon-" ID, "", "", ""},
			 {"/kubelet/kubepods/besteffort/pod1/" ID, ID, "", ""},
			 {"/kubelet/besteffort/pod1/" ID, "", "", ""},
			 {"/libpod_parent/" OTHER "/libpod-" ID, ID, "", "podman"},
			 {"/libpod_parent/libpod-conmon-" ID, "", "", ""},
			 /* What the engines are called */
			 {"/system.slice/nerdctl-" ID ".scope", ID, "", "containerd"},
			 {"/kubepods.slice/kubepods-pod" POD ".slice/cri-containerd-" ID ".scope",
			  ID, "", "containerd"},
			 {"/default/" ID, ID, "", "containerd"},
			 {"/k8s.io/" ID, ID, "", "containerd"},
			 {"/system.slice:crio:" ID, ID, "", "cri-o"},
			 /* What BuildKit builds, by itself and in docker */
			 {"/buildkit/" BUILD, BUILD, "", "buildkit"},
			 {"/docker/buildkit/" BUILD, BUILD, "", "buildkit"},
			 {"/system.slice/docker-" BUILD ".scope", BUILD, "", "docker"},
			 {"/docker/buildx/" ID, ID, "", "docker"},
			 {"/buildkit/" BUILD "0", "", "", ""}, {"/docker/" BUILD, "", "", ""},
			 {"/actions_job/" ID, ID, "", "docker"},
			 /* Cloud Foundry's Garden, Mesos */
			 {"/garden/" HANDLE, HANDLE, "", "garden"},
			 {"/garden/good/" UUID, UUID, "", "garden"},
			 {"/system.slice/garden.service/garden/bad/" HANDLE, HANDLE, "", "garden"},
			 {"/garden/" HANDLE "0", "", "", ""}, {"/garden/good", "", "", ""},
			 {"/mesos/" UUID, UUID, "", "mesos"},
			 {"/mesos/" UUID "/mesos/0f0c2f3e-4d5a-6b7c-8d9e-0f1a2b3c4d5e", UUID, "",
			  "mesos"},
			 {"/mesos/" HANDLE, "", "", ""}, {"/mesos_executors.slice", "", "", ""},
			 {"/mesos/1f0c2f3e-4d5a-6b7c-8d9e_0f1a2b3c4d5e", "", "", ""},
			 /* kind: the node is the container; its root names what is inside */
			 {"/docker/" ID "/kubelet/kubepods/besteffort/pod1/" OTHER, ID, "",
			  "docker"},
			 {"/system.slice/docker-" ID ".scope/kubelet.slice/kubelet-kubepods.slice/"
			  "cri-containerd-" OTHER ".scope",
			  ID, "", "docker"},
			 {"/system.slice/snap.docker.dockerd.service/docker/" ID, ID, "", "docker"},
			 {"/system.slice/k0sworker.service/kubepods/pod1/" ID, ID, "", ""});
}

static void test_container_ids(void **state)
{
	(void)state;
	CHECK({"/docker/0123456789abcdef", "", "", ""}, {"/docker/" ID "0", "", "", ""},
	      {"/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "", "",
	       ""},
	      {"/docker/g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "", "",
	       ""},
	      {"/system.slice/docker-.scope", "docker-.scope", "", ""},
	      {"/system.slice/evil-" ID ".scope", "evil-" ID ".scope", "", ""},
	      {"/system.slice/docker-" ID ".service", "docker-" ID ".service", "", ""});
}

static void test_containers_by_name(void **state)
{
	(void)state;
	CHECK_CONTAINERS(
		{"/lxc.payload.web1", "", "web1", "lxc"},
		{"/lxc.payload.web1/system.slice/cron.service", "", "web1", "lxc"},
		{"/lxc.payload.", "", "", ""}, {"/lxc.monitor.web1", "", "", ""},
		{"/lxc/101/ns/init.scope", "", "101", "lxc"}, {"/lxc", "", "", ""},
		{"/lxc.payload.we b", "", "", ""}, {"/x/lxc.payload.web1", "", "", ""},
		{"/lxc.payload." ID, "", ID, "lxc"}, {"/lxc.payload." ID ID, "", ID ID, "lxc"},
		{"/lxc.payload." ID ID "0", "", "", ""}, {"/lxc.payload/web1", "", "web1", "lxc"},
		{"/lxc/web1", "", "web1", "lxc"},
		{"/lxc.payload.outer/lxc.payload.inner", "", "outer", "lxc"},
		{"/lxc.payload.outer/docker/" ID, "", "outer", "lxc"},
		{"/machine/web1.libvirt-lxc", "", "web1", "libvirt-lxc"},
		{"/machine/vm1.libvirt-qemu", "", "", ""}, {"/machine/.libvirt-lxc", "", "", ""},
		{"/machine.slice/machine-lxc\\x2d12\\x2dweb.scope/payload", "", "lxc-12-web",
		 "systemd-nspawn"},
		{"/machine.slice/systemd-nspawn@db.service/payload", "", "db", "systemd-nspawn"},
		{"/machine.slice/machine-web.scope/payload/system.slice/cron.service", "", "web",
		 "systemd-nspawn"},
		{"/machine.slice/machine-web.scope", "", "web", ""},
		{"/machine.slice/machine-web.scope/supervisor", "", "", ""},
		{"/machine.slice/machine-my\\x2dweb.scope/payload", "", "my-web", "systemd-nspawn"},
		{"/machine.slice/machine-my\\x2fweb.scope/payload", "", "", ""},
		{"/machine.slice/machine-my\\x0aweb.scope/payload", "", "", ""},
		{"/machine.slice/machine-my\\x2.scope/payload", "", "", ""},
		{"/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator", "", "", ""},
		{"/machine.slice/systemd-nspawn@web.service/payload/init.scope", "", "web",
		 "systemd-nspawn"},
		{"/machine.slice/systemd-nspawn@web.service/supervisor", "", "", ""},
		{"/machine.slice/systemd-nspawn@web.service", "", "", ""},
		{"/system.slice/machine-web.scope", "", "", ""});
}

static void test_lengths(void **state)
{
	char path[8192], name[300];
	struct cgroup_names names;
	size_t len;

	(void)state;
	memset(name, 'n', sizeof(name));
	/* A unit's name has at most 255 bytes, with ".service". */
	for (size_t n = 240; n < 260; n++) {
		len = (size_t)snprintf(path, sizeof(path), "/system.slice/%.*s.service", (int)n,
				       name);
		cgroup_parse((struct span){path, len}, &names);
		assert_int_equal(strlen(names.unit), n + 8 < UNIT_NAME_LEN ? n + 8 : 0);
	}
	len = 0;
	while (len + 2 < sizeof(path)) {
		path[len++] = '/';
		path[len++] = 'a';
	}
	cgroup_parse((struct span){path, len}, &names);
	assert_string_equal(names.unit, "");
	memset(path, '/', sizeof(path));
	cgroup_parse((struct span){path, sizeof(path)}, &names);
	assert_string_equal(names.unit, "");
	cgroup_parse((struct span){NULL, 0}, &names);
	assert_string_equal(names.unit, "");
	cgroup_parse((struct span){"/system.slice/a\0b.service", 25}, &names);
	assert_string_equal(names.unit, "");
}

/* Meaningful pieces in any order: no read outside the path, and every name is part of the path. */
static void test_any_order(void **state)
{
	static const char *const pieces[] = {
		"/",
		"system.slice",
		"user@1000.service",
		"cron.service",
		"docker",
		"ecs",
		"garden",
		"mesos",
		UUID,
		ID,
		"machine.slice",
		"_",
		"machine-\\x",
		"lxc.payload.",
		"kubepods",
		".scope",
		":docker:",
		"libpod_parent",
		"\\x2d",
		"payload",
		"containerd.service",
		"..",
		"lxc",
	};
	const size_t count = sizeof(pieces) / sizeof(pieces[0]);
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		char path[1024], *exact;
		struct cgroup_names names;
		size_t len = 0;

		for (int j = 0; j < 8; j++) {
			const char *piece =
				pieces[(seed = seed * 1103515245 + 12345) / 65536 % count];

			memcpy(path + len, piece, strlen(piece));
			len += strlen(piece);
			if (seed / 64 % 2)
				path[len++] = '/';
		}
		exact = malloc(len);
		assert_non_null(exact);
		memcpy(exact, path, len);
		cgroup_parse((struct span){exact, len}, &names);
		if (names.container[0])
			assert_non_null(
				memmem(exact, len, names.container, strlen(names.container)));
		if (names.unit[0])
			assert_non_null(memmem(exact, len, names.unit, strlen(names.unit)));
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_system_units),
		cmocka_unit_test(test_no_unit),
		cmocka_unit_test(test_delegated),
		cmocka_unit_test(test_slices_out_of_place),
		cmocka_unit_test(test_user_manager),
		cmocka_unit_test(test_containers_by_systemd),
		cmocka_unit_test(test_containers_by_cgroupfs),
		cmocka_unit_test(test_containers_of_other_engines),
		cmocka_unit_test(test_container_ids),
		cmocka_unit_test(test_containers_by_name),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
