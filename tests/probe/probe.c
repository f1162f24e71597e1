/* Asks the kernel directly, from inside a container, what it allows: one call, one answer on standard output.
 *
 *   probe hello                    says that it runs
 *   probe call NAME|NUMBER [ARG…]  makes a system call; arguments are numbers
 *   probe i386 NUMBER [ARG…]       the same through the 32-bit entry (int 0x80)
 *   probe x32 NUMBER [ARG…]        the same through the x32 entry
 *   probe descriptors              the open descriptors and what they lead to
 *   probe touch MEGABYTES          uses that much memory and sleeps
 *   probe forks COUNT              makes that many processes that sleep, says how many it could
 *   probe grab-exe PATH            waits for a process whose program is not PATH and opens that program for writing
 *   probe serve PORT TEXT          answers every connection on that TCP port with the text
 *   probe get ADDRESS PORT         what such a server answers (no names are looked up)
 *   probe flood MEGABYTES          writes that much text, in lines, as fast as it can
 *   probe caps                     the sets of capabilities
 *   probe exit-signal NUMBER       ends by that signal
 *   probe ignore                   ignores SIGTERM and sleeps
 *
 * The answer to a call is `ok`, or the name of the error.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct named {
    const char *name;
    long number;
};

static const struct named CALLS[] = {
    {"io_uring_setup", 425}, {"io_uring_enter", 426}, {"io_uring_register", 427},
    {"add_key", SYS_add_key}, {"request_key", SYS_request_key}, {"keyctl", SYS_keyctl},
    {"bpf", SYS_bpf}, {"perf_event_open", SYS_perf_event_open}, {"userfaultfd", SYS_userfaultfd},
    {"mount", SYS_mount}, {"umount2", SYS_umount2}, {"pivot_root", SYS_pivot_root},
    {"open_tree", 428}, {"move_mount", 429}, {"fsopen", 430}, {"fsmount", 432}, {"mount_setattr", 442},
    {"unshare", SYS_unshare}, {"setns", SYS_setns}, {"clone", SYS_clone}, {"clone3", 435},
    {"ptrace", SYS_ptrace}, {"process_vm_readv", SYS_process_vm_readv}, {"kcmp", SYS_kcmp},
    {"init_module", SYS_init_module}, {"finit_module", SYS_finit_module}, {"delete_module", SYS_delete_module},
    {"kexec_load", SYS_kexec_load}, {"reboot", SYS_reboot}, {"swapon", SYS_swapon}, {"swapoff", SYS_swapoff},
    {"syslog", SYS_syslog}, {"settimeofday", SYS_settimeofday}, {"clock_settime", SYS_clock_settime},
    {"open_by_handle_at", SYS_open_by_handle_at}, {"quotactl", SYS_quotactl}, {"acct", SYS_acct},
    {"sethostname", SYS_sethostname}, {"chroot", SYS_chroot}, {"personality", SYS_personality},
    {"getpid", SYS_getpid}, {"getppid", SYS_getppid},
#ifdef SYS_iopl
    {"iopl", SYS_iopl}, {"ioperm", SYS_ioperm},
#endif
};

static int answer(long result, int error) {
    if (result >= 0) {
        puts("ok");
    } else if (strerrorname_np(error)) {
        puts(strerrorname_np(error));
    } else {
        printf("errno %d\n", error);
    }
    return 0;
}

static long number_of(const char *text) {
    for (size_t i = 0; i < sizeof CALLS / sizeof *CALLS; i++) {
        if (strcmp(CALLS[i].name, text) == 0) return CALLS[i].number;
    }
    char *end;
    long number = strtol(text, &end, 0);
    if (*end) {
        fprintf(stderr, "probe: no call `%s`\n", text);
        exit(2);
    }
    return number;
}

static void arguments(char **words, long out[6]) {
    for (int i = 0; i < 6; i++) {
        out[i] = words && *words ? strtol(*words++, NULL, 0) : 0;
    }
}

static int call(long number, char **words) {
    long a[6];
    arguments(words, a);
    errno = 0;
    long result = syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    return answer(result, errno);
}

#ifdef __x86_64__
static int call_i386(long number, char **words) {
    long a[6];
    arguments(words, a);
    int result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a[0]), "c"(a[1]), "d"(a[2]) : "memory", "r8", "r9", "r10", "r11");
    return answer(result, -result);
}
#endif

static int descriptors(void) {
    DIR *directory = opendir("/proc/self/fd");
    if (!directory) return answer(-1, errno);
    struct dirent *entry;
    while ((entry = readdir(directory))) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(directory)) continue;
        char target[4096];
        ssize_t length = readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        printf("%s %s\n", entry->d_name, target);
    }
    return 0;
}

static int touch(long megabytes) {
    for (long i = 0; i < megabytes; i++) {
        char *block = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED) return answer(-1, errno);
        memset(block, 1, 1 << 20);
    }
    puts("touched");
    fflush(stdout);
    pause();
    return 0;
}

static int forks(long count) {
    long made = 0;
    for (; made < count; made++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            pause();
            _exit(0);
        }
    }
    printf("%ld\n", made);
    fflush(stdout);
    kill(0, SIGKILL);
    return 0;
}

/* CVE-2019-5736: a process of the runtime that enters the container shows its program as /proc/N/exe. */
static int grab_exe(const char *own) {
    time_t end = time(NULL) + 8;
    char seen[64][256];
    int count = 0;
    puts("waiting");
    fflush(stdout);
    while (time(NULL) < end) {
        DIR *proc = opendir("/proc");
        struct dirent *entry;
        while (proc && (entry = readdir(proc))) {
            int id = atoi(entry->d_name);
            if (id <= 1 || id == getpid()) continue;
            char path[64], target[256];
            snprintf(path, sizeof path, "/proc/%d/exe", id);
            ssize_t length = readlink(path, target, sizeof target - 1);
            if (length <= 0) continue;
            target[length] = 0;
            if (strcmp(target, own) == 0) continue;
            int file = open(path, O_PATH);
            if (file < 0) continue;
            char handle[64];
            snprintf(handle, sizeof handle, "/proc/self/fd/%d", file);
            int writable = open(handle, O_WRONLY);
            int error = writable < 0 ? errno : 0;
            int known = 0;
            for (int i = 0; i < count; i++) known |= strcmp(seen[i], target) == 0;
            if (!known && count < 64) {
                strcpy(seen[count++], target);
                printf("%s %s\n", target, error ? strerrorname_np(error) : "WRITABLE");
                fflush(stdout);
            }
            if (writable >= 0) close(writable);
            close(file);
        }
        if (proc) closedir(proc);
    }
    puts("over");
    return 0;
}

