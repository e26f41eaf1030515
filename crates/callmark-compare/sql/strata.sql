-- Case mix: calls, settled calls and sentiment by stratum and first handler.
select
    issue_type,
    queue,
    language,
    first_handler,
    count(*) as calls,
    sum(case when outcome in ('resolved', 'escalated_resolved') then 1 else 0 end) as settled,
    count(sentiment_overall_score_customer) as with_sentiment
from calls
where first_handler in ('ai', 'human')
group by issue_type, queue, language, first_handler
order by issue_type, queue, language, first_handler
