//! Recordings of calls that are erased: removed where it is certain that they are theirs alone, named where not.
//!
//! A dataset only names its recordings; they lie wherever they were scored from. So a file goes only where it lies, links
//! resolved, inside a folder that the operator named, and no call that stays has it too.

use crate::redaction::file_name;
use callmark_types::CallId;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use url::Url;

/// What became of the recordings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErasedAudio {
    /// Recordings and silenced copies that are removed, or would be.
    pub removed: u64,
    /// Recordings that were gone before.
    pub gone: u64,
    /// Sources that are left, with what to do about each.
    pub left: Vec<(String, String)>,
}

/// Removes the recordings (`sources`: paths and URLs) and the silenced copies of calls that lie inside one of `roots`, which
/// are canonical paths. Copies are looked for in the roots themselves, under the names that redaction gives them. What is
/// in `kept_sources` stays. With `dry_run` nothing is removed.
pub fn remove_audio(
    call_ids: &[CallId],
    sources: &BTreeSet<String>,
    kept_sources: &BTreeSet<String>,
    roots: &[PathBuf],
    dry_run: bool,
) -> ErasedAudio {
    let mut removal = Removal {
        kept: kept_sources.iter().filter_map(|uri| fs::canonicalize(path_of(uri)?).ok()).collect(),
        roots,
        dry_run,
        seen: HashSet::new(),
        done: ErasedAudio::default(),
    };
    for uri in sources {
        removal.source(uri, kept_sources.contains(uri));
    }
    for call_id in call_ids {
        for root in roots {
            let copy = root.join(format!("{}.wav", file_name(call_id)));
            removal.copy(&copy);
            removal.copy(&copy.with_extension("wav.part"));
        }
    }
    removal.done
}

/// The path that a URI of a call names; `None` for what lies on no file system.
fn path_of(uri: &str) -> Option<PathBuf> {
    match uri.split_once("://") {
        Some(("file", _)) => Url::parse(uri).ok()?.to_file_path().ok(),
        Some(_) => None,
        None => Some(PathBuf::from(uri)),
    }
}

struct Removal<'a> {
    /// Recordings of calls that stay.
    kept: HashSet<PathBuf>,
    roots: &'a [PathBuf],
    dry_run: bool,
    seen: HashSet<PathBuf>,
    done: ErasedAudio,
}

impl Removal<'_> {
    fn source(&mut self, uri: &str, is_kept: bool) {
        let Some(path) = path_of(uri) else {
            return self.leave(uri, "it lies on no disk of this machine: remove it where it is");
        };
        let Ok(target) = fs::canonicalize(&path) else {
            return match line_of(&path) {
                Some(_) => {
                    self.leave(
                        uri,
                        "it is a line of a file of conversations or call metadata: take the line out",
                    );
                }
                None if fs::symlink_metadata(&path).is_ok() => self
                    .leave(uri, "it cannot be looked at: check its folder's rights, or where the link leads"),
                None => self.done.gone += 1,
            };
        };
        // Two spellings of one file; in a dry run it is still there.
        if self.seen.contains(&target) {
            return;
        }
        if is_kept || self.kept.contains(&target) {
            return self.leave(uri, "a call that stays has the same recording: decide what becomes of both");
        }
        if !self.is_inside(&target) {
            return self
                .leave(uri, "it lies outside every --audio-root: name its folder, or remove it by hand");
        }
        if !target.is_file() {
            return self.leave(uri, "it is no file");
        }
        self.seen.insert(target.clone());
        let names = fs::metadata(&target).map_or(1, |found| found.nlink());
        match self.remove(&target) {
            Err(kind) => {
                return self.leave(uri, &format!("it cannot be removed ({kind}): remove it by hand"));
            }
            Ok(()) if names > 1 => {
                self.leave(uri, "the same bytes have another name on this disk (hard link)");
            }
            Ok(()) => self.done.removed += 1,
        }
        if path != target && fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            let folder = path.parent().and_then(|parent| fs::canonicalize(parent).ok());
            if folder.is_none_or(|folder| !self.is_inside(&folder) || self.remove(&path).is_err()) {
                self.leave(uri, "the recording is gone, a link to it is left: remove the link");
            }
        }
    }

    /// A silenced copy, where there is one.
    fn copy(&mut self, path: &Path) {
        let Ok(target) = fs::canonicalize(path) else { return };
        if !target.is_file() || !self.is_inside(&target) || self.kept.contains(&target) {
            return;
        }
        // In a dry run the recording itself may have this name.
        if !self.seen.insert(target.clone()) {
            return;
        }
        match self.remove(path) {
            Ok(()) => self.done.removed += 1,
            Err(kind) => {
                let shown = path.display().to_string();
                self.leave(&shown, &format!("it cannot be removed ({kind}): remove it by hand"));
            }
        }
    }

    fn is_inside(&self, path: &Path) -> bool {
        self.roots.iter().any(|root| path.starts_with(root))
    }

    fn remove(&self, path: &Path) -> Result<(), ErrorKind> {
        if self.dry_run {
            return Ok(());
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => return Err(e.kind()),
            _ => {}
        }
        // Best effort: that a name is gone reaches the disk by itself, only later.
        if let Some(folder) = path.parent() {
            let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }

    fn leave(&mut self, uri: &str, what_to_do: &str) {
        self.done.left.push((uri.to_owned(), what_to_do.to_owned()));
    }
}

