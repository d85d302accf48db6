//! What crosses the fake network: one frame type for each machine, under one outer tag.

use std::rc::Rc;

use regatta_protocol::codec;
use regatta_protocol::ledger::bodies::message::BodyMessage;
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::spool::message::PullMessage;
use regatta_protocol::membership::message::MembershipMessage;

/// A message of one of the machines.
#[derive(Clone, Debug)]
pub enum Packet {
    /// Between replicas.
    Replica(Message),
    /// Between memberships.
    Membership(MembershipMessage),
    /// Between spools and cursors, and among cursors.
    Pull(PullMessage),
    /// Between machines of bodies.
    Body(BodyMessage),
}

/// Which machine a frame is for, as its first byte says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// [`Packet::Replica`].
    Replica,
    /// [`Packet::Membership`].
    Membership,
    /// [`Packet::Pull`].
    Pull,
    /// [`Packet::Body`].
    Body,
}

/// A packet on its way; copies to several receivers share it.
#[derive(Clone, Debug)]
pub enum Frame {
    /// As bytes, decoded by whoever gets it.
    Bytes(Stream, Rc<Vec<u8>>),
    /// Handed over as it is, for the largest runs; its bytes were counted.
    Counted(Rc<Packet>),
}

impl Packet {
    /// The frame, and how many bytes it has with its tag.
    #[must_use]
    pub fn frame(self, encoded: bool) -> (Frame, usize) {
        if !encoded {
            let bytes = match &self {
                Self::Replica(message) => codec::encoded_len(message),
                Self::Membership(message) => codec::encoded_len(message),
                Self::Pull(message) => codec::encoded_len(message),
                Self::Body(message) => codec::encoded_len(message),
            };
            return (Frame::Counted(Rc::new(self)), bytes + 1);
        }
        let (stream, bytes) = match &self {
            Self::Replica(message) => (Stream::Replica, codec::encode(message)),
            Self::Membership(message) => (Stream::Membership, codec::encode(message)),
            Self::Pull(message) => (Stream::Pull, codec::encode(message)),
            Self::Body(message) => (Stream::Body, codec::encode(message)),
        };
        let length = bytes.len() + 1;
        (Frame::Bytes(stream, Rc::new(bytes)), length)
    }
}

impl Frame {
    /// What arrives; none where the bytes are no such message, with the machine they were for.
    ///
    /// # Errors
    /// The stream whose reader could not make sense of the bytes.
    pub fn open(self) -> Result<Packet, Stream> {
        match self {
            Self::Counted(packet) => Ok(Rc::unwrap_or_clone(packet)),
            Self::Bytes(stream, bytes) => match stream {
                Stream::Replica => codec::decode(&bytes).map(Packet::Replica),
                Stream::Membership => codec::decode(&bytes).map(Packet::Membership),
                Stream::Pull => codec::decode(&bytes).map(Packet::Pull),
                Stream::Body => codec::decode(&bytes).map(Packet::Body),
            }
            .map_err(|_| stream),
        }
    }
}
