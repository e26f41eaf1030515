//! `callmark compare`: AI versus human handling, as a report.

use crate::cli::{CompareArguments, Format};
use crate::exit::{Exit, UsageError, say};
use anyhow::Context;
use callmark_compare::{analysis, claim, cohort, config::CompareConfig, report};
use callmark_query::Tables;
use std::io::Write;
use std::path::Path;

pub(crate) fn compare(arguments: &CompareArguments) -> anyhow::Result<Exit> {
    let config = config(arguments)?;
    if arguments.html.is_some() && arguments.html == arguments.json {
        return Err(UsageError("--html and --json name the same file: give each its own".to_owned()).into());
    }
    let mut labels = cohort::Labels::default();
    if let Some(path) = &arguments.reviews {
        labels.read_reviews(path).map_err(|e| UsageError(e.to_string()))?;
    }
    if let Some(path) = &arguments.survey {
        labels.read_survey(path).map_err(|e| UsageError(e.to_string()))?;
    }
    let published = match &arguments.claim {
        None => None,
        Some(path) => Some(
            claim::Claim::parse(&read(path)?).map_err(|e| UsageError(format!("{}: {e}", path.display())))?,
        ),
    };
    let own = match &arguments.dataset {
        None => None,
        Some(dataset) => {
            let calls = super::runtime()?.block_on(async {
                let tables = Tables::open(dataset).await?;
                cohort::extract(&tables, &config, &labels).await.map_err(|error| match error {
                    cohort::CompareError::UnknownLevel { .. } => UsageError(error.to_string()).into(),
                    other => anyhow::Error::from(other),
                })
            })?;
            let name = dataset.file_name().map_or("dataset".into(), |n| n.to_string_lossy());
            Some(analysis::compare(&calls, &config, &name))
        }
    };
    let mut shown = own.clone().unwrap_or_default();
    if let Some(published) = published {
        let checked = claim::check(&published, own.as_ref());
        if own.is_none() {
            shown.title.clone_from(&checked.title);
        }
        shown.include(checked);
    }
    if let Some(path) = &arguments.html {
        write(path, &report::html(&shown))?;
    }
    let json = format!("{:#}\n", report::json(&shown));
    if let Some(path) = &arguments.json {
        write(path, &json)?;
    }
    let summary = report::markdown(&shown);
    let printed = if arguments.format == Format::Json { &json } else { &summary };
    std::io::stdout().lock().write_all(printed.as_bytes())?;
    Ok(Exit::Done)
}

/// The configuration's file, and what flags say instead of it.
fn config(arguments: &CompareArguments) -> anyhow::Result<CompareConfig> {
    let mut config = match &arguments.config {
        None => CompareConfig::default(),
        Some(path) => {
            CompareConfig::parse(&read(path)?).map_err(|e| UsageError(format!("{}: {e}", path.display())))?
        }
    };
    let given = [
        (&arguments.queues, &mut config.queues),
        (&arguments.issues, &mut config.issues),
        (&arguments.languages, &mut config.languages),
    ];
    for (flag, key) in given.into_iter().filter(|(flag, _)| !flag.is_empty()) {
        key.clone_from(flag);
    }
    for (flag, key) in [(&arguments.from, &mut config.from), (&arguments.until, &mut config.until)] {
        if flag.is_some() {
            key.clone_from(flag);
        }
    }
    config.validate().map_err(|e| UsageError(e.to_string()))?;
    Ok(config)
}

fn read(path: &Path) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(path)
        .map_err(|e| UsageError(format!("cannot read {}: {e}", path.display())))?)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("{} written", path.display()));
    Ok(())
}