static int serve(int port, const char *text) {
    int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 16)) return answer(-1, errno), 1;
    for (;;) {
        int client = accept(listener, NULL, NULL);
        if (client < 0) continue;
        dprintf(client, "%s\n", text);
        close(client);
    }
}

/* A name server that knows one address for every name. */
static int name_server(const char *own) {
    unsigned char question[512], reply[1024];
    const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 113, 77};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(53)}, client;
    inet_pton(AF_INET, own, &address.sin_addr);
    int server = socket(AF_INET, SOCK_DGRAM, 0);
    if (bind(server, (struct sockaddr *)&address, sizeof address)) return answer(-1, errno), 1;
    puts("ready"), fflush(stdout);
    for (;;) {
        socklen_t size = sizeof client;
        ssize_t length = recvfrom(server, question, sizeof question, 0, (struct sockaddr *)&client, &size);
        ssize_t end = 12;
        while (end < length && question[end]) end += question[end] + 1;
        end += 5; /* the name's end, its type and class */
        if (length < 17 || end > length) continue;
        memcpy(reply, question, end);
        memcpy(reply + 2, "\x81\x80\0\1\0\1\0\0\0\0", 10);
        memcpy(reply + end, record, sizeof record);
        sendto(server, reply, end + sizeof record, 0, (struct sockaddr *)&client, size);
    }
}

static int get(const char *host, int port) {
    char text[4096];
    struct timeval limit = {.tv_sec = 3};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &address.sin_addr);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(server, (struct sockaddr *)&address, sizeof address)) return fprintf(stderr, "%s\n", strerrorname_np(errno)), 1;
    ssize_t length = read(server, text, sizeof text);
    if (length <= 0) return fprintf(stderr, "%s\n", length ? strerrorname_np(errno) : "closed"), 1;
    fwrite(text, 1, length, stdout);
    return 0;
}

static int flood(long megabytes) {
    char block[65536];
    for (size_t i = 0; i < sizeof block; i++) block[i] = i % 128 == 127 ? '\n' : 'a' + i % 26;
    for (long left = megabytes * 16; left > 0; left--) {
        for (size_t done = 0; done < sizeof block;) {
            ssize_t written = write(1, block + done, sizeof block - done);
            if (written < 0) return 1;
            done += written;
        }
    }
    return 0;
}

static int capabilities(void) {
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    while (status && fgets(line, sizeof line, status)) {
        if (strncmp(line, "Cap", 3) == 0 || strncmp(line, "NoNewPrivs", 10) == 0 || strncmp(line, "Seccomp:", 8) == 0)
            fputs(line, stdout);
    }
    return 0;
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "hello";
    long number = count > 2 ? atol(words[2]) : 0;
    if (strcmp(what, "hello") == 0) return puts("hello from a container"), 0;
    if (strcmp(what, "descriptors") == 0) return descriptors();
    if (strcmp(what, "caps") == 0) return capabilities();
    if (strcmp(what, "ignore") == 0) {
        signal(SIGTERM, SIG_IGN);
        puts("ignoring");
        fflush(stdout);
        for (;;) pause();
    }
    if (count < 3) return fprintf(stderr, "probe: `%s` needs an argument\n", what), 2;
    if (strcmp(what, "call") == 0) return call(number_of(words[2]), words + 3);
#ifdef __x86_64__
    if (strcmp(what, "i386") == 0) return call_i386(number_of(words[2]), words + 3);
    if (strcmp(what, "x32") == 0) return call(number_of(words[2]) | 0x40000000, words + 3);
#endif
    if (strcmp(what, "touch") == 0) return touch(number);
    if (strcmp(what, "forks") == 0) return forks(number);
    if (strcmp(what, "grab-exe") == 0) return grab_exe(words[2]);
    if (strcmp(what, "flood") == 0) return flood(number);
    if (strcmp(what, "serve") == 0) return serve((int)number, count > 3 ? words[3] : "served");
    if (strcmp(what, "get") == 0 && count > 3) return get(words[2], atoi(words[3]));
    if (strcmp(what, "name-server") == 0) return name_server(words[2]);
    if (strcmp(what, "exit-signal") == 0) {
        /* The first process of a namespace is spared its own signals; its child is not. */
        signal((int)number, SIG_DFL);
        kill(getpid(), (int)number);
        pause();
    }
    return fprintf(stderr, "probe: no `%s`\n", what), 2;
}
