"""Fills boost-histogram with the values that the test filled, and compares bin by bin; writes what it got as UHI JSON."""

import json
import sys

import boost_histogram as bh
import hist
import numpy as np
import uhi.io.json
import uhi.schema


def floats(bits):
    return np.array(bits, dtype=np.uint64).view(np.float64)


def axis(spec):
    kind, flow = spec["kind"], spec["flow"]
    flows = {"underflow": flow, "overflow": flow}
    match kind:
        case "regular":
            return bh.axis.Regular(spec["bins"], *floats(spec["range"]), **flows)
        case "log":
            return bh.axis.Regular(spec["bins"], *floats(spec["range"]), transform=bh.axis.transform.log, **flows)
        case "variable":
            return bh.axis.Variable(floats(spec["edges"]), **flows)
        case "int":
            return bh.axis.IntCategory(spec["categories"], growth=spec["growing"], overflow=flow)
        case "str":
            return bh.axis.StrCategory(spec["categories"], growth=spec["growing"], overflow=flow)
        case "boolean":
            return bh.axis.Boolean()
    raise ValueError(kind)


STORAGES = {
    "Count": bh.storage.Int64,
    "Weight": bh.storage.Weight,
    "Mean": bh.storage.Mean,
    "WeightedMean": bh.storage.WeightedMean,
}


# What stands for entries, in the view of each storage and in the sum of its bins.
WEIGHTS = ("sum_of_weights", "count", "value")
NUMERIC = ("regular", "log", "variable")


def column(values, kind):
    return floats(values) if kind in ("regular", "log", "variable") else values


def compare(name, found, expected):
    if found.dtype.names is None:
        assert np.array_equal(found, expected), f"{name}: {found} is not {expected}"
        return
    for field in found.dtype.names:
        ours, theirs = np.array(found[field]), np.array(expected[field])
        if "delta" in field:
            continue
        assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-13), f"{name}, {field}: {ours} is not {theirs}"


def main():
    answers = {}
    for case in json.load(sys.stdin):
        name = case["name"]
        written = json.loads(case["uhi"])
        uhi.schema.validate(written)
        found = hist.Hist(json.loads(case["uhi"], object_hook=uhi.io.json.object_hook)["h"])

        expected = bh.Histogram(*[axis(spec) for spec in case["axes"]], storage=STORAGES[case["storage"]]())
        columns = [column(values, spec["kind"]) for values, spec in zip(case["columns"], case["axes"])]
        more = {key: floats(case[key]) for key in ("weight", "sample") if case[key] is not None}
        expected.fill(*columns, **more)

        for ours, theirs in zip(found.axes, expected.axes):
            assert len(ours) == len(theirs) and ours.extent == theirs.extent, f"{name}: {ours!r} is not {theirs!r}"
            if hasattr(theirs, "edges"):
                assert np.array_equal(ours.edges, theirs.edges), f"{name}: {ours.edges} is not {theirs.edges}"
        assert [a.name for a in found.axes] == [f"a{n}" for n in range(len(found.axes))], name
        compare(name, found.view(flow=True), expected.view(flow=True))
        theirs = expected.variances(flow=True)
        if case["storage"] == "WeightedMean":
            # Not as theirs, which is divided by the sum of weights, and so depends on their unit.
            view, undefined = expected.view(flow=True), np.full_like(theirs, np.nan)
            several = view.sum_of_weights**2 > view.sum_of_weights_squared
            theirs = np.divide(view.variance, expected.counts(flow=True), out=undefined, where=several)
        ours = np.nan_to_num(np.array(case["variances"], dtype=float))
        theirs = np.nan_to_num(theirs, nan=0.0).ravel()
        assert np.allclose(ours, theirs, rtol=1e-11, atol=1e-13), f"{name}: variances {ours} are not {theirs}"
        inner = expected.view()
        weights = inner if inner.dtype.names is None else inner[next(n for n in WEIGHTS if n in inner.dtype.names)]
        total = expected.sum()
        total = next((getattr(total, n) for n in WEIGHTS if hasattr(total, n)), total)
        assert np.isclose(case["sum"], total, rtol=1e-11, atol=1e-11), f"{name}: {case['sum']} is not {total}"
        for number, (along, found) in enumerate(zip(expected.axes, case["moments"])):
            assert (found is not None) == (case["axes"][number]["kind"] in NUMERIC), f"{name}: axis {number}: {found}"
            if found is None:
                continue
            sums = weights.sum(axis=tuple(n for n in range(weights.ndim) if n != number))
            mean = np.average(along.centers, weights=sums)
            deviation = np.sqrt(np.average((along.centers - mean) ** 2, weights=sums))
            ours = floats(found)
            assert np.allclose(ours, [mean, deviation], rtol=1e-9, equal_nan=True), f"{name}: {ours} is not {[mean, deviation]}"
        text = json.dumps({"h": expected}, default=uhi.io.json.default)
        # What boost-histogram writes for undefined variances is no JSON.
        answers[name] = text.replace("NaN", "0").replace("-Infinity", "0").replace("Infinity", "0")
    json.dump(answers, sys.stdout)


main()
