//! A running digest over everything that machines handled, in order: equal seeds, equal traces.

use regatta_protocol::config::adoption;
use regatta_protocol::ledger::bodies;
use regatta_protocol::ledger::bodies::message::BodyMessage;
use regatta_protocol::ledger::cursor::CursorEvent;
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::replica::Event;
use regatta_protocol::ledger::spool::SpoolEvent;
use regatta_protocol::ledger::spool::message::PullMessage;
use regatta_protocol::machine::Millis;
use regatta_protocol::membership::MembershipEvent;
use regatta_protocol::membership::message::MembershipMessage;

use crate::network::NodeIndex;

/// What was done, for the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Events that machines handled.
    pub events: u64,
    /// Of those, membership's.
    pub membership: u64,
    /// Of those, spools' and cursors'.
    pub pulled: u64,
    /// Of those, those of bodies.
    pub bodies: u64,
    /// Of those, those of configuration.
    pub config: u64,
    /// A running digest over all of them, in order.
    pub trace: u64,
}

impl Done {
    fn note(&mut self, now: Millis, node: NodeIndex, kind: u64) {
        self.events += 1;
        let word = now.0 << 28 ^ u64::from(node) << 8 ^ kind;
        self.trace = (self.trace ^ word)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(31);
    }

    /// A replica handles this.
    pub fn note_replica(&mut self, now: Millis, node: NodeIndex, event: &Event) {
        let kind = match event {
            Event::PeerUp(_) => 1,
            Event::PeerDown(_) => 2,
            Event::Received { message, .. } => 16 + replica_message(message),
            Event::Malformed { .. } => 3,
            Event::Write(_) => 4,
            Event::Feeder(_) => 5,
            Event::Clock { .. } => 6,
            Event::Wake => 7,
            Event::Presented { .. } => 8,
            Event::Learned(_) => 9,
            Event::Room(_) => 10,
            Event::PeerChanged(_) => 11,
        };
        self.note(now, node, kind);
    }

    /// A membership handles this.
    pub fn note_membership(&mut self, now: Millis, node: NodeIndex, event: &MembershipEvent) {
        let kind = match event {
            MembershipEvent::Wake => 64,
            MembershipEvent::Clock { .. } => 65,
            MembershipEvent::Roster { .. } => 66,
            MembershipEvent::Remembered { .. } => 67,
            MembershipEvent::LanSeen { .. } => 68,
            MembershipEvent::Known { .. } => 69,
            MembershipEvent::Forget { .. } => 70,
            MembershipEvent::Connected { .. } => 71,
            MembershipEvent::Disconnected { .. } => 72,
            MembershipEvent::DialFailed { .. } => 73,
            MembershipEvent::Received { message, .. } => 80 + membership_message(message),
            MembershipEvent::NewsHops { .. } => 74,
            MembershipEvent::FeederFailed { .. } => 75,
            MembershipEvent::Malformed { .. } => 76,
        };
        self.membership += 1;
        self.note(now, node, kind);
    }

    /// A spool handles this.
    pub fn note_spool(&mut self, now: Millis, node: NodeIndex, event: &SpoolEvent) {
        let kind = match event {
            SpoolEvent::Append(_) => 112,
            SpoolEvent::Received { message, .. } => 144 + pull_message(message),
            SpoolEvent::Holders(_) => 113,
            SpoolEvent::SpaceShort { .. } => 114,
            SpoolEvent::Looked { .. } => 115,
            SpoolEvent::Corrupt { .. } => 116,
            SpoolEvent::Served { .. } => 117,
            SpoolEvent::Lost { .. } => 118,
            SpoolEvent::Renewed { .. } => 119,
        };
        self.pulled += 1;
        self.note(now, node, kind);
    }

