"""What is run: for each tool its command line for a load, its parallelism, and how its answers are counted."""

import json
import os
import re
from dataclasses import dataclass, field
from typing import Callable, Optional

from servers import USER

HERE = os.path.dirname(os.path.abspath(__file__))
MIB = 1 << 20
# The embedded hosts' `head -c N` prints this line over and over.
OUTPUT_LINE = "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopq"
# Rounds of commands on sessions that stay open.
ROUNDS = 50


@dataclass(frozen=True)
class Load:
    """What is asked of a tool."""

    name: str
    command: str = ""
    rounds: int = 1
    file_bytes: int = 0
    # Every host has its session at once, whatever is the tool's default.
    all_at_once: bool = False


LOADS = {load.name: load for load in (
    Load("echo", "echo hi"),
    Load("sleep", "sleep 2", all_at_once=True),
    Load("gather", f"head -c {MIB}", all_at_once=True),
    Load("kept", "echo hi", rounds=ROUNDS, all_at_once=True),
    Load("put", file_bytes=10_000_000, all_at_once=True),
)}


@dataclass
class Job:
    """One run: a load on so many hosts, at most so many at once; `None` is the tool's default."""

    load: Load
    login: object
    at_once: Optional[int]
    folder: str
    programs: dict

    @property
    def file(self):
        return os.path.join(self.folder, f"{self.load.file_bytes}.bin")


@dataclass
class Tool:
    """A tool: `build` gives its words and environment, `count` the hosts (or commands) that are in its output."""

    name: str
    title: str
    build: Callable
    count: Callable
    default: str
    loads: frozenset
    # Processes or threads of its own for each host: more of them than this gain nothing and cost memory.
    at_once_max: int = 100_000
    # Hosts beyond which a run takes minutes.
    hosts_max: int = 100_000
    # The default is a few hosts at once, so beyond this many it is left out.
    default_hosts_max: int = 100_000
    checks_host_keys: bool = True
    ours: bool = False
    versions: dict = field(default_factory=dict)


def option(words, job):
    """The option that sets the parallelism, or nothing."""
    return [*words, str(job.at_once)] if job.at_once else []


def count_text(job, text, code):
    """Tools that print what hosts said."""
    if job.load.name == "echo":
        # Not where a tool repeats the command.
        return len(re.findall(r"^(?!.*echo)(?:.*\W|.*\x1b\[\d+m)?hi(?:\x1b\[0m)?$", text, re.M))
    if job.load.name == "gather":
        # The line may end differently, the text in it is there so often.
        return round(text.count(OUTPUT_LINE) * (len(OUTPUT_LINE) + 1) / MIB)
    return job.login.count if code == 0 else 0


def count_massh(job, text, code):
    return len(re.findall(r"\]: .*success", text)) if job.load.name == "sleep" else count_text(job, text, code)


def count_ansible(job, text, _code):
    return len(re.findall(r"\| (?:CHANGED|SUCCESS) \|", text))


def count_driver(job, text, _code):
    answers = json.loads(text.strip().splitlines()[-1])
    if job.load.name == "gather":
        return min(answers["good"], round(answers["bytes"] / MIB))
    return answers["good"]


def count_floor(job, text, _code):
    good = int(re.search(r"ok=(\d+)", text)[1])
    return good * job.load.rounds


def count_kept(_job, text, _code):
    return int(re.search(r"commands=(\d+)", text)[1])


def sshoal(program):
    def build(job):
        login = job.login
        if job.load.name == "kept":
            kept = job.programs[program.replace("sshoal", "sshoal-study")]
            words = [kept, "kept", login.hosts_and_ports, login.known_hosts, login.fleet.key, USER, job.load.rounds]
            return [*words, job.load.command], login.environment()
        who = ["-h", login.hosts, "-F", login.ssh_config, *option(["-p"], job)]
        if job.load.file_bytes:
            return [job.programs[program], "put", *who, "-q", job.file, "there"], login.environment()
        # No other tool keeps a journal.
        how = ["-P", "-q", "--no-summary", "--no-journal"]
        return [job.programs[program], "run", *who, *how, job.load.command], login.environment()
    return build


def count_sshoal(job, text, code):
    return count_kept(job, text, code) if job.load.name == "kept" else count_text(job, text, code)


def floor(program):
    def build(job):
        login = job.login
        words = [login.hosts_and_ports, USER, login.fleet.key, login.known_hosts, job.at_once or 16, job.load.rounds]
        return [job.programs[program], *words, job.load.command], login.environment()
    return build


def pssh(job):
    words = ["-h", job.login.hosts, "-t", "0", "-x", f"-F {job.login.ssh_config}", *option(["-p"], job)]
    if job.load.file_bytes:
        return ["parallel-scp", *words, job.file, "there"], job.login.environment()
    return ["parallel-ssh", *words, "-i", job.load.command], job.login.environment()


def pdsh(job):
    words = ["pdsh", "-R", "ssh", "-u", "300", "-w", f"^{job.login.hosts}", *option(["-f"], job), job.load.command]
    return words, dict(job.login.environment(), PDSH_SSH_ARGS=f"-2 -F {job.login.ssh_config} %h")


