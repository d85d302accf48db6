//! Commands against a node that answers what a test wants it to.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use regatta_node::exit::Exit;
use serde_json::{Value, json};

use super::{code, fails, run, run_with, text};

/// `GET /v1/status`, the HTTP status, the body.
type Answers = Vec<(&'static str, u16, String)>;

struct Node {
    folder: tempfile::TempDir,
    /// What was asked, in order: the first line, and the body.
    asked: Receiver<(String, String)>,
}

impl Node {
    fn new(answers: Answers) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("control.sock")).expect("a socket");
        let (told, asked) = channel();
        // It ends with the process of the test.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, &answers, &told);
            }
        });
        Self { folder, asked }
    }

    fn run(&self, arguments: &[&str]) -> std::process::Output {
        let state = self.folder.path().display().to_string();
        run(&[arguments, &["--state-dir", &state]].concat())
    }

    fn asked(&self) -> Vec<(String, String)> {
        self.asked.try_iter().collect()
    }
}

fn answer(stream: UnixStream, answers: &Answers, told: &Sender<(String, String)>) {
    let mut reader = BufReader::new(&stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).unwrap_or(0) == 0 {
            return;
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())?
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("the body");
    let first = head
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end_matches(" HTTP/1.1")
        .to_owned();
    let found = answers.iter().find(|(line, ..)| *line == first);
    let missing = (
        404,
        json!({ "kind": "not_found", "error": format!("no {first}") }).to_string(),
    );
    let (status, text) = found.map_or(missing, |(_, status, text)| (*status, text.clone()));
    let _ = told.send((first, String::from_utf8_lossy(&body).into_owned()));
    let length = text.len();
    let _ = write!(
        &stream,
        "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n{text}"
    );
}

fn saved(what: &str) -> Value {
    json!({ "saved": true, "copies": 2, "managers": 3, "what": what })
}

fn device(name: &str, state: &str) -> Value {
    json!({
        "name": name, "id": format!("n-{name}"), "state": state, "role": "agent",
        "labels": { "site": "osaka" }, "pending_labels": null, "homes": ["m1"],
        "last_heard_ms": 4000, "heard_by": "m1",
        "enrolled": null, "certificate_until": null, "version": null,
        "copied": null,
    })
}

fn problem(kind: &str, error: &str) -> String {
    json!({ "kind": kind, "error": error }).to_string()
}

#[test]
fn devices_are_a_table_or_an_array() {
    let list = json!([device("amr-07", "ready"), device("amr-08", "unknown")]);
    let path = "GET /v1/devices?selector=site%3Dosaka%2Crole%21%3Ddock";
    let node = Node::new(vec![(path, 200, list.to_string())]);
    let command = ["get", "devices", "-l", "site=osaka,role!=dock"];
    let table = text(&node.run(&command).stdout);
    let expect = "\
NAME    STATE    LABELS      HOMES  LAST HEARD
amr-07  ready    site=osaka  m1     4 s ago
amr-08  unknown  site=osaka  m1     4 s ago
";
    assert_eq!(table, expect);
    let data = node.run(&[&command[..], &["-o", "json"]].concat()).stdout;
    let data: Value = serde_json::from_slice(&data).expect("JSON");
    assert_eq!(data, list, "what the API says, field by field");
}

#[test]
fn an_invite_is_shown_and_its_token_is_data() {
    let given = json!({
        "invite": "REGATTA1-ABC", "id": "i-1", "fleet": "acme", "labels": { "site": "osaka" },
        "uses": 1, "expires": "2026-01-01T00:00:00Z", "for_manager": false, "saved": saved(""),
    });
    let node = Node::new(vec![("POST /v1/invites", 200, given.to_string())]);
    let command = ["invite", "--label", "site=osaka", "--ttl", "1h"];
    let shown = text(&node.run(&command).stdout);
    assert!(
        shown.contains("\nREGATTA1-ABC\n") && shown.contains("regatta join -"),
        "{shown}"
    );
    assert!(!shown.contains('█'), "no QR code in a pipe");
    let drawn = text(&node.run(&[&command[..], &["--qr"]].concat()).stdout);
    assert!(drawn.contains('█'), "{drawn}");
    let data = node.run(&[&command[..], &["-o", "json"]].concat()).stdout;
    let data: Value = serde_json::from_slice(&data).expect("JSON");
    assert_eq!(data["invite"], "REGATTA1-ABC");
    let (_, body) = node.asked().remove(0);
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        body,
        json!({ "labels": { "site": "osaka" }, "uses": 1, "ttl_ms": 3_600_000 })
    );
}

