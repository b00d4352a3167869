#!/usr/bin/env python3
"""The queries in uproot and awkward, as someone writes them who knows both well.

Every query reads only the branches that it needs, in large steps, computes in columns and fills a histogram. With
`--tuned` zlib is inflated by libdeflate; uproot 5.7 does not do that by itself, whatever `uproot.ZLIB.library` says.
Prints a line of JSON per query: the seconds of each repeat (opening the file included, imports not) and the histogram.
"""

import argparse
import json
import os
import time

import awkward as ak
import boost_histogram as bh
import numpy as np
import uproot


def q1(events):
    return ak.to_numpy(events["MET_pt"])


def q2(events):
    return ak.to_numpy(ak.flatten(events["Jet_pt"]))


def q3(events):
    pt, eta = (ak.to_numpy(ak.flatten(events[name])) for name in ("Jet_pt", "Jet_eta"))
    return pt[abs(eta) < 1]


def q4(events):
    jets = ak.sum(events["Jet_pt"] > 40, axis=1)
    return ak.to_numpy(events["MET_pt"][jets > 1])


def dimuon(events):
    two = ak.num(events["Muon_pt"]) == 2
    pairs = {name: ak.to_numpy(ak.flatten(events[f"Muon_{name}"][two])).reshape(-1, 2)
             for name in ("pt", "eta", "phi", "mass", "charge")}
    opposite = pairs["charge"][:, 0] != pairs["charge"][:, 1]
    pt, eta, phi, mass = (pairs[name][opposite].astype(np.float64) for name in ("pt", "eta", "phi", "mass"))
    px, py, pz = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta)
    e = np.sqrt((pt * np.cosh(eta)) ** 2 + mass * mass)
    squared = e.sum(1) ** 2 - px.sum(1) ** 2 - py.sum(1) ** 2 - pz.sum(1) ** 2
    return np.sqrt(np.maximum(squared, 0))


QUERIES = {
    "q1": (q1, ["MET_pt"], 0, 2000, 100),
    "q2": (q2, ["Jet_pt"], 15, 60, 100),
    "q3": (q3, ["Jet_pt", "Jet_eta"], 15, 60, 100),
    "q4": (q4, ["Jet_pt", "MET_pt"], 0, 2000, 100),
    "dimuon": (dimuon, [f"Muon_{n}" for n in ("pt", "eta", "phi", "mass", "charge")], 0.25, 300, 30_000),
}


def tune():
    """Lets uproot inflate with libdeflate."""
    import deflate

    def decompress(self, data, uncompressed_bytes=None):
        return deflate.zlib_decompress(data, uncompressed_bytes)

    uproot.compression._DecompressZLIB.decompress = decompress


def run(path, query, step):
    function, branches, low, high, bins = QUERIES[query]
    histogram = bh.Histogram(bh.axis.Regular(bins, low, high), storage=bh.storage.Int64())
    # A path of a server is read by the handler of its protocol (fsspec-xrootd).
    options = {} if "://" in path else {"handler": uproot.MemmapSource}
    with uproot.open({path: "Events"}, array_cache=None, **options) as tree:
        for events in tree.iterate(filter_name=branches, step_size=step):
            histogram.fill(function(events))
        return tree.num_entries, histogram.view(flow=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--query", required=True, help=f"some of {','.join(QUERIES)}")
    parser.add_argument("--tuned", action="store_true", help="inflate with libdeflate")
    parser.add_argument("--repeat", type=int, default=1, help="runs that are measured, after one that is not")
    parser.add_argument("--cold", action="store_true", help="without the run that is not measured")
    parser.add_argument("--step", type=int, default=250_000, help="events that are read at once")
    parser.add_argument("--bins", action="store_true", help="print the histogram as well")
    args = parser.parse_args()
    if args.tuned:
        tune()
    for query in args.query.split(","):
        if not args.cold:
            run(args.file, query, args.step)
        wall, cpu = [], []
        for _ in range(args.repeat):
            started, before = time.perf_counter(), time.process_time()
            entries, counts = run(args.file, query, args.step)
            cpu.append(time.process_time() - before)
            wall.append(time.perf_counter() - started)
        line = {
            "contender": "uproot tuned" if args.tuned else "uproot",
            "query": query,
            "file": os.path.basename(args.file),
            "threads": 1,
            "entries": entries,
            "wall": wall,
            "cpu": cpu,
        }
        if args.bins:
            line["bins"] = [[int(i), int(counts[i])] for i in np.flatnonzero(counts)]
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
