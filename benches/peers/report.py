"""Turns results into the tables of benches/README.md and the plots beside this file."""

import json
import os
import statistics
from collections import defaultdict

import plots
from tools import LOADS, ROUNDS, TOOLS

HERE = os.path.dirname(os.path.abspath(__file__))
README = os.path.join(os.path.dirname(HERE), "README.md")
BEGIN, END = "<!-- peers: begin -->", "<!-- peers: end -->"


class Results:
    """All runs of the results file, by what was measured."""

    def __init__(self, path):
        self.runs = defaultdict(list)
        with open(path, encoding="utf-8") as file:
            for line in file:
                run = json.loads(line)
                if run["kind"] != "trial":
                    self.runs[self.key(run)].append(run)

    @staticmethod
    def key(run):
        return run["load"], run["delay_ms"], run["hosts"], run["tool"], run["setting"], run["kind"]

    def of(self, load, delay, hosts, tool, setting, kind="time"):
        return self.runs.get((load, delay, hosts, tool, setting, kind), [])

    def median(self, place, value):
        """The median of a figure over the runs of a place; only runs in which every host answered count."""
        runs = [run for run in self.of(*place) if run["good"] == run["wanted"] and not run["timed_out"]]
        return statistics.median(map(value, runs)) if runs else None

    def memory(self, place):
        return self.median((*place, "memory"), lambda run: run["memory_mib"]) or self.median(place, lambda run: run["memory_mib"])

    def seen(self, load, field):
        return sorted({run[field] for runs in self.runs.values() for run in runs if run["load"] == load})

    def all(self):
        return [run for runs in self.runs.values() for run in runs]


def each_ms(run):
    return run["cpu_s"] * 1e3 / run["wanted"]


def wall(run):
    return run["wall_s"]


def shown(value, digits=2):
    return "" if value is None else f"{value:,.{digits}f}"


def table(head, rows):
    lines = [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] + ['---:'] * (len(head) - 1))} |"]
    return lines + [f"| {' | '.join(row)} |" for row in rows] + [""]


def setting_of(runs):
    at_once = runs[-1]["at_once"]
    return f"{at_once:,}" if at_once else f"default: {TOOLS[runs[-1]['tool']].default}"


def by_tool(results, load, delay, hosts):
    """A table of one load: a row for each tool and setting, the least CPU first."""
    ours = results.median((load, delay, hosts, "sshoal-aws-lc", "best"), each_ms)
    ours = ours or results.median((load, delay, hosts, "sshoal-aws-lc", "all"), each_ms)
    rows = []
    for tool in TOOLS.values():
        for setting in ("best", "all", "default"):
            place = (load, delay, hosts, tool.name, setting)
            runs = results.of(*place)
            if not runs:
                continue
            cpu, time = results.median(place, each_ms), results.median(place, wall)
            failed = max(run["wanted"] - run["good"] for run in runs)
            served = [run["server_cpu_s"] * 1e3 / run["wanted"] for run in runs if run["server_cpu_s"] is not None]
            server = statistics.median(served) if served else None
            row = [
                tool.title, setting_of(runs), shown(cpu, 3), shown(cpu / ours if cpu and ours else None), shown(time, 2),
                # Nothing where a run was over before its memory was looked at.
                shown(results.memory(place) or None, 0), shown(server, 2), str(len(runs)), str(failed or ""),
            ]
            rows.append((cpu or 1e9, row))
    what = "a command" if load == "kept" else "a host"
    head = ["", "at once", f"CPU, ms {what}", "ratio", "wall, s", "memory, MiB", f"servers' CPU, ms {what}", "runs", "failed"]
    return table(head, [row for _, row in sorted(rows, key=lambda row: row[0])])


def ratios(results):
    """Ours by the floor, in rounds: each round's own ratio, and the median of them."""
    rows = []
    for load, place in (("echo", "best"), ("sleep", "all"), ("gather", "all"), ("kept", "all")):
        for hosts in results.seen(load, "hosts"):
            for suffix, name in (("-aws-lc", "AWS-LC"), ("", "OpenSSL"), ("-vendored", "OpenSSL 3.6")):
                pairs = []
                ours = {run["round"]: run for run in results.of(load, 0, hosts, f"sshoal{suffix}", place)}
                for run in results.of(load, 0, hosts, f"floor{suffix}", place):
                    if run["round"] in ours:
                        pairs.append((each_ms(ours[run["round"]]) / each_ms(run), wall(ours[run["round"]]) / wall(run)))
                if pairs:
                    cpu, time = zip(*pairs)
                    rows.append([
                        f"{load}, {hosts:,} hosts, {name}", shown(statistics.median(cpu)),
                        f"{min(cpu):.2f} to {max(cpu):.2f}", shown(statistics.median(time)), str(len(pairs)),
                    ])
    return table(["ours by the floor", "CPU, median", "CPU, range", "wall, median", "rounds"], rows)


