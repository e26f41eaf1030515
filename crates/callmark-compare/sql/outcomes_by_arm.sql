-- Calls by first handler and outcome; the same statement runs in DataFusion, DuckDB and Spark.
select
    first_handler,
    outcome,
    count(*) as calls,
    sum(case when human_request_count > 0 then 1 else 0 end) as asked,
    sum(case when human_request_count > 0 and time_to_human_ms is not null then 1 else 0 end) as honoured,
    sum(resolution_time_ms) as resolution_ms,
    count(sentiment_overall_score_customer) as with_sentiment
from calls
where first_handler in ('ai', 'human')
group by first_handler, outcome
order by first_handler, outcome
