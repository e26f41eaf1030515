//! The part of a call's page where a reviewer agrees, corrects, adds what was missed, fills in the scorecard, is done.

use super::call::{Opened, speaker};
use super::findings::{Answer, Evidence, Finding, JUDGED, findings};
use super::layout::csrf;
use crate::access::Caller;
use crate::app::App;
use crate::reviews::{Judgement, Question, Role, Verdict, standing};
use crate::scorecard::Scorecard;
use crate::text;
use callmark_types::Speaker;
use maud::{Markup, html};
use std::collections::BTreeMap;

const OUTCOMES: [&str; 6] =
    ["resolved", "escalated_resolved", "transferred", "unresolved", "abandoned", "unknown"];
const SPEAKERS: [Speaker; 5] =
    [Speaker::Customer, Speaker::AiAgent, Speaker::HumanAgent, Speaker::Ivr, Speaker::Unknown];

/// Who looks at which call, and from where: what every form on it needs.
struct Desk<'a> {
    caller: &'a Caller,
    /// The address of the call.
    address: String,
    /// The address of the queue that it was opened from.
    queue: &'a str,
    /// The newest judgement of each person on each part.
    standing: Vec<&'a Judgement>,
    may_judge: bool,
}

impl<'a> Desk<'a> {
    /// What the caller says of a part.
    fn own(&self, question: Question, subject: &str) -> Option<&'a Judgement> {
        self.said(question, subject).find(|j| j.reviewer == self.caller.user.name)
    }

    /// What others say of it.
    fn others(&self, question: Question, subject: &str) -> Vec<&'a Judgement> {
        self.said(question, subject).filter(|j| j.reviewer != self.caller.user.name).collect()
    }

    fn said(&self, question: Question, subject: &str) -> impl Iterator<Item = &'a Judgement> {
        self.standing.iter().copied().filter(move |j| j.question == question && j.subject == subject)
    }

    /// The fields that every form has.
    fn fields(&self) -> Markup {
        html! {
            (csrf(self.caller))
            input type="hidden" name="queue" value=(self.queue);
        }
    }
}

/// The part of the page that is made anew after each judgement.
pub(crate) fn panel(app: &App, caller: &Caller, opened: &Opened, queue: &str, next: Option<&str>) -> Markup {
    let desk = Desk {
        caller,
        address: format!("/calls/{}", text::percent_encode(opened.call.record.call_id.as_str())),
        queue,
        standing: standing(&opened.judgements),
        may_judge: caller.user.role >= Role::Reviewer,
    };
    let is_done = desk.own(Question::Done, "").is_some();
    html! {
        section.card aria-label="Review" {
            h2 { "Review" }
            @if opened.blind { p.note { "A blind review: what others say shows when you are done." } }
            ul.findings {
                @for finding in findings(&opened.call) {
                    (finding_item(&desk, &finding))
                }
            }
            (missed(&desk, opened))
            @if desk.may_judge {
                form.done data-fetch method="post" action={ (desk.address) "/done" } {
                    (desk.fields())
                    @if is_done {
                        p { span.chip.good { "done" } " " button.quiet name="undo" value="1" { "Go on reviewing" } }
                    } @else {
                        button id="done" data-next=[next] { "Done" @if next.is_some() { ", next call" } " " kbd { "x" } }
                    }
                }
            }
        }
        @for card in &app.cards { (scorecard(&desk, card, opened)) }
        (history(&opened.judgements))
    }
}

fn finding_item(desk: &Desk<'_>, finding: &Finding<'_>) -> Markup {
    let own = desk.own(finding.question, &finding.subject);
    let id = format!("f-{}-{}", finding.question.as_str(), finding.subject);
    let state = own.map(|judgement| judgement.verdict.as_str());
    html! {
        li.finding id=(id) tabindex="-1" data-finding data-state=[state] data-seek=[finding.evidence.at_ms] {
            p {
                span.title { (finding.title) @if !finding.shown.is_empty() { ": " strong { (finding.shown) } } }
                @if let Some(judgement) = own { " " (verdict(judgement)) }
            }
            (evidence(&finding.evidence))
            @if let Some(note) = own.and_then(|judgement| judgement.note.as_ref()) { p.muted { "— " (note) } }
            @for other in desk.others(finding.question, &finding.subject) { p.muted { (other.reviewer) ": " (verdict(other)) @if let Some(note) = &other.note { " — " (note) } } }
            @if desk.may_judge {
                form.row data-fetch method="post" action={ (desk.address) "/judge" } {
                    (desk.fields())
                    input type="hidden" name="question" value=(finding.question.as_str());
                    input type="hidden" name="subject" value=(finding.subject);
                    @if own.is_some() {
                        button.quiet name="verdict" value="withdraw" aria-label={ "Take back what you said of: " (finding.title) } { "Take back" }
                    } @else {
                        @if finding.seen.is_some() {
                            button data-agree name="verdict" value="agree" aria-label={ "Agree: " (finding.title) " " (finding.shown) } { "Agree" kbd { "a" } }
                        }
                        (correction(finding))
                        input.note-field name="note" maxlength="1000" placeholder="why, if it needs saying" aria-label={ "Why: " (finding.title) };
                    }
                }
            }
        }
    }
}

