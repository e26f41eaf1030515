//! A dataset scored again from its stored turns, by other rules or another sentence model, into a dataset of its own;
//! and what came out differently.
//!
//! The old dataset is only read: both versions stay, each row with the lineage it was made by, so that who changes a
//! rule can see what it does to last month's figures before anybody believes them.

use crate::config::invalid;
use crate::run::RunError;
use crate::scoring::Scoring;
use callmark_analytics::rescore as score_again;
use callmark_store::{Batch, Dataset, SourceKey, is_dataset, read_calls, read_commits};
use callmark_types::{CallRecord, Event, Lineage, Millis, ScoredCall};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// Folder in the new dataset for what is not a table.
const NOTES: &str = "_rescore";

/// By what a dataset was scored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScoredBy {
    /// Version of Callmark.
    pub pipeline_version: String,
    /// SHA-256 of all rules and lexicons.
    pub rules_sha256: String,
    /// SHA-256 of the sentence model; `None` where rules alone decided.
    pub text_model_sha256: Option<String>,
}

/// What became of the findings of one type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FindingChange {
    /// In the old dataset.
    pub before: usize,
    /// In the new one.
    pub after: usize,
    /// At a place where there was none.
    pub added: usize,
    /// No longer there.
    pub removed: usize,
    /// At the same place, by another rule, version, confidence or with another detail.
    pub altered: usize,
}

/// What a rescore did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RescoreReport {
    /// Calls scored again.
    pub calls: usize,
    /// Calls of which a column or a finding changed.
    pub changed_calls: usize,
    /// Calls without stored turns: taken over as they are.
    pub without_turns: usize,
    /// Turns whose sentiment changed.
    pub changed_turns: usize,
    /// By type of finding.
    pub findings: BTreeMap<String, FindingChange>,
    /// Calls in which a column of `calls` changed, by column.
    pub columns: BTreeMap<String, usize>,
    /// By what the old rows were scored, with the number of rows.
    pub before: Vec<(ScoredBy, usize)>,
    /// By what the new ones are scored.
    pub after: Option<ScoredBy>,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

/// Where an interrupted rescore goes on, and what it must not be mixed with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Plan {
    from: PathBuf,
    by: ScoredBy,
}

/// Scores the dataset `from` again into `out`; goes on where it was stopped. `progress` is told of calls done and of all.
///
/// # Errors
/// Where `from` cannot be read, `out` cannot be written or holds something else, or the scoring cannot be opened.
pub fn rescore(
    from: &Path,
    out: &Path,
    scoring: &Scoring,
    stop: &AtomicBool,
    progress: &dyn Fn(usize, usize),
) -> Result<(RescoreReport, Option<String>), RunError> {
    let opened = scoring.open()?;
    let by = ScoredBy {
        pipeline_version: env!("CARGO_PKG_VERSION").to_owned(),
        rules_sha256: opened.rules.sha256().to_owned(),
        text_model_sha256: opened.rules.text_model_sha256().map(str::to_owned),
    };
    let commits = read_commits(from)?;
    let plan = Plan { from: std::fs::canonicalize(from).unwrap_or_else(|_| from.to_owned()), by: by.clone() };
    let notes = begin(out, &plan)?;
    let (mut dataset, _) = Dataset::open_for_writing(out)?;
    let all = commits.iter().map(|commit| commit.entries.len()).sum();
    let mut report = RescoreReport { after: Some(by.clone()), ..RescoreReport::default() };
    let mut lineages: BTreeMap<ScoredBy, usize> = BTreeMap::new();
    let changes_path = notes.join("changes.jsonl");
    let mut changes = Replaced::create(&changes_path)?;
    for commit in &commits {
        if stop.load(Ordering::Relaxed) {
            report.stopped = true;
            break;
        }
        let mut batch: Vec<(SourceKey, ScoredCall)> = Vec::new();
        for (key, old) in read_calls(from, commit)? {
            if dataset.erased().has_call(&old.record.call_id) {
                continue;
            }
            let Lineage { pipeline_version, rules_sha256, text_model_sha256, .. } =
                old.record.lineage.clone();
            *lineages.entry(ScoredBy { pipeline_version, rules_sha256, text_model_sha256 }).or_default() += 1;
            let mut new = if old.turns.is_empty() { old.clone() } else { score_again(&opened.rules, &old) };
            report.without_turns += usize::from(old.turns.is_empty());
            if !old.turns.is_empty() {
                new.record.lineage = Lineage {
                    pipeline_version: by.pipeline_version.clone(),
                    rules_sha256: by.rules_sha256.clone(),
                    text_model_sha256: by.text_model_sha256.clone(),
                    ..new.record.lineage
                };
            }
            report.calls += 1;
            if let Some(change) = compare(&old, &new, &mut report) {
                changes.line(&change)?;
            }
            if !dataset.is_committed(&key) {
                batch.push((key, new));
            }
        }
        if !batch.is_empty() {
            dataset.commit(&Batch::of_files(batch, Vec::new()))?;
        }
        progress(report.calls, all);
    }
    report.before = lineages.into_iter().collect();
    if !report.stopped {
        changes.finish()?;
        let mut file = Replaced::create(&notes.join("report.json"))?;
        file.line(&serde_json::to_value(&report).unwrap_or_default())?;
        file.finish()?;
    }
    Ok((report, opened.note))
}

