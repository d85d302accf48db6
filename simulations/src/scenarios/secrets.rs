//! Secrets in scenarios: one value, its data key handed to devices by whoever enrols them.

use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::codec;
use regatta_protocol::crypto::seal::{BoxSecret, DataKey, SealedValue, WrapPlace};
use regatta_protocol::ledger::entry::{EntryKind, LedgerKind};
use regatta_protocol::ledger::replica::author::Draft;
use regatta_protocol::prng::Prng;

use crate::scenarios::player::Play;
use crate::scenarios::step::{Label, Scenario, Step, Who};

use Step::{Agree, Apart, Conflicts, Heal, Opens, Wait, Winner, Wrap, Write};

const DETAIL: &[u8] = b"wifi_psk";
const VALUE: &[u8] = b"correct horse";

/// These scenarios.
#[must_use]
pub fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "two enrolments wrap a secret at once",
        managers: 3,
        agents: 3,
        lives: &[],
        steps: TWO_WRAPS,
    }]
}

const TWO_WRAPS: &[Step] = &[
    Write(0, "wifi", "secret"),
    Agree(10_000),
    Apart(&[0, 3]),
    Wait(15_000),
    Wrap(0, 3, "secret"),
    Wrap(1, 4, "secret"),
    // The same device, enrolled by another manager: twice is as good as once.
    Wrap(2, 4, "secret"),
    Heal,
    Agree(20_000),
    Opens(3, "secret", true),
    Opens(4, "secret", true),
    Opens(5, "secret", false),
    Winner("wifi", "secret"),
    Conflicts("wifi", 0),
];

/// The sealed value and its key; every manager that may wrap has both.
fn sealed(play: &Play) -> (SealedValue, DataKey) {
    let fleet = &play.world.root.fleet;
    SealedValue::seal(fleet, DETAIL, VALUE, &mut Prng::from_number(7))
}

/// A device's key, of which the scenario alone knows.
fn secret_of(device: Who) -> BoxSecret {
    BoxSecret::from_bytes(&[u8::try_from(device).unwrap_or(u8::MAX); 32])
}

/// Hands the data key to a device.
pub(super) fn wrap(play: &Play, device: Who, label: Label) -> Option<Draft> {
    let (value, data_key) = sealed(play);
    let (revision, node) = (play.written(label).head.hash, play.id(device));
    let place = WrapPlace {
        fleet: &play.world.root.fleet,
        revision: &revision,
        node: &node,
    };
    let key = secret_of(device).public();
    let wrap = data_key.wrap_for(&key, &place, &mut Prng::from_number(9));
    let content = codec::encode(&DeviceWrap {
        revision,
        commitment: value.commitment(),
        node,
        key,
        wrap: wrap.ok()?,
    });
    let draft = Draft::new(0, LedgerKind::Fleet, EntryKind::WRAP, content);
    Some(Draft {
        scope: Some(node),
        ..draft
    })
}

/// Whether the device itself, and every manager for it, finds a wrap with which its key opens the
/// value.
pub(super) fn check_opens(
    play: &Play,
    device: Who,
    label: Label,
    opens: bool,
) -> Result<(), String> {
    let (value, _) = sealed(play);
    let (revision, node) = (play.written(label).head.hash, play.id(device));
    let place = WrapPlace {
        fleet: &play.world.root.fleet,
        revision: &revision,
        node: &node,
    };
    let managers = play.world.managers().into_iter();
    for index in managers
        .map(|index| index as Who)
        .chain(std::iter::once(device))
    {
        let replica = play.world.nodes[index].replica.as_ref();
        let mut wraps = replica
            .into_iter()
            .flat_map(|replica| replica.holdings().wraps(&revision, &node));
        let found = wraps.any(|held| {
            let key = held.wrap.unwrap_key(&secret_of(device), &place);
            let plain = key.and_then(|key| value.open(place.fleet, DETAIL, &key, 64));
            held.commitment == value.commitment() && plain.is_ok_and(|plain| *plain == VALUE)
        });
        if found != opens {
            return Err(format!(
                "node {index}: device {device} can open it: {found}"
            ));
        }
    }
    Ok(())
}
