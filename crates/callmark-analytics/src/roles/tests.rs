//! Sides and handlers, told and detected.

use super::*;
use callmark_types::{CallId, HandlerSegment};

fn turn(lane: u16, start: i64, text: &str, told: Option<ChannelRole>) -> LaneTurn {
    let span = Some(Span::of_ms(start, start + 900));
    LaneTurn { lane: Lane::Channel(lane), span, text: text.to_owned(), told_role: told }
}

fn unknown_call() -> CallMetadata {
    CallMetadata::unknown(CallId::new("c").unwrap())
}

#[test]
fn metadata_wins_over_words() {
    let mut metadata = unknown_call();
    let segment = |handler, from, to| HandlerSegment { handler, span: Span::of_ms(from, to), agent_id: None };
    metadata.handler_segments = vec![
        segment(Handler::Ai, 0, 2000),
        segment(Handler::Queue, 2000, 4000),
        segment(Handler::Human, 4000, 9000),
    ];
    let turns = [
        turn(0, 100, "Hi, this is Tom speaking.", Some(ChannelRole::Agent)),
        turn(1, 1000, "How can I help you?", Some(ChannelRole::Customer)),
        turn(0, 2500, "All our agents are busy.", Some(ChannelRole::Agent)),
        turn(0, 5000, "I'm your virtual assistant.", Some(ChannelRole::Agent)),
    ];
    let roles = assign_speakers(&Ruleset::built_in(), &metadata, &turns);
    assert_eq!(roles.speakers, [Speaker::AiAgent, Speaker::Customer, Speaker::Ivr, Speaker::HumanAgent]);
    assert_eq!(roles.flags, []);
}

#[test]
fn told_waits_tell_no_handler() {
    let mut metadata = unknown_call();
    let hold = HandlerSegment { handler: Handler::Hold, span: Span::of_ms(2000, 4000), agent_id: None };
    metadata.handler_segments = vec![hold];
    let turns = [
        turn(0, 0, "Thank you for calling Elm Gas. I'm your automated assistant.", Some(ChannelRole::Agent)),
        turn(1, 1000, "My bill is wrong.", Some(ChannelRole::Customer)),
        turn(0, 5000, "Thank you for waiting.", Some(ChannelRole::Agent)),
    ];
    let roles = assign_speakers(&Ruleset::built_in(), &metadata, &turns);
    assert_eq!(roles.speakers, [Speaker::AiAgent, Speaker::Customer, Speaker::AiAgent]);
}

#[test]
fn without_metadata_words_tell_sides_and_handlers_and_flags_say_so() {
    let turns = [
        turn(3, 0, "Thank you for calling Elm Gas. I'm your automated assistant.", None),
        turn(4, 1000, "I want to talk to an agent about my bill.", None),
        turn(3, 2000, "I'm transferring you to an agent.", None),
        turn(3, 3000, "All our agents are busy. Please stay on the line.", None),
        turn(3, 4000, "Hello, this is Rosa. How can I help you?", None),
        turn(4, 5000, "My bill is wrong.", None),
    ];
    let roles = assign_speakers(&Ruleset::built_in(), &unknown_call(), &turns);
    let expected = [
        Speaker::AiAgent,
        Speaker::Customer,
        Speaker::AiAgent,
        Speaker::Ivr,
        Speaker::HumanAgent,
        Speaker::Customer,
    ];
    assert_eq!(roles.speakers, expected);
    assert_eq!(roles.flags, [TrustFlag::RolesDetected, TrustFlag::HandlersDetected]);
}

#[test]
fn lanes_that_nothing_places_stay_unknown() {
    let turns = [turn(0, 0, "blue", None), turn(1, 1000, "green", None)];
    let roles = assign_speakers(&Ruleset::built_in(), &unknown_call(), &turns);
    assert_eq!(roles.speakers, [Speaker::Unknown, Speaker::Unknown]);
    assert_eq!(roles.flags, []);
    assert!(assign_speakers(&Ruleset::built_in(), &unknown_call(), &[]).speakers.is_empty());
}
