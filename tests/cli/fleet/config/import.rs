//! A tree of folders by label and value, as rapyuta.io has it, taken over and applied.

use std::fs;

use super::super::super::{code, text};
use super::Site;

#[test]
fn a_tree_of_folders_is_taken_over() {
    let site = Site::with(&[
        ("amr-01", &["country=japan"]),
        ("amr-02", &["country=india"]),
    ]);
    let top = site.fleet.path("params");
    let japan = top.join("country/japan");
    fs::create_dir_all(&japan).expect("folders");
    fs::create_dir_all(top.join("country/india")).expect("folders");
    fs::write(
        top.join("nav.yaml"),
        "max_velocity: 5\nlidar: {port: /dev/a}\n",
    )
    .expect("written");
    fs::write(top.join("map.bin"), [0, 159, 146, 150]).expect("written");
    fs::write(japan.join("nav.yaml"), "max_velocity: 3\n").expect("written");
    fs::write(top.join("country/india/site.json"), "{\"name\": \"pune\"}").expect("written");
    let imported = site.fleet.run("m1", &["config", "import", "params"]);
    assert_eq!(code(&imported), Some(0), "{}", text(&imported.stderr));
    let documents = text(&imported.stdout);
    site.applies(&documents);
    for (config, device) in [
        ("params", "amr-01"),
        ("params", "amr-02"),
        ("params-country-japan", "amr-01"),
        ("params-country-india", "amr-02"),
    ] {
        site.until_is(config, device, "applied");
    }
    let nav = |device: &str| site.file(device, "/opt/params/nav.yaml");
    assert_eq!(nav("amr-01"), "lidar:\n  port: /dev/a\nmax_velocity: 3\n");
    assert_eq!(nav("amr-02"), "lidar:\n  port: /dev/a\nmax_velocity: 5\n");
    let map = fs::read(site.disk("amr-02", "/opt/params/map.bin"));
    assert_eq!(map.expect("there"), [0, 159, 146, 150]);
    let pune = site.file("amr-02", "/opt/params/site.json");
    let pune: serde_json::Value = serde_json::from_str(&pune).expect("JSON");
    assert_eq!(pune, serde_json::json!({"name": "pune"}));
    assert!(!site.disk("amr-01", "/opt/params/site.json").exists());
    let again = site.applies(&documents);
    assert_eq!(again.matches("unchanged").count(), 3, "{again}");
}
