//! Scorecards: forms by which a team grades calls, as files, and what a filled form comes to.
//!
//! An item may be filled in beforehand from what was found; a reviewer sees from what, and decides. Points are pure
//! arithmetic on answers, so a card that changes never changes what was answered by an older version of it.

use callmark_store::{Table, arrow_schema};
use callmark_types::Event;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use utoipa::ToSchema;

/// Scorecards that are read from one folder.
const MOST_CARDS: usize = 50;
/// Items on one card.
const MOST_ITEMS: usize = 100;

/// Why a scorecard cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("scorecard {path}: {reason}")]
pub struct CardError {
    /// The file.
    pub path: String,
    /// What is wrong.
    pub reason: String,
}

/// A form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Scorecard {
    /// Its name, of letters, digits and `_`.
    pub name: String,
    /// Its version: another one where an item changes.
    pub version: u32,
    /// What it is called on the page.
    pub title: String,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A part of a form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its title.
    pub title: String,
    /// Its share of the whole, beside the other sections'.
    pub weight: f64,
    /// Its items.
    pub items: Vec<Item>,
}

/// A question of a form, answered yes, no or, where it may, not applicable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name, of letters, digits and `_`.
    pub id: String,
    /// The question.
    pub text: String,
    /// Its share of the section, beside the other items'.
    #[serde(default = "one")]
    pub weight: f64,
    /// Whether a "no" fails the whole call.
    #[serde(default)]
    pub auto_fail: bool,
    /// Whether it may not apply.
    #[serde(default)]
    pub not_applicable: bool,
    /// From what it is filled in beforehand.
    pub prefill: Option<Prefill>,
}

fn one() -> f64 {
    1.0
}

/// What fills an item in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Prefill {
    /// An event: yes where there is one of this type.
    pub event: Option<String>,
    /// Or a column of `calls`: yes where its value is as said below; not applicable where it is null.
    pub column: Option<String>,
    /// The value that means yes, or several of them.
    #[serde(default, deserialize_with = "one_or_several")]
    pub is: Vec<String>,
    /// The largest value that means yes.
    pub at_most: Option<f64>,
    /// The smallest value that means yes.
    pub at_least: Option<f64>,
    /// Turns yes into no.
    #[serde(default)]
    pub not: bool,
}

fn one_or_several<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Values::deserialize(from)? {
        Values::One(value) => vec![value],
        Values::Several(values) => values,
    })
}

/// An answer that was filled in beforehand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Filled {
    /// `yes`, `no` or `na`.
    pub(crate) answer: &'static str,
    /// From what.
    pub(crate) because: String,
}

/// What a filled form comes to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Points {
    /// Per cent of what could be had; `None` where no item was answered yes or no.
    pub percent: Option<f64>,
    /// Items whose "no" fails the call.
    pub failed_by: Vec<String>,
    /// Items without an answer.
    pub unanswered: usize,
}

impl Scorecard {
    /// Reads a scorecard.
    pub fn parse(text: &str) -> Result<Self, String> {
        let card: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        let is_name = |name: &str| {
            !name.is_empty()
                && name.len() <= 60
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        if !is_name(&card.name) {
            return Err(format!("name `{}` has to be of letters, digits and _", card.name));
        }
        let items: Vec<&Item> = card.items().collect();
        if items.is_empty() || items.len() > MOST_ITEMS {
            return Err(format!("it has {} items; a card has 1 to {MOST_ITEMS}", items.len()));
        }
        let mut ids = HashSet::new();
        for item in items {
            if !is_name(&item.id) || !ids.insert(&item.id) {
                return Err(format!(
                    "item id `{}` has to be of letters, digits and _, and there only once",
                    item.id
                ));
            }
            if let Some(prefill) = &item.prefill {
                prefill.check().map_err(|e| format!("item `{}`: {e}", item.id))?;
            }
        }
        let weights = card.sections.iter().map(|s| s.weight).chain(card.items().map(|i| i.weight));
        if weights.into_iter().any(|weight| !(weight.is_finite() && weight > 0.0)) {
            return Err("a weight has to be above 0".to_owned());
        }
        Ok(card)
    }

    /// All scorecards of a folder, `*.toml`, by name; none where there is no folder.
    pub fn read_folder(folder: &Path) -> Result<Vec<Self>, CardError> {
        let error = |path: &Path, reason: String| CardError { path: path.display().to_string(), reason };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(error(folder, e.to_string())),
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
        paths.sort();
        if paths.len() > MOST_CARDS {
            return Err(error(folder, format!("holds more than {MOST_CARDS} scorecards")));
        }
        let mut cards: Vec<Self> = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|e| error(&path, e.to_string()))?;
            let card = Self::parse(&text).map_err(|reason| error(&path, reason))?;
            if cards.iter().any(|known| known.name == card.name) {
                return Err(error(&path, format!("the name `{}` is another card's", card.name)));
            }
            cards.push(card);
        }
        Ok(cards)
    }

    /// All items, in order.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.sections.iter().flat_map(|section| &section.items)
    }

    /// What a judgement on an item of this card is about.
    pub(crate) fn subject(&self, item: &Item) -> String {
        format!("{}@{}/{}", self.name, self.version, item.id)
    }

    /// What these answers (`yes`, `no`, `na`, by item) come to. Items that do not apply, and sections without any that do,
    /// leave their share to the others.
    pub fn points(&self, answers: &BTreeMap<String, String>) -> Points {
        let (mut earned, mut of) = (0.0, 0.0);
        let (mut failed_by, mut unanswered) = (Vec::new(), 0);
        for section in &self.sections {
            let (mut got, mut could) = (0.0, 0.0);
            for item in &section.items {
                match answers.get(&item.id).map(String::as_str) {
                    Some("yes") => {
                        got += item.weight;
                        could += item.weight;
                    }
                    Some("no") => {
                        could += item.weight;
                        if item.auto_fail {
                            failed_by.push(item.id.clone());
                        }
                    }
                    Some(_) => {}
                    None => unanswered += 1,
                }
            }
            if could > 0.0 {
                earned += section.weight * got / could;
                of += section.weight;
            }
        }
        let percent = (of > 0.0).then(|| if failed_by.is_empty() { 100.0 * earned / of } else { 0.0 });
        Points { percent, failed_by, unanswered }
    }
}

