//! The model of one call: a pure function of scenario, seed and number.

use crate::cohort::Ended;
use crate::stats::random::Draws;
use serde::Serialize;

/// Issues, from easy to hard.
pub const ISSUES: [&str; 6] =
    ["balance", "opening_hours", "late_delivery", "wrong_bill", "cancel_contract", "fraud"];
/// Queues.
pub const QUEUES: [&str; 3] = ["orders", "billing", "contracts"];
/// Languages.
pub const LANGUAGES: [&str; 3] = ["en", "es", "de"];
/// How often each issue is what a call is about.
pub(super) const ISSUE_SHARES: [f64; 6] = [0.25, 0.15, 0.2, 0.2, 0.12, 0.08];
/// How often each language is spoken.
pub(super) const LANGUAGE_SHARES: [f64; 3] = [0.7, 0.2, 0.1];
/// Standard deviation of log minutes among calls of one issue.
pub(super) const PACE_SPREAD: f64 = 0.5;
/// Standard deviation of sentiment among calls of one customer and issue.
pub(super) const MOOD_SPREAD: f64 = 0.8;
/// How much a customer's mood moves the probability of being resolved.
const MOOD_RESOLVED: f64 = 0.03;
/// Shortest and longest call, ms.
pub(super) const DURATION_MS: (f64, f64) = (5_000.0, 7_200_000.0);
/// Lowest and highest sentiment.
pub(super) const SENTIMENT: (f64, f64) = (-5.0, 5.0);
/// Agents among whom the calls that people take first are spread.
const AGENTS: u64 = 40;
/// Calls a customer makes, on average.
const CALLS_PER_CUSTOMER: u64 = 2;
/// The days the calls are spread over.
const DAYS: u64 = 84;
/// When customers come back who do, in ms after the call: evenly between.
const BACK_MS: (f64, f64) = (43_200_000.0, 1_080_000_000.0);
/// How much an agent's skill moves sentiment, in points for each share that it moves the probability of being resolved.
const SKILL_SENTIMENT: f64 = 4.0;
/// Seeds of what is drawn apart from a call's own draws, so that scenarios without it stay as they are.
const APART: u64 = 0x00A9_A127;
const SKILLS: u64 = 0x5C11_1500;
/// 2026-03-02T00:00:00Z, a Monday.
const FIRST_DAY_MS: i64 = 1_772_409_600_000;

/// What a data set is like. Effects are those of AI less human.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// Effect on the probability of being resolved.
    pub resolved_effect: f64,
    /// AI's times to resolution as a multiple of people's.
    pub time_ratio: f64,
    /// How many times as long a call takes that is handed over.
    pub handoff_cost: f64,
    /// Effect on customer sentiment, points.
    pub sentiment_effect: f64,
    /// Probability that the easiest and the hardest calls go to AI; linear between.
    pub to_ai: (f64, f64),
    /// How much harder calls are less often resolved, from the easiest to the hardest.
    pub difficulty: f64,
    /// Spread of what customers have in common, sentiment points.
    pub customer_spread: f64,
    /// Probability that the scorer turns a call's outcome around, for AI's calls and people's.
    pub scorer_error: (f64, f64),
    /// How much the effect on being resolved grows from the easiest to the hardest calls.
    pub effect_slope: f64,
    /// Spread of agents' skill: of the probability that they settle a call of the same kind.
    pub agent_spread: f64,
    /// How much more often, given the issue, the AI hands over what it would not settle: 0 not at all, 1 twice as often for
    /// the worst and never for the best. A person then settles what a person would have settled.
    pub informative: f64,
    /// Probability that a customer comes back whose matter was settled, and one whose matter was not.
    pub returns: (f64, f64),
    /// Breaks of a recording in a minute, of AI's calls and people's.
    pub breaks: (f64, f64),
    /// More calls than this are not made; `None`: as many as are asked for.
    pub most_calls: Option<u64>,
}

impl Scenario {
    /// How many of `asked` calls are made.
    pub fn calls_made(&self, asked: u64) -> u64 {
        self.most_calls.map_or(asked, |most| asked.min(most))
    }
}

/// What most scenarios have in common.
const BASE: Scenario = Scenario {
    name: "confounded",
    purpose: "AI gets the easy calls: raw differences flatter it",
    resolved_effect: -0.05,
    time_ratio: 0.6,
    handoff_cost: 1.6,
    sentiment_effect: -0.2,
    to_ai: (0.85, 0.25),
    difficulty: 0.35,
    customer_spread: 0.6,
    scorer_error: (0.0, 0.0),
    effect_slope: 0.0,
    agent_spread: 0.0,
    informative: 0.0,
    returns: (0.0, 0.0),
    breaks: (0.0, 0.0),
    most_calls: None,
};

