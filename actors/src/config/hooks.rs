//! Runs what documents say is to be run: bounded in time and output, and gone when its time is up.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use regatta_protocol::codec::Name;
use regatta_protocol::config::document::Action;
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::config::users;

/// How long an action after a change may take.
pub const ACTION_WITHIN: Duration = Duration::from_secs(120);
/// What of a command's last words goes into a report.
const WORDS_BYTES_MAX: usize = 400;
/// How long a probe that failed waits before it is tried again.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How long a command that was ended may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);
/// What stands for the folder of staged files in a command.
const STAGED: &str = "REGATTA_STAGED";
/// Where programs are looked for: a service's own path is often empty.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Commands that have the service manager do something; `{unit}` stands for the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services {
    /// Restarts a unit.
    pub restart: Vec<String>,
    /// Has it read its configuration anew.
    pub reload: Vec<String>,
}

impl Default for Services {
    fn default() -> Self {
        let systemctl = |verb: &str| ["systemctl", verb, "{unit}"].map(str::to_owned).to_vec();
        Self {
            restart: systemctl("restart"),
            reload: systemctl("reload"),
        }
    }
}

impl Services {
    /// The command of an action.
    #[must_use]
    pub fn command(&self, action: &Action) -> Vec<String> {
        let of = |command: &[String], unit: &str| {
            let words = command.iter().map(|word| word.replace("{unit}", unit));
            words.collect()
        };
        match action {
            Action::Exec(command) => command.clone(),
            Action::Restart(unit) => of(&self.restart, unit),
            Action::Reload(unit) => of(&self.reload, unit),
        }
    }
}

/// What is to be run, and in which surroundings.
#[derive(Clone, Debug)]
pub struct Run {
    /// The command and its arguments.
    pub command: Vec<String>,
    /// As which user; the node's own where none is said.
    pub run_as: Option<Name>,
    /// The document that wants it.
    pub document: Name,
    /// Where the staged files are, laid out as they will lie.
    pub staged: Option<PathBuf>,
}

impl Run {
    fn build(&self) -> Result<Command, String> {
        let staged = self.staged.as_deref().map(Path::to_string_lossy);
        let staged = staged.unwrap_or_default();
        let expand = |word: &String| {
            let braced = format!("${{{STAGED}}}");
            let word = word.replace(&braced, &staged);
            word.replace(&format!("${STAGED}"), &staged)
        };
        let mut words = self.command.iter().map(expand);
        let program = words.next().ok_or("an empty command")?;
        let mut command = Command::new(program);
        command
            .args(words)
            .env_clear()
            .env("PATH", PATH)
            .env("REGATTA_DOCUMENT", self.document.as_str())
            .env(STAGED, staged.as_ref())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        if let Some(name) = &self.run_as {
            let user = users::user(name.as_str());
            let user = user.ok_or_else(|| format!("this device has no user called '{name}'"))?;
            if user.uid != geteuid().as_raw() {
                if !geteuid().is_root() {
                    return Err(format!(
                        "this node does not run as root, so nothing runs as '{name}'"
                    ));
                }
                command.uid(user.uid).gid(user.gid);
            }
            command.env("HOME", &user.home).env("USER", name.as_str());
        }
        Ok(command)
    }

    /// Runs it once.
    ///
    /// # Errors
    /// Why it did not succeed, with its last words.
    pub async fn once(&self, within: Duration) -> Result<(), String> {
        let mut command = self.build()?;
        let shown = self.command.join(" ");
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return Err(format!("{shown}: {error}")),
        };
        let group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
        let words = tokio::spawn(last_words(child.stdout.take(), child.stderr.take()));
        let ended = timeout(within, child.wait()).await;
        // Whatever it left running goes with it.
        group.end();
        let outcome = match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(said(status)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => {
                gone(&mut child).await;
                Err(format!("not done within {} s", within.as_secs_f64()))
            }
        };
        let words = timeout(GONE_WITHIN, words).await;
        let words = words.ok().and_then(Result::ok).unwrap_or_default();
        outcome.map_err(|why| match words.is_empty() {
            true => format!("{shown}: {why}"),
            false => format!("{shown}: {why}: {words}"),
        })
    }

    /// Runs it until it succeeds, or the time is up.
    ///
    /// # Errors
    /// Why it did not succeed the last time.
    pub async fn until_well(&self, within: Duration) -> Result<(), String> {
        let end = Instant::now() + within;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.once(left.max(Duration::from_millis(1))).await {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() + AGAIN_AFTER >= end => return Err(why),
                Err(_) => sleep(AGAIN_AFTER).await,
            }
        }
    }
}

/// A command's process group; it ends when this is dropped, whoever drops it.
struct Group(Option<Pid>);

