//! The server and the client over real sockets, with a desk that has not started.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::{fs, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::{BODY_BYTES_MAX, BindError, Server, ServerSettings};
use crate::control::api::{InviteAsk, LabelAsk, ProblemKind};
use crate::control::client::{Client, ClientError};
use crate::desk::Desk;
use crate::exit::Exit;

struct Served {
    folder: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
    metrics: std::net::SocketAddr,
}

fn settings(folder: &Path) -> ServerSettings {
    ServerSettings {
        socket: folder.join("control.sock"),
        group: "no-such-group".to_owned(),
        users: [].into(),
        metrics: "127.0.0.1:0".parse().ok(),
    }
}

async fn served() -> Served {
    let folder = tempfile::tempdir().expect("it is there");
    let server = Server::bind(settings(folder.path()))
        .await
        .expect("it is there");
    let metrics = server.metrics_address().expect("it is there");
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(server.serve(Desk::default(), async {
        let _ = stopped.await;
    }));
    Served {
        folder,
        stop,
        task,
        metrics,
    }
}

impl Served {
    fn client(&self) -> Client {
        Client::of_state(self.folder.path())
    }

    /// What is answered to these bytes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let socket = self.folder.path().join("control.sock");
        let mut stream = UnixStream::connect(socket).await.expect("it is there");
        // The server may answer and close before it has read all of it.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).expect("it is there")
    }
}

fn kind(error: &ClientError) -> ProblemKind {
    match error {
        ClientError::Problem(problem) => problem.kind,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_socket_is_for_owner_and_group_and_goes_with_the_node() {
    let served = served().await;
    let path = served.folder.path().join("control.sock");
    let found = fs::symlink_metadata(&path).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o7777, 0o660);
    assert_eq!(
        fs::read_dir(served.folder.path())
            .expect("it is there")
            .count(),
        1,
        "no unfinished file"
    );
    let _ = served.stop.send(());
    served.task.await.expect("it is there");
    assert!(!path.exists());
}

#[tokio::test]
async fn a_dead_processs_socket_is_replaced_and_a_living_ones_is_not() {
    let folder = tempfile::tempdir().expect("it is there");
    let path = folder.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("it is there"));
    let first = Server::bind(settings(folder.path()))
        .await
        .expect("it is there");
    let second = Server::bind(settings(folder.path())).await;
    assert!(matches!(second, Err(BindError::InUse(_))), "{second:?}");
    assert!(path.exists(), "the first keeps its file");
    drop(first);
    fs::write(&path, "something of somebody's").expect("it is there");
    let third = Server::bind(settings(folder.path())).await;
    assert!(matches!(third, Err(BindError::NoSocket(_))), "{third:?}");
}

#[tokio::test]
async fn another_nodes_socket_is_not_removed_with_ours() {
    let folder = tempfile::tempdir().expect("it is there");
    let path = folder.path().join("control.sock");
    let ours = Server::bind(settings(folder.path()))
        .await
        .expect("it is there");
    fs::remove_file(&path).expect("it is there");
    let theirs = std::os::unix::net::UnixListener::bind(&path).expect("it is there");
    let inode = fs::symlink_metadata(&path).expect("it is there").ino();
    drop(ours);
    assert_eq!(
        fs::symlink_metadata(&path).expect("it is there").ino(),
        inode
    );
    drop(theirs);
}

#[tokio::test]
async fn places_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().expect("it is there");
    let long = folder.path().join("a".repeat(110));
    let bound = Server::bind(ServerSettings {
        socket: long,
        ..settings(folder.path())
    })
    .await;
    assert!(matches!(bound, Err(BindError::TooLong(_))), "{bound:?}");
    let missing = folder.path().join("missing/control.sock");
    let bound = Server::bind(ServerSettings {
        socket: missing,
        ..settings(folder.path())
    })
    .await;
    assert!(
        bound
            .expect_err("it is refused")
            .to_string()
            .contains("missing/control.sock")
    );
    let open = "0.0.0.0:0".parse().ok();
    let bound = Server::bind(ServerSettings {
        metrics: open,
        ..settings(folder.path())
    })
    .await;
    assert!(matches!(bound, Err(BindError::NotLoopback(_))), "{bound:?}");
}

