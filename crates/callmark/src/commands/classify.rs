//! `callmark classify`: single utterances, one JSON line each, for rule authors and evaluators.

use crate::cli::{ClassifyArguments, ClassifyTask};
use crate::exit::{Exit, complain, say};
use anyhow::Context;
use callmark_analytics::{ContextTurn, Ruleset, TextFinding, classify_human_request, classify_sentiment};
use callmark_pipeline::OpenedScoring;
use callmark_types::Speaker;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};

/// A text to judge, with who said it and what was said before.
struct Line {
    text: String,
    speaker: Option<Speaker>,
    context: Vec<(Option<Speaker>, String)>,
}

/// Keys of a line that are read. Others only go along: labelled corpora carry their own.
const KEYS: [&str; 3] = ["text", "speaker", "context"];

impl Line {
    /// Reads a line; the error says which part of it is wrong, and quotes nothing that was said.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|_| "not JSON".to_owned())?;
        let Value::Object(fields) = value else {
            return Err("not an object {text, speaker?, context?}".to_owned());
        };
        let near = |key: &str| KEYS.iter().any(|known| strange(key, known));
        if let Some(key) = fields.keys().find(|key| !KEYS.contains(&key.as_str()) && near(key)) {
            return Err(format!("unknown key `{key}`: use text, speaker, context"));
        }
        let text = match fields.get("text") {
            Some(Value::String(text)) => text.clone(),
            Some(_) => return Err("`text` is not a text".to_owned()),
            None => return Err("no `text`".to_owned()),
        };
        let context = match fields.get("context") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::String(text)) => vec![(None, text.clone())],
            Some(Value::Array(turns)) => turns.iter().map(context_turn).collect::<Result<Vec<_>, _>>()?,
            Some(_) => return Err("`context` is neither a text nor a list".to_owned()),
        };
        Ok(Self { text, speaker: speaker_of(fields.get("speaker"))?, context })
    }
}

/// Whether a key is a slip of the pen for a known one.
fn strange(key: &str, known: &str) -> bool {
    key.eq_ignore_ascii_case(known) || key.strip_suffix('s') == Some(known)
}

fn speaker_of(value: Option<&Value>) -> Result<Option<Speaker>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        // An agent of whom nobody says whether it is a machine: a person may be asked of it.
        Some(Value::String(name)) if name == "agent" => Ok(Some(Speaker::AiAgent)),
        Some(value) => serde_json::from_value(value.clone()).map(Some).map_err(|_| {
            "`speaker` is none of customer, ai_agent, human_agent, agent, ivr, unknown".to_owned()
        }),
    }
}

fn context_turn(value: &Value) -> Result<(Option<Speaker>, String), String> {
    match value {
        Value::String(text) => Ok((None, text.clone())),
        Value::Object(turn) => {
            let text = turn.get("text").and_then(Value::as_str).ok_or("a turn of `context` has no `text`")?;
            Ok((speaker_of(turn.get("speaker"))?, text.to_owned()))
        }
        _ => Err("a turn of `context` is neither a text nor {text, speaker?}".to_owned()),
    }
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
        let answer = match Line::read(text) {
            Ok(line) => answer(&judge(&rules, arguments.task, &line)),
            Err(reason) => {
                bad_lines += 1;
                let error = format!("line {}: {reason}", index + 1);
                serde_json::json!({"label": null, "score": null, "error": error})
            }
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
    let context: Vec<ContextTurn<'_>> =
        line.context.iter().map(|(speaker, text)| ContextTurn { speaker: *speaker, text }).collect();
    match task {
        ClassifyTask::Sentiment => classify_sentiment(rules, &line.text, line.speaker, &context),
        ClassifyTask::HumanRequest => classify_human_request(rules, &line.text, line.speaker, &context),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_says_what_is_wrong_with_it() {
        for (line, part) in [
            ("nonsense", "not JSON"),
            ("[1]", "not an object"),
            (r#"{"txt": "hi"}"#, "no `text`"),
            (r#"{"text": 4}"#, "`text` is not a text"),
            (r#"{"text": "hi", "speaker": "alien"}"#, "`speaker` is none of"),
            (r#"{"text": "hi", "Speaker": "customer"}"#, "unknown key `Speaker`"),
            (r#"{"text": "hi", "context": 4}"#, "`context` is neither"),
            (r#"{"text": "hi", "context": [{"speaker": "agent"}]}"#, "has no `text`"),
        ] {
            let error = Line::read(line.as_bytes()).err().unwrap_or_default();
            assert!(error.contains(part), "{line}: {error}");
        }
        let line = Line::read(br#"{"text": "hi", "speaker": "agent", "label": 1}"#).unwrap();
        assert_eq!(line.speaker, Some(Speaker::AiAgent));
    }
}
