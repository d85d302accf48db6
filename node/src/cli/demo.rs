//! `regatta demo`: a small fleet on this machine.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use data_encoding::HEXLOWER;

use super::console::{Console, Done, Failure};
use super::get;
use super::place::Place;
use super::up::Signals;
use crate::demo::Demo;
use crate::exit::Exit;
use crate::folder::StateFolder;
use crate::log;
use crate::machine;

const REMOVE_TRIES: u32 = 20;
const REMOVE_EVERY: Duration = Duration::from_millis(100);

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Where its nodes keep their state, if not in a new temporary folder
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// How many agents
    #[arg(long, value_name = "NUMBER", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub agents: u32,
    /// Leave the folder there at the end
    #[arg(long)]
    pub keep: bool,
}

/// A new one, for this user alone, under a name that nobody can have taken before.
fn temporary_folder() -> io::Result<PathBuf> {
    let salt = HEXLOWER.encode(&machine::prng().bytes::<4>());
    let folder = std::env::temp_dir().join(format!("regatta-demo-{salt}"));
    DirBuilder::new().mode(0o700).create(&folder)?;
    Ok(folder)
}

/// Starts a manager and agents, says what to try, and stops them on Ctrl-C.
///
/// # Errors
/// When one of them does not start.
pub async fn run(arguments: Arguments, _: &Place, console: &mut Console<'_>) -> Done {
    let mut signals = Signals::listen()?;
    let temporary = arguments.dir.is_none();
    let folder = match &arguments.dir {
        Some(folder) => folder.clone(),
        None => temporary_folder()?,
    };
    // What is to be pasted elsewhere holds in every folder.
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    let refused = |error: &dyn std::fmt::Display| Failure::refused(error.to_string());
    StateFolder::at(&folder)
        .make_plain()
        .map_err(|error| refused(&error))?;
    let filter = log::filter("info").map_err(Failure::refused)?;
    log::start_in(&folder.join("demo.log"), filter).map_err(|error| refused(&error))?;
    let began = Instant::now();
    let starting = Demo::start(&folder, arguments.agents, |what| {
        console.say(&format!("{:>4.1} s  {what}", began.elapsed().as_secs_f32()));
    });
    let goes = temporary && !arguments.keep;
    let log = folder.join("demo.log");
    let demo = tokio::select! {
        started = starting => started.map_err(|error| {
            Failure::refused(format!("{error}; the log is {}", log.display()))
        })?,
        () = signals.next() => {
            if goes {
                remove_all(&folder).await;
            }
            return Err(Failure::refused("stopped before it was ready"));
        }
    };
    let devices = demo.devices().await.map_err(|error| refused(&error))?;
    console.out.write_all(b"\n")?;
    let table = get::devices(&devices, false);
    let table = table.render(console.screen.columns, console.screen.colour);
    console.out.write_all(table.as_bytes())?;
    console.out.write_all(tries(&folder, goes).as_bytes())?;
    console.out.flush()?;
    signals.next().await;
    console.say("stopping");
    demo.stop().await;
    if goes {
        std::fs::remove_dir_all(&folder).map_err(|error| refused(&error))?;
    } else {
        console.say(&format!("everything is in {}", folder.display()));
    }
    Ok(Exit::ALL)
}

/// Removes the folder under nodes that end with this process, and may make a file until then.
async fn remove_all(folder: &Path) {
    for _ in 0..REMOVE_TRIES {
        // What is left is tried again, and in the end left to whoever cleans temporary folders.
        let _ = std::fs::remove_dir_all(folder);
        tokio::time::sleep(REMOVE_EVERY).await;
        if !folder.exists() {
            return;
        }
    }
}

/// A name for this program, for shells that would not find it: `cargo run` puts it into no folder of
/// theirs.
fn alias() -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join("regatta").is_file());
    match std::env::current_exe() {
        Ok(program) if !found => format!("alias regatta='{}'\n  ", program.display()),
        _ => String::new(),
    }
}

/// What to try, ready to be pasted.
fn tries(folder: &Path, goes: bool) -> String {
    let fate = if goes {
        "and go when it ends (--keep leaves them)"
    } else {
        "and stay there"
    };
    format!(
        "\nThe fleet runs until Ctrl-C; all of its files are in {folder},\n{fate}. In another terminal:\n\n  \
         {alias}export REGATTA_STATE_DIR={manager}\n  \
         regatta status\n  \
         regatta get devices -l site=osaka -o wide\n  \
         regatta ping amr-01\n  \
         regatta label amr-01 site=kyoto\n  \
         regatta describe device amr-01\n  \
         regatta invite --label site=nara       # and `regatta join` with it, on another machine\n  \
         regatta revoke amr-02 --reason stolen\n\n\
         What its nodes say: tail -f {log}\n",
        folder = folder.display(),
        alias = alias(),
        manager = folder.join("m1").display(),
        log = folder.join("demo.log").display(),
    )
}
