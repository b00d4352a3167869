-- Transverse momentum of the trijet nearest to the mass of the top quark, 100 bins between 15 and 40 GeV.
WITH trijets AS (
    SELECT nearest_mass(p4(Jet_pt, Jet_eta, Jet_phi, Jet_mass), 3, 172.5) AS top FROM t WHERE nJet >= 3
)
SELECT floor((p4_sum(top['0'], top['1'], top['2']).pt - 15) / 0.25) AS bin, count(*) AS events
FROM trijets
GROUP BY bin
ORDER BY bin
