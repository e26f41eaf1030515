//! Trains the head for requests (`make train-heads`) and prints its model card.
//!
//! `train_head WEIGHTS WORDS OWN.tsv UTTERANCES.jsonl VERSION HEAD.toml`: the sentence model, the words without which
//! a sentence is not looked at, examples written for this purpose, labelled utterances of public corpora, and the file
//! to write. Everything that the card says was predicted for examples that the predicting head had not seen: by ten
//! folds, and with each source left out. No randomness: the same input gives the same head.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    clippy::similar_names,
    missing_docs,
    reason = "a tool for who trains the head"
)]

use callmark_analytics::{Combined, RuleVerdict, Ruleset, classify_human_request, training_sentences};
use callmark_embed::SentenceModel;
use callmark_types::{Embedding, SentenceEncoder};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

const FOLDS: usize = 10;
const STEPS: usize = 1500;
const PENALTIES: [f64; 3] = [1e-5, 3e-5, 1e-4];
const DECIDES: f64 = 0.7;

struct Sentence {
    vector: Embedding,
    rules: RuleVerdict,
}

struct Utterance {
    source: String,
    fold: usize,
    asks: bool,
    /// Whether a rule of any kind calls it a request.
    by_rules: bool,
    /// What the head would look at.
    sentences: Vec<Sentence>,
}

#[derive(Clone)]
struct Logistic {
    weights: Vec<f64>,
    bias: f64,
}

impl Logistic {
    fn log_odds(&self, x: &[f64]) -> f64 {
        self.bias + self.weights.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()
    }

    /// Least log loss plus `penalty` times half the squared weights, by accelerated gradient descent.
    fn fit(rows: &[(&[f64], bool)], penalty: f64, step: f64) -> Self {
        let width = rows.first().map_or(0, |(x, _)| x.len());
        let mut now = Self { weights: vec![0.0; width], bias: 0.0 };
        let mut before = now.clone();
        for round in 0..STEPS {
            let momentum = round as f64 / (round as f64 + 3.0);
            let ahead = |a: f64, b: f64| a + momentum * (a - b);
            let at = Self {
                weights: now.weights.iter().zip(&before.weights).map(|(a, b)| ahead(*a, *b)).collect(),
                bias: ahead(now.bias, before.bias),
            };
            let mut slope = vec![0.0; width];
            let mut bias_slope = 0.0;
            for (x, asks) in rows {
                let wrong = 1.0 / (1.0 + (-at.log_odds(x)).exp()) - f64::from(u8::from(*asks));
                bias_slope += wrong;
                slope.iter_mut().zip(*x).for_each(|(s, x)| *s += wrong * x);
            }
            let scale = step / rows.len() as f64;
            before = now;
            now = Self {
                weights: (0..width)
                    .map(|i| at.weights[i] - scale * slope[i] - step * penalty * at.weights[i])
                    .collect(),
                bias: at.bias - scale * bias_slope,
            };
        }
        now
    }
}

fn wide(vector: &Embedding) -> Vec<f64> {
    vector.0.iter().map(|x| f64::from(*x)).collect()
}

/// Trains on the utterances that `keep` names. Of a request with several sentences, those count that a rule finds, else
/// all.
fn train(all: &[Utterance], penalty: f64, keep: impl Fn(&Utterance) -> bool) -> Logistic {
    let mut rows: Vec<(Vec<f64>, bool)> = Vec::new();
    for utterance in all.iter().filter(|u| keep(u)) {
        let fired = utterance.sentences.iter().any(|s| s.rules == RuleVerdict::Fired);
        for sentence in &utterance.sentences {
            if !(utterance.asks && fired) || sentence.rules == RuleVerdict::Fired {
                rows.push((wide(&sentence.vector), utterance.asks));
            }
        }
    }
    let rows: Vec<(&[f64], bool)> = rows.iter().map(|(x, y)| (x.as_slice(), *y)).collect();
    Logistic::fit(&rows, penalty, 4.0)
}

/// The head's log odds for each sentence of each utterance, by the head that `of` chooses for it.
fn log_odds<'h>(all: &[Utterance], of: impl Fn(&Utterance) -> &'h Logistic) -> Vec<Vec<f64>> {
    all.iter().map(|u| u.sentences.iter().map(|s| of(u).log_odds(&wide(&s.vector))).collect()).collect()
}

fn features(log_odds: f64, rules: RuleVerdict) -> [f64; 3] {
    let is = |verdict| f64::from(u8::from(rules == verdict));
    [log_odds, is(RuleVerdict::Fired), is(RuleVerdict::HeldBack)]
}