impl Group {
    fn end(&self) {
        if let Some(pid) = self.0 {
            // One that is gone already is what was wanted.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

async fn gone(child: &mut Child) {
    // It was killed; the kernel takes it away in a moment, or it hangs on a disk and nothing helps.
    let _ = timeout(GONE_WITHIN, child.wait()).await;
}

fn said(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The end of what was said, on one line.
async fn last_words(
    out: Option<impl AsyncRead + Unpin>,
    err: Option<impl AsyncRead + Unpin>,
) -> String {
    let (out, err) = tokio::join!(tail(out), tail(err));
    let words = if err.trim().is_empty() { out } else { err };
    let lines: Vec<&str> = words
        .lines()
        .map(str::trim)
        .filter(|it| !it.is_empty())
        .collect();
    lines.join("; ")
}

async fn tail(from: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut from) = from else {
        return String::new();
    };
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..read]);
        let over = kept.len().saturating_sub(WORDS_BYTES_MAX);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

#[cfg(test)]
mod tests {
    use super::{Run, Services};
    use regatta_protocol::codec::Name;
    use regatta_protocol::config::document::Action;
    use std::time::{Duration, Instant};

    fn run(command: &[&str]) -> Run {
        Run {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            run_as: None,
            document: Name::new("nav").expect("a name"),
            staged: Some("/stage".into()),
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn a_command_fails_with_its_code_and_its_last_words() {
        assert_eq!(run(&["true"]).once(LONG).await, Ok(()));
        let failed = run(&["sh", "-c", "echo fine; echo bad port >&2; exit 3"]);
        let said = failed.once(LONG).await.expect_err("it fails");
        assert!(said.ends_with("exit code 3: bad port"), "{said}");
        let said = run(&["no-such-program"]).once(LONG).await;
        let said = said.expect_err("it is not there");
        assert!(said.starts_with("no-such-program: "), "{said}");
        let said = run(&["sh", "-c", "kill -9 $$"]).once(LONG).await;
        assert!(said.expect_err("it dies").contains("ended by signal 9"));
    }

    #[tokio::test]
    async fn a_command_learns_where_the_staged_files_are() {
        let script =
            "test $1 = /stage/x && test $REGATTA_STAGED = /stage && test $REGATTA_DOCUMENT = nav";
        for word in ["$REGATTA_STAGED/x", "${REGATTA_STAGED}/x"] {
            let run = run(&["sh", "-c", script, "sh", word]);
            assert_eq!(run.once(LONG).await, Ok(()), "{word}");
        }
    }

    #[tokio::test]
    async fn what_takes_too_long_is_ended_with_all_that_it_started() {
        let folder = tempfile::tempdir().expect("a folder");
        let pid = folder.path().join("pid");
        let script = format!("sleep 300 & echo $! > {}; wait", pid.display());
        let began = Instant::now();
        let said = run(&["sh", "-c", &script])
            .once(Duration::from_millis(500))
            .await;
        let said = said.expect_err("it takes longer");
        assert!(said.contains("not done within 0.5 s"), "{said}");
        assert!(began.elapsed() < LONG, "{:?}", began.elapsed());
        let pid = std::fs::read_to_string(pid).expect("it began");
        let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()));
        // Gone, or waiting for whoever collects the dead.
        assert!(status.is_err() || status.is_ok_and(|it| it.contains("Z (zombie)")));
    }

    #[tokio::test]
    async fn a_flood_of_words_is_cut() {
        let said = run(&["sh", "-c", "yes flood | head -c 1000000; exit 1"]);
        let said = said.once(LONG).await.expect_err("it fails");
        assert!(said.len() < 1_000, "{}", said.len());
    }

    #[tokio::test]
    async fn a_probe_is_tried_until_it_is_well() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        let mark = mark.display();
        let script = format!("if test -e {mark}; then exit 0; fi; touch {mark}; exit 1");
        let probe = run(&["sh", "-c", &script]);
        assert_eq!(probe.until_well(LONG).await, Ok(()));
        let never = run(&["sh", "-c", "echo still down; exit 1"]);
        let said = never.until_well(Duration::from_millis(700)).await;
        assert!(said.expect_err("it never is").contains("still down"));
    }

    #[tokio::test]
    async fn a_user_who_is_not_there_is_named() {
        let run = Run {
            run_as: Some(Name::new("nobody-of-that-name").expect("a name")),
            ..run(&["true"])
        };
        let said = run.once(LONG).await.expect_err("there is no such user");
        assert_eq!(said, "this device has no user called 'nobody-of-that-name'");
    }

    #[test]
    fn a_unit_takes_its_place_in_the_command() {
        let services = Services::default();
        let command = services.command(&Action::Restart("nav.service".to_owned()));
        assert_eq!(command, ["systemctl", "restart", "nav.service"]);
        let command = services.command(&Action::Reload("nav.service".to_owned()));
        assert_eq!(command, ["systemctl", "reload", "nav.service"]);
    }
}
