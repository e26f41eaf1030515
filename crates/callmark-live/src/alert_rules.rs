//! When alerts are raised: data, so that who answers for the floor can change it without a programmer.

use callmark_types::Millis;
use serde::Deserialize;

/// The rules that ship with Callmark.
const BUILT_IN: &str = include_str!("../../../pipelines/alerts/live.toml");
/// Largest bound in seconds that makes sense: a day.
const MAX_BOUND_S: f64 = 86_400.0;
/// Most turns that a rule may look back.
const MAX_TURNS: usize = 100;

/// Why a file of alert rules was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct AlertRulesError {
    /// Name of the file as given by the caller.
    pub file: String,
    /// What is wrong and what to do.
    pub reason: String,
}

/// When alerts are raised. A rule that is switched off is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRules {
    /// Version of the file, repeated in each alert.
    pub version: String,
    /// Alert on each request for a person.
    pub human_request: bool,
    /// Alert on each deflection, after the agent side has been quiet for this long.
    pub deflection_settles_in: Option<Millis>,
    /// Alert when no person has taken over this long after the first request.
    pub honoured_within: Option<Millis>,
    /// Alert when the customer's sentiment collapses.
    pub sentiment_collapse: Option<SentimentCollapse>,
    /// Alert when a hold lasts this long.
    pub hold: Option<Millis>,
    /// Alert when nobody speaks for this long.
    pub nobody_speaks: Option<Millis>,
}

/// What counts as a collapse in sentiment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SentimentCollapse {
    /// Running sentiment at or below this, -5 to 5.
    pub threshold: f64,
    /// The running sentiment is the mean of this many of the customer's scored turns.
    pub window_turns: usize,
    /// It stays there for this many turns.
    pub turns: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    human_request: Switch,
    deflection: Deflection,
    human_request_not_honoured: NotHonoured,
    sentiment_collapse: Collapse,
    hold_too_long: Hold,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Switch {
    enabled: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deflection {
    enabled: bool,
    settle_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotHonoured {
    enabled: bool,
    within_s: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Collapse {
    enabled: bool,
    threshold: f64,
    window_turns: usize,
    turns: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(clippy::struct_field_names, reason = "named as the keys of the file are, units last")]
struct Hold {
    enabled: bool,
    hold_s: f64,
    nobody_speaks_s: f64,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self::parse("alerts/live.toml", BUILT_IN).expect("a test reads the rules that are built in")
    }
}

impl AlertRules {
    /// Reads rules from the text of a file; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, AlertRulesError> {
        let refuse = |reason: String| AlertRulesError { file: file.to_owned(), reason };
        let raw: File = toml::from_str(text).map_err(|e| refuse(e.to_string()))?;
        let bound = |name: &str, seconds: f64| {
            if (0.0..=MAX_BOUND_S).contains(&seconds) {
                Ok(Millis::from_seconds(seconds))
            } else {
                Err(refuse(format!("`{name}` is {seconds}, expected 0 to {MAX_BOUND_S} seconds")))
            }
        };
        let collapse = &raw.sentiment_collapse;
        if !(-5.0..=5.0).contains(&collapse.threshold) {
            return Err(refuse(format!("`threshold` is {}, expected -5 to 5", collapse.threshold)));
        }
        for (name, turns) in [("window_turns", collapse.window_turns), ("turns", collapse.turns)] {
            if !(1..=MAX_TURNS).contains(&turns) {
                return Err(refuse(format!("`{name}` is {turns}, expected 1 to {MAX_TURNS}")));
            }
        }
        let (settle, within) = (raw.deflection.settle_s, raw.human_request_not_honoured.within_s);
        let (hold, quiet) = (raw.hold_too_long.hold_s, raw.hold_too_long.nobody_speaks_s);
        let settle = bound("settle_s", settle)?;
        let within = bound("within_s", within)?;
        let hold = bound("hold_s", hold)?;
        let quiet = bound("nobody_speaks_s", quiet)?;
        Ok(Self {
            version: raw.version,
            human_request: raw.human_request.enabled,
            deflection_settles_in: raw.deflection.enabled.then_some(settle),
            honoured_within: raw.human_request_not_honoured.enabled.then_some(within),
            sentiment_collapse: collapse.enabled.then_some(SentimentCollapse {
                threshold: collapse.threshold,
                window_turns: collapse.window_turns,
                turns: collapse.turns,
            }),
            hold: raw.hold_too_long.enabled.then_some(hold),
            nobody_speaks: raw.hold_too_long.enabled.then_some(quiet),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_rules_are_read() {
        assert_eq!(AlertRules::default().honoured_within, Some(Millis(180_000)));
    }

    #[test]
    fn a_wrong_key_and_a_bound_without_sense_are_refused() {
        let wrong_key = BUILT_IN.replace("within_s", "with_in_s");
        assert!(AlertRules::parse("a.toml", &wrong_key).unwrap_err().to_string().contains("with_in_s"));
        let negative = BUILT_IN.replace("within_s = 180", "within_s = -1");
        assert!(AlertRules::parse("a.toml", &negative).unwrap_err().reason.contains("within_s"));
        let no_turns = BUILT_IN.replace("window_turns = 2", "window_turns = 0");
        assert!(AlertRules::parse("a.toml", &no_turns).unwrap_err().reason.contains("window_turns"));
    }

    #[test]
    fn a_rule_can_be_switched_off() {
        let off = BUILT_IN.replace("enabled = true", "enabled = false");
        let rules = AlertRules::parse("a.toml", &off).unwrap();
        assert_eq!((rules.human_request, rules.hold, rules.sentiment_collapse), (false, None, None));
    }
}
