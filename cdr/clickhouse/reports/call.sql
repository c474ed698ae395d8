-- All legs and attempts of one call, in order.
SELECT {{.Columns}}
FROM cdr FINAL
WHERE correlation_id = {correlation:UUID}
ORDER BY attempt
SETTINGS do_not_merge_across_partitions_select_final = 1, use_skip_indexes_if_final = 1
