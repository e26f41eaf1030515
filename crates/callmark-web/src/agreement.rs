//! How far reviewers agree: with each other and with the scores, question by question (Cohen 1960).

use crate::reviews::{Judgement, Question, Verdict, standing};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Agreement of two on one question.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Agreement {
    pub(crate) question: String,
    /// Who, by name; `scores` stands for what was found.
    pub(crate) between: (String, String),
    /// Whether neither could see what the other said: only then do they say how sure a judgement is.
    pub(crate) independent: bool,
    /// What both judged: calls, or findings of one type on all calls.
    pub(crate) judged: usize,
    pub(crate) agreed: f64,
    /// `None` where both always say the same, and where what was found is judged: a finding never says no, so that the share
    /// of those that stand is all there is to say.
    pub(crate) kappa: Option<f64>,
    /// Calls on which they differ.
    pub(crate) apart: Vec<String>,
}

/// Stands for what was found, beside the names of people.
pub(crate) const SCORES: &str = "scores";

/// Answers of two to one question about one thing, and its call.
type Pair = (String, String, String);

/// Who has which call in a blind sample: names, by call.
pub(crate) type Blind = HashMap<String, HashSet<String>>;

/// Agreement of all pairs, on all that was said by whoever is done with a call.
pub(crate) fn agreements(all: &[Judgement], blind: &Blind) -> Vec<Agreement> {
    let mut of_call: BTreeMap<&str, Vec<Judgement>> = BTreeMap::new();
    for judgement in all {
        of_call.entry(&judgement.call_id).or_default().push(judgement.clone());
    }
    // By question, its name and pair: answers of both, and the call.
    let mut pairs: BTreeMap<(Question, String, String, String, bool), Vec<Pair>> = BTreeMap::new();
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
        // What was asked, about which part of the call: who answered what.
        let mut answers: BTreeMap<(Question, String, &str), BTreeMap<&str, String>> = BTreeMap::new();
        for judgement in standing.iter().filter(|j| done.contains(j.reviewer.as_str())) {
            let Some((asked, said, found)) = answer(judgement) else { continue };
            let answers = answers.entry((judgement.question, asked, judgement.subject.as_str())).or_default();
            answers.insert(&judgement.reviewer, said);
            if let Some(found) = found {
                answers.insert(SCORES, found);
            }
        }
        for ((question, asked, _), answers) in answers {
            let names: Vec<&str> = answers.keys().copied().collect();
            for (at, a) in names.iter().enumerate() {
                for b in &names[at + 1..] {
                    let is_alone = |name: &str| {
                        name == SCORES || blind.get(*call).is_some_and(|names| names.contains(name))
                    };
                    let independent = is_alone(a) && is_alone(b);
                    let key = (question, asked.clone(), (*a).to_owned(), (*b).to_owned(), independent);
                    let answer = (answers[a].clone(), answers[b].clone(), (*call).to_owned());
                    pairs.entry(key).or_default().push(answer);
                }
            }
        }
    }
    let agreement = |((asked, question, a, b, independent), answers): (_, Vec<Pair>)| {
        let (agreed, kappa) = kappa(&answers.iter().map(|(a, b, _)| (a.as_str(), b.as_str())));
        let kappa = kappa.filter(|_| asked != Question::Event || (a != SCORES && b != SCORES));
        let mut apart: Vec<String> =
            answers.iter().filter(|(a, b, _)| a != b).map(|(.., call)| call.clone()).collect();
        apart.dedup();
        Agreement { question, between: (a, b), independent, judged: answers.len(), agreed, kappa, apart }
    };
    pairs.into_iter().map(agreement).collect()
}

