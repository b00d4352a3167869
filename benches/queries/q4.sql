-- Missing transverse energy of events with at least two jets above 40 GeV.
SELECT floor(MET_pt / 20) AS bin, count(*) AS events
FROM t
WHERE cardinality(array_filter(Jet_pt, pt -> pt > 40)) >= 2
GROUP BY bin
ORDER BY bin
