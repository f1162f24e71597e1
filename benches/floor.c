/* The floor of a container's cost: one clone3 into all namespaces, an overlay, the usual mounts, masks and filter, exec,
 * and the wait for its end. No images, no state, no network set-up, no cgroup, nothing checked: what a runtime can only add to.
 *
 *   floor BUNDLE PROGRAM [ARG…]     BUNDLE/rootfs is the lower directory
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRY(call)                                                              \
    do {                                                                       \
        if ((long)(call) < 0) {                                                \
            fprintf(stderr, "floor: %s: %s\n", #call, strerror(errno));        \
            _exit(125);                                                        \
        }                                                                      \
    } while (0)

static const char *const MASKED[] = {"proc/kcore", "proc/keys", "proc/timer_list", "proc/latency_stats", NULL};
static const char *const READ_ONLY[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger", NULL};
static const char *const DEVICES[] = {"null", "zero", "full", "random", "urandom", "tty", NULL};

static void mounts(const char *bundle) {
    char options[4096], path[4096], from[256];
    TRY(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
    snprintf(path, sizeof path, "%s/floor", bundle);
    mkdir(path, 0755);
    TRY(mount("tmpfs", path, "tmpfs", 0, NULL));
    TRY(chdir(path));
    TRY(mkdir("upper", 0755));
    TRY(mkdir("work", 0755));
    TRY(mkdir("root", 0755));
    snprintf(options, sizeof options, "lowerdir=%s/rootfs,upperdir=upper,workdir=work", bundle);
    TRY(mount("overlay", "root", "overlay", 0, options));
    TRY(chdir("root"));
    mkdir("proc", 0755), mkdir("sys", 0755), mkdir("dev", 0755);
    TRY(mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    TRY(mount("sysfs", "sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY, NULL));
    TRY(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=64k"));
    mkdir("dev/pts", 0755), mkdir("dev/shm", 01777), mkdir("dev/mqueue", 0755);
    TRY(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
    TRY(mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m"));
    TRY(mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    for (int i = 0; DEVICES[i]; i++) {
        snprintf(path, sizeof path, "dev/%s", DEVICES[i]);
        snprintf(from, sizeof from, "/dev/%s", DEVICES[i]);
        close(open(path, O_CREAT | O_WRONLY, 0666));
        TRY(mount(from, path, NULL, MS_BIND, NULL));
    }
    for (int i = 0; MASKED[i]; i++) mount("/dev/null", MASKED[i], NULL, MS_BIND, NULL);
    for (int i = 0; READ_ONLY[i]; i++) {
        if (mount(READ_ONLY[i], READ_ONLY[i], NULL, MS_BIND | MS_REC, NULL) == 0)
            TRY(mount(NULL, READ_ONLY[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_REC, NULL));
    }
    TRY(syscall(SYS_pivot_root, ".", "."));
    TRY(umount2(".", MNT_DETACH));
    TRY(chdir("/"));
}

/* A few dozen comparisons, as a compact profile has on its common path. */
static void filter(void) {
    struct sock_filter program[64];
    unsigned short length = 0;
    program[length++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (int i = 0; i < 40; i++) program[length++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1000 + i, 0, 0);
    program[length++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog all = {.len = length, .filter = program};
    TRY(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    TRY(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &all));
}

int main(int count, char **words) {
    if (count < 3) return fprintf(stderr, "usage: floor BUNDLE PROGRAM [ARG...]\n"), 2;
    struct clone_args how = {
        .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWCGROUP,
        .exit_signal = SIGCHLD,
    };
    long child = syscall(SYS_clone3, &how, sizeof how);
    TRY(child);
    if (child == 0) {
        mounts(words[1]);
        TRY(sethostname("floor", 5));
        for (int capability = 0; capability <= 40; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
        filter();
        TRY(syscall(SYS_close_range, 3, ~0U, 0));
        char *environment[] = {"PATH=/bin", NULL};
        TRY(execve(words[2], words + 2, environment));
    }
    int status;
    TRY(waitpid((pid_t)child, &status, 0));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
