//! What the telephony system has told of a call so far, as metadata on the call's clock.

use crate::event::{CallEvent, CallEventKind, StartedFields};
use callmark_types::{CallId, CallMetadata, Handler, HandlerSegment, Millis, Span, Timestamp};

/// Most changes of handler and hold that are kept of a call; what comes after is left out.
const MAX_CHANGES: usize = 2_000;

#[derive(Debug, Clone, PartialEq)]
enum Change {
    Handler(Handler, Option<String>),
    HoldStarted,
    HoldEnded,
    Transferred(Option<String>),
}

/// The events of one call.
#[derive(Debug)]
pub(crate) struct Story {
    call_id: CallId,
    started: StartedFields,
    /// Sorted by time.
    changes: Vec<(i64, Change)>,
    /// First and last instant of which something was told.
    told: Option<(i64, i64)>,
}

impl Story {
    pub(crate) fn new(call_id: CallId) -> Self {
        Self { call_id, started: StartedFields::default(), changes: Vec::new(), told: None }
    }

    /// Takes an event that happened at `ts_ms`.
    pub(crate) fn take(&mut self, event: CallEvent, ts_ms: i64) {
        let (first, last) = self.told.unwrap_or((ts_ms, ts_ms));
        self.told = Some((first.min(ts_ms), last.max(ts_ms)));
        let change = match event.kind {
            CallEventKind::Started(fields) => {
                self.started = *fields;
                return;
            }
            CallEventKind::Ended => return,
            CallEventKind::HandlerChanged { handler, agent_id } => Change::Handler(handler, agent_id),
            CallEventKind::HoldStarted => Change::HoldStarted,
            CallEventKind::HoldEnded => Change::HoldEnded,
            CallEventKind::Transferred { to } => Change::Transferred(to),
        };
        let entry = (ts_ms, change);
        if self.changes.len() < MAX_CHANGES && !self.changes.contains(&entry) {
            let at = self.changes.partition_point(|(other, _)| *other <= ts_ms);
            self.changes.insert(at, entry);
        }
    }

    /// The earliest instant of which something was told.
    pub(crate) fn first_ms(&self) -> Option<i64> {
        self.told.map(|(first, _)| first)
    }

    /// The latest.
    pub(crate) fn last_ms(&self) -> Option<i64> {
        self.told.map(|(_, last)| last)
    }

    /// Holds told so far, the open one until `now`; whether the last is open.
    pub(crate) fn holds(&self, origin_ms: i64, now: Millis) -> (Vec<Span>, bool) {
        let mut holds = Vec::new();
        let mut open: Option<Millis> = None;
        for (ts_ms, change) in &self.changes {
            let at = clock(*ts_ms, origin_ms);
            let begins = matches!(change, Change::HoldStarted | Change::Handler(Handler::Hold, _));
            let goes_on = begins || matches!(change, Change::Transferred(_));
            if begins {
                open.get_or_insert(at);
            } else if let Some(start) = open.filter(|_| !goes_on) {
                holds.push(Span::new(start, at));
                open = None;
            }
        }
        if let Some(start) = open {
            holds.push(Span::new(start, now));
        }
        (holds, open.is_some())
    }

    /// Transfers told so far, with where to.
    pub(crate) fn transfers(&self, origin_ms: i64) -> Vec<(Millis, Option<String>)> {
        let transfers = self.changes.iter().filter_map(|(ts_ms, change)| match change {
            Change::Transferred(to) => Some((clock(*ts_ms, origin_ms), to.clone())),
            _ => None,
        });
        transfers.collect()
    }

    /// What is known now: `origin_ms` is the call's zero, `now` how long it is.
    pub(crate) fn metadata(&self, origin_ms: Option<i64>, now: Millis) -> CallMetadata {
        let told = &self.started;
        let mut agent_ids = told.agent_ids.clone();
        for (_, change) in &self.changes {
            if let Change::Handler(_, Some(id)) = change
                && !agent_ids.contains(id)
            {
                agent_ids.push(id.clone());
            }
        }
        CallMetadata {
            call_id: self.call_id.clone(),
            started_at: told.started_at.or_else(|| origin_ms.and_then(Timestamp::from_epoch_millis)),
            channel_roles: told.channel_roles.clone(),
            first_handler: told.first_handler,
            agent_ids,
            handler_segments: self.segments(origin_ms.unwrap_or(0), now),
            customer_key: told.customer_key.clone(),
            queue: told.queue.clone(),
            issue_type: told.issue_type.clone(),
            language: told.language.clone(),
        }
    }

