#!/usr/bin/env python3
"""Writes events that are in memory into a tree by uproot, as `root-bench write` does: all columns, as many entries to a
cluster, one counter for the lists of a collection.

Prints a line of JSON with the seconds of each repeat. The level is the library's: uproot takes that of Zstandard as it is,
where ROOT has twice the number, and has no other method of LZ4 than the fast one.
"""

import argparse
import json
import os
import time

import awkward as ak
import numpy as np
import uproot

CODECS = {"zlib": uproot.ZLIB, "lz4": uproot.LZ4, "zstd": uproot.ZSTD, "lzma": uproot.LZMA}


def columns(events):
    """Collections as arrays of records, so that `nMuon` counts `Muon_pt` and `Muon_eta`; and the other columns."""
    collections = {name[1:]: {} for name in events.fields if name.startswith("n")}
    out = {}
    for name in events.fields:
        collection, _, member = name.partition("_")
        if collection in collections:
            collections[collection][member] = events[name]
        elif name[1:] not in collections:
            out[name] = np.asarray(events[name])
    return out | {name: ak.zip(members) for name, members in collections.items()}


def write(path, compression, clusters):
    types = {name: x.dtype if isinstance(x, np.ndarray) else x.type.content for name, x in clusters[0].items()}
    with uproot.recreate(path, compression=compression) as file:
        tree = file.mktree("Events", types)
        for cluster in clusters:
            tree.extend(cluster)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--compression", default="zlib:1", help="codec and level of the library, or none")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--cluster", type=int, default=50_000, help="entries of a cluster")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--out", default="/dev/shm/write_uproot.root")
    args = parser.parse_args()
    codec, _, level = args.compression.partition(":")
    compression = CODECS[codec](int(level)) if codec != "none" else None
    with uproot.open({args.file: "Events"}) as tree:
        starts = range(0, min(args.events, tree.num_entries), args.cluster)
        clusters = [columns(tree.arrays(entry_start=at, entry_stop=min(at + args.cluster, args.events))) for at in starts]
    cpu, wall = [], []
    for _ in range(args.repeat):
        started, before = time.perf_counter(), time.process_time()
        write(args.out, compression, clusters)
        cpu.append(time.process_time() - before)
        wall.append(time.perf_counter() - started)
    print(json.dumps({"cpu": cpu, "wall": wall, "stored_bytes": os.path.getsize(args.out)}))


if __name__ == "__main__":
    main()
