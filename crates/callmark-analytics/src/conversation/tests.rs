use super::{hold_and_queue_spans, measure};
use crate::Conversation;
use crate::classify::customer_turn;
use callmark_types::{
    AudioFacts, AudioFormat, CallId, CallMetadata, ChannelFacts, ChannelRole, DroppedReason, Event,
    EventKind, Handler, HandlerSegment, Millis, SideMetrics, Span, Speaker, Tone, ToneKind, Turn,
};
use proptest::prelude::*;

fn turn(speaker: Speaker, channel: u16, start_ms: i64, end_ms: i64, text: &str) -> Turn {
    Turn { channel: Some(channel), speaker, span: Some(Span::of_ms(start_ms, end_ms)), ..customer_turn(text) }
}

/// A call of a minute with the customer on channel 0 and the agent on channel 1.
struct Call {
    metadata: CallMetadata,
    turns: Vec<Turn>,
    audio: AudioFacts,
}

impl Call {
    /// Speech of each channel is where its turns are.
    fn of(mut turns: Vec<Turn>) -> Self {
        turns.sort_by_key(|turn| turn.span);
        for (index, turn) in turns.iter_mut().enumerate() {
            turn.index = index as u32;
        }
        let speech = |channel: u16| {
            Span::union(
                turns.iter().filter(|turn| turn.channel == Some(channel)).filter_map(|turn| turn.span),
            )
        };
        let channels = vec![facts(0, speech(0)), facts(1, speech(1))];
        let mut metadata = CallMetadata::unknown(CallId::new("c").unwrap());
        metadata.channel_roles = vec![Some(ChannelRole::Customer), Some(ChannelRole::Agent)];
        let format = AudioFormat {
            container: "wav".into(),
            codec: "pcm_mulaw".into(),
            sample_rate_hz: 8000,
            channels: 2,
            duration: Millis(60_000),
            truncation: None,
        };
        Self { metadata, turns, audio: AudioFacts { format, channels, voices: Vec::new() } }
    }

    fn conversation(&self) -> Conversation<'_> {
        Conversation {
            metadata: &self.metadata,
            turns: &self.turns,
            audio: Some(&self.audio),
            end: Some(Millis(60_000)),
        }
    }
}

fn facts(channel: u16, speech: Vec<Span>) -> ChannelFacts {
    ChannelFacts {
        channel,
        level_dbfs: None,
        peak_dbfs: None,
        clipped_ratio: 0.0,
        snr_db: None,
        speech,
        music: Vec::new(),
        tones: Vec::new(),
    }
}

fn of_kind(events: &[Event], kind: EventKind) -> Vec<(Option<Speaker>, Span)> {
    events
        .iter()
        .filter(|event| event.kind == kind)
        .map(|event| (event.speaker, event.span.unwrap()))
        .collect()
}

use Speaker::{AiAgent, Customer, HumanAgent, Ivr};

#[test]
fn talk_pauses_pace_and_greeting_follow_their_definitions() {
    let call = Call::of(vec![
        turn(AiAgent, 1, 1_000, 4_000, "Hello, this is the assistant."),
        turn(Customer, 0, 5_000, 11_000, "My parcel is late and I want to know where it is"),
        turn(AiAgent, 1, 13_000, 19_000, "Let me see"),
        turn(Customer, 0, 19_500, 20_500, "Thanks"),
    ]);
    let (metrics, events) = measure(&call.conversation(), &[], &[]);
    assert_eq!(metrics.agent.talk_time, Some(Millis(9_000)));
    assert_eq!(metrics.customer.talk_time, Some(Millis(7_000)));
    assert_eq!(metrics.talk_time_total, Some(Millis(16_000)));
    assert_eq!(metrics.agent.response_time_average, Some(Millis(2_000)));
    assert_eq!(metrics.customer.response_time_average, Some(Millis(750)));
    assert_eq!(metrics.customer.response_time_maximum, Some(Millis(1_000)));
    assert_eq!(metrics.greeting_time_agent, Some(Millis(4_000)));
    assert_eq!(metrics.customer.talk_speed_wpm, Some(13.0 / (7.0 / 60.0)));
    assert_eq!(of_kind(&events, EventKind::Silence), [(None, Span::of_ms(20_500, 60_000))]);
    assert_eq!(metrics.non_talk_time_total, Some(Millis(39_500)));
}

