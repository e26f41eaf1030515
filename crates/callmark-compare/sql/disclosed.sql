-- Calls in which an AI said that it is one; a call may come more than once.
select call_id from events where type = 'ai_disclosure'
