"""Gets what is run: the peers from Debian, PyPI and crates.io, and our own programs built from this repository.

All of it goes into one folder, at low priority. What cannot be had is left out, and the reason is kept for the report.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import venv

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DEBIAN = {"pssh": ("pssh", "parallel-ssh"), "pdsh": ("pdsh", "pdsh"), "clush": ("clustershell", "clush")}
PYPI = {"parallel-ssh": "parallel-ssh", "asyncssh": "asyncssh", "ansible": "ansible-core"}
# bssh takes about ten minutes to build; this version is the newest that Rust 1.95 takes.
CRATES = {"bssh": "2.2.3", "massh": "0.6.3"}
CRATES_LIMIT_S = 1800
POLITE = ["nice", "-n", "15"]
# The crypto libraries that ours are built with: the system's OpenSSL, AWS-LC, and OpenSSL 3.6, whose key exchange is
# a post-quantum one.
VARIANTS = (
    ("", []),
    ("-aws-lc", ["--features", "aws-lc"]),
    ("-vendored", ["--features", "vendored-openssl"]),
)


def output(words, **more):
    """What a command prints, on both streams; None if it fails."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=True, **more)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout + done.stderr


class Kit:
    """The programs that are there, their versions, and why others are not."""

    def __init__(self, work):
        self.work = work
        self.bin = os.path.join(work, "bin")
        self.crates = os.path.join(work, "cargo")
        self.python = os.path.join(work, "venv", "bin", "python")
        os.makedirs(self.bin, exist_ok=True)
        self.programs, self.versions, self.missing = {}, {}, {}

    def install(self):
        """Gets the peers that are not there."""
        self._get_debian()
        self._get_pypi()
        self._get_crates()

    def find(self):
        """Takes what is there, got now or before."""
        self._find_debian()
        self._find_pypi()
        self._find_crates()
        self._find_ours()

    def _get_debian(self):
        wanted = [package for package, command in DEBIAN.values() if not shutil.which(command)]
        if wanted and shutil.which("apt-get") and os.geteuid() == 0:
            env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
            output([*POLITE, "apt-get", "install", "--yes", "--no-install-recommends", *wanted], env=env)

    def _find_debian(self):
        for tool, (package, command) in DEBIAN.items():
            if not shutil.which(command):
                self.missing[tool] = f"Debian's package {package} is not installed, and only root can"
                continue
            self.programs[tool] = command
            said = output(["dpkg-query", "-W", "-f", "${Version}", package])
            self.versions[tool] = (said or "unknown").partition("-")[0]

    def _get_pypi(self):
        if not os.path.exists(self.python):
            venv.create(os.path.join(self.work, "venv"), with_pip=True)
        for package in PYPI.values():
            if not output([self.python, "-m", "pip", "show", package]):
                output([*POLITE, self.python, "-m", "pip", "install", "--quiet", package])

    def _find_pypi(self):
        for tool, package in PYPI.items():
            said = output([self.python, "-m", "pip", "show", package]) or ""
            version = re.search(r"^Version: (.*)$", said, re.M)
            if version:
                self.versions[tool] = version[1]
                self.programs[tool] = os.path.join(os.path.dirname(self.python), tool)
            else:
                self.missing[tool] = f"pip cannot install {package}"
        self.programs["python"] = self.python

    def _get_crates(self):
        for tool, version in CRATES.items():
            if not os.path.exists(os.path.join(self.crates, "bin", tool)):
                words = [*POLITE, "cargo", "install", tool, "--version", version, "--locked", "--jobs", "1"]
                env = dict(os.environ, CARGO_TARGET_DIR=os.path.join(self.work, "target"))
                output([*words, "--root", self.crates, "--bin", tool], env=env, timeout=CRATES_LIMIT_S)

    def _find_crates(self):
        for tool, version in CRATES.items():
            program = os.path.join(self.crates, "bin", tool)
            if os.path.exists(program):
                self.programs[tool], self.versions[tool] = program, version
            else:
                self.missing[tool] = f"cargo cannot install {tool} {version}"

    def build(self):
        """Builds our own programs with each crypto library, as far as it can be built here."""
        self._cargo("sshoal-loopback", ["--package", "sshoal-loopback"], "sshoal-loopback")
        floor = ["--manifest-path", os.path.join(ROOT, "benches", "floor", "Cargo.toml")]
        for suffix, features in VARIANTS:
            cli = ["--package", "sshoal-cli", *features]
            self._cargo(f"sshoal{suffix}", [*cli, "--bin", "sshoal"], "sshoal")
            self._cargo(f"sshoal-study{suffix}", ["--package", "sshoal", "--bench", "study", *features], "study")
            self._cargo(f"floor{suffix}", [*floor, *features], "sshoal-floor")

    def _cargo(self, name, words, target):
        """Builds one program and keeps it under a name of its own."""
        # Debugging information changes no instruction; the profile is the one that users get.
        words = [*POLITE, "cargo", "build", "--release", "--locked", "--message-format", "json", *words]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=False)
        found = None
        for line in done.stdout.splitlines():
            message = json.loads(line)
            if message.get("reason") == "compiler-artifact" and message["target"]["name"] == target:
                found = message.get("executable") or found
        if done.returncode or not found:
            self.missing[name] = "it does not build; for AWS-LC see scripts/setup.sh aws-lc"
            return
        # Not over one that may be running.
        place = os.path.join(self.bin, name)
        shutil.copy2(found, f"{place}.part")
        os.replace(f"{place}.part", place)

    def _find_ours(self):
        for name in os.listdir(self.bin):
            self.programs[name] = os.path.join(self.bin, name)
        said = output(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"])
        for name in [f"{program}{suffix}" for program in ("sshoal", "floor") for suffix, _ in VARIANTS]:
            if name in self.programs:
                self.versions[name] = (said or "unknown").strip()
            else:
                self.missing.setdefault(name, "it was not built")


def machine():
    """What the figures were measured on, as one line."""
    cpu, memory, system = "unknown", "", "unknown"
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        names = re.findall(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    if names:
        cpu = f"{len(names)} cores of {names[0]}"
    with open("/proc/meminfo", encoding="ascii") as file:
        kib = re.search(r"MemTotal:\s*(\d+)", file.read())
    if kib:
        memory = f"{round(int(kib[1]) / 1024 / 1024)} GiB"
    with open("/etc/os-release", encoding="utf-8") as file:
        name = re.search(r'^PRETTY_NAME="(.*)"$', file.read(), re.M)
    if name:
        system = name[1]
    ssh = (output(["ssh", "-V"]) or "").split(",")[0].strip()
    rust = " ".join((output(["rustc", "--version"]) or "").split()[:2])
    release = os.uname().release.split("-")[0]
    parts = [cpu, memory, system, f"Linux {release}", rust, ssh, f"Python {sys.version.split()[0]}"]
    return ", ".join(part for part in parts if part)
