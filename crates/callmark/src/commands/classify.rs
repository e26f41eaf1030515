//! `callmark classify`: single utterances, one JSON line each, for rule authors and evaluators.

use crate::cli::{ClassifyArguments, ClassifyTask};
use crate::exit::{Exit, complain, say};
use anyhow::Context;
use callmark_analytics::{ContextTurn, Ruleset, TextFinding, classify_human_request, classify_sentiment};
use callmark_pipeline::OpenedScoring;
use callmark_types::Speaker;
use serde::Deserialize;
use std::io::{BufRead, BufReader, Write};

#[derive(Deserialize)]
struct Line {
    text: String,
    #[serde(default)]
    speaker: Option<Speaker>,
    #[serde(default)]
    context: Option<SaidBefore>,
}

/// What was said before: one text, or turns.
#[derive(Deserialize)]
#[serde(untagged)]
enum SaidBefore {
    Text(String),
    Turns(Vec<ContextLine>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum ContextLine {
    Text(String),
    Turn {
        text: String,
        #[serde(default)]
        speaker: Option<Speaker>,
    },
}

pub(crate) fn classify(arguments: &ClassifyArguments) -> anyhow::Result<Exit> {
    let OpenedScoring { rules, note, .. } = arguments.scoring.scoring().open()?;
    if let Some(note) = note {
        say(&format!("note: {note}"));
    }
    let reader: Box<dyn BufRead> = if arguments.file.as_os_str() == "-" {
        Box::new(BufReader::new(std::io::stdin()))
    } else {
        let file = std::fs::File::open(&arguments.file)
            .with_context(|| format!("cannot read {}", arguments.file.display()))?;
        Box::new(BufReader::new(file))
    };
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut bad_lines = 0;
    for (index, line) in reader.split(b'\n').enumerate() {
        let line = line.with_context(|| format!("cannot read {}", arguments.file.display()))?;
        let text = line.strip_prefix(b"\xef\xbb\xbf").filter(|_| index == 0).unwrap_or(&line);
        // Every line has its answer, so that answers and lines stay side by side.
        let answer = if let Ok(parsed) = serde_json::from_slice::<Line>(text) {
            answer(&judge(&rules, arguments.task, &parsed))
        } else {
            bad_lines += 1;
            let error = format!("line {}: not {{text, speaker?, context?}}", index + 1);
            serde_json::json!({"label": null, "score": null, "error": error})
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()?;
    if bad_lines > 0 {
        complain(&format!(
            "{}: {bad_lines} lines are not {{text, speaker?, context?}}",
            arguments.file.display()
        ));
        return Ok(Exit::SomeFailed);
    }
    Ok(Exit::Done)
}

fn answer(finding: &TextFinding) -> serde_json::Value {
    let mut answer = serde_json::json!({"label": finding.label, "score": finding.score});
    if let Some(rule) = &finding.rule_id {
        answer["rule_id"] = rule.as_str().into();
    }
    answer
}

fn judge(rules: &Ruleset, task: ClassifyTask, line: &Line) -> TextFinding {
    let context = line.context.as_ref().map(context_turns).unwrap_or_default();
    match task {
        ClassifyTask::Sentiment => classify_sentiment(rules, &line.text, line.speaker, &context),
        ClassifyTask::HumanRequest => classify_human_request(rules, &line.text, line.speaker, &context),
    }
}

fn context_turns(context: &SaidBefore) -> Vec<ContextTurn<'_>> {
    match context {
        SaidBefore::Text(text) => vec![ContextTurn { speaker: None, text }],
        SaidBefore::Turns(turns) => turns
            .iter()
            .map(|turn| match turn {
                ContextLine::Text(text) => ContextTurn { speaker: None, text },
                ContextLine::Turn { text, speaker } => ContextTurn { speaker: *speaker, text },
            })
            .collect(),
    }
}
