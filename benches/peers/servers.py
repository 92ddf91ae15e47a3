"""The hosts: an embedded fleet in a process of its own, and the files by which each tool gets in.

Every host has the same ed25519 key, offers curve25519-sha256 alone and lets one ed25519 key in, so that each tool pays
for the same cryptography; which cipher is taken is up to the tool. Host keys are known by one line for each host.
"""

import os
import re
import subprocess

from measure import cpu_of

USER = "bench"


class Fleet:
    """A running fleet, ended by `stop`."""

    def __init__(self, program, hosts, folder, delay_ms):
        os.makedirs(folder, exist_ok=True)
        self.folder, self.delay_ms = folder, delay_ms
        self.process = subprocess.Popen(
            [program, "--hosts", str(hosts), "--dir", folder, "--kex", "curve", "--delay-ms", str(delay_ms)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0,
        )
        ready = self.process.stdout.readline()
        port = re.search(r"port=(\d+)", ready)
        if not port:
            raise RuntimeError(f"the fleet is not ready: {ready!r}")
        self.port = int(port[1])
        self.key = os.path.join(folder, "user_ed25519")
        with open(os.path.join(folder, "known_hosts"), encoding="ascii") as file:
            self.host_key = " ".join(file.read().split()[1:3])
        with open(os.path.join(folder, "hosts"), encoding="ascii") as file:
            self.addresses = [line.partition(":")[0] for line in file.read().split()]

    @property
    def pid(self):
        return self.process.pid

    def cpu_s(self):
        return cpu_of(self.pid)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Login:
    """The files by which tools get in to the first so many hosts of a fleet."""

    def __init__(self, fleet, count):
        self.fleet, self.count = fleet, count
        self.addresses = fleet.addresses[:count]
        self.home = os.path.join(fleet.folder, f"home-{count}")
        ssh = os.path.join(self.home, ".ssh")
        os.makedirs(ssh, mode=0o700, exist_ok=True)
        self.known_hosts = os.path.join(ssh, "known_hosts")
        self.ssh_config = os.path.join(ssh, "config")
        self.hosts = os.path.join(self.home, "hosts")
        self.hosts_and_ports = os.path.join(self.home, "hosts-and-ports")
        port = fleet.port
        self._write(self.known_hosts, (f"[{host}]:{port} {fleet.host_key}" for host in self.addresses))
        self._write(self.hosts, self.addresses)
        self._write(self.hosts_and_ports, (f"{host}:{port}" for host in self.addresses))
        self._write(self.ssh_config, [
            "Host *",
            f" User {USER}",
            f" Port {port}",
            f" IdentityFile {fleet.key}",
            " IdentitiesOnly yes",
            f" UserKnownHostsFile {self.known_hosts}",
            " GlobalKnownHostsFile /dev/null",
            " StrictHostKeyChecking yes",
            " Compression no",
            " LogLevel ERROR",
        ])

    def environment(self):
        """This process's environment with a home of its own and no agent."""
        left_out = ("SSH_AUTH_SOCK", "SSHOAL_", "ANSIBLE_", "PDSH_", "WCOLL")
        env = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
        return dict(env, HOME=self.home, LC_ALL="C.UTF-8")

    @staticmethod
    def _write(path, lines):
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{line}\n" for line in lines)
        os.chmod(path, 0o600)