#[test]
fn some_and_all_failing_are_different_ends() {
    let node = Node::new(vec![
        (
            "POST /v1/revocations/amr-07",
            200,
            saved("amr-07 is stopped").to_string(),
        ),
        (
            "POST /v1/revocations/amr-08",
            409,
            problem("conflict", "two devices bear this name"),
        ),
    ]);
    let output = node.run(&["revoke", "amr-07", "amr-08", "--reason", "stolen"]);
    assert_eq!(code(&output), Some(1));
    assert_eq!(
        text(&output.stdout),
        "amr-07 is stopped (saved, on 2 of 3 managers)\n"
    );
    assert_eq!(
        text(&output.stderr),
        "regatta: amr-08: two devices bear this name\n"
    );
    assert!(
        node.asked()
            .iter()
            .all(|(_, body)| body == r#"{"reason":"stolen"}"#)
    );
    fails(
        &node.run(&["revoke", "amr-08"]),
        Exit::ALL_FAILED,
        "two devices bear this name",
    );
    assert_eq!(code(&node.run(&["revoke", "amr-08", "nobody"])), Some(2));
}

#[test]
fn many_are_asked_about_first() {
    let list = json!([device("amr-07", "ready"), device("amr-08", "unknown")]).to_string();
    let node = Node::new(vec![
        ("GET /v1/devices?selector=site%3Dosaka", 200, list),
        ("GET /v1/devices?selector=none", 200, "[]".to_owned()),
        (
            "POST /v1/revocations/n-amr-07",
            200,
            saved("amr-07 is stopped").to_string(),
        ),
        (
            "POST /v1/revocations/n-amr-08",
            200,
            saved("amr-08 is stopped").to_string(),
        ),
    ]);
    let command = ["revoke", "-l", "site=osaka"];
    // Nobody can answer on a pipe, even if a yes lies in it.
    let state = node.folder.path().display().to_string();
    let output = run_with(&[&command[..], &["--state-dir", &state]].concat(), "y\n");
    fails(
        &output,
        Exit::ALL_FAILED,
        "revoke 2 devices (amr-07, amr-08): say --yes",
    );
    assert_eq!(node.asked().len(), 1, "nothing was stopped");
    let output = node.run(&[&command[..], &["--yes"]].concat());
    assert_eq!(code(&output), Some(0));
    assert_eq!(text(&output.stdout).lines().count(), 2);
    fails(
        &node.run(&["revoke", "-l", "none", "--yes"]),
        Exit::ALL_FAILED,
        "no live device matches \"none\"",
    );
}

#[test]
fn a_ping_fails_when_no_probe_is_answered() {
    let pong = json!({ "rtt_us": 2100, "path": "direct", "address": "/ip4/10.0.0.7/tcp/4700" });
    let lost = json!({ "kind": "not_ready", "error": "amr-08 does not answer" });
    let answered = format!(
        "{}\n{}\n",
        json!({ "number": 1, "problem": lost }),
        json!({ "number": 2, "pong": pong })
    );
    let silent = format!("{}\n", json!({ "number": 1, "problem": lost }));
    let parameters = "/ping?count=3&interval_ms=1000";
    let leak = |name: &str| -> &'static str {
        Box::leak(format!("GET /v1/devices/{name}{parameters}").into_boxed_str())
    };
    let node = Node::new(vec![
        (leak("amr-07"), 200, answered),
        (leak("amr-08"), 200, silent),
    ]);
    let output = node.run(&["ping", "amr-07"]);
    assert_eq!(code(&output), Some(0));
    let expect = "amr-07: no answer to probe 1\namr-07: direct 2.1 ms, /ip4/10.0.0.7/tcp/4700\n";
    assert_eq!(text(&output.stdout), expect);
    let output = node.run(&["ping", "amr-08"]);
    assert_eq!(code(&output), Some(2), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "regatta: amr-08 does not answer\n");
    assert_eq!(
        code(&node.run(&["ping", "amr-07", "amr-08", "nobody"])),
        Some(1)
    );
    let data = text(&node.run(&["ping", "amr-07", "-o", "json"]).stdout);
    assert_eq!(data.lines().count(), 2);
    assert!(
        data.lines()
            .all(|line| line.contains("\"name\":\"amr-07\"")),
        "{data}"
    );
}

#[test]
fn what_the_node_says_decides_how_a_command_ends() {
    for (kind, status, exit) in [
        ("not_found", 404, Exit::ALL_FAILED),
        ("refused", 403, Exit::ALL_FAILED),
        ("not_ready", 503, Exit::ALL_FAILED),
        ("usage", 400, Exit::USAGE),
        ("bug", 500, Exit::BUG),
    ] {
        let node = Node::new(vec![("GET /v1/status", status, problem(kind, "it\nis so"))]);
        fails(&node.run(&["status"]), exit, "it\\nis so");
    }
    let node = Node::new(vec![("GET /v1/status", 502, "<html>".to_owned())]);
    fails(
        &node.run(&["status"]),
        Exit::UNREACHABLE,
        "is no node of this version",
    );
    let node = Node::new(vec![("GET /v1/status", 200, "{}".to_owned())]);
    fails(
        &node.run(&["status"]),
        Exit::UNREACHABLE,
        "are both of one version",
    );
}

#[test]
fn doctor_ends_as_its_patient_is() {
    let check =
        |name: &str, ok: bool| json!({ "name": name, "ok": ok, "detail": "d", "advice": "a" });
    let checks = json!([check("clock", true), check("disk", false)]).to_string();
    let node = Node::new(vec![("GET /v1/doctor", 200, checks)]);
    let output = node.run(&["doctor"]);
    assert_eq!(code(&output), Some(1));
    assert!(text(&output.stdout).ends_with("1 of 2 checks failed\n"));
}

#[test]
fn names_are_for_completions() {
    let list = json!([device("amr-07", "ready"), device("odd name", "ready")]).to_string();
    let node = Node::new(vec![("GET /v1/devices", 200, list)]);
    assert_eq!(text(&node.run(&["__names"]).stdout), "amr-07\n");
}
