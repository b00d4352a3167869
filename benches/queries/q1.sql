-- Missing transverse energy of all events.
SELECT floor(MET_pt / 20) AS bin, count(*) AS events
FROM t
GROUP BY bin
ORDER BY bin
