//! `callmark simulate`: a dataset whose true effects are known.

use crate::cli::SimulateArguments;
use crate::exit::{Exit, UsageError, say};
use callmark_compare::simulate::{Scenario, simulate as write_dataset};
use std::io::Write;

pub(crate) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<Exit> {
    let scenario = Scenario::named(&arguments.scenario).ok_or_else(|| {
        let known: Vec<&str> = Scenario::ALL.iter().map(|s| s.name).collect();
        UsageError(format!("no scenario {:?}: there are {}", arguments.scenario, known.join(", ")))
    })?;
    let truth = write_dataset(&scenario, arguments.calls, arguments.seed, &arguments.out)?;
    say(&format!("{} calls written to {}: {}", truth.calls, arguments.out.display(), scenario.purpose));
    writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&truth)?)?;
    Ok(Exit::Done)
}
