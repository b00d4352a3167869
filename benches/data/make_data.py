#!/usr/bin/env python3
"""Makes the files that are measured: NanoAOD-like events, drawn from 1,000 real ones.

    make_data.py --out DIR                                    2 million events, zlib 1, lz4 4, zstd 5 and none
    make_data.py --out DIR --events 400000 --basket 2000      the same with small baskets

The 1,000 events of examples/data are the first of CMS open data (SingleMu, run 2012B; CC0). They hold fewer jets than
the whole data set, and if they were simply repeated, compressors would find the repeats. So events are drawn to the
published number of jets (multiplicities.csv), and floats are smeared by 1e-4, except for values that recur, such as
sentinels and zeros. All files of one call hold the same events, and the same call makes the same events again.
"""

import argparse
import pathlib
import sys

import awkward as ak
import numpy as np
import uproot

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parent.parent / "examples" / "data" / "Run2012B_SingleMu_1000.root"
COLLECTIONS = ["Muon", "Electron", "Tau", "Photon", "Jet"]
CODECS = {
    "none": lambda: None,
    "zlib": lambda: uproot.ZLIB(1),
    "lz4": lambda: uproot.LZ4(4),
    "zstd": lambda: uproot.ZSTD(5),
}


def load(path):
    """Columns with one value per event, and per collection its counts and its flattened columns."""
    tree = uproot.open({path: "Events"})
    flat, collections = {}, {name: {} for name in COLLECTIONS}
    for name, array in zip(tree.keys(), (tree[name].array() for name in tree.keys())):
        prefix, _, field = name.partition("_")
        if name[0] == "n" and name[1:] in collections:
            continue
        if prefix in collections:
            collections[prefix][field] = array
        else:
            flat[name] = ak.to_numpy(array)
    counted = {}
    for name, fields in collections.items():
        counts = ak.to_numpy(ak.num(next(iter(fields.values())))).astype(np.int64)
        counted[name] = (counts, {f: ak.to_numpy(ak.flatten(a)) for f, a in fields.items()})
    return flat, counted


def recurring(values):
    """Which floats occur again and again: they mean something, and are not smeared."""
    if values.dtype != np.float32:
        return None
    _, inverse, counts = np.unique(values.view(np.uint32), return_inverse=True, return_counts=True)
    return (counts > 3)[inverse] | ~np.isfinite(values)


def smear(rng, name, values, keep):
    wide = values.astype(np.float64)
    if name.endswith("phi"):
        wide = (wide + rng.normal(0, 1e-4, len(wide)) + np.pi) % (2 * np.pi) - np.pi
    else:
        wide *= 1 + 1e-4 * rng.standard_normal(len(wide))
    return np.where(keep, values, wide.astype(np.float32))


class Maker:
    def __init__(self, source, seed):
        self.flat, self.collections = load(source)
        self.rng = np.random.default_rng(seed)
        self.keep = {name: recurring(values) for name, values in self.flat.items()}
        self.keep |= {(c, f): recurring(v) for c, (_, fields) in self.collections.items() for f, v in fields.items()}
        published = np.genfromtxt(HERE / "multiplicities.csv", delimiter=",", names=True, skip_header=4)
        jets, numbers = np.nan_to_num(published["jets"]), published["num_particles"].astype(int)
        self.numbers, self.odds = numbers, jets / jets.sum()
        counts = self.collections["Jet"][0]
        self.by_jets = np.argsort(counts, kind="stable")
        self.have = np.bincount(counts, minlength=numbers.max() + 1)
        self.first = np.concatenate([[0], np.cumsum(self.have)[:-1]])
        self.crowded = np.flatnonzero(counts >= 8)

    def draw(self, start, count):
        """Some events, as columns for uproot."""
        rng = self.rng
        jets = rng.choice(self.numbers, count, p=self.odds)
        # An event with as many jets; where the sample has none, one with many, to which jets are added below.
        have = self.have[jets]
        pick = self.first[jets] + (rng.random(count) * have).astype(np.int64)
        pick = self.by_jets[np.minimum(pick, len(self.by_jets) - 1)]
        event = np.where(have > 0, pick, self.crowded[rng.integers(0, len(self.crowded), count)])
        columns = {}
        for name, values in self.flat.items():
            drawn = values[event]
            if name == "event":
                drawn = (np.arange(start, start + count) * 7 + 1000).astype(values.dtype)
            elif drawn.dtype == np.float32:
                drawn = smear(rng, name, drawn, self.keep[name][event])
            columns[name] = drawn
        for collection, (counts, fields) in self.collections.items():
            wanted = jets if collection == "Jet" else counts[event]
            starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
            offsets = np.concatenate([[0], np.cumsum(wanted)])
            within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], wanted)
            particle = np.repeat(starts[event], wanted) + within
            extra = within >= np.repeat(counts[event], wanted)
            particle = np.where(extra, rng.integers(0, counts.sum(), len(particle)), particle)
            record = {}
            for field, values in fields.items():
                drawn = values[particle]
                if drawn.dtype == np.float32:
                    drawn = smear(rng, field, drawn, self.keep[collection, field][particle])
                record[field] = np.ascontiguousarray(drawn)
            contents = [ak.contents.NumpyArray(values) for values in record.values()]
            layout = ak.contents.RecordArray(contents, list(record))
            columns[collection] = ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), layout))
        return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="directory of the files")
    parser.add_argument("--name", default="nano", help="files are called NAME_CODEC.root")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--basket", type=int, default=25_000, help="events per basket")
    parser.add_argument("--codecs", default="zlib,lz4,zstd,none", help=f"some of {','.join(CODECS)}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source", type=pathlib.Path, default=SOURCE)
    args = parser.parse_args()

    maker = Maker(args.source, args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    # Files appear under their names when they are complete.
    paths = {codec: args.out / f"{args.name}_{codec}.root" for codec in args.codecs.split(",")}
    part = {codec: path.with_suffix(".part") for codec, path in paths.items()}
    files = {codec: uproot.recreate(part[codec], compression=CODECS[codec]()) for codec in paths}
    trees = {}
    for start in range(0, args.events, args.basket):
        columns = maker.draw(start, min(args.basket, args.events - start))
        for codec, file in files.items():
            if codec not in trees:
                types = {k: v.dtype if isinstance(v, np.ndarray) else ak.type(v).content for k, v in columns.items()}
                trees[codec] = file.mktree(
                    "Events",
                    types,
                    counter_name=lambda counted: "n" + counted,
                    field_name=lambda outer, inner: f"{outer}_{inner}" if outer else inner,
                    initial_basket_capacity=-(-args.events // args.basket),
                )
            trees[codec].extend(columns)
        if start // args.basket % 10 == 9:
            print(f"{start + args.basket} events", file=sys.stderr, flush=True)
    for codec, file in files.items():
        file.close()
        part[codec].rename(paths[codec])


main()
