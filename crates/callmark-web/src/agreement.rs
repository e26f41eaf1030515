//! How far reviewers agree: with each other and with the scores, question by question (Cohen 1960).

use crate::reviews::{Judgement, Question, standing};
use std::collections::{BTreeMap, BTreeSet};

/// Agreement of two on one question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agreement {
    pub(crate) question: &'static str,
    /// Who, by name; `scores` stands for what was found.
    pub(crate) between: (String, String),
    /// Calls that both judged.
    pub(crate) calls: usize,
    pub(crate) agreed: f64,
    /// `None` where one of them always says the same.
    pub(crate) kappa: Option<f64>,
    /// Calls on which they differ.
    pub(crate) apart: Vec<String>,
}

/// Stands for what was found, beside the names of people.
pub(crate) const SCORES: &str = "scores";

/// Answers of two to one question on one call, and the call.
type Pair = (String, String, String);

/// Questions whose answers are compared.
const COMPARED: [Question; 4] =
    [Question::Outcome, Question::HumanRequest, Question::Honoured, Question::Sentiment];

/// Agreement of all pairs, on all that was said by whoever is done with a call.
pub(crate) fn agreements(all: &[Judgement]) -> Vec<Agreement> {
    let mut of_call: BTreeMap<&str, Vec<Judgement>> = BTreeMap::new();
    for judgement in all {
        of_call.entry(&judgement.call_id).or_default().push(judgement.clone());
    }
    // By question and pair: answers of both, and the call.
    let mut pairs: BTreeMap<(Question, String, String), Vec<Pair>> = BTreeMap::new();
    for (call, said) in &of_call {
        // As each saw it alone: what somebody says once they are done may follow what others said.
        let mut finished: BTreeSet<&str> = BTreeSet::new();
        let alone: Vec<Judgement> = (said.iter())
            .filter(|j| {
                let before = !finished.contains(j.reviewer.as_str());
                if j.question == Question::Done {
                    finished.insert(&j.reviewer);
                }
                before
            })
            .cloned()
            .collect();
        let standing = standing(&alone);
        let done: BTreeSet<&str> =
            (standing.iter()).filter(|j| j.question == Question::Done).map(|j| j.reviewer.as_str()).collect();
        for question in COMPARED {
            let of_question: Vec<&&Judgement> = standing
                .iter()
                .filter(|j| j.question == question && done.contains(j.reviewer.as_str()))
                .collect();
            let mut answers: BTreeMap<&str, String> = BTreeMap::new();
            for judgement in &of_question {
                if let Some(value) = &judgement.value {
                    answers.insert(&judgement.reviewer, kind(question, value));
                }
                if let Some(seen) = &judgement.seen {
                    answers.insert(SCORES, kind(question, seen));
                }
            }
            let names: Vec<&str> = answers.keys().copied().collect();
            for (at, a) in names.iter().enumerate() {
                for b in &names[at + 1..] {
                    let key = (question, (*a).to_owned(), (*b).to_owned());
                    let answer = (answers[a].clone(), answers[b].clone(), (*call).to_owned());
                    pairs.entry(key).or_default().push(answer);
                }
            }
        }
    }
    let agreement = |((question, a, b), answers): (_, Vec<Pair>)| {
        let question: Question = question;
        let (agreed, kappa) = kappa(&answers.iter().map(|(a, b, _)| (a.as_str(), b.as_str())));
        Agreement {
            question: question.as_str(),
            between: (a, b),
            calls: answers.len(),
            agreed,
            kappa,
            apart: answers.into_iter().filter(|(a, b, _)| a != b).map(|(_, _, call)| call).collect(),
        }
    };
    pairs.into_iter().map(agreement).collect()
}

/// Sentiment is compared by its sign: two people never give the same number.
fn kind(question: Question, value: &str) -> String {
    if question != Question::Sentiment {
        return value.to_owned();
    }
    let score = value.parse::<f64>().unwrap_or(0.0);
    if score >= 0.5 {
        "good"
    } else if score <= -0.5 {
        "bad"
    } else {
        "neither"
    }
    .to_owned()
}

/// Share of pairs that are alike, and Cohen's kappa.
fn kappa<'a>(pairs: &(impl Iterator<Item = (&'a str, &'a str)> + Clone)) -> (f64, Option<f64>) {
    let count = pairs.clone().count() as f64;
    let alike = pairs.clone().filter(|(a, b)| a == b).count() as f64 / count;
    let values: BTreeSet<&str> = pairs.clone().flat_map(|(a, b)| [a, b]).collect();
    let chance: f64 = values
        .iter()
        .map(|value| {
            let share = |which: fn((&'a str, &'a str)) -> &'a str| {
                pairs.clone().filter(|pair| which(*pair) == *value).count() as f64 / count
            };
            share(|pair| pair.0) * share(|pair| pair.1)
        })
        .sum();
    (alike, (chance < 1.0 - 1e-12).then(|| (alike - chance) / (1.0 - chance)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kappa_is_agreement_beyond_chance() {
        let pairs: Vec<(&str, &str)> =
            [(20, ("y", "y")), (5, ("y", "n")), (10, ("n", "y")), (15, ("n", "n"))]
                .into_iter()
                .flat_map(|(times, pair)| std::iter::repeat_n(pair, times))
                .collect();
        let (alike, kappa) = kappa(&pairs.iter().copied());
        assert!((alike - 0.7).abs() < 1e-12 && (kappa.unwrap() - 0.4).abs() < 1e-12);
        assert_eq!(super::kappa(&[("y", "y"); 4].into_iter()), (1.0, None));
    }

    #[test]
    fn signs_of_sentiment_are_compared() {
        assert_eq!(
            ["-0.5", "0.4", "3", "none"].map(|v| kind(Question::Sentiment, v)),
            ["bad", "neither", "good", "neither"]
        );
    }
}
