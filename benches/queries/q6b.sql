-- Largest b-tag of the jets of the trijet nearest to the mass of the top quark.
WITH events AS (
    SELECT named_zip('pt', Jet_pt, 'eta', Jet_eta, 'phi', Jet_phi, 'mass', Jet_mass, 'btag', Jet_btag) AS jets
    FROM t
    WHERE nJet >= 3
),
trijets AS (SELECT nearest_mass(jets, 3, 172.5) AS top FROM events)
SELECT floor(greatest(top['0'].btag, top['1'].btag, top['2'].btag) / 0.01) AS bin, count(*) AS events
FROM trijets
GROUP BY bin
ORDER BY bin
