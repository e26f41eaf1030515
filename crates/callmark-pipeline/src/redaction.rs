//! Takes personal data out of a scored call before anything of it is stored: out of texts, words and what events quote,
//! and, in a copy, out of the sound.
//!
//! It comes behind scoring: a call is judged by what was said, so that redaction changes no score. Until then nothing of
//! the call may be stored, which is why a run that redacts keeps no checkpoints: what it had not committed when it was
//! killed it hears again. What is found is `callmark-analytics`' business, what is taken out is the policy's.

use crate::assemble::Heard;
use crate::hear::StageError;
use callmark_analytics::{
    PersonalData, PersonalKind, SpokenLine, find_personal, find_personal_in_turns, personal_span,
};
use callmark_audio::{silent_frames, write_wav};
use callmark_types::{CallId, Event, Pcm, ScoredCall, Span, Word};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Longest name of an audio copy, in bytes, without its extension.
const MAX_NAME_BYTES: usize = 200;

/// What is taken out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    /// Kinds of personal data that are taken out of texts.
    pub kinds: BTreeSet<PersonalKind>,
    /// Folder of copies of the recordings in which these are silenced.
    pub audio: Option<PathBuf>,
}

impl Redaction {
    /// Takes the kinds of these names; `all` stands for all.
    pub fn of_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<PersonalKind>, String> {
        let mut kinds = BTreeSet::new();
        for name in names {
            match PersonalKind::parse(name.trim()) {
                Some(kind) => _ = kinds.insert(kind),
                None if name.trim() == "all" => kinds.extend(PersonalKind::ALL),
                None => {
                    let known = PersonalKind::ALL.map(PersonalKind::as_str).join(", ");
                    return Err(format!("`{name}` is no kind of personal data: use all, or of {known}"));
                }
            }
        }
        Ok(kinds)
    }

    /// Whether texts lose anything.
    pub(crate) fn is_asked_for(&self) -> bool {
        !self.kinds.is_empty()
    }

    /// Names the policy, for checkpoints.
    pub(crate) fn name(&self) -> String {
        self.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join("+")
    }

    /// When personal data was said in utterances, for the silenced copy.
    pub(crate) fn spans(&self, heard: &[Heard]) -> Vec<Span> {
        if self.kinds.is_empty() || self.audio.is_none() {
            return Vec::new();
        }
        let mut order: Vec<usize> = (0..heard.len()).collect();
        order.sort_by_key(|at| (heard[*at].utterance.span, heard[*at].utterance.channel));
        let channels: BTreeSet<u16> = heard.iter().map(|h| h.utterance.channel).collect();
        let lines: Vec<SpokenLine<'_>> = (order.iter().enumerate())
            .map(|(position, at)| {
                let utterance = &heard[*at].utterance;
                // On one channel both sides speak: whoever speaks next may answer.
                let side = if channels.len() > 1 { utterance.channel } else { position as u16 % 2 };
                SpokenLine { side, words: utterance.text.split_whitespace().collect() }
            })
            .collect();
        let wanted = find_personal(&lines).into_iter().filter(|data| self.kinds.contains(&data.kind));
        wanted
            .map(|data| {
                let utterance = &heard[order[data.line]].utterance;
                // Some engines give no word times: then all of the utterance is silenced.
                personal_span(utterance, &data).unwrap_or(utterance.span)
            })
            .collect()
    }

    /// Takes personal data out of a scored call: out of its turns, and out of what events quote of them.
    pub(crate) fn scored(&self, call: &mut ScoredCall) {
        if self.kinds.is_empty() {
            return;
        }
        let mut found = find_personal_in_turns(&call.turns);
        found.retain(|data| self.kinds.contains(&data.kind));
        for of_turn in found.chunk_by(|a, b| a.line == b.line) {
            let turn = &mut call.turns[of_turn[0].line];
            let written: Vec<String> = if turn.words.is_empty() {
                turn.text.split_whitespace().map(str::to_owned).collect()
            } else {
                turn.words.iter().map(|word| word.word.clone()).collect()
            };
            let quoting = |event: &&mut Event| event.turn_index == Some(turn.index);
            for text in call.events.iter_mut().filter(quoting).filter_map(|e| e.evidence_text.as_mut()) {
                *text = masked_quote(text, &written, of_turn);
            }
            turn.text = masked(&written, of_turn);
            if !turn.words.is_empty() {
                turn.words = masked_words(&turn.words, of_turn);
            }
        }
    }

