//! One module a command.

mod classify;
mod compare;
mod dead_letters;
mod doctor;
mod erase;
mod export;
mod feed;
mod models;
mod profile;
mod repeats;
mod rescore;
mod rules;
mod score;
mod serve;
mod simulate;
mod sql;
mod stream;
mod trust;

use crate::cli::{Arguments, Command};
use crate::exit::Exit;

/// Runs the command that was asked for.
pub(crate) fn dispatch(arguments: Arguments) -> anyhow::Result<Exit> {
    match arguments.command {
        Command::Score(arguments) => score::score(arguments),
        Command::Run(arguments) => score::run_file(&arguments),
        Command::Profile(arguments) => profile::profile(&arguments),
        Command::Repeats(arguments) => repeats::repeats(&arguments),
        Command::Trust(arguments) => trust::trust(&arguments),
        Command::Rescore(arguments) => rescore::rescore(&arguments),
        Command::Compare(arguments) => compare::compare(&arguments),
        Command::Simulate(arguments) => simulate::simulate(&arguments),
        Command::Serve(arguments) => serve::serve(&arguments),
        Command::Users(command) => serve::users(command),
        Command::Feed(arguments) => feed::feed(arguments),
        Command::Sql(arguments) => sql::sql(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Classify(arguments) => classify::classify(&arguments),
        Command::Rules(command) => rules::rules(&command),
        Command::DeadLetters(command) => dead_letters::dead_letters(command),
        Command::Erase(arguments) => erase::erase(&arguments),
        Command::Models(command) => models::models(command),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
    }
}

/// A runtime for the few commands that wait on futures.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}
