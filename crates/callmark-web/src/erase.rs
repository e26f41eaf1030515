//! Erasure of what is kept beside a dataset about calls that are erased: reviews, the search index, decoded recordings.

use crate::options::ServeError;
use crate::reviews::Reviews;
use crate::search::Search;
use std::path::Path;

/// Takes everything about these calls, and the `names` of their customers, out of the reviews (in the database at `url`, or
/// in `state`), and deletes the search index's content and all decoded recordings in `state`: both are made again from what is left. A server that runs
/// meanwhile sees the changed dataset by itself. Returns how many rows of reviews went or were changed.
///
/// # Errors
/// Where the database or the index cannot be written, or a recording not be deleted.
pub async fn forget_calls(
    state: &Path,
    url: Option<&str>,
    call_ids: &[String],
    names: &[String],
) -> Result<u64, ServeError> {
    if url.is_none() && !state.exists() {
        return Ok(0);
    }
    let io = |what: String| move |source| ServeError::Io { what, source };
    let reviews = Reviews::open(url, state).await?;
    let rows = reviews.erase(call_ids, names).await?;
    Search::open(state).await?.make_empty().await?;
    let kept = state.join(crate::audio::KEPT);
    match std::fs::remove_dir_all(&kept) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(io(format!("cannot delete {}", kept.display()))(e))
        }
        _ => Ok(rows),
    }
}
