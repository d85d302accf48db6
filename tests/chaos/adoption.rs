//! An agent is killed at any moment of taking a change on: its files are of one version, the one it reports.

use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::draw::Draw;
use super::facts::{holds, say, until};
use super::loopback::Node;

/// How many rounds there are, where somebody wants others than these.
const VARIABLE: &str = "REGATTA_ADOPTION_ROUNDS";
const ROUNDS: u32 = 60;
/// From where the moments are drawn, where somebody wants others than these.
const SEED_VARIABLE: &str = "REGATTA_ADOPTION_SEED";
const SEED: u64 = 11;
/// The agent lives at most so many microseconds from when a change is acknowledged,
const ACKNOWLEDGED_US_MAX: u64 = 100_000;
/// from when it is seen to take it on: it makes the files within the first few of them,
const BEGUN_US_MAX: [u64; 2] = [5_000, 60_000];
/// and from when it was started.
const STARTED_US_MAX: u64 = 400_000;
/// How long it is looked for an attempt that may be over already.
const LOOK: Duration = Duration::from_millis(300);
/// A change has come to rest within that time.
const RESTS: Duration = Duration::from_secs(60);

struct Site {
    manager: Node,
    agent: Node,
    draw: Draw,
    /// The version that holds.
    good: u64,
    /// How often it was killed at which step.
    steps: [u32; 4],
    // The last one to go.
    folder: tempfile::TempDir,
}

/// A version's second file: of another length each time.
fn map(version: u64) -> Vec<u8> {
    let mut bytes = format!("version: {version}\n").into_bytes();
    let length = usize::try_from(version * 7_919 % 200_000).expect("it is short");
    bytes.resize(bytes.len() + length, b'.');
    bytes
}

fn params(version: u64) -> Vec<u8> {
    format!("version: {version}\n").into_bytes()
}

impl Site {
    fn found(seed: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut manager = Node::new(folder.path(), "m1");
        let mut agent = Node::new(folder.path(), "a1");
        let key = folder.path().join("acme.key").display().to_string();
        manager.ok(&["init", "acme", "--name", "m1", "--root-key", &key]);
        manager.up();
        let invite = manager.ask(&["invite"]).expect("it runs");
        let token = invite["invite"].as_str().expect("a token");
        agent.ok(&["join", token, "--name", "a1"]);
        let settings = format!(
            "[files]\nroot = {:?}\n",
            folder.path().display().to_string()
        );
        fs::write(agent.state.join("regatta.toml"), settings).expect("written");
        agent.up();
        Self {
            manager,
            agent,
            draw: Draw(seed),
            good: 0,
            steps: [0; 4],
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a version, which is one that no device is well with, where it is bad.
    fn apply(&self, version: u64, bad: bool) {
        let healthy = match bad {
            true => "{exec: ['false'], within: 100ms}".to_owned(),
            false => {
                let file = self.path("opt/nav/params.yaml").display().to_string();
                format!("{{exec: [grep, -qx, 'version: {version}', {file:?}], within: 20s}}")
            }
        };
        let hook = format!(
            "cat {} >> {}; sleep 0.02",
            self.path("opt/nav/params.yaml").display(),
            self.path("hooks.log").display()
        );
        self.write(version, &hook, &healthy);
    }

    fn write(&self, version: u64, hook: &str, healthy: &str) {
        let document = format!(
            "apiVersion: regatta/v1\nkind: Config\nmetadata: {{name: nav}}\nspec:\n  select: ''\n  \
             values: {{nav: {{version: {version}}}}}\n  files:\n  \
             - {{path: /opt/nav/params.yaml, from: nav}}\n  - {{path: /opt/nav/map.bin, content: ./map.bin}}\n  \
             onChange: [{{exec: [sh, -c, {hook:?}]}}]\n  healthy: {healthy}\n"
        );
        fs::write(self.path("map.bin"), map(version)).expect("written");
        let file = self.path("nav.yaml");
        fs::write(&file, document).expect("written");
        self.manager
            .ok(&["apply", "-f", &file.display().to_string()]);
    }

    /// Each file is wholly of one version, with the agent dead or alive.
    fn whole(&self, version: u64) {
        for (name, of) in [
            ("params.yaml", params as fn(u64) -> Vec<u8>),
            ("map.bin", map),
        ] {
            let found = fs::read(self.path("opt/nav").join(name)).unwrap_or_default();
            let either = found == of(version) || found == of(self.good);
            let none = found.is_empty() && self.good == 0;
            let begin = String::from_utf8_lossy(&found[..found.len().min(40)]).into_owned();
            assert!(either || none, "{name}: {} bytes, {begin:?}", found.len());
        }
    }

    /// How far a killed agent was, as its folder says.
    fn step(&self) -> usize {
        let attempts = self.agent.state.join("attempts");
        let mut step = 0;
        for attempt in fs::read_dir(attempts).into_iter().flatten().flatten() {
            let there = |name: &str| attempt.path().join(name).exists();
            step = step.max(1 + usize::from(there("plan")) + usize::from(there("before")));
        }
        step
    }

    /// The last word on a version.
    fn at_rest(&self, version: u64) -> Value {
        let what = format!("version {version} applied or failed");
        let (target, _) = until(&what, RESTS, || {
            let detail = self.manager.ask(&["describe", "config", "nav"])?;
            let target = detail["targets"][0].clone();
            let ended = target["state"] == "applied" || target["state"] == "failed";
            holds(ended && detail["version"] == version, || detail.to_string())?;
            Ok(target)
        });
        let tidy = || {
            let names = |folder: PathBuf| {
                let entries = fs::read_dir(folder).into_iter().flatten().flatten();
                let names = entries.map(|it| it.file_name().to_string_lossy().into_owned());
                names.collect::<Vec<String>>()
            };
            let mut left = names(self.agent.state.join("attempts"));
            let beside = names(self.path("opt/nav"));
            left.extend(
                beside
                    .into_iter()
                    .filter(|it| it != "params.yaml" && it != "map.bin"),
            );
            holds(left.is_empty(), || format!("{left:?}"))
        };
        until("nothing is left of the attempt", RESTS, tidy);
        target
    }

    /// Lets the agent live for a while, and kills it; how far it was.
    fn kill(&mut self, limit_us: u64, version: u64) {
        // The moment is the fault: nothing is waited for.
        sleep(Duration::from_micros(self.draw.below(limit_us)));
        self.agent.kill();
        self.whole(version);
        let step = self.step();
        self.steps[step] += 1;
    }

    fn round(&mut self, version: u64) {
        let bad = self.good > 0 && self.draw.below(3) == 0;
        self.apply(version, bad);
        if self.draw.below(3) == 0 {
            self.kill(ACKNOWLEDGED_US_MAX, version);
        } else {
            let began = Instant::now();
            while self.step() == 0 && began.elapsed() < LOOK {
                sleep(Duration::from_micros(200));
            }
            let limit = BEGUN_US_MAX[usize::from(self.draw.below(2) == 0)];
            self.kill(limit, version);
        }
        while self.draw.below(2) == 0 {
            self.agent.begin();
            self.kill(STARTED_US_MAX, version);
        }
        self.agent.up();
        let target = self.at_rest(version);
        let log = fs::read_to_string(self.path("hooks.log")).unwrap_or_default();
        if bad {
            assert_eq!(target["state"], "failed", "{target}");
            let why = target["why"].as_str().unwrap_or_default();
            assert!(
                why.starts_with("healthy of nav: false: exit code 1"),
                "{target}"
            );
        } else {
            assert_eq!(target["state"], "applied", "{target}");
            self.good = version;
            let line = format!("version: {version}");
            assert!(
                log.lines().any(|it| it == line),
                "{version} is not in {log}"
            );
        }
        assert_eq!(target["holds"], self.good, "{target}");
        let last = log.lines().last().unwrap_or_default();
        assert_eq!(
            last,
            format!("version: {}", self.good),
            "what the hook was told last"
        );
        let read = |name: &str| fs::read(self.path("opt/nav").join(name)).expect("there");
        assert_eq!(read("params.yaml"), params(self.good));
        assert_eq!(read("map.bin"), map(self.good));
    }
}

fn asked(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}: {text:?} is no number")),
    )
}

