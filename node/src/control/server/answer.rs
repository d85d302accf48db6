//! One request: looked up, checked, read under its limits, asked at the desk, answered.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::{FutureExt, Stream, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::access::Caller;
use super::routes::{Call, Found, Method, Route, find};
use super::{
    ANSWER_MS_MAX, APPLY_BYTES_MAX, BODY_BYTES_MAX, FILE_BYTES_MAX, READ_MS_MAX, openapi,
    prometheus,
};
use crate::control::api::{PongLine, Problem, ProblemKind};
use crate::desk::Desk;

const JSON: &str = "application/json";
const JSON_LINES: &str = "application/jsonl";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

const PROBES_MAX: u32 = 1000;
const INTERVAL_MS_MIN: u64 = 100;
const INTERVAL_MS_MAX: u64 = 60_000;

/// An answer's body: all at once, or as it comes.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// What a connection may reach.
#[derive(Debug)]
pub enum Scope {
    /// The control socket: whoever the kernel says it is, or the refusal.
    Control(Result<Caller, Problem>),
    /// The metrics listener: `/metrics`, read by anybody on this machine.
    Metrics,
}

/// Answers one request; a panic inside becomes a [`Problem`] like any other.
pub async fn answer<B>(
    desk: &Desk,
    scope: &Scope,
    request: Request<B>,
) -> Result<Answer, Infallible>
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let answered = AssertUnwindSafe(routed(desk, scope, request))
        .catch_unwind()
        .await;
    Ok(answered.unwrap_or_else(|_| {
        tracing::error!("a request on the control socket made the node panic");
        refusal(&Problem::bug(
            "answering made the node panic; its log says where",
        ))
    }))
}

async fn routed<B>(desk: &Desk, scope: &Scope, request: Request<B>) -> Answer
where
    B: Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let caller = match scope {
        Scope::Control(Err(problem)) => return refusal(problem),
        Scope::Control(Ok(caller)) => Some(caller),
        Scope::Metrics if path == "/metrics" => None,
        Scope::Metrics => return refusal(&Problem::not_found("only /metrics is served here")),
    };
    let (route, name) = match find(head.method.as_str(), path) {
        Found::Route(route, name) => (route, name),
        Found::OtherMethod(allowed) => return wrong_method(&head.method, path, allowed),
        Found::Nothing => {
            let known = "see /openapi.json for what there is";
            return refusal(&Problem::not_found(format!(
                "there is no {path:?}; {known}"
            )));
        }
    };
    if let Some(caller) = caller
        && let Some(needed) = route.needs.iter().find(|needed| !caller.may(**needed))
    {
        tracing::warn!(user = %caller, uid = caller.uid, pid = caller.pid, path, %needed, "refused");
        return refusal(&Problem::refused(format!(
            "{caller} may not: {needed} is not among its capabilities under control.users"
        )));
    }
    let asked = async {
        let ask = Ask {
            desk,
            caller,
            name: decoded(name)?,
            query: queried(route, head.uri.query().unwrap_or_default())?,
            body: read(body, route).await?,
        };
        match route.call {
            Call::Ping => ask.ping().await,
            Call::WatchLocal => ask.watch().await,
            _ => timed(ask.answer(route)).await,
        }
    };
    let answered = asked.await;
    if let (Method::Post, Err(problem), Some(caller)) = (route.method, &answered, caller) {
        let (uid, pid) = (caller.uid, caller.pid);
        // What was done the desk says itself, with the names.
        tracing::info!(user = %caller, uid, pid, path, %problem, "not done for an operator");
    }
    answered.unwrap_or_else(|problem| refusal(&problem))
}

async fn timed(asked: impl Future<Output = Result<Answer, Problem>>) -> Result<Answer, Problem> {
    let limit = Duration::from_millis(ANSWER_MS_MAX);
    tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
        Err(Problem::not_ready(
            "the node did not answer within a minute; whether it was done is not known: see `regatta doctor`",
        ))
    })
}

fn decoded(name: Option<&str>) -> Result<String, Problem> {
    let decoded = percent_decode_str(name.unwrap_or_default()).decode_utf8();
    let decoded = decoded.map_err(|_| Problem::usage("a name in the path is not UTF-8"))?;
    Ok(decoded.into_owned())
}

