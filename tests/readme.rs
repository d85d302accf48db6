//! The commands of README.md, typed as it says, each machine with a state folder of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than any of them takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A shell block: the machine that it is typed on, none where it is the one with the sources.
struct Block {
    machine: Option<String>,
    lines: Vec<String>,
}

fn source(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.trim_start().strip_prefix("```") else {
            continue;
        };
        let mut words = info.split_whitespace();
        assert_eq!(words.next(), Some("sh"), "a block that nobody runs: {line}");
        let machine = words.next().map(str::to_owned);
        let typed = lines.by_ref().take_while(|line| line.trim() != "```");
        let typed = typed.map(str::trim).filter(|line| !line.is_empty());
        let lines = typed.map(str::to_owned).collect();
        blocks.push(Block { machine, lines });
    }
    blocks
}

/// A command that goes on: a node, or one that waits for somebody else.
struct Running {
    line: String,
    child: Child,
    said: Receiver<String>,
    heard: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn spawn(line: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let (tell, said) = channel();
        listen(child.stdout.take().expect("a pipe"), tell.clone());
        listen(child.stderr.take().expect("a pipe"), tell);
        Self {
            line: line.to_owned(),
            child,
            said,
            heard: String::new(),
        }
    }

    /// Waits until it has ended well: true; or until it says one of these: false.
    fn ends(&mut self, or_says: &[&str]) -> bool {
        let Some(well) = self.ended(or_says) else {
            return false;
        };
        assert!(well, "`{}` failed:\n{}", self.line, self.heard);
        true
    }

    /// Waits until it has ended, and says whether that was well; none where it said one of these first.
    fn ended(&mut self, or_says: &[&str]) -> Option<bool> {
        let began = Instant::now();
        loop {
            assert!(
                began.elapsed() < PATIENCE,
                "`{}` does not end:\n{}",
                self.line,
                self.heard
            );
            while let Ok(line) = self.said.recv_timeout(Duration::from_millis(20)) {
                self.heard.push_str(&line);
                self.heard.push('\n');
                if or_says.iter().any(|text| line.contains(text)) {
                    return None;
                }
            }
            if let Some(status) = self.child.try_wait().expect("it is ours") {
                self.heard.extend(self.said.iter().map(|line| line + "\n"));
                return Some(status.success());
            }
        }
    }

    fn interrupt(&self) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "sent");
    }
}

fn listen(from: impl Read + Send + 'static, tell: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            // Nobody listens any more where the test has ended.
            let _ = tell.send(line);
        }
    });
}