    /// Writes a copy of a recording, 16 bits at 16 kHz, that is silent on all channels in `spans`; nothing where no copy
    /// is asked for. A reader sees the whole copy or none.
    pub(crate) fn write_audio(
        &self,
        call_id: &CallId,
        channels: &[Pcm],
        spans: &[Span],
    ) -> Result<(), StageError> {
        let Some(folder) = &self.audio else { return Ok(()) };
        let path = folder.join(format!("{}.wav", file_name(call_id)));
        write_copy(&path, channels, spans).map_err(|e| {
            StageError::new("redact", format!("cannot write the silenced copy {}: {e}", path.display()))
        })
    }
}

fn write_copy(path: &Path, channels: &[Pcm], spans: &[Span]) -> Result<(), hound::Error> {
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new("")))?;
    let part = path.with_extension("wav.part");
    write_wav(&part, channels, &silent_frames(spans.iter().copied()))?;
    Ok(std::fs::rename(part, path)?)
}

/// A call's id as the name of a file: two ids never share one.
pub(crate) fn file_name(call_id: &CallId) -> String {
    use std::fmt::Write as _;
    let mut name = String::new();
    for byte in call_id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > MAX_NAME_BYTES {
        use sha2::Digest as _;
        return crate::call::hex(&sha2::Sha256::digest(call_id.as_str().as_bytes()));
    }
    name
}

/// `words` with one that `make` makes of each piece of `found`, which are of this line and in order.
fn replaced<T: Clone>(words: &[T], found: &[PersonalData], make: impl Fn(&[T], PersonalKind) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(words.len());
    let mut next = 0;
    for data in found {
        out.extend_from_slice(&words[next..data.first]);
        out.push(make(&words[data.first..=data.last], data.kind));
        next = data.last + 1;
    }
    out.extend_from_slice(&words[next..]);
    out
}

/// What stands for words of which this is the last; punctuation behind it stays.
fn placeholder(last_word: &str, kind: PersonalKind) -> String {
    let behind = last_word.trim_end_matches([',', '.', '?', '!', ';', ':']).len();
    format!("{}{}", kind.placeholder(), &last_word[behind..])
}

/// The text of a line in which `found` is taken out.
fn masked(words: &[String], found: &[PersonalData]) -> String {
    let make = |taken: &[String], kind| placeholder(&taken[taken.len() - 1], kind);
    replaced(words, found, make).join(" ")
}

/// What an event quotes of a line, without `found`. A quote that could stand at several places loses what any of them
/// loses.
fn masked_quote(quote: &str, words: &[String], found: &[PersonalData]) -> String {
    let mut quoted: Vec<String> = quote.split_whitespace().map(str::to_owned).collect();
    let length = quoted.len();
    let starts =
        (0..(words.len() + 1).saturating_sub(length)).filter(|at| words[*at..*at + length] == quoted);
    let mut hidden: Vec<Option<PersonalKind>> = vec![None; length];
    let mut is_found = false;
    for start in starts {
        is_found = true;
        for data in found {
            for at in data.first.max(start)..(data.last + 1).min(start + length) {
                hidden[at - start] = Some(data.kind);
            }
        }
    }
    if !is_found {
        // Quoted in another form: whatever word of it was taken out anywhere goes.
        let bare = |word: &str| word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        let taken = |word: &String| {
            let is_it = |w: &String| !bare(word).is_empty() && bare(w) == bare(word);
            found.iter().find(|d| words[d.first..=d.last].iter().any(is_it)).map(|d| d.kind)
        };
        hidden = quoted.iter().map(taken).collect();
    }
    for at in (0..length).rev() {
        let Some(kind) = hidden[at] else { continue };
        let goes_on = at + 1 < length && hidden[at + 1] == Some(kind);
        if goes_on {
            quoted.remove(at);
        } else {
            quoted[at] = placeholder(&quoted[at], kind);
        }
    }
    quoted.join(" ")
}

