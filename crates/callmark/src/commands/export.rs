//! `callmark export`: calls in the shape that other tools read.

use crate::cli::{ExportArguments, ExportCommand, ExportFormat};
use crate::exit::{Exit, UsageError, say};
use anyhow::Context;
use callmark_query::{OutputFormat, QueryError, Tables, export_contact_lens, render_query};
use callmark_store::SourceKey;
use serde_json::Value;
use std::io::Write;
use std::path::Path;

pub(crate) fn export(arguments: &ExportArguments) -> anyhow::Result<Exit> {
    if let Some(ExportCommand::Reviews(reviews)) = &arguments.what {
        return super::serve::export_reviews(reviews);
    }
    let (Some(dataset), Some(format)) = (&arguments.dataset, arguments.format) else {
        return Err(UsageError("name a dataset and a --format".to_owned()).into());
    };
    super::runtime()?.block_on(async {
        let tables = Tables::open(dataset).await?;
        match (format, &arguments.out) {
            (ExportFormat::Csv, Some(_)) => {
                Err(UsageError("--out goes with --format contact-lens; CSV is written to stdout".to_owned())
                    .into())
            }
            (ExportFormat::Csv, None) => {
                let calls = "select * from calls order by call_id";
                render_query(&tables, calls, OutputFormat::Csv, &mut std::io::stdout().lock()).await?;
                Ok(Exit::Done)
            }
            (ExportFormat::ContactLens, None) => {
                let mut out = std::io::stdout().lock();
                export_contact_lens(&tables, |_, document| Ok(writeln!(out, "{document}")?)).await?;
                Ok(Exit::Done)
            }
            (ExportFormat::ContactLens, Some(folder)) => {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                let count =
                    export_contact_lens(&tables, |id, document| write_document(folder, id, document)).await?;
                say(&format!("{count} files written to {}", folder.display()));
                Ok(Exit::Done)
            }
        }
    })
}

fn write_document(folder: &Path, call_id: &str, document: &Value) -> Result<(), QueryError> {
    let path = folder.join(format!("{}.json", file_stem(call_id)));
    let text = format!("{document:#}\n");
    std::fs::write(&path, text)
        .map_err(|e| QueryError::Failed(format!("cannot write {}: {e}", path.display())))
}

/// Longest stem of a file name; file systems take 255 bytes with the ending.
const LONGEST_STEM: usize = 200;
/// What is kept of a longer one, before the digest that tells it from others.
const KEPT_OF_LONG_STEM: usize = 150;

/// A call id as a file name: what could leave the folder or mean something to a shell becomes `%XX`, and what is too
/// long for a file system ends in a digest of the whole.
fn file_stem(call_id: &str) -> String {
    use std::fmt::Write as _;
    let mut stem = String::with_capacity(call_id.len());
    for byte in call_id.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) && !stem.is_empty() {
            stem.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(stem, "%{byte:02X}");
        }
    }
    if stem.len() > LONGEST_STEM {
        stem.truncate(KEPT_OF_LONG_STEM);
        let _ = write!(stem, "~{:.16}", SourceKey::of_parts(&[call_id]).to_string());
    }
    stem
}

#[cfg(test)]
mod tests {
    use super::file_stem;

    #[test]
    fn a_call_id_cannot_leave_the_folder() {
        assert_eq!(file_stem("../a b"), "%2E.%2Fa%20b");
        assert_eq!(file_stem("c-1_x.7"), "c-1_x.7");
    }

    #[test]
    fn long_ids_have_short_names_that_differ() {
        let (one, other) = (file_stem(&"é".repeat(128)), file_stem(&format!("{}x", "é".repeat(127))));
        assert!(one.len() <= 200 && other.len() <= 200 && one != other, "{one} {other}");
    }
}
