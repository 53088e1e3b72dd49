//! The sidecar tables: Vitess's columns first, in Vitess's types; ours after them, nullable, so that
//! rows written by either are read by both.

/// MySQL's error number for adding a column that another starter has just added.
pub(super) const DUPLICATE_COLUMN: u16 = 1060;

/// A table as it has to be.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// Names and definitions, in order.
    pub(super) columns: &'static [(&'static str, &'static str)],
    keys: &'static str,
}

impl Table {
    /// The statement that creates it.
    pub(super) fn create(&self, full_name: &str) -> String {
        let columns: String =
            self.columns.iter().map(|(name, kind)| format!("`{name}` {kind}, ")).collect();
        format!(
            "create table if not exists {full_name} ({columns}{}) \
             engine=InnoDB charset=utf8mb4 collate=utf8mb4_0900_ai_ci",
            self.keys
        )
    }

    /// The statement that adds one of its columns.
    pub(super) fn add(&self, full_name: &str, column: &(&str, &str)) -> String {
        format!("alter table {full_name} add column `{}` {}", column.0, column.1)
    }
}

/// All of them.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "vdiff",
        columns: &[
            ("id", "bigint not null auto_increment"),
            ("vdiff_uuid", "varchar(64) not null"),
            ("workflow", "varbinary(1024)"),
            ("keyspace", "varbinary(256)"),
            ("shard", "varchar(255) not null"),
            ("db_name", "varbinary(1024)"),
            ("state", "varbinary(64)"),
            ("options", "json"),
            ("created_at", "timestamp default current_timestamp"),
            ("started_at", "timestamp null default null"),
            ("liveness_timestamp", "timestamp null default null"),
            ("completed_at", "timestamp null default null"),
            ("last_error", "varbinary(1024)"),
            ("owner_epoch", "bigint null"),
            ("attempts", "int null"),
            ("retries", "int null"),
            ("next_retry_at", "bigint null"),
            ("error_kind", "varbinary(16) null"),
            ("checkpoints_at_start", "bigint null"),
        ],
        keys: "primary key (id), unique key uuid_idx (vdiff_uuid, db_name(255)), \
               key state (state), key ks_wf_idx (keyspace(64), workflow(64))",
    },
    Table {
        name: "vdiff_table",
        columns: &[
            ("vdiff_id", "bigint not null"),
            ("table_name", "varbinary(128) not null"),
            ("state", "varbinary(64)"),
            ("lastpk", "mediumblob"),
            ("table_rows", "bigint not null default 0"),
            ("rows_compared", "bigint not null default 0"),
            ("mismatch", "tinyint(1) not null default 0"),
            ("report", "json"),
            ("created_at", "timestamp not null default current_timestamp"),
            (
                "updated_at",
                "timestamp not null default current_timestamp on update current_timestamp",
            ),
            ("owner_epoch", "bigint null"),
            ("phase", "varbinary(32) null"),
            ("checkpoints", "bigint null"),
        ],
        keys: "primary key (vdiff_id, table_name)",
    },
    Table {
        name: "vdiff_log",
        columns: &[
            ("id", "bigint not null auto_increment"),
            ("vdiff_id", "bigint not null"),
            ("created_at", "timestamp not null default current_timestamp"),
            ("message", "text not null"),
        ],
        keys: "primary key (id), key vdiff_id_idx (vdiff_id)",
    },
    Table {
        name: "vreplication",
        columns: &[
            ("id", "int not null auto_increment"),
            ("workflow", "varbinary(1000)"),
            ("source", "mediumblob not null"),
            ("pos", "longblob not null"),
            ("stop_pos", "longblob"),
            ("max_tps", "bigint not null"),
            ("max_replication_lag", "bigint not null"),
            ("cell", "varbinary(1000)"),
            ("tablet_types", "varbinary(100)"),
            ("time_updated", "bigint not null"),
            ("transaction_timestamp", "bigint not null"),
            ("state", "varbinary(100) not null"),
            ("message", "varbinary(1000)"),
            ("db_name", "varbinary(255) not null"),
            ("rows_copied", "bigint not null default 0"),
            ("tags", "varbinary(1024) not null default ''"),
            ("time_heartbeat", "bigint not null default 0"),
            ("workflow_type", "int not null default 0"),
            ("time_throttled", "bigint not null default 0"),
            ("component_throttled", "varchar(255) not null default ''"),
            ("workflow_sub_type", "int not null default 0"),
            ("defer_secondary_keys", "tinyint(1) not null default 0"),
            ("reason_throttled", "varchar(1000) not null default ''"),
            ("options", "json not null"),
            ("owner_epoch", "bigint null"),
            ("pause_generation", "bigint null"),
        ],
        keys: "primary key (id), key workflow_idx (workflow(64))",
    },
    Table {
        name: "tablet_incarnation",
        columns: &[
            ("alias", "varchar(255) not null"),
            ("epoch", "bigint not null"),
            ("mysql_user", "varchar(128) not null"),
            ("started_at", "timestamp not null default current_timestamp"),
        ],
        keys: "primary key (alias, epoch)",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// How many columns of each table are Vitess's.
    const VITESS: [(&str, usize); 4] =
        [("vdiff", 13), ("vdiff_table", 10), ("vdiff_log", 4), ("vreplication", 24)];

    #[test]
    fn every_column_of_ours_stands_last_and_is_nullable_so_that_vitess_rows_fit() {
        for (name, vitess) in VITESS {
            let table = TABLES.iter().find(|table| table.name == name).unwrap();
            for (column, kind) in &table.columns[vitess..] {
                assert!(kind.ends_with(" null") && !kind.contains("not null"), "{name}.{column}");
            }
            let ours = |column: &str| column.ends_with("_epoch") || column == "pause_generation";
            assert!(table.columns[..vitess].iter().all(|(column, _)| !ours(column)), "{name}");
        }
    }
}
