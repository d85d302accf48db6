//! Who may do what to whom, and who says so: roots, certificates, invites, verdicts and their fold.

pub mod authority;
pub mod certificate;
pub mod counting;
pub mod enrolment;
pub mod fold;
pub mod founding;
pub mod invite;
pub mod papers;
pub mod record;
pub mod roll;
pub mod root;
pub mod statement;
pub mod steward;
pub mod verdict;
