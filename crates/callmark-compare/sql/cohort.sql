-- What a comparison reads of each call. Order matters for nothing but repeatability.
select
    c.call_id, c.started_at, c.first_handler, c.handler_segments, c.customer_key, c.queue, c.issue_type, c.language,
    c.outcome, c.resolution_time_ms, c.resolution_confidence, c.total_conversation_duration_ms,
    c.sentiment_overall_score_customer, c.sentiment_end_score_customer, c.sentiment_start_score_customer,
    c.human_request_count, c.deflection_count, c.time_to_human_ms,
    c.asr_confidence, c.hallucination_risk,
    array_has(c.flags, 'truncated') as truncated,
    array_has(c.flags, 'truncated') or array_has(c.flags, 'low_asr_confidence') or array_has(c.flags, 'no_speech')
        or array_has(c.flags, 'speakers_estimated') or array_has(c.flags, 'clipped') as flagged,
    d.call_id is not null as disclosed
from calls c
left join (select call_id from events where type = 'ai_disclosure' group by call_id) d on c.call_id = d.call_id
order by c.started_at, c.call_id
