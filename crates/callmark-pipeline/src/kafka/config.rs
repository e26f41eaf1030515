//! The pipeline file of a stream: raw TOML in, a valid [`KafkaPipeline`] out.
//!
//! Whatever librdkafka can be told may stand in `[source.properties]`, so that no kind of login or tuning waits for a
//! release of Callmark. Secrets come from the environment or from files and are never printed.

use super::properties::{Properties, RawProperties, secret_text};
use crate::config::{
    ConfigError, Pipeline, RawAudio, RawRedaction, RawScoring, RawTranscription, SourceKind, invalid, parse,
    read, source_kind,
};
use crate::metadata_fields::parse_channel_role;
use callmark_live::{AlertRules, LiveOptions};
use callmark_store::SourceId;
use callmark_types::Millis;
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calls in one commit, where nothing else is said.
const DEFAULT_BATCH_CALLS: usize = 200;
/// Most calls in one commit: they are held in memory until it is written.
const MAX_BATCH_CALLS: usize = 10_000;
/// How old a finished call may become before it is committed, where nothing else is said.
const DEFAULT_BATCH_AGE: Duration = Duration::from_secs(5);
/// Messages of one partition that are taken in and not committed yet, where nothing else is said.
const DEFAULT_IN_FLIGHT_CALLS: usize = 400;
/// Most of them.
const MAX_IN_FLIGHT_CALLS: usize = 100_000;
/// Bytes of messages, over all partitions, that wait for a call thread or are in its hands, in MiB.
const DEFAULT_IN_FLIGHT_MIB: u64 = 256;
/// Time for calls in flight once the process is told to stop.
const DEFAULT_SHUTDOWN: Duration = Duration::from_secs(30);
/// How long what surrounds us (disk, store, broker) may fail before the process stops.
const DEFAULT_GIVE_UP: Duration = Duration::from_mins(5);
/// Largest message or recording, where nothing else is said, in bytes: what is in flight is held in memory.
const DEFAULT_MAX_BYTES: u64 = 256 << 20;
/// Most live calls open in one partition at a time that may be allowed.
const MAX_SESSIONS: usize = 100_000;
/// Longest wait for the next message of a call: a day.
const MAX_IDLE_S: i64 = 24 * 3_600;
/// Longest age, timeout or patience that may be set.
const MAX_WAIT: Duration = Duration::from_hours(24);

/// Where a partition begins of which the dataset has nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the oldest message that the broker still has.
    #[default]
    Earliest,
    /// With the first message that comes after the partition was first seen.
    Latest,
}

/// What the topic carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// A recording or conversation a message.
    Recordings,
    /// Chunks of calls that go on.
    Live,
}

/// A valid stream pipeline.
#[derive(Debug, Clone, PartialEq)]
pub struct KafkaPipeline {
    /// What the topic carries.
    pub kind: StreamKind,
    /// `host:port,…`.
    pub brokers: String,
    /// The topic read.
    pub topic: String,
    /// The topic of call events, for live calls.
    pub events_topic: String,
    /// The consumer group.
    pub group: String,
    /// Static membership: a restarted worker keeps its partitions.
    pub instance_id: Option<String>,
    /// The stream's name in the dataset.
    pub name: String,
    /// Where to begin.
    pub start: Start,
    /// What librdkafka is told.
    pub properties: Properties,
    /// What a producer is told besides.
    pub output_properties: Properties,
    /// Beginnings of the URIs that messages may name; none by default.
    pub allowed_uri_prefixes: Vec<String>,
    /// Messages of one partition taken in and not committed yet.
    pub in_flight_calls: usize,
    /// Bytes of messages in flight, over all partitions.
    pub in_flight_bytes: u64,
    /// Stop when nothing came for that long.
    pub stop_when_idle: Option<Duration>,
    /// Time for calls in flight once told to stop.
    pub shutdown_timeout: Duration,
    /// How long the surroundings may fail.
    pub give_up_after: Duration,
    /// How calls are heard.
    pub hearing: Pipeline,
    /// How live calls are heard.
    pub live: LiveOptions,
    /// The dataset.
    pub out: PathBuf,
    /// Calls in one commit.
    pub batch_calls: usize,
    /// Age of a finished call at which it is committed.
    pub batch_age: Duration,
    /// Topic of scored calls; `None` sends none.
    pub scored_topic: Option<String>,
    /// Topic of dead letters; `None` sends none.
    pub dead_letters_topic: Option<String>,
    /// Topic of alerts, for live calls; `None` sends none.
    pub alerts_topic: Option<String>,
    /// Where metrics and health are served; `None` serves none.
    pub admin: Option<SocketAddr>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(rename = "version")]
    _version: u32,
    source: RawSource,
    #[serde(default)]
    audio: RawAudio,
    #[serde(default)]
    transcription: RawTranscription,
    #[serde(default)]
    redaction: RawRedaction,
    #[serde(default)]
    scoring: RawScoring,
    #[serde(default)]
    live: RawLive,
    output: RawOutput,
    #[serde(default)]
    run: RawRun,
    #[serde(default)]
    admin: RawAdmin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    #[serde(rename = "kind")]
    _kind: SourceKind,
    brokers: String,
    topic: Option<String>,
    events_topic: Option<String>,
    group: String,
    instance_id: Option<toml::Value>,
    name: Option<String>,
    #[serde(default)]
    start: Start,
    #[serde(default)]
    channels: Vec<String>,
    #[serde(default)]
    allowed_uri_prefixes: Vec<String>,
    in_flight_calls: Option<usize>,
    in_flight_mib: Option<u64>,
    stop_when_idle_s: Option<u64>,
    #[serde(default)]
    properties: RawProperties,
}