/// The file of conversations of which `path` names a line.
fn line_of(path: &Path) -> Option<PathBuf> {
    let (file, line) = path.to_str()?.rsplit_once(':')?;
    line.parse::<u64>().ok()?;
    Some(PathBuf::from(file)).filter(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn id(text: &str) -> CallId {
        CallId::new(text).unwrap()
    }

    fn write(path: &Path) -> String {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"RIFF").unwrap();
        path.to_str().unwrap().to_owned()
    }

    struct World {
        _folder: tempfile::TempDir,
        base: PathBuf,
        roots: Vec<PathBuf>,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(folder.path()).unwrap();
        fs::create_dir(base.join("audio")).unwrap();
        World { roots: vec![base.join("audio")], base, _folder: folder }
    }

    #[test]
    fn a_recording_inside_a_root_goes_with_its_silenced_copy_and_one_outside_is_named() {
        let world = world();
        let inside = write(&world.base.join("audio/2026/a b.wav"));
        let copy = write(&world.base.join("audio/c%2F1.wav"));
        let outside = write(&world.base.join("audio-private/b.wav"));
        let url = Url::from_file_path(&inside).unwrap().to_string();
        let ids = [id("c/1"), id("c2")];
        let sources = BTreeSet::from([url, inside.clone(), outside.clone()]);
        let told = remove_audio(&ids, &sources, &BTreeSet::new(), &world.roots, true);
        assert!(Path::new(&inside).exists() && Path::new(&copy).exists());
        let done = remove_audio(&ids, &sources, &BTreeSet::new(), &world.roots, false);
        assert_eq!((told.removed, told.left), (done.removed, done.left.clone()));
        assert_eq!((done.removed, done.left.len()), (2, 1));
        assert_eq!(done.left[0].0, outside);
        assert!(!Path::new(&inside).exists() && !Path::new(&copy).exists() && Path::new(&outside).exists());
        let again = remove_audio(&ids, &sources, &BTreeSet::new(), &world.roots, false);
        assert_eq!((again.removed, again.gone, again.left.len()), (0, 2, 1));
    }

    #[test]
    fn a_recording_of_a_call_that_stays_is_left_under_any_spelling() {
        let world = world();
        let path = write(&world.base.join("audio/a.wav"));
        let spelled = world.base.join("audio/../audio/a.wav").to_str().unwrap().to_owned();
        for kept in [path.clone(), spelled, format!("file://{path}")] {
            let done = remove_audio(
                &[],
                &BTreeSet::from([path.clone()]),
                &BTreeSet::from([kept]),
                &world.roots,
                false,
            );
            assert_eq!((done.removed, done.left.len()), (0, 1));
            assert!(Path::new(&path).exists());
        }
    }

    #[test]
    fn a_link_out_of_a_root_protects_what_it_leads_to_and_one_into_it_does_not() {
        let world = world();
        let secret = write(&world.base.join("elsewhere/s.wav"));
        let out = world.base.join("audio/out.wav");
        symlink(&secret, &out).unwrap();
        let inside = write(&world.base.join("audio/i.wav"));
        let into = world.base.join("audio/into.wav");
        symlink(&inside, &into).unwrap();
        let ids = [];
        let sources = [&out, &into].map(|path| path.to_str().unwrap().to_owned()).into();
        let done = remove_audio(&ids, &sources, &BTreeSet::new(), &world.roots, false);
        assert_eq!((done.removed, done.left.len()), (1, 1), "{done:?}");
        assert!(Path::new(&secret).exists() && !Path::new(&inside).exists());
        assert!(fs::symlink_metadata(&into).is_err(), "the link goes with what it led to");
    }

    #[test]
    fn lines_of_conversations_and_objects_elsewhere_are_named() {
        let world = world();
        let chats = write(&world.base.join("audio/chats.jsonl"));
        let line = format!("{chats}:3");
        let ids = [];
        let sources = BTreeSet::from([line, "s3://bucket/c2.wav".to_owned()]);
        let done = remove_audio(&ids, &sources, &BTreeSet::new(), &world.roots, false);
        assert_eq!((done.removed, done.gone, done.left.len()), (0, 0, 2));
        assert!(done.left[0].1.contains("line") && Path::new(&chats).exists());
        let hard = write(&world.base.join("audio/h.wav"));
        fs::hard_link(&hard, world.base.join("other.wav")).unwrap();
        let done = remove_audio(&[], &BTreeSet::from([hard.clone()]), &BTreeSet::new(), &world.roots, false);
        assert!(done.left[0].1.contains("hard link") && !Path::new(&hard).exists());
    }
}
