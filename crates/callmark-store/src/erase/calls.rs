//! Which calls were erased, without saying who they were.

use crate::batch::SourceKey;
use crate::error::StoreError;
use crate::layout::ERASED_FORMAT;
use crate::place::Backend;
use callmark_types::CallId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The list, in every dataset of which something was erased.
pub(crate) const ERASED_LIST: &str = "_commits/erased.json";

/// Calls that were erased from a dataset: known again by their id, their key or their place, and by nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedCalls {
    format: u32,
    /// Digests of ids.
    ids: BTreeSet<SourceKey>,
    /// Keys of the inputs, as they were committed.
    keys: BTreeSet<SourceKey>,
    /// Places of files with their content.
    places: BTreeSet<SourceKey>,
}

impl Default for ErasedCalls {
    fn default() -> Self {
        Self { format: ERASED_FORMAT, ids: BTreeSet::new(), keys: BTreeSet::new(), places: BTreeSet::new() }
    }
}

impl ErasedCalls {
    /// Whether a call of this id was erased.
    pub fn has_call(&self, id: &CallId) -> bool {
        !self.ids.is_empty() && self.ids.contains(&digest(id))
    }

    /// Whether the input of this key was.
    pub fn has_key(&self, key: &SourceKey) -> bool {
        self.keys.contains(key)
    }

    /// Whether the file of this place and content ([`SourceKey::of_place`]) became a call that was.
    pub fn has_place(&self, place: &SourceKey) -> bool {
        self.places.contains(place)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(crate) fn add(&mut self, id: &CallId, key: Option<SourceKey>, place: Option<SourceKey>) {
        self.ids.insert(digest(id));
        self.keys.extend(key);
        self.places.extend(place);
    }
}

impl<'a> FromIterator<&'a CallId> for ErasedCalls {
    /// Calls known by their ids alone.
    fn from_iter<I: IntoIterator<Item = &'a CallId>>(ids: I) -> Self {
        Self { ids: ids.into_iter().map(digest).collect(), ..Self::default() }
    }
}

/// What stands for an id that must not stand anywhere.
fn digest(id: &CallId) -> SourceKey {
    SourceKey::of_parts(&["erased call", id.as_str()])
}

/// The calls erased from a dataset so far.
pub(crate) fn read_erased(directory: &dyn Backend) -> Result<ErasedCalls, StoreError> {
    if !directory.exists(ERASED_LIST)? {
        return Ok(ErasedCalls::default());
    }
    let path = directory.path(ERASED_LIST);
    let bytes = directory.read(ERASED_LIST)?;
    let erased: ErasedCalls = serde_json::from_slice(&bytes)
        .map_err(|source| StoreError::DamagedRecord { path: path.clone(), source })?;
    if erased.format > ERASED_FORMAT {
        return Err(StoreError::NewerFormat { path, found: erased.format, supported: ERASED_FORMAT });
    }
    Ok(erased)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_erased_call_is_known_again_and_not_named() {
        let (id, other) = (CallId::new("call-77").unwrap(), CallId::new("call-78").unwrap());
        let key = SourceKey::of_file(&id, "ab");
        let mut erased = ErasedCalls::default();
        erased.add(&id, Some(key), None);
        assert!(erased.has_call(&id) && erased.has_key(&key) && !erased.has_call(&other));
        let text = serde_json::to_string(&erased).unwrap();
        assert!(!text.contains("call-77"), "{text}");
        assert_eq!(serde_json::from_str::<ErasedCalls>(&text).unwrap(), erased);
    }
}
