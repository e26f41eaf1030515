//! `callmark models`: weights listed, fetched, verified, converted.

use crate::cli::{Format, ModelCommand};
use crate::exit::{Exit, say};
use callmark_models::{
    Activity, ModelState, ModelStatus, ModelStore, Progress, PullOptions, VerificationOutcome,
    convert_ctranslate2, quantise_q8_0,
};
use comfy_table::{Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;

pub(crate) fn models(command: ModelCommand) -> anyhow::Result<Exit> {
    let store = ModelStore::open(ModelStore::default_dir()?)?;
    match command {
        ModelCommand::List { format } => list(&store, format),
        ModelCommand::Pull { name, from, keep_wheels, force } => {
            let options = PullOptions { from, keep_wheels, force, ..PullOptions::from_environment()? };
            let display = Display::new();
            let pulled = store.pull(&name, &options, |progress| display.show(progress));
            display.close();
            let pulled = pulled?;
            let how = if pulled.already_there {
                "is here and verified".to_owned()
            } else {
                format!("fetched from {}", pulled.origin)
            };
            say(&format!("{} {how}", pulled.name));
            writeln!(std::io::stdout(), "{}", pulled.path.display())?;
            Ok(Exit::Done)
        }
        ModelCommand::Verify { name } => verify(&store, name.as_deref()),
        ModelCommand::Convert { input, output, quantize } => {
            let display = Display::new();
            let result = if quantize {
                quantise_q8_0(&input, &output, |progress| display.show(progress))
            } else {
                convert_ctranslate2(&input, None, &output, |progress| display.show(progress))
            };
            display.close();
            result?;
            writeln!(std::io::stdout(), "{}", output.display())?;
            Ok(Exit::Done)
        }
    }
}

fn list(store: &ModelStore, format: Format) -> anyhow::Result<Exit> {
    let mut out = std::io::stdout().lock();
    let models = store.list();
    match format {
        Format::Json => {
            for model in &models {
                let line = serde_json::json!({
                    "name": model.name, "path": model.path.display().to_string(), "bytes": model.bytes,
                    "sha256": model.sha256, "licence": model.licence, "state": state(model),
                });
                writeln!(out, "{line}")?;
            }
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["model", "MB", "state", "file"]);
            for model in &models {
                let megabytes = format!("{:.0}", model.bytes as f64 / 1e6);
                table.add_row([
                    model.name.clone(),
                    megabytes,
                    state(model).to_owned(),
                    model.path.display().to_string(),
                ]);
            }
            writeln!(out, "{table}")?;
            say("fetch one with `callmark models pull NAME`");
        }
    }
    Ok(Exit::Done)
}

fn state(model: &ModelStatus) -> &'static str {
    match model.state {
        ModelState::Missing => "not here",
        ModelState::WrongSize { .. } | ModelState::Damaged => "damaged",
        ModelState::Unverified => "here, not verified",
        ModelState::Verified => "here, verified",
    }
}

fn verify(store: &ModelStore, name: Option<&str>) -> anyhow::Result<Exit> {
    let display = Display::new();
    let results = match name {
        Some(name) => store.verify(name, |progress| display.show(progress)).map(|result| vec![result]),
        None => store.verify_all(|progress| display.show(progress)),
    };
    display.close();
    let results = results?;
    let mut out = std::io::stdout().lock();
    let mut intact = true;
    for result in &results {
        let verdict = match &result.outcome {
            VerificationOutcome::Intact => "intact".to_owned(),
            VerificationOutcome::Missing => "missing".to_owned(),
            VerificationOutcome::Damaged { reason } => format!("damaged: {reason}"),
        };
        intact &= result.outcome == VerificationOutcome::Intact;
        writeln!(out, "{}\t{}\t{verdict}", result.name, result.path.display())?;
    }
    if results.is_empty() {
        say("no model is here; fetch one with `callmark models pull base`");
    }
    Ok(if intact { Exit::Done } else { Exit::Nothing })
}

/// A bar on a terminal; failures of sources are said in any case.
struct Display {
    bar: ProgressBar,
}

impl Display {
    fn new() -> Self {
        let bar = ProgressBar::no_length();
        if let Ok(style) =
            ProgressStyle::with_template("{msg:40!} {bar:24} {bytes}/{total_bytes} about {eta} left")
        {
            bar.set_style(style);
        }
        Self { bar }
    }

    fn show(&self, progress: &Progress<'_>) {
        match progress {
            Progress::Bytes { activity, what, done_bytes, total_bytes } => {
                let verb = match activity {
                    Activity::Download => "fetching",
                    Activity::Unpack => "unpacking",
                    Activity::Convert => "converting",
                    Activity::Quantise => "quantising",
                    Activity::Verify => "verifying",
                    Activity::Wait => "waiting for",
                    _ => "working on",
                };
                self.bar.set_message(format!("{verb} {what}"));
                self.bar.set_length(total_bytes.unwrap_or(0));
                self.bar.set_position(*done_bytes);
            }
            Progress::Retry { what, error, attempt } => {
                self.line(&format!("attempt {attempt} for {what} failed: {error}"));
            }
            Progress::SourceFailed { source, error } => {
                self.line(&format!("{source}: {error}; trying the next source"));
            }
            _ => {}
        }
    }

    fn line(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    fn close(&self) {
        self.bar.finish_and_clear();
    }
}
