-- Missing transverse energy of events with a pair of muons of opposite charge and a mass between 60 and 120 GeV.
WITH events AS (
    SELECT MET_pt, named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi, 'charge', Muon_charge) AS muons FROM t
)
SELECT floor(MET_pt / 20) AS bin, count(*) AS events
FROM events
WHERE array_any_match(combinations(muons, 2),
    (a, b) -> a.charge <> b.charge AND invariant_mass(a, b) BETWEEN 60 AND 120)
GROUP BY bin
ORDER BY bin