#[test]
fn an_agent_killed_at_any_moment_of_adoption_has_files_of_one_version_the_one_it_reports() {
    let rounds = asked(VARIABLE).unwrap_or(u64::from(ROUNDS));
    let seed = asked(SEED_VARIABLE).unwrap_or(SEED);
    let began = Instant::now();
    let mut site = Site::found(seed);
    for version in 1..=rounds {
        site.round(version);
    }
    let steps = site.steps;
    say(&format!(
        "chaos: {rounds} changes, seed {seed}, {} times SIGKILL: {} before or after, {} while files were made, {} \
         once they were, {} from the first write on; {} s",
        steps.iter().sum::<u32>(),
        steps[0],
        steps[1],
        steps[2],
        steps[3],
        began.elapsed().as_secs()
    ));
}

#[test]
fn a_hook_that_ends_the_agent_each_time_is_given_up() {
    let mut site = Site::found(SEED);
    site.apply(1, false);
    assert_eq!(site.at_rest(1)["state"], "applied");
    site.good = 1;
    site.write(2, "kill -9 $PPID", "{exec: ['true']}");
    let mut starts = 0;
    until("it lives, and says what happened", RESTS, || {
        if site.agent.ended() {
            starts += 1;
            site.agent.begin();
        }
        let detail = site.manager.ask(&["describe", "config", "nav"])?;
        let target = &detail["targets"][0];
        holds(target["state"] == "failed", || {
            format!("{starts} starts: {target}")
        })
    });
    let target = site.at_rest(2);
    let why = target["why"].as_str().unwrap_or_default();
    assert_eq!(
        why,
        "hook of nav: the node ended 8 times while this went on"
    );
    assert_eq!(target["holds"], 1);
    let read = |name: &str| fs::read(site.path("opt/nav").join(name)).expect("there");
    assert_eq!((read("params.yaml"), read("map.bin")), (params(1), map(1)));
    say(&format!(
        "chaos: a hook that ends its agent was given up after {starts} starts"
    ));
}
