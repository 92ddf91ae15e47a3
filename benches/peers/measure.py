"""Runs one command and measures all processes of it.

CPU is what the system has counted, user and system, for the command and every process that it started, daemons too:
this process adopts those that their parents leave (PR_SET_CHILD_SUBREAPER), and reaps them.
Memory is the peak of what is resident in all of them together, each shared page divided by those who share it (PSS).
Asking for it costs time of both cores, so it is asked for only in runs whose time and CPU are not taken, except for the
first process's own peak, which the system keeps.
"""

import ctypes
import os
import resource
import signal
import subprocess
import threading
import time

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
SET_CHILD_SUBREAPER = 36
# Daemons that are left when a command ends have so long to end by themselves.
STRAGGLERS_S = 20


def adopt_orphans():
    """Makes this process the parent of what its descendants leave behind."""
    if ctypes.CDLL(None, use_errno=True).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def parents():
    """Maps each process to its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    found[int(name)] = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                pass
    return found


def descendants(root):
    """Lists a process and all that come from it."""
    children = {}
    for pid, parent in parents().items():
        children.setdefault(parent, []).append(pid)
    found, to_visit = [], [root]
    while to_visit:
        pid = to_visit.pop()
        found.append(pid)
        to_visit += children.get(pid, [])
    return found


def proportional_kib(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except (OSError, IndexError):
        return 0


def own_peak_kib(pid):
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
    except (OSError, IndexError):
        return 0


def cpu_of(pid):
    """CPU seconds of a process that goes on, by the tick."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS


def prepare_child():
    # A group to end all of it by; the session stays, as the system may share the cores out by sessions.
    os.setpgid(0, 0)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Sampler(threading.Thread):
    """Follows the memory of a command until it is stopped."""

    def __init__(self, pid, all_of_it):
        super().__init__(daemon=True)
        self.pid, self.all_of_it = pid, all_of_it
        self.peak_kib = 0
        self.processes = 1
        self.over = threading.Event()

    def run(self):
        turn = 0
        while not self.over.wait(0.005 if self.all_of_it else 0.02):
            kib = own_peak_kib(self.pid)
            turn += 1
            if self.all_of_it and turn % 20 == 1:
                pids = descendants(self.pid)
                self.processes = max(self.processes, len(pids))
                kib = max(kib, sum(map(proportional_kib, pids)))
            self.peak_kib = max(self.peak_kib, kib)


def reap_stragglers(others, deadline):
    """Adds up the CPU of adopted processes as they end; those that do not in time are ended."""
    seconds = 0.0
    while True:
        mine = [pid for pid, parent in parents().items() if parent == os.getpid() and pid not in others]
        if not mine:
            return seconds
        for pid in mine:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
            try:
                done, _, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:
                continue
            if done:
                seconds += usage.ru_utime + usage.ru_stime
        time.sleep(0.02)


def run(argv, env, output, limit_s, others=(), all_memory=False):
    """Runs a command to its end; `others` are children of this process that have nothing to do with it."""
    with open(output, "wb") as out, open(f"{output}.err", "wb") as err:
        load = os.getloadavg()[0]
        began = time.monotonic()
        child = subprocess.Popen(
            [str(word) for word in argv],
            env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=err, preexec_fn=prepare_child,
        )
        sampler = Sampler(child.pid, all_memory)
        sampler.start()
        timer = threading.Timer(limit_s, lambda: os.killpg(child.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - began
        timer.cancel()
        sampler.over.set()
        sampler.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        cpu = usage.ru_utime + usage.ru_stime
        cpu += reap_stragglers(set(others), time.monotonic() + STRAGGLERS_S)
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "memory_mib": sampler.peak_kib / 1024,
        "processes": sampler.processes,
        "code": child.returncode,
        "load_average": load,
        "timed_out": wall >= limit_s,
    }
