//! One machine of a lab with one node on it: a state folder, a process, and commands beside it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::facts::{holds, say, until};
use super::ground::{Ground, done};
use super::lab::Holder;

/// A node starts within that time, on a busy machine too.
const START: Duration = Duration::from_secs(20);
/// Longer than any command may take: the client gives up after 70 s.
const COMMAND_S_MAX: &str = "90";
/// Lines of a node's log that are shown when a test fails.
const LOG_LINES: usize = 40;
/// What comes from these ethernet addresses is dropped.
const RULES: &str = "table inet lab {
    set deaf {
        type ether_addr
    }
    chain input {
        type filter hook input priority 0; policy accept;
        ether saddr @deaf drop
    }
}";

/// The machine.
#[derive(Debug)]
pub struct Machine {
    /// What it and its node are called.
    pub name: String,
    /// The node's state folder.
    pub state: PathBuf,
    ground: Ground,
    holder: Arc<Holder>,
    number: u8,
    node: Option<Child>,
}

impl Machine {
    pub(super) fn new(
        ground: Ground,
        holder: Holder,
        number: u8,
        name: &str,
        folder: &Path,
    ) -> Self {
        let machine = Self {
            name: name.to_owned(),
            state: folder.join(name),
            ground,
            holder: Arc::new(holder),
            number,
            node: None,
        };
        std::fs::create_dir(&machine.state).expect("a new folder");
        let (ethernet, address) = (machine.ethernet(), format!("{}/24", machine.address()));
        machine.does(&["ip", "link", "set", "eth0", "address", &ethernet]);
        machine.does(&["ip", "address", "add", &address, "dev", "eth0"]);
        machine.does(&["ip", "link", "set", "eth0", "up"]);
        machine.does(&["nft", RULES]);
        machine
    }

    /// Another node on this machine, in a state folder of its own.
    pub fn beside(&self, name: &str) -> Self {
        let state = self.state.with_file_name(name);
        std::fs::create_dir(&state).expect("a new folder");
        Self {
            name: name.to_owned(),
            state,
            ground: self.ground,
            holder: Arc::clone(&self.holder),
            number: self.number,
            node: None,
        }
    }

    /// Lets in what answers it, and nothing that others begin.
    pub fn only_outgoing(&self) {
        for rule in [
            "iifname lo accept",
            "ct state established,related accept",
            "drop",
        ] {
            self.does(&["nft", &format!("add rule inet lab input {rule}")]);
        }
    }

    /// Its address on the bridge.
    pub fn address(&self) -> String {
        format!("10.77.0.{}", self.number)
    }

    fn ethernet(&self) -> String {
        format!("02:00:00:00:00:{:02x}", self.number)
    }

    /// Runs a tool on it, which has to succeed.
    pub fn does(&self, words: &[&str]) -> Output {
        done(self.on(words))
    }

    pub(super) fn deaf_to(&self, other: &Self) {
        let element = format!("add element inet lab deaf {{ {} }}", other.ethernet());
        self.does(&["nft", &element]);
    }

    pub(super) fn hear_all(&self) {
        self.does(&["nft", "flush set inet lab deaf"]);
    }

    /// A tool on it.
    pub fn on(&self, words: &[&str]) -> Command {
        let mut command = self.ground.enter(self.holder.process());
        command.args(words);
        command
    }

    /// `regatta` on this machine; what `before` says comes before it.
    pub fn regatta(&self, before: &[&str], arguments: &[&str]) -> Command {
        let mut command = self.on(before);
        command.arg(env!("CARGO_BIN_EXE_regatta"));
        command.arg("--state-dir").arg(&self.state).args(arguments);
        command
    }

