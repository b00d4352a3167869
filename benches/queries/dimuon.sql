-- Mass of the pair in events with exactly two muons of opposite charge, 30,000 bins between 0.25 and 300 GeV.
WITH muons AS (
    SELECT
        CAST(Muon_pt[1] AS DOUBLE) AS pt1, CAST(Muon_pt[2] AS DOUBLE) AS pt2,
        CAST(Muon_eta[1] AS DOUBLE) AS eta1, CAST(Muon_eta[2] AS DOUBLE) AS eta2,
        CAST(Muon_phi[1] AS DOUBLE) AS phi1, CAST(Muon_phi[2] AS DOUBLE) AS phi2,
        CAST(Muon_mass[1] AS DOUBLE) AS m1, CAST(Muon_mass[2] AS DOUBLE) AS m2
    FROM t
    WHERE nMuon = 2 AND Muon_charge[1] <> Muon_charge[2]
),
energies AS (
    SELECT
        *,
        sqrt(power(pt1 * cosh(eta1), 2) + m1 * m1) AS e1,
        sqrt(power(pt2 * cosh(eta2), 2) + m2 * m2) AS e2
    FROM muons
),
pairs AS (
    SELECT
        sqrt(m1 * m1 + m2 * m2
            + 2 * (e1 * e2 - pt1 * pt2 * (cos(phi1 - phi2) + sinh(eta1) * sinh(eta2)))) AS mass
    FROM energies
)
SELECT floor((mass - 0.25) / 299.75 * 30000) AS bin, count(*) AS events
FROM pairs
GROUP BY bin
ORDER BY bin