/// The same of words with times: a placeholder lasts as long as what it stands for, and is as sure as its least sure word.
fn masked_words(words: &[Word], found: &[PersonalData]) -> Vec<Word> {
    replaced(words, found, |taken, kind| Word {
        word: placeholder(&taken[taken.len() - 1].word, kind),
        span: Span::new(taken[0].span.start, taken[taken.len() - 1].span.end),
        probability: taken.iter().map(|word| word.probability).fold(1.0, f32::min),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::compose_written;
    use crate::transcripts::parse_conversation;
    use callmark_analytics::Ruleset;
    use callmark_audio::SILENCE_MARGIN;
    use callmark_types::{Lineage, SourcePosition, Utterance};

    fn all() -> Redaction {
        Redaction { kinds: PersonalKind::ALL.into(), audio: None }
    }

    fn heard(channel: u16, start_ms: i64, text: &str) -> Heard {
        let word = |(at, word): (usize, &str)| Word {
            word: word.to_owned(),
            span: Span::of_ms(start_ms + 100 * at as i64, start_ms + 100 * at as i64 + 90),
            probability: 0.9,
        };
        let words: Vec<Word> = text.split(' ').enumerate().map(word).collect();
        let utterance = Utterance {
            channel,
            span: Span::of_ms(start_ms, start_ms + 100 * words.len() as i64),
            text: text.to_owned(),
            words,
            asr_confidence: 0.9,
            no_speech_probability: 0.0,
            dropped_reason: None,
        };
        Heard { utterance, loudness_dbfs: None }
    }

    #[test]
    fn silence_lasts_to_the_next_word_or_the_end() {
        let policy = Redaction { audio: Some(PathBuf::new()), ..all() };
        let question = heard(1, 0, "What is the order number?");
        let call = [heard(0, 2_000, "Sure, four nine one two, please."), question.clone()];
        assert_eq!(policy.spans(&call), [Span::of_ms(2_100, 2_500)]);
        let mut last = heard(0, 2_000, "Sure, four nine one two.");
        last.utterance.span = Span::of_ms(2_000, 3_100);
        assert_eq!(policy.spans(&[last, question]), [Span::of_ms(2_100, 3_100)]);
        assert_eq!(all().spans(&call), [], "no copy is asked for");
    }

    fn chat(text: &str, quote: &str) -> ScoredCall {
        let line = format!(
            r#"{{"call_id":"c","turns":[{{"speaker":"ai_agent","text":"What is the order number?"}},{{"speaker":"customer","text":"{text}"}}]}}"#
        );
        let mut call = compose_written(
            &Ruleset::built_in(),
            parse_conversation(line.as_bytes()).unwrap(),
            SourcePosition::default(),
            Lineage::default(),
        );
        call.events[0].turn_index = Some(1);
        call.events[0].evidence_text = Some(quote.to_owned());
        call
    }

    #[test]
    fn turns_and_quotes_lose_what_was_said() {
        let mut call = chat("Sure, four nine one two, that is it.", "nine one two, that");
        all().scored(&mut call);
        assert_eq!(call.turns[1].text, "Sure, [account], that is it.");
        assert_eq!(call.events[0].evidence_text.as_deref(), Some("[account], that"));
        let mut other = chat("Sure, four nine one two, that is it.", "four, it is");
        all().scored(&mut other);
        assert_eq!(other.events[0].evidence_text.as_deref(), Some("[account], it is"));
    }

    #[test]
    fn only_what_the_policy_names_is_taken_out() {
        let policy = Redaction { kinds: Redaction::of_names(["email"]).unwrap(), audio: None };
        let mut call = chat("I am at lee@sample.org, card 4242 4242 4242 4242.", "x");
        policy.scored(&mut call);
        assert_eq!(call.turns[1].text, "I am at [email], card 4242 4242 4242 4242.");
        assert!(Redaction::of_names(["cards"]).unwrap_err().contains("card"));
    }

    #[test]
    fn the_copy_is_silent_where_it_was_said_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let policy = Redaction { audio: Some(folder.path().to_owned()), ..all() };
        let pcm = Pcm { samples: vec![1_000; 16_000] };
        let id = CallId::new("../up and away").unwrap();
        policy.write_audio(&id, &[pcm.clone(), pcm], &[Span::of_ms(400, 600)]).unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, ["%2E.%2Fup%20and%20away.wav"]);
        let mut reader = hound::WavReader::open(folder.path().join(&names[0])).unwrap();
        let samples: Vec<i16> = reader.samples::<i16>().map(Result::unwrap).collect();
        let silent = (400 - SILENCE_MARGIN.0) as usize * 16..(600 + SILENCE_MARGIN.0) as usize * 16;
        for (frame, pair) in samples.chunks(2).enumerate() {
            let expected = if silent.contains(&frame) { 0 } else { 1_000 };
            assert_eq!(pair, [expected; 2], "{frame}");
        }
    }
}