#[test]
fn who_takes_the_turn_interrupts_and_who_only_listens_does_not() {
    let cases: &[(&str, Vec<Turn>, usize)] = &[
        (
            "the agent cuts the customer off",
            vec![
                turn(Customer, 0, 1_000, 5_000, "I never left my"),
                turn(HumanAgent, 1, 4_500, 8_000, "Well, the system says so."),
            ],
            1,
        ),
        (
            "a listener's signal",
            vec![
                turn(Customer, 0, 1_000, 5_000, "It was like this"),
                turn(HumanAgent, 1, 3_000, 3_600, "Uh huh."),
            ],
            0,
        ),
        (
            "a listener's signal that outlasts the other",
            vec![
                turn(Customer, 0, 1_000, 5_000, "It was like this"),
                turn(HumanAgent, 1, 4_700, 5_400, "Okay."),
            ],
            0,
        ),
        (
            "a detector's hangover",
            vec![
                turn(Customer, 0, 1_000, 5_000, "It was like this"),
                turn(HumanAgent, 1, 4_900, 8_000, "I see that here."),
            ],
            0,
        ),
        (
            "both start together",
            vec![
                turn(Customer, 0, 1_000, 2_000, "Hello, hello"),
                turn(HumanAgent, 1, 1_200, 5_000, "Good morning, billing."),
            ],
            0,
        ),
        (
            "the other speaks on",
            vec![
                turn(Customer, 0, 1_000, 9_000, "It was like this and then so"),
                turn(HumanAgent, 1, 3_000, 4_500, "But when was that exactly?"),
            ],
            0,
        ),
    ];
    for (about, turns, expected) in cases {
        let call = Call::of(turns.clone());
        let (metrics, events) = measure(&call.conversation(), &[], &[]);
        assert_eq!(of_kind(&events, EventKind::Interruption).len(), *expected, "{about}");
        assert_eq!(metrics.agent.interruptions_count, Some(*expected as i32), "{about}");
        assert_eq!(metrics.customer.interruptions_count, Some(0), "{about}");
    }
}

#[test]
fn an_interruption_names_who_what_and_for_how_long() {
    let call = Call::of(vec![
        turn(AiAgent, 1, 1_000, 6_000, "Most questions can be answered by me"),
        turn(Customer, 0, 5_400, 8_000, "Give me a person"),
    ]);
    let (metrics, events) = measure(&call.conversation(), &[], &[]);
    let event = events.iter().find(|event| event.kind == EventKind::Interruption).unwrap();
    assert_eq!(event.speaker, Some(Customer));
    assert_eq!(event.span, Some(Span::of_ms(5_400, 6_000)));
    assert_eq!((event.turn_index, event.detail.as_deref()), (Some(1), Some("interrupted_turn=0")));
    assert_eq!(metrics.customer.interruptions_time, Some(Millis(600)));
    assert_eq!(metrics.overlap_time, Some(Millis(600)));
}

#[test]
fn invented_words_echoes_and_clicks_are_no_talk() {
    let mut invented = turn(Customer, 0, 30_000, 35_000, "Thanks for watching");
    invented.dropped_reason = Some(DroppedReason::PhantomPhrase);
    let mut call = Call::of(vec![
        turn(AiAgent, 1, 1_000, 10_000, "A long explanation."),
        turn(Customer, 0, 11_000, 13_000, "I see."),
        invented,
    ]);
    call.audio.channels[0].speech.insert(0, Span::of_ms(2_000, 4_000));
    call.audio.channels[0].speech.push(Span::of_ms(50_000, 50_100));
    let (metrics, _) = measure(&call.conversation(), &[], &[]);
    assert_eq!(metrics.customer.talk_time, Some(Millis(2_000)));
}

#[test]
fn speech_of_nobody_knows_who_is_talk_and_leaves_the_sides_unmeasured() {
    let mut call = Call::of(vec![turn(Speaker::Unknown, 0, 1_000, 4_000, "the lazy dog")]);
    call.metadata.channel_roles.clear();
    let (metrics, _) = measure(&call.conversation(), &[], &[]);
    assert_eq!(metrics.talk_time_total, Some(Millis(3_000)));
    assert_eq!((metrics.agent.talk_time, metrics.customer.talk_time), (None, None));
    // Who is known is measured; of the other side nothing is said.
    let mut call = Call::of(vec![
        turn(Speaker::Unknown, 0, 1_000, 4_000, "the lazy dog"),
        turn(Speaker::HumanAgent, 1, 5_000, 7_000, "how can I help"),
    ]);
    call.metadata.channel_roles.clear();
    let (metrics, _) = measure(&call.conversation(), &[], &[]);
    assert_eq!(metrics.talk_time_total, Some(Millis(5_000)));
    assert_eq!((metrics.agent.talk_time, metrics.customer.talk_time), (Some(Millis(2_000)), None));
}

