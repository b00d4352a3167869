-- Mass of the pair in events with exactly two muons of opposite charge, as a histogram.
-- Take the first two elements of each list; lists count from 1. t is the files on the command line.
SELECT gev,
       events,
       repeat('█', CAST(ceil(40.0 * events / max(events) OVER ()) AS BIGINT)) AS histogram
FROM (
  SELECT CAST(floor(mass / 10) * 10 AS INT) AS gev, count(*) AS events
  FROM (
    SELECT sqrt(2 * Muon_pt[1] * Muon_pt[2]
             * (cosh(Muon_eta[1] - Muon_eta[2]) - cos(Muon_phi[1] - Muon_phi[2]))) AS mass
    FROM t
    WHERE nMuon = 2 AND Muon_charge[1] != Muon_charge[2]
  )
  WHERE mass < 120
  GROUP BY gev
)
ORDER BY gev
