//! Calls with any values the types allow, the extreme ones included.

use callmark_types::{
    AudioColumns, CallId, CallRecord, ConversationMetrics, DroppedReason, Event, EventKind, Handler,
    HandlerSegment, HumanAccess, Lineage, Millis, Outcome, Resolution, ScoredCall, SentimentRollup,
    SentimentScores, SideMetrics, SourcePosition, Span, Speaker, Timestamp, Trust, Turn, Word,
};
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>(), Just("\u{0}\u{10FFFF}\n\"".to_owned())]
}

fn millis() -> impl Strategy<Value = Millis> {
    prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX)].prop_map(Millis)
}

fn real() -> impl Strategy<Value = f64> {
    prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(f64::MIN_POSITIVE), Just(-0.0)]
        .prop_filter("NaN equals nothing", |value| !value.is_nan())
}

fn span() -> impl Strategy<Value = Span> {
    (millis(), millis()).prop_map(|(start, end)| Span { start, end })
}

fn call_id() -> impl Strategy<Value = CallId> {
    "\\PC{1,40}".prop_filter_map("no call id", |text| CallId::new(text).ok())
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    any::<i64>().prop_filter_map("no time", |millis| Timestamp::from_epoch_millis(millis >> 14))
}

fn index() -> impl Strategy<Value = u32> {
    0..=i32::MAX as u32
}

fn handler() -> impl Strategy<Value = Handler> {
    select(vec![Handler::Ai, Handler::Human, Handler::Ivr, Handler::Hold, Handler::Queue])
}

fn speaker() -> impl Strategy<Value = Speaker> {
    select(vec![Speaker::Customer, Speaker::AiAgent, Speaker::HumanAgent, Speaker::Ivr, Speaker::Unknown])
}

fn dropped_reason() -> impl Strategy<Value = DroppedReason> {
    select(vec![
        DroppedReason::NoSpeech,
        DroppedReason::LowLogProbability,
        DroppedReason::Repetition,
        DroppedReason::PhantomPhrase,
        DroppedReason::ImplausibleRate,
    ])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    select(vec![
        Outcome::Resolved,
        Outcome::EscalatedResolved,
        Outcome::Transferred,
        Outcome::Unresolved,
        Outcome::Abandoned,
        Outcome::Unknown,
    ])
}

prop_compose! {
    fn word()(word in text(), span in span(), probability in 0.0..=1.0f32) -> Word {
        Word { word, span, probability }
    }
}

prop_compose! {
    fn turn()(
        index in index(), channel in of(any::<u16>()), speaker in speaker(), span in of(span()), text in text(),
        words in vec(word(), 0..4), asr_confidence in of(real()), no_speech_probability in of(real()),
        loudness_dbfs in of(real()), dropped_reason in of(dropped_reason()),
    ) -> Turn {
        Turn {
            index, channel, speaker, span, text, words, asr_confidence, no_speech_probability, loudness_dbfs,
            dropped_reason,
        }
    }
}

prop_compose! {
    fn event()(
        kind in select(EventKind::ALL), span in of(span()), turn_index in of(index()), speaker in of(speaker()),
        detail in of(text()), rule_id in of(text()), rule_version in of(text()), confidence in of(real()),
        evidence_text in of(text()),
    ) -> Event {
        Event { kind, span, turn_index, speaker, detail, rule_id, rule_version, confidence, evidence_text }
    }
}

prop_compose! {
    fn source()(
        uri in of(text()), sha256 in of(text()), topic in of(text()), partition in of(any::<i32>()),
        offset in of(any::<i64>()),
    ) -> SourcePosition {
        SourcePosition { uri, sha256, topic, partition, offset }
    }
}

prop_compose! {
    fn segment()(handler in handler(), span in span(), agent_id in of(text())) -> HandlerSegment {
        HandlerSegment { handler, span, agent_id }
    }
}

prop_compose! {
    fn audio()(
        codec in of(text()), sample_rate in of(any::<i32>()), channels in of(any::<i32>()),
        total_conversation_duration in of(millis()), clipped_ratio in of(real()), snr_db in of(real()),
    ) -> AudioColumns {
        AudioColumns { codec, sample_rate, channels, total_conversation_duration, clipped_ratio, snr_db }
    }
}

