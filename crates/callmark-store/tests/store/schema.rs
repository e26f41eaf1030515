//! The documentation of the schema is what the code says.

use callmark_store::{Table, arrow_schema, schema_markdown};
use std::path::Path;

#[test]
fn the_schema_document_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("SCHEMA.md");
    if std::env::var_os("CALLMARK_BLESS").is_some() {
        std::fs::write(&path, schema_markdown()).unwrap();
    }
    let document = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        document == schema_markdown(),
        "SCHEMA.md is stale: run CALLMARK_BLESS=1 cargo test -p callmark-store --test store"
    );
}

#[test]
fn every_column_is_described_and_named_once() {
    for table in Table::ALL {
        let schema = arrow_schema(table);
        let mut names = std::collections::HashSet::new();
        for field in schema.fields() {
            assert!(names.insert(field.name()), "{table}.{} stands twice", field.name());
            assert!(
                field.metadata().get("description").is_some_and(|text| text.len() > 5),
                "{table}.{}",
                field.name()
            );
        }
    }
}
