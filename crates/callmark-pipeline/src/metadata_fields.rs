//! The fields of call metadata, as they stand in a CSV row, a JSON line or a message: read in one place, so that every
//! way in means the same and refuses the same.

use callmark_types::{CallId, CallMetadata, ChannelRole, Handler, HandlerSegment, Millis, Span, Timestamp};
use oxilangtag::LanguageTag;
use serde_json::Value;
use std::collections::HashMap;

/// Longest call that metadata or a transcript may tell of: a week. A time beyond it is a slip.
pub(crate) const LONGEST_CALL: Millis = Millis(7 * 24 * 3_600_000);

/// What [`metadata_from_fields`] reads, wherever the fields stand; `channel_N_role` beside these.
pub(crate) const METADATA_FIELDS: [&str; 8] = [
    "started_at",
    "first_handler",
    "agent_ids",
    "handler_segments",
    "customer_key",
    "queue",
    "issue_type",
    "language",
];

/// Named fields.
pub(crate) type Record = HashMap<String, Value>;

/// The candidate most like `word`, where it is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_ENOUGH: f64 = 0.75;
    candidates
        .into_iter()
        .map(|c| {
            (strsim::normalized_damerau_levenshtein(word, c).max(strsim::jaro_winkler(word, c) - 0.1), c)
        })
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

pub(crate) fn channel_of_role_column(column: &str) -> Option<usize> {
    column.strip_prefix("channel_")?.strip_suffix("_role")?.parse().ok().filter(|channel| *channel < 8)
}

/// The field as text; `None` where it is absent or blank.
pub(crate) fn text(record: &Record, column: &str) -> Option<String> {
    match record.get(column)? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|t| !t.is_empty()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// Metadata of call `id` from named fields, as they stand in a CSV row, a JSON line or a message. The error names
/// the field and what to do.
pub(crate) fn metadata_from_fields(id: CallId, record: &Record) -> Result<CallMetadata, String> {
    let mut metadata = CallMetadata::unknown(id);
    if let Some(time) = text(record, "started_at") {
        let wanted = "column `started_at`: no time with a zone, such as 2026-09-14T09:12:31Z";
        metadata.started_at = Some(Timestamp::parse(&time).map_err(|_| wanted.to_owned())?);
    }
    metadata.channel_roles = channel_roles(record)?;
    if let Some(handler) = text(record, "first_handler") {
        metadata.first_handler = Some(parse_first_handler(&handler)?);
    }
    metadata.agent_ids = agent_ids(record)?;
    metadata.handler_segments = handler_segments(record)?;
    metadata.customer_key = text(record, "customer_key");
    metadata.queue = text(record, "queue");
    metadata.issue_type = text(record, "issue_type");
    if let Some(tag) = text(record, "language") {
        let wanted = "column `language`: no language tag: use one such as en or es-MX";
        metadata.language = Some(language_tag(&tag).ok_or(wanted)?);
    }
    Ok(metadata)
}

/// The BCP 47 tag, in its usual case, of a language that ISO 639 lists (a recogniser may know fewer); `_` stands for
/// `-` in many exports.
fn language_tag(text: &str) -> Option<String> {
    let tag = LanguageTag::parse_and_normalize(&text.replace('_', "-")).ok()?;
    let language = tag.primary_language();
    isolang::Language::from_639_1(language).or_else(|| isolang::Language::from_639_3(language))?;
    Some(tag.into_inner())
}

fn channel_roles(record: &Record) -> Result<Vec<Option<ChannelRole>>, String> {
    let mut roles = Vec::new();
    for column in record.keys() {
        let Some(channel) = channel_of_role_column(column) else { continue };
        let Some(value) = text(record, column) else { continue };
        let role = parse_channel_role(&value).map_err(|e| format!("column `{column}`: {e}"))?;
        if roles.len() <= channel {
            roles.resize(channel + 1, None);
        }
        roles[channel] = Some(role);
    }
    Ok(roles)
}

/// Reads a channel's role: `customer`, `agent` or `mixed`.
pub fn parse_channel_role(text: &str) -> Result<ChannelRole, String> {
    match text.trim() {
        "customer" | "caller" => Ok(ChannelRole::Customer),
        "agent" => Ok(ChannelRole::Agent),
        "mixed" => Ok(ChannelRole::Mixed),
        _ => Err("no channel role: use customer, agent or mixed".to_owned()),
    }
}

fn parse_first_handler(text: &str) -> Result<Handler, String> {
    match text {
        "ai" => Ok(Handler::Ai),
        "human" => Ok(Handler::Human),
        "ivr" => Ok(Handler::Ivr),
        _ => Err("column `first_handler`: no handler: use ai, human or ivr".to_owned()),
    }
}

fn agent_ids(record: &Record) -> Result<Vec<String>, String> {
    match record.get("agent_ids") {
        Some(Value::Array(ids)) => ids
            .iter()
            .map(|id| {
                id.as_str().map(str::to_owned).ok_or("column `agent_ids`: not a list of texts".to_owned())
            })
            .collect(),
        Some(Value::String(list)) if list.trim_start().starts_with('[') => {
            serde_json::from_str(list).map_err(|_| "column `agent_ids`: not a JSON list of texts".to_owned())
        }
        Some(Value::String(list)) => Ok(list
            .split([';', ',', '|'])
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect()),
        Some(_) => Err("column `agent_ids`: neither a text nor a list".to_owned()),
        None => Ok(Vec::new()),
    }
}

fn handler_segments(record: &Record) -> Result<Vec<HandlerSegment>, String> {
    let parsed: Result<Vec<HandlerSegment>, serde_json::Error> = match record.get("handler_segments") {
        None => return Ok(Vec::new()),
        Some(Value::String(json)) => serde_json::from_str(json),
        Some(value) => serde_json::from_value(value.clone()),
    };
    let segments = parsed.map_err(|_| {
        "column `handler_segments`: not a JSON list of {handler, start_ms, end_ms, agent_id?} with handlers ai, human, ivr, queue, hold"
            .to_owned()
    })?;
    let possible = |segment: &HandlerSegment| {
        let Span { start, end } = segment.span;
        Millis::ZERO <= start && start <= end && end <= LONGEST_CALL
    };
    if let Some(segment) = segments.iter().find(|segment| !possible(segment)) {
        return Err(format!(
            "column `handler_segments`: {} from {} to {} ms does not run forward from 0 to {} at most",
            segment.handler.as_str(),
            segment.span.start.0,
            segment.span.end.0,
            LONGEST_CALL.0
        ));
    }
    if segments.windows(2).any(|pair| pair[1].span.start < pair[0].span.start) {
        return Err("column `handler_segments`: segments are not in order of start_ms".to_owned());
    }
    Ok(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_a_tag_of_one() {
        for tag in ["en", "es-MX", "es_419", "EN-us", "zh-Hans-CN", "yue", "ga", "haw"] {
            assert!(language_tag(tag).is_some(), "{tag}");
        }
        assert_eq!(language_tag("ES_mx").as_deref(), Some("es-MX"));
        for tag in ["klingon", "english", "xx", "qqx", "e", "en US", "en-", "-", "fr;de"] {
            assert_eq!(language_tag(tag), None, "{tag}");
        }
    }
}
