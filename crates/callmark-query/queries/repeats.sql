-- One line a call whose customer and start are known: when the same customer called next, and what that makes of
-- "resolved". A window that the data do not cover yet, in which nobody called again so far, is null: not known.
with known as (
    select call_id, date, customer_key, started_at, outcome,
        outcome in ('resolved', 'escalated_resolved') as said_resolved,
        lead(call_id) over customer as next_call_id,
        lead(started_at) over customer as next_started_at,
        (select max(started_at) from calls) as data_until
    from calls
    where customer_key is not null and started_at is not null
    window customer as (partition by customer_key order by started_at, call_id)
),
gaps as (
    select *,
        cast(extract(epoch from next_started_at - started_at) * 1000 as bigint) as next_contact_after_ms,
        cast(extract(epoch from data_until - started_at) * 1000 as bigint) as followed_ms
    from known
),
windows as (
    select *,
        case when next_contact_after_ms <= 86400000 then true when followed_ms >= 86400000 then false end as repeat_within_1d,
        case when next_contact_after_ms <= 259200000 then true when followed_ms >= 259200000 then false end as repeat_within_3d,
        case when next_contact_after_ms <= 604800000 then true when followed_ms >= 604800000 then false end as repeat_within_7d,
        case when next_contact_after_ms <= 2592000000 then true when followed_ms >= 2592000000 then false end as repeat_within_30d
    from gaps
)
select
    call_id, customer_key, started_at, outcome, next_call_id, next_contact_after_ms,
    repeat_within_1d, repeat_within_3d, repeat_within_7d, repeat_within_30d,
    case when not said_resolved then false else not repeat_within_{days}d end as resolved_after_repeat_check,
    {days} as resolved_window_days,
    data_until,
    to_timestamp_millis({computed_at_ms}) as computed_at
from windows
order by started_at, call_id
