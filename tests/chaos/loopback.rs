//! Nodes on loopback, for faults that need no namespaces: nobody has to be root for them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use super::facts::say;

/// How much of a log is shown where a test fails.
const LOG_LINES: usize = 40;

/// A state folder, and the process that runs in it, where one does.
#[derive(Debug)]
pub struct Node {
    pub name: String,
    /// Its state folder.
    pub state: PathBuf,
    child: Option<Child>,
}

impl Node {
    /// One that does not run yet.
    pub fn new(folder: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: folder.join(name),
            child: None,
        }
    }

    fn regatta(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_regatta"));
        command.env_clear().stdin(Stdio::null()).args(arguments);
        command.arg("--state-dir").arg(&self.state);
        command
    }

    fn log(&self) -> PathBuf {
        self.state.with_extension("log")
    }

    /// A command that is to work; gives what it printed.
    pub fn ok(&self, arguments: &[&str]) -> String {
        self.tried(arguments)
            .unwrap_or_else(|why| panic!("{}: {why}", self.name))
    }

    fn tried(&self, arguments: &[&str]) -> Result<String, String> {
        let Output {
            status,
            stdout,
            stderr,
        } = self.regatta(arguments).output().expect("the binary starts");
        match status.success() {
            true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
            false => Err(format!(
                "{arguments:?}: {}",
                String::from_utf8_lossy(&stderr)
            )),
        }
    }

    /// What a command answers, as a script reads it.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value, String> {
        let text = self.tried(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).map_err(|error| format!("{arguments:?}: {error}: {text}"))
    }

    /// Starts it, and does not wait.
    pub fn begin(&mut self) {
        assert!(self.child.is_none(), "{} runs already", self.name);
        let log = File::options().create(true).append(true).open(self.log());
        let listen = ["/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"];
        let mut command = self.regatta(&["up", "--lan", "off"]);
        for address in listen {
            command.args(["--listen", address]);
        }
        command
            .stdout(Stdio::piped())
            .stderr(log.expect("a file for its log"));
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    /// Starts it, and waits until it says that it is ready.
    pub fn up(&mut self) {
        self.begin();
        let child = self.child.as_mut().expect("it was begun");
        let mut line = String::new();
        let out = child.stdout.take().expect("a pipe");
        BufReader::new(out)
            .read_line(&mut line)
            .expect("it writes lines");
        assert!(line.starts_with("ready: "), "{}: {line:?}", self.name);
    }

    /// Whether it was started and has ended by itself; then it can be started again.
    pub fn ended(&mut self) -> bool {
        let child = self.child.as_mut().expect("it was started");
        let ended = child.try_wait().expect("it is ours").is_some();
        if ended {
            self.child = None;
        }
        ended
    }

    /// SIGKILL, and gone.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            say(&format!("--- the end of the log of {}:", self.name));
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                say(line);
            }
        }
    }
}