impl Prefill {
    fn check(&self) -> Result<(), String> {
        let conditions = [!self.is.is_empty(), self.at_most.is_some(), self.at_least.is_some()];
        let conditions = conditions.into_iter().filter(|there| *there).count();
        match (&self.event, &self.column) {
            (Some(event), None) if conditions == 0 => {
                let known = callmark_types::EventKind::ALL.iter().any(|kind| kind.as_str() == event);
                if known { Ok(()) } else { Err(format!("`{event}` is no type of event")) }
            }
            (None, Some(name)) if conditions == 1 => {
                let known = arrow_schema(Table::Calls).column_with_name(name).is_some();
                let unknown = || format!("`{name}` is no column of calls (see SCHEMA.md)");
                known.then_some(()).ok_or_else(unknown)
            }
            _ => Err("prefill takes `event`, or `column` with one of `is`, `at_most`, `at_least`".to_owned()),
        }
    }

    /// The answer for this call.
    pub(crate) fn fill(&self, columns: &Map<String, Value>, events: &[Event]) -> Option<Filled> {
        let turned = |yes: bool| if yes == self.not { "no" } else { "yes" };
        if let Some(event) = &self.event {
            let found = events.iter().find(|e| e.kind.as_str() == event);
            let place =
                found.and_then(|e| e.turn_index).map(|turn| format!(" in turn {turn}")).unwrap_or_default();
            let said = if found.is_some() { "found" } else { "not found" };
            let because = format!("{}: {said}{place}", crate::text::words(event));
            return Some(Filled { answer: turned(found.is_some()), because });
        }
        let name = self.column.as_deref()?;
        let Some(value) = columns.get(name) else {
            return Some(Filled { answer: "na", because: format!("{name} is not known") });
        };
        let number = value.as_f64();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let yes = match (self.at_most, self.at_least) {
            _ if !self.is.is_empty() => self.is.contains(&value),
            (Some(most), _) => number.is_some_and(|n| n <= most),
            (_, Some(least)) => number.is_some_and(|n| n >= least),
            _ => return None,
        };
        Some(Filled { answer: turned(yes), because: format!("{name} is {value}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARD: &str = r#"
name = "service"
version = 1
title = "Service"
[[sections]]
title = "Opening"
weight = 1
items = [
  { id = "says_ai", text = "Says that it is an AI", prefill = { event = "ai_disclosure" } },
  { id = "greets", text = "Greets", weight = 3 },
]
[[sections]]
title = "Duty"
weight = 2
items = [{ id = "honours", text = "Gives a person", auto_fail = true, not_applicable = true, prefill = { column = "human_request_honoured", is = "true" } }]
"#;

    fn answers(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(id, answer)| ((*id).to_owned(), (*answer).to_owned())).collect()
    }

    #[test]
    fn points_are_shares_of_what_applies() {
        let card = Scorecard::parse(CARD).unwrap();
        let percent = |of: &[(&str, &str)]| card.points(&answers(of)).percent;
        assert_eq!(percent(&[("says_ai", "no"), ("greets", "yes"), ("honours", "na")]), Some(75.0));
        assert_eq!(percent(&[("says_ai", "yes"), ("greets", "no"), ("honours", "yes")]), Some(75.0));
        assert_eq!(percent(&[("honours", "na")]), None);
        let failed = card.points(&answers(&[("greets", "yes"), ("honours", "no")]));
        assert_eq!(
            (failed.percent, failed.failed_by, failed.unanswered),
            (Some(0.0), vec!["honours".to_owned()], 1)
        );
    }

    #[test]
    fn items_are_filled_in_from_what_was_found() {
        let card = Scorecard::parse(CARD).unwrap();
        let fill = |at: usize| {
            card.items().nth(at).unwrap().prefill.as_ref().unwrap().fill(&Map::new(), &[]).unwrap()
        };
        assert_eq!((fill(0).answer, fill(2).answer), ("no", "na"));
        assert_eq!(fill(2).because, "human_request_honoured is not known");
    }

    #[test]
    fn what_is_wrong_with_a_card_is_said() {
        for (from, to, said) in [
            ("weight = 2", "weight = 0", "above 0"),
            ("id = \"greets\"", "id = \"says_ai\"", "only once"),
            ("event = \"ai_disclosure\"", "event = \"greeting\"", "no type of event"),
            ("is = \"true\"", "at_moist = 3", "unknown field"),
            ("column = \"human_request_honoured\"", "column = \"mood\"", "no column"),
        ] {
            let error = Scorecard::parse(&CARD.replace(from, to)).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