/// No effect but that of handoffs.
const NULL: Scenario = Scenario {
    name: "null",
    purpose: "nothing differs between the arms but who gets which calls, and that a handoff costs time",
    resolved_effect: 0.0,
    time_ratio: 1.0,
    sentiment_effect: 0.0,
    ..BASE
};

impl Scenario {
    /// All that there are.
    pub const ALL: [Self; 11] = [
        BASE,
        Self {
            name: "quick",
            purpose: "the same, with AI so quick that it wins on time although it settles less",
            time_ratio: 0.4,
            ..BASE
        },
        NULL,
        Self {
            name: "exact-null",
            purpose: "nothing whatever differs between the arms but who gets which calls",
            handoff_cost: 1.0,
            ..NULL
        },
        Self {
            name: "simpson",
            purpose: "AI gets the hard calls and does better on each kind, yet looks worse on average",
            resolved_effect: 0.08,
            time_ratio: 0.8,
            sentiment_effect: 0.3,
            to_ai: (0.1, 0.9),
            difficulty: 0.45,
            ..BASE
        },
        Self {
            name: "no-overlap",
            purpose: "AI gets all easy calls and people all hard ones: no adjustment can help",
            to_ai: (2.0, -1.0),
            ..BASE
        },
        Self { name: "three-calls", purpose: "too little to tell anything", most_calls: Some(3), ..BASE },
        Self {
            name: "margin",
            purpose: "sentiment is worse by exactly the margin: a non-inferiority test may be wrong 5 times of 100",
            sentiment_effect: -0.3,
            ..BASE
        },
        Self {
            name: "scorer-error",
            purpose: "the scorer errs on people's calls more than on AI's",
            scorer_error: (0.05, 0.15),
            ..BASE
        },
        Self {
            name: "hard",
            purpose: "agents differ, AI hands over what goes badly, its effect depends on the issue, and who is not helped \
                      comes back",
            effect_slope: -0.1,
            agent_spread: 0.06,
            informative: 1.0,
            returns: (0.1, 0.55),
            ..BASE
        },
        Self {
            name: "breaks-off",
            purpose: "recordings break off, AI's more often: the longer a call, the less often its end is known",
            breaks: (0.06, 0.02),
            ..BASE
        },
    ];

    /// The scenario of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name == name)
    }

    /// Whether its effects can be integrated exactly.
    pub fn is_exact(&self) -> bool {
        self.informative <= 0.0 && self.agent_spread <= 0.0 && self.returns == (0.0, 0.0)
    }

    /// The probability that a call of these codes goes to AI: the true propensity.
    pub fn propensity(&self, [issue, _, language]: [usize; 3]) -> f64 {
        let linear = self.to_ai.0 + (self.to_ai.1 - self.to_ai.0) * hardness(issue);
        (linear - if language == 2 { 0.05 } else { 0.0 }).clamp(0.0, 1.0)
    }

    /// The probability that a call is resolved in an arm, with a customer of middling mood.
    pub(super) fn resolved(&self, issue: usize, ai: bool) -> f64 {
        let effect = self.resolved_effect + self.effect_slope * (hardness(issue) - 0.5);
        0.85 - self.difficulty * hardness(issue) + effect * f64::from(ai)
    }

    /// Mean sentiment in an arm, with a customer of middling mood.
    pub(super) fn sentiment(&self, issue: usize, ai: bool) -> f64 {
        0.8 - 1.5 * hardness(issue) + self.sentiment_effect * f64::from(ai)
    }

    /// Mean of log minutes in an arm. A handoff costs the first part again.
    pub(super) fn log_minutes(&self, issue: usize, ai: bool, escalates: bool) -> f64 {
        let ratio = if ai { self.time_ratio } else { 1.0 } * if escalates { self.handoff_cost } else { 1.0 };
        1.4 + 0.8 * hardness(issue) + ratio.ln()
    }
}

/// How hard an issue is, 0 to 1.
fn hardness(issue: usize) -> f64 {
    issue as f64 / (ISSUES.len() - 1) as f64
}

/// The probability that AI hands a call over: hard ones more often.
pub(super) fn escalation(issue: usize) -> f64 {
    0.05 + 0.3 * hardness(issue)
}

