//! The fold of trust: one state in any order of arrival, and the stories that it has to get right.

#[path = "fold/fixture.rs"]
mod fixture;
#[path = "fold/history.rs"]
mod history;
#[path = "fold/invites.rs"]
mod invites;
#[path = "fold/orders.rs"]
mod orders;
#[path = "fold/scenarios.rs"]
mod scenarios;
#[path = "fold/state.rs"]
mod state;
#[path = "fold/stewards.rs"]
mod stewards;
