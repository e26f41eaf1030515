//! How inputs and metadata are laid out.

use super::*;
use crate::metadata_file::read_metadata;

fn touch(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

fn laid_out(inputs: &[PathBuf], table: Option<&MetadataTable>) -> Plan {
    plan(inputs, table, &BTreeMap::new())
}

fn ids(plan: &Plan) -> Vec<String> {
    plan.tasks
        .iter()
        .map(|task| match task {
            Task::Recording { metadata, .. } => metadata.call_id.to_string(),
            Task::Written { line, .. } => format!("line {line}"),
            Task::Refused { reason, .. } => format!("refused: {reason}"),
        })
        .collect()
}

#[test]
fn a_folder_is_laid_out_by_name_and_what_is_no_call_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "b.wav", "x");
    touch(folder.path(), "a/c.ulaw", "x");
    touch(folder.path(), "notes.pdf", "x");
    touch(folder.path(), "labels.jsonl", "{\"id\":1}\n");
    touch(
        folder.path(),
        "chats.jsonl",
        "{\"call_id\":\"t\",\"turns\":[]}\n\n{\"call_id\":\"u\",\"turns\":[]}\n",
    );
    let plan = laid_out(&[folder.path().to_owned()], None);
    assert_eq!(ids(&plan), ["c", "b", "line 1", "line 3"]);
    assert_eq!(plan.ignored_files.count, 2);
    assert!(plan.ignored_files.named().contains("labels.jsonl"), "{}", plan.ignored_files.named());
}

#[test]
fn conversations_are_known_behind_a_line_that_is_none_and_an_unreadable_file_is_reported() {
    let turns = "{\"call_id\":\"t\",\"turns\":[]}\n";
    for (content, expected) in [
        (format!("\n\n{turns}"), &["line 3"][..]),
        (format!("\u{feff}{turns}"), &["line 1"]),
        (format!("{{\"call_id\":\n{turns}"), &["line 1", "line 2"]),
        (format!("{{\"exported\":\"today\"}}\n{turns}"), &["line 1", "line 2"]),
        ("{\"call_id\":\"t\",\"tur".to_owned(), &["line 1"]),
        (String::new(), &["refused: the file is empty: it holds no conversation"]),
        ("\n \n".to_owned(), &["refused: the file is empty: it holds no conversation"]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        touch(folder.path(), "chats.jsonl", &content);
        let plan = laid_out(&[folder.path().to_owned()], None);
        assert_eq!(ids(&plan), expected, "{content:?}");
    }
}

#[test]
fn metadata_finds_its_recording_and_a_row_without_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "audio/x.wav", "x");
    touch(folder.path(), "audio/y.wav", "x");
    let csv = touch(folder.path(), "calls.csv", "call_id,file\nc1,audio/x.wav\nc9,audio/gone.wav\n");
    let table = read_metadata(&csv).unwrap();
    let plan = laid_out(&[folder.path().join("audio")], Some(&table));
    assert_eq!(ids(&plan)[..2], ["c1", "y"]);
    assert!(ids(&plan)[2].contains("there is no such file"));
    assert_eq!(plan.without_metadata, 1);
    assert!(plan.check_metadata(&table).is_ok());
}

#[test]
fn metadata_that_names_none_of_the_recordings_is_refused_with_its_first_row() {
    let folder = tempfile::tempdir().unwrap();
    let audio = touch(folder.path(), "audio/x.wav", "x").parent().unwrap().to_owned();
    for (content, part) in [
        ("call_id,file\nc1,x.wav\n", "line 2: "),
        ("call_id,file\nc1,x.wav\n", "x.wav, which does not exist"),
        ("call_id,file\n", "no row"),
    ] {
        let table = read_metadata(&touch(folder.path(), "calls.csv", content)).unwrap();
        let plan = laid_out(std::slice::from_ref(&audio), Some(&table));
        let error = plan.check_metadata(&table).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("calls.csv"), "{error}");
    }
    // What is tried again has an id already, and needs no row.
    let table = read_metadata(&touch(folder.path(), "calls.csv", "call_id,file\nc1,y.wav\n")).unwrap();
    let known = BTreeMap::from([(audio.join("x.wav"), CallId::new("x").unwrap())]);
    assert!(plan(&[audio.join("x.wav")], Some(&table), &known).check_metadata(&table).is_ok());
}

