//! Configuration reaches devices: those that are there, those that come back, those behind a partition.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use regatta_actors::acts::config::{Placed, Put, apply};
use regatta_actors::config;
use regatta_protocol::codec::Name;
use regatta_protocol::config::document::{ConfigDocument, FileFormat, FileSource, FileSpec};
use regatta_protocol::config::outcome::Verdict;
use regatta_protocol::config::standing::Standing;
use regatta_protocol::config::value::{KeyPath, Tokens, Value};
use regatta_protocol::selector::Selector;
use regatta_simulations::live::LiveFleet;

/// Where the tests' document has its file.
const FILE: &str = "/opt/nav/params.json";

pub fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.map(|(key, value)| (key.to_owned(), value));
    Value::Map(BTreeMap::from(pairs))
}

/// A document that sets a velocity, and shows it in a file.
pub fn nav(velocity: i64) -> ConfigDocument {
    let values = map([("nav", map([("max_velocity", Value::Int(velocity))]))]);
    ConfigDocument {
        values: Tokens::of(&values),
        files: vec![FileSpec {
            path: FILE.to_owned(),
            source: FileSource::Tree {
                from: KeyPath::parse("nav").expect("a path"),
                format: FileFormat::Json,
            },
            mode: None,
            owner: None,
            group: None,
        }],
        ..ConfigDocument::default()
    }
}

pub fn put(select: &str, document: ConfigDocument) -> Put {
    Put {
        name: name("nav"),
        select: Selector::parse(select).expect("a selector"),
        document: Some(document),
        secrets: BTreeMap::new(),
        by: "a test".to_owned(),
        expect: None,
    }
}

pub async fn write(fleet: &LiveFleet, manager: usize, put: Put) -> Vec<Placed> {
    let handles = fleet.nodes[manager].handles().await;
    let saved = apply(&handles, vec![put]).await;
    saved.expect("a manager may write").gives
}

pub fn shows(fleet: &LiveFleet, place: usize) -> Option<i64> {
    let text = fs::read_to_string(fleet.nodes[place].file(FILE)).ok()?;
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits.parse().ok()
}

pub async fn all_show(fleet: &LiveFleet, places: &[usize], velocity: i64) -> Duration {
    let what = format!("velocity {velocity} on {places:?}");
    let shown = async |fleet: &LiveFleet| {
        let mut places = places.iter();
        places.all(|place| shows(fleet, *place) == Some(velocity))
    };
    fleet.within(Duration::from_secs(120), &what, shown).await
}

/// What a manager knows of the document on a device.
async fn standing(fleet: &LiveFleet, manager: usize, place: usize) -> Option<Standing> {
    let device = fleet.nodes[place].id;
    let handles = fleet.nodes[manager].handles().await;
    let look = config::look(&handles.config, move |view| {
        view.reports.standing(&device, &name("nav")).cloned()
    });
    look.await.expect("the actor runs")
}