/// Refuses to mix datasets, and says what this one is.
fn begin(out: &Path, plan: &Plan) -> Result<PathBuf, RunError> {
    let folder = |path: &Path| {
        let path = path.to_owned();
        move |source| RunError::Folder { path, source }
    };
    if std::fs::canonicalize(out).is_ok_and(|out| out == plan.from) {
        return Err(invalid(
            "--out",
            "the new dataset needs a folder of its own: the old one is not changed",
        )
        .into());
    }
    let notes = out.join(NOTES);
    let path = notes.join("plan.json");
    match std::fs::read(&path) {
        Ok(bytes) if serde_json::from_slice::<Plan>(&bytes).ok().as_ref() != Some(plan) => {
            let reason = format!(
                "{} holds a rescore of other data or by other rules: give another folder",
                out.display()
            );
            Err(invalid("--out", reason).into())
        }
        Ok(_) => Ok(notes),
        Err(_) if is_dataset(out) => {
            let reason =
                format!("{} is a dataset already, and no rescore: give another folder", out.display());
            Err(invalid("--out", reason).into())
        }
        Err(_) => {
            std::fs::create_dir_all(&notes).map_err(folder(&notes))?;
            let mut file = Replaced::create(&path)?;
            file.line(&serde_json::to_value(plan).unwrap_or_default())?;
            file.finish()?;
            Ok(notes)
        }
    }
}

/// A file that takes the place of an older one once it is whole.
struct Replaced {
    path: PathBuf,
    half: PathBuf,
    file: BufWriter<std::fs::File>,
}

impl Replaced {
    fn create(path: &Path) -> Result<Self, RunError> {
        let half = path.with_extension("half");
        let file =
            std::fs::File::create(&half).map_err(|source| RunError::Folder { path: half.clone(), source })?;
        Ok(Self { path: path.to_owned(), half, file: BufWriter::new(file) })
    }

    fn line(&mut self, value: &Value) -> Result<(), RunError> {
        writeln!(self.file, "{value}").map_err(|source| RunError::Folder { path: self.half.clone(), source })
    }

    fn finish(mut self) -> Result<(), RunError> {
        let done = self.file.flush().and_then(|()| std::fs::rename(&self.half, &self.path));
        done.map_err(|source| RunError::Folder { path: self.path, source })
    }
}

/// What changed in a call, counted and as a line of its own; `None` where nothing did. No words of the call are in it.
fn compare(old: &ScoredCall, new: &ScoredCall, report: &mut RescoreReport) -> Option<Value> {
    let mut columns = serde_json::Map::new();
    for ((name, before), (_, after)) in judged(&old.record).into_iter().zip(judged(&new.record)) {
        if before != after {
            *report.columns.entry(name.to_owned()).or_default() += 1;
            columns.insert(name.to_owned(), json!([before, after]));
        }
    }
    let turns = old.turn_sentiment.iter().zip(&new.turn_sentiment).filter(|(a, b)| a != b).count();
    report.changed_turns += turns;
    let findings = findings(&old.events, &new.events, &mut report.findings);
    if columns.is_empty() && findings.is_empty() && turns == 0 {
        return None;
    }
    report.changed_calls += 1;
    Some(json!({
        "call_id": new.record.call_id.as_str(), "columns": columns, "findings": findings, "changed_turns": turns,
    }))
}

