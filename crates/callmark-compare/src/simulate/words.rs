//! What might have been said on a simulated call: some ten turns that fit what it is about and how it ended.
//!
//! For loading what reads turns (search, review, exports) with something like real text. No score is made of it: the numbers
//! of a simulated call are drawn, and these words only go with them.

use super::model::SimulatedCall;
use crate::stats::random::Draws;
use callmark_types::{Millis, Span, Speaker, Turn};

/// Stream of random numbers that words are drawn from.
const STREAM: u64 = 0x77;

/// What customers say first, by issue in the order of `ISSUES`.
const OPENINGS: [[&str; 4]; 6] = [
    [
        "hi I would like to know how much is left on my account",
        "could you tell me my current balance please",
        "my app does not show the balance since this morning",
        "I need to check whether my last payment of {n} has arrived",
    ],
    [
        "when are you open on Saturday",
        "is the branch on {street} open over the holidays",
        "until what time can I come by today",
        "your website says you close at noon is that right",
    ],
    [
        "my order {n} has not been delivered and it is a week late",
        "the parcel was supposed to arrive on Tuesday and nobody came",
        "tracking says delivered but there is nothing on {street}",
        "where is my {thing} I have been waiting for {d} days",
    ],
    [
        "my bill has a charge of {n} that I do not understand",
        "you have billed me twice for the {thing}",
        "the invoice for last month is wrong again",
        "I was promised a refund and the bill is even higher",
    ],
    [
        "I want to cancel my contract",
        "I am moving to another provider please end my subscription",
        "I have sent the cancellation {d} days ago and got no answer",
        "your retention offer does not help I still want to leave",
    ],
    [
        "there is a payment on my card that I never made",
        "somebody has used my account to buy a {thing}",
        "I got a strange message asking for my password",
        "please block my card {n} right now I think it was stolen",
    ],
];
const AGENT: [&str; 8] = [
    "thank you for calling how can I help you today",
    "let me look that up for you one moment please",
    "can you confirm the reference number {n} for me",
    "I can see the case in front of me now",
    "I am sorry to hear that and I understand that this is annoying",
    "our system shows that it was updated {d} days ago",
    "I have made a note on your account about the {thing}",
    "is there anything else that I can do for you",
];
const CUSTOMER: [&str; 8] = [
    "yes that is right",
    "no that is not what I asked",
    "the number is {n} I think",
    "I already explained this to your colleague last week",
    "okay and how long will that take",
    "I live on {street} if that matters",
    "it is about the {thing} that I bought in the spring",
    "that does not sound right to me",
];
const ASKS: [&str; 3] = [
    "can I please speak to a real person",
    "I would rather talk to a human agent",
    "just get me a representative",
];
const SETTLED: [&str; 3] = [
    "great that solves it thank you very much",
    "perfect that is all I needed",
    "okay it works now thanks for your help",
];
const OPEN: [&str; 3] = [
    "this still does not help me at all",
    "I will have to call again then",
    "forget it this is going nowhere",
];
const THINGS: [&str; 16] = [
    "router",
    "washing machine",
    "headset",
    "sofa",
    "coffee maker",
    "tablet",
    "bicycle",
    "heater",
    "lamp",
    "camera",
    "printer",
    "mattress",
    "keyboard",
    "blender",
    "suitcase",
    "monitor",
];
const STREETS: [&str; 12] = [
    "Elm Street",
    "Harbour Road",
    "Mill Lane",
    "Station Road",
    "Orchard Way",
    "Church Street",
    "Victoria Avenue",
    "Castle Hill",
    "Meadow Drive",
    "King Street",
    "Rosewood Close",
    "Quarry Bank",
];

/// Turns and their sentiment, in order of time.
pub(super) fn turns(call: &SimulatedCall, number: u64, end: Millis) -> Vec<(Turn, Option<f64>)> {
    let mut draws = Words(Draws::new(number, STREAM));
    let agent = if call.ai { Speaker::AiAgent } else { Speaker::HumanAgent };
    let mut lines: Vec<(Speaker, &str)> = vec![(agent, AGENT[0])];
    lines.push((Speaker::Customer, draws.one(&OPENINGS[call.codes[0]])));
    if call.asks {
        lines.push((Speaker::Customer, draws.one(&ASKS)));
    }
    for _ in 0..3 + draws.0.below(3) {
        lines.push((agent, draws.one(&AGENT[1..])));
        lines.push((Speaker::Customer, draws.one(&CUSTOMER)));
    }
    let last = if call.scored.is_resolved() { draws.one(&SETTLED) } else { draws.one(&OPEN) };
    lines.push((Speaker::Customer, last));
    let each = (end.0 / lines.len() as i64).max(2);
    let lines = lines.into_iter().enumerate();
    lines
        .map(|(at, (speaker, line))| {
            let start = Millis(at as i64 * each);
            let turn = Turn {
                index: at as u32,
                channel: None,
                speaker,
                span: Some(Span { start, end: Millis(start.0 + each - 1) }),
                text: draws.fill(line),
                words: Vec::new(),
                asr_confidence: Some(call.asr_confidence),
                no_speech_probability: None,
                loudness_dbfs: None,
                dropped_reason: None,
            };
            let score = (speaker == Speaker::Customer && !call.silent).then(|| call.happened().sentiment);
            (turn, score)
        })
        .collect()
}

/// Words by chance, the same for the same call.
struct Words(Draws);

impl Words {
    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.0.below(of.len() as u64) as usize]
    }

    /// The line with numbers and names in its places.
    fn fill(&mut self, line: &str) -> String {
        let line = line.replace("{n}", &(10_000 + self.0.below(90_000)).to_string());
        let line = line.replace("{d}", &(2 + self.0.below(12)).to_string());
        let line = line.replace("{thing}", self.one(&THINGS));
        line.replace("{street}", self.one(&STREETS))
    }
}