/// How a question is corrected.
fn correction(finding: &Finding<'_>) -> Markup {
    let seen = finding.seen.as_deref().unwrap_or_default();
    let label = format!("The right answer to: {}", finding.title);
    let send = html! { button.quiet data-correct name="verdict" value="correct" aria-label={ "Correct: " (finding.title) } { "Correct" kbd { "d" } } };
    match finding.answer {
        Answer::There => html! {
            button.quiet data-correct name="verdict" value="correct" aria-label={ "Not so: " (finding.title) } { "Not so" kbd { "d" } }
        },
        Answer::YesNo => html! {
            input type="hidden" name="value" value=(if seen == "yes" { "no" } else { "yes" });
            button.quiet data-correct name="verdict" value="correct" aria-label={ "No, it is: " (if seen == "yes" { "no" } else { "yes" }) ". " (finding.title) } {
                "It is " (if seen == "yes" { "no" } else { "yes" }) kbd { "d" }
            }
        },
        Answer::YesNoNone => html! {
            select name="value" aria-label=(label) data-value {
                @for (value, shown) in [("yes", "yes"), ("no", "no"), ("none", "nobody asked or accepted")] {
                    @if value != seen { option value=(value) { (shown) } }
                }
            }
            (send)
        },
        Answer::Outcome => html! {
            select name="value" aria-label=(label) data-value {
                @for value in OUTCOMES.into_iter().filter(|value| *value != seen) { option value=(value) { (text::words(value)) } }
            }
            (send)
        },
        Answer::Milliseconds => html! {
            input name="value" aria-label={ (label) " (m:ss, or never)" } placeholder="m:ss or never" size="10" data-value data-now;
            (send)
        },
        Answer::Score => html! {
            input type="number" name="value" aria-label=(label) min="-5" max="5" step="0.5" size="6" data-value;
            (send)
        },
    }
}

fn verdict(judgement: &Judgement) -> Markup {
    html! {
        @match (judgement.verdict, judgement.question) {
            (Verdict::Agree, _) => span.chip.good { "agreed" },
            (Verdict::Correct, Question::Event) => span.chip.bad { "not so" },
            (Verdict::Correct, Question::ResolvedAtMs) => span.chip.bad {
                "corrected: " (judgement.value.as_deref().and_then(|ms| ms.parse().ok()).map_or_else(|| "never".to_owned(), text::clock))
            },
            (Verdict::Correct, _) => span.chip.bad { "corrected: " (text::words(judgement.value.as_deref().unwrap_or_default())) },
            (Verdict::Withdraw, _) => span.chip { "taken back" },
        }
    }
}

fn evidence(evidence: &Evidence<'_>) -> Markup {
    if *evidence == Evidence::default() {
        return html! {};
    }
    html! {
        p.evidence {
            @if let Some(at) = evidence.at_ms {
                button.time type="button" data-seek=(at) { "▶ " (text::clock(at)) } " "
            }
            @if let Some(words) = evidence.words { q { (words) } " " }
            @if let Some(turn) = evidence.turn { a href={ "#t" (turn) } { "turn " (turn) } " " }
            @if let Some(by) = &evidence.by { span.muted { (by) } " " }
            @if let Some(confidence) = evidence.confidence { span.muted { (format!("{:.0} % sure", confidence * 100.0)) } }
        }
    }
}

/// What was not found: on words that are marked in the transcript.
fn missed(desk: &Desk<'_>, opened: &Opened) -> Markup {
    let is_of_turn =
        |j: &&&Judgement| matches!(j.question, Question::Missed | Question::Speaker | Question::Words);
    let of_turns: Vec<&&Judgement> = desk.standing.iter().filter(is_of_turn).collect();
    let turns = opened.call.turns.len();
    html! {
        @if !of_turns.is_empty() {
            h3 { "Added and corrected in the transcript" }
            ul.added {
                @for judgement in of_turns {
                    @let turn = judgement.subject.split(':').next().unwrap_or_default();
                    li {
                        a href={ "#t" (turn) } { "turn " (turn) } ": "
                        @match judgement.question {
                            Question::Missed => { "missed " strong { (text::words(judgement.value.as_deref().unwrap_or_default())) } }
                            Question::Speaker => { "speaker is " strong { (text::words(judgement.value.as_deref().unwrap_or_default())) } }
                            _ => { "says " q { (judgement.value.as_deref().unwrap_or_default()) } }
                        }
                        @if let Some(note) = &judgement.note { " — " (note) }
                        span.muted { " " (judgement.reviewer) }
                        @if desk.may_judge && judgement.reviewer == desk.caller.user.name {
                            form.inline data-fetch method="post" action={ (desk.address) "/judge" } {
                                (desk.fields())
                                input type="hidden" name="question" value=(judgement.question.as_str());
                                input type="hidden" name="subject" value=(judgement.subject);
                                button.quiet name="verdict" value="withdraw" { "Take back" }
                            }
                        }
                    }
                }
            }
        }
        @if desk.may_judge && turns > 0 {
            details.missed id="missed" {
                summary { "Add or correct something in the transcript" }
                form.stack data-fetch method="post" action={ (desk.address) "/judge" } id="missed-form" {
                    (desk.fields())
                    input type="hidden" name="verdict" value="correct";
                    p.muted id="missed-quote" aria-live="polite" { "Select words in the transcript, drag over a part of the timeline, press “Mark” at a turn, or give the numbers of turn and words." }
                    div.row {
                        label { "Turn" input type="number" name="turn" id="missed-turn" min="0" max=(turns - 1) required; }
                        label { "From word" input type="number" name="first" id="missed-first" min="1" max="10000"; }
                        label { "To word" input type="number" name="last" id="missed-last" min="1" max="10000"; }
                    }
                    label { "What is there"
                        select name="missed" {
                            option value="" { "nothing to add" }
                            @for kind in JUDGED { option value=(kind.as_str()) { (text::words(kind.as_str())) } }
                        }
                    }
                    label { "Who speaks"
                        select name="speaker" {
                            option value="" { "as it is" }
                            @for who in SPEAKERS { option value=(who.as_str()) { (speaker(who)) } }
                        }
                    }
                    label { "What is said, if it is wrong" textarea name="said" rows="2" maxlength="4000" {} }
                    label { "Why (if it needs saying)" input name="note" maxlength="1000"; }
                    button { "Add" }
                }
            }
        }
    }
}

