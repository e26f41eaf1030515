//! What all requests share: the catalogue as it is now, the index, the reviews, the recordings, and what is done beside
//! requests.

use crate::access::LoginLimits;
use crate::audio::Recordings;
use crate::calls::{hide_personal, read_call};
use crate::catalogue::{Catalogue, Filter, Mark, Row, RowSet};
use crate::error::WebError;
use crate::norms::Norms;
use crate::options::{ServeError, ServeOptions};
use crate::report::Reports;
use crate::reviews::{Reviews, Role, User, random_token};
use crate::scorecard::Scorecard;
use crate::search::Search;
use callmark_types::ScoredCall;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;

/// How often the dataset is looked at for new calls, at most.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Looking takes no more than this share of the time.
const LOOKING_SHARE: u32 = 20;
/// Calls that are read from the tables at the same time.
const READS_AT_ONCE: usize = 4;

/// The server's state.
pub(crate) struct App {
    pub(crate) options: ServeOptions,
    pub(crate) reviews: Reviews,
    pub(crate) search: Search,
    pub(crate) recordings: Recordings,
    pub(crate) cards: Vec<Scorecard>,
    pub(crate) logins: LoginLimits,
    pub(crate) reports: Reports,
    /// Of this run alone; tokens of forms are made with it where there are no sessions.
    pub(crate) secret: String,
    catalogue: RwLock<Arc<Catalogue>>,
    norms: RwLock<Arc<Norms>>,
    /// What is wrong with the dataset or the index now, for those who look.
    trouble: RwLock<Option<String>>,
    reads: Semaphore,
}

impl App {
    pub(crate) async fn open(options: ServeOptions) -> Result<Arc<Self>, ServeError> {
        options.check()?;
        let dataset = options.dataset.clone();
        let loaded = tokio::task::spawn_blocking(move || Catalogue::default().renewed(&dataset));
        let internal = |e: tokio::task::JoinError| ServeError::Options(format!("internal error: {e}"));
        let catalogue = loaded.await.map_err(internal)??.unwrap_or_default();
        let reviews = Reviews::open(options.database.as_deref(), &options.state).await?;
        let search = Search::open(&options.state).await?;
        let recordings = Recordings::new(&options.audio, &options.state).map_err(ServeError::Options)?;
        let cards = Scorecard::read_folder(&options.scorecards)?;
        Ok(Arc::new(Self {
            reviews,
            search,
            recordings,
            cards,
            logins: LoginLimits::default(),
            reports: Reports::default(),
            secret: random_token()?,
            catalogue: RwLock::new(Arc::new(catalogue)),
            norms: RwLock::default(),
            trouble: RwLock::new(None),
            reads: Semaphore::new(READS_AT_ONCE),
            options,
        }))
    }

    /// The calls as they are now.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.catalogue.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn norms(&self) -> Arc<Norms> {
        Arc::clone(&self.norms.read().unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        if let Some(trouble) = trouble.as_ref().filter(|trouble| self.trouble().as_ref() != Some(*trouble)) {
            tracing::warn!("{trouble}");
        }
        *self.trouble.write().unwrap_or_else(std::sync::PoisonError::into_inner) = trouble;
    }

    /// Keeps catalogue, index and norms as new as the dataset, until the task is dropped.
    pub(crate) async fn keep_up(self: Arc<Self>) {
        loop {
            let began = Instant::now();
            let trouble = self.look().await.err();
            self.set_trouble(trouble);
            tokio::time::sleep(LOOK_EVERY.max(began.elapsed() * LOOKING_SHARE)).await;
        }
    }

    async fn look(&self) -> Result<(), String> {
        let (old, dataset) = (self.catalogue(), self.options.dataset.clone());
        let of = Arc::clone(&old);
        let renewed = tokio::task::spawn_blocking(move || of.renewed(&dataset));
        if let Some(renewed) = renewed.await.map_err(|e| e.to_string())?.map_err(|e| e.to_string())? {
            if !renewed.has_grown_from(&old) {
                // Something was erased: sound that was made of it goes too. The index sees it by itself.
                self.recordings.forget().map_err(|e| format!("cannot delete decoded recordings: {e}"))?;
            }
            *self.catalogue.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(renewed);
        }
        let catalogue = self.catalogue();
        if self.norms().are_old(catalogue.rows.len()) {
            let (of, dataset) = (Arc::clone(&catalogue), self.options.dataset.clone());
            let norms = tokio::task::spawn_blocking(move || Norms::of(&dataset, &of)).await;
            let norms = norms.map_err(|e| e.to_string())??;
            *self.norms.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(norms);
        }
        if !self.search.is_of(&catalogue) {
            self.search.catch_up(&self.options.dataset, &catalogue).await.map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// The sets of calls that the marks of a filter stand for.
    pub(crate) async fn sets(
        &self,
        catalogue: &Catalogue,
        filter: &Filter,
        user: &User,
    ) -> Result<Vec<RowSet>, WebError> {
        let mut sets = Vec::new();
        for mark in &filter.marks {
            let of_ids = |ids: std::collections::HashSet<String>| -> RowSet {
                ids.iter().filter_map(|id| catalogue.find(id)).map(|(row, _)| row).collect()
            };
            sets.push(match mark {
                Mark::Said(question) => self.search.said(question, catalogue).await?,
                Mark::Found(marks) => self.search.found(marks, catalogue).await?,
                Mark::Reviewed(yes) | Mark::ReviewedByMe(yes) => {
                    let by = matches!(mark, Mark::ReviewedByMe(_)).then_some(user.user_id.as_str());
                    let done = of_ids(self.reviews.done_calls(by).await?);
                    match yes {
                        true => done,
                        false => {
                            (0..catalogue.rows.len() as u32).filter(|row| !done.contains(*row)).collect()
                        }
                    }
                }
                Mark::Assigned(None) => of_ids(self.reviews.assigned_calls(&user.user_id).await?),
                Mark::Assigned(Some(name)) => match self.reviews.user_by_name(name).await? {
                    Some((assignee, _)) => of_ids(self.reviews.assigned_calls(&assignee.user_id).await?),
                    None => RowSet::default(),
                },
                Mark::Sample(name) => of_ids(self.reviews.sample_calls(name).await?.unwrap_or_default()),
            });
        }
        Ok(sets)
    }

    /// The call `id` with its row; personal data is hidden from those who may not see it.
    pub(crate) async fn call(&self, id: &str, user: &User) -> Result<(u32, Row, ScoredCall), WebError> {
        let mut found = self.call_as_it_is(id).await?;
        if user.role < Role::Lead {
            hide_personal(&mut found.2);
        }
        Ok(found)
    }

    pub(crate) async fn call_as_it_is(&self, id: &str) -> Result<(u32, Row, ScoredCall), WebError> {
        let catalogue = self.catalogue();
        let gone = || WebError::NotFound("call");
        let (number, row) = catalogue.find(id).ok_or_else(gone)?;
        let path = Arc::clone(catalogue.file_of(row).ok_or_else(gone)?);
        let (dataset, id) = (self.options.dataset.clone(), id.to_owned());
        // It is never closed.
        let _turn = self.reads.acquire().await.ok();
        let read = tokio::task::spawn_blocking(move || read_call(&dataset, &path, &id)).await;
        let call = read.map_err(|e| WebError::Internal(e.to_string()))?.map_err(WebError::Dataset)?;
        Ok((number, row.clone(), call.ok_or_else(gone)?))
    }
}
