-- One line per first handler: what happened to its calls. Every share can be made from the counts in its row.
-- Calls in a language that the rules do not know count as calls, and in nothing that is read from words.
select
    coalesce(first_handler, 'unknown') as first_handler,
    count(*) as calls,
    round(sum(total_conversation_duration_ms) / 3600000.0, 2) as hours,
    count(*) filter (where is_known and outcome in ('resolved', 'escalated_resolved')) as resolved,
    count(*) filter (where is_known and outcome = 'transferred') as transferred,
    count(*) filter (where is_known and outcome = 'abandoned') as abandoned,
    count(*) filter (where is_known and outcome = 'unresolved') as unresolved,
    count(*) filter (where is_known and outcome = 'unknown') as unknown,
    round(median(resolution_time_ms) filter (where is_known and outcome in ('resolved', 'escalated_resolved')) / 1000.0, 1) as median_resolution_s,
    count(*) filter (where is_known and human_request_count > 0) as asked_for_human,
    count(*) filter (where is_known and human_request_honoured) as human_reached,
    count(*) filter (where is_known and human_request_honoured = false) as refused_human,
    round(avg(sentiment_overall_score_customer), 2) as customer_sentiment,
    count(*) filter (where not is_known) as other_language,
    count(*) filter (where cardinality(flags) > 0) as flagged
from (select *, not list_contains(flags, 'language_not_scored') as is_known from calls)
group by 1
order by calls desc, 1
