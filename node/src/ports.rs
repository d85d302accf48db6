//! The port that a node listens on: the usual one, else one that is free; it stays the same from then on.

use regatta_actors::network::Address;
use serde::{Deserialize, Serialize};

use crate::folder::{FolderError, StateFolder};
use crate::machine::{free_port, has_ipv6, is_free};
use crate::settings::{NetworkSettings, Origins, Source};

/// The port of the default settings.
pub const USUAL: u16 = 4700;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PortsFile {
    port: u16,
}

/// Where a node listens, and what there is to say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// The addresses.
    pub listen: Vec<Address>,
    /// Why they are not those of the settings.
    pub note: Option<String>,
    /// The port to keep once the node runs, where it is another than the kept one.
    pub keep: Option<u16>,
}

impl Listening {
    /// At addresses that somebody named.
    #[must_use]
    pub fn at(listen: Vec<Address>) -> Self {
        Self {
            listen,
            note: None,
            keep: None,
        }
    }
}

/// The addresses of the settings; where these are the defaults, with a port that is free.
///
/// # Errors
/// When the port that was chosen cannot be kept.
pub fn choose(
    folder: &StateFolder,
    network: &NetworkSettings,
    origins: &Origins,
) -> Result<Listening, FolderError> {
    let listen = network.listen.clone();
    if origins.of("network.listen").source != Source::Default {
        return Ok(Listening::at(listen));
    }
    let kept = folder.kept_port()?;
    let (port, note) = match kept {
        Some(port) if is_free(port) => (port, None),
        None if is_free(USUAL) => (USUAL, None),
        taken => {
            let port = free_port().unwrap_or(USUAL);
            let taken = taken.unwrap_or(USUAL);
            let note = format!("port {taken} is taken, this node listens on {port} from now on");
            (port, Some(note))
        }
    };
    let keep = (kept != Some(port)).then_some(port);
    let ipv6 = has_ipv6();
    let with_port = |address: Address| {
        let text = address.to_string();
        let text = text.replace(&format!("/{USUAL}"), &format!("/{port}"));
        text.parse().unwrap_or(address)
    };
    let usable = |address: &Address| ipv6 || !address.to_string().starts_with("/ip6/");
    let listen = listen.into_iter().filter(usable).map(with_port).collect();
    Ok(Listening { listen, note, keep })
}

/// The port that was kept, or one that is free; it is to be kept once the node runs.
///
/// # Errors
/// When the kept one cannot be read.
pub fn kept_or_free(folder: &StateFolder) -> Result<u16, FolderError> {
    let kept = folder.kept_port()?.filter(|port| is_free(*port));
    Ok(kept.unwrap_or_else(|| free_port().unwrap_or(USUAL)))
}

impl StateFolder {
    fn kept_port(&self) -> Result<Option<u16>, FolderError> {
        let path = self.ports();
        if !self.has(&path)? {
            return Ok(None);
        }
        let text = self.read_own(&path)?;
        match toml::from_str::<PortsFile>(&text) {
            Ok(file) => Ok(Some(file.port)),
            Err(error) => Err(FolderError::Broken {
                path,
                why: format!("{error}; remove it to have a port chosen anew"),
            }),
        }
    }

    /// Keeps a port, so that the node is found there again.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn keep_port(&self, port: u16) -> Result<(), FolderError> {
        let text = format!(
            "# Chosen at the first start, so that others find this node again.\nport = {port}\n"
        );
        self.write_own(&self.ports(), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::choose;
    use crate::folder::StateFolder;
    use crate::settings::{Flags, load_with};

    #[test]
    fn a_chosen_port_persists_and_explicit_addresses_stay_as_they_are() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = StateFolder::at(place.path());
        let (settings, origins) =
            load_with(place.path(), None, [], Flags::default()).expect("the defaults");
        let first = choose(&folder, &settings.network, &origins).expect("a port");
        let port = first.keep.expect("a new one");
        assert_eq!(
            folder.kept_port().expect("readable"),
            None,
            "not before it runs"
        );
        folder.keep_port(port).expect("kept");
        let again = choose(&folder, &settings.network, &origins).expect("a port");
        assert_eq!(first.listen, again.listen);
        assert_eq!(again.note, None);
        let mut flags = Flags::default();
        let given = "/ip4/127.0.0.1/tcp/0".to_owned();
        flags.list("network.listen", "--listen", vec![given.clone()]);
        let (settings, origins) = load_with(place.path(), None, [], flags).expect("settings");
        let chosen = choose(&folder, &settings.network, &origins).expect("addresses");
        let texts: Vec<String> = chosen.listen.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [given]);
    }
}