type Query = Vec<(&'static str, String)>;

/// The parameters after `?`, each of which the route has to know.
fn queried(route: &Route, query: &str) -> Result<Query, Problem> {
    let mut found = Query::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = route.query.iter().find(|(known, _)| *known == key);
        let Some((key, _)) = known else {
            return Err(Problem::usage(format!("{} takes no {key:?}", route.path)));
        };
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8();
        let value = value.map_err(|_| Problem::usage(format!("{key} is not UTF-8")))?;
        if found.iter().any(|(other, _)| other == key) {
            return Err(Problem::usage(format!("{key} is given twice")));
        }
        found.push((key, value.into_owned()));
    }
    Ok(found)
}

async fn read<B>(body: B, route: &Route) -> Result<Bytes, Problem>
where
    B: Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let limit = Duration::from_millis(READ_MS_MAX);
    let bytes_max = match route.call {
        Call::KeepBody => FILE_BYTES_MAX,
        Call::Apply | Call::Preview => APPLY_BYTES_MAX,
        _ => BODY_BYTES_MAX,
    };
    let collected = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(limit, collected).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::usage(format!(
            "the request's body has more than {bytes_max} bytes"
        ))),
        Ok(Err(error)) => Err(Problem::usage(format!("the request broke off: {error}"))),
        Err(_) => Err(Problem::usage(
            "the request's body did not come within 10 seconds",
        )),
    }
}

/// A request that was let in.
struct Ask<'a> {
    desk: &'a Desk,
    /// None on the metrics listener, which reaches no call that asks for one.
    caller: Option<&'a Caller>,
    name: String,
    query: Query,
    body: Bytes,
}

impl Ask<'_> {
    async fn answer(&self, route: &Route) -> Result<Answer, Problem> {
        let (desk, name) = (self.desk, self.name.as_str());
        match route.call {
            Call::Status => json(&desk.status().await?),
            Call::Devices => json(&desk.devices(self.parameter("selector")).await?),
            Call::Device => json(&desk.device(name).await?),
            Call::Label => json(&desk.label(self.caller()?, name, self.body()?).await?),
            Call::Forget => json(&desk.forget(self.caller()?, name).await?),
            Call::Replace => json(&desk.replace(self.caller()?, name, self.body()?).await?),
            Call::RenewDevice => json(&desk.renew(self.caller()?, Some(name)).await?),
            Call::Ping => self.ping().await,
            Call::Path => json(&desk.path(name).await?),
            Call::Managers => json(&desk.managers().await?),
            Call::Requests => json(&desk.requests().await?),
            Call::Invites => json(&desk.invites().await?),
            Call::Invite => json(&desk.invite(self.caller()?, self.body()?).await?),
            Call::RecordInvite => json(&desk.record_invite(self.caller()?, self.body()?).await?),
            Call::Revoke => json(&desk.revoke(self.caller()?, name, self.body()?).await?),
            Call::Renew => json(&desk.renew(self.caller()?, None).await?),
            Call::Grant => json(&desk.grant(self.caller()?, self.body()?).await?),
            Call::Statement => json(&desk.statement(self.caller()?, self.body()?).await?),
            Call::KeepBody => json(&desk.keep_body(&self.body).await?),
            Call::Apply => json(&desk.apply(self.caller()?, self.body()?).await?),
            Call::Configs => json(&desk.configs().await?),
            Call::Config => json(&desk.config(name).await?),
            Call::History => json(&desk.history(name).await?),
            Call::Rollback => json(&desk.rollback(self.caller()?, name, self.body()?).await?),
            Call::Rollout => json(&desk.rollout(name).await?),
            Call::Steer => json(&desk.steer(self.caller()?, name, self.body()?).await?),
            Call::Conflicts => json(&desk.conflicts().await?),
            Call::Drift => json(&desk.drift().await?),
            Call::Effective => json(&desk.effective(name, self.parameter("path")).await?),
            Call::Preview => json(&desk.preview(self.caller()?, name, self.body()?).await?),
            Call::Explain => {
                let path = self.parameter("path").unwrap_or_default();
                json(&desk.explain(name, path).await?)
            }
            Call::LocalValue => {
                let path = self.parameter("path").unwrap_or_default();
                json(&desk.local_value(path).await?)
            }
            Call::WatchLocal => self.watch().await,
            Call::Retry => json(&desk.retry(self.caller()?, self.body()?).await?),
            Call::Fleet => json(&desk.fleet().await?),
            Call::Doctor => json(&desk.doctor().await?),
            Call::Metrics => json(&desk.metrics().await?),
            Call::MetricsText => {
                let text = prometheus::text(&desk.metrics().await?);
                Ok(whole(StatusCode::OK, PROMETHEUS, text.into()))
            }
            Call::Document => json(&openapi::document()),
        }
    }

    fn caller(&self) -> Result<&Caller, Problem> {
        let nobody = || Problem::refused("changes are made on the control socket");
        self.caller.ok_or_else(nobody)
    }

    fn parameter(&self, key: &str) -> Option<&str> {
        let found = self.query.iter().find(|(known, _)| *known == key);
        found.map(|(_, value)| value.as_str())
    }

    fn number(&self, key: &str, least: u64, most: u64, usual: u64) -> Result<u64, Problem> {
        let Some(text) = self.parameter(key) else {
            return Ok(usual);
        };
        let number = text.parse().ok().filter(|n| (least..=most).contains(n));
        number.ok_or_else(|| {
            Problem::usage(format!(
                "{key} {text:?} is not a number from {least} to {most}"
            ))
        })
    }

    fn body<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.body)
            .map_err(|error| Problem::usage(format!("the request's body is wrong: {error}")))
    }

    /// What holds now, and again whenever it has changed.
    async fn watch(&self) -> Result<Answer, Problem> {
        let path = self.parameter("path").unwrap_or_default().to_owned();
        let changes = self.desk.local_changes().await?;
        // What is wrong with the path is said before anything else.
        self.desk.local_value(&path).await?;
        let begins = (self.desk.clone(), path, changes, None);
        let lines = stream::unfold(begins, |(desk, path, mut changes, last)| async move {
            loop {
                changes.mark_unchanged();
                let value = desk.local_value(&path).await.ok();
                if value.is_some() && value != last {
                    return Some((line(&value), (desk, path, changes, value)));
                }
                // The actors that counted are gone: whoever watches asks again.
                changes.changed().await.ok()?;
            }
        });
        Ok(streamed(lines))
    }

    /// An answer for each probe as it comes. The caller goes, and the stream is dropped with it.
    async fn ping(&self) -> Result<Answer, Problem> {
        let count = self.number("count", 1, PROBES_MAX.into(), 1)?;
        let interval = self.number("interval_ms", INTERVAL_MS_MIN, INTERVAL_MS_MAX, 1000)?;
        let interval = Duration::from_millis(interval);
        if let Err(problem) = self.desk.pings(&self.name).await
            && problem.kind != ProblemKind::NotReady
        {
            // No probe can be answered by whom there is not.
            return Err(problem);
        }
        let (desk, name) = (self.desk.clone(), self.name.clone());
        let lines = stream::unfold(1, move |number: u32| {
            let (desk, name) = (desk.clone(), name.clone());
            async move {
                if u64::from(number) > count {
                    return None;
                }
                if number > 1 {
                    tokio::time::sleep(interval).await;
                }
                let (pong, problem) = match desk.ping(&name).await {
                    Ok(pong) => (Some(pong), None),
                    Err(problem) => (None, Some(problem)),
                };
                let pong = PongLine {
                    number,
                    pong,
                    problem,
                };
                Some((line(&pong), number + 1))
            }
        });
        Ok(streamed(lines))
    }
}

