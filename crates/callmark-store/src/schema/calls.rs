//! Columns of `calls`: one row a call. Names follow the Amazon Connect data lake where it has one.

use super::column::Column;
use callmark_types::{Handler, ScoredCall, SentimentScores, SideMetrics};

/// One row of `calls`.
pub(crate) type CallRow<'a> = &'a ScoredCall;

pub(crate) fn columns<'a>() -> Vec<Column<CallRow<'a>>> {
    [
        identity(),
        handlers(),
        audio(),
        conversation(),
        sentiment(),
        human_access(),
        resolution(),
        trust(),
        lineage(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn identity<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::text("call_id", "Identity of the call; one row each.", |c: &CallRow| {
            Some(c.record.call_id.as_str())
        })
        .required(),
        Column::timestamp(
            "started_at",
            "When the call began, UTC; its day is the partition `date`.",
            |c: &CallRow| c.record.started_at,
        ),
        Column::text("source_uri", "File or object the audio or transcript came from.", |c: &CallRow| {
            c.record.source.uri.as_deref()
        }),
        Column::text("source_sha256", "SHA-256 of the source's bytes, hex.", |c: &CallRow| {
            c.record.source.sha256.as_deref()
        }),
        Column::text("source_topic", "Kafka topic it came from.", |c: &CallRow| {
            c.record.source.topic.as_deref()
        })
        .few_values(),
        Column::int32("source_partition", "Kafka partition it came from.", |c: &CallRow| {
            c.record.source.partition
        }),
        Column::int64("source_offset", "Kafka offset it came from.", |c: &CallRow| c.record.source.offset),
    ]
}

fn handlers<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::text("first_handler", "Who took the call first: ai, human or ivr.", |c: &CallRow| {
            c.record.first_handler.map(Handler::as_str)
        })
        .few_values(),
        Column::text("final_handler", "Who had the call last: ai, human or ivr.", |c: &CallRow| {
            c.record.final_handler.map(Handler::as_str)
        })
        .few_values(),
        Column::handler_segments("handler_segments", "Who handled what, in order.", |c: &CallRow| {
            &c.record.handler_segments
        }),
        Column::text_list("agent_ids", "Ids of the agents that took part.", |c: &CallRow| {
            &c.record.agent_ids
        })
        .few_values(),
        Column::text("customer_key", "Pseudonym of the customer, the same across calls.", |c: &CallRow| {
            c.record.customer_key.as_deref()
        }),
        Column::text("queue", "Queue or department.", |c: &CallRow| c.record.queue.as_deref()).few_values(),
        Column::text("issue_type", "What the call is about.", |c: &CallRow| c.record.issue_type.as_deref())
            .few_values(),
        Column::text("language", "Language, told or detected, as BCP 47.", |c: &CallRow| {
            c.record.language.as_deref()
        })
        .few_values(),
    ]
}

fn audio<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::text("codec", "Codec as recorded; null for chats.", |c: &CallRow| {
            c.record.audio.codec.as_deref()
        })
        .few_values(),
        Column::int32("sample_rate", "Sample rate as recorded, hertz; null for chats.", |c: &CallRow| {
            c.record.audio.sample_rate
        }),
        Column::int32("channels", "Channels as recorded; null for chats.", |c: &CallRow| {
            c.record.audio.channels
        }),
        Column::millis(
            "total_conversation_duration_ms",
            "Length of the recording, or of a transcript with times, ms.",
            |c: &CallRow| c.record.audio.total_conversation_duration,
        ),
        Column::float64(
            "clipped_ratio",
            "Worst channel's share of clipped samples, 0 to 1.",
            |c: &CallRow| c.record.audio.clipped_ratio,
        ),
        Column::float64("snr_db", "Worst channel's speech level over background, dB.", |c: &CallRow| {
            c.record.audio.snr_db
        }),
    ]
}

/// The two sides of a conversation, in the order of their columns.
#[derive(Clone, Copy)]
enum Side {
    Agent,
    Customer,
}

impl Side {
    fn metrics<'r>(self, call: &'r CallRow) -> &'r SideMetrics {
        match self {
            Self::Agent => &call.record.conversation.agent,
            Self::Customer => &call.record.conversation.customer,
        }
    }

    fn scores<'r>(self, call: &'r CallRow) -> &'r SentimentScores {
        match self {
            Self::Agent => &call.record.sentiment.agent,
            Self::Customer => &call.record.sentiment.customer,
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Agent => "the agent side",
            Self::Customer => "the customer",
        }
    }

    /// The column name of this side, out of the pair for agent and customer.
    fn name(self, agent: &'static str, customer: &'static str) -> &'static str {
        match self {
            Self::Agent => agent,
            Self::Customer => customer,
        }
    }
}

