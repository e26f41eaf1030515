//! `callmark rules`: what who writes rules needs: do they hold their cases, what do they make of a phrase?

use crate::cli::{Format, RulesCommand, ScoringArguments};
use crate::exit::{Exit, UsageError, say};
use callmark_analytics::{CaseReport, Tried};
use callmark_pipeline::OpenedScoring;
use callmark_types::Speaker;
use comfy_table::{Table, presets};
use serde_json::json;
use std::io::Write;

pub(crate) fn rules(command: &RulesCommand) -> anyhow::Result<Exit> {
    match command {
        RulesCommand::Test { files, text_model, format } => {
            test(&ScoringArguments { rules: files.clone(), text_model: *text_model }, *format)
        }
        RulesCommand::Try { phrase, speaker, scoring, format } => {
            let known = serde_json::from_value::<Speaker>(json!(speaker)).map_err(|_| {
                UsageError(format!("--speaker {speaker:?}: use customer, ai_agent, human_agent or ivr"))
            })?;
            try_phrase(phrase, known, scoring, *format)
        }
    }
}

fn opened(scoring: &ScoringArguments) -> anyhow::Result<OpenedScoring> {
    let opened = scoring.scoring().open()?;
    if let Some(note) = &opened.note {
        say(&format!("note: {note}"));
    }
    Ok(opened)
}

fn test(scoring: &ScoringArguments, format: Format) -> anyhow::Result<Exit> {
    let opened = opened(scoring)?;
    let reports: Vec<CaseReport> = if opened.files.is_empty() {
        opened.rules.check_cases(None)
    } else {
        opened.files.iter().flat_map(|file| opened.rules.check_cases(Some(file))).collect()
    };
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            for report in &reports {
                let line = json!({
                    "file": report.file, "rule_id": report.rule_id, "cases": report.cases, "failures": report.failures,
                });
                writeln!(out, "{line}")?;
            }
        }
        Format::Table => {
            let mut table = Table::new();
            table.load_style(presets::UTF8_FULL_CONDENSED).set_header(["rule", "cases", "result"]);
            for report in &reports {
                let result = match (report.cases, report.failures.as_slice()) {
                    (0, _) => "no cases: nothing shows that it works".to_owned(),
                    (_, []) => "holds".to_owned(),
                    (_, failures) => failures.join("\n"),
                };
                table.add_row([report.rule_id.clone(), report.cases.to_string(), result]);
            }
            writeln!(out, "{table}")?;
        }
    }
    let failed = reports.iter().map(|r| r.failures.len()).sum::<usize>();
    let cases = reports.iter().map(|r| r.cases).sum::<usize>();
    say(&format!("{} rules, {cases} cases, {failed} failed", reports.len()));
    Ok(if failed > 0 { Exit::SomeFailed } else { Exit::Done })
}

fn try_phrase(
    phrase: &str,
    speaker: Speaker,
    scoring: &ScoringArguments,
    format: Format,
) -> anyhow::Result<Exit> {
    let tried = opened(scoring)?.rules.try_text(phrase, speaker);
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            for Tried { sentence, rule_id, finds, applies, because, score } in &tried {
                let line = json!({
                    "sentence": sentence, "rule_id": rule_id, "finds": finds, "applies": applies,
                    "because": because, "score": (score * 1000.0).round() / 1000.0,
                });
                writeln!(out, "{line}")?;
            }
        }
        Format::Table if tried.is_empty() => say("no rule has anything to say to that"),
        Format::Table => {
            let mut table = Table::new();
            let header = ["sentence as rules see it", "rule", "finds", "applies", "because", "score"];
            table.load_style(presets::UTF8_FULL_CONDENSED).set_header(header);
            for Tried { sentence, rule_id, finds, applies, because, score } in tried {
                let applies = if applies { "yes" } else { "no" };
                table.add_row([sentence, rule_id, finds, applies.to_owned(), because, format!("{score:.2}")]);
            }
            writeln!(out, "{table}")?;
        }
    }
    Ok(Exit::Done)
}
