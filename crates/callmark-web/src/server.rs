//! Listening: how many may come at once, how long they may take, and what every answer carries.

use crate::app::App;
use crate::error::WebError;
use crate::options::{ServeError, ServeOptions};
use crate::{api, pages};
use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

/// Connections at the same time; further ones wait to be taken.
const MOST_CONNECTIONS: usize = 512;
/// Connections of one address at the same time, this machine and proxies apart; further ones are closed at once.
const MOST_OF_ADDRESS: usize = 64;
/// The head of a request has to be there after this; an idle connection is closed after it.
const HEAD_WITHIN: Duration = Duration::from_secs(15);
/// Pause where the system gives no connection: nothing tells when it will again.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Longest head of a request, in bytes.
const MOST_HEAD_BYTES: usize = 32 << 10;
/// A connection is closed after this, whatever it does: who reads slowly holds it no longer.
const LONGEST_CONNECTION: Duration = Duration::from_hours(1);
/// Requests under way are waited for so long when the server is stopped.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// A server that listens.
pub struct Server {
    app: Arc<App>,
    listener: TcpListener,
}

impl Server {
    /// Reads the dataset, opens reviews and index, and listens.
    ///
    /// # Errors
    /// Where the options do not fit together, the dataset or the database cannot be read, or the address is taken.
    pub async fn bind(options: ServeOptions) -> Result<Self, ServeError> {
        let listen = options.listen;
        let app = App::open(options).await?;
        let listener = TcpListener::bind(listen).await.map_err(|source| ServeError::Io {
            what: format!("cannot listen on {listen} (--listen ADDRESS:PORT takes another)"),
            source,
        })?;
        Ok(Self { app, listener })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Where the system cannot tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Calls in the dataset.
    pub fn calls(&self) -> usize {
        self.app.catalogue().rows.len()
    }

    /// Whether somebody can log in, where people have to.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub async fn has_users(&self) -> Result<bool, ServeError> {
        Ok(self.app.reviews.users().await?.iter().any(|user| user.active))
    }

    /// Answers until `stop` is ready, then finishes what is under way.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let Self { app, listener } = self;
        let beside = tokio::spawn(Arc::clone(&app).keep_up());
        let proxies = app.options.proxies.clone();
        let router = router(app);
        let connections = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        let of_address = Arc::new(OfAddress::default());
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let permit = tokio::select! {
                // It is never closed.
                permit = Arc::clone(&connections).acquire_owned() => permit.ok(),
                () = &mut stop => break,
            };
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => if let Ok(accepted) = accepted {
                    accepted
                } else {
                    // Out of descriptors, or a peer that is gone already: others may still come.
                    tokio::time::sleep(REFUSED_PAUSE).await;
                    continue;
                },
                () = &mut stop => break,
            };
            let address = peer.ip().to_canonical();
            let is_shared = address.is_loopback() || proxies.contains(&address);
            let place = (!is_shared).then(|| OfAddress::take(&of_address, address));
            if matches!(place, Some(None)) {
                continue;
            }
            // An answer is often two small pieces. Without it each waits for the other side.
            let _ = stream.set_nodelay(true);
            let service =
                router.clone().map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
                    request.extensions_mut().insert(ConnectInfo(peer));
                    request.map(axum::body::Body::new)
                });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_WITHIN)
                .max_buf_size(MOST_HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
            let watched = graceful.watch(connection);
            tokio::spawn(async move {
                // How a connection ends is its peer's business.
                let _ = tokio::time::timeout(LONGEST_CONNECTION, watched).await;
                drop((permit, place));
            });
        }
        beside.abort();
        let _ = tokio::time::timeout(STOP_WITHIN, graceful.shutdown()).await;
    }
}

/// Connections that each address has.
#[derive(Debug, Default)]
struct OfAddress(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until it is dropped.
struct Place {
    of: Arc<OfAddress>,
    address: IpAddr,
}

impl OfAddress {
    /// A connection for this address, where it has not too many.
    fn take(of: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = of.lock();
        let count = taken.entry(address).or_default();
        if *count >= MOST_OF_ADDRESS {
            return None;
        }
        *count += 1;
        Some(Place { of: Arc::clone(of), address })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.of.lock();
        if let Some(count) = taken.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.address);
            }
        }
    }
}

fn router(app: Arc<App>) -> Router {
    Router::new()
        .merge(pages::routes())
        .nest("/api/v1", api::routes())
        .route(
            "/assets/style.css",
            get(async || asset("text/css; charset=utf-8", include_str!("../assets/style.css"))),
        )
        .route(
            "/assets/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("../assets/page.js"))),
        )
        .route("/assets/icon.svg", get(async || asset("image/svg+xml", include_str!("../assets/icon.svg"))))
        .fallback(|| async { WebError::NotFound("page") })
        .method_not_allowed_fallback(|| async { WebError::MethodNotAllowed })
        .with_state(app)
        .layer(middleware::from_fn(finish))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, text).into_response()
}

/// No script but the server's own files, no styles in the page, nothing from elsewhere, in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
    connect-src 'self'; frame-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

const HEADERS: [(HeaderName, &str); 7] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // What was said on a call is kept in no cache, unless an answer says otherwise.
    (header::CACHE_CONTROL, "no-store"),
];

/// Makes a page of what went wrong where a person asked, and adds what every answer carries.
async fn finish(uri: Uri, method: Method, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let is_api = uri.path().starts_with("/api/v1");
    if let Some(error) = response.extensions_mut().remove::<WebError>()
        && !is_api
    {
        response = pages::error_page(&error, &uri, &method);
    }
    for (name, value) in HEADERS {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_connections_and_no_more() {
        let all = Arc::new(OfAddress::default());
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut places: Vec<Place> =
            (0..MOST_OF_ADDRESS).filter_map(|_| OfAddress::take(&all, one)).collect();
        assert_eq!(places.len(), MOST_OF_ADDRESS);
        assert!(OfAddress::take(&all, one).is_none() && OfAddress::take(&all, other).is_some());
        places.pop();
        assert!(OfAddress::take(&all, one).is_some());
        drop(places);
        assert!(all.lock().is_empty());
    }
}
