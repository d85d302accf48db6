//! Every path of the API in one table: what it does, who may, what goes in and comes out.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::control::api::{
    Applied, ApplyAsk, BodyGiven, Check, ConfigDetail, ConfigSummary, ConfigVersion, Conflict,
    Device, DeviceDetail, DriftedFile, Effective, Explanation, FleetInfo, GrantAsk, Granted,
    Invite, InviteAsk, InviteGiven, LabelAsk, LocalValue, Manager, ManagerRequest, Metric,
    PathReport, PongLine, Preview, RevokeAsk, RollbackAsk, RolloutAsk, RolloutStatus, Saved,
    SignedInviteText, StatementText, Status,
};
use regatta_protocol::trust::certificate::Capability;

/// What a row asks the desk for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Status,
    Devices,
    Device,
    Label,
    Forget,
    Replace,
    RenewDevice,
    Ping,
    Path,
    Managers,
    Requests,
    Invites,
    Invite,
    RecordInvite,
    Revoke,
    Renew,
    Grant,
    Statement,
    KeepBody,
    Apply,
    Configs,
    Config,
    History,
    Rollback,
    Rollout,
    Steer,
    Conflicts,
    Drift,
    Effective,
    Preview,
    Explain,
    LocalValue,
    WatchLocal,
    Fleet,
    Doctor,
    Metrics,
    MetricsText,
    Document,
}

/// How something is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// A question.
    Get,
    /// A change, which is logged with who asked for it.
    Post,
}

impl Method {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

/// What an answer is made of.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    Json(Shape),
    /// One JSON value for each line, as they come.
    Lines(Shape),
    Text,
    /// JSON that another standard describes.
    AnyJson,
}

/// The JSON schema of a type.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub call: Call,
    pub method: Method,
    /// With at most one `{name}`, which is one segment.
    pub path: &'static str,
    /// What a caller needs who has only a part of the node's capabilities.
    pub needs: &'static [Capability],
    pub about: &'static str,
    /// Parameters that may follow a `?`, with what they say.
    pub query: &'static [(&'static str, &'static str)],
    pub takes: Option<Shape>,
    pub gives: Content,
}

const fn get(call: Call, path: &'static str, about: &'static str, gives: Content) -> Route {
    Route {
        call,
        method: Method::Get,
        path,
        needs: &[],
        about,
        query: &[],
        takes: None,
        gives,
    }
}

const fn post(
    call: Call,
    path: &'static str,
    about: &'static str,
    takes: Option<Shape>,
    gives: Shape,
) -> Route {
    Route {
        method: Method::Post,
        takes,
        ..get(call, path, about, Content::Json(gives))
    }
}

impl Route {
    const fn needs(mut self, capabilities: &'static [Capability]) -> Self {
        self.needs = capabilities;
        self
    }

    const fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }
}

