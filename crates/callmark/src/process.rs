//! What the process asks of the system before its first thread starts.
//!
//! Only here because both are settings of the whole process, which no library may touch.

/// Blocks from this size on are handed back to the system when freed.
///
/// glibc raises this limit by itself, up to 32 MiB, each time a larger block is freed. The recogniser's buffers (up to
/// tens of MiB for every pack of speech) then pile up in the heaps of the worker threads with holes between them:
/// measured with `make bench-memory`, a fifth more resident memory, growing all day.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const RETURN_BLOCKS_FROM: libc::c_int = 1 << 20;

/// Heaps shared by the threads. Two workers and their call threads hardly ever wait for one another here.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const HEAPS: libc::c_int = 2;

/// Keeps memory flat over days of calls (glibc only; other allocators return large blocks anyway).
pub(crate) fn return_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "mallopt has no safe wrapper; it is sound before threads start")]
    // SAFETY: called first thing in `main`, when this is the only thread. A refused setting changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, RETURN_BLOCKS_FROM);
        libc::mallopt(libc::M_TRIM_THRESHOLD, RETURN_BLOCKS_FROM);
        libc::mallopt(libc::M_ARENA_MAX, HEAPS);
    }
}

/// Makes a write beyond the file-size limit (`ulimit -f`) fail with an error that names the file, not with a signal
/// that kills the process without a word.
pub(crate) fn refuse_large_files_with_an_error() {
    #[cfg(unix)]
    #[expect(unsafe_code, reason = "ignoring a signal has no safe wrapper; no handler of ours is involved")]
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}
