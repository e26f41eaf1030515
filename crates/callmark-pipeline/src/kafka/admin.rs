//! Metrics and health over HTTP, on an address of this machine unless the pipeline file says otherwise.

use super::failure::StreamError;
use super::metrics::Metrics;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What `/readyz` answers by.
#[derive(Debug, Default)]
pub(crate) struct Readiness {
    /// The group has answered and the partitions are open.
    pub(crate) ready: AtomicBool,
}

/// Serves `/metrics`, `/healthz` and `/readyz` until the process ends.
pub(crate) fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
) -> Result<SocketAddr, StreamError> {
    let listen = |source| StreamError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let text = [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    let router = Router::new()
        .route("/metrics", get(move || std::future::ready((text, metrics.text()))))
        .route("/healthz", get(|| std::future::ready("alive\n")))
        .route(
            "/readyz",
            get(move || {
                let ready = readiness.ready.load(Ordering::Relaxed);
                std::future::ready(if ready {
                    (StatusCode::OK, "ready\n")
                } else {
                    (StatusCode::SERVICE_UNAVAILABLE, "waiting for the group or the dataset\n")
                })
            }),
        );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| StreamError::Thread { what: "the admin server", reason: e.to_string() })?;
    let work = move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    if let Err(error) = axum::serve(listener, router).await {
                        tracing::error!(%error, "the admin server ended");
                    }
                }
                Err(error) => tracing::error!(%error, "the admin server did not start"),
            }
        });
    };
    std::thread::Builder::new()
        .name("admin".to_owned())
        .spawn(work)
        .map_err(|e| StreamError::Thread { what: "the admin server", reason: e.to_string() })?;
    tracing::info!(%bound, "metrics and health");
    Ok(bound)
}
