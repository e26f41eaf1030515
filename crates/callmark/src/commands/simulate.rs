//! `callmark simulate`: a dataset whose true effects are known.

use crate::cli::SimulateArguments;
use crate::exit::{Exit, UsageError, say};
use callmark_compare::simulate::{Scenario, SimulateError, Spoken, simulate as write_dataset, write_reviews};
use std::io::Write;

/// Name of the file with reviews, in the dataset's folder.
const REVIEWS_FILE: &str = "reviews.parquet";

pub(crate) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<Exit> {
    let scenario = Scenario::named(&arguments.scenario).ok_or_else(|| {
        let known: Vec<&str> = Scenario::ALL.iter().map(|s| s.name).collect();
        UsageError(format!("no scenario {:?}: there are {}", arguments.scenario, known.join(", ")))
    })?;
    let spoken = if arguments.conversations { Spoken::Conversations } else { Spoken::Nothing };
    let truth = write_dataset(&scenario, arguments.calls, arguments.seed, spoken, &arguments.out);
    let truth = truth.map_err(|error| match error {
        SimulateError::Occupied { .. } => anyhow::Error::from(UsageError(error.to_string())),
        other => other.into(),
    })?;
    say(&format!("{} calls written to {}: {}", truth.calls, arguments.out.display(), scenario.purpose));
    if arguments.reviews > 0 {
        let path = arguments.out.join(REVIEWS_FILE);
        let labelled = write_reviews(&scenario, arguments.calls, arguments.seed, arguments.reviews, &path)?;
        say(&format!("{labelled} reviews written to {}", path.display()));
    }
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&truth)?)?;
    Ok(Exit::Done)
}
