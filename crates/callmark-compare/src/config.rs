//! What a comparison is told beside the data: margins, limits, covariates, cost assumptions.
//!
//! Read from a TOML file that refuses unknown keys; the defaults stand in `pipelines/compare/compare.toml`, which a test
//! holds equal to them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest number of bootstrap replicates.
const MAX_REPLICATES: u32 = 10_000;

/// The settings of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompareConfig {
    /// Level of all intervals.
    pub level: f64,
    /// Seed of the bootstrap.
    pub seed: u64,
    /// Bootstrap replicates.
    pub replicates: u32,
    /// The limit τ of restricted means, minutes.
    pub limit_minutes: f64,
    /// How much worse customer sentiment may be and still count as no worse, in points of -5 to 5.
    pub sentiment_margin: f64,
    /// How much worse the mean answer to a survey may be and still count as no worse, in the survey's own points.
    pub survey_margin: f64,
    /// One-sided level of the non-inferiority test; the equivalence interval has level 1 - 2 × this.
    pub alpha: f64,
    /// What case mix is made of: issue, queue, language, hour.
    pub covariates: Vec<String>,
    /// Propensities outside this range do not take part in weighting.
    pub trim: (f64, f64),
    /// An adjusted comparison is refused when less than this share of either arm's calls can be compared.
    pub least_support: f64,
    /// No comparison at all with fewer calls in an arm.
    pub least_calls: usize,
    /// A call whose words the recogniser was less sure of, on average, is of low trust.
    pub low_asr_confidence: f64,
    /// A call with a larger share of doubtful words is of low trust.
    pub high_hallucination_risk: f64,
    /// A request for a person is honoured in time when one speaks within so many seconds.
    pub honoured_within_seconds: i64,
    /// The share of requests for a person that must be honoured in time.
    pub honoured_share: f64,
    /// A resolution at least this sure counts as verified when the customer also did not come back.
    pub verified_confidence: f64,
    /// Calls that began before are left out, `YYYY-MM-DD`.
    pub from: Option<String>,
    /// Calls that began on this day or later are left out, `YYYY-MM-DD`.
    pub until: Option<String>,
    /// Only calls of these queues; all where empty. A call whose queue is not known is left out then.
    pub queues: Vec<String>,
    /// Only calls of these issues, likewise.
    pub issues: Vec<String>,
    /// Only calls in these languages, likewise.
    pub languages: Vec<String>,
    /// The day from which AI took calls, by queue, for the roll-out's difference in differences.
    pub treatment_start: BTreeMap<String, String>,
    /// What a full-time post is.
    pub fte: FteConfig,
}

/// The assumptions behind full-time equivalents, each a range of low and high.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FteConfig {
    /// Paid hours a week.
    pub hours_per_week: f64,
    /// Share of logged-in time spent on calls.
    pub occupancy: (f64, f64),
    /// Share of paid time not logged in: leave, training, breaks.
    pub shrinkage: (f64, f64),
    /// Conversations at a time: 1 for voice.
    pub concurrency: (f64, f64),
    /// Minutes of work after a call.
    pub after_call_minutes: (f64, f64),
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self {
            level: 0.95,
            seed: 1,
            replicates: 200,
            limit_minutes: 30.0,
            sentiment_margin: 0.3,
            survey_margin: 0.2,
            alpha: 0.05,
            covariates: ["issue", "queue", "language", "hour"].map(str::to_owned).to_vec(),
            trim: (0.01, 0.99),
            least_support: 0.8,
            least_calls: 30,
            low_asr_confidence: 0.6,
            high_hallucination_risk: 0.2,
            honoured_within_seconds: 180,
            honoured_share: 0.95,
            verified_confidence: 0.8,
            from: None,
            until: None,
            queues: Vec::new(),
            issues: Vec::new(),
            languages: Vec::new(),
            treatment_start: BTreeMap::new(),
            fte: FteConfig::default(),
        }
    }
}