/// The desk on which all machines stand: one folder, in which files are carried over by itself.
struct Desk {
    folder: tempfile::TempDir,
    running: Vec<Running>,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let programs = folder.path().join("bin");
        fs::create_dir(&programs).expect("a folder");
        let program = Path::new(env!("CARGO_BIN_EXE_regatta"));
        symlink(program, programs.join("regatta")).expect("a link");
        Self {
            folder,
            running: Vec::new(),
        }
    }

    fn shell(&self, line: &str) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.folder.path().join("bin");
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec {line}")]).env_clear();
        shell.env("PATH", format!("{}:{path}", programs.display()));
        shell.env("HOME", self.folder.path());
        shell.env("TMPDIR", self.folder.path());
        shell.current_dir(self.folder.path());
        shell
    }

    fn state(&self, machine: &str) -> PathBuf {
        let state = self.folder.path().join("state").join(machine);
        if !state.exists() {
            fs::create_dir_all(&state).expect("a folder");
            // Loopback alone: what else is on this machine's network is none of a test's business.
            let settings = "[network]\nlan = false\n\
                 listen = [\"/ip4/127.0.0.1/udp/0/quic-v1\", \"/ip4/127.0.0.1/tcp/0\"]\n";
            fs::write(state.join("regatta.toml"), settings).expect("written");
        }
        state
    }

    /// Types a line on a machine: done when it has ended, runs, or waits for the root.
    fn on_machine(&mut self, machine: &str, line: &str) {
        let mut shell = self.shell(line);
        shell.env("REGATTA_STATE_DIR", self.state(machine));
        let mut running = Running::spawn(line, &mut shell);
        if !running.ends(&["ready: ", "waits for the root"]) {
            self.running.push(running);
        }
    }

    /// Who waited for somebody else has to be done before its machine's next line.
    fn catch_up(&mut self, machine: &str) {
        let (waiting, others) = std::mem::take(&mut self.running)
            .into_iter()
            .partition(|it: &Running| it.line.starts_with("regatta join"));
        self.running = others;
        let waiting: Vec<Running> = waiting;
        for mut join in waiting {
            if join.line.contains(machine) {
                assert!(join.ends(&[]), "{}", join.heard);
            } else {
                self.running.push(join);
            }
        }
    }

    fn with_sources(&mut self, line: &str) {
        let ci = source(".ci/run");
        if line == "cargo run --release -- demo" {
            let mut demo = Running::spawn(line, &mut self.shell("regatta demo"));
            assert!(
                !demo.ends(&["The fleet runs until Ctrl-C"]),
                "{}",
                demo.heard
            );
            assert!(demo.heard.contains("amr-03  ready"), "{}", demo.heard);
            demo.interrupt();
            demo.ends(&[]);
        } else {
            let is_run = ci.lines().any(|it| it.trim() == line);
            assert!(is_run, "neither this test nor .ci/run runs `{line}`");
        }
    }
}

#[test]
fn every_command_of_the_readme_works_as_it_stands_there() {
    let mut desk = Desk::new();
    let mut typed: BTreeMap<String, usize> = BTreeMap::new();
    for block in blocks(&source("README.md")) {
        for line in &block.lines {
            let name = line.split_whitespace().take(2).collect::<Vec<_>>();
            *typed.entry(name.join(" ")).or_default() += 1;
            match &block.machine {
                Some(machine) => {
                    let ours = line.starts_with("regatta ");
                    assert!(
                        ours,
                        "`{line}` is typed on {machine} and no command of ours"
                    );
                    desk.catch_up(machine);
                    desk.on_machine(machine, line);
                }
                None => desk.with_sources(line),
            }
        }
    }
    for needed in [
        "cargo run",
        "cargo test",
        "regatta init",
        "regatta up",
        "regatta invite",
        "regatta join",
        "regatta get",
        "regatta label",
        "regatta ping",
        "regatta revoke",
        "regatta root",
    ] {
        assert!(typed.contains_key(needed), "README.md shows no `{needed}`");
    }
    let nodes = desk.running.iter().filter(|it| it.line == "regatta up");
    assert_eq!(nodes.count(), 3, "two managers and an agent run");
    for node in &desk.running {
        node.interrupt();
    }
    for node in &mut desk.running {
        assert!(node.ends(&[]), "{}", node.heard);
    }
}

#[test]
fn what_the_readme_links_to_is_there() {
    let text = source("README.md");
    let links = text.split("](").skip(1);
    let targets = links.filter_map(|rest| rest.split(')').next());
    for target in targets.filter(|target| !target.starts_with("http")) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("..")
            .join(target);
        assert!(
            path.exists(),
            "README.md links to {target}, which is not there"
        );
    }
}

/// What the guide to configuration has typed, or written into a file.
enum Step {
    File { name: String, text: String },
    Typed { line: String, shows: Vec<String> },
}

fn guide(text: &str) -> Vec<Step> {
    let (mut steps, mut lines) = (Vec::new(), text.lines());
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("~~~") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "~~~").collect();
        match info.split_once(' ') {
            Some(("yaml", name)) => steps.push(Step::File {
                name: name.to_owned(),
                text: block.join("\n") + "\n",
            }),
            _ => {
                assert_eq!(info, "console", "a block that nobody runs: {line}");
                for line in block {
                    match (line.strip_prefix("$ "), steps.last_mut()) {
                        (Some(typed), _) => steps.push(Step::Typed {
                            line: typed.to_owned(),
                            shows: Vec::new(),
                        }),
                        (None, Some(Step::Typed { shows, .. })) => shows.push(line.to_owned()),
                        (None, _) => panic!("`{line}` is what nothing shows"),
                    }
                }
            }
        }
    }
    steps
}