/// Answers of one reviewer to a card, by item.
fn answers(card: &Scorecard, standing: &[&Judgement], reviewer: &str) -> BTreeMap<String, String> {
    let prefix = format!("{}@{}/", card.name, card.version);
    let own = standing.iter().filter(|j| j.question == Question::Scorecard && j.reviewer == reviewer);
    own.filter_map(|j| Some((j.subject.strip_prefix(&prefix)?.to_owned(), j.value.clone()?))).collect()
}

fn scorecard(desk: &Desk<'_>, card: &Scorecard, opened: &Opened) -> Markup {
    let standing = &desk.standing;
    let given = answers(card, standing, &desk.caller.user.name);
    let mut reviewers: Vec<&str> =
        standing.iter().filter(|j| j.question == Question::Scorecard).map(|j| j.reviewer.as_str()).collect();
    reviewers.sort_unstable();
    reviewers.dedup();
    html! {
        details.card.scorecard open id={ "card-" (card.name) } {
            summary { h2 { (card.title) } }
            @for reviewer in reviewers {
                @let points = card.points(&answers(card, standing, reviewer));
                p {
                    (reviewer) ": "
                    strong { (points.percent.map_or_else(|| "no points".to_owned(), |p| format!("{p:.0} %"))) }
                    @if !points.failed_by.is_empty() { " " span.chip.bad { "failed by " (text::words(&points.failed_by.join(", "))) } }
                    @if points.unanswered > 0 { span.muted { " " (points.unanswered) " not answered" } }
                }
            }
            @if desk.may_judge {
                form.stack data-fetch method="post" action={ (desk.address) "/scorecard" } {
                    (desk.fields())
                    input type="hidden" name="card" value=(card.name);
                    @for section in &card.sections {
                        h3 { (section.title) }
                        @for item in &section.items {
                            @let filled = item.prefill.as_ref().and_then(|prefill| prefill.fill(&opened.columns, &opened.call.events));
                            @let chosen = given.get(&item.id).map(String::as_str).or(filled.as_ref().map(|f| f.answer));
                            fieldset {
                                legend { (item.text) @if item.auto_fail { " " span.chip.warn { "a no fails the call" } } }
                                @for (value, shown) in [("yes", "yes"), ("no", "no"), ("na", "does not apply")] {
                                    @if value != "na" || item.not_applicable || chosen == Some("na") {
                                        label.choice { input type="radio" name={ "item." (item.id) } value=(value) checked[chosen == Some(value)]; (shown) }
                                    }
                                }
                                @if let Some(filled) = filled.filter(|_| !given.contains_key(&item.id)) {
                                    p.muted { "Filled in beforehand: " (filled.because) ". Saving agrees with what you leave." }
                                }
                            }
                        }
                    }
                    button { "Save the scorecard" }
                }
            }
        }
    }
}

fn history(judgements: &[Judgement]) -> Markup {
    html! {
        @if !judgements.is_empty() {
            details.card {
                summary { h2 { "History" } }
                ol.history {
                    @for judgement in judgements.iter().rev() {
                        li {
                            span.muted { (text::minute(judgement.at_ms)) " " } (judgement.reviewer) ": "
                            (text::words(judgement.question.as_str()))
                            @if !judgement.subject.is_empty() { " " code { (judgement.subject) } }
                            " " (judgement.verdict.as_str())
                            @if let Some(value) = &judgement.value { " " strong { (value) } }
                            @if let Some(seen) = judgement.seen.as_ref().filter(|seen| Some(*seen) != judgement.value.as_ref()) { span.muted { " (found: " (seen) ")" } }
                        }
                    }
                }
            }
        }
    }
}