fn conversation<'a>() -> Vec<Column<CallRow<'a>>> {
    let mut columns = side_talk(Side::Agent);
    columns.extend(side_talk(Side::Customer));
    columns.extend([
        Column::millis("talk_time_total_ms", "Time in which at least one side spoke, ms.", |c: &CallRow| {
            c.record.conversation.talk_time_total
        }),
        Column::millis(
            "non_talk_time_total_ms",
            "Silence of over 3 s, and hold, ms, as Amazon Connect defines it.",
            |c: &CallRow| c.record.conversation.non_talk_time_total,
        ),
        Column::millis("overlap_time_ms", "Time in which both sides spoke, ms.", |c: &CallRow| {
            c.record.conversation.overlap_time
        }),
        Column::millis("hold_time_ms", "Time on hold, ms.", |c: &CallRow| c.record.conversation.hold_time),
        Column::millis("queue_time_ms", "Time in a queue, ms.", |c: &CallRow| {
            c.record.conversation.queue_time
        }),
    ]);
    columns.extend(side_interaction(Side::Agent));
    columns.extend(side_interaction(Side::Customer));
    columns.push(Column::millis(
        "greeting_time_agent_ms",
        "From the start to the end of the agent side's first turn, ms.",
        |c: &CallRow| c.record.conversation.greeting_time_agent,
    ));
    columns
}

fn side_talk<'a>(side: Side) -> Vec<Column<CallRow<'a>>> {
    let who = side.phrase();
    vec![Column::millis(
        side.name("talk_time_agent_ms", "talk_time_customer_ms"),
        format!("Time {who} spoke, ms."),
        move |c: &CallRow| side.metrics(c).talk_time,
    )]
}

fn side_interaction<'a>(side: Side) -> Vec<Column<CallRow<'a>>> {
    let who = side.phrase();
    vec![
        Column::int32(
            side.name("interruptions_agent_count", "interruptions_customer_count"),
            format!("How often {who} interrupted the other side."),
            move |c: &CallRow| side.metrics(c).interruptions_count,
        ),
        Column::millis(
            side.name("interruptions_agent_time_ms", "interruptions_customer_time_ms"),
            format!("How long both spoke where {who} interrupted, ms."),
            move |c: &CallRow| side.metrics(c).interruptions_time,
        ),
        Column::float64(
            side.name("talk_speed_agent_wpm", "talk_speed_customer_wpm"),
            format!("Words a minute of the time {who} spoke."),
            move |c: &CallRow| side.metrics(c).talk_speed_wpm,
        ),
        Column::millis(
            side.name("response_time_average_agent_ms", "response_time_average_customer_ms"),
            format!("Average pause before {who} answers, ms."),
            move |c: &CallRow| side.metrics(c).response_time_average,
        ),
        Column::millis(
            side.name("response_time_maximum_agent_ms", "response_time_maximum_customer_ms"),
            format!("Longest pause before {who} answers, ms."),
            move |c: &CallRow| side.metrics(c).response_time_maximum,
        ),
    ]
}

fn sentiment<'a>() -> Vec<Column<CallRow<'a>>> {
    let mut columns = side_sentiment(Side::Customer);
    columns.extend(side_sentiment(Side::Agent));
    columns.extend([
        Column::float64(
            "sentiment_score_customer_with_ai",
            "Sentiment of the customer while an AI handled the call, -5 to 5.",
            |c: &CallRow| c.record.sentiment.customer_with_ai,
        ),
        Column::float64(
            "sentiment_score_customer_with_human",
            "Sentiment of the customer while a person handled the call, -5 to 5.",
            |c: &CallRow| c.record.sentiment.customer_with_human,
        ),
    ]);
    columns
}

fn side_sentiment<'a>(side: Side) -> Vec<Column<CallRow<'a>>> {
    const QUARTERS: [(&str, &str); 4] = [
        ("sentiment_quarter_1_score_agent", "sentiment_quarter_1_score_customer"),
        ("sentiment_quarter_2_score_agent", "sentiment_quarter_2_score_customer"),
        ("sentiment_quarter_3_score_agent", "sentiment_quarter_3_score_customer"),
        ("sentiment_quarter_4_score_agent", "sentiment_quarter_4_score_customer"),
    ];
    let who = side.phrase();
    let mut columns = vec![
        Column::float64(
            side.name("sentiment_overall_score_agent", "sentiment_overall_score_customer"),
            format!("Sentiment of {who} over the whole call, -5 to 5."),
            move |c: &CallRow| side.scores(c).overall,
        ),
        Column::float64(
            side.name("sentiment_start_score_agent", "sentiment_start_score_customer"),
            format!("Sentiment of {who} in the first quarter that has a scored turn, -5 to 5."),
            move |c: &CallRow| side.scores(c).start,
        ),
        Column::float64(
            side.name("sentiment_end_score_agent", "sentiment_end_score_customer"),
            format!("Sentiment of {who} in the last quarter that has a scored turn, -5 to 5."),
            move |c: &CallRow| side.scores(c).end,
        ),
    ];
    for (quarter, (agent, customer)) in QUARTERS.into_iter().enumerate() {
        columns.push(Column::float64(
            side.name(agent, customer),
            format!("Sentiment of {who} in quarter {} of the call, -5 to 5.", quarter + 1),
            move |c: &CallRow| side.scores(c).quarters[quarter],
        ));
    }
    columns.push(Column::float64(
        side.name("sentiment_slope_per_minute_agent", "sentiment_slope_per_minute_customer"),
        format!("Change of {who}'s sentiment per minute, by least squares."),
        move |c: &CallRow| side.scores(c).slope_per_minute,
    ));
    columns
}

