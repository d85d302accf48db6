//! What connections run over: sockets (QUIC, TCP with DNS) or memory, and relays over either.

mod doorway;
mod hasty;

use std::io;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport, dns, noise, quic, relay, tcp, yamux};

use self::doorway::Doorway;
use self::hasty::Hasty;
use crate::network::limits::{NEGOTIATION, PENDING_INBOUND_MAX, QUIC_IDLE, STREAMS_PER_PEER_MAX};
use crate::network::memory::MemoryTransport;
use crate::network::{MemoryPort, NetworkError};

/// Over what a node reaches others.
#[derive(Clone, Debug)]
pub enum NetworkTransport {
    /// QUIC and TCP, with names looked up by DNS.
    Sockets,
    /// A place in a network in memory: for fleets in one process.
    Memory(MemoryPort),
}

type Secured = (PeerId, StreamMuxerBox);

/// The transport, and what drives relayed connections over it.
pub(super) fn build(
    kind: &NetworkTransport,
    keypair: &Keypair,
) -> Result<(Boxed<Secured>, relay::client::Behaviour), NetworkError> {
    let (relayed, client) = relay::client::new(keypair.public().to_peer_id());
    let relayed = secured(relayed, keypair)?;
    let direct = match kind {
        NetworkTransport::Sockets => sockets(keypair)?,
        NetworkTransport::Memory(port) => secured(MemoryTransport::new(port.clone()), keypair)?,
    };
    // Relayed first: an address of a relay's circuit begins like the relay's own.
    let both = relayed.or_transport(direct).map(|either, _| {
        let (peer, muxer) = either.into_inner();
        (peer, StreamMuxerBox::new(Hasty::new(muxer)))
    });
    let doorway = Doorway::new(both.boxed(), PENDING_INBOUND_MAX);
    Ok((doorway.boxed(), client))
}

fn secured<T>(transport: T, keypair: &Keypair) -> Result<Boxed<Secured>, NetworkError>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: futures::AsyncRead + futures::AsyncWrite + Unpin + Send + 'static,
    T::Error: Send + Sync + 'static,
    T::Dial: Send + 'static,
    T::ListenerUpgrade: Send + 'static,
{
    let encryption = noise::Config::new(keypair)
        .map_err(|error| NetworkError::Transport(io::Error::other(error)))?;
    let mut streams = yamux::Config::default();
    // Both sides' streams together, on one connection.
    streams.set_max_num_streams(2 * STREAMS_PER_PEER_MAX);
    Ok(transport
        .upgrade(Version::V1)
        .authenticate(encryption)
        .multiplex(streams)
        .timeout(NEGOTIATION)
        .boxed())
}

fn sockets(keypair: &Keypair) -> Result<Boxed<Secured>, NetworkError> {
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = NEGOTIATION;
    // Whether a peer is there its link and membership ask, as often as its profile allows. QUIC's own
    // word each 5 s, from both ends of each link, was nine tenths of what an idle agent sent.
    config.max_idle_timeout = u32::try_from(QUIC_IDLE.as_millis()).unwrap_or(u32::MAX);
    config.keep_alive_interval = QUIC_IDLE;
    config.max_concurrent_stream_limit = u32::try_from(STREAMS_PER_PEER_MAX).unwrap_or(u32::MAX);
    let quic = quic::tokio::Transport::new(config)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let sockets = quic
        .or_transport(secured(tcp, keypair)?)
        .map(|either, _| either.into_inner())
        .boxed();
    Ok(match dns::tokio::Transport::system(sockets) {
        Ok(named) => named.boxed(),
        Err(error) => {
            return Err(NetworkError::Names(error));
        }
    })
}
