#include "daemon/spawn.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STACK_BYTES = 64 * 1024, /* the child's calls need less than 4 KiB; execve's path walk is in the kernel */
    EXIT_NOT_EXECUTED = 127,
    KERNEL_SIGNALS_BYTES = 8 /* the kernel's set of 64 signals, which is not glibc's sigset_t */
};

/* Shared by parent and child while the child has not executed. */
struct handover {
    const struct spawn_request *request;
    uint64_t suspects;             /* signals that may not be at their default; bit 0: signal 1 */
    volatile enum spawn_step step; /* that failed */
    volatile int code;             /* errno */
};

static const char *const step_words[] = {[SPAWN_STEP_NONE] = "start",
#define X(name, words) [SPAWN_STEP_##name] = words,
                                         SPAWN_STEPS(X)
#undef X
};

/* ---- in the child */

static _Noreturn void give_up(struct handover *handover, enum spawn_step step)
{
    handover->code = errno;
    handover->step = step;
    _exit(EXIT_NOT_EXECUTED);
}

/* What we ignore (SIGPIPE) would stay ignored behind execve, and what we handle must not run on our memory. */
static void reset_signals(uint64_t suspects)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int signal = 1; signal < NSIG; signal++)
        if ((suspects & (uint64_t)1 << (signal - 1)) != 0)
            sigaction(signal, &action,
                      NULL); /* SIGKILL, SIGSTOP and glibc's own two refuse: they are at their default */
    uint64_t none = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, KERNEL_SIGNALS_BYTES);
}

static void set_resources(struct handover *handover)
{
    const struct spawn_request *request = handover->request;
    for (size_t i = 0; i < request->limit_count; i++)
        if (syscall(SYS_prlimit64, 0, request->limits[i].resource, &request->limits[i].value, NULL) != 0)
            give_up(handover, SPAWN_STEP_LIMIT);
    if (request->has_cpus && sched_setaffinity(0, sizeof request->cpus, &request->cpus) != 0)
        give_up(handover, SPAWN_STEP_CPUS);
    if (request->niceness != 0 && setpriority(PRIO_PROCESS, 0, request->niceness) != 0)
        give_up(handover, SPAWN_STEP_NICE);
}

/* The bare system calls: glibc's functions change every thread of a process, and here those are the daemon's. */
static void set_user(struct handover *handover)
{
    const struct spawn_request *request = handover->request;
    if (!request->has_user)
        return;
    if (syscall(SYS_setgroups, request->group_count, request->groups) != 0)
        give_up(handover, SPAWN_STEP_GROUPS);
    if (syscall(SYS_setresgid, request->group, request->group, request->group) != 0)
        give_up(handover, SPAWN_STEP_GROUPS);
    if (syscall(SYS_setresuid, request->user, request->user, request->user) != 0)
        give_up(handover, SPAWN_STEP_USER);
}

/* dup2 of a descriptor onto itself would leave close-on-exec set: the two may be 0 to 2 when the daemon was started
 * without them, so both are moved out of the way first. */
static void set_descriptors(struct handover *handover)
{
    int input_fd = fcntl(handover->request->input_fd, F_DUPFD, 3);
    int output_fd = fcntl(handover->request->output_fd, F_DUPFD, 3);
    if (input_fd < 0 || output_fd < 0 || dup2(input_fd, 0) < 0 || dup2(output_fd, 1) < 0 || dup2(output_fd, 2) < 0)
        give_up(handover, SPAWN_STEP_OUTPUT);
    /* Most are close-on-exec, but a library's are not ours to promise. */
    if (syscall(SYS_close_range, 3u, ~0u, 0) != 0)
        give_up(handover, SPAWN_STEP_OUTPUT);
}

static int run_child(void *data)
{
    struct handover *handover = data;
    const struct spawn_request *request = handover->request;
    reset_signals(handover->suspects);
    if (setpgid(0, 0) != 0)
        give_up(handover, SPAWN_STEP_GROUP);
    set_resources(handover);
    umask(SPAWN_UMASK);
    set_user(handover);
    if (request->folder != NULL && chdir(request->folder) != 0)
        give_up(handover, SPAWN_STEP_FOLDER);
    set_descriptors(handover);
    execve(request->executable, request->arguments, request->environment);
    give_up(handover, SPAWN_STEP_EXECUTE);
}

/* ---- in the parent */

#if defined(__x86_64__)

/* clone3 has no C function that gives the child a stack. The child comes back from the system call on its new stack, so
 * what it needs waits in two registers; it never returns. */