def draw(results):
    """The plots; returns the Markdown that shows them."""
    sizes, delays = results.seen("echo", "hosts"), results.seen("echo", "delay_ms")

    def by_size(value):
        return {
            tool.title: [(hosts, got) for hosts in sizes if (got := value(("echo", 0, hosts, tool.name, "best")))]
            for tool in TOOLS.values()
        }

    cpu = by_size(lambda place: results.median(place, each_ms))
    time = by_size(lambda place: results.median(place, wall))
    memory = by_size(results.memory)
    # The most hosts with which every round-trip time was measured.
    most = max((n for n in sizes if all(results.of("echo", ms, n, "sshoal-aws-lc", "best") for ms in delays)), default=None)
    trips = {} if most is None else {
        tool.title: [
            (ms, got) for ms in delays if (got := results.median(("echo", ms, most, tool.name, "best"), wall))
        ] for tool in TOOLS.values()
    }
    plan = [
        ("cpu", "echo hi: CPU of the client for each host", ("hosts", True), ("ms of CPU a host", True), cpu),
        ("wall", "echo hi: time until all hosts have answered", ("hosts", True), ("s", True), time),
        ("memory", "echo hi: memory of the client", ("hosts", True), ("MiB", True), memory),
        ("round-trip", f"echo hi on {most or 0:,} hosts by round-trip time", ("ms of round trip", False), ("s", True), trips),
    ]
    lines = []
    for name, title, across, up, drawn in plan:
        drawn = {tool: points for tool, points in drawn.items() if points}
        if drawn:
            plots.plot(os.path.join(HERE, f"{name}.svg"), title, (across, up), drawn)
            lines.append(f"![{title}](peers/{name}.svg)")
    return [*lines, ""]


def sections(results, about):
    """The report as lines of Markdown."""
    runs = results.all()
    busy = sorted(run["load_average"] for run in runs)
    loads = {run["load"] for run in runs}
    lines = [
        f"{about['machine']}. Client and servers share the cores. {len(runs):,} runs; the load average before "
        f"them, in which what had run just before counts, was {busy[0]:.1f} to {busy[-1]:.1f}, {statistics.median(busy):.1f} in "
        "the middle.",
    ]
    peers = {tool.name: tool.title.split(",")[0] for tool in TOOLS.values() if not tool.name.startswith(("floor", "sshoal-"))}
    versions = ", ".join(f"{peers[name]} {version}" for name, version in about["versions"].items() if name in peers)
    lines += ["", f"Versions: {versions}."]
    if about["missing"]:
        lines += ["Left out: " + "; ".join(f"{name} ({reason})" for name, reason in about["missing"].items()) + "."]
    unchecked = ", ".join(tool.title for tool in TOOLS.values() if not tool.checks_host_keys)
    lines += [f"Host keys are checked against a known_hosts file by all but {unchecked}, which cannot.", ""]
    lines += draw(results)
    for delay in results.seen("echo", "delay_ms"):
        for hosts in reversed(results.seen("echo", "hosts")):
            if results.of("echo", delay, hosts, "sshoal-aws-lc", "best"):
                trip = f", round trip of {delay} ms" if delay else ""
                lines += [f"`echo hi` on {hosts:,} host{'s' if hosts > 1 else ''}{trip}:", "", *by_tool(results, "echo", delay, hosts)]
    titles = {
        "sleep": "`sleep 2` on {} hosts, all at once:", "gather": "1 MiB of output from each of {} hosts, all at once:",
        "put": "A file of 10 MB to each of {} hosts, all at once:",
        "kept": "`echo hi` " + str(ROUNDS) + " times on each of {} hosts over sessions that stay open, connecting included:",
    }
    for load in (load for load in LOADS if load in titles and load in loads):
        for hosts in results.seen(load, "hosts"):
            lines += [titles[load].format(f"{hosts:,}"), "", *by_tool(results, load, 0, hosts)]
    lines += ["The floor is `benches/floor`: blocking threads over libssh2 and the same crypto library, the key parsed once.", ""]
    return lines + ratios(results)


def write(work):
    """Writes the report of a working folder's results into benches/README.md, and the plots."""
    results = Results(os.path.join(work, "results.jsonl"))
    with open(os.path.join(work, "about.json"), encoding="utf-8") as file:
        about = json.load(file)
    with open(README, encoding="utf-8") as file:
        before, _, rest = file.read().partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n".join(sections(results, about)).strip()
    with open(README, "w", encoding="utf-8") as file:
        file.write(f"{before}{BEGIN}\n{text}\n{END}{after}")