/// Fits how head and rules become one, on log odds of heads that had not seen the examples.
fn combine(all: &[Utterance], odds: &[Vec<f64>], keep: impl Fn(&Utterance) -> bool) -> Combined {
    let mut rows: Vec<([f64; 3], bool)> = Vec::new();
    for (utterance, odds) in all.iter().zip(odds).filter(|(u, _)| keep(u)) {
        // The sentence that decides stands for the utterance.
        let best = utterance.sentences.iter().zip(odds).max_by(|(a, x), (b, y)| {
            let rank = |s: &Sentence, x: f64| x + 6.0 * f64::from(u8::from(s.rules == RuleVerdict::Fired));
            rank(a, **x).total_cmp(&rank(b, **y))
        });
        if let Some((sentence, odds)) = best {
            rows.push((features(*odds, sentence.rules), utterance.asks));
        }
    }
    let rows: Vec<(&[f64], bool)> = rows.iter().map(|(x, y)| (x.as_slice(), *y)).collect();
    let fit = Logistic::fit(&rows, 1e-5, 0.05);
    Combined { constant: fit.bias, head: fit.weights[0], fired: fit.weights[1], held_back: fit.weights[2] }
}

/// What `classify` would say: a rule's finding stands, the head may add one.
fn probability(utterance: &Utterance, odds: &[f64], combined: &Combined) -> f64 {
    let each = utterance.sentences.iter().zip(odds).map(|(s, x)| combined.probability(*x, s.rules));
    let best = each.fold(0.02_f64, f64::max);
    if utterance.by_rules { best.max(DECIDES) } else { best }
}

#[derive(Default)]
struct Tally {
    positives: u32,
    negatives: u32,
    found: u32,
    false_alarms: u32,
}

impl Tally {
    fn add(&mut self, truth: bool, said: bool) {
        *(if truth { &mut self.positives } else { &mut self.negatives }) += 1;
        self.found += u32::from(truth && said);
        self.false_alarms += u32::from(!truth && said);
    }

    fn row(&self, who: &str) -> String {
        let share = |a: u32, b: u32| {
            if b == 0 { "-".to_owned() } else { format!("{:.4}", f64::from(a) / f64::from(b)) }
        };
        format!(
            "{who} {} | {} | {:.2}",
            share(self.found, self.found + self.false_alarms),
            share(self.found, self.positives),
            1000.0 * f64::from(self.false_alarms) / f64::from(self.negatives.max(1)),
        )
    }
}

