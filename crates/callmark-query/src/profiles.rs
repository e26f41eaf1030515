//! Whether those who asked for a person heard one in time, under a law's or a code's own clock.
//!
//! Sources disagree on when the clock starts and on the share that must be served, so both are data.

use crate::tables::{QueryError, Tables};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use serde::Deserialize;
use std::path::Path;

const BUILT_IN: &str = include_str!("../../../pipelines/profiles/profiles.toml");
const SQL: &str = include_str!("../queries/profile.sql");

/// When the clock starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// At the end of the first request, or of the acceptance of an offer.
    Request,
    /// At the first queue or hold after that.
    Queue,
    /// At the start of the recording.
    CallStart,
}

/// What is asked of a service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Short name.
    pub id: String,
    /// What it means, for people.
    pub name: String,
    /// When the clock starts.
    pub clock: Clock,
    /// Within how many seconds a person must speak.
    pub seconds: u32,
    /// In which share of the calls in which one was due, 0 to 1.
    pub share: f64,
}

/// How a profile was kept, for one first handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// ai, human, ivr or unknown.
    pub first_handler: String,
    /// Calls in which a person was due.
    pub due: i64,
    /// Calls in which one spoke at all.
    pub reached: i64,
    /// Of these, calls without times: nobody can tell whether it was in time, and they count as late.
    pub without_times: i64,
    /// Calls in which one spoke in time.
    pub in_time: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "profile")]
    profiles: Vec<Profile>,
}

/// The profiles of `text`, those that ship with Callmark where it is `None`.
///
/// # Errors
/// What is wrong with the text, with the line.
pub fn profiles(text: Option<&str>) -> Result<Vec<Profile>, String> {
    let file: File = toml::from_str(text.unwrap_or(BUILT_IN)).map_err(|e| e.to_string().trim().to_owned())?;
    match file.profiles.iter().find(|p| !(p.share > 0.0 && p.share <= 1.0) || p.seconds == 0) {
        Some(p) => Err(format!("profile {:?}: share must be above 0 and at most 1, seconds 1 or more", p.id)),
        None => Ok(file.profiles),
    }
}

/// How `profile` was kept in the dataset in `dir`, by first handler.
///
/// # Errors
/// Where the dataset cannot be read.
pub async fn keep_profile(dir: &Path, profile: &Profile) -> Result<Vec<Kept>, QueryError> {
    let clock = match profile.clock {
        Clock::Request => "request",
        Clock::Queue => "queue",
        Clock::CallStart => "call_start",
    };
    let sql = SQL.replace("{clock}", clock).replace("{seconds}", &profile.seconds.to_string());
    let mut out = Vec::new();
    for batch in Tables::open(dir).await?.query(&sql).await? {
        let handlers = arrow::compute::cast(batch.column(0), &DataType::Utf8)
            .map_err(|e| QueryError::Failed(e.to_string()))?;
        let handlers = handlers.as_string::<i32>();
        let count =
            |column: usize, index: usize| batch.column(column).as_primitive::<Int64Type>().value(index);
        out.extend((0..batch.num_rows()).map(|index| Kept {
            first_handler: handlers.value(index).to_owned(),
            due: count(1, index),
            reached: count(2, index),
            without_times: count(3, index),
            in_time: count(4, index),
        }));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_profiles_are_valid_and_nonsense_is_refused() {
        assert!(profiles(None).unwrap().len() >= 3);
        let refused = |from: &str, to: &str| profiles(Some(&BUILT_IN.replacen(from, to, 1))).unwrap_err();
        assert!(refused("share = 0.95", "share = 95").contains("share must be"));
        assert!(refused("clock = \"request\"", "clock = \"ring\"").contains("ring"));
        assert!(refused("seconds = 180", "secs = 180").contains("secs"));
    }
}
