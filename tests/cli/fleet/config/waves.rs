//! Changes that go out in waves: to the end, to the first device that fails, and back.

use regatta_node::exit::Exit;
use serde_json::Value;

use super::super::super::fails;
use super::{Site, config, nav, params};

const PARAMS: &str = "/opt/nav/params.yaml";
const WAVES: &str = "rollout: {waves: ['1', '100%']}";
const DEVICES: [&str; 2] = ["amr-01", "amr-02"];

fn status(site: &Site) -> Value {
    site.fleet.json("m1", &["rollout", "status", "nav"])
}

fn until_rollout(site: &Site, version: u32, state: &str) {
    site.fleet
        .until(&format!("the rollout of nav@{version} is {state}"), |_| {
            let found = status(site);
            found["version"] == version && found["state"] == state
        });
}

fn files(site: &Site) -> [String; 2] {
    DEVICES.map(|device| site.file(device, PARAMS))
}

/// A manager listens for a while before it drives anything; what is said of a change counts before that.
#[test]
fn a_change_that_is_aborted_before_it_began_leaves_devices_as_they_are() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    site.applies(&nav(1, ""));
    site.until_is("nav", "amr-01", "applied");
    site.applies(&nav(2, WAVES));
    site.fleet.does("m1", &["rollout", "abort", "nav"]);
    site.applies(&config("mark", "select: role=amr\nvalues: {mark: 1}"));
    site.until_is("mark", "amr-01", "applied");
    assert_eq!(site.file("amr-01", PARAMS), params(1));
    assert_eq!(status(&site)["state"], "aborted");
}

/// Of what went before a manager may not have read the last word: that is no word that it never went out.
#[test]
fn an_abort_right_after_another_change_goes_back_to_that() {
    let site = Site::with(&[("amr-01", &["role=amr"])]);
    site.applies(&nav(1, ""));
    site.until_is("nav", "amr-01", "applied");
    site.applies(&nav(2, WAVES));
    until_rollout(&site, 2, "complete");
    site.applies(&nav(3, WAVES));
    site.fleet.does("m1", &["rollout", "abort", "nav"]);
    site.applies(&config("mark", "select: role=amr\nvalues: {mark: 1}"));
    site.until_is("mark", "amr-01", "applied");
    site.fleet.until("what was before", |_| {
        site.file("amr-01", PARAMS) == params(2)
    });
}

#[test]
fn a_change_goes_out_in_waves_and_a_bad_one_stops_at_the_first_device() {
    let site = Site::with(&[("amr-01", &["role=amr"]), ("amr-02", &["role=amr"])]);
    site.applies(&nav(1, ""));
    for device in DEVICES {
        site.until_is("nav", device, "applied");
    }
    let none = site.fleet.run("m1", &["rollout", "status", "nav"]);
    let why = "config/nav@1 goes out at once; spec.rollout makes waves of it";
    fails(&none, Exit::ALL_FAILED, why);
    let nobody = site.fleet.run("m1", &["rollout", "pause", "nobody"]);
    fails(&nobody, Exit::ALL_FAILED, "no config is called 'nobody'");
    site.applies(&nav(2, WAVES));
    until_rollout(&site, 2, "complete");
    assert_eq!(files(&site), [params(2), params(2)]);
    let over = site.fleet.run("m1", &["rollout", "abort", "nav"]);
    let why = "the rollout of config/nav@2 is complete; nothing about it changes any more";
    fails(&over, Exit::ALL_FAILED, why);
    // One bad device is one too many.
    site.applies(&nav(
        3,
        &format!("{WAVES}\nhealthy: {{exec: ['false'], within: 100ms}}"),
    ));
    until_rollout(&site, 3, "paused");
    let found = status(&site);
    assert_eq!(
        (&found["failed"], &found["open"], &found["wave"]),
        (&1.into(), &1.into(), &1.into()),
        "{found}"
    );
    assert!(
        found["why"]
            .as_str()
            .is_some_and(|why| why.contains("failed")),
        "{found}"
    );
    assert_eq!(
        files(&site),
        [params(2), params(2)],
        "taken back on one, never tried on the other"
    );
    let shown = site.fleet.does("m1", &["rollout", "status", "nav"]);
    assert!(shown.starts_with("config/nav@3: paused: "), "{shown}");
    let wide = site.fleet.does("m1", &["get", "configs", "-o", "wide"]);
    assert!(wide.contains("paused, wave 1 of 2"), "{wide}");
    steered(&site);
}

fn steered(site: &Site) {
    // Aborted: the version before holds again everywhere, and stays.
    let said = site.fleet.run("m1", &["rollout", "abort", "nav"]);
    let said = super::super::super::text(&said.stderr);
    let expect = "regatta: the rollout of config/nav@3 is aborted: devices go back to what was before; on 1 of 1 \
                  managers\n";
    assert_eq!(said, expect);
    until_rollout(site, 3, "aborted");
    assert_eq!(files(site), [params(2), params(2)]);
    let again = site.fleet.run("m1", &["rollout", "resume", "nav"]);
    fails(
        &again,
        Exit::ALL_FAILED,
        "the rollout of config/nav@3 is aborted",
    );
    // A good one, held by hand after its first wave.
    let slow = "rollout: {waves: ['1', '100%'], pause: 1h}";
    site.applies(&nav(4, slow));
    site.fleet
        .until("the first wave has it", |_| status(site)["applied"] == 1);
    let pause = ["rollout", "pause", "nav", "--reason", "lunch"];
    site.fleet.does("m1", &pause);
    let found = status(site);
    assert_eq!(found["state"], "paused");
    assert!(
        found["why"]
            .as_str()
            .is_some_and(|why| why.ends_with(": lunch")),
        "{found}"
    );
    let mut now = files(site);
    now.sort();
    assert_eq!(now, [params(2), params(4)], "one of two");
    site.fleet.does("m1", &["rollout", "resume", "nav"]);
    until_rollout(site, 4, "running");
    site.fleet.does("m1", &["rollout", "abort", "nav"]);
    site.fleet.until("the first wave is taken back", |_| {
        files(site) == [params(2), params(2)]
    });
    // And the next change goes the whole way.
    site.applies(&nav(5, WAVES));
    until_rollout(site, 5, "complete");
    assert_eq!(files(site), [params(5), params(5)]);
    let mut states = site.fleet.json("m1", &["get", "configs"]);
    let counts = states[0]["devices"].take();
    assert_eq!(
        (&counts["desired"], &counts["applied"]),
        (&2.into(), &2.into()),
        "{counts}"
    );
}
