//! How a customer feels from turn to turn: what a turn says, on the ground of what came before.
//!
//! People do not turn neutral when they spell their file number: the mood of the turn before carries over, fades, is
//! moved by what the agent does for the matter, and is deepened by asking the same thing again.

use super::evidence::Evidence;
use super::lexicon::Lexicons;

/// What is left of a bad mood after a turn that shows nothing.
const BAD_MOOD_KEPT: f64 = 0.8;
/// What is left of a good mood after a turn that shows nothing.
const GOOD_MOOD_KEPT: f64 = 0.5;
/// Fresh trouble on a bad mood: the worse of both counts in full, the other by this part.
const MOOD_UNDER_TROUBLE: f64 = 0.35;
/// Part of a bad mood that stays under praise.
const MOOD_UNDER_PRAISE: f64 = 0.1;
/// Part of a bad mood that stays under mere politeness.
const MOOD_UNDER_POLITENESS: f64 = 0.55;
/// What an agent's good or bad news is worth.
const NEWS: f64 = 0.55;
/// How far good news alone lifts a mood.
const LIFTED: f64 = 0.5;
/// What is left of bad news to a customer in a bad mood.
const BAD_NEWS: f64 = 0.5;
/// The same to a customer who was not in a bad mood: questions come before troubles.
const BAD_NEWS_AT_FIRST: f64 = 0.2;
/// Most that news counts, either way.
const MAX_NEWS: f64 = 2.5;
/// Mood from which praise that opens a turn is mockery, unless there was good news.
const MOOD_FOR_MOCKERY: f64 = -1.2;
/// Score of such mockery.
const MOCKERY: f64 = -1.0;
/// Scores up to this are politeness.
const POLITE: f64 = 1.1;

/// The mood of one customer while a call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Mood {
    level: f64,
    news: f64,
}

impl Mood {
    /// Takes in what the agent side says.
    pub(super) fn hear(&mut self, lexicons: &Lexicons, text: &str) {
        self.news = (self.news + news(lexicons, text)).clamp(-MAX_NEWS, MAX_NEWS);
    }

    /// Takes in what the customer says, and gives the turn's score.
    pub(super) fn say(&mut self, evidence: &Evidence) -> f64 {
        let news = std::mem::take(&mut self.news) * NEWS;
        let ground = match (news > 0.0, self.level < 0.0) {
            (true, _) => (self.level + news).min(self.level.max(LIFTED)),
            (false, true) => self.level + BAD_NEWS * news,
            (false, false) => self.level + BAD_NEWS_AT_FIRST * news,
        };
        let mocks = evidence.opens_with_praise
            && !evidence.is_grateful
            && self.level <= MOOD_FOR_MOCKERY
            && news <= 0.0;
        let own = if mocks && evidence.score > 0.0 { MOCKERY } else { evidence.score };
        let bad_ground = ground.min(0.0);
        let score = if own < 0.0 {
            own.min(bad_ground) + MOOD_UNDER_TROUBLE * own.max(bad_ground)
        } else if own > POLITE {
            own + MOOD_UNDER_PRAISE * bad_ground
        } else if own > 0.0 {
            own + MOOD_UNDER_POLITENESS * bad_ground
        } else if ground < 0.0 {
            BAD_MOOD_KEPT * ground
        } else {
            GOOD_MOOD_KEPT * ground
        };
        self.level = score.clamp(-5.0, 5.0);
        self.level
    }
}

/// What an agent's words mean for the matter, below 0 where it does not move.
fn news(lexicons: &Lexicons, text: &str) -> f64 {
    let text = lexicons.cut(text);
    let (mut good, mut bad): (f64, f64) = (0.0, 0.0);
    let mut at = 0;
    while at < text.tokens.len() {
        match lexicons.agent_news.longest(&text.tokens, at) {
            Some(found) => {
                good = good.max(found.score);
                bad = bad.min(found.score);
                at += found.words;
            }
            None => at += 1,
        }
    }
    good + bad
}

/// What an agent's answer tells about the customer's turn before it: 0, or below where it is sympathy with a trouble.
pub(super) fn sympathy(lexicons: &Lexicons, text: &str) -> f64 {
    let text = lexicons.cut(text);
    let found = (0..text.tokens.len()).filter_map(|at| lexicons.agent_sympathy.longest(&text.tokens, at));
    found.map(|found| found.score).fold(0.0, f64::min)
}

/// How an agent sounds: the warmest phrase less the coldest; 0 where nothing was found.
pub(super) fn agent_tone(lexicons: &Lexicons, text: &str) -> f64 {
    let text = lexicons.cut(text);
    let (mut warm, mut cold): (f64, f64) = (0.0, 0.0);
    let mut at = 0;
    while at < text.tokens.len() {
        match lexicons.agent_tone.longest(&text.tokens, at) {
            Some(found) => {
                warm = warm.max(found.score);
                cold = cold.min(found.score);
                at += found.words;
            }
            None => at += 1,
        }
    }
    if cold < 0.0 { cold + 0.25 * warm } else { warm }
}