fn human_access<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::int32(
            "human_request_count",
            "How often the customer asked for a person; what was asked of a person (another one, a superior) is an event, and not counted.",
            |c: &CallRow| Some(c.record.human_access.human_request_count),
        )
        .required(),
        Column::millis(
            "first_human_request_ms",
            "Start of the first request for a person, ms.",
            |c: &CallRow| c.record.human_access.first_human_request,
        ),
        Column::int32(
            "deflection_count",
            "Counted requests for a person that were answered with something else than a handoff.",
            |c: &CallRow| Some(c.record.human_access.deflection_count),
        )
        .required(),
        Column::millis(
            "human_reached_ms",
            "When a person first spoke after the first request or accepted offer, ms.",
            |c: &CallRow| c.record.human_access.human_reached,
        ),
        Column::millis(
            "time_to_human_ms",
            "From the end of the first request (or accepted offer) to human_reached_ms, ms.",
            |c: &CallRow| c.record.human_access.time_to_human,
        ),
        Column::boolean(
            "human_request_honoured",
            "Whether a person spoke after the first request or accepted offer; null where nobody asked.",
            |c: &CallRow| c.record.human_access.human_request_honoured,
        ),
    ]
}

fn resolution<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::text(
            "outcome",
            "resolved, escalated_resolved, transferred, unresolved, abandoned or unknown.",
            |c: &CallRow| Some(c.record.resolution.outcome.as_str()),
        )
        .required()
        .few_values(),
        Column::millis(
            "resolved_at_ms",
            "End of the turn in which the matter was settled, ms.",
            |c: &CallRow| c.record.resolution.resolved_at,
        ),
        Column::millis(
            "resolution_time_ms",
            "From the customer's first words to resolved_at_ms, ms.",
            |c: &CallRow| c.record.resolution.resolution_time,
        ),
        Column::float64("resolution_confidence", "How sure the outcome is, 0 to 1.", |c: &CallRow| {
            Some(c.record.resolution.confidence)
        })
        .required(),
        Column::int32(
            "resolution_evidence_turn",
            "The turn that shows the outcome; joins to turns.",
            |c: &CallRow| c.record.resolution.evidence_turn.map(|index| index as i32),
        ),
    ]
}

fn trust<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::float64("asr_confidence", "Average probability of the kept words, 0 to 1.", |c: &CallRow| {
            c.record.trust.asr_confidence
        }),
        Column::float64(
            "hallucination_risk",
            "Share of recognised words that were dropped as invented or have little evidence, 0 to 1.",
            |c: &CallRow| c.record.trust.hallucination_risk,
        ),
        Column::float64("non_speech_ratio", "Share of the recording in which nobody speaks, 0 to 1.", |c: &CallRow| {
            c.record.trust.non_speech_ratio
        }),
        Column::text_list(
            "flags",
            "Reasons to trust the row less, sorted: truncated, roles_detected, speakers_estimated, no_speech, language_not_scored (the rules do not know the call's language: requests and outcome say nothing), rules_need_times (a rule asks when something was said, and the call has no times: nothing is said of that rule), …",
            |c: &CallRow| &c.record.trust.flags,
        )
        .few_values(),
    ]
}

fn lineage<'a>() -> Vec<Column<CallRow<'a>>> {
    vec![
        Column::text("pipeline_version", "Version of Callmark that made the row.", |c: &CallRow| {
            Some(c.record.lineage.pipeline_version.as_str())
        })
        .required()
        .few_values(),
        Column::text("asr_model", "Speech model by name; null for chats.", |c: &CallRow| {
            c.record.lineage.asr_model.as_deref()
        })
        .few_values(),
        Column::text("asr_model_sha256", "SHA-256 of its weights, hex; null for chats.", |c: &CallRow| {
            c.record.lineage.asr_model_sha256.as_deref()
        })
        .few_values(),
        Column::text("rules_sha256", "SHA-256 of all rule files and lexicons, hex.", |c: &CallRow| {
            Some(c.record.lineage.rules_sha256.as_str())
        })
        .required()
        .few_values(),
        Column::text(
            "text_model_sha256",
            "SHA-256 of the text model, hex; null where rules alone score.",
            |c: &CallRow| c.record.lineage.text_model_sha256.as_deref(),
        )
        .few_values(),
    ]
}
