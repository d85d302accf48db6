//! What this machine gives a node: its name, its randomness, its time, ports that are free.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::time::{SystemTime, UNIX_EPOCH};

use regatta_protocol::codec::Name;
use regatta_protocol::machine::Millis;
use regatta_protocol::prng::Prng;

/// 32 bytes that nobody else knows.
///
/// # Panics
/// When the system has no randomness: nothing can be done safely then.
#[must_use]
pub fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    let filled = getrandom::fill(&mut bytes);
    assert!(filled.is_ok(), "the system gives no randomness: {filled:?}");
    bytes
}

/// A generator that nobody else knows.
#[must_use]
pub fn prng() -> Prng {
    Prng::from_seed(entropy())
}

/// What the wall clock shows.
#[must_use]
pub fn wall() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.unwrap_or_default().as_millis();
    Millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// The host's name, as far as it can be a node's.
#[must_use]
pub fn host_name() -> Option<Name> {
    let text = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let first = text.trim().split('.').next()?;
    Name::new(&first.to_ascii_lowercase()).ok()
}

/// Whether both a TCP and a UDP socket can be bound to this port, on every address.
#[must_use]
pub fn is_free(port: u16) -> bool {
    let free = |host: &str| {
        TcpListener::bind((host, port)).is_ok() && UdpSocket::bind((host, port)).is_ok()
    };
    free("0.0.0.0")
}

/// Where ports are chosen: below those that the kernel gives to whoever does not care, or one of them
/// could be somebody's by the time that it is listened on, now or after a restart.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
/// How many are tried.
const PORT_TRIES: usize = 256;

/// A port that is free for both now.
#[must_use]
pub fn free_port() -> Option<u16> {
    let mut prng = prng();
    let mut random = move || {
        let offset = u16::from_le_bytes(prng.bytes()) % (PORTS.end - PORTS.start);
        PORTS.start + offset
    };
    (0..PORT_TRIES)
        .map(|_| random())
        .find(|port| is_free(*port))
}

/// Whether this machine has IPv6 at all.
#[must_use]
pub fn has_ipv6() -> bool {
    UdpSocket::bind("[::]:0").is_ok()
}
