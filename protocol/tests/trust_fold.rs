//! The fold of trust: one state in any order of arrival, and the stories that it has to get right.

#[path = "fold/chains.rs"]
mod chains;
#[path = "fold/documents.rs"]
mod documents;
#[path = "fold/enrolling.rs"]
mod enrolling;
#[path = "fold/feeding.rs"]
mod feeding;
#[path = "fold/fixture.rs"]
mod fixture;
#[path = "fold/golden.rs"]
mod golden;
#[path = "fold/harbour.rs"]
mod harbour;
#[path = "fold/history.rs"]
mod history;
#[path = "fold/intruders.rs"]
mod intruders;
#[path = "fold/invites.rs"]
mod invites;
#[path = "fold/orders.rs"]
mod orders;
#[path = "fold/papers.rs"]
mod papers;
#[path = "fold/powers.rs"]
mod powers;
#[path = "fold/renewals.rs"]
mod renewals;
#[path = "fold/requests.rs"]
mod requests;
#[path = "fold/riding.rs"]
mod riding;
#[path = "fold/rolls.rs"]
mod rolls;
#[path = "fold/roots.rs"]
mod roots;
#[path = "fold/scenarios.rs"]
mod scenarios;
#[path = "fold/selections.rs"]
mod selections;
#[path = "fold/standing.rs"]
mod standing;
#[path = "fold/state.rs"]
mod state;
#[path = "fold/stewards.rs"]
mod stewards;
#[path = "fold/times.rs"]
mod times;
