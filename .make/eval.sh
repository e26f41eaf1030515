#!/usr/bin/env bash
# Score the corpora and hold the datasets against their truth: eval.sh CALLMARK CORPUS OUT VENVS [calls|telephone|noise|demo|text|dialogues]...
# CALLMARK_ENGINE sets the engine. Exit status 1 when a requirement does not hold; a corpus that is absent is said to be and left out.
set -uo pipefail

callmark=$1 corpus=$2 out=$3 venvs=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
tools=$corpus/../tools
if [[ ! -d $corpus || ! -d $tools ]]; then
  echo "skipped: corpus absent at $corpus; set CALLMARK_CORPUS to the folder that holds synthetic/, wuw_telephone/ and noise_tau2/" >&2
  exit 0
fi
python=$("$here/venv.sh" "$venvs" "$tools/requirements.txt" "$here/eval-requirements.txt") || exit 1
mkdir -p "$out"
status=0

score() { # score NAME INPUT [flags]: a fresh dataset at $out/NAME
  local dataset=$out/$1
  rm -rf "$dataset"
  local begin=$EPOCHREALTIME
  "$callmark" score "$2" --out "$dataset" ${CALLMARK_ENGINE:+--engine "$CALLMARK_ENGINE"} "${@:3}" >"$out/$1.txt" || { echo "callmark score $2: exit status $?" >&2; status=1; }
  awk -v a="$begin" -v b="$EPOCHREALTIME" -v n="$1" 'BEGIN { printf "%s scored in %.1f s\n", n, b - a }'
}
require() { local r; for r in "$@"; do echo --require "$r"; done; }

set_of() {
  echo "== $1"
  case $1 in
    calls)
      local set=$corpus/synthetic/dev
      score calls "$set/audio" --calls "$set/calls.csv"
      # shellcheck disable=SC2046
      "$python" "$tools/eval_calls.py" "$out/calls" "$set/truth" --json "$out/calls.json" $(require \
        'calls_found==24' 'calls_duplicated==0' 'wer<=0.10' 'speaker_side_accuracy>=0.97' 'mono_wer<=0.15' \
        'mono_speaker_side_accuracy>=0.80' 'customer_talk_time_error_median<=0.08' \
        'hold_and_queue_error_median_ms<=1500' 'turn_start_error_median_ms<=300' 'human_request_f1>=0.90' \
        'calls_with_request_f1>=0.95' 'hard_negatives_fired<=0.05' 'deflection_f1>=0.80' 'offer_accepted_f1>=0.85' \
        'handoff_f1>=0.90' 'ai_disclosure_f1>=0.90' 'loop_f1>=0.75' 'interruption_f1>=0.75' 'honoured_accuracy>=0.90' \
        'human_reached_error_median_ms<=2000' 'outcome_accuracy>=0.85' 'outcome_resolved_or_not_accuracy>=0.92' \
        'resolved_at_error_median_ms<=4000' 'turn_sentiment_spearman>=0.70' 'call_sentiment_spearman>=0.85') || status=1
      "$python" "$here/personal.py" "$out/calls" "$set/truth" || status=1
      ;;
    telephone)
      score telephone "$corpus/wuw_telephone/audio"
      "$python" "$tools/eval_wer.py" "$out/telephone" "$corpus/wuw_telephone/manifest.jsonl" --require 'wer<=0.20' || status=1
      ;;
    noise)
      score noise "$corpus/noise_tau2/audio"
      "$python" "$here/noise.py" "$out/noise" --allow people_talking || status=1
      ;;
    demo)
      local demo=$here/../pipelines/demo
      score demo "$demo/audio" --calls "$demo/calls.csv"
      # shellcheck disable=SC2046
      "$python" "$tools/eval_calls.py" "$out/demo" "$demo/truth" $(require 'calls_found==8' 'calls_duplicated==0') || status=1
      ;;
    text)
      local asked=$corpus/text_human_request/utterances.jsonl said=$corpus/text_sentiment/utterances.jsonl
      "$callmark" classify --task human-request "$asked" >"$out/human_request.jsonl" || status=1
      # shellcheck disable=SC2046
      "$python" "$tools/eval_text.py" human-request "$out/human_request.jsonl" "$asked" $(require \
        'precision>=0.95' 'recall>=0.92') || status=1
      "$callmark" classify --task sentiment "$said" >"$out/sentiment.jsonl" || status=1
      "$python" "$here/vader.py" "$said" >"$out/vader.jsonl" || status=1
      for who in vader sentiment; do
        echo "-- $who"
        "$python" "$tools/eval_text.py" sentiment "$out/$who.jsonl" "$said" || status=1
      done
      ;;
    dialogues)
      for kind in tau sgd; do
        local set=$corpus/dialogues_$kind bound=success_accuracy\>=0.85
        [[ $kind == sgd ]] || bound=transfer_f1\>=0.90
        score "$kind" "$set/conversations.jsonl"
        "$python" "$here/dialogues.py" "$kind" "$out/$kind" "$set/labels.jsonl" --require "$bound" || status=1
      done
      ;;
    *)
      echo "error: unknown set $1; known: calls, telephone, noise, demo, text, dialogues" >&2
      status=1
      ;;
  esac
}

for name in "$@"; do set_of "$name"; done
exit $status
