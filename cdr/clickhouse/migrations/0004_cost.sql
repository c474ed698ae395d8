-- What the carrier charges us for a leg, beside the charge: for the margin. Rows
-- written before have none.
ALTER TABLE {{.Local}}{{.OnCluster}} ADD COLUMN IF NOT EXISTS cost Decimal(18, 6) COMMENT 'what the carrier charges us, by its cost deck';
ALTER TABLE {{.Local}}{{.OnCluster}} ADD COLUMN IF NOT EXISTS cost_currency LowCardinality(String) COMMENT 'empty: no cost is known';
ALTER TABLE {{.Local}}{{.OnCluster}} ADD COLUMN IF NOT EXISTS cost_explanation String COMMENT 'JSON: why this cost' CODEC(ZSTD(3));
{{if .Cluster}}
ALTER TABLE cdr{{.OnCluster}} ADD COLUMN IF NOT EXISTS cost Decimal(18, 6);
ALTER TABLE cdr{{.OnCluster}} ADD COLUMN IF NOT EXISTS cost_currency LowCardinality(String);
ALTER TABLE cdr{{.OnCluster}} ADD COLUMN IF NOT EXISTS cost_explanation String;
{{end}}