type Line = Result<Frame<Bytes>, Infallible>;

/// A value as one line.
fn line<T: Serialize>(value: &T) -> Line {
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    Ok(Frame::data(Bytes::from(text)))
}

/// Lines, each sent as it comes.
fn streamed(lines: impl Stream<Item = Line> + Send + 'static) -> Answer {
    let mut answer = Response::new(UnsyncBoxBody::new(StreamBody::new(lines)));
    let kind = HeaderValue::from_static(JSON_LINES);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}

fn json<T: Serialize>(value: &T) -> Result<Answer, Problem> {
    let text = serde_json::to_vec(value)
        .map_err(|error| Problem::bug(format!("the answer is no JSON: {error}")))?;
    Ok(whole(StatusCode::OK, JSON, text.into()))
}

fn refusal(problem: &Problem) -> Answer {
    let status = StatusCode::from_u16(problem.kind.http_status());
    let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let text = serde_json::to_vec(problem).unwrap_or_default();
    whole(status, JSON, text.into())
}

fn wrong_method(method: &hyper::Method, path: &str, allowed: &'static str) -> Answer {
    let problem = Problem::usage(format!(
        "{path:?} does not take {method}; it takes {allowed}"
    ));
    let mut answer = refusal(&problem);
    *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    answer
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

fn whole(status: StatusCode, kind: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(UnsyncBoxBody::new(Full::new(body)));
    *answer.status_mut() = status;
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}