    /// How a command ends and what it says.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let limit = ["timeout", "--kill-after", "1", COMMAND_S_MAX];
        let mut command = self.regatta(&limit, arguments);
        command.output().expect("nsenter started before")
    }

    /// What a command that has to succeed says.
    pub fn ok(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(
            output.status.success(),
            "{}: {arguments:?}: {}, {}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("answers are UTF-8")
    }

    /// What a question that is answered now says.
    pub fn ask(&self, arguments: &[&str]) -> Result<Value, String> {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: {arguments:?}: {said}", self.name));
        }
        serde_json::from_slice(&output.stdout).map_err(|error| format!("no JSON: {error}"))
    }

    /// As [`Self::ask`], where there has to be an answer.
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.ask(arguments).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Fails as refusals do: with this code, nothing on standard output, and one line that says `expect`.
    pub fn refuses(&self, arguments: &[&str], code: i32, expect: &str) -> String {
        refused(&self.run(arguments), code, expect)
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.state.with_extension(kind)
    }

    /// Starts its node, with nothing waited for.
    pub fn launch(&mut self) {
        self.launch_under(&[]);
    }

    /// The same by a command that goes on as the node, such as one that sets limits.
    fn launch_under(&mut self, before: &[&str]) {
        assert!(self.node.is_none(), "{} runs already", self.name);
        // Ends with the thread that runs the test, even where that has no time to say so.
        let level = std::env::var("REGATTA_CHAOS_LOG").unwrap_or_else(|_| "info".to_owned());
        let up = ["up", "--log-level", &level];
        let ends = ["setpriv", "--pdeathsig", "KILL", "--"];
        let mut command = self.regatta(&[before, &ends[..]].concat(), &up);
        let out = File::create(self.file("out")).expect("a file for what it says");
        let mut log = File::options();
        let log = log.append(true).create(true).open(self.file("log"));
        command.stdout(out).stderr(log.expect("a file for its log"));
        self.node = Some(command.spawn().expect("nsenter started before"));
    }

    /// Waits until the node that was launched says that it is ready.
    pub fn ready(&mut self) {
        let (out, log) = (self.file("out"), self.file("log"));
        let name = self.name.clone();
        let node = self.node.as_mut().expect("it was launched");
        until(&format!("{name} says that it is ready"), START, || {
            let said = std::fs::read_to_string(&out).unwrap_or_default();
            if let Ok(Some(status)) = node.try_wait() {
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                let last = log.lines().last().unwrap_or_default();
                panic!("{name} ended, {status}: {last}");
            }
            holds(said.starts_with("ready: ") && said.ends_with('\n'), || said)
        });
    }

    /// Starts its node, which says that it is ready.
    pub fn up(&mut self) {
        self.launch();
        self.ready();
    }

    /// The same under a command such as `prlimit`.
    pub fn up_under(&mut self, before: &[&str]) {
        self.launch_under(before);
        self.ready();
    }

    /// What its nodes logged, in all their lives.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("log")).unwrap_or_default()
    }

    /// Ends its node as a power cut would end the process.
    pub fn kill(&mut self) {
        self.signal("KILL");
        self.gone();
    }

    /// Waits until its node has ended, after it was signalled.
    pub fn gone(&mut self) -> ExitStatus {
        let mut node = self.node.take().expect("it runs");
        let name = &self.name;
        let (status, _) = until(&format!("{name} has ended"), START, || {
            let ended = node.try_wait().expect("it is ours");
            ended.ok_or_else(|| "it runs".to_owned())
        });
        status
    }

    /// Ends its node as systemd does.
    pub fn terminate(&mut self) {
        self.signal("TERM");
        let status = self.gone();
        assert!(status.success(), "{}: {status}", self.name);
    }

    /// The process of its node.
    pub fn process(&self) -> u32 {
        self.node.as_ref().expect("it runs").id()
    }

    /// A line of what the kernel says of its node's memory, such as `VmRSS:` of `status`.
    pub fn kernel_kib(&self, file: &str, line: &str) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.process()));
        let text = text.expect("it runs");
        let found = text.lines().find_map(|it| it.strip_prefix(line));
        let digits = found.unwrap_or_default().trim().trim_end_matches(" kB");
        digits
            .parse()
            .unwrap_or_else(|_| panic!("{line}: {digits:?}"))
    }

    /// Signals its node alone, by its id.
    pub fn signal(&self, signal: &str) {
        let mut command = Ground::tool("kill");
        command.args(["-s", signal, &self.process().to_string()]);
        done(command);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if let Some(mut node) = self.node.take() {
            // It may have ended already.
            let _ = node.kill();
            let _ = node.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            say(&format!("--- the end of the log of {}:", self.name));
            for line in &lines[lines.len().saturating_sub(LOG_LINES)..] {
                say(line);
            }
        }
    }
}

/// Whether a command was refused as it should be.
pub fn refused(output: &Output, code: i32, expect: &str) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(output.stdout.is_empty(), "standard output is for answers");
    assert_eq!(said.matches('\n').count(), 1, "one line: {said:?}");
    assert!(said.starts_with("regatta: "), "{said:?}");
    assert!(said.contains(expect), "{said:?} says {expect:?}");
    said
}