#[tokio::test]
async fn every_call_reaches_the_desk() {
    let served = served().await;
    let client = served.client();
    let ask = InviteAsk {
        labels: [].into(),
        uses: 1,
        ttl_ms: 1000,
    };
    let label = LabelAsk {
        set: [("site".to_owned(), "osaka".to_owned())].into(),
        remove: Vec::new(),
    };
    let not_ready = [
        client.status().await.map(drop),
        client
            .devices(Some("site=osaka,role!=dock"))
            .await
            .map(drop),
        client.device("lab/amr 07").await.map(drop),
        client.managers().await.map(drop),
        client.invites().await.map(drop),
        client.fleet().await.map(drop),
        client.requests().await.map(drop),
        client.path("amr-07").await.map(drop),
        client.doctor().await.map(drop),
        client.metrics().await.map(drop),
        client.invite(&ask).await.map(drop),
        client.replace("amr-07", &ask).await.map(drop),
        client.label("amr-07", &label).await.map(drop),
        client.revoke("amr-07", &Default::default()).await.map(drop),
        client.forget("amr-07").await.map(drop),
        client.renew(Some("amr-07")).await.map(drop),
        client.renew(None).await.map(drop),
    ];
    for (index, answered) in not_ready.into_iter().enumerate() {
        let error = answered.expect_err("it is refused");
        assert_eq!(kind(&error), ProblemKind::NotReady, "call {index}: {error}");
        assert_eq!(error.exit(), Exit::ALL_FAILED);
    }
}

#[tokio::test]
async fn probes_are_answered_one_by_one_and_can_be_left() {
    let served = served().await;
    let mut numbers = Vec::new();
    let client = served.client();
    let pinged = client.ping("amr-07", 3, 100, |line| {
        assert!(line.pong.is_none() && line.problem.is_some());
        numbers.push(line.number);
        Ok(())
    });
    pinged.await.expect("it is there");
    assert_eq!(numbers, [1, 2, 3]);
    let left = client.ping("amr-07", 1000, 100, |_| {
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    });
    assert!(matches!(left.await, Err(ClientError::Output(_))));
    let wrong = served.client().ping("amr-07", 0, 100, |_| Ok(())).await;
    assert_eq!(kind(&wrong.expect_err("it is refused")), ProblemKind::Usage);
}

#[tokio::test]
async fn wrong_requests_get_a_problem_each() {
    let served = served().await;
    let long = format!(
        "POST /v1/invites HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}",
        BODY_BYTES_MAX + 1,
        " ".repeat(BODY_BYTES_MAX + 1)
    );
    let body = |text: &str| {
        let length = text.len();
        format!("POST /v1/invites HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{text}")
    };
    let wrong = [
        (
            "GET /v2/x HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "404",
            "there is no \\\"/v2/x\\\"",
        ),
        (
            "PUT /v1/status HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "405",
            "it takes GET",
        ),
        (
            "GET /v1/status?x=1 HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "400",
            "takes no \\\"x\\\"",
        ),
        (
            "GET /v1/devices/%ff HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(),
            "400",
            "not UTF-8",
        ),
        (body("{"), "400", "line 1 column 1"),
        (
            body(r#"{"uses":1,"ttl_ms":1,"lables":{}}"#),
            "400",
            "unknown field `lables`",
        ),
        (body(r#"{"uses":"1","ttl_ms":1}"#), "400", "expected u32"),
        (long, "400", "more than 65536 bytes"),
    ];
    for (bytes, status, expect) in wrong {
        let answer = served.raw(bytes.as_bytes()).await;
        let first = &bytes[..bytes.len().min(40)];
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{first}: {answer}"
        );
        assert!(answer.contains("\"kind\":"), "{first}: {answer}");
        assert!(answer.contains(expect), "{first}: {answer}");
    }
    assert!(
        served
            .raw(b"not HTTP at all\r\n\r\n")
            .await
            .starts_with("HTTP/1.1 400")
    );
    assert!(
        served
            .raw(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .contains("3.1.0")
    );
}

#[tokio::test]
async fn metrics_are_all_that_the_listener_for_metrics_serves() {
    let served = served().await;
    for (path, status) in [
        ("/metrics", "503"),
        ("/v1/status", "404"),
        ("/v1/renew", "404"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(served.metrics)
            .await
            .expect("it is there");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream
            .write_all(request.as_bytes())
            .await
            .expect("it is there");
        let mut answer = String::new();
        stream
            .read_to_string(&mut answer)
            .await
            .expect("it is there");
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn a_folder_without_a_node_is_named() {
    let folder = tempfile::tempdir().expect("it is there");
    let error = Client::of_state(folder.path())
        .status()
        .await
        .expect_err("it is refused");
    assert_eq!(error.exit(), Exit::UNREACHABLE);
    let state = folder.path().display();
    let expect = format!(
        "no node runs with state folder {state}: start it with `regatta up --state-dir {state}`"
    );
    assert_eq!(error.to_string(), expect);
    drop(
        std::os::unix::net::UnixListener::bind(folder.path().join("control.sock"))
            .expect("it is there"),
    );
    let error = Client::of_state(folder.path())
        .status()
        .await
        .expect_err("it is refused");
    assert_eq!(error.to_string(), expect, "a dead node's socket is no node");
}
