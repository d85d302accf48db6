//! The real client against the real server: whoever the kernel says it is gets in, nobody else does.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{fs, thread};

use regatta_node::control::server::{Server, ServerSettings};
use regatta_node::desk::Desk;
use regatta_node::exit::Exit;
use regatta_protocol::trust::certificate::Capability;
use tokio::runtime::Runtime;

use super::fails;

/// A user of every Linux machine that owns nothing.
const NOBODY: u32 = 65534;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// `regatta …` as another user; only root can ask for that.
fn asked_by(user: Option<u32>, folder: &Path, arguments: &[&str]) -> Output {
    // Copied to where that user may run it; by another process, because a file that is open for
    // writing in this one could be inherited by what another test just starts, and is then busy.
    let binary = folder.join("regatta");
    if !binary.exists() {
        let mut copy = Command::new("cp");
        let copied = copy
            .arg(env!("CARGO_BIN_EXE_regatta"))
            .arg(&binary)
            .status();
        assert!(copied.is_ok_and(|status| status.success()), "copied");
        mode(&binary, 0o755);
    }
    let mut command = Command::new(binary);
    command
        .args(arguments)
        .arg("--state-dir")
        .arg(folder)
        .stdin(Stdio::null())
        .env_clear();
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    command.output().expect("it starts")
}

#[test]
fn callers_are_whom_the_kernel_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    mode(folder, 0o755);
    let is_root = fs::metadata(folder).expect("ours").uid() == 0;
    let name = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields = |line: &str| -> Vec<String> { line.split(':').map(str::to_owned).collect() };
    let mut rows = name.lines().map(fields);
    let name = rows.find(|row| row.get(2) == Some(&NOBODY.to_string()));
    let name = name.map(|row| row[0].clone());
    for listed in [false, true] {
        let users = match &name {
            Some(name) if listed => [(
                name.clone(),
                vec![Capability::DeviceEnrol, Capability::Delegate],
            )]
            .into(),
            _ => [].into(),
        };
        let settings = ServerSettings {
            socket: folder.join("control.sock"),
            group: "no-such-group".to_owned(),
            users,
            metrics: None,
        };
        let runtime = Runtime::new().expect("a runtime");
        let server = runtime.block_on(Server::bind(settings)).expect("bound");
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = thread::spawn(move || {
            runtime.block_on(server.serve(Desk::default(), async { drop(stopped.await) }));
        });
        let not_started = "this node has not started yet";
        fails(
            &asked_by(None, folder, &["status"]),
            Exit::ALL_FAILED,
            not_started,
        );
        if is_root {
            let ask = |arguments: &[&str]| asked_by(Some(NOBODY), folder, arguments);
            // The kernel's own refusal, and then ours, for whoever gets past the file's mode.
            fails(
                &ask(&["status"]),
                Exit::UNREACHABLE,
                "you may not use the control socket",
            );
            mode(&folder.join("control.sock"), 0o666);
            match listed && name.is_some() {
                false => fails(&ask(&["status"]), Exit::ALL_FAILED, "may not use this node"),
                true => {
                    fails(&ask(&["status"]), Exit::ALL_FAILED, not_started);
                    fails(&ask(&["renew", "amr-07"]), Exit::ALL_FAILED, not_started);
                    // What stops a device, whatever else it does, needs the right to stop one; and
                    // nobody hands on what he does not have.
                    let refused = "stop is not among its capabilities";
                    for stops in ["revoke", "forget", "replace"] {
                        fails(&ask(&[stops, "amr-07"]), Exit::ALL_FAILED, refused);
                    }
                    let key = "00".repeat(32);
                    let grant = |what| ask(&["grant", what, "--to", "bob", "--key", &key]);
                    let refused = "may not grant exec.run: it is not among its capabilities";
                    fails(&grant("exec.run"), Exit::ALL_FAILED, refused);
                    fails(&grant("device.enrol"), Exit::ALL_FAILED, not_started);
                }
            }
        }
        drop(stop);
        serving.join().expect("it ends");
        assert!(!folder.join("control.sock").exists());
    }
}