#[test]
fn menus_are_neither_the_agents_talk_nor_silence() {
    let call = Call::of(vec![
        turn(Ivr, 1, 0, 20_000, "Press one for sales."),
        turn(HumanAgent, 1, 22_000, 50_000, "Hello, how can I help?"),
        turn(Customer, 0, 50_500, 59_000, "Hi."),
    ]);
    let (metrics, events) = measure(&call.conversation(), &[], &[]);
    assert_eq!(metrics.agent.talk_time, Some(Millis(28_000)));
    assert_eq!(metrics.greeting_time_agent, Some(Millis(50_000)));
    assert!(of_kind(&events, EventKind::Silence).is_empty());
}

#[test]
fn silence_leaves_out_waiting_and_pressed_keys() {
    let mut call = Call::of(vec![
        turn(HumanAgent, 1, 0, 10_000, "One moment."),
        turn(Customer, 0, 40_000, 60_000, "Hello?"),
    ]);
    call.audio.channels[0].tones.push(Tone { span: Span::of_ms(32_000, 32_200), kind: ToneKind::Dtmf });
    let hold = [Span::of_ms(12_000, 30_000)];
    let (metrics, events) = measure(&call.conversation(), &hold, &[]);
    assert_eq!(of_kind(&events, EventKind::Silence), [(None, Span::of_ms(32_200, 40_000))]);
    assert_eq!(metrics.hold_time, Some(Millis(18_000)));
    assert_eq!(metrics.non_talk_time_total, Some(Millis(18_000 + 7_800)));
    assert_eq!(metrics.customer.response_time_average, None);
}

#[test]
fn a_chat_without_times_has_no_measures() {
    let mut call = Call::of(vec![turn(Customer, 0, 0, 1, "Hi")]);
    call.turns[0].span = None;
    let chat = Conversation { audio: None, end: None, ..call.conversation() };
    let (metrics, events) = measure(&chat, &[], &[]);
    assert_eq!(metrics, callmark_types::ConversationMetrics::default());
    assert!(events.is_empty());
}

#[test]
fn a_chat_with_times_of_sending_has_no_measures_of_talk() {
    let call = Call::of(vec![turn(Customer, 0, 0, 900, "Hi"), turn(AiAgent, 1, 2_000, 2_000, "Hello")]);
    let chat = Conversation { audio: None, end: None, ..call.conversation() };
    assert_eq!(measure(&chat, &[], &[]).0, callmark_types::ConversationMetrics::default());
}

#[test]
fn metadata_tells_waits_before_music_does() {
    let mut call = Call::of(vec![turn(HumanAgent, 1, 0, 5_000, "Please hold.")]);
    call.audio.channels[1].music = vec![Span::of_ms(6_000, 30_000)];
    let segment =
        |handler, start, end| HandlerSegment { handler, span: Span::of_ms(start, end), agent_id: None };
    call.metadata.handler_segments = vec![
        segment(Handler::Human, 0, 5_500),
        segment(Handler::Hold, 5_500, 29_000),
        segment(Handler::Human, 29_000, 60_000),
    ];
    assert_eq!(hold_and_queue_spans(&call.conversation()), [(Handler::Hold, Span::of_ms(5_500, 29_000))]);
}

#[test]
fn music_between_one_agents_words_is_hold_and_other_music_is_queue() {
    let music = vec![Span::of_ms(10_000, 18_000), Span::of_ms(22_000, 30_000), Span::of_ms(40_000, 41_000)];
    let waits = |before: Speaker, after: Option<Speaker>| {
        let mut turns = vec![
            turn(before, 1, 1_000, 9_000, "One moment."),
            turn(Ivr, 1, 18_500, 21_500, "All agents are busy."),
        ];
        turns.extend(after.map(|after| turn(after, 1, 31_000, 39_000, "Thanks for holding.")));
        let mut call = Call::of(turns);
        call.audio.channels[1].music.clone_from(&music);
        hold_and_queue_spans(&call.conversation())
    };
    let joined = Span::of_ms(10_000, 30_000);
    assert_eq!(waits(HumanAgent, Some(HumanAgent)), [(Handler::Hold, joined)]);
    assert_eq!(waits(AiAgent, Some(HumanAgent)), [(Handler::Queue, joined)]);
    assert_eq!(waits(AiAgent, None), [(Handler::Queue, Span::of_ms(10_000, 60_000))]);
}

