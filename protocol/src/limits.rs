//! Every limit of the protocol, named once; DESIGN part 8 is the list that this file keeps.

/// An entry's header, without signature and body.
pub const ENTRY_HEADER_BYTES_MAX: usize = 1024;
/// A body that is carried along with its entry.
pub const BODY_CARRIED_BYTES_MAX: usize = 32 * 1024;
/// One frame of control traffic.
pub const CONTROL_FRAME_BYTES_MAX: usize = 32 * 1024;
/// What carries one entry with its body: a frame of its own size class.
pub const PARCEL_BYTES_MAX: usize = ENTRY_HEADER_BYTES_MAX + BODY_CARRIED_BYTES_MAX + 256;
/// A frame that carries entries; one parcel always fits.
pub const ENTRIES_FRAME_BYTES_MAX: usize = PARCEL_BYTES_MAX + 256;
/// One batch of a pulled ledger.
pub const TELEMETRY_BATCH_BYTES_MAX: usize = 256 * 1024;
/// A document's body.
pub const DOCUMENT_BODY_BYTES_MAX: u64 = 1024 * 1024;
/// A file by content.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Files that one configuration document makes.
pub const CONFIG_FILES_MAX: usize = 256;
/// Secrets of one configuration document.
pub const CONFIG_SECRETS_MAX: usize = 256;
/// What is run after a change, by one configuration document.
pub const CONFIG_HOOKS_MAX: usize = 16;
/// Waves of one rollout.
pub const CONFIG_WAVES_MAX: usize = 64;
/// Labels of which a rollout keeps some devices available.
pub const CONFIG_AVAILABLE_MAX: usize = 8;
/// A file's path on a device.
pub const CONFIG_FILE_PATH_BYTES_MAX: usize = 4095;
/// How long a hook, or the wait for a manager after a change, may take.
pub const CONFIG_HOOK_MS_MAX: u64 = 60 * 60 * 1000;
/// One piece of a body on its way, before sealing.
pub const BODY_PIECE_BYTES_MAX: usize = 16 * 1024;
/// Certificates from the root down to the last, the last included.
pub const CERTIFICATE_CHAIN_DEPTH_MAX: usize = 4;
/// A certificate's bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 4096;
/// A selector's text.
pub const SELECTOR_BYTES_MAX: usize = 1024;
/// Labels of one node.
pub const LABELS_MAX: usize = 32;
/// A name or a label's key or value, in bytes.
pub const NAME_BYTES_MAX: usize = 64;
/// Heads that one revision may replace.
pub const REPLACES_MAX: usize = 16;
/// Links that a request for a body may pass: four reach, five do not.
pub const BODY_HOPS_MAX: u8 = 4;
/// Leaves of one ledger: restored backups and forks; beyond it the ledger is `saturated`.
pub const LEAVES_MAX: usize = 32;
/// Numbers of a stopped hand that are kept beyond the last that an order lets count.
pub const FORKED_ENTRIES_MAX: usize = 4096;
/// How far ahead of reference time a stamp may be before its entry is held.
pub const HOLD_AHEAD_MS: u64 = 60_000;
/// How long after a lapse testimony still says what the lapsed certificate covered.
pub const LAPSE_GRACE_MS: u64 = 7 * DAY_MS;
/// How far on testimony may renew a peer's certificate.
pub const TESTIMONY_RENEWAL_MS_MAX: u64 = 90 * DAY_MS;
/// A device certificate's life at most.
pub const DEVICE_CERTIFICATE_MS_MAX: u64 = 30 * DAY_MS;
/// An operator certificate's life at most.
pub const OPERATOR_CERTIFICATE_MS_MAX: u64 = 90 * DAY_MS;
/// One day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// Hashes in one list of a body's pieces: a list is as long as a piece, and 8 MiB need only one.
pub const BODY_LIST_HASHES_MAX: usize = BODY_PIECE_BYTES_MAX / 32;
/// Pieces of one body that are asked for and not there yet.
pub const BODY_WINDOW_PIECES: usize = 32;
/// Bodies that one node fetches at once; the others wait.
pub const BODY_FETCHES_MAX: usize = 4;
/// Bodies that one node wants, those that wait included.
pub const BODY_WANTS_MAX: usize = 4096;
/// Bodies that one node hands out at once, to all.
pub const BODY_SESSIONS_MAX: usize = 64;
/// Answers that pass through one node at once, for all.
pub const BODY_ROUTES_MAX: usize = 512;
/// Answers that pass through one node, or that it hands out, because one neighbour asked.
pub const BODY_ROUTES_PER_PEER_MAX: usize = 64;
/// Of these, requests for bodies that no entry held here names.
pub const BODY_ROUTES_UNKNOWN_MAX: usize = 64;
/// Neighbours that are asked at the same time for one body.
pub const BODY_FAN_OUT: usize = 3;
/// From how many pieces on a body is had from several neighbours at once.
pub const BODY_SHARED_PIECES_MIN: u16 = 64;
/// Neighbours that are asked at the same time for one such body.
pub const BODY_SHARERS_MAX: usize = 12;
/// Neighbours that one passing node asks for one body, one after the other.
pub const BODY_ASKED_MAX: usize = 8;
/// How far a request's time may lie from the holder's.
pub const BODY_REQUEST_FRESH_MS: u64 = 10 * 60_000;
/// A request for a body with its certificates: it is kept while it is passed on.
pub const BODY_REQUEST_BYTES_MAX: usize = 8 * 1024;
/// Home managers that one node keeps.
pub const HOMES_MAX: usize = 2;
/// Neighbours that one node keeps.
pub const NEIGHBOURS_MAX: usize = 4;
/// Neighbours suggested in one message.
pub const SUGGESTIONS_MAX: usize = 8;
/// Nodes whose presence one manager holds.
pub const PRESENCES_MAX: usize = 200_000;
/// A presence, without its signature.
pub const PRESENCE_BYTES_MAX: usize = 256;
/// Other managers that one manager keeps a link to.
pub const MANAGER_LINKS_MAX: usize = 128;
/// One message about pulled ledgers: a batch, and what stands around it.
pub const PULL_MESSAGE_BYTES_MAX: usize = TELEMETRY_BATCH_BYTES_MAX + CONTROL_FRAME_BYTES_MAX;
/// Managers that one acknowledgement may name.
pub const PULL_HOLDERS_MAX: usize = 8;
/// Batches of one device that a manager has asked for and not yet stored.
pub const PULLS_PER_DEVICE_MAX: usize = 2;
/// The same over all devices: 64 MiB of batches.
pub const PULLS_MAX: usize = 256;
/// Batches on their way to one other manager.
pub const COPIES_PER_PEER_MAX: usize = 16;
/// How long an asked batch, copy or range may take.
pub const PULL_TIMEOUT_MS: u64 = 10_000;
/// The longest pause after failures, and between looks at a ledger that has nothing new.
pub const PULL_PAUSE_MS_MAX: u64 = 300_000;
/// Incarnations of a pulled ledger that are remembered by name.
pub const SPOOL_STARTS_MAX: usize = 64;
/// Gaps that a device lists at once; nearer ones are joined beyond it.
pub const SPOOL_GAPS_MAX: usize = 64;
/// Entries of one spool before it makes room by itself: 4 MiB of sizes.
pub const SPOOL_ENTRIES_MAX: usize = 1_000_000;
/// Addresses that one node names.
pub const ADDRESSES_MAX: usize = 8;
/// One address, as text: one through a relay names two nodes, and the relay's host may have a long name.
pub const ADDRESS_BYTES_MAX: usize = 256;
/// Where a node can be reached, without its signature.
pub const CONTACT_BYTES_MAX: usize = 2560;
/// Contacts in one message.
pub const CONTACTS_TOLD_MAX: usize = 12;
/// Contacts that a manager keeps of those that are no managers.
pub const CONTACTS_MAX: usize = 65_536;
/// The same on an agent, and nodes that either looks for at once.
pub const CONTACTS_AGENT_MAX: usize = 64;
