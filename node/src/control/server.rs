//! The control API over a unix socket: who calls is checked first, and what changes is logged with who.
//!
//! One request for each connection, so that whoever holds one open holds one place, for a while.
//! The router is a table ([`routes`]): the API's document is written from the same rows.

mod access;
mod answer;
mod openapi;
mod prometheus;
mod routes;
mod socket;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use regatta_protocol::trust::certificate::Capability;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::access::Access;
pub use self::access::{Caller, Rights};
use self::answer::{Scope, answer};
pub use self::openapi::document;
pub use self::socket::BindError;
use self::socket::ControlSocket;
use crate::desk::Desk;

/// Connections that are served at once; others wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 64;
/// Readers of `/metrics` over TCP that are served at once.
pub const SCRAPERS_MAX: usize = 8;
/// The most bytes that a request's body may have.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// The same of documents.
pub const APPLY_BYTES_MAX: usize = 32 * 1024 * 1024;
/// The same of a file by content.
pub const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The most bytes that a request's line and headers may have.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a caller may take for its headers, and again for its body.
pub const READ_MS_MAX: u64 = 10_000;
/// How long the node may take for one answer.
pub const ANSWER_MS_MAX: u64 = 60_000;
/// How often it is said that callers wait.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// How long answers that are under way may take when the node stops.
pub const GRACE_MS: u64 = 3_000;

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Where the socket is.
    pub socket: PathBuf,
    /// The unix group whose members may use it; skipped where there is none of that name.
    pub group: String,
    /// Unix users who have a part of this node's capabilities, instead of all of them.
    pub users: BTreeMap<String, Vec<Capability>>,
    /// Where `/metrics` is served without asking who reads; a loopback address.
    pub metrics: Option<SocketAddr>,
}

/// A server that has its sockets and answers nobody yet.
#[derive(Debug)]
pub struct Server {
    socket: ControlSocket,
    metrics: Option<TcpListener>,
    access: Access,
}

impl Server {
    /// Takes the sockets; a socket file that a dead process left is replaced.
    ///
    /// # Errors
    /// When another node answers there, or the place cannot be used.
    pub async fn bind(settings: ServerSettings) -> Result<Self, BindError> {
        let socket = ControlSocket::bind(&settings.socket, &settings.group)?;
        let metrics = match settings.metrics {
            Some(address) => Some(socket::listen_for_metrics(address).await?),
            None => None,
        };
        let access = Access::new(socket.owner(), socket.group(), settings.users);
        Ok(Self {
            socket,
            metrics,
            access,
        })
    }

    /// Where `/metrics` is served over TCP.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Answers until `shutdown` is done; then lets answers under way end, for a moment, and removes
    /// the socket file.
    pub async fn serve(self, desk: Desk, shutdown: impl Future<Output = ()>) {
        let access = Arc::new(self.access);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let scrapers = Arc::new(Semaphore::new(SCRAPERS_MAX));
        let mut tasks = JoinSet::new();
        let mut shortage = Shortage::default();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                accepted = accept(&places, self.socket.listener().accept()) => match accepted {
                    Ok((place, (stream, _))) => {
                        let caller = access.identify(&stream);
                        let desk = desk.clone();
                        tasks.spawn(connection(place, stream, desk, Scope::Control(caller)));
                    }
                    Err(error) => shortage.backed_off(&error).await,
                },
                accepted = accept_scraper(&scrapers, self.metrics.as_ref()) => match accepted {
                    Ok((place, (stream, _))) => {
                        tasks.spawn(connection(place, stream, desk.clone(), Scope::Metrics));
                    }
                    Err(error) => shortage.backed_off(&error).await,
                },
                Some(_) = tasks.join_next() => {}
            }
        }
        // Nobody new from here on, while those who were let in get their answers.
        let ending = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_millis(GRACE_MS), ending).await;
    }
}

/// Binds and serves in one: for whoever needs no word in between.
///
/// # Errors
/// As [`Server::bind`].
pub async fn serve(
    desk: Desk,
    settings: ServerSettings,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BindError> {
    Server::bind(settings).await?.serve(desk, shutdown).await;
    Ok(())
}

/// The next connection, once there is a place for it.
async fn accept<T>(
    places: &Arc<Semaphore>,
    next: impl Future<Output = std::io::Result<T>>,
) -> std::io::Result<(OwnedSemaphorePermit, T)> {
    let place = Arc::clone(places).acquire_owned().await;
    let place = place.map_err(std::io::Error::other)?;
    Ok((place, next.await?))
}

async fn accept_scraper(
    places: &Arc<Semaphore>,
    listener: Option<&TcpListener>,
) -> std::io::Result<(OwnedSemaphorePermit, (tokio::net::TcpStream, SocketAddr))> {
    match listener {
        Some(listener) => accept(places, listener.accept()).await,
        None => std::future::pending().await,
    }
}

/// Out of file descriptors, mostly.
#[derive(Default)]
struct Shortage {
    said: Option<Instant>,
}

impl Shortage {
    /// Waits, since trying again at once would spin, and says so once a minute.
    async fn backed_off(&mut self, error: &std::io::Error) {
        if self.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
            self.said = Some(Instant::now());
            tracing::warn!(%error, "a control connection could not be accepted");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn connection<S>(place: OwnedSemaphorePermit, stream: S, desk: Desk, scope: Scope)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let scope = Arc::new(scope);
    let service = service_fn(move |request| {
        let (desk, scope) = (desk.clone(), Arc::clone(&scope));
        async move { answer(&desk, &scope, request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(READ_MS_MAX))
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        // Callers may close their half once they have asked.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a control connection ended early");
    }
    drop(place);
}

#[cfg(test)]
mod tests;
