-- Sums per currency. Minutes are counted on the Phone legs only: the same talk
-- time stands on the Operator Connect leg too.
SELECT currency, uniqExact(correlation_id) AS calls, count() AS legs, countIf(connected) AS connected_legs,
    sumIf(toUInt64(duration_ms), connected AND technology = 'Phone') AS phone_ms, sum(charge) AS charged
FROM cdr FINAL
WHERE {{.Where}}
GROUP BY currency
ORDER BY currency
SETTINGS {{.Settings}}
