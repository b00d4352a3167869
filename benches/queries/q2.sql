-- Transverse momentum of all jets, 100 bins between 15 and 60 GeV.
SELECT floor((pt - 15) / 0.45) AS bin, count(*) AS jets
FROM (SELECT unnest(Jet_pt) AS pt FROM t)
GROUP BY bin
ORDER BY bin