static long clone_into_cgroup(struct clone_args *arguments, int (*run)(void *), void *data)
{
    long result;
    register int (*entry)(void *) __asm__("r12") = run;
    register void *argument __asm__("r13") = data;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %%r13, %%rdi\n\t"
                     "call *%%r12\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "0"(SYS_clone3), "D"(arguments), "S"(sizeof *arguments), "r"(entry), "r"(argument)
                     : "rcx", "r11", "memory");
    return result;
}

#else

/* Other machines: no cgroup from the first instruction, so none. */
static long clone_into_cgroup(struct clone_args *arguments, int (*run)(void *), void *data)
{
    (void)arguments;
    (void)run;
    (void)data;
    return -ENOSYS;
}

#endif

/* One for all children: the parent sleeps until a child has left it. Kept, because mapping it anew costs page faults.
 */
static char *child_stack(void)
{
    static char *stack;
    if (stack == NULL) {
        void *mapped = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
        stack = mapped != MAP_FAILED ? mapped : NULL;
    }
    return stack;
}

/* What CLONE_CLEAR_SIGHAND leaves as it is: what was ignored when we were started, and SIGPIPE, which the first link
 * ignores. Asked once, because asking takes as long as resetting. */
static uint64_t ignored_signals(void)
{
    static uint64_t ignored;
    if (ignored != 0)
        return ignored;
    ignored = (uint64_t)1 << (SIGPIPE - 1);
    for (int signal = 1; signal < NSIG; signal++) {
        struct sigaction action;
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN)
            ignored |= (uint64_t)1 << (signal - 1);
    }
    return ignored;
}

static int make_child(struct handover *handover, char *stack, struct spawn_child *child)
{
    int cgroup_fd = handover->request->cgroup_fd;
    int pidfd = -1;
    long pid = -ENOSYS;
    if (cgroup_fd >= 0) {
        struct clone_args arguments = {
            .flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_INTO_CGROUP | CLONE_CLEAR_SIGHAND,
            .pidfd = (uint64_t)(uintptr_t)&pidfd,
            .exit_signal = SIGCHLD,
            .stack = (uint64_t)(uintptr_t)stack,
            .stack_size = STACK_BYTES,
            .cgroup = (unsigned)cgroup_fd,
        };
        handover->suspects = ignored_signals();
        pid = clone_into_cgroup(&arguments, run_child, handover);
    }
    /* The cgroup is a help for killing, not a condition: a kernel or sandbox that refuses clone3, a cgroup that is
     * gone. */
    if (pid < 0) {
        handover->suspects = ~(uint64_t)0;
        pid = clone(run_child, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, handover, &pidfd);
    }
    if (pid < 0)
        return -errno;
    child->pid = (pid_t)pid;
    child->pidfd = pidfd;
    return 0;
}

static int tell_failure(const struct handover *handover, struct error *error)
{
    const struct spawn_request *request = handover->request;
    const char *what = "";
    char why[128];
    if (handover->step == SPAWN_STEP_EXECUTE)
        what = request->executable;
    else if (handover->step == SPAWN_STEP_FOLDER)
        what = request->folder;
    text_copy(why, sizeof why, strerror(handover->code));
    why[0] = (char)tolower((unsigned char)why[0]);
    return error_set(error, -handover->code, "cannot %s%s%s: %s", step_words[handover->step], *what != '\0' ? " " : "",
                     what, why);
}

int spawn_process(const struct spawn_request *request, struct spawn_child *child, struct error *error)
{
    struct handover handover = {.request = request};
    struct spawn_child made = {.pid = 0, .pidfd = -1};
    char *stack = child_stack();
    if (stack == NULL)
        return error_set(error, -ENOMEM, "cannot make a process: no memory for its stack");
    /* All 64, also the two that glibc keeps from sigprocmask: a cancellation must not hit the child either. */
    uint64_t all = ~(uint64_t)0;
    uint64_t before = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before, KERNEL_SIGNALS_BYTES);
    int result = make_child(&handover, stack, &made);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before, NULL, KERNEL_SIGNALS_BYTES);
    if (result != 0)
        return error_set(error, result, "cannot make a process: %s", strerror(-result));
    if (handover.step != SPAWN_STEP_NONE) {
        siginfo_t info;
        while (waitid(P_PID, (id_t)made.pid, &info, WEXITED) != 0 && errno == EINTR)
            continue;
        close(made.pidfd);
        return tell_failure(&handover, error);
    }
    *child = made;
    return 0;
}
