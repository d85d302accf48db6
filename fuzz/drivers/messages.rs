//! Any bytes are a message or an error; what decodes encodes to the same bytes.

use regatta_protocol::catalog::wraps::DeviceWrap;
use regatta_protocol::codec::{self, Wire};
use regatta_protocol::contacts::{Contact, ContactMessage};
use regatta_protocol::ledger::bodies::message::BodyMessage;
use regatta_protocol::ledger::message::Message;
use regatta_protocol::ledger::spool::message::PullMessage;
use regatta_protocol::membership::message::MembershipMessage;
use regatta_protocol::trust::enrolment::Enrolment;
use regatta_protocol::trust::enrolment::change::{Forget, GivenInvite, Relabel};
use regatta_protocol::trust::invite::answer::JoinAnswer;
use regatta_protocol::trust::invite::join::SignedJoin;
use regatta_protocol::trust::papers::{Greeting, PapersMessage};

pub fn run(bytes: &[u8]) {
    reads_back::<Message>(bytes);
    reads_back::<MembershipMessage>(bytes);
    reads_back::<PullMessage>(bytes);
    reads_back::<BodyMessage>(bytes);
    reads_back::<ContactMessage>(bytes);
    reads_back::<Contact>(bytes);
    reads_back::<DeviceWrap>(bytes);
    reads_back::<Enrolment>(bytes);
    reads_back::<Relabel>(bytes);
    reads_back::<Forget>(bytes);
    reads_back::<GivenInvite>(bytes);
    reads_back::<JoinAnswer>(bytes);
    reads_back::<SignedJoin>(bytes);
    reads_back::<Greeting>(bytes);
    reads_back::<PapersMessage>(bytes);
}

fn reads_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = codec::decode::<T>(bytes) {
        assert_eq!(codec::encode(&value), bytes);
    }
}
