-- Mass of the leading pair of isolated muons of opposite charge in CMS's AOD, one row per event that has such a pair.
-- t is the files on the command line, to be read with --layout nested; the collection may be split or not.
-- Numbers are compared as floats, as the members are: 2.4 alone would be a double.
SELECT EventAuxiliary.id_.run_ AS run,
       EventAuxiliary.id_.luminosityBlock_ AS lumi,
       EventAuxiliary.id_.event_ AS event,
       CAST(sqrt(CAST(2 * good[1].pt_ * good[2].pt_ AS DOUBLE)
              * (cosh(CAST(good[1].eta_ - good[2].eta_ AS DOUBLE)) - cos(CAST(good[1].phi_ - good[2].phi_ AS DOUBLE))))
            AS REAL) AS mass
FROM (
  SELECT EventAuxiliary,
         array_filter(muons, m ->
           m.pt_ > 10
           AND abs(m.eta_) < CAST(2.4 AS REAL)
           AND m.type_ & 2 != 0
           AND (m.pfIsolationR04_.sumChargedHadronPt
                + greatest(CAST(0 AS REAL), m.pfIsolationR04_.sumNeutralHadronEt + m.pfIsolationR04_.sumPhotonEt
                                              - CAST(0.5 AS REAL) * m.pfIsolationR04_.sumPUPt)
               ) / m.pt_ < CAST(0.5 AS REAL)) AS good
  FROM t
)
WHERE cardinality(good) >= 2
  AND good[1].pt_ > 25
  AND abs(good[1].eta_) < CAST(2.1 AS REAL)
  AND (good[1].pfIsolationR04_.sumChargedHadronPt
       + greatest(CAST(0 AS REAL), good[1].pfIsolationR04_.sumNeutralHadronEt + good[1].pfIsolationR04_.sumPhotonEt
                                     - CAST(0.5 AS REAL) * good[1].pfIsolationR04_.sumPUPt)
      ) / good[1].pt_ < CAST(0.12 AS REAL)
  AND (good[1].pdgId_ > 0) != (good[2].pdgId_ > 0)
