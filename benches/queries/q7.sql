-- Sum of the transverse momenta of jets above 30 GeV that have no lepton above 10 GeV within 0.4.
WITH events AS (
    SELECT
        array_filter(named_zip('pt', Jet_pt, 'eta', Jet_eta, 'phi', Jet_phi), j -> j.pt > 30) AS jets,
        array_filter(named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi), l -> l.pt > 10) AS muons,
        array_filter(named_zip('pt', Electron_pt, 'eta', Electron_eta, 'phi', Electron_phi), l -> l.pt > 10) AS electrons
    FROM t
),
good AS (
    SELECT array_filter(jets, any_near(jets, muons, 0.4), any_near(jets, electrons, 0.4),
        (jet, at_muon, at_electron) -> NOT at_muon AND NOT at_electron).pt AS pt
    FROM events
)
SELECT floor((array_sum(pt) - 15) / 1.85) AS bin, count(*) AS events
FROM good
WHERE cardinality(pt) > 0
GROUP BY bin
ORDER BY bin
