-- One row per leg and attempt of a call. ReplacingMergeTree: a re-rated row has
-- a higher version; reports read with FINAL. The key holds no column that ever
-- changes, because rows are replaced by the whole key within one partition.
CREATE TABLE IF NOT EXISTS {{.Local}}{{.OnCluster}}
(
    cdr_id UUID COMMENT 'UUIDv5 of correlation ID and attempt',
    version UInt64 COMMENT '1, higher after re-rating',
    correlation_id UUID COMMENT 'shared by all legs of a call',
    node LowCardinality(String),
    node_seq UInt64 COMMENT 'journal position of the end of the call on the node',
    attempt UInt16 COMMENT '0 = caller leg, 1.. = attempts in order',
    is_last Bool COMMENT 'caller leg, and the attempt that decided the call',
    connected Bool,
    recovered Bool COMMENT 'closed at its last checkpoint after a crash',
    emergency Bool,
    failsafe Bool COMMENT 'the forward to a failsafe number',
    technology LowCardinality(String) COMMENT 'Operator Connect or Phone',
    network LowCardinality(String),
    trunk LowCardinality(String),
    endpoint LowCardinality(String),
    direction LowCardinality(String) COMMENT 'inbound = PSTN to Teams',
    account LowCardinality(String),
    tenant_id UUID,
    did String CODEC(ZSTD(1)),
    user_type LowCardinality(String),
    plan LowCardinality(String),
    from_number String CODEC(ZSTD(1)),
    to_number String CODEC(ZSTD(1)),
    sip_call_id String CODEC(ZSTD(1)),
    invite_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    ring_time Nullable(DateTime64(3, 'UTC')),
    answer_time Nullable(DateTime64(3, 'UTC')),
    end_time DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    duration_ms UInt32 COMMENT 'answer to release, by the monotonic clock' CODEC(T64, ZSTD(1)),
    pdd_ms UInt32 CODEC(T64, ZSTD(1)),
    sip_code UInt16,
    q850 UInt8,
    reason String CODEC(ZSTD(1)),
    outcome LowCardinality(String),
    released_by LowCardinality(String),
    disposition LowCardinality(String),
    route_trace String COMMENT 'JSON: why this route' CODEC(ZSTD(3)),
    codec LowCardinality(String),
    srtp Bool,
    rx_packets UInt64 CODEC(T64, ZSTD(1)),
    rx_lost UInt64 CODEC(T64, ZSTD(1)),
    rx_jitter_ms Float32,
    tx_packets UInt64 CODEC(T64, ZSTD(1)),
    mos Float32 COMMENT 'estimated, 0 = unknown',
    charge Decimal(18, 6),
    currency LowCardinality(String),
    rate Decimal(18, 10) COMMENT 'per minute',
    billed_s Int64 CODEC(T64, ZSTD(1)),
    allowance_s Int64 CODEC(T64, ZSTD(1)),
    charged_s Int64 CODEC(T64, ZSTD(1)),
    number_class LowCardinality(String),
    deck LowCardinality(String),
    deck_version Int64,
    deck_row Int64,
    explanation String COMMENT 'JSON: why this price' CODEC(ZSTD(3)),
    INDEX ix_correlation correlation_id TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{.Engine}}
PARTITION BY toYYYYMM(invite_time)
ORDER BY (account, toDate(invite_time), cdr_id)
TTL toDateTime(invite_time) + INTERVAL {{.RetentionMonths}} MONTH
SETTINGS {{.TableSettings}};
{{if .Cluster}}
CREATE TABLE IF NOT EXISTS cdr{{.OnCluster}} AS {{.Local}}
ENGINE = Distributed('{{.Cluster}}', currentDatabase(), '{{.Local}}', cityHash64(correlation_id));
{{end}}
