//! How the command line asks the node of this machine: one request, one connection.

mod config;

use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::net::UnixStream;

use super::api::{
    Check, Device, DeviceDetail, FleetInfo, GrantAsk, Granted, Invite, InviteAsk, InviteGiven,
    LabelAsk, Manager, ManagerRequest, Metric, PathReport, PongLine, Problem, ProblemKind,
    RevokeAsk, Saved, SignedInviteText, StatementText, Status,
};
use super::server::ANSWER_MS_MAX;
use crate::exit::Exit;
use crate::folder::default_state_dir;

/// The most bytes of an answer: a list of a hundred thousand devices has less.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A line of a streamed answer.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Somewhat more than the node allows itself, so that its own word comes first.
const WAIT_MS_MAX: u64 = ANSWER_MS_MAX + 10_000;

/// What stays as it is in a path or a parameter.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nothing listens.
    #[error(
        "no node runs with state folder {}: start it with `regatta up{}`",
        state.display(),
        hint(state)
    )]
    NoNode {
        /// The state folder that was meant.
        state: PathBuf,
    },
    /// The caller may not open the socket.
    #[error(
        "you may not use the control socket {}: {}use sudo",
        socket.display(),
        membership(group)
    )]
    NoRights {
        /// The socket.
        socket: PathBuf,
        /// The group whose members may, as far as it can be seen.
        group: String,
    },
    /// Something went wrong with the connection.
    #[error("the node on {} did not answer: {error}", socket.display())]
    Broken {
        /// The socket.
        socket: PathBuf,
        /// What happened.
        error: String,
    },
    /// The node answered, and did not do it.
    #[error("{0}")]
    Problem(#[from] Problem),
    /// What was received could not be handed on.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl ClientError {
    /// How the command ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoNode { .. } | Self::NoRights { .. } | Self::Broken { .. } => Exit::UNREACHABLE,
            Self::Problem(problem) => match problem.kind {
                ProblemKind::Bug => Exit::BUG,
                ProblemKind::Usage => Exit::USAGE,
                _ => Exit::ALL_FAILED,
            },
            Self::Output(_) => Exit::ALL_FAILED,
        }
    }
}

/// The socket's name in the state folder.
pub const SOCKET_NAME: &str = "control.sock";

/// ` --state-dir X`, where that has to be typed.
pub(crate) fn hint(state: &Path) -> String {
    if state == default_state_dir() {
        return String::new();
    }
    format!(" --state-dir {}", state.display())
}

/// Where a node is asked. Nothing is opened before the first question.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
    state: PathBuf,
}

impl Client {
    /// Asks on the socket; `state` is what messages name.
    #[must_use]
    pub fn new(socket: PathBuf, state: PathBuf) -> Self {
        Self { socket, state }
    }

    /// Asks the node with this state folder.
    #[must_use]
    pub fn of_state(state: &Path) -> Self {
        Self::new(state.join(SOCKET_NAME), state.to_owned())
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call("GET", path, Bytes::new()).await
    }

    async fn post<A: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        ask: &A,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(ask)
            .map_err(|error| Problem::bug(format!("the request is no JSON: {error}")))?;
        self.call("POST", path, body.into()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let asked = async {
            let answer = self.send(method, path, body).await?;
            let done = answer.status().is_success();
            let bytes = self.whole(answer).await?;
            if !done {
                return Err(self.problem(&bytes));
            }
            serde_json::from_slice(&bytes).map_err(|error| self.broken(format!(
                "its answer is not what this version of regatta reads ({error}); are both of one version?"
            )))
        };
        let limit = Duration::from_millis(WAIT_MS_MAX);
        let answered = tokio::time::timeout(limit, asked).await;
        answered.unwrap_or_else(|_| {
            Err(self.broken("it took longer than a minute; whether it was done is not known"))
        })
    }

    async fn whole(&self, answer: Response<Incoming>) -> Result<Bytes, ClientError> {
        let collected = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect();
        let collected = collected.await.map_err(|error| self.broken(error))?;
        Ok(collected.to_bytes())
    }

    fn problem(&self, bytes: &[u8]) -> ClientError {
        match serde_json::from_slice::<Problem>(bytes) {
            // Made one line again: what answers there need not be a node of ours.
            Ok(problem) => Problem::new(problem.kind, problem.error).into(),
            Err(_) => self.broken("what answers there is no node of this version"),
        }
    }

    fn broken(&self, error: impl fmt::Display) -> ClientError {
        ClientError::Broken {
            socket: self.socket.clone(),
            error: Problem::bug(error.to_string()).error,
        }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, ClientError> {
        let stream = UnixStream::connect(&self.socket).await;
        let stream = stream.map_err(|error| self.not_connected(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.broken(error))?;
        // It ends with the sender or with the node, whichever goes first.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "localhost")
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Problem::bug(format!("the request cannot be written: {error}")))?;
        sender
            .send_request(request)
            .await
            .map_err(|error| self.broken(error))
    }

    fn not_connected(&self, error: &io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NoNode {
                state: self.state.clone(),
            },
            io::ErrorKind::PermissionDenied => ClientError::NoRights {
                socket: self.socket.clone(),
                group: group_of(&self.socket),
            },
            _ => self.broken(error),
        }
    }
}

/// Nobody should become a member of root's group for this.
fn membership(group: &str) -> String {
    match group {
        "root" => String::new(),
        group => format!("become a member of the unix group {group}, or "),
    }
}

