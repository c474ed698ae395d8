SELECT count()
FROM cdr FINAL
WHERE {{.Where}}
SETTINGS {{.Settings}}