#[test]
fn one_id_for_two_recordings_refuses_the_second() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "a/x.wav", "x");
    touch(folder.path(), "b/x.wav", "x");
    let found = ids(&laid_out(&[folder.path().to_owned()], None));
    assert_eq!(found[0], "x");
    assert!(found[1].starts_with("refused: call id `x` is taken by"), "{found:?}");
}

#[test]
fn an_input_without_calls_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "notes.txt", "no recording");
    let plan = laid_out(&[folder.path().to_owned()], None);
    assert!(matches!(&plan.tasks[..], [Task::Refused { reason, .. }] if reason.contains("no recordings")));
    let empty = touch(folder.path(), "chats.jsonl", "");
    let plan = laid_out(&[empty], None);
    assert!(matches!(&plan.tasks[..], [Task::Refused { reason, .. }] if reason.contains("is empty")));
}

#[test]
fn a_path_that_is_not_there_is_refused_by_name() {
    let plan = laid_out(&[PathBuf::from("/no/such/folder")], None);
    assert!(matches!(&plan.tasks[0], Task::Refused { path, .. } if path == Path::new("/no/such/folder")));
}

#[test]
fn a_recording_without_a_row_takes_the_id_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let path = touch(folder.path(), "rec-7.wav", "x");
    let known = BTreeMap::from([(path.clone(), CallId::new("CALL-7").unwrap())]);
    assert_eq!(ids(&plan(&[path], None, &known)), ["CALL-7"]);
}

#[test]
fn a_row_without_a_recording_of_its_own_is_refused_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "x.wav", "x");
    let csv = touch(folder.path(), "calls.csv", "call_id,file\nc1,x.wav\nc2,x.wav\nc3,\n");
    let table = read_metadata(&csv).unwrap();
    let plan = laid_out(&[folder.path().to_owned()], Some(&table));
    let lines: Vec<Option<u64>> = plan
        .tasks
        .iter()
        .filter_map(|task| match task {
            Task::Refused { line, stage, .. } => Some(*line).filter(|_| *stage == METADATA),
            _ => None,
        })
        .collect();
    assert_eq!((plan.tasks.len(), lines), (3, vec![Some(3), Some(4)]));
}

#[cfg(unix)]
#[test]
fn a_device_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join("endless.ulaw")).unwrap();
    for input in [folder.path().to_owned(), folder.path().join("endless.ulaw")] {
        let found = ids(&laid_out(&[input], None));
        assert!(matches!(&found[..], [one] if one.contains("a pipe or a device")), "{found:?}");
    }
}

#[test]
fn names_that_begin_with_a_line_are_recordings_and_hidden_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "_20260504.ulaw", "x");
    touch(folder.path(), "_2026/other.ulaw", "x");
    touch(folder.path(), "._ghost.wav", "x");
    touch(folder.path(), "out/_commits/dataset.json", "x");
    touch(folder.path(), "out/_spool/x.wav", "x");
    let plan = laid_out(&[folder.path().to_owned()], None);
    assert_eq!(ids(&plan), ["other", "_20260504"]);
    assert_eq!(plan.hidden_files.count, 1);
    assert!(plan.hidden_files.named().contains("._ghost.wav"));
}

#[test]
fn a_missing_recording_is_missed_however_the_input_is_written() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "a.ulaw", "x");
    let csv = touch(folder.path(), "k.csv", "call_id,file\nA,a.ulaw\nB,2026-05/b.ulaw\n");
    let here = std::env::current_dir().unwrap();
    let up = "../".repeat(here.components().count() - 1);
    let relative = Path::new(&up).join(folder.path().strip_prefix("/").unwrap());
    for input in [folder.path().to_owned(), relative] {
        let plan = laid_out(&[input], Some(&read_metadata(&csv).unwrap()));
        assert!(
            matches!(&ids(&plan)[..], [a, b] if a == "A" && b.contains("no such file")),
            "{:?}",
            ids(&plan)
        );
    }
}

#[test]
fn a_row_for_conversations_is_refused_since_they_tell_of_themselves() {
    let folder = tempfile::tempdir().unwrap();
    touch(folder.path(), "chats.JSONL", "{\"call_id\":\"t\",\"turns\":[]}\n");
    let csv = touch(folder.path(), "k.csv", "call_id,file,queue\nt,chats.JSONL,sales\n");
    let plan = laid_out(&[folder.path().to_owned()], Some(&read_metadata(&csv).unwrap()));
    assert!(
        matches!(&ids(&plan)[..], [line, row] if line == "line 1" && row.contains("their own lines")),
        "{:?}",
        ids(&plan)
    );
}
