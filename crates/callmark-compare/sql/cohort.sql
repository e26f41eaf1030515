-- What a comparison reads of each call, in no order: the comparison orders calls itself, which is quicker than here.
select
    call_id, started_at, first_handler, final_handler, handler_segments, customer_key, queue, issue_type, language,
    outcome, resolution_time_ms, resolution_confidence, total_conversation_duration_ms,
    sentiment_overall_score_customer, sentiment_end_score_customer, sentiment_start_score_customer,
    human_request_count, first_human_request_ms, deflection_count, human_reached_ms, time_to_human_ms,
    asr_confidence, hallucination_risk, flags
from calls
