//! Why bodies could not be had, what neighbours did wrong, and how much there is to do.

use crate::ledger::bodies::message::Refusal;

/// Why a body could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// Nobody within four links gave it; the last answer was this.
    Refused(Refusal),
    /// Nobody answered in time.
    Silence,
    /// Whoever answered gave other bytes.
    WrongBytes,
    /// Longer than any file may be.
    TooLong,
    /// More bodies are wanted than are kept in mind.
    TooMany,
    /// This node's certificates do not fit into a request.
    Unpresentable,
}

/// What ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misdeed {
    /// More messages than any member needs.
    Flood,
    /// A request that its requester did not sign: an honest neighbour checks before it passes on.
    Forgery,
    /// It said that it holds the body, and gave other bytes.
    WrongBytes,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Parts that came and did not belong to the body.
    pub wrong: u64,
    /// Messages that fitted nothing under way, and frames that were none.
    pub stray: u64,
    /// Messages over a neighbour's budget.
    pub over: u64,
    /// Requests passed on, once for each neighbour asked.
    pub passed_on: u64,
    /// Parts passed back.
    pub passed_back: u64,
    /// Parts handed out.
    pub served: u64,
}

/// How much is under way: what has to stay bounded whatever neighbours send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Bodies wanted.
    pub wants: usize,
    /// Bodies handed out.
    pub sessions: usize,
    /// Answers that pass through.
    pub routes: usize,
    /// Requests remembered so as not to ask on twice.
    pub remembered: usize,
}