/// Words without what differs from run to run: times, hashes, and whose turn it is in a rollout.
fn plain(line: &str) -> String {
    let word = |word: &str| {
        let bare = word.trim_end_matches([',', ':', ')']);
        let is_hash = bare.len() == 8 && bare.chars().all(|it| it.is_ascii_hexdigit());
        match bare {
            _ if bare.len() == 20 && bare.ends_with('Z') => "TIME".to_owned(),
            _ if is_hash => "HASH".to_owned(),
            _ if line.contains("have to succeed") && bare.starts_with("amr-") => {
                "DEVICE".to_owned()
            }
            _ => word.to_owned(),
        }
    };
    line.split_whitespace()
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Whether all of these lines were said; `…` stands for anything. In no order, for there are two streams.
fn said(heard: &str, shows: &[String]) -> bool {
    let heard: Vec<String> = heard.lines().map(plain).collect();
    shows.iter().all(|line| {
        let line = plain(line);
        heard.iter().any(|heard| {
            let mut rest = heard.as_str();
            line.split('…').all(|part| match rest.find(part) {
                Some(at) => {
                    rest = &rest[at + part.len()..];
                    true
                }
                None => false,
            })
        })
    })
}

/// Whether it only looks, so that it may be typed again until devices are as far.
fn only_looks(line: &str) -> bool {
    let looks = [
        "get ",
        "explain ",
        "diff ",
        "config ",
        "history ",
        "rollout status",
        "conflicts",
    ];
    line.starts_with("cat ")
        || looks
            .iter()
            .any(|it| line.contains(&format!("regatta {it}")))
}

#[test]
fn the_guide_to_configuration_works_against_a_demo() {
    let desk = Desk::new();
    let mut demo = None;
    for step in guide(&source("README.md")) {
        let (line, shows) = match step {
            Step::File { name, text } => {
                fs::write(desk.folder.path().join(name), text).expect("written");
                continue;
            }
            Step::Typed { line, shows } => (line, shows),
        };
        if line.starts_with("regatta demo") {
            let mut running = Running::spawn(&line, &mut desk.shell(&line));
            assert!(
                !running.ends(&["The fleet runs until Ctrl-C"]),
                "{}",
                running.heard
            );
            demo = Some(running);
            continue;
        }
        if line.starts_with("export ") {
            continue;
        }
        let began = Instant::now();
        loop {
            let mut shell = desk.shell("true");
            shell.env("REGATTA_STATE_DIR", desk.folder.path().join("fleet/m1"));
            // Without `exec`: there are variables before it, and several commands in a line.
            let mut typed = Command::new("sh");
            typed
                .args(["-c", &line])
                .current_dir(desk.folder.path())
                .env_clear();
            typed.envs(
                shell
                    .get_envs()
                    .filter_map(|(key, value)| Some((key, value?))),
            );
            let mut running = Running::spawn(&line, &mut typed);
            let watched = shows.first().map_or("", String::as_str);
            if line.contains("config watch") {
                assert!(!running.ends(&[watched]), "{}", running.heard);
                break;
            }
            let well = running.ended(&[]) == Some(true);
            if well && said(&running.heard, &shows) {
                break;
            }
            let again = only_looks(&line) && began.elapsed() < PATIENCE;
            assert!(
                again,
                "`{line}` shows\n{}\nand not\n{}",
                running.heard,
                shows.join("\n")
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
    let mut demo = demo.expect("the guide starts one");
    demo.interrupt();
    demo.ends(&[]);
}