/// The table. What the root signed needs no capability here: its signature is what counts.
pub const ROUTES: [Route; 38] = [
    get(
        Call::Status,
        "/v1/status",
        "How this node is",
        Content::Json(of::<Status>),
    ),
    get(
        Call::Devices,
        "/v1/devices",
        "The devices",
        Content::Json(of::<Vec<Device>>),
    )
    .query(&[(
        "selector",
        "which devices: site=osaka,role!=dock; without, all",
    )]),
    get(
        Call::Device,
        "/v1/devices/{name}",
        "One device",
        Content::Json(of::<DeviceDetail>),
    ),
    post(
        Call::Label,
        "/v1/devices/{name}/labels",
        "Sets and removes labels",
        Some(of::<LabelAsk>),
        of::<Saved>,
    )
    .needs(&[Capability::DeviceEnrol]),
    post(
        Call::Forget,
        "/v1/devices/{name}/forget",
        "Lists a device no more",
        None,
        of::<Saved>,
    )
    .needs(&[Capability::DeviceEnrol, Capability::Stop]),
    post(
        Call::Replace,
        "/v1/devices/{name}/replace",
        "Makes an invite for new hardware in a device's place",
        Some(of::<InviteAsk>),
        of::<InviteGiven>,
    )
    .needs(&[Capability::DeviceEnrol, Capability::Stop]),
    post(
        Call::RenewDevice,
        "/v1/devices/{name}/renew",
        "Renews a device's certificate",
        None,
        of::<Saved>,
    )
    .needs(&[Capability::DeviceEnrol]),
    get(
        Call::Ping,
        "/v1/devices/{name}/ping",
        "Probes a device, an answer for each probe as it comes",
        Content::Lines(of::<PongLine>),
    )
    .query(&[
        ("count", "how many probes, 1 to 1000; without, 1"),
        (
            "interval_ms",
            "between two probes, 100 to 60000; without, 1000",
        ),
    ]),
    get(
        Call::Path,
        "/v1/devices/{name}/path",
        "How a device is reached",
        Content::Json(of::<PathReport>),
    ),
    get(
        Call::Managers,
        "/v1/managers",
        "The managers",
        Content::Json(of::<Vec<Manager>>),
    ),
    get(
        Call::Requests,
        "/v1/requests",
        "The nodes that wait until the root makes them managers",
        Content::Json(of::<Vec<ManagerRequest>>),
    ),
    get(
        Call::Invites,
        "/v1/invites",
        "The invites",
        Content::Json(of::<Vec<Invite>>),
    ),
    post(
        Call::Invite,
        "/v1/invites",
        "Makes an invite for devices",
        Some(of::<InviteAsk>),
        of::<InviteGiven>,
    )
    .needs(&[Capability::DeviceEnrol]),
    post(
        Call::RecordInvite,
        "/v1/invites/signed",
        "Records an invite that the root signed",
        Some(of::<SignedInviteText>),
        of::<Saved>,
    ),
    post(
        Call::Revoke,
        "/v1/revocations/{name}",
        "Stops a device, or an invite by its id",
        Some(of::<RevokeAsk>),
        of::<Saved>,
    )
    .needs(&[Capability::Stop]),
    post(
        Call::Renew,
        "/v1/renew",
        "Renews this node's own certificate",
        None,
        of::<Saved>,
    )
    .needs(&[Capability::DeviceEnrol]),
    post(
        Call::Grant,
        "/v1/grants",
        "Signs a certificate for an operator",
        Some(of::<GrantAsk>),
        of::<Granted>,
    )
    .needs(&[Capability::Delegate]),
    post(
        Call::Statement,
        "/v1/statements",
        "Takes something that the root signed",
        Some(of::<StatementText>),
        of::<Saved>,
    ),
    post(
        Call::KeepBody,
        "/v1/bodies",
        "Keeps the bytes of a file that a document is about to name; the request's body is the bytes",
        None,
        of::<BodyGiven>,
    )
    .needs(&[Capability::ConfigWrite]),
    post(
        Call::Apply,
        "/v1/configs",
        "Writes documents, all of them or none",
        Some(of::<ApplyAsk>),
        of::<Applied>,
    )
    .needs(&[Capability::ConfigWrite]),
    get(
        Call::Configs,
        "/v1/configs",
        "The documents, and how far devices are with them",
        Content::Json(of::<Vec<ConfigSummary>>),
    ),
    get(
        Call::Config,
        "/v1/configs/{name}",
        "One document, device by device",
        Content::Json(of::<ConfigDetail>),
    ),
    get(
        Call::History,
        "/v1/configs/{name}/history",
        "Every version of a document, the latest first",
        Content::Json(of::<Vec<ConfigVersion>>),
    ),
    post(
        Call::Rollback,
        "/v1/configs/{name}/rollback",
        "Writes a document as it was in an earlier version",
        Some(of::<RollbackAsk>),
        of::<Applied>,
    )
    .needs(&[Capability::ConfigWrite]),
    get(
        Call::Rollout,
        "/v1/configs/{name}/rollout",
        "How far a change has gone out in waves",
        Content::Json(of::<RolloutStatus>),
    ),
    post(
        Call::Steer,
        "/v1/configs/{name}/rollout",
        "Pauses, resumes or aborts a rollout",
        Some(of::<RolloutAsk>),
        of::<Saved>,
    )
    .needs(&[Capability::ConfigWrite]),
    get(
        Call::Conflicts,
        "/v1/conflicts",
        "Changes that were made without seeing each other",
        Content::Json(of::<Vec<Conflict>>),
    ),
    get(
        Call::Drift,
        "/v1/drift",
        "Files that somebody changed by hand",
        Content::Json(of::<Vec<DriftedFile>>),
    ),
    get(
        Call::Effective,
        "/v1/devices/{name}/config",
        "A device's configuration, as the documents say it; secrets masked",
        Content::Json(of::<Effective>),
    )
    .query(&[("path", "only what is at this place and below it")]),
    post(
        Call::Preview,
        "/v1/devices/{name}/config",
        "A device's configuration before and after documents are written; nothing is",
        Some(of::<ApplyAsk>),
        of::<Preview>,
    )
    .needs(&[Capability::ConfigWrite]),
    get(
        Call::Explain,
        "/v1/devices/{name}/explain",
        "Who says what about a place in a device's configuration",
        Content::Json(of::<Explanation>),
    )
    .query(&[("path", "the place, such as nav.max_velocity")]),
    get(
        Call::LocalValue,
        "/v1/config",
        "What holds on this node itself, in clear",
        Content::Json(of::<LocalValue>),
    )
    .needs(&[Capability::ConfigWrite])
    .query(&[("path", "the place")]),
    get(
        Call::WatchLocal,
        "/v1/config/watch",
        "The same, and again whenever it changes",
        Content::Lines(of::<LocalValue>),
    )
    .needs(&[Capability::ConfigWrite])
    .query(&[("path", "the place")]),
    get(
        Call::Fleet,
        "/v1/fleet",
        "What is needed to work with the root key",
        Content::Json(of::<FleetInfo>),
    ),
    get(
        Call::Doctor,
        "/v1/doctor",
        "What is wrong here",
        Content::Json(of::<Vec<Check>>),
    ),
    get(
        Call::Metrics,
        "/v1/metrics",
        "The node's numbers",
        Content::Json(of::<Vec<Metric>>),
    ),
    get(
        Call::MetricsText,
        "/metrics",
        "The node's numbers for Prometheus",
        Content::Text,
    ),
    get(
        Call::Document,
        "/openapi.json",
        "This document",
        Content::AnyJson,
    ),
];

/// What was found for a method and a path.
#[derive(Debug)]
pub enum Found<'a> {
    /// A row, and what stands for its `{name}`, still encoded.
    Route(&'static Route, Option<&'a str>),
    /// The path is there, for other methods.
    OtherMethod(&'static str),
    Nothing,
}

/// Looks a request up.
pub fn find<'a>(method: &str, path: &'a str) -> Found<'a> {
    let mut other = None;
    for route in &ROUTES {
        let Some(name) = matches(route.path, path) else {
            continue;
        };
        if route.method.word() == method {
            return Found::Route(route, name);
        }
        other = other.or(Some(route.method.word()));
    }
    other.map_or(Found::Nothing, Found::OtherMethod)
}

/// `Some(None)` for a pattern without a name.
fn matches<'a>(pattern: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some((before, after)) = pattern.split_once("{name}") else {
        return (pattern == path).then_some(None);
    };
    let name = path.strip_prefix(before)?.strip_suffix(after)?;
    (!name.is_empty() && !name.contains('/')).then_some(Some(name))
}

#[cfg(test)]
mod tests;
