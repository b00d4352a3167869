#!/usr/bin/env python3
"""Runs all contenders in turns and prints one table per goal: medians, ratios, and whether the goal is met.

    python benches/run.py                  makes the data when they are missing, then measures
    python benches/run.py --only scan,sql  some of the goals: scan, small, sql, process
    python benches/run.py --only aod --aod AOD.root --unsplit UNSPLIT.root
                                           objects: a file of CMS AOD with split muons, and one with `EventsUnsplit`

Needs `cargo build --release -p root-benches -p root-query` and the packages of benches/data/requirements.txt. Times are
CPU seconds, since the machine may be shared; where two threads are compared with one they are wall seconds. Every
contender runs once before it is measured. Results are compared before anything is timed.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SAMPLE = ROOT / "examples" / "data" / "Run2012B_SingleMu_1000.root"
ALL = ["q1", "q2", "q3", "q4", "q5", "q6", "q6b", "q7", "q8", "dimuon"]
CODECS = ["zlib", "zstd", "lz4", "none"]
GOALS = ["scan", "small", "sql", "process"]
AOD = [("floor", "aod"), ("scan", "aod"), ("reduce", "aod"), ("floor", "muons"), ("open", "muons"), ("scan", "muons")]


def arguments():
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=target / "bench-data", help="directory of the files")
    parser.add_argument("--large", default="nano_{codec}.root", help="files with large baskets")
    parser.add_argument("--small", default="small_{codec}.root", help="files with small baskets")
    parser.add_argument("--short", default="short_{codec}.root", help="files with large baskets and as few events")
    parser.add_argument("--aod", type=pathlib.Path, help="file of CMS AOD with split muons, for the goal aod")
    parser.add_argument("--unsplit", type=pathlib.Path, help="file with muons that were not split, for the goal aod")
    parser.add_argument("--bin", type=pathlib.Path, default=target / "release", help="directory of the programs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=2, help="measured runs per round and contender")
    parser.add_argument("--codecs", default=",".join(CODECS))
    parser.add_argument("--queries", default=",".join(ALL))
    parser.add_argument("--only", default=",".join(GOALS))
    parser.add_argument("--log", type=pathlib.Path, help="append every measurement as a line of JSON")
    args = parser.parse_args()
    args.codecs, args.queries, args.only = (x.split(",") for x in (args.codecs, args.queries, args.only))
    if "aod" in args.only and not (args.aod and args.unsplit):
        parser.error("the goal aod needs --aod FILE and --unsplit FILE")
    return args


class Bench:
    def __init__(self, args):
        self.args = args
        self.samples = defaultdict(list)
        self.commands = {}

    # ------------------------------------------------------------------ data

    def path(self, kind, codec):
        if kind in ("aod", "unsplit"):
            return getattr(self.args, kind)
        return self.args.data / getattr(self.args, kind).format(codec=codec)

    def prepare(self):
        """Makes the files that are missing."""
        plans = {
            "large": ([], self.args.codecs),
            "small": (["--events", "400000", "--basket", "2000"], [c for c in self.args.codecs if c != "none"]),
            "short": (["--events", "400000"], [c for c in self.args.codecs if c != "none"]),
        }
        for kind, (options, codecs) in plans.items():
            missing = [c for c in codecs if not self.path(kind, c).exists()]
            if missing:
                out = self.path(kind, "x")
                name = out.name.removesuffix("_x.root")
                command = [sys.executable, HERE / "data" / "make_data.py", "--out", out.parent, "--name", name,
                           "--codecs", ",".join(missing), *options]
                print("$", *command, file=sys.stderr, flush=True)
                subprocess.run(command, check=True)

    # ------------------------------------------------------------------ running

    def ours(self, contender, kind, codec, query, threads=1, extra=()):
        command = [self.args.bin / "root-bench", contender, self.path(kind, codec), "--query", query]
        command += ["--threads", str(threads)] if threads > 1 else []
        return self.run((contender, kind, codec, query, threads), [*command, *extra])

    def uproot(self, codec, query, tuned, extra=()):
        command = [sys.executable, HERE / "peers" / "adl_uproot.py", self.path("large", codec), "--query", query]
        command += ["--tuned"] if tuned else []
        return self.run(("uproot tuned" if tuned else "uproot", "large", codec, query, 1), [*command, *extra])

    def run(self, key, command):
        if "--bins" not in command and "check" not in command:
            command += ["--repeat", str(self.args.repeat)]
        command = [str(c) for c in command]
        answer = subprocess.run(command, capture_output=True, text=True)
        if answer.returncode:
            sys.exit(f"{' '.join(command)}\n{answer.stderr[-2000:]}")
        line = json.loads(answer.stdout.splitlines()[-1])
        if "cpu" in line and "--bins" not in command:
            self.samples[key].append(line)
            self.commands[key[0]] = command
            self.log(key, line)
        return line

    def log(self, key, line):
        if self.args.log:
            with open(self.args.log, "a") as log:
                log.write(json.dumps({"key": key, "load": os.getloadavg()[0], **line}) + "\n")

    def process(self, name, command):
        """Runs a whole process; notes its wall and CPU seconds and its peak memory."""
        command = [str(c) for c in command]
        started = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            sys.exit(f"{' '.join(command)}\n{child.stderr.read()[-2000:]}")
        child.stderr.close()
        line = {"wall": [wall], "cpu": [usage.ru_utime + usage.ru_stime], "rss": usage.ru_maxrss / 1024}
        self.samples[name].append(line)
        self.commands[name] = command
        self.log(name, line)

    # ------------------------------------------------------------------ goals

    def check(self):
        """All contenders must fill the same histogram."""
        for codec in self.args.codecs:
            for query in self.args.queries:
                expected = dict(self.ours("check", "large", codec, query, extra=["--bins"])["bins"])
                found = dict(self.uproot(codec, query, True, ["--bins"])["bins"])
                moved = sum(abs(expected.get(k, 0) - found.get(k, 0)) for k in expected | found) / 2
                total = sum(expected.values())
                if sum(found.values()) != total or moved > total / 100_000:
                    sys.exit(f"{query}, {codec}: uproot counts {sum(found.values())} values, bound {total}; {moved} moved")
        print("bound, scan, sql, api and uproot fill the same histograms", flush=True)

    def measure(self):
        args = self.args
        sql = args.queries
        for turn in range(args.rounds):
            for codec in args.codecs:
                for query in args.queries:
                    if "scan" in args.only:
                        self.ours("floor", "large", codec, query)
                        self.ours("scan", "large", codec, query)
                    if "small" in args.only and codec != "none":
                        for kind in ("short", "small"):
                            self.ours("floor", kind, codec, query)
                            self.ours("open", kind, codec, query)
                            self.ours("scan", kind, codec, query)
                if "sql" in args.only:
                    for query in sql:
                        self.ours("bound", "large", codec, query)
                        self.ours("sql", "large", codec, query)
                        self.ours("api", "large", codec, query)
                        self.ours("sql", "large", codec, query, threads=2)
                        self.uproot(codec, query, True)
                        self.uproot(codec, query, False)
            if "process" in args.only:
                self.processes(sql)
            if "aod" in args.only:
                for contender, query in AOD:
                    self.ours(contender, "aod" if query == "aod" else "unsplit", "-", query)
            print(f"round {turn + 1} of {args.rounds}, load {os.getloadavg()[0]:.1f}", file=sys.stderr, flush=True)

    def processes(self, sql):
        program = self.args.bin / "root-query"
        big = max((self.path("large", c) for c in self.args.codecs), key=lambda p: p.stat().st_size)
        query = lambda q, file: [program, "sql", "--threads", "1", "-f", HERE / "queries" / f"{q}.sql", f"{file}:Events"]
        for _ in range(3):
            self.process("q1, 1,000 events", query("q1", SAMPLE))
            self.process(f"count, {big.stat().st_size / 1e6:.0f} MB", [program, "count", f"{big}:Events"])
            self.process(f"ls, {big.stat().st_size / 1e6:.0f} MB", [program, "ls", big])
        for q in sql:
            for codec in self.args.codecs:
                self.process(("memory", q, codec), query(q, self.path("large", codec)))
            if "zlib" in self.args.codecs:
                self.process(("memory", q, "short"), query(q, self.path("short", "zlib")))

    # ------------------------------------------------------------------ tables

    def all(self, key, what="cpu"):
        return [x for line in self.samples[key] for x in line[what]]

    def median(self, key, what="cpu"):
        return statistics.median(self.all(key, what))

    def show(self, title, head, rows, *contenders):
        print(f"\n## {title}\n")
        widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
        for row in [head, ["-" * w for w in widths], *rows]:
            print("| " + " | ".join(f"{str(cell):<{w}}" for cell, w in zip(row, widths)) + " |")
        print()
        for contender in contenders:
            if contender in self.commands:
                print("$", *self.commands[contender])
        sys.stdout.flush()

    def report(self):
        args = self.args
        sql = args.queries
        if "scan" in args.only:
            rows = []
            for codec in args.codecs:
                for q in args.queries:
                    floor, scan = (self.median((c, "large", codec, q, 1)) for c in ("floor", "scan"))
                    rate = self.samples["scan", "large", codec, q, 1][0]["column_bytes"] / scan / 1e9
                    limit = {"zlib": 1.15, "zstd": 1.25}.get(codec)
                    met = scan / floor <= limit if limit else rate >= 2.5
                    goal = f"≤ {limit} × floor" if limit else "≥ 2.5 GB/s"
                    rows.append([q, codec, ms(floor), ms(scan), f"{scan / floor:.2f}", f"{rate:.2f}", goal, verdict(met)])
            head = ["columns of", "codec", "floor ms", "scan ms", "ratio", "GB/s", "goal", ""]
            self.show("Scan into Arrow, one thread", head, rows, "floor", "scan")
        if "small" in args.only:
            rows = []
            for codec in (c for c in args.codecs if c != "none"):
                for q in args.queries:
                    cells, per_event, floor = [], [], []
                    for kind in ("short", "small"):
                        scan = ("scan", kind, codec, q, 1)
                        opening, whole = self.median(("open", kind, codec, q, 1)), self.median(scan)
                        per_event.append((whole - opening) / self.samples[scan][0]["entries"] * 1e9)
                        floor.append(self.median(("floor", kind, codec, q, 1)))
                        cells += [ms(opening), f"{per_event[-1]:.1f}"]
                    ratio = per_event[1] / per_event[0]
                    rows.append([q, codec, *cells, f"{ratio:.2f}", "≤ 1.3", verdict(ratio <= 1.3), f"{floor[1] / floor[0]:.2f}"])
            head = ["columns of", "codec", "25,000: open ms", "ns/event", "2,000: open ms", "ns/event", "ratio", "goal", "",
                    "floor's ratio"]
            self.show("Scan with 2,000 events per basket beside 25,000, opening apart", head, rows, "open", "scan")
        if "sql" in args.only:
            rows = []
            for codec in args.codecs:
                for q in sql:
                    bound, ours, api, tuned, shipped = (
                        self.median((c, "large", codec, q, 1)) for c in ("bound", "sql", "api", "uproot tuned", "uproot"))
                    limit = 1.25 if codec in ("zlib", "zstd") and q not in ("q6", "q6b") else 1.5
                    met = max(ours, api) / bound <= limit and tuned / max(ours, api) >= faster_than_uproot(q, codec)
                    rows.append([q, codec, ms(bound), ms(ours), f"{ours / bound:.2f}", f"{api / bound:.2f}", f"≤ {limit}", ms(tuned),
                                 f"{tuned / ours:.2f}", f"≥ {faster_than_uproot(q, codec)}", f"{shipped / ours:.2f}",
                                 verdict(met)])
            head = ["query", "codec", "bound ms", "sql ms", "ratio", "api's ratio", "goal", "uproot tuned ms", "÷ sql", "goal",
                    "uproot as shipped ÷ sql", ""]
            self.show("Query, planning and open included, one thread", head, rows, "bound", "sql", "api", "uproot tuned", "uproot")
            rows = []
            for codec in args.codecs:
                for q in sql:
                    # Two threads on a shared machine: the quietest run tells most.
                    one, two = (min(self.all(("sql", "large", codec, q, t), "wall")) for t in (1, 2))
                    work = self.median(("sql", "large", codec, q, 2)) / self.median(("sql", "large", codec, q, 1))
                    rows.append([q, codec, ms(one), ms(two), f"{one / two:.2f}", f"{work:.2f}", verdict(one / two >= 1.85)])
            head = ["query", "codec", "1 thread ms (wall, best)", "2 threads ms", "ratio (≥ 1.85)", "CPU 2 ÷ 1", ""]
            self.show("Query on two threads", head, rows, "sql")
        if "aod" in args.only:
            time = {}
            for contender, query in AOD:
                key = (contender, "aod" if query == "aod" else "unsplit", "-", query, 1)
                time[contender, query] = self.median(key) / self.samples[key][0]["entries"] * 1e9
            floor, whole = time["floor", "aod"], time["scan", "muons"]
            decoding = whole - time["floor", "muons"] - time["open", "muons"]
            rows = [["nine members, scan", time["scan", "aod"], None], ["reduction", time["reduce", "aod"], 1.6],
                    ["unsplit muons, scan", whole, 12], ["of that decoding", decoding, None]]
            rows = [[name, f"{value:.0f}", f"{value / floor:.2f}", f"≤ {limit}" if limit else "",
                     verdict(value / floor <= limit) if limit else ""] for name, value, limit in rows]
            head = ["", "ns/event", f"÷ floor of the nine members ({floor:.0f})", "goal", ""]
            self.show("Muons of CMS AOD, one thread", head, rows, "floor", "scan", "reduce")
        if "process" in args.only:
            rows, names = [], [k for k in self.samples if isinstance(k, str)]
            for name in names:
                cpu, wall = self.median(name), self.median(name, "wall")
                limit = 0.040 if name.startswith("q1") else 0.030
                rss = max(line["rss"] for line in self.samples[name])
                rows.append([name, ms(cpu), ms(wall), f"{rss:.0f}", f"≤ {limit * 1e3:.0f} ms", verdict(cpu <= limit)])
            self.show("Whole process", ["command", "CPU ms", "wall ms", "peak MB", "goal", ""], rows, *names)
            rows = []
            for q in sql:
                peak = {c: max(line["rss"] for line in self.samples["memory", q, c])
                        for c in [*args.codecs, "short"] if ("memory", q, c) in self.samples}
                met = max(peak.values()) <= 100 and peak.get("zlib", 0) <= 1.1 * peak.get("short", 1e9)
                rows.append([q, *(f"{peak[c]:.0f}" for c in peak), verdict(met)])
            head = ["peak MB of", *args.codecs, *(["zlib, a fifth of the events"] if "zlib" in args.codecs else []), ""]
            self.show("Peak memory, one thread (≤ 100 MB, and not growing with the file)", head, rows)


def ms(seconds):
    return f"{seconds * 1e3:.1f}"


def faster_than_uproot(query, codec):
    """How many times as fast as uproot with libdeflate a query is to be; the others must not be behind."""
    goals = {"q5": (2.3, 3.3, 4.5), "q6": (5, 5, 5), "q6b": (5, 5, 5), "q7": (3.2, 5.3, 9), "q8": (3.3, 4.4, 7),
             "dimuon": (2.2, 2.8, 3.6)}
    return goals.get(query, (1, 1, 1))[min(CODECS.index(codec), 2)]


def verdict(met):
    return "pass" if met else "SHORT"


def main():
    args = arguments()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}; medians of {args.rounds} rounds of "
          f"{args.repeat} runs", flush=True)
    bench = Bench(args)
    if args.only != ["aod"]:
        bench.prepare()
    if "sql" in args.only:
        bench.check()
    bench.measure()
    bench.report()


main()
