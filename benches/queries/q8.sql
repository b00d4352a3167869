-- Transverse mass of the missing momentum and the hardest lepton outside the pair nearest to the mass of the Z.
WITH events AS (
    SELECT named_struct('pt', MET_pt, 'phi', MET_phi) AS met, array_concat(
        named_zip('pt', Muon_pt, 'eta', Muon_eta, 'phi', Muon_phi, 'mass', Muon_mass, 'charge', Muon_charge, 'kind', 13),
        named_zip('pt', Electron_pt, 'eta', Electron_eta, 'phi', Electron_phi, 'mass', Electron_mass,
            'charge', Electron_charge, 'kind', 11)) AS leptons
    FROM t
    WHERE nMuon + nElectron >= 3
),
pairs AS (
    SELECT *, nearest_mass(leptons, 2, 91.2, (a, b) -> a.kind = b.kind AND a.charge <> b.charge).indices AS z FROM events
),
others AS (
    SELECT met, array_filter(leptons, (l, i) -> i <> z[1] AND i <> z[2]) AS leptons FROM pairs WHERE z IS NOT NULL
)
SELECT floor((transverse_mass(array_take(leptons, array_argmax(leptons.pt)), met) - 15) / 2.35) AS bin, count(*) AS events
FROM others
GROUP BY bin
ORDER BY bin