/// What happens to a call in one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Potential {
    /// How it ends.
    pub ended: Ended,
    /// Milliseconds until it was settled, or ended otherwise.
    pub end_ms: i64,
    /// When a person takes over from the AI, ms.
    pub handoff_ms: Option<i64>,
    /// Customer sentiment.
    pub sentiment: f64,
    /// Milliseconds until the customer comes back; `None` for one who does not.
    pub back_ms: Option<i64>,
}

/// One call with what would have happened in both arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SimulatedCall {
    /// Index into `ISSUES`, `QUEUES`, `LANGUAGES`.
    pub codes: [usize; 3],
    /// The customer.
    pub customer: u64,
    /// The agent who takes it when a person does.
    pub agent: u64,
    /// When it begins, ms since 1970.
    pub started_at: i64,
    /// Whether it went to the AI.
    pub ai: bool,
    /// With people first, with AI first.
    pub potential: [Potential; 2],
    /// The outcome as the scorer sees it.
    pub scored: Ended,
    /// Whether the customer asks for a person.
    pub asks: bool,
    /// Where there is no sentiment to score.
    pub silent: bool,
    /// Average probability of the recognised words.
    pub asr_confidence: f64,
    /// When the recording breaks off, ms, before the call ends.
    pub breaks_ms: Option<i64>,
}

impl SimulatedCall {
    /// What happened.
    pub fn happened(&self) -> Potential {
        self.potential[usize::from(self.ai)]
    }
}

/// Call `number` of `calls`.
///
/// Where customers come back, calls come in pairs: the second is that of the first's customer, if he comes back from what
/// happened in the first, else that of somebody else.
pub fn draw(scenario: &Scenario, seed: u64, calls: u64, number: u64) -> SimulatedCall {
    if scenario.returns == (0.0, 0.0) {
        let customer = |draws: &mut Draws| draws.below((calls / CALLS_PER_CUSTOMER).max(1));
        return drawn(scenario, seed, number, customer, None);
    }
    let first = number - number % 2;
    let earlier = (number > first).then(|| draw(scenario, seed, calls, first));
    let back = earlier.filter(|call| call.happened().back_ms.is_some());
    let customer = if back.is_some() { first } else { number };
    let mut call = drawn(scenario, seed, number, |_| customer, back.map(|call| call.codes));
    if let Some((earlier, wait)) = back.and_then(|call| Some((call, call.happened().back_ms?))) {
        call.started_at = earlier.started_at + wait;
    }
    if number > first {
        call.potential.iter_mut().for_each(|p| p.back_ms = None);
    }
    call
}