#[test]
fn ringing_is_a_queue_and_the_customers_music_is_not() {
    let mut call = Call::of(vec![
        turn(HumanAgent, 1, 0, 40_000, "I will put you through."),
        turn(Customer, 0, 41_000, 42_000, "Thank you."),
    ]);
    call.audio.channels[0].music = vec![Span::of_ms(5_000, 30_000)];
    let ring = |start: i64| Tone { span: Span::of_ms(start, start + 2_000), kind: ToneKind::Ringback };
    call.audio.channels[1].tones = vec![ring(45_000), ring(51_000)];
    assert_eq!(hold_and_queue_spans(&call.conversation()), [(Handler::Queue, Span::of_ms(45_000, 60_000))]);
}

#[test]
fn ringing_lasts_until_somebody_answers() {
    let mut call = Call::of(vec![
        turn(AiAgent, 1, 0, 40_000, "I will put you through."),
        turn(HumanAgent, 1, 55_500, 58_000, "Good morning."),
    ]);
    let ring = |start: i64| Tone { span: Span::of_ms(start, start + 2_000), kind: ToneKind::Ringback };
    call.audio.channels[1].tones = vec![ring(45_000), ring(51_000)];
    assert_eq!(hold_and_queue_spans(&call.conversation()), [(Handler::Queue, Span::of_ms(45_000, 55_500))]);
}

fn any_span() -> impl Strategy<Value = Span> {
    (0..70_000_i64, 1..9_000_i64).prop_map(|(start, length)| Span::of_ms(start, start + length))
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let speaker = prop::sample::select(vec![Customer, AiAgent, HumanAgent, Ivr, Speaker::Unknown]);
    (any_span(), speaker, any::<bool>(), 0..2_u16).prop_map(|(span, speaker, dropped, channel)| {
        let mut turn = turn(speaker, channel, span.start.0, span.end.0, "some words were said");
        turn.dropped_reason = dropped.then_some(DroppedReason::NoSpeech);
        turn
    })
}

proptest! {
    #[test]
    fn measures_agree_with_each_other_whatever_is_heard(
        turns in prop::collection::vec(any_turn(), 0..12),
        speech in prop::collection::vec(prop::collection::vec(any_span(), 0..8), 2),
        music in prop::collection::vec(any_span(), 0..4),
        with_roles in any::<bool>(),
        with_audio in any::<bool>(),
    ) {
        let mut call = Call::of(turns);
        for (channel, spans) in call.audio.channels.iter_mut().zip(speech) {
            channel.speech = Span::union(spans);
        }
        call.audio.channels[1].music = Span::union(music);
        if !with_roles {
            call.metadata.channel_roles.clear();
        }
        let mut conversation = call.conversation();
        if !with_audio {
            conversation.audio = None;
        }
        let waits = hold_and_queue_spans(&conversation);
        prop_assert!(waits.windows(2).all(|pair| pair[0].1.end <= pair[1].1.start));
        let of = |wanted: Handler| -> Vec<Span> {
            waits.iter().filter(|(handler, _)| *handler == wanted).map(|(_, span)| *span).collect()
        };
        let (metrics, events) = measure(&conversation, &of(Handler::Hold), &of(Handler::Queue));
        if conversation.audio.is_none() && conversation.turns.is_empty() {
            return Ok(());
        }
        let duration = Millis(60_000);
        let all_known = conversation.turns.iter().all(|turn| turn.speaker != Speaker::Unknown);
        prop_assert!(!all_known || metrics.agent.talk_time.is_some() && metrics.customer.talk_time.is_some());
        let talk = |side: &SideMetrics| side.talk_time.unwrap_or_default();
        let (agent, customer) = (talk(&metrics.agent), talk(&metrics.customer));
        let (total, overlap) = (metrics.talk_time_total.unwrap(), metrics.overlap_time.unwrap());
        prop_assert!(total + overlap >= agent + customer);
        prop_assert!(!all_known || total + overlap == agent + customer);
        prop_assert!(overlap <= agent.min(customer) && total <= duration);
        prop_assert!(metrics.non_talk_time_total.unwrap() <= duration);
        for side in [&metrics.agent, &metrics.customer] {
            prop_assert!(side.interruptions_time.unwrap_or_default() <= overlap);
            prop_assert!(side.response_time_average.unwrap_or_default() >= Millis::ZERO);
            prop_assert!(side.response_time_average <= side.response_time_maximum);
            prop_assert!(side.talk_speed_wpm.is_none_or(|pace| pace > 0.0));
        }
        let silences = of_kind(&events, EventKind::Silence);
        prop_assert!(silences.iter().all(|(_, span)| span.duration() >= Millis(3_000)));
        prop_assert!(events.iter().all(|event| event.span.is_some_and(|span| span.end <= duration)));
    }
}