    /// A cursor handles this.
    pub fn note_cursor(&mut self, now: Millis, node: NodeIndex, event: &CursorEvent) {
        let kind = match event {
            CursorEvent::Open { .. } => 128,
            CursorEvent::Close { .. } => 129,
            CursorEvent::Holders(_) => 130,
            CursorEvent::Reached { .. } => 131,
            CursorEvent::Lost { .. } => 132,
            CursorEvent::Received { message, .. } => 144 + pull_message(message),
            CursorEvent::Stored { .. } => 133,
            CursorEvent::Wake => 134,
        };
        self.pulled += 1;
        self.note(now, node, kind);
    }

    /// A machine of configuration handles this.
    pub fn note_config(&mut self, now: Millis, node: NodeIndex, event: &adoption::Event) {
        let kind = match event {
            adoption::Event::Wanted(_) => 200,
            adoption::Event::Staged { .. } => 201,
            adoption::Event::Done { .. } => 202,
            adoption::Event::ManagerHeard => 203,
            adoption::Event::Reported(_) => 204,
            adoption::Event::Retry(_) => 205,
            adoption::Event::Wake => 206,
        };
        self.config += 1;
        self.note(now, node, kind);
    }

    /// A machine of bodies handles this.
    pub fn note_bodies(&mut self, now: Millis, node: NodeIndex, event: &bodies::Event) {
        let kind = match event {
            bodies::Event::Want { .. } => 176,
            bodies::Event::Forget(_) => 177,
            bodies::Event::Have { .. } => 178,
            bodies::Event::Lost(_) => 179,
            bodies::Event::PeerUp { .. } => 180,
            bodies::Event::PeerDown(_) => 181,
            bodies::Event::Malformed { .. } => 182,
            bodies::Event::Read { .. } => 183,
            bodies::Event::Wake => 184,
            bodies::Event::Received { message, .. } => 192 + body_message(message),
        };
        self.bodies += 1;
        self.note(now, node, kind);
    }
}

fn body_message(message: &BodyMessage) -> u64 {
    match message {
        BodyMessage::Request { .. } => 0,
        BodyMessage::Answer { .. } => 1,
        BodyMessage::Ask { .. } => 2,
        BodyMessage::Refused { .. } => 3,
        BodyMessage::Done { .. } => 4,
        BodyMessage::Part { .. } => 5,
        BodyMessage::Insist { .. } => 6,
        BodyMessage::Shares { .. } => 7,
    }
}

fn replica_message(message: &Message) -> u64 {
    match message {
        Message::Digest(_) => 0,
        Message::Heads(_) => 1,
        Message::Pull(_) => 2,
        Message::Entries { .. } => 3,
        Message::Announce { .. } => 4,
        Message::Push { .. } => 5,
        Message::Feed(_) => 6,
        Message::Buckets(_) => 7,
        Message::Bucket { .. } => 8,
        Message::Stored(_) => 9,
    }
}

fn membership_message(message: &MembershipMessage) -> u64 {
    match message {
        MembershipMessage::Presence(_) => 0,
        MembershipMessage::KeepAlive { .. } => 1,
        MembershipMessage::KeepAliveAck { .. } => 2,
        MembershipMessage::Ping { .. } => 3,
        MembershipMessage::Batch(_) => 4,
        MembershipMessage::Want { .. } => 5,
        MembershipMessage::GetPresence { .. } => 6,
        MembershipMessage::Seek { .. } => 7,
        MembershipMessage::Suggest { .. } => 8,
        MembershipMessage::NeighbourAsk { .. } => 9,
        MembershipMessage::NeighbourAnswer { .. } => 10,
        MembershipMessage::NeighbourLeave { .. } => 11,
        MembershipMessage::Doubt { .. } => 12,
    }
}

fn pull_message(message: &PullMessage) -> u64 {
    match message {
        PullMessage::Pull { .. } => 0,
        PullMessage::Batch { .. } => 1,
        PullMessage::Standing { .. } => 2,
        PullMessage::Acknowledge { .. } => 3,
        PullMessage::News { .. } => 4,
        PullMessage::Offer { .. } => 5,
        PullMessage::Fetch { .. } => 6,
        PullMessage::Copy { .. } => 7,
        PullMessage::Copied { .. } => 8,
        PullMessage::Inquire { .. } => 9,
    }
}
