"""Write the ROOT files of this folder with uproot (5.7, `pip install uproot awkward`). The values follow the formulas
below, so a test can state what it expects; the files need not be byte-identical when they are written again.

Usage: python make.py
"""

from pathlib import Path

import awkward as ak
import numpy as np
import uproot

HERE = Path(__file__).parent


def jagged(counts, values):
    return ak.unflatten(values, counts)


def year(name, first, trigger, met):
    """100 events of one data-taking year. Years differ in the branches that they have."""
    event = np.arange(first, first + 100, dtype=np.int64)
    counts = event % 4
    data = {
        "run": np.full(100, int(name), np.int32),
        "event": event,
        "Muon": ak.zip({
            "pt": jagged(counts, np.arange(counts.sum(), dtype=np.float32)),
            "charge": jagged(counts, np.where(np.arange(counts.sum()) % 3 == 0, -1, 1).astype(np.int32)),
        }),
    }
    if met:
        data["MET_pt"] = (event / 2).astype(np.float32)
    if trigger:
        data["HLT_IsoMu24"] = event % 5 == 0
    with uproot.recreate(HERE / "runs" / f"{name}.root", compression=uproot.ZLIB(6)) as file:
        types = {k: (v.type.content if k == "Muon" else v.dtype) for k, v in data.items()}
        file.mktree("Events", types).extend(data)


def conflict():
    """`run` is a float here, an integer in runs/."""
    with uproot.recreate(HERE / "other" / "run_is_float.root", compression=uproot.ZLIB(6)) as file:
        tree = file.mktree("Events", {"run": np.float64, "event": np.int64})
        tree.extend({"run": np.arange(10) / 2, "event": np.arange(10, dtype=np.int64)})


def clusters():
    """16 clusters of 100 entries, `id` ascending; the other columns are noise, which does not compress."""
    noise = np.random.default_rng(1)
    with uproot.recreate(HERE / "other" / "clusters.root", compression=uproot.ZSTD(3)) as file:
        columns = ["a", "b", "c", "d"]
        tree = file.mktree("Events", {"id": np.int64, "hits": "var * int32"} | {name: np.float32 for name in columns})
        for start in range(0, 1600, 100):
            ids = np.arange(start, start + 100, dtype=np.int64)
            data = {"id": ids, "hits": jagged(ids % 3, np.repeat(ids, ids % 3).astype(np.int32))}
            data |= {name: noise.random(100, np.float32) for name in columns}
            tree.extend(data)


def names():
    """Names that differ only in case, that are words of SQL, and that hold other characters."""
    with uproot.recreate(HERE / "other" / "names.root", compression=None) as file:
        names = ["pt", "Pt", "PT", "order", "obj.pt_", "a b", "Größe"]
        tree = file.mktree("dir/Events", {name: np.int32 for name in names})
        tree.extend({name: np.arange(3, dtype=np.int32) * 10 + i for i, name in enumerate(names)})


def friends():
    """Trees beside those of runs/. `Scores` belongs to 2011 and 2012 entry by entry, and has an entry less than 2013 and
    one more in scores_long.root. `Keyed` has the events 0 to 199 backwards, without the multiples of 7; in twice.root, entry 10
    repeats the keys of entry 3."""
    folder = HERE / "friends"
    for name, first, entries in [("2011", 0, 100), ("2012", 100, 100), ("2013", 200, 99), ("long", 0, 101)]:
        event = np.arange(first, first + entries, dtype=np.int64)
        data = {"score": (event / 4).astype(np.float32), "hits": jagged(event % 3, np.repeat(event, event % 3))}
        with uproot.recreate(folder / f"scores_{name}.root", compression=uproot.LZ4(4)) as file:
            file.mktree("Scores", {"score": np.float32, "hits": "var * int64"}).extend(data)
    event = np.array([e for e in range(199, -1, -1) if e % 7], np.int32)
    for name, event in [("keyed", event), ("twice", np.append(np.arange(10), 3).astype(np.int32))]:
        run = np.where(event < 100, 2011, 2012).astype(np.int32)
        with uproot.recreate(folder / f"{name}.root", compression=uproot.ZLIB(6)) as file:
            tree = file.mktree("Keyed", {"run": np.int32, "event": np.int32, "quality": np.int32, "ids": "var * int32"})
            tree.extend({"run": run, "event": event, "quality": event * 10, "ids": jagged(event % 2, event[event % 2 == 1])})


year("2011", 0, trigger=False, met=True)
year("2012", 100, trigger=True, met=True)
year("2013", 200, trigger=True, met=False)
conflict()
clusters()
names()
friends()
