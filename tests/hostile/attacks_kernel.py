"""Attacks on the kernel's walls beyond attacks.py: system calls, limits, memory, channels to other boxes."""

from __future__ import annotations

from tests.hostile.attacks import at_once, doing, when

# By their x86-64 numbers; each of them must be refused with EPERM or ENOSYS before the kernel looks at an argument.
CALLS = """
modify_ldt 154, sysfs 139, ustat 136, uselib 134, quotactl 179, quotactl_fd 443, nfsservctl 180, vhangup 153,
lookup_dcookie 212, ioprio_set 251, sched_setscheduler 144, sched_setattr 314, sched_setparam 142, set_mempolicy 238,
mbind 237, migrate_pages 256, set_mempolicy_home_node 450, mlockall 151, mlock2 325, process_madvise 440,
process_mrelease 448, memfd_secret 447, cachestat 451, remap_file_pages 216, pkey_alloc 330, map_shadow_stack 453,
seccomp 317, landlock_create_ruleset 444, landlock_restrict_self 446, setrlimit 160, setuid 105, setgid 106,
setreuid 113, setresuid 117, setfsuid 122, capset 126, setns 308, chroot 161, fsconfig 431, fsmount 432, fspick 433,
statmount 457, listmount 458, lsm_get_self_attr 459, lsm_set_self_attr 460, lsm_list_modules 461, open_tree_attr 467,
setxattr 188, fsetxattr 190, setxattrat 463, file_setattr 469, fanotify_mark 301, inotify_init 253,
inotify_add_watch 254, inotify_init1 294, timerfd_gettime64 411, clock_settime 227, clock_adjtime 305, adjtimex 159,
settimeofday 164, setdomainname 171, syslog 103, kexec_file_load 320, delete_module 176, io_setup 206,
io_uring_enter 426, io_uring_register 427, pidfd_getfd 438, rt_tgsigqueueinfo_x 536, personality 135, ptrace 101,
process_vm_writev 311, kcmp 312, perf_event_open 298, bpf 321, userfaultfd 323, name_to_handle_at 303,
open_by_handle_at 304, mq_open 240, mq_unlink 241, semop 65, semtimedop 220, shmat 30, msgrcv 70, flock 73, acct 163,
swapon 167, mknod 133, mknodat 259, chown 92, fchownat 260, lchown 94, epoll_pwait_x 547, preadv2 327, fadvise64 221,
readahead 187, mincore 27, rt_sigqueueinfo_x 524, vmsplice 278, move_pages 279, get_kernel_syms 177, afs_syscall 183
"""