/// What a judgement answers: the question as people call it, their answer, and what was found.
///
/// Speakers, words and missed findings have no answers to compare: they are told only where they are wrong.
fn answer(judgement: &Judgement) -> Option<(String, String, Option<String>)> {
    let given = |asked: &str, of: fn(&str) -> String| {
        Some((asked.to_owned(), of(judgement.value.as_deref()?), judgement.seen.as_deref().map(of)))
    };
    let name = judgement.question.as_str();
    match judgement.question {
        Question::Outcome | Question::HumanRequest | Question::Honoured => given(name, str::to_owned),
        Question::Sentiment => given(name, sign),
        Question::ResolvedAtMs => given("settled", |at| if at == "none" { "no" } else { "yes" }.to_owned()),
        Question::Scorecard => given(&format!("scorecard: {}", judgement.subject), str::to_owned),
        Question::Event => {
            let said = if judgement.verdict == Verdict::Agree { "yes" } else { "no" };
            let asked = format!("finding: {}", judgement.seen.as_deref()?);
            Some((asked, said.to_owned(), Some("yes".to_owned())))
        }
        Question::Speaker | Question::Words | Question::Missed | Question::Done => None,
    }
}

/// Sentiment is compared by its sign: two people never give the same number.
fn sign(value: &str) -> String {
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
        assert_eq!(["-0.5", "0.4", "3", "none"].map(sign), ["bad", "neither", "good", "neither"]);
    }

    #[test]
    fn every_question_that_both_answered_is_compared() {
        let mut at = 0;
        let mut said = |call: &str, who: &str, question, subject: &str, verdict, value: &str, seen: &str| {
            at += 1;
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Judgement {
                judgement_id: format!("{at:04}"),
                call_id: call.into(),
                reviewer: who.into(),
                at_ms: at,
                question,
                subject: subject.into(),
                verdict,
                value: text(value),
                seen: text(seen),
                seen_rules: String::new(),
                seen_version: String::new(),
                note: None,
            }
        };
        let mut all = Vec::new();
        for (call, other) in [("a", "no"), ("b", "yes")] {
            for (who, item) in [("ann", "yes"), ("bo", other)] {
                let verdict = if item == "yes" { Verdict::Agree } else { Verdict::Correct };
                all.push(said(call, who, Question::Scorecard, "service@1/greets", verdict, item, "yes"));
                all.push(said(call, who, Question::Event, "3", verdict, "", "human_request"));
                all.push(said(
                    call,
                    who,
                    Question::ResolvedAtMs,
                    "",
                    verdict,
                    if item == "yes" { "9000" } else { "none" },
                    "8000",
                ));
                all.push(said(call, who, Question::Speaker, "1", Verdict::Correct, "customer", "unknown"));
                all.push(said(call, who, Question::Done, "", Verdict::Agree, "", ""));
            }
        }
        let blind = Blind::from([("a".to_owned(), HashSet::from(["ann".to_owned(), "bo".to_owned()]))]);
        let apart = agreements(&all, &blind);
        // Of call a they knew nothing of each other, of call b they might.
        let of_two = |independent| {
            apart.iter().filter(|f| f.between.1 == "bo" && f.independent == independent).count()
        };
        assert_eq!((of_two(true), of_two(false)), (3, 3));
        let of_findings = |f: &&Agreement| f.question.starts_with("finding") && f.between.1 == SCORES;
        assert!(apart.iter().filter(of_findings).all(|f| f.kappa.is_none()));
        let found = agreements(&all, &Blind::new());
        let of = |a: &str, b: &str| -> Vec<(&str, usize, f64, usize)> {
            let those = found.iter().filter(|f| f.between.0 == a && f.between.1 == b);
            those.map(|f| (f.question.as_str(), f.judged, f.agreed, f.apart.len())).collect()
        };
        let half =
            ["settled", "finding: human_request", "scorecard: service@1/greets"].map(|q| (q, 2, 0.5, 1));
        assert_eq!((of("ann", "bo"), of("bo", SCORES)), (half.to_vec(), half.to_vec()));
        assert!(
            of("ann", SCORES)
                .iter()
                .all(|(_, judged, agreed, apart)| (*judged, *agreed, *apart) == (2, 1.0, 0))
        );
    }
}
