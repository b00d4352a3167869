"""Runs a notebook against a scheduler and compares what it finds with what uproot and numpy do; prints the number of pairs."""

import json
import os
import sys

import nbformat
import numpy
import uproot
from nbclient import NotebookClient

path, sample = sys.argv[1:]
notebook = nbformat.read(path, as_version=4)
notebook.cells.append(nbformat.v4.new_code_cell(
    "print(json.dumps({'mass': muons.mass.tolist(), 'pt': muons.pt.tolist(), 'bins': spectrum.values().tolist()}))"
))
NotebookClient(
    notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": os.path.dirname(path)}}
).execute()
found = json.loads(notebook.cells[-1].outputs[0].text)

events = uproot.open(sample)["Events"].arrays(
    ["event", "nMuon", "Muon_pt", "Muon_eta", "Muon_phi", "Muon_mass", "Muon_charge"]
)
events = events[events.nMuon == 2]
events = events[events.Muon_charge[:, 0] != events.Muon_charge[:, 1]]
events = events[numpy.argsort(events.event.to_numpy(), kind="stable")]


def four_vector(which):
    pt, eta, phi, mass = (
        events["Muon_" + name][:, which].to_numpy().astype(float) for name in ("pt", "eta", "phi", "mass")
    )
    x, y, z = pt * numpy.cos(phi), pt * numpy.sin(phi), pt * numpy.sinh(eta)
    return numpy.array([x, y, z, numpy.sqrt(x**2 + y**2 + z**2 + mass**2)])


x, y, z, e = four_vector(0) + four_vector(1)
mass = numpy.sqrt(e**2 - x**2 - y**2 - z**2)
numpy.testing.assert_allclose(found["mass"], mass, rtol=1e-4)
assert found["pt"] == events.Muon_pt.tolist()
assert found["bins"] == numpy.histogram(mass, bins=60, range=(0, 120))[0].tolist()
print(len(found["mass"]))