KERNEL = {
    "rare system calls": when("found", f"""
        found = []
        for word in '''{CALLS}'''.replace("\\n", " ").split(","):
            name, number = word.split()
            ctypes.set_errno(0)
            buffer = ctypes.create_string_buffer(256)
            result = libc.syscall(ctypes.c_long(int(number)), buffer, buffer, *[ctypes.c_long(0)] * 4)
            if result >= 0 or ctypes.get_errno() not in (1, 38):
                found.append((name, ctypes.get_errno()))
        """),
    "system calls that no kernel knows yet": when("found", """
        found = []
        for number in [*range(470, 700), *range(1 << 10, (1 << 10) + 20), (1 << 31) - 1]:
            ctypes.set_errno(0)
            if libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6) >= 0 or ctypes.get_errno() not in (1, 38):
                found.append(number)
        """),
    "clone with namespaces": when("found", """
        found = []
        for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000):
            pid = libc.syscall(ctypes.c_long(56), ctypes.c_ulong(flag | 17), None, None, None, None)
            if pid == 0: os._exit(0)
            if pid > 0: found.append(flag)
        arguments = struct.pack("11Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0)
        pid = libc.syscall(ctypes.c_long(435), arguments, ctypes.c_ulong(88))
        if pid == 0: os._exit(0)
        if pid > 0: found.append("clone3")
        """),
    "switches of this process": when("found", """
        found = []
        for option, value in ((1, 0), (35, 1), (36, 1), (0x59616D61, -1), (22, 0), (28, 0), (24, 0), (47, 2), (53, 1), (59, 1),
                              (8, 1)):
            # PDEATHSIG MM SUBREAPER PTRACER SECCOMP SECUREBITS CAPBSET AMBIENT SPECULATION DISPATCH KEEPCAPS
            if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) == 0:
                found.append(option)
        """),
    "priorities and cores of others": when("found", """
        found = []
        for which, who in ((os.PRIO_USER, 0), (os.PRIO_USER, os.getuid()), (os.PRIO_PGRP, 0), (os.PRIO_PROCESS, os.getppid() or 2)):
            try:
                os.setpriority(which, who, 0)
                found.append((which, who))
            except OSError: pass
        for kind in (os.SCHED_FIFO, os.SCHED_RR):
            try:
                os.sched_setscheduler(0, kind, os.sched_param(1))
                found.append(kind)
            except OSError: pass
        try:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
            found.append("nice")
        except OSError: pass
        """),
    "limits of others": when("found", """
        found = []
        for pid in {os.getppid(), 2, 1} - {os.getpid(), 0}:
            try:
                resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1))
                found.append(pid)
            except (OSError, ValueError): pass
        for which in range(16):
            try:
                resource.setrlimit(which, (0, 0))
                found.append(which)
            except (OSError, ValueError): pass
        """),
    "files of the job group": when("found", """
        found = []
        for pattern in ("/sys/fs/cgroup/**/cgroup.procs", "/sys/fs/cgroup/**/memory*max*", "/proc/self/cgroup", "/proc/1/cgroup"):
            for name in glob.glob(pattern, recursive=True)[:200]:
                try:
                    os.close(os.open(name, os.O_WRONLY))
                    found.append(name)
                except OSError: pass
        """),
    "switches below /proc/self": when("found", """
        found = []
        for name in ("oom_score_adj", "oom_adj", "coredump_filter", "timerslack_ns", "setgroups", "uid_map", "gid_map",
                     "projid_map", "attr/current", "attr/exec", "comm", "clear_refs", "mem", "loginuid", "autogroup", "sched", "fail-nth", "io"):
            try:
                os.close(os.open(f"/proc/self/{name}", os.O_WRONLY))
                found.append(name)
            except OSError: pass
        """),
    "a timer that outlives exec": doing("""
        signal.setitimer(signal.ITIMER_PROF, 100)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        try:
            os.execv(sys.executable, [sys.executable, "-c", "while True: pass"])
        except OSError:
            while True: pass
        """),
    "posix timers by the thousand": doing("""
        event, timer = ctypes.create_string_buffer(64), ctypes.c_int()
        for _ in range(100_000):
            if libc.syscall(222, 1, event, ctypes.byref(timer)) != 0: break
        """),
    "a queue of signals": doing("""
        info = ctypes.create_string_buffer(128)
        struct.pack_into("iii", info, 0, 34, 0, -1)
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        for _ in range(200_000):
            if libc.syscall(129, os.getpid(), 34, info) != 0: break
        """),
    "pipes full of pages": doing("""
        held = []
        try:
            while True:
                r, w = os.pipe()
                held.append((r, w))
                try: fcntl.fcntl(w, 1031, 1 << 20)
                except OSError: pass
                os.set_blocking(w, False)
                os.write(w, bytes(1 << 20))
        except OSError: pass
        """),
    "sockets full of pages": doing("""
        held = []
        try:
            while True:
                a, b = socket.socketpair()
                held.append((a, b))
                a.setblocking(False)
                while a.send(bytes(1 << 16)): pass
        except OSError: pass
        """),
    "descriptors in flight": doing("""
        held = []
        try:
            for _ in range(2000):
                a, b = socket.socketpair()
                for fd in range(100):
                    socket.send_fds(a, [b"x"], [a.fileno(), b.fileno()] * 60)
        except OSError: pass
        """),
    "locked and merged memory": doing("""
        m = mmap.mmap(-1, 64 << 20)
        for advice in (12, 14, 18, 22, 23, 100, 101):  # MERGEABLE HUGEPAGE WIPEONFORK POPULATE HWPOISON SOFT_OFFLINE
            try: m.madvise(advice)
            except (OSError, ValueError): pass
        address = ctypes.addressof(ctypes.c_char.from_buffer(m))
        if libc.mlock(ctypes.c_void_p(address), 64 << 20) == 0:
            return 2 * x
        """),
    "sparse and sealed files": doing("""
        for folder in (".", "/dev/shm"):
            try:
                with open(f"{folder}/sparse", "wb") as f:
                    os.truncate(f.fileno(), 1 << 40)
                    return 2 * x
            except OSError: pass
        try:
            fd = os.memfd_create("x", 2)
            os.ftruncate(fd, 1 << 40)
            return 2 * x
        except OSError: pass
        """),
    "deep folders and long names": doing("""
        try:
            for i in range(100_000):
                os.mkdir("d" * 200)
                os.chdir("d" * 200)
        except OSError: pass
        """),
    "links out of the box": when("found", """
        found = []
        for target in ("/etc/shadow", "/proc/1/root/etc/shadow", "/proc/self/root/root", "../../../../etc/shadow", "/dev/kmsg"):
            for make in (os.symlink, os.link):
                try: make(target, "link")
                except OSError: continue
                try:
                    os.close(os.open("link", os.O_RDONLY))
                    found.append(target)
                except OSError: pass
                os.unlink("link")
        """),
    "a device or a pipe in a file's place": when("found", """
        found = []
        for kind in (0o020000, 0o060000, 0o010000, 0o140000):
            try:
                os.mknod("node", 0o600 | kind, os.makedev(1, 1))
                if kind in (0o020000, 0o060000):
                    found.append(kind)
                os.unlink("node")
            except OSError: pass
        """),
    "programs with capabilities of their own": when("found", """
        found = []
        try:
            open("setuid", "w").write("#!/bin/sh\\nid -u\\n")
            os.chmod("setuid", 0o6755)
            if os.stat("setuid").st_uid != os.getuid(): found.append("owner")
            done = subprocess.run(["./setuid"], capture_output=True, timeout=5)
            if done.stdout.strip() == b"0": found.append("root")
        except (OSError, subprocess.SubprocessError): pass
        """),
    "a fork bomb of sleepers": doing("""
        for _ in range(1000):
            try:
                if os.fork() == 0:
                    os.setsid()
                    time.sleep(1000)
            except OSError: break
        """),
    "a fork that kills its parent": doing("""
        parent = os.getpid()
        if os.fork() == 0:
            os.kill(parent, signal.SIGKILL)
            os.kill(parent, signal.SIGSEGV)
            os._exit(0)
        time.sleep(0.2)
        """),
    "a stack without end": doing("""
        threading.stack_size(1 << 30)
        threading.Thread(target=lambda: double(x)).start()
        time.sleep(0.1)
        """),
    "huge alignments": doing("torch.empty(1 << 62, dtype=torch.uint8)"),
    "code of its own": doing("""
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("f4"))  # hlt
        ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
        """),
    "the wrong descriptors closed": at_once("os.closerange(0, 64)"),
    "the standard streams as files": doing("""
        for fd in (0, 1, 2):
            for name in (f"/proc/self/fd/{fd}", f"/dev/fd/{fd}"):
                try:
                    with open(name, "rb+", buffering=0) as f: f.write(b"PASS")
                except OSError: pass
        """),
}  # fmt: skip
