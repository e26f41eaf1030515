//! What a comparison is told beside the data: margins, limits, covariates, cost assumptions.
//!
//! Read from a TOML file that refuses unknown keys; the defaults stand in `pipelines/compare/compare.toml`, which a test
//! holds equal to them.

use callmark_query::TrustLimits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Largest number of bootstrap replicates.
const MAX_REPLICATES: u32 = 10_000;
/// A request for a person that is honoured after a day is not honoured in time.
const LONGEST_SECONDS: i64 = 86_400;

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
    /// One-sided level of the tests against a margin. What is judged against one is shown with an interval of level 1 - 2 ×
    /// this, and judged by that interval.
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
            alpha: 0.025,
            covariates: ["issue", "queue", "language", "hour"].map(str::to_owned).to_vec(),
            trim: (0.01, 0.99),
            least_support: 0.8,
            least_calls: 30,
            low_asr_confidence: TrustLimits::default().least_confidence,
            high_hallucination_risk: TrustLimits::default().most_risk,
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

    /// Whether every value makes sense. Ranges hold no value that is not a number.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |key, value: String, wanted| Err(ConfigError::Value { key, value, wanted });
        for (key, value, range, wanted) in self.ranges() {
            if !(range.0..=range.1).contains(&value) {
                return refuse(key, value.to_string(), wanted);
            }
        }
        if !(20..=MAX_REPLICATES).contains(&self.replicates) {
            return refuse("replicates", self.replicates.to_string(), "20 to 10000");
        }
        if self.least_calls < 2 {
            return refuse("least_calls", self.least_calls.to_string(), "2 or more");
        }
        if !(1..=LONGEST_SECONDS).contains(&self.honoured_within_seconds) {
            return refuse("honoured_within_seconds", self.honoured_within_seconds.to_string(), "1 to 86400");
        }
        if !(0.0..0.5).contains(&self.trim.0) || !(0.5..=1.0).contains(&self.trim.1) {
            return refuse("trim", format!("{:?}", self.trim), "a range around one half within 0 to 1");
        }
        self.fte.validate()?;
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
        if let (Some(from), Some(until)) = (&self.from, &self.until)
            && day_of(from) >= day_of(until)
        {
            return refuse("until", until.clone(), "a day after from");
        }
        Ok(())
    }

    /// What each number may be, ends included.
    fn ranges(&self) -> [(&'static str, f64, (f64, f64), &'static str); 10] {
        let share = (0.0, 1.0);
        [
            ("level", self.level, (0.5, 0.9999), "0.5 to 0.9999"),
            ("alpha", self.alpha, (0.0001, 0.25), "0.0001 to 0.25: it is one-sided"),
            ("limit_minutes", self.limit_minutes, (1.0, 100_000.0), "1 to 100000"),
            (
                "sentiment_margin",
                self.sentiment_margin,
                (1e-6, 10.0),
                "above 0 and at most 10, the whole scale",
            ),
            ("survey_margin", self.survey_margin, (1e-6, 1e6), "above 0"),
            ("least_support", self.least_support, share, "a share from 0 to 1"),
            ("low_asr_confidence", self.low_asr_confidence, share, "a probability from 0 to 1"),
            ("high_hallucination_risk", self.high_hallucination_risk, share, "a share from 0 to 1"),
            ("honoured_share", self.honoured_share, (0.01, 0.9999), "a share between 0 and 1"),
            ("verified_confidence", self.verified_confidence, share, "a probability from 0 to 1"),
        ]
    }

    /// The level of intervals of what is judged against a margin: a one-sided test at `alpha` reads its ends.
    pub fn judged_level(&self) -> f64 {
        1.0 - 2.0 * self.alpha
    }
}

impl FteConfig {
    fn validate(&self) -> Result<(), ConfigError> {
        let week = (self.hours_per_week, self.hours_per_week);
        for (key, (low, high), (least, most), wanted) in [
            ("fte.hours_per_week", week, (1.0, 168.0), "1 to 168"),
            ("fte.occupancy", self.occupancy, (0.01, 1.0), "low and high, above 0 and at most 1"),
            ("fte.shrinkage", self.shrinkage, (0.0, 0.99), "low and high, from 0 and below 1"),
            ("fte.concurrency", self.concurrency, (0.1, 100.0), "low and high, 0.1 to 100"),
            ("fte.after_call_minutes", self.after_call_minutes, (0.0, 240.0), "low and high, 0 to 240"),
        ] {
            if !(least <= low && low <= high && high <= most) {
                return Err(ConfigError::Value { key, value: format!("{low} to {high}"), wanted });
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

/// The UTC day of an instant, ms since 1970, as `YYYY-MM-DD`.
pub(crate) fn day_name(instant_ms: i64) -> String {
    let found = callmark_types::Timestamp::from_epoch_millis(instant_ms);
    let text = found.map(|instant| instant.to_string()).unwrap_or_default();
    text.split('T').next().unwrap_or_default().to_owned()
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
            "level = nan",
            "alpha = 0.7",
            "alpha = 0.0",
            "sentiment_margin = inf",
            "sentiment_margin = 11",
            "least_support = 5",
            "least_support = -0.1",
            "least_calls = 0",
            "low_asr_confidence = nan",
            "high_hallucination_risk = 2.0",
            "honoured_within_seconds = -5",
            "honoured_within_seconds = 0",
            "verified_confidence = nan",
            "trim = [0.01, nan]",
            "from = '2026-05-02'\nuntil = '2026-05-01'",
            "from = '2026-05-01'\nuntil = '2026-05-01'",
            "[fte]\nhours_per_week = nan",
            "[fte]\nhours_per_week = -40",
            "[fte]\noccupancy = [0.8, 7.5]",
            "[fte]\noccupancy = [0.8, 0.7]",
            "[fte]\nconcurrency = [0.0, 1.0]",
            "[fte]\nafter_call_minutes = [1.0, inf]",
            "covariates = ['age']",
            "from = 'May'",
            "[fte]\nshrinkage = [0.5, 1.0]",
        ] {
            assert!(CompareConfig::parse(bad).is_err(), "{bad}");
        }
    }
}
