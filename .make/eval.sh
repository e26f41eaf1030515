#!/usr/bin/env bash
# Score the corpora and hold the datasets against their truth: eval.sh CALLMARK CORPUS OUT VENVS [calls|telephone|noise|demo]...
# Exit status 1 when a requirement does not hold; a corpus that is absent is said to be and left out.
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
  "$callmark" score "$2" --out "$dataset" "${@:3}" >"$out/$1.txt" || { echo "callmark score $2: exit status $?" >&2; status=1; }
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
        'hold_and_queue_error_median_ms<=1500' 'turn_start_error_median_ms<=300') || status=1
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
    *)
      echo "error: unknown set $1; known: calls, telephone, noise, demo" >&2
      status=1
      ;;
  esac
}

for name in "$@"; do set_of "$name"; done
exit $status