/// A call of a customer, about `codes` or about anything.
fn drawn(
    scenario: &Scenario,
    seed: u64,
    number: u64,
    customer: impl Fn(&mut Draws) -> u64,
    codes: Option<[usize; 3]>,
) -> SimulatedCall {
    let mut draws = Draws::new(seed, number);
    let customer = customer(&mut draws);
    let even = |key: u64, of: u64| (Draws::new(seed ^ key, of).uniform() - 0.5) * 12.0_f64.sqrt();
    let customer_mood = even(0xC0FF_EE00, customer);
    let issue = draws.pick(&ISSUE_SHARES);
    let queue = if draws.chance(0.8) { issue / 2 } else { draws.below(3) as usize };
    let codes = codes.unwrap_or([issue, queue, draws.pick(&LANGUAGE_SHARES)]);
    let issue = codes[0];
    let ai = draws.chance(scenario.propensity(codes));
    let agent = draws.below(AGENTS);
    let skill = scenario.agent_spread * even(SKILLS, agent);
    let (luck, pace, mood) = (draws.uniform(), draws.normal(), draws.normal());
    let (leaves, hands_over) = (draws.uniform(), draws.uniform());
    let mut apart = Draws::new(seed ^ APART, number);
    let (back, wait, break_after) = (apart.uniform(), apart.uniform(), -apart.uniform().ln());
    let arm = |ai: bool| {
        let more = 1.0 + scenario.informative * (2.0 * luck - 1.0);
        let escalates = ai && hands_over < escalation(issue) * more;
        let person = !ai || (escalates && scenario.informative > 0.0);
        let skill = if person { skill } else { 0.0 };
        let chance = scenario.resolved(issue, !person) + skill;
        let resolved = luck < chance + MOOD_RESOLVED * customer_mood;
        let minutes = (scenario.log_minutes(issue, ai, escalates) + PACE_SPREAD * pace).exp();
        let end_ms = (minutes * 60_000.0).clamp(DURATION_MS.0, DURATION_MS.1) as i64;
        let ended = match (resolved, escalates) {
            (true, false) => Ended::Resolved,
            (true, true) => Ended::EscalatedResolved,
            _ if leaves < 0.35 => Ended::Abandoned,
            _ if leaves < 0.55 => Ended::Transferred,
            _ if leaves < 0.9 => Ended::Unresolved,
            _ => Ended::Unknown,
        };
        let sentiment = scenario.sentiment(issue, ai)
            + SKILL_SENTIMENT * skill
            + scenario.customer_spread * customer_mood
            + MOOD_SPREAD * mood;
        let comes_back = back < if resolved { scenario.returns.0 } else { scenario.returns.1 };
        Potential {
            ended,
            end_ms,
            handoff_ms: escalates.then_some(end_ms * 2 / 5),
            sentiment: sentiment.clamp(SENTIMENT.0, SENTIMENT.1),
            back_ms: comes_back.then_some((BACK_MS.0 + wait * (BACK_MS.1 - BACK_MS.0)) as i64),
        }
    };
    let potential = [arm(false), arm(true)];
    let seconds = draws.below(DAYS * 86_400) as i64;
    let error = if ai { scenario.scorer_error.0 } else { scenario.scorer_error.1 };
    let happened = potential[usize::from(ai)];
    let scored = match (draws.chance(error), happened.ended) {
        (true, ended) if ended.is_resolved() => Ended::Unresolved,
        (true, _) => Ended::Resolved,
        (false, ended) => ended,
    };
    let breaks = if ai { scenario.breaks.0 } else { scenario.breaks.1 };
    let break_ms = (break_after / breaks * 60_000.0).max(DURATION_MS.0);
    SimulatedCall {
        codes,
        customer,
        agent,
        started_at: FIRST_DAY_MS + seconds * 1000,
        ai,
        potential,
        scored,
        asks: draws.chance(if ai { 0.12 + 0.2 * hardness(issue) } else { 0.03 }),
        silent: draws.chance(0.06),
        asr_confidence: (if ai { 0.9 } else { 0.84 } + 0.08 * draws.normal()).clamp(0.2, 1.0),
        breaks_ms: (break_ms < happened.end_ms as f64).then_some(break_ms as i64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_helped_comes_back_and_is_the_same_customer_later_with_the_same_issue() {
        let scenario = Scenario::named("hard").unwrap();
        let (mut back, mut failed) = (0, 0);
        for number in (0..4000).step_by(2) {
            let [first, second] = [number, number + 1].map(|n| draw(&scenario, 5, 4000, n));
            let unsettled = !first.happened().ended.is_resolved();
            failed += u32::from(unsettled);
            if let Some(wait) = first.happened().back_ms {
                back += u32::from(unsettled);
                assert_eq!((second.customer, second.codes), (first.customer, first.codes));
                assert_eq!(second.started_at, first.started_at + wait);
            } else {
                assert_ne!(second.customer, first.customer);
            }
            assert!(second.potential.iter().all(|p| p.back_ms.is_none()));
        }
        assert!((f64::from(back) / f64::from(failed) - 0.55).abs() < 0.06, "{back} of {failed}");
    }

    #[test]
    fn given_the_issue_the_ai_hands_over_what_it_would_not_settle() {
        let scenario = Scenario::named("hard").unwrap();
        let (mut handed, mut kept) = ([0.0; 2], [0.0; 2]);
        for call in (0..40_000).map(|n| draw(&scenario, 5, 40_000, n)).filter(|call| call.codes[0] == 3) {
            let place = if call.potential[1].handoff_ms.is_some() { &mut handed } else { &mut kept };
            place[0] += f64::from(call.potential[0].ended.is_resolved());
            place[1] += 1.0;
        }
        assert!(handed[0] / handed[1] < kept[0] / kept[1] - 0.1, "{handed:?} {kept:?}");
    }

    #[test]
    fn a_scenario_without_a_limit_says_so() {
        let most =
            |name: &str| serde_json::to_value(Scenario::named(name).unwrap()).unwrap()["most_calls"].clone();
        assert_eq!((most("null"), most("three-calls")), (serde_json::Value::Null, 3.into()));
    }

    #[test]
    fn a_call_is_the_same_whenever_it_is_drawn() {
        let scenario = Scenario::ALL[0];
        assert_eq!(draw(&scenario, 9, 100, 7), draw(&scenario, 9, 100, 7));
        assert_ne!(draw(&scenario, 9, 100, 7), draw(&scenario, 8, 100, 7));
    }
}
