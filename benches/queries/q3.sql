-- Transverse momentum of the central jets.
SELECT floor((pt - 15) / 0.45) AS bin, count(*) AS jets
FROM (SELECT unnest(Jet_pt) AS pt, unnest(Jet_eta) AS eta FROM t)
WHERE abs(eta) < 1
GROUP BY bin
ORDER BY bin
