//! An utterance on its way through the recogniser, which the caller runs wherever it likes.

use callmark_acoustics::loudness_dbfs;
use callmark_analytics::HeardUtterance;
use callmark_asr::{AsrError, ChannelTranscript, TranscribeOptions, WorkerPool};
use callmark_types::{CallId, Millis, Pcm, Span};

/// One utterance to transcribe.
#[derive(Debug, Clone, PartialEq)]
pub struct TranscribeJob {
    /// The call.
    pub call_id: CallId,
    /// Channel, from 0.
    pub channel: u16,
    /// Number of the utterance in the call, from 0.
    pub number: u64,
    /// When it was said, on the call's clock.
    pub span: Span,
    /// Its sound with some of what lies around it.
    pub pcm: Pcm,
    /// Where in `pcm` somebody speaks.
    pub speech: Vec<Span>,
    /// Language told or detected before, as the recogniser knows it; `None` has it detected.
    pub language: Option<String>,
    pub(crate) offset: Millis,
}

/// What became of a [`TranscribeJob`]: to be handed to [`Sessions::on_transcript`](crate::Sessions::on_transcript).
#[derive(Debug, Clone, PartialEq)]
pub struct Transcribed {
    pub(crate) call_id: CallId,
    pub(crate) channel: u16,
    pub(crate) number: u64,
    pub(crate) utterances: Vec<HeardUtterance>,
    pub(crate) language: Option<(String, Option<f64>)>,
    pub(crate) is_failed: bool,
}

impl Transcribed {
    /// The call.
    pub fn call_id(&self) -> &CallId {
        &self.call_id
    }
}

impl TranscribeJob {
    /// Has it recognised by `workers`; blocks until that is done.
    ///
    /// An error of the recogniser is part of the result: the call is then finished with what was understood, and says
    /// so by its flags.
    pub fn run(self, workers: &WorkerPool, options: &TranscribeOptions) -> Transcribed {
        let language = self.language.clone().or_else(|| options.language.clone());
        let options = TranscribeOptions { language, ..options.clone() };
        let transcript = workers.transcribe_channel(self.channel, &self.pcm, &self.speech, &options);
        self.complete(transcript)
    }

    /// Pairs the job with what the recogniser found in `pcm`.
    pub fn complete(self, transcript: Result<ChannelTranscript, AsrError>) -> Transcribed {
        let is_failed = transcript.is_err();
        let transcript = transcript.unwrap_or_default();
        let on_call_clock = |span: Span| Span::new(span.start + self.offset, span.end + self.offset);
        let language = transcript.language.map(|found| (found, transcript.language_probability));
        let utterances = transcript.utterances.into_iter().map(|mut utterance| {
            let loudness_dbfs = loudness_dbfs(&self.pcm, utterance.span);
            utterance.channel = self.channel;
            utterance.span = on_call_clock(utterance.span);
            for word in &mut utterance.words {
                word.span = on_call_clock(word.span);
            }
            HeardUtterance { utterance, loudness_dbfs }
        });
        Transcribed {
            utterances: utterances.collect(),
            call_id: self.call_id,
            channel: self.channel,
            number: self.number,
            language,
            is_failed,
        }
    }
}