async fn reported(fleet: &LiveFleet, manager: usize, place: usize, version: u32) {
    let what = format!("version {version} reported by {place} at {manager}");
    fleet
        .until(&what, async |fleet: &LiveFleet| {
            let standing = standing(fleet, manager, place).await;
            standing.is_some_and(|it| it.holds.is_some_and(|(_, held)| held == version))
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_document_reaches_every_device_it_selects_and_each_reports_it_to_all_managers() {
    let mut fleet = LiveFleet::found(51, 2).await;
    fleet.join_many(3).await;
    for place in 2..5 {
        fleet.ready(0, place).await;
    }
    let placed = write(&fleet, 0, put("", nav(3))).await;
    assert_eq!((placed[0].before, placed[0].version), (None, 1));
    assert_eq!(placed[0].devices, ["amr-01", "amr-02", "amr-03"]);
    let took = all_show(&fleet, &[2, 3, 4], 3).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    for manager in 0..2 {
        for place in 2..5 {
            reported(&fleet, manager, place, 1).await;
        }
    }
    // From the other manager, and only for one of them.
    let placed = write(&fleet, 1, put("name=amr-02", nav(5))).await;
    assert_eq!((placed[0].before, placed[0].version), (Some(1), 2));
    assert_eq!(placed[0].leaves, ["amr-01", "amr-03"]);
    all_show(&fleet, &[3], 5).await;
    fleet
        .until(
            "the others to let go of the file",
            async |fleet: &LiveFleet| {
                [2, 4]
                    .iter()
                    .all(|place| !fleet.nodes[*place].file(FILE).exists())
            },
        )
        .await;
    let standing = standing(&fleet, 0, 2).await.expect("it reported before");
    assert!(matches!(
        standing.last.verdict,
        Verdict::Removed | Verdict::Applied
    ));
    // The same again changes nothing.
    let placed = write(&fleet, 1, put("name=amr-02", nav(5))).await;
    assert!(placed[0].is_unchanged(), "{placed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_was_off_catches_up_and_one_that_restarts_alone_keeps_what_it_had() {
    let mut fleet = LiveFleet::found(52, 2).await;
    fleet.join_many(2).await;
    fleet.ready(0, 2).await;
    fleet.ready(0, 3).await;
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &[2, 3], 1).await;
    fleet.nodes[3].stop().await;
    for velocity in 2..=5 {
        write(&fleet, velocity as usize % 2, put("", nav(velocity))).await;
        // The next manager writes over what it has seen.
        fleet.agreed(&[0, 1]).await;
    }
    all_show(&fleet, &[2], 5).await;
    fleet.start(3).await;
    all_show(&fleet, &[3], 5).await;
    reported(&fleet, 0, 3, 5).await;

    // Every manager is gone; the device's file is lost with its root, and it has its words from its disk.
    fleet.nodes[0].stop().await;
    fleet.nodes[1].stop().await;
    fleet.nodes[3].stop().await;
    fleet.start(3).await;
    let handles = fleet.nodes[3].handles().await;
    let value = config::look(&handles.config, |view| {
        let path = KeyPath::parse("nav.max_velocity").expect("a path");
        view.tree.resolver().get(&path)
    });
    let value = value.await.expect("the actor runs");
    assert_eq!(value, Ok(Some(Value::Int(5))));
    assert_eq!(shows(&fleet, 3), Some(5));
}

#[tokio::test(start_paused = true)]
async fn two_managers_write_on_both_sides_of_a_partition_and_all_devices_end_with_one_of_them() {
    let mut fleet = LiveFleet::found(53, 2).await;
    fleet.join_many(2).await;
    for place in 2..4 {
        fleet.ready(0, place).await;
        fleet.ready(1, place).await;
    }
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &[2, 3], 1).await;
    fleet.agreed(&[0, 1]).await;
    fleet.cut(&[0, 2], &[1, 3]);
    write(&fleet, 0, put("", nav(7))).await;
    write(&fleet, 1, put("", nav(8))).await;
    all_show(&fleet, &[2], 7).await;
    all_show(&fleet, &[3], 8).await;
    fleet.net.heal_all();
    fleet.agreed(&[0, 1, 2, 3]).await;
    fleet
        .until("one velocity on both", async |fleet: &LiveFleet| {
            shows(fleet, 2) == shows(fleet, 3)
        })
        .await;
    let conflicts = fleet
        .look(0, |view| {
            let catalog = view.replica.holdings().catalog();
            catalog
                .documents()
                .map(|(_, heads)| heads.conflicts.len())
                .sum::<usize>()
        })
        .await;
    assert_eq!(conflicts, 1, "the loser is kept and shown");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_written_is_reported_and_holds_up_nothing_else() {
    let mut fleet = LiveFleet::found(54, 1).await;
    fleet.join_many(1).await;
    fleet.ready(0, 1).await;
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &[1], 1).await;
    let mut outside = nav(9);
    outside.files[0].path = "/etc/passwd".to_owned();
    write(&fleet, 0, put("", outside)).await;
    fleet
        .until("the refusal", async |fleet: &LiveFleet| {
            let standing = standing(fleet, 0, 1).await;
            standing.is_some_and(|it| it.last.verdict == Verdict::Refused)
        })
        .await;
    let refused = standing(&fleet, 0, 1).await.expect("it reported");
    let fault = refused.fault.expect("it says why").to_string();
    assert!(
        fault.contains("/etc/passwd: outside of what this device lets be configured"),
        "{fault}"
    );
    assert_eq!(refused.holds.map(|(_, version)| version), Some(1));
    assert_eq!(shows(&fleet, 1), Some(1));
    // The next one is tried all the same.
    write(&fleet, 0, put("", nav(2))).await;
    all_show(&fleet, &[1], 2).await;
    reported(&fleet, 0, 1, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_secret_reaches_the_devices_it_is_for_and_nobody_else() {
    let mut fleet = LiveFleet::found(55, 2).await;
    fleet.join_many(2).await;
    fleet.ready(0, 2).await;
    fleet.ready(0, 3).await;
    let path = KeyPath::parse("nav.token").expect("a path");
    let mut put = put("name=amr-01", nav(1));
    put.secrets.insert(path.clone(), "8675309".to_owned());
    write(&fleet, 0, put).await;
    fleet
        .until("the secret in the file", async |fleet: &LiveFleet| {
            let text = fs::read_to_string(fleet.nodes[2].file(FILE));
            text.is_ok_and(|text| text.contains("8675309"))
        })
        .await;
    let handles = fleet.nodes[2].handles().await;
    let shown = config::look(&handles.config, move |view| {
        view.tree.resolver().shown(&path)
    });
    let shown = shown.await.expect("the actor runs");
    assert_eq!(shown, Ok(Some(Value::Text("(secret)".to_owned()))));
    assert!(!fleet.nodes[3].file(FILE).exists());
}

#[tokio::test(start_paused = true)]
async fn a_device_that_joins_later_gets_the_secret_from_whichever_manager_is_there() {
    let mut fleet = LiveFleet::found(56, 2).await;
    fleet.join_many(1).await;
    fleet.ready(0, 2).await;
    let path = KeyPath::parse("nav.token").expect("a path");
    let mut put = put("", nav(1));
    put.secrets.insert(path, "8675309".to_owned());
    write(&fleet, 0, put).await;
    fleet.agreed(&[0, 1]).await;
    // Whoever sealed it is gone.
    fleet.nodes[0].stop().await;
    let token = fleet.invite(1, 1).await;
    let place = fleet.join(&token, "late").await.expect("it may join");
    fleet.start(place).await;
    let shown = async |fleet: &LiveFleet| {
        let text = fs::read_to_string(fleet.nodes[place].file(FILE));
        text.is_ok_and(|text| text.contains("8675309"))
    };
    let patience = Duration::from_secs(300);
    fleet
        .within(patience, "the secret on the newcomer", shown)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_member_that_walks_into_a_cut_off_site_brings_it_up_to_date() {
    let mut fleet = LiveFleet::found(57, 1).await;
    fleet.join_many(2).await;
    fleet.ready(0, 1).await;
    fleet.ready(0, 2).await;
    write(&fleet, 0, put("", nav(1))).await;
    all_show(&fleet, &[1, 2], 1).await;
    let other = fleet.nodes[2].id;
    let neighbours = async |fleet: &LiveFleet| fleet.neighbours(1).await.contains(&other);
    fleet.until("neighbours", neighbours).await;
    // The site hears nobody any more; the laptop is at the manager's.
    fleet.cut(&[2], &[0, 1]);
    write(&fleet, 0, put("", nav(2))).await;
    all_show(&fleet, &[1], 2).await;
    // It leaves, and comes to the site.
    fleet.cut(&[0], &[1, 2]);
    fleet.net.heal(2, 3);
    let shown = async |fleet: &LiveFleet| shows(fleet, 2) == Some(2);
    let patience = Duration::from_secs(600);
    fleet
        .within(patience, "the site to be up to date", shown)
        .await;
}
