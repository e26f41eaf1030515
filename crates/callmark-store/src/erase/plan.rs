//! What an erasure does once it is decided: a list that anyone can carry out, from wherever it was cut short.

use super::{EraseHook, EraseStep};
use crate::commit::to_json;
use crate::error::StoreError;
use crate::layout::ERASED_FORMAT;
use crate::lock::WriterLock;
use crate::place::Backend;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::io::Write as _;

/// Directory of an erasure that is not done yet; gone otherwise.
pub(crate) const ERASURE: &str = "_erasure";
const PLAN: &str = "_erasure/plan.json";
const PLAN_WITHOUT_NAME: &str = "_erasure/plan.json.tmp";

/// One thing to do. Doing it again does no harm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    /// `from` takes the place of `to`, whether there is one or not.
    Move { from: String, to: String },
    /// The file goes.
    Remove { path: String },
}

/// What is to be done, in order. It names files of this store, and no call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    format: u32,
    steps: Vec<Step>,
}

impl Plan {
    pub(crate) fn new(steps: Vec<Step>) -> Self {
        Self { format: ERASED_FORMAT, steps }
    }
}

/// What [`resume`] found and did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resumed {
    /// An erasure that had been decided is finished.
    pub(crate) finished: bool,
    /// Files of one that had not are gone.
    pub(crate) removed: u64,
}

/// Whether an erasure is decided and not done.
pub(crate) fn is_unfinished(directory: &dyn Backend) -> Result<bool, StoreError> {
    directory.exists(PLAN)
}

/// Gives the plan its name: what it says is going to be done, by whomever.
pub(crate) fn name(directory: &dyn Backend, plan: &Plan, hook: EraseHook<'_>) -> Result<(), StoreError> {
    write(directory, PLAN_WITHOUT_NAME, &to_json(plan, &directory.path(PLAN))?)?;
    hook(EraseStep::PlanWritten);
    directory.rename(PLAN_WITHOUT_NAME, PLAN)?;
    directory.sync_directory(ERASURE)?;
    hook(EraseStep::PlanNamed);
    Ok(())
}

/// Writes a file whole; its name is durable once the directory is synced.
pub(crate) fn write(directory: &dyn Backend, relative: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let mut output = directory.create(relative)?;
    output.write_all(bytes).map_err(|e| StoreError::io("write", &directory.path(relative), e))?;
    output.finish()
}

/// Does what the plan says, and removes it.
pub(crate) fn carry_out(directory: &dyn Backend, plan: &Plan, hook: EraseHook<'_>) -> Result<(), StoreError> {
    let mut parents = BTreeSet::new();
    for step in &plan.steps {
        let changed = match step {
            Step::Move { from, to } => {
                if directory.exists(from)? {
                    directory.create_directories(parent(to))?;
                    directory.rename(from, to)?;
                    hook(EraseStep::FileReplaced);
                }
                to
            }
            Step::Remove { path } => {
                directory.remove(path)?;
                hook(EraseStep::FileRemoved);
                path
            }
        };
        parents.insert(parent(changed));
    }
    for place in parents {
        if directory.directory_exists(place)? {
            directory.sync_directory(place)?;
            remove_if_empty(directory, place);
        }
    }
    hook(EraseStep::DoneSynced);
    directory.remove(PLAN)?;
    directory.sync_directory(ERASURE)?;
    hook(EraseStep::PlanRemoved);
    remove_if_empty(directory, ERASURE);
    Ok(())
}

/// Finishes an erasure that was decided and removes what is left of one that was not. Only under the writer's lock.
pub(crate) fn resume(directory: &dyn Backend, hook: EraseHook<'_>) -> Result<Resumed, StoreError> {
    let mut resumed = Resumed::default();
    if let Some(plan) = read(directory)? {
        carry_out(directory, &plan, hook)?;
        resumed.finished = true;
    }
    for left in leftovers(directory)? {
        directory.remove(&left)?;
        resumed.removed += 1;
    }
    if directory.directory_exists(ERASURE)? {
        remove_if_empty(directory, ERASURE);
    }
    Ok(resumed)
}

/// The same for who holds no lock: where somebody else does, that one has it in hand.
pub(crate) fn resume_unless_locked(directory: &dyn Backend) -> Result<bool, StoreError> {
    let Some(folder) = directory.folder() else { return Ok(false) };
    if !is_unfinished(directory)? {
        return Ok(false);
    }
    let _lock = match WriterLock::acquire(folder) {
        Err(StoreError::Locked { .. }) => return Ok(false),
        lock => lock?,
    };
    Ok(resume(directory, &mut |_| {})?.finished)
}

/// Files of an erasure that was not decided; none where one is.
pub(crate) fn leftovers(directory: &dyn Backend) -> Result<Vec<String>, StoreError> {
    if is_unfinished(directory)? {
        return Ok(Vec::new());
    }
    Ok(directory.files_in(ERASURE)?.into_iter().map(|name| format!("{ERASURE}/{name}")).collect())
}

/// The files that an unfinished erasure is about to change; `None` where there is none.
pub(crate) fn changing_files(directory: &dyn Backend) -> Result<Option<HashSet<String>>, StoreError> {
    let changed = |step| match step {
        Step::Move { to, .. } => to,
        Step::Remove { path } => path,
    };
    Ok(read(directory)?.map(|plan| plan.steps.into_iter().map(changed).collect()))
}

fn read(directory: &dyn Backend) -> Result<Option<Plan>, StoreError> {
    if !is_unfinished(directory)? {
        return Ok(None);
    }
    let path = directory.path(PLAN);
    let plan: Plan = serde_json::from_slice(&directory.read(PLAN)?)
        .map_err(|source| StoreError::DamagedRecord { path: path.clone(), source })?;
    if plan.format > ERASED_FORMAT {
        return Err(StoreError::NewerFormat { path, found: plan.format, supported: ERASED_FORMAT });
    }
    Ok(Some(plan))
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// An empty folder of a day is no trace and only untidy: where it cannot be removed it stays.
fn remove_if_empty(directory: &dyn Backend, place: &str) {
    if !place.is_empty() {
        let _ = std::fs::remove_dir(directory.path(place));
    }
}
