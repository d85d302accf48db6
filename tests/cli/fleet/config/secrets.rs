//! Secrets: in the file of the device that they are for, and nowhere else.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use regatta_node::exit::Exit;

use super::super::super::{code, fails, regatta, text};
use super::{Site, config, files_below};

const PSK: &str = "correct-horse-battery-staple";

fn wifi(hello: &str) -> String {
    let spec = format!(
        "select: name=amr-01\nvalues: {{wifi: {{ssid: {hello}}}}}\nsecrets: {{wifi.psk: {{from: env:WIFI_PSK}}}}\n\
         files: [{{path: /opt/wifi.json, from: wifi}}]"
    );
    config("wifi", &spec)
}

/// Applies with the secret in the environment.
fn apply(site: &Site, document: &str) -> String {
    let mut command = regatta();
    command
        .args(["apply", "-f", "-", "--state-dir"])
        .arg(site.fleet.path("m1"));
    command.env("WIFI_PSK", PSK).stdin(Stdio::piped());
    let piped = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = piped.expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(document.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), Some(0), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

/// Every file that has the text in it.
fn found(site: &Site) -> Vec<String> {
    let mut files = Vec::new();
    files_below(site.fleet.path(""), &mut files);
    let has = |path: &std::path::PathBuf| {
        let bytes = fs::read(path).unwrap_or_default();
        bytes.windows(PSK.len()).any(|part| part == PSK.as_bytes())
    };
    let mut found: Vec<String> = files
        .into_iter()
        .filter(has)
        .map(|path| {
            path.strip_prefix(site.fleet.path(""))
                .unwrap_or(&path)
                .display()
                .to_string()
        })
        .collect();
    found.sort();
    found
}

#[test]
fn a_secret_stands_in_its_file_and_nowhere_else() {
    let mut site = Site::with(&[("amr-01", &["role=amr"]), ("amr-02", &["role=amr"])]);
    let mut said = apply(&site, &wifi("hall"));
    site.until_is("wifi", "amr-01", "applied");
    let path = site.disk("amr-01", "/opt/wifi.json");
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    assert_eq!(file, serde_json::json!({"psk": PSK, "ssid": "hall"}));
    assert_eq!(
        fs::metadata(&path).expect("there").permissions().mode() & 0o777,
        0o600
    );
    for command in [
        &["config", "show", "amr-01"] as &[&str],
        &["config", "show", "amr-01", "-o", "json"],
        &["describe", "config", "wifi"],
        &["describe", "config", "wifi", "-o", "json"],
        &["history", "config", "wifi", "-o", "json"],
        &["get", "configs", "-o", "json"],
        &["explain", "amr-01", "wifi.psk"],
        &["explain", "amr-01", "wifi", "-o", "json"],
    ] {
        said += &site.fleet.does("m1", command);
    }
    assert_eq!(
        site.fleet
            .json("m1", &["config", "show", "amr-01", "wifi.psk"]),
        "(secret)"
    );
    fs::write(site.fleet.path("wifi.yaml"), wifi("dock")).expect("written");
    said += &site.fleet.does("m1", &["diff", "-f", "wifi.yaml"]);
    // Programs on the device itself read it.
    assert_eq!(
        site.fleet.does("amr-01", &["config", "get", "wifi.psk"]),
        format!("{PSK}\n")
    );
    // Once more, beside an attempt that fails in the end.
    let broken = wifi("dock") + "  healthy: {exec: ['false'], within: 100ms}\n";
    said += &apply(&site, &broken);
    site.fault("wifi", "amr-01");
    said += &site.fleet.does("m1", &["describe", "config", "wifi"]);
    // Going back seals what was sealed for the older version anew.
    said += &site
        .fleet
        .does("m1", &["rollback", "config", "wifi", "--to", "1"]);
    site.until_is("wifi", "amr-01", "applied");
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    assert_eq!(file, serde_json::json!({"psk": PSK, "ssid": "hall"}));
    assert!(!said.contains(PSK), "{said}");
    // As `describe` shows it, its source is not said.
    let described = site.fleet.does("m1", &["describe", "config", "wifi"]);
    let manifest = described.split("\n\n").next().unwrap_or_default();
    let sealed = site.tries(&manifest.replace("ssid: hall", "ssid: yard"), &[]);
    fails(
        &sealed,
        Exit::USAGE,
        "name its source, such as {from: env:NAME}",
    );
    site.fleet.until("nothing is left of attempts", |_| {
        site.left_in("amr-01", "attempts").is_empty()
    });
    for node in ["m1", "amr-01", "amr-02"] {
        let log = site.fleet.stop(node);
        assert!(!log.contains(PSK), "{log}");
    }
    assert_eq!(found(&site), ["disk-amr-01/opt/wifi.json"]);
}

/// A command that is shown a secret may say it; nobody else hears it.
#[test]
fn what_a_command_says_of_a_secret_is_masked() {
    let mut site = Site::with(&[("amr-01", &["role=amr"])]);
    let check = "  check: {exec: [sh, -c, 'cat $REGATTA_STAGED/opt/wifi.json >&2; exit 1']}\n";
    apply(&site, &(wifi("hall") + check));
    let why = site.fault("wifi", "amr-01");
    assert!(why.contains("\"psk\": \"(secret)\""), "{why}");
    for node in ["m1", "amr-01"] {
        let log = site.fleet.stop(node);
        assert!(!log.contains(PSK), "{log}");
    }
    assert_eq!(found(&site), [""; 0]);
}

/// A device that comes later, by joining or by a label, is handed the key by a manager that has it.
#[test]
fn a_device_that_is_selected_later_gets_the_secret_too() {
    let mut site = Site::with(&[("amr-01", &["role=amr"]), ("amr-02", &["role=dock"])]);
    let document = wifi("hall").replace("name=amr-01", "role=amr");
    apply(&site, &document);
    site.until_is("wifi", "amr-01", "applied");
    let expect = site.file("amr-01", "/opt/wifi.json");
    assert!(expect.contains(PSK));
    site.join("amr-03", &["role=amr"]);
    site.fleet.does("m1", &["label", "amr-02", "role=amr"]);
    for device in ["amr-02", "amr-03"] {
        site.until_is("wifi", device, "applied");
        assert_eq!(site.file(device, "/opt/wifi.json"), expect);
    }
    // Who is selected no more has no file of it either.
    site.fleet.does("m1", &["label", "amr-02", "role=dock"]);
    site.fleet.until("it is gone", |_| {
        !site.disk("amr-02", "/opt/wifi.json").exists()
    });
}
