//! The comparison of AI and people, inside: made when it is asked for, once for each state of the dataset and the labels.

use crate::app::App;
use crate::labels::label_rows;
use callmark_compare::{analysis, cohort, report};
use callmark_query::Tables;
use std::sync::{Arc, Mutex};

/// Where the report of a state is.
#[derive(Debug, Clone)]
pub(crate) enum Report {
    Making,
    Made(Arc<str>),
    Failed(Arc<str>),
}

/// The newest report, with the state that it is of. One at a time is made: it takes what memory the comparison takes.
#[derive(Debug, Default)]
pub(crate) struct Reports(Mutex<Option<(String, Report)>>);

impl Reports {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(String, Report)>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The report of this state; begun where it has not been.
    pub(crate) fn of(app: &Arc<App>, state: &str) -> Report {
        let mut newest = app.reports.lock();
        if let Some((known, report)) = &*newest {
            // While one is made no other is begun: the one that is asked for next is newer still.
            if known == state || matches!(report, Report::Making) {
                return report.clone();
            }
        }
        *newest = Some((state.to_owned(), Report::Making));
        drop(newest);
        let (app, state) = (Arc::clone(app), state.to_owned());
        tokio::spawn(async move {
            let made = match make(&app).await {
                Ok(page) => Report::Made(page.into()),
                Err(reason) => Report::Failed(reason.into()),
            };
            *app.reports.lock() = Some((state, made));
        });
        Report::Making
    }
}

async fn make(app: &App) -> Result<String, String> {
    let mut labels = cohort::Labels::default();
    let reviewed = label_rows(&app.reviews).await.map_err(|e| e.to_string())?;
    if reviewed.num_rows() > 0 {
        labels.add_reviews(&reviewed).map_err(|e| e.to_string())?;
    }
    let tables = Tables::open(&app.options.dataset).await.map_err(|e| e.to_string())?;
    let calls = cohort::extract(&tables, &app.options.compare, &labels).await.map_err(|e| e.to_string())?;
    let config = app.options.compare.clone();
    let name = app
        .options
        .dataset
        .file_name()
        .map_or_else(|| "dataset".into(), |n| n.to_string_lossy().into_owned());
    let page = tokio::task::spawn_blocking(move || report::html(&analysis::compare(&calls, &config, &name)));
    page.await.map_err(|e| e.to_string())
}