fn table(card: &mut String, all: &[Utterance], said: impl Fn(usize) -> bool) {
    let mut tallies: BTreeMap<&str, (Tally, Tally)> = BTreeMap::new();
    for (index, utterance) in all.iter().enumerate() {
        for name in [utterance.source.as_str(), "~all but own"] {
            if name == "~all but own" && utterance.source == "own" {
                continue;
            }
            let (rules, both) = tallies.entry(name).or_default();
            rules.add(utterance.asks, utterance.by_rules);
            both.add(utterance.asks, said(index));
        }
    }
    card.push_str("| source | requests | others | rules: precision | recall | false alarms in 1,000 | with head: precision | recall | false alarms in 1,000 |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (name, (rules, both)) in &tallies {
        let _ = writeln!(
            card,
            "| {} | {} | {} {} {} |",
            name.trim_start_matches('~'),
            both.positives,
            both.negatives,
            rules.row("|"),
            both.row("|")
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [weights, words, own, corpus, version, head_file] = arguments.as_slice() else {
        panic!("train_head WEIGHTS WORDS OWN.tsv UTTERANCES.jsonl VERSION HEAD.toml")
    };
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let digest = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";
    let model = SentenceModel::load(Path::new(weights), digest).unwrap_or_else(|e| panic!("{e}"));
    let words: BTreeSet<String> = read(words).split_whitespace().map(str::to_owned).collect();
    let rules = Ruleset::built_in();
    let mut texts: Vec<(String, bool, String)> = Vec::new();
    for line in read(own).lines().filter(|l| !l.starts_with('#')) {
        let (label, text) = line.split_once('\t').expect("label, tab, text");
        texts.push(("own".to_owned(), label == "1", text.to_owned()));
    }
    for line in read(corpus).lines() {
        let value: serde_json::Value = serde_json::from_str(line).expect("one object a line");
        if value["gray"] != true {
            let text = value["text"].as_str().expect("text").to_owned();
            texts.push((value["source"].as_str().unwrap_or("?").to_owned(), value["label"] == 1, text));
        }
    }
    let all: Vec<Utterance> = texts
        .iter()
        .map(|(source, asks, text)| {
            let found = training_sentences(&rules, &words, text);
            let shown: Vec<&str> = found.iter().map(|s| s.shown.as_str()).collect();
            let vectors = model.encode(&shown);
            // Utterances with the same first words are variants of one another: they go into one fold.
            let key: String = text.to_lowercase().split_whitespace().take(3).collect();
            let fold =
                key.bytes().fold(7_usize, |h, b| h.wrapping_mul(31).wrapping_add(usize::from(b))) % FOLDS;
            Utterance {
                source: source.clone(),
                fold,
                asks: *asks,
                by_rules: classify_human_request(&rules, text, None, &[]).label == 1,
                sentences: found
                    .iter()
                    .zip(vectors)
                    .map(|(s, vector)| Sentence { vector, rules: s.rules })
                    .collect(),
            }
        })
        .collect();
    let looked = all.iter().filter(|u| !u.sentences.is_empty()).count();
    eprintln!("{} utterances, {looked} looked at", all.len());

    // The penalty with the least log loss on folds left out.
    let by_fold = |penalty: f64| -> Vec<Vec<f64>> {
        let heads: Vec<Logistic> = (0..FOLDS).map(|fold| train(&all, penalty, |u| u.fold != fold)).collect();
        log_odds(&all, |u| &heads[u.fold])
    };
    let loss = |odds: &[Vec<f64>], combined: &Combined| -> f64 {
        let losses = all.iter().zip(odds).filter(|(u, _)| !u.sentences.is_empty()).map(|(u, odds)| {
            let p = u
                .sentences
                .iter()
                .zip(odds)
                .map(|(s, x)| combined.probability(*x, s.rules))
                .fold(0.0, f64::max);
            -(if u.asks { p } else { 1.0 - p }).max(1e-9).ln()
        });
        losses.sum::<f64>() / looked as f64
    };
    let (penalty, odds, _) = PENALTIES
        .iter()
        .map(|penalty| {
            let odds = by_fold(*penalty);
            let lost = loss(&odds, &combine(&all, &odds, |_| true));
            eprintln!("penalty {penalty}: log loss {lost:.5}");
            (*penalty, odds, lost)
        })
        .min_by(|a, b| a.2.total_cmp(&b.2))
        .expect("a penalty");
    let combined = combine(&all, &odds, |_| true);

    let mut card = String::new();
    card.push_str("Ten folds, variants of one wording in one fold; how head and rules are combined fitted on the other folds too:\n\n");
    let folded: Vec<Combined> = (0..FOLDS).map(|fold| combine(&all, &odds, |u| u.fold != fold)).collect();
    let folded: Vec<f64> =
        all.iter().zip(&odds).map(|(u, odds)| probability(u, odds, &folded[u.fold])).collect();
    table(&mut card, &all, |index| folded[index] >= DECIDES);
    card.push_str("\nEach source left out, nothing of it seen by the head that judges it:\n\n");
    let sources: BTreeSet<&str> = all.iter().map(|u| u.source.as_str()).collect();
    let left_out: BTreeMap<&str, Logistic> =
        sources.iter().map(|source| (*source, train(&all, penalty, |u| u.source != *source))).collect();
    let apart = log_odds(&all, |u| &left_out[u.source.as_str()]);
    table(&mut card, &all, |index| {
        let (u, odds) = (&all[index], &apart[index]);
        probability(u, odds, &combined) >= DECIDES
    });
    card.push_str("\nCalibration on the folds left out, of sentences that the head looks at:\n\n| said | utterances | said on average | truly requests |\n| --- | --- | --- | --- |\n");
    for (low, high) in [(0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.01)] {
        let inside: Vec<(f64, bool)> = all
            .iter()
            .zip(&odds)
            .filter(|(u, _)| !u.sentences.is_empty())
            .map(|(u, odds)| {
                let each = u.sentences.iter().zip(odds).map(|(s, x)| combined.probability(*x, s.rules));
                (each.fold(0.0, f64::max), u.asks)
            })
            .filter(|(p, _)| (low..high).contains(p))
            .collect();
        let count = inside.len().max(1) as f64;
        let mean = inside.iter().map(|(p, _)| p).sum::<f64>() / count;
        let truly = inside.iter().filter(|(_, asks)| *asks).count() as f64 / count;
        let _ = writeln!(
            card,
            "| {low:.2} to {:.2} | {} | {mean:.3} | {truly:.3} |",
            f64::min(high, 1.0),
            inside.len()
        );
    }
    println!("{card}");
    for (index, utterance) in all.iter().enumerate() {
        let said = folded[index] >= DECIDES;
        if said != utterance.asks && std::env::var_os("SHOW_ERRORS").is_some() {
            let (source, asks, text) = &texts[index];
            eprintln!("{source}\t{asks}\t{:.2}\t{}\t{text}", folded[index], utterance.by_rules);
        }
    }

    let head = train(&all, penalty, |_| true);
    let mut out = format!(
        "# Written by `make train-heads`; what it is and how well it does: human_request.md.\nid = \"human_request.head\"\nversion = \"{version}\"\nabout = \"Logistic model on all-MiniLM-L6-v2 vectors of a sentence of the customer: does it ask for a person?\"\nmodel_sha256 = \"{digest}\"\n"
    );
    let _ = writeln!(out, "words = {:?}", words.iter().collect::<Vec<_>>());
    let _ = writeln!(out, "bias = {:.5}", head.bias);
    let numbers: Vec<String> = head.weights.iter().map(|w| format!("{w:.4}")).collect();
    let lines: Vec<String> = numbers.chunks(12).map(|line| format!("  {},", line.join(", "))).collect();
    let _ = writeln!(out, "weights = [\n{}\n]\n", lines.join("\n"));
    let Combined { constant, head, fired, held_back } = combined;
    let _ = writeln!(
        out,
        "[combined]\nconstant = {constant:.4}\nhead = {head:.4}\nfired = {fired:.4}\nheld_back = {held_back:.4}"
    );
    std::fs::write(head_file, out).unwrap_or_else(|e| panic!("{head_file}: {e}"));
}
