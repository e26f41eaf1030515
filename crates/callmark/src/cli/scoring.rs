//! The flags of scoring text: rules and sentence model, scoring again, and what is asked of scores afterwards.

use super::Format;
use callmark_pipeline::{Scoring, TextModelChoice};
use callmark_query::TrustLimits;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Rules and sentence model: the same wherever text is scored.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScoringArguments {
    /// Rule file of your own, or a folder of them; a file named as a built-in one takes its place
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) rules: Vec<PathBuf>,
    /// Sentence model: where its weights are here, always, or never
    #[arg(long, value_enum, default_value_t = TextModel::Auto)]
    pub(crate) text_model: TextModel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TextModel {
    /// Where its weights are here, or a rule asks for meaning
    Auto,
    /// all-MiniLM-L6-v2, or nothing is scored
    Minilm,
    /// Rules alone
    None,
}

impl ScoringArguments {
    /// As the pipeline takes them.
    pub(crate) fn scoring(&self) -> Scoring {
        let text_model = match self.text_model {
            TextModel::Auto => TextModelChoice::Auto,
            TextModel::Minilm => TextModelChoice::Minilm,
            TextModel::None => TextModelChoice::None,
        };
        Scoring { rules: self.rules.clone(), text_model }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  callmark rescore dataset/ --out dataset-new-rules/ --rules my_rules/
  callmark rescore dataset/ --out dataset-2/ --format json

The old dataset is only read. Speakers, times, hold and silence stay as they were measured; what the words say is judged
anew. What changed, call by call, is in _rescore/changes.jsonl of the new dataset.")]
pub(crate) struct RescoreArguments {
    /// The dataset to score again
    pub(crate) dataset: PathBuf,
    /// The new dataset: a folder of its own
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// By what calls are scored
    #[command(flatten)]
    pub(crate) scoring: ScoringArguments,
    /// How the report is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ProfileArguments {
    /// The dataset
    pub(crate) dataset: PathBuf,
    /// Profiles of your own, as in pipelines/profiles/profiles.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) profiles: Option<PathBuf>,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
The tables of a dataset are never rewritten: each pass writes DIR/repeats/part-<time>.parquet, one row a call whose
customer and start are known, with next_call_id, next_contact_after_ms, repeat_within_1d/3d/7d/30d (null where the data do
not go far enough to tell), resolved_after_repeat_check, data_until and computed_at. Earlier passes stay beside it; `sql`
shows the newest as table repeats.")]
pub(crate) struct RepeatsArguments {
    /// The dataset
    pub(crate) dataset: PathBuf,
    /// Another contact within so many days undoes a "resolved"
    #[arg(long, value_name = "1|3|7|30", default_value_t = 7)]
    pub(crate) days: u32,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArguments {
    /// The dataset
    pub(crate) dataset: PathBuf,
    /// Reviews of calls, Parquet as `compare --reviews` takes it: agreement and kappa by question and rule
    #[arg(long, value_name = "FILE")]
    pub(crate) reviews: Option<PathBuf>,
    /// A call whose words have less mean probability is doubtful
    #[arg(long, value_name = "0..1", default_value_t = TrustLimits::default().least_confidence)]
    pub(crate) least_confidence: f64,
    /// A call of which a larger share of words was dropped as invented, or has little evidence, is doubtful
    #[arg(long, value_name = "0..1", default_value_t = TrustLimits::default().most_risk)]
    pub(crate) most_risk: f64,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ClassifyArguments {
    /// What to judge
    #[arg(long, value_enum)]
    pub(crate) task: ClassifyTask,
    /// JSONL with {text, speaker?, context?}; `-` reads standard input
    pub(crate) file: PathBuf,
    /// By what it is judged
    #[command(flatten)]
    pub(crate) scoring: ScoringArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClassifyTask {
    /// Does the text ask for a person? label 1 or 0
    HumanRequest,
    /// Sentiment: label -1, 0 or 1, score -5 to 5
    Sentiment,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  callmark rules test my_rules.toml
  callmark rules try \"is there anybody I can talk to\" --rules my_rules.toml

A rule file and what may stand in it: pipelines/rules/categories.toml. It is used by `score --rules`, `rescore
--rules` and `rules = [...]` in the [scoring] of a pipeline file.")]
pub(crate) enum RulesCommand {
    /// Hold every rule and category to the cases that stand beside it; the built-in ones where no file is given
    Test {
        /// Rule files, or folders of them
        files: Vec<PathBuf>,
        /// Sentence model: where its weights are here, always, or never
        #[arg(long, value_enum, default_value_t = TextModel::Auto)]
        text_model: TextModel,
        /// How rows are printed
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Show what every rule makes of a phrase
    Try {
        /// The phrase
        phrase: String,
        /// Who says it (customer, ai_agent, human_agent, ivr)
        #[arg(long, default_value = "customer")]
        speaker: String,
        /// By what it is judged
        #[command(flatten)]
        scoring: ScoringArguments,
        /// How rows are printed
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}
