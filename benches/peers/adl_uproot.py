#!/usr/bin/env python3
"""The queries in uproot and awkward, as someone writes them who knows both well.

Every query reads only the branches that it needs, in large steps, computes in columns and fills a histogram. With
`--tuned` zlib is inflated by libdeflate; uproot 5.7 does not do that by itself, whatever `uproot.ZLIB.library` says.
Prints a line of JSON per query: the seconds of each repeat (opening the file included, imports not) and the histogram.
"""

import argparse
import functools
import json
import operator
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


def q5(events):
    muons = ak.zip({name: events[f"Muon_{name}"] for name in ("pt", "eta", "phi", "charge")})[ak.num(events["Muon_pt"]) >= 2]
    met = events["MET_pt"][ak.num(events["Muon_pt"]) >= 2]
    a, b = ak.unzip(ak.combinations(muons, 2))
    pt, eta, phi = (np.float64(1) * a.pt * b.pt, np.float64(1) * a.eta - b.eta, np.float64(1) * a.phi - b.phi)
    mass = np.sqrt(2 * pt * (np.cosh(eta) - np.cos(phi)))
    return ak.to_numpy(met[ak.any((a.charge != b.charge) & (mass >= 60) & (mass <= 120), axis=1)])


def cartesian(pt, eta, phi, mass):
    pt = ak.values_astype(pt, np.float64)
    x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(ak.values_astype(eta, np.float64))
    return ak.zip({"x": x, "y": y, "z": z, "e": np.sqrt(x * x + y * y + z * z + ak.values_astype(mass, np.float64) ** 2)})


def total(*particles):
    return {k: functools.reduce(operator.add, (p[k] for p in particles)) for k in ("x", "y", "z", "e")}


def invariant_mass(p):
    return np.sqrt(np.maximum(p["e"] ** 2 - p["x"] ** 2 - p["y"] ** 2 - p["z"] ** 2, 0))


def best_trijets(events, *more):
    """The jets of all trijets of events with three jets or more, their momenta, and which are the best."""
    enough = ak.num(events["Jet_pt"]) >= 3
    jets = cartesian(*(events[f"Jet_{name}"][enough] for name in ("pt", "eta", "phi", "mass")))
    for name in more:
        jets[name] = events[f"Jet_{name}"][enough]
    trijets = ak.unzip(ak.combinations(jets, 3))
    momentum = total(*trijets)
    return trijets, momentum, ak.argmin(abs(invariant_mass(momentum) - 172.5), axis=1, keepdims=True)


def q6(events):
    _, momentum, best = best_trijets(events)
    return ak.to_numpy(ak.flatten(np.hypot(momentum["x"][best], momentum["y"][best])))


def q6b(events):
    jets, _, best = best_trijets(events, "btag")
    a, b, c = (jet["btag"][best] for jet in jets)
    return ak.to_numpy(ak.flatten(np.maximum(np.maximum(a, b), c)))


def q7(events):
    hard = events["Jet_pt"] > 30
    jets = ak.zip({name: events[f"Jet_{name}"][hard] for name in ("pt", "eta", "phi")})
    for kind in ("Muon", "Electron"):
        leptons = ak.zip({name: events[f"{kind}_{name}"][events[f"{kind}_pt"] > 10] for name in ("eta", "phi")})
        jet, lepton = ak.unzip(ak.cartesian([jets, leptons], nested=True))
        turned = (jet.phi - lepton.phi + np.pi) % (2 * np.pi) - np.pi
        near = (jet.eta - lepton.eta) ** 2 + turned**2 < 0.16
        jets = jets[~ak.any(near, axis=2)]
    sums = ak.sum(ak.values_astype(jets.pt, np.float64), axis=1)
    return ak.to_numpy(sums[ak.num(jets) > 0])


def q8(events):
    enough = ak.num(events["Muon_pt"]) + ak.num(events["Electron_pt"]) >= 3
    names = ("pt", "eta", "phi", "mass", "charge")
    muons, electrons = ({name: events[f"{kind}_{name}"][enough] for name in names} for kind in ("Muon", "Electron"))
    flavours = (ak.full_like(muons["charge"], 13), ak.full_like(electrons["charge"], 11))
    leptons = ak.zip({name: ak.concatenate([muons[name], electrons[name]], axis=1) for name in names})
    leptons["flavour"] = ak.concatenate(flavours, axis=1)
    leptons["at"] = ak.local_index(leptons.pt)
    momenta = cartesian(leptons.pt, leptons.eta, leptons.phi, leptons.mass)
    leptons["x"], leptons["y"], leptons["z"], leptons["e"] = momenta.x, momenta.y, momenta.z, momenta.e
    pairs = ak.combinations(leptons, 2, fields=["a", "b"])
    pairs = pairs[(pairs.a.flavour == pairs.b.flavour) & (pairs.a.charge != pairs.b.charge)]
    found = ak.num(pairs) > 0
    pairs, leptons, met, met_phi = pairs[found], leptons[found], events["MET_pt"][enough][found], events["MET_phi"][enough][found]
    mass = invariant_mass(total(pairs.a, pairs.b))
    best = pairs[ak.argmin(abs(mass - 91.2), axis=1, keepdims=True)]
    others = leptons[(leptons.at != ak.flatten(best.a.at)) & (leptons.at != ak.flatten(best.b.at))]
    hardest = others[ak.argmax(others.pt, axis=1, keepdims=True)]
    angle = np.float64(1) * met_phi - ak.flatten(hardest.phi)
    return ak.to_numpy(np.sqrt(2 * np.float64(1) * met * ak.flatten(hardest.pt) * (1 - np.cos(angle))))


JETS = [f"Jet_{n}" for n in ("pt", "eta", "phi", "mass")]
LEPTONS = [f"{kind}_{n}" for kind in ("Muon", "Electron") for n in ("pt", "eta", "phi", "mass", "charge")]
DIRECTIONS = [f"{kind}_{n}" for kind in ("Jet", "Muon", "Electron") for n in ("pt", "eta", "phi")]
QUERIES = {
    "q1": (q1, ["MET_pt"], 0, 2000, 100),
    "q2": (q2, ["Jet_pt"], 15, 60, 100),
    "q3": (q3, ["Jet_pt", "Jet_eta"], 15, 60, 100),
    "q4": (q4, ["Jet_pt", "MET_pt"], 0, 2000, 100),
    "q5": (q5, ["Muon_pt", "Muon_eta", "Muon_phi", "Muon_charge", "MET_pt"], 0, 2000, 100),
    "q6": (q6, JETS, 15, 40, 100),
    "q6b": (q6b, [*JETS, "Jet_btag"], 0, 1, 100),
    "q7": (q7, DIRECTIONS, 15, 200, 100),
    "q8": (q8, [*LEPTONS, "MET_pt", "MET_phi"], 15, 250, 100),
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
    parser.add_argument("--step", type=int, help="events that are read at once; by default 250,000, and 50,000 of trijets")
    parser.add_argument("--bins", action="store_true", help="print the histogram as well")
    args = parser.parse_args()
    if args.tuned:
        tune()
    for query in args.query.split(","):
        # All trijets of 250,000 events are more than the caches of a processor hold.
        step = args.step or (50_000 if query in ("q6", "q6b") else 250_000)
        if not args.cold:
            run(args.file, query, step)
        wall, cpu = [], []
        for _ in range(args.repeat):
            started, before = time.perf_counter(), time.process_time()
            entries, counts = run(args.file, query, step)
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
