-- All legs and attempts of one call, in order.
SELECT {{.Columns}}
FROM cdr FINAL
WHERE correlation_id = {correlation:UUID}
ORDER BY attempt
SETTINGS {{.Settings}}