/// The group's name of the socket, or of the folder that hides it.
fn group_of(socket: &Path) -> String {
    let found = socket
        .ancestors()
        .find_map(|path| path.symlink_metadata().ok());
    let Some(gid) = found.map(|found| found.gid().to_string()) else {
        return "regatta".to_owned();
    };
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == gid).then(|| name.to_owned())
    });
    name.unwrap_or(gid)
}

fn encoded(name: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(name, ENCODED)
}

fn of_device(name: &str, what: &str) -> String {
    format!("/v1/devices/{}{what}", encoded(name))
}

/// The API, call by call; see the paths of `/openapi.json`.
#[expect(
    clippy::missing_errors_doc,
    reason = "all of them end in ClientError for the reasons that it lists"
)]
impl Client {
    /// How the node is.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get("/v1/status").await
    }

    /// The devices that a selector selects, or all.
    pub async fn devices(&self, selector: Option<&str>) -> Result<Vec<Device>, ClientError> {
        match selector {
            Some(selector) => {
                self.get(&format!("/v1/devices?selector={}", encoded(selector)))
                    .await
            }
            None => self.get("/v1/devices").await,
        }
    }

    /// One device.
    pub async fn device(&self, name: &str) -> Result<DeviceDetail, ClientError> {
        self.get(&of_device(name, "")).await
    }

    /// The managers.
    pub async fn managers(&self) -> Result<Vec<Manager>, ClientError> {
        self.get("/v1/managers").await
    }

    /// The invites.
    pub async fn invites(&self) -> Result<Vec<Invite>, ClientError> {
        self.get("/v1/invites").await
    }

    /// What is needed to work with the root key.
    pub async fn fleet(&self) -> Result<FleetInfo, ClientError> {
        self.get("/v1/fleet").await
    }

    /// Makes an invite for devices.
    pub async fn invite(&self, ask: &InviteAsk) -> Result<InviteGiven, ClientError> {
        self.post("/v1/invites", ask).await
    }

    /// Records an invite that the root signed.
    pub async fn record_invite(&self, signed: &SignedInviteText) -> Result<Saved, ClientError> {
        self.post("/v1/invites/signed", signed).await
    }

    /// Changes a device's labels.
    pub async fn label(&self, name: &str, ask: &LabelAsk) -> Result<Saved, ClientError> {
        self.post(&of_device(name, "/labels"), ask).await
    }

    /// Stops a device, or an invite.
    pub async fn revoke(&self, name: &str, ask: &RevokeAsk) -> Result<Saved, ClientError> {
        self.post(&format!("/v1/revocations/{}", encoded(name)), ask)
            .await
    }

    /// Lists a device no more.
    pub async fn forget(&self, name: &str) -> Result<Saved, ClientError> {
        self.post(&of_device(name, "/forget"), &()).await
    }

    /// Makes an invite for new hardware in a device's place.
    pub async fn replace(&self, name: &str, ask: &InviteAsk) -> Result<InviteGiven, ClientError> {
        self.post(&of_device(name, "/replace"), ask).await
    }

    /// Renews a device's certificate, or the node's own.
    pub async fn renew(&self, name: Option<&str>) -> Result<Saved, ClientError> {
        match name {
            Some(name) => self.post(&of_device(name, "/renew"), &()).await,
            None => self.post("/v1/renew", &()).await,
        }
    }

    /// Signs a certificate for an operator.
    pub async fn grant(&self, ask: &GrantAsk) -> Result<Granted, ClientError> {
        self.post("/v1/grants", ask).await
    }

    /// The nodes that wait until the root makes them managers.
    pub async fn requests(&self) -> Result<Vec<ManagerRequest>, ClientError> {
        self.get("/v1/requests").await
    }

    /// Hands in something that the root signed.
    pub async fn statement(&self, text: &StatementText) -> Result<Saved, ClientError> {
        self.post("/v1/statements", text).await
    }

    /// How a device is reached.
    pub async fn path(&self, name: &str) -> Result<PathReport, ClientError> {
        self.get(&of_device(name, "/path")).await
    }

    /// What is wrong on the node.
    pub async fn doctor(&self) -> Result<Vec<Check>, ClientError> {
        self.get("/v1/doctor").await
    }

    /// The node's numbers.
    pub async fn metrics(&self) -> Result<Vec<Metric>, ClientError> {
        self.get("/v1/metrics").await
    }

    /// Probes a device so many times; each answer is handed on as it comes.
    pub async fn ping(
        &self,
        name: &str,
        count: u32,
        interval_ms: u64,
        each: impl FnMut(PongLine) -> io::Result<()>,
    ) -> Result<(), ClientError> {
        let parameters = format!("/ping?count={count}&interval_ms={interval_ms}");
        self.lines(&of_device(name, &parameters), each).await
    }

    /// Hands on each line of a streamed answer as it comes.
    async fn lines<T: DeserializeOwned>(
        &self,
        path: &str,
        mut each: impl FnMut(T) -> io::Result<()>,
    ) -> Result<(), ClientError> {
        let answer = self.send("GET", path, Bytes::new()).await?;
        if !answer.status().is_success() {
            let bytes = self.whole(answer).await?;
            return Err(self.problem(&bytes));
        }
        let mut body = answer.into_body();
        let mut held = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.broken(error))?;
            held.extend_from_slice(frame.data_ref().map_or(&[], |bytes| bytes));
            while let Some(end) = held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = held.drain(..=end).collect();
                let line = serde_json::from_slice(&line).map_err(|error| self.broken(error))?;
                each(line)?;
            }
            if held.len() > LINE_BYTES_MAX {
                return Err(self.broken("a line of its answer has no end"));
            }
        }
        Ok(())
    }
}