impl Default for FteConfig {
    fn default() -> Self {
        Self {
            hours_per_week: 40.0,
            occupancy: (0.75, 0.85),
            shrinkage: (0.25, 0.35),
            concurrency: (1.0, 1.0),
            after_call_minutes: (0.5, 2.0),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is no TOML, or has keys or types that there are not.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// A value makes no sense.
    #[error("{key} is {value}, which is not {wanted}")]
    Value {
        /// The key.
        key: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        wanted: &'static str,
    },
}

impl CompareConfig {
    /// Reads and checks TOML.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text)?;
        config.validate()?;
        Ok(config)
    }

    /// Whether every value makes sense.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, value: String, wanted| Err(ConfigError::Value { key, value, wanted });
        let inside = |x: f64| x > 0.0 && x < 1.0;
        if !inside(self.level) || !inside(self.alpha) {
            return refuse("level or alpha", format!("{} or {}", self.level, self.alpha), "between 0 and 1");
        }
        if !(1.0..=100_000.0).contains(&self.limit_minutes) {
            return refuse("limit_minutes", self.limit_minutes.to_string(), "1 to 100000");
        }
        if !(20..=MAX_REPLICATES).contains(&self.replicates) {
            return refuse("replicates", self.replicates.to_string(), "20 to 10000");
        }
        for (key, margin) in
            [("sentiment_margin", self.sentiment_margin), ("survey_margin", self.survey_margin)]
        {
            if margin.is_nan() || margin <= 0.0 {
                return refuse(key, margin.to_string(), "above 0");
            }
        }
        if !inside(self.honoured_share) {
            return refuse("honoured_share", self.honoured_share.to_string(), "between 0 and 1");
        }
        if !(0.0..0.5).contains(&self.trim.0) || !(0.5..=1.0).contains(&self.trim.1) {
            return refuse("trim", format!("{:?}", self.trim), "a range around one half within 0 to 1");
        }
        let fte = &self.fte;
        let ranges = [fte.occupancy, fte.shrinkage, fte.concurrency, fte.after_call_minutes];
        if ranges.iter().any(|(low, high)| !(low <= high && *low >= 0.0))
            || fte.occupancy.0 <= 0.0
            || fte.shrinkage.1 >= 1.0
            || fte.concurrency.0 <= 0.0
            || fte.hours_per_week <= 0.0
        {
            return refuse("fte", format!("{fte:?}"), "ranges of low and high that a post can have");
        }
        for name in &self.covariates {
            if !["issue", "queue", "language", "hour"].contains(&name.as_str()) {
                return refuse("covariates", name.clone(), "issue, queue, language or hour");
            }
        }
        let days = self.from.iter().chain(&self.until).chain(self.treatment_start.values());
        for day in days {
            if day_of(day).is_none() {
                return refuse("from, until or treatment_start", day.clone(), "a day as YYYY-MM-DD");
            }
        }
        Ok(())
    }
}

/// Milliseconds since 1970 at the start of the UTC day `text`.
pub(crate) fn day_of(text: &str) -> Option<i64> {
    callmark_types::Timestamp::parse(&format!("{text}T00:00:00Z"))
        .ok()
        .map(callmark_types::Timestamp::epoch_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_in_pipelines_holds_the_defaults() {
        let file = include_str!("../../../pipelines/compare/compare.toml");
        assert_eq!(CompareConfig::parse(file).unwrap(), CompareConfig::default());
    }

    #[test]
    fn unknown_keys_and_senseless_values_are_refused() {
        assert!(CompareConfig::parse("margin = 0.3").is_err());
        for bad in [
            "level = 1.5",
            "replicates = 3",
            "sentiment_margin = -1.0",
            "survey_margin = 0.0",
            "honoured_share = 95",
            "covariates = ['age']",
            "from = 'May'",
            "[fte]\nshrinkage = [0.5, 1.0]",
        ] {
            assert!(CompareConfig::parse(bad).is_err(), "{bad}");
        }
    }
}
