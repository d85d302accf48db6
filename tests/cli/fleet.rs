//! A fleet on loopback, made by the command line alone: nodes are started, waited for and ended here.

#[path = "fleet/config.rs"]
mod config;
#[path = "fleet/demo.rs"]
mod demo;
#[path = "fleet/work.rs"]
mod work;
#[path = "fleet/wrong.rs"]
mod wrong;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{code, regatta, text};

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A node that runs; it ends with this value.
struct Up {
    child: Child,
    /// What it said on standard error, to be shown where a test fails.
    log: Option<thread::JoinHandle<String>>,
    ready: String,
}

impl Up {
    /// Starts `regatta up` in a folder, and waits until it says that it is ready.
    fn start(folder: &Path) -> Self {
        let mut command = regatta();
        // Loopback alone: what else is on this machine's network is none of a test's business.
        command
            .args(["up", "--lan", "off", "--state-dir"])
            .arg(folder);
        let listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"];
        for address in listen {
            command.args(["--listen", address]);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        let log = child.stderr.take().map(|err| thread::spawn(|| all(err)));
        let (tell, told) = channel();
        let out = child.stdout.take().expect("a pipe");
        thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                // Nobody waits for the later ones.
                let _ = tell.send(line);
            }
        });
        let ready = line(&told);
        let up = Self { child, log, ready };
        assert!(up.ready.starts_with("ready: "), "{}", up.ready);
        up
    }

    /// Ends it as Ctrl-C does, and gives what it logged.
    fn stop(mut self) -> String {
        interrupt(&self.child);
        let ended = self.child.wait().expect("it ends");
        assert_eq!(ended.code(), Some(0));
        let log = self.log.take().map(thread::JoinHandle::join);
        log.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // It has ended already where a test stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn all(mut from: ChildStderr) -> String {
    let mut text = String::new();
    // What came until it broke off is all there is.
    let _ = from.read_to_string(&mut text);
    text
}

fn line(told: &Receiver<String>) -> String {
    told.recv_timeout(PATIENCE)
        .unwrap_or_else(|error| format!("no line: {error}"))
}

/// SIGINT, to this process and no other.
pub fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args(["-INT", &id]).status();
    assert!(sent.is_ok_and(|status| status.success()), "sent");
}

/// State folders under one temporary folder, and the nodes that run in them.
struct Fleet {
    folder: tempfile::TempDir,
    up: Vec<(String, Up)>,
}

impl Fleet {
    /// A fleet with one manager, `m1`, that runs.
    fn found() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut fleet = Self {
            folder,
            up: Vec::new(),
        };
        let key = fleet.path("acme.key").display().to_string();
        fleet.does("m1", &["init", "acme", "--name", "m1", "--root-key", &key]);
        fleet.start("m1");
        fleet
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&mut self, name: &str) {
        let up = Up::start(&self.path(name));
        self.up.push((name.to_owned(), up));
    }

    fn stop(&mut self, name: &str) -> String {
        let at = self.up.iter().position(|(up, _)| up == name);
        self.up.remove(at.expect("it runs")).1.stop()
    }

    /// A command for the node in this folder.
    fn run(&self, node: &str, arguments: &[&str]) -> Output {
        let mut command = regatta();
        command
            .args(arguments)
            .arg("--state-dir")
            .arg(self.path(node));
        command.current_dir(self.folder.path());
        command.output().expect("the binary starts")
    }

    /// The same, which has to work; gives what it printed.
    fn does(&self, node: &str, arguments: &[&str]) -> String {
        let output = self.run(node, arguments);
        let said = text(&output.stderr);
        assert_eq!(code(&output), Some(0), "{arguments:?}: {said}");
        text(&output.stdout)
    }

    fn json(&self, node: &str, arguments: &[&str]) -> Value {
        let arguments = [arguments, &["-o", "json"]].concat();
        serde_json::from_str(&self.does(node, &arguments)).expect("JSON")
    }

    /// A file with a new invite of `m1`.
    fn invite(&self, arguments: &[&str]) -> String {
        let given = self.json("m1", &[&["invite"], arguments].concat());
        let token = given["invite"].as_str().expect("a token");
        let file = tempfile::NamedTempFile::new_in(self.folder.path()).expect("a file");
        std::fs::write(file.path(), token).expect("written");
        let (_, path) = file.keep().expect("kept");
        format!("@{}", path.display())
    }

    /// Has an agent join and starts it.
    fn join(&mut self, name: &str, labels: &[&str]) {
        let flags = labels.iter().flat_map(|label| ["--label", *label]);
        let token = self.invite(&flags.collect::<Vec<_>>());
        self.does(name, &["join", &token, "--name", name]);
        self.start(name);
    }

    /// Asks again and again, until the answer is as it should be.
    fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(began.elapsed() < PATIENCE, "it never came about: {what}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// The state of a device, as `m1` knows it.
    fn state(&self, device: &str) -> String {
        let devices = self.json("m1", &["get", "devices"]);
        let devices = devices.as_array().expect("an array").iter();
        let mut found = devices.filter(|one| one["name"] == device);
        let state = found.next().and_then(|one| one["state"].as_str());
        state.unwrap_or("none").to_owned()
    }

    fn until_ready(&self, device: &str) {
        self.until(device, |fleet| fleet.state(device) == "ready");
    }
}