def clush(job):
    login = job.login
    words = ["clush", "--hostfile", login.hosts, "-o", f"-F {login.ssh_config}", *option(["-f"], job)]
    last = ["--copy", job.file, "--dest", "there"] if job.load.file_bytes else [job.load.command]
    return words + last, login.environment()


def bssh(job):
    login = job.login
    hosts = ",".join(f"{host}:{login.fleet.port}" for host in login.addresses)
    words = [job.programs["bssh"], "-H", hosts, "-l", USER, "-i", login.fleet.key]
    words += ["--strict-host-key-checking", "yes", *option(["--parallel"], job)]
    last = ["upload", job.file, "there"] if job.load.file_bytes else [job.load.command]
    return words + last, login.environment()


def massh(job):
    login = job.login
    config = os.path.join(login.home, f"massh-{job.at_once or 0}.json")
    with open(config, "w", encoding="ascii") as out:
        json.dump({
            "default_auth": {"pubkey": login.fleet.key},
            "default_port": login.fleet.port,
            "default_user": USER,
            "threads": job.at_once or 0,
            "timeout": 0,
            "hosts": [{"addr": host} for host in login.addresses],
        }, out)
    return [job.programs["massh"], "--json", config, "execute", job.load.command], login.environment()


def ansible(job):
    login = job.login
    env = dict(
        login.environment(),
        # One task: a master connection that stays would only cost.
        ANSIBLE_SSH_ARGS=f"-F {login.ssh_config} -o ControlMaster=no",
        # The embedded hosts have no terminals.
        ANSIBLE_SSH_USETTY="False",
        ANSIBLE_HOST_KEY_CHECKING="True", ANSIBLE_NOCOLOR="1", ANSIBLE_RETRY_FILES_ENABLED="0",
        ANSIBLE_LOCALHOST_WARNING="0", ANSIBLE_DEPRECATION_WARNINGS="0",
    )
    words = [job.programs["ansible"], "all", "-i", login.hosts, "-m", "raw", "-a", job.load.command]
    return [*words, *option(["--forks"], job)], env


def driver(script):
    def build(job):
        login = job.login
        words = [job.programs["python"], os.path.join(HERE, "drivers", script), "--hosts", login.hosts]
        words += ["--port", login.fleet.port, "--user", USER, "--key", login.fleet.key]
        words += ["--known-hosts", login.known_hosts, "--rounds", job.load.rounds, *option(["--at-once"], job)]
        words += ["--put", job.file, "there"] if job.load.file_bytes else ["--command", job.load.command]
        return words, dict(login.environment(), PYTHONDONTWRITEBYTECODE="1")
    return build


RUNS = frozenset({"echo", "sleep", "gather"})
PUTS = frozenset({"put"})
KEPT = frozenset({"kept"})
FORKS = {"at_once_max": 128, "hosts_max": 1000}

TOOLS = {tool.name: tool for tool in (
    Tool("sshoal-aws-lc", "sshoal, AWS-LC", sshoal("sshoal-aws-lc"), count_sshoal, "hosts, at most 512",
         RUNS | PUTS | KEPT, ours=True),
    Tool("sshoal", "sshoal, OpenSSL", sshoal("sshoal"), count_sshoal, "hosts, at most 512", RUNS | PUTS | KEPT, ours=True),
    Tool("sshoal-vendored", "sshoal, OpenSSL 3.6", sshoal("sshoal-vendored"), count_sshoal, "hosts, at most 512",
         frozenset({"echo"}), ours=True),
    Tool("floor-aws-lc", "floor, AWS-LC", floor("floor-aws-lc"), count_floor, "16 threads", RUNS | KEPT),
    Tool("floor", "floor, OpenSSL", floor("floor"), count_floor, "16 threads", RUNS | KEPT),
    Tool("floor-vendored", "floor, OpenSSL 3.6", floor("floor-vendored"), count_floor, "16 threads", frozenset({"echo"})),
    Tool("bssh", "bssh", bssh, count_text, "10", RUNS | PUTS, default_hosts_max=200),
    Tool("parallel-ssh", "parallel-ssh", driver("parallel_ssh.py"), count_driver, "100", RUNS | PUTS | KEPT,
         checks_host_keys=False),
    Tool("asyncssh", "asyncssh", driver("async_ssh.py"), count_driver, "all hosts", RUNS | PUTS | KEPT),
    Tool("massh", "massh", massh, count_massh, "a thread a host", RUNS, at_once_max=1000, hosts_max=1000,
         checks_host_keys=False),
    Tool("pssh", "pssh", pssh, count_text, "32", RUNS | PUTS, **FORKS),
    Tool("pdsh", "pdsh", pdsh, count_text, "32", RUNS, **FORKS),
    Tool("clush", "clush", clush, count_text, "64", RUNS | PUTS, **FORKS),
    Tool("ansible", "Ansible, ad hoc", ansible, count_ansible, "5", frozenset({"echo", "sleep"}), at_once_max=64,
         hosts_max=100),
)}