prop_compose! {
    fn side()(
        talk_time in of(millis()), interruptions_count in of(any::<i32>()), interruptions_time in of(millis()),
        talk_speed_wpm in of(real()), response_time_average in of(millis()), response_time_maximum in of(millis()),
    ) -> SideMetrics {
        SideMetrics {
            talk_time, interruptions_count, interruptions_time, talk_speed_wpm, response_time_average,
            response_time_maximum,
        }
    }
}

prop_compose! {
    fn conversation()(
        agent in side(), customer in side(), talk_time_total in of(millis()), non_talk_time_total in of(millis()),
        overlap_time in of(millis()), hold_time in of(millis()), queue_time in of(millis()),
        greeting_time_agent in of(millis()),
    ) -> ConversationMetrics {
        ConversationMetrics {
            agent, customer, talk_time_total, non_talk_time_total, overlap_time, hold_time, queue_time,
            greeting_time_agent,
        }
    }
}

prop_compose! {
    fn scores()(
        overall in of(real()), start in of(real()), end in of(real()), quarters in prop::array::uniform4(of(real())),
        slope_per_minute in of(real()),
    ) -> SentimentScores {
        SentimentScores { overall, start, end, quarters, slope_per_minute }
    }
}

prop_compose! {
    fn sentiment()(
        customer in scores(), agent in scores(), customer_with_ai in of(real()), customer_with_human in of(real()),
    ) -> SentimentRollup {
        SentimentRollup { customer, agent, customer_with_ai, customer_with_human }
    }
}

prop_compose! {
    fn human_access()(
        human_request_count in any::<i32>(), first_human_request in of(millis()), deflection_count in any::<i32>(),
        human_reached in of(millis()), time_to_human in of(millis()), human_request_honoured in of(any::<bool>()),
    ) -> HumanAccess {
        HumanAccess {
            human_request_count, first_human_request, deflection_count, human_reached, time_to_human,
            human_request_honoured,
        }
    }
}

prop_compose! {
    fn resolution()(
        outcome in outcome(), resolved_at in of(millis()), resolution_time in of(millis()), confidence in real(),
        evidence_turn in of(index()),
    ) -> Resolution {
        Resolution { outcome, resolved_at, resolution_time, confidence, evidence_turn }
    }
}

prop_compose! {
    fn trust()(
        asr_confidence in of(real()), hallucination_risk in of(real()), non_speech_ratio in of(real()),
        flags in vec(text(), 0..3),
    ) -> Trust {
        Trust { asr_confidence, hallucination_risk, non_speech_ratio, flags }
    }
}

prop_compose! {
    fn lineage()(
        pipeline_version in text(), asr_model in of(text()), asr_model_sha256 in of(text()), rules_sha256 in text(),
        text_model_sha256 in of(text()),
    ) -> Lineage {
        Lineage { pipeline_version, asr_model, asr_model_sha256, rules_sha256, text_model_sha256 }
    }
}

prop_compose! {
    fn record()(
        (call_id, started_at, source) in (call_id(), of(timestamp()), source()),
        (first_handler, final_handler) in (of(handler()), of(handler())),
        handler_segments in vec(segment(), 0..3), agent_ids in vec(text(), 0..3),
        (customer_key, queue, issue_type, language) in (of(text()), of(text()), of(text()), of(text())),
        (audio, conversation, sentiment) in (audio(), conversation(), sentiment()),
        (human_access, resolution, trust, lineage) in (human_access(), resolution(), trust(), lineage()),
    ) -> CallRecord {
        CallRecord {
            call_id, started_at, source, first_handler, final_handler, handler_segments, agent_ids, customer_key,
            queue, issue_type, language, audio, conversation, sentiment, human_access, resolution, trust, lineage,
        }
    }
}

prop_compose! {
    /// Any call.
    pub(crate) fn scored_call()(
        record in record(), turns in vec((turn(), of(real())), 0..4), events in vec(event(), 0..4),
    ) -> ScoredCall {
        let (turns, turn_sentiment) = turns.into_iter().unzip();
        ScoredCall { record, turns, turn_sentiment, events }
    }
}
