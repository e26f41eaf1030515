//! Writes beside the old files what takes their place, and says in which order.

use super::beside::{Beside, without_lines_of};
use super::calls::ERASED_LIST;
use super::plan::{self, ERASURE, Plan, Step};
use super::survey::{ChangedCommit, FileChange, Survey};
use super::{EraseHook, EraseStep, rows};
use crate::commit::to_json;
use crate::dead_letters;
use crate::error::StoreError;
use crate::layout::{CommitRecord, ERASED_FORMAT, FileEntry};
use crate::place::Backend;
use crate::schema::Table;
use crate::writer;
use std::collections::HashSet;

/// The order in which files of a commit are replaced: a call that is seen has its turns and events.
const ORDER: [Table; 3] = [Table::Calls, Table::Turns, Table::Events];

/// Writes everything that changes into the directory of the erasure.
pub(super) fn stage(
    directory: &dyn Backend,
    survey: &Survey,
    hook: EraseHook<'_>,
) -> Result<Plan, StoreError> {
    directory.create_directories(ERASURE)?;
    let mut stage = Stage { directory, hook, steps: Vec::new(), written: 0 };
    // First of all, so that whoever reads a record that has changed finds its calls here.
    let list = to_json(&survey.list, &directory.path(ERASED_LIST))?;
    stage.bytes(&list, ERASED_LIST)?;
    for commit in &survey.commits {
        stage.commit(commit, &survey.ids)?;
    }
    for id in &survey.erased.dead_letters {
        stage.steps.extend(dead_letters::paths(id).map(|path| Step::Remove { path }));
    }
    for change in &survey.beside {
        stage.beside(change, &survey.ids)?;
    }
    directory.sync_directory(ERASURE)?;
    (stage.hook)(EraseStep::WrittenSynced);
    Ok(Plan::new(stage.steps))
}

fn in_order(mut steps: Vec<(Table, Step)>) -> impl Iterator<Item = Step> {
    steps.sort_by_key(|(table, _)| ORDER.iter().position(|of| of == table));
    steps.into_iter().map(|(_, step)| step)
}

struct Stage<'a> {
    directory: &'a dyn Backend,
    hook: EraseHook<'a>,
    steps: Vec<Step>,
    written: u64,
}

impl Stage<'_> {
    /// A name that no other file of this erasure has.
    fn next(&mut self) -> String {
        self.written += 1;
        format!("{ERASURE}/{:08}", self.written)
    }

    fn bytes(&mut self, bytes: &[u8], to: &str) -> Result<(), StoreError> {
        let from = self.next();
        plan::write(self.directory, &from, bytes)?;
        (self.hook)(EraseStep::FileWritten);
        self.steps.push(Step::Move { from, to: to.to_owned() });
        Ok(())
    }

    /// The files of a commit without the calls, and the record that names them.
    fn commit(&mut self, commit: &ChangedCommit, ids: &HashSet<String>) -> Result<(), StoreError> {
        let mut files = Vec::new();
        let (mut moves, mut removals) = (Vec::new(), Vec::new());
        for (file, change) in commit.record.files.iter().zip(&commit.files) {
            match change {
                FileChange::Stays => files.push(file.clone()),
                FileChange::Removed => {
                    removals.push((file.table, Step::Remove { path: file.path.clone() }));
                }
                FileChange::Rewritten => {
                    let (from, entry) = self.table_file(file, commit.staying, ids)?;
                    moves.push((file.table, Step::Move { from, to: file.path.clone() }));
                    files.push(entry);
                }
            }
        }
        // Whoever goes by the record finds under a digest that changed the file that has it, and each file that it names.
        self.steps.extend(in_order(moves));
        let mut record = CommitRecord { format: ERASED_FORMAT, files, ..commit.record.clone() };
        record.entries.retain(|entry| !ids.contains(entry.call_id.as_str()));
        let path = record.record_path();
        self.bytes(&to_json(&record, &self.directory.path(&path))?, &path)?;
        self.steps.extend(in_order(removals));
        Ok(())
    }

    fn table_file(
        &mut self,
        file: &FileEntry,
        calls: u64,
        ids: &HashSet<String>,
    ) -> Result<(String, FileEntry), StoreError> {
        let from = self.next();
        let old = self.directory.path(&file.path);
        let dictionary = writer::dictionary_paths(file.table);
        let output = writer::DigestWriter::create(self.directory, &from)?;
        let (output, rows) = rows::copy_without(&old, &|id| ids.contains(id), &dictionary, calls, output)?;
        let (bytes, sha256) = output.finish()?;
        (self.hook)(EraseStep::FileWritten);
        Ok((from, FileEntry { rows, bytes, sha256, ..file.clone() }))
    }

    fn beside(&mut self, change: &Beside, ids: &HashSet<String>) -> Result<(), StoreError> {
        match change {
            Beside::Removed(path) => self.steps.push(Step::Remove { path: path.clone() }),
            Beside::Lines(path) => {
                let text = self.directory.read(path)?;
                self.bytes(&without_lines_of(&text, ids), path)?;
            }
            Beside::Rows(path) => {
                let from = self.next();
                let output = writer::DigestWriter::create(self.directory, &from)?;
                let old = self.directory.path(path);
                let (output, _) = rows::copy_without(&old, &|id| ids.contains(id), &[], 1, output)?;
                output.finish()?;
                (self.hook)(EraseStep::FileWritten);
                self.steps.push(Step::Move { from, to: path.clone() });
            }
        }
        Ok(())
    }
}
