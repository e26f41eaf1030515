//! Death at a chosen step, for tests of crashes: `CALLMARK_FAILPOINT=RecordNamed:3` kills the process when it comes to
//! that step for the third time. Without the variable nothing happens.

use callmark_store::CommitStep;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const VARIABLE: &str = "CALLMARK_FAILPOINT";

struct Failpoint {
    step: String,
    left: AtomicU64,
}

fn failpoint() -> Option<&'static Failpoint> {
    static FAILPOINT: OnceLock<Option<Failpoint>> = OnceLock::new();
    let read = || {
        let text = std::env::var(VARIABLE).ok()?;
        let (step, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some(Failpoint { step: step.to_owned(), left: AtomicU64::new(count.parse().ok()?) })
    };
    FAILPOINT.get_or_init(read).as_ref()
}

/// A step of the program was reached. For tests of crashes.
pub fn reached(step: &str) {
    if let Some(point) = failpoint().filter(|point| point.step == step)
        && point.left.fetch_sub(1, Ordering::Relaxed) == 1
    {
        std::process::abort();
    }
}

/// A step of a commit was reached.
pub(crate) fn at_step(step: CommitStep) {
    if failpoint().is_some() {
        reached(&format!("{step:?}"));
    }
}
