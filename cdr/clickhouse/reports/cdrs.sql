-- The detailed report (connected = 1: connected legs) and the log (connected = 0:
-- every leg and attempt), newest call first, legs of a call together.
SELECT {{.Columns}}
FROM cdr FINAL
WHERE {{.Where}}
ORDER BY invite_time DESC, correlation_id, attempt
LIMIT {limit:UInt64} OFFSET {offset:UInt64}
SETTINGS {{.Settings}}