/// When the parts of a live call count as over.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawLive {
    alerts: Option<PathBuf>,
    max_sessions: Option<usize>,
    idle_timeout_s: Option<i64>,
    end_grace_ms: Option<i64>,
    reorder_window_ms: Option<i64>,
    utterance_pause_ms: Option<i64>,
    max_utterance_ms: Option<i64>,
}

impl RawLive {
    fn options(self, max_duration: Millis, base: &Path) -> Result<LiveOptions, ConfigError> {
        let defaults = LiveOptions::default();
        let alerts = match &self.alerts {
            None => defaults.alerts.clone(),
            Some(file) => {
                let path = base.join(file);
                AlertRules::parse(&path.display().to_string(), &read(&path)?)
                    .map_err(|error| invalid("live.alerts", error.to_string()))?
            }
        };
        let millis = |setting: &str, given: Option<i64>, default: Millis, least: i64, most: i64| {
            let value = given.unwrap_or(default.0);
            within(&format!("live.{setting}"), &value, &least, &most).map(|()| Millis(value))
        };
        let idle_s = self.idle_timeout_s.unwrap_or(defaults.idle_timeout.0 / 1000);
        within("live.idle_timeout_s", &idle_s, &1, &MAX_IDLE_S)?;
        let max_sessions = self.max_sessions.unwrap_or(defaults.max_sessions);
        within("live.max_sessions", &max_sessions, &1, &MAX_SESSIONS)?;
        Ok(LiveOptions {
            alerts,
            max_sessions,
            max_duration,
            idle_timeout: Millis(idle_s * 1000),
            end_grace: millis("end_grace_ms", self.end_grace_ms, defaults.end_grace, 0, 60_000)?,
            reorder_window: millis(
                "reorder_window_ms",
                self.reorder_window_ms,
                defaults.reorder_window,
                0,
                30_000,
            )?,
            utterance_pause: millis(
                "utterance_pause_ms",
                self.utterance_pause_ms,
                defaults.utterance_pause,
                200,
                5_000,
            )?,
            max_utterance: millis(
                "max_utterance_ms",
                self.max_utterance_ms,
                defaults.max_utterance,
                2_000,
                29_000,
            )?,
            ..defaults
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    dir: PathBuf,
    batch_calls: Option<usize>,
    batch_age_ms: Option<u64>,
    scored_topic: Option<String>,
    dead_letters_topic: Option<String>,
    alerts_topic: Option<String>,
    #[serde(default)]
    properties: RawProperties,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRun {
    shutdown_timeout_s: Option<u64>,
    give_up_after_s: Option<u64>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAdmin {
    listen: Option<String>,
}

impl KafkaPipeline {
    /// Reads a pipeline file. Paths in it are relative to the file's folder.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        let kind = match source_kind(path, &text)? {
            SourceKind::KafkaRecordings => StreamKind::Recordings,
            SourceKind::KafkaLive => StreamKind::Live,
            SourceKind::Files => {
                return Err(invalid("source.kind", "this command takes a pipeline that reads from Kafka"));
            }
        };
        let raw: RawFile = parse(path, &text)?;
        Self::of(raw, kind, path.parent().unwrap_or(Path::new("")))?.validated()
    }

    fn of(raw: RawFile, kind: StreamKind, base: &Path) -> Result<Self, ConfigError> {
        let RawFile { source, audio, transcription, redaction, scoring, live, output, run, admin, .. } = raw;
        let default_topic = match kind {
            StreamKind::Recordings => "calls.recordings",
            StreamKind::Live => "calls.audio",
        };
        let topic = source.topic.unwrap_or_else(|| default_topic.to_owned());
        let channels = source.channels.iter().map(|c| parse_channel_role(c)).collect::<Result<Vec<_>, _>>();
        let max_bytes = audio.max_bytes.unwrap_or(DEFAULT_MAX_BYTES);
        let hearing = Pipeline {
            channels: channels.map_err(|reason| invalid("source.channels", reason))?,
            max_bytes,
            redaction: redaction.read(base)?,
            scoring: scoring.read(base),
            ..Pipeline::hearing(audio, transcription, base)
        };
        let instance_id = source.instance_id.map(|id| secret_text("source.instance_id", &id, base));
        let topic_or = |topic: Option<String>, default: &str| {
            Some(topic.unwrap_or_else(|| default.to_owned())).filter(|t| !t.is_empty())
        };
        Ok(Self {
            kind,
            live: live.options(hearing.max_duration, base)?,
            brokers: source.brokers,
            events_topic: source.events_topic.unwrap_or_else(|| "calls.events".to_owned()),
            group: source.group,
            instance_id: instance_id.transpose()?,
            name: source.name.unwrap_or_else(|| topic.clone()),
            topic,
            start: source.start,
            properties: Properties::of("source.properties", source.properties, base)?,
            output_properties: Properties::of("output.properties", output.properties, base)?,
            allowed_uri_prefixes: source.allowed_uri_prefixes,
            in_flight_calls: source.in_flight_calls.unwrap_or(DEFAULT_IN_FLIGHT_CALLS),
            in_flight_bytes: source.in_flight_mib.unwrap_or(DEFAULT_IN_FLIGHT_MIB).saturating_mul(1 << 20),
            stop_when_idle: source.stop_when_idle_s.map(Duration::from_secs),
            shutdown_timeout: run.shutdown_timeout_s.map_or(DEFAULT_SHUTDOWN, Duration::from_secs),
            give_up_after: run.give_up_after_s.map_or(DEFAULT_GIVE_UP, Duration::from_secs),
            hearing,
            out: place_of(output.dir, base),
            batch_calls: output.batch_calls.unwrap_or(DEFAULT_BATCH_CALLS),
            batch_age: output.batch_age_ms.map_or(DEFAULT_BATCH_AGE, Duration::from_millis),
            scored_topic: topic_or(output.scored_topic, "calls.scored"),
            dead_letters_topic: topic_or(output.dead_letters_topic, "calls.dead-letters"),
            alerts_topic: topic_or(output.alerts_topic, "calls.alerts"),
            admin: admin.listen.as_deref().map(listen_address).transpose()?,
        })
    }

    fn validated(self) -> Result<Self, ConfigError> {
        if self.kind == StreamKind::Live && self.topic == self.events_topic {
            return Err(invalid("source.events_topic", "must be another topic than `topic`"));
        }
        if self.kind == StreamKind::Live && !self.hearing.redaction.kinds.is_empty() {
            return Err(invalid(
                "redaction",
                "live calls cannot be redacted yet: their alerts quote what was said",
            ));
        }
        for (setting, topic) in [
            ("output.scored_topic", &self.scored_topic),
            ("output.dead_letters_topic", &self.dead_letters_topic),
            ("output.alerts_topic", &self.alerts_topic),
        ] {
            let reads = |name: &String| {
                *name == self.topic || (self.kind == StreamKind::Live && *name == self.events_topic)
            };
            if topic.as_ref().is_some_and(reads) {
                return Err(invalid(
                    setting,
                    "must be another topic than the one that is read: it would be read again",
                ));
            }
        }
        let hearing = self.hearing.clone().checked()?;
        if self.kind == StreamKind::Live && hearing.second_model.is_some() {
            let reason =
                "live calls are heard once: leave it out, or hear their recordings by another pipeline";
            return Err(invalid("transcription.second_model", reason));
        }
        for (setting, text) in
            [("source.brokers", &self.brokers), ("source.topic", &self.topic), ("source.group", &self.group)]
        {
            if text.trim().is_empty() {
                return Err(invalid(setting, "must not be empty"));
            }
        }
        SourceId::new(&self.name, "0").map_err(|_| {
            invalid(
                "source.name",
                "1 to 64 letters, digits, '-', '_' or '.': it names the stream in the dataset",
            )
        })?;
        within("output.batch_calls", &self.batch_calls, &1, &MAX_BATCH_CALLS)?;
        within("source.in_flight_calls", &self.in_flight_calls, &1, &MAX_IN_FLIGHT_CALLS)?;
        within("source.in_flight_mib", &(self.in_flight_bytes >> 20), &1, &(1 << 20))?;
        for (setting, wait) in [
            ("output.batch_age_ms", self.batch_age),
            ("run.shutdown_timeout_s", self.shutdown_timeout),
            ("run.give_up_after_s", self.give_up_after),
        ] {
            if wait > MAX_WAIT || wait.is_zero() {
                return Err(invalid(
                    setting,
                    format!("must be more than 0 and at most {} s", MAX_WAIT.as_secs()),
                ));
            }
        }
        Ok(Self { hearing, ..self })
    }
}

fn within<T: PartialOrd + std::fmt::Display>(
    setting: &str,
    value: &T,
    least: &T,
    most: &T,
) -> Result<(), ConfigError> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(invalid(setting, format!("{value} is not between {least} and {most}")))
}

/// A folder relative to the pipeline file, or the URL of an object store.
fn place_of(dir: PathBuf, base: &Path) -> PathBuf {
    if dir.to_string_lossy().contains("://") { dir } else { base.join(dir) }
}

fn listen_address(text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse()
        .map_err(|_| invalid("admin.listen", format!("`{text}` is no ADDRESS:PORT such as 127.0.0.1:9464")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "version = 1\n[source]\nkind = \"kafka_recordings\"\nbrokers = \"b:9092\"\ngroup = \"g\"\n[output]\ndir = \"out\"\n";

    fn load(text: &str) -> Result<KafkaPipeline, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("secret"), "hush\n").unwrap();
        KafkaPipeline::from_file(&path)
    }

    #[test]
    fn defaults_stand_where_nothing_is_said() {
        let pipeline = load(MINIMAL).unwrap();
        assert_eq!(
            (pipeline.topic.as_str(), pipeline.name.as_str()),
            ("calls.recordings", "calls.recordings")
        );
        assert_eq!(pipeline.scored_topic.as_deref(), Some("calls.scored"));
        assert!(pipeline.allowed_uri_prefixes.is_empty());
        assert_eq!(pipeline.admin, None);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_valid_one() {
        let error = load(&MINIMAL.replace("group =", "groop =")).unwrap_err().to_string();
        assert!(error.contains("line 5") && error.contains("did you mean `group`?"), "{error}");
        let error = load(&MINIMAL.replace("kafka_recordings", "kafka_recording")).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("did you mean `kafka_recordings`?"), "{error}");
    }

    #[test]
    fn an_empty_name_of_an_output_topic_turns_it_off() {
        let pipeline = load(&format!("{MINIMAL}scored_topic = \"\"\n")).unwrap();
        assert_eq!(pipeline.scored_topic, None);
    }

    #[test]
    fn a_bound_out_of_its_range_is_named() {
        let error = load(&format!("{MINIMAL}batch_calls = 0\n")).unwrap_err().to_string();
        assert!(error.starts_with("output.batch_calls: 0 is not between"), "{error}");
        let error = load(&format!("{MINIMAL}[admin]\nlisten = \"9464\"\n")).unwrap_err().to_string();
        assert!(error.starts_with("admin.listen: `9464`"), "{error}");
    }

    #[test]
    fn a_secret_is_read_from_a_file_and_never_shown() {
        let with = MINIMAL.replace(
            "[output]",
            "[source.properties]\nsasl.password = { file = \"secret\" }\nfetch.wait.max.ms = 50\n[output]",
        );
        let pipeline = load(&with).unwrap();
        assert_eq!(pipeline.properties.get("sasl.password"), Some("hush"));
        assert_eq!(pipeline.properties.get("fetch.wait.max.ms"), Some("50"));
        assert!(!format!("{pipeline:?}").contains("hush"));
    }

    #[test]
    fn a_secret_that_is_not_there_is_named_by_where_it_was_looked_for() {
        let with = MINIMAL.replace(
            "[output]",
            "[source.properties]\nsasl.password = { env = \"CALLMARK_NO_SUCH_SECRET\" }\n[output]",
        );
        let error = load(&with).unwrap_err().to_string();
        assert!(
            error.contains("source.properties.sasl.password") && error.contains("CALLMARK_NO_SUCH_SECRET"),
            "{error}"
        );
    }

    #[test]
    fn an_output_that_is_read_again_is_refused() {
        for setting in ["scored_topic", "dead_letters_topic"] {
            let text =
                MINIMAL.replace("dir = \"out\"", &format!("dir = \"out\"\n{setting} = \"calls.recordings\""));
            let error = load(&text).unwrap_err().to_string();
            assert!(error.contains(setting) && error.contains("read again"), "{error}");
        }
    }

    #[test]
    fn what_exactness_depends_on_cannot_be_set_to_something_else() {
        let with = MINIMAL.replace("[output]", "[source.properties]\nenable.auto.commit = true\n[output]");
        let error = load(&with).unwrap_err().to_string();
        assert!(error.contains("enable.auto.commit"), "{error}");
    }
}