/// The columns of `calls` that scoring decides.
fn judged(record: &CallRecord) -> Vec<(&'static str, Value)> {
    let millis = |value: Option<Millis>| json!(value.map(|m| m.0));
    let (access, resolution, sentiment) = (&record.human_access, &record.resolution, &record.sentiment);
    vec![
        ("first_handler", json!(record.first_handler)),
        ("final_handler", json!(record.final_handler)),
        ("outcome", json!(resolution.outcome)),
        ("resolved_at_ms", millis(resolution.resolved_at)),
        ("resolution_time_ms", millis(resolution.resolution_time)),
        ("resolution_confidence", json!(resolution.confidence)),
        ("resolution_evidence_turn", json!(resolution.evidence_turn)),
        ("human_request_count", json!(access.human_request_count)),
        ("first_human_request_ms", millis(access.first_human_request)),
        ("deflection_count", json!(access.deflection_count)),
        ("human_reached_ms", millis(access.human_reached)),
        ("time_to_human_ms", millis(access.time_to_human)),
        ("human_request_honoured", json!(access.human_request_honoured)),
        ("sentiment_overall_score_customer", json!(sentiment.customer.overall)),
        ("sentiment_start_score_customer", json!(sentiment.customer.start)),
        ("sentiment_end_score_customer", json!(sentiment.customer.end)),
        ("sentiment_overall_score_agent", json!(sentiment.agent.overall)),
        ("flags", json!(record.trust.flags)),
    ]
}

/// Pairs findings of a type that are at the same place; the rest was added or removed.
fn findings(old: &[Event], new: &[Event], counts: &mut BTreeMap<String, FindingChange>) -> Vec<Value> {
    let place = |e: &Event| (e.kind, e.turn_index, e.span);
    let line = |e: &Event, change: &str, before: Option<&Event>| {
        json!({
            "type": e.kind.as_str(), "change": change, "turn_index": e.turn_index,
            "start_ms": e.span.map(|s| s.start.0), "rule_id": e.rule_id, "detail": e.detail, "confidence": e.confidence,
            "before": before.map(|b| json!({"rule_id": b.rule_id, "detail": b.detail, "confidence": b.confidence})),
        })
    };
    let mut lines = Vec::new();
    let mut left: Vec<&Event> = old.iter().collect();
    for event in old {
        counts.entry(event.kind.as_str().to_owned()).or_default().before += 1;
    }
    for event in new {
        let count = counts.entry(event.kind.as_str().to_owned()).or_default();
        count.after += 1;
        let same = left.iter().position(|o| *o == event);
        if let Some(index) = same.or_else(|| left.iter().position(|o| place(o) == place(event))) {
            let before = left.remove(index);
            if before != event {
                count.altered += 1;
                lines.push(line(event, "altered", Some(before)));
            }
        } else {
            count.added += 1;
            lines.push(line(event, "added", None));
        }
    }
    for event in left {
        counts.entry(event.kind.as_str().to_owned()).or_default().removed += 1;
        lines.push(line(event, "removed", None));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use callmark_types::{EventKind, Span};

    fn event(kind: EventKind, start: i64, rule: &str) -> Event {
        let span = Span::new(Millis(start), Millis(start + 100));
        Event { rule_id: Some(rule.to_owned()), ..Event::lasting(kind, span) }
    }

    #[test]
    fn findings_are_paired_by_place() {
        let old = [
            event(EventKind::HumanRequest, 0, "a"),
            event(EventKind::HumanRequest, 500, "a"),
            event(EventKind::Loop, 900, "l"),
        ];
        let new = [
            event(EventKind::HumanRequest, 0, "b"),
            event(EventKind::HumanRequest, 700, "a"),
            event(EventKind::Loop, 900, "l"),
        ];
        let mut counts = BTreeMap::new();
        let lines = findings(&old, &new, &mut counts);
        let changes: Vec<&str> = lines.iter().filter_map(|l| l["change"].as_str()).collect();
        assert_eq!(changes, ["altered", "added", "removed"]);
        assert_eq!(
            counts["human_request"],
            FindingChange { before: 2, after: 2, added: 1, removed: 1, altered: 1 }
        );
        assert_eq!(counts["loop"], FindingChange { before: 1, after: 1, ..FindingChange::default() });
    }
}
