"""What the drivers of the Python libraries share: their arguments, and the line that they print at the end."""

import argparse
import collections
import json


def arguments():
    parser = argparse.ArgumentParser()
    for name in ("hosts", "user", "key", "known-hosts"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--at-once", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--command")
    parser.add_argument("--put", nargs=2)
    given = parser.parse_args()
    with open(given.hosts, encoding="ascii") as file:
        given.hosts = file.read().split()
    return given


class Answers:
    """Counts what came back."""

    def __init__(self):
        self.good = self.bytes = 0
        self.errors = collections.Counter()

    def failed(self, error):
        self.errors[f"{type(error).__name__}: {error}"[:120]] += 1

    def show(self):
        print(json.dumps({"good": self.good, "bytes": self.bytes, "errors": dict(self.errors.most_common(3))}))
