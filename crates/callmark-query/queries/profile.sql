-- One line a first handler: calls in which a person was due, and those in which one spoke in time.
with due as (
    select call_id, coalesce(first_handler, 'unknown') as first_handler, human_request_honoured as honoured,
        human_reached_ms, time_to_human_ms, human_reached_ms - time_to_human_ms as due_ms
    from calls
    where human_request_honoured is not null and not list_contains(flags, 'language_not_scored')
),
waited as (
    select d.call_id, min(e.start_ms) as queue_ms
    from due d join events e on e.call_id = d.call_id and e.type in ('queue', 'hold')
    where e.start_ms >= d.due_ms
    group by d.call_id
),
clocked as (
    select d.*,
        case '{clock}'
            when 'call_start' then human_reached_ms
            when 'queue' then coalesce(human_reached_ms - w.queue_ms, time_to_human_ms)
            else time_to_human_ms
        end as elapsed_ms
    from due d left join waited w on w.call_id = d.call_id
)
select first_handler,
    count(*) as due,
    count(*) filter (where honoured) as reached,
    count(*) filter (where honoured and elapsed_ms is null) as without_times,
    count(*) filter (where honoured and elapsed_ms <= {seconds} * 1000) as in_time
from clocked
group by 1
order by due desc, 1
