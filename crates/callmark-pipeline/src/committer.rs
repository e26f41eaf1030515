//! Finished calls, in order, into batches and commits, with what a run counts of them.

use crate::call::{CallContext, Outcome, dead_letter, duration, id_is_taken};
use crate::inputs::Task;
use crate::run::{Progress, RunError, RunReport};
use callmark_store::{Batch, DeadLetter, DeadLetterId, SourceKey};
use callmark_types::{CallId, Millis, ScoredCall};
use std::collections::HashMap;
use std::sync::PoisonError;

/// Collects finished calls into batches and commits them.
pub(crate) struct Committer<'a> {
    context: &'a CallContext<'a>,
    pub(crate) batch_calls: usize,
    progress: &'a dyn Fn(Progress),
    pending: Vec<(SourceKey, ScoredCall)>,
    /// The calls of `pending`.
    pending_ids: HashMap<CallId, SourceKey>,
    dead: Vec<DeadLetter>,
    /// How often earlier runs tried what is a dead letter in the dataset.
    tries_before: HashMap<DeadLetterId, u32>,
    report: RunReport,
}

impl<'a> Committer<'a> {
    pub(crate) fn new(
        context: &'a CallContext<'a>,
        batch_calls: usize,
        tries_before: HashMap<DeadLetterId, u32>,
        progress: &'a dyn Fn(Progress),
    ) -> Self {
        Self {
            context,
            batch_calls,
            progress,
            pending: Vec::new(),
            pending_ids: HashMap::new(),
            dead: Vec::new(),
            tries_before,
            report: RunReport::default(),
        }
    }

    pub(crate) fn note_finished(&self, task: &Task, outcome: &Outcome) {
        let audio = match outcome {
            Outcome::Scored { call, .. } => duration(call),
            Outcome::Skipped | Outcome::Erased | Outcome::Dead(_) => Millis::ZERO,
        };
        if let Outcome::Dead(letter) = outcome {
            (self.progress)(Progress::Lost { reason: lost_call(letter) });
        }
        (self.progress)(Progress::Finished { bytes: task.bytes(), audio });
    }

    /// Takes the next outcome in order. Of calls that share an id the first one stands.
    pub(crate) fn take(&mut self, outcome: Outcome) -> Result<(), RunError> {
        match outcome {
            Outcome::Skipped => self.report.skipped += 1,
            Outcome::Erased => self.report.erased += 1,
            Outcome::Dead(letter) => self.bury(*letter),
            Outcome::Scored { key, call } => match self.owner_of(&call.record.call_id) {
                None => {
                    self.pending_ids.insert(call.record.call_id.clone(), key);
                    self.pending.push((key, *call));
                }
                Some(owner) if owner == key => self.report.skipped += 1,
                Some(_) => {
                    let id = call.record.call_id;
                    let error = id_is_taken(&id);
                    let letter = dead_letter(call.record.source, Some(id), error, self.context.metadata_uri);
                    (self.progress)(Progress::Lost { reason: lost_call(&letter) });
                    self.bury(letter);
                }
            },
        }
        if self.pending.len() + self.dead.len() >= self.batch_calls { self.commit() } else { Ok(()) }
    }

    fn bury(&mut self, letter: DeadLetter) {
        let before = self.tries_before.get(&letter.id()).copied().unwrap_or(0);
        self.dead.push(DeadLetter { attempts: before.saturating_add(letter.attempts), ..letter });
    }

    /// The input that has the id already, in the dataset or in the batch under way.
    fn owner_of(&self, id: &CallId) -> Option<SourceKey> {
        let dataset = self.context.dataset.lock().unwrap_or_else(PoisonError::into_inner);
        self.pending_ids.get(id).or_else(|| dataset.committed_call(id)).copied()
    }

    fn commit(&mut self) -> Result<(), RunError> {
        let calls = std::mem::take(&mut self.pending);
        self.pending_ids.clear();
        let dead_letters = std::mem::take(&mut self.dead);
        if calls.is_empty() && dead_letters.is_empty() {
            return Ok(());
        }
        let (count, dead, audio) =
            (calls.len(), dead_letters.len(), calls.iter().map(|(_, c)| duration(c)).sum());
        let keys: Vec<SourceKey> = calls.iter().map(|(key, _)| *key).collect();
        let batch = Batch::of_files(calls, dead_letters);
        self.context.dataset.lock().unwrap_or_else(PoisonError::into_inner).commit(&batch)?;
        tracing::info!(calls = count, dead_letters = dead, "batch committed");
        for key in &keys {
            self.context.spool.forget(key);
        }
        self.report.scored += count;
        self.report.dead_letters += dead;
        self.report.audio = self.report.audio + audio;
        (self.progress)(Progress::Committed { calls: count });
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<RunReport, RunError> {
        self.commit()?;
        Ok(self.report)
    }
}

fn lost_call(letter: &DeadLetter) -> String {
    let what = letter
        .source
        .uri
        .as_deref()
        .or(letter.call_id.as_ref().map(callmark_types::CallId::as_str))
        .unwrap_or("a call");
    // Decoders name the file themselves.
    let line = if letter.reason.contains(what) {
        letter.reason.clone()
    } else {
        format!("{what}: {}", letter.reason)
    };
    one_line(&line)
}

/// A file's name may hold anything; what is shown has one line per call. Hints of decoders keep theirs.
fn one_line(text: &str) -> String {
    text.replace("\nhint: ", "; hint: ")
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
