//! What a run says while it goes on: a bar with an estimate on a terminal, plain lines elsewhere.

use crate::exit::say;
use callmark_pipeline::Progress;
use callmark_types::Millis;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a plain line is written where there is no terminal.
const PLAIN_LINE_EVERY: Duration = Duration::from_secs(10);

/// Lost calls named on stderr; beyond that the list of dead letters serves better.
const LOST_CALLS_NAMED: usize = 20;

/// Shows a run's progress on stderr.
pub(crate) struct ProgressDisplay {
    state: RefCell<State>,
}

struct State {
    bar: Option<ProgressBar>,
    started: Instant,
    last_line: Instant,
    calls: usize,
    bytes: u64,
    calls_done: usize,
    bytes_done: u64,
    audio: Millis,
    lost: usize,
}

impl ProgressDisplay {
    /// A display that starts with the first event.
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let state = State {
            bar: None,
            started: now,
            last_line: now,
            calls: 0,
            bytes: 0,
            calls_done: 0,
            bytes_done: 0,
            audio: Millis::ZERO,
            lost: 0,
        };
        Self { state: RefCell::new(state) }
    }

    /// Takes in what the run tells.
    pub(crate) fn show(&self, event: Progress) {
        let mut state = self.state.borrow_mut();
        match event {
            Progress::Planned { calls, bytes, recovered, notes, device } => {
                for note in recovered.iter().chain(&notes) {
                    say(&format!("note: {note}"));
                }
                if let Some(device) = device {
                    say(&format!("transcribing on {device}"));
                }
                state.begin(calls, bytes);
            }
            Progress::Finished { bytes, audio } => state.finished(bytes, audio),
            Progress::Lost { reason } => state.lost(&reason),
            Progress::Noted { note } => state.line(&format!("note: {note}")),
            Progress::Committed { .. } => {}
        }
    }

    /// Removes the bar.
    pub(crate) fn close(&self) {
        if let Some(bar) = self.state.borrow_mut().bar.take() {
            bar.finish_and_clear();
        }
    }
}

impl State {
    fn begin(&mut self, calls: usize, bytes: u64) {
        self.calls = calls;
        self.bytes = bytes;
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(bytes.max(1)), ProgressDrawTarget::stderr());
            let template = "{bar:32} {percent:>3}%  {msg}  {elapsed} elapsed, about {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            self.bar = Some(bar);
        } else {
            say(&format!("{calls} calls to look at"));
        }
    }

    fn lost(&mut self, reason: &str) {
        self.lost += 1;
        match self.lost {
            n if n <= LOST_CALLS_NAMED => self.line(&format!("lost: {reason}")),
            n if n == LOST_CALLS_NAMED + 1 => {
                self.line("lost: more calls; `callmark dead-letters list` names them all");
            }
            _ => {}
        }
    }

    fn finished(&mut self, bytes: u64, audio: Millis) {
        self.calls_done += 1;
        self.bytes_done += bytes;
        self.audio = self.audio + audio;
        let speed = self.audio.seconds() / self.started.elapsed().as_secs_f64().max(0.001);
        let message = format!("{}/{} calls, {speed:.1}x real time", self.calls_done, self.calls);
        if let Some(bar) = &self.bar {
            bar.set_position(self.bytes_done);
            bar.set_message(message);
        } else if self.last_line.elapsed() >= PLAIN_LINE_EVERY {
            self.last_line = Instant::now();
            say(&format!("{message}{}", self.estimate()));
        }
    }

    fn estimate(&self) -> String {
        if self.bytes_done == 0 || self.bytes <= self.bytes_done {
            return String::new();
        }
        let left = self.started.elapsed().as_secs_f64() * (self.bytes - self.bytes_done) as f64
            / self.bytes_done as f64;
        format!(", about {} left", human_seconds(left))
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => say(text),
        }
    }
}

/// Seconds as people say them.
pub(crate) fn human_seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::human_seconds;

    #[test]
    fn seconds_read_as_people_say_them() {
        assert_eq!(human_seconds(59.4), "59 s");
        assert_eq!(human_seconds(61.0), "1 min 01 s");
        assert_eq!(human_seconds(7260.0), "2 h 01 min");
    }
}