    /// Who handled what, and when the customer was on hold. Changes while the call went on win over what was told
    /// beforehand; without a first handler and without a change of handler no handler is made up.
    fn segments(&self, origin_ms: i64, now: Millis) -> Vec<HandlerSegment> {
        let handler_known = self.started.first_handler.is_some()
            || self.changes.iter().any(|(_, c)| matches!(c, Change::Handler(h, _) if *h != Handler::Hold));
        let changes = self.changes.iter().any(|(_, c)| !matches!(c, Change::Transferred(_)));
        if !changes || !(handler_known || self.started.handler_segments.is_empty()) {
            return self.started.handler_segments.clone();
        }
        let first_agent = self.started.agent_ids.first().cloned();
        let mut handler = self.started.first_handler.map(|first| (first, first_agent));
        let (mut since, mut on_hold) = (Millis::ZERO, false);
        let mut segments = Vec::new();
        let mut close = |handler: &Option<(Handler, Option<String>)>, on_hold: bool, span: Span| {
            let known = handler.as_ref().map(|(by, agent_id)| (*by, agent_id.clone()));
            let held =
                on_hold.then(|| (Handler::Hold, known.as_ref().and_then(|(_, agent_id)| agent_id.clone())));
            if let Some((handler, agent_id)) = held.or(known).filter(|_| span.duration() > Millis::ZERO) {
                segments.push(HandlerSegment { handler, span, agent_id });
            }
        };
        for (ts_ms, change) in &self.changes {
            let at = clock(*ts_ms, origin_ms).max(since);
            close(&handler, on_hold, Span::new(since, at));
            since = at;
            match change {
                Change::Handler(Handler::Hold, _) | Change::HoldStarted => on_hold = true,
                Change::Handler(by, agent) => (handler, on_hold) = (Some((*by, agent.clone())), false),
                Change::HoldEnded => on_hold = false,
                Change::Transferred(_) => {}
            }
        }
        close(&handler, on_hold, Span::new(since, now.max(since)));
        segments
    }
}

fn clock(ts_ms: i64, origin_ms: i64) -> Millis {
    Millis(ts_ms.saturating_sub(origin_ms).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story(first: Option<Handler>, events: Vec<(i64, CallEventKind)>) -> Story {
        let call_id = CallId::new("c").unwrap();
        let mut story = Story::new(call_id.clone());
        let fields = StartedFields { first_handler: first, ..StartedFields::default() };
        let started = CallEventKind::Started(Box::new(fields));
        for (ts_ms, kind) in std::iter::once((1_000, started)).chain(events) {
            story.take(CallEvent { call_id: call_id.clone(), ts_ms: Some(ts_ms), kind }, ts_ms);
        }
        story
    }

    fn changed(handler: Handler) -> CallEventKind {
        CallEventKind::HandlerChanged { handler, agent_id: None }
    }

    #[test]
    fn changes_and_holds_make_segments_in_whatever_order_they_come() {
        let events = vec![
            (9_000, CallEventKind::HoldEnded),
            (5_000, changed(Handler::Human)),
            (7_000, CallEventKind::HoldStarted),
        ];
        let told = story(Some(Handler::Ai), events);
        let segments = told.metadata(Some(1_000), Millis(10_000)).handler_segments;
        let short: Vec<(Handler, i64, i64)> =
            segments.iter().map(|s| (s.handler, s.span.start.0, s.span.end.0)).collect();
        assert_eq!(
            short,
            [
                (Handler::Ai, 0, 4_000),
                (Handler::Human, 4_000, 6_000),
                (Handler::Hold, 6_000, 8_000),
                (Handler::Human, 8_000, 10_000)
            ]
        );
        assert_eq!(told.holds(1_000, Millis(10_000)), (vec![Span::of_ms(6_000, 8_000)], false));
    }

    #[test]
    fn a_hold_without_a_known_handler_makes_up_no_handler() {
        let told = story(None, vec![(7_000, CallEventKind::HoldStarted)]);
        let hold =
            HandlerSegment { handler: Handler::Hold, span: Span::of_ms(6_000, 10_000), agent_id: None };
        assert_eq!(told.metadata(Some(1_000), Millis(10_000)).handler_segments, [hold]);
        assert_eq!(told.holds(1_000, Millis(10_000)), (vec![Span::of_ms(6_000, 10_000)], true));
    }

    #[test]
    fn what_is_told_once_is_kept_as_it_is() {
        let told = story(Some(Handler::Human), Vec::new());
        let metadata = told.metadata(Some(1_000), Millis(10_000));
        assert!(metadata.handler_segments.is_empty());
        assert_eq!(metadata.first_handler, Some(Handler::Human));
        assert_eq!(metadata.started_at.map(Timestamp::epoch_millis), Some(1_000));
    }
}
